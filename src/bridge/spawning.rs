//! A future as a Deferred: `spawn`, and `block_on`.

use std::cell::Cell;
use std::future::Future;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use crate::event_loop::tasks::{Body, Polling, TaskId, tell};
use crate::event_loop::upper::{drop_quietly, guard};
use crate::event_loop::{Closed, EventLoop, Handle, PostError, Remote, RunError};
use crate::ground::{Deferred, Failure, Resolver};
use crate::trace::{self, Place};

/// A future that a loop polls, and the Deferred that its output fires.
struct Spawned<F, T: 'static> {
    /// Both are taken out when it is ready.
    parts: Option<(Pin<Box<F>>, Resolver<T>)>,
    place: Place,
}

impl<F, T> Future for Spawned<F, T>
where
    F: Future<Output = Result<T, Failure>>,
    T: 'static,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some((future, _)) = &mut self.parts else { return Poll::Ready(()) };
        let polled = match guard(|| future.as_mut().poll(context)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) => Ok(outcome),
            Err(payload) => Err(payload),
        };
        let Some((future, resolver)) = self.parts.take() else { return Poll::Ready(()) };
        // What it holds is let go of before anybody hears of its output; a panic of that is the task's too.
        let dropped = guard(|| drop(future));
        let mut outcome = match (polled, dropped) {
            (Ok(outcome), Ok(())) => outcome,
            (Ok(Ok(value)), Err(payload)) => {
                drop_quietly(value);
                Err(Failure::panic(payload, self.place))
            }
            (outcome, dropped) => {
                // Two errors: the first is the result, and nobody can handle the second.
                if let Err(payload) = dropped {
                    drop(Deferred::<()>::fail(Failure::panic(payload, self.place)));
                }
                outcome.unwrap_or_else(|payload| Err(Failure::panic(payload, self.place)))
            }
        };
        if trace::on() {
            tell::gives(&mut outcome);
        }
        resolver.fire_at(outcome, self.place);
        Poll::Ready(())
    }
}

impl EventLoop {
    /// Polls a future on this loop until it is ready, and answers with its output as a Deferred. Twisted's
    /// `ensureDeferred`.
    ///
    /// It is polled first in the next batch of tasks, not inside this call. It need not be `Send`. It may hold a
    /// [`Handle`], not the loop.
    ///
    /// * Cancelling the Deferred drops the future, which cancels what that one waits for.
    /// * Dropping the Deferred lets the task run on; an error at its end is reported then.
    /// * A panic in the future becomes the Deferred's failure, a [`PanicError`](crate::PanicError).
    /// * Dropping the loop drops the future.
    ///
    /// ```
    /// use ropewalk::EventLoop;
    /// use std::time::Duration;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// let answer = event_loop.spawn(async move {
    ///     let six: i32 = handle.defer_later(Duration::from_millis(1), |_| Ok(6)).await?;
    ///     Ok(six * 7)
    /// });
    /// assert_eq!(event_loop.run_until(answer)?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn spawn<T, F>(&self, future: F) -> Deferred<T>
    where
        T: 'static,
        F: Future<Output = Result<T, Failure>> + 'static,
    {
        self.spawn_at(future, Location::caller())
    }

    /// The same for somebody else: `place` is the line of the program that caused it.
    pub(crate) fn spawn_at<T, F>(&self, future: F, place: Place) -> Deferred<T>
    where
        T: 'static,
        F: Future<Output = Result<T, Failure>> + 'static,
    {
        let inner = &self.inner;
        inner.tasks.insert(inner.next_serial(), &inner.mailbox, place, |_, canceller| {
            let (resolver, deferred) = Deferred::new_at(place);
            resolver.set_canceller(canceller);
            let spawned = Spawned { parts: Some((Box::pin(future), resolver)), place };
            (Box::pin(spawned) as Body, deferred)
        })
    }

    /// Runs the loop until a future is ready, and answers its output. The future may borrow what is around it.
    ///
    /// It is polled between turns: first at once, then after each turn in which it was woken. Start-up triggers are run
    /// first unless they have been; the loop is left started. A future that is not ready when the run ends is dropped.
    ///
    /// ```
    /// use ropewalk::{Deferred, EventLoop};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let words = vec!["If", "I", "were"];
    /// let count = event_loop.block_on(async {
    ///     let extra = Deferred::succeed(1).await?;
    ///     Ok(words.len() + extra)
    /// })?;
    /// assert_eq!(count, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The future's own failure, with [`PanicError`](crate::PanicError) if it panics; or a failure that holds a
    /// [`RunError`], as for [`EventLoop::run_until`].
    #[track_caller]
    pub fn block_on<T, F>(&self, future: F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let place = Location::caller();
        let _running = self.enter()?;
        let inner = &self.inner;
        let mut future = pin!(Some(future));
        // Stands for the future in the loop's table: when it is polled there, the future's turn has come.
        let woken = Rc::new(Cell::new(true));
        let root = {
            let woken = woken.clone();
            let body = std::future::poll_fn(move |_| {
                woken.set(true);
                Poll::<()>::Pending
            });
            inner.tasks.insert(inner.next_serial(), &inner.mailbox, place, |task, _| (Box::pin(body) as Body, task))
        };
        let guard_of_root = Root { task: root, ready: Cell::new(false) };
        inner.tasks.stands_in(root);
        let mut driven = self.start_up();
        loop {
            if woken.replace(false)
                && let Some(running) = future.as_mut().as_pin_mut()
            {
                let Some(waker) = inner.tasks.waker(root) else { return Err(Closed.into()) };
                let frame = if trace::on() { tell::poll_begins(root, false) } else { None };
                let polled = {
                    let _polling = Polling::begin(root, &waker);
                    let mut polled = guard(|| running.poll(&mut Context::from_waker(&waker)));
                    if let (true, Ok(Poll::Ready(outcome))) = (trace::on(), &mut polled) {
                        tell::gives_unseen(outcome);
                    }
                    polled
                };
                if let Some(frame) = frame {
                    tell::poll_ends(frame, root, !matches!(polled, Ok(Poll::Pending)));
                }
                guard_of_root.ready.set(!matches!(polled, Ok(Poll::Pending)));
                match polled {
                    Ok(Poll::Ready(outcome)) => return outcome,
                    Ok(Poll::Pending) => {}
                    Err(payload) => return Err(Failure::panic(payload, place)),
                }
            }
            if self.is_stopping() {
                self.shut_down()?;
                return Err(RunError::Stopped.into());
            }
            match driven {
                Ok(()) => driven = self.drive(None, usize::MAX).map(drop),
                Err(RunError::Idle(None)) => return Err(RunError::Idle(Some(place)).into()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Takes the task of a `block_on` off the loop, however that ends.
struct Root {
    task: TaskId,
    /// The future has come to its end.
    ready: Cell<bool>,
}

impl Drop for Root {
    fn drop(&mut self) {
        drop(self.task.remove(self.ready.get()));
    }
}

impl Handle {
    /// As [`EventLoop::spawn`]. The Deferred fails with [`Closed`](crate::Closed) if the loop is gone; the future is
    /// dropped then.
    ///
    /// ```
    /// use ropewalk::{EventLoop, bridge::yield_now};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// let sum = event_loop.block_on(async move {
    ///     let parts = [1, 2].map(|n| {
    ///         handle.spawn(async move {
    ///             yield_now().await;
    ///             Ok(n)
    ///         })
    ///     });
    ///     let mut sum = 0;
    ///     for part in parts {
    ///         sum += part.await?;
    ///     }
    ///     Ok(sum)
    /// })?;
    /// assert_eq!(sum, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn spawn<T, F>(&self, future: F) -> Deferred<T>
    where
        T: 'static,
        F: Future<Output = Result<T, Failure>> + 'static,
    {
        let place = Location::caller();
        self.with_deferred(|event_loop| event_loop.spawn_at(future, place))
    }
}

impl Remote {
    /// Has the loop poll a future on its own thread until it is ready. An error at its end is reported; what else comes
    /// of it, the future sends itself.
    ///
    /// For a future that is not `Send`, [`post`](Remote::post) a closure that makes it there.
    ///
    /// ```
    /// use ropewalk::EventLoop;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (remote, stopper) = (event_loop.remote(), event_loop.remote());
    /// let thread = std::thread::spawn(move || {
    ///     let task = async move {
    ///         stopper.stop();
    ///         Ok(())
    ///     };
    ///     remote.spawn(task).map_err(drop).unwrap();
    /// });
    /// event_loop.run()?;
    /// thread.join().unwrap();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The future is given back when the loop is gone, or when as many calls wait as
    /// [`Builder::mailbox_limit`](crate::Builder::mailbox_limit) allows.
    #[track_caller]
    pub fn spawn<T, F>(&self, future: F) -> Result<(), PostError<F>>
    where
        T: 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let place = Location::caller();
        // Left in a slot, so that it can be given back.
        let slot = Arc::new(Mutex::new(Some(future)));
        let taken = slot.clone();
        let take = |slot: &Mutex<Option<F>>| slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let posted = self.post(move |event_loop| {
            if let Some(future) = take(&taken) {
                event_loop.spawn_at(future, place).detach();
            }
        });
        match posted {
            Ok(()) => Ok(()),
            Err(error) => {
                let full = error.is_full();
                match take(&slot) {
                    Some(future) if full => Err(PostError::Full(future)),
                    Some(future) => Err(PostError::Closed(future)),
                    None => Ok(()), // nobody else has the slot
                }
            }
        }
    }
}
