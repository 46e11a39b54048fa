//! The server, over memory: what handlers may answer, in which order it goes out, what is refused, and when.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ropewalk::http::{BodyTooLarge, Request, Response, Server, Site, Status, StatusError};
use ropewalk::testing::{MemoryLoop, StringTransport};
use ropewalk::{Address, CancelledError, Deferred, EventLoop, Failure, Protocol, Resolver, Transport};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

struct Bench {
    site: Site,
    test: MemoryLoop,
}

impl Bench {
    fn new(server: Server) -> Bench {
        let test = MemoryLoop::new().unwrap();
        Bench { site: server.start(&test).unwrap(), test }
    }

    fn connect(&self) -> StringTransport {
        self.test.connected(self.site.protocol(&Address::Memory))
    }

    /// A good request, on a connection of its own.
    #[track_caller]
    fn still_serves(&self) {
        let peer = self.connect();
        peer.send("GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert!(peer.text().ends_with("\r\n\r\nfine"), "{}", peer.text());
        assert!(peer.is_disconnected());
    }

    /// The end of a test: every connection is gone, and so is everything else.
    #[track_caller]
    fn end(self, peers: impl IntoIterator<Item = StringTransport>) {
        peers.into_iter().for_each(|peer| peer.reset());
        assert_eq!(self.site.connections(), 0);
        self.test.assert_clean();
    }
}

fn ok() -> Server {
    Server::new().get("/ok", |_, _| "fine")
}

/// The bodies of responses that say their length, one after the other.
fn bodies(text: &str) -> Vec<String> {
    let (mut rest, mut all) = (text, Vec::new());
    while let Some((head, after)) = rest.split_once("\r\n\r\n") {
        let length =
            head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).map_or(0, |n| n.parse().unwrap());
        all.push(format!("{} {}", head.split(' ').nth(1).unwrap(), &after[..length]));
        rest = &after[length..];
    }
    assert_eq!(rest, "");
    all
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Keeps the Resolver of each response that it is asked for.
fn later(server: Server) -> (Server, Rc<RefCell<Vec<Resolver<Response>>>>) {
    let asked = Rc::<RefCell<Vec<_>>>::default();
    let own = asked.clone();
    let server = server.get("/later", move |_, _| {
        let (resolver, response) = Deferred::new();
        own.borrow_mut().push(resolver);
        response
    });
    (server, asked)
}

#[test]
fn a_handler_may_answer_now_later_or_from_a_task() {
    let bench = Bench::new(
        ok().get("/text", |_, request| Response::text(format!("{:?}", request.query())))
            .get("/result", |_, request| Ok(Response::text(request.host().unwrap_or("").to_owned())))
            .get("/later", |event_loop, _| event_loop.defer_later(seconds(1), |_| Ok(Response::text("later"))))
            .post("/task", |event_loop, mut request| {
                event_loop.spawn(async move {
                    let body = request.take_body().collect(100).await?;
                    Ok(Response::text(format!("{} bytes", body.len())))
                })
            })
            .get("/status", |_, _| Status::GONE)
            .get("/poems/{id}/{*rest}", |_, request| {
                format!("{:?} {:?} {:?}", request.param("id"), request.param("rest"), request.param("x"))
            }),
    );
    let peer = bench.connect();
    peer.send(get("/ok") + &get("/text?a=b") + &get("/result") + &get("/later"));
    assert_eq!(bodies(&peer.text()), ["200 fine", r#"200 Some("a=b")"#, "200 a"]);
    peer.clear();
    bench.test.advance(seconds(1));
    peer.send(post("/task", "hello") + &get("/status") + &get("/poems/a%2Fb/c/../d"));
    let expected = ["200 later", "200 5 bytes", "410 410 Gone\n", r#"200 Some("a/b") Some("c/../d") None"#];
    assert_eq!(bodies(&peer.text()), expected);
    bench.end([peer]);
}

#[test]
fn pipelined_requests_are_answered_in_their_order_whatever_takes_long() {
    let (server, asked) = later(ok());
    let bench = Bench::new(server);
    let peer = bench.connect();
    peer.send(get("/later") + &get("/ok") + &get("/later") + &get("/ok"));
    assert_eq!((asked.borrow().len(), peer.text()), (1, String::new()));
    asked.borrow_mut().remove(0).succeed(Response::text("first"));
    assert_eq!(bodies(&peer.text()), ["200 first", "200 fine"]);
    asked.borrow_mut().remove(0).succeed(Response::text("third"));
    assert_eq!(bodies(&peer.text()), ["200 first", "200 fine", "200 third", "200 fine"]);
    bench.end([peer]);
}

#[test]
fn what_a_client_sends_ahead_is_bounded() {
    let (server, asked) = later(ok());
    let bench = Bench::new(server);
    let peer = bench.connect();
    peer.send(get("/later"));
    for _ in 0..5 {
        peer.send(get("/ok").repeat(1000));
    }
    assert!(peer.transport().is_paused(), "the client has to wait");
    asked.borrow_mut().remove(0).succeed(Response::text("first"));
    assert_eq!(bodies(&peer.text()).len(), 5_001);
    bench.end([peer]);
}

#[test]
fn a_client_that_reads_no_answers_is_asked_to_wait() {
    let served = Rc::new(Cell::new(0));
    let count = served.clone();
    let bench = Bench::new(ok().get("/big", move |_, _| {
        count.set(count.get() + 1);
        Response::text("x".repeat(100_000))
    }));
    let peer = bench.connect();
    peer.set_room(Some(1000));
    peer.send(get("/big").repeat(100));
    assert!(served.get() <= 3, "{} answers wait for a client that takes none", served.get());
    assert!(peer.transport().buffered() < 400_000);
    peer.set_room(None);
    assert_eq!(bodies(&peer.text()).len(), 100);
    bench.end([peer]);
}

#[test]
fn heads_ask_the_handlers_of_get_and_get_no_body() {
    let bench = Bench::new(
        ok().get("/pieces", |_, _| {
            let mut left = 3;
            Response::pieces(Some(3), move |_| {
                left -= 1;
                Deferred::succeed((left >= 0).then(|| b"x".to_vec()))
            })
        })
        .get("/stream", |_, _| Response::streaming().1),
    );
    let peer = bench.connect();
    for path in ["/ok", "/pieces", "/stream"] {
        peer.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    let text = peer.text();
    assert!(text.contains("Content-Length: 4\r\n") && text.contains("Content-Length: 3\r\n"), "{text}");
    assert!(text.ends_with("Transfer-Encoding: chunked\r\n\r\n"), "{text}");
    peer.send(get("/pieces"));
    assert!(peer.text().ends_with("\r\n\r\nxxx"), "the connection is still good");
    bench.end([peer]);
}

#[test]
fn an_old_client_gets_its_answer_by_the_rules_of_http_1_0() {
    let bench = Bench::new(ok().get("/stream", |_, _| {
        let (writer, response) = Response::streaming();
        writer.write("to the end").unwrap();
        writer.finish();
        response
    }));
    let peer = bench.connect();
    peer.send("GET /ok HTTP/1.0\r\n\r\n");
    assert!(peer.text().contains("\r\nConnection: close\r\n") && peer.is_disconnected());
    let peer = bench.connect();
    peer.send("GET /ok HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    assert!(peer.text().contains("\r\nConnection: keep-alive\r\n") && !peer.is_disconnected());
    peer.clear();
    peer.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let text = peer.text();
    assert!(
        text.contains("Connection: close\r\n") && !text.contains("chunked") && text.ends_with("\r\n\r\nto the end")
    );
    assert!(peer.is_disconnected());
    bench.end([]);
}

#[test]
fn a_handler_that_fails_or_panics_is_told_as_500_and_hurts_nobody() {
    let bench = Bench::new(
        ok().get("/fails", |_, _| Err::<Response, _>(Failure::msg("secret")))
            .get("/later", |_, _| Deferred::<Response>::fail(Failure::msg("secret")))
            .get("/panics", |_, _| -> Response { panic!("secret") })
            .get("/abandons", |_, _| Deferred::<Response>::new().1)
            .get("/splits", |_, request| {
                let name = request.query().unwrap_or("").replace("%0d%0a", "\r\n");
                Response::text("x").header("X-Name", name)
            })
            .get("/teapot", |_, _| Err::<Response, _>(StatusError::new(Status::CONFLICT, "not now").into()))
            .get("/continue", |_, _| Response::new(Status::CONTINUE)),
    );
    let peer = bench.connect();
    for path in ["/fails", "/later", "/panics", "/abandons", "/splits?a%0d%0aX-B: c", "/continue"] {
        peer.clear();
        peer.send(get(&path.replace(' ', "")));
        assert_eq!(bodies(&peer.text()), ["500 500 Internal Server Error\n"], "{path}");
    }
    peer.clear();
    peer.send(get("/teapot"));
    assert_eq!(bodies(&peer.text()), ["409 409 Conflict: not now\n"]);
    bench.still_serves();
    bench.end([peer]);
}

#[test]
fn methods_and_paths_that_are_not_there_are_told_apart() {
    let bench = Bench::new(ok().post("/ok", |_, _| "posted").any("/any", |_, request| request.method.to_string()));
    let peer = bench.connect();
    let answer = |line: &str| {
        peer.clear();
        peer.send(format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n"));
        peer.text()
    };
    assert!(answer("PUT /ok").starts_with("HTTP/1.1 405 "));
    assert!(answer("PUT /ok").contains("\r\nAllow: GET, HEAD, POST, OPTIONS\r\n"));
    assert!(answer("OPTIONS /ok").starts_with("HTTP/1.1 204 "));
    assert!(answer("OPTIONS *").starts_with("HTTP/1.1 204 "));
    assert!(answer("BREW /ok").starts_with("HTTP/1.1 501 "));
    assert!(answer("BREW /none").starts_with("HTTP/1.1 501 "));
    assert!(answer("GET /none").starts_with("HTTP/1.1 404 "));
    assert!(answer("GET /OK").starts_with("HTTP/1.1 404 "));
    assert!(answer("BREW /any").ends_with("\r\n\r\nBREW"));
    assert!(answer("GET http://a/ok?x").ends_with("\r\n\r\nfine"));
    bench.end([peer]);
    let wrong = |server: Server| server.start(&EventLoop::new().unwrap()).unwrap_err().to_string();
    assert!(wrong(Server::new().get("ok", |_, _| "")).contains("does not begin with a slash"));
    assert!(wrong(Server::new().get("/{a", |_, _| "")).contains("makes no sense"));
    assert!(wrong(ok().get("/ok", |_, _| "")).contains("has a handler for GET already"));
}

#[test]
fn a_body_is_handed_over_however_it_comes() {
    let bench = Bench::new(ok().post("/sum", |_, mut request| {
        let sum = Rc::new(Cell::new(0));
        let own = sum.clone();
        request
            .take_body()
            .for_each(move |data| {
                own.set(own.get() + data.len());
                Ok(())
            })
            .map(move |()| Response::text(format!("{}", sum.get())))
    }));
    let chunked = "POST /sum HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x\r\n world\r\n0\r\nA: b\r\n\r\n";
    let all = post("/sum", "hello") + chunked + &post("/sum", "") + &get("/ok");
    let whole = bench.connect();
    whole.send(&all);
    let bytewise = bench.connect();
    all.bytes().for_each(|byte| bytewise.send([byte]));
    for peer in [&whole, &bytewise] {
        assert_eq!(bodies(&peer.text()), ["200 5", "200 11", "200 0", "200 fine"]);
    }
    bench.end([whole, bytewise]);
}

#[test]
fn a_handler_that_does_not_read_holds_its_client_back() {
    let held = Rc::<RefCell<Option<Request>>>::default();
    let keep = held.clone();
    let bench = Bench::new(ok().max_body(10 << 20).post("/hold", move |_, request| {
        keep.replace(Some(request));
        "you may send it all the same"
    }));
    let peer = bench.connect();
    peer.send("POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    // Its response is there, and its body is still wanted.
    (0..10).for_each(|_| peer.send([b'x'; 100_000]));
    assert!(peer.transport().is_paused());
    let mut body = held.take().unwrap().take_body();
    let mut read = 0;
    while read < 1_000_000 {
        let piece = bench.test.run_until(body.read()).unwrap().expect("there is more");
        read += piece.len();
    }
    assert_eq!(read, 1_000_000);
    assert!(bench.test.run_until(body.read()).unwrap().is_none());
    bench.end([peer]);
}

#[test]
fn a_body_that_is_too_large_is_refused_and_the_client_sees_the_answer() {
    let bench = Bench::new(
        ok().max_body(1000)
            .post("/all", |_, mut request| {
                request.take_body().collect(1 << 20).map(|body| Response::text(format!("{}", body.len())))
            })
            .post("/little", |_, mut request| {
                request
                    .take_body()
                    .collect(10)
                    .add_errback(|failure| {
                        assert!(failure.check::<BodyTooLarge>().is_some());
                        Err(failure)
                    })
                    .map(|body| Response::text(format!("{}", body.len())))
            }),
    );
    // The length says it: nobody is asked, and the rest is short enough to be thrown away.
    let peer = bench.connect();
    peer.send(post("/all", &"x".repeat(1001)) + &post("/all", &"x".repeat(1000)));
    assert_eq!(bodies(&peer.text())[1], "200 1000");
    assert!(peer.text().starts_with("HTTP/1.1 413 "));
    // A long rest is not read.
    let long = bench.connect();
    long.send(format!("POST /all HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n{}", "x".repeat(70_000)));
    assert!(long.text().starts_with("HTTP/1.1 413 ") && long.text().contains("Connection: close\r\n"));
    assert!(long.sees_end() && !long.is_disconnected() && !long.sees_reset(), "it lingers");
    long.send_end();
    assert!(long.is_disconnected());
    // Chunks do not say it.
    let chunked = bench.connect();
    chunked.send("POST /all HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    (0..200).for_each(|_| chunked.send("a\r\n0123456789\r\n"));
    assert!(chunked.text().starts_with("HTTP/1.1 413 "), "{}", chunked.text());
    assert!(chunked.sees_end());
    let little = bench.connect();
    little.send(post("/little", "0123456789") + &post("/little", "0123456789a") + &get("/ok"));
    assert_eq!(bodies(&little.text())[0], "200 10");
    assert!(bodies(&little.text())[1].starts_with("413 "));
    bench.still_serves();
    bench.end([peer, chunked, little]);
}

#[test]
fn a_client_that_waits_for_100_continue_is_told_when_the_body_is_wanted() {
    let bench = Bench::new(
        ok().post("/read", |_, mut request| {
            request.take_body().collect(100).map(|body| Response::text(format!("{} bytes", body.len())))
        })
        .post("/echo", |_, mut request| {
            let length = request.body_length().exact();
            let mut body = request.take_body();
            Response::pieces(length, move |_| body.read())
        })
        .post("/refuse", |_, _| Status::FORBIDDEN),
    );
    let head = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    };
    let peer = bench.connect();
    peer.send(head("/read"));
    assert_eq!(peer.text(), "HTTP/1.1 100 Continue\r\n\r\n");
    peer.clear();
    peer.send("hello");
    assert_eq!(bodies(&peer.text()), ["200 5 bytes"]);
    peer.clear();
    // Sent without waiting.
    peer.send(head("/read") + "hello");
    assert!(peer.text().ends_with("\r\n\r\n5 bytes"));
    peer.clear();
    // The answer begins before the body is there, and so before it is read.
    peer.send(head("/echo"));
    assert!(peer.text().starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{}", peer.text());
    peer.send("hello");
    assert!(peer.text().ends_with("\r\n\r\nhello"));
    peer.clear();
    peer.send(head("/refuse"));
    let text = peer.text();
    assert!(text.starts_with("HTTP/1.1 403 ") && text.contains("Connection: close\r\n"), "{text}");
    assert!(peer.sees_end());
    let odd = bench.connect();
    odd.send("GET /ok HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\n\r\n");
    assert!(odd.text().starts_with("HTTP/1.1 417 "));
    bench.end([peer, odd]);
}

#[test]
fn a_body_that_breaks_the_rules_fails_its_reader_and_closes() {
    let bench = Bench::new(ok().post("/all", |_, mut request| {
        request.take_body().collect(100).map(|body| Response::text(format!("{}", body.len())))
    }));
    let peer = bench.connect();
    peer.send("POST /all HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n");
    assert!(
        peer.text().starts_with("HTTP/1.1 400 ") && peer.text().contains("the size of a chunk"),
        "{}",
        peer.text()
    );
    assert!(peer.sees_end());
    let short = bench.connect();
    short.send("POST /all HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    short.send_end();
    assert!(short.text().starts_with("HTTP/1.1 400 ") && short.is_disconnected(), "{}", short.text());
    let gone = bench.connect();
    gone.send("POST /all HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    gone.reset();
    bench.still_serves();
    bench.end([peer]);
}

#[test]
fn a_client_that_has_closed_its_half_still_gets_every_answer() {
    let (server, asked) = later(ok());
    let bench = Bench::new(server);
    let peer = bench.connect();
    peer.send(get("/later") + &get("/ok"));
    peer.send_end();
    assert!(!peer.is_disconnected());
    asked.borrow_mut().remove(0).succeed(Response::text("first"));
    assert_eq!(bodies(&peer.text()), ["200 first", "200 fine"]);
    assert!(peer.is_disconnected());
    let half = bench.connect();
    half.send("GET /ok HT");
    half.send_end();
    assert!(half.text().starts_with("HTTP/1.1 400 ") && half.is_disconnected());
    let silent = bench.connect();
    silent.send_end();
    assert!(silent.is_disconnected() && silent.text().is_empty());
    bench.end([]);
}

#[test]
fn a_lost_client_cancels_what_its_handler_waits_for() {
    let cancelled = Rc::new(Cell::new(0));
    let (held, count) = (Rc::<RefCell<Vec<Resolver<Response>>>>::default(), cancelled.clone());
    let bench = Bench::new(ok().get("/wait", move |_, _| {
        let (resolver, response) = Deferred::new();
        held.borrow_mut().push(resolver);
        let count = count.clone();
        response.add_errback(move |failure: Failure| {
            count.set(count.get() + i32::from(failure.check::<CancelledError>().is_some()));
            Err(failure)
        })
    }));
    let peer = bench.connect();
    peer.send(get("/wait"));
    peer.reset();
    assert_eq!(cancelled.get(), 1);
    bench.end([]);
}

#[test]
fn bodies_go_out_in_chunks_as_they_are_written_and_no_faster_than_they_are_read() {
    let writer = Rc::new(RefCell::new(None));
    let keep = writer.clone();
    let bench = Bench::new(ok().get("/stream", move |_, _| {
        let (writer, response) = Response::streaming();
        keep.replace(Some(writer));
        response
    }));
    let peer = bench.connect();
    peer.send(get("/stream") + &get("/ok"));
    assert!(peer.text().ends_with("Transfer-Encoding: chunked\r\n\r\n"));
    peer.clear();
    let writer = writer.take().unwrap();
    writer.write("If I ").unwrap();
    writer.write("were").unwrap();
    assert_eq!(peer.text(), "9\r\nIf I were\r\n");
    peer.clear();
    peer.set_room(Some(10));
    writer.write(vec![b'#'; 100_000]).unwrap();
    bench.test.settle();
    writer.write(vec![b'#'; 100_000]).unwrap();
    let ready = writer.ready();
    bench.test.settle();
    assert!(!ready.has_result(), "nobody has read anything");
    peer.set_room(None);
    assert!(ready.has_result());
    writer.finish();
    let text = peer.text();
    assert!(text.contains("\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"), "the next answer follows");
    assert_eq!(text.bytes().filter(|byte| *byte == b'#').count(), 200_000);
    ready.detach();
    bench.end([peer]);
}

#[test]
fn a_body_that_fails_on_its_way_breaks_the_connection_off() {
    let bench = Bench::new(
        ok().get("/dropped", |_, _| {
            let (writer, response) = Response::streaming();
            writer.write("half").unwrap();
            drop(writer);
            response
        })
        .get("/short", |_, _| {
            let (writer, response) = Response::streaming_exact(10);
            writer.write("half").unwrap();
            writer.finish();
            response
        })
        .get("/long", |_, _| {
            let (writer, response) = Response::streaming_exact(2);
            writer.write("half").unwrap();
            writer.finish();
            response
        })
        .get("/panics", |_, _| Response::pieces(None, |_| panic!("no piece")))
        .get("/fails", |_, _| Response::pieces(None, |_| Deferred::fail(Failure::msg("no piece")))),
    );
    for path in ["/dropped", "/short", "/long", "/panics", "/fails"] {
        let peer = bench.connect();
        peer.send(get(path) + &get("/ok"));
        assert!(peer.is_disconnected() && peer.sees_reset(), "{path}: {}", peer.text());
        assert!(!peer.text().contains("0\r\n\r\n") && !peer.text().contains("fine"), "{path}");
        bench.still_serves();
    }
    bench.end([]);
}

/// Says what it is given, louder.
struct Loud;

impl Protocol for Loud {
    fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        Ok(transport.write(b"HELLO ")?)
    }

    fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        Ok(transport.write(&data.to_ascii_uppercase())?)
    }
}

#[test]
fn a_connection_changes_over_to_another_protocol_with_what_was_sent_already() {
    let bench = Bench::new(ok().get("/loud", |_, request| match request.upgrades_to("loud") {
        true => Response::upgrade("loud", Loud).header("X-Key", "1"),
        false => Response::from(Status::UPGRADE_REQUIRED).header("Upgrade", "loud"),
    }));
    let upgrade = "GET /loud HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: Loud\r\n\r\n";
    let peer = bench.connect();
    peer.send(get("/loud"));
    assert!(peer.text().starts_with("HTTP/1.1 426 "));
    assert!(peer.text().contains("\r\nUpgrade: loud\r\n") && peer.text().contains("\r\nConnection: Upgrade\r\n"));
    peer.clear();
    let old = bench.connect();
    old.send("GET /loud HTTP/1.0\r\n\r\n");
    assert!(old.text().contains("\r\nConnection: close, Upgrade\r\n"), "{}", old.text());
    peer.send(upgrade.to_owned() + "early ");
    let text = peer.text();
    assert!(text.starts_with("HTTP/1.1 101 Switching Protocols\r\nUpgrade: loud\r\nX-Key: 1\r\n"), "{text}");
    assert!(text.contains("\r\nConnection: Upgrade\r\n\r\nHELLO EARLY "), "{text}");
    peer.send("late");
    assert!(peer.text().ends_with("HELLO EARLY LATE"));
    bench.test.advance(seconds(1000));
    assert!(!peer.is_disconnected(), "its time is its own");
    peer.send_end();
    assert!(peer.is_disconnected(), "and so is its end");
    let body = bench.connect();
    body.send(upgrade.replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\n"));
    assert!(body.text().starts_with("HTTP/1.1 400 "), "{}", body.text());
    bench.end([body]);
}

#[test]
fn silent_and_slow_clients_are_told_and_closed() {
    let bench = Bench::new(
        ok().head_timeout(seconds(10))
            .idle_timeout(seconds(20))
            .body_timeout(seconds(10))
            .write_timeout(seconds(10))
            .max_body(1 << 20)
            .handler_timeout(seconds(30))
            .post("/all", |_, mut request| request.take_body().collect(1 << 20).map(|_| Response::text("all")))
            .get("/never", |_, _| {
                let (resolver, response) = Deferred::<Response>::new();
                std::mem::forget(resolver);
                response
            })
            .get("/big", |_, _| Response::text("x".repeat(1_000_000))),
    );
    let silent = bench.connect();
    let dripping = bench.connect();
    let idle = bench.connect();
    let slow = bench.connect();
    let held = bench.connect();
    let never = bench.connect();
    idle.send(get("/ok"));
    slow.send("POST /all HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n");
    held.set_room(Some(100));
    held.send(get("/big"));
    never.send(get("/never"));
    for _ in 0..10 {
        assert!(!dripping.is_disconnecting(), "a byte a second, for ten seconds");
        dripping.send("G");
        slow.send("x");
        bench.test.advance(seconds(1));
    }
    bench.test.advance(seconds(1));
    assert!(silent.is_disconnected() && silent.text().is_empty());
    assert!(dripping.text().starts_with("HTTP/1.1 408 ") && dripping.sees_end());
    assert!(slow.text().starts_with("HTTP/1.1 408 ") && slow.text().contains("too slowly"), "{}", slow.text());
    assert!(!idle.is_disconnected() && !held.is_disconnected());
    bench.test.advance(seconds(10));
    assert!(idle.is_disconnected());
    bench.test.advance(seconds(10));
    assert!(never.text().starts_with("HTTP/1.1 503 "));
    assert!(dripping.is_disconnected(), "lingering ends too");
    bench.test.advance(seconds(20));
    assert!(held.is_disconnected(), "it took nothing");
    bench.still_serves();
    bench.end([never]);
}

#[test]
fn a_slow_client_that_takes_something_is_waited_for() {
    let bench = Bench::new(ok().write_timeout(seconds(10)).get("/big", |_, _| {
        let mut left = 20;
        Response::pieces(None, move |_| {
            left -= 1;
            Deferred::succeed((left >= 0).then(|| vec![b'x'; 50_000]))
        })
    }));
    let peer = bench.connect();
    let mut taken = 0;
    peer.set_room(Some(20_000));
    peer.send(get("/big"));
    while taken < 1_000_000 {
        taken += peer.value().iter().filter(|byte| **byte == b'x').count();
        peer.clear();
        bench.test.advance(seconds(8));
        assert!(!peer.is_disconnected(), "after {taken} bytes");
    }
    bench.end([peer]);
}

#[test]
fn shutting_down_finishes_what_runs_and_breaks_off_the_rest() {
    let (server, asked) = later(ok());
    let bench = Bench::new(server.get("/loud", |_, _| Response::upgrade("loud", Loud)));
    let idle = bench.connect();
    idle.send(get("/ok"));
    // It is not known what it does.
    let other = bench.connect();
    other.send("GET /loud HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: loud\r\n\r\n");
    let busy = bench.connect();
    busy.send(get("/later") + &get("/ok"));
    let stuck = bench.connect();
    stuck.send(get("/later"));
    let broken = bench.site.shutdown(&bench.test, seconds(5));
    bench.test.settle();
    assert!(idle.is_disconnected() && !busy.is_disconnected());
    asked.borrow_mut().remove(0).succeed(Response::text("finished"));
    assert!(busy.text().contains("Connection: close\r\n") && busy.text().ends_with("finished"));
    busy.send_end();
    assert!(busy.is_disconnected());
    let late = bench.connect();
    assert!(late.is_disconnected());
    bench.test.advance(seconds(4));
    assert!(!stuck.is_disconnected() && !other.is_disconnected());
    bench.test.advance(seconds(1));
    assert!(stuck.is_disconnected() && stuck.sees_reset());
    assert!(other.is_disconnected() && other.sees_reset());
    assert_eq!(bench.test.run_until(broken).unwrap(), 2);
    bench.end([]);
}

#[test]
fn the_log_is_told_of_every_request_in_the_common_format() {
    let lines = Rc::<RefCell<Vec<String>>>::default();
    let own = lines.clone();
    let (server, _asked) = later(ok());
    let bench = Bench::new(server.access_log(move |record| {
        let line = record.combined().to_string();
        let (before, after) = (line.find('[').unwrap(), line.find(']').unwrap());
        own.borrow_mut().push(format!("{}{}", &line[..before], &line[after + 2..]));
    }));
    let peer = bench.connect();
    peer.send(b"GET /ok HTTP/1.1\r\nHost: a\r\nUser-Agent: \"x\"\\\x80\r\n\r\n");
    peer.send(get("/none\"x"));
    peer.send("bad\r\n\r\n");
    let lost = bench.connect();
    lost.send(get("/later"));
    lost.reset();
    let expected = [
        r#"- - - "GET /ok HTTP/1.1" 200 4 "-" "\"x\"\\\u{fffd}""#,
        r#"- - - "GET /none\"x HTTP/1.1" 404 14 "-" "-""#,
        r#"- - - "-" 400 85 "-" "-""#,
        r#"- - - "GET /later HTTP/1.1" - 0 "-" "-""#,
    ];
    assert_eq!(*lines.borrow(), expected);
    bench.end([peer]);
}

#[test]
fn however_the_network_cuts_the_answers_are_the_same() {
    let server = || {
        ok().post("/echo", |_, mut request| {
            let length = request.body_length().exact();
            let body = RefCell::new(request.take_body());
            Response::pieces(length, move |_| body.borrow_mut().read())
        })
    };
    let requests = get("/ok")
        + &post("/echo", "hello")
        + "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        + &get("/none");
    for seed in 0..30 {
        let test = MemoryLoop::cutting(seed).unwrap();
        let site = server().start(&test).unwrap();
        let peer = test.connected(site.protocol(&Address::Memory));
        peer.send(&requests);
        peer.send_end();
        let text = peer.text();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("\r\n\r\nfine"), "{seed}: {text}");
        assert!(text.contains("\r\n\r\nhello") && text.contains("HTTP/1.1 404 "), "{seed}: {text}");
        assert!(peer.is_disconnected());
        test.assert_clean();
    }
}

#[test]
fn a_client_that_takes_its_last_answer_slowly_gets_all_of_it_and_one_that_takes_nothing_is_broken_off() {
    let bench = Bench::new(ok().get("/big", |_, _| Response::new(Status::OK).body(vec![b'x'; 50_000])));
    let request = "GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let slow = bench.connect();
    slow.set_room(Some(1000));
    slow.send(request);
    let mut all = Vec::new();
    while !slow.sees_end() && !slow.sees_reset() {
        bench.test.advance(seconds(2));
        all.extend(slow.value());
        // There is room again, and more comes.
        slow.clear();
    }
    all.extend(slow.value());
    let taken = all.iter().filter(|byte| **byte == b'x').count();
    assert!(taken == 50_000 && !slow.sees_reset(), "{taken}");
    let stuck = bench.connect();
    stuck.set_room(Some(1000));
    stuck.send(request);
    bench.test.advance(seconds(34));
    assert!(!stuck.sees_reset());
    bench.test.advance(seconds(30));
    assert!(stuck.sees_reset());
    bench.end([slow, stuck]);
}
