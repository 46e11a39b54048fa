//! A Deferred as a future.
//!
//! ```text
//!   Resolver --> Head --> Link --> Awaiting <-- DeferredFuture
//!                                  result, who waits
//! ```
//!
//! One node at the end of the chain takes the result and wakes who waits. A Deferred that has its result needs none.

use std::any::type_name;
use std::cell::Cell;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::event_loop::tasks::{self, WakeSlot, Wakes};
use crate::ground::chain::{self, Accept, Advance, Chain, Drive};
use crate::ground::deferred::{End, Origin};
use crate::ground::info::Phase;
use crate::ground::jobs::Walk;
use crate::ground::sink::let_go;
use crate::ground::step::Outcome;
use crate::ground::tell::{chain_id, taken};
use crate::ground::{CancelledError, Deferred, Failure};
use crate::trace::{self, Place};

use super::given_up::give_up;
use super::ring;

/// A [`Deferred`] on its way to be awaited: what `deferred.await` polls. Its output is the Deferred's result.
///
/// Dropping it while there is no result *cancels* the Deferred, as dropping any future ends its work. (Dropping a
/// `Deferred` detaches it, and its steps still run.) What comes of that cancel is nobody's: a
/// [`CancelledError`](crate::CancelledError) is silent, any other failure is reported.
///
/// Any executor may poll it, on the Deferred's thread. No allocation for a Deferred that has its result, one for one that
/// has not.
///
/// ```
/// use ropewalk::{Deferred, EventLoop, Failure};
/// use std::time::Duration;
///
/// let event_loop = EventLoop::new()?;
/// let (resolver, poem) = Deferred::new();
/// event_loop.call_later(Duration::from_millis(1), move |_| resolver.succeed("If I were"));
/// let length = event_loop.block_on(async {
///     let poem = poem.await?;
///     Ok(poem.len())
/// })?;
/// assert_eq!(length, 9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
///
/// Polled again after its output was given.
#[must_use = "futures do nothing unless they are polled"]
pub struct DeferredFuture<T: 'static> {
    state: State<T>,
}

enum State<T: 'static> {
    /// Not polled yet.
    New(Deferred<T>),
    Waiting(Rc<Awaiting<T>>, Rc<dyn Chain>),
    Over,
}

// Nothing in it is pinned: a result lies in it only until the first poll, which moves it out.
impl<T: 'static> Unpin for DeferredFuture<T> {}

impl<T: 'static> IntoFuture for Deferred<T> {
    type Output = Result<T, Failure>;
    type IntoFuture = DeferredFuture<T>;

    fn into_future(self) -> DeferredFuture<T> {
        DeferredFuture { state: State::New(self) }
    }
}

impl<T: 'static> DeferredFuture<T> {
    /// Lets the chain run on by itself, as dropping a `Deferred` does. A failure at its end is reported.
    pub fn detach(mut self) {
        if let State::Waiting(node, _) = &self.state
            && let Some(taken) = node.result.take()
        {
            // There is a result that nobody wants: a drop says so.
            node.result.set(Some(taken));
            return;
        }
        if let State::Waiting(node, _) = std::mem::replace(&mut self.state, State::Over) {
            node.left.set(Some(Left::Detached));
            drop(node.wakes.take());
        }
    }
}

impl<T: 'static> Future for DeferredFuture<T> {
    type Output = Result<T, Failure>;

    #[track_caller] // the line of the `await`
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if matches!(self.state, State::New(_))
            && let State::New(deferred) = std::mem::replace(&mut self.state, State::Over)
        {
            match deferred.try_result() {
                Ok(outcome) => return Poll::Ready(outcome),
                Err(deferred) => self.state = Awaiting::hang(deferred),
            }
        }
        let State::Waiting(node, chain) = &self.state else {
            panic!("a DeferredFuture was polled after its output was given");
        };
        if let Some(outcome) = node.result.take() {
            self.state = State::Over;
            return Poll::Ready(outcome);
        }
        // The waker before may be dropped here: its code finds everything in place, and its panic leaves it so.
        node.wakes.set(context.waker());
        node.tell_wait(chain);
        Poll::Pending
    }
}

impl<T: 'static> Drop for DeferredFuture<T> {
    fn drop(&mut self) {
        let state = match std::mem::replace(&mut self.state, State::Over) {
            // With a result it is dropped as any Deferred is.
            State::New(deferred) if deferred.has_result() => return,
            State::New(deferred) => Awaiting::hang(deferred),
            state => state,
        };
        let State::Waiting(node, chain) = state else { return };
        // Dropped last, since that of a foreign executor may panic.
        let _waker = node.wakes.take();
        match node.result.take() {
            Some(Ok(value)) => drop(value),
            Some(Err(failure)) => Origin::end(chain, node.at).lost(failure),
            None => {
                node.left.set(Some(Left::GivenUp));
                drop(node);
                give_up(chain);
            }
        }
    }
}

/// How the future went that a result was for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// It was dropped, and the chain cancelled.
    GivenUp,
    Detached,
}

/// The end of a chain that is awaited.
struct Awaiting<T: 'static> {
    result: Cell<Option<Outcome<T>>>,
    wakes: WakeSlot,
    /// Set when the future is gone.
    left: Cell<Option<Left>>,
    /// Where the last step was added.
    at: Option<Place>,
}

impl<T: 'static> Awaiting<T> {
    /// Hangs one behind a Deferred that has no result.
    fn hang(deferred: Deferred<T>) -> State<T> {
        let End::Pending(tail, chain) = deferred.into_end() else { return State::Over };
        let node = Rc::new(Awaiting {
            result: Cell::new(None),
            wakes: WakeSlot::default(),
            left: Cell::new(None),
            at: tail.part.at(),
        });
        chain::hang(&tail, node.clone());
        State::Waiting(node, chain)
    }
}

impl<T: 'static> Awaiting<T> {
    #[track_caller]
    #[inline]
    fn tell_wait(&self, chain: &Rc<dyn Chain>) {
        if trace::on() {
            let at = Location::caller();
            tasks::tell::waits(chain_id(&chain.core().info, type_name::<T>(), true), at);
        }
    }
}

impl<T: 'static> Drive for Awaiting<T> {
    // No result lies in it that a step could take.
    fn advance(self: Rc<Self>, _chain: &mut Walk<'_>) -> Advance {
        Advance::Paused
    }
    fn discard(&self) -> Option<Failure> {
        None
    }
    fn at(&self) -> Option<Place> {
        self.at
    }
    fn tell_rest(self: Rc<Self>, _chain: &mut Walk<'_>) -> Advance {
        Advance::Paused
    }
}

impl<T: 'static> Accept<T> for Awaiting<T> {
    fn accept(self: Rc<Self>, input: Outcome<T>, walk: &mut Walk<'_>, _stride: u32) -> Advance {
        let info = &walk.chain.core().info;
        info.phase.set(Phase::Resting);
        if trace::on() {
            taken(info, type_name::<T>());
        }
        match (self.left.get(), input) {
            (None, outcome) => {
                self.result.set(Some(outcome));
                match self.wakes.take() {
                    // A foreign waker may poll at once, whatever else is to be done first: it waits for its turn.
                    wakes @ Wakes::Other(_) => walk.jobs.work(move |_| ring(wakes)),
                    wakes => ring(wakes),
                }
            }
            (Some(_), Ok(value)) => let_go(value, info),
            // The cancel that giving up led to.
            (Some(Left::GivenUp), Err(failure)) if failure.check::<CancelledError>().is_some() => {
                let_go(failure, info);
            }
            (Some(_), Err(failure)) => Origin::end(walk.chain.clone(), self.at).lost(failure),
        }
        Advance::Paused
    }
}

impl<T: 'static> fmt::Debug for DeferredFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.state {
            State::New(_) => "<DeferredFuture, not polled>",
            State::Waiting(..) => "<DeferredFuture, waiting>",
            State::Over => "<DeferredFuture, over>",
        })
    }
}
