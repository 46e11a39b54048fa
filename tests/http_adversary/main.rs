//! The client under a server that does everything wrong that one can do. Whatever it is, the right body comes of it, or an
//! error that names the URL, the phase and the cause; and the next request over the same client is answered as it should.
//!
//! Each behaviour is played in four ways: all at once and byte by byte, with connections that are kept and without.
#![cfg(feature = "http-client")]

mod behaviours;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use ropewalk::http::{
    Client, ClientError, ClientPhase, ClientProblem, ClientRequest, Method, Response, Server, Status,
};
use ropewalk::testing::capture_unhandled;
use ropewalk::{Deferred, EventLoop, Failure, Port, Protocol, TestClock, Transport};

use behaviours::{Expected, behaviours, chunked, gzip, packed, with};

/// Only to end a test that would hang.
const LIMIT: Duration = Duration::from_secs(60);

/// So many turns without an end, and the time moves on.
const PATIENCE: u32 = 300;

/// What the server does when it has said what it has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Waits,
    Closes,
    Resets,
}

struct Adversary {
    answer: Rc<[u8]>,
    then: Then,
    drips: bool,
    /// How many requests the server has seen.
    seen: Rc<Cell<usize>>,
    asked: Vec<u8>,
    left: Vec<u8>,
    bad: bool,
}

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";

impl Adversary {
    fn end(&self, transport: &Transport) {
        match self.then {
            Then::Waits => {}
            Then::Closes => transport.lose_connection(),
            Then::Resets => transport.abort(),
        }
    }
}

impl Protocol for Adversary {
    fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        self.asked.extend_from_slice(data);
        if !self.asked.windows(4).any(|four| four == b"\r\n\r\n") {
            return Ok(());
        }
        self.asked.clear();
        if self.seen.replace(self.seen.get() + 1) > 0 {
            return Ok(transport.write(GOOD.as_bytes())?);
        }
        self.bad = true;
        if self.drips && !self.answer.is_empty() {
            self.left = self.answer.iter().rev().copied().collect();
            transport.set_tcp_nodelay(true)?;
            transport.wake_protocol();
        } else {
            transport.write(&self.answer)?;
            self.woken_at_end(transport);
        }
        Ok(())
    }

    fn woken(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        match self.left.pop() {
            Some(byte) => {
                transport.write(&[byte])?;
                transport.wake_protocol();
            }
            None if self.bad => self.woken_at_end(transport),
            None => {}
        }
        Ok(())
    }

    /// Most of what is lost here was meant to be.
    fn connection_lost(&mut self, _: &EventLoop, _: Failure) {}
}

impl Adversary {
    /// A reset must not overtake what was said.
    fn woken_at_end(&mut self, transport: &Transport) {
        if self.then == Then::Resets && transport.buffered() > 0 {
            return transport.wake_protocol();
        }
        self.bad = false;
        self.end(transport);
    }
}

struct Test {
    event_loop: EventLoop,
    clock: TestClock,
    url: String,
    seen: Rc<Cell<usize>>,
    _port: Port,
}

fn playing(answer: &[u8], then: Then, drips: bool) -> Test {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
    let (answer, seen) = (Rc::<[u8]>::from(answer), Rc::new(Cell::new(0)));
    let own = seen.clone();
    let port = event_loop
        .listen_tcp("127.0.0.1:0", move |_, _| {
            let (answer, seen) = (answer.clone(), own.clone());
            Some(Adversary { answer, then, drips, seen, asked: Vec::new(), left: Vec::new(), bad: false })
        })
        .unwrap();
    let url = format!("http://{}/x", port.address());
    Test { event_loop, clock, url, seen, _port: port }
}

impl Test {
    fn run<T: 'static>(&self, d: Deferred<T>) -> Result<T, Failure> {
        let outcome = Rc::new(RefCell::new(None));
        let own = outcome.clone();
        d.add_both(move |result| {
            own.replace(Some(result));
            Ok(())
        })
        .detach();
        let (begun, mut turns) = (Instant::now(), 0);
        while outcome.borrow().is_none() {
            assert!(begun.elapsed() < LIMIT, "it hangs");
            self.event_loop.turn(Some(Duration::ZERO)).unwrap();
            turns += 1;
            if turns % PATIENCE == 0 {
                self.clock.advance(Duration::from_secs(10)).unwrap();
            }
        }
        outcome.take().unwrap()
    }

    fn whole(&self, request: ClientRequest) -> Result<(u16, String), Failure> {
        self.run(request.send(&self.event_loop).add_callback(|response| {
            let status = response.status().code();
            response.bytes(1 << 20).map(move |body| (status, String::from_utf8_lossy(&body).into_owned()))
        }))
    }
}

#[test]
fn whatever_a_server_does_is_a_body_or_an_error_and_the_next_request_is_answered() {
    let unhandled = capture_unhandled();
    let all = behaviours();
    assert!(all.len() > 80);
    for (what, method, answer, then, expected) in all {
        // What is long takes as many turns as bytes.
        for (drips, pooled) in [(false, false), (false, true), (true, false), (true, true)] {
            if drips && answer.len() > 3000 {
                continue;
            }
            let what = format!("{what}, drips: {drips}, pooled: {pooled}");
            let test = playing(&answer, then, drips);
            let client = Client::new();
            let with = |request: ClientRequest| if pooled { request.client(&client) } else { request };
            let request = ClientRequest::new(method.clone(), &test.url);
            match (test.whole(with(request)), &expected) {
                (Ok((_, body)), Expected::Body(text)) => assert_eq!(body, *text, "{what}"),
                (Err(failure), Expected::Error(phase, part)) => {
                    check(&failure, &method, &test.url, *phase, part, &what)
                }
                (result, _) => panic!("{what}: {result:?}"),
            }
            assert!(test.seen.get() <= 2, "{what}");
            // Nobody can tell an answer from what drips behind the one before: it comes first.
            for _ in 0..if drips { 2 * answer.len() + 10 } else { 0 } {
                test.event_loop.turn(Some(Duration::ZERO)).unwrap();
            }
            for _ in 0..2 {
                let next = test.whole(with(ClientRequest::get(&test.url)));
                let next = next.unwrap_or_else(|failure| panic!("{what}, the next: {failure}"));
                assert_eq!(next, (200, "good".to_owned()), "{what}");
            }
        }
    }
    assert!(unhandled.flush_unhandled().is_empty());
}

/// It names the method, the URL, the phase and the cause, once, in one line of readable text.
#[track_caller]
fn check(failure: &Failure, method: &Method, url: &str, phase: ClientPhase, part: &str, what: &str) {
    let error = failure.check::<ClientError>().unwrap_or_else(|| panic!("{what}: no ClientError: {failure:?}"));
    let text = error.to_string();
    assert_eq!(error.phase(), phase, "{what}: {text}");
    assert!(text.starts_with(&format!("{method} {url}: {phase}: ")), "{what}: {text}");
    assert!(text.contains(part) && !text.contains("secret") && !text.contains(char::is_control), "{what}: {text}");
    assert_eq!(format!("{failure:#}"), text, "{what}");
}

#[test]
fn an_answer_that_is_reset_at_any_byte_is_an_error_or_whole_and_no_matter_to_the_next() {
    for answer in [
        with("Content-Length: 4\r\n", "poem"),
        chunked("4\r\npoem\r\n0\r\nA: b\r\n\r\n"),
        packed("gzip", &gzip(b"poem")),
    ] {
        for at in 0..=answer.len() {
            for then in [Then::Closes, Then::Resets] {
                let (test, client) = (playing(&answer[..at], then, false), Client::new());
                let result = test.whole(ClientRequest::get(&test.url).client(&client));
                match result {
                    Ok((status, body)) => {
                        assert_eq!((at, status, body.as_str()), (answer.len(), 200, "poem"));
                    }
                    Err(failure) => {
                        // A reset may overtake what was said.
                        assert!(at < answer.len() || then == Then::Resets, "{at}: {failure}");
                        assert!(failure.check::<ClientError>().is_some(), "{at}: {failure}");
                    }
                }
                assert_eq!(test.whole(ClientRequest::get(&test.url).client(&client)).unwrap().1, "good", "{at}");
            }
        }
    }
}

#[test]
fn secrets_stay_with_the_server_that_they_are_for() {
    let test = playing(b"", Then::Waits, false);
    let event_loop = &test.event_loop;
    let told = |request: &ropewalk::http::Request| {
        let names = ["Authorization", "Cookie", "Proxy-Authorization", "X-Own"];
        let told: Vec<&str> = names.into_iter().filter(|name| request.headers.contains(name)).collect();
        format!("{} {}", told.join(" "), request.headers.get("Host").unwrap_or("nobody"))
    };
    let other =
        Server::new().any("/{*path}", move |_, request| told(&request)).listen(event_loop, "127.0.0.1:0").unwrap();
    let away = format!("http://{}/seen", other.address().unwrap());
    let (there, without_scheme) = (away.clone(), away[5..].to_owned());
    let site = Server::new()
        .any("/seen", move |_, request| told(&request))
        .any("/here", |_, _| Response::redirect(Status::FOUND, "seen#part"))
        .any("/away", move |_, _| Response::redirect(Status::TEMPORARY_REDIRECT, &there))
        .any("/without", move |_, _| Response::redirect(Status::FOUND, &without_scheme))
        .any("/secure", |_, _| Response::redirect(Status::FOUND, "https://127.0.0.1:1/"))
        .any("/a", |_, _| Response::redirect(Status::FOUND, "/b"))
        .any("/b", |_, _| Response::redirect(Status::FOUND, "/a"))
        .listen(event_loop, "127.0.0.1:0")
        .unwrap();
    let base = format!("http://{}", site.address().unwrap());
    let ask = |path: &str, client: &Client| {
        let request = ClientRequest::get(format!("{base}{path}")).client(client).header("X-Own", "x");
        let secret = ["Authorization", "Cookie", "Proxy-Authorization"];
        test.whole(secret.into_iter().fold(request, |request, name| request.header(name, "secret")))
    };
    let client = Client::new();
    let own = |url: &str| url.split('/').nth(2).unwrap().to_owned();
    assert_eq!(
        ask("/here", &client).unwrap().1,
        format!("Authorization Cookie Proxy-Authorization X-Own {}", own(&base))
    );
    assert_eq!(ask("/away", &client).unwrap().1, format!("X-Own {}", own(&away)));
    assert_eq!(ask("/without", &client).unwrap().1, format!("X-Own {}", own(&away)));
    // All of that took a connection to each.
    assert_eq!((site.connections(), other.connections(), client.idle()), (1, 1, 2));
    let failure = ask("/a", &client).unwrap_err();
    assert_eq!(failure.find::<ClientProblem>(), Some(&ClientProblem::TooManyRedirects(10)));
    let failure = ask("/secure", &client).unwrap_err();
    let phase = failure.check::<ClientError>().unwrap().phase();
    assert!(matches!(phase, ClientPhase::Connect | ClientPhase::Response), "{failure}");
}

#[test]
fn what_comes_byte_by_byte_for_ever_has_an_end() {
    // A byte every ten seconds: no silence is long enough, but all of it has a limit.
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
    struct Drip;
    impl Protocol for Drip {
        fn data_received(
            &mut self,
            event_loop: &EventLoop,
            transport: &Transport,
            _: &[u8],
        ) -> Result<(), Failure> {
            transport.write(b"HTTP/1.1 200 OK\r\n\r\n")?;
            drip(event_loop, transport);
            Ok(())
        }
        fn connection_lost(&mut self, _: &EventLoop, _: Failure) {}
    }
    fn drip(event_loop: &EventLoop, transport: &Transport) {
        let transport = transport.clone();
        event_loop.call_later(Duration::from_secs(10), move |event_loop| {
            if transport.write(b"x").is_ok() {
                drip(event_loop, &transport);
            }
        });
    }
    let port = event_loop.listen_tcp("127.0.0.1:0", |_, _| Some(Drip)).unwrap();
    let test =
        Test { url: format!("http://{}/", port.address()), event_loop, clock, seen: Rc::default(), _port: port };
    let failure = test.whole(ClientRequest::get(&test.url)).unwrap_err();
    check(&failure, &Method::Get, &test.url, ClientPhase::Body, "longer than 300s", "a drip");
    assert_eq!(test.clock.now(), Duration::from_secs(300));
}
