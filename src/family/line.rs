//! A line of waiters: first come, first served; one that is cancelled leaves it.

use crate::ground::chain::Ask;
use crate::ground::numbered::Numbered;
use crate::ground::trace::Id;
use crate::ground::{Deferred, Resolver};
use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::{Rc, Weak};

/// Waiters by their tickets, so that leaving from the middle is a look-up and not a walk.
pub(crate) struct Line<T: 'static> {
    waiters: RefCell<Numbered<Resolver<T>>>,
    ticket: Cell<u64>,
    /// Those who are about to join: a recorder may be hearing of them, and may ask meanwhile.
    joining: Cell<usize>,
}

impl<T: 'static> Line<T> {
    pub(crate) fn new() -> Rc<Line<T>> {
        Rc::new(Line { waiters: RefCell::default(), ticket: Cell::new(0), joining: Cell::new(0) })
    }

    pub(crate) fn len(&self) -> usize {
        self.waiters.borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is room for one more, if so many may wait.
    pub(crate) fn has_room(&self, limit: usize) -> bool {
        self.len() + self.joining.get() < limit
    }

    /// Joins the line at its end. What it waits for may have come meanwhile, if a recorder gave it: look again.
    #[track_caller]
    pub(crate) fn join(self: &Rc<Self>) -> Deferred<T> {
        self.join_for(None)
    }

    /// The same for a copy of what another Deferred brings: of that one, says the trace.
    #[track_caller]
    pub(super) fn join_for(self: &Rc<Self>, of: Option<Id>) -> Deferred<T> {
        self.joining.set(self.joining.get() + 1);
        let (resolver, deferred) = Deferred::new_of(of, Location::caller());
        self.joining.set(self.joining.get() - 1);
        let ticket = self.ticket.get();
        self.ticket.set(ticket + 1);
        resolver.set_canceller(Rc::new(Leave { line: Rc::downgrade(self), ticket }));
        self.waiters.borrow_mut().insert(ticket, resolver);
        deferred
    }

    /// Whose turn it is. Out of the line with this.
    pub(crate) fn next(&self) -> Option<Resolver<T>> {
        self.waiters.borrow_mut().pop_first()
    }
}

/// The canceller of one who waits.
struct Leave<T: 'static> {
    line: Weak<Line<T>>,
    ticket: u64,
}

impl<T: 'static> Ask for Leave<T> {
    fn call(&self) {
        let Some(line) = self.line.upgrade() else { return };
        let waiter = line.waiters.borrow_mut().remove(self.ticket);
        drop(waiter); // whoever cancels fires it
    }
}
