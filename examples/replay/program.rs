//! The language of the recorded programs: what `tests/data/README.md` describes, as types.

use std::collections::HashMap;
use std::rc::Rc;
use tinyjson::JsonValue;

/// Names a Deferred of a program.
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
    let d = || number(op.get("d")?).and_then(|n| u32::try_from(n).ok());
    Some(match text(op.get("op")?)? {
        "new" => Op::New(d()?, canceller(op.get("canceller")?)?),
        "succeed" | "fail" => Op::Settled(d()?, input(op)?),
        "add" => Op::Add(d()?, step(op.get("step")?.get()?)?),
        "fire" if op.contains_key("with") => Op::Fire(d()?, What::StepInput),
        "fire" => Op::Fire(d()?, What::Given(input(op)?)),
        "cancel" => Op::Cancel(d()?),
        _ => return None,
    })
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
    let ret = match object.get("ret")? {
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
    };
    Some(Rc::new(Behaviour { acts, ret }))
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
