//! Lints: what is probably wrong in a run. They are derived from the trace, never recorded.
//!
//! Each is a sentence with the event to which it leads. Nothing is claimed that the trace does not show: what may still
//! come (a Deferred that is not fired yet) is told only when the recording is over.
//!
//! ```text
//! lints/chains.rs  Deferreds and failures     lints/tasks.rs  futures
//! lints/time.rs    the loop and its time      lints/flow.rs   bytes that wait
//! ```

mod chains;
mod flow;
mod tasks;
mod time;

use super::page::Finding;
use super::state::State;
use super::words::escaped;
use crate::trace::{ClockKind, Ending, Event, EventNumber, Kind, Slot, Trace};
use std::fmt;
use std::time::Duration;

/// The most events that a lint names beside its own: what a person would still look at.
const OTHERS: usize = 20;

/// What a lint is about.
///
/// ```
/// use ropewalk::{Deferred, study::{self, Rule}, trace};
///
/// let ((), trace) = trace::record(|| {
///     let (resolver, d) = Deferred::<i32>::new();
///     d.map(|n| n + 1).detach();
///     std::mem::forget(resolver); // nobody can fire it any more
/// });
/// let rules: Vec<Rule> = study::lints(&trace).iter().map(|lint| lint.rule).collect();
/// assert_eq!(rules, [Rule::DroppedUnfired]);
/// assert_eq!(rules[0].to_string(), "dropped-unfired"); // as in the breakpoint `lint:dropped-unfired`
/// assert_eq!(rules[0].advice(), "Fire it, or drop its Resolver: then the chain gets a failure.");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// A failure was lost: nobody handled it.
    Lost,
    /// A failure rests at the end of a chain that has no errback for it.
    Resting,
    /// Deferreds that wait for each other.
    WaitCycle,
    /// A Deferred was never fired, and something waits for it.
    NeverFired,
    /// A Deferred was dropped with steps left, and never fired.
    DroppedUnfired,
    /// A step made a Deferred and did not return it.
    NotReturned,
    /// A task or a chain waits for something that is gone.
    WaitsForGone,
    /// A task is pending and nobody can wake it.
    NoWaker,
    /// A task wakes itself again and again.
    SelfWake,
    /// The loop did not wait for many turns, and nothing happened in them.
    BusyLoop,
    /// A callback took long.
    SlowCallback,
    /// Timers were late because of a callback.
    LateTimers,
    /// More and more bytes wait to be written, though the producer was asked to stop.
    FastReader,
    /// A result came after a cancel and was thrown away.
    Swallowed,
    /// A Deferred without a canceller was cancelled: what is behind it goes on.
    NoCanceller,
    /// The same line adds a step that sometimes runs at once and sometimes later.
    SometimesNow,
}

impl Rule {
    /// All of them, in the order of the documentation.
    pub const ALL: [Rule; 16] = [
        Rule::Lost,
        Rule::Resting,
        Rule::WaitCycle,
        Rule::NeverFired,
        Rule::DroppedUnfired,
        Rule::NotReturned,
        Rule::WaitsForGone,
        Rule::NoWaker,
        Rule::SelfWake,
        Rule::BusyLoop,
        Rule::SlowCallback,
        Rule::LateTimers,
        Rule::FastReader,
        Rule::Swallowed,
        Rule::NoCanceller,
        Rule::SometimesNow,
    ];

    /// Its short name: `lost`, `never-fired`, ..
    pub const fn name(self) -> &'static str {
        match self {
            Rule::Lost => "lost",
            Rule::Resting => "resting",
            Rule::WaitCycle => "wait-cycle",
            Rule::NeverFired => "never-fired",
            Rule::DroppedUnfired => "dropped-unfired",
            Rule::NotReturned => "not-returned",
            Rule::WaitsForGone => "waits-for-gone",
            Rule::NoWaker => "no-waker",
            Rule::SelfWake => "self-wake",
            Rule::BusyLoop => "busy-loop",
            Rule::SlowCallback => "slow-callback",
            Rule::LateTimers => "late-timers",
            Rule::FastReader => "fast-reader",
            Rule::Swallowed => "swallowed",
            Rule::NoCanceller => "no-canceller",
            Rule::SometimesNow => "sometimes-now",
        }
    }

    /// What to do about it, in one sentence.
    pub const fn advice(self) -> &'static str {
        match self {
            Rule::Lost | Rule::Resting => "Add an errback at the end of the chain, or log_errors.",
            Rule::WaitCycle => "Let one of them end without the other.",
            Rule::NeverFired => "Find who has its Resolver, and fire it on every way out.",
            Rule::DroppedUnfired => "Fire it, or drop its Resolver: then the chain gets a failure.",
            Rule::NotReturned => "Return it, so that the chain waits for it, or give it an errback of its own.",
            Rule::WaitsForGone => "Cancel what waits before its object goes, or give it a time limit.",
            Rule::NoWaker => "A future that is pending has to keep the waker and call it.",
            Rule::SelfWake => "Let it wait for a source, a timer or a Deferred.",
            Rule::BusyLoop => "Let it wait for a source or a timer; to compute in slices is fine.",
            Rule::SlowCallback => "Do it in slices (Cooperator) or on another thread (defer_to_thread).",
            Rule::LateTimers => "Shorten that callback: all others wait for it.",
            Rule::FastReader => "Register a producer, and stop reading when it is asked to stop.",
            Rule::Swallowed => "If the work is dear, give the Deferred a canceller that stops it.",
            Rule::NoCanceller => "Make it with with_canceller if the work behind it can be stopped.",
            Rule::SometimesNow => "Write the code around it so that both orders are right.",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How sure it is that something is wrong.
///
/// ```
/// use ropewalk::{Deferred, Failure, study::{self, Rule, Weight}, testing::capture_unhandled, trace};
///
/// let unhandled = capture_unhandled();
/// let ((), trace) = trace::record(|| {
///     Deferred::<()>::fail(Failure::msg("engine down")).detach();
///     let (_resolver, plain) = Deferred::<()>::new();
///     plain.cancel(); // the work behind it cannot be stopped
///     plain.add_errback(|_| Ok::<(), Failure>(())).detach();
/// });
/// assert_eq!(unhandled.flush_unhandled().len(), 1);
/// let lints: Vec<_> = study::lints(&trace).iter().map(|lint| (lint.rule, lint.weight)).collect();
/// assert_eq!(lints, [(Rule::Lost, Weight::Problem), (Rule::NoCanceller, Weight::Remark)]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Weight {
    /// It may well be meant so.
    Remark,
    /// Something is wrong.
    Problem,
}

/// Something that is probably wrong in a run.
///
/// ```
/// use ropewalk::{Deferred, Failure, set_unhandled_hook, study, trace};
/// use std::rc::Rc;
///
/// set_unhandled_hook(Some(Rc::new(|_| ())));
/// let ((), trace) = trace::record(|| drop(Deferred::<()>::fail(Failure::msg("engine down"))));
/// let lints = study::lints(&trace);
/// assert!(!lints.is_empty());
/// println!("{}: {}", lints[0].rule.name(), lints[0].rule.advice());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lint {
    /// What it is about.
    pub rule: Rule,
    /// How sure it is.
    pub weight: Weight,
    /// The event to look at.
    pub s: EventNumber,
    /// Other events that have to do with it, at most 20.
    pub others: Vec<EventNumber>,
    /// What is wrong, in plain words.
    pub text: String,
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.weight == Weight::Problem { "!" } else { "-" };
        write!(f, "{mark} s{} {}: {} {}", self.s, self.rule, self.text, self.rule.advice())
    }
}

impl From<Lint> for Finding {
    fn from(lint: Lint) -> Finding {
        Finding { s: lint.s, text: format!("{} {}", lint.text, lint.rule.advice()) }
    }
}

/// From which size on something is told.
///
/// ```
/// use ropewalk::study::Limits;
/// use std::time::Duration;
///
/// let mut limits = Limits::default();
/// assert_eq!((limits.slow, limits.late), (Duration::from_millis(100), Duration::from_millis(10)));
/// limits.slow = Duration::from_millis(5); // for `lints_with`
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// A callback that takes longer is slow: 100 ms, as in asyncio. On a virtual clock, which stands still in a
    /// callback, the system's counts, where the trace has it.
    pub slow: Duration,
    /// A timer that is later than this is late, if callbacks are to blame for it: 10 ms.
    pub late: Duration,
    /// So many turns without a wait in which nothing happens, or polls that only wake the same task, make a busy
    /// loop: 20.
    pub turns: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { slow: Duration::from_millis(100), late: Duration::from_millis(10), turns: 20 }
    }
}

/// What is probably wrong in a run, in the order of the events.
///
/// ```
/// use ropewalk::{Deferred, Failure, study, trace};
///
/// let unhandled = ropewalk::testing::capture_unhandled();
/// let ((), trace) = trace::record(|| {
///     Deferred::<()>::fail(Failure::msg("engine down")).named("poem").detach();
/// });
/// # drop(unhandled.flush_unhandled());
/// let lints = study::lints(&trace);
/// assert_eq!(lints[0].rule, study::Rule::Lost);
/// println!("{}", lints[0]);
/// ```
pub fn lints(trace: &Trace) -> Vec<Lint> {
    lints_with(trace, &Limits::default())
}

/// The same with other limits.
///
/// ```
/// use ropewalk::{EventLoop, study::{self, Limits, Rule}, trace};
/// use std::time::Duration;
///
/// let (ran, trace) = trace::record(|| {
///     let event_loop = EventLoop::new()?;
///     event_loop.call_soon(|event_loop| {
///         std::thread::sleep(Duration::from_millis(2)); // a callback that blocks the loop
///         event_loop.stop();
///     });
///     Ok::<_, Box<dyn std::error::Error>>(event_loop.run()?)
/// });
/// ran?;
/// let mut limits = Limits::default();
/// limits.slow = Duration::from_millis(1);
/// let lints = study::lints_with(&trace, &limits);
/// assert!(lints.iter().any(|lint| lint.rule == Rule::SlowCallback));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn lints_with(trace: &Trace, limits: &Limits) -> Vec<Lint> {
    let mut linter = Linter::new(trace.clock(), limits);
    trace.events().for_each(|event| linter.event(trace, &event));
    linter.lints(trace)
}

/// Looks at each event once, and says at any time what is probably wrong so far.
pub(super) struct Linter {
    limits: Limits,
    watchers: [Box<dyn Watch>; 4],
    state: State,
    /// What will not change any more.
    lints: Vec<Lint>,
    ending: Option<Ending>,
    seen: usize,
}

impl Linter {
    pub(super) fn new(clock: ClockKind, limits: &Limits) -> Linter {
        Linter {
            limits: limits.clone(),
            watchers: [
                Box::new(chains::Chains::default()),
                Box::new(time::Times::new(clock)),
                Box::new(tasks::Tasks::default()),
                Box::new(flow::Flow::default()),
            ],
            state: State::new(),
            lints: Vec::new(),
            ending: None,
            seen: 0,
        }
    }

    /// Looks at the events of a trace that have come since.
    pub(super) fn read(&mut self, trace: &Trace) {
        while let Some(event) = trace.nth(self.seen) {
            self.event(trace, &event);
        }
    }

    fn event(&mut self, trace: &Trace, event: &Event<'_>) {
        let mut found = Found { trace, limits: &self.limits, lints: std::mem::take(&mut self.lints) };
        self.watchers.iter_mut().for_each(|watcher| watcher.event(&self.state, event, &mut found));
        self.lints = found.lints;
        self.state.apply(event);
        self.seen += 1;
        if let Kind::End { why, .. } = event.kind {
            self.ending = Some(why);
        }
    }

    /// What is probably wrong so far, in the order of the events.
    pub(super) fn lints(&self, trace: &Trace) -> Vec<Lint> {
        let mut found = Found { trace, limits: &self.limits, lints: self.lints.clone() };
        self.watchers.iter().for_each(|watcher| watcher.end(&self.state, self.ending, &mut found));
        let mut lints = found.lints;
        lints.sort_by_key(|lint| (lint.s, lint.rule));
        lints
    }
}

impl fmt::Debug for Linter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linter").field("seen", &self.seen).field("lints", &self.lints).finish_non_exhaustive()
    }
}

/// One of those who look at each event.
trait Watch {
    /// `before` is the state before it.
    fn event(&mut self, before: &State, event: &Event<'_>, found: &mut Found<'_>);
    /// The trace is over, for now; with `ending` the recording too.
    fn end(&self, state: &State, ending: Option<Ending>, found: &mut Found<'_>);
}

/// What was found so far.
struct Found<'t> {
    trace: &'t Trace,
    limits: &'t Limits,
    lints: Vec<Lint>,
}

impl Found<'_> {
    fn add(&mut self, rule: Rule, weight: Weight, s: EventNumber, others: Vec<EventNumber>, text: String) {
        let mut others: Vec<EventNumber> = others.into_iter().filter(|other| *other != 0 && *other != s).collect();
        others.truncate(OTHERS);
        self.lints.push(Lint { rule, weight, s, others, text });
    }

    /// `callback "tick" of m3`: what the frame that event `s` opened is called.
    fn callback(&self, state: &State, s: EventNumber) -> String {
        let Some(event) = self.trace.get(s) else { return "a callback".to_owned() };
        let Kind::CbBegin { o, slot } = event.kind else { return super::row::headline(state, &event) };
        let label = event.label.map(|label| format!(" \"{}\"", escaped(label)));
        let place = event.at.map(|at| format!(" at {}:{}", escaped(at.file()), at.line())).unwrap_or_default();
        match (label, o) {
            (Some(label), Some(o)) => format!("callback{label} of {o}"),
            (Some(label), None) => format!("callback{label}"),
            (None, Some(o)) => format!("callback of {}{place}", state.title(o)),
            (None, None) => match slot {
                Slot::Trigger => format!("trigger{place}"),
                _ => format!("callback{place}"),
            },
        }
    }
}
