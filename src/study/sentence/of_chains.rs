//! The sentences about Deferreds and their groups.

use super::{Say, upper};
use crate::ground::step_name;
use crate::study::state::{FrameKind, Step, Value};
use crate::study::words::{escaped, short_type};
use crate::trace::{Cancel, EventNumber, Id, Lane, Lanes, Mode, Out, Val};

impl Say<'_> {
    pub(super) fn made(&self, d: Id, ty: &str, of: Option<Id>, late: bool) -> String {
        let name = |id: Id| self.state.title(id);
        let of = of.map(|of| format!(", of {}", name(of))).unwrap_or_default();
        let d = self.labelled(d);
        match (late, ty.is_empty()) {
            (true, _) => format!("{d}, a Deferred that was made before the recording, is met here."),
            (false, true) => format!("A Deferred is made: {d}{of}."),
            (false, false) => {
                format!("A Deferred of type {} is made: {d}{of}.", short_type(&escaped(ty)))
            }
        }
    }

    pub(super) fn renamed(&self, d: Id) -> String {
        match self.event.label {
            Some(label) => format!("{d} gets a name: \"{}\".", escaped(label)),
            None => format!("{d} loses its name."),
        }
    }

    pub(super) fn added(&self, d: Id, n: u32, lanes: Lanes, names: [&str; 2], late: bool) -> String {
        let name = |id: Id| self.state.title(id);
        let label = self.event.label.unwrap_or_else(|| step_name(names[0]));
        let what = match (lanes.ok(), lanes.err(), step_name(names[1])) {
            (true, true, "" | "closure") => "a callback and an errback".to_owned(),
            (true, true, errback) => {
                format!("a callback, and beside it the errback \"{}\"", escaped(errback))
            }
            (true, false, _) => "a callback".to_owned(),
            _ => "an errback".to_owned(),
        };
        let when = if late { " It has fired already, so the step runs now, inside the add." } else { "" };
        format!("Step {n} \"{}\" is added to {}: {what}.{when}", escaped(label), name(d))
    }

    pub(super) fn fired(&self, d: Id, val: Val<'_>) -> String {
        let name = |id: Id| self.state.title(id);
        let chain = self.state.chain(d);
        let waiter = chain.and_then(|chain| chain.waiter);
        let then = match (self.next_step(d), waiter, chain.and_then(|chain| chain.group)) {
            (Some(step), ..) => format!(" {}", self.passes(step, val.lane(), "Next is")),
            (None, Some(waiter), _) => format!(" {} waits for it.", name(waiter)),
            (None, None, Some(group)) => format!(" It goes to group {group}."),
            (None, None, None) => format!(" It has no step yet, so the {} rests there.", noun(val)),
        };
        format!("{} is fired with {}.{then}", name(d), self.val(val))
    }

    pub(super) fn runs(&self, d: Id, n: u32, lane: Lane, val: Val<'_>) -> String {
        let name = |id: Id| self.state.title(id);
        let job = match lane {
            Lane::Ok => "callback",
            Lane::Err => "errback",
        };
        format!("{} of {} runs: its {job} gets {}.", upper(&self.step(d, n)), name(d), self.val(val))
    }

    pub(super) fn passed_by(&self, d: Id, n: u32, lane: Lane) -> String {
        let name = |id: Id| self.state.title(id);
        let (has_not, what) = match lane {
            Lane::Ok => ("callback", "value"),
            Lane::Err => ("errback", "error"),
        };
        format!("{} of {} has no {has_not}: the {what} passes it by.", upper(&self.step(d, n)), name(d))
    }

    pub(super) fn pauses(&self, d: Id, on: Id) -> String {
        let name = |id: Id| self.state.title(id);
        let waiting = self.state.chain(d).map_or(0, |chain| chain.waiting_steps());
        let waiting = match waiting {
            0 => String::new(),
            n => format!(" {} to go on.", waits(n)),
        };
        let back = match self.state.callback().map(|frame| &frame.what) {
            Some(FrameKind::Callback { label: Some(label), .. }) => {
                format!(" Control goes back to \"{}\", then to the loop.", escaped(label))
            }
            Some(_) => " Control goes back to the loop.".to_owned(),
            None => " Control goes back to the program.".to_owned(),
        };
        format!("{} STOPS here until {} has its result.{back}{waiting}", name(d), name(on))
    }

    pub(super) fn resumes(&self, d: Id, from: Id, val: Val<'_>) -> String {
        let name = |id: Id| self.state.title(id);
        let lane = match val {
            Val::Ok { .. } => "callbacks'",
            Val::Err(_) => "ERROR",
        };
        let then = match self.next_step(d) {
            Some(step) => format!(" {}", self.passes(step, val.lane(), "Next is")),
            None => String::new(),
        };
        format!(
            "{} waited for {}, which has its result now. {d} goes on with {}, in the {lane} lane.{then}",
            name(d),
            name(from),
            self.val(val)
        )
    }

    pub(super) fn cancelled(&self, d: Id, how: Cancel, to: Option<Id>) -> String {
        let name = |id: Id| self.state.title(id);
        let what = match (how, to) {
            (Cancel::Canceller, _) => "its canceller is asked".to_owned(),
            (Cancel::NoCanceller, _) => {
                "it has no canceller, so it fails now, and a late result will be swallowed".to_owned()
            }
            (Cancel::Forward, Some(to)) if self.state.is_decided(d, to) => {
                return format!("{} is decided: {} is cancelled, nobody needs it any more.", name(d), name(to));
            }
            (Cancel::Forward, Some(to)) => format!("it waits for {}, so that one is asked", name(to)),
            (Cancel::Forward, None) => "what it waits for is asked".to_owned(),
            (Cancel::TooLate, _) => "it is too late, nothing happens".to_owned(),
        };
        format!("{} is to be cancelled: {what}.", name(d))
    }

    pub(super) fn canceller_ends(&self, b: EventNumber, fired: bool, out: Out) -> String {
        let name = |id: Id| self.state.title(id);
        let whose = match self.state.frame(b).map(|frame| &frame.what) {
            Some(FrameKind::Canceller(d)) => format!("The canceller of {}", name(*d)),
            _ => "The canceller".to_owned(),
        };
        let how = match out {
            Out::Ok | Out::Err => "returns",
            Out::Panic => "panicked",
        };
        let so = if fired { "it fired the Deferred itself" } else { "the Deferred fails now" };
        format!("{whose} {how}; {so}.")
    }

    pub(super) fn group(&self, g: Id, mode: Mode, of: &[Id], d: Id) -> String {
        let name = |id: Id| self.state.title(id);
        let what = match mode {
            Mode::All => "the results of all",
            Mode::First => "the first value",
            Mode::FailFast => "all values, or the first error,",
        };
        let members = match of.len() {
            0 => "no Deferred at all".to_owned(),
            1..=6 => of.iter().map(|of| of.to_string()).collect::<Vec<_>>().join(", "),
            n => format!("{n} Deferreds"),
        };
        format!("Group {g} is made: {} will have {what} of {members}.", name(d))
    }

    pub(super) fn returned(
        &self,
        d: Id,
        n: u32,
        b: EventNumber,
        val: Option<Val<'_>>,
        inner: Option<Id>,
    ) -> String {
        let step = format!("{} of {}", upper(&self.step(d, n)), self.state.title(d));
        let came_in = match self.state.frame(b).map(|frame| &frame.what) {
            Some(FrameKind::Step { val, .. }) => Some(val),
            _ => None,
        };
        match (val, inner) {
            (_, Some(inner)) => format!("{step} gives back a Deferred, {}.", self.state.title(inner)),
            (Some(val @ Val::Ok { .. }), None) => {
                let back = match came_in {
                    Some(Value::Err(_)) => " The chain is back in the callbacks' lane.",
                    _ => "",
                };
                format!("{step} returns {}.{back}", self.val(val))
            }
            (Some(val @ Val::Err(f)), None) => match came_in {
                Some(Value::Err(had)) if *had == f => format!("{step} passes {f} on."),
                Some(Value::Err(had)) => format!("{step} returns {} in place of {had}.", self.val(val)),
                _ => {
                    let so = match self.next_step(d) {
                        Some(_) => "The chain goes on in the ERROR lane.",
                        None => "The chain is at its end, in the ERROR lane.",
                    };
                    format!("{step} returns {}. {so}", self.val(val))
                }
            },
            (None, None) => format!("{step} returns a Deferred."),
        }
    }

    fn next_step(&self, d: Id) -> Option<&Step> {
        let chain = self.state.chain(d)?;
        chain.step(chain.reached.map_or(0, |n| n.saturating_add(1)))
    }

    /// Whether a step will run or be passed by.
    fn passes(&self, step: &Step, lane: Lane, lead: &str) -> String {
        let title = format!("step {} \"{}\"", step.n, escaped(&step.label));
        match lane {
            Lane::Ok if !step.ok => format!("{lead} {title}, which has no callback and is passed by."),
            Lane::Err if !step.err => format!("{lead} {title}, which has no errback and is passed by."),
            _ => format!("{lead} {title}."),
        }
    }
}

fn noun(val: Val<'_>) -> &'static str {
    match val {
        Val::Ok { .. } => "value",
        Val::Err(_) => "error",
    }
}

fn waits(n: usize) -> String {
    if n == 1 { "1 step waits".to_owned() } else { format!("{n} steps wait") }
}
