//! A client that connects again when its connection fails or is lost.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::event_loop::{DelayedCall, EventLoop, Handle};
use crate::ground::{CancelHandle, Deferred, Failure, Resolver, maybe_deferred};
use crate::task::{Backoff, Delays};
use crate::transports::{Protocol, Target, Transport};

/// Twisted's `ReconnectingClientFactory.jitter`: the molar Planck constant times the speed of light, in joule meters per
/// mole, and as good as any.
const JITTER: f64 = 0.119_626_565_582;

/// How a [`ReconnectingClient`] is to try.
///
/// ```
/// use ropewalk::protocols::ReconnectingClient;
/// use ropewalk::task::Backoff;
/// use ropewalk::testing::{MemoryLoop, success_of};
/// use ropewalk::Protocol;
/// use std::time::Duration;
///
/// struct Quiet;
///
/// impl Protocol for Quiet {}
///
/// let test = MemoryLoop::new()?;
/// let network = test.network();
/// let every_second = Backoff::new().initial(Duration::from_secs(1)).factor(1.0).jitter(0.0);
/// let (client, done) = ReconnectingClient::builder().backoff(every_second).max_retries(5).connect_with(
///     &test,
///     move |event_loop, protocol| network.connect(event_loop, "server", protocol),
///     |_, _| Quiet,
/// );
/// test.settle();
/// assert_eq!(client.next_attempt(), Some(Duration::from_secs(1))); // nobody listens yet
/// let port = test.network().listen("server", |_, _| Some(Quiet));
/// test.advance(Duration::from_secs(1));
/// assert_eq!((client.retries(), client.next_attempt()), (1, None)); // connected
/// client.stop_trying();
/// success_of(done);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ReconnectingClientBuilder {
    backoff: Backoff,
    max_retries: Option<u32>,
}

impl ReconnectingClientBuilder {
    /// How long to wait before each retry.
    pub fn backoff(mut self, backoff: Backoff) -> ReconnectingClientBuilder {
        self.backoff = backoff;
        self
    }

    /// How many times it tries again before it gives up. There is no limit by default. The count begins anew with
    /// [`ReconnectingClient::reset_delay`].
    pub fn max_retries(mut self, retries: u32) -> ReconnectingClientBuilder {
        self.max_retries = Some(retries);
        self
    }

    /// Connects to a TCP port, now and whenever the connection fails or is lost. `factory` makes the protocol of each
    /// attempt.
    ///
    /// The Deferred fires when nothing is tried any more: with a value after
    /// [`stop_trying`](ReconnectingClient::stop_trying), with a [`GaveUp`] after the last retry.
    #[track_caller]
    pub fn connect_tcp<P: Protocol>(
        self,
        event_loop: &EventLoop,
        target: impl Into<Target>,
        factory: impl FnMut(&EventLoop, &ReconnectingClient) -> P + 'static,
    ) -> (ReconnectingClient, Deferred<()>) {
        let target = target.into();
        self.connect_with(event_loop, move |event_loop, own| event_loop.connect_tcp(target.clone(), own), factory)
    }

    /// The same over whatever `connect` connects to.
    #[track_caller]
    pub fn connect_with<P: Protocol>(
        self,
        event_loop: &EventLoop,
        mut connect: impl FnMut(&EventLoop, Reconnected<P>) -> Deferred<Transport> + 'static,
        mut factory: impl FnMut(&EventLoop, &ReconnectingClient) -> P + 'static,
    ) -> (ReconnectingClient, Deferred<()>) {
        let (resolver, done) = Deferred::new();
        let attempt = move |event_loop: &EventLoop, client: &ReconnectingClient, attempt: &Attempt| {
            let protocol = factory(event_loop, client);
            if !client.is_trying() {
                return Deferred::fail(Failure::cancelled());
            }
            connect(event_loop, Reconnected { protocol, client: client.clone(), attempt: attempt.clone() })
        };
        let client = ReconnectingClient {
            state: Rc::new(State {
                handle: event_loop.handle(),
                connect: Cell::new(Some(Box::new(attempt))),
                delays: RefCell::new(self.backoff.delays()),
                backoff: self.backoff,
                retries: Cell::new(0),
                max_retries: self.max_retries,
                running: RefCell::new(None),
                waiting: RefCell::new(None),
                done: Cell::new(Some(resolver)),
            }),
        };
        client.connect(event_loop);
        (client, done)
    }
}

/// Starts one attempt.
type Connect = Box<dyn FnMut(&EventLoop, &ReconnectingClient, &Attempt) -> Deferred<Transport>>;

/// One attempt, and the connection that came of it. It ends once, whoever is first to say so.
type Attempt = Rc<Cell<bool>>;

/// A client that connects again when its connection fails or is lost, later and later. Twisted's
/// `ReconnectingClientFactory`.
///
/// The handle is cheap to clone; a protocol may keep one. Once it is connected and has seen that the server does what it
/// is to do, the protocol calls [`reset_delay`](ReconnectingClient::reset_delay): to be connected alone is no success,
/// and a server that accepts and closes must not be asked again and again without a pause.
///
/// Time is the loop's: on a [`TestClock`](crate::TestClock) nothing waits.
///
/// ```
/// use ropewalk::protocols::ReconnectingClient;
/// use ropewalk::testing::{MemoryLoop, success_of};
/// use ropewalk::{Deferred, Failure, Protocol};
/// use std::time::Duration;
///
/// struct Quiet;
///
/// impl Protocol for Quiet {}
///
/// let test = MemoryLoop::new()?;
/// let (client, done) = ReconnectingClient::builder().connect_with(
///     &test,
///     |_, _| Deferred::fail(Failure::msg("nobody listens")),
///     |_, _| Quiet,
/// );
/// test.advance(Duration::from_secs(20));
/// assert_eq!(client.retries(), 3); // the waits are of about 2.7, 7.4 and 20 seconds
/// client.stop_trying();
/// success_of(done);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct ReconnectingClient {
    state: Rc<State>,
}

struct State {
    handle: Handle,
    /// Out of its place while it is called; gone when nothing is tried any more.
    connect: Cell<Option<Connect>>,
    backoff: Backoff,
    delays: RefCell<Delays>,
    retries: Cell<u32>,
    max_retries: Option<u32>,
    running: RefCell<Option<CancelHandle>>,
    waiting: RefCell<Option<DelayedCall>>,
    /// Gone when nothing is tried any more.
    done: Cell<Option<Resolver<()>>>,
}

impl ReconnectingClient {
    /// For a client with Twisted's numbers, to be changed and started: the first wait is about 2.7 s (a second, times e),
    /// each next one e times as long, up to an hour. Chance adds to each or takes from it: a normal distribution, with a
    /// deviation of 12 % of the wait.
    pub fn builder() -> ReconnectingClientBuilder {
        let first = Duration::from_secs_f64(std::f64::consts::E);
        let backoff = Backoff::new().initial(first).normal_jitter(JITTER);
        ReconnectingClientBuilder { backoff, max_retries: None }
    }

    /// Has the next delay be the first again, and the count of retries 0. Twisted's `resetDelay`.
    ///
    /// ```
    /// use ropewalk::protocols::ReconnectingClient;
    /// use ropewalk::{EventLoop, Failure, Protocol, Transport, testing::MemoryLoop};
    /// use std::time::Duration;
    ///
    /// /// Holds the connection for good when the server has said something.
    /// struct Listening(ReconnectingClient);
    ///
    /// impl Protocol for Listening {
    ///     fn data_received(&mut self, _: &EventLoop, _: &Transport, _: &[u8]) -> Result<(), Failure> {
    ///         self.0.reset_delay();
    ///         Ok(())
    ///     }
    /// }
    ///
    /// /// A server that says something.
    /// struct Server;
    ///
    /// impl Protocol for Server {
    ///     fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
    ///         Ok(transport.write(b"news")?)
    ///     }
    /// }
    ///
    /// let test = MemoryLoop::new()?;
    /// let network = test.network();
    /// let (client, _done) = ReconnectingClient::builder().connect_with(
    ///     &test,
    ///     move |event_loop, protocol| network.connect(event_loop, "server", protocol),
    ///     |_, client| Listening(client.clone()),
    /// );
    /// test.advance(Duration::from_secs(5));
    /// assert_eq!(client.retries(), 2); // one has failed, since nobody listens yet, and one waits
    /// test.network().listen("server", |_, _| Some(Server));
    /// test.advance(Duration::from_secs(30));
    /// assert_eq!(client.retries(), 0);
    /// # client.stop_trying();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn reset_delay(&self) {
        self.state.delays.replace(self.state.backoff.delays());
        self.state.retries.set(0);
    }

    /// Tries no more, for ever: a retry that waits and an attempt that runs are called off. A connection that is there
    /// stays. Twisted's `stopTrying`.
    pub fn stop_trying(&self) {
        self.end(Ok(()));
    }

    /// How many times it tried again since the start, or since the last [`reset_delay`](ReconnectingClient::reset_delay).
    /// A retry that waits counts.
    pub fn retries(&self) -> u32 {
        self.state.retries.get()
    }

    /// Whether it still connects again when the connection fails or is lost.
    pub fn is_trying(&self) -> bool {
        let done = self.state.done.take();
        let is_trying = done.is_some();
        self.state.done.set(done);
        is_trying
    }

    /// When it connects again, on the loop's clock, if it waits for that.
    pub fn next_attempt(&self) -> Option<Duration> {
        self.state.waiting.borrow().as_ref().and_then(|call| call.deadline().ok())
    }

    fn connect(&self, event_loop: &EventLoop) {
        let state = &self.state;
        // Not there inside a factory that stops and starts: only one attempt runs at a time.
        let Some(mut connect) = state.connect.take() else { return };
        let attempt = Attempt::default();
        let connecting = maybe_deferred(|| connect(event_loop, self, &attempt));
        if !self.is_trying() {
            connecting.cancel();
            return connecting.own_step("reconnecting").add_both(|_| Ok(())).detach();
        }
        state.connect.set(Some(connect));
        state.running.replace(Some(connecting.cancel_handle()));
        let client = self.clone();
        connecting
            .own_step("reconnecting")
            .add_both(move |outcome| {
                if let Err(failure) = outcome {
                    client.over(&attempt, Some(failure));
                }
                Ok(())
            })
            .detach();
    }

    /// The attempt failed, or its connection was lost.
    fn over(&self, attempt: &Attempt, failure: Option<Failure>) {
        if attempt.replace(true) || !self.is_trying() {
            return;
        }
        let state = &self.state;
        state.running.replace(None);
        let retries = state.retries.get();
        if state.max_retries.is_some_and(|max| retries >= max) {
            return self.end(Err(GaveUp { retries, last: failure.map(Into::into) }));
        }
        state.retries.set(retries.saturating_add(1));
        let next = state.delays.borrow_mut().next();
        let delay = next.unwrap_or(Duration::MAX); // there is no last one
        let client = self.clone();
        let call = state.handle.call_later(delay, move |event_loop| {
            client.state.waiting.replace(None);
            client.connect(event_loop);
        });
        state.waiting.replace(call.ok());
    }

    fn end(&self, result: Result<(), GaveUp>) {
        let state = &self.state;
        let Some(resolver) = state.done.take() else { return };
        let (connect, running, waiting) = (state.connect.take(), state.running.take(), state.waiting.take());
        if let Some(waiting) = waiting {
            // An error says that it was called.
            let _ = waiting.cancel();
        }
        if let Some(running) = running {
            running.cancel();
        }
        drop(connect);
        resolver.fire(result.map_err(Failure::from));
    }
}

impl fmt::Debug for ReconnectingClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingClient")
            .field("trying", &self.is_trying())
            .field("retries", &self.retries())
            .field("next_attempt", &self.next_attempt())
            .finish()
    }
}

/// The last retry failed. Its source is the last attempt's error, unless that had connected and lost the connection.
///
/// ```
/// use ropewalk::protocols::{GaveUp, ReconnectingClient};
/// use ropewalk::{Deferred, Failure, Protocol};
/// use ropewalk::testing::{MemoryLoop, failure_of};
/// use std::time::Duration;
///
/// struct Quiet;
///
/// impl Protocol for Quiet {}
///
/// let test = MemoryLoop::new()?;
/// let (_client, done) = ReconnectingClient::builder().max_retries(2).connect_with(
///     &test,
///     |_, _| Deferred::fail(Failure::msg("nobody listens")),
///     |_, _| Quiet,
/// );
/// test.advance(Duration::from_secs(60));
/// let failure = failure_of(done);
/// assert_eq!(failure.check::<GaveUp>().unwrap().retries(), 2);
/// assert_eq!(failure.to_string(), "gave up after 2 retries: nobody listens");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct GaveUp {
    retries: u32,
    last: Option<Box<dyn Error + Send + Sync>>,
}

impl GaveUp {
    /// How many times it was tried again.
    pub fn retries(&self) -> u32 {
        self.retries
    }
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gave up after {} retries: ", self.retries)?;
        match &self.last {
            Some(error) => error.fmt(f),
            None => f.write_str("the connection was lost again"),
        }
    }
}

impl Error for GaveUp {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.last.as_deref().map(|error| error as _)
    }
}

/// The protocol of one attempt, which tells its [`ReconnectingClient`] when the connection is lost.
///
/// ```
/// use ropewalk::protocols::{Reconnected, ReconnectingClient};
/// use ropewalk::testing::MemoryLoop;
/// use ropewalk::{EventLoop, Failure, Protocol, Transport};
/// use std::{cell::Cell, rc::Rc, time::Duration};
///
/// /// Counts its connections.
/// struct Counter(Rc<Cell<u32>>);
///
/// impl Protocol for Counter {
///     fn connection_made(&mut self, _: &EventLoop, _: &Transport) -> Result<(), Failure> {
///         self.0.set(self.0.get() + 1);
///         Ok(())
///     }
/// }
///
/// let test = MemoryLoop::new()?;
/// let network = test.network();
/// network.listen("server", |_, _| None::<Counter>); // takes each connection, and closes it
/// let connect = move |event_loop: &EventLoop, protocol: Reconnected<Counter>| {
///     network.connect(event_loop, "server", protocol)
/// };
/// let count = Rc::new(Cell::new(0));
/// let own = count.clone();
/// let (client, done) =
///     ReconnectingClient::builder().connect_with(&test, connect, move |_, _| Counter(own.clone()));
/// test.advance(Duration::from_secs(20));
/// client.stop_trying();
/// assert_eq!((count.get(), client.retries()), (3, 3)); // the third retry is the one that waited
/// # drop(done);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Reconnected<P> {
    protocol: P,
    client: ReconnectingClient,
    attempt: Attempt,
}

impl<P: Protocol> Protocol for Reconnected<P> {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.protocol.connection_made(event_loop, transport)
    }

    fn data_received(&mut self, event_loop: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        self.protocol.data_received(event_loop, transport, data)
    }

    fn woken(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.protocol.woken(event_loop, transport)
    }

    fn connection_lost(&mut self, event_loop: &EventLoop, reason: Failure) {
        // Also when the protocol's own connection_lost panics.
        let _over = OverWhenDropped(self);
        _over.0.protocol.connection_lost(event_loop, reason);
    }

    fn half_close(&self) -> bool {
        self.protocol.half_close()
    }

    fn read_connection_lost(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.protocol.read_connection_lost(event_loop, transport)
    }

    fn write_connection_lost(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.protocol.write_connection_lost(event_loop, transport)
    }

    fn pause_producing(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.protocol.pause_producing(event_loop, transport)
    }

    fn resume_producing(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.protocol.resume_producing(event_loop, transport)
    }
}

struct OverWhenDropped<'a, P>(&'a mut Reconnected<P>);

impl<P> Drop for OverWhenDropped<'_, P> {
    fn drop(&mut self) {
        self.0.client.over(&self.0.attempt, None);
    }
}

impl<P: fmt::Debug> fmt::Debug for Reconnected<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reconnected").field(&self.protocol).finish()
    }
}
