//! What carries a connection's bytes: a socket, or a test's memory. Everything else - buffering, flow control, closing -
//! is the same for all and lives in `connection`.

use std::time::Duration;

use rustix::io::Result;

use super::address::Address;
use super::lines::Lines;
use crate::event_loop::{EventLoop, Interest};

/// The few things that differ between a socket and memory. None of them runs code of the user's.
pub(crate) trait Medium {
    /// Reads what is there. 0 is the end, `AGAIN` means that nothing is there now.
    fn read(&self, into: &mut [u8]) -> Result<usize>;
    /// Takes as much as there is room for. `AGAIN` means that there is none now.
    fn write(&self, data: &[u8]) -> Result<usize>;
    /// Tells the peer that nothing follows.
    fn shut_write(&self) -> Result<()>;
    /// From now on the connection wants to be told (through `Connection::ready`) of this.
    fn watch(&self, lines: &Lines, interest: Interest);
    /// The connection is over: it wants to be told of nothing, and lets the medium go.
    fn detach(&self, event_loop: &EventLoop);
    /// What is not sent when the medium is let go is thrown away, and the peer is told that the connection broke.
    fn reset(&self);
    /// This end.
    fn local_address(&self) -> Result<Address>;
    /// The other end.
    fn peer_address(&self) -> Result<Address>;
    /// Whether small writes are sent at once.
    fn set_tcp_nodelay(&self, on: bool) -> Result<()>;
    /// Whether a silent peer is asked for life, and after how long.
    fn set_tcp_keep_alive(&self, idle: Option<Duration>) -> Result<()>;
}
