//! Lesson 05: raw callbacks. State is kept by hand, and errors are handed on by hand.
//!
//! Each poem wants three closures: `on_line`, `on_done`, `on_error`. They share what has come so far. What one of them
//! raises has nowhere to go: it was called by the loop, and not by whoever wanted the poem. Lesson 06 mends that.
//! In the stepper: `n` to a callback, then `w`: what woke it, and who had asked for it? Those are different places.
//!
//! Exercise: give `broken_at` of ROPE the value 9. Which line of the output goes, and what comes?
//! (The line of on_error goes. The third line of rope comes, then its on_done; at the end three poems are not saved.)

mod lesson;

use lesson::{MS, Outcome, Poem, RAIN, ROPE, TIDE, ask, put};
use ropewalk::{EventLoop, Failure, TestClock};
use std::{cell::RefCell, process::ExitCode, rc::Rc};

struct Fetch {
    poem: &'static Poem,
    line: usize,
    broken_at: usize,
    on_line: Box<dyn FnMut(&'static str)>,
    on_done: Box<dyn FnOnce()>,
    on_error: Box<dyn FnOnce(Failure)>,
}

/// Waits for the next line, calls back, and begins again.
fn next_line(event_loop: &EventLoop, mut fetch: Fetch) {
    let Poem { name, every, .. } = fetch.poem;
    let came = move |event_loop: &EventLoop| {
        if fetch.line == fetch.broken_at {
            return (fetch.on_error)(Failure::msg("connection lost"));
        }
        match fetch.poem.lines.get(fetch.line) {
            None => (fetch.on_done)(),
            Some(line) => {
                (fetch.on_line)(line);
                fetch.line += 1;
                next_line(event_loop, fetch);
            }
        }
    };
    event_loop.call_later(*every, came).named(name);
}

/// Part of the job, and it can fail.
fn save(poems: &[String]) -> Result<(), Failure> {
    Err(Failure::msg(format_args!("the disk is full, {} poems are not saved", poems.len())))
}

fn main() -> ExitCode {
    lesson::run("05_callbacks", lesson)
}

fn lesson() -> Outcome {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build()?;
    let answer = ask(
        "The last on_done calls save, which fails. Where could this error go?",
        "Nowhere: its caller is the loop, which does not know who wanted the poems.",
    )?;
    // What three closures of three poems share: the state, by hand.
    let poems = Rc::new(RefCell::new((Vec::new(), 3)));
    for (poem, broken_at) in [(&RAIN, 9), (&ROPE, 2), (&TIDE, 9)] {
        let text = Rc::new(RefCell::new(String::new()));
        let (lines, whole, all, left) = (text.clone(), text, poems.clone(), poems.clone());
        let one_less = move || {
            left.borrow_mut().1 -= 1;
            if let (poems, 0) = &*left.borrow()
                && let Err(failure) = save(poems)
            {
                put(format_args!("  and now? {failure}"));
            }
        };
        let either = Rc::new(one_less);
        let or = either.clone();
        let on_line = Box::new(move |line: &'static str| {
            put(format_args!("{}: {line}", poem.name));
            *lines.borrow_mut() += line;
        });
        let on_done = Box::new(move || {
            put(format_args!("{}: on_done", poem.name));
            all.borrow_mut().0.push(whole.take());
            either();
        });
        let on_error = Box::new(move |failure| {
            put(format_args!("{}: on_error, {failure}", poem.name));
            or();
        });
        next_line(&event_loop, Fetch { poem, line: 0, broken_at, on_line, on_done, on_error });
    }
    clock.advance(200 * MS)?;
    Ok(answer.show()?)
}
