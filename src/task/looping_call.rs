//! `LoopingCall`: a function that is called again and again, on the beat.
//!
//! ```text
//!  start      tick      tick                  tick
//!    |---------|---------|---------|---------|---------|
//!              [=]       [===============]   [=]           the second took long: one beat is skipped, none is moved
//! ```
//!
//! The next call is reckoned from the start, not from the last call, so nothing drifts. It is armed when the last one is
//! done, so calls never overlap.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use crate::event_loop::{Closed, DelayedCall, EventLoop, Handle};
use crate::ground::step::{Outcome, Returned};
use crate::ground::{CallbackResult, Deferred, Failure, Resolver};
use crate::task::call::call;
use crate::trace::{Place, nanos};

/// Calls a function again and again. Twisted's `LoopingCall`.
///
/// The function is given a [`Tick`], with the loop and a way to stop. It gives back a result or a Deferred. The next call
/// comes at the next whole multiple of the interval, counted from the start, that is still to come when this one is done:
/// the calls do not drift, and those for which there was no time are skipped. [`with_count`](LoopingCall::with_count)
/// tells how many.
///
/// A failure (or a panic) of the function ends it, and is the result of the Deferred that
/// [`start`](LoopingCall::start) gave.
///
/// Clones are the same looping call. Dropping them does not stop it: the loop keeps it until it ends.
///
/// ```
/// use ropewalk::{EventLoop, TestClock, task::LoopingCall, testing::success_of};
/// use std::{cell::Cell, rc::Rc, time::Duration};
///
/// let clock = TestClock::new();
/// let event_loop = EventLoop::builder().clock(&clock).build()?;
/// let ticks = Rc::new(Cell::new(0));
/// let count = ticks.clone();
/// let heartbeat = LoopingCall::new(move |_| {
///     count.set(count.get() + 1);
///     Ok(())
/// });
/// let ended = heartbeat.start(&event_loop, Duration::from_secs(1), true);
/// clock.advance(Duration::from_secs(3))?;
/// assert_eq!(ticks.get(), 4); // at 0, 1, 2 and 3
/// heartbeat.stop()?;
/// success_of(ended);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct LoopingCall {
    shared: Rc<Shared>,
}

/// What is called: with the tick, and the number of intervals since the last call.
type Function = Box<dyn FnMut(&Tick<'_>, u64) -> Returned<()>>;

struct Shared {
    /// Taken out while it runs. It runs only while the Deferred of the run has not fired, and a run starts only when it
    /// has: so whoever looks for it finds it.
    function: Cell<Option<Function>>,
    counts: bool,
    running: Cell<bool>,
    run: Cell<Option<Run>>,
    /// The next call, while one is armed.
    call: Cell<Option<DelayedCall>>,
    /// Fires at the end of the run.
    resolver: Cell<Option<Resolver<()>>>,
    /// Where it runs, or ran.
    event_loop: RefCell<Option<Handle>>,
}

/// One run, from `start` to the end. Times are nanoseconds on the loop's clock.
#[derive(Clone, Copy)]
struct Run {
    interval: u64,
    /// From where the intervals are counted. `reset` moves it.
    start: u64,
    /// Whether the first call came at the start, where it counts as one interval.
    now: bool,
    /// When the intervals were counted last.
    counted: Option<u64>,
    place: Place,
}

impl Run {
    /// How many whole intervals lie between the start and `at`, towards zero.
    fn interval_of(&self, at: i128) -> i128 {
        (at - i128::from(self.start)) / i128::from(self.interval)
    }

    /// The intervals since they were counted last, which is now.
    fn count(&mut self, now: u64) -> u64 {
        let first = i128::from(self.start) - if self.now { i128::from(self.interval) } else { 0 };
        let count = match self.interval {
            0 => 1,
            _ => self.interval_of(now.into()) - self.interval_of(self.counted.map_or(first, i128::from)),
        };
        if count > 0 {
            self.counted = Some(now);
        }
        u64::try_from(count.max(0)).unwrap_or(u64::MAX)
    }

    /// The next beat after `now`.
    fn next(&self, now: u64) -> u64 {
        match now.saturating_sub(self.start).checked_rem(self.interval) {
            Some(into) => now.saturating_add(self.interval - into),
            None => now,
        }
    }
}

impl LoopingCall {
    /// Makes one, which does not run yet.
    ///
    /// `f` gives back `Result<_, Failure>` or a Deferred. With a Deferred, the next call waits until it has fired.
    pub fn new<R: CallbackResult>(mut f: impl FnMut(&Tick<'_>) -> R + 'static) -> LoopingCall {
        LoopingCall::make(false, move |tick, _| f(tick))
    }

    /// Makes one whose function is told how many intervals there were since its last call. Twisted's `withCount`.
    ///
    /// It is 1 as long as every call comes in time, more after some were skipped, and never 0. With an interval of zero
    /// it is always 1.
    ///
    /// ```
    /// use ropewalk::{EventLoop, TestClock, task::LoopingCall};
    /// use std::{cell::RefCell, rc::Rc, time::Duration};
    ///
    /// let clock = TestClock::new();
    /// let event_loop = EventLoop::builder().clock(&clock).build()?;
    /// let counts = Rc::new(RefCell::new(Vec::new()));
    /// let seen = counts.clone();
    /// let frames = LoopingCall::with_count(move |_, count| {
    ///     seen.borrow_mut().push(count);
    ///     Ok(())
    /// });
    /// frames.start(&event_loop, Duration::from_millis(20), true).detach();
    /// clock.advance(Duration::from_millis(20))?;
    /// clock.jump_by(Duration::from_millis(60))?; // the loop was late
    /// assert_eq!(*counts.borrow(), [1, 1, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_count<R: CallbackResult>(f: impl FnMut(&Tick<'_>, u64) -> R + 'static) -> LoopingCall {
        LoopingCall::make(true, f)
    }

    fn make<R: CallbackResult>(counts: bool, mut f: impl FnMut(&Tick<'_>, u64) -> R + 'static) -> LoopingCall {
        let function: Function = Box::new(move |tick, count| match f(tick, count).returned() {
            Returned::Now(outcome) => Returned::Now(outcome.map(drop)),
            Returned::Later(deferred) => Returned::Later(deferred.own_step("LoopingCall").map(drop)),
        });
        LoopingCall {
            shared: Rc::new(Shared {
                function: Cell::new(Some(function)),
                counts,
                running: Cell::new(false),
                run: Cell::new(None),
                call: Cell::new(None),
                resolver: Cell::new(None),
                event_loop: RefCell::new(None),
            }),
        }
    }

    /// Starts it: the function is called every `interval`, and with `now` also at once, inside this call.
    ///
    /// The Deferred has its value when the run has ended after [`stop`](LoopingCall::stop), and fails as the function
    /// fails. It fails with [`StartError`] if there was nothing to start. A cancel of it does not stop the run, as in
    /// Twisted. When it has fired, the looping call can be started again.
    ///
    /// With an `interval` of zero the function is called once in every turn.
    #[track_caller]
    pub fn start(&self, event_loop: impl Into<Handle>, interval: Duration, now: bool) -> Deferred<()> {
        let place = Location::caller();
        let shared = &self.shared;
        let event_loop = match shared.enter(event_loop.into()) {
            Ok(event_loop) => event_loop,
            Err(error) => return Deferred::fail(Failure::raised_at(error, place)),
        };
        let (resolver, ended) = Deferred::new();
        let (start, interval) = (nanos(event_loop.time()), nanos(interval));
        shared.resolver.set(Some(resolver));
        shared.run.set(Some(Run { interval, start, now, counted: None, place }));
        shared.running.set(true);
        match now {
            true => shared.tick(&event_loop),
            false => shared.schedule(&event_loop),
        }
        ended
    }

    /// Stops it. The Deferred of `start` fires inside this call; if the function runs, or its Deferred has not fired,
    /// then when that is done. (That Deferred is not cancelled.)
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn stop(&self) -> Result<(), NotRunning> {
        self.shared.stop()
    }

    /// Counts the intervals anew from now: the next call comes one interval from now.
    ///
    /// While the function runs, or its Deferred has not fired, nothing is armed and nothing happens.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn reset(&self) -> Result<(), NotRunning> {
        self.shared.reset()
    }

    /// Whether it runs: it was started, and neither stopped nor ended by a failure.
    pub fn is_running(&self) -> bool {
        self.shared.running.get()
    }

    /// The interval of the run, or of the last one. `None` before the first.
    pub fn interval(&self) -> Option<Duration> {
        self.shared.run.get().map(|run| Duration::from_nanos(run.interval))
    }

    /// Changes the interval of the run. It holds from the next call that is armed.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn set_interval(&self, interval: Duration) -> Result<(), NotRunning> {
        let run = self.shared.run.get().filter(|_| self.is_running()).ok_or(NotRunning)?;
        self.shared.run.set(Some(Run { interval: nanos(interval), ..run }));
        Ok(())
    }
}

impl Shared {
    /// The loop, if a run may start.
    fn enter(&self, event_loop: Handle) -> Result<EventLoop, StartError> {
        let resolver = self.resolver.take();
        let busy = resolver.is_some();
        self.resolver.set(resolver);
        if busy {
            return Err(StartError::AlreadyRunning);
        }
        let running_on = event_loop.upgrade().map_err(|Closed| StartError::Closed)?;
        self.event_loop.replace(Some(event_loop));
        Ok(running_on)
    }

    fn stop(&self) -> Result<(), NotRunning> {
        if !self.running.replace(false) {
            return Err(NotRunning);
        }
        if self.disarm() {
            self.end(Ok(()));
        }
        Ok(())
    }

    fn reset(self: &Rc<Self>) -> Result<(), NotRunning> {
        if !self.running.get() {
            return Err(NotRunning);
        }
        let (Some(run), Some(event_loop)) = (self.run.get(), self.upgrade()) else { return Ok(()) };
        if self.disarm() {
            self.run.set(Some(Run { start: nanos(event_loop.time()), ..run }));
            self.schedule(&event_loop);
        }
        Ok(())
    }

    fn upgrade(&self) -> Option<EventLoop> {
        self.event_loop.borrow().as_ref().and_then(|handle| handle.upgrade().ok())
    }

    /// Takes the armed call off the loop; answers whether one was armed.
    fn disarm(&self) -> bool {
        let Some(call) = self.call.take() else { return false };
        // It is armed as long as it stands in its cell.
        let _ = call.cancel();
        true
    }

    /// The run is over.
    fn end(&self, outcome: Outcome<()>) {
        self.running.set(false);
        if let (Some(resolver), Some(run)) = (self.resolver.take(), self.run.get()) {
            resolver.fire_at(outcome, run.place);
        }
    }

    /// Arms the next call.
    fn schedule(self: &Rc<Self>, event_loop: &EventLoop) {
        let Some(run) = self.run.get() else { return };
        let at = Duration::from_nanos(run.next(nanos(event_loop.time())));
        let armed = Armed(Some(self.clone()));
        let every = Duration::from_nanos(run.interval);
        let call = event_loop.call_at_every(at, every, run.place, move |event_loop| armed.fire(event_loop));
        self.call.set(Some(call));
    }

    /// Calls the function.
    fn tick(self: &Rc<Self>, event_loop: &EventLoop) {
        let (Some(mut run), Some(mut function)) = (self.run.get(), self.function.take()) else { return };
        let mut count = 1;
        if self.counts {
            count = run.count(nanos(event_loop.time()));
            self.run.set(Some(run));
        }
        let called = match count {
            0 => Returned::Now(Ok(())), // the beat before came late, into this one: there is nothing new to count
            _ => call(run.place, || function(&Tick { event_loop, shared: self }, count)),
        };
        self.function.set(Some(function));
        match called {
            Returned::Now(outcome) => self.done(outcome),
            Returned::Later(deferred) => {
                let shared = self.clone();
                let done = deferred.own_step("LoopingCall").add_both(move |outcome| {
                    shared.done(outcome);
                    Ok(())
                });
                done.detach();
            }
        }
    }

    /// The function, and what it gave back, is done.
    fn done(self: &Rc<Self>, outcome: Outcome<()>) {
        match (outcome, self.upgrade()) {
            (Ok(()), Some(event_loop)) if self.running.get() => self.schedule(&event_loop),
            (Ok(()), None) if self.running.get() => self.lost(),
            (outcome, _) => self.end(outcome),
        }
    }

    /// The loop is gone: there will be no call any more.
    fn lost(&self) {
        self.running.set(false);
        drop(self.resolver.take()); // abandons the Deferred
    }
}

/// What an armed call holds. Dropped without a call, by the end of the loop, it ends the run.
struct Armed(Option<Rc<Shared>>);

impl Armed {
    fn fire(mut self, event_loop: &EventLoop) {
        if let Some(shared) = self.0.take() {
            shared.call.set(None);
            shared.tick(event_loop);
        }
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take()
            && shared.call.take().is_some()
        {
            shared.lost();
        }
    }
}

/// One call of a [`LoopingCall`]'s function, as the function sees it.
///
/// A function that kept its own `LoopingCall` to stop it would keep itself alive for ever; a `Tick` is lent.
///
/// ```
/// use ropewalk::{TestClock, EventLoop, task::LoopingCall, testing::success_of};
/// use std::time::Duration;
///
/// let clock = TestClock::new();
/// let event_loop = EventLoop::builder().clock(&clock).build()?;
/// let mut left = 3;
/// let countdown = LoopingCall::new(move |tick| {
///     left -= 1;
///     if left == 0 {
///         tick.stop();
///     }
///     Ok(())
/// });
/// let ended = countdown.start(&event_loop, Duration::from_secs(1), true);
/// clock.advance(Duration::from_secs(2))?;
/// success_of(ended);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Tick<'a> {
    event_loop: &'a EventLoop,
    shared: &'a Rc<Shared>,
}

impl Tick<'_> {
    /// The loop.
    pub fn event_loop(&self) -> &EventLoop {
        self.event_loop
    }

    /// Ends the run when this call is done. Said again, it changes nothing.
    pub fn stop(&self) {
        // Not running means stopped already.
        let _ = self.shared.stop();
    }

    /// The looping call itself, for somebody else to keep.
    pub fn looping_call(&self) -> LoopingCall {
        LoopingCall { shared: self.shared.clone() }
    }
}

impl fmt::Debug for Tick<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tick").field("running", &self.shared.running.get()).finish_non_exhaustive()
    }
}

impl fmt::Debug for LoopingCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<LoopingCall")?;
        match self.shared.run.get() {
            Some(run) => {
                let interval = Duration::from_nanos(run.interval);
                let state = if self.is_running() { "every" } else { "stopped, last every" };
                write!(f, " {state} {interval:?}, started {}>", run.place)
            }
            None => write!(f, " not started>"),
        }
    }
}

/// Why a [`LoopingCall`] was not started.
///
/// ```
/// use ropewalk::task::{LoopingCall, StartError};
/// use ropewalk::{EventLoop, testing::failure_of};
/// use std::time::Duration;
///
/// let event_loop = EventLoop::new()?;
/// let heartbeat = LoopingCall::new(|_| Ok(()));
/// let ended = heartbeat.start(&event_loop, Duration::from_secs(1), false);
/// let again = heartbeat.start(&event_loop, Duration::from_secs(5), false);
/// assert_eq!(failure_of(again).check(), Some(&StartError::AlreadyRunning));
///
/// let handle = event_loop.handle();
/// heartbeat.stop()?;
/// event_loop.run_until(ended)?;
/// drop(event_loop);
/// let too_late = heartbeat.start(&handle, Duration::from_secs(1), false);
/// assert_eq!(failure_of(too_late).check(), Some(&StartError::Closed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// It runs, or it was stopped and its last call is not done: the Deferred of the run at hand has not fired.
    AlreadyRunning,
    /// The loop is gone.
    Closed,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StartError::AlreadyRunning => "the looping call was started already, and that run has not ended",
            StartError::Closed => "the looping call cannot start: its event loop is gone",
        })
    }
}

impl Error for StartError {}

/// The [`LoopingCall`] does not run.
///
/// ```
/// use ropewalk::task::{LoopingCall, NotRunning};
///
/// let heartbeat = LoopingCall::new(|_| Ok(()));
/// assert_eq!(heartbeat.reset(), Err(NotRunning)); // not started yet
/// assert_eq!(heartbeat.stop().unwrap_err().to_string(), "the looping call does not run");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRunning;

impl fmt::Display for NotRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the looping call does not run")
    }
}

impl Error for NotRunning {}
