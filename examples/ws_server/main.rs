//! A WebSocket server: it answers each text with the text and `/answer`, and closes at the text `close`.
//!
//! ```text
//! cargo run --example ws_server -- 9002
//! ```
//!
//! A browser that asks for `/` gets a text that says so: one server has both. Listens on 127.0.0.1 (port 0, or
//! none: any free port, see the `ready` line), and ends on Ctrl-C or SIGTERM.

#[path = "support/program.rs"]
mod program;

use program::{Usage, say};
use ropewalk::http::{Response, Server};
use ropewalk::websocket::{CloseCode, Message, WebSocket, WebSocketProtocol, WebSocketServer};
use ropewalk::{EventLoop, Failure};
use std::process::ExitCode;

fn main() -> ExitCode {
    env_logger::init();
    program::run("ws_server [PORT]", |arguments| {
        let port: u16 = match arguments {
            [] => 0,
            [port] => port.parse().map_err(|_| Usage)?,
            _ => return Err(Usage.into()),
        };
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        let sockets = WebSocketServer::new();
        let site = Server::new()
            .any("/{*path}", {
                let sockets = sockets.clone();
                move |_, request| sockets.accept(&request, |_| Answers)
            })
            .get("/", move |_, request| match request.upgrades_to("websocket") {
                true => sockets.accept(&request, |_| Answers),
                false => Response::text("here is a WebSocket\n"),
            })
            .listen(&event_loop, ("127.0.0.1", port))?;
        say(format_args!("ready {}", site.address().map_or(0, |address| address.port())))?;
        event_loop.run()?;
        Ok(())
    })
}

struct Answers;

impl WebSocketProtocol for Answers {
    fn message_received(&mut self, _: &EventLoop, socket: &WebSocket, message: Message<'_>) -> Result<(), Failure> {
        match message {
            Message::Text("close") => socket.close(CloseCode::NORMAL, "as you said"),
            Message::Text(text) => socket.send_text(&format!("{text}/answer"))?,
            Message::Binary(_) => socket.close(CloseCode::UNSUPPORTED_DATA, "text only"),
        }
        Ok(())
    }
}
