//! Running the loop: until stopped, until a Deferred has its result, for a turn, for one callback.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::ground::{Deferred, Failure};
use crate::trace::{self, Ending, Kind, Links};

use super::clock::nanos;
use super::error::RunError;
use super::{EventLoop, Inner};

/// Where a loop is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Life {
    /// Not started, or shut down.
    #[default]
    Out,
    Starting,
    Running,
    ShuttingDown,
}

/// Holds the loop as running, and lets it go whatever happens.
pub(crate) struct Running<'a> {
    inner: &'a Inner,
    /// The slot of the thread's recording goes back to whom it was taken from.
    resumed: Option<trace::Resumed>,
    /// The recording's clock goes back to the loop whose callback this one runs in.
    lent: Option<trace::Lent>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.inner.running.set(false);
        drop(self.lent.take());
        drop(self.resumed.take());
    }
}

/// What a trace says of a run that ended with this error.
#[cold]
fn ending_of(error: &RunError) -> Ending {
    match error {
        RunError::Idle(_) => Ending::Idle,
        RunError::Stopped => Ending::Stopped,
        _ => Ending::Failed,
    }
}

impl EventLoop {
    pub(crate) fn enter(&self) -> Result<Running<'_>, RunError> {
        if self.inner.running.get() || self.is_told_of() {
            return Err(RunError::Reentrant);
        }
        self.inner.running.set(true);
        let mut running = Running { inner: &self.inner, resumed: self.take_over(), lent: None };
        running.lent = self.meet_recording_while();
        Ok(running)
    }

    /// Runs until [`EventLoop::stop`].
    ///
    /// Start-up triggers are run first unless they have been, shutdown triggers last. After that it can be run again.
    ///
    /// # Errors
    ///
    /// [`RunError::Reentrant`] inside a callback of this loop. [`RunError::Idle`] when nothing is left that could ever
    /// wake it: no callback queued, no source with interest, no timer, no job, no [`Remote`](super::Remote),
    /// no task that is woken or whose waker somebody keeps.
    /// [`RunError::Wait`] when the system refuses to wait. Shutdown triggers are run in the latter two cases too.
    ///
    /// ```
    /// use ropewalk::{EventLoop, RunError};
    ///
    /// let event_loop = EventLoop::new()?;
    /// event_loop.call_soon(|event_loop| {
    ///     assert!(matches!(event_loop.run(), Err(RunError::Reentrant)));
    ///     event_loop.stop();
    /// });
    /// event_loop.run()?; // somebody stopped it
    /// assert!(matches!(event_loop.run(), Err(RunError::Idle(None)))); // nobody can
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run(&self) -> Result<(), RunError> {
        let _running = self.enter()?;
        let mut result = self.start_up();
        while result.is_ok() && !self.inner.stopping.get() {
            result = self.drive(None, usize::MAX).map(drop);
        }
        if trace::on() {
            trace::ran(match &result {
                Ok(()) => Ending::Stopped,
                Err(error) => ending_of(error),
            });
        }
        result.and(self.shut_down())
    }

    /// Runs until `deferred` has a result, and answers it. The turn in which it fires is finished.
    ///
    /// Start-up triggers are run first unless they have been; the loop is left started.
    ///
    /// ```
    /// use ropewalk::{Deferred, EventLoop};
    /// use std::time::Duration;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (resolver, deferred) = Deferred::new();
    /// event_loop.call_later(Duration::from_millis(1), move |_| resolver.succeed(20));
    /// let answer = event_loop.run_until(deferred.add_callback(|n| Ok(n + 1)))?;
    /// assert_eq!(answer, 21);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The Deferred's own failure; or one that holds a [`RunError`]: as for [`EventLoop::run`], or
    /// [`RunError::Stopped`] when somebody stopped the loop meanwhile (it is then shut down).
    #[track_caller]
    pub fn run_until<T: 'static>(&self, deferred: Deferred<T>) -> Result<T, Failure> {
        let _running = self.enter()?;
        let made = deferred.made();
        let result = Rc::new(Cell::new(None));
        let (slot, hurry) = (Rc::downgrade(&result), self.inner.hurry());
        let ended = deferred.own_step("run_until").add_both(move |outcome| {
            // A failure that comes after this run has ended with an error is nobody's, and is reported.
            let Some(slot) = slot.upgrade() else { return outcome.map(drop) };
            slot.set(Some(outcome));
            hurry();
            Ok(())
        });
        ended.detach();
        // How an earlier run ended says nothing of this one.
        let tell = |ending| {
            if trace::on() {
                trace::ran(ending);
            }
        };
        let mut driven = self.start_up();
        loop {
            if let Some(outcome) = result.take() {
                tell(Ending::Done);
                return outcome;
            }
            if self.inner.stopping.get() {
                tell(Ending::Stopped);
                self.shut_down()?;
                return match result.take() {
                    Some(outcome) => outcome,
                    None => Err(RunError::Stopped.into()),
                };
            }
            match driven {
                Ok(()) => driven = self.drive(None, usize::MAX).map(drop),
                Err(error) => {
                    tell(ending_of(&error));
                    return Err(match error {
                        RunError::Idle(None) => RunError::Idle(Some(made)).into(),
                        error => error.into(),
                    });
                }
            }
        }
    }

    /// Runs one turn, waiting at most `timeout` if nothing is ready (`None`: no limit), and answers how many callbacks
    /// it ran. It may be none, when a signal or a post ended the wait. What an earlier [`EventLoop::run_one`] left is
    /// finished first, and is then the turn.
    ///
    /// Start-up triggers are not run.
    ///
    /// # Errors
    ///
    /// As for [`EventLoop::run`]; [`RunError::Idle`] only without a `timeout`.
    ///
    /// ```
    /// use ropewalk::EventLoop;
    /// use std::time::Duration;
    ///
    /// let event_loop = EventLoop::new()?;
    /// event_loop.call_soon(|event_loop| event_loop.call_soon(|_| ()));
    /// assert_eq!(event_loop.turn(None)?, 1);
    /// assert_eq!(event_loop.turn(None)?, 1); // what was queued in the turn before
    /// assert_eq!(event_loop.turn(Some(Duration::ZERO))?, 0); // only looks
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn turn(&self, timeout: Option<Duration>) -> Result<usize, RunError> {
        let _running = self.enter()?;
        self.drive(timeout.map(nanos), usize::MAX)
    }

    /// Runs one callback of the loop, with all that it causes in Deferreds, and answers `true`. Waits for one if none
    /// is ready, and answers `false` if the loop is stopped instead. The rest of the batch stays: a later `run_one`,
    /// `turn` or `run` goes on with it.
    ///
    /// # Errors
    ///
    /// As for [`EventLoop::run`].
    ///
    /// ```
    /// use ropewalk::EventLoop;
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let count = Rc::new(Cell::new(0));
    /// for _ in 0..3 {
    ///     let count = count.clone();
    ///     event_loop.call_soon(move |_| count.set(count.get() + 1));
    /// }
    /// assert!(event_loop.run_one()?);
    /// assert_eq!(count.get(), 1);
    /// event_loop.turn(None)?; // the rest
    /// assert_eq!(count.get(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_one(&self) -> Result<bool, RunError> {
        let _running = self.enter()?;
        while self.drive(None, 1)? == 0 {
            if self.inner.stopping.get() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ends [`EventLoop::run`] or [`EventLoop::run_until`] after the turn at hand. Said before the loop runs, it ends
    /// the next run at once. It can be run again afterwards.
    ///
    /// ```
    /// use ropewalk::EventLoop;
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let called = Rc::new(Cell::new(false));
    /// let call = called.clone();
    /// event_loop.call_soon(|event_loop| {
    ///     event_loop.stop();
    ///     assert!(event_loop.is_stopping());
    /// });
    /// event_loop.call_soon(move |_| call.set(true)); // still in this turn
    /// event_loop.run()?;
    /// assert!(called.get() && !event_loop.is_stopping());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn stop(&self) {
        let inner = &self.inner;
        if inner.life.get() == Life::ShuttingDown || inner.stopping.replace(true) {
            return;
        }
        if trace::on() {
            let at = Some(std::panic::Location::caller());
            trace::emit(Kind::LoopStop {}, Links { at, ..Links::default() });
        }
    }

    /// Whether [`EventLoop::stop`] was called and the run it ends has not ended.
    pub fn is_stopping(&self) -> bool {
        self.inner.stopping.get() || self.inner.life.get() == Life::ShuttingDown
    }

    /// Turns without waiting until nothing is queued or due. For [`TestClock::advance`](super::TestClock::advance).
    ///
    /// A test is to fail, not to hang. Megabytes that are cut into bytes take some 100,000 turns.
    pub(crate) fn settle(&self) -> Result<(), RunError> {
        const TURNS: u32 = 1_000_000;
        let _running = self.enter()?;
        for _ in 0..TURNS {
            self.drive(Some(0), usize::MAX)?;
            let inner = &self.inner;
            let idle = inner.soon.borrow().is_empty() && !inner.mailbox.has_mail() && !inner.any_task_woken();
            if idle && !self.is_due() {
                return Ok(());
            }
        }
        Err(RunError::Unsettled(TURNS))
    }

    /// The same, with due timers taken one by one. For [`TestClock::jump_by`](super::TestClock::jump_by).
    pub(crate) fn settle_one_by_one(&self) -> Result<(), RunError> {
        struct Restore<'a>(&'a EventLoop, bool);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                self.0.set_one_by_one(self.1);
            }
        }
        let _restore = Restore(self, self.set_one_by_one(true));
        self.settle()
    }

    /// Whether a timer is due.
    pub(crate) fn is_due(&self) -> bool {
        self.inner.next_deadline().is_some_and(|at| at <= self.inner.clock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::ending_of;
    use crate::event_loop::RunError;
    use crate::trace::Ending;
    use std::io;

    #[test]
    fn each_error_of_a_run_gives_its_reason_for_the_end_of_a_recording() {
        assert_eq!(ending_of(&RunError::Idle(None)), Ending::Idle);
        assert_eq!(ending_of(&RunError::Stopped), Ending::Stopped);
        // That a wait which is refused comes to this is seen by `.ci/nth-fault`.
        assert_eq!(ending_of(&RunError::Wait(io::ErrorKind::InvalidInput.into())), Ending::Failed);
    }
}
