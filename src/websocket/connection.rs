//! One WebSocket over its transport, behind the handshake.
//!
//! ```text
//!         close()             the peer's close frame
//!  Open -----------> Closing ----------------------> Over: the last is sent, what comes is thrown away
//!   |                   |                             ^        until the peer closes, or the time is over
//!   |  the peer's close frame, or an error of it      |
//!   '-------------------------------------------------'
//! ```

use std::fmt;
use std::time::Duration;

use super::close::Close;
use super::decoder::{Event, MessageDecoder};
use super::deflate::{Deflate, DeflateParameters};
use super::encoder::MessageEncoder;
use super::frame::Role;
use super::limits::Limits;
use super::protocol::{Message, WebSocketEnd, WebSocketProtocol};
use super::transport::{Stage, WebSocket};
use crate::event_loop::EventLoop;
use crate::ground::Failure;
use crate::http::UpgradedProtocol;
use crate::protocols::{IdleTimeout, Piece};
use crate::transports::{ConnectionDone, Protocol, Streaming, Transport};

/// How long things may take, and how large they may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) limits: Limits,
    /// How long a silence is, after which the peer is asked for a sign of life; and how long it may take for one.
    pub(super) keep_alive: Option<Duration>,
    /// How long the peer may take to answer a close frame, and then to close.
    pub(super) close: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        let (keep_alive, close) = (Some(Duration::from_secs(30)), Duration::from_secs(10));
        Settings { limits: Limits::default(), keep_alive, close }
    }
}

/// What the time that runs is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Nothing,
    Silence,
    Pong,
    Close,
}

pub(super) struct Connection {
    program: Box<dyn WebSocketProtocol>,
    settings: Settings,
    role: Role,
    subprotocol: Option<Box<str>>,
    decoder: MessageDecoder,
    /// If compression was agreed upon: until the connection is made.
    encoder: Option<Box<MessageEncoder>>,
    /// What came while it was paused: at most what one read brings.
    kept: Vec<u8>,
    socket: Option<WebSocket>,
    idle: IdleTimeout,
    waiting: Waiting,
    /// How much waited to be sent when the peer was looked at last.
    mark: Option<usize>,
    /// How much of what waits to be sent is answers to what the peer sent, at most.
    answers: usize,
    end: Option<WebSocketEnd>,
    leaving: Option<Box<Leaving>>,
}

/// The peer's close frame, which is answered a turn later where messages are asked for one by one: a task that was given
/// the last one runs in this turn, and what it answers is not too late.
struct Leaving {
    close: Close,
    by_peer: bool,
}

impl Connection {
    pub(super) fn new(
        program: Box<dyn WebSocketProtocol>,
        role: Role,
        settings: Settings,
        subprotocol: Option<Box<str>>,
        deflate: Option<(&Deflate, DeflateParameters)>,
    ) -> Connection {
        let limits = settings.limits;
        let (decoder, encoder) = match deflate {
            Some((deflate, agreed)) => (
                MessageDecoder::with_deflate(role, limits, deflate, agreed),
                Some(Box::new(MessageEncoder::new(role, deflate, agreed))),
            ),
            None => (MessageDecoder::new(role, limits), None),
        };
        Connection {
            program,
            settings,
            role,
            subprotocol,
            decoder,
            encoder,
            kept: Vec::new(),
            socket: None,
            idle: IdleTimeout::new(),
            waiting: Waiting::Nothing,
            mark: None,
            answers: 0,
            end: None,
            leaving: None,
        }
    }

    /// The handle, once the connection is made.
    pub(super) fn socket(&self) -> Option<WebSocket> {
        self.socket.clone()
    }

    /// Delivers what is in the piece, until it is paused.
    fn deliver(
        &mut self,
        event_loop: &EventLoop,
        socket: &WebSocket,
        piece: &mut Piece<'_>,
    ) -> Result<(), Failure> {
        let transport = socket.transport();
        let mut waited = socket.buffered();
        self.answers = self.answers.min(waited);
        loop {
            if socket.stage() == Stage::Over || transport.is_disconnecting() {
                piece.take(usize::MAX);
                return Ok(());
            }
            self.block(event_loop, socket, &mut waited)?;
            if socket.is_paused() {
                return Ok(());
            }
            let open = socket.stage() == Stage::Open;
            let message = match self.decoder.next_event(piece) {
                Ok(None) => return Ok(()),
                Ok(Some(Event::Text(text))) => Message::Text(text),
                Ok(Some(Event::Binary(data))) => Message::Binary(data),
                // Each is answered until the peer's close frame has come, ours or not (5.5.2).
                Ok(Some(Event::Ping(data))) => {
                    socket.pong(data)?;
                    continue;
                }
                Ok(Some(Event::Pong(data))) => {
                    if open {
                        self.program.pong_received(event_loop, socket, data)?;
                    }
                    continue;
                }
                Ok(Some(Event::Close(close))) => {
                    self.leaving = Some(Box::new(Leaving { close, by_peer: open }));
                    if open && socket.is_asked() {
                        let socket = socket.clone();
                        event_loop.call_soon(move |_| socket.end_of_turn());
                    } else {
                        self.leave(event_loop, socket);
                    }
                    continue;
                }
                Err(error) => {
                    let close = Close::new(error.close_code(), &error.problem().to_string());
                    self.finish(event_loop, socket, &close, WebSocketEnd::Broken(error));
                    continue;
                }
            };
            if open {
                self.program.message_received(event_loop, socket, message)?;
            }
        }
    }

    /// The peer's close frame is answered, if it has come.
    fn leave(&mut self, event_loop: &EventLoop, socket: &WebSocket) {
        let Some(leaving) = self.leaving.take() else { return };
        let Leaving { close, by_peer } = *leaving;
        let answer = Close { reason: String::new(), ..close };
        self.finish(event_loop, socket, &answer, WebSocketEnd::Closed { close, by_peer });
    }

    /// The last frame is sent. The peer closes next: if this side did, what the peer has sent meanwhile would reset the
    /// connection, and it might not see why.
    fn finish(&mut self, event_loop: &EventLoop, socket: &WebSocket, close: &Close, end: WebSocketEnd) {
        let broken = matches!(end, WebSocketEnd::Broken(_));
        socket.send_last(close);
        self.end = Some(end);
        self.kept = Vec::new();
        // A client leaves it to the server to close first (7.1.1), so that the server need not remember the connection.
        if self.role == Role::Server || broken {
            socket.transport().lose_write_connection();
        }
        self.wait(event_loop, socket, Waiting::Close);
    }

    /// Looks at how much waits to be sent, of which there was `waited` before the last message.
    ///
    /// A peer that asks and does not read is not read any more, so that answers do not pile up. Of what the program sends
    /// by itself it is told to send no more, and reading goes on: if both sides stopped reading while they send, neither
    /// would ever get further.
    fn block(&mut self, event_loop: &EventLoop, socket: &WebSocket, waited: &mut usize) -> Result<(), Failure> {
        let (before, high_water) = (*waited, socket.transport().high_water());
        *waited = socket.buffered();
        self.answers += waited.saturating_sub(before);
        if *waited > high_water {
            self.fill(event_loop, socket)?;
            if self.answers > high_water && socket.is_full() {
                socket.set_blocked(true);
            }
        }
        Ok(())
    }

    /// Too much waits to be sent: the program is told, and again when it was sent.
    fn fill(&mut self, event_loop: &EventLoop, socket: &WebSocket) -> Result<(), Failure> {
        if socket.is_full() {
            return Ok(());
        }
        let waits = socket.waits().any_for_room();
        if !socket.transport().is_full() {
            // What was written since somebody began to wait may be sent before this is asked to look.
            if waits {
                socket.waits().has_room();
            }
            return Ok(());
        }
        if socket.stage() != Stage::Open && !waits {
            return Ok(());
        }
        match socket.transport().register_own_producer(Streaming::Pull) {
            Ok(()) => {
                socket.set_full(true);
                self.mark = None;
                self.program.pause_producing(event_loop, socket)
            }
            // One that has a producer already has one who looks after it.
            Err(error) => {
                socket.waits().no_room(error);
                Ok(())
            }
        }
    }

    fn run(&mut self, event_loop: &EventLoop, socket: &WebSocket, data: &[u8]) -> Result<(), Failure> {
        if self.kept.is_empty() {
            let mut piece = Piece::new(data);
            self.deliver(event_loop, socket, &mut piece)?;
            self.kept.extend_from_slice(piece.rest());
        } else {
            let mut all = std::mem::take(&mut self.kept);
            all.extend_from_slice(data);
            let mut piece = Piece::new(&all);
            self.deliver(event_loop, socket, &mut piece)?;
            let used = all.len() - piece.rest().len();
            if used < all.len() {
                all.drain(..used);
                self.kept = all;
            }
        }
        if !self.kept.is_empty() {
            socket.transport().wake_on_resume();
        }
        self.fill(event_loop, socket)?;
        if socket.stage() == Stage::Closing && self.waiting != Waiting::Close {
            self.wait(event_loop, socket, Waiting::Close);
        }
        Ok(())
    }

    fn wait(&mut self, event_loop: &EventLoop, socket: &WebSocket, waiting: Waiting) {
        let time = match waiting {
            Waiting::Nothing => None,
            Waiting::Close => Some(self.settings.close),
            Waiting::Silence | Waiting::Pong => self.settings.keep_alive,
        };
        self.waiting = if time.is_some() { waiting } else { Waiting::Nothing };
        self.idle.set_timeout(event_loop, socket.transport(), time);
    }

    /// The time is over.
    fn expire(&mut self, event_loop: &EventLoop, socket: &WebSocket) {
        let time = self.settings.keep_alive.unwrap_or_default();
        let end = match self.waiting {
            Waiting::Nothing => return,
            Waiting::Close => WebSocketEnd::CloseTimeout(self.settings.close),
            // Nothing was read, so nothing can be said about the peer, but whether it takes what it is sent.
            Waiting::Silence | Waiting::Pong if socket.is_paused() || socket.is_full() => {
                let buffered = socket.buffered();
                let stalled = buffered > 0 && self.mark.replace(buffered) == Some(buffered);
                if !stalled {
                    self.wait(event_loop, socket, Waiting::Silence);
                    return;
                }
                WebSocketEnd::Stalled(time)
            }
            Waiting::Silence => {
                // A connection that is lost is told of next.
                let _ = socket.ping(b"");
                self.wait(event_loop, socket, Waiting::Pong);
                return;
            }
            Waiting::Pong => WebSocketEnd::NoPong(time),
        };
        self.end.get_or_insert(end);
        socket.transport().abort();
    }
}

impl Protocol for Connection {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        let socket = WebSocket::new(transport, self.role, self.subprotocol.take(), self.encoder.take());
        self.socket = Some(socket.clone());
        self.wait(event_loop, &socket, Waiting::Silence);
        self.program.connection_made(event_loop, &socket)?;
        self.run(event_loop, &socket, b"")
    }

    fn data_received(&mut self, event_loop: &EventLoop, _: &Transport, data: &[u8]) -> Result<(), Failure> {
        let Some(socket) = self.socket.clone() else { return Ok(()) };
        match self.waiting {
            // While too much waits, it is looked at whether the peer takes something, whatever it sends.
            Waiting::Silence if socket.is_full() => {}
            Waiting::Silence => self.idle.reset_timeout(),
            Waiting::Pong => self.wait(event_loop, &socket, Waiting::Silence),
            Waiting::Nothing | Waiting::Close => {}
        }
        self.run(event_loop, &socket, data)
    }

    fn woken(&mut self, event_loop: &EventLoop, _: &Transport) -> Result<(), Failure> {
        let Some(socket) = self.socket.clone() else { return Ok(()) };
        if self.idle.take_expired() {
            self.expire(event_loop, &socket);
        }
        if socket.take_end_of_turn() {
            self.leave(event_loop, &socket);
        }
        self.run(event_loop, &socket, b"")
    }

    fn resume_producing(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        let Some(socket) = self.socket.clone() else { return Ok(()) };
        // A pull producer is asked at once when it is registered.
        if transport.buffered() > 0 || !socket.is_full() {
            return Ok(());
        }
        transport.unregister_producer();
        socket.set_full(false);
        socket.set_blocked(false);
        self.answers = 0;
        socket.waits().has_room();
        self.program.resume_producing(event_loop, &socket)?;
        self.run(event_loop, &socket, b"")
    }

    /// The peer's end of data is looked at: behind a close frame it is the end, else a connection that broke off.
    fn half_close(&self) -> bool {
        true
    }

    fn read_connection_lost(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        if self.socket.as_ref().is_some_and(WebSocket::is_full) {
            transport.unregister_producer();
        }
        if let Some(socket) = self.socket.clone() {
            self.leave(event_loop, &socket);
        }
        transport.lose_connection();
        Ok(())
    }

    fn connection_lost(&mut self, event_loop: &EventLoop, reason: Failure) {
        self.idle = IdleTimeout::new();
        self.kept = Vec::new();
        let left = self.leaving.take().map(|leaving| {
            let Leaving { close, by_peer } = *leaving;
            WebSocketEnd::Closed { close, by_peer }
        });
        let mut reason = match self.end.take().or(left) {
            Some(end) => Failure::from(end),
            // In order for the transport, but not for a WebSocket.
            None if reason.check::<ConnectionDone>().is_some() => WebSocketEnd::Unclosed.into(),
            None => reason,
        };
        let others = self.socket.take().filter(|socket| !socket.is_alone()).map(|socket| (socket, reason.share()));
        self.program.connection_lost(event_loop, reason);
        if let Some((socket, reason)) = others {
            socket.end(reason);
        }
    }
}

impl UpgradedProtocol for Connection {
    fn shutting_down(&mut self, event_loop: &EventLoop, _: &Transport) -> Result<(), Failure> {
        match self.socket.clone() {
            Some(socket) if socket.is_open() => self.program.shutting_down(event_loop, &socket),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("socket", &self.socket).field("decoder", &self.decoder).finish()
    }
}
