//! The line server of `examples/line_server`: no socket, and no waiting.

#[path = "../examples/line_server/server.rs"]
mod server;
#[path = "../examples/line_server/store.rs"]
mod store;

use ropewalk::testing::{MemoryLoop, ProducerState, StringTransport};
use server::{LINE, SILENCE, Session};
use std::time::Duration;
use store::{Full, KEYS, Store};

struct Scene {
    test: MemoryLoop,
    store: Store,
}

impl Scene {
    fn new() -> Scene {
        Scene { test: MemoryLoop::new().unwrap(), store: Store::default() }
    }

    fn connect(&self) -> StringTransport {
        self.test.connected(Session::receiver(self.store.clone()))
    }

    /// What is answered to these lines, on a connection of their own.
    fn answers(&self, lines: &[&str]) -> Vec<String> {
        let peer = self.connect();
        lines.iter().for_each(|line| peer.send(format!("{line}\n")));
        let answers = peer.text().lines().map(str::to_owned).collect();
        peer.send_end();
        answers
    }
}

#[test]
fn what_is_set_can_be_got_until_it_is_deleted() {
    let scene = Scene::new();
    let lines =
        ["GET poem", "SET poem If I were", "get poem", "COUNT", "DEL poem", "GET poem", "DEL poem", "COUNT"];
    assert_eq!(scene.answers(&lines), ["NONE", "OK", "TEXT If I were", "1", "OK", "NONE", "NONE", "0"]);
    scene.test.assert_clean();
}

#[test]
fn the_store_is_one_for_all_connections_and_outlives_them() {
    let scene = Scene::new();
    assert_eq!(scene.answers(&["SET poem a", "QUIT", "GET poem"]), ["OK", "BYE"]);
    assert_eq!(scene.answers(&["GET poem\r"]), ["TEXT a"]);
    scene.test.assert_clean();
}

#[test]
fn a_key_lives_as_long_as_it_was_told_to() {
    let scene = Scene::new();
    assert_eq!(scene.answers(&["EXPIRE poem 10", "SET poem a", "EXPIRE poem 10"]), ["NONE", "OK", "OK"]);
    scene.test.advance(Duration::from_millis(9_999));
    assert_eq!(scene.answers(&["GET poem"]), ["TEXT a"]);
    scene.test.advance(Duration::from_millis(1));
    assert_eq!(scene.answers(&["GET poem"]), ["NONE"]);
    scene.test.assert_clean();
}

#[test]
fn the_end_of_a_value_is_not_the_end_of_the_next_one() {
    let scene = Scene::new();
    // Set again, told again, deleted: each time the old timer is off the loop.
    scene.answers(&["SET a 1", "EXPIRE a 10", "SET a 2", "SET b 1", "EXPIRE b 10", "EXPIRE b 20"]);
    scene.test.advance(Duration::from_secs(19));
    assert_eq!(scene.answers(&["GET a", "GET b"]), ["TEXT 2", "TEXT 1"]);
    scene.test.advance(Duration::from_secs(1));
    assert_eq!(scene.answers(&["GET b", "SET c 1", "EXPIRE c 10", "DEL c"]), ["NONE", "OK", "OK", "OK"]);
    scene.test.assert_clean();
}

#[test]
fn what_makes_no_sense_is_answered_with_what_would() {
    let scene = Scene::new();
    for line in ["", "SET", "SET a", "SET  b", "GET", "GET a b", "COUNT 1", "FROB a", "\u{1b}[2J"] {
        let answer = scene.answers(&[line]).concat();
        assert!(answer.starts_with("ERROR ") && answer.contains("SET key text"), "{line:?}: {answer}");
        assert!(!answer.contains('\u{1b}'), "nothing that a terminal would obey");
    }
    let answer = scene.answers(&["SET a 1", "EXPIRE a soon"]);
    assert_eq!(answer, ["OK", "ERROR soon is no number of seconds: invalid digit found in string"]);
    let peer = scene.connect();
    peer.send(b"GET \xff\nCOUNT\n");
    assert_eq!(peer.text(), "ERROR that is no UTF-8\n1\n");
}

#[test]
fn a_line_that_is_too_long_is_an_error_and_the_next_one_is_read() {
    let scene = Scene::new();
    let long = format!("SET a {}", "x".repeat(LINE));
    assert_eq!(scene.answers(&[&long, "COUNT"]), [&format!("ERROR a line has at most {LINE} bytes"), "0"]);
}

#[test]
fn however_the_bytes_are_cut_the_answers_are_the_same() {
    for seed in 0..50 {
        let test = MemoryLoop::cutting(seed).unwrap();
        let peer = test.connected(Session::receiver(Store::default()));
        peer.send("SET poem If I were\r\nGET poem\nQUIT\n");
        assert_eq!(peer.text(), "OK\nTEXT If I were\nBYE\n", "seed {seed}");
        assert!(peer.is_disconnected());
    }
}

#[test]
fn there_is_room_for_so_many_keys_and_a_full_store_still_takes_new_texts() {
    let store = Store::default();
    (0..KEYS).for_each(|n| store.set(&n.to_string(), "").unwrap());
    assert_eq!(store.set("one more", ""), Err(Full));
    assert_eq!(store.set("7", "new"), Ok(()));
    assert_eq!(store.get("7").as_deref(), Some("new"));
    let scene = Scene { test: MemoryLoop::new().unwrap(), store };
    assert!(scene.answers(&["SET x y"]).concat().contains("10000 keys, and no more are kept"));
    assert_eq!(scene.answers(&["DEL 7", "SET x y"]), ["OK", "OK"]);
}

#[test]
fn silence_is_the_end_and_every_line_puts_it_off() {
    let scene = Scene::new();
    let peer = scene.connect();
    for _ in 0..3 {
        scene.test.advance(SILENCE - Duration::from_secs(1));
        peer.send("COUNT\n");
    }
    assert!(!peer.is_disconnected());
    scene.test.advance(SILENCE);
    assert!(peer.is_disconnected());
    scene.test.assert_clean();
}

#[test]
fn who_asks_and_does_not_read_is_not_read_any_more() {
    let scene = Scene::new();
    let peer = scene.connect();
    peer.set_room(Some(0));
    peer.send("HELP\n".repeat(100_000));
    assert_eq!(peer.producer_state(), ProducerState::Paused);
    let waits = peer.transport().buffered();
    assert!(waits < 2 << 20, "{waits} bytes wait");
    peer.set_room(None);
    assert_eq!(peer.text().lines().count(), 100_000);
}
