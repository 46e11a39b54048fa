//! Floor 0, the ground: what needs no event loop.
//!
//! * [`deferred`], [`resolver`]: the two ends of a chain; `chain`, `info` and `step`: what lies between them;
//!   `abandon`: when the firing end is dropped.
//! * [`failure`]: an error on its way, with the places it came from; [`unhandled`]: the report when nobody took it.
//! * `random`: numbers from a seed.
//! * [`trace`]: the event type and the recorder slot; `tell`: what chains say there.

mod abandon;
mod aside;
pub(crate) mod chain;
pub(crate) mod deferred;
pub(crate) mod failure;
pub(crate) mod info;
pub(crate) mod jobs;
mod payload;
pub(crate) mod random;
pub(crate) mod resolver;
pub(crate) mod several;
pub(crate) mod sink;
pub(crate) mod step;
pub(crate) mod tell;
pub mod trace;
pub(crate) mod unhandled;

pub(crate) use deferred::Who;
pub use deferred::{CancelHandle, Deferred, maybe_deferred};
pub use failure::{AbandonedError, CancelledError, Failure, PanicError};
pub use resolver::Resolver;
pub use several::{FailureGroup, FirstError};
pub use step::CallbackResult;
pub(crate) use step::step_name;
pub use unhandled::{UnhandledError, UnhandledHook, set_unhandled_hook};
