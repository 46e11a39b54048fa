//! The ways to the end of a connection.

use std::rc::Rc;

use rustix::io::Errno;

use super::{CLOSING, DOOMED, HALF_CLOSING, LOST, Line, PAUSED, READ_DONE, Rare, report};
use crate::event_loop::EventLoop;
use crate::event_loop::upper::{drop_quietly, forget_payload, guard};
use crate::ground::Failure;
use crate::ground::failure::panic_message;
use crate::trace;
use crate::transports::error::{ConnectionAborted, ConnectionDone, ConnectionLost, Disconnected};
use crate::transports::producer::Who;

/// So much is read at a time at the end: what [`Protocol::data_received`](crate::Protocol::data_received) promises.
const LAST: usize = 64 * 1024;

impl Line {
    pub(crate) fn lose_connection(self: &Rc<Line>) {
        if !self.has(CLOSING | DOOMED | LOST) {
            self.set(CLOSING);
            self.let_transport_go();
            self.watch();
            self.touch();
        } else {
            self.reads_no_more();
        }
    }

    /// It was doomed, and is closed as well.
    fn reads_no_more(&self) {
        if self.has(DOOMED) && !self.has(LOST) {
            self.rare(|rare| rare.unread = false);
        }
    }

    pub(crate) fn lose_write_connection(self: &Rc<Line>) {
        if !self.has(HALF_CLOSING | CLOSING | DOOMED | LOST) {
            self.set(HALF_CLOSING);
            self.let_transport_go();
            self.touch();
        }
    }

    pub(crate) fn abort(self: &Rc<Line>) {
        if self.has(LOST) {
            return;
        }
        self.reset();
        self.reads_no_more();
        if self.has(DOOMED) {
            let reason = Failure::from(ConnectionAborted);
            let before = self.rare(|rare| match &rare.reason {
                // It was to be closed in order, and now it is not.
                Some(before) if before.check::<ConnectionDone>().is_some() => rare.reason.replace(reason),
                _ => Some(reason),
            });
            drop(before);
        } else {
            self.doom(ConnectionAborted.into());
        }
    }

    /// The connection is to be lost in the next turn.
    #[cold]
    pub(super) fn doom(self: &Rc<Line>, reason: Failure) {
        if self.has(DOOMED | LOST) {
            return;
        }
        self.set(DOOMED);
        self.watch();
        self.discard();
        self.rare(|rare| rare.reason = Some(reason));
        if let Some(event_loop) = self.lines.event_loop() {
            let line = self.clone();
            event_loop.call_soon_at(self.place(), move |event_loop| {
                let last = match line.rare(|rare| rare.unread) {
                    true => line.read_last(event_loop),
                    false => Ok(()),
                };
                let reason = match last {
                    Err(failure) => failure,
                    Ok(()) => line.rare(|rare| rare.reason.take()).unwrap_or_else(|| ConnectionDone.into()),
                };
                line.lose(event_loop, reason);
            });
        }
    }

    /// The same after an error of writing: what the peer had sent before it went away is told first. It may be why it did,
    /// as an answer to what it did not want to read.
    #[cold]
    pub(super) fn doom_unread(self: &Rc<Line>, reason: Failure) {
        if !self.has(DOOMED | LOST) {
            self.rare(|rare| rare.unread = true);
            self.doom(reason);
        }
    }

    /// Reads what is there, as far as the protocol takes it. Nothing follows, so it has an end.
    #[cold]
    fn read_last(self: &Rc<Line>, event_loop: &EventLoop) -> Result<(), Failure> {
        if self.has(CLOSING | READ_DONE) {
            return Ok(());
        }
        let mut buffer = vec![0; LAST];
        while !self.has(PAUSED | LOST) && self.rare(|rare| rare.unread) {
            let came = self.receive(&mut buffer);
            if trace::on() {
                self.tell_read(came);
            }
            match came {
                Err(Errno::INTR) => {}
                Ok(0) | Err(_) => break,
                Ok(n) => {
                    self.attend(&mut |protocol, transport| {
                        protocol.data_received(event_loop, transport, &buffer[..n])
                    })?;
                }
            }
        }
        Ok(())
    }

    /// The connection is over, now. Called by the loop, never from inside the protocol.
    #[cold]
    pub(crate) fn lose(self: Rc<Line>, event_loop: &EventLoop, reason: Failure) {
        if self.has(LOST) {
            return;
        }
        // Whoever writes to a connection that is doomed finds that it cannot: that is no reason of its own.
        let reason = match self.has(DOOMED) && reason.check::<Disconnected>().is_some() {
            true => self.rare(|rare| rare.reason.take()).unwrap_or(reason),
            false => reason,
        };
        self.set(LOST);
        self.discard();
        let place = self.place();
        self.detach_because(event_loop, &reason);
        let protocol = self.protocol.take();
        let rare = self.extra.take().and_then(|extra| extra.rare);
        // This closes the socket: before anybody hears of it.
        drop(self);
        if let Some(rare) = rare {
            let Rare { producer, counted, .. } = *rare;
            drop(counted);
            match producer.map(|registered| registered.who) {
                Some(Who::Transport(transport)) => transport.lose_connection(),
                Some(Who::Other(Some(producer))) => super::stop(event_loop, producer, place),
                Some(Who::Protocol | Who::Other(None)) | None => {}
            }
        }
        if let Some(mut protocol) = protocol {
            if let Err(payload) = guard(|| protocol.connection_lost(event_loop, reason)) {
                let text = panic_message(&*payload);
                report(format_args!("a protocol's connection_lost panicked: {text} (connection made at {place})"));
                forget_payload(payload);
            }
            drop_quietly(protocol);
        }
    }

    /// The run is over.
    pub(crate) fn disconnect(self: Rc<Line>, event_loop: &EventLoop) {
        let reason = if self.has(DOOMED) { self.rare(|rare| rare.reason.take()) } else { None };
        self.lose(event_loop, reason.unwrap_or_else(|| ConnectionLost::shutdown().into()));
    }
}
