//! Letting go of either end: detached chains, abandoned ones, and the moment at which a lost error is reported. What the
//! report says is in `lost.rs`.

use ropewalk::testing::{Unhandled, capture_unhandled, failure_of, success_of};
use ropewalk::{AbandonedError, Deferred, Failure, PanicError, UnhandledError, set_unhandled_hook};
use std::cell::Cell;
use std::rc::Rc;

fn the_one(unhandled: &Unhandled) -> UnhandledError {
    let mut reports = unhandled.flush_unhandled();
    assert_eq!(reports.len(), 1, "{reports:?}");
    reports.remove(0)
}

#[test]
fn a_detached_chain_runs_on() {
    let ran = Rc::new(Cell::new(false));
    let inside = ran.clone();
    let (resolver, d) = Deferred::new();
    drop(d.map(move |()| inside.set(true)));
    assert!(!ran.get());
    resolver.succeed(());
    assert!(ran.get());
}

#[test]
fn a_detached_chain_that_waits_runs_on() {
    let ran = Rc::new(Cell::new(0));
    let inside = ran.clone();
    let (inner, waited) = Deferred::new();
    let (outer, d) = Deferred::new();
    d.add_callback(move |()| waited).map(move |n| inside.set(n)).detach();
    outer.succeed(());
    inner.succeed(3);
    assert_eq!(ran.get(), 3);
}

#[test]
fn a_failure_that_is_dropped_is_reported_then_and_once() {
    let unhandled = capture_unhandled();
    let d = Deferred::<i32>::fail(Failure::msg("lost"));
    assert!(unhandled.flush_unhandled().is_empty(), "an errback may still come");
    drop(d);
    assert_eq!(the_one(&unhandled).failure().to_string(), "lost");
}

#[test]
fn a_failure_that_rests_in_a_fired_chain_is_reported_when_its_end_is_dropped() {
    let unhandled = capture_unhandled();
    let (resolver, d) = Deferred::<i32>::new();
    resolver.fail(Failure::msg("lost"));
    assert!(unhandled.flush_unhandled().is_empty());
    drop(d);
    the_one(&unhandled);
}

#[test]
fn a_detached_chain_reports_when_it_ends() {
    let unhandled = capture_unhandled();
    let (resolver, d) = Deferred::<i32>::new();
    d.map(|n| n + 1).detach();
    assert!(unhandled.flush_unhandled().is_empty());
    resolver.fail(Failure::msg("lost"));
    the_one(&unhandled);
}

#[test]
fn the_report_names_the_chain_its_firing_and_its_last_step() {
    let unhandled = capture_unhandled();
    let (resolver, d) = Deferred::<i32>::new();
    let made = d.made().line();
    let d = d.named("poem").map(|n| n + 1);
    let last = line!() - 1;
    d.detach();
    resolver.fail(Failure::msg("lost"));
    let fired = line!() - 1;
    let report = the_one(&unhandled);
    assert_eq!(report.name(), Some("poem"));
    assert_eq!(report.made().line(), made);
    assert_eq!(report.fired().map(|place| place.line()), Some(fired));
    assert_eq!(report.last_step().map(|place| place.line()), Some(last));
    assert_eq!(report.failure().raised().line(), fired);
    assert_eq!(report.into_failure().to_string(), "lost");
}

#[test]
fn a_handled_failure_is_not_reported() {
    let unhandled = capture_unhandled();
    let (resolver, d) = Deferred::<i32>::new();
    d.add_errback(|_| Ok(0)).detach();
    resolver.fail(Failure::msg("handled"));
    drop(failure_of(Deferred::<i32>::fail(Failure::msg("taken"))));
    assert!(unhandled.flush_unhandled().is_empty());
}

#[test]
fn a_failure_that_moved_to_the_waiting_chain_is_reported_there_only() {
    let unhandled = capture_unhandled();
    let (inner, waited) = Deferred::<i32>::new();
    let d = Deferred::succeed(()).named("outer").add_callback(move |()| waited.named("inner"));
    inner.fail(Failure::msg("lost"));
    assert!(unhandled.flush_unhandled().is_empty());
    drop(d);
    assert_eq!(the_one(&unhandled).name(), Some("outer"));
}

#[test]
fn a_dropped_resolver_fails_the_chain_with_abandoned() {
    let (resolver, d) = Deferred::<i32>::new();
    let made = d.made();
    let d = d.map(|n| n + 1);
    drop(resolver);
    assert_eq!(failure_of(d).check::<AbandonedError>().map(AbandonedError::made), Some(made));
}

#[test]
fn an_errback_may_handle_an_abandoned_chain() {
    let (resolver, d) = Deferred::<i32>::new();
    let d = d.add_errback(|failure| {
        failure.trap::<AbandonedError>()?;
        Ok(-1)
    });
    drop(resolver);
    assert_eq!(success_of(d), -1);
}

#[test]
fn abandoning_reaches_the_chain_that_waits() {
    let (inner, waited) = Deferred::<i32>::new();
    let d = Deferred::succeed(()).add_callback(move |()| waited);
    drop(inner);
    assert!(failure_of(d).check::<AbandonedError>().is_some());
}

#[test]
fn a_panic_while_a_lost_value_is_dropped_loses_no_other_abandoned_chain() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let (second, d) = Deferred::<i32>::new();
    let (first, holder) = Deferred::<i32>::new();
    holder
        .map(move |_| {
            drop(second);
            Bomb
        })
        .add_errback(|_| Ok(Bomb))
        .detach();
    let unhandled = capture_unhandled();
    drop(first);
    assert!(the_one(&unhandled).failure().check::<PanicError>().is_some());
    assert!(failure_of(d).check::<AbandonedError>().is_some());
}

#[test]
fn a_hook_that_touches_deferreds_and_the_hook_is_let() {
    let seen = Rc::new(Cell::new(0));
    let count = seen.clone();
    let before = set_unhandled_hook(Some(Rc::new(move |_| {
        count.set(count.get() + 1);
        let outer = set_unhandled_hook(None);
        drop(Deferred::succeed(1).map(|n| n + 1));
        set_unhandled_hook(outer);
        if count.get() < 3 {
            drop(Deferred::<()>::fail(Failure::msg("another one")));
        }
    })));
    drop(Deferred::<()>::fail(Failure::msg("first")));
    set_unhandled_hook(before);
    assert_eq!(seen.get(), 3);
}

#[test]
fn a_hook_that_panics_stops_nothing() {
    let before = set_unhandled_hook(Some(Rc::new(|_| panic!("the hook"))));
    let (resolver, d) = Deferred::<()>::new();
    d.detach();
    resolver.fail(Failure::msg("lost"));
    set_unhandled_hook(before);
}
