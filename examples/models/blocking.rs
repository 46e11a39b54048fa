//! Blocking: each fetch is a function that waits, on a thread of its own.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use ropewalk::Failure;

use super::job::{Job, LIMIT, LONGEST, Results};
use super::meter;

/// As many threads as there are fetches, up to this. More would do, up to the system's limit; their stacks and the time
/// to switch between them are what one does not want to pay.
pub(crate) const THREADS: usize = 256;

fn fetch(job: &Job, n: usize) -> Result<String, Failure> {
    let mut stream = TcpStream::connect_timeout(&job.server(n), LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(job.request(n).as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(LONGEST as u64).read_to_end(&mut bytes)?;
    job.poem(n, bytes)
}

pub(crate) fn run(job: &Job) -> Result<Results, Failure> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..job.count.min(THREADS) {
            scope.spawn(|| {
                meter::thread_begins();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= job.count {
                        return;
                    }
                    let result = fetch(job, n);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((n, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(n, _)| *n);
    let results = Results::of(results.into_iter().map(|(_, result)| result));
    std::fs::write(&job.file, &results.text)?;
    Ok(results)
}

/// Begins all (as many as there may be), and ends them. A thread that reads cannot be told to stop: what can be done is to
/// pull its connection away, for which somebody must hold a second descriptor of it.
pub(crate) fn cancel(job: &Job, in_flight: impl FnOnce(), ended: impl FnOnce()) -> io::Result<usize> {
    let count = job.count.min(THREADS);
    let streams = (0..count)
        .map(|n| {
            let mut stream = TcpStream::connect(job.server(n))?;
            stream.write_all(job.request(n).as_bytes())?;
            Ok((stream.try_clone()?, stream))
        })
        .collect::<io::Result<Vec<_>>>()?;
    let (held, streams): (Vec<_>, Vec<_>) = streams.into_iter().unzip();
    let threads: Vec<_> =
        streams.into_iter().map(|mut stream| thread::spawn(move || stream.read_to_end(&mut Vec::new()))).collect();
    in_flight();
    for stream in &held {
        stream.shutdown(Shutdown::Both)?;
    }
    for thread in threads {
        let _ = thread.join();
    }
    ended();
    Ok(count)
}
