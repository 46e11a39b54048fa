//! One request to one server, and where a redirection leads.

use std::error::Error;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use url::{Host, Position, Url};

use super::answer::ClientResponse;
use super::call;
use super::pool::{Client, Origin};
use super::problem::{ClientError, ClientPhase, ClientProblem, without_secrets};
use super::request_body::RequestBody;
use super::{ClientRequest, Settings};
use crate::event_loop::EventLoop;
use crate::ground::Deferred;
use crate::http::encode::encode_request_head;
use crate::http::head::RequestHead;
use crate::http::headers::Headers;
use crate::http::method::Method;
use crate::http::status::Status;
#[cfg(feature = "tls")]
use crate::tls::TlsClient;
use crate::trace::Place;
use crate::transports::Target;

/// What another server is not told.
const SECRETS: [&str; 4] = ["Authorization", "Cookie", "Proxy-Authorization", "Host"];

pub(super) struct Hop {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) settings: Settings,
    headers: Headers,
    pub(super) body: RequestBody,
    pub(super) client: Option<Client>,
    /// Scheme, host and port.
    pub(super) server: Rc<str>,
    /// `417` was the answer to an `Expect` before.
    expects_no_more: bool,
    /// Another hop leads here, and its connection may be free soon.
    pub(super) follows: bool,
    #[cfg(feature = "tls")]
    tls: Option<TlsClient>,
}

/// The URL, if it can be asked for.
fn check(url: Result<Url, url::ParseError>) -> Result<Url, ClientProblem> {
    let url = url.map_err(|error| ClientProblem::Url(error.to_string()))?;
    let wrong = |why: &str| Err(ClientProblem::Url(why.to_owned()));
    match url.scheme() {
        "http" => {}
        "https" if cfg!(feature = "tls") => {}
        "https" => return wrong("https needs the feature `tls`"),
        _ => return wrong("the scheme is neither http nor https"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("a user or password in a URL is not sent; set the header field Authorization");
    }
    if url.port_or_known_default() == Some(0) {
        return wrong("nobody listens on port 0");
    }
    Ok(url)
}

impl Hop {
    pub(super) fn new(request: ClientRequest) -> Result<Hop, ClientError> {
        let ClientRequest { method, url, headers, invalid, body, settings, client, .. } = request;
        let fail = |method: &Method, source: Box<dyn Error + Send + Sync>| ClientError {
            method: method.clone(),
            url: without_secrets(&url),
            phase: ClientPhase::Setup,
            source,
        };
        if let Some(invalid) = invalid {
            return Err(fail(&method, invalid.into()));
        }
        if method == Method::Connect {
            let problem = ClientProblem::Url("CONNECT asks for a tunnel, which this client has not".to_owned());
            return Err(fail(&method, problem.into()));
        }
        if !body.is_there() {
            return Err(fail(&method, ClientProblem::BodyGone.into()));
        }
        let url = check(Url::parse(&url)).map_err(|problem| fail(&method, problem.into()))?;
        Ok(Hop {
            method,
            server: url.origin().ascii_serialization().into(),
            url,
            settings,
            headers,
            body,
            client,
            expects_no_more: false,
            follows: false,
            #[cfg(feature = "tls")]
            tls: request.tls,
        })
    }

    pub(super) fn error(&self, phase: ClientPhase, source: impl Into<Box<dyn Error + Send + Sync>>) -> ClientError {
        let url = without_secrets(&self.url[..Position::AfterQuery]);
        ClientError { method: self.method.clone(), url, phase, source: source.into() }
    }

    #[cfg(feature = "tls")]
    pub(super) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whom to connect to.
    pub(super) fn target(&self) -> Target {
        let port = self.url.port_or_known_default().unwrap_or(80);
        match self.url.host() {
            Some(Host::Ipv4(ip)) => (IpAddr::V4(ip), port).into(),
            Some(Host::Ipv6(ip)) => (IpAddr::V6(ip), port).into(),
            Some(Host::Domain(name)) => (name, port).into(),
            // URLs of these schemes have one.
            None => ("", port).into(),
        }
    }

    /// Whom to trust.
    #[cfg(feature = "tls")]
    fn tls_client(&self) -> Result<TlsClient, crate::tls::TlsConfigError> {
        match (&self.tls, &self.client) {
            (Some(tls), _) => Ok(tls.clone()),
            (None, Some(client)) => client.pool.roots(),
            (None, None) => TlsClient::with_native_roots(),
        }
    }

    /// What a connection of this hop leads to.
    pub(super) fn origin(&self) -> Origin {
        Origin {
            server: self.server.clone(),
            #[cfg(feature = "tls")]
            tls: if self.is_https() { self.tls_client().ok() } else { None },
        }
    }

    /// How long the body waits for `100 Continue`.
    pub(super) fn expects(&self) -> Option<Duration> {
        let empty = matches!(&self.body, RequestBody::Bytes(bytes) if bytes.is_empty());
        self.settings.expect.filter(|_| !empty && !self.expects_no_more)
    }

    /// Puts TLS under a protocol of this hop.
    #[cfg(feature = "tls")]
    pub(super) fn over_tls(
        &self,
        protocol: super::protocol::ClientProtocol,
    ) -> Result<(crate::tls::TlsProtocol, Deferred<()>), crate::tls::TlsConfigError> {
        let tls = self.tls_client()?.handshake_timeout(self.settings.connect);
        tls.protocol(self.url.host_str().unwrap_or_default(), protocol)
    }

    /// Whether the server is offered to compress the body.
    pub(super) fn unpacks(&self) -> bool {
        self.settings.decompress && !self.headers.contains("Accept-Encoding")
    }

    /// The bytes of the request's head.
    pub(super) fn encode_head(&self) -> Vec<u8> {
        let mut head = RequestHead::new(self.method.clone(), &self.url[Position::BeforePath..Position::AfterQuery]);
        let mut add = |name: &str, value: &[u8]| {
            // All of them are tokens, or were looked at.
            let added = head.headers.append(name, value);
            debug_assert!(added.is_ok());
        };
        if !self.headers.contains("Host") {
            add("Host", self.url[Position::BeforeHost..Position::AfterPort].as_bytes());
        }
        if !self.headers.contains("User-Agent") {
            add("User-Agent", concat!("ropewalk/", env!("CARGO_PKG_VERSION")).as_bytes());
        }
        if !self.headers.contains("Accept") {
            add("Accept", b"*/*");
        }
        if self.unpacks() {
            add("Accept-Encoding", b"gzip, deflate");
        }
        for (name, value) in self.headers.iter() {
            let own = ["Connection", "Content-Length", "Expect", "Transfer-Encoding"];
            if !own.iter().any(|own| own.eq_ignore_ascii_case(name)) {
                add(name, value);
            }
        }
        // A method that means something with a body says that there is none (RFC 9110, 8.6).
        let expected = matches!(self.method, Method::Post | Method::Put | Method::Patch);
        match self.body.length() {
            None => add("Transfer-Encoding", b"chunked"),
            Some(0) if !expected => {}
            Some(length) => add("Content-Length", length.to_string().as_bytes()),
        }
        if self.expects().is_some() {
            add("Expect", b"100-continue");
        }
        if self.client.is_none() {
            add("Connection", b"close");
        }
        let mut bytes = Vec::new();
        encode_request_head(&head, &mut bytes);
        bytes
    }

    /// Asks, and asks where a redirection leads to, at most `left` times.
    pub(super) fn follow(
        self,
        event_loop: &EventLoop,
        deadline: Option<Duration>,
        left: u32,
        place: Place,
    ) -> Deferred<ClientResponse> {
        let hop = Rc::new(self);
        let response = call::begin(event_loop, hop.clone(), deadline, place);
        if hop.settings.redirects == 0 && hop.expects().is_none() {
            return response;
        }
        let handle = event_loop.handle();
        response.own_step("http client").add_callback(move |response| {
            if hop.must_not_expect(&response) {
                drop(response);
                let again = Hop { expects_no_more: true, ..hop.again() };
                return handle.with_deferred(move |event_loop| again.follow(event_loop, deadline, left, place));
            }
            if hop.settings.redirects == 0 {
                return Deferred::succeed(response);
            }
            let next = match hop.next(&response) {
                None => return Deferred::succeed(response),
                Some(Err(problem)) => Err(hop.error(ClientPhase::Response, problem)),
                Some(Ok(_)) if left == 0 => {
                    let problem = ClientProblem::TooManyRedirects(hop.settings.redirects);
                    Err(hop.error(ClientPhase::Response, problem))
                }
                Some(Ok(next)) => Ok(next),
            };
            // The body of a redirection is nobody's: its connection is closed.
            drop(response);
            let next = match next {
                Ok(next) => next,
                Err(error) => return Deferred::fail(error),
            };
            handle
                .with(move |event_loop| next.follow(event_loop, deadline, left - 1, place))
                .unwrap_or_else(Deferred::fail)
        })
    }

    /// Whether the server does not know of expectations: then it is asked again without (RFC 9110, 10.1.1).
    fn must_not_expect(&self, response: &ClientResponse) -> bool {
        response.status() == Status::EXPECTATION_FAILED && self.expects().is_some() && self.body.is_there()
    }

    /// Where a redirection leads.
    fn next(&self, response: &ClientResponse) -> Option<Result<Hop, ClientProblem>> {
        let status = response.status();
        let to = match status {
            Status::MOVED_PERMANENTLY
            | Status::FOUND
            | Status::SEE_OTHER
            | Status::TEMPORARY_REDIRECT
            | Status::PERMANENT_REDIRECT => response.headers().get_bytes("Location")?,
            _ => return None,
        };
        let to = String::from_utf8_lossy(to);
        let url = match self.url.join(&to) {
            Err(_) => return Some(Err(ClientProblem::Location(without_secrets(&to)))),
            Ok(url) => match check(Ok(url)) {
                Ok(url) => url,
                Err(problem) => return Some(Err(problem)),
            },
        };
        let mut headers = self.headers.clone();
        if url.origin() != self.url.origin() {
            for name in SECRETS {
                headers.remove(name);
            }
        }
        let becomes_get = match status {
            Status::SEE_OTHER => self.method != Method::Head,
            Status::MOVED_PERMANENTLY | Status::FOUND => self.method == Method::Post,
            _ => false,
        };
        if becomes_get {
            for name in ["Content-Type", "Content-Encoding", "Content-Language", "Content-Location"] {
                headers.remove(name);
            }
        }
        let mut next = Hop { server: url.origin().ascii_serialization().into(), url, headers, ..self.again() };
        if becomes_get {
            next.method = Method::Get;
            next.body = RequestBody::Bytes(Rc::from([]));
        }
        if !next.body.is_there() {
            return Some(Err(ClientProblem::BodyGone));
        }
        Some(Ok(next))
    }

    /// The same request once more.
    fn again(&self) -> Hop {
        Hop {
            method: self.method.clone(),
            url: self.url.clone(),
            settings: self.settings,
            headers: self.headers.clone(),
            body: self.body.clone(),
            client: self.client.clone(),
            server: self.server.clone(),
            expects_no_more: self.expects_no_more,
            follows: true,
            #[cfg(feature = "tls")]
            tls: self.tls.clone(),
        }
    }
}
