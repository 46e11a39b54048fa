//! Posts from four threads while short timers run: each arrives once, in its thread's order, on both ways to wait.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ropewalk::EventLoop;

const THREADS: usize = 4;

fn tick(event_loop: &EventLoop, every: Duration, count: Rc<Cell<u64>>) {
    event_loop.call_later(every, move |event_loop| {
        count.set(count.get() + 1);
        tick(event_loop, every, count);
    });
}

/// Threads post bursts of 1 to 64 and wait until the last of a burst was called: so the loop waits again and again, and
/// a post that were lost would keep its thread, and this test, from ending.
fn posts_arrive_once_and_in_order(portable: bool) {
    let event_loop = EventLoop::builder().portable_wait(portable).build().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let (sender, arrivals) = mpsc::channel();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (remote, over, sender) = (event_loop.remote(), over.clone(), sender.clone());
            thread::spawn(move || {
                let (acknowledge, acknowledged) = mpsc::channel();
                let mut posted = 0_u64;
                for burst in (1..=64).cycle().skip(thread * 16) {
                    for n in 0..burst {
                        let number = posted;
                        let acknowledge = (n + 1 == burst).then(|| acknowledge.clone());
                        let sender = sender.clone();
                        remote
                            .post(move |_| {
                                sender.send((thread, number)).unwrap();
                                if let Some(acknowledge) = acknowledge {
                                    acknowledge.send(()).unwrap();
                                }
                            })
                            .unwrap();
                        posted += 1;
                    }
                    acknowledged.recv().unwrap();
                    if over.load(Ordering::Relaxed) {
                        return posted;
                    }
                }
                unreachable!("the bursts go on for ever")
            })
        })
        .collect();
    drop(sender);

    let ticks: Vec<Rc<Cell<u64>>> = [200, 1_000, 10_000]
        .map(|micros| {
            let count = Rc::new(Cell::new(0));
            tick(&event_loop, Duration::from_micros(micros), count.clone());
            count
        })
        .into();

    let arrived = RefCell::new([0_u64; THREADS]);
    let take = || {
        for (thread, number) in arrivals.try_iter() {
            let next = &mut arrived.borrow_mut()[thread];
            assert_eq!(number, *next, "lost, doubled or out of order, thread {thread}");
            *next += 1;
        }
    };
    while threads.iter().any(|thread| !thread.is_finished()) {
        event_loop.turn(Some(Duration::from_millis(50))).unwrap();
        take();
        // None may starve: one that did would keep this test from ending.
        if ticks.iter().zip([500, 100, 20]).all(|(ticks, least)| ticks.get() >= least) {
            over.store(true, Ordering::Relaxed);
        }
    }
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    take();
    for (thread, handle) in threads.into_iter().enumerate() {
        assert_eq!(arrived.borrow()[thread], handle.join().unwrap());
    }
}

#[test]
fn posts_arrive_once_and_in_order_on_the_direct_path() {
    posts_arrive_once_and_in_order(false);
}

#[test]
fn posts_arrive_once_and_in_order_on_the_portable_path() {
    posts_arrive_once_and_in_order(true);
}

/// Nothing but posts wakes the loop here, and each thread waits for its post's call before it posts again: a wake-up that
/// got lost shows as a wait that lasts to its end.
fn no_wake_up_is_lost(portable: bool) {
    const ROUNDS: u64 = 5_000;
    let event_loop = EventLoop::builder().portable_wait(portable).build().unwrap();
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let remote = event_loop.remote();
            thread::spawn(move || {
                let (acknowledge, acknowledged) = mpsc::channel();
                for _ in 0..ROUNDS {
                    let acknowledge = acknowledge.clone();
                    remote.post(move |_| acknowledge.send(()).unwrap()).unwrap();
                    acknowledged.recv().unwrap();
                }
            })
        })
        .collect();
    let mut called = 0;
    let limit = Duration::from_secs(20);
    while called < THREADS as u64 * ROUNDS {
        let begun = event_loop.time();
        called += event_loop.turn(Some(limit)).unwrap() as u64;
        assert!(event_loop.time() - begun < limit, "{called} of the posts were called, and the next woke nobody");
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn no_wake_up_is_lost_on_the_direct_path() {
    no_wake_up_is_lost(false);
}

#[test]
fn no_wake_up_is_lost_on_the_portable_path() {
    no_wake_up_is_lost(true);
}
