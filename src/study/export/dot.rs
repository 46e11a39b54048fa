//! Text for Graphviz: a cluster for each turn, a box for each callback, a record with a port for each step.

use super::diagram::{Diagram, DiagramError};
use crate::study::row::headline;
use crate::study::state::State;
use crate::study::words::escaped;
use crate::trace::{Event, EventNumber, Id, Kind, Object, Trace, Val};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What an event belongs to in the picture.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    /// The setup (0), or the loop itself in a turn.
    Turn(u32),
    /// A callback, a poll of a task or a canceller: its begin event.
    Frame(EventNumber),
    /// A Deferred, and one of its steps.
    Chain(Id, Option<u32>),
}

impl Node {
    fn name(self) -> String {
        match self {
            Node::Turn(n) => format!("turn{n}"),
            Node::Frame(s) => format!("s{s}"),
            Node::Chain(d, None) => d.to_string(),
            Node::Chain(d, Some(n)) => format!("{d}:p{n}"),
        }
    }
}

fn safe(text: &str) -> String {
    let mut out = String::new();
    for (i, c) in escaped(text).chars().enumerate() {
        if i == 60 {
            out.push_str("..");
            break;
        }
        match c {
            // Marks of a text, and of the fields of a record.
            '"' | '\\' | '{' | '}' | '|' | '<' | '>' => out.extend(['\\', c]),
            // Graphviz reads the entities of HTML.
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
    out
}

/// The node in which an event lies.
fn home(trace: &Trace, event: &Event<'_>) -> Node {
    let mut at = *event;
    loop {
        match at.kind {
            Kind::CbBegin { .. } | Kind::XPoll { .. } | Kind::CancellerBegin { .. } => return Node::Frame(at.s),
            Kind::DStep { d, n, .. } => return Node::Chain(d, Some(n)),
            _ => {}
        }
        match trace.get(at.frame).filter(|frame| frame.s < at.s) {
            Some(frame) => at = frame,
            None => return Node::Turn(at.turn),
        }
    }
}

/// A line from one node to another, with what it is to look like.
type Edge = (Node, Node, &'static str, String);

#[derive(Default)]
struct Drawn {
    frames: BTreeMap<u32, BTreeSet<EventNumber>>,
    chains: BTreeSet<Id>,
    turns: BTreeSet<u32>,
    edges: Vec<Edge>,
    known: BTreeSet<(Node, Node, &'static str)>,
}

impl Drawn {
    fn node(&mut self, trace: &Trace, node: Node) {
        match node {
            Node::Turn(n) => {
                self.turns.insert(n);
            }
            Node::Frame(s) => {
                let turn = trace.get(s).map_or(0, |event| event.turn);
                self.frames.entry(turn).or_default().insert(s);
            }
            Node::Chain(d, _) => {
                self.chains.insert(d);
            }
        }
    }

    fn edge(&mut self, trace: &Trace, from: Node, to: Node, look: &'static str, label: impl Into<String>) {
        if from != to && self.known.insert((from, to, look)) {
            self.node(trace, from);
            self.node(trace, to);
            self.edges.push((from, to, look, label.into()));
        }
    }
}

const WOKEN: &str = "style=solid";
const REGISTERED: &str = "style=dotted";
const WAITS: &str = "style=dashed";
const FAILURE: &str = "style=bold, color=\"#c05000\", fontcolor=\"#c05000\"";

/// How many nodes it has, and the text.
pub(super) fn dot(of: &Diagram<'_>) -> Result<(usize, String), DiagramError> {
    let (trace, state) = (of.trace(), of.state());
    let mut drawn = Drawn::default();
    for event in of.events() {
        let here = home(trace, &event);
        let links = |drawn: &mut Drawn, to: Node| {
            for (s, look) in [(event.cause, WOKEN), (event.reg, REGISTERED)] {
                if let Some(from) = trace.get(s).filter(|from| from.s < event.s) {
                    drawn.edge(trace, home(trace, &from), to, look, "");
                }
            }
        };
        match event.kind {
            Kind::CbBegin { .. } | Kind::XPoll { .. } | Kind::CancellerBegin { .. } => {
                drawn.node(trace, here);
                links(&mut drawn, here);
            }
            Kind::DNew { d, .. } => drawn.node(trace, Node::Chain(d, None)),
            Kind::DFire { d, val: Val::Err(f) } => {
                drawn.edge(trace, here, Node::Chain(d, None), FAILURE, f.to_string());
            }
            Kind::DFire { d, .. } => drawn.edge(trace, here, Node::Chain(d, None), WOKEN, "fires"),
            // The frame around it has it run.
            Kind::DStep { d, n, .. } => {
                let around = trace.get(event.frame).map_or(Node::Turn(event.turn), |frame| home(trace, &frame));
                drawn.edge(trace, around, Node::Chain(d, Some(n)), WOKEN, "");
                links(&mut drawn, Node::Chain(d, Some(n)));
            }
            Kind::DPause { d, on } => {
                let step = state.chain(d).and_then(|_| last_step(trace, &event, d));
                drawn.edge(trace, Node::Chain(d, step), Node::Chain(on, None), WAITS, "waits for");
            }
            Kind::DResume { d, from, .. } => {
                drawn.edge(trace, Node::Chain(from, None), Node::Chain(d, None), WOKEN, "resumes");
            }
            Kind::FMoved { f, from, to } => {
                drawn.edge(trace, Node::Chain(from, None), Node::Chain(to, None), FAILURE, f.to_string());
            }
            Kind::FHandled { f, d, n } => {
                drawn.edge(trace, Node::Chain(d, None), Node::Chain(d, Some(n)), FAILURE, f.to_string());
            }
            Kind::XWait { on: Some(on), .. } if on.0 == Object::Deferred => {
                drawn.edge(trace, here, Node::Chain(on, None), WAITS, "awaits");
            }
            _ => {}
        }
    }
    Ok((nodes(&drawn), text(&drawn, trace, &state)))
}

/// The step that paused a chain.
fn last_step(trace: &Trace, event: &Event<'_>, of: Id) -> Option<u32> {
    let ret = trace.get(event.cause)?;
    match ret.kind {
        Kind::DRet { d, n, .. } if d == of => Some(n),
        _ => None,
    }
}

fn nodes(drawn: &Drawn) -> usize {
    drawn.turns.len() + drawn.chains.len() + drawn.frames.values().map(BTreeSet::len).sum::<usize>()
}

fn text(drawn: &Drawn, trace: &Trace, state: &State) -> String {
    let mut text =
        "digraph run {\n  rankdir=LR; compound=true; fontname=\"sans-serif\";\n  node [fontname=\"sans-serif\", \
                    fontsize=11]; edge [fontname=\"sans-serif\", fontsize=9];\n"
            .to_owned();
    let turns: BTreeSet<u32> = drawn.turns.iter().chain(drawn.frames.keys()).copied().collect();
    for turn in turns {
        let title = if turn == 0 { "setup".to_owned() } else { format!("turn {turn}") };
        let _ = writeln!(text, "  subgraph cluster_{turn} {{\n    label=\"{title}\"; style=rounded; color=gray;");
        if drawn.turns.contains(&turn) {
            let what = if turn == 0 { "the program" } else { "the loop" };
            let _ = writeln!(text, "    turn{turn} [shape=plaintext, label=\"{what}\"];");
        }
        for s in drawn.frames.get(&turn).into_iter().flatten() {
            let label = trace.get(*s).map(|event| safe(&headline(state, &event))).unwrap_or_default();
            let _ = writeln!(text, "    s{s} [shape=box, label=\"{label}\", tooltip=\"event {s}\"];");
        }
        text.push_str("  }\n");
    }
    for d in &drawn.chains {
        let title = safe(&state.title(*d).replace('"', ""));
        let mut label = title;
        for step in state.chain(*d).into_iter().flat_map(|chain| chain.steps()) {
            let _ = write!(label, "|<p{}> {} {}", step.n, step.n, safe(&step.label));
        }
        let _ = writeln!(text, "  {d} [shape=record, style=rounded, label=\"{label}\"];");
    }
    for (from, to, look, label) in &drawn.edges {
        let label = if label.is_empty() { String::new() } else { format!(", label=\"{label}\"") };
        let _ = writeln!(text, "  {} -> {} [{look}{label}];", from.name(), to.name());
    }
    text.push_str("}\n");
    text
}
