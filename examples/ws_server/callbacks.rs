//! The callback model: a struct whose method is called with each message.

use ropewalk::http::{Request, Response};
use ropewalk::websocket::{CloseCode, Message, WebSocket, WebSocketProtocol, WebSocketServer};
use ropewalk::{EventLoop, Failure};

pub(crate) fn answer(sockets: &WebSocketServer, request: &Request) -> Response {
    sockets.accept(request, |_| Answers)
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
