//! The suite of posts from another thread: a million in a burst, then one at a time, there and back.

use crate::support::{cpu, pin, say, write_calls};
use ropewalk::{EventLoop, Remote};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// `cross`: the loop on CPU 0, the thread that posts on CPU 1.
pub(crate) fn cross() -> io::Result<()> {
    let event_loop = EventLoop::new()?;
    let remote = event_loop.remote();
    pin(0)?;
    let thread = thread::spawn(move || {
        let posted = pin(1).and_then(|()| post(&remote));
        remote.stop();
        posted
    });
    event_loop.run().map_err(io::Error::other)?;
    thread.join().expect("the thread that posts does not panic")
}

fn post(remote: &Remote) -> io::Result<()> {
    let (n, trips) = (1_000_000, 30_000);
    let (done, wait) = mpsc::channel();
    let ran = Arc::new(AtomicUsize::new(0));
    // Until the loop waits.
    thread::sleep(Duration::from_millis(100));
    let (cpu_before, writes, start) = (cpu(), write_calls()?, Instant::now());
    for _ in 0..n {
        let ran = ran.clone();
        let posted = remote.post(move |_| ran.store(ran.load(Relaxed) + 1, Relaxed));
        posted.map_err(io::Error::other)?;
    }
    round_trip(remote, &done, &wait)?;
    assert_eq!(ran.load(Relaxed), n);
    say("post", (cpu() - cpu_before) as f64 / n as f64, "ns");
    say("post_wall", start.elapsed().as_nanos() as f64 / n as f64, "ns");
    say("wakes", (write_calls()? - writes) as f64 * 1000.0 / n as f64, "/1000");

    let cpu_before = cpu();
    let mut times = Vec::with_capacity(trips);
    for _ in 0..trips {
        let start = Instant::now();
        round_trip(remote, &done, &wait)?;
        times.push(start.elapsed().as_nanos() as f64 / 1000.0);
    }
    say("trip_cpu", (cpu() - cpu_before) as f64 / trips as f64, "ns");
    times.sort_by(f64::total_cmp);
    say("trip_p50", times[trips / 2], "us");
    say("trip_p99", times[trips * 99 / 100], "us");
    Ok(())
}

fn round_trip(remote: &Remote, done: &mpsc::Sender<()>, wait: &mpsc::Receiver<()>) -> io::Result<()> {
    let done = done.clone();
    let posted = remote.post(move |_| {
        let _ = done.send(());
    });
    posted.map_err(io::Error::other)?;
    wait.recv().map_err(io::Error::other)
}
