//! A million steps on one chain and a million nested Deferreds, on a stack of 128 KiB: the library recurses nowhere.
//!
//! Every case runs at two sizes and counts what it did: ten times as many steps take about ten times as long, which
//! `cargo test --release --test depth -- --nocapture --test-threads 1` prints. A debug build takes them to 20,000 only,
//! where seven bytes of stack for every link would be too many, and the smallest frame has sixteen.

use ropewalk::testing::{capture_unhandled, failure_of, success_of};
use ropewalk::trace;
use ropewalk::{AbandonedError, CancelledError, Deferred, Failure, Resolver, set_unhandled_hook};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

const STACK: usize = 128 * 1024;

/// Runs `case` at two sizes on a small stack. It answers how many steps or reports it counted: `expected` times `n`.
fn on_a_small_stack(name: &'static str, expected: usize, case: fn(usize) -> usize) {
    up_to(if cfg!(debug_assertions) { 20_000 } else { 1_000_000 }, name, expected, case);
}

fn up_to(most: usize, name: &'static str, expected: usize, case: fn(usize) -> usize) {
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

/// A counter that closures share.
#[derive(Clone, Default)]
struct Count(Rc<Cell<usize>>);

impl Count {
    fn one(&self) {
        self.0.set(self.0.get() + 1);
    }
}

/// One chain with `n` callbacks that add one and count themselves.
fn long(n: usize) -> (Resolver<usize>, Deferred<usize>, Count) {
    let ran = Count::default();
    let (resolver, mut d) = Deferred::new();
    for _ in 0..n {
        let ran = ran.clone();
        d = d.add_callback(move |sum: usize| {
            ran.one();
            Ok(sum + 1)
        });
    }
    (resolver, d, ran)
}

/// `n` Deferreds, each with a callback that gives the next one back; the Resolvers from the innermost to the outermost.
fn nest(n: usize) -> (Vec<Resolver<usize>>, Deferred<usize>) {
    let (innermost, mut d) = Deferred::new();
    let mut resolvers = vec![innermost];
    for _ in 1..n {
        let (resolver, outer) = Deferred::new();
        let inner = d;
        d = outer.add_callback(move |_: usize| inner);
        resolvers.push(resolver);
    }
    (resolvers, d)
}

/// A nest in which every Deferred but the innermost has been fired: one waits for the other.
fn waiting(n: usize) -> (Resolver<usize>, Deferred<usize>) {
    let (mut resolvers, d) = nest(n);
    while resolvers.len() > 1 {
        resolvers.pop().expect("there are more").succeed(0);
    }
    (resolvers.pop().expect("the innermost is left"), d)
}

/// Counts the reports of errors that nobody handled while it lives.
fn count_reports() -> Count {
    let reports = Count::default();
    let count = reports.clone();
    set_unhandled_hook(Some(Rc::new(move |_| count.one())));
    reports
}

#[test]
fn long_chain_fires() {
    on_a_small_stack("long chain, fired", 2, |n| {
        let (resolver, d, ran) = long(n);
        resolver.succeed(0);
        ran.0.get() + success_of(d)
    });
}

#[test]
fn long_chain_fails_and_passes_every_callback_by() {
    on_a_small_stack("long chain, failed", 1, |n| {
        let (resolver, d, ran) = long(n);
        resolver.fail(Failure::msg("no"));
        ran.0.get() + failure_of(d).crossed_count() as usize
    });
}

#[test]
fn long_chain_is_cancelled() {
    on_a_small_stack("long chain, cancelled", 1, |n| {
        let (resolver, d, _) = long(n);
        d.cancel();
        resolver.succeed(0);
        let failure = failure_of(d);
        assert!(failure.check::<CancelledError>().is_some());
        failure.crossed_count() as usize
    });
}

#[test]
fn long_chain_is_detached_and_fired() {
    on_a_small_stack("long chain, detached", 1, |n| {
        let (resolver, d, ran) = long(n);
        d.detach();
        resolver.succeed(0);
        ran.0.get()
    });
}

#[test]
fn long_chain_is_dropped_unfired() {
    on_a_small_stack("long chain, dropped", 1, |n| {
        let unhandled = capture_unhandled();
        let (resolver, d, ran) = long(n);
        drop(d);
        drop(resolver);
        let reports = unhandled.flush_unhandled();
        assert!(reports[0].failure().check::<AbandonedError>().is_some());
        ran.0.get() + reports[0].failure().crossed_count() as usize
    });
}

#[test]
fn long_chain_grows_after_firing() {
    on_a_small_stack("long chain, added late", 1, |n| {
        let mut d = Deferred::succeed(0);
        for _ in 0..n {
            d = d.add_callback(|sum| Ok(sum + 1));
        }
        success_of(d)
    });
}

#[test]
fn one_chain_waits_again_and_again() {
    on_a_small_stack("one chain, pausing at each step", 1, |n| {
        let mut d = Deferred::succeed(0);
        for _ in 0..n {
            let (resolver, inner) = Deferred::new();
            d = d.add_callback(move |sum: usize| inner.map(move |one: usize| sum + one));
            resolver.succeed(1);
        }
        success_of(d)
    });
}

/// A chain of `n` callbacks of which each gives back what `inner` makes: a Deferred that has its result.
fn long_of_fired(n: usize, inner: fn(usize) -> Deferred<usize>) -> (Resolver<usize>, Deferred<usize>) {
    let (resolver, mut d) = Deferred::new();
    for _ in 0..n {
        d = d.add_callback(inner);
    }
    (resolver, d)
}

#[test]
fn one_chain_is_given_fired_deferreds_again_and_again() {
    on_a_small_stack("given fired Deferreds", 1, |n| {
        let (resolver, d) = long_of_fired(n, |sum| Deferred::succeed(sum + 1));
        resolver.succeed(0);
        success_of(d)
    });
}

#[test]
fn one_chain_is_given_chains_at_rest_again_and_again() {
    on_a_small_stack("given chains at rest", 1, |n| {
        let (resolver, d) = long_of_fired(n, |sum| {
            let (resolver, inner) = Deferred::new();
            let inner = inner.map(|sum: usize| sum + 1);
            resolver.succeed(sum);
            inner
        });
        resolver.succeed(0);
        success_of(d)
    });
}

#[test]
fn one_chain_is_given_failed_deferreds_again_and_again() {
    on_a_small_stack("given failed Deferreds", 1, |n| {
        let (resolver, mut d) = Deferred::<()>::new();
        let ran = Count::default();
        for _ in 0..n {
            let ran = ran.clone();
            d = d.add_errback(move |failure| {
                ran.one();
                Deferred::fail(failure)
            });
        }
        resolver.fail(Failure::msg("the first"));
        assert_eq!(failure_of(d).to_string(), "the first");
        ran.0.get()
    });
}

#[test]
fn one_chain_is_given_fired_deferreds_while_somebody_records() {
    on_a_small_stack("given fired Deferreds, recorded", 1, |n| {
        // The trace has a bound, and is full before the end.
        let (sum, trace) = trace::record(|| {
            let (resolver, d) = long_of_fired(n, |sum| Deferred::succeed(sum + 1));
            resolver.succeed(0);
            success_of(d)
        });
        assert!(trace.len() >= n, "each step was told, as long as there was room");
        sum
    });
}

#[test]
fn nested_fire_from_the_outermost() {
    on_a_small_stack("nested, outermost first", 1, |n| {
        let (innermost, d) = waiting(n);
        innermost.succeed(n);
        success_of(d)
    });
}

#[test]
fn nested_fire_from_the_innermost() {
    on_a_small_stack("nested, innermost first", 1, |n| {
        let (resolvers, d) = nest(n);
        for resolver in resolvers {
            resolver.succeed(n);
        }
        success_of(d)
    });
}

#[test]
fn nested_fail() {
    on_a_small_stack("nested, failed", 1, |n| {
        let (innermost, d) = waiting(n);
        innermost.fail(Failure::msg("no"));
        usize::from(failure_of(d).to_string() == "no") * n
    });
}

#[test]
fn nested_run_the_steps_behind_each_waiting_one() {
    on_a_small_stack("nested, with a step behind each", 1, |n| {
        let (innermost, mut d) = Deferred::new();
        let mut resolvers = vec![];
        for _ in 0..n {
            let (resolver, outer) = Deferred::new();
            let inner = d;
            d = outer.add_callback(move |_: usize| inner).map(|sum| sum + 1);
            resolvers.push(resolver);
        }
        while let Some(resolver) = resolvers.pop() {
            resolver.succeed(0);
        }
        innermost.succeed(0);
        success_of(d)
    });
}

#[test]
fn nested_cancel_reaches_the_innermost() {
    on_a_small_stack("nested, cancelled", 1, |n| {
        let (innermost, d) = waiting(n);
        d.cancel();
        assert!(innermost.is_cancelled());
        innermost.succeed(0);
        usize::from(failure_of(d).check::<CancelledError>().is_some()) * n
    });
}

#[test]
fn nested_detach_and_fire() {
    on_a_small_stack("nested, detached", 1, |n| {
        let (innermost, d) = waiting(n);
        let seen = Count::default();
        let count = seen.clone();
        d.map(move |sum| count.0.set(sum)).detach();
        innermost.succeed(n);
        seen.0.get()
    });
}

#[test]
fn nested_drop_while_waiting() {
    on_a_small_stack("nested, dropped while waiting", 1, |n| {
        let reports = count_reports();
        let (innermost, d) = waiting(n);
        drop(d);
        drop(innermost);
        assert_eq!(reports.0.get(), 1, "the failure travelled to the outermost and was lost there");
        n
    });
}

#[test]
fn nested_drop_unfired_from_the_outermost() {
    on_a_small_stack("nested, dropped unfired, outermost first", 1, |n| {
        let reports = count_reports();
        let (mut resolvers, d) = nest(n);
        drop(d);
        while let Some(resolver) = resolvers.pop() {
            drop(resolver);
        }
        reports.0.get()
    });
}

#[test]
fn nested_drop_unfired_from_the_innermost() {
    on_a_small_stack("nested, dropped unfired, innermost first", 1, |n| {
        let reports = count_reports();
        let (resolvers, d) = nest(n);
        drop(d);
        drop(resolvers);
        reports.0.get()
    });
}

#[test]
fn resolvers_owned_by_closures_are_abandoned_one_after_the_other() {
    on_a_small_stack("closures that own the next Resolver, dropped", 1, |n| {
        let reports = count_reports();
        let (mut resolver, d) = Deferred::new();
        drop(d);
        for _ in 1..n {
            let (first, d) = Deferred::new();
            let next = resolver;
            d.add_callback(move |value: usize| {
                next.succeed(value);
                Ok(())
            })
            .detach();
            resolver = first;
        }
        drop(resolver);
        reports.0.get()
    });
}

#[test]
fn closures_that_own_both_ends_of_the_next_are_dropped_one_after_the_other() {
    on_a_small_stack("closures that own the next pair, failed", 1, |n| {
        let reports = count_reports();
        let (mut resolver, mut d) = Deferred::new();
        for _ in 1..n {
            let (first, outer) = Deferred::new();
            let (next, inner) = (resolver, d);
            d = outer.add_callback(move |value: usize| {
                next.succeed(value);
                inner
            });
            resolver = first;
        }
        drop(d);
        resolver.fail(Failure::msg("no"));
        reports.0.get()
    });
}

/// Steps call each other a few deep; large ones must not, since each of them lies on the stack while it runs.
#[test]
fn steps_that_hold_much_do_not_pile_up_on_the_stack() {
    let case = |n: usize| {
        let (resolver, mut d) = Deferred::new();
        for _ in 0..n {
            let held = std::hint::black_box([1u8; 2048]);
            d = d.add_callback(move |sum: usize| Ok(sum + usize::from(held[sum % held.len()])));
        }
        resolver.succeed(0);
        success_of(d)
    };
    up_to(1000, "large steps", 1, case);
}
