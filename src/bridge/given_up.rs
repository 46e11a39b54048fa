//! Cancelling what a dropped future waited for.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::ground::chain::Chain;
use crate::ground::jobs::{Job, Jobs};

thread_local! {
    /// While a chain is cancelled because its future was dropped: the chains that were given up by that in turn.
    static GIVEN_UP: RefCell<Option<VecDeque<Rc<dyn Chain>>>> = const { RefCell::new(None) };
}

/// Cancels a chain whose future was dropped.
///
/// The canceller may drop a task, whose future waits for the Deferred of another task, and so on: a loop, not a
/// recursion.
pub(super) fn give_up(chain: Rc<dyn Chain>) {
    let queued = GIVEN_UP.try_with(|queue| match &mut *queue.borrow_mut() {
        Some(queue) => {
            queue.push_back(chain.clone());
            true
        }
        none => {
            *none = Some(VecDeque::new());
            false
        }
    });
    if let Ok(true) = queued {
        return;
    }
    let mut next = Some(chain);
    while let Some(chain) = next {
        // No panic comes out of it: those of cancellers, steps and drops are caught where they happen.
        let at = chain.core().info.made();
        Jobs::all(|jobs| jobs.push(Job::Cancel(chain, at)));
        // A thread that is ending has no queue: each is then cancelled where it is given up.
        next = GIVEN_UP.try_with(|queue| queue.borrow_mut().as_mut().and_then(VecDeque::pop_front)).ok().flatten();
    }
    // Empty by now.
    let _ = GIVEN_UP.try_with(|queue| queue.borrow_mut().take());
}
