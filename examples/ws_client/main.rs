//! A WebSocket client: it sends `hello`, prints what comes, and leaves when `close` comes, or when the server closes.
//!
//! ```text
//! cargo run --example ws_server -- 9002       (in another terminal)
//! cargo run --example ws_client -- ws://127.0.0.1:9002/
//! cargo run --example ws_client -- ws://127.0.0.1:9002/ --model deferreds
//! cargo run --example ws_client -- ws://127.0.0.1:9002/ --model futures
//! cargo run --features tls --example ws_client -- wss://example.org/      (over TLS)
//! ```
//!
//! Read the models in this order: `callbacks.rs` (the default), `deferreds.rs`, `futures.rs`. Each prints the same lines.
//! The last line is how it ended, and the exit code is 0, if the WebSocket was closed in order. If not, the error is on
//! standard error, and the exit code is 1.

mod callbacks;
mod deferreds;
mod futures;
#[path = "../support/program.rs"]
mod program;

use program::{Usage, say};
use ropewalk::websocket::{Message, WebSocketClient, WebSocketEnd};
use ropewalk::{EventLoop, Failure};
use std::io;
use std::process::ExitCode;

/// Talks until it is over, and says how it was closed.
type Run = fn(&EventLoop, WebSocketClient) -> Result<WebSocketEnd, Failure>;

const MODELS: [(&str, Run); 3] =
    [("callbacks", callbacks::run), ("deferreds", deferreds::run), ("futures", futures::run)];

fn main() -> ExitCode {
    env_logger::init();
    program::run("ws_client URL [--model callbacks|deferreds|futures]", |arguments| {
        let (run, arguments) = program::model(arguments, &MODELS)?;
        let [url] = &arguments[..] else { return Err(Usage.into()) };
        let event_loop = EventLoop::new()?;
        let end = run(&event_loop, WebSocketClient::new(url)?)?;
        Ok(say(end)?)
    })
}

/// Prints a message.
fn show(message: Message<'_>) -> io::Result<()> {
    match message {
        Message::Text(text) => say(text),
        Message::Binary(data) => say(format_args!("{} bytes", data.len())),
    }
}
