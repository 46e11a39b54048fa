//! Bodies that are sent piece by piece, and servers that are asked before.
#![cfg(feature = "http-client")]

#[path = "support/client.rs"]
mod client;

use client::{error, outcome, turn_until};

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ropewalk::http::{
    BodyWriter, Client, ClientError, ClientPhase, ClientProblem, ClientRequest, Method, Response, Server, Site,
    Status,
};
use ropewalk::{Deferred, Disconnected, EventLoop, Failure, Port, Protocol, TestClock, Transport};

fn text(event_loop: &EventLoop, request: ClientRequest) -> Result<(u16, String), Failure> {
    let answer = request.send(event_loop).add_callback(|response| {
        let status = response.status().code();
        response.text(1000).map(move |text| (status, text))
    });
    outcome(event_loop, answer)
}

/// Says how the body came, and how much of it.
fn counting(event_loop: &EventLoop) -> (Site, String) {
    let site = Server::new()
        .max_body(1 << 30)
        .any("/", |_, mut request| {
            let framing = request.headers.get("Content-Length").unwrap_or("chunked").to_owned();
            let count = Rc::new(Cell::new(0));
            let own = count.clone();
            let read = request.take_body().for_each(move |piece| {
                own.set(own.get() + piece.len());
                Ok(())
            });
            read.map(move |()| Response::text(format!("{framing} {}", count.get())))
        })
        .any("/moved", |_, _| Response::redirect(Status::TEMPORARY_REDIRECT, "/"))
        .any("/see", |_, _| Response::redirect(Status::SEE_OTHER, "/"))
        .listen(event_loop, "127.0.0.1:0")
        .unwrap();
    let url = format!("http://{}", site.address().unwrap());
    (site, url)
}

/// So many pieces of this size, which are counted.
#[allow(clippy::type_complexity)]
fn pieces(
    many: usize,
    size: usize,
) -> (Rc<Cell<usize>>, impl FnMut(&EventLoop) -> Deferred<Option<Vec<u8>>> + 'static) {
    let asked = Rc::new(Cell::new(0));
    let own = asked.clone();
    let next = move |_: &EventLoop| {
        own.set(own.get() + 1);
        Deferred::succeed((own.get() <= many).then(|| vec![b'x'; size]))
    };
    (asked, next)
}

#[test]
fn a_body_goes_in_pieces_of_a_known_length_or_in_chunks() {
    let event_loop = EventLoop::new().unwrap();
    let (_site, url) = counting(&event_loop);
    let put = || ClientRequest::new(Method::Put, &url);
    for (many, size) in [(0, 0), (1, 9), (100, 1000), (40, 100_000)] {
        let whole = many * size;
        let sent = text(&event_loop, put().pieces(Some(whole as u64), pieces(many, size).1)).unwrap();
        assert_eq!(sent.1, format!("{whole} {whole}"));
        assert_eq!(
            text(&event_loop, put().pieces(None, pieces(many, size).1)).unwrap().1,
            format!("chunked {whole}")
        );
    }
    // Later, from a timer.
    let handle = event_loop.handle();
    let mut left = 3;
    let slow = move |_: &EventLoop| {
        left -= 1;
        let piece = (left >= 0).then(|| b"poem".to_vec());
        handle.defer_later(Duration::from_millis(1), move |_| Ok(piece))
    };
    assert_eq!(text(&event_loop, put().pieces(None, slow)).unwrap().1, "chunked 12");
    // From a writer.
    let (writer, request) = put().streaming(None);
    let writing = event_loop.spawn(async move {
        for _ in 0..100 {
            writer.ready().await?;
            writer.write([b'x'; 10_000])?;
        }
        writer.finish();
        Ok(())
    });
    assert_eq!(text(&event_loop, request).unwrap().1, "chunked 1000000");
    outcome(&event_loop, writing).unwrap();
    // One after the other over one connection.
    let client = Client::new();
    for _ in 0..3 {
        assert!(text(&event_loop, put().client(&client).pieces(None, pieces(5, 5).1)).is_ok());
    }
    assert_eq!(client.idle(), 1);
}

#[test]
fn a_body_that_cannot_be_completed_is_an_error_of_the_request() {
    let event_loop = EventLoop::new().unwrap();
    let (site, url) = counting(&event_loop);
    let put = || ClientRequest::new(Method::Put, &url);
    let failing = |_: &EventLoop| Deferred::fail(Failure::msg("the poem is lost"));
    let (dropped, undone) = put().streaming(None);
    drop(dropped);
    let (failed, broken) = put().streaming(Some(4));
    failed.write("po").unwrap();
    failed.fail(Failure::msg("the poem is lost"));
    for (request, part) in [
        (put().pieces(Some(10), pieces(1, 11).1), "a body is longer"),
        (put().pieces(Some(10), pieces(1, 9).1), "a body is 1 bytes shorter"),
        (put().pieces(None, failing), "the poem is lost"),
        (put().pieces(None, |_| panic!("no poem")), "no poem"),
        (undone, "dropped before it said finish"),
        (broken, "the poem is lost"),
    ] {
        let (phase, text) = error(text(&event_loop, request));
        assert_eq!(phase, ClientPhase::Request, "{text}");
        assert!(text.starts_with(&format!("PUT {url}/: request: ")) && text.contains(part), "{text}");
    }
    turn_until(&event_loop, || site.connections() == 0);
}

#[test]
fn pieces_are_sent_once_and_bytes_as_often_as_it_takes() {
    let event_loop = EventLoop::new().unwrap();
    let (_site, url) = counting(&event_loop);
    let put = |path: &str| ClientRequest::new(Method::Put, format!("{url}{path}"));
    assert_eq!(text(&event_loop, put("/moved").body("poem")).unwrap().1, "4 4");
    let (phase, told) = error(text(&event_loop, put("/moved").pieces(None, pieces(1, 4).1)));
    assert_eq!(phase, ClientPhase::Response, "{told}");
    assert!(told.contains("pieces can be sent once only"), "{told}");
    assert_eq!(text(&event_loop, put("/see").pieces(None, pieces(1, 4).1)).unwrap().0, 200);
    let request = put("/").pieces(None, pieces(1, 4).1);
    assert_eq!(text(&event_loop, request.clone()).unwrap().1, "chunked 4");
    assert_eq!(error(text(&event_loop, request)).0, ClientPhase::Setup);
}

/// What a server does when the head of a request, and then its body's first byte, has come.
#[derive(Clone, Default)]
struct Act {
    head: &'static str,
    body: &'static str,
    closes: bool,
    reads_no_more: bool,
}

struct Acting {
    act: Act,
    asked: Vec<u8>,
    head: Option<usize>,
    told_body: bool,
    log: Log,
}

#[derive(Clone, Default)]
struct Log {
    heads: Rc<RefCell<Vec<String>>>,
    bodies: Rc<Cell<usize>>,
}

impl Acting {
    fn say(&self, transport: &Transport, text: &str) -> Result<(), Failure> {
        transport.write(text.as_bytes())?;
        if self.act.closes && !text.is_empty() {
            transport.lose_connection();
        }
        Ok(())
    }
}

impl Protocol for Acting {
    fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        self.asked.extend_from_slice(data);
        if self.head.is_none() {
            self.head = self.asked.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
            let Some(end) = self.head else { return Ok(()) };
            self.log.heads.borrow_mut().push(String::from_utf8_lossy(&self.asked[..end]).into_owned());
            self.say(transport, self.act.head)?;
            if self.act.reads_no_more {
                transport.pause_producing();
            }
        }
        let body = self.asked.len() - self.head.unwrap_or_default();
        self.log.bodies.set(body);
        if body > 0 && !std::mem::replace(&mut self.told_body, true) {
            self.say(transport, self.act.body)?;
            if self.act.closes {
                transport.lose_connection();
            }
        }
        Ok(())
    }
}

struct Test {
    event_loop: EventLoop,
    clock: TestClock,
    log: Log,
    url: String,
    _port: Port,
}

/// The acts are for one connection each; the last is for all others.
fn acting(acts: &[Act]) -> Test {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
    let (log, acts, made) = (Log::default(), acts.to_vec(), Cell::new(0));
    let own = log.clone();
    let port = event_loop
        .listen_tcp("127.0.0.1:0", move |_, _| {
            let act = acts[made.replace(made.get() + 1).min(acts.len() - 1)].clone();
            Some(Acting { act, asked: Vec::new(), head: None, told_body: false, log: own.clone() })
        })
        .unwrap();
    let url = format!("http://{}/", port.address());
    Test { event_loop, clock, log, url, _port: port }
}

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";
const NO: &str = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno";
const WAIT: Duration = Duration::from_secs(1);

#[test]
fn a_server_that_is_asked_before_says_go_on_or_nothing_or_no() {
    // It says go on.
    for streams in [false, true] {
        let test = acting(&[Act { head: "HTTP/1.1 100 Continue\r\n\r\n", body: FINE, ..Act::default() }]);
        let client = Client::new();
        let put = ClientRequest::new(Method::Put, &test.url).client(&client).expect_continue(WAIT);
        let put = if streams { put.pieces(Some(4), pieces(1, 4).1) } else { put.body("poem") };
        assert_eq!(text(&test.event_loop, put).unwrap().1, "fine");
        assert_eq!(client.idle(), 1);
        assert!(test.log.heads.borrow()[0].contains("\r\nExpect: 100-continue\r\n"));
        assert_eq!(test.log.bodies.get(), 4);
    }
    // It says nothing: after a time the body follows.
    let test = acting(&[Act { body: FINE, ..Act::default() }]);
    let post = ClientRequest::post(&test.url, "poem").expect_continue(WAIT).send(&test.event_loop);
    turn_until(&test.event_loop, || test.log.heads.borrow().len() == 1);
    test.clock.advance(WAIT - Duration::from_millis(1)).unwrap();
    test.event_loop.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(test.log.bodies.get(), 0);
    test.clock.advance(Duration::from_millis(1)).unwrap();
    assert_eq!(outcome(&test.event_loop, post).unwrap().status(), Status::OK);
    assert_eq!(test.log.bodies.get(), 4);
    // It says no: nothing follows, and the connection is of no use any more.
    let (test, client) = (acting(&[Act { head: NO, ..Act::default() }]), Client::new());
    let (asked, next) = pieces(9, 9);
    let put = ClientRequest::new(Method::Put, &test.url).expect_continue(WAIT).client(&client).pieces(None, next);
    assert_eq!(text(&test.event_loop, put).unwrap(), (413, "no".to_owned()));
    test.clock.advance(WAIT).unwrap();
    assert_eq!((asked.get(), test.log.bodies.get(), client.idle()), (0, 0, 0));
    // It does not know the word.
    let refuses = Act { head: "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n", ..Act::default() };
    for streams in [false, true] {
        let test = acting(&[refuses.clone(), Act { body: FINE, ..Act::default() }]);
        let put = ClientRequest::new(Method::Put, &test.url).expect_continue(WAIT).redirects(0);
        let put = if streams { put.pieces(None, pieces(1, 4).1) } else { put.body("poem") };
        assert_eq!(text(&test.event_loop, put).unwrap().1, "fine");
        let heads = test.log.heads.borrow();
        assert!(heads[0].contains("Expect") && !heads[1].contains("Expect"));
    }
    // It never does.
    let test = acting(&[refuses]);
    let put = ClientRequest::new(Method::Put, &test.url).expect_continue(WAIT).body("poem");
    assert_eq!(text(&test.event_loop, put).unwrap().0, 417);
    assert_eq!(test.log.heads.borrow().len(), 2);
    // Without a body nothing is to be asked.
    let test = acting(&[Act { head: FINE, ..Act::default() }]);
    text(&test.event_loop, ClientRequest::get(&test.url).expect_continue(WAIT)).unwrap();
    assert!(!test.log.heads.borrow()[0].contains("Expect"));
}

#[test]
fn an_answer_before_the_body_has_ended_is_an_answer() {
    // The server reads on.
    let test = acting(&[Act { head: FINE, ..Act::default() }]);
    let (writer, request): (BodyWriter, ClientRequest) = ClientRequest::post(&test.url, "").streaming(None);
    let client = Client::new();
    assert_eq!(text(&test.event_loop, request.client(&client)).unwrap(), (200, "fine".to_owned()));
    assert_eq!(client.idle(), 0);
    assert_eq!(writer.write("poem"), Err(Disconnected));
    // It says no at the first byte, and closes.
    for closes in [false, true] {
        let test = acting(&[Act { body: NO, closes, ..Act::default() }]);
        let (asked, next) = pieces(usize::MAX, 1000);
        let slow = {
            let (handle, mut next) = (test.event_loop.handle(), next);
            move |_: &EventLoop| handle.with_deferred(&mut next)
        };
        assert_eq!(
            text(&test.event_loop, ClientRequest::post(&test.url, "").pieces(None, slow)).unwrap(),
            (413, "no".to_owned())
        );
        assert!(asked.get() < 100_000);
    }
}

#[test]
fn a_server_that_does_not_read_holds_the_producer_back_and_runs_into_a_limit() {
    let test = acting(&[Act { reads_no_more: true, ..Act::default() }]);
    let (asked, next) = pieces(usize::MAX, 10_000);
    let post = ClientRequest::post(&test.url, "").pieces(None, next).send(&test.event_loop);
    let before = Cell::new(0);
    let idle = Cell::new(0);
    turn_until(&test.event_loop, || {
        idle.set(if asked.get() > 0 && before.replace(asked.get()) == asked.get() { idle.get() + 1 } else { 0 });
        idle.get() > 20
    });
    // What the system's buffers take, and 64 KiB.
    assert!(asked.get() < 2000, "{}", asked.get());
    for _ in 0..3 {
        test.clock.advance(Duration::from_secs(30)).unwrap();
    }
    let failure = outcome(&test.event_loop, post).unwrap_err();
    let error = failure.check::<ClientError>().unwrap();
    assert_eq!((error.phase(), error.is_timeout()), (ClientPhase::Request, true));
    // A producer that is slow itself runs into no limit but that of the whole.
    let test = acting(&[Act::default()]);
    let (writer, request) = ClientRequest::post(&test.url, "").streaming(None);
    let post = request.timeout(Duration::from_secs(200)).send(&test.event_loop);
    turn_until(&test.event_loop, || test.log.heads.borrow().len() == 1);
    for second in 1..200 {
        test.clock.advance(Duration::from_secs(1)).unwrap();
        assert!(second % 60 != 0 || writer.write("x").is_ok(), "after {second} s");
        test.event_loop.turn(Some(Duration::ZERO)).unwrap();
    }
    test.clock.advance(Duration::from_secs(1)).unwrap();
    assert_eq!(
        outcome(&test.event_loop, post).unwrap_err().find(),
        Some(&ClientProblem::Timeout(Duration::from_secs(200)))
    );
}

#[test]
fn a_server_that_goes_away_while_it_is_sent_to_is_an_error_of_the_request() {
    for resets in [false, true] {
        // What it has not read by then makes it a reset.
        let test = acting(&[Act { closes: true, reads_no_more: resets, ..Act::default() }]);
        let (_, next) = pieces(usize::MAX, 10_000);
        let post = ClientRequest::post(&test.url, "").pieces(None, next).send(&test.event_loop);
        let failure = outcome(&test.event_loop, post).unwrap_err();
        let error = failure.check::<ClientError>().unwrap();
        assert_eq!(error.phase(), ClientPhase::Request, "{error}");
        assert!(!error.is_timeout(), "{error}");
    }
}
