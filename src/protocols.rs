//! What the bytes of a connection mean: the messages in them, and what many protocols need beside them.
//!
//! | for | item |
//! |---|---|
//! | lines | [`LineReceiver`] on a connection, with a [`LineProtocol`]; [`LineParser`] without one |
//! | netstrings, strings with their length in front | [`NetstringReceiver`], [`Int16StringReceiver`] and the others, with a [`StringProtocol`]; [`FrameParser`] |
//! | a time limit on silence | [`TimeoutProtocol`] around any protocol; [`IdleTimeout`] in one of your own |
//! | a client that connects again | [`ReconnectingClient`] |
//! | what goes over a connection, shown | [`TrafficLogging`] |
//!
//! The parsers know no socket: bytes in, events out, and every way to cut the bytes gives the same events. The chapter
//! `docs/protocols.md` goes over it all.

// | module | what it is |
// |---|---|
// | `line_parser`, `delimiter` | lines out of bytes |
// | `frame_parser` | netstrings and strings with their length in front, out of bytes |
// | `intake` | what the parsers read from |
// | `line_receiver`, `string_receiver` | the parsers on a connection |
// | `idle_timeout`, `timeout_protocol` | a time limit on silence |
// | `traffic` | shows what goes over a connection |
// | `reconnecting` | a client that connects again |
// | `work` | counts what the parsers do, in tests |

mod delimiter;
mod frame_parser;
mod idle_timeout;
mod intake;
mod line_parser;
mod line_receiver;
mod reconnecting;
mod string_receiver;
mod timeout_protocol;
mod traffic;
mod work;

pub use delimiter::Delimiter;
pub use frame_parser::{FrameError, FrameParser, Framing, Int8, Int16, Int32, Netstring, StringTooLong};
pub use idle_timeout::IdleTimeout;
pub use intake::Piece;
pub use line_parser::{LineEvent, LineParser};
pub use line_receiver::{LineProtocol, LineReceiver, LineTransport};
pub use reconnecting::{GaveUp, Reconnected, ReconnectingClient, ReconnectingClientBuilder};
pub use string_receiver::{
    Int8StringReceiver, Int16StringReceiver, Int32StringReceiver, NetstringReceiver, SendStringError,
    StringProtocol, StringReceiver, StringSender,
};
pub use timeout_protocol::TimeoutProtocol;
pub use traffic::{Traffic, TrafficLogging};
