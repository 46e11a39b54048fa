//! Callbacks: a closure that is called when there is something to read. Its place in the story is which closure is called
//! next, and what it knows lies in a state that the closures share.

use super::poets::{POEMS, connect, whole};
use ropewalk::{EventLoop, Failure, Interest};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

/// Reads until the server hangs up; then calls `done`, once.
pub(crate) fn read_all(
    event_loop: &EventLoop,
    stream: UnixStream,
    done: impl FnOnce(&EventLoop, io::Result<Vec<u8>>) + 'static,
) -> Result<(), Failure> {
    let (mut bytes, mut done) = (Vec::new(), Some(done));
    let id = Rc::new(Cell::new(None));
    let own_id = id.clone();
    let ready = move |event_loop: &EventLoop, mut stream: &UnixStream, _| {
        let mut buffer = [0; 64];
        let end = match stream.read(&mut buffer) {
            Ok(0) => Ok(std::mem::take(&mut bytes)),
            Ok(n) => return bytes.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => Err(error),
        };
        drop(own_id.take().map(|id| event_loop.remove(id)));
        if let Some(done) = done.take() {
            done(event_loop, end);
        }
    };
    id.set(Some(event_loop.register(stream, Interest::READ, ready)?));
    Ok(())
}

pub(crate) fn fetch_all(event_loop: &EventLoop) -> Result<Vec<Result<String, Failure>>, Failure> {
    // What the closures share: the results that have come, by their number.
    let all = Rc::new(RefCell::new(BTreeMap::new()));
    for (n, poem) in POEMS.into_iter().enumerate() {
        let shared = all.clone();
        let done = move |event_loop: &EventLoop, bytes: io::Result<Vec<u8>>| {
            let result = bytes.map_err(Failure::from).and_then(|bytes| whole(poem, &bytes));
            let mut all = shared.borrow_mut();
            all.insert(n, result);
            if all.len() == POEMS.len() {
                event_loop.stop();
            }
        };
        read_all(event_loop, connect(event_loop, poem)?, done)?;
    }
    event_loop.run()?;
    Ok(all.take().into_values().collect())
}
