//! One plain English sentence for each event: caption, log line, and what a screen reader says.
//!
//! A sentence is made of an event and the state before it, so it knows the names that were given earlier and nothing
//! of what comes later: the sentence of an event is the same in a live run, in a file and in a page. What a program
//! gave (names, values, messages) is cut to 120 characters, and control characters in it are escaped.

use super::state::{FrameKind, Life, State, TaskStage, Value};
use super::words::{duration, escaped, printed, short_type, whole};
use crate::trace::{
    Dropped, Ending, Event, Gave, Id, Kind, Lane, Loss, Out, Polled, Slot, Stream, Trace, Val, Via, Woke,
};

/// The sentence of one event; `before` is the state just before it.
///
/// See [`sentences`] for all of a run.
///
/// ```
/// use ropewalk::{Deferred, study::{Timeline, sentence}, trace};
///
/// let ((), trace) = trace::record(|| Deferred::succeed(1).named("one").detach());
/// let timeline = Timeline::of(trace);
/// let event = timeline.trace().get(2).unwrap();
/// let said = sentence(&timeline.state_at(1), &event);
/// assert!(said.starts_with("d1 is fired with the value 1."));
/// ```
pub fn sentence(before: &State, event: &Event<'_>) -> String {
    Say { state: before, event }.sentence()
}

/// Each event of a run with its sentence, in order.
///
/// ```
/// use ropewalk::{Deferred, study, trace};
///
/// let ((), trace) = trace::record(|| {
///     Deferred::succeed(1).named("poem").map(|n| n + 1).detach();
/// });
/// let said: Vec<String> = study::sentences(&trace).map(|(_, sentence)| sentence).collect();
/// assert_eq!(said[0], "A Deferred of type i32 is made: d1.");
/// assert_eq!(said[1], "d1 is fired with the value 1. It has no step yet, so the value rests there.");
/// assert_eq!(said[2], "d1 gets a name: \"poem\".");
/// ```
pub fn sentences(trace: &Trace) -> impl Iterator<Item = (Event<'_>, String)> {
    let mut state = State::new();
    trace.events().map(move |event| {
        let said = sentence(&state, &event);
        state.apply(&event);
        (event, said)
    })
}

mod of_chains;

struct Say<'a> {
    state: &'a State,
    event: &'a Event<'a>,
}

impl Say<'_> {
    fn sentence(&self) -> String {
        let name = |id: Id| self.state.title(id);
        match self.event.kind {
            Kind::Note { msg } => format!("The program notes: {}", ended(&escaped(msg))),
            Kind::Drop { n } => format!("From here on the recorder had no room: {n} {} lost.", were(n, "event")),

            // Where loops follow each other, each counts its own.
            Kind::TurnBegin { n } if n != self.event.turn => {
                format!("Turn {} of the recording begins: turn {n} of this loop.", self.event.turn)
            }
            Kind::TurnBegin { n } => format!("Turn {n} of the loop begins."),
            Kind::Ask { q, .. } => format!("A question: {}", ended(&whole(q))),
            Kind::Out { text, stream: Stream::Stdout } => {
                format!("The program prints \"{}\".", printed(text))
            }
            Kind::Out { text, stream: Stream::Stderr } => {
                format!("The program writes \"{}\" to standard error.", printed(text))
            }
            Kind::Gate { held_w, .. } => {
                format!("The program was held for {} while somebody looked.", duration(held_w))
            }
            Kind::End { why, open } => {
                let why = match why {
                    Ending::Stopped => ": the loop was stopped",
                    Ending::Idle => ": nothing was left that could wake the loop",
                    Ending::Panic => ": there was a panic",
                    Ending::Failed => ": the system refused to let the loop wait",
                    // The program may go on. Nobody can tell.
                    Ending::Done => "",
                };
                let left: Vec<String> =
                    [(open.d, "Deferred"), (open.m, "timer"), (open.i, "source"), (open.x, "task")]
                        .into_iter()
                        .filter(|(n, _)| *n > 0)
                        .map(|(n, what)| count(n, what))
                        .collect();
                match left.is_empty() {
                    true => format!("The recording ends{why}."),
                    false => format!("The recording ends{why}. Still open: {}.", left.join(", ")),
                }
            }

            Kind::TurnEnd { ran, .. } => {
                format!("Turn {} is over. It ran {}.", self.event.turn, count(ran, "callback"))
            }
            Kind::PollBegin { timeout: None, .. } => "The loop waits until something happens.".to_owned(),
            Kind::PollBegin { timeout: Some(0), .. } => {
                "The loop looks which sources are ready, without waiting.".to_owned()
            }
            Kind::PollBegin { timeout: Some(limit), next: Some(m), .. } => format!(
                "The loop waits for something to happen, at most {}: until timer {} is due.",
                duration(limit),
                name(m)
            ),
            Kind::PollBegin { timeout: Some(limit), .. } => {
                format!("The loop waits for something to happen, at most {}.", duration(limit))
            }
            Kind::PollEnd { waited, woke, ready, .. } => waited_for(waited, woke, ready.len()),
            Kind::CbBegin { o: Some(x), slot: Slot::Task } => {
                let woken = self.state.task(x).is_some_and(|task| task.polls > 0 && task.stage == TaskStage::Woken);
                let why = if woken { "was woken" } else { "is to be polled" };
                format!("The loop comes to task {}, which {why}.", name(x))
            }
            Kind::CbBegin { o, slot } => format!("The loop calls {}.", self.callback(o, slot, true)),
            Kind::CbEnd { b, out } => {
                let what = match self.state.frame(b).map(|frame| &frame.what) {
                    // It is polled, and not called.
                    Some(FrameKind::Callback { o: Some(x), slot: Slot::Task, .. }) if out == Out::Ok => {
                        return format!("The loop is done with task {x} for now.");
                    }
                    Some(FrameKind::Callback { o, slot, label }) => match label {
                        Some(label) => format!("the callback \"{}\"", escaped(label)),
                        None => self.callback(*o, *slot, false),
                    },
                    _ => "The callback".to_owned(),
                };
                match out {
                    Out::Ok => format!("{} returns to the loop.", upper(&what)),
                    Out::Err => format!("{} returns an error to the loop.", upper(&what)),
                    Out::Panic => format!("{} panicked. The loop goes on with the next callback.", upper(&what)),
                }
            }
            Kind::LoopStop {} => "The loop is asked to stop: it finishes this batch and returns.".to_owned(),

            Kind::TimerArm { m, due, every, late } => {
                let when = if late { "was armed before the recording" } else { "is armed" };
                let due = due.saturating_sub(self.event.t);
                let again = every.map(|every| format!(", and again every {}", duration(every))).unwrap_or_default();
                format!("Timer {} {when}. It is due in {}{again}.", self.labelled(m), duration(due))
            }
            Kind::TimerName { m } => match self.event.label {
                Some(label) => format!("Timer {m} gets a name: \"{}\".", escaped(label)),
                None => format!("Timer {m} loses its name."),
            },
            Kind::TimerFire { m, late: 0 } => format!("Timer {} is due.", name(m)),
            Kind::TimerFire { m, late } => format!("Timer {} is due, {} late.", name(m), duration(late)),
            Kind::TimerCancel { m } => format!("Timer {} is cancelled: it will not fire.", name(m)),
            Kind::TimerReset { m, due } => {
                let due = due.saturating_sub(self.event.t);
                format!("Timer {} is set anew. It is now due in {}.", name(m), duration(due))
            }

            // What was posted has its number when the loop comes to it: it runs in this turn.
            Kind::Post { p, late: false } if self.is_in_turn() => {
                format!("A call is queued: {}.", self.labelled(p))
            }
            Kind::Post { p, late: false } => format!("A call is queued for the next turn: {}.", self.labelled(p)),
            Kind::Post { p, late: true } => {
                format!("A call that was queued before the recording is met here: {}.", self.labelled(p))
            }
            Kind::IoOpen { i, what, name, late } => {
                let when = if late {
                    "was registered with the loop before the recording"
                } else {
                    "is registered with the loop"
                };
                let name = name.map(|name| format!(" at {}", escaped(name))).unwrap_or_default();
                let what = short_type(&escaped(what));
                format!("A source {when}: {}, a {what}{name}.", self.labelled(i))
            }
            Kind::IoWant { i, r, w } => format!("{} now wants {}.", upper(&self.source(i)), directions(r, w)),
            Kind::IoReady { i, r, w, hup } => {
                let can = match (r, w) {
                    (true, true) => "can be read and written",
                    (true, false) => "can be read",
                    (false, true) => "can be written",
                    (false, false) => "needs a look",
                };
                let hup = if hup { ", and its other end hung up" } else { "" };
                format!("{} {can}{hup}.", upper(&self.source(i)))
            }
            Kind::IoRead { i, n } => match n {
                Gave::Bytes(n) => format!("{} gives {}.", upper(&self.source(i)), bytes(n)),
                Gave::Again => format!("{} has nothing more to read now.", upper(&self.source(i))),
                Gave::Eof => format!("{} is at its end: nothing more will come.", upper(&self.source(i))),
                Gave::Errno(n) => format!("Reading {} fails: {}.", self.source(i), errno(n)),
            },
            Kind::IoWrite { i, asked, took, left } => {
                let left = match left {
                    0 => String::new(),
                    left => format!(" {} wait to be written.", upper(&bytes(left))),
                };
                let source = upper(&self.source(i));
                match took {
                    Gave::Bytes(n) if n == asked => format!("{source} takes {}.{left}", bytes(n)),
                    Gave::Bytes(n) => format!("{source} takes {n} of {}.{left}", bytes(asked)),
                    Gave::Again => format!("{source} takes nothing now.{left}"),
                    Gave::Eof => format!("{source} takes nothing any more.{left}"),
                    Gave::Errno(n) => format!("Writing to {} fails: {}.{left}", self.source(i), errno(n)),
                }
            }
            Kind::IoAccept { i, new } => format!("{} accepts a connection: {}.", upper(&self.source(i)), name(new)),
            Kind::IoClose { i, why } => {
                let why = why.map(|why| format!(": {}", escaped(why))).unwrap_or_default();
                format!("{} is taken out of the loop{}", upper(&self.source(i)), ended(&why))
            }
            Kind::FlowHigh { i, left, limit } => format!(
                "{} is full: {} wait to be written, more than {}.",
                upper(&self.source(i)),
                bytes(left),
                bytes(limit)
            ),
            Kind::FlowLow { i, left: 0 } => {
                format!("{} has room again: nothing waits to be written.", upper(&self.source(i)))
            }
            Kind::FlowLow { i, left } => {
                format!("{} has room again: only {} wait to be written.", upper(&self.source(i)), bytes(left))
            }
            Kind::FlowStop { src, because } => {
                format!("{} is asked to stop{}.", self.producer(src), self.because(because))
            }
            Kind::FlowGo { src, because } => format!("{} may go on{}.", self.producer(src), self.because(because)),
            Kind::WorkQueue { w, late: false } => format!("Job {} goes to the worker pool.", self.labelled(w)),
            Kind::WorkQueue { w, late: true } => {
                format!("Job {} was given to the worker pool before the recording.", self.labelled(w))
            }
            // What a worker did is told when its result is here.
            Kind::WorkBegin { w } => {
                format!("{} started job {}, beside the loop. The loop hears of it now.", self.worker(), name(w))
            }
            Kind::WorkEnd { w, out } => {
                let how = match out {
                    Out::Ok => "was done with",
                    Out::Err => "was done, with an error, with",
                    Out::Panic => "met a panic in",
                };
                format!("{} {how} job {}.", self.worker(), name(w))
            }
            Kind::WorkDone { w } => format!("The result of job {} is back on the loop's thread.", name(w)),

            Kind::XSpawn { x, late: false } => format!("Task {} is spawned.", self.labelled(x)),
            Kind::XSpawn { x, late: true } => {
                format!("Task {} was spawned before the recording.", self.labelled(x))
            }
            Kind::XPoll { x, n: 0 } => format!("Task {} is polled for the first time.", name(x)),
            Kind::XPoll { x, n } => {
                format!("Task {} is polled again (poll {}).", name(x), u64::from(n) + 1)
            }
            Kind::XRet { b, out, val } => {
                let task = match self.state.frame(b).map(|frame| &frame.what) {
                    Some(FrameKind::Poll(x)) => format!("Task {}", name(*x)),
                    _ => "The task".to_owned(),
                };
                match (out, val) {
                    (Polled::Ready, Some(val)) => format!("{task} is ready, with {}.", self.val(val)),
                    (Polled::Ready, None) => format!("{task} is ready: it came to its end."),
                    (Polled::Pending, _) => {
                        format!("{task} is pending: it gives the thread back until something wakes it.")
                    }
                }
            }
            Kind::XWait { x, on: Some(on) } => format!("Task {} awaits {}.", name(x), name(on)),
            Kind::XWait { x, on: None } => format!("Task {} awaits something that has no number here.", name(x)),
            Kind::XWake { x, own: true, .. } => format!("Task {} wakes itself: it will be polled again.", name(x)),
            Kind::XWake { x, by: Some(by), .. } => {
                format!("Task {} is woken by {}: it will be polled.", name(x), name(by))
            }
            Kind::XWake { x, .. } => format!("Task {} is woken: it will be polled.", name(x)),
            Kind::WakerClone { x } => format!("Somebody keeps a waker of task {}.", name(x)),
            Kind::WakerDrop { x } => format!("A waker of task {} is dropped.", name(x)),
            Kind::XDrop { x, state: Polled::Ready } => format!("Task {} is gone; it had come to its end.", name(x)),
            Kind::XDrop { x, state: Polled::Pending } => format!("Task {} is dropped before its end.", name(x)),

            Kind::FNew { f, msg, via, .. } => {
                let how = match via {
                    Via::Fail => "A failure is made",
                    Via::Err => match self.state.frames().last().map(|frame| &frame.what) {
                        Some(FrameKind::Poll(_)) => "A task returns an error",
                        _ => "A step returns an error",
                    },
                    Via::Panic => "A step panicked, which makes a failure",
                    Via::Cancel => "A cancel makes a failure",
                    Via::Timeout => "It took too long, which makes a failure",
                    Via::Io => "The system makes a failure",
                    Via::Thread => "A job on another thread makes a failure",
                    Via::Abandoned => "A Resolver was dropped without firing, which makes a failure",
                };
                format!("{how}: {f} \"{}\".", escaped(msg))
            }
            Kind::FMoved { f, from, to } => {
                format!("{f} moves from {} to {}, which waited for it.", name(from), name(to))
            }
            Kind::FReplaced { f, by } => format!("An errback had {f} and raised {} in its place.", name(by)),
            Kind::FHandled { f, d, n } => {
                format!("{} is handled by {} of {}.", upper(&name(f)), self.step(d, n), name(d))
            }
            Kind::FResting { f, d } => format!(
                "{} has come to the end of {} and rests there: no errback yet. If none is added it will be lost.",
                upper(&name(f)),
                name(d)
            ),
            Kind::FLost { f, d, why } => {
                let gone = match why {
                    Loss::Dropped => format!("{} is gone and had no errback for it.", name(d)),
                    Loss::LoopEnd => format!("the loop ends, and {} had no errback for it.", name(d)),
                };
                let last = self.state.chain(d).and_then(|chain| chain.steps().next_back());
                let place = match last {
                    Some(step) => {
                        format!("One after step {} \"{}\" would have caught it.", step.n, escaped(&step.label))
                    }
                    None => "It has no step at all: an errback would have caught it.".to_owned(),
                };
                format!("{} is LOST: {gone} {place}", upper(&name(f)))
            }

            Kind::DNew { d, ty, of, late } => self.made(d, ty, of, late),
            Kind::DName { d } => self.renamed(d),
            Kind::DAdd { d, n, lanes, names, late } => self.added(d, n, lanes, names, late),
            Kind::DFire { d, val } => self.fired(d, val),
            Kind::DStep { d, n, lane, val } => self.runs(d, n, lane, val),
            Kind::DRet { d, n, b, val, inner } => self.returned(d, n, b, val, inner),
            Kind::DPass { d, n, lane } => self.passed_by(d, n, lane),
            Kind::DPause { d, on } => self.pauses(d, on),
            Kind::DResume { d, from, val } => self.resumes(d, from, val),
            Kind::DCancel { d, how, to } => self.cancelled(d, how, to),
            Kind::CancellerBegin { d } => format!("The canceller of {} runs.", name(d)),
            Kind::CancellerEnd { b, fired, out } => self.canceller_ends(b, fired, out),
            Kind::DSwallow { d, val } => {
                let val = val.map(|val| format!(", {},", self.val(val))).unwrap_or_default();
                format!("A late result{val} for {} is swallowed: it was cancelled before.", name(d))
            }
            Kind::DTimeout { d, after, m } => {
                format!(
                    "{} has {} for its result; then timer {} will cancel it.",
                    name(d),
                    duration(after),
                    name(m)
                )
            }
            Kind::GNew { g, mode, of, d } => self.group(g, mode, of, d),
            Kind::GGot { g, i, lane } => self.got(g, i, lane),
            Kind::DTake { d } => match self.state.chain(d).and_then(|chain| chain.group) {
                Some(g) => format!("Group {g} takes the result out of {}.", name(d)),
                None => format!("The program takes the result out of {}.", name(d)),
            },
            Kind::DDrop { d, state: Dropped::Pending, .. } => {
                format!("The program lets go of {}; its steps will still run when it is fired.", name(d))
            }
            Kind::DDrop { d, state: Dropped::Fired, .. } => format!("The program drops {}.", name(d)),
        }
    }

    fn got(&self, g: Id, i: u32, lane: Lane) -> String {
        let member = self.state.member(g, i);
        let who = match member {
            Some(member) => format!("Member {i} of group {g}, {},", self.state.title(member.id)),
            None => format!("Member {i} of group {g}"),
        };
        let Some(Value::Err(f)) = member.and_then(|member| member.val.clone()) else {
            let what = if lane == Lane::Ok { "a value" } else { "an error" };
            return format!("{who} has {what}.");
        };
        let lost = self.state.failure(f).is_some_and(|error| matches!(error.life, Life::Lost(..)));
        let end = if lost || self.state.has_its_result(g) {
            ", for which the result of the group has no room."
        } else {
            ". The group keeps it."
        };
        format!("{who} has {}{end}", self.val(Val::Err(f)))
    }

    /// Whether the loop itself is at work, and no callback.
    fn is_in_turn(&self) -> bool {
        self.state.frames().last().is_some_and(|frame| matches!(frame.what, FrameKind::Turn(_)))
    }

    fn producer(&self, src: Option<Id>) -> String {
        src.map_or_else(|| "The producer".to_owned(), |src| format!("The producer, {},", self.state.title(src)))
    }

    fn because(&self, because: Option<Id>) -> String {
        because.map(|because| format!(", because of {}", self.state.title(because))).unwrap_or_default()
    }

    fn worker(&self) -> String {
        self.event.th.map_or_else(|| "A worker thread".to_owned(), |th| format!("Worker thread {th}"))
    }

    /// What the loop calls. `begins`: with what is known of its origin.
    fn callback(&self, o: Option<Id>, slot: Slot, begins: bool) -> String {
        let label = self.event.label.filter(|_| begins);
        let named = |id: Id| match (label, begins) {
            (Some(label), _) => format!("{id} \"{}\"", escaped(label)),
            (None, true) => self.state.title(id),
            (None, false) => id.to_string(),
        };
        let (what, from) = match slot {
            Slot::Soon => ("call", ", queued by call_soon"),
            Slot::Post => ("call", ", which was posted"),
            Slot::Ready => ("callback of source", ""),
            Slot::Write => ("callback of source", ", which can be written"),
            Slot::Accept => ("callback of listener", ", which has connections to accept"),
            Slot::Timer => ("callback of timer", ""),
            Slot::Work => ("callback of job", ""),
            Slot::Trigger => ("start-up or shutdown trigger", ""),
            Slot::Task => ("task", ""),
        };
        let from = if begins { from } else { "" };
        match (o, label) {
            (Some(o), _) => format!("the {what} {}{from}", named(o)),
            (None, Some(label)) => format!("the {what} \"{}\"{from}", escaped(label)),
            (None, None) => format!("the {}{from}", what.replace(" of ", " of a ")),
        }
    }

    /// An object that this event announces, with the name it carries.
    fn labelled(&self, id: Id) -> String {
        match self.event.label {
            Some(label) => format!("{id} \"{}\"", escaped(label)),
            None => id.to_string(),
        }
    }

    fn source(&self, i: Id) -> String {
        format!("source {}", self.state.title(i))
    }

    fn step(&self, d: Id, n: u32) -> String {
        let label = self.event.label;
        let lane = match self.event.kind {
            Kind::DStep { lane, .. } => Some(lane),
            Kind::DRet { b, .. } => match self.state.frame(b).map(|frame| &frame.what) {
                Some(FrameKind::Step { lane, .. }) => Some(*lane),
                _ => None,
            },
            _ => None,
        };
        let step = self.state.chain(d).and_then(|chain| chain.step(n));
        let known = step.map(|step| lane.map_or(&*step.label, |lane| step.label_on(lane)));
        match label.filter(|_| !matches!(self.event.kind, Kind::FHandled { .. })).or(known) {
            Some(label) => format!("step {n} \"{}\"", escaped(label)),
            None => format!("step {n}"),
        }
    }

    fn val(&self, val: Val<'_>) -> String {
        match val {
            Val::Ok { text: "", .. } => "a value".to_owned(),
            Val::Ok { text, .. } => match text.strip_prefix('<').and_then(|ty| ty.strip_suffix('>')) {
                // `<19 bytes>`: how much it is, and not its type.
                Some(size) if size.starts_with(|c: char| c.is_ascii_digit()) => {
                    format!("a value of {}", escaped(size))
                }
                Some(ty) => format!("a value of type {}", short_type(&escaped(ty))),
                // A text that was cut has lost its closing mark.
                None if text.starts_with('"') && !text.ends_with('"') => format!("the value {}\"", escaped(text)),
                None => format!("the value {}", escaped(text)),
            },
            Val::Err(f) => format!("error {}", self.state.title(f)),
        }
    }
}

fn waited_for(waited: u64, woke: Woke, ready: usize) -> String {
    if (waited, woke, ready) == (0, Woke::Now, 0) {
        return "The loop looked, without waiting: no source is ready.".to_owned();
    }
    let long = match waited {
        0 => String::new(),
        waited => format!(" after {}", duration(waited)),
    };
    let what = match (woke, ready) {
        (_, 1) => "1 source is ready".to_owned(),
        (_, 2..) => format!("{ready} sources are ready"),
        (Woke::Timer, 0) => "a timer is due".to_owned(),
        (Woke::Post, 0) => "a call was posted".to_owned(),
        (Woke::Work, 0) => "a job of the worker pool is done".to_owned(),
        (Woke::Now | Woke::Io, 0) => "no source is ready".to_owned(),
    };
    format!("The wait is over{long}: {what}.")
}

fn bytes(n: u64) -> String {
    if n == 1 { "1 byte".to_owned() } else { format!("{n} bytes") }
}

fn errno(n: u32) -> String {
    let said = std::io::Error::from_raw_os_error(n.try_into().unwrap_or(0)).to_string();
    said.trim_end_matches(|c: char| c == ')' || c.is_ascii_digit()).trim_end_matches(" (os error ").to_owned()
}

fn directions(r: bool, w: bool) -> &'static str {
    match (r, w) {
        (true, true) => "to read and to write",
        (true, false) => "to read",
        (false, true) => "to write",
        (false, false) => "nothing",
    }
}

fn count(n: u32, what: &str) -> String {
    match n {
        0 => format!("no {what}"),
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

fn were(n: u64, what: &str) -> String {
    if n == 1 { format!("{what} is") } else { format!("{what}s are") }
}

/// Closed with a full stop, unless it is closed already.
fn ended(text: &str) -> String {
    match text.ends_with(['.', '!', '?']) {
        true => text.to_owned(),
        false => format!("{text}."),
    }
}

/// A sentence begins with a capital letter, but an id (`d1`) stays what it is.
fn upper(text: &str) -> String {
    let mut rest = text.chars();
    let is_id = text.chars().nth(1).is_some_and(|c| c.is_ascii_digit());
    match rest.next() {
        Some(first) if !is_id => first.to_uppercase().chain(rest).collect(),
        _ => text.to_owned(),
    }
}
