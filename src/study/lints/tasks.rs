//! Tasks: those that nobody can wake, those that wake themselves, and those that wait for what is gone.

use super::{Found, Rule, Watch, Weight};
use crate::study::state::{FrameKind, Stage, State, TaskStage};
use crate::trace::{Ending, Event, EventNumber, Id, Kind, Object, Polled};
use std::collections::{BTreeMap, HashSet};

/// What is known of a task.
#[derive(Clone, Copy, Default)]
struct Known {
    /// In the poll that runs: it waits for something that the trace knows, or somebody keeps its waker.
    waits: bool,
    /// In the poll that runs: it was woken, by itself.
    woken: bool,
    own: bool,
    /// Polls in a row that came to nothing but a wake of itself, and the first of them; the most so far.
    rounds: u32,
    first: EventNumber,
    most: (u32, EventNumber, EventNumber),
    /// The end of a poll after which nobody can wake it.
    silent: EventNumber,
}

#[derive(Default)]
pub(super) struct Tasks {
    known: BTreeMap<Id, Known>,
}

impl Tasks {
    fn at(&mut self, x: Id) -> &mut Known {
        self.known.entry(x).or_default()
    }

    fn poll_ends(&mut self, event: &Event<'_>, x: Id, b: EventNumber, out: Polled) {
        let known = self.at(x);
        if out == Polled::Ready {
            known.rounds = 0;
            return;
        }
        if !known.waits && !known.woken {
            known.silent = event.s;
        }
        if known.own && !known.waits {
            if known.rounds == 0 {
                known.first = b;
            }
            known.rounds += 1;
            if known.rounds > known.most.0 {
                known.most = (known.rounds, known.first, event.s);
            }
        } else {
            known.rounds = 0;
        }
    }
}

impl Watch for Tasks {
    fn event(&mut self, before: &State, event: &Event<'_>, _found: &mut Found<'_>) {
        match event.kind {
            Kind::XPoll { x, .. } => {
                let known = self.at(x);
                (known.waits, known.woken, known.own, known.silent) = (false, false, false, 0);
            }
            Kind::XWait { x, .. } | Kind::WakerClone { x } => {
                let known = self.at(x);
                (known.waits, known.silent) = (true, 0);
            }
            // Between two polls: whoever had it let it go.
            Kind::WakerDrop { x } if !before.frames().iter().any(|f| f.what == FrameKind::Poll(x)) => {
                let known = self.at(x);
                if !known.woken {
                    known.silent = event.s;
                }
            }
            Kind::XWake { x, own, .. } => {
                let known = self.at(x);
                known.own |= own;
                (known.woken, known.silent) = (true, 0);
            }
            Kind::XRet { b, out, .. } => {
                if let Some(FrameKind::Poll(x)) = before.frame(b).map(|frame| &frame.what) {
                    self.poll_ends(event, *x, b, out);
                }
            }
            _ => {}
        }
    }

    fn end(&self, state: &State, ending: Option<Ending>, found: &mut Found<'_>) {
        for (x, known) in &self.known {
            let name = state.title(*x);
            let (rounds, first, last) = known.most;
            if rounds >= found.limits.turns {
                let text = format!("Task {name} was polled {rounds} times in a row only because it woke itself.");
                found.add(Rule::SelfWake, Weight::Problem, first, vec![last], text);
            }
            if known.silent != 0 && ending.is_some() {
                let text = format!(
                    "Task {name} said that it is pending and waits for nothing: nobody kept its waker, so it was \
                     never polled again."
                );
                found.add(Rule::NoWaker, Weight::Problem, known.silent, Vec::new(), text);
            }
        }
        if ending.is_none() {
            return;
        }
        let closed: HashSet<Id> = state.sources().filter(|source| !source.open).map(|source| source.id).collect();
        for task in state.tasks() {
            let TaskStage::Waits(Some(on)) = task.stage else { continue };
            let gone = match on.0 {
                Object::Timer => state.timer(on).is_some_and(|timer| timer.stage == Stage::Cancelled),
                Object::Source => closed.contains(&on),
                Object::Task => state.task(on).is_some_and(|task| task.stage == TaskStage::Dropped),
                _ => false,
            };
            if gone {
                let text = format!("Task {} waits for {}, which is gone.", state.title(task.id), state.title(on));
                found.add(Rule::WaitsForGone, Weight::Problem, task.awaits.max(1), vec![task.born], text);
            }
        }
    }
}
