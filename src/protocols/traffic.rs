//! Shows what goes over a connection.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use crate::event_loop::EventLoop;
use crate::ground::Failure;
use crate::transports::{Protocol, Transport};

/// What happened on a connection. Its `Display` is one line, the bytes with escapes: `received 7 bytes: "hello\r\n"`.
///
/// ```
/// use ropewalk::protocols::{Traffic, TrafficLogging};
/// use ropewalk::{EventLoop, Failure, Protocol, Transport, testing::MemoryLoop};
/// use std::{cell::Cell, rc::Rc};
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
///         Ok(transport.write(data)?)
///     }
/// }
///
/// // Counts the bytes of both directions.
/// let bytes = Rc::new(Cell::new(0));
/// let sum = bytes.clone();
/// let count = move |traffic: Traffic<'_>| match traffic {
///     Traffic::Received(data) | Traffic::Written(data) => sum.set(sum.get() + data.len()),
///     _ => {}
/// };
/// let test = MemoryLoop::new()?;
/// test.connected(TrafficLogging::new(Echo, count)).send("hello");
/// assert_eq!(bytes.get(), 10);
/// assert_eq!(Traffic::Received(b"hello\r\n").to_string(), r#"received 7 bytes: "hello\r\n""#);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Traffic<'a> {
    /// The connection is there.
    Made(&'a Transport),
    /// The peer sent this.
    Received(&'a [u8]),
    /// This was written: all that one callback wrote. Whether it reaches the peer is another matter.
    Written(&'a [u8]),
    /// The connection is over.
    Lost(&'a Failure),
}

impl fmt::Display for Traffic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, data) = match self {
            Traffic::Made(transport) => {
                return match transport.peer_address() {
                    Ok(peer) => write!(f, "connected to {peer}"),
                    Err(_) => f.write_str("connected"),
                };
            }
            Traffic::Lost(reason) => return write!(f, "connection lost: {reason}"),
            Traffic::Received(data) => ("received", data),
            Traffic::Written(data) => ("wrote", data),
        };
        write!(f, "{what} {} bytes: \"{}\"", data.len(), data.escape_ascii())
    }
}

/// Runs a protocol, and tells somebody of all that goes over its connection. Twisted's `TrafficLoggingProtocol`.
///
/// What the protocol writes in a callback is told when that is over; what others write to the connection, in the loop's
/// next turn.
///
/// ```
/// use ropewalk::protocols::TrafficLogging;
/// use ropewalk::testing::MemoryLoop;
/// use ropewalk::{EventLoop, Failure, Protocol, Transport};
/// use std::{cell::RefCell, rc::Rc};
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
///         Ok(transport.write(data)?)
///     }
/// }
///
/// let seen = Rc::new(RefCell::new(Vec::new()));
/// let log = seen.clone();
/// let test = MemoryLoop::new()?;
/// let peer = test.connected(TrafficLogging::new(Echo, move |traffic| log.borrow_mut().push(traffic.to_string())));
/// peer.send(b"hello\n");
/// assert_eq!(seen.borrow()[1..], [r#"received 6 bytes: "hello\n""#, r#"wrote 6 bytes: "hello\n""#]);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct TrafficLogging<P, L> {
    protocol: P,
    log: L,
    written: Rc<RefCell<Vec<u8>>>,
}

impl<P: Protocol, L: FnMut(Traffic<'_>) + 'static> TrafficLogging<P, L> {
    /// Runs `protocol`, and calls `log` for all that happens.
    pub fn new(protocol: P, log: L) -> TrafficLogging<P, L> {
        TrafficLogging { protocol, log, written: Rc::default() }
    }

    /// Calls the protocol, and tells what it wrote.
    fn tell(&mut self, f: impl FnOnce(&mut P) -> Result<(), Failure>) -> Result<(), Failure> {
        let result = f(&mut self.protocol);
        self.tell_written();
        result
    }

    fn tell_written(&mut self) {
        let written = self.written.take();
        if !written.is_empty() {
            (self.log)(Traffic::Written(&written));
        }
    }
}

impl<P: Protocol> TrafficLogging<P, fn(Traffic<'_>)> {
    /// Runs `protocol`, and hands all that happens to the `log` crate, at level `debug`.
    pub fn debug(protocol: P) -> TrafficLogging<P, fn(Traffic<'_>)> {
        TrafficLogging::new(protocol, |traffic| log::debug!(target: "ropewalk::traffic", "{traffic}"))
    }
}

impl<P: Protocol, L: FnMut(Traffic<'_>) + 'static> Protocol for TrafficLogging<P, L> {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        (self.log)(Traffic::Made(transport));
        transport.tap(&self.written);
        self.tell(|protocol| protocol.connection_made(event_loop, transport))
    }

    fn data_received(&mut self, event_loop: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        self.tell_written();
        (self.log)(Traffic::Received(data));
        self.tell(|protocol| protocol.data_received(event_loop, transport, data))
    }

    fn woken(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.tell_written();
        self.tell(|protocol| protocol.woken(event_loop, transport))
    }

    fn connection_lost(&mut self, event_loop: &EventLoop, reason: Failure) {
        self.tell_written();
        (self.log)(Traffic::Lost(&reason));
        self.protocol.connection_lost(event_loop, reason);
    }

    fn half_close(&self) -> bool {
        self.protocol.half_close()
    }

    fn read_connection_lost(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.tell(|protocol| protocol.read_connection_lost(event_loop, transport))
    }

    fn write_connection_lost(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.tell(|protocol| protocol.write_connection_lost(event_loop, transport))
    }

    fn pause_producing(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.tell(|protocol| protocol.pause_producing(event_loop, transport))
    }

    fn resume_producing(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.tell(|protocol| protocol.resume_producing(event_loop, transport))
    }
}

impl<P: fmt::Debug, L> fmt::Debug for TrafficLogging<P, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrafficLogging").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}
