//! The fold of a trace, its sentences, the way back from an event, and stepping through it.

mod every_kind;
#[cfg(feature = "stepper")]
mod screens;
mod sentences;
#[path = "../support/snapshot.rs"]
mod snapshot;
mod state;
mod stepper;
mod why;

use snapshot::{record, same};
