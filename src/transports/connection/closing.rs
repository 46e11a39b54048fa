//! The ways to the end of a connection.

use std::rc::Rc;

use super::{CLOSING, DOOMED, HALF_CLOSING, LOST, Line, Rare, report};
use crate::event_loop::EventLoop;
use crate::event_loop::upper::{drop_quietly, forget_payload, guard};
use crate::ground::Failure;
use crate::ground::failure::panic_message;
use crate::transports::error::{ConnectionAborted, ConnectionDone, ConnectionLost};
use crate::transports::producer::Who;

impl Line {
    pub(crate) fn lose_connection(self: &Rc<Line>) {
        if !self.has(CLOSING | DOOMED | LOST) {
            self.set(CLOSING);
            self.let_transport_go();
            self.watch();
            self.touch();
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
                let reason = line.rare(|rare| rare.reason.take());
                line.lose(event_loop, reason.unwrap_or_else(|| ConnectionDone.into()));
            });
        }
    }

    /// The connection is over, now. Called by the loop, never from inside the protocol.
    #[cold]
    pub(crate) fn lose(self: Rc<Line>, event_loop: &EventLoop, reason: Failure) {
        if self.has(LOST) {
            return;
        }
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
