//! `DeferredSemaphore`: so many at a time, first come, first served.

use super::permit::{Gate, Permit};
use crate::ground::{CallbackResult, Deferred};
use std::fmt;
use std::num::NonZeroUsize;
use std::panic::Location;
use std::rc::Rc;

/// A lock with several places: so many at a time, first come, first served. Twisted's `DeferredSemaphore`.
///
/// For the rest it is as a [`DeferredLock`](crate::DeferredLock). Clones are the same semaphore.
///
/// ```
/// use ropewalk::{Deferred, DeferredSemaphore, gather_results, testing::success_of};
/// use std::{cell::Cell, num::NonZeroUsize, rc::Rc};
///
/// // Ten downloads, three at a time.
/// let three = DeferredSemaphore::new(const { NonZeroUsize::new(3).unwrap() });
/// let started = Rc::new(Cell::new(0));
/// let (resolvers, pages): (Vec<_>, Vec<_>) = (0..10)
///     .map(|_| {
///         let (resolver, page) = Deferred::new();
///         let started = started.clone();
///         let download = three.run(move || {
///             started.set(started.get() + 1);
///             page
///         });
///         (resolver, download)
///     })
///     .unzip();
/// assert_eq!((started.get(), three.waiting()), (3, 7));
/// resolvers.into_iter().enumerate().for_each(|(n, resolver)| resolver.succeed(n));
/// assert_eq!(success_of(gather_results(pages)).len(), 10);
/// ```
#[derive(Clone)]
pub struct DeferredSemaphore {
    gate: Rc<Gate>,
}

impl DeferredSemaphore {
    /// A semaphore with so many tokens, all of them free. As many as like may wait for one.
    #[track_caller]
    pub fn new(tokens: NonZeroUsize) -> DeferredSemaphore {
        DeferredSemaphore::with_backlog(tokens, usize::MAX)
    }

    /// The same, and at most `backlog` may wait: for when strangers decide how many ask. What is asked for beyond that
    /// has failed already, with [`BacklogFull`](crate::BacklogFull).
    ///
    /// ```
    /// use ropewalk::{BacklogFull, DeferredSemaphore, testing::{failure_of, success_of}};
    /// use std::num::NonZeroUsize;
    ///
    /// let two = DeferredSemaphore::with_backlog(const { NonZeroUsize::new(2).unwrap() }, 0);
    /// let _permits = [success_of(two.acquire()), success_of(two.acquire())];
    /// assert!(failure_of(two.acquire()).check::<BacklogFull>().is_some());
    /// ```
    #[track_caller]
    pub fn with_backlog(tokens: NonZeroUsize, backlog: usize) -> DeferredSemaphore {
        DeferredSemaphore { gate: Gate::new(tokens.get(), backlog, Location::caller()) }
    }

    /// Asks for a token. Fires with the [`Permit`] when one is free and all who asked before have had one.
    ///
    /// ```
    /// use ropewalk::{DeferredSemaphore, testing::success_of};
    /// use std::num::NonZeroUsize;
    ///
    /// let one = DeferredSemaphore::new(NonZeroUsize::MIN);
    /// let permit = success_of(one.acquire());
    /// let next = one.acquire();
    /// assert_eq!((next.has_result(), one.waiting()), (false, 1));
    /// drop(permit);
    /// assert!(next.has_result());
    /// ```
    #[track_caller]
    pub fn acquire(&self) -> Deferred<Permit> {
        self.gate.acquire()
    }

    /// A token, if one is free now and nobody waits for it.
    ///
    /// ```
    /// use ropewalk::DeferredSemaphore;
    /// use std::num::NonZeroUsize;
    ///
    /// let two = DeferredSemaphore::new(const { NonZeroUsize::new(2).unwrap() });
    /// let _permit = two.try_acquire().expect("two are free");
    /// assert_eq!(two.tokens(), 1);
    /// ```
    pub fn try_acquire(&self) -> Option<Permit> {
        self.gate.try_acquire()
    }

    /// Runs `f` with a token, and gives the token back when `f`'s result is there. See
    /// [`DeferredLock::run`](crate::DeferredLock::run).
    #[track_caller]
    pub fn run<R: CallbackResult>(
        &self,
        f: impl FnOnce() -> R + 'static,
    ) -> Deferred<<R as CallbackResult>::Value> {
        self.gate.run(f)
    }

    /// How many tokens are free.
    pub fn tokens(&self) -> usize {
        self.gate.free()
    }

    /// How many wait for one.
    pub fn waiting(&self) -> usize {
        self.gate.waiting()
    }
}

impl fmt::Debug for DeferredSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<DeferredSemaphore: {:?}>", self.gate)
    }
}
