//! The finger server and client of `examples/finger`, without sockets, files or waiting.

#[path = "../examples/finger/client.rs"]
mod client;
#[path = "../examples/finger/directory.rs"]
mod directory;
#[path = "../examples/finger/server.rs"]
mod server;

use client::{ANSWER, Ask, ask};
use directory::Question;
use ropewalk::testing::{MemoryLoop, StringTransport, assert_no_result, failure_of, success_of};
use ropewalk::{CancelledError, Deferred, EventLoop, Failure, Resolver};
use server::{Directory, Finger, READ_TIME, TIME};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const PEOPLE: &str = "alice:Alice Liddell:Following a rabbit.\n\ncarroll:Lewis Carroll:Counting: \x1b[2J\nbob\n";
const ALICE: &str = "alice            Alice Liddell\r\n";

fn people() -> Directory {
    Rc::new(|_: &EventLoop| Deferred::succeed(PEOPLE.to_owned()))
}

/// A directory that takes its time: the test says when.
fn slow_people() -> (Directory, Rc<RefCell<Vec<Resolver<String>>>>) {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let asking = asked.clone();
    let directory = Rc::new(move |_: &EventLoop| {
        let (resolver, text) = Deferred::new();
        asking.borrow_mut().push(resolver);
        text
    });
    (directory, asked)
}

fn answer_to(question: &str) -> String {
    let test = MemoryLoop::new().unwrap();
    let peer = test.connected(Finger::receiver(people()));
    peer.send(question);
    assert!(peer.is_disconnected() && !peer.sees_reset());
    test.assert_clean();
    peer.text()
}

#[test]
fn a_line_is_a_question_as_the_rfc_has_it() {
    let about = |user, long| Question::About { user, long };
    for (line, question) in [
        ("", Question::All { long: false }),
        ("/W", Question::All { long: true }),
        ("/w  ", Question::All { long: true }),
        ("alice", about("alice", false)),
        ("  alice\r", about("alice", false)),
        ("/W alice", about("alice", true)),
        ("/Walice", about("/Walice", false)),
        ("é", about("é", false)),
        ("alice@example.org", Question::Forward),
        ("/W @a@b", Question::Forward),
    ] {
        assert_eq!(Question::parse(line), question, "{line}");
    }
}

#[test]
fn a_user_is_found_by_login_or_by_a_word_of_the_name() {
    assert_eq!(answer_to("alice\r\n"), ALICE);
    assert_eq!(answer_to("liddell\r\n"), ALICE);
    assert_eq!(answer_to("/W alice\r\n"), format!("{ALICE}    Following a rabbit.\r\n"));
    assert_eq!(answer_to("\r\n").lines().count(), 3);
}

#[test]
fn an_unknown_user_is_said_to_be_unknown() {
    assert_eq!(answer_to("nobody\r\n"), "nobody: no such user\r\n");
    assert_eq!(answer_to("Ali\r\n"), "Ali: no such user\r\n");
}

#[test]
fn no_order_to_a_terminal_goes_out() {
    assert_eq!(answer_to("/W carroll\r\n"), "carroll          Lewis Carroll\r\n    Counting: ?[2J\r\n");
    assert_eq!(answer_to("\x1b[2J\r\n"), "?[2J: no such user\r\n");
    assert_eq!(answer_to("\u{9b}J\r\n"), "?J: no such user\r\n");
}

#[test]
fn a_bare_line_feed_ends_a_question() {
    assert_eq!(answer_to("alice\n"), ALICE);
    assert_eq!(answer_to("\n").lines().count(), 3);
}

#[test]
fn forwarding_is_refused_and_nobody_is_looked_up_for_it() {
    let test = MemoryLoop::new().unwrap();
    let (people, asked) = slow_people();
    let peer = test.connected(Finger::receiver(people));
    peer.send("alice@example.org\r\n");
    assert_eq!(peer.text(), "Finger forwarding service denied\r\n");
    assert!(peer.is_disconnected() && asked.borrow().is_empty());
    test.assert_clean();
}

#[test]
fn a_question_that_is_too_long_is_refused_before_it_ends() {
    let test = MemoryLoop::new().unwrap();
    let peer = test.connected(Finger::receiver(people()));
    peer.send("x".repeat(1000));
    assert_eq!(peer.text(), "A question has at most 512 bytes\r\n");
    assert!(peer.is_disconnected());
    test.assert_clean();
}

#[test]
fn only_the_first_question_is_answered() {
    let test = MemoryLoop::new().unwrap();
    let (people, asked) = slow_people();
    let peer = test.connected(Finger::receiver(people));
    peer.send(format!("alice\r\nbob\r\n{}\r\n", "x".repeat(1000)));
    assert_eq!(asked.borrow().len(), 1);
    asked.take().remove(0).succeed(PEOPLE.into());
    assert_eq!(peer.text(), ALICE);
    test.assert_clean();
}

#[test]
fn who_does_not_ask_is_closed_when_the_time_is_over() {
    let test = MemoryLoop::new().unwrap();
    let peer = test.connected(Finger::receiver(people()));
    peer.send("ali");
    test.advance(TIME - Duration::from_millis(1));
    assert!(!peer.is_disconnected());
    test.advance(Duration::from_millis(1));
    assert!(peer.is_disconnected() && peer.text().is_empty());
    test.assert_clean();
}

#[test]
fn who_closes_its_half_behind_the_question_still_gets_the_answer() {
    let test = MemoryLoop::new().unwrap();
    let (people, asked) = slow_people();
    let peer = test.connected(Finger::receiver(people.clone()));
    peer.send("alice\r\n");
    peer.send_end();
    assert!(!peer.is_disconnected());
    asked.take().remove(0).succeed(PEOPLE.into());
    assert_eq!(peer.text(), ALICE);
    // And who closes it without a question is closed.
    let silent = test.connected(Finger::receiver(people));
    silent.send_end();
    assert!(silent.is_disconnected());
    test.assert_clean();
}

#[test]
fn a_directory_that_fails_or_never_answers_is_excused() {
    for fails in [true, false] {
        let test = MemoryLoop::new().unwrap();
        let (people, asked) = slow_people();
        let peer = test.connected(Finger::receiver(people));
        peer.send("alice\r\n");
        match fails {
            true => asked.take().remove(0).fail(Failure::msg("no such file: /secret/place")),
            false => test.advance(TIME),
        }
        assert_eq!(peer.text(), "The directory cannot be read now\r\n");
        assert!(peer.is_disconnected());
        test.assert_clean();
    }
}

#[test]
fn a_look_up_is_called_off_when_nobody_waits_for_it() {
    let test = MemoryLoop::new().unwrap();
    let (people, asked) = slow_people();
    let peer = test.connected(Finger::receiver(people));
    peer.send("alice\r\n");
    peer.reset();
    assert!(asked.borrow()[0].is_cancelled());
    test.assert_clean();
}

#[test]
fn an_answer_that_is_not_read_is_thrown_away_in_the_end() {
    let test = MemoryLoop::new().unwrap();
    let peer = test.connected(Finger::receiver(people()));
    peer.set_room(Some(3));
    peer.send("alice\r\n");
    assert!(!peer.is_disconnected(), "it waits");
    test.advance(TIME + READ_TIME);
    assert!(peer.is_disconnected() && peer.sees_reset());
    test.assert_clean();
}

/// A client whose server is the test.
fn asking(test: &MemoryLoop, user: &str) -> (StringTransport, Deferred<String>) {
    let mut peer = None;
    let answer = ask(user, |protocol: Ask| {
        let played = test.connected(protocol);
        let transport = played.transport();
        peer = Some(played);
        Deferred::succeed(transport)
    });
    (peer.unwrap(), answer)
}

#[test]
fn the_client_and_the_server_understand_each_other_however_the_network_cuts() {
    for seed in 0..20 {
        let test = MemoryLoop::cutting(seed).unwrap();
        let port = test.network().listen("finger", |_, _| Some(Finger::receiver(people())));
        let answer = ask("/W Alice", |protocol| test.network().connect(&test, "finger", protocol));
        test.settle();
        assert_eq!(success_of(answer), "alice            Alice Liddell\n    Following a rabbit.\n", "seed {seed}");
        port.stop_listening();
        test.assert_clean();
    }
}

#[test]
fn the_client_shows_no_order_to_a_terminal() {
    let test = MemoryLoop::new().unwrap();
    let (peer, answer) = asking(&test, "alice");
    assert_eq!(peer.value(), b"alice\r\n");
    peer.send(b"\x1b]0;title\x07\r\n\xff\r\n");
    assert_no_result(&answer);
    peer.send_end();
    assert_eq!(success_of(answer), "?]0;title?\n\u{fffd}\n");
}

#[test]
fn an_answer_without_end_a_reset_and_a_server_that_is_not_there_are_errors() {
    let test = MemoryLoop::new().unwrap();
    let (peer, answer) = asking(&test, "alice");
    (0..=ANSWER / 1000).for_each(|_| peer.send([b'x'; 1000]));
    assert_eq!(failure_of(answer).to_string(), "the answer is longer than 65536 bytes");
    assert!(peer.is_disconnected());

    let (peer, answer) = asking(&test, "alice");
    peer.send(b"half an ans");
    peer.reset();
    assert!(failure_of(answer).to_string().starts_with("the connection was lost while reading"));

    let answer = ask("alice", |protocol| test.network().connect(&test, "nobody", protocol));
    test.settle();
    assert!(failure_of(answer).to_string().starts_with("cannot connect to nobody"));
    test.assert_clean();
}

#[test]
fn a_question_that_is_cancelled_closes_its_connection() {
    let test = MemoryLoop::new().unwrap();
    let (peer, answer) = asking(&test, "alice");
    answer.cancel();
    test.settle();
    assert!(peer.is_disconnected() && peer.sees_reset());
    assert!(failure_of(answer).check::<CancelledError>().is_some());
    test.assert_clean();
}
