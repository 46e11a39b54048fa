//! What tasks tell the recorder. Called only while somebody records, with nothing borrowed.

use std::panic::Location;

use crate::trace::{self, Frame, Id, Kind, Links, Mark, Object, Place, Polled};

use crate::event_loop::turn::Site;

use super::{POLLED, TaskId};

/// What a recording knows of a task.
struct Known {
    x: Id,
    new: bool,
    place: Place,
    polls: u32,
    cause: Mark,
    stands_in: bool,
}

impl TaskId {
    /// Tells that a task is there which was spawned before somebody recorded.
    #[cold]
    pub(crate) fn announce(self) {
        self.known_as(true);
    }

    fn known(self) -> Option<Known> {
        self.known_as(true)
    }

    fn known_as(self, late: bool) -> Option<Known> {
        let known = self.at_home(|tasks| {
            let mut table = tasks.table.borrow_mut();
            let slot = table.get_mut(self)?;
            let (x, new) = trace::id(&slot.id, Object::Task)?;
            Some(Known {
                x,
                new,
                place: slot.place,
                polls: slot.polls,
                cause: slot.cause,
                stands_in: slot.stands_in,
            })
        });
        let known = known.flatten()?;
        if known.new {
            let links = Links { at: Some(known.place), ..Links::default() };
            trace::emit(Kind::XSpawn { x: known.x, late }, links);
        }
        Some(known)
    }
}

impl TaskId {
    /// What the trace says of the loop's callback that polls it.
    #[cold]
    pub(crate) fn site(self) -> Site {
        match self.known() {
            Some(Known { x, cause, .. }) => Site { id: Some(x), cause, ..Site::default() },
            None => Site::default(),
        }
    }
}

/// A task was spawned.
#[cold]
pub(super) fn spawned(task: TaskId) {
    task.known_as(false);
}

/// A task was woken.
#[cold]
pub(super) fn woken(task: TaskId) {
    let Some(Known { x, .. }) = task.known() else { return };
    let own = POLLED.get().is_some_and(|polled| polled.task == task);
    let cause = trace::emit(Kind::XWake { x, by: None, own }, Links { cause: trace::frame(), ..Links::default() });
    task.at_home(|tasks| {
        if let Some(slot) = tasks.table.borrow_mut().get_mut(task) {
            slot.cause = cause;
        }
    });
}

/// A poll begins: that of a task in the table, or that of the future for which a task stands in there.
#[cold]
pub(crate) fn poll_begins(task: TaskId, itself: bool) -> Option<Frame> {
    let Known { x, place, polls, cause, stands_in, .. } = task.known()?;
    if itself == stands_in {
        return None;
    }
    task.at_home(|tasks| {
        if let Some(slot) = tasks.table.borrow_mut().get_mut(task) {
            slot.polls += 1;
            slot.cause = 0;
        }
    });
    Some(Frame::open(Kind::XPoll { x, n: polls }, Links { cause, at: Some(place), ..Links::default() }))
}

/// It is over. Whether somebody keeps a waker of a task that is pending is told too: else nobody can wake it.
#[cold]
pub(crate) fn poll_ends(frame: Frame, task: TaskId, ready: bool) {
    if !ready
        && let Some(Known { x, .. }) = task.known()
        && task.at_home(|tasks| tasks.is_waker_kept(task)) == Some(true)
    {
        trace::emit(Kind::WakerClone { x }, Links::default());
    }
    frame.close(|b| Kind::XRet { b, out: polled(ready), val: None }, Links::default());
}

fn polled(ready: bool) -> Polled {
    if ready { Polled::Ready } else { Polled::Pending }
}

/// A task is about to go.
#[cold]
pub(super) fn ends(task: TaskId, ready: bool) {
    if let Some(Known { x, .. }) = task.known() {
        trace::emit(Kind::XDrop { x, state: polled(ready) }, Links::default());
    }
}

/// The task that is being polled waits for something: a Deferred, a timer, a source. `at` is the line of its `await`.
#[cold]
pub(crate) fn waits(on: Option<Id>, at: &'static Location<'static>) {
    if let Some(task) = POLLED.get().map(|polled| polled.task)
        && let Some(Known { x, .. }) = task.known()
    {
        trace::emit(Kind::XWait { x, on }, Links { at: Some(at), ..Links::default() });
    }
}
