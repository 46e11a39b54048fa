//! What a parser reads from: the piece that has just come, and what was kept of earlier ones.
//!
//! ```text
//!   kept                       piece
//!   [used | of earlier pieces] [used | not looked at yet]
//! ```
//!
//! A frame that lies whole in one place is handed out where it lies. Only one that was cut by the network is put
//! together in `kept`, and `kept` gives its memory back as soon as nothing is in it.

use super::work;

/// Bytes that a peer sent, as they came in one go, and how many of them are used up.
///
/// ```
/// use ropewalk::protocols::{LineEvent, LineParser, Piece};
///
/// let mut parser = LineParser::default();
/// let mut piece = Piece::new(b"one\r\ntw");
/// assert_eq!(parser.next_event(&mut piece), Some(LineEvent::Line(b"one")));
/// assert_eq!(piece.rest(), b"tw");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Piece<'d> {
    data: &'d [u8],
    at: usize,
}

impl<'d> Piece<'d> {
    /// A piece of which nothing is used.
    pub fn new(data: &'d [u8]) -> Piece<'d> {
        Piece { data, at: 0 }
    }

    /// What is not used up.
    pub fn rest(&self) -> &'d [u8] {
        &self.data[self.at..]
    }

    /// Uses up to `n` bytes, and answers them.
    pub(crate) fn take(&mut self, n: usize) -> &'d [u8] {
        let rest = self.rest();
        let taken = &rest[..n.min(rest.len())];
        self.at += taken.len();
        taken
    }

    /// Gives back the last `n` bytes that were taken.
    pub(super) fn give_back(&mut self, n: usize) {
        self.at -= n.min(self.at);
    }
}

/// What was kept of earlier pieces.
#[derive(Debug, Default)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    used: usize,
}

impl Kept {
    /// What is not used up.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.used == self.bytes.len()
    }

    /// Uses `n` bytes and answers them. They stay where they are until something is added or let go.
    pub(super) fn take(&mut self, n: usize) -> &[u8] {
        let from = self.used;
        self.used += n;
        &self.bytes[from..self.used]
    }

    /// Gives back the last `n` bytes that were taken.
    pub(super) fn give_back(&mut self, n: usize) {
        self.used -= n.min(self.used);
    }

    /// Adds bytes behind the others.
    pub(super) fn add(&mut self, more: &[u8]) {
        // Half used or more: the others are moved at most once for each byte that was used.
        if self.used > self.bytes.len() / 2 {
            self.bytes.drain(..self.used);
            self.used = 0;
            work::did(self.bytes.len());
        }
        self.bytes.extend_from_slice(more);
        work::did(more.len());
    }

    /// Lets the memory go if there is nothing in it.
    pub(super) fn let_go(&mut self) {
        if self.is_empty() && self.bytes.capacity() > 0 {
            *self = Kept::default();
        }
    }

    /// Takes all that is not used up.
    pub(super) fn take_all(&mut self) -> Vec<u8> {
        let mut kept = std::mem::take(self);
        kept.bytes.drain(..kept.used);
        kept.bytes
    }
}
