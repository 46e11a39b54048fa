//! Events in little room: each a row of small numbers, its texts and places kept once.
//!
//! Every event stands for itself, so that any can be read without those before it.

use super::event::{Asked, Event, EventNumber, Gave, Id, Object, Open, Val};
use super::field::{Get, Put};
use super::kind::{Code, Kind};
use super::texts::Texts;

/// Which of the rarer fields an event has.
mod has {
    pub(super) const FRAME: u8 = 1;
    pub(super) const CAUSE: u8 = 2;
    pub(super) const REG: u8 = 4;
    pub(super) const AT: u8 = 8;
    pub(super) const LABEL: u8 = 16;
    pub(super) const WALL: u8 = 32;
    pub(super) const THREAD: u8 = 64;
    pub(super) const SYS: u8 = 128;
}

/// A list of events.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed {
    bytes: Vec<u8>,
    /// Where each event starts.
    starts: Vec<u32>,
    pub(super) texts: Texts,
    ids: Vec<Id>,
    asked: Vec<Asked>,
}

impl Packed {
    /// Appends an event. Answers whether there was room for it: 4 GB are the most.
    #[inline]
    pub(super) fn push(&mut self, event: &Event<'_>) -> bool {
        let Ok(start) = u32::try_from(self.bytes.len() + MOST) else { return false };
        let start = start - MOST as u32;
        let mut row = Row { packed: self, bytes: [0; MOST], length: 2 };
        let at = event.at.and_then(|at| row.packed.texts.spot(at));
        let label = event.label.and_then(|label| row.packed.texts.number(label));
        let mut flags = 0;
        row.number(u64::from(event.s));
        row.number(event.t);
        row.number(u64::from(event.turn));
        // How far back: smaller than the number itself.
        for (link, flag) in [(event.frame, has::FRAME), (event.cause, has::CAUSE), (event.reg, has::REG)] {
            if link != 0 {
                flags |= flag;
                row.number(u64::from(event.s.wrapping_sub(link)));
            }
        }
        let rare = [
            (at.map(u64::from), has::AT),
            (label.map(u64::from), has::LABEL),
            (event.wall, has::WALL),
            (event.th.map(u64::from), has::THREAD),
        ];
        for (n, flag) in rare {
            if let Some(n) = n {
                flags |= flag;
                row.number(n);
            }
        }
        if event.sys {
            flags |= has::SYS;
        }
        row.bytes[0] = event.kind.code() as u8;
        row.bytes[1] = flags;
        event.kind.put(&mut row);
        let Row { bytes, length, .. } = row;
        self.starts.push(start);
        self.bytes.extend_from_slice(&bytes[..length]);
        true
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Takes the last event off.
    pub(super) fn pop(&mut self) {
        if let Some(start) = self.starts.pop() {
            self.bytes.truncate(start as usize);
        }
    }

    /// The `n`th event, from 0.
    pub(super) fn get(&self, n: usize) -> Option<Event<'_>> {
        let mut from = Unpack { packed: self, rest: self.bytes.get(*self.starts.get(n)? as usize..)? };
        let code = Code::new(from.byte()?)?;
        let flags = from.byte()?;
        let s = from.small()?;
        let t = from.number()?;
        let turn = from.small()?;
        let mut link = |flag| match flags & flag {
            0 => Some(0),
            _ => from.small().map(|back: u32| s.wrapping_sub(back)),
        };
        let (frame, cause, reg) = (link(has::FRAME)?, link(has::CAUSE)?, link(has::REG)?);
        let at = match flags & has::AT {
            0 => None,
            _ => self.texts.at(from.small()?),
        };
        let label = match flags & has::LABEL {
            0 => None,
            _ => self.texts.text(from.small()?),
        };
        let wall = match flags & has::WALL {
            0 => None,
            _ => Some(from.number()?),
        };
        let th = match flags & has::THREAD {
            0 => None,
            _ => Some(from.small()?),
        };
        let kind = Kind::get(code, &mut from)?;
        Some(Event { s, t, wall, turn, th, frame, cause, reg, at, label, sys: flags & has::SYS != 0, kind })
    }

    /// The place of event `s` in the list.
    pub(super) fn find(&self, s: EventNumber) -> Option<usize> {
        let number = |n: usize| {
            let mut from = Unpack { packed: self, rest: self.bytes.get(*self.starts.get(n)? as usize + 2..)? };
            from.small()
        };
        // Mostly there is no gap.
        let guess = (s as usize).checked_sub(number(0)? as usize)?;
        if number(guess) == Some(s) {
            return Some(guess);
        }
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match number(middle)? {
                n if n == s => return Some(middle),
                n if n < s => low = middle + 1,
                _ => high = middle,
            }
        }
        None
    }

    /// How many bytes the events take, and how many their texts.
    pub(super) fn size(&self) -> (usize, usize) {
        let events = self.bytes.capacity()
            + self.starts.capacity() * 4
            + self.ids.capacity() * size_of::<Id>()
            + self.asked.capacity() * size_of::<Asked>();
        (events, self.texts.size())
    }
}

/// The most bytes that an event can take: 62 for what every event may have, and 37 for its own fields (those of `io.write`).
const MOST: usize = 128;

/// An event that is being packed.
struct Row<'p> {
    packed: &'p mut Packed,
    bytes: [u8; MOST],
    length: usize,
}

impl Row<'_> {
    #[inline]
    fn byte(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    /// Seven bits a byte, the lowest first.
    #[inline]
    fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.byte(n as u8 | 0x80);
            n >>= 7;
        }
        self.byte(n as u8);
    }

    /// Texts beyond the room are shown as none.
    #[inline]
    fn text_number(&mut self, text: &str) {
        let n = self.packed.texts.number(text).map_or(0, |n| u64::from(n) + 1);
        self.number(n);
    }
}

impl Put for Row<'_> {
    #[inline]
    fn num(&mut self, _: &'static str, n: u64) {
        self.number(n);
    }
    #[inline]
    fn flag(&mut self, _: &'static str, is: bool) {
        self.byte(u8::from(is));
    }
    #[inline]
    fn word(&mut self, _: &'static str, _: &'static str, code: u8) {
        self.byte(code);
    }
    #[inline]
    fn text(&mut self, _: &'static str, text: &str) {
        self.text_number(text);
    }
    fn texts(&mut self, _: &'static str, texts: &[&str]) {
        self.byte(texts.len() as u8);
        texts.iter().for_each(|text| self.text_number(text));
    }
    #[inline]
    fn id(&mut self, _: &'static str, Id(object, n): Id) {
        self.number(u64::from(n) << 3 | object as u64);
    }
    fn ids(&mut self, _: &'static str, ids: &[Id]) {
        self.number(self.packed.ids.len() as u64);
        self.number(ids.len() as u64);
        self.packed.ids.extend_from_slice(ids);
    }
    fn asked(&mut self, _: &'static str, asked: &[Asked]) {
        self.number(self.packed.asked.len() as u64);
        self.number(asked.len() as u64);
        self.packed.asked.extend_from_slice(asked);
    }
    #[inline]
    fn val(&mut self, key: &'static str, val: Val<'_>) {
        match val {
            Val::Ok { text, ty } => {
                self.byte(0);
                self.text_number(text);
                self.text_number(ty);
            }
            Val::Err(f) => {
                self.byte(1);
                self.id(key, f);
            }
        }
    }
    fn gave(&mut self, _: &'static str, gave: Gave) {
        let (code, n) = match gave {
            Gave::Bytes(n) => (0, n),
            Gave::Again => (1, 0),
            Gave::Eof => (2, 0),
            Gave::Errno(n) => (3, u64::from(n)),
        };
        self.byte(code);
        self.number(n);
    }
    fn open(&mut self, _: &'static str, Open { d, m, i, x }: Open) {
        [d, m, i, x].into_iter().for_each(|n| self.number(u64::from(n)));
    }
    #[inline]
    fn there(&mut self, is: bool) {
        self.byte(u8::from(is));
    }
}

struct Unpack<'t> {
    packed: &'t Packed,
    rest: &'t [u8],
}

impl<'t> Unpack<'t> {
    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    #[inline]
    fn number(&mut self) -> Option<u64> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(n);
            }
        }
        None
    }

    #[inline]
    fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn range(&mut self) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(self.number()?).ok()?;
        let len = usize::try_from(self.number()?).ok()?;
        Some(start..start.checked_add(len)?)
    }

    fn next_text(&mut self) -> Option<&'t str> {
        match self.small()? {
            0 => Some("(no room for this text)"),
            n => self.packed.texts.text(n - 1),
        }
    }
}

impl<'t> Get<'t> for Unpack<'t> {
    #[inline]
    fn num(&mut self, _: &'static str) -> Option<u64> {
        self.number()
    }
    #[inline]
    fn flag(&mut self, _: &'static str) -> Option<bool> {
        Some(self.byte()? != 0)
    }
    #[inline]
    fn word<T: Copy>(&mut self, _: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        words.get(usize::from(self.byte()?)).map(|(_, word)| *word)
    }
    #[inline]
    fn text(&mut self, _: &'static str) -> Option<&'t str> {
        self.next_text()
    }
    fn pair(&mut self, _: &'static str) -> Option<[&'t str; 2]> {
        match self.byte()? {
            1 => Some([self.next_text()?, ""]),
            _ => Some([self.next_text()?, self.next_text()?]),
        }
    }
    #[inline]
    fn id(&mut self, _: &'static str) -> Option<Id> {
        let n = self.number()?;
        Some(Id(Object::ALL[n as usize & 7], (n >> 3).try_into().ok()?))
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
        Some(match self.byte()? {
            0 => Val::Ok { text: self.next_text()?, ty: self.next_text()? },
            _ => Val::Err(self.id(key)?),
        })
    }
    fn gave(&mut self, _: &'static str) -> Option<Gave> {
        let (code, n) = (self.byte()?, self.number()?);
        Some(match code {
            0 => Gave::Bytes(n),
            1 => Gave::Again,
            2 => Gave::Eof,
            _ => Gave::Errno(n.try_into().ok()?),
        })
    }
    fn open(&mut self, _: &'static str) -> Option<Open> {
        Some(Open { d: self.small()?, m: self.small()?, i: self.small()?, x: self.small()? })
    }
    #[inline]
    fn there(&mut self, _: &'static str) -> bool {
        self.byte() == Some(1)
    }
}
