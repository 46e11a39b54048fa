//! `add_timeout`: a Deferred that must have its result in time.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use crate::event_loop::{DelayedCall, Handle};
use crate::ground::step::{Outcome, Step, Went};
use crate::ground::{CallbackResult, CancelHandle, CancelledError, Deferred, Failure, Who};
use crate::trace::{self, Kind, Links, Place};

impl<T: 'static> Deferred<T> {
    /// Cancels this Deferred unless it has its result within `delay`, and makes the failure of that cancel a
    /// [`TimeoutError`]. Twisted's `addTimeout`.
    ///
    /// * It covers the steps added before it, not those after it.
    /// * Only the [`CancelledError`] of this time-out is translated. Another result that the cancel led to, a value from
    ///   a canceller or what an earlier errback made of it, passes as it is; so does a cancel by somebody else.
    /// * The timer is taken off the loop as soon as there is a result.
    /// * It holds when this Deferred has been returned from a callback, put in a list or dropped, too.
    ///
    /// `event_loop` is the loop whose clock counts: `&EventLoop`, `&Handle` or `Handle`. If that loop is gone, there is
    /// nothing to count with, and the time never runs out.
    ///
    /// ```
    /// use ropewalk::{Deferred, EventLoop, TestClock, TimeoutError, testing::failure_of};
    /// use std::time::Duration;
    ///
    /// let clock = TestClock::new();
    /// let event_loop = EventLoop::builder().clock(&clock).build()?;
    /// let (_resolver, poem) = Deferred::<String>::new();
    /// let poem = poem.named("poem").add_timeout(Duration::from_secs(2), &event_loop);
    /// clock.advance(Duration::from_secs(2))?;
    /// let failure = failure_of(poem);
    /// assert!(failure.check::<TimeoutError>().is_some());
    /// assert!(failure.to_string().starts_with("\"poem\" timed out after 2s"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn add_timeout(self, delay: Duration, event_loop: impl Into<Handle>) -> Deferred<T> {
        let at = Location::caller();
        let translate = move |result: Outcome<T>, error: TimeoutError| match result {
            Err(failure) if failure.check::<CancelledError>().is_some() => Err(Failure::timed_out_at(error, at)),
            other => other,
        };
        self.timeout(delay, event_loop.into(), translate, at)
    }

    /// The same, with what to do when the time has run out: `on_timeout` takes the result that the cancel led to, and
    /// its own result goes on. Twisted's `onTimeoutCancel`.
    ///
    /// ```
    /// use ropewalk::{Deferred, EventLoop, TestClock, testing::success_of};
    /// use std::time::Duration;
    ///
    /// let clock = TestClock::new();
    /// let event_loop = EventLoop::builder().clock(&clock).build()?;
    /// let (_resolver, poem) = Deferred::new();
    /// let poem = poem.add_timeout_with(Duration::from_secs(2), &event_loop, |_, _| Ok("an old poem"));
    /// clock.advance(Duration::from_secs(2))?;
    /// assert_eq!(success_of(poem), "an old poem");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn add_timeout_with<R, F>(
        self,
        delay: Duration,
        event_loop: impl Into<Handle>,
        on_timeout: F,
    ) -> Deferred<T>
    where
        R: CallbackResult<Value = T> + 'static,
        F: FnOnce(Result<T, Failure>, TimeoutError) -> R + 'static,
    {
        self.timeout(delay, event_loop.into(), on_timeout, Location::caller())
    }

    fn timeout<R, F>(self, delay: Duration, event_loop: Handle, on_timeout: F, at: Place) -> Deferred<T>
    where
        R: CallbackResult<Value = T> + 'static,
        F: FnOnce(Outcome<T>, TimeoutError) -> R + 'static,
    {
        let timer = Rc::new(Timer::default());
        if !self.has_result()
            && let Ok(event_loop) = event_loop.upgrade()
        {
            let (target, state) = (self.cancel_handle(), timer.clone());
            let due = event_loop.time().saturating_add(delay);
            let time_out = move || state.run_out(&target, delay, at);
            let call = event_loop.call_at_for(due, at, move |_| time_out());
            if trace::on()
                && let (Some(d), Some(m)) = (self.id(), call.id())
            {
                let after = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
                trace::emit(Kind::DTimeout { d, after, m }, Links { at: Some(at), ..Links::default() });
            }
            timer.call.set(Some(call));
        }
        self.add(TimeoutStep { timer, on_timeout, back: PhantomData }, at)
    }
}

/// What the timer and the step share.
#[derive(Default)]
struct Timer {
    call: Cell<Option<DelayedCall>>,
    /// Set when the time has run out.
    error: Cell<Option<Box<TimeoutError>>>,
}

impl Timer {
    fn run_out(&self, target: &CancelHandle, after: Duration, at: Place) {
        // A chain that is gone has nobody to tell.
        let Some((who, waited_for)) = target.who() else { return };
        self.error.set(Some(Box::new(TimeoutError { who, waited_for, after, at })));
        target.cancel_at(at);
    }
}

/// The step behind the covered ones.
struct TimeoutStep<F, R> {
    timer: Rc<Timer>,
    on_timeout: F,
    back: PhantomData<fn() -> R>,
}

impl<T, R, F> Step<T, T> for TimeoutStep<F, R>
where
    T: 'static,
    R: CallbackResult<Value = T> + 'static,
    F: FnOnce(Outcome<T>, TimeoutError) -> R + 'static,
{
    type Back = R;
    const CALLBACK: bool = true;
    const ERRBACK: bool = true;
    fn name() -> &'static str {
        "add_timeout"
    }
    fn call(self, input: Outcome<T>) -> Went<R, T> {
        if let Some(call) = self.timer.call.take() {
            // One that is over has nothing to cancel.
            let _ = call.cancel();
        }
        match self.timer.error.take() {
            Some(error) => Went::Ran((self.on_timeout)(input, *error)),
            None => Went::Passed(input),
        }
    }
}

/// The result did not come in time. Says what timed out, after how long, and what it was waiting for.
///
/// ```
/// use ropewalk::{Deferred, EventLoop, TestClock, TimeoutError, testing::failure_of};
/// use std::time::Duration;
///
/// let clock = TestClock::new();
/// let event_loop = EventLoop::builder().clock(&clock).build()?;
/// let (_resolver, poem) = Deferred::<()>::new();
/// let poem = poem.named("poem").add_timeout(Duration::from_secs(5), &event_loop);
/// clock.advance(Duration::from_secs(5))?;
/// let failure = failure_of(poem);
/// let error = failure.check::<TimeoutError>().unwrap();
/// assert_eq!((error.after(), error.name()), (Duration::from_secs(5), Some("poem")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeoutError {
    who: Who,
    waited_for: Option<Who>,
    after: Duration,
    at: Place,
}

impl TimeoutError {
    /// How long it was waited for.
    pub fn after(&self) -> Duration {
        self.after
    }

    /// The name of the Deferred that timed out, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.who.0.as_deref()
    }

    /// Where the Deferred that timed out was made.
    pub fn made(&self) -> Place {
        self.who.1
    }

    /// Where its time was limited: the line of the `add_timeout`.
    pub fn limited(&self) -> Place {
        self.at
    }

    /// If its chain waited for another Deferred: where the innermost one of these was made.
    pub fn waited_for(&self) -> Option<Place> {
        self.waited_for.as_ref().map(|who| who.1)
    }
}

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.who {
            (Some(name), made) => write!(f, "\"{name}\" timed out after {:?} (made at {made}", self.after)?,
            (None, made) => write!(f, "a Deferred timed out after {:?} (made at {made}", self.after)?,
        }
        match &self.waited_for {
            Some((Some(name), made)) => write!(f, ", waiting for \"{name}\", made at {made})"),
            Some((None, made)) => write!(f, ", waiting for the one made at {made})"),
            None => f.write_str(")"),
        }
    }
}

impl Error for TimeoutError {}
