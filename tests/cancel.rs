//! Cancelling in every state that a chain can be in.

use ropewalk::testing::{assert_no_result, capture_unhandled, failure_of, success_of};
use ropewalk::{CancelHandle, CancelledError, Deferred, Failure, PanicError, Resolver};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

fn was_cancelled<T: 'static>(d: Deferred<T>) {
    assert!(failure_of(d).check::<CancelledError>().is_some());
}

/// Counts how often it is asked.
fn counting() -> (Rc<Cell<u32>>, impl FnOnce() + 'static) {
    let asked = Rc::new(Cell::new(0));
    let count = asked.clone();
    (asked, move || count.set(count.get() + 1))
}

#[test]
fn unfired_without_canceller_fails_at_once_and_swallows_the_late_result() {
    let (resolver, d) = Deferred::<i32>::new();
    assert!(!resolver.is_cancelled());
    d.cancel();
    assert!(d.has_result());
    assert!(resolver.is_cancelled());
    resolver.succeed(1);
    was_cancelled(d);
}

#[test]
fn a_late_failure_is_swallowed_without_a_report() {
    let unhandled = capture_unhandled();
    let (resolver, d) = Deferred::<i32>::new();
    d.cancel();
    resolver.fail(Failure::msg("late"));
    was_cancelled(d);
    assert!(unhandled.flush_unhandled().is_empty());
}

#[test]
fn dropping_the_resolver_after_a_cancel_abandons_nothing() {
    let unhandled = capture_unhandled();
    let (resolver, d) = Deferred::<i32>::new();
    d.cancel();
    drop(resolver);
    was_cancelled(d);
    assert!(unhandled.flush_unhandled().is_empty());
}

#[test]
fn a_canceller_that_does_not_fire_is_asked_once_and_the_chain_is_cancelled() {
    let (asked, canceller) = counting();
    let (resolver, d) = Deferred::<i32>::with_canceller(canceller);
    d.cancel();
    d.cancel();
    assert_eq!(asked.get(), 1);
    assert!(resolver.is_cancelled());
    drop(resolver);
    was_cancelled(d);
}

/// A pair whose canceller uses the Resolver as `f` says.
fn with_resolver(f: impl FnOnce(Resolver<i32>) + 'static) -> Deferred<i32> {
    let slot = Rc::new(Cell::new(None));
    let inside = slot.clone();
    let (resolver, d) = Deferred::with_canceller(move || f(inside.take().expect("it is asked once")));
    slot.set(Some(resolver));
    d
}

#[test]
fn a_canceller_may_fire_the_chain_itself() {
    let d = with_resolver(|resolver| resolver.succeed(7));
    d.cancel();
    assert_eq!(success_of(d), 7);
    let d = with_resolver(|resolver| resolver.fail(Failure::msg("stopped half way")));
    d.cancel();
    assert_eq!(failure_of(d).to_string(), "stopped half way");
}

#[test]
fn while_a_canceller_is_asked_its_resolver_may_still_fire() {
    let d = with_resolver(|resolver| {
        assert!(!resolver.is_cancelled(), "a result is still welcome");
        resolver.succeed(1);
    });
    d.cancel();
    assert_eq!(success_of(d), 1);
}

#[test]
fn a_canceller_that_drops_its_resolver_has_cancelled_the_chain() {
    let d = with_resolver(drop);
    d.cancel();
    assert!(failure_of(d).check::<CancelledError>().is_some());
}

#[test]
fn a_canceller_that_panics_fails_the_chain_with_that() {
    let (resolver, d) = Deferred::<i32>::with_canceller(|| panic!("no brakes"));
    d.cancel();
    assert_eq!(failure_of(d).check::<PanicError>().map(PanicError::message), Some("no brakes"));
    assert!(resolver.is_cancelled());
}

#[test]
fn a_canceller_that_fires_and_panics_is_reported_beside_the_result() {
    let unhandled = capture_unhandled();
    let d = with_resolver(|resolver| {
        resolver.succeed(7);
        panic!("after that");
    });
    d.cancel();
    assert_eq!(success_of(d), 7);
    let reports = unhandled.flush_unhandled();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].failure().check::<PanicError>().is_some());
}

#[test]
fn a_canceller_may_cancel_its_own_chain_again() {
    let slot: Rc<RefCell<CancelHandle>> = Rc::default();
    let (asked, count) = counting();
    let inside = slot.clone();
    let (resolver, d) = Deferred::<i32>::with_canceller(move || {
        count();
        let handle = inside.borrow().clone();
        handle.cancel();
    });
    *slot.borrow_mut() = d.cancel_handle();
    d.cancel();
    assert_eq!(asked.get(), 1);
    drop(resolver);
    was_cancelled(d);
}

#[test]
fn a_canceller_may_cancel_and_fire_other_chains() {
    let (other_resolver, other) = Deferred::<i32>::new();
    let (third_resolver, third) = Deferred::<i32>::new();
    let handle = other.cancel_handle();
    let (resolver, d) = Deferred::<i32>::with_canceller(move || {
        handle.cancel();
        third_resolver.succeed(3);
    });
    d.cancel();
    was_cancelled(d);
    was_cancelled(other);
    assert_eq!(success_of(third), 3);
    drop((resolver, other_resolver));
}

#[test]
fn firing_drops_the_canceller_unasked() {
    let (asked, count) = counting();
    let held = asked.clone();
    let (resolver, d) = Deferred::<i32>::with_canceller(count);
    assert_eq!(Rc::strong_count(&held), 3);
    resolver.succeed(1);
    assert_eq!(Rc::strong_count(&held), 2, "what the canceller holds is let go");
    d.cancel();
    assert_eq!(asked.get(), 0);
    assert_eq!(success_of(d), 1);
}

#[test]
fn a_canceller_whose_drop_panics_does_not_stop_the_chain() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let bomb = Bomb;
    let (resolver, d) = Deferred::<i32>::with_canceller(move || drop(bomb));
    let unhandled = capture_unhandled();
    resolver.succeed(1);
    assert_eq!(success_of(d), 1);
    let reports = unhandled.flush_unhandled();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].failure().check::<PanicError>().is_some());
}

#[test]
fn a_resting_chain_keeps_its_result() {
    let d = Deferred::succeed(1).map(|n| n + 1);
    d.cancel();
    assert_eq!(success_of(d), 2);
    let (resolver, d) = Deferred::new();
    resolver.succeed(1);
    d.cancel();
    assert_eq!(success_of(d), 1);
}

#[test]
fn a_running_chain_goes_on() {
    let slot: Rc<RefCell<CancelHandle>> = Rc::default();
    let inside = slot.clone();
    let (resolver, d) = Deferred::new();
    let d = d
        .map(move |n: i32| {
            let handle = inside.borrow().clone();
            assert!(!handle.cancel(), "too late: the chain runs");
            n + 1
        })
        .map(|n| n + 1);
    *slot.borrow_mut() = d.cancel_handle();
    resolver.succeed(1);
    assert_eq!(success_of(d), 3);
}

#[test]
fn a_waiting_chain_cancels_the_innermost_and_goes_on_with_its_answer() {
    let (asked, count) = counting();
    let (inner, waited) = Deferred::<i32>::with_canceller(count);
    let (middle, d) = Deferred::new();
    let d = d.add_callback(move |()| waited);
    let (outer, top) = Deferred::new();
    let top = top.add_callback(move |()| d).add_errback(|failure| {
        failure.trap::<CancelledError>()?;
        Ok(-1)
    });
    outer.succeed(());
    middle.succeed(());
    assert_no_result(&top);
    top.cancel();
    assert_eq!(asked.get(), 1);
    assert!(inner.is_cancelled());
    assert_eq!(success_of(top), -1);
}

#[test]
fn a_waiting_chain_may_be_answered_with_a_value() {
    let slot = Rc::new(Cell::new(None));
    let inside = slot.clone();
    let (resolver, waited) = Deferred::with_canceller(move || {
        if let Some(resolver) = inside.take() {
            Resolver::succeed(resolver, 5);
        }
    });
    slot.set(Some(resolver));
    let d = Deferred::succeed(()).add_callback(move |()| waited).map(|n: i32| n * 2);
    d.cancel();
    assert_eq!(success_of(d), 10);
}

#[test]
fn a_chain_that_waits_anew_after_a_cancel_can_be_cancelled_anew() {
    let (_first, one) = Deferred::<i32>::new();
    let (second, two) = Deferred::<i32>::new();
    let d = Deferred::succeed(()).add_callback(move |()| one).add_errback(move |_| two);
    d.cancel();
    assert_no_result(&d);
    assert!(!second.is_cancelled());
    d.cancel();
    assert!(second.is_cancelled());
    was_cancelled(d);
}

#[test]
fn an_unfired_outer_chain_is_cancelled_itself_not_what_its_step_would_give_back() {
    let (inner, waited) = Deferred::<i32>::new();
    let (outer, d) = Deferred::<i32>::new();
    let d = d.add_callback(move |_| waited);
    d.cancel();
    assert!(outer.is_cancelled());
    assert!(!inner.is_cancelled());
    was_cancelled(d);
    inner.succeed(1);
}

#[test]
fn a_handle_cancels_after_the_deferred_was_detached() {
    let (asked, count) = counting();
    let (resolver, d) = Deferred::<i32>::with_canceller(count);
    let ended = Rc::new(Cell::new(false));
    let inside = ended.clone();
    let handle = d.cancel_handle();
    d.add_errback(|_| Ok(0)).map(move |_| inside.set(true)).detach();
    assert!(handle.cancel());
    assert_eq!(asked.get(), 1);
    assert!(ended.get());
    assert!(resolver.is_cancelled());
    assert!(!handle.cancel(), "once");
}

#[test]
fn a_handle_cancels_what_its_chain_waits_for() {
    let (inner, waited) = Deferred::<i32>::new();
    let (outer, d) = Deferred::new();
    let handle = d.cancel_handle();
    let d = d.add_callback(move |()| waited);
    outer.succeed(());
    assert!(handle.clone().cancel());
    assert!(inner.is_cancelled());
    was_cancelled(d);
}

#[test]
fn a_handle_keeps_nothing_alive() {
    let (resolver, d) = Deferred::<i32>::new();
    let held = Rc::new(());
    let inside = held.clone();
    let handle = d.cancel_handle();
    d.map(move |_| drop(inside)).detach();
    resolver.succeed(1);
    assert_eq!(Rc::strong_count(&held), 1);
    assert!(!handle.cancel());
    assert!(!CancelHandle::default().cancel());
}

#[test]
fn a_cancelled_detached_chain_reports_its_cancel() {
    let unhandled = capture_unhandled();
    let (_resolver, d) = Deferred::<i32>::new();
    let handle = d.cancel_handle();
    d.detach();
    handle.cancel();
    let reports = unhandled.flush_unhandled();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].failure().check::<CancelledError>().is_some());
}
