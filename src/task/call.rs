//! Calling a function of the user's outside a chain.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::ground::Failure;
use crate::ground::step::Returned;
use crate::trace::Place;

/// Calls `f`. A panic becomes a failure of what was registered at `place`.
pub(super) fn call<T: 'static>(place: Place, f: impl FnOnce() -> Returned<T>) -> Returned<T> {
    // Unwind safe: nothing of ours is borrowed, and what the panic left half done is the user's own.
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| Returned::Now(Err(Failure::panic(payload, place))))
}
