//! What looks at a result without changing it, and what takes it elsewhere: `inspect`, `log_errors`, `chain`.

use super::deferred::{Deferred, Origin};
use super::failure::Failure;
use super::jobs::Jobs;
use super::resolver::Resolver;
use super::sink::Sink;
use super::step::{Inspect, InspectErr, Outcome};
use super::trace::Place;
use std::fmt;
use std::panic::Location;

impl<T: 'static> Deferred<T> {
    /// Adds a step that looks at the value and lets it go on. A failure passes by.
    ///
    /// ```
    /// use ropewalk::{Deferred, testing::success_of};
    ///
    /// let d = Deferred::succeed(7).inspect(|n| println!("there it is: {n}")).map(|n| n + 1);
    /// assert_eq!(success_of(d), 8);
    /// ```
    #[track_caller]
    pub fn inspect(self, look: impl FnOnce(&T) + 'static) -> Deferred<T> {
        self.add(Inspect(look), Location::caller())
    }

    /// Adds a step that looks at the failure and lets it go on: it is not handled. A value passes by.
    ///
    /// ```
    /// use ropewalk::{Deferred, Failure, testing::failure_of};
    ///
    /// let d = Deferred::<i32>::fail(Failure::msg("engine down")).inspect_err(|failure| println!("{failure:?}"));
    /// assert_eq!(failure_of(d).to_string(), "engine down");
    /// ```
    #[track_caller]
    pub fn inspect_err(self, look: impl FnOnce(&Failure) + 'static) -> Deferred<T> {
        self.add(InspectErr(look), Location::caller())
    }

    /// Handles every failure by a line in the log, and says so: what goes wrong here is ignored on purpose.
    ///
    /// The line is a warning of the target `ropewalk`: `what`, the failure with its sources, and where it was raised.
    /// The value goes on as `Some`, a logged failure as `None`. Twisted's `addErrback(log.err, what)`.
    ///
    /// ```
    /// use ropewalk::{Deferred, Failure, testing::success_of};
    ///
    /// let cached = Deferred::<String>::fail(Failure::msg("disk full")).log_errors("cannot write the cache");
    /// assert_eq!(success_of(cached), None);
    /// ```
    #[track_caller]
    pub fn log_errors(self, what: impl fmt::Display + 'static) -> Deferred<Option<T>> {
        self.add_callbacks(
            |value| Ok(Some(value)),
            move |failure| {
                log::warn!(target: "ropewalk", "{what}: {failure:#} (raised at {})", failure.raised());
                Ok(None)
            },
        )
    }

    /// Fires `resolver` with the result, value or failure, when it comes. Twisted's `chainDeferred`.
    ///
    /// A cancel of the other Deferred does not reach this one: hang this one's
    /// [`cancel_handle`](Deferred::cancel_handle) into a canceller if it shall. A million Deferreds chained one to the
    /// next take no stack.
    ///
    /// ```
    /// use ropewalk::{Deferred, testing::success_of};
    ///
    /// let (resolver, answer) = Deferred::new();
    /// let (engine, question) = Deferred::new();
    /// question.map(|n: i32| n * 6).chain(resolver);
    /// engine.succeed(7);
    /// assert_eq!(success_of(answer), 42);
    /// ```
    #[track_caller]
    pub fn chain(self, resolver: Resolver<T>) {
        let at = Location::caller();
        Jobs::all(|jobs| self.give_to(Into { resolver, at }, jobs));
    }
}

/// The sink that fires another Deferred.
struct Into<T: 'static> {
    resolver: Resolver<T>,
    at: Place,
}

impl<T: 'static> Sink<T> for Into<T> {
    fn take(self, outcome: Outcome<T>, _from: &Origin, jobs: &mut Jobs) {
        let Into { resolver, at } = self;
        jobs.work(move |jobs| resolver.fire_in(outcome, at, jobs));
    }
}
