//! What tasks tell the recorder. Called only while somebody records, with nothing borrowed.

use std::any::type_name;
use std::cell::Cell;
use std::panic::Location;

use crate::ground::Failure;
use crate::ground::tell::{came_to, came_to_unseen};
use crate::trace::{self, Frame, Id, Kind, Links, Mark, Object, Place, Polled, Shown, Val};

use crate::event_loop::turn::Site;

use super::{POLLED, TaskId, Tasks};

/// Whose callback a loop of this thread calls: the number of the recording, and the object in it.
pub(crate) type Calling = (u32, Id);

/// What came out of a task.
enum Given {
    Ok { text: String, ty: &'static str },
    Err(Id),
}

thread_local! {
    static CALLING: Cell<Option<Calling>> = const { Cell::new(None) };
    /// Kept from where the result is known to the end of the poll.
    static GIVEN: Cell<Option<(TaskId, Given)>> = const { Cell::new(None) };
}

/// The loop calls a callback of `object`. Answers what was called before, for [`called`].
#[cold]
#[inline(never)]
pub(in crate::event_loop) fn calls(object: Option<Id>) -> Option<Calling> {
    CALLING.replace(object.map(|id| (trace::run(), id)))
}

/// That callback is over.
#[cold]
#[inline(never)]
pub(in crate::event_loop) fn called(before: Option<Calling>) {
    CALLING.set(before);
}

/// The task that is being polled has come to this.
#[cold]
#[inline(never)]
pub(crate) fn gives<T: 'static>(outcome: &mut Result<T, Failure>) {
    let Some(task) = POLLED.get().map(|polled| polled.task) else { return };
    let mut shown = Shown::default();
    keep(task, type_name::<T>(), came_to(outcome, &mut shown));
}

/// The same for a result that may borrow.
#[cold]
#[inline(never)]
pub(crate) fn gives_unseen<T>(outcome: &mut Result<T, Failure>) {
    if let Some(task) = POLLED.get().map(|polled| polled.task) {
        keep(task, type_name::<T>(), came_to_unseen(outcome));
    }
}

fn keep(task: TaskId, ty: &'static str, val: Val<'_>) {
    let given = match val {
        Val::Ok { text, .. } => Given::Ok { text: text.to_owned(), ty },
        Val::Err(f) => Given::Err(f),
    };
    GIVEN.set(Some((task, given)));
}

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
    #[inline(never)]
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
    #[inline(never)]
    pub(crate) fn site(self) -> Site {
        match self.known() {
            Some(Known { x, cause, .. }) => Site { id: Some(x), cause, ..Site::default() },
            None => Site::default(),
        }
    }
}

/// A task was spawned.
#[cold]
#[inline(never)]
pub(super) fn spawned(task: TaskId) {
    task.known_as(false);
}

/// A task was woken.
#[cold]
#[inline(never)]
pub(super) fn woken(task: TaskId) {
    let Some(Known { x, .. }) = task.known() else { return };
    let own = POLLED.get().is_some_and(|polled| polled.task == task);
    let by = CALLING.get().filter(|(run, _)| *run == trace::run()).map(|(_, id)| id);
    let cause = trace::emit(Kind::XWake { x, by, own }, Links { cause: trace::frame(), ..Links::default() });
    task.at_home(|tasks| {
        if let Some(slot) = tasks.table.borrow_mut().get_mut(task) {
            slot.cause = cause;
        }
    });
}

/// A poll begins: that of a task in the table, or that of the future for which a task stands in there.
#[cold]
#[inline(never)]
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
#[inline(never)]
pub(crate) fn poll_ends(frame: Frame, task: TaskId, ready: bool) {
    let given = GIVEN.take().filter(|(of, _)| ready && *of == task).map(|(_, given)| given);
    if !ready {
        look_at_waker(task, true);
    }
    let val = given.as_ref().map(|given| match given {
        Given::Ok { text, ty } => Val::Ok { text, ty },
        Given::Err(f) => Val::Err(*f),
    });
    frame.close(|b| Kind::XRet { b, out: polled(ready), val }, Links::default());
}

/// Tells whether somebody keeps a waker of a task; `again`: also where that is known.
fn look_at_waker(task: TaskId, again: bool) {
    let Some(Known { x, .. }) = task.known() else { return };
    let looked = task.at_home(|tasks| {
        let kept = tasks.is_waker_kept(task);
        let mut table = tasks.table.borrow_mut();
        Some((std::mem::replace(&mut table.get_mut(task)?.kept, kept), kept))
    });
    match looked.flatten() {
        Some((before, true)) if again || !before => {
            trace::emit(Kind::WakerClone { x }, Links::default());
        }
        Some((true, false)) => {
            trace::emit(Kind::WakerDrop { x }, Links::default());
        }
        _ => {}
    }
}

/// The loop has nothing left to wait for: wakers that were dropped meanwhile are why.
#[cold]
#[inline(never)]
pub(in crate::event_loop) fn wakers_are_gone(tasks: &Tasks) {
    tasks.all().into_iter().for_each(|task| look_at_waker(task, false));
}

fn polled(ready: bool) -> Polled {
    if ready { Polled::Ready } else { Polled::Pending }
}

/// A task is about to go.
#[cold]
#[inline(never)]
pub(super) fn ends(task: TaskId, ready: bool) {
    if let Some(Known { x, .. }) = task.known() {
        trace::emit(Kind::XDrop { x, state: polled(ready) }, Links::default());
    }
}

/// The task that is being polled waits for something: a Deferred, a timer, a source. `at` is the line of its `await`.
#[cold]
#[inline(never)]
pub(crate) fn waits(on: Option<Id>, at: &'static Location<'static>) {
    if let Some(task) = POLLED.get().map(|polled| polled.task)
        && let Some(Known { x, .. }) = task.known()
    {
        trace::emit(Kind::XWait { x, on }, Links { at: Some(at), ..Links::default() });
    }
}
