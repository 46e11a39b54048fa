//! `defer_later`: a function that runs later, and the Deferred of what it gives back.

use std::any::type_name;
use std::cell::Cell;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use crate::event_loop::{Closed, DelayedCall, EventLoop, Handle};
use crate::ground::step::{Outcome, Returned, Step, Went};
use crate::ground::{CallbackResult, Deferred};

impl EventLoop {
    /// Calls `f` once, `delay` from now, and answers with what it gives back. Twisted's `deferLater`.
    ///
    /// A cancel takes the call off the loop, and then `f` is never called. A cancel while the Deferred that `f` gave
    /// back is waited for cancels that one.
    ///
    /// ```
    /// use ropewalk::EventLoop;
    /// use std::time::Duration;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let answer = event_loop.defer_later(Duration::from_millis(1), |_| Ok(6 * 7));
    /// assert_eq!(event_loop.run_until(answer)?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn defer_later<R, F>(&self, delay: Duration, f: F) -> Deferred<<R as CallbackResult>::Value>
    where
        R: CallbackResult,
        F: FnOnce(&EventLoop) -> R + 'static,
    {
        let at = Location::caller();
        let call = Rc::new(Cell::new(None::<DelayedCall>));
        let armed = call.clone();
        let (resolver, deferred) = Deferred::with_canceller(move || {
            // A call that is over, or whose loop is gone, needs no calling off.
            let _ = armed.take().map(|call| call.cancel());
        });
        call.set(Some(self.call_later(delay, move |_| resolver.succeed(()))));
        deferred.add(Later { event_loop: self.handle(), f }, at)
    }
}

impl Handle {
    /// As [`EventLoop::defer_later`]. The Deferred fails with [`Closed`] if the loop is gone.
    #[track_caller]
    pub fn defer_later<R, F>(&self, delay: Duration, f: F) -> Deferred<<R as CallbackResult>::Value>
    where
        R: CallbackResult,
        F: FnOnce(&EventLoop) -> R + 'static,
    {
        // Not in a closure, which would be its own caller.
        match self.upgrade() {
            Ok(event_loop) => event_loop.defer_later(delay, f),
            Err(closed) => Deferred::fail(closed),
        }
    }
}

/// The step that calls the function.
struct Later<F> {
    event_loop: Handle,
    f: F,
}

impl<R, F> Step<(), <R as CallbackResult>::Value> for Later<F>
where
    R: CallbackResult,
    F: FnOnce(&EventLoop) -> R + 'static,
{
    type Back = Returned<<R as CallbackResult>::Value>;
    const CALLBACK: bool = true;
    const ERRBACK: bool = false;
    fn name() -> &'static str {
        type_name::<F>()
    }
    fn call(self, input: Outcome<()>) -> Went<Self::Back, <R as CallbackResult>::Value> {
        if let Err(failure) = input {
            return Went::Passed(Err(failure));
        }
        Went::Ran(match self.event_loop.upgrade() {
            Ok(event_loop) => (self.f)(&event_loop).returned(),
            Err(Closed) => Returned::Now(Err(Closed.into())),
        })
    }
}
