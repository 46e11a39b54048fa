use ropewalk::{Deferred, EventLoop, Failure, TestClock};
use std::time::Duration;

/// A timer at first, and a Deferred when it is due.
pub(crate) fn program() {
    let event_loop = EventLoop::builder().clock(&TestClock::new()).build().expect("a loop");
    let later = |event_loop: &EventLoop| {
        Deferred::succeed(1)
            .named("made later")
            .step_named("double")
            .map(|n| 2 * n)
            .step_named("refuse")
            .add_callback(|_| Err::<i32, _>(Failure::msg("no")))
            .step_named("give up")
            .add_errback(|_| Ok(0))
            .detach();
        event_loop.stop();
    };
    event_loop.call_later(Duration::from_millis(5), later).named("later");
    event_loop.run().expect("it is stopped");
}
