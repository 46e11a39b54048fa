//! Clients: a request that is set up, and the response that comes of it. Feature `http-client`.
//!
//! | module | what it is |
//! |---|---|
//! | `hop` | one request to one server; a redirection is followed by another |
//! | `call` | a hop on its way: its phase, its time limits, its end |
//! | `pool` | connections that are kept for the next request |
//! | `protocol`, `exchange` | a connection, and the request and response that are on it |
//! | `request_body` | what is sent: bytes, or pieces |
//! | `inflate` | compressed bodies |
//! | `answer` | what the program gets |
//! | `download` | what is at a URL into a file |
//! | `problem` | errors: which URL, in which phase, and why |
//!
//! Each request has a connection of its own, which is closed behind the response; unless a `Client` keeps it.

mod answer;
mod call;
mod download;
mod exchange;
mod hop;
mod inflate;
mod pool;
mod problem;
mod protocol;
mod request_body;

pub use answer::ClientResponse;
pub use download::{Download, Downloaded, download};
pub use pool::Client;
pub use problem::{ClientError, ClientPhase, ClientProblem};

use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use super::headers::{Headers, InvalidHeader};
use super::limits::Limits;
use super::method::Method;
use super::outgoing::{BodyWriter, Source};
use crate::event_loop::EventLoop;
use crate::ground::Deferred;
#[cfg(feature = "tls")]
use crate::tls::TlsClient;
use crate::trace::Place;
use hop::Hop;
use request_body::RequestBody;

/// Gets what is at a URL. Twisted's `getPage`, with the response in place of the body alone. [`ClientRequest`] has
/// settings.
///
/// Nothing happens inside this call. The Deferred fires when the head of the response is there; the body may still be on
/// its way. Redirections are followed, compressed bodies unpacked. Cancelling closes the connection; so does dropping the
/// response before its body was read.
///
/// # Errors
///
/// Fails with [`ClientError`]. A status such as 404 is no failure: see [`ClientResponse::error_for_status`].
///
/// ```
/// use ropewalk::EventLoop;
/// use ropewalk::http::{self, Server};
///
/// let event_loop = EventLoop::new()?;
/// let site = Server::new().get("/poem", |_, _| "If I were").listen(&event_loop, "127.0.0.1:0")?;
/// let url = format!("http://{}/poem", site.address().unwrap());
/// let poem = http::get(&event_loop, &url).add_callback(|response| response.text(1000));
/// assert_eq!(event_loop.run_until(poem)?, "If I were");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn get(event_loop: &EventLoop, url: impl AsRef<str>) -> Deferred<ClientResponse> {
    ClientRequest::get(url).send(event_loop)
}

/// How much, and how long.
#[derive(Clone, Copy, Debug)]
struct Settings {
    connect: Duration,
    response: Duration,
    idle: Duration,
    whole: Option<Duration>,
    redirects: u32,
    max_body: u64,
    decompress: bool,
    expect: Option<Duration>,
    limits: Limits,
}

impl Default for Settings {
    fn default() -> Settings {
        const PATIENCE: Duration = Duration::from_secs(30);
        Settings {
            connect: PATIENCE,
            response: PATIENCE,
            idle: PATIENCE,
            // As aiohttp's: what comes byte by byte has an end too.
            whole: Some(Duration::from_secs(300)),
            // As aiohttp's. Honest sites need two or three.
            redirects: 10,
            // More than any page, less than a machine's memory.
            max_body: 64 << 20,
            decompress: true,
            expect: None,
            limits: Limits::default(),
        }
    }
}

/// A request that is being set up. [`send`](ClientRequest::send) makes the connection.
///
/// ```
/// use ropewalk::EventLoop;
/// use ropewalk::http::{ClientRequest, Response, Server};
/// use std::time::Duration;
///
/// let event_loop = EventLoop::new()?;
/// let site = Server::new()
///     .post("/", |_, mut request| request.take_body().collect(100).map(|body| Response::new(Status::OK).body(body)))
///     .listen(&event_loop, "127.0.0.1:0")?;
/// # use ropewalk::http::Status;
/// let text = ClientRequest::post(format!("http://{}/", site.address().unwrap()), "a poem, please")
///     .header("Content-Type", "text/plain")
///     .timeout(Duration::from_secs(10))
///     .send(&event_loop)
///     .add_callback(|response| response.error_for_status())
///     .add_callback(|response| response.text(1000));
/// assert_eq!(event_loop.run_until(text)?, "a poem, please");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "nothing is asked until it is sent"]
pub struct ClientRequest {
    method: Method,
    url: String,
    headers: Headers,
    invalid: Option<InvalidHeader>,
    body: RequestBody,
    settings: Settings,
    client: Option<Client>,
    #[cfg(feature = "tls")]
    tls: Option<TlsClient>,
}

impl ClientRequest {
    /// A request with this method for this URL, `http://` or, with the feature `tls`, `https://`.
    pub fn new(method: Method, url: impl AsRef<str>) -> ClientRequest {
        ClientRequest {
            method,
            url: url.as_ref().to_owned(),
            headers: Headers::new(),
            invalid: None,
            body: RequestBody::Bytes(Rc::from([])),
            settings: Settings::default(),
            client: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// GET.
    pub fn get(url: impl AsRef<str>) -> ClientRequest {
        ClientRequest::new(Method::Get, url)
    }

    /// HEAD: the response without its body.
    pub fn head(url: impl AsRef<str>) -> ClientRequest {
        ClientRequest::new(Method::Head, url)
    }

    /// POST of these bytes.
    pub fn post(url: impl AsRef<str>, body: impl AsRef<[u8]>) -> ClientRequest {
        ClientRequest::new(Method::Post, url).body(body)
    }

    /// Adds a header field. What frames the message (Connection, Content-Length, Expect, Transfer-Encoding) is the
    /// client's own matter: it is left out. One that cannot be sent makes [`send`](ClientRequest::send) fail.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> ClientRequest {
        if let Err(invalid) = self.headers.append(name, value) {
            self.invalid.get_or_insert(invalid);
        }
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> ClientRequest {
        self.body = RequestBody::Bytes(Rc::from(body.as_ref()));
        self
    }

    /// Sets a body out of a function, which is called for the next piece whenever the server has room. `None` ends it. One
    /// piece is on its way while the next is asked for, so memory is bounded by two pieces.
    ///
    /// `length` is the length of all pieces, if it is known: a body of another one is an error. Else they go in chunks,
    /// which a server of HTTP/1.0 does not know. Such a body is sent once: a redirection that asks for it again is an error.
    /// An error of a piece is that of the request.
    ///
    /// ```
    /// use ropewalk::http::{ClientRequest, Method, Response, Server};
    /// use ropewalk::{Deferred, EventLoop};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let site = Server::new()
    ///     .put("/", |_, mut request| request.take_body().collect(100).map(|body| Response::text(format!("{} bytes", body.len()))))
    ///     .listen(&event_loop, "127.0.0.1:0")?;
    /// let mut pieces = ["If I ", "were"].into_iter();
    /// let answer = ClientRequest::new(Method::Put, format!("http://{}/", site.address().unwrap()))
    ///     .pieces(None, move |_| Deferred::succeed(pieces.next().map(|piece| piece.as_bytes().to_vec())))
    ///     .send(&event_loop)
    ///     .add_callback(|response| response.text(100));
    /// assert_eq!(event_loop.run_until(answer)?, "9 bytes");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn pieces(
        mut self,
        length: Option<u64>,
        next: impl FnMut(&EventLoop) -> Deferred<Option<Vec<u8>>> + 'static,
    ) -> ClientRequest {
        self.body = RequestBody::stream(length, Source::Pull(Box::new(next), Location::caller()));
        self
    }

    /// Sets a body that is written while it is sent, from any callback or task: see
    /// [`pieces`](ClientRequest::pieces) for its length.
    pub fn streaming(mut self, length: Option<u64>) -> (BodyWriter, ClientRequest) {
        let (writer, written) = BodyWriter::new();
        self.body = RequestBody::stream(length, Source::Writer(written));
        (writer, self)
    }

    /// Asks the server before the body is sent (`Expect: 100-continue`): it may say no without having to read it. The body
    /// follows when the server says `100 Continue`, or after `wait`, since some servers never do; curl waits for 1 s.
    /// Without a body it changes nothing. To a server that knows of no expectations (417) the request is sent again without.
    pub fn expect_continue(mut self, wait: Duration) -> ClientRequest {
        self.settings.expect = Some(wait);
        self
    }

    /// Sends it over a connection that this client keeps, if it has one, and keeps the connection.
    pub fn client(mut self, client: &Client) -> ClientRequest {
        self.client = Some(client.clone());
        self
    }

    /// How long the connection may take, the look-up of the name included; and as long again for TLS to shake hands. The
    /// default is 30 s.
    pub fn connect_timeout(mut self, time: Duration) -> ClientRequest {
        self.settings.connect = time;
        self
    }

    /// How long the whole head of the response may take when the request was sent. The default is 30 s.
    pub fn response_timeout(mut self, time: Duration) -> ClientRequest {
        self.settings.response = time;
        self
    }

    /// How long nothing of the body may come. Time in which the program does not read it does not count. The default is
    /// 30 s.
    pub fn idle_timeout(mut self, time: Duration) -> ClientRequest {
        self.settings.idle = time;
        self
    }

    /// How long all of it may take, redirections and the body included. The default is 5 minutes. For what takes as long
    /// as it takes: [`without_timeout`](ClientRequest::without_timeout).
    pub fn timeout(mut self, time: Duration) -> ClientRequest {
        self.settings.whole = Some(time);
        self
    }

    /// All of it may take any time. The other limits hold.
    pub fn without_timeout(mut self) -> ClientRequest {
        self.settings.whole = None;
        self
    }

    /// How many redirections are followed. The default is 10; with 0 the redirection itself is the response.
    ///
    /// 303 makes it a GET, and so do 301 and 302 of a POST, as browsers do; the body goes then. Another scheme, host or
    /// port is not told Authorization, Cookie and Proxy-Authorization.
    pub fn redirects(mut self, limit: u32) -> ClientRequest {
        self.settings.redirects = limit;
        self
    }

    /// How many bytes the body may have, unpacked. The default is 64 MiB.
    pub fn max_body(mut self, bytes: u64) -> ClientRequest {
        self.settings.max_body = bytes;
        self
    }

    /// Whether the server is offered to compress the body, and it is unpacked. It is by default, unless the program says
    /// Accept-Encoding itself.
    pub fn decompress(mut self, on: bool) -> ClientRequest {
        self.settings.decompress = on;
        self
    }

    /// Limits of the response's head and framing.
    pub fn limits(mut self, limits: Limits) -> ClientRequest {
        self.settings.limits = limits;
        self
    }

    /// Whom to trust with `https://`. Without it the system's roots are read for each request: a program with many makes
    /// one [`TlsClient`], and clones it.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: &TlsClient) -> ClientRequest {
        self.tls = Some(tls.clone());
        self
    }

    /// An error before there is a response.
    fn error(&self, phase: ClientPhase, source: impl Into<Box<dyn Error + Send + Sync>>) -> ClientError {
        let url = problem::without_secrets(&self.url);
        ClientError { method: self.method.clone(), url, phase, source: source.into() }
    }

    /// Sends it. Nothing happens inside this call. The Deferred fires when the head of the response is there. Cancelling
    /// it closes what was opened.
    ///
    /// # Errors
    ///
    /// Fails with [`ClientError`], which names the URL and the phase.
    #[track_caller]
    pub fn send(self, event_loop: &EventLoop) -> Deferred<ClientResponse> {
        self.send_at(event_loop, Location::caller())
    }

    fn send_at(self, event_loop: &EventLoop, place: Place) -> Deferred<ClientResponse> {
        let left = self.settings.redirects;
        let deadline = self.settings.whole.map(|time| event_loop.time().saturating_add(time));
        match Hop::new(self) {
            Ok(hop) => hop.follow(event_loop, deadline, left, place),
            Err(error) => Deferred::fail(error),
        }
    }
}

/// Without the values of its header fields, some of which are secrets.
impl fmt::Debug for ClientRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientRequest")
            .field("method", &self.method)
            .field("url", &problem::without_secrets(&self.url))
            .field("body", &self.body.length())
            .finish_non_exhaustive()
    }
}
