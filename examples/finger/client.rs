//! The client: asks, and takes the answer to its end.

use crate::directory::printable;
use ropewalk::{ConnectionDone, Deferred, EventLoop, Failure, Protocol, Resolver, Transport};
use std::cell::{Cell, OnceCell};
use std::rc::Rc;

/// The longest answer, in bytes: a server may say anything, for ever.
pub(crate) const ANSWER: usize = 64 * 1024;

/// Asks about `user` (about all, if that is empty) over the connection that `connect` makes. To cancel it closes that.
///
/// # Errors
///
/// The connection is not made or breaks, or the answer is too long.
pub(crate) fn ask(user: &str, connect: impl FnOnce(Ask) -> Deferred<Transport>) -> Deferred<String> {
    let connection = Rc::new(OnceCell::new());
    let cancelled = connection.clone();
    let (resolver, answer) = Deferred::with_canceller(move || {
        if let Some(transport) = OnceCell::get(&cancelled) {
            Transport::abort(transport);
        }
    });
    let resolver = Rc::new(Cell::new(Some(resolver)));
    let ask = Ask { question: format!("{user}\r\n"), answer: Vec::new(), connection, resolver: resolver.clone() };
    connect(ask).add_callbacks(
        |_| Ok(()),
        move |failure| {
            if let Some(resolver) = resolver.take() {
                resolver.fail(failure);
            }
            Ok(())
        },
    );
    answer
}

/// A question on its way.
pub(crate) struct Ask {
    question: String,
    answer: Vec<u8>,
    connection: Rc<OnceCell<Transport>>,
    /// Taken by whoever knows first how it ends.
    resolver: Rc<Cell<Option<Resolver<String>>>>,
}

impl Protocol for Ask {
    fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.connection.get_or_init(|| transport.clone());
        transport.write(self.question.as_bytes())?;
        Ok(())
    }

    fn data_received(&mut self, _: &EventLoop, _: &Transport, data: &[u8]) -> Result<(), Failure> {
        if self.answer.len() + data.len() > ANSWER {
            return Err(Failure::msg(format!("the answer is longer than {ANSWER} bytes")));
        }
        self.answer.extend_from_slice(data);
        Ok(())
    }

    /// The end of the connection is the end of the answer.
    fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
        let Some(resolver) = self.resolver.take() else { return };
        if reason.check::<ConnectionDone>().is_none() {
            return resolver.fail(reason);
        }
        let text = String::from_utf8_lossy(&self.answer);
        let lines = text.lines().map(|line| printable(line) + "\n");
        resolver.succeed(lines.collect());
    }
}
