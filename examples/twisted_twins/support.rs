//! What the six have in common.

pub(crate) use crate::program::say;
use ropewalk::{Deferred, EventLoop, Failure};
use std::cell::Cell;
use std::rc::Rc;

/// Runs a loop until what `main` starts on it is done, and answers how it ended. Twisted's `task.react`.
pub(crate) fn run_until_done(
    main: impl FnOnce(&EventLoop) -> Result<Deferred<()>, Failure>,
) -> Result<(), Failure> {
    let event_loop = EventLoop::new()?;
    let ended = Rc::new(Cell::new(None));
    let (end, handle) = (ended.clone(), event_loop.handle());
    main(&event_loop)?
        .add_both(move |result| {
            end.set(Some(result));
            Ok(handle.stop()?)
        })
        .detach();
    event_loop.run()?;
    ended.take().unwrap_or_else(|| Err(Failure::msg("the loop ended before the program")))
}
