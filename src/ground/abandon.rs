//! What happens to a chain whose `Resolver` is dropped unfired: it fails, so that nothing waits for ever in silence.

use super::chain::Chain;
use super::failure::Failure;
use super::jobs::Jobs;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

thread_local! {
    /// While a chain fails because it was abandoned: the chains that were abandoned by that in turn.
    static ABANDONED: RefCell<Option<VecDeque<Rc<dyn Chain>>>> = const { RefCell::new(None) };
}

/// Fails a chain whose `Resolver` was dropped unfired.
///
/// The closures of such a chain may own the next `Resolver`, and so on: a loop, not a recursion.
pub(crate) fn abandon(chain: Rc<dyn Chain>) {
    let queued = ABANDONED.try_with(|queue| match &mut *queue.borrow_mut() {
        Some(queue) => {
            queue.push_back(chain.clone());
            true
        }
        none => {
            *none = Some(VecDeque::new());
            false
        }
    });
    match queued {
        Ok(true) => return,
        Ok(false) => {}
        // The thread is ending and its locals are gone.
        Err(_) => {
            let made = chain.core().info.made();
            return Jobs::all(|jobs| chain.fail(Failure::abandoned(made), jobs));
        }
    }
    let (mut next, mut panicked) = (Some(chain), None);
    while let Some(chain) = next {
        let made = chain.core().info.made();
        // No panic comes out of it: those of steps, of drops and of the hook are caught where they happen. If one did, the
        // others must be told all the same.
        let told = catch_unwind(AssertUnwindSafe(|| Jobs::all(|jobs| chain.fail(Failure::abandoned(made), jobs))));
        panicked = panicked.or(told.err());
        next = ABANDONED.try_with(|queue| queue.borrow_mut().as_mut().and_then(VecDeque::pop_front)).ok().flatten();
    }
    // Empty by now. A thread that is ending has none.
    let _ = ABANDONED.try_with(|queue| queue.borrow_mut().take());
    if let Some(payload) = panicked {
        resume_unwind(payload);
    }
}
