//! What the loop offers to the floors above, beside its public methods.
//!
//! * Sources that share their one allocation with whoever holds them: [`EventLoop::register_shared`].
//! * Work that is done once after the callback that runs, whoever asked for it: [`AfterCallback`].
//! * One object of a type for each loop: [`EventLoop::of_loop`].
//! * The end of a run, at which what is connected is disconnected: [`AnySource::disconnect`].

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::os::fd::{BorrowedFd, RawFd};
use std::rc::{Rc, Weak};
use std::time::Duration;

use crate::trace::{self, Kind, Links, Place};

use super::clock::nanos;
use super::delayed::DelayedCall;
use super::error::InsertReason;
use super::interest::Interest;
use super::{EventLoop, Inner};

pub(crate) use super::report::{drop_quietly, forget_payload, guard};
pub(crate) use super::sources::AnySource;

/// Something with work to do after the callback that runs.
pub(crate) trait Unfinished {
    /// Does it. Runs no code of the user's.
    fn finish(self: Rc<Self>, event_loop: &EventLoop);
}

/// What is to be finished after the callback that runs; outside a turn, before the next wait.
#[derive(Default)]
pub(crate) struct AfterCallback {
    any: Cell<bool>,
    list: RefCell<Vec<Rc<dyn Unfinished>>>,
}

impl AfterCallback {
    /// Adds work. Whoever adds itself twice is finished twice.
    #[inline]
    pub(crate) fn add(&self, work: Rc<dyn Unfinished>) {
        self.any.set(true);
        self.list.borrow_mut().push(work);
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn any(&self) -> bool {
        self.any.get()
    }
}

impl EventLoop {
    /// Does what was to be done after the callback.
    #[inline(never)]
    pub(crate) fn finish_up(&self) {
        let after = &self.inner.after;
        while after.any.replace(false) {
            let mut list = after.list.take();
            for work in list.drain(..) {
                work.finish(self);
            }
            // What it added has a list of its own, which is not to be lost; the empty one spares an allocation.
            let added = after.list.replace(list);
            if !added.is_empty() {
                *after.list.borrow_mut() = added;
            }
        }
    }

    /// Watches a source that others hold too. It stays in the loop until [`EventLoop::take_shared`].
    ///
    /// `fd` must be the source's own, which it owns for all its life.
    pub(crate) fn register_shared<E: AnySource + 'static>(
        &self,
        source: Rc<E>,
        fd: BorrowedFd<'_>,
        interest: Interest,
        place: Place,
    ) -> Result<(u32, u64), InsertReason> {
        let inner = &self.inner;
        let serial = inner.next_serial();
        let index = inner.sources.borrow_mut().insert(&inner.registry, source, fd, interest, serial, place)?;
        if trace::on() {
            self.opened(index, serial, place);
        }
        Ok((index, serial))
    }

    /// Takes a shared source out of the loop. Whoever holds it drops it, and so closes it.
    pub(crate) fn take_shared(&self, index: u32, serial: u64) {
        drop_quietly(self.take_source(index, serial, false));
    }

    /// As [`EventLoop::call_later`], for somebody else: `place` is the line of the program that caused it.
    pub(crate) fn call_later_at(
        &self,
        delay: Duration,
        place: Place,
        f: impl FnOnce(&EventLoop) + 'static,
    ) -> DelayedCall {
        let at = self.inner.clock.now().saturating_add(nanos(delay));
        self.inner.arm(at, Box::new(f), place)
    }

    /// The one `T` of this loop, made when it is asked for first.
    pub(crate) fn of_loop<T: Any>(&self, make: impl FnOnce(&Rc<Inner>) -> T) -> Rc<T> {
        let found = self.inner.of_loop.borrow().iter().find_map(|any| any.clone().downcast::<T>().ok());
        found.unwrap_or_else(|| {
            let made = Rc::new(make(&self.inner));
            self.inner.of_loop.borrow_mut().push(made.clone());
            made
        })
    }

    /// Tells every source that the run is over.
    pub(crate) fn disconnect_all(&self) {
        let entries: Vec<_> = self.inner.sources.borrow().iter().map(|slot| slot.entry.clone()).collect();
        for entry in entries {
            if let Err(payload) = guard(|| entry.disconnect(self)) {
                forget_payload(payload);
            }
        }
        self.finish_up();
    }
}

impl Inner {
    /// Where a shared source stands, by its descriptor's number. `None` when the loop has let it go.
    pub(crate) fn find_shared<E>(&self, descriptor: RawFd, source: &E) -> Option<(u32, u64)> {
        self.sources.borrow().find(descriptor, std::ptr::from_ref(source).cast())
    }

    /// The line of the program that registered it.
    pub(crate) fn shared_place(&self, index: u32, serial: u64) -> Option<Place> {
        Some(self.sources.borrow().get(index, serial)?.place)
    }

    /// Changes what a shared source is watched for.
    pub(crate) fn want_shared(self: &Rc<Self>, index: u32, serial: u64, interest: Interest) {
        if self.sources.borrow_mut().want(index, serial, interest) && trace::on() {
            let (r, w) = (interest.is_read(), interest.is_write());
            let event_loop = EventLoop { inner: self.clone() };
            event_loop.trace_source(index, serial, Links::default(), |i| Kind::IoWant { i, r, w });
        }
    }

    pub(crate) fn after_callback(&self) -> Rc<AfterCallback> {
        self.after.clone()
    }
}

/// The loop, for objects that belong to it and are dropped with it.
pub(crate) fn upgrade(weak: &Weak<Inner>) -> Option<EventLoop> {
    weak.upgrade().map(|inner| EventLoop { inner })
}
