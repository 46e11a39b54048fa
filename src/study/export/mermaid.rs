//! Text for Mermaid (mermaid.js.org): sequence diagrams and flowcharts.

use super::diagram::{Diagram, DiagramError};
use crate::study::row::headline;
use crate::study::state::{Fate, FrameKind, Standing, State, Value};
use crate::study::words::{escaped, value};
use crate::trace::{Cancel, Event, Id, Kind, Lane, Object, Val};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// An object with its name.
fn title(state: &State, id: Id) -> String {
    safe(&state.title(id).replace('"', ""))
}

/// A text that Mermaid shows as it is: whatever may be a mark is written as its number. Cut to what fits a box.
fn safe(text: &str) -> String {
    let mut out = String::new();
    for (i, c) in escaped(text).chars().enumerate() {
        if i == 60 {
            out.push_str("..");
            break;
        }
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | ' ' | '.' | ',' | '_' | '-' | '/' | '(' | ')' | '=' | '+' | '!' => {
                out.push(c);
            }
            ':' | '?' | '\'' => out.push(c),
            c => {
                let _ = write!(out, "#{};", u32::from(c));
            }
        }
    }
    out
}

fn shown(val: Val<'_>) -> String {
    match val {
        Val::Ok { text, .. } => format!("ok {}", value(&escaped(text))),
        Val::Err(f) => format!("err {f}"),
    }
}

/// How many rows it has, and the text.
pub(super) fn sequence(of: &Diagram<'_>) -> Result<(usize, String), DiagramError> {
    let names = of.state();
    let mut state = State::new();
    let mut events = of.events().into_iter().peekable();
    let (mut rows, mut who) = (String::new(), BTreeSet::new());
    let mut n = 0;
    for event in of.trace().events() {
        if events.next_if(|chosen| chosen.s == event.s).is_some()
            && let Some(row) = row(&state, &names, &event, &mut who)
        {
            let _ = writeln!(rows, "    {row}");
            n += 1;
        }
        state.apply(&event);
    }
    let mut text = "sequenceDiagram\n    participant L as loop\n".to_owned();
    for id in &who {
        let _ = writeln!(text, "    participant {id} as {}", title(&names, *id));
    }
    text.push_str(&rows);
    Ok((if n == 0 { 0 } else { n + who.len() }, text))
}

/// The participant inside of which something happens.
fn actor(state: &State, who: &mut BTreeSet<Id>) -> String {
    let inside = state.frames().iter().rev().find_map(|frame| match frame.what {
        FrameKind::Step { d, .. } | FrameKind::Canceller(d) => Some(d),
        FrameKind::Poll(x) => Some(x),
        _ => None,
    });
    match inside {
        Some(id) => {
            who.insert(id);
            id.to_string()
        }
        None => "L".to_owned(),
    }
}

fn row(state: &State, names: &State, event: &Event<'_>, who: &mut BTreeSet<Id>) -> Option<String> {
    let note = |who: &mut BTreeSet<Id>, id: Id, text: &str| {
        who.insert(id);
        Some(format!("Note over {id}: {}", safe(text)))
    };
    // A step has its number and name.
    let step = |d: Id, n: u32| {
        let label = names.chain(d).and_then(|chain| chain.step(n)).map(|step| escaped(&step.label));
        format!("{n} {}", label.unwrap_or_default())
    };
    match event.kind {
        Kind::TurnBegin { .. } => Some(format!("Note over L: turn {}", event.turn)),
        Kind::CbBegin { .. } => Some(format!("Note over L: {}", safe(&headline(names, event)))),
        Kind::DFire { d, val } => {
            let from = actor(state, who);
            who.insert(d);
            Some(format!("{from}->>{d}: fire {}", safe(&shown(val))))
        }
        Kind::DStep { d, n, lane, .. } => {
            let lane = if lane == Lane::Ok { "ok" } else { "ERR" };
            note(who, d, &format!("{lane} lane: {}", step(d, n)))
        }
        Kind::DPass { d, n, .. } => note(who, d, &format!("passed by: {}", step(d, n))),
        Kind::DPause { d, on } => {
            who.extend([d, on]);
            Some(format!("{d}-->>{on}: waits"))
        }
        Kind::DResume { d, from, val } => {
            who.extend([d, from]);
            Some(format!("{from}->>{d}: resume {}", safe(&shown(val))))
        }
        Kind::DCancel { d, how, .. } => {
            let from = actor(state, who);
            who.insert(d);
            let how = match how {
                Cancel::Canceller => "its canceller is asked",
                Cancel::NoCanceller => "no canceller",
                Cancel::Forward => "passed on",
                Cancel::TooLate => "too late",
            };
            Some(format!("{from}->>{d}: cancel ({how})"))
        }
        Kind::DSwallow { d, .. } => note(who, d, "late result swallowed"),
        Kind::FNew { f, msg, .. } => {
            let who = actor(state, who);
            Some(format!("Note over {who}: {f} raised: {}", safe(msg)))
        }
        Kind::FHandled { f, d, .. } => note(who, d, &format!("{f} handled")),
        Kind::FResting { f, d } => note(who, d, &format!("{f} RESTS, no errback")),
        Kind::FLost { f, d, .. } => note(who, d, &format!("{f} LOST")),
        Kind::XPoll { x, n } => {
            who.insert(x);
            Some(format!("L->>{x}: poll {n}"))
        }
        Kind::XWait { x, on } => {
            who.insert(x);
            match on {
                Some(on) if on.0 == Object::Deferred => {
                    who.insert(on);
                    Some(format!("{x}-->>{on}: awaits"))
                }
                on => note(
                    who,
                    x,
                    &format!("awaits {}", on.map_or("something".to_owned(), |on| names.title(on).replace('"', ""))),
                ),
            }
        }
        Kind::XWake { x, .. } => {
            let from = actor(state, who);
            who.insert(x);
            Some(format!("{from}->>{x}: wake"))
        }
        Kind::XDrop { x, .. } => note(who, x, "gone"),
        _ => None,
    }
}

/// The way of one chain: how many nodes, and the text.
pub(super) fn flowchart(of: &Diagram<'_>, d: Id) -> Result<(usize, String), DiagramError> {
    let state = of.state();
    let Some(chain) = state.chain(d) else { return Ok((0, String::new())) };
    let mut text = format!("flowchart TB\n    start([\"{}\"])\n", title(&state, d));
    let mut nodes = 1;
    // Two columns: what can run on each lane, and what is passed by there.
    let mut columns = [String::new(), String::new()];
    let mut edges = String::new();
    let mut last = "start".to_owned();
    let mut dashed = false;
    let mut link = |from: &str, to: &str, is: bool| {
        let arrow = if is { "-.->" } else { "-->" };
        let _ = writeln!(edges, "    {from} {arrow} {to}");
    };
    for step in chain.steps().filter(|step| !step.sys) {
        let label = format!("{} {}", step.n, escaped(&step.label));
        let ran = match &step.fate {
            Fate::Runs(_, lane) | Fate::Ran(lane, _) => Some(*lane),
            Fate::Passed(_) | Fate::NotYet => None,
        };
        let lane_of = |lane: Lane| usize::from(lane == Lane::Err);
        for (lane, has) in [(Lane::Ok, step.ok), (Lane::Err, step.err)] {
            if has {
                let column = &mut columns[lane_of(lane)];
                let _ = writeln!(column, "        s{}{}[\"{}\"]", step.n, lane.word(), safe(&label));
                nodes += 1;
            }
        }
        match (&step.fate, ran) {
            (Fate::Passed(lane), _) => {
                let column = &mut columns[lane_of(*lane)];
                let _ = writeln!(column, "        p{}([\"passed by: {}\"])", step.n, safe(&label));
                nodes += 1;
                let node = format!("p{}", step.n);
                link(&last, &node, dashed);
                last = node;
            }
            (_, Some(lane)) => {
                let node = format!("s{}{}", step.n, lane.word());
                link(&last, &node, dashed);
                last = node;
            }
            _ => {
                dashed = true;
                let lane = if step.ok { Lane::Ok } else { Lane::Err };
                let node = format!("s{}{}", step.n, lane.word());
                link(&last, &node, true);
                last = node;
            }
        }
        if let Fate::Ran(_, None) = &step.fate {
            // A Deferred was given back.
            let inner = match chain.standing {
                Standing::Paused(on) => Some(on),
                _ => inner_of(of, d, step.n),
            };
            if let Some(inner) = inner {
                let waits = matches!(chain.standing, Standing::Paused(_));
                let _ = writeln!(text, "    w{}[[\"waits for {}\"]]", step.n, title(&state, inner));
                nodes += 1;
                let node = format!("w{}", step.n);
                link(&last, &node, false);
                last = node;
                dashed |= waits;
            }
        }
    }
    let end = match (&chain.standing, &chain.val) {
        (Standing::NotFired, _) => "not fired".to_owned(),
        (Standing::Paused(on), _) => format!("paused on {on}"),
        (Standing::Running, _) => "running".to_owned(),
        (Standing::Lost(f), _) => format!("{f} LOST"),
        (Standing::WentTo(to), _) => format!("to {}", state.title(*to)),
        (_, Some(Value::Ok(text))) => format!("ok {}", value(&escaped(text))),
        (_, Some(Value::Err(f))) => format!("err {f}"),
        (_, None) => "done".to_owned(),
    };
    let _ = writeln!(text, "    result([\"{}\"])", safe(&end));
    link(&last, "result", dashed);
    for (title, column) in ["ok lane", "error lane"].iter().zip(&columns) {
        if !column.is_empty() {
            let id = &title[..2];
            let _ = write!(text, "    subgraph lane_{id}[\"{title}\"]\n{column}    end\n");
        }
    }
    text.push_str(&edges);
    Ok((nodes + 1, text))
}

/// What a step gave back.
fn inner_of(of: &Diagram<'_>, of_d: Id, of_n: u32) -> Option<Id> {
    of.trace().events().find_map(|event| match event.kind {
        Kind::DRet { d, n, inner, .. } if d == of_d && n == of_n => inner,
        _ => None,
    })
}
