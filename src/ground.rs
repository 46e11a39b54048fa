//! Floor 0, the ground: what needs no event loop.
//!
//! * [`deferred`], [`resolver`]: the two ends of a chain; `chain`, `info` and `step`: what lies between them.
//! * `cancel`; `abandon`: when the firing end is dropped; `aside`: looking at a result, and taking it elsewhere;
//!   `describe`: what a Deferred says of itself.
//! * `jobs`: what the end of one chain sets going in others; `sink`: how they hang there.
//! * [`failure`]: an error on its way, with the places it came from; `several`: failures that hold failures; `payload`:
//!   one error of several failures; [`unhandled`]: the report when nobody took it.
//! * `random`: numbers from a seed; `type_name`: a type as a person writes it.
//! * [`trace`]: the event type and the recorder slot; `tell`: what chains say there.

mod abandon;
mod aside;
mod cancel;
pub(crate) mod chain;
pub(crate) mod deferred;
mod describe;
pub(crate) mod failure;
pub(crate) mod info;
pub(crate) mod jobs;
pub(crate) mod numbered;
mod payload;
pub(crate) mod random;
pub(crate) mod resolver;
pub(crate) mod several;
pub(crate) mod sink;
pub(crate) mod step;
pub(crate) mod tell;
pub mod trace;
pub(crate) mod type_name;
pub(crate) mod unhandled;

pub(crate) use deferred::Who;
pub use deferred::{CancelHandle, Deferred, maybe_deferred};
pub use describe::{DeferredState, Description, WaitsFor};
pub use failure::{AbandonedError, CancelledError, Failure, PanicError};
pub use resolver::Resolver;
pub use several::{FailureGroup, FirstError};
pub use step::CallbackResult;
#[cfg(feature = "study")]
pub(crate) use step::step_name;
pub use unhandled::{UnhandledError, UnhandledHook, set_unhandled_hook};
