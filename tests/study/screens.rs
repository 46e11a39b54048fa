//! What is drawn, at every size: on a terminal in memory.

use crate::{every_kind, record};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ropewalk::study::stepper::term::{Look, draw};
use ropewalk::study::{Key, Stepper};
use ropewalk::{Deferred, Failure, trace};

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
