//! Tasks: futures that the loop polls when somebody has woken them.
//!
//! ```text
//!  wake on the loop's thread    homes (thread-local) -> table: mark, queue        no lock, no allocation, no call
//!  wake on another thread       mark -> the mailbox's list -> one notification    many wakes until then: still one
//!  turn                         the queue, as long as it was when the batch began -> poll
//! ```
//!
//! A [`Waker`] must be `Send`, and what it wakes is not. So it holds the numbers of its task, and the thread-local
//! `HOMES` says which loop of this thread they mean. That is all it is for: it holds no loop, and nobody asks it
//! for one.
//!
//! A task is in the queue at most once, and the queue has a place for every task. While a task is polled it is out of
//! its slot.

pub(crate) mod tell;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, RawWakerVTable, Wake, Waker};

use slab::Slab;

use crate::ground::chain::Ask;
use crate::trace::{self, IdSlot, Mark, Place};

use super::mailbox::Mailbox;
use super::{EventLoop, Inner};

/// What a task runs. What comes of it, it has told by itself when it is ready.
pub(crate) type Body = Pin<Box<dyn Future<Output = ()>>>;

/// Names a task. Never names another one: the serial is not used again in the process, and its upper bits are the
/// loop's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskId {
    /// The loop's place in `HOMES`.
    home: u32,
    index: u32,
    serial: u64,
}

/// The bits of a serial that are not the loop's number.
pub(crate) const SERIAL_BITS: u32 = 40;

/// What the wakers of a task share.
struct Signal {
    task: TaskId,
    /// Whether another thread has woken it, and the loop has not seen that yet.
    elsewhere: AtomicBool,
    mailbox: Arc<Mailbox>,
}

impl Signal {
    fn new(task: TaskId, mailbox: &Arc<Mailbox>) -> Signal {
        Signal { task, elsewhere: AtomicBool::new(false), mailbox: mailbox.clone() }
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.task.wake() && !self.elsewhere.swap(true, Ordering::AcqRel) {
            self.mailbox.wake_task(self.task);
        }
    }
}

/// What a task's Deferred asks when it is cancelled: takes the task off its loop and drops it.
pub(crate) struct Canceller(Cell<TaskId>);

impl Ask for Canceller {
    fn call(&self) {
        drop(self.0.get().remove(false));
    }
}

thread_local! {
    /// The loops of this thread: their numbers and tables.
    static HOMES: RefCell<Slab<(u64, Rc<Tasks>)>> = const { RefCell::new(Slab::new()) };
    /// The task that is being polled, and the waker it was given.
    static POLLED: Cell<Option<Polled>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct Polled {
    task: TaskId,
    data: *const (),
    vtable: &'static RawWakerVTable,
}

impl TaskId {
    /// Calls `f` with the task's table, if its loop lives on this thread.
    fn at_home<R>(self, f: impl FnOnce(&Tasks) -> R) -> Option<R> {
        let call = |homes: &RefCell<Slab<(u64, Rc<Tasks>)>>| match homes.borrow().get(self.home as usize) {
            Some((number, tasks)) if *number == self.serial >> SERIAL_BITS => Some(f(tasks)),
            _ => None,
        };
        // A thread that is ending has no homes any more.
        HOMES.try_with(call).ok().flatten()
    }

    /// Wakes the task, if its loop lives on this thread. Answers whether it does.
    fn wake(self) -> bool {
        let woken = self.at_home(|tasks| tasks.table.borrow_mut().wake(self));
        if woken == Some(true) && trace::on() {
            tell::woken(self);
        }
        woken.is_some()
    }

    /// Takes the task off its loop, for the caller to drop. One that is being polled is dropped after that. `ready`: what
    /// it stands for has come to its end.
    pub(crate) fn remove(self, ready: bool) -> Option<Work> {
        if trace::on() {
            tell::ends(self, ready);
        }
        self.at_home(|tasks| tasks.remove(self)).flatten()
    }
}

/// Whom to wake: a task of this thread by its name, or whoever has this waker.
///
/// For a task that is being polled by its loop the name is enough. It costs no counting, and does not make the loop
/// believe that somebody outside could still wake the task.
#[derive(Default)]
pub(crate) enum Wakes {
    #[default]
    Nobody,
    Task(TaskId),
    Other(Waker),
}

impl Wakes {
    fn of(waker: &Waker) -> Wakes {
        match POLLED.get() {
            Some(polled) if polled.data == waker.data() && std::ptr::eq(polled.vtable, waker.vtable()) => {
                Wakes::Task(polled.task)
            }
            _ => Wakes::Other(waker.clone()),
        }
    }

    /// Wakes. A foreign waker is the user's code: nothing may be borrowed, and its panic is the caller's.
    pub(crate) fn wake(self) {
        match self {
            Wakes::Nobody => {}
            Wakes::Task(task) => {
                task.wake();
            }
            Wakes::Other(waker) => waker.wake(),
        }
    }
}

/// The place for the one who waits.
#[derive(Default)]
pub(crate) struct WakeSlot(Cell<Wakes>);

impl WakeSlot {
    /// From now on, this one waits.
    pub(crate) fn set(&self, waker: &Waker) {
        let before = self.0.take();
        let keep = matches!(&before, Wakes::Other(known) if known.will_wake(waker));
        self.0.set(if keep { before } else { Wakes::of(waker) });
    }

    pub(crate) fn take(&self) -> Wakes {
        self.0.take()
    }
}

/// A task as it is polled.
pub(crate) struct Work {
    body: Body,
    waker: Waker,
}

struct Slot {
    serial: u64,
    /// Out of it while the task is polled.
    work: Option<Work>,
    /// Whether the queue holds it.
    woken: bool,
    signal: Arc<Signal>,
    canceller: Rc<Canceller>,
    place: Place,
    /// What the trace knows of it: its id, how often it was polled, and by which event it was woken.
    id: Cell<IdSlot>,
    polls: u32,
    cause: Mark,
    /// It stands in for the future of a `block_on`.
    stands_in: bool,
    /// What was told last: somebody keeps a waker of it.
    kept: bool,
}

#[derive(Default)]
struct Table {
    slots: Slab<Slot>,
    woken: VecDeque<TaskId>,
    /// Of tasks that are gone, and of which nobody kept a waker: for the next ones.
    spare: Vec<(Arc<Signal>, Rc<Canceller>)>,
}

/// How many spare ones are kept: what tasks that come and go need at a time, in a few kilobytes.
const SPARE: usize = 64;

impl Table {
    fn get_mut(&mut self, task: TaskId) -> Option<&mut Slot> {
        self.slots.get_mut(task.index as usize).filter(|slot| slot.serial == task.serial)
    }

    /// Answers whether it was not woken yet.
    fn wake(&mut self, task: TaskId) -> bool {
        let Some(slot) = self.get_mut(task) else { return false };
        let first = !std::mem::replace(&mut slot.woken, true);
        if first {
            self.woken.push_back(task);
        }
        first
    }
}

/// The tasks of a loop.
pub(crate) struct Tasks {
    home: u32,
    table: RefCell<Table>,
    /// Takes turns with the mailbox's list, so that neither is allocated anew.
    letters: Cell<Vec<TaskId>>,
}

impl Tasks {
    /// The tasks of the loop of that number, at home on this thread.
    pub(crate) fn new(number: u64) -> Rc<Tasks> {
        HOMES.with(|homes| {
            let mut homes = homes.borrow_mut();
            let entry = homes.vacant_entry();
            let tasks = Tasks { home: entry.key() as u32, table: RefCell::default(), letters: Cell::default() };
            let tasks = Rc::new(tasks);
            entry.insert((number, tasks.clone()));
            tasks
        })
    }

    /// Takes a task in; it is polled in the next batch. `body` is told the task's name, and given what cancels it.
    pub(crate) fn insert<R>(
        &self,
        serial: u64,
        mailbox: &Arc<Mailbox>,
        place: Place,
        body: impl FnOnce(TaskId, Rc<Canceller>) -> (Body, R),
    ) -> R {
        let (task, waker, canceller) = {
            let mut table = self.table.borrow_mut();
            let spare = table.spare.pop();
            let entry = table.slots.vacant_entry();
            let task = TaskId { home: self.home, index: entry.key() as u32, serial };
            let (mut signal, canceller) = spare
                .unwrap_or_else(|| (Arc::new(Signal::new(task, mailbox)), Rc::new(Canceller(Cell::new(task)))));
            canceller.0.set(task);
            if let Some(signal) = Arc::get_mut(&mut signal) {
                // A spare one has the name of another task.
                signal.task = task;
                *signal.elsewhere.get_mut() = false;
            }
            let waker = Waker::from(signal.clone());
            entry.insert(Slot {
                serial,
                work: None,
                woken: true,
                signal,
                canceller: canceller.clone(),
                place,
                id: Cell::default(),
                polls: 0,
                cause: 0,
                stands_in: false,
                kept: false,
            });
            // A place for every task: a wake allocates nothing.
            let room = table.slots.len() - table.woken.len().min(table.slots.len());
            table.woken.reserve(room);
            (task, waker, canceller)
        };
        let (body, answer) = body(task, canceller);
        let mut table = self.table.borrow_mut();
        if let Some(slot) = table.get_mut(task) {
            slot.work = Some(Work { body, waker });
            table.woken.push_back(task);
        }
        drop(table);
        if trace::on() {
            tell::spawned(task);
        }
        answer
    }

    /// Notes that a task only stands in for a future that is polled elsewhere.
    pub(crate) fn stands_in(&self, task: TaskId) {
        if let Some(slot) = self.table.borrow_mut().get_mut(task) {
            slot.stands_in = true;
        }
    }

    /// A waker of a task.
    pub(crate) fn waker(&self, task: TaskId) -> Option<Waker> {
        let mut table = self.table.borrow_mut();
        Some(Waker::from(table.get_mut(task)?.signal.clone()))
    }

    fn remove(&self, task: TaskId) -> Option<Work> {
        let slot = {
            let mut table = self.table.borrow_mut();
            table.get_mut(task)?;
            table.slots.remove(task.index as usize)
        };
        slot.work
    }

    /// Takes a task out that has come to its end.
    fn finish(&self, task: TaskId, work: Work) {
        drop(work);
        let mut table = self.table.borrow_mut();
        if table.get_mut(task).is_some() {
            let Slot { mut signal, mut canceller, .. } = table.slots.remove(task.index as usize);
            let free = Arc::get_mut(&mut signal).is_some() && Rc::get_mut(&mut canceller).is_some();
            if free && table.spare.len() < SPARE {
                table.spare.push((signal, canceller));
            }
        }
    }

    /// Whether a task waits for its turn.
    #[inline]
    pub(crate) fn any_woken(&self) -> bool {
        !self.table.borrow().woken.is_empty()
    }

    /// Whether somebody keeps a waker of a task, so that a wake may come from outside.
    pub(crate) fn any_waker_kept(&self) -> bool {
        // The slot has one and so has its work.
        self.table.borrow().slots.iter().any(|(_, slot)| Arc::strong_count(&slot.signal) > 2)
    }

    /// Whether somebody keeps a waker of this task, which is polled or waits.
    fn is_waker_kept(&self, task: TaskId) -> bool {
        self.table.borrow_mut().get_mut(task).is_some_and(|slot| {
            // The slot has one and so has its work; the future that it stands in for has one more.
            Arc::strong_count(&slot.signal) > 2 + usize::from(slot.stands_in)
        })
    }

    /// How many tasks the next batch has, those that other threads woke among them.
    pub(crate) fn batch(&self, mailbox: &Mailbox) -> usize {
        if mailbox.has_woken_tasks() {
            let mut letters = self.letters.take();
            mailbox.take_woken_tasks(&mut letters);
            for task in letters.drain(..) {
                let first = {
                    let mut table = self.table.borrow_mut();
                    let Some(slot) = table.get_mut(task) else { continue };
                    // Before the poll: who wakes after this is heard again. What was written before the wake is seen.
                    slot.signal.elsewhere.swap(false, Ordering::AcqRel);
                    table.wake(task)
                };
                if first && trace::on() {
                    tell::woken(task);
                }
            }
            self.letters.set(letters);
        }
        self.table.borrow().woken.len()
    }

    /// The next task of the batch; `None` for one that is gone.
    pub(crate) fn next(&self) -> Option<(TaskId, Work, Place)> {
        let mut table = self.table.borrow_mut();
        let task = table.woken.pop_front()?;
        let slot = table.get_mut(task)?;
        slot.woken = false;
        Some((task, slot.work.take()?, slot.place))
    }

    /// Whether it is there, be it polled or not.
    fn has(&self, task: TaskId) -> bool {
        self.table.borrow_mut().get_mut(task).is_some()
    }

    /// Puts a task back that is not ready; it comes back when it was removed meanwhile.
    fn put_back(&self, task: TaskId, work: Work) -> Option<Work> {
        match self.table.borrow_mut().get_mut(task) {
            Some(slot) => slot.work.replace(work),
            None => Some(work),
        }
    }

    /// How many tasks there are.
    pub(crate) fn count(&self) -> usize {
        self.table.borrow().slots.len()
    }

    /// All tasks.
    pub(crate) fn all(&self) -> Vec<TaskId> {
        let table = self.table.borrow();
        table
            .slots
            .iter()
            .map(|(index, slot)| TaskId { home: self.home, index: index as u32, serial: slot.serial })
            .collect()
    }

    /// Calls `f` with each task's place and trace id.
    pub(crate) fn each(&self, mut f: impl FnMut(Place, &Cell<IdSlot>)) {
        for (_, slot) in &self.table.borrow().slots {
            f(slot.place, &slot.id);
        }
    }

    /// Gives up all tasks, for the loop's end.
    pub(crate) fn clear(&self) -> impl Iterator<Item = Work> + use<> {
        let table = self.table.take();
        let left = HOMES.try_with(|homes| homes.borrow_mut().try_remove(self.home as usize));
        drop(left);
        table.slots.into_iter().filter_map(|(_, slot)| slot.work)
    }
}

/// Says which task is polled, and takes it back whatever happens.
pub(crate) struct Polling(Option<Polled>);

impl Polling {
    pub(crate) fn begin(task: TaskId, waker: &Waker) -> Polling {
        Polling(POLLED.replace(Some(Polled { task, data: waker.data(), vtable: waker.vtable() })))
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        POLLED.set(self.0);
    }
}

impl EventLoop {
    /// Polls a task that was taken for it.
    pub(crate) fn poll_task(&self, task: TaskId, mut work: Work) {
        let tasks = &self.inner.tasks;
        let frame = if trace::on() { tell::poll_begins(task, true) } else { None };
        // The recorder, which has just been told, may have removed it: then it is dropped, as if polled.
        let polled = if trace::on() && !tasks.has(task) {
            Poll::Pending
        } else {
            let _polling = Polling::begin(task, &work.waker);
            let Work { body, waker } = &mut work;
            // No panic comes out of it: a body catches those of its future.
            body.as_mut().poll(&mut Context::from_waker(waker))
        };
        if let Some(frame) = frame {
            tell::poll_ends(frame, task, polled.is_ready());
        }
        match polled {
            Poll::Pending => drop(tasks.put_back(task, work)),
            Poll::Ready(()) => {
                if trace::on() {
                    tell::ends(task, true);
                }
                tasks.finish(task, work);
            }
        }
    }
}

impl Inner {
    /// Whether a task waits for its turn, or was woken from another thread.
    #[inline]
    pub(crate) fn any_task_woken(&self) -> bool {
        self.tasks.any_woken() || self.mailbox.has_woken_tasks()
    }
}
