//! `sleep`: a future that is ready at a time of the loop's clock.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::event_loop::tasks::{WakeSlot, tell};
use crate::event_loop::{Closed, DelayedCall, Handle};
use crate::trace::{self, Place};

use super::ring;

/// Waits until `delay` has passed on the loop's clock, counted from this call.
///
/// It is ready at once when the time is over already. Dropping it takes the timer off the loop.
///
/// ```
/// use ropewalk::{EventLoop, TestClock, bridge::sleep};
/// use std::time::Duration;
///
/// let clock = TestClock::new();
/// let event_loop = EventLoop::builder().clock(&clock).build()?;
/// event_loop.block_on(async {
///     sleep(&event_loop, Duration::from_secs(60)).await?;
///     Ok(())
/// })?;
/// assert_eq!(clock.now(), Duration::from_secs(60));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Closed`](crate::Closed) when the loop is gone.
#[track_caller]
pub fn sleep(event_loop: impl Into<Handle>, delay: Duration) -> Sleep {
    let event_loop = event_loop.into();
    let due = event_loop.time().map_or(Duration::ZERO, |now| now.saturating_add(delay));
    Sleep { event_loop, due, place: Location::caller(), armed: None }
}

/// Waits until the loop's clock shows `due`, as [`EventLoop::time`](crate::EventLoop::time) counts.
///
/// # Errors
///
/// [`Closed`](crate::Closed) when the loop is gone.
///
/// ```
/// use ropewalk::{EventLoop, TestClock, bridge::{sleep, sleep_until}};
/// use std::time::Duration;
///
/// let event_loop = EventLoop::builder().clock(&TestClock::new()).build()?;
/// event_loop.block_on(async {
///     let due = Duration::from_secs(12);
///     sleep(&event_loop, Duration::from_secs(5)).await?;
///     sleep_until(&event_loop, due).await?;
///     assert_eq!(event_loop.time(), due);
///     sleep_until(&event_loop, due).await?; // it is over: ready at once
///     assert_eq!(event_loop.time(), due);
///     Ok(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn sleep_until(event_loop: impl Into<Handle>, due: Duration) -> Sleep {
    Sleep { event_loop: event_loop.into(), due, place: Location::caller(), armed: None }
}

/// What [`sleep`] gives.
///
/// ```
/// use ropewalk::{EventLoop, TestClock, bridge::sleep};
/// use std::time::Duration;
///
/// let event_loop = EventLoop::builder().clock(&TestClock::new()).build()?;
/// event_loop.block_on(async {
///     // Both are counted from here, so they end together.
///     let (one, other) = (sleep(&event_loop, Duration::from_secs(2)), sleep(&event_loop, Duration::from_secs(2)));
///     assert_eq!(one.deadline(), Duration::from_secs(2));
///     one.await?;
///     other.await?;
///     Ok(())
/// })?;
/// assert_eq!(event_loop.time(), Duration::from_secs(2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "futures do nothing unless they are polled"]
pub struct Sleep {
    event_loop: Handle,
    due: Duration,
    place: Place,
    /// From the first poll on.
    armed: Option<(DelayedCall, Rc<Bell>)>,
}

#[derive(Default)]
struct Bell {
    /// The time has come, or never will.
    over: Cell<Option<Result<(), Closed>>>,
    sleeper: WakeSlot,
}

/// The timer's side. Dropped without being called when the loop is dropped.
struct Ringer(Rc<Bell>);

impl Drop for Ringer {
    fn drop(&mut self) {
        if self.0.over.get().is_none() {
            self.0.over.set(Some(Err(Closed)));
        }
        ring(self.0.sleeper.take());
    }
}

impl Sleep {
    /// The time of the loop's clock at which it is ready.
    pub fn deadline(&self) -> Duration {
        self.due
    }

    /// For somebody else: `place` is the line of the program that wants it.
    pub(super) fn set_place(&mut self, place: Place) {
        self.place = place;
    }
}

impl Future for Sleep {
    type Output = Result<(), Closed>;

    #[track_caller] // the line of the `await`
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some((call, bell)) = &self.armed {
            return match bell.over.get() {
                Some(result) => Poll::Ready(result),
                None => {
                    bell.sleeper.set(context.waker());
                    if trace::on() {
                        tell::waits(call.id(), Location::caller());
                    }
                    Poll::Pending
                }
            };
        }
        let event_loop = match self.event_loop.upgrade() {
            Ok(event_loop) => event_loop,
            Err(closed) => return Poll::Ready(Err(closed)),
        };
        if event_loop.time() >= self.due {
            return Poll::Ready(Ok(()));
        }
        let bell = Rc::new(Bell::default());
        bell.sleeper.set(context.waker());
        let ringer = Ringer(bell.clone());
        let call = event_loop.call_at_for(self.due, self.place, move |_| ringer.0.over.set(Some(Ok(()))));
        if trace::on() {
            tell::waits(call.id(), Location::caller());
        }
        self.armed = Some((call, bell));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((call, bell)) = self.armed.take() {
            // Dropped last, since that of a foreign executor may panic.
            let _waker = bell.sleeper.take();
            // One that is over, or whose loop is gone, has nothing to cancel.
            let _ = call.cancel();
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("due", &self.due).finish_non_exhaustive()
    }
}
