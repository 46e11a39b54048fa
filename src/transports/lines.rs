//! What all connections of a loop share: the buffer they read into one after the other, buffers for what is to be
//! sent, and the list of those that have something to send.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use super::connection::Line;
use super::outgoing::Outgoing;
use crate::event_loop::upper::{AfterCallback, Unfinished, upgrade};
use crate::event_loop::{EventLoop, Inner};

/// How much is read in one go: as much as Twisted, libuv and tokio read. One buffer serves all connections.
pub(crate) const SCRATCH: usize = 64 * 1024;

/// How many empty buffers wait to be used again. A callback seldom writes to more connections than this.
const SPARES: usize = 32;

/// A buffer that grew beyond this is given back to the system. It is what one callback usually writes at most.
const SPARE_CAPACITY: usize = 64 * 1024;

/// Shared by the connections of one loop.
pub(crate) struct Lines {
    pub(crate) inner: Weak<Inner>,
    pub(crate) after: Rc<AfterCallback>,
    scratch: Cell<Option<Box<[u8]>>>,
    /// In the boxes in which the connections hold them: one pointer each.
    #[allow(clippy::vec_box)]
    spares: RefCell<Vec<Box<Outgoing>>>,
    /// Those that something was written to since the callback began, other than by their own protocol.
    dirty: RefCell<Vec<Rc<Line>>>,
}

impl Lines {
    pub(crate) fn of(event_loop: &EventLoop) -> Rc<Lines> {
        event_loop.of_loop(|inner| Lines {
            inner: Rc::downgrade(inner),
            after: inner.after_callback(),
            scratch: Cell::new(None),
            spares: RefCell::default(),
            dirty: RefCell::default(),
        })
    }

    pub(crate) fn event_loop(&self) -> Option<EventLoop> {
        upgrade(&self.inner)
    }

    /// Notes a connection to be looked after when the callback is over.
    pub(crate) fn add_dirty(self: &Rc<Self>, line: Rc<Line>) {
        let mut dirty = self.dirty.borrow_mut();
        if dirty.is_empty() {
            self.after.add(self.clone());
        }
        dirty.push(line);
    }

    /// The buffer to read into; a new one if it is in use.
    #[inline]
    pub(crate) fn take_scratch(&self) -> Box<[u8]> {
        self.scratch.take().unwrap_or_else(|| vec![0; SCRATCH].into())
    }

    #[inline]
    pub(crate) fn put_scratch(&self, scratch: Box<[u8]>) {
        self.scratch.set(Some(scratch));
    }

    /// An empty buffer for what is to be sent.
    #[inline]
    pub(crate) fn take_spare(&self) -> Box<Outgoing> {
        self.spares.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps a buffer that is done with.
    #[inline]
    pub(crate) fn put_spare(&self, mut out: Box<Outgoing>) {
        out.clear();
        let mut spares = self.spares.borrow_mut();
        if spares.len() < SPARES && out.capacity() <= SPARE_CAPACITY {
            spares.push(out);
        }
    }
}

impl Unfinished for Lines {
    fn finish(self: Rc<Self>, _: &EventLoop) {
        let mut list = self.dirty.take();
        for line in list.drain(..) {
            line.finish_own();
        }
        // The empty one spares an allocation, unless there is a new one.
        let mut dirty = self.dirty.borrow_mut();
        if dirty.is_empty() {
            *dirty = list;
        }
    }
}
