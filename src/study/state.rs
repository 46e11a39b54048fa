//! The state of a run after an event: the one fold on which everything rests that shows a run.
//!
//! What is open (frames), what waits (timers, queued calls, sources, jobs, tasks), where each Deferred stands and where
//! its result is, and how far each failure came in its life. [`State::apply`] takes the events in order; nothing else
//! changes it. An event that makes no sense (a trace may be cut, or come from a file) changes nothing or little, and
//! never panics.

mod objects;

pub use objects::{
    Call, Chain, Error, Fate, Frame, FrameKind, Group, Life, Source, Stage, Standing, Step, Task, TaskStage, Timer,
    Value,
};

use super::row::about;
use super::table::Table;
use super::words::{escaped, step_label, two_names};
use crate::trace::{Dropped, Event, EventNumber, Id, Kind, Lane, Mode, Object, Polled, Trace, Val};
use std::rc::Rc;

/// How many frames may be open; deeper ones of a trace from a file are not kept. Far more than fit on any stack.
const FRAMES: usize = 1 << 20;

/// What is known of a run after its first `s` events.
///
/// Copies share what they have in common: one costs about 20 bytes for each 64 objects.
///
/// ```
/// use ropewalk::{EventLoop, TestClock, study::State, trace::{self, Object}};
/// use std::time::Duration;
///
/// let (ran, trace) = trace::record(|| {
///     let event_loop = EventLoop::builder().clock(&TestClock::new()).build()?;
///     event_loop.call_later(Duration::from_secs(1), |event_loop| event_loop.stop());
///     Ok::<_, Box<dyn std::error::Error>>(event_loop.run()?)
/// });
/// ran?;
/// let mut state = State::new();
/// for event in trace.events() {
///     state.apply(&event);
///     assert_eq!((state.s(), state.t()), (event.s, event.t));
///     if event.kind.name() == "cb.begin" {
///         assert_eq!(state.frames().len(), 2); // the turn, and the callback in it
///     }
/// }
/// assert_eq!(state.count(Object::Timer), 1);
/// assert!(state.is_stopping() && state.frames().is_empty());
/// assert_eq!(state, State::after(&trace));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    s: EventNumber,
    t: u64,
    turn: u32,
    frames: Vec<Frame>,
    waiting: Option<(EventNumber, u64, Option<u64>)>,
    stopping: bool,
    dropped: u64,
    chains: Table<Chain>,
    failures: Table<Error>,
    timers: Table<Timer>,
    sources: Table<Source>,
    posts: Table<Call>,
    jobs: Table<Call>,
    tasks: Table<Task>,
    groups: Table<Group>,
    output: Table<EventNumber>,
}

impl State {
    /// Before the first event.
    pub fn new() -> State {
        State::default()
    }

    /// After all events of a recording.
    ///
    /// ```
    /// use ropewalk::{Deferred, study::State, trace};
    ///
    /// let ((), trace) = trace::record(|| Deferred::succeed(1).named("one").detach());
    /// let state = State::after(&trace);
    /// assert_eq!(state.s(), trace.events().last().unwrap().s);
    /// assert_eq!(state.chains().next().unwrap().name.as_deref(), Some("one"));
    /// ```
    pub fn after(trace: &Trace) -> State {
        let mut state = State::new();
        trace.events().for_each(|event| state.apply(&event));
        state
    }

    /// The number of the event that was applied last; 0 before the first.
    pub fn s(&self) -> EventNumber {
        self.s
    }

    /// The time of that event, in nanoseconds.
    pub fn t(&self) -> u64 {
        self.t
    }

    /// The turn of the loop; 0 before the first.
    pub fn turn(&self) -> u32 {
        self.turn
    }

    /// The open frames, the outermost first.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// While the loop waits: the event that began it, its time, and the limit in nanoseconds.
    ///
    /// ```
    /// use ropewalk::{EventLoop, study::Timeline, trace};
    /// use std::time::Duration;
    ///
    /// let (ran, trace) = trace::record(|| {
    ///     let event_loop = EventLoop::new()?;
    ///     event_loop.call_later(Duration::from_millis(1), |event_loop| event_loop.stop());
    ///     Ok::<_, Box<dyn std::error::Error>>(event_loop.run()?)
    /// });
    /// ran?;
    /// let wait = trace.events().find(|event| event.kind.name() == "poll.begin").unwrap().s;
    /// let timeline = Timeline::of(trace);
    /// let (s, _, limit) = timeline.state_at(wait).waits().unwrap();
    /// assert!(s == wait && limit.unwrap() <= 1_000_000); // until the timer is due
    /// assert_eq!(timeline.head().waits(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn waits(&self) -> Option<(EventNumber, u64, Option<u64>)> {
        self.waiting
    }

    /// Whether somebody asked the loop to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// How many events the recorder had no room for.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// All Deferreds so far.
    pub fn chains(&self) -> impl DoubleEndedIterator<Item = &Chain> {
        self.chains.iter()
    }

    /// A Deferred.
    pub fn chain(&self, d: Id) -> Option<&Chain> {
        (d.0 == Object::Deferred).then(|| self.chains.get(d.1)).flatten()
    }

    /// All failures so far.
    pub fn failures(&self) -> impl DoubleEndedIterator<Item = &Error> {
        self.failures.iter()
    }

    /// A failure.
    pub fn failure(&self, f: Id) -> Option<&Error> {
        (f.0 == Object::Failure).then(|| self.failures.get(f.1)).flatten()
    }

    /// All timers so far.
    pub fn timers(&self) -> impl DoubleEndedIterator<Item = &Timer> {
        self.timers.iter()
    }

    /// A timer.
    pub fn timer(&self, m: Id) -> Option<&Timer> {
        (m.0 == Object::Timer).then(|| self.timers.get(m.1)).flatten()
    }

    /// The queued calls so far, of this thread and of others.
    pub fn posts(&self) -> impl DoubleEndedIterator<Item = &Call> {
        self.posts.iter()
    }

    /// All sources so far.
    pub fn sources(&self) -> impl DoubleEndedIterator<Item = &Source> {
        self.sources.iter()
    }

    /// All jobs of the worker pool so far.
    pub fn jobs(&self) -> impl DoubleEndedIterator<Item = &Call> {
        self.jobs.iter()
    }

    /// All tasks so far.
    pub fn tasks(&self) -> impl DoubleEndedIterator<Item = &Task> {
        self.tasks.iter()
    }

    /// A task.
    pub fn task(&self, x: Id) -> Option<&Task> {
        (x.0 == Object::Task).then(|| self.tasks.get(x.1)).flatten()
    }

    /// Member `i` of a group, from 0.
    pub(in crate::study) fn member(&self, g: Id, i: u32) -> Option<&Chain> {
        let d = *self.groups.get(g.1)?.of.get(i as usize)?;
        self.chain(d)
    }

    /// Whether a group has fired its own Deferred.
    pub(in crate::study) fn has_its_result(&self, g: Id) -> bool {
        self.groups.get(g.1).and_then(|group| self.chain(group.d)).is_some_and(|chain| chain.fired > 0)
    }

    /// Whether the group that fires `d` has what it waited for, and needs this member no more.
    pub(in crate::study) fn is_decided(&self, d: Id, member: Id) -> bool {
        let group = self.chain(member).and_then(|member| member.group).and_then(|g| self.groups.get(g.1));
        group.is_some_and(|group| {
            let decides = |member: &Chain| match (group.mode, &member.val) {
                (Mode::First, Some(Value::Ok(_))) | (Mode::FailFast, Some(Value::Err(_))) => {
                    member.standing == Standing::Taken
                }
                _ => false,
            };
            group.d == d && group.of.iter().filter_map(|d| self.chain(*d)).any(decides)
        })
    }

    /// All groups so far.
    pub fn groups(&self) -> impl DoubleEndedIterator<Item = &Group> {
        self.groups.iter()
    }

    /// The events that put something out, in order.
    pub fn output(&self) -> impl DoubleEndedIterator<Item = EventNumber> {
        self.output.iter().copied()
    }

    /// How many objects of a kind there were so far.
    pub fn count(&self, object: Object) -> usize {
        match object {
            Object::Deferred => self.chains.len(),
            Object::Failure => self.failures.len(),
            Object::Timer => self.timers.len(),
            Object::Source => self.sources.len(),
            Object::Post => self.posts.len(),
            Object::Work => self.jobs.len(),
            Object::Task => self.tasks.len(),
            Object::Group => self.groups.len(),
        }
    }

    /// The name a person gave an object, or what a failure says.
    pub fn label(&self, id: Id) -> Option<&Rc<str>> {
        match id.0 {
            Object::Deferred => self.chains.get(id.1)?.name.as_ref(),
            Object::Failure => Some(&self.failures.get(id.1)?.msg),
            Object::Timer => self.timers.get(id.1)?.label.as_ref(),
            Object::Source => self.sources.get(id.1)?.label.as_ref(),
            Object::Post => self.posts.get(id.1)?.label.as_ref(),
            Object::Work => self.jobs.get(id.1)?.label.as_ref(),
            Object::Task => self.tasks.get(id.1)?.label.as_ref(),
            Object::Group => None,
        }
    }

    /// `d1 "get_poem"`: an object with its name, safe to show anywhere.
    ///
    /// ```
    /// use ropewalk::{Deferred, study::State, trace};
    ///
    /// let ((), trace) = trace::record(|| {
    ///     Deferred::succeed(1).named("one\n").detach();
    ///     Deferred::succeed(2).detach();
    /// });
    /// let state = State::after(&trace);
    /// assert_eq!(state.title("d1".parse()?), r#"d1 "one\n""#);
    /// assert_eq!(state.title("d2".parse()?), "d2");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn title(&self, id: Id) -> String {
        match self.label(id) {
            Some(label) => format!("{id} \"{}\"", escaped(label)),
            None => id.to_string(),
        }
    }

    /// The loop's callback inside which everything runs now.
    pub fn callback(&self) -> Option<&Frame> {
        self.frames.iter().rev().find(|frame| matches!(frame.what, FrameKind::Callback { .. }))
    }

    /// Takes the next event in.
    pub fn apply(&mut self, event: &Event<'_>) {
        (self.s, self.t, self.turn) = (event.s, event.t, event.turn);
        self.learn_name(event);
        match event.kind {
            Kind::Out { .. } => {
                let n = self.output.len() as u32;
                self.output.put(n, event.s);
            }
            Kind::Drop { n } => self.dropped = self.dropped.saturating_add(n),

            Kind::TurnBegin { .. } => self.open(event, FrameKind::Turn(event.turn)),
            Kind::PollBegin { timeout, .. } => self.waiting = Some((event.s, event.t, timeout)),
            Kind::PollEnd { .. } => self.waiting = None,
            Kind::CbBegin { o, slot } => {
                let label = event.label.map(Rc::from).or_else(|| o.and_then(|o| self.label(o).cloned()));
                self.open(event, FrameKind::Callback { o, slot, label });
                if let Some(o) = o
                    && o.0 == Object::Post
                {
                    self.call(event, o).stage = Stage::Done;
                }
            }
            Kind::CbEnd { b, .. } | Kind::TurnEnd { b, .. } => self.close(b),
            Kind::LoopStop {} => self.stopping = true,

            Kind::TimerArm { m, due, .. } => {
                let label = event.label.map(Rc::from);
                self.timers.entry(m.1, || Timer { id: m, label, armed: event.s, due, stage: Stage::Waits });
            }
            Kind::TimerFire { m, .. } => self.timer_is(m, Stage::Done),
            Kind::TimerCancel { m } => self.timer_is(m, Stage::Cancelled),
            Kind::TimerReset { m, due } => {
                if let Some(timer) = self.timers.get_mut(m.1) {
                    (timer.due, timer.stage) = (due, Stage::Waits);
                }
            }
            Kind::Post { p, .. } => {
                self.call(event, p);
            }
            Kind::WorkQueue { w, .. } => {
                self.call(event, w);
            }
            Kind::WorkDone { w } => self.call(event, w).stage = Stage::Done,
            _ => {
                self.apply_to_sources(event);
                self.apply_to_chains(event);
                self.apply_to_failures(event);
                self.apply_to_tasks(event);
            }
        }
    }

    /// A name that an object got after the event that announced it.
    fn learn_name(&mut self, event: &Event<'_>) {
        let (Some(label), Some(id)) = (event.label, about(&event.kind)) else { return };
        if self.label(id).is_some() {
            return;
        }
        let name = match id.0 {
            Object::Timer => self.timers.get_mut(id.1).map(|timer| &mut timer.label),
            Object::Source => self.sources.get_mut(id.1).map(|source| &mut source.label),
            Object::Post => self.posts.get_mut(id.1).map(|call| &mut call.label),
            Object::Work => self.jobs.get_mut(id.1).map(|call| &mut call.label),
            Object::Task => self.tasks.get_mut(id.1).map(|task| &mut task.label),
            // A Deferred's events carry the names of its steps.
            Object::Deferred | Object::Failure | Object::Group => None,
        };
        if let Some(name) = name {
            *name = Some(Rc::from(label));
        }
    }

    fn apply_to_sources(&mut self, event: &Event<'_>) {
        match event.kind {
            Kind::IoOpen { i, what, name, .. } => {
                self.sources.entry(i.1, || Source {
                    id: i,
                    label: event.label.map(Rc::from),
                    what: Rc::from(what),
                    name: name.map(Rc::from),
                    opened: event.s,
                    wants: None,
                    left: 0,
                    open: true,
                });
            }
            Kind::IoWant { i, r, w } => {
                if let Some(source) = self.sources.get_mut(i.1) {
                    source.wants = Some((r, w));
                }
            }
            Kind::IoWrite { i, left, .. } | Kind::FlowHigh { i, left, .. } | Kind::FlowLow { i, left } => {
                if let Some(source) = self.sources.get_mut(i.1) {
                    source.left = left;
                }
            }
            Kind::IoClose { i, .. } => {
                if let Some(source) = self.sources.get_mut(i.1) {
                    source.open = false;
                }
            }
            _ => {}
        }
    }

    fn apply_to_tasks(&mut self, event: &Event<'_>) {
        match event.kind {
            Kind::XSpawn { x, .. } => {
                self.met_task(event, x);
            }
            Kind::XPoll { x, n } => {
                self.open(event, FrameKind::Poll(x));
                let task = self.met_task(event, x);
                (task.polls, task.stage) = (n.saturating_add(1), TaskStage::Polled);
            }
            Kind::XRet { b, out, .. } => {
                let polled = self.frame(b).map(|frame| frame.what.clone());
                self.close(b);
                if let Some(FrameKind::Poll(x)) = polled
                    && let Some(task) = self.tasks.get_mut(x.1)
                {
                    match (out, task.stage) {
                        (Polled::Ready, _) => task.stage = TaskStage::Ready,
                        (Polled::Pending, TaskStage::Polled) => task.stage = TaskStage::Waits(None),
                        (Polled::Pending, _) => {}
                    }
                }
            }
            Kind::XWait { x, on } => {
                let task = self.met_task(event, x);
                (task.stage, task.awaits) = (TaskStage::Waits(on), event.s);
            }
            Kind::XWake { x, .. } => self.met_task(event, x).stage = TaskStage::Woken,
            Kind::XDrop { x, state } => {
                self.met_task(event, x).stage = match state {
                    Polled::Ready => TaskStage::Ready,
                    Polled::Pending => TaskStage::Dropped,
                };
            }
            _ => {}
        }
    }

    fn apply_to_chains(&mut self, event: &Event<'_>) {
        match event.kind {
            Kind::DNew { d, ty, .. } => {
                let chain = self.at(d);
                (chain.ty, chain.born) = (Rc::from(ty), event.s);
                if let Some(label) = event.label {
                    chain.name = Some(Rc::from(label));
                }
            }
            Kind::DName { d } => self.at(d).name = event.label.map(Rc::from),
            Kind::DAdd { d, n, lanes, names, late } => {
                let step = Step {
                    n,
                    label: Rc::from(step_label(event.label, names)),
                    names: two_names(event.label, names).map(|names| names.map(Rc::from)),
                    added: event.s,
                    ok: lanes.ok(),
                    err: lanes.err(),
                    late,
                    sys: event.sys,
                    fate: Fate::NotYet,
                };
                self.at(d).steps.put(n, step);
            }
            Kind::DFire { d, val } => {
                let chain = self.at(d);
                (chain.fired, chain.standing) = (event.s, Standing::Rests);
                self.holds(d, val);
            }
            Kind::DStep { d, n, lane, val } => {
                self.open(event, FrameKind::Step { d, n, lane, val: val.into() });
                self.at(d).standing = Standing::Running;
                self.step(event, d, n, Fate::Runs(event.s, lane));
                self.holds(d, val);
            }
            Kind::DRet { d, n, b, val, .. } => {
                let lane = match self.frame(b).map(|frame| &frame.what) {
                    Some(FrameKind::Step { lane, .. }) => *lane,
                    _ => Lane::Ok,
                };
                self.close(b);
                self.step(event, d, n, Fate::Ran(lane, val.map(Value::from)));
                // With a Deferred given back, `d.pause` or `d.resume` comes next.
                self.at(d).standing = Standing::Rests;
                if let Some(val) = val {
                    self.holds(d, val);
                }
            }
            Kind::DPass { d, n, lane } => self.step(event, d, n, Fate::Passed(lane)),
            Kind::DPause { d, on } => {
                let chain = self.at(d);
                (chain.standing, chain.paused) = (Standing::Paused(on), Some((event.s, event.t)));
                self.at(on).waiter = Some(d);
            }
            Kind::DResume { d, from, val } => {
                let inner = self.at(from);
                (inner.standing, inner.waiter) = (Standing::WentTo(d), Some(d));
                let chain = self.at(d);
                (chain.standing, chain.paused) = (Standing::Rests, None);
                self.holds(d, val);
            }
            Kind::DCancel { d, how, .. } => self.at(d).cancel = Some(how),
            Kind::CancellerBegin { d } => self.open(event, FrameKind::Canceller(d)),
            Kind::CancellerEnd { b, .. } => self.close(b),
            Kind::DTake { d } => {
                let chain = self.at(d);
                chain.standing = Standing::Taken;
                if let Some(Value::Err(f)) = chain.val {
                    self.lives(event, f, Life::Taken(d));
                }
            }
            Kind::DDrop { d, state, .. } => self.at(d).detached |= state == Dropped::Pending,
            Kind::GNew { g, mode, of, d } => {
                self.groups.put(g.1, Group { id: g, mode, d, of: Rc::from(of), got: 0 });
                of.iter().for_each(|d| self.at(*d).group = Some(g));
            }
            Kind::GGot { g, i, .. } => {
                if let Some(group) = self.groups.get_mut(g.1) {
                    group.got = group.got.saturating_add(1);
                }
                // Of a member that had its result early this is told late: the group may have lost the failure already.
                if let Some(Value::Err(f)) = self.member(g, i).and_then(|member| member.val.clone())
                    && self.failure(f).is_some_and(|error| !matches!(error.life, Life::Lost(..)))
                {
                    self.lives(event, f, Life::Kept(g));
                }
            }
            _ => {}
        }
    }

    fn apply_to_failures(&mut self, event: &Event<'_>) {
        match event.kind {
            Kind::FNew { f, msg, via, .. } => {
                self.failures.entry(f.1, || Error {
                    id: f,
                    msg: Rc::from(msg),
                    via,
                    born: event.s,
                    home: None,
                    life: Life::Travels,
                    since: (event.s, event.t),
                });
            }
            Kind::FMoved { f, to, .. } => {
                self.lives(event, f, Life::Travels);
                if let Some(error) = self.failures.get_mut(f.1) {
                    error.home = Some(to);
                }
            }
            Kind::FReplaced { f, by } => self.lives(event, f, Life::Replaced(by)),
            Kind::FHandled { f, d, n } => self.lives(event, f, Life::Handled(d, n)),
            Kind::FResting { f, d } => {
                self.lives(event, f, Life::Rests(d));
                self.at(d).standing = Standing::Rests;
            }
            Kind::FLost { f, d, why } => {
                self.lives(event, f, Life::Lost(d, why));
                self.at(d).standing = Standing::Lost(f);
            }
            _ => {}
        }
    }

    fn open(&mut self, event: &Event<'_>, what: FrameKind) {
        if self.frames.len() < FRAMES {
            self.frames.push(Frame { s: event.s, what });
        }
    }

    /// The open frame that an event began.
    pub fn frame(&self, s: EventNumber) -> Option<&Frame> {
        self.frames.iter().rev().find(|frame| frame.s == s)
    }

    fn close(&mut self, b: EventNumber) {
        if let Some(i) = self.frames.iter().rposition(|frame| frame.s == b) {
            self.frames.truncate(i);
        }
    }

    fn at(&mut self, d: Id) -> &mut Chain {
        self.chains.entry(d.1, || Chain::new(d))
    }

    fn step(&mut self, event: &Event<'_>, d: Id, n: u32, fate: Fate) {
        let chain = self.at(d);
        let made = || Step {
            // Added before somebody recorded.
            n,
            label: Rc::from(event.label.unwrap_or("step")),
            names: None,
            added: event.s,
            ok: true,
            err: true,
            late: false,
            sys: event.sys,
            fate: Fate::NotYet,
        };
        chain.steps.entry(n, made).fate = fate;
        chain.reached = Some(n);
    }

    fn holds(&mut self, d: Id, val: Val<'_>) {
        self.at(d).val = Some(val.into());
        if let Val::Err(f) = val
            && let Some(error) = self.failures.get_mut(f.1)
        {
            error.home = Some(d);
            if matches!(error.life, Life::Rests(_)) {
                error.life = Life::Travels;
            }
        }
    }

    fn lives(&mut self, event: &Event<'_>, f: Id, life: Life) {
        if let Some(error) = self.failures.get_mut(f.1) {
            (error.life, error.since) = (life, (event.s, event.t));
        }
    }

    fn timer_is(&mut self, m: Id, stage: Stage) {
        if let Some(timer) = self.timers.get_mut(m.1) {
            timer.stage = stage;
        }
    }

    fn call(&mut self, event: &Event<'_>, id: Id) -> &mut Call {
        let calls = if id.0 == Object::Work { &mut self.jobs } else { &mut self.posts };
        calls.entry(id.1, || Call { id, label: event.label.map(Rc::from), queued: event.s, stage: Stage::Waits })
    }

    fn met_task(&mut self, event: &Event<'_>, x: Id) -> &mut Task {
        self.tasks.entry(x.1, || Task {
            id: x,
            label: event.label.map(Rc::from),
            born: event.s,
            polls: 0,
            awaits: 0,
            stage: TaskStage::Woken,
        })
    }
}
