//! A recording kept in memory.

use super::{Event, Kind, Recorder, record_with};

/// A finished recording in memory.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    events: Vec<Event>,
    limit: usize,
    dropped: u64,
}

impl Trace {
    /// The most events that [`record`] keeps: 1,000,000 (about 150 MB).
    pub const LIMIT: usize = 1_000_000;

    /// A recorder that keeps the first `limit` events.
    ///
    /// The first ones and not the last, so that no link of a kept event points to a lost one. Where the lost ones
    /// begin stands one more event, [`Kind::Drop`], that counts them.
    pub fn with_limit(limit: usize) -> Trace {
        Trace { limit, ..Trace::default() }
    }

    /// The events in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// How many events found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl Recorder for Trace {
    fn event(&mut self, event: &Event) {
        if self.events.len() < self.limit {
            self.events.push(event.clone());
            return;
        }
        self.dropped += 1;
        let n = self.dropped;
        if n == 1 {
            // In the place, and with the number, of the first one that is lost.
            let (cause, reg, at, label) = (0, 0, None, None);
            self.events.push(Event { cause, reg, at, label, kind: Kind::Drop { n }, ..event.clone() });
        } else if let Some(Event { kind: Kind::Drop { n: told }, .. }) = self.events.last_mut() {
            *told = n;
        }
    }
}

/// Records what `f` does on this thread in memory.
///
/// ```
/// use ropewalk::{Deferred, trace};
///
/// let ((), trace) = trace::record(|| {
///     Deferred::succeed(1).add_callback(|n| Ok(n + 1));
/// });
/// assert!(!trace.events().is_empty());
/// ```
pub fn record<T>(f: impl FnOnce() -> T) -> (T, Trace) {
    record_with(Trace::with_limit(Trace::LIMIT), f)
}
