//! Lesson 03: order is by turn and phase, not by text. Callbacks run when the loop comes to them.
//!
//! The five calls stand here in just the opposite order of that in which their callbacks run. A turn of this loop first
//! takes what `call_soon` queued, then what other threads posted. Then it waits, and takes the ready sources and the
//! timers that are due.
//! In the stepper: `n` goes from one callback to the next, and `g` to the line that asked for it.
//!
//! Exercise: arm "timer 5" with `Duration::ZERO`, as "timer 0". Which of the two is first?
//! ("timer 5": timers that are due at the same time run in the order in which they were armed.)

mod lesson;

use lesson::{MS, Outcome, ask, put};
use ropewalk::{EventLoop, Interest, TestClock};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    lesson::run("03_order", lesson)
}

fn lesson() -> Outcome {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build()?;
    let answer = ask(
        "The text says: timer 5, timer 0, pipe, posted, soon, now.\n  Write down the order in which they run.",
        "now, soon, posted, pipe, timer 0, timer 5: a turn goes through its phases.",
    )?;

    let timer = |event_loop: &EventLoop| {
        put("timer 5");
        event_loop.stop();
    };
    event_loop.call_later(5 * MS, timer).named("timer 5");
    event_loop.call_later(Duration::ZERO, |_| put("timer 0")).named("timer 0");

    let (mut theirs, ours) = UnixStream::pair()?;
    theirs.write_all(b"!")?;
    let pipe = event_loop.register(ours, Interest::READ, |_, mut ours, _| {
        let mut byte = [0];
        // The byte is there, else this would not have been called.
        if ours.read(&mut byte).is_ok() {
            put("the pipe is ready");
        }
    })?;
    event_loop.name_source(pipe, "pipe")?;

    // From this thread, for once; another thread would do it just so.
    event_loop.remote().post(|_: &EventLoop| put("posted"))?;
    event_loop.call_soon(|_| put("soon"));
    put("now");

    event_loop.run()?;
    Ok(answer.show()?)
}
