//! The connection of one hop: its phase, its time limits, and its end, which comes once.
//!
//! ```text
//!  Connect --> Tls --> Request --> Response --> Body --> over
//!     |         |         |           |           |
//!     '---------'---------'-----------'-----------'----> over, with an error that names the phase
//! ```

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use super::answer::ClientResponse;
use super::hop::Hop;
use super::problem::{ClientPhase, ClientProblem};
use super::protocol::ClientProtocol;
use crate::event_loop::{DelayedCall, EventLoop};
use crate::ground::{CancelHandle, Deferred, Failure, Resolver};
use crate::http::body::Incoming;
use crate::trace::Place;
use crate::transports::{ConnectError, ConnectPhase, ConnectTcp, Transport};

/// A request of this size goes into the system's buffer, whatever the server does.
const AT_ONCE: usize = 64 * 1024;

pub(super) struct Call {
    pub(super) hop: Rc<Hop>,
    place: Place,
    phase: Cell<ClientPhase>,
    over: Cell<bool>,
    resolver: Cell<Option<Resolver<ClientResponse>>>,
    /// What stops the attempt to connect.
    connecting: Cell<Option<CancelHandle>>,
    transport: RefCell<Option<Transport>>,
    incoming: RefCell<Option<Rc<Incoming>>>,
    /// Over everything.
    whole: Cell<Option<DelayedCall>>,
    /// Over what goes on now.
    limit: Cell<Option<DelayedCall>>,
    /// When something of the body came, or the program held it back.
    last: Cell<Duration>,
    /// How much of a long request waited to be sent when it was looked at last.
    unsent: Cell<usize>,
}

/// Asks.
pub(super) fn begin(
    event_loop: &EventLoop,
    hop: Rc<Hop>,
    deadline: Option<Duration>,
    place: Place,
) -> Deferred<ClientResponse> {
    let call = Rc::new(Call {
        hop,
        place,
        phase: Cell::new(ClientPhase::Connect),
        over: Cell::new(false),
        resolver: Cell::new(None),
        connecting: Cell::new(None),
        transport: RefCell::new(None),
        incoming: RefCell::new(None),
        whole: Cell::new(None),
        limit: Cell::new(None),
        last: Cell::new(Duration::ZERO),
        unsent: Cell::new(0),
    });
    let weak = Rc::downgrade(&call);
    let (resolver, response) = Deferred::with_canceller_at(place, move || {
        if let Some(call) = weak.upgrade() {
            call.give_up();
        }
    });
    call.resolver.set(Some(resolver));
    if let Some(deadline) = deadline {
        let (timed, time) = (call.clone(), call.hop.settings.whole.unwrap_or_default());
        let due = deadline.saturating_sub(event_loop.time());
        call.whole
            .set(Some(event_loop.call_later_at(due, place, move |_| timed.fail(ClientProblem::Timeout(time)))));
    }
    call.connect(event_loop);
    response
}

impl Call {
    fn connect(self: &Rc<Self>, event_loop: &EventLoop) {
        let protocol = ClientProtocol::new(self.clone());
        let to = ConnectTcp::new(self.hop.target()).timeout(self.hop.settings.connect);
        if !self.hop.is_https() {
            self.wait_for(to.connect(event_loop, protocol));
            return;
        }
        #[cfg(feature = "tls")]
        match self.hop.over_tls(protocol) {
            Err(error) => {
                // Nothing fires inside `send`.
                let call = self.clone();
                self.phase.set(ClientPhase::Tls);
                event_loop.call_soon_at(self.place, move |_| call.fail(error));
            }
            Ok((protocol, shaken)) => {
                let call = self.clone();
                let looked_at = shaken.add_errback(move |failure| {
                    // The reason is told before the connection's end is, if it is TLS's. Without a connection there is
                    // none, and the attempt's own error says why.
                    if failure.check::<crate::ground::AbandonedError>().is_none() {
                        call.phase.set(ClientPhase::Tls);
                        call.fail(failure);
                    }
                    Ok(())
                });
                looked_at.detach();
                self.wait_for(to.connect(event_loop, protocol));
            }
        }
    }

    fn wait_for(self: &Rc<Self>, connecting: Deferred<Transport>) {
        self.connecting.set(Some(connecting.cancel_handle()));
        let call = self.clone();
        let handed_on = connecting.add_both(move |result| {
            call.connecting.take();
            match result {
                Ok(transport) if call.over.get() => transport.abort(),
                Ok(transport) => {
                    if call.phase.get() == ClientPhase::Connect {
                        call.phase.set(ClientPhase::Tls);
                        call.transport.replace(Some(transport));
                    }
                }
                Err(failure) => {
                    let phase = failure.check::<ConnectError>().map(ConnectError::phase);
                    if matches!(phase, Some(ConnectPhase::Resolve | ConnectPhase::Target)) {
                        call.phase.set(ClientPhase::Resolve);
                    }
                    call.fail(failure);
                }
            }
            Ok(())
        });
        handed_on.detach();
    }

    /// There is a connection, and the request was written to it.
    pub(super) fn made(self: &Rc<Self>, event_loop: &EventLoop, transport: &Transport) {
        self.phase.set(ClientPhase::Request);
        self.transport.replace(Some(transport.clone()));
        // What the system takes in one go does not wait for the server.
        let unsent = transport.buffered();
        self.unsent.set(if unsent > AT_ONCE { unsent } else { 0 });
        self.wait_for_head(event_loop);
    }

    fn wait_for_head(self: &Rc<Self>, event_loop: &EventLoop) {
        let (call, time) = (self.clone(), self.hop.settings.response);
        self.set_limit(event_loop.call_later_at(time, self.place, move |event_loop| {
            let unsent = call.transport.borrow().as_ref().map_or(0, Transport::buffered);
            match unsent < call.unsent.replace(unsent) {
                // The server takes it, slowly.
                true => call.wait_for_head(event_loop),
                false => {
                    call.answering(unsent);
                    call.fail(ClientProblem::Timeout(time));
                }
            }
        }));
    }

    /// The body begins.
    pub(super) fn in_body(&self) {
        self.phase.set(ClientPhase::Body);
    }

    /// Before an error: is it that the request does not go out, or that no answer comes?
    pub(super) fn answering(&self, unsent: usize) {
        if self.phase.get() == ClientPhase::Request && unsent == 0 {
            self.phase.set(ClientPhase::Response);
        }
    }

    /// Something of the response came.
    pub(super) fn came(&self, event_loop: &EventLoop) {
        match self.phase.get() {
            ClientPhase::Request => self.phase.set(ClientPhase::Response),
            ClientPhase::Body => self.last.set(event_loop.time()),
            _ => {}
        }
    }

    /// The head is there.
    pub(super) fn respond(
        self: &Rc<Self>,
        event_loop: &EventLoop,
        incoming: Rc<Incoming>,
        response: ClientResponse,
    ) {
        self.in_body();
        self.incoming.replace(Some(incoming));
        self.last.set(event_loop.time());
        self.wait_for_body(event_loop, self.hop.settings.idle);
        if let Some(resolver) = self.resolver.take() {
            resolver.fire_at(Ok(response), self.place);
        }
    }

    fn wait_for_body(self: &Rc<Self>, event_loop: &EventLoop, time: Duration) {
        let call = self.clone();
        self.set_limit(event_loop.call_later_at(time, self.place, move |event_loop| {
            let idle = call.hop.settings.idle;
            if call.incoming.borrow().as_ref().is_some_and(|incoming| incoming.is_held_back()) {
                call.last.set(event_loop.time());
            }
            let quiet = event_loop.time().saturating_sub(call.last.get());
            match idle.checked_sub(quiet) {
                Some(left) if !left.is_zero() => call.wait_for_body(event_loop, left),
                _ => call.fail(ClientProblem::Timeout(idle)),
            }
        }));
    }

    fn set_limit(&self, limit: DelayedCall) {
        if let Some(before) = self.limit.replace(Some(limit)) {
            // An error says that it was called.
            let _ = before.cancel();
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// It fails, in the phase in which it is.
    pub(super) fn fail(&self, cause: impl Into<Box<dyn Error + Send + Sync>>) {
        if self.over.get() {
            return;
        }
        let error = Failure::raised_at(self.hop.error(self.phase.get(), cause), self.place);
        let (resolver, incoming) = (self.resolver.take(), self.incoming.take());
        self.give_up();
        match (resolver, incoming) {
            (Some(resolver), _) => resolver.fire_at(Err(error), self.place),
            (None, Some(incoming)) => incoming.fail(error),
            (None, None) => {}
        }
    }

    /// Nobody wants it any more: what was opened is closed.
    pub(super) fn give_up(&self) {
        self.end();
        if let Some(connecting) = self.connecting.take() {
            connecting.cancel();
        }
        if let Some(transport) = self.transport.take() {
            transport.abort();
        }
    }

    /// The response is complete.
    pub(super) fn done(&self) {
        self.end();
        if let Some(transport) = self.transport.take() {
            // A server that has answered need not read the rest of the request.
            match transport.buffered() {
                0 => transport.lose_connection(),
                _ => transport.abort(),
            }
        }
    }

    fn end(&self) {
        self.over.set(true);
        for timer in [self.whole.take(), self.limit.take()].into_iter().flatten() {
            // It may be the timer that ends it.
            let _ = timer.cancel();
        }
        let incoming = self.incoming.take();
        let resolver = self.resolver.take();
        drop((incoming, resolver));
    }
}
