//! Jobs: blocking work on the worker pool, with a Deferred for the result.
//!
//! ```text
//!  loop                         worker                      loop, a later turn
//!   defer_to_thread(f)  --->     f()      -- letter -->      job off the list, Deferred fired
//! ```

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::ground::{Deferred, Failure, Resolver};
use crate::trace::{self, EventNumber, IdSlot, Out, Place};

use super::EventLoop;
use super::mailbox::Mailbox;
use super::pool::{self, Pool, Refused};

/// Why the worker pool did not take a job.
///
/// ```
/// use ropewalk::{Deferred, EventLoop, PoolError};
///
/// /// A server would rather say that it is busy than close the connection.
/// fn answer(sum: Deferred<u64>) -> Deferred<String> {
///     sum.map(|sum| sum.to_string()).add_errback(|failure| match failure.check() {
///         Some(PoolError::Full) => Ok("503 busy".to_owned()),
///         _ => Err(failure),
///     })
/// }
///
/// let event_loop = EventLoop::new()?;
/// let sum = event_loop.defer_to_thread(|| Ok((1..=1000).sum()));
/// assert_eq!(event_loop.run_until(answer(sum))?, "500500");
/// assert_eq!(event_loop.run_until(answer(Deferred::fail(PoolError::Full)))?, "503 busy");
/// assert!(PoolError::Full.to_string().starts_with("the worker pool is full: 65536 jobs wait"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolError {
    /// As many jobs wait as may: the pool does not keep up with what it is given.
    Full,
    /// The pool has no thread, and the system gives none.
    NoThread(io::Error),
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PoolError::Full => write!(
                f,
                "the worker pool is full: {} jobs wait (give it work more slowly: wait for results before you go on)",
                pool::QUEUE
            ),
            PoolError::NoThread(error) => {
                write!(f, "the worker pool has no thread and cannot start one: {error}")
            }
        }
    }
}

impl Error for PoolError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            PoolError::NoThread(error) => Some(error),
            PoolError::Full => None,
        }
    }
}

impl EventLoop {
    /// Runs blocking work on another thread; its result comes back as a Deferred. Twisted's `deferToThread`.
    ///
    /// The pool starts its first thread with the first job, and has at most
    /// [`Builder::worker_threads`](super::Builder::worker_threads). At most 65,536 jobs may wait. Jobs start in the
    /// order in which they were given.
    ///
    /// Cancelling fails the Deferred now. A job that has not started is left out then; one that runs goes on, and its
    /// result is swallowed. Dropping the loop waits for the jobs that run.
    ///
    /// # Errors
    ///
    /// The Deferred fails with the failure of `f`, with [`PanicError`](crate::PanicError) if it panics, and with
    /// [`PoolError`] if the pool cannot take it.
    ///
    /// ```
    /// use ropewalk::EventLoop;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let number = event_loop.defer_to_thread(|| Ok("42".parse::<i32>()?));
    /// assert_eq!(event_loop.run_until(number)?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn defer_to_thread<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Deferred<T> {
        self.defer_to_thread_at(Location::caller(), f)
    }

    /// The same for somebody else: `place` is the line of the program that caused it.
    pub(crate) fn defer_to_thread_at<T: Send + 'static>(
        &self,
        place: Place,
        f: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Deferred<T> {
        self.defer_to_pool(&self.inner.pool, self.inner.worker_threads, place, f)
    }

    /// The same for looking up names, which has threads of its own: a slow name server must not hold up file work.
    /// Dropping the loop does not wait for them.
    pub(crate) fn defer_look_up<T: Send + 'static>(
        &self,
        place: Place,
        f: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Deferred<T> {
        self.defer_to_pool(&self.inner.names, pool::THREADS, place, f)
    }

    fn defer_to_pool<T: Send + 'static>(
        &self,
        pool: &RefCell<Option<Pool>>,
        threads: usize,
        place: Place,
        f: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Deferred<T> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let (resolver, deferred) = Deferred::with_canceller_at(place, raise(cancelled.clone()));
        let job = self.inner.job_out(place, Rc::new(Cell::new(Some(resolver))));
        let order = Order { job, place, cancelled, mailbox: self.inner.mailbox.clone(), traced: trace::on() };
        let work = Box::new(move || order.carry_out(f));
        if let Err(refused) = self.submit(pool, threads, work)
            && let Some(resolver) = take_resolver::<T>(self, job)
        {
            resolver.fail(refused);
        }
        deferred
    }

    /// Gives a job to a pool, which is made with the first one. What is refused is dropped.
    fn submit(
        &self,
        pool: &RefCell<Option<Pool>>,
        threads: usize,
        work: Box<dyn FnOnce() + Send>,
    ) -> Result<(), PoolError> {
        let taken = pool.borrow_mut().get_or_insert_with(|| Pool::new(threads)).submit(work);
        let (work, error) = match taken {
            Ok(()) => return Ok(()),
            Err(Refused::Full(work)) => (work, PoolError::Full),
            Err(Refused::NoThread(work, error)) => (work, PoolError::NoThread(error)),
        };
        drop(work);
        Err(error)
    }
}

/// What a cancel does to a job.
fn raise(cancelled: Arc<AtomicBool>) -> impl FnOnce() {
    move || cancelled.store(true, Ordering::Relaxed)
}

/// A job as its thread knows it. What is the same for every type of result stands in functions of its own, so that it is
/// compiled once.
struct Order {
    job: usize,
    place: Place,
    cancelled: Arc<AtomicBool>,
    mailbox: Arc<Mailbox>,
    traced: bool,
}

impl Order {
    /// On the thread: does the work, unless the job was cancelled, and sends what came of it to the loop.
    fn carry_out<T: Send + 'static>(self, f: impl FnOnce() -> Result<T, Failure>) {
        let begun = self.traced.then(Instant::now);
        let (result, out) = if self.cancelled.load(Ordering::Relaxed) {
            drop(catch_unwind(AssertUnwindSafe(move || drop(f))));
            (Err(Failure::cancelled_at(self.place)), Out::Err)
        } else {
            match catch_unwind(AssertUnwindSafe(f)) {
                Ok(Ok(value)) => (Ok(value), Out::Ok),
                Ok(Err(failure)) => (Err(failure.of_thread()), Out::Err),
                Err(payload) => (Err(Failure::panic(payload, self.place)), Out::Panic),
            }
        };
        let done = begun.map(|begun| Done { begun, ended: Instant::now(), th: pool::worker(), out });
        self.deliver(result, done);
    }

    fn deliver<T: Send + 'static>(self, result: Result<T, Failure>, done: Option<Done>) {
        let Order { job, place, mailbox, .. } = self;
        mailbox.deliver(place, move |event_loop| {
            if trace::on() {
                event_loop.inner.job_done(job, done);
            }
            if let Some(resolver) = take_resolver::<T>(event_loop, job) {
                resolver.fire_at(result, place);
            }
        });
    }
}

/// What a worker says of a job, for the trace.
pub(crate) struct Done {
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    pub(crate) th: u32,
    pub(crate) out: Out,
}

/// A job that is out: what gave it out, and the Resolver that waits for it.
pub(crate) struct Job {
    pub(crate) place: Place,
    pub(crate) id: Cell<IdSlot>,
    pub(crate) reg: EventNumber,
    resolver: Rc<dyn Any>,
}

/// Takes a job off the list.
fn take_resolver<T: 'static>(event_loop: &EventLoop, job: usize) -> Option<Resolver<T>> {
    let job = event_loop.inner.jobs.borrow_mut().try_remove(job)?;
    job.resolver.downcast::<Cell<Option<Resolver<T>>>>().ok()?.take()
}

impl super::Inner {
    fn job_out(&self, place: Place, resolver: Rc<dyn Any>) -> usize {
        let job = self.jobs.borrow_mut().insert(Job { place, id: Cell::default(), reg: 0, resolver });
        if trace::on() {
            self.job_queued(job);
        }
        job
    }
}
