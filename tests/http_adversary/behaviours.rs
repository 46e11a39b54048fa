//! What a server says, how it goes on, and what is to come of it.

use std::io::Write;

use ropewalk::http::ClientPhase::{self, Body, Response as Head};
use ropewalk::http::Method;

use crate::GOOD;
use crate::Then::{self, Closes, Resets, Waits};
use Expected::Error;

#[derive(Clone)]
pub(crate) enum Expected {
    Body(&'static str),
    Error(ClientPhase, &'static str),
}

fn ok(body: &'static str) -> Expected {
    Expected::Body(body)
}

/// A head that says 200 with these fields, and what follows.
pub(crate) fn with(fields: &str, rest: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n{rest}").into_bytes()
}

pub(crate) fn chunked(rest: &str) -> Vec<u8> {
    with("Transfer-Encoding: chunked\r\n", rest)
}

pub(crate) fn packed(coding: &str, body: &[u8]) -> Vec<u8> {
    let fields = format!("Content-Encoding: {coding}\r\nContent-Length: {}\r\n", body.len());
    [with(&fields, ""), body.to_vec()].concat()
}

pub(crate) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub(crate) type Row = (&'static str, Method, Vec<u8>, Then, Expected);

pub(crate) fn behaviours() -> Vec<Row> {
    let get = |what: &'static str, answer: Vec<u8>, then: Then, expected: Expected| {
        (what, Method::Get, answer, then, expected)
    };
    let raw = |text: &str| text.as_bytes().to_vec();
    let mut bad_sum = gzip(b"poem");
    let at = bad_sum.len() - 5;
    bad_sum[at] ^= 1;
    let poem = gzip(b"poem");
    vec![
        // Lengths.
        get("a length", with("Content-Length: 4\r\n", "poem"), Waits, ok("poem")),
        get("more than the length", with("Content-Length: 4\r\n", "poem and more"), Waits, ok("poem")),
        get("a second answer, unasked", with("Content-Length: 4\r\n", &format!("poem{GOOD}")), Waits, ok("poem")),
        get(
            "less than the length, closed",
            with("Content-Length: 9\r\n", "poem"),
            Closes,
            Error(Body, "closed before the message was complete (body, byte 4)"),
        ),
        get(
            "less than the length, reset",
            with("Content-Length: 9\r\n", "poem"),
            Resets,
            Error(Body, "connection"),
        ),
        get(
            "less than the length, silent",
            with("Content-Length: 9\r\n", "poem"),
            Waits,
            Error(Body, "longer than 30s"),
        ),
        get("no length", with("", "poem"), Closes, ok("poem")),
        get("no length, reset", with("", "poem"), Resets, Error(Body, "connection")),
        get("no length, silent", with("", "poem"), Waits, Error(Body, "longer than 30s")),
        get("the same length twice", with("Content-Length: 4\r\nContent-Length: 4\r\n", "poem"), Waits, ok("poem")),
        get("the same length in a list", with("Content-Length: 4, 4\r\n", "poem"), Waits, ok("poem")),
        get(
            "two lengths",
            with("Content-Length: 4\r\nContent-Length: 5\r\n", "poem"),
            Waits,
            Error(Head, "Content-Length"),
        ),
        get(
            "a length with a sign",
            with("Content-Length: +4\r\n", "poem"),
            Waits,
            Error(Head, "Content-Length is no number"),
        ),
        get(
            "a length below zero",
            with("Content-Length: -1\r\n", ""),
            Waits,
            Error(Head, "Content-Length is no number"),
        ),
        get(
            "a length in hexadecimal",
            with("Content-Length: 0x4\r\n", "poem"),
            Waits,
            Error(Head, "Content-Length is no number"),
        ),
        get(
            "no number at all",
            with("Content-Length: \r\n", "poem"),
            Waits,
            Error(Head, "Content-Length is no number"),
        ),
        get(
            "a length beyond 64 bits",
            with("Content-Length: 99999999999999999999\r\n", ""),
            Waits,
            Error(Head, "Content-Length is no number"),
        ),
        get(
            "a length beyond the limit",
            with("Content-Length: 99999999999\r\n", ""),
            Waits,
            Error(Body, "more than the 67108864 bytes"),
        ),
        // Both, and what is smuggled.
        get(
            "both lengths",
            with("Content-Length: 99\r\nTransfer-Encoding: chunked\r\n", "4\r\npoem\r\n0\r\n\r\n"),
            Waits,
            ok("poem"),
        ),
        get(
            "chunked twice",
            with("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
            Waits,
            Error(Head, "Transfer-Encoding"),
        ),
        get(
            "an unknown coding",
            with("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
            Waits,
            Error(Head, "transfer coding"),
        ),
        get("identity", with("Transfer-Encoding: identity\r\n", "poem"), Closes, Error(Head, "Transfer-Encoding")),
        get(
            "chunks in 1.0",
            raw("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            Waits,
            Error(Head, "HTTP/1.0"),
        ),
        // Chunks.
        get("chunks", chunked("1\r\np\r\n3;a=\"b\"\r\noem\r\n000\r\n\r\n"), Waits, ok("poem")),
        get("no last chunk", chunked("4\r\npoem\r\n"), Closes, Error(Body, "closed before")),
        get("no end of the trailers", chunked("4\r\npoem\r\n0\r\n"), Closes, Error(Body, "closed before")),
        get("no size", chunked("\r\npoem"), Waits, Error(Body, "size of a chunk")),
        get("a size that is none", chunked("poem\r\n"), Waits, Error(Body, "size of a chunk")),
        get("a size with a sign", chunked("+4\r\npoem\r\n0\r\n\r\n"), Waits, Error(Body, "size of a chunk")),
        get("a size of 17 digits", chunked("10000000000000000\r\n"), Waits, Error(Body, "size of a chunk")),
        get("a size beyond the limit", chunked("7fffffffffffffff\r\npoem"), Waits, Error(Body, "longer than 30s")),
        get("more than the size", chunked("4\r\npoems\r\n0\r\n\r\n"), Waits, Error(Body, "a chunk is longer")),
        get(
            "an extension without end",
            chunked(&format!("4;{}", "a".repeat(5000))),
            Waits,
            Error(Body, "too long"),
        ),
        get("trailers without end", chunked(&format!("0\r\n{}", "A: b\r\n".repeat(3000))), Waits, Error(Body, "")),
        get(
            "a trailer that is none",
            chunked("4\r\npoem\r\n0\r\nno colon\r\n\r\n"),
            Waits,
            Error(Body, "without a colon"),
        ),
        // What has no body, and has one.
        get("204 with a body", raw("HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\npoem"), Waits, ok("")),
        get("304 with a body", raw("HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\npoem"), Waits, ok("")),
        get("304 with a length", raw("HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n"), Waits, ok("")),
        ("HEAD", Method::Head, with("Content-Length: 4\r\n", ""), Waits, ok("")),
        ("HEAD with a body", Method::Head, with("Content-Length: 4\r\n", "poem"), Waits, ok("")),
        ("HEAD in chunks", Method::Head, chunked(""), Waits, ok("")),
        (
            "HEAD of what is packed",
            Method::Head,
            with("Content-Encoding: gzip\r\nContent-Length: 40\r\n", ""),
            Waits,
            ok(""),
        ),
        // The status line.
        get("no reason", raw("HTTP/1.1 200\r\nContent-Length: 4\r\n\r\npoem"), Waits, ok("poem")),
        get("status 999", raw("HTTP/1.1 999 Odd\r\nContent-Length: 4\r\n\r\npoem"), Waits, ok("poem")),
        get("status 000", raw("HTTP/1.1 000 None\r\nContent-Length: 4\r\n\r\npoem"), Waits, Error(Head, "")),
        get("status 20", raw("HTTP/1.1 20 OK\r\n\r\n"), Waits, Error(Head, "not HTTP/1.1 200 Reason")),
        get("status 2000", raw("HTTP/1.1 2000 OK\r\n\r\n"), Waits, Error(Head, "not HTTP/1.1 200 Reason")),
        get("status -20", raw("HTTP/1.1 -20 OK\r\n\r\n"), Waits, Error(Head, "not HTTP/1.1 200 Reason")),
        get("no status", raw("HTTP/1.1\r\n\r\n"), Waits, Error(Head, "")),
        get(
            "HTTP/1.2",
            raw("HTTP/1.2 200 OK\r\nContent-Length: 4\r\n\r\npoem"),
            Waits,
            Error(Head, "neither HTTP/1.0 nor HTTP/1.1"),
        ),
        get("HTTP/2", raw("HTTP/2 200\r\n\r\n"), Waits, Error(Head, "")),
        get("HTTP/0.9", raw("<html>poem</html>\n"), Closes, Error(Head, "not HTTP/1")),
        get("an empty line first", raw(&format!("\r\n{GOOD}")), Waits, Error(Head, "not HTTP/1")),
        get("another protocol", raw("220 mail.example.org ESMTP\r\n"), Waits, Error(Head, "not HTTP/1")),
        get("TLS", b"\x15\x03\x01\x00\x02\x02\x28".to_vec(), Closes, Error(Head, "not HTTP/1")),
        get("all bytes", (0..=255).collect(), Waits, Error(Head, "not HTTP/1")),
        get("a request", raw("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Waits, Error(Head, "not HTTP/1")),
        // Fields.
        get("LF alone", raw("HTTP/1.1 200 OK\nContent-Length: 4\n\npoem"), Waits, Error(Head, "LF alone")),
        get("CR alone", with("A: b\rc\r\n", ""), Waits, Error(Head, "")),
        get("NUL in a value", with("A: b\0c\r\n", ""), Waits, Error(Head, "control character")),
        get("NUL in a name", with("A\0: b\r\n", ""), Waits, Error(Head, "")),
        get("no colon", with("A b\r\n", ""), Waits, Error(Head, "")),
        get(
            "a space before the colon",
            with("Content-Length : 4\r\n", "poem"),
            Waits,
            Error(Head, "before the colon"),
        ),
        get("a field that goes on", with("A: b\r\n c\r\nContent-Length: 4\r\n", "poem"), Waits, ok("poem")),
        get(
            "Latin letters",
            b"HTTP/1.1 200 OK\r\nA: caf\xe9\r\nContent-Length: 4\r\n\r\npoem".to_vec(),
            Waits,
            ok("poem"),
        ),
        get("too many fields", with(&"A: b\r\n".repeat(150), ""), Waits, Error(Head, "too many header fields")),
        get(
            "a huge field",
            with(&format!("A: {}\r\n", "b".repeat(40_000)), ""),
            Waits,
            Error(Head, "the head is too large"),
        ),
        get(
            "a huge line",
            raw(&format!("HTTP/1.1 200 {}", "O".repeat(40_000))),
            Waits,
            Error(Head, "the head is too large"),
        ),
        // Other answers before.
        get(
            "100 unasked",
            raw(&format!("HTTP/1.1 100 Continue\r\n\r\n{}", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npoem")),
            Waits,
            ok("poem"),
        ),
        get(
            "many of them",
            raw(&"HTTP/1.1 102 Processing\r\n\r\n".repeat(50)),
            Waits,
            Error(Head, "informational"),
        ),
        get("only early hints", raw("HTTP/1.1 103 Early Hints\r\n\r\n"), Closes, Error(Head, "closed before")),
        get(
            "101",
            raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nx"),
            Waits,
            Error(Head, "another protocol (101)"),
        ),
        // Nothing, or not all of it.
        get("nothing, closed", raw(""), Closes, Error(Head, "without an answer")),
        get("nothing, reset", raw(""), Resets, Error(Head, "")),
        get("nothing, silent", raw(""), Waits, Error(Head, "longer than 30s")),
        get("half a line", raw("HTTP/1.1 2"), Closes, Error(Head, "closed before")),
        get("half a head", raw("HTTP/1.1 200 OK\r\nContent-Le"), Waits, Error(Head, "longer than 30s")),
        // Packed.
        get("gzip", packed("gzip", &poem), Waits, ok("poem")),
        get(
            "gzip in chunks, and no length",
            [with("Content-Encoding: gzip\r\n", ""), poem.clone()].concat(),
            Closes,
            ok("poem"),
        ),
        get("gzip, cut", packed("gzip", &poem[..poem.len() - 3]), Waits, Error(Body, "cannot be unpacked")),
        get("gzip, its head only", packed("gzip", &poem[..10]), Waits, Error(Body, "cannot be unpacked")),
        get("gzip, another sum", packed("gzip", &bad_sum), Waits, Error(Body, "cannot be unpacked")),
        get("gzip that is none", packed("gzip", b"poem poem poem poem"), Waits, Error(Body, "cannot be unpacked")),
        get(
            "gzip, and more",
            packed("gzip", &[&poem[..], b"more"].concat()),
            Waits,
            Error(Body, "cannot be unpacked"),
        ),
        get("gzip twice", packed("gzip, gzip", &gzip(&poem)), Waits, Error(Head, "\"gzip, gzip\"")),
        get("br", packed("br", b"poem"), Waits, Error(Head, "\"br\"")),
        get("no coding", packed("", b"poem"), Waits, ok("poem")),
        get(
            "deflate that is none",
            packed("deflate", b"\xff\xff\xff\xff"),
            Waits,
            Error(Body, "cannot be unpacked"),
        ),
        get("a bomb", packed("gzip", &gzip(&vec![0; 2 << 20])), Waits, Error(Body, "more than the 1048576 bytes")),
        // Redirections.
        get("to itself", raw("HTTP/1.1 302 Found\r\nLocation: \r\nContent-Length: 0\r\n\r\n"), Waits, ok("good")),
        get(
            "to a query",
            raw("HTTP/1.1 302 Found\r\nLocation: ?a=b c\r\nContent-Length: 0\r\n\r\n"),
            Waits,
            ok("good"),
        ),
        get("nowhere", raw("HTTP/1.1 302 Found\r\nContent-Length: 4\r\n\r\nstay"), Waits, ok("stay")),
        get("to no URL", raw("HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n"), Waits, Error(Head, "no URL")),
        get(
            "to a file",
            raw("HTTP/1.1 301 M\r\nLocation: file:///etc/passwd\r\n\r\n"),
            Waits,
            Error(Head, "neither http nor https"),
        ),
        get(
            "to a port that is none",
            raw("HTTP/1.1 301 M\r\nLocation: http://a:99999/\r\n\r\n"),
            Waits,
            Error(Head, "no URL"),
        ),
        get(
            "with a password",
            raw("HTTP/1.1 301 M\r\nLocation: http://me:secret@127.0.0.1/\r\n\r\n"),
            Waits,
            Error(Head, "a user or password"),
        ),
        get(
            "with a body without end",
            raw("HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 999999\r\n\r\nx"),
            Waits,
            ok("good"),
        ),
    ]
}
