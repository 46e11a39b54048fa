//! A WebSocket client: it sends `hello`, prints what comes, and leaves when `close` comes, or when the server closes.
//!
//! ```text
//! cargo run --example ws_server -- 9002       (in another terminal)
//! cargo run --example ws_client -- ws://127.0.0.1:9002/
//! ```
//!
//! The end of it is the last line. Exit code 0 if the WebSocket was closed in order, 1 if not.

#[path = "support/program.rs"]
mod program;

use program::{Usage, say};
use ropewalk::websocket::{CloseCode, Message, WebSocket, WebSocketClient, WebSocketEnd, WebSocketProtocol};
use ropewalk::{EventLoop, Failure};
use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;

fn main() -> ExitCode {
    env_logger::init();
    program::run("ws_client URL", |arguments| {
        let [url] = arguments else { return Err(Usage.into()) };
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        let end = Rc::<RefCell<Option<Failure>>>::default();
        let opened = WebSocketClient::new(url)?.connect(&event_loop, Hello { end: end.clone() });
        event_loop.run_until(opened)?;
        if end.borrow().is_none() {
            event_loop.run()?;
        }
        let end = end.take();
        match end {
            Some(reason) if reason.check::<WebSocketEnd>().is_some_and(in_order) => Ok(say(reason)?),
            Some(reason) => Err(reason.into()),
            None => Ok(()), // Ctrl-C
        }
    })
}

fn in_order(end: &WebSocketEnd) -> bool {
    matches!(end, WebSocketEnd::Closed { .. })
}

struct Hello {
    end: Rc<RefCell<Option<Failure>>>,
}

impl WebSocketProtocol for Hello {
    fn connection_made(&mut self, _: &EventLoop, socket: &WebSocket) -> Result<(), Failure> {
        Ok(socket.send_text("hello")?)
    }

    fn message_received(&mut self, _: &EventLoop, socket: &WebSocket, message: Message<'_>) -> Result<(), Failure> {
        match message {
            Message::Text("close") => socket.close(CloseCode::NORMAL, "as you said"),
            Message::Text(text) => say(text)?,
            Message::Binary(data) => say(format_args!("{} bytes", data.len()))?,
        }
        Ok(())
    }

    fn connection_lost(&mut self, event_loop: &EventLoop, reason: Failure) {
        self.end.replace(Some(reason));
        event_loop.stop();
    }
}
