//! `Cooperator`: long work in slices, so that everything else goes on.
//!
//! ```text
//!  turn | a b c a b c a |  turn | b c a b c .. |  turn | ..
//!       |<--- 10 ms --->|
//!  sources, timers, other threads' calls run between the slices
//! ```
//!
//! Active tasks stand in a queue. One that pauses or ends is not looked for there: it is passed by when its turn comes.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::time::Duration;

use slab::Slab;

use crate::event_loop::{DelayedCall, EventLoop, Handle};
use crate::ground::step::Returned;
use crate::ground::{Deferred, Failure, Resolver};
use crate::task::call::call;
use crate::task::work::{Sealed, Unit, WorkUnit};
use crate::trace::Place;

/// How long a slice lasts, if nothing else is said: Twisted's figure. Shorter than what a person notices.
const SLICE: Duration = Duration::from_millis(10);

/// How many units a slice has at most. A clock that stands still, as a test's does, ends no slice by time; on a real one
/// no useful unit is so short that this comes first.
const UNITS: usize = 1_000_000;

/// Does long work in slices, and lets the loop's other callbacks run in between. Twisted's `Cooperator`.
///
/// A task is an iterator. Each call of its `next` does one small unit of the work; its items say how to go on (see
/// [`WorkUnit`]): `()`, or a Deferred to wait for. The tasks take turns unit by unit, for 10 ms at a time, once in every
/// turn of the loop.
///
/// Clones are the same cooperator. It lives as long as it has tasks.
///
/// ```
/// use ropewalk::{EventLoop, task::Cooperator};
/// use std::{cell::Cell, rc::Rc};
///
/// let event_loop = EventLoop::new()?;
/// let sum = Rc::new(Cell::new(0u64));
/// let part = sum.clone();
/// let cooperator = Cooperator::new(&event_loop);
/// let done = cooperator.coiterate((1..=100_000).map(move |n| part.set(part.get() + n)));
/// event_loop.run_until(done)?;
/// assert_eq!(sum.get(), 5_000_050_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Cooperator {
    shared: Rc<Shared>,
}

struct Shared {
    event_loop: Handle,
    slice: Duration,
    place: Place,
    stopped: Cell<bool>,
    /// Those that are to run, and some that have been paused or have ended since.
    queue: RefCell<VecDeque<Rc<Task>>>,
    /// All that have not ended, also those that are paused.
    tasks: RefCell<Slab<Weak<Task>>>,
    /// How many neither are paused nor have ended.
    active: Cell<usize>,
    /// The next slice, while one is armed: whenever a task is active, but for the slice that runs.
    timer: Cell<Option<DelayedCall>>,
    /// A slice runs. The next is armed at its end.
    slicing: Cell<bool>,
}

impl Cooperator {
    /// A cooperator on a loop, with slices of 10 ms.
    #[track_caller]
    pub fn new(event_loop: impl Into<Handle>) -> Cooperator {
        Cooperator::with_slice(event_loop, SLICE)
    }

    /// The same with slices of another length, on the loop's clock. With zero, a slice is one unit.
    ///
    /// A slice also ends after a million units: a [`TestClock`](crate::TestClock) that stands still ends none.
    #[track_caller]
    pub fn with_slice(event_loop: impl Into<Handle>, slice: Duration) -> Cooperator {
        Cooperator {
            shared: Rc::new(Shared {
                event_loop: event_loop.into(),
                slice,
                place: Location::caller(),
                stopped: Cell::new(false),
                queue: RefCell::default(),
                tasks: RefCell::default(),
                active: Cell::new(0),
                timer: Cell::new(None),
                slicing: Cell::new(false),
            }),
        }
    }

    /// Starts a task. Its first unit runs in the next slice.
    ///
    /// Dropping the answer does not stop the task. If the cooperator is stopped or its loop is gone, the task has ended
    /// with [`TaskError::SchedulerStopped`].
    #[track_caller]
    pub fn cooperate<I>(&self, work: I) -> CooperativeTask
    where
        I: Iterator<Item: WorkUnit> + 'static,
    {
        let mut work = work;
        let task = Rc::new(Task {
            work: Cell::new(Some(Box::new(move || work.next().map_or(Unit::Done, Sealed::unit)))),
            place: Location::caller(),
            cooperator: self.shared.clone(),
            key: Cell::new(None),
            working: Cell::new(false),
            queued: Cell::new(false),
            pauses: Cell::new(0),
            end: Cell::new(None),
            waiters: RefCell::default(),
        });
        let key = self.shared.tasks.borrow_mut().insert(Rc::downgrade(&task));
        task.key.set(Some(key));
        self.shared.active.set(self.shared.active.get() + 1);
        self.shared.enqueue(&task);
        CooperativeTask { task }
    }

    /// Starts a task and answers when it is done: [`cooperate`](Cooperator::cooperate) and
    /// [`when_done`](CooperativeTask::when_done) in one.
    #[track_caller]
    pub fn coiterate<I>(&self, work: I) -> Deferred<()>
    where
        I: Iterator<Item: WorkUnit> + 'static,
    {
        self.cooperate(work).when_done()
    }

    /// Ends all tasks, the paused ones too, with [`TaskError::SchedulerStopped`]. New ones end at once until
    /// [`start`](Cooperator::start).
    pub fn stop(&self) {
        self.shared.stopped.set(true);
        self.shared.end_all(|task| task.finish(End::SchedulerStopped));
    }

    /// Takes tasks again after a [`stop`](Cooperator::stop).
    pub fn start(&self) {
        self.shared.stopped.set(false);
    }

    /// Whether it takes tasks: it was not stopped.
    pub fn is_running(&self) -> bool {
        !self.shared.stopped.get()
    }
}

impl fmt::Debug for Cooperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cooperator")
            .field("running", &self.is_running())
            .field("tasks", &self.shared.tasks.borrow().len())
            .field("active", &self.shared.active.get())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Puts an active task in the queue.
    fn enqueue(self: &Rc<Self>, task: &Rc<Task>) {
        if self.stopped.get() {
            return task.finish(End::SchedulerStopped);
        }
        // One that works now is put there when it has worked.
        if !task.working.get() && !task.queued.replace(true) {
            self.queue.borrow_mut().push_back(task.clone());
        }
        self.schedule();
    }

    /// Arms the next slice, if there is anything to do.
    fn schedule(self: &Rc<Self>) {
        let armed = self.timer.take();
        if armed.is_some() || self.active.get() == 0 || self.slicing.get() {
            return self.timer.set(armed);
        }
        match self.event_loop.upgrade() {
            Ok(event_loop) => {
                let armed = Armed(Some(self.clone()));
                let now = event_loop.time();
                let timer = event_loop.call_at_for(now, self.place, move |event_loop| armed.fire(event_loop));
                self.timer.set(Some(timer));
            }
            Err(_) => self.end_all(|task| task.finish(End::SchedulerStopped)),
        }
    }

    fn slice(self: &Rc<Self>, event_loop: &EventLoop) {
        let end = event_loop.time().saturating_add(self.slice);
        self.slicing.set(true);
        for _ in 0..UNITS {
            let Some(task) = self.queue.borrow_mut().pop_front() else { break };
            task.queued.set(false);
            if !task.is_active() {
                continue;
            }
            task.work_once();
            if task.is_active() {
                self.enqueue(&task);
            }
            if event_loop.time() >= end {
                break;
            }
        }
        self.slicing.set(false);
        self.schedule();
    }

    /// A task is not active any more.
    fn one_less(&self) {
        let active = self.active.get() - 1;
        self.active.set(active);
        if active == 0 {
            if let Some(timer) = self.timer.take() {
                // It is armed as long as it stands here.
                let _ = timer.cancel();
            }
            // Only those that would be passed by are left. Each may come back.
            let queue = self.queue.take();
            queue.iter().for_each(|task| task.queued.set(false));
        }
    }

    fn end_all(&self, end: impl Fn(&Rc<Task>)) {
        let tasks: Vec<Weak<Task>> = self.tasks.borrow().iter().map(|(_, task)| task.clone()).collect();
        tasks.iter().filter_map(Weak::upgrade).for_each(|task| end(&task));
    }
}

/// What an armed slice holds. Dropped without a call, by the end of the loop, it ends the tasks.
struct Armed(Option<Rc<Shared>>);

impl Armed {
    fn fire(mut self, event_loop: &EventLoop) {
        if let Some(shared) = self.0.take() {
            shared.timer.set(None);
            shared.slice(event_loop);
        }
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take()
            && shared.timer.take().is_some()
        {
            // Whoever waits is told by the end of its Resolver: the loop counts these in one line.
            shared.end_all(|task| {
                drop(task.waiters.take());
                task.finish(End::SchedulerStopped);
            });
        }
    }
}

/// One task of a [`Cooperator`]. Clones are the same task; dropping them does not stop it.
///
/// ```
/// use ropewalk::{EventLoop, task::Cooperator};
/// use std::{cell::Cell, rc::Rc};
///
/// let event_loop = EventLoop::new()?;
/// let units = Rc::new(Cell::new(0));
/// let done = units.clone();
/// let task = Cooperator::new(&event_loop).cooperate((0..1000).map(move |_| done.set(done.get() + 1)));
/// task.pause()?;
/// event_loop.call_soon({
///     let task = task.clone();
///     move |_| task.resume().unwrap()
/// });
/// event_loop.run_until(task.when_done())?;
/// assert_eq!(units.get(), 1000);
/// assert!(task.has_ended());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct CooperativeTask {
    task: Rc<Task>,
}

type Work = Box<dyn FnMut() -> Unit>;

struct Task {
    /// Taken out while it works, and for good at the end.
    work: Cell<Option<Work>>,
    place: Place,
    cooperator: Rc<Shared>,
    key: Cell<Option<usize>>,
    working: Cell<bool>,
    queued: Cell<bool>,
    pauses: Cell<usize>,
    end: Cell<Option<End>>,
    waiters: RefCell<Vec<Resolver<()>>>,
}

/// How a task ended.
enum End {
    Done,
    Stopped,
    SchedulerStopped,
    /// The failure, and whether somebody was told.
    Failed(Failure, bool),
}

impl End {
    fn error(&self) -> TaskError {
        match self {
            End::Done => TaskError::Done,
            End::Stopped => TaskError::Stopped,
            End::SchedulerStopped => TaskError::SchedulerStopped,
            End::Failed(..) => TaskError::Failed,
        }
    }

    /// What one of those who wait is told.
    fn result(&mut self, place: Place) -> Result<(), Failure> {
        match self {
            End::Done => Ok(()),
            End::Failed(failure, told) => {
                *told = true;
                Err(failure.share())
            }
            End::Stopped | End::SchedulerStopped => Err(Failure::raised_at(self.error(), place)),
        }
    }
}

impl CooperativeTask {
    /// Pauses the task. As many [`resume`](CooperativeTask::resume)s as pauses are needed for it to go on.
    ///
    /// # Errors
    ///
    /// The task has ended; the error says how.
    pub fn pause(&self) -> Result<(), TaskError> {
        self.task.check_end()?;
        self.task.pause();
        Ok(())
    }

    /// Takes one pause back. The task goes on in the next slice when none is left.
    ///
    /// # Errors
    ///
    /// [`TaskError::NotPaused`] if there is no pause to take back.
    pub fn resume(&self) -> Result<(), TaskError> {
        self.task.resume()
    }

    /// Ends the task. Its iterator is dropped. A Deferred that it waits for is not cancelled.
    ///
    /// # Errors
    ///
    /// The task has ended already; the error says how.
    pub fn stop(&self) -> Result<(), TaskError> {
        self.task.check_end()?;
        self.task.finish(End::Stopped);
        Ok(())
    }

    /// A Deferred for the end of the task. There may be any number of them.
    ///
    /// It has its value when the iterator has come to its end. It fails with the failure of the task (each sees the same
    /// error), or with a [`TaskError`] if the task or the cooperator was stopped. A cancel of it does not stop the task.
    #[track_caller]
    pub fn when_done(&self) -> Deferred<()> {
        let task = &self.task;
        match task.end.take() {
            Some(mut end) => {
                let result = end.result(task.place);
                task.end.set(Some(end));
                Deferred::from_result(result)
            }
            None => {
                let (resolver, deferred) = Deferred::new();
                task.waiters.borrow_mut().push(resolver);
                deferred
            }
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.task.check_end().is_err()
    }
}

impl fmt::Debug for CooperativeTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<CooperativeTask made {}", self.task.place)?;
        match (self.task.check_end(), self.task.pauses.get()) {
            (Err(end), _) => write!(f, ": {end}>"),
            (Ok(()), 0) => write!(f, ", active>"),
            (Ok(()), _) => write!(f, ", paused>"),
        }
    }
}

impl Task {
    fn check_end(&self) -> Result<(), TaskError> {
        let end = self.end.take();
        let error = end.as_ref().map(End::error);
        self.end.set(end);
        error.map_or(Ok(()), Err)
    }

    fn is_active(&self) -> bool {
        self.pauses.get() == 0 && self.check_end().is_ok()
    }

    fn pause(&self) {
        let pauses = self.pauses.get();
        self.pauses.set(pauses + 1);
        if pauses == 0 {
            self.cooperator.one_less();
        }
    }

    fn resume(self: &Rc<Self>) -> Result<(), TaskError> {
        let left = self.pauses.get().checked_sub(1).ok_or(TaskError::NotPaused)?;
        self.pauses.set(left);
        if self.is_active() {
            self.cooperator.active.set(self.cooperator.active.get() + 1);
            self.cooperator.enqueue(self);
        }
        Ok(())
    }

    /// Does one unit.
    fn work_once(self: &Rc<Self>) {
        let Some(mut work) = self.work.take() else { return };
        self.working.set(true);
        let unit = match call(self.place, || Returned::Now(Ok(work()))) {
            Returned::Now(Ok(unit)) => unit,
            Returned::Now(Err(panic)) => Unit::Failed(panic),
            Returned::Later(_) => return, // it gives back no Deferred of its own
        };
        self.working.set(false);
        if self.check_end().is_ok() {
            self.work.set(Some(work));
        }
        match unit {
            Unit::More => {}
            Unit::Done => self.finish(End::Done),
            Unit::Failed(failure) => self.fail(failure),
            Unit::Wait(deferred) => {
                if self.check_end().is_ok() {
                    self.pause();
                }
                let (task, failing) = (self.clone(), self.clone());
                let waited = deferred.own_step("Cooperator").add_callbacks(
                    move |()| {
                        // One that was stopped meanwhile has nothing to go on with.
                        let _ = task.resume();
                        Ok(())
                    },
                    move |failure| {
                        failing.fail(failure);
                        Ok(())
                    },
                );
                waited.detach();
            }
        }
    }

    /// Ends it with a failure. If it has ended already, the failure is nobody's, and is reported.
    fn fail(self: &Rc<Self>, failure: Failure) {
        match self.check_end() {
            Ok(()) => self.finish(End::Failed(failure, false)),
            Err(_) => lost(failure, self.place),
        }
    }

    fn finish(&self, mut end: End) {
        if self.check_end().is_err() {
            return;
        }
        let waiters = self.waiters.take();
        let results: Vec<_> = waiters.iter().map(|_| end.result(self.place)).collect();
        self.end.set(Some(end));
        if let Some(key) = self.key.take() {
            self.cooperator.tasks.borrow_mut().remove(key);
        }
        if self.pauses.get() == 0 {
            self.cooperator.one_less();
        }
        drop(self.work.take());
        for (resolver, result) in waiters.into_iter().zip(results) {
            resolver.fire_at(result, self.place);
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(End::Failed(failure, false)) = self.end.take() {
            lost(failure, self.place);
        }
    }
}

/// Reports a failure that nobody can take any more.
fn lost(failure: Failure, place: Place) {
    drop(Deferred::<()>::done(Err(failure), place));
}

/// What is wrong with a task of a [`Cooperator`], or how it ended.
///
/// ```
/// use ropewalk::task::{Cooperator, TaskError};
/// use ropewalk::{EventLoop, testing::failure_of};
///
/// let event_loop = EventLoop::new()?;
/// let cooperator = Cooperator::new(&event_loop);
/// let task = cooperator.cooperate((0..1000).map(|_| ()));
/// assert_eq!(task.resume(), Err(TaskError::NotPaused));
/// let done = task.when_done();
/// task.stop()?;
/// assert_eq!(failure_of(done).check(), Some(&TaskError::Stopped));
/// assert_eq!(task.pause(), Err(TaskError::Stopped)); // how it ended
///
/// cooperator.stop();
/// let late = cooperator.coiterate((0..10).map(|_| ()));
/// assert_eq!(failure_of(late).check(), Some(&TaskError::SchedulerStopped));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// It is not paused.
    NotPaused,
    /// It came to its end.
    Done,
    /// It was stopped.
    Stopped,
    /// It failed.
    Failed,
    /// The cooperator was stopped, or its loop is gone.
    SchedulerStopped,
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TaskError::NotPaused => "the task is not paused",
            TaskError::Done => "the task is done",
            TaskError::Stopped => "the task was stopped",
            TaskError::Failed => "the task failed",
            TaskError::SchedulerStopped => "the cooperator of the task was stopped, or its event loop is gone",
        })
    }
}

impl Error for TaskError {}
