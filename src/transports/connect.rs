//! Making a connection: look up the name, try address by address, hand the socket to its protocol.
//!
//! ```text
//!  connect --> (next turn) look up --> socket, connect --> wait until writable --> connection_made, Deferred fires
//!                                          ^                    |
//!                                          '---- next address --'        one timer over all of it
//! ```

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use rustix::fd::OwnedFd;
use socket2::SockRef;

use super::address::{Address, Host, Target};
use super::error::{ConnectError, ConnectPhase};
use super::names::{ResolveError, look_up};
use super::protocol::Protocol;
use super::socket;
use super::transport::Transport;
use crate::event_loop::sockets;
use crate::event_loop::upper::{AnySource, drop_quietly};
use crate::event_loop::{DelayedCall, EventLoop, Handle, Interest, Readiness};
use crate::ground::{CancelHandle, Deferred, Failure, Resolver};
use crate::trace::Place;

/// How long a connection may take: Twisted's number.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How many addresses of a name are tried: a name server says how many there are, and must not make us try for ever.
const ADDRESSES: usize = 16;

/// How to make a TCP connection.
///
/// ```
/// use ropewalk::{ConnectError, ConnectPhase, ConnectTcp, EventLoop, Protocol};
/// use std::time::Duration;
///
/// struct Silent;
///
/// impl Protocol for Silent {}
///
/// let event_loop = EventLoop::new()?;
/// let connecting = ConnectTcp::new("127.0.0.1:1").timeout(Duration::from_secs(5)).connect(&event_loop, Silent);
/// // Nobody listens there.
/// let failure = event_loop.run_until(connecting).unwrap_err();
/// assert_eq!(failure.check::<ConnectError>().unwrap().phase(), ConnectPhase::Connect);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ConnectTcp {
    target: Target,
    timeout: Duration,
    bind: Option<SocketAddr>,
}

impl ConnectTcp {
    /// To this place: `"example.org:80"`, `("127.0.0.1", 80)`, or an address of the standard library.
    pub fn new(target: impl Into<Target>) -> ConnectTcp {
        ConnectTcp { target: target.into(), timeout: TIMEOUT, bind: None }
    }

    /// How long it may take in all, the look-up of the name included. The default is 30 seconds.
    pub fn timeout(mut self, timeout: Duration) -> ConnectTcp {
        self.timeout = timeout;
        self
    }

    /// Which address of this machine it comes from. Port 0 is any port.
    pub fn bind_address(mut self, address: SocketAddr) -> ConnectTcp {
        self.bind = Some(address);
        self
    }

    /// Connects. `protocol` hears of the connection first, then the Deferred fires.
    ///
    /// Nothing happens inside this call. Cancelling the Deferred stops the attempt.
    ///
    /// # Errors
    ///
    /// The Deferred fails with [`ConnectError`], which names the target and the phase; the protocol is then dropped
    /// without a call. When `connection_made` fails the Deferred still fires: the protocol's `connection_lost` is told.
    #[track_caller]
    pub fn connect(self, event_loop: &EventLoop, protocol: impl Protocol) -> Deferred<Transport> {
        let ConnectTcp { target, timeout, bind } = self;
        begin(event_loop, Where::Host(target), timeout, bind, protocol.into_boxed(), Location::caller())
    }
}

impl EventLoop {
    /// Makes a TCP connection for `protocol`: it hears of it first, then the Deferred fires with the connection's
    /// [`Transport`]. Twisted's `connectTCP`, with a Deferred in place of a connector. [`ConnectTcp`] has settings.
    ///
    /// A name is looked up, and its addresses are tried in turn. All of it may take 30 seconds. Nothing happens inside
    /// this call. Cancelling the Deferred stops the attempt (Twisted's `stopConnecting`).
    ///
    /// # Errors
    ///
    /// The Deferred fails with [`ConnectError`], which names the target and the phase; the protocol is then dropped
    /// without a call.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Failure, Protocol, Transport};
    ///
    /// struct Hello;
    ///
    /// impl Protocol for Hello {
    ///     fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
    ///         transport.write(b"hello")?;
    ///         Ok(())
    ///     }
    ///
    ///     fn data_received(&mut self, event_loop: &EventLoop, _: &Transport, data: &[u8]) -> Result<(), Failure> {
    ///         assert_eq!(data, b"hello");
    ///         event_loop.stop();
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let event_loop = EventLoop::new()?;
    /// let port = event_loop.listen_tcp("127.0.0.1:0", |_, _| Some(Hello))?;
    /// let transport = event_loop.connect_tcp(("127.0.0.1", port.address().port()), Hello);
    /// event_loop.run_until(transport)?;
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn connect_tcp(&self, target: impl Into<Target>, protocol: impl Protocol) -> Deferred<Transport> {
        ConnectTcp::new(target).connect(self, protocol)
    }

    /// Connects to a Unix socket, as [`EventLoop::connect_tcp`] does to a TCP port. Twisted's `connectUNIX`.
    ///
    /// # Errors
    ///
    /// The Deferred fails with [`ConnectError`], which names the path and the phase.
    ///
    /// ```
    /// use ropewalk::{ConnectError, EventLoop, Protocol};
    ///
    /// struct Quiet;
    ///
    /// impl Protocol for Quiet {}
    ///
    /// let event_loop = EventLoop::new()?;
    /// let path = std::env::temp_dir().join(format!("ropewalk-connect-unix-doc-{}", std::process::id()));
    /// let failure = event_loop.run_until(event_loop.connect_unix(&path, Quiet)).unwrap_err();
    /// assert_eq!(failure.check::<ConnectError>().unwrap().io_error().kind(), std::io::ErrorKind::NotFound);
    ///
    /// let _port = event_loop.listen_unix(&path, |_, _| Some(Quiet))?;
    /// let transport = event_loop.run_until(event_loop.connect_unix(&path, Quiet))?;
    /// assert_eq!(transport.peer_address()?.path(), Some(&*path));
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn connect_unix(&self, path: impl AsRef<Path>, protocol: impl Protocol) -> Deferred<Transport> {
        let path = Where::Path(path.as_ref().to_owned());
        begin(self, path, TIMEOUT, None, protocol.into_boxed(), Location::caller())
    }
}

/// What the program wants to connect to.
enum Where {
    Host(Target),
    Path(PathBuf),
}

/// What a socket is connected to.
#[derive(Clone, Debug)]
enum Remote {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Remote {
    fn address(&self) -> Address {
        match self {
            Remote::Tcp(address) => Address::Tcp(*address),
            Remote::Unix(path) => Address::Unix(Some(path.clone())),
        }
    }
}

/// A connection that is being made.
struct Attempt {
    event_loop: Handle,
    target: String,
    place: Place,
    bind: Option<SocketAddr>,
    /// Both are taken when it is over.
    resolver: Cell<Option<Resolver<Transport>>>,
    protocol: Cell<Option<Box<dyn Protocol>>>,
    phase: Cell<ConnectPhase>,
    left: RefCell<VecDeque<Remote>>,
    tried: RefCell<Vec<(Address, io::Error)>>,
    timer: Cell<Option<DelayedCall>>,
    /// The look-up that runs.
    look_up: Cell<Option<CancelHandle>>,
    /// The place in the loop's table of the socket that connects.
    pending: Cell<Option<(u32, u64)>>,
}

fn begin(
    event_loop: &EventLoop,
    to: Where,
    timeout: Duration,
    bind: Option<SocketAddr>,
    protocol: Box<dyn Protocol>,
    place: Place,
) -> Deferred<Transport> {
    let attempt = Rc::new(Attempt {
        event_loop: event_loop.handle(),
        target: match &to {
            Where::Host(target) => target.to_string(),
            Where::Path(path) => path.display().to_string(),
        },
        place,
        bind,
        resolver: Cell::new(None),
        protocol: Cell::new(Some(protocol)),
        phase: Cell::new(ConnectPhase::Target),
        left: RefCell::default(),
        tried: RefCell::default(),
        timer: Cell::new(None),
        look_up: Cell::new(None),
        pending: Cell::new(None),
    });
    let weak = Rc::downgrade(&attempt);
    let (resolver, deferred) = Deferred::with_canceller(move || {
        if let Some(attempt) = weak.upgrade() {
            attempt.end(Err(Failure::cancelled_at(attempt.place)));
        }
    });
    attempt.resolver.set(Some(resolver));
    let timed = attempt.clone();
    attempt.timer.set(Some(event_loop.call_later_at(timeout, place, move |_| {
        timed.fail(io::Error::new(io::ErrorKind::TimedOut, format!("it took longer than {timeout:?}")));
    })));
    event_loop.call_soon_at(place, move |event_loop| attempt.start(event_loop, to));
    deferred
}

impl Attempt {
    fn is_over(&self) -> bool {
        let protocol = self.protocol.take();
        let over = protocol.is_none();
        self.protocol.set(protocol);
        over
    }

    fn start(self: Rc<Self>, event_loop: &EventLoop, to: Where) {
        if self.is_over() {
            return;
        }
        let remote = match to {
            Where::Path(path) => Remote::Unix(path),
            Where::Host(Target(Host::Address(address))) => Remote::Tcp(address),
            Where::Host(Target(Host::Name(host, port))) => return self.resolve(event_loop, &host, port),
            Where::Host(Target(Host::Unclear(_))) => {
                return self.fail(io::Error::new(io::ErrorKind::InvalidInput, "this is no host:port"));
            }
        };
        self.left.borrow_mut().push_back(remote);
        self.try_next(event_loop);
    }

    fn resolve(self: Rc<Self>, event_loop: &EventLoop, host: &str, port: u16) {
        self.phase.set(ConnectPhase::Resolve);
        let found = look_up(event_loop, host, self.place);
        self.look_up.set(Some(found.cancel_handle()));
        let attempt = self.clone();
        let handed_on = found.own_step("connect").add_both(move |result| {
            attempt.look_up.take();
            match result {
                Ok(addresses) => {
                    let remotes = addresses.into_iter().take(ADDRESSES);
                    let remotes = remotes.map(|ip| Remote::Tcp(SocketAddr::new(ip, port)));
                    attempt.left.borrow_mut().extend(remotes);
                    let handle = attempt.event_loop.clone();
                    // A loop that is gone has dropped the attempt's socket and fails its Deferred.
                    let _ = handle.with(|event_loop| attempt.try_next(event_loop));
                }
                Err(failure) => match failure.downcast::<ResolveError>() {
                    Ok(error) => attempt.fail(error.into_io_error()),
                    Err(failure) => attempt.fail(io::Error::other(failure.to_string())),
                },
            }
            Ok(())
        });
        handed_on.detach();
    }

    /// Tries addresses until one is under way, or none is left.
    fn try_next(self: Rc<Self>, event_loop: &EventLoop) {
        while !self.is_over() {
            let Some(remote) = self.left.borrow_mut().pop_front() else {
                let last = self.tried.borrow().last().map(|(_, error)| copy(error));
                return self.fail(last.unwrap_or_else(|| io::ErrorKind::NotFound.into()));
            };
            match self.try_one(event_loop, &remote) {
                Ok(None) => return,
                Ok(Some(fd)) => return self.connected(event_loop, fd),
                Err(error) => self.tried.borrow_mut().push((remote.address(), error)),
            }
        }
    }

    /// Begins to connect. Answers the socket if that is done at once, as with Unix sockets.
    fn try_one(self: &Rc<Self>, event_loop: &EventLoop, remote: &Remote) -> io::Result<Option<OwnedFd>> {
        self.phase.set(ConnectPhase::Socket);
        let fd = match remote {
            Remote::Tcp(address) => sockets::tcp(*address)?,
            Remote::Unix(_) => sockets::unix()?,
        };
        if let Some(bind) = self.bind {
            let socket = SockRef::from(&fd);
            socket.set_reuse_address(true)?;
            socket.bind(&bind.into())?;
        }
        self.phase.set(ConnectPhase::Connect);
        let address = match remote {
            Remote::Tcp(address) => (*address).into(),
            Remote::Unix(path) => sockets::unix_address(path)?,
        };
        if sockets::connect(&fd, &address)? {
            return Ok(Some(fd));
        }
        let pending = Rc::new(Pending { fd, attempt: self.clone(), remote: remote.clone() });
        let fd = pending.fd.as_fd();
        let registered = event_loop.register_shared(pending.clone(), fd, Interest::WRITE, self.place);
        self.pending.set(Some(registered.map_err(super::insert_error)?));
        Ok(None)
    }

    fn connected(self: Rc<Self>, event_loop: &EventLoop, fd: OwnedFd) {
        let Some(protocol) = self.protocol.take() else { return };
        match socket::open(event_loop, fd, protocol, self.place) {
            Ok(line) => {
                let transport = Transport::new(&line);
                line.made(event_loop);
                self.end(Ok(transport));
            }
            Err(socket::Refused { reason, protocol }) => {
                self.phase.set(ConnectPhase::Register);
                drop_quietly(protocol);
                self.fail(super::insert_error(reason));
            }
        }
    }

    fn fail(&self, source: io::Error) {
        let error =
            ConnectError { target: self.target.clone(), phase: self.phase.get(), source, tried: self.tried.take() };
        self.end(Err(Failure::raised_at(error, self.place)));
    }

    /// It is over: nothing of it is left in the loop, and the Deferred fires.
    fn end(&self, result: Result<Transport, Failure>) {
        let Some(resolver) = self.resolver.take() else { return };
        if let Some(timer) = self.timer.take() {
            // It may be the timer that ends it.
            let _ = timer.cancel();
        }
        if let Some((index, serial)) = self.pending.take() {
            let _ = self.event_loop.with(|event_loop| event_loop.take_shared(index, serial));
        }
        self.left.take();
        drop_quietly(self.protocol.take());
        if let Some(look_up) = self.look_up.take() {
            look_up.cancel();
        }
        resolver.fire_at(result, self.place);
    }
}

/// An error once more, for the list and for the whole.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// A socket that connects, in the loop's table.
struct Pending {
    fd: OwnedFd,
    attempt: Rc<Attempt>,
    remote: Remote,
}

impl AnySource for Pending {
    fn what(&self) -> &'static str {
        "ropewalk::Connector"
    }
    fn name(&self) -> Option<String> {
        Some(self.attempt.target.clone())
    }
    fn call(self: Rc<Self>, event_loop: &EventLoop, _: Readiness) {
        let result = SockRef::from(&self.fd).take_error().and_then(|error| error.map_or(Ok(()), Err));
        let Some((index, serial)) = self.attempt.pending.take() else { return };
        event_loop.take_shared(index, serial);
        let attempt = self.attempt.clone();
        match result {
            Ok(()) => {
                // The table has let go of it.
                if let Some(pending) = Rc::into_inner(self) {
                    attempt.connected(event_loop, pending.fd);
                }
            }
            Err(error) => {
                attempt.tried.borrow_mut().push((self.remote.address(), error));
                drop(self);
                attempt.try_next(event_loop);
            }
        }
    }

    fn source(&self) -> &dyn Any {
        &()
    }

    fn take(self: Rc<Self>, _: &mut dyn Any) {}

    fn disconnect(self: Rc<Self>, _: &EventLoop) {
        self.attempt.fail(io::Error::new(io::ErrorKind::Interrupted, "the event loop was shut down"));
    }
}
