//! Messages out of bytes: state machines that know no socket, one for each direction.

use super::body_decoder::{BodyDecoder, BodyEvent};
use super::error::{ParseError, Part, Problem};
use super::head::{RequestHead, ResponseHead};
use super::head_collector::{HeadCollector, Kind};
use super::head_parser;
use super::headers::Headers;
use super::limits::Limits;
use super::method::Method;
use super::status::Status;
use crate::protocols::Piece;

/// How many informational responses may come before the one that counts. Servers send one or two.
const INFORMATIONAL: u8 = 16;

/// What comes out of a decoder: a head, pieces of the body, the end; then the next head.
///
/// ```
/// use ropewalk::http::{Event, Headers, Limits, ParseError, RequestDecoder};
/// use ropewalk::protocols::Piece;
///
/// /// The requests in some bytes, as `METHOD target: bytes of its body`.
/// fn log(bytes: &[u8]) -> Result<Vec<String>, ParseError> {
///     let (mut decoder, mut piece) = (RequestDecoder::new(Limits::default()), Piece::new(bytes));
///     let (mut log, mut line, mut length) = (Vec::new(), String::new(), 0);
///     while let Some(event) = decoder.next_event(&mut piece)? {
///         match event {
///             Event::Head(head) => (line, length) = (format!("{} {}", head.method, head.target), 0),
///             Event::Data(data) => length += data.len(),
///             Event::End(_) => log.push(format!("{line}: {length}")),
///             _ => {}
///         }
///     }
///     Ok(log)
/// }
///
/// let requests = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nPUT /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\npoem";
/// assert_eq!(log(requests)?, ["GET /a: 0", "PUT /b: 4"]);
/// # Ok::<(), ParseError>(())
/// ```
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'p, H> {
    /// A message begins.
    Head(H),
    /// Bytes of its body, at least one. How they are cut says nothing.
    Data(&'p [u8]),
    /// The message is complete. These are its trailers; only a chunked body has any.
    End(Headers),
}

/// Requests out of bytes, for a server.
///
/// It holds a head that is not complete, at most [`Limits::head`], and nothing of bodies. Each byte is looked at once,
/// however small the pieces are. What follows a request stays in the piece until it is asked for: to change over to
/// another protocol, take [`Piece::rest`] and ask no more. After an error it gives nothing but that error: where the
/// next request would begin is not known.
///
/// ```
/// use ropewalk::http::{Event, Limits, Method, RequestDecoder};
/// use ropewalk::protocols::Piece;
///
/// let mut decoder = RequestDecoder::new(Limits::default());
/// let mut body = Vec::new();
/// for data in ["PUT /poem HTTP/1.1\r\nHost: a\r\nContent-", "Length: 9\r\n\r\nIf I ", "were"] {
///     let mut piece = Piece::new(data.as_bytes());
///     while let Some(event) = decoder.next_event(&mut piece)? {
///         match event {
///             Event::Head(head) => assert_eq!((head.method.as_str(), head.path()), ("PUT", "/poem")),
///             Event::Data(data) => body.extend_from_slice(data),
///             _ => assert_eq!(body, b"If I were"),
///         }
///     }
/// }
/// # Ok::<(), ropewalk::http::ParseError>(())
/// ```
#[derive(Debug)]
pub struct RequestDecoder {
    limits: Limits,
    head: HeadCollector,
    state: State,
}

#[derive(Debug)]
enum State {
    Head,
    Body(BodyDecoder),
    /// A response is over, and no other is expected.
    Over,
    Failed(ParseError),
}

impl RequestDecoder {
    /// Before the first request.
    pub fn new(limits: Limits) -> RequestDecoder {
        RequestDecoder { limits, head: HeadCollector::default(), state: State::Head }
    }

    /// The next event; `None` when more bytes are needed, and all of the piece is used.
    ///
    /// # Errors
    ///
    /// The bytes are no request, or one that is not to be trusted.
    #[inline]
    pub fn next_event<'p>(&mut self, piece: &mut Piece<'p>) -> Result<Option<Event<'p, RequestHead>>, ParseError> {
        let next = self.advance(piece);
        if let Err(error) = &next {
            self.state = State::Failed(*error);
        }
        next
    }

    fn advance<'p>(&mut self, piece: &mut Piece<'p>) -> Result<Option<Event<'p, RequestHead>>, ParseError> {
        match &mut self.state {
            State::Head => {
                let mut own = Piece::new(piece.rest());
                let before = own.rest().len();
                let found = self.head.collect(&mut own, Kind::Request, self.limits.head)?;
                let head = found.map(|head| head_parser::request(head, &self.limits)).transpose()?;
                piece.take(before - own.rest().len());
                let Some(head) = head else { return Ok(None) };
                self.head.done();
                self.state = State::Body(BodyDecoder::new(head.body, false));
                Ok(Some(Event::Head(head)))
            }
            State::Body(body) => {
                let event = body.next_event(piece, &self.limits)?;
                if let Some(BodyEvent::End(_)) = event {
                    self.state = State::Head;
                }
                Ok(event.map(body_event))
            }
            State::Over => Ok(None),
            State::Failed(error) => Err(*error),
        }
    }

    /// Whether it stands between two requests: nothing of the next one has come.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Head) && self.head.is_empty()
    }

    /// Whether it gives nothing but an error any more.
    pub fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed(_))
    }

    /// The client has closed its half.
    ///
    /// # Errors
    ///
    /// A request is not complete.
    pub fn end_of_data(&mut self) -> Result<(), ParseError> {
        match &self.state {
            State::Head if !self.head.is_empty() => Err(head_end(&self.head)),
            State::Head | State::Over => Ok(()),
            State::Body(body) => body.end_of_data(),
            State::Failed(error) => Err(*error),
        }
    }
}

fn body_event<H>(event: BodyEvent<'_>) -> Event<'_, H> {
    match event {
        BodyEvent::Data(data) => Event::Data(data),
        BodyEvent::End(trailers) => Event::End(trailers),
    }
}

fn head_end(head: &HeadCollector) -> ParseError {
    let (line, offset) = head.position();
    ParseError { problem: Problem::UnexpectedEnd, part: Part::Head, line, offset: offset as u64 }
}

/// The response to one request out of bytes, for a client.
///
/// Informational responses (1xx) are heads without an end, which another head follows. 101 Switching Protocols is the
/// last of them: what is left in the piece is the other protocol's. Behind the end nothing more comes out; the next
/// response has a decoder of its own.
///
/// ```
/// use ropewalk::http::{Event, Limits, Method, ResponseDecoder, Status};
/// use ropewalk::protocols::Piece;
///
/// let mut decoder = ResponseDecoder::new(Limits::default(), &Method::Get);
/// let mut piece = Piece::new(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npoem\r\n0\r\n\r\n");
/// let Some(Event::Head(head)) = decoder.next_event(&mut piece)? else { panic!() };
/// assert_eq!(head.status, Status::OK);
/// assert_eq!(decoder.next_event(&mut piece)?, Some(Event::Data(b"poem")));
/// assert!(matches!(decoder.next_event(&mut piece)?, Some(Event::End(_))));
/// assert!(decoder.is_over());
/// # Ok::<(), ropewalk::http::ParseError>(())
/// ```
#[derive(Debug)]
pub struct ResponseDecoder {
    limits: Limits,
    method: Method,
    informational: u8,
    head: HeadCollector,
    state: State,
}

impl ResponseDecoder {
    /// Before the response to a request with this method.
    pub fn new(limits: Limits, method: &Method) -> ResponseDecoder {
        ResponseDecoder {
            limits,
            method: method.clone(),
            informational: 0,
            head: HeadCollector::default(),
            state: State::Head,
        }
    }

    /// The next event; `None` when more bytes are needed, or the response is [over](ResponseDecoder::is_over).
    ///
    /// # Errors
    ///
    /// The bytes are no response, or it is not clear where it ends.
    pub fn next_event<'p>(&mut self, piece: &mut Piece<'p>) -> Result<Option<Event<'p, ResponseHead>>, ParseError> {
        let next = self.advance(piece);
        if let Err(error) = &next {
            self.state = State::Failed(*error);
        }
        next
    }

    fn advance<'p>(&mut self, piece: &mut Piece<'p>) -> Result<Option<Event<'p, ResponseHead>>, ParseError> {
        match &mut self.state {
            State::Head => {
                let mut own = Piece::new(piece.rest());
                let before = own.rest().len();
                let found = self.head.collect(&mut own, Kind::Response, self.limits.head)?;
                let head = found.map(|head| head_parser::response(head, &self.limits, &self.method)).transpose()?;
                piece.take(before - own.rest().len());
                let Some(head) = head else { return Ok(None) };
                self.head.done();
                if head.status == Status::SWITCHING_PROTOCOLS {
                    self.state = State::Over;
                } else if head.status.is_informational() {
                    self.informational += 1;
                    if self.informational > INFORMATIONAL {
                        return Err(ParseError::head(Problem::TooManyInformational, 1, 0));
                    }
                } else {
                    self.state = State::Body(BodyDecoder::new(head.body, true));
                }
                Ok(Some(Event::Head(head)))
            }
            State::Body(body) => {
                let event = body.next_event(piece, &self.limits)?;
                if let Some(BodyEvent::End(_)) = event {
                    self.state = State::Over;
                }
                Ok(event.map(body_event))
            }
            State::Over => Ok(None),
            State::Failed(error) => Err(*error),
        }
    }

    /// Whether nothing of the response has come.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Head) && self.head.is_empty() && self.informational == 0
    }

    /// Whether the end comes next, without another byte.
    #[cfg(feature = "http-client")]
    pub(super) fn is_at_end(&self) -> bool {
        matches!(&self.state, State::Body(body) if body.is_at_end())
    }

    /// Whether the response is complete, or the connection has changed over to another protocol.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// The server has closed: the end of a body that has no other end. `None` when the response was over before.
    ///
    /// # Errors
    ///
    /// The response is not complete.
    pub fn end_of_data(&mut self) -> Result<Option<Event<'static, ResponseHead>>, ParseError> {
        match &self.state {
            State::Head => Err(head_end(&self.head)),
            State::Over => Ok(None),
            State::Body(body) => {
                body.end_of_data()?;
                self.state = State::Over;
                Ok(Some(Event::End(Headers::new())))
            }
            State::Failed(error) => Err(*error),
        }
    }
}
