//! The language of the recorded programs: what `tests/data/README.md` describes, as types.

use std::collections::HashMap;
use std::rc::Rc;
use tinyjson::JsonValue;

/// Names a Deferred, a delayed call, or a lock or queue of a program.
pub(crate) type Name = u32;

/// A value, or the kind of a failure.
pub(crate) type Input = Result<i64, String>;

/// One operation, at the top level of a program or as an act inside a step.
pub(crate) enum Op {
    New(Name, Canceller),
    /// `succeed` and `fail`.
    Settled(Name, Input),
    Add(Name, Step),
    Fire(Name, What),
    Cancel(Name),
    List(Name, Vec<Name>, ListOptions),
    /// With `consume`.
    Gather(Name, Vec<Name>, bool),
    Race(Name, Vec<Name>),
    /// With what its own function gives back, if it has one.
    Timeout(Name, u64, Option<Ret>),
    Advance(u64),
    Later(Name, u64, Rc<Vec<Op>>),
    OnCall(Name, OnCall),
    DeferLater(Name, u64, Rc<Ret>),
    Lock(Name),
    Semaphore(Name, usize),
    Acquire(Name, Name),
    Release(Name),
    Run(Name, Name, Rc<Behaviour>),
    /// With its size and its backlog.
    Queue(Name, usize, usize),
    Put(Name, i64),
    Get(Name, Name),
    Loop(Name, Looping),
    LoopStop(Name),
    LoopReset(Name),
}

pub(crate) struct ListOptions {
    pub(crate) one_callback: bool,
    pub(crate) one_errback: bool,
    pub(crate) consume: bool,
}

/// What to do with a delayed call.
pub(crate) enum OnCall {
    Cancel,
    Reset(u64),
    Delay(i64),
    Active,
}

pub(crate) struct Looping {
    pub(crate) interval: u64,
    pub(crate) now: bool,
    pub(crate) count: bool,
    pub(crate) bodies: Vec<Rc<Behaviour>>,
}

pub(crate) enum Canceller {
    None,
    Noop,
    Fires(Input),
}

pub(crate) enum What {
    Given(Input),
    /// The input of the step that this operation is an act of.
    StepInput,
}

pub(crate) enum Step {
    Callback(Rc<Behaviour>),
    Errback(Rc<Behaviour>),
    Both(Rc<Behaviour>),
    Callbacks(Rc<Behaviour>, Rc<Behaviour>),
}

/// What a step does: acts, then a way to make its result of its input.
pub(crate) struct Behaviour {
    pub(crate) acts: Vec<Op>,
    pub(crate) ret: Ret,
}

#[derive(Clone)]
pub(crate) enum Ret {
    Pass,
    Const(i64),
    Add(i64),
    Raise(String),
    Await(Name),
}

type Object = HashMap<String, JsonValue>;

/// Reads a list of operations. `None` if one is of a kind that is not known here.
pub(crate) fn ops(list: &JsonValue) -> Option<Vec<Op>> {
    list.get::<Vec<JsonValue>>()?.iter().map(|op| read_op(op.get()?)).collect()
}

fn read_op(op: &Object) -> Option<Op> {
    let name = |field: &str| number(op.get(field)?).and_then(|n| u32::try_from(n).ok());
    let flag = |field: &str| op.get(field)?.get::<bool>().copied();
    let seconds = || number(op.get("t")?).and_then(|n| u64::try_from(n).ok());
    let of = || -> Option<Vec<Name>> {
        op.get("of")?.get::<Vec<JsonValue>>()?.iter().map(|d| u32::try_from(number(d)?).ok()).collect()
    };
    let d = || name("d");
    let (x, c) = (|| name("x"), || name("c"));
    Some(match text(op.get("op")?)? {
        "new" => Op::New(d()?, canceller(op.get("canceller")?)?),
        "succeed" | "fail" => Op::Settled(d()?, input(op)?),
        "add" => Op::Add(d()?, step(op.get("step")?.get()?)?),
        "fire" if op.contains_key("with") => Op::Fire(d()?, What::StepInput),
        "fire" => Op::Fire(d()?, What::Given(input(op)?)),
        "cancel" => Op::Cancel(d()?),
        "list" => {
            let (one_callback, one_errback, consume) = (flag("one_cb")?, flag("one_eb")?, flag("consume")?);
            Op::List(d()?, of()?, ListOptions { one_callback, one_errback, consume })
        }
        "gather" => Op::Gather(d()?, of()?, flag("consume")?),
        "race" => Op::Race(d()?, of()?),
        "timeout" => Op::Timeout(
            d()?,
            seconds()?,
            match op.get("on")? {
                JsonValue::Null => None,
                on => Some(ret(on.get::<Object>()?.get("ret")?)?),
            },
        ),
        "advance" => Op::Advance(seconds()?),
        "later" => Op::Later(c()?, seconds()?, Rc::new(ops(op.get("acts")?)?)),
        "call_cancel" => Op::OnCall(c()?, OnCall::Cancel),
        "call_reset" => Op::OnCall(c()?, OnCall::Reset(seconds()?)),
        "call_delay" => Op::OnCall(c()?, OnCall::Delay(number(op.get("t")?)?)),
        "call_active" => Op::OnCall(c()?, OnCall::Active),
        "defer_later" => Op::DeferLater(d()?, seconds()?, Rc::new(ret(op.get("ret")?)?)),
        "lock" => Op::Lock(x()?),
        "sem" => Op::Semaphore(x()?, number(op.get("n")?)?.try_into().ok()?),
        "acquire" => Op::Acquire(x()?, d()?),
        "release" => Op::Release(x()?),
        "run" => Op::Run(x()?, d()?, behaviour(op.get("body")?)?),
        "queue" => Op::Queue(x()?, bound(op.get("size")?)?, bound(op.get("backlog")?)?),
        "put" => Op::Put(x()?, number(op.get("v")?)?),
        "get" => Op::Get(x()?, d()?),
        "loop" => {
            let bodies = op.get("bodies")?.get::<Vec<JsonValue>>()?.iter().map(behaviour).collect::<Option<_>>()?;
            let interval = number(op.get("interval")?)?.try_into().ok()?;
            Op::Loop(d()?, Looping { interval, now: flag("now")?, count: flag("count")?, bodies })
        }
        "loop_stop" => Op::LoopStop(d()?),
        "loop_reset" => Op::LoopReset(d()?),
        _ => return None,
    })
}

/// A bound of a queue; `null` is none.
fn bound(value: &JsonValue) -> Option<usize> {
    match value {
        JsonValue::Null => Some(usize::MAX),
        bound => number(bound)?.try_into().ok(),
    }
}

fn canceller(value: &JsonValue) -> Option<Canceller> {
    match value {
        JsonValue::Object(fires) => input(fires).map(Canceller::Fires),
        JsonValue::String(name) if name == "none" => Some(Canceller::None),
        JsonValue::String(name) if name == "noop" => Some(Canceller::Noop),
        _ => None,
    }
}

fn step(step: &Object) -> Option<Step> {
    let on = || step.get("on").and_then(behaviour);
    let err = || step.get("err").and_then(behaviour);
    Some(match text(step.get("kind")?)? {
        "cb" => Step::Callback(on()?),
        "eb" => Step::Errback(err()?),
        "both" => Step::Both(on()?),
        "cbs" => Step::Callbacks(on()?, err()?),
        _ => return None,
    })
}

fn behaviour(value: &JsonValue) -> Option<Rc<Behaviour>> {
    let object: &Object = value.get()?;
    let acts = object.get("acts").map_or_else(|| Some(Vec::new()), ops)?;
    Some(Rc::new(Behaviour { acts, ret: ret(object.get("ret")?)? }))
}

fn ret(value: &JsonValue) -> Option<Ret> {
    Some(match value {
        JsonValue::String(pass) if pass == "pass" => Ret::Pass,
        JsonValue::Object(ret) => {
            let (kind, of) = ret.iter().next()?;
            match kind.as_str() {
                "const" => Ret::Const(number(of)?),
                "add" => Ret::Add(number(of)?),
                "raise" => Ret::Raise(text(of)?.to_owned()),
                "await" => Ret::Await(number(of)?.try_into().ok()?),
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn input(object: &Object) -> Option<Input> {
    match (object.get("v"), object.get("e")) {
        (Some(value), None) => number(value).map(Ok),
        (None, Some(kind)) => Some(Err(text(kind)?.to_owned())),
        _ => None,
    }
}

fn text(value: &JsonValue) -> Option<&str> {
    value.get::<String>().map(String::as_str)
}

/// A whole number. The values in the programs are small enough for a double.
pub(crate) fn number(value: &JsonValue) -> Option<i64> {
    value.get::<f64>().map(|n| *n as i64)
}
