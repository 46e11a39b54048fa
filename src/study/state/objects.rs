//! What the state of a run knows of each object.

use crate::study::table::Table;
use crate::trace::{Cancel, EventNumber, Id, Lane, Loss, Mode, Slot, Val, Via};
use std::rc::Rc;

/// A value or a failure, as the trace shows it.
///
/// ```
/// use ropewalk::{Deferred, Failure, study::{State, state::Value}, trace};
///
/// let ((), trace) = trace::record(|| {
///     Deferred::succeed("If I were").detach();
///     Deferred::<()>::fail(Failure::msg("no poem")).add_errback(|_| Ok::<(), Failure>(())).detach();
/// });
/// let state = State::after(&trace);
/// let values: Vec<_> = state.chains().map(|chain| chain.val.clone().unwrap()).collect();
/// assert_eq!(values[0], Value::Ok("\"If I were\"".into())); // as `{:?}` writes it
/// assert_eq!(values[1], Value::Ok("()".into())); // the errback's
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A value: its preview, or its type's name in angle brackets.
    Ok(Rc<str>),
    /// A failure.
    Err(Id),
}

impl From<Val<'_>> for Value {
    fn from(val: Val<'_>) -> Value {
        match val {
            Val::Ok { text, .. } => Value::Ok(Rc::from(text)),
            Val::Err(f) => Value::Err(f),
        }
    }
}

/// An open frame: what runs, or called what runs.
///
/// ```
/// use ropewalk::{Deferred, study::{Timeline, state::FrameKind}, trace};
///
/// let ((), trace) = trace::record(|| Deferred::succeed(1).map(|n| n + 1).detach());
/// let step = trace.events().find(|event| event.kind.name() == "d.step").unwrap().s;
/// let timeline = Timeline::of(trace);
/// let inside = timeline.state_at(step);
/// assert_eq!(inside.frames().len(), 1);
/// assert_eq!(inside.frame(step).unwrap().s, step);
/// assert!(matches!(inside.frames()[0].what, FrameKind::Step { n: 0, .. }));
/// assert!(timeline.head().frames().is_empty()); // it has ended
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its begin event.
    pub s: EventNumber,
    /// What it is.
    pub what: FrameKind,
}

/// What kind of frame is open.
///
/// ```
/// use ropewalk::{EventLoop, TestClock, study::{Timeline, state::FrameKind}, trace};
/// use std::time::Duration;
///
/// let (ran, trace) = trace::record(|| {
///     let event_loop = EventLoop::builder().clock(&TestClock::new()).build()?;
///     event_loop.call_later(Duration::from_secs(1), |event_loop| event_loop.stop());
///     Ok::<_, Box<dyn std::error::Error>>(event_loop.run()?)
/// });
/// ran?;
/// // While the timer's callback runs, it is inside of a turn.
/// let stop = trace.events().find(|event| event.kind.name() == "loop.stop").unwrap().s;
/// let state = Timeline::of(trace).state_at(stop);
/// assert!(matches!(state.frames()[0].what, FrameKind::Turn(n) if n == state.turn()));
/// let FrameKind::Callback { o: Some(timer), .. } = &state.callback().unwrap().what else { panic!() };
/// assert_eq!(timer.to_string(), "m1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A turn of the loop, with its number.
    Turn(u32),
    /// The loop's callback of an object.
    Callback {
        /// The object, if it has an id.
        o: Option<Id>,
        /// The queue it came from.
        slot: Slot,
        /// The name a person gave.
        label: Option<Rc<str>>,
    },
    /// Step `n` of a Deferred.
    Step {
        /// The Deferred.
        d: Id,
        /// The step.
        n: u32,
        /// The lane on which it runs.
        lane: Lane,
        /// What came in.
        val: Value,
    },
    /// The canceller of a Deferred.
    Canceller(Id),
    /// A poll of a task.
    Poll(Id),
}

/// Where a Deferred stands.
///
/// ```
/// use ropewalk::{Deferred, study::{Timeline, state::Standing}, trace};
///
/// let ((), trace) = trace::record(|| {
///     let (resolver, inner) = Deferred::<i32>::new();
///     let outer = Deferred::succeed(()).add_callback(|()| inner);
///     resolver.succeed(7);
///     drop(outer);
/// });
/// let timeline = Timeline::of(trace);
/// let standing = |s| timeline.state_at(s).chains().map(|chain| chain.standing).collect::<Vec<_>>();
/// let ids: Vec<_> = timeline.head().chains().map(|chain| chain.id).collect();
/// let fired = timeline.head().chain(ids[0]).unwrap().fired; // d1 is the inner one
/// assert_eq!(standing(fired - 1), [Standing::NotFired, Standing::Paused(ids[0])]);
/// assert_eq!(standing(fired + 20), [Standing::WentTo(ids[1]), Standing::Rests]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has fired it.
    #[default]
    NotFired,
    /// A step runs.
    Running,
    /// It waits for another Deferred.
    Paused(Id),
    /// Its value, or its error, rests at the end of what was added.
    Rests,
    /// Its result went to the Deferred that waited for it.
    WentTo(Id),
    /// The program took its result.
    Taken,
    /// Its error was lost.
    Lost(Id),
}

/// A Deferred.
///
/// ```
/// use ropewalk::{Deferred, study::{State, state::Standing}, trace};
///
/// let ((), trace) = trace::record(|| {
///     Deferred::succeed(1).named("sum").step_named("add").map(|n| n + 1).detach();
/// });
/// let state = State::after(&trace);
/// let d1 = state.chain("d1".parse()?).unwrap();
/// assert_eq!((d1.name.as_deref(), &*d1.ty), (Some("sum"), "i32"));
/// assert_eq!((d1.standing, d1.reached), (Standing::Rests, Some(0)));
/// assert!(!d1.is_open()); // nothing more happens to it by itself
/// assert_eq!(&*d1.step(0).unwrap().label, "add");
/// assert_eq!((d1.steps().count(), d1.waiting_steps()), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: Option<Rc<str>>,
    /// The type of its result, with all paths.
    pub ty: Rc<str>,
    /// The event that announced it; 0 if none did.
    pub born: EventNumber,
    /// The event that fired it; 0 before.
    pub fired: EventNumber,
    /// Where it stands.
    pub standing: Standing,
    /// The value or error that it holds now, or had last.
    pub val: Option<Value>,
    /// The step that ran last, or was passed by last.
    pub reached: Option<u32>,
    /// The event and the time since which it is paused.
    pub paused: Option<(EventNumber, u64)>,
    /// The Deferred that waits for this one, or did.
    pub waiter: Option<Id>,
    /// The group that it is a member of.
    pub group: Option<Id>,
    /// Its consuming end was dropped while it was pending.
    pub detached: bool,
    /// How the last cancel was answered.
    pub cancel: Option<Cancel>,
    pub(in crate::study) steps: Table<Step>,
}

impl Chain {
    pub(super) fn new(id: Id) -> Chain {
        Chain {
            id,
            name: None,
            ty: Rc::from(""),
            born: 0,
            fired: 0,
            standing: Standing::NotFired,
            val: None,
            reached: None,
            paused: None,
            waiter: None,
            group: None,
            detached: false,
            cancel: None,
            steps: Table::default(),
        }
    }

    /// Its steps in order. Those added before the recording are there once they ran.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.steps.iter()
    }

    /// Step `n`.
    pub fn step(&self, n: u32) -> Option<&Step> {
        self.steps.get(n)
    }

    /// How many steps wait for their turn.
    pub fn waiting_steps(&self) -> usize {
        self.steps.iter().rev().take_while(|step| step.fate == Fate::NotYet).count()
    }

    /// Whether anything may still happen to it by itself.
    pub fn is_open(&self) -> bool {
        matches!(self.standing, Standing::NotFired | Standing::Running | Standing::Paused(_))
    }
}

/// What became of a step.
///
/// ```
/// use ropewalk::{Deferred, Failure, study::{State, state::{Fate, Value}}, trace::{self, Lane}};
///
/// let ((), trace) = trace::record(|| {
///     let handle = |_| Ok::<i32, Failure>(0);
///     Deferred::succeed(1).map(|n| n + 1).add_errback(handle).detach();
///     let (resolver, pending) = Deferred::<i32>::new();
///     let _pending = pending.map(|n| n + 1);
///     std::mem::forget(resolver);
/// });
/// let state = State::after(&trace);
/// let fates: Vec<_> = state.chains().flat_map(|chain| chain.steps()).map(|step| step.fate.clone()).collect();
/// assert_eq!(fates[0], Fate::Ran(Lane::Ok, Some(Value::Ok("2".into()))));
/// assert_eq!(fates[1], Fate::Passed(Lane::Ok)); // an errback has nothing for a value
/// assert_eq!(fates[2], Fate::NotYet);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits.
    NotYet,
    /// It runs since that event, on that lane.
    Runs(EventNumber, Lane),
    /// It ran on that lane and gave a value, an error, or (`None`) a Deferred.
    Ran(Lane, Option<Value>),
    /// It had nothing for that lane.
    Passed(Lane),
}

/// A step of a Deferred.
///
/// ```
/// use ropewalk::{Deferred, Failure, study::State, trace};
///
/// fn recover(_failure: Failure) -> Result<i32, Failure> {
///     Ok(0)
/// }
///
/// let ((), trace) = trace::record(|| {
///     let (resolver, d) = Deferred::new();
///     let d = d.add_errback(recover);
///     resolver.succeed(1);
///     d.step_named("add").map(|n: i32| n + 1).detach();
/// });
/// let state = State::after(&trace);
/// let steps: Vec<_> = state.chains().next().unwrap().steps().collect();
/// assert_eq!((&*steps[0].label, steps[0].ok, steps[0].err, steps[0].late), ("recover", false, true, false));
/// assert_eq!((&*steps[1].label, steps[1].ok, steps[1].err, steps[1].late), ("add", true, false, true));
/// assert_eq!(trace.get(steps[1].added).unwrap().kind.name(), "d.add");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its number, from 0.
    pub n: u32,
    /// The name a person gave, or the function's; `print | complain` where it has two.
    pub label: Rc<str>,
    /// Those two.
    pub(super) names: Option<[Rc<str>; 2]>,
    /// The event that added it, or that was the first to tell of it: its place is that of the step.
    pub added: EventNumber,
    /// It has a callback.
    pub ok: bool,
    /// It has an errback.
    pub err: bool,
    /// It was added when the Deferred had its result.
    pub late: bool,
    /// The library added it for itself.
    pub sys: bool,
    /// What became of it.
    pub fate: Fate,
}

impl Step {
    /// The name of what runs on that lane: of the two functions of an `add_callbacks` just one does.
    ///
    /// ```
    /// use ropewalk::{Deferred, Failure, study::state::State, trace::{self, Lane}};
    ///
    /// fn print(_: i32) -> Result<(), Failure> {
    ///     Ok(())
    /// }
    /// fn complain(_: Failure) -> Result<(), Failure> {
    ///     Ok(())
    /// }
    /// let ((), trace) = trace::record(|| Deferred::succeed(1).add_callbacks(print, complain).detach());
    /// let state = State::after(&trace);
    /// let step = state.chains().next().unwrap().step(0).unwrap();
    /// assert_eq!(&*step.label, "print | complain");
    /// assert_eq!((step.label_on(Lane::Ok), step.label_on(Lane::Err)), ("print", "complain"));
    /// ```
    pub fn label_on(&self, lane: Lane) -> &str {
        match (&self.names, lane) {
            (None, _) => &self.label,
            (Some([callback, _]), Lane::Ok) => callback,
            (Some([_, errback]), Lane::Err) => errback,
        }
    }
}

/// The life of a failure.
///
/// ```
/// use ropewalk::{Deferred, Failure, study::{Timeline, state::Life}, trace};
///
/// let ((), trace) = trace::record(|| {
///     let (resolver, d) = Deferred::<()>::new();
///     let d = d.map(|()| ());
///     resolver.fail(Failure::msg("engine down"));
///     d.add_errback(|_| Ok::<(), Failure>(())).detach();
/// });
/// let timeline = Timeline::of(trace);
/// let end = timeline.head();
/// let (d1, f1) = (end.chains().next().unwrap(), end.failures().next().unwrap());
/// assert_eq!(f1.life, Life::Handled(d1.id, 1));
/// // When the step was about to be added, the failure rested.
/// let added = d1.step(1).unwrap().added;
/// let before = timeline.state_at(added - 1);
/// assert_eq!(before.failure(f1.id).unwrap().life, Life::Rests(d1.id));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It was raised, or is on its way.
    Travels,
    /// An errback took it: step `n` of `d`.
    Handled(Id, u32),
    /// An errback raised another in its place.
    Replaced(Id),
    /// It lies at the end of a Deferred that has no errback for it yet.
    Rests(Id),
    /// The program took it out of a Deferred.
    Taken(Id),
    /// A group keeps it: it was the result of a member.
    Kept(Id),
    /// Nobody can handle it any more.
    Lost(Id, Loss),
}

/// A failure.
///
/// ```
/// use ropewalk::{Deferred, Failure, study::{State, state::Life}, testing::capture_unhandled, trace};
///
/// let unhandled = capture_unhandled();
/// let ((), trace) = trace::record(|| {
///     Deferred::<()>::fail(Failure::msg("engine down")).named("poem").detach();
/// });
/// assert_eq!(unhandled.flush_unhandled().len(), 1);
/// let state = State::after(&trace);
/// let f1 = state.failures().next().unwrap();
/// assert_eq!(&*f1.msg, "engine down");
/// assert_eq!(state.title(f1.home.unwrap()), "d1 \"poem\"");
/// assert!(matches!(f1.life, Life::Lost(d, _) if Some(d) == f1.home));
/// assert_eq!(trace.get(f1.since.0).unwrap().kind.name(), "f.lost");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Its id.
    pub id: Id,
    /// What it says.
    pub msg: Rc<str>,
    /// How it came to be.
    pub via: Via,
    /// The event that announced it: its place is where it was raised.
    pub born: EventNumber,
    /// The Deferred it is in, or was in last.
    pub home: Option<Id>,
    /// How far it came.
    pub life: Life,
    /// The event and the time of the last change in its life.
    pub since: (EventNumber, u64),
}

/// How far a timer, a queued call or a job came.
///
/// ```
/// use ropewalk::{EventLoop, TestClock, study::{Timeline, state::Stage}, trace};
/// use std::time::Duration;
///
/// let (ran, trace) = trace::record(|| {
///     let event_loop = EventLoop::builder().clock(&TestClock::new()).build()?;
///     let late = event_loop.call_later(Duration::from_secs(9), |_| ());
///     event_loop.call_later(Duration::from_secs(1), |event_loop| event_loop.stop());
///     late.cancel();
///     Ok::<_, Box<dyn std::error::Error>>(event_loop.run()?)
/// });
/// ran?;
/// let timeline = Timeline::of(trace);
/// let stages: Vec<_> = timeline.head().timers().map(|timer| timer.stage).collect();
/// assert_eq!(stages, [Stage::Cancelled, Stage::Done]);
/// let armed = timeline.head().timers().next().unwrap().armed;
/// assert_eq!(timeline.state_at(armed).timers().next().unwrap().stage, Stage::Waits);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It waits.
    Waits,
    /// It was called, or its result is back.
    Done,
    /// It was cancelled.
    Cancelled,
}

/// A timer.
///
/// ```
/// use ropewalk::{EventLoop, TestClock, study::{State, state::Stage}, trace};
/// use std::time::Duration;
///
/// let (ran, trace) = trace::record(|| {
///     let event_loop = EventLoop::builder().clock(&TestClock::new()).build()?;
///     event_loop.call_later(Duration::from_millis(250), |event_loop| event_loop.stop()).named("the end");
///     Ok::<_, Box<dyn std::error::Error>>(event_loop.run()?)
/// });
/// ran?;
/// let state = State::after(&trace);
/// let m1 = state.timer("m1".parse()?).unwrap();
/// assert_eq!((m1.label.as_deref(), m1.due, m1.stage), (Some("the end"), 250_000_000, Stage::Done));
/// assert!(trace.get(m1.armed).unwrap().at.unwrap().line() > 0); // the line that armed it
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub label: Option<Rc<str>>,
    /// The event that armed it.
    pub armed: EventNumber,
    /// When it is due, in nanoseconds on the loop's clock.
    pub due: u64,
    /// Whether it still waits.
    pub stage: Stage,
}

/// A call that was queued, by `call_soon` or from another thread; or a job of the worker pool.
///
/// ```
/// use ropewalk::{EventLoop, study::{State, state::Stage}, trace};
///
/// let (sum, trace) = trace::record(|| {
///     let event_loop = EventLoop::new()?;
///     let job = event_loop.defer_to_thread(|| Ok((1..=100).sum::<u32>()));
///     event_loop.run_until(job)
/// });
/// assert_eq!(sum?, 5050);
/// let state = State::after(&trace);
/// let w1 = state.jobs().next().unwrap();
/// assert_eq!((w1.id.to_string().as_str(), w1.stage), ("w1", Stage::Done));
/// assert_eq!(trace.get(w1.queued).unwrap().kind.name(), "work.queue");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub label: Option<Rc<str>>,
    /// The event that queued it.
    pub queued: EventNumber,
    /// Whether it still waits.
    pub stage: Stage,
}

/// A source: something with a descriptor.
///
/// ```
/// use ropewalk::{EventLoop, bridge::TcpListener, study::State, trace};
///
/// let (bound, trace) = trace::record(|| {
///     let event_loop = EventLoop::new()?;
///     let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse()?)?;
///     drop(listener);
///     event_loop.call_soon(|event_loop| event_loop.stop());
///     event_loop.run()?;
///     Ok::<(), Box<dyn std::error::Error>>(())
/// });
/// bound?;
/// let state = State::after(&trace);
/// let i1 = state.sources().next().unwrap();
/// assert!(i1.what.contains("TcpListener"));
/// assert!(!i1.open); // it was dropped
/// assert_eq!(i1.left, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub label: Option<Rc<str>>,
    /// Its type.
    pub what: Rc<str>,
    /// Its address or the like.
    pub name: Option<Rc<str>>,
    /// The event that registered it.
    pub opened: EventNumber,
    /// What it wants: to read, to write. `None` as long as the trace has not said it.
    pub wants: Option<(bool, bool)>,
    /// Bytes that wait to be written, as far as the trace tells.
    pub left: u64,
    /// It is registered.
    pub open: bool,
}

/// Where a task stands.
///
/// ```
/// use ropewalk::{Deferred, EventLoop, TestClock, study::{Timeline, state::TaskStage}, trace};
/// use std::time::Duration;
///
/// let (got, trace) = trace::record(|| {
///     let event_loop = EventLoop::builder().clock(&TestClock::new()).build()?;
///     let (resolver, d) = Deferred::new();
///     event_loop.call_later(Duration::from_secs(1), |_| resolver.succeed(7));
///     let task = event_loop.spawn(async { d.await });
///     event_loop.run_until(task)
/// });
/// assert_eq!(got?, 7);
/// let timeline = Timeline::of(trace);
/// let x1 = timeline.head().tasks().next().unwrap();
/// assert_eq!(x1.stage, TaskStage::Ready);
/// // It waited for the Deferred.
/// let waited = timeline.state_at(x1.awaits).tasks().next().unwrap().stage;
/// let d1 = timeline.head().chains().next().unwrap().id;
/// assert_eq!(waited, TaskStage::Waits(Some(d1)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStage {
    /// It is to be polled.
    Woken,
    /// It is being polled.
    Polled,
    /// It waits; for an object, where the trace knows which.
    Waits(Option<Id>),
    /// It came to its end.
    Ready,
    /// It was dropped before its end.
    Dropped,
}

/// A task: a spawned future.
///
/// ```
/// use ropewalk::{EventLoop, Failure, bridge::yield_now, study::{State, state::TaskStage}, trace};
///
/// let (done, trace) = trace::record(|| {
///     let event_loop = EventLoop::new()?;
///     event_loop.run_until(event_loop.spawn(async {
///         yield_now().await;
///         Ok::<(), Failure>(())
///     }))
/// });
/// done?;
/// let state = State::after(&trace);
/// let x1 = state.task("x1".parse()?).unwrap();
/// assert_eq!((x1.polls, x1.stage), (2, TaskStage::Ready)); // before `yield_now`, and after it
/// assert_eq!(trace.get(x1.born).unwrap().kind.name(), "x.spawn");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub label: Option<Rc<str>>,
    /// The event that announced it.
    pub born: EventNumber,
    /// How often it was polled.
    pub polls: u32,
    /// The event that told on what it waits: its place is the line of the `await`. 0 for none.
    pub awaits: EventNumber,
    /// Where it stands.
    pub stage: TaskStage,
}

/// A group: Deferreds that are waited for together.
///
/// ```
/// use ropewalk::{Deferred, gather_results, study::State, trace::{self, Mode}};
///
/// let ((), trace) = trace::record(|| {
///     let (resolver, slow) = Deferred::new();
///     gather_results(vec![Deferred::succeed(1), slow]).detach();
///     std::mem::forget(resolver);
/// });
/// let state = State::after(&trace);
/// let g1 = state.groups().next().unwrap();
/// assert_eq!((g1.mode, g1.of.len(), g1.got), (Mode::FailFast, 2, 1));
/// assert!(state.chain(g1.d).unwrap().is_open()); // one member is missing
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: Id,
    /// What it waits for.
    pub mode: Mode,
    /// Its own result.
    pub d: Id,
    /// Its members.
    pub of: Rc<[Id]>,
    /// How many members have their result.
    pub got: u32,
}
