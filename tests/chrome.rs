//! The rules by which Perfetto and `chrome://tracing` read a trace, for runs of every kind and both clocks.

use ropewalk::study;
use ropewalk::testing::capture_unhandled;
use ropewalk::trace::{self, Trace};
use ropewalk::{Deferred, EventLoop, Failure, TestClock};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tinyjson::JsonValue;

type Fields = HashMap<String, JsonValue>;

fn text<'a>(event: &'a Fields, key: &str) -> &'a str {
    event.get(key).and_then(|value| value.get::<String>()).map_or("", |text| text.as_str())
}

fn number(event: &Fields, key: &str) -> Option<f64> {
    event.get(key).and_then(|value| value.get::<f64>()).copied()
}

fn events(json: &str) -> Vec<Fields> {
    let whole: Fields = json.parse::<JsonValue>().expect("it is JSON").try_into().expect("an object");
    let list: &Vec<JsonValue> = whole["traceEvents"].get().expect("a list");
    list.iter().map(|event| event.clone().try_into().expect("an object")).collect()
}

/// Breaks of the rules, in words.
fn check(json: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut last, mut moment) = (f64::MIN, f64::MIN);
    // Open slices by thread, open pairs by category and id, arrows that began.
    let mut open: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut pairs: HashMap<(String, String), String> = HashMap::new();
    let mut met: HashMap<(String, String), u32> = HashMap::new();
    let mut flows: HashMap<(String, u64), u32> = HashMap::new();
    let mut named = std::collections::HashSet::new();
    for event in events(json) {
        let phase = text(&event, "ph").to_owned();
        let Some(tid) = number(&event, "tid").map(|tid| tid as u64) else {
            wrong.push(format!("no thread: {event:?}"));
            continue;
        };
        if number(&event, "pid") != Some(1.0) {
            wrong.push(format!("no process: {event:?}"));
        }
        if phase == "M" {
            if text(&event, "name") == "thread_name" {
                named.insert(tid);
            }
            continue;
        }
        let Some(time) = number(&event, "ts") else {
            wrong.push(format!("no time: {event:?}"));
            continue;
        };
        if time < last {
            wrong.push(format!("time goes back from {last}: {event:?}"));
        }
        if matches!(phase.as_str(), "B" | "E" | "i") {
            // Arrows, pairs and counters stand at the time of their event.
            if time <= moment {
                wrong.push(format!("two at the same time: {event:?}"));
            }
            moment = time;
        }
        last = time;
        if !named.contains(&tid) {
            wrong.push(format!("a thread without a name: {tid}"));
        }
        if text(&event, "name").is_empty() {
            wrong.push(format!("no name: {event:?}"));
        }
        let slices = open.entry(tid).or_default();
        let local = || {
            let id: &Fields = event["id2"].get().expect("an object");
            (text(&event, "cat").to_owned(), text(id, "local").to_owned())
        };
        match phase.as_str() {
            "B" => slices.push(text(&event, "name").to_owned()),
            // Perfetto needs no name at an end; DevTools joins a beginning and an end of one name.
            "E" if slices.pop().as_deref() != Some(text(&event, "name")) => {
                wrong.push(format!("an end without its begin: {event:?}"));
            }
            "E" | "C" => {}
            "i" if text(&event, "s") != "t" => wrong.push(format!("an instant of no thread: {event:?}")),
            "i" => {}
            "s" | "f" => {
                let key = (text(&event, "cat").to_owned(), number(&event, "id").unwrap_or(-1.0) as u64);
                if slices.is_empty() {
                    wrong.push(format!("an arrow outside of all slices: {event:?}"));
                }
                let begun = flows.entry(key).or_default();
                match (phase.as_str(), *begun) {
                    ("s", 0) => *begun = 1,
                    ("f", 1) if text(&event, "bp") == "e" => *begun = 2,
                    _ => wrong.push(format!("an arrow out of order: {event:?}")),
                }
            }
            "b" => {
                if pairs.insert(local(), text(&event, "name").to_owned()).is_some() {
                    wrong.push(format!("begun twice: {event:?}"));
                }
                let times = met.entry(local()).or_default();
                *times += 1;
                if *times > 1 {
                    wrong.push(format!("a second pair of the same id: {event:?}"));
                }
            }
            "e" if pairs.remove(&local()).as_deref() != Some(text(&event, "name")) => {
                wrong.push(format!("an end without its begin: {event:?}"));
            }
            "e" => {}
            _ => wrong.push(format!("an unknown phase: {event:?}")),
        }
    }
    wrong.extend(open.into_iter().filter(|(_, open)| !open.is_empty()).map(|open| format!("left open: {open:?}")));
    wrong.extend(pairs.into_keys().map(|pair| format!("without an end: {pair:?}")));
    wrong.extend(flows.into_iter().filter(|(_, n)| *n != 2).map(|flow| format!("half an arrow: {flow:?}")));
    wrong
}

#[track_caller]
fn accepted(trace: &Trace) {
    let chrome = study::chrome(trace);
    for form in [chrome.clone(), chrome.clone().steps(), chrome.clone().all_flows(), chrome.steps().all_flows()] {
        assert_eq!(check(&form.to_json()), Vec::<String>::new());
    }
}

fn program(event_loop: &EventLoop) {
    let ms = Duration::from_millis;
    let later = event_loop.defer_later(ms(5), |_| Ok(())).named("inner");
    let (resolver, d) = Deferred::<i32>::new();
    d.named("</script> \"outer\"")
        .add_callback(move |_| later)
        .add_callback(|()| Err::<(), _>(Failure::msg("no\u{1b}[2J")))
        .map(|()| ())
        .add_errback(|_| Ok(()))
        .detach();
    event_loop.call_later(ms(1), move |_| resolver.succeed(1));
    event_loop.defer_to_thread(|| Ok::<_, Failure>(())).log_errors("job").detach();
    let (_kept, never) = Deferred::<()>::new();
    let task = event_loop.spawn(never.into_future());
    task.log_errors("task").detach();
    event_loop.call_later(ms(30), |event_loop| event_loop.stop());
    event_loop.run().expect("it is stopped");
}

fn record(clock: Option<&TestClock>) -> Trace {
    let unhandled = capture_unhandled();
    let builder = EventLoop::builder();
    let event_loop = match clock {
        Some(clock) => builder.clock(clock).build(),
        None => builder.build(),
    };
    let event_loop = event_loop.expect("a loop");
    let recording = event_loop.record(Trace::with_limit(100_000));
    program(&event_loop);
    let trace = recording.finish().expect("not inside the recorder");
    drop(event_loop);
    drop(unhandled.flush_unhandled());
    trace
}

#[test]
fn a_run_on_either_clock_is_accepted() {
    accepted(&record(Some(&TestClock::new())));
    accepted(&record(None));
}

#[test]
fn a_run_without_a_loop_and_one_without_events_are_accepted() {
    let ((), trace) = trace::record(|| Deferred::succeed(1).map(|n| n + 1).detach());
    accepted(&trace);
    accepted(&trace::record(|| ()).1);
}

#[test]
fn every_kind_of_event_and_a_trace_that_breaks_off_are_accepted() {
    let whole = include_str!("page/kinds.jsonl");
    let lines: Vec<&str> = whole.lines().collect();
    for n in 1..=lines.len() {
        let text: String = lines[..n].iter().map(|line| format!("{line}\n")).collect();
        accepted(&Trace::read_json(text.as_bytes()).expect("a trace"));
    }
    // One without its beginning, as a ring has it.
    for n in 4..lines.len() {
        let text: String = lines[..1].iter().chain(&lines[n..]).map(|line| format!("{line}\n")).collect();
        accepted(&Trace::read_json(text.as_bytes()).expect("a trace"));
    }
}

#[test]
fn the_slices_are_those_of_the_run_and_arrows_lead_into_later_turns() {
    let trace = record(Some(&TestClock::new()));
    let all = events(&study::chrome(&trace).to_json());
    let has = |phase: &str, part: &str| {
        all.iter().any(|event| text(event, "ph") == phase && text(event, "name").contains(part))
    };
    for (phase, part) in [
        ("B", "setup"),
        ("B", "turn 1"),
        ("B", "d2 step 0"),
        ("B", "job w1"),
        ("b", "d2 waits on d1"),
        ("s", "registered at"),
        ("f", "woken by"),
        ("C", "Deferreds without a result"),
        ("M", "thread_name"),
    ] {
        assert!(has(phase, part), "{phase} {part}");
    }
    let flows = |chrome: study::Chrome<'_>| {
        events(&chrome.to_json()).iter().filter(|event| text(event, "ph") == "s").count()
    };
    assert!(flows(study::chrome(&trace)) < flows(study::chrome(&trace).all_flows()));
    // On the clock of steps event 7 is at 70 us.
    let steps = events(&study::chrome(&trace).steps().to_json());
    let seventh = steps.iter().find(|event| {
        let args = event.get("args").and_then(|args| args.get::<Fields>());
        args.and_then(|args| args.get("event")).and_then(|event| event.get::<Fields>()).and_then(|e| number(e, "s"))
            == Some(7.0)
    });
    assert_eq!(seventh.and_then(|event| number(event, "ts")), Some(70.0));
}

#[test]
fn the_checker_sees_what_is_wrong() {
    let json = study::chrome(&record(Some(&TestClock::new()))).to_json();
    let lines: Vec<&str> = json.lines().collect();
    for phase in ["B", "E", "b", "e", "s", "f"] {
        let mark = format!("{{\"ph\":\"{phase}\"");
        let at = lines.iter().position(|line| line.starts_with(&mark)).expect("there is one");
        let rest: Vec<&str> = lines.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, line)| *line).collect();
        assert!(!check(&rest.join("\n")).is_empty(), "without a {phase}");
    }
    let mut turned = lines.clone();
    turned.swap(8, lines.len() / 2);
    assert!(!check(&turned.join("\n")).is_empty(), "two entries change places");
}
