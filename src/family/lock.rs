//! `DeferredLock`: one at a time, first come, first served.

use super::permit::{Gate, Permit};
use crate::ground::{CallbackResult, Deferred};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// A lock for callbacks: one at a time, first come, first served. Twisted's `DeferredLock`.
///
/// Callbacks never run at the same time, but a job of several callbacks may be half done when another one starts. The
/// lock keeps the others waiting until it is done. Clones are the same lock.
///
/// A waiter that is cancelled leaves the line. If all the permits and locks go, those who wait fail with
/// [`AbandonedError`](crate::AbandonedError).
///
/// ```
/// use ropewalk::{Deferred, DeferredLock, testing::{assert_no_result, success_of}};
///
/// let lock = DeferredLock::new();
/// let (saved, saving) = Deferred::new();
/// let first = lock.run(move || saving);
/// let second = lock.run(|| Ok("mine now"));
/// assert_no_result(&second); // the first one is not done
/// saved.succeed("done");
/// assert_eq!((success_of(first), success_of(second)), ("done", "mine now"));
/// ```
#[derive(Clone)]
pub struct DeferredLock {
    gate: Rc<Gate>,
}

impl DeferredLock {
    /// A lock that is free. As many as like may wait for it; see [`with_backlog`](DeferredLock::with_backlog).
    #[track_caller]
    #[allow(clippy::new_without_default)] // `default` would not know the line that made it
    pub fn new() -> DeferredLock {
        DeferredLock::with_backlog(usize::MAX)
    }

    /// A lock that is free, and for which at most `backlog` may wait: for when strangers decide how many ask.
    ///
    /// With that many in the line, what [`acquire`](DeferredLock::acquire) and [`run`](DeferredLock::run) give has
    /// failed already, with [`BacklogFull`](crate::BacklogFull), and the function is not called.
    ///
    /// ```
    /// use ropewalk::{BacklogFull, DeferredLock, testing::{failure_of, success_of}};
    ///
    /// let lock = DeferredLock::with_backlog(1);
    /// let permit = success_of(lock.acquire());
    /// let second = lock.run(|| Ok("my turn"));
    /// let third = lock.run(|| Ok("too many"));
    /// assert_eq!(failure_of(third).check::<BacklogFull>().unwrap().backlog(), 1);
    /// drop(permit);
    /// assert_eq!(success_of(second), "my turn");
    /// ```
    #[track_caller]
    pub fn with_backlog(backlog: usize) -> DeferredLock {
        DeferredLock { gate: Gate::new(1, backlog, Location::caller()) }
    }

    /// Asks for the lock. Fires with the [`Permit`] when it is free and all who asked before have had it.
    ///
    /// ```
    /// use ropewalk::{DeferredLock, testing::success_of};
    ///
    /// let lock = DeferredLock::new();
    /// let permit = success_of(lock.acquire());
    /// assert!(lock.is_locked());
    /// drop(permit);
    /// assert!(!lock.is_locked());
    /// ```
    #[track_caller]
    pub fn acquire(&self) -> Deferred<Permit> {
        self.gate.acquire()
    }

    /// The lock, if it is free now and nobody waits for it.
    ///
    /// ```
    /// use ropewalk::DeferredLock;
    ///
    /// let lock = DeferredLock::new();
    /// let permit = lock.try_acquire().expect("it is free");
    /// assert!(lock.try_acquire().is_none());
    /// drop(permit);
    /// assert!(lock.try_acquire().is_some());
    /// ```
    pub fn try_acquire(&self) -> Option<Permit> {
        self.gate.try_acquire()
    }

    /// Runs `f` with the lock, and gives the lock back when `f`'s result is there: value, failure or panic.
    ///
    /// Cancelling what it gives back leaves the line while it waits there, and cancels `f`'s own Deferred after that. A
    /// million waiters that `run` one after the other take no stack.
    #[track_caller]
    pub fn run<R: CallbackResult>(
        &self,
        f: impl FnOnce() -> R + 'static,
    ) -> Deferred<<R as CallbackResult>::Value> {
        self.gate.run(f)
    }

    /// Whether somebody has it.
    pub fn is_locked(&self) -> bool {
        self.gate.free() == 0
    }

    /// How many wait for it.
    pub fn waiting(&self) -> usize {
        self.gate.waiting()
    }
}

impl fmt::Debug for DeferredLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<DeferredLock: {:?}>", self.gate)
    }
}
