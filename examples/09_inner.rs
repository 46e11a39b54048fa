//! Lesson 09: a step gives back a Deferred of its own. Its chain stops there; the loop does other work meanwhile.
//!
//! Run it, then `ROPEWALK=plain cargo run --example 09_inner`, or `ROPEWALK=step` with `--features stepper`.
//! Time here is a clock that jumps to the next timer: nobody waits, and each run gives the same trace.
//! It asks what runs while `get_poem` is paused. Two more: which of its steps run? What becomes of the error in `audit`?
//! In the stepper: `r d1` goes from one event of the poem's chain to the next.
//!
//! Exercise: forget to return the inner Deferred. In the first step, put `poem.clone()` in the place of `poem`, `drop(..)`
//! around the call, and `Ok(poem)` behind it, in braces. What happens to the error of the engine?
//! (The chain does not wait, and shouts. The error is lost: nobody has the Deferred that it comes to.)

#[path = "lessons/lesson.rs"]
mod lesson;

use lesson::{MS, Outcome, ask, tell};
use ropewalk::{Deferred, EventLoop, Failure, Handle, TestClock};
use std::process::ExitCode;

/// The poem comes 50 ms later.
fn get_poem(event_loop: &EventLoop) -> Deferred<String> {
    let (resolver, poem) = Deferred::new();
    let deliver = |_: &EventLoop| resolver.succeed("If I were".to_owned());
    event_loop.call_later(50 * MS, deliver).named("deliver poem");
    poem.named("get_poem")
}

/// Step 0: asks an engine, which answers 30 ms later that it is down.
fn try_to_cummingsify(_poem: String, handle: &Handle) -> Deferred<String> {
    let (resolver, reply) = Deferred::new();
    let answer = move |_: &EventLoop| resolver.fail(Failure::msg("engine down"));
    match handle.call_later(30 * MS, answer) {
        Ok(timer) => drop(timer.named("engine reply")),
        Err(closed) => return Deferred::fail(Failure::from(closed)),
    }
    reply.named("cummingsify")
}

/// Step 1: for the engine's poem only.
fn shout(poem: String) -> Result<String, Failure> {
    Ok(poem.to_uppercase())
}

/// Step 2: what to do without the engine.
fn keep_original(_failure: Failure) -> Result<String, Failure> {
    Ok("If I were (as it was)".to_owned())
}

/// Step 3, if there is a poem.
fn got_poem(poem: String) -> Result<(), Failure> {
    tell(format_args!("got: {poem}"))
}

/// Step 3, if there is none.
fn poem_failed(failure: Failure) -> Result<(), Failure> {
    tell(format_args!("no poem: {failure}"))
}

/// The only step of `audit`. One line has no second one.
fn words_of_line_two(text: &str) -> Result<usize, Failure> {
    let second = text.lines().nth(1).ok_or_else(|| Failure::msg("there is no second line"))?;
    Ok(second.split(' ').count())
}

fn main() -> ExitCode {
    lesson::run("09_inner", lesson)
}

fn lesson() -> Outcome {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build()?;

    let handle = event_loop.handle();
    let poem = get_poem(&event_loop)
        .step_named("try_to_cummingsify")
        .add_callback(move |poem| try_to_cummingsify(poem, &handle))
        .add_callback(shout)
        .add_errback(keep_original)
        .add_callbacks(got_poem, poem_failed);

    let (resolver, audit) = Deferred::new();
    let audit = audit.named("audit").add_callback(words_of_line_two);
    event_loop.call_later(60 * MS, move |_| resolver.succeed("If I were")).named("audit tick");

    let answer = ask(
        "The engine is asked at 50 ms and answers at 80 ms. What runs between?",
        "The callback \"audit tick\", at 60 ms. Only the chain of get_poem\n  waits. The loop does not.",
    )?;
    clock.advance(100 * MS)?;
    // `audit` holds an error, and goes away here with no errback.
    drop((poem, audit));
    Ok(answer.show()?)
}
