//! The Deferred model: the next message is asked for, and what follows is added to it.

use ropewalk::Failure;
use ropewalk::http::{Request, Response};
use ropewalk::websocket::{CloseCode, Message, OwnedMessage, WebSocketServer, WebSocketStream};
use ropewalk::{Deferred, Resolver};

pub(crate) fn answer(sockets: &WebSocketServer, request: &Request) -> Response {
    sockets.accept_stream(request, |_, stream| {
        let (resolver, done) = Deferred::new();
        answer_next(stream, resolver);
        done
    })
}

/// Answers one message, and then the rest. Each message has a chain of its own, which is over when it is answered: a step
/// that gave back the Deferred of "the rest" would make one chain as long as the talk.
fn answer_next(stream: WebSocketStream, resolver: Resolver<()>) {
    let answered = stream.next_message().add_callback(move |message| answer_one(stream, message));
    answered
        .add_both(move |answered| {
            match answered {
                Ok(Some(stream)) => answer_next(stream, resolver),
                Ok(None) => resolver.succeed(()),
                Err(failure) => resolver.fail(failure),
            }
            Ok::<(), Failure>(())
        })
        .detach();
}

/// Gives the stream back if there is more to come. The answer is on its way when the Deferred fires.
fn answer_one(stream: WebSocketStream, message: Option<OwnedMessage>) -> Deferred<Option<WebSocketStream>> {
    match message.as_ref().map(OwnedMessage::as_message) {
        None => Deferred::succeed(None),
        Some(Message::Text("close")) => stream.close(CloseCode::NORMAL, "as you said").map(|_| None),
        Some(Message::Text(text)) => stream.send(&format!("{text}/answer")).map(move |()| Some(stream)),
        Some(Message::Binary(_)) => stream.close(CloseCode::UNSUPPORTED_DATA, "text only").map(|_| None),
    }
}
