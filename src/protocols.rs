//! Floor 4, protocols: what the bytes of a connection mean.
//!
//! | module | what it is |
//! |---|---|
//! | `line_parser`, `delimiter` | lines out of bytes |
//! | `frame_parser` | netstrings and strings with their length in front, out of bytes |
//! | `intake` | what the parsers read from |
//!
//! The parsers know no socket: bytes in, events out, and every way to cut the bytes gives the same events.

mod delimiter;
mod frame_parser;
mod intake;
mod line_parser;

pub use delimiter::Delimiter;
pub use frame_parser::{FrameError, FrameParser, Framing, Int8, Int16, Int32, Netstring, StringTooLong};
pub use intake::Piece;
pub use line_parser::{LineEvent, LineParser};
