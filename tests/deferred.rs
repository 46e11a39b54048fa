//! One chain: order, lanes, waiting, steps that touch their own chain, panics. Cancelling is in `cancel.rs`, dropping in
//! `detach.rs`.

use ropewalk::testing::{assert_no_result, capture_unhandled, failure_of, success_of};
use ropewalk::{Deferred, Failure, PanicError, Resolver, maybe_deferred};
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

/// A list of words that closures write to.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<&'static str>>>);

impl Log {
    fn say(&self, word: &'static str) {
        self.0.borrow_mut().push(word);
    }

    fn take(&self) -> Vec<&'static str> {
        self.0.take()
    }
}

#[test]
fn a_step_added_to_a_fired_chain_runs_inside_add() {
    let log = Log::default();
    let inside = log.clone();
    let d = Deferred::succeed(1).map(move |n| {
        inside.say("step");
        n + 1
    });
    log.say("added");
    assert_eq!(log.take(), ["step", "added"]);
    assert_eq!(success_of(d), 2);
}

#[test]
fn all_steps_run_before_firing_returns() {
    let log = Log::default();
    let (resolver, d) = Deferred::new();
    let (first, second) = (log.clone(), log.clone());
    let d = d.map(move |()| first.say("first")).map(move |()| second.say("second"));
    resolver.succeed(());
    log.say("fired");
    assert_eq!(log.take(), ["first", "second", "fired"]);
    success_of(d);
}

#[test]
fn each_kind_of_step_takes_its_lane_and_is_passed_by_on_the_other() {
    let run = |start: Result<i32, Failure>| {
        let log = Log::default();
        let [a, b, c, d, e, f] = std::array::from_fn(|_| log.clone());
        let end = Deferred::from_result(start)
            .add_callback(move |n| {
                a.say("callback");
                Ok(n)
            })
            .add_errback(move |failure| {
                b.say("errback");
                Err(failure)
            })
            .map(move |n| {
                c.say("map");
                n
            })
            .add_both(move |result| {
                d.say("both");
                result
            })
            .add_callbacks(
                move |n| {
                    e.say("pair: callback");
                    Ok(n)
                },
                move |failure| {
                    f.say("pair: errback");
                    Err(failure)
                },
            );
        drop(end.try_result());
        log.take()
    };
    assert_eq!(run(Ok(1)), ["callback", "map", "both", "pair: callback"]);
    assert_eq!(run(Err(Failure::msg("no"))), ["errback", "both", "pair: errback"]);
}

#[test]
fn a_result_crosses_to_the_other_lane_and_back() {
    let d = Deferred::succeed(1)
        .add_callback(|_| -> Result<i32, Failure> { Err(Failure::msg("down")) })
        .map(|n| n + 100)
        .add_errback(|failure| Ok(failure.to_string().len() as i32))
        .add_errback(|_| Ok(100))
        .map(|n| n + 1);
    assert_eq!(success_of(d), 5);
}

#[test]
fn both_may_handle_a_failure_and_change_the_type() {
    let d = Deferred::<i32>::fail(Failure::msg("no")).add_both(|result| Ok(result.is_err()));
    assert!(success_of(d));
}

#[test]
fn a_waiting_chain_goes_on_in_the_lane_of_what_it_waited_for() {
    let (inner, waited) = Deferred::<i32>::new();
    let d = Deferred::succeed(1).add_callback(move |_| waited).map(|n| n + 1).add_errback(|_| Ok(-1));
    assert_no_result(&d);
    inner.fail(Failure::msg("no"));
    assert_eq!(success_of(d), -1);

    let (inner, waited) = Deferred::<i32>::new();
    let d = Deferred::<i32>::fail(Failure::msg("first try")).add_errback(move |_| waited).map(|n| n + 1);
    inner.succeed(6);
    assert_eq!(success_of(d), 7);
}

#[test]
fn a_returned_deferred_that_has_its_result_is_not_waited_for() {
    let (resolver, inner) = Deferred::new();
    resolver.succeed(2);
    let (outer, d) = Deferred::new();
    let d = d.add_callback(move |n: i32| inner.map(move |m| n + m)).add_callback(|n| Deferred::succeed(n * 10));
    outer.succeed(1);
    assert_eq!(success_of(d), 30);
}

#[test]
fn steps_added_while_waiting_run_behind_the_wait() {
    let log = Log::default();
    let (inner, waited) = Deferred::<i32>::new();
    let d = Deferred::succeed(1).add_callback(move |_| waited);
    let late = log.clone();
    let d = d.map(move |n| {
        late.say("late");
        n
    });
    assert!(log.take().is_empty());
    inner.succeed(3);
    assert_eq!(log.take(), ["late"]);
    assert_eq!(success_of(d), 3);
}

#[test]
fn the_inner_chain_ends_before_the_outer_goes_on() {
    let log = Log::default();
    let (inner, waited) = Deferred::<i32>::new();
    let (l, m) = (log.clone(), log.clone());
    let waited = waited.map(move |n| {
        l.say("inner");
        n
    });
    let d = Deferred::succeed(()).add_callback(move |()| waited).map(move |_| m.say("outer"));
    inner.succeed(1);
    assert_eq!(log.take(), ["inner", "outer"]);
    success_of(d);
}

#[test]
fn firing_another_chain_inside_a_step_runs_it_there_and_then() {
    let log = Log::default();
    let (other, d2) = Deferred::<()>::new();
    let (in_other, before, after) = (log.clone(), log.clone(), log.clone());
    let d2 = d2.map(move |()| in_other.say("other"));
    let (resolver, d) = Deferred::new();
    let d = d
        .map(move |()| {
            before.say("before");
            other.succeed(());
        })
        .map(move |()| after.say("after"));
    resolver.succeed(());
    assert_eq!(log.take(), ["before", "other", "after"]);
    success_of(d);
    success_of(d2);
}

#[test]
fn a_chain_may_be_fired_by_a_step_of_the_one_that_it_makes_wait() {
    // The step fires what it is about to give back, after hanging a step behind it.
    let d = Deferred::succeed(4).add_callback(|n| {
        let (resolver, inner) = Deferred::new();
        let inner = inner.map(move |m: i32| n * m);
        resolver.succeed(5);
        inner
    });
    assert_eq!(success_of(d), 20);
}

#[test]
fn flatten_waits_for_the_inner_one_too() {
    let (outer, d) = Deferred::<Deferred<i32>>::new();
    let (inner, waited) = Deferred::new();
    let d = d.flatten();
    outer.succeed(waited);
    assert_no_result(&d);
    inner.succeed(3);
    assert_eq!(success_of(d), 3);
}

#[test]
fn question_mark_and_a_deferred_in_one_callback_go_through_flatten() {
    let fetch = |text: &'static str| {
        Deferred::succeed(text)
            .add_callback(|text| {
                let n: i32 = text.parse()?;
                Ok(Deferred::succeed(n).map(|n| n + 1))
            })
            .flatten()
    };
    assert_eq!(success_of(fetch("6")), 7);
    assert!(failure_of(fetch("six")).check::<std::num::ParseIntError>().is_some());
}

#[test]
fn maybe_deferred_takes_results_deferreds_and_panics() {
    assert_eq!(success_of(maybe_deferred(|| Ok(1))), 1);
    assert_eq!(success_of(maybe_deferred(|| Deferred::succeed(2))), 2);
    let failure = failure_of(maybe_deferred(|| -> Result<(), Failure> { panic!("boom") }));
    assert_eq!(failure.check::<PanicError>().map(PanicError::message), Some("boom"));
    assert_eq!(failure.raised().file(), file!());
}

#[test]
fn a_panic_in_each_kind_of_step_is_a_failure_with_the_place_of_its_add() {
    fn ends(kind: &str, d: Deferred<i32>, line: u32) {
        let failure = failure_of(d);
        assert_eq!(failure.check::<PanicError>().map(|e| e.registered().line()), Some(line), "{kind}");
    }
    fn boom<T>() -> T {
        panic!("boom")
    }
    ends("callback", Deferred::succeed(1).add_callback(|_| boom::<Result<i32, Failure>>()), line!());
    ends("callback, later", Deferred::succeed(1).add_callback(|_| boom::<Deferred<i32>>()), line!());
    ends("map", Deferred::succeed(1).map(|_| boom()), line!());
    ends("both", Deferred::succeed(1).add_both(|_| boom::<Result<i32, Failure>>()), line!());
    let failed = || Deferred::<i32>::fail(Failure::msg("no"));
    ends("errback", failed().add_errback(|_| boom::<Result<i32, Failure>>()), line!());
    ends("pair", failed().add_callbacks(Ok, |_| boom::<Result<i32, Failure>>()), line!());
}

#[test]
fn the_steps_behind_a_panic_run() {
    let (resolver, d) = Deferred::new();
    let d = d.map(|n: i32| assert!(n > 5, "too small")).add_errback(|_| Ok(())).map(|()| "went on");
    resolver.succeed(1);
    assert_eq!(success_of(d), "went on");
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[test]
fn a_panic_while_a_passed_by_closure_is_dropped_is_a_failure_of_that_step() {
    let bomb = Bomb;
    let (resolver, d) = Deferred::<i32>::new();
    let d = d
        .map(move |n| {
            let _keep = &bomb;
            n
        })
        .add_errback(|failure| Ok(failure.to_string().len() as i32));
    resolver.fail(Failure::msg("no"));
    assert!(success_of(d) > 2, "the errback saw the panic in place of the short message");
}

#[test]
fn has_result_looks_without_taking() {
    let (resolver, d) = Deferred::new();
    assert!(!d.has_result());
    resolver.succeed(1);
    assert!(d.has_result());
    assert!(d.has_result());
    assert_eq!(success_of(d), 1);
}

#[test]
fn try_result_gives_a_pending_deferred_back_unchanged() {
    let (resolver, d) = Deferred::new();
    let d = d.map(|n: i32| n + 1);
    let d = d.try_result().expect_err("nobody fired it").map(|n| n * 2);
    resolver.succeed(1);
    assert_eq!(success_of(d), 4);
}

#[test]
fn firing_with_a_result_takes_either_lane() {
    let (resolver, d) = Deferred::new();
    resolver.fire(Ok(1));
    assert_eq!(success_of(d), 1);
    let (resolver, d) = Deferred::<i32>::new();
    resolver.fire(Err(Failure::msg("no")));
    assert_eq!(failure_of(d).to_string(), "no");
}

#[test]
fn captured_values_live_until_their_step_is_over_and_no_longer() {
    let captured = Rc::new(Cell::new(0));
    let (resolver, d) = Deferred::new();
    let inside = captured.clone();
    let (second, waited) = Deferred::<()>::new();
    let d = d.map(move |()| inside.set(1)).add_callback(move |()| waited);
    assert_eq!(Rc::strong_count(&captured), 2);
    resolver.succeed(());
    assert_eq!(Rc::strong_count(&captured), 1, "the chain still waits, but that step is over");
    second.succeed(());
    success_of(d);
}

#[test]
fn debug_tells_the_five_facts() {
    let (resolver, d) = Deferred::<i32>::new();
    let d = d.named("answer").map(|n| n + 1);
    let text = format!("{d:?}");
    assert!(text.contains("\"answer\" not fired, 1 step, made at tests/deferred.rs"), "{text}");
    let (inner, waited) = Deferred::<i32>::new();
    let d = d.add_callback(move |_| waited);
    resolver.succeed(1);
    assert!(format!("{d:?}").contains("paused on the Deferred made at tests/deferred.rs"));
    inner.succeed(1);
    success_of(d);
}

#[test]
fn a_resolver_says_where_it_was_made() {
    let (resolver, d): (Resolver<i32>, _) = Deferred::new();
    assert_eq!(resolver.made(), Some(d.made()));
    resolver.succeed(1);
    success_of(d);
}
