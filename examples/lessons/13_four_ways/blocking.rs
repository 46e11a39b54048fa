//! Blocking: a function that waits. Its place in the story is a return address, and what it knows are its variables.

use super::lesson::Poem;
use super::poets::{Blocking, POEMS, whole};
use ropewalk::{Failure, TestClock};
use std::io::{BufRead, BufReader};

fn fetch(clock: &TestClock, poem: &'static Poem) -> Result<String, Failure> {
    let mut server = BufReader::new(Blocking::connect(clock, poem));
    let mut bytes = Vec::new();
    while server.read_until(b'\n', &mut bytes)? > 0 {}
    whole(poem, &bytes)
}

pub(crate) fn fetch_all(clock: &TestClock) -> Vec<Result<String, Failure>> {
    POEMS.into_iter().map(|poem| fetch(clock, poem)).collect()
}
