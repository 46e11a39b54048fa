//! Strings with their length in front, out of bytes: a state machine that knows no socket.
//!
//! ```text
//!   Int16:      [len: 2 bytes, big endian] [len bytes]
//!   Netstring:  [len: decimal digits] ':'  [len bytes] ','
//! ```

use std::error::Error;
use std::fmt;
use std::io::Write;
use std::marker::PhantomData;

use super::intake::{Kept, Piece};
use super::work;

/// A way to say where a string ends: its length, in front of it.
///
/// Sealed: [`Int8`], [`Int16`], [`Int32`] and [`Netstring`] are the ways there are.
///
/// ```
/// use ropewalk::protocols::{FrameParser, Framing, Int16, Netstring};
///
/// /// The bytes of a list of strings.
/// fn encode<F: Framing>(strings: &[&str]) -> Vec<u8> {
///     let mut out = Vec::new();
///     for string in strings {
///         FrameParser::<F>::write(string.as_bytes(), &mut out).expect("they are short");
///     }
///     out
/// }
///
/// assert_eq!(encode::<Netstring>(&["If I", "were"]), b"4:If I,4:were,");
/// assert_eq!(encode::<Int16>(&["If I", "were"]), b"\0\x04If I\0\x04were");
/// ```
pub trait Framing: sealed::Framing + fmt::Debug + 'static {}

mod sealed {
    use super::{FrameError, Header};

    #[allow(unreachable_pub)] // the way to seal a trait
    pub trait Framing {
        /// What stands behind a string.
        const TRAILER: &'static [u8];
        /// No header is longer, for strings of at most `max_length` bytes.
        fn longest_header(max_length: usize) -> usize;
        /// The longest string that a header can tell of.
        const LONGEST: usize;
        /// Reads the header at the start of `bytes`; `None` if it goes on behind them.
        fn header(bytes: &[u8], max_length: usize) -> Result<Option<Header>, FrameError>;
        /// Writes the header of a string of `length` bytes, at most [`LONGEST`](Framing::LONGEST), to the start of
        /// `out`, and answers how long it is.
        fn put_header(length: usize, out: &mut [u8; super::HEADER]) -> usize;
    }
}

/// Room for every header: 20 digits and a colon.
const HEADER: usize = 21;

/// What a header says.
#[derive(Clone, Copy, Debug)]
#[allow(unreachable_pub)] // named by the sealed trait
pub struct Header {
    /// Its own length.
    size: usize,
    /// The string's length.
    length: usize,
}

/// What a peer sent is no string of this framing. Nothing tells where the next one begins, so it is the end.
///
/// ```
/// use ropewalk::protocols::{FrameError, FrameParser, Netstring, Piece};
///
/// let read = |data: &[u8]| {
///     let mut parser = FrameParser::<Netstring>::new(100);
///     parser.next_string(&mut Piece::new(data)).unwrap().map(drop)
/// };
/// assert_eq!(read(b"5:hello,"), Ok(()));
/// assert_eq!(read(b"hello"), Err(FrameError::BadLength));
/// assert_eq!(read(b"5:hello!"), Err(FrameError::NoComma));
/// // Known before it has come.
/// let error = read(b"101:").unwrap_err();
/// assert_eq!(error, FrameError::TooLong { length: 101, max_length: 100 });
/// assert_eq!(error.to_string(), "the peer sends a string of 101 bytes or more, and 100 are allowed");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// A string is longer than the maximum. For a netstring the length is the least that its digits can mean.
    TooLong {
        /// What the header says, in bytes.
        length: usize,
        /// The maximum.
        max_length: usize,
    },
    /// A netstring does not begin with its length in digits and a colon, or the length has a zero in front.
    BadLength,
    /// There is no comma behind a netstring.
    NoComma,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::TooLong { length, max_length } => {
                write!(f, "the peer sends a string of {length} bytes or more, and {max_length} are allowed")
            }
            FrameError::BadLength => {
                f.write_str("the peer sends no netstring: a length in digits and a colon must come first")
            }
            FrameError::NoComma => f.write_str("the peer sends no netstring: there is no comma behind the string"),
        }
    }
}

impl Error for FrameError {}

/// A string is too long to be sent: its length does not fit into the header.
///
/// ```
/// use ropewalk::protocols::{FrameParser, Int8, StringTooLong};
///
/// let mut out = Vec::new();
/// let error = FrameParser::<Int8>::write(&[b'x'; 256], &mut out).unwrap_err();
/// assert_eq!(error, StringTooLong { length: 256, longest: 255 });
/// assert!(out.is_empty());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StringTooLong {
    /// The string's length, in bytes.
    pub length: usize,
    /// The longest string that can be sent.
    pub longest: usize,
}

impl fmt::Display for StringTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StringTooLong { length, longest } = self;
        write!(f, "a string of {length} bytes cannot be sent: the length in front of it goes up to {longest}")
    }
}

impl Error for StringTooLong {}

/// Takes bytes, however the network has cut them, and gives the strings in them.
///
/// It holds a string that has not ended, at most the maximum and its header, and what is given to
/// [`keep`](FrameParser::keep). Memory is taken for what has come, not for what a header promises. A string that lies
/// whole in one piece is not copied. After an error there are no more strings, and what comes is thrown away.
///
/// ```
/// use ropewalk::protocols::{FrameParser, Netstring, Piece};
///
/// let mut parser = FrameParser::<Netstring>::default();
/// assert_eq!(parser.next_string(&mut Piece::new(b"5:hel")), None);
/// let mut piece = Piece::new(b"lo,0:,");
/// assert_eq!(parser.next_string(&mut piece), Some(Ok(&b"hello"[..])));
/// assert_eq!(parser.next_string(&mut piece), Some(Ok(&b""[..])));
/// assert_eq!(parser.next_string(&mut piece), None);
/// ```
#[derive(Debug)]
pub struct FrameParser<F> {
    max_length: usize,
    kept: Kept,
    broken: bool,
    framing: PhantomData<F>,
}

impl<F: Framing> FrameParser<F> {
    /// The longest string unless another maximum is set, in bytes: Twisted's `MAX_LENGTH`.
    pub const MAX_LENGTH: usize = 99999;

    /// For strings of at most `max_length` bytes.
    pub fn new(max_length: usize) -> FrameParser<F> {
        FrameParser { max_length, kept: Kept::default(), broken: false, framing: PhantomData }
    }

    /// The longest string, in bytes.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// The next string of what is kept and then of `piece`; `None` when all of it is used up.
    ///
    /// # Errors
    ///
    /// [`FrameError`], once: what the peer sends cannot be understood from here on.
    pub fn next_string<'a, 'd: 'a>(&'a mut self, piece: &mut Piece<'d>) -> Option<Result<&'a [u8], FrameError>> {
        if self.broken {
            piece.take(usize::MAX);
            return None;
        }
        let in_kept = !self.kept.is_empty();
        if !in_kept {
            self.kept.let_go();
            if piece.rest().is_empty() {
                return None;
            }
        }
        let found = if in_kept { self.complete(piece) } else { F::frame(piece.rest(), self.max_length) };
        match found {
            Ok(Some(Header { size, length })) => {
                let total = size + length + F::TRAILER.len();
                let frame = if in_kept { self.kept.take(total) } else { piece.take(total) };
                Some(Ok(&frame[size..size + length]))
            }
            Ok(None) => {
                self.kept.add(piece.take(usize::MAX));
                None
            }
            Err(error) => {
                self.broken = true;
                self.kept = Kept::default();
                piece.take(usize::MAX);
                Some(Err(error))
            }
        }
    }

    /// Puts as much of the piece behind what is kept as completes a string, and answers its header.
    fn complete(&mut self, piece: &mut Piece<'_>) -> Result<Option<Header>, FrameError> {
        // The header first, which says how much more is wanted.
        let header = loop {
            match F::header(self.kept.rest(), self.max_length)? {
                Some(header) => break header,
                None if piece.rest().is_empty() => return Ok(None),
                None => self.kept.add(piece.take(F::longest_header(self.max_length))),
            }
        };
        let total = header.length.saturating_add(header.size + F::TRAILER.len());
        let missing = total.saturating_sub(self.kept.rest().len());
        self.kept.add(piece.take(missing));
        F::frame(self.kept.rest(), self.max_length)
    }

    /// Keeps what is left of a piece, for when nobody wants strings now.
    pub fn keep(&mut self, piece: &mut Piece<'_>) {
        let rest = piece.take(usize::MAX);
        if !self.broken {
            self.kept.add(rest);
        }
    }

    /// How many bytes it holds.
    pub fn buffered(&self) -> usize {
        self.kept.rest().len()
    }

    /// Appends `string` to `out` as it is sent: with its length, and what stands behind it.
    ///
    /// ```
    /// use ropewalk::protocols::{FrameParser, Int16, Netstring};
    ///
    /// let mut out = Vec::new();
    /// FrameParser::<Netstring>::write(b"hello", &mut out)?;
    /// FrameParser::<Int16>::write(b"hello", &mut out)?;
    /// assert_eq!(out, b"5:hello,\0\x05hello");
    /// # Ok::<(), ropewalk::protocols::StringTooLong>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The length does not fit into the header. `out` is as before.
    pub fn write(string: &[u8], out: &mut Vec<u8>) -> Result<(), StringTooLong> {
        Self::with_parts(string, |parts| parts.iter().for_each(|part| out.extend_from_slice(part)))
    }

    /// Hands `f` the parts of a string as it is sent.
    pub(super) fn with_parts<R>(string: &[u8], f: impl FnOnce(&[&[u8]; 3]) -> R) -> Result<R, StringTooLong> {
        let length = string.len();
        if length > F::LONGEST {
            return Err(StringTooLong { length, longest: F::LONGEST });
        }
        let mut header = [0; HEADER];
        let size = F::put_header(length, &mut header);
        Ok(f(&[&header[..size], string, F::TRAILER]))
    }
}

impl<F: Framing> Default for FrameParser<F> {
    /// For strings of at most 99999 bytes.
    fn default() -> FrameParser<F> {
        FrameParser::new(FrameParser::<F>::MAX_LENGTH)
    }
}

/// The header of a string that lies whole at the start of `bytes`.
trait Frame: sealed::Framing {
    fn frame(bytes: &[u8], max_length: usize) -> Result<Option<Header>, FrameError> {
        let Some(header) = Self::header(bytes, max_length)? else { return Ok(None) };
        let Some(behind) = bytes.get(header.length.saturating_add(header.size)..) else { return Ok(None) };
        match behind.get(..Self::TRAILER.len()) {
            None => Ok(None),
            Some(trailer) if trailer == Self::TRAILER => Ok(Some(header)),
            Some(_) => Err(FrameError::NoComma),
        }
    }
}

impl<F: sealed::Framing + ?Sized> Frame for F {}

macro_rules! prefixed {
    ($(#[$doc:meta])* $name:ident, $int:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl Framing for $name {}

        impl sealed::Framing for $name {
            const TRAILER: &'static [u8] = b"";
            const LONGEST: usize = <$int>::MAX as usize;

            fn longest_header(_: usize) -> usize {
                size_of::<$int>()
            }

            fn header(bytes: &[u8], max_length: usize) -> Result<Option<Header>, FrameError> {
                work::did(size_of::<$int>());
                let Some((prefix, _)) = bytes.split_first_chunk() else { return Ok(None) };
                let length = <$int>::from_be_bytes(*prefix) as usize;
                if length > max_length {
                    return Err(FrameError::TooLong { length, max_length });
                }
                Ok(Some(Header { size: prefix.len(), length }))
            }

            fn put_header(length: usize, out: &mut [u8; HEADER]) -> usize {
                let prefix = (length as $int).to_be_bytes();
                out[..prefix.len()].copy_from_slice(&prefix);
                prefix.len()
            }
        }
    };
}

prefixed! {
    /// Strings with their length in front, in one byte: at most 255 bytes. Twisted's `Int8StringReceiver`.
    ///
    /// ```
    /// use ropewalk::protocols::{FrameParser, Int8, Piece};
    ///
    /// let mut parser = FrameParser::<Int8>::default();
    /// assert_eq!(parser.next_string(&mut Piece::new(b"\x05hello\x03")), Some(Ok(&b"hello"[..])));
    /// ```
    Int8, u8
}
prefixed! {
    /// Strings with their length in front, in two bytes, big endian: at most 65535 bytes. Twisted's
    /// `Int16StringReceiver`.
    ///
    /// ```
    /// use ropewalk::protocols::{FrameParser, Int16};
    ///
    /// let mut out = Vec::new();
    /// FrameParser::<Int16>::write(&[b'x'; 258], &mut out)?;
    /// assert_eq!(out[..3], *b"\x01\x02x");
    /// # Ok::<(), ropewalk::protocols::StringTooLong>(())
    /// ```
    Int16, u16
}
prefixed! {
    /// Strings with their length in front, in four bytes, big endian. Twisted's `Int32StringReceiver`.
    ///
    /// ```
    /// use ropewalk::protocols::{FrameError, FrameParser, Int32, Piece};
    ///
    /// // A length of four bytes can promise 4 GiB: the maximum is what a peer can make this side hold.
    /// let mut parser = FrameParser::<Int32>::new(1000);
    /// let string = parser.next_string(&mut Piece::new(b"\xff\xff\xff\xff"));
    /// assert!(matches!(string, Some(Err(FrameError::TooLong { max_length: 1000, .. }))));
    /// ```
    Int32, u32
}

/// Strings as `5:hello,`: the length in decimal digits, a colon, the string, a comma. Twisted's `NetstringReceiver`;
/// the format is D. J. Bernstein's (<https://cr.yp.to/proto/netstrings.txt>).
///
/// ```
/// use ropewalk::protocols::{FrameParser, Netstring, Piece};
///
/// let mut piece = Piece::new(b"3:If ,6:I were,");
/// let mut parser = FrameParser::<Netstring>::default();
/// let mut poem = Vec::new();
/// while let Some(string) = parser.next_string(&mut piece) {
///     poem.extend_from_slice(string?);
/// }
/// assert_eq!(poem, b"If I were");
/// # Ok::<(), ropewalk::protocols::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Netstring {}

impl Framing for Netstring {}

impl sealed::Framing for Netstring {
    const TRAILER: &'static [u8] = b",";
    const LONGEST: usize = usize::MAX;

    fn longest_header(max_length: usize) -> usize {
        max_length.checked_ilog10().unwrap_or(0) as usize + 2
    }

    fn header(bytes: &[u8], max_length: usize) -> Result<Option<Header>, FrameError> {
        let mut length = 0usize;
        for (at, &byte) in bytes.iter().enumerate() {
            work::did(1);
            match byte {
                b':' if at > 0 => return Ok(Some(Header { size: at + 1, length })),
                b'0'..=b'9' if at == 0 || length > 0 => {
                    length = length.saturating_mul(10).saturating_add(usize::from(byte - b'0'));
                    if length > max_length {
                        return Err(FrameError::TooLong { length, max_length });
                    }
                }
                _ => return Err(FrameError::BadLength),
            }
        }
        Ok(None)
    }

    fn put_header(length: usize, out: &mut [u8; HEADER]) -> usize {
        let mut rest = &mut out[..];
        let written = write!(rest, "{length}:");
        debug_assert!(written.is_ok(), "a usize has at most 20 digits");
        HEADER - rest.len()
    }
}
