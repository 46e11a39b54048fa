//! The loop's clock: nanoseconds since the loop was made, from the system or from a test.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

pub(crate) use crate::trace::nanos;

use super::error::RunError;
use super::{EventLoop, Inner};

/// Where a loop reads the time.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    Real(Rc<RealClock>),
    Test(TestClock),
}

/// The system's clock, without the time for which the program was held at a gate.
#[derive(Debug)]
pub(crate) struct RealClock {
    start: Instant,
    held: Cell<u64>,
}

impl Clock {
    pub(crate) fn real() -> Clock {
        Clock::Real(Rc::new(RealClock { start: Instant::now(), held: Cell::new(0) }))
    }

    /// The program was held for so long, which is not to count.
    pub(crate) fn held(&self, nanos: u64) {
        if let Clock::Real(clock) = self {
            clock.held.set(clock.held.get().saturating_add(nanos));
        }
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match self {
            Clock::Real(clock) => nanos(clock.start.elapsed()).saturating_sub(clock.held.get()),
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
    /// that time; so a timer that was armed on the way and is due before the end fires too.
    ///
    /// # Errors
    ///
    /// [`RunError::Reentrant`] from inside a callback of an attached loop. [`RunError::Unsettled`] when a loop has
    /// something to do at one and the same time for ever: a callback that queues itself again with `call_soon`, or a task
    /// that wakes itself in each poll. And what [`EventLoop::turn`] may answer.
    pub fn advance(&self, by: Duration) -> Result<(), RunError> {
        let end = self.0.now.get().saturating_add(nanos(by));
        let loops = self.loops();
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

    /// Moves the clock on by `by` in one jump, and then runs what has become due. Twisted's `Clock.advance`.
    ///
    /// It is what a loop meets that was late: blocked, or on a machine that slept. Every call sees the final time. They
    /// run in the order of their deadlines, looked at anew after each: a call that is armed or moved on the way and is
    /// due runs too, in its place. So a call that arms itself again without a delay for ever keeps this from ending.
    /// [`advance`](TestClock::advance) is the kinder way, where every call comes on time.
    ///
    /// From inside a callback of an attached loop, the timers that become due run inside this call.
    ///
    /// ```
    /// use ropewalk::{EventLoop, TestClock};
    /// use std::{cell::RefCell, rc::Rc, time::Duration};
    ///
    /// let clock = TestClock::new();
    /// let event_loop = EventLoop::builder().clock(&clock).build()?;
    /// let seen = Rc::new(RefCell::new(Vec::new()));
    /// for seconds in [1, 2] {
    ///     let seen = seen.clone();
    ///     event_loop.call_later(Duration::from_secs(seconds), move |event_loop| {
    ///         seen.borrow_mut().push(event_loop.time().as_secs());
    ///     });
    /// }
    /// clock.jump_by(Duration::from_secs(10))?;
    /// assert_eq!(*seen.borrow(), [10, 10]); // `advance` would have shown them 1 and 2
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RunError::Unsettled`] as for [`advance`](TestClock::advance), and what [`EventLoop::turn`] may answer.
    pub fn jump_by(&self, by: Duration) -> Result<(), RunError> {
        self.jump(self.0.now.get().saturating_add(nanos(by)));
        let loops = self.loops();
        let mut first = true;
        // A call of one loop may make something due in another.
        while first || loops.iter().any(EventLoop::is_due) {
            first = false;
            for event_loop in &loops {
                if event_loop.inner.is_running() {
                    event_loop.run_due_inside();
                } else {
                    event_loop.settle_one_by_one()?;
                }
            }
        }
        Ok(())
    }

    /// The loops that are attached and live.
    fn loops(&self) -> Vec<EventLoop> {
        let mut attached = self.0.loops.borrow_mut();
        attached.retain(|weak| weak.strong_count() > 0);
        attached.iter().filter_map(Weak::upgrade).map(|inner| EventLoop { inner }).collect()
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
