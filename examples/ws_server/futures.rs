//! The model of futures: a task for each client, a loop that awaits the next message.

use ropewalk::Failure;
use ropewalk::http::{Request, Response};
use ropewalk::websocket::{CloseCode, Message, WebSocketServer, WebSocketStream};

pub(crate) fn answer(sockets: &WebSocketServer, request: &Request) -> Response {
    sockets.accept_stream(request, |event_loop, stream| event_loop.spawn(talk(stream)))
}

async fn talk(mut stream: WebSocketStream) -> Result<(), Failure> {
    while let Some(message) = stream.next().await? {
        match message.as_message() {
            Message::Text("close") => drop(stream.close(CloseCode::NORMAL, "as you said").await?),
            Message::Text(text) => stream.send(&format!("{text}/answer")).await?,
            Message::Binary(_) => drop(stream.close(CloseCode::UNSUPPORTED_DATA, "text only").await?),
        }
    }
    Ok(())
}
