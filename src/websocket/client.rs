//! The client's side: connect, shake hands, and hand the connection to its program.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::Ipv6Addr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::connection::{Connection, Settings};
use super::deflate::Deflate;
use super::frame::Role;
use super::handshake::{HandshakeError, are_distinct_names, check_response};
use super::limits::Limits;
use super::protocol::WebSocketProtocol;
use super::stream::{Feed, WebSocketStream};
use super::transport::WebSocket;
use crate::event_loop::EventLoop;
#[cfg(feature = "tls")]
use crate::ground::AbandonedError;
use crate::ground::{CancelHandle, Deferred, Failure, Resolver};
use crate::http::{self, Event, Headers, Method, RequestHead, ResponseDecoder, encode_request_head};
use crate::protocols::{IdleTimeout, Piece};
#[cfg(feature = "tls")]
use crate::tls::TlsClient;
use crate::transports::{ConnectTcp, ConnectionDone, Protocol, Transport};

/// How long the handshake may take behind the connection, which has as long for itself.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A WebSocket that is about to be opened from this side.
///
/// ```
/// use ropewalk::websocket::{CloseCode, Message, WebSocket, WebSocketClient, WebSocketProtocol, WebSocketServer};
/// use ropewalk::{EventLoop, Failure};
///
/// /// On both sides.
/// struct Greet;
///
/// impl WebSocketProtocol for Greet {
///     fn connection_made(&mut self, _: &EventLoop, socket: &WebSocket) -> Result<(), Failure> {
///         Ok(socket.send_text("hello")?)
///     }
///
///     fn message_received(&mut self, _: &EventLoop, socket: &WebSocket, message: Message<'_>) -> Result<(), Failure> {
///         assert_eq!(message, Message::Text("hello"));
///         socket.close(CloseCode::NORMAL, "");
///         Ok(())
///     }
///
///     fn connection_lost(&mut self, event_loop: &EventLoop, _: Failure) {
///         event_loop.stop();
///     }
/// }
///
/// let event_loop = EventLoop::new()?;
/// let site = WebSocketServer::new().listen(&event_loop, "127.0.0.1:0", |_, _| Greet)?;
/// let url = format!("ws://{}/", site.address().unwrap());
/// let opened = WebSocketClient::new(&url)?.connect(&event_loop, Greet);
/// event_loop.run_until(opened)?;
/// event_loop.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct WebSocketClient {
    /// The URL, if it asks for TLS.
    secure: Option<String>,
    host: String,
    port: u16,
    authority: String,
    target: String,
    headers: Headers,
    subprotocols: Vec<String>,
    settings: Settings,
    timeout: Duration,
    deflate: Option<Deflate>,
    #[cfg(feature = "tls")]
    tls: Option<TlsClient>,
}

impl WebSocketClient {
    /// To `ws://host:port/path?query`, or with `wss` over TLS, which needs the feature `tls`.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Url`]: it is no such URL (RFC 6455, 3).
    pub fn new(url: &str) -> Result<WebSocketClient, HandshakeError> {
        let wrong = |why| HandshakeError::Url(url.to_owned(), why);
        let (scheme, rest) = url.split_once("://").ok_or(wrong("it does not begin with ws://"))?;
        let usual = match scheme.to_ascii_lowercase().as_str() {
            "ws" => 80,
            "wss" => 443,
            _ => return Err(wrong("it does not begin with ws:// or wss://")),
        };
        if !url.bytes().all(|byte| (0x21..0x7f).contains(&byte)) {
            return Err(wrong("it has a space, a control character, or one that is not ASCII"));
        }
        if rest.contains('#') {
            return Err(wrong("it has a fragment"));
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let port_at = authority.rfind(':').filter(|&at| !authority[at..].contains(']'));
        let (host, port) = match port_at {
            None => (authority, usual),
            Some(at) => {
                (&authority[..at], port_of(&authority[at + 1..], usual).ok_or(wrong("its port is no port"))?)
            }
        };
        if !is_host(host) {
            return Err(wrong("its host is none"));
        }
        Ok(WebSocketClient {
            secure: (usual == 443).then(|| url.to_owned()),
            host: host.to_owned(),
            port,
            authority: if port == usual { host.to_owned() } else { format!("{host}:{port}") },
            target: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
            headers: Headers::new(),
            subprotocols: Vec::new(),
            settings: Settings::default(),
            timeout: TIMEOUT,
            deflate: None,
            #[cfg(feature = "tls")]
            tls: None,
        })
    }

    /// Offers subprotocols, the best first. The server may choose one, or none.
    pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> WebSocketClient {
        self.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Header fields of the request, beside those of the handshake: Origin, Cookie, Authorization.
    pub fn headers(mut self, headers: Headers) -> WebSocketClient {
        self.headers = headers;
        self
    }

    /// How much the server may send in one go.
    pub fn limits(mut self, limits: Limits) -> WebSocketClient {
        self.settings.limits = limits;
        self
    }

    /// As [`WebSocketServer::keep_alive`](super::WebSocketServer::keep_alive).
    pub fn keep_alive(mut self, silence: Option<Duration>) -> WebSocketClient {
        self.settings.keep_alive = silence;
        self
    }

    /// As [`WebSocketServer::close_timeout`](super::WebSocketServer::close_timeout).
    pub fn close_timeout(mut self, time: Duration) -> WebSocketClient {
        self.settings.close = time;
        self
    }

    /// Offers to compress messages (`permessage-deflate`, RFC 7692), which the server may decline. Without it nothing is
    /// compressed.
    pub fn deflate(mut self, deflate: Deflate) -> WebSocketClient {
        self.deflate = Some(deflate);
        self
    }

    /// Whom to trust with `wss://`. Without it the system's roots are read for each connection: a program with many makes
    /// one [`TlsClient`], and clones it.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: &TlsClient) -> WebSocketClient {
        self.tls = Some(tls.clone());
        self
    }

    /// How long the connection may take, then the hand-shake of TLS if there is one, and then that of the WebSocket. The
    /// default is 30 s for each.
    pub fn timeout(mut self, time: Duration) -> WebSocketClient {
        self.timeout = time;
        self
    }

    /// Connects over TCP; with `wss` over TLS. `program` hears of the WebSocket first, then the Deferred fires. Cancelling the
    /// Deferred stops the attempt.
    ///
    /// # Errors
    ///
    /// The Deferred fails with a [`ConnectError`](crate::ConnectError), a [`HandshakeError`], an
    /// [`http::ParseError`], or with what the connection was lost by; with `wss` also with a `TlsError` or a
    /// `TlsConfigError`. The program is then dropped without a call. A `wss` URL without the feature `tls` is refused: what
    /// is meant for TLS must not go out in the clear.
    #[track_caller]
    pub fn connect(self, event_loop: &EventLoop, program: impl WebSocketProtocol) -> Deferred<WebSocket> {
        let connect = ConnectTcp::new((self.host.as_str(), self.port)).timeout(self.timeout);
        if let Some(url) = self.secure.as_ref().filter(|_| !cfg!(feature = "tls")) {
            return Deferred::fail(HandshakeError::NoTls(url.clone()));
        }
        #[cfg(feature = "tls")]
        if self.secure.is_some() {
            let made = self.connect_securely(event_loop, connect, Box::new(program));
            return made.unwrap_or_else(Deferred::fail);
        }
        match self.open(Box::new(program)) {
            Ok((opening, opened)) => {
                opening.pending.clone().wait_for(connect.connect(event_loop, opening));
                opened
            }
            Err(failure) => Deferred::fail(failure),
        }
    }

    #[cfg(feature = "tls")]
    #[track_caller]
    fn connect_securely(
        self,
        event_loop: &EventLoop,
        connect: ConnectTcp,
        program: Box<dyn WebSocketProtocol>,
    ) -> Result<Deferred<WebSocket>, Failure> {
        let tls = match &self.tls {
            Some(tls) => tls.clone(),
            None => TlsClient::with_native_roots()?,
        };
        let (tls, name) = (tls.handshake_timeout(self.timeout), self.host.clone());
        let (opening, opened) = self.open(program)?;
        let pending = opening.pending.clone();
        let (protocol, shaken) = tls.protocol(&name, opening)?;
        let failing = pending.clone();
        let looked_at = shaken.own_step("websocket").add_errback(move |failure| {
            // Without a connection nobody shakes hands, and the attempt's own error says why.
            if failure.check::<AbandonedError>().is_none() {
                failing.fail(failure);
            }
            Ok(())
        });
        looked_at.detach();
        pending.wait_for(connect.connect(event_loop, protocol));
        Ok(opened)
    }

    /// Connects as [`connect`](WebSocketClient::connect) does, and answers a stream of messages to ask for.
    ///
    /// # Errors
    ///
    /// As for [`connect`](WebSocketClient::connect).
    #[track_caller]
    pub fn connect_stream(self, event_loop: &EventLoop) -> Deferred<WebSocketStream> {
        let (feed, inbox) = Feed::new();
        self.connect(event_loop, feed).map(|socket| WebSocketStream::new(socket, inbox))
    }

    /// As [`protocol`](WebSocketClient::protocol), for a stream of messages to ask for.
    ///
    /// # Errors
    ///
    /// As for [`protocol`](WebSocketClient::protocol).
    pub fn stream_protocol(self) -> Result<(impl Protocol + fmt::Debug, Deferred<WebSocketStream>), Failure> {
        let (feed, inbox) = Feed::new();
        let (opening, opened) = self.open(Box::new(feed))?;
        Ok((opening, opened.map(|socket| WebSocketStream::new(socket, inbox))))
    }

    /// The protocol for a connection that is made in another way, such as a test's memory, and a Deferred that fires when
    /// hands are shaken. For `wss` this is what runs over TLS: give it to `TlsClient::protocol`.
    ///
    /// # Errors
    ///
    /// A header field or a subprotocol that cannot be sent; or the system has no chance to give. The Deferred fails as that
    /// of [`connect`](WebSocketClient::connect).
    pub fn protocol(
        self,
        program: impl WebSocketProtocol,
    ) -> Result<(impl Protocol + fmt::Debug, Deferred<WebSocket>), Failure> {
        self.open(Box::new(program))
    }

    fn open(self, program: Box<dyn WebSocketProtocol>) -> Result<(Opening, Deferred<WebSocket>), Failure> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| Failure::msg(format!("no chance for a key: {error}")))?;
        let key = STANDARD.encode(random);
        let mut head = RequestHead::new(Method::Get, self.target);
        head.headers.append("Host", self.authority)?;
        head.headers.append("Upgrade", "websocket")?;
        head.headers.append("Connection", "Upgrade")?;
        head.headers.append("Sec-WebSocket-Key", &key)?;
        head.headers.append("Sec-WebSocket-Version", "13")?;
        if !are_distinct_names(self.subprotocols.iter().map(String::as_str).collect()) {
            return Err(HandshakeError::Subprotocols.into());
        }
        if !self.subprotocols.is_empty() {
            head.headers.append("Sec-WebSocket-Protocol", self.subprotocols.join(", "))?;
        }
        if let Some(deflate) = &self.deflate {
            head.headers.append("Sec-WebSocket-Extensions", deflate.offer())?;
        }
        for (name, value) in self.headers.iter() {
            head.headers.append(name, value)?;
        }
        let mut request = Vec::new();
        encode_request_head(&head, &mut request);
        let pending = Rc::<Pending>::default();
        let weak = Rc::downgrade(&pending);
        let (resolver, opened) = Deferred::with_canceller(move || cancel(&weak));
        pending.resolver.set(Some(resolver));
        let opening = Opening {
            request,
            key,
            subprotocols: self.subprotocols,
            settings: self.settings,
            deflate: self.deflate,
            timeout: self.timeout,
            time: IdleTimeout::new(),
            decoder: ResponseDecoder::new(http::Limits::default(), &Method::Get),
            program: Some(program),
            pending,
            connection: None,
        };
        Ok((opening, opened))
    }
}

/// The port of a URL; if it has none behind its colon, the usual one (RFC 3986, 3.2.3).
fn port_of(digits: &str, usual: u16) -> Option<u16> {
    match digits {
        "" => Some(usual),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    }
}

/// A name, or an address; one of IPv6 is in brackets.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && !host.contains(['@', ':', '[', ']']),
    }
}

/// A WebSocket that somebody waits for.
#[derive(Default)]
struct Pending {
    resolver: Cell<Option<Resolver<WebSocket>>>,
    attempt: Cell<Option<CancelHandle>>,
    /// What to break off: at first the connection under TLS, if there is TLS.
    transport: RefCell<Option<Transport>>,
}

impl Pending {
    /// A connection is being made.
    fn wait_for(self: Rc<Self>, attempt: Deferred<Transport>) {
        self.attempt.set(Some(attempt.cancel_handle()));
        attempt
            .own_step("websocket")
            .add_both(move |made| {
                match made {
                    Ok(transport) => {
                        self.transport.borrow_mut().get_or_insert(transport);
                    }
                    Err(failure) => self.fail(failure),
                }
                Ok(())
            })
            .detach();
    }

    fn fail(&self, failure: Failure) {
        if let Some(resolver) = self.resolver.take() {
            resolver.fail(failure);
        }
    }
}

/// Nobody waits any more.
fn cancel(pending: &Weak<Pending>) {
    let Some(pending) = pending.upgrade() else { return };
    if let Some(attempt) = pending.attempt.take() {
        attempt.cancel();
    }
    let transport = pending.transport.take();
    if let Some(transport) = transport {
        transport.abort();
    }
}

/// The client's side until hands are shaken; from then on it passes everything to the connection.
struct Opening {
    request: Vec<u8>,
    key: String,
    subprotocols: Vec<String>,
    settings: Settings,
    deflate: Option<Deflate>,
    timeout: Duration,
    time: IdleTimeout,
    decoder: ResponseDecoder,
    program: Option<Box<dyn WebSocketProtocol>>,
    pending: Rc<Pending>,
    connection: Option<Box<Connection>>,
}

impl Opening {
    /// Reads the response. `true` when hands are shaken.
    fn read(&mut self, piece: &mut Piece<'_>) -> Result<Option<Box<Connection>>, Failure> {
        while let Some(event) = self.decoder.next_event(piece)? {
            let Event::Head(head) = event else { continue };
            if head.status.is_informational() && !self.decoder.is_over() {
                continue;
            }
            let agreed = check_response(&head, &self.key, &self.subprotocols, self.deflate.as_ref())?;
            let Some(program) = self.program.take() else { break };
            let chosen = agreed.subprotocol.map(String::into_boxed_str);
            let deflate = self.deflate.as_ref().zip(agreed.deflate);
            return Ok(Some(Box::new(Connection::new(program, Role::Client, self.settings, chosen, deflate))));
        }
        Ok(None)
    }

    fn give_up(&mut self, transport: &Transport, failure: Failure) {
        self.time = IdleTimeout::new();
        self.program = None;
        transport.abort();
        self.pending.fail(failure);
    }
}

impl Protocol for Opening {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.pending.transport.replace(Some(transport.clone()));
        if transport.set_tcp_nodelay(true).is_err() {
            // Lost already, which is told next.
        }
        self.time.set_timeout(event_loop, transport, Some(self.timeout));
        transport.write(&std::mem::take(&mut self.request))?;
        Ok(())
    }

    fn data_received(&mut self, event_loop: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        if let Some(connection) = &mut self.connection {
            return connection.data_received(event_loop, transport, data);
        }
        let mut piece = Piece::new(data);
        match self.read(&mut piece) {
            Ok(None) => {}
            Ok(Some(connection)) => {
                self.time = IdleTimeout::new();
                self.key = String::new();
                let connection = self.connection.insert(connection);
                connection.connection_made(event_loop, transport)?;
                let socket = connection.socket();
                let rest = piece.rest();
                if !rest.is_empty() && !transport.is_disconnecting() {
                    connection.data_received(event_loop, transport, rest)?;
                }
                if let (Some(resolver), Some(socket)) = (self.pending.resolver.take(), socket) {
                    resolver.succeed(socket);
                }
            }
            Err(failure) => self.give_up(transport, failure),
        }
        Ok(())
    }

    fn woken(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        match &mut self.connection {
            Some(connection) => connection.woken(event_loop, transport)?,
            None if self.time.take_expired() => {
                self.give_up(transport, HandshakeError::Timeout(self.timeout).into());
            }
            None => {}
        }
        Ok(())
    }

    fn resume_producing(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        match &mut self.connection {
            Some(connection) => connection.resume_producing(event_loop, transport),
            None => Ok(()),
        }
    }

    fn half_close(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.half_close())
    }

    fn read_connection_lost(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        match &mut self.connection {
            Some(connection) => connection.read_connection_lost(event_loop, transport),
            None => {
                transport.lose_connection();
                Ok(())
            }
        }
    }

    fn connection_lost(&mut self, event_loop: &EventLoop, reason: Failure) {
        self.time = IdleTimeout::new();
        match self.connection.take() {
            Some(mut connection) => connection.connection_lost(event_loop, reason),
            None if reason.check::<ConnectionDone>().is_some() => self.pending.fail(HandshakeError::Closed.into()),
            None => self.pending.fail(reason),
        }
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("connection", &self.connection).finish_non_exhaustive()
    }
}
