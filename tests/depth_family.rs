//! The Deferred family with a million members, links or waiters, on a stack of 128 KiB: built, fired, failed, cancelled
//! and dropped.
//!
//! As in `depth.rs`, every case runs at two sizes and counts what it did; `cargo test --release --test depth_family --
//! --nocapture --test-threads 1` prints the times, which grow as the sizes do. A debug build takes them to 20,000, and
//! `ROPEWALK_DEPTH=n` to n: with it, instructions can be counted (`docs/performance.md`).

use ropewalk::testing::{failure_of, success_of};
use ropewalk::{
    AbandonedError, CancelledError, Deferred, DeferredList, DeferredLock, DeferredQueue, DeferredSemaphore,
    Failure, FailureGroup, FirstError, Permit, Resolver, gather_results, race, set_unhandled_hook,
};
use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Instant;

const STACK: usize = 128 * 1024;

/// Runs `case` at two sizes on a small stack. It answers how much it counted: `expected` times `n`.
fn on_a_small_stack(name: &'static str, expected: usize, case: fn(usize) -> usize) {
    let set = std::env::var("ROPEWALK_DEPTH").ok().map(|n| n.parse().expect("a number"));
    let most = set.unwrap_or(if cfg!(debug_assertions) { 20_000 } else { 1_000_000 });
    let run = move || {
        for n in [most / 10, most] {
            let start = Instant::now();
            let count = case(n);
            println!("{name}: {n} in {:?}", start.elapsed());
            assert_eq!(count, expected * n, "{name} with {n}");
        }
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(run).expect("a thread starts");
    thread.join().expect("the case is right");
}

type Count = Rc<Cell<usize>>;

fn one(count: &Count) {
    count.set(count.get() + 1);
}

/// Counts the reports of errors that nobody handled.
fn count_reports() -> Count {
    let reports = Count::default();
    let count = reports.clone();
    set_unhandled_hook(Some(Rc::new(move |_| one(&count))));
    reports
}

fn pairs(n: usize) -> (Vec<Resolver<usize>>, Vec<Deferred<usize>>) {
    (0..n).map(|_| Deferred::new()).unzip()
}

fn fire(resolvers: Vec<Resolver<usize>>) {
    resolvers.into_iter().enumerate().for_each(|(i, resolver)| resolver.succeed(i));
}

fn fail(resolvers: Vec<Resolver<usize>>) {
    resolvers.into_iter().for_each(|resolver| resolver.fail(Failure::msg("no")));
}

fn cancelled(failure: &Failure) -> bool {
    failure.check::<CancelledError>().is_some()
}

#[test]
fn list_fires_with_the_results_in_order() {
    on_a_small_stack("list, fired", 1, |n| {
        let (resolvers, members) = pairs(n);
        let list = DeferredList::new(members).start();
        fire(resolvers);
        success_of(list).into_iter().enumerate().filter(|(i, result)| result.as_ref().ok() == Some(i)).count()
    });
}

#[test]
fn list_holds_every_failure() {
    on_a_small_stack("list, failed", 1, |n| {
        let (resolvers, members) = pairs(n);
        let list = DeferredList::new(members).start();
        fail(resolvers);
        success_of(list).into_iter().filter(Result::is_err).count()
    });
}

#[test]
fn list_is_cancelled() {
    on_a_small_stack("list, cancelled", 2, |n| {
        let (resolvers, members) = pairs(n);
        let list = DeferredList::new(members).start();
        list.cancel();
        let told = resolvers.iter().filter(|resolver| resolver.is_cancelled()).count();
        told + success_of(list).iter().filter(|result| result.as_ref().is_err_and(cancelled)).count()
    });
}

#[test]
fn list_of_abandoned_members() {
    on_a_small_stack("list, resolvers dropped", 1, |n| {
        let (resolvers, members) = pairs(n);
        let list = DeferredList::new(members).start();
        drop(resolvers);
        let abandoned = |failure: &Failure| failure.check::<AbandonedError>().is_some();
        success_of(list).iter().filter(|result| result.as_ref().is_err_and(abandoned)).count()
    });
}

#[test]
fn list_that_is_dropped_runs_on_and_its_members_with_it() {
    on_a_small_stack("list, dropped", 1, |n| {
        let (resolvers, members) = pairs(n);
        let count = Count::default();
        let counted = count.clone();
        drop(DeferredList::new(members).start().map(move |all| counted.set(all.len())));
        fire(resolvers);
        count.get()
    });
}

#[test]
fn lists_in_lists_fire() {
    on_a_small_stack("lists in lists, fired", 1, |n| {
        let (resolver, mut d) = Deferred::new();
        for _ in 0..n {
            d = gather_results(vec![d]).map(|mut values: Vec<usize>| values.remove(0) + 1);
        }
        resolver.succeed(0);
        success_of(d)
    });
}

#[test]
fn lists_in_lists_are_cancelled() {
    on_a_small_stack("lists in lists, cancelled", 1, |n| {
        let (resolver, mut d) = Deferred::<usize>::new();
        let count = Count::default();
        for _ in 0..n {
            let count = count.clone();
            d = DeferredList::new([d]).start().add_callback(move |mut results| {
                one(&count);
                results.remove(0)
            });
        }
        d.cancel();
        assert!(cancelled(&failure_of(d)) && resolver.is_cancelled());
        count.get()
    });
}

#[test]
fn lists_in_lists_are_dropped_unfired() {
    on_a_small_stack("lists in lists, dropped", 1, |n| {
        let reports = count_reports();
        let (resolver, mut d) = Deferred::<usize>::new();
        let count = Count::default();
        for _ in 0..n {
            let count = count.clone();
            d = DeferredList::new([d]).start().add_callback(move |mut results| {
                one(&count);
                results.remove(0)
            });
        }
        drop(d);
        drop(resolver);
        assert_eq!(reports.get(), 1);
        count.get()
    });
}

#[test]
fn gather_fires() {
    on_a_small_stack("gather, fired", 1, |n| {
        let (resolvers, members) = pairs(n);
        let all = gather_results(members);
        fire(resolvers);
        success_of(all).len()
    });
}

#[test]
fn gather_fails_once_and_the_later_failures_are_reported() {
    on_a_small_stack("gather, failed", 1, |n| {
        let reports = count_reports();
        let (resolvers, members) = pairs(n);
        let all = gather_results(members);
        fail(resolvers);
        let failure = failure_of(all);
        usize::from(failure.check::<FirstError>().is_some()) + reports.get()
    });
}

#[test]
fn gather_is_cancelled_without_a_report() {
    on_a_small_stack("gather, cancelled", 1, |n| {
        let reports = count_reports();
        let (resolvers, members) = pairs(n);
        let all = gather_results(members);
        all.cancel();
        assert!(failure_of(all).check::<FirstError>().is_some());
        assert_eq!(reports.get(), 0);
        resolvers.iter().filter(|resolver| resolver.is_cancelled()).count()
    });
}

#[test]
fn race_is_won_by_the_last_and_cancels_the_others() {
    on_a_small_stack("race, won", 1, |n| {
        let (mut resolvers, members) = pairs(n);
        let first = race(members);
        resolvers.pop().expect("there is one").succeed(7);
        assert_eq!(success_of(first), (n - 1, 7));
        1 + resolvers.iter().filter(|resolver| resolver.is_cancelled()).count()
    });
}

#[test]
fn gathering_that_one_failure_ends_cancels_the_others() {
    on_a_small_stack("gather, others cancelled", 1, |n| {
        let (mut resolvers, members) = pairs(n);
        let all = DeferredList::new(members).cancel_others().gather();
        resolvers.pop().expect("there is one").fail(Failure::msg("no"));
        assert_eq!(failure_of(all).check::<FirstError>().expect("the first").index(), n - 1);
        1 + resolvers.iter().filter(|resolver| resolver.is_cancelled()).count()
    });
}

#[test]
fn race_that_nobody_wins() {
    on_a_small_stack("race, failed", 1, |n| {
        let (resolvers, members) = pairs(n);
        let first = race(members);
        fail(resolvers);
        failure_of(first).check::<FailureGroup>().expect("a group").failures().len()
    });
}

#[test]
fn race_is_cancelled() {
    on_a_small_stack("race, cancelled", 1, |n| {
        let (resolvers, members) = pairs(n);
        let first = race(members);
        first.cancel();
        drop(resolvers);
        let failure = failure_of(first);
        failure.check::<FailureGroup>().expect("a group").failures().iter().filter(|f| cancelled(f)).count()
    });
}

/// `n` Deferreds, each `chain`ed to the Resolver of the next, with a step that counts.
fn chained(n: usize) -> (Resolver<usize>, Deferred<usize>) {
    let (first, mut d) = Deferred::new();
    for _ in 0..n {
        let (resolver, next) = Deferred::new();
        d.chain(resolver);
        d = next.map(|sum: usize| sum + 1);
    }
    (first, d)
}

#[test]
fn chained_fire() {
    on_a_small_stack("chained, fired", 1, |n| {
        let (first, last) = chained(n);
        first.succeed(0);
        success_of(last)
    });
}

#[test]
fn chained_fail() {
    on_a_small_stack("chained, failed", 1, |n| {
        let (first, last) = chained(n);
        first.fail(Failure::msg("no"));
        failure_of(last).crossed_count() as usize
    });
}

#[test]
fn chained_are_cancelled_at_the_start_and_each_is_told() {
    on_a_small_stack("chained, cancelled", 1, |n| {
        let (first, start) = Deferred::new();
        let stop = start.cancel_handle();
        let (next, last) = chained(n);
        start.chain(next);
        assert!(stop.cancel() && first.is_cancelled());
        let failure = failure_of(last);
        assert!(cancelled(&failure));
        failure.crossed_count() as usize
    });
}

#[test]
fn chained_are_dropped_unfired() {
    on_a_small_stack("chained, dropped", 1, |n| {
        let reports = count_reports();
        let (first, last) = chained(n);
        drop(last);
        drop(first);
        reports.get() * n
    });
}

fn runs(lock: &DeferredLock, n: usize) -> (Count, Vec<Deferred<usize>>) {
    let ran = Count::default();
    let waiters = (0..n)
        .map(|i| {
            let ran = ran.clone();
            lock.run(move || {
                one(&ran);
                Ok(i)
            })
        })
        .collect();
    (ran, waiters)
}

#[test]
fn waiters_of_a_lock_run_one_after_the_other() {
    on_a_small_stack("lock, run", 2, |n| {
        let lock = DeferredLock::new();
        let permit = lock.try_acquire();
        let (ran, waiters) = runs(&lock, n);
        assert_eq!((lock.waiting(), ran.get()), (n, 0));
        drop(permit);
        assert!(!lock.is_locked());
        ran.get() + waiters.into_iter().enumerate().map(|(i, d)| usize::from(success_of(d) == i)).sum::<usize>()
    });
}

#[test]
fn waiters_of_a_lock_run_and_fail() {
    on_a_small_stack("lock, run and failed", 1, |n| {
        let lock = DeferredLock::new();
        let permit = lock.try_acquire();
        let waiters: Vec<_> = (0..n).map(|_| lock.run(|| Err::<(), _>(Failure::msg("no")))).collect();
        permit.expect("it was free").release();
        assert!(!lock.is_locked());
        waiters.into_iter().map(failure_of).count()
    });
}

#[test]
fn waiters_of_a_lock_run_something_that_waits() {
    on_a_small_stack("lock, run and waited", 1, |n| {
        let lock = DeferredLock::new();
        let (resolvers, inner) = pairs(n);
        let waiters: Vec<_> = inner.into_iter().map(|d| lock.run(move || d)).collect();
        fire(resolvers);
        waiters.into_iter().enumerate().map(|(i, d)| usize::from(success_of(d) == i)).sum()
    });
}

#[test]
fn waiters_of_a_lock_are_cancelled() {
    on_a_small_stack("lock, cancelled", 1, |n| {
        let lock = DeferredLock::new();
        let permit = lock.try_acquire();
        let (ran, waiters) = runs(&lock, n);
        // From the middle, too.
        waiters.iter().skip(n / 2).chain(waiters.iter().take(n / 2)).for_each(Deferred::cancel);
        drop(permit);
        assert_eq!((ran.get(), lock.waiting(), lock.is_locked()), (0, 0, false));
        waiters.into_iter().map(|d| usize::from(cancelled(&failure_of(d)))).sum()
    });
}

#[test]
fn waiters_of_a_lock_that_are_detached_still_run() {
    on_a_small_stack("lock, detached", 1, |n| {
        let lock = DeferredLock::new();
        let permit = lock.try_acquire();
        let (ran, waiters) = runs(&lock, n);
        drop(waiters);
        drop(lock);
        drop(permit);
        ran.get()
    });
}

#[test]
fn permits_dropped_inside_the_waiters_callbacks_do_not_nest() {
    on_a_small_stack("lock, permits dropped inside", 1, |n| {
        let lock = DeferredLock::new();
        let permit = lock.try_acquire();
        let ran = Count::default();
        for _ in 0..n {
            let ran = ran.clone();
            lock.acquire()
                .map(move |permit| {
                    one(&ran);
                    drop(permit);
                })
                .detach();
        }
        drop(permit);
        ran.get()
    });
}

#[test]
fn waiters_are_released_one_by_one_from_outside() {
    on_a_small_stack("lock, released from outside", 1, |n| {
        let lock = DeferredLock::new();
        let current: Rc<RefCell<Option<Permit>>> = Rc::default();
        let served = Count::default();
        *current.borrow_mut() = lock.try_acquire();
        for _ in 0..n {
            let (current, served) = (current.clone(), served.clone());
            lock.acquire()
                .map(move |permit| {
                    one(&served);
                    let before = current.borrow_mut().replace(permit);
                    assert!(before.is_none());
                })
                .detach();
        }
        loop {
            let permit = current.borrow_mut().take();
            match permit {
                None => break served.get(),
                Some(permit) if served.get() % 2 == 0 => permit.release(),
                Some(permit) => drop(permit),
            }
        }
    });
}

#[test]
fn waiters_released_from_outside_that_fail_are_reported() {
    on_a_small_stack("lock, released from outside and failed", 2, |n| {
        let reports = count_reports();
        let lock = DeferredLock::new();
        let current: Rc<Cell<Option<Permit>>> = Rc::default();
        current.set(lock.try_acquire());
        for _ in 0..n {
            let current = current.clone();
            lock.acquire()
                .add_callback(move |permit| {
                    current.set(Some(permit));
                    Err::<(), _>(Failure::msg("no"))
                })
                .detach();
        }
        let mut released = 0;
        while let Some(permit) = current.take() {
            permit.release();
            released += 1;
        }
        assert_eq!(released, n + 1); // the first one's own permit, too
        reports.get() + released - 1
    });
}

#[test]
fn waiters_for_a_permit_are_cancelled_one_by_one() {
    on_a_small_stack("lock, acquire cancelled", 1, |n| {
        let lock = DeferredLock::new();
        let permit = lock.try_acquire();
        let waiters: Vec<_> = (0..n).map(|_| lock.acquire()).collect();
        let told = waiters.into_iter().map(|waiter| {
            waiter.cancel();
            usize::from(cancelled(&failure_of(waiter)))
        });
        let told = told.sum();
        assert_eq!(lock.waiting(), 0);
        drop(permit);
        told
    });
}

#[test]
fn waiters_of_a_semaphore_run_three_at_a_time() {
    on_a_small_stack("semaphore", 1, |n| {
        let three = DeferredSemaphore::new(NonZeroUsize::new(3).expect("not zero"));
        let (resolvers, inner) = pairs(n);
        let waiters: Vec<_> = inner.into_iter().map(|d| three.run(move || d)).collect();
        assert_eq!(three.waiting(), n - 3);
        fire(resolvers);
        assert_eq!(three.tokens(), 3);
        waiters.into_iter().map(success_of).count()
    });
}

#[test]
fn waiters_of_a_queue_get_their_values_in_order() {
    on_a_small_stack("queue, fired", 1, |n| {
        let queue = DeferredQueue::new(0, usize::MAX);
        let waiters: Vec<_> = (0..n).map(|_| queue.get().expect("no bound")).collect();
        (0..n).for_each(|i| queue.put(i).expect("somebody waits"));
        waiters.into_iter().enumerate().map(|(i, d)| usize::from(success_of(d) == i)).sum()
    });
}

#[test]
fn waiters_of_a_queue_are_cancelled_or_abandoned() {
    on_a_small_stack("queue, cancelled and dropped", 1, |n| {
        let queue = DeferredQueue::<usize>::new(0, usize::MAX);
        let waiters: Vec<_> = (0..n).map(|_| queue.get().expect("no bound")).collect();
        waiters.iter().step_by(2).for_each(Deferred::cancel);
        assert_eq!(queue.waiting(), n / 2);
        drop(queue);
        waiters.into_iter().map(failure_of).count()
    });
}

#[test]
fn shared_result_reaches_every_waiter() {
    on_a_small_stack("share, fired", 1, |n| {
        let (resolver, d) = Deferred::new();
        let shared = d.share();
        let waiters: Vec<_> = (0..n).map(|_| shared.get()).collect();
        resolver.succeed(1);
        waiters.into_iter().map(success_of).sum()
    });
}

#[test]
fn shared_failure_reaches_every_waiter() {
    on_a_small_stack("share, failed", 1, |n| {
        let (resolver, d) = Deferred::<usize>::new();
        let shared = d.share();
        let waiters: Vec<_> = (0..n).map(|_| shared.get()).collect();
        resolver.fail(FirstOfAll);
        waiters.into_iter().map(failure_of).filter(|failure| failure.check::<FirstOfAll>().is_some()).count()
    });
}

#[derive(Debug)]
struct FirstOfAll;

impl std::fmt::Display for FirstOfAll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

impl std::error::Error for FirstOfAll {}

#[test]
fn waiters_of_a_shared_result_are_cancelled_or_dropped() {
    on_a_small_stack("share, cancelled and dropped", 1, |n| {
        let reports = count_reports();
        let (resolver, d) = Deferred::<usize>::new();
        let shared = d.share();
        let mut waiters: Vec<_> = (0..n).map(|_| shared.get()).collect();
        let rest = waiters.split_off(n / 2);
        waiters.iter().for_each(Deferred::cancel);
        assert_eq!(shared.waiting(), n - n / 2);
        drop((shared, rest));
        drop(resolver);
        waiters.into_iter().map(failure_of).count() + reports.get()
    });
}
