//! Floor 6, the study: what shows a recorded run to a person.
//!
//! Everything here is a fold of the event list that [`trace::record`](crate::trace::record) gives: nothing is executed
//! again, and nothing that runs knows of it.
//!
//! * [`text_chain`]: each Deferred as a two-lane rail in plain text, for logs, docs, tests and commit messages.

mod chains;
mod rail;
mod text_chain;
mod words;

pub use text_chain::{TextChain, text_chain};
