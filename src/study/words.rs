//! What events are called in a text: values, failures, places, types, durations.

use crate::trace::{At, Event, EventNumber, Id, Kind, Lane, Trace, Via};
use std::collections::HashMap;

/// Looks things up in a trace and puts them into words.
pub(super) struct Words<'t> {
    trace: &'t Trace,
    pub(super) stable: bool,
    failures: HashMap<Id, Event<'t>>,
    labels: HashMap<Id, &'t str>,
    /// For each begin event: the loop's callback that it lies in.
    callbacks: HashMap<EventNumber, EventNumber>,
    /// For the loop's callback that brings a job's result back: that job.
    jobs: HashMap<EventNumber, Id>,
}

impl<'t> Words<'t> {
    pub(super) fn new(trace: &'t Trace, stable: bool) -> Words<'t> {
        Words {
            trace,
            stable,
            failures: HashMap::new(),
            labels: HashMap::new(),
            callbacks: HashMap::new(),
            jobs: HashMap::new(),
        }
    }

    /// Takes note of what later events refer to.
    pub(super) fn learn(&mut self, event: Event<'t>) {
        match &event.kind {
            Kind::FNew { f, .. } => {
                self.failures.insert(*f, event);
            }
            Kind::TimerArm { m: id, .. }
            | Kind::Post { p: id, .. }
            | Kind::IoOpen { i: id, .. }
            | Kind::WorkQueue { w: id, .. } => {
                if let Some(label) = event.label {
                    self.labels.insert(*id, label);
                }
            }
            Kind::WorkDone { w } => {
                self.jobs.insert(event.frame, *w);
            }
            Kind::CbBegin { .. } => {
                self.callbacks.insert(event.s, event.s);
            }
            Kind::DStep { .. } | Kind::CancellerBegin { .. } => {
                if let Some(&callback) = self.callbacks.get(&event.frame) {
                    self.callbacks.insert(event.s, callback);
                }
            }
            _ => {}
        }
    }

    pub(super) fn event(&self, s: EventNumber) -> Option<Event<'t>> {
        self.trace.get(s)
    }

    /// ` by m1 deliver poem`: the callback of the loop that an event lies in; empty outside of one.
    pub(super) fn by(&self, event: &Event<'_>) -> String {
        let begin = self.callbacks.get(&event.frame).and_then(|s| self.event(*s));
        let Some(Event { kind: Kind::CbBegin { o, slot }, label, .. }) = begin else { return String::new() };
        let job = self.callbacks.get(&event.frame).and_then(|s| self.jobs.get(s));
        let o = &job.copied().or(o);
        let label = label.or_else(|| o.as_ref().and_then(|o| self.labels.get(o).copied()));
        match (o, label) {
            (Some(o), Some(label)) => format!(" by {o} {label}"),
            (Some(o), None) => format!(" by {o}"),
            (None, Some(label)) => format!(" by {label}"),
            (None, None) => format!(" by a callback ({slot})").to_lowercase(),
        }
    }

    pub(super) fn via(&self, f: Id) -> Option<Via> {
        self.failures.get(&f).and_then(|event| match event.kind {
            Kind::FNew { via, .. } => Some(via),
            _ => None,
        })
    }

    pub(super) fn raised(&self, f: Id) -> Option<At<'t>> {
        self.failures.get(&f).and_then(|event| event.at)
    }

    /// The text of a failure, in quotes.
    pub(super) fn message(&self, f: Id) -> String {
        match self.failures.get(&f).map(|event| &event.kind) {
            Some(Kind::FNew { msg, .. }) if self.stable => format!("{:?}", short_paths(msg)),
            Some(Kind::FNew { msg, .. }) => format!("{msg:?}"),
            _ => String::new(),
        }
    }

    /// `f2 "engine down"`
    pub(super) fn failure(&self, f: Id) -> String {
        format!("{f} {}", self.message(f)).trim_end().to_owned()
    }

    /// A place as seen from a text about `home`: `:12` in the same file.
    pub(super) fn place(&self, at: At<'_>, home: Option<At<'_>>) -> String {
        if home.is_some_and(|home| home.file() == at.file()) {
            format!(":{}", at.line())
        } else {
            self.whole_place(at)
        }
    }

    pub(super) fn whole_place(&self, at: At<'_>) -> String {
        let file = if self.stable { file_name(at.file()) } else { at.file() };
        format!("{file}:{}", at.line())
    }
}

pub(super) fn lane_word(lane: Lane) -> &'static str {
    match lane {
        Lane::Ok => "ok",
        Lane::Err => "err",
    }
}

/// A value's preview; where that is only a type's name, without the paths.
pub(super) fn value(preview: &str) -> String {
    match preview.strip_prefix('<') {
        Some(ty) => format!("<{}", short_type(ty)),
        None => preview.to_owned(),
    }
}

/// A type's name without the paths: `Option<String>` for `core::option::Option<alloc::string::String>`.
pub(super) fn short_type(name: &str) -> String {
    let mut short = String::new();
    let mut word_start = 0;
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        if c == ':' && rest.peek() == Some(&':') {
            rest.next();
            short.truncate(word_start);
            continue;
        }
        short.push(c);
        if !(c.is_alphanumeric() || c == '_') {
            word_start = short.len();
        }
    }
    short
}

/// `30.0 ms`
pub(super) fn duration(nanos: u64) -> String {
    match nanos {
        0..1_000_000 => format!("{} us", nanos / 1000),
        1_000_000..1_000_000_000 => format!("{}.{} ms", nanos / 1_000_000, nanos / 100_000 % 10),
        _ => format!("{}.{:02} s", nanos / 1_000_000_000, nanos / 10_000_000 % 100),
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Paths in a message depend on where the program was built: only their last part stays.
fn short_paths(message: &str) -> String {
    let short = |word: &str| match word.find(".rs:") {
        Some(end) => {
            let start = word[..end].rfind('/').map_or(0, |slash| slash + 1);
            let open = if word.starts_with('(') && start > 0 { "(" } else { "" };
            format!("{open}{}", &word[start..])
        }
        None => word.to_owned(),
    };
    message.split(' ').map(short).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{duration, short_paths, short_type};

    #[test]
    fn types_lose_their_paths() {
        assert_eq!(short_type("i32"), "i32");
        assert_eq!(short_type("core::option::Option<alloc::string::String>"), "Option<String>");
        assert_eq!(short_type("(a::b::C, &d::E)"), "(C, &E)");
    }

    #[test]
    fn durations_have_three_ranges() {
        assert_eq!(duration(12_345), "12 us");
        assert_eq!(duration(30_040_000), "30.0 ms");
        assert_eq!(duration(1_500_000_000), "1.50 s");
    }

    #[test]
    fn paths_in_messages_keep_their_last_part() {
        assert_eq!(short_paths("boom (registered at src/a/b.rs:5:3)"), "boom (registered at b.rs:5:3)");
        assert_eq!(short_paths("(/home/x/b.rs:5:3)"), "(b.rs:5:3)");
        assert_eq!(short_paths("no path/at all"), "no path/at all");
    }
}
