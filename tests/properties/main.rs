//! Random programs, run on the library and on a naive interpreter of the same rules that shares no code with it.
//!
//! A program creates, fires, fails, cancels, drops and joins Deferreds, also from inside callbacks, and each run writes
//! down all that happens. The two must agree: so each callback runs at most once, in order, in one lane; every failure
//! is handled, replaced or reported exactly once (each has a name of its own); and no borrow panics.

mod naive;
mod program;
mod real;

use program::program;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// The same programs each time, so that a run says something about a change. Others with `PROPTEST_RNG_SEED=n`, and
/// more of them with `PROPTEST_CASES=n`.
fn config() -> ProptestConfig {
    let set = |name| std::env::var_os(name).is_some();
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if !set("PROPTEST_RNG_SEED") {
        config.rng_seed = RngSeed::Fixed(1);
    }
    if !set("PROPTEST_CASES") {
        config.cases = 1500;
    }
    config.max_global_rejects = config.cases;
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_program_runs_as_the_rules_say(ops in program()) {
        let Some(expected) = naive::run(&ops) else { return Err(TestCaseError::reject("a circle of waits")) };
        let seen = real::run(&ops);
        for (n, (seen, expected)) in seen.iter().zip(&expected).enumerate() {
            prop_assert_eq!(seen, expected, "operation {} of {:#?}", n, ops);
        }
        prop_assert_eq!(seen.len(), expected.len());
    }
}
