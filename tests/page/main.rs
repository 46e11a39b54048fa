//! The page of a trace, as a file. What a browser makes of it is looked at by `.ci/page`.
//!
//! `PAGES=FOLDER cargo test --test page` writes the pages for that.

mod bare;
mod hostile;
mod late;
mod many;
mod parts;
mod tasks;
mod waits;

#[path = "../text_chain/cancel.rs"]
mod cancel;
#[path = "../text_chain/nested.rs"]
mod nested;
#[path = "../text_chain/pause.rs"]
mod pause;
#[path = "../text_chain/timers.rs"]
mod timers;

use ropewalk::study::{self, Finding, Page, PageError};
use ropewalk::testing::capture_unhandled;
use ropewalk::trace::{self, Trace};
use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use tinyjson::JsonValue;

type Fields = HashMap<String, JsonValue>;

/// Records a program. What it loses on purpose is not reported.
fn record(program: fn()) -> Trace {
    let unhandled = capture_unhandled();
    let ((), trace) = trace::record(program);
    drop(unhandled.flush_unhandled());
    trace
}

fn html(trace: &Trace) -> String {
    study::page(trace).to_html().expect("this trace fits into a page")
}

/// The text of a block of data.
fn block<'h>(html: &'h str, id: &str) -> &'h str {
    let start = html.find(&format!("id=\"{id}\">")).expect("the page has this block");
    let rest = &html[start..];
    let text = &rest[rest.find('>').expect("its tag ends") + 1..];
    text[..text.find("</script>").expect("the block ends")].trim()
}

fn parse(json: &str) -> JsonValue {
    json.parse().unwrap_or_else(|error| panic!("{error:?} in {}", &json[..json.len().min(200)]))
}

/// The events of a page, and not its header and sources.
fn events(html: &str) -> Vec<Fields> {
    let lines = block(html, "trace").lines().map(parse);
    lines.filter_map(|line| line.try_into().ok()).filter(|fields: &Fields| fields.contains_key("s")).collect()
}

fn number(fields: &Fields, name: &str) -> u32 {
    fields.get(name).and_then(|value| value.get::<f64>()).map_or(0, |n| *n as u32)
}

#[test]
fn a_page_fetches_nothing() {
    let html = html(&record(timers::program));
    let policy =
        "content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:;";
    assert!(html.contains(policy));
    let code = html.replace("http://www.w3.org/2000/svg", "");
    for door in ["http:", "https:", "src=", "@import", "url(", "fetch(", "XMLHttpRequest", "<link rel=\"style"] {
        assert!(!code.contains(door), "{door}");
    }
}

#[test]
fn each_event_has_its_words() {
    let trace = record(timers::program);
    let html = html(&trace);
    let events = events(&html);
    let words: Vec<Vec<JsonValue>> =
        block(&html, "sentences").lines().map(|line| parse(line).try_into().expect("a list")).collect();
    assert_eq!(events.len(), trace.len());
    assert_eq!(words.len(), trace.len());
    for ((event, sentence), words) in study::sentences(&trace).zip(&words) {
        assert_eq!(words[1].get::<String>(), Some(&sentence), "event {}", event.s);
    }
    assert_eq!(words[0].len(), 2);
    assert!(block(&html, "trace").contains("\"k\":\"src\""), "the program's source is in the page");
    assert!(
        html.contains("d1 get_poem  Deferred&lt;&amp;str&gt;"),
        "the text chain is there for those without a script"
    );
}

#[test]
fn nothing_in_a_trace_ends_its_block() {
    let trace = record(hostile::program);
    let html = html(&trace);
    assert_eq!(html.matches("</script").count(), 4, "one for each block and one for the program");
    assert_eq!(html.matches("<script").count(), 4);
    assert!(!html.contains("<!--"));
    assert!(!html.contains("<img") && !html.contains("<b class"));
    assert!(html.len() < 40 << 20, "a text of a megabyte is not repeated without end: {}", html.len());
    let bad = html.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(bad, None, "control characters are written as escapes or as pictures");
    assert_eq!(events(&html).len(), trace.len());
}

#[test]
fn the_same_trace_gives_the_same_page() {
    let trace = record(pause::program);
    assert_eq!(html(&trace), html(&trace));
}

#[test]
fn a_trace_without_events_has_a_page() {
    assert!(events(&html(&record(|| ()))).is_empty());
}

#[test]
fn findings_are_in_the_page() {
    let trace = record(pause::program);
    let text = "</script> is \"no\" end".to_owned();
    let html = study::page(&trace).findings([Finding { s: 2, text: text.clone() }]).to_html().expect("it fits");
    let about: Fields = parse(block(&html, "about-run")).try_into().expect("an object");
    let findings: &Vec<JsonValue> = about["findings"].get().expect("a list");
    let finding: &Fields = findings[0].get().expect("an object");
    assert_eq!(number(finding, "s"), 2);
    assert_eq!(finding["text"].get::<String>(), Some(&text));
    let derived: Vec<Finding> = study::lints(&trace).into_iter().map(Finding::from).collect();
    assert_eq!(findings.len(), 1 + derived.len(), "those of the lints come by themselves");
}

#[test]
fn more_events_than_a_browser_can_hold_are_refused_with_advice() {
    let trace = record(|| (0..=Page::LIMIT).for_each(|_| trace::note("")));
    let mut written = Vec::new();
    let error = study::page(&trace).write(&mut written).expect_err("one too many");
    assert!(written.is_empty());
    let text = error.to_string();
    assert!(matches!(error, PageError::TooMany { part: false, .. }));
    assert!(text.contains("--turns 3..9") && text.contains("--around d3"), "{text}");
}

/// The numbers of the events of a part, and how many of their links lead out of it.
fn part(page: &Page<'_>) -> (HashSet<u32>, Vec<Fields>) {
    let events = events(&page.to_html().expect("it fits"));
    (events.iter().map(|event| number(event, "s")).collect(), events)
}

#[test]
fn some_turns_come_with_what_they_refer_to() {
    let trace = record(timers::program);
    let (held, all) = part(&study::page(&trace).turns(3..=3));
    assert!(all.len() < trace.len());
    for event in trace.events().filter(|event| event.turn == 3) {
        assert!(held.contains(&event.s));
        for link in [event.frame, event.cause, event.reg] {
            assert!(link == 0 || held.contains(&link), "event {} refers to {link}", event.s);
        }
    }
    let made =
        |event: &Fields| event["k"].get::<String>().is_some_and(|k| k == "d.new") && number(event, "turn") == 0;
    assert!(all.iter().any(made), "a Deferred of an earlier time is made in the page too");
    let error = study::page(&trace).turns(900..=901).to_html().expect_err("there are no such turns");
    assert_eq!(error.to_string(), "the trace has no event in turns 900..901");
}

#[test]
fn what_is_around_an_object_comes_with_what_it_waits_for_and_with_its_causes() {
    let trace = record(timers::program);
    let (held, all) = part(&study::page(&trace).around("d1".parse().expect("an id")));
    let names = |id: &str| {
        all.iter().any(|event| event.get("d").is_some_and(|d| d.get::<String>().is_some_and(|d| d == id)))
    };
    assert!(names("d1") && names("d4"), "d1 waits for d4");
    assert!(!names("d2"), "d2 has nothing to do with it");
    for event in trace.events().filter(|event| event.kind.name().starts_with("d.") && held.contains(&event.s)) {
        let way = std::iter::successors(Some(event), |event| trace.get(event.because()));
        assert!(way.skip(1).all(|event| held.contains(&event.s)), "the way back from event {}", event.s);
    }
}

#[test]
fn an_error_of_the_writer_is_told() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let trace = record(pause::program);
    let whole = html(&trace).len();
    for room in (0..whole).step_by(whole / 50) {
        let error = study::page(&trace).write(Full(room)).expect_err("it does not fit");
        assert!(matches!(error, PageError::Io(_)), "{error}");
    }
    study::page(&trace).write(Full(whole)).expect("now it fits");
}

#[test]
fn pages_for_a_browser() {
    let Some(folder) = std::env::var_os("PAGES").map(std::path::PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).expect("a folder for the pages");
    let write = |name: &str, trace: &Trace| {
        let page = study::page(trace).to_html().expect("it fits");
        std::fs::write(folder.join(name), page).expect("the page can be written");
    };
    write("timers.html", &record(timers::program));
    write("pause.html", &record(pause::program));
    write("nested.html", &record(nested::program));
    write("cancel.html", &record(cancel::program));
    write("bare.html", &record(bare::program));
    write("parts.html", &record(parts::program));
    write("tasks.html", &record(tasks::program));
    write("waits.html", &record(waits::program));
    write("late.html", &record(late::program));
    write("asked.html", &record(|| trace::ask("What comes next?", "Nothing.")));
    write("hostile.html", &record(hostile::program));
    write("kinds.html", &Trace::read_json(&include_bytes!("kinds.jsonl")[..]).expect("a trace written by hand"));
    // The last event is the one that counts those that found no room.
    for (name, events, requests) in [("some.html", 620, 30), ("many.html", Page::LIMIT, 9_000)] {
        let unhandled = capture_unhandled();
        let ((), trace) = trace::record_with(Trace::with_limit(events - 1), || many::program(requests));
        drop(unhandled.flush_unhandled());
        write(name, &trace);
    }
}
