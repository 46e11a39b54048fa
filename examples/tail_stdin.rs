//! Shows the lines of standard input as they come, numbered, and at the end what they were in all.
//!
//! ```text
//! seq 3 | cargo run --example tail_stdin
//! cargo run --example tail_stdin < README.md
//! ```
//!
//! Standard input can be anything. A pipe and a terminal can be watched; a regular file and `/dev/null` cannot (epoll
//! refuses them), so the loop counts them as always ready. The program need not know which it has.
//! Ctrl-C ends it early, with the sum of what came.

#[path = "support/program.rs"]
mod program;

use program::{Usage, put, say};
use ropewalk::{EventLoop, Interest};
use rustix::io::Errno;
use std::cell::RefCell;
use std::io::{self, Stdin};
use std::process::ExitCode;
use std::rc::Rc;

/// How much is read in one go, in bytes. A line that is longer is shown in pieces, so that memory stays bounded.
const CHUNK: usize = 64 * 1024;

fn main() -> ExitCode {
    env_logger::init();
    program::run("tail_stdin", |arguments| {
        if !arguments.is_empty() {
            return Err(Usage.into());
        }
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        let tail = Rc::new(RefCell::new(Tail::default()));
        let filled = tail.clone();
        let mut buffer = vec![0; CHUNK];
        event_loop.register(io::stdin(), Interest::READ, move |event_loop, stdin, _| {
            let mut tail = filled.borrow_mut();
            match read_some(stdin, &mut buffer) {
                Ok(None) => {}
                Ok(Some(0)) => event_loop.stop(),
                Ok(Some(n)) => {
                    // Written at once, and waited for: there is nothing else that this program could do meanwhile.
                    tail.failed = tail.show(&buffer[..n]).err();
                    if tail.failed.is_some() {
                        event_loop.stop();
                    }
                }
                Err(error) => {
                    tail.failed = Some(error);
                    event_loop.stop();
                }
            }
        })?;
        event_loop.run()?;

        let mut tail = tail.take();
        if let Some(error) = tail.failed.take() {
            return Err(error.into());
        }
        tail.show_rest()?;
        say(format_args!("{} lines, {} bytes", tail.lines, tail.bytes))?;
        Ok(())
    })
}

/// Reads once, past the buffer of `Stdin`: what waited in there would be seen by no loop.
fn read_some(stdin: &Stdin, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match rustix::io::read(stdin, buffer) {
        Ok(n) => Ok(Some(n)),
        Err(Errno::INTR | Errno::AGAIN) => Ok(None),
        Err(error) => {
            let error = io::Error::from(error);
            Err(io::Error::new(error.kind(), format!("cannot read standard input: {error}")))
        }
    }
}

/// What was seen so far.
#[derive(Default)]
struct Tail {
    lines: u64,
    bytes: u64,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    failed: Option<io::Error>,
}

impl Tail {
    /// Shows every line that ends in `data`.
    fn show(&mut self, data: &[u8]) -> io::Result<()> {
        self.bytes += data.len() as u64;
        let mut shown = Vec::with_capacity(data.len() * 2);
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.begun.len() >= CHUNK {
                self.number_into(&mut shown);
            }
        }
        put(&shown)
    }

    /// Shows the last line, if nothing ended it.
    fn show_rest(&mut self) -> io::Result<()> {
        let mut shown = Vec::new();
        if !self.begun.is_empty() {
            self.number_into(&mut shown);
        }
        put(&shown)
    }

    fn number_into(&mut self, shown: &mut Vec<u8>) {
        self.lines += 1;
        shown.extend_from_slice(format!("{:>6}  ", self.lines).as_bytes());
        shown.append(&mut self.begun);
        if !shown.ends_with(b"\n") {
            shown.push(b'\n');
        }
    }
}
