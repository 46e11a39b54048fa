//! A WebSocket server: it answers each text with the text and `/answer`, and closes at the text `close`.
//!
//! ```text
//! cargo run --example ws_server -- 9002
//! cargo run --example ws_server -- 9002 --model deferreds
//! cargo run --example ws_server -- 9002 --model futures
//! ```
//!
//! Read the models in this order: `callbacks.rs` (the default), `deferreds.rs`, `futures.rs`. Each says the same to its
//! clients. A browser that asks for `/` gets a text that says so: one server has both. Listens on 127.0.0.1 (port 0, or
//! none: any free port, see the `ready` line). On Ctrl-C or SIGTERM it closes every WebSocket with 1001, waits for their
//! answers, and ends.

mod callbacks;
mod deferreds;
mod futures;
#[path = "../support/program.rs"]
mod program;

use program::say;
use ropewalk::http::{Request, Response, Server};
use ropewalk::websocket::WebSocketServer;
use ropewalk::{EventLoop, Phase, SystemEvent};
use std::process::ExitCode;
use std::time::Duration;

/// How long a client may take to answer when the server ends.
const GRACE: Duration = Duration::from_secs(5);

/// What a request for a WebSocket is answered.
type Answer = fn(&WebSocketServer, &Request) -> Response;

const MODELS: [(&str, Answer); 3] =
    [("callbacks", callbacks::answer), ("deferreds", deferreds::answer), ("futures", futures::answer)];

fn main() -> ExitCode {
    env_logger::init();
    program::run("ws_server [PORT] [--model callbacks|deferreds|futures]", |arguments| {
        let (answer, arguments) = program::model(arguments, &MODELS)?;
        let port = program::port(&arguments)?;
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        let sockets = WebSocketServer::new();
        let site = Server::new()
            .any("/{*path}", {
                let sockets = sockets.clone();
                move |_, request| answer(&sockets, &request)
            })
            .get("/", move |_, request| match request.upgrades_to("websocket") {
                true => answer(&sockets, &request),
                false => Response::text("here is a WebSocket\n"),
            })
            .listen(&event_loop, ("127.0.0.1", port))?;
        say(format_args!("ready {}", site.address().map_or(0, |address| address.port())))?;
        event_loop.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, move |event_loop| {
            site.shutdown(event_loop, GRACE).map(|_| ())
        });
        event_loop.run()?;
        Ok(())
    })
}
