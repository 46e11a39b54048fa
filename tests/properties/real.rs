//! The same programs on the library: each operation is a call of its own.

use crate::program::{Behaviour, Canceller, Lane, Op, Outcome, Ret};
use ropewalk::testing::capture_unhandled;
use ropewalk::{
    AbandonedError, CancelledError, Deferred, DeferredList, DeferredQueue, DeferredSemaphore, EventLoop, Failure,
    FailureGroup, FirstError, FirstOrAll, Permit, Resolver, Shared, TestClock, TimeoutError, race,
};
use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Duration;

struct World {
    clock: TestClock,
    event_loop: EventLoop,
    producers: RefCell<Vec<Option<Resolver<i64>>>>,
    consumers: RefCell<Vec<Option<Deferred<i64>>>>,
    counts: RefCell<Vec<usize>>,
    semaphore: DeferredSemaphore,
    held: RefCell<Vec<Permit>>,
    queue: DeferredQueue<i64>,
    shares: RefCell<Vec<Shared<i64>>>,
    names: Cell<usize>,
    events: RefCell<Vec<String>>,
}

pub(crate) fn run(ops: &[Op]) -> Vec<Vec<String>> {
    let clock = TestClock::new();
    let world = Rc::new(World {
        event_loop: EventLoop::builder().clock(&clock).build().expect("a loop"),
        clock,
        producers: RefCell::default(),
        consumers: RefCell::default(),
        counts: RefCell::default(),
        semaphore: DeferredSemaphore::new(NonZeroUsize::new(2).expect("two")),
        held: RefCell::default(),
        queue: DeferredQueue::new(2, 2),
        shares: RefCell::default(),
        names: Cell::new(0),
        events: RefCell::default(),
    });
    let reports = capture_unhandled();
    let mut trace = Vec::new();
    let events = || {
        let mut lost: Vec<String> = reports.flush_unhandled().iter().map(|r| name(r.failure())).collect();
        lost.sort();
        let mut events = world.events.take();
        events.extend(lost.into_iter().map(|name| format!("reported {name}")));
        events
    };
    let mut act = |op: &Op| {
        world.act(op);
        trace.push(events());
    };
    ops.iter().for_each(&mut act);
    // Steps may make more while the ends are let go, so the number is asked for each time.
    let known = world.consumers.borrow().len();
    (0..known).for_each(|d| act(&Op::Drop(d)));
    let known = world.consumers.borrow().len();
    (0..known).for_each(|d| act(&Op::Abandon(d)));
    while !world.held.borrow().is_empty() {
        act(&Op::Release);
    }
    for share in world.shares.take() {
        drop(share);
        trace.push(events());
    }
    let left = world.event_loop.still_registered().len();
    let held = world.held.borrow().len();
    let (line, getters) = (world.semaphore.waiting(), world.queue.waiting());
    trace.push(vec![format!("left {left} held {held} line {line} get {getters}")]);
    let ends = (world.consumers.take(), world.producers.take(), world.held.take());
    drop((ends, world));
    reports.flush_unhandled();
    trace
}

/// A failure's name in the trace.
fn name(failure: &Failure) -> String {
    if failure.check::<CancelledError>().is_some() {
        "Cancelled".to_owned()
    } else if failure.check::<AbandonedError>().is_some() {
        "Abandoned".to_owned()
    } else if failure.check::<TimeoutError>().is_some() {
        "TimedOut".to_owned()
    } else if let Some(panic) = failure.check::<ropewalk::PanicError>() {
        format!("panic {}", panic.message())
    } else if let Some(first) = failure.check::<FirstError>() {
        format!("First({},{})", first.index(), name(first.failure()))
    } else if let Some(group) = failure.check::<FailureGroup>() {
        format!("Group({})", group.failures().iter().map(name).collect::<Vec<_>>().join(","))
    } else {
        failure.to_string()
    }
}

fn outcome(result: &Result<i64, Failure>) -> Outcome {
    result.as_ref().map(|value| *value).map_err(name)
}

impl World {
    fn say(&self, event: String) {
        self.events.borrow_mut().push(event);
    }

    fn name(&self) -> String {
        self.names.set(self.names.get() + 1);
        format!("F{}", self.names.get())
    }

    fn result(&self, ok: bool) -> Result<i64, Failure> {
        if ok { Ok(7) } else { Err(Failure::msg(self.name())) }
    }

    fn make(&self, deferred: Deferred<i64>, resolver: Option<Resolver<i64>>) {
        self.producers.borrow_mut().push(resolver);
        self.consumers.borrow_mut().push(Some(deferred));
        self.counts.borrow_mut().push(0);
    }

    /// A number, with its place held before what is made is known.
    fn reserve(&self) -> usize {
        self.producers.borrow_mut().push(None);
        self.consumers.borrow_mut().push(None);
        self.counts.borrow_mut().push(0);
        self.consumers.borrow().len() - 1
    }

    fn find(&self, d: usize) -> Option<usize> {
        let known = self.consumers.borrow().len();
        (known > 0).then(|| d % known)
    }

    fn take(&self, d: usize) -> Option<(usize, Deferred<i64>)> {
        let d = self.find(d)?;
        let taken = self.consumers.borrow_mut()[d].take();
        if taken.is_none() {
            self.say(format!("gone {d}"));
        }
        Some((d, taken?))
    }

    fn put(&self, d: usize, deferred: Deferred<i64>) {
        self.consumers.borrow_mut()[d] = Some(deferred);
    }

    fn producer(&self, d: usize) -> Option<Resolver<i64>> {
        self.producers.borrow_mut()[d].take()
    }

    fn act(self: &Rc<Self>, op: &Op) {
        match op {
            Op::New(Canceller::None) => {
                let (resolver, deferred) = Deferred::new();
                self.make(deferred, Some(resolver));
            }
            Op::New(canceller) => {
                let (world, canceller, d) = (self.clone(), *canceller, self.consumers.borrow().len());
                let (resolver, deferred) = Deferred::with_canceller(move || {
                    world.say(format!("canceller {d}"));
                    if canceller != Canceller::Silent {
                        let result = world.result(canceller == Canceller::Succeeds);
                        if let Some(resolver) = world.producer(d) {
                            resolver.fire(result);
                        }
                    }
                });
                self.make(deferred, Some(resolver));
            }
            Op::Settled(ok) => self.make(Deferred::from_result(self.result(*ok)), None),
            Op::Add(d, lane, does) => {
                if let Some((d, deferred)) = self.take(*d) {
                    let n = self.counts.borrow()[d];
                    self.counts.borrow_mut()[d] += 1;
                    let (world, does) = (self.clone(), does.clone());
                    let step = move |result| world.step(&format!("{d}.{n}"), &does, result);
                    let deferred = match lane {
                        Lane::Value => deferred.add_callback(move |value| step(Ok(value))),
                        Lane::Failure => deferred.add_errback(move |failure| step(Err(failure))),
                        Lane::Both => deferred.add_both(step),
                    };
                    self.put(d, deferred);
                }
            }
            Op::Fire(d, ok) => {
                let Some(d) = self.find(*d) else { return };
                let result = self.result(*ok);
                if let Some(resolver) = self.producer(d) {
                    resolver.fire(result);
                }
            }
            Op::Abandon(d) => drop(self.find(*d).map(|d| self.producer(d))),
            Op::Cancel(d) => {
                if let Some((d, deferred)) = self.take(*d) {
                    deferred.cancel();
                    self.put(d, deferred);
                }
            }
            Op::Drop(d) => drop(self.take(*d)),
            Op::List(of, one_callback, one_errback, consume) => {
                let members: Vec<_> = of.iter().filter_map(|d| self.take(*d)).map(|(_, d)| d).collect();
                if !(*one_callback && members.is_empty()) {
                    self.list(members, *one_callback, *one_errback, *consume);
                }
            }
            Op::Race(of) => {
                let members: Vec<_> = of.iter().filter_map(|d| self.take(*d)).map(|(_, d)| d).collect();
                if members.is_empty() {
                    return;
                }
                let (g, world) = (self.reserve(), self.clone());
                let first = race(members).map(move |(i, value)| {
                    world.say(format!("result {g} {i} {value}"));
                    value
                });
                self.put(g, first);
            }
            Op::Timeout(d, after) => {
                if let Some((d, deferred)) = self.take(*d) {
                    self.put(d, deferred.add_timeout(Duration::from_secs(*after), &self.event_loop));
                }
            }
            Op::Advance(by) => self.clock.jump_by(Duration::from_secs(*by)).expect("the loop runs"),
            Op::Acquire => {
                let (d, world) = (self.reserve(), self.clone());
                let zero = self.semaphore.acquire().map(move |permit| {
                    world.held.borrow_mut().push(permit);
                    0
                });
                self.put(d, zero);
            }
            Op::Release => {
                let permit = self.held.borrow_mut().pop();
                if let Some(permit) = permit {
                    permit.release();
                }
            }
            Op::Run(does) => {
                let (d, world, does) = (self.reserve(), self.clone(), does.clone());
                let deferred = self.semaphore.run(move || {
                    world.say(format!("body {d}"));
                    world.behave(&does, Ok(0))
                });
                self.put(d, deferred);
            }
            Op::Share(d) => {
                if let Some((_, deferred)) = self.take(*d) {
                    self.shares.borrow_mut().push(deferred.share());
                }
            }
            Op::Join(s) => {
                if let Some(shared) = self.shared(*s) {
                    let d = self.reserve();
                    self.put(d, shared.get());
                }
            }
            Op::CancelShared(s) => {
                if let Some(shared) = self.shared(*s) {
                    shared.cancel();
                }
            }
            Op::Put => {
                if self.queue.put(5).is_err() {
                    self.say("overflow".to_owned());
                }
            }
            Op::Get => match self.queue.get() {
                Ok(deferred) => self.make(deferred, None),
                Err(_) => self.say("underflow".to_owned()),
            },
        }
    }

    fn list(self: &Rc<Self>, members: Vec<Deferred<i64>>, one_callback: bool, one_errback: bool, consume: bool) {
        let (g, world) = (self.reserve(), self.clone());
        let all = move |results: Vec<Result<i64, Failure>>| {
            let shown: Vec<Outcome> = results.iter().map(outcome).collect();
            world.say(format!("result {g} {shown:?}"));
            results.into_iter().flatten().sum::<i64>()
        };
        let list = DeferredList::new(members);
        let list = if one_errback { list.fire_on_one_errback() } else { list };
        let list = if consume { list.consume_errors() } else { list };
        let sum = if one_callback {
            let world = self.clone();
            list.fire_on_one_callback().start().map(move |result| match result {
                FirstOrAll::First((i, value)) => {
                    world.say(format!("result {g} {i} {value}"));
                    value
                }
                FirstOrAll::All(results) => all(results),
            })
        } else {
            list.start().map(all)
        };
        self.put(g, sum);
    }

    fn shared(&self, s: usize) -> Option<Shared<i64>> {
        let shares = self.shares.borrow();
        shares.get(s.checked_rem(shares.len())?).cloned()
    }

    fn step(self: &Rc<Self>, step: &str, does: &Behaviour, result: Result<i64, Failure>) -> Deferred<i64> {
        self.say(format!("step {step} {:?}", outcome(&result)));
        self.behave(does, result)
    }

    fn behave(self: &Rc<Self>, does: &Behaviour, result: Result<i64, Failure>) -> Deferred<i64> {
        does.acts.iter().for_each(|act| self.act(act));
        Deferred::from_result(match does.ret {
            Ret::Pass => result,
            Ret::Const(value) => Ok(value),
            Ret::Raise => Err(Failure::msg(self.name())),
            // Not a panic of the default hook, which would print each of them.
            Ret::Panic => std::panic::resume_unwind(Box::new(self.name())),
            Ret::Await(on) => return self.take(on).map_or_else(|| Deferred::from_result(result), |(_, d)| d),
        })
    }
}
