//! What the slot itself remembers of a run, whoever records: enough to say at a lost error how it came to it.

use super::event::{Event, EventNumber, Id};
use super::kind::{Code, Kind};
use super::marks::Mark;
use super::memory::Trace;
use super::slot::{Current, current};
use std::cell::RefMut;
use std::rc::Rc;

/// How many events [`why`] names: a line, not a listing.
const HOPS: usize = 12;

/// The last events of a run, in a ring: event `s` lies at `s % Past::BACK`.
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
    /// How many events back it remembers. A lost error is mostly lost soon; 4096 events take 160 KB, which stay in the
    /// cache.
    pub(super) const BACK: usize = 1 << 12;

    pub(super) fn push(&mut self, event: &Event<'_>) {
        // Numbers start at 1 and have no gaps, so the first round fills the ring from its second place on.
        let place = event.s as usize % Past::BACK;
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
        self.ring.get(s as usize % Past::BACK).filter(|step| step.s == s && s != 0)
    }
}

impl Current {
    /// Notes an event that a trace in memory does not remember for us.
    pub(super) fn remember(&self, event: &Event<'_>) {
        if self.with_trace(|_| ()).is_some() {
            return;
        }
        self.past().push(event);
    }

    /// What the slot itself remembers. It begins, when a trace in memory is full, with what that knows.
    fn past(&self) -> RefMut<'_, Past> {
        let mut past = self.past.borrow_mut();
        if past.ring.is_empty()
            && let Some(trace) = self.memory.as_ref().map(|memory| memory.borrow())
        {
            let events = trace.iter().flat_map(|trace| trace.events().skip(trace.len().saturating_sub(Past::BACK)));
            events.for_each(|event| past.push(&event));
        }
        past
    }

    /// Asks the trace in memory, where that remembers enough.
    fn with_trace<T>(&self, f: impl FnOnce(&Trace) -> T) -> Option<T> {
        let memory = self.memory.as_ref()?.borrow();
        memory.as_deref().filter(|trace| trace.remembers()).map(f)
    }

    /// What an event that is remembered came from.
    fn parent(&self, s: EventNumber) -> Option<EventNumber> {
        match self.with_trace(|trace| trace.get(s).map(|event| event.because())) {
            Some(found) => found,
            None => self.past().get(s).map(|step| step.parent),
        }
    }

    /// An event of the past, its parent, and so on.
    fn back_from(&self, s: EventNumber) -> impl Iterator<Item = EventNumber> {
        let known = self.parent(s).map(|parent| (s, parent));
        let steps = std::iter::successors(known, |(_, s)| Some((*s, self.parent(*s)?)));
        steps.map(|(s, _)| s)
    }
}

/// The number of an event, of what woke it (or called it), what woke that, and so on: at most 12 events, the last first.
pub(crate) fn why(mark: Mark) -> Vec<EventNumber> {
    let Some(current) = current() else { return Vec::new() };
    current.number(mark).map_or_else(Vec::new, |s| current.back_from(s).take(HOPS).collect())
}

/// The callback of the loop inside which a Deferred was fired, with its label.
pub(crate) fn fired_by(d: Id) -> Option<(Id, Option<Rc<str>>)> {
    let current = current()?;
    let fired = |event: &Event<'_>| matches!(event.kind, Kind::DFire { d: fired, .. } if fired == d);
    let fire =
        match current.with_trace(|trace| trace.find_back(Code::DFire, Past::BACK, fired).map(|event| event.s)) {
            Some(found) => found?,
            None => {
                let past = current.past();
                past.ring.iter().find(|step| matches!(step.what, What::Fire(fired) if fired == d))?.s
            }
        };
    current.back_from(fire).find_map(|s| current.callback(s))
}

impl Current {
    /// What the loop called, if that is what the event tells.
    fn callback(&self, s: EventNumber) -> Option<(Id, Option<Rc<str>>)> {
        let callback = |event: Event<'_>| match event.kind {
            Kind::CbBegin { o: Some(o), .. } => Some((o, event.label.map(Rc::from))),
            _ => None,
        };
        match self.with_trace(|trace| trace.get(s).and_then(callback)) {
            Some(found) => found,
            None => match &self.past().get(s)?.what {
                What::Callback(o, label) => Some((*o, label.clone())),
                _ => None,
            },
        }
    }
}

/// For how long a failure has rested, in nanoseconds, since it came to rest the last time.
pub(crate) fn rested(f: Id) -> Option<u64> {
    let current = current()?;
    let rests = |event: &Event<'_>| matches!(event.kind, Kind::FResting { f: rests, .. } if rests == f);
    let since =
        match current.with_trace(|trace| trace.find_back(Code::FResting, Past::BACK, rests).map(|event| event.t)) {
            Some(found) => found,
            None => {
                let past = current.past();
                let times = past.ring.iter().filter_map(|step| match step.what {
                    What::Rest(rests, t) if rests == f => Some(t),
                    _ => None,
                });
                times.max()
            }
        };
    since.map(|since| current.last_time.get().saturating_sub(since))
}
