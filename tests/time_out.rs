//! `add_timeout` and `defer_later`: the cases of Twisted's own tests, and more.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ropewalk::testing::{assert_no_result, capture_unhandled, failure_of, success_of};
use ropewalk::{
    AbandonedError, CancelledError, Closed, Deferred, EventLoop, Failure, PanicError, TestClock, TimeoutError,
};

const S: Duration = Duration::from_secs(1);

fn test_loop() -> (TestClock, EventLoop) {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
    (clock, event_loop)
}

/// A Deferred with a canceller that counts its calls and fires with what it is given.
fn with_canceller(answer: Option<Result<i32, Failure>>) -> (Rc<Cell<u32>>, Deferred<i32>) {
    let (calls, slot) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
    let (counted, filled) = (calls.clone(), slot.clone());
    let (resolver, deferred) = Deferred::with_canceller(move || {
        counted.set(counted.get() + 1);
        let resolver: Option<ropewalk::Resolver<i32>> = filled.take();
        match (resolver, answer) {
            (Some(resolver), Some(answer)) => resolver.fire(answer),
            (resolver, _) => filled.set(resolver),
        }
    });
    slot.set(Some(resolver));
    (calls, deferred)
}

fn timers(event_loop: &EventLoop) -> usize {
    event_loop.still_registered().len()
}

// Twisted: DeferredAddTimeoutTests. Each case plain and with a function of its own.

#[test]
fn a_result_in_time_takes_the_timer_off_and_nothing_is_cancelled() {
    let (clock, event_loop) = test_loop();
    for custom in [false, true] {
        let (resolver, d) = Deferred::new();
        let d = if custom {
            d.add_timeout_with(10 * S, &event_loop, |_, _| Ok("overridden"))
        } else {
            d.add_timeout(10 * S, &event_loop)
        };
        assert_eq!(timers(&event_loop), 1);
        resolver.succeed("result");
        assert_eq!(timers(&event_loop), 0);
        assert_eq!(success_of(d), "result");
        clock.advance(15 * S).unwrap();
    }
}

#[test]
fn a_failure_in_time_takes_the_timer_off_and_is_not_touched() {
    let (_clock, event_loop) = test_loop();
    for custom in [false, true] {
        let (resolver, d) = Deferred::<i32>::new();
        let d = if custom {
            d.add_timeout_with(10 * S, &event_loop, |_, _| Ok(0))
        } else {
            d.add_timeout(10 * S, &event_loop)
        };
        resolver.fail(Failure::msg("no"));
        assert_eq!(timers(&event_loop), 0);
        assert_eq!(failure_of(d).to_string(), "no");
    }
}

#[test]
fn without_a_result_in_time_it_fails_and_says_what_after_how_long_and_where() {
    let (clock, event_loop) = test_loop();
    let (resolver, d) = Deferred::<i32>::new();
    let d = d.named("poem");
    let made = d.made();
    let line = line!() + 1;
    let d = d.add_timeout(10 * S, &event_loop);
    clock.advance(10 * S - Duration::from_nanos(1)).unwrap();
    assert_no_result(&d);
    clock.advance(S).unwrap();
    assert!(resolver.is_cancelled());
    let failure = failure_of(d);
    assert_eq!(failure.raised().line(), line);
    let error = failure.check::<TimeoutError>().unwrap();
    assert_eq!((error.after(), error.name(), error.made()), (10 * S, Some("poem"), made));
    assert_eq!((error.limited().line(), error.waited_for()), (line, None));
    assert_eq!(failure.to_string(), format!("\"poem\" timed out after 10s (made at {made})"));
    assert_eq!(timers(&event_loop), 0);
}

#[test]
fn the_error_names_the_innermost_deferred_that_was_waited_for() {
    let (clock, event_loop) = test_loop();
    let (_resolver, inner) = Deferred::<i32>::new();
    let made = inner.made();
    let inner = inner.named("body");
    let d = Deferred::succeed(1)
        .add_callback(move |_| Deferred::succeed(2).add_callback(move |_| inner))
        .add_timeout(S, &event_loop);
    clock.advance(S).unwrap();
    let failure = failure_of(d);
    assert_eq!(failure.check::<TimeoutError>().unwrap().waited_for(), Some(made));
    assert!(failure.to_string().ends_with(&format!(", waiting for \"body\", made at {made})")));
}

#[test]
fn with_a_function_of_its_own_that_gives_the_result_after_the_time() {
    let (clock, event_loop) = test_loop();
    let (_resolver, d) = Deferred::new();
    let d = d.add_timeout_with(10 * S, &event_loop, |result, error| {
        assert!(result.unwrap_err().check::<CancelledError>().is_some());
        Ok(format!("{:?}", error.after()))
    });
    clock.advance(15 * S).unwrap();
    assert_eq!(success_of(d), "10s");
}

#[test]
fn the_function_may_give_back_a_deferred() {
    let (clock, event_loop) = test_loop();
    let (resolver, other) = Deferred::new();
    let (_resolver, d) = Deferred::new();
    let d = d.add_timeout_with(S, &event_loop, move |_, _| other);
    clock.advance(S).unwrap();
    assert_no_result(&d);
    resolver.succeed(7);
    assert_eq!(success_of(d), 7);
}

#[test]
fn a_canceller_that_succeeds_decides() {
    let (clock, event_loop) = test_loop();
    let (calls, d) = with_canceller(Some(Ok(5)));
    let d = d.add_timeout(S, &event_loop);
    clock.advance(S).unwrap();
    assert_eq!(success_of(d), 5);
    assert_eq!(calls.get(), 1);

    let (_calls, d) = with_canceller(Some(Ok(5)));
    let d = d.add_timeout_with(S, &event_loop, |result, _| Ok(result? + 1));
    clock.advance(S).unwrap();
    assert_eq!(success_of(d), 6);
}

#[test]
fn a_canceller_that_fails_decides() {
    let (clock, event_loop) = test_loop();
    let (_calls, d) = with_canceller(Some(Err(Failure::msg("half done"))));
    let d = d.add_timeout(S, &event_loop);
    clock.advance(S).unwrap();
    assert_eq!(failure_of(d).to_string(), "half done");

    let (_calls, d) = with_canceller(Some(Err(Failure::msg("half done"))));
    let d = d.add_timeout_with(S, &event_loop, |result, _| {
        Err::<i32, _>(Failure::msg(format!("too late: {}", result.unwrap_err())))
    });
    clock.advance(S).unwrap();
    assert_eq!(failure_of(d).to_string(), "too late: half done");
}

#[test]
fn a_canceller_that_panics_decides() {
    let (clock, event_loop) = test_loop();
    let (_resolver, d) =
        Deferred::<i32>::with_canceller(|| std::panic::resume_unwind(Box::new("the canceller is broken")));
    let d = d.add_timeout(S, &event_loop);
    clock.advance(S).unwrap();
    assert_eq!(failure_of(d).check::<PanicError>().unwrap().message(), "the canceller is broken");
}

#[test]
fn a_cancel_by_somebody_else_stays_a_cancel() {
    let (_clock, event_loop) = test_loop();
    for custom in [false, true] {
        let (_resolver, d) = Deferred::<i32>::new();
        let d = if custom {
            d.add_timeout_with(10 * S, &event_loop, |_, _| Ok(0))
        } else {
            d.add_timeout(10 * S, &event_loop)
        };
        d.cancel();
        assert_eq!(timers(&event_loop), 0);
        assert!(failure_of(d).check::<CancelledError>().is_some());
    }
}

#[test]
fn an_errback_before_it_sees_the_cancel_and_passes_it_on_to_be_translated() {
    let (clock, event_loop) = test_loop();
    let seen = Rc::new(Cell::new(false));
    let saw = seen.clone();
    let (_resolver, d) = Deferred::<i32>::new();
    let d = d.add_errback(move |failure| {
        saw.set(failure.check::<CancelledError>().is_some());
        Err(failure)
    });
    let d = d.add_timeout(S, &event_loop);
    clock.advance(S).unwrap();
    assert!(seen.get());
    assert!(failure_of(d).check::<TimeoutError>().is_some());
}

#[test]
fn an_errback_before_it_that_handles_the_cancel_has_the_last_word_unless_a_function_does() {
    let (clock, event_loop) = test_loop();
    let (_resolver, d) = Deferred::<i32>::new();
    let d = d.add_errback(|_| Ok(1)).add_timeout(S, &event_loop);
    clock.advance(S).unwrap();
    assert_eq!(success_of(d), 1);

    let (_resolver, d) = Deferred::<i32>::new();
    let d = d.add_errback(|_| Ok(1)).add_timeout_with(S, &event_loop, |result, _| Ok(result? + 10));
    clock.advance(S).unwrap();
    assert_eq!(success_of(d), 11);
}

// Beyond Twisted's tests.

#[test]
fn another_failure_that_the_cancel_met_passes() {
    let (clock, event_loop) = test_loop();
    let (_resolver, d) = Deferred::<i32>::new();
    let d = d.add_errback(|_| Err(Failure::msg("cannot clean up"))).add_timeout(S, &event_loop);
    clock.advance(S).unwrap();
    assert_eq!(failure_of(d).to_string(), "cannot clean up");
}

#[test]
fn steps_behind_it_are_not_covered() {
    let (clock, event_loop) = test_loop();
    let (resolver, inner) = Deferred::new();
    let d = Deferred::succeed(1).add_timeout(S, &event_loop).add_callback(move |_| inner);
    assert_eq!(timers(&event_loop), 0);
    clock.advance(5 * S).unwrap();
    resolver.succeed(2);
    assert_eq!(success_of(d), 2);
}

#[test]
fn the_shorter_of_two_time_outs_runs_out_and_takes_both_off() {
    let (clock, event_loop) = test_loop();
    for (first, second) in [(2 * S, S), (S, 2 * S)] {
        let (_resolver, d) = Deferred::<i32>::new();
        let d = d.add_timeout(first, &event_loop).add_timeout(second, &event_loop);
        clock.advance(S).unwrap();
        assert_eq!(failure_of(d).check::<TimeoutError>().unwrap().after(), S);
        assert_eq!(timers(&event_loop), 0);
    }
}

#[test]
fn it_holds_for_a_deferred_that_was_returned_or_dropped() {
    let (clock, event_loop) = test_loop();
    let (_resolver, inner) = Deferred::<i32>::new();
    let inner = inner.add_timeout(S, &event_loop);
    let outer = Deferred::succeed(1).add_callback(move |_| inner);
    let (_resolver, dropped) = Deferred::<i32>::new();
    let log = Rc::new(RefCell::new(Vec::new()));
    let sink = log.clone();
    dropped
        .add_timeout(2 * S, &event_loop)
        .add_errback(move |failure| {
            sink.borrow_mut().push(failure.check::<TimeoutError>().is_some());
            Ok(0)
        })
        .detach();
    clock.advance(3 * S).unwrap();
    assert!(failure_of(outer).check::<TimeoutError>().is_some());
    assert_eq!(*log.borrow(), [true]);
}

#[test]
fn nobody_who_takes_it_is_told_in_a_report() {
    let (clock, event_loop) = test_loop();
    let unhandled = capture_unhandled();
    let (_resolver, d) = Deferred::<i32>::new();
    d.named("poem").add_timeout(S, &event_loop).detach();
    clock.advance(S).unwrap();
    let reports = unhandled.flush_unhandled();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].to_string().starts_with("error lost in \"poem\": \"poem\" timed out after 1s"));
}

#[test]
fn a_time_out_keeps_neither_the_loop_nor_the_deferred_alive() {
    let (clock, event_loop) = test_loop();
    let handle = event_loop.handle();
    let token = Rc::new(());
    let (held, (resolver, d)) = (token.clone(), Deferred::new());
    let d = d.map(move |n: i32| (n, drop(held)).0).add_timeout(S, &handle);
    drop(event_loop);
    assert!(handle.is_closed());
    clock.advance(2 * S).unwrap();
    assert_no_result(&d);
    let d = d.add_timeout(S, handle); // a loop that is gone: its time never runs out
    resolver.succeed(3);
    assert_eq!((success_of(d), Rc::strong_count(&token)), (3, 1));
}

#[test]
fn a_time_out_of_zero_runs_out_at_once_but_not_inside() {
    let (clock, event_loop) = test_loop();
    let (_resolver, d) = Deferred::<i32>::new();
    let d = d.add_timeout(Duration::ZERO, &event_loop);
    assert_no_result(&d);
    clock.advance(Duration::ZERO).unwrap();
    assert_eq!(failure_of(d).check::<TimeoutError>().unwrap().after(), Duration::ZERO);
    let (_resolver, d) = Deferred::<i32>::new();
    let d = d.add_timeout(Duration::MAX, &event_loop);
    clock.advance(1000 * S).unwrap();
    assert_no_result(&d);
}

// Twisted: DeferLaterTests.

#[test]
fn defer_later_calls_the_function_later_and_gives_its_result() {
    let (clock, event_loop) = test_loop();
    let d = event_loop.defer_later(3 * S, |event_loop| Ok(event_loop.time().as_secs()));
    clock.advance(2 * S).unwrap();
    assert_no_result(&d);
    clock.advance(S).unwrap();
    assert_eq!(success_of(d), 3);
}

#[test]
fn defer_later_fails_with_the_error_or_the_panic_of_the_function() {
    let (clock, event_loop) = test_loop();
    let failing = event_loop.defer_later(S, |_| Ok("x".parse::<i32>()?));
    let line = line!() + 1;
    let panicking = event_loop.defer_later(S, |_| -> Result<i32, Failure> {
        std::panic::resume_unwind(Box::new("broken"));
    });
    clock.advance(S).unwrap();
    assert!(failure_of(failing).check::<std::num::ParseIntError>().is_some());
    let failure = failure_of(panicking);
    assert_eq!(failure.check::<PanicError>().unwrap().registered().line(), line);
}

#[test]
fn defer_later_cancelled_takes_the_call_off() {
    let (clock, event_loop) = test_loop();
    let called = Rc::new(Cell::new(false));
    let calling = called.clone();
    let d = event_loop.defer_later(S, move |_| {
        calling.set(true);
        Ok(())
    });
    assert_eq!(timers(&event_loop), 1);
    d.cancel();
    assert_eq!((timers(&event_loop), Rc::strong_count(&called)), (0, 1));
    clock.advance(2 * S).unwrap();
    assert!(failure_of(d).check::<CancelledError>().is_some());
    assert!(!called.get());
}

#[test]
fn defer_later_cancelled_while_its_deferred_is_waited_for_cancels_that() {
    let (clock, event_loop) = test_loop();
    let (calls, inner) = with_canceller(None);
    let d = event_loop.defer_later(S, move |_| inner);
    clock.advance(S).unwrap();
    assert_no_result(&d);
    d.cancel();
    assert_eq!(calls.get(), 1);
    assert!(failure_of(d).check::<CancelledError>().is_some());
}

#[test]
fn defer_later_on_a_loop_that_goes_away_fails() {
    let (_clock, event_loop) = test_loop();
    let handle = event_loop.handle();
    let d = handle.defer_later(S, |_| Ok(1));
    drop(event_loop);
    assert!(failure_of(d).check::<AbandonedError>().is_some());
    assert!(failure_of(handle.defer_later(S, |_| Ok(1))).check::<Closed>().is_some());
}

#[test]
fn a_canceller_that_drops_the_resolver_has_timed_out() {
    let (clock, event_loop) = test_loop();
    let slot = Rc::new(Cell::new(None));
    let held = slot.clone();
    let (resolver, d) = Deferred::<i32>::with_canceller(move || drop(held.take()));
    slot.set(Some(resolver));
    let d = d.add_timeout(S, &event_loop);
    clock.advance(S).unwrap();
    assert!(failure_of(d).check::<TimeoutError>().is_some());
}
