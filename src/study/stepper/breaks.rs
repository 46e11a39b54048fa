//! Breakpoints: where a run is to stop.

use crate::study::lints::{Lint, Rule};
use crate::study::row::{is_error, objects};
use crate::study::state::State;
use crate::trace::{Event, Id, Kind};
use std::fmt;

/// The most breakpoints that are kept: more than anybody can read in a list.
pub(super) const MOST: usize = 100;

/// What a breakpoint stops at. `parse` reads them from text, `Display` writes them.
///
/// | text | stops at |
/// |---|---|
/// | `f.*`, `d.pause` | events of these kinds |
/// | `d1` | each event of this object |
/// | `poem.rs:40` | each event of this line |
/// | `next-callback`, `next-turn`, `next-error` | those, as the keys `n`, `t`, `e` find them |
/// | `lint`, `lint:slow-callback` | where a finding leads, any or of one rule; a live program stops when it shows |
/// | anything else | events whose object or step has this text in its name, and notes that have it |
///
/// ```
/// use ropewalk::{Deferred, Failure, study::{State, stepper::Break}, trace};
///
/// let ((), trace) = trace::record(|| {
///     let d = Deferred::<()>::fail(Failure::msg("no")).named("poem");
///     d.add_errback(|_| Ok::<(), Failure>(())).detach();
/// });
/// let state = State::after(&trace);
/// let stops = |at: &str| {
///     let at: Break = at.parse().unwrap();
///     trace.events().filter(|event| at.stops_at(event, &state)).count()
/// };
/// assert_eq!(stops("f.*"), 2); // made, handled
/// assert_eq!(stops("next-callback"), 1); // the errback
/// assert!(stops("poem") > 0 && stops("poem") == stops("d1"));
/// assert_eq!(stops("made"), 0); // there is no such name, and no such note
/// assert_eq!("poem.rs:40".parse(), Ok(Break::Line("poem.rs".to_owned(), 40)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Break {
    /// Events whose kind has this name; a `*` at its end stands for any rest.
    Kind(String),
    /// Events of this object.
    Object(Id),
    /// Events of this line of this file (the end of its path is enough).
    Line(String, u32),
    /// The start of a callback, of a step, of a poll of a task, or of a canceller.
    Callback,
    /// The beginning of a turn.
    Turn,
    /// Something goes wrong.
    Error,
    /// Where a finding leads, of any rule or of this one.
    Lint(Option<Rule>),
    /// Events whose object or step has this in its name, and notes that have it.
    Label(String),
}

/// The text was empty.
///
/// ```
/// use ropewalk::study::stepper::{Break, EmptyBreak};
///
/// assert_eq!("  ".parse::<Break>(), Err(EmptyBreak));
/// assert!(EmptyBreak.to_string().contains("a place (poem.rs:40)"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmptyBreak;

impl fmt::Display for EmptyBreak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a breakpoint is a kind (f.*), an object (d1), a place (poem.rs:40), or a name")
    }
}

impl std::error::Error for EmptyBreak {}

impl std::str::FromStr for Break {
    type Err = EmptyBreak;

    fn from_str(text: &str) -> Result<Break, EmptyBreak> {
        let text = text.trim();
        if text.is_empty() {
            return Err(EmptyBreak);
        }
        if let Ok(id) = text.parse() {
            return Ok(Break::Object(id));
        }
        match text {
            "next-callback" | "callback" => return Ok(Break::Callback),
            "next-turn" | "turn" => return Ok(Break::Turn),
            "next-error" | "error" => return Ok(Break::Error),
            "lint" => return Ok(Break::Lint(None)),
            _ => {}
        }
        let rule =
            text.strip_prefix("lint:").and_then(|name| Rule::ALL.into_iter().find(|rule| rule.name() == name));
        if rule.is_some() {
            return Ok(Break::Lint(rule));
        }
        if let Some((file, line)) = text.rsplit_once(':')
            && let Ok(line) = line.parse()
            && !file.is_empty()
        {
            return Ok(Break::Line(file.to_owned(), line));
        }
        let word = text.strip_suffix('*').unwrap_or(text);
        let is_kind = |c: char| c.is_ascii_lowercase() || c == '.';
        if !word.is_empty() && word.contains('.') && word.chars().all(is_kind) {
            return Ok(Break::Kind(text.to_owned()));
        }
        Ok(Break::Label(text.trim_matches('"').to_owned()))
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Break::Kind(kind) => f.write_str(kind),
            Break::Object(id) => write!(f, "{id}"),
            Break::Line(file, line) => write!(f, "{file}:{line}"),
            Break::Callback => f.write_str("next-callback"),
            Break::Turn => f.write_str("next-turn"),
            Break::Error => f.write_str("next-error"),
            Break::Lint(None) => f.write_str("lint"),
            Break::Lint(Some(rule)) => write!(f, "lint:{rule}"),
            Break::Label(label) => write!(f, "\"{label}\""),
        }
    }
}

impl Break {
    /// Whether it stops at what was found.
    pub(super) fn finds(&self, lint: &Lint) -> bool {
        matches!(self, Break::Lint(rule) if rule.is_none_or(|rule| rule == lint.rule))
    }

    /// Whether it stops at an event. `state` is any state after it, for the names. A finding is none of an event's.
    pub fn stops_at(&self, event: &Event<'_>, state: &State) -> bool {
        match self {
            Break::Kind(kind) => match kind.strip_suffix('*') {
                Some(start) => event.kind.name().starts_with(start),
                None => event.kind.name() == kind,
            },
            Break::Object(id) => objects(&event.kind).contains(&Some(*id)),
            Break::Line(file, line) => {
                event.at.is_some_and(|at| at.line() == *line && at.file().ends_with(file.as_str()))
            }
            Break::Callback => starts(&event.kind),
            Break::Turn => matches!(event.kind, Kind::TurnBegin { .. }),
            Break::Error => is_error(&event.kind),
            Break::Lint(_) => false,
            Break::Label(label) => {
                let named = |text: &str| text.contains(label.as_str());
                let step = match event.kind {
                    Kind::DStep { d, n, .. } | Kind::DRet { d, n, .. } | Kind::DPass { d, n, .. } => {
                        state.chain(d).and_then(|chain| chain.step(n)).is_some_and(|step| named(&step.label))
                    }
                    _ => false,
                };
                let note = matches!(event.kind, Kind::Note { msg } if named(msg));
                step || note
                    || event.label.is_some_and(named)
                    || objects(&event.kind)
                        .into_iter()
                        .flatten()
                        .any(|id| state.label(id).is_some_and(|l| named(l)))
            }
        }
    }
}

/// The start of something that runs code of the program.
pub(super) fn starts(kind: &Kind<'_>) -> bool {
    kind.opens_frame() && !matches!(kind, Kind::TurnBegin { .. })
}
