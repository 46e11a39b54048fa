//! A WebSocket server that sends every message back.
//!
//! ```text
//! cargo run --example ws_echo -- 9001
//! ```
//!
//! Listens on 127.0.0.1 (port 0, or none: any free port, see the `ready` line). On Ctrl-C or SIGTERM it closes every
//! WebSocket with 1001, and ends.

#[path = "support/program.rs"]
mod program;

use program::say;
use ropewalk::websocket::{Deflate, Limits, Message, WebSocket, WebSocketProtocol, WebSocketServer};
use ropewalk::{EventLoop, Failure, Phase, SystemEvent};
use std::process::ExitCode;
use std::time::Duration;

/// Test suites send messages of 16 MiB.
const LARGEST: u64 = 64 << 20;

/// How long a client may take to answer when the server ends.
const GRACE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    env_logger::init();
    program::run("ws_echo [PORT]", |arguments| {
        let port = program::port(arguments)?;
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        let sockets = WebSocketServer::new()
            .limits(Limits::of_message(LARGEST))
            .deflate(Deflate::new().level(1).threshold(0));
        let site = sockets.listen(&event_loop, ("127.0.0.1", port), |_, _| Echo)?;
        say(format_args!("ready {}", site.address().map_or(0, |address| address.port())))?;
        event_loop.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, move |event_loop| {
            site.shutdown(event_loop, GRACE).map(|_| ())
        });
        event_loop.run()?;
        Ok(())
    })
}

struct Echo;

impl WebSocketProtocol for Echo {
    fn message_received(&mut self, _: &EventLoop, socket: &WebSocket, message: Message<'_>) -> Result<(), Failure> {
        match message {
            Message::Text(text) => socket.send_text(text)?,
            Message::Binary(data) => socket.send_binary(data)?,
        }
        Ok(())
    }
}
