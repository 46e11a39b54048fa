//! The lines up to an empty one: a head, or trailers, out of pieces.
//!
//! Each byte is looked at once, however small the pieces are. What lies whole in one piece is not copied. Every line
//! must end with CR LF; the first that does not is an error at once, not when the head is complete.

use super::error::{ParseError, Part, Problem};
use crate::protocols::Piece;

/// What was kept of a head that is not complete.
#[derive(Debug, Default)]
pub(super) struct HeadCollector {
    kept: Vec<u8>,
    /// How many lines are complete.
    lines: usize,
    /// How many bytes of the line at hand have come, up to 2: 1 is a line that has its CR only, if it has one.
    line: u8,
    /// The byte that came last.
    last: u8,
}

/// What kind of lines are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Response,
    Trailers,
}

/// What every status line begins with.
const HTTP: &[u8] = b"HTTP/";

impl Kind {
    fn part(self) -> Part {
        if self == Kind::Trailers { Part::Trailers } else { Part::Head }
    }

    /// The first of these bytes that cannot stand at the start of a message.
    fn misfit(self, at: usize, bytes: &[u8]) -> Option<usize> {
        match self {
            Kind::Request if at == 0 && !super::method::is_token_byte(bytes[0]) => Some(0),
            Kind::Response if at < HTTP.len() => {
                let found = bytes.iter().zip(&HTTP[at..]).position(|(byte, expected)| byte != expected);
                found.map(|found| at + found)
            }
            _ => None,
        }
    }
}

impl HeadCollector {
    /// Whether nothing of a head has come.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.last == 0
    }

    /// In which line it stands, and how many bytes have come.
    pub(super) fn position(&self) -> (usize, usize) {
        (self.lines + 1, self.kept.len())
    }

    /// Takes bytes up to the end of the head, if it is there, and answers the head with its empty line.
    ///
    /// The answer lies in the piece or in here, where [`done`](HeadCollector::done) lets it go.
    pub(super) fn collect<'a>(
        &'a mut self,
        piece: &mut Piece<'a>,
        kind: Kind,
        limit: usize,
    ) -> Result<Option<&'a [u8]>, ParseError> {
        if kind == Kind::Request && self.kept.is_empty() {
            self.skip_empty_lines(piece)?;
        }
        let rest = piece.rest();
        if rest.is_empty() {
            return Ok(None);
        }
        let before = self.kept.len();
        if let Some(at) = kind.misfit(before, rest) {
            return Err(self.error(kind, Problem::NoHttp, at));
        }
        let room = &rest[..rest.len().min(limit.saturating_sub(before))];
        let end = self.scan(room).map_err(|at| self.error(kind, Problem::BareLf, before + at))?;
        match end {
            Some(end) if before == 0 => Ok(Some(piece.take(end))),
            Some(end) => {
                self.kept.extend_from_slice(piece.take(end));
                Ok(Some(&self.kept))
            }
            None if room.len() < rest.len() => {
                let problem = match kind {
                    Kind::Trailers => Problem::TrailersTooLarge,
                    Kind::Request if self.lines == 0 => Problem::TargetTooLong,
                    _ => Problem::HeadTooLarge,
                };
                Err(self.error(kind, problem, limit))
            }
            None => {
                self.kept.extend_from_slice(piece.take(rest.len()));
                Ok(None)
            }
        }
    }

    /// Lets the head go, for the next one.
    pub(super) fn done(&mut self) {
        *self = HeadCollector::default();
    }

    fn error(&self, kind: Kind, problem: Problem, offset: usize) -> ParseError {
        ParseError { problem, part: kind.part(), line: self.lines + 1, offset: offset as u64 }
    }

    /// Empty lines before a request are what some clients send behind a body (RFC 9112, 2.2).
    fn skip_empty_lines(&mut self, piece: &mut Piece<'_>) -> Result<(), ParseError> {
        while let Some(&byte) = piece.rest().first() {
            match (self.last, byte) {
                (b'\r', b'\n') => self.last = 0,
                (b'\r', _) => return Err(ParseError::head(Problem::BareCr, 1, 0)),
                (_, b'\r') => self.last = byte,
                (_, b'\n') => return Err(ParseError::head(Problem::BareLf, 1, 0)),
                _ => return Ok(()),
            }
            piece.take(1);
        }
        Ok(())
    }

    /// Looks for the end of the head: how many bytes it is away. An error is where an LF stands alone.
    fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, usize> {
        let mut from = 0;
        let (eights, rest) = bytes.as_chunks::<8>();
        for (at, eight) in eights.iter().enumerate() {
            let mut found = zeros(u64::from_le_bytes(*eight) ^ (ONES * u64::from(b'\n')));
            while found != 0 {
                let at = at * 8 + (found.trailing_zeros() / 8) as usize;
                if self.line_ends(bytes, &mut from, at)? {
                    return Ok(Some(at + 1));
                }
                found &= found - 1;
            }
        }
        for at in bytes.len() - rest.len()..bytes.len() {
            if bytes[at] == b'\n' && self.line_ends(bytes, &mut from, at)? {
                return Ok(Some(at + 1));
            }
        }
        if let Some(&last) = bytes.last() {
            self.last = last;
            self.line = (usize::from(self.line) + bytes.len() - from).min(2) as u8;
        }
        Ok(None)
    }

    /// An LF stands at `at`, of a line whose bytes begin at `from`: whether that line is the empty one.
    #[inline]
    fn line_ends(&mut self, bytes: &[u8], from: &mut usize, at: usize) -> Result<bool, usize> {
        let before = if at == 0 { self.last } else { bytes[at - 1] };
        if before != b'\r' {
            return Err(at);
        }
        // The line is empty if nothing but the CR came since its start.
        if at - *from + usize::from(self.line) == 1 {
            return Ok(true);
        }
        self.lines += 1;
        (self.line, *from) = (0, at + 1);
        Ok(false)
    }
}

const ONES: u64 = u64::MAX / 255;

/// Marks the top bit of each byte that is zero, and no other.
#[inline]
const fn zeros(eight: u64) -> u64 {
    const LOW: u64 = ONES * 0x7f;
    !(((eight & LOW) + LOW) | eight | LOW)
}

/// Where a byte stands first: eight bytes at a time, since every byte of a head is looked at.
#[inline]
pub(super) fn find(byte: u8, text: &[u8]) -> Option<usize> {
    let (eights, rest) = text.as_chunks::<8>();
    for (at, eight) in eights.iter().enumerate() {
        let found = zeros(u64::from_le_bytes(*eight) ^ (ONES * u64::from(byte)));
        if found != 0 {
            return Some(at * 8 + (found.trailing_zeros() / 8) as usize);
        }
    }
    rest.iter().position(|&found| found == byte).map(|found| eights.len() * 8 + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_found_where_it_stands_first() {
        for length in 0..40 {
            for at in 0..=length {
                let mut text = vec![b'\x0b'; length];
                text[at..].fill(b'\n');
                assert_eq!(find(b'\n', &text), (at < length).then_some(at), "{length} {at}");
            }
        }
        assert_eq!(find(b'\n', b"\x8a\x0b\x09\xff\x00\x0b\x0b\x0b\x0b"), None);
    }
}
