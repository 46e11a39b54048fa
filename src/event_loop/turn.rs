//! Running the loop: one turn, in its order.
//!
//! ```text
//!  soon queue -> mailbox -> wait -> ready sources -> due timers -> end
//! ```
//!
//! Each batch is fixed before it runs: what is added meanwhile runs in the next turn. The batches live in the loop, so
//! that [`EventLoop::run_one`] can stop behind any callback and whoever runs next goes on from there.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use crate::ground::{Deferred, Failure};
use crate::trace::{self, EventNumber, Frame, Id, IdSlot, Kind, Links, Object, Out, Place, Slot};

use super::clock::{Clock, nanos};
use super::error::RunError;
use super::mailbox::Letter;
use super::report::{self, Payload, guard};
use super::timers::Due;
use super::wait::Ready;
use super::{EventLoop, Inner, Named, PanicPolicy, Soon};

/// Where a turn is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Begin,
    Soon,
    Mail,
    Wait,
    Ready,
    CollectDue,
    Timers,
    End,
}

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

/// The turn at hand.
#[derive(Default)]
pub(crate) struct Turn {
    phase: Cell<Phase>,
    /// How many turns there were.
    number: Cell<u32>,
    /// How many callbacks this one has run.
    ran: Cell<u32>,
    /// How much of the soon queue is left to this turn. One queue serves both: half the memory stays in the cache.
    soon_left: Cell<usize>,
    mail: RefCell<VecDeque<Letter>>,
    ready: RefCell<Vec<Ready>>,
    next_ready: Cell<usize>,
    /// The time for which the due timers were collected.
    now: Cell<u64>,
    /// The trace's event of the wait's end.
    woken: Cell<EventNumber>,
    frame: Cell<Option<Frame>>,
    /// The first panic of this turn, if it is to go on after it.
    panicked: Cell<Option<Payload>>,
}

impl Turn {
    /// The trace's event of the last wait's end.
    pub(crate) fn woken(&self) -> EventNumber {
        self.woken.get()
    }

    /// Gives up what is left of the turn, for the loop's end.
    pub(crate) fn take_mail(&self) -> VecDeque<Letter> {
        self.mail.take()
    }
}

/// What the trace says of a callback. Made only when somebody records.
#[derive(Default)]
pub(crate) struct Site {
    pub(crate) id: Option<Id>,
    pub(crate) cause: EventNumber,
    pub(crate) reg: EventNumber,
    pub(crate) label: Option<Rc<str>>,
}

/// Holds the loop as running, and lets it go whatever happens.
struct Running<'a>(&'a Inner);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.set(false);
    }
}

impl EventLoop {
    fn enter(&self) -> Result<Running<'_>, RunError> {
        if self.inner.running.replace(true) {
            return Err(RunError::Reentrant);
        }
        self.inner.lend_clock();
        Ok(Running(&self.inner))
    }

    /// Runs until [`EventLoop::stop`].
    ///
    /// Start-up triggers are run first unless they have been, shutdown triggers last. After that it can be run again.
    ///
    /// # Errors
    ///
    /// [`RunError::Reentrant`] inside a callback of this loop. [`RunError::Idle`] when nothing is left that could ever
    /// wake it: no callback queued, no source with interest, no timer, no job, no [`Remote`](super::Remote).
    /// [`RunError::Wait`] when the system refuses to wait. Shutdown triggers are run in the latter two cases too.
    pub fn run(&self) -> Result<(), RunError> {
        let _running = self.enter()?;
        let mut result = self.start_up();
        while result.is_ok() && !self.inner.stopping.get() {
            result = self.drive(None, usize::MAX).map(drop);
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
        let (slot, hurry) = (result.clone(), self.inner.hurry());
        let ended = deferred.step_named("run_until").add_both(move |outcome| {
            slot.set(Some(outcome));
            hurry();
            Ok(())
        });
        ended.detach();
        let mut driven = self.start_up();
        loop {
            if let Some(outcome) = result.take() {
                return outcome;
            }
            if self.inner.stopping.get() {
                self.shut_down()?;
                return result.take().unwrap_or_else(|| Err(RunError::Stopped.into()));
            }
            match driven {
                Ok(()) => driven = self.drive(None, usize::MAX).map(drop),
                Err(RunError::Idle(None)) => return Err(RunError::Idle(Some(made)).into()),
                Err(error) => return Err(error.into()),
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
    #[track_caller]
    pub fn stop(&self) {
        let inner = &self.inner;
        if inner.life.get() == Life::ShuttingDown || inner.stopping.replace(true) {
            return;
        }
        if trace::on() {
            let at = Some(std::panic::Location::caller());
            trace::emit(Kind::LoopStop, Links { at, ..Links::default() });
        }
    }

    /// Whether [`EventLoop::stop`] was called and the run it ends has not ended.
    pub fn is_stopping(&self) -> bool {
        self.inner.stopping.get() || self.inner.life.get() == Life::ShuttingDown
    }

    /// Turns without waiting until nothing is queued or due. For [`TestClock::advance`](super::TestClock::advance).
    pub(crate) fn settle(&self) -> Result<(), RunError> {
        let _running = self.enter()?;
        loop {
            self.drive(Some(0), usize::MAX)?;
            let inner = &self.inner;
            let due = inner.next_deadline().is_some_and(|at| at <= inner.clock.now());
            if !due && inner.soon.borrow().is_empty() && !inner.mailbox.has_mail() {
                return Ok(());
            }
        }
    }

    /// Runs callbacks until the turn is over or `budget` were run, and answers how many were.
    pub(crate) fn drive(&self, limit: Option<u64>, budget: usize) -> Result<usize, RunError> {
        let inner = &*self.inner;
        let turn = &inner.turn;
        let mut ran = 0;
        loop {
            match turn.phase.get() {
                Phase::Begin => {
                    turn.soon_left.set(inner.soon.borrow().len());
                    turn.ran.set(0);
                    turn.number.set(turn.number.get().wrapping_add(1));
                    if trace::on() {
                        let n = turn.number.get();
                        turn.frame.set(Some(Frame::open(Kind::TurnBegin { n }, Links::default())));
                    }
                    turn.phase.set(Phase::Soon);
                }
                Phase::Soon => {
                    while turn.soon_left.get() > 0 {
                        if ran == budget {
                            return Ok(ran);
                        }
                        turn.soon_left.set(turn.soon_left.get() - 1);
                        let Some(soon) = inner.soon.borrow_mut().pop_front() else { break };
                        let Soon { call, place, id, reg } = soon;
                        ran += 1;
                        self.call(Slot::Soon, place, || queued(id, reg), call);
                    }
                    turn.phase.set(Phase::Wait);
                    if inner.mailbox.has_mail() {
                        inner.mailbox.take(&mut turn.mail.borrow_mut());
                        turn.phase.set(Phase::Mail);
                    }
                }
                Phase::Mail => {
                    loop {
                        if ran == budget {
                            return Ok(ran);
                        }
                        let Some(letter) = turn.mail.borrow_mut().pop_front() else { break };
                        let Letter { call, place } = letter;
                        ran += 1;
                        self.call(Slot::Post, place, || posted(place), call);
                    }
                    turn.phase.set(Phase::Wait);
                }
                Phase::Wait => {
                    // Whoever has run a callback in `run_one` is done; waiting is for the next.
                    if ran == budget {
                        return Ok(ran);
                    }
                    if let Err(error) = self.wait(limit) {
                        self.end_turn();
                        return Err(error);
                    }
                    turn.phase.set(Phase::Ready);
                }
                Phase::Ready => {
                    loop {
                        if ran == budget {
                            return Ok(ran);
                        }
                        let next = turn.next_ready.get();
                        let Some(&ready) = turn.ready.borrow().get(next) else { break };
                        turn.next_ready.set(next + 1);
                        ran += usize::from(self.dispatch(ready));
                    }
                    turn.phase.set(Phase::CollectDue);
                }
                Phase::CollectDue => {
                    let mut timers = inner.timers.borrow_mut();
                    if timers.is_empty() {
                        turn.phase.set(Phase::End);
                    } else {
                        turn.now.set(inner.clock.now());
                        timers.collect_due(turn.now.get());
                        turn.phase.set(Phase::Timers);
                    }
                }
                Phase::Timers => {
                    loop {
                        if ran == budget {
                            return Ok(ran);
                        }
                        let Some(Due { key, at, slot }) = inner.timers.borrow_mut().next_due() else { break };
                        ran += 1;
                        let label = inner.take_label(Named::Timer(key));
                        inner.scheduled.set(Some(at));
                        let (id, reg) = (slot.id, slot.reg);
                        let site = || fired(turn, id, reg, at, label);
                        self.call(Slot::Timer, slot.place, site, slot.call);
                        inner.scheduled.set(None);
                    }
                    turn.phase.set(Phase::End);
                }
                Phase::End => {
                    self.end_turn();
                    return Ok(ran);
                }
            }
        }
    }

    /// Runs one callback of the user's, and nothing of it gets out.
    #[inline]
    pub(crate) fn call(
        &self,
        slot: Slot,
        place: Place,
        site: impl FnOnce() -> Site,
        f: impl FnOnce(&EventLoop),
    ) -> bool {
        let turn = &self.inner.turn;
        turn.ran.set(turn.ran.get() + 1);
        let result = if trace::on() {
            let site = site();
            let label = site.label.as_deref();
            let links = Links { cause: site.cause, reg: site.reg, at: Some(place), label };
            let frame = Frame::open(Kind::CbBegin { o: site.id, slot }, links);
            let result = guard(|| f(self));
            let out = if result.is_ok() { Out::Ok } else { Out::Panic };
            frame.close(|b| Kind::CbEnd { b, out }, Links::default());
            result
        } else {
            guard(|| f(self))
        };
        match result {
            Ok(()) => true,
            Err(payload) => {
                self.panicked(slot, place, payload);
                false
            }
        }
    }

    #[cold]
    fn panicked(&self, slot: Slot, place: Place, payload: Payload) {
        report::report(slot, place, &payload);
        let turn = &self.inner.turn;
        match (self.inner.panic_policy, turn.panicked.take()) {
            (PanicPolicy::ResumeUnwind, None) => turn.panicked.set(Some(payload)),
            (PanicPolicy::ResumeUnwind, first) => {
                turn.panicked.set(first);
                report::forget_payload(payload);
            }
            (PanicPolicy::Report, _) => report::forget_payload(payload),
        }
    }

    /// Goes on with a panic, if that is the policy.
    fn resume_panic(&self) {
        if let Some(payload) = self.inner.turn.panicked.take() {
            std::panic::resume_unwind(payload);
        }
    }

    fn end_turn(&self) {
        let turn = &self.inner.turn;
        turn.phase.set(Phase::Begin);
        if let Some(frame) = turn.frame.take() {
            let ran = turn.ran.get();
            frame.close(|b| Kind::TurnEnd { b, ran }, Links::default());
        }
        self.resume_panic();
    }

    /// Finds the source of a ready event and calls it; `false` if nobody wants the event.
    #[inline]
    fn dispatch(&self, ready: Ready) -> bool {
        let inner = &*self.inner;
        let Some(found) = inner.sources.borrow_mut().dispatch(&inner.registry, ready) else {
            return false;
        };
        let super::sources::Dispatch { entry, readiness, index, serial, place } = found;
        let site = || self.ready_site(index, serial, readiness);
        // The entry is dropped inside: with it goes a source that was removed by its own callback.
        let call = move |event_loop: &EventLoop| {
            entry.call(event_loop, readiness);
            drop(entry);
        };
        if !self.call(Slot::Ready, place, site, call) {
            self.remove_any(index, serial);
        }
        true
    }

    /// Waits, as long as nothing else is to be done, and fills the list of ready sources.
    fn wait(&self, limit: Option<u64>) -> Result<(), RunError> {
        let inner = &*self.inner;
        let turn = &inner.turn;
        turn.next_ready.set(0);
        turn.ready.borrow_mut().clear();
        if inner.sources.borrow().has_dirty() {
            self.arm_dirty();
        }
        let always = inner.sources.borrow().any_always();
        let stopping = inner.stopping.get() && matches!(inner.life.get(), Life::Running | Life::Out);
        let hurry = inner.hurry.take();
        let pending = hurry || always || stopping || !inner.soon.borrow().is_empty() || inner.mailbox.has_mail();
        let mut timeout = if pending || limit == Some(0) {
            Some(0)
        } else {
            let until = |at: u64| at.saturating_sub(inner.clock.now());
            let next = inner.next_deadline().map(until);
            match (next, limit) {
                (Some(next), Some(limit)) => Some(next.min(limit)),
                (None, None) if inner.can_never_wake() => match turn.ran.get() {
                    0 => return Err(RunError::Idle(None)),
                    // The next turn will say so, unless somebody does something about it meanwhile.
                    _ => Some(0),
                },
                (next, limit) => next.or(limit),
            }
        };
        if let (Clock::Test(clock), Some(1..)) = (&inner.clock, timeout) {
            // A clock that stands still: look whether something is ready, and jump if not.
            self.poll(Some(0))?;
            let idle = turn.ready.borrow().is_empty() && !inner.mailbox.has_mail();
            if !idle {
                return Ok(());
            }
            if inner.jobs.borrow().is_empty() {
                clock.jump(clock.nanos().saturating_add(timeout.unwrap_or(0)));
                return Ok(());
            }
            // Jobs take real time, and the virtual clock stands while they run.
            timeout = limit;
        }
        self.poll(timeout)?;
        if always {
            inner.sources.borrow().push_always(&mut turn.ready.borrow_mut());
        }
        Ok(())
    }

    #[inline]
    fn poll(&self, timeout: Option<u64>) -> Result<(), RunError> {
        let turn = &self.inner.turn;
        let begun = match trace::on() {
            true => trace::emit(Kind::PollBegin { timeout }, Links::default()),
            false => 0,
        };
        let result = self.inner.waiter.wait(timeout, &mut turn.ready.borrow_mut());
        turn.woken.set(0);
        if begun != 0 {
            let ready = turn.ready.borrow().len() as u32;
            turn.woken.set(trace::emit(Kind::PollEnd { b: begun, ready }, Links::default()));
        }
        result.map_err(RunError::Wait)
    }
}

fn queued(id: IdSlot, reg: EventNumber) -> Site {
    Site { id: trace::id(&Cell::new(id), Object::Post).map(|(p, _)| p), reg, ..Site::default() }
}

/// A letter is numbered when the loop takes it in: its thread has no trace.
fn posted(place: Place) -> Site {
    let Some((p, _)) = trace::id(&Cell::default(), Object::Post) else { return Site::default() };
    let reg = trace::emit(Kind::Post { p }, Links { at: Some(place), ..Links::default() });
    Site { id: Some(p), reg, ..Site::default() }
}

fn fired(turn: &Turn, id: Cell<IdSlot>, reg: EventNumber, at: u64, label: Option<Rc<str>>) -> Site {
    let Some((m, _)) = trace::id(&id, Object::Timer) else { return Site::default() };
    let late = turn.now.get().saturating_sub(at);
    let links = Links { cause: turn.woken.get(), reg, at: None, label: label.as_deref() };
    let cause = trace::emit(Kind::TimerFire { m, late }, links);
    Site { id: Some(m), cause, reg, label }
}
