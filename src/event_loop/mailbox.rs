//! What other threads give the loop: posted calls, in one queue.
//!
//! A post takes the lock, pushes, and wakes the loop if that sleeps and the queue was empty; the loop swaps the whole
//! queue out. So a burst of posts costs one wake-up, and everything arrives in the order in which it was posted.
//!
//! No letter is slept through: the loop says that it sleeps and then looks for mail, a post queues its letter and then
//! looks whether the loop sleeps. In whatever order these four happen, one of the two sees the other.

use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::trace::Place;

use super::EventLoop;
use super::error::PostError;
use super::pool;
use super::tasks::TaskId;
use super::wait::Waker;

/// A call that crosses threads.
pub(crate) type RemoteCall = Box<dyn FnOnce(&EventLoop) + Send>;

/// A posted call, with the line that posted it.
pub(crate) struct Letter {
    pub(crate) call: RemoteCall,
    pub(crate) place: Place,
    /// The worker thread that posted it; 0 for every other thread.
    pub(crate) worker: u32,
}

struct Queue {
    letters: VecDeque<Letter>,
    open: bool,
}

pub(crate) struct Mailbox {
    queue: Mutex<Queue>,
    /// Tasks that other threads woke, each at most once; `None` once the loop is gone.
    woken: Mutex<Option<Vec<TaskId>>>,
    /// Whether that list holds any. Written under its lock.
    any_woken: AtomicBool,
    /// Whether letters wait: spares the loop the lock. Written under the lock.
    pending: AtomicBool,
    /// Whether the loop waits, or is just about to. While it is awake it looks for mail by itself.
    asleep: AtomicBool,
    /// How many `Remote`s (and their like) live.
    remotes: AtomicUsize,
    limit: usize,
    waker: Waker,
}

impl Mailbox {
    pub(crate) fn new(waker: Waker, limit: usize) -> Mailbox {
        Mailbox {
            queue: Mutex::new(Queue { letters: VecDeque::new(), open: true }),
            woken: Mutex::new(Some(Vec::new())),
            any_woken: AtomicBool::new(false),
            pending: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            remotes: AtomicUsize::new(0),
            limit,
            waker,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing of the user's runs under the lock, so a poisoned one is whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a call; it comes back in the error, still boxed.
    pub(crate) fn post<F>(&self, call: Box<F>, place: Place, limit: usize) -> Result<(), PostError<Box<F>>>
    where
        F: FnOnce(&EventLoop) + Send + 'static,
    {
        let worker = pool::worker();
        let mut queue = self.lock();
        if !queue.open {
            drop(queue);
            return Err(PostError::Closed(call));
        }
        let waiting = queue.letters.len();
        if waiting >= limit {
            drop(queue);
            return Err(PostError::Full(call));
        }
        queue.letters.push_back(Letter { call, place, worker });
        if waiting == 0 {
            self.pending.store(true, Ordering::SeqCst);
        }
        drop(queue);
        if waiting == 0 && self.asleep.swap(false, Ordering::SeqCst) {
            self.waker.wake();
        }
        Ok(())
    }

    /// Queues a call past the limit: for the library's own letters, of which there is one a promise.
    /// A call that finds the loop gone is dropped.
    pub(crate) fn deliver(&self, place: Place, call: impl FnOnce(&EventLoop) + Send + 'static) {
        drop(self.post(Box::new(call), place, usize::MAX));
    }

    /// Whether letters wait.
    #[inline]
    pub(crate) fn has_mail(&self) -> bool {
        self.pending.load(Ordering::Acquire)
    }

    /// Notes that a task was woken. Nothing happens when the loop is gone.
    pub(crate) fn wake_task(&self, task: TaskId) {
        let first = {
            let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(list) = &mut *woken else { return };
            list.push(task);
            if list.len() == 1 {
                self.any_woken.store(true, Ordering::SeqCst);
            }
            list.len() == 1
        };
        if first && self.asleep.swap(false, Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    /// Whether other threads woke tasks.
    #[inline]
    pub(crate) fn has_woken_tasks(&self) -> bool {
        self.any_woken.load(Ordering::Acquire)
    }

    /// Swaps the list of woken tasks for `list`, which is empty.
    pub(crate) fn take_woken_tasks(&self, list: &mut Vec<TaskId>) {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        self.any_woken.store(false, Ordering::Release);
        if let Some(woken) = &mut *woken {
            std::mem::swap(woken, list);
        }
    }

    /// Says that the loop is about to wait. Answers whether it may: not if there is mail, or a task was woken.
    #[inline]
    pub(crate) fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        !self.pending.load(Ordering::SeqCst) && !self.any_woken.load(Ordering::SeqCst)
    }

    /// Says that the loop does not wait any more. Answers whether a post woke it.
    #[inline]
    pub(crate) fn wake_up(&self) -> bool {
        !self.asleep.swap(false, Ordering::SeqCst)
    }

    /// Swaps the queue for `letters`, which is empty.
    pub(crate) fn take(&self, letters: &mut VecDeque<Letter>) {
        let mut queue = self.lock();
        self.pending.store(false, Ordering::Release);
        std::mem::swap(&mut queue.letters, letters);
    }

    /// Refuses all further letters and gives those that wait.
    pub(crate) fn close(&self) -> VecDeque<Letter> {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let mut queue = self.lock();
        queue.open = false;
        self.pending.store(false, Ordering::Release);
        std::mem::take(&mut queue.letters)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.lock().open
    }

    /// Whether somebody outside could still post.
    pub(crate) fn has_remotes(&self) -> bool {
        self.remotes.load(Ordering::Acquire) > 0
    }

    pub(crate) fn wake(&self) {
        self.waker.wake();
    }
}

/// The way to a loop from other threads. Cheap to clone.
///
/// As long as one lives, [`run`](EventLoop::run) waits for what it may post.
///
/// ```
/// use ropewalk::EventLoop;
///
/// let event_loop = EventLoop::new()?;
/// let remote = event_loop.remote();
/// let thread = std::thread::spawn(move || {
///     remote.post(|event_loop| event_loop.stop()).unwrap();
/// });
/// event_loop.run()?;
/// thread.join().unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Remote {
    mailbox: Arc<Mailbox>,
}

impl Remote {
    pub(crate) fn new(mailbox: &Arc<Mailbox>) -> Remote {
        mailbox.remotes.fetch_add(1, Ordering::AcqRel);
        Remote { mailbox: mailbox.clone() }
    }

    /// Has the loop call `f` on its own thread, in its next turn. Calls are made in the order of the posts.
    ///
    /// # Errors
    ///
    /// The call is given back when the loop is gone, or when as many wait as
    /// [`Builder::mailbox_limit`](super::Builder::mailbox_limit) allows.
    #[track_caller]
    pub fn post<F>(&self, f: F) -> Result<(), PostError<F>>
    where
        F: FnOnce(&EventLoop) + Send + 'static,
    {
        let limit = self.mailbox.limit;
        match self.mailbox.post(Box::new(f), Location::caller(), limit) {
            Ok(()) => Ok(()),
            Err(PostError::Full(call)) => Err(PostError::Full(*call)),
            Err(PostError::Closed(call)) => Err(PostError::Closed(*call)),
        }
    }

    /// Stops the loop, as [`EventLoop::stop`] does. Nothing happens when it is gone.
    #[track_caller]
    pub fn stop(&self) {
        self.mailbox.deliver(Location::caller(), EventLoop::stop);
    }

    /// Whether the loop is gone.
    pub fn is_closed(&self) -> bool {
        !self.mailbox.is_open()
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }
}

impl Clone for Remote {
    fn clone(&self) -> Remote {
        Remote::new(&self.mailbox)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if self.mailbox.remotes.fetch_sub(1, Ordering::AcqRel) == 1 {
            // A loop that waits for nothing else must notice that nothing can come any more.
            self.mailbox.wake();
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed = self.is_closed();
        f.debug_struct("Remote").field("closed", &closed).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::task::{Poll, Waker};
    use std::time::Duration;

    #[test]
    fn a_wake_and_a_poll_on_the_loops_own_thread_take_no_lock() {
        let event_loop = EventLoop::new().unwrap();
        let kept = std::rc::Rc::new(std::cell::RefCell::new((0, None::<Waker>)));
        let task = kept.clone();
        let poll = move |context: &mut std::task::Context<'_>| {
            let mut task = task.borrow_mut();
            task.0 += 1;
            task.1 = Some(context.waker().clone());
            Poll::<Result<(), crate::ground::Failure>>::Pending
        };
        event_loop.spawn(std::future::poll_fn(poll)).detach();
        event_loop.turn(Some(Duration::ZERO)).unwrap();
        let waker = kept.borrow().1.clone().unwrap();
        let mailbox = event_loop.inner.mailbox.clone();
        let (held, holds) = mpsc::channel();
        let (done, over) = mpsc::channel();
        let passed_by = std::thread::scope(|scope| {
            let holder = scope.spawn(move || {
                let _locks = (mailbox.lock(), mailbox.woken.lock().unwrap());
                held.send(()).unwrap();
                // A wake that wants one of them would wait for ever: this gives up instead.
                over.recv_timeout(Duration::from_secs(20)).is_ok()
            });
            holds.recv().unwrap();
            waker.wake_by_ref();
            waker.wake();
            event_loop.turn(Some(Duration::ZERO)).unwrap();
            let _ = done.send(()); // an error if it gave up
            holder.join().unwrap()
        });
        assert!(passed_by);
        assert_eq!(kept.borrow().0, 2);
    }
}
