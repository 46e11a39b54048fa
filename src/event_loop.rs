//! Floor 1, the event loop: what wakes a program, and in which order its callbacks run.
//!
//! | module | what it is |
//! |---|---|
//! | `turn` | the order of a turn |
//! | `running` | `run`, `run_until`, `turn`, `run_one`, `stop` |
//! | `sources`, `registration`, `interest` | registered descriptors: the table, and the loop's methods for it |
//! | `timers`, `delayed` | the heap of deadlines, and `DelayedCall` |
//! | `mailbox`, `channel` | what other threads send |
//! | `tasks` | futures that were woken |
//! | `jobs`, `pool`, `fs` | blocking work on other threads, and files |
//! | `signals` | signals as sources |
//! | `triggers` | start-up and shutdown |
//! | `wait`, `registry` | the system's poller; all `unsafe` code is in `registry` |
//! | `upper` | what the loop offers to the floors above |
//! | `recording`, `tell` | recording what the loop does; what it tells |
//! | `clock`, `report`, `registered`, `error`, `handle` | time; panics; what is left; errors; the weak handle |
//!
//! The rule of this floor: nothing of the user's runs while anything of the loop is borrowed or locked.

mod channel;
mod clock;
mod delayed;
mod error;
pub mod fs;
mod handle;
pub(crate) mod interest;
mod jobs;
mod mailbox;
mod pool;
mod recording;
mod registered;
mod registration;
mod registry;
mod report;
mod running;
pub mod signals;
pub(crate) mod sockets;
mod sources;
pub(crate) mod tasks;
mod tell;
mod timers;
mod triggers;
mod turn;
pub(crate) mod upper;
mod wait;

pub use channel::{RemoteResolver, Sender};
pub use clock::TestClock;
pub use delayed::DelayedCall;
pub use error::{Closed, Gone, InsertError, InsertReason, PostError, RunError, TimerError};
pub use handle::Handle;
pub use interest::{Interest, Readiness};
pub use jobs::PoolError;
pub use mailbox::Remote;
pub use registered::{Registered, RegisteredKind};
pub use sources::{Removed, SourceId};
pub use triggers::{Phase, SystemEvent, TriggerId, TriggerResult};

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use slab::Slab;

use crate::ground::numbered::Numbered;
use crate::ground::unhandled;
use crate::trace::{self, EventNumber, IdSlot, Kind, Links, Object, Place};

use clock::Clock;
use mailbox::Mailbox;
use registry::Registry;
use report::drop_quietly;
use running::Life;
use sources::Sources;
use tasks::Tasks;
use timers::Timers;
use triggers::Triggers;
use turn::Turn;
use wait::Waiter;

/// A loop that waits for events and calls what was registered for them, one callback at a time, on one thread.
///
/// There may be any number of loops; none is global, and none has a hidden thread. Callbacks are given the loop by
/// reference. What a closure may keep is a [`Handle`]; what another thread may have is a [`Remote`].
///
/// One turn runs, in this order: what was queued with [`call_soon`](EventLoop::call_soon), what other threads posted; then
/// it waits; then ready sources, due timers, woken tasks. What is added to one of these batches while it runs is for the next turn.
///
/// A callback that panics is reported with the line that registered it, and the others run on
/// ([`Builder::panic_policy`] has the other choice). A source whose callback panics is removed.
///
/// ```
/// use ropewalk::EventLoop;
/// use std::time::Duration;
///
/// let event_loop = EventLoop::new()?;
/// event_loop.call_soon(|event_loop| {
///     event_loop.call_later(Duration::from_millis(2), |event_loop| event_loop.stop());
/// });
/// event_loop.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EventLoop {
    pub(crate) inner: Rc<Inner>,
}

/// What happens after a callback has panicked, beside the report.
///
/// ```
/// use ropewalk::{EventLoop, PanicPolicy};
/// use std::panic::{AssertUnwindSafe, catch_unwind};
///
/// let event_loop = EventLoop::builder().panic_policy(PanicPolicy::ResumeUnwind).build()?;
/// event_loop.call_soon(|_| panic!("a bug"));
/// # std::panic::set_hook(Box::new(|_| ()));
/// let turned = catch_unwind(AssertUnwindSafe(|| event_loop.turn(None)));
/// # drop(std::panic::take_hook());
/// assert!(turned.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PanicPolicy {
    /// The loop goes on.
    #[default]
    Report,
    /// The first panic of a turn goes on unwinding when the turn is over, out of `run` or `turn`.
    ResumeUnwind,
}

/// How a loop is to be made.
///
/// ```
/// use ropewalk::{EventLoop, TestClock};
/// use std::time::Duration;
///
/// let clock = TestClock::new();
/// let event_loop = EventLoop::builder().clock(&clock).worker_threads(1).mailbox_limit(1000).build()?;
/// clock.advance(Duration::from_secs(7))?;
/// assert_eq!(event_loop.time(), Duration::from_secs(7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    clock: Option<TestClock>,
    panic_policy: PanicPolicy,
    mailbox_limit: usize,
    portable_wait: bool,
    worker_threads: usize,
}

impl Builder {
    /// Runs the loop on a test clock instead of the system's.
    pub fn clock(mut self, clock: &TestClock) -> Builder {
        self.clock = Some(clock.clone());
        self
    }

    /// What happens after a callback has panicked. The default is [`PanicPolicy::Report`].
    pub fn panic_policy(mut self, policy: PanicPolicy) -> Builder {
        self.panic_policy = policy;
        self
    }

    /// How many calls posted by other threads may wait. The default is 16,777,216: so many that only a loop that does
    /// not run any more has them, and still less than a machine's memory.
    pub fn mailbox_limit(mut self, limit: usize) -> Builder {
        self.mailbox_limit = limit;
        self
    }

    /// How many threads the worker pool may start, at least one. The default is 4. It starts none before the first job.
    pub fn worker_threads(mut self, threads: usize) -> Builder {
        self.worker_threads = threads;
        self
    }

    /// Waits the way that every system knows, also where there is a faster one. For tests of that way.
    pub fn portable_wait(mut self, portable: bool) -> Builder {
        self.portable_wait = portable;
        self
    }

    /// Makes the loop.
    ///
    /// # Errors
    ///
    /// The system refuses what the loop waits with: usually because the process has no descriptor left.
    pub fn build(self) -> io::Result<EventLoop> {
        #[cfg(feature = "trace-env")]
        crate::LOOP_IS_BUILT();
        let registry = Registry::new()?;
        let (waiter, waker) = Waiter::new(&registry, self.portable_wait)?;
        let number = LOOPS.fetch_add(1, Ordering::Relaxed) & (u64::MAX >> tasks::SERIAL_BITS);
        let inner = Rc::new(Inner {
            clock: match &self.clock {
                None => Clock::real(),
                Some(clock) => Clock::Test(clock.clone()),
            },
            panic_policy: self.panic_policy,
            mailbox: Arc::new(Mailbox::new(waker, self.mailbox_limit)),
            registry,
            waiter,
            sources: RefCell::default(),
            timers: RefCell::new(match &self.clock {
                None => Timers::default(),
                Some(_) => Timers::sorted_as_a_list(),
            }),
            soon: RefCell::default(),
            tasks: Tasks::new(number),
            turn: Turn::default(),
            triggers: RefCell::default(),
            jobs: RefCell::default(),
            pool: RefCell::default(),
            names: RefCell::default(),
            worker_threads: self.worker_threads,
            locals: RefCell::default(),
            labels: RefCell::default(),
            after: Rc::default(),
            of_loop: RefCell::default(),
            scheduled: Cell::new(None),
            // The upper bits differ from loop to loop, so that an id of one loop names nothing in another.
            serial: Cell::new(number << tasks::SERIAL_BITS),
            running: Cell::new(false),
            stopping: Cell::new(false),
            hurry: Cell::new(false),
            life: Cell::new(Life::Out),
            recording: RefCell::default(),
            closing: RefCell::default(),
            announced: Cell::new(0),
        });
        if let Some(clock) = &self.clock {
            clock.attach(&inner);
        }
        let event_loop = EventLoop { inner };
        event_loop.meet_recording();
        Ok(event_loop)
    }
}

/// Counts the loops of the process, for ids that never meet.
static LOOPS: AtomicU64 = AtomicU64::new(0);

/// What can have a name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Named {
    Source(u64),
    Timer(timers::TimerKey),
}

/// A call queued by `call_soon`.
struct Soon {
    call: timers::Call,
    place: Place,
    /// What the trace knows of it; empty unless somebody records.
    id: Cell<IdSlot>,
    reg: EventNumber,
}

/// What an [`EventLoop`] owns. Every cell in it is a leaf: it is borrowed for a few lines that call nobody.
pub(crate) struct Inner {
    clock: Clock,
    panic_policy: PanicPolicy,
    pub(crate) mailbox: Arc<Mailbox>,
    registry: Registry,
    waiter: Waiter,
    sources: RefCell<Sources>,
    timers: RefCell<Timers>,
    soon: RefCell<VecDeque<Soon>>,
    pub(crate) tasks: Rc<Tasks>,
    turn: Turn,
    triggers: RefCell<Triggers>,
    /// Jobs that another thread works at, by the places that gave them out.
    jobs: RefCell<Slab<jobs::Job>>,
    /// Made with the first job.
    pool: RefCell<Option<pool::Pool>>,
    worker_threads: usize,
    /// Threads that look up names.
    names: RefCell<Option<pool::Pool>>,
    /// What stays on the loop while its key is on other threads. In order, so that the loop's end drops it in order.
    locals: RefCell<Numbered<Rc<dyn Any>>>,
    /// Names that a person gave.
    labels: RefCell<HashMap<Named, Rc<str>>>,
    /// What is to be done after the callback that runs.
    after: Rc<upper::AfterCallback>,
    /// What the floors above keep with the loop: one object of a type.
    of_loop: RefCell<Vec<Rc<dyn Any>>>,
    /// The deadline of the timer that is being called.
    scheduled: Cell<Option<u64>>,
    serial: Cell<u64>,
    running: Cell<bool>,
    stopping: Cell<bool>,
    /// Set when what a run waited for has come: the wait of the turn at hand must not block.
    hurry: Cell<bool>,
    life: Cell<Life>,
    /// The recording that was begun with this loop.
    recording: RefCell<Weak<trace::Current>>,
    /// Why the source that is being taken out is closed, for the trace.
    pub(crate) closing: RefCell<Option<String>>,
    /// The recording that was told what this loop has.
    announced: Cell<u32>,
}

impl EventLoop {
    /// Makes a loop with the usual settings.
    ///
    /// # Errors
    ///
    /// As for [`Builder::build`].
    pub fn new() -> io::Result<EventLoop> {
        EventLoop::builder().build()
    }

    /// For a loop with other settings.
    ///
    /// ```
    /// use ropewalk::{EventLoop, PanicPolicy};
    ///
    /// // For a test: a panic in a callback fails it.
    /// let event_loop = EventLoop::builder().panic_policy(PanicPolicy::ResumeUnwind).build()?;
    /// event_loop.call_soon(|event_loop| event_loop.stop());
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder() -> Builder {
        Builder {
            clock: None,
            panic_policy: PanicPolicy::Report,
            mailbox_limit: 16_777_216,
            portable_wait: false,
            worker_threads: pool::THREADS,
        }
    }

    /// A weak handle, for closures to keep.
    ///
    /// ```
    /// use ropewalk::EventLoop;
    /// use std::time::Duration;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// let greeted = event_loop.defer_later(Duration::from_millis(1), |_| Ok("Ada"));
    /// let parted = greeted.add_callback(move |name| {
    ///     // A step is not given the loop: it keeps a handle.
    ///     handle.with_deferred(move |event_loop| {
    ///         event_loop.defer_later(Duration::from_millis(1), move |_| Ok(format!("bye, {name}")))
    ///     })
    /// });
    /// assert_eq!(event_loop.run_until(parted)?, "bye, Ada");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle(&self) -> Handle {
        Handle { inner: Rc::downgrade(&self.inner) }
    }

    /// A way to this loop for other threads.
    ///
    /// ```
    /// use ropewalk::EventLoop;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let remote = event_loop.remote();
    /// let thread = std::thread::spawn(move || {
    ///     // On this thread there is no loop: the closure is sent to it.
    ///     remote.post(|event_loop| event_loop.stop()).is_ok()
    /// });
    /// event_loop.run()?;
    /// assert!(thread.join().unwrap());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remote(&self) -> Remote {
        Remote::new(&self.inner.mailbox)
    }

    /// Calls `f` in the next turn, before anything else. Calls are made in the order in which they were queued.
    ///
    /// ```
    /// use ropewalk::EventLoop;
    /// use std::{cell::RefCell, rc::Rc};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let log = Rc::new(RefCell::new(Vec::new()));
    /// let (first, second) = (log.clone(), log.clone());
    /// event_loop.call_soon(move |event_loop| {
    ///     let third = first.clone();
    ///     event_loop.call_soon(move |event_loop| {
    ///         third.borrow_mut().push("in the next turn");
    ///         event_loop.stop();
    ///     });
    ///     first.borrow_mut().push("first");
    /// });
    /// event_loop.call_soon(move |_| second.borrow_mut().push("second"));
    /// event_loop.run()?;
    /// assert_eq!(*log.borrow(), ["first", "second", "in the next turn"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    #[inline]
    pub fn call_soon(&self, f: impl FnOnce(&EventLoop) + 'static) {
        self.call_soon_at(Location::caller(), f);
    }

    /// The same for somebody else: `place` is the line of the program that caused it.
    #[inline]
    pub(crate) fn call_soon_at(&self, place: Place, f: impl FnOnce(&EventLoop) + 'static) {
        let (id, reg) = if trace::on() { trace_post(place) } else { (Cell::default(), 0) };
        let soon = Soon { call: Box::new(f), place, id, reg };
        self.inner.soon.borrow_mut().push_back(soon);
    }
}

#[cold]
fn trace_post(place: Place) -> (Cell<IdSlot>, EventNumber) {
    let id = Cell::default();
    let Some((p, _)) = trace::id(&id, Object::Post) else { return (id, 0) };
    let reg = trace::emit(Kind::Post { p, late: false }, Links { at: Some(place), ..Links::default() });
    (id, reg)
}

impl Inner {
    #[inline]
    pub(crate) fn next_serial(&self) -> u64 {
        let serial = self.serial.get() + 1;
        self.serial.set(serial);
        serial
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.get()
    }

    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.timers.borrow().next_deadline()
    }

    /// Whether nothing is left that could end a wait without a limit.
    fn can_never_wake(&self) -> bool {
        // First whether somebody could still post, then whether somebody has: the last act of a Remote may be a post.
        !self.mailbox.has_remotes()
            && !self.mailbox.has_mail()
            && self.sources.borrow().wanting() == 0
            && self.timers.borrow().is_empty()
            && self.jobs.borrow().is_empty()
            && self.soon.borrow().is_empty()
            && !self.any_task_woken()
            && !self.tasks.any_waker_kept()
    }

    /// What a Deferred that a run waits for does when it has its result.
    fn hurry(self: &Rc<Self>) -> impl Fn() + 'static {
        let weak = Rc::downgrade(self);
        move || {
            if let Some(inner) = weak.upgrade() {
                inner.hurry.set(true);
            }
        }
    }

    /// Keeps something on the loop while its key travels.
    pub(crate) fn keep_local(&self, value: Rc<dyn Any>) -> u64 {
        let key = self.next_serial();
        self.locals.borrow_mut().insert(key, value);
        key
    }

    pub(crate) fn local(&self, key: u64) -> Option<Rc<dyn Any>> {
        self.locals.borrow().get(key).cloned()
    }

    pub(crate) fn take_local(&self, key: u64) -> Option<Rc<dyn Any>> {
        self.locals.borrow_mut().remove(key)
    }

    fn set_label(&self, named: Named, label: &str) {
        self.labels.borrow_mut().insert(named, Rc::from(label));
    }

    fn label(&self, named: Named) -> Option<Rc<str>> {
        self.labels.borrow().get(&named).cloned()
    }

    #[inline]
    fn take_label(&self, named: Named) -> Option<Rc<str>> {
        let mut labels = self.labels.borrow_mut();
        if labels.is_empty() { None } else { labels.remove(&named) }
    }
}

impl Drop for Inner {
    /// Nobody can reach the loop any more: every `Handle` says `Closed`. What it owned is taken out of its tables first
    /// and dropped after, since that runs the user's code.
    fn drop(&mut self) {
        if trace::on() {
            trace::loop_ends(self.open());
        }
        let letters = self.mailbox.close();
        let sources = self.sources.get_mut().clear(&self.registry);
        let (pool, names) = (self.pool.take(), self.names.take());
        let abandoned = unhandled::while_ending(|| {
            // Waits for the jobs that run. Their letters find the mailbox closed.
            drop_quietly(pool);
            drop_quietly(names.map(pool::Pool::detach));
            letters.into_iter().for_each(drop_quietly);
            self.turn.take_mail().into_iter().for_each(drop_quietly);
            self.soon.take().into_iter().for_each(drop_quietly);
            self.timers.take().into_calls().for_each(drop_quietly);
            sources.into_iter().for_each(drop_quietly);
            self.tasks.clear().for_each(drop_quietly);
            self.triggers.take().into_calls().for_each(drop_quietly);
            self.jobs.take().into_iter().for_each(drop_quietly);
            let mut locals = self.locals.take();
            while let Some(local) = locals.pop_first() {
                drop_quietly(local);
            }
            self.of_loop.take().into_iter().for_each(drop_quietly);
        });
        if abandoned > 0 {
            unhandled::error_line(&format_args!(
                "an event loop was dropped while {abandoned} Deferreds waited for it with nobody to handle their failure"
            ));
        }
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("running", &self.inner.running.get())
            .field("sources", &self.inner.sources.borrow().iter().count())
            .field("timers", &self.inner.timers.borrow().len())
            .finish_non_exhaustive()
    }
}
