//! The handshake of both sides, without I/O: heads in, heads out (RFC 6455, 4).

use std::error::Error;
use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::deflate::{Deflate, DeflateParameters};
use crate::http::{Headers, Method, RequestHead, ResponseHead, Status, Version, is_token};

/// What a server appends to a client's key (RFC 6455, 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a server answers to a client's `Sec-WebSocket-Key`, in `Sec-WebSocket-Accept`.
///
/// ```
/// use ropewalk::websocket::accept_key;
///
/// assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &str) -> String {
    let mut hash = sha1_smol::Sha1::new();
    hash.update(key.as_bytes());
    hash.update(GUID.as_bytes());
    STANDARD.encode(hash.digest().bytes())
}

/// What was wrong with the other side's handshake.
///
/// ```
/// use ropewalk::http::{Method, RequestHead, Status};
/// use ropewalk::websocket::{HandshakeError, check_request};
///
/// let error = check_request(&RequestHead::new(Method::Get, "/chat")).unwrap_err();
/// assert_eq!(error, HandshakeError::NoUpgrade);
/// assert_eq!(error.status(), Status::UPGRADE_REQUIRED);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The request is not GET of HTTP/1.1.
    Method,
    /// The request does not ask for a WebSocket: no `Upgrade: websocket` with `Connection: Upgrade`.
    NoUpgrade,
    /// Not version 13, the one of RFC 6455.
    Version(Option<String>),
    /// No `Sec-WebSocket-Key`, more than one, or not the base64 of 16 bytes.
    Key,
    /// The request announces a body, which would stand between the handshake and the first frame.
    Body,
    /// `Sec-WebSocket-Protocol` of the request is no list of different names; or those that a client was given are none.
    Subprotocols,
    /// `Sec-WebSocket-Extensions` is not of the grammar: its value.
    Extensions(String),
    /// The page that asks is of an origin that is not allowed, or does not say.
    Origin(Option<String>),
    /// The server did not answer 101: what it answered.
    Status(Status),
    /// The server answered 101 in HTTP/1.0, which knows no upgrade.
    OldHttp,
    /// The response does not say `Upgrade: websocket`, and nothing else there, and `Connection: Upgrade`.
    NotUpgraded,
    /// `Sec-WebSocket-Accept` is not the answer to our key.
    Accept,
    /// The server chose a subprotocol that was not offered.
    Subprotocol(String),
    /// The server uses an extension that was not offered.
    Extension(String),
    /// The server uses an extension that was offered, with parameters that were not, or that make no sense: the extension,
    /// and why.
    ExtensionParameters(String, &'static str),
    /// A text that is no URL of a WebSocket, and why.
    Url(String, &'static str),
    /// The feature `tls` is not there, and this URL needs it.
    NoTls(String),
    /// The server closed the connection before it had answered.
    Closed,
    /// The server did not answer in this time.
    Timeout(Duration),
}

impl HandshakeError {
    /// What a server answers to it.
    pub fn status(&self) -> Status {
        match self {
            HandshakeError::NoUpgrade | HandshakeError::Version(_) => Status::UPGRADE_REQUIRED,
            HandshakeError::Origin(_) => Status::FORBIDDEN,
            _ => Status::BAD_REQUEST,
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeError::Method => f.write_str("a WebSocket begins with GET of HTTP/1.1"),
            HandshakeError::NoUpgrade => {
                f.write_str("this is a WebSocket: ask with Upgrade: websocket and Connection: Upgrade")
            }
            HandshakeError::Version(None) => f.write_str("Sec-WebSocket-Version is missing: 13 is the one"),
            HandshakeError::Version(Some(version)) => {
                write!(f, "Sec-WebSocket-Version is {}: 13 is the one", version.escape_debug())
            }
            HandshakeError::Key => f.write_str("Sec-WebSocket-Key is not one base64 of 16 bytes"),
            HandshakeError::Body => f.write_str("a request for a WebSocket has no body: leave out Content-Length"),
            HandshakeError::Subprotocols => {
                f.write_str("Sec-WebSocket-Protocol is not a list of names, each of them once")
            }
            HandshakeError::Extensions(value) => {
                write!(f, "Sec-WebSocket-Extensions is no list of extensions: \"{}\"", value.escape_debug())
            }
            HandshakeError::Origin(None) => f.write_str("the Origin field is missing"),
            HandshakeError::Origin(Some(origin)) => {
                write!(f, "pages of {} are not allowed here", origin.escape_debug())
            }
            HandshakeError::Status(status) => write!(f, "the server answered {status} in place of 101"),
            HandshakeError::OldHttp => f.write_str("the server answered in HTTP/1.0, which knows no upgrade"),
            HandshakeError::NotUpgraded => {
                f.write_str("the response lacks Upgrade: websocket or Connection: Upgrade")
            }
            HandshakeError::Accept => f.write_str("Sec-WebSocket-Accept is not the answer to our key"),
            HandshakeError::Subprotocol(name) => {
                write!(f, "the server chose the subprotocol {}, which was not offered", name.escape_debug())
            }
            HandshakeError::Url(url, why) => {
                write!(f, "\"{}\" is no URL of a WebSocket: {why}", url.escape_debug())
            }
            HandshakeError::NoTls(url) => {
                write!(f, "{} needs TLS, which is the feature `tls` of ropewalk", url.escape_debug())
            }
            HandshakeError::Closed => {
                f.write_str("the server closed the connection before it answered the handshake")
            }
            HandshakeError::Timeout(time) => write!(f, "the server did not answer the handshake in {time:?}"),
            HandshakeError::Extension(name) => {
                write!(f, "the server uses the extension {}, which was not offered", name.escape_debug())
            }
            HandshakeError::ExtensionParameters(name, why) => {
                write!(f, "the server uses the extension {} in a wrong way: {why}", name.escape_debug())
            }
        }
    }
}

impl Error for HandshakeError {}

fn upgrades(headers: &Headers) -> bool {
    headers.list_has("Connection", "upgrade") && headers.list_has("Upgrade", "websocket")
}

/// Looks at a client's request, and answers its key. Its extensions are looked at by
/// [`Deflate::accept`](super::Deflate::accept).
///
/// # Errors
///
/// It is no handshake, or not a right one.
///
/// ```
/// use ropewalk::http::{Method, RequestHead};
/// use ropewalk::websocket::{accept_key, check_request};
///
/// let mut head = RequestHead::new(Method::Get, "/chat");
/// for (name, value) in [
///     ("Host", "example.org"),
///     ("Upgrade", "websocket"),
///     ("Connection", "Upgrade"),
///     ("Sec-WebSocket-Version", "13"),
///     ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
/// ] {
///     head.headers.append(name, value)?;
/// }
/// assert_eq!(accept_key(check_request(&head)?), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn check_request(head: &RequestHead) -> Result<&str, HandshakeError> {
    let headers = &head.headers;
    if !upgrades(headers) {
        return Err(HandshakeError::NoUpgrade);
    }
    if head.method != Method::Get || head.version != Version::Http11 {
        return Err(HandshakeError::Method);
    }
    let length = headers.get_all("Content-Length").any(|length| length != b"0");
    if length || headers.contains("Transfer-Encoding") {
        return Err(HandshakeError::Body);
    }
    let version = headers.get("Sec-WebSocket-Version");
    if version != Some("13") || headers.get_all("Sec-WebSocket-Version").count() != 1 {
        return Err(HandshakeError::Version(version.map(str::to_owned)));
    }
    if headers.get_all("Sec-WebSocket-Key").count() != 1 {
        return Err(HandshakeError::Key);
    }
    if !has_distinct_names(headers) {
        return Err(HandshakeError::Subprotocols);
    }
    let key = headers.get("Sec-WebSocket-Key").ok_or(HandshakeError::Key)?;
    match STANDARD.decode(key) {
        Ok(bytes) if bytes.len() == 16 => Ok(key),
        _ => Err(HandshakeError::Key),
    }
}

/// Whether the subprotocols that are offered, if any, are names that differ.
fn has_distinct_names(headers: &Headers) -> bool {
    const FIELD: &str = "Sec-WebSocket-Protocol";
    let names: Vec<&str> = headers.list(FIELD).collect();
    let (some, texts) = (!names.is_empty(), headers.get_all(FIELD).all(|value| value.is_ascii()));
    texts && are_distinct_names(names) && (some || !headers.contains(FIELD))
}

/// Whether these can be subprotocols: tokens that differ (4.1, 10).
pub(super) fn are_distinct_names(mut names: Vec<&str>) -> bool {
    let (all, tokens) = (names.len(), names.iter().all(|name| is_token(name.as_bytes())));
    names.sort_unstable();
    names.dedup();
    tokens && names.len() == all
}

/// What a server has agreed to.
///
/// ```
/// use ropewalk::http::{ResponseHead, Status};
/// use ropewalk::websocket::{accept_key, check_response};
///
/// let key = "dGhlIHNhbXBsZSBub25jZQ==";
/// let mut head = ResponseHead::new(Status::SWITCHING_PROTOCOLS);
/// head.headers.append("Upgrade", "websocket")?;
/// head.headers.append("Connection", "Upgrade")?;
/// head.headers.append("Sec-WebSocket-Accept", &accept_key(key))?;
/// head.headers.append("Sec-WebSocket-Protocol", "chat.v2")?;
/// let agreed = check_response(&head, key, &["chat.v1".to_owned(), "chat.v2".to_owned()], None)?;
/// assert_eq!(agreed.subprotocol.as_deref(), Some("chat.v2"));
/// assert!(agreed.deflate.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Agreed {
    /// The subprotocol that it chose, if any.
    pub subprotocol: Option<String>,
    /// How messages are compressed, if they are.
    pub deflate: Option<DeflateParameters>,
}

/// Looks at the server's response to a request with this key and these subprotocols, which offered to compress messages if
/// there is a `deflate`.
///
/// # Errors
///
/// The server did not change over to a WebSocket, or says something that was not offered.
///
/// ```
/// use ropewalk::http::{ResponseHead, Status};
/// use ropewalk::websocket::{HandshakeError, accept_key, check_response};
///
/// let key = "dGhlIHNhbXBsZSBub25jZQ==";
/// let mut head = ResponseHead::new(Status::SWITCHING_PROTOCOLS);
/// head.headers.append("Upgrade", "websocket")?;
/// head.headers.append("Connection", "Upgrade")?;
/// head.headers.append("Sec-WebSocket-Accept", &accept_key(key))?;
/// assert!(check_response(&head, key, &[], None).is_ok());
/// // The answer to somebody else's request.
/// let error = check_response(&head, "c29tZWJvZHkgZWxzZSdzLg==", &[], None).unwrap_err();
/// assert_eq!(error, HandshakeError::Accept);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn check_response(
    head: &ResponseHead,
    key: &str,
    subprotocols: &[String],
    deflate: Option<&Deflate>,
) -> Result<Agreed, HandshakeError> {
    if head.status != Status::SWITCHING_PROTOCOLS {
        return Err(HandshakeError::Status(head.status));
    }
    if head.version != Version::Http11 {
        return Err(HandshakeError::OldHttp);
    }
    let headers = &head.headers;
    // A request may offer more, a response says what it is now (4.1).
    if !upgrades(headers) || headers.list("Upgrade").count() != 1 {
        return Err(HandshakeError::NotUpgraded);
    }
    let mut accepts = headers.get_all("Sec-WebSocket-Accept");
    if accepts.next() != Some(accept_key(key).as_bytes()) || accepts.next().is_some() {
        return Err(HandshakeError::Accept);
    }
    let deflate = match deflate {
        Some(deflate) => deflate.agreed(headers)?,
        None => match headers.get_bytes("Sec-WebSocket-Extensions") {
            Some(name) => return Err(HandshakeError::Extension(String::from_utf8_lossy(name).into_owned())),
            None => None,
        },
    };
    let Some(chosen) = headers.get_bytes("Sec-WebSocket-Protocol") else {
        return Ok(Agreed { subprotocol: None, deflate });
    };
    let chosen = String::from_utf8_lossy(chosen);
    let one = headers.get_all("Sec-WebSocket-Protocol").count() == 1;
    match subprotocols.iter().find(|offered| **offered == *chosen) {
        Some(offered) if one => Ok(Agreed { subprotocol: Some(offered.clone()), deflate }),
        _ => Err(HandshakeError::Subprotocol(chosen.into_owned())),
    }
}
