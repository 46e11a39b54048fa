//! The loop and its time: slow callbacks, the timers that they made late, and turns in which nothing happens.

use super::{Found, Rule, Watch, Weight};
use crate::study::state::State;
use crate::study::words::duration;
use crate::trace::{ClockKind, Ending, Event, EventNumber, Id, Kind, Slot};
use std::collections::{BTreeMap, VecDeque};

/// How many callbacks are looked at when a timer is late. More than run in most turns; each takes three numbers.
const RECENT: usize = 1024;

/// A frame that is open.
struct Open {
    s: EventNumber,
    t: u64,
    wall: Option<u64>,
    /// What had been held before it.
    held: u64,
    /// The longest frame inside of it.
    longest: Option<(EventNumber, u64)>,
}

/// Turns in a row without a wait.
#[derive(Default)]
struct Spin {
    turns: u32,
    first: EventNumber,
    last: EventNumber,
    /// The callback that ran last.
    callback: EventNumber,
    t: u64,
}

impl Spin {
    fn tell(&self, state: &State, found: &mut Found<'_>) {
        // Nothing to run and no wait: somebody outside calls the loop, turn by turn.
        if self.turns >= found.limits.turns && self.callback > self.first {
            let text = format!(
                "For {} turns the loop did not wait, and nothing happened but that callbacks were queued again, the \
                 last one the {}.",
                self.turns,
                found.callback(state, self.callback)
            );
            found.add(Rule::BusyLoop, Weight::Problem, self.first, vec![self.callback, self.last], text);
        }
    }
}

/// A timer that was late: the event, the timer, how late.
type Late = (EventNumber, Id, u64);

pub(super) struct Times {
    clock: ClockKind,
    open: Vec<Open>,
    /// How long the program was held by a person, on the clock of the trace.
    held: u64,
    /// Callbacks that are over: begin event, begin, end.
    recent: VecDeque<(EventNumber, u64, u64)>,
    /// For each callback how long it ran, and the timers that it made late.
    late: BTreeMap<EventNumber, (u64, Vec<Late>)>,
    spin: Spin,
}

impl Times {
    pub(super) fn new(clock: ClockKind) -> Times {
        Times {
            clock,
            open: Vec::new(),
            held: 0,
            recent: VecDeque::new(),
            late: BTreeMap::new(),
            spin: Spin::default(),
        }
    }

    fn close(&mut self, before: &State, event: &Event<'_>, b: EventNumber, found: &mut Found<'_>) {
        let Some(i) = self.open.iter().rposition(|open| open.s == b) else { return };
        self.open.truncate(i + 1);
        let Some(frame) = self.open.pop() else { return };
        let held = self.held - frame.held;
        let ran = event.t.saturating_sub(frame.t).saturating_sub(held);
        let mut took = ran;
        // A virtual clock stands still in a callback: there the system's tells how long it took.
        if self.clock == ClockKind::Virtual
            && let (Some(from), Some(to)) = (frame.wall, event.wall)
        {
            took = took.max(to.saturating_sub(from));
        }
        if !matches!(event.kind, Kind::CbEnd { .. }) {
            // What is inside of it and takes most of its time says more than itself.
            let longest = match frame.longest {
                Some((s, inner)) if inner >= took / 2 => (s, inner),
                _ => (b, took),
            };
            if let Some(outer) = self.open.last_mut()
                && outer.longest.is_none_or(|(_, known)| known < longest.1)
            {
                outer.longest = Some(longest);
            }
            return;
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((b, frame.t, frame.t.saturating_add(ran)));
        let limit = found.limits.slow.as_nanos();
        if u128::from(took) > limit {
            let inside = match frame.longest {
                Some((s, inner)) if inner >= took / 2 => Some((s, inner)),
                _ => None,
            };
            let most = inside.map_or(String::new(), |(s, inner)| {
                format!(" Most of it, {}, was in s{s}: {}.", duration(inner), found.callback(before, s))
            });
            let text = format!(
                "The {} ran for {}; meanwhile the loop did nothing else.{most}",
                found.callback(before, b),
                duration(took),
            );
            let others = vec![inside.map_or(0, |(s, _)| s), event.s];
            found.add(Rule::SlowCallback, Weight::Problem, b, others, text);
        }
    }

    /// A timer fires `late` after `due`: who ran meanwhile?
    fn fires_late(&mut self, event: &Event<'_>, m: Id, due: u64, late: u64) {
        let fired = due.saturating_add(late);
        let ran = |(s, from, to): &(EventNumber, u64, u64)| (*s, (*to).min(fired).saturating_sub((*from).max(due)));
        let all: u64 = self.recent.iter().map(|call| ran(call).1).sum();
        let Some((s, _)) = self.recent.iter().map(ran).max_by_key(|(_, ran)| *ran) else { return };
        // The system may be to blame too: only what callbacks took counts.
        if all < late / 2 {
            return;
        }
        let took = self.recent.iter().find(|(known, ..)| *known == s).map_or(0, |(_, from, to)| to - from);
        self.late.entry(s).or_insert((took, Vec::new())).1.push((event.s, m, late));
    }

    fn spins(&mut self, event: &Event<'_>, timeout: Option<u64>, before: &State, found: &mut Found<'_>) {
        let spin = &mut self.spin;
        // On a virtual clock no wait takes long: there, time that goes on is a wait.
        let waits = timeout != Some(0) || (self.clock == ClockKind::Virtual && event.t > spin.t);
        if waits {
            self.stops_spinning(before, found);
        } else {
            if spin.turns == 0 {
                spin.first = event.s;
            }
            spin.turns += 1;
            spin.last = event.s;
        }
        self.spin.t = event.t;
    }

    fn stops_spinning(&mut self, state: &State, found: &mut Found<'_>) {
        std::mem::take(&mut self.spin).tell(state, found);
    }
}

impl Watch for Times {
    fn event(&mut self, before: &State, event: &Event<'_>, found: &mut Found<'_>) {
        match event.kind {
            // Other clocks stand still while somebody looks.
            Kind::Gate { held_w, .. } if self.clock == ClockKind::Real => {
                self.held = self.held.saturating_add(held_w)
            }
            Kind::TurnBegin { .. } => {}
            kind if kind.opens_frame() => {
                self.open.push(Open { s: event.s, t: event.t, wall: event.wall, held: self.held, longest: None });
            }
            Kind::TimerFire { m, late } if u128::from(late) >= found.limits.late.as_nanos().max(1) => {
                // Several may be due at once; all were to come at their own time.
                let due = before.timer(m).map_or(event.t.saturating_sub(late), |timer| timer.due);
                self.fires_late(event, m, due, late);
            }
            Kind::CbEnd { b, .. } | Kind::DRet { b, .. } | Kind::XRet { b, .. } | Kind::CancellerEnd { b, .. } => {
                self.close(before, event, b, found);
            }
            _ => {}
        }
        match event.kind {
            Kind::PollBegin { timeout, .. } => self.spins(event, timeout, before, found),
            // A callback that is queued again, or a timer that is due at once.
            Kind::CbBegin { slot: Slot::Soon | Slot::Timer | Slot::Task, .. } => self.spin.callback = event.s,
            Kind::TurnBegin { .. }
            | Kind::TurnEnd { .. }
            | Kind::CbEnd { .. }
            | Kind::Post { .. }
            | Kind::TimerArm { .. }
            | Kind::TimerFire { .. }
            | Kind::TimerReset { .. }
            | Kind::Gate { .. } => {}
            Kind::PollEnd { ready: [], .. } => {}
            // Anything else is work.
            _ => self.stops_spinning(before, found),
        }
    }

    fn end(&self, state: &State, _ending: Option<Ending>, found: &mut Found<'_>) {
        self.spin.tell(state, found);
        for (&s, &(took, ref timers)) in &self.late {
            let Some((first, ..)) = timers.first().copied() else { continue };
            let Some((_, worst, late)) = timers.iter().max_by_key(|(.., late)| *late).copied() else { continue };
            let callback = format!("the {} (s{s}) ran for {}", found.callback(state, s), duration(took));
            let text = match timers.len() {
                1 => format!("Timer {} was {} late: {callback}.", state.title(worst), duration(late)),
                n => {
                    format!("{n} timers were late, {} by {}: {callback}.", state.title(worst), duration(late))
                }
            };
            let others = std::iter::once(s).chain(timers.iter().map(|(fire, ..)| *fire)).collect();
            found.add(Rule::LateTimers, Weight::Problem, first, others, text);
        }
    }
}
