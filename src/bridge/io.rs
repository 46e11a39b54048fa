//! A source of the loop as futures see it: try, and if it would block, be woken when it is ready.
//!
//! ```text
//!  loop's table --> Rc<S> <-- Io <-- Stream, Listener, Stdin
//!       |                     |
//!       +-- callback -----> Gate: ready to read? to write? who waits?
//! ```
//!
//! Nothing is told to the poller per message: a source stays watched for what somebody waits for, and what was learnt from
//! a short read or write ("no more for now") spares the attempt that would only be told so. When an event comes that
//! nobody waits for, the interest goes, so that a slow reader costs no turns.

use std::cell::Cell;
use std::io;
use std::os::fd::AsFd;
use std::panic::Location;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::event_loop::tasks::{WakeSlot, Wakes, tell};
use crate::event_loop::{Closed, EventLoop, Handle, Interest, SourceId};

use crate::trace::{self, Place};

use super::ring;

/// A source that both the loop's table and this hold. It is taken out of the table when this is dropped.
pub(super) struct Io<S: AsFd + 'static> {
    source: Rc<S>,
    id: SourceId<Rc<S>>,
    event_loop: Handle,
    gate: Rc<Gate>,
    /// Where it was made, for the trace: the line of an `await` in an `async fn` is not to be had.
    place: Place,
}

/// One direction of a source.
#[derive(Default)]
struct Way {
    /// Whether an attempt is worth it.
    open: Cell<bool>,
    waits: WakeSlot,
    /// Whether the source is watched for it.
    watched: Cell<bool>,
}

#[derive(Default)]
struct Gate {
    read: Way,
    write: Way,
}

/// A direction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

impl Gate {
    fn way(&self, direction: Direction) -> &Way {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        }
    }

    fn interest(&self) -> Interest {
        let mut interest = Interest::NONE;
        if self.read.watched.get() {
            interest |= Interest::READ;
        }
        if self.write.watched.get() {
            interest |= Interest::WRITE;
        }
        interest
    }
}

impl Way {
    /// The system says that it is ready. Answers whether the interest in it goes, since nobody waits.
    fn ready(&self) -> bool {
        self.open.set(true);
        match self.waits.take() {
            Wakes::Nobody => self.watched.replace(false),
            wakes => {
                ring(wakes);
                false
            }
        }
    }
}

impl<S: AsFd + 'static> Io<S> {
    /// Hands a source that does not block to the loop, watched for `interest` from the start. Its first write is tried
    /// at once, its first read when the system says so.
    #[track_caller]
    pub(super) fn new(event_loop: &EventLoop, source: S, interest: Interest) -> io::Result<Io<S>> {
        let source = Rc::new(source);
        let gate = Rc::new(Gate::default());
        gate.read.watched.set(interest.is_read());
        gate.write.watched.set(interest.is_write());
        gate.write.open.set(!interest.is_write());
        let own = Rc::new(Cell::new(None::<SourceId<Rc<S>>>));
        let (told, named) = (gate.clone(), own.clone());
        let id = event_loop.register(source.clone(), interest, move |event_loop, _, readiness| {
            let mut narrow = false;
            if readiness.is_readable() {
                narrow |= told.read.ready();
            }
            if readiness.is_writable() {
                narrow |= told.write.ready();
            }
            if narrow && let Some(id) = named.get() {
                // A foreign waker may have dropped it.
                let _ = event_loop.set_interest(id, told.interest());
            }
        })?;
        own.set(Some(id));
        Ok(Io { source, id, event_loop: event_loop.handle(), gate, place: Location::caller() })
    }

    pub(super) fn source(&self) -> &S {
        &self.source
    }

    pub(super) fn event_loop(&self) -> &Handle {
        &self.event_loop
    }

    /// Notes that the next attempt is not worth it before the system says so.
    pub(super) fn exhausted(&self, direction: Direction) {
        self.gate.way(direction).open.set(false);
    }

    /// Does `attempt` when it is worth it, until it does not block.
    pub(super) fn poll<R>(
        &self,
        context: &mut Context<'_>,
        direction: Direction,
        mut attempt: impl FnMut(&S) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let way = self.gate.way(direction);
        while way.open.get() {
            match attempt(&self.source) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => way.open.set(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
        way.waits.set(context.waker());
        if trace::on() {
            let id = self.event_loop.with(|event_loop| event_loop.source_id(self.id.index, self.id.serial));
            tell::waits(id.ok().flatten(), self.place);
        }
        if !way.watched.replace(true) {
            let wanted = self.gate.interest();
            let watched = self.event_loop.with(|event_loop| event_loop.set_interest(self.id, wanted));
            if !matches!(watched, Ok(Ok(()))) {
                way.watched.set(false);
                return Poll::Ready(Err(closed()));
            }
        } else if self.event_loop.is_closed() {
            return Poll::Ready(Err(closed()));
        }
        Poll::Pending
    }
}

/// The error of a source whose loop is gone.
pub(super) fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, Closed)
}

impl<S: AsFd + 'static> Drop for Io<S> {
    fn drop(&mut self) {
        // The table lets go of it before the descriptor is closed, which is when the last of the two is dropped.
        // A drop has no caller whose line could be told.
        let _ = self.event_loop.with(|event_loop| event_loop.take_shared(self.id.index, self.id.serial));
    }
}
