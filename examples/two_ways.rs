//! Both ways in one program: a server of callbacks whose handler is an `async fn`, and an async client that adds
//! callbacks to a Deferred.
//!
//! ```text
//! cargo run --example two_ways
//! ```
//!
//! The server is a `Protocol`: it is called when bytes come, which is what callbacks are good at. What it does with a
//! question takes several waits, one after the other, which is what `async` is good at. `spawn` makes a Deferred of the
//! handler; a callback on it writes the answer. A connection that is lost cancels the handlers that still work for it.
//!
//! The client is an `async fn`. It asks twice at once: `spawn` and `gather_results`. One of the answers is
//! changed by a callback, and one has an errback, before they are awaited.

#[path = "support/program.rs"]
mod program;

use program::say;
use ropewalk::bridge::{TcpStream, sleep};
use ropewalk::{CancelHandle, EventLoop, Failure, Handle, Protocol, Transport, gather_results};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// The most that one question may be, in bytes.
const LONGEST: usize = 1024;

/// The most questions of one connection that are worked at: who asks more is not read from.
const AT_ONCE: usize = 16;

/// Answers each line with a line.
struct Server {
    handle: Handle,
    line: Vec<u8>,
    working: Vec<CancelHandle>,
}

/// The handler: several waits, read from top to bottom.
async fn answer(handle: Handle, question: String) -> Result<String, Failure> {
    sleep(&handle, Duration::from_millis(2)).await?; // looks for the book
    let poem = match question.as_str() {
        "poem" => "if i were",
        other => return Err(Failure::msg(format_args!("nobody wrote about {other}"))),
    };
    let aloud = handle.defer_later(Duration::from_millis(2), move |_| Ok(poem.to_uppercase())).await?;
    Ok(aloud)
}

impl Server {
    fn asked(&mut self, transport: &Transport, question: String) {
        let handler = self.handle.spawn(answer(self.handle.clone(), question));
        self.working.push(handler.cancel_handle());
        let transport = transport.clone();
        let answered = handler.add_both(move |answer| {
            let line = match answer {
                Ok(poem) => format!("{poem}\n"),
                Err(failure) => format!("sorry: {failure}\n"),
            };
            // A peer that has gone wants no answer.
            let _ = transport.write(line.as_bytes());
            Ok(())
        });
        answered.detach();
    }
}

impl Protocol for Server {
    fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        for byte in data {
            match byte {
                b'\n' => {
                    if self.working.len() >= AT_ONCE {
                        return Err(Failure::msg("too many questions on one connection"));
                    }
                    let question = String::from_utf8(std::mem::take(&mut self.line))?;
                    self.asked(transport, question);
                }
                _ if self.line.len() >= LONGEST => return Err(Failure::msg("the question is too long")),
                byte => self.line.push(*byte),
            }
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &EventLoop, _: Failure) {
        for handler in self.working.drain(..) {
            handler.cancel();
        }
    }
}

/// Asks one question on a connection of its own.
async fn ask(handle: Handle, address: SocketAddr, question: &'static str) -> Result<String, Failure> {
    let stream = TcpStream::connect(&handle, address).await?;
    stream.write_all(format!("{question}\n").as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n") {
        let mut buffer = [0; 64];
        match stream.read(&mut buffer).await? {
            0 => return Err(Failure::msg("the server hung up")),
            n => answer.extend_from_slice(&buffer[..n]),
        }
    }
    let answer = String::from_utf8(answer)?.trim_end().to_owned();
    match answer.strip_prefix("sorry: ") {
        Some(why) => Err(Failure::msg(why)),
        None => Ok(answer),
    }
}

/// The client: awaits Deferreds that have callbacks.
async fn client(handle: Handle, address: SocketAddr) -> Result<Vec<String>, Failure> {
    let poem = handle.spawn(ask(handle.clone(), address, "poem")).map(|poem| format!("\"{poem}\""));
    let prose =
        handle.spawn(ask(handle.clone(), address, "prose")).add_errback(|failure| Ok(format!("({failure})")));
    gather_results([poem, prose]).await
}

fn main() -> ExitCode {
    env_logger::init();
    program::run("two_ways", |_| {
        let event_loop = EventLoop::new()?;
        let handle = event_loop.handle();
        let build = move |_: &EventLoop, _: &ropewalk::Address| {
            Some(Server { handle: handle.clone(), line: Vec::new(), working: Vec::new() })
        };
        let port = event_loop.listen_tcp("127.0.0.1:0", build)?;
        let address = port.address().as_tcp().ok_or("no TCP address")?;
        for line in event_loop.block_on(client(event_loop.handle(), address))? {
            say(line)?;
        }
        Ok(())
    })
}
