//! What ends a line, and how it is found in one pass, however the bytes are cut.

use std::borrow::Cow;
use std::io::BufRead;

use super::work;

/// The bytes that end a line: any, at least one.
///
/// ```
/// use ropewalk::protocols::Delimiter;
///
/// assert_eq!(Delimiter::default().as_bytes(), b"\r\n");
/// assert_eq!(Delimiter::new(b"END").as_bytes(), b"END");
/// ```
#[derive(Clone, Debug)]
pub struct Delimiter {
    bytes: Cow<'static, [u8]>,
    /// For each n >= 1, at n - 1: how long the longest proper prefix of `bytes[..n]` is that is its end as well
    /// (the failure table of Knuth, Morris and Pratt). So a byte that does not fit costs no look back at the others.
    borders: Cow<'static, [usize]>,
}

impl Delimiter {
    /// Carriage return and line feed: the default.
    pub const CRLF: Delimiter = Delimiter { bytes: Cow::Borrowed(b"\r\n"), borders: Cow::Borrowed(&[0, 0]) };

    /// A line feed alone.
    pub const LF: Delimiter = Delimiter { bytes: Cow::Borrowed(b"\n"), borders: Cow::Borrowed(&[0]) };

    /// Lines that end with `bytes`.
    ///
    /// # Panics
    ///
    /// When `bytes` is empty.
    #[track_caller]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Delimiter {
        let bytes = bytes.into();
        assert!(!bytes.is_empty(), "a delimiter has at least one byte");
        let mut borders = Vec::with_capacity(bytes.len());
        borders.push(0);
        let mut matched = 0;
        for &byte in &bytes[1..] {
            while matched > 0 && bytes[matched] != byte {
                matched = borders[matched - 1];
            }
            matched += usize::from(bytes[matched] == byte);
            borders.push(matched);
        }
        Delimiter { bytes: bytes.into(), borders: borders.into() }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Looks for the delimiter in `bytes`, and answers where it ends. `matched` is how much of it ended the bytes
    /// before these, and is kept up to date.
    pub(super) fn find(&self, matched: &mut usize, bytes: &[u8]) -> Option<usize> {
        let wanted = &*self.bytes;
        let mut at = 0;
        loop {
            if *matched == 0 {
                // The fastest way to a byte that the standard library has: the C library's `memchr`.
                let mut rest = &bytes[at..];
                let passed = rest.skip_until(wanted[0]).unwrap_or(0);
                work::did(passed);
                at += passed;
                if at == 0 || bytes[at - 1] != wanted[0] {
                    return None;
                }
                *matched = 1;
            } else {
                let &byte = bytes.get(at)?;
                at += 1;
                work::did(1);
                while *matched > 0 && wanted[*matched] != byte {
                    *matched = self.borders[*matched - 1];
                    work::did(1);
                }
                *matched += usize::from(wanted[*matched] == byte);
            }
            if *matched == wanted.len() {
                *matched = 0;
                return Some(at);
            }
        }
    }
}

impl Default for Delimiter {
    fn default() -> Delimiter {
        Delimiter::CRLF
    }
}

impl PartialEq for Delimiter {
    fn eq(&self, other: &Delimiter) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Delimiter {}

impl<T: Into<Vec<u8>>> From<T> for Delimiter {
    #[track_caller]
    fn from(bytes: T) -> Delimiter {
        Delimiter::new(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The obvious way.
    fn first(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
        bytes.windows(wanted.len()).position(|window| window == wanted).map(|start| start + wanted.len())
    }

    /// Every text of up to `length` letters out of two.
    fn texts(length: u32) -> impl Iterator<Item = Vec<u8>> {
        (0..=length)
            .flat_map(|n| (0..1u32 << n).map(move |bits| (0..n).map(|i| b'a' + (bits >> i & 1) as u8).collect()))
    }

    #[test]
    fn finds_what_the_obvious_way_finds_wherever_the_text_is_cut() {
        for wanted in texts(5).filter(|wanted| !wanted.is_empty()) {
            let delimiter = Delimiter::new(wanted.clone());
            for text in texts(9) {
                let expected = first(&text, &wanted);
                for cut in 0..=text.len() {
                    let mut matched = 0;
                    let found = delimiter
                        .find(&mut matched, &text[..cut])
                        .or_else(|| delimiter.find(&mut matched, &text[cut..]).map(|end| end + cut));
                    assert_eq!(found, expected, "{wanted:?} in {text:?} cut at {cut}");
                }
            }
        }
    }
}
