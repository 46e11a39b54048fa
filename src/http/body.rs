//! A body that comes in: of a request in a server, of a response in a client. One end takes pieces from the connection,
//! the other hands them to the program, and holds the connection back while nobody asks.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::rc::Rc;

use super::framing::BodyLength;
use super::headers::Headers;
use crate::ground::{Deferred, Failure, Resolver};
use crate::transports::Transport;

/// So many bytes may wait for the program before the connection is paused: what one read brings. With the read that
/// crosses it, a body holds twice as much at most.
const HIGH_WATER: usize = 64 * 1024;

/// The body of a message that comes in.
///
/// Pieces are asked for with [`read`](Body::read), or all of it with [`collect`](Body::collect). While nobody asks, some
/// 64 KiB are kept and then the connection is not read any more, so the peer waits. Dropping it says that nobody wants
/// the rest.
///
/// ```
/// use ropewalk::EventLoop;
/// use ropewalk::http::{Request, Response};
///
/// fn count(_: &EventLoop, mut request: Request) -> ropewalk::Deferred<Response> {
///     request.take_body().collect(1 << 20).map(|body| Response::text(format!("{} bytes\n", body.len())))
/// }
/// # let _ = count;
/// ```
pub struct Body {
    state: Option<Rc<State>>,
    length: BodyLength,
}

struct State {
    transport: Transport,
    pieces: RefCell<VecDeque<Vec<u8>>>,
    buffered: Cell<usize>,
    received: Cell<u64>,
    limit: Cell<u64>,
    end: RefCell<Option<Result<Headers, Failure>>>,
    reader: Cell<Option<Reader>>,
    paused: Cell<bool>,
    gone: Cell<bool>,
    /// The peer waits for `100 Continue`.
    awaits_continue: Cell<bool>,
    /// The connection's protocol is woken when nobody wants the rest.
    wakes: Cell<bool>,
}

type Sink = Box<dyn FnMut(&[u8]) -> Result<(), Failure>>;

/// Who waits for what comes.
enum Reader {
    Next(Resolver<Option<Vec<u8>>>),
    All {
        bytes: Vec<u8>,
        limit: usize,
        resolver: Resolver<Vec<u8>>,
    },
    Each {
        f: Sink,
        resolver: Resolver<()>,
    },
    /// Into a buffer until so much is in it. `seen` is told of each piece.
    #[cfg(feature = "http-client")]
    Fill {
        buffer: Vec<u8>,
        least: usize,
        seen: Seen,
        resolver: Resolver<Filled>,
    },
}

/// Told how many bytes more there are.
#[cfg(feature = "http-client")]
pub(super) type Seen = Rc<dyn Fn(usize)>;

/// A buffer with what came, and whether that was the end.
#[cfg(feature = "http-client")]
pub(super) type Filled = (Vec<u8>, bool);

impl Reader {
    fn fail(self, failure: Failure) {
        match self {
            Reader::Next(resolver) => resolver.fail(failure),
            Reader::All { resolver, .. } => resolver.fail(failure),
            Reader::Each { resolver, .. } => resolver.fail(failure),
            // What has come counts; the error is told to who asks next.
            #[cfg(feature = "http-client")]
            Reader::Fill { buffer, resolver, .. } if !buffer.is_empty() => resolver.succeed((buffer, false)),
            #[cfg(feature = "http-client")]
            Reader::Fill { resolver, .. } => resolver.fail(failure),
        }
    }
}

impl Body {
    /// Without a byte.
    pub fn empty() -> Body {
        Body { state: None, length: BodyLength::Empty }
    }

    /// How long it is, as far as its head says.
    pub fn length(&self) -> BodyLength {
        self.length
    }

    /// The next piece: at least one byte, or `None` at the end. How the pieces are cut says nothing.
    ///
    /// Cancelling loses nothing: what comes then waits for the next `read`.
    ///
    /// # Errors
    ///
    /// Fails with [`ParseError`](super::ParseError) if the peer breaks the rules or closes too early, with
    /// [`BodyTooLarge`], or with what the connection was lost by.
    #[track_caller]
    pub fn read(&mut self) -> Deferred<Option<Vec<u8>>> {
        let Some(state) = &self.state else { return Deferred::succeed(None) };
        if let Some(piece) = state.take_piece() {
            return Deferred::succeed(Some(piece));
        }
        match state.ended() {
            Some(Ok(())) => Deferred::succeed(None),
            Some(Err(failure)) => Deferred::fail(failure),
            None => {
                let weak = Rc::downgrade(state);
                let (resolver, piece) = Deferred::with_canceller(move || {
                    drop(weak.upgrade().and_then(|state| state.reader.take()));
                });
                state.set_reader(Reader::Next(resolver));
                piece
            }
        }
    }

    /// Reads into an empty buffer until `least` bytes are in it, or the body ends: for who wants much at a time, and no
    /// allocation for each piece. It may become more, by what one read brings.
    #[cfg(feature = "http-client")]
    pub(super) fn fill(&mut self, buffer: Vec<u8>, least: usize, seen: &Seen) -> Deferred<Filled> {
        let Some(state) = &self.state else { return Deferred::succeed((buffer, true)) };
        let weak = Rc::downgrade(state);
        let (resolver, filled) = Deferred::with_canceller(move || {
            drop(weak.upgrade().and_then(|state| state.reader.take()));
        });
        state.set_reader(Reader::Fill { buffer, least, seen: seen.clone(), resolver });
        state.feed();
        filled
    }

    /// All of it. Cancelling says that nobody wants it, as dropping a body does.
    ///
    /// # Errors
    ///
    /// Fails with [`BodyTooLarge`] when it has more than `limit` bytes, and as [`read`](Body::read) does.
    #[track_caller]
    pub fn collect(mut self, limit: usize) -> Deferred<Vec<u8>> {
        let Some(state) = self.state.take() else { return Deferred::succeed(Vec::new()) };
        if self.length.exact().is_some_and(|bytes| bytes > limit as u64) {
            state.let_go();
            return Deferred::fail(BodyTooLarge { limit: limit as u64 });
        }
        let weak = Rc::downgrade(&state);
        let (resolver, all) = Deferred::with_canceller(move || {
            if let Some(state) = weak.upgrade() {
                state.call_off();
            }
        });
        state.set_reader(Reader::All { bytes: Vec::new(), limit, resolver });
        state.feed();
        all
    }

    /// Calls `f` with each piece as it comes, and answers when it is complete. For work that has to wait, see
    /// [`read`](Body::read).
    ///
    /// # Errors
    ///
    /// Fails with the first error of `f`, and as [`read`](Body::read) does.
    #[track_caller]
    pub fn for_each(mut self, f: impl FnMut(&[u8]) -> Result<(), Failure> + 'static) -> Deferred<()> {
        let Some(state) = self.state.take() else { return Deferred::succeed(()) };
        let weak = Rc::downgrade(&state);
        let (resolver, done) = Deferred::with_canceller(move || {
            if let Some(state) = weak.upgrade() {
                state.call_off();
            }
        });
        state.set_reader(Reader::Each { f: Box::new(f), resolver });
        state.feed();
        done
    }

    /// Changes how many bytes it may have. A server's own limit is
    /// [`Server::max_body`](struct.Server.html#method.max_body); a length that the head says was held against that one
    /// already.
    pub fn set_limit(&mut self, bytes: u64) {
        if let Some(state) = &self.state {
            state.limit.set(bytes);
        }
    }

    /// The trailers, once it was read to its end.
    pub fn trailers(&self) -> Option<Headers> {
        let state = self.state.as_ref()?;
        match &*state.end.borrow() {
            Some(Ok(trailers)) if state.pieces.borrow().is_empty() => Some(trailers.clone()),
            _ => None,
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            state.let_go();
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.state.as_ref().map_or(0, |state| state.buffered.get());
        f.debug_struct("Body").field("length", &self.length).field("waiting", &waiting).finish()
    }
}

impl State {
    fn take_piece(&self) -> Option<Vec<u8>> {
        let piece = self.pieces.borrow_mut().pop_front()?;
        self.buffered.set(self.buffered.get() - piece.len());
        if self.paused.get() && self.buffered.get() == 0 {
            self.resume();
        }
        Some(piece)
    }

    fn resume(&self) {
        if self.paused.take() {
            self.transport.resume_producing();
        }
    }

    /// How it ended, if it did.
    fn ended(&self) -> Option<Result<(), Failure>> {
        match &mut *self.end.borrow_mut() {
            None => None,
            Some(Ok(_)) => Some(Ok(())),
            Some(Err(failure)) => Some(Err(failure.share())),
        }
    }

    fn set_reader(&self, reader: Reader) {
        let before = self.reader.replace(Some(reader));
        // There is one `Body` and one read of it at a time; whoever asks twice has the first answered by an error.
        drop(before);
        if self.awaits_continue.take() && !self.gone.get() {
            self.say_continue();
        }
    }

    fn say_continue(&self) {
        // Lost connections are told of elsewhere.
        let _ = self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    /// Gives a reader that takes all what is there already.
    fn feed(&self) {
        while self.has_reader()
            && let Some(piece) = self.take_piece()
        {
            self.give(piece);
        }
        if self.has_reader()
            && let Some(ended) = self.ended()
        {
            self.finish_reader(ended);
        }
    }

    fn has_reader(&self) -> bool {
        let reader = self.reader.take();
        let is_there = reader.is_some();
        self.reader.set(reader);
        is_there
    }

    /// Gives bytes that came to who has a buffer for them. `false`: nobody has.
    #[cfg(feature = "http-client")]
    fn fill(&self, data: &[u8]) -> bool {
        let (mut buffer, least, seen, resolver) = match self.reader.take() {
            Some(Reader::Fill { buffer, least, seen, resolver }) => (buffer, least, seen, resolver),
            other => {
                self.reader.set(other);
                return false;
            }
        };
        buffer.extend_from_slice(data);
        if let Err(payload) = crate::event_loop::upper::guard(|| seen(data.len())) {
            self.let_go();
            let place = resolver.made().unwrap_or_else(|| std::panic::Location::caller());
            resolver.fail(Failure::panic(payload, place));
        } else if buffer.len() >= least {
            resolver.succeed((buffer, false));
        } else {
            self.reader.set(Some(Reader::Fill { buffer, least, seen, resolver }));
        }
        true
    }

    /// Gives a piece to the reader, or keeps it.
    fn give(&self, piece: Vec<u8>) {
        #[cfg(feature = "http-client")]
        if self.fill(&piece) {
            return;
        }
        match self.reader.take() {
            #[cfg(feature = "http-client")]
            Some(Reader::Fill { .. }) => {} // Seen to just now.
            None if self.gone.get() => {}
            None => {
                self.buffered.set(self.buffered.get() + piece.len());
                self.pieces.borrow_mut().push_back(piece);
                if self.buffered.get() > HIGH_WATER && !self.paused.replace(true) {
                    self.transport.pause_producing();
                }
            }
            Some(Reader::Next(resolver)) => resolver.succeed(Some(piece)),
            Some(Reader::All { bytes, limit, resolver }) if bytes.len() + piece.len() > limit => {
                self.let_go();
                resolver.fail(BodyTooLarge { limit: limit as u64 });
            }
            Some(Reader::All { mut bytes, limit, resolver }) => {
                match bytes.is_empty() {
                    true => bytes = piece,
                    false => bytes.extend_from_slice(&piece),
                }
                self.reader.set(Some(Reader::All { bytes, limit, resolver }));
            }
            Some(Reader::Each { mut f, resolver }) => match crate::event_loop::upper::guard(|| f(&piece)) {
                Ok(Ok(())) => self.reader.set(Some(Reader::Each { f, resolver })),
                Ok(Err(failure)) => {
                    self.let_go();
                    resolver.fail(failure);
                }
                Err(payload) => {
                    self.let_go();
                    let place = resolver.made().unwrap_or_else(|| std::panic::Location::caller());
                    resolver.fail(Failure::panic(payload, place));
                }
            },
        }
    }

    fn finish_reader(&self, ended: Result<(), Failure>) {
        match (self.reader.take(), ended) {
            (None, _) => {}
            (Some(reader), Err(failure)) => reader.fail(failure),
            (Some(Reader::Next(resolver)), Ok(())) => resolver.succeed(None),
            (Some(Reader::All { bytes, resolver, .. }), Ok(())) => resolver.succeed(bytes),
            (Some(Reader::Each { resolver, .. }), Ok(())) => resolver.succeed(()),
            #[cfg(feature = "http-client")]
            (Some(Reader::Fill { buffer, resolver, .. }), Ok(())) => resolver.succeed((buffer, true)),
        }
    }

    /// Nobody wants what comes.
    fn let_go(&self) {
        self.gone.set(true);
        self.buffered.set(0);
        self.pieces.take();
        self.resume();
        if self.wakes.get() {
            self.transport.wake_protocol();
        }
    }

    /// Whoever waited for all of it does no more, and nobody else can.
    fn call_off(&self) {
        drop(self.reader.take());
        self.let_go();
    }
}

/// The connection's end of a [`Body`].
pub(super) struct Incoming(Rc<State>);

impl Incoming {
    /// A body of this length that comes over a connection, of at most `limit` bytes.
    pub(super) fn new(
        transport: &Transport,
        length: BodyLength,
        limit: u64,
        awaits_continue: bool,
    ) -> (Incoming, Body) {
        let state = Rc::new(State {
            transport: transport.clone(),
            pieces: RefCell::default(),
            buffered: Cell::new(0),
            received: Cell::new(0),
            limit: Cell::new(limit),
            end: RefCell::new(None),
            reader: Cell::new(None),
            paused: Cell::new(false),
            gone: Cell::new(false),
            awaits_continue: Cell::new(awaits_continue),
            wakes: Cell::new(false),
        });
        (Incoming(state.clone()), Body { state: Some(state), length })
    }

    /// Bytes came. `false`: they are too many.
    pub(super) fn push(&self, data: &[u8]) -> bool {
        let state = &self.0;
        // Who sends without being told to does not wait.
        state.awaits_continue.set(false);
        state.received.set(state.received.get() + data.len() as u64);
        if state.received.get() > state.limit.get() && !state.gone.get() {
            self.fail(BodyTooLarge { limit: state.limit.get() }.into());
            state.gone.set(true);
            return false;
        }
        if !state.gone.get() {
            #[cfg(feature = "http-client")]
            if state.fill(data) {
                return true;
            }
            state.give(data.to_vec());
        }
        true
    }

    /// Has the connection's protocol woken when nobody wants the rest.
    #[cfg(feature = "http-client")]
    pub(super) fn wake_when_gone(&self) {
        self.0.wakes.set(true);
    }

    /// It is complete.
    pub(super) fn finish(&self, trailers: Headers) {
        if self.0.end.borrow().is_none() {
            self.0.end.replace(Some(Ok(trailers)));
            self.0.finish_reader(Ok(()));
        }
    }

    /// It will not be complete. What came waits all the same.
    pub(super) fn fail(&self, mut failure: Failure) {
        if self.0.end.borrow().is_none() {
            let second = failure.share();
            self.0.end.replace(Some(Err(failure)));
            self.0.finish_reader(Err(second));
        }
    }

    /// How many bytes have come.
    pub(super) fn received(&self) -> u64 {
        self.0.received.get()
    }

    /// Whether the peer is held back, or waits to be told to send: it is not its fault that nothing comes.
    pub(super) fn is_held_back(&self) -> bool {
        self.0.paused.get() || self.0.awaits_continue.get()
    }

    /// Whether the peer waits for `100 Continue`.
    #[cfg(feature = "http-server")]
    pub(super) fn awaits_continue(&self) -> bool {
        self.0.awaits_continue.get()
    }

    /// Whether nobody wants what comes.
    pub(super) fn is_gone(&self) -> bool {
        self.0.gone.get()
    }

    /// The final response begins, and `100 Continue` cannot be sent behind it: now, if somebody means to read the body,
    /// or never.
    #[cfg(feature = "http-server")]
    pub(super) fn respond(&self) {
        if self.0.awaits_continue.take() && !self.0.gone.get() {
            self.0.say_continue();
        }
    }
}

/// A body has more bytes than it may.
///
/// ```
/// use ropewalk::http::{BodyTooLarge, Response, Server};
/// use ropewalk::{Address, testing::MemoryLoop};
///
/// let test = MemoryLoop::new()?;
/// let server = Server::new().post("/", |_, mut request| {
///     request.take_body().collect(4).map(|_| Response::text("short enough")).add_errback(|failure| {
///         let error: BodyTooLarge = failure.downcast()?; // without this line the client is told 413
///         Ok(Response::text(format!("{error}; try /large")))
///     })
/// });
/// let peer = test.connected(server.start(&test)?.protocol(&Address::Memory));
/// peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nIf I were");
/// assert!(peer.text().ends_with("the body has more than the 4 bytes it may have; try /large"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyTooLarge {
    pub(super) limit: u64,
}

impl BodyTooLarge {
    /// How many bytes it may have.
    pub fn limit(&self) -> u64 {
        self.limit
    }
}

impl fmt::Display for BodyTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body has more than the {} bytes it may have", self.limit)
    }
}

impl Error for BodyTooLarge {}
