//! The Deferred model: the next message is asked for, and what follows is added to it. Any error runs to the end of the
//! chain, which is what the program waits for.

use crate::show;
use ropewalk::websocket::{CloseCode, Message, OwnedMessage, WebSocketClient, WebSocketEnd, WebSocketStream};
use ropewalk::{Deferred, EventLoop, Failure, Resolver};

pub(crate) fn run(event_loop: &EventLoop, client: WebSocketClient) -> Result<WebSocketEnd, Failure> {
    let ended = client.connect_stream(event_loop).add_callback(|stream| {
        // If the server has closed already, the next message tells how.
        stream.send("hello").add_errback(|_| Ok(())).add_callback(|()| {
            let (resolver, ended) = Deferred::new();
            show_next(stream, resolver);
            ended
        })
    });
    event_loop.run_until(ended)
}

/// Shows one message, and then the rest. Each message has a chain of its own, which is over when it is shown: a step that
/// gave back the Deferred of "the rest" would make one chain as long as the talk.
fn show_next(stream: WebSocketStream, resolver: Resolver<WebSocketEnd>) {
    let asked = stream.next_message();
    asked
        .add_both(move |message| {
            let shown = message.and_then(|message| match message.as_ref().map(OwnedMessage::as_message) {
                None => Ok(Next::Closed),
                Some(Message::Text("close")) => Ok(Next::Close),
                Some(message) => Ok(show(message).map(|()| Next::More)?),
            });
            match shown {
                Ok(Next::More) => show_next(stream, resolver),
                Ok(Next::Closed) => {
                    let closed = stream.socket().closed();
                    closed.map(|close| WebSocketEnd::Closed { close, by_peer: true }).chain(resolver);
                }
                Ok(Next::Close) => {
                    let closed = stream.close(CloseCode::NORMAL, "as you said");
                    closed.map(|close| WebSocketEnd::Closed { close, by_peer: false }).chain(resolver);
                }
                Err(failure) => resolver.fail(failure),
            }
            Ok::<(), Failure>(())
        })
        .detach();
}

/// What to do after a message.
enum Next {
    More,
    /// The server closed.
    Closed,
    /// It asks for that.
    Close,
}
