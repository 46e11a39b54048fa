//! Floor 3, transports: connections with a protocol on top, flow control, and the making of connections.
//!
//! | module | what it is |
//! |---|---|
//! | `protocol` | the trait that a program writes its servers and clients in |
//! | `transport` | the handle to a connection |
//! | `connection` | a connection's state: reading, sending, flow control, closing |
//! | `medium`, `socket` | what carries the bytes, and the one that is a socket |
//! | `outgoing`, `lines` | what is to be sent; what the connections of a loop share |
//! | `producer` | who is told to pause and to go on |
//! | `send_file` | a file as a producer |
//! | `listen`, `listener` | settings of a listening socket; accepting |
//! | `connect` | making a connection, address by address |
//! | `names` | host names to addresses |
//! | `address`, `error` | ends of connections; why they ended |
//!
//! It stands on the loop's sources, and knows no protocol above it.

pub(crate) mod address;
mod connect;
pub(crate) mod connection;
mod error;
pub(crate) mod lines;
mod listen;
mod listener;
pub(crate) mod medium;
mod names;
pub(crate) mod outgoing;
mod producer;
mod protocol;
mod send_file;
mod socket;
mod tell;
mod transport;

pub use address::{Address, Target};
pub use connect::ConnectTcp;
pub use error::{
    ConnectError, ConnectPhase, ConnectionAborted, ConnectionDone, ConnectionLost, Disconnected, ProducerError,
};
pub use listen::ListenTcp;
pub use listener::Port;
pub use names::ResolveError;
pub use producer::{Producer, Streaming};
pub use protocol::Protocol;
pub use protocol::report_unexpected;
pub use send_file::SendFileError;
pub use transport::Transport;

use crate::event_loop::InsertReason;
use std::io;

/// Why the loop did not take a socket, as an error of the call that made it.
fn insert_error(reason: InsertReason) -> io::Error {
    match reason {
        InsertReason::Io(error) => error,
        other => io::Error::other(format!("the event loop did not take the socket: {other:?}")),
    }
}
