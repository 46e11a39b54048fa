//! Start-up and shutdown, in Twisted's three phases.
//!
//! What is added to a phase that is being run is run in it too. A "before" trigger may answer a Deferred: the loop goes
//! on turning, and "during" begins when all of them have a result.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::Location;
use std::rc::Rc;

use crate::ground::Deferred;
use crate::trace::{self, EventNumber, Place, Slot};

use super::EventLoop;
use super::error::RunError;
use super::running::Life;
use super::turn::Site;

/// A turning point in a loop's life.
///
/// ```
/// use ropewalk::{EventLoop, Phase, SystemEvent};
/// use std::{cell::RefCell, rc::Rc};
///
/// let event_loop = EventLoop::new()?;
/// let log = Rc::new(RefCell::new(Vec::new()));
/// for event in [SystemEvent::Shutdown, SystemEvent::Startup] {
///     let log = log.clone();
///     event_loop.add_system_event_trigger(Phase::During, event, move |_| log.borrow_mut().push(event));
/// }
/// event_loop.call_soon(|event_loop| event_loop.stop());
/// event_loop.run()?;
/// assert_eq!(*log.borrow(), [SystemEvent::Startup, SystemEvent::Shutdown]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SystemEvent {
    /// [`EventLoop::run`] or [`EventLoop::run_until`] begins, and the loop is not started.
    Startup,
    /// A run ends.
    Shutdown,
}

/// When a trigger is run, seen from the event.
///
/// ```
/// use ropewalk::{EventLoop, Phase, SystemEvent};
/// use std::{cell::RefCell, rc::Rc};
///
/// let event_loop = EventLoop::new()?;
/// let log = Rc::new(RefCell::new(Vec::new()));
/// for (phase, what) in [
///     (Phase::After, "the log is closed"),
///     (Phase::Before, "no new work is taken"),
///     (Phase::During, "the connections are closed"),
/// ] {
///     let log = log.clone();
///     event_loop.add_system_event_trigger(phase, SystemEvent::Shutdown, move |_| log.borrow_mut().push(what));
/// }
/// event_loop.stop();
/// event_loop.run()?;
/// assert_eq!(*log.borrow(), ["no new work is taken", "the connections are closed", "the log is closed"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// First. The Deferreds that these triggers answer are waited for.
    Before,
    /// Then.
    During,
    /// Last.
    After,
}

/// Names a trigger, to remove it.
///
/// ```
/// use ropewalk::{EventLoop, Phase, SystemEvent};
/// use std::time::Duration;
///
/// let event_loop = EventLoop::new()?;
/// // The run ends when what it answers has fired.
/// event_loop.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, |event_loop| {
///     event_loop.defer_later(Duration::from_millis(1), |_| Ok(()))
/// });
/// let id = event_loop.add_system_event_trigger(Phase::After, SystemEvent::Shutdown, |_| println!("over"));
/// assert!(event_loop.remove_trigger(id));
/// event_loop.call_soon(|event_loop| event_loop.stop());
/// event_loop.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TriggerId {
    list: u8,
    serial: u64,
}

mod sealed {
    pub trait Sealed {
        fn into_deferred(self) -> Option<super::Deferred<()>>;
    }

    impl Sealed for () {
        fn into_deferred(self) -> Option<super::Deferred<()>> {
            None
        }
    }

    impl Sealed for super::Deferred<()> {
        fn into_deferred(self) -> Option<super::Deferred<()>> {
            Some(self)
        }
    }
}

/// What a trigger may answer: `()`, or a `Deferred<()>`, which is waited for if the trigger is a "before" one.
///
/// ```
/// use ropewalk::{EventLoop, Phase, SystemEvent, TestClock};
/// use std::time::Duration;
///
/// let clock = TestClock::new();
/// let event_loop = EventLoop::builder().clock(&clock).build()?;
/// let goodbye = |event_loop: &EventLoop| event_loop.defer_later(Duration::from_secs(5), |_| Ok(()));
/// event_loop.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, goodbye);
/// event_loop.add_system_event_trigger(Phase::During, SystemEvent::Shutdown, |event_loop| {
///     assert_eq!(event_loop.time(), Duration::from_secs(5)); // the goodbye was waited for
/// });
/// event_loop.stop();
/// event_loop.run()?;
/// assert_eq!(clock.now(), Duration::from_secs(5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait TriggerResult: sealed::Sealed {}

impl TriggerResult for () {}
impl TriggerResult for Deferred<()> {}

type Call = Box<dyn FnOnce(&EventLoop) -> Option<Deferred<()>>>;

struct Trigger {
    serial: u64,
    place: Place,
    reg: EventNumber,
    call: Call,
}

/// One list for each event and phase.
#[derive(Default)]
pub(crate) struct Triggers {
    lists: [VecDeque<Trigger>; 6],
}

impl Triggers {
    /// Everything that waits, for the loop's end.
    pub(crate) fn into_calls(self) -> impl Iterator<Item = impl Sized> {
        self.lists.into_iter().flatten()
    }
}

fn list(event: SystemEvent, phase: Phase) -> usize {
    event as usize * 3 + phase as usize
}

impl EventLoop {
    /// Has `f` called when the loop runs: now if it does, else after its start-up. The order is kept.
    ///
    /// ```
    /// use ropewalk::EventLoop;
    /// use std::{cell::RefCell, rc::Rc};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let log = Rc::new(RefCell::new(Vec::new()));
    /// let (outer, inner) = (log.clone(), log.clone());
    /// event_loop.call_when_running(move |_| outer.borrow_mut().push("it runs"));
    /// event_loop.call_soon(move |event_loop| {
    ///     let now = inner.clone();
    ///     event_loop.call_when_running(move |_| now.borrow_mut().push("at once"));
    ///     inner.borrow_mut().push("after it");
    ///     event_loop.stop();
    /// });
    /// event_loop.run()?;
    /// assert_eq!(*log.borrow(), ["it runs", "at once", "after it"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn call_when_running(&self, f: impl FnOnce(&EventLoop) + 'static) {
        if self.inner.life.get() == Life::Running {
            f(self);
        } else {
            self.add_system_event_trigger(Phase::After, SystemEvent::Startup, f);
        }
    }

    /// Has `f` called once, at the next such event. Triggers of the same phase are called in the order they were added.
    ///
    /// One that panics is reported, and the others are called all the same. A failure of a Deferred that is waited for
    /// is reported as unhandled, and counts as a result.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Failure, Phase, SystemEvent, testing::capture_unhandled};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let unhandled = capture_unhandled();
    /// event_loop.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, |event_loop| {
    ///     event_loop.defer_to_thread(|| Err(Failure::msg("the log cannot be written")))
    /// });
    /// event_loop.stop();
    /// event_loop.run()?; // it ends all the same
    /// assert_eq!(unhandled.flush_unhandled().len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn add_system_event_trigger<R: TriggerResult>(
        &self,
        phase: Phase,
        event: SystemEvent,
        f: impl FnOnce(&EventLoop) -> R + 'static,
    ) -> TriggerId {
        let serial = self.inner.next_serial();
        let list = list(event, phase);
        let trigger = Trigger {
            serial,
            place: Location::caller(),
            reg: if trace::on() { trace::frame() } else { 0 },
            call: Box::new(move |event_loop| sealed::Sealed::into_deferred(f(event_loop))),
        };
        self.inner.triggers.borrow_mut().lists[list].push_back(trigger);
        TriggerId { list: list as u8, serial }
    }

    /// Takes a trigger back. Answers whether it was still to come.
    pub fn remove_trigger(&self, id: TriggerId) -> bool {
        let taken = {
            let mut triggers = self.inner.triggers.borrow_mut();
            let list = &mut triggers.lists[usize::from(id.list)];
            let at = list.iter().position(|trigger| trigger.serial == id.serial);
            at.and_then(|at| list.remove(at))
        };
        taken.is_some()
    }

    /// Starts the loop, if it is not.
    pub(crate) fn start_up(&self) -> Result<(), RunError> {
        if self.inner.life.get() != Life::Out {
            return Ok(());
        }
        self.pass(SystemEvent::Startup, Life::Starting, Life::Running)
    }

    /// Shuts the loop down: after that it may be started again.
    pub(crate) fn shut_down(&self) -> Result<(), RunError> {
        self.inner.stopping.set(false);
        self.pass(SystemEvent::Shutdown, Life::ShuttingDown, Life::Out)
    }

    /// Goes through an event's three phases.
    fn pass(&self, event: SystemEvent, meanwhile: Life, then: Life) -> Result<(), RunError> {
        /// A panic that goes on out of here leaves a loop that can be started again, not one that is for ever between.
        struct OutUnlessDone<'a>(&'a Cell<Life>);
        impl Drop for OutUnlessDone<'_> {
            fn drop(&mut self) {
                self.0.set(Life::Out);
            }
        }
        let life = &self.inner.life;
        life.set(meanwhile);
        let between = OutUnlessDone(life);
        let result = self.fire_before(event);
        self.fire(event, Phase::During, |_| {});
        if event == SystemEvent::Shutdown {
            self.disconnect_all();
        }
        self.fire(event, Phase::After, |_| {});
        std::mem::forget(between);
        life.set(then);
        // A trigger's panic belongs to no turn.
        self.resume_panic();
        result
    }

    /// Runs the "before" triggers, and the loop until what they wait for is there.
    fn fire_before(&self, event: SystemEvent) -> Result<(), RunError> {
        let waiting = Rc::new(Cell::new(0usize));
        self.fire(event, Phase::Before, |deferred| {
            waiting.set(waiting.get() + 1);
            let (count, hurry) = (waiting.clone(), self.inner.hurry());
            let counted = deferred.own_step("trigger").add_both(move |outcome| {
                count.set(count.get() - 1);
                hurry();
                outcome
            });
            counted.detach();
        });
        // A stop does not wait for the start-up; a shutdown waits for all that is under way.
        let given_up = || event == SystemEvent::Startup && self.inner.stopping.get();
        while waiting.get() > 0 && !given_up() {
            self.drive(None, usize::MAX)?;
        }
        Ok(())
    }

    fn fire(&self, event: SystemEvent, phase: Phase, wait_for: impl Fn(Deferred<()>)) {
        let list = list(event, phase);
        loop {
            let Some(trigger) = self.inner.triggers.borrow_mut().lists[list].pop_front() else { return };
            let answer = Cell::new(None);
            let site = || Site { reg: trigger.reg, ..Site::default() };
            let call = |event_loop: &EventLoop| answer.set((trigger.call)(event_loop));
            self.call(Slot::Trigger, trigger.place, site, call);
            if let Some(deferred) = answer.into_inner() {
                wait_for(deferred);
            }
        }
    }
}
