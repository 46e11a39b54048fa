//! Lesson 07: an error changes lanes. A chain has a lane for values and a lane for errors, and each step stands in one
//! of them, or in both.
//!
//! In the stepper: press `s` only, and watch the rail. The mark goes down, crosses over, passes by, and comes back.
//!
//! Exercise: in the second chain, put `.add_callback(print).add_errback(use_the_wall)` in the place of
//! `.add_callbacks(print, use_the_wall)`. Who handles the error now? (use_the_wall: it comes after `print`, not beside.)

mod lesson;

use lesson::{MS, Outcome, RAIN, ROPE, ask, get_poem, tell};
use ropewalk::{EventLoop, Failure, TestClock};
use std::process::ExitCode;

fn translate(_poem: String) -> Result<String, Failure> {
    tell("  translate: fails")?;
    Err(Failure::msg("no dictionary"))
}

fn shout(poem: String) -> Result<String, Failure> {
    tell("  shout")?;
    Ok(poem.to_uppercase())
}

fn keep_english(failure: Failure) -> Result<String, Failure> {
    tell(format_args!("  keep_english: handles \"{failure}\""))?;
    Ok("an English poem".to_owned())
}

fn print(_poem: String) -> Result<(), Failure> {
    tell("  print: fails")?;
    Err(Failure::msg("no paper"))
}

fn use_the_wall(failure: Failure) -> Result<(), Failure> {
    tell(format_args!("  use_the_wall: handles \"{failure}\""))
}

fn complain(failure: Failure) -> Result<(), Failure> {
    tell(format_args!("  complain: handles \"{failure}\""))
}

fn main() -> ExitCode {
    lesson::run("07_two_lanes", lesson)
}

fn lesson() -> Outcome {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build()?;
    let answer = ask(
        "The first chain has six steps. Which four of them run?",
        "translate, keep_english, print, use_the_wall.\n  The others were on the other lane.",
    )?;

    tell("one step after the other:")?;
    let one = get_poem(&event_loop, &RAIN)
        .add_callback(translate)
        .add_callback(shout)
        .add_errback(keep_english)
        .add_callback(print)
        .add_errback(use_the_wall)
        .add_errback(complain);
    clock.advance(50 * MS)?;

    tell("two handlers beside each other, in one step:")?;
    let two = get_poem(&event_loop, &ROPE).add_callbacks(print, use_the_wall).add_errback(complain);
    clock.advance(100 * MS)?;
    tell("  use_the_wall stood beside print: it cannot catch what print raises")?;
    drop((one, two));
    Ok(answer.show()?)
}
