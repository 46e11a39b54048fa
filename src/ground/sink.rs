//! What the library itself puts at the end of a chain: a sink takes the result out, a relay lets it go on.
//!
//! Neither is a step: it has no number, and it runs nothing of the program's. What it wants done it leaves as jobs, so
//! that a chain that ends never calls the next one.

use super::chain::{self, Accept, Advance, Chain, Drive, Node, Part, drive};
use super::deferred::{Deferred, End, Origin};
use super::failure::Failure;
use super::info::{Info, Phase};
use super::jobs::{Job, Jobs, Walk};
use super::step::Outcome;
use super::tell;
use super::trace::{self, Place};
use std::any::type_name;
use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// Takes the result of a chain.
pub(crate) trait Sink<T: 'static>: 'static {
    /// `from`: the chain that ends here.
    fn take(self, outcome: Outcome<T>, from: &Origin, jobs: &mut Jobs);
}

/// Sees the result of a chain pass.
pub(crate) trait Relay: 'static {
    /// Answers what is to be done before the chain goes on.
    fn passed(self) -> Option<Job>;
}

impl<T: 'static> Deferred<T> {
    /// Gives the result to `sink`: now if it is there, else when it comes.
    pub(crate) fn give_to(self, sink: impl Sink<T>, jobs: &mut Jobs) {
        let (outcome, origin) = match self.into_end() {
            End::Done(outcome, origin) => (outcome, origin),
            End::Pending(tail, chain) => match tail.take() {
                Some(outcome) => (outcome, Origin::of(&tail, chain)),
                None => {
                    let node = SinkNode { sink: Cell::new(Some(sink)), at: tail.part.at(), takes: PhantomData };
                    return chain::hang(&tail, Rc::new(node));
                }
            },
            End::Consumed => return, // nobody holds a consumed Deferred
        };
        if trace::on() {
            tell::taken(origin.info(), type_name::<T>());
        }
        sink.take(outcome, &origin, jobs);
    }

    /// Adds what must be done when the result is there, before the steps that come later see it.
    pub(crate) fn relay(self, relay: impl Relay) -> Deferred<T> {
        let end = match self.into_end() {
            End::Pending(tail, chain) => match tail.take() {
                None => {
                    let node = Rc::<Node<T, RelayPart<_>>>::default();
                    node.part.relay.set(Some(relay));
                    node.part.at.set(tail.part.at());
                    chain::hang(&tail, node.clone());
                    return Deferred { end: End::Pending(node, chain) };
                }
                Some(outcome) => {
                    tail.put(outcome);
                    End::Pending(tail, chain)
                }
            },
            done => done,
        };
        Jobs::all(|jobs| {
            if let Some(job) = relay.passed() {
                jobs.push(job);
            }
        });
        Deferred { end }
    }
}

struct SinkNode<T, K> {
    sink: Cell<Option<K>>,
    /// Where the last step was added.
    at: Option<Place>,
    takes: PhantomData<fn(T)>,
}

impl<T: 'static, K: Sink<T>> Drive for SinkNode<T, K> {
    // No result ever lies in it.
    fn advance(self: Rc<Self>, _chain: &mut Walk<'_>) -> Advance {
        Advance::Paused
    }
    fn discard(&self) -> Option<Failure> {
        None
    }
    fn at(&self) -> Option<Place> {
        self.at
    }
    fn tell_rest(self: Rc<Self>, _chain: &mut Walk<'_>) -> Advance {
        Advance::Paused
    }
}

impl<T: 'static, K: Sink<T>> Accept<T> for SinkNode<T, K> {
    fn accept(self: Rc<Self>, input: Outcome<T>, walk: &mut Walk<'_>, _stride: u32) -> Advance {
        let origin = Origin::end(walk.chain.clone(), self.at);
        origin.info().phase.set(Phase::Resting);
        if trace::on() {
            tell::taken(origin.info(), type_name::<T>());
        }
        if let Some(sink) = self.sink.take() {
            sink.take(input, &origin, walk.jobs);
        }
        Advance::Paused
    }
}

struct RelayPart<K> {
    relay: Cell<Option<K>>,
    /// Where the last step was added.
    at: Cell<Option<Place>>,
}

impl<K> Part for RelayPart<K> {
    fn at(&self) -> Option<Place> {
        self.at.get()
    }
}

impl<K> Default for RelayPart<K> {
    fn default() -> Self {
        RelayPart { relay: Cell::new(None), at: Cell::new(None) }
    }
}

impl<T: 'static, K: Relay> Accept<T> for Node<T, RelayPart<K>> {
    fn accept(self: Rc<Self>, input: Outcome<T>, walk: &mut Walk<'_>, stride: u32) -> Advance {
        let Some(job) = self.part.relay.take().and_then(K::passed) else {
            return self.lay(input, walk, stride, trace::on());
        };
        let chain: Rc<dyn Chain> = walk.chain.clone();
        walk.jobs.work(move |jobs| {
            let mut walk = Walk { chain, jobs };
            let first = self.lay(input, &mut walk, 0, trace::on());
            drive(first, walk);
        });
        walk.jobs.push(job);
        Advance::Paused
    }
}

/// Drops a value that nobody wants. A panic of its `Drop` is an error of the chain it came from.
pub(crate) fn let_go<V>(value: V, from: &Info) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        chain::lost(from, None, None, Failure::panic(payload, from.made()));
    }
}
