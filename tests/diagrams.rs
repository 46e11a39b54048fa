//! Diagrams of a run for Mermaid and Graphviz.

use ropewalk::study::{self, Diagram, DiagramError};
use ropewalk::testing::capture_unhandled;
use ropewalk::trace::{self, Trace};
use ropewalk::{Deferred, EventLoop, Failure, TestClock};
use std::time::Duration;

const NASTY: &str = "a\"; end # <b> {x|y} --> \\ %% `c` \u{1b}[2J &amp;";

fn record(program: impl FnOnce(&EventLoop)) -> Trace {
    let unhandled = capture_unhandled();
    let event_loop = EventLoop::builder().clock(&TestClock::new()).build().expect("a loop");
    let recording = event_loop.record(Trace::with_limit(100_000));
    program(&event_loop);
    let trace = recording.finish().expect("not inside the recorder");
    drop(event_loop);
    drop(unhandled.flush_unhandled());
    trace
}

fn poem(name: &'static str) -> Trace {
    record(move |event_loop| {
        let ms = Duration::from_millis;
        let later = event_loop.defer_later(ms(5), |_| Err::<(), _>(Failure::msg("engine down"))).named("engine");
        let (resolver, d) = Deferred::<i32>::new();
        d.named("poem")
            .step_named(name)
            .add_callback(move |_| later)
            .step_named("shout")
            .map(|()| ())
            .step_named("keep")
            .add_errback(|_| Ok(()))
            .detach();
        let (never, waits) = Deferred::<i32>::new();
        std::mem::forget(never);
        let waits = waits.named("other").map(|n| n + 1);
        event_loop.call_later(ms(1), move |_| resolver.succeed(1)).named(name);
        event_loop.call_later(ms(30), |event_loop| event_loop.stop());
        event_loop.run().expect("it is stopped");
        drop(waits.log_errors("other"));
    })
}

fn id(text: &str) -> trace::Id {
    text.parse().expect("an id")
}

#[test]
fn a_sequence_tells_who_waits_and_who_goes_on() {
    let trace = poem("ask");
    let text = study::diagram(&trace).sequence().expect("it fits");
    for row in [
        "participant d2 as d2 poem",
        "L->>d2: fire ok 1",
        "Note over d2: ok lane: 0 ask",
        "d2-->>d1: waits",
        "d1->>d2: resume err f1",
        "Note over d2: passed by: 1 shout",
        "Note over d2: ERR lane: 2 keep",
        "Note over d2: f1 handled",
    ] {
        assert!(text.contains(row), "{row} in {text}");
    }
}

#[test]
fn a_flowchart_has_the_way_of_one_chain() {
    let trace = poem("ask");
    let text = study::diagram(&trace).around(id("d2")).flowchart().expect("it fits");
    for line in ["start --> s0c", "s0c --> w0", "w0 --> p1", "p1 --> s2e", "s2e --> result"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let other = study::diagram(&trace).around(id("d3")).flowchart().expect("it fits");
    assert!(other.contains("start -.-> s0c"), "what has not run yet is dashed: {other}");
    assert_eq!(study::diagram(&trace).flowchart(), Err(DiagramError::NoDeferred));
    assert_eq!(study::diagram(&trace).around(id("m1")).flowchart(), Err(DiagramError::NoDeferred));
    assert_eq!(study::diagram(&trace).around(id("d99")).flowchart(), Err(DiagramError::Nothing));
}

#[test]
fn a_graph_has_a_port_for_each_step_and_a_cluster_for_each_turn() {
    let trace = poem("ask");
    let text = study::diagram(&trace).dot().expect("it fits");
    for part in
        ["subgraph cluster_0", "subgraph cluster_2", "|<p0> 0 ask", "style=dotted", "style=bold", "d2:p0 -> d1"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_part_is_what_is_near_an_object_or_in_some_turns() {
    let trace = poem("ask");
    let near = study::diagram(&trace).around(id("d2")).dot().expect("it fits");
    assert!(near.contains("engine") && !near.contains("other"), "{near}");
    let alone = study::diagram(&trace).around(id("d2")).hops(0).sequence().expect("it fits");
    assert!(alone.contains("poem") && !alone.contains("Note over d1"), "{alone}");
    let turn = study::diagram(&trace).turns(1..=1).sequence().expect("it fits");
    assert!(turn.contains("turn 1") && !turn.contains("turn 2"), "{turn}");
    assert_eq!(study::diagram(&trace).turns(99..=99).sequence(), Err(DiagramError::Nothing));
}

#[test]
fn more_than_can_be_read_is_refused_with_a_hint() {
    let trace = record(|_| (0..=Diagram::LIMIT).for_each(|n| Deferred::succeed(n).map(|n| n + 1).detach()));
    for error in [study::diagram(&trace).sequence(), study::diagram(&trace).dot()] {
        let error = error.expect_err("too many");
        assert!(matches!(error, DiagramError::TooMany { part: false, .. }), "{error:?}");
        assert!(error.to_string().contains("--around d3 --hops 1"), "{error}");
    }
    study::diagram(&trace).around(id("d1")).dot().expect("one of them fits");
}

#[test]
fn names_cannot_break_a_diagram() {
    let trace = poem(NASTY);
    let diagram = study::diagram(&trace).around(id("d2"));
    for text in [diagram.sequence().expect("it fits"), diagram.flowchart().expect("it fits")] {
        // What is left without the characters that are written as numbers.
        let mut plain = text.replace("-->>", "").replace("->>", "").replace("-->", "").replace("[[", "[");
        while let Some(start) = plain.find('#') {
            let end = plain[start..].find(';').expect("a number ends") + start;
            assert!(plain[start + 1..end].bytes().all(|b| b.is_ascii_digit()), "{text}");
            plain.replace_range(start..=end, "");
        }
        assert!(!plain.contains(['<', '>', ';', '{', '|', '\\', '%', '`', '&', '\u{1b}']), "{text}");
    }
    let dot = diagram.dot().expect("it fits");
    assert!(!dot.contains("a\";") && !dot.contains('\u{1b}') && dot.contains("\\{x\\|y\\}"), "{dot}");
}

/// For a person, and for `.ci/diagrams`: writes the diagrams where `DIAGRAMS` says.
#[test]
fn diagrams_for_their_programs() {
    let Some(folder) = std::env::var_os("DIAGRAMS").map(std::path::PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).expect("a folder for the diagrams");
    let kinds = Trace::read_json(&include_bytes!("page/kinds.jsonl")[..]).expect("a trace");
    for (name, trace, d) in [("poem", poem("ask"), "d2"), ("nasty", poem(NASTY), "d2"), ("kinds", kinds, "d4")] {
        let write = |ending: &str, text: Result<String, DiagramError>| {
            std::fs::write(folder.join(format!("{name}{ending}")), text.expect("it fits"))
                .expect("it can be written");
        };
        let diagram = study::diagram(&trace);
        write(".sequence.mmd", diagram.sequence());
        write(".flowchart.mmd", diagram.clone().around(id(d)).flowchart());
        write(".dot", diagram.dot());
        let chrome = study::chrome(&trace);
        for (ending, chrome) in [(".json", chrome.clone()), (".steps.json", chrome.steps())] {
            let mut json = Vec::new();
            chrome.write(&mut json).expect("memory takes it");
            std::fs::write(folder.join(format!("{name}{ending}")), json).expect("it can be written");
        }
    }
}
