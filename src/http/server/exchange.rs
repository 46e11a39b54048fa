//! One request and its response, on its way.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::ground::{CancelHandle, Deferred, Failure};
use crate::http::body::Incoming;
use crate::http::head::RequestHead;
use crate::http::outgoing::OutgoingBody;
use crate::http::response::Response;
use crate::http::status::Status;
use crate::http::successor::Successor;
use crate::transports::Transport;

/// A response comes here.
pub(super) type Slot = Rc<Cell<Option<Result<Response, Failure>>>>;

pub(super) struct Exchange {
    pub(super) head: Rc<RequestHead>,
    /// While the request's body comes.
    pub(super) incoming: Option<Incoming>,
    /// What of it had come when it was looked at last.
    pub(super) received: u64,
    /// What of it came after the response was complete.
    pub(super) discarded: u64,
    /// While the handler works.
    pub(super) waiting: Option<(Slot, CancelHandle)>,
    /// While the response's body goes.
    pub(super) outgoing: Option<Box<OutgoingBody>>,
    /// The response is written to its end.
    pub(super) done: bool,
    /// Whether the connection stays open behind it.
    pub(super) keep_alive: bool,
    /// Who takes over behind it.
    pub(super) upgrade: Option<Successor>,
    pub(super) status: Option<Status>,
    pub(super) bytes: u64,
    /// When it began, if there is a log.
    pub(super) began: Duration,
}

impl Exchange {
    pub(super) fn new(head: Rc<RequestHead>, began: Duration) -> Exchange {
        Exchange {
            keep_alive: head.keep_alive(),
            head,
            incoming: None,
            received: 0,
            discarded: 0,
            waiting: None,
            outgoing: None,
            done: false,
            upgrade: None,
            status: None,
            bytes: 0,
            began,
        }
    }

    /// Waits for a response; `Ok` is one that is there.
    pub(super) fn wait_for(
        &mut self,
        response: Deferred<Response>,
        transport: &Transport,
    ) -> Option<Result<Response, Failure>> {
        match response.try_result() {
            Ok(result) => Some(result),
            Err(waiting) => {
                let slot = Slot::default();
                let (own, transport) = (slot.clone(), transport.clone());
                let told = waiting.own_step("http server").add_both(move |result| {
                    own.set(Some(result));
                    transport.wake_protocol();
                    Ok(())
                });
                self.waiting = Some((slot, told.cancel_handle()));
                told.detach();
                None
            }
        }
    }

    /// The response that was waited for, if it has come.
    pub(super) fn take_answer(&mut self) -> Option<Result<Response, Failure>> {
        let answer = self.waiting.as_ref()?.0.take()?;
        self.waiting = None;
        Some(answer)
    }

    /// The handler is not waited for any more.
    pub(super) fn cancel(&mut self) {
        if let Some((_, handle)) = self.waiting.take() {
            handle.cancel();
        }
    }
}
