//! Lesson 01: waiting is the program. Three poems are fetched with the plain sockets of the standard library, one after
//! another.
//!
//! `read_line` holds the program until there is something to read. The text says what happens, in order, and that is the
//! good side of it. But while one server is slow, nobody else is served: the times add up.
//! There is no loop yet, and so no turns: a stepper shows what the program notes and prints, and how long it waited.
//!
//! Exercise: fetch them in the order tide, rope, rain. Is it sooner over? (No: a sum has no order.)

mod lesson;

use lesson::{Outcome, Poem, RAIN, ROPE, TIDE, ask, tell};
use ropewalk::trace;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// A server for one poem, which waits before each line.
fn serve(poem: &'static Poem) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || -> std::io::Result<()> {
        let (mut client, _) = listener.accept()?;
        for line in poem.lines {
            thread::sleep(poem.every);
            writeln!(client, "{line}")?;
        }
        Ok(())
    });
    Ok(address)
}

/// Reads to the end. This is where the program waits: here, and nowhere else.
fn fetch(server: SocketAddr) -> std::io::Result<String> {
    let mut server = BufReader::new(TcpStream::connect(server)?);
    let mut poem = String::new();
    while server.read_line(&mut poem)? > 0 {}
    Ok(poem.trim_end().replace('\n', " "))
}

fn main() -> ExitCode {
    lesson::run("01_blocking", lesson)
}

fn lesson() -> Outcome {
    // A loop would do it: whoever steps through this program, or records it, hears of it from here on.
    ropewalk::study::env::init();
    let answer = ask(
        "One server takes 30 ms, one 75 and one 120. How long do all three take?",
        "225 ms: each wait begins when the one before is over.",
    )?;
    let began = Instant::now();
    for poem in [&RAIN, &ROPE, &TIDE] {
        trace::note(format!("part: {}", poem.name));
        let text = fetch(serve(poem)?)?;
        tell(format_args!("{}, {} ms: {text}", poem.name, (3 * poem.every).as_millis()))?;
    }
    let sum: Duration = [RAIN, ROPE, TIDE].iter().map(|poem| 3 * poem.every).sum();
    tell(format_args!("as long as {} ms, or longer: {}", sum.as_millis(), began.elapsed() >= sum))?;
    Ok(answer.show()?)
}
