//! What messages begin with.

use std::fmt;

use super::framing::BodyLength;
use super::head_collector::find;
use super::headers::Headers;
use super::method::Method;
use super::status::Status;

/// The version of a message.
///
/// ```
/// use ropewalk::http::{Method, RequestHead, Version};
///
/// let mut head = RequestHead::new(Method::Get, "/");
/// assert_eq!(head.version, Version::Http11);
/// assert!(head.keep_alive());
/// head.version = Version::Http10;
/// assert!(!head.keep_alive());
/// assert_eq!(head.version.to_string(), "HTTP/1.0");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0: no chunks; connections end behind a message unless they are asked not to.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
}

impl Version {
    /// As it stands in a message.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the connection stays open behind a message, as far as the message says so (RFC 9112, 9.3).
fn stays_open(version: Version, headers: &Headers) -> bool {
    match version {
        Version::Http11 => !headers.list_has("Connection", "close"),
        Version::Http10 => headers.list_has("Connection", "keep-alive") && !headers.list_has("Connection", "close"),
    }
}

/// A request's head: its line, and its header fields.
///
/// One that a decoder gives is valid by RFC 9112: its target has the form of its method, HTTP/1.1 has exactly one
/// Host, and it is clear how long the body is.
///
/// ```
/// use ropewalk::http::{Method, RequestHead};
///
/// let mut head = RequestHead::new(Method::Get, "/poems/if%20i?line=2");
/// head.headers.append("Host", "example.org:8080")?;
/// head.headers.append("Connection", "keep-alive, Upgrade")?;
/// head.headers.append("Upgrade", "websocket")?;
/// assert_eq!((head.path(), head.query()), ("/poems/if%20i", Some("line=2")));
/// assert_eq!(head.host(), Some("example.org:8080"));
/// assert!(head.keep_alive() && head.upgrades_to("websocket"));
///
/// let proxied = RequestHead::new(Method::Get, "http://example.org?line=2");
/// assert_eq!((proxied.host(), proxied.path()), (Some("example.org"), "/"));
/// # Ok::<(), ropewalk::http::InvalidHeader>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// What is to be done.
    pub method: Method,
    /// With what, as it came: `/path?query`, `http://host/path?query`, `host:port` for CONNECT, `*` for OPTIONS.
    pub target: String,
    /// The version.
    pub version: Version,
    /// The header fields.
    pub headers: Headers,
    pub(super) body: BodyLength,
}

impl RequestHead {
    /// A request of HTTP/1.1 without header fields.
    pub fn new(method: Method, target: impl Into<String>) -> RequestHead {
        RequestHead {
            method,
            target: target.into(),
            version: Version::Http11,
            headers: Headers::new(),
            body: BodyLength::Empty,
        }
    }

    /// How long the body is, of a request that was decoded.
    pub fn body_length(&self) -> BodyLength {
        self.body
    }

    /// The host and port of a target that is a URL.
    pub(super) fn authority(&self) -> Option<&str> {
        let target = self.target.as_str();
        let split = target.find("://")?;
        let scheme = &target[..split];
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return None;
        }
        let rest = &target[split + 3..];
        Some(&rest[..rest.find(['/', '?']).unwrap_or(rest.len())])
    }

    /// The path and the query, as they came: what is behind the host, if the target is a URL.
    fn path_and_query(&self) -> &str {
        if self.target.starts_with('/') {
            return &self.target;
        }
        match self.authority() {
            Some(authority) => {
                let start = self.target.find("://").map_or(0, |at| at + 3) + authority.len();
                &self.target[start..]
            }
            None => &self.target,
        }
    }

    /// The target's path, still percent-encoded. Never empty: `http://host` is asked for `/`.
    pub fn path(&self) -> &str {
        let path = self.path_and_query();
        let path = &path[..find(b'?', path.as_bytes()).unwrap_or(path.len())];
        if path.is_empty() { "/" } else { path }
    }

    /// What is behind the target's `?`, still percent-encoded.
    pub fn query(&self) -> Option<&str> {
        self.path_and_query().split_once('?').map(|(_, query)| query)
    }

    /// The host that is asked, with its port if one is named. A target that is a URL counts more than the Host field
    /// (RFC 9112, 3.2.2). `None` only with HTTP/1.0.
    pub fn host(&self) -> Option<&str> {
        if self.method == Method::Connect {
            return Some(&self.target);
        }
        match self.target.starts_with('/') {
            true => self.headers.get("Host"),
            false => self.authority().or_else(|| self.headers.get("Host")),
        }
    }

    /// Whether the client wants the connection to stay open.
    pub fn keep_alive(&self) -> bool {
        stays_open(self.version, &self.headers)
    }

    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110, 10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.version == Version::Http11
            && self.body != BodyLength::Empty
            && self.headers.list_has("Expect", "100-continue")
    }

    /// Whether the client offers to change over to a protocol of this name, such as `websocket`.
    pub fn upgrades_to(&self, protocol: &str) -> bool {
        self.headers.list_has("Connection", "upgrade") && self.headers.list_has("Upgrade", protocol)
    }
}

/// A response's head: its line, and its header fields.
///
/// ```
/// use ropewalk::http::{BodyLength, Event, Limits, Method, ResponseDecoder, Status};
/// use ropewalk::protocols::Piece;
///
/// let mut decoder = ResponseDecoder::new(Limits::default(), &Method::Get);
/// let mut piece = Piece::new(b"HTTP/1.1 404 Nothing here\r\nContent-Length: 5\r\nConnection: close\r\n\r\n");
/// let Ok(Some(Event::Head(head))) = decoder.next_event(&mut piece) else { panic!("it is whole") };
/// assert_eq!((head.status, head.reason.as_str()), (Status::NOT_FOUND, "Nothing here"));
/// assert_eq!(head.body_length(), BodyLength::Exact(5));
/// assert!(!head.keep_alive());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The version.
    pub version: Version,
    /// How it went.
    pub status: Status,
    /// The phrase beside the code; it has no meaning. Empty is the usual one when it is sent.
    pub reason: String,
    /// The header fields.
    pub headers: Headers,
    pub(super) body: BodyLength,
}

impl ResponseHead {
    /// A response of HTTP/1.1 without header fields.
    pub fn new(status: Status) -> ResponseHead {
        ResponseHead {
            version: Version::Http11,
            status,
            reason: String::new(),
            headers: Headers::new(),
            body: BodyLength::Empty,
        }
    }

    /// How long the body is, of a response that was decoded.
    pub fn body_length(&self) -> BodyLength {
        self.body
    }

    /// Whether the connection can be used again when the body has come. One whose length was said twice, in different
    /// ways, cannot.
    pub fn keep_alive(&self) -> bool {
        self.body != BodyLength::UntilClose
            && stays_open(self.version, &self.headers)
            && !(self.body == BodyLength::Chunked && self.headers.contains("Content-Length"))
    }
}
