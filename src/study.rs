//! The study: what shows a recorded run to a person. Feature `study`.
//!
//! Everything here is a fold of the event list that [`trace::record`](crate::trace::record) gives: nothing is executed
//! again, and nothing that runs knows of it.
//!
//! * [`State`]: the fold on which everything rests. What is open, what waits, where each Deferred stands, how far each
//!   failure came. [`Timeline`] keeps the events and jumps to the state after any of them.
//! * [`sentence`]: each event in plain English. [`headline`]: in a few words. [`why`]: the way back from it.
//! * [`lints()`]: what is probably wrong in the run.
//! * [`chrome`], [`diagram`]: the run for Perfetto, Mermaid and Graphviz.
//! * [`page`]: the whole run as one HTML file, to be stepped through in a browser.
//! * [`stepper`]: a run event by event, back in time, and on to the next stop.
//! * [`text_chain`]: each Deferred as a two-lane rail in plain text, for logs, docs, tests and commit messages.

#[cfg(feature = "trace-env")]
mod attach;
mod chains;
#[cfg(feature = "trace-env")]
pub mod env;
mod export;
pub mod lints;
mod page;
mod rail;
mod row;
mod sentence;
pub mod state;
pub mod stepper;
mod table;
mod text_chain;
mod timeline;
mod why;
mod words;

pub use export::{Chrome, Diagram, DiagramError, chrome, diagram};
pub use lints::{Limits, Lint, Rule, Weight, lints, lints_with};
pub use page::{Finding, Page, PageError, page};
pub use row::{headline, is_error, objects};
pub use sentence::{sentence, sentences};
pub use state::State;
pub use stepper::{Key, Stepper};
pub use text_chain::{TextChain, text_chain};
pub use timeline::Timeline;
pub use why::{Link, Why, WhyRow, why};
