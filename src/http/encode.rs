//! Heads into bytes. Bodies: see [`ChunkHead`](super::ChunkHead) for those in chunks; others are sent as they are.

use super::head::{RequestHead, ResponseHead};

/// Writes a request's head, with the empty line behind it. Its header fields are written as they stand: the caller adds
/// Host, and what says how long the body is.
///
/// ```
/// use ropewalk::http::{Method, RequestHead, encode_request_head};
///
/// let mut head = RequestHead::new(Method::Get, "/poem");
/// head.headers.append("Host", "example.org")?;
/// let mut bytes = Vec::new();
/// encode_request_head(&head, &mut bytes);
/// assert_eq!(bytes, b"GET /poem HTTP/1.1\r\nHost: example.org\r\n\r\n");
/// # Ok::<(), ropewalk::http::InvalidHeader>(())
/// ```
pub fn encode_request_head(head: &RequestHead, out: &mut Vec<u8>) {
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    // A space or a line break in a target would be the end of it.
    let sendable = |byte: &u8| (0x21..0x7f).contains(byte);
    if head.target.bytes().all(|byte| sendable(&byte)) {
        out.extend_from_slice(head.target.as_bytes());
    } else {
        for byte in head.target.bytes() {
            match sendable(&byte) {
                true => out.push(byte),
                false => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            }
        }
    }
    out.push(b' ');
    out.extend_from_slice(head.version.as_str().as_bytes());
    out.extend_from_slice(b"\r\n");
    head.headers.encode(out);
    out.extend_from_slice(b"\r\n");
}

/// Writes a response's head, with the empty line behind it. Its header fields are written as they stand: the caller adds
/// what says how long the body is.
///
/// ```
/// use ropewalk::http::{ResponseHead, Status, encode_response_head};
///
/// let mut head = ResponseHead::new(Status::OK);
/// head.headers.append("Content-Length", "13")?;
/// let mut bytes = Vec::new();
/// encode_response_head(&head, &mut bytes);
/// assert_eq!(bytes, b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n");
/// # Ok::<(), ropewalk::http::InvalidHeader>(())
/// ```
pub fn encode_response_head(head: &ResponseHead, out: &mut Vec<u8>) {
    out.extend_from_slice(head.version.as_str().as_bytes());
    let code = head.status.code();
    let digit = |n: u16| b'0' + (n % 10) as u8;
    out.extend_from_slice(&[b' ', digit(code / 100), digit(code / 10), digit(code), b' ']);
    match head.reason.as_str() {
        "" => out.extend_from_slice(head.status.reason().as_bytes()),
        reason => out.extend(reason.bytes().filter(|byte| !byte.is_ascii_control())),
    }
    out.extend_from_slice(b"\r\n");
    head.headers.encode(out);
    out.extend_from_slice(b"\r\n");
}
