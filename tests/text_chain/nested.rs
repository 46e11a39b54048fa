use ropewalk::{Deferred, Failure};

pub(crate) fn program() {
    // Three, one inside the other; the outermost waits in the errbacks' lane.
    let (resolver, innermost) = Deferred::new();
    let middle = Deferred::succeed(()).named("middle").add_callback(|()| innermost.named("innermost"));
    let outer = Deferred::<i32>::fail(Failure::msg("no cache"))
        .named("outer")
        .step_named("fetch")
        .add_errback(move |_| middle)
        .step_named("double")
        .map(|n| n * 2);
    resolver.succeed(21);
    drop(outer);
    // Here nothing has to wait.
    drop(Deferred::succeed(1).named("now").add_callback(|n| Deferred::succeed(n + 1)));
    // And this one never gets its result.
    let (resolver, d) = Deferred::<i32>::new();
    let waits =
        Deferred::succeed(()).named("waits").add_callback(|()| d.add_callback(|n| Ok(n + 1))).map(|n| n + 1);
    std::mem::forget((resolver, waits));
}
