//! Chunked bodies (RFC 9112, 7.1), both ways.
//!
//! ```text
//!  5;name=value CR LF  h e l l o CR LF  0 CR LF  Field: value CR LF  CR LF
//!  size  extension     data                      trailers            end
//! ```

use super::body_decoder::BodyEvent;
use super::error::{ParseError, Part, Problem};
use super::head_collector::{HeadCollector, Kind};
use super::head_parser;
use super::limits::Limits;
use crate::protocols::Piece;

/// How many bytes of extensions one body may have in all. Without it a peer could send 256 bytes of them for each byte
/// of data, for ever.
const EXTENSIONS: usize = 16 * 1024;

/// What stands behind the last data of a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What comes next in a chunked body.
#[derive(Debug)]
enum State {
    /// A digit of a size, of which so many have come.
    Size {
        digits: u8,
    },
    /// Whitespace behind the size: an extension must follow, or, in a response, the end of the line.
    Space,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
}

/// Takes a chunked body apart.
#[derive(Debug)]
pub(super) struct ChunkedDecoder {
    state: State,
    /// How much of the chunk is still to come; while its size is read, the size so far.
    left: u64,
    /// How long the line of the size is so far.
    line: usize,
    /// The extensions of all chunks.
    extensions: usize,
    /// How many bytes of the body were read.
    offset: u64,
    /// Whether some servers' habits are forgiven.
    lenient: bool,
    trailers: HeadCollector,
}

impl ChunkedDecoder {
    pub(super) fn new(lenient: bool) -> ChunkedDecoder {
        ChunkedDecoder {
            state: State::Size { digits: 0 },
            left: 0,
            line: 0,
            extensions: 0,
            offset: 0,
            lenient,
            trailers: HeadCollector::default(),
        }
    }

    pub(super) fn next_event<'p>(
        &mut self,
        piece: &mut Piece<'p>,
        limits: &Limits,
    ) -> Result<Option<BodyEvent<'p>>, ParseError> {
        loop {
            match self.state {
                State::Trailers => return self.trailers(piece, limits),
                State::Data => {
                    let most = usize::try_from(self.left).unwrap_or(usize::MAX);
                    let data = piece.take(most);
                    if data.is_empty() {
                        return Ok(None);
                    }
                    self.offset += data.len() as u64;
                    self.left -= data.len() as u64;
                    if self.left == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(Some(BodyEvent::Data(data)));
                }
                _ => {
                    let Some(&byte) = piece.rest().first() else { return Ok(None) };
                    self.state =
                        self.step(byte, limits).map_err(|problem| ParseError::body(problem, self.offset))?;
                    piece.take(1);
                    self.offset += 1;
                }
            }
        }
    }

    /// One byte of what frames the data.
    fn step(&mut self, byte: u8, limits: &Limits) -> Result<State, Problem> {
        if !matches!(self.state, State::DataCr | State::DataLf) {
            self.line += 1;
            if self.line > limits.chunk_line && byte != b'\n' {
                return Err(Problem::ChunkLineTooLong);
            }
        }
        Ok(match (&self.state, byte) {
            (State::Size { digits }, _) if byte.is_ascii_hexdigit() => {
                let digits = digits + 1;
                // The size fits into 64 bits.
                if digits > 16 {
                    return Err(Problem::ChunkSize);
                }
                self.left = self.left * 16 + u64::from((byte as char).to_digit(16).unwrap_or(0));
                State::Size { digits }
            }
            (State::Size { digits: 0 }, _) => return Err(Problem::ChunkSize),
            (State::Size { .. }, b'\r') => State::SizeLf,
            (State::Size { .. } | State::Space, b';') => State::Extension,
            (State::Size { .. } | State::Space, b' ' | b'\t') => State::Space,
            (State::Size { .. }, b'\n') => return Err(Problem::BareLf),
            (State::Size { .. }, _) => return Err(Problem::ChunkSize),
            (State::Space, b'\r') if self.lenient => State::SizeLf,
            (State::Extension, b'\r') => State::SizeLf,
            (State::Extension, b'\n') => return Err(Problem::BareLf),
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => {
                self.extensions += 1;
                if self.extensions > EXTENSIONS {
                    return Err(Problem::ChunkLineTooLong);
                }
                State::Extension
            }
            (State::SizeLf, b'\n') => {
                self.line = 0;
                if self.left == 0 { State::Trailers } else { State::Data }
            }
            (State::SizeLf | State::Space | State::Extension, _) => return Err(Problem::ChunkLine),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size { digits: 0 },
            (State::DataCr | State::DataLf, _) => return Err(Problem::ChunkEnd),
            // Those have no steps.
            (State::Data | State::Trailers, _) => return Err(Problem::ChunkLine),
        })
    }

    fn trailers<'p>(
        &mut self,
        piece: &mut Piece<'p>,
        limits: &Limits,
    ) -> Result<Option<BodyEvent<'p>>, ParseError> {
        // Its answer may lie in the collector, so what is taken from the piece is noted apart.
        let mut own = Piece::new(piece.rest());
        let before = own.rest().len();
        let found = self.trailers.collect(&mut own, Kind::Trailers, limits.trailers)?;
        let trailers = found.map(|lines| head_parser::trailers(lines, limits)).transpose()?;
        let taken = before - own.rest().len();
        piece.take(taken);
        self.offset += taken as u64;
        if trailers.is_some() {
            self.trailers.done();
        }
        Ok(trailers.map(BodyEvent::End))
    }

    /// An error for a peer that closed here.
    pub(super) fn unexpected_end(&self) -> ParseError {
        let part = if matches!(self.state, State::Trailers) { Part::Trailers } else { Part::Body };
        ParseError { problem: Problem::UnexpectedEnd, part, line: 0, offset: self.offset }
    }
}

/// What stands before the data of a chunk: its size and CR LF. Behind the data stands CR LF.
///
/// ```
/// use ropewalk::http::ChunkHead;
///
/// assert_eq!(ChunkHead::new(255).as_bytes(), b"ff\r\n");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ChunkHead {
    text: [u8; 18],
    start: usize,
}

impl ChunkHead {
    /// Of a chunk of so many bytes; not of 0, which is the end of a body.
    pub fn new(bytes: usize) -> ChunkHead {
        let mut text = [0; 18];
        text[16..].copy_from_slice(b"\r\n");
        let (mut start, mut left) = (16, bytes as u64);
        loop {
            start -= 1;
            text[start] = b"0123456789abcdef"[(left % 16) as usize];
            left /= 16;
            if left == 0 {
                return ChunkHead { text, start };
            }
        }
    }

    /// The bytes of it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[self.start..]
    }
}

/// Writes data as one chunk; nothing for no data, since an empty chunk is the end of a body.
///
/// ```
/// use ropewalk::http::encode_chunk;
///
/// let mut out = Vec::new();
/// encode_chunk(b"If I were a rope", &mut out);
/// encode_chunk(b"", &mut out);
/// assert_eq!(out, b"10\r\nIf I were a rope\r\n");
/// ```
pub fn encode_chunk(data: &[u8], out: &mut Vec<u8>) {
    if !data.is_empty() {
        out.extend_from_slice(ChunkHead::new(data.len()).as_bytes());
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes the end of a body, with its trailers.
///
/// ```
/// use ropewalk::http::{Headers, encode_last_chunk};
///
/// let mut out = Vec::new();
/// let mut trailers = Headers::new();
/// trailers.append("Digest", "sha-256=6SZD")?;
/// encode_last_chunk(&trailers, &mut out);
/// assert_eq!(out, b"0\r\nDigest: sha-256=6SZD\r\n\r\n");
/// # Ok::<(), ropewalk::http::InvalidHeader>(())
/// ```
pub fn encode_last_chunk(trailers: &super::Headers, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    trailers.encode(out);
    out.extend_from_slice(b"\r\n");
}
