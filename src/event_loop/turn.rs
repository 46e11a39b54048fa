//! One turn, in its order.
//!
//! ```text
//!  soon queue -> mailbox -> wait -> ready sources -> due timers -> woken tasks -> end
//! ```
//!
//! Each batch is fixed before it runs: what is added meanwhile runs in the next turn. The batches live in the loop, so
//! that [`EventLoop::run_one`] can stop behind any callback and whoever runs next goes on from there.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use crate::trace::{self, EventNumber, Frame, Id, Mark, Out, Place, Slot};

use super::clock::{Clock, TestClock};
use super::error::RunError;
use super::interest::Readiness;
use super::mailbox::Letter;
use super::report::{self, Payload, guard};
use super::running::Life;
use super::sources::{AnySource, Dispatch};
use super::tell::fired;
use super::timers::{Due, TimerSlot};
use super::wait::Ready;
use super::{EventLoop, Named, PanicPolicy, Soon};

/// Where a turn is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Begin,
    Soon,
    Mail,
    Wait,
    Ready,
    Timers,
    CollectWoken,
    Woken,
}

/// The turn at hand.
#[derive(Default)]
pub(crate) struct Turn {
    phase: Cell<Phase>,
    /// How many turns there were.
    pub(super) number: Cell<u32>,
    /// How many callbacks the drive at hand has run, and those before it in this turn.
    pub(super) ran: Cell<usize>,
    pub(super) ran_before: Cell<usize>,
    /// The callback that runs.
    current: Cell<Option<Current>>,
    /// Its frame, while somebody records.
    pub(super) call_frame: Cell<Option<Frame>>,
    /// How much of the soon queue is left to this turn. One queue serves both: half the memory stays in the cache.
    soon_left: Cell<usize>,
    mail: RefCell<VecDeque<Letter>>,
    pub(super) ready: RefCell<Vec<Ready>>,
    next_ready: Cell<usize>,
    /// The time for which the due timers were collected.
    pub(super) now: Cell<u64>,
    /// Due timers are not collected, but taken one by one, so that each sees what the one before it armed and moved.
    one_by_one: Cell<bool>,
    /// What the loop around this one calls, for the trace.
    pub(super) outer: Cell<Option<super::tasks::tell::Calling>>,
    /// How many of the woken tasks are left to this turn.
    woken_left: Cell<usize>,
    /// How many turns in a row did not ask the system, because tasks were woken.
    unasked: Cell<u32>,
    /// Whether a post ended the last wait.
    woken_by_post: Cell<bool>,
    /// The trace's event of the wait's end.
    pub(super) woken: Cell<EventNumber>,
    pub(super) frame: Cell<Option<Frame>>,
    /// When the callback that runs began, and how long those of this turn took; while somebody records.
    pub(super) began: Cell<u64>,
    pub(super) busy: Cell<u64>,
    /// The first panic of this turn, if it is to go on after it.
    panicked: Cell<Option<Payload>>,
    /// Whether the turn has a frame or a panic, so that there is more to do at its end: one question for what is rare.
    pub(super) eventful: Cell<bool>,
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

/// The callback that runs, as a report of its panic needs it.
#[derive(Clone, Copy)]
struct Current {
    slot: Slot,
    place: Place,
    /// Index and serial of a source.
    source: (u32, u64),
}

/// What the trace says of a callback. Made only when somebody records.
#[derive(Default)]
pub(crate) struct Site {
    pub(crate) id: Option<Id>,
    pub(crate) cause: EventNumber,
    pub(crate) reg: EventNumber,
    pub(crate) label: Option<Rc<str>>,
    /// A more exact word for its queue.
    pub(crate) slot: Option<Slot>,
    /// Whether nothing but the library ran since the event before.
    pub(crate) same_time: bool,
}

impl EventLoop {
    /// Runs callbacks until the turn is over or `budget` were run, and answers how many were.
    pub(crate) fn drive(&self, limit: Option<u64>, budget: usize) -> Result<usize, RunError> {
        let turn = &self.inner.turn;
        turn.ran.set(0);
        loop {
            match guard(|| self.go_on(limit, budget)) {
                Ok(result) => {
                    turn.ran_before.set(turn.ran_before.get() + turn.ran.get());
                    if turn.phase.get() == Phase::Begin && turn.eventful.get() {
                        self.end_eventful();
                    }
                    return result.map(|()| turn.ran.get());
                }
                Err(payload) => self.caught(payload),
            }
        }
    }

    /// Goes on with the turn where it is. A panic of a callback unwinds through here, and leaves it where it was.
    fn go_on(&self, limit: Option<u64>, budget: usize) -> Result<(), RunError> {
        let inner = &*self.inner;
        let turn = &inner.turn;
        let mut phase = turn.phase.get();
        let enter = |next| {
            turn.phase.set(next);
            next
        };
        if phase == Phase::Begin {
            turn.soon_left.set(inner.soon.borrow().len());
            turn.ran_before.set(0);
            turn.number.set(turn.number.get().wrapping_add(1));
            if trace::on() {
                self.turn_begins();
            }
            phase = enter(if self.only_tasks(limit) { Phase::CollectWoken } else { Phase::Soon });
        }
        if phase == Phase::Soon {
            if turn.soon_left.get() > 0 && self.run_soon(budget) {
                return Ok(());
            }
            if inner.mailbox.has_mail() {
                inner.mailbox.take(&mut turn.mail.borrow_mut());
                // Mail that came while the loop was awake: more may be on its way, and need not wake it.
                if !turn.woken_by_post.take() {
                    inner.hurry.set(true);
                }
                phase = enter(Phase::Mail);
            } else {
                phase = enter(Phase::Wait);
            }
        }
        if phase == Phase::Mail {
            if self.run_mail(budget) {
                return Ok(());
            }
            phase = enter(Phase::Wait);
        }
        if phase == Phase::Wait {
            // Whoever has run a callback in `run_one` is done; waiting is for the next.
            if turn.ran.get() == budget {
                return Ok(());
            }
            if let Err(error) = self.wait(limit) {
                enter(Phase::Begin);
                return Err(error);
            }
            phase = enter(Phase::Ready);
        }
        if phase == Phase::Ready {
            if self.run_ready(budget) {
                return Ok(());
            }
            if inner.timers.borrow().is_empty() {
                phase = enter(Phase::CollectWoken);
            } else {
                turn.now.set(inner.clock.now());
                if !turn.one_by_one.get() {
                    inner.timers.borrow_mut().collect_due(turn.now.get());
                }
                phase = enter(Phase::Timers);
            }
        }
        if phase == Phase::Timers {
            if self.run_timers(budget) {
                return Ok(());
            }
            phase = enter(Phase::CollectWoken);
        }
        if phase == Phase::CollectWoken {
            turn.woken_left.set(inner.tasks.batch(&inner.mailbox));
            enter(Phase::Woken);
        }
        if turn.woken_left.get() > 0 && self.run_woken(budget) {
            return Ok(());
        }
        enter(Phase::Begin);
        Ok(())
    }

    // A batch each; each answers whether it ended because the budget is used up. Functions of their own: a turn that has
    // nothing for one of them does not keep registers for it.

    #[inline(never)]
    fn run_soon(&self, budget: usize) -> bool {
        let turn = &self.inner.turn;
        let mut just_told = false;
        while turn.soon_left.get() > 0 {
            if turn.ran.get() == budget {
                return true;
            }
            turn.soon_left.set(turn.soon_left.get() - 1);
            let Some(soon) = self.inner.soon.borrow_mut().pop_front() else { break };
            let Soon { call, place, id, reg } = soon;
            self.begin(Slot::Soon, place, NO_SOURCE);
            if trace::on() {
                self.soon_begins(id, reg, place, just_told);
                just_told = self.call_told(call);
            } else {
                call(self);
                self.end();
            }
        }
        false
    }

    #[inline(never)]
    fn run_mail(&self, budget: usize) -> bool {
        let turn = &self.inner.turn;
        let mut just_told = false;
        loop {
            if turn.ran.get() == budget {
                return true;
            }
            let Some(letter) = turn.mail.borrow_mut().pop_front() else { return false };
            let Letter { call, place, worker } = letter;
            self.begin(Slot::Post, place, NO_SOURCE);
            if trace::on() {
                self.letter_begins(place, worker, just_told);
                just_told = self.call_told(call);
            } else {
                call(self);
                self.end();
            }
        }
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn run_ready(&self, budget: usize) -> bool {
        let inner = &*self.inner;
        let turn = &inner.turn;
        loop {
            if turn.ran.get() == budget {
                return true;
            }
            let next = turn.next_ready.get();
            let Some(&ready) = turn.ready.borrow().get(next) else { return false };
            turn.next_ready.set(next + 1);
            let found = inner.sources.borrow_mut().dispatch(&inner.registry, ready);
            let Some(Dispatch { entry, readiness, place, index, serial }) = found else { continue };
            self.begin(Slot::Ready, place, (index, serial));
            // With it goes a source that was removed by its own callback.
            if trace::on() {
                self.call_source_told(entry, readiness);
            } else {
                entry.call(self, readiness);
                self.end();
            }
        }
    }

    #[inline(never)]
    fn run_timers(&self, budget: usize) -> bool {
        let inner = &*self.inner;
        let turn = &inner.turn;
        let mut just_told = false;
        loop {
            if turn.ran.get() == budget {
                return true;
            }
            let next = match turn.one_by_one.get() {
                false => inner.timers.borrow_mut().next_due(),
                true => inner.timers.borrow_mut().next_due_at(inner.clock.now()),
            };
            let Some(Due { key, at, slot }) = next else { return false };
            let label = inner.take_label(Named::Timer(key));
            let TimerSlot { call, place, id, reg } = slot;
            self.begin(Slot::Timer, place, NO_SOURCE);
            let told = trace::on();
            if told {
                self.timer_begins((id, reg, place), at, label, just_told);
            }
            inner.scheduled.set(Some(at));
            call(self);
            inner.scheduled.set(None);
            just_told = self.end_as(told);
        }
    }

    #[inline(never)]
    fn run_woken(&self, budget: usize) -> bool {
        let turn = &self.inner.turn;
        while turn.woken_left.get() > 0 {
            if turn.ran.get() == budget {
                return true;
            }
            turn.woken_left.set(turn.woken_left.get() - 1);
            let Some((task, work, place)) = self.inner.tasks.next() else { continue };
            self.begin(Slot::Task, place, NO_SOURCE);
            let told = trace::on();
            if told {
                self.task_begins(task, place);
            }
            self.poll_task(task, work);
            self.end_as(told);
        }
        false
    }

    /// Whether all that there is to do in this turn is to poll tasks: then it begins with them. Half of what a wake and a
    /// poll cost was to look into everything else.
    #[inline]
    fn only_tasks(&self, limit: Option<u64>) -> bool {
        let inner = &*self.inner;
        let only = limit.is_none()
            && inner.tasks.any_woken()
            && inner.turn.unasked.get() < UNASKED
            && !inner.hurry.get()
            && !inner.stopping.get()
            && !inner.after.any()
            && !inner.mailbox.has_mail()
            && inner.soon.borrow().is_empty()
            && inner.timers.borrow().is_empty()
            && !inner.sources.borrow().any_always()
            && !trace::on();
        if only {
            inner.turn.unasked.set(inner.turn.unasked.get() + 1);
        }
        only
    }

    /// Notes what is called from here on. While somebody records, who calls tells of it next: what that takes is handed
    /// over there only, and so costs others no registers.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn begin(&self, slot: Slot, place: Place, source: (u32, u64)) {
        let turn = &self.inner.turn;
        turn.ran.set(turn.ran.get() + 1);
        turn.current.set(Some(Current { slot, place, source }));
    }

    /// The callback is over. Nobody recorded when it began.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn end(&self) {
        self.inner.turn.current.set(None);
        if self.inner.after.any() {
            self.finish_up();
        }
    }

    /// Answers, as those below, whether the recording that goes on has been told.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn end_as(&self, told: bool) -> bool {
        if !told {
            self.end();
        }
        told && self.end_told()
    }

    #[cold]
    #[inline(never)]
    fn end_told(&self) -> bool {
        self.end();
        self.inner.turn.call_frame.take().is_some_and(|frame| self.close_frame(frame, Out::Ok))
    }

    #[cold]
    #[inline(never)]
    fn call_told(&self, call: impl FnOnce(&EventLoop)) -> bool {
        call(self);
        self.end_told()
    }

    #[cold]
    #[inline(never)]
    fn call_source_told(&self, entry: Rc<dyn AnySource>, readiness: Readiness) {
        // The recorder, which is told here, may remove or pause it.
        match self.inner.turn.current.get() {
            Some(Current { place, source: (index, serial), .. })
                if self.ready_begins(index, serial, readiness, place) =>
            {
                entry.call_told(self, readiness);
            }
            _ => drop(entry),
        }
        self.end_told();
    }

    /// Runs one callback of the user's outside the batches, and nothing of it gets out.
    pub(crate) fn call(&self, slot: Slot, place: Place, site: impl FnOnce() -> Site, f: impl FnOnce(&EventLoop)) {
        self.begin(slot, place, NO_SOURCE);
        let told = trace::on();
        if told {
            self.open_frame(slot, place, site());
        }
        match guard(|| f(self)) {
            Ok(()) => {
                self.end_as(told);
            }
            Err(payload) => self.caught(payload),
        }
    }

    /// Whether due timers are taken one by one; answers whether they were.
    pub(crate) fn set_one_by_one(&self, on: bool) -> bool {
        self.inner.turn.one_by_one.replace(on)
    }

    /// Runs the timers that are due, from inside the callback that runs. They are part of that callback: the turn
    /// counts one.
    pub(crate) fn run_due_inside(&self) {
        let inner = &*self.inner;
        let turn = &inner.turn;
        let (current, frame) = (turn.current.take(), turn.call_frame.take());
        let (scheduled, ran) = (inner.scheduled.take(), turn.ran.get());
        let (began, busy) = (turn.began.get(), turn.busy.get());
        loop {
            let next = inner.timers.borrow_mut().next_due_at(inner.clock.now());
            let Some(Due { key, at, slot }) = next else { break };
            let label = inner.take_label(Named::Timer(key));
            let TimerSlot { call, place, id, reg } = slot;
            self.call(
                Slot::Timer,
                place,
                || fired(turn, (id, reg, place), at, label, false),
                |event_loop| {
                    inner.scheduled.set(Some(at));
                    call(event_loop);
                },
            );
            inner.scheduled.set(None);
        }
        turn.current.set(current);
        turn.call_frame.set(frame);
        inner.scheduled.set(scheduled);
        turn.ran.set(ran);
        turn.began.set(began);
        turn.busy.set(busy);
    }

    /// A callback panicked: it is reported, what it belongs to is closed, and the loop can go on.
    #[cold]
    fn caught(&self, payload: Payload) {
        let turn = &self.inner.turn;
        self.inner.scheduled.set(None);
        let Some(Current { slot, place, source: (index, serial) }) = turn.current.take() else {
            // Not a callback's, so a recorder's or our own: nothing here knows how to go on after that.
            std::panic::resume_unwind(payload);
        };
        if let Some(frame) = turn.call_frame.take() {
            self.close_frame(frame, Out::Panic);
        }
        report::report(slot, place, &payload);
        if slot == Slot::Ready {
            self.remove_any(index, serial);
        }
        match (self.inner.panic_policy, turn.panicked.take()) {
            (PanicPolicy::ResumeUnwind, None) => {
                turn.eventful.set(true);
                turn.panicked.set(Some(payload));
            }
            (PanicPolicy::ResumeUnwind, first) => {
                turn.panicked.set(first);
                report::forget_payload(payload);
            }
            (PanicPolicy::Report, _) => report::forget_payload(payload),
        }
    }

    /// Goes on with a callback's panic, if that is the policy.
    pub(crate) fn resume_panic(&self) {
        if let Some(payload) = self.inner.turn.panicked.take() {
            std::panic::resume_unwind(payload);
        }
    }

    /// The end of a turn that has a frame or a panic.
    #[cold]
    fn end_eventful(&self) {
        let turn = &self.inner.turn;
        turn.eventful.set(false);
        if let Some(frame) = turn.frame.take() {
            self.turn_ends(frame);
        }
        self.resume_panic();
    }

    /// Waits, as long as nothing else is to be done, and fills the list of ready sources.
    #[inline(never)]
    fn wait(&self, limit: Option<u64>) -> Result<(), RunError> {
        let inner = &*self.inner;
        let turn = &inner.turn;
        turn.next_ready.set(0);
        turn.ready.borrow_mut().clear();
        if inner.after.any() {
            self.finish_up();
        }
        let woken = inner.any_task_woken();
        let always = inner.sources.borrow().any_always();
        let stopping = inner.stopping.get() && inner.life.get() != Life::ShuttingDown;
        let hurry = inner.hurry.take();
        let pending = hurry || always || stopping || !inner.soon.borrow().is_empty() || inner.mailbox.has_mail();
        if woken && !pending && limit.is_none() && turn.unasked.get() < UNASKED {
            turn.unasked.set(turn.unasked.get() + 1);
            return Ok(());
        }
        turn.unasked.set(0);
        if inner.sources.borrow().has_dirty() {
            self.arm_dirty();
        }
        let pending = pending || woken;
        let mut timeout = if pending || limit == Some(0) {
            Some(0)
        } else {
            let next = inner.next_deadline().map(|at| inner.clock.until(at));
            match (next, limit) {
                (Some(next), Some(limit)) => Some(next.min(limit)),
                (None, None) if inner.can_never_wake() => match turn.ran_before.get() + turn.ran.get() {
                    0 => {
                        if trace::on() {
                            super::tasks::tell::wakers_are_gone(&inner.tasks);
                        }
                        return Err(RunError::Idle(None));
                    }
                    // The next turn will say so, unless somebody does something about it meanwhile.
                    _ => Some(0),
                },
                (next, limit) => next.or(limit),
            }
        };
        if let (Clock::Test(clock), Some(span @ 1..)) = (&inner.clock, timeout) {
            if self.look_or_jump(clock, span)? {
                return Ok(());
            }
            // Jobs take real time, and the virtual clock stands while they run.
            timeout = limit;
        }
        if timeout == Some(0) {
            self.poll(timeout)?;
        } else {
            let polled = self.poll(if inner.mailbox.fall_asleep() { timeout } else { Some(0) });
            turn.woken_by_post.set(inner.mailbox.wake_up());
            polled?;
        }
        if always {
            inner.sources.borrow().push_always(&mut turn.ready.borrow_mut());
        }
        Ok(())
    }

    /// A wait on a clock that stands still: looks whether something is ready, and jumps by `span` if not. Answers whether
    /// that was all of the wait. Who records is told of a wait as on any other clock: so long, and ended by that.
    #[inline(never)]
    fn look_or_jump(&self, clock: &TestClock, span: u64) -> Result<bool, RunError> {
        let inner = &*self.inner;
        let turn = &inner.turn;
        let jumps = inner.jobs.borrow().is_empty();
        let begun = if trace::on() { self.poll_begins(Some(if jumps { span } else { 0 })) } else { None };
        let looked = inner.waiter.wait(Some(0), &mut turn.ready.borrow_mut());
        let woken = inner.mailbox.has_mail() || inner.any_task_woken();
        let idle = !woken && !turn.ready.borrow().iter().any(Ready::is_source);
        if looked.is_ok() && idle && jumps {
            clock.jump(clock.nanos().saturating_add(span));
        }
        self.poll_ended(begun);
        looked.map_err(RunError::Wait)?;
        Ok(!idle || jumps)
    }

    #[inline(never)]
    fn poll(&self, timeout: Option<u64>) -> Result<(), RunError> {
        if trace::on() {
            return self.poll_told(timeout);
        }
        self.inner.waiter.wait(timeout, &mut self.inner.turn.ready.borrow_mut()).map_err(RunError::Wait)
    }

    /// The same while somebody records.
    #[cold]
    #[inline(never)]
    fn poll_told(&self, timeout: Option<u64>) -> Result<(), RunError> {
        let turn = &self.inner.turn;
        let begun = self.poll_begins(timeout);
        let result = self.inner.waiter.wait(timeout, &mut turn.ready.borrow_mut());
        self.poll_ended(begun);
        result.map_err(RunError::Wait)
    }

    /// With what `poll_begins` answered, if somebody records.
    fn poll_ended(&self, begun: Option<(Mark, u64)>) {
        self.inner.turn.woken.set(0);
        if let Some(begun) = begun {
            self.poll_ends(begun);
        }
    }
}

/// How many turns may pass without asking the system, when all there is to do is to poll woken tasks. To ask costs more
/// than to poll; 61 is tokio's number, which keeps a socket waiting for some microseconds.
const UNASKED: u32 = 61;

/// For callbacks that are not a source's.
const NO_SOURCE: (u32, u64) = (u32::MAX, 0);
