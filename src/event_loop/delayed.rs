//! Calls that come later: the loop's side of timers, and the handle to one.

use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::time::Duration;

use crate::trace::{self, Id, Kind, Links, Object, Place};

use super::clock::nanos;
use super::error::TimerError;
use super::timers::{Call, TimerKey, TimerSlot};
use super::{EventLoop, Inner, Named};

impl EventLoop {
    /// Calls `f` once, `delay` from now. Dropping the answer does not cancel the call.
    ///
    /// Calls with the same deadline are made in the order in which they were armed; one that was
    /// [moved](DelayedCall::reset) stands before those of its new deadline if it was due earlier, behind them if later. A
    /// delay of zero means the next batch of timers: in this turn, unless it is a timer that asks.
    ///
    /// It is never early. It is late by what runs before it, and by the steps of the wait: 50 microseconds for a wait
    /// of less than a millisecond, else a millisecond.
    ///
    /// ```
    /// use ropewalk::EventLoop;
    /// use std::time::Duration;
    ///
    /// let event_loop = EventLoop::new()?;
    /// event_loop.call_later(Duration::from_millis(1), |event_loop| event_loop.stop());
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn call_later(&self, delay: Duration, f: impl FnOnce(&EventLoop) + 'static) -> DelayedCall {
        let at = self.inner.clock.now().saturating_add(nanos(delay));
        self.inner.arm(at, Box::new(f), Location::caller())
    }

    /// Calls `f` once, when the loop's clock ([`EventLoop::time`]) reads `at`; as soon as can be if that is over.
    ///
    /// ```
    /// use ropewalk::{EventLoop, TestClock};
    /// use std::time::Duration;
    ///
    /// let event_loop = EventLoop::builder().clock(&TestClock::new()).build()?;
    /// event_loop.call_at(Duration::from_secs(60), |event_loop| {
    ///     assert_eq!(event_loop.time(), Duration::from_secs(60));
    ///     event_loop.call_at(Duration::from_secs(5), |event_loop| event_loop.stop()); // over: at once
    /// });
    /// event_loop.run()?;
    /// assert_eq!(event_loop.time(), Duration::from_secs(60));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn call_at(&self, at: Duration, f: impl FnOnce(&EventLoop) + 'static) -> DelayedCall {
        self.inner.arm(nanos(at), Box::new(f), Location::caller())
    }

    /// As [`EventLoop::call_at`], for somebody else: `place` is the line of the program that asked for it.
    pub(crate) fn call_at_for(
        &self,
        at: Duration,
        place: Place,
        f: impl FnOnce(&EventLoop) + 'static,
    ) -> DelayedCall {
        self.inner.arm(nanos(at), Box::new(f), place)
    }

    /// The same for a call that comes again `every` so often, as the trace says: whoever asks arms the next one.
    pub(crate) fn call_at_every(
        &self,
        at: Duration,
        every: Duration,
        place: Place,
        f: impl FnOnce(&EventLoop) + 'static,
    ) -> DelayedCall {
        self.inner.arm_every(nanos(at), Some(nanos(every)), Box::new(f), place)
    }

    /// The loop's clock: the time since the loop was made, or that of its [`TestClock`](super::TestClock).
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.inner.clock.now())
    }

    /// In a delayed call: the time for which it was scheduled, on the loop's clock. Elsewhere `None`.
    ///
    /// A call that arms its successor at `scheduled_time() + interval` does not drift.
    ///
    /// ```
    /// use ropewalk::{EventLoop, TestClock};
    /// use std::time::Duration;
    ///
    /// let clock = TestClock::new();
    /// let event_loop = EventLoop::builder().clock(&clock).build()?;
    /// event_loop.call_later(Duration::from_secs(1), |event_loop| {
    ///     assert_eq!(event_loop.time(), Duration::from_secs(3)); // it is late
    ///     assert_eq!(event_loop.scheduled_time(), Some(Duration::from_secs(1)));
    /// });
    /// clock.jump_by(Duration::from_secs(3))?;
    /// assert_eq!(event_loop.scheduled_time(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn scheduled_time(&self) -> Option<Duration> {
        self.inner.scheduled.get().map(Duration::from_nanos)
    }
}

impl Inner {
    #[inline]
    pub(crate) fn arm(self: &Rc<Self>, at: u64, call: Call, place: Place) -> DelayedCall {
        self.arm_every(at, None, call, place)
    }

    #[inline]
    fn arm_every(self: &Rc<Self>, at: u64, every: Option<u64>, call: Call, place: Place) -> DelayedCall {
        let mut slot = TimerSlot { call, place, id: Cell::default(), reg: 0 };
        if trace::on()
            && let Some((m, _)) = trace::id(&slot.id, Object::Timer)
        {
            let links = Links { at: Some(place), ..Links::default() };
            slot.reg = trace::emit(Kind::TimerArm { m, due: at, every, late: false }, links);
        }
        let key = self.timers.borrow_mut().arm(at, slot);
        DelayedCall { event_loop: Rc::downgrade(self), key, cancelled: Cell::new(false) }
    }
}

/// A call that is to come. Dropping it does not cancel the call.
///
/// ```
/// use ropewalk::EventLoop;
/// use std::time::Duration;
///
/// let event_loop = EventLoop::new()?;
/// let tea = event_loop.call_later(Duration::from_secs(180), |_| println!("tea")).named("tea");
/// assert!(tea.is_active());
/// tea.reset(Duration::from_secs(240))?;
/// tea.cancel()?;
/// assert!(tea.cancel().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DelayedCall {
    event_loop: Weak<Inner>,
    key: TimerKey,
    /// Only the holder can cancel, so nobody else needs to know.
    cancelled: Cell<bool>,
}

impl DelayedCall {
    fn inner(&self) -> Result<Rc<Inner>, TimerError> {
        self.event_loop.upgrade().ok_or(TimerError::Closed)
    }

    fn over(&self) -> TimerError {
        if self.cancelled.get() { TimerError::AlreadyCancelled } else { TimerError::AlreadyCalled }
    }

    /// Calls it off. The callback is dropped at once.
    ///
    /// # Errors
    ///
    /// It was called or cancelled already, or the loop is gone.
    #[track_caller]
    pub fn cancel(&self) -> Result<(), TimerError> {
        let inner = self.inner()?;
        if trace::on() {
            inner.meet_timer(self.key);
        }
        let taken = inner.timers.borrow_mut().cancel(self.key);
        let slot = taken.ok_or_else(|| self.over())?;
        self.cancelled.set(true);
        inner.take_label(Named::Timer(self.key));
        if trace::on()
            && let Some(m) = trace::known(&slot.id, Object::Timer)
        {
            let links = Links { reg: slot.reg, at: Some(Location::caller()), ..Links::default() };
            trace::emit(Kind::TimerCancel { m }, links);
        }
        Ok(())
    }

    /// Has it come `delay` from now instead.
    ///
    /// Among calls with the same deadline it keeps its place, as in Twisted's `Clock`: it comes before those that it came
    /// before. (Twisted promises no order for its reactors.)
    ///
    /// # Errors
    ///
    /// It was called or cancelled already, or the loop is gone.
    #[track_caller]
    pub fn reset(&self, delay: Duration) -> Result<(), TimerError> {
        let inner = self.inner()?;
        let at = inner.clock.now().saturating_add(nanos(delay));
        self.move_to(&inner, at)
    }

    /// Has it come `by` later than it would.
    ///
    /// # Errors
    ///
    /// It was called or cancelled already, or the loop is gone.
    ///
    /// ```
    /// use ropewalk::{EventLoop, TestClock};
    /// use std::time::Duration;
    ///
    /// let event_loop = EventLoop::builder().clock(&TestClock::new()).build()?;
    /// let tea = event_loop.call_later(Duration::from_secs(180), |_| ());
    /// tea.delay(Duration::from_secs(60))?;
    /// assert_eq!(tea.deadline()?, Duration::from_secs(240));
    /// tea.reset_at(Duration::from_secs(200))?;
    /// assert_eq!(tea.deadline()?, Duration::from_secs(200));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn delay(&self, by: Duration) -> Result<(), TimerError> {
        let inner = self.inner()?;
        let at = inner.timers.borrow().deadline(self.key);
        let at = at.ok_or_else(|| self.over())?;
        self.move_to(&inner, at.saturating_add(nanos(by)))
    }

    /// Has it come at `at` on the loop's clock instead.
    ///
    /// # Errors
    ///
    /// It was called or cancelled already, or the loop is gone.
    #[track_caller]
    pub fn reset_at(&self, at: Duration) -> Result<(), TimerError> {
        let inner = self.inner()?;
        self.move_to(&inner, nanos(at))
    }

    #[track_caller]
    fn move_to(&self, inner: &Inner, at: u64) -> Result<(), TimerError> {
        if !inner.timers.borrow_mut().reset(self.key, at) {
            return Err(self.over());
        }
        if trace::on()
            && let Some((m, reg)) = inner.meet_timer(self.key)
        {
            let links = Links { reg, at: Some(Location::caller()), ..Links::default() };
            trace::emit(Kind::TimerReset { m, due: at }, links);
        }
        Ok(())
    }

    /// Its id in the current recording.
    pub(crate) fn id(&self) -> Option<Id> {
        Some(self.event_loop.upgrade()?.meet_timer(self.key)?.0)
    }

    /// Whether it is still to come. It is not any more while it is called.
    pub fn is_active(&self) -> bool {
        let inner = self.event_loop.upgrade();
        inner.is_some_and(|i| i.timers.borrow().get(self.key).is_some())
    }

    /// When it is to come, on the loop's clock.
    ///
    /// # Errors
    ///
    /// It was called or cancelled already, or the loop is gone.
    pub fn deadline(&self) -> Result<Duration, TimerError> {
        let inner = self.inner()?;
        let at = inner.timers.borrow().deadline(self.key);
        at.map(Duration::from_nanos).ok_or_else(|| self.over())
    }

    /// Gives it a name, for [`EventLoop::still_registered`] and the trace.
    #[track_caller]
    pub fn named(self, name: &str) -> DelayedCall {
        if let Some(inner) = self.event_loop.upgrade()
            && self.is_active()
        {
            inner.set_label(Named::Timer(self.key), name);
            if trace::on()
                && let Some(m) = self.id()
            {
                let at = Some(Location::caller());
                trace::emit(Kind::TimerName { m }, Links { at, label: Some(name), ..Links::default() });
            }
        }
        self
    }
}

impl fmt::Debug for DelayedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DelayedCall").field(&self.deadline()).finish()
    }
}
