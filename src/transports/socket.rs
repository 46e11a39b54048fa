//! A connection over a socket: TCP or Unix, the system does not mind which.

use std::any::Any;
use std::cell::Cell;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::io::{Errno, Result};
use rustix::net::sockopt;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

use super::address::Address;
use super::connection::{Connection, Line};
use super::lines::Lines;
use super::medium::Medium;
use super::protocol::Protocol;
use crate::event_loop::upper::AnySource;
use crate::event_loop::{EventLoop, InsertReason, Interest, Readiness};
use crate::trace::Place;

/// A peer that is gone is an error of the call, not a signal that ends the process.
#[cfg(not(target_vendor = "apple"))]
const SEND: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const SEND: SendFlags = SendFlags::empty();

/// A connected socket, and its place in the loop's table.
pub(crate) struct Socket {
    /// Open and unchanged for as long as the loop watches it.
    fd: OwnedFd,
    index: Cell<u32>,
    serial: Cell<u64>,
}

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
    let socket = Socket { fd, index: Cell::new(0), serial: Cell::new(0) };
    let connection = Rc::new(Connection::new(Lines::of(event_loop), socket, protocol, place));
    let fd = connection.medium.fd.as_fd();
    match event_loop.register_shared(connection.clone(), fd, Interest::READ, place, "ropewalk::Transport") {
        Ok((index, serial)) => {
            connection.medium.index.set(index);
            connection.medium.serial.set(serial);
            Ok(connection)
        }
        Err(reason) => Err(Refused { reason, protocol: connection.take_protocol() }),
    }
}

impl AnySource for Connection<Socket> {
    #[inline]
    fn call(self: Rc<Self>, event_loop: &EventLoop, readiness: Readiness) {
        let line: Rc<Line> = self;
        line.ready(event_loop, readiness);
    }

    fn source(&self) -> &dyn Any {
        &()
    }

    fn take(self: Rc<Self>, _: &mut dyn Any) {}

    fn disconnect(self: Rc<Self>, event_loop: &EventLoop) {
        let line: Rc<Line> = self;
        line.disconnect(event_loop);
    }
}

impl Medium for Socket {
    #[inline]
    fn read(&self, into: &mut [u8]) -> Result<usize> {
        rustix::net::recv(&self.fd, into, RecvFlags::empty()).map(|(_, came)| came)
    }

    #[inline]
    fn write(&self, data: &[u8]) -> Result<usize> {
        rustix::net::send(&self.fd, data, SEND)
    }

    fn shut_write(&self) -> Result<()> {
        rustix::net::shutdown(&self.fd, Shutdown::Write)
    }

    fn watch(&self, lines: &Lines, interest: Interest) {
        if let Some(inner) = lines.inner.upgrade() {
            inner.want_shared(self.index.get(), self.serial.get(), interest);
        }
    }

    fn detach(&self, event_loop: &EventLoop) {
        event_loop.take_shared(self.index.get(), self.serial.get());
    }

    fn reset(&self) {
        // A Unix socket knows no reset, and is closed.
        let _ = sockopt::set_socket_linger(&self.fd, Some(Duration::ZERO));
    }

    fn local_address(&self) -> Result<Address> {
        rustix::net::getsockname(&self.fd).map(|any| Address::of(Some(any)))
    }

    fn peer_address(&self) -> Result<Address> {
        rustix::net::getpeername(&self.fd).map(Address::of)
    }

    fn set_tcp_nodelay(&self, on: bool) -> Result<()> {
        only_tcp(sockopt::set_tcp_nodelay(&self.fd, on))
    }

    fn set_tcp_keep_alive(&self, idle: Option<Duration>) -> Result<()> {
        sockopt::set_socket_keepalive(&self.fd, idle.is_some())?;
        match idle {
            Some(idle) => only_tcp(sockopt::set_tcp_keepidle(&self.fd, idle.max(Duration::from_secs(1)))),
            None => Ok(()),
        }
    }
}

/// A Unix socket has no such option, and needs none.
fn only_tcp(result: Result<()>) -> Result<()> {
    match result {
        Err(Errno::OPNOTSUPP | Errno::NOPROTOOPT | Errno::INVAL) => Ok(()),
        other => other,
    }
}
