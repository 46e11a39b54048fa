//! A socket whose readiness comes as a Deferred: what the Deferred model stands on.

use super::request::{GetError, now_or_later, start_to_connect};
use ropewalk::{Deferred, EventLoop, Failure, Handle, Interest, Resolver, SourceId};
use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;

/// A socket that belongs to a loop. Closed when dropped.
pub(crate) struct Socket {
    address: SocketAddr,
    handle: Handle,
    id: SourceId<TcpStream>,
    waiting: Rc<Cell<Option<Resolver<()>>>>,
}

impl Socket {
    /// Starts to connect. The socket is ready for writing when that is over.
    pub(crate) fn connecting(event_loop: &EventLoop, address: SocketAddr) -> Result<Socket, GetError> {
        let stream = start_to_connect(address).map_err(GetError::in_phase("connect to", address))?;
        let waiting = Rc::new(Cell::<Option<Resolver<()>>>::default());
        let waiter = waiting.clone();
        let registered = event_loop.register_with_id(stream, Interest::NONE, move |event_loop, id, _, _| {
            // One readiness for one `ready`. If that leads to the next one, this costs nothing.
            let _ = event_loop.pause(id);
            if let Some(resolver) = waiter.take() {
                resolver.succeed(());
            }
        });
        let id = registered.map_err(|error| GetError::new("watch", address, error.to_string()))?;
        Ok(Socket { address, handle: event_loop.handle(), id, waiting })
    }

    /// Fires when the socket is ready for what `interest` says.
    pub(crate) fn ready(&self, interest: Interest) -> Deferred<()> {
        let (resolver, ready) = Deferred::new();
        self.waiting.set(Some(resolver));
        match self.handle.with(|event_loop| event_loop.set_interest(self.id, interest)) {
            Ok(Ok(())) => ready,
            Ok(Err(gone)) => Deferred::fail(gone),
            Err(closed) => Deferred::fail(closed),
        }
    }

    /// Lends the stream.
    pub(crate) fn stream<R>(&self, f: impl FnOnce(&TcpStream) -> R) -> Result<R, Failure> {
        Ok(self.handle.with(|event_loop| event_loop.with_source(self.id, f))??)
    }

    /// One call on the stream; `None` when it would have to wait.
    pub(crate) fn try_now(
        &self,
        phase: &'static str,
        mut call: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Result<Option<usize>, Failure> {
        self.stream(|stream| now_or_later(|| call(stream)))?.map_err(|error| self.error(phase, error))
    }

    /// A failure of this socket that says in which phase.
    #[track_caller]
    pub(crate) fn error(&self, phase: &'static str, error: io::Error) -> Failure {
        GetError::new(phase, self.address, error).into()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = self.handle.with(|event_loop| drop(event_loop.remove(self.id)));
    }
}
