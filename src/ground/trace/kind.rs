//! The kinds of events: one table, from which the type, its names, and all ways to write and read it are made.

use super::event::{
    Asked, Cancel, Dropped, Ending, EventNumber, Gave, Id, Lane, Lanes, Loss, Mode, Open, Out, Polled, Slot,
    Stream, Val, Via, Woke,
};
use super::field::{Field, Get, Put};
use super::packed::fits;

macro_rules! key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $level:literal {
        $($field:ident $(as $key:literal)? : $ty:ty),* $(,)?
    })*) => {
        /// What happened. The names are those of the trace's file format (`d.new` is [`Kind::DNew`]).
        ///
        /// `b` in an end event is the number of its begin event. Times are in nanoseconds. `late` marks what existed
        /// before the recording and is met for the first time. The steps of a chain, `n`, count from 0.
        ///
        /// ```
        /// use ropewalk::trace::{self, Kind, Val};
        /// use ropewalk::{Deferred, testing::success_of};
        ///
        /// let (_, trace) = trace::record(|| success_of(Deferred::succeed(6).map(|n| n * 7)));
        /// let names: Vec<_> = trace.events().map(|event| event.kind.name()).collect();
        /// assert_eq!(names, ["d.new", "d.fire", "d.add", "d.step", "d.ret", "d.take", "end"]);
        /// let step = trace.nth(3).unwrap();
        /// assert!(matches!(step.kind, Kind::DStep { n: 0, val: Val::Ok { text: "6", .. }, .. }));
        /// assert!(step.kind.opens_frame() && step.kind.is_gate());
        /// assert_eq!(trace.nth(4).unwrap().kind.begin(), Some(step.s));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        #[allow(missing_docs)] // The fields are what the variant's sentence says.
        pub enum Kind<'t> {
            $($(#[$doc])* $name { $($field: $ty),* },)*
        }

        /// A kind without its fields.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Code { $($name),* }

        impl Code {
            const ALL: &'static [Code] = &[$(Code::$name),*];

            pub(super) fn new(code: u8) -> Option<Code> {
                Code::ALL.get(usize::from(code)).copied()
            }

            pub(super) fn named(name: &str) -> Option<Code> {
                match name {
                    $($word => Some(Code::$name),)*
                    _ => None,
                }
            }
        }

        impl<'t> Kind<'t> {
            /// The names of all kinds that this version knows.
            ///
            /// ```
            /// assert!(ropewalk::trace::Kind::NAMES.contains(&"d.new"));
            /// ```
            pub const NAMES: &'static [&'static str] = &[$($word),*];

            /// Its name in a trace file: `d.new`.
            pub const fn name(&self) -> &'static str {
                match self { $(Kind::$name { .. } => $word),* }
            }

            /// How much detail it is: 1 what a lesson shows, 2 more, 3 what the library does for itself.
            pub const fn level(&self) -> u8 {
                match self { $(Kind::$name { .. } => $level),* }
            }

            pub(super) const fn code(&self) -> Code {
                match self { $(Kind::$name { .. } => Code::$name),* }
            }

            /// A packed row has room for the small fields of each kind.
            const FITS: () = {
                $(assert!(fits(0 $(+ <$ty as Field<'t>>::BITS)*), $word);)*
            };

            #[cfg_attr(not(debug_assertions), inline(always))]
            pub(super) fn put(&self, to: &mut impl Put) {
                let () = Self::FITS;
                match *self {
                    $(Kind::$name { $($field),* } => { $($field.put(key!($field $($key)?), to);)* })*
                }
            }

            #[inline]
            pub(super) fn get(code: Code, from: &mut impl Get<'t>) -> Option<Kind<'t>> {
                Some(match code {
                    $(Code::$name => Kind::$name { $($field: Field::get(key!($field $($key)?), from)?),* },)*
                })
            }
        }
    };
}

kinds! {
    /// `note`: a remark of the program.
    Note = "note", 1 { msg: &'t str }
    /// `ask`: a question to the reader of a lesson, with its answer.
    Ask = "ask", 1 { q: &'t str, answer: &'t str }
    /// `out`: the program wrote `text`.
    Out = "out", 1 { text: &'t str, stream: Stream }
    /// `gate`: the program was held for `held_w` nanoseconds of the system's clock, while somebody looked.
    Gate = "gate", 1 { why: &'t str, held_w: u64 }
    /// `drop`: the recorder had no room for `n` events here.
    Drop = "drop", 1 { n: u64 }
    /// `end`: the recording is over; `open` is what was left.
    End = "end", 1 { why: Ending, open: Open }

    /// `turn.begin`: the loop starts its turn `n`.
    TurnBegin = "turn.begin", 1 { n: u32 }
    /// `poll.begin`: the loop waits, at most `timeout` (`None`: no limit). `next` is the timer that would end the wait,
    /// `watch` what it watches: at most 64 sources.
    PollBegin = "poll.begin", 2 { timeout: Option<u64>, next: Option<Id>, watch: &'t [Asked] }
    /// `poll.end`: the wait took `waited`; `woke` ended it; `ready` is what is ready, at most 64 sources.
    PollEnd = "poll.end", 1 { b: EventNumber, waited: u64, woke: Woke, ready: &'t [Asked] }
    /// `cb.begin`: the loop calls a callback of `o`.
    CbBegin = "cb.begin", 1 { o: Option<Id>, slot: Slot }
    /// `cb.end`: that callback is over.
    CbEnd = "cb.end", 1 { b: EventNumber, out: Out }
    /// `turn.end`: the turn is over; it ran `ran` callbacks, which took `busy`.
    TurnEnd = "turn.end", 2 { b: EventNumber, ran: u32, busy: u64 }
    /// `loop.stop`: somebody asked the loop to stop.
    LoopStop = "loop.stop", 1 {}

    /// `timer.arm`: a timer was made; due at `due` on the loop's clock. `every`: the interval of a `LoopingCall`, which arms a new
    /// timer for each call. A timer that is met `late` does not tell it.
    TimerArm = "timer.arm", 1 { m: Id, due: u64, every: Option<u64>, late: bool }
    /// `timer.name`: it was given a name (the event's label).
    TimerName = "timer.name", 2 { m: Id }
    /// `timer.fire`: it is due, `late` after its time.
    TimerFire = "timer.fire", 1 { m: Id, late: u64 }
    /// `timer.cancel`
    TimerCancel = "timer.cancel", 1 { m: Id }
    /// `timer.reset`: it is now due at `due`.
    TimerReset = "timer.reset", 1 { m: Id, due: u64 }

    /// `post`: a call was queued. The event's `th` is the worker thread that posted it; a thread that is none of the
    /// pool's has no number (the callback's slot says that it came from another thread).
    Post = "post", 1 { p: Id, late: bool }

    /// `io.open`: a source of type `what` was registered. `name`: a listener's own address, a connection's peer, what a
    /// connector was asked for. A source that a program registers itself has none, only the event's label.
    IoOpen = "io.open", 1 { i: Id, what: &'t str, name: Option<&'t str>, late: bool }
    /// `io.want`: its interest changed.
    IoWant = "io.want", 2 { i: Id, r: bool, w: bool }
    /// `io.ready`: the system says it is ready.
    IoReady = "io.ready", 1 { i: Id, r: bool, w: bool, hup: bool }
    /// `io.read`: it was read.
    IoRead = "io.read", 1 { i: Id, n: Gave }
    /// `io.write`: `asked` bytes were written to it; it took some, and `left` are still to be written.
    IoWrite = "io.write", 1 { i: Id, asked: u64, took: Gave, left: u64 }
    /// `io.accept`: a listener accepted the connection `new`.
    IoAccept = "io.accept", 1 { i: Id, new: Id }
    /// `io.close`: it was removed.
    IoClose = "io.close", 1 { i: Id, why: Option<&'t str> }

    /// `flow.high`: `left` bytes wait to be written, more than `limit`.
    FlowHigh = "flow.high", 1 { i: Id, left: u64, limit: u64 }
    /// `flow.stop`: the producer `src` is asked to stop, because of `because`.
    FlowStop = "flow.stop", 1 { src: Option<Id>, because: Option<Id> }
    /// `flow.go`: the producer `src` may go on, because of `because`.
    FlowGo = "flow.go", 1 { src: Option<Id>, because: Option<Id> }
    /// `flow.low`: only `left` bytes wait to be written.
    FlowLow = "flow.low", 1 { i: Id, left: u64 }

    /// `work.queue`: a job was given to the worker pool.
    WorkQueue = "work.queue", 1 { w: Id, late: bool }
    /// `work.begin`: a worker thread starts it.
    WorkBegin = "work.begin", 1 { w: Id }
    /// `work.end`: that thread is done with it.
    WorkEnd = "work.end", 1 { w: Id, out: Out }
    /// `work.done`: its result is back on the loop.
    WorkDone = "work.done", 1 { w: Id }

    /// `d.new`: a Deferred of type `ty` was made. `of`: it brings what that one brings, which was shared.
    DNew = "d.new", 1 { d: Id, ty: &'t str, of: Option<Id>, late: bool }
    /// `d.name`: it was given a name (the event's label).
    DName = "d.name", 2 { d: Id }
    /// `d.add`: step `n` was added, with a callback, an errback or both, whose names by the compiler are these (a name
    /// that a person gave is the event's label). `late`: it had fired.
    DAdd = "d.add", 1 { d: Id, n: u32, lanes: Lanes, names: [&'t str; 2], late: bool }
    /// `d.fire`: it was given its result.
    DFire = "d.fire", 1 { d: Id, val: Val<'t> }
    /// `d.step`: step `n` starts, with `val`, on `lane`.
    DStep = "d.step", 1 { d: Id, n: u32, lane: Lane, val: Val<'t> }
    /// `d.ret`: that step is over with `val`, or gave back the Deferred `inner`.
    DRet = "d.ret", 1 { d: Id, n: u32, b: EventNumber, val: Option<Val<'t>>, inner: Option<Id> }
    /// `d.pass`: step `n` has nothing for this lane and is passed by.
    DPass = "d.pass", 1 { d: Id, n: u32, lane: Lane }
    /// `d.pause`: the chain waits for `on`.
    DPause = "d.pause", 1 { d: Id, on: Id }
    /// `d.resume`: what it waited for, `from`, gave it `val`.
    DResume = "d.resume", 1 { d: Id, from: Id, val: Val<'t> }
    /// `d.cancel`: somebody asked to cancel it. `to`: the Deferred it is passed on to.
    DCancel = "d.cancel", 1 { d: Id, how: Cancel, to: Option<Id> }
    /// `canceller.begin`
    CancellerBegin = "canceller.begin", 1 { d: Id }
    /// `canceller.end`: `fired` tells whether the canceller fired the Deferred itself.
    CancellerEnd = "canceller.end", 1 { b: EventNumber, fired: bool, out: Out }
    /// `d.swallow`: a result that came after a cancel was thrown away.
    DSwallow = "d.swallow", 1 { d: Id, val: Option<Val<'t>> }
    /// `d.timeout`: it has `after` nanoseconds for its result; the timer `m` will cancel it.
    DTimeout = "d.timeout", 1 { d: Id, after: u64, m: Id }
    /// `d.take`: the program took its result out of it.
    DTake = "d.take", 2 { d: Id }
    /// `d.drop`: the consuming end was dropped. A pending chain goes on by itself; `left` of its steps have not run.
    DDrop = "d.drop", 2 { d: Id, state: Dropped, left: u32 }

    /// `g.new`: a group waits for the members `of`; its own result is the Deferred `d`.
    GNew = "g.new", 1 { g: Id, mode: Mode, of: &'t [Id], d: Id }
    /// `g.got`: member `i` (from 0) has its result.
    GGot = "g.got", 1 { g: Id, i: u32, lane: Lane }

    /// `f.new`: a failure was raised, of type `ty`. `via`: how; `io` where the error, or one of its sources, is an
    /// `io::Error`.
    FNew = "f.new", 1 { f: Id, ty: &'t str, msg: &'t str, via: Via }
    /// `f.moved`: from one Deferred to the one that waited for it.
    FMoved = "f.moved", 1 { f: Id, from: Id, to: Id }
    /// `f.replaced`: an errback that had it raised another.
    FReplaced = "f.replaced", 1 { f: Id, by: Id }
    /// `f.handled`: by step `n` of `d`.
    FHandled = "f.handled", 1 { f: Id, d: Id, n: u32 }
    /// `f.resting`: the chain ended with it; no errback yet.
    FResting = "f.resting", 1 { f: Id, d: Id }
    /// `f.lost`: nobody can handle it any more.
    FLost = "f.lost", 1 { f: Id, d: Id, why: Loss }

    /// `x.spawn`: a task was spawned.
    XSpawn = "x.spawn", 1 { x: Id, late: bool }
    /// `x.poll`: it is polled, for the `n`th time in this recording (from 0).
    XPoll = "x.poll", 1 { x: Id, n: u32 }
    /// `x.ret`: that poll is over, and with `ready` the task, which came to `val`.
    XRet = "x.ret", 1 { b: EventNumber, out: Polled, val: Option<Val<'t>> }
    /// `x.wait`: it awaits `on` (`None`: something without an id).
    XWait = "x.wait", 1 { x: Id, on: Option<Id> }
    /// `x.wake`: it was woken by `by`, whose callback the loop calls (`None`: outside of callbacks, or from another
    /// thread); `own` tells whether by itself.
    XWake = "x.wake", 1 { x: Id, by: Option<Id>, own as "self": bool }
    /// `x.drop`: it is gone; `state` tells whether it had come to its end.
    XDrop = "x.drop", 1 { x: Id, state: Polled }
    /// `waker.clone`: at the end of a poll somebody keeps a waker of it.
    WakerClone = "waker.clone", 3 { x: Id }
    /// `waker.drop`: nobody keeps a waker of it any more. Seen at the end of a poll, and when the loop has nothing left
    /// to wait for.
    WakerDrop = "waker.drop", 3 { x: Id }
}

impl Kind<'_> {
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

    /// Whether it opens a frame: what comes until its end is called from it. A wait is no frame; nothing runs in it.
    pub fn opens_frame(&self) -> bool {
        matches!(
            self,
            Kind::TurnBegin { .. }
                | Kind::CbBegin { .. }
                | Kind::DStep { .. }
                | Kind::XPoll { .. }
                | Kind::CancellerBegin { .. }
        )
    }
}
