//! The loop's clock: nanoseconds since the loop was made, from the system or from a test.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use super::error::RunError;
use super::{EventLoop, Inner};

/// A duration as nanoseconds; what does not fit (584 years) is the greatest value.
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

/// Where a loop reads the time.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    Real(Instant),
    Test(TestClock),
}

impl Clock {
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match self {
            Clock::Real(start) => nanos(start.elapsed()),
            Clock::Test(clock) => clock.0.now.get(),
        }
    }

    /// How long to wait for a deadline, in nanoseconds.
    pub(crate) fn until(&self, at: u64) -> u64 {
        let at = match self {
            Clock::Real(_) => at.checked_next_multiple_of(GRAIN).unwrap_or(at),
            Clock::Test(_) => at,
        };
        at.saturating_sub(self.now())
    }
}

/// Real deadlines are waited for up to the next such step, so that timers which lie close together share a wake-up.
/// 50 microseconds is what Linux adds to everybody's sleep.
const GRAIN: u64 = 50_000;

/// A clock that stands still until somebody moves it: for tests and lessons.
///
/// Loops are attached to it with [`Builder::clock`](super::Builder::clock). It starts at zero, and clones are the same
/// clock. [`run`](EventLoop::run) on such a loop does not wait for a timer: when nothing is ready, the clock jumps to
/// the next deadline.
///
/// ```
/// use ropewalk::{EventLoop, TestClock};
/// use std::{cell::Cell, rc::Rc, time::Duration};
///
/// let clock = TestClock::new();
/// let event_loop = EventLoop::builder().clock(&clock).build()?;
/// let fired = Rc::new(Cell::new(false));
/// let seen = fired.clone();
/// event_loop.call_later(Duration::from_secs(60), move |_| seen.set(true));
///
/// clock.advance(Duration::from_secs(59))?;
/// assert!(!fired.get());
/// clock.advance(Duration::from_secs(1))?;
/// assert!(fired.get());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct TestClock(Rc<Shared>);

#[derive(Default)]
struct Shared {
    now: Cell<u64>,
    loops: RefCell<Vec<Weak<Inner>>>,
}

impl TestClock {
    /// A clock at zero.
    pub fn new() -> TestClock {
        TestClock::default()
    }

    /// The time since the clock was made.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.0.now.get())
    }

    /// Moves the clock on by `by`, deadline by deadline.
    ///
    /// At each deadline on the way every attached loop is turned, without waiting, until it has nothing left to do at
    /// that time; so a timer that was armed on the way and is due before the end fires too. A callback that queues
    /// itself again with `call_soon` for ever keeps this from ending.
    ///
    /// # Errors
    ///
    /// [`RunError::Reentrant`] from inside a callback of an attached loop; and what [`EventLoop::turn`] may answer.
    pub fn advance(&self, by: Duration) -> Result<(), RunError> {
        let end = self.0.now.get().saturating_add(nanos(by));
        let loops: Vec<EventLoop> = {
            let mut attached = self.0.loops.borrow_mut();
            attached.retain(|weak| weak.strong_count() > 0);
            let found = attached.iter().filter_map(Weak::upgrade);
            found.map(|inner| EventLoop { inner }).collect()
        };
        if loops.iter().any(|event_loop| event_loop.inner.is_running()) {
            return Err(RunError::Reentrant);
        }
        loop {
            for event_loop in &loops {
                event_loop.settle()?;
            }
            let next = loops.iter().filter_map(|l| l.inner.next_deadline()).min();
            match next {
                Some(at) if at <= end => self.jump(at),
                _ => break,
            }
        }
        self.jump(end);
        Ok(())
    }

    pub(crate) fn nanos(&self) -> u64 {
        self.0.now.get()
    }

    /// Sets the time to `at`, never back.
    pub(crate) fn jump(&self, at: u64) {
        self.0.now.set(self.0.now.get().max(at));
    }

    pub(crate) fn attach(&self, inner: &Rc<Inner>) {
        self.0.loops.borrow_mut().push(Rc::downgrade(inner));
    }
}

impl fmt::Debug for TestClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TestClock").field(&self.now()).finish()
    }
}
