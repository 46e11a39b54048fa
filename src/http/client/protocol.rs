//! The response out of the connection's bytes, no faster than the program takes it.

use std::rc::Rc;

use super::answer::ClientResponse;
use super::call::Call;
use super::inflate::Inflate;
use super::problem::ClientProblem;
use crate::event_loop::EventLoop;
use crate::ground::Failure;
use crate::http::body::{BodyTooLarge, Incoming};
use crate::http::decoder::{Event, ResponseDecoder};
use crate::http::framing::BodyLength;
use crate::http::head::ResponseHead;
use crate::http::headers::Headers;
use crate::http::status::Status;
use crate::protocols::Piece;
use crate::transports::{ConnectionDone, Protocol, Transport};

pub(super) struct ClientProtocol {
    call: Rc<Call>,
    decoder: ResponseDecoder,
    incoming: Option<Rc<Incoming>>,
    inflate: Option<Inflate>,
    /// What came and waits until the program has taken what was before it: what one read brings.
    kept: Vec<u8>,
}

impl ClientProtocol {
    pub(super) fn new(call: Rc<Call>) -> ClientProtocol {
        let decoder = ResponseDecoder::new(call.hop.settings.limits, &call.hop.method);
        ClientProtocol { call, decoder, incoming: None, inflate: None, kept: Vec::new() }
    }

    fn run(&mut self, event_loop: &EventLoop, transport: &Transport, data: &[u8]) {
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
        if self.call.is_over() {
            self.kept = Vec::new();
        }
    }

    fn take(&mut self, event_loop: &EventLoop, transport: &Transport, piece: &mut Piece<'_>) {
        while !self.call.is_over() {
            if let Some(incoming) = &self.incoming {
                if incoming.is_gone() {
                    return self.call.give_up();
                }
                if incoming.is_held_back() {
                    // What is there already may unpack to far more.
                    return transport.wake_on_resume();
                }
                match self.inflate.as_mut().and_then(Inflate::next_block) {
                    Some(Ok(block)) => {
                        self.deliver(event_loop, &block);
                        continue;
                    }
                    Some(Err(problem)) => return self.call.fail(problem),
                    None => {}
                }
            }
            match self.decoder.next_event(piece) {
                Ok(None) => return,
                Ok(Some(Event::Head(head))) if head.status == Status::SWITCHING_PROTOCOLS => {
                    return self.call.fail(ClientProblem::Upgrade);
                }
                Ok(Some(Event::Head(head))) if head.status.is_informational() => {}
                Ok(Some(Event::Head(head))) => self.begin(event_loop, transport, head),
                Ok(Some(Event::Data(data))) => match &mut self.inflate {
                    Some(inflate) => inflate.feed(data),
                    None => self.deliver(event_loop, data),
                },
                Ok(Some(Event::End(trailers))) => return self.finish(trailers),
                Err(error) => return self.call.fail(error),
            }
        }
    }

    /// The final head has come.
    fn begin(&mut self, event_loop: &EventLoop, transport: &Transport, head: ResponseHead) {
        let settings = &self.call.hop.settings;
        let length = head.body_length();
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
        if length.exact().is_some_and(|bytes| bytes > settings.max_body) {
            self.call.in_body();
            return self.call.fail(BodyTooLarge { limit: settings.max_body });
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

    fn finish(&mut self, trailers: Headers) {
        if let Some(Err(problem)) = self.inflate.take().map(Inflate::finish) {
            return self.call.fail(problem);
        }
        self.call.done();
        if let Some(incoming) = self.incoming.take() {
            incoming.finish(trailers);
        }
    }
}

impl Protocol for ClientProtocol {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        if self.call.is_over() {
            transport.abort();
            return Ok(());
        }
        if transport.set_tcp_nodelay(true).is_err() {
            // Lost already, which is told next.
        }
        transport.write(&self.call.hop.encode())?;
        self.call.made(event_loop, transport);
        Ok(())
    }

    fn data_received(&mut self, event_loop: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        self.call.came(event_loop);
        self.run(event_loop, transport, data);
        Ok(())
    }

    /// The program has taken what was there, or wants no more.
    fn woken(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.run(event_loop, transport, b"");
        Ok(())
    }

    fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
        if self.call.is_over() {
            return;
        }
        let in_order = reason.check::<ConnectionDone>().is_some();
        let waiting = !self.kept.is_empty() || self.inflate.as_ref().is_some_and(Inflate::is_waiting);
        if !in_order || waiting {
            let unsent = reason.check::<crate::transports::ConnectionLost>().map_or(0, |lost| lost.unsent());
            self.call.answering(unsent);
            return self.call.fail(reason);
        }
        self.call.answering(0);
        if self.decoder.is_idle() {
            return self.call.fail(ClientProblem::NoAnswer);
        }
        match self.decoder.end_of_data() {
            Ok(Some(Event::End(trailers))) => self.finish(trailers),
            Ok(_) => {}
            Err(error) => self.call.fail(error),
        }
    }
}
