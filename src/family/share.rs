//! `Shared`: one result for many waiters.

use super::line::Line;
use crate::ground::deferred::{Deferred, Origin};
use crate::ground::jobs::Jobs;
use crate::ground::sink::Sink;
use crate::ground::step::Outcome;
use crate::ground::trace::{self, Id, Place};
use crate::ground::{CancelHandle, Failure};
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;

/// One result for many: whoever asks gets a Deferred of his own, with a clone of the value, or with a failure that all
/// of them see. Made by [`Deferred::share`]; clones are the same.
///
/// * Those who asked before the result came get it in the order in which they asked, then those who ask later at once.
/// * The failure is one [shared](Failure::share) by all: `check` and `trap` work for each of them.
/// * A waiter that is cancelled leaves; the others wait on. [`cancel`](Shared::cancel) cancels the work itself.
/// * A failure that nobody was given is reported when the last clone goes.
///
/// ```
/// use ropewalk::{Deferred, testing::success_of};
///
/// let (resolver, page) = Deferred::new();
/// let page = page.share();
/// let (length, shout) = (page.get().map(|text: String| text.len()), page.get().map(|text| text.to_uppercase()));
/// resolver.succeed("a page".to_owned());
/// assert_eq!((success_of(length), success_of(shout)), (6, "A PAGE".to_owned()));
/// assert_eq!(success_of(page.get()), "a page"); // and still
/// ```
pub struct Shared<T: 'static> {
    inner: Rc<Inner<T>>,
    source: CancelHandle,
    /// What the trace calls the Deferred that was shared.
    of: Option<Id>,
}

struct Inner<T: 'static> {
    made: Place,
    line: Rc<Line<T>>,
    /// Taken out while it is cloned, which is the program's code.
    result: Cell<Option<Outcome<T>>>,
    /// Somebody was given the failure.
    given: Cell<bool>,
}

impl<T: Clone + 'static> Deferred<T> {
    /// Makes the result one that many can wait for.
    ///
    /// A failure is seen by each who asks, and each has to handle it:
    ///
    /// ```
    /// use ropewalk::{Deferred, Failure, testing::{capture_unhandled, failure_of}};
    ///
    /// let unhandled = capture_unhandled();
    /// let page = Deferred::<String>::fail(Failure::msg("no network")).share();
    /// assert_eq!(failure_of(page.get()).to_string(), "no network");
    /// drop(page.get()); // nobody handles it here
    /// assert_eq!(unhandled.flush_unhandled().len(), 1);
    /// ```
    #[track_caller]
    pub fn share(self) -> Shared<T> {
        let made = Location::caller();
        let source = self.cancel_handle();
        let of = if trace::on() { self.id() } else { None };
        let inner = Rc::new(Inner { made, line: Line::new(), result: Cell::new(None), given: Cell::new(false) });
        Jobs::all(|jobs| self.give_to(inner.clone(), jobs));
        Shared { inner, source, of }
    }
}

impl<T: Clone + 'static> Shared<T> {
    /// A Deferred of the result, for one who waits for it.
    #[track_caller]
    pub fn get(&self) -> Deferred<T> {
        let deferred = self.inner.line.join_for(self.of);
        Jobs::all(|jobs| Inner::serve(self.inner.clone(), jobs));
        deferred
    }

    /// Cancels the work that all wait for. What comes of it goes to each of them.
    ///
    /// ```
    /// use ropewalk::{CancelledError, Deferred, testing::failure_of};
    ///
    /// let (resolver, page) = Deferred::<String>::new();
    /// let page = page.share();
    /// let waiters = [page.get(), page.get()];
    /// assert_eq!(page.waiting(), 2);
    /// page.cancel();
    /// assert!(resolver.is_cancelled());
    /// assert!(waiters.map(failure_of).iter().all(|failure| failure.check::<CancelledError>().is_some()));
    /// ```
    #[track_caller]
    pub fn cancel(&self) {
        self.source.cancel();
    }

    /// How many wait for the result.
    pub fn waiting(&self) -> usize {
        self.inner.line.len()
    }
}

impl<T: Clone + 'static> Sink<T> for Rc<Inner<T>> {
    fn take(self, outcome: Outcome<T>, _from: &Origin, jobs: &mut Jobs) {
        self.result.set(Some(outcome));
        jobs.work(move |jobs| Inner::serve(self, jobs));
    }
}

impl<T: Clone + 'static> Inner<T> {
    /// Gives the result, if it is there, to the first in the line; then, as the next job, to the next one.
    fn serve(this: Rc<Self>, jobs: &mut Jobs) {
        // Without a result: it has not come, or it is being cloned, and whoever does that serves the line.
        let Some(mut result) = this.result.take() else { return };
        let Some(waiter) = this.line.next() else { return this.result.set(Some(result)) };
        let copy = match &mut result {
            Ok(value) => catch_unwind(AssertUnwindSafe(|| value.clone()))
                .map_err(|payload| Failure::panic(payload, this.made)),
            Err(failure) => {
                this.given.set(true);
                Err(failure.share())
            }
        };
        this.result.set(Some(result));
        let made = this.made;
        jobs.work(move |jobs| Inner::serve(this, jobs));
        jobs.work(move |jobs| waiter.fire_in(copy, made, jobs));
    }
}

impl<T: 'static> Drop for Inner<T> {
    fn drop(&mut self) {
        let failure = match self.result.take() {
            Some(Err(failure)) if !self.given.get() => failure,
            // Dropped wherever the last one lets go, which may be in the middle of a job.
            Some(Ok(value)) => match catch_unwind(AssertUnwindSafe(|| drop(value))) {
                Ok(()) => return,
                Err(payload) => Failure::panic(payload, self.made),
            },
            _ => return,
        };
        drop(Deferred::<T>::done(Err(failure), self.made));
    }
}

impl<T: 'static> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared { inner: self.inner.clone(), source: self.source.clone(), of: self.of }
    }
}

impl<T: 'static> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<Shared result of the Deferred shared at {}, {} waiting>",
            self.inner.made,
            self.inner.line.len()
        )
    }
}
