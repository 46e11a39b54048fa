//! Deferreds and failures: errors without an errback, chains that wait for nothing, results that nobody wants.

use super::{Found, Rule, Watch, Weight};
use crate::study::sentence::sentence;
use crate::study::state::{FrameKind, Life, Standing, State, Task, TaskStage};
use crate::study::words::escaped;
use crate::trace::{Cancel, Dropped, Ending, Event, EventNumber, Id, Kind, Val};
use std::collections::{BTreeMap, HashMap};

/// How far a cycle is followed. A longer one is not found; without a limit a deep nest would be walked again for each of
/// its chains.
const CYCLE: usize = 1000;

/// A Deferred that was made in a step.
struct Born {
    /// The event that made it.
    s: EventNumber,
    /// The step.
    step: EventNumber,
    dropped: bool,
    /// It has an errback of its own.
    errback: bool,
}

#[derive(Default)]
pub(super) struct Chains {
    cancelled: BTreeMap<Id, EventNumber>,
    /// Made in a step that still runs, and neither returned nor waited for.
    born: HashMap<Id, Born>,
    /// For each step that runs, what was made in it.
    made_in: HashMap<EventNumber, Vec<Id>>,
    /// The places where steps are added: the first that ran at once, and the first that waited.
    added: BTreeMap<(String, u32, u32), (EventNumber, EventNumber)>,
}

impl Chains {
    fn claimed(&mut self, d: Id) {
        self.born.remove(&d);
    }

    fn added(&mut self, before: &State, event: &Event<'_>, d: Id) {
        let Some(at) = event.at.filter(|_| !event.sys) else { return };
        let now = before.chain(d).is_some_and(|chain| matches!(chain.standing, Standing::Rests));
        let key = (at.file().to_owned(), at.line(), at.column());
        let seen = self.added.entry(key).or_default();
        let first = if now { &mut seen.0 } else { &mut seen.1 };
        if *first == 0 {
            *first = event.s;
        }
    }

    /// A step is over; what was made in it, dropped in it and not given back is told.
    fn step_ends(&mut self, before: &State, b: EventNumber, val: Option<Val<'_>>, found: &mut Found<'_>) {
        for d in self.made_in.remove(&b).unwrap_or_default() {
            let Some(born) = self.born.remove(&d) else { continue };
            if !born.dropped || born.errback || !matches!(val, Some(Val::Ok { .. })) {
                continue;
            }
            let step = match before.frame(b).map(|frame| &frame.what) {
                Some(FrameKind::Step { d, n, .. }) => {
                    let label = before.chain(*d).and_then(|chain| chain.step(*n)).map(|step| escaped(&step.label));
                    format!("step {n} \"{}\" of {}", label.unwrap_or_default(), before.title(*d))
                }
                _ => "a step".to_owned(),
            };
            let text = format!(
                "{} was made in {step} and returned by nobody: the chain does not wait for it, and an error in it \
                 would be lost.",
                before.title(d)
            );
            found.add(Rule::NotReturned, Weight::Problem, born.s, vec![born.step], text);
        }
    }

    /// Whether what `on` waits for waits for `d` in the end.
    fn cycle(before: &State, d: Id, on: Id) -> Option<Vec<Id>> {
        let mut way = vec![d, on];
        for _ in 0..CYCLE {
            match before.chain(*way.last()?)?.standing {
                _ if way.last() == Some(&d) && way.len() > 1 => return Some(way),
                Standing::Paused(next) => way.push(next),
                _ => return None,
            }
        }
        None
    }

    fn unfired(state: &State, ending: Ending, found: &mut Found<'_>) {
        // Who stops a loop may have had enough of it.
        let weight = match ending {
            Ending::Idle | Ending::Done => Weight::Problem,
            Ending::Stopped | Ending::Panic | Ending::Failed => Weight::Remark,
        };
        let waits = |task: &Task| match task.stage {
            TaskStage::Waits(Some(on)) => Some((on, task.id)),
            _ => None,
        };
        let awaited: HashMap<Id, Id> = state.tasks().filter_map(waits).collect();
        for chain in state.chains().filter(|chain| chain.standing == Standing::NotFired) {
            let steps = chain.steps().filter(|step| !step.sys).count();
            let waits = match chain.waiter {
                Some(waiter) => Some(state.title(waiter)),
                None => awaited.get(&chain.id).map(|task| state.title(*task)),
            };
            let d = state.title(chain.id);
            let left = match steps {
                1 => "1 step".to_owned(),
                n => format!("{n} steps"),
            };
            let (rule, text) = match (waits, steps) {
                (Some(waits), _) => (Rule::NeverFired, format!("{d} was never fired: {waits} waits for it.")),
                (None, 0) => continue,
                (None, _) if chain.detached => {
                    (Rule::DroppedUnfired, format!("{d} was dropped with {left} left and never fired."))
                }
                (None, _) => (Rule::NeverFired, format!("{d} was never fired: {left} did not run.")),
            };
            let last = chain.steps().next_back().map_or(0, |step| step.added);
            found.add(rule, weight, chain.born.max(1), vec![last], text);
        }
    }
}

impl Watch for Chains {
    fn event(&mut self, before: &State, event: &Event<'_>, found: &mut Found<'_>) {
        match event.kind {
            Kind::FLost { f, .. } => {
                let born = before.failure(f).map_or(0, |error| error.born);
                found.add(Rule::Lost, Weight::Problem, event.s, vec![born], sentence(before, event));
            }
            Kind::DNew { d, of: None, late: false, .. } => {
                if let Some(frame) = before.frames().last()
                    && matches!(frame.what, FrameKind::Step { .. })
                {
                    self.born.insert(d, Born { s: event.s, step: frame.s, dropped: false, errback: false });
                    self.made_in.entry(frame.s).or_default().push(d);
                }
            }
            Kind::DAdd { d, lanes, .. } => {
                if let Some(born) = self.born.get_mut(&d) {
                    born.errback |= lanes.err();
                }
                self.added(before, event, d);
            }
            Kind::DDrop { d, state: Dropped::Pending, .. } => {
                if let Some(born) = self.born.get_mut(&d) {
                    born.dropped = true;
                }
            }
            Kind::DDrop { d, .. } | Kind::DTake { d } | Kind::DFire { d, .. } => self.claimed(d),
            Kind::GNew { of, .. } => of.iter().for_each(|d| self.claimed(*d)),
            Kind::XWait { on: Some(on), .. } => self.claimed(on),
            Kind::DRet { b, val, inner, .. } => {
                if let Some(inner) = inner {
                    self.claimed(inner);
                }
                self.step_ends(before, b, val, found);
            }
            Kind::DPause { d, on } => {
                self.claimed(on);
                if let Some(way) = Chains::cycle(before, d, on) {
                    let others =
                        way.iter().filter_map(|d| before.chain(*d)?.paused).map(|(s, _)| s).collect::<Vec<_>>();
                    let names: Vec<String> = way.iter().take(8).map(|d| before.title(*d)).collect();
                    let dots = if way.len() > 8 { " waits for .." } else { "" };
                    let text = format!("{}{dots}: none of them can ever go on.", names.join(" waits for "));
                    found.add(Rule::WaitCycle, Weight::Problem, event.s, others, text);
                }
            }
            Kind::DCancel { d, how: Cancel::NoCanceller, .. } => {
                self.cancelled.insert(d, event.s);
            }
            Kind::DSwallow { d, .. } => {
                let cancel = self.cancelled.remove(&d).unwrap_or(0);
                let text = sentence(before, event);
                found.add(Rule::Swallowed, Weight::Remark, event.s, vec![cancel], text);
            }
            _ => {}
        }
    }

    fn end(&self, state: &State, ending: Option<Ending>, found: &mut Found<'_>) {
        for error in state.failures() {
            let Life::Rests(d) = error.life else { continue };
            let text = resting(state, error.id, d);
            found.add(Rule::Resting, Weight::Problem, error.since.0, vec![error.born], text);
        }
        for (d, s) in &self.cancelled {
            let d = state.title(*d);
            let text = format!("{d} was cancelled and has no canceller: what it stands for was not told to stop.");
            found.add(Rule::NoCanceller, Weight::Remark, *s, Vec::new(), text);
        }
        for ((file, line, _), &(now, later)) in &self.added {
            if now == 0 || later == 0 {
                continue;
            }
            let text = format!(
                "The step that {}:{line} adds runs inside the call at s{now}, because the result is there already, and \
                 after it at s{later}.",
                escaped(file)
            );
            found.add(Rule::SometimesNow, Weight::Remark, now.max(later), vec![now.min(later)], text);
        }
        if let Some(ending) = ending {
            Chains::unfired(state, ending, found);
        }
    }
}

/// What is said of a failure that rests.
fn resting(state: &State, f: Id, d: Id) -> String {
    let msg = state.label(f).map(|msg| format!(" \"{}\"", escaped(msg))).unwrap_or_default();
    format!("{f}{msg} rests in {}, which has no errback for it.", state.title(d))
}
