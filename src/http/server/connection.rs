//! One connection of a server: request by request.
//!
//! ```text
//!           a head                response and body complete
//!   Idle  ---------->  Busy  ------------------------------->  Idle, the next request
//!                       |  \---- 101 ---->  Upgraded: another protocol's
//!                       \------- close -->  Lingering: the client reads to the end, what it sends is thrown away
//! ```
//!
//! Requests behind the one at hand wait undecoded, at most some 64 KiB of them; then the client waits. So nothing that a
//! client sends ahead is answered out of order, or costs more.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::access::AccessRecord;
use super::exchange::Exchange;
use super::respond::{DISCARD, respond};
use super::routes::Found;
use super::settings::LEAST_RATE;
use super::site::{NEVER, SiteState, Watched};
use crate::event_loop::EventLoop;
use crate::ground::Failure;
use crate::ground::unhandled::error_line;
use crate::http::body::{Body, BodyTooLarge, Incoming};
use crate::http::decoder::{Event, RequestDecoder};
use crate::http::error::ParseError;
use crate::http::framing::BodyLength;
use crate::http::head::{RequestHead, Version};
use crate::http::method::Method;
use crate::http::outgoing::{HIGH_WATER, Progress};
use crate::http::request::Request;
use crate::http::response::{Reply, Response, StatusError};
use crate::http::status::Status;
use crate::protocols::Piece;
use crate::transports::{Address, Protocol, Streaming, Transport, report_unexpected};

/// So much may wait behind the request at hand: what one read brings.
const KEPT: usize = 64 * 1024;

/// How much another protocol is given at a time: what [`Protocol::data_received`] promises.
const AT_A_TIME: usize = 64 * 1024;

/// How long a client may take to read the last response and to close, while what it sends is thrown away. Closing at once
/// would reset the connection, and the response might not be seen (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(5);

/// The server's side of one connection. Made by [`Site::protocol`](super::Site::protocol).
pub struct ServerProtocol {
    site: Rc<SiteState>,
    peer: Address,
    watched: Option<(usize, Rc<Watched>)>,
    decoder: RequestDecoder,
    /// What came behind the request at hand.
    kept: Vec<u8>,
    stage: Stage,
    /// How many requests were answered.
    served: u32,
    /// What the time limit is for that runs.
    armed: Limit,
    /// How far sending was when it was looked at last.
    mark: Option<i64>,
    /// The client sends no more.
    ended: bool,
    /// Reading is paused because of what is kept.
    paused: bool,
    /// Nothing is answered until what was written is sent.
    blocked: bool,
}

enum Stage {
    Idle,
    Busy(Box<Exchange>),
    Lingering,
    Upgraded(Box<dyn Protocol>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Limit {
    None,
    Quiet(u32),
    Head(u32),
    Body(u32),
    Handler(u32),
    Write(u32),
    Linger,
}

impl ServerProtocol {
    pub(super) fn new(site: Rc<SiteState>, peer: Address) -> ServerProtocol {
        ServerProtocol {
            decoder: RequestDecoder::new(site.settings.limits),
            site,
            peer,
            watched: None,
            kept: Vec::new(),
            stage: Stage::Idle,
            served: 0,
            armed: Limit::None,
            mark: None,
            ended: false,
            paused: false,
            blocked: false,
        }
    }

    /// Does what can be done with what came.
    fn run(&mut self, event_loop: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        if self.kept.is_empty() {
            let mut piece = Piece::new(data);
            self.take(event_loop, transport, &mut piece)?;
            self.kept.extend_from_slice(piece.rest());
        } else {
            let mut all = std::mem::take(&mut self.kept);
            all.extend_from_slice(data);
            let mut piece = Piece::new(&all);
            self.take(event_loop, transport, &mut piece)?;
            let used = all.len() - piece.rest().len();
            all.drain(..used);
            self.kept = all;
        }
        let hold = self.kept.len() > KEPT || (self.blocked && !self.kept.is_empty());
        if hold != self.paused {
            self.paused = hold;
            if hold { transport.pause_producing() } else { transport.resume_producing() }
        }
        if self.kept.is_empty() && self.kept.capacity() > 0 {
            self.kept = Vec::new();
        }
        self.arm();
        Ok(())
    }

    fn take(
        &mut self,
        event_loop: &EventLoop,
        transport: &Transport,
        piece: &mut Piece<'_>,
    ) -> Result<(), Failure> {
        loop {
            if transport.is_disconnecting() {
                return Ok(());
            }
            match &mut self.stage {
                Stage::Idle => {
                    if self.served > 0 && !piece.rest().is_empty() && transport.buffered() >= HIGH_WATER {
                        self.block(transport);
                        return Ok(());
                    }
                    match self.decoder.next_event(piece) {
                        Ok(None) => return self.nothing_left(transport),
                        Ok(Some(Event::Head(head))) => self.begin(event_loop, transport, head, piece)?,
                        Ok(Some(_)) => {} // A request begins with its head.
                        Err(error) => self.refuse(transport, error),
                    }
                }
                Stage::Busy(exchange) => {
                    let Some(incoming) = &exchange.incoming else { return Ok(()) };
                    match self.decoder.next_event(piece) {
                        Ok(None) => return Ok(()),
                        Ok(Some(Event::Data(data))) => {
                            if !incoming.push(data) {
                                exchange.keep_alive = false;
                            }
                            let in_vain = exchange.done && incoming.is_gone();
                            exchange.discarded += if in_vain { data.len() as u64 } else { 0 };
                            if exchange.done && (!exchange.keep_alive || exchange.discarded > DISCARD) {
                                exchange.keep_alive = false;
                                self.finish(event_loop, transport, piece)?;
                                continue;
                            }
                        }
                        Ok(Some(Event::End(trailers))) => {
                            let incoming = exchange.incoming.take();
                            if let Some(incoming) = incoming {
                                incoming.finish(trailers);
                            }
                        }
                        Ok(Some(_)) => {}
                        Err(error) => {
                            exchange.keep_alive = false;
                            if let Some(incoming) = exchange.incoming.take() {
                                incoming.fail(error.into());
                            }
                        }
                    }
                    self.look(event_loop, transport, piece)?;
                }
                Stage::Lingering => {
                    piece.take(usize::MAX);
                    return Ok(());
                }
                Stage::Upgraded(protocol) => return pass_on(&mut **protocol, event_loop, transport, piece),
            }
        }
    }

    /// All that came is answered, or is the beginning of a head.
    fn nothing_left(&mut self, transport: &Transport) -> Result<(), Failure> {
        if self.decoder.is_idle() && (self.ended || (self.site.closing.get() && self.served > 0)) {
            transport.lose_connection();
        }
        Ok(())
    }

    /// What was written must be sent before more is answered.
    fn block(&mut self, transport: &Transport) {
        self.blocked = transport.register_own_producer(Streaming::Pull).is_ok();
    }

    /// A head has come: the handler is asked.
    fn begin(
        &mut self,
        event_loop: &EventLoop,
        transport: &Transport,
        head: RequestHead,
        piece: &mut Piece<'_>,
    ) -> Result<(), Failure> {
        let head = Rc::new(head);
        let began = if self.site.logs { event_loop.time() } else { Duration::ZERO };
        let mut exchange = Exchange::new(head.clone(), began);
        let body = match head.body_length() {
            BodyLength::Empty => {
                // The end of the request, which is here.
                drop(self.decoder.next_event(piece));
                Body::empty()
            }
            length => {
                let limit = self.site.settings.max_body;
                let (incoming, body) = Incoming::new(transport, length, limit, head.expects_continue());
                exchange.incoming = Some(incoming);
                body
            }
        };
        let reply = match self.refusal(&head) {
            Some(failure) => {
                drop(body);
                Reply::Now(Err(failure))
            }
            None => match self.site.routes.find(&head.method, head.path()) {
                Found::Answer(response) => {
                    drop(body);
                    Reply::Now(Ok(response))
                }
                Found::Endpoint(endpoint, params) => {
                    endpoint.call(event_loop, Request { head, params, peer: self.peer.clone(), body })
                }
            },
        };
        let result = match reply {
            Reply::Now(result) => Some(result),
            Reply::Later(response) => exchange.wait_for(response, transport),
        };
        if let Some(result) = result {
            respond(&self.site, transport, &self.peer, &mut exchange, result);
        }
        if exchange.done && exchange.incoming.is_none() {
            return self.complete(event_loop, transport, &mut exchange, piece);
        }
        self.stage = Stage::Busy(Box::new(exchange));
        self.look(event_loop, transport, piece)
    }

    /// Why no handler is asked.
    fn refusal(&self, head: &RequestHead) -> Option<Failure> {
        let limit = self.site.settings.max_body;
        if head.body_length().exact().is_some_and(|bytes| bytes > limit) {
            return Some(BodyTooLarge { limit }.into());
        }
        let mut expected = head.headers.list("Expect");
        if head.version == Version::Http11 && expected.any(|what| !what.eq_ignore_ascii_case("100-continue")) {
            return Some(StatusError::new(Status::EXPECTATION_FAILED, "only 100-continue").into());
        }
        if self.site.closing.get() && self.served == 0 && head.method == Method::Connect {
            return Some(StatusError::new(Status::SERVICE_UNAVAILABLE, "shutting down").into());
        }
        None
    }

    /// Sends what the handler has answered, and what there is of its body.
    fn look(
        &mut self,
        event_loop: &EventLoop,
        transport: &Transport,
        piece: &mut Piece<'_>,
    ) -> Result<(), Failure> {
        let Stage::Busy(exchange) = &mut self.stage else { return Ok(()) };
        if let Some(result) = exchange.take_answer() {
            respond(&self.site, transport, &self.peer, exchange, result);
        }
        if let Some(outgoing) = &mut exchange.outgoing {
            let pumped = outgoing.pump(event_loop, transport);
            exchange.bytes = outgoing.bytes;
            match pumped {
                Ok(Progress::Waiting) => return Ok(()),
                Ok(Progress::Done) => {
                    exchange.outgoing = None;
                    exchange.done = true;
                }
                Err(failure) => {
                    // Too late for a status: the client sees it break off.
                    let (method, target) = (&exchange.head.method, &exchange.head.target);
                    let peer = &self.peer;
                    if is_clients_own(&failure) {
                        log::debug!(target: "ropewalk", "a body ended early ({method} {target} for {peer}): {failure}");
                    } else if !transport.is_disconnected() {
                        error_line(&format_args!("a body failed ({method} {target} for {peer}): {failure:?}"));
                    }
                    transport.abort();
                    return Ok(());
                }
            }
        }
        if exchange.done && (exchange.incoming.is_none() || !exchange.keep_alive) {
            return self.finish(event_loop, transport, piece);
        }
        Ok(())
    }

    /// The exchange at hand is over.
    fn finish(
        &mut self,
        event_loop: &EventLoop,
        transport: &Transport,
        piece: &mut Piece<'_>,
    ) -> Result<(), Failure> {
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Busy(mut exchange) => self.complete(event_loop, transport, &mut exchange, piece),
            other => {
                self.stage = other;
                Ok(())
            }
        }
    }

    fn complete(
        &mut self,
        event_loop: &EventLoop,
        transport: &Transport,
        exchange: &mut Exchange,
        piece: &mut Piece<'_>,
    ) -> Result<(), Failure> {
        self.served = self.served.wrapping_add(1);
        if self.site.logs {
            self.log(event_loop, exchange, true);
        }
        if let Some(protocol) = exchange.upgrade.take() {
            if let Some((_, watched)) = &self.watched {
                watched.upgraded.set(true);
            }
            if std::mem::take(&mut self.paused) {
                transport.resume_producing();
            }
            self.stage = Stage::Upgraded(protocol);
            if let Stage::Upgraded(protocol) = &mut self.stage {
                protocol.connection_made(event_loop, transport)?;
            }
            return Ok(());
        }
        if !exchange.keep_alive {
            let more = exchange.incoming.is_some() || !piece.rest().is_empty() || self.decoder.has_failed();
            self.close(transport, more);
        }
        Ok(())
    }

    /// Closes behind what was written. `more`: the client may be sending something that nobody will read.
    fn close(&mut self, transport: &Transport, more: bool) {
        self.stage = Stage::Lingering;
        if more && !self.ended {
            transport.lose_write_connection();
        } else {
            transport.lose_connection();
        }
    }

    /// The client is told what is wrong with its request, and that is all.
    fn refuse(&mut self, transport: &Transport, error: ParseError) {
        let status = error.status();
        self.say(transport, Response::text(format!("{status}: {error}\n")).status(status));
        self.close(transport, true);
    }

    /// Writes a response to what was no request.
    fn say(&mut self, transport: &Transport, response: Response) {
        let mut exchange = Exchange::new(Rc::new(RequestHead::new(Method::Get, "")), Duration::ZERO);
        exchange.keep_alive = false;
        respond(&self.site, transport, &self.peer, &mut exchange, Ok(response));
        if self.site.logs {
            let mut record = AccessRecord::new(&self.peer, None);
            (record.status, record.bytes, record.complete) = (exchange.status, exchange.bytes, true);
            self.site.log(&record);
        }
    }

    #[cold]
    fn log(&self, event_loop: &EventLoop, exchange: &Exchange, complete: bool) {
        let mut record = AccessRecord::new(&self.peer, Some(&exchange.head));
        record.duration = event_loop.time().saturating_sub(exchange.began);
        record.time = record.time.checked_sub(record.duration).unwrap_or(record.time);
        (record.status, record.bytes, record.complete) = (exchange.status, exchange.bytes, complete);
        self.site.log(&record);
    }

    // Time.

    /// Sets the time limit that holds now, unless it runs already.
    fn arm(&mut self) {
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
    fn sent(&self, transport: &Transport) -> i64 {
        let written = match &self.stage {
            Stage::Busy(exchange) => exchange.outgoing.as_ref().map_or(0, |outgoing| outgoing.bytes as i64),
            _ => 0,
        };
        written - transport.buffered() as i64
    }

    /// The time limit is over.
    fn expire(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
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

/// Whether a failure is what a client did, and no error of the program's: its request's body broke the rules, was too
/// large, or came too slowly.
fn is_clients_own(failure: &Failure) -> bool {
    let slow = failure.check::<StatusError>().is_some_and(|error| error.status() == Status::REQUEST_TIMEOUT);
    slow || failure.check::<ParseError>().is_some() || failure.check::<BodyTooLarge>().is_some()
}

/// Gives another protocol what came before it was there.
fn pass_on(
    protocol: &mut dyn Protocol,
    event_loop: &EventLoop,
    transport: &Transport,
    piece: &mut Piece<'_>,
) -> Result<(), Failure> {
    while !piece.rest().is_empty() && !transport.is_disconnecting() {
        if transport.is_paused() {
            transport.wake_on_resume();
            return Ok(());
        }
        protocol.data_received(event_loop, transport, piece.take(AT_A_TIME))?;
    }
    Ok(())
}

impl Protocol for ServerProtocol {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        // What is small goes at once: all that is written in one callback is one write anyway.
        if transport.set_tcp_nodelay(true).is_err() {
            // Lost already, which is told next.
        }
        self.watched = Some(self.site.add(event_loop, transport));
        if self.site.closing.get() {
            transport.lose_connection();
        }
        self.arm();
        Ok(())
    }

    #[inline]
    fn data_received(&mut self, event_loop: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        if let Stage::Upgraded(protocol) = &mut self.stage
            && self.kept.is_empty()
        {
            return protocol.data_received(event_loop, transport, data);
        }
        self.run(event_loop, transport, data)
    }

    fn woken(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        if let Stage::Upgraded(protocol) = &mut self.stage {
            protocol.woken(event_loop, transport)?;
        } else {
            if self.watched.as_ref().is_some_and(|(_, watched)| watched.expired.take()) {
                self.expire(event_loop, transport)?;
            }
            self.look(event_loop, transport, &mut Piece::new(b""))?;
            if self.site.closing.get() && matches!(self.stage, Stage::Idle) && self.decoder.is_idle() {
                transport.lose_connection();
            }
        }
        self.run(event_loop, transport, b"")
    }

    fn resume_producing(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        match &mut self.stage {
            Stage::Upgraded(protocol) => return protocol.resume_producing(event_loop, transport),
            Stage::Busy(exchange) => {
                if let Some(outgoing) = &exchange.outgoing {
                    outgoing.tell_writer(false);
                }
            }
            _ => {}
        }
        if std::mem::take(&mut self.blocked) {
            transport.unregister_producer();
        }
        self.look(event_loop, transport, &mut Piece::new(b""))?;
        self.run(event_loop, transport, b"")
    }

    fn pause_producing(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        match &mut self.stage {
            Stage::Upgraded(protocol) => protocol.pause_producing(event_loop, transport),
            _ => Ok(()),
        }
    }

    fn half_close(&self) -> bool {
        match &self.stage {
            Stage::Upgraded(protocol) => protocol.half_close(),
            // A client that has sent its last request still gets the answer.
            _ => true,
        }
    }

    fn read_connection_lost(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.ended = true;
        match &mut self.stage {
            Stage::Upgraded(protocol) => return protocol.read_connection_lost(event_loop, transport),
            Stage::Lingering => transport.lose_connection(),
            Stage::Idle => match self.decoder.end_of_data() {
                Ok(()) if self.kept.is_empty() => transport.lose_connection(),
                Ok(()) => {}
                Err(error) => self.refuse(transport, error),
            },
            Stage::Busy(exchange) => {
                if let Some(incoming) = exchange.incoming.take() {
                    exchange.keep_alive = false;
                    incoming.fail(match self.decoder.end_of_data() {
                        Err(error) => error.into(),
                        Ok(()) => Failure::msg("the client closed"),
                    });
                    self.look(event_loop, transport, &mut Piece::new(b""))?;
                }
            }
        }
        self.arm();
        Ok(())
    }

    fn write_connection_lost(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        match &mut self.stage {
            Stage::Upgraded(protocol) => protocol.write_connection_lost(event_loop, transport),
            _ => Ok(()),
        }
    }

    fn connection_lost(&mut self, event_loop: &EventLoop, mut reason: Failure) {
        if let Some((key, _)) = self.watched.take() {
            self.site.remove(key);
        }
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Upgraded(mut protocol) => return protocol.connection_lost(event_loop, reason),
            Stage::Busy(mut exchange) => {
                if let Some(incoming) = exchange.incoming.take() {
                    incoming.fail(reason.share());
                }
                exchange.cancel();
                if self.site.logs {
                    self.log(event_loop, &exchange, false);
                }
            }
            Stage::Idle | Stage::Lingering => {}
        }
        report_unexpected(&reason);
    }
}

impl fmt::Debug for ServerProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerProtocol")
            .field("peer", &self.peer)
            .field("served", &self.served)
            .finish_non_exhaustive()
    }
}
