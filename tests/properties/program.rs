//! The language of the programs. Deferreds are numbered as they are made; an operation names one by any number, taken
//! modulo how many there are, so that no program is wrong.

use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(crate) enum Op {
    New(Canceller),
    /// Has its result from the start: a value or a new failure.
    Settled(bool),
    Add(usize, Lane, Behaviour),
    Fire(usize, bool),
    /// Drops the producing end. Not inside a step: there the chain goes on only when the step has returned.
    Abandon(usize),
    Cancel(usize),
    /// Drops the consuming end.
    Drop(usize),
    /// With "one callback", "one errback", "consume errors". Not made when it could never fire: empty, and "one
    /// callback".
    List(Vec<usize>, bool, bool, bool),
    /// Not made when it is empty.
    Race(Vec<usize>),
    Timeout(usize, u64),
    Advance(u64),
    /// Of the one semaphore, which has two places.
    Acquire,
    Release,
    /// Does it with a place of that semaphore.
    Run(Behaviour),
    /// Makes the result one for many.
    Share(usize),
    /// Asks for a shared result. These are numbered, and named, like the Deferreds.
    Join(usize),
    CancelShared(usize),
    /// Of the one queue, of size and backlog two.
    Put,
    Get,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Canceller {
    None,
    Silent,
    Succeeds,
    Fails,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Lane {
    Value,
    Failure,
    Both,
}

#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    pub(crate) acts: Vec<Op>,
    pub(crate) ret: Ret,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Ret {
    Pass,
    Const(i64),
    Raise,
    Panic,
    Await(usize),
}

/// What a Deferred ends with: a value, or the name of a failure.
pub(crate) type Outcome = Result<i64, String>;

fn which() -> impl Strategy<Value = usize> {
    0..12usize
}

fn ret() -> impl Strategy<Value = Ret> {
    prop_oneof![
        3 => Just(Ret::Pass),
        2 => (0..100i64).prop_map(Ret::Const),
        2 => Just(Ret::Raise),
        1 => Just(Ret::Panic),
        3 => which().prop_map(Ret::Await),
    ]
}

fn op(depth: u32) -> BoxedStrategy<Op> {
    let canceller = prop_oneof![
        Just(Canceller::None),
        Just(Canceller::Silent),
        Just(Canceller::Succeeds),
        Just(Canceller::Fails)
    ];
    let flat = prop_oneof![
        4 => canceller.prop_map(Op::New),
        2 => any::<bool>().prop_map(Op::Settled),
        5 => (which(), any::<bool>()).prop_map(|(d, ok)| Op::Fire(d, ok)),
        3 => which().prop_map(Op::Cancel),
        2 => which().prop_map(Op::Drop),
        2 => (vec(which(), 0..4), any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(of, one_cb, one_eb, consume)| Op::List(of, one_cb, one_eb, consume)),
        1 => vec(which(), 1..4).prop_map(Op::Race),
        1 => (which(), 0..4u64).prop_map(|(d, t)| Op::Timeout(d, t)),
        1 => (0..4u64).prop_map(Op::Advance),
        1 => Just(Op::Acquire),
        1 => Just(Op::Release),
        1 => Just(Op::Put),
        1 => Just(Op::Get),
        2 => which().prop_map(Op::Share),
        4 => which().prop_map(Op::Join),
        1 => which().prop_map(Op::CancelShared),
    ];
    if depth == 0 {
        return flat.boxed();
    }
    let lane = prop_oneof![Just(Lane::Value), Just(Lane::Failure), Just(Lane::Both)];
    let behaviour = (vec(op(depth - 1), 0..3), ret()).prop_map(|(acts, ret)| Behaviour { acts, ret }).boxed();
    prop_oneof![
        15 => flat,
        4 => (which(), lane, behaviour.clone()).prop_map(|(d, lane, does)| Op::Add(d, lane, does)),
        1 => behaviour.prop_map(Op::Run),
    ]
    .boxed()
}

pub(crate) fn program() -> impl Strategy<Value = Vec<Op>> {
    vec(prop_oneof![20 => op(2), 1 => which().prop_map(Op::Abandon)], 1..40)
}
