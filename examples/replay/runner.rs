//! Runs one program and compares with what was expected.

use crate::json::{event, show};
use crate::program;
use crate::world::{Event, World};
use std::collections::HashMap;
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
    let passed_on = world.cancelled_fired_list.get();
    world.end();
    let world = World::after(&ops);
    let seen = seen.and_then(|()| same("unhandled", expect.get("unhandled"), &world.unhandled()));
    world.end();
    match seen {
        Ok(()) => Verdict::Passed,
        // Here the cancel of a list that has fired is passed on to what its steps wait for; there it is not, and all
        // that comes after may differ.
        Err(_) if passed_on => Verdict::Skipped,
        // Of calls that are due at the same time, one that was moved keeps its place in Twisted's list. Here its place
        // is that of its last move.
        Err(_) if has_tag(object, "clock-tie-after-move") => Verdict::Skipped,
        Err(why) => Verdict::Failed { id, why },
    }
}

fn has_tag(program: &HashMap<String, JsonValue>, tag: &str) -> bool {
    let tags: Option<&Vec<JsonValue>> = program.get("tags").and_then(JsonValue::get);
    tags.is_some_and(|tags| tags.iter().any(|t| t.get::<String>().is_some_and(|t| t == tag)))
}

/// Compares event by event, and leaves out the one that differs on purpose.
fn compare_traces(expected: Option<&JsonValue>, trace: &[Vec<Event>]) -> Result<(), String> {
    let expected: &Vec<JsonValue> = expected.and_then(JsonValue::get).ok_or("no trace to compare with")?;
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

/// A part that a file leaves out is not compared.
fn same(what: &str, expected: Option<&JsonValue>, seen: &JsonValue) -> Result<(), String> {
    match expected {
        Some(expected) if expected != seen => Err(format!("{what}: {}, expected {}", show(seen), show(expected))),
        _ => Ok(()),
    }
}
