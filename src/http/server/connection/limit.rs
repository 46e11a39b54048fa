//! Time limits of a connection: which one holds now, and what comes of it when it is over.

use super::super::respond::respond;
use super::super::settings::LEAST_RATE;
use super::super::site::NEVER;
use super::{LINGER, ServerProtocol, Stage};
use crate::event_loop::EventLoop;
use crate::ground::Failure;
use crate::http::response::{Response, StatusError};
use crate::http::status::Status;
use crate::protocols::Piece;
use crate::transports::Transport;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    None,
    Quiet(u32),
    Head(u32),
    Body(u32),
    Handler(u32),
    Write(u32),
    Linger,
}

impl ServerProtocol {
    /// Sets the time limit that holds now, unless it runs already.
    pub(super) fn arm(&mut self) {
        let Some((_, watched)) = &self.watched else { return };
        let settings = &self.site.settings;
        let served = self.served;
        let (limit, time) = match &self.stage {
            Stage::Idle if !self.decoder.is_idle() => (Limit::Head(served), Some(settings.head)),
            Stage::Idle if served == 0 => (Limit::Quiet(0), Some(settings.head)),
            Stage::Idle => (Limit::Quiet(served), Some(settings.idle)),
            Stage::Busy(exchange) if exchange.outgoing.is_some() => (Limit::Write(served), Some(settings.write)),
            Stage::Busy(exchange) if exchange.incoming.is_some() => (Limit::Body(served), Some(settings.body)),
            Stage::Busy(_) => (Limit::Handler(served), settings.handler),
            Stage::Lingering => (Limit::Linger, Some(LINGER)),
            Stage::Upgraded(_) => (Limit::None, None),
        };
        if limit != self.armed {
            self.armed = limit;
            watched.deadline.set(time.map_or(NEVER, |time| self.site.after(time)));
            self.mark = None;
        }
    }

    /// How far sending is: a number that stays only if nothing is sent.
    pub(super) fn sent(&self, transport: &Transport) -> i64 {
        let written = match &self.stage {
            Stage::Busy(exchange) => exchange.outgoing.as_ref().map_or(0, |outgoing| outgoing.bytes as i64),
            _ => 0,
        };
        written - transport.buffered() as i64
    }

    /// The time limit is over.
    pub(super) fn expire(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.armed = Limit::None;
        if transport.buffered() > 0 {
            // The client is asked for one thing only: that it takes something.
            let sent = self.sent(transport);
            if self.mark == Some(sent) {
                transport.abort();
                return Ok(());
            }
            self.arm();
            if let (Stage::Lingering, Some((_, watched))) = (&self.stage, &self.watched) {
                // The last answer may take as long as any other.
                watched.deadline.set(self.site.after(self.site.settings.write));
            }
            self.mark = Some(sent);
            return Ok(());
        }
        let body_time = self.site.settings.body;
        match &mut self.stage {
            Stage::Idle if self.decoder.is_idle() => transport.lose_connection(),
            Stage::Idle => {
                let text = "408 Request Timeout: the head did not come in time\n";
                self.say(transport, Response::text(text).status(Status::REQUEST_TIMEOUT));
                self.close(transport, true);
            }
            Stage::Busy(exchange) if exchange.outgoing.is_some() => {} // It waits for its handler.
            Stage::Busy(exchange) if exchange.incoming.is_some() => {
                if let Some(incoming) = &exchange.incoming {
                    let received = incoming.received();
                    let came = received - std::mem::replace(&mut exchange.received, received);
                    let least = LEAST_RATE.saturating_mul(body_time.as_secs());
                    if came < least && !incoming.is_held_back() {
                        exchange.keep_alive = false;
                        let slow = StatusError::new(Status::REQUEST_TIMEOUT, "the body comes too slowly");
                        incoming.fail(slow.into());
                        if exchange.done {
                            return self.finish(event_loop, transport, &mut Piece::new(b""));
                        }
                    }
                }
                self.look(event_loop, transport, &mut Piece::new(b""))?;
            }
            Stage::Busy(exchange) => {
                exchange.cancel();
                let error = StatusError::new(Status::SERVICE_UNAVAILABLE, "it takes too long");
                respond(&self.site, transport, &self.peer, exchange, Err(error.into()));
                self.look(event_loop, transport, &mut Piece::new(b""))?;
            }
            Stage::Lingering => transport.abort(),
            Stage::Upgraded(_) => {}
        }
        Ok(())
    }
}
