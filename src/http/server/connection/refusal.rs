//! What a client is told when no handler is asked.

use std::rc::Rc;
use std::time::Duration;

use super::super::access::AccessRecord;
use super::super::exchange::Exchange;
use super::super::respond::respond;
use super::ServerProtocol;
use crate::ground::Failure;
use crate::http::body::BodyTooLarge;
use crate::http::error::ParseError;
use crate::http::head::{RequestHead, Version};
use crate::http::method::Method;
use crate::http::response::{Response, StatusError};
use crate::http::status::Status;
use crate::transports::Transport;

impl ServerProtocol {
    /// Why no handler is asked.
    pub(super) fn refusal(&self, head: &RequestHead) -> Option<Failure> {
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

    /// The client is told what is wrong with its request, and that is all.
    pub(super) fn refuse(&mut self, transport: &Transport, error: ParseError) {
        let status = error.status();
        self.say(transport, Response::text(format!("{status}: {error}\n")).status(status));
        self.close(transport, true);
    }

    /// Writes a response to what was no request.
    pub(super) fn say(&mut self, transport: &Transport, response: Response) {
        let mut exchange = Exchange::new(Rc::new(RequestHead::new(Method::Get, "")), Duration::ZERO);
        exchange.keep_alive = false;
        respond(&self.site, transport, &self.peer, &mut exchange, Ok(response));
        if self.site.logs {
            let mut record = AccessRecord::new(&self.peer, None);
            (record.status, record.bytes, record.complete) = (exchange.status, exchange.bytes, true);
            self.site.log(&record);
        }
    }
}

/// Whether a failure is what a client did, and no error of the program's: its request's body broke the rules, was too
/// large, or came too slowly.
pub(super) fn is_clients_own(failure: &Failure) -> bool {
    let slow = failure.check::<StatusError>().is_some_and(|error| error.status() == Status::REQUEST_TIMEOUT);
    slow || failure.check::<ParseError>().is_some() || failure.check::<BodyTooLarge>().is_some()
}
