//! Suites of one chain: a million short ones, and one that is a million deep.

use crate::support::{allocations, say, timed};
use ropewalk::Deferred;
use ropewalk::testing::success_of;
use std::hint::black_box;

/// `deferred`: make a Deferred, add 10 callbacks that add one, fire it; a million times.
pub(crate) fn callbacks() {
    let n = 1_000_000;
    let one = black_box(1i64);
    let before = allocations();
    let mut sum = 0;
    timed("callback", n * 10, || {
        for _ in 0..n {
            let (resolver, mut d) = Deferred::new();
            for _ in 0..10 {
                d = d.add_callback(move |x| Ok(x + one));
            }
            resolver.succeed(0);
            sum += success_of(d);
        }
    });
    assert_eq!(sum, n as i64 * 10);
    say("allocs", (allocations() - before) as f64 / (n as f64 * 10.0), "/callback");
}

/// `deep`: a million Deferreds, each of which waits for the next; fired from the outermost to the innermost.
pub(crate) fn deep() {
    let n = 1_000_000;
    timed("deep", n, || {
        let (innermost, mut d) = Deferred::new();
        let mut resolvers = vec![innermost];
        for _ in 1..n {
            let (resolver, outer) = Deferred::new();
            let inner = d;
            d = outer.add_callback(move |_: i64| inner);
            resolvers.push(resolver);
        }
        while let Some(resolver) = resolvers.pop() {
            resolver.succeed(7);
        }
        assert_eq!(success_of(d), 7);
    });
}
