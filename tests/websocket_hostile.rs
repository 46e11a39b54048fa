//! Peers that mean no good, over memory: each harms its own connection only, at a bounded cost, and the next one is served.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ropewalk::Failure;
use ropewalk::http::{Server, Site};
use ropewalk::testing::{MemoryLoop, StringTransport};
use ropewalk::websocket::{
    Deflate, Limits, Message, WebSocket, WebSocketClient, WebSocketProtocol, WebSocketServer, accept_key,
};
use ropewalk::{Address, EventLoop};

struct Echo {
    lost: Rc<RefCell<usize>>,
}

impl WebSocketProtocol for Echo {
    fn message_received(&mut self, _: &EventLoop, socket: &WebSocket, message: Message<'_>) -> Result<(), Failure> {
        match message {
            Message::Text(text) => socket.send_text(text)?,
            Message::Binary(data) => socket.send_binary(data)?,
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &EventLoop, _: Failure) {
        *self.lost.borrow_mut() += 1;
    }
}

struct Bench {
    test: MemoryLoop,
    site: Site,
    lost: Rc<RefCell<usize>>,
}

impl Bench {
    fn new() -> Bench {
        Bench::of(WebSocketServer::new())
    }

    fn of(sockets: WebSocketServer) -> Bench {
        let (test, lost) = (MemoryLoop::new().unwrap(), Rc::<RefCell<usize>>::default());
        let own = lost.clone();
        let server = Server::new().fallback(move |_, request| {
            let lost = own.clone();
            sockets.accept(&request, |_| Echo { lost })
        });
        Bench { site: server.start(&test).unwrap(), test, lost }
    }

    fn connect(&self) -> StringTransport {
        self.test.connected(self.site.protocol(&Address::Memory))
    }

    fn open(&self) -> StringTransport {
        let peer = self.connect();
        peer.send(ASK);
        assert!(peer.text().starts_with("HTTP/1.1 101 "), "{}", peer.text());
        peer.clear();
        peer
    }

    /// What these bytes are answered, behind the handshake.
    fn told(&self, data: &[u8]) -> Vec<u8> {
        let peer = self.open();
        peer.send(data);
        let told = peer.value();
        peer.reset();
        told
    }

    #[track_caller]
    fn still_serves(&self) {
        let told = self.told(b"\x81\x82\0\0\0\0ok");
        assert_eq!(told, b"\x81\x02ok");
        assert_eq!(self.site.connections(), 0);
    }
}

const ASK: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn handshakes_are_taken_or_refused_with_the_right_status() {
    let with = |field: &str| ASK.replace("Host: a\r\n", &format!("Host: a\r\n{field}\r\n"));
    let key = |key: &str| ASK.replace("dGhlIHNhbXBsZSBub25jZQ==", key);
    let cases = [
        (ASK.to_owned(), 101),
        (ASK.replace("Upgrade: websocket", "upgrade:WebSocket"), 101),
        (ASK.replace("Connection: Upgrade", "Connection: keep-alive, UPGRADE"), 101),
        (ASK.replace("Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade"), 101),
        (ASK.replace("Upgrade: websocket", "Upgrade: h2c, websocket"), 101),
        (ASK.replace("Upgrade: websocket", "Upgrade: WEBSOCKET ,, h2c"), 101),
        (ASK.replace("Upgrade: websocket", "Upgrade: h2c\r\nUpgrade: websocket"), 101),
        (ASK.replace("Connection: Upgrade", "Connection:\tkeep-alive ,\tupgrade\t"), 101),
        (ASK.replace("GET / ", "GET http://a/ "), 101),
        (ASK.replace("Host: a", "HOST:a"), 101),
        (key("  dGhlIHNhbXBsZSBub25jZQ==\t"), 101),
        (with("Content-Length: 0"), 101),
        (with("Sec-WebSocket-Extensions: x-one; a=1; b=\"2\", x-two"), 101),
        (with("Sec-WebSocket-Extensions: permessage-deflate"), 101),
        (with("Sec-WebSocket-Protocol: one, two"), 101),
        (with("Sec-WebSocket-Protocol: one\r\nSec-WebSocket-Protocol: two, ONE"), 101),
        (with("Origin: null"), 101),
        // The method and the version of HTTP.
        (ASK.replace("GET", "POST"), 400),
        (ASK.replace("GET", "HEAD"), 400),
        (ASK.replace("GET", "get"), 400),
        (ASK.replace("GET", "OPTIONS"), 400),
        (ASK.replace("GET / HTTP/1.1", "GET /"), 400),
        (ASK.replace("HTTP/1.1", "HTTP/1.0"), 400),
        (ASK.replace("HTTP/1.1", "HTTP/2.0"), 505),
        (ASK.replace("HTTP/1.1", "HTTP/1.1x"), 400),
        (ASK.replace("Host: a\r\n", ""), 400),
        (with("Host: b"), 400),
        // Who does not ask for it.
        (ASK.replace("Upgrade: websocket\r\n", ""), 426),
        (ASK.replace("Upgrade: websocket", "Upgrade: websockets"), 426),
        (ASK.replace("Upgrade: websocket", "Upgrade: websocket/13"), 426),
        (ASK.replace("Upgrade: websocket", "Upgrade: web socket"), 426),
        (ASK.replace("Upgrade: websocket", "Upgrade:"), 426),
        (ASK.replace("Connection: Upgrade", "Connection: close"), 426),
        (ASK.replace("Connection: Upgrade\r\n", ""), 426),
        (ASK.replace("Connection: Upgrade", "Connection: Upgrades"), 426),
        // The version.
        (ASK.replace("Version: 13", "Version: 12"), 426),
        (ASK.replace("Version: 13", "Version: 14"), 426),
        (ASK.replace("Version: 13", "Version: 8"), 426),
        (ASK.replace("Version: 13", "Version: 7"), 426),
        (ASK.replace("Version: 13", "Version: 0"), 426),
        (ASK.replace("Version: 13", "Version: -13"), 426),
        (ASK.replace("Version: 13", "Version: +13"), 426),
        (ASK.replace("Version: 13", "Version: 13.0"), 426),
        (ASK.replace("Version: 13", "Version: \"13\""), 426),
        (ASK.replace("Version: 13", "Version:"), 426),
        (with("Sec-WebSocket-Version: 8"), 426),
        (ASK.replace("Version: 13", "Version: 013"), 426),
        (ASK.replace("Version: 13", "Version: 13, 8"), 426),
        (with("Sec-WebSocket-Version: 13"), 426),
        (ASK.replace("Sec-WebSocket-Version: 13\r\n", ""), 426),
        // The key.
        (ASK.replace(KEY, ""), 400),
        (with(KEY.trim_end()), 400),
        (key(""), 400),
        (key("dGhlIHNhbXBsZSBub25jZQ"), 400),
        (key("dGhlIHNhbXBsZSBub25jZR=="), 400),
        (key("dGhlIHNhbXBsZSBub25jZQ=="[..22].trim()), 400),
        (key("dGhlIHNhbXBsZSBub25jZQ==="), 400),
        (key("====dGhlIHNhbXBsZSBub25jZQ"), 400),
        (key("\"dGhlIHNhbXBsZSBub25jZQ==\""), 400),
        (key("dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="), 400),
        (key(&"A".repeat(4000)), 400),
        (with("Sec-WebSocket-Key:"), 400),
        (key("dGhlIHNhbXBsZSBub25j"), 400),
        (key("dGhlIHNhbXBsZSBub25jZWE="), 400),
        (key("dGhlIHNhbXBsZSBub25jZ-=="), 400),
        (key("dGhlIHNhbXBsZ SBub25jZQ=="), 400),
        // Bodies.
        (with("Content-Length: 5") + "hello", 400),
        (with("Transfer-Encoding: chunked") + "0\r\n\r\n", 400),
        // Names and extensions.
        (with("Sec-WebSocket-Protocol: one, one"), 400),
        (with("Sec-WebSocket-Protocol: one\r\nSec-WebSocket-Protocol: one"), 400),
        (with("Sec-WebSocket-Protocol: a b"), 400),
        (with("Sec-WebSocket-Protocol: a;b"), 400),
        (with("Sec-WebSocket-Protocol: ,"), 400),
        (with("Sec-WebSocket-Protocol: one, two, one"), 400),
        (with("Sec-WebSocket-Protocol: \u{e9}"), 400),
        (with("Sec-WebSocket-Protocol:"), 400),
        (with("Sec-WebSocket-Extensions: ;"), 400),
        (with("Sec-WebSocket-Extensions:"), 400),
        (with("Sec-WebSocket-Extensions: permessage-deflate;"), 400),
        (with("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits="), 400),
        (with("Sec-WebSocket-Extensions: x-one\r\nSec-WebSocket-Extensions: =1"), 400),
        (with("Sec-WebSocket-Extensions: a; b=\"c"), 400),
        (with("Sec-WebSocket-Extensions: \u{e9}"), 400),
        // Heads.
        (with(&format!("X: {}", "x".repeat(100_000))), 431),
        (ASK.replace("GET /", &format!("GET /{}", "x".repeat(100_000))), 414),
        (with(&"X: y\r\n".repeat(1000)), 431),
        (ASK.replace("Host: a", "Host : a"), 400),
        (ASK.replace("Host: a", "Host: a b"), 400),
        (with("no colon"), 400),
        (with(" folded: x"), 400),
        (with("X: a\0b"), 400),
    ];
    let bench = Bench::new();
    for (request, status) in cases {
        let peer = bench.connect();
        peer.send(&request);
        let answer = peer.text();
        let start: String = request.chars().take(300).collect();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{start}\nis answered\n{answer}");
        let versions = answer.matches("\r\nSec-WebSocket-Version: 13\r\n").count();
        assert_eq!(versions, usize::from(status == 426 && answer.contains("Version is")), "{start}\n{answer}");
        peer.reset();
        bench.still_serves();
    }
    bench.test.assert_clean();
}

#[test]
fn what_breaks_the_rules_of_frames_is_closed_with_its_code() {
    let close = |code: u16| [&b"\x88\x82\0\0\0\0"[..], &code.to_be_bytes()].concat();
    let mut cases: Vec<(Vec<u8>, u16)> = [
        // Without a mask.
        (&b"\x81\x02hi"[..], 1002),
        (b"\x81\x00", 1002),
        (b"\x89\x00", 1002),
        (b"\x88\x00", 1002),
        // Control frames that are long, or in fragments.
        (b"\x89\xfe\x00\x7e", 1002),
        (b"\x8a\xff", 1002),
        (b"\x88\xfe\x00\x7e", 1002),
        (b"\x09\x80\0\0\0\0", 1002),
        (b"\x08\x80\0\0\0\0", 1002),
        (b"\x0a\x80\0\0\0\0", 1002),
        // Fragments out of order.
        (b"\x80\x80\0\0\0\0", 1002),
        (b"\x00\x80\0\0\0\0", 1002),
        (b"\x01\x80\0\0\0\0\x81\x80\0\0\0\0", 1002),
        (b"\x01\x80\0\0\0\0\x02\x80\0\0\0\0", 1002),
        (b"\x01\x80\0\0\0\0\x00\x80\0\0\0\0\x81\x80\0\0\0\0", 1002),
        // Lengths, which nobody needs the mask for to see.
        (b"\x82\xfe\x00\x7d", 1002),
        (b"\x82\xff\0\0\0\0\0\0\xff\xff", 1002),
        (b"\x82\xff\x80\0\0\0\0\0\0\0", 1002),
        (b"\x82\xff\x40\0\0\0\0\0\0\0", 1009),
        (b"\x82\xff\0\0\0\0\0\x10\0\x01", 1009),
        (b"\x82\xfe\x00\x00\0\0\0\0", 1002),
        (b"\x82\xfe\x00\x7d\0\0\0\0", 1002),
        (b"\x82\xff\0\0\0\0\0\0\xff\xff\0\0\0\0", 1002),
        (b"\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 1002),
        (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1002),
        (b"\x82\xff\x40\0\0\0\0\0\0\0\0\0\0\0", 1009),
        (b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009),
        (b"\x82\xff\0\0\0\0\0\x10\0\x01\0\0\0\0", 1009),
        // Close frames.
        (b"\x88\x81\0\0\0\0\x03", 1002),
        (b"\x88\x83\0\0\0\0\x03\xe8\xff", 1007),
        (b"\x88\x84\0\0\0\0\x03\xe8\xc3\x28", 1007),
        // Texts.
        (b"\x81\x81\0\0\0\0\xff", 1007),
        (b"\x81\x82\0\0\0\0\xc0\xaf", 1007),
        (b"\x81\x83\0\0\0\0\xed\xa0\x80", 1007),
        (b"\x81\x81\0\0\0\0\xc3", 1007),
        (b"\x81\xfe\x01\0\0\0\0\0\xff", 1007),
    ]
    .map(|(data, code)| (data.to_vec(), code))
    .to_vec();
    // Reserved bits and opcodes: the first byte is enough.
    cases.extend([0xc1, 0xa1, 0x91, 0xf1, 0xc0, 0xc8, 0xc9, 0xca, 0x41].map(|first| (vec![first], 1002)));
    cases.extend((3..8).chain(11..16).map(|code| (vec![0x80 | code], 1002)));
    cases.extend(
        [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535].map(|code| (close(code), 1002)),
    );
    // Codes that may be sent are answered as they are.
    cases
        .extend([1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999].map(|code| (close(code), code)));
    let bench = Bench::new();
    let answered = cases.len();
    for (data, code) in cases {
        // Whatever follows is not looked at.
        for rest in [&b""[..], b"\x81\x82\0\0\0\0hi", b"\xff\xff\xff"] {
            // A frame that is not whole goes on with it.
            if !rest.is_empty() && data == b"\x81\xfe\x01\0\0\0\0\0\xff" {
                continue;
            }
            let told = bench.told(&[&data, rest].concat());
            assert_eq!((told[0], usize::from(told[1])), (0x88, told.len() - 2), "{data:02x?} {told:02x?}");
            assert_eq!(told[2..4], code.to_be_bytes(), "{data:02x?}");
        }
    }
    assert_eq!(*bench.lost.borrow(), 3 * answered - 2);
    bench.still_serves();
    bench.test.assert_clean();
}

#[test]
fn a_handshake_may_come_in_any_pieces_and_frames_right_behind_it() {
    let bench = Bench::new();
    let hello = b"\x81\x85\x01\x02\x03\x04\x69\x67\x6f\x68\x6e";
    let all = [ASK.as_bytes(), hello].concat();
    let answered = |peer: &StringTransport| {
        let answer = peer.value();
        assert!(answer.starts_with(b"HTTP/1.1 101 ") && answer.ends_with(b"\r\n\r\n\x81\x05hello"), "{answer:?}");
        peer.reset();
    };
    for cut in 1..all.len() {
        let peer = bench.connect();
        peer.send(&all[..cut]);
        peer.send(&all[cut..]);
        answered(&peer);
    }
    let peer = bench.connect();
    all.iter().for_each(|byte| peer.send([*byte]));
    answered(&peer);
    bench.still_serves();
    bench.test.assert_clean();
}

#[test]
fn what_follows_a_handshake_is_frames_and_a_refused_one_may_be_tried_again() {
    let bench = Bench::new();
    // Neither a request nor an empty line is a frame: of both the first byte has reserved bits or an opcode of none.
    for rest in [ASK, "\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let peer = bench.connect();
        peer.send(format!("{ASK}{rest}"));
        let answer = peer.value();
        let frames = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(answer[frames], 0x88, "{answer:?}");
        assert_eq!(answer[frames + 2..frames + 4], 1002u16.to_be_bytes());
        peer.reset();
    }
    for bad in [ASK.replace("Version: 13", "Version: 8"), ASK.replace("Upgrade: websocket\r\n", "")] {
        let peer = bench.connect();
        peer.send(format!("{bad}{ASK}"));
        peer.send(b"\x81\x82\0\0\0\0ok");
        let answer = peer.value();
        assert!(answer.starts_with(b"HTTP/1.1 426 ") && answer.ends_with(b"\x81\x02ok"), "{answer:?}");
        peer.reset();
    }
    bench.still_serves();
    bench.test.assert_clean();
}

#[test]
fn a_text_is_refused_with_its_first_wrong_byte_and_not_before() {
    let bench = Bench::new();
    // All but the last byte can go on as UTF-8.
    let wrong: [&[u8]; 21] = [
        b"\x80",
        b"\xbf",
        b"\xc0",
        b"\xc1",
        b"\xf5",
        b"\xfe",
        b"\xff",
        b"\xc3\x28",
        b"\xc3\xc3",
        b"\xe0\x9f",
        b"\xe2\x28",
        b"\xe2\x82\x28",
        b"\xed\xa0",
        b"\xed\xbf",
        b"\xf0\x8f",
        b"\xf0\x9f\x28",
        b"\xf0\x9f\x98\x28",
        b"\xf4\x90",
        b"\xce\xba\xff",
        b"\xef\xbf\xbf\xed\xa0",
        b"plain \xf8",
    ];
    for wrong in wrong {
        let (last, good) = wrong.split_last().unwrap();
        // In a frame that is not whole yet, and in fragments of a byte each.
        for fragments in [false, true] {
            let peer = bench.open();
            if !fragments {
                peer.send([&b"\x81\xe4\0\0\0\0"[..], good].concat());
            }
            for (i, byte) in good.iter().enumerate().filter(|_| fragments) {
                peer.send([u8::from(i == 0), 0x81, 0, 0, 0, 0, *byte]);
            }
            assert_eq!(peer.value(), b"", "{wrong:02x?}");
            let head: &[u8] = if fragments { &[u8::from(good.is_empty()), 0x81, 0, 0, 0, 0] } else { &[] };
            peer.send([head, &[*last]].concat());
            assert_eq!(peer.value()[2..4], 1007u16.to_be_bytes(), "{wrong:02x?}");
            peer.reset();
        }
    }
    // Half a character is one only if more comes.
    for half in [&b"\xc3"[..], b"\xe2\x82", b"\xf0\x9f\x98"] {
        let first = [&[0x01, 0x80 | half.len() as u8, 0, 0, 0, 0], half].concat();
        let told = bench.told(&[&first[..], b"\x80\x80\0\0\0\0"].concat());
        assert_eq!(told[2..4], 1007u16.to_be_bytes(), "{half:02x?}");
    }
    bench.still_serves();
    bench.test.assert_clean();
}

#[test]
fn control_frames_and_the_limit_hold_inside_a_fragmented_message() {
    let bench = Bench::of(WebSocketServer::new().limits(Limits::of_message(10)));
    let first = b"\x01\x85\0\0\0\0hello";
    let ping = [&b"\x89\xfd\0\0\0\0"[..], &[7; 125]].concat();
    // A ping is answered at once, whatever the limit of messages; a pong that nobody asked for is not.
    let told = bench.told(&[&first[..], &ping, b"\x8a\x81\0\0\0\0?\x80\x85\0\0\0\0world"].concat());
    assert_eq!(told, [&b"\x8a\x7d"[..], &[7; 125], b"\x81\x0ahelloworld"].concat());
    // Its own sum, not each frame; and the head says it.
    let told = bench.told(&[&first[..], b"\x00\x86"].concat());
    assert_eq!((told[0], &told[2..4]), (0x88, &1009u16.to_be_bytes()[..]));
    // Behind the last fragment nothing goes on.
    let told = bench.told(&[&first[..], b"\x80\x80\0\0\0\0\x80\x80\0\0\0\0"].concat());
    assert_eq!((&told[..7], &told[9..11]), (&b"\x81\x05hello"[..], &1002u16.to_be_bytes()[..]));
    // A message may be given up by closing.
    let told = bench.told(&[&first[..], b"\x88\x82\0\0\0\0\x03\xe9"].concat());
    assert_eq!(told, b"\x88\x02\x03\xe9");
    bench.still_serves();
    bench.test.assert_clean();
}

#[test]
fn with_compression_one_reserved_bit_has_a_meaning_and_that_where_a_message_begins() {
    let bench = Bench::of(WebSocketServer::new().deflate(Deflate::new()));
    let ask = ASK.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
    let cases: [(&[u8], u16); 12] = [
        (b"\xa1", 1002),
        (b"\x91", 1002),
        (b"\xf1", 1002),
        (b"\xe2", 1002),
        (b"\xc8", 1002),
        (b"\xc9", 1002),
        (b"\xca", 1002),
        (b"\xc3", 1002),
        (b"\x41\x80\0\0\0\0\xc0", 1002),
        (b"\x01\x80\0\0\0\0\x40", 1002),
        // No deflate stream: a block of the type that there is not. And one that unpacks to no text: \xff.
        (b"\xc1\x81\0\0\0\0\x07", 1007),
        (b"\xc1\x86\0\0\0\0\x00\x01\x00\xfe\xff\xff", 1007),
    ];
    for (data, code) in cases {
        let peer = bench.connect();
        peer.send(&ask);
        assert!(peer.text().contains("permessage-deflate"), "{}", peer.text());
        peer.clear();
        peer.send(data);
        let told = peer.value();
        assert_eq!(told[0], 0x88, "{data:02x?} {told:02x?}");
        assert_eq!(told[2..4], code.to_be_bytes(), "{data:02x?}");
        peer.reset();
    }
    bench.still_serves();
    bench.test.assert_clean();
}

#[test]
fn a_peer_that_sends_no_more_is_answered_what_it_asked_and_let_go() {
    let bench = Bench::new();
    for (data, told) in [
        (&b"\x81\x82\0\0\0\0ok"[..], &b"\x81\x02ok"[..]),
        (b"\x89\x80\0\0\0\0\x81\x82\0\0\0\0ok\x01", b"\x8a\x00\x81\x02ok"),
        (b"\x81\x82\0\0\0\0o", b""),
        (b"\x88\x80\0\0\0\0", b"\x88\x00"),
        (b"", b""),
    ] {
        let peer = bench.open();
        peer.send(data);
        peer.send_end();
        assert_eq!(peer.value(), told, "{data:02x?}");
        assert!(peer.sees_end() && !peer.sees_reset(), "{data:02x?}");
        assert_eq!(bench.site.connections(), 0);
    }
    assert_eq!(*bench.lost.borrow(), 5);
    bench.still_serves();
    bench.test.assert_clean();
}

#[test]
fn a_connection_that_breaks_off_at_any_byte_is_lost_and_nothing_else() {
    let bench = Bench::new();
    let frames = b"\x01\x83\x01\x02\x03\x04abc\x89\x81\x01\x02\x03\x04x\x80\xfe\x00\x7e\x01\x02\x03\x04";
    let all = [ASK.as_bytes(), frames, &[0x41; 126], b"\x88\x82\0\0\0\0\x03\xe8"].concat();
    for cut in 0..all.len() {
        for end in [false, true] {
            let peer = bench.connect();
            peer.send(&all[..cut]);
            if end {
                peer.send_end();
                // It may be asked to close for a time.
                bench.test.advance(Duration::from_secs(60));
            } else {
                peer.reset();
            }
            assert_eq!(bench.site.connections(), 0, "after {cut} bytes");
        }
    }
    bench.still_serves();
    bench.test.assert_clean();
}

#[test]
fn floods_are_answered_as_they_come_and_keep_nothing() {
    let bench = Bench::of(WebSocketServer::new().deflate(Deflate::new()));
    let peer = bench.open();
    // A million empty fragments, with pings between them.
    peer.send(b"\x01\x80\0\0\0\0");
    let empty = [&b"\x00\x80\0\0\0\0".repeat(999)[..], b"\x89\x80\0\0\0\0"].concat();
    for _ in 0..1000 {
        peer.send(&empty);
        assert_eq!(peer.value(), b"\x8a\x00");
        peer.clear();
    }
    peer.send(b"\x80\x81\0\0\0\0a");
    assert_eq!(peer.value(), b"\x81\x01a");
    peer.clear();
    let pings = b"\x89\x80\0\0\0\0".repeat(1000);
    for _ in 0..100 {
        peer.send(&pings);
        assert_eq!(peer.value(), b"\x8a\x00".repeat(1000));
        peer.clear();
    }
    peer.reset();
    bench.still_serves();
    bench.test.assert_clean();
}

/// What a client that offers compression says of a server that answers so; `KEY` stands for the right answer to its key.
fn refused(answer: &str) -> String {
    let test = MemoryLoop::new().unwrap();
    let lost = Rc::<RefCell<usize>>::default();
    let client = WebSocketClient::new("ws://example.org/").unwrap().deflate(Deflate::new());
    let (protocol, opened) = client.protocol(Echo { lost: lost.clone() }).unwrap();
    let peer = test.connected(protocol);
    let request = peer.text();
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    peer.send(answer.replace("KEY", &accept_key(key)));
    let failure = opened.try_result().expect("it is decided").expect_err("it is refused");
    assert!(peer.is_disconnected());
    assert_eq!(*lost.borrow(), 0, "the program hears of nothing");
    test.assert_clean();
    failure.to_string()
}

#[test]
fn a_client_says_what_is_wrong_with_a_servers_answer() {
    let good = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: KEY\r\n";
    let status = |status: &str| format!("HTTP/1.1 {status}\r\nLocation: /there\r\nContent-Length: 2\r\n\r\nno");
    let with = |field: &str| format!("{good}{field}\r\n\r\n");
    let cases = [
        (status("200 OK"), "200 OK"),
        (status("301 Moved Permanently"), "301 Moved Permanently"),
        (status("401 Unauthorized"), "401 Unauthorized"),
        (status("404 Not Found"), "404 Not Found"),
        (status("503 Service Unavailable"), "503 Service Unavailable"),
        (good.replace("Accept: KEY", "Accept: KEYx") + "\r\n", "not the answer to our key"),
        (with("Sec-WebSocket-Accept: KEY"), "not the answer to our key"),
        (good.replace("Upgrade: websocket", "Upgrade: h2c") + "\r\n", "lacks Upgrade: websocket"),
        (with("Sec-WebSocket-Protocol: chat"), "the subprotocol chat, which was not offered"),
        (with("Sec-WebSocket-Extensions: x-other"), "the extension x-other, which was not offered"),
        (with("Sec-WebSocket-Extensions: ;"), "no list of extensions"),
        (with("Sec-WebSocket-Extensions: permessage-deflate; x"), "a parameter is unknown"),
        (with("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=7"), "is not 8 to 15"),
        (with("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"), "has no value"),
        (
            with("Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Extensions: permessage-deflate"),
            "more than once",
        ),
        (with(&format!("X: {}", "x".repeat(1_000_000))), "head"),
        ("HTTP/1.1 100 Continue\r\n\r\n".repeat(100), "head"),
    ];
    for (answer, why) in cases {
        let said = refused(&answer);
        let start: String = answer.chars().take(300).collect();
        assert!(said.contains(why), "{start}\n{said}");
    }
}
