//! Events as the library keeps them in its links: in numbers that no two recordings of a thread share.

use super::event::EventNumber;
use std::cell::{Cell, RefCell};

/// An event as the library keeps it in its links: counted through all recordings of the thread, so that one of another
/// recording is never taken for one of this. 0 stands for "none".
pub(crate) type Mark = u32;

/// How many marks a recording takes at a time. One that goes on when another has recorded must not go on with the other's.
const AT_A_TIME: u32 = 1 << 12;

thread_local! {
    /// The greatest mark that a recording has taken.
    static LAST: Cell<Mark> = const { Cell::new(0) };
}

/// The marks of a recording's events.
pub(super) struct Marks {
    /// Those that were taken last, and those before, in order.
    now: Cell<Span>,
    used: RefCell<Vec<Span>>,
}

/// Event `since` and those behind it have the mark `base` plus their number.
#[derive(Clone, Copy)]
struct Span {
    base: Mark,
    since: EventNumber,
    until: EventNumber,
}

impl Default for Marks {
    fn default() -> Marks {
        Marks { now: Cell::new(Span { base: 0, since: 1, until: 1 }), used: RefCell::default() }
    }
}

impl Marks {
    /// Event `s` comes next.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn ready_for(&self, s: EventNumber) {
        if s == self.now.get().until {
            self.take();
        }
    }

    /// The mark of event `s`, which came last.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn of(&self, s: EventNumber) -> Mark {
        self.now.get().base.wrapping_add(s)
    }

    /// Which event it is of those before `s`; 0 for none of this recording.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn number(&self, mark: Mark, s: EventNumber) -> EventNumber {
        let Span { base, since, .. } = self.now.get();
        let n = mark.wrapping_sub(base);
        if n.wrapping_sub(since) < s.wrapping_sub(since) {
            n
        } else if mark == 0 {
            0
        } else {
            self.old_number(mark)
        }
    }

    #[cold]
    #[inline(never)]
    fn old_number(&self, mark: Mark) -> EventNumber {
        let used = self.used.borrow();
        let after = used.partition_point(|span| span.base.wrapping_add(span.since) <= mark);
        match after.checked_sub(1).map(|last| used[last]) {
            Some(Span { base, until, .. }) if mark.wrapping_sub(base) < until => mark.wrapping_sub(base),
            _ => 0,
        }
    }

    #[cold]
    #[inline(never)]
    fn take(&self) {
        let now @ Span { base, since, until } = self.now.get();
        let Some(more) = until.checked_add(AT_A_TIME) else { return };
        let last = LAST.get();
        if since < until && base.wrapping_add(until) == last.wrapping_add(1) {
            // Nobody else has taken any since.
            self.now.set(Span { until: more, ..now });
        } else {
            if since < until {
                self.used.borrow_mut().push(now);
            }
            self.now.set(Span { base: last.wrapping_add(1).wrapping_sub(until), since: until, until: more });
        }
        LAST.set(last.wrapping_add(AT_A_TIME));
    }

    /// Gives those back that were not needed, if nobody has taken others since: the recording ended before event `next`.
    pub(super) fn give_back(&self, next: EventNumber) {
        let Span { base, since, until } = self.now.get();
        if since < until && base.wrapping_add(until) == LAST.get().wrapping_add(1) {
            LAST.set(base.wrapping_add(next).wrapping_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AT_A_TIME, Marks};
    use std::collections::BTreeMap;

    #[test]
    fn no_two_recordings_share_a_mark_whoever_goes_on() {
        let all: [(Marks, u32); 3] = Default::default();
        let mut all = Vec::from(all);
        let mut known = BTreeMap::new();
        // One has many events, one a few at a time, and one ends and begins again.
        for n in 0..40_000_u32 {
            for (which, every) in [(0, 1), (1, 7), (2, 300)] {
                if n % every == 0 {
                    let (marks, last) = &mut all[which];
                    *last += 1;
                    marks.ready_for(*last);
                    assert_eq!(known.insert(marks.of(*last), (which, *last)), None);
                }
            }
            if n % 3000 == 0 {
                let (ended, last) = std::mem::take(&mut all[2]);
                ended.give_back(last + 1);
                known.retain(|_, (which, _)| *which != 2);
            }
        }
        for (mark, (of, s)) in known {
            for (which, (marks, last)) in all.iter().enumerate() {
                assert_eq!(marks.number(mark, last + 1), if which == of { s } else { 0 }, "{mark}");
            }
        }
        assert!(all.iter().all(|(marks, last)| marks.number(0, last + 1) == 0));
    }

    #[test]
    fn one_recording_after_the_other_takes_no_more_marks_than_it_needs() {
        let mark = |count: u32| {
            let marks = Marks::default();
            for s in 1..=count {
                marks.ready_for(s);
            }
            marks.give_back(count + 1);
            marks.of(count)
        };
        assert_eq!([1, 10, AT_A_TIME, AT_A_TIME + 1].map(mark), [1, 11, AT_A_TIME + 11, 2 * AT_A_TIME + 12]);
        Marks::default().give_back(1);
        assert_eq!(mark(1), 2 * AT_A_TIME + 13);
    }
}
