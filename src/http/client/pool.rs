//! Connections that are kept for the next request to the same server.
//!
//! ```text
//!  enter --> Go: a permit --> idle connection, or a new one --> response whole --> idle --> its time is over, or it is
//!    |                                                             |                        one too many: closed
//!    '-----> Wait, in order, until a permit is free                '--> anything odd: closed
//! ```

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::mem;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::ClientRequest;
use super::answer::ClientResponse;
use super::call::Call;
use crate::event_loop::{DelayedCall, EventLoop, Handle};
use crate::ground::Deferred;
#[cfg(feature = "tls")]
use crate::tls::TlsClient;
use crate::trace::Place;
use crate::transports::Transport;

/// Keeps connections for the next request to the same scheme, host and port. Cheap to clone: clones share them. Twisted's
/// `HTTPConnectionPool` and `Agent`.
///
/// A connection is kept when the response was read to its end, nothing came behind it, and neither side said that it
/// closes. A server may close one while it is kept: a request that runs into that, without a byte of an answer, is sent
/// once more over a new connection, if its method is idempotent (RFC 9112, 9.3.1) and its body is still there.
///
/// Connections that are kept are closed with the last clone. It serves one event loop.
///
/// ```
/// use ropewalk::EventLoop;
/// use ropewalk::http::{Client, ClientRequest, Server};
///
/// let event_loop = EventLoop::new()?;
/// let site = Server::new().get("/", |_, _| "If I were").listen(&event_loop, "127.0.0.1:0")?;
/// let url = format!("http://{}/", site.address().unwrap());
///
/// let client = Client::new();
/// for _ in 0..3 {
///     let poem = client.get(&event_loop, &url).add_callback(|response| response.text(100));
///     assert_eq!(event_loop.run_until(poem)?, "If I were");
/// }
/// let poem = ClientRequest::get(&url).client(&client).send(&event_loop).add_callback(|response| response.text(100));
/// assert_eq!(event_loop.run_until(poem)?, "If I were");
/// assert_eq!((site.connections(), client.idle()), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Client {
    pub(super) pool: Rc<Pool>,
}

impl Default for Client {
    fn default() -> Client {
        Client::new()
    }
}

impl Client {
    /// With limits that suit most programs.
    pub fn new() -> Client {
        Client {
            pool: Rc::new(Pool {
                // More than a browser has to one server.
                idle_per_origin: Cell::new(8),
                // Each is a descriptor.
                idle_in_all: Cell::new(64),
                // As aiohttp's: most servers wait longer, so few are closed under a request's feet.
                idle_time: Cell::new(Duration::from_secs(15)),
                per_origin: Cell::new(usize::MAX),
                max_waiting: Cell::new(1000),
                idle: RefCell::default(),
                busy: RefCell::default(),
                waiting: RefCell::default(),
                of: RefCell::new(None),
                #[cfg(feature = "tls")]
                roots: RefCell::new(None),
            }),
        }
    }

    /// How many connections are kept to one server. The default is 8; with 0 none is.
    pub fn max_idle_per_origin(self, limit: usize) -> Client {
        self.pool.idle_per_origin.set(limit);
        self
    }

    /// How many connections are kept in all: of more, the one that was idle longest is closed. The default is 64.
    pub fn max_idle(self, limit: usize) -> Client {
        self.pool.idle_in_all.set(limit);
        self
    }

    /// How long a connection is kept. The default is 15 s.
    pub fn idle_timeout(self, time: Duration) -> Client {
        self.pool.idle_time.set(time);
        self
    }

    /// How many requests to one server go on at a time; others wait, in their order. There is no limit by default.
    ///
    /// A response whose body nobody reads goes on too. Waiting counts in [`timeout`](ClientRequest::timeout) alone.
    pub fn max_connections_per_origin(self, limit: usize) -> Client {
        self.pool.per_origin.set(limit.max(1));
        self
    }

    /// How many requests may wait; more fail. The default is 1000.
    pub fn max_waiting(self, limit: usize) -> Client {
        self.pool.max_waiting.set(limit);
        self
    }

    /// [`http::get`](super::get) over these connections.
    ///
    /// # Errors
    ///
    /// As for [`get`](super::get).
    #[track_caller]
    pub fn get(&self, event_loop: &EventLoop, url: impl AsRef<str>) -> Deferred<ClientResponse> {
        ClientRequest::get(url).client(self).send(event_loop)
    }

    /// How many connections are kept now.
    pub fn idle(&self) -> usize {
        self.pool.idle.borrow().len()
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.pool.waiting.borrow().iter().filter(|call| !call.is_over()).count()
    }

    /// Closes the connections that are kept.
    pub fn close_idle(&self) {
        self.pool.idle.take().into_iter().for_each(Idle::close);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("idle", &self.idle())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

/// What a connection leads to.
#[derive(Clone)]
pub(super) struct Origin {
    /// Scheme, host and port.
    pub(super) server: Rc<str>,
    /// Who is trusted there.
    #[cfg(feature = "tls")]
    pub(super) tls: Option<TlsClient>,
}

impl Origin {
    fn is(&self, other: &Origin) -> bool {
        #[cfg(feature = "tls")]
        let same = match (&self.tls, &other.tls) {
            (Some(one), Some(other)) => one.trusts_as(other),
            (None, None) => true,
            _ => false,
        };
        #[cfg(not(feature = "tls"))]
        let same = true;
        same && self.server == other.server
    }
}

pub(super) struct Pool {
    idle_per_origin: Cell<usize>,
    idle_in_all: Cell<usize>,
    idle_time: Cell<Duration>,
    per_origin: Cell<usize>,
    max_waiting: Cell<usize>,
    /// The one that was used last is the last.
    idle: RefCell<Vec<Idle>>,
    /// How many requests go on, where that is bounded.
    busy: RefCell<HashMap<Rc<str>, usize>>,
    waiting: RefCell<VecDeque<Rc<Call>>>,
    /// The loop that it serves.
    of: RefCell<Option<Handle>>,
    #[cfg(feature = "tls")]
    roots: RefCell<Option<TlsClient>>,
}

struct Idle {
    slot: Rc<Slot>,
    transport: Transport,
    timer: DelayedCall,
}

impl Idle {
    fn close(self) {
        // An error says that it was called.
        let _ = self.timer.cancel();
        self.transport.lose_connection();
    }
}

/// Where a connection finds its next request.
pub(super) struct Slot {
    next: Cell<Option<Rc<Call>>>,
    /// Where it is kept, and for what.
    home: Option<(Weak<Pool>, Origin)>,
}

impl Slot {
    /// Of a connection whose first request is this.
    pub(super) fn new(call: Rc<Call>) -> Rc<Slot> {
        let home = call.hop.client.as_ref().map(|client| (Rc::downgrade(&client.pool), call.hop.origin()));
        Rc::new(Slot { next: Cell::new(Some(call)), home })
    }

    pub(super) fn take_next(&self) -> Option<Rc<Call>> {
        self.next.take()
    }

    fn pool(&self) -> Option<Rc<Pool>> {
        self.home.as_ref()?.0.upgrade()
    }

    /// The connection is free. Answers whether it is kept.
    pub(super) fn keep(self: &Rc<Self>, event_loop: &EventLoop, transport: &Transport, place: Place) -> bool {
        match (&self.home, self.pool()) {
            (Some((_, origin)), Some(pool)) => pool.put(event_loop, self, origin, transport, place),
            _ => false,
        }
    }

    /// The connection is lost.
    pub(super) fn lost(self: &Rc<Self>) {
        let Some(pool) = self.pool() else { return };
        let found = pool.remove(|idle| Rc::ptr_eq(&idle.slot, self));
        found.into_iter().for_each(Idle::close);
    }
}

/// What came of asking to go on.
pub(super) enum Entry {
    Go(Permit),
    Wait,
    Full(usize),
}

/// One request to a server goes on.
pub(super) struct Permit {
    pool: Weak<Pool>,
    server: Rc<str>,
}

impl Pool {
    /// Whether it serves this loop; a new one serves the first that asks.
    pub(super) fn serves(&self, event_loop: &EventLoop) -> bool {
        if let Some(of) = self.of.borrow().as_ref().filter(|of| !of.is_closed()) {
            return of.is_of(event_loop);
        }
        self.of.replace(Some(event_loop.handle()));
        // What is left is of a loop that is gone.
        self.idle.take();
        true
    }

    /// The system's roots, which are read once.
    #[cfg(feature = "tls")]
    pub(super) fn roots(&self) -> Result<TlsClient, crate::tls::TlsConfigError> {
        if let Some(roots) = &*self.roots.borrow() {
            return Ok(roots.clone());
        }
        let roots = TlsClient::with_native_roots()?;
        self.roots.replace(Some(roots.clone()));
        Ok(roots)
    }

    /// Asks for a permit.
    pub(super) fn enter(self: &Rc<Self>, server: &Rc<str>, call: &Rc<Call>) -> Entry {
        let mut busy = self.busy.borrow_mut();
        let count = busy.entry(server.clone()).or_insert(0);
        if *count < self.per_origin.get() {
            *count += 1;
            return Entry::Go(Permit { pool: Rc::downgrade(self), server: server.clone() });
        }
        drop(busy);
        let (limit, mut over) = (self.max_waiting.get(), VecDeque::new());
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= limit {
            let (gone, left) = mem::take(&mut *waiting).into_iter().partition(|call: &Rc<Call>| call.is_over());
            (over, *waiting) = (gone, left);
        }
        let entry = match waiting.len() < limit {
            true => {
                waiting.push_back(call.clone());
                Entry::Wait
            }
            false => Entry::Full(limit),
        };
        drop(waiting);
        drop(over);
        entry
    }

    /// Has an idle connection take the call, if there is one.
    pub(super) fn reuse(&self, origin: &Origin, call: &Rc<Call>) -> Option<Transport> {
        loop {
            let idle = {
                let mut list = self.idle.borrow_mut();
                let of = |idle: &Idle| idle.slot.home.as_ref().is_some_and(|(_, own)| own.is(origin));
                let at = list.iter().rposition(of)?;
                list.remove(at)
            };
            // An error says that it was called.
            let _ = idle.timer.cancel();
            if !idle.transport.is_disconnecting() {
                idle.slot.next.set(Some(call.clone()));
                idle.transport.wake_protocol();
                return Some(idle.transport);
            }
        }
    }

    fn put(
        self: &Rc<Self>,
        event_loop: &EventLoop,
        slot: &Rc<Slot>,
        origin: &Origin,
        transport: &Transport,
        place: Place,
    ) -> bool {
        let (here, all) = (self.idle_per_origin.get(), self.idle_in_all.get());
        let of_origin = |idle: &Idle| idle.slot.home.as_ref().is_some_and(|(_, own)| own.is(origin));
        if here == 0 || all == 0 || self.idle.borrow().iter().filter(|idle| of_origin(idle)).count() >= here {
            return false;
        }
        let (weak, own) = (Rc::downgrade(self), slot.clone());
        let timer = event_loop.call_later_at(self.idle_time.get(), place, move |_| {
            let found = weak.upgrade().and_then(|pool| pool.remove(|idle| Rc::ptr_eq(&idle.slot, &own)));
            found.into_iter().for_each(Idle::close);
        });
        let oldest = {
            let mut idle = self.idle.borrow_mut();
            idle.push(Idle { slot: slot.clone(), transport: transport.clone(), timer });
            if idle.len() > all { Some(idle.remove(0)) } else { None }
        };
        oldest.into_iter().for_each(Idle::close);
        true
    }

    fn remove(&self, which: impl Fn(&Idle) -> bool) -> Option<Idle> {
        let mut idle = self.idle.borrow_mut();
        let at = idle.iter().position(which)?;
        Some(idle.remove(at))
    }

    /// A permit is free: it is handed to the next that waits, if there is one.
    fn leave(self: &Rc<Self>, server: &Rc<str>) {
        if self.of.borrow().as_ref().is_none_or(Handle::is_closed) {
            // Without its loop nobody waits any more.
            let waiting = self.waiting.take();
            waiting.into_iter().for_each(|call| call.fail(crate::event_loop::Closed));
        }
        loop {
            let next = {
                let mut waiting = self.waiting.borrow_mut();
                let at = waiting.iter().position(|call| call.hop.server == *server);
                at.and_then(|at| waiting.remove(at))
            };
            let Some(call) = next else { break };
            if call.is_over() {
                continue;
            }
            let permit = Permit { pool: Rc::downgrade(self), server: server.clone() };
            let (of, own) = (self.of.borrow().clone(), call);
            // The loop was there just now.
            let soon = of.map(|of| of.call_soon(move |event_loop| own.admitted(event_loop, permit)));
            debug_assert!(matches!(soon, Some(Ok(()))));
            return;
        }
        let mut busy = self.busy.borrow_mut();
        if let Some(count) = busy.get_mut(server) {
            *count -= 1;
            if *count == 0 {
                busy.remove(server);
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.leave(&self.server);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.idle.take().into_iter().for_each(Idle::close);
    }
}
