//! What was wrong with a message, and where.

use std::error::Error;
use std::fmt;

use super::status::Status;

/// The part of a message in which something was wrong.
///
/// ```
/// use ropewalk::http::{Event, Limits, Part, RequestDecoder};
/// use ropewalk::protocols::Piece;
///
/// let mut decoder = RequestDecoder::new(Limits::default());
/// let mut piece = Piece::new(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nten\r\n");
/// assert!(matches!(decoder.next_event(&mut piece), Ok(Some(Event::Head(_)))));
/// let error = decoder.next_event(&mut piece).unwrap_err();
/// assert_eq!(error.part(), Part::Body);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The head: the request or status line, and the header fields.
    Head,
    /// The body, with what frames it.
    Body,
    /// The trailers behind a chunked body.
    Trailers,
}

/// What is wrong with a message.
///
/// ```
/// use ropewalk::http::{Limits, Problem, RequestDecoder, Status};
/// use ropewalk::protocols::Piece;
///
/// let problem = |head: &str| {
///     let mut decoder = RequestDecoder::new(Limits::default());
///     decoder.next_event(&mut Piece::new(head.as_bytes())).unwrap_err().problem()
/// };
/// assert_eq!(problem("GET / HTTP/1.1\r\n\r\n"), Problem::NoHost);
/// let old = problem("GET / HTTP/0.9\r\n\r\n");
/// assert_eq!(old.to_string(), "the version is neither HTTP/1.0 nor HTTP/1.1");
/// assert_eq!(old.status(), Status::HTTP_VERSION_NOT_SUPPORTED);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// This cannot be the start of a message: another protocol, or TLS where there is none.
    NoHttp,
    /// A line ends with LF alone.
    BareLf,
    /// CR without LF.
    BareCr,
    /// NUL or another control character.
    ControlCharacter,
    /// The request line is not `METHOD target HTTP/1.1`.
    RequestLine,
    /// The status line is not `HTTP/1.1 200 Reason`.
    StatusLine,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    Version,
    /// The target is none of the four forms of RFC 9112, 3.2, or not that of its method.
    Target,
    /// The target is longer than the limit.
    TargetTooLong,
    /// The head is longer than the limit.
    HeadTooLarge,
    /// There are more header fields than the limit.
    TooManyFields,
    /// A name of a header field that is no token.
    FieldName,
    /// Whitespace between a field's name and the colon.
    SpaceBeforeColon,
    /// A line that begins with whitespace: the obsolete way to continue a value.
    FoldedLine,
    /// A header field without a colon.
    NoColon,
    /// HTTP/1.1 without a Host field.
    NoHost,
    /// More than one Host field.
    ManyHosts,
    /// A Host field that is no `host:port`.
    BadHost,
    /// A Content-Length that is no number.
    ContentLength,
    /// More than one Content-Length, or a list.
    ManyContentLengths,
    /// Content-Length and Transfer-Encoding: the shape of request smuggling.
    BothLengths,
    /// Transfer-Encoding in a message of HTTP/1.0.
    TransferEncodingInHttp10,
    /// A Transfer-Encoding whose last member is not `chunked`, or that has it twice.
    TransferEncoding,
    /// A transfer coding other than `chunked`.
    UnknownTransferCoding,
    /// A chunk size that is no hexadecimal number, or too large a one.
    ChunkSize,
    /// Something other than CR LF behind a chunk's size or extensions.
    ChunkLine,
    /// The line of a chunk's size is longer than the limit.
    ChunkLineTooLong,
    /// A chunk is longer than its size says: no CR LF behind it.
    ChunkEnd,
    /// The trailers are longer than the limit.
    TrailersTooLarge,
    /// More informational (1xx) responses than anybody needs.
    TooManyInformational,
    /// The peer closed before the message was complete.
    UnexpectedEnd,
}

impl Problem {
    fn text(self) -> &'static str {
        match self {
            Problem::NoHttp => "this is not HTTP/1 (TLS, HTTP/2 or another protocol?)",
            Problem::BareLf => "a line ends with LF alone: lines end with CR LF",
            Problem::BareCr => "CR without LF",
            Problem::ControlCharacter => "a control character",
            Problem::RequestLine => "the first line is not METHOD target HTTP/1.1",
            Problem::StatusLine => "the first line is not HTTP/1.1 200 Reason",
            Problem::Version => "the version is neither HTTP/1.0 nor HTTP/1.1",
            Problem::Target => "the target is no path, http URL, host:port (of CONNECT) or * (of OPTIONS)",
            Problem::TargetTooLong => "the target is too long",
            Problem::HeadTooLarge => "the head is too large",
            Problem::TooManyFields => "there are too many header fields",
            Problem::FieldName => "the name of a header field is no token",
            Problem::SpaceBeforeColon => "whitespace before the colon of a header field",
            Problem::FoldedLine => "a header line begins with whitespace (obsolete folding)",
            Problem::NoColon => "a header line without a colon",
            Problem::NoHost => "the Host field is missing",
            Problem::ManyHosts => "there is more than one Host field",
            Problem::BadHost => "the Host field is no host:port",
            Problem::ContentLength => "Content-Length is no number of bytes",
            Problem::ManyContentLengths => "there is more than one Content-Length",
            Problem::BothLengths => "both Content-Length and Transfer-Encoding",
            Problem::TransferEncodingInHttp10 => "Transfer-Encoding in a message of HTTP/1.0",
            Problem::TransferEncoding => "Transfer-Encoding does not end with one chunked",
            Problem::UnknownTransferCoding => "a transfer coding other than chunked",
            Problem::ChunkSize => "the size of a chunk is no hexadecimal number of at most 16 digits",
            Problem::ChunkLine => "the line of a chunk's size does not end as it should",
            Problem::ChunkLineTooLong => "the line of a chunk's size is too long",
            Problem::ChunkEnd => "a chunk is longer than its size",
            Problem::TrailersTooLarge => "the trailers are too large",
            Problem::TooManyInformational => "too many informational responses",
            Problem::UnexpectedEnd => "the peer closed before the message was complete",
        }
    }

    /// What a server answers to it.
    pub fn status(self) -> Status {
        match self {
            Problem::Version => Status::HTTP_VERSION_NOT_SUPPORTED,
            Problem::TargetTooLong => Status::URI_TOO_LONG,
            Problem::HeadTooLarge | Problem::TooManyFields | Problem::TrailersTooLarge => {
                Status::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Problem::UnknownTransferCoding => Status::NOT_IMPLEMENTED,
            _ => Status::BAD_REQUEST,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A message that cannot be read: what is wrong, and where.
///
/// ```
/// use ropewalk::http::{Limits, Problem, RequestDecoder};
/// use ropewalk::protocols::Piece;
///
/// let mut decoder = RequestDecoder::new(Limits::default());
/// let error = decoder.next_event(&mut Piece::new(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n")).unwrap_err();
/// assert_eq!(error.problem(), Problem::SpaceBeforeColon);
/// assert_eq!(error.to_string(), "whitespace before the colon of a header field (head, line 2, byte 20)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    pub(super) problem: Problem,
    pub(super) part: Part,
    pub(super) line: usize,
    pub(super) offset: u64,
}

impl ParseError {
    pub(super) fn head(problem: Problem, line: usize, offset: usize) -> ParseError {
        ParseError { problem, part: Part::Head, line, offset: offset as u64 }
    }

    pub(super) fn body(problem: Problem, offset: u64) -> ParseError {
        ParseError { problem, part: Part::Body, line: 0, offset }
    }

    /// What is wrong.
    pub fn problem(&self) -> Problem {
        self.problem
    }

    /// In which part of the message.
    pub fn part(&self) -> Part {
        self.part
    }

    /// In which line of that part, from 1; 0 in a body, which has none.
    pub fn line(&self) -> usize {
        self.line
    }

    /// How many bytes of that part come before, with what frames it.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What a server answers to it.
    pub fn status(&self) -> Status {
        self.problem.status()
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self.part {
            Part::Head => "head",
            Part::Body => "body",
            Part::Trailers => "trailers",
        };
        write!(f, "{} ({part}, ", self.problem)?;
        if self.line > 0 {
            write!(f, "line {}, ", self.line)?;
        }
        write!(f, "byte {})", self.offset)
    }
}

impl Error for ParseError {}
