//! A WebSocket without a program of its own: messages to ask for.
//!
//! ```text
//!  Connection --> Feed --> Inbox: what came and nobody has asked for   (full: nothing is read any more)
//!                            ^ next_message: a Deferred     ^ next().await: the same Deferred, kept until it has fired
//! ```

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::close::{Close, CloseCode};
use super::protocol::{Message, OwnedMessage, WebSocketEnd, WebSocketProtocol, report_own_error};
use super::transport::WebSocket;
use crate::bridge::DeferredFuture;
use crate::event_loop::{EventLoop, Handle};
use crate::family::line::Line;
use crate::ground::{CancelledError, Deferred, Failure};
use crate::transports::{ConnectionAborted, ConnectionLost, Disconnected};

/// So many messages wait for somebody who asks, and then nothing is read any more.
const MESSAGES: usize = 64;

/// So many bytes of messages wait, and then nothing is read any more: with one message more, as long as the limit allows.
const BYTES: usize = 64 * 1024;

/// A WebSocket whose messages are asked for one by one: with Deferreds, or with `await`. Made by
/// [`WebSocketClient::connect_stream`](super::WebSocketClient::connect_stream) and
/// [`WebSocketServer::accept_stream`](super::WebSocketServer::accept_stream).
///
/// * **It waits both ways.** Messages that nobody asks for are kept, at most 64 of them or 64 KiB and one message more. Then
///   nothing is read until somebody has asked for all of them, and the peer has to wait. Meanwhile pings are not answered,
///   and a close frame is not seen: ask, or close.
/// * **Sending** puts a message on its way at once. The Deferred that it answers tells when to send the next one.
/// * **Dropping it closes** the WebSocket, with 1001 on the client's side. On the server's side see
///   [`accept_stream`](super::WebSocketServer::accept_stream).
///
/// ```
/// use ropewalk::http::Server;
/// use ropewalk::websocket::{CloseCode, WebSocketClient, WebSocketServer, WebSocketStream};
/// use ropewalk::{EventLoop, Failure};
///
/// async fn shout(mut stream: WebSocketStream) -> Result<(), Failure> {
///     while let Some(message) = stream.next().await? {
///         if let Some(text) = message.text() {
///             stream.send(&text.to_uppercase()).await?;
///         }
///     }
///     Ok(())
/// }
///
/// let event_loop = EventLoop::new()?;
/// let sockets = WebSocketServer::new();
/// let site = Server::new()
///     .get("/shout", move |_, request| {
///         sockets.accept_stream(&request, |event_loop, stream| event_loop.spawn(shout(stream)))
///     })
///     .listen(&event_loop, "127.0.0.1:0")?;
/// let url = format!("ws://{}/shout", site.address().unwrap());
///
/// // With `await`:
/// event_loop.block_on(async {
///     let mut stream = WebSocketClient::new(&url)?.connect_stream(&event_loop).await?;
///     stream.send("hello").await?;
///     assert_eq!(stream.next().await?.unwrap().text(), Some("HELLO"));
///     let answer = stream.close(CloseCode::NORMAL, "").await?;
///     assert_eq!(answer.code, Some(CloseCode::NORMAL));
///     Ok(())
/// })?;
///
/// // With Deferreds:
/// let answer = WebSocketClient::new(&url)?.connect_stream(&event_loop).add_callback(|stream| {
///     stream.send("hello").add_callback(move |()| stream.next_message().map(move |answer| (answer, stream)))
/// });
/// let (answer, stream) = event_loop.run_until(answer)?;
/// assert_eq!(answer.unwrap().text(), Some("HELLO"));
/// # drop(stream);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WebSocketStream {
    socket: WebSocket,
    inbox: Rc<Inbox>,
    /// What [`next`](WebSocketStream::next) waits for. It stays if that future is dropped, so that no message is lost
    /// with it.
    asked: Option<DeferredFuture<Option<OwnedMessage>>>,
    /// On the server's side: who closes when it is dropped.
    served: Option<Handle>,
}

impl WebSocketStream {
    pub(super) fn new(socket: WebSocket, inbox: Rc<Inbox>) -> WebSocketStream {
        WebSocketStream { socket, inbox, asked: None, served: None }
    }

    /// The next message. `None` when the WebSocket was closed in order: [`closed`](WebSocket::closed) has the code. Those
    /// who ask are served in the order in which they asked. Cancelling the Deferred leaves that line, and no message is
    /// lost with it.
    ///
    /// # Errors
    ///
    /// The Deferred fails if the WebSocket ended in another way, with what
    /// [`connection_lost`](super::WebSocketProtocol::connection_lost) is told. That is so once; who asks again is answered
    /// `None`.
    #[track_caller]
    pub fn next_message(&self) -> Deferred<Option<OwnedMessage>> {
        let message = self.inbox.messages.borrow_mut().pop_front();
        if let Some(message) = message {
            let bytes = self.inbox.bytes.get() - message.as_message().len();
            self.inbox.bytes.set(bytes);
            if self.inbox.messages.borrow().is_empty() && self.inbox.held.take() {
                self.socket.resume_producing();
            }
            return Deferred::succeed(Some(message));
        }
        if self.inbox.ended.get() {
            return match self.inbox.failure.take() {
                Some(failure) => Deferred::fail(failure),
                None => Deferred::succeed(None),
            };
        }
        self.inbox.line.join()
    }

    /// Waits for the next message, as [`next_message`](WebSocketStream::next_message) does. The future may be dropped at
    /// any time, such as by a time-out: what it would have got is got by the next one.
    ///
    /// # Errors
    ///
    /// As for [`next_message`](WebSocketStream::next_message).
    pub async fn next(&mut self) -> Result<Option<OwnedMessage>, Failure> {
        poll_fn(|context| self.poll_next_message(context)).await
    }

    /// What [`next`](WebSocketStream::next) polls.
    ///
    /// # Errors
    ///
    /// As for [`next_message`](WebSocketStream::next_message).
    #[track_caller]
    pub fn poll_next_message(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<OwnedMessage>, Failure>> {
        let mut asked = match self.asked.take() {
            Some(asked) => asked,
            None => self.next_message().into_future(),
        };
        let polled = Pin::new(&mut asked).poll(context);
        if polled.is_pending() {
            self.asked = Some(asked);
        }
        polled
    }

    /// Sends a message: a text (`&str`, `&String`) or bytes (`&[u8]`, `&Vec<u8>`). It is on its way when this returns,
    /// whatever becomes of the Deferred, which fires when there is room for the next one: see
    /// [`drained`](WebSocket::drained).
    ///
    /// # Errors
    ///
    /// The Deferred fails with [`Disconnected`](crate::Disconnected): the connection is lost, or is being closed.
    #[track_caller]
    pub fn send<'m>(&self, message: impl Into<Message<'m>>) -> Deferred<()> {
        match self.socket.send_message(message) {
            Ok(()) => self.socket.drained(),
            Err(error) => Deferred::fail(error),
        }
    }

    /// Closes, with a reason of at most 123 bytes. Fires with what the peer said: see [`closed`](WebSocket::closed). It is
    /// waited for as long as [`close_timeout`](super::WebSocketServer::close_timeout) says. Messages that came before and
    /// were not asked for can still be asked for.
    ///
    /// # Errors
    ///
    /// As for [`closed`](WebSocket::closed).
    #[track_caller]
    pub fn close(&self, code: CloseCode, reason: &str) -> Deferred<Close> {
        self.socket.close(code, reason);
        self.socket.closed()
    }

    /// The handle to the WebSocket: cheap to clone, to send from somewhere else, to ping, to know the subprotocol. Its
    /// `pause_producing` and `resume_producing` are the stream's own matter.
    pub fn socket(&self) -> &WebSocket {
        &self.socket
    }
}

impl Drop for WebSocketStream {
    fn drop(&mut self) {
        let Some(event_loop) = self.served.take() else { return self.socket.close(CloseCode::GOING_AWAY, "") };
        // The handler that ends with an error drops its stream first: the error is heard of before this runs.
        let socket = self.socket.clone();
        // Without a loop there is no connection.
        let _ = event_loop.with(|event_loop| event_loop.call_soon(move |_| socket.close(CloseCode::NORMAL, "")));
    }
}

impl fmt::Debug for WebSocketStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketStream")
            .field("socket", &self.socket)
            .field("waiting", &self.inbox.messages.borrow().len())
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "futures-core")]
impl futures_core::Stream for WebSocketStream {
    type Item = Result<OwnedMessage, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_next_message(context).map(Result::transpose)
    }
}

/// What came and nobody has asked for, and those who asked for what has not come. One of both is always empty.
pub(super) struct Inbox {
    messages: RefCell<VecDeque<OwnedMessage>>,
    bytes: Cell<usize>,
    /// Reading is paused because of what lies here.
    held: Cell<bool>,
    line: Rc<Line<Option<OwnedMessage>>>,
    ended: Cell<bool>,
    /// For the next one who asks.
    failure: Cell<Option<Failure>>,
}

/// Talks with a client, and answers when it is done.
type Handler = Box<dyn FnOnce(&EventLoop, WebSocketStream) -> Deferred<()>>;

/// The program behind a stream.
pub(super) struct Feed {
    inbox: Rc<Inbox>,
    handler: Option<Handler>,
}

impl Feed {
    pub(super) fn new() -> (Feed, Rc<Inbox>) {
        let inbox = Rc::new(Inbox {
            messages: RefCell::default(),
            bytes: Cell::new(0),
            held: Cell::new(false),
            line: Line::new(),
            ended: Cell::new(false),
            failure: Cell::new(None),
        });
        (Feed { inbox: inbox.clone(), handler: None }, inbox)
    }

    /// For a server: `handler` is given the stream.
    pub(super) fn serving(handler: impl FnOnce(&EventLoop, WebSocketStream) -> Deferred<()> + 'static) -> Feed {
        Feed { handler: Some(Box::new(handler)), ..Feed::new().0 }
    }
}

impl WebSocketProtocol for Feed {
    fn connection_made(&mut self, event_loop: &EventLoop, socket: &WebSocket) -> Result<(), Failure> {
        socket.set_asked();
        let Some(handler) = self.handler.take() else { return Ok(()) };
        let mut stream = WebSocketStream::new(socket.clone(), self.inbox.clone());
        stream.served = Some(event_loop.handle());
        let socket = socket.clone();
        let done = handler(event_loop, stream).own_step("websocket").add_errback(move |failure| {
            let cancelled = failure.check::<CancelledError>().is_some();
            socket.close(if cancelled { CloseCode::GOING_AWAY } else { CloseCode::INTERNAL_ERROR }, "");
            // That the peer is gone is no error of the handler's. Any other is reported, since nobody waits for it.
            if is_of_the_peer(&failure) { Ok(()) } else { Err(failure) }
        });
        done.detach();
        Ok(())
    }

    fn message_received(&mut self, _: &EventLoop, socket: &WebSocket, message: Message<'_>) -> Result<(), Failure> {
        if let Some(waiter) = self.inbox.line.next() {
            waiter.succeed(Some(message.to_owned()));
            return Ok(());
        }
        self.inbox.messages.borrow_mut().push_back(message.to_owned());
        let bytes = self.inbox.bytes.get() + message.len();
        self.inbox.bytes.set(bytes);
        if bytes >= BYTES || self.inbox.messages.borrow().len() >= MESSAGES {
            self.inbox.held.set(true);
            socket.pause_producing();
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &EventLoop, mut reason: Failure) {
        report_own_error(&reason);
        self.inbox.ended.set(true);
        let in_order = matches!(reason.check(), Some(WebSocketEnd::Closed { .. }));
        if !in_order {
            match self.inbox.line.next() {
                Some(first) => first.fail(reason.share()),
                None => self.inbox.failure.set(Some(reason)),
            }
        }
        while let Some(waiter) = self.inbox.line.next() {
            waiter.succeed(None);
        }
    }
}

/// Whether a failure says that the peer is gone.
fn is_of_the_peer(failure: &Failure) -> bool {
    failure.check::<WebSocketEnd>().is_some()
        || failure.check::<Disconnected>().is_some()
        || failure.check::<ConnectionLost>().is_some()
        || failure.check::<ConnectionAborted>().is_some()
}
