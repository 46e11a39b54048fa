//! `Resolver`: the end of a Deferred that fires it.

use super::abandon::abandon;
use super::chain::{self, Ask, Chain, Head};
use super::failure::Failure;
use super::info::Phase;
use super::jobs::Jobs;
use super::step::Outcome;
use super::tell;
use super::trace::{self, Place};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// The end of a [`Deferred`](crate::Deferred) that fires it, once: firing consumes it.
///
/// Firing is synchronous. All steps that can run, run before `succeed` or `fail` returns, on its stack.
///
/// A `Resolver` that is dropped without firing fails its Deferred with [`AbandonedError`](crate::AbandonedError), so
/// that nothing waits for ever in silence. (Dropped by the canceller, it is a
/// [`CancelledError`](crate::CancelledError), as for any cancel.)
///
/// A `Resolver` that is kept inside its own chain (captured by one of its callbacks) leaks: nobody is left to fire it.
///
/// ```
/// use ropewalk::{Deferred, Failure, testing::{failure_of, success_of}};
///
/// let (resolver, poem) = Deferred::new();
/// resolver.succeed("If I were");
/// assert_eq!(success_of(poem), "If I were");
///
/// let (resolver, poem) = Deferred::<String>::new();
/// resolver.fail(Failure::msg("no paper"));
/// assert_eq!(failure_of(poem).to_string(), "no paper");
/// ```
#[must_use = "a Resolver that is dropped fails its Deferred"]
pub struct Resolver<T: 'static> {
    head: Option<Rc<Head<T>>>,
}

impl<T: 'static> Resolver<T> {
    pub(crate) fn new(head: Rc<Head<T>>) -> Resolver<T> {
        Resolver { head: Some(head) }
    }

    pub(crate) fn set_canceller(&self, canceller: Rc<dyn Ask>) {
        if let Some(head) = &self.head {
            head.part.ask.set(Some(canceller));
        }
    }

    /// Fires the Deferred with a value. After a cancel the value is swallowed. Twisted's `callback`.
    #[track_caller]
    pub fn succeed(self, value: T) {
        self.fire_at(Ok(value), Location::caller());
    }

    /// Fires the Deferred with a failure. After a cancel the failure is swallowed. Twisted's `errback`.
    #[track_caller]
    pub fn fail(self, failure: impl Into<Failure>) {
        self.fire_at(Err(failure.into()), Location::caller());
    }

    /// Fires the Deferred with a result, value or failure.
    ///
    /// ```
    /// use ropewalk::{Deferred, Failure, testing::success_of};
    ///
    /// let (resolver, number) = Deferred::new();
    /// let text = "42";
    /// resolver.fire(text.parse::<i32>().map_err(Failure::from));
    /// assert_eq!(success_of(number), 42);
    /// ```
    #[track_caller]
    pub fn fire(self, result: Result<T, Failure>) {
        self.fire_at(result, Location::caller());
    }

    /// The same for somebody else: `at` is the line of the program that gave the result.
    pub(crate) fn fire_at(mut self, outcome: Outcome<T>, at: Place) {
        if let Some((swallowed, _)) = Jobs::all(|jobs| self.fire_among(outcome, at, jobs)) {
            drop(swallowed);
        }
    }

    /// The same as one job among others.
    pub(crate) fn fire_in(mut self, outcome: Outcome<T>, at: Place, jobs: &mut Jobs) {
        if let Some((swallowed, head)) = self.fire_among(outcome, at, jobs) {
            chain::discard(&head.part, None, || {
                drop(swallowed);
                None
            });
        }
    }

    /// Answers an outcome that was swallowed.
    fn fire_among(&mut self, outcome: Outcome<T>, at: Place, jobs: &mut Jobs) -> Option<(Outcome<T>, Rc<Head<T>>)> {
        let head = self.head.take()?;
        let mut swallowed = head.clone().fire(outcome, Some(at), jobs).err()?;
        if trace::on() {
            tell::swallowed(&head.part.info, &mut swallowed, Some(at));
        }
        Some((swallowed, head))
    }

    /// Whether somebody cancelled the Deferred: the work may stop, a result would be swallowed.
    ///
    /// ```
    /// use ropewalk::{Deferred, testing::failure_of};
    ///
    /// let (resolver, sum) = Deferred::<u64>::new();
    /// assert!(!resolver.is_cancelled());
    /// sum.cancel();
    /// assert!(resolver.is_cancelled());
    /// # failure_of(sum);
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.head
            .as_ref()
            .is_some_and(|head| head.part.info.cancelled.get() && head.part.info.phase.get() != Phase::Unfired)
    }

    /// Where the pair was made.
    pub fn made(&self) -> Option<Place> {
        self.head.as_ref().map(|head| head.part.info.made())
    }
}

impl<T: 'static> Drop for Resolver<T> {
    fn drop(&mut self) {
        if let Some(head) = self.head.take()
            && head.part.info.phase.get() == Phase::Unfired
            // Cancelled and not fired: the canceller runs, and let go of this. The chain fails when it returns.
            && !head.part.info.cancelled.get()
        {
            abandon(head as Rc<dyn Chain>);
        }
    }
}

impl<T: 'static> fmt::Debug for Resolver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.head {
            Some(head) => {
                let cancelled = if self.is_cancelled() { ", cancelled" } else { "" };
                write!(f, "<Resolver of the Deferred made at {}{cancelled}>", head.part.info.made())
            }
            None => f.write_str("<Resolver, fired>"),
        }
    }
}
