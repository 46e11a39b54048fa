//! Floor 5, applications: WebSockets (RFC 6455). Feature `websocket`.
//!
//! | module | what it is |
//! |---|---|
//! | `frame` | the heads of frames, and masks |
//! | `decoder` | messages out of bytes |
//! | `close` | why a peer closes |
//! | `limits`, `error` | how much a peer may send; what was wrong with it, and where |
//!
//! All of it is sans-I/O: bytes in, events out, every way to cut the bytes gives the same events. The codec is our
//! own: those that were looked at read from a stream they own, and a callback has bytes and no stream.

mod close;
mod decoder;
mod error;
mod frame;
mod limits;

pub use close::{Close, CloseCode};
pub use decoder::{Event, MessageDecoder};
pub use error::{FrameError, FrameProblem};
pub use frame::{Opcode, Role, apply_mask, encode_frame};
pub use limits::Limits;
