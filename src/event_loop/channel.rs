//! Values from other threads: bounded channels, and Deferreds that are fired from elsewhere.
//!
//! ```text
//!  Sender (any thread)                     loop
//!   push M, post a letter   ------->   letter: pop M, call the receiver found under the channel's key
//! ```
//!
//! What receives stays on the loop, in a table, and may hold what is not `Send`; only its key travels. Letters of
//! channels stand in the same queue as posted calls, so everything from one thread arrives in its order.

use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use crate::ground::{Deferred, Failure, Resolver};
use crate::trace::Place;

use super::EventLoop;
use super::error::PostError;
use super::mailbox::Remote;

struct Queue<M> {
    messages: VecDeque<M>,
    open: bool,
}

struct Shared<M> {
    queue: Mutex<Queue<M>>,
    room: Condvar,
    bound: usize,
    owner: ThreadId,
}

impl<M> Shared<M> {
    fn lock(&self) -> MutexGuard<'_, Queue<M>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let waiting = {
            let mut queue = self.lock();
            queue.open = false;
            std::mem::take(&mut queue.messages)
        };
        self.room.notify_all();
        drop(waiting);
    }
}

type Callback<M> = Box<dyn FnMut(&EventLoop, M)>;

/// The loop's side of a channel. Its drop closes the channel.
struct Receiver<M> {
    shared: Arc<Shared<M>>,
    callback: Cell<Option<Callback<M>>>,
}

impl<M> Drop for Receiver<M> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// The threads' side of a channel; the last one to go takes the receiver out of the loop.
struct Sending<M: Send + 'static> {
    remote: Remote,
    shared: Arc<Shared<M>>,
    key: u64,
    made: Place,
}

impl<M: Send + 'static> Drop for Sending<M> {
    fn drop(&mut self) {
        let key = self.key;
        let close = move |event_loop: &EventLoop| drop(event_loop.inner.take_local(key));
        self.remote.mailbox().deliver(self.made, close);
    }
}

/// Sends messages to a callback of a loop. Cheap to clone; may live on any thread.
///
/// ```
/// use ropewalk::EventLoop;
/// use std::{cell::Cell, rc::Rc, thread};
///
/// let event_loop = EventLoop::new()?;
/// let sum = Rc::new(Cell::new(0));
/// let total = sum.clone();
/// let sender = event_loop.channel(10, move |event_loop, n: u32| match n {
///     0 => event_loop.stop(),
///     n => total.set(total.get() + n), // not `Send`, and it need not be
/// });
/// let counting = thread::spawn(move || (0..=3).rev().try_for_each(|n| sender.send(n)));
/// event_loop.run()?;
/// assert_eq!(sum.get(), 6);
/// # counting.join().unwrap().unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sender<M: Send + 'static> {
    sending: Arc<Sending<M>>,
}

impl<M: Send + 'static> Clone for Sender<M> {
    fn clone(&self) -> Sender<M> {
        Sender { sending: self.sending.clone() }
    }
}

impl<M: Send + 'static> fmt::Debug for Sender<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("made", &format_args!("{}", self.sending.made)).finish_non_exhaustive()
    }
}

impl<M: Send + 'static> Sender<M> {
    /// Sends a message, unless the channel is full.
    ///
    /// # Errors
    ///
    /// The message is given back when as many wait as the channel's bound, or when the loop or its receiver is gone.
    #[track_caller]
    pub fn try_send(&self, message: M) -> Result<(), PostError<M>> {
        let queue = self.sending.shared.lock();
        self.send_locked(queue, message, Location::caller())
    }

    /// Sends a message, and waits on this thread while the channel is full.
    ///
    /// # Errors
    ///
    /// The message is given back when the loop or its receiver is gone. On the loop's own thread, where waiting would be
    /// for ever, a full channel is the error that [`Sender::try_send`] has.
    #[track_caller]
    pub fn send(&self, message: M) -> Result<(), PostError<M>> {
        let shared = &self.sending.shared;
        let mut queue = shared.lock();
        if std::thread::current().id() != shared.owner {
            while queue.open && queue.messages.len() >= shared.bound {
                queue = shared.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
        self.send_locked(queue, message, Location::caller())
    }

    fn send_locked(
        &self,
        mut queue: MutexGuard<'_, Queue<M>>,
        message: M,
        place: Place,
    ) -> Result<(), PostError<M>> {
        let Sending { remote, shared, key, .. } = &*self.sending;
        if !queue.open {
            return Err(PostError::Closed(message));
        }
        if queue.messages.len() >= shared.bound {
            return Err(PostError::Full(message));
        }
        queue.messages.push_back(message);
        let key = *key;
        // Posted under the lock, so that letters and messages have one order.
        let letter = Box::new(move |event_loop: &EventLoop| receive::<M>(event_loop, key));
        if remote.mailbox().post(letter, place, usize::MAX).is_err()
            && let Some(message) = queue.messages.pop_back()
        {
            return Err(PostError::Closed(message));
        }
        Ok(())
    }
}

/// One letter of a channel: its next message goes to its receiver.
fn receive<M: Send + 'static>(event_loop: &EventLoop, key: u64) {
    let Some(receiver) = event_loop.inner.local(key) else { return };
    let Ok(receiver) = receiver.downcast::<Receiver<M>>() else { return };
    let Some(message) = receiver.shared.lock().messages.pop_front() else { return };
    receiver.shared.room.notify_one();
    match receiver.callback.take() {
        Some(mut callback) => {
            // A panic in it unwinds through here: the callback is gone then, and so the channel is closed.
            let closing = CloseOnPanic(&receiver.shared);
            callback(event_loop, message);
            std::mem::forget(closing);
            receiver.callback.set(Some(callback));
        }
        None => drop(message),
    }
}

struct CloseOnPanic<'a, M>(&'a Shared<M>);

impl<M> Drop for CloseOnPanic<'_, M> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Fires a Deferred of a loop from any thread.
///
/// Dropped unfired, it fails the Deferred as abandoned.
///
/// ```
/// use ropewalk::EventLoop;
/// use std::thread;
///
/// let event_loop = EventLoop::new()?;
/// let (resolver, answer) = event_loop.remote_deferred();
/// thread::spawn(move || resolver.succeed(6 * 7));
/// assert_eq!(event_loop.run_until(answer)?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RemoteResolver<T: Send + 'static> {
    remote: Remote,
    /// 0 once it has fired.
    key: u64,
    cancelled: Arc<AtomicBool>,
    made: Place,
    value: PhantomData<fn(T)>,
}

impl<T: Send + 'static> RemoteResolver<T> {
    /// Fires the Deferred with a value. Twisted's `callFromThread(d.callback, value)`.
    #[track_caller]
    pub fn succeed(self, value: T) {
        self.fire(Ok(value));
    }

    /// Fires the Deferred with a failure.
    #[track_caller]
    pub fn fail(self, failure: impl Into<Failure>) {
        self.fire(Err(failure.into()));
    }

    /// Fires the Deferred with a result. Nothing happens when the loop is gone.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Failure};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (resolver, number) = event_loop.remote_deferred();
    /// let thread = std::thread::spawn(move || resolver.fire("x".parse::<i32>().map_err(Failure::from)));
    /// let failure = event_loop.run_until(number).unwrap_err();
    /// assert_eq!(failure.to_string(), "invalid digit found in string");
    /// thread.join().unwrap();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn fire(mut self, result: Result<T, Failure>) {
        let key = std::mem::take(&mut self.key);
        let at = Location::caller();
        let result = result.map_err(Failure::of_thread);
        let fire = move |event_loop: &EventLoop| {
            if let Some(resolver) = take_resolver::<T>(event_loop, key) {
                resolver.fire_at(result, at);
            }
        };
        self.remote.mailbox().deliver(at, fire);
    }

    /// Whether the Deferred was cancelled: nobody waits for the result any more.
    ///
    /// ```
    /// use ropewalk::{EventLoop, testing::failure_of};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (resolver, sum) = event_loop.remote_deferred::<u64>();
    /// sum.cancel();
    /// // On the other thread: time to give up.
    /// assert!(std::thread::spawn(move || resolver.is_cancelled()).join().unwrap());
    /// # failure_of(sum);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }
}

fn take_resolver<T: Send + 'static>(event_loop: &EventLoop, key: u64) -> Option<Resolver<T>> {
    let slot = event_loop.inner.take_local(key)?.downcast::<Cell<Option<Resolver<T>>>>().ok()?;
    slot.take()
}

impl<T: Send + 'static> Drop for RemoteResolver<T> {
    fn drop(&mut self) {
        let key = self.key;
        if key != 0 {
            let abandon = move |event_loop: &EventLoop| drop(event_loop.inner.take_local(key));
            self.remote.mailbox().deliver(self.made, abandon);
        }
    }
}

impl<T: Send + 'static> fmt::Debug for RemoteResolver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteResolver").field("made", &format_args!("{}", self.made)).finish_non_exhaustive()
    }
}

impl EventLoop {
    /// Opens a channel: what is sent is given to `f` on the loop's thread, in order. At most `bound` messages (at least
    /// one) wait.
    ///
    /// As long as a [`Sender`] lives, [`EventLoop::run`] waits for it. A panic in `f` closes the channel.
    ///
    /// ```
    /// use ropewalk::EventLoop;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let sender = event_loop.channel(16, |event_loop, n: u32| {
    ///     if n == 2 {
    ///         event_loop.stop();
    ///     }
    /// });
    /// let thread = std::thread::spawn(move || {
    ///     sender.send(1).unwrap();
    ///     sender.send(2).unwrap();
    /// });
    /// event_loop.run()?;
    /// thread.join().unwrap();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn channel<M: Send + 'static>(&self, bound: usize, f: impl FnMut(&EventLoop, M) + 'static) -> Sender<M> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { messages: VecDeque::new(), open: true }),
            room: Condvar::new(),
            bound: bound.max(1),
            owner: std::thread::current().id(),
        });
        let receiver = Receiver { shared: shared.clone(), callback: Cell::new(Some(Box::new(f))) };
        let key = self.inner.keep_local(Rc::new(receiver));
        let sending = Sending { remote: self.remote(), shared, key, made: Location::caller() };
        Sender { sending: Arc::new(sending) }
    }

    /// Makes a Deferred of this loop that another thread can fire.
    ///
    /// As long as the resolver lives, [`EventLoop::run`] waits for it.
    ///
    /// ```
    /// use ropewalk::EventLoop;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (resolver, deferred) = event_loop.remote_deferred();
    /// let thread = std::thread::spawn(move || resolver.succeed(6 * 7));
    /// assert_eq!(event_loop.run_until(deferred)?, 42);
    /// thread.join().unwrap();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn remote_deferred<T: Send + 'static>(&self) -> (RemoteResolver<T>, Deferred<T>) {
        let cancelled = Arc::new(AtomicBool::new(false));
        let told = cancelled.clone();
        let (resolver, deferred) = Deferred::with_canceller(move || told.store(true, Ordering::Release));
        let key = self.inner.keep_local(Rc::new(Cell::new(Some(resolver))) as Rc<dyn Any>);
        let made = Location::caller();
        (RemoteResolver { remote: self.remote(), key, cancelled, made, value: PhantomData }, deferred)
    }
}
