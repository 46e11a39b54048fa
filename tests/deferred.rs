//! One chain: order, lanes, waiting, cancelling, detaching.

use ropewalk::testing::{assert_no_result, capture_unhandled, failure_of, success_of};
use ropewalk::{AbandonedError, CancelledError, Deferred, Failure, PanicError};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

#[test]
fn steps_run_in_order_when_fired() {
    let (resolver, d) = Deferred::new();
    let d = d.add_callback(|n: i32| Ok(n + 1)).map(|n| n * 10).add_callback(|n| Ok(format!("<{n}>")));
    assert_no_result(&d);
    resolver.succeed(4);
    assert_eq!(success_of(d), "<50>");
}

#[test]
fn question_mark_keeps_its_line_and_passes_by_callbacks() {
    let d = Deferred::succeed("x")
        .add_callback(|s| {
            let n: i32 = s.parse()?;
            Ok(n)
        })
        .map(|n| n + 1);
    let failure = failure_of(d);
    assert_eq!(failure.crossed_count(), 1);
    assert!(failure.raised().file().ends_with("deferred.rs"));
}

#[test]
fn a_returned_deferred_pauses_the_chain() {
    let (outer, d) = Deferred::new();
    let (inner, waited) = Deferred::new();
    let d = d.add_callback(move |n: i32| waited.map(move |m: i32| n * m)).map(|n| n + 1);
    outer.succeed(6);
    assert_no_result(&d);
    inner.succeed(7);
    assert_eq!(success_of(d), 43);
}

#[test]
fn errback_recovers_and_pair_does_not_see_its_own_error() {
    let d = Deferred::<i32>::fail(Failure::msg("no")).add_errback(|_| Ok(1));
    assert_eq!(success_of(d), 1);
    let d = Deferred::succeed(1).add_callbacks(|_| Err::<i32, _>(Failure::msg("mine")), |_| Ok(2));
    assert_eq!(failure_of(d).to_string(), "mine");
}

#[test]
fn panic_becomes_a_failure() {
    let d = Deferred::succeed(1).add_callback(|_| -> Result<i32, Failure> { panic!("boom {}", 1) });
    let failure = failure_of(d);
    assert_eq!(failure.check::<PanicError>().map(PanicError::message), Some("boom 1"));
}

#[test]
fn dropped_resolver_abandons_and_detached_failure_is_reported() {
    let unhandled = capture_unhandled();
    let (resolver, d) = Deferred::<i32>::new();
    drop(d.map(|n| n + 1));
    drop(resolver);
    let reports = unhandled.flush_unhandled();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].failure().check::<AbandonedError>().is_some());
}

#[test]
fn cancel_asks_the_innermost() {
    let asked = Rc::new(Cell::new(0));
    let count = asked.clone();
    let (inner, waited) = Deferred::<i32>::with_canceller(move || count.set(count.get() + 1));
    let d = Deferred::succeed(1).add_callback(|_| waited);
    d.cancel();
    d.cancel();
    assert_eq!(asked.get(), 1);
    assert!(inner.is_cancelled());
    inner.succeed(3);
    assert!(failure_of(d).check::<CancelledError>().is_some());
}

#[test]
fn step_added_from_inside_its_own_chain_goes_to_the_end() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let slot: Rc<RefCell<Option<Deferred<i32>>>> = Rc::default();
    let (resolver, d) = Deferred::new();
    let (l, s) = (log.clone(), slot.clone());
    let d = d.add_callback(move |n: i32| {
        let taken = s.borrow_mut().take();
        if let Some(d) = taken {
            let l2 = l.clone();
            let d = d.map(move |n| {
                l2.borrow_mut().push("added inside");
                n
            });
            *s.borrow_mut() = Some(d);
        }
        l.borrow_mut().push("first");
        Ok(n)
    });
    *slot.borrow_mut() = Some(d);
    resolver.succeed(1);
    assert_eq!(*log.borrow(), ["first", "added inside"]);
}

#[test]
fn a_deferred_returned_from_its_own_step_fails_with_a_clear_message() {
    let unhandled = capture_unhandled();
    let slot: Rc<RefCell<Option<Deferred<i32>>>> = Rc::default();
    let (resolver, d) = Deferred::<i32>::new();
    let s = slot.clone();
    let d = d.add_callback(move |_| s.borrow_mut().take().expect("it is there"));
    *slot.borrow_mut() = Some(d);
    resolver.succeed(1);
    let reports = unhandled.flush_unhandled();
    assert!(reports[0].failure().to_string().contains("gave back that Deferred itself"));
}
