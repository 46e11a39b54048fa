//! Why a peer closes.

use std::fmt;

use super::error::FrameProblem;

/// A status code of a close frame (RFC 6455, 7.4).
///
/// ```
/// use ropewalk::websocket::CloseCode;
///
/// assert_eq!(CloseCode::new(4000).map(CloseCode::code), Some(4000)); // for any use
/// assert_eq!(CloseCode::new(1006), None); // never sent
/// assert_eq!(CloseCode::TOO_LARGE.to_string(), "1009 (message too large)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: what the connection was for is done.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// 1001: a server goes down, or a page is left.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// 1002: the other side broke the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// 1003: a kind of data that this side does not take.
    pub const UNSUPPORTED_DATA: CloseCode = CloseCode(1003);
    /// 1007: text that is not UTF-8, or other data that is not what it should be.
    pub const INVALID_DATA: CloseCode = CloseCode(1007);
    /// 1008: a message against the rules of this side, when no other code fits.
    pub const POLICY_VIOLATION: CloseCode = CloseCode(1008);
    /// 1009: a message that is too large.
    pub const TOO_LARGE: CloseCode = CloseCode(1009);
    /// 1011: a server met something unexpected.
    pub const INTERNAL_ERROR: CloseCode = CloseCode(1011);

    /// A code that may be sent: 1000 to 1003, 1007 to 1014, and 3000 to 4999, of which those from 4000 on are for any use.
    /// `None` for all others: they are reserved, or have a meaning that is never sent.
    pub fn new(code: u16) -> Option<CloseCode> {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999).then_some(CloseCode(code))
    }

    /// The number.
    pub fn code(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            1000 => "done",
            1001 => "going away",
            1002 => "protocol error",
            1003 => "unsupported data",
            1007 => "invalid data",
            1008 => "policy violation",
            1009 => "message too large",
            1010 => "extension missing",
            1011 => "internal error",
            1012 => "restarting",
            1013 => "try again later",
            1014 => "bad gateway",
            code => return write!(f, "{code}"),
        };
        write!(f, "{} ({text})", self.0)
    }
}

/// What a close frame says: a code, and a reason for people. Without a code it says nothing, which is allowed.
///
/// ```
/// use ropewalk::websocket::{Close, CloseCode};
///
/// let close = Close::new(CloseCode::GOING_AWAY, "until tomorrow");
/// assert_eq!(close.to_string(), "1001 (going away): until tomorrow");
/// assert_eq!(Close::default().to_string(), "without a code");
/// assert_eq!(Close::new(CloseCode::NORMAL, &"a".repeat(200)).reason.len(), 123);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Close {
    /// Why; `None` if the peer does not say.
    pub code: Option<CloseCode>,
    /// The reason, at most 123 bytes; empty without a code.
    pub reason: String,
}

/// What a control frame has room for, less the code.
const REASON: usize = 123;

impl Close {
    /// With a code and a reason, which is cut after 123 bytes.
    pub fn new(code: CloseCode, reason: &str) -> Close {
        let end = (0..=REASON.min(reason.len())).rev().find(|&end| reason.is_char_boundary(end)).unwrap_or(0);
        Close { code: Some(code), reason: reason[..end].to_owned() }
    }

    /// Out of the payload of a close frame.
    pub(super) fn parse(payload: &[u8]) -> Result<Close, FrameProblem> {
        let Some((code, reason)) = payload.split_first_chunk::<2>() else {
            return if payload.is_empty() { Ok(Close::default()) } else { Err(FrameProblem::CloseLength) };
        };
        let number = u16::from_be_bytes(*code);
        let code = CloseCode::new(number).ok_or(FrameProblem::CloseCode(number))?;
        let reason = std::str::from_utf8(reason).map_err(|_| FrameProblem::CloseReason)?;
        Ok(Close { code: Some(code), reason: reason.to_owned() })
    }

    /// The payload of a close frame.
    pub(super) fn payload(&self) -> Vec<u8> {
        let Some(code) = self.code else { return Vec::new() };
        let Close { reason, .. } = Close::new(code, &self.reason);
        [&code.0.to_be_bytes(), reason.as_bytes()].concat()
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.reason.as_str()) {
            (None, _) => f.write_str("without a code"),
            (Some(code), "") => write!(f, "{code}"),
            (Some(code), reason) => write!(f, "{code}: {reason}"),
        }
    }
}
