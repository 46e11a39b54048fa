//! Servers that mean no good, over memory: a client tells its program, harms nobody else, and never waits for ever.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ropewalk::http::ParseError;
use ropewalk::testing::{MemoryLoop, StringTransport};
use ropewalk::websocket::{
    HandshakeError, Limits, Message, WebSocket, WebSocketClient, WebSocketEnd, WebSocketProtocol, accept_key,
    apply_mask,
};
use ropewalk::{ConnectionDone, ConnectionLost, Deferred, EventLoop, Failure};

/// What a client's program was told.
#[derive(Clone, Default)]
struct Heard {
    messages: Rc<RefCell<Vec<String>>>,
    end: Rc<RefCell<Option<Failure>>>,
}

impl WebSocketProtocol for Heard {
    fn message_received(&mut self, _: &EventLoop, _: &WebSocket, message: Message<'_>) -> Result<(), Failure> {
        self.messages.borrow_mut().push(format!("{message:?}"));
        Ok(())
    }

    fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
        assert!(self.end.replace(Some(reason)).is_none(), "told once");
    }
}

/// The answer that a client wants.
fn good(accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// A client whose server is played by the test.
struct Played {
    test: MemoryLoop,
    server: StringTransport,
    opened: Deferred<WebSocket>,
    heard: Heard,
    accept: String,
}

impl Played {
    fn new() -> Played {
        let (test, heard) = (MemoryLoop::new().unwrap(), Heard::default());
        let client = WebSocketClient::new("ws://example.org/").unwrap().limits(Limits::of_message(1 << 20));
        let (protocol, opened) = client.protocol(heard.clone()).unwrap();
        let server = test.connected(protocol);
        let request = server.text();
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = accept_key(key);
        server.clear();
        Played { test, server, opened, heard, accept }
    }

    fn good(&self) -> String {
        good(&self.accept)
    }

    /// Behind the handshake.
    fn open() -> Played {
        let played = Played::new();
        played.server.send(played.good());
        played
    }

    /// What the attempt failed with. Nothing is left of it, and the program heard of nothing.
    #[track_caller]
    fn refused(self) -> Failure {
        let failure = self.opened.try_result().expect("it is decided").expect_err("it is refused");
        assert!(self.server.is_disconnected());
        assert!(self.heard.end.borrow().is_none() && self.heard.messages.borrow().is_empty());
        self.test.assert_clean();
        failure
    }
}

/// The payload of the one frame that a client sent; it is masked.
#[track_caller]
fn unmasked(frame: &[u8], first: u8) -> Vec<u8> {
    assert_eq!((frame[0], frame[1] & 0x80), (first, 0x80), "{frame:02x?}");
    assert_eq!(frame.len(), 6 + usize::from(frame[1] & 0x7f), "one frame: {frame:02x?}");
    let mut payload = frame[6..].to_vec();
    apply_mask(&mut payload, [frame[2], frame[3], frame[4], frame[5]], 0);
    payload
}

#[test]
fn what_breaks_the_rules_of_frames_is_closed_with_its_code() {
    let mut cases: Vec<(Vec<u8>, u16)> = [
        // Masked.
        (&b"\x81\x82\x01\x02\x03\x04hi"[..], 1002),
        (b"\x81\x80", 1002),
        (b"\x89\x80", 1002),
        (b"\x88\x80", 1002),
        (b"\x82\xfe", 1002),
        // Control frames that are long, or in fragments.
        (b"\x89\x7e\x00\x7e", 1002),
        (b"\x8a\x7f", 1002),
        (b"\x88\x7e", 1002),
        (b"\x09\x00", 1002),
        (b"\x0a\x00", 1002),
        (b"\x08\x00", 1002),
        // Fragments out of order.
        (b"\x80\x00", 1002),
        (b"\x00\x01a", 1002),
        (b"\x01\x00\x81\x00", 1002),
        (b"\x01\x00\x02\x00", 1002),
        // Lengths.
        (b"\x82\x7e\x00\x00", 1002),
        (b"\x82\x7e\x00\x7d", 1002),
        (b"\x82\x7f\0\0\0\0\0\0\xff\xff", 1002),
        (b"\x82\x7f\x80\0\0\0\0\0\0\0", 1002),
        (b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 1002),
        (b"\x82\x7f\x40\0\0\0\0\0\0\0", 1009),
        (b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 1009),
        (b"\x82\x7f\0\0\0\0\0\x10\0\x01", 1009),
        // Close frames and texts.
        (b"\x88\x01\x03", 1002),
        (b"\x88\x03\x03\xe8\xff", 1007),
        (b"\x81\x01\xff", 1007),
        (b"\x81\x01\xc3", 1007),
        (b"\x81\x03\xed\xa0", 1007),
        (b"\x01\x01\xc3\x80\x01\x28", 1007),
    ]
    .map(|(data, code)| (data.to_vec(), code))
    .to_vec();
    cases.extend([0xc1, 0xa1, 0x91, 0xf1, 0xc0, 0xc8, 0xc9, 0xca, 0x41].map(|first| (vec![first], 1002)));
    cases.extend((3..8).chain(11..16).map(|code| (vec![0x80 | code], 1002)));
    cases.extend([0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535].map(|code: u16| {
        let [high, low] = code.to_be_bytes();
        (vec![0x88, 2, high, low], 1002)
    }));
    for (data, code) in cases {
        let played = Played::open();
        played.server.send(&data);
        let payload = unmasked(&played.server.value(), 0x88);
        assert_eq!(payload[..2], code.to_be_bytes(), "{data:02x?}");
        assert!(played.server.sees_end(), "it fails the connection and does not wait: {data:02x?}");
        // Whatever comes behind it is not looked at.
        played.server.clear();
        played.server.send(b"\x81\x02hi\x89\x00");
        assert_eq!(played.server.value(), b"");
        played.server.send_end();
        let end = played.heard.end.take().unwrap();
        assert!(matches!(end.check(), Some(WebSocketEnd::Broken(error)) if error.close_code().code() == code));
        assert!(played.heard.messages.borrow().is_empty(), "{data:02x?}");
        played.test.assert_clean();
    }
}

#[test]
fn codes_that_may_be_sent_are_answered_as_they_are() {
    for code in [1000u16, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999] {
        let played = Played::open();
        let [high, low] = code.to_be_bytes();
        played.server.send([0x88, 5, high, low, b'b', b'y', b'e', 0xff]);
        played.test.settle();
        assert_eq!(unmasked(&played.server.value(), 0x88), code.to_be_bytes());
        played.server.send_end();
        let end = played.heard.end.take().unwrap();
        let Some(WebSocketEnd::Closed { close, by_peer: true }) = end.check() else { panic!("{end}") };
        assert_eq!((close.code.unwrap().code(), &*close.reason), (code, "bye"));
        played.test.assert_clean();
    }
}

#[test]
fn an_answer_may_come_in_any_pieces_and_frames_right_behind_it() {
    let length = good(&accept_key("")).len() + 4;
    for cut in 1..length {
        let played = Played::new();
        let all = [played.good().as_bytes(), b"\x81\x02hi"].concat();
        played.server.send(&all[..cut]);
        assert_eq!(played.opened.has_result(), cut >= length - 4, "after {cut} bytes");
        played.server.send(&all[cut..]);
        assert_eq!(*played.heard.messages.borrow(), ["Text(\"hi\")"]);
        played.server.reset();
        assert!(played.heard.end.take().unwrap().check::<ConnectionLost>().is_some());
        played.test.assert_clean();
    }
}

#[test]
fn an_answer_that_breaks_off_at_any_byte_fails_the_attempt() {
    let length = good(&accept_key("")).len();
    for cut in 0..length {
        for end in [false, true] {
            let played = Played::new();
            played.server.send(&played.good()[..cut]);
            if end {
                played.server.send_end();
                assert!(matches!(played.refused().check(), Some(HandshakeError::Closed)), "after {cut} bytes");
            } else {
                played.server.reset();
                assert!(played.refused().check::<ConnectionLost>().is_some(), "after {cut} bytes");
            }
        }
    }
    // Behind it, the program is told.
    for end in [false, true] {
        let played = Played::open();
        played.server.send(b"\x81\x05hel");
        if end {
            played.server.send_end()
        } else {
            played.server.reset()
        }
        let reason = played.heard.end.take().unwrap();
        assert_eq!(reason.check() == Some(&WebSocketEnd::Unclosed), end, "{reason}");
        assert!(reason.check::<ConnectionDone>().is_none());
        played.test.assert_clean();
    }
}

#[test]
fn what_is_no_right_101_is_refused_with_the_reason() {
    let cases: [(&str, &str, &str); 19] = [
        ("Upgrade: websocket\r\n", "", "lacks Upgrade: websocket"),
        ("Upgrade: websocket", "Upgrade:", "lacks Upgrade: websocket"),
        ("Upgrade: websocket", "Upgrade: websocket/13", "lacks Upgrade: websocket"),
        ("Connection: Upgrade\r\n", "", "lacks Upgrade: websocket"),
        ("Connection: Upgrade", "Connection: close", "lacks Upgrade: websocket"),
        ("Connection: Upgrade", "Connection: Upgrades", "lacks Upgrade: websocket"),
        ("Accept: ", "Accept: x", "not the answer to our key"),
        ("Accept: ", "Accept: x\r\nSec-WebSocket-Accept: ", "not the answer to our key"),
        ("Sec-WebSocket-Accept: ", "X: ", "not the answer to our key"),
        ("\r\n\r\n", ", \r\n\r\n", "not the answer to our key"),
        ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: \r\n\r\n", "chose the subprotocol"),
        ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "was not offered"),
        ("101 Switching Protocols", "102 Processing", "closed the connection before"),
        ("101 Switching Protocols", "200 Switching Protocols", "200"),
        ("101 Switching Protocols", "1010 Switching Protocols", "the first line is not HTTP/1.1"),
        ("HTTP/1.1", "HTTP/1.0", "HTTP/1.0"),
        ("HTTP/1.1", "HTTP/2", ""),
        ("Upgrade: websocket", "Upgrade : websocket", "header"),
        ("Upgrade: websocket", "Upgrade: websocket\r\n folded", "lacks Upgrade: websocket"),
    ];
    for (good, bad, why) in cases {
        let played = Played::new();
        played.server.send(played.good().replacen(good, bad, 1));
        played.server.send_end();
        let said = played.refused().to_string();
        assert!(said.contains(why), "{bad:?}: {said}");
    }
    for banner in ["SSH-2.0-OpenSSH_9\r\n", "\0\x01\x02\x03", "\r\n\r\n\r\n\r\n"] {
        let played = Played::new();
        played.server.send(banner);
        assert!(played.refused().check::<ParseError>().is_some(), "{banner:?}");
    }
}

#[test]
fn another_status_is_told_at_its_head_whatever_body_it_announces() {
    for (status, field) in [
        ("200 OK", "Content-Length: 4000000000"),
        ("200 OK", "Transfer-Encoding: chunked"),
        ("301 Moved Permanently", "Location: ws://example.org/there\r\nContent-Length: 0"),
        ("302 Found", "Location: http://example.org/"),
        ("400 Bad Request", "Connection: close"),
        ("401 Unauthorized", "WWW-Authenticate: Basic\r\nContent-Length: 3"),
        ("407 Proxy Authentication Required", "Content-Length: 3"),
        ("426 Upgrade Required", "Sec-WebSocket-Version: 8, 7"),
        ("500 Internal Server Error", "Content-Length: 3"),
    ] {
        let played = Played::new();
        played.server.send(format!("HTTP/1.1 {status}\r\n{field}\r\n\r\n"));
        let said = played.refused().to_string();
        assert!(said.contains(&status[..3]), "{status}: {said}");
    }
}

#[test]
fn an_answer_that_drips_has_the_time_of_the_whole_handshake() {
    let played = Played::new();
    let good = played.good();
    for (second, byte) in good.bytes().enumerate().take(29) {
        played.server.send([byte]);
        played.test.advance(Duration::from_secs(1));
        assert!(!played.server.is_disconnected(), "after {second} s");
    }
    played.test.advance(Duration::from_secs(1));
    assert!(matches!(played.refused().check(), Some(HandshakeError::Timeout(time)) if time.as_secs() == 30));
}

#[test]
fn floods_of_a_server_are_answered_as_they_come_and_keep_nothing() {
    let played = Played::open();
    played.server.send(b"\x01\x00");
    for _ in 0..100 {
        played.server.send(b"\x00\x00".repeat(10_000));
    }
    played.server.send(b"\x80\x01a");
    assert_eq!(*played.heard.messages.borrow(), ["Text(\"a\")"]);
    // It reads no more than it can answer: each pong is larger than its ping.
    played.server.set_room(Some(0));
    for _ in 0..100 {
        played.server.send(b"\x89\x00".repeat(10_000));
    }
    let waits = played.server.transport().buffered();
    assert!(waits <= 3 * 65_536, "{waits} bytes wait");
    played.server.reset();
    assert!(played.heard.end.take().is_some());
    played.test.assert_clean();
}
