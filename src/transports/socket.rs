//! A connection over a socket: TCP or Unix, the system does not mind which.

use std::any::Any;
use std::ffi::c_int;
use std::io::Read;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::io::{Errno, Result};
use socket2::{SockRef, TcpKeepalive};

use super::address::Address;
use super::connection::Line;
use super::lines::Lines;
use super::protocol::Protocol;
use crate::event_loop::sockets::errno;
use crate::event_loop::upper::AnySource;
use crate::event_loop::{EventLoop, InsertReason, Interest, Readiness};
use crate::trace::Place;

/// A peer that is gone is an error of the call, not a signal that ends the process.
#[cfg(not(target_vendor = "apple"))]
const SEND: c_int = libc::MSG_NOSIGNAL;
#[cfg(target_vendor = "apple")]
const SEND: c_int = 0;

/// A socket that the loop did not take.
pub(crate) struct Refused {
    pub(crate) reason: InsertReason,
    pub(crate) protocol: Option<Box<dyn Protocol>>,
}

/// Hands a connected, non-blocking socket to the loop. The protocol comes back when the loop does not take it.
pub(crate) fn open(
    event_loop: &EventLoop,
    fd: OwnedFd,
    protocol: Box<dyn Protocol>,
    place: Place,
) -> std::result::Result<Rc<Line>, Refused> {
    let line = Line::over_socket(Lines::of(event_loop), fd, protocol);
    let registered = match &line.fd {
        Some(fd) => event_loop.register_shared(line.clone(), fd.as_fd(), Interest::READ, place),
        None => Err(InsertReason::NotOpen),
    };
    match registered {
        Ok(_) => Ok(line),
        Err(reason) => Err(Refused { reason, protocol: line.take_protocol() }),
    }
}

impl AnySource for Line {
    fn what(&self) -> &'static str {
        "ropewalk::Transport"
    }
    fn name(&self) -> Option<String> {
        Some(self.peer_address().ok()?.to_string())
    }
    #[inline]
    fn call(self: Rc<Self>, event_loop: &EventLoop, readiness: Readiness) {
        self.ready_untold(event_loop, readiness);
    }
    fn call_told(self: Rc<Self>, event_loop: &EventLoop, readiness: Readiness) {
        self.ready_otherwise(event_loop, readiness);
    }

    fn source(&self) -> &dyn Any {
        &()
    }

    fn take(self: Rc<Self>, _: &mut dyn Any) {}

    fn disconnect(self: Rc<Self>, event_loop: &EventLoop) {
        Line::disconnect(self, event_loop);
    }
}

#[inline]
pub(super) fn receive(fd: &OwnedFd, into: &mut [u8]) -> Result<usize> {
    (&*SockRef::from(fd)).read(into).map_err(errno)
}

#[inline]
pub(super) fn send(fd: &OwnedFd, data: &[u8]) -> Result<usize> {
    SockRef::from(fd).send_with_flags(data, SEND).map_err(errno)
}

pub(super) fn shut_write(fd: &OwnedFd) -> Result<()> {
    SockRef::from(fd).shutdown(Shutdown::Write).map_err(errno)
}

/// A connection is found in the loop's table by its descriptor: its number is no other's while it is open.
pub(super) fn watch(line: &Line, fd: &OwnedFd, interest: Interest) {
    if let Some(inner) = line.lines.inner.upgrade()
        && let Some((index, serial)) = inner.find_shared(fd.as_raw_fd(), line)
    {
        inner.want_shared(index, serial, interest);
    }
}

pub(super) fn detach(line: &Line, fd: &OwnedFd, event_loop: &EventLoop) {
    if let Some((index, serial)) = event_loop.inner.find_shared(fd.as_raw_fd(), line) {
        event_loop.take_shared(index, serial);
    }
}

pub(super) fn place(line: &Line, fd: &OwnedFd) -> Option<Place> {
    let inner = line.lines.inner.upgrade()?;
    let (index, serial) = inner.find_shared(fd.as_raw_fd(), line)?;
    inner.shared_place(index, serial)
}

pub(super) fn reset(fd: &OwnedFd) {
    // A Unix socket knows no reset, and is closed.
    let _ = SockRef::from(fd).set_linger(Some(Duration::ZERO));
}

pub(super) fn local_address(fd: &OwnedFd) -> Result<Address> {
    SockRef::from(fd).local_addr().map(|any| Address::of(&any)).map_err(errno)
}

pub(super) fn peer_address(fd: &OwnedFd) -> Result<Address> {
    SockRef::from(fd).peer_addr().map(|any| Address::of(&any)).map_err(errno)
}

pub(super) fn set_tcp_nodelay(fd: &OwnedFd, on: bool) -> Result<()> {
    only_tcp(SockRef::from(fd).set_tcp_nodelay(on).map_err(errno))
}

pub(super) fn set_tcp_keep_alive(fd: &OwnedFd, idle: Option<Duration>) -> Result<()> {
    let socket = SockRef::from(fd);
    let Some(idle) = idle else { return socket.set_keepalive(false).map_err(errno) };
    let settings = TcpKeepalive::new().with_time(idle.max(Duration::from_secs(1)));
    only_tcp(socket.set_tcp_keepalive(&settings).map_err(errno))
}

/// A Unix socket has no such option, and needs none.
fn only_tcp(result: Result<()>) -> Result<()> {
    match result {
        Err(Errno::OPNOTSUPP | Errno::NOPROTOOPT | Errno::INVAL) => Ok(()),
        other => other,
    }
}
