use ropewalk::{Deferred, DeferredList, EventLoop, Failure, TestClock, gather_results};
use std::time::Duration;

/// A task that awaits two Deferreds, a group of three, a list with a member that fails, and a result that comes after a cancel.
pub(crate) fn program() {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().expect("a loop");
    let after = |millis: u64, name: &str, ok: bool| {
        let (resolver, d) = Deferred::<u64>::new();
        let end = move |_: &EventLoop| match ok {
            true => resolver.succeed(millis),
            false => resolver.fail(Failure::msg("no answer")),
        };
        event_loop.call_later(Duration::from_millis(millis), end).named(name);
        d.named(name)
    };
    let (first, second) = (after(10, "first", true), after(20, "second", false));
    let sum = event_loop.spawn(async move { Ok(first.await? + second.await.unwrap_or(1)) });
    sum.named("sum").map(|n: u64| n + 1).detach();
    let members = vec![after(5, "a", true), after(15, "b", true), after(30, "c", true)];
    gather_results(members).named("all three").map(|all| all.len()).detach();
    let broken = DeferredList::new(vec![after(25, "broken", false)]).start();
    broken.named("list").map(|results| results.len()).detach();
    let late = after(40, "late", true);
    late.cancel_handle().cancel();
    late.add_errback(|_| Ok(0)).detach();
    clock.advance(Duration::from_millis(100)).expect("the loop can turn");
}
