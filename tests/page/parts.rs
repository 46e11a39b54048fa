use ropewalk::{Deferred, EventLoop, Failure, TestClock, trace};
use std::time::Duration;

/// The same wait of 10 ms in three ways, each of which is a part of the run: a callback, a chain that fails, a task.
pub(crate) fn program() {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().expect("a loop");
    let after = |name: &str| {
        let (resolver, d) = Deferred::<u64>::new();
        event_loop.call_later(Duration::from_millis(10), move |_| resolver.succeed(10)).named(name);
        d.named(name)
    };
    trace::note("part: callbacks");
    event_loop.call_later(Duration::from_millis(10), |_| trace::note("called back"));
    clock.advance(Duration::from_millis(10)).expect("the loop can turn");
    trace::note("part: deferreds");
    after("chain").add_callback(|_| Err::<u64, _>(Failure::msg("too late"))).add_errback(|_| Ok(0)).detach();
    clock.advance(Duration::from_millis(10)).expect("the loop can turn");
    trace::note("part: async");
    let awaited = after("awaited");
    event_loop.spawn(async move { Ok(awaited.await? + 1) }).detach();
    clock.advance(Duration::from_millis(10)).expect("the loop can turn");
}
