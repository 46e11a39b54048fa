//! Why there is no response, or no whole one.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::http::method::Method;
use crate::http::status::Status;

/// What a request was doing when it failed.
///
/// ```
/// use ropewalk::EventLoop;
/// use ropewalk::http::{self, ClientError, ClientPhase};
///
/// /// Whether the server cannot have seen anything of a request.
/// fn is_unseen(error: &ClientError) -> bool {
///     matches!(error.phase(), ClientPhase::Resolve | ClientPhase::Connect | ClientPhase::Tls)
/// }
///
/// let event_loop = EventLoop::new()?;
/// let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?; // closed again here
/// let failure = event_loop.run_until(http::get(&event_loop, format!("http://{nobody}/"))).unwrap_err();
/// let error: &ClientError = failure.check().unwrap();
/// assert_eq!(error.phase(), ClientPhase::Connect);
/// assert!(is_unseen(error));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientPhase {
    /// Nothing yet: the request itself makes no sense.
    Setup,
    /// Looking up the host's name.
    Resolve,
    /// Connecting.
    Connect,
    /// Shaking hands.
    Tls,
    /// Sending the request.
    Request,
    /// Waiting for the head of the response, and reading it.
    Response,
    /// Reading the body.
    Body,
    /// Writing the body into a file: see [`Download`](super::Download).
    File,
}

impl fmt::Display for ClientPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClientPhase::Setup => "setup",
            ClientPhase::Resolve => "resolve",
            ClientPhase::Connect => "connect",
            ClientPhase::Tls => "tls",
            ClientPhase::Request => "request",
            ClientPhase::Response => "response",
            ClientPhase::Body => "body",
            ClientPhase::File => "file",
        })
    }
}

/// A request that failed: which one, in which phase, and why.
///
/// The cause is its [`source`](Error::source): a [`ClientProblem`], [`ParseError`](crate::http::ParseError),
/// [`ConnectError`](crate::ConnectError), [`BodyTooLarge`](crate::http::BodyTooLarge), a TLS error, or what the connection
/// was lost by; in the phase `File` an [`FsError`](crate::fs::FsError). [`Failure::find`](crate::Failure::find) looks for it.
///
/// ```
/// use ropewalk::http::{self, ClientError, ClientPhase};
/// use ropewalk::{EventLoop, testing::failure_of};
///
/// let event_loop = EventLoop::new()?;
/// let failure = failure_of(http::get(&event_loop, "gopher://example.org/"));
/// let error = failure.check::<ClientError>().unwrap();
/// assert_eq!(error.phase(), ClientPhase::Setup);
/// assert_eq!(
///     error.to_string(),
///     "GET gopher://example.org/: setup: this cannot be asked for: the scheme is neither http nor https"
/// );
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct ClientError {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) phase: ClientPhase,
    pub(super) source: Box<dyn Error + Send + Sync>,
}

impl ClientError {
    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The URL: after redirections the one that failed. Without a password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What was being done.
    pub fn phase(&self) -> ClientPhase {
        self.phase
    }

    /// Whether a time limit was over.
    pub fn is_timeout(&self) -> bool {
        let source = &*self.source;
        let connect = source.downcast_ref::<crate::transports::ConnectError>();
        matches!(source.downcast_ref(), Some(ClientProblem::Timeout(_)))
            || connect.is_some_and(|error| error.io_error().kind() == std::io::ErrorKind::TimedOut)
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}: {}", self.method, self.url, self.phase, self.source)
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// What a client finds wrong by itself.
///
/// ```
/// use ropewalk::EventLoop;
/// use ropewalk::http::{ClientProblem, ClientRequest, Response, Server, Status};
///
/// let event_loop = EventLoop::new()?;
/// let site = Server::new().get("/", |_, _| Response::redirect(Status::FOUND, "/")).listen(&event_loop, "127.0.0.1:0")?;
/// let asked = ClientRequest::get(format!("http://{}/", site.address().unwrap())).redirects(3).send(&event_loop);
/// let failure = event_loop.run_until(asked).unwrap_err();
/// assert_eq!(failure.find(), Some(&ClientProblem::TooManyRedirects(3)));
/// assert!(failure.to_string().ends_with("there are more than 3 redirections"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientProblem {
    /// The URL cannot be asked for: this is wrong with it.
    Url(String),
    /// It took longer than this.
    Timeout(Duration),
    /// The server closed without a byte of an answer.
    NoAnswer,
    /// The server changes over to another protocol, which nobody has asked for.
    Upgrade,
    /// More redirections than this many.
    TooManyRedirects(u32),
    /// A redirection to something that is no URL.
    Location(String),
    /// The body is compressed in a way that was not offered.
    ContentEncoding(String),
    /// The compressed body cannot be unpacked.
    Compressed(String),
    /// A body out of pieces can be sent once, and was: a redirection asks for it again, or the program does.
    BodyGone,
    /// So many requests wait for a connection already: see [`Client::max_waiting`](super::Client::max_waiting).
    TooManyWaiting(usize),
    /// The [`Client`](super::Client) serves another event loop.
    OtherLoop,
    /// A [`Download`](super::Download) cannot be begun: this is wrong with it.
    Download(String),
    /// A download ended with another number of bytes than was said.
    Length {
        /// How many it should be.
        expected: u64,
        /// How many it is.
        found: u64,
    },
    /// A download is not what it should be: its SHA-256 is another one.
    Checksum {
        /// In hexadecimal digits.
        expected: String,
        /// In hexadecimal digits.
        found: String,
    },
    /// The status says that it did not go well: see [`ClientResponse::error_for_status`](super::ClientResponse::error_for_status).
    Status(Status),
}

impl fmt::Display for ClientProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientProblem::Url(why) => write!(f, "this cannot be asked for: {why}"),
            ClientProblem::Timeout(time) => write!(f, "it took longer than {time:?}"),
            ClientProblem::NoAnswer => f.write_str("the server closed the connection without an answer"),
            ClientProblem::Upgrade => {
                f.write_str("the server changes over to another protocol (101), which it was not asked to do")
            }
            ClientProblem::TooManyRedirects(limit) => write!(f, "there are more than {limit} redirections"),
            ClientProblem::Location(to) => write!(f, "a redirection to what is no URL: \"{to}\""),
            ClientProblem::ContentEncoding(name) => {
                write!(f, "the body is compressed by \"{name}\": only gzip and deflate were offered")
            }
            ClientProblem::Compressed(why) => write!(f, "the compressed body cannot be unpacked: {why}"),
            ClientProblem::BodyGone => f.write_str(
                "the body is to be sent again, and pieces can be sent once only (bytes can be sent often)",
            ),
            ClientProblem::TooManyWaiting(limit) => {
                write!(f, "{limit} requests wait for a connection to this server already")
            }
            ClientProblem::OtherLoop => {
                f.write_str("the client's connections are of another event loop: make a client for each loop")
            }
            ClientProblem::Download(why) => f.write_str(why),
            ClientProblem::Length { expected, found } => {
                write!(f, "there are {found} bytes in place of {expected}")
            }
            ClientProblem::Checksum { expected, found } => {
                write!(f, "the SHA-256 is {found} in place of {expected}: the file is not what it should be")
            }
            ClientProblem::Status(status) => write!(f, "the server answers {status}"),
        }
    }
}

impl Error for ClientProblem {}

/// A URL as it may be shown: without user and password, and with nothing that does not belong into a line of text.
pub(super) fn without_secrets(url: &str) -> String {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at(after_scheme);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let rest = match rest[..end].rfind('@') {
        Some(at) => &rest[at + 1..],
        None => rest,
    };
    // A URL longer than this is not read by anybody.
    let shown: String = scheme.chars().chain(rest.chars()).take(500).collect();
    shown.escape_debug().to_string()
}
