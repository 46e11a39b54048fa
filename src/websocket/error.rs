//! What was wrong with a peer's frames, and where.

use std::error::Error;
use std::fmt;

use super::close::CloseCode;

/// What is wrong with a frame.
///
/// ```
/// use ropewalk::websocket::{CloseCode, FrameProblem};
///
/// assert_eq!(FrameProblem::Unmasked.to_string(), "a client's frame is not masked");
/// assert_eq!(FrameProblem::Unmasked.close_code(), CloseCode::PROTOCOL_ERROR);
/// assert_eq!(FrameProblem::NotUtf8.close_code(), CloseCode::INVALID_DATA);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameProblem {
    /// Reserved bits are set, and no extension was agreed upon that has a meaning for them in this frame (5.2).
    ReservedBits,
    /// An opcode that nobody knows (5.2).
    Opcode(u8),
    /// A client's frame that is not masked (5.1).
    Unmasked,
    /// A server's frame that is masked (5.1).
    Masked,
    /// A control frame in fragments (5.4).
    FragmentedControl,
    /// A control frame of more than 125 bytes (5.5).
    LongControl,
    /// A length in more bytes than it needs (5.2).
    LengthNotMinimal,
    /// A length of 2^63 or more (5.2).
    LengthTooLarge,
    /// A continuation with nothing before it (5.4).
    NothingToContinue,
    /// A new message before the one at hand is complete (5.4).
    NotContinued,
    /// A frame that is longer than the limit.
    FrameTooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// A message that is longer than the limit.
    MessageTooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// A text message that is not UTF-8 (5.6, 8.1).
    NotUtf8,
    /// A close frame with one byte: half of a code (5.5.1).
    CloseLength,
    /// A close frame with a code that is never sent (7.4).
    CloseCode(u16),
    /// A close frame whose reason is not UTF-8 (5.5.1).
    CloseReason,
    /// A compressed message that cannot be unpacked (RFC 7692, 7.2.2).
    Deflate,
}

impl FrameProblem {
    /// What a peer is told of it (7.4.1).
    pub fn close_code(self) -> CloseCode {
        match self {
            FrameProblem::NotUtf8 | FrameProblem::CloseReason | FrameProblem::Deflate => CloseCode::INVALID_DATA,
            FrameProblem::FrameTooLarge { .. } | FrameProblem::MessageTooLarge { .. } => CloseCode::TOO_LARGE,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for FrameProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FrameProblem::ReservedBits => "reserved bits are set that have no meaning here",
            FrameProblem::Opcode(code) => return write!(f, "nobody knows the opcode {code}"),
            FrameProblem::Unmasked => "a client's frame is not masked",
            FrameProblem::Masked => "a server's frame is masked",
            FrameProblem::FragmentedControl => "a control frame is fragmented",
            FrameProblem::LongControl => "a control frame has more than 125 bytes",
            FrameProblem::LengthNotMinimal => "the length takes more bytes than it needs",
            FrameProblem::LengthTooLarge => "the length has its highest bit set",
            FrameProblem::NothingToContinue => "a continuation has nothing before it",
            FrameProblem::NotContinued => "a message begins before the one at hand is complete",
            FrameProblem::FrameTooLarge { limit } => return write!(f, "a frame has more than {limit} bytes"),
            FrameProblem::MessageTooLarge { limit } => return write!(f, "a message has more than {limit} bytes"),
            FrameProblem::NotUtf8 => "a text message is not UTF-8",
            FrameProblem::CloseLength => "a close frame has one byte, half of a code",
            FrameProblem::CloseCode(code) => {
                return write!(f, "a close frame has the code {code}, which is never sent");
            }
            FrameProblem::CloseReason => "the reason in a close frame is not UTF-8",
            FrameProblem::Deflate => "a compressed message cannot be unpacked",
        })
    }
}

/// Bytes that break the protocol: what is wrong, and in which frame.
///
/// ```
/// use ropewalk::protocols::Piece;
/// use ropewalk::websocket::{FrameProblem, Limits, MessageDecoder, Role};
///
/// // A pong, and then a text that is longer than this server takes.
/// let mut decoder = MessageDecoder::new(Role::Server, Limits::of_message(10));
/// let mut piece = Piece::new(b"\x8a\x80\0\0\0\0\x81\x8b");
/// decoder.next_event(&mut piece)?;
/// let error = decoder.next_event(&mut piece).unwrap_err();
/// assert_eq!(error.problem(), FrameProblem::FrameTooLarge { limit: 10 });
/// assert_eq!((error.frame(), error.offset(), error.close_code().code()), (2, 6, 1009));
/// # Ok::<(), ropewalk::websocket::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameError {
    pub(super) problem: FrameProblem,
    pub(super) frame: u64,
    pub(super) offset: u64,
}

impl FrameError {
    /// What is wrong.
    pub fn problem(&self) -> FrameProblem {
        self.problem
    }

    /// In which frame of the connection, from 1.
    pub fn frame(&self) -> u64 {
        self.frame
    }

    /// How many bytes came before that frame, since the handshake.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What a peer is told of it.
    pub fn close_code(&self) -> CloseCode {
        self.problem.close_code()
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (frame {}, byte {})", self.problem, self.frame, self.offset)
    }
}

impl Error for FrameError {}
