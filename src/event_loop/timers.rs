//! The timers: an indexed heap of deadlines over a slab of calls.
//!
//! ```text
//!  heap  [ (at, seq, index) .. ]     4-ary, earliest first; equal deadlines by their place in the line
//!            ^          |
//!            |          v
//!  position[index]    slots[index] = call, place, serial
//! ```
//!
//! The line is that of Twisted's `Clock`, a list that is sorted again and again, and stably: a new call stands behind
//! those of its deadline; one that is moved comes among those of its new deadline from the side on which it stood.
//! `position` leads back into the heap, so that cancel and reset are O(log n) and leave nothing dead behind. It is a list
//! of its own because moving an entry writes it: 4 bytes a timer stay in the cache where whole slots would not.
//! Due timers are moved to a list of their own before any runs.

use std::cell::Cell;
use std::cmp::Ordering;

use slab::Slab;

use crate::trace::{EventNumber, IdSlot, Place};

use super::EventLoop;

/// What a timer runs.
pub(crate) type Call = Box<dyn FnOnce(&EventLoop)>;

/// Names a timer: its index, and how often that was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TimerKey {
    index: u32,
    generation: u32,
}

/// What waits.
pub(crate) struct TimerSlot {
    pub(crate) call: Call,
    pub(crate) place: Place,
    pub(crate) id: Cell<IdSlot>,
    pub(crate) reg: EventNumber,
}

#[derive(Clone, Copy)]
struct Entry {
    at: u64,
    /// The place among those of the same deadline; wraps. Two are told apart up to 2^31 armings and moves.
    seq: u32,
    index: u32,
}

impl Entry {
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn before(&self, other: &Entry) -> bool {
        self.at < other.at || (self.at == other.at && (self.seq.wrapping_sub(other.seq) as i32) < 0)
    }
}

/// Sorts entries, of which `newest` is the last place that was given out.
fn sort(entries: &mut [Entry], newest: u32) {
    entries.sort_unstable_by_key(|entry| (entry.at, !newest.wrapping_sub(entry.seq)));
}

/// The calls that were moved since the line was last sorted.
#[derive(Default)]
struct Moved {
    /// Where each stood before it was moved first. That of a call which is gone stays here.
    from: Vec<Entry>,
    /// Whether the call of an index is among them.
    known: Vec<bool>,
}

impl Moved {
    fn add(&mut self, old: Entry) {
        let index = old.index as usize;
        if index >= self.known.len() {
            self.known.resize(index + 1, false);
        }
        if !std::mem::replace(&mut self.known[index], true) {
            self.from.push(old);
        }
    }

    fn forget(&mut self, index: u32) {
        if let Some(known) = self.known.get_mut(index as usize) {
            *known = false;
        }
    }

    /// Takes out those that still wait.
    fn take(&mut self) -> Vec<Entry> {
        let mut from = std::mem::take(&mut self.from);
        from.retain(|old| std::mem::take(&mut self.known[old.index as usize]));
        from
    }
}

/// The way back from a slot.
#[derive(Clone, Copy)]
struct Link {
    /// Where in the heap; with the bit [`DUE`], where in the due list; or [`NOWHERE`].
    position: u32,
    /// Counts the timers that had this index; wraps.
    generation: u32,
}

const DUE: u32 = 1 << 31;
const NOWHERE: u32 = u32::MAX;

/// A parent has this many children: fewer levels than two, and four entries are one cache line.
const ARITY: usize = 4;

/// A timer whose time has come.
pub(crate) struct Due {
    pub(crate) key: TimerKey,
    pub(crate) at: u64,
    pub(crate) slot: TimerSlot,
}

#[derive(Default)]
pub(crate) struct Timers {
    heap: Vec<Entry>,
    links: Vec<Link>,
    slots: Slab<TimerSlot>,
    due: Vec<Entry>,
    /// How far the due list has run.
    next_due: usize,
    /// The last place in the line that was given out, and the first one.
    last: u32,
    first: u32,
    /// On a [`TestClock`](super::TestClock). A clock that runs has no ties to speak of, and is not made to remember them.
    moved: Option<Moved>,
}

impl Timers {
    /// Timers that stand in line as in Twisted's `Clock` when several of them are moved to the same time, too.
    pub(crate) fn sorted_as_a_list() -> Timers {
        Timers { moved: Some(Moved::default()), ..Timers::default() }
    }

    /// How many wait, the due ones that have not run included.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing waits in the heap.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The earliest deadline in the heap.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.heap.first().map(|entry| entry.at)
    }

    /// The earliest timer in the heap.
    pub(crate) fn first(&self) -> Option<&TimerSlot> {
        self.slots.get(self.heap.first()?.index as usize)
    }

    /// Adds a timer.
    #[inline]
    pub(crate) fn arm(&mut self, at: u64, slot: TimerSlot) -> TimerKey {
        self.sort_moved();
        let index = self.slots.insert(slot);
        if index >= self.links.len() {
            assert!(index < DUE as usize, "more than 2^31 timers");
            self.links.push(Link { position: NOWHERE, generation: 0 });
        }
        let index = index as u32;
        self.last = self.last.wrapping_add(1);
        self.push(Entry { at, seq: self.last, index });
        TimerKey { index, generation: self.links[index as usize].generation }
    }

    /// Where a timer is, if it still waits.
    #[inline]
    fn position(&self, key: TimerKey) -> Option<u32> {
        let link = self.links.get(key.index as usize)?;
        (link.generation == key.generation && link.position != NOWHERE).then_some(link.position)
    }

    fn entry(&self, position: u32) -> Entry {
        if position & DUE != 0 { self.due[(position & !DUE) as usize] } else { self.heap[position as usize] }
    }

    /// The timer, if it still waits.
    pub(crate) fn get(&self, key: TimerKey) -> Option<&TimerSlot> {
        self.position(key)?;
        self.slots.get(key.index as usize)
    }

    pub(crate) fn get_mut(&mut self, key: TimerKey) -> Option<&mut TimerSlot> {
        self.position(key)?;
        self.slots.get_mut(key.index as usize)
    }

    /// All that wait, with their deadlines.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TimerKey, u64, &TimerSlot)> {
        self.slots.iter().map(|(index, slot)| {
            let Link { position, generation } = self.links[index];
            (TimerKey { index: index as u32, generation }, self.entry(position).at, slot)
        })
    }

    /// Everything that waits, for the loop's end.
    pub(crate) fn into_calls(self) -> impl Iterator<Item = TimerSlot> {
        self.slots.into_iter().map(|(_, slot)| slot)
    }

    /// The deadline of a timer that still waits.
    pub(crate) fn deadline(&self, key: TimerKey) -> Option<u64> {
        self.position(key).map(|position| self.entry(position).at)
    }

    /// Takes a timer out, if it still waits.
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<TimerSlot> {
        let position = self.position(key)?;
        if position & DUE == 0 {
            self.remove_at(position as usize);
        }
        Some(self.release(key.index))
    }

    /// Takes out the slot of a timer that is in no list any more.
    fn release(&mut self, index: u32) -> TimerSlot {
        let link = &mut self.links[index as usize];
        *link = Link { position: NOWHERE, generation: link.generation.wrapping_add(1) };
        if let Some(moved) = &mut self.moved {
            moved.forget(index);
        }
        self.slots.remove(index as usize)
    }

    /// Gives a timer a new deadline, if it still waits. It keeps its place in the line.
    #[inline]
    pub(crate) fn reset(&mut self, key: TimerKey, at: u64) -> bool {
        let Some(position) = self.position(key) else { return false };
        let old = self.entry(position);
        if let Some(moved) = &mut self.moved {
            moved.add(old);
        }
        let entry = Entry { at, seq: self.place(&old, at), index: key.index };
        if position & DUE == 0 {
            self.replace(position as usize, entry)
        } else {
            self.push(entry)
        }
        true
    }

    /// The place at `at` of one that stood at `old`: what was due later stands behind all of them, what was due earlier
    /// before them.
    #[inline]
    fn place(&mut self, old: &Entry, at: u64) -> u32 {
        match at.cmp(&old.at) {
            Ordering::Less => {
                self.last = self.last.wrapping_add(1);
                self.last
            }
            Ordering::Equal => old.seq,
            Ordering::Greater => {
                self.first = self.first.wrapping_sub(1);
                self.first
            }
        }
    }

    /// Sorts the line. Of several that were moved since it was sorted last, each has the place that it would have, had
    /// all been moved at once.
    #[inline]
    fn sort_moved(&mut self) {
        if let Some(moved) = &mut self.moved
            && !moved.from.is_empty()
        {
            let mut moved = moved.take();
            sort(&mut moved, self.last);
            self.sort_again(&moved);
        }
    }

    fn sort_again(&mut self, moved: &[Entry]) {
        let sooner = |this: &Self, old: &Entry| this.entry(this.links[old.index as usize].position).at <= old.at;
        // Each takes its place behind, or before, those that have theirs: so the ones that go to the front go in from
        // the back.
        let (back, front): (Vec<Entry>, Vec<Entry>) = moved.iter().partition(|old| sooner(self, old));
        for old in back.iter().chain(front.iter().rev()) {
            let position = self.links[old.index as usize].position;
            let at = self.entry(position).at;
            let entry = Entry { at, seq: self.place(old, at), index: old.index };
            self.replace(position as usize, entry);
        }
    }

    fn push(&mut self, entry: Entry) {
        self.heap.push(entry);
        self.sift_up(self.heap.len() - 1, entry);
    }

    fn replace(&mut self, position: usize, entry: Entry) {
        if entry.before(&self.heap[position]) {
            self.sift_up(position, entry);
        } else {
            self.sift_down(position, entry);
        }
    }

    fn remove_at(&mut self, position: usize) {
        let last = self.heap.pop().expect("the entry to remove is in the heap");
        if position == self.heap.len() {
            return;
        }
        self.replace(position, last);
    }

    #[inline]
    fn put(&mut self, position: usize, entry: Entry) {
        self.heap[position] = entry;
        self.links[entry.index as usize].position = position as u32;
    }

    /// Puts `entry` at `position` or above it.
    fn sift_up(&mut self, mut position: usize, entry: Entry) {
        while position > 0 {
            let parent = (position - 1) / ARITY;
            let above = self.heap[parent];
            if !entry.before(&above) {
                break;
            }
            self.put(position, above);
            position = parent;
        }
        self.put(position, entry);
    }

    /// Puts `entry` at `position` or below it.
    fn sift_down(&mut self, mut position: usize, entry: Entry) {
        loop {
            let first = position * ARITY + 1;
            let children = &self.heap[first.min(self.heap.len())..(first + ARITY).min(self.heap.len())];
            let Some((mut least, mut child)) = children.first().map(|entry| (0, *entry)) else {
                break;
            };
            for (i, other) in children.iter().enumerate().skip(1) {
                if other.before(&child) {
                    (least, child) = (i, *other);
                }
            }
            if !child.before(&entry) {
                break;
            }
            self.put(position, child);
            position = first + least;
        }
        self.put(position, entry);
    }

    /// Moves all that are due at `now` into the due list, in order, and answers how many there are.
    pub(crate) fn collect_due(&mut self, now: u64) -> usize {
        self.sort_moved();
        self.due.clear();
        self.next_due = 0;
        if self.next_deadline().is_none_or(|at| at > now) {
            return 0;
        }
        // The due ones are the top of the heap: walk down from the root as far as they go. Positions come out ascending.
        let mut found: Vec<u32> = vec![0];
        let mut seen = 0;
        while seen < found.len() {
            let first = found[seen] as usize * ARITY + 1;
            for child in first..(first + ARITY).min(self.heap.len()) {
                if self.heap[child].at <= now {
                    found.push(child as u32);
                }
            }
            seen += 1;
        }
        self.due.extend(found.iter().map(|&p| self.heap[p as usize]));
        if found.len() > self.heap.len() / 4 {
            // So many that building the heap anew is cheaper than mending it hole by hole.
            self.heap.retain(|entry| entry.at > now);
            for position in (0..self.heap.len()).rev() {
                let entry = self.heap[position];
                self.sift_down(position, entry);
            }
        } else {
            // From the back, so that the entry which fills a hole is never one of the due.
            for &position in found.iter().rev() {
                self.remove_at(position as usize);
            }
        }
        sort(&mut self.due, self.last);
        for (i, entry) in self.due.iter().enumerate() {
            self.links[entry.index as usize].position = DUE | i as u32;
        }
        self.due.len()
    }

    /// Takes the next due timer out, with its deadline; those cancelled or reset meanwhile are passed by.
    pub(crate) fn next_due(&mut self) -> Option<Due> {
        while let Some(&Entry { at, index, .. }) = self.due.get(self.next_due) {
            let mark = DUE | self.next_due as u32;
            self.next_due += 1;
            let Link { position, generation } = self.links[index as usize];
            if position == mark {
                let slot = self.release(index);
                return Some(Due { key: TimerKey { index, generation }, at, slot });
            }
        }
        if self.due.capacity() > 4096 {
            self.due = Vec::new(); // a burst: give its memory back
        } else {
            self.due.clear();
        }
        self.next_due = 0;
        None
    }
}

impl Timers {
    /// Takes out what is to run next at `now`: what is left of the due list, then the earliest in the heap as it stands.
    pub(crate) fn next_due_at(&mut self, now: u64) -> Option<Due> {
        if let Some(due) = self.next_due() {
            return Some(due);
        }
        self.sort_moved();
        let &Entry { at, index, .. } = self.heap.first().filter(|entry| entry.at <= now)?;
        self.remove_at(0);
        let generation = self.links[index as usize].generation;
        Some(Due { key: TimerKey { index, generation }, at, slot: self.release(index) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> TimerSlot {
        TimerSlot { call: Box::new(|_| {}), place: std::panic::Location::caller(), id: Cell::default(), reg: 0 }
    }

    fn check(timers: &Timers) {
        for (position, entry) in timers.heap.iter().enumerate() {
            assert_eq!(timers.links[entry.index as usize].position, position as u32);
            assert!(position == 0 || !entry.before(&timers.heap[(position - 1) / ARITY]));
        }
    }

    /// Random arms, cancels, resets and firings against Twisted's way: a list that is sorted at each arming and firing
    /// (or, for a clock that runs, at each reset too), and stably.
    #[test]
    fn agrees_with_a_sorted_list() {
        for mut timers in [Timers::default(), Timers::sorted_as_a_list()] {
            let at_each_reset = timers.moved.is_none();
            let mut random = 88172645463325252u64;
            let mut next = move |below: u64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % below
            };
            let mut model: Vec<(u64, TimerKey)> = Vec::new();
            let mut now = 0;
            for step in 0..60_000u64 {
                match next(10) {
                    0..4 => {
                        let at = now + next(60);
                        model.push((at, timers.arm(at, slot())));
                        model.sort_by_key(|entry| entry.0);
                    }
                    4..5 if !model.is_empty() => {
                        let (_, key) = model.remove(next(model.len() as u64) as usize);
                        assert!(timers.cancel(key).is_some());
                        assert!(timers.cancel(key).is_none());
                    }
                    5..9 if !model.is_empty() => {
                        let at = now + next(60);
                        let pick = next(model.len() as u64) as usize;
                        let entry = &mut model[pick];
                        assert!(timers.reset(entry.1, at));
                        entry.0 = at;
                        assert_eq!(timers.deadline(entry.1), Some(at));
                        if at_each_reset {
                            model.sort_by_key(|entry| entry.0);
                        }
                    }
                    _ => {
                        now += if step % 50 == 0 { 50 } else { next(8) };
                        model.sort_by_key(|entry| entry.0);
                        let due = model.partition_point(|entry| entry.0 <= now);
                        if step % 3 == 0 {
                            assert_eq!(timers.collect_due(now), due);
                        }
                        for (at, key) in model.drain(..due) {
                            let fired = timers.next_due_at(now).expect("as many as are due");
                            assert_eq!((fired.at, fired.key), (at, key));
                        }
                        assert!(timers.next_due_at(now).is_none());
                    }
                }
                check(&timers);
                assert_eq!(timers.len(), model.len());
            }
        }
    }

    #[test]
    fn reused_slot_of_a_cancelled_due_timer_does_not_fire_in_its_place() {
        let mut timers = Timers::default();
        let first = timers.arm(1, slot());
        let second = timers.arm(2, slot());
        assert_eq!(timers.collect_due(5), 2);
        assert_eq!(timers.next_due().map(|due| due.key), Some(first));
        assert!(timers.cancel(second).is_some());
        let third = timers.arm(3, slot());
        assert!(third.index == second.index && third != second);
        assert!(timers.next_due().is_none());
        assert_eq!(timers.collect_due(5), 1);
    }
}
