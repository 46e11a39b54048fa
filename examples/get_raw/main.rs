//! Gets a page over a raw socket and prints the reply as it came, in the model that you choose.
//!
//! ```text
//! python3 -m http.server --bind 127.0.0.1 8000
//! cargo run --example get_raw -- 127.0.0.1 8000 / --model blocking
//! cargo run --example get_raw -- 127.0.0.1 8000 / --model callbacks
//! cargo run --example get_raw -- 127.0.0.1 8000 / --model deferreds
//! ```
//!
//! Each model does the same: connect, send a request written by hand, read to the end. Read them in this order:
//! `blocking.rs`, `callbacks.rs`, `deferreds.rs`. What they share is in
//! `request.rs`; `socket.rs` gives the Deferred model its sockets.

mod blocking;
mod callbacks;
mod deferreds;
mod request;
mod socket;

#[path = "../support/program.rs"]
mod program;

use program::{Outcome, Usage};
use request::{GetError, Request};
use ropewalk::EventLoop;
use std::cell::Cell;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;

fn main() -> ExitCode {
    env_logger::init();
    program::run("get_raw HOST PORT PATH --model blocking|callbacks|deferreds", |arguments| {
        let [host, port, path, flag, model] = arguments else { return Err(Usage.into()) };
        let port: u16 = port.parse().map_err(|_| Usage)?;
        let get = match (flag.as_str(), model.as_str()) {
            ("--model", "blocking") => blocking::get,
            ("--model", "callbacks") => with_callbacks,
            ("--model", "deferreds") => with_deferreds,
            _ => return Err(Usage.into()),
        };
        get_from(host, port, path, get)
    })
}

type Get = fn(SocketAddr, Request) -> Result<Vec<u8>, GetError>;

/// Tries the addresses of `host` one after the other until one takes the connection: `localhost` may be two.
fn get_from(host: &str, port: u16, path: &str, get: Get) -> Outcome {
    let mut refused = None;
    // Looking up a name waits. Nothing else goes on yet, so it may.
    for address in request::look_up(host, port)? {
        match get(address, Request::new(host, port, path)?) {
            Ok(reply) => return Ok(program::put(&reply)?),
            Err(error) if error.phase() == "connect to" => refused = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    Err(refused.map_or_else(|| format!("{host} has no address").into(), Into::into))
}

fn with_callbacks(address: SocketAddr, request: Request) -> Result<Vec<u8>, GetError> {
    let event_loop = EventLoop::new().map_err(GetError::in_phase("start the loop for", address))?;
    let result = Rc::new(Cell::new(None));
    let slot = result.clone();
    callbacks::get(&event_loop, address, request, move |event_loop, result| {
        slot.set(Some(result));
        event_loop.stop();
    });
    event_loop.run().map_err(GetError::in_phase("wait for", address))?;
    result.take().expect("the loop stops when the result is there")
}

fn with_deferreds(address: SocketAddr, request: Request) -> Result<Vec<u8>, GetError> {
    let event_loop = EventLoop::new().map_err(GetError::in_phase("start the loop for", address))?;
    let reply = deferreds::get(&event_loop, address, request);
    event_loop.run_until(reply).map_err(|failure| match failure.downcast::<GetError>() {
        Ok(error) => error,
        Err(failure) => GetError::new("wait for", address, failure),
    })
}
