//! What events are called in a text: values, failures, places, types, durations.

use super::state::State;
use crate::ground::step_name;
pub(super) use crate::ground::type_name::short_type;
use crate::trace::{At, Event, EventNumber, Id, Kind, Lane, Trace, Via};
use std::borrow::Cow;

/// Between the names of a step's two functions.
pub(super) const BAR: &str = " | ";

/// What a step is called: the name that a person gave it, or its functions' names, `got_poem | no_poem` where it has two.
pub(super) fn step_label<'t>(given: Option<&'t str>, names: [&'t str; 2]) -> Cow<'t, str> {
    match (given, two_names(given, names)) {
        (Some(given), _) => Cow::Borrowed(given),
        (None, None) => Cow::Borrowed(step_name(names[0])),
        (None, Some([callback, errback])) => Cow::Owned(format!("{callback}{BAR}{errback}")),
    }
}

/// The names of a step's functions, if they are two, and no person gave the step a name.
pub(super) fn two_names<'t>(given: Option<&str>, names: [&'t str; 2]) -> Option<[&'t str; 2]> {
    let names = names.map(step_name);
    (given.is_none() && !names[1].is_empty() && names[0] != names[1]).then_some(names)
}

/// Looks things up in a trace and puts them into words.
pub(super) struct Words<'t> {
    trace: &'t Trace,
    /// A state after all events that are put into words.
    state: &'t State,
    pub(super) stable: bool,
    /// Places are told without folders.
    file_names: bool,
}

impl<'t> Words<'t> {
    pub(super) fn new(trace: &'t Trace, state: &'t State, stable: bool) -> Words<'t> {
        Words { trace, state, stable, file_names: stable }
    }

    /// Leaves the folders out of places, where there is little room.
    #[cfg_attr(not(feature = "stepper"), allow(dead_code))]
    pub(super) fn with_file_names(self) -> Words<'t> {
        Words { file_names: true, ..self }
    }

    pub(super) fn event(&self, s: EventNumber) -> Option<Event<'t>> {
        self.trace.get(s)
    }

    /// ` by m1 deliver poem`: the callback of the loop that an event lies in; empty outside of one.
    pub(super) fn by(&self, event: &Event<'_>) -> String {
        let outward = std::iter::successors(self.event(event.frame), |frame| self.event(frame.frame));
        let begin = outward.into_iter().find(|frame| matches!(frame.kind, Kind::CbBegin { .. }));
        let Some(Event { s, kind: Kind::CbBegin { o, slot }, label, .. }) = begin else { return String::new() };
        // How a job went is the first thing told in its callback.
        let job = match self.event(s + 1).map(|first| first.kind) {
            Some(Kind::WorkBegin { w } | Kind::WorkDone { w }) => Some(w),
            _ => None,
        };
        let o = job.or(o);
        let label = label.or_else(|| o.and_then(|o| self.state.label(o)).map(|label| &**label)).map(escaped);
        match (o, label) {
            (Some(o), Some(label)) => format!(" by {o} {label}"),
            (Some(o), None) => format!(" by {o}"),
            (None, Some(label)) => format!(" by {label}"),
            (None, None) => format!(" by a callback ({slot})").to_lowercase(),
        }
    }

    pub(super) fn via(&self, f: Id) -> Option<Via> {
        self.state.failure(f).map(|error| error.via)
    }

    pub(super) fn raised(&self, f: Id) -> Option<At<'t>> {
        self.state.failure(f).and_then(|error| self.event(error.born)).and_then(|event| event.at)
    }

    /// The text of a failure, in quotes.
    pub(super) fn message(&self, f: Id) -> String {
        match self.state.failure(f).map(|error| &error.msg) {
            Some(msg) if self.stable => format!("\"{}\"", escaped(&short_paths(msg))),
            Some(msg) => format!("\"{}\"", escaped(msg)),
            None => String::new(),
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
        let file = if self.file_names { file_name(at.file()) } else { at.file() };
        format!("{file}:{}", at.line())
    }
}

pub(super) fn lane_word(lane: Lane) -> &'static str {
    match lane {
        Lane::Ok => "ok",
        Lane::Err => "err",
    }
}

/// How much of a program's text is shown.
const SHOWN: usize = 120;

/// How much of it where all of it is to be read: more than fits on a screen of 80 columns and 24 rows.
const WHOLE: usize = 2000;

/// A text that a program gave, safe for any terminal and page: control characters and those that turn the direction
/// of writing are escaped, and it is cut to 120 characters.
pub(super) fn escaped(text: &str) -> String {
    cut_and_escaped(text, SHOWN)
}

/// The same for a question, an answer, or what was found: one reads these to their ends.
pub(super) fn whole(text: &str) -> String {
    cut_and_escaped(text, WHOLE)
}

fn cut_and_escaped(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut n = 0;
    for c in text.chars() {
        n += 1;
        if n > most {
            shown.push_str("...");
            break;
        }
        match c {
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
                shown.extend(c.escape_unicode());
            }
            c if c.is_control() => shown.extend(c.escape_debug()),
            c => shown.push(c),
        }
    }
    shown
}

/// What a program printed, on one line: without the space around its lines, and without those that are empty.
pub(super) fn printed(text: &str) -> String {
    let mut line = String::new();
    for part in text.lines().map(str::trim).filter(|part| !part.is_empty()) {
        if !line.is_empty() {
            line.push_str(" / ");
        }
        // No more than is shown: a program may print a lot at once.
        line.extend(part.chars().take(SHOWN + 1));
        if line.len() > SHOWN {
            break;
        }
    }
    escaped(&line)
}

/// A value's preview; where that is only a type's name, without the paths.
pub(super) fn value(preview: &str) -> String {
    match preview.strip_prefix('<') {
        Some(ty) => format!("<{}", short_type(&escaped(ty))),
        None => escaped(preview),
    }
}

/// `30.0 ms`, rounded: a timer of 5 ms that has some microseconds behind it is still due in 5.0 ms.
pub(super) fn duration(nanos: u64) -> String {
    let in_units = |unit: u64| nanos.saturating_add(unit / 2) / unit;
    match nanos {
        0..999_500 => format!("{} us", in_units(1000)),
        999_500..999_950_000 => format!("{}.{} ms", in_units(100_000) / 10, in_units(100_000) % 10),
        _ => format!("{}.{:02} s", in_units(10_000_000) / 100, in_units(10_000_000) % 100),
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
    use super::{duration, escaped, printed, short_paths, whole};

    #[test]
    fn what_could_harm_a_terminal_is_escaped() {
        assert_eq!(escaped("a \u{1b}[2J\nb\u{202e}c \"ä\""), "a \\u{1b}[2J\\nb\\u{202e}c \"ä\"");
        assert_eq!(escaped(&"x".repeat(1 << 20)).len(), 123);
        assert_eq!(whole(&"x".repeat(1 << 20)).len(), 2003);
    }

    #[test]
    fn what_was_printed_is_one_line() {
        assert_eq!(printed("\n  Which?\n\n  This\tone.\n"), "Which? / This\\tone.");
        assert_eq!(printed(&"x\n".repeat(1 << 20)).len(), 123);
        assert_eq!(printed(&"x".repeat(1 << 20)).len(), 123);
        assert_eq!(printed("\n\n"), "");
    }

    #[test]
    fn durations_have_three_ranges() {
        assert_eq!(duration(12_345), "12 us");
        assert_eq!(duration(30_040_000), "30.0 ms");
        assert_eq!(duration(1_500_000_000), "1.50 s");
        assert_eq!([999_499, 999_500].map(duration), ["999 us", "1.0 ms"]);
        assert_eq!([4_949_999, 4_950_000].map(duration), ["4.9 ms", "5.0 ms"]);
        assert_eq!([999_949_999, 999_950_000].map(duration), ["999.9 ms", "1.00 s"]);
        assert_eq!(duration(u64::MAX), "18446744073.70 s");
    }

    #[test]
    fn paths_in_messages_keep_their_last_part() {
        assert_eq!(short_paths("boom (registered at src/a/b.rs:5:3)"), "boom (registered at b.rs:5:3)");
        assert_eq!(short_paths("(/home/x/b.rs:5:3)"), "(b.rs:5:3)");
        assert_eq!(short_paths("no path/at all"), "no path/at all");
    }
}
