//! What is counted: events of the trace, allocations, memory and threads as the system tells them.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use ropewalk::trace::{Event, Kind, Recorder};

/// Counts events and keeps none.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) turns: u64,
    pub(crate) callbacks: u64,
    pub(crate) steps: u64,
    pub(crate) polls: u64,
}

impl Recorder for Counts {
    fn event(&mut self, event: &Event<'_>) {
        match event.kind {
            Kind::TurnBegin { .. } => self.turns += 1,
            Kind::CbBegin { .. } => self.callbacks += 1,
            Kind::DStep { .. } => self.steps += 1,
            Kind::XPoll { .. } => self.polls += 1,
            _ => {}
        }
    }
}

/// A line of `/proc/self/status`: kilobytes, or a number. `None` where there is no such file.
fn status(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The memory that this process has in use now, and the most that it has had, in KiB.
pub(crate) fn memory() -> (u64, u64) {
    (status("VmRSS").unwrap_or(0), status("VmHWM").unwrap_or(0))
}

/// How many threads this process has now.
pub(crate) fn threads() -> u64 {
    status("Threads").unwrap_or(0)
}

/// Threads that the blocking model has started. They are over before anybody could look at the system's figure.
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// Called by each of them.
pub(crate) fn thread_begins() {
    BEGUN.fetch_add(1, Ordering::Relaxed);
}

/// How many there were.
pub(crate) fn threads_begun() -> u64 {
    BEGUN.load(Ordering::Relaxed)
}

/// `key=value` pairs on one line, from a process that measures to the one that shows.
#[derive(Default)]
pub(crate) struct Line(String);

impl Line {
    pub(crate) fn with(mut self, key: &str, value: impl std::fmt::Display) -> Line {
        let _ = write!(self.0, "{key}={value}\t"); // to a String, which does not fail
        self
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// The value of `key` in such a line.
pub(crate) fn value<'a>(line: &'a str, key: &str) -> &'a str {
    let find = |pair: &'a str| pair.split_once('=').filter(|(name, _)| *name == key);
    line.split('\t').find_map(find).map_or("-", |(_, value)| value)
}
