//! The sentences about Deferreds and their groups.

use super::{Say, upper};
use crate::ground::step_name;
use crate::study::state::{FrameKind, Step, Value};
use crate::study::words::{duration, escaped, short_type};
use crate::trace::{Cancel, Dropped, Id, Kind, Lane, Mode, Out, Val};

impl Say<'_> {
    pub(super) fn of_chains(&self) -> String {
        let name = |id: Id| self.state.title(id);
        match self.event.kind {
            Kind::DNew { d, ty, of, late } => {
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
            Kind::DName { d } => match self.event.label {
                Some(label) => format!("{d} gets a name: \"{}\".", escaped(label)),
                None => format!("{d} loses its name."),
            },
            Kind::DAdd { d, n, lanes, names, late } => {
                let label = self.event.label.unwrap_or_else(|| step_name(names[0]));
                let what = match (lanes.ok(), lanes.err()) {
                    (true, true) => "a callback and an errback",
                    (true, false) => "a callback",
                    _ => "an errback",
                };
                let when = if late { " It has fired already, so the step runs now, inside the add." } else { "" };
                format!("Step {n} \"{}\" is added to {}: {what}.{when}", escaped(label), name(d))
            }
            Kind::DFire { d, val } => {
                let then = match (self.next_step(d), self.state.chain(d).and_then(|chain| chain.waiter)) {
                    (Some(step), _) => format!(" {}", self.passes(step, val.lane(), "Next is")),
                    (None, Some(waiter)) => format!(" {} waits for it.", name(waiter)),
                    (None, None) => format!(" It has no step yet, so the {} rests there.", noun(val)),
                };
                format!("{} is fired with {}.{then}", name(d), self.val(val))
            }
            Kind::DStep { d, n, lane, val } => {
                let job = match lane {
                    Lane::Ok => "callback",
                    Lane::Err => "errback",
                };
                format!("{} of {} runs: its {job} gets {}.", upper(&self.step(d, n)), name(d), self.val(val))
            }
            Kind::DRet { d, n, b, val, inner } => self.returned(d, n, b, val, inner),
            Kind::DPass { d, n, lane } => {
                let (has_not, what) = match lane {
                    Lane::Ok => ("callback", "value"),
                    Lane::Err => ("errback", "error"),
                };
                format!("{} of {} has no {has_not}: the {what} passes it by.", upper(&self.step(d, n)), name(d))
            }
            Kind::DPause { d, on } => {
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
            Kind::DResume { d, from, val } => {
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
            Kind::DCancel { d, how, to } => {
                let what = match (how, to) {
                    (Cancel::Canceller, _) => "its canceller is asked".to_owned(),
                    (Cancel::NoCanceller, _) => {
                        "it has no canceller, so it fails now, and a late result will be swallowed".to_owned()
                    }
                    (Cancel::Forward, Some(to)) => format!("it waits for {}, so that one is asked", name(to)),
                    (Cancel::Forward, None) => "what it waits for is asked".to_owned(),
                    (Cancel::TooLate, _) => "it is too late, nothing happens".to_owned(),
                };
                format!("{} is to be cancelled: {what}.", name(d))
            }
            Kind::CancellerBegin { d } => format!("The canceller of {} runs.", name(d)),
            Kind::CancellerEnd { b, fired, out } => {
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
            Kind::DSwallow { d, val } => {
                let val = val.map(|val| format!(", {},", self.val(val))).unwrap_or_default();
                format!("A late result{val} for {} is swallowed: it was cancelled before.", name(d))
            }
            Kind::DTimeout { d, after, m } => {
                format!(
                    "{} has {} for its result; then timer {} will cancel it.",
                    name(d),
                    duration(after),
                    name(m)
                )
            }
            Kind::GNew { mode, of, d, .. } => {
                let what = match mode {
                    Mode::All => "the results of all",
                    Mode::First => "the first result",
                    Mode::FailFast => "all results or the first error",
                };
                let members = match of.len() {
                    0 => "no Deferred at all".to_owned(),
                    1..=6 => of.iter().map(|of| of.to_string()).collect::<Vec<_>>().join(", "),
                    n => format!("{n} Deferreds"),
                };
                format!("A group is made: {} will have {what} of {members}.", name(d))
            }
            Kind::GGot { g, i, lane } => {
                let what = if lane == Lane::Ok { "a value" } else { "an error" };
                format!("Member {i} of group {g} has {what}.")
            }
            Kind::DTake { d } => format!("The program takes the result out of {}.", name(d)),
            Kind::DDrop { d, state: Dropped::Pending, .. } => {
                format!("The program lets go of {}; its steps will still run when it is fired.", name(d))
            }
            Kind::DDrop { d, state: Dropped::Fired, .. } => format!("The program drops {}.", name(d)),
            // Unreachable: all others are in `sentence`.
            _ => String::new(),
        }
    }

    fn returned(&self, d: Id, n: u32, b: u32, val: Option<Val<'_>>, inner: Option<Id>) -> String {
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
                _ => format!("{step} returns {}. The chain goes on in the ERROR lane.", self.val(val)),
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
