//! The callback model: each step is a function that starts one operation and names the step behind it.
//!
//! ```text
//! copy -> open_target -> read_chunk <-> write_chunk
//!                             |
//!                             +-> rename -> done
//! ```
//!
//! What all steps need travels with them in `Copy`, and each step hands its error on by itself.

use super::job::{CHUNK, Job};
use ropewalk::fs::{self, File};
use ropewalk::{Deferred, EventLoop, Failure};

type Done = Box<dyn FnOnce(&EventLoop, Result<u64, Failure>)>;

/// Copies the file, and calls `done` with the number of its bytes, or with what went wrong, once.
pub(crate) fn copy(
    event_loop: &EventLoop,
    job: Job,
    done: impl FnOnce(&EventLoop, Result<u64, Failure>) + 'static,
) {
    let from = fs::open(event_loop, &job.from, job.reading());
    call_back(event_loop, from, move |event_loop, from| match from {
        Ok(from) => open_target(event_loop, job, from, Box::new(done)),
        Err(failure) => done(event_loop, Err(failure)),
    });
}

fn open_target(event_loop: &EventLoop, job: Job, from: File, done: Done) {
    let to = fs::open(event_loop, job.target(), job.writing());
    call_back(event_loop, to, move |event_loop, to| match to {
        Ok(to) => read_chunk(event_loop, Copy { job, from, to, bytes: 0, done }),
        Err(failure) => done(event_loop, Err(failure)),
    });
}

struct Copy {
    job: Job,
    from: File,
    to: File,
    bytes: u64,
    done: Done,
}

fn read_chunk(event_loop: &EventLoop, copy: Copy) {
    let chunk = copy.from.read(event_loop, CHUNK);
    call_back(event_loop, chunk, move |event_loop, chunk| match chunk {
        Ok(chunk) if chunk.is_empty() => rename(event_loop, copy),
        Ok(chunk) => write_chunk(event_loop, copy, chunk),
        Err(failure) => (copy.done)(event_loop, Err(failure)),
    });
}

fn write_chunk(event_loop: &EventLoop, mut copy: Copy, chunk: Vec<u8>) {
    copy.bytes += chunk.len() as u64;
    let written = copy.to.write(event_loop, chunk);
    call_back(event_loop, written, move |event_loop, written| match written {
        Ok(()) => read_chunk(event_loop, copy),
        Err(failure) => (copy.done)(event_loop, Err(failure)),
    });
}

fn rename(event_loop: &EventLoop, copy: Copy) {
    if !copy.job.is_part() {
        return (copy.done)(event_loop, Ok(copy.bytes));
    }
    let renamed = fs::rename(event_loop, copy.job.target(), &copy.job.to);
    call_back(event_loop, renamed, move |event_loop, renamed| {
        (copy.done)(event_loop, renamed.map(|()| copy.bytes));
    });
}

/// Makes a plain callback of a Deferred: called once, with either result.
fn call_back<T>(
    event_loop: &EventLoop,
    work: Deferred<T>,
    callback: impl FnOnce(&EventLoop, Result<T, Failure>) + 'static,
) {
    let handle = event_loop.handle();
    work.add_both(move |result| {
        // Where the loop is gone nobody waits for the copy any more.
        let _ = handle.with(|event_loop| callback(event_loop, result));
        Ok(())
    })
    .detach();
}
