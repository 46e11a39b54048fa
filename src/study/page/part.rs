//! Which events of a run a page holds: all of them, or a part that can be understood by itself.

use crate::study::objects;
use crate::trace::{Event, EventNumber, Id, Kind, Trace};
use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::RangeInclusive;

#[derive(Clone, Debug)]
pub(super) enum Part {
    All,
    Turns(RangeInclusive<u32>),
    Around(Id),
}

/// The chosen events, by their places in the trace.
pub(super) struct Chosen {
    /// `None` for all.
    places: Option<HashSet<EventNumber>>,
    count: usize,
}

impl Chosen {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn holds(&self, s: EventNumber) -> bool {
        self.places.as_ref().is_none_or(|places| places.contains(&s))
    }
}

impl Part {
    /// `turns 3..9`
    pub(super) fn words(&self) -> String {
        match self {
            Part::All => "it".to_owned(),
            Part::Turns(turns) => format!("turns {}..{}", turns.start(), turns.end()),
            Part::Around(id) => format!("what is around {id}"),
        }
    }

    /// What the page says about it; empty for a whole run.
    pub(super) fn title(&self, count: usize, all: usize) -> String {
        match self {
            Part::All => String::new(),
            part => format!("{}: {count} of {all} events", part.words()),
        }
    }

    pub(super) fn choose(&self, trace: &Trace) -> Chosen {
        let chosen = match self {
            Part::All => return Chosen { places: None, count: trace.len() },
            Part::Turns(turns) => {
                let inside =
                    trace.events().filter(|event| turns.contains(&event.turn)).map(|event| event.s).collect();
                with_parents(trace, inside, 1)
            }
            Part::Around(id) => {
                let ids = partners(trace, *id, usize::MAX);
                let names = |event: &Event<'_>| objects(&event.kind).iter().flatten().any(|id| ids.contains(id));
                let inside = trace.events().filter(names).map(|event| event.s).collect();
                with_parents(trace, inside, usize::MAX)
            }
        };
        Chosen { count: chosen.len(), places: Some(chosen) }
    }
}

/// What an object waits for and what waits for it, and so on up to `hops` times, and the members of its groups.
pub(in crate::study) fn partners(trace: &Trace, id: Id, hops: usize) -> HashSet<Id> {
    let mut pairs: HashMap<Id, Vec<Id>> = HashMap::new();
    let mut pair = |a: Id, b: Id| {
        pairs.entry(a).or_default().push(b);
        pairs.entry(b).or_default().push(a);
    };
    for event in trace.events() {
        match event.kind {
            Kind::DPause { d, on } => pair(d, on),
            Kind::DResume { d, from, .. } => pair(d, from),
            Kind::DRet { d, inner: Some(inner), .. } => pair(d, inner),
            Kind::XWait { x, on: Some(on) } => pair(x, on),
            Kind::DTimeout { d, m, .. } => pair(d, m),
            Kind::GNew { g, d, of, .. } => {
                pair(g, d);
                of.iter().for_each(|member| pair(g, *member));
            }
            _ => {}
        }
    }
    let mut found = HashSet::from([id]);
    let mut queue = VecDeque::from([(id, 0)]);
    while let Some((id, far)) = queue.pop_front() {
        if far == hops {
            break;
        }
        for other in pairs.remove(&id).unwrap_or_default() {
            if found.insert(other) {
                queue.push_back((other, far + 1));
            }
        }
    }
    found
}

/// Adds what the events refer to: up to `hops` of their links (called from, woken by, began at), where they were
/// registered, the ends of their frames, and how each object that they name was made and named.
fn with_parents(trace: &Trace, inside: HashSet<EventNumber>, hops: usize) -> HashSet<EventNumber> {
    let mut chosen = HashSet::new();
    let mut ids = HashSet::new();
    // Where a way back was walked before, the rest of it is there.
    let mut walked = HashSet::new();
    for s in inside {
        let mut at = trace.get(s);
        for hop in 0..=hops {
            let Some(event) = at.filter(|event| walked.insert(event.s) || hops == 1) else { break };
            if hop == 0 {
                ids.extend(objects(&event.kind).into_iter().flatten());
            }
            chosen.extend([event.s, event.frame, event.reg].into_iter().filter(|s| *s != 0));
            at = trace.get(event.because());
        }
    }
    for event in trace.events() {
        let made = match event.kind {
            Kind::DNew { d, .. } | Kind::DName { d } | Kind::DAdd { d, .. } => Some(d),
            Kind::TimerArm { m: id, .. }
            | Kind::IoOpen { i: id, .. }
            | Kind::Post { p: id, .. }
            | Kind::WorkQueue { w: id, .. }
            | Kind::XSpawn { x: id, .. }
            | Kind::FNew { f: id, .. }
            | Kind::GNew { g: id, .. } => Some(id),
            _ => None,
        };
        let ends = event.kind.begin().is_some_and(|b| chosen.contains(&b));
        if ends || made.is_some_and(|id| ids.contains(&id)) {
            chosen.insert(event.s);
        }
    }
    chosen.retain(|s| trace.get(*s).is_some());
    chosen
}
