//! What a stepper looks up often: the turns of the loop.

use super::breaks::starts;
use crate::study::row::is_error;
use crate::trace::{Event, EventNumber, Kind, Trace};

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

    pub(super) fn push(&mut self, event: &Event<'_>) {
        if let Kind::TurnBegin { n } = event.kind {
            // A clock that is moved by hand moves between two turns.
            let waited = event.t.saturating_sub(self.t);
            self.turns.push(Turn { n, s: event.s, waited, ..Turn::default() });
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
}
