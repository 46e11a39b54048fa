//! Why a connection ended, did not come to be, or cannot be written to.

use std::error::Error;
use std::fmt;
use std::io;

use super::address::Address;

/// The connection was closed in order: by the peer, or by `lose_connection` after everything was written.
///
/// ```
/// use ropewalk::testing::MemoryLoop;
/// use ropewalk::{ConnectionDone, EventLoop, Failure, Protocol};
/// use std::{cell::Cell, rc::Rc};
///
/// /// Knows whether its connection ended well.
/// struct Quiet(Rc<Cell<bool>>);
///
/// impl Protocol for Quiet {
///     fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
///         self.0.set(reason.check::<ConnectionDone>().is_some());
///     }
/// }
///
/// let test = MemoryLoop::new()?;
/// let ended_well = Rc::new(Cell::new(false));
/// test.connected(Quiet(ended_well.clone())).send_end();
/// assert!(ended_well.take());
/// test.connected(Quiet(ended_well.clone())).reset();
/// assert!(!ended_well.take());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionDone;

impl fmt::Display for ConnectionDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was closed in order")
    }
}

impl Error for ConnectionDone {}

/// The connection was closed by [`Transport::abort`](super::Transport::abort): what was not written is lost.
///
/// ```
/// use ropewalk::testing::MemoryLoop;
/// use ropewalk::{ConnectionAborted, EventLoop, Failure, Protocol, Transport};
/// use std::{cell::Cell, rc::Rc};
///
/// /// Breaks off at the first byte.
/// struct Deaf(Rc<Cell<bool>>);
///
/// impl Protocol for Deaf {
///     fn data_received(&mut self, _: &EventLoop, transport: &Transport, _: &[u8]) -> Result<(), Failure> {
///         transport.abort();
///         Ok(())
///     }
///
///     fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
///         self.0.set(reason.check() == Some(&ConnectionAborted));
///     }
/// }
///
/// let test = MemoryLoop::new()?;
/// let aborted = Rc::new(Cell::new(false));
/// let peer = test.connected(Deaf(aborted.clone()));
/// peer.send("hello");
/// assert!(aborted.get() && peer.sees_reset());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionAborted;

impl fmt::Display for ConnectionAborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was aborted by this side")
    }
}

impl Error for ConnectionAborted {}

/// The connection broke off: the peer reset it, the system failed it, the peer closed it before it had taken all that
/// was written, or the loop was shut down.
///
/// ```
/// use ropewalk::testing::MemoryLoop;
/// use ropewalk::{ConnectionLost, EventLoop, Failure, Protocol, Transport};
/// use std::{cell::RefCell, rc::Rc};
///
/// /// Keeps why its connection ended.
/// struct Greeter(Rc<RefCell<Option<Failure>>>);
///
/// impl Protocol for Greeter {
///     fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
///         Ok(transport.write(b"hello")?)
///     }
///
///     fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
///         *self.0.borrow_mut() = Some(reason);
///     }
/// }
///
/// let test = MemoryLoop::new()?;
/// let reason = Rc::new(RefCell::new(None));
/// test.connected(Greeter(reason.clone())).reset();
/// let reason = reason.take().unwrap();
/// let lost = reason.check::<ConnectionLost>().unwrap();
/// assert_eq!(lost.io_error().unwrap().kind(), std::io::ErrorKind::ConnectionReset);
/// assert_eq!(lost.unsent(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct ConnectionLost {
    why: Why,
}

#[derive(Debug)]
enum Why {
    Io(&'static str, io::Error),
    Unsent(usize),
    Shutdown,
}

impl ConnectionLost {
    pub(crate) fn io(doing: &'static str, error: io::Error) -> ConnectionLost {
        ConnectionLost { why: Why::Io(doing, error) }
    }

    pub(crate) fn with_unsent(bytes: usize) -> ConnectionLost {
        ConnectionLost { why: Why::Unsent(bytes) }
    }

    pub(crate) fn shutdown() -> ConnectionLost {
        ConnectionLost { why: Why::Shutdown }
    }

    /// The system's error, if there is one.
    pub fn io_error(&self) -> Option<&io::Error> {
        match &self.why {
            Why::Io(_, error) => Some(error),
            Why::Unsent(_) | Why::Shutdown => None,
        }
    }

    /// How many bytes were still to be sent when the peer closed the connection.
    pub fn unsent(&self) -> usize {
        match self.why {
            Why::Unsent(bytes) => bytes,
            Why::Io(..) | Why::Shutdown => 0,
        }
    }
}

impl fmt::Display for ConnectionLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::Io(doing, error) => write!(f, "the connection was lost while {doing}: {error}"),
            Why::Unsent(bytes) => {
                write!(f, "the peer closed the connection while {bytes} bytes were still to be sent")
            }
            Why::Shutdown => f.write_str("the connection was lost because its event loop was shut down"),
        }
    }
}

impl Error for ConnectionLost {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.io_error().map(|error| error as _)
    }
}

/// The connection is lost, or its writing half is closed: nothing can be written any more.
///
/// ```
/// use ropewalk::testing::MemoryLoop;
/// use ropewalk::{Disconnected, Protocol};
///
/// struct Quiet;
///
/// impl Protocol for Quiet {}
///
/// let test = MemoryLoop::new()?;
/// let peer = test.connected(Quiet);
/// let transport = peer.transport(); // kept, as by somebody who writes to it at times
/// assert_eq!(transport.write(b"news"), Ok(()));
/// peer.send_end();
/// assert_eq!(transport.write(b"more news"), Err(Disconnected));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnected;

impl fmt::Display for Disconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing can be written: the connection is lost, or its writing half is closed")
    }
}

impl Error for Disconnected {}

/// Why a producer could not be registered.
///
/// ```
/// use ropewalk::testing::MemoryLoop;
/// use ropewalk::{ProducerError, Protocol, Streaming};
///
/// struct Quiet;
///
/// impl Protocol for Quiet {}
///
/// let test = MemoryLoop::new()?;
/// let peer = test.connected(Quiet);
/// let transport = peer.transport();
/// transport.register_own_producer(Streaming::Push).unwrap();
/// assert_eq!(transport.register_own_producer(Streaming::Push), Err(ProducerError::AlreadyRegistered));
/// transport.unregister_producer();
/// peer.send_end();
/// assert_eq!(transport.register_own_producer(Streaming::Push), Err(ProducerError::Disconnected));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProducerError {
    /// There is one already: unregister it first.
    AlreadyRegistered,
    /// The connection is lost. The producer was told to stop.
    Disconnected,
}

impl fmt::Display for ProducerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProducerError::AlreadyRegistered => "the transport has a producer already: unregister that one first",
            ProducerError::Disconnected => "the producer came too late: the connection is lost",
        })
    }
}

impl Error for ProducerError {}

/// What a connection attempt was doing when it failed.
///
/// ```
/// use ropewalk::{ConnectError, ConnectPhase, EventLoop, Protocol};
///
/// struct Quiet;
///
/// impl Protocol for Quiet {}
///
/// let event_loop = EventLoop::new()?;
/// event_loop.install_resolver(|_| Err(std::io::ErrorKind::NotFound.into()));
/// for (target, phase) in [("poems.test", ConnectPhase::Target), ("poems.test:80", ConnectPhase::Resolve)] {
///     let failure = event_loop.run_until(event_loop.connect_tcp(target, Quiet)).unwrap_err();
///     assert_eq!(failure.check::<ConnectError>().unwrap().phase(), phase);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectPhase {
    /// Reading the target, which is no `host:port`.
    Target,
    /// Looking up the name.
    Resolve,
    /// Making a socket, or binding it.
    Socket,
    /// Connecting it.
    Connect,
    /// Handing it to the loop.
    Register,
}

impl fmt::Display for ConnectPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConnectPhase::Target => "reading the target",
            ConnectPhase::Resolve => "looking up the name",
            ConnectPhase::Socket => "making a socket",
            ConnectPhase::Connect => "connecting",
            ConnectPhase::Register => "registering the socket",
        })
    }
}

/// A connection that did not come to be: what was connected to, in which phase it failed, and the system's error.
///
/// ```
/// use ropewalk::{ConnectError, EventLoop, Protocol};
/// use std::io::ErrorKind;
///
/// struct Quiet;
///
/// impl Protocol for Quiet {}
///
/// let event_loop = EventLoop::new()?;
/// event_loop.install_resolver(|_| Ok(vec![[127, 0, 0, 1].into()]));
/// let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port(); // closed again
///
/// let connecting = event_loop.connect_tcp(("poems.test", nobody), Quiet);
/// let failure = event_loop.run_until(connecting).unwrap_err();
/// let error = failure.check::<ConnectError>().unwrap();
/// assert_eq!(error.target(), format!("poems.test:{nobody}"));
/// assert_eq!(error.io_error().kind(), ErrorKind::ConnectionRefused);
/// assert_eq!(error.tried()[0].0.port(), nobody);
/// assert!(error.to_string().starts_with(&format!("cannot connect to poems.test:{nobody}: connecting failed: ")));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct ConnectError {
    pub(crate) target: String,
    pub(crate) phase: ConnectPhase,
    pub(crate) source: io::Error,
    pub(crate) tried: Vec<(Address, io::Error)>,
}

impl ConnectError {
    /// What the program wanted to connect to, as it said it.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What was being done.
    pub fn phase(&self) -> ConnectPhase {
        self.phase
    }

    /// The last error. [`io::ErrorKind::TimedOut`] when the time was over.
    pub fn io_error(&self) -> &io::Error {
        &self.source
    }

    /// The addresses that were tried in vain, in order, each with its error.
    pub fn tried(&self) -> &[(Address, io::Error)] {
        &self.tried
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}: {} failed: {}", self.target, self.phase, self.source)?;
        let said = self.tried.iter().filter(|(address, _)| address.to_string() != self.target);
        for (i, (address, error)) in said.enumerate() {
            let lead = if i == 0 { " (tried " } else { ", " };
            write!(f, "{lead}{address}: {error}")?;
        }
        if self.tried.iter().any(|(address, _)| address.to_string() != self.target) {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}
