//! The events of a run, and the state after any of them.

use super::state::State;
use crate::trace::{Event, EventNumber, Header, Recorder, Trace};
use std::fmt;

/// A copy of the state is kept every so many events: a jump replays fewer than these. (Half a thousand events take
/// well under a millisecond, and a copy a few thousand bytes.)
const EVERY: usize = 500;

/// The events of a run, finished or still growing, and the state after any of them.
///
/// ```
/// use ropewalk::{Deferred, study::Timeline, trace};
///
/// let ((), trace) = trace::record(|| {
///     let (resolver, d) = Deferred::new();
///     d.named("poem").map(|n: i32| n + 1).detach();
///     resolver.succeed(1);
/// });
/// let timeline = Timeline::of(trace);
/// let last = timeline.head();
/// let d1 = last.chains().next().unwrap();
/// assert_eq!(d1.name.as_deref(), Some("poem"));
/// assert_eq!(d1.waiting_steps(), 0);
/// // Before it was fired, its step had not run.
/// let before = timeline.state_at(d1.fired - 1);
/// assert_eq!(before.chains().next().unwrap().waiting_steps(), 1);
/// ```
#[derive(Clone)]
pub struct Timeline {
    trace: Trace,
    /// The state after each `EVERY` events.
    copies: Vec<State>,
    head: State,
}

impl Timeline {
    /// One without events, for a run that begins. It takes in what [`Trace::LIMIT`] says.
    pub fn new() -> Timeline {
        Timeline { trace: Trace::with_limit(Trace::LIMIT), copies: Vec::new(), head: State::new() }
    }

    /// That of a recording.
    pub fn of(trace: Trace) -> Timeline {
        let (mut head, mut copies) = (State::new(), Vec::new());
        for (i, event) in trace.events().enumerate() {
            head.apply(&event);
            if (i + 1).is_multiple_of(EVERY) {
                copies.push(head.clone());
            }
        }
        Timeline { trace, copies, head }
    }

    /// Takes what the recorder is told of the run as a whole.
    pub fn begin(&mut self, header: &Header<'_>) {
        Recorder::begin(&mut self.trace, header);
    }

    /// Takes the next event in. One whose number is not greater than all before is left out.
    pub fn push(&mut self, event: &Event<'_>) {
        if event.s <= self.head.s() {
            return;
        }
        Recorder::event(&mut self.trace, event);
        self.head.apply(event);
        if self.trace.len().is_multiple_of(EVERY) && self.copies.len() < self.trace.len() / EVERY {
            self.copies.push(self.head.clone());
        }
    }

    /// The events.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// How many events there are up to the one with number `s`, itself included.
    pub fn len_at(&self, s: EventNumber) -> usize {
        match self.trace.nth((s as usize).wrapping_sub(1)) {
            // Mostly there is no gap.
            Some(event) if event.s == s => s as usize,
            _ => partition_point(self.trace.len(), |i| self.trace.nth(i).is_some_and(|event| event.s <= s)),
        }
    }

    /// The state after the last event.
    pub fn head(&self) -> &State {
        &self.head
    }

    /// The state after event `s`: from the last copy before it, and the events from there on.
    pub fn state_at(&self, s: EventNumber) -> State {
        if s >= self.head.s() {
            return self.head.clone();
        }
        let len = self.len_at(s);
        let copied = len / EVERY;
        let mut state = match copied.checked_sub(1) {
            Some(i) => self.copies[i].clone(),
            None => State::new(),
        };
        for i in copied * EVERY..len {
            if let Some(event) = self.trace.nth(i) {
                state.apply(&event);
            }
        }
        state
    }
}

impl Default for Timeline {
    fn default() -> Self {
        Timeline::new()
    }
}

/// The first of `len` numbers for which `is` no longer holds.
fn partition_point(len: usize, is: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low.midpoint(high);
        if is(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeline").field("events", &self.trace.len()).finish_non_exhaustive()
    }
}
