//! One failing callback is one failing callback: panics are caught, reported, and the rest goes on.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::ground::failure::panic_message;
use crate::ground::unhandled::error_line;
use crate::trace::{Place, Slot};

/// What a panic was given.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Runs user code. A panic becomes its payload.
#[inline]
pub(crate) fn guard<R>(f: impl FnOnce() -> R) -> Result<R, Payload> {
    // Whatever the panic left half done is the user's own; the loop holds nothing while user code runs.
    catch_unwind(AssertUnwindSafe(f))
}

/// Reports a panic in a callback that was registered at `place`.
#[cold]
pub(crate) fn report(slot: Slot, place: Place, payload: &Payload) {
    let (what, then) = match slot {
        Slot::Soon => ("a call_soon callback", ""),
        Slot::Post => ("a call posted from another thread", ""),
        Slot::Ready | Slot::Write | Slot::Accept => ("a source's callback", "; the source was removed"),
        Slot::Timer => ("a delayed call", ""),
        Slot::Work => ("the callback of a worker's job", ""),
        Slot::Task => ("a task", ""),
        Slot::Trigger => ("a start-up or shutdown trigger", ""),
    };
    let text = panic_message(&**payload);
    // A logger is the user's code too.
    let _ = guard(|| error_line(&format_args!("{what} panicked: {text} (registered at {place}{then})")));
}

/// Drops what the user owns; a panic of its `Drop` is reported and goes no further.
pub(crate) fn drop_quietly<T>(value: T) {
    let mut value = Some(value);
    empty_quietly(&mut || drop(value.take()));
}

/// The same whatever the type is: compiled once.
fn empty_quietly(empty: &mut dyn FnMut()) {
    if let Err(payload) = guard(empty) {
        let text = panic_message(&*payload);
        let _ = guard(|| error_line(&format_args!("a Drop panicked while the event loop let go of it: {text}")));
        forget_payload(payload);
    }
}

/// Drops a payload, whose own `Drop` may panic too.
pub(crate) fn forget_payload(payload: Payload) {
    if let Err(second) = guard(|| drop(payload)) {
        std::mem::forget(second);
    }
}
