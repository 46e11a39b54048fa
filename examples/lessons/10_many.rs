//! Lesson 10: many at once. The results stand in the order of the members; they arrive in the order of time.
//!
//! `DeferredList` waits for all, however they end. `gather_results` wants values only: the first error ends it. `race`
//! takes the first value and cancels the others.
//! In the stepper: `r` and the list's `d..`, from one event of the list to the next.
//!
//! Exercise: put `race(vec![tide, rain.add_callback(no_paper)])` in the place of `race(vec![tide, rain])`. rain is first to
//! arrive, and fails. Who wins? (tide: the first value wins, and an error is no value.)

mod lesson;

use lesson::{MS, Outcome, Poem, RAIN, ROPE, TIDE, ask, get_poem, put, tell};
use ropewalk::{Deferred, DeferredList, EventLoop, Failure, TestClock, gather_results, race};
use std::process::ExitCode;

/// The poem, and a line of output when it comes or not.
fn watched(event_loop: &EventLoop, poem: &'static Poem) -> Deferred<String> {
    get_poem(event_loop, poem)
        .step_named("say_arrived")
        .inspect(|_| put(format_args!("  {} arrived", poem.name)))
        .step_named("say_why")
        .inspect_err(|failure| put(format_args!("  {}: {failure}", poem.name)))
}

fn no_paper(_poem: String) -> Result<String, Failure> {
    Err(Failure::msg("no paper"))
}

fn show_all(results: Vec<Result<String, Failure>>) -> Result<(), Failure> {
    for (n, result) in results.iter().enumerate() {
        match result {
            Ok(poem) => tell(format_args!("  [{n}] {poem}"))?,
            Err(failure) => tell(format_args!("  [{n}] error: {failure}"))?,
        }
    }
    Ok(())
}

fn first_error(failure: Failure) -> Result<Vec<String>, Failure> {
    let cause = failure.sources().last();
    tell(format_args!("  {failure}: {}", cause.map_or_else(String::new, ToString::to_string)))?;
    Ok(Vec::new())
}

fn main() -> ExitCode {
    lesson::run("10_many", lesson)
}

fn lesson() -> Outcome {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build()?;
    let answer = ask(
        "tide stands first and comes last. Where does it stand in the list's result?",
        "First: results have the place of their member, whenever they arrive.",
    )?;

    tell("all of them, however they end:")?;
    let (tide, rain) = (watched(&event_loop, &TIDE), watched(&event_loop, &RAIN));
    let rope = watched(&event_loop, &ROPE).add_callback(no_paper);
    DeferredList::new(vec![tide, rope, rain]).start().named("all").add_callback(show_all).detach();
    clock.advance(200 * MS)?;

    tell("all values, or the first error:")?;
    let (tide, rain) = (watched(&event_loop, &TIDE), watched(&event_loop, &RAIN).add_callback(no_paper));
    gather_results(vec![tide, rain]).named("gather").add_errback(first_error).detach();
    clock.advance(200 * MS)?;

    tell("the first value, and no more of the others:")?;
    let (tide, rain) = (watched(&event_loop, &TIDE), watched(&event_loop, &RAIN));
    race(vec![tide, rain])
        .named("race")
        .step_named("show_winner")
        .add_callback(|(n, poem)| tell(format_args!("  [{n}] wins: {poem}")))
        .detach();
    clock.advance(200 * MS)?;
    Ok(answer.show()?)
}
