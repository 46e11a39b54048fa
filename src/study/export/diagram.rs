//! What a diagram shows of a run: some turns, what is around an object, and never more than can be drawn.

use super::{dot, mermaid};
use crate::study::page::partners;
use crate::study::row::objects;
use crate::study::state::State;
use crate::trace::{Event, Id, Object, Trace};
use std::collections::HashSet;
use std::fmt;
use std::ops::RangeInclusive;

/// Makes diagrams of a recorded run, as text for Mermaid and Graphviz.
///
/// ```
/// use ropewalk::{Deferred, study, trace};
///
/// let ((), trace) = trace::record(|| Deferred::succeed(1).named("one").map(|n| n + 1).detach());
/// let text = study::diagram(&trace).sequence()?;
/// assert!(text.starts_with("sequenceDiagram\n"));
/// # Ok::<(), study::DiagramError>(())
/// ```
pub fn diagram(trace: &Trace) -> Diagram<'_> {
    Diagram { trace, around: None, hops: usize::MAX, turns: None }
}

/// A part of a run that is to be drawn. Made by [`diagram`].
///
/// ```
/// use ropewalk::{Deferred, study, trace};
///
/// let ((), trace) = trace::record(|| {
///     let d = Deferred::succeed(()).named("sum").step_named("ask").add_callback(|()| Deferred::succeed(1));
///     d.step_named("add").map(|n| n + 1).detach();
/// });
/// let diagram = study::diagram(&trace).around("d1".parse()?).hops(1);
/// assert!(diagram.sequence()?.starts_with("sequenceDiagram"));
/// let chart = diagram.flowchart()?;
/// assert!(chart.starts_with("flowchart") && chart.contains("add"));
/// assert!(diagram.dot()?.starts_with("digraph"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "ask it for a diagram"]
pub struct Diagram<'t> {
    trace: &'t Trace,
    around: Option<Id>,
    hops: usize,
    turns: Option<RangeInclusive<u32>>,
}

impl<'t> Diagram<'t> {
    /// The most nodes (for a sequence: rows) of a diagram: 200. With more the layout takes minutes, and nobody can read it.
    pub const LIMIT: usize = 200;

    /// Only this object, and what it waits for or is waited for by.
    pub fn around(mut self, id: Id) -> Self {
        self.around = Some(id);
        self
    }

    /// How far from that object: 1 is those that it waits for itself. Without this, as far as it goes.
    pub fn hops(mut self, hops: usize) -> Self {
        self.hops = hops;
        self
    }

    /// Only these turns of the loop. 0 is the time before the first.
    pub fn turns(mut self, turns: RangeInclusive<u32>) -> Self {
        self.turns = Some(turns);
        self
    }

    /// A sequence diagram for Mermaid: who fires, waits for and resumes whom.
    ///
    /// # Errors
    ///
    /// [`DiagramError::TooMany`] with more than [`Diagram::LIMIT`] rows; [`DiagramError::Nothing`] if the part is empty.
    pub fn sequence(&self) -> Result<String, DiagramError> {
        self.limited(mermaid::sequence(self)?)
    }

    /// The way of one Deferred, for Mermaid: a flowchart with a column for each lane. Wants [`Diagram::around`] a Deferred.
    ///
    /// # Errors
    ///
    /// As [`Diagram::sequence`]; and [`DiagramError::NoDeferred`].
    pub fn flowchart(&self) -> Result<String, DiagramError> {
        match self.around {
            Some(d) if d.0 == Object::Deferred => self.limited(mermaid::flowchart(self, d)?),
            _ => Err(DiagramError::NoDeferred),
        }
    }

    /// What called, woke and registered what, for Graphviz: `dot -Tsvg`.
    ///
    /// # Errors
    ///
    /// As [`Diagram::sequence`].
    pub fn dot(&self) -> Result<String, DiagramError> {
        self.limited(dot::dot(self)?)
    }

    fn limited(&self, (nodes, text): (usize, String)) -> Result<String, DiagramError> {
        match nodes {
            0 => Err(DiagramError::Nothing),
            nodes if nodes > Self::LIMIT => {
                Err(DiagramError::TooMany { nodes, part: self.around.is_some() || self.turns.is_some() })
            }
            _ => Ok(text),
        }
    }

    pub(super) fn trace(&self) -> &'t Trace {
        self.trace
    }

    pub(super) fn state(&self) -> State {
        State::after(self.trace)
    }

    /// The chosen events, in order.
    pub(super) fn events(&self) -> Vec<Event<'t>> {
        let ids: Option<HashSet<Id>> = self.around.map(|id| partners(self.trace, id, self.hops));
        let chosen = |event: &Event<'_>| {
            let turn = self.turns.as_ref().is_none_or(|turns| turns.contains(&event.turn));
            let about = |ids: &HashSet<Id>| objects(&event.kind).iter().flatten().any(|id| ids.contains(id));
            turn && ids.as_ref().is_none_or(about)
        };
        self.trace.events().filter(chosen).collect()
    }
}

/// A diagram could not be made.
///
/// ```
/// use ropewalk::{Deferred, study::{self, DiagramError}, trace};
///
/// let ((), trace) = trace::record(|| (0..500).for_each(|n| Deferred::succeed(n).map(|n| n + 1).detach()));
/// let error = study::diagram(&trace).dot().unwrap_err();
/// assert!(matches!(error, DiagramError::TooMany { part: false, .. }));
/// assert!(error.to_string().contains("200 is the limit: choose a part"), "{error}");
/// assert_eq!(study::diagram(&trace).flowchart().unwrap_err(), DiagramError::NoDeferred);
/// assert_eq!(study::diagram(&trace).turns(7..=8).dot(), Err(DiagramError::Nothing));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiagramError {
    /// It would have so many nodes, more than [`Diagram::LIMIT`].
    TooMany {
        /// How many.
        nodes: usize,
        /// Whether only a part was asked for.
        part: bool,
    },
    /// The part that was asked for has nothing to draw.
    Nothing,
    /// A flowchart was asked for, and no Deferred of the trace was named.
    NoDeferred,
}

impl fmt::Display for DiagramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiagramError::TooMany { nodes, part } => {
                let smaller = if *part { "a smaller part" } else { "a part" };
                write!(
                    f,
                    "a diagram of {nodes} nodes cannot be read, {} is the limit: choose {smaller}, some turns (--turns 1..4) \
                     or what is near one object (--around d3 --hops 1)",
                    Diagram::LIMIT
                )
            }
            DiagramError::Nothing => f.write_str("the chosen part of the trace has nothing to draw"),
            DiagramError::NoDeferred => f.write_str("a flowchart is of one Deferred of the trace: --around d1"),
        }
    }
}

impl std::error::Error for DiagramError {}
