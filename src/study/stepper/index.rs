//! What a stepper looks up often: the turns of the loop, and what each Deferred did.

use super::breaks::starts;
use crate::study::row::{is_error, objects};
use crate::trace::{Event, EventNumber, Id, Kind, Object, Trace};
use std::collections::HashMap;

/// A turn of the loop, or (turn 0) the setup before the first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn {
    pub(super) n: u32,
    /// Its first event.
    pub(super) s: EventNumber,
    /// How long it waited, and how long there was nothing to do before it, in nanoseconds.
    pub(super) waited: u64,
    /// How many callbacks and steps it ran.
    pub(super) ran: u32,
    /// Whether something went wrong in it.
    pub(super) error: bool,
}

/// The turns, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    pub(super) turns: Vec<Turn>,
    /// For each Deferred, by number: the events that are about it, by their places in the list.
    chains: HashMap<u32, Vec<u32>>,
    /// The cancellers that run, with their Deferreds: their ends do not name these.
    cancellers: HashMap<EventNumber, Id>,
    /// How many events there were.
    len: u32,
    /// The time of the last event.
    t: u64,
}

impl Index {
    pub(super) fn of(trace: &Trace) -> Index {
        let mut index = Index::default();
        for event in trace.events() {
            index.push(&event);
        }
        index
    }

    /// The places of the events about any of these Deferreds, in order, before the place `end`.
    pub(super) fn about(&self, chains: impl Iterator<Item = Id>, end: usize) -> Vec<usize> {
        let of = |id: Id| self.chains.get(&id.1).map(Vec::as_slice).unwrap_or_default();
        let mut places: Vec<usize> =
            chains.flat_map(of).map(|place| *place as usize).filter(|place| *place < end).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    pub(super) fn push(&mut self, event: &Event<'_>) {
        self.note_chains(event);
        if let Kind::TurnBegin { .. } = event.kind {
            // A clock that is moved by hand moves between two turns.
            let waited = event.t.saturating_sub(self.t);
            self.turns.push(Turn { n: event.turn, s: event.s, waited, ..Turn::default() });
        }
        self.t = event.t;
        if self.turns.is_empty() {
            self.turns.push(Turn { s: event.s, ..Turn::default() });
        }
        let Some(turn) = self.turns.last_mut() else { return };
        match event.kind {
            Kind::PollEnd { waited, .. } => turn.waited = turn.waited.saturating_add(waited),
            kind if starts(&kind) => turn.ran = turn.ran.saturating_add(1),
            kind if is_error(&kind) => turn.error = true,
            _ => {}
        }
    }

    fn note_chains(&mut self, event: &Event<'_>) {
        let place = self.len;
        self.len = self.len.saturating_add(1);
        let ended = match event.kind {
            Kind::CancellerBegin { d } => {
                self.cancellers.insert(event.s, d);
                None
            }
            Kind::CancellerEnd { b, .. } => self.cancellers.remove(&b),
            _ => None,
        };
        // A group keeps what its members came to, and the rail says so.
        let members = match event.kind {
            Kind::GNew { of, .. } => of,
            _ => &[],
        };
        let named = objects(&event.kind).into_iter().flatten();
        for id in named.chain(ended).chain(members.iter().copied()) {
            if id.0 == Object::Deferred {
                self.chains.entry(id.1).or_default().push(place);
            }
        }
    }
}
