//! How long a message's body is (RFC 9112, 6.3), and the rules for targets and Host fields (RFC 9112, 3.2).
//!
//! Requests are read strictly: two machines that disagree about where a request ends are how requests are smuggled.
//! Responses are read as RFC 9112 lets a client do.

use super::error::Problem;
use super::head::{RequestHead, Version};
use super::headers::Headers;
use super::method::{Method, of_alphanumerics_and};
use super::status::Status;

/// How long a body is.
///
/// ```
/// use ropewalk::http::{BodyLength, Event, Limits, Method, ResponseDecoder};
/// use ropewalk::protocols::Piece;
///
/// let length = |fields: &str, method: Method| {
///     let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
///     match ResponseDecoder::new(Limits::default(), &method).next_event(&mut Piece::new(head.as_bytes())) {
///         Ok(Some(Event::Head(head))) => head.body_length(),
///         other => panic!("{other:?}"),
///     }
/// };
/// assert_eq!(length("Content-Length: 9\r\n", Method::Get), BodyLength::Exact(9));
/// assert_eq!(length("Content-Length: 9\r\n", Method::Head), BodyLength::Empty);
/// assert_eq!(length("Transfer-Encoding: chunked\r\n", Method::Get), BodyLength::Chunked);
/// assert_eq!(length("", Method::Get), BodyLength::UntilClose);
/// assert_eq!(BodyLength::Exact(9).exact(), Some(9));
/// assert_eq!(BodyLength::UntilClose.exact(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none.
    Empty,
    /// So many bytes.
    Exact(u64),
    /// It comes in chunks, of which the last one is empty.
    Chunked,
    /// It ends with the connection: responses only.
    UntilClose,
}

impl BodyLength {
    /// The number of bytes, where it is known beforehand.
    pub fn exact(self) -> Option<u64> {
        match self {
            BodyLength::Empty => Some(0),
            BodyLength::Exact(bytes) => Some(bytes),
            BodyLength::Chunked | BodyLength::UntilClose => None,
        }
    }

    fn of(bytes: u64) -> BodyLength {
        if bytes == 0 { BodyLength::Empty } else { BodyLength::Exact(bytes) }
    }
}

pub(super) fn of_request(version: Version, headers: &Headers) -> Result<BodyLength, Problem> {
    let mut lengths = headers.get_all("Content-Length");
    let length = lengths.next();
    if lengths.next().is_some() || length.is_some_and(|value| value.contains(&b',')) {
        return Err(Problem::ManyContentLengths);
    }
    let length = length.map(|value| number(value).ok_or(Problem::ContentLength)).transpose()?;
    if !headers.contains("Transfer-Encoding") {
        return Ok(length.map_or(BodyLength::Empty, BodyLength::of));
    }
    if length.is_some() {
        return Err(Problem::BothLengths);
    }
    if version == Version::Http10 {
        return Err(Problem::TransferEncodingInHttp10);
    }
    codings(headers)?;
    Ok(BodyLength::Chunked)
}

pub(super) fn of_response(
    version: Version,
    status: Status,
    headers: &Headers,
    to: &Method,
) -> Result<BodyLength, Problem> {
    if status.has_no_body() || *to == Method::Head || (*to == Method::Connect && status.is_success()) {
        return Ok(BodyLength::Empty);
    }
    if headers.contains("Transfer-Encoding") {
        // It overrides a Content-Length; `ResponseHead::keep_alive` does not trust the connection then.
        return match codings(headers) {
            Ok(()) if version == Version::Http10 => Err(Problem::TransferEncodingInHttp10),
            Ok(()) => Ok(BodyLength::Chunked),
            Err(problem) => Err(problem),
        };
    }
    let mut length = None;
    for value in headers.get_all("Content-Length").flat_map(|value| value.split(|&byte| byte == b',')) {
        let value = number(value.trim_ascii()).ok_or(Problem::ContentLength)?;
        // The same again does no harm, and some servers do it.
        if length.is_some_and(|before| before != value) {
            return Err(Problem::ManyContentLengths);
        }
        length = Some(value);
    }
    Ok(length.map_or(BodyLength::UntilClose, BodyLength::of))
}

/// Digits and nothing else.
fn number(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(value).ok()?.parse().ok()).flatten()
}

/// The transfer codings must be `chunked` and nothing else.
fn codings(headers: &Headers) -> Result<(), Problem> {
    let (mut all, mut chunked, mut last) = (0, 0, false);
    for coding in headers.get_all("Transfer-Encoding").flat_map(|value| value.split(|&byte| byte == b',')) {
        last = coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
        all += 1;
        chunked += usize::from(last);
    }
    match (all, chunked, last) {
        (1, 1, true) => Ok(()),
        (_, 1, true) => Err(Problem::UnknownTransferCoding),
        _ => Err(Problem::TransferEncoding),
    }
}

/// A request's target must have the form of its method (RFC 9112, 3.2).
pub(super) fn check_target(request: &RequestHead) -> Result<(), Problem> {
    let target = request.target.as_bytes();
    let visible = target.iter().all(|byte| (0x21..0x7f).contains(byte) && *byte != b'#');
    let fits = visible
        && match (&request.method, target) {
            (Method::Connect, target) => {
                let colon = target.iter().rposition(|&byte| byte == b':');
                is_authority(target)
                    && colon.is_some_and(|at| at > 0 && at + 1 < target.len() && !target[at..].contains(&b']'))
            }
            (_, [b'/', ..]) => true,
            (Method::Options, b"*") => true,
            _ => request.authority().is_some_and(|host| !host.is_empty() && is_authority(host.as_bytes())),
        };
    if fits { Ok(()) } else { Err(Problem::Target) }
}

/// Exactly one Host field, which is a `host:port`; with HTTP/1.0 it may be missing.
pub(super) fn check_host(request: &RequestHead) -> Result<(), Problem> {
    let mut hosts = request.headers.get_all("Host");
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => Err(Problem::ManyHosts),
        (Some(host), None) if is_authority(host) => Ok(()),
        (Some(_), None) => Err(Problem::BadHost),
        (None, None) if request.version == Version::Http10 => Ok(()),
        (None, None) => Err(Problem::NoHost),
    }
}

/// Which bytes may stand in a host's name or IPv4 address (RFC 3986, 3.2.2).
static HOST: [bool; 256] = of_alphanumerics_and(b"-._~!$&'()*+,;=%");

/// Whether it is `uri-host [ ":" port ]` (RFC 9110, 7.2): no user, no path. An empty host is one.
fn is_authority(text: &[u8]) -> bool {
    let port = match text {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|&byte| byte == b']') else { return false };
            let inside = &rest[..end];
            let address = inside.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
            // `[v1.name]` is a form for the future.
            if inside.is_empty() || !(address || inside[0].eq_ignore_ascii_case(&b'v')) {
                return false;
            }
            &rest[end + 1..]
        }
        // The first byte that cannot stand in a name is the colon, or what is wrong.
        _ => &text[text.iter().position(|&byte| !HOST[usize::from(byte)]).unwrap_or(text.len())..],
    };
    match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}
