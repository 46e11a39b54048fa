//! A body that goes out piece by piece, no faster than the peer takes it: from a function that is asked for the next
//! piece, or from a [`BodyWriter`].

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use super::chunked::{ChunkHead, LAST_CHUNK};
use crate::event_loop::EventLoop;
use crate::event_loop::upper::guard;
use crate::ground::{Deferred, Failure, Resolver};
use crate::trace::Place;
use crate::transports::{Disconnected, Streaming, Transport};

/// When so much waits to be sent, nothing is asked for: one piece of a file is on its way while the next is read.
pub(super) const HIGH_WATER: usize = 64 * 1024;

/// So many empty pieces are asked for in one go; then others have their turn.
const IN_ONE_GO: usize = 64;

/// Asked for the next piece; `None` is the end.
pub(super) type Pull = Box<dyn FnMut(&EventLoop) -> Deferred<Option<Vec<u8>>>>;

/// Where the pieces come from.
pub(super) enum Source {
    Pull(Pull, Place),
    Writer(Rc<Written>),
}

/// How the pieces stand on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Chunked,
    /// So many bytes are still to come.
    Exact(u64),
    #[cfg(feature = "http-server")]
    UntilClose,
}

type Slot = Rc<Cell<Option<Result<Option<Vec<u8>>, Failure>>>>;

/// A body on its way out.
pub(super) struct OutgoingBody {
    source: Source,
    framing: Framing,
    /// The answer that was asked for comes here.
    asked: Option<Slot>,
    registered: bool,
    /// How many bytes of the body were written.
    pub(super) bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It goes on when the protocol is woken, or told to produce.
    Waiting,
    Done,
}

impl OutgoingBody {
    pub(super) fn new(source: Source, framing: Framing, transport: &Transport) -> OutgoingBody {
        if let Source::Writer(written) = &source {
            written.transport.replace(Some(transport.clone()));
        }
        OutgoingBody { source, framing, asked: None, registered: false, bytes: 0 }
    }

    /// Writes what there is, as far as there is room. An error means that the body cannot be completed.
    pub(super) fn pump(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<Progress, Failure> {
        for _ in 0..IN_ONE_GO {
            if transport.buffered() >= HIGH_WATER {
                if !self.registered {
                    // A producer of somebody else's is a bug of this library's user: nothing of theirs has the transport.
                    self.registered = transport.register_own_producer(Streaming::Pull).is_ok();
                }
                self.tell_writer(true);
                return Ok(Progress::Waiting);
            }
            match self.next_piece(event_loop, transport)? {
                None => return Ok(Progress::Waiting),
                Some(Some(piece)) => self.write(transport, &piece)?,
                Some(None) => {
                    self.end(transport)?;
                    return Ok(Progress::Done);
                }
            }
        }
        transport.wake_protocol();
        Ok(Progress::Waiting)
    }

    /// The next piece: `None` if it is not there, `Some(None)` at the end.
    #[allow(clippy::option_option)]
    fn next_piece(
        &mut self,
        event_loop: &EventLoop,
        transport: &Transport,
    ) -> Result<Option<Option<Vec<u8>>>, Failure> {
        let (pull, place) = match &mut self.source {
            Source::Pull(pull, place) => (pull, *place),
            Source::Writer(written) => return written.take(),
        };
        if let Some(slot) = &self.asked {
            return match slot.take() {
                None => Ok(None),
                Some(answer) => {
                    self.asked = None;
                    answer.map(Some)
                }
            };
        }
        let asked = guard(|| pull(event_loop)).map_err(|payload| Failure::panic(payload, place))?;
        match asked.try_result() {
            Ok(answer) => answer.map(Some),
            Err(waiting) => {
                let slot = Slot::default();
                self.asked = Some(slot.clone());
                let transport = transport.clone();
                waiting
                    .own_step("http body")
                    .add_both(move |answer| {
                        slot.set(Some(answer));
                        transport.wake_protocol();
                        Ok(())
                    })
                    .detach();
                Ok(None)
            }
        }
    }

    fn write(&mut self, transport: &Transport, piece: &[u8]) -> Result<(), Failure> {
        if piece.is_empty() {
            return Ok(());
        }
        self.bytes += piece.len() as u64;
        match &mut self.framing {
            Framing::Chunked => {
                transport.write_vectored(&[ChunkHead::new(piece.len()).as_bytes(), piece, b"\r\n"])?
            }
            #[cfg(feature = "http-server")]
            Framing::UntilClose => transport.write(piece)?,
            Framing::Exact(left) => {
                *left = left
                    .checked_sub(piece.len() as u64)
                    .ok_or_else(|| Failure::msg("a body is longer than the length that was said for it"))?;
                transport.write(piece)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, transport: &Transport) -> Result<(), Failure> {
        match self.framing {
            Framing::Chunked => transport.write(LAST_CHUNK)?,
            #[cfg(feature = "http-server")]
            Framing::UntilClose => {}
            Framing::Exact(0) => {}
            Framing::Exact(left) => {
                return Err(Failure::msg(format!(
                    "a body is {left} bytes shorter than the length that was said for it"
                )));
            }
        }
        self.unregister(transport);
        Ok(())
    }

    /// The transport's producer is somebody else's again.
    pub(super) fn unregister(&mut self, transport: &Transport) {
        if std::mem::take(&mut self.registered) {
            transport.unregister_producer();
        }
    }

    /// All that was written before is sent: there is room.
    pub(super) fn tell_writer(&self, full: bool) {
        if let Source::Writer(written) = &self.source {
            written.set_full(full);
        }
    }
}

impl Drop for OutgoingBody {
    fn drop(&mut self) {
        if let Source::Writer(written) = &self.source {
            written.close();
        }
    }
}

/// What a [`BodyWriter`] and the connection share.
#[derive(Default)]
pub(super) struct Written {
    bytes: RefCell<Vec<u8>>,
    end: Cell<Option<Result<(), Failure>>>,
    full: Cell<bool>,
    closed: Cell<bool>,
    waiting: RefCell<Vec<Resolver<()>>>,
    /// There once the head is written.
    transport: RefCell<Option<Transport>>,
}

impl Written {
    fn wake(&self) {
        if let Some(transport) = &*self.transport.borrow() {
            transport.wake_protocol();
        }
    }

    #[allow(clippy::option_option)]
    fn take(&self) -> Result<Option<Option<Vec<u8>>>, Failure> {
        let bytes = self.bytes.take();
        if !bytes.is_empty() {
            self.release();
            return Ok(Some(Some(bytes)));
        }
        match self.end.take() {
            None => {
                self.set_full(false);
                Ok(None)
            }
            Some(Ok(())) => Ok(Some(None)),
            Some(Err(failure)) => Err(failure),
        }
    }

    fn is_full(&self) -> bool {
        self.full.get() || self.bytes.borrow().len() >= HIGH_WATER
    }

    fn set_full(&self, full: bool) {
        self.full.set(full);
        self.release();
    }

    fn release(&self) {
        if !self.is_full() {
            self.waiting.take().into_iter().for_each(|resolver| resolver.succeed(()));
        }
    }

    /// Nobody takes it any more.
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.bytes.take();
        self.waiting.take().into_iter().for_each(|resolver| resolver.fail(Disconnected));
    }
}

/// Writes a body piece by piece, from any callback or task, whenever there is something to send.
///
/// ```
/// use ropewalk::{EventLoop, Failure};
/// use ropewalk::http::{Request, Response};
/// use std::time::Duration;
///
/// fn countdown(event_loop: &EventLoop, _: Request) -> Response {
///     let (writer, response) = Response::streaming();
///     let handle = event_loop.handle();
///     let counting = async move {
///         for n in (0..3).rev() {
///             writer.ready().await?; // the client has room
///             writer.write(format!("{n}\n"))?;
///             handle.defer_later(Duration::from_millis(1), |_| Ok(())).await?;
///         }
///         writer.finish();
///         Ok::<(), Failure>(())
///     };
///     event_loop.spawn(counting).log_errors("a client left before the end");
///     response.content_type("text/plain")
/// }
/// # let _ = countdown;
/// ```
pub struct BodyWriter {
    written: Option<Rc<Written>>,
}

impl BodyWriter {
    pub(super) fn new() -> (BodyWriter, Rc<Written>) {
        let written = Rc::<Written>::default();
        (BodyWriter { written: Some(written.clone()) }, written)
    }

    /// Writes bytes. What is written in one callback goes out together. It takes all of them, whatever they are: wait for
    /// [`ready`](BodyWriter::ready) before each piece.
    ///
    /// # Errors
    ///
    /// The connection is lost, or nobody wants the body (it was a HEAD request).
    pub fn write(&self, data: impl AsRef<[u8]>) -> Result<(), Disconnected> {
        let Some(written) = self.written.as_ref().filter(|written| !written.closed.get()) else {
            return Err(Disconnected);
        };
        written.bytes.borrow_mut().extend_from_slice(data.as_ref());
        written.wake();
        Ok(())
    }

    /// Answers when the peer has taken enough of what was written: at most 64 KiB wait then.
    ///
    /// # Errors
    ///
    /// Fails with [`Disconnected`] as [`write`](BodyWriter::write) does.
    #[track_caller]
    pub fn ready(&self) -> Deferred<()> {
        match &self.written {
            Some(written) if !written.closed.get() => {
                if !written.is_full() {
                    return Deferred::succeed(());
                }
                let (resolver, ready) = Deferred::new();
                written.waiting.borrow_mut().push(resolver);
                ready
            }
            _ => Deferred::fail(Disconnected),
        }
    }

    /// The body is complete.
    pub fn finish(mut self) {
        self.end(Ok(()));
    }

    /// The body cannot be completed. Its head was sent already: the peer learns of it by a connection that breaks off.
    pub fn fail(mut self, failure: impl Into<Failure>) {
        self.end(Err(failure.into()));
    }

    fn end(&mut self, end: Result<(), Failure>) {
        if let Some(written) = self.written.take() {
            // Where nobody wants it, it is no matter how it ended.
            let end = if written.closed.get() { Ok(()) } else { end };
            written.end.set(Some(end));
            written.wake();
        }
    }
}

/// A writer that is dropped has not finished: that is a failure.
impl Drop for BodyWriter {
    fn drop(&mut self) {
        if self.written.is_some() {
            self.end(Err(Failure::msg("the writer of a body was dropped before it said finish")));
        }
    }
}

impl fmt::Debug for BodyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.written.as_ref().map_or(0, |written| written.bytes.borrow().len());
        f.debug_struct("BodyWriter").field("waiting", &waiting).finish()
    }
}
