//! The worker pool: a few threads for work that would block the loop.
//!
//! It has no thread until the first job comes, then one more for each job that finds none idle, up to its limit. The
//! queue is bounded. Jobs start in the order in which they were given. When the loop is dropped, jobs that have not
//! started are dropped, and those that run are waited for.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// How many threads, if the builder was not asked for another number: as many as libuv's pool has. The work is
/// blocking system calls, not computing, so it is no matter of cores.
pub(crate) const THREADS: usize = 4;

/// How many jobs may wait. Each is a boxed closure, so this is some megabytes at the worst.
pub(crate) const QUEUE: usize = 65_536;

/// A job: runs on a worker, and must not unwind.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    limit: usize,
}

struct Shared {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    idle: usize,
    closed: bool,
}

impl Shared {
    /// No user code runs under this lock, so it cannot be poisoned by a panic of theirs.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a job was not taken. The job comes back, so that it is dropped where its owner wants.
pub(crate) enum Refused {
    /// The queue holds as many jobs as it may.
    Full(Job),
    /// No thread runs, and the system gives none.
    NoThread(Job, io::Error),
}

impl Pool {
    pub(crate) fn new(limit: usize) -> Pool {
        let shared = Shared { state: Mutex::default(), ready: Condvar::new() };
        Pool { shared: Arc::new(shared), threads: Vec::new(), limit: limit.max(1) }
    }

    /// Queues a job, and starts a thread for it when all are busy.
    pub(crate) fn submit(&mut self, job: Job) -> Result<(), Refused> {
        let needs_thread = {
            let mut state = self.shared.lock();
            if state.queue.len() >= QUEUE {
                drop(state);
                return Err(Refused::Full(job));
            }
            state.queue.push_back(job);
            state.queue.len() > state.idle && self.threads.len() < self.limit
        };
        if needs_thread && let Err(error) = self.start_thread() {
            // With a thread at work the job only waits longer.
            if self.threads.is_empty() {
                let job = self.shared.lock().queue.pop_back();
                if let Some(job) = job {
                    return Err(Refused::NoThread(job, error));
                }
            }
        }
        self.shared.ready.notify_one();
        Ok(())
    }

    fn start_thread(&mut self) -> io::Result<()> {
        let shared = self.shared.clone();
        let name = format!("ropewalk-{}", self.threads.len() + 1);
        let number = self.threads.len() as u32 + 1;
        let thread = thread::Builder::new().name(name).spawn(move || {
            WORKER.set(number);
            work(&shared);
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// Lets the threads go instead of waiting for what they do: each ends with its job.
    pub(crate) fn detach(mut self) {
        self.threads.clear();
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads.len()
    }
}

thread_local! {
    /// The number of this worker, from 1.
    static WORKER: Cell<u32> = const { Cell::new(0) };
}

/// The number of the worker thread that asks; 0 for every other thread.
pub(crate) fn worker() -> u32 {
    WORKER.get()
}

fn work(shared: &Shared) {
    loop {
        let job = {
            let mut state = shared.lock();
            loop {
                if state.closed {
                    return;
                }
                if let Some(job) = state.queue.pop_front() {
                    break job;
                }
                state.idle += 1;
                state = shared.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        };
        // Jobs catch their own panics. Should one get through, the thread must live on.
        drop(catch_unwind(AssertUnwindSafe(job)));
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let left = {
            let mut state = self.shared.lock();
            state.closed = true;
            std::mem::take(&mut state.queue)
        };
        self.shared.ready.notify_all();
        drop(left);
        for thread in self.threads.drain(..) {
            // A worker that drops the loop would wait for itself; `EventLoop` is not `Send`, so it cannot.
            drop(thread.join());
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Pool of {} threads, {} at most>", self.threads(), self.limit)
    }
}
