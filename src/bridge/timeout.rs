//! `timeout`: a future that must be ready in time.

use std::error::Error;
use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use crate::event_loop::Handle;
use crate::trace::Place;

use super::sleep::sleep;

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
pub fn timeout<F: IntoFuture>(
    event_loop: impl Into<Handle>,
    limit: Duration,
    future: F,
) -> impl Future<Output = Result<F::Output, TimedOut>> {
    let place = Location::caller();
    let mut sleep = sleep(event_loop, limit);
    let future = future.into_future();
    async move {
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            match Pin::new(&mut sleep).poll(context) {
                Poll::Ready(Ok(())) => Poll::Ready(Err(TimedOut { after: limit, limited: place })),
                Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

/// A future was not ready in time.
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
