//! What the torture test knows of tasks: their futures, which call back, the wakers, and the rules for polls.

use crate::world::{Ctx, Deliberate, Noise, Pool, Ticket, Token, Value, World, enter, seen, world};
use ropewalk::bridge::{DeferredFuture, Sleep, Timeout, UnixStream, interval, sleep, timeout, yield_now};
use ropewalk::{CancelHandle, Deferred, Failure};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the test knows of a task.
pub(crate) struct Record {
    pub(crate) serial: u64,
    pub(crate) ticket: Rc<Ticket>,
    /// The loop that it belongs to: its life's number.
    life: u32,
    /// Whether only wakes that are noted here may lead to a poll.
    exact: bool,
    /// Whether nobody keeps its waker: it waits to be cancelled.
    idle: bool,
    polled: Cell<bool>,
    over: Cell<bool>,
    pub(crate) cancelled: Cell<bool>,
    /// Whether it was woken on this thread since its last poll began.
    here: Cell<bool>,
    /// How many polls other wakes may still lead to: one each, if the loop hears of each by itself. They are those of the
    /// other thread, and those of a recorder.
    elsewhere: Cell<u32>,
    /// Whether there was no poll after the last wake.
    owed: Cell<bool>,
    /// Futures that have not been dropped: one, then none.
    pub(crate) alive: Cell<i32>,
}

impl Record {
    pub(crate) fn new(w: &World) -> Rc<Record> {
        let record = Rc::new(Record {
            serial: w.next_serial(),
            ticket: w.ticket("task", false),
            life: w.tasks.life.get(),
            exact: w.one_in(2),
            idle: w.one_in(3),
            polled: Cell::new(false),
            over: Cell::new(false),
            cancelled: Cell::new(false),
            here: Cell::new(true),
            elsewhere: Cell::new(0),
            owed: Cell::new(true),
            alive: Cell::new(0),
        });
        w.tasks.records.borrow_mut().push(record.clone());
        record
    }

    pub(crate) fn state(&self, w: &World) -> &'static str {
        if self.life != w.tasks.life.get() || w.loop_dropping.get() {
            "closed"
        } else if self.over.get() || self.alive.get() == 0 {
            "over"
        } else if self.polled.get() {
            "polled"
        } else if self.here.get() || self.elsewhere.get() > 0 {
            "woken"
        } else {
            "waiting"
        }
    }

    /// It is about to be woken on this thread.
    pub(crate) fn wakes(&self, w: &World) {
        // One that the other thread has woken may be in the batch at hand.
        if !self.here.replace(true) && self.elsewhere.get() == 0 && self.exact {
            self.ticket.renew(w);
        }
        if w.stack.borrow().contains(&Ctx::Recorder) {
            // It may be hearing that the task is about to be polled: taken out of the queue, and not polled yet.
            self.elsewhere.set(self.elsewhere.get() + 1);
        }
        self.owed.set(true);
    }

    pub(crate) fn wakes_elsewhere(&self) {
        self.elsewhere.set(self.elsewhere.get() + 1);
        self.owed.set(true);
    }
}

/// A task's future: its polls and its drop call back.
pub(crate) struct Work {
    record: Rc<Record>,
    noise: Option<Noise>,
    inner: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// How often it wakes itself yet: kept finite by this, since not every poll acts.
    own_wakes: u32,
}

impl Work {
    pub(crate) fn new(w: &World, record: Rc<Record>) -> Work {
        record.alive.set(1);
        let noise = w.one_in(2).then(|| Noise);
        Work { record, noise, inner: None, own_wakes: 2 }
    }

    /// Something of the bridge to await.
    fn choose(&self, w: &World) -> Pin<Box<dyn Future<Output = ()>>> {
        let handle = w.handle.borrow().clone();
        let serial = self.record.serial;
        let later = w.chains.take_if(w, |chain| chain.serial > serial).map(|chain| chain.end);
        let delay = Duration::from_micros(250 * w.below(4));
        match (w.below(5), later) {
            (0, _) => Box::pin(async { yield_now().await }),
            (1, _) => Box::pin(async move { sleep(&handle, delay).await.unwrap_or(()) }),
            (2, _) => Box::pin(async move {
                let _ = interval(&handle, delay).tick().await; // an error if the loop is gone
            }),
            (3, Some(end)) => Box::pin(async move {
                if let Ok(result) = timeout(&handle, delay, end).await {
                    drop(result.inspect_err(seen));
                }
            }),
            (_, Some(end)) => Box::pin(async move { drop(end.await.inspect_err(seen)) }),
            (_, None) => Box::pin(async { yield_now().await }),
        }
    }
}

impl Future for Work {
    type Output = Result<Value, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (w, record) = (world(), self.record.clone());
        record.ticket.run(&w, Ctx::Poll);
        if record.over.get() || record.alive.get() != 1 {
            w.broken("a task was polled after its end".to_owned());
        }
        if !record.here.replace(false) {
            match record.elsewhere.get().checked_sub(1) {
                Some(left) => record.elsewhere.set(left),
                None if record.exact => w.broken("a task was polled that nobody had woken".to_owned()),
                None => {}
            }
        }
        record.owed.set(false);
        struct Back(Rc<World>, Rc<Record>);
        impl Drop for Back {
            fn drop(&mut self) {
                self.0.tasks.polled.set(self.0.tasks.polled.get() - 1);
                self.1.polled.set(false);
            }
        }
        record.polled.set(true);
        w.tasks.polled.set(w.tasks.polled.get() + 1);
        let _back = Back(w.clone(), record.clone());
        if !record.idle {
            w.tasks.wakers.put(&w, Kept { waker: context.waker().clone(), record: record.clone() });
        }
        let before = w.steps.get();
        if !w.one_in(3) {
            enter(Ctx::Poll);
        }
        w.maybe_panic();
        if !record.idle && w.budget.get() > 0 && w.one_in(6) {
            record.over.set(true);
            self.noise = None; // its drop may panic
            // If something cancelled the Deferred meanwhile, nobody can be given the error.
            let token = if w.steps.get() != before { Token::swallowable() } else { Token::new() };
            if w.one_in(3) && self.inner.is_none() {
                return Poll::Ready(Err(token.into()));
            }
            token.forget();
            return Poll::Ready(Ok(Value(None)));
        }
        if self.own_wakes > 0 && w.chance(5) {
            self.own_wakes -= 1;
            record.wakes(&w);
            context.waker().wake_by_ref();
        }
        if record.exact || record.idle {
            return Poll::Pending;
        }
        if self.inner.is_none() && w.budget.get() > 0 {
            self.inner = Some(self.choose(&w));
        }
        if let Some(inner) = &mut self.inner
            && inner.as_mut().poll(context).is_ready()
        {
            self.inner = None;
        }
        Poll::Pending
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.record.alive.set(self.record.alive.get() - 1);
    }
}

/// A future that is sent to the loop.
pub(crate) struct Far {
    pub(crate) noise: Option<Noise>,
    pub(crate) polls: u32,
}

impl Future for Far {
    type Output = Result<(), Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        enter(Ctx::Poll);
        world().maybe_panic();
        if self.polls == 0 {
            self.noise = None;
            return Poll::Ready(Ok(()));
        }
        self.polls -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A waker of somebody else's executor: its every use calls back.
pub(crate) struct Foreign;

impl Wake for Foreign {
    fn wake(self: Arc<Self>) {
        enter(Ctx::Waker);
        if let Some(w) = crate::world::try_world() {
            w.maybe_panic();
        }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        enter(Ctx::Waker);
        if let Some(w) = crate::world::try_world()
            && w.chance(200)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(Box::new(Deliberate));
        }
    }
}

/// The thread that wakes when it is told to, and says so: two threads, and yet one order.
pub(crate) struct Elsewhere {
    tell: Option<mpsc::Sender<Waker>>,
    told: mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Elsewhere {
    fn start() -> Elsewhere {
        let (tell, asked) = mpsc::channel::<Waker>();
        let (done, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            for waker in asked {
                waker.wake();
                if done.send(()).is_err() {
                    return;
                }
            }
        });
        Elsewhere { tell: Some(tell), told, thread: Some(thread) }
    }

    pub(crate) fn wake(&self, waker: Waker) {
        let tell = self.tell.as_ref().expect("it ends with the world");
        tell.send(waker).expect("a thread that waits");
        self.told.recv().expect("a thread that answers");
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.tell = None;
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a thread that ends");
        }
    }
}

/// A waker, and whose it is.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) waker: Waker,
    pub(crate) record: Rc<Record>,
}

/// A task as its Deferred's owner has it.
pub(crate) struct Task {
    pub(crate) end: Deferred<Value>,
    pub(crate) cancel: CancelHandle,
    pub(crate) record: Rc<Record>,
}

/// What there is of tasks and futures.
pub(crate) struct Tasks {
    /// The loop at hand: how many there were before it.
    life: Cell<u32>,
    records: RefCell<Vec<Rc<Record>>>,
    /// How many tasks are being polled: one at most, unless loops were nested.
    pub(crate) polled: Cell<u32>,
    pub(crate) ends: Pool<Task>,
    pub(crate) wakers: Pool<Kept>,
    pub(crate) futures: Pool<DeferredFuture<Value>>,
    pub(crate) sleeps: Pool<Sleep>,
    pub(crate) timeouts: Pool<Timeout<DeferredFuture<Value>>>,
    pub(crate) streams: Pool<UnixStream>,
    pub(crate) elsewhere: Elsewhere,
}

impl Tasks {
    pub(crate) fn new() -> Tasks {
        Tasks {
            life: Cell::new(0),
            records: RefCell::default(),
            polled: Cell::new(0),
            ends: Pool::of(24),
            wakers: Pool::of(32),
            futures: Pool::of(12),
            sleeps: Pool::of(8),
            timeouts: Pool::of(6),
            streams: Pool::of(6),
            elsewhere: Elsewhere::start(),
        }
    }

    /// The loop is about to go: some sleep meanwhile.
    pub(crate) fn fall_asleep(&self, w: &World) {
        for _ in 0..6 {
            let mut sleep = sleep(w.handle.borrow().clone(), Duration::from_secs(1));
            let _ = Pin::new(&mut sleep).poll(&mut Context::from_waker(Waker::noop()));
            self.sleeps.put(w, sleep);
        }
    }

    /// Everything is quiet: what was woken must have been polled.
    pub(crate) fn check_quiet(&self, w: &World) {
        for record in self.records.borrow().iter() {
            if record.owed.get() && record.alive.get() > 0 && !record.over.get() {
                w.broken("a task that was woken was not polled".to_owned());
            }
            record.elsewhere.set(0);
        }
    }

    /// The loop is gone: so must be its futures, each dropped once.
    pub(crate) fn retire(&self, w: &World) {
        self.life.set(self.life.get() + 1);
        for record in self.records.take() {
            if record.alive.get() != 0 {
                w.broken(format!("{} futures of a task live on after the loop", record.alive.get()));
            }
        }
        self.wakers.retire();
        self.sleeps.retire();
        self.timeouts.retire();
        self.streams.retire();
        self.ends.retire();
    }

    pub(crate) fn clear(&self) {
        self.ends.clear();
        self.wakers.clear();
        self.futures.clear();
        self.sleeps.clear();
        self.timeouts.clear();
        self.streams.clear();
    }
}
