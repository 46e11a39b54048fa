//! The same fetch with a protocol: the loop connects, reads and writes, and calls when something has come.

use super::request::Request;
use ropewalk::{ConnectionDone, Deferred, EventLoop, Failure, Protocol, Resolver, Transport};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

/// Whoever knows first how it ends takes it: the connection, or the attempt to make one.
type Slot = Rc<Cell<Option<Resolver<Vec<u8>>>>>;

/// Gets the whole reply.
pub(crate) fn get(event_loop: &EventLoop, address: SocketAddr, request: Request) -> Deferred<Vec<u8>> {
    let (resolver, reply) = Deferred::new();
    let slot = Rc::new(Cell::new(Some(resolver)));
    let fetch = Fetch { request, reply: Vec::new(), slot: slot.clone() };
    event_loop.connect_tcp(address, fetch).add_callbacks(
        |_| Ok(()),
        move |failure| {
            end(&slot, Err(failure));
            Ok(())
        },
    );
    reply
}

struct Fetch {
    request: Request,
    reply: Vec<u8>,
    slot: Slot,
}

impl Protocol for Fetch {
    fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        Ok(transport.write(self.request.rest())?)
    }

    fn data_received(&mut self, _: &EventLoop, _: &Transport, data: &[u8]) -> Result<(), Failure> {
        self.reply.extend_from_slice(data);
        Ok(())
    }

    fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
        let reply = std::mem::take(&mut self.reply);
        // In order, it is the end of the reply.
        end(&self.slot, reason.trap::<ConnectionDone>().map(|_| reply));
    }
}

fn end(slot: &Slot, result: Result<Vec<u8>, Failure>) {
    if let Some(resolver) = slot.take() {
        resolver.fire(result);
    }
}
