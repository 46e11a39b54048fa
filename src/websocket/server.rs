//! The server's side: a handshake under the routes of an HTTP server.

use std::io;
use std::time::Duration;

use super::connection::{Connection, Settings};
use super::deflate::{Deflate, DeflateParameters};
use super::extension::extensions;
use super::frame::Role;
use super::handshake::{HandshakeError, accept_key, check_request};
use super::limits::Limits;
use super::protocol::WebSocketProtocol;
use super::stream::{Feed, WebSocketStream};
use crate::event_loop::EventLoop;
use crate::ground::Deferred;
use crate::http::{Request, RequestHead, Response, Server, Site};
use crate::transports::Target;

/// What a server wants of its WebSockets. [`accept`](WebSocketServer::accept) is what a route's handler answers.
///
/// When the HTTP server [shuts down](Site::shutdown), each WebSocket is closed with 1001, and the answer is waited for as long
/// as [`close_timeout`](WebSocketServer::close_timeout) says, and the grace of that shutdown. See
/// [`WebSocketProtocol::shutting_down`].
///
/// ```
/// use ropewalk::http::Server;
/// use ropewalk::websocket::{Message, WebSocket, WebSocketProtocol, WebSocketServer};
/// use ropewalk::{EventLoop, Failure};
///
/// struct Echo;
///
/// impl WebSocketProtocol for Echo {
///     fn message_received(&mut self, _: &EventLoop, socket: &WebSocket, message: Message<'_>) -> Result<(), Failure> {
///         match message {
///             Message::Text(text) => socket.send_text(text)?,
///             Message::Binary(data) => socket.send_binary(data)?,
///         }
///         Ok(())
///     }
/// }
///
/// let event_loop = EventLoop::new()?;
/// let sockets = WebSocketServer::new().origins(["https://example.org"]);
/// let site = Server::new()
///     .get("/", |_, _| "a page")
///     .get("/echo", move |_, request| sockets.accept(&request, |_| Echo))
///     .listen(&event_loop, "127.0.0.1:0")?;
/// assert_ne!(site.address().unwrap().port(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct WebSocketServer {
    settings: Settings,
    subprotocols: Vec<String>,
    origins: Option<Vec<String>>,
    same_origin: bool,
    deflate: Option<Deflate>,
}

impl WebSocketServer {
    /// With limits that suit a server on the open net, for pages of any origin, without subprotocols.
    pub fn new() -> WebSocketServer {
        WebSocketServer::default()
    }

    /// How much a client may send in one go.
    pub fn limits(mut self, limits: Limits) -> WebSocketServer {
        self.settings.limits = limits;
        self
    }

    /// The subprotocols that are spoken, the best first. A client that offers none of them is taken without one; see
    /// [`WebSocket::subprotocol`](super::WebSocket::subprotocol).
    pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> WebSocketServer {
        self.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// The origins whose pages may ask, such as `https://example.org`; all others, and who does not say, are answered 403.
    /// A server that knows its users by cookies must set it: a browser sends these for any page.
    pub fn origins<S: Into<String>>(mut self, origins: impl IntoIterator<Item = S>) -> WebSocketServer {
        self.origins = Some(origins.into_iter().map(Into::into).collect());
        self
    }

    /// Pages of this server itself may ask: those whose `Origin` has the host and the port of the request's `Host`. Others
    /// may only if they are among the [`origins`](WebSocketServer::origins).
    ///
    /// ```
    /// use ropewalk::websocket::WebSocketServer;
    ///
    /// let sockets = WebSocketServer::new().same_origin().origins(["https://example.org"]);
    /// # drop(sockets);
    /// ```
    pub fn same_origin(mut self) -> WebSocketServer {
        self.same_origin = true;
        self
    }

    /// Compresses messages for clients that offer it (`permessage-deflate`, RFC 7692). Without it nothing is compressed: see
    /// [`Deflate`] for what it costs.
    pub fn deflate(mut self, deflate: Deflate) -> WebSocketServer {
        self.deflate = Some(deflate);
        self
    }

    /// After how long a silence a client is asked for a sign of life, for which it has the same time again. The default is
    /// 30 s; `None` is never, and then a client that takes nothing is not broken off either.
    pub fn keep_alive(mut self, silence: Option<Duration>) -> WebSocketServer {
        self.settings.keep_alive = silence;
        self
    }

    /// How long a client may take to answer a close frame, and to close behind it. The default is 10 s.
    pub fn close_timeout(mut self, time: Duration) -> WebSocketServer {
        self.settings.close = time;
        self
    }

    /// Answers a request: changes it over to a WebSocket for the program that `make` makes, or says what is wrong with it.
    /// `make` is told the subprotocol that was chosen.
    pub fn accept<P: WebSocketProtocol>(
        &self,
        request: &RequestHead,
        make: impl FnOnce(Option<&str>) -> P,
    ) -> Response {
        match self.check(request) {
            Ok((key, agreed)) => {
                let offered =
                    |name: &&String| request.headers.list("Sec-WebSocket-Protocol").any(|one| one == *name);
                let chosen = self.subprotocols.iter().find(offered).map(String::as_str);
                let program = Box::new(make(chosen));
                let deflate = self.deflate.as_ref().zip(agreed);
                let connection =
                    Connection::new(program, Role::Server, self.settings, chosen.map(Into::into), deflate);
                let mut response = Response::upgrade_gracefully("websocket", connection)
                    .header("Sec-WebSocket-Accept", accept_key(key));
                if let Some(agreed) = agreed {
                    response = response.header("Sec-WebSocket-Extensions", agreed.to_string());
                }
                match chosen {
                    Some(name) => response.header("Sec-WebSocket-Protocol", name),
                    None => response,
                }
            }
            Err(error) => {
                let status = error.status();
                let response = Response::text(format!("{status}: {error}\n")).status(status);
                match error {
                    HandshakeError::NoUpgrade => response.header("Upgrade", "websocket"),
                    HandshakeError::Version(_) => {
                        response.header("Upgrade", "websocket").header("Sec-WebSocket-Version", "13")
                    }
                    _ => response,
                }
            }
        }
    }

    /// As [`accept`](WebSocketServer::accept), for a handler that is given a stream of messages to ask for. It is called when
    /// hands are shaken, and answers when it is done: an async function is spawned, see the example at [`WebSocketStream`].
    ///
    /// When the stream is dropped the WebSocket is closed, with 1000; a handler that fails closes it with 1011. Its failure
    /// is reported, unless it says that the peer is gone. A handler is not cancelled when the peer goes: its stream ends.
    pub fn accept_stream(
        &self,
        request: &RequestHead,
        handler: impl FnOnce(&EventLoop, WebSocketStream) -> Deferred<()> + 'static,
    ) -> Response {
        self.accept(request, |_| Feed::serving(handler))
    }

    fn check<'h>(&self, request: &'h RequestHead) -> Result<(&'h str, Option<DeflateParameters>), HandshakeError> {
        let key = check_request(request)?;
        if self.same_origin || self.origins.is_some() {
            let origin = request.headers.get("Origin");
            // A browser writes scheme and host in small letters.
            let named = |origin: &str| self.origins.iter().flatten().any(|one| one == origin);
            let own = |origin: &str| {
                let host = origin.split_once("://").map(|(_, host)| host);
                self.same_origin && host.is_some() && host == request.headers.get("Host")
            };
            let allowed = origin.is_some_and(|origin| named(origin) || own(origin));
            if !allowed || request.headers.get_all("Origin").count() != 1 {
                return Err(HandshakeError::Origin(origin.map(str::to_owned)));
            }
        }
        match &self.deflate {
            Some(deflate) => Ok((key, deflate.accept(&request.headers)?)),
            // Whether or not any is wanted (9.1).
            None => extensions(&request.headers).map(|_| (key, None)).map_err(HandshakeError::Extensions),
        }
    }

    /// A server with nothing but WebSockets, whatever the path: an HTTP server with this one handler. `make` is called for
    /// each with its request.
    ///
    /// # Errors
    ///
    /// As for [`ListenTcp::listen`](crate::ListenTcp::listen).
    #[track_caller]
    pub fn listen<P: WebSocketProtocol>(
        self,
        event_loop: &EventLoop,
        address: impl Into<Target>,
        mut make: impl FnMut(&EventLoop, &Request) -> P + 'static,
    ) -> io::Result<Site> {
        Server::new()
            .fallback(move |event_loop, request: Request| self.accept(&request, |_| make(event_loop, &request)))
            .listen(event_loop, address)
    }
}
