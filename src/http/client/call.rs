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
use super::pool::{Entry, Permit};
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
    pub(super) place: Place,
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
    /// How much of a body that is being produced the server had taken when it was looked at last.
    taken: Cell<u64>,
    /// The body of the request is being produced, and so much of it was written.
    sending: Cell<bool>,
    written: Cell<u64>,
    /// One of the requests that may go on at a time.
    permit: Cell<Option<Permit>>,
    /// Its connection had served another request.
    reused: Cell<bool>,
    /// No such connection again: one was closed under it.
    fresh: Cell<bool>,
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
        taken: Cell::new(0),
        sending: Cell::new(false),
        written: Cell::new(0),
        permit: Cell::new(None),
        reused: Cell::new(false),
        fresh: Cell::new(false),
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
        let Some(client) = &self.hop.client else { return self.proceed(event_loop) };
        if !client.pool.serves(event_loop) {
            self.phase.set(ClientPhase::Setup);
            return self.fail_soon(event_loop, ClientProblem::OtherLoop);
        }
        match client.pool.enter(&self.hop.server, self) {
            Entry::Go(permit) if self.hop.follows => {
                let call = self.clone();
                event_loop.call_soon_at(self.place, move |event_loop| call.admitted(event_loop, permit));
            }
            Entry::Go(permit) => {
                self.permit.set(Some(permit));
                self.proceed(event_loop);
            }
            Entry::Wait => {}
            Entry::Full(limit) => self.fail_soon(event_loop, ClientProblem::TooManyWaiting(limit)),
        }
    }

    /// Nothing fires inside `send`.
    fn fail_soon(self: &Rc<Self>, event_loop: &EventLoop, cause: impl Into<Box<dyn Error + Send + Sync>>) {
        let (call, cause) = (self.clone(), cause.into());
        event_loop.call_soon_at(self.place, move |_| call.fail(cause));
    }

    /// It has waited, and may go on.
    pub(super) fn admitted(self: &Rc<Self>, event_loop: &EventLoop, permit: Permit) {
        if !self.over.get() {
            self.permit.set(Some(permit));
            self.proceed(event_loop);
        }
    }

    /// The connection was closed without a byte of an answer. If it had served another request, this one may have met the
    /// server's time limit: it is asked again over a new one, if that changes nothing. `written`: the server may have read
    /// it.
    pub(super) fn asks_again(self: &Rc<Self>, event_loop: &EventLoop, written: bool) -> bool {
        let harmless = !written || self.hop.method.is_idempotent();
        if !self.reused.get() || !harmless || !self.hop.body.is_there() {
            return false;
        }
        self.fresh.set(true);
        self.transport.take();
        if let Some(limit) = self.limit.take() {
            // An error says that it was called.
            let _ = limit.cancel();
        }
        self.phase.set(ClientPhase::Connect);
        self.proceed(event_loop);
        true
    }

    fn proceed(self: &Rc<Self>, event_loop: &EventLoop) {
        if let Some(client) = self.hop.client.as_ref().filter(|_| !self.fresh.get())
            && let Some(transport) = client.pool.reuse(&self.hop.origin(), self)
        {
            self.reused.set(true);
            self.phase.set(ClientPhase::Request);
            self.transport.replace(Some(transport));
            return;
        }
        self.reused.set(false);
        let protocol = ClientProtocol::new(self.clone());
        let to = ConnectTcp::new(self.hop.target()).timeout(self.hop.settings.connect);
        #[cfg(feature = "tls")]
        if self.hop.is_https() {
            return self.connect_tls(event_loop, to, protocol);
        }
        self.wait_for(to.connect(event_loop, protocol));
    }

    #[cfg(feature = "tls")]
    fn connect_tls(self: &Rc<Self>, event_loop: &EventLoop, to: ConnectTcp, protocol: ClientProtocol) {
        let (protocol, shaken) = match self.hop.over_tls(protocol) {
            Ok(both) => both,
            Err(error) => {
                self.phase.set(ClientPhase::Tls);
                return self.fail_soon(event_loop, error);
            }
        };
        let call = self.clone();
        let looked_at = shaken.own_step("http client").add_errback(move |failure| {
            // The reason is told before the connection's end is, if it is TLS's. Without a connection there is none, and
            // the attempt's own error says why.
            if failure.check::<crate::ground::AbandonedError>().is_none() {
                call.phase.set(ClientPhase::Tls);
                call.fail(failure);
            }
            Ok(())
        });
        looked_at.detach();
        self.wait_for(to.connect(event_loop, protocol));
    }

    fn wait_for(self: &Rc<Self>, connecting: Deferred<Transport>) {
        self.connecting.set(Some(connecting.cancel_handle()));
        let call = self.clone();
        let handed_on = connecting.own_step("http client").add_both(move |result| {
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
            let taken = call.written.get().saturating_sub(unsent as u64);
            let goes_on = match call.sending.get() {
                // The program's own body is slow, or the server takes it slowly.
                true => unsent == 0 || taken > call.taken.replace(taken),
                false => unsent < call.unsent.replace(unsent),
            };
            match goes_on {
                true => call.wait_for_head(event_loop),
                false => {
                    call.answering(unsent);
                    call.fail(ClientProblem::Timeout(time));
                }
            }
        }));
    }

    /// The body of the request begins to be produced, or is sent.
    pub(super) fn sends(self: &Rc<Self>, event_loop: &EventLoop, on: bool) {
        self.sending.set(on);
        if !self.over.get() && self.phase.get() != ClientPhase::Body {
            if on {
                self.phase.set(ClientPhase::Request);
            }
            self.wait_for_head(event_loop);
        }
    }

    /// So many bytes of that body were written.
    pub(super) fn sent(&self, bytes: u64) {
        self.written.set(bytes);
    }

    /// The body begins.
    pub(super) fn in_body(&self) {
        self.phase.set(ClientPhase::Body);
    }

    /// Before an error: is it that the request does not go out, or that no answer comes?
    pub(super) fn answering(&self, unsent: usize) {
        if self.phase.get() == ClientPhase::Request && unsent == 0 && !self.sending.get() {
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

    /// The response is complete. `kept`: its connection waits for the next request.
    pub(super) fn done(&self, kept: bool) {
        let transport = self.transport.take();
        self.end();
        if let Some(transport) = transport.filter(|_| !kept) {
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
        // What waits for it goes on.
        drop((incoming, resolver, self.permit.take()));
    }
}
