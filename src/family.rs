//! What is made of Deferreds and needs no event loop: lists and races, shared results, locks and queues.
//!
//! * [`list`], [`race`]: one Deferred out of many. `group`: what they have in common; `ties`: how they cancel;
//!   [`members`]: what they are made of.
//! * [`share`]: one result for many.
//! * [`lock`], [`semaphore`]: who may go on. [`permit`]: the right to; `line`: those who wait.
//! * [`queue`]: values for whoever asks for the next one.
//!
//! It lies beside the ground and uses nothing else.

mod group;
pub(crate) mod line;
pub(crate) mod list;
pub(crate) mod lock;
pub(crate) mod members;
pub(crate) mod permit;
pub(crate) mod queue;
pub(crate) mod race;
pub(crate) mod semaphore;
pub(crate) mod share;
mod ties;

pub use list::{DeferredList, FirstOrAll, gather_results};
pub use lock::DeferredLock;
pub use members::{Members, OneOf2, OneOf3, OneOf4, OneOf5, OneOf6, OneOf7, OneOf8};
pub use permit::{BacklogFull, Permit};
pub use queue::{DeferredQueue, QueueOverflow, QueueUnderflow};
pub use race::race;
pub use semaphore::DeferredSemaphore;
pub use share::Shared;
