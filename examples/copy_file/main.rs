//! Copies a file in chunks, and shows with a timer whether the loop could do anything else meanwhile.
//!
//! ```text
//! cargo run --example copy_file -- big copy --model blocking       (the timer stands still)
//! cargo run --example copy_file -- big copy --model callbacks
//! cargo run --example copy_file -- big copy --model deferreds
//! ```
//!
//! Each model holds one chunk in memory. The copy is written beside its place and gets its name when it is whole:
//! after an error, or Ctrl-C, no part of it is left. Read `blocking.rs`, `callbacks.rs`, `deferreds.rs` in this order.

mod blocking;
mod callbacks;
mod deferreds;
mod job;

#[path = "../support/program.rs"]
mod program;

use job::Job;
use program::Usage;
use ropewalk::{Deferred, EventLoop, RunError};
use std::cell::Cell;
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

/// How often the timer ticks.
const TICK: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    env_logger::init();
    program::run("copy_file FROM TO --model blocking|callbacks|deferreds", |arguments| {
        let [from, to, flag, model] = arguments else { return Err(Usage.into()) };
        let copy = match (flag.as_str(), model.as_str()) {
            ("--model", "blocking") => with_blocking,
            ("--model", "callbacks") => with_callbacks,
            ("--model", "deferreds") => deferreds::copy,
            _ => return Err(Usage.into()),
        };
        let job = Job::new(from, to)?;
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        let ticks = Rc::new(Ticks::default());
        tick(&event_loop, ticks.clone());

        let copied = event_loop.run_until(copy(&event_loop, job.clone()));
        let time = event_loop.time();
        // With the loop its worker threads end, so nobody writes any more when the rest is cleaned up.
        drop(event_loop);
        if copied.is_err() {
            job.clean_up();
        }
        ticks.note(time);
        let count = ticks.count.get() - 1;
        let bytes = copied.map_err(|failure| match failure.check::<RunError>() {
            Some(RunError::Stopped) => "stopped by a signal: no part of the copy is left".into(),
            _ => Box::<dyn Error>::from(failure),
        })?;
        // On standard error, and nobody minds if that is gone.
        let _ = writeln!(
            std::io::stderr(),
            "copied {bytes} bytes in {time:.1?}; meanwhile the timer ticked {count} times, with {:.1?} between two at \
             most",
            ticks.longest.get()
        );
        Ok(())
    })
}

/// The blocking model, as one callback of the loop: while it runs the loop can do nothing else.
fn with_blocking(event_loop: &EventLoop, job: Job) -> Deferred<u64> {
    let (resolver, copied) = Deferred::new();
    event_loop.call_soon(move |_| resolver.fire(blocking::copy(&job).map_err(Into::into)));
    copied
}

fn with_callbacks(event_loop: &EventLoop, job: Job) -> Deferred<u64> {
    let (resolver, copied) = Deferred::new();
    callbacks::copy(event_loop, job, move |_, result| resolver.fire(result));
    copied
}

/// What the timer saw.
#[derive(Default)]
struct Ticks {
    count: Cell<u64>,
    last: Cell<Duration>,
    longest: Cell<Duration>,
}

impl Ticks {
    fn note(&self, now: Duration) {
        self.count.set(self.count.get() + 1);
        self.longest.set(self.longest.get().max(now - self.last.get()));
        self.last.set(now);
    }
}

fn tick(event_loop: &EventLoop, ticks: Rc<Ticks>) {
    event_loop.call_later(TICK, move |event_loop| {
        ticks.note(event_loop.time());
        tick(event_loop, ticks);
    });
}
