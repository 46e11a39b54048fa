//! Listening: the source that accepts connections, and the handle to it.
//!
//! Accepting goes on whatever the system lacks:
//!
//! | error | what is done |
//! |---|---|
//! | `ECONNABORTED`, and what the network did to one connection | the next |
//! | `EMFILE` | a descriptor kept for this is given up, the queue is accepted and closed, and it is taken back |
//! | `ENFILE`, `ENOBUFS`, `ENOMEM` | nothing is accepted for 100 ms |

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::address::Address;
use super::protocol::Protocol;
use super::socket;
use crate::event_loop::sockets::{self, errno};
use crate::event_loop::upper::{AnySource, drop_quietly, forget_payload, guard};
use crate::event_loop::{EventLoop, InsertReason, Interest, Readiness};
use crate::ground::failure::panic_message;
use crate::ground::unhandled::error_line;
use crate::ground::{Deferred, Resolver};
use crate::trace::{self, Kind, Links, Place};

/// How many connections are taken in one go, so that a flood of new ones does not keep the old ones waiting.
const ACCEPTS: usize = 256;

/// How long nothing is accepted when the system is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// How often a lack of the system's is logged at most.
const COMPLAINT: Duration = Duration::from_secs(1);

pub(crate) type Build = Box<dyn FnMut(&EventLoop, &Address) -> Option<Box<dyn Protocol>>>;

/// How many connections may be open at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) total: usize,
    pub(crate) per_peer: usize,
}

impl Limits {
    pub(crate) const NONE: Limits = Limits { total: usize::MAX, per_peer: usize::MAX };

    fn any(&self) -> bool {
        self.total != usize::MAX || self.per_peer != usize::MAX
    }
}

/// A listening socket in the loop's table.
pub(crate) struct Listener {
    fd: OwnedFd,
    /// Taken out while it is called.
    build: Cell<Option<Build>>,
    limits: Limits,
    open: RefCell<Open>,
    reserve: Cell<Option<OwnedFd>>,
    complained: Cell<Option<Duration>>,
    index: Cell<u32>,
    serial: Cell<u64>,
    place: Place,
    /// The file to be removed with a Unix socket.
    path: Option<PathBuf>,
    stopping: RefCell<Vec<Resolver<()>>>,
}

/// The connections that are open, as far as there are limits.
#[derive(Default)]
struct Open {
    total: usize,
    by_peer: HashMap<IpAddr, usize>,
}

impl Listener {
    /// Hands a listening, non-blocking socket to the loop.
    pub(crate) fn open(
        event_loop: &EventLoop,
        fd: OwnedFd,
        address: Address,
        build: Build,
        limits: Limits,
        place: Place,
    ) -> Result<Port, InsertReason> {
        let path = address.path().map(PathBuf::from);
        let listener = Rc::new(Listener {
            fd,
            build: Cell::new(Some(build)),
            limits,
            open: RefCell::default(),
            reserve: Cell::new(reserve()),
            complained: Cell::new(None),
            index: Cell::new(0),
            serial: Cell::new(0),
            place,
            path,
            stopping: RefCell::default(),
        });
        let fd = listener.fd.as_fd();
        let (index, serial) = event_loop.register_shared(listener.clone(), fd, Interest::READ, place)?;
        listener.index.set(index);
        listener.serial.set(serial);
        Ok(Port { listener: Rc::downgrade(&listener), address: Rc::new(address) })
    }

    fn accept_some(self: &Rc<Self>, event_loop: &EventLoop) {
        for _ in 0..ACCEPTS {
            if self.build_is_gone() {
                return;
            }
            match accept(&self.fd) {
                Ok((fd, peer)) => self.serve(event_loop, fd, peer),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(Errno::MFILE) => return self.drain(event_loop),
                Err(error @ (Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => {
                    return self.pause(event_loop, error);
                }
                // Of this one connection: the peer was faster than we, or the network failed it (accept(2) of Linux
                // hands on the errors of the new socket). One that stays is met again, and ends the loop by its bound.
                Err(
                    Errno::CONNABORTED
                    | Errno::CONNRESET
                    | Errno::NETDOWN
                    | Errno::PROTO
                    | Errno::NOPROTOOPT
                    | Errno::HOSTDOWN
                    | Errno::HOSTUNREACH
                    | Errno::OPNOTSUPP
                    | Errno::NETUNREACH
                    | Errno::TIMEDOUT
                    | Errno::PERM,
                ) => {}
                Err(error) => return self.pause(event_loop, error),
            }
        }
    }

    /// Whether it was stopped meanwhile.
    fn build_is_gone(&self) -> bool {
        let build = self.build.take();
        let gone = build.is_none();
        self.build.set(build);
        gone
    }

    fn serve(self: &Rc<Self>, event_loop: &EventLoop, fd: OwnedFd, peer: Address) {
        if self.limits.any() && !self.count_in(&peer) {
            return; // and closes it
        }
        let counted = self.limits.any().then(|| Counted { listener: Rc::downgrade(self), ip: peer.ip() });
        let Some(mut build) = self.build.take() else { return };
        let built = guard(|| build(event_loop, &peer));
        // Stopped from inside: it is not needed any more.
        if self.is_stopped() {
            drop_quietly(build);
        } else {
            self.build.set(Some(build));
        }
        let protocol = match built {
            Ok(Some(protocol)) => protocol,
            Ok(None) => return,
            Err(payload) => {
                let text = panic_message(&*payload);
                let at = self.place;
                report(format_args!(
                    "a factory panicked: {text} (listening since {at}; the connection is refused)"
                ));
                forget_payload(payload);
                return;
            }
        };
        match socket::open(event_loop, fd, protocol, self.place) {
            Ok(line) => {
                if let Some(counted) = counted {
                    line.count(counted);
                }
                if trace::on()
                    && let (Some(i), Some(new)) =
                        (event_loop.source_id(self.index.get(), self.serial.get()), line.trace_id())
                {
                    trace::emit(Kind::IoAccept { i, new }, Links::default());
                }
                line.made(event_loop);
            }
            Err(socket::Refused { reason, protocol }) => {
                drop_quietly(protocol);
                self.complain(event_loop, format_args!("a connection could not be registered: {reason:?}"));
            }
        }
    }

    fn count_in(&self, peer: &Address) -> bool {
        let mut open = self.open.borrow_mut();
        if open.total >= self.limits.total {
            return false;
        }
        if let (Some(ip), true) = (peer.ip(), self.limits.per_peer != usize::MAX) {
            let count = open.by_peer.entry(ip).or_default();
            if *count >= self.limits.per_peer {
                if *count == 0 {
                    open.by_peer.remove(&ip);
                }
                return false;
            }
            *count += 1;
        }
        open.total += 1;
        true
    }

    /// No descriptor is left to this process. The connections in the queue are accepted with one that was kept for this,
    /// and closed: their peers learn at once what they would else wait for, and the listener is not ready for ever.
    #[cold]
    fn drain(self: &Rc<Self>, event_loop: &EventLoop) {
        let Some(kept) = self.reserve.take() else {
            self.reserve.set(reserve());
            return self.pause(event_loop, Errno::MFILE);
        };
        drop(kept);
        let mut refused = 0;
        let ended = loop {
            if refused == ACCEPTS {
                break None;
            }
            match accept(&self.fd) {
                Ok((fd, _)) => {
                    drop(fd);
                    refused += 1;
                }
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => break Some(error),
            }
        };
        self.reserve.set(reserve());
        let text = format_args!("no descriptor is left (EMFILE): {refused} connections were accepted and closed");
        self.complain(event_loop, text);
        // Another thread was faster with the descriptor.
        if !matches!(ended, None | Some(Errno::AGAIN)) {
            self.pause(event_loop, Errno::MFILE);
        }
    }

    #[cold]
    fn pause(self: &Rc<Self>, event_loop: &EventLoop, error: Errno) {
        self.complain(event_loop, format_args!("nothing is accepted for {PAUSE:?}: {error}"));
        let inner = event_loop.inner.clone();
        inner.want_shared(self.index.get(), self.serial.get(), Interest::NONE);
        let weak = Rc::downgrade(self);
        event_loop.call_later_at(PAUSE, self.place, move |event_loop| {
            if let Some(listener) = weak.upgrade() {
                event_loop.inner.want_shared(listener.index.get(), listener.serial.get(), Interest::READ);
            }
        });
    }

    #[cold]
    fn complain(&self, event_loop: &EventLoop, what: fmt::Arguments<'_>) {
        let now = event_loop.time();
        if self.complained.get().is_none_or(|before| now >= before + COMPLAINT) {
            self.complained.set(Some(now));
            report(format_args!("{what} (listening since {})", self.place));
        }
    }

    fn is_stopped(&self) -> bool {
        self.serial.get() == 0
    }

    /// Takes it out of the loop. Its socket is closed with the last that holds it.
    fn stop(self: Rc<Self>, event_loop: &EventLoop) {
        let serial = self.serial.replace(0);
        if serial == 0 {
            return;
        }
        event_loop.take_shared(self.index.get(), serial);
        drop_quietly(self.build.take());
        drop(self.reserve.take());
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // It is no matter if somebody else was faster.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl AnySource for Listener {
    fn what(&self) -> &'static str {
        "ropewalk::Port"
    }
    fn name(&self) -> Option<String> {
        Some(socket::local_address(&self.fd).ok()?.to_string())
    }
    fn accepts(&self) -> bool {
        true
    }
    fn call(self: Rc<Self>, event_loop: &EventLoop, _: Readiness) {
        self.accept_some(event_loop);
    }

    fn source(&self) -> &dyn Any {
        &()
    }

    fn take(self: Rc<Self>, _: &mut dyn Any) {}

    fn disconnect(self: Rc<Self>, event_loop: &EventLoop) {
        let waiting = self.stopping.take();
        self.stop(event_loop);
        waiting.into_iter().for_each(|resolver| resolver.succeed(()));
    }
}

/// One connection among those that are counted.
pub(crate) struct Counted {
    listener: Weak<Listener>,
    ip: Option<IpAddr>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some(listener) = self.listener.upgrade() else { return };
        let mut open = listener.open.borrow_mut();
        open.total -= 1;
        if let Some(ip) = self.ip
            && let Some(count) = open.by_peer.get_mut(&ip)
        {
            *count -= 1;
            if *count == 0 {
                open.by_peer.remove(&ip);
            }
        }
    }
}

/// A descriptor to give up when none is left.
fn reserve() -> Option<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

fn accept(fd: &OwnedFd) -> Result<(OwnedFd, Address), Errno> {
    let (fd, peer) = sockets::accept(fd).map_err(errno)?;
    Ok((fd, Address::of(&peer)))
}

/// A logger is the user's code too.
fn report(line: fmt::Arguments<'_>) {
    let _ = guard(|| error_line(&line));
}

/// A listening socket: a handle, which may be dropped. It listens until it is stopped or the loop's run ends.
///
/// ```
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
/// let event_loop = EventLoop::new()?;
/// let port = event_loop.listen_tcp("127.0.0.1:0", |_, _| Some(Echo))?;
/// println!("listening on {}", port.address());
/// event_loop.run_until(port.stop_listening(&event_loop))?;
/// assert!(!port.is_listening());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Port {
    listener: Weak<Listener>,
    address: Rc<Address>,
}

impl Port {
    /// Where it listens. A port that was asked for as 0 is here the one that the system gave.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it still listens.
    pub fn is_listening(&self) -> bool {
        self.listener.upgrade().is_some_and(|listener| !listener.is_stopped())
    }

    /// Stops listening. Connections that were made stay. The Deferred fires in the next turn, when the socket is closed.
    #[track_caller]
    pub fn stop_listening(&self, event_loop: &EventLoop) -> Deferred<()> {
        let Some(listener) = self.listener.upgrade() else { return Deferred::succeed(()) };
        let (resolver, stopped) = Deferred::new();
        listener.stopping.borrow_mut().push(resolver);
        let place = listener.place;
        event_loop.inner.want_shared(listener.index.get(), listener.serial.get(), Interest::NONE);
        event_loop.call_soon_at(place, move |event_loop| listener.disconnect(event_loop));
        stopped
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_listening() { "listening" } else { "stopped" };
        write!(f, "<Port {}, {state}>", self.address)
    }
}
