//! What is counted of each model: events of its trace, and lines of its file.

use ropewalk::trace::{Event, Kind, Recorder, Slot};
use std::fmt;

/// Counts events, and keeps none.
#[derive(Default)]
pub(crate) struct Counts {
    turns: usize,
    callbacks: usize,
    steps: usize,
    polls: usize,
    open: usize,
    deepest: usize,
}

impl Recorder for Counts {
    fn event(&mut self, event: &Event<'_>) {
        match event.kind {
            Kind::TurnBegin { .. } => self.turns += 1,
            Kind::CbBegin { slot: Slot::Ready, .. } => self.callbacks += 1,
            Kind::DStep { .. } => self.steps += 1,
            Kind::XPoll { .. } => self.polls += 1,
            _ => {}
        }
        if event.kind.opens_frame() {
            self.open += 1;
            self.deepest = self.deepest.max(self.open);
        } else if event.kind.begin().is_some() && !matches!(event.kind, Kind::PollEnd { .. }) {
            self.open -= 1;
        }
    }
}

/// A column for each model.
#[derive(Default)]
pub(crate) struct Table(Vec<[String; 8]>);

const ROWS: [&str; 8] = [
    "",
    "time, ms",
    "turns of the loop",
    "callbacks of its sockets",
    "steps of Deferreds",
    "polls of tasks",
    "frames, at most",
    "lines of code",
];

impl Table {
    pub(crate) fn column(&mut self, model: &str, millis: u128, text: &str, counts: &Counts) {
        let Counts { turns, callbacks, steps, polls, deepest, .. } = counts;
        let code = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count();
        let numbers = [turns, callbacks, steps, polls, deepest, &code].map(usize::to_string);
        let [turns, callbacks, steps, polls, deepest, code] = numbers;
        self.0.push([model.to_owned(), millis.to_string(), turns, callbacks, steps, polls, deepest, code]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, row) in ROWS.iter().enumerate() {
            let cells: String = self.0.iter().map(|column| format!("{:>11}", column[n])).collect();
            let end = if n + 1 < ROWS.len() { "\n" } else { "" };
            write!(f, "{row:<25}{cells}{end}")?;
        }
        Ok(())
    }
}
