//! The Deferred model: the chain says what follows what, and an error of any step runs past the rest to its end.

use super::job::{CHUNK, Job};
use ropewalk::fs::{self, File};
use ropewalk::{Deferred, EventLoop, Handle, Resolver};

/// Copies the file. Fires with the number of its bytes.
pub(crate) fn copy(event_loop: &EventLoop, job: Job) -> Deferred<u64> {
    let (to_open, to_copy, to_rename) = (event_loop.handle(), event_loop.handle(), event_loop.handle());
    let opened = job.clone();
    fs::open(event_loop, &job.from, job.reading())
        .step_named("open the target")
        .add_callback(move |from| {
            let to = to_open.with_deferred(|event_loop| fs::open(event_loop, opened.target(), opened.writing()));
            to.map(|to| (from, to))
        })
        .step_named("copy the chunks")
        .add_callback(|(from, to)| copy_chunks(to_copy, from, to))
        .step_named("rename")
        .add_callback(move |bytes| {
            if !job.is_part() {
                return Deferred::succeed(bytes);
            }
            let renamed = to_rename.with_deferred(|event_loop| fs::rename(event_loop, job.target(), &job.to));
            renamed.map(move |()| bytes)
        })
}

fn copy_chunks(handle: Handle, from: File, to: File) -> Deferred<u64> {
    let (resolver, copied) = Deferred::new();
    copy_next(handle, from, to, 0, resolver);
    copied
}

/// Copies one chunk and then the rest. Each chunk has a chain of its own, which is over when it is written: a step that
/// gave back the Deferred of "the rest" would make one chain as long as the file.
fn copy_next(handle: Handle, from: File, to: File, bytes: u64, resolver: Resolver<u64>) {
    let (to_write, target) = (handle.clone(), to.clone());
    read_chunk(&handle, &from)
        .add_callback(move |chunk| {
            let n = chunk.len() as u64;
            to_write.with_deferred(|event_loop| target.write(event_loop, chunk)).map(move |()| n)
        })
        .add_both(move |written| {
            match written {
                Ok(0) => resolver.succeed(bytes),
                Ok(n) => copy_next(handle, from, to, bytes + n, resolver),
                Err(failure) => resolver.fail(failure),
            }
            Ok(())
        })
        .detach();
}

fn read_chunk(handle: &Handle, from: &File) -> Deferred<Vec<u8>> {
    handle.with_deferred(|event_loop| from.read(event_loop, CHUNK))
}
