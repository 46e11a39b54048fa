//! Lesson 02: a loop is "wait, then call". First by hand: `poll(2)` and a table of callbacks. Then the same with
//! `EventLoop`, which has that table inside.
//!
//! A callback does not stay on the stack while it waits. It lies in the table, and the loop calls it.
//! In the stepper (it sees the second half): `t` goes from turn to turn; each is a wait, and then calls.
//!
//! Exercise: hand `[rope, rain]` to `with_the_library` instead of `[rain, rope]`. Does the program still end?
//! (Yes. Both are ready, and the one that was registered first is called first. But who is not ready is not called.)

mod lesson;

use lesson::{Outcome, ask, put, tell};
use ropewalk::{EventLoop, Interest, TestClock};
use rustix::event::{PollFd, PollFlags, poll};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::{cell::Cell, process::ExitCode, rc::Rc};

type OnRead = Box<dyn FnMut(&[u8])>;

/// Two poets have written a line and hung up.
fn poets() -> std::io::Result<[(UnixStream, OnRead); 2]> {
    let poet = |line: &'static str| -> std::io::Result<_> {
        let (mut theirs, ours) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.write_all(line.as_bytes())?;
        let on_read = |bytes: &[u8]| put(format_args!("  on_read got \"{}\"", bytes.escape_ascii()));
        Ok((ours, Box::new(on_read) as OnRead))
    };
    Ok([poet("rain comes")?, poet("grass, more grass")?])
}

fn by_hand(poets: [(UnixStream, OnRead); 2]) -> Outcome {
    let mut table = Vec::from(poets);
    while !table.is_empty() {
        // Wait: which of these is ready?
        let mut asked: Vec<_> = table.iter().map(|(poet, _)| PollFd::new(poet, PollFlags::IN)).collect();
        poll(&mut asked, None)?;
        let ready: Vec<_> = asked.iter().map(|asked| !asked.revents().is_empty()).collect();
        // Call: those who are.
        for n in (0..table.len()).rev().filter(|n| ready[*n]) {
            let (poet, on_read) = &mut table[n];
            let mut bytes = [0; 64];
            match poet.read(&mut bytes)? {
                0 => drop(table.remove(n)),
                read => on_read(&bytes[..read]),
            }
        }
    }
    Ok(())
}

fn with_the_library(event_loop: &EventLoop, poets: [(UnixStream, OnRead); 2]) -> Outcome {
    let left = Rc::new(Cell::new(poets.len()));
    for (poet, mut on_read) in poets {
        let (id, left) = (Rc::new(Cell::new(None)), left.clone());
        let own_id = id.clone();
        let ready = move |event_loop: &EventLoop, mut poet: &UnixStream, _| {
            let mut bytes = [0; 64];
            match poet.read(&mut bytes) {
                Ok(read) if read > 0 => return on_read(&bytes[..read]),
                _ => drop(own_id.take().map(|id| event_loop.remove(id))),
            }
            left.set(left.get() - 1);
            if left.get() == 0 {
                event_loop.stop();
            }
        };
        id.set(Some(event_loop.register(poet, Interest::READ, ready)?));
    }
    Ok(event_loop.run()?)
}

fn main() -> ExitCode {
    lesson::run("02_by_hand", lesson)
}

fn lesson() -> Outcome {
    let event_loop = EventLoop::builder().clock(&TestClock::new()).build()?;
    let answer = ask(
        "Nobody in this program says \"now read\". Who calls on_read?",
        "The loop, after a wait that said which socket is ready.",
    )?;
    tell("by hand: poll(2), and a table")?;
    by_hand(poets()?)?;
    tell("with EventLoop:")?;
    let [rain, rope] = poets()?;
    with_the_library(&event_loop, [rain, rope])?;
    Ok(answer.show()?)
}
