//! The handle to a WebSocket.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use super::close::{Close, CloseCode};
use super::encoder::MessageEncoder;
use super::frame::{Head, Opcode, Role, apply_mask};
use super::protocol::Message;
use super::waits::Waits;
use crate::ground::{Deferred, Failure};
use crate::transports::{Disconnected, Transport};

/// A way to a WebSocket: cheap to clone and to keep. No method calls anybody; what is sent goes out after the loop callback
/// that runs, in one write.
///
/// ```
/// use ropewalk::websocket::{CloseCode, Message, WebSocket, WebSocketClient, WebSocketProtocol, WebSocketServer};
/// use ropewalk::{EventLoop, Failure};
/// use std::time::Duration;
///
/// struct Clock;
///
/// impl WebSocketProtocol for Clock {
///     fn connection_made(&mut self, event_loop: &EventLoop, socket: &WebSocket) -> Result<(), Failure> {
///         // Kept by a timer: it sends later, from outside of the program's methods.
///         let socket = socket.clone();
///         event_loop.call_later(Duration::from_millis(1), move |_| {
///             if socket.send_text("tick").is_ok() {
///                 socket.close(CloseCode::NORMAL, "");
///             }
///             assert!(!socket.is_open() && socket.send_text("tock").is_err());
///         });
///         Ok(())
///     }
///     fn message_received(&mut self, _: &EventLoop, _: &WebSocket, _: Message<'_>) -> Result<(), Failure> {
///         Ok(())
///     }
/// }
///
/// let event_loop = EventLoop::new()?;
/// let site = WebSocketServer::new().listen(&event_loop, "127.0.0.1:0", |_, _| Clock)?;
/// let url = format!("ws://{}/", site.address().unwrap());
/// let heard = event_loop.block_on(async {
///     let mut stream = WebSocketClient::new(&url)?.connect_stream(&event_loop).await?;
///     let first = stream.next().await?;
///     assert!(stream.next().await?.is_none(), "it was closed in order");
///     Ok::<_, Failure>(first)
/// })?;
/// assert_eq!(heard.unwrap().text(), Some("tick"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct WebSocket {
    transport: Transport,
    shared: Rc<Shared>,
}

struct Shared {
    role: Role,
    stage: Cell<Stage>,
    subprotocol: Option<Box<str>>,
    /// The program does not want to read.
    paused: Cell<bool>,
    /// Too much waits to be sent, which the program was told.
    full: Cell<bool>,
    /// Too much of it is answers: nothing is read meanwhile.
    blocked: Cell<bool>,
    /// Messages are asked for one by one.
    asked: Cell<bool>,
    /// The turn in which the peer's close frame came is over.
    end_of_turn: Cell<bool>,
    waits: Waits,
    masks: RefCell<Masks>,
    /// If compression was agreed upon.
    encoder: Option<RefCell<Box<MessageEncoder>>>,
}

/// How far the close handshake is, in what this side sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Open,
    /// Our close frame is sent, and the peer's has not come.
    Closing,
    /// Nothing is sent any more.
    Over,
}

impl WebSocket {
    pub(super) fn new(
        transport: &Transport,
        role: Role,
        subprotocol: Option<Box<str>>,
        encoder: Option<Box<MessageEncoder>>,
    ) -> WebSocket {
        let shared = Shared {
            role,
            stage: Cell::new(Stage::Open),
            subprotocol,
            paused: Cell::new(false),
            full: Cell::new(false),
            blocked: Cell::new(false),
            asked: Cell::new(false),
            end_of_turn: Cell::new(false),
            waits: Waits::default(),
            masks: RefCell::default(),
            encoder: encoder.map(RefCell::new),
        };
        WebSocket { transport: transport.clone(), shared: Rc::new(shared) }
    }

    /// Sends a text message.
    ///
    /// # Errors
    ///
    /// The connection is lost, or is being closed: the message goes nowhere.
    pub fn send_text(&self, text: &str) -> Result<(), Disconnected> {
        self.send(Opcode::Text, text.as_bytes())
    }

    /// Sends a binary message.
    ///
    /// # Errors
    ///
    /// As for [`send_text`](WebSocket::send_text).
    pub fn send_binary(&self, data: &[u8]) -> Result<(), Disconnected> {
        self.send(Opcode::Binary, data)
    }

    /// Sends a message of either kind.
    ///
    /// # Errors
    ///
    /// As for [`send_text`](WebSocket::send_text).
    pub fn send_message<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), Disconnected> {
        match message.into() {
            Message::Text(text) => self.send_text(text),
            Message::Binary(data) => self.send_binary(data),
        }
    }

    /// Asks the peer for a sign of life. It answers with the same bytes, of which there may be 125; more are cut off.
    ///
    /// # Errors
    ///
    /// As for [`send_text`](WebSocket::send_text).
    pub fn ping(&self, data: &[u8]) -> Result<(), Disconnected> {
        self.send(Opcode::Ping, &data[..data.len().min(125)])
    }

    /// Behind our own close frame too, which forbids only data. A peer that does not even read that gets no more.
    pub(super) fn pong(&self, data: &[u8]) -> Result<(), Disconnected> {
        match self.shared.stage.get() {
            Stage::Open => self.send(Opcode::Pong, data),
            _ if self.transport.is_full() => Ok(()),
            _ => self.write(Opcode::Pong, data),
        }
    }

    /// Begins to close, with a reason of at most 123 bytes: no message is delivered any more, and
    /// [`connection_lost`](super::WebSocketProtocol::connection_lost) comes when the peer has answered, or its time is
    /// over. Nothing happens to what is being closed already.
    pub fn close(&self, code: CloseCode, reason: &str) {
        if self.shared.stage.get() == Stage::Open {
            // A connection that is lost needs no closing.
            let _ = self.send(Opcode::Close, &Close::new(code, reason).payload());
            self.shared.stage.set(Stage::Closing);
            // The answer has to be read.
            self.resume_producing();
            self.transport.wake_protocol();
        }
    }

    /// Fires when there is room for more: at once, unless more than the high-water mark (64 KiB) waits to be sent; then
    /// when all of it was sent. Whoever sends much waits for it between messages, as asyncio's `drain` has it.
    ///
    /// # Errors
    ///
    /// The Deferred fails with [`Disconnected`] if the connection is lost before.
    #[track_caller]
    pub fn drained(&self) -> Deferred<()> {
        if self.transport.is_disconnected() {
            return Deferred::fail(Disconnected);
        }
        if !self.shared.full.get() && !self.transport.is_full() {
            return Deferred::succeed(());
        }
        // A connection that is being closed looks only if it is asked to.
        self.transport.wake_protocol();
        self.shared.waits.drained()
    }

    /// Fires when the WebSocket is closed, with what the peer said: its reason if it began, else its answer to
    /// [`close`](WebSocket::close). Any number may wait for it, and ask afterwards too.
    ///
    /// # Errors
    ///
    /// The Deferred fails if it ended otherwise: with a [`WebSocketEnd`](super::WebSocketEnd), or with what the connection
    /// was lost by, as [`connection_lost`](super::WebSocketProtocol::connection_lost) is told.
    #[track_caller]
    pub fn closed(&self) -> Deferred<Close> {
        self.shared.waits.closed()
    }

    /// Whoever waits is told how it ended.
    pub(super) fn end(&self, failure: Failure) {
        self.shared.waits.end(failure);
    }

    /// Sends the last frame of this side.
    pub(super) fn send_last(&self, close: &Close) {
        if self.shared.stage.replace(Stage::Over) == Stage::Open {
            // The peer may be gone, which is told next.
            let _ = self.write(Opcode::Close, &close.payload());
        }
    }

    fn send(&self, opcode: Opcode, payload: &[u8]) -> Result<(), Disconnected> {
        if self.shared.stage.get() != Stage::Open {
            return Err(Disconnected);
        }
        self.write(opcode, payload)?;
        if !self.shared.full.get() && self.transport.is_full() {
            self.transport.wake_protocol();
        }
        Ok(())
    }

    fn write(&self, opcode: Opcode, payload: &[u8]) -> Result<(), Disconnected> {
        let Some(encoder) = &self.shared.encoder else {
            return self.write_frame(opcode, payload, false);
        };
        // What nobody will receive must not be referred to later.
        if self.transport.is_disconnected() {
            return Err(Disconnected);
        }
        let packed = encoder.borrow_mut().pack(opcode, payload);
        let Some(packed) = packed else { return self.write_frame(opcode, payload, false) };
        let written = self.write_frame(opcode, &packed, true);
        encoder.borrow().recycle(packed);
        written
    }

    fn write_frame(&self, opcode: Opcode, payload: &[u8], compressed: bool) -> Result<(), Disconnected> {
        if self.shared.role == Role::Server {
            let head = Head::new(opcode, true, payload.len(), None).compressed(compressed);
            return self.transport.write_vectored(&[head.bytes(), payload]);
        }
        let Some(mask) = self.shared.masks.borrow_mut().next() else {
            // Without chance a client must not send (10.3).
            self.transport.abort();
            return Err(Disconnected);
        };
        let head = Head::new(opcode, true, payload.len(), Some(mask)).compressed(compressed);
        let mut masked = payload.to_vec();
        apply_mask(&mut masked, mask, 0);
        self.transport.write_vectored(&[head.bytes(), &masked])
    }

    /// Has no more messages delivered until [`resume_producing`](WebSocket::resume_producing): the peer will have to wait.
    /// Pings are not answered meanwhile.
    pub fn pause_producing(&self) {
        self.shared.paused.set(true);
        self.transport.pause_producing();
    }

    /// Has messages delivered again.
    pub fn resume_producing(&self) {
        self.shared.paused.set(false);
        if !self.shared.blocked.get() {
            self.transport.resume_producing();
        }
    }

    /// Whether messages are asked for one by one, and so are answered later.
    pub(super) fn is_asked(&self) -> bool {
        self.shared.asked.get()
    }

    pub(super) fn set_asked(&self) {
        self.shared.asked.set(true);
    }

    pub(super) fn end_of_turn(&self) {
        self.shared.end_of_turn.set(true);
        self.transport.wake_protocol();
    }

    pub(super) fn take_end_of_turn(&self) -> bool {
        self.shared.end_of_turn.take()
    }

    pub(super) fn is_paused(&self) -> bool {
        self.shared.paused.get() || self.shared.blocked.get()
    }

    pub(super) fn is_full(&self) -> bool {
        self.shared.full.get()
    }

    pub(super) fn set_full(&self, full: bool) {
        self.shared.full.set(full);
    }

    pub(super) fn waits(&self) -> &Waits {
        &self.shared.waits
    }

    /// Whether nobody can ask how it ended: no one else has a handle, nor waits for what a handle answered.
    pub(super) fn is_alone(&self) -> bool {
        Rc::strong_count(&self.shared) == 1 && !self.shared.waits.any()
    }

    pub(super) fn set_blocked(&self, blocked: bool) {
        self.shared.blocked.set(blocked);
        if blocked {
            self.transport.pause_producing();
        } else if !self.shared.paused.get() {
            self.transport.resume_producing();
        }
    }

    pub(super) fn stage(&self) -> Stage {
        self.shared.stage.get()
    }

    /// The subprotocol that was agreed upon.
    pub fn subprotocol(&self) -> Option<&str> {
        self.shared.subprotocol.as_deref()
    }

    /// Whether messages can be sent.
    pub fn is_open(&self) -> bool {
        self.stage() == Stage::Open && !self.transport.is_disconnecting()
    }

    /// Breaks it off: nothing is sent any more, and the peer sees a reset.
    pub fn abort(&self) {
        self.transport.abort();
    }

    /// How many bytes wait to be sent.
    pub fn buffered(&self) -> usize {
        self.transport.buffered()
    }

    /// The connection under it: for its addresses. Bytes that are written to it would stand between the frames.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }
}

/// Two handles are equal if they are of the same WebSocket.
impl PartialEq for WebSocket {
    fn eq(&self, other: &WebSocket) -> bool {
        Rc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for WebSocket {}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("role", &self.shared.role)
            .field("stage", &self.shared.stage.get())
            .field("transport", &self.transport)
            .finish()
    }
}

/// How many masks are asked of the system at a time: a call for each message would cost more than the message.
const MASKS: usize = 64;

/// Masks that nobody can foretell: the system's chance.
#[derive(Default)]
struct Masks {
    left: Vec<[u8; 4]>,
}

impl Masks {
    fn next(&mut self) -> Option<[u8; 4]> {
        if self.left.is_empty() {
            let mut bytes = [0; 4 * MASKS];
            getrandom::fill(&mut bytes).ok()?;
            self.left.extend_from_slice(bytes.as_chunks().0);
        }
        self.left.pop()
    }
}
