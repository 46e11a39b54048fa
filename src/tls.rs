//! TLS between a connection and its protocol, both sides. Feature `tls`.
//!
//! ```text
//!   Protocol            the program's, unchanged: it has a Transport like any other
//!   Transport           over `End`, a medium whose bytes rustls takes and gives
//!   TlsProtocol         the protocol on the socket: feeds rustls, sends what it wants to send
//!   Transport           the socket's
//! ```
//!
//! The machine itself is rustls, with ring: it knows no socket. Buffering, flow control and closing of the inner
//! transport are those of every transport; of what is encrypted, as much waits as for any other connection.

mod config;
mod end;
mod error;
mod layer;

pub use config::{TlsClient, TlsConfigError, TlsServer};
pub use error::TlsError;
pub use layer::TlsProtocol;
