//! Runs one program and compares with what was expected.

use crate::json::{event, show};
use crate::program::{self, Op};
use crate::world::{Event, NEXT_OPERATION, World};
use ropewalk::trace::{self, Cancel, Kind};
use std::collections::{HashMap, HashSet};
use tinyjson::JsonValue;

pub(crate) enum Verdict {
    Passed,
    /// There is no comparing it.
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
    let object: &HashMap<String, JsonValue> = match program.get() {
        Some(object) => object,
        None => return Verdict::Failed { id: "?".to_owned(), why: "a program is an object".to_owned() },
    };
    let id = object.get("id").map_or_else(|| "?".to_owned(), show);
    let Some(ops) = object.get("ops").and_then(program::ops) else {
        return Verdict::Failed { id, why: "no operations, or one that is not known".to_owned() };
    };
    let Some(expect) = object.get("expect") else {
        return Verdict::Failed { id, why: "it does not say what is expected".to_owned() };
    };
    let Some(expect): Option<&HashMap<String, JsonValue>> = expect.get() else {
        return Verdict::Failed { id, why: "what is expected is an object".to_owned() };
    };
    // Twice, because looking at a result takes it out, and what is lost shows only when the ends are dropped with it.
    let world = World::after(&ops);
    let seen = compare_traces(expect.get("trace"), &world.trace.borrow()).and_then(|()| {
        for (what, seen) in [
            ("now", world.now()),
            ("scheduled", world.scheduled()),
            ("prims", world.primitives()),
            ("final", world.results()),
        ] {
            same(what, expect.get(what), &seen)?;
        }
        Ok(())
    });
    world.end();
    let world = World::after(&ops);
    let seen = seen.and_then(|()| same("unhandled", expect.get("unhandled"), &world.unhandled()));
    world.end();
    match seen {
        Ok(()) => Verdict::Passed,
        Err(difference) if list_passed_cancel_on(&ops).is_some_and(|op| op <= difference.op) => Verdict::Skipped,
        Err(difference) => Verdict::Failed { id, why: difference.what },
    }
}

/// A run and what was expected differ.
struct Difference {
    /// In which operation; after all of them, the greatest number.
    op: usize,
    what: String,
}

impl From<String> for Difference {
    fn from(what: String) -> Difference {
        Difference { op: usize::MAX, what }
    }
}

/// The first operation in which a list that has fired passes a cancel on to what its own steps wait for.
///
/// Here it does, as any Deferred; there it does not, and all that comes after may differ.
fn list_passed_cancel_on(ops: &[Op]) -> Option<usize> {
    let (world, recording) = trace::record(|| World::after(ops));
    let lists: Vec<String> = world.lists.borrow().iter().map(ToString::to_string).collect();
    let (mut begun, mut named, mut fired) = (0, HashSet::new(), HashSet::new());
    let found = recording.events().find(|event| {
        match event.kind {
            Kind::Note { msg } if msg == NEXT_OPERATION => begun += 1,
            Kind::DName { d } if event.label.as_ref().is_some_and(|name| lists.iter().any(|l| **l == **name)) => {
                named.insert(d);
            }
            Kind::DFire { d, .. } => {
                fired.insert(d);
            }
            Kind::DCancel { d, how: Cancel::Forward, .. } => return named.contains(&d) && fired.contains(&d),
            _ => {}
        }
        false
    });
    let op = found.map(|_| begun - 1);
    world.end();
    op
}

/// Compares event by event, and leaves out the one that differs on purpose.
fn compare_traces(expected: Option<&JsonValue>, trace: &[Vec<Event>]) -> Result<(), Difference> {
    let no_trace = || "no trace to compare with".to_owned();
    let expected: &Vec<JsonValue> = expected.and_then(JsonValue::get).ok_or_else(no_trace)?;
    if expected.len() != trace.len() {
        return Err(format!("{} operations, expected {}", trace.len(), expected.len()).into());
    }
    let raised = event("raised", [JsonValue::String("AlreadyCalledError".to_owned())]);
    for (n, (expected, seen)) in expected.iter().zip(trace).enumerate() {
        let differs = |what: String| Difference { op: n, what: format!("op {n}: {what}") };
        let expected = expected.get::<Vec<JsonValue>>().ok_or_else(|| differs("no list of events".to_owned()))?;
        let mut wanted = expected.iter().peekable();
        for event in seen {
            match event {
                Event::Late => drop(wanted.next_if(|wanted| **wanted == raised)),
                Event::Seen(event) => match wanted.next() {
                    Some(wanted) if wanted == event => {}
                    Some(other) => return Err(differs(format!("{}, expected {}", show(event), show(other)))),
                    None => return Err(differs(format!("{}, expected nothing more", show(event)))),
                },
            }
        }
        if let Some(missing) = wanted.next() {
            return Err(differs(format!("nothing more, expected {}", show(missing))));
        }
    }
    Ok(())
}

/// A part that a file leaves out is not compared.
fn same(what: &str, expected: Option<&JsonValue>, seen: &JsonValue) -> Result<(), Difference> {
    match expected {
        Some(expected) if expected != seen => {
            Err(format!("{what}: {}, expected {}", show(seen), show(expected)).into())
        }
        _ => Ok(()),
    }
}
