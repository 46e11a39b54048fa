//! The trace: what every floor tells about what it does.
//!
//! A run is one append-only list of [`Event`]s. Each event has a number `s` (1, 2, 3, ..), and up to three links to
//! earlier events: `frame` (called from), `cause` (woken by) and `reg` (registered at). Everything that shows a run is
//! a fold of that list; nothing is executed again.
//!
//! The current recorder sits in a thread-local slot. When nothing records, a site costs one load and one branch
//! ([`on`]). Ids are small numbers, given at first sight and counted for each run: a Deferred gets `d1`, a timer `m1`,
//! a source `i1`, a posted call `p1`, a job `w1`, a failure `f1`.
//!
//! A recorder is the user's code: it is called with nothing borrowed, and events made from inside it are left out.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Instant;

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
}

impl Object {
    /// The letter that stands before the number: `d`, `f`, `m`, `i`, `p` or `w`.
    pub const fn letter(self) -> char {
        match self {
            Object::Deferred => 'd',
            Object::Failure => 'f',
            Object::Timer => 'm',
            Object::Source => 'i',
            Object::Post => 'p',
            Object::Work => 'w',
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
    fn get(self, run: u32) -> Option<u32> {
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
    /// `d.drop`: the consuming end was dropped; `pending` tells whether the chain goes on by itself.
    DDrop { d: Id, pending: bool },

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

/// One entry of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number, from 1. Every reference in an event is to a smaller number.
    pub s: EventNumber,
    /// Nanoseconds on the loop's clock (without a loop: since the recording started).
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

/// Somebody who takes events in, in order.
///
/// Called with nothing borrowed. Events made from inside `event` are not recorded.
pub trait Recorder {
    /// Takes one event in.
    fn event(&mut self, event: &Event);
}

/// What the library fills in; the rest is filled in by the slot.
#[derive(Debug, Default)]
pub(crate) struct Links<'a> {
    pub(crate) cause: EventNumber,
    pub(crate) reg: EventNumber,
    pub(crate) at: Option<Place>,
    pub(crate) label: Option<&'a str>,
}

struct Current {
    run: u32,
    next: Cell<EventNumber>,
    turn: Cell<u32>,
    ids: [Cell<u32>; 6],
    frames: RefCell<Vec<EventNumber>>,
    started: Instant,
    sink: RefCell<Option<Box<dyn Recorder>>>,
    clock: RefCell<Option<Rc<dyn Fn() -> u64>>>,
}

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
    static RUNS: Cell<u32> = const { Cell::new(0) };
    static CURRENT: RefCell<Option<Rc<Current>>> = const { RefCell::new(None) };
}

/// Whether somebody records on this thread: one load.
#[inline(always)]
pub(crate) fn on() -> bool {
    ON.get()
}

fn current() -> Option<Rc<Current>> {
    CURRENT.try_with(|c| c.borrow().clone()).ok().flatten()
}

/// The id of an object, and whether it was given just now. `None` when nothing records.
pub(crate) fn id(slot: &Cell<IdSlot>, object: Object) -> Option<(Id, bool)> {
    let current = current()?;
    if let Some(n) = slot.get().get(current.run) {
        return Some((Id(object, n), false));
    }
    let count = &current.ids[object as usize];
    count.set(count.get() + 1);
    slot.set(IdSlot(u64::from(current.run) << 32 | u64::from(count.get())));
    Some((Id(object, count.get()), true))
}

/// Records one event and answers its number; 0 when nothing records.
pub(crate) fn emit(kind: Kind, links: Links<'_>) -> EventNumber {
    let Some(current) = current() else { return 0 };
    // Taken out of its slot: whoever is called below may emit again, and is then left out.
    let Some(mut sink) = current.sink.borrow_mut().take() else {
        return 0;
    };
    let s = current.next.get();
    current.next.set(s + 1);
    if let Kind::TurnBegin { .. } = kind {
        current.turn.set(current.turn.get() + 1);
    }
    let clock = current.clock.borrow().clone();
    let t = match clock {
        Some(clock) => clock(),
        None => u64::try_from(current.started.elapsed().as_nanos()).unwrap_or(u64::MAX),
    };
    let frame = match kind {
        // The end of a frame belongs to the frame around it.
        Kind::TurnEnd { .. } | Kind::CbEnd { .. } | Kind::DRet { .. } | Kind::CancellerEnd { .. } => {
            let frames = current.frames.borrow();
            frames.len().checked_sub(2).map_or(0, |i| frames[i])
        }
        _ => current.frames.borrow().last().copied().unwrap_or(0),
    };
    // An event of an earlier run, or one the recorder left out, is no link.
    let known = |n: EventNumber| if n < s { n } else { 0 };
    let event = Event {
        s,
        t,
        turn: current.turn.get(),
        frame,
        cause: known(links.cause),
        reg: known(links.reg),
        at: links.at,
        label: links.label.map(Rc::from),
        kind,
    };
    sink.event(&event);
    *current.sink.borrow_mut() = Some(sink);
    s
}

/// An open frame: a begin event whose end is still to come. Events emitted meanwhile are "called from" it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Frame {
    /// The number of the begin event.
    pub(crate) b: EventNumber,
}

impl Frame {
    /// Records a begin event and opens its frame. A frame of number 0 is one that nobody records.
    pub(crate) fn open(kind: Kind, links: Links<'_>) -> Frame {
        let b = emit(kind, links);
        if b != 0
            && let Some(current) = current()
        {
            current.frames.borrow_mut().push(b);
        }
        Frame { b }
    }

    /// Records the end event that `kind` makes of the begin event's number, and closes the frame.
    pub(crate) fn close(self, kind: impl FnOnce(EventNumber) -> Kind, links: Links<'_>) -> EventNumber {
        if self.b == 0 {
            return 0;
        }
        let Some(current) = current() else { return 0 };
        if current.frames.borrow().last() != Some(&self.b) {
            return 0; // opened in another recording
        }
        let s = emit(kind(self.b), links);
        current.frames.borrow_mut().pop();
        s
    }
}

/// The frame that runs now; 0 for none. What is registered now can name it as its reason.
pub(crate) fn frame() -> EventNumber {
    current().map_or(0, |c| c.frames.borrow().last().copied().unwrap_or(0))
}

/// Gives the recording the loop's clock (nanoseconds) for as long as the answer lives.
pub(crate) fn set_clock(clock: Option<Rc<dyn Fn() -> u64>>) -> Option<Rc<dyn Fn() -> u64>> {
    let current = current()?;
    current.clock.replace(clock)
}

/// Writes a remark into the trace; nothing happens when nobody records.
#[track_caller]
pub fn note(msg: impl Into<String>) {
    if on() {
        let at = Some(Location::caller());
        emit(Kind::Note { msg: msg.into() }, Links { at, ..Links::default() });
    }
}

/// Records what `f` does on this thread with `recorder`, and gives the recorder back with the result.
///
/// A recording inside a recording replaces the outer one until it ends.
pub fn record_with<R: Recorder + 'static, T>(recorder: R, f: impl FnOnce() -> T) -> (T, R) {
    struct Shared<R>(Rc<RefCell<Option<R>>>);
    impl<R: Recorder> Recorder for Shared<R> {
        fn event(&mut self, event: &Event) {
            // Taken out while it runs, so that nothing of ours is borrowed while the user's code is.
            let taken = self.0.borrow_mut().take();
            if let Some(mut recorder) = taken {
                recorder.event(event);
                *self.0.borrow_mut() = Some(recorder);
            }
        }
    }
    struct Restore(Option<Rc<Current>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let before = self.0.take();
            ON.set(before.is_some());
            let ended = CURRENT.with(|c| c.replace(before));
            drop(ended);
        }
    }

    let run = RUNS.get() + 1;
    RUNS.set(run);
    let shared = Rc::new(RefCell::new(Some(recorder)));
    let next = Rc::new(Current {
        run,
        next: Cell::new(1),
        turn: Cell::new(0),
        ids: Default::default(),
        frames: RefCell::default(),
        started: Instant::now(),
        sink: RefCell::new(Some(Box::new(Shared(shared.clone())))),
        clock: RefCell::default(),
    });
    let restore = Restore(CURRENT.with(|c| c.replace(Some(next))));
    ON.set(true);
    let value = f();
    drop(restore);
    let recorder = shared.borrow_mut().take();
    (value, recorder.expect("the recorder is back in its slot once nothing records"))
}

/// A finished recording in memory.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    events: Vec<Event>,
    limit: usize,
    dropped: u64,
}

impl Trace {
    /// The most events that [`record`] keeps: 1,000,000 (about 150 MB); what comes after is counted, not kept.
    pub const LIMIT: usize = 1_000_000;

    /// A recorder that keeps at most `limit` events and counts the rest.
    pub fn with_limit(limit: usize) -> Trace {
        Trace { limit, ..Trace::default() }
    }

    /// The events in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// How many events found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl Recorder for Trace {
    fn event(&mut self, event: &Event) {
        if self.events.len() < self.limit {
            self.events.push(event.clone());
        } else {
            self.dropped += 1;
        }
    }
}

/// Records what `f` does on this thread in memory.
///
/// ```
/// use ropewalk::{Deferred, trace};
///
/// let ((), trace) = trace::record(|| {
///     Deferred::succeed(1).add_callback(|n| Ok(n + 1));
/// });
/// assert!(!trace.events().is_empty());
/// ```
pub fn record<T>(f: impl FnOnce() -> T) -> (T, Trace) {
    record_with(Trace::with_limit(Trace::LIMIT), f)
}

/// A value as text, for the types everybody uses; for others the type's name in angle brackets.
///
/// At most 80 characters; control characters are escaped.
pub(crate) fn preview<T: 'static>(value: &T) -> String {
    use std::any::{Any, type_name};
    let any: &dyn Any = value;
    macro_rules! debug {
        ($($t:ty),*) => { $( if let Some(v) = any.downcast_ref::<$t>() { return cut(format!("{v:?}")); } )* };
    }
    debug!((), bool, char, i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize, f32, f64);
    if let Some(v) = any.downcast_ref::<String>() {
        return cut(format!("{:?}", v.chars().take(80).collect::<String>()));
    }
    if let Some(v) = any.downcast_ref::<&'static str>() {
        return cut(format!("{:?}", v.chars().take(80).collect::<String>()));
    }
    if let Some(v) = any.downcast_ref::<Vec<u8>>() {
        return format!("<{} bytes>", v.len());
    }
    cut(format!("<{}>", type_name::<T>()))
}

fn cut(text: String) -> String {
    if text.chars().count() <= 80 {
        return text;
    }
    let mut short: String = text.chars().take(77).collect();
    short.push_str("...");
    short
}
