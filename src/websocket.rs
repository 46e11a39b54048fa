//! Floor 5, applications: WebSockets (RFC 6455). Feature `websocket`.
//!
//! | module | what it is |
//! |---|---|
//! | `frame` | the heads of frames, and masks |
//! | `decoder` | messages out of bytes |
//! | `close` | why a peer closes |
//! | `limits`, `error` | how much a peer may send; what was wrong with it, and where |
//! | `handshake` | how both sides agree on a WebSocket |
//! | `protocol`, `transport`, `connection` | the program's trait, its handle, and what runs it on a transport |
//! | `server`, `client` | either side |
//!
//! The first rows are sans-I/O: bytes in, events out, every way to cut the bytes gives the same events. The codec is our
//! own: those that were looked at read from a stream they own, and a callback has bytes and no stream.

mod client;
mod close;
mod connection;
mod decoder;
mod error;
mod frame;
mod handshake;
mod limits;
mod protocol;
mod server;
mod transport;

pub use client::WebSocketClient;
pub use close::{Close, CloseCode};
pub use decoder::{Event, MessageDecoder};
pub use error::{FrameError, FrameProblem};
pub use frame::{Opcode, Role, apply_mask, encode_frame};
pub use handshake::{HandshakeError, accept_key, check_request, check_response};
pub use limits::Limits;
pub use protocol::{Message, WebSocketEnd, WebSocketProtocol};
pub use server::WebSocketServer;
pub use transport::WebSocket;
