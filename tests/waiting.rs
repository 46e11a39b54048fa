//! The two ways to wait: nothing spins, no timer is early. That no post is lost is in `waiting_posts.rs`.

use std::cell::Cell;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use ropewalk::EventLoop;

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
    // One turn for each of the 50 posts and 7 timers and for the end of the Remote; and at most one more for a post whose
    // wake-up comes when the loop has found its letter already, and for each timer's wait, rounded, that ends too early.
    assert!(turns.get() <= 2 * (50 + 7 + 1), "{} turns", turns.get());
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
