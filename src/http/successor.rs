//! The protocol that a connection of a server changes over to.

use crate::event_loop::EventLoop;
use crate::ground::Failure;
use crate::transports::{Protocol, Transport};

/// A protocol that takes a connection over from a server, and is told when that server shuts down. See
/// [`Response::upgrade_gracefully`](super::Response::upgrade_gracefully).
///
/// ```
/// use ropewalk::http::{Response, Server, UpgradedProtocol};
/// use ropewalk::testing::MemoryLoop;
/// use ropewalk::{Address, EventLoop, Failure, Protocol, Transport};
/// use std::time::Duration;
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
///         Ok(transport.write(data)?)
///     }
/// }
///
/// impl UpgradedProtocol for Echo {
///     fn shutting_down(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
///         transport.write(b"bye\n")?;
///         transport.lose_connection();
///         Ok(())
///     }
/// }
///
/// let test = MemoryLoop::new()?;
/// let site = Server::new().get("/", |_, _| Response::upgrade_gracefully("echo", Echo)).start(&test)?;
/// let peer = test.connected(site.protocol(&Address::Memory));
/// peer.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
/// let broken_off = site.shutdown(&test, Duration::from_secs(5));
/// test.settle();
/// assert!(peer.text().ends_with("\r\n\r\nbye\n"));
/// assert_eq!(broken_off.try_result().unwrap()?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait UpgradedProtocol: Protocol {
    /// [`Site::shutdown`](super::Site::shutdown) was called: say goodbye, and close. Called once, after
    /// [`connection_made`](Protocol::connection_made). A connection that is open when the grace is over is broken off.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn shutting_down(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure>;
}

/// Whoever has the connection next.
pub(super) enum Successor {
    Plain(Box<dyn Protocol>),
    Graceful {
        protocol: Box<dyn UpgradedProtocol>,
        /// It knows that the server shuts down.
        told: bool,
    },
}

impl Successor {
    #[inline]
    pub(super) fn get_mut(&mut self) -> &mut dyn Protocol {
        match self {
            Successor::Plain(protocol) => &mut **protocol,
            Successor::Graceful { protocol, .. } => &mut **protocol,
        }
    }

    pub(super) fn get(&self) -> &dyn Protocol {
        match self {
            Successor::Plain(protocol) => &**protocol,
            Successor::Graceful { protocol, .. } => &**protocol,
        }
    }

    /// The server shuts down.
    pub(super) fn shut_down(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        let Successor::Graceful { protocol, told } = self else { return Ok(()) };
        if std::mem::replace(told, true) {
            return Ok(());
        }
        protocol.shutting_down(event_loop, transport)
    }
}
