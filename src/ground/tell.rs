//! What chains tell the recorder. Called only while somebody records.

use super::chain::Core;
use super::failure::Failure;
use super::info::{Info, Phase};
use super::step::{Outcome, Returned, Shape, Step, StepSite, run, short_step_name};
use super::trace::{
    self, Cancel, Dropped, EventNumber, Frame, Id, Kind, Lane, Lanes, Links, Loss, More, Object, Out, Place, Shown,
    Val, Via, emit, emit_here, emit_more, id,
};
use super::unhandled::{self, Recorded, forget_panic};
use std::any::type_name;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The id of a chain. One that is met for the first time is announced.
#[inline]
pub(crate) fn chain_id(info: &Info, ty: &'static str, late: bool) -> Option<Id> {
    let (d, new) = id(info.id(), Object::Deferred)?;
    if new {
        announce(info, d, ty, None, late);
    }
    Some(d)
}

#[inline(never)]
fn announce(info: &Info, d: Id, ty: &'static str, of: Option<Id>, late: bool) {
    let name = info.name();
    let links = Links { at: Some(info.made()), label: name.as_deref(), ..Links::default() };
    emit(Kind::DNew { d, ty, of, late }, links);
    if info.phase.get() == Phase::Unfired {
        trace::unfired(true);
    }
}

/// The id of a failure. One that is met for the first time is announced.
fn failure_id(failure: &mut Failure, via: Via) -> Option<Id> {
    let (f, new) = id(failure.id_slot(), Object::Failure)?;
    if new {
        let via = match failure.via() {
            Via::Err | Via::Thread if is_of_system(failure) => Via::Io,
            Via::Err => via,
            told => told,
        };
        let msg = failure_text(failure);
        let kind = Kind::FNew { f, ty: failure.type_name(), msg: &msg, via };
        emit(kind, Links { at: Some(failure.raised()), ..Links::default() });
    }
    Some(f)
}

/// How many sources of an error are looked at.
const DEEP: usize = 8;

/// Whether the system said so: the error, or one that it names as its source, is the system's. `source` is the user's
/// code, and a recording changes no program's behaviour.
fn is_of_system(failure: &Failure) -> bool {
    let look =
        || failure.check::<io::Error>().is_some() || failure.sources().take(DEEP).any(|e| e.is::<io::Error>());
    catch_unwind(AssertUnwindSafe(look)).unwrap_or_else(|payload| {
        forget_panic(payload);
        false
    })
}

/// What a failure says. Its `Display` is the user's code, and a recording changes no program's behaviour.
pub(crate) fn failure_text(failure: &Failure) -> String {
    match catch_unwind(AssertUnwindSafe(|| failure.to_string())) {
        Ok(text) => text,
        Err(payload) => {
            forget_panic(payload);
            "(its Display panicked)".to_owned()
        }
    }
}

#[inline]
fn val<'s, T: 'static>(info: &Info, outcome: &mut Outcome<T>, via: Via, shown: &'s mut Shown) -> Val<'s> {
    match outcome {
        Ok(value) => match info.show(value) {
            None => shown.val(value),
            Some(text) => shown.own(&text, type_name::<T>()),
        },
        Err(failure) => match failure_id(failure, via) {
            Some(f) => Val::Err(f),
            None => Val::Ok { text: "", ty: "" },
        },
    }
}

/// What something came to that is no chain: a task.
pub(crate) fn came_to<'s, T: 'static>(outcome: &mut Outcome<T>, shown: &'s mut Shown) -> Val<'s> {
    val(&Info::default(), outcome, Via::Err, shown)
}

/// The same for a value that may borrow: its type is all that can be shown.
pub(crate) fn came_to_unseen<'s, T>(outcome: &mut Outcome<T>) -> Val<'s> {
    match outcome.as_mut().map_err(|failure| failure_id(failure, Via::Err)) {
        Err(Some(f)) => Val::Err(f),
        Ok(_) => Val::Ok { text: "", ty: type_name::<T>() },
        Err(None) => Val::Ok { text: "", ty: "" },
    }
}

fn cause(info: &Info) -> Links<'static> {
    Links { cause: info.cause(), ..Links::default() }
}

/// A Deferred was made.
#[cold]
#[inline(never)]
pub(crate) fn made(info: &Info, ty: &'static str, of: Option<Id>) {
    if let Some((d, true)) = id(info.id(), Object::Deferred) {
        announce(info, d, ty, of, false);
    }
}

/// A Deferred was made with its result.
pub(crate) fn made_fired<T: 'static>(info: &Info, outcome: &mut Outcome<T>) {
    let Some(d) = chain_id(info, type_name::<T>(), false) else { return };
    let mut shown = Shown::default();
    let val = val(info, outcome, Via::Fail, &mut shown);
    info.set_cause(emit(Kind::DFire { d, val }, Links { at: Some(info.made()), ..Links::default() }));
}

pub(crate) fn named(info: &Info, name: &str, at: Place) {
    if let Some(d) = chain_id(info, "", true) {
        emit(Kind::DName { d }, Links { at: Some(at), label: Some(name), ..Links::default() });
    }
}

/// A step was added; answers the event's number. `ty`: what it takes.
#[cold]
#[inline(never)]
pub(crate) fn added(info: &Info, site: &StepSite, late: bool, ty: &'static str, shape: Shape) -> EventNumber {
    let Some(d) = chain_id(info, ty, true) else { return 0 };
    let [callback, errback] = shape.names;
    let names = [short_step_name(callback), if errback.is_empty() { "" } else { short_step_name(errback) }];
    let lanes = Lanes::of(shape.callback, shape.errback);
    let n = site.n.get();
    let (name, sys) = info.step_named(n);
    let links = Links { at: Some(site.at.get()), label: name.as_deref(), ..Links::default() };
    add(d, n, lanes, names, late, links, sys)
}

// The busiest events, each in a function of its own.

#[inline(never)]
fn add(
    d: Id,
    n: u32,
    lanes: Lanes,
    names: [&'static str; 2],
    late: bool,
    links: Links<'_>,
    sys: bool,
) -> EventNumber {
    emit_here(Kind::DAdd { d, n, lanes, names, late }, links, More { sys, ..More::default() })
}

#[inline(never)]
fn step_begins(d: Id, n: u32, lane: Lane, val: Val<'_>, links: Links<'_>, sys: bool) -> Frame {
    let more = More { sys, same_time: true, ..More::default() };
    Frame::open_here(Kind::DStep { d, n, lane, val }, links, more)
}

#[inline(never)]
fn step_ends(
    frame: Frame,
    (d, n): (Id, u32),
    val: Option<Val<'_>>,
    inner: Option<Id>,
    links: &Links<'_>,
    sys: bool,
) -> EventNumber {
    let b = frame.begin();
    frame.close_here(Kind::DRet { d, n, b, val, inner }, links, More { sys, ..More::default() })
}

pub(crate) fn fired<T: 'static>(core: &Core, mut outcome: Outcome<T>, at: Option<Place>) -> Outcome<T> {
    // Whoever is met only now was not counted.
    if trace::known(core.info.id(), Object::Deferred).is_some() {
        trace::unfired(false);
    }
    if let Some(d) = chain_id(&core.info, type_name::<T>(), true) {
        let mut shown = Shown::default();
        let val = val(&core.info, &mut outcome, Via::Fail, &mut shown);
        core.info.set_cause(emit(Kind::DFire { d, val }, Links { at, ..Links::default() }));
    }
    outcome
}

pub(crate) fn swallowed<T: 'static>(info: &Info, outcome: &mut Outcome<T>, at: Option<Place>) {
    if let Some(d) = chain_id(info, type_name::<T>(), true) {
        let mut shown = Shown::default();
        let val = Some(val(info, outcome, Via::Fail, &mut shown));
        emit(Kind::DSwallow { d, val }, Links { at, ..Links::default() });
    }
}

/// Runs a step and tells about it. What is the same for all types is in [`Told`].
#[cold]
#[inline(never)]
pub(crate) fn step<T: 'static, U: 'static, S: Step<T, U>>(
    info: &Info,
    site: &StepSite,
    step: S,
    mut input: Outcome<T>,
) -> Returned<U> {
    let told = comes_in(info, site, &mut input, S::shape);
    let mut returned = run(step, input, site, info);
    if let Some(told) = told {
        comes_out(told, info, site, &mut returned);
    }
    returned
}

/// A step that runs, and whose end is to be told.
struct Told {
    d: Id,
    frame: Frame,
    /// The failure that it got.
    had: Option<Id>,
}

fn comes_in<T: 'static>(
    info: &Info,
    site: &StepSite,
    input: &mut Outcome<T>,
    shape: fn() -> Shape,
) -> Option<Told> {
    let d = chain_id(info, type_name::<T>(), true)?;
    info.set_ran(site.n.get() + 1);
    let mut shown = Shown::default();
    let val = val(info, input, Via::Fail, &mut shown);
    Told::begins(d, info, site, val, shape)
}

fn comes_out<U: 'static>(told: Told, info: &Info, site: &StepSite, returned: &mut Returned<U>) {
    let mut shown = Shown::default();
    let (val, inner) = match returned {
        Returned::Now(outcome) => (Some(val(info, outcome, Via::Err, &mut shown)), None),
        Returned::Later(inner) => (None, inner.id()),
    };
    told.ends(info, site, val, inner);
}

impl Told {
    /// `None` if the step has nothing for the lane of `val`.
    fn begins(d: Id, info: &Info, site: &StepSite, val: Val<'_>, shape: fn() -> Shape) -> Option<Told> {
        let (n, lane) = (site.n.get(), val.lane());
        let (name, sys) = info.step_named(n);
        let label = name.as_deref();
        let links = Links { cause: info.cause(), reg: site.reg.get(), at: Some(site.at.get()), label };
        if !shape().takes(lane) {
            info.set_cause(emit_more(Kind::DPass { d, n, lane }, links, More { sys, ..More::default() }));
            return None;
        }
        let had = match val {
            Val::Err(f) => Some(f),
            Val::Ok { .. } => None,
        };
        let frame = step_begins(d, n, lane, val, links, sys);
        Some(Told { d, frame, had })
    }

    fn ends(self, info: &Info, site: &StepSite, val: Option<Val<'_>>, inner: Option<Id>) {
        let Told { d, frame, had } = self;
        let n = site.n.get();
        let (name, sys) = info.step_named(n);
        let links = Links { at: Some(site.at.get()), label: name.as_deref(), ..Links::default() };
        let raised = match val {
            Some(Val::Err(f)) => Some(f),
            _ => None,
        };
        info.set_cause(step_ends(frame, (d, n), val, inner, &links, sys));
        match (had, raised) {
            (Some(f), Some(by)) if f != by => {
                emit(Kind::FReplaced { f, by }, cause(info));
            }
            (Some(f), None) => {
                emit(Kind::FHandled { f, d, n }, cause(info));
            }
            _ => {}
        }
    }
}

/// A chain waits for another.
pub(crate) fn paused(outer: &Info, inner: &Info) {
    if let (Some(d), Some(on)) = (chain_id(outer, "", true), chain_id(inner, "", true)) {
        outer.set_cause(emit(Kind::DPause { d, on }, cause(outer)));
    }
}

/// The result of `inner` goes to the chain that waited for it.
pub(crate) fn resumed<T: 'static>(inner: &Core, outcome: Outcome<T>) -> Outcome<T> {
    let waiter = inner.waiter.take();
    let outcome = match &waiter {
        Some(outer) => moved(&outer.core().info, &inner.info, outcome, type_name::<T>()),
        None => outcome,
    };
    inner.waiter.set(waiter);
    outcome
}

/// A result goes from `inner` to `outer`, whose step gave `inner` back.
pub(crate) fn moved<T: 'static>(
    outer: &Info,
    inner: &Info,
    mut outcome: Outcome<T>,
    ty: &'static str,
) -> Outcome<T> {
    if let (Some(d), Some(from)) = (chain_id(outer, ty, true), chain_id(inner, ty, true)) {
        let mut shown = Shown::default();
        let val = val(outer, &mut outcome, Via::Err, &mut shown);
        let failure = match val {
            Val::Err(f) => Some(f),
            Val::Ok { .. } => None,
        };
        outer.set_cause(emit(Kind::DResume { d, from, val }, cause(inner)));
        if let Some(f) = failure {
            emit(Kind::FMoved { f, from, to: d }, cause(outer));
        }
    }
    outcome
}

/// The result rests at the end of the chain.
pub(crate) fn resting<T: 'static>(core: &Core, mut outcome: Outcome<T>) -> Outcome<T> {
    rests(&core.info, &mut outcome);
    outcome
}

/// The same for a chain without a core.
pub(crate) fn rests<T: 'static>(info: &Info, outcome: &mut Outcome<T>) {
    if let Err(failure) = outcome
        && let (Some(d), Some(f)) = (chain_id(info, type_name::<T>(), true), failure_id(failure, Via::Err))
    {
        emit(Kind::FResting { f, d }, cause(info));
    }
}

/// A failure is lost; answers what the recording knows about it.
pub(crate) fn lost(info: &Info, failure: &mut Failure) -> Option<Recorded> {
    let d = chain_id(info, "", true)?;
    let f = failure_id(failure, Via::Err)?;
    let why = if unhandled::is_ending() { Loss::LoopEnd } else { Loss::Dropped };
    let s = emit(Kind::FLost { f, d, why }, cause(info));
    Some(Recorded { d, f, fired_by: trace::fired_by(d), rested: trace::rested(f), why: trace::why(s) })
}

/// The program took the result out of the chain.
pub(crate) fn taken(info: &Info, ty: &'static str) {
    if let Some(d) = chain_id(info, ty, true) {
        emit(Kind::DTake { d }, cause(info));
    }
}

pub(crate) fn dropped(info: &Info, pending: bool) {
    if let Some(d) = chain_id(info, "", true) {
        let state = if pending { Dropped::Pending } else { Dropped::Fired };
        let left = if pending { info.steps.get().saturating_sub(info.ran()) } else { 0 };
        emit(Kind::DDrop { d, state, left }, Links::default());
    }
}

pub(crate) enum How<'a> {
    NoCanceller,
    Forward(&'a Info),
    TooLate,
}

pub(crate) fn cancel(info: &Info, at: Place, how: How<'_>) {
    let Some(d) = chain_id(info, "", true) else { return };
    let (how, to) = match how {
        How::NoCanceller => (Cancel::NoCanceller, None),
        How::TooLate => (Cancel::TooLate, None),
        How::Forward(inner) => match chain_id(inner, "", true) {
            Some(inner) => (Cancel::Forward, Some(inner)),
            None => return,
        },
    };
    emit(Kind::DCancel { d, how, to }, Links { at: Some(at), ..Links::default() });
}

pub(crate) fn canceller_begins(info: &Info, at: Place) -> Option<Frame> {
    let d = chain_id(info, "", true)?;
    let links = || Links { at: Some(at), ..Links::default() };
    let s = emit(Kind::DCancel { d, how: Cancel::Canceller, to: None }, links());
    Some(Frame::open(Kind::CancellerBegin { d }, Links { cause: s, ..links() }))
}

pub(crate) fn canceller_ends(frame: Option<Frame>, fired: bool, panicked: bool) {
    let out = if panicked { Out::Panic } else { Out::Ok };
    if let Some(frame) = frame {
        frame.close(|b| Kind::CancellerEnd { b, fired, out }, Links::default());
    }
}
