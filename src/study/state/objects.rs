//! What the state of a run knows of each object.

use crate::study::table::Table;
use crate::trace::{Cancel, EventNumber, Id, Lane, Loss, Mode, Slot, Val, Via};
use std::rc::Rc;

/// A value or a failure, as the trace shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A value: its preview, or its type's name in angle brackets.
    Ok(Rc<str>),
    /// A failure.
    Err(Id),
}

impl From<Val<'_>> for Value {
    fn from(val: Val<'_>) -> Value {
        match val {
            Val::Ok { text, .. } => Value::Ok(Rc::from(text)),
            Val::Err(f) => Value::Err(f),
        }
    }
}

/// An open frame: what runs, or called what runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its begin event.
    pub s: EventNumber,
    /// What it is.
    pub what: FrameKind,
}

/// What kind of frame is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A turn of the loop, with its number.
    Turn(u32),
    /// The loop's callback of an object.
    Callback {
        /// The object, if it has an id.
        o: Option<Id>,
        /// The queue it came from.
        slot: Slot,
        /// The name a person gave.
        label: Option<Rc<str>>,
    },
    /// Step `n` of a Deferred.
    Step {
        /// The Deferred.
        d: Id,
        /// The step.
        n: u32,
        /// The lane on which it runs.
        lane: Lane,
        /// What came in.
        val: Value,
    },
    /// The canceller of a Deferred.
    Canceller(Id),
    /// A poll of a task.
    Poll(Id),
}

/// Where a Deferred stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has fired it.
    #[default]
    NotFired,
    /// A step runs.
    Running,
    /// It waits for another Deferred.
    Paused(Id),
    /// Its value, or its error, rests at the end of what was added.
    Rests,
    /// Its result went to the Deferred that waited for it.
    WentTo(Id),
    /// The program took its result.
    Taken,
    /// Its error was lost.
    Lost(Id),
}

/// A Deferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: Option<Rc<str>>,
    /// The type of its result, with all paths.
    pub ty: Rc<str>,
    /// The event that announced it; 0 if none did.
    pub born: EventNumber,
    /// The event that fired it; 0 before.
    pub fired: EventNumber,
    /// Where it stands.
    pub standing: Standing,
    /// The value or error that it holds now, or had last.
    pub val: Option<Value>,
    /// The step that ran last, or was passed by last.
    pub reached: Option<u32>,
    /// The event and the time since which it is paused.
    pub paused: Option<(EventNumber, u64)>,
    /// The Deferred that waits for this one, or did.
    pub waiter: Option<Id>,
    /// The group that it is a member of.
    pub group: Option<Id>,
    /// Its consuming end was dropped while it was pending.
    pub detached: bool,
    /// How the last cancel was answered.
    pub cancel: Option<Cancel>,
    pub(in crate::study) steps: Table<Step>,
}

impl Chain {
    pub(super) fn new(id: Id) -> Chain {
        Chain {
            id,
            name: None,
            ty: Rc::from(""),
            born: 0,
            fired: 0,
            standing: Standing::NotFired,
            val: None,
            reached: None,
            paused: None,
            waiter: None,
            group: None,
            detached: false,
            cancel: None,
            steps: Table::default(),
        }
    }

    /// Its steps in order. Those added before the recording are there once they ran.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.steps.iter()
    }

    /// Step `n`.
    pub fn step(&self, n: u32) -> Option<&Step> {
        self.steps.get(n)
    }

    /// How many steps wait for their turn.
    pub fn waiting_steps(&self) -> usize {
        self.steps.iter().rev().take_while(|step| step.fate == Fate::NotYet).count()
    }

    /// Whether anything may still happen to it by itself.
    pub fn is_open(&self) -> bool {
        matches!(self.standing, Standing::NotFired | Standing::Running | Standing::Paused(_))
    }
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits.
    NotYet,
    /// It runs since that event, on that lane.
    Runs(EventNumber, Lane),
    /// It ran on that lane and gave a value, an error, or (`None`) a Deferred.
    Ran(Lane, Option<Value>),
    /// It had nothing for that lane.
    Passed(Lane),
}

/// A step of a Deferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its number, from 0.
    pub n: u32,
    /// The name a person gave, or the function's.
    pub label: Rc<str>,
    /// The event that added it, or that was the first to tell of it: its place is that of the step.
    pub added: EventNumber,
    /// It has a callback.
    pub ok: bool,
    /// It has an errback.
    pub err: bool,
    /// It was added when the Deferred had its result.
    pub late: bool,
    /// The library added it for itself.
    pub sys: bool,
    /// What became of it.
    pub fate: Fate,
}

/// The life of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It was raised, or is on its way.
    Travels,
    /// An errback took it: step `n` of `d`.
    Handled(Id, u32),
    /// An errback raised another in its place.
    Replaced(Id),
    /// It lies at the end of a Deferred that has no errback for it yet.
    Rests(Id),
    /// The program took it out of a Deferred.
    Taken(Id),
    /// A group keeps it: it was the result of a member.
    Kept(Id),
    /// Nobody can handle it any more.
    Lost(Id, Loss),
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Its id.
    pub id: Id,
    /// What it says.
    pub msg: Rc<str>,
    /// How it came to be.
    pub via: Via,
    /// The event that announced it: its place is where it was raised.
    pub born: EventNumber,
    /// The Deferred it is in, or was in last.
    pub home: Option<Id>,
    /// How far it came.
    pub life: Life,
    /// The event and the time of the last change in its life.
    pub since: (EventNumber, u64),
}

/// How far a timer, a queued call or a job came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It waits.
    Waits,
    /// It was called, or its result is back.
    Done,
    /// It was cancelled.
    Cancelled,
}

/// A timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub label: Option<Rc<str>>,
    /// The event that armed it.
    pub armed: EventNumber,
    /// When it is due, in nanoseconds on the loop's clock.
    pub due: u64,
    /// Whether it still waits.
    pub stage: Stage,
}

/// A call that was queued, by `call_soon` or from another thread; or a job of the worker pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub label: Option<Rc<str>>,
    /// The event that queued it.
    pub queued: EventNumber,
    /// Whether it still waits.
    pub stage: Stage,
}

/// A source: something with a descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub label: Option<Rc<str>>,
    /// Its type.
    pub what: Rc<str>,
    /// Its address or the like.
    pub name: Option<Rc<str>>,
    /// The event that registered it.
    pub opened: EventNumber,
    /// What it wants: to read, to write. `None` as long as the trace has not said it.
    pub wants: Option<(bool, bool)>,
    /// Bytes that wait to be written, as far as the trace tells.
    pub left: u64,
    /// It is registered.
    pub open: bool,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStage {
    /// It is to be polled.
    Woken,
    /// It is being polled.
    Polled,
    /// It waits; for an object, where the trace knows which.
    Waits(Option<Id>),
    /// It came to its end.
    Ready,
    /// It was dropped before its end.
    Dropped,
}

/// A task: a spawned future.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub label: Option<Rc<str>>,
    /// The event that announced it.
    pub born: EventNumber,
    /// How often it was polled.
    pub polls: u32,
    /// The event that told on what it waits: its place is the line of the `await`. 0 for none.
    pub awaits: EventNumber,
    /// Where it stands.
    pub stage: TaskStage,
}

/// A group: Deferreds that are waited for together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: Id,
    /// What it waits for.
    pub mode: Mode,
    /// Its own result.
    pub d: Id,
    /// Its members.
    pub of: Rc<[Id]>,
    /// How many members have their result.
    pub got: u32,
}
