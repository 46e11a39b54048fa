//! A loop whose time stands still and whose network is memory.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::ops::Deref;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::string_transport::StringTransport;
use super::wire::Wire;
use super::{Unhandled, capture_unhandled};
use crate::event_loop::upper::drop_quietly;
use crate::event_loop::{EventLoop, Handle, TestClock};
use crate::ground::random::Random;
use crate::ground::{Deferred, Failure, Resolver};
use crate::trace::Place;
use crate::transports::{Address, ConnectError, ConnectPhase, Protocol, Transport};

/// A loop for tests: its clock stands still until the test moves it, and its connections are memory. Twisted's
/// `MemoryReactorClock`.
///
/// It is an [`EventLoop`] and can be given to whatever wants one. It also collects this thread's reports of unhandled
/// errors, and dropping it with some that nobody [flushed](MemoryLoop::flush_unhandled) panics: a test may not lose errors
/// in silence.
///
/// ```
/// use ropewalk::protocols::{LineProtocol, LineReceiver, LineTransport};
/// use ropewalk::testing::MemoryLoop;
/// use ropewalk::{EventLoop, Failure};
/// use std::time::Duration;
///
/// /// Greets, and waits a minute for an answer.
/// struct Porter;
///
/// impl LineProtocol for Porter {
///     fn connection_made(&mut self, event_loop: &EventLoop, transport: &LineTransport) -> Result<(), Failure> {
///         transport.send_line("who is there?")?;
///         transport.set_timeout(event_loop, Some(Duration::from_secs(60)));
///         Ok(())
///     }
///
///     fn line_received(&mut self, _: &EventLoop, transport: &LineTransport, line: &[u8]) -> Result<(), Failure> {
///         transport.send_line([b"welcome, ", line].concat())?;
///         transport.lose_connection();
///         Ok(())
///     }
/// }
///
/// let test = MemoryLoop::new()?;
/// let patient = test.connected(LineReceiver::new(Porter));
/// let silent = test.connected(LineReceiver::new(Porter));
/// patient.send("Alice\r\n");
/// assert_eq!(patient.text(), "who is there?\r\nwelcome, Alice\r\n");
/// test.advance(Duration::from_secs(60));
/// assert!(patient.is_disconnected() && silent.is_disconnected());
/// test.assert_clean();
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct MemoryLoop {
    network: MemoryNetwork,
    event_loop: EventLoop,
    clock: TestClock,
    // Last: it still takes what the others' end gives rise to.
    unhandled: Unhandled,
}

impl MemoryLoop {
    /// A loop at time zero.
    ///
    /// # Errors
    ///
    /// As for [`EventLoop::new`].
    pub fn new() -> io::Result<MemoryLoop> {
        MemoryLoop::with_network(MemoryNetwork::default())
    }

    /// A loop whose connections cut what goes over them into small pieces, and take it in small pieces, by chance. The
    /// same seed gives the same pieces.
    ///
    /// # Errors
    ///
    /// As for [`EventLoop::new`].
    ///
    /// ```
    /// use ropewalk::protocols::{LineProtocol, LineReceiver, LineTransport};
    /// use ropewalk::{EventLoop, Failure, testing::MemoryLoop};
    ///
    /// struct Shout;
    ///
    /// impl LineProtocol for Shout {
    ///     fn line_received(&mut self, _: &EventLoop, own: &LineTransport, line: &[u8]) -> Result<(), Failure> {
    ///         Ok(own.send_line(line.to_ascii_uppercase())?)
    ///     }
    /// }
    ///
    /// for seed in 0..20 {
    ///     let test = MemoryLoop::cutting(seed)?;
    ///     let peer = test.connected(LineReceiver::new(Shout));
    ///     peer.send("if I\r\nwere\r\n"); // comes in other pieces each time
    ///     assert_eq!(peer.text(), "IF I\r\nWERE\r\n", "seed {seed}");
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn cutting(seed: u64) -> io::Result<MemoryLoop> {
        let cuts = Some(Rc::new(RefCell::new(Random::new(seed))));
        MemoryLoop::with_network(MemoryNetwork(Rc::new(Shared { cuts, ..Shared::default() })))
    }

    fn with_network(network: MemoryNetwork) -> io::Result<MemoryLoop> {
        let clock = TestClock::new();
        let event_loop = EventLoop::builder().clock(&clock).build()?;
        Ok(MemoryLoop { network, event_loop, clock, unhandled: capture_unhandled() })
    }

    /// The clock.
    pub fn clock(&self) -> &TestClock {
        &self.clock
    }

    /// The network, to be kept by what makes connections.
    pub fn network(&self) -> MemoryNetwork {
        self.network.clone()
    }

    /// Moves the time on, and does all that is due on the way. See [`TestClock::advance`].
    ///
    /// # Panics
    ///
    /// When it is called from inside a callback of the loop, or when the loop has work for ever
    /// ([`RunError::Unsettled`](crate::RunError::Unsettled)).
    #[track_caller]
    pub fn advance(&self, by: Duration) {
        if let Err(error) = self.clock.advance(by) {
            panic!("the time could not be moved on: {error}");
        }
    }

    /// Runs the loop until nothing is left to do at this time.
    ///
    /// # Panics
    ///
    /// When a callback causes another one for ever ([`RunError::Unsettled`](crate::RunError::Unsettled)).
    #[track_caller]
    pub fn settle(&self) {
        super::settle(&self.event_loop);
    }

    /// Waits until another thread has posted something - the result of a job counts - and leaves it to the loop, which
    /// runs it in its next turn. So a test, or a lesson, pins the order of what happens: whether a thread is done before
    /// or after the loop has begun to wait is otherwise a matter of chance.
    ///
    /// When nothing is posted it waits for ever. What the loop has run already counts as nothing: call this before
    /// anything runs the loop, as [`settle`](MemoryLoop::settle), `advance` and a peer's `send` do. To wait for an outcome
    /// behind them, look for it again and again, with [`std::thread::yield_now`] in between.
    ///
    /// ```
    /// use ropewalk::testing::MemoryLoop;
    ///
    /// let test = MemoryLoop::new()?;
    /// let sum = test.defer_to_thread(|| Ok(1 + 2));
    /// test.wait_for_post();
    /// assert!(!sum.has_result()); // it is there, and the loop has not looked yet
    /// assert_eq!(test.run_until(sum).unwrap(), 3);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn wait_for_post(&self) {
        while !self.inner.mailbox.has_mail() {
            std::thread::yield_now();
        }
    }

    /// Connects a protocol to a peer that the test plays.
    #[track_caller]
    pub fn connected(&self, protocol: impl Protocol) -> StringTransport {
        let wire = self.network.wire(&self.event_loop, Location::caller());
        StringTransport::with_wire(&self.event_loop, wire, protocol.into_boxed())
    }

    /// Connects two protocols with each other, and runs them until nothing is left to do. Twisted's `loopback`.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Failure, Protocol, Transport, testing::MemoryLoop};
    ///
    /// /// Sends the ball back, three times.
    /// struct Player(u32);
    ///
    /// impl Protocol for Player {
    ///     fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
    ///         match self.0.checked_sub(1) {
    ///             None => transport.lose_connection(),
    ///             Some(left) => {
    ///                 self.0 = left;
    ///                 transport.write(data)?;
    ///             }
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let test = MemoryLoop::new()?;
    /// let (ada, bob) = test.pair(Player(3), Player(3));
    /// ada.write(b"ball").unwrap();
    /// test.settle();
    /// assert!(ada.is_disconnected() && bob.is_disconnected());
    /// test.assert_clean();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn pair(&self, one: impl Protocol, other: impl Protocol) -> (Transport, Transport) {
        let wire = self.network.wire(&self.event_loop, Location::caller());
        let transports = join(&self.event_loop, &wire, one.into_boxed(), other.into_boxed());
        self.settle();
        transports
    }

    /// Takes the reports of unhandled errors that came since the last flush.
    ///
    /// ```
    /// use ropewalk::{Deferred, Failure, testing::MemoryLoop};
    ///
    /// let test = MemoryLoop::new()?;
    /// test.call_soon(|_| drop(Deferred::<()>::fail(Failure::msg("lost"))));
    /// test.settle();
    /// let reports = test.flush_unhandled();
    /// assert_eq!(reports.len(), 1);
    /// assert!(reports[0].to_string().contains("lost"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn flush_unhandled(&self) -> Vec<crate::ground::UnhandledError> {
        self.unhandled.flush_unhandled()
    }

    /// Checks that nothing is left: no connection, no listener, no source, no timer, no job, no unhandled error.
    /// Twisted's `DirtyReactorAggregateError`.
    ///
    /// # Panics
    ///
    /// When something is left. The message has a line for each, with the line of the test or of the program that made it.
    #[track_caller]
    pub fn assert_clean(&self) {
        self.settle();
        let mut left = super::left_in(&self.event_loop);
        self.network.0.left(&mut left);
        let unhandled = self.unhandled.flush_unhandled();
        left.extend(unhandled.iter().map(ToString::to_string));
        super::assert_none(&left);
    }
}

impl Deref for MemoryLoop {
    type Target = EventLoop;

    fn deref(&self) -> &EventLoop {
        &self.event_loop
    }
}

impl From<&MemoryLoop> for Handle {
    fn from(test: &MemoryLoop) -> Handle {
        test.handle()
    }
}

impl fmt::Debug for MemoryLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLoop").field("time", &self.clock.now()).field("network", &self.network).finish()
    }
}

/// Puts a protocol on each end.
fn join(
    event_loop: &EventLoop,
    wire: &Rc<Wire>,
    one: Box<dyn Protocol>,
    other: Box<dyn Protocol>,
) -> (Transport, Transport) {
    // Both are there before one is told.
    let (one, other) = (wire.attach(event_loop, 0, one), wire.attach(event_loop, 1, other));
    let transports = (Transport::new(&one), Transport::new(&other));
    wire.made(event_loop, 0, one);
    wire.made(event_loop, 1, other);
    transports
}

/// The network of a [`MemoryLoop`]: names that somebody listens to. Cheap to clone.
///
/// ```
/// use ropewalk::testing::{MemoryLoop, success_of};
/// use ropewalk::{EventLoop, Failure, Protocol, Transport};
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
///         Ok(transport.write(data)?)
///     }
/// }
///
/// struct Quiet;
///
/// impl Protocol for Quiet {}
///
/// let test = MemoryLoop::new()?;
/// let port = test.network().listen("server", |_, _| Some(Echo));
/// let connecting = test.network().connect(&test, "server", Quiet);
/// test.settle();
/// success_of(connecting).lose_connection();
/// port.stop_listening();
/// test.assert_clean();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct MemoryNetwork(Rc<Shared>);

#[derive(Default)]
struct Shared {
    /// In the order of their names.
    listeners: RefCell<Vec<Listener>>,
    wires: RefCell<Vec<Weak<Wire>>>,
    cuts: Option<Rc<RefCell<Random>>>,
}

/// Out of its place while it is called.
type Build = Rc<Cell<Option<Box<dyn FnMut(&EventLoop, &Address) -> Option<Box<dyn Protocol>>>>>>;

#[derive(Clone)]
struct Listener {
    name: String,
    /// `None` never answers.
    build: Option<Build>,
    place: Place,
}

/// A name that is listened to, until this is told to stop. Dropping it changes nothing.
///
/// ```
/// use ropewalk::testing::{MemoryLoop, failure_of, success_of};
/// use ropewalk::Protocol;
///
/// struct Quiet;
///
/// impl Protocol for Quiet {}
///
/// let test = MemoryLoop::new()?;
/// let network = test.network();
/// let port = network.listen("server", |_, _| Some(Quiet));
/// let early = network.connect(&test, port.name(), Quiet);
/// test.settle();
/// port.stop_listening();
/// let late = network.connect(&test, port.name(), Quiet);
/// test.settle();
/// assert!(failure_of(late).to_string().starts_with("cannot connect to server: "));
/// assert!(!success_of(early).is_disconnected()); // it stays
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct MemoryPort {
    network: MemoryNetwork,
    name: String,
}

impl MemoryPort {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Listens no more. Connections that are there stay.
    pub fn stop_listening(&self) {
        let listener = self.network.0.take_listener(&self.name);
        drop(listener);
    }
}

type Parts = (Resolver<Transport>, Box<dyn Protocol>);

/// A connection that is asked for.
struct Attempt {
    event_loop: Handle,
    /// Taken when it is made or called off.
    parts: Cell<Option<Parts>>,
    /// Where the loop keeps it, if nobody answers.
    key: Cell<Option<u64>>,
}

impl Attempt {
    fn call_off(&self, place: Place) {
        let Some((resolver, protocol)) = self.parts.take() else { return };
        if let Some(key) = self.key.take() {
            let kept = self.event_loop.with(|event_loop| event_loop.inner.take_local(key));
            drop(kept);
        }
        drop_quietly(protocol);
        resolver.fire_at(Err(Failure::cancelled_at(place)), place);
    }
}

impl MemoryNetwork {
    /// Listens to a name. Whoever listened to it before does no more. `factory` makes the protocol of each connection;
    /// `None` refuses it.
    #[track_caller]
    pub fn listen<P: Protocol>(
        &self,
        name: &str,
        mut factory: impl FnMut(&EventLoop, &Address) -> Option<P> + 'static,
    ) -> MemoryPort {
        let build: Build = Rc::new(Cell::new(Some(Box::new(move |event_loop, peer| {
            factory(event_loop, peer).map(Protocol::into_boxed)
        }))));
        self.add(Listener { name: name.to_owned(), build: Some(build), place: Location::caller() })
    }

    /// Has a name that never answers: whoever connects to it waits for ever.
    ///
    /// ```
    /// use ropewalk::testing::{MemoryLoop, assert_no_result, failure_of};
    /// use ropewalk::{Protocol, TimeoutError};
    /// use std::time::Duration;
    ///
    /// struct Quiet;
    ///
    /// impl Protocol for Quiet {}
    ///
    /// let test = MemoryLoop::new()?;
    /// test.network().listen_silently("server");
    /// let limit = Duration::from_secs(5);
    /// let connecting = test.network().connect(&test, "server", Quiet).add_timeout(limit, &test);
    /// test.settle();
    /// assert_no_result(&connecting);
    /// test.advance(limit);
    /// assert!(failure_of(connecting).check::<TimeoutError>().is_some());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn listen_silently(&self, name: &str) -> MemoryPort {
        self.add(Listener { name: name.to_owned(), build: None, place: Location::caller() })
    }

    fn add(&self, listener: Listener) -> MemoryPort {
        let name = listener.name.clone();
        let before = self.0.take_listener(&name);
        let mut listeners = self.0.listeners.borrow_mut();
        let at = listeners.partition_point(|other| other.name < name);
        listeners.insert(at, listener);
        drop(listeners);
        drop(before);
        MemoryPort { network: self.clone(), name }
    }

    /// Connects to a name, in the loop's next turn. Cancelling the Deferred calls it off.
    ///
    /// # Errors
    ///
    /// Fails with [`ConnectError`] when nobody listens to the name.
    #[track_caller]
    pub fn connect(&self, event_loop: &EventLoop, name: &str, protocol: impl Protocol) -> Deferred<Transport> {
        let place = Location::caller();
        let protocol = protocol.into_boxed();
        let attempt =
            Rc::new(Attempt { event_loop: event_loop.handle(), parts: Cell::new(None), key: Cell::new(None) });
        let weak = Rc::downgrade(&attempt);
        let (resolver, connecting) = Deferred::with_canceller_at(place, move || {
            if let Some(attempt) = weak.upgrade() {
                attempt.call_off(place);
            }
        });
        attempt.parts.set(Some((resolver, protocol)));
        let (network, name) = (self.clone(), name.to_owned());
        event_loop.call_soon_at(place, move |event_loop| {
            let Some((resolver, protocol)) = attempt.parts.take() else { return };
            let listener = network.0.listener(&name);
            let Some(Listener { build, .. }) = listener else {
                return resolver.fail(ConnectError {
                    target: name,
                    phase: ConnectPhase::Connect,
                    source: io::ErrorKind::ConnectionRefused.into(),
                    tried: Vec::new(),
                });
            };
            let Some(build) = build else {
                // Kept by the loop until it is called off or the loop ends, as an attempt to connect is.
                attempt.parts.set(Some((resolver, protocol)));
                attempt.key.set(Some(event_loop.inner.keep_local(attempt.clone())));
                return;
            };
            let wire = network.wire(event_loop, place);
            let own = wire.attach(event_loop, 0, protocol);
            let transport = Transport::new(&own);
            wire.made(event_loop, 0, own);
            resolver.succeed(transport);
            // As with a socket, the client is connected before the server has made up its mind.
            let accepted = build.take().and_then(|mut call| {
                let accepted = call(event_loop, &Address::Memory);
                build.set(Some(call));
                accepted
            });
            match accepted {
                Some(protocol) => {
                    let accepted = wire.attach(event_loop, 1, protocol);
                    wire.made(event_loop, 1, accepted);
                }
                None => wire.send_end(1),
            }
        });
        connecting
    }

    /// A new connection, remembered for the check of what is left.
    fn wire(&self, event_loop: &EventLoop, place: Place) -> Rc<Wire> {
        let wire = Wire::new(event_loop, self.0.cuts.clone(), place);
        let mut wires = self.0.wires.borrow_mut();
        wires.retain(|wire| wire.strong_count() > 0);
        wires.push(Rc::downgrade(&wire));
        wire
    }
}

impl Shared {
    fn listener(&self, name: &str) -> Option<Listener> {
        self.listeners.borrow().iter().find(|listener| listener.name == name).cloned()
    }

    fn take_listener(&self, name: &str) -> Option<Listener> {
        let mut listeners = self.listeners.borrow_mut();
        let at = listeners.iter().position(|listener| listener.name == name)?;
        Some(listeners.remove(at))
    }

    fn left(&self, left: &mut Vec<String>) {
        for wire in self.wires.borrow().iter().filter_map(Weak::upgrade) {
            if wire.is_connected() {
                left.push(format!("connection in memory, made at {}", wire.place));
            }
        }
        for listener in &*self.listeners.borrow() {
            left.push(format!("listener to \"{}\", made at {}", listener.name, listener.place));
        }
    }
}

impl fmt::Debug for MemoryNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.listeners.borrow().iter().map(|listener| listener.name.clone()).collect();
        f.debug_struct("MemoryNetwork").field("listeners", &names).finish_non_exhaustive()
    }
}
