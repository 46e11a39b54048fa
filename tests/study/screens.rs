//! What is drawn, at every size: on a terminal in memory.

use crate::{every_kind, record};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ropewalk::study::stepper::term::{Look, draw};
use ropewalk::study::stepper::{After, Front, Live};
use ropewalk::study::{Key, Stepper};
use ropewalk::{Deferred, DeferredList, EventLoop, Failure, TestClock, trace};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

const ASCII: Look = Look { color: false, ascii: true };

fn screen(stepper: &Stepper, width: u16, height: u16, look: Look) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("memory");
    terminal.draw(|frame| draw(frame, stepper, look)).expect("memory");
    let buffer = terminal.backend().buffer().clone();
    let cell = |x, y| buffer.cell((x, y)).map_or(" ", |cell| cell.symbol()).to_owned();
    (0..height).map(|y| (0..width).map(|x| cell(x, y)).collect::<String>().trim_end().to_owned()).collect()
}

fn has(screen: &[String], text: &str) -> bool {
    screen.iter().any(|line| line.contains(text))
}

#[test]
fn the_sentence_and_the_rail_never_disappear() {
    let mut stepper = Stepper::of(record(every_kind::poem));
    for c in "bd.pause\nc".chars() {
        stepper.key(if c == '\n' { Key::Enter } else { Key::Char(c) });
    }
    for (width, height) in [(80, 24), (100, 30), (120, 40), (200, 60), (79, 24), (80, 23), (40, 20), (30, 12)] {
        let drawn = screen(&stepper, width, height, ASCII);
        assert!(has(&drawn, "get_poem\" STOPS") || has(&drawn, "d2 \"get_poem\""), "{width}x{height}: {drawn:#?}");
        assert!(has(&drawn, "ok   err"), "{width}x{height}: {drawn:#?}");
        assert!(has(&drawn, "paused on d1") || width < 40, "{width}x{height}: {drawn:#?}");
    }
    for (width, height) in [(79, 24), (80, 23), (40, 20)] {
        assert!(!has(&screen(&stepper, width, height, ASCII), "== events"), "there is no room for more");
    }
    let wide = screen(&stepper, 120, 40, ASCII);
    for part in ["== events", "== why s", "== errors", "== output", "== what happened", " m3 audit tick"] {
        assert!(has(&wide, part), "{part} in {wide:#?}");
    }
    // The row at the cursor is marked, and the place in the source too.
    assert!(wide.iter().any(|line| line.starts_with("> ")), "{wide:#?}");
}

#[test]
fn each_event_can_be_drawn_at_each_size() {
    let programs = [every_kind::poem, every_kind::endings, every_kind::the_loop, every_kind::outside];
    let sizes = [(80, 24), (120, 40), (79, 24), (21, 9), (19, 5), (7, 2), (1, 1), (100, 24), (80, 34)];
    for program in programs {
        let mut stepper = Stepper::of(record(program));
        // The sizes take turns with the events: all of both, and not each with each.
        for (width, height) in sizes.into_iter().cycle() {
            let drawn = screen(&stepper, width, height, ASCII);
            assert!(drawn.iter().all(|line| line.is_ascii()), "{drawn:#?}");
            let before = stepper.cursor();
            stepper.key(Key::Char('s'));
            if stepper.cursor() == before {
                break;
            }
        }
        for key in ["w", "\t", "\t", "?", "x", "/abc"] {
            for c in key.chars() {
                stepper.key(if c == '\t' { Key::Tab } else { Key::Char(c) });
            }
            for (width, height) in sizes {
                screen(&stepper, width, height, Look { color: true, ascii: false });
            }
            stepper.key(Key::Escape);
        }
    }
}

#[test]
fn without_ascii_only_lines_are_added() {
    let stepper = Stepper::of(record(every_kind::poem));
    let (plain, lines) =
        (screen(&stepper, 80, 24, ASCII), screen(&stepper, 80, 24, Look { color: true, ascii: false }));
    let plainer: Vec<String> =
        lines.iter().map(|line| line.replace('\u{2500}', "=").replace('\u{2502}', "|")).collect();
    assert_eq!(plainer, plain);
}

#[test]
fn hostile_names_stay_in_their_cells() {
    let evil = "\u{1b}[2J\u{7}\r\n\u{202e}\u{4e2d}\u{6587}";
    let trace = record(|| {
        let d = Deferred::<String>::fail(Failure::msg(evil.repeat(50_000))).named(evil);
        trace::note(evil);
        trace::out(evil, trace::Stream::Stdout);
        d.step_named(evil).add_errback(move |_| Ok(evil.to_owned())).detach();
    });
    let mut stepper = Stepper::of(trace);
    while !stepper.is_at_head() {
        for (width, height) in [(80, 24), (120, 40), (40, 10)] {
            let drawn = screen(&stepper, width, height, ASCII);
            let text = drawn.concat();
            assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{drawn:#?}");
        }
        let before = stepper.cursor();
        stepper.key(Key::Char('s'));
        if before == stepper.cursor() {
            break;
        }
    }
}

/// Goes on until a line of the screen has this text, and answers the screen.
fn until(stepper: &mut Stepper, text: &str) -> Vec<String> {
    loop {
        let drawn = screen(stepper, 80, 24, ASCII);
        if has(&drawn, text) {
            return drawn;
        }
        let before = stepper.cursor();
        stepper.key(Key::Char('s'));
        assert_ne!(stepper.cursor(), before, "no \"{text}\"");
    }
}

#[test]
fn without_a_deferred_one_sees_what_waits() {
    let trace = record(|| {
        let event_loop = EventLoop::builder().clock(&TestClock::new()).build().unwrap();
        event_loop.call_later(5 * MS, |event_loop| event_loop.stop()).named("tea");
        event_loop.call_later(2 * MS, |_| {});
        event_loop.call_soon(|_| {});
        event_loop.run().unwrap();
    });
    let mut stepper = Stepper::of(trace);
    let drawn = until(&mut stepper, "Turn 1 of the loop begins");
    let pane = |row: &str| drawn.iter().position(|line| line.contains(row)).unwrap_or_else(|| panic!("{drawn:#?}"));
    assert!(has(&drawn, "== no Deferred yet == what waits =="), "{drawn:#?}");
    assert!(pane("is queued") < pane("due in 2.0 ms") && pane("due in 2.0 ms") < pane("due in 5.0 ms"));
    assert!(drawn[pane("due in 5.0 ms")].contains("m1 tea"), "{drawn:#?}");
    // A row leads to the line that made it.
    for key in [Key::Tab, Key::Down, Key::Enter] {
        stepper.key(key);
    }
    assert!(stepper.sentence().starts_with("Timer m2 is armed"), "{}", stepper.sentence());
    stepper.key(Key::Escape);
    until(&mut stepper, "The wait is over after 2.0 ms: a timer is due.");
    assert!(has(&until(&mut stepper, "The loop calls the callback of timer m1"), "nothing waits"));
}

#[test]
fn a_chain_with_steps_to_go_is_not_done() {
    let trace = record(|| {
        let (resolver, d) = Deferred::new();
        d.named("poem").step_named("one").map(|n: i32| n + 1).detach();
        resolver.succeed(1);
    });
    let mut stepper = Stepper::of(trace);
    assert!(has(&until(&mut stepper, "is fired with the value 1"), "d1 poem == ok 1 =="));
    assert!(has(&until(&mut stepper, "returns the value 2"), "d1 poem == done, ok 2 =="));
}

#[test]
fn a_member_says_at_once_which_group_keeps_its_error() {
    let mut stepper = Stepper::of(record(|| {
        let (resolver, d) = Deferred::<()>::new();
        DeferredList::new(vec![d.named("member")]).start().detach();
        resolver.fail(Failure::msg("no"));
    }));
    let fired = until(&mut stepper, "d1 \"member\" is fired with error f1 \"no\". It goes to group g1.");
    assert!(has(&fired, "d1 member == err f1 ==") && !has(&fired, "rests"), "{fired:#?}");
    assert!(has(&until(&mut stepper, "The group keeps it"), "f1 kept by g1"));
}

#[test]
fn what_is_asked_answered_and_found_is_shown_whole() {
    let long = "word ".repeat(40) + "end";
    let mut stepper = Stepper::of(record(|| trace::ask(format!("{long} of it?"), format!("{long} of that."))));
    assert!(has(&screen(&stepper, 80, 24, ASCII), "end of it?"));
    stepper.key(Key::Enter);
    assert!(has(&screen(&stepper, 80, 24, ASCII), "end of that."));
    let unhandled = ropewalk::testing::capture_unhandled();
    let mut stepper = Stepper::of(record(|| {
        Deferred::<()>::fail(Failure::msg("no")).named("a name that makes the line too long for it").detach();
    }));
    drop(unhandled.flush_unhandled());
    stepper.key(Key::Char('i'));
    let drawn = screen(&stepper, 80, 24, ASCII);
    assert!(has(&drawn, "== note ==") && has(&drawn, " lost: f1 \"no\" is LOST"), "{drawn:#?}");
    assert!(has(&drawn, "an errback would have caught") && has(&drawn, "? help"), "{drawn:#?}");
}

#[test]
fn outside_of_the_loop_no_turn_is_named_as_the_one_that_runs() {
    let mut stepper = Stepper::of(record(|| {
        let clock = TestClock::new();
        let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
        trace::note("before");
        event_loop.call_later(MS, |_| {});
        clock.advance(2 * MS).unwrap();
        trace::note("behind");
    }));
    assert!(has(&until(&mut stepper, "notes: before"), "|the setup"));
    let turn = until(&mut stepper, "Turn 2 of the loop begins. The test clock was moved on by 1.0 ms before it.");
    assert!(has(&turn, "  turn 2  ") && has(&turn, "|the loop"), "{turn:#?}");
    let behind = until(&mut stepper, "notes: behind");
    assert!(has(&behind, "  after turn 2  ") && has(&behind, "|the program, after turn 2"), "{behind:#?}");
}

#[test]
fn the_help_fits_on_the_smallest_screen_and_names_no_key_that_does_nothing() {
    let mut stepper = Stepper::of(record(every_kind::poem));
    stepper.key(Key::Char('?'));
    let drawn = screen(&stepper, 80, 24, ASCII);
    assert!(has(&drawn, "  s S   one event") && has(&drawn, "Any key ends this help."), "{drawn:#?}");
    assert!(!has(&drawn, "  v     ") && !has(&drawn, "  l     "), "those are words of the prompt: {drawn:#?}");
}

#[test]
fn a_cancel_that_makes_a_failure_is_shown_with_its_deferred() {
    let mut stepper = Stepper::of(record(|| {
        for name in ["first", "second"] {
            let (_resolver, d) = Deferred::<()>::new();
            let d = d.named(name).add_errback(|_| Ok(()));
            d.cancel();
        }
    }));
    for n in 1..=3 {
        stepper.key(Key::Char('e'));
        if n != 2 {
            let name = ["first", "second"][n / 2];
            assert!(has(&screen(&stepper, 80, 24, ASCII), &format!("== d{} {name} ==", n / 2 + 1)), "{n}");
        }
    }
}

#[test]
fn where_nothing_led_to_an_event_it_says_who_did_it() {
    let mut stepper = Stepper::of(record(|| trace::note("alone")));
    stepper.key(Key::Char('w'));
    assert!(has(&screen(&stepper, 80, 24, ASCII), " nothing led here: the setup"));
}

#[test]
fn the_status_says_past_or_present_at_each_width() {
    /// Keeps the first line of each size, and lets the program run on.
    struct Status(Rc<RefCell<Vec<String>>>);

    impl Front for Status {
        fn stop(&mut self, stepper: &mut Stepper) -> io::Result<After> {
            stepper.key(Key::End);
            self.0
                .borrow_mut()
                .extend([80, 100, 120, 160].map(|width| screen(stepper, width, 40, ASCII)[0].clone()));
            Ok(After::Leave)
        }
    }

    let seen = Rc::<RefCell<Vec<String>>>::default();
    trace::record_with(Live::new(Stepper::live(), Status(seen.clone())), || {
        let event_loop = EventLoop::new().unwrap();
        event_loop.call_soon(|event_loop| event_loop.stop());
        event_loop.run().unwrap();
    });
    assert!(seen.borrow().iter().all(|line| line.ends_with("AT HEAD, parked")), "{seen:#?}");
    assert!(seen.borrow()[0].contains("(frozen)") && seen.borrow()[3].contains("(stands still while"), "{seen:#?}");
}

#[test]
fn a_chain_for_which_the_loop_runs_is_not_called_detached() {
    let mut stepper = Stepper::of(record(|| {
        let event_loop = EventLoop::builder().clock(&TestClock::new()).build().unwrap();
        let (resolver, d) = Deferred::new();
        event_loop.call_later(MS, move |_| resolver.succeed(1));
        event_loop.run_until(d.named("wanted")).unwrap();
    }));
    assert!(has(&until(&mut stepper, "Turn 1 of the loop begins"), "== d1 wanted == not fired =="));
}
