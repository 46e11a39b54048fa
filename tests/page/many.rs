use ropewalk::{Deferred, EventLoop, Failure, TestClock};
use std::time::Duration;

fn double(n: u32) -> Result<u32, Failure> {
    Ok(n.wrapping_mul(2))
}

fn refuse_every_seventh(n: u32) -> Result<u32, Failure> {
    if n.is_multiple_of(7) { Err(Failure::msg("a multiple of seven")) } else { Ok(n) }
}

/// Many turns with many chains in each, some of which fail and some of which wait for others.
pub(crate) fn program(requests: u32) {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().expect("a loop");
    for n in 0..requests {
        let handle = event_loop.handle();
        let (resolver, d) = Deferred::new();
        d.named(format!("request {n}"))
            .add_callback(double)
            .add_callback(move |n: u32| {
                let (resolver, reply) = Deferred::new();
                let late = Duration::from_millis(u64::from(n % 5));
                let armed = handle.call_later(late, move |_| resolver.succeed(n));
                armed.map_or_else(|_| Deferred::succeed(0), |_| reply)
            })
            .add_callback(refuse_every_seventh)
            .add_errback(|_| Ok(0))
            .detach();
        event_loop
            .call_later(Duration::from_millis(u64::from(n / 4)), move |_| resolver.succeed(n))
            .named("request");
    }
    clock.advance(Duration::from_secs(20)).expect("the loop can turn");
}
