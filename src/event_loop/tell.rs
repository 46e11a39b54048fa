//! What the loop tells the recorder. Called only while somebody records, with nothing borrowed.

use std::cell::Cell;
use std::rc::Rc;

use crate::trace::{self, Asked, EventNumber, Frame, IdSlot, Kind, Links, Mark, Object, Out, Place, Slot, Woke};

use super::EventLoop;
use super::interest::{HUP, READ, WRITE};
use super::turn::{Site, Turn};

/// How many sources a wait names in the trace. The first ones tell enough; all of a big server's at every wait would be
/// the whole trace.
const NAMED: usize = 64;

impl EventLoop {
    #[cold]
    pub(super) fn open_frame(&self, slot: Slot, place: Place, site: Site) {
        let label = site.label.as_deref();
        let links = Links { cause: site.cause, reg: site.reg, at: Some(place), label };
        let frame = Frame::open(Kind::CbBegin { o: site.id, slot }, links);
        self.inner.turn.call_frame.set(Some(frame));
    }

    /// A wait begins. Answers its mark and its time.
    #[cold]
    pub(super) fn poll_begins(&self, timeout: Option<u64>) -> Option<(Mark, u64)> {
        let inner = &*self.inner;
        let next =
            inner.timers.borrow().first().and_then(|slot| trace::id(&slot.id, Object::Timer)).map(|(m, _)| m);
        let watch = inner.sources.borrow().watched(NAMED);
        match trace::emit(Kind::PollBegin { timeout, next, watch: &watch }, Links::default()) {
            0 => None,
            begun => Some((begun, inner.clock.now())),
        }
    }

    /// It is over.
    #[cold]
    pub(super) fn poll_ends(&self, (begun, at): (Mark, u64)) {
        let inner = &*self.inner;
        let mut ready = Vec::new();
        let mut any_source = false;
        for event in inner.turn.ready.borrow().iter().filter(|event| event.is_source()) {
            any_source = true;
            if ready.len() < NAMED
                && let Some(i) = inner.sources.borrow().id_of(*event)
            {
                let (r, w) = (event.bits & (READ | HUP) != 0, event.bits & WRITE != 0);
                ready.push(Asked { i, r, w });
            }
        }
        let now = inner.clock.now();
        let woke = if any_source {
            Woke::Io
        } else if inner.mailbox.has_mail() || inner.any_task_woken() {
            Woke::Post
        } else if inner.next_deadline().is_some_and(|due| due <= now) {
            Woke::Timer
        } else {
            Woke::Now
        };
        let kind = Kind::PollEnd { b: begun, waited: now.saturating_sub(at), woke, ready: &ready };
        inner.turn.woken.set(trace::emit(kind, Links::default()));
    }
}

pub(super) fn queued(id: IdSlot, reg: EventNumber) -> Site {
    Site { id: trace::id(&Cell::new(id), Object::Post).map(|(p, _)| p), reg, ..Site::default() }
}

#[cold]
pub(super) fn close_frame(frame: Frame, out: Out) {
    frame.close(|b| Kind::CbEnd { b, out }, Links::default());
}

/// A letter is numbered when the loop takes it in: its thread has no trace.
pub(super) fn posted(place: Place) -> Site {
    let Some((p, _)) = trace::id(&Cell::default(), Object::Post) else { return Site::default() };
    let reg = trace::emit(Kind::Post { p, late: false }, Links { at: Some(place), ..Links::default() });
    Site { id: Some(p), reg, ..Site::default() }
}

pub(super) fn fired(turn: &Turn, id: Cell<IdSlot>, reg: EventNumber, at: u64, label: Option<Rc<str>>) -> Site {
    let Some((m, _)) = trace::id(&id, Object::Timer) else { return Site::default() };
    let late = turn.now.get().saturating_sub(at);
    let links = Links { cause: turn.woken.get(), reg, at: None, label: label.as_deref() };
    let cause = trace::emit(Kind::TimerFire { m, late }, links);
    Site { id: Some(m), cause, reg, label }
}
