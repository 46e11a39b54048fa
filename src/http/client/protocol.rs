//! A connection of a client: one exchange after the other.

use std::rc::Rc;

use super::call::Call;
use super::exchange::Exchange;
use super::pool::Slot;
use crate::event_loop::EventLoop;
use crate::ground::Failure;
use crate::transports::{Protocol, Transport};

pub(super) struct ClientProtocol {
    slot: Rc<Slot>,
    exchange: Option<Exchange>,
}

impl ClientProtocol {
    pub(super) fn new(call: Rc<Call>) -> ClientProtocol {
        ClientProtocol { slot: Slot::new(call), exchange: None }
    }

    /// Begins with the request that waits, if one does.
    fn begin(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        let Some(call) = self.slot.take_next() else { return Ok(()) };
        if call.is_over() {
            transport.abort();
            return Ok(());
        }
        self.exchange = Some(Exchange::begin(event_loop, transport, call, self.slot.clone())?);
        Ok(())
    }

    fn run(&mut self, event_loop: &EventLoop, transport: &Transport, data: &[u8]) {
        let Some(exchange) = &mut self.exchange else { return };
        exchange.run(event_loop, transport, data);
        if exchange.is_over() {
            self.exchange = None;
        }
    }
}

impl Protocol for ClientProtocol {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        if transport.set_tcp_nodelay(true).is_err() {
            // Lost already, which is told next.
        }
        self.begin(event_loop, transport)
    }

    fn data_received(&mut self, event_loop: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        match &self.exchange {
            Some(exchange) => {
                exchange.call.came(event_loop);
                self.run(event_loop, transport, data);
            }
            // Nothing was asked: whatever this is, nobody can trust what comes next.
            None => transport.abort(),
        }
        Ok(())
    }

    /// There is a next request; or the program has taken what was there, or wants no more; or there is more to send.
    fn woken(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        if let Some(exchange) = &mut self.exchange {
            exchange.pump(event_loop, transport);
        }
        self.run(event_loop, transport, b"");
        if self.exchange.is_none() { self.begin(event_loop, transport) } else { Ok(()) }
    }

    fn resume_producing(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        if let Some(exchange) = &mut self.exchange {
            exchange.has_room(event_loop, transport);
        }
        Ok(())
    }

    fn connection_lost(&mut self, event_loop: &EventLoop, reason: Failure) {
        self.slot.lost();
        if let Some(mut exchange) = self.exchange.take() {
            return exchange.lost(event_loop, reason);
        }
        // The server has closed it before the request was written.
        if let Some(call) = self.slot.take_next()
            && !call.is_over()
            && !call.asks_again(event_loop, false)
        {
            call.fail(reason);
        }
    }
}
