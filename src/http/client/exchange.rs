//! One request and its response on a connection: no faster than the peer takes the one, and the program the other.

use std::cell::Cell;
use std::rc::Rc;

use super::answer::ClientResponse;
use super::call::Call;
use super::inflate::Inflate;
use super::pool::Slot;
use super::problem::ClientProblem;
use super::request_body::RequestBody;
use crate::event_loop::{DelayedCall, EventLoop};
use crate::ground::Failure;
use crate::http::body::{BodyTooLarge, Incoming};
use crate::http::decoder::{Event, ResponseDecoder};
use crate::http::framing::BodyLength;
use crate::http::head::ResponseHead;
use crate::http::headers::Headers;
use crate::http::outgoing::{Framing, OutgoingBody, Progress};
use crate::http::status::Status;
use crate::protocols::Piece;
use crate::transports::{ConnectionDone, ConnectionLost, Disconnected, Transport};

pub(super) struct Exchange {
    pub(super) call: Rc<Call>,
    slot: Rc<Slot>,
    sending: Sending,
    decoder: ResponseDecoder,
    incoming: Option<Rc<Incoming>>,
    inflate: Option<Inflate>,
    /// What came and waits until the program has taken what was before it: what one read brings.
    kept: Vec<u8>,
    /// The response's head allows another request behind it.
    stays_open: bool,
}

/// What is left of the request.
enum Sending {
    Nothing,
    /// The body waits for `100 Continue`, or for the time to be over.
    Expecting(DelayedCall, Rc<Cell<bool>>),
    Body(OutgoingBody),
}

impl Exchange {
    /// Writes the request, or the beginning of it.
    pub(super) fn begin(
        event_loop: &EventLoop,
        transport: &Transport,
        call: Rc<Call>,
        slot: Rc<Slot>,
    ) -> Result<Exchange, Failure> {
        let decoder = ResponseDecoder::new(call.hop.settings.limits, &call.hop.method);
        let mut exchange = Exchange {
            call: call.clone(),
            slot,
            sending: Sending::Nothing,
            decoder,
            incoming: None,
            inflate: None,
            kept: Vec::new(),
            stays_open: false,
        };
        let mut bytes = call.hop.encode_head();
        match (&call.hop.body, call.hop.expects()) {
            (RequestBody::Bytes(body), None) => {
                bytes.extend_from_slice(body);
                transport.write(&bytes)?;
                call.made(event_loop, transport);
            }
            (_, Some(wait)) => {
                transport.write(&bytes)?;
                let (over, woken) = (Rc::new(Cell::new(false)), transport.clone());
                let told = over.clone();
                let timer = event_loop.call_later_at(wait, call.place, move |_| {
                    told.set(true);
                    woken.wake_protocol();
                });
                exchange.sending = Sending::Expecting(timer, over);
                call.made(event_loop, transport);
            }
            (RequestBody::Stream(_), None) => {
                transport.write(&bytes)?;
                call.made(event_loop, transport);
                exchange.send_body(event_loop, transport);
            }
        }
        Ok(exchange)
    }

    pub(super) fn is_over(&self) -> bool {
        self.call.is_over()
    }

    /// Nothing is told to wait for any more: the body follows its head.
    fn send_body(&mut self, event_loop: &EventLoop, transport: &Transport) {
        self.call_off_wait();
        match &self.call.hop.body {
            RequestBody::Bytes(body) => {
                // A connection that is lost is told of next.
                let _ = transport.write(body);
                self.call.made(event_loop, transport);
            }
            RequestBody::Stream(stream) => {
                let framing = stream.length.map_or(Framing::Chunked, Framing::Exact);
                let Some(source) = stream.take() else {
                    return self.call.fail(ClientProblem::BodyGone);
                };
                self.sending = Sending::Body(OutgoingBody::new(source, framing, transport));
                self.call.sends(event_loop, true);
                self.pump(event_loop, transport);
            }
        }
    }

    fn call_off_wait(&mut self) {
        if let Sending::Expecting(timer, _) = &self.sending {
            // It may be the timer that ends it.
            let _ = timer.cancel();
            self.sending = Sending::Nothing;
        }
    }

    /// Sends what there is of the body.
    pub(super) fn pump(&mut self, event_loop: &EventLoop, transport: &Transport) {
        match &mut self.sending {
            Sending::Nothing => {}
            Sending::Expecting(_, over) if over.get() => self.send_body(event_loop, transport),
            Sending::Expecting(..) => {}
            Sending::Body(body) => {
                let pumped = body.pump(event_loop, transport);
                self.call.sent(body.bytes);
                match pumped {
                    Ok(Progress::Waiting) => {}
                    Ok(Progress::Done) => {
                        self.sending = Sending::Nothing;
                        self.call.sends(event_loop, false);
                    }
                    // Why it is lost is told next.
                    Err(failure) if failure.check::<Disconnected>().is_some() && transport.is_disconnecting() => {}
                    Err(failure) => self.call.fail(failure),
                }
            }
        }
    }

    /// There is room again.
    pub(super) fn has_room(&mut self, event_loop: &EventLoop, transport: &Transport) {
        if let Sending::Body(body) = &self.sending {
            body.tell_writer(false);
        }
        self.pump(event_loop, transport);
    }

    /// The rest of the request is not sent.
    fn stop_sending(&mut self, event_loop: &EventLoop, transport: &Transport) {
        self.call_off_wait();
        if let Sending::Body(body) = &mut self.sending {
            body.unregister(transport);
            self.sending = Sending::Nothing;
            self.call.sends(event_loop, false);
        }
    }

    /// Does what can be done with what came.
    pub(super) fn run(&mut self, event_loop: &EventLoop, transport: &Transport, data: &[u8]) {
        if self.kept.is_empty() {
            let mut piece = Piece::new(data);
            self.take(event_loop, transport, &mut piece);
            self.kept.extend_from_slice(piece.rest());
        } else {
            let mut all = std::mem::take(&mut self.kept);
            all.extend_from_slice(data);
            let mut piece = Piece::new(&all);
            self.take(event_loop, transport, &mut piece);
            let used = all.len() - piece.rest().len();
            all.drain(..used);
            self.kept = all;
        }
        if self.is_over() {
            self.kept = Vec::new();
        }
    }

    fn take(&mut self, event_loop: &EventLoop, transport: &Transport, piece: &mut Piece<'_>) {
        while !self.is_over() {
            // Nobody wants the rest: what is there already may be all of it, and then the connection can be kept.
            let mut gone = false;
            if let Some(incoming) = &self.incoming {
                gone = incoming.is_gone();
                if gone && (piece.rest().is_empty() || self.call.hop.client.is_none()) && !self.is_at_end() {
                    return self.call.give_up();
                }
                if incoming.is_held_back() {
                    // What is there already may unpack to far more.
                    return transport.wake_on_resume();
                }
                match self.inflate.as_mut().filter(|_| !gone).and_then(Inflate::next_block) {
                    Some(Ok(block)) => {
                        self.deliver(event_loop, &block);
                        continue;
                    }
                    Some(Err(problem)) => return self.call.fail(problem),
                    None => {}
                }
            }
            match self.decoder.next_event(piece) {
                Ok(None) if gone => return self.call.give_up(),
                Ok(None) => return,
                Ok(Some(Event::Head(head))) if head.status == Status::SWITCHING_PROTOCOLS => {
                    return self.call.fail(ClientProblem::Upgrade);
                }
                Ok(Some(Event::Head(head))) if head.status == Status::CONTINUE => {
                    if let Sending::Expecting(..) = self.sending {
                        self.send_body(event_loop, transport);
                    }
                }
                Ok(Some(Event::Head(head))) if head.status.is_informational() => {}
                Ok(Some(Event::Head(head))) => self.answered(event_loop, transport, head),
                Ok(Some(Event::Data(_))) if gone => {}
                Ok(Some(Event::Data(data))) => match &mut self.inflate {
                    Some(inflate) => inflate.feed(data),
                    None => self.deliver(event_loop, data),
                },
                Ok(Some(Event::End(trailers))) => {
                    return self.finish(event_loop, transport, trailers, piece.rest().is_empty());
                }
                Err(error) => return self.call.fail(error),
            }
        }
    }

    /// Whether the end of the response can be told without another byte.
    fn is_at_end(&self) -> bool {
        self.call.hop.client.is_some() && self.decoder.is_at_end()
    }

    /// The final head has come.
    fn answered(&mut self, event_loop: &EventLoop, transport: &Transport, head: ResponseHead) {
        let max_body = self.call.hop.settings.max_body;
        let length = head.body_length();
        self.stays_open = head.keep_alive();
        match self.sending {
            Sending::Nothing => {}
            // The server does without the rest of the request, and cannot tell it from another one.
            Sending::Body(_) if !head.status.is_client_error() && !head.status.is_server_error() => {}
            _ => {
                self.stays_open = false;
                self.stop_sending(event_loop, transport);
            }
        }
        if self.call.hop.unpacks() && length != BodyLength::Empty {
            match Inflate::of(&head.headers) {
                Ok(inflate) => self.inflate = inflate,
                Err(problem) => return self.call.fail(problem),
            }
        }
        let length = match self.inflate {
            None => length,
            // How long it is unpacked is not said.
            Some(_) => BodyLength::UntilClose,
        };
        if length.exact().is_some_and(|bytes| bytes > max_body) {
            self.call.in_body();
            return self.call.fail(BodyTooLarge { limit: max_body });
        }
        // The limit is held against it here, where the error gets its URL.
        let (incoming, body) = Incoming::new(transport, length, u64::MAX, false);
        incoming.wake_when_gone();
        let incoming = Rc::new(incoming);
        self.incoming = Some(incoming.clone());
        let response = ClientResponse::new(self.call.hop.clone(), head, body);
        self.call.respond(event_loop, incoming, response);
    }

    fn deliver(&mut self, event_loop: &EventLoop, data: &[u8]) {
        let Some(incoming) = &self.incoming else { return };
        let limit = self.call.hop.settings.max_body;
        if data.len() as u64 > limit.saturating_sub(incoming.received()) {
            return self.call.fail(BodyTooLarge { limit });
        }
        self.call.came(event_loop);
        incoming.push(data);
    }

    /// The response is whole. `clean`: nothing came behind it.
    fn finish(&mut self, event_loop: &EventLoop, transport: &Transport, trailers: Headers, clean: bool) {
        let gone = self.incoming.as_ref().is_some_and(|incoming| incoming.is_gone());
        if let Some(Err(problem)) = self.inflate.take().filter(|_| !gone).map(Inflate::finish) {
            return self.call.fail(problem);
        }
        let sent = matches!(self.sending, Sending::Nothing) && transport.buffered() == 0;
        self.stop_sending(event_loop, transport);
        let incoming = self.incoming.take();
        let kept = sent
            && clean
            && self.stays_open
            && !transport.is_disconnecting()
            && self.slot.keep(event_loop, transport, self.call.place);
        self.call.done(kept);
        if let Some(incoming) = incoming {
            incoming.finish(trailers);
        }
    }

    /// The connection is lost.
    pub(super) fn lost(&mut self, event_loop: &EventLoop, reason: Failure) {
        self.call_off_wait();
        if self.is_over() {
            return;
        }
        if self.decoder.is_idle() && self.call.asks_again(event_loop, true) {
            return;
        }
        let in_order = reason.check::<ConnectionDone>().is_some();
        let waiting = !self.kept.is_empty() || self.inflate.as_ref().is_some_and(Inflate::is_waiting);
        if !in_order || waiting {
            let unsent = reason.check::<ConnectionLost>().map_or(0, ConnectionLost::unsent);
            self.call.answering(unsent);
            return self.call.fail(reason);
        }
        self.call.answering(0);
        if self.decoder.is_idle() {
            return self.call.fail(ClientProblem::NoAnswer);
        }
        match self.decoder.end_of_data() {
            Ok(Some(Event::End(trailers))) => self.finish_closed(trailers),
            Ok(_) => {}
            Err(error) => self.call.fail(error),
        }
    }

    /// The response ends with its connection.
    fn finish_closed(&mut self, trailers: Headers) {
        if let Some(Err(problem)) = self.inflate.take().map(Inflate::finish) {
            return self.call.fail(problem);
        }
        self.call.done(false);
        if let Some(incoming) = self.incoming.take() {
            incoming.finish(trailers);
        }
    }
}
