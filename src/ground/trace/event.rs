//! What a recorder is told: the event, its kinds, and the ids of the objects in it.

use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// A place in source code: file, line and column.
pub type Place = &'static Location<'static>;

/// The number of an event in its run. 0 stands for "none".
pub type EventNumber = u32;

/// The lane of a chain that a value travels on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The callbacks' lane.
    Ok,
    /// The errbacks' lane.
    Err,
}

/// The kind of object an [`Id`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Object {
    /// `d`: a Deferred chain.
    Deferred,
    /// `f`: a failure.
    Failure,
    /// `m`: a timer.
    Timer,
    /// `i`: a source (descriptor).
    Source,
    /// `p`: a posted call (call-soon, or from another thread).
    Post,
    /// `w`: a job of the worker pool.
    Work,
    /// `x`: a task.
    Task,
}

impl Object {
    /// The letter that stands before the number: `d`, `f`, `m`, `i`, `p`, `w` or `x`.
    pub const fn letter(self) -> char {
        match self {
            Object::Deferred => 'd',
            Object::Failure => 'f',
            Object::Timer => 'm',
            Object::Source => 'i',
            Object::Post => 'p',
            Object::Work => 'w',
            Object::Task => 'x',
        }
    }
}

/// The name of an object in a trace, such as `d3`. Counted for each run and kind from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id(pub Object, pub u32);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0.letter(), self.1)
    }
}

/// Where an object keeps its [`Id`] once one was given. Zero until a recorder first meets the object.
///
/// The upper half is the number of the run, so that an id of an earlier run on the same thread is never taken for one
/// of this run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IdSlot(u64);

impl IdSlot {
    pub(super) fn new(run: u32, n: u32) -> IdSlot {
        IdSlot(u64::from(run) << 32 | u64::from(n))
    }

    pub(super) fn get(self, run: u32) -> Option<u32> {
        ((self.0 >> 32) as u32 == run).then_some(self.0 as u32)
    }
}

/// A value as the trace shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Val {
    /// A value: its preview (at most 80 characters), or its type's name in angle brackets.
    Ok(String),
    /// A failure, by its id.
    Err(Id),
}

impl Val {
    /// The lane on which such a value travels.
    pub fn lane(&self) -> Lane {
        match self {
            Val::Ok(_) => Lane::Ok,
            Val::Err(_) => Lane::Err,
        }
    }
}

/// How a callback of the loop or a canceller ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// It returned.
    Ok,
    /// It panicked.
    Panic,
}

/// Which queue of the loop a callback came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// Queued by `call_soon`.
    Soon,
    /// Posted from another thread, or a message of a channel.
    Post,
    /// A ready source.
    Ready,
    /// A due timer.
    Timer,
    /// A finished job of the worker pool.
    Work,
    /// A start-up or shutdown trigger.
    Trigger,
    /// A woken task.
    Task,
}

/// How a `cancel` was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cancel {
    /// The canceller is asked.
    Canceller,
    /// There is no canceller: the chain fails now, and one late result will be swallowed.
    NoCanceller,
    /// Passed on to the Deferred that the chain waits for.
    Forward(Id),
    /// Too late: the chain runs or has its result.
    TooLate,
}

/// How a failure came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// Given to a `Resolver`, or to `Deferred::fail`.
    Fail,
    /// Returned as `Err` by a step.
    Err,
    /// A step panicked.
    Panic,
    /// The chain was cancelled.
    Cancel,
    /// The `Resolver` was dropped unfired.
    Abandoned,
}

/// What happened. The names are those of the trace's file format (`d.new` is [`Kind::DNew`]).
///
/// `b` in an end event is the number of its begin event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)] // The fields are what the variant's sentence says.
pub enum Kind {
    /// `note`: a remark of the program.
    Note { msg: String },
    /// `drop`: the recorder had no room for `n` events here.
    Drop { n: u64 },

    /// `turn.begin`: the loop starts its turn `n`.
    TurnBegin { n: u32 },
    /// `poll.begin`: the loop waits, at most `timeout` nanoseconds (`None`: no limit).
    PollBegin { timeout: Option<u64> },
    /// `poll.end`: the wait is over; `ready` sources are ready.
    PollEnd { b: EventNumber, ready: u32 },
    /// `cb.begin`: the loop calls a callback of `o`.
    CbBegin { o: Option<Id>, slot: Slot },
    /// `cb.end`: that callback is over.
    CbEnd { b: EventNumber, out: Out },
    /// `turn.end`: the turn is over; it ran `ran` callbacks.
    TurnEnd { b: EventNumber, ran: u32 },
    /// `loop.stop`: somebody asked the loop to stop.
    LoopStop,

    /// `timer.arm`: a timer was made; due at `due` nanoseconds on the loop's clock.
    TimerArm { m: Id, due: u64 },
    /// `timer.fire`: it is due, `late` nanoseconds after its time.
    TimerFire { m: Id, late: u64 },
    /// `timer.cancel`
    TimerCancel { m: Id },
    /// `timer.reset`: it is now due at `due`.
    TimerReset { m: Id, due: u64 },

    /// `post`: a call was queued.
    Post { p: Id },

    /// `io.open`: a source of type `what` was registered.
    IoOpen { i: Id, what: &'static str },
    /// `io.want`: its interest changed.
    IoWant { i: Id, r: bool, w: bool },
    /// `io.ready`: the system says it is ready.
    IoReady { i: Id, r: bool, w: bool, hup: bool },
    /// `io.close`: it was removed.
    IoClose { i: Id },

    /// `work.queue`: a job was given to the worker pool.
    WorkQueue { w: Id },
    /// `work.done`: its result is back on the loop.
    WorkDone { w: Id },

    /// `d.new`: a Deferred of type `ty` was made. `late`: it existed before the recording.
    DNew { d: Id, ty: &'static str, late: bool },
    /// `d.name`: it was given a name (the event's label).
    DName { d: Id },
    /// `d.add`: step `n` was added, with a callback (`ok`), an errback (`err`) or both. `late`: it had fired.
    DAdd { d: Id, n: u32, ok: bool, err: bool, late: bool, name: String },
    /// `d.fire`: it was given its result.
    DFire { d: Id, val: Val },
    /// `d.step`: step `n` starts, with `val`, on `lane`.
    DStep { d: Id, n: u32, lane: Lane, val: Val },
    /// `d.ret`: that step is over with `val`, or gave back the Deferred `inner`.
    DRet { d: Id, n: u32, b: EventNumber, val: Option<Val>, inner: Option<Id> },
    /// `d.pass`: step `n` has nothing for this lane and is passed by.
    DPass { d: Id, n: u32, lane: Lane },
    /// `d.pause`: the chain waits for `on`.
    DPause { d: Id, on: Id },
    /// `d.resume`: what it waited for, `from`, gave it `val`.
    DResume { d: Id, from: Id, val: Val },
    /// `d.cancel`: somebody asked to cancel it.
    DCancel { d: Id, how: Cancel },
    /// `canceller.begin`
    CancellerBegin { d: Id },
    /// `canceller.end`: `fired` tells whether the canceller fired the Deferred itself.
    CancellerEnd { b: EventNumber, fired: bool, out: Out },
    /// `d.swallow`: a result that came after a cancel was thrown away.
    DSwallow { d: Id },
    /// `d.take`: the program took its result out of it.
    DTake { d: Id },
    /// `d.drop`: the consuming end was dropped; `pending` tells whether the chain goes on by itself.
    DDrop { d: Id, pending: bool },

    /// `x.spawn`: a task was spawned, or met for the first time.
    XSpawn { x: Id },
    /// `x.poll`: it is polled, for the `n`th time in this recording (from 0).
    XPoll { x: Id, n: u32 },
    /// `x.ret`: that poll is over.
    XRet { b: EventNumber, ready: bool },
    /// `x.wait`: it awaits `on` (`None`: something without an id).
    XWait { x: Id, on: Option<Id> },
    /// `x.wake`: it was woken; `own` tells whether by itself.
    XWake { x: Id, own: bool },
    /// `x.drop`: it is gone; `ready` tells whether it had come to its end.
    XDrop { x: Id, ready: bool },

    /// `f.new`: a failure was raised.
    FNew { f: Id, msg: String, via: Via },
    /// `f.moved`: from one Deferred to the one that waited for it.
    FMoved { f: Id, from: Id, to: Id },
    /// `f.replaced`: an errback that had it raised another.
    FReplaced { f: Id, by: Id },
    /// `f.handled`: by step `n` of `d`.
    FHandled { f: Id, d: Id, n: u32 },
    /// `f.resting`: the chain ended with it; no errback yet.
    FResting { f: Id, d: Id },
    /// `f.lost`: nobody can handle it any more.
    FLost { f: Id, d: Id },
}

impl Kind {
    /// For the end of a frame: the number of its begin event.
    pub fn begin(&self) -> Option<EventNumber> {
        match *self {
            Kind::PollEnd { b, .. }
            | Kind::CbEnd { b, .. }
            | Kind::TurnEnd { b, .. }
            | Kind::DRet { b, .. }
            | Kind::XRet { b, .. }
            | Kind::CancellerEnd { b, .. } => Some(b),
            _ => None,
        }
    }

    pub(super) fn begin_mut(&mut self) -> Option<&mut EventNumber> {
        match self {
            Kind::PollEnd { b, .. }
            | Kind::CbEnd { b, .. }
            | Kind::TurnEnd { b, .. }
            | Kind::DRet { b, .. }
            | Kind::XRet { b, .. }
            | Kind::CancellerEnd { b, .. } => Some(b),
            _ => None,
        }
    }
}

/// One entry of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number, from 1. Every reference in an event is to a smaller number.
    pub s: EventNumber,
    /// Nanoseconds on the loop's clock (without a loop: since the recording started). Never less than before.
    pub t: u64,
    /// The loop's turn, counted in this recording; 0 before the first.
    pub turn: u32,
    /// `in`: the frame that runs, that is, the begin event called from. 0 for none.
    pub frame: EventNumber,
    /// Woken by this event. 0 for none.
    pub cause: EventNumber,
    /// Registered at this event. 0 for none.
    pub reg: EventNumber,
    /// The line of the program that did it.
    pub at: Option<Place>,
    /// The name a person gave.
    pub label: Option<Rc<str>>,
    /// What happened.
    pub kind: Kind,
}

impl Event {
    /// The event that explains this one best: the one that woke it; for the end of a frame its begin; else the frame
    /// it was called from. 0 when nothing in the trace does: the setup of the program, or a wait that was over.
    pub fn because(&self) -> EventNumber {
        match self.cause {
            0 => self.kind.begin().unwrap_or(self.frame),
            cause => cause,
        }
    }
}
