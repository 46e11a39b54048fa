use ropewalk::{Deferred, EventLoop, Failure, TestClock, trace};
use std::time::Duration;

/// Ends a script, opens another, comments the rest out, paints the terminal, turns the text around.
pub(crate) const EVIL: &str = "</script><b class=evil>x</b><img src=x onerror=pwned=1><!--<script>pwned=1</SCRIPT \
     ]]>\u{0}\u{1}\u{8}\u{1b}[31m\u{1b}]0;pwned\u{7}\r\u{7f}\u{9b}2J\u{2028}\u{2029}\u{202e}\u{feff}'\"`${pwned=1}\\ SURROGATE";

/// Names, values, errors and remarks that would do harm if a page took them for anything but text.
pub(crate) fn program() {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().expect("a loop");
    let long = "<b>".to_owned() + &"x".repeat(1 << 20);
    let (resolver, d) = Deferred::new();
    let d = d.named(EVIL).step_named(EVIL).add_callback(|value: String| Ok(value + EVIL));
    let d = d.step_named(long.clone()).add_callback(|_| Err::<(), _>(Failure::msg(EVIL)));
    d.step_named("__proto__").add_errback(move |_| Err(Failure::msg(long))).named("constructor").detach();
    event_loop.call_later(Duration::from_millis(1), |_| resolver.succeed(EVIL.to_owned())).named(EVIL);
    event_loop
        .call_later(Duration::from_millis(2), |_| {
            trace::note(EVIL);
            trace::note("long ".repeat(1 << 18));
        })
        .named("toString");
    clock.advance(Duration::from_millis(5)).expect("the loop can turn");
}
