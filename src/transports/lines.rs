//! What all connections of a loop share: the buffer they read into one after the other, the one that their protocols
//! write into, buffers for what waits to be sent, and the list of those that others wrote to.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use super::connection::{APART, Extra, Line, RUNNING};
use super::outgoing::Outgoing;
use crate::event_loop::upper::{AfterCallback, Unfinished, upgrade};
use crate::event_loop::{EventLoop, Inner};

/// How much is read in one go: as much as Twisted, libuv and tokio read. One buffer serves all connections.
pub(crate) const SCRATCH: usize = 64 * 1024;

pub(super) type Scratch = Box<[u8; SCRATCH]>;

/// How many empty buffers wait to be used again. A callback seldom writes to more connections than this.
const SPARES: usize = 32;

/// A buffer that grew beyond this is given back to the system. It is what one callback usually writes at most.
pub(crate) const SPARE_CAPACITY: usize = 64 * 1024;

/// Shared by the connections of one loop.
pub(crate) struct Lines {
    pub(crate) inner: Weak<Inner>,
    pub(crate) after: Rc<AfterCallback>,
    /// Out of its place while a protocol runs.
    scratch: Cell<Option<Scratch>>,
    /// It was made.
    any_scratch: Cell<bool>,
    /// What the protocol that runs has written.
    pub(crate) written: RefCell<Vec<u8>>,
    buffers: RefCell<Vec<Outgoing>>,
    /// In the boxes in which the connections hold them: one pointer each.
    #[allow(clippy::vec_box)]
    extras: RefCell<Vec<Box<Extra>>>,
    /// Those that something was written to since the callback began, other than by their own protocol.
    dirty: RefCell<Vec<Rc<Line>>>,
}

impl Lines {
    pub(crate) fn of(event_loop: &EventLoop) -> Rc<Lines> {
        event_loop.of_loop(|inner| Lines {
            inner: Rc::downgrade(inner),
            after: inner.after_callback(),
            scratch: Cell::new(None),
            written: RefCell::default(),
            any_scratch: Cell::new(false),
            buffers: RefCell::default(),
            extras: RefCell::default(),
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

    /// An empty buffer for what waits to be sent.
    pub(crate) fn take_buffer(&self) -> Outgoing {
        self.buffers.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps a buffer that is done with.
    pub(crate) fn put_buffer(&self, mut out: Outgoing) {
        out.clear();
        let mut buffers = self.buffers.borrow_mut();
        if buffers.len() < SPARES && (1..=SPARE_CAPACITY).contains(&out.capacity()) {
            buffers.push(out);
        }
    }

    pub(super) fn take_extra(&self) -> Box<Extra> {
        self.extras.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps one that has nothing in it.
    pub(super) fn put_extra(&self, extra: Box<Extra>) {
        let mut extras = self.extras.borrow_mut();
        if extras.len() < SPARES {
            extras.push(extra);
        }
    }
}

/// The loop's buffers, for the one protocol that runs: what is read, and `Lines::written`.
pub(super) struct Desk<'l> {
    lines: &'l Lines,
    scratch: Option<Scratch>,
    /// `RUNNING`; or `APART` for a protocol that runs inside another one, which reads into a buffer of its own.
    pub(super) mode: u32,
}

impl<'l> Desk<'l> {
    /// `None` if they are in use, or not made yet.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn take(lines: &'l Lines) -> Option<Desk<'l>> {
        let scratch = lines.scratch.take()?;
        Some(Desk { lines, scratch: Some(scratch), mode: RUNNING })
    }

    /// Makes them; or others, if they are in use.
    #[cold]
    pub(super) fn make(lines: &'l Lines) -> Desk<'l> {
        let scratch = vec![0; SCRATCH].into_boxed_slice().try_into().ok();
        Desk { lines, scratch, mode: if lines.any_scratch.replace(true) { APART } else { RUNNING } }
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn scratch(&mut self) -> &mut [u8] {
        self.scratch.as_deref_mut().map_or(&mut [], |scratch| scratch)
    }
}

impl Drop for Desk<'_> {
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn drop(&mut self) {
        if self.mode == RUNNING {
            self.lines.scratch.set(self.scratch.take());
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
