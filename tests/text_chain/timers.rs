use ropewalk::{Deferred, EventLoop, Failure, TestClock};
use std::time::Duration;

fn shout(poem: String) -> Result<String, Failure> {
    Ok(poem.to_uppercase())
}

fn keep_original(_failure: Failure) -> Result<String, Failure> {
    Ok("original poem".to_owned())
}

fn got_poem(_poem: String) -> Result<(), Failure> {
    Ok(())
}

fn count_lines(_poem: &str) -> Result<usize, Failure> {
    Err(Failure::msg("division by zero"))
}

/// The program of the pictures: a poem, an engine that fails 30 ms later, and an audit that nobody listens to.
pub(crate) fn program() {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().expect("a loop");
    let handle = event_loop.handle();
    let try_to_cummingsify = move |_poem: &'static str| {
        let (resolver, reply) = Deferred::<String>::new();
        let engine = move |_: &EventLoop| resolver.fail(Failure::msg("engine down"));
        handle.call_later(Duration::from_millis(30), engine)?.named("engine reply");
        Ok(reply.named("cummingsify"))
    };
    let (poem, d) = Deferred::new();
    d.named("get_poem")
        .step_named("try_to_cummingsify")
        .add_callback(try_to_cummingsify)
        .flatten()
        .add_callback(shout)
        .add_errback(keep_original)
        .add_callback(got_poem);
    event_loop.call_later(Duration::from_millis(50), move |_| poem.succeed("If I were...")).named("deliver poem");
    let (audit, d) = Deferred::new();
    let rests = d.named("audit").add_callback(count_lines);
    event_loop.call_later(Duration::from_millis(60), move |_| audit.succeed("x")).named("audit tick");
    event_loop.call_later(Duration::from_millis(70), move |_| drop(rests.map(|n| n + 1)));
    event_loop.call_soon(|_| drop(Deferred::succeed(1).named("soon")));
    clock.advance(Duration::from_millis(100)).expect("the loop can turn");
}
