//! The scan: every port is knocked at once, so many at a time. It knows no socket.

use ropewalk::{
    ConnectError, Deferred, DeferredList, DeferredSemaphore, EventLoop, Failure, FirstError, Protocol,
    TimeoutError, Transport,
};
use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

/// So many connections are tried at a time: half of the descriptors that most systems give a program.
pub(crate) const AT_ONCE: NonZeroUsize = NonZeroUsize::new(500).unwrap();

/// What was found at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Somebody listens.
    Open,
    /// The host says that nobody does.
    Closed,
    /// No answer in time: something throws the knocks away.
    Silent,
}

/// Who knocks says nothing, and goes.
pub(crate) struct Knock;

impl Protocol for Knock {
    fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        transport.lose_connection();
        Ok(())
    }
}

/// Knocks at each of the ports, and waits at most `patience` for each. `connect` makes a connection: in the program a
/// socket's, in a test one in memory. Fires with what was found, in the order of the ports.
///
/// The first error that says nothing about a port ends it, and calls the rest off: no network, no descriptors.
pub(crate) fn scan(
    event_loop: &EventLoop,
    ports: RangeInclusive<u16>,
    patience: Duration,
    connect: impl Fn(&EventLoop, u16, Knock) -> Deferred<Transport> + 'static,
) -> Deferred<Vec<(u16, Door)>> {
    let connect = Rc::new(connect);
    let places = DeferredSemaphore::new(AT_ONCE);
    let doors: DeferredList<_> = ports
        .map(|port| {
            let (handle, connect) = (event_loop.handle(), connect.clone());
            // Its time begins when it has its place, not while it waits for one.
            let knock =
                move |event_loop: &EventLoop| connect(event_loop, port, Knock).add_timeout(patience, event_loop);
            places.run(move || handle.with_deferred(knock)).add_both(move |result| Ok((port, door(result)?)))
        })
        .collect();
    doors
        .cancel_others()
        .gather()
        .add_errback(|failure| Err(failure.downcast().map_or_else(|f| f, FirstError::into_failure)))
}

/// What the end of an attempt says about its port.
fn door(result: Result<Transport, Failure>) -> Result<Door, Failure> {
    let Err(failure) = result else { return Ok(Door::Open) };
    if failure.check::<TimeoutError>().is_some() {
        return Ok(Door::Silent);
    }
    match failure.check().map(|error: &ConnectError| error.io_error().kind()) {
        Some(ErrorKind::ConnectionRefused) => Ok(Door::Closed),
        // The system's own patience was shorter, or a router says that there is no way.
        Some(ErrorKind::TimedOut | ErrorKind::HostUnreachable) => Ok(Door::Silent),
        _ => Err(failure),
    }
}
