//! The chat of `examples/chat`, without sockets and without waiting.

#[path = "../examples/chat/member.rs"]
mod member;
#[path = "../examples/chat/room.rs"]
mod room;

use member::Member;
use room::{HIGH_WATER, MEMBERS, PATIENCE, Room};
use ropewalk::testing::{MemoryLoop, StringTransport};
use std::rc::Rc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

struct Chat {
    test: MemoryLoop,
    room: Rc<Room>,
}

impl Chat {
    fn new() -> Chat {
        Chat { test: MemoryLoop::new().unwrap(), room: Room::new() }
    }

    fn guest(&self) -> StringTransport {
        self.test.connected(Member::receiver(&self.room))
    }

    /// Somebody with a name, who has read what came until now.
    fn member(&self, name: &str) -> StringTransport {
        let member = self.guest();
        member.send(format!("{name}\n"));
        assert!(member.text().contains("Welcome"), "{}", member.text());
        member.clear();
        member
    }

    /// All leave, and nothing is left of them.
    fn close(self, members: &[&StringTransport]) {
        members.iter().for_each(|member| member.send_end());
        assert_eq!(self.room.count(), 0);
        self.test.assert_clean();
    }
}

/// What came to somebody since it was asked last, line by line.
fn heard(member: &StringTransport) -> Vec<String> {
    let text = member.text();
    member.clear();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_name_is_asked_for_until_it_is_a_good_one() {
    let chat = Chat::new();
    let guest = chat.guest();
    assert_eq!(heard(&guest), ["* What is your name?"]);
    for bad in ["", "two words", "seventeen-letters", "no\tbell\x07", "/who"] {
        guest.send(format!("{bad}\n"));
        assert_eq!(heard(&guest), ["* A name has 1 to 16 letters, digits, - and _. What is your name?"], "{bad}");
    }
    guest.send("Zoë_3\r\n");
    assert_eq!(heard(&guest)[0], "* Welcome, Zoë_3. Here are: Zoë_3");
    chat.close(&[&guest]);
}

#[test]
fn nobody_has_the_name_of_somebody_else_not_even_in_other_letters() {
    let chat = Chat::new();
    let (alice, guest) = (chat.member("Alice"), chat.guest());
    for taken in ["Alice", "alice", "ALICE"] {
        guest.clear();
        guest.send(format!("{taken}\n"));
        assert_eq!(heard(&guest), ["* Somebody here has that name. What is your name?"]);
    }
    alice.send_end();
    guest.send("alice\n");
    assert_eq!(heard(&guest)[0], "* Welcome, alice. Here are: alice");
    chat.close(&[&guest]);
}

#[test]
fn what_one_says_the_others_hear() {
    let chat = Chat::new();
    let (alice, bob, carol) = (chat.member("alice"), chat.member("bob"), chat.member("carol"));
    alice.clear();
    bob.clear();
    alice.send("hello\n\n/me waves\nbye\n");
    assert_eq!(heard(&bob), ["alice: hello", "* alice waves", "alice: bye"]);
    assert_eq!(heard(&carol), ["alice: hello", "* alice waves", "alice: bye"]);
    assert_eq!(heard(&alice), ["* alice waves"]);
    chat.close(&[&alice, &bob, &carol]);
}

#[test]
fn all_hear_who_comes_and_how_somebody_goes() {
    let chat = Chat::new();
    let alice = chat.member("alice");
    let (bob, carol, guest) = (chat.member("bob"), chat.member("carol"), chat.guest());
    assert_eq!(heard(&alice), ["* bob has come (2 here)", "* carol has come (3 here)"]);
    bob.send("/quit\n/who\n");
    assert_eq!(heard(&bob), ["* carol has come (3 here)", "* Good-bye."]);
    assert!(bob.is_disconnected());
    carol.reset();
    guest.send_end();
    assert_eq!(heard(&alice), ["* bob has left (2 here)", "* carol has lost the connection (1 here)"]);
    chat.close(&[&alice]);
}

#[test]
fn commands_are_answered_to_the_one_who_gives_them() {
    let chat = Chat::new();
    let (alice, bob) = (chat.member("alice"), chat.member("bob"));
    alice.clear();
    alice.send("/who\n/help\n/msg nobody hello\n/msg\n/me\n");
    let help = "* /who  /me DOES SOMETHING  /msg NAME TEXT  /quit";
    let nobody = "* Nobody here is called nobody";
    assert_eq!(heard(&alice), ["* Here are: alice, bob", help, nobody, "* /msg NAME TEXT", help]);
    assert_eq!(heard(&bob), [""; 0]);
    alice.send("/msg BOB  a secret \n");
    assert_eq!(heard(&bob), ["alice (to you): a secret"]);
    assert_eq!(heard(&alice), ["* BOB was told"]);
    chat.close(&[&alice, &bob]);
}

#[test]
fn no_order_to_a_terminal_comes_through() {
    let chat = Chat::new();
    let (alice, bob) = (chat.member("alice"), chat.member("bob"));
    alice.send("\x1b[2J\u{9b}31m red\x07\n");
    assert_eq!(heard(&bob), ["alice: \u{fffd}[2J\u{fffd}31m red\u{fffd}"]);
    alice.clear();
    alice.send(b"\xff\xfe\n");
    assert_eq!(heard(&alice), ["* That was no UTF-8."]);
    assert_eq!(heard(&bob), [""; 0]);
    chat.close(&[&alice, &bob]);
}

#[test]
fn a_line_that_is_too_long_is_heard_by_nobody_and_the_next_one_is() {
    let chat = Chat::new();
    let (alice, bob) = (chat.member("alice"), chat.member("bob"));
    alice.clear();
    alice.send("x".repeat(100_000));
    alice.send("and the end of it\nshort\n");
    assert_eq!(heard(&alice), ["* A line has at most 1024 bytes. Nobody heard this one."]);
    assert_eq!(heard(&bob), ["alice: short"]);
    chat.close(&[&alice, &bob]);
}

#[test]
fn the_room_has_so_many_places_and_one_that_is_left_is_free() {
    let chat = Chat::new();
    let members: Vec<_> = (0..MEMBERS).map(|i| chat.member(&format!("m{i}"))).collect();
    let late = chat.guest();
    assert_eq!(heard(&late), ["* The room is full. Please come later."]);
    assert!(late.is_disconnected());
    members[0].send_end();
    let next = chat.member("next");
    chat.close(&members.iter().chain([&next]).collect::<Vec<_>>());
}

#[test]
fn who_gives_no_name_and_who_says_nothing_has_to_go() {
    let chat = Chat::new();
    let (alice, guest, bob) = (chat.member("alice"), chat.guest(), chat.member("bob"));
    guest.send("not a name\n");
    chat.test.advance(MINUTE);
    assert_eq!(heard(&guest).last().unwrap(), "* You were silent for too long.");
    assert!(guest.is_disconnected());
    alice.clear();
    chat.test.advance(28 * MINUTE);
    bob.send("I am here\n");
    chat.test.advance(MINUTE);
    assert!(alice.is_disconnected() && !bob.is_disconnected());
    assert_eq!(heard(&alice), ["bob: I am here", "* You were silent for too long."]);
    assert_eq!(heard(&bob), ["* alice was silent for too long (1 here)"]);
    chat.close(&[&bob]);
}

/// Says many lines at once; `line` is 1000 bytes when it arrives.
fn flood(speaker: &StringTransport, lines: usize) {
    speaker.send(format!("{}\n", "x".repeat(1000 - "alice: \r\n".len())).repeat(lines));
}

#[test]
fn a_slow_member_holds_the_speakers_back_and_is_dropped_when_patience_is_over() {
    let chat = Chat::new();
    let (alice, slow, bob) = (chat.member("alice"), chat.member("slow"), chat.member("bob"));
    bob.clear();
    slow.set_room(Some(0));
    flood(&alice, 1000);
    assert!(alice.transport().is_paused(), "she is not read from");
    let waits = slow.transport().buffered();
    assert!(waits > HIGH_WATER && waits <= HIGH_WATER + 2000, "{waits}");
    assert_eq!(heard(&bob).len(), waits / 1000);
    // Others may add a line each, and are held then.
    bob.send("me too\nand again\n");
    assert!(bob.transport().is_paused() && slow.transport().buffered() < waits + 100);
    chat.test.advance(PATIENCE - Duration::from_millis(1));
    assert!(!slow.is_disconnected());
    chat.test.advance(Duration::from_millis(1));
    assert!(slow.is_disconnected() && slow.sees_reset());
    let rest = heard(&bob);
    assert!(rest.contains(&"* slow could not keep up (2 here)".to_owned()));
    assert_eq!(rest.len(), 1000 - waits / 1000 + 1, "all that was held back comes");
    assert!(heard(&alice).contains(&"bob: and again".to_owned()));
    chat.close(&[&alice, &bob]);
}

#[test]
fn a_slow_member_that_catches_up_in_time_stays_and_misses_nothing() {
    let chat = Chat::new();
    let (alice, slow) = (chat.member("alice"), chat.member("slow"));
    slow.set_room(Some(0));
    flood(&alice, 1000);
    let mut lines = 0;
    while lines < 1000 {
        assert!(alice.transport().is_paused());
        chat.test.advance(PATIENCE / 2);
        slow.set_room(None);
        lines += heard(&slow).len();
        if lines < 1000 {
            slow.set_room(Some(30_000));
            chat.test.advance(PATIENCE / 2);
            lines += heard(&slow).len();
        }
    }
    assert!(lines == 1000 && !slow.is_disconnected() && !alice.transport().is_paused());
    chat.test.advance(2 * PATIENCE);
    assert!(!slow.is_disconnected());
    chat.close(&[&alice, &slow]);
}

#[test]
fn short_lines_that_grow_on_their_way_drop_nobody_who_reads() {
    let chat = Chat::new();
    let (alice, bob) = (chat.member("sixteen-letters_"), chat.member("bob"));
    // 2 bytes each come in, 21 go out.
    alice.send("x\n".repeat(30_000));
    assert_eq!(heard(&bob).len(), 30_000);
    assert!(!bob.is_disconnected());
    chat.close(&[&alice, &bob]);
}

#[test]
fn those_who_come_and_go_cannot_fill_the_memory_of_a_slow_member() {
    let chat = Chat::new();
    let (alice, slow) = (chat.member("alice"), chat.member("slow"));
    slow.set_room(Some(0));
    flood(&alice, 100);
    let waits = slow.transport().buffered();
    for i in 0..10 * MEMBERS {
        let guest = chat.guest();
        guest.send(format!("guest-{i}\n{}\n", "x".repeat(1000)));
        guest.send_end();
    }
    assert_eq!(chat.room.count(), MEMBERS, "each is held behind its name, and keeps its place");
    assert!(slow.transport().buffered() < waits + MEMBERS * 40, "{}", slow.transport().buffered());
    chat.test.advance(PATIENCE);
    assert!(slow.is_disconnected());
    assert_eq!(chat.room.count(), 1, "they have gone");
    chat.close(&[&alice]);
}

#[test]
fn who_asks_and_does_not_read_holds_only_itself_back() {
    let chat = Chat::new();
    let (alice, bob, guest) = (chat.member("alice"), chat.member("bob"), chat.guest());
    guest.set_room(Some(0));
    guest.send("not a name\n".repeat(3000));
    assert!(guest.transport().is_paused() && guest.transport().buffered() < HIGH_WATER + 100);
    bob.clear();
    alice.send("hello\n");
    assert_eq!(heard(&bob), ["alice: hello"]);
    chat.test.advance(PATIENCE);
    assert!(guest.is_disconnected());
    chat.close(&[&alice, &bob]);
}

#[test]
fn who_quits_and_does_not_read_is_not_waited_for() {
    let chat = Chat::new();
    let (alice, bob) = (chat.member("alice"), chat.member("bob"));
    alice.clear();
    bob.set_room(Some(0));
    bob.send("/quit\n");
    assert_eq!(heard(&alice), ["* bob has left (1 here)"]);
    assert!(!bob.is_disconnected(), "the last word waits for it");
    chat.test.advance(PATIENCE);
    assert!(bob.is_disconnected());
    chat.close(&[&alice]);
}

#[test]
fn all_is_the_same_however_the_network_cuts() {
    for seed in 0..20 {
        let chat = Chat { test: MemoryLoop::cutting(seed).unwrap(), room: Room::new() };
        let (alice, bob) = (chat.member("alice"), chat.member("bob"));
        alice.send("Grüße\r\n/me waves\r\n");
        assert_eq!(heard(&bob), ["alice: Grüße", "* alice waves"], "seed {seed}");
        chat.close(&[&alice, &bob]);
    }
}
