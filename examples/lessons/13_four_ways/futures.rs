//! async and await: a function that reads as the blocking one does. Its place in the story is a number in a struct that
//! the compiler makes, and what it knows are the other fields of that struct.

use super::lesson::Poem;
use super::poets::{POEMS, connect, whole};
use ropewalk::bridge::UnixStream;
use ropewalk::{DeferredList, EventLoop, Failure, Handle};

async fn fetch(handle: Handle, poem: &'static Poem) -> Result<String, Failure> {
    let stream = handle.with(|event_loop| UnixStream::new(event_loop, connect(event_loop, poem)?))??;
    let bytes = stream.read_to_end(1024).await?;
    whole(poem, &bytes)
}

pub(crate) fn fetch_all(event_loop: &EventLoop) -> Result<Vec<Result<String, Failure>>, Failure> {
    event_loop.block_on(async {
        let mut poems = Vec::new();
        for poem in POEMS {
            let task = event_loop.spawn(fetch(event_loop.handle(), poem)).named(poem.name);
            poems.push(task);
        }
        DeferredList::new(poems).start().await
    })
}
