//! Runs one program, each operation by one call of the public API, and compares with what was expected.
//!
//! A program's Deferreds live in two tables, one for the producing and one for the consuming ends. An operation takes
//! an end out, uses it, and puts back what it got. All knowledge of chains is in the library.

use crate::program::{self, Behaviour, Canceller, Input, Name, Op, Ret, Step, What};
use ropewalk::{CancelledError, Deferred, Failure, Resolver, testing};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::rc::Rc;
use tinyjson::JsonValue;

pub(crate) enum Verdict {
    Passed,
    /// It has an operation of a kind that the runner does not know.
    Skipped,
    Failed {
        id: String,
        why: String,
    },
}

/// Runs the program of one line.
pub(crate) fn check(line: &str) -> Verdict {
    let program: JsonValue = match line.parse() {
        Ok(program) => program,
        Err(error) => return Verdict::Failed { id: "?".to_owned(), why: format!("{error}") },
    };
    let Some(ops) = program::ops(&program["ops"]) else {
        return Verdict::Skipped;
    };
    let expect = &program["expect"];
    // Twice, because looking at a result takes it out, and what is lost shows only when the ends are dropped with it.
    let world = World::after(&ops);
    let seen = compare_traces(&expect["trace"], &world.trace.borrow())
        .and_then(|()| same("final", &expect["final"], &world.results()));
    world.end();
    let world = World::after(&ops);
    let seen = seen.and_then(|()| same("unhandled", &expect["unhandled"], &world.unhandled()));
    world.end();
    match seen {
        Ok(()) => Verdict::Passed,
        Err(why) => Verdict::Failed { id: show(&program["id"]), why },
    }
}

/// What a run noted down.
enum Event {
    /// One that Twisted's run has as well.
    Seen(JsonValue),
    /// A result that came after a cancel. Twisted raises `AlreadyCalledError` if there was a canceller; here it is
    /// swallowed, canceller or not. This is the only difference.
    Late,
}

/// Compares event by event, and leaves out the one difference there is.
fn compare_traces(expected: &JsonValue, trace: &[Vec<Event>]) -> Result<(), String> {
    let expected: &Vec<JsonValue> = expected.get().ok_or("no trace to compare with")?;
    if expected.len() != trace.len() {
        return Err(format!("{} operations, expected {}", trace.len(), expected.len()));
    }
    let raised = event("raised", [JsonValue::String("AlreadyCalledError".to_owned())]);
    for (n, (expected, seen)) in expected.iter().zip(trace).enumerate() {
        let mut wanted = expected.get::<Vec<JsonValue>>().ok_or("a trace is a list of lists")?.iter().peekable();
        for event in seen {
            match event {
                Event::Late => drop(wanted.next_if(|wanted| **wanted == raised)),
                Event::Seen(event) => match wanted.next() {
                    Some(wanted) if wanted == event => {}
                    Some(other) => return Err(format!("op {n}: {}, expected {}", show(event), show(other))),
                    None => return Err(format!("op {n}: {}, expected nothing more", show(event))),
                },
            }
        }
        if let Some(missing) = wanted.next() {
            return Err(format!("op {n}: nothing more, expected {}", show(missing)));
        }
    }
    Ok(())
}

fn same(what: &str, expected: &JsonValue, seen: &JsonValue) -> Result<(), String> {
    let expected = without_inner(expected);
    if expected == *seen { Ok(()) } else { Err(format!("{what}: {}, expected {}", show(seen), show(&expected))) }
}

/// `["waiting", 3]` becomes `["waiting"]`: what a Deferred waits for has no name in the public API.
fn without_inner(expected: &JsonValue) -> JsonValue {
    match expected {
        JsonValue::Object(finals) => {
            JsonValue::Object(finals.iter().map(|(d, state)| (d.clone(), without_inner(state))).collect())
        }
        JsonValue::Array(state) if state.first() == Some(&JsonValue::String("waiting".to_owned())) => {
            JsonValue::Array(state[..1].to_vec())
        }
        other => other.clone(),
    }
}

fn show(value: &JsonValue) -> String {
    value.stringify().unwrap_or_else(|error| error.to_string())
}

fn event<const N: usize>(name: &str, rest: [JsonValue; N]) -> JsonValue {
    JsonValue::Array([JsonValue::String(name.to_owned())].into_iter().chain(rest).collect())
}

fn json_name(d: Name) -> JsonValue {
    JsonValue::Number(f64::from(d))
}

fn json_input(input: &Input) -> JsonValue {
    match input {
        Ok(value) => JsonValue::Number(*value as f64),
        Err(kind) => JsonValue::String(kind.clone()),
    }
}

/// The failure kinds of the programs: `E1`, `E2`, ..
#[derive(Debug)]
struct Kind(String);

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Kind {}

fn failure(kind: &str) -> Failure {
    if kind == "CancelledError" { Failure::cancelled() } else { Kind(kind.to_owned()).into() }
}

fn kind(failure: &Failure) -> String {
    match failure.check::<CancelledError>() {
        Some(_) => "CancelledError".to_owned(),
        None => failure.to_string(),
    }
}

fn named(result: &Result<i64, Failure>) -> Input {
    result.as_ref().map(|value| *value).map_err(kind)
}

fn outcome(input: &Input) -> Result<i64, Failure> {
    input.as_ref().map(|value| *value).map_err(|kind| failure(kind))
}

/// A run: the ends by name, and what was noted down for each operation.
#[derive(Default)]
struct World {
    producers: RefCell<HashMap<Name, Resolver<i64>>>,
    consumers: RefCell<BTreeMap<Name, Option<Deferred<i64>>>>,
    steps: RefCell<HashMap<Name, u32>>,
    trace: RefCell<Vec<Vec<Event>>>,
    over: Cell<bool>,
}

impl World {
    /// The world after the whole program.
    fn after(ops: &[Op]) -> Rc<World> {
        let world = Rc::new(World::default());
        for op in ops {
            world.trace.borrow_mut().push(Vec::new());
            world.act(op, None);
        }
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

    fn take(&self, d: Name) -> Option<Deferred<i64>> {
        let taken = self.consumers.borrow_mut().get_mut(&d).and_then(Option::take);
        if taken.is_none() {
            self.say("gone", [json_name(d)]);
        }
        taken
    }

    fn put(&self, d: Name, deferred: Deferred<i64>) {
        let before = self.consumers.borrow_mut().insert(d, Some(deferred));
        drop(before);
    }

    /// One operation. `input` is that of the step it is an act of.
    fn act(self: &Rc<Self>, op: &Op, input: Option<&Input>) {
        match op {
            Op::New(d, canceller) => {
                let (resolver, deferred) = self.pair(*d, canceller);
                self.producers.borrow_mut().insert(*d, resolver);
                self.put(*d, deferred);
            }
            Op::Settled(d, Ok(value)) => self.put(*d, Deferred::succeed(*value)),
            Op::Settled(d, Err(kind)) => self.put(*d, Deferred::fail(failure(kind))),
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
            None => self.say("raised", [JsonValue::String("AlreadyCalledError".to_owned())]),
            Some(resolver) => {
                if resolver.is_cancelled() {
                    self.note(Event::Late);
                }
                match input {
                    Ok(value) => resolver.succeed(*value),
                    Err(kind) => resolver.fail(failure(kind)),
                }
            }
        }
    }

    /// A step that waits gives back a `Deferred`, any other a `Result`: both of the forms that a callback may have.
    fn add(self: &Rc<Self>, d: Name, step: &Step, to: Deferred<i64>) -> Deferred<i64> {
        let n = {
            let mut steps = self.steps.borrow_mut();
            let count = steps.entry(d).or_default();
            *count += 1;
            *count - 1
        };
        let site = |b: &Rc<Behaviour>| Site { world: self.clone(), d, n, behaviour: b.clone() };
        match step {
            Step::Callback(b) if b.waits() => {
                let site = site(b);
                to.add_callback(move |value| site.wait(Ok(value)))
            }
            Step::Callback(b) => {
                let site = site(b);
                to.add_callback(move |value| site.result(Ok(value)))
            }
            Step::Errback(b) if b.waits() => {
                let site = site(b);
                to.add_errback(move |failure| site.wait(Err(failure)))
            }
            Step::Errback(b) => {
                let site = site(b);
                to.add_errback(move |failure| site.result(Err(failure)))
            }
            Step::Both(b) if b.waits() => {
                let site = site(b);
                to.add_both(move |result| site.wait(result))
            }
            Step::Both(b) => {
                let site = site(b);
                to.add_both(move |result| site.result(result))
            }
            Step::Callbacks(on, err) => {
                let (on, err) = (site(on), site(err));
                match (on.behaviour.waits(), err.behaviour.waits()) {
                    (false, false) => to.add_callbacks(move |v| on.result(Ok(v)), move |f| err.result(Err(f))),
                    (false, true) => to.add_callbacks(move |v| on.result(Ok(v)), move |f| err.wait(Err(f))),
                    (true, false) => to.add_callbacks(move |v| on.wait(Ok(v)), move |f| err.result(Err(f))),
                    (true, true) => to.add_callbacks(move |v| on.wait(Ok(v)), move |f| err.wait(Err(f))),
                }
            }
        }
    }

    /// The state of each Deferred. Takes the results.
    fn results(&self) -> JsonValue {
        let ends: Vec<_> = self.consumers.borrow_mut().iter_mut().map(|(d, end)| (*d, end.take())).collect();
        let state = |end: Option<Deferred<i64>>| match end.map(Deferred::try_result) {
            None => event("moved", []),
            Some(Ok(Ok(value))) => event("value", [JsonValue::Number(value as f64)]),
            Some(Ok(Err(failure))) => event("failure", [JsonValue::String(kind(&failure))]),
            Some(Err(pending)) => {
                let waits = format!("{pending:?}").contains("paused on");
                drop(pending);
                event(if waits { "waiting" } else { "pending" }, [])
            }
        };
        JsonValue::Object(ends.into_iter().map(|(d, end)| (d.to_string(), state(end))).collect())
    }

    /// What is reported as unhandled when each end is dropped, in order.
    fn unhandled(&self) -> JsonValue {
        let ends: Vec<_> = self.consumers.borrow_mut().iter_mut().map(|(d, end)| (*d, end.take())).collect();
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

    /// Lets go of all ends. What that abandons is no part of the program.
    fn end(&self) {
        self.over.set(true);
        let reports = testing::capture_unhandled();
        let ends = (self.consumers.take(), self.producers.take());
        drop(ends);
        reports.flush_unhandled();
    }
}

impl Behaviour {
    fn waits(&self) -> bool {
        matches!(self.ret, Ret::Await(_))
    }
}

/// A step, as its closure holds it.
struct Site {
    world: Rc<World>,
    d: Name,
    n: u32,
    behaviour: Rc<Behaviour>,
}

impl Site {
    fn begin(&self, input: &Result<i64, Failure>) {
        let input = named(input);
        let step = JsonValue::String(format!("{}.{}", self.d, self.n));
        self.world.say("step", [step, json_input(&input)]);
        for act in &self.behaviour.acts {
            self.world.act(act, Some(&input));
        }
    }

    fn result(&self, input: Result<i64, Failure>) -> Result<i64, Failure> {
        self.begin(&input);
        match &self.behaviour.ret {
            Ret::Pass | Ret::Await(_) => input,
            Ret::Const(n) => Ok(*n),
            Ret::Add(n) => input.map(|value| value + n),
            Ret::Raise(kind) => outcome(&Err(kind.clone())),
        }
    }

    fn wait(&self, input: Result<i64, Failure>) -> Deferred<i64> {
        self.begin(&input);
        let Ret::Await(on) = self.behaviour.ret else { return Deferred::from_result(input) };
        self.world.take(on).unwrap_or_else(|| Deferred::from_result(input))
    }
}
