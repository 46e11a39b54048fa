//! `LoopingCall`: Twisted's LoopTests and ReactorLoopTests, and what ownership adds.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ropewalk::task::{LoopingCall, NotRunning, StartError};
use ropewalk::testing::{assert_no_result, capture_unhandled, failure_of, success_of};
use ropewalk::{AbandonedError, CancelledError, Deferred, EventLoop, Failure, PanicError, TestClock};

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

fn test_loop() -> (TestClock, EventLoop) {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
    (clock, event_loop)
}

/// A looping call that notes the time of each call in milliseconds.
fn noting() -> (Rc<RefCell<Vec<u128>>>, LoopingCall) {
    let times = Rc::new(RefCell::new(Vec::new()));
    let noted = times.clone();
    let looping = LoopingCall::new(move |tick| {
        noted.borrow_mut().push(tick.event_loop().time().as_millis());
        Ok(())
    });
    (times, looping)
}

/// The same with the counts, and a function for what a call gives back.
type Counts = Rc<RefCell<Vec<(u128, u64)>>>;

fn counting(mut then: impl FnMut(&ropewalk::task::Tick<'_>) -> Deferred<()> + 'static) -> (Counts, LoopingCall) {
    let counts = Counts::default();
    let noted = counts.clone();
    let looping = LoopingCall::with_count(move |tick, count| {
        noted.borrow_mut().push((tick.event_loop().time().as_millis(), count));
        then(tick)
    });
    (counts, looping)
}

fn pump(clock: &TestClock, steps: &[Duration]) {
    for &step in steps {
        clock.jump_by(step).unwrap();
    }
}

fn timers(event_loop: &EventLoop) -> usize {
    event_loop.still_registered().len()
}

// Twisted: LoopTests.

#[test]
fn beats_that_pass_while_the_function_runs_are_skipped() {
    let (clock, event_loop) = test_loop();
    let (times, takes) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(2 * S)));
    let (noted, inner, taking) = (times.clone(), clock.clone(), takes.clone());
    let looping = LoopingCall::new(move |tick| {
        noted.borrow_mut().push(tick.event_loop().time().as_millis());
        inner.jump_by(taking.get())?;
        Ok(())
    });
    looping.start(&event_loop, 500 * MS, true).detach();
    assert_eq!((&*times.borrow(), clock.now()), (&vec![0], 2 * S));
    // 2 is now and not to come: it is skipped.
    pump(&clock, &[Duration::ZERO]);
    assert_eq!(*times.borrow(), [0]);
    takes.set(S);
    pump(&clock, &[500 * MS]);
    assert_eq!((&*times.borrow(), clock.now()), (&vec![0, 2500], 3500 * MS));
    takes.set(Duration::ZERO);
    pump(&clock, &[Duration::ZERO]);
    assert_eq!(times.borrow().len(), 2);
    pump(&clock, &[500 * MS]);
    assert_eq!(*times.borrow(), [0, 2500, 4000]);
}

#[test]
fn beats_that_pass_while_the_loop_is_late_are_skipped() {
    let (clock, event_loop) = test_loop();
    let (times, looping) = noting();
    looping.start(&event_loop, 500 * MS, true).detach();
    pump(&clock, &[2 * S, S, Duration::ZERO]);
    assert_eq!(*times.borrow(), [0, 2000, 3000]);
}

#[test]
fn skipped_beats_are_counted() {
    let (clock, event_loop) = test_loop();
    let (counts, looping) = counting(|_| Deferred::succeed(()));
    looping.start(&event_loop, 500 * MS, true).detach();
    pump(&clock, &[510 * MS, 1510 * MS, Duration::ZERO]);
    assert_eq!(*counts.borrow(), [(0, 1), (510, 1), (2020, 3)]);
}

#[test]
fn less_than_two_intervals_count_as_one() {
    let (clock, event_loop) = test_loop();
    let (counts, looping) = counting(|_| Deferred::succeed(()));
    looping.start(&event_loop, 500 * MS, true).detach();
    pump(&clock, &[510 * MS, 875 * MS, 125 * MS]);
    assert_eq!(*counts.borrow(), [(0, 1), (510, 1), (1385, 1), (1510, 1)]);
}

#[test]
fn counts_add_up_to_the_intervals_and_are_never_zero() {
    let (clock, event_loop) = test_loop();
    // An interval that is no whole part of anything.
    let interval = Duration::from_nanos(7_777_777);
    let (counts, looping) = counting(|_| Deferred::succeed(()));
    looping.start(&event_loop, interval, false).detach();
    let mut random = 9u64;
    for _ in 0..5000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        clock.jump_by(Duration::from_nanos(random % 40_000_000)).unwrap();
        let counted: u64 = counts.borrow().iter().map(|(_, count)| count).sum();
        assert_eq!(u128::from(counted), clock.now().as_nanos() / interval.as_nanos());
    }
    assert!(counts.borrow().iter().all(|(_, count)| *count > 0));
}

#[test]
fn with_an_interval_of_zero_the_count_is_one() {
    let (clock, event_loop) = test_loop();
    let (counts, looping) = counting({
        let mut left = 5;
        move |tick| {
            left -= 1;
            if left == 0 {
                tick.stop();
            }
            Deferred::succeed(())
        }
    });
    let ended = looping.start(&event_loop, Duration::ZERO, false);
    pump(&clock, &[Duration::ZERO; 5]);
    success_of(ended);
    assert_eq!(*counts.borrow(), [(0, 1); 5]);
}

#[test]
fn with_an_interval_of_zero_the_count_is_one_after_a_wait_as_well() {
    let (clock, event_loop) = test_loop();
    let (resolver, waiting) = Deferred::new();
    let (mut waiting, mut n) = (Some(waiting), 0);
    let (counts, looping) = counting(move |tick| {
        n += 1;
        if n == 5 {
            tick.stop();
        }
        waiting.take_if(|_| n == 2).unwrap_or_else(|| Deferred::succeed(()))
    });
    let ended = looping.start(&event_loop, Duration::ZERO, false);
    pump(&clock, &[Duration::ZERO, Duration::ZERO, S, S]);
    assert_eq!(counts.borrow().len(), 2);
    resolver.succeed(());
    pump(&clock, &[Duration::ZERO]);
    assert_eq!(counts.borrow().iter().map(|(_, count)| *count).collect::<Vec<_>>(), [1; 5]);
    success_of(ended);
}

#[test]
fn an_interval_that_is_changed_holds_from_the_next_call_and_counts_from_the_last_one() {
    let (clock, event_loop) = test_loop();
    let (resolver, waiting) = Deferred::new();
    let mut waiting = Some(waiting);
    let (counts, looping) = counting(move |_| waiting.take().unwrap_or_else(|| Deferred::succeed(())));
    looping.start(&event_loop, S, false).detach();
    pump(&clock, &[S, 5 * S]); // it waits
    looping.set_interval(2 * S).unwrap();
    assert_eq!(looping.interval(), Some(2 * S));
    resolver.succeed(());
    pump(&clock, &[8 * S, 2 * S, 4 * S]);
    // At 14: the intervals of two seconds in 1..14, whose bounds lie at 2, 4, .. 14.
    assert_eq!(*counts.borrow(), [(1000, 1), (14000, 7), (16000, 1), (20000, 2)]);
}

#[test]
fn it_is_called_at_once_and_then_on_each_beat_until_stopped() {
    let (clock, event_loop) = test_loop();
    let (times, looping) = noting();
    let ended = looping.start(&event_loop, 100 * MS, true);
    pump(&clock, &[50 * MS, 100 * MS, 100 * MS]);
    assert_eq!(times.borrow().len(), 3);
    assert_no_result(&ended);
    assert!(looping.is_running());
    looping.stop().unwrap();
    success_of(ended);
    assert!(!looping.is_running());
    assert_eq!(timers(&event_loop), 0);
}

#[test]
fn it_may_begin_one_interval_later() {
    let (clock, event_loop) = test_loop();
    let (times, looping) = noting();
    let ended = looping.start(&event_loop, 100 * MS, false);
    assert!(times.borrow().is_empty());
    clock.advance(250 * MS).unwrap();
    assert_eq!(*times.borrow(), [100, 200]);
    looping.stop().unwrap();
    success_of(ended);
    assert_eq!(timers(&event_loop), 0);
}

#[test]
fn stopped_before_the_first_call_it_makes_none() {
    for interval in [Duration::ZERO, 10 * S] {
        let (clock, event_loop) = test_loop();
        let (times, looping) = noting();
        let ended = looping.start(&event_loop, interval, false);
        looping.stop().unwrap();
        success_of(ended);
        clock.advance(20 * S).unwrap();
        assert!(times.borrow().is_empty());
    }
}

#[test]
fn a_reset_counts_from_now() {
    let (clock, event_loop) = test_loop();
    let (times, looping) = noting();
    looping.start(&event_loop, 2 * S, false).detach();
    clock.advance(S).unwrap();
    looping.reset().unwrap();
    clock.advance(S).unwrap();
    assert!(times.borrow().is_empty());
    clock.advance(5 * S).unwrap();
    assert_eq!(*times.borrow(), [3000, 5000, 7000]);
}

#[test]
fn a_reset_before_the_first_call_that_was_late_counts_from_now_too() {
    let (clock, event_loop) = test_loop();
    let (counts, looping) = counting(|_| Deferred::succeed(()));
    let late = looping.clone();
    event_loop.call_later(S, move |_| late.reset().unwrap());
    looping.start(&event_loop, 2 * S, false).detach();
    clock.jump_by(5 * S).unwrap(); // the call at 1 runs at 5
    clock.jump_by(2 * S).unwrap();
    assert_eq!(*counts.borrow(), [(7000, 1)]);
}

#[test]
fn it_shows_its_interval_and_where_it_was_started() {
    let (_clock, event_loop) = test_loop();
    let (_times, looping) = noting();
    assert_eq!(format!("{looping:?}"), "<LoopingCall not started>");
    looping.start(&event_loop, 2 * S, false).detach();
    let line = line!() - 1;
    assert!(format!("{looping:?}").starts_with("<LoopingCall every 2s, started tests/looping_call.rs:"));
    assert_eq!(event_loop.still_registered()[0].place.line(), line);
}

// Twisted: ReactorLoopTests.

#[test]
fn a_failure_of_the_function_ends_it() {
    let (clock, event_loop) = test_loop();
    let looping = LoopingCall::new(|_| Ok("x".parse::<i32>()?));
    let ended = looping.start(&event_loop, S, true);
    assert!(failure_of(ended).check::<std::num::ParseIntError>().is_some());
    assert!(!looping.is_running());
    assert_eq!((looping.stop(), timers(&event_loop)), (Err(NotRunning), 0));
    clock.advance(2 * S).unwrap();
}

#[test]
fn a_failure_after_a_stop_inside_is_the_result() {
    let (_clock, event_loop) = test_loop();
    let looping = LoopingCall::new(|tick| {
        tick.stop();
        Err::<(), _>(Failure::msg("no"))
    });
    assert_eq!(failure_of(looping.start(&event_loop, S, true)).to_string(), "no");
}

#[test]
fn a_panic_of_the_function_ends_it_and_it_can_be_started_again() {
    let (clock, event_loop) = test_loop();
    let mut n = 0;
    let looping = LoopingCall::new(move |_| {
        n += 1;
        if n == 2 {
            std::panic::resume_unwind(Box::new("broken"));
        }
        Ok(())
    });
    let ended = looping.start(&event_loop, S, true);
    let line = line!() - 1;
    clock.advance(S).unwrap();
    let failure = failure_of(ended);
    let panic = failure.check::<PanicError>().unwrap();
    assert_eq!((panic.message(), panic.registered().line()), ("broken", line));
    let ended = looping.start(&event_loop, S, true);
    clock.advance(5 * S).unwrap();
    assert_no_result(&ended);
    looping.stop().unwrap();
}

#[test]
fn with_an_interval_of_zero_it_is_called_once_in_every_turn() {
    let event_loop = EventLoop::new().unwrap();
    let (ran, turns) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let counted = ran.clone();
    let looping = LoopingCall::new(move |tick| {
        counted.set(counted.get() + 1);
        if counted.get() > 5 {
            tick.stop();
        }
        Ok(())
    });
    let ended = looping.start(&event_loop, Duration::ZERO, true);
    while !ended.has_result() {
        event_loop.turn(Some(Duration::ZERO)).unwrap();
        turns.set(turns.get() + 1);
        assert!(ran.get() <= turns.get() + 1);
    }
    assert_eq!(ran.get(), 6);
    success_of(ended);
}

#[test]
fn the_next_call_waits_for_the_deferred_of_this_one() {
    let (clock, event_loop) = test_loop();
    let looping = LoopingCall::new(|tick| {
        let looping = tick.looping_call();
        tick.event_loop().defer_later(S, move |_| Ok(looping.stop()?))
    });
    let ended = looping.start(&event_loop, 200 * MS, true);
    pump(&clock, &[200 * MS]);
    assert_no_result(&ended);
    pump(&clock, &[800 * MS]);
    success_of(ended);
    assert_eq!(timers(&event_loop), 0);
}

#[test]
fn the_failure_of_its_deferred_ends_it() {
    let (clock, event_loop) = test_loop();
    let looping =
        LoopingCall::new(|tick| tick.event_loop().defer_later(300 * MS, |_| Err::<(), _>(Failure::msg("no"))));
    let ended = looping.start(&event_loop, S, true);
    pump(&clock, &[300 * MS]);
    assert_eq!(failure_of(ended).to_string(), "no");
    assert_eq!(timers(&event_loop), 0);
}

#[test]
fn beats_that_pass_while_its_deferred_is_waited_for_are_counted() {
    let (clock, event_loop) = test_loop();
    let (resolver, waiting) = Deferred::new();
    let mut waiting = Some(waiting);
    let (counts, looping) = counting(move |_| waiting.take().unwrap_or_else(|| Deferred::succeed(())));
    looping.start(&event_loop, 200 * MS, false).detach();
    pump(&clock, &[200 * MS, 400 * MS]);
    assert_eq!(counts.borrow().len(), 1);
    resolver.succeed(());
    pump(&clock, &[200 * MS]);
    assert_eq!(*counts.borrow(), [(200, 1), (800, 3)]);
}

// Beyond Twisted's tests.

#[test]
fn stopped_while_its_deferred_is_waited_for_it_ends_with_that_and_does_not_cancel_it() {
    let (clock, event_loop) = test_loop();
    let (resolver, waiting) = Deferred::new();
    let mut waiting = Some(waiting);
    let looping = LoopingCall::new(move |_| waiting.take().unwrap_or_else(|| Deferred::succeed(())));
    let ended = looping.start(&event_loop, S, true);
    looping.stop().unwrap();
    assert_eq!((looping.stop(), looping.reset()), (Err(NotRunning), Err(NotRunning)));
    clock.advance(5 * S).unwrap();
    assert_no_result(&ended);
    assert!(!resolver.is_cancelled());

    // Twisted lets it start here, and then the first Deferred never fires (#2998).
    let second = looping.start(&event_loop, S, true);
    assert_eq!(failure_of(second).check::<StartError>(), Some(&StartError::AlreadyRunning));

    resolver.succeed(());
    success_of(ended);
    let third = looping.start(&event_loop, S, true);
    looping.stop().unwrap();
    success_of(third);
}

#[test]
fn started_twice_the_second_start_fails_and_the_first_runs_on() {
    let (clock, event_loop) = test_loop();
    let (times, looping) = noting();
    let ended = looping.start(&event_loop, S, false);
    let second = looping.start(&event_loop, S, true);
    assert_eq!(failure_of(second).check::<StartError>(), Some(&StartError::AlreadyRunning));
    clock.advance(S).unwrap();
    assert_eq!(*times.borrow(), [1000]);
    assert_no_result(&ended);
}

#[test]
fn it_can_be_started_again_inside_the_deferred_of_the_run_that_ended() {
    let (clock, event_loop) = test_loop();
    let (counts, looping) = counting(|_| Deferred::succeed(()));
    let (again, handle) = (looping.clone(), event_loop.handle());
    looping.start(&event_loop, S, true).add_callback(move |()| again.start(handle, 2 * S, true)).detach();
    clock.jump_by(3 * S).unwrap();
    looping.stop().unwrap();
    clock.jump_by(2 * S).unwrap();
    assert_eq!(*counts.borrow(), [(0, 1), (3000, 3), (3000, 1), (5000, 1)]);
}

#[test]
fn a_function_may_start_stop_and_reset_its_own_looping_call() {
    let (clock, event_loop) = test_loop();
    let unhandled = capture_unhandled();
    let times = Rc::new(RefCell::new(Vec::new()));
    let noted = times.clone();
    let looping = LoopingCall::new(move |tick| {
        noted.borrow_mut().push(tick.event_loop().time().as_secs());
        let looping = tick.looping_call();
        looping.reset().unwrap();
        looping.start(tick.event_loop(), S, true).detach();
        looping.stop().unwrap();
        Ok(())
    });
    success_of(looping.start(&event_loop, S, true));
    clock.advance(5 * S).unwrap();
    assert_eq!(*times.borrow(), [0]);
    let reports = unhandled.flush_unhandled();
    assert_eq!(reports[0].failure().check::<StartError>(), Some(&StartError::AlreadyRunning));
    assert_eq!(Rc::strong_count(&times), 2);
    drop(looping);
    assert_eq!(Rc::strong_count(&times), 1);
}

#[test]
fn a_cancel_of_its_deferred_does_not_stop_it_as_in_twisted() {
    let (clock, event_loop) = test_loop();
    let (times, looping) = noting();
    let ended = looping.start(&event_loop, S, true);
    ended.cancel();
    assert!(failure_of(ended).check::<CancelledError>().is_some());
    clock.advance(2 * S).unwrap();
    assert_eq!(times.borrow().len(), 3);
    looping.stop().unwrap();
}

#[test]
fn the_loop_keeps_it_while_it_runs_and_lets_go_of_it_when_it_ends() {
    let (clock, event_loop) = test_loop();
    let (times, looping) = noting();
    looping.start(&event_loop, S, true).detach();
    drop(looping);
    clock.advance(2 * S).unwrap();
    assert_eq!(times.borrow().len(), 3);
    drop(event_loop);
    assert_eq!(Rc::strong_count(&times), 1);
}

#[test]
fn when_the_loop_goes_away_its_deferred_fails_and_it_does_not_run() {
    let (_clock, event_loop) = test_loop();
    let (_times, looping) = noting();
    let ended = looping.start(&event_loop, S, true);
    let handle = event_loop.handle();
    drop(event_loop);
    assert!(failure_of(ended).check::<AbandonedError>().is_some());
    assert!(!looping.is_running());
    assert_eq!(failure_of(looping.start(handle, S, true)).check::<StartError>(), Some(&StartError::Closed));
}

#[test]
fn many_calls_do_not_drift() {
    let (clock, event_loop) = test_loop();
    let ran = Rc::new(Cell::new(0u64));
    let counted = ran.clone();
    let looping = LoopingCall::new(move |_| {
        counted.set(counted.get() + 1);
        Ok(())
    });
    looping.start(&event_loop, 3 * MS, false).detach();
    clock.advance(300_000 * MS).unwrap();
    assert_eq!(ran.get(), 100_000);
    looping.stop().unwrap();
}
