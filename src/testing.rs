//! For unit tests: look into Deferreds without a loop, run protocols without sockets, and see that nothing was lost or
//! left behind.
//!
//! | for | item |
//! |---|---|
//! | the result of a Deferred | [`success_of`], [`failure_of`], [`assert_no_result`] |
//! | errors that nobody handled | [`capture_unhandled`] |
//! | a loop whose time stands still and whose network is memory | [`MemoryLoop`] |
//! | a protocol whose peer is the test | [`StringTransport`] |
//! | clients and servers that connect in memory | [`MemoryNetwork`] |
//! | what a test left registered | [`assert_clean`], [`MemoryLoop::assert_clean`] |
//!
//! The names are those of Twisted's trial and `proto_helpers`: `success_of` is its `successResultOf`, and so on.

mod memory_loop;
mod string_transport;
mod wire;

pub use memory_loop::{MemoryLoop, MemoryNetwork, MemoryPort};
pub use string_transport::{ProducerState, StringTransport};

use crate::event_loop::EventLoop;
use crate::ground::{Deferred, Failure, UnhandledError, UnhandledHook, set_unhandled_hook};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// The value of a Deferred that has one.
///
/// # Panics
///
/// When it has failed (the message has the failure) or has no result yet.
///
/// ```
/// use ropewalk::{Deferred, testing::success_of};
///
/// assert_eq!(success_of(Deferred::succeed(6).map(|n| n * 7)), 42);
/// ```
#[track_caller]
pub fn success_of<T: 'static>(deferred: Deferred<T>) -> T {
    match deferred.try_result() {
        Ok(Ok(value)) => value,
        Ok(Err(failure)) => panic!("expected a value, but the Deferred failed: {failure:?}"),
        Err(pending) => panic!("expected a value, but there is no result yet: {pending:?}"),
    }
}

/// The failure of a Deferred that has failed.
///
/// # Panics
///
/// When it has a value or no result yet.
///
/// ```
/// use ropewalk::{Deferred, Failure, testing::failure_of};
///
/// let failure = failure_of(Deferred::<()>::fail(Failure::msg("no paper")));
/// assert_eq!(failure.to_string(), "no paper");
/// ```
#[track_caller]
pub fn failure_of<T: 'static>(deferred: Deferred<T>) -> Failure {
    match deferred.try_result() {
        Ok(Err(failure)) => failure,
        Ok(Ok(_)) => panic!("expected a failure, but the Deferred has a value"),
        Err(pending) => panic!("expected a failure, but there is no result yet: {pending:?}"),
    }
}

/// Checks that a Deferred has no result yet.
///
/// # Panics
///
/// When it has one.
///
/// ```
/// use ropewalk::{Deferred, testing::{assert_no_result, success_of}};
///
/// let (resolver, poem) = Deferred::new();
/// assert_no_result(&poem);
/// resolver.succeed("If I were");
/// success_of(poem);
/// ```
#[track_caller]
pub fn assert_no_result<T: 'static>(deferred: &Deferred<T>) {
    assert!(!deferred.has_result(), "expected no result yet: {deferred:?}");
}

/// Collects this thread's reports of unhandled errors for as long as it lives.
///
/// Dropping it while it holds reports that nobody [flushed](Unhandled::flush_unhandled) panics: a test may not lose
/// errors in silence.
///
/// ```
/// use ropewalk::{Deferred, Failure, testing::capture_unhandled};
///
/// let unhandled = capture_unhandled();
/// drop(Deferred::<()>::fail(Failure::msg("lost")));
/// assert_eq!(unhandled.flush_unhandled().len(), 1);
/// ```
#[must_use = "it collects only while it lives"]
pub struct Unhandled {
    reports: Rc<RefCell<Vec<UnhandledError>>>,
    before: Option<UnhandledHook>,
}

/// Starts to collect this thread's reports of unhandled errors.
///
/// ```
/// use ropewalk::{Deferred, Failure, testing::capture_unhandled};
///
/// let unhandled = capture_unhandled();
/// let poem = Deferred::<()>::fail(Failure::msg("no paper"));
/// assert!(unhandled.flush_unhandled().is_empty()); // somebody may still handle it
/// drop(poem);
/// let reports = unhandled.flush_unhandled();
/// assert_eq!(reports.len(), 1);
/// assert!(reports[0].to_string().contains("no paper"));
/// ```
pub fn capture_unhandled() -> Unhandled {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let sink = reports.clone();
    let before = set_unhandled_hook(Some(Rc::new(move |error| sink.borrow_mut().push(error))));
    Unhandled { reports, before }
}

impl Unhandled {
    /// Takes the reports that came since the last flush. Twisted's `flushLoggedErrors`.
    pub fn flush_unhandled(&self) -> Vec<UnhandledError> {
        self.reports.take()
    }
}

impl Drop for Unhandled {
    fn drop(&mut self) {
        set_unhandled_hook(self.before.take());
        let left = self.flush_unhandled();
        if !left.is_empty() && !std::thread::panicking() {
            let list: String = left.iter().map(|error| format!("\n{error}")).collect();
            panic!("{} unhandled errors were not flushed:{list}", left.len());
        }
    }
}

impl fmt::Debug for Unhandled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} unhandled errors>", self.reports.borrow().len())
    }
}

/// Runs a loop until nothing is left to do at this time. Inside a callback the loop does that by itself.
#[track_caller]
fn settle(event_loop: &EventLoop) {
    if !event_loop.inner.is_running()
        && let Err(error) = event_loop.settle()
    {
        panic!("the loop cannot run: {error}");
    }
}

/// Checks that nothing is registered with a loop any more: no source (so no listener and no connection), no timer, no
/// job. Twisted's `DirtyReactorAggregateError`.
///
/// ```should_panic
/// use ropewalk::{EventLoop, testing::assert_clean};
/// use std::time::Duration;
///
/// let event_loop = EventLoop::new().unwrap();
/// event_loop.call_later(Duration::from_secs(60), |_| {}).named("reminder");
/// assert_clean(&event_loop); // left behind: timer (due at 60s) "reminder", made at ...
/// ```
///
/// # Panics
///
/// When something is left. The message has a line for each, with the line that made it.
#[track_caller]
pub fn assert_clean(event_loop: &EventLoop) {
    settle(event_loop);
    assert_none(&left_in(event_loop));
}

fn left_in(event_loop: &EventLoop) -> Vec<String> {
    event_loop.still_registered().iter().map(ToString::to_string).collect()
}

#[track_caller]
fn assert_none(left: &[String]) {
    let list: String = left.iter().map(|what| format!("\n  {what}")).collect();
    assert!(left.is_empty(), "the test left {} things behind:{list}", left.len());
}
