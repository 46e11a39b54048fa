//! What the program gets.

use std::error::Error;
use std::fmt;
use std::rc::Rc;

use encoding_rs::{Encoding, UTF_8};

use super::hop::Hop;
use super::problem::{ClientError, ClientPhase, ClientProblem};
use crate::ground::{Deferred, Failure};
use crate::http::body::{Body, BodyTooLarge};
use crate::http::head::ResponseHead;
use crate::http::headers::Headers;
use crate::http::status::Status;

/// A response: its head, and its body, which may still be on its way.
///
/// The body is read piece by piece ([`take_body`](ClientResponse::take_body)), or wholly: [`bytes`](ClientResponse::bytes),
/// [`text`](ClientResponse::text). While nobody reads, the server waits. Dropping it closes the connection.
///
/// ```
/// use ropewalk::EventLoop;
/// use ropewalk::http::{self, Response, Server, Status};
///
/// let event_loop = EventLoop::new()?;
/// let site = Server::new().get("/", |_, _| Response::text("If I were").header("Age", "3")).listen(&event_loop, "127.0.0.1:0")?;
/// let url = format!("http://{}/", site.address().unwrap());
/// let mut response = event_loop.run_until(http::get(&event_loop, &url))?;
/// assert_eq!(response.status(), Status::OK);
/// assert_eq!(response.headers().get("Age"), Some("3"));
/// assert_eq!(response.url(), url);
/// let mut body = response.take_body();
/// let mut bytes = Vec::new();
/// while let Some(piece) = event_loop.run_until(body.read())? {
///     bytes.extend(piece);
/// }
/// assert_eq!(bytes, b"If I were");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ClientResponse {
    hop: Rc<Hop>,
    head: ResponseHead,
    body: Body,
}

impl ClientResponse {
    pub(super) fn new(hop: Rc<Hop>, head: ResponseHead, body: Body) -> ClientResponse {
        ClientResponse { hop, head, body }
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.head.status
    }

    /// The header fields. A body that is unpacked still has its Content-Encoding and Content-Length here.
    pub fn headers(&self) -> &Headers {
        &self.head.headers
    }

    /// The head.
    pub fn head(&self) -> &ResponseHead {
        &self.head
    }

    /// The URL that it is of: the last one, after redirections.
    pub fn url(&self) -> &str {
        self.hop.url.as_str()
    }

    /// A failure if the status is 4xx or 5xx. The connection is closed then.
    ///
    /// # Errors
    ///
    /// [`ClientError`](super::ClientError) with [`ClientProblem::Status`].
    ///
    /// ```
    /// use ropewalk::EventLoop;
    /// use ropewalk::http::{self, Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let site = Server::new().listen(&event_loop, "127.0.0.1:0")?;
    /// let url = format!("http://{}/poem", site.address().unwrap());
    /// let poem = http::get(&event_loop, &url)
    ///     .add_callback(|response| response.error_for_status())
    ///     .add_callback(|response| response.text(1000));
    /// let failure = event_loop.run_until(poem).unwrap_err();
    /// assert_eq!(failure.to_string(), format!("GET {url}: response: the server answers 404 Not Found"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn error_for_status(self) -> Result<ClientResponse, Failure> {
        let status = self.status();
        match status.is_client_error() || status.is_server_error() {
            false => Ok(self),
            true => Err(self.hop.error(ClientPhase::Response, ClientProblem::Status(status)).into()),
        }
    }

    /// An error of this response.
    pub(super) fn error(&self, phase: ClientPhase, source: impl Into<Box<dyn Error + Send + Sync>>) -> ClientError {
        self.hop.error(phase, source)
    }

    /// The body, to be read once.
    pub fn take_body(&mut self) -> Body {
        std::mem::replace(&mut self.body, Body::empty())
    }

    /// The whole body, of at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// Fails with [`ClientError`](super::ClientError); its cause is [`BodyTooLarge`](crate::http::BodyTooLarge) when there are more.
    #[track_caller]
    pub fn bytes(mut self, limit: usize) -> Deferred<Vec<u8>> {
        let hop = self.hop.clone();
        self.take_body().collect(limit).own_step("http body").add_errback(move |failure| {
            match failure.downcast::<BodyTooLarge>() {
                Ok(error) => Err(hop.error(ClientPhase::Body, error).into()),
                Err(failure) => Err(failure),
            }
        })
    }

    /// The whole body as text, of at most `limit` bytes. The charset is that of Content-Type, or of a byte order mark, or
    /// UTF-8. Bytes that are no text in it become U+FFFD.
    ///
    /// # Errors
    ///
    /// As for [`bytes`](ClientResponse::bytes).
    ///
    /// ```
    /// use ropewalk::EventLoop;
    /// use ropewalk::http::{self, Response, Server, Status};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let latin1 = |_: &_, _| {
    ///     Response::new(Status::OK).content_type("text/plain; charset=iso-8859-1").body(&b"caf\xe9"[..])
    /// };
    /// let site = Server::new().get("/", latin1).listen(&event_loop, "127.0.0.1:0")?;
    /// let text = http::get(&event_loop, format!("http://{}/", site.address().unwrap())).add_callback(|response| response.text(100));
    /// assert_eq!(event_loop.run_until(text)?, "café");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn text(self, limit: usize) -> Deferred<String> {
        let encoding = self.charset().unwrap_or(UTF_8);
        self.bytes(limit).own_step("http text").map(move |bytes| encoding.decode(&bytes).0.into_owned())
    }

    /// The encoding that Content-Type names, if it is known (WHATWG Encoding, 4.2).
    fn charset(&self) -> Option<&'static Encoding> {
        let value = self.headers().get("Content-Type")?;
        let charset = value.split(';').skip(1).find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then_some(value)
        })?;
        Encoding::for_label(charset.trim().trim_matches(['"', '\'']).as_bytes())
    }
}

impl fmt::Debug for ClientResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientResponse")
            .field("url", &super::problem::without_secrets(self.url()))
            .field("head", &self.head)
            .field("body", &self.body)
            .finish()
    }
}
