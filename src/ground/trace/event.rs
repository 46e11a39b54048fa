//! What a recorder is told: the event, and the ids, places, values and words in it. Its kinds are in `kind`.

use super::field::words;
use super::kind::Kind;
use std::fmt;
use std::panic::Location;

/// A place in the source of this program: file, line and column.
///
/// ```
/// use ropewalk::trace::{At, Place};
///
/// let place: Place = std::panic::Location::caller();
/// assert_eq!(At::from(place).line(), place.line());
/// ```
pub type Place = &'static Location<'static>;

/// The number of an event in its run. 0 stands for "none".
pub type EventNumber = u32;

/// A place as an event tells it: of this program, or of the one whose trace was read from a file.
///
/// ```
/// use ropewalk::trace::{self, At};
///
/// let (line, trace) = trace::record(|| { trace::note("here"); line!() });
/// let at = trace.nth(0).unwrap().at.unwrap();
/// assert_eq!((at.file(), at.line()), (file!(), line));
///
/// let at = At::new("src/main.rs", 14, 9);
/// assert_eq!(at.to_string(), "src/main.rs:14:9");
/// assert_eq!(at.column(), 9);
/// ```
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
    ///
    /// ```
    /// use ropewalk::trace::{self, Kind, Lane};
    /// use ropewalk::{Deferred, Failure, testing::success_of};
    ///
    /// let no_poem = || Deferred::<i32>::fail(Failure::msg("no paper"));
    /// let (_, trace) = trace::record(|| success_of(no_poem().add_errback(|_| Ok(0)).map(|n| n + 1)));
    /// let lanes = trace.events().filter_map(|event| match event.kind {
    ///     Kind::DStep { lane, .. } => Some(lane),
    ///     _ => None,
    /// });
    /// assert_eq!(lanes.collect::<Vec<_>>(), [Lane::Err, Lane::Ok]);
    /// assert_eq!(Lane::Err.word(), "e");
    /// ```
    Lane {
        /// The callbacks' lane.
        Ok = "c",
        /// The errbacks' lane.
        Err = "e",
    }
}

words! {
    /// For which lanes a step has a function.
    ///
    /// ```
    /// use ropewalk::trace::{self, Kind, Lanes};
    /// use ropewalk::Deferred;
    ///
    /// let ((), trace) = trace::record(|| {
    ///     Deferred::succeed(1).map(|n| n + 1).add_errback(|_| Ok(0)).add_both(|result| result).detach();
    /// });
    /// let lanes = trace.events().filter_map(|event| match event.kind {
    ///     Kind::DAdd { lanes, .. } => Some(lanes),
    ///     _ => None,
    /// });
    /// assert_eq!(lanes.collect::<Vec<_>>(), [Lanes::Callback, Lanes::Errback, Lanes::Both]);
    /// assert!(Lanes::Both.ok() && Lanes::Both.err() && !Lanes::Callback.err());
    /// ```
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
///
/// ```
/// use ropewalk::trace::{Id, Object};
///
/// assert_eq!(Id(Object::Timer, 2).to_string(), "m2");
/// let letters: String = Object::ALL.iter().map(|object| object.letter()).collect();
/// assert_eq!(letters, "dfmipwxg");
/// ```
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
///
/// ```
/// use ropewalk::trace::{Id, Object};
///
/// let id: Id = "d3".parse()?;
/// assert_eq!(id, Id(Object::Deferred, 3));
/// assert_eq!(id.to_string(), "d3");
/// # Ok::<(), ropewalk::trace::NotAnId>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub Object, pub u32);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0.letter(), self.1)
    }
}

/// The text was no id.
///
/// ```
/// use ropewalk::trace::{Id, NotAnId};
///
/// assert_eq!("q3".parse::<Id>(), Err(NotAnId));
/// assert!("d".parse::<Id>().unwrap_err().to_string().starts_with("not an id: it is one of the letters d, f, "));
/// ```
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
///
/// ```
/// use ropewalk::trace::{self, Id, Kind, Lane, Object, Val};
/// use ropewalk::{Deferred, Failure, testing::success_of};
///
/// let (_, trace) = trace::record(|| {
///     success_of(Deferred::succeed("poem").map(str::len));
///     success_of(Deferred::<i32>::fail(Failure::msg("no paper")).add_errback(|_| Ok(0)));
/// });
/// let seen: Vec<Val<'_>> = trace.events().filter_map(|event| match event.kind {
///     Kind::DStep { val, .. } => Some(val),
///     _ => None,
/// }).collect();
/// assert_eq!(seen, [Val::Ok { text: "\"poem\"", ty: "&str" }, Val::Err(Id(Object::Failure, 1))]);
/// assert_eq!(seen[1].lane(), Lane::Err);
/// ```
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
///
/// ```
/// use ropewalk::trace::{Kind, Trace};
/// use ropewalk::{EventLoop, Interest};
/// use std::os::unix::net::UnixStream;
///
/// let event_loop = EventLoop::new()?;
/// let recording = event_loop.record(Trace::with_limit(100));
/// let (ours, theirs) = UnixStream::pair()?;
/// event_loop.register(ours, Interest::READ, |event_loop, _, _| event_loop.stop())?;
/// drop(theirs); // the end of what is to be read
/// event_loop.run()?;
/// let trace = recording.finish().expect("not from inside the recorder");
/// let watched = trace.events().find_map(|event| match event.kind {
///     Kind::PollBegin { watch, .. } => watch.first().copied(),
///     _ => None,
/// }).unwrap();
/// assert_eq!((watched.i, watched.r, watched.w), ("i1".parse()?, true, false));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// use ropewalk::trace::{Gave, Kind, Trace};
/// use ropewalk::{Protocol, testing::MemoryLoop};
///
/// struct Reader;
///
/// impl Protocol for Reader {}
///
/// let test = MemoryLoop::new()?;
/// let recording = test.record(Trace::with_limit(100));
/// let peer = test.connected(Reader);
/// peer.send("hello");
/// peer.send_end();
/// let trace = recording.finish().expect("not from inside the recorder");
/// let read = trace.events().filter_map(|event| match event.kind {
///     Kind::IoRead { n, .. } => Some(n),
///     _ => None,
/// });
/// assert_eq!(read.collect::<Vec<_>>(), [Gave::Bytes(5), Gave::Eof]);
/// # Ok::<(), std::io::Error>(())
/// ```
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
    ///
    /// ```
    /// use ropewalk::trace::{Kind, Out, Trace};
    /// use ropewalk::{EventLoop, Failure};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let recording = event_loop.record(Trace::with_limit(100));
    /// let job = event_loop.defer_to_thread(|| Err::<(), _>(Failure::msg("no disk")));
    /// assert!(event_loop.run_until(job).is_err());
    /// let trace = recording.finish().expect("not from inside the recorder");
    /// let is_job = |kind| matches!(kind, Kind::WorkEnd { out: Out::Err, .. });
    /// let is_callback = |kind| matches!(kind, Kind::CbEnd { out: Out::Ok, .. }); // it brought the result back
    /// assert!(trace.events().any(|event| is_job(event.kind)));
    /// assert!(trace.events().any(|event| is_callback(event.kind)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// use ropewalk::trace::{Kind, Slot, Trace};
    /// use ropewalk::{EventLoop, TestClock};
    /// use std::time::Duration;
    ///
    /// let event_loop = EventLoop::builder().clock(&TestClock::new()).build()?;
    /// let recording = event_loop.record(Trace::with_limit(100));
    /// event_loop.call_later(Duration::from_secs(1), |event_loop| event_loop.stop());
    /// event_loop.call_soon(|_| ());
    /// event_loop.run()?;
    /// let trace = recording.finish().expect("not from inside the recorder");
    /// let slots = trace.events().filter_map(|event| match event.kind {
    ///     Kind::CbBegin { slot, .. } => Some(slot),
    ///     _ => None,
    /// });
    /// assert_eq!(slots.collect::<Vec<_>>(), [Slot::Soon, Slot::Timer]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Slot {
        /// Queued by `call_soon`.
        Soon = "soon",
        /// Posted from another thread: a call, a message of a channel, the result of a job.
        Post = "post",
        /// A source that is ready, or ready to be read.
        Ready = "read",
        /// A source that is ready to be written.
        Write = "write",
        /// A listener with connections to accept.
        Accept = "accept",
        /// A due timer.
        Timer = "timer",
        /// A finished job of the worker pool. This version writes `Post` for it.
        Work = "work",
        /// A start-up or shutdown trigger.
        Trigger = "setup",
        /// A woken task.
        Task = "task",
    }
}

words! {
    /// What ended a wait.
    ///
    /// ```
    /// use ropewalk::EventLoop;
    /// use ropewalk::trace::{Kind, Trace, Woke};
    /// use std::time::Duration;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let recording = event_loop.record(Trace::with_limit(100));
    /// event_loop.call_later(Duration::from_millis(1), |event_loop| event_loop.stop());
    /// event_loop.run()?;
    /// let trace = recording.finish().expect("not from inside the recorder");
    /// let last = trace.events().rev().find_map(|event| match event.kind {
    ///     Kind::PollEnd { woke, .. } => Some(woke),
    ///     _ => None,
    /// });
    /// assert_eq!(last, Some(Woke::Timer));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Woke {
        /// A source is ready.
        Io = "io",
        /// A timer is due.
        Timer = "timer",
        /// A call from another thread, the result of a job, or a task that was woken.
        Post = "post",
        /// A job of the worker pool. This version writes `Post` for it.
        Work = "work",
        /// None of these. It only looked, because there was something to do at once; or its time limit was over.
        Now = "now",
    }
}

words! {
    /// How a `cancel` was answered.
    ///
    /// ```
    /// use ropewalk::trace::{self, Cancel, Kind};
    /// use ropewalk::{CancelledError, Deferred, testing::failure_of};
    ///
    /// let (failure, trace) = trace::record(|| {
    ///     let (_resolver, poem) = Deferred::<()>::new();
    ///     poem.cancel();
    ///     poem.cancel();
    ///     failure_of(poem)
    /// });
    /// assert!(failure.check::<CancelledError>().is_some());
    /// let answers = trace.events().filter_map(|event| match event.kind {
    ///     Kind::DCancel { how, .. } => Some(how),
    ///     _ => None,
    /// });
    /// assert_eq!(answers.collect::<Vec<_>>(), [Cancel::NoCanceller, Cancel::TooLate]);
    /// ```
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
    ///
    /// ```
    /// use ropewalk::trace::{self, Kind, Via};
    /// use ropewalk::{Deferred, Failure, testing::failure_of};
    ///
    /// let (_, trace) = trace::record(|| {
    ///     let poem = Deferred::<()>::fail(Failure::msg("no paper"));
    ///     failure_of(poem.add_errback(|_| Err(Failure::msg("no ink"))))
    /// });
    /// let raised = trace.events().filter_map(|event| match event.kind {
    ///     Kind::FNew { msg, via, .. } => Some((msg, via)),
    ///     _ => None,
    /// });
    /// assert_eq!(raised.collect::<Vec<_>>(), [("no paper", Via::Fail), ("no ink", Via::Err)]);
    /// ```
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
    ///
    /// ```
    /// use ropewalk::trace::{self, Kind, Loss};
    /// use ropewalk::{Deferred, Failure, testing::capture_unhandled};
    ///
    /// let unhandled = capture_unhandled();
    /// let ((), trace) = trace::record(|| Deferred::<()>::fail(Failure::msg("no paper")).detach());
    /// assert!(trace.events().any(|event| matches!(event.kind, Kind::FLost { why: Loss::Dropped, .. })));
    /// assert_eq!(unhandled.flush_unhandled().len(), 1); // it was reported as well
    /// ```
    Loss {
        /// What could have handled it was dropped.
        Dropped = "dropped",
        /// The loop ended.
        LoopEnd = "loop end",
    }
}

words! {
    /// What a group waits for.
    ///
    /// ```
    /// use ropewalk::trace::{self, Kind, Mode};
    /// use ropewalk::{Deferred, DeferredList, gather_results, race};
    ///
    /// let ((), trace) = trace::record(|| {
    ///     let pages = || [Deferred::succeed(1), Deferred::succeed(2)];
    ///     DeferredList::new(pages()).start().detach();
    ///     race(pages()).detach();
    ///     gather_results(pages()).detach();
    /// });
    /// let modes = trace.events().filter_map(|event| match event.kind {
    ///     Kind::GNew { mode, .. } => Some(mode),
    ///     _ => None,
    /// });
    /// assert_eq!(modes.collect::<Vec<_>>(), [Mode::All, Mode::First, Mode::FailFast]);
    /// ```
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
    ///
    /// ```
    /// use ropewalk::trace::{self, Kind, Stream};
    ///
    /// let ((), trace) = trace::record(|| {
    ///     eprintln!("no paper");
    ///     trace::out("no paper\n", Stream::Stderr);
    /// });
    /// let said = Kind::Out { text: "no paper\n", stream: Stream::Stderr };
    /// assert_eq!(trace.nth(0).unwrap().kind, said);
    /// ```
    Stream {
        /// Standard output.
        Stdout = "stdout",
        /// Standard error.
        Stderr = "stderr",
    }
}

words! {
    /// Why a recording ended.
    ///
    /// ```
    /// use ropewalk::trace::{self, Ending, Kind};
    ///
    /// let ((), trace) = trace::record(|| trace::note("here"));
    /// assert!(matches!(trace.last().unwrap().kind, Kind::End { why: Ending::Done, .. }));
    /// ```
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
    ///
    /// ```
    /// use ropewalk::trace::{Kind, Polled, Trace};
    /// use ropewalk::{EventLoop, bridge::yield_now};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let recording = event_loop.record(Trace::with_limit(100));
    /// event_loop.run_until(event_loop.spawn(async { Ok(yield_now().await) }))?;
    /// let trace = recording.finish().expect("not from inside the recorder");
    /// let polls = trace.events().filter_map(|event| match event.kind {
    ///     Kind::XRet { out, .. } => Some(out),
    ///     _ => None,
    /// });
    /// assert_eq!(polls.collect::<Vec<_>>(), [Polled::Pending, Polled::Ready]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Polled {
        /// It waits for something.
        Pending = "pending",
        /// It is over.
        Ready = "ready",
    }
}

words! {
    /// Where a chain stood when its consuming end was dropped.
    ///
    /// ```
    /// use ropewalk::trace::{self, Dropped, Kind};
    /// use ropewalk::Deferred;
    ///
    /// let ((), trace) = trace::record(|| {
    ///     let (resolver, poem) = Deferred::new();
    ///     poem.map(|n: i32| n + 1).detach();
    ///     resolver.succeed(1); // the step runs all the same
    /// });
    /// let dropped = trace.events().find_map(|event| match event.kind {
    ///     Kind::DDrop { state, left, .. } => Some((state, left)),
    ///     _ => None,
    /// });
    /// assert_eq!(dropped, Some((Dropped::Pending, 1)));
    /// ```
    Dropped {
        /// It had no result yet.
        Pending = "pending",
        /// It had its result, which is dropped.
        Fired = "fired",
    }
}

/// What was left at the end of a recording.
///
/// ```
/// use ropewalk::trace::{Kind, Open, Trace};
/// use ropewalk::{Deferred, EventLoop};
/// use std::time::Duration;
///
/// let event_loop = EventLoop::new()?;
/// let recording = event_loop.record(Trace::with_limit(100));
/// event_loop.call_later(Duration::from_secs(60), |_| ());
/// let (_resolver, poem) = Deferred::<()>::new();
/// let trace = recording.finish().expect("not from inside the recorder");
/// let Kind::End { open, .. } = trace.last().unwrap().kind else { unreachable!("it is the last event") };
/// assert_eq!(open, Open { d: 1, m: 1, i: 0, x: 0 });
/// # drop(poem);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    ///
    /// ```
    /// use ropewalk::trace::{ClockKind, Trace};
    /// use ropewalk::{EventLoop, TestClock};
    ///
    /// let event_loop = EventLoop::builder().clock(&TestClock::new()).build()?;
    /// let recording = event_loop.record(Trace::with_limit(100));
    /// event_loop.call_soon(|event_loop| event_loop.stop());
    /// event_loop.run()?;
    /// let trace = recording.finish().expect("not from inside the recorder");
    /// assert_eq!(trace.clock(), ClockKind::Virtual);
    /// assert_eq!(trace.clock().word(), "virtual");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
///
/// ```
/// use ropewalk::trace::{self, Event, Kind};
/// use ropewalk::{Deferred, testing::success_of};
///
/// let (_, trace) = trace::record(|| success_of(Deferred::succeed(6).map(|n| n * 7)));
/// let step = trace.events().find(|event| matches!(event.kind, Kind::DStep { .. })).unwrap();
/// let ret = trace.events().find(|event| matches!(event.kind, Kind::DRet { .. })).unwrap();
/// assert!(step.s < ret.s);
/// assert_eq!(ret.because(), step.s); // a step is over because it began
/// assert!(step.at.unwrap().line() > 0 && step.level() == 1 && !step.sys);
///
/// let by_hand = Event::new(1, Kind::Note { msg: "here" });
/// assert_eq!((by_hand.t, by_hand.frame, by_hand.because()), (0, 0, 0));
/// ```
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
///
/// ```
/// use ropewalk::trace::{self, ClockKind, Event, Header, Recorder};
///
/// #[derive(Default)]
/// struct Title(String);
///
/// impl Recorder for Title {
///     fn begin(&mut self, header: &Header<'_>) {
///         assert_eq!(header.clock, ClockKind::Real);
///         self.0 = format!("{} by {}", header.prog, header.lib);
///     }
///     fn event(&mut self, _: &Event<'_>) {}
/// }
///
/// let ((), title) = trace::record_with(Title::default(), || trace::note("here"));
/// assert!(title.0.contains(" by ropewalk "));
/// ```
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
///
/// ```
/// use ropewalk::trace::{self, JsonLines, VERSION};
///
/// let ((), lines) = trace::record_with(JsonLines::new(Vec::new()), || trace::note("here"));
/// let text = String::from_utf8(lines.finish()?)?;
/// assert!(text.starts_with(&format!(r#"{{"k":"trace","v":{VERSION},"#)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub const VERSION: u32 = 1;
