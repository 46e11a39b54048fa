//! What the connections of a server share: their list, the time, and shutting down.
//!
//! One timer serves all of them: it ticks while there is a connection, sets the date, and wakes those whose time is over.
//! So a request arms no timer and reads no clock.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::panic::Location;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use slab::Slab;

use super::access::AccessRecord;
use super::connection::ServerProtocol;
use super::routes::Routes;
use super::settings::{LogSlot, Settings};
use crate::event_loop::upper::{drop_quietly, forget_payload, guard};
use crate::event_loop::{DelayedCall, EventLoop};
use crate::ground::failure::panic_message;
use crate::ground::unhandled::error_line;
use crate::ground::{Deferred, Resolver};
use crate::trace::Place;
use crate::transports::{Address, ListenTcp, Port, Transport};

/// How exact the time limits are, and the date.
const TICK: Duration = Duration::from_millis(500);

const USUAL_STATUS: &str = "HTTP/1.1 200 OK\r\n";

/// No limit.
pub(super) const NEVER: u64 = u64::MAX;

/// A running server: a handle, cheap to clone. Dropping it changes nothing.
///
/// ```
/// use ropewalk::http::Server;
/// use ropewalk::{Address, testing::MemoryLoop};
/// use std::time::Duration;
///
/// let test = MemoryLoop::new()?;
/// let site = Server::new().get("/", |_, _| "Hello, World!").start(&test)?;
/// let peer = test.connected(site.protocol(&Address::Memory));
/// assert_eq!(site.connections(), 1);
/// let broken_off = site.shutdown(&test, Duration::from_secs(5));
/// test.settle();
/// assert!(peer.sees_end()); // it was idle
/// assert_eq!((site.connections(), broken_off.try_result().unwrap()?), (0, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Site {
    pub(super) state: Rc<SiteState>,
}

pub(super) struct SiteState {
    pub(super) routes: Routes,
    pub(super) settings: Settings,
    pub(super) access_log: LogSlot,
    pub(super) logs: bool,
    connections: RefCell<Slab<Rc<Watched>>>,
    tick: Cell<u64>,
    ticking: Cell<Option<DelayedCall>>,
    /// `HTTP/1.1 200 OK` CR LF `Date: Wed, 25 Nov 2026 22:24:58 GMT` CR LF: what most responses begin with.
    usual: RefCell<String>,
    ports: RefCell<Vec<Port>>,
    pub(super) closing: Cell<bool>,
    /// How many connections were broken off when the grace was over.
    broken: Rc<Cell<usize>>,
    waiting: RefCell<Vec<Resolver<()>>>,
    /// A buffer for heads.
    pub(super) scratch: Cell<Vec<u8>>,
    place: Place,
}

/// What the site knows of a connection.
pub(super) struct Watched {
    pub(super) transport: Transport,
    /// The tick at which its time is over.
    pub(super) deadline: Cell<u64>,
    pub(super) expired: Cell<bool>,
}

impl Site {
    pub(super) fn start(event_loop: &EventLoop, routes: Routes, mut settings: Settings) -> io::Result<Site> {
        routes.check()?;
        let _ = event_loop;
        let access_log = settings.access_log.take();
        Ok(Site {
            state: Rc::new(SiteState {
                routes,
                settings,
                logs: access_log.is_some(),
                access_log: Cell::new(access_log),
                connections: RefCell::default(),
                tick: Cell::new(0),
                ticking: Cell::new(None),
                usual: RefCell::default(),
                ports: RefCell::default(),
                closing: Cell::new(false),
                broken: Rc::default(),
                waiting: RefCell::default(),
                scratch: Cell::default(),
                place: Location::caller(),
            }),
        })
    }

    /// Listens, with settings of the socket's own. The server's limits of connections hold for each socket.
    ///
    /// # Errors
    ///
    /// As for [`ListenTcp::listen`].
    ///
    /// ```
    /// use ropewalk::http::Server;
    /// use ropewalk::{EventLoop, ListenTcp};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let site = Server::new().get("/", |_, _| "Hello, World!").listen(&event_loop, "127.0.0.1:0")?;
    /// let second = site.listen(&event_loop, ListenTcp::new("127.0.0.1:0").backlog(16))?;
    /// assert_ne!(Some(second.address()), site.address().as_ref());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn listen(&self, event_loop: &EventLoop, socket: ListenTcp) -> io::Result<Port> {
        let site = self.clone();
        let port = self.limited(socket).listen(event_loop, move |_, peer| Some(site.protocol(peer)))?;
        self.state.ports.borrow_mut().push(port.clone());
        Ok(port)
    }

    /// Listens with TLS: `https`. Features `http` and `tls`.
    ///
    /// # Errors
    ///
    /// As for [`ListenTcp::listen`].
    ///
    /// ```
    /// use ropewalk::http::Server;
    /// use ropewalk::tls::TlsServer;
    /// use ropewalk::{EventLoop, ListenTcp};
    ///
    /// # let read = |name: &str| std::fs::read(format!("{}/tests/data/tls/{name}", env!("CARGO_MANIFEST_DIR")));
    /// let event_loop = EventLoop::new()?;
    /// let tls = TlsServer::from_pem(&read("localhost.pem")?, &read("localhost.key")?)?;
    /// let site = Server::new().get("/", |_, _| "Hello, World!").start(&event_loop)?;
    /// let port = site.listen_tls(&event_loop, ListenTcp::new("127.0.0.1:0"), &tls)?;
    /// assert_eq!(site.address().as_ref(), Some(port.address()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tls")]
    #[track_caller]
    pub fn listen_tls(
        &self,
        event_loop: &EventLoop,
        socket: ListenTcp,
        tls: &crate::tls::TlsServer,
    ) -> io::Result<Port> {
        let (site, tls) = (self.clone(), tls.clone());
        let port =
            self.limited(socket).listen(event_loop, move |_, peer| Some(tls.protocol(site.protocol(peer))))?;
        self.state.ports.borrow_mut().push(port.clone());
        Ok(port)
    }

    fn limited(&self, socket: ListenTcp) -> ListenTcp {
        let settings = &self.state.settings;
        socket.max_connections(settings.max_connections).max_connections_per_peer(settings.max_connections_per_peer)
    }

    /// The protocol for a connection that was made in another way.
    ///
    /// ```
    /// use ropewalk::http::Server;
    /// use ropewalk::testing::MemoryLoop;
    /// use ropewalk::Address;
    ///
    /// let test = MemoryLoop::new()?;
    /// let site = Server::new().get("/", |_, _| "Hello, World!").start(&test)?;
    /// let peer = test.connected(site.protocol(&Address::Memory));
    /// peer.send("GET / HTTP/1.0\r\n\r\n");
    /// assert!(peer.text().starts_with("HTTP/1.1 200 OK\r\n"));
    /// assert!(peer.text().ends_with("\r\n\r\nHello, World!"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn protocol(&self, peer: &Address) -> ServerProtocol {
        ServerProtocol::new(self.state.clone(), peer.clone())
    }

    /// Where it listens: the first address, if there are more.
    pub fn address(&self) -> Option<Address> {
        self.state.ports.borrow().first().map(|port| port.address().clone())
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.state.connections.borrow().len()
    }

    /// Stops listening, closes idle connections, and lets what runs finish, for at most `grace`. Then it breaks off the
    /// connections that are left, and answers how many these were. Called again, such as with no grace, the shorter time
    /// counts.
    ///
    /// A connection that changed over to another protocol ends when that protocol ends it: an
    /// [`UpgradedProtocol`](crate::http::UpgradedProtocol) is told, as a WebSocket is, which closes with 1001. Any other one
    /// is broken off.
    ///
    /// ```
    /// use ropewalk::http::Server;
    /// use ropewalk::{EventLoop, Phase, SystemEvent};
    /// use std::time::Duration;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let site = Server::new().get("/", |_, _| "Hello, World!").listen(&event_loop, "127.0.0.1:0")?;
    /// event_loop.stop_on_signals()?;
    /// // What runs is finished before the loop ends.
    /// event_loop.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, move |event_loop| {
    ///     site.shutdown(event_loop, Duration::from_secs(10)).map(|_| ())
    /// });
    /// # event_loop.call_soon(|event_loop| event_loop.stop());
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn shutdown(&self, event_loop: &EventLoop, grace: Duration) -> Deferred<usize> {
        let state = &self.state;
        state.closing.set(true);
        for port in state.ports.take() {
            port.stop_listening(event_loop).detach();
        }
        if state.connections.borrow().is_empty() {
            return Deferred::succeed(state.broken.get());
        }
        let (resolver, all_gone) = Deferred::new();
        state.waiting.borrow_mut().push(resolver);
        for (_, watched) in state.connections.borrow().iter() {
            watched.transport.wake_protocol();
        }
        let weak = Rc::downgrade(state);
        let end = event_loop.call_later(grace, move |_| {
            let Some(state) = weak.upgrade() else { return };
            for transport in state.transports() {
                state.broken.set(state.broken.get() + 1);
                transport.abort();
            }
        });
        let broken = state.broken.clone();
        all_gone.own_step("http server").add_both(move |result| {
            // An error says that it was called.
            let _ = end.cancel();
            result.map(|()| broken.get())
        })
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site")
            .field("ports", &self.state.ports.borrow())
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

impl SiteState {
    fn transports(&self) -> Vec<Transport> {
        self.connections.borrow().iter().map(|(_, watched)| watched.transport.clone()).collect()
    }

    /// A connection was made. Its number is needed to [`remove`](SiteState::remove) it.
    pub(super) fn add(self: &Rc<Self>, event_loop: &EventLoop, transport: &Transport) -> (usize, Rc<Watched>) {
        let watched = Rc::new(Watched {
            transport: transport.clone(),
            deadline: Cell::new(NEVER),
            expired: Cell::new(false),
        });
        let (first, key) = {
            let mut connections = self.connections.borrow_mut();
            (connections.is_empty(), connections.insert(watched.clone()))
        };
        if first {
            self.set_date();
            self.tick_later(event_loop);
        }
        (key, watched)
    }

    pub(super) fn remove(&self, key: usize) {
        let gone = self.connections.borrow_mut().try_remove(key);
        drop(gone);
        if self.connections.borrow().is_empty() {
            if let Some(call) = self.ticking.take() {
                // An error says that it was called.
                let _ = call.cancel();
            }
            self.waiting.take().into_iter().for_each(|resolver| resolver.succeed(()));
        }
    }

    fn tick_later(self: &Rc<Self>, event_loop: &EventLoop) {
        let weak = Rc::downgrade(self);
        let call = event_loop.call_later_at(TICK, self.place, move |event_loop| {
            if let Some(site) = weak.upgrade() {
                site.tick(event_loop);
            }
        });
        self.ticking.set(Some(call));
    }

    fn tick(self: &Rc<Self>, event_loop: &EventLoop) {
        let now = self.tick.get() + 1;
        self.tick.set(now);
        self.set_date();
        let over: Vec<Rc<Watched>> = self
            .connections
            .borrow()
            .iter()
            .filter(|(_, watched)| watched.deadline.get() <= now)
            .map(|(_, watched)| watched.clone())
            .collect();
        for watched in over {
            watched.deadline.set(NEVER);
            watched.expired.set(true);
            watched.transport.wake_protocol();
        }
        if !self.connections.borrow().is_empty() {
            self.tick_later(event_loop);
        }
    }

    fn set_date(&self) {
        let now = httpdate::fmt_http_date(SystemTime::now());
        let mut usual = self.usual.borrow_mut();
        usual.clear();
        usual.push_str(USUAL_STATUS);
        usual.push_str("Date: ");
        usual.push_str(&now);
        usual.push_str("\r\n");
    }

    /// The status line of a response that went well, and the date.
    pub(super) fn push_usual(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.usual.borrow().as_bytes());
    }

    pub(super) fn push_date(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.usual.borrow().as_bytes()[USUAL_STATUS.len()..]);
    }

    /// The tick at which a time that begins now is over. It may be longer by one tick, not shorter.
    pub(super) fn after(&self, time: Duration) -> u64 {
        let ticks = time.as_nanos().div_ceil(TICK.as_nanos());
        self.tick.get().saturating_add(u64::try_from(ticks).unwrap_or(NEVER)).saturating_add(1)
    }

    /// Tells the log.
    pub(super) fn log(&self, record: &AccessRecord) {
        let Some(mut log) = self.access_log.take() else { return };
        if let Err(payload) = guard(|| log(record)) {
            error_line(&format_args!("an access log panicked: {}", panic_message(&*payload)));
            forget_payload(payload);
        }
        drop_quietly(self.access_log.replace(Some(log)));
    }
}
