//! Lesson 06: a Deferred is a result as a thing. You can hand it on before it is there.
//!
//! A step that you add runs later if the result is not there, and at once, inside `add_callback`, if it is.
//! In the stepper: `r d1` goes from one event of the first Deferred to the next; look at what each step was called from.
//!
//! Exercise: a Deferred that has its result from the start is `Deferred::succeed`. Put
//! `Deferred::succeed("rain".to_owned())` in the place of `get_poem(&event_loop, &RAIN)`. Which two lines of the output
//! change places? (The line of the first step now comes before "the line after it".)

mod lesson;

use lesson::{MS, Outcome, RAIN, ask, get_poem, tell};
use ropewalk::{Deferred, EventLoop, Failure, TestClock};
use std::process::ExitCode;

fn first(poem: String) -> Result<String, Failure> {
    tell(format_args!("   first step: {poem}"))?;
    Ok(poem)
}

fn second(_poem: String) -> Result<(), Failure> {
    tell("   second step: the same poem")
}

fn gave_up(failure: Failure) -> Result<(), Failure> {
    tell(format_args!("   errback: {failure}"))
}

fn main() -> ExitCode {
    lesson::run("06_deferred", lesson)
}

fn lesson() -> Outcome {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build()?;
    let answer = ask(
        "Two steps are added. Does each run before the line after it, or later?",
        "The first later. The second before: the poem was there,\n  so it ran inside add_callback.",
    )?;

    tell("1. a step for a poem that is on its way")?;
    let poem = get_poem(&event_loop, &RAIN).add_callback(first);
    tell("   the line after it")?;
    clock.advance(100 * MS)?;

    tell("2. a step for a poem that is there")?;
    let done = poem.add_callback(second);
    tell("   the line after it")?;

    // Nobody can fire twice: `succeed` takes the Resolver away, so this does not compile.
    //     resolver.succeed(1);
    //     resolver.succeed(2); // error[E0382]: use of moved value: `resolver`
    // What can happen is that a result comes when it was given up. It is swallowed.
    tell("3. a result that nobody wants any more")?;
    let (resolver, late) = Deferred::new();
    event_loop.call_later(50 * MS, move |_| resolver.succeed(())).named("too late");
    let late = late.named("late").add_errback(gave_up);
    late.cancel();
    clock.advance(100 * MS)?;
    tell("   50 ms later the result came, and was swallowed")?;
    drop((done, late));
    Ok(answer.show()?)
}
