//! What the slot itself remembers of a run, whoever records: enough to say at a lost error how it came to it.

use super::event::{Event, EventNumber, Id};
use super::kind::Kind;
use super::slot::{Mark, current};
use std::rc::Rc;

/// How many events back it remembers. A lost error is mostly lost soon; 4096 events take 160 KB, which stay in the
/// cache.
const BACK: usize = 1 << 12;

/// How many events [`why`] names: a line, not a listing.
const HOPS: usize = 12;

/// The last events of a run, in a ring: event `s` lies at `s % BACK`.
#[derive(Default)]
pub(super) struct Past {
    ring: Vec<Step>,
}

struct Step {
    s: EventNumber,
    /// See [`Event::because`].
    parent: EventNumber,
    what: What,
}

enum What {
    Fire(Id),
    /// A failure came to rest, at that time.
    Rest(Id, u64),
    Callback(Id, Option<Rc<str>>),
    Other,
}

impl Past {
    pub(super) fn push(&mut self, event: &Event<'_>) {
        // Numbers start at 1 and have no gaps, so the first round fills the ring from its second place on.
        let place = event.s as usize % BACK;
        while self.ring.len() <= place {
            self.ring.push(Step { s: 0, parent: 0, what: What::Other });
        }
        // Written where it is to lie: to build it elsewhere and copy it takes a twentieth of what an event costs.
        let place = &mut self.ring[place];
        place.s = event.s;
        place.parent = event.because();
        match &event.kind {
            Kind::DFire { d, .. } => place.what = What::Fire(*d),
            Kind::FResting { f, .. } => place.what = What::Rest(*f, event.t),
            Kind::CbBegin { o: Some(o), .. } => place.what = What::Callback(*o, event.label.map(Rc::from)),
            _ => place.what = What::Other,
        }
    }

    fn get(&self, s: EventNumber) -> Option<&Step> {
        self.ring.get(s as usize % BACK).filter(|step| step.s == s && s != 0)
    }
}

/// The number of an event, of what woke it (or called it), what woke that, and so on: at most 12 events, the last first.
pub(crate) fn why(mark: Mark) -> Vec<EventNumber> {
    let Some(current) = current() else { return Vec::new() };
    let Some(s) = current.number(mark) else { return Vec::new() };
    let past = current.past.borrow();
    std::iter::successors(past.get(s), |step| past.get(step.parent)).map(|step| step.s).take(HOPS).collect()
}

/// The callback of the loop inside which a Deferred was fired, with its label.
pub(crate) fn fired_by(d: Id) -> Option<(Id, Option<Rc<str>>)> {
    let current = current()?;
    let past = current.past.borrow();
    let fire = past.ring.iter().find(|step| matches!(step.what, What::Fire(fired) if fired == d))?;
    std::iter::successors(Some(fire), |step| past.get(step.parent)).find_map(|step| match &step.what {
        What::Callback(o, label) => Some((*o, label.clone())),
        _ => None,
    })
}

/// For how long a failure has rested, in nanoseconds, since it came to rest the last time.
pub(crate) fn rested(f: Id) -> Option<u64> {
    let current = current()?;
    let past = current.past.borrow();
    let times = past.ring.iter().filter_map(|step| match step.what {
        What::Rest(rests, t) if rests == f => Some(t),
        _ => None,
    });
    times.max().map(|since| current.last_time.get().saturating_sub(since))
}
