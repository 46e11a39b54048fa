//! A gate that lets so many through at a time, and the permit of one who is through.

use super::line::Line;
use crate::ground::deferred::Deferred;
use crate::ground::jobs::{Job, Jobs};
use crate::ground::sink::Relay;
use crate::ground::trace::Place;
use crate::ground::{CallbackResult, Failure, Resolver};
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// What a lock and a semaphore have in common.
///
/// Whenever nobody is being served, there is no free place or nobody in the line.
pub(super) struct Gate {
    made: Place,
    places: usize,
    /// How many may wait.
    backlog: usize,
    free: Cell<usize>,
    line: Rc<Line<Permit>>,
    /// A permit is being dropped, and whoever drops it serves the line: one loop, not a drop in a drop in a drop.
    serving: Cell<bool>,
}

impl Gate {
    pub(super) fn new(places: usize, backlog: usize, made: Place) -> Rc<Gate> {
        let (free, serving) = (Cell::new(places), Cell::new(false));
        Rc::new(Gate { made, places, backlog, free, line: Line::new(), serving })
    }

    pub(super) fn free(&self) -> usize {
        self.free.get()
    }

    pub(super) fn waiting(&self) -> usize {
        self.line.len()
    }

    pub(super) fn try_acquire(self: &Rc<Self>) -> Option<Permit> {
        // A place that is free while there is a line belongs to the line.
        let free = self.free.get().checked_sub(1).filter(|_| self.line.is_empty())?;
        self.free.set(free);
        Some(Permit { gate: Some(self.clone()) })
    }

    #[track_caller]
    pub(super) fn acquire(self: &Rc<Self>) -> Deferred<Permit> {
        match self.try_acquire() {
            Some(permit) => Deferred::succeed(permit),
            None if self.line.has_room(self.backlog) => {
                let waits = self.line.join();
                self.serve();
                waits
            }
            None => {
                let error = BacklogFull { backlog: self.backlog, made: self.made };
                Deferred::fail(Failure::raised_at(error, Location::caller()))
            }
        }
    }

    #[track_caller]
    pub(super) fn run<R: CallbackResult>(
        self: &Rc<Self>,
        f: impl FnOnce() -> R + 'static,
    ) -> Deferred<<R as CallbackResult>::Value> {
        let held = Rc::new(Cell::new(None));
        let hold = held.clone();
        self.acquire()
            .add_callback(move |permit| {
                hold.set(Some(permit));
                f()
            })
            .relay(Release { held, at: Location::caller() })
    }

    /// Gives a place back. Answers the one who gets it.
    fn next(self: &Rc<Self>) -> Option<(Resolver<Permit>, Permit)> {
        match self.line.next() {
            Some(waiter) => Some((waiter, Permit { gate: Some(self.clone()) })),
            None => {
                self.free.set(self.free.get() + 1);
                None
            }
        }
    }

    /// Gives a place back from inside a drop.
    fn give_back(self: Rc<Self>) {
        self.free.set(self.free.get() + 1);
        self.serve();
    }

    /// Gives free places to the line.
    fn serve(self: &Rc<Self>) {
        if self.serving.replace(true) {
            return;
        }
        while let Some(free) = self.free.get().checked_sub(1)
            && let Some(waiter) = self.line.next()
        {
            self.free.set(free);
            let permit = Permit { gate: Some(self.clone()) };
            Jobs::all(|jobs| waiter.fire_in(Ok(permit), self.made, jobs));
        }
        self.serving.set(false);
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} free, {} waiting, made {}", self.free(), self.places, self.waiting(), self.made)
    }
}

/// The right to be in: what [`DeferredLock`](crate::DeferredLock) and [`DeferredSemaphore`](crate::DeferredSemaphore)
/// give. Dropping it gives the place back, and so does [`release`](Permit::release).
///
/// ```
/// use ropewalk::{DeferredLock, testing::success_of};
///
/// let lock = DeferredLock::new();
/// let permit = success_of(lock.acquire());
/// let next = lock.acquire();
/// assert!(!next.has_result());
/// drop(permit); // or `permit.release()`
/// assert!(next.has_result());
/// # drop(next);
/// ```
#[must_use = "dropping it gives the place back at once"]
pub struct Permit {
    gate: Option<Rc<Gate>>,
}

impl Permit {
    /// Gives the place back now: the first in the line gets it, and its callbacks run inside this call. Twisted's
    /// `release`.
    ///
    /// A waiter that releases by hand inside its own callback calls the next one from there, and so on: that nests as
    /// deep as the line is long. Dropping the permit there does not nest, and neither does `run`.
    #[track_caller]
    pub fn release(mut self) {
        let at = Location::caller();
        if let Some((waiter, permit)) = self.gate.take().and_then(|gate| gate.next()) {
            Jobs::all(|jobs| waiter.fire_in(Ok(permit), at, jobs));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.give_back();
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.gate {
            Some(gate) => write!(f, "<Permit: {gate:?}>"),
            None => f.write_str("<Permit, given back>"),
        }
    }
}

/// As many wait for a [`DeferredLock`](crate::DeferredLock) or [`DeferredSemaphore`](crate::DeferredSemaphore) as may.
///
/// ```
/// use ropewalk::{BacklogFull, DeferredSemaphore, testing::{failure_of, success_of}};
/// use std::num::NonZeroUsize;
///
/// let one = DeferredSemaphore::with_backlog(NonZeroUsize::MIN, 0);
/// let _permit = success_of(one.acquire());
/// assert_eq!(failure_of(one.acquire()).check::<BacklogFull>().unwrap().backlog(), 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BacklogFull {
    backlog: usize,
    made: Place,
}

impl BacklogFull {
    /// How many may wait.
    pub fn backlog(&self) -> usize {
        self.backlog
    }

    /// Where the lock or semaphore was made.
    pub fn made(&self) -> Place {
        self.made
    }
}

impl fmt::Display for BacklogFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BacklogFull { backlog, made } = self;
        write!(f, "taken, and {backlog} wait already, which is the backlog of the lock or semaphore made at {made}")
    }
}

impl Error for BacklogFull {}

/// Gives the place of a `run` back when its function is done.
struct Release {
    held: Rc<Cell<Option<Permit>>>,
    at: Place,
}

impl Relay for Release {
    fn passed(self) -> Option<Job> {
        // Empty if it was cancelled in the line.
        let mut permit = self.held.take()?;
        let (waiter, next) = permit.gate.take()?.next()?;
        Some(Job::Work(Box::new(move |jobs| waiter.fire_in(Ok(next), self.at, jobs))))
    }
}
