//! The thin spots of the Deferred family: empty and cancelled lists, odd cancellers, lines that lose their waiters.

use ropewalk::testing::{assert_no_result, capture_unhandled, failure_of, success_of};
use ropewalk::trace::{self, Event, Kind, Recorder};
use ropewalk::{
    AbandonedError, BacklogFull, CancelledError, Deferred, DeferredList, DeferredLock, DeferredQueue,
    DeferredSemaphore, Failure, FailureGroup, FirstError, FirstOrAll, PanicError, QueueUnderflow, Resolver,
    gather_results, race,
};
use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::rc::Rc;

/// A Deferred whose canceller does this with its Resolver.
fn cancelled_by(canceller: impl FnOnce(Resolver<i32>) + 'static) -> Deferred<i32> {
    let slot = Rc::new(Cell::new(None));
    let filled = slot.clone();
    let (resolver, d) = Deferred::with_canceller(move || {
        if let Some(resolver) = filled.take() {
            canceller(resolver);
        }
    });
    slot.set(Some(resolver));
    d
}

#[test]
fn an_empty_list_fires_at_once() {
    assert!(success_of(DeferredList::new(Vec::<Deferred<i32>>::new()).start()).is_empty());
    assert!(success_of(gather_results(Vec::<Deferred<i32>>::new())).is_empty());
}

#[test]
fn an_empty_list_that_waits_for_one_callback_never_fires() {
    assert_no_result(&DeferredList::new(Vec::<Deferred<i32>>::new()).fire_on_one_callback().start());
    assert_no_result(&race(Vec::<Deferred<i32>>::new()));
}

#[test]
fn a_cancel_goes_through_a_race_over_an_empty_list_that_never_fires() {
    let never = DeferredList::new(Vec::<Deferred<i32>>::new()).fire_on_one_callback().start();
    let list = DeferredList::new([race([never])]).start();
    list.cancel();
    let results = success_of(list);
    assert!(results[0].as_ref().unwrap_err().check::<CancelledError>().is_some());

    // A race of nobody does end when it is cancelled, and so do the races that it is in.
    let cancelled = Rc::new(Cell::new(false));
    let mark = cancelled.clone();
    let nobody = race(Vec::<Deferred<i32>>::new()).map(|(_, n)| n).inspect_err(move |_| mark.set(true));
    let outer = race([race([nobody])]);
    outer.cancel();
    assert!(cancelled.get());
    let failure = failure_of(outer);
    let inner = &failure.check::<FailureGroup>().unwrap().failures()[0];
    assert!(inner.check::<FailureGroup>().unwrap().failures()[0].check::<CancelledError>().is_some());
}

#[test]
fn a_member_that_never_fires_goes_with_its_list_whatever_ends_that() {
    let kept = Rc::new(());
    let never = || {
        let kept = kept.clone();
        race(Vec::<Deferred<i32>>::new()).map(move |(_, n)| {
            drop(kept);
            n
        })
    };
    drop(DeferredList::new([never(), never()]).start());
    assert_eq!(Rc::strong_count(&kept), 1, "dropped with nothing left to wait for");

    success_of(DeferredList::new([never(), Deferred::succeed(1)]).fire_on_one_callback().start());
    assert_eq!(Rc::strong_count(&kept), 1, "fired by another member");

    let (resolver, value) = Deferred::new();
    let first = race([never(), value]);
    resolver.succeed(1);
    success_of(first);
    assert_eq!(Rc::strong_count(&kept), 1, "won by another member");

    let empty = DeferredList::new(Vec::<Deferred<()>>::new()).fire_on_one_callback().start().map({
        let kept = kept.clone();
        move |_| drop(kept)
    });
    let cancelled = race([empty]);
    cancelled.cancel();
    failure_of(cancelled);
    assert_eq!(Rc::strong_count(&kept), 1, "cancelled, which such a member survives");
}

#[test]
fn a_list_that_waits_for_one_callback_and_gets_none_fires_with_all() {
    let members: Vec<Deferred<i32>> = vec![Deferred::fail(Failure::msg("a")), Deferred::fail(Failure::msg("b"))];
    match success_of(DeferredList::new(members).fire_on_one_callback().start()) {
        FirstOrAll::All(results) => assert_eq!(results.len(), 2),
        FirstOrAll::First(first) => panic!("{first:?} had no value"),
    }
}

#[test]
fn a_cancelled_list_has_what_each_canceller_came_up_with() {
    let unhandled = capture_unhandled();
    let (silent, plain) = Deferred::new();
    let members = vec![
        plain,
        cancelled_by(|resolver| resolver.succeed(1)),
        cancelled_by(|resolver| resolver.fail(Failure::msg("mine"))),
        cancelled_by(|_resolver| panic!("in the canceller")),
        Deferred::succeed(4),
    ];
    let list = DeferredList::new(members).start();
    list.cancel();
    assert!(silent.is_cancelled());
    let results = success_of(list);
    let error = |at: usize| results[at].as_ref().unwrap_err();
    assert!(error(0).check::<CancelledError>().is_some());
    assert_eq!(results[1].as_ref().unwrap(), &1);
    assert_eq!(error(2).to_string(), "mine");
    assert!(error(3).check::<PanicError>().is_some());
    assert_eq!(results[4].as_ref().unwrap(), &4);
    assert!(unhandled.flush_unhandled().is_empty());
}

#[test]
fn a_canceller_in_a_list_may_fire_and_cancel_the_other_members() {
    let (one, first) = Deferred::new();
    let (two, second) = Deferred::new();
    let stop = second.cancel_handle();
    let third = cancelled_by(move |resolver| {
        one.succeed(10);
        stop.cancel();
        resolver.succeed(30);
    });
    let list = DeferredList::new(vec![third, first, second]).start();
    list.cancel();
    let results = success_of(list);
    assert_eq!((results[0].as_ref().unwrap(), results[1].as_ref().unwrap()), (&30, &10));
    assert!(results[2].as_ref().unwrap_err().check::<CancelledError>().is_some());
    assert!(two.is_cancelled());
}

#[test]
fn a_cancelled_gather_reports_nothing_and_a_later_failure_of_one_that_runs_on_is_reported() {
    let unhandled = capture_unhandled();
    let (_one, first) = Deferred::<i32>::new();
    let (_two, second) = Deferred::<i32>::new();
    let all = gather_results(vec![first, second]);
    all.cancel();
    assert_eq!(failure_of(all).check::<FirstError>().unwrap().index(), 0);
    assert!(unhandled.flush_unhandled().is_empty());

    let (one, first) = Deferred::<i32>::new();
    let (two, second) = Deferred::<i32>::new();
    let all = gather_results(vec![first, second]);
    two.fail(Failure::msg("first"));
    one.fail(Failure::msg("late"));
    assert_eq!(failure_of(all).check::<FirstError>().unwrap().index(), 1);
    let reports = unhandled.flush_unhandled();
    assert!(reports.len() == 1 && reports[0].to_string().contains("late"));
}

#[test]
fn a_list_that_is_decided_cancels_the_others_before_it_fires_if_it_is_to() {
    let unhandled = capture_unhandled();
    let said = Rc::new(RefCell::new(Vec::new()));
    let member = |name: &'static str| {
        let said = said.clone();
        cancelled_by(move |resolver| {
            said.borrow_mut().push(name);
            // One is called off as it should be, one has another excuse, one is done all the same.
            match name {
                "excuse" => resolver.fail(Failure::msg("half a file is left")),
                "done" => resolver.succeed(7),
                _ => drop(resolver.is_cancelled()),
            }
        })
    };
    let (broken, first) = Deferred::new();
    let members = [member("plain"), first, member("excuse"), member("done")];
    let all = DeferredList::new(members).cancel_others().gather();
    let order = said.clone();
    let all = all.inspect_err(move |_| order.borrow_mut().push("fired"));
    assert_no_result(&all);
    broken.fail(Failure::msg("no network"));
    assert_eq!(*said.borrow(), ["plain", "excuse", "done", "fired"]);
    let failure = failure_of(all);
    assert_eq!(failure.check::<FirstError>().unwrap().index(), 1);
    // What the cancelling did not foresee is said; the rest is not.
    let reports = unhandled.flush_unhandled();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].to_string().contains("half a file is left"));
}

#[test]
fn a_list_that_cancels_the_others_does_so_whoever_decides_it_and_when() {
    let unhandled = capture_unhandled();
    // A failure that was there before the list.
    let (early, waits) = Deferred::<i32>::new();
    let all = DeferredList::new([Deferred::fail(Failure::msg("no")), waits]).cancel_others().gather();
    assert_eq!(failure_of(all).check::<FirstError>().unwrap().index(), 0);
    assert!(early.is_cancelled());
    // The first value.
    let (mirror, one) = Deferred::new();
    let (slow, two) = Deferred::<i32>::new();
    let list = DeferredList::new([two, one]).fire_on_one_callback().cancel_others().start();
    mirror.succeed(3);
    assert!(slow.is_cancelled());
    assert!(matches!(success_of(list), FirstOrAll::First((1, 3))));
    // All of them ended well: nobody is cancelled.
    let all = DeferredList::new([Deferred::succeed(1), Deferred::succeed(2)]).cancel_others().gather();
    assert_eq!(success_of(all), [1, 2]);
    // Without anything that decides early there is nobody to cancel.
    let list =
        DeferredList::new([Deferred::fail(Failure::msg("no")), Deferred::succeed(2)]).cancel_others().start();
    assert_eq!(success_of(list).len(), 2);
    assert!(unhandled.flush_unhandled().is_empty());
}

#[test]
fn a_race_may_be_won_by_a_canceller_and_the_failures_of_the_losers_are_silent() {
    let unhandled = capture_unhandled();
    let (_one, first) = Deferred::new();
    let d = race(vec![first, cancelled_by(|resolver| resolver.succeed(2))]);
    d.cancel();
    assert_eq!(success_of(d), (1, 2));

    let (_one, first) = Deferred::<i32>::new();
    let d = race([first, cancelled_by(|resolver| resolver.fail(Failure::msg("no")))]);
    d.cancel();
    assert_eq!(failure_of(d).check::<FailureGroup>().unwrap().failures().len(), 2);
    assert!(unhandled.flush_unhandled().is_empty());
}

#[test]
fn a_lock_serves_in_order_and_passes_by_who_left() {
    let lock = DeferredLock::new();
    let permit = lock.try_acquire().unwrap();
    assert!(lock.try_acquire().is_none());
    let order = Rc::new(RefCell::new(Vec::new()));
    let waiters: Vec<_> = (0..4)
        .map(|i| {
            let order = order.clone();
            lock.run(move || {
                order.borrow_mut().push(i);
                Ok(())
            })
        })
        .collect();
    waiters[1].cancel();
    assert_eq!(lock.waiting(), 3);
    permit.release();
    assert_eq!(*order.borrow(), [0, 2, 3]);
    assert!(!lock.is_locked());
    for (i, d) in waiters.into_iter().enumerate() {
        if i == 1 {
            assert!(failure_of(d).check::<CancelledError>().is_some());
        } else {
            success_of(d);
        }
    }
}

#[test]
fn a_panic_or_a_cancel_inside_run_gives_the_place_back() {
    let lock = DeferredLock::new();
    let panicked = lock.run(|| -> Result<(), Failure> { panic!("in the function") });
    assert!(failure_of(panicked).check::<PanicError>().is_some());
    assert!(!lock.is_locked());

    let (inner, d) = Deferred::<()>::new();
    let held = lock.run(move || d);
    let next = lock.run(|| Ok("next"));
    held.cancel();
    assert!(inner.is_cancelled());
    assert!(failure_of(held).check::<CancelledError>().is_some());
    assert_eq!(success_of(next), "next");
}

#[test]
fn a_semaphore_has_as_many_places_as_were_given_back() {
    let two = DeferredSemaphore::new(NonZeroUsize::new(2).unwrap());
    let (a, b) = (two.try_acquire().unwrap(), two.try_acquire().unwrap());
    let waiting = two.acquire();
    assert_no_result(&waiting);
    drop(a);
    let c = success_of(waiting);
    assert_eq!((two.tokens(), two.waiting()), (0, 0));
    b.release();
    drop(c);
    assert_eq!(two.tokens(), 2);
}

#[test]
fn who_finds_a_full_line_fails_at_once_and_the_line_goes_on() {
    let lock = DeferredLock::with_backlog(2);
    let permit = success_of(lock.acquire());
    let (first, second) = (lock.acquire(), lock.run(|| Ok(2)));
    assert_eq!(failure_of(lock.acquire()).raised().line(), line!());
    let refused = lock.run(|| -> Result<i32, Failure> { panic!("it is not called") });
    let failure = failure_of(refused);
    let error = failure.check::<BacklogFull>().unwrap();
    assert_eq!((error.backlog(), error.made().file(), lock.waiting()), (2, file!(), 2));
    assert!(lock.try_acquire().is_none());

    first.cancel(); // leaves, and there is room again
    failure_of(first);
    let third = lock.run(|| Ok(3));
    drop(permit);
    assert_eq!((success_of(second), success_of(third)), (2, 3));

    let none = DeferredSemaphore::with_backlog(NonZeroUsize::MIN, 0);
    let permit = success_of(none.acquire());
    assert!(failure_of(none.acquire()).check::<BacklogFull>().is_some());
    permit.release();
    assert_eq!(success_of(none.run(|| Ok(4))), 4);
}

#[test]
fn a_permit_that_nobody_takes_goes_on_to_the_next() {
    let lock = DeferredLock::new();
    let permit = lock.try_acquire();
    drop(lock.acquire()); // detached: its permit is dropped as soon as it has it
    let next = lock.acquire();
    drop(permit);
    drop(success_of(next));
    assert!(!lock.is_locked());
}

#[test]
fn a_queue_is_bounded_both_ways_and_loses_no_value_to_one_who_left() {
    let queue = DeferredQueue::new(1, 2);
    let (first, second) = (queue.get().unwrap(), queue.get().unwrap());
    let _: QueueUnderflow = queue.get().unwrap_err();
    first.cancel();
    assert!(failure_of(first).check::<CancelledError>().is_some());
    queue.put(1).unwrap();
    assert_eq!(success_of(second), 1);
    queue.put(2).unwrap();
    assert_eq!(queue.put(3).unwrap_err().into_value(), 3);
    assert_eq!((queue.len(), queue.waiting()), (1, 0));
    assert_eq!(success_of(queue.get().unwrap()), 2);
    let left = queue.get().unwrap();
    drop(queue);
    assert!(failure_of(left).check::<AbandonedError>().is_some());
}

#[test]
fn a_shared_failure_that_nobody_was_given_is_reported_and_else_once_for_each() {
    let unhandled = capture_unhandled();
    drop(Deferred::<i32>::fail(Failure::msg("alone")).share());
    assert_eq!(unhandled.flush_unhandled().len(), 1);
    let shared = Deferred::<i32>::fail(Failure::msg("seen")).share();
    let (one, two) = (shared.get(), shared.get());
    drop(shared);
    assert_eq!((failure_of(one).to_string(), failure_of(two).to_string()), ("seen".into(), "seen".into()));
    assert!(unhandled.flush_unhandled().is_empty());
}

#[test]
fn a_shared_value_whose_drop_panics_is_reported_and_harms_nobody_else() {
    struct Bomb(bool);
    impl Clone for Bomb {
        fn clone(&self) -> Bomb {
            Bomb(false)
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(!self.0, "in the drop of a shared value");
        }
    }
    let unhandled = capture_unhandled();
    // Nobody holds the shared result when it comes: it is dropped right then.
    let (source, result) = Deferred::<()>::new();
    let waiter = {
        let shared = result.add_both(|_| Ok(Bomb(true))).share();
        shared.get()
    };
    let (other, after) = Deferred::<i32>::new();
    let holds = waiter.map(move |_| drop(other)); // abandons another one on the way
    drop(source);
    success_of(holds);
    assert!(failure_of(after).check::<AbandonedError>().is_some());
    let reports = unhandled.flush_unhandled();
    assert!(reports.iter().any(|report| report.failure().check::<PanicError>().is_some()), "{reports:?}");
    // And whoever is abandoned next is told as ever.
    let (last, told) = Deferred::<i32>::new();
    drop(last);
    assert!(failure_of(told).check::<AbandonedError>().is_some());
}

/// A recorder that does something when it is first told of a new Deferred.
struct Meddler<F>(Option<F>);

impl<F: FnOnce()> Recorder for Meddler<F> {
    fn event(&mut self, event: &Event) {
        if let Kind::DNew { .. } = event.kind
            && let Some(f) = self.0.take()
        {
            f();
        }
    }
}

#[test]
fn what_a_recorder_gives_while_it_is_told_of_a_waiter_reaches_that_waiter() {
    let lock = DeferredLock::with_backlog(1);
    let permit = success_of(lock.acquire());
    let (waits, _) = trace::record_with(Meddler(Some(move || drop(permit))), || lock.acquire());
    drop(success_of(waits));

    // One who asks meanwhile finds the place in the line taken.
    let permit = success_of(lock.acquire());
    let (second, refused) = (lock.clone(), Rc::new(Cell::new(None)));
    let slot = refused.clone();
    let (first, _) = trace::record_with(Meddler(Some(move || slot.set(Some(second.acquire())))), || lock.acquire());
    assert!(failure_of(refused.take().unwrap()).check::<BacklogFull>().is_some());
    drop(permit);
    drop(success_of(first));

    let queue = DeferredQueue::new(1, 1);
    let other = queue.clone();
    let (value, _) = trace::record_with(Meddler(Some(move || other.put(7).unwrap())), || queue.get());
    assert_eq!((success_of(value.unwrap()), queue.len(), queue.waiting()), (7, 0, 0));
}

#[test]
fn what_a_race_and_a_list_say_names_lines_of_the_program_and_short_types() {
    let lost = race([Deferred::<i32>::fail(Failure::msg("mirror 1 is down"))]);
    assert_eq!(failure_of(lost).raised().file(), file!());

    let (_resolver, missing) = Deferred::<i32>::new();
    let list = DeferredList::new([Deferred::succeed(1), missing]).start().named("pages");
    let text = format!("{list:?}");
    assert!(
        text.starts_with("<Deferred<Vec<Result<i32, Failure>>> \"pages\" not fired, 1 of 2 members missing"),
        "{text}"
    );
    assert!(text.contains("0 steps, made at tests/family.rs:"), "{text}");
}
