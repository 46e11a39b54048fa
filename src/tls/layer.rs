//! The protocol on the socket.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use rustls::Connection as Machine;

use super::end::{End, Shared};
use super::error::TlsError;
use crate::event_loop::upper::drop_quietly;
use crate::event_loop::{DelayedCall, EventLoop};
use crate::ground::{Failure, Resolver};
use crate::trace::Place;
use crate::transports::connection::Line;
use crate::transports::{Protocol, Transport};

/// TLS, as the [`Protocol`] of a socket, with another protocol on top of it that needs not know. Made by
/// [`TlsServer::protocol`](super::TlsServer::protocol) and [`TlsClient::protocol`](super::TlsClient::protocol).
///
/// The inner protocol's transport closes, half closes, pauses and aborts as a socket's does. A peer that ends the
/// connection without saying so by TLS makes it fail: `connection_lost` is told a [`ConnectionLost`](crate::ConnectionLost)
/// whose [`TlsError::of`] is [`TlsError::Truncated`].
///
/// ```
/// use ropewalk::tls::{TlsClient, TlsProtocol};
/// use ropewalk::{Deferred, Protocol};
///
/// struct Quiet;
///
/// impl Protocol for Quiet {}
///
/// # let read = |name: &str| std::fs::read(format!("{}/tests/data/tls/{name}", env!("CARGO_MANIFEST_DIR")));
/// let client = TlsClient::with_roots_pem(&read("root.pem")?)?;
/// let (protocol, shaken): (TlsProtocol, Deferred<()>) = client.protocol("localhost", Quiet)?;
/// // A protocol that never gets a connection tells whoever waits for it.
/// drop(protocol);
/// assert!(ropewalk::testing::failure_of(shaken).to_string().contains("dropped"));
/// assert!(client.protocol("no name", Quiet).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TlsProtocol {
    /// Until the connection is there.
    machine: Option<Result<Machine, rustls::Error>>,
    protocol: Option<Box<dyn Protocol>>,
    shared: Option<Rc<Shared>>,
    time: Duration,
    timer: Option<DelayedCall>,
    shaken: Option<Resolver<()>>,
    place: Place,
}

impl TlsProtocol {
    pub(super) fn new(
        machine: Result<Machine, rustls::Error>,
        protocol: Box<dyn Protocol>,
        time: Duration,
        shaken: Option<Resolver<()>>,
        place: Place,
    ) -> TlsProtocol {
        TlsProtocol {
            machine: Some(machine),
            protocol: Some(protocol),
            shared: None,
            time,
            timer: None,
            shaken,
            place,
        }
    }

    /// The hands are shaken: the inner protocol hears of the connection.
    fn open(&mut self, event_loop: &EventLoop, shared: &Rc<Shared>) {
        self.stop_timer();
        let Some(protocol) = self.protocol.take() else { return };
        if let Some(shaken) = self.shaken.take() {
            shaken.succeed(());
        }
        let line = Line::over(event_loop, Rc::new(End(shared.clone())), protocol);
        shared.line.replace(Some(line.clone()));
        shared.made.set(true);
        line.made(event_loop);
    }

    fn stop_timer(&mut self) {
        if let Some(timer) = self.timer.take() {
            // An error says that it was called.
            let _ = timer.cancel();
        }
    }

    /// There is no secure connection, or none any more.
    fn fail(&mut self, event_loop: &EventLoop, reason: Failure) {
        self.stop_timer();
        match (self.shaken.take(), self.shared.take()) {
            // Nobody else hears of it: there is no inner connection yet.
            (Some(shaken), shared) => {
                shared.inspect(|shared| shared.over.set(true));
                shaken.fail(reason);
            }
            (None, Some(shared)) => shared.lose(event_loop, reason),
            (None, None) => {}
        }
        drop_quietly(self.protocol.take());
    }
}

impl Protocol for TlsProtocol {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        let machine = match self.machine.take() {
            Some(Ok(machine)) => machine,
            Some(Err(error)) => return Err(TlsError::Handshake(error).into()),
            None => return Err(Failure::msg("a TlsProtocol is for one connection")),
        };
        let shared = Shared::new(event_loop, machine, transport, self.place);
        self.shared = Some(shared.clone());
        let (time, outer) = (self.time, transport.clone());
        self.timer = Some(event_loop.call_later_at(time, self.place, move |_| outer.wake_protocol()));
        // A lost connection is told of by `connection_lost`.
        let _ = shared.flush();
        Ok(())
    }

    fn data_received(&mut self, event_loop: &EventLoop, _: &Transport, data: &[u8]) -> Result<(), Failure> {
        let Some(shared) = self.shared.clone() else { return Ok(()) };
        if shared.over.get() {
            return Ok(());
        }
        let fed = shared.feed(data);
        // An alert, if it was an error: the peer learns why.
        let _ = shared.flush();
        if let Err(error) = fed {
            return Err(if shared.made.get() { error.into_lost() } else { error.into() });
        }
        if !shared.made.get() && !shared.machine.borrow().is_handshaking() {
            self.open(event_loop, &shared);
        }
        shared.tell();
        Ok(())
    }

    /// The time of the hand-shake is over.
    fn woken(&mut self, _: &EventLoop, _: &Transport) -> Result<(), Failure> {
        match self.protocol {
            Some(_) => Err(TlsError::HandshakeTimeout(self.time).into()),
            None => Ok(()),
        }
    }

    /// What is still to be written goes out when the peer has closed its half, as over a socket.
    fn half_close(&self) -> bool {
        true
    }

    fn read_connection_lost(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        match &self.shared {
            Some(shared) if !shared.made.get() => return Err(TlsError::HandshakeClosed.into()),
            Some(shared) if !shared.over.get() => {
                if !shared.peer_closed.get() {
                    shared.end(TlsError::Truncated.into_lost());
                }
            }
            _ => transport.lose_connection(),
        }
        Ok(())
    }

    fn resume_producing(&mut self, _: &EventLoop, _: &Transport) -> Result<(), Failure> {
        if let Some(shared) = &self.shared {
            shared.unregister();
            shared.tell();
        }
        Ok(())
    }

    fn connection_lost(&mut self, event_loop: &EventLoop, reason: Failure) {
        if self.protocol.is_some() && self.shaken.is_none() {
            // A server's: whoever knocks at its door and leaves is no error of its own.
            log::debug!(target: "ropewalk", "no TLS connection: {reason}");
        }
        self.fail(event_loop, reason);
    }
}

impl fmt::Debug for TlsProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shaken = self.shared.as_ref().is_some_and(|shared| shared.made.get());
        f.debug_struct("TlsProtocol").field("hands_shaken", &shaken).finish_non_exhaustive()
    }
}
