//! Between callbacks and `async`: a chain that is driven by a state machine, written by hand.
//!
//! ```text
//! cargo run --example state_machine
//! ```
//!
//! A story that waits in several places can be a chain of callbacks, each a function of its own. It can also be *one*
//! function that is called again after each wait, with what has come, and that knows where it was. Twisted's
//! `inlineCallbacks` (2005) made such a machine out of a Python generator: each `yield` of a Deferred was a wait. Rust's
//! `async fn` is the same machine, made by the compiler. Here it is without either: `Story` is the machine, `drive` is
//! all that `inlineCallbacks` does, and `poem` below is what a program would write today. Both do the same.

#[path = "support/program.rs"]
mod program;

use program::say;
use ropewalk::{Deferred, EventLoop, Failure, Handle};
use std::process::ExitCode;
use std::time::Duration;

/// A slow service: answers after 5 ms, and has no word for some things.
fn ask(handle: &Handle, question: &str) -> Deferred<String> {
    let question = question.to_owned();
    handle.defer_later(Duration::from_millis(5), move |_| match question.as_str() {
        "poem" => Ok("if i were".to_owned()),
        "title of if i were" => Err(Failure::msg("it has no title")),
        other => Ok(other.to_uppercase()),
    })
}

/// Where the story is, and what it knows there. The compiler makes this enum out of an `async fn`.
enum Story {
    Begin,
    /// The poem was asked for.
    AskedPoem,
    /// The title was asked for.
    AskedTitle {
        poem: String,
    },
    /// It was asked to be said aloud.
    AskedAloud {
        title: String,
    },
}

/// What a machine does next.
enum Next {
    /// Wait for this, and go on there.
    Wait(Deferred<String>, Story),
    Done(String),
}

impl Story {
    /// Goes on with what has come. An error comes in here too, and is handled where the story is.
    fn resume(self, handle: &Handle, came: Result<String, Failure>) -> Result<Next, Failure> {
        Ok(match self {
            Story::Begin => Next::Wait(ask(handle, "poem"), Story::AskedPoem),
            Story::AskedPoem => {
                let poem = came?;
                Next::Wait(ask(handle, &format!("title of {poem}")), Story::AskedTitle { poem })
            }
            Story::AskedTitle { poem } => {
                let title = came.unwrap_or_else(|failure| format!("untitled, {failure}"));
                Next::Wait(ask(handle, &poem), Story::AskedAloud { title })
            }
            Story::AskedAloud { title } => Next::Done(format!("{} ({title})", came?)),
        })
    }
}

/// Drives a machine to its end: after each wait it is called again. A step that gives back a Deferred waits for it, so
/// the whole is one chain, and cancelling its end cancels what the machine waits for.
fn drive(machine: Story, handle: Handle, came: Result<String, Failure>) -> Deferred<String> {
    match machine.resume(&handle, came) {
        Ok(Next::Done(text)) => Deferred::succeed(text),
        Ok(Next::Wait(deferred, machine)) => deferred.add_both(move |came| drive(machine, handle, came)),
        Err(failure) => Deferred::fail(failure),
    }
}

/// The same story, and the compiler writes the machine.
async fn poem(handle: Handle) -> Result<String, Failure> {
    let poem = ask(&handle, "poem").await?;
    let title = ask(&handle, &format!("title of {poem}")).await;
    let title = title.unwrap_or_else(|failure| format!("untitled, {failure}"));
    let aloud = ask(&handle, &poem).await?;
    Ok(format!("{aloud} ({title})"))
}

fn main() -> ExitCode {
    env_logger::init();
    program::run("state_machine", |_| {
        let event_loop = EventLoop::new()?;
        let by_hand = event_loop.run_until(drive(Story::Begin, event_loop.handle(), Ok(String::new())))?;
        say(format_args!("by hand:         {by_hand}"))?;
        let compiled = event_loop.run_until(event_loop.spawn(poem(event_loop.handle())))?;
        say(format_args!("by the compiler: {compiled}"))?;

        // Both are machines that stand somewhere: one can look how large they are while they wait.
        let sizes = (size_of::<Story>(), size_of_val(&poem(event_loop.handle())));
        say(format_args!("the enum has {} bytes, the compiler's machine {}", sizes.0, sizes.1))?;
        Ok(())
    })
}
