//! A table by number, whose copies share what they have in common.
//!
//! The timeline keeps a copy of the state every 500 events. A plain map would be copied whole each time, with all that
//! was ever in it; here a copy is one pointer for each 64 rows, and writing copies the 64 that are written to.

use std::collections::BTreeMap;
use std::rc::Rc;

/// How many rows share one pointer. Fewer make copies longer, more make the first write after a copy longer.
const CHUNK: u32 = 64;

/// Sparse: a trace from a file may claim any number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table<T> {
    chunks: BTreeMap<u32, Rc<BTreeMap<u32, Rc<T>>>>,
    len: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { chunks: BTreeMap::new(), len: 0 }
    }
}

impl<T: Clone> Table<T> {
    pub(super) fn get(&self, n: u32) -> Option<&T> {
        self.chunks.get(&(n / CHUNK))?.get(&n).map(|row| &**row)
    }

    /// For writing.
    pub(super) fn get_mut(&mut self, n: u32) -> Option<&mut T> {
        let chunk = self.chunks.get_mut(&(n / CHUNK))?;
        // Not made its own for a row that is not there.
        chunk.contains_key(&n).then(|| Rc::make_mut(chunk).get_mut(&n).map(Rc::make_mut)).flatten()
    }

    /// For writing; a row that is not there is made.
    pub(super) fn entry(&mut self, n: u32, make: impl FnOnce() -> T) -> &mut T {
        let chunk = Rc::make_mut(self.chunks.entry(n / CHUNK).or_default());
        let len = &mut self.len;
        Rc::make_mut(chunk.entry(n).or_insert_with(|| {
            *len += 1;
            Rc::new(make())
        }))
    }

    /// Puts a row in, in place of one that is there.
    pub(super) fn put(&mut self, n: u32, row: T) {
        let chunk = Rc::make_mut(self.chunks.entry(n / CHUNK).or_default());
        if chunk.insert(n, Rc::new(row)).is_none() {
            self.len += 1;
        }
    }

    /// All rows, in the order of their numbers.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.chunks.values().flat_map(|chunk| chunk.values().map(|row| &**row))
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn a_copy_keeps_what_it_had() {
        let mut table = Table::default();
        for n in [0, 63, 64, 4_000_000_000] {
            *table.entry(n, || 0) += n;
        }
        let copy = table.clone();
        *table.entry(64, || 0) = 1;
        *table.get_mut(63).expect("it was made") = 2;
        assert_eq!(copy.iter().copied().collect::<Vec<_>>(), [0, 63, 64, 4_000_000_000]);
        assert_eq!(table.iter().copied().collect::<Vec<_>>(), [0, 2, 1, 4_000_000_000]);
        assert_eq!((table.len(), table.get(1)), (4, None));
        assert_eq!(table.get_mut(65), None);
        assert_ne!(copy, table);
    }
}
