//! Lesson 11: a cancel asks at the bottom, and the error comes out at the top.
//!
//! There are three outcomes: a canceller stops the work, and then it fails; there is none, so it fails now, and a late
//! result is swallowed; or the chain waits for another Deferred, which is asked. A time limit is a timer that cancels.
//! In the stepper: `e` goes from one event of an error to the next.
//!
//! Exercise: give the last poem a limit of 50 ms instead of 20. Who wins, and what becomes of the timer?
//! (The poem, at 30 ms. The limit's timer is cancelled: it does not fire at 50.)

mod lesson;

use lesson::{MS, Outcome, RAIN, ROPE, ask, get_poem, put, tell};
use ropewalk::{Deferred, DelayedCall, EventLoop, Failure, TestClock};
use std::{cell::Cell, process::ExitCode, rc::Rc};

fn report(failure: Failure) -> Result<String, Failure> {
    // Where the failure says what took too long, that is a line of its own.
    tell(format!("   errback: {failure}").replace(" (made", "\n     (made"))?;
    Ok("no poem".to_owned())
}

/// A poem whose maker knows how to stop: the timer goes, so nobody works in vain.
fn stoppable(event_loop: &EventLoop) -> Deferred<String> {
    let timer = Rc::new(Cell::new(None::<DelayedCall>));
    let slot = timer.clone();
    let (resolver, poem) = Deferred::with_canceller(move || {
        put("   canceller: stops the timer");
        if let Some(timer) = slot.take()
            && let Err(error) = timer.cancel()
        {
            put(format_args!("   {error}"));
        }
    });
    let deliver = |_: &EventLoop| resolver.succeed("rain".to_owned());
    timer.set(Some(event_loop.call_later(30 * MS, deliver).named("stoppable")));
    poem.named("stoppable")
}

fn main() -> ExitCode {
    lesson::run("11_cancel", lesson)
}

fn lesson() -> Outcome {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build()?;
    let answer = ask(
        "In part 2 nobody stops the timer of rain, and its closure still runs.\n  What becomes of the poem?",
        "It is swallowed: the Deferred has failed long ago, and nobody is told twice.",
    )?;

    tell("1. with a canceller")?;
    let poem = stoppable(&event_loop).add_errback(report);
    poem.cancel();
    clock.advance(50 * MS)?;

    tell("2. without one")?;
    let poem = get_poem(&event_loop, &RAIN).add_errback(report);
    poem.cancel();
    clock.advance(50 * MS)?;

    tell("3. while it waits for another one")?;
    let inner = get_poem(&event_loop, &ROPE);
    let outer = Deferred::succeed(()).named("outer");
    let poem = outer.step_named("wait_for_rope").add_callback(move |()| inner).add_errback(report);
    poem.cancel();
    clock.advance(100 * MS)?;

    tell("4. by a time limit")?;
    let poem = get_poem(&event_loop, &RAIN).add_timeout(20 * MS, &event_loop).add_errback(report);
    clock.advance(50 * MS)?;
    drop(poem);
    Ok(answer.show()?)
}
