//! What a request wants to have done.

use std::fmt;
use std::str::FromStr;

/// A request's method (RFC 9110, 9). Methods are case-sensitive: `get` is not `GET`.
///
/// ```
/// use ropewalk::http::Method;
///
/// assert_eq!("DELETE".parse(), Ok(Method::Delete));
/// assert_eq!("delete".parse(), Ok(Method::Other("delete".into())));
/// assert_eq!(Method::Put.as_str(), "PUT");
/// assert!(Method::Put.is_idempotent() && !Method::Post.is_idempotent());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// Hand over a representation.
    #[default]
    Get,
    /// The same without the body.
    Head,
    /// Process what is sent.
    Post,
    /// Store what is sent.
    Put,
    /// Remove.
    Delete,
    /// Make a tunnel.
    Connect,
    /// Say what can be done.
    Options,
    /// Send the request back.
    Trace,
    /// Change a part (RFC 5789).
    Patch,
    /// Any other token.
    Other(Box<str>),
}

impl Method {
    /// As it stands in a request.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Connect => "CONNECT",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
            Method::Other(name) => name,
        }
    }

    /// Whether doing it twice is the same as doing it once (RFC 9110, 9.2.2): such a request may be tried again.
    pub fn is_idempotent(&self) -> bool {
        !matches!(self, Method::Post | Method::Patch | Method::Connect | Method::Other(_))
    }

    /// Of a token that is known to be one.
    pub(super) fn of(name: &str) -> Method {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "CONNECT" => Method::Connect,
            "OPTIONS" => Method::Options,
            "TRACE" => Method::Trace,
            "PATCH" => Method::Patch,
            other => Method::Other(other.into()),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no token, and so cannot be a method.
///
/// ```
/// use ropewalk::http::{InvalidMethod, Method};
///
/// assert_eq!("GET /".parse::<Method>(), Err(InvalidMethod));
/// assert_eq!(InvalidMethod.to_string(), "a method is a word of letters, digits and !#$%&'*+-.^_`|~");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidMethod;

impl fmt::Display for InvalidMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a method is a word of letters, digits and !#$%&'*+-.^_`|~")
    }
}

impl std::error::Error for InvalidMethod {}

impl FromStr for Method {
    type Err = InvalidMethod;

    fn from_str(name: &str) -> Result<Method, InvalidMethod> {
        if is_token(name.as_bytes()) { Ok(Method::of(name)) } else { Err(InvalidMethod) }
    }
}

/// Whether it is a `token` (RFC 9110, 5.6.2).
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

#[inline]
pub(super) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// Which bytes may stand in a token.
static TOKEN: [bool; 256] = of_alphanumerics_and(b"!#$%&'*+-.^_`|~");

/// A table of letters, digits and these others: asked for each byte of what a peer sends.
pub(super) const fn of_alphanumerics_and(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}
