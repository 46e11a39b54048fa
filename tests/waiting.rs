//! The two ways to wait: nothing is lost, nothing spins, short deadlines are kept.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ropewalk::EventLoop;

/// Four threads post while timers of 0.2, 1 and 50 ms run. Every post arrives once.
fn posts_while_timers_run(portable: bool, each: u64) {
    let event_loop = EventLoop::builder().portable_wait(portable).build().unwrap();
    let arrived = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (remote, arrived) = (event_loop.remote(), arrived.clone());
            thread::spawn(move || {
                for n in 0..each {
                    let (arrived, last) = (arrived.clone(), remote.clone());
                    let all = 4 * each;
                    let call = move |_: &EventLoop| {
                        if arrived.fetch_add(1, Ordering::Relaxed) + 1 == all {
                            last.stop();
                        }
                    };
                    remote.post(call).unwrap();
                    // Bursts and single posts, so that the loop waits in between.
                    if n % 64 == 0 {
                        let begun = Instant::now();
                        while begun.elapsed() < Duration::from_micros(n % 700) {
                            thread::yield_now();
                        }
                    }
                }
            })
        })
        .collect();
    fn tick(event_loop: &EventLoop, every: Duration, count: Rc<Cell<u64>>) {
        event_loop.call_later(every, move |event_loop| {
            count.set(count.get() + 1);
            tick(event_loop, every, count);
        });
    }
    let ticks: Vec<Rc<Cell<u64>>> = [200, 1_000, 50_000]
        .map(|micros| {
            let count = Rc::new(Cell::new(0));
            tick(&event_loop, Duration::from_micros(micros), count.clone());
            count
        })
        .into();
    event_loop.run().unwrap();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(arrived.load(Ordering::Relaxed), 4 * each);
    assert!(ticks[0].get() > ticks[2].get());
}

#[test]
fn no_post_is_lost_on_the_direct_path() {
    posts_while_timers_run(false, 20_000);
}

#[test]
fn no_post_is_lost_on_the_portable_path() {
    posts_while_timers_run(true, 20_000);
}

#[test]
fn timers_are_never_early() {
    for portable in [false, true] {
        let event_loop = EventLoop::builder().portable_wait(portable).build().unwrap();
        // Under a millisecond, over it, and between two.
        for micros in [1, 200, 999, 1000, 1001, 2500] {
            let (begun, due) = (Instant::now(), Duration::from_micros(micros));
            event_loop.call_later(due, move |event_loop| {
                assert!(begun.elapsed() >= due);
                event_loop.stop();
            });
            event_loop.run().unwrap();
        }
    }
}

#[test]
fn a_wait_that_short_timers_ended_early_leaves_nothing_that_spins() {
    let event_loop = EventLoop::new().unwrap();
    let remote = event_loop.remote();
    // A post ends a short wait early, so that the poller's own timer stays armed and shows up in a later, longer wait.
    let helper = thread::spawn(move || {
        for _ in 0..50 {
            remote.post(|_| {}).unwrap();
            thread::yield_now();
        }
    });
    let turns = Rc::new(Cell::new(0));
    for micros in [300, 400, 500, 600, 700, 800] {
        event_loop.call_later(Duration::from_micros(micros), |_| {});
    }
    let done = Rc::new(Cell::new(false));
    let flag = done.clone();
    event_loop.call_later(Duration::from_millis(20), move |_| flag.set(true));
    while !done.get() {
        event_loop.turn(None).unwrap();
        turns.set(turns.get() + 1);
    }
    helper.join().unwrap();
    // A few turns a post and a timer; a loop that spins makes thousands in these 20 ms.
    assert!(turns.get() < 500, "{} turns", turns.get());
}

#[test]
fn a_turn_with_a_limit_comes_back() {
    for portable in [false, true] {
        let event_loop = EventLoop::builder().portable_wait(portable).build().unwrap();
        let begun = Instant::now();
        assert_eq!(event_loop.turn(Some(Duration::from_millis(2))).unwrap(), 0);
        assert!(begun.elapsed() >= Duration::from_millis(2));
    }
}
