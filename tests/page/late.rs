use ropewalk::{EventLoop, trace};
use std::time::Duration;

/// A timer is due while a callback still runs.
pub(crate) fn program() {
    let event_loop = EventLoop::new().expect("a loop");
    let slow = |event_loop: &EventLoop| {
        trace::note("slow");
        let late = |event_loop: &EventLoop| {
            trace::note("late");
            event_loop.stop();
        };
        event_loop.call_later(Duration::from_millis(1), late).named("late");
        let due = event_loop.time() + Duration::from_millis(1);
        while event_loop.time() <= due {}
    };
    event_loop.call_later(Duration::from_millis(1), slow).named("slow");
    event_loop.run().expect("it is stopped");
}
