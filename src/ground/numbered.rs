//! Things by numbers that were given out in ascending order.

use std::collections::VecDeque;

/// Things that are found by their numbers, and of which the oldest is found at once. They lie in one piece of memory, which
/// is at most about twice as large as they need. All is done in the time of a binary search, or (over many calls) less.
pub(crate) struct Numbered<T> {
    /// By ascending numbers. Of those that were taken out the place may be left.
    places: VecDeque<(u64, Option<T>)>,
    there: usize,
}

impl<T> Default for Numbered<T> {
    fn default() -> Numbered<T> {
        Numbered { places: VecDeque::new(), there: 0 }
    }
}

impl<T> Numbered<T> {
    pub(crate) fn len(&self) -> usize {
        self.there
    }

    /// Adds a thing, whose number is greater than those before.
    pub(crate) fn insert(&mut self, number: u64, thing: T) {
        debug_assert!(self.places.back().is_none_or(|last| last.0 < number));
        self.places.push_back((number, Some(thing)));
        self.there += 1;
    }

    fn find(&self, number: u64) -> Option<usize> {
        self.places.binary_search_by_key(&number, |place| place.0).ok()
    }

    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        self.places[self.find(number)?].1.as_ref()
    }

    /// Takes a thing out.
    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        let at = self.find(number)?;
        let thing = self.places[at].1.take()?;
        self.one_less();
        Some(thing)
    }

    fn one_less(&mut self) {
        self.there -= 1;
        if self.places.len() > 2 * self.there + 16 {
            self.places.retain(|place| place.1.is_some());
        }
    }

    /// Takes the oldest out.
    pub(crate) fn pop_first(&mut self) -> Option<T> {
        while let Some((_, thing)) = self.places.pop_front() {
            if thing.is_some() {
                self.one_less();
                return thing;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Numbered;
    use crate::ground::random::Random;
    use std::collections::BTreeMap;

    #[test]
    fn does_what_an_ordered_map_does_in_little_more_memory() {
        let mut random = Random::new(7);
        let (mut numbered, mut model, mut next) = (Numbered::default(), BTreeMap::new(), 0);
        for step in 0..20_000_u64 {
            // Waves: more come than go, and then more go than come.
            let coming = if step / 2_000 % 2 == 0 { 6 } else { 3 };
            match random.below(10) {
                roll if roll < coming => {
                    next += 1 + random.below(3) as u64;
                    numbered.insert(next, step);
                    model.insert(next, step);
                }
                roll if roll < 8 => {
                    let number = random.below(next as usize + 2) as u64;
                    assert_eq!(numbered.get(number), model.get(&number));
                    assert_eq!(numbered.remove(number), model.remove(&number));
                    assert_eq!(numbered.get(number), None);
                }
                _ => assert_eq!(numbered.pop_first(), model.pop_first().map(|(_, thing)| thing)),
            }
            assert_eq!(numbered.len(), model.len());
            assert!(numbered.places.len() <= 2 * numbered.there + 16);
        }
        while let Some((_, thing)) = model.pop_first() {
            assert_eq!(numbered.pop_first(), Some(thing));
        }
        assert_eq!(numbered.pop_first(), None);
    }
}
