use crate::{every_kind, record};
use ropewalk::study::stepper::plain::Plain;
use ropewalk::study::stepper::{After, Break, Front, Live, Pane};
use ropewalk::study::{Key, Stepper};
use ropewalk::trace::{self, Trace};
use ropewalk::{Deferred, EventLoop, Failure};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

fn poem() -> Stepper {
    Stepper::of(record(every_kind::poem))
}

/// Types keys; `\n` is Enter, `\u{8}` Backspace.
fn keys(stepper: &mut Stepper, typed: &str) -> After {
    let mut after = After::Show;
    for c in typed.chars() {
        after = stepper.key(match c {
            '\n' => Key::Enter,
            '\u{8}' => Key::Backspace,
            c => Key::Char(c),
        });
    }
    after
}

/// The name of the kind at the cursor.
fn kind(stepper: &Stepper) -> &'static str {
    stepper.event().map_or("none", |event| event.kind.name())
}

#[test]
fn each_key_finds_its_kind_of_event_and_its_capital_letter_goes_back() {
    let mut stepper = poem();
    for (key, found) in [
        ("n", "cb.begin"),
        ("n", "d.step"),
        ("t", "turn.begin"),
        ("e", "f.new"),
        ("f", "d.ret"),
        ("F", "d.step"),
        ("F", "cb.begin"),
    ] {
        keys(&mut stepper, key);
        assert_eq!(kind(&stepper), found, "after {key}");
    }
    // From the middle, where there is something of each sort on both sides.
    keys(&mut stepper, "bf.resting\nc");
    let before = stepper.cursor();
    for (there, back) in [("s", "S"), ("n", "N"), ("t", "T"), ("e", "E"), ("3s", "3S")] {
        keys(&mut stepper, there);
        assert!(stepper.cursor() > before, "{there} goes on");
        keys(&mut stepper, back);
        assert!(stepper.cursor() <= before, "{back} goes back");
        stepper.go_to(before);
    }
}

#[test]
fn one_step_at_a_time_goes_through_all_events_of_the_level_and_back_the_same_way() {
    for level in ["1", "2", "3"] {
        let mut stepper = poem();
        keys(&mut stepper, level);
        stepper.end_of_line();
        let mut there = vec![stepper.cursor()];
        while !stepper.is_at_head() {
            let before = stepper.cursor();
            keys(&mut stepper, "s");
            if stepper.cursor() == before {
                break;
            }
            there.push(stepper.cursor());
        }
        let expected: Vec<u32> = stepper
            .timeline()
            .trace()
            .events()
            .filter(|event| event.level() <= stepper.level())
            .map(|event| event.s)
            .collect();
        assert_eq!(there, expected, "level {level}");
        for s in there.into_iter().rev() {
            assert_eq!(stepper.cursor(), s);
            assert!(*stepper.state() == stepper.timeline().state_at(s));
            keys(&mut stepper, "S");
        }
        assert_eq!(stepper.note(), "This is the first event.");
    }
}

#[test]
fn a_number_before_a_key_counts_and_a_digit_alone_is_the_level() {
    let mut ten = poem();
    keys(&mut ten, "10s");
    let mut one = poem();
    for _ in 0..10 {
        one.key(Key::Char('s'));
    }
    assert_eq!(ten.cursor(), one.cursor());
    assert_eq!(ten.level(), 1, "the 1 of 10 was a count");
    keys(&mut ten, "2");
    assert_eq!(ten.level(), 2);
    // As far as there is, and a word about it.
    keys(&mut ten, "99999999999999s");
    assert!(ten.is_at_head());
    assert_eq!(ten.note(), "This is the last event.");
}

#[test]
fn why_the_third_callback_did_not_run_can_be_found_out() {
    let mut stepper = poem();
    // Step 1, shout, was passed by. Why?
    keys(&mut stepper, "/shout passed\n");
    assert_eq!(stepper.sentence(), "Step 1 \"shout\" of d2 \"get_poem\" has no errback: the error passes it by.");
    keys(&mut stepper, "w");
    assert_eq!(stepper.pane().0, Pane::Why);
    // The first row back is what woke it; Enter goes there.
    keys(&mut stepper, "\n");
    assert!(
        stepper.sentence().starts_with("d2 \"get_poem\" waited for d1 \"cummingsify\""),
        "{}",
        stepper.sentence()
    );
    keys(&mut stepper, "\n");
    assert!(stepper.sentence().starts_with("d1 \"cummingsify\" is fired with error f2"), "{}", stepper.sentence());
    // And back, jump by jump.
    keys(&mut stepper, "\u{8}\u{8}");
    assert_eq!(kind(&stepper), "d.pass");
}

#[test]
fn who_armed_a_timer_is_one_key_away() {
    let mut stepper = poem();
    keys(&mut stepper, "/engine reply due\n");
    assert_eq!(kind(&stepper), "timer.fire");
    keys(&mut stepper, "g");
    assert_eq!(kind(&stepper), "timer.arm");
    assert_eq!(
        stepper.event().and_then(|event| event.at).map(|at| at.file().ends_with("every_kind.rs")),
        Some(true)
    );
    keys(&mut stepper, "\u{8}");
    assert_eq!(kind(&stepper), "timer.fire");
}

#[test]
fn what_ran_while_a_chain_was_paused_lies_between_two_events() {
    let mut stepper = poem();
    keys(&mut stepper, "bd.pause\nc");
    assert_eq!(kind(&stepper), "d.pause");
    keys(&mut stepper, "n");
    assert_eq!(stepper.sentence(), "The loop calls the callback of timer m3 \"audit tick\".");
    keys(&mut stepper, "bd.resume\nc");
    assert_eq!(kind(&stepper), "d.resume");
    keys(&mut stepper, "C");
    assert_eq!(kind(&stepper), "d.pause");
}

#[test]
fn run_to_an_object_proposes_the_selected_one_and_says_what_is_no_id() {
    let mut stepper = poem();
    keys(&mut stepper, "r");
    let proposed = stepper.asks().expect("it asks").1.to_owned();
    assert_eq!(proposed, stepper.selected().expect("a Deferred").to_string());
    keys(&mut stepper, "\u{8}\u{8}\u{8}f1\n");
    assert_eq!(kind(&stepper), "f.new");
    keys(&mut stepper, "r");
    keys(&mut stepper, "\u{8}\u{8}zebra\n");
    assert!(stepper.note().starts_with("not an id"), "{}", stepper.note());
    keys(&mut stepper, "r\u{8}\u{8}d77\n");
    assert_eq!(stepper.note(), "No further event of d77.");
}

#[test]
fn breakpoints_of_every_sort() {
    let trace = record(every_kind::poem);
    let place = trace.events().find_map(|event| event.at).expect("a place");
    let line = format!("every_kind.rs:{}", place.line());
    for (text, expected) in [
        ("f.*", "f.new"),
        ("d.resume", "d.resume"),
        ("m3", "timer.arm"),
        (line.as_str(), "d.new"),
        ("next-turn", "turn.begin"),
        ("next-error", "f.new"),
        ("next-callback", "cb.begin"),
        ("audit", "d.new"),
    ] {
        let at: Break = text.parse().expect("a breakpoint");
        let shown = at.to_string();
        assert_eq!(shown.parse(), Ok(at.clone()), "what is shown can be read again");
        let first = trace.events().find(|event| at.stops_at(event, Stepper::of(trace.clone()).timeline().head()));
        assert_eq!(first.map(|event| event.kind.name()), Some(expected), "{text}");
    }
    assert!("  ".parse::<Break>().is_err());
    // They can be listed and switched off.
    let mut stepper = poem();
    keys(&mut stepper, "bf.*\nb-1\n");
    assert_eq!(stepper.note(), "Breakpoint 1 (f.*) is off.");
    keys(&mut stepper, "c");
    assert_eq!(stepper.note(), "No further breakpoint.");
    keys(&mut stepper, "b\n");
    assert_eq!(stepper.note(), "Breakpoints: 1: f.* (off)");
    for i in 0..200 {
        keys(&mut stepper, &format!("bname {i}\n"));
    }
    assert_eq!(stepper.breaks().len(), 100);
}

#[test]
fn marks_ends_and_a_search_that_goes_around() {
    let mut stepper = poem();
    keys(&mut stepper, "5sma");
    let marked = stepper.cursor();
    stepper.key(Key::End);
    assert!(stepper.is_at_head());
    keys(&mut stepper, "'a");
    assert_eq!(stepper.cursor(), marked);
    keys(&mut stepper, "'z");
    assert_eq!(stepper.note(), "There is no mark z.");
    stepper.key(Key::Home);
    assert_eq!(stepper.cursor(), 1);
    keys(&mut stepper, "/engine down\n");
    let first = stepper.cursor();
    let mut seen = vec![first];
    loop {
        keys(&mut stepper, "\n");
        if stepper.cursor() == first {
            break;
        }
        seen.push(stepper.cursor());
    }
    assert!(seen.len() > 2 && seen.is_sorted(), "{seen:?}");
    keys(&mut stepper, "/no such thing\n");
    assert_eq!(stepper.note(), "\"no such thing\" is nowhere.");
    keys(&mut stepper, "%");
    assert_eq!(stepper.note(), "The key % does nothing. ? shows all keys.");
}

#[test]
fn an_empty_trace_answers_every_key() {
    let ((), trace) = trace::record(|| {});
    for trace in [trace, Trace::with_limit(0)] {
        let mut stepper = Stepper::of(trace);
        keys(&mut stepper, "sSnNtTeEfFcCgwjk\nd\n/x\nrd1\nbd1\nma'a2\u{8}");
        stepper.key(Key::Home);
        stepper.key(Key::End);
        stepper.key(Key::PageDown);
        assert!(!stepper.sentence().is_empty());
    }
}

#[test]
fn a_question_is_answered_by_the_next_key_and_never_holds_up_a_breakpoint() {
    let trace = record(|| {
        trace::note("one");
        trace::ask("What runs next?", "nothing");
        trace::note("two");
    });
    let mut stepper = Stepper::of(trace);
    keys(&mut stepper, "s");
    assert_eq!(stepper.sentence(), "A question: What runs next?");
    keys(&mut stepper, "s");
    assert_eq!((kind(&stepper), stepper.note()), ("ask", "The answer: nothing"));
    keys(&mut stepper, "s");
    assert_eq!(stepper.sentence(), "The program notes: two.");
    // A fresh one: c does not wait for an answer.
    let mut stepper = Stepper::of(stepper.timeline().trace().clone());
    keys(&mut stepper, "sc");
    assert_eq!(stepper.note(), "No breakpoints: press b to make one.");
}

/// A front end that does what it is told beforehand, and keeps what it saw.
struct Script {
    answers: VecDeque<&'static str>,
    seen: Rc<RefCell<Vec<String>>>,
    ran: Rc<Cell<u32>>,
}

impl Front for Script {
    fn stop(&mut self, stepper: &mut Stepper) -> io::Result<After> {
        loop {
            let said = format!("{} {}", self.ran.get(), stepper.sentence());
            self.seen.borrow_mut().push(said);
            let Some(typed) = self.answers.pop_front() else { return Ok(After::Leave) };
            match keys(stepper, typed) {
                After::Show => {}
                after => return Ok(after),
            }
        }
    }
}

/// Runs a program with two steps; answers what was seen at each stop, with the number of steps that had run by then.
fn live(answers: &[&'static str], breaks: &[&str]) -> (Vec<String>, Trace) {
    let (seen, ran) = <(Rc<RefCell<Vec<String>>>, Rc<Cell<u32>>)>::default();
    let script = Script { answers: answers.iter().copied().collect(), seen: seen.clone(), ran: ran.clone() };
    let mut stepper = Stepper::live();
    for at in breaks {
        stepper.add_break(at.parse().expect("a breakpoint"));
        stepper.run_on();
    }
    let both = (Live::new(stepper, script), Trace::with_limit(Trace::LIMIT));
    let (_, (_, trace)) = trace::record_with(both, || {
        let (resolver, d) = Deferred::new();
        let (one, two) = (ran.clone(), ran.clone());
        d.named("poem")
            .step_named("first")
            .map(move |n: i32| (one.set(1), n + 1).1)
            .step_named("second")
            .add_callback(move |_| {
                two.set(2);
                Err::<(), _>(Failure::msg("no"))
            })
            .add_errback(|_| Ok(()))
            .detach();
        resolver.succeed(1);
    });
    (seen.take(), trace)
}

#[test]
fn a_live_program_is_stopped_before_what_the_sentence_tells_of_happens() {
    let (seen, _) = live(&["n", "n", "e", "q"], &[]);
    assert!(seen[0].starts_with("0 "), "{seen:?}");
    assert_eq!(seen[1], "0 Step 0 \"first\" of d1 \"poem\" runs: its callback gets the value 1.");
    assert_eq!(seen[2], "1 Step 1 \"second\" of d1 \"poem\" runs: its callback gets the value 2.");
    assert!(seen[3].starts_with("2 A step returns an error: f1 \"no\"."), "{seen:?}");
    assert_eq!(seen.len(), 4, "q lets it run to its end");
}

#[test]
fn a_search_in_a_live_program_says_that_it_knows_only_what_has_run() {
    let ((), trace) = trace::record(|| trace::note("here"));
    let mut stepper = Stepper::live();
    trace.events().for_each(|event| stepper.arrive(&event));
    keys(&mut stepper, "/elsewhere\n");
    assert_eq!(stepper.note(), "\"elsewhere\" is nowhere in what has run so far.");
}

#[test]
fn breakpoints_stop_a_live_program_and_nothing_else_does() {
    let (seen, _) = live(&["c", "c", "c"], &["f.handled"]);
    assert_eq!(seen[0], "2 f1 \"no\" is handled by step 2 \"closure\" of d1 \"poem\".");
    assert!(seen[1].starts_with("2 The recording ends"), "the end is shown too: {seen:?}");
}

#[test]
fn a_breakpoint_stops_at_a_note_too() {
    let mut stepper = Stepper::of(record(|| {
        for part in ["one", "two"] {
            trace::note(format!("part: {part}"));
            Deferred::succeed(1).map(|n| n + 1).detach();
        }
    }));
    keys(&mut stepper, "bpart:\nc");
    assert_eq!(stepper.sentence(), "The program notes: part: two.");
}

#[test]
fn going_back_executes_nothing_and_a_key_at_the_head_goes_on() {
    // Back to the start, forward to the head, and on from there.
    let (seen, _) = live(&["n", "SSSSssss", "n", "q"], &[]);
    assert_eq!(seen[1].chars().next(), Some('0'));
    assert!(seen[2].starts_with("1 ") || seen[2].starts_with("0 "), "{seen:?}");
}

#[test]
fn a_live_program_is_held_at_a_question_but_not_on_the_way_to_a_breakpoint() {
    let stops = |answers: &[&'static str], breaks: &[&str]| {
        let seen: Rc<RefCell<Vec<String>>> = Rc::default();
        let ran = Rc::default();
        let script = Script { answers: answers.iter().copied().collect(), seen: seen.clone(), ran };
        let mut stepper = Stepper::live();
        for at in breaks {
            stepper.add_break(at.parse().expect("a breakpoint"));
            stepper.run_on();
        }
        trace::record_with(Live::new(stepper, script), || {
            Deferred::succeed(1).map(|n| n + 1).detach();
            trace::ask("What next?", "a step");
            Deferred::succeed(2).map(|n| n + 1).detach();
            Deferred::succeed(3).map(|n| n + 1).named("last").map(|n| n + 1).detach();
        });
        seen.take().iter().any(|said| said.contains("What next?"))
    };
    // Far on to the turn that never comes: the question is in the way.
    assert!(stops(&["t", "q"], &[]));
    assert!(!stops(&["q"], &["last"]));
}

#[test]
fn a_question_is_asked_before_the_program_answers_it() {
    let (seen, ran) = <(Rc<RefCell<Vec<String>>>, Rc<Cell<u32>>)>::default();
    let script = Script { answers: ["s", "q"].into(), seen: seen.clone(), ran: ran.clone() };
    trace::record_with(Live::new(Stepper::live(), script), || {
        trace::ask("What is printed?", "one");
        ran.set(1);
        trace::note("one");
    });
    assert_eq!(*seen.borrow(), ["0 A question: What is printed?"; 2]);
}

#[test]
fn a_key_goes_to_the_next_event_also_where_the_program_cannot_be_held_any_more() {
    let (seen, ran) = <(Rc<RefCell<Vec<String>>>, Rc<Cell<u32>>)>::default();
    let script = Script { answers: ["n", "s", "s", "q"].into(), seen: seen.clone(), ran };
    trace::record_with(Live::new(Stepper::live(), script), || {
        Deferred::succeed(1).named("last").map(|n| n + 1).detach();
        trace::note("one more");
    });
    let seen = seen.borrow();
    assert!(seen[2].contains("returns the value 2"), "{seen:#?}");
    assert!(seen[3].contains("one more") || seen[3].contains("d1"), "{seen:#?}");
    assert!(!seen[3].contains("recording ends"), "{seen:#?}");
}

#[test]
fn the_trace_is_the_same_with_and_without_a_person_who_looks() {
    let events = |trace: &Trace| trace.events().map(|e| (e.s, e.kind.name(), e.cause, e.reg)).collect::<Vec<_>>();
    let (_, stepped) = live(&["s", "s", "s", "s", "s", "s", "s", "n", "e"], &[]);
    let (_, alone) = live(&["q"], &[]);
    assert_eq!(events(&stepped), events(&alone));
}

/// What the prompt prints for these lines.
fn plain(trace: Trace, lines: &[u8]) -> (After, String) {
    let mut out = Vec::new();
    let after = Plain::new(lines, &mut out).stop(&mut Stepper::of(trace)).expect("memory takes all");
    (after, String::from_utf8(out).expect("it prints UTF-8"))
}

#[test]
fn the_prompt_says_sentences() {
    let (after, said) = plain(record(every_kind::poem), b"n\n\nr f1\nw\nback\n10S\n2\n?\nq\n");
    assert_eq!(after, After::Leave);
    for part in [
        "1: A Deferred of type String is made: d1. (tests/study/every_kind.rs:",
        "> 28: The loop calls the callback of timer m1 \"deliver poem\". (",
        ", turn 2, 50.000 ms)\n",
        "> 30: Step 0 \"try_to_cummingsify\" of d2 \"get_poem\" runs: its callback gets the value \"If I were...\". (",
        ": A step returns an error: f1 \"division by zero\".",
        "1. called from event ",
        "registered at event 17, armed m3 audit tick +60.0 ms, tests/study/every_kind.rs:",
        "> Level of detail 2.\n",
        "  s S   one event ",
    ] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
}

#[test]
fn on_a_terminal_the_prompt_breaks_its_sentences_between_words() {
    let said = |wrapped: bool| {
        let mut out = Vec::new();
        let prompt = Plain::new(&b"n\nn\nw\nr f1\nl\nq\n"[..], &mut out);
        let mut prompt = if wrapped { prompt.wrapped_at(80) } else { prompt };
        prompt.stop(&mut Stepper::of(record(every_kind::poem))).expect("memory takes all");
        String::from_utf8(out).expect("it prints UTF-8")
    };
    let (long, short) = (said(false), said(true));
    assert!(long.lines().any(|line| line.chars().count() > 80), "{long}");
    assert!(short.lines().all(|line| line.chars().count() <= 80), "{short}");
    assert!(short.lines().any(|line| line.starts_with("   ")), "{short}");
    // Nothing is lost.
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let before_source = |text: &str| words(text.split("every_kind.rs, line").next().unwrap_or_default());
    assert_eq!(before_source(&short), before_source(&long));
}

#[test]
fn the_prompt_says_how_to_begin_and_that_a_question_has_an_answer() {
    let (_, said) = plain(record(|| trace::ask("Why?", "So.")), b"\nq\n");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].contains("?: all keys") && lines[0].len() <= 80, "{said}");
    assert!(lines[1].starts_with("1: A question: Why? ("), "{said}");
    assert_eq!(lines[2..4], ["Enter shows the answer.", "> The answer: So."], "{said}");
}

#[test]
fn at_a_question_a_line_shows_the_answer_and_does_nothing_else() {
    let ask = || {
        trace::ask("Why?", "So.");
        trace::note("more");
    };
    let (_, said) = plain(record(ask), b"b send\nq\n");
    assert_eq!(said.lines().skip(3).collect::<Vec<_>>(), ["> The answer: So.", "> "], "{said}");
}

#[test]
fn the_prompt_says_why_the_time_of_a_turn_is_a_later_one() {
    let (_, said) = plain(record(every_kind::poem), b"t\n\nq\n");
    let turn = said.lines().find(|line| line.contains("Turn 2 of")).expect("it goes to turn 2");
    assert!(turn.contains("begins. The test clock was moved on by 50.0 ms before it. (turn 2, "), "{said}");
}

#[test]
fn enter_alone_finds_the_same_once_more() {
    let (_, said) = plain(record(every_kind::poem), b"/audit\n\nr d1\n\nq\n");
    let events: Vec<&str> = said.lines().filter(|line| line.starts_with("> ") && line.contains(": ")).collect();
    assert!(events[0].contains("d3") && events[1].contains("audit"), "{said}");
    assert!(events[2].contains("d1") && events[3].contains("d1") && events[2] != events[3], "{said}");
}

#[test]
fn what_a_live_program_never_came_to_is_said_at_its_end() {
    /// Asks for a finding, and keeps the last remark.
    struct Finding(Rc<RefCell<String>>);

    impl Front for Finding {
        fn stop(&mut self, stepper: &mut Stepper) -> io::Result<After> {
            stepper.note().clone_into(&mut self.0.borrow_mut());
            Ok(if stepper.is_live() { keys(stepper, "i") } else { After::Leave })
        }
    }

    let remark = Rc::default();
    let live = Live::new(Stepper::live(), Finding(Rc::clone(&remark)));
    trace::record_with(live, || Deferred::succeed(1).map(|n| n + 1).detach());
    assert_eq!(*remark.borrow(), "No further finding. The program is over. All keys still work; q leaves.");
}

#[test]
fn the_prompt_draws_the_rail_as_it_stands() {
    let (_, said) = plain(record(every_kind::poem), b"b d.pause\nc\nv\nq\n");
    assert!(said.contains("d2 get_poem, paused on d1, detached\n   ok   err\n"), "{said}");
    assert!(said.contains("\n  (1)        shout  :"), "{said}");
}

#[test]
fn the_end_of_the_input_leaves_and_no_input_can_harm() {
    assert_eq!(plain(record(every_kind::poem), b"").0, After::Leave);
    let mut lines = b"\xff\xfe\n\x1b[A\n".to_vec();
    lines.extend(vec![b'x'; 100_000]);
    lines.extend(b"Q\nq\n");
    let (after, said) = plain(record(every_kind::poem), &lines);
    assert_eq!(after, After::Leave, "the end of a line that is too long is no key");
    assert!(said.contains("> That line is too long.\n"), "{said}");
    assert!(said.chars().all(|c| c == '\n' || !c.is_control()), "{said:?}");
}

#[test]
fn nothing_that_a_program_says_reaches_a_terminal_raw() {
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\r\n\u{202e}";
    let trace = record(|| {
        let event_loop = EventLoop::new().expect("a loop");
        trace::out(evil, trace::Stream::Stdout);
        trace::note(evil.repeat(100_000));
        let d = Deferred::<String>::fail(Failure::msg(evil)).named(evil);
        d.step_named(evil).add_errback(move |_| Ok(evil.repeat(1000))).detach();
        event_loop.call_soon(|_| {});
        event_loop.turn(None).expect("it turns");
    });
    let (_, said) = plain(trace, "s\nv\nw\nl\n".repeat(30).as_bytes());
    assert!(said.chars().all(|c| c == '\n' || (!c.is_control() && c != '\u{202e}')), "{said:?}");
    assert!(said.len() < 200_000, "{}", said.len());
}

#[test]
fn a_run_is_saved_and_nothing_is_written_over() {
    let folder = std::env::temp_dir().join(format!("ropewalk-stepper-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut stepper = poem();
    for form in ["text", "jsonl", "html"] {
        let path = folder.join(form);
        keys(&mut stepper, &format!("x{form} {}\n", path.display()));
        assert!(stepper.note().starts_with("Saved as "), "{}", stepper.note());
        keys(&mut stepper, &format!("x{form} {}\n", path.display()));
        assert!(stepper.note().starts_with("Cannot save "), "{}", stepper.note());
    }
    let file = std::fs::File::open(folder.join("jsonl")).expect("it was saved");
    let read = Trace::read_json(io::BufReader::new(file)).expect("it can be read");
    assert!(read.events().eq(stepper.timeline().trace().events()));
    keys(&mut stepper, "xpdf here\n");
    assert!(stepper.note().starts_with("There is no form pdf"), "{}", stepper.note());
    std::fs::remove_dir_all(folder).expect("it is ours");
}

/// A program that loses an error, and says so later than where it is to be looked at.
fn loses_an_error() {
    let unhandled = ropewalk::testing::capture_unhandled();
    Deferred::<()>::fail(Failure::msg("engine down")).named("poem").detach();
    trace::note("and goes on");
    drop(unhandled.flush_unhandled());
}

#[test]
fn a_key_goes_from_finding_to_finding_and_says_what_is_wrong() {
    let mut stepper = Stepper::of(record(loses_an_error));
    keys(&mut stepper, "i");
    assert_eq!(kind(&stepper), "f.lost");
    assert!(stepper.note().starts_with("lost: "), "{}", stepper.note());
    keys(&mut stepper, "i");
    assert_eq!((kind(&stepper), stepper.note()), ("f.lost", "No further finding."));
    keys(&mut stepper, "\u{8}");
    assert_ne!(kind(&stepper), "f.lost");
    let (_, said) = plain(record(loses_an_error), b"i\nq\n");
    assert!(said.contains("lost: f1"), "{said}");
}

#[test]
fn a_breakpoint_stops_at_findings_of_any_rule_or_of_one() {
    let mut stepper = Stepper::of(record(loses_an_error));
    keys(&mut stepper, "blint:swallowed\nc");
    assert_eq!(stepper.note(), "No further breakpoint.");
    keys(&mut stepper, "blint\nc");
    assert_eq!(kind(&stepper), "f.lost");
    assert_eq!(stepper.breaks()[0].0.to_string(), "lint:swallowed");
    assert_eq!("lint".parse::<Break>().unwrap(), Break::Lint(None));
}

#[test]
fn a_live_program_is_stopped_when_something_is_found() {
    for typed in [&["i", "q"][..], &["blint\nc", "q"]] {
        let (seen, ran) = <(Rc<RefCell<Vec<String>>>, Rc<Cell<u32>>)>::default();
        let script = Script { answers: typed.iter().copied().collect(), seen: seen.clone(), ran };
        trace::record_with(Live::new(Stepper::live(), script), loses_an_error);
        let seen = seen.take();
        assert!(seen.iter().any(|seen| seen.contains("LOST")), "{seen:?}");
    }
}
