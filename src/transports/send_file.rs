//! A file into a transport, in bounded memory. Twisted's `FileSender`, but the file is read on the worker pool.
//!
//! ```text
//!  worker      read 1 | read 2 |        | read 3 |
//!  transport          | write 1 .. sent | write 2 .. sent | ..  and when the last is sent, the Deferred fires
//! ```
//!
//! It is a pull producer: asked for the next piece when all before it is sent. One piece waits in the transport, and
//! one is read meanwhile.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::path::PathBuf;
use std::rc::Rc;

use super::error::{Disconnected, ProducerError};
use super::producer::{Producer, Streaming};
use super::transport::Transport;
use crate::event_loop::fs::File;
use crate::event_loop::{EventLoop, Handle};
use crate::ground::{CancelHandle, Deferred, Failure, Resolver};
use crate::trace::Place;

/// How much is read at once, at most. A read costs a trip to another thread, some ten microseconds, in which a fast
/// peer takes about as much.
const PIECE: usize = 64 * 1024;

/// Why a file was not sent to its end. An error of the file itself is a [`FsError`](crate::fs::FsError).
///
/// ```
/// use ropewalk::testing::MemoryLoop;
/// use ropewalk::{Protocol, SendFileError, fs};
///
/// struct Quiet;
///
/// impl Protocol for Quiet {}
///
/// let path = std::env::temp_dir().join(format!("ropewalk-send-file-error-doc-{}", std::process::id()));
/// std::fs::write(&path, "If I were")?;
/// let mut options = fs::OpenOptions::new();
/// options.read(true);
/// let test = MemoryLoop::new()?;
/// let file = test.run_until(fs::open(&test, &path, options)).unwrap();
///
/// let peer = test.connected(Quiet);
/// // 100 bytes are promised, and the file has 9.
/// let failure = test.run_until(peer.transport().send_file_range(&test, &file, 0, 100)).unwrap_err();
/// assert!(matches!(failure.check(), Some(SendFileError::Ended { written: 9, length: 100, .. })));
/// assert_eq!(peer.text(), "If I were");
/// # std::fs::remove_file(path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendFileError {
    /// The connection was lost, or its writing half closed. Of `written` bytes the last may not have been sent.
    Disconnected {
        /// The file.
        path: PathBuf,
        /// How much was given to the transport.
        written: u64,
    },
    /// The file ended too early: it has become shorter, or was shorter than was asked for.
    Ended {
        /// The file.
        path: PathBuf,
        /// How much of it was there, and was written.
        written: u64,
        /// How much was to be sent.
        length: u64,
    },
    /// Somebody unregistered the transport's producer, which was this file.
    Unregistered {
        /// The file.
        path: PathBuf,
        /// How much was given to the transport.
        written: u64,
    },
}

impl fmt::Display for SendFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendFileError::Disconnected { path, written } => write!(
                f,
                "cannot send {}: nothing can be written to its connection any more ({written} bytes were written)",
                path.display()
            ),
            SendFileError::Ended { path, written, length } => write!(
                f,
                "cannot send {}: {length} bytes were to be sent, and the file ended after {written}",
                path.display()
            ),
            SendFileError::Unregistered { path, written } => write!(
                f,
                "cannot send {}: it was unregistered as the transport's producer after {written} bytes",
                path.display()
            ),
        }
    }
}

impl Error for SendFileError {}

impl Transport {
    /// Sends a file, from its start to where it ends now. Answers the number of bytes when all of them are sent: the
    /// system has taken them. Twisted's `FileSender.beginFileTransfer`.
    ///
    /// The file is read on the worker pool, a piece of at most 64 KiB whenever the piece before it is sent: so at most
    /// one piece waits, and one is being read, however slow the peer is. A piece is never longer than the high-water
    /// mark. The position of `file` stays as it is, and what is appended meanwhile is not sent.
    ///
    /// The file is the transport's producer until then: [`lose_connection`](Transport::lose_connection) waits for its
    /// end. What else is written meanwhile gets in between its pieces.
    ///
    /// Cancelling ends it. What was written by then is sent; [`abort`](Transport::abort) keeps the peer from taking it
    /// for the whole.
    ///
    /// # Errors
    ///
    /// The Deferred fails with [`SendFileError`], with [`FsError`](crate::fs::FsError) if the file cannot be read, with
    /// [`ProducerError::AlreadyRegistered`] if there is another producer. The connection itself stays as it is.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Failure, Protocol, Transport, fs};
    /// use std::io::Read;
    ///
    /// /// Gives each peer a file.
    /// struct Giving(fs::File);
    ///
    /// impl Protocol for Giving {
    ///     fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
    ///         // A failure is reported; the peer sees the end of data either way.
    ///         transport.send_file(event_loop, &self.0).detach();
    ///         transport.lose_connection();
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let event_loop = EventLoop::new()?;
    /// let path = std::env::temp_dir().join(format!("ropewalk-send-file-doc-{}", std::process::id()));
    /// std::fs::write(&path, "If I were...")?;
    /// let mut options = fs::OpenOptions::new();
    /// options.read(true);
    /// let file = event_loop.run_until(fs::open(&event_loop, &path, options))?;
    ///
    /// let port = event_loop.listen_tcp("127.0.0.1:0", move |_, _| Some(Giving(file.clone())))?;
    /// let address = port.address().as_tcp().unwrap();
    /// let peer = event_loop.defer_to_thread(move || {
    ///     let mut text = String::new();
    ///     std::net::TcpStream::connect(address)?.read_to_string(&mut text)?;
    ///     Ok(text)
    /// });
    /// assert_eq!(event_loop.run_until(peer)?, "If I were...");
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn send_file(&self, event_loop: &EventLoop, file: &File) -> Deferred<u64> {
        let place = Location::caller();
        let (sending, deferred) = Sending::begin(self, event_loop, file, 0, None, place);
        if sending.is_going_on() {
            let stat = file.stat_for(event_loop, place);
            sending.working.set(Some(stat.cancel_handle()));
            stat.own_step("send_file")
                .add_both(move |found| {
                    sending.working.set(None);
                    match found {
                        Ok(meta) => {
                            sending.length.set(Some(meta.len()));
                            sending.go_on();
                        }
                        Err(failure) => sending.end(Err(failure)),
                    }
                    Ok(())
                })
                .detach();
        }
        deferred
    }

    /// Sends `length` bytes of a file, from `offset` on: for a part, or where the length is promised already. All else
    /// is as for [`Transport::send_file`].
    ///
    /// # Errors
    ///
    /// As for [`Transport::send_file`]. A file that ends earlier is [`SendFileError::Ended`], after what there was is
    /// written.
    #[track_caller]
    pub fn send_file_range(&self, event_loop: &EventLoop, file: &File, offset: u64, length: u64) -> Deferred<u64> {
        let (sending, deferred) = Sending::begin(self, event_loop, file, offset, Some(length), Location::caller());
        sending.go_on();
        deferred
    }
}

struct Sending {
    transport: Transport,
    event_loop: Handle,
    file: File,
    place: Place,
    offset: u64,
    /// Unknown until the file was asked.
    length: Cell<Option<u64>>,
    /// How much was read, and how much of that was written.
    read: Cell<u64>,
    written: Cell<u64>,
    /// A piece that waits until the one before it is sent.
    piece: Cell<Option<Vec<u8>>>,
    /// All before it is sent.
    wanted: Cell<bool>,
    /// What the worker does.
    working: Cell<Option<CancelHandle>>,
    /// Gone when it is over.
    resolver: Cell<Option<Resolver<u64>>>,
}

impl Sending {
    fn begin(
        transport: &Transport,
        event_loop: &EventLoop,
        file: &File,
        offset: u64,
        length: Option<u64>,
        place: Place,
    ) -> (Rc<Sending>, Deferred<u64>) {
        let sending = Rc::new(Sending {
            transport: transport.clone(),
            event_loop: event_loop.handle(),
            file: file.clone(),
            place,
            offset,
            length: Cell::new(length),
            read: Cell::new(0),
            written: Cell::new(0),
            piece: Cell::new(None),
            wanted: Cell::new(false),
            working: Cell::new(None),
            resolver: Cell::new(None),
        });
        let weak = Rc::downgrade(&sending);
        let (resolver, deferred) = Deferred::with_canceller_at(place, move || {
            if let Some(sending) = weak.upgrade() {
                drop(sending.over());
            }
        });
        let producer = FileSender { sending: sending.clone() };
        match transport.register_producer(event_loop, producer, Streaming::Pull) {
            Ok(()) => sending.resolver.set(Some(resolver)),
            Err(ProducerError::Disconnected) => {
                resolver.fire_at(Err(sending.failure(sending.disconnected())), place);
            }
            Err(error) => resolver.fire_at(Err(Failure::raised_at(error, place)), place),
        }
        (sending, deferred)
    }

    fn is_going_on(&self) -> bool {
        let resolver = self.resolver.take();
        let going_on = resolver.is_some();
        self.resolver.set(resolver);
        going_on
    }

    /// Does what can be done: writes the piece that is wanted, reads the next one, or finds that all is sent.
    fn go_on(self: &Rc<Self>) {
        let (true, Some(length)) = (self.is_going_on(), self.length.get()) else { return };
        if self.wanted.get() {
            match self.piece.take() {
                Some(piece) => {
                    self.wanted.set(false);
                    if let Err(Disconnected) = self.transport.write(&piece) {
                        return self.end(Err(self.failure(self.disconnected())));
                    }
                    self.written.set(self.written.get() + piece.len() as u64);
                }
                None if self.written.get() == length => return self.end(Ok(length)),
                None => {}
            }
        }
        self.read_on(length - self.read.get());
    }

    /// Has the next piece read, unless one is there.
    fn read_on(self: &Rc<Self>, left: u64) {
        let (piece, working) = (self.piece.take(), self.working.take());
        let busy = piece.is_some() || working.is_some();
        self.piece.set(piece);
        self.working.set(working);
        let Ok(event_loop) = self.event_loop.upgrade() else { return };
        if busy || left == 0 {
            return;
        }
        let most = self.transport.high_water().clamp(1, PIECE);
        let size = usize::try_from(left).unwrap_or(most).min(most);
        let at = self.offset.saturating_add(self.read.get());
        let piece = self.file.read_at_for(&event_loop, self.place, at, size);
        self.working.set(Some(piece.cancel_handle()));
        let sending = self.clone();
        piece
            .own_step("send_file")
            .add_both(move |piece| {
                sending.working.set(None);
                match piece {
                    Ok(piece) => sending.came(piece),
                    Err(failure) => sending.end(Err(failure)),
                }
                Ok(())
            })
            .detach();
    }

    fn came(self: &Rc<Self>, piece: Vec<u8>) {
        if piece.is_empty() {
            let (written, length) = (self.read.get(), self.length.get().unwrap_or(0));
            let error = SendFileError::Ended { path: self.file.path().into(), written, length };
            return self.end(Err(self.failure(error)));
        }
        self.read.set(self.read.get() + piece.len() as u64);
        self.piece.set(Some(piece));
        self.go_on();
    }

    fn disconnected(&self) -> SendFileError {
        SendFileError::Disconnected { path: self.file.path().into(), written: self.written.get() }
    }

    fn failure(&self, error: SendFileError) -> Failure {
        Failure::raised_at(error, self.place)
    }

    /// It is over, unless it was before; nothing of it stays registered.
    fn over(&self) -> Option<Resolver<u64>> {
        let resolver = self.resolver.take()?;
        self.transport.unregister_producer();
        self.stop_work();
        Some(resolver)
    }

    fn stop_work(&self) {
        if let Some(working) = self.working.take() {
            working.cancel();
        }
    }

    fn end(&self, result: Result<u64, Failure>) {
        // What a worker brings when it is over already is nobody's: most often it is the end of its own cancelling.
        if let Some(resolver) = self.over() {
            resolver.fire_at(result, self.place);
        }
    }
}

/// What the transport knows of it.
struct FileSender {
    sending: Rc<Sending>,
}

impl Producer for FileSender {
    fn pause_producing(&mut self, _: &EventLoop) -> Result<(), Failure> {
        Ok(())
    }

    fn resume_producing(&mut self, _: &EventLoop) -> Result<(), Failure> {
        self.sending.wanted.set(true);
        self.sending.go_on();
        Ok(())
    }

    fn stop_producing(&mut self, _: &EventLoop) {
        let sending = &self.sending;
        // Not unregistered: the transport has let it go, or never took it and has another.
        if let Some(resolver) = sending.resolver.take() {
            sending.stop_work();
            resolver.fire_at(Err(sending.failure(sending.disconnected())), sending.place);
        }
    }
}

impl Drop for FileSender {
    /// Unregistered by somebody else, who is in the middle of a method of the transport: that calls nobody.
    fn drop(&mut self) {
        let sending = &self.sending;
        if let Some(resolver) = sending.resolver.take() {
            sending.stop_work();
            let (path, written) = (sending.file.path().into(), sending.written.get());
            let failure = sending.failure(SendFileError::Unregistered { path, written });
            let place = sending.place;
            if let Ok(event_loop) = sending.event_loop.upgrade() {
                event_loop.call_soon_at(place, move |_| resolver.fire_at(Err(failure), place));
            }
        }
    }
}
