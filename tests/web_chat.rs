//! The chat of `examples/web_chat`, without sockets, without a browser and without waiting.

#[path = "../examples/web_chat/room.rs"]
mod room;

use std::rc::Rc;
use std::time::Duration;

use room::{BURST, BURST_TIME, HISTORY, MEMBERS, NAME_TIME, Room, TEXT};
use ropewalk::Address;
use ropewalk::http::Site;
use ropewalk::protocols::Piece;
use ropewalk::testing::{MemoryLoop, StringTransport};
use ropewalk::websocket::{CloseCode, Event, Limits, MessageDecoder, Opcode, Role, encode_frame};

struct Chat {
    test: MemoryLoop,
    room: Rc<Room>,
    site: Site,
}

/// A browser window behind its handshake.
struct Window {
    peer: StringTransport,
    decoder: MessageDecoder,
    heard: Vec<String>,
}

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

impl Chat {
    fn new() -> Chat {
        let (test, room) = (MemoryLoop::new().unwrap(), Room::new(7));
        Chat { site: room.site().start(&test).unwrap(), test, room }
    }

    fn ask(&self, request: &str) -> StringTransport {
        let peer = self.test.connected(self.site.protocol(&Address::Memory));
        peer.send(request);
        peer
    }

    fn window(&self) -> Window {
        let peer = self.ask(ASK);
        let answer = peer.value();
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", answer[..head].escape_ascii());
        peer.clear();
        let mut window =
            Window { peer, decoder: MessageDecoder::new(Role::Client, Limits::default()), heard: Vec::new() };
        window.takes(&answer[head..]);
        window
    }

    /// Somebody with a name, who has read what came until now.
    fn member(&self, name: &str) -> Window {
        let mut window = self.window();
        window.says(name);
        assert_eq!(window.hears()[0], format!("welcome {name}"));
        window
    }

    /// All windows are closed, and nothing is left of them.
    fn close(self, windows: &[&Window]) {
        windows.iter().for_each(|window| window.peer.reset());
        assert_eq!((self.room.count(), self.site.connections()), (0, 0));
        self.test.assert_clean();
    }
}

impl Window {
    fn says(&self, text: &str) {
        self.sends(Opcode::Text, text);
    }

    fn sends(&self, opcode: Opcode, text: &str) {
        let mut frame = Vec::new();
        encode_frame(&mut frame, opcode, true, text.as_bytes(), Some([1, 2, 3, 4]));
        self.peer.send(frame);
    }

    fn takes(&mut self, bytes: &[u8]) {
        let mut piece = Piece::new(bytes);
        while let Some(event) = self.decoder.next_event(&mut piece).unwrap() {
            self.heard.push(match event {
                Event::Text(text) => text.replace('\n', " "),
                Event::Close(close) => format!("close {} {}", close.code.map_or(0, CloseCode::code), close.reason),
                other => format!("{other:?}"),
            });
        }
    }

    /// What came since it was asked last: the parts of a message with spaces between them.
    fn hears(&mut self) -> Vec<String> {
        let bytes = self.peer.value();
        self.peer.clear();
        self.takes(&bytes);
        std::mem::take(&mut self.heard)
    }
}

#[test]
fn what_one_says_all_hear_and_who_comes_later_is_told() {
    let chat = Chat::new();
    let mut anna = chat.member("Anna");
    anna.says("is anybody here?");
    assert_eq!(anna.hears(), ["said 7 Anna is anybody here?"]);
    let mut ben = chat.window();
    ben.says("Ben");
    assert_eq!(ben.hears(), ["welcome Ben", "said 7 Anna is anybody here?", "people Anna, Ben"]);
    assert_eq!(anna.hears(), ["note Ben has come.", "people Anna, Ben"]);
    ben.says("<img src=x onerror=alert(1)>");
    for window in [&mut anna, &mut ben] {
        assert_eq!(window.hears(), ["said 8 Ben <img src=x onerror=alert(1)>"]);
    }
    ben.peer.send_end();
    assert_eq!(anna.hears(), ["note Ben has left.", "people Anna"]);
    chat.close(&[&anna]);
}

#[test]
fn a_name_is_asked_for_until_it_is_a_good_one() {
    let chat = Chat::new();
    let (anna, mut other) = (chat.member("Anna"), chat.window());
    for bad in ["", "two words", "seventeen-letters", "a\nb", "<b>"] {
        other.says(bad);
        assert_eq!(other.hears(), ["name A name has 1 to 16 letters, digits, - and _."], "{bad:?}");
    }
    other.says("ANNA");
    assert_eq!(other.hears(), ["name Somebody here is called ANNA."]);
    other.says("Änne_2");
    assert_eq!(other.hears()[0], "welcome Änne_2");
    chat.close(&[&anna, &other]);
}

#[test]
fn a_line_break_in_a_text_is_no_part_of_the_message() {
    let chat = Chat::new();
    let mut anna = chat.member("Anna");
    anna.says(" one\ntwo\r\n\u{7}three ");
    assert_eq!(anna.hears(), ["said 7 Anna one two   three"]);
    anna.says("\n \t");
    assert_eq!(anna.hears(), [""; 0]);
    chat.close(&[&anna]);
}

#[test]
fn texts_that_are_too_long_too_many_or_no_texts_cost_the_one_who_sends_them() {
    let chat = Chat::new();
    let mut anna = chat.member("Anna");
    anna.says(&"ä".repeat(TEXT));
    assert_eq!(anna.hears().len(), 1);
    anna.says(&"ä".repeat(TEXT + 1));
    assert_eq!(anna.hears(), ["note Nobody heard that: a text has at most 500 characters."]);
    let mut bytes = chat.member("Bytes");
    bytes.sends(Opcode::Binary, "bytes");
    assert_eq!(bytes.hears(), ["close 1003 text only"]);
    let mut long = chat.member("Long");
    long.says(&"x".repeat(4 * TEXT + 1));
    assert!(long.hears()[0].starts_with("close 1009 "));
    [&bytes, &long].iter().for_each(|window| window.peer.reset());
    let mut fast = chat.member("Fast");
    (1..BURST).for_each(|n| fast.says(&n.to_string()));
    assert_eq!(fast.hears().len(), BURST as usize - 1);
    chat.test.advance(BURST_TIME + Duration::from_millis(1));
    (0..BURST).for_each(|n| fast.says(&n.to_string()));
    assert_eq!(fast.hears().len(), BURST as usize);
    fast.says("one more");
    assert_eq!(fast.hears(), ["close 1008 too many messages at once"]);
    fast.peer.reset();
    assert_eq!(chat.room.count(), 1);
    chat.close(&[&anna]);
}

#[test]
fn so_many_may_be_there_and_a_place_is_not_kept_for_who_gives_no_name() {
    let chat = Chat::new();
    let mut nameless = chat.window();
    let members: Vec<_> = (1..MEMBERS).map(|n| chat.member(&format!("m{n}"))).collect();
    let mut late = chat.window();
    assert_eq!(late.hears(), ["close 1008 the room is full"]);
    late.peer.reset();
    chat.test.advance(NAME_TIME);
    assert_eq!(nameless.hears(), ["close 1008 no name was given"]);
    nameless.peer.reset();
    let there = chat.member("in");
    assert_eq!(chat.room.count(), MEMBERS);
    let mut all: Vec<_> = members.iter().collect();
    all.push(&there);
    chat.close(&all);
}

#[test]
fn so_much_of_what_was_said_is_kept() {
    let chat = Chat::new();
    let anna = chat.member("Anna");
    for n in 0..HISTORY + 10 {
        anna.says(&n.to_string());
        chat.test.advance(BURST_TIME / 10);
    }
    let mut ben = chat.window();
    ben.says("Ben");
    let heard = ben.hears();
    assert_eq!(heard.len(), HISTORY + 2);
    assert_eq!(heard[1], "said 17 Anna 10");
    chat.close(&[&anna, &ben]);
}

#[test]
fn who_does_not_read_is_dropped_and_the_others_do_not_wait() {
    let chat = Chat::new();
    let (slow, mut anna) = (chat.member("Slow"), chat.member("Anna"));
    slow.peer.set_room(Some(0));
    let speakers: Vec<_> = (0..30).map(|n| chat.member(&format!("s{n}"))).collect();
    anna.hears();
    let mut said = 0;
    for speaker in &speakers {
        for _ in 1..BURST {
            speaker.says(&"x".repeat(TEXT));
            said += usize::from(!slow.peer.is_disconnected());
        }
    }
    // What the system would hold for it is none here, and a text has its head.
    assert!((450..520).contains(&said), "{said} texts of 500 bytes");
    let heard = anna.hears();
    assert_eq!(heard.iter().filter(|heard| heard.starts_with("said ")).count(), 30 * (BURST as usize - 1));
    assert!(heard.iter().any(|heard| heard == "note Slow has left."));
    let mut all: Vec<_> = speakers.iter().collect();
    all.push(&anna);
    chat.close(&all);
}

#[test]
fn only_pages_of_this_server_may_ask_and_the_page_may_go_nowhere_else() {
    let chat = Chat::new();
    let other = chat.ask(&ASK.replace("http://a", "http://b"));
    assert!(other.text().starts_with("HTTP/1.1 403 "), "{}", other.text());
    let page = chat.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let text = page.text();
    assert!(text.contains("Content-Security-Policy: default-src 'none';") && text.contains("</html>"), "{text}");
    for (number, limit) in [("maxlength=\"16\"", 16), ("maxlength=\"500\"", TEXT)] {
        assert!(text.contains(number), "the page has the limit {limit} too");
    }
    other.reset();
    page.reset();
    chat.close(&[]);
}
