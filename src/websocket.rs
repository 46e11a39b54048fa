//! WebSockets (RFC 6455). Feature `websocket`.
//!
//! | for | item |
//! |---|---|
//! | a server; a client | [`WebSocketServer`], under a route of an HTTP server or alone; [`WebSocketClient`] |
//! | the program of one WebSocket | [`WebSocketProtocol`]: methods that are called; [`WebSocketStream`]: messages to ask for, with Deferreds or `await` |
//! | to send, to close | [`WebSocket`] |
//! | how it ended | [`WebSocketEnd`], [`CloseCode`] |
//! | compression | [`Deflate`] |
//! | messages out of bytes, and into them | [`MessageDecoder`], [`encode_frame`], [`MessageEncoder`] |
//!
//! The codec is sans-I/O: bytes in, events out, every way to cut the bytes gives the same events. It is our own: those that
//! were looked at read from a stream they own, and a callback has bytes and no stream. The chapter is `docs/websocket.md`.

// | module | what it is |
// |---|---|
// | `frame` | the heads of frames, and masks |
// | `decoder`, `inflater` | messages out of bytes; those that are compressed unpacked as they come |
// | `encoder` | messages into bytes, compressed |
// | `extension`, `deflate` | how both sides agree on `permessage-deflate` (RFC 7692), and its settings |
// | `close` | why a peer closes |
// | `limits`, `error` | how much a peer may send; what was wrong with it, and where |
// | `handshake` | how both sides agree on a WebSocket |
// | `protocol`, `transport`, `connection` | the program's trait, its handle, and what runs it on a transport |
// | `waits` | those who wait for room, or for the end |
// | `stream` | a WebSocket without a program: messages to ask for, with Deferreds or `await` |
// | `server`, `client` | either side |

mod client;
mod close;
mod connection;
mod decoder;
mod deflate;
mod encoder;
mod error;
mod extension;
mod frame;
mod handshake;
mod inflater;
mod limits;
mod protocol;
mod server;
mod stream;
mod transport;
mod waits;

pub use client::WebSocketClient;
pub use close::{Close, CloseCode};
pub use decoder::{Event, MessageDecoder};
pub use deflate::{Deflate, DeflateParameters};
pub use encoder::MessageEncoder;
pub use error::{FrameError, FrameProblem};
pub use frame::{Opcode, Role, apply_mask, encode_frame};
pub use handshake::{Agreed, HandshakeError, accept_key, check_request, check_response};
pub use limits::Limits;
pub use protocol::{Message, OwnedMessage, WebSocketEnd, WebSocketProtocol};
pub use server::WebSocketServer;
pub use stream::WebSocketStream;
pub use transport::WebSocket;
