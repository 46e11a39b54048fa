//! Lesson 13: one machine, four notations. The same three poems are fetched four times: blocking, with callbacks, with
//! Deferreds, with async and await. Read the models in this order; each is one file beside this one.
//!
//! Each model gets the same results, and the three on the loop hear of the same sockets at the same times. What differs is
//! where the program keeps, during a wait, how far it is.
//! In the stepper: `b`, `part:` and Enter; then `c` goes to the next model, and `t` from turn to turn.
//!
//! Exercise: in `futures.rs`, put `poems.push(ropewalk::Deferred::from_result(task.await));` in the place of
//! `poems.push(task);`. How long does it take now? (225 ms, as blocking: each fetch begins when the one before is over.)

mod blocking;
mod callbacks;
mod counts;
mod deferreds;
mod futures;
#[path = "../lesson.rs"]
mod lesson;
mod poets;

use counts::{Counts, Table};
use lesson::{Outcome, ask, tell};
use ropewalk::trace;
use ropewalk::{EventLoop, Failure, TestClock};
use std::process::ExitCode;

type Results = Vec<Result<String, Failure>>;
type FetchAll = fn(EventLoop, &TestClock) -> Result<Results, Failure>;

const MODELS: [(&str, FetchAll, &str); 4] = [
    ("blocking", without_loop, include_str!("blocking.rs")),
    ("callbacks", |event_loop, _| callbacks::fetch_all(&event_loop), include_str!("callbacks.rs")),
    ("deferreds", |event_loop, _| deferreds::fetch_all(&event_loop), include_str!("deferreds.rs")),
    ("async", |event_loop, _| futures::fetch_all(&event_loop), include_str!("futures.rs")),
];

fn without_loop(event_loop: EventLoop, clock: &TestClock) -> Result<Results, Failure> {
    drop(event_loop);
    Ok(blocking::fetch_all(clock))
}

fn main() -> ExitCode {
    lesson::run("13_four_ways", lesson)
}

fn lesson() -> Outcome {
    let clock = TestClock::new();
    let mut event_loop = EventLoop::builder().clock(&clock).build()?;
    let answer = ask(
        "While a model waits for a line: where is it kept how far it is?",
        "blocking: on the thread's stack. callbacks: in what your closures share.\n  \
         deferreds: in the chain. async: in a struct that the compiler made.",
    )?;
    let mut table = Table::default();
    for (model, fetch_all, text) in MODELS {
        trace::note(format!("part: {model}"));
        tell(format_args!("{model}:"))?;
        let began = clock.now();
        for result in fetch_all(event_loop, &clock)? {
            match result {
                Ok(poem) => tell(format_args!("  {poem}"))?,
                Err(failure) => tell(format_args!("  error: {failure}"))?,
            }
        }
        let taken = clock.now() - began;
        // Once more on a loop of its own, where each event is counted.
        let (counted, counts) = trace::record_with(Counts::default(), || {
            let clock = TestClock::new();
            let event_loop = EventLoop::builder().clock(&clock).build()?;
            fetch_all(event_loop, &clock)
        });
        counted?;
        event_loop = EventLoop::builder().clock(&clock).build()?;
        table.column(model, taken.as_millis(), text, &counts);
    }
    tell(format_args!("\n{table}"))?;
    Ok(answer.show()?)
}
