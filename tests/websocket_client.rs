//! WebSocket clients, over memory: the handshake, messages with a server of this crate, and servers that mean no good.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ropewalk::http::{Headers, ParseError, Server};
use ropewalk::testing::{MemoryLoop, StringTransport};
use ropewalk::websocket::{
    Close, CloseCode, FrameProblem, HandshakeError, Message, WebSocket, WebSocketClient, WebSocketEnd,
    WebSocketProtocol, WebSocketServer, accept_key,
};
use ropewalk::{Address, CancelledError, ConnectError, Deferred, EventLoop, Failure, Phase, SystemEvent};

/// What a program was told.
type Log = Rc<RefCell<Vec<String>>>;

/// Says what it is given on, and closes at `close`.
struct Teller {
    name: &'static str,
    log: Log,
}

impl WebSocketProtocol for Teller {
    fn connection_made(&mut self, _: &EventLoop, socket: &WebSocket) -> Result<(), Failure> {
        self.log.borrow_mut().push(format!("{} made {:?}", self.name, socket.subprotocol()));
        Ok(())
    }

    fn message_received(&mut self, _: &EventLoop, socket: &WebSocket, message: Message<'_>) -> Result<(), Failure> {
        match message {
            Message::Text("close") => socket.close(CloseCode::NORMAL, "bye"),
            Message::Text(text) if self.name == "server" => socket.send_text(&format!("{text}/answer"))?,
            Message::Binary(data) if self.name == "server" => socket.send_binary(data)?,
            _ => {}
        }
        let text = match message {
            Message::Text(text) => text.to_owned(),
            Message::Binary(data) => format!("{} bytes", data.len()),
        };
        self.log.borrow_mut().push(format!("{} got {text}", self.name));
        Ok(())
    }

    fn pong_received(&mut self, _: &EventLoop, _: &WebSocket, data: &[u8]) -> Result<(), Failure> {
        self.log.borrow_mut().push(format!("{} pong {}", self.name, data.escape_ascii()));
        Ok(())
    }

    fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
        self.log.borrow_mut().push(format!("{} lost: {reason}", self.name));
    }
}

/// A client whose server is played by the test: the request, and what was told.
fn played(test: &MemoryLoop, client: WebSocketClient) -> (StringTransport, Deferred<WebSocket>, Log) {
    let log = Log::default();
    let (protocol, opened) = client.protocol(Teller { name: "client", log: log.clone() }).unwrap();
    (test.connected(protocol), opened, log)
}

fn client() -> WebSocketClient {
    WebSocketClient::new("ws://example.org/chat?room=1").unwrap()
}

/// A good response to a request.
fn response(request: &str) -> String {
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = accept_key(key);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

#[test]
fn a_client_and_a_server_talk_and_close_however_the_bytes_are_cut() {
    for seed in 0..2 {
        let test = MemoryLoop::cutting(seed).unwrap();
        let log = Log::default();
        let (sockets, own) = (WebSocketServer::new().subprotocols(["v1"]), log.clone());
        let site = Server::new()
            .any("/chat", move |_, request| {
                sockets.accept(&request, |_| Teller { name: "server", log: own.clone() })
            })
            .start(&test)
            .unwrap();
        let teller = Teller { name: "client", log: log.clone() };
        let (protocol, opened) = client().subprotocols(["v2", "v1"]).protocol(teller).unwrap();
        test.pair(site.protocol(&Address::Memory), protocol);
        test.settle();
        let socket = opened.try_result().unwrap().unwrap();
        socket.send_text("hello").unwrap();
        socket.send_binary(&[7; 70_000]).unwrap();
        socket.ping(b"?").unwrap();
        socket.send_text("close").unwrap();
        test.settle();
        assert!(!socket.is_open() && socket.send_text("late").is_err());
        let made = ["server made Some(\"v1\")", "client made Some(\"v1\")"];
        let mut told: Vec<String> = log.take();
        told.retain(|line| !made.contains(&line.as_str()));
        let of = |name: &str| told.iter().filter(|line| line.starts_with(name)).cloned().collect::<Vec<_>>();
        let answers = ["client got hello/answer", "client got 70000 bytes", "client pong ?"];
        assert_eq!(of("client")[..3], answers);
        assert_eq!(of("client")[3], "client lost: the peer closed the WebSocket, 1000 (done): bye");
        assert_eq!(of("server")[..3], ["server got hello", "server got 70000 bytes", "server got close"]);
        assert_eq!(of("server")[3], "server lost: the WebSocket was closed; the peer answered 1000 (done)");
        assert_eq!(told.len(), 8, "{told:?}");
        test.assert_clean();
    }
}

#[test]
fn the_request_says_what_the_rfc_asks_for() {
    let test = MemoryLoop::new().unwrap();
    let mut headers = Headers::new();
    headers.append("Origin", "https://example.org").unwrap();
    let (peer, opened, log) = played(&test, client().headers(headers).subprotocols(["b", "a"]));
    let request = peer.text();
    assert!(request.starts_with("GET /chat?room=1 HTTP/1.1\r\nHost: example.org\r\n"), "{request}");
    for line in
        ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: b, a"]
    {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{request}");
    }
    assert!(request.contains("\r\nOrigin: https://example.org\r\n"));
    let (other, reset, _) = played(&test, client());
    assert_ne!(response(&request), response(&other.text()), "every key is another one");
    // What comes right behind the response is not lost.
    peer.send([response(&request).as_bytes(), b"\x81\x05early"].concat());
    assert_eq!(log.borrow()[..], ["client made None", "client got early"]);
    let socket = opened.try_result().unwrap().unwrap();
    peer.clear();
    socket.send_text("Hello").unwrap();
    socket.send_text("Hello").unwrap();
    let sent = peer.value();
    assert_eq!((sent.len(), &sent[..2], &sent[11..13]), (22, &b"\x81\x85"[..], &b"\x81\x85"[..]));
    assert_ne!(sent[2..6], sent[13..17], "every mask is another one");
    let plain: Vec<u8> = (0..5).map(|i| sent[6 + i] ^ sent[2 + i % 4]).collect();
    assert_eq!(plain, b"Hello");
    peer.reset();
    other.reset();
    assert!(reset.try_result().unwrap().is_err());
}

#[test]
fn a_server_that_does_not_answer_as_it_should_is_refused() {
    let test = MemoryLoop::new().unwrap();
    type Spoil = fn(String) -> String;
    let cases: [(Spoil, &str); 11] = [
        (
            |_| "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into(),
            "the server answered 404 Not Found in place of 101",
        ),
        (
            |good| good.replace("Upgrade: WebSocket\r\n", ""),
            "the response lacks Upgrade: websocket or Connection: Upgrade",
        ),
        (
            |good| good.replace("HTTP/1.1 101", "HTTP/1.0 101"),
            "the server answered in HTTP/1.0, which knows no upgrade",
        ),
        (
            |good| good.replace("Upgrade: WebSocket", "Upgrade: WebSocket, h2c"),
            "the response lacks Upgrade: websocket or Connection: Upgrade",
        ),
        (
            |good| good.replace("Upgrade: WebSocket", "Upgrade: WebSocket\r\nUpgrade: WebSocket"),
            "the response lacks Upgrade: websocket or Connection: Upgrade",
        ),
        (
            |good| good.replace("Connection: upgrade\r\n", ""),
            "the response lacks Upgrade: websocket or Connection: Upgrade",
        ),
        (|good| good.replace("Accept: ", "Accept: x"), "Sec-WebSocket-Accept is not the answer to our key"),
        (|good| good.replace("Sec-WebSocket-Accept", "X"), "Sec-WebSocket-Accept is not the answer to our key"),
        (
            |good| good.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: z\r\n\r\n"),
            "the server chose the subprotocol z, which was not offered",
        ),
        (
            |good| good.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
            "the server uses the extension permessage-deflate, which was not offered",
        ),
        (
            |_| "SSH-2.0-OpenSSH\r\n".into(),
            "this is not HTTP/1 (TLS, HTTP/2 or another protocol?) (head, line 1, byte 0)",
        ),
    ];
    for (answer, why) in cases {
        let (peer, opened, log) = played(&test, client().subprotocols(["a"]));
        peer.send(answer(response(&peer.text())));
        let failure = opened.try_result().unwrap().unwrap_err();
        assert_eq!(failure.to_string(), why);
        assert!(failure.check::<HandshakeError>().is_some() || failure.check::<ParseError>().is_some());
        assert!(peer.is_disconnected());
        assert_eq!(log.borrow().len(), 0, "the program hears of nothing");
    }
    test.assert_clean();
}

#[test]
fn a_server_that_says_nothing_or_leaves_fails_the_attempt() {
    let test = MemoryLoop::new().unwrap();
    let (silent, opened, _) = played(&test, client().timeout(Duration::from_secs(5)));
    test.advance(Duration::from_secs(5));
    let failure = opened.try_result().unwrap().unwrap_err();
    assert_eq!(failure.to_string(), "the server did not answer the handshake in 5s");
    assert!(silent.is_disconnected());
    let (leaves, opened, _) = played(&test, client());
    leaves.send("HTTP/1.1 101 Swi");
    leaves.send_end();
    let failure = opened.try_result().unwrap().unwrap_err();
    assert_eq!(failure.to_string(), "the server closed the connection before it answered the handshake");
    assert!(matches!(failure.check(), Some(HandshakeError::Closed)));
    let (cancelled, opened, log) = played(&test, client());
    opened.cancel();
    assert!(opened.try_result().unwrap().unwrap_err().check::<CancelledError>().is_some());
    test.settle();
    assert!(cancelled.is_disconnected() && log.borrow().is_empty());
    test.assert_clean();
}

#[test]
fn a_servers_frames_must_not_be_masked() {
    let test = MemoryLoop::new().unwrap();
    let (peer, _opened, log) = played(&test, client());
    peer.send(response(&peer.text()));
    peer.clear();
    peer.send(b"\x81\x81\x01\x02\x03\x04\x60");
    assert_eq!(peer.value()[0], 0x88);
    peer.send_end();
    let end =
        format!("client lost: the peer broke the WebSocket protocol: {} (frame 1, byte 0)", FrameProblem::Masked);
    assert_eq!(log.borrow()[1], end);
    test.assert_clean();
}

#[test]
fn a_client_leaves_it_to_the_server_to_close_first_but_not_for_ever() {
    let test = MemoryLoop::new().unwrap();
    let (peer, opened, log) = played(&test, client().close_timeout(Duration::from_secs(5)));
    peer.send(response(&peer.text()));
    opened.try_result().unwrap().unwrap().close(CloseCode::NORMAL, "");
    test.settle();
    peer.send(b"\x88\x02\x03\xe8");
    assert!(!peer.sees_end());
    test.advance(Duration::from_secs(5));
    assert!(peer.is_disconnected());
    let end = WebSocketEnd::Closed { close: Close::new(CloseCode::NORMAL, ""), by_peer: false };
    assert_eq!(log.borrow()[1], format!("client lost: {end}"));
    test.assert_clean();
}

#[test]
fn a_url_that_is_none_is_told_why() {
    for (url, why) in [
        ("example.org", "it does not begin with ws://"),
        ("http://example.org", "it does not begin with ws:// or wss://"),
        ("ws://example.org/#top", "it has a fragment"),
        ("ws://example.org:99999/", "its port is no port"),
        ("ws://:80/", "its host is none"),
        ("ws://user@example.org/", "its host is none"),
        ("ws://::1/", "its host is none"),
        ("ws://[::1", "its host is none"),
        ("ws://[::1]x/", "its host is none"),
        ("ws://[localhost]/", "its host is none"),
        ("ws://example.org:+80/", "its port is no port"),
        ("ws://example.org/a b", "it has a space, a control character, or one that is not ASCII"),
    ] {
        let error = WebSocketClient::new(url).unwrap_err();
        assert_eq!(error.to_string(), format!("\"{url}\" is no URL of a WebSocket: {why}"));
    }
    for url in ["ws://[::1]:8080", "ws://[::1]/x", "WS://a?b", "wss://example.org", "ws://a:/"] {
        WebSocketClient::new(url).unwrap();
    }
}

#[test]
fn subprotocols_that_are_no_different_names_are_not_sent() {
    for names in [&["a", "a"][..], &["a, b"], &[""], &["a b"], &["\u{e9}"]] {
        let client = client().subprotocols(names.iter().copied());
        let failure = client.protocol(Teller { name: "client", log: Log::default() }).err().unwrap();
        assert!(matches!(failure.check(), Some(HandshakeError::Subprotocols)), "{failure}");
    }
}

#[cfg(not(feature = "tls"))]
#[test]
fn what_is_meant_for_tls_does_not_go_out_in_the_clear() {
    let test = MemoryLoop::new().unwrap();
    let teller = Teller { name: "client", log: Log::default() };
    let opened = WebSocketClient::new("wss://127.0.0.1:1/").unwrap().connect(&test, teller);
    let failure = opened.try_result().unwrap().unwrap_err();
    assert!(matches!(failure.check(), Some(HandshakeError::NoTls(..))), "{failure}");
    assert_eq!(failure.to_string(), "wss://127.0.0.1:1/ needs TLS, which is the feature `tls` of ropewalk");
    test.assert_clean();
}

#[test]
fn a_server_that_is_not_there_fails_the_attempt() {
    let event_loop = EventLoop::new().unwrap();
    let free = event_loop.listen_tcp("127.0.0.1:0", |_, _| None::<Box<dyn ropewalk::Protocol>>).unwrap();
    let url = format!("ws://127.0.0.1:{}/", free.address().port());
    event_loop.run_until(free.stop_listening(&event_loop)).unwrap();
    let teller = Teller { name: "client", log: Log::default() };
    let opened = WebSocketClient::new(&url).unwrap().connect(&event_loop, teller);
    let failed = opened.add_errback(|failure| match failure.check::<ConnectError>() {
        Some(_) => Err(Failure::msg("as it should")),
        None => Err(failure),
    });
    let error = event_loop.run_until(failed.map(|_| ())).unwrap_err();
    assert!(error.to_string().contains("as it should"), "{error}");
}

#[test]
fn a_client_says_goodbye_when_its_program_ends() {
    let event_loop = EventLoop::new().unwrap();
    let (server, client) = (Log::default(), Log::default());
    let told = server.clone();
    let site = WebSocketServer::new()
        .listen(&event_loop, "127.0.0.1:0", move |_, _| Teller { name: "server", log: told.clone() })
        .unwrap();
    let url = format!("ws://{}/", site.address().unwrap());
    let teller = Teller { name: "client", log: client.clone() };
    let socket = event_loop.run_until(WebSocketClient::new(&url).unwrap().connect(&event_loop, teller)).unwrap();
    event_loop.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, move |_| {
        socket.close(CloseCode::GOING_AWAY, "");
        socket.closed().map(drop)
    });
    event_loop.call_soon(|event_loop| event_loop.stop());
    event_loop.run().unwrap();
    assert_eq!(server.borrow()[1..], ["server lost: the peer closed the WebSocket, 1001 (going away)"]);
    assert_eq!(
        client.borrow()[1..],
        ["client lost: the WebSocket was closed; the peer answered 1001 (going away)"]
    );
}
