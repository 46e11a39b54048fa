//! Loses a connection whose peer is silent for too long.

use std::time::Duration;

use super::idle_timeout::IdleTimeout;
use crate::event_loop::EventLoop;
use crate::ground::Failure;
use crate::transports::{Protocol, Transport};

/// Runs a protocol, and closes its connection when nothing has come for a time. Twisted's `TimeoutProtocol`.
///
/// Only what the peer sends counts. What is written is still sent before the connection is closed; a peer that does not
/// take it either is broken off after the same time again.
///
/// ```
/// use ropewalk::protocols::TimeoutProtocol;
/// use ropewalk::testing::MemoryLoop;
/// use ropewalk::Protocol;
/// use std::time::Duration;
///
/// struct Silent;
///
/// impl Protocol for Silent {}
///
/// let test = MemoryLoop::new()?;
/// let peer = test.connected(TimeoutProtocol::new(Silent, Duration::from_secs(30)));
/// test.advance(Duration::from_secs(29));
/// peer.send(b"still here");
/// test.advance(Duration::from_secs(29));
/// assert!(!peer.is_disconnected());
/// test.advance(Duration::from_secs(1));
/// assert!(peer.is_disconnected());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TimeoutProtocol<P> {
    protocol: P,
    period: Duration,
    idle: IdleTimeout,
}

impl<P: Protocol> TimeoutProtocol<P> {
    /// Runs `protocol`, and closes its connection when nothing has come for `period`.
    pub fn new(protocol: P, period: Duration) -> TimeoutProtocol<P> {
        TimeoutProtocol { protocol, period, idle: IdleTimeout::new() }
    }
}

impl<P: Protocol> Protocol for TimeoutProtocol<P> {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.idle.set_timeout(event_loop, transport, Some(self.period));
        self.protocol.connection_made(event_loop, transport)
    }

    fn data_received(&mut self, event_loop: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        self.idle.reset_timeout();
        self.protocol.data_received(event_loop, transport, data)
    }

    fn woken(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        if self.idle.take_expired() {
            if transport.is_disconnecting() {
                transport.abort();
                return Ok(());
            }
            transport.lose_connection();
            self.idle.set_timeout(event_loop, transport, Some(self.period));
        }
        self.protocol.woken(event_loop, transport)
    }

    fn connection_lost(&mut self, event_loop: &EventLoop, reason: Failure) {
        self.idle.clear();
        self.protocol.connection_lost(event_loop, reason);
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
