use crate::{every_kind, record, same};
use ropewalk::study::{State, headline, sentence, sentences};
use ropewalk::trace::{self, Event, Kind, Trace};
use ropewalk::{EventLoop, TestClock};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

fn traces() -> Vec<Trace> {
    let programs = [every_kind::poem, every_kind::endings, every_kind::the_loop, every_kind::outside];
    programs.into_iter().map(record).chain([every_kind::cut()]).collect()
}

/// Each kind that the programs here cannot make at all or not at a known time: sources, groups, jobs, what a person does.
fn by_hand() -> Trace {
    Trace::read_json(&include_bytes!("../page/kinds.jsonl")[..]).expect("a trace written by hand")
}

/// Number, few words and sentence of each event.
fn table(trace: &Trace) -> String {
    let mut text = String::new();
    let mut state = State::new();
    for (event, said) in sentences(trace) {
        state.apply(&event);
        writeln!(text, "{:>3} {}\n    {said}", event.s, headline(&state, &event)).expect("a String takes all");
    }
    text
}

#[test]
fn each_event_of_a_poem_has_its_sentence() {
    same(&table(&record(every_kind::poem)), "study/poem", include_str!("poem.txt"));
}

#[test]
fn cancels_panics_and_the_ends_of_failures_have_theirs() {
    same(&table(&record(every_kind::endings)), "study/endings", include_str!("endings.txt"));
}

#[test]
fn so_have_timers_calls_and_tasks() {
    same(&table(&record(every_kind::the_loop)), "study/the_loop", include_str!("the_loop.txt"));
}

#[test]
fn so_have_sources_jobs_and_other_threads() {
    let trace = record(every_kind::outside);
    let mut said: BTreeMap<String, String> = BTreeMap::new();
    for (event, sentence) in sentences(&trace) {
        said.entry(event.kind.name().to_owned()).or_insert(sentence);
    }
    let expected = [
        ("io.open", "A source is registered with the loop: i1, a UnixStream."),
        ("io.ready", "Source i1 can be read."),
        ("io.close", "Source i1 is taken out of the loop."),
        ("work.queue", "Job w1 goes to the worker pool."),
        ("work.done", "The result of job w1 is back on the loop's thread."),
    ];
    for (kind, sentence) in expected {
        assert_eq!(said.get(kind).map(String::as_str), Some(sentence), "{kind}");
    }
}

#[test]
fn so_have_reading_and_writing_and_groups_and_what_a_person_does() {
    same(&table(&by_hand()), "study/by_hand", include_str!("by_hand.txt"));
}

#[test]
fn what_a_read_or_a_write_met_is_told_in_words() {
    let header = r#"{"k":"trace","v":1,"prog":"poem","lib":"ropewalk 0.1.0","clock":"real","args":[]}"#;
    let open = r#"{"s":1,"t":0,"turn":0,"k":"io.open","i":"i1","what":"std::net::tcp::TcpStream"}"#;
    let cases = [
        (r#""k":"io.read","i":"i1","n":1"#, "Source i1 gives 1 byte."),
        (r#""k":"io.read","i":"i1","n":"again""#, "Source i1 has nothing more to read now."),
        (r#""k":"io.read","i":"i1","n":"eof""#, "Source i1 is at its end: nothing more will come."),
        (r#""k":"io.read","i":"i1","errno":104"#, "Reading source i1 fails: Connection reset by peer."),
        (r#""k":"io.write","i":"i1","asked":9,"took":9,"left":0"#, "Source i1 takes 9 bytes."),
        (
            r#""k":"io.write","i":"i1","asked":9,"took":"again","left":9"#,
            "Source i1 takes nothing now. 9 bytes wait to be written.",
        ),
        (r#""k":"io.write","i":"i1","asked":9,"errno":32,"left":0"#, "Writing to source i1 fails: Broken pipe."),
        (r#""k":"io.want","i":"i1","r":true,"w":false"#, "Source i1 now wants to read."),
        (r#""k":"io.want","i":"i1","r":false,"w":false"#, "Source i1 now wants nothing."),
    ];
    for (line, expected) in cases {
        let text = format!("{header}\n{open}\n{{\"s\":2,\"t\":0,\"turn\":0,{line}}}\n");
        let trace = Trace::read_json(text.as_bytes()).expect("a trace written by hand");
        assert_eq!(sentences(&trace).nth(1).map(|(_, said)| said).as_deref(), Some(expected), "{line}");
    }
}

#[test]
fn no_kind_is_left_out() {
    let mut seen = BTreeSet::new();
    for trace in traces().into_iter().chain([by_hand()]) {
        let mut state = State::new();
        for (event, said) in sentences(&trace) {
            state.apply(&event);
            seen.insert(event.kind.name());
            assert!(said.ends_with(['.', '!', '?']), "{said}");
            assert!(!said.contains("  ") && said.len() > 10, "{said}");
            assert!(said.starts_with(|c: char| c.is_uppercase() || "dfmipwxg".contains(c)), "{said}");
            assert!(!headline(&state, &event).trim().is_empty(), "{event:?}");
        }
    }
    for kind in Kind::NAMES {
        assert!(seen.contains(kind), "{kind} is in none of the traces: nobody looked at its sentence");
    }
}

#[test]
fn names_and_values_cannot_harm_a_terminal() {
    let evil = "\u{1b}[2J\u{7}\r\n\u{202e}</script>";
    let trace = record(|| {
        let d = ropewalk::Deferred::<String>::fail(ropewalk::Failure::msg(evil)).named(evil);
        let long = "y".repeat(1 << 20);
        ropewalk::trace::note(evil);
        d.step_named(long).add_errback(move |_| Ok(evil.to_owned())).detach();
    });
    let mut state = State::new();
    for (event, said) in sentences(&trace) {
        state.apply(&event);
        for text in [&said, &headline(&state, &event)] {
            assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text:?}");
            assert!(text.len() < 1000, "{}", text.len());
        }
    }
}

#[test]
fn a_trace_that_makes_no_sense_is_told_without_a_panic() {
    // Each second, third, .. event is missing: ends without begins, results without Deferreds.
    let traces = traces();
    let whole: Vec<Event<'_>> = traces.iter().flat_map(Trace::events).collect();
    for skip in 2..9 {
        let mut state = State::new();
        for event in whole.iter().skip(skip).step_by(skip) {
            assert!(!sentence(&state, event).is_empty());
            state.apply(event);
        }
    }
}

#[test]
fn a_second_loop_of_a_recording_counts_its_own_turns_and_both_numbers_are_told() {
    let ((), trace) = trace::record(|| {
        for _ in 0..2 {
            let clock = TestClock::new();
            let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
            event_loop.call_soon(|_| ());
            clock.advance(Duration::ZERO).unwrap();
        }
    });
    let begins = |event: &Event<'_>| matches!(event.kind, Kind::TurnBegin { .. });
    let told: Vec<String> =
        sentences(&trace).filter(|(event, _)| begins(event)).map(|(_, sentence)| sentence).collect();
    assert_eq!(told.first().unwrap(), "Turn 1 of the loop begins.");
    let turns = told.len();
    assert_eq!(turns % 2, 0, "{told:?}");
    assert_eq!(told[turns / 2], format!("Turn {} of the recording begins: turn 1 of this loop.", turns / 2 + 1));
}
