//! `DeferredQueue`: values for whoever asks for the next one.

use super::line::Line;
use crate::ground::Deferred;
use crate::ground::jobs::Jobs;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// A queue whose consumers wait with Deferreds: first come, first served. Twisted's `DeferredQueue`.
///
/// It is bounded both ways: so many values may lie in it, and so many may wait for one. `usize::MAX` is no bound.
/// Clones are the same queue. A waiter that is cancelled leaves the line, and no value is lost with it. When the last
/// clone goes, those who wait fail with [`AbandonedError`](crate::AbandonedError).
///
/// ```
/// use ropewalk::{DeferredQueue, testing::success_of};
///
/// let queue = DeferredQueue::new(2, 1);
/// let first = queue.get()?;
/// assert!(queue.get().is_err()); // one may wait, not two
/// queue.put("a")?; // goes to the one who waits
/// assert_eq!(success_of(first), "a");
/// queue.put("b")?;
/// queue.put("c")?;
/// assert_eq!(queue.put("d").unwrap_err().into_value(), "d");
/// assert_eq!(success_of(queue.get()?), "b");
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub struct DeferredQueue<T: 'static> {
    inner: Rc<Inner<T>>,
}

struct Inner<T: 'static> {
    values: RefCell<VecDeque<T>>,
    line: Rc<Line<T>>,
    size: usize,
    backlog: usize,
}

impl<T: 'static> DeferredQueue<T> {
    /// An empty queue in which at most `size` values may lie, and for which at most `backlog` may wait.
    ///
    /// With a size of 0 a value can only be put while somebody waits for it; with a backlog of 0 one can only be asked
    /// for while one is there.
    pub fn new(size: usize, backlog: usize) -> DeferredQueue<T> {
        let inner = Inner { values: RefCell::default(), line: Line::new(), size, backlog };
        DeferredQueue { inner: Rc::new(inner) }
    }

    /// Puts a value in: the first who waits gets it, and its callbacks run inside this call; else it is kept.
    ///
    /// # Errors
    ///
    /// [`QueueOverflow`], which gives the value back, if nobody waits and the queue is full.
    #[track_caller]
    pub fn put(&self, value: T) -> Result<(), QueueOverflow<T>> {
        let at = Location::caller();
        if let Some(waiter) = self.inner.line.next() {
            Jobs::all(|jobs| waiter.fire_in(Ok(value), at, jobs));
        } else {
            let mut values = self.inner.values.borrow_mut();
            if values.len() >= self.inner.size {
                return Err(QueueOverflow { value });
            }
            values.push_back(value);
        }
        Ok(())
    }

    /// Asks for the next value. The Deferred has it already if one is there.
    ///
    /// # Errors
    ///
    /// [`QueueUnderflow`], if the queue is empty and too many wait already.
    #[track_caller]
    pub fn get(&self) -> Result<Deferred<T>, QueueUnderflow> {
        let value = self.inner.values.borrow_mut().pop_front();
        match value {
            Some(value) => Ok(Deferred::succeed(value)),
            None if self.inner.line.has_room(self.inner.backlog) => {
                let waits = self.inner.line.join();
                self.serve();
                Ok(waits)
            }
            None => Err(QueueUnderflow(())),
        }
    }

    /// Gives values that lie there to those who wait. (Both are there only if a recorder put one in while it was told
    /// of a waiter.)
    fn serve(&self) {
        while !self.is_empty()
            && let Some(waiter) = self.inner.line.next()
        {
            let value = self.inner.values.borrow_mut().pop_front();
            match value {
                Some(value) => Jobs::all(|jobs| waiter.fire_in(Ok(value), Location::caller(), jobs)),
                None => return,
            }
        }
    }

    /// How many values lie in it.
    pub fn len(&self) -> usize {
        self.inner.values.borrow().len()
    }

    /// Whether no value lies in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait for a value.
    pub fn waiting(&self) -> usize {
        self.inner.line.len()
    }
}

impl<T: 'static> Clone for DeferredQueue<T> {
    fn clone(&self) -> Self {
        DeferredQueue { inner: self.inner.clone() }
    }
}

impl<T: 'static> fmt::Debug for DeferredQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<DeferredQueue: {} values, {} waiting>", self.len(), self.waiting())
    }
}

/// A [`DeferredQueue`] is full. Holds the value that had no room.
///
/// ```
/// use ropewalk::DeferredQueue;
///
/// let queue = DeferredQueue::new(1, 1);
/// queue.put("kept").unwrap();
/// assert_eq!(queue.put("too much").unwrap_err().into_value(), "too much");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct QueueOverflow<T> {
    value: T,
}

impl<T> QueueOverflow<T> {
    /// The value that had no room.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T> fmt::Debug for QueueOverflow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueOverflow").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for QueueOverflow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is full")
    }
}

impl<T> Error for QueueOverflow<T> {}

/// A [`DeferredQueue`] is empty, and as many as may wait for it wait already.
///
/// ```
/// use ropewalk::{DeferredQueue, testing::success_of};
///
/// let queue = DeferredQueue::new(1, 0); // nobody may wait
/// let error = queue.get().unwrap_err();
/// assert_eq!(error.to_string(), "the queue is empty, and too many wait for it");
/// queue.put("a value")?;
/// assert_eq!(success_of(queue.get()?), "a value");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueUnderflow(());

impl fmt::Display for QueueUnderflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is empty, and too many wait for it")
    }
}

impl Error for QueueUnderflow {}
