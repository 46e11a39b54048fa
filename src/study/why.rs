//! Why an event happened: the way back from it to the program's setup, along the three links.

use super::row::headline;
use super::state::State;
use super::words::escaped;
use crate::trace::{Event, EventNumber, Kind, Trace};
use std::fmt;

/// The most rows that are shown; what is between the first and the last ones is counted. A chain of a million steps
/// has a way back of two million.
const ROWS: usize = 60;

/// How a row of [`Why`] leads on from the row before it.
///
/// ```
/// use ropewalk::{Deferred, study::{self, Link}, trace};
///
/// let ((), trace) = trace::record(|| {
///     let (resolver, d) = Deferred::new();
///     d.map(|n: i32| n + 1).detach();
///     resolver.succeed(1);
/// });
/// let step = trace.events().find(|event| event.kind.name() == "d.step").unwrap().s;
/// let why = study::why(&trace, step, &study::State::after(&trace));
/// let links: Vec<Link> = why.rows().iter().map(|row| row.link).collect();
/// assert_eq!(links, [Link::Itself, Link::WokenBy, Link::RegisteredAt]);
/// assert_eq!(links[1].words(), "woken by");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// The event itself.
    Itself,
    /// Called from: the frame that ran.
    CalledFrom,
    /// Woken by: what made it run now.
    WokenBy,
    /// Registered at: who asked for it.
    RegisteredAt,
    /// That was inside of this frame.
    Inside,
    /// Held up by: the callback that ran when a timer was due, and so made it late.
    HeldUpBy,
}

impl Link {
    /// The words for it.
    pub fn words(self) -> &'static str {
        match self {
            Link::Itself => "",
            Link::CalledFrom => "called from",
            Link::WokenBy => "woken by",
            Link::RegisteredAt => "registered at",
            Link::Inside => "inside",
            Link::HeldUpBy => "held up by",
        }
    }
}

/// One row.
///
/// ```
/// use ropewalk::{Deferred, study, trace};
///
/// let ((), trace) = trace::record(|| {
///     Deferred::succeed(1).step_named("add").map(|n| n + 1).detach();
/// });
/// let step = trace.events().find(|event| event.kind.name() == "d.step").unwrap().s;
/// let why = study::why(&trace, step, &study::State::after(&trace));
/// let added = why.rows().last().unwrap();
/// assert_eq!(trace.get(added.s).unwrap().kind.name(), "d.add");
/// let (file, line) = added.at.as_ref().unwrap(); // the line that added the step
/// assert!(file.ends_with(".rs") && *line > 0 && added.text.contains("add"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhyRow {
    /// How it leads on from the row before.
    pub link: Link,
    /// The event.
    pub s: EventNumber,
    /// The event in a few words.
    pub text: String,
    /// The line of the program that did it: file and line.
    pub at: Option<(String, u32)>,
}

/// The way back from an event. Its `Display` is the text.
///
/// ```
/// use ropewalk::{Deferred, study::{State, why}, trace};
///
/// let ((), trace) = trace::record(|| Deferred::succeed(1).named("one").detach());
/// let why = why(&trace, 1, &State::after(&trace));
/// assert_eq!(why.rows().len(), 1); // the first event has nothing before it
/// assert!(why.to_string().starts_with("s1 made d1 one"), "{why}");
/// assert_eq!(why.left_out().0, 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    rows: Vec<WhyRow>,
    left_out: usize,
    /// Before which row.
    gap: usize,
}

impl Why {
    /// The rows, the event itself first.
    pub fn rows(&self) -> &[WhyRow] {
        &self.rows
    }

    /// How many rows there would be more, and before which row they belong.
    ///
    /// ```
    /// use ropewalk::{Deferred, study::{State, why}, trace};
    ///
    /// /// A step in a step in a step: the way back has more rows than are shown.
    /// fn deeper(n: u32) {
    ///     Deferred::succeed(n).map(|n| if n > 0 { deeper(n - 1) }).detach();
    /// }
    /// let ((), trace) = trace::record(|| deeper(100));
    /// let last = trace.events().filter(|event| event.kind.name() == "d.step").last().unwrap().s;
    /// let why = why(&trace, last, &State::after(&trace));
    /// let (more, before) = why.left_out();
    /// assert!(more > 0 && before < why.rows().len());
    /// assert!(why.to_string().contains(&format!("({more} more)")));
    /// ```
    pub fn left_out(&self) -> (usize, usize) {
        (self.left_out, self.gap)
    }
}

/// The way back from event `s`: what woke it or called it, and so on; then where the last of these was registered, and
/// inside of what. `state` is any state after `s`, for the names. Empty if there is no such event.
///
/// ```
/// use ropewalk::{Deferred, study, trace};
///
/// let ((), trace) = trace::record(|| {
///     let (resolver, d) = Deferred::new();
///     d.named("poem").step_named("count").map(|n: i32| n + 1).detach();
///     resolver.succeed(1);
/// });
/// let step = trace.events().find(|event| event.kind.name() == "d.step").unwrap().s;
/// let timeline = study::Timeline::of(trace);
/// let why = study::why(timeline.trace(), step, timeline.head());
/// assert_eq!(why.rows()[1].text, "d1 fired ok 1");
/// println!("{why}");
/// ```
pub fn why(trace: &Trace, s: EventNumber, state: &State) -> Why {
    let mut steps = way_back(trace, s, state);
    let (mut left_out, mut gap) = (0, 0);
    if steps.len() > ROWS {
        (left_out, gap) = (steps.len() - ROWS, ROWS * 2 / 3);
        steps.drain(gap..gap + left_out);
    }
    let row = |(link, event): (Link, Event<'_>)| WhyRow {
        link,
        s: event.s,
        text: headline(state, &event),
        at: event.at.map(|at| (escaped(at.file()), at.line())),
    };
    Why { rows: steps.into_iter().map(row).collect(), left_out, gap }
}

/// Each event on it has a smaller number than the one before, so it ends.
fn way_back<'t>(trace: &'t Trace, s: EventNumber, state: &State) -> Vec<(Link, Event<'t>)> {
    let before =
        |n: EventNumber, than: EventNumber| Some(n).filter(|n| *n != 0 && *n < than).and_then(|n| trace.get(n));
    let Some(mut event) = trace.get(s) else { return Vec::new() };
    let mut way = vec![(Link::Itself, event)];
    let mut registered = (event.reg != 0).then_some(event);
    // What made it run now, back to a wait that was over, or to the setup.
    loop {
        let next = match event.cause {
            0 => before(event.kind.begin().unwrap_or(event.frame), event.s).map(|next| (Link::CalledFrom, next)),
            cause => before(cause, event.s).map(|next| (Link::WokenBy, next)),
        };
        let Some((link, next)) = next else { break };
        // A turn and its wait explain nothing.
        if matches!(next.kind, Kind::TurnBegin { .. } | Kind::PollBegin { .. }) {
            break;
        }
        way.push((link, next));
        if next.reg != 0 {
            registered = Some(next);
        }
        event = next;
    }
    let late = way.iter().find(|(_, event)| matches!(event.kind, Kind::TimerFire { late: 1.., .. }));
    if let Some(callback) = late.and_then(|(_, fire)| ran_when_due(trace, fire, state)) {
        way.push((Link::HeldUpBy, callback));
    }
    // Who asked for that, and inside of what it did.
    let mut event = registered;
    while let Some(from) = event {
        let next = match before(from.reg, from.s) {
            Some(next) => Some((Link::RegisteredAt, next)),
            None => before(from.frame, from.s)
                .filter(|next| !matches!(next.kind, Kind::TurnBegin { .. }))
                .map(|next| (Link::Inside, next)),
        };
        if let Some(row) = next {
            way.push(row);
        }
        event = next.map(|(_, next)| next);
    }
    way
}

/// The callback inside which the moment lies at which a timer was due.
fn ran_when_due<'t>(trace: &'t Trace, fire: &Event<'t>, state: &State) -> Option<Event<'t>> {
    let Kind::TimerFire { m, .. } = fire.kind else { return None };
    let due = state.timer(m)?.due;
    // The last event until then.
    let (mut low, mut high) = (0, trace.len());
    while low < high {
        let middle = low + (high - low) / 2;
        match trace.nth(middle)?.t <= due {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    let at = trace.nth(low.checked_sub(1)?)?;
    let is_open = at.kind.opens_frame();
    let inner = if is_open { Some(at) } else { trace.get(at.frame) };
    let mut outward = std::iter::successors(inner, |frame| trace.get(frame.frame));
    outward.find(|frame| matches!(frame.kind, Kind::CbBegin { .. }))
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, row) in self.rows.iter().enumerate() {
            if self.left_out > 0 && i == self.gap {
                writeln!(f, "  ({} more)", self.left_out)?;
            }
            let at = row.at.as_ref().map(|(file, line)| format!("  {file}:{line}")).unwrap_or_default();
            match row.link {
                Link::Itself => writeln!(f, "s{} {}{at}", row.s, row.text)?,
                link => writeln!(f, "  {:<14} s{} {}{at}", link.words(), row.s, row.text)?,
            }
        }
        Ok(())
    }
}
