//! An event in a few words, for lists; which objects it names, and how much of a detail it is.

use super::state::State;
use super::words::{duration, escaped, lane_word, printed, value};
use crate::trace::{Cancel, Dropped, Event, Gave, Id, Kind, Lane, Out, Polled, Slot, Val, Woke};

/// An event in a few words. `state` is any state after it: names come from there.
///
/// ```
/// use ropewalk::{Deferred, study::{State, headline}, trace};
///
/// let ((), trace) = trace::record(|| Deferred::succeed(1).named("one").detach());
/// let state = State::after(&trace);
/// let rows: Vec<String> = trace.events().map(|event| headline(&state, &event)).collect();
/// assert_eq!(rows[..2], ["made d1 one", "d1 fired ok 1"]);
/// ```
pub fn headline(state: &State, event: &Event<'_>) -> String {
    let label = event.label.map(escaped);
    let named = |id: Id| match label.clone().or_else(|| state.label(id).map(|label| escaped(label))) {
        Some(label) => format!("{id} {label}"),
        None => id.to_string(),
    };
    let val = |val: Val<'_>| match val {
        Val::Ok { text, .. } => format!("ok {}", value(&escaped(text))),
        Val::Err(f) => format!("err {f}"),
    };
    match event.kind {
        Kind::Note { msg } => format!("note: {}", escaped(msg)),
        Kind::Drop { n } => format!("{n} events lost here"),
        Kind::Ask { q, .. } => format!("question: {}", escaped(q)),
        Kind::Out { text, .. } => format!("prints \"{}\"", printed(text)),
        Kind::Gate { held_w, .. } => format!("held for {}", duration(held_w)),
        Kind::End { why, .. } => format!("end: {}", why.word()),
        Kind::TurnBegin { .. } => format!("turn {}", event.turn),
        Kind::PollBegin { timeout: None, .. } => "waits".to_owned(),
        Kind::PollBegin { timeout: Some(0), .. } => "looks for ready sources".to_owned(),
        Kind::PollBegin { timeout: Some(limit), .. } => format!("waits, at most {}", duration(limit)),
        Kind::PollEnd { waited, woke, ready, .. } => {
            let what = match ready.len() {
                0 if woke == Woke::Now => "nothing ready".to_owned(),
                0 => woke.word().to_owned(),
                n => format!("{n} ready"),
            };
            match waited {
                0 if (woke, ready.len()) == (Woke::Now, 0) => "looked: nothing ready".to_owned(),
                0 => format!("wait over: {what}"),
                waited => format!("wait over, {}: {what}", duration(waited)),
            }
        }
        Kind::CbBegin { o, slot } => match (&label, o) {
            (Some(label), _) => label.clone(),
            // It is polled, and not called.
            (None, Some(x)) if slot == Slot::Task => format!("task {}", named(x)),
            (None, Some(o)) => format!("callback of {}", named(o)),
            (None, None) => match slot {
                Slot::Soon => "call_soon",
                Slot::Post => "posted call",
                Slot::Ready | Slot::Write => "source",
                Slot::Accept => "listener",
                Slot::Timer => "timer",
                Slot::Work => "job done",
                Slot::Trigger => "trigger",
                Slot::Task => "task",
            }
            .to_owned(),
        },
        Kind::CbEnd { out: Out::Ok | Out::Err, .. } => "callback ends".to_owned(),
        Kind::CbEnd { out: Out::Panic, .. } => "callback PANICKED".to_owned(),
        Kind::TurnEnd { ran, .. } => format!("turn ends, ran {ran}"),
        Kind::LoopStop {} => "loop asked to stop".to_owned(),
        Kind::TimerArm { m, due, .. } => {
            format!("armed {} +{}", named(m), duration(due.saturating_sub(event.t)))
        }
        Kind::TimerName { m } => format!("{m} named {}", label.unwrap_or_default()),
        Kind::TimerFire { m, late: 0 } => format!("timer {} due", named(m)),
        Kind::TimerFire { m, late } => format!("timer {} due, {} late", named(m), duration(late)),
        Kind::TimerCancel { m } => format!("timer {} cancelled", named(m)),
        Kind::TimerReset { m, due } => {
            format!("timer {m} reset +{}", duration(due.saturating_sub(event.t)))
        }
        Kind::Post { p, .. } => format!("queued {}", named(p)),
        Kind::IoOpen { i, .. } => format!("registered {}", named(i)),
        Kind::IoWant { i, r, w } => format!("{i} wants {}", rw(r, w)),
        Kind::IoReady { i, r, w, hup } => {
            format!("{i} ready {}{}", rw(r, w), if hup { " hup" } else { "" })
        }
        Kind::IoRead { i, n } => format!("{i} read {}", gave(n)),
        Kind::IoWrite { i, took, .. } => format!("{i} wrote {}", gave(took)),
        Kind::IoAccept { i, new } => format!("{i} accepted {new}"),
        Kind::IoClose { i, .. } => format!("removed {}", named(i)),
        Kind::FlowHigh { i, left, .. } => format!("{i} full: {left} left"),
        Kind::FlowLow { i, left } => format!("{i} has room: {left} left"),
        Kind::FlowStop { src, .. } => format!("{} stop", src.map(named).unwrap_or_default()),
        Kind::FlowGo { src, .. } => format!("{} go on", src.map(named).unwrap_or_default()),
        Kind::WorkQueue { w, .. } => format!("job {} queued", named(w)),
        Kind::WorkBegin { w } => format!("job {} begins", named(w)),
        Kind::WorkEnd { w, .. } => format!("job {} ends", named(w)),
        Kind::WorkDone { w } => format!("job {} is back", named(w)),
        Kind::DNew { d, late: false, .. } => format!("made {}", named(d)),
        Kind::DNew { d, late: true, .. } => format!("met {}", named(d)),
        Kind::DName { d } => format!("{d} named {}", label.clone().unwrap_or_default()),
        Kind::DAdd { d, n, .. } => format!("{d} + step {n} {}", step_label(state, d, n, None)),
        Kind::DFire { d, val: v } => format!("{d} fired {}", val(v)),
        Kind::DStep { d, n, lane, .. } => {
            format!("{d} step {n} {}  {} lane", step_label(state, d, n, Some(lane)), lane_word(lane))
        }
        Kind::DRet { inner: Some(inner), .. } => format!("-> {inner}"),
        Kind::DRet { val: Some(v), .. } => format!("-> {}", val(v)),
        Kind::DRet { .. } => "-> a Deferred".to_owned(),
        Kind::DPass { d, n, lane } => {
            let lane = if lane == Lane::Err { "x" } else { "o" };
            format!("{d} step {n} {} passed by ({lane})", step_label(state, d, n, None))
        }
        Kind::DPause { d, on } => format!("{d} PAUSED on {on}"),
        Kind::DResume { d, val: v, .. } => format!("{d} resumed, {}", val(v)),
        Kind::DCancel { d, how, to } => match how {
            Cancel::Canceller => format!("{d} cancel: asks canceller"),
            Cancel::NoCanceller => format!("{d} cancel: no canceller"),
            Cancel::Forward => format!("{d} cancel: on to {}", to.map(|to| to.to_string()).unwrap_or_default()),
            Cancel::TooLate => format!("{d} cancel: too late"),
        },
        Kind::CancellerBegin { d } => format!("canceller of {d}"),
        Kind::CancellerEnd { fired: true, .. } => "-> it fired".to_owned(),
        Kind::CancellerEnd { fired: false, .. } => "-> it did not fire".to_owned(),
        Kind::DSwallow { d, .. } => format!("{d} late result swallowed"),
        Kind::DTimeout { d, after, .. } => format!("{d} has {}", duration(after)),
        Kind::GNew { g, d, of, .. } => format!("made {g} of {}: {d}", of.len()),
        Kind::GGot { g, i, lane } => format!("{g} got {i} {}", lane_word(lane)),
        Kind::DTake { d } => format!("{d} result taken"),
        Kind::DDrop { d, state: Dropped::Pending, .. } => format!("{d} let go, still pending"),
        Kind::DDrop { d, state: Dropped::Fired, .. } => format!("{d} dropped"),
        Kind::XSpawn { x, .. } => format!("spawned {}", named(x)),
        Kind::XPoll { x, n } => format!("{} poll {}", named(x), u64::from(n) + 1),
        Kind::XRet { out: Polled::Ready, .. } => "-> ready".to_owned(),
        Kind::XRet { out: Polled::Pending, .. } => "-> pending".to_owned(),
        Kind::XWait { x, on: Some(on) } => format!("{x} awaits {on}"),
        Kind::XWait { x, on: None } => format!("{x} awaits"),
        Kind::XWake { x, own: true, .. } => format!("{x} woken by itself"),
        Kind::XWake { x, by: Some(by), .. } => format!("{x} woken by {by}"),
        Kind::XWake { x, .. } => format!("{x} woken"),
        Kind::XDrop { x, state: Polled::Ready } => format!("{x} gone"),
        Kind::XDrop { x, state: Polled::Pending } => format!("{x} dropped unfinished"),
        Kind::WakerClone { x } => format!("waker of {x} kept"),
        Kind::WakerDrop { x } => format!("waker of {x} dropped"),
        Kind::FNew { f, msg, .. } => format!("{f} \"{}\" raised", escaped(msg)),
        Kind::FMoved { f, from, to } => format!("{f} moves {from} to {to}"),
        Kind::FReplaced { f, by } => format!("{f} replaced by {by}"),
        Kind::FHandled { f, d, n } => format!("{f} handled by {d} step {n}"),
        Kind::FResting { f, d } => format!("{f} RESTS in {d}"),
        Kind::FLost { f, d, .. } => format!("{f} LOST in {d}"),
    }
}

/// `ran`: the lane on which it runs.
fn step_label(state: &State, d: Id, n: u32, ran: Option<Lane>) -> String {
    let Some(step) = state.chain(d).and_then(|chain| chain.step(n)) else { return String::new() };
    escaped(ran.map_or(&*step.label, |lane| step.label_on(lane)))
}

fn rw(r: bool, w: bool) -> &'static str {
    match (r, w) {
        (true, true) => "r w",
        (true, false) => "r",
        (false, true) => "w",
        (false, false) => "-",
    }
}

fn gave(gave: Gave) -> String {
    match gave {
        Gave::Bytes(n) => n.to_string(),
        Gave::Again => "nothing now".to_owned(),
        Gave::Eof => "the end".to_owned(),
        Gave::Errno(n) => format!("error {n}"),
    }
}

/// Whether something went wrong here: a failure in its life, an error's way along a chain, a panic.
///
/// ```
/// use ropewalk::{Deferred, Failure, study::is_error, trace};
///
/// let ((), trace) = trace::record(|| {
///     Deferred::<()>::fail(Failure::msg("no")).add_errback(|_| Ok::<(), Failure>(())).detach();
/// });
/// let errors: Vec<_> = trace.events().filter(|event| is_error(&event.kind)).map(|event| event.kind.name()).collect();
/// assert_eq!(errors, ["f.new", "f.handled"]);
/// ```
pub fn is_error(kind: &Kind<'_>) -> bool {
    matches!(
        kind,
        Kind::FNew { .. }
            | Kind::FMoved { .. }
            | Kind::FReplaced { .. }
            | Kind::FHandled { .. }
            | Kind::FResting { .. }
            | Kind::FLost { .. }
            | Kind::CbEnd { out: Out::Panic, .. }
            | Kind::CancellerEnd { out: Out::Panic, .. }
    )
}

/// The objects that an event names, at most three.
///
/// ```
/// use ropewalk::{Deferred, Failure, study::objects, trace};
///
/// let ((), trace) = trace::record(|| {
///     Deferred::<()>::fail(Failure::msg("no")).add_errback(|_| Ok::<(), Failure>(())).detach();
/// });
/// let fired = trace.events().find(|event| event.kind.name() == "d.fire").unwrap();
/// let names: Vec<String> = objects(&fired.kind).iter().flatten().map(|id| id.to_string()).collect();
/// assert_eq!(names, ["d1", "f1"]);
/// ```
pub fn objects(kind: &Kind<'_>) -> [Option<Id>; 3] {
    let val_of = |val: Val<'_>| match val {
        Val::Err(f) => Some(f),
        Val::Ok { .. } => None,
    };
    match *kind {
        Kind::Note { .. }
        | Kind::Drop { .. }
        | Kind::TurnBegin { .. }
        | Kind::PollBegin { .. }
        | Kind::PollEnd { .. }
        | Kind::CbEnd { .. }
        | Kind::TurnEnd { .. }
        | Kind::LoopStop {}
        | Kind::Ask { .. }
        | Kind::Out { .. }
        | Kind::Gate { .. }
        | Kind::End { .. }
        | Kind::CancellerEnd { .. }
        | Kind::XRet { .. } => [None; 3],
        Kind::CbBegin { o, .. } => [o, None, None],
        Kind::TimerArm { m: id, .. }
        | Kind::TimerFire { m: id, .. }
        | Kind::TimerCancel { m: id }
        | Kind::TimerName { m: id }
        | Kind::TimerReset { m: id, .. }
        | Kind::Post { p: id, .. }
        | Kind::IoOpen { i: id, .. }
        | Kind::IoWant { i: id, .. }
        | Kind::IoReady { i: id, .. }
        | Kind::IoClose { i: id, .. }
        | Kind::IoRead { i: id, .. }
        | Kind::IoWrite { i: id, .. }
        | Kind::FlowHigh { i: id, .. }
        | Kind::FlowLow { i: id, .. }
        | Kind::WorkBegin { w: id }
        | Kind::WorkEnd { w: id, .. }
        | Kind::WakerClone { x: id }
        | Kind::WakerDrop { x: id }
        | Kind::GGot { g: id, .. }
        | Kind::WorkQueue { w: id, .. }
        | Kind::WorkDone { w: id }
        | Kind::DNew { d: id, .. }
        | Kind::DName { d: id }
        | Kind::DAdd { d: id, .. }
        | Kind::DPass { d: id, .. }
        | Kind::CancellerBegin { d: id }
        | Kind::DSwallow { d: id, .. }
        | Kind::DTake { d: id }
        | Kind::DDrop { d: id, .. }
        | Kind::XSpawn { x: id, .. }
        | Kind::XPoll { x: id, .. }
        | Kind::XWake { x: id, .. }
        | Kind::XDrop { x: id, .. }
        | Kind::FNew { f: id, .. } => [Some(id), None, None],
        Kind::DFire { d, val } | Kind::DStep { d, val, .. } => [Some(d), val_of(val), None],
        Kind::DRet { d, val, inner, .. } => [Some(d), inner, val.and_then(val_of)],
        Kind::DPause { d, on } => [Some(d), Some(on), None],
        Kind::DResume { d, from, val } => [Some(d), Some(from), val_of(val)],
        Kind::DCancel { d, to, .. } => [Some(d), to, None],
        Kind::DTimeout { d, m, .. } => [Some(d), Some(m), None],
        Kind::GNew { g, d, .. } => [Some(g), Some(d), None],
        Kind::IoAccept { i, new } => [Some(i), Some(new), None],
        Kind::FlowStop { src, because } | Kind::FlowGo { src, because } => [src, because, None],
        Kind::XWait { x, on } => [Some(x), on, None],
        Kind::FMoved { f, from, to } => [Some(to), Some(f), Some(from)],
        Kind::FReplaced { f, by } => [Some(f), Some(by), None],
        Kind::FHandled { f, d, .. } | Kind::FResting { f, d } | Kind::FLost { f, d, .. } => {
            [Some(d), Some(f), None]
        }
    }
}

/// The object that an event is about first.
pub(super) fn about(kind: &Kind<'_>) -> Option<Id> {
    objects(kind).into_iter().flatten().next()
}
