//! The moves of the Deferred family, and of what is made of it and a clock: lists, races, shared results, locks, queues,
//! time-outs, looping calls, cooperators, retries.

use crate::acts::{Method, free};
use crate::moves::some_handle;
use crate::world::{Chain, Ctx, Noise, Pool, Ticket, Token, Value, World, enter, seen, world};
use ropewalk::task::{Backoff, CooperativeTask, Cooperator, LoopingCall, Retry, StartError};
use ropewalk::{
    BacklogFull, Deferred, DeferredList, DeferredLock, DeferredQueue, DeferredSemaphore, DeferredState, Failure,
    FirstOrAll, PanicError, Permit, Shared, gather_results, race,
};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Duration;

const GROUP: &[&str] = &["pending", "fired"];
const PHASES: &[&str] = &["pending", "done"];
const LINE: &[&str] = &["free", "waits", "full"];

/// What lives of the family.
pub(crate) struct Family {
    gates: Pool<Gate>,
    permits: Pool<Permit>,
    queues: Pool<DeferredQueue<Value>>,
    shared: Pool<(Shared<Loud>, u64)>,
    loopings: Pool<(LoopingCall, Rc<Ticket>)>,
    cooperators: Pool<Cooperator>,
    workers: Pool<(CooperativeTask, Rc<Ticket>)>,
}

impl Family {
    pub(crate) fn new() -> Family {
        Family {
            gates: Pool::of(6),
            permits: Pool::of(6),
            queues: Pool::of(6),
            shared: Pool::of(8),
            loopings: Pool::of(10),
            cooperators: Pool::of(4),
            workers: Pool::of(12),
        }
    }

    /// The loop is gone.
    pub(crate) fn retire(&self) {
        self.cooperators.retire();
        self.workers.retire();
    }

    pub(crate) fn clear(&self) {
        self.permits.clear();
        self.gates.clear();
        self.queues.clear();
        self.shared.clear();
        self.loopings.clear();
        self.workers.clear();
        self.cooperators.clear();
    }
}

/// A lock or a semaphore, with a backlog of two.
#[derive(Clone, Debug)]
enum Gate {
    Lock(DeferredLock),
    Semaphore(DeferredSemaphore),
}

impl Gate {
    fn of(w: &World, kind: &str) -> Gate {
        let found = w.family.gates.peek_if(w, |gate| {
            let (free, waiting) = gate.state();
            let wanted = match w.want.get() {
                "free" | "some" => free,
                "full" => waiting == 2,
                _ => !free && waiting < 2,
            };
            wanted && matches!(gate, Gate::Lock(_)) == (kind == "lock")
        });
        found.unwrap_or_else(|| {
            let new = match kind {
                "lock" => Gate::Lock(DeferredLock::with_backlog(2)),
                _ => Gate::Semaphore(DeferredSemaphore::with_backlog(NonZeroUsize::MIN, 2)),
            };
            w.family.gates.put(w, new.clone());
            // As full as is wanted.
            let asked = ["free", "waits", "waits", "full"].iter().position(|want| *want == w.want.get());
            for _ in 0..asked.unwrap_or(usize::from(w.want.get() == "none")) {
                hold(w, new.acquire());
            }
            new
        })
    }

    /// Whether it is free for one who asks, and how many wait. A place that was given back a moment ago, by one who is
    /// being served, belongs to the line.
    fn state(&self) -> (bool, usize) {
        let (free, waiting) = match self {
            Gate::Lock(lock) => (!lock.is_locked(), lock.waiting()),
            Gate::Semaphore(semaphore) => (semaphore.tokens() > 0, semaphore.waiting()),
        };
        (free && waiting == 0, waiting)
    }

    fn acquire(&self) -> Deferred<Permit> {
        match self {
            Gate::Lock(lock) => lock.acquire(),
            Gate::Semaphore(semaphore) => semaphore.acquire(),
        }
    }

    fn try_acquire(&self) -> Option<Permit> {
        match self {
            Gate::Lock(lock) => lock.try_acquire(),
            Gate::Semaphore(semaphore) => semaphore.try_acquire(),
        }
    }

    fn run(&self, f: impl FnOnce() -> Deferred<Value> + 'static) -> Deferred<Value> {
        match self {
            Gate::Lock(lock) => lock.run(f),
            Gate::Semaphore(semaphore) => semaphore.run(f),
        }
    }
}

/// A value that many are given: its `Clone` calls back.
struct Loud(Noise);

impl Clone for Loud {
    fn clone(&self) -> Loud {
        enter(Ctx::Step);
        let copy = Loud(Noise);
        world().maybe_panic();
        copy
    }
}

pub(crate) static FAMILY_METHODS: &[Method] = &[
    free("DeferredList::start", GROUP, |w| {
        group(w, "DeferredList::start", |w, members| {
            let see = |results: Vec<Result<Value, Failure>>| {
                results.iter().filter_map(|result| result.as_ref().err()).for_each(seen);
                Value(None)
            };
            let list = DeferredList::new(members);
            let list = if w.one_in(2) { list.consume_errors() } else { list };
            let list = if w.one_in(3) { list.fire_on_one_errback() } else { list };
            if w.one_in(2) {
                return list.start().map(see);
            }
            list.fire_on_one_callback().start().map(move |first| match first {
                FirstOrAll::First((_, value)) => value,
                FirstOrAll::All(results) => see(results),
            })
        });
    }),
    free("gather_results", GROUP, |w| {
        group(w, "gather_results", |w, mut members| match w.one_in(2) {
            true => gather_results(members).map(|_| Value(None)),
            false => match (members.pop(), members.pop()) {
                (Some(one), Some(two)) => gather_results((one, two.map(|_| 7))).map(|(value, _)| value),
                (Some(one), None) => gather_results([one]).map(|_| Value(None)),
                _ => Deferred::succeed(Value(None)),
            },
        });
    }),
    free("race", GROUP, |w| {
        group(w, "race", |_, members| race(members).map(|(_, value)| value));
    }),
    free("Deferred::share", PHASES, |w| {
        let Some(Chain { end, serial }) = a_chain(w) else { return };
        w.hit("Deferred::share", if end.has_result() { "done" } else { "pending" });
        w.family.shared.put(w, (end.map(|_| Loud(Noise)).share(), serial));
    }),
    free("Shared::get", &["waits", "given"], |w| {
        let Some((shared, serial)) = some_shared(w) else { return };
        let Some(before) = serial.checked_sub(1) else { return };
        let end = shared.get();
        w.hit("Shared::get", if end.has_result() { "given" } else { "waits" });
        let end = end.map(|Loud(noise)| {
            drop(noise);
            enter(Ctx::Step);
            Value(None)
        });
        w.chains.put(w, Chain { end, serial: before });
    }),
    free("Shared::cancel", &["ok"], |w| {
        let Some((shared, _)) = some_shared(w) else { return };
        shared.cancel();
        w.hit("Shared::cancel", "ok");
    }),
    free("Shared: clone, Debug, waiting, drop", &["ok"], |w| {
        let Some((shared, _)) = w.family.shared.take(w) else { return };
        let _ = format!("{:?} {}", shared.clone(), shared.waiting());
        drop(shared);
        w.hit("Shared: clone, Debug, waiting, drop", "ok");
    }),
    free("Deferred::chain", PHASES, |w| {
        let Some(Chain { end, serial }) = a_chain(w) else { return };
        let Some(before) = serial.checked_sub(1) else { return };
        w.hit("Deferred::chain", if end.has_result() { "done" } else { "pending" });
        let (resolver, other) = Deferred::new();
        w.cancels.put(w, other.cancel_handle());
        w.chains.put(w, Chain { end: other, serial: before });
        // After a cancel of the other one, nobody is given it.
        end.inspect_err(seen).chain(resolver);
    }),
    free("Deferred::inspect, inspect_err, log_errors", PHASES, |w| {
        change(w, "Deferred::inspect, inspect_err, log_errors", |end| {
            let noise = Noise;
            end.inspect(|_| enter(Ctx::Step))
                .inspect_err(move |failure| {
                    let _noise = noise;
                    seen(failure);
                    enter(Ctx::Step);
                })
                .log_errors("on purpose")
                .map(|value| value.unwrap_or(Value(None)))
        });
    }),
    free("Deferred::describe", PHASES, |w| {
        change(w, "Deferred::describe", |end| {
            let _ = format!("{} {:?}", end.describe(), end.describe().waits_for().len());
            end
        });
    }),
    free("Deferred::add_timeout", PHASES, |w| {
        let (handle, delay) = (some_handle(w), delay(w));
        change(w, "Deferred::add_timeout", |end| end.add_timeout(delay, handle));
    }),
    free("Deferred::add_timeout_with", PHASES, |w| {
        let (handle, delay, noise) = (some_handle(w), delay(w), Noise);
        change(w, "Deferred::add_timeout_with", |end| {
            end.add_timeout_with(delay, handle, move |result, error| {
                let _noise = noise;
                result.as_ref().err().into_iter().for_each(seen);
                drop(error.to_string());
                enter(Ctx::Step);
                Ok(Value(None))
            })
        });
    }),
    free("Handle::defer_later", &["ok", "closed"], |w| {
        let (handle, noise) = (some_handle(w), Noise);
        let closed = handle.is_closed();
        let end = handle.defer_later(delay(w), move |_| {
            let _noise = noise;
            enter(Ctx::Step);
            world().maybe_panic();
            Ok(Value(None))
        });
        keep(w, end);
        w.hit("Handle::defer_later", if closed { "closed" } else { "ok" });
    }),
    free("DeferredLock::acquire", LINE, |w| acquire(w, "DeferredLock::acquire", "lock")),
    free("DeferredLock::try_acquire", &["some", "none"], |w| try_acquire(w, "DeferredLock::try_acquire", "lock")),
    free("DeferredLock::run", LINE, |w| run(w, "DeferredLock::run", "lock")),
    free("DeferredSemaphore::acquire", LINE, |w| acquire(w, "DeferredSemaphore::acquire", "semaphore")),
    free("DeferredSemaphore::try_acquire", &["some", "none"], |w| {
        try_acquire(w, "DeferredSemaphore::try_acquire", "semaphore");
    }),
    free("DeferredSemaphore::run", LINE, |w| run(w, "DeferredSemaphore::run", "semaphore")),
    free("a lock or semaphore: clone, Debug, drop", &["ok"], |w| {
        let Some(gate) = w.family.gates.take(w) else { return };
        let _ = format!("{:?}", gate.clone());
        drop(gate);
        w.hit("a lock or semaphore: clone, Debug, drop", "ok");
    }),
    free("Permit::release", &["ok"], |w| {
        let Some(permit) = w.family.permits.take(w) else { return hold(w, Gate::of(w, "lock").acquire()) };
        permit.release();
        w.hit("Permit::release", "ok");
    }),
    free("Permit: Debug, drop", &["ok"], |w| {
        let Some(permit) = w.family.permits.take(w) else { return hold(w, Gate::of(w, "lock").acquire()) };
        let _ = format!("{permit:?}");
        drop(permit);
        w.hit("Permit: Debug, drop", "ok");
    }),
    free("DeferredQueue::put", &["given", "kept", "overflow"], |w| {
        let queue = some_queue(w);
        let waited = queue.waiting() > 0;
        let state = match queue.put(Value(Some(Noise))) {
            Err(overflow) => {
                drop(overflow.into_value());
                "overflow"
            }
            Ok(()) if waited => "given",
            Ok(()) => "kept",
        };
        w.hit("DeferredQueue::put", state);
    }),
    free("DeferredQueue::get", &["has", "waits", "underflow"], |w| {
        let queue = some_queue(w);
        let had = !queue.is_empty();
        match queue.get() {
            Err(_) => w.hit("DeferredQueue::get", "underflow"),
            Ok(end) => {
                w.hit("DeferredQueue::get", if had { "has" } else { "waits" });
                keep(w, end);
            }
        }
    }),
    free("DeferredQueue: clone, Debug, drop", &["ok"], |w| {
        let Some(queue) = w.family.queues.take(w) else { return };
        let _ = format!("{:?} {}", queue.clone(), queue.len());
        drop(queue);
        w.hit("DeferredQueue: clone, Debug, drop", "ok");
    }),
    free("LoopingCall::start", &["ok", "running", "closed"], |w| {
        let running = w.want.get() == "running";
        let found = w.family.loopings.peek_if(w, |(looping, _)| looping.is_running() == running);
        let (looping, ticket) = found.unwrap_or_else(|| new_looping(w));
        let handle = some_handle(w);
        let called_off = ticket.paused.replace(false);
        let end = looping.start(handle, Duration::from_millis(1 + w.below(200)), w.one_in(2));
        let (state, end) = match end.try_result() {
            Ok(Err(failure)) => {
                let state = match failure.check() {
                    Some(StartError::AlreadyRunning) => "running",
                    Some(StartError::Closed) => "closed",
                    _ => "ok",
                };
                if state != "ok" {
                    ticket.paused.set(called_off);
                }
                (state, Deferred::fail(failure))
            }
            Ok(Ok(())) => ("ok", Deferred::succeed(())),
            Err(end) => ("ok", end),
        };
        w.hit("LoopingCall::start", state);
        keep(w, end.map(|()| Value(None)));
    }),
    free("LoopingCall::stop", &["ok", "not running"], |w| {
        let Some((looping, ticket)) = some_looping(w) else { return };
        // Marked first: its Deferred fires inside, and may start it again.
        let before = ticket.paused.replace(true);
        let ok = looping.stop().is_ok();
        if !ok {
            ticket.paused.set(before);
        }
        w.hit("LoopingCall::stop", if ok { "ok" } else { "not running" });
    }),
    free("LoopingCall::reset", &["ok", "not running"], |w| {
        let Some((looping, _)) = some_looping(w) else { return };
        w.hit("LoopingCall::reset", if looping.reset().is_ok() { "ok" } else { "not running" });
    }),
    free("LoopingCall::set_interval", &["ok", "not running"], |w| {
        let Some((looping, _)) = some_looping(w) else { return };
        let ok = looping.set_interval(Duration::from_millis(1 + w.below(200))).is_ok();
        w.hit("LoopingCall::set_interval", if ok { "ok" } else { "not running" });
    }),
    free("LoopingCall: interval, Debug, drop", &["ok"], |w| {
        let Some((looping, _)) = w.family.loopings.take(w) else { return };
        let _ = format!("{looping:?} {:?}", looping.interval());
        drop(looping);
        w.hit("LoopingCall: interval, Debug, drop", "ok");
    }),
    free("Cooperator::cooperate", &["ok", "stopped"], |w| {
        let cooperator = some_cooperator(w);
        let (ticket, noise, left) = (w.ticket("unit", false), Noise, 1 + w.below(9));
        let mine = ticket.clone();
        let units = (0..left).map(move |_| {
            let (w, _noise) = (world(), &noise);
            mine.run(&w, Ctx::Step);
            enter(Ctx::Step);
            w.maybe_panic();
            match w.below(6) {
                0 if w.budget.get() > 0 => Err(Token::swallowable().into()),
                1 => Ok(Some(pending(&w))),
                _ => Ok(None),
            }
        });
        let worker = cooperator.cooperate(units);
        let stopped = worker.has_ended();
        w.hit("Cooperator::cooperate", if stopped { "stopped" } else { "ok" });
        w.family.workers.put(w, (worker, ticket));
    }),
    free("Cooperator::stop, start", &["ok"], |w| {
        let Some(cooperator) = w.family.cooperators.take(w) else { return };
        cooperator.stop();
        if w.one_in(2) {
            cooperator.start();
        }
        let _ = format!("{cooperator:?} {}", cooperator.is_running());
        w.family.cooperators.put(w, cooperator);
        w.hit("Cooperator::stop, start", "ok");
    }),
    free("CooperativeTask::pause", &["ok", "ended"], |w| {
        let Some((worker, _)) = some_worker(w) else { return };
        w.hit("CooperativeTask::pause", if worker.pause().is_ok() { "ok" } else { "ended" });
    }),
    free("CooperativeTask::resume", &["ok", "not paused"], |w| {
        let Some((worker, _)) = some_worker(w) else { return };
        if w.want.get() == "ok" {
            let _ = worker.pause();
        }
        w.hit("CooperativeTask::resume", if worker.resume().is_ok() { "ok" } else { "not paused" });
    }),
    free("CooperativeTask::stop", &["ok", "ended"], |w| {
        let Some((worker, ticket)) = some_worker(w) else { return };
        // Marked first: its iterator's Drop may do everything.
        ticket.called_off.set(true);
        w.hit("CooperativeTask::stop", if worker.stop().is_ok() { "ok" } else { "ended" });
    }),
    free("CooperativeTask::when_done", &["pending", "ended"], |w| {
        let Some((worker, _)) = some_worker(w) else { return };
        w.hit("CooperativeTask::when_done", if worker.has_ended() { "ended" } else { "pending" });
        keep(w, worker.when_done().map(|()| Value(None)));
    }),
    free("CooperativeTask: clone, Debug, drop", &["ok"], |w| {
        let Some((worker, _)) = w.family.workers.take(w) else { return };
        let _ = format!("{:?}", worker.clone());
        drop(worker);
        w.hit("CooperativeTask: clone, Debug, drop", "ok");
    }),
    free("Retry::run", &["ok", "closed"], |w| {
        let handle = some_handle(w);
        let closed = handle.is_closed();
        let waits = Backoff::new().initial(delay(w)).seed(w.below(1000));
        let noise = Noise;
        let end = Retry::new().backoff(waits).max_attempts(3).run(handle, move |_| {
            let (w, _noise) = (world(), &noise);
            enter(Ctx::Step);
            w.maybe_panic();
            match w.below(3) {
                0 => Deferred::succeed(Value(None)),
                1 => Deferred::fail(Token::swallowable()),
                _ => pending(&w),
            }
        });
        keep(w, end);
        w.hit("Retry::run", if closed { "closed" } else { "ok" });
    }),
];

/// Why a cell cannot exist; `None` if it can.
pub(crate) fn impossible(method: &Method, state: &str, ctx: Ctx) -> Option<&'static str> {
    match (method.name, state) {
        ("Handle::defer_later" | "Retry::run" | "LoopingCall::start", "ok") if ctx == Ctx::LoopDrop => {
            Some("the loop is gone")
        }
        _ => None,
    }
}

fn keep(w: &World, end: Deferred<Value>) {
    let serial = w.next_serial();
    w.chains.put(w, Chain { end, serial });
}

/// What a function may wait for. Whoever asked for its result may have left when it comes.
fn pending(w: &World) -> Deferred<Value> {
    if w.budget.get() == 0 {
        return Deferred::succeed(Value(None)); // at the end nothing is left waiting
    }
    let (resolver, pending) = Deferred::new();
    w.resolvers.put(w, resolver);
    pending.inspect_err(seen)
}

fn delay(w: &World) -> Duration {
    Duration::from_micros(w.below(900))
}

/// A chain in the state that is wanted, if there is one.
fn a_chain(w: &World) -> Option<Chain> {
    let done = matches!(w.want.get(), "done" | "fired" | "given");
    w.chains.prefer(w, |chain| chain.end.has_result() == done)
}

/// Takes a chain, does something to its end, and keeps the new end.
fn change(w: &World, method: &'static str, f: impl FnOnce(Deferred<Value>) -> Deferred<Value>) {
    let Some(Chain { end, serial }) = a_chain(w) else { return };
    w.hit(method, if end.has_result() { "done" } else { "pending" });
    w.chains.put(w, Chain { end: f(end), serial });
}

/// Makes one chain of several. It waits for them, so it stands before all of them: chains wait only for later ones.
fn group(w: &World, method: &'static str, f: impl FnOnce(&World, Vec<Deferred<Value>>) -> Deferred<Value>) {
    let mut first = w.next_serial();
    let mut members = Vec::new();
    for _ in 0..w.below(4) {
        let Some(Chain { end, serial }) = a_chain(w) else { break };
        if serial == 0 {
            break;
        }
        first = first.min(serial - 1);
        // What comes too late for a list, or for a race, goes nowhere.
        members.push(end.inspect_err(seen));
    }
    let end = f(w, members);
    w.hit(method, if end.has_result() { "fired" } else { "pending" });
    w.cancels.put(w, end.cancel_handle());
    w.chains.put(w, Chain { end, serial: first });
}

fn some_shared(w: &World) -> Option<(Shared<Loud>, u64)> {
    if w.want.get() == "given" && w.one_in(2) {
        let serial = w.next_serial();
        w.family.shared.put(w, (Deferred::succeed(Loud(Noise)).share(), serial));
    }
    w.family.shared.peek(w)
}

/// Keeps a permit once it is there.
fn hold(w: &World, permit: Deferred<Permit>) {
    let held = permit.map(|permit| {
        let w = world();
        enter(Ctx::Step);
        if w.budget.get() > 0 {
            w.family.permits.put(&w, permit);
        }
        Value(None)
    });
    keep(w, held);
}

fn line_state(gate: &Gate) -> &'static str {
    match gate.state() {
        (true, _) => "free",
        (false, 2) => "full",
        (false, _) => "waits",
    }
}

fn acquire(w: &World, method: &'static str, kind: &str) {
    let gate = Gate::of(w, kind);
    let state = line_state(&gate);
    let before = w.steps.get();
    let permit = gate.acquire();
    // A recorder that heard of it may have come first.
    let alone = w.steps.get() == before;
    let refused = permit.describe().state() == DeferredState::Failed;
    if alone && refused != (state == "full") {
        w.broken(format!("{method} was {}refused at {gate:?}", if refused { "" } else { "not " }));
    }
    w.hit(method, state);
    hold(w, permit);
}

fn try_acquire(w: &World, method: &'static str, kind: &str) {
    let gate = Gate::of(w, kind);
    match gate.try_acquire() {
        None => w.hit(method, "none"),
        Some(permit) => {
            w.hit(method, "some");
            w.family.permits.put(w, permit);
        }
    }
}

fn run(w: &World, method: &'static str, kind: &str) {
    let gate = Gate::of(w, kind);
    let (state, ticket, noise) = (line_state(&gate), w.ticket("run", true), Noise);
    let (off, before) = (ticket.clone(), w.steps.get());
    let end = gate.run(move || {
        let (w, _noise) = (world(), noise);
        ticket.run(&w, Ctx::Step);
        enter(Ctx::Step);
        w.maybe_panic();
        if w.one_in(2) {
            return Deferred::from_result(if w.one_in(2) { Ok(Value(None)) } else { Err(Token::new().into()) });
        }
        pending(&w)
    });
    // A recorder that heard of it may have come first.
    let alone = state == "free" || w.steps.get() == before;
    let end = end.add_errback(move |failure| {
        // The function that is not called is dropped, and that may panic.
        let full = failure.check::<BacklogFull>().is_some();
        off.called_off.set(off.called_off.get() || full);
        if alone && (state == "full") != full && failure.check::<PanicError>().is_none() {
            world().broken(format!("{state}: {failure}"));
        }
        Err(failure)
    });
    w.hit(method, state);
    keep(w, end);
}

fn some_queue(w: &World) -> DeferredQueue<Value> {
    let want = w.want.get();
    let found = w.family.queues.peek_if(w, |queue| match want {
        "given" | "underflow" => queue.waiting() == 2,
        "overflow" | "has" => queue.len() == 2,
        _ => queue.waiting() < 2 && queue.len() < 2,
    });
    found.unwrap_or_else(|| {
        let queue = DeferredQueue::new(2, 2);
        w.family.queues.put(w, queue.clone());
        for _ in 0..2 {
            match want {
                "given" | "underflow" => drop(queue.get().map(|end| keep(w, end))),
                "overflow" | "has" => drop(queue.put(Value(Some(Noise)))),
                _ => {}
            }
        }
        queue
    })
}

fn new_looping(w: &World) -> (LoopingCall, Rc<Ticket>) {
    let (ticket, noise) = (w.ticket("looping call", false), Noise);
    let mine = ticket.clone();
    let body = move || {
        let (w, _noise) = (world(), &noise);
        mine.run(&w, Ctx::Step);
        enter(Ctx::Step);
        w.maybe_panic();
        if w.chance(8) {
            return Deferred::fail(Token::swallowable());
        }
        if w.chance(6) {
            return pending(&w);
        }
        Deferred::succeed(Value(None))
    };
    let looping = match w.one_in(2) {
        true => LoopingCall::new(move |_| body()),
        false => LoopingCall::with_count(move |_, _| body()),
    };
    w.family.loopings.put(w, (looping.clone(), ticket.clone()));
    (looping, ticket)
}

fn some_looping(w: &World) -> Option<(LoopingCall, Rc<Ticket>)> {
    let running = w.want.get() == "ok";
    let found = w.family.loopings.peek_if(w, |(looping, _)| looping.is_running() == running);
    if found.is_some() || !running {
        return found;
    }
    // One whose Deferred is not there yet runs, whatever becomes of the loop.
    let looping = LoopingCall::new(|_| pending(&world()));
    let ticket = w.ticket("looping call", false);
    keep(w, looping.start(some_handle(w), Duration::from_millis(50), true).map(|()| Value(None)));
    w.family.loopings.put(w, (looping.clone(), ticket.clone()));
    Some((looping, ticket))
}

fn some_cooperator(w: &World) -> Cooperator {
    let stopped = w.want.get() == "stopped";
    w.family.cooperators.peek_if(w, |cooperator| cooperator.is_running() != stopped).unwrap_or_else(|| {
        let cooperator = Cooperator::with_slice(some_handle(w), delay(w));
        if stopped {
            cooperator.stop();
        }
        w.family.cooperators.put(w, cooperator.clone());
        cooperator
    })
}

fn some_worker(w: &World) -> Option<(CooperativeTask, Rc<Ticket>)> {
    let ended = matches!(w.want.get(), "ended" | "not paused");
    w.family.workers.peek_if(w, |(worker, _)| worker.has_ended() == ended)
}
