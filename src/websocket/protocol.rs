//! The trait that a program writes its WebSockets in.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::close::{Close, CloseCode};
use super::error::FrameError;
use super::transport::WebSocket;
use crate::event_loop::EventLoop;
use crate::ground::Failure;
use crate::transports::report_unexpected;

/// A whole message.
///
/// ```
/// use ropewalk::websocket::Message;
///
/// let message = Message::from("h\u{e9}llo");
/// assert_eq!(message, Message::Text("h\u{e9}llo"));
/// assert_eq!(message.len(), 6); // bytes
/// assert_eq!(message.to_owned().text(), Some("h\u{e9}llo"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'m> {
    /// Text.
    Text(&'m str),
    /// Bytes.
    Binary(&'m [u8]),
}

impl Message<'_> {
    /// The same, to be kept.
    pub fn to_owned(self) -> OwnedMessage {
        match self {
            Message::Text(text) => OwnedMessage::Text(text.into()),
            Message::Binary(data) => OwnedMessage::Binary(data.into()),
        }
    }

    /// How many bytes it has.
    pub fn len(self) -> usize {
        match self {
            Message::Text(text) => text.len(),
            Message::Binary(data) => data.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl<'m> From<&'m str> for Message<'m> {
    fn from(text: &'m str) -> Message<'m> {
        Message::Text(text)
    }
}

impl<'m> From<&'m String> for Message<'m> {
    fn from(text: &'m String) -> Message<'m> {
        Message::Text(text)
    }
}

impl<'m> From<&'m [u8]> for Message<'m> {
    fn from(data: &'m [u8]) -> Message<'m> {
        Message::Binary(data)
    }
}

impl<'m> From<&'m Vec<u8>> for Message<'m> {
    fn from(data: &'m Vec<u8>) -> Message<'m> {
        Message::Binary(data)
    }
}

/// A whole message that is kept: what a [`WebSocketStream`](super::WebSocketStream) gives.
///
/// ```
/// use ropewalk::websocket::{Message, OwnedMessage};
///
/// let kept = OwnedMessage::Text("hello".to_owned());
/// assert_eq!(kept.as_message(), Message::Text("hello"));
/// assert_eq!(kept.text(), Some("hello"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedMessage {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl OwnedMessage {
    /// The message, to look at.
    pub fn as_message(&self) -> Message<'_> {
        match self {
            OwnedMessage::Text(text) => Message::Text(text),
            OwnedMessage::Binary(data) => Message::Binary(data),
        }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            OwnedMessage::Text(text) => Some(text),
            OwnedMessage::Binary(_) => None,
        }
    }
}

impl<'m> From<&'m OwnedMessage> for Message<'m> {
    fn from(message: &'m OwnedMessage) -> Message<'m> {
        message.as_message()
    }
}

/// One WebSocket's program, on either side. No method is called while another one runs, nor a message delivered after
/// [`WebSocket::close`].
///
/// A method that answers `Err` or panics loses its own connection, as with [`Protocol`](crate::Protocol): the peer is told
/// nothing, and sees it break off.
///
/// ```
/// use ropewalk::http::Server;
/// use ropewalk::websocket::{CloseCode, Message, WebSocket, WebSocketClient, WebSocketProtocol, WebSocketServer};
/// use ropewalk::{EventLoop, Failure};
///
/// /// Counts the words of each text.
/// struct Words;
///
/// impl WebSocketProtocol for Words {
///     fn message_received(&mut self, _: &EventLoop, socket: &WebSocket, message: Message<'_>) -> Result<(), Failure> {
///         match message {
///             Message::Text(text) => socket.send_text(&text.split_whitespace().count().to_string())?,
///             Message::Binary(_) => socket.close(CloseCode::UNSUPPORTED_DATA, "only texts have words"),
///         }
///         Ok(())
///     }
/// }
///
/// let event_loop = EventLoop::new()?;
/// let site = Server::new()
///     .get("/", |_, request| WebSocketServer::new().accept(&request, |_| Words))
///     .listen(&event_loop, "127.0.0.1:0")?;
/// let url = format!("ws://{}/", site.address().unwrap());
/// let answer = event_loop.block_on(async {
///     let mut stream = WebSocketClient::new(&url)?.connect_stream(&event_loop).await?;
///     stream.send("rain comes, stays, goes").await?;
///     stream.next().await
/// })?;
/// assert_eq!(answer.unwrap().text(), Some("4"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait WebSocketProtocol: 'static {
    /// The hands are shaken: messages can be sent.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn connection_made(&mut self, event_loop: &EventLoop, socket: &WebSocket) -> Result<(), Failure> {
        let _ = (event_loop, socket);
        Ok(())
    }

    /// A whole message came.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn message_received(
        &mut self,
        event_loop: &EventLoop,
        socket: &WebSocket,
        message: Message<'_>,
    ) -> Result<(), Failure>;

    /// A pong came: the answer to [`WebSocket::ping`], with its bytes, or one that nobody asked for.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn pong_received(&mut self, event_loop: &EventLoop, socket: &WebSocket, data: &[u8]) -> Result<(), Failure> {
        let _ = (event_loop, socket, data);
        Ok(())
    }

    /// More waits to be sent than the high-water mark: send no more until it is resumed. Nothing is read meanwhile, so a
    /// program that only answers need not care.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn pause_producing(&mut self, event_loop: &EventLoop, socket: &WebSocket) -> Result<(), Failure> {
        let _ = (event_loop, socket);
        Ok(())
    }

    /// All was sent: send on.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn resume_producing(&mut self, event_loop: &EventLoop, socket: &WebSocket) -> Result<(), Failure> {
        let _ = (event_loop, socket);
        Ok(())
    }

    /// The server that this WebSocket belongs to [shuts down](crate::http::Site::shutdown): called once, if the WebSocket is
    /// open. The default closes it with 1001, as RFC 6455 7.4.1 has it. One of your own may send something before, or give
    /// a reason; what it does not close is broken off when the grace is over.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn shutting_down(&mut self, event_loop: &EventLoop, socket: &WebSocket) -> Result<(), Failure> {
        let _ = event_loop;
        socket.close(CloseCode::GOING_AWAY, "");
        Ok(())
    }

    /// It is over: exactly once after `connection_made`, and the last call.
    ///
    /// `reason` holds a [`WebSocketEnd`], the program's own error, or what the transport says of a connection that broke off:
    /// [`ConnectionLost`](crate::ConnectionLost) or [`ConnectionAborted`](crate::ConnectionAborted). The default reports the program's own errors, so that none is lost
    /// in silence.
    fn connection_lost(&mut self, event_loop: &EventLoop, reason: Failure) {
        let _ = event_loop;
        report_own_error(&reason);
    }
}

/// Reports the end of a WebSocket that was neither ordered nor the peer's doing.
pub(super) fn report_own_error(reason: &Failure) {
    if reason.check::<WebSocketEnd>().is_none() {
        report_unexpected(reason);
    }
}

/// How a WebSocket ended.
///
/// ```
/// use ropewalk::websocket::{CloseCode, Message, WebSocket, WebSocketClient, WebSocketEnd, WebSocketProtocol, WebSocketServer};
/// use ropewalk::{EventLoop, Failure};
///
/// struct Polite;
///
/// impl WebSocketProtocol for Polite {
///     fn message_received(&mut self, _: &EventLoop, socket: &WebSocket, _: Message<'_>) -> Result<(), Failure> {
///         socket.close(CloseCode::GOING_AWAY, "good night");
///         Ok(())
///     }
/// }
///
/// struct Guest;
///
/// impl WebSocketProtocol for Guest {
///     fn connection_made(&mut self, _: &EventLoop, socket: &WebSocket) -> Result<(), Failure> {
///         Ok(socket.send_text("are you there?")?)
///     }
///     fn message_received(&mut self, _: &EventLoop, _: &WebSocket, _: Message<'_>) -> Result<(), Failure> {
///         Ok(())
///     }
///     fn connection_lost(&mut self, event_loop: &EventLoop, reason: Failure) {
///         match reason.check::<WebSocketEnd>() {
///             Some(WebSocketEnd::Closed { close, by_peer: true }) => assert_eq!(close.reason, "good night"),
///             other => panic!("the server closes, and not {other:?}"),
///         }
///         event_loop.stop();
///     }
/// }
///
/// let event_loop = EventLoop::new()?;
/// let site = WebSocketServer::new().listen(&event_loop, "127.0.0.1:0", |_, _| Polite)?;
/// let url = format!("ws://{}/", site.address().unwrap());
/// WebSocketClient::new(&url)?.connect(&event_loop, Guest).log_errors("connecting");
/// event_loop.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebSocketEnd {
    /// In order, with the close handshake. This is what the peer said: its own reason if it began, else its answer.
    Closed {
        /// What the peer's close frame says.
        close: Close,
        /// Whether the peer began.
        by_peer: bool,
    },
    /// The peer broke the protocol, or a limit. It was told.
    Broken(FrameError),
    /// The connection was closed without a close frame of the peer: what browsers give the code 1006.
    Unclosed,
    /// The peer did not answer a close frame in this time.
    CloseTimeout(Duration),
    /// The peer did not answer a ping in this time.
    NoPong(Duration),
    /// The peer took nothing of what was sent for this time.
    Stalled(Duration),
}

impl fmt::Display for WebSocketEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WebSocketEnd::Closed { close, by_peer: true } => write!(f, "the peer closed the WebSocket, {close}"),
            WebSocketEnd::Closed { close, .. } => write!(f, "the WebSocket was closed; the peer answered {close}"),
            WebSocketEnd::Broken(error) => write!(f, "the peer broke the WebSocket protocol: {error}"),
            WebSocketEnd::Unclosed => f.write_str("the connection ended without a close frame"),
            WebSocketEnd::CloseTimeout(time) => write!(f, "the peer did not answer a close frame in {time:?}"),
            WebSocketEnd::NoPong(time) => write!(f, "the peer did not answer a ping in {time:?}"),
            WebSocketEnd::Stalled(time) => write!(f, "the peer took nothing for {time:?}"),
        }
    }
}

impl Error for WebSocketEnd {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            WebSocketEnd::Broken(error) => Some(error),
            _ => None,
        }
    }
}
