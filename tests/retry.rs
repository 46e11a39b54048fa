//! `Retry` and `Backoff`: attempts, waits, cancels.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ropewalk::task::{Backoff, Retry, RetryError};
use ropewalk::testing::{assert_no_result, failure_of, success_of};
use ropewalk::{
    AbandonedError, CancelledError, Closed, Deferred, EventLoop, Failure, PanicError, TestClock, TimeoutError,
};

const S: Duration = Duration::from_secs(1);

fn test_loop() -> (TestClock, EventLoop) {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
    (clock, event_loop)
}

/// 1, 2, 4, 8, 8, .. seconds.
fn doubling() -> Backoff {
    Backoff::new().factor(2.0).max_delay(8 * S).jitter(0.0)
}

/// A function that notes when it is called and never succeeds.
type Times = Rc<RefCell<Vec<u64>>>;

fn failing(event_loop: &EventLoop) -> (Times, impl FnMut(u32) -> Result<i32, Failure> + use<>) {
    let times = Times::default();
    let (noted, handle) = (times.clone(), event_loop.handle());
    let f = move |attempt| {
        noted.borrow_mut().push(handle.time()?.as_secs());
        Err(Failure::msg(format!("no {attempt}")))
    };
    (times, f)
}

#[test]
fn the_waits_grow_up_to_the_longest() {
    let (clock, event_loop) = test_loop();
    let (times, f) = failing(&event_loop);
    let d = Retry::new().max_attempts(6).backoff(doubling()).run(&event_loop, f);
    assert_eq!(*times.borrow(), [0]);
    clock.advance(100 * S).unwrap();
    assert_eq!(*times.borrow(), [0, 1, 3, 7, 15, 23]);
    drop(failure_of(d));
}

#[test]
fn the_error_tells_all_attempts() {
    let (clock, event_loop) = test_loop();
    let line = line!() + 1;
    let d = Retry::new().max_attempts(4).backoff(doubling()).run(&event_loop, |attempt| match attempt {
        1 | 2 => Err(Failure::msg("refused")),
        3 => Ok("x".parse::<i32>()?),
        _ => Err(Failure::msg("refused")),
    });
    clock.advance(100 * S).unwrap();
    let failure = failure_of(d);
    assert_eq!(
        failure.to_string(),
        "gave up after 4 attempts in 7s: refused (2 times); invalid digit found in string; refused"
    );
    assert_eq!(failure.raised().line(), line);
    let error = failure.check::<RetryError>().unwrap();
    assert_eq!((error.attempts(), error.took(), error.failures().len()), (4, 7 * S, 4));
    assert!(error.failures()[2].check::<std::num::ParseIntError>().is_some());
    assert_eq!(std::error::Error::source(error).unwrap().to_string(), "refused");
}

#[test]
fn the_error_keeps_the_last_16_failures() {
    let (clock, event_loop) = test_loop();
    let (_times, f) = failing(&event_loop);
    let d = Retry::new().max_attempts(100).backoff(doubling()).run(&event_loop, f);
    clock.advance(1000 * S).unwrap();
    let failure = failure_of(d);
    let error = failure.check::<RetryError>().unwrap();
    assert_eq!((error.attempts(), error.failures().len()), (100, 16));
    assert!(failure.to_string().contains(": 84 earlier ones; no 85; no 86; "));
}

#[test]
fn the_first_success_is_the_result_and_leaves_nothing_behind() {
    let (clock, event_loop) = test_loop();
    let d = Retry::new().run(&event_loop, |_| Ok(1));
    assert_eq!(success_of(d), 1);
    let token = Rc::new(());
    let held = token.clone();
    let d = Retry::new().backoff(doubling()).run(&event_loop, move |attempt| {
        let _held = &held;
        if attempt < 3 { Err(Failure::msg("no")) } else { Ok(attempt) }
    });
    clock.advance(3 * S).unwrap();
    assert_eq!(success_of(d), 3);
    assert_eq!((Rc::strong_count(&token), event_loop.still_registered().len()), (1, 0));
}

#[test]
fn an_attempt_may_take_its_time() {
    let (clock, event_loop) = test_loop();
    let handle = event_loop.handle();
    let d = Retry::new().backoff(doubling()).run(&event_loop, move |attempt| {
        handle.defer_later(10 * S, move |_| if attempt < 2 { Err(Failure::msg("no")) } else { Ok(attempt) })
    });
    clock.advance(20 * S).unwrap();
    assert_no_result(&d);
    clock.advance(S).unwrap();
    assert_eq!(success_of(d), 2);
}

#[test]
fn each_attempt_can_have_a_time_limit_and_all_of_them_together_another() {
    let (clock, event_loop) = test_loop();
    let handle = event_loop.handle();
    let hanging = move |_| {
        let (resolver, d) = Deferred::<i32>::new();
        std::mem::forget(resolver);
        d.add_timeout(S, &handle)
    };
    let d = Retry::new().max_attempts(3).backoff(doubling()).run(&event_loop, hanging.clone());
    clock.advance(6 * S).unwrap(); // 3 attempts of 1 s, with waits of 1 s and 2 s
    let failure = failure_of(d);
    assert_eq!(failure.check::<RetryError>().unwrap().took(), 6 * S);

    let d = Retry::new().backoff(doubling()).run(&event_loop, hanging).add_timeout(4 * S, &event_loop);
    clock.advance(4 * S).unwrap();
    assert!(failure_of(d).check::<TimeoutError>().is_some());
    assert!(event_loop.still_registered().is_empty());
}

#[test]
fn a_panic_is_a_failure_like_any_other() {
    let (clock, event_loop) = test_loop();
    let d = Retry::new().backoff(doubling()).run(&event_loop, |attempt| {
        if attempt == 1 {
            std::panic::resume_unwind(Box::new("broken"));
        }
        Ok(attempt)
    });
    clock.advance(S).unwrap();
    assert_eq!(success_of(d), 2);
    let d = Retry::new().max_attempts(1).run(&event_loop, |_| -> Result<(), Failure> {
        std::panic::resume_unwind(Box::new("broken"));
    });
    let failure = failure_of(d);
    assert!(failure.check::<RetryError>().unwrap().failures()[0].check::<PanicError>().is_some());
}

#[test]
fn a_failure_that_is_not_worth_another_attempt_passes_as_it_is() {
    let (clock, event_loop) = test_loop();
    let retry = Retry::new().backoff(doubling()).retry_if(|failure| failure.to_string() != "forbidden");
    let d = retry
        .run(&event_loop, |attempt| Err::<(), _>(Failure::msg(if attempt == 1 { "busy" } else { "forbidden" })));
    clock.advance(S).unwrap();
    assert_eq!(failure_of(d).to_string(), "forbidden");
    let retry = Retry::new().retry_if(|_| std::panic::resume_unwind(Box::new("no judgement")));
    let d = retry.run(&event_loop, |_| Err::<(), _>(Failure::msg("no")));
    assert_eq!(failure_of(d).check::<PanicError>().unwrap().message(), "no judgement");
}

#[test]
fn a_cancel_during_the_wait_takes_the_next_attempt_off() {
    let (clock, event_loop) = test_loop();
    let (times, f) = failing(&event_loop);
    let d = Retry::new().backoff(doubling()).run(&event_loop, f);
    clock.advance(S).unwrap();
    d.cancel();
    assert!(failure_of(d).check::<CancelledError>().is_some());
    assert!(event_loop.still_registered().is_empty());
    clock.advance(100 * S).unwrap();
    assert_eq!(*times.borrow(), [0, 1]);
    assert_eq!(Rc::strong_count(&times), 1);
}

#[test]
fn a_cancel_during_an_attempt_cancels_it_and_there_is_no_other() {
    let (clock, event_loop) = test_loop();
    let (asked, attempts) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (asking, counting) = (asked.clone(), attempts.clone());
    let d = Retry::new().backoff(doubling()).run(&event_loop, move |_| {
        counting.set(counting.get() + 1);
        let asking = asking.clone();
        let (resolver, d) = Deferred::<()>::with_canceller(move || asking.set(asking.get() + 1));
        std::mem::forget(resolver);
        d
    });
    d.cancel();
    assert!(failure_of(d).check::<CancelledError>().is_some());
    clock.advance(100 * S).unwrap();
    assert_eq!((asked.get(), attempts.get()), (1, 1));
}

#[test]
fn what_a_cancelled_attempt_comes_up_with_is_the_result() {
    let (_clock, event_loop) = test_loop();
    let d = Retry::new().run(&event_loop, |_| {
        let (resolver, d) = Deferred::<i32>::new();
        std::mem::forget(resolver);
        d.add_errback(|failure| {
            failure.trap::<CancelledError>()?;
            Ok(7)
        })
    });
    d.cancel();
    assert_eq!(success_of(d), 7);
}

#[test]
fn a_function_that_cancels_its_own_run_is_not_called_again() {
    let (clock, event_loop) = test_loop();
    let slot = Rc::new(RefCell::new(ropewalk::CancelHandle::default()));
    let handle = slot.clone();
    let attempts = Rc::new(Cell::new(0));
    let counting = attempts.clone();
    let asked = Rc::new(Cell::new(false));
    let asking = asked.clone();
    let d = Retry::new().backoff(doubling()).run(&event_loop, move |attempt| {
        counting.set(attempt);
        if attempt == 1 {
            return Deferred::fail(Failure::msg("no"));
        }
        let own = handle.borrow().clone();
        own.cancel();
        let asking = asking.clone();
        let (resolver, d) = Deferred::<()>::with_canceller(move || asking.set(true));
        std::mem::forget(resolver);
        d
    });
    *slot.borrow_mut() = d.cancel_handle();
    clock.advance(100 * S).unwrap();
    assert!(failure_of(d).check::<CancelledError>().is_some());
    assert_eq!((attempts.get(), asked.get()), (2, true));
}

#[test]
fn when_the_loop_goes_away_it_fails() {
    let (_clock, event_loop) = test_loop();
    let (_times, f) = failing(&event_loop);
    let d = Retry::new().run(&event_loop, f);
    let handle = event_loop.handle();
    drop(event_loop);
    assert!(failure_of(d).check::<AbandonedError>().is_some());
    assert!(failure_of(Retry::new().run(handle, |_| Ok(()))).check::<Closed>().is_some());
}

#[test]
fn a_hundred_thousand_attempts_without_a_wait_need_no_stack() {
    let (clock, event_loop) = test_loop();
    let backoff = Backoff::new().initial(Duration::ZERO).jitter(0.0);
    let d = Retry::new()
        .max_attempts(u32::MAX)
        .backoff(backoff)
        .run(&event_loop, |attempt| if attempt < 100_000 { Err(Failure::msg("no")) } else { Ok(attempt) });
    clock.advance(Duration::ZERO).unwrap();
    assert_eq!(success_of(d), 100_000);
}

#[test]
fn jitter_stays_within_its_part_and_is_the_same_for_a_seed() {
    let backoff = Backoff::new().initial(10 * S).factor(1.0).jitter(0.25);
    let delays: Vec<f64> = backoff.clone().seed(1).delays().take(10_000).map(|d| d.as_secs_f64()).collect();
    assert!(delays.iter().all(|d| (7.5..=12.5).contains(d)));
    let mean = delays.iter().sum::<f64>() / delays.len() as f64;
    assert!((9.9..10.1).contains(&mean), "{mean}");
    assert!(delays.iter().any(|d| *d < 7.6) && delays.iter().any(|d| *d > 12.4));
    let seeded = |seed| backoff.clone().seed(seed).delays().take(3).collect::<Vec<_>>();
    assert_eq!(seeded(1), seeded(1));
    assert_ne!(seeded(1), seeded(2));
    let unseeded = || backoff.delays().take(3).collect::<Vec<_>>();
    assert_ne!(unseeded(), unseeded());
}

#[test]
fn figures_that_make_no_sense_do_no_harm() {
    for factor in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300] {
        for jitter in [f64::NAN, f64::INFINITY, -1.0, 5.0] {
            let backoff = Backoff::new().factor(factor).jitter(jitter).max_delay(Duration::MAX).seed(3);
            assert_eq!(backoff.delays().take(5).count(), 5);
        }
    }
}
