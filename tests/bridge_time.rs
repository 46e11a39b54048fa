//! Waiting for time in an async function: `sleep`, `timeout`, `interval`, `yield_now`.

use std::cell::RefCell;
use std::future::{Future, pending};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use ropewalk::bridge::{TimedOut, interval, sleep, sleep_until, timeout, yield_now};
use ropewalk::testing::{assert_clean, assert_no_result, success_of};
use ropewalk::{Closed, Deferred, EventLoop, Failure, TestClock};

fn on_a_test_clock() -> (TestClock, EventLoop) {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
    (clock, event_loop)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_sleep_counts_from_its_call_and_is_ready_at_once_when_that_is_over() {
    let (clock, event_loop) = on_a_test_clock();
    let handle = event_loop.handle();
    let task = event_loop.spawn(async move {
        let early = sleep(&handle, SECOND);
        sleep(&handle, 3 * SECOND).await?;
        early.await?;
        let first = handle.time()?;
        sleep_until(&handle, 5 * SECOND).await?;
        Ok((first, handle.time()?))
    });
    clock.advance(2 * SECOND).unwrap();
    assert_no_result(&task);
    clock.advance(3 * SECOND).unwrap();
    assert_eq!(success_of(task), (3 * SECOND, 5 * SECOND));
}

#[test]
fn dropping_a_sleep_takes_its_timer_off_the_loop() {
    let (_clock, event_loop) = on_a_test_clock();
    let mut asleep = Box::pin(sleep(&event_loop, SECOND));
    assert!(event_loop.still_registered().is_empty(), "nothing is armed before the first poll");
    assert!(asleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(event_loop.still_registered().len(), 1);
    drop(asleep);
    assert_clean(&event_loop);
}

#[test]
fn a_sleep_on_a_loop_that_is_gone_says_so() {
    let (_clock, event_loop) = on_a_test_clock();
    let mut asleep = Box::pin(sleep(&event_loop, SECOND));
    let later = sleep(&event_loop, SECOND);
    assert!(asleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(event_loop);
    let other = EventLoop::new().unwrap();
    assert_eq!(other.block_on(async { Ok((asleep.await, later.await)) }).unwrap(), (Err(Closed), Err(Closed)));
}

#[test]
fn a_timeout_drops_the_future_and_says_when_and_where_it_was_limited() {
    let (clock, event_loop) = on_a_test_clock();
    let (resolver, never) = Deferred::<()>::new();
    let late = event_loop.block_on(async { Ok(timeout(&event_loop, 2 * SECOND, never).await) }).unwrap();
    let error: TimedOut = late.unwrap_err();
    assert_eq!(error.after(), 2 * SECOND);
    assert!(error.limited().file().ends_with("bridge_time.rs"));
    assert!(resolver.is_cancelled());
    assert_eq!(clock.now(), 2 * SECOND);
    assert_clean(&event_loop);
}

#[test]
fn a_future_that_is_ready_in_time_takes_the_timer_with_it() {
    let (clock, event_loop) = on_a_test_clock();
    let in_time = event_loop.block_on(async {
        let work = async {
            sleep(&event_loop, SECOND).await?;
            Ok::<_, Failure>(7)
        };
        Ok(timeout(&event_loop, SECOND, work).await)
    });
    assert_eq!(in_time.unwrap().unwrap().unwrap(), 7, "ready at the very time of the limit is in time");
    assert_eq!(clock.now(), SECOND);
    assert_clean(&event_loop);
}

#[test]
fn an_interval_does_not_drift_skips_what_nobody_waited_for_and_loses_no_beat_to_a_drop() {
    let (clock, event_loop) = on_a_test_clock();
    let handle = event_loop.handle();
    let task = event_loop.spawn(async move {
        let mut beats = interval(&handle, 2 * SECOND);
        let mut log = Vec::new();
        log.push((beats.tick().await?, handle.time()?.as_secs()));
        sleep(&handle, 5 * SECOND).await?;
        log.push((beats.tick().await?, handle.time()?.as_secs()));
        // Given up halfway; the beat is still to come.
        assert!(timeout(&handle, SECOND / 2, beats.tick()).await.is_err());
        log.push((beats.tick().await?, handle.time()?.as_secs()));
        Ok(log)
    });
    clock.advance(20 * SECOND).unwrap();
    assert_eq!(success_of(task), [(1, 2), (2, 7), (1, 8)]);
}

#[test]
fn yield_now_gives_the_others_a_turn() {
    let (_clock, event_loop) = on_a_test_clock();
    let log = Rc::new(RefCell::new(Vec::new()));
    let tasks: Vec<_> = (0..2)
        .map(|name| {
            let log = log.clone();
            event_loop.spawn(async move {
                for round in 0..2 {
                    log.borrow_mut().push((round, name));
                    yield_now().await;
                }
                Ok(())
            })
        })
        .collect();
    event_loop.run_until(ropewalk::gather_results(tasks)).unwrap();
    assert_eq!(*log.borrow(), [(0, 0), (0, 1), (1, 0), (1, 1)]);
}

#[test]
fn a_timeout_of_something_that_never_comes_works_inside_a_task_among_others() {
    let (clock, event_loop) = on_a_test_clock();
    let handle = event_loop.handle();
    let tasks: Vec<_> = (1..=100)
        .map(|n| {
            let handle = handle.clone();
            event_loop.spawn(async move {
                let late = timeout(&handle, n * SECOND, pending::<()>()).await;
                Ok((late.is_err(), handle.time()?))
            })
        })
        .collect();
    let all = ropewalk::gather_results(tasks);
    clock.advance(100 * SECOND).unwrap();
    for (n, (late, at)) in (1..=100).zip(success_of(all)) {
        assert!(late);
        assert_eq!(at, n * SECOND);
    }
    assert_clean(&event_loop);
}
