//! Suites of timers: a million at once, many spread over a second, and many that are put off again and again.

use crate::support::{Random, peak_kib, resident_kib, say, timed};
use ropewalk::{DelayedCall, EventLoop, RunError};
use std::cell::Cell;
use std::hint::black_box;
use std::io;
use std::thread;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

thread_local! { static FIRED: Cell<usize> = const { Cell::new(0) }; }

fn fired() -> usize {
    FIRED.get()
}

fn arm(event_loop: &EventLoop, at: Duration) -> DelayedCall {
    let x = black_box(1usize);
    event_loop.call_at(at, move |_| {
        black_box(x);
        FIRED.set(FIRED.get() + 1);
    })
}

/// Sleeps outside the loop until its clock reads `at`.
fn nap(event_loop: &EventLoop, at: Duration) {
    thread::sleep(at.saturating_sub(event_loop.time()));
}

fn fire(event_loop: &EventLoop, n: usize) -> Result<(), RunError> {
    while fired() < n {
        event_loop.turn(None)?;
    }
    Ok(())
}

/// `timers`: 1,000,000 over one second; every second one is cancelled, the rest fired when all are due.
pub(crate) fn timers() -> io::Result<()> {
    let n = 1_000_000;
    let event_loop = EventLoop::new()?;
    let (before, mut random) = (resident_kib()?, Random::new());
    let first = event_loop.time() + 3 * SECOND;
    let mut calls = Vec::new();
    timed("arm", n, || {
        for _ in 0..n {
            calls.push(arm(&event_loop, first + Duration::from_nanos(random.next() % 1_000_000_000)));
        }
    });
    timed("cancel", n / 2, || {
        for call in calls.iter().skip(1).step_by(2) {
            call.cancel().expect("it is not due yet");
        }
    });
    say("rss", (peak_kib()? - before) as f64 * 1024.0 / n as f64, "B/timer");
    assert_eq!(fired(), 0, "fired early");
    nap(&event_loop, first + Duration::from_millis(1002));
    timed("fire", n / 2, || fire(&event_loop, n / 2)).map_err(io::Error::other)
}

/// `spread`: 100,000 over one second, run as they fall due, with the sleeping in between.
pub(crate) fn spread() -> io::Result<()> {
    let n = 100_000;
    let event_loop = EventLoop::new()?;
    let mut random = Random::new();
    let first = event_loop.time() + SECOND / 2;
    for _ in 0..n {
        arm(&event_loop, first + Duration::from_nanos(random.next() % 1_000_000_000));
    }
    nap(&event_loop, first);
    timed("spread", n, || fire(&event_loop, n)).map_err(io::Error::other)
}

/// `churn`: 100,000 that never fire are put off 2,000,000 times, as idle time-outs are.
pub(crate) fn churn() -> io::Result<()> {
    let (n, times) = (100_000, 2_000_000);
    let event_loop = EventLoop::new()?;
    let mut random = Random::new();
    let far = |random: &mut Random| Duration::from_micros(20_000_000 + random.next() % 20_000_000);
    let calls: Vec<DelayedCall> = (0..n)
        .map(|_| {
            let at = event_loop.time() + far(&mut random);
            arm(&event_loop, at)
        })
        .collect();
    let before = resident_kib()?;
    timed("churn", times, || {
        for _ in 0..times {
            let i = random.next() as usize % n;
            calls[i].reset(far(&mut random)).expect("it is not due yet");
        }
    });
    say("churn_rss", peak_kib()? as f64 - before as f64, "KiB");
    Ok(())
}
