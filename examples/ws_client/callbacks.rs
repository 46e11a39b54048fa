//! The callback model: a struct whose methods are called. What came of it moves into a cell that the program looks at when
//! the loop has ended.

use crate::show;
use ropewalk::websocket::{CloseCode, Message, WebSocket, WebSocketClient, WebSocketEnd, WebSocketProtocol};
use ropewalk::{EventLoop, Failure};
use std::cell::RefCell;
use std::rc::Rc;

type Ended = Rc<RefCell<Option<Failure>>>;

pub(crate) fn run(event_loop: &EventLoop, client: WebSocketClient) -> Result<WebSocketEnd, Failure> {
    let ended = Ended::default();
    let opened = client.connect(event_loop, Hello { ended: ended.clone() });
    event_loop.run_until(opened)?;
    if ended.borrow().is_none() {
        event_loop.run()?;
    }
    let reason = ended.take().ok_or_else(|| Failure::msg("the loop ended before the WebSocket"))?;
    match reason.check::<WebSocketEnd>() {
        Some(end @ WebSocketEnd::Closed { .. }) => Ok(end.clone()),
        _ => Err(reason),
    }
}

struct Hello {
    ended: Ended,
}

impl WebSocketProtocol for Hello {
    fn connection_made(&mut self, _: &EventLoop, socket: &WebSocket) -> Result<(), Failure> {
        Ok(socket.send_text("hello")?)
    }

    fn message_received(&mut self, _: &EventLoop, socket: &WebSocket, message: Message<'_>) -> Result<(), Failure> {
        match message {
            Message::Text("close") => socket.close(CloseCode::NORMAL, "as you said"),
            message => show(message)?,
        }
        Ok(())
    }

    fn connection_lost(&mut self, event_loop: &EventLoop, reason: Failure) {
        self.ended.replace(Some(reason));
        event_loop.stop();
    }
}
