//! Connections that are kept: the next request goes over one that is known to be in order, and over no other.
#![cfg(feature = "http-client")]

#[path = "support/client.rs"]
mod client;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ropewalk::http::{Client, ClientError, ClientPhase, ClientProblem, ClientRequest, Method};
use ropewalk::{Deferred, EventLoop, Failure, Port, Protocol, TestClock, Transport};

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npoem";

/// What the server says to the n-th request, and whether it closes then.
type Script = Rc<dyn Fn(usize) -> (String, bool)>;

#[derive(Clone, Default)]
struct Log {
    /// Which connection, and the first line.
    requests: Rc<RefCell<Vec<(usize, String)>>>,
    made: Rc<Cell<usize>>,
    open: Rc<RefCell<Vec<Transport>>>,
}

struct Served {
    script: Script,
    log: Log,
    number: usize,
    asked: String,
}

impl Protocol for Served {
    fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.log.open.borrow_mut().push(transport.clone());
        Ok(())
    }

    fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        self.asked.push_str(&String::from_utf8_lossy(data));
        if self.asked.ends_with("\r\n\r\n") {
            let line = self.asked.lines().next().unwrap_or_default().to_owned();
            self.asked.clear();
            let n = self.log.requests.borrow().len();
            self.log.requests.borrow_mut().push((self.number, line));
            let (answer, closes) = (self.script)(n);
            transport.write(answer.as_bytes())?;
            if closes {
                transport.lose_connection();
            }
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &EventLoop, _: Failure) {
        self.log.open.borrow_mut().retain(|transport| !transport.is_disconnected());
    }
}

struct Test {
    event_loop: EventLoop,
    log: Log,
    url: String,
    clock: TestClock,
    _port: Port,
}

impl Test {
    fn new(script: impl Fn(usize) -> (String, bool) + 'static) -> Test {
        let clock = TestClock::new();
        let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
        let (log, script) = (Log::default(), Rc::new(script) as Script);
        let own = log.clone();
        let port = event_loop
            .listen_tcp("127.0.0.1:0", move |_, _| {
                let number = own.made.replace(own.made.get() + 1);
                Some(Served { script: script.clone(), log: own.clone(), number, asked: String::new() })
            })
            .unwrap();
        let url = format!("http://{}/", port.address());
        Test { event_loop, log, url, clock, _port: port }
    }

    /// Which says the same to everybody.
    fn fine() -> Test {
        Test::new(|_| (FINE.to_owned(), false))
    }

    fn get(&self, client: &Client) -> Deferred<Vec<u8>> {
        client.get(&self.event_loop, &self.url).add_callback(|response| response.bytes(1000))
    }

    fn run<T: 'static>(&self, d: Deferred<T>) -> Result<T, Failure> {
        client::outcome(&self.event_loop, d)
    }

    #[track_caller]
    fn turn_until(&self, so: impl Fn() -> bool) {
        client::turn_until(&self.event_loop, so);
    }

    fn connections(&self) -> Vec<usize> {
        self.log.requests.borrow().iter().map(|(number, _)| *number).collect()
    }
}

#[test]
fn one_request_after_the_other_takes_one_connection() {
    let (test, client) = (Test::fine(), Client::new());
    for _ in 0..3 {
        assert_eq!(test.run(test.get(&client)).unwrap(), b"poem");
    }
    assert_eq!(test.connections(), [0, 0, 0]);
    assert_eq!(client.idle(), 1);
    // Without a client, and with another one, it is another connection.
    test.run(ClientRequest::get(&test.url).send(&test.event_loop)).unwrap();
    test.run(test.get(&Client::new())).unwrap();
    assert_eq!(test.connections(), [0, 0, 0, 1, 2]);
    // The last clone closes what is kept.
    drop(client.clone());
    assert_eq!(client.idle(), 1);
    drop(client);
    test.turn_until(|| test.log.open.borrow().is_empty());
}

#[test]
fn the_next_request_may_be_sent_by_the_callback_of_the_last() {
    let (test, client) = (Test::fine(), Client::new());
    let (own, handle, url) = (client.clone(), test.event_loop.handle(), test.url.clone());
    let twice = test.get(&client).add_callback(move |_| {
        handle.with_deferred(move |event_loop| own.get(event_loop, url)).add_callback(|response| response.bytes(10))
    });
    assert_eq!(test.run(twice).unwrap(), b"poem");
    assert_eq!(test.connections(), [0, 0]);
}

#[test]
fn as_many_are_kept_as_may_be_and_for_as_long() {
    for (client, kept) in [
        (Client::new(), 3),
        (Client::new().max_idle_per_origin(2), 2),
        (Client::new().max_idle(1), 1),
        (Client::new().max_idle_per_origin(0), 0),
    ] {
        let test = Test::fine();
        let three = [test.get(&client), test.get(&client), test.get(&client)];
        for one in three {
            test.run(one).unwrap();
        }
        assert_eq!((test.log.made.get(), client.idle()), (3, kept));
        test.turn_until(|| test.log.open.borrow().len() == kept);
        test.clock.advance(Duration::from_millis(14_999)).unwrap();
        assert_eq!(client.idle(), kept);
        test.clock.advance(Duration::from_millis(1)).unwrap();
        assert_eq!(client.idle(), 0);
        test.turn_until(|| test.log.open.borrow().is_empty());
    }
    let (test, client) = (Test::fine(), Client::new().idle_timeout(Duration::from_secs(3)));
    test.run(test.get(&client)).unwrap();
    test.clock.advance(Duration::from_secs(2)).unwrap();
    test.run(test.get(&client)).unwrap();
    test.clock.advance(Duration::from_secs(2)).unwrap();
    assert_eq!((test.connections(), client.idle()), (vec![0, 0], 1));
    client.close_idle();
    assert_eq!(client.idle(), 0);
    test.turn_until(|| test.log.open.borrow().is_empty());
}

#[test]
fn a_connection_is_kept_only_if_all_is_in_order() {
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{}", "x".repeat(4000));
    // The answer, whether the server closes, and whether the next request goes over the same connection.
    let cases: &[(&str, &str, bool)] = &[
        ("a length", FINE, true),
        ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npoem\r\n0\r\n\r\n", true),
        ("trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npoem\r\n0\r\nA: b\r\n\r\n", true),
        ("no body", "HTTP/1.1 204 No Content\r\n\r\n", true),
        ("an empty body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        (
            "informational ones before",
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            true,
        ),
        ("an error", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", true),
        ("1.0, kept", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nno", true),
        ("1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nno", false),
        ("it says close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno", false),
        (
            "both lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            false,
        ),
        ("bytes behind it", &format!("{FINE}HTTP"), false),
        ("another answer behind it", &format!("{FINE}{FINE}"), false),
        ("too large", &long, false),
        ("no chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz", false),
    ];
    for (what, answer, kept) in cases {
        let own = (*answer).to_owned();
        let test = Test::new(move |n| (if n == 0 { own.clone() } else { FINE.to_owned() }, false));
        let client = Client::new();
        drop(test.run(test.get(&client)));
        assert_eq!(client.idle(), usize::from(*kept), "{what}");
        assert_eq!(test.run(test.get(&client)).unwrap(), b"poem", "{what}");
        assert_eq!(test.connections(), [0, usize::from(!kept)], "{what}");
    }
}

#[test]
fn what_nobody_reads_is_left_out_if_it_is_there_and_ends_the_connection_if_not() {
    for (more, kept) in [("", true), ("x", false)] {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\npoem", 4 + more.len());
        let test = Test::new(move |_| (answer.clone(), false));
        let client = Client::new();
        drop(test.run(client.get(&test.event_loop, &test.url)).unwrap());
        test.turn_until(|| client.idle() == usize::from(kept) && test.log.open.borrow().len() == usize::from(kept));
    }
    // A redirection's own page is left out like this.
    let test = Test::new(|n| match n {
        0 => ("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 4\r\n\r\nthen".to_owned(), false),
        _ => (FINE.to_owned(), false),
    });
    assert_eq!(test.run(test.get(&Client::new())).unwrap(), b"poem");
    assert_eq!(test.connections(), [0, 0]);
    // What was read late holds nobody back.
    let large = format!("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n{}", "x".repeat(300_000));
    let test = Test::new(move |n| (if n == 0 { large.clone() } else { FINE.to_owned() }, false));
    let client = Client::new();
    let mut first = test.run(client.get(&test.event_loop, &test.url)).unwrap().take_body();
    let mut got = 0;
    while let Some(piece) = test.run(first.read()).unwrap() {
        got += piece.len();
        if got > 200_000 && client.idle() == 1 {
            assert_eq!(test.run(test.get(&client)).unwrap(), b"poem");
        }
    }
    assert_eq!((got, test.log.made.get()), (300_000, 1));
}

#[test]
fn a_connection_that_the_server_closes_meanwhile_is_no_matter() {
    // It is seen while nobody asks.
    let (test, client) = (Test::fine(), Client::new());
    test.run(test.get(&client)).unwrap();
    test.log.open.borrow()[0].lose_connection();
    test.turn_until(|| client.idle() == 0);
    assert_eq!(test.run(test.get(&client)).unwrap(), b"poem");
    // Something that nobody asked for ends it as well.
    test.log.open.borrow()[0].write(b"HTTP/1.1 408 Request Timeout\r\n\r\n").unwrap();
    test.turn_until(|| client.idle() == 0);
    assert_eq!(test.run(test.get(&client)).unwrap(), b"poem");
    assert_eq!(test.connections(), [0, 1, 2]);
}

#[test]
fn a_request_that_meets_the_end_of_a_connection_is_sent_again_once_if_that_is_harmless() {
    let closes_second = |n: usize| if n == 1 { (String::new(), true) } else { (FINE.to_owned(), false) };
    for (method, again) in [
        (Method::Get, true),
        (Method::Put, true),
        (Method::Delete, true),
        (Method::Post, false),
        (Method::Patch, false),
    ] {
        let (test, client) = (Test::new(closes_second), Client::new());
        test.run(test.get(&client)).unwrap();
        let request = ClientRequest::new(method.clone(), &test.url).client(&client).send(&test.event_loop);
        let result = test.run(request);
        assert_eq!(test.log.requests.borrow().len(), if again { 3 } else { 2 }, "{method}");
        match again {
            true => drop(result.unwrap_or_else(|failure| panic!("{method}: {failure}"))),
            false => {
                let failure = result.unwrap_err();
                let error = failure.check::<ClientError>().unwrap();
                assert_eq!(error.phase(), ClientPhase::Response, "{method}");
                assert_eq!(failure.find::<ClientProblem>(), Some(&ClientProblem::NoAnswer), "{method}");
            }
        }
    }
    // A first byte of an answer is an answer; and nothing is tried for ever.
    for (first, requests) in [("HTTP/1.1", 2), ("", 3)] {
        let test = Test::new(move |n| if n == 0 { (FINE.to_owned(), false) } else { (first.to_owned(), true) });
        let client = Client::new();
        test.run(test.get(&client)).unwrap();
        assert!(test.run(test.get(&client)).is_err());
        assert_eq!(test.log.requests.borrow().len(), requests);
    }
    // Nor over each that is kept.
    let (test, client) = (Test::new(|n| (if n < 3 { FINE } else { "" }.to_owned(), n >= 3)), Client::new());
    for one in [test.get(&client), test.get(&client), test.get(&client)] {
        test.run(one).unwrap();
    }
    assert_eq!(client.idle(), 3);
    assert!(test.run(test.get(&client)).is_err());
    assert_eq!((test.connections()[3..].len(), test.log.made.get()), (2, 4));
    // On a connection of its own it is an error at once.
    let (test, client) = (Test::new(|_| (String::new(), true)), Client::new());
    assert!(test.run(test.get(&client)).is_err());
    assert_eq!(test.log.requests.borrow().len(), 1);
}

#[test]
fn requests_wait_in_their_order_where_they_are_bounded() {
    let test = Test::new(|n| (FINE.to_owned(), n == 1));
    let client = Client::new().max_connections_per_origin(1).max_waiting(3);
    let order = Rc::new(RefCell::new(Vec::new()));
    let ask = |n: i32, client: &Client| {
        let own = order.clone();
        let request = client.get(&test.event_loop, format!("{}{n}", test.url));
        request.add_callback(|response| response.bytes(10)).map(move |_| own.borrow_mut().push(n))
    };
    let (first, second, third, fourth) = (ask(0, &client), ask(1, &client), ask(2, &client), ask(3, &client));
    assert_eq!(client.waiting(), 3);
    let failure = test.run(ask(4, &client)).unwrap_err();
    assert_eq!(failure.find::<ClientProblem>(), Some(&ClientProblem::TooManyWaiting(3)));
    // One that does not wait any more is no matter.
    third.cancel();
    drop(test.run(third));
    let fifth = ask(5, &client);
    for one in [first, second, fourth, fifth] {
        test.run(one).unwrap();
    }
    assert_eq!(*order.borrow(), [0, 1, 3, 5]);
    assert_eq!(test.connections(), [0, 0, 1, 1]);
    assert_eq!(client.waiting(), 0);
    // Errors let the next one on too: nobody listens at port 1.
    let client = Client::new().max_connections_per_origin(1);
    let both =
        [client.get(&test.event_loop, "http://127.0.0.1:1/"), client.get(&test.event_loop, "http://127.0.0.1:1/")];
    for one in both {
        assert!(test.run(one).is_err());
    }
}

#[test]
fn a_loop_that_ends_leaves_nobody_waiting() {
    let (test, client) = (Test::new(|_| (String::new(), false)), Client::new().max_connections_per_origin(1));
    let all: Vec<_> = (0..500).map(|_| client.get(&test.event_loop, &test.url)).collect();
    let lost = Rc::new(Cell::new(0));
    for one in all {
        let lost = lost.clone();
        let seen = one.add_errback(move |_| {
            lost.set(lost.get() + 1);
            Err(Failure::msg("as it should"))
        });
        seen.log_errors("it is told");
    }
    test.event_loop.turn(Some(Duration::ZERO)).unwrap();
    drop(test);
    assert_eq!((lost.get(), client.waiting()), (500, 0));
}

#[test]
fn a_client_serves_one_loop() {
    let (test, client) = (Test::fine(), Client::new());
    test.run(test.get(&client)).unwrap();
    let other = Test::fine();
    let failure = other.run(other.get(&client)).unwrap_err();
    assert_eq!(failure.find::<ClientProblem>(), Some(&ClientProblem::OtherLoop));
    // Its loop is gone: it serves another one.
    drop(test);
    other.run(other.get(&client)).unwrap();
    assert_eq!(client.idle(), 1);
}

#[cfg(feature = "tls")]
#[test]
fn a_connection_over_tls_is_for_those_who_trust_the_same() {
    use ropewalk::http::Server;
    use ropewalk::tls::{TlsClient, TlsServer};
    let test = Test::fine();
    let file = |name: &str| std::fs::read(format!("{}/tests/data/tls/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let tls = TlsServer::from_pem(&file("localhost.pem"), &file("localhost.key")).unwrap();
    let site = Server::new().get("/", |_, _| "poem").start(&test.event_loop).unwrap();
    let port = site.listen_tls(&test.event_loop, ropewalk::ListenTcp::new("127.0.0.1:0"), &tls).unwrap();
    let url = format!("https://localhost:{}/", port.address().port());
    let (one, other) = (
        TlsClient::with_roots_pem(&file("root.pem")).unwrap(),
        TlsClient::with_roots_pem(&file("root.pem")).unwrap(),
    );
    let client = Client::new();
    for (trust, connections) in [(&one, 1), (&one, 1), (&other, 2), (&one.clone(), 2)] {
        let request = ClientRequest::get(&url).tls(trust).client(&client).send(&test.event_loop);
        let body = test.run(request.add_callback(|response| response.bytes(10))).unwrap();
        assert_eq!((body, site.connections()), (b"poem".to_vec(), connections));
    }
}
