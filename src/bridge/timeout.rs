//! `timeout`: a future that must be ready in time.

use std::error::Error;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::event_loop::Handle;
use crate::trace::Place;

use super::sleep::{Sleep, sleep};

/// Gives `future` (or a Deferred) `limit` from this call on. When the time has run out, it is dropped.
///
/// A future that becomes ready at the same time as its limit has made it. For the Deferred of a task there is
/// [`Deferred::add_timeout`](crate::Deferred::add_timeout) too. If the loop is gone, there is nothing to count with, and the
/// time never runs out.
///
/// ```
/// use ropewalk::{Deferred, EventLoop, TestClock, bridge::timeout};
/// use std::time::Duration;
///
/// let clock = TestClock::new();
/// let event_loop = EventLoop::builder().clock(&clock).build()?;
/// let (resolver, poem) = Deferred::<String>::new();
/// let late = event_loop.block_on(async { Ok(timeout(&event_loop, Duration::from_secs(2), poem).await) })?;
/// assert_eq!(late.unwrap_err().after(), Duration::from_secs(2));
/// assert!(resolver.is_cancelled());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`TimedOut`] when it was not ready in time.
#[track_caller]
pub fn timeout<F: IntoFuture>(event_loop: impl Into<Handle>, limit: Duration, future: F) -> Timeout<F::IntoFuture> {
    let limited = Location::caller();
    Timeout { future: Box::pin(future.into_future()), sleep: sleep(event_loop, limit), limit, limited }
}

/// What [`timeout`] gives. One allocation: the future, which an `async` block of ours would hold twice.
///
/// ```
/// use ropewalk::{EventLoop, TestClock, bridge::{sleep, timeout}};
/// use std::time::Duration;
///
/// let event_loop = EventLoop::builder().clock(&TestClock::new()).build()?;
/// event_loop.block_on(async {
///     let limited = timeout(&event_loop, Duration::from_secs(3), async { 42 });
///     sleep(&event_loop, Duration::from_secs(60)).await?;
///     // The time is long over, but it is ready when it is asked.
///     assert_eq!(limited.await, Ok(42));
///     Ok(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "futures do nothing unless they are polled"]
pub struct Timeout<F> {
    future: Pin<Box<F>>,
    sleep: Sleep,
    limit: Duration,
    limited: Place,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, TimedOut>;

    #[track_caller] // the line of the `await`
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        match Pin::new(&mut self.sleep).poll(context) {
            Poll::Ready(Ok(())) => Poll::Ready(Err(TimedOut { after: self.limit, limited: self.limited })),
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<F> fmt::Debug for Timeout<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// A future was not ready in time.
///
/// ```
/// use ropewalk::{EventLoop, TestClock, bridge::{TimedOut, timeout}};
/// use std::time::Duration;
///
/// let event_loop = EventLoop::builder().clock(&TestClock::new()).build()?;
/// let failure = event_loop.block_on(async {
///     // `?` makes a failure of it, as of any error.
///     Ok(timeout(&event_loop, Duration::from_secs(2), std::future::pending::<()>()).await?)
/// }).unwrap_err();
/// let error: &TimedOut = failure.check().expect("it never is ready");
/// assert_eq!(error.after(), Duration::from_secs(2));
/// assert!(error.to_string().starts_with("a future timed out after 2s (limited at "));
/// assert_eq!(error.limited().file(), file!());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOut {
    after: Duration,
    limited: Place,
}

impl TimedOut {
    /// How long it was waited for.
    pub fn after(&self) -> Duration {
        self.after
    }

    /// Where its time was limited: the line of the [`timeout`].
    pub fn limited(&self) -> Place {
        self.limited
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a future timed out after {:?} (limited at {})", self.after, self.limited)
    }
}

impl Error for TimedOut {}
