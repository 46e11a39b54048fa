//! Deferreds: a result that comes later, with steps. Its place in the story is which step comes next, and what it knows is
//! what the steps were given.

use super::callbacks::read_all;
use super::lesson::Poem;
use super::poets::{POEMS, connect, whole};
use ropewalk::{Deferred, DeferredList, EventLoop, Failure};

/// A Deferred of a callback: the callback fires it.
fn get(event_loop: &EventLoop, poem: &'static Poem) -> Result<Deferred<Vec<u8>>, Failure> {
    let (resolver, bytes) = Deferred::new();
    let stream = connect(event_loop, poem)?;
    read_all(event_loop, stream, |_, bytes| resolver.fire(bytes.map_err(Failure::from)))?;
    Ok(bytes.named(poem.name))
}

fn fetch(event_loop: &EventLoop, poem: &'static Poem) -> Deferred<String> {
    match get(event_loop, poem) {
        Ok(bytes) => bytes.step_named("whole").add_callback(|bytes| whole(poem, &bytes)),
        Err(failure) => Deferred::fail(failure),
    }
}

pub(crate) fn fetch_all(event_loop: &EventLoop) -> Result<Vec<Result<String, Failure>>, Failure> {
    let poems: DeferredList<_> = POEMS.into_iter().map(|poem| fetch(event_loop, poem)).collect();
    event_loop.run_until(poems.start())
}
