//! What a handler answers.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use super::headers::{Headers, InvalidHeader};
use super::outgoing::{BodyWriter, Source, Written};
use super::status::Status;
use super::successor::{Successor, UpgradedProtocol};
use crate::event_loop::EventLoop;
use crate::ground::{Deferred, Failure};
use crate::transports::Protocol;

/// What a handler answers: a status, header fields, and a body.
///
/// The server adds what a connection needs: Date, Content-Length or Transfer-Encoding, and Connection. A response to HEAD
/// is sent without its body, so the handlers of GET serve it too.
///
/// ```
/// use ropewalk::http::{Response, Status};
///
/// let page = Response::html("<h1>If I were</h1>").header("Cache-Control", "no-store");
/// let missing = Response::text("no such poem\n").status(Status::NOT_FOUND);
/// assert_eq!(missing.status_code(), Status::NOT_FOUND);
/// # drop(page);
/// ```
pub struct Response {
    pub(super) status: Status,
    pub(super) headers: Headers,
    pub(super) content_type: Option<Cow<'static, str>>,
    pub(super) body: Payload,
    pub(super) invalid: Option<Box<InvalidHeader>>,
}

pub(super) enum Payload {
    Bytes(Cow<'static, [u8]>),
    /// With its length, if it is known.
    Stream(Option<u64>, Source),
    /// So many bytes that are not sent: the answer to a HEAD request.
    Length(u64),
    Upgrade(Successor),
}

impl Response {
    /// A response without a body.
    pub fn new(status: Status) -> Response {
        Response::made(status, None, Cow::Borrowed(b""))
    }

    fn made(status: Status, content_type: Option<&'static str>, body: Cow<'static, [u8]>) -> Response {
        Response {
            status,
            headers: Headers::new(),
            content_type: content_type.map(Cow::Borrowed),
            body: Payload::Bytes(body),
            invalid: None,
        }
    }

    /// `200 OK` with text: `text/plain; charset=utf-8`.
    pub fn text(text: impl Into<Cow<'static, str>>) -> Response {
        Response::made(Status::OK, Some("text/plain; charset=utf-8"), bytes(text.into()))
    }

    /// `200 OK` with a page: `text/html; charset=utf-8`.
    pub fn html(text: impl Into<Cow<'static, str>>) -> Response {
        Response::made(Status::OK, Some("text/html; charset=utf-8"), bytes(text.into()))
    }

    /// A redirection to another place: an absolute URL, or a path.
    pub fn redirect(status: Status, location: impl AsRef<str>) -> Response {
        Response::new(status).header("Location", location.as_ref())
    }

    /// `200 OK` with a body that is written later, piece by piece. Its length is not known: it goes in chunks.
    pub fn streaming() -> (BodyWriter, Response) {
        Response::written(None)
    }

    /// The same with a length that is known: Content-Length. A body that turns out to have another length breaks the
    /// connection off.
    pub fn streaming_exact(length: u64) -> (BodyWriter, Response) {
        Response::written(Some(length))
    }

    fn written(length: Option<u64>) -> (BodyWriter, Response) {
        let (writer, written): (BodyWriter, Rc<Written>) = BodyWriter::new();
        let mut response = Response::new(Status::OK);
        response.body = Payload::Stream(length, Source::Writer(written));
        (writer, response)
    }

    /// `200 OK` with a body out of a function, which is called for the next piece whenever there is room. `None` ends the
    /// body. One piece is on its way while the next is asked for, so memory is bounded by two pieces.
    ///
    /// `length` is the length of all pieces, if it is known; else they go in chunks.
    ///
    /// ```
    /// use ropewalk::Deferred;
    /// use ropewalk::http::Response;
    ///
    /// let mut pieces = ["If I ", "were"].into_iter();
    /// let response = Response::pieces(Some(9), move |_| Deferred::succeed(pieces.next().map(|piece| piece.as_bytes().to_vec())));
    /// # drop(response);
    /// ```
    #[track_caller]
    pub fn pieces(
        length: Option<u64>,
        next: impl FnMut(&EventLoop) -> Deferred<Option<Vec<u8>>> + 'static,
    ) -> Response {
        let mut response = Response::new(Status::OK);
        response.body = Payload::Stream(length, Source::Pull(Box::new(next), Location::caller()));
        response
    }

    /// Changes the connection over to another protocol: `101 Switching Protocols`, and from then on all that comes is
    /// `protocol`'s, beginning with [`Protocol::connection_made`] and what the client has sent already.
    ///
    /// `name` is what the client offered, see [`RequestHead::upgrades_to`](super::RequestHead::upgrades_to). The server's
    /// time limits do not hold any more. With [`status`](Response::status) 200 it answers a CONNECT.
    ///
    /// # Errors
    ///
    /// None here; a request whose body has not come wholly cannot be answered so: the client is told 400.
    pub fn upgrade(name: &str, protocol: impl Protocol) -> Response {
        Response::upgrade_to(name, Successor::Plain(protocol.into_boxed()))
    }

    /// The same for a protocol that is told when the server shuts down, so that it can say goodbye.
    ///
    /// # Errors
    ///
    /// As for [`upgrade`](Response::upgrade).
    pub fn upgrade_gracefully(name: &str, protocol: impl UpgradedProtocol) -> Response {
        Response::upgrade_to(name, Successor::Graceful { protocol: Box::new(protocol), told: false })
    }

    fn upgrade_to(name: &str, successor: Successor) -> Response {
        let mut response = Response::new(Status::SWITCHING_PROTOCOLS).header("Upgrade", name);
        response.body = Payload::Upgrade(successor);
        response
    }

    /// Sets the status.
    pub fn status(mut self, status: Status) -> Response {
        self.status = status;
        self
    }

    /// Sets what the body is: a media type such as `image/png`.
    pub fn content_type(mut self, media_type: impl Into<Cow<'static, str>>) -> Response {
        self.content_type = Some(media_type.into());
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Cow<'static, [u8]>>) -> Response {
        self.body = Payload::Bytes(body.into());
        self
    }

    /// Adds a header field. Content-Length, Transfer-Encoding and Keep-Alive are the server's own matter: they are left
    /// out. `Connection: close` closes the connection behind the response.
    ///
    /// One that cannot be sent - a line break in its value, so that it would be two - makes the client be told 500, and is
    /// reported.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Response {
        if let Err(invalid) = self.headers.append(name, value) {
            self.invalid.get_or_insert(Box::new(invalid));
        }
        self
    }

    /// The status.
    pub fn status_code(&self) -> Status {
        self.status
    }

    /// The header fields that were added.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Only the head of it is wanted.
    pub(super) fn without_body(mut self) -> Response {
        self.body = match self.body {
            Payload::Bytes(bytes) => Payload::Length(bytes.len() as u64),
            other => other,
        };
        self
    }
}

fn bytes(text: Cow<'static, str>) -> Cow<'static, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

impl From<Status> for Response {
    /// A response that says its status in plain text.
    fn from(status: Status) -> Response {
        Response::text(format!("{status}\n")).status(status)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = match &self.body {
            Payload::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Payload::Length(bytes) => format!("{bytes} bytes, not sent"),
            Payload::Stream(Some(length), _) => format!("{length} bytes, later"),
            Payload::Stream(None, _) => "later".to_owned(),
            Payload::Upgrade(_) => "another protocol".to_owned(),
        };
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &format_args!("{body}"))
            .finish_non_exhaustive()
    }
}

/// An error that a client is told as a status with a text: for `?` in handlers. All other errors are 500 for the client,
/// and reported.
///
/// ```
/// use ropewalk::{EventLoop, Failure};
/// use ropewalk::http::{Request, Response, Status, StatusError};
///
/// fn double(_: &EventLoop, request: Request) -> Result<Response, Failure> {
///     let n: i64 = request.param("n").unwrap_or("").parse().map_err(|_| StatusError::new(Status::BAD_REQUEST, "no number"))?;
///     Ok(Response::text(format!("{}\n", n * 2)))
/// }
/// # let _ = double;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusError {
    pub(super) status: Status,
    pub(super) text: String,
}

impl StatusError {
    /// An error with a status, and a text for the client.
    pub fn new(status: Status, text: impl Into<String>) -> StatusError {
        StatusError { status, text: text.into() }
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text.as_str() {
            "" => write!(f, "{}", self.status),
            text => write!(f, "{}: {text}", self.status),
        }
    }
}

impl std::error::Error for StatusError {}

/// What a handler's failure tells the client.
pub(super) fn of_failure(failure: &Failure) -> Option<Response> {
    use super::body::BodyTooLarge;
    use super::error::ParseError;
    if let Some(error) = failure.check::<StatusError>() {
        return Some(Response::text(format!("{error}\n")).status(error.status));
    }
    if let Some(error) = failure.check::<BodyTooLarge>() {
        return Some(
            Response::text(format!("{}: {error}\n", Status::CONTENT_TOO_LARGE)).status(Status::CONTENT_TOO_LARGE),
        );
    }
    let error = failure.check::<ParseError>()?;
    Some(Response::text(format!("{}: {error}\n", error.status())).status(error.status()))
}

mod sealed {
    #[allow(unreachable_pub)]
    pub trait Sealed {
        fn into_reply(self) -> super::Reply;
    }
}

/// What a handler gave back.
#[allow(unreachable_pub)] // named by the sealed trait
#[derive(Debug)]
pub enum Reply {
    /// It is there.
    Now(Result<Response, Failure>),
    /// It comes.
    Later(Deferred<Response>),
}

/// What a handler may answer: a [`Response`], a `Result<Response, Failure>`, a `Deferred<Response>`, or a text.
///
/// For an `async` handler, spawn it and answer the Deferred: `event_loop.spawn(async move { .. })`.
///
/// ```
/// use ropewalk::http::{Response, Server, Status};
/// use ropewalk::{Failure, EventLoop};
///
/// let event_loop = EventLoop::new()?;
/// let site = Server::new()
///     .get("/text", |_, _| "Hello, World!")
///     .get("/status", |_, _| Status::NO_CONTENT)
///     .get("/result", |_, _| Ok::<_, Failure>(Response::html("<p>Hello")))
///     .get("/later", |event_loop, _| event_loop.defer_to_thread(|| Ok(6 * 7)).map(|n| Response::text(n.to_string())))
///     .get("/async", |event_loop, _| event_loop.spawn(async { Ok::<_, Failure>(Response::text("Hello")) }))
///     .start(&event_loop)?;
/// # drop(site);
/// # Ok::<(), std::io::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler answers `Response`, `Result<Response, Failure>`, `Deferred<Response>` or a text, not `{Self}`",
    note = "a future: answer `event_loop.spawn(future)`, with `Result<Response, Failure>` as its output"
)]
pub trait IntoReply: sealed::Sealed {}

macro_rules! replies {
    ($($kind:ty, $reply:ident => $make:expr;)*) => {
        $(
            impl sealed::Sealed for $kind {
                fn into_reply(self) -> Reply {
                    let $reply = self;
                    $make
                }
            }
            impl IntoReply for $kind {}
        )*
    };
}

replies! {
    Response, reply => Reply::Now(Ok(reply));
    Result<Response, Failure>, reply => Reply::Now(reply);
    Deferred<Response>, reply => Reply::Later(reply);
    Status, reply => Reply::Now(Ok(reply.into()));
    &'static str, reply => Reply::Now(Ok(Response::text(reply)));
    String, reply => Reply::Now(Ok(Response::text(reply)));
}

pub(super) use sealed::Sealed;
