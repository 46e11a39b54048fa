//! Requests, good and bad, of `tests/data/http_requests.tsv`: what is answered to each, whole and byte by byte, and that
//! the next client is served as if nothing had been. `.ci/http` sends them over sockets.

use ropewalk::Address;
use ropewalk::http::{Event, Limits, Method, Response, ResponseDecoder, Server};
use ropewalk::protocols::Piece;
use ropewalk::testing::{MemoryLoop, StringTransport};
use std::cell::RefCell;

/// A line of the table, with its escapes undone.
fn bytes(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        match first {
            '\\' => {
                let kind = rest.chars().next().expect("an escape has two signs");
                rest = &rest[1..];
                match kind {
                    'r' => out.push(b'\r'),
                    'n' => out.push(b'\n'),
                    't' => out.push(b'\t'),
                    '0' => out.push(0),
                    'x' => {
                        out.push(u8::from_str_radix(&rest[..2], 16).unwrap());
                        rest = &rest[2..];
                    }
                    other => out.push(other as u8),
                }
            }
            '{' => {
                let (inside, after) = rest.split_once('}').unwrap();
                let (times, what) = inside.split_once('*').unwrap();
                out.extend(bytes(what).repeat(times.parse().unwrap()));
                rest = after;
            }
            other => out.extend(other.to_string().bytes()),
        }
    }
    out
}

/// The statuses of what was answered; `broken` at the end if it breaks off.
fn statuses(answered: &[u8], head: bool) -> Vec<String> {
    let (mut piece, mut found) = (Piece::new(answered), Vec::new());
    while !piece.rest().is_empty() {
        let mut decoder = ResponseDecoder::new(Limits::default(), if head { &Method::Head } else { &Method::Get });
        while !decoder.is_over() {
            match decoder.next_event(&mut piece) {
                Ok(Some(Event::Head(head))) => found.push(head.status.code().to_string()),
                Ok(Some(_)) => {}
                Ok(None) => {
                    // A body that ends with the connection is over, another one breaks off.
                    if decoder.end_of_data().is_err() {
                        found.push("broken".into());
                    }
                    return found;
                }
                Err(error) => panic!("{error}: {}", answered.escape_ascii()),
            }
        }
    }
    found
}

fn server() -> Server {
    Server::new().get("/", |_, _| "Hello, World!").post("/echo", |_, mut request| {
        let length = request.body_length().exact();
        let body = RefCell::new(request.take_body());
        Response::pieces(length, move |_| body.borrow_mut().read())
    })
}

#[test]
fn every_request_of_the_table_is_answered_as_it_says() {
    let test = MemoryLoop::new().unwrap();
    let site = server().start(&test).unwrap();
    let connect = || -> StringTransport { test.connected(site.protocol(&Address::Memory)) };
    let mut count = 0;
    let mut wrong = Vec::new();
    for line in include_str!("data/http_requests.tsv").lines().filter(|line| !line.starts_with('#')) {
        let [expected, request, what] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let request = bytes(request);
        for bytewise in [false, true] {
            let peer = connect();
            match bytewise {
                false => peer.send(&request),
                true => request.chunks(1).for_each(|byte| peer.send(byte)),
            }
            peer.send_end();
            assert!(peer.is_disconnected(), "{what}: it is not over");
            let found = statuses(&peer.value(), request.starts_with(b"HEAD"));
            let found = found.join(" ");
            let as_expected = match expected {
                "bad" => found == "400" || found.ends_with("broken") || found.is_empty(),
                expected => found == expected,
            };
            if !as_expected {
                wrong.push(format!("{what}: {expected} was expected, {found} came (byte by byte: {bytewise})"));
            }
            let next = connect();
            next.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            assert!(next.text().ends_with("\r\n\r\nHello, World!") && next.is_disconnected(), "behind {what}");
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 140, "{count} requests");
    test.flush_unhandled();
    test.assert_clean();
}
