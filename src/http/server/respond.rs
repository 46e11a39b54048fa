//! A response into bytes.

use std::borrow::Cow;

use super::exchange::Exchange;
use super::site::SiteState;
use crate::ground::Failure;
use crate::ground::unhandled::error_line;
use crate::http::framing::BodyLength;
use crate::http::head::Version;
use crate::http::headers::InvalidHeader;
use crate::http::method::Method;
use crate::http::outgoing::{Framing, OutgoingBody};
use crate::http::response::{Payload, Response, of_failure};
use crate::http::status::Status;
use crate::transports::{Address, Transport};

/// A rest of a request's body that is shorter is read and thrown away, so that the connection can be used again; from a
/// longer one the connection is closed.
pub(super) const DISCARD: u64 = 256 * 1024;

/// Writes a response's head, and its body if it is there.
pub(super) fn respond(
    site: &SiteState,
    transport: &Transport,
    peer: &Address,
    exchange: &mut Exchange,
    result: Result<Response, Failure>,
) {
    let mut response = sendable(peer, exchange, result);
    if let Some(incoming) = &exchange.incoming {
        let rest = match exchange.head.body_length() {
            BodyLength::Exact(length) => length - incoming.received().min(length),
            _ => 0,
        };
        // A client that was not told to continue may send the body or not: it is not known what comes next.
        if incoming.is_gone() && (incoming.awaits_continue() || rest > DISCARD) {
            exchange.keep_alive = false;
        }
        incoming.respond();
    }
    let only_head = exchange.head.method == Method::Head;
    if only_head {
        response = response.without_body();
    }
    let old = exchange.head.version == Version::Http10;
    let framing = match &response.body {
        Payload::Upgrade(_) => None,
        _ if response.status.has_no_body() => None,
        Payload::Bytes(bytes) => Some(Framing::Exact(bytes.len() as u64)),
        Payload::Length(length) | Payload::Stream(Some(length), _) => Some(Framing::Exact(*length)),
        Payload::Stream(None, _) if old => Some(Framing::UntilClose),
        Payload::Stream(None, _) => Some(Framing::Chunked),
    };
    let closing = site.closing.get() || framing == Some(Framing::UntilClose);
    let upgrading = matches!(response.body, Payload::Upgrade(_));
    if closing || (!response.headers.is_empty() && response.headers.list_has("Connection", "close")) {
        exchange.keep_alive = false;
    }
    exchange.status = Some(response.status);
    let mut out = site.scratch.take();
    out.clear();
    head_into(&mut out, site, &response, framing);
    // An Upgrade is said of this connection (RFC 9110, 7.8).
    let upgrade = !response.headers.is_empty() && response.headers.contains("Upgrade");
    out.extend_from_slice(match (exchange.keep_alive, upgrade) {
        _ if upgrading && response.status == Status::SWITCHING_PROTOCOLS => b"Connection: Upgrade\r\n",
        _ if upgrading => b"",
        (false, false) => b"Connection: close\r\n",
        (false, true) => b"Connection: close, Upgrade\r\n",
        (true, false) if old => b"Connection: keep-alive\r\n",
        (true, true) if old => b"Connection: keep-alive, Upgrade\r\n",
        (true, false) => b"",
        (true, true) => b"Connection: Upgrade\r\n",
    });
    out.extend_from_slice(b"\r\n");
    let no_body: Cow<'static, [u8]> = Cow::Borrowed(b"");
    let (bytes, source) = match response.body {
        Payload::Bytes(bytes) if !response.status.has_no_body() => (bytes, None),
        Payload::Stream(_, source) if !only_head && framing.is_some() => (no_body, Some(source)),
        Payload::Upgrade(successor) => {
            exchange.upgrade = Some(successor);
            (no_body, None)
        }
        // Dropped here: its writer is told that nobody wants it.
        Payload::Stream(_, source) => {
            drop(OutgoingBody::new(source, Framing::UntilClose, transport));
            (no_body, None)
        }
        _ => (no_body, None),
    };
    // A lost connection is told of by `connection_lost`.
    let _ = transport.write_vectored(&[&out, &bytes]);
    site.scratch.set(out);
    exchange.bytes = bytes.len() as u64;
    match (source, framing) {
        (Some(source), Some(framing)) => {
            exchange.outgoing = Some(Box::new(OutgoingBody::new(source, framing, transport)));
        }
        _ => exchange.done = true,
    }
}

/// What the client is told: the handler's response, if it is one that can be sent.
fn sendable(peer: &Address, exchange: &Exchange, result: Result<Response, Failure>) -> Response {
    let problem = match result {
        Err(failure) => match of_failure(&failure) {
            Some(response) => return response,
            None => failure,
        },
        Ok(response) => match &response.invalid {
            Some(invalid) => InvalidHeader::clone(invalid).into(),
            None if matches!(response.body, Payload::Upgrade(_)) && exchange.incoming.is_some() => {
                return Response::text("400 Bad Request: the body must be there before the protocol changes\n")
                    .status(Status::BAD_REQUEST);
            }
            None if response.status.is_informational() && !matches!(response.body, Payload::Upgrade(_)) => {
                Failure::msg(format_args!("{} is no final response", response.status))
            }
            None => return response,
        },
    };
    let head = &exchange.head;
    error_line(&format_args!("a handler failed ({} {} for {peer}): {problem:?}", head.method, head.target));
    Response::from(Status::INTERNAL_SERVER_ERROR)
}

/// The status line and the fields, without those of the connection and without the empty line.
fn head_into(out: &mut Vec<u8>, site: &SiteState, response: &Response, framing: Option<Framing>) {
    let usual = response.status == Status::OK && response.headers.is_empty();
    if usual {
        site.push_usual(out);
    } else {
        out.extend_from_slice(b"HTTP/1.1 ");
        push_number(out, u64::from(response.status.code()));
        out.push(b' ');
        out.extend_from_slice(response.status.reason().as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    let mut dated = usual;
    for (name, value) in response.headers.iter() {
        if is_own(name) {
            continue;
        }
        dated |= name.eq_ignore_ascii_case("Date");
        field(out, name.as_bytes(), value);
    }
    if !dated {
        site.push_date(out);
    }
    if let Some(content_type) = &response.content_type
        && !content_type.bytes().any(|byte| byte.is_ascii_control())
    {
        field(out, b"Content-Type", content_type.as_bytes());
    }
    match framing {
        Some(Framing::Exact(length)) => {
            out.extend_from_slice(b"Content-Length: ");
            push_number(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Some(Framing::Chunked) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Some(Framing::UntilClose) | None => {}
    }
}

fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Fields that the server says itself.
fn is_own(name: &str) -> bool {
    ["Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive"]
        .iter()
        .any(|own| own.eq_ignore_ascii_case(name))
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    let (mut digits, mut at, mut left) = ([0; 20], 20, number);
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
