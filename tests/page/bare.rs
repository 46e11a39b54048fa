use ropewalk::{EventLoop, TestClock};
use std::time::Duration;

/// Timers, and nothing that has a rail.
pub(crate) fn program() {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().expect("a loop");
    for millis in [5, 10, 15] {
        event_loop.call_later(Duration::from_millis(millis), |_| ()).named(&format!("{millis} ms"));
    }
    clock.advance(Duration::from_millis(20)).expect("the loop can turn");
}
