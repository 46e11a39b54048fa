//! `Retry`: a function that may fail is called again after a while.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::time::Duration;

use crate::event_loop::{DelayedCall, EventLoop, Handle};
use crate::ground::step::{Outcome, Returned};
use crate::ground::{CallbackResult, CancelHandle, Deferred, Failure, Resolver};
use crate::task::backoff::{Backoff, Delays};
use crate::task::call::call;
use crate::trace::Place;

/// How many failures an error keeps: enough for a person, and a bound for attempts without one.
const KEPT: usize = 16;

/// Calls a function until it succeeds, with growing waits between the attempts.
///
/// The function is given the number of the attempt, from 1, and gives back a result or a Deferred. A panic is a failure
/// like any other. When the attempts are used up, the Deferred fails with a [`RetryError`] that tells all of them.
///
/// A cancel ends it: the attempt at hand is cancelled, or the wait is, and there is no further attempt.
///
/// ```
/// use ropewalk::{EventLoop, Failure, TestClock, task::{Backoff, Retry}, testing::success_of};
/// use std::time::Duration;
///
/// let clock = TestClock::new();
/// let event_loop = EventLoop::builder().clock(&clock).build()?;
/// let poem = Retry::new()
///     .max_attempts(5)
///     .backoff(Backoff::new().factor(2.0).jitter(0.0))
///     .run(&event_loop, |attempt| match attempt {
///         1 | 2 => Err(Failure::msg("the poet sleeps")),
///         _ => Ok(format!("a poem, at attempt {attempt}")),
///     });
/// clock.advance(Duration::from_secs(1 + 2))?;
/// assert_eq!(success_of(poem), "a poem, at attempt 3");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Retry {
    backoff: Backoff,
    max_attempts: u32,
    retry_if: Option<Rc<WorthIt>>,
}

type WorthIt = dyn Fn(&Failure) -> bool;

impl Default for Retry {
    fn default() -> Retry {
        Retry::new()
    }
}

impl Retry {
    /// Five attempts with the usual waits of a [`Backoff`].
    pub fn new() -> Retry {
        Retry { backoff: Backoff::new(), max_attempts: 5, retry_if: None }
    }

    /// How long to wait between attempts.
    pub fn backoff(self, backoff: Backoff) -> Retry {
        Retry { backoff, ..self }
    }

    /// How many attempts there are in all, at least one. `u32::MAX` is for ever.
    pub fn max_attempts(self, attempts: u32) -> Retry {
        Retry { max_attempts: attempts.max(1), ..self }
    }

    /// Which failures are worth another attempt. Any other ends it, and is the result as it stands.
    pub fn retry_if(self, worth_it: impl Fn(&Failure) -> bool + 'static) -> Retry {
        Retry { retry_if: Some(Rc::new(worth_it)), ..self }
    }

    /// Makes the first attempt, inside this call, and the others on the loop.
    #[track_caller]
    pub fn run<R: CallbackResult>(
        &self,
        event_loop: impl Into<Handle>,
        mut f: impl FnMut(u32) -> R + 'static,
    ) -> Deferred<<R as CallbackResult>::Value> {
        let place = Location::caller();
        let event_loop = event_loop.into();
        let started = match event_loop.time() {
            Ok(time) => time,
            Err(closed) => return Deferred::fail(Failure::raised_at(closed, place)),
        };
        let run = Rc::new(Run {
            function: Cell::new(Some(Box::new(move |attempt| f(attempt).returned()))),
            retry: self.clone(),
            delays: RefCell::new(self.backoff.delays()),
            event_loop,
            place,
            started,
            attempts: Cell::new(0),
            failures: RefCell::default(),
            resolver: Cell::new(None),
            now: Cell::new(Now::Calling),
            cancelled: Cell::new(false),
        });
        let weak = Rc::downgrade(&run);
        let (resolver, deferred) = Deferred::with_canceller(move || cancel(&weak));
        run.resolver.set(Some(resolver));
        run.attempt();
        deferred
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("backoff", &self.backoff)
            .field("max_attempts", &self.max_attempts)
            .finish_non_exhaustive()
    }
}

type Function<T> = Box<dyn FnMut(u32) -> Returned<T>>;

/// One run. It is owned by what it waits for: the timer, or the chain of the attempt.
struct Run<T: 'static> {
    /// Taken out while it runs.
    function: Cell<Option<Function<T>>>,
    retry: Retry,
    delays: RefCell<Delays>,
    event_loop: Handle,
    place: Place,
    started: Duration,
    attempts: Cell<u32>,
    failures: RefCell<Vec<Failure>>,
    resolver: Cell<Option<Resolver<T>>>,
    now: Cell<Now>,
    cancelled: Cell<bool>,
}

/// What a run does now.
enum Now {
    Calling,
    Attempt(CancelHandle),
    Wait(DelayedCall),
}

fn cancel<T>(run: &Weak<Run<T>>) {
    let Some(run) = run.upgrade() else { return };
    run.cancelled.set(true);
    match run.now.replace(Now::Calling) {
        // The function itself asks. What it gives back is cancelled when it comes.
        Now::Calling => {}
        // Its result comes back to the run, and is the last.
        Now::Attempt(attempt) => {
            attempt.cancel_at(run.place);
        }
        Now::Wait(timer) => {
            // It is armed as long as it stands here.
            let _ = timer.cancel();
        }
    }
}

impl<T: 'static> Run<T> {
    fn attempt(self: Rc<Self>) {
        let Some(mut function) = self.function.take() else { return };
        self.now.set(Now::Calling);
        let attempt = self.attempts.get().saturating_add(1);
        self.attempts.set(attempt);
        let returned = call(self.place, || function(attempt));
        self.function.set(Some(function));
        match returned {
            Returned::Now(outcome) => self.over(outcome),
            Returned::Later(deferred) => {
                let handle = deferred.cancel_handle();
                self.now.set(Now::Attempt(handle.clone()));
                let cancelled = self.cancelled.get();
                let over = deferred.own_step("Retry").add_both(move |outcome| {
                    self.over(outcome);
                    Ok(())
                });
                over.detach();
                if cancelled {
                    handle.cancel();
                }
            }
        }
    }

    /// An attempt is over.
    fn over(self: Rc<Self>, outcome: Outcome<T>) {
        self.now.set(Now::Calling);
        let failure = match outcome {
            Err(failure) if !self.cancelled.get() => failure,
            outcome => return self.fire(outcome),
        };
        if let Some(worth_it) = &self.retry.retry_if {
            match call(self.place, || Returned::Now(Ok(worth_it(&failure)))) {
                Returned::Now(Ok(true)) => {}
                Returned::Now(Err(panic)) => return self.fire(Err(panic)),
                _ => return self.fire(Err(failure)),
            }
        }
        let dropped = {
            let mut failures = self.failures.borrow_mut();
            let full = failures.len() == KEPT;
            let oldest = full.then(|| failures.remove(0));
            failures.push(failure);
            oldest
        };
        drop(dropped); // what it holds is the user's, so not inside the borrow
        // Without the loop there is no further attempt either: its end abandons the Deferred.
        let Ok(event_loop) = self.event_loop.upgrade() else { return };
        if self.attempts.get() >= self.retry.max_attempts && self.retry.max_attempts < u32::MAX {
            return self.give_up(&event_loop);
        }
        let delay = self.delays.borrow_mut().next().unwrap_or_default();
        let (due, place) = (event_loop.time().saturating_add(delay), self.place);
        let run = self.clone();
        let timer = event_loop.call_at_for(due, place, move |_| run.attempt());
        self.now.set(Now::Wait(timer));
    }

    fn give_up(&self, event_loop: &EventLoop) {
        let error = RetryError {
            attempts: self.attempts.get(),
            took: event_loop.time().saturating_sub(self.started),
            failures: self.failures.take(),
        };
        self.fire(Err(Failure::raised_at(error, self.place)));
    }

    fn fire(&self, outcome: Outcome<T>) {
        if let Some(resolver) = self.resolver.take() {
            resolver.fire_at(outcome, self.place);
        }
    }
}

/// All attempts have failed.
///
/// It keeps the last 16 failures. Its source is the last one's error.
///
/// ```
/// use ropewalk::task::{Retry, RetryError};
/// use ropewalk::{EventLoop, Failure, TestClock, testing::failure_of};
/// use std::time::Duration;
///
/// let clock = TestClock::new();
/// let event_loop = EventLoop::builder().clock(&clock).build()?;
/// let poem = Retry::new().max_attempts(3).run(&event_loop, |n| Err::<(), _>(Failure::msg(format!("no {n}"))));
/// clock.advance(Duration::from_secs(3600))?;
/// let failure = failure_of(poem);
/// assert_eq!(failure.check::<RetryError>().unwrap().attempts(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RetryError {
    attempts: u32,
    took: Duration,
    failures: Vec<Failure>,
}

impl RetryError {
    /// How many attempts there were.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The time from the first attempt to the failure of the last, on the loop's clock.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// The failures of the attempts in their order; at most the last 16.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }
}

/// Says how many attempts there were and what became of each. Equal ones in a row are told once.
impl fmt::Display for RetryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gave up after {} attempts in {:?}: ", self.attempts, self.took)?;
        let earlier = self.attempts as usize - self.failures.len();
        if earlier > 0 {
            write!(f, "{earlier} earlier ones; ")?;
        }
        let texts: Vec<String> = self.failures.iter().map(Failure::to_string).collect();
        for (i, equal) in texts.chunk_by(|a, b| a == b).enumerate() {
            let text = equal.first().map_or("", String::as_str);
            write!(f, "{}{text}", if i == 0 { "" } else { "; " })?;
            if equal.len() > 1 {
                write!(f, " ({} times)", equal.len())?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RetryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RetryError: {self}")
    }
}

impl Error for RetryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.failures.last().map(|failure| failure.error() as _)
    }
}
