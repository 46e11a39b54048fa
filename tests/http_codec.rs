//! HTTP messages out of bytes: what is read, what is refused and where, the same however the bytes are cut.

use proptest::collection::vec;
use proptest::prelude::*;
use ropewalk::http::{
    BodyLength, Event, Headers, Limits, Method, ParseError, Problem, RequestDecoder, RequestHead, ResponseDecoder,
    ResponseHead, Status, encode_chunk, encode_last_chunk, encode_request_head, encode_response_head,
};
use ropewalk::protocols::Piece;

/// What came out, with data that follow each other as one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Out<H> {
    Head(H),
    Data(Vec<u8>),
    End(Headers),
    Failed(ParseError),
}

fn note<H>(out: &mut Vec<Out<H>>, event: Event<'_, H>) {
    match event {
        Event::Head(head) => out.push(Out::Head(head)),
        Event::Data(data) => match out.last_mut() {
            Some(Out::Data(before)) => before.extend_from_slice(data),
            _ => out.push(Out::Data(data.to_vec())),
        },
        Event::End(trailers) => out.push(Out::End(trailers)),
        _ => unreachable!("there are three kinds"),
    }
}

/// Small, so that the limits are met.
fn limits() -> Limits {
    let mut limits = Limits::default();
    (limits.head, limits.target, limits.fields, limits.chunk_line, limits.trailers) = (300, 50, 5, 20, 60);
    limits
}

/// Decodes requests that come cut like this.
fn requests<'d>(pieces: impl IntoIterator<Item = &'d [u8]>) -> Vec<Out<RequestHead>> {
    let (mut decoder, mut out) = (RequestDecoder::new(limits()), Vec::new());
    for data in pieces {
        let mut piece = Piece::new(data);
        loop {
            match decoder.next_event(&mut piece) {
                Ok(Some(event)) => note(&mut out, event),
                Ok(None) => break assert!(piece.rest().is_empty(), "more is wanted, and there is more"),
                Err(error) => {
                    assert_eq!(decoder.next_event(&mut piece), Err(error), "an error stays");
                    out.push(Out::Failed(error));
                    return out;
                }
            }
        }
    }
    if let Err(error) = decoder.end_of_data() {
        out.push(Out::Failed(error));
    }
    out
}

/// Decodes one response.
fn response<'d>(method: &Method, pieces: impl IntoIterator<Item = &'d [u8]>) -> (Vec<Out<ResponseHead>>, Vec<u8>) {
    let (mut decoder, mut out, mut left) = (ResponseDecoder::new(limits(), method), Vec::new(), Vec::new());
    for data in pieces {
        let mut piece = Piece::new(data);
        loop {
            match decoder.next_event(&mut piece) {
                Ok(Some(event)) => note(&mut out, event),
                Ok(None) => break,
                Err(error) => {
                    out.push(Out::Failed(error));
                    return (out, left);
                }
            }
        }
        assert!(decoder.is_over() || piece.rest().is_empty());
        left.extend_from_slice(piece.rest());
    }
    match decoder.end_of_data() {
        Ok(Some(event)) => note(&mut out, event),
        Ok(None) => {}
        Err(error) => out.push(Out::Failed(error)),
    }
    (out, left)
}

/// Cuts at these places.
fn cut<'d>(data: &'d [u8], at: &[usize]) -> Vec<&'d [u8]> {
    let mut at: Vec<usize> = at.iter().map(|at| at % (data.len() + 1)).collect();
    at.sort_unstable();
    let mut from = 0;
    let mut pieces = Vec::new();
    for to in at.into_iter().chain([data.len()]) {
        pieces.push(&data[from..to]);
        from = to;
    }
    pieces
}

#[track_caller]
fn refused(text: &str) -> ParseError {
    match requests([text.as_bytes()]).pop() {
        Some(Out::Failed(error)) => error,
        other => panic!("{text:?} was taken: {other:?}"),
    }
}

#[track_caller]
fn head(text: &str) -> RequestHead {
    match requests([text.as_bytes()]).swap_remove(0) {
        Out::Head(head) => head,
        other => panic!("{text:?}: {other:?}"),
    }
}

#[test]
fn a_request_is_read_with_its_fields_in_order() {
    let head =
        head("GET /a/b?c=d HTTP/1.1\r\nHost: example.org:80\r\nX-Odd:\t a , b \r\nx-odd: c\r\nEmpty:\r\n\r\n");
    assert_eq!((head.method.clone(), head.path(), head.query()), (Method::Get, "/a/b", Some("c=d")));
    assert_eq!(head.host(), Some("example.org:80"));
    assert_eq!(head.headers.list("X-ODD").collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(head.headers.get("X-Odd"), Some("a , b"));
    assert_eq!(head.headers.get("empty"), Some(""));
    let names: Vec<_> = head.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Host", "X-Odd", "x-odd", "Empty"]);
    assert!(head.keep_alive());
}

#[test]
fn a_target_may_have_any_of_its_four_forms() {
    let absolute = head("GET http://other.org:81/x?y HTTP/1.1\r\nHost: example.org\r\n\r\n");
    assert_eq!((absolute.path(), absolute.query(), absolute.host()), ("/x", Some("y"), Some("other.org:81")));
    let bare = head("GET HTTP://other.org?y HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((bare.path(), bare.query(), bare.host()), ("/", Some("y"), Some("other.org")));
    assert_eq!(head("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").path(), "*");
    assert_eq!(head("CONNECT [::1]:443 HTTP/1.1\r\nHost: a\r\n\r\n").host(), Some("[::1]:443"));
    for line in [
        "GET * ",
        "GET x ",
        "GET ftp://a/ ",
        "GET http:///x ",
        "GET http://u@h/ ",
        "CONNECT /x ",
        "CONNECT h ",
        "CONNECT :1 ",
        "CONNECT [::1] ",
        "GET /#f ",
    ] {
        let error = refused(&format!("{line}HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!((error.problem(), error.line()), (Problem::Target, 1), "{line}");
    }
}

#[test]
fn what_is_wrong_with_a_head_is_named_with_its_place() {
    let line = |line: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n");
    let table = [
        ("\x16\x03\x01".to_owned(), Problem::NoHttp, 1, 0),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n".into(), Problem::BareLf, 1, 14),
        ("GET / HTTP/1.1\r\nHost: a\n".into(), Problem::BareLf, 2, 23),
        ("\nGET / HTTP/1.1\r\n".into(), Problem::BareLf, 1, 0),
        ("GET / HTTP/1.1\rHost: a\r\n\r\n".into(), Problem::BareCr, 1, 14),
        (line("X: a\rb"), Problem::BareCr, 3, 29),
        (line("X: a\0b"), Problem::ControlCharacter, 3, 29),
        (line("X: a\x7fb"), Problem::ControlCharacter, 3, 29),
        (line("X : a"), Problem::SpaceBeforeColon, 3, 26),
        (line("X\t: a"), Problem::SpaceBeforeColon, 3, 26),
        (line(" X: a"), Problem::FoldedLine, 3, 25),
        (line("X: a\r\n b"), Problem::FoldedLine, 4, 31),
        (line("X"), Problem::NoColon, 3, 25),
        (line(": a"), Problem::FieldName, 3, 25),
        (line("X(Y): a"), Problem::FieldName, 3, 26),
        (line("Host: b"), Problem::ManyHosts, 3, 25),
        ("GET / HTTP/1.1\r\n\r\n".into(), Problem::NoHost, 1, 0),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into(), Problem::BadHost, 2, 16),
        ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n".into(), Problem::BadHost, 2, 16),
        ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n".into(), Problem::BadHost, 2, 16),
        ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n".into(), Problem::BadHost, 2, 16),
        ("GET /\r\n\r\n".into(), Problem::RequestLine, 1, 3),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n".into(), Problem::RequestLine, 1, 3),
        ("GET / x HTTP/1.1\r\nHost: a\r\n\r\n".into(), Problem::RequestLine, 1, 3),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n".into(), Problem::RequestLine, 1, 0),
        ("GET / http/1.1\r\nHost: a\r\n\r\n".into(), Problem::RequestLine, 1, 6),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n".into(), Problem::RequestLine, 1, 3),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(), Problem::Version, 1, 6),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n".into(), Problem::Version, 1, 6),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(50)), Problem::TargetTooLong, 1, 54),
        (format!("GET /{}", "x".repeat(400)), Problem::TargetTooLong, 1, 300),
        (line(&format!("X: {}", "x".repeat(300))), Problem::HeadTooLarge, 3, 300),
        (line("A:\r\nB:\r\nC:\r\nD:\r\nE:"), Problem::TooManyFields, 7, 41),
        ("GET / HTTP/1.1\r\nHo".into(), Problem::UnexpectedEnd, 2, 18),
    ];
    for (text, problem, line, offset) in table {
        let error = refused(&text);
        assert_eq!((error.problem(), error.line(), error.offset()), (problem, line, offset), "{text:?}");
    }
}

#[test]
fn a_head_of_exactly_the_limit_is_read() {
    let text = |more: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(300 - 32 + more));
    assert_eq!(text(0).len(), 300);
    assert_eq!(head(&text(0)).headers.len(), 2);
    assert_eq!(refused(&text(1)).problem(), Problem::HeadTooLarge);
}

#[test]
fn a_body_is_as_long_as_it_says_and_nothing_else() {
    let length = |fields: &str| {
        let out = requests([format!("PUT / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes()]);
        match out.into_iter().next().unwrap() {
            Out::Head(head) => Ok(head.body_length()),
            Out::Failed(error) => Err(error.problem()),
            other => panic!("{other:?}"),
        }
    };
    let table = [
        ("", Ok(BodyLength::Empty)),
        ("Content-Length: 0\r\n", Ok(BodyLength::Empty)),
        ("Content-Length: 007\r\n", Ok(BodyLength::Exact(7))),
        ("Content-Length: 18446744073709551615\r\n", Ok(BodyLength::Exact(u64::MAX))),
        ("Content-Length: 18446744073709551616\r\n", Err(Problem::ContentLength)),
        ("Content-Length:\r\n", Err(Problem::ContentLength)),
        ("Content-Length: +5\r\n", Err(Problem::ContentLength)),
        ("Content-Length: -5\r\n", Err(Problem::ContentLength)),
        ("Content-Length: 0x5\r\n", Err(Problem::ContentLength)),
        ("Content-Length: 5 5\r\n", Err(Problem::ContentLength)),
        ("Content-Length: 5, 5\r\n", Err(Problem::ManyContentLengths)),
        ("Content-Length: 5\r\ncontent-length: 5\r\n", Err(Problem::ManyContentLengths)),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", Err(Problem::ManyContentLengths)),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Err(Problem::BothLengths)),
        ("Transfer-Encoding: Chunked\r\n", Ok(BodyLength::Chunked)),
        ("Transfer-Encoding: gzip, chunked\r\n", Err(Problem::UnknownTransferCoding)),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", Err(Problem::UnknownTransferCoding)),
        ("Transfer-Encoding: chunked, gzip\r\n", Err(Problem::TransferEncoding)),
        ("Transfer-Encoding: chunked, chunked\r\n", Err(Problem::TransferEncoding)),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(Problem::TransferEncoding)),
        ("Transfer-Encoding: identity\r\n", Err(Problem::TransferEncoding)),
        ("Transfer-Encoding: xchunked\r\n", Err(Problem::TransferEncoding)),
        ("Transfer-Encoding: chunked;q=1\r\n", Err(Problem::TransferEncoding)),
        ("Transfer-Encoding: \"chunked\"\r\n", Err(Problem::TransferEncoding)),
        ("Transfer-Encoding:\r\n", Err(Problem::TransferEncoding)),
        ("Transfer-Encoding: \x0bchunked\r\n", Err(Problem::ControlCharacter)),
        ("Transfer-Encoding : chunked\r\n", Err(Problem::SpaceBeforeColon)),
    ];
    for (fields, expected) in table {
        assert_eq!(length(fields), expected, "{fields:?}");
    }
    let old = requests([&b"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"[..]]);
    assert!(matches!(&old[..], [Out::Failed(error)] if error.problem() == Problem::TransferEncodingInHttp10));
}

/// A chunked request body, alone.
fn chunked(body: &str) -> Result<(Vec<u8>, Headers), (Problem, u64)> {
    let text = format!("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let mut data = Vec::new();
    for out in requests([text.as_bytes()]).into_iter().skip(1) {
        match out {
            Out::Data(more) => data = more,
            Out::End(trailers) => return Ok((data, trailers)),
            Out::Failed(error) => return Err((error.problem(), error.offset())),
            Out::Head(_) => panic!("two heads"),
        }
    }
    panic!("it does not end");
}

#[test]
fn chunks_are_joined_and_their_framing_is_checked() {
    let text = |data: &str| Ok((data.as_bytes().to_vec(), Headers::new()));
    let table = [
        ("0\r\n\r\n", text("")),
        ("000\r\n\r\n", text("")),
        ("5\r\nIf I \r\n4;a=b;c=\"d\"\r\nwere\r\n0;x\r\n\r\n", text("If I were")),
        ("A ;ext\r\n0123456789\r\n0\r\n\r\n", text("0123456789")),
        ("\r\n", Err((Problem::ChunkSize, 0))),
        ("g\r\n", Err((Problem::ChunkSize, 0))),
        ("-1\r\n", Err((Problem::ChunkSize, 0))),
        ("0x1\r\nz\r\n", Err((Problem::ChunkSize, 1))),
        ("00000000000000001\r\n", Err((Problem::ChunkSize, 16))),
        ("5 \r\nIf I \r\n", Err((Problem::ChunkLine, 2))),
        ("5\nIf I \n", Err((Problem::BareLf, 1))),
        ("5;a\nIf I \n", Err((Problem::BareLf, 3))),
        ("5\r\rIf I ", Err((Problem::ChunkLine, 2))),
        ("5;a\0\r\n", Err((Problem::ChunkLine, 3))),
        ("5;aaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", Err((Problem::ChunkLineTooLong, 20))),
        ("5\r\nIf I were", Err((Problem::ChunkEnd, 8))),
        ("5\r\nIf I \rw", Err((Problem::ChunkEnd, 9))),
        ("5\r\nIf I \n", Err((Problem::ChunkEnd, 8))),
        ("5\r\nIf", Err((Problem::UnexpectedEnd, 5))),
        ("0\r\nX: a\n\r\n", Err((Problem::BareLf, 4))),
        ("0\r\nX : a\r\n\r\n", Err((Problem::SpaceBeforeColon, 1))),
        (
            "0\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n",
            Err((Problem::TrailersTooLarge, 60)),
        ),
        ("0\r\nA:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\n\r\n", Err((Problem::TooManyFields, 20))),
    ];
    for (body, expected) in table {
        assert_eq!(chunked(body), expected, "{body:?}");
    }
    let (data, trailers) = chunked("1\r\na\r\n0\r\nChecksum: 5\r\n\r\n").unwrap();
    assert_eq!((data, trailers.get("checksum")), (b"a".to_vec(), Some("5")));
}

#[test]
fn chunk_extensions_are_bounded_over_the_whole_body() {
    let mut text = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    (0..2000).for_each(|_| text.extend_from_slice(b"1;0123456789\r\nx\r\n"));
    let last = requests([&text[..]]).pop();
    assert!(matches!(last, Some(Out::Failed(error)) if error.problem() == Problem::ChunkLineTooLong), "{last:?}");
}

#[test]
fn empty_lines_before_a_request_are_skipped_and_requests_follow_each_other() {
    let text = b"\r\n\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    let paths: Vec<_> = requests([&text[..]])
        .into_iter()
        .filter_map(|out| if let Out::Head(head) = out { Some(head.target) } else { None })
        .collect();
    assert_eq!(paths, ["/1", "/2"]);
}

#[test]
fn a_response_ends_by_the_rules_of_its_request_and_status() {
    let table = [
        (Method::Get, "200 OK\r\nContent-Length: 4\r\n\r\npoem+", Ok("poem"), "+"),
        (Method::Get, "200 OK\r\nContent-Length: 4, 4\r\nContent-Length: 4\r\n\r\npoem", Ok("poem"), ""),
        (Method::Get, "200 OK\r\nContent-Length: 4, 5\r\n\r\npoem", Err(Problem::ManyContentLengths), ""),
        (Method::Get, "200 OK\r\nContent-Length: 5\r\n\r\npoem", Err(Problem::UnexpectedEnd), ""),
        (Method::Get, "200 OK\r\nContent-Length: x\r\n\r\npoem", Err(Problem::ContentLength), ""),
        (Method::Get, "200\r\n\r\nto the end", Ok("to the end"), ""),
        (Method::Get, "200 \r\nX: a\r\n  b\r\n\r\n", Ok(""), ""),
        (Method::Head, "200 OK\r\nContent-Length: 4\r\n\r\n+", Ok(""), "+"),
        (Method::Get, "304 Not Modified\r\nContent-Length: 4\r\n\r\n+", Ok(""), "+"),
        (Method::Get, "204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n+", Ok(""), "+"),
        (Method::Connect, "200 OK\r\nContent-Length: 4\r\n\r\n+", Ok(""), "+"),
        (
            Method::Get,
            "200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n4  \r\npoem\r\n0\r\n\r\n+",
            Ok("poem"),
            "+",
        ),
        (Method::Get, "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npo", Err(Problem::UnexpectedEnd), ""),
        (
            Method::Get,
            "200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            Err(Problem::UnknownTransferCoding),
            "",
        ),
        (Method::Get, "099 Low\r\n\r\n", Err(Problem::StatusLine), ""),
        (Method::Get, "20 OK\r\n\r\n", Err(Problem::StatusLine), ""),
        (Method::Get, "200 OK\r\nContent-Length", Err(Problem::UnexpectedEnd), ""),
    ];
    for (method, rest, expected, left) in table {
        let text = format!("HTTP/1.1 {rest}");
        let (out, after) = response(&method, [text.as_bytes()]);
        let mut data = String::new();
        let mut ended = None;
        for out in out {
            match out {
                Out::Head(_) => {}
                Out::Data(more) => data.push_str(std::str::from_utf8(&more).unwrap()),
                Out::End(_) => ended = Some(Ok(())),
                Out::Failed(error) => ended = Some(Err(error.problem())),
            }
        }
        assert_eq!(ended.unwrap().map(|()| data.as_str()), expected, "{text:?}");
        assert_eq!(String::from_utf8(after).unwrap(), left, "{text:?}");
    }
}

#[test]
fn informational_responses_come_before_the_one_that_counts_and_not_for_ever() {
    let text =
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    let (out, _) = response(&Method::Get, [&text[..]]);
    let codes: Vec<_> = out
        .iter()
        .filter_map(|out| if let Out::Head(head) = out { Some(head.status.code()) } else { None })
        .collect();
    assert_eq!(codes, [100, 103, 204]);
    let (out, _) = response(&Method::Get, vec![&b"HTTP/1.1 100 Continue\r\n\r\n"[..]; 20]);
    assert!(matches!(out.last(), Some(Out::Failed(error)) if error.problem() == Problem::TooManyInformational));
    let (out, left) = response(&Method::Get, [&b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x00"[..]]);
    assert_eq!((out.len(), left), (1, b"\x81\x00".to_vec()));
}

#[test]
fn a_server_that_speaks_something_else_is_found_out_at_its_first_wrong_byte() {
    let (out, _) = response(&Method::Get, [&b"SSH-2.0-OpenSSH"[..]]);
    assert!(matches!(out[..], [Out::Failed(error)] if error.problem() == Problem::NoHttp && error.offset() == 0));
    let (out, _) = response(&Method::Get, [&b"HTT"[..], b"!"]);
    assert!(matches!(out[..], [Out::Failed(error)] if error.problem() == Problem::NoHttp && error.offset() == 3));
}

#[test]
fn a_folded_value_of_a_response_is_joined_with_spaces() {
    let (out, _) = response(&Method::Get, [&b"HTTP/1.1 204 No Content\r\nX: one\r\n\ttwo\r\n\r\n"[..]]);
    let [Out::Head(head), ..] = &out[..] else { panic!("{out:?}") };
    assert_eq!(head.headers.get("X"), Some("one  \ttwo"));
}

#[test]
fn header_fields_that_would_be_more_than_one_are_refused() {
    let mut headers = Headers::new();
    for (name, value) in [("X", "a\r\nY: b"), ("X", "a\nb"), ("X", "a\0"), ("X: y", "a"), ("", "a"), ("X ", "a")] {
        let error = headers.append(name, value).unwrap_err();
        assert!(error.to_string().contains(&name.escape_debug().to_string()), "{error}");
    }
    assert!(headers.is_empty());
    headers.append("A", " 1 ").unwrap();
    headers.append("B", "2").unwrap();
    headers.append("a", "3").unwrap();
    headers.set("A", "4").unwrap();
    assert!(headers.set("B", "\n").is_err());
    assert_eq!(headers.iter().collect::<Vec<_>>(), [("B", &b"2"[..]), ("A", b"4")]);
    assert!(headers.remove("b") && !headers.remove("b"));
}

/// Pieces of which messages are made, good and bad.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let good = prop_oneof![
        Just("GET / HTTP/1.1\r\n"),
        Just("PUT /x?y HTTP/1.1\r\n"),
        Just("HTTP/1.1 200 OK\r\n"),
        Just("HTTP/1.1 100 \r\n"),
        Just("GET / HTTP/1.0\r\n"),
        Just("Host: a\r\n"),
        Just("Content-Length: 5\r\n"),
        Just("X: y\r\n"),
        Just("Transfer-Encoding: chunked\r\n"),
        Just("\r\n"),
        Just("hello"),
        Just("5\r\nhello\r\n"),
        Just("0\r\n\r\n"),
        Just("3;a=b\r\nabc\r\n"),
        Just("0\r\nT: u\r\n\r\n"),
    ];
    let bad = prop_oneof![
        Just(" "),
        Just("\n"),
        Just("\r"),
        Just(":"),
        Just("\0"),
        Just("X : y\r\n"),
        Just(" folded\r\n"),
        Just("FFFFFFFFFFFFFFFFF"),
        Just("Content-Length: 5, 6\r\n"),
        Just("Transfer-Encoding: gzip\r\n"),
        Just("Host: b\r\n"),
    ];
    prop_oneof![
        8 => good.prop_map(|text| text.as_bytes().to_vec()),
        1 => bad.prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..80),
    ]
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let request = Just(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec());
    let response = Just(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec());
    let start = prop_oneof![Just(Vec::new()), request, response];
    (start, vec(fragment(), 0..12)).prop_map(|(start, rest)| [start, rest.concat()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// However the bytes are cut, the events and the error with its place are the same.
    #[test]
    fn every_cut_gives_the_same_events(data in any_bytes(), at in vec(any::<usize>(), 0..8)) {
        prop_assert_eq!(requests(cut(&data, &at)), requests([&data[..]]));
        prop_assert_eq!(requests(data.chunks(1)), requests([&data[..]]));
        for method in [Method::Get, Method::Head] {
            let whole = response(&method, [&data[..]]);
            prop_assert_eq!(&response(&method, cut(&data, &at)), &whole);
            prop_assert_eq!(&response(&method, data.chunks(1)), &whole);
        }
    }

    /// What was encoded is decoded again.
    #[test]
    fn what_is_encoded_comes_back(
        bodies in vec((vec(vec(any::<u8>(), 0..200), 0..4), "[ -~]{0,20}"), 1..4),
        at in vec(any::<usize>(), 0..8),
    ) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (chunks, value) in &bodies {
            let mut head = RequestHead::new(Method::Put, "/x?y");
            head.headers.append("Host", "a").unwrap();
            head.headers.append("Transfer-Encoding", "chunked").unwrap();
            head.headers.append("X-Value", value).unwrap();
            encode_request_head(&head, &mut bytes);
            chunks.iter().for_each(|chunk| encode_chunk(chunk, &mut bytes));
            let mut trailers = Headers::new();
            trailers.append("T", value).unwrap();
            encode_last_chunk(&trailers, &mut bytes);
            expected.push((head.headers, chunks.concat(), trailers));
        }
        let mut found: Vec<(Headers, Vec<u8>, Headers)> = Vec::new();
        for out in requests(cut(&bytes, &at)) {
            match out {
                Out::Head(head) => found.push((head.headers, Vec::new(), Headers::new())),
                Out::Data(data) => found.last_mut().unwrap().1 = data,
                Out::End(trailers) => found.last_mut().unwrap().2 = trailers,
                Out::Failed(error) => return Err(TestCaseError::fail(error.to_string())),
            }
        }
        prop_assert_eq!(found, expected);
    }

    /// A response too, and what follows it is left alone.
    #[test]
    fn an_encoded_response_comes_back(body in vec(any::<u8>(), 0..200), code in 200u16..1000, after in vec(any::<u8>(), 0..9)) {
        prop_assume!(!matches!(code, 204 | 304));
        let mut head = ResponseHead::new(Status::new(code).unwrap());
        head.headers.append("Content-Length", body.len().to_string()).unwrap();
        let mut bytes = Vec::new();
        encode_response_head(&head, &mut bytes);
        bytes.extend_from_slice(&body);
        bytes.extend_from_slice(&after);
        let (out, left) = response(&Method::Get, [&bytes[..]]);
        prop_assert_eq!(left, after);
        let Out::Head(found) = &out[0] else { return Err(TestCaseError::fail("no head")) };
        prop_assert_eq!((found.status, &found.headers), (head.status, &head.headers));
        let data = out.iter().find_map(|out| if let Out::Data(data) = out { Some(data.clone()) } else { None });
        prop_assert_eq!(data.unwrap_or_default(), body);
    }
}
