//! Events in little room: each a row of 16-bit words, its texts and places kept once. Most numbers are small, and take
//! one word; the others take three. Little room is time too: to be given a page by the system costs more than to fill it.
//!
//! Every event can be read without those before it. What is the same for many of them (the number's distance to the place
//! in the list, the turn) is noted where it changes.

use super::event::{Asked, Event, EventNumber, Gave, Id, Object, Open, Place, Val};
use super::field::{Get, Put};
use super::kind::{Code, Kind};
use super::slot::Common;
use super::texts::Texts;

/// How many words a page has: 16 KB, some 700 events.
const PAGE: usize = 1 << 13;

/// The most words that a row can have: 27 that every event may have, and 21 of its own (those of `io.write`). A power of
/// two, so that a place in it needs no check.
const ROOM: usize = 64;

/// What stands before a number that takes two words more.
const LARGE: u16 = u16::MAX;

/// The key of a field that names the begin event of a frame: it is near.
const BEGIN: &str = "b";

/// The first two words of a row: the kind's code, which of the rarer fields follow, and the small fields of the kind.
mod head {
    pub(super) const CODE: u32 = 0xff;
    pub(super) const FRAME: u32 = 1 << 8;
    pub(super) const CAUSE: u32 = 1 << 9;
    pub(super) const REG: u32 = 1 << 10;
    pub(super) const AT: u32 = 1 << 11;
    pub(super) const LABEL: u32 = 1 << 12;
    pub(super) const WALL: u32 = 1 << 13;
    pub(super) const THREAD: u32 = 1 << 14;
    pub(super) const SYS: u32 = 1 << 15;
    /// Where the small fields begin.
    pub(super) const SMALL: u32 = 16;
}

/// Whether a row has room for small fields of so many bits.
pub(super) const fn fits(bits: u32) -> bool {
    bits <= u32::BITS - head::SMALL
}

/// A list of events.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed {
    /// Rows from the front, and from the back where each row starts. None is ever moved.
    pages: Vec<Box<[u16; PAGE]>>,
    /// Which event is the first of each page.
    firsts: Vec<u32>,
    /// The first event of the last page, and how many words it has left.
    first: u32,
    left: usize,
    len: u32,
    /// By how much an event's number is greater than its place in the list.
    ahead: Changes<u32>,
    turns: Changes<u32>,
    /// All of an event's time but the 16 bits that its row has.
    times: Changes<u64>,
    pub(super) texts: Texts,
    ids: Vec<Id>,
    asked: Vec<Asked>,
}

/// A number that is mostly that of the event before: the places where it changes, and what it is from there on. 0 at
/// first.
#[derive(Clone, Debug, Default)]
struct Changes<N> {
    list: Vec<(u32, N)>,
    last: N,
}

impl<N: Copy + Default + PartialEq> Changes<N> {
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn note(&mut self, place: u32, n: N) {
        if n != self.last {
            self.last = n;
            self.list.push((place, n));
        }
    }

    #[inline]
    fn get(&self, place: u32) -> N {
        if let [.., (from, last)] = self.list[..]
            && from <= place
        {
            return last;
        }
        let after = self.list.partition_point(|(from, _)| *from <= place);
        after.checked_sub(1).map_or(N::default(), |last| self.list[last].1)
    }

    /// Forgets what begins at that place.
    fn cut(&mut self, place: u32) {
        self.list.pop_if(|(from, _)| *from >= place);
        self.last = self.list.last().map_or(N::default(), |(_, n)| *n);
    }

    fn size(&self) -> usize {
        self.list.capacity() * size_of::<(u32, N)>()
    }
}

impl Packed {
    /// Appends an event. Answers whether there was room for it: 4,294,967,295 events are the most.
    pub(super) fn push(&mut self, event: &Event<'_>) -> bool {
        let Event { s, t, wall, turn, th, frame, cause, reg, at, label, sys, kind } = *event;
        let common = Common { s, t, wall, turn, th, frame, cause, reg, label, sys };
        let spot = at.and_then(|at| self.texts.spot(at));
        self.push_at::<false>(&common, spot, &kind)
    }

    /// The same for an event that happened in this program, at that place.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn push_here(&mut self, common: &Common<'_>, at: Option<Place>, kind: &Kind<'_>) -> bool {
        let spot = at.and_then(|at| self.texts.spot_here(at));
        self.push_at::<true>(common, spot, kind)
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn push_at<const HERE: bool>(&mut self, event: &Common<'_>, spot: Option<u32>, kind: &Kind<'_>) -> bool {
        let place = self.len;
        if place == u32::MAX {
            return false;
        }
        if self.left <= ROOM {
            self.turn_page();
        }
        let nth = (place - self.first) as usize;
        let start = PAGE - self.left - nth;
        let label = event.label.and_then(|label| self.texts.number(label));
        self.ahead.note(place, event.s.wrapping_sub(place));
        self.turns.note(place, event.turn);
        self.times.note(place, event.t >> 16);
        let Some(page) = self.pages.last_mut() else { return false };
        page[PAGE - 1 - nth] = start as u16;
        let Some(words) = page.get_mut(start..).and_then(<[u16]>::first_chunk_mut) else { return false };
        let mut row = Row::<HERE> {
            words,
            length: 2,
            s: event.s,
            small: 0,
            at: 0,
            texts: &mut self.texts,
            ids: &mut self.ids,
            asked: &mut self.asked,
        };
        let mut flags = 0;
        row.word(event.t as u16);
        kind.put(&mut row);
        row.link(&mut flags, head::FRAME, event.frame);
        row.link(&mut flags, head::CAUSE, event.cause);
        row.link(&mut flags, head::REG, event.reg);
        if let Some(spot) = spot {
            flags |= head::AT;
            row.number(spot);
        }
        if let Some(label) = label {
            flags |= head::LABEL;
            row.number(label);
        }
        if let Some(wall) = event.wall {
            flags |= head::WALL;
            row.number(wall as u32);
            row.number((wall >> 32) as u32);
        }
        if let Some(th) = event.th {
            flags |= head::THREAD;
            row.number(th);
        }
        if event.sys {
            flags |= head::SYS;
        }
        debug_assert!(row.length <= ROOM, "a row of {} words", row.length);
        let head = kind.code() as u32 | flags | row.small << head::SMALL;
        (row.words[0], row.words[1]) = (head as u16, (head >> 16) as u16);
        self.left -= row.length + 1;
        self.len += 1;
        true
    }

    #[cold]
    fn turn_page(&mut self) {
        let page: Box<[u16]> = vec![0; PAGE].into_boxed_slice();
        if let Ok(page) = page.try_into() {
            self.pages.push(page);
            self.firsts.push(self.len);
            (self.first, self.left) = (self.len, PAGE);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    /// Takes the last event off.
    pub(super) fn pop(&mut self) {
        let Some(last) = self.len.checked_sub(1) else { return };
        if self.first == self.len {
            self.pages.pop();
            self.firsts.pop();
        }
        if let Some((page, nth)) = self.find_page(last) {
            self.first = self.firsts[page];
            self.left = PAGE - nth - self.pages[page][PAGE - 1 - nth] as usize;
        }
        self.ahead.cut(last);
        self.turns.cut(last);
        self.times.cut(last);
        self.len = last;
    }

    /// The page of an event, and which of its rows it is.
    #[inline]
    fn find_page(&self, n: u32) -> Option<(usize, usize)> {
        let first = |page: usize| self.firsts.get(page).copied();
        // Pages have about as many rows each.
        let guess = (u64::from(n) * self.firsts.len() as u64 / u64::from(self.len.max(1))) as usize;
        let page = match (first(guess)?, first(guess + 1)) {
            (start, end) if start <= n && end.is_none_or(|end| n < end) => guess,
            _ => self.firsts.partition_point(|first| *first <= n).checked_sub(1)?,
        };
        Some((page, (n - first(page)?) as usize))
    }

    /// The first word of the row of an event, and what comes behind it.
    fn row(&self, n: u32) -> Option<(u32, &[u16])> {
        let (page, nth) = if n < self.len { self.find_page(n)? } else { return None };
        let page = &self.pages[page];
        let ([low, high], rest) = page.get(page[PAGE - 1 - nth] as usize..)?.split_first_chunk()?;
        Some((two(*low, *high), rest))
    }

    /// Of what kind the `n`th event is, from 0.
    pub(super) fn code(&self, n: usize) -> Option<Code> {
        let (head, _) = self.row(n.try_into().ok()?)?;
        Code::new((head & head::CODE) as u8)
    }

    /// The `n`th event, from 0.
    pub(super) fn get(&self, n: usize) -> Option<Event<'_>> {
        let n = n.try_into().ok()?;
        let (head, rest) = self.row(n)?;
        let s = n.wrapping_add(self.ahead.get(n));
        let mut from = Unpack { packed: self, rest, s, small: head >> head::SMALL };
        let code = Code::new((head & head::CODE) as u8)?;
        let t = self.times.get(n) << 16 | u64::from(from.word()?);
        let kind = Kind::get(code, &mut from)?;
        let mut link = |flag| from.rare(head, flag).map(|back| back.map_or(0, |back| s.wrapping_sub(back)));
        let (frame, cause, reg) = (link(head::FRAME)?, link(head::CAUSE)?, link(head::REG)?);
        let at = from.rare(head, head::AT)?.and_then(|spot| self.texts.at(spot));
        let label = from.rare(head, head::LABEL)?.and_then(|label| self.texts.text(label));
        let wall = match from.rare(head, head::WALL)? {
            Some(low) => Some(u64::from(low) | u64::from(from.number()?) << 32),
            None => None,
        };
        let th = from.rare(head, head::THREAD)?;
        Some(Event {
            s,
            t,
            wall,
            turn: self.turns.get(n),
            th,
            frame,
            cause,
            reg,
            at,
            label,
            sys: head & head::SYS != 0,
            kind,
        })
    }

    /// The place of event `s` in the list.
    pub(super) fn find(&self, s: EventNumber) -> Option<usize> {
        // Mostly there is no gap.
        let number = |n: u32| (n < self.len).then(|| n.wrapping_add(self.ahead.get(n)));
        let guess = s.wrapping_sub(number(0)?);
        if number(guess) == Some(s) {
            return Some(guess as usize);
        }
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low.midpoint(high);
            match number(middle)? {
                n if n == s => return Some(middle as usize),
                n if n < s => low = middle + 1,
                _ => high = middle,
            }
        }
        None
    }

    /// How many bytes the events take, and how many their texts.
    pub(super) fn size(&self) -> (usize, usize) {
        let events = self.pages.len() * size_of::<[u16; PAGE]>()
            + self.pages.capacity() * size_of::<usize>()
            + self.firsts.capacity() * 4
            + self.ahead.size()
            + self.turns.size()
            + self.times.size()
            + self.ids.capacity() * size_of::<Id>()
            + self.asked.capacity() * size_of::<Asked>();
        (events, self.texts.size())
    }
}

/// An event that is being packed. `HERE`: it happened in this program, so that the names in it are the compiler's.
struct Row<'p, const HERE: bool> {
    words: &'p mut [u16; ROOM],
    length: usize,
    /// The event's number.
    s: EventNumber,
    /// The small fields so far, and how many bits they have.
    small: u32,
    at: u32,
    texts: &'p mut Texts,
    ids: &'p mut Vec<Id>,
    asked: &'p mut Vec<Asked>,
}

impl<const HERE: bool> Row<'_, HERE> {
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn word(&mut self, word: u16) {
        self.words[self.length % ROOM] = word;
        self.length += 1;
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn both(&mut self, n: u32) {
        self.word(n as u16);
        self.word((n >> 16) as u16);
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn number(&mut self, n: u32) {
        match u16::try_from(n) {
            Ok(n) if n != LARGE => self.word(n),
            _ => {
                self.word(LARGE);
                self.both(n);
            }
        }
    }

    /// An event before this one, as how far back it lies.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn back(&mut self, link: EventNumber) {
        self.number(self.s.wrapping_sub(link));
    }

    /// A link that is left out, without its flag, where it is 0.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn link(&mut self, flags: &mut u32, flag: u32, link: EventNumber) {
        if link != 0 {
            *flags |= flag;
            self.back(link);
        }
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn bits(&mut self, bits: u32, width: u32) {
        self.small |= bits << self.at;
        self.at += width;
    }

    /// Texts beyond the room are shown as none.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn text_number(&mut self, text: &str) {
        let n = self.texts.number(text).map_or(0, |n| n + 1);
        self.number(n);
    }

    /// The same for the name of a type or a function.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn name_number(&mut self, name: &str) {
        let n = if HERE { self.texts.number_here(name) } else { self.texts.number(name) };
        self.number(n.map_or(0, |n| n + 1));
    }
}

impl<const HERE: bool> Put for Row<'_, HERE> {
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn num(&mut self, _: &'static str, n: u64) {
        let high = (n >> 32) as u32;
        self.bits(u32::from(high != 0), 1);
        self.number(n as u32);
        if high != 0 {
            self.number(high);
        }
    }
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn small(&mut self, key: &'static str, n: u32) {
        match key {
            BEGIN => self.back(n),
            _ => self.number(n),
        }
    }
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn flag(&mut self, _: &'static str, is: bool) {
        self.bits(u32::from(is), 1);
    }
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn word(&mut self, _: &'static str, _: &'static str, code: u8) {
        self.bits(u32::from(code), 4);
    }
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn text(&mut self, _: &'static str, text: &str) {
        self.text_number(text);
    }
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn pair(&mut self, _: &'static str, [one, other]: [&str; 2]) {
        self.bits(u32::from(!other.is_empty()), 1);
        self.name_number(one);
        if !other.is_empty() {
            self.name_number(other);
        }
    }
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn id(&mut self, _: &'static str, Id(object, n): Id) {
        self.bits(object as u32, 3);
        self.number(n);
    }
    fn ids(&mut self, _: &'static str, ids: &[Id]) {
        self.number(self.ids.len() as u32);
        self.number(ids.len() as u32);
        self.ids.extend_from_slice(ids);
    }
    fn asked(&mut self, _: &'static str, asked: &[Asked]) {
        self.number(self.asked.len() as u32);
        self.number(asked.len() as u32);
        self.asked.extend_from_slice(asked);
    }
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn val(&mut self, key: &'static str, val: Val<'_>) {
        match val {
            Val::Ok { text, ty } => {
                self.bits(0, 1);
                self.text_number(text);
                self.name_number(ty);
            }
            Val::Err(f) => {
                self.bits(1, 1);
                self.id(key, f);
            }
        }
    }
    fn gave(&mut self, key: &'static str, gave: Gave) {
        let (code, n) = match gave {
            Gave::Bytes(n) => (0, n),
            Gave::Again => (1, 0),
            Gave::Eof => (2, 0),
            Gave::Errno(n) => (3, u64::from(n)),
        };
        self.bits(code, 2);
        self.num(key, n);
    }
    fn open(&mut self, _: &'static str, Open { d, m, i, x }: Open) {
        [d, m, i, x].into_iter().for_each(|n| self.number(n));
    }
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn there(&mut self, is: bool) {
        self.bits(u32::from(is), 1);
    }
}

struct Unpack<'t> {
    packed: &'t Packed,
    rest: &'t [u16],
    s: EventNumber,
    small: u32,
}

fn two(low: u16, high: u16) -> u32 {
    u32::from(low) | u32::from(high) << 16
}

impl<'t> Unpack<'t> {
    #[inline]
    fn word(&mut self) -> Option<u16> {
        let (word, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*word)
    }

    #[inline]
    fn number(&mut self) -> Option<u32> {
        match self.word()? {
            LARGE => self.both(),
            word => Some(u32::from(word)),
        }
    }

    fn both(&mut self) -> Option<u32> {
        let ([low, high], rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(two(*low, *high))
    }

    /// A number that is there if the flag is.
    fn rare(&mut self, head: u32, flag: u32) -> Option<Option<u32>> {
        if head & flag == 0 { Some(None) } else { self.number().map(Some) }
    }

    #[inline]
    fn bits(&mut self, width: u32) -> u32 {
        let bits = self.small & ((1 << width) - 1);
        self.small >>= width;
        bits
    }

    fn range(&mut self) -> Option<std::ops::Range<usize>> {
        let (start, len) = (self.number()? as usize, self.number()? as usize);
        Some(start..start.checked_add(len)?)
    }

    fn next_text(&mut self) -> Option<&'t str> {
        match self.number()? {
            0 => Some("(no room for this text)"),
            n => self.packed.texts.text(n - 1),
        }
    }
}

impl<'t> Get<'t> for Unpack<'t> {
    #[inline]
    fn num(&mut self, _: &'static str) -> Option<u64> {
        let wide = self.bits(1) != 0;
        let low = u64::from(self.number()?);
        Some(if wide { low | u64::from(self.number()?) << 32 } else { low })
    }
    #[inline]
    fn small(&mut self, key: &'static str) -> Option<u32> {
        let n = self.number()?;
        Some(if key == BEGIN { self.s.wrapping_sub(n) } else { n })
    }
    #[inline]
    fn flag(&mut self, _: &'static str) -> Option<bool> {
        Some(self.bits(1) != 0)
    }
    #[inline]
    fn word<T: Copy>(&mut self, _: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        words.get(self.bits(4) as usize).map(|(_, word)| *word)
    }
    #[inline]
    fn text(&mut self, _: &'static str) -> Option<&'t str> {
        self.next_text()
    }
    fn pair(&mut self, _: &'static str) -> Option<[&'t str; 2]> {
        match self.bits(1) {
            0 => Some([self.next_text()?, ""]),
            _ => Some([self.next_text()?, self.next_text()?]),
        }
    }
    #[inline]
    fn id(&mut self, _: &'static str) -> Option<Id> {
        Some(Id(Object::ALL[self.bits(3) as usize], self.number()?))
    }
    fn ids(&mut self, _: &'static str) -> Option<&'t [Id]> {
        let range = self.range()?;
        self.packed.ids.get(range)
    }
    fn asked(&mut self, _: &'static str) -> Option<&'t [Asked]> {
        let range = self.range()?;
        self.packed.asked.get(range)
    }
    #[inline]
    fn val(&mut self, key: &'static str) -> Option<Val<'t>> {
        Some(match self.bits(1) {
            0 => Val::Ok { text: self.next_text()?, ty: self.next_text()? },
            _ => Val::Err(self.id(key)?),
        })
    }
    fn gave(&mut self, key: &'static str) -> Option<Gave> {
        let (code, n) = (self.bits(2), self.num(key)?);
        Some(match code {
            0 => Gave::Bytes(n),
            1 => Gave::Again,
            2 => Gave::Eof,
            _ => Gave::Errno(n.try_into().ok()?),
        })
    }
    fn open(&mut self, _: &'static str) -> Option<Open> {
        Some(Open { d: self.number()?, m: self.number()?, i: self.number()?, x: self.number()? })
    }
    #[inline]
    fn there(&mut self, _: &'static str) -> bool {
        self.bits(1) != 0
    }
}
