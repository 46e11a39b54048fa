//! Why a connection ended, did not come to be, or cannot be written to.

use std::error::Error;
use std::fmt;
use std::io;

use super::address::Address;

/// The connection was closed in order: by the peer, or by `lose_connection` after everything was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionDone;

impl fmt::Display for ConnectionDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was closed in order")
    }
}

impl Error for ConnectionDone {}

/// The connection was closed by [`Transport::abort`](super::Transport::abort): what was not written is lost.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnected;

impl fmt::Display for Disconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing can be written: the connection is lost, or its writing half is closed")
    }
}

impl Error for Disconnected {}

/// Why a producer could not be registered.
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
