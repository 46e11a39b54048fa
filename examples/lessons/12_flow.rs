//! Lesson 12: push back, and join. A fast reader is stopped while a slow writer is full. Files and threads come back to
//! the same loop.
//!
//! The proxy of part 1 reads from `fast` (i2 in a trace) and writes to `slow` (i1), whose peer has room for 10 bytes.
//! Memory stands for the network, so it goes the same way each time. `register_producer` is all of the flow control.
//! In the stepper: `b work.done`, Enter and `c`, then `w`: a job of another thread, and the call that brought its result.
//!
//! Exercise: set the water marks to (100, 0). After which line is the reader stopped now?
//! (After none: all fit, and memory holds them. A mark is how much memory you give to one slow peer.)

mod lesson;

use lesson::{Outcome, RAIN, ROPE, ask, put, tell};
use ropewalk::testing::{MemoryLoop, StringTransport};
use ropewalk::{EventLoop, Failure, Protocol, Streaming, Transport, fs};
use std::{process::ExitCode, thread};

struct Slow;

impl Protocol for Slow {}

/// Hands on to the slow one what comes from the fast one.
struct Fast(Transport);

impl Protocol for Fast {
    fn data_received(&mut self, _: &EventLoop, _: &Transport, data: &[u8]) -> Result<(), Failure> {
        put(format_args!("  the proxy hands on \"{}\"", data.escape_ascii()));
        self.0.write(data)?;
        Ok(())
    }
}

fn show(fast: &StringTransport, slow: &StringTransport) -> Result<(), Failure> {
    tell(format_args!("    {:?}, {} bytes wait", fast.producer_state(), slow.transport().buffered()))
}

fn main() -> ExitCode {
    lesson::run("12_flow", lesson)
}

fn lesson() -> Outcome {
    let event_loop = MemoryLoop::new()?;
    let answer = ask(
        "The fast peer sends on and on, the slow one has room for 10 bytes.\n  Who stops the reader?",
        "The writer: above its high-water mark it tells its producer to pause,\n  and that is the reader.",
    )?;

    tell("1. a fast reader, a slow writer")?;
    let slow = event_loop.connected(Slow);
    slow.set_room(Some(10));
    slow.transport().set_water_marks(12, 0);
    let fast = event_loop.connected(Fast(slow.transport()));
    slow.transport().register_producer(&event_loop, fast.transport(), Streaming::Push)?;
    for line in ROPE.lines.iter().chain(&RAIN.lines) {
        tell(format_args!("  fast sends \"{line}\""))?;
        fast.send(line);
        show(&fast, &slow)?;
    }
    while slow.transport().buffered() > 0 {
        tell("  the slow peer reads what it has")?;
        slow.clear();
        show(&fast, &slow)?;
    }

    tell("2. a file, read by a thread of the worker pool")?;
    let this_file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/lessons/12_flow.rs");
    let first_line = fs::read_to_string(&event_loop, this_file)
        .named("file")
        .step_named("first_line")
        .map(|text| text.chars().take_while(|c| *c != ':').collect::<String>());
    event_loop.wait_for_post(); // so the trace is the same each time
    tell(format_args!("  it begins with \"{}\"", event_loop.run_until(first_line)?))?;

    tell("3. a result from a thread of your own")?;
    let (resolver, sum) = event_loop.remote_deferred();
    let thread = thread::spawn(move || resolver.succeed(RAIN.lines.len() + ROPE.lines.len()));
    thread.join().map_err(|_| Failure::msg("the thread panicked"))?;
    tell(format_args!("  {} lines", event_loop.run_until(sum.named("from a thread"))?))?;
    Ok(answer.show()?)
}
