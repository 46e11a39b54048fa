//! A buffer for what is read before anybody knows how much it is: one for each thread, so that connections that wait
//! hold none.

use std::cell::Cell;

/// How much is read in one go, in bytes: what a socket usually has at most.
const SIZE: usize = 64 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Calls `f` with a buffer of at most `most` bytes, whose content means nothing. While it is lent, another call gets a new
/// one.
pub(super) fn with<R>(most: usize, f: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut buffer = SCRATCH.take();
    if buffer.is_empty() {
        buffer = vec![0; SIZE];
    }
    let answer = f(&mut buffer[..most.min(SIZE)]);
    SCRATCH.set(buffer);
    answer
}
