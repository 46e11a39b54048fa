//! One connection of a server: request by request.
//!
//! ```text
//!           a head                response and body complete
//!   Idle  ---------->  Busy  ------------------------------->  Idle, the next request
//!                       |  \---- 101 ---->  Upgraded: another protocol's
//!                       \------- close -->  Lingering: the client reads to the end, what it sends is thrown away
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `limit` | which time limit holds, and what comes of it |
//! | `refusal` | what a client is told when no handler is asked |
//! | `protocol` | what the transport tells |
//!
//! Requests behind the one at hand wait undecoded, at most some 64 KiB of them; then the client waits. So nothing that a
//! client sends ahead is answered out of order, or costs more.

mod limit;
mod protocol;
mod refusal;

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use self::limit::Limit;
use self::protocol::pass_on;
use self::refusal::is_clients_own;
use super::access::AccessRecord;
use super::exchange::Exchange;
use super::respond::{DISCARD, respond};
use super::routes::Found;
use super::site::{SiteState, Watched};
use crate::event_loop::EventLoop;
use crate::ground::Failure;
use crate::ground::unhandled::error_line;
use crate::http::body::{Body, Incoming};
use crate::http::decoder::{Event, RequestDecoder};
use crate::http::framing::BodyLength;
use crate::http::head::RequestHead;
use crate::http::outgoing::{HIGH_WATER, Progress};
use crate::http::request::Request;
use crate::http::response::Reply;
use crate::http::successor::Successor;
use crate::protocols::Piece;
use crate::transports::{Address, Streaming, Transport};

/// So much may wait behind the request at hand: what one read brings.
const KEPT: usize = 64 * 1024;

/// How much another protocol is given at a time: what [`Protocol::data_received`] promises.
const AT_A_TIME: usize = 64 * 1024;

/// How long a client may take to read the last response and to close, while what it sends is thrown away. Closing at once
/// would reset the connection, and the response might not be seen (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(5);

/// The server's side of one connection. Made by [`Site::protocol`](super::Site::protocol).
///
/// ```
/// use ropewalk::http::{Response, Server};
/// use ropewalk::{Address, testing::MemoryLoop};
/// use std::time::Duration;
///
/// let test = MemoryLoop::new()?;
/// let site = Server::new()
///     .get("/slow", |event_loop, _| event_loop.defer_later(Duration::from_secs(2), |_| Ok(Response::text("slow"))))
///     .get("/fast", |_, _| "fast")
///     .start(&test)?;
/// let peer = test.connected(site.protocol(&Address::Memory));
/// // Two requests at once are answered in their order.
/// peer.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /fast HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
/// assert_eq!(peer.text(), "");
/// test.advance(Duration::from_secs(2));
/// let (slow, fast) = (peer.text().find("\r\n\r\nslow").unwrap(), peer.text().find("\r\n\r\nfast").unwrap());
/// assert!(slow < fast);
/// assert!(peer.sees_end());
/// # Ok::<(), std::io::Error>(())
/// ```
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
    Upgraded(Successor),
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
                Stage::Upgraded(successor) => return pass_on(successor.get_mut(), event_loop, transport, piece),
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
        if let Some(successor) = exchange.upgrade.take() {
            if std::mem::take(&mut self.paused) {
                transport.resume_producing();
            }
            self.stage = Stage::Upgraded(successor);
            if let Stage::Upgraded(successor) = &mut self.stage {
                successor.get_mut().connection_made(event_loop, transport)?;
                if self.site.closing.get() {
                    successor.shut_down(event_loop, transport)?;
                }
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

    #[cold]
    fn log(&self, event_loop: &EventLoop, exchange: &Exchange, complete: bool) {
        let mut record = AccessRecord::new(&self.peer, Some(&exchange.head));
        record.duration = event_loop.time().saturating_sub(exchange.began);
        record.time = record.time.checked_sub(record.duration).unwrap_or(record.time);
        (record.status, record.bytes, record.complete) = (exchange.status, exchange.bytes, complete);
        self.site.log(&record);
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
