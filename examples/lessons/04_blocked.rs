//! Lesson 04: a callback owns the loop. This program is BROKEN ON PURPOSE: one of its callbacks sleeps.
//!
//! While a callback runs, nothing else runs: no timer, no socket. So a callback must not wait. Twisted's rule is the same;
//! `defer_to_thread` (lesson 12) and `call_later` are the ways out.
//! This lesson has the real clock, so its traces differ in their times.
//! In the stepper: `b`, `timer.fire` and Enter; then `c` goes from timer to timer, and `w` says what held it up.
//!
//! Exercise: mend it by one line. Put `event_loop.call_later(300 * MS, |_| {});` in the place of `thread::sleep(300 * MS);`.
//! Which timers are late now? (None: the loop waits, and not the callback.)

mod lesson;

use lesson::{MS, Outcome, ask, put};
use ropewalk::EventLoop;
use std::process::ExitCode;
use std::thread;

fn main() -> ExitCode {
    lesson::run("04_blocked", lesson)
}

fn lesson() -> Outcome {
    let event_loop = EventLoop::new()?;
    let answer = ask(
        "Timers are due at 5, 20, 40 and 60 ms. At 10 ms a callback sleeps for 300 ms.\n  Which timers are late?",
        "20, 40 and 60: they became due while the callback had the loop.",
    )?;

    for due in [5, 20, 40, 60] {
        let timer = move |event_loop: &EventLoop| {
            // The sleeper is done at 310, at the earliest.
            let late = if event_loop.time() >= 310 * MS { "late" } else { "in time" };
            put(format_args!("timer of {due} ms: {late}"));
            if due == 60 {
                event_loop.stop();
            }
        };
        event_loop.call_later(due * MS, timer).named(&format!("{due} ms"));
    }
    let sleeper = |event_loop: &EventLoop| {
        let began = event_loop.time();
        put("a callback sleeps ..");
        thread::sleep(300 * MS);
        put(format_args!(".. and is done 300 ms later: {}", event_loop.time() - began >= 300 * MS));
    };
    event_loop.call_later(10 * MS, sleeper).named("sleeper");

    event_loop.run()?;
    Ok(answer.show()?)
}
