//! The client against a server that behaves, and one that misbehaves on purpose: the right body, or an error that names
//! the phase. Never a hang, and never more memory than was allowed.
#![cfg(feature = "http-client")]

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ropewalk::http::{
    self, BodyTooLarge, ClientError, ClientPhase, ClientProblem, ClientRequest, ClientResponse, Method, Response,
    Server, Status,
};
use ropewalk::testing::capture_unhandled;
use ropewalk::{CancelledError, Deferred, EventLoop, Failure, Port, Protocol, TestClock, Transport};

/// Only to end a test that would hang.
const LIMIT: Duration = Duration::from_secs(60);

/// What a server does with a request.
#[derive(Clone)]
enum Act {
    /// Says this and waits.
    Say(Vec<u8>),
    /// Says this and closes.
    Close(Vec<u8>),
    /// Says this and resets when it was sent.
    Reset(Vec<u8>),
    /// Says this again and again, as long as anybody takes it.
    Flood(&'static str, Vec<u8>),
}

fn say(text: &str) -> Act {
    Act::Say(text.into())
}

fn close(text: &str) -> Act {
    Act::Close(text.into())
}

struct Bad {
    act: Act,
    asked: Vec<u8>,
    log: Log,
    answered: bool,
    piece: Vec<u8>,
}

#[derive(Clone, Default)]
struct Log {
    requests: Rc<RefCell<Vec<String>>>,
    open: Rc<Cell<usize>>,
    flooded: Rc<Cell<usize>>,
}

impl Protocol for Bad {
    fn connection_made(&mut self, _: &EventLoop, _: &Transport) -> Result<(), Failure> {
        self.log.open.set(self.log.open.get() + 1);
        Ok(())
    }

    fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        self.asked.extend_from_slice(data);
        if self.answered || !self.asked.windows(4).any(|four| four == b"\r\n\r\n") {
            return Ok(());
        }
        self.answered = true;
        self.log.requests.borrow_mut().push(String::from_utf8_lossy(&self.asked).into_owned());
        match &self.act {
            Act::Say(text) => transport.write(text)?,
            Act::Close(text) => {
                transport.write(text)?;
                transport.lose_connection();
            }
            Act::Reset(text) => {
                transport.write(text)?;
                transport.wake_protocol();
            }
            Act::Flood(head, piece) => {
                transport.write(head.as_bytes())?;
                self.piece = piece.clone();
                transport.register_own_producer(ropewalk::Streaming::Pull)?;
            }
        }
        Ok(())
    }

    fn woken(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        match transport.buffered() {
            0 => transport.abort(),
            _ => transport.wake_protocol(),
        }
        Ok(())
    }

    fn resume_producing(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.log.flooded.set(self.log.flooded.get() + self.piece.len());
        Ok(transport.write(&self.piece)?)
    }

    fn connection_lost(&mut self, _: &EventLoop, _: Failure) {
        self.log.open.set(self.log.open.get() - 1);
    }
}

/// A server that does one thing with every request.
fn bad(event_loop: &EventLoop, act: Act) -> (Port, String, Log) {
    let log = Log::default();
    let own = log.clone();
    let port = event_loop
        .listen_tcp("127.0.0.1:0", move |_, _| {
            let log = own.clone();
            Some(Bad { act: act.clone(), asked: Vec::new(), log, answered: false, piece: Vec::new() })
        })
        .unwrap();
    let url = format!("http://{}/x", port.address());
    (port, url, log)
}

/// A request and its whole body.
fn whole(event_loop: &EventLoop, request: ClientRequest) -> Result<(u16, Vec<u8>), Failure> {
    let body = request.send(event_loop).add_callback(|response| {
        let status = response.status().code();
        response.bytes(1 << 20).map(move |body| (status, body))
    });
    event_loop.run_until(body.add_timeout(LIMIT, event_loop))
}

#[track_caller]
fn error(result: Result<(u16, Vec<u8>), Failure>) -> (ClientPhase, String) {
    let failure = result.expect_err("it should have failed");
    let error = failure.check::<ClientError>().unwrap_or_else(|| panic!("no ClientError: {failure:?}"));
    (error.phase(), error.to_string())
}

/// Turns until it is so.
#[track_caller]
fn turn_until(event_loop: &EventLoop, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < LIMIT, "it never came to be");
        event_loop.turn(Some(Duration::ZERO)).unwrap();
    }
}

fn with_length(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

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

/// A loop whose time stands still.
fn still() -> (TestClock, EventLoop) {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
    (clock, event_loop)
}

#[test]
fn a_server_that_is_silent_or_slow_runs_into_the_limit_that_is_for_it() {
    let second = Duration::from_secs(1);
    // What it says at first, how long it may say nothing, and what is told then.
    let table = [
        ("", 30, ClientPhase::Response),
        ("HTTP/1.1 200 OK\r\nX-", 30, ClientPhase::Response),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npo", 30, ClientPhase::Body),
    ];
    for (text, seconds, phase) in table {
        let (clock, event_loop) = still();
        let (_port, url, log) = bad(&event_loop, say(text));
        let (arrived, seen) = (Rc::new(Cell::new(false)), Rc::new(RefCell::new(None)));
        let (head, slot) = (arrived.clone(), seen.clone());
        http::get(&event_loop, url)
            .add_callback(move |response| {
                head.set(true);
                response.bytes(100)
            })
            .add_both(move |result| {
                slot.replace(Some(result));
                Ok(())
            })
            .detach();
        turn_until(&event_loop, || {
            log.requests.borrow().len() == 1 && (phase != ClientPhase::Body || arrived.get())
        });
        clock.advance(seconds * second - second).unwrap();
        assert!(seen.borrow().is_none(), "{phase}");
        clock.advance(second).unwrap();
        let (found, text) = error(seen.take().expect("the time is over").map(|body| (0, body)));
        assert_eq!(found, phase);
        assert!(text.ends_with("it took longer than 30s"), "{text}");
        turn_until(&event_loop, || log.open.get() == 0);
    }
}

#[test]
fn what_drips_has_an_end_too() {
    let (clock, event_loop) = still();
    let writer = Rc::new(RefCell::new(None));
    let own = writer.clone();
    let site = Server::new().get("/", move |_, _| {
        let (drip, response) = Response::streaming();
        own.replace(Some(drip));
        response
    });
    let site = site.listen(&event_loop, "127.0.0.1:0").unwrap();
    let seen = Rc::new(RefCell::new(None));
    let slot = seen.clone();
    ClientRequest::get(format!("http://{}/", site.address().unwrap()))
        .timeout(Duration::from_secs(100))
        .send(&event_loop)
        .add_callback(|response| response.bytes(1000))
        .add_both(move |result| {
            slot.replace(Some(result));
            Ok(())
        })
        .detach();
    turn_until(&event_loop, || writer.borrow().is_some());
    for second in 0..99 {
        assert!(seen.borrow().is_none(), "after {second} s");
        writer.borrow().as_ref().unwrap().write(b"x").unwrap();
        for _ in 0..20 {
            event_loop.turn(Some(Duration::ZERO)).unwrap();
        }
        clock.advance(Duration::from_secs(1)).unwrap();
    }
    clock.advance(Duration::from_secs(1)).unwrap();
    let (phase, text) = error(seen.take().expect("the time is over").map(|body| (0, body)));
    assert_eq!(phase, ClientPhase::Body);
    assert!(text.ends_with("it took longer than 100s"), "{text}");
}

#[test]
fn cancelling_and_dropping_close_the_connection() {
    let unhandled = capture_unhandled();
    let event_loop = EventLoop::new().unwrap();
    let (_port, url, log) = bad(&event_loop, say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npo"));
    let (_quiet_port, quiet, quiet_log) = bad(&event_loop, say(""));

    // While no answer is there.
    let waiting = http::get(&event_loop, quiet);
    turn_until(&event_loop, || quiet_log.requests.borrow().len() == 1);
    waiting.cancel();
    assert!(ropewalk::testing::failure_of(waiting).check::<CancelledError>().is_some());
    turn_until(&event_loop, || quiet_log.open.get() == 0);

    // While the connection is made.
    let early = http::get(&event_loop, &url);
    early.cancel();
    drop(ropewalk::testing::failure_of(early));

    // While the body comes.
    let arrived = Rc::new(Cell::new(false));
    let head = arrived.clone();
    let body = http::get(&event_loop, &url).add_callback(move |response| {
        head.set(true);
        response.bytes(100)
    });
    turn_until(&event_loop, || arrived.get());
    body.cancel();
    assert!(ropewalk::testing::failure_of(body).check::<CancelledError>().is_some());
    turn_until(&event_loop, || log.open.get() == 0);

    // Nobody wants the body.
    let response: ClientResponse = event_loop.run_until(http::get(&event_loop, &url)).unwrap();
    drop(response);
    turn_until(&event_loop, || log.open.get() == 0);
    drop(http::get(&event_loop, &url));
    turn_until(&event_loop, || log.requests.borrow().len() == 3);
    turn_until(&event_loop, || log.open.get() == 0);
    assert!(unhandled.flush_unhandled().is_empty());
}

#[test]
fn a_body_that_nobody_reads_holds_the_server_back() {
    let event_loop = EventLoop::new().unwrap();
    let (_port, url, log) = bad(&event_loop, Act::Flood("HTTP/1.1 200 OK\r\n\r\n", vec![b'x'; 60_000]));
    let request = ClientRequest::get(url).max_body(u64::MAX);
    let mut response = event_loop.run_until(request.send(&event_loop)).unwrap();
    // The system's own buffers hold a few megabytes; then nothing more goes.
    let (mut before, mut quiet) = (0, 0);
    while quiet < 200 {
        event_loop.turn(Some(Duration::from_millis(1))).unwrap();
        quiet = if log.flooded.get() == before { quiet + 1 } else { 0 };
        before = log.flooded.get();
        assert!(before < 64 << 20, "nobody reads, and {before} bytes were taken");
    }
    let mut body = response.take_body();
    let mut read = 0;
    while read < before + 1_000_000 {
        read += event_loop.run_until(body.read()).unwrap().expect("there is no end").len();
    }
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

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn packed(coding: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[test]
fn compressed_bodies_are_unpacked_and_broken_ones_are_errors() {
    let data: Vec<u8> = (0..300_000u32).flat_map(|i| (i / 7).to_le_bytes()).take(1_000_000).collect();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(&data).unwrap();
    let zlib = zlib.finish().unwrap();
    let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    bare.write_all(&data).unwrap();
    let bare = bare.finish().unwrap();
    let two = [gzip(&data[..1000]), gzip(&data[1000..])].concat();
    for (coding, body) in [
        ("gzip", gzip(&data)),
        ("x-gzip", gzip(&data)),
        ("GZIP", two),
        ("deflate", zlib.clone()),
        ("deflate", bare.clone()),
        ("identity", data.clone()),
    ] {
        let event_loop = EventLoop::new().unwrap();
        let (_port, url, _) = bad(&event_loop, Act::Say(packed(coding, &body)));
        assert!(whole(&event_loop, ClientRequest::get(url)).unwrap().1 == data, "{coding}");
    }
    let cut = |body: &[u8]| body[..body.len() - 3].to_vec();
    let with_more = |mut body: Vec<u8>| {
        body.extend_from_slice(b"more");
        body
    };
    let mut wrong_sum = gzip(&data);
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 1;
    for (coding, body) in [
        ("gzip", cut(&gzip(&data))),
        ("gzip", gzip(&data)[..5].to_vec()),
        ("gzip", wrong_sum),
        ("gzip", with_more(gzip(&data))),
        ("deflate", cut(&zlib)),
        ("deflate", cut(&bare)),
        ("deflate", with_more(zlib)),
        ("deflate", vec![0xff; 100]),
    ] {
        let event_loop = EventLoop::new().unwrap();
        let (_port, url, _) = bad(&event_loop, Act::Say(packed(coding, &body)));
        let (phase, text) = error(whole(&event_loop, ClientRequest::get(url)));
        assert_eq!(phase, ClientPhase::Body, "{coding}: {text}");
        assert!(text.contains("cannot be unpacked"), "{text}");
    }
}

#[test]
fn a_bomb_does_not_grow_beyond_its_limit_nor_all_at_once() {
    // A gigabyte would take long to pack: this one is 20 MB in 20 KB.
    let bomb = gzip(&vec![0; 20_000_000]);
    let event_loop = EventLoop::new().unwrap();
    let (_port, url, log) = bad(&event_loop, Act::Say(packed("gzip", &bomb)));
    let failure = whole(&event_loop, ClientRequest::get(&url)).unwrap_err();
    assert!(failure.find::<BodyTooLarge>().is_some(), "{failure:?}");
    let limited = ClientRequest::get(&url).max_body(1_000_000).send(&event_loop).add_callback(|mut response| {
        let most = Rc::new(Cell::new(0));
        let seen = most.clone();
        let read = response.take_body().for_each(move |piece| {
            seen.set(seen.get() + piece.len());
            Ok(())
        });
        read.add_both(move |result| Ok((result.is_err(), most.get())))
    });
    let (failed, read) = event_loop.run_until(limited).unwrap();
    assert!(failed && read <= 1_000_000);
    // Nobody reads: it stays packed.
    let held = ClientRequest::get(&url).max_body(u64::MAX).send(&event_loop);
    let response = event_loop.run_until(held).unwrap();
    for _ in 0..100 {
        event_loop.turn(Some(Duration::ZERO)).unwrap();
    }
    let waiting = format!("{response:?}");
    let waiting: usize = waiting.rsplit_once("waiting: ").unwrap().1.trim_matches([' ', '}', ',']).parse().unwrap();
    assert!(waiting > 0 && waiting < 1 << 20, "{waiting} bytes wait");
    drop(response);
    turn_until(&event_loop, || log.open.get() == 0);
}

#[test]
fn text_is_decoded_by_its_charset_and_never_fails() {
    for (kind, body, expected) in [
        ("text/plain; charset=ISO-8859-1", &b"caf\xe9"[..], "café"),
        ("text/plain; charset=\"utf-8\"", "café".as_bytes(), "café"),
        ("text/plain; charset=shift_jis", b"\x93\xfa\x96\x7b", "日本"),
        ("text/plain; charset=nobody-knows", "café".as_bytes(), "café"),
        ("text/plain", b"caf\xe9", "caf\u{fffd}"),
        ("text/plain; charset=utf-8", b"\xff\xfeh\0i\0", "hi"),
    ] {
        let event_loop = EventLoop::new().unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
        let (_port, url, _) = bad(&event_loop, Act::Say([head.as_bytes(), body].concat()));
        let text = http::get(&event_loop, url).add_callback(|response| response.text(100));
        assert_eq!(event_loop.run_until(text).unwrap(), expected, "{kind}");
    }
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
    use ropewalk::ListenTcp;
    use ropewalk::tls::{TlsClient, TlsError, TlsServer};

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
            let (phase, text) = error(Err(failure));
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
