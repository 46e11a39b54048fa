//! The model of futures: a loop that awaits the next message.

use crate::show;
use ropewalk::websocket::{CloseCode, Message, WebSocketClient, WebSocketEnd};
use ropewalk::{EventLoop, Failure};

pub(crate) fn run(event_loop: &EventLoop, client: WebSocketClient) -> Result<WebSocketEnd, Failure> {
    event_loop.block_on(async {
        let mut stream = client.connect_stream(event_loop).await?;
        // If the server has closed already, the next message tells how.
        let _ = stream.send("hello").await;
        while let Some(message) = stream.next().await? {
            match message.as_message() {
                Message::Text("close") => {
                    let close = stream.close(CloseCode::NORMAL, "as you said").await?;
                    return Ok(WebSocketEnd::Closed { close, by_peer: false });
                }
                message => show(message)?,
            }
        }
        let close = stream.socket().closed().await?;
        Ok(WebSocketEnd::Closed { close, by_peer: true })
    })
}
