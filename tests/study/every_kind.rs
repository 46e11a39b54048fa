//! Programs that, together, make every kind of event. All on a clock that stands still until it is moved.

use ropewalk::trace::{self, Trace};
use ropewalk::{Deferred, EventLoop, Failure, Interest, TestClock};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn shout(poem: String) -> Result<String, Failure> {
    Ok(poem.to_uppercase())
}

fn keep_original(_failure: Failure) -> Result<String, Failure> {
    Ok("original poem".to_owned())
}

fn count_lines(_poem: &str) -> Result<usize, Failure> {
    Err(Failure::msg("division by zero"))
}

fn a_loop(clock: &TestClock) -> EventLoop {
    EventLoop::builder().clock(clock).build().expect("a loop")
}

/// A chain that pauses on another, which fails; and one whose error is lost after a while.
pub(crate) fn poem() {
    let clock = TestClock::new();
    let event_loop = a_loop(&clock);
    let (engine, reply) = Deferred::<String>::new();
    let reply = reply.named("cummingsify");
    let (poem, d) = Deferred::new();
    d.named("get_poem")
        .step_named("try_to_cummingsify")
        .add_callback(move |_: &str| reply)
        .add_callback(shout)
        .add_errback(keep_original)
        .map(|poem| poem.len())
        .detach();
    event_loop.call_later(50 * MS, move |_| poem.succeed("If I were...")).named("deliver poem");
    event_loop.call_later(80 * MS, move |_| engine.fail(Failure::msg("engine down"))).named("engine reply");
    let (audit, d) = Deferred::new();
    let rests = d.named("audit").add_callback(count_lines);
    event_loop.call_later(60 * MS, move |_| audit.succeed("x")).named("audit tick");
    event_loop.call_later(70 * MS, move |_| drop(rests.map(|n| n + 1)));
    clock.advance(100 * MS).expect("the loop can turn");
}

/// Cancels in all their forms, failures in all their forms, panics, results that are taken.
pub(crate) fn endings() {
    trace::note("the endings begin");
    let (first, d) = Deferred::<i32>::with_canceller(|| panic!("in a canceller"));
    d.cancel();
    d.add_errback(|_| Ok(0)).detach();
    first.succeed(1);
    let (second, d) = Deferred::<i32>::new();
    d.cancel();
    d.add_errback(Err::<i32, _>).add_errback(|_| Err(Failure::msg("another"))).detach();
    second.succeed(1);
    let (third, inner) = Deferred::<i32>::new();
    let d = Deferred::succeed(()).add_callback(move |()| inner);
    d.cancel();
    d.add_errback(|_| Ok(0)).detach();
    drop(third);
    let d = Deferred::succeed(7).map(|n| if n == 7 { panic!("in a step") } else { n });
    d.cancel();
    assert!(d.try_result().expect("it has its result").is_err());
    let (fourth, d) = Deferred::<i32>::new();
    drop(d);
    drop(fourth);
}

/// A loop with timers that are changed, queued calls, a task, a source, a job, and another thread.
pub(crate) fn the_loop() {
    let clock = TestClock::new();
    let event_loop = a_loop(&clock);
    let timer = event_loop.call_later(9 * MS, |_| {}).named("changed");
    timer.reset(8 * MS).expect("it waits");
    let unused = event_loop.call_later(20 * MS, |_| unreachable!());
    event_loop.call_soon(move |_| unused.cancel().expect("it waits"));
    event_loop.call_soon(|_| panic!("in a callback"));
    event_loop.call_later(5 * MS, |event_loop| event_loop.stop()).named("the end");
    let (later, waited_for) = Deferred::<i32>::new();
    event_loop.call_later(2 * MS, move |_| later.succeed(3)).named("wake it");
    event_loop.spawn(async move { waited_for.named("news").await.map(|n| n + 1) }).named("reader").detach();
    drop(event_loop.spawn(std::future::pending::<Result<(), Failure>>()));
    clock.advance(10 * MS).expect("the loop can turn");
    drop(event_loop);
}

/// Sources, jobs and other threads. How often the loop turns meanwhile is the system's affair.
pub(crate) fn outside() {
    let event_loop = EventLoop::new().expect("a loop");
    let (ours, mut theirs) = UnixStream::pair().expect("two sockets");
    let source = event_loop.register(ours, Interest::READ, |_, _, _| {}).expect("it can be watched");
    theirs.write_all(b"x").expect("there is room");
    event_loop.turn(None).expect("the loop can turn");
    drop(event_loop.remove(source));
    let remote = event_loop.remote();
    std::thread::spawn(move || remote.post(|_| {}).expect("the loop is there")).join().expect("it only posts");
    event_loop.turn(None).expect("the loop can turn");
    event_loop.run_until(event_loop.defer_to_thread(|| Ok(42))).expect("the job cannot fail");
}

/// A recorder that has room for three events only.
pub(crate) fn cut() -> Trace {
    trace::record_with(Trace::with_limit(3), || (0..9).for_each(|i| trace::note(i.to_string()))).1
}
