//! Finger (RFC 1288): who is that? A server over a text file, and a client.
//!
//! ```text
//! printf 'alice:Alice Liddell:Following a rabbit.\n' > people
//! cargo run --example finger -- 7000 people            (and in another terminal:)
//! cargo run --example finger -- alice@127.0.0.1:7000   (or: echo alice | nc 127.0.0.1 7000)
//! ```
//!
//! `directory.rs` is questions and answers, and knows no loop; `server.rs` and `client.rs` are protocols, and know no
//! socket. So their tests (`tests/finger.rs`) need neither sockets nor files nor time. Listens on 127.0.0.1 (port 0: any
//! free port, see the `ready` line), and ends on Ctrl-C or SIGTERM.

mod client;
mod directory;
#[path = "../support/program.rs"]
mod program;
mod server;

use program::{Outcome, Usage, put, say};
use ropewalk::{Deferred, EventLoop, Failure, ListenTcp, Target, fs};
use server::Finger;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

/// How many may ask at a time. Each costs a buffer, and a job of the worker pool.
const ASKERS: usize = 200;

/// The largest directory, in bytes: it is read whole for each question.
const DIRECTORY: u64 = 1 << 20;

/// How long the client waits for an answer.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The port of finger, RFC 1288 2.1.
const PORT: u16 = 79;

fn main() -> ExitCode {
    env_logger::init();
    program::run("finger PORT FILE, or finger [USER]@HOST[:PORT]", |arguments| match arguments {
        [port, file] => serve(port.parse().map_err(|_| Usage)?, file.into()),
        [question] => ask(question.rsplit_once('@').ok_or(Usage)?),
        _ => Err(Usage.into()),
    })
}

fn serve(port: u16, file: PathBuf) -> Outcome {
    let event_loop = EventLoop::new()?;
    event_loop.stop_on_signals()?;
    // A directory that cannot be read is to be found out now.
    event_loop.run_until(read(&event_loop, &file))?;
    let people = Rc::new(move |event_loop: &EventLoop| read(event_loop, &file));
    let port = ListenTcp::new(("127.0.0.1", port))
        .max_connections(ASKERS)
        .listen(&event_loop, move |_, _| Some(Finger::receiver(people.clone())))?;
    say(format_args!("ready {}", port.address().port()))?;
    event_loop.run()?;
    Ok(())
}

/// Reads the directory, without keeping the loop from its other connections.
fn read(event_loop: &EventLoop, file: &Path) -> Deferred<String> {
    let (handle, path) = (event_loop.handle(), file.to_owned());
    let text = fs::stat(event_loop, file).add_callback(move |about| {
        if !about.is_file() || about.len() > DIRECTORY {
            let why = format!("{} is no file of at most {DIRECTORY} bytes", path.display());
            return Deferred::fail(Failure::msg(why));
        }
        handle.with_deferred(|event_loop| fs::read_to_string(event_loop, path))
    });
    text.named("directory")
}

fn ask((user, host): (&str, &str)) -> Outcome {
    let target = match host.strip_suffix(']').is_none() && host.contains(':') {
        true => Target::from(host),
        false => Target::from((host, PORT)),
    };
    let event_loop = EventLoop::new()?;
    let answer = client::ask(user, |protocol| event_loop.connect_tcp(target, protocol));
    let answer = event_loop.run_until(answer.add_timeout(ANSWER_TIME, &event_loop))?;
    Ok(put(answer.as_bytes())?)
}
