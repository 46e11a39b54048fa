//! A run in the forms of other programs: Chrome Trace Event JSON, Mermaid, Graphviz.

mod chrome;
mod diagram;
mod dot;
mod mermaid;

pub use chrome::{Chrome, chrome};
pub use diagram::{Diagram, DiagramError, diagram};
