//! One request to one server, and where a redirection leads.

use std::error::Error;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use url::{Host, Position, Url};

use super::answer::ClientResponse;
use super::call;
use super::problem::{ClientError, ClientPhase, ClientProblem, without_secrets};
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
    body: Rc<[u8]>,
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
        let ClientRequest { method, url, headers, invalid, body, settings, .. } = request;
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
        let url = check(Url::parse(&url)).map_err(|problem| fail(&method, problem.into()))?;
        Ok(Hop {
            method,
            url,
            settings,
            headers,
            body,
            #[cfg(feature = "tls")]
            tls: request.tls,
        })
    }

    pub(super) fn error(&self, phase: ClientPhase, source: impl Into<Box<dyn Error + Send + Sync>>) -> ClientError {
        let url = without_secrets(&self.url[..Position::AfterQuery]);
        ClientError { method: self.method.clone(), url, phase, source: source.into() }
    }

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

    /// Puts TLS under a protocol of this hop.
    #[cfg(feature = "tls")]
    pub(super) fn over_tls(
        &self,
        protocol: super::protocol::ClientProtocol,
    ) -> Result<(crate::tls::TlsProtocol, Deferred<()>), crate::tls::TlsConfigError> {
        let tls = match &self.tls {
            Some(tls) => tls.clone(),
            None => TlsClient::with_native_roots()?,
        };
        let tls = tls.handshake_timeout(self.settings.connect);
        tls.protocol(self.url.host_str().unwrap_or_default(), protocol)
    }

    /// Whether the server is offered to compress the body.
    pub(super) fn unpacks(&self) -> bool {
        self.settings.decompress && !self.headers.contains("Accept-Encoding")
    }

    /// The request's bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
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
            let own = ["Connection", "Content-Length", "Transfer-Encoding"];
            if !own.iter().any(|own| own.eq_ignore_ascii_case(name)) {
                add(name, value);
            }
        }
        // A method that means something with a body says that there is none (RFC 9110, 8.6).
        let expected = matches!(self.method, Method::Post | Method::Put | Method::Patch);
        if expected || !self.body.is_empty() {
            add("Content-Length", self.body.len().to_string().as_bytes());
        }
        add("Connection", b"close");
        let mut bytes = Vec::new();
        encode_request_head(&head, &mut bytes);
        bytes.extend_from_slice(&self.body);
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
        if hop.settings.redirects == 0 {
            return response;
        }
        let handle = event_loop.handle();
        response.add_callback(move |response| {
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
        Some(Ok(Hop {
            method: if becomes_get { Method::Get } else { self.method.clone() },
            url,
            settings: self.settings,
            headers,
            body: if becomes_get { Rc::from([]) } else { self.body.clone() },
            #[cfg(feature = "tls")]
            tls: self.tls.clone(),
        }))
    }
}
