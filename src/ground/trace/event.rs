//! What a recorder is told: the event, and the ids, places, values and words in it. Its kinds are in `kind`.

use super::field::words;
use super::kind::Kind;
use std::fmt;
use std::panic::Location;

/// A place in the source of this program: file, line and column.
pub type Place = &'static Location<'static>;

/// The number of an event in its run. 0 stands for "none".
pub type EventNumber = u32;

/// A place as an event tells it: of this program, or of the one whose trace was read from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct At<'t> {
    file: &'t str,
    line: u32,
    column: u32,
}

impl<'t> At<'t> {
    /// A place; lines and columns count from 1.
    pub const fn new(file: &'t str, line: u32, column: u32) -> At<'t> {
        At { file, line, column }
    }

    /// The path of the file, as the compiler was given it.
    pub const fn file(self) -> &'t str {
        self.file
    }

    /// The line, from 1.
    pub const fn line(self) -> u32 {
        self.line
    }

    /// The column, from 1.
    pub const fn column(self) -> u32 {
        self.column
    }
}

impl From<Place> for At<'static> {
    #[inline]
    fn from(place: Place) -> At<'static> {
        At { file: place.file(), line: place.line(), column: place.column() }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

words! {
    /// The lane of a chain that a value travels on.
    Lane {
        /// The callbacks' lane.
        Ok = "c",
        /// The errbacks' lane.
        Err = "e",
    }
}

words! {
    /// For which lanes a step has a function.
    Lanes {
        /// A callback.
        Callback = "c-",
        /// An errback.
        Errback = "-e",
        /// Both.
        Both = "ce",
    }
}

impl Lanes {
    pub(crate) const fn of(callback: bool, errback: bool) -> Lanes {
        match (callback, errback) {
            (_, false) => Lanes::Callback,
            (false, true) => Lanes::Errback,
            (true, true) => Lanes::Both,
        }
    }

    /// Whether there is a callback.
    pub const fn ok(self) -> bool {
        !matches!(self, Lanes::Errback)
    }

    /// Whether there is an errback.
    pub const fn err(self) -> bool {
        !matches!(self, Lanes::Callback)
    }
}

/// The kind of object an [`Id`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    /// `g`: a group: a list of Deferreds that are waited for together.
    Group,
}

impl Object {
    /// All of them.
    pub const ALL: [Object; 8] = [
        Object::Deferred,
        Object::Failure,
        Object::Timer,
        Object::Source,
        Object::Post,
        Object::Work,
        Object::Task,
        Object::Group,
    ];

    /// The letter that stands before the number: `d`, `f`, `m`, `i`, `p`, `w`, `x` or `g`.
    pub const fn letter(self) -> char {
        match self {
            Object::Deferred => 'd',
            Object::Failure => 'f',
            Object::Timer => 'm',
            Object::Source => 'i',
            Object::Post => 'p',
            Object::Work => 'w',
            Object::Task => 'x',
            Object::Group => 'g',
        }
    }
}

/// The name of an object in a trace, such as `d3`. Counted for each run and kind from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub Object, pub u32);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0.letter(), self.1)
    }
}

/// The text was no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnId;

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an id: it is one of the letters d, f, m, i, p, w, x, g and a number, such as d3")
    }
}

impl std::error::Error for NotAnId {}

impl std::str::FromStr for Id {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Id, NotAnId> {
        let letter = text.chars().next().ok_or(NotAnId)?;
        let object = Object::ALL.into_iter().find(|object| object.letter() == letter).ok_or(NotAnId)?;
        let digits = &text[1..];
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotAnId);
        }
        digits.parse().map(|n| Id(object, n)).map_err(|_| NotAnId)
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Val<'t> {
    /// A value.
    Ok {
        /// Its preview, at most 80 characters; or its type's name in angle brackets.
        text: &'t str,
        /// Its type's name.
        ty: &'t str,
    },
    /// A failure, by its id.
    Err(Id),
}

impl Val<'_> {
    /// The lane on which such a value travels.
    pub fn lane(&self) -> Lane {
        match self {
            Val::Ok { .. } => Lane::Ok,
            Val::Err(_) => Lane::Err,
        }
    }
}

/// A source, and what it is watched for, or ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The source.
    pub i: Id,
    /// To be read.
    pub r: bool,
    /// To be written.
    pub w: bool,
}

/// What a read or a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gave {
    /// So many bytes.
    Bytes(u64),
    /// Nothing now: try again when it is ready.
    Again,
    /// The end: there will be nothing more.
    Eof,
    /// The system's error number.
    Errno(u32),
}

words! {
    /// How a callback of the loop, a job or a canceller ended.
    Out {
        /// It returned.
        Ok = "ok",
        /// It returned an error.
        Err = "err",
        /// It panicked.
        Panic = "panic",
    }
}

words! {
    /// Which queue of the loop a callback came from.
    Slot {
        /// Queued by `call_soon`.
        Soon = "soon",
        /// Posted from another thread, or a message of a channel.
        Post = "post",
        /// A source that is ready, or ready to be read.
        Ready = "read",
        /// A source that is ready to be written.
        Write = "write",
        /// A listener with connections to accept.
        Accept = "accept",
        /// A due timer.
        Timer = "timer",
        /// A finished job of the worker pool.
        Work = "work",
        /// A start-up or shutdown trigger.
        Trigger = "setup",
        /// A woken task.
        Task = "task",
    }
}

words! {
    /// What ended a wait.
    Woke {
        /// A source is ready.
        Io = "io",
        /// A timer is due.
        Timer = "timer",
        /// A call from another thread.
        Post = "post",
        /// A job of the worker pool.
        Work = "work",
        /// There was something to do at once: it did not wait.
        Now = "now",
    }
}

words! {
    /// How a `cancel` was answered.
    Cancel {
        /// The canceller is asked.
        Canceller = "canceller",
        /// There is no canceller: the chain fails now, and one late result will be swallowed.
        NoCanceller = "none",
        /// Passed on to the Deferred that the chain waits for.
        Forward = "forward",
        /// Too late: the chain runs or has its result.
        TooLate = "too late",
    }
}

words! {
    /// How a failure came to be.
    Via {
        /// Given to a `Resolver`, or to `Deferred::fail`.
        Fail = "errback",
        /// Returned as `Err` by a step.
        Err = "err",
        /// A step panicked.
        Panic = "panic",
        /// The chain was cancelled.
        Cancel = "cancel",
        /// The `Resolver` was dropped unfired.
        Abandoned = "abandoned",
        /// It took too long.
        Timeout = "timeout",
        /// The system said so.
        Io = "io",
        /// It came from a job on another thread.
        Thread = "thread",
    }
}

words! {
    /// Why a failure is lost.
    Loss {
        /// What could have handled it was dropped.
        Dropped = "dropped",
        /// The loop ended.
        LoopEnd = "loop end",
    }
}

words! {
    /// What a group waits for.
    Mode {
        /// All members, whatever comes of them.
        All = "all",
        /// The first member with a result.
        First = "first",
        /// All members, or the first that fails.
        FailFast = "fail fast",
    }
}

words! {
    /// Where the program wrote something.
    Stream {
        /// Standard output.
        Stdout = "stdout",
        /// Standard error.
        Stderr = "stderr",
    }
}

words! {
    /// Why a recording ended.
    Ending {
        /// The loop was stopped.
        Stopped = "stopped",
        /// Nothing was left that could wake the loop.
        Idle = "idle",
        /// A panic.
        Panic = "panic",
        /// The loop could not go on: the system refused to wait.
        Failed = "failed",
        /// What was to be recorded was over.
        Done = "done",
    }
}

words! {
    /// What a poll of a task came to.
    Polled {
        /// It waits for something.
        Pending = "pending",
        /// It is over.
        Ready = "ready",
    }
}

words! {
    /// Where a chain stood when its consuming end was dropped.
    Dropped {
        /// It had no result yet.
        Pending = "pending",
        /// It had its result, which is dropped.
        Fired = "fired",
    }
}

/// What was left at the end of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Open {
    /// Deferreds that were never fired.
    pub d: u32,
    /// Timers that were not due.
    pub m: u32,
    /// Sources that were registered.
    pub i: u32,
    /// Tasks that were not over.
    pub x: u32,
}

words! {
    /// Whose time the times of a trace are.
    ClockKind {
        /// A clock that jumps from one thing to the next.
        Virtual = "virtual",
        /// The system's clock, which stands while a person looks.
        Frozen = "frozen",
        /// The system's clock.
        Real = "real",
    }
}

/// One entry of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'t> {
    /// Its number, from 1. Every reference in an event is to a smaller number.
    pub s: EventNumber,
    /// Nanoseconds on the loop's clock (without a loop: since the recording started). Never less than before.
    pub t: u64,
    /// Nanoseconds of the system's clock since the recording started, where the loop's clock is another.
    pub wall: Option<u64>,
    /// The loop's turn, counted in this recording; 0 before the first.
    pub turn: u32,
    /// The worker thread on which it happened, from 1. `None` is the loop's thread.
    pub th: Option<u32>,
    /// `in`: the frame that runs, that is, the begin event called from. 0 for none.
    pub frame: EventNumber,
    /// Woken by this event. 0 for none.
    pub cause: EventNumber,
    /// Registered at this event. 0 for none.
    pub reg: EventNumber,
    /// The line of the program that did it.
    pub at: Option<At<'t>>,
    /// The name a person gave.
    pub label: Option<&'t str>,
    /// Whether the library did it for itself: no step of the program.
    pub sys: bool,
    /// What happened.
    pub kind: Kind<'t>,
}

impl<'t> Event<'t> {
    /// An event with nothing but a number and a kind.
    pub const fn new(s: EventNumber, kind: Kind<'t>) -> Event<'t> {
        Event {
            s,
            t: 0,
            wall: None,
            turn: 0,
            th: None,
            frame: 0,
            cause: 0,
            reg: 0,
            at: None,
            label: None,
            sys: false,
            kind,
        }
    }

    /// The event that explains this one best: the one that woke it; for the end of a frame its begin; else the frame
    /// it was called from. 0 when nothing in the trace does: the setup of the program, or a wait that was over.
    pub fn because(&self) -> EventNumber {
        match self.cause {
            0 => self.kind.begin().unwrap_or(self.frame),
            cause => cause,
        }
    }

    /// How much detail it is: 1 what a lesson shows, 2 more, 3 what the library does for itself.
    pub fn level(&self) -> u8 {
        if self.sys { 3 } else { self.kind.level() }
    }
}

/// What a trace says of its run as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'t> {
    /// The program.
    pub prog: &'t str,
    /// The library that wrote it, with its version.
    pub lib: &'t str,
    /// Whose time the times are.
    pub clock: ClockKind,
    /// The program's arguments.
    pub args: &'t [&'t str],
}

/// The number of the form that is written and read here.
pub const VERSION: u32 = 1;
