//! WebSockets under an HTTP server, over memory: the handshake, messages, closing, time, and peers that mean no good.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ropewalk::http::{RequestDecoder, Server, Site};
use ropewalk::protocols::Piece;
use ropewalk::testing::{MemoryLoop, StringTransport};
use ropewalk::websocket::{
    Close, CloseCode, FrameProblem, Limits, Message, Opcode, WebSocket, WebSocketEnd, WebSocketProtocol,
    WebSocketServer, encode_frame,
};
use ropewalk::{Address, ConnectionAborted, ConnectionDone, Deferred, EventLoop, Failure};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// How each of them ended.
type Ends = Rc<RefCell<Vec<Failure>>>;

struct Echo {
    ends: Ends,
}

impl WebSocketProtocol for Echo {
    fn message_received(
        &mut self,
        event_loop: &EventLoop,
        socket: &WebSocket,
        message: Message<'_>,
    ) -> Result<(), Failure> {
        match message {
            Message::Text("close") => socket.close(CloseCode::NORMAL, "as you like"),
            Message::Text("fail") => return Err(Failure::msg("no such thing")),
            Message::Text("panic") => panic!("in a callback"),
            Message::Text("wait and close") => {
                socket.pause_producing();
                socket.close(CloseCode::NORMAL, "");
            }
            Message::Text("wait") => {
                socket.pause_producing();
                let socket = socket.clone();
                event_loop.call_later(seconds(5), move |_| socket.resume_producing());
            }
            Message::Text(text) => socket.send_text(text)?,
            Message::Binary(data) => socket.send_binary(data)?,
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
        self.ends.borrow_mut().push(reason);
    }
}

struct Bench {
    site: Site,
    test: MemoryLoop,
    ends: Ends,
}

impl Bench {
    fn new(sockets: WebSocketServer) -> Bench {
        Bench::on(MemoryLoop::new().unwrap(), sockets)
    }

    fn on(test: MemoryLoop, sockets: WebSocketServer) -> Bench {
        let ends = Ends::default();
        let own = ends.clone();
        let server = Server::new().any("/echo", move |_, request| {
            let ends = own.clone();
            sockets.accept(&request, |_| Echo { ends })
        });
        Bench { site: server.start(&test).unwrap(), test, ends }
    }

    fn connect(&self) -> StringTransport {
        self.test.connected(self.site.protocol(&Address::Memory))
    }

    /// Behind the handshake.
    fn open(&self) -> StringTransport {
        let peer = self.connect();
        peer.send(ASK);
        assert!(peer.text().starts_with("HTTP/1.1 101 "), "{}", peer.text());
        peer.clear();
        peer
    }

    /// What a request is answered.
    fn answer(&self, request: &str) -> String {
        let peer = self.connect();
        peer.send(request);
        let text = peer.text();
        peer.reset();
        text
    }

    /// How the last one ended.
    #[track_caller]
    fn end(&self) -> WebSocketEnd {
        let reason = self.ends.borrow_mut().pop().expect("one has ended");
        reason.check::<WebSocketEnd>().cloned().unwrap_or_else(|| panic!("{reason:?}"))
    }

    /// An echo on a connection of its own; then nothing is left.
    #[track_caller]
    fn still_serves(self) {
        let peer = self.open();
        peer.send(text("still here"));
        assert_eq!(peer.value(), b"\x81\x0astill here");
        peer.reset();
        assert_eq!(self.site.connections(), 0);
        self.test.assert_clean();
    }
}

const ASK: &str = "GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_frame(&mut out, opcode, true, payload, Some([1, 2, 3, 4]));
    out
}

fn text(text: &str) -> Vec<u8> {
    masked(Opcode::Text, text.as_bytes())
}

#[test]
fn the_handshake_is_answered_and_messages_behind_it_are_not_lost() {
    let bench = Bench::new(WebSocketServer::new());
    let peer = bench.connect();
    peer.send([ASK.as_bytes(), &text("early")].concat());
    let answer = peer.value();
    let split = answer.len() - b"\x81\x05early".len();
    assert_eq!(&answer[split..], b"\x81\x05early");
    let head = std::str::from_utf8(&answer[..split]).unwrap();
    assert!(head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    assert!(!head.contains("Sec-WebSocket-Protocol") && head.ends_with("\r\n\r\n"), "{head}");
    peer.reset();
    bench.still_serves();
}

#[test]
fn a_bad_handshake_is_told_what_is_wrong() {
    let bench = Bench::new(WebSocketServer::new().origins(["https://example.org"]));
    let ask = ASK.replace("Host: a", "Host: a\r\nOrigin: https://example.org");
    assert!(bench.answer(&ask).starts_with("HTTP/1.1 101 "));
    let cases = [
        (ask.replace("Upgrade: websocket\r\n", ""), "426", "ask with Upgrade: websocket"),
        (ask.replace("Connection: Upgrade", "Connection: close"), "426", "Connection: Upgrade"),
        (ask.replace("Version: 13", "Version: 8"), "426", "Sec-WebSocket-Version is 8: 13 is the one"),
        (ask.replace("Sec-WebSocket-Version: 13\r\n", ""), "426", "Sec-WebSocket-Version is missing"),
        (ask.replace("GET", "POST"), "400", "begins with GET"),
        (ask.replace("HTTP/1.1", "HTTP/1.0"), "400", "HTTP/1.1"),
        (ask.replace("dGhl", ""), "400", "Sec-WebSocket-Key is not one base64 of 16 bytes"),
        (ask.replace("dGhlIHNhbXBsZSBub25jZQ==", "*"), "400", "Sec-WebSocket-Key"),
        (ask.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), "400", "Sec-WebSocket-Key"),
        (ask.replace("example.org", "example.com"), "403", "pages of https://example.com are not allowed"),
        (ASK.to_owned(), "403", "the Origin field is missing"),
    ];
    for (request, status, why) in cases {
        let answer = bench.answer(&request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(why), "{request}\n{answer}");
        let upgrade = answer.contains("\r\nUpgrade: websocket\r\n");
        assert_eq!(upgrade, status == "426", "{answer}");
        let said = answer.lines().any(|line| line.starts_with("Connection: ") && line.ends_with("Upgrade"));
        assert_eq!(said, upgrade, "{answer}");
        assert_eq!(answer.contains("\r\nSec-WebSocket-Version: 13\r\n"), why.contains("Version"), "{answer}");
    }
    assert_eq!(bench.site.connections(), 0);
}

#[test]
fn pages_of_the_server_itself_may_ask_and_those_that_are_named() {
    let bench = Bench::new(WebSocketServer::new().same_origin().origins(["https://example.org"]));
    for (origin, status) in [
        ("http://a:8080", "101"),
        ("https://a:8080", "101"),
        ("https://example.org", "101"),
        ("http://a", "403"),
        ("http://a:80801", "403"),
        ("a:8080", "403"),
        ("null", "403"),
        ("http://example.org", "403"),
        ("http://a:8080\r\nOrigin: http://a:8080", "403"),
    ] {
        let ask = ASK.replace("Host: a", &format!("Host: a:8080\r\nOrigin: {origin}"));
        let answer = bench.answer(&ask);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{origin}: {answer}");
    }
    assert!(bench.answer(ASK).contains("the Origin field is missing"));
}

#[test]
fn the_best_subprotocol_that_is_offered_is_chosen() {
    let bench = Bench::new(WebSocketServer::new().subprotocols(["v2", "v1"]));
    let offer =
        |names: &str| bench.answer(&ASK.replace("Host: a", &format!("Host: a\r\nSec-WebSocket-Protocol: {names}")));
    assert!(offer("v1, v2").contains("\r\nSec-WebSocket-Protocol: v2\r\n"));
    assert!(offer("v0, v1").contains("\r\nSec-WebSocket-Protocol: v1\r\n"));
    assert!(!offer("v0").contains("Sec-WebSocket-Protocol"));
}

#[test]
fn messages_pings_and_fragments_are_answered_however_they_are_cut() {
    for seed in 0..3 {
        let bench = Bench::on(MemoryLoop::cutting(seed).unwrap(), WebSocketServer::new());
        let peer = bench.open();
        let mut data = Vec::new();
        encode_frame(&mut data, Opcode::Text, false, b"one ", Some([9, 8, 7, 6]));
        data.extend(masked(Opcode::Ping, b"?"));
        encode_frame(&mut data, Opcode::Continuation, true, b"two", Some([9, 8, 7, 6]));
        data.extend(masked(Opcode::Binary, &[7; 70_000]));
        peer.send(data);
        let mut expected = b"\x8a\x01?\x81\x07one two\x82\x7f\0\0\0\0\0\x01\x11\x70".to_vec();
        expected.extend([7; 70_000]);
        assert!(peer.value() == expected, "seed {seed}");
        peer.reset();
        bench.ends.borrow_mut().clear();
        bench.still_serves();
    }
}

#[test]
fn a_client_that_closes_is_answered_with_its_code() {
    let bench = Bench::new(WebSocketServer::new());
    let peer = bench.open();
    peer.send([masked(Opcode::Close, b"\x03\xe9bye"), text("too late"), b"\xff\xff\xff".to_vec()].concat());
    assert_eq!(peer.value(), b"\x88\x02\x03\xe9");
    assert!(peer.sees_end());
    peer.send_end();
    assert!(peer.is_disconnected());
    let close = Close::new(CloseCode::GOING_AWAY, "bye");
    assert_eq!(bench.end(), WebSocketEnd::Closed { close, by_peer: true });
    bench.still_serves();
}

#[test]
fn a_server_that_closes_waits_for_the_answer_for_a_time() {
    let bench = Bench::new(WebSocketServer::new().close_timeout(seconds(5)));
    let polite = bench.open();
    polite.send([text("close"), text("not delivered")].concat());
    assert_eq!(polite.value(), b"\x88\x0d\x03\xe8as you like");
    // A ping is answered until the peer's close frame has come (RFC 6455, 5.5.2).
    polite.clear();
    polite.send(masked(Opcode::Ping, b"?"));
    assert_eq!(polite.value(), b"\x8a\x01?");
    assert!(!polite.sees_end());
    polite.send(masked(Opcode::Close, b"\x03\xe8"));
    assert!(polite.sees_end());
    polite.send_end();
    let close = Close::new(CloseCode::NORMAL, "");
    assert_eq!(bench.end(), WebSocketEnd::Closed { close, by_peer: false });
    let silent = bench.open();
    silent.send(text("close"));
    bench.test.advance(seconds(4));
    assert!(!silent.is_disconnected());
    bench.test.advance(seconds(1));
    assert!(silent.sees_reset());
    assert_eq!(bench.end(), WebSocketEnd::CloseTimeout(seconds(5)));
    bench.still_serves();
}

#[test]
fn a_server_that_shuts_down_closes_with_1001_and_waits_for_the_answers() {
    let bench = Bench::new(WebSocketServer::new().close_timeout(seconds(5)));
    let (polite, silent, paused) = (bench.open(), bench.open(), bench.open());
    paused.send(text("wait"));
    let http = bench.connect();
    let broken = bench.site.shutdown(&bench.test, seconds(60));
    // Told once, however often the connection is woken.
    bench.test.settle();
    for peer in [&polite, &silent, &paused] {
        assert_eq!(peer.value(), b"\x88\x02\x03\xe9");
        assert!(!peer.sees_end());
    }
    assert!(http.is_disconnected());
    polite.send([text("too late"), masked(Opcode::Close, b"\x03\xe9")].concat());
    assert_eq!(polite.value(), b"\x88\x02\x03\xe9");
    assert!(polite.sees_end());
    polite.send_end();
    let close = Close::new(CloseCode::GOING_AWAY, "");
    assert_eq!(bench.end(), WebSocketEnd::Closed { close: close.clone(), by_peer: false });
    paused.send(masked(Opcode::Close, b"\x03\xe9"));
    paused.send_end();
    assert_eq!(bench.end(), WebSocketEnd::Closed { close, by_peer: false });
    bench.test.advance(seconds(4));
    assert!(!silent.is_disconnected());
    bench.test.advance(seconds(1));
    assert!(silent.sees_reset());
    assert_eq!(bench.end(), WebSocketEnd::CloseTimeout(seconds(5)));
    assert_eq!(bench.test.run_until(broken).unwrap(), 0, "each ended by itself");
    bench.test.assert_clean();
}

#[test]
fn a_second_shutdown_with_less_grace_breaks_off_what_still_closes() {
    let bench = Bench::new(WebSocketServer::new());
    let (silent, closing) = (bench.open(), bench.open());
    closing.send(text("close"));
    closing.clear();
    let broken = bench.site.shutdown(&bench.test, seconds(5));
    bench.test.settle();
    assert_eq!(silent.value(), b"\x88\x02\x03\xe9");
    assert_eq!(closing.value(), b"", "it is being closed already");
    let cut = bench.site.shutdown(&bench.test, seconds(0));
    bench.test.advance(seconds(0));
    assert!(silent.sees_reset() && closing.sees_reset());
    assert_eq!(bench.test.run_until(cut).unwrap(), 2);
    assert_eq!(bench.test.run_until(broken).unwrap(), 2);
    for _ in 0..2 {
        assert!(bench.ends.borrow_mut().pop().unwrap().check::<ConnectionAborted>().is_some());
    }
    bench.test.assert_clean();
}

/// Says more than the default when its server shuts down, or does not care.
struct Chatty {
    closes: bool,
}

impl WebSocketProtocol for Chatty {
    fn message_received(&mut self, _: &EventLoop, socket: &WebSocket, _: Message<'_>) -> Result<(), Failure> {
        socket.close(CloseCode::NORMAL, "");
        Ok(())
    }

    fn shutting_down(&mut self, _: &EventLoop, socket: &WebSocket) -> Result<(), Failure> {
        socket.send_text("bye")?;
        if self.closes {
            socket.close(CloseCode::new(1012).unwrap(), "back soon");
        }
        Ok(())
    }
}

#[test]
fn a_program_may_say_goodbye_in_its_own_way_and_who_does_not_close_is_broken_off() {
    let test = MemoryLoop::new().unwrap();
    let (resolver, answer) = Deferred::new();
    let mut answer = Some(answer);
    let sockets = WebSocketServer::new();
    let late = sockets.clone();
    let site = Server::new()
        .get("/echo", move |_, request| sockets.accept(&request, |_| Chatty { closes: true }))
        .get("/deaf", move |_, request| late.accept(&request, |_| Chatty { closes: false }))
        .get("/late", move |_, _| answer.take().unwrap())
        .start(&test)
        .unwrap();
    let peer = |path: &str| {
        let peer = test.connected(site.protocol(&Address::Memory));
        peer.send(ASK.replace("/echo", path));
        peer
    };
    let (chatty, deaf, late, closing) = (peer("/echo"), peer("/deaf"), peer("/late"), peer("/echo"));
    closing.send(text("close"));
    let broken = site.shutdown(&test, seconds(5));
    test.settle();
    // Nobody is told twice.
    let again = site.shutdown(&test, seconds(60));
    test.settle();
    assert!(closing.value().ends_with(b"\r\n\r\n\x88\x02\x03\xe8") && !closing.is_disconnected());
    assert!(chatty.value().ends_with(b"\r\n\r\n\x81\x03bye\x88\x0b\x03\xf4back soon"));
    // Hands that are shaken meanwhile are let go as well.
    let request =
        RequestDecoder::new(ropewalk::http::Limits::default()).next_event(&mut Piece::new(ASK.as_bytes()));
    let Ok(Some(ropewalk::http::Event::Head(head))) = request else { panic!("{request:?}") };
    resolver.succeed(WebSocketServer::new().accept(&head, |_| Chatty { closes: true }));
    test.settle();
    assert!(late.value().ends_with(b"\r\n\r\n\x81\x03bye\x88\x0b\x03\xf4back soon"));
    for peer in [&chatty, &late, &closing] {
        peer.send(masked(Opcode::Close, b"\x03\xf4"));
        peer.send_end();
    }
    test.advance(seconds(4));
    assert!(deaf.value().ends_with(b"\r\n\r\n\x81\x03bye") && !deaf.is_disconnected());
    test.advance(seconds(1));
    assert!(deaf.sees_reset());
    assert_eq!((test.run_until(broken).unwrap(), test.run_until(again).unwrap()), (1, 1));
    test.assert_clean();
}

#[test]
fn who_breaks_the_protocol_is_told_and_harms_nobody_else() {
    let bench = Bench::new(WebSocketServer::new().limits(Limits::of_message(1000)));
    let cases: [(&[u8], u16, FrameProblem); 5] = [
        (b"\x81\x05Hello", 1002, FrameProblem::Unmasked),
        (b"\xc1\x80\0\0\0\0", 1002, FrameProblem::ReservedBits),
        (b"\x81\x82\0\0\0\0\xff\xff", 1007, FrameProblem::NotUtf8),
        (b"\x82\xff\x40\0\0\0\0\0\0\0\0\0\0\0", 1009, FrameProblem::FrameTooLarge { limit: 1000 }),
        (b"\x88\x82\0\0\0\0\x03\xed", 1002, FrameProblem::CloseCode(1005)),
    ];
    for (data, code, problem) in cases {
        let peer = bench.open();
        peer.send(data);
        let told = peer.value();
        assert_eq!((told[0], &told[2..4]), (0x88, &code.to_be_bytes()[..]), "{problem}");
        assert_eq!(std::str::from_utf8(&told[4..]).unwrap(), problem.to_string());
        assert!(peer.sees_end());
        // It may go on as it likes, until its time is over.
        peer.send(text("more").repeat(1000));
        assert_eq!(peer.value(), told);
        bench.test.advance(seconds(10));
        assert!(peer.is_disconnected());
        match bench.end() {
            WebSocketEnd::Broken(error) => assert_eq!(error.problem(), problem),
            other => panic!("{other}"),
        }
    }
    bench.still_serves();
}

#[test]
fn an_error_or_a_panic_of_the_program_loses_its_connection_only() {
    let bench = Bench::new(WebSocketServer::new());
    for what in ["fail", "panic"] {
        let (peer, other) = (bench.open(), bench.open());
        peer.send(text(what));
        assert!(peer.is_disconnected());
        let reason = bench.ends.borrow_mut().pop().unwrap();
        assert!(reason.check::<WebSocketEnd>().is_none() && reason.check::<ConnectionDone>().is_none());
        other.send(text("x"));
        assert_eq!(other.value(), b"\x81\x01x");
        other.reset();
    }
    bench.ends.borrow_mut().clear();
    bench.still_serves();
}

#[test]
fn a_peer_that_leaves_without_a_close_frame_is_told_as_that() {
    let bench = Bench::new(WebSocketServer::new());
    let peer = bench.open();
    peer.send_end();
    assert!(peer.is_disconnected());
    assert_eq!(bench.end(), WebSocketEnd::Unclosed);
    // And so is one that was asked to answer.
    let peer = bench.open();
    peer.send(text("close"));
    peer.send_end();
    assert_eq!(bench.end(), WebSocketEnd::Unclosed);
    bench.still_serves();
}

#[test]
fn silence_is_asked_about_and_the_dead_are_let_go() {
    let bench = Bench::new(WebSocketServer::new().keep_alive(Some(seconds(20))));
    let (alive, dead) = (bench.open(), bench.open());
    bench.test.advance(seconds(19));
    alive.send(text("x"));
    alive.clear();
    bench.test.advance(seconds(1));
    assert_eq!((alive.value(), dead.value()), (Vec::new(), b"\x89\x00".to_vec()));
    bench.test.advance(seconds(19));
    assert_eq!(alive.value(), b"\x89\x00");
    alive.send(masked(Opcode::Pong, b""));
    bench.test.advance(seconds(1));
    assert!(dead.sees_reset() && !alive.is_disconnected());
    assert_eq!(bench.end(), WebSocketEnd::NoPong(seconds(20)));
    bench.test.advance(seconds(18));
    assert!(!alive.is_disconnected());
    alive.reset();
    bench.ends.borrow_mut().clear();
    bench.still_serves();
}

#[test]
fn a_peer_that_never_reads_costs_bounded_memory_and_is_let_go() {
    let bench = Bench::new(WebSocketServer::new());
    for frame in [masked(Opcode::Ping, &[1; 125]), text(&"x".repeat(1000))] {
        let peer = bench.open();
        peer.set_room(Some(0));
        let flood = frame.repeat(60_000 / frame.len());
        (0..100).for_each(|_| peer.send(&flood));
        let waits = peer.transport().buffered();
        assert!((65_536..3 * 65_536).contains(&waits), "{waits} bytes wait");
        bench.test.advance(seconds(60));
        assert!(peer.is_disconnected());
        assert_eq!(bench.end(), WebSocketEnd::Stalled(seconds(30)));
    }
    // The same behind our own close frame.
    let peer = bench.open();
    peer.set_room(Some(0));
    peer.send(text("close"));
    let flood = masked(Opcode::Ping, &[1; 125]).repeat(60_000 / 131);
    (0..100).for_each(|_| peer.send(&flood));
    let waits = peer.transport().buffered();
    assert!((65_536..3 * 65_536).contains(&waits), "{waits} bytes wait");
    bench.test.advance(seconds(10));
    assert!(peer.is_disconnected());
    assert_eq!(bench.end(), WebSocketEnd::CloseTimeout(seconds(10)));
    bench.still_serves();
}

#[test]
fn a_peer_that_reads_again_gets_everything_in_order() {
    let bench = Bench::new(WebSocketServer::new());
    let peer = bench.open();
    peer.set_room(Some(0));
    let all: Vec<u8> = (0..300).flat_map(|n| text(&format!("{n:>1000}"))).collect();
    peer.send(all);
    peer.set_room(None);
    let got = peer.value();
    let expected: Vec<u8> =
        (0..300).flat_map(|n| [b"\x81\x7e\x03\xe8", format!("{n:>1000}").as_bytes()].concat()).collect();
    assert!(got == expected, "{} of {} bytes", got.len(), expected.len());
    peer.reset();
    bench.ends.borrow_mut().clear();
    bench.still_serves();
}

#[test]
fn a_program_that_pauses_is_told_nothing_until_it_resumes() {
    let bench = Bench::new(WebSocketServer::new());
    let peer = bench.open();
    peer.send([text("wait"), text("one"), text("two")].concat());
    peer.send(text("three"));
    assert_eq!(peer.value(), b"");
    bench.test.advance(seconds(5));
    assert_eq!(peer.value(), b"\x81\x03one\x81\x03two\x81\x05three");
    peer.reset();
    bench.ends.borrow_mut().clear();
    bench.still_serves();
}

#[test]
fn a_program_that_pauses_and_closes_still_hears_the_answer() {
    let bench = Bench::new(WebSocketServer::new());
    let peer = bench.open();
    peer.send(text("wait and close"));
    peer.send(masked(Opcode::Close, b"\x03\xe8"));
    assert!(peer.sees_end());
    peer.send_end();
    assert!(matches!(bench.end(), WebSocketEnd::Closed { by_peer: false, .. }));
    bench.still_serves();
}
