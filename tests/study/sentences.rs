use crate::{every_kind, record, same};
use ropewalk::study::{State, headline, sentence, sentences};
use ropewalk::trace::{Event, Trace};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

fn traces() -> Vec<Trace> {
    let programs = [every_kind::poem, every_kind::endings, every_kind::the_loop, every_kind::outside];
    programs.into_iter().map(record).chain([every_kind::cut()]).collect()
}

/// Number, few words and sentence of each event of a program.
fn table(program: fn()) -> String {
    let trace = record(program);
    let mut text = String::new();
    let mut state = State::new();
    for (event, said) in sentences(&trace) {
        state.apply(&event);
        writeln!(text, "{:>3} {}\n    {said}", event.s, headline(&state, &event)).expect("a String takes all");
    }
    text
}

#[test]
fn each_event_of_a_poem_has_its_sentence() {
    same(&table(every_kind::poem), "poem", include_str!("poem.txt"));
}

#[test]
fn cancels_panics_and_the_ends_of_failures_have_theirs() {
    same(&table(every_kind::endings), "endings", include_str!("endings.txt"));
}

#[test]
fn so_have_timers_calls_and_tasks() {
    same(&table(every_kind::the_loop), "the_loop", include_str!("the_loop.txt"));
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

/// The kinds that the programs here make: all that there are but those of the sources' reading and writing.
const KINDS: &str = "canceller.begin canceller.end cb.begin cb.end d.add d.cancel d.drop d.fire d.name d.new d.pass \
    d.pause d.resume d.ret d.step d.swallow d.take drop f.handled f.lost f.moved f.new f.replaced f.resting io.close \
    io.open io.ready loop.stop note poll.begin poll.end post timer.arm timer.cancel timer.fire \
    timer.name timer.reset turn.begin turn.end work.done work.queue x.drop x.poll x.ret x.spawn x.wait x.wake";

#[test]
fn no_kind_is_left_out() {
    let mut seen = BTreeSet::new();
    for trace in traces() {
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
    for kind in KINDS.split_whitespace() {
        assert!(seen.contains(kind), "{kind} is in none of the programs");
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
