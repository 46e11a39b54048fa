//! What is hard about callbacks, and the event that shows it: `docs/lessons/README.md` has a table, and here each of its rows
//! is held against the lesson's trace.

use super::{Folder, example, root, run};
use ropewalk::study::{self, Timeline};
use ropewalk::trace::{EventNumber, Trace};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A row of the table: number, lesson, the kind of the event, and what stands in its sentence.
const ROWS: [(u32, &str, &str, &str); 11] = [
    (1, "03_order", "cb.begin", "queued by call_soon"),
    (2, "06_deferred", "d.add", "the step runs now, inside the add"),
    (3, "07_two_lanes", "d.pass", "has no errback: the error passes it by"),
    (4, "08_lost", "f.lost", "had no errback for it"),
    (5, "09_inner", "d.pause", "STOPS here until d3"),
    (6, "11_cancel", "d.swallow", "it was cancelled before"),
    (7, "05_callbacks", "cb.begin", "timer m4"),
    (8, "04_blocked", "timer.fire", "\"20 ms\""),
    (9, "13_four_ways", "poll.end", "1 source is ready"),
    (11, "12_flow", "work.done", "w1"),
    (12, "09_inner", "d.add", "\"shout\""),
];

/// Records a lesson into a file of this folder.
fn recorded(name: &str, scratch: &Folder) -> PathBuf {
    let file = scratch.0.join(name);
    run(&example(name), &format!("trace={},stable", file.display()), root());
    file
}

fn read(file: &Path) -> Trace {
    Trace::read_json(&std::fs::read(file).unwrap()[..]).unwrap()
}

/// The first event of this kind with these words: its number and its sentence.
fn found(file: &Path, name: &str, kind: &str, words: &str) -> (Trace, EventNumber, String) {
    let trace = read(file);
    let mut all = study::sentences(&trace).map(|(event, text)| (event.s, event.kind.name(), text.to_string()));
    let one = all.find(|(_, name, sentence)| *name == kind && sentence.contains(words));
    drop(all);
    let (s, _, sentence) = one.unwrap_or_else(|| panic!("{name} has a {kind} with \"{words}\""));
    (trace, s, sentence)
}

#[test]
fn each_difficulty_is_shown_by_the_event_that_the_book_names() {
    let scratch = Folder::new("hard");
    let path = root().join("docs/lessons/README.md");
    let book = std::fs::read_to_string(&path).unwrap();
    let mut rows: Vec<String> = book.lines().map(str::to_owned).collect();
    for (number, name, kind, words) in ROWS {
        let file = recorded(name, &scratch);
        let (_, s, sentence) = found(&file, name, kind, words);
        // The times of a blocked loop are those of the machine, and so is how many turns it took.
        let (at, shown) = match sentence.split_once(" is due, ") {
            Some((timer, _)) => ("..".to_owned(), format!("{timer} is due, .. ms late.")),
            None => (s.to_string(), sentence),
        };
        let row = rows.iter_mut().find(|row| row.starts_with(&format!("| {number} |"))).expect("it has a row");
        let mut columns: Vec<&str> = row.split(" | ").collect();
        let expected = format!("[{}]({}.md), event {at}, `{kind}`: {shown}", &name[..2], &name[..2]);
        columns[2] = &expected;
        let keys: Vec<&str> = columns[3].split('`').skip(1).step_by(2).collect();
        assert_eq!(stops(&file, &keys), Some(s), "row {number}, the keys {keys:?}");
        *row = columns.join(" | ");
    }
    let expected = rows.join("\n") + "\n";
    if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "write") {
        return std::fs::write(path, expected).expect("the folder of the book can be written to");
    }
    assert!(book == expected, "docs/lessons/README.md is to be:\n{expected}");
}

/// Where the prompt stands behind these keys. The first Enter shows the answer of the lesson's question.
fn stops(file: &Path, keys: &[&str]) -> Option<EventNumber> {
    let mut step = Command::new(example("step"));
    step.arg(file).env("ROPEWALK", "").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut step = step.spawn().unwrap();
    step.stdin.take().unwrap().write_all(format!("\n{}\n", keys.join("\n")).as_bytes()).unwrap();
    let output = step.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    let mut numbers =
        said.lines().filter_map(|line| line.trim_start_matches("> ").split_once(": ")?.0.parse().ok());
    numbers.next_back()
}

#[test]
fn to_end_a_program_that_is_over_leaves_it_its_exit_code() {
    let mut lesson = Command::new(example("09_inner"));
    lesson.env("ROPEWALK", "plain").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut lesson = lesson.spawn().unwrap();
    lesson.stdin.take().unwrap().write_all(b"c\nQ\n").unwrap();
    let output = lesson.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_callback_knows_who_armed_it_back_to_the_setup() {
    let scratch = Folder::new("who");
    let (trace, s, _) = found(&recorded("05_callbacks", &scratch), "05_callbacks", "cb.begin", "timer m4");
    let timeline = Timeline::of(trace);
    let why = study::why(timeline.trace(), s, timeline.head());
    let text = why.to_string();
    // The second part of a poem comes by the timer that the first part's callback armed.
    let kinds: Vec<_> = why
        .rows()
        .iter()
        .map(|row| timeline.trace().events().find(|event| event.s == row.s).unwrap().kind.name())
        .collect();
    assert!(kinds.contains(&"timer.fire") && kinds.contains(&"timer.arm"), "{text}");
}

#[test]
fn who_came_late_is_told_who_had_the_loop() {
    let scratch = Folder::new("late");
    let (trace, late, _) = found(&recorded("04_blocked", &scratch), "04_blocked", "timer.fire", "\"20 ms\"");
    let lints = study::lints(&trace);
    let lint = lints.iter().find(|lint| lint.rule == study::Rule::LateTimers).expect("a timer is late");
    let said = lint.to_string();
    assert!(said.contains("sleeper"), "{said}");
    let sleeper = study::sentences(&trace)
        .find(|(_, sentence)| sentence.to_string().contains("calls the callback of timer m5"));
    assert!(sleeper.unwrap().0.s < late);
}
