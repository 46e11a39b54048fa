//! The client against a server that behaves, and one that misbehaves on purpose: the right body, or an error that names
//! the phase. Never a hang.
#![cfg(feature = "http-client")]

#[path = "support/bad_server.rs"]
mod bad_server;
#[path = "support/client.rs"]
mod client;

use bad_server::*;
use client::{error, turn_until};

use ropewalk::http::{
    self, ClientPhase, ClientProblem, ClientRequest, ClientResponse, Method, Response, Server, Status,
};
use ropewalk::testing::capture_unhandled;
use ropewalk::{Deferred, EventLoop, Failure};

/// The body, or the phase and a part of the error's text.
type Expected = Result<&'static str, (ClientPhase, &'static str)>;

#[test]
fn what_a_server_says_is_the_body_or_an_error_with_its_phase() {
    use ClientPhase::{Body, Response};
    let fields = "X-A: b\r\n".repeat(200);
    let long = format!("X-A: {}\r\n", "b".repeat(100_000));
    let early_hints = "HTTP/1.1 103 Early Hints\r\n\r\n";
    let table: Vec<(&str, Act, Expected)> = vec![
        ("a length", say(&with_length("poem")), Ok("poem")),
        ("a length, then closed", close(&with_length("poem")), Ok("poem")),
        ("more than the length", say(&(with_length("poem") + "and more")), Ok("poem")),
        ("no length", close("HTTP/1.1 200 OK\r\n\r\npoem"), Ok("poem")),
        ("HTTP/1.0", close("HTTP/1.0 200 OK\r\n\r\npoem"), Ok("poem")),
        ("nothing in it", say(&with_length("")), Ok("")),
        ("204 with a length", say("HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n"), Ok("")),
        (
            "chunks",
            say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\npo\r\n2;a=b\r\nem\r\n0\r\n\r\n"),
            Ok("poem"),
        ),
        (
            "trailers",
            say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npoem\r\n0\r\nX-Sum: 1\r\n\r\n"),
            Ok("poem"),
        ),
        ("100 first", say(&("HTTP/1.1 100 Continue\r\n\r\n".to_owned() + &with_length("poem"))), Ok("poem")),
        ("early hints", say(&(early_hints.repeat(3) + &with_length("poem"))), Ok("poem")),
        ("no reason", say("HTTP/1.1 200\r\nContent-Length: 4\r\n\r\npoem"), Ok("poem")),
        ("a status of its own", say("HTTP/1.1 799 Odd\r\nContent-Length: 4\r\n\r\npoem"), Ok("poem")),
        (
            "the same length twice",
            say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\npoem"),
            Ok("poem"),
        ),
        ("a short body", close("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npoem"), Err((Body, "closed before"))),
        (
            "no last chunk",
            close("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npoem\r\n"),
            Err((Body, "closed")),
        ),
        (
            "half a chunk",
            close("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\npoem"),
            Err((Body, "closed")),
        ),
        (
            "a bad chunk size",
            say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            Err((Body, "chunk")),
        ),
        (
            "a negative chunk",
            say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-4\r\n"),
            Err((Body, "chunk")),
        ),
        (
            "a huge chunk size",
            say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"),
            Err((Body, "chunk")),
        ),
        (
            "a chunk too long",
            say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\npoem\r\n"),
            Err((Body, "longer")),
        ),
        (
            "two lengths",
            say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\npoem"),
            Err((Response, "Content-Length")),
        ),
        (
            "a negative length",
            say("HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\npoem"),
            Err((Response, "Content-Length")),
        ),
        (
            "a length that is no number",
            say("HTTP/1.1 200 OK\r\nContent-Length: four\r\n\r\npoem"),
            Err((Response, "Content-Length")),
        ),
        (
            "an unknown transfer coding",
            say("HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13, chunked\r\n\r\n"),
            Err((Response, "transfer coding")),
        ),
        ("closed at once", close(""), Err((Response, "without an answer"))),
        ("half a head", close("HTTP/1.1 200 OK\r\nContent-"), Err((Response, "closed before"))),
        ("another protocol", say("SSH-2.0-OpenSSH_9.6\r\n"), Err((Response, "not HTTP"))),
        ("binary", Act::Say((0..=255).collect()), Err((Response, "not HTTP"))),
        ("HTTP/2", say("HTTP/2.0 200 OK\r\n\r\n"), Err((Response, ""))),
        ("a status that is none", say("HTTP/1.1 20 OK\r\n\r\n"), Err((Response, ""))),
        ("too many fields", say(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")), Err((Response, "too many"))),
        ("a head too large", say(&format!("HTTP/1.1 200 OK\r\n{long}\r\n")), Err((Response, "too large"))),
        ("a head without end", Act::Flood("HTTP/1.1 200 OK\r\n", b"X-A: b\r\n".to_vec()), Err((Response, "too"))),
        ("a line without end", Act::Flood("HTTP/1.1 200 O", vec![b'K'; 1000]), Err((Response, "too large"))),
        ("early hints without end", Act::Flood("", early_hints.into()), Err((Response, "informational"))),
        ("NUL in a field", say("HTTP/1.1 200 OK\r\nX-A: \0\r\n\r\n"), Err((Response, "control"))),
        (
            "another protocol, unasked",
            say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
            Err((Response, "101")),
        ),
        (
            "trailers without end",
            Act::Flood("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n".to_vec()),
            Err((Body, "")),
        ),
        ("a body without end", Act::Flood("HTTP/1.1 200 OK\r\n\r\n", vec![b'x'; 60_000]), Err((Body, "more than"))),
        (
            "a length of exabytes",
            say("HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999\r\n\r\n"),
            Err((Body, "more than")),
        ),
        ("reset in the head", Act::Reset(b"HTTP/1.1 200".to_vec()), Err((Response, "connection"))),
        (
            "reset in the body",
            Act::Reset(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npo".to_vec()),
            Err((Body, "connection")),
        ),
        ("reset, no length", Act::Reset(b"HTTP/1.1 200 OK\r\n\r\npo".to_vec()), Err((Body, "connection"))),
        (
            "br, unasked",
            say("HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 4\r\n\r\npoem"),
            Err((Response, "\"br\"")),
        ),
        (
            "no gzip",
            say("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\npoem"),
            Err((Body, "unpacked")),
        ),
        (
            "gzip of nothing at all",
            say("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n"),
            Ok(""),
        ),
    ];
    let unhandled = capture_unhandled();
    for (name, act, expected) in table {
        let event_loop = EventLoop::new().unwrap();
        let (port, url, log) = bad(&event_loop, act);
        let result = whole(&event_loop, ClientRequest::get(&url));
        match expected {
            Ok(body) => {
                let (_, got) = result.unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
                assert_eq!(String::from_utf8_lossy(&got), body, "{name}");
            }
            Err((phase, part)) => {
                let (found, text) = error(result);
                assert_eq!(found, phase, "{name}: {text}");
                assert!(
                    text.starts_with(&format!("GET {url}: {phase}: ")) && text.contains(part),
                    "{name}: {text}"
                );
            }
        }
        // Whatever it was, the connection is closed.
        turn_until(&event_loop, || log.open.get() == 0);
        port.stop_listening(&event_loop).detach();
    }
    assert!(unhandled.flush_unhandled().is_empty());
}

#[test]
fn a_response_that_ends_at_any_byte_is_an_error_or_whole() {
    let answers = [
        with_length("If I were"),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nIf I \r\n4\r\nwere\r\n0\r\n\r\n".to_owned(),
    ];
    for answer in answers {
        let head = answer.find("\r\n\r\n").unwrap() + 4;
        for at in 0..=answer.len() {
            for reset in [false, true] {
                let event_loop = EventLoop::new().unwrap();
                let part = answer.as_bytes()[..at].to_vec();
                let (_port, url, _) = bad(&event_loop, if reset { Act::Reset(part) } else { Act::Close(part) });
                match whole(&event_loop, ClientRequest::get(url)) {
                    Ok((_, body)) => assert!(at == answer.len() && body == b"If I were", "{at}"),
                    // A reset may overtake what was sent before it.
                    Err(_) if reset => {}
                    failed => {
                        let (phase, text) = error(failed);
                        assert!(at < answer.len(), "{text}");
                        let expected = if at < head { ClientPhase::Response } else { ClientPhase::Body };
                        assert_eq!(phase, expected, "{at}: {text}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_request_has_what_it_needs_and_what_was_set() {
    let event_loop = EventLoop::new().unwrap();
    let (port, url, log) = bad(&event_loop, say(&with_length("")));
    let request = ClientRequest::new(Method::Put, format!("{url}?a=b c#fragment"))
        .header("X-Poem", "If")
        .header("Connection", "keep-alive")
        .body("If I were");
    whole(&event_loop, request).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "PUT /x?a=b%20c HTTP/1.1\r\nHost: {}\r\nUser-Agent: ropewalk/{version}\r\nAccept: */*\r\n\
         Accept-Encoding: gzip, deflate\r\nX-Poem: If\r\nContent-Length: 9\r\nConnection: close\r\n\r\nIf I were",
        port.address()
    );
    assert_eq!(*log.requests.borrow(), [expected]);
}

#[test]
fn what_cannot_be_asked_fails_with_its_reason() {
    let event_loop = EventLoop::new().unwrap();
    let table = [
        ("", "relative URL"),
        ("http://", "empty host"),
        ("ftp://example.org/", "neither http nor https"),
        ("http://user:secret@127.0.0.1/", "Authorization"),
        ("http://[::1/", "IPv6"),
        ("http://127.0.0.1:99999/", "port"),
        ("http://127.0.0.1:0/", "port 0"),
    ];
    for (url, part) in table {
        let (phase, text) = error(whole(&event_loop, ClientRequest::get(url)));
        assert_eq!(phase, ClientPhase::Setup, "{text}");
        assert!(text.contains(part) && !text.contains("secret"), "{text}");
    }
    let (_, text) = error(whole(&event_loop, ClientRequest::get("http://127.0.0.1/").header("X", "a\r\nY: b")));
    assert!(text.contains("control character"), "{text}");
    let (port, url, _) = bad(&event_loop, say(""));
    port.stop_listening(&event_loop).detach();
    let (phase, text) = error(whole(&event_loop, ClientRequest::get(url)));
    assert_eq!(phase, ClientPhase::Connect, "{text}");
    assert!(text.contains("refused"), "{text}");
}

#[test]
fn redirections_are_followed_and_have_an_end() {
    let event_loop = EventLoop::new().unwrap();
    let other = Server::new().any("/seen", |_, request| {
        format!("{} {:?} {:?}", request.method, request.headers.get("Authorization"), request.headers.get("X-A"))
    });
    let other = other.listen(&event_loop, "127.0.0.1:0").unwrap();
    let elsewhere = format!("http://{}/seen", other.address().unwrap());
    let mut site = Server::new()
        .any("/seen", |_, mut request| {
            let (method, secret) =
                (request.method.clone(), request.headers.get("Authorization").map(str::to_owned));
            request
                .take_body()
                .collect(100)
                .map(move |body| Response::text(format!("{method} {secret:?} {}", String::from_utf8_lossy(&body))))
        })
        .any("/loop", |_, _| Response::redirect(Status::FOUND, "/loop"))
        .any("/none", |_, _| Response::text("stay").status(Status::FOUND))
        .any("/bad", |_, _| Response::redirect(Status::FOUND, "http://[/"))
        .any("/file", |_, _| Response::redirect(Status::FOUND, "file:///etc/passwd"))
        .any("/away", move |_, _| Response::redirect(Status::FOUND, &elsewhere));
    for code in [301, 302, 303, 307, 308] {
        let status = Status::new(code).unwrap();
        site = site.any(&format!("/{code}"), move |_, _| Response::redirect(status, "seen"));
    }
    let site = site.listen(&event_loop, "127.0.0.1:0").unwrap();
    let base = format!("http://{}", site.address().unwrap());
    let ask = |method: Method, path: &str| {
        let request =
            ClientRequest::new(method, base.clone() + path).header("Authorization", "me").header("X-A", "b");
        whole(&event_loop, request.body("poem"))
    };
    let text = |result: Result<(u16, Vec<u8>), Failure>| String::from_utf8(result.unwrap().1).unwrap();
    for (code, expected) in [
        (301, "GET Some(\"me\") "),
        (302, "GET Some(\"me\") "),
        (303, "GET Some(\"me\") "),
        (307, "POST Some(\"me\") poem"),
        (308, "POST Some(\"me\") poem"),
    ] {
        assert_eq!(text(ask(Method::Post, &format!("/{code}"))), expected, "{code}");
    }
    assert_eq!(text(ask(Method::Put, "/302")), "PUT Some(\"me\") poem");
    assert_eq!(text(ask(Method::Get, "/away")), "GET None Some(\"b\")");
    assert_eq!(text(ask(Method::Get, "/none")), "stay");
    for (path, part) in
        [("/loop", "more than 10 redirections"), ("/bad", "no URL"), ("/file", "neither http nor https")]
    {
        let (phase, text) = error(ask(Method::Get, path));
        assert_eq!(phase, ClientPhase::Response);
        assert!(text.contains(part), "{text}");
    }
    let alone = ClientRequest::get(base + "/loop").redirects(0);
    assert_eq!(whole(&event_loop, alone).unwrap().0, 302);
}

#[test]
fn a_status_is_an_error_only_if_one_asks() {
    let event_loop = EventLoop::new().unwrap();
    let (_port, url, log) = bad(&event_loop, say("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"));
    assert_eq!(whole(&event_loop, ClientRequest::get(&url)).unwrap(), (404, b"no".to_vec()));
    let asked: Deferred<ClientResponse> =
        http::get(&event_loop, &url).add_callback(ClientResponse::error_for_status);
    let failure = event_loop.run_until(asked).unwrap_err();
    assert_eq!(failure.find::<ClientProblem>(), Some(&ClientProblem::Status(Status::NOT_FOUND)));
    assert_eq!(failure.to_string(), format!("GET {url}: response: the server answers 404 Not Found"));
    turn_until(&event_loop, || log.open.get() == 0);
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use ropewalk::http::ClientError;
    use ropewalk::tls::{TlsClient, TlsError, TlsServer};
    use ropewalk::{ListenTcp, Protocol, Transport};
    use std::time::Duration;

    const ROOT: &[u8] = include_bytes!("data/tls/root.pem");

    fn server(event_loop: &EventLoop, name: &str) -> (http::Site, String) {
        let path = |ending: &str| format!("{}/tests/data/tls/{name}.{ending}", env!("CARGO_MANIFEST_DIR"));
        let tls = TlsServer::from_pem(&std::fs::read(path("pem")).unwrap(), &std::fs::read(path("key")).unwrap())
            .unwrap();
        let big = vec![b'x'; 1_000_000];
        let site = Server::new().get("/", move |_, _| Response::new(Status::OK).body(big.clone()));
        let site = site.start(event_loop).unwrap();
        let port = site.listen_tls(event_loop, ListenTcp::new("127.0.0.1:0"), &tls).unwrap();
        (site, format!("https://localhost:{}/", port.address().port()))
    }

    #[test]
    fn https_is_trusted_or_fails_while_hands_are_shaken() {
        let event_loop = EventLoop::new().unwrap();
        let trusting = TlsClient::with_roots_pem(ROOT).unwrap();
        let (_site, url) = server(&event_loop, "localhost");
        let good = whole(&event_loop, ClientRequest::get(&url).tls(&trusting)).unwrap();
        assert_eq!((good.0, good.1.len()), (200, 1_000_000));
        for (name, part) in [("expired", "expired"), ("other", "not valid for")] {
            let (_site, url) = server(&event_loop, name);
            let failure = whole(&event_loop, ClientRequest::get(&url).tls(&trusting)).unwrap_err();
            assert!(failure.find::<TlsError>().is_some(), "{failure:?}");
            let (phase, text) = error::<()>(Err(failure));
            assert_eq!(phase, ClientPhase::Tls, "{text}");
            assert!(text.to_lowercase().contains(part), "{text}");
        }
        let other_root =
            std::fs::read(format!("{}/tests/data/tls/localhost.pem", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let stranger = TlsClient::with_roots_pem(&other_root).unwrap();
        let (phase, text) = error(whole(&event_loop, ClientRequest::get(&url).tls(&stranger)));
        assert_eq!(phase, ClientPhase::Tls, "{text}");
    }

    #[test]
    fn a_server_that_speaks_no_tls_or_says_nothing_fails_in_that_phase() {
        let trusting = TlsClient::with_roots_pem(ROOT).unwrap();
        struct Plain(Log);
        impl Protocol for Plain {
            fn connection_made(&mut self, _: &EventLoop, _: &Transport) -> Result<(), Failure> {
                self.0.open.set(self.0.open.get() + 1);
                Ok(())
            }
            fn data_received(&mut self, _: &EventLoop, transport: &Transport, _: &[u8]) -> Result<(), Failure> {
                Ok(transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")?)
            }
            fn connection_lost(&mut self, _: &EventLoop, _: Failure) {
                self.0.open.set(self.0.open.get() - 1);
            }
        }
        let event_loop = EventLoop::new().unwrap();
        let log = Log::default();
        let own = log.clone();
        let port = event_loop.listen_tcp("127.0.0.1:0", move |_, _| Some(Plain(own.clone()))).unwrap();
        let url = format!("https://{}/", port.address());
        let (phase, text) = error(whole(&event_loop, ClientRequest::get(&url).tls(&trusting)));
        assert_eq!(phase, ClientPhase::Tls, "{text}");
        turn_until(&event_loop, || log.open.get() == 0);

        let (clock, event_loop) = still();
        let (_port, url, log) = bad(&event_loop, say(""));
        let asked = ClientRequest::get(url.replace("http:", "https:")).tls(&trusting).send(&event_loop);
        turn_until(&event_loop, || log.open.get() == 1);
        for _ in 0..20 {
            event_loop.turn(Some(Duration::ZERO)).unwrap();
        }
        clock.advance(Duration::from_secs(30)).unwrap();
        let failure = ropewalk::testing::failure_of(asked);
        assert_eq!(failure.check::<ClientError>().map(ClientError::phase), Some(ClientPhase::Tls), "{failure:?}");
        turn_until(&event_loop, || log.open.get() == 0);
    }
}
