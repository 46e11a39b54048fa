//! The other side of the sockets: three slow servers, on the lesson's clock. The one of `rope` breaks after two lines.

use super::lesson::{Poem, RAIN, ROPE, TIDE};
use ropewalk::{EventLoop, Failure, TestClock, trace};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

/// The poems that each model fetches.
pub(crate) const POEMS: [&Poem; 3] = [&RAIN, &ROPE, &TIDE];

/// What a server says as its line number `line`. `None`: nothing, it hangs up instead.
fn say(poem: &'static Poem, line: usize) -> Option<&'static str> {
    if poem.name == "rope" && line == 2 { None } else { poem.lines.get(line).copied() }
}

/// What was read until the server hung up, as a poem.
pub(crate) fn whole(poem: &Poem, bytes: &[u8]) -> Result<String, Failure> {
    let lines: Vec<&str> = std::str::from_utf8(bytes)?.lines().collect();
    if lines.len() < 3 {
        return Err(Failure::msg(format_args!("{} broke off after {} lines", poem.name, lines.len())));
    }
    Ok(lines.join(" "))
}

/// A connection to a server whose lines come as timers of the same loop.
pub(crate) fn connect(event_loop: &EventLoop, poem: &'static Poem) -> io::Result<UnixStream> {
    let (theirs, ours) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    next_line(event_loop, poem, theirs, 0);
    Ok(ours)
}

fn next_line(event_loop: &EventLoop, poem: &'static Poem, mut client: UnixStream, line: usize) {
    let serve = move |event_loop: &EventLoop| {
        let said = say(poem, line).is_some_and(|text| writeln!(client, "{text}").is_ok());
        // Else it hangs up: `client` goes away here.
        if said && line + 1 < poem.lines.len() {
            next_line(event_loop, poem, client, line + 1);
        }
    };
    event_loop.call_later(poem.every, serve).named(&format!("server of {}", poem.name));
}

/// The same server for the model that waits. A read of a socket holds the program until there is something to read, and so
/// does this one: the lesson's clock goes on by that time, and nothing else happens.
pub(crate) struct Blocking {
    clock: TestClock,
    poem: &'static Poem,
    line: usize,
}

impl Blocking {
    pub(crate) fn connect(clock: &TestClock, poem: &'static Poem) -> Blocking {
        Blocking { clock: clock.clone(), poem, line: 0 }
    }
}

impl Read for Blocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.line == self.poem.lines.len() {
            return Ok(0);
        }
        trace::note(format!("{}: read holds the program for {} ms", self.poem.name, self.poem.every.as_millis()));
        self.clock.jump_by(self.poem.every).map_err(io::Error::other)?;
        let line = say(self.poem, self.line).map_or_else(String::new, |text| format!("{text}\n"));
        self.line += 1;
        line.as_bytes().read(buffer) // a line is shorter than any buffer here
    }
}
