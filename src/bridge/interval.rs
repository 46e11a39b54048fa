//! `interval`: beats to wait for.

use std::panic::Location;
use std::time::Duration;

use crate::event_loop::{Closed, Handle};
use crate::trace::Place;

use super::sleep::sleep_until;

/// Beats that are `period` apart, the first one `period` from now.
///
/// Beats do not drift: each is a multiple of the period from the start. Beats that nobody waited for are skipped, as
/// [`LoopingCall`](crate::task::LoopingCall) skips them, and counted. A period of zero counts as one nanosecond.
///
/// ```
/// use ropewalk::{EventLoop, TestClock, bridge::{interval, sleep}};
/// use std::time::Duration;
///
/// let clock = TestClock::new();
/// let event_loop = EventLoop::builder().clock(&clock).build()?;
/// event_loop.block_on(async {
///     let mut beats = interval(&event_loop, Duration::from_secs(2));
///     assert_eq!(beats.tick().await?, 1);
///     sleep(&event_loop, Duration::from_secs(5)).await?; // misses the beats at 4 s and 6 s
///     assert_eq!(beats.tick().await?, 2);
///     assert_eq!(beats.tick().await?, 1);
///     assert_eq!(event_loop.time(), Duration::from_secs(8));
///     Ok(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn interval(event_loop: impl Into<Handle>, period: Duration) -> Interval {
    let event_loop = event_loop.into();
    let start = event_loop.time().unwrap_or_default();
    Interval { event_loop, start, period: period.max(Duration::from_nanos(1)), beat: 0, place: Location::caller() }
}

/// What [`interval`] gives.
///
/// ```
/// use ropewalk::{EventLoop, Failure, TestClock, bridge::{Interval, interval}};
/// use std::time::Duration;
///
/// /// The time that ten beats take.
/// async fn ten(mut beats: Interval) -> Result<Duration, Failure> {
///     for _ in 0..10 {
///         assert_eq!(beats.tick().await?, 1); // none was missed
///     }
///     Ok(beats.period() * 10)
/// }
///
/// let event_loop = EventLoop::builder().clock(&TestClock::new()).build()?;
/// let took = event_loop.block_on(ten(interval(&event_loop, Duration::from_millis(20))))?;
/// assert_eq!(took, event_loop.time());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Interval {
    event_loop: Handle,
    start: Duration,
    period: Duration,
    /// The last beat that was told, counted from 1.
    beat: u64,
    place: Place,
}

impl Interval {
    /// Waits for the next beat, and answers how many there were since the last answer: more than one when nobody waited
    /// for some. Dropping what it gives loses no beat.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the loop is gone.
    pub async fn tick(&mut self) -> Result<u64, Closed> {
        let due = self.start.saturating_add(nanoseconds(self.period.as_nanos() * u128::from(self.beat + 1)));
        let mut sleep = sleep_until(&self.event_loop, due);
        sleep.set_place(self.place);
        sleep.await?;
        let passed = self.event_loop.time()?.saturating_sub(self.start).as_nanos() / self.period.as_nanos();
        // Never fewer than the one that was waited for.
        let beat = u64::try_from(passed).unwrap_or(u64::MAX).max(self.beat + 1);
        let beats = beat - self.beat;
        self.beat = beat;
        Ok(beats)
    }

    /// The time between two beats.
    pub fn period(&self) -> Duration {
        self.period
    }
}

/// What does not fit (584 years) is the greatest value.
fn nanoseconds(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
