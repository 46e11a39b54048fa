//! The texts and places of a recording, each kept once.
//!
//! A recording may hold what strangers sent. Its texts are found by a quick hash, which a stranger may have prepared
//! for: so a search looks at a few places only, and what it does not find there is kept once more.

use super::event::{At, Place};
use std::panic::Location;

/// How many places of a table a search looks at.
const PROBES: usize = 16;

/// Finds the numbers of things by their hashes.
#[derive(Clone, Debug, Default)]
struct Table {
    /// A number plus one; 0 for a free place. Its length is a power of two.
    slots: Vec<u32>,
    filled: usize,
}

impl Table {
    /// The number of the thing with that hash that `same` knows, if it is among those that a search looks at.
    #[inline]
    fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len().wrapping_sub(1);
        for probe in 0..PROBES {
            match *self.slots.get((hash as usize).wrapping_add(probe) & mask)? {
                0 => return None,
                n if same(n - 1) => return Some(n - 1),
                _ => {}
            }
        }
        None
    }

    /// Notes a number. `hash_of` is asked for those of the others when the table grows.
    fn note(&mut self, n: u32, hash: u64, hash_of: impl Fn(u32) -> u64) {
        // A quarter full, so that a search of that length finds nearly everything.
        if self.filled * 4 >= self.slots.len() {
            let larger = vec![0; (self.slots.len() * 2).max(64)];
            let before = std::mem::replace(&mut self.slots, larger);
            self.filled = 0;
            for old in before.into_iter().filter(|old| *old != 0) {
                self.place(old - 1, hash_of(old - 1));
            }
        }
        self.place(n, hash);
    }

    fn place(&mut self, n: u32, hash: u64) {
        let mask = self.slots.len() - 1;
        for probe in 0..PROBES {
            let slot = &mut self.slots[(hash as usize).wrapping_add(probe) & mask];
            if *slot == 0 {
                *slot = n + 1;
                self.filled += 1;
                return;
            }
        }
    }
}

/// Both halves of a product: quick, and good enough for a table that bounds its searches.
#[inline]
fn mix(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93_u128;
    product as u64 ^ (product >> 64) as u64
}

#[inline]
fn hash(text: &[u8]) -> u64 {
    let mut hash = text.len() as u64;
    let mut words = text.chunks_exact(8);
    for word in &mut words {
        hash =
            mix(hash, u64::from_le_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]));
    }
    let rest = words.remainder().iter().fold(0, |rest, byte| rest << 8 | u64::from(*byte));
    mix(hash, rest)
}

#[derive(Clone, Copy, Debug)]
struct Spot {
    file: u32,
    line: u32,
    column: u32,
}

impl Spot {
    fn hash(self) -> u64 {
        mix(u64::from(self.file) << 32 | u64::from(self.line), u64::from(self.column))
    }
}

/// All texts and places of a recording.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    /// One behind the other, and where each ends.
    all: String,
    ends: Vec<u32>,
    table: Table,
    spots: Vec<Spot>,
    spot_table: Table,
    /// The file of the place that was asked for last: mostly that of the next one too.
    last_file: u32,
    /// What was found last for texts at such addresses. A guess: it is looked at before it is believed.
    by_address: Vec<Guess>,
    /// What was found last for places of this program at such addresses. There they stay, and need no second look.
    here: Vec<(usize, u32)>,
}

/// A text that was looked for: where it lay, and what it was. At address 0 there is none.
#[derive(Clone, Copy, Debug, Default)]
struct Guess {
    address: usize,
    len: u32,
    /// Where it starts among all texts.
    start: u32,
    n: u32,
}

/// How many guesses are kept: a program has some hundred types and steps that are busy at a time.
const GUESSES: usize = 256;

/// Whether two texts of the same length are the same. Most are short, and a call would cost more than the comparison.
#[cfg_attr(not(debug_assertions), inline(always))]
fn same(one: &[u8], other: &[u8]) -> bool {
    fn ends<const N: usize>(one: &[u8], other: &[u8]) -> bool {
        one.first_chunk::<N>() == other.first_chunk() && one.last_chunk::<N>() == other.last_chunk()
    }
    match one.len() {
        0..4 => match (one, other) {
            ([a], [b]) => a == b,
            ([a0, a1], [b0, b1]) => (a0, a1) == (b0, b1),
            ([a0, a1, a2], [b0, b1, b2]) => (a0, a1, a2) == (b0, b1, b2),
            _ => one.is_empty(),
        },
        4..8 => ends::<4>(one, other),
        8..16 => ends::<8>(one, other),
        16..32 => ends::<16>(one, other),
        _ => one == other,
    }
}

impl Texts {
    /// The number of a text. `None` when there is no more room: 4 GB of texts.
    #[inline]
    pub(super) fn number(&mut self, text: &str) -> Option<u32> {
        let address = text.as_ptr().addr();
        let place = Texts::place(text);
        if let Some(guess) = self.by_address.get(place)
            && guess.address == address
            && guess.len as usize == text.len()
            && let Some(known) =
                self.all.as_bytes().get(guess.start as usize..).and_then(|all| all.get(..text.len()))
            && same(known, text.as_bytes())
        {
            return Some(guess.n);
        }
        self.search_and_guess(text, place)
    }

    /// The number of a name that the compiler gave to something of this program: it lies there for ever, and needs no
    /// second look.
    #[inline]
    pub(super) fn number_here(&mut self, name: &str) -> Option<u32> {
        let address = name.as_ptr().addr();
        let place = Texts::place(name);
        match self.by_address.get(place) {
            Some(guess) if guess.address == address && guess.len as usize == name.len() => {
                debug_assert_eq!(self.text(guess.n), Some(name), "a name of the compiler's");
                Some(guess.n)
            }
            _ => self.search_and_guess(name, place),
        }
    }

    /// Where the guess for a text is.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn place(text: &str) -> usize {
        (text.as_ptr().addr().wrapping_mul(0x9e37_79b1) >> 16 ^ text.len()) % GUESSES
    }

    #[inline(never)]
    fn search_and_guess(&mut self, text: &str, place: usize) -> Option<u32> {
        let n = self.search(text)?;
        let start = self.start(n);
        if self.by_address.is_empty() {
            self.by_address.resize(GUESSES, Guess::default());
        }
        self.by_address[place] = Guess { address: text.as_ptr().addr(), len: text.len() as u32, start, n };
        Some(n)
    }

    fn start(&self, n: u32) -> u32 {
        n.checked_sub(1).map_or(0, |before| self.ends[before as usize])
    }

    fn search(&mut self, text: &str) -> Option<u32> {
        let hash = hash(text.as_bytes());
        match self.table.find(hash, |n| self.text(n) == Some(text)) {
            Some(n) => Some(n),
            None => self.add(text, hash),
        }
    }

    #[cold]
    fn add(&mut self, text: &str, of: u64) -> Option<u32> {
        let end = u32::try_from(self.all.len() + text.len()).ok()?;
        let n = u32::try_from(self.ends.len()).ok()?;
        self.all.push_str(text);
        self.ends.push(end);
        let (all, ends) = (&self.all, &self.ends);
        self.table.note(n, of, |n| hash(slice(all, ends, n).unwrap_or_default().as_bytes()));
        Some(n)
    }

    #[inline]
    pub(super) fn text(&self, n: u32) -> Option<&str> {
        slice(&self.all, &self.ends, n)
    }

    /// The number of a place of this program.
    #[inline]
    pub(super) fn spot_here(&mut self, place: Place) -> Option<u32> {
        let address = std::ptr::from_ref(place).addr();
        let guess = (address / align_of::<Location<'_>>()) % GUESSES;
        match self.here.get(guess) {
            Some((known, spot)) if *known == address => Some(*spot),
            _ => self.note_here(place, guess),
        }
    }

    #[cold]
    fn note_here(&mut self, place: Place, guess: usize) -> Option<u32> {
        let spot = self.spot(At::from(place))?;
        if self.here.is_empty() {
            self.here.resize(GUESSES, (0, 0));
        }
        self.here[guess] = (std::ptr::from_ref(place).addr(), spot);
        Some(spot)
    }

    /// The number of a place.
    pub(super) fn spot(&mut self, at: At<'_>) -> Option<u32> {
        let file = match self.text(self.last_file) {
            Some(last) if last == at.file() => self.last_file,
            _ => self.number(at.file())?,
        };
        self.last_file = file;
        let spot = Spot { file, line: at.line(), column: at.column() };
        let same = |n: u32| {
            let known = self.spots[n as usize];
            (known.file, known.line, known.column) == (spot.file, spot.line, spot.column)
        };
        if let Some(n) = self.spot_table.find(spot.hash(), same) {
            return Some(n);
        }
        let n = u32::try_from(self.spots.len()).ok()?;
        self.spots.push(spot);
        let spots = &self.spots;
        self.spot_table.note(n, spot.hash(), |n| spots[n as usize].hash());
        Some(n)
    }

    #[inline]
    pub(super) fn at(&self, n: u32) -> Option<At<'_>> {
        let spot = self.spots.get(n as usize)?;
        Some(At::new(self.text(spot.file)?, spot.line, spot.column))
    }

    /// The files of all places, in the order in which they were met.
    pub(super) fn files(&self) -> Vec<&str> {
        let mut seen = vec![false; self.ends.len()];
        let mut files = Vec::new();
        for spot in &self.spots {
            if let Some(seen) = seen.get_mut(spot.file as usize)
                && !std::mem::replace(seen, true)
            {
                files.extend(self.text(spot.file));
            }
        }
        files
    }

    /// How many bytes they take.
    pub(super) fn size(&self) -> usize {
        self.all.capacity()
            + (self.ends.capacity() + self.table.slots.capacity() + self.spot_table.slots.capacity()) * 4
            + self.spots.capacity() * size_of::<Spot>()
            + self.by_address.capacity() * size_of::<Guess>()
            + self.here.capacity() * size_of::<(usize, u32)>()
    }
}

#[inline]
fn slice<'t>(all: &'t str, ends: &[u32], n: u32) -> Option<&'t str> {
    let end = *ends.get(n as usize)? as usize;
    let start = match n {
        0 => 0,
        n => ends[n as usize - 1] as usize,
    };
    all.get(start..end)
}

#[cfg(test)]
mod tests {
    use super::Texts;
    use crate::trace::At;

    #[test]
    fn each_text_and_each_place_is_kept_once() {
        let mut texts = Texts::default();
        let numbers: Vec<_> = (0..1000).map(|n| texts.number(&format!("text {n}")).unwrap()).collect();
        for n in 0..1000_u32 {
            assert_eq!(texts.number(&format!("text {n}")), Some(numbers[n as usize]));
            assert_eq!(texts.text(numbers[n as usize]), Some(&*format!("text {n}")));
            let file = if n % 2 == 0 { "a.rs" } else { "b.rs" };
            let spot = texts.spot(At::new(file, n, 1)).unwrap();
            assert_eq!(texts.spot(At::new(file, n, 1)), Some(spot));
            assert_eq!(texts.at(spot), Some(At::new(file, n, 1)));
        }
        assert_eq!(texts.files(), ["a.rs", "b.rs"]);
        assert_eq!(texts.number(""), texts.number(""));
    }
}
