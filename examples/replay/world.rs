//! A run of a program: each operation is one call of the public API.
//!
//! A program's things live in tables by their numbers: the two ends of Deferreds, delayed calls, locks and queues. An
//! operation takes an end out, uses it, and puts back what it got. All knowledge of chains, lists, locks, loops and
//! time-outs is in the library.

use crate::json::{event, json_input, json_name, json_number, json_object, json_one, json_text};
use crate::kinds::{failure, kind, named, outcome};
use crate::program::{Behaviour, Canceller, Input, ListOptions, Looping, Name, OnCall, Op, Ret, Step, What};
use ropewalk::task::LoopingCall;
use ropewalk::{
    Deferred, DeferredList, DeferredLock, DeferredQueue, DeferredSemaphore, DeferredState, DelayedCall, EventLoop,
    Failure, FirstOrAll, Permit, RegisteredKind, Resolver, TestClock, TimerError, race, testing, trace,
};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Duration;
use tinyjson::JsonValue;

/// What a run noted down.
pub(crate) enum Event {
    /// One that Twisted's run has as well.
    Seen(JsonValue),
    /// A result that came after a cancel with a canceller. Twisted raises `AlreadyCalledError`; here it is swallowed, as
    /// it is there too without a canceller.
    Late,
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The programs' clock starts at 0, and they may move a call to before that. A loop's clock has no time before its
/// start, so it starts later.
const START: Duration = Duration::from_secs(1_000_000);

enum Primitive {
    Lock(DeferredLock),
    Semaphore(DeferredSemaphore),
    Queue(DeferredQueue<i64>),
}

/// Stands in a recording where an operation begins.
pub(crate) const NEXT_OPERATION: &str = "the next operation";

/// A run: what there is by name, and what was noted down for each operation.
pub(crate) struct World {
    clock: TestClock,
    event_loop: EventLoop,
    /// With whether there is a canceller.
    // In the order of their names, so that two runs drop them in the same order.
    producers: RefCell<BTreeMap<Name, (Resolver<i64>, bool)>>,
    consumers: RefCell<BTreeMap<Name, Option<Deferred<i64>>>>,
    steps: RefCell<BTreeMap<Name, u32>>,
    calls: RefCell<BTreeMap<Name, Rc<DelayedCall>>>,
    primitives: RefCell<BTreeMap<Name, Rc<Primitive>>>,
    held: RefCell<BTreeMap<Name, Vec<Permit>>>,
    loops: RefCell<BTreeMap<Name, LoopingCall>>,
    /// The Deferreds that are lists.
    pub(crate) lists: RefCell<Vec<Name>>,
    pub(crate) trace: RefCell<Vec<Vec<Event>>>,
    over: Cell<bool>,
}

impl World {
    /// The world after the whole program.
    pub(crate) fn after(ops: &[Op]) -> Rc<World> {
        let clock = TestClock::new();
        clock.jump_by(START).expect("no loop is there yet");
        let world = Rc::new(World {
            event_loop: EventLoop::builder().clock(&clock).build().expect("a loop can be made"),
            clock,
            // In the order of their names, so that two runs drop them in the same order.
            producers: RefCell::default(),
            consumers: RefCell::default(),
            steps: RefCell::default(),
            calls: RefCell::default(),
            primitives: RefCell::default(),
            held: RefCell::default(),
            loops: RefCell::default(),
            lists: RefCell::default(),
            trace: RefCell::default(),
            over: Cell::new(false),
        });
        // What a list finds too late is reported at once. Twisted leaves it on the member.
        let reports = testing::capture_unhandled();
        for op in ops {
            world.trace.borrow_mut().push(Vec::new());
            trace::note(NEXT_OPERATION);
            world.act(op, None);
        }
        reports.flush_unhandled();
        world
    }

    fn note(&self, event: Event) {
        if !self.over.get()
            && let Some(events) = self.trace.borrow_mut().last_mut()
        {
            events.push(event);
        }
    }

    fn say<const N: usize>(&self, name: &str, rest: [JsonValue; N]) {
        self.note(Event::Seen(event(name, rest)));
    }

    fn raised(&self, kind: &str) {
        self.say("raised", [json_text(kind)]);
    }

    fn take(&self, d: Name) -> Option<Deferred<i64>> {
        let taken = self.consumers.borrow_mut().get_mut(&d).and_then(Option::take);
        if taken.is_none() {
            self.say("gone", [json_name(d)]);
        }
        taken
    }

    fn take_all(&self, of: &[Name]) -> Vec<Deferred<i64>> {
        of.iter().filter_map(|d| self.take(*d)).collect()
    }

    fn put(&self, d: Name, deferred: Deferred<i64>) {
        let before = self.consumers.borrow_mut().insert(d, Some(deferred));
        drop(before);
    }

    /// Puts a Deferred in its place that was made just now. Its name is its number.
    fn make(&self, d: Name, deferred: Deferred<i64>) {
        self.put(d, deferred.named(d.to_string()));
    }

    fn primitive(&self, x: Name) -> Rc<Primitive> {
        self.primitives.borrow().get(&x).expect("a program makes its locks and queues first").clone()
    }

    /// One operation. `input` is that of the step it is an act of.
    fn act(self: &Rc<Self>, op: &Op, input: Option<&Input>) {
        match op {
            Op::New(d, canceller) => {
                let (resolver, deferred) = self.pair(*d, canceller);
                let has_canceller = !matches!(canceller, Canceller::None);
                self.producers.borrow_mut().insert(*d, (resolver, has_canceller));
                self.make(*d, deferred);
            }
            Op::Settled(d, Ok(value)) => self.make(*d, Deferred::succeed(*value)),
            Op::Settled(d, Err(kind)) => self.make(*d, Deferred::fail(failure(kind))),
            Op::Add(d, step) => {
                if let Some(deferred) = self.take(*d) {
                    let deferred = self.add(*d, step, deferred);
                    self.put(*d, deferred);
                }
            }
            Op::Fire(d, What::Given(given)) => self.fire(*d, given),
            Op::Fire(d, What::StepInput) => self.fire(*d, input.expect("only acts fire with their step's input")),
            Op::Cancel(d) => {
                if let Some(deferred) = self.take(*d) {
                    deferred.cancel();
                    self.put(*d, deferred);
                }
            }
            Op::List(d, of, options) => self.list(*d, self.take_all(of), options),
            Op::Gather(d, of, consume) => {
                let list = DeferredList::new(self.take_all(of));
                let list = if *consume { list.consume_errors() } else { list };
                let (world, d) = (self.clone(), *d);
                let sum = list.gather().map(move |values| {
                    let shown = values.iter().map(|value| JsonValue::Number(*value as f64)).collect();
                    world.say("result", [json_name(d), JsonValue::Array(shown)]);
                    values.iter().sum()
                });
                self.lists.borrow_mut().push(d);
                self.make(d, sum);
            }
            Op::Race(d, of) => {
                let (world, d) = (self.clone(), *d);
                let first = race(self.take_all(of)).map(move |one| {
                    world.say("result", [json_name(d), json_one(one)]);
                    one.1
                });
                self.make(d, first);
            }
            Op::Timeout(d, t, on) => {
                if let Some(deferred) = self.take(*d) {
                    let deferred = self.timeout(*d, deferred, seconds(*t), on.as_ref());
                    self.put(*d, deferred);
                }
            }
            Op::Advance(t) => self.clock.jump_by(seconds(*t)).expect("the loop runs"),
            Op::Later(c, t, acts) => {
                let (world, acts, c) = (self.clone(), acts.clone(), *c);
                let call = self.event_loop.call_later(seconds(*t), move |_| {
                    world.say("call", [json_name(c), world.now()]);
                    acts.iter().for_each(|act| world.act(act, None));
                });
                self.calls.borrow_mut().insert(c, Rc::new(call));
            }
            Op::OnCall(c, on) => self.on_call(*c, on),
            Op::DeferLater(d, t, ret) => {
                let (world, ret, name) = (self.clone(), ret.clone(), *d);
                let deferred = self.event_loop.defer_later(seconds(*t), move |_| {
                    world.say("body", [json_name(name)]);
                    world.resolve(&ret, Ok(0))
                });
                self.make(*d, deferred);
            }
            Op::Lock(x) => self.put_primitive(*x, Primitive::Lock(DeferredLock::new())),
            Op::Semaphore(x, n) => {
                let tokens = NonZeroUsize::new(*n).expect("a semaphore has tokens");
                self.put_primitive(*x, Primitive::Semaphore(DeferredSemaphore::new(tokens)));
            }
            Op::Queue(x, size, backlog) => {
                self.put_primitive(*x, Primitive::Queue(DeferredQueue::new(*size, *backlog)));
            }
            Op::Acquire(x, d) => {
                let permit = match &*self.primitive(*x) {
                    Primitive::Lock(lock) => lock.acquire(),
                    Primitive::Semaphore(semaphore) => semaphore.acquire(),
                    Primitive::Queue(_) => unreachable!("a queue is not acquired"),
                };
                let (world, x) = (self.clone(), *x);
                let zero = permit.map(move |permit| {
                    world.held.borrow_mut().entry(x).or_default().push(permit);
                    0
                });
                self.make(*d, zero);
            }
            Op::Release(x) => {
                let permit = self.held.borrow_mut().get_mut(x).and_then(Vec::pop);
                match permit {
                    Some(permit) => permit.release(),
                    None => self.say("not-held", [json_name(*x)]),
                }
            }
            Op::Run(x, d, body) => {
                let site = Site { world: self.clone(), note: Note::Body(*d), behaviour: body.clone() };
                let deferred = match &*self.primitive(*x) {
                    Primitive::Lock(lock) => lock.run(move || site.deferred(Ok(0))),
                    Primitive::Semaphore(semaphore) => semaphore.run(move || site.deferred(Ok(0))),
                    Primitive::Queue(_) => unreachable!("a queue runs nothing"),
                };
                self.make(*d, deferred);
            }
            Op::Put(x, value) => {
                if self.queue(*x).put(*value).is_err() {
                    self.raised("QueueOverflow");
                }
            }
            Op::Get(x, d) => match self.queue(*x).get() {
                Ok(deferred) => self.make(*d, deferred),
                Err(_) => self.raised("QueueUnderflow"),
            },
            Op::Loop(d, looping) => self.looping(*d, looping),
            Op::LoopStop(d) => {
                let looping = self.loops.borrow().get(d).cloned();
                if looping.is_none_or(|looping| looping.stop().is_err()) {
                    self.raised("NotRunning");
                }
            }
            Op::LoopReset(d) => {
                let looping = self.loops.borrow().get(d).cloned();
                if looping.is_none_or(|looping| looping.reset().is_err()) {
                    self.raised("NotRunning");
                }
            }
        }
    }

    fn put_primitive(&self, x: Name, primitive: Primitive) {
        self.primitives.borrow_mut().insert(x, Rc::new(primitive));
    }

    fn queue(&self, x: Name) -> DeferredQueue<i64> {
        match &*self.primitive(x) {
            Primitive::Queue(queue) => queue.clone(),
            _ => unreachable!("only a queue has values"),
        }
    }

    fn pair(self: &Rc<Self>, d: Name, canceller: &Canceller) -> (Resolver<i64>, Deferred<i64>) {
        let world = self.clone();
        match canceller {
            Canceller::None => Deferred::new(),
            Canceller::Noop => Deferred::with_canceller(move || world.say("canceller", [json_name(d)])),
            Canceller::Fires(input) => {
                let input = input.clone();
                Deferred::with_canceller(move || {
                    world.say("canceller", [json_name(d)]);
                    world.fire(d, &input);
                })
            }
        }
    }

    fn fire(&self, d: Name, input: &Input) {
        let taken = self.producers.borrow_mut().remove(&d);
        match taken {
            None => self.raised("AlreadyCalledError"),
            Some((resolver, has_canceller)) => {
                if has_canceller && resolver.is_cancelled() {
                    self.note(Event::Late);
                }
                match input {
                    Ok(value) => resolver.succeed(*value),
                    Err(kind) => resolver.fail(failure(kind)),
                }
            }
        }
    }

    fn list(self: &Rc<Self>, d: Name, members: Vec<Deferred<i64>>, options: &ListOptions) {
        self.lists.borrow_mut().push(d);
        let world = self.clone();
        let all = move |results: Vec<Result<i64, Failure>>| {
            let pair = |result: &Result<i64, Failure>| {
                JsonValue::Array(vec![JsonValue::Boolean(result.is_ok()), json_input(&named(result))])
            };
            world.say("result", [json_name(d), JsonValue::Array(results.iter().map(pair).collect())]);
            results.into_iter().flatten().sum()
        };
        let list = DeferredList::new(members);
        let list = if options.consume { list.consume_errors() } else { list };
        let list = if options.one_errback { list.fire_on_one_errback() } else { list };
        let sum = if options.one_callback {
            let world = self.clone();
            list.fire_on_one_callback().start().map(move |result| match result {
                FirstOrAll::First(one) => {
                    world.say("result", [json_name(d), json_one(one)]);
                    one.1
                }
                FirstOrAll::All(results) => all(results),
            })
        } else {
            list.start().map(all)
        };
        self.make(d, sum);
    }

    fn timeout(self: &Rc<Self>, d: Name, to: Deferred<i64>, after: Duration, on: Option<&Ret>) -> Deferred<i64> {
        let Some(ret) = on else { return to.add_timeout(after, &self.event_loop) };
        let (world, ret) = (self.clone(), ret.clone());
        to.add_timeout_with(after, &self.event_loop, move |result, _| {
            world.say("ontimeout", [json_name(d), json_input(&named(&result))]);
            world.resolve(&ret, result)
        })
    }

    fn on_call(&self, c: Name, on: &OnCall) {
        let call = self.calls.borrow().get(&c).cloned();
        let Some(call) = call else { return self.say("gone-call", [json_name(c)]) };
        let done = match on {
            OnCall::Cancel => call.cancel(),
            OnCall::Reset(t) => call.reset(seconds(*t)),
            OnCall::Delay(t) => match u64::try_from(*t) {
                Ok(later) => call.delay(seconds(later)),
                Err(_) => {
                    call.deadline().and_then(|due| call.reset_at(due.saturating_sub(seconds(t.unsigned_abs()))))
                }
            },
            OnCall::Active => return self.say("active", [json_name(c), JsonValue::Boolean(call.is_active())]),
        };
        match done {
            Ok(()) => {}
            Err(TimerError::AlreadyCancelled) => self.raised("AlreadyCancelled"),
            Err(_) => self.raised("AlreadyCalled"),
        }
    }

    fn looping(self: &Rc<Self>, d: Name, looping: &Looping) {
        let ticks = Rc::new(Cell::new(0));
        let (world, bodies, n) = (self.clone(), looping.bodies.clone(), ticks.clone());
        let body = move |count: Option<u64>| {
            let tick = n.replace(n.get() + 1);
            let behaviour = bodies[tick % bodies.len()].clone();
            Site { world: world.clone(), note: Note::Tick(d, tick, count), behaviour }.deferred(Ok(0))
        };
        let call = match looping.count {
            true => LoopingCall::with_count(move |_, count| body(Some(count))),
            false => LoopingCall::new(move |_| body(None)),
        };
        self.loops.borrow_mut().insert(d, call.clone());
        let ended = call.start(&self.event_loop, seconds(looping.interval), looping.now);
        self.make(d, ended.map(move |()| ticks.get() as i64));
    }

    /// A step that waits gives back a `Deferred`, any other a `Result`: both of the forms that a callback may have.
    fn add(self: &Rc<Self>, d: Name, step: &Step, to: Deferred<i64>) -> Deferred<i64> {
        let n = {
            let mut steps = self.steps.borrow_mut();
            let count = steps.entry(d).or_default();
            *count += 1;
            *count - 1
        };
        let site = |b: &Rc<Behaviour>| Site { world: self.clone(), note: Note::Step(d, n), behaviour: b.clone() };
        match step {
            Step::Callback(b) if b.waits() => {
                let site = site(b);
                to.add_callback(move |value| site.deferred(Ok(value)))
            }
            Step::Callback(b) => {
                let site = site(b);
                to.add_callback(move |value| site.result(Ok(value)))
            }
            Step::Errback(b) if b.waits() => {
                let site = site(b);
                to.add_errback(move |failure| site.deferred(Err(failure)))
            }
            Step::Errback(b) => {
                let site = site(b);
                to.add_errback(move |failure| site.result(Err(failure)))
            }
            Step::Both(b) if b.waits() => {
                let site = site(b);
                to.add_both(move |result| site.deferred(result))
            }
            Step::Both(b) => {
                let site = site(b);
                to.add_both(move |result| site.result(result))
            }
            Step::Callbacks(on, err) => {
                let (on, err) = (site(on), site(err));
                match (on.behaviour.waits(), err.behaviour.waits()) {
                    (false, false) => to.add_callbacks(move |v| on.result(Ok(v)), move |f| err.result(Err(f))),
                    (false, true) => to.add_callbacks(move |v| on.result(Ok(v)), move |f| err.deferred(Err(f))),
                    (true, false) => to.add_callbacks(move |v| on.deferred(Ok(v)), move |f| err.result(Err(f))),
                    (true, true) => to.add_callbacks(move |v| on.deferred(Ok(v)), move |f| err.deferred(Err(f))),
                }
            }
        }
    }

    /// What a function of the program makes of its input.
    fn resolve(&self, ret: &Ret, input: Result<i64, Failure>) -> Deferred<i64> {
        match ret {
            Ret::Await(on) => self.take(*on).unwrap_or_else(|| Deferred::from_result(input)),
            ret => Deferred::from_result(ret.of(input)),
        }
    }

    pub(crate) fn now(&self) -> JsonValue {
        JsonValue::Number((self.clock.now() - START).as_secs_f64())
    }

    /// How many delayed calls are still to come.
    pub(crate) fn scheduled(&self) -> JsonValue {
        let is_timer = |kind: &RegisteredKind| matches!(kind, RegisteredKind::Timer(_));
        json_number(self.event_loop.still_registered().iter().filter(|r| is_timer(&r.kind)).count())
    }

    /// The state of each lock, semaphore and queue. Takes what lies in the queues.
    pub(crate) fn primitives(&self) -> JsonValue {
        let state = |primitive: &Primitive| match primitive {
            Primitive::Lock(lock) => json_object([
                ("locked", JsonValue::Boolean(lock.is_locked())),
                ("waiting", json_number(lock.waiting())),
            ]),
            Primitive::Semaphore(semaphore) => json_object([
                ("tokens", json_number(semaphore.tokens())),
                ("waiting", json_number(semaphore.waiting())),
            ]),
            Primitive::Queue(queue) => {
                let waiting = json_number(queue.waiting());
                let next = |_| queue.get().ok().and_then(|value| value.try_result().ok()?.ok());
                let pending =
                    (0..queue.len()).filter_map(next).map(|value| JsonValue::Number(value as f64)).collect();
                json_object([("pending", JsonValue::Array(pending)), ("waiting", waiting)])
            }
        };
        let all = self.primitives.borrow();
        JsonValue::Object(all.iter().map(|(x, primitive)| (x.to_string(), state(primitive))).collect())
    }

    fn take_ends(&self) -> Vec<(Name, Option<Deferred<i64>>)> {
        self.consumers.borrow_mut().iter_mut().map(|(d, end)| (*d, end.take())).collect()
    }

    /// The state of each Deferred. Takes the results.
    pub(crate) fn results(&self) -> JsonValue {
        let state = |end: Option<Deferred<i64>>| match end.map(Deferred::try_result) {
            None => event("moved", []),
            Some(Ok(Ok(value))) => event("value", [JsonValue::Number(value as f64)]),
            Some(Ok(Err(failure))) => event("failure", [JsonValue::String(kind(&failure))]),
            Some(Err(pending)) => {
                let facts = pending.describe();
                match facts.state() {
                    DeferredState::Paused => {
                        let on = facts.waits_for().first().and_then(|on| on.name.as_ref()?.parse().ok());
                        JsonValue::Array([json_text("waiting")].into_iter().chain(on.map(json_name)).collect())
                    }
                    _ => event("pending", []),
                }
            }
        };
        JsonValue::Object(self.take_ends().into_iter().map(|(d, end)| (d.to_string(), state(end))).collect())
    }

    /// What is reported as unhandled when each end is dropped, in order.
    pub(crate) fn unhandled(&self) -> JsonValue {
        let ends = self.take_ends();
        let reports = testing::capture_unhandled();
        let mut lost = Vec::new();
        for (d, end) in ends {
            drop(end);
            for report in reports.flush_unhandled() {
                lost.push(JsonValue::Array(vec![json_name(d), JsonValue::String(kind(report.failure()))]));
            }
        }
        JsonValue::Array(lost)
    }

    /// Lets go of all. What that abandons is no part of the program.
    pub(crate) fn end(&self) {
        self.over.set(true);
        let reports = testing::capture_unhandled();
        for (_, call) in self.calls.take() {
            let _ = call.cancel(); // it holds this world
        }
        for (_, looping) in self.loops.take() {
            let _ = looping.stop();
        }
        let ends = (self.consumers.take(), self.producers.take(), self.held.take(), self.primitives.take());
        drop(ends);
        reports.flush_unhandled();
    }
}

impl Behaviour {
    fn waits(&self) -> bool {
        matches!(self.ret, Ret::Await(_))
    }
}

impl Ret {
    fn of(&self, input: Result<i64, Failure>) -> Result<i64, Failure> {
        match self {
            Ret::Pass | Ret::Await(_) => input,
            Ret::Const(n) => Ok(*n),
            Ret::Add(n) => input.map(|value| value + n),
            Ret::Raise(kind) => outcome(&Err(kind.clone())),
        }
    }
}

/// What is noted down when a function of the program starts.
#[derive(Clone, Copy)]
enum Note {
    Step(Name, u32),
    Body(Name),
    Tick(Name, usize, Option<u64>),
}

/// A function of the program, as its closure holds it.
struct Site {
    world: Rc<World>,
    note: Note,
    behaviour: Rc<Behaviour>,
}

impl Site {
    fn begin(&self, input: &Result<i64, Failure>) {
        let input = named(input);
        let world = &self.world;
        if world.over.get() {
            return;
        }
        match self.note {
            Note::Step(d, n) => world.say("step", [json_text(&format!("{d}.{n}")), json_input(&input)]),
            Note::Body(d) => world.say("body", [json_name(d)]),
            Note::Tick(d, n, None) => world.say("tick", [json_name(d), json_number(n), world.now()]),
            Note::Tick(d, n, Some(count)) => {
                world.say("tick", [json_name(d), json_number(n), world.now(), json_number(count)]);
            }
        }
        for act in &self.behaviour.acts {
            world.act(act, Some(&input));
        }
    }

    fn result(&self, input: Result<i64, Failure>) -> Result<i64, Failure> {
        self.begin(&input);
        self.behaviour.ret.of(input)
    }

    fn deferred(&self, input: Result<i64, Failure>) -> Deferred<i64> {
        self.begin(&input);
        self.world.resolve(&self.behaviour.ret, input)
    }
}
