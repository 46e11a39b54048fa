//! What the lessons share: their start, lines that the trace hears too, a question with its answer, and slow poems.

#[path = "../support/program.rs"]
mod program;

pub(crate) use program::Outcome;

use ropewalk::{Deferred, EventLoop, Failure, trace};
use std::cell::Cell;
use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

#[allow(dead_code)] // Not every lesson needs all that stands here.
pub(crate) const MS: Duration = Duration::from_millis(1);

/// A poem of three short lines, which fits into a drawing. Its server is slow: each line takes `every`.
#[derive(Debug)]
pub(crate) struct Poem {
    pub(crate) name: &'static str,
    pub(crate) every: Duration,
    pub(crate) lines: [&'static str; 3],
}

#[allow(dead_code)]
pub(crate) const RAIN: Poem =
    Poem { name: "rain", every: Duration::from_millis(10), lines: ["rain comes,", "stays,", "goes"] };
#[allow(dead_code)]
pub(crate) const ROPE: Poem =
    Poem { name: "rope", every: Duration::from_millis(25), lines: ["grass,", "more grass,", "rope"] };
#[allow(dead_code)]
pub(crate) const TIDE: Poem =
    Poem { name: "tide", every: Duration::from_millis(40), lines: ["sea in,", "a pause,", "sea out"] };

/// Runs a lesson, which takes no arguments.
pub(crate) fn run(name: &'static str, lesson: fn() -> Outcome) -> ExitCode {
    program::run(name, |arguments| {
        if !arguments.is_empty() {
            return Err(program::Usage.into());
        }
        lesson()?;
        OUTPUT_IS_GONE.take().map_or(Ok(()), |failure| Err(failure.into()))
    })
}

/// Prints a line, and tells the trace.
#[track_caller]
pub(crate) fn tell(line: impl Display) -> Result<(), Failure> {
    trace::out(format!("{line}\n"), trace::Stream::Stdout);
    program::say(line).map_err(Failure::from)
}

/// The answer to a question, which the reader is to think about first.
#[must_use = "the answer is for the end of the lesson"]
pub(crate) struct Answer(&'static str);

/// Asks the reader. The trace has the answer too: a stepper shows it on request.
#[track_caller]
pub(crate) fn ask(question: &'static str, answer: &'static str) -> Result<Answer, Failure> {
    let line = |text: &str| text.replace("\n  ", " ");
    trace::ask(line(question), line(answer));
    tell(format_args!("? {question}\n"))?;
    Ok(Answer(answer))
}

impl Answer {
    #[track_caller]
    pub(crate) fn show(self) -> Result<(), Failure> {
        tell(format_args!("\n! {}", self.0))
    }
}

/// The whole poem, when its last line has come.
#[allow(dead_code)]
#[track_caller]
pub(crate) fn get_poem(event_loop: &EventLoop, poem: &'static Poem) -> Deferred<String> {
    let (resolver, text) = Deferred::new();
    event_loop.call_later(3 * poem.every, move |_| resolver.succeed(poem.lines.join(" "))).named(poem.name);
    text.named(poem.name)
}

thread_local! {
    static OUTPUT_IS_GONE: Cell<Option<Failure>> = const { Cell::new(None) };
}

/// As [`tell`], for a callback of the loop: an error has nowhere to go there, so it is kept for the program's end.
#[allow(dead_code)]
#[track_caller]
pub(crate) fn put(line: impl Display) {
    if let Err(failure) = tell(line) {
        OUTPUT_IS_GONE.set(Some(failure));
    }
}
