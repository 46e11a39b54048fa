//! One connection of a chat: it asks for a name, takes lines, and knows when to stop waiting.

use crate::room::{HIGH_WATER, PATIENCE, Room, Seat, send};
use ropewalk::protocols::{Delimiter, LineProtocol, LineReceiver, LineTransport};
use ropewalk::{ConnectionDone, DelayedCall, EventLoop, Failure, Streaming};
use std::rc::Rc;
use std::time::Duration;

/// The longest line, in bytes: a long sentence.
const LINE: usize = 1024;

/// The longest name, in characters: it is in front of every line.
const NAME: usize = 16;

/// How long a place is kept for somebody who gives no name.
const NAME_TIME: Duration = Duration::from_secs(60);

/// How long a member may be silent. A connection that was never closed must not keep its place for ever.
const IDLE_TIME: Duration = Duration::from_secs(30 * 60);

const HELP: &str = "* /who  /me DOES SOMETHING  /msg NAME TEXT  /quit";

/// A connection.
pub(crate) struct Member {
    room: Rc<Room>,
    /// There once it has a name.
    seat: Option<Rc<Seat>>,
    /// When it is dropped, while it is behind or being closed.
    patience: Option<DelayedCall>,
}

impl Member {
    /// For a new connection to the room.
    pub(crate) fn receiver(room: &Rc<Room>) -> LineReceiver<Member> {
        let member = Member { room: room.clone(), seat: None, patience: None };
        // `nc` ends a line with a line feed, `telnet` with a carriage return before it.
        LineReceiver::new(member).delimiter(Delimiter::LF).max_length(LINE)
    }

    /// Gives it the name that it asks for.
    fn sit_down(&mut self, event_loop: &EventLoop, transport: &LineTransport, name: &str) -> Result<(), Failure> {
        let fits = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.chars().count() > NAME || !name.chars().all(fits) {
            send(transport, &format!("* A name has 1 to {NAME} letters, digits, - and _. What is your name?"))?;
            return Ok(());
        }
        match self.room.sit_down(name, transport) {
            None => send(transport, "* Somebody here has that name. What is your name?")?,
            Some(seat) => {
                self.seat = Some(seat);
                transport.set_timeout(event_loop, Some(IDLE_TIME));
                send(transport, &format!("* Welcome, {name}. Here are: {}", self.room.names()))?;
                send(transport, HELP)?;
            }
        }
        Ok(())
    }

    /// Does what a member says.
    fn hear(
        &mut self,
        event_loop: &EventLoop,
        transport: &LineTransport,
        seat: &Seat,
        text: &str,
    ) -> Result<(), Failure> {
        let name = &seat.name;
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim();
        match word {
            "" if rest.is_empty() => {}
            "/who" => send(transport, &format!("* Here are: {}", self.room.names()))?,
            "/me" if !rest.is_empty() => self.room.tell(&format!("* {name} {rest}"), None),
            "/msg" => match rest.split_once(' ') {
                Some((to, text)) if self.room.tell_one(to, &format!("{name} (to you): {}", text.trim())) => {
                    send(transport, &format!("* {to} was told"))?;
                }
                Some((to, _)) => send(transport, &format!("* Nobody here is called {to}"))?,
                None => send(transport, "* /msg NAME TEXT")?,
            },
            "/quit" => self.close(event_loop, transport, "has left", "* Good-bye.")?,
            _ if word.starts_with('/') => send(transport, HELP)?,
            _ => self.room.tell(&format!("{name}: {text}"), Some(seat)),
        }
        Ok(())
    }

    /// Says a last word to it, and closes when that is sent, or when the time for it is over.
    fn close(
        &mut self,
        event_loop: &EventLoop,
        transport: &LineTransport,
        farewell: &str,
        last_word: &str,
    ) -> Result<(), Failure> {
        if let Some(seat) = self.seat.take() {
            self.room.stand_up(&seat, farewell);
        }
        send(transport, last_word)?;
        transport.unregister_producer();
        transport.lose_connection();
        let transport = transport.clone();
        self.be_patient(event_loop, move |_| transport.abort());
        Ok(())
    }

    /// Unless it is waited for already.
    fn be_patient(&mut self, event_loop: &EventLoop, then: impl FnOnce(&EventLoop) + 'static) {
        if self.patience.is_none() {
            self.patience = Some(event_loop.call_later(PATIENCE, then).named("patience"));
        }
    }

    fn no_more_patience(&mut self) {
        if let Some(patience) = self.patience.take() {
            // An error says that it is over already.
            let _ = patience.cancel();
        }
    }
}

impl LineProtocol for Member {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &LineTransport) -> Result<(), Failure> {
        transport.set_water_marks(HIGH_WATER, 0);
        transport.register_own_producer(Streaming::Push)?;
        if !self.room.come() {
            return self.close(event_loop, transport, "", "* The room is full. Please come later.");
        }
        transport.set_timeout(event_loop, Some(NAME_TIME));
        send(transport, "* What is your name?")?;
        Ok(())
    }

    fn line_received(
        &mut self,
        event_loop: &EventLoop,
        transport: &LineTransport,
        line: &[u8],
    ) -> Result<(), Failure> {
        match std::str::from_utf8(line) {
            Err(_) => send(transport, "* That was no UTF-8.")?,
            Ok(text) => {
                // What a terminal takes for an order must not reach somebody else's.
                let text = text.trim().replace(char::is_control, "\u{fffd}");
                match self.seat.clone() {
                    None => self.sit_down(event_loop, transport, &text)?,
                    Some(seat) => {
                        transport.reset_timeout();
                        self.hear(event_loop, transport, &seat, &text)?;
                    }
                }
            }
        }
        self.room.hold_if_full(event_loop, transport);
        Ok(())
    }

    fn line_length_exceeded(
        &mut self,
        event_loop: &EventLoop,
        transport: &LineTransport,
        _: &[u8],
    ) -> Result<(), Failure> {
        send(transport, &format!("* A line has at most {LINE} bytes. Nobody heard this one."))?;
        self.room.hold_if_full(event_loop, transport);
        Ok(())
    }

    fn timeout_connection(&mut self, event_loop: &EventLoop, transport: &LineTransport) -> Result<(), Failure> {
        self.close(event_loop, transport, "was silent for too long", "* You were silent for too long.")
    }

    /// It is behind, and the others wait for it: not for ever.
    fn pause_producing(&mut self, event_loop: &EventLoop, transport: &LineTransport) -> Result<(), Failure> {
        let (seat, transport) = (self.seat.clone(), transport.clone());
        self.be_patient(event_loop, move |_| match seat {
            Some(seat) => seat.drop_slow(),
            None => transport.abort(),
        });
        Ok(())
    }

    /// It caught up.
    fn resume_producing(&mut self, _: &EventLoop, _: &LineTransport) -> Result<(), Failure> {
        self.no_more_patience();
        self.room.go_on();
        Ok(())
    }

    fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
        if reason.check::<ConnectionDone>().is_none() {
            log::warn!("a connection was lost: {reason}");
        }
        self.no_more_patience();
        self.room.gone(self.seat.take().as_deref());
    }
}
