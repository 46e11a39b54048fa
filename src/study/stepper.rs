//! Stepping through a run: what the keys do, without a terminal.
//!
//! There are two marks on one line of time: the *head*, where the program is (or where the trace ends), and the *cursor*,
//! what is looked at. Behind the head, keys move the cursor, and nothing is executed again. At the head of a program
//! that still runs, they let it go on to the next stop.
//!
//! [`Stepper`] is that model. [`plain`] asks for keys line by line, for pipes and screen readers; `term` (feature
//! `stepper`) draws on a terminal.

mod breaks;
mod index;
mod keys;
mod live;
pub mod plain;
#[cfg(feature = "stepper")]
pub mod term;
// Most of it is for the terminal.
#[cfg_attr(not(feature = "stepper"), allow(dead_code))]
mod view;

pub use breaks::{Break, EmptyBreak};
pub use keys::{After, Key};
pub use live::{Front, Live};

use super::lints::{Limits, Lint, Linter, Rule};
use super::row::{headline, is_error, objects};
use super::sentence::sentence;
use super::state::{FrameKind, State};
use super::timeline::Timeline;
use super::why::{Link, Why, why};
use crate::trace::{Event, EventNumber, Header, Id, Kind, Object, Trace, Via};
use breaks::starts;
use index::Index;
use keys::Prompt;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::rc::Rc;

/// How many of one's own jumps can be gone back.
const JUMPS: usize = 1000;

/// Where to move, forward or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    /// One event that is shown at this level of detail.
    Event,
    /// To the start of a callback or step.
    Callback,
    /// To the event that ends this frame.
    End(EventNumber),
    /// To a turn.
    Turn,
    /// To where something goes wrong.
    Error,
    /// To an event of this object.
    Object(Id),
    /// To where a finding leads.
    Lint,
    /// To a breakpoint.
    Break,
}

impl Move {
    /// What it leads to.
    fn what(self) -> String {
        match self {
            Move::Event => "event".to_owned(),
            Move::Callback => "callback or step".to_owned(),
            Move::End(_) => "end of this frame".to_owned(),
            Move::Turn => "turn".to_owned(),
            Move::Error => "error event".to_owned(),
            Move::Object(id) => format!("event of {id}"),
            Move::Lint => "finding".to_owned(),
            Move::Break => "breakpoint".to_owned(),
        }
    }
}

/// What a running program is to reach before it is stopped again.
#[derive(Clone, Copy, Debug)]
struct Goal {
    to: Move,
    left: u32,
}

/// The part of the screen that `j`, `k` and `Enter` act on.
///
/// ```
/// use ropewalk::{Deferred, study::{Key, Stepper, stepper::Pane}, trace};
///
/// let ((), trace) = trace::record(|| Deferred::succeed(1).map(|n| n + 1).detach());
/// let mut stepper = Stepper::of(trace);
/// stepper.key(Key::End);
/// assert_eq!(stepper.pane(), (Pane::Events, 0));
/// stepper.key(Key::Tab);
/// stepper.key(Key::Down);
/// assert_eq!(stepper.pane(), (Pane::Chain, 1));
/// stepper.key(Key::Enter); // to the event of that row
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pane {
    /// The list of events.
    #[default]
    Events,
    /// The rail of the selected Deferred.
    Chain,
    /// Why the event at the cursor happened.
    Why,
}

/// A run that one steps through, finished or still going on.
///
/// ```
/// use ropewalk::{Deferred, study::{Key, Stepper}, trace};
///
/// let ((), trace) = trace::record(|| {
///     let (resolver, d) = Deferred::new();
///     d.named("poem").map(|n: i32| n + 1).detach();
///     resolver.succeed(1);
/// });
/// let mut stepper = Stepper::of(trace);
/// assert_eq!(stepper.sentence(), "A Deferred of type i32 is made: d1.");
/// stepper.key(Key::Char('n')); // the next callback or step
/// assert_eq!(stepper.sentence(), "Step 0 \"closure\" of d1 \"poem\" runs: its callback gets the value 1.");
/// stepper.key(Key::Char('S')); // one event back
/// assert!(stepper.sentence().starts_with("d1 \"poem\" is fired with the value 1."));
/// ```
pub struct Stepper {
    timeline: Timeline,
    index: Index,
    /// The event that is looked at; 0 before the first.
    cursor: EventNumber,
    /// The state after it.
    state: State,
    /// The program is still there.
    live: bool,
    goal: Option<Goal>,
    /// The event for which the program is to be stopped.
    hit: Option<EventNumber>,
    level: u8,
    selected: Option<Id>,
    /// `selected` was chosen by hand, and so stays.
    pinned: bool,
    breaks: Vec<(Break, bool)>,
    jumps: Vec<EventNumber>,
    marks: BTreeMap<char, EventNumber>,
    search: String,
    pane: Pane,
    row: usize,
    prompt: Option<Prompt>,
    /// The question whose answer was shown last.
    answered: EventNumber,
    count: Option<u32>,
    /// The level before the digit that may have been a count.
    level_before: u8,
    note: String,
    help: bool,
    /// The findings that were known when it was looked for new ones last.
    found: HashSet<(EventNumber, Rule)>,
    /// What is probably wrong, derived when there were so many events.
    lints: RefCell<(usize, Rc<[Lint]>)>,
    /// Who derives it; made when somebody first asks.
    linter: RefCell<Option<Linter>>,
    /// The lines of source files, as they were read.
    sources: RefCell<BTreeMap<String, Option<Rc<Vec<String>>>>>,
}

impl Stepper {
    /// For a finished run. The cursor is on its first event.
    pub fn of(trace: Trace) -> Stepper {
        let mut stepper = Stepper::over(Timeline::of(trace), false);
        let first = stepper.timeline.trace().nth(0).map_or(0, |event| event.s);
        stepper.look_at(first);
        stepper
    }

    /// For a program that is about to run. It stops at its first event.
    pub fn live() -> Stepper {
        let mut stepper = Stepper::over(Timeline::new(), true);
        stepper.goal = Some(Goal { to: Move::Event, left: 1 });
        stepper
    }

    fn over(timeline: Timeline, live: bool) -> Stepper {
        Stepper {
            index: Index::of(timeline.trace()),
            timeline,
            cursor: 0,
            state: State::new(),
            live,
            goal: None,
            hit: None,
            level: 1,
            selected: None,
            pinned: false,
            breaks: Vec::new(),
            jumps: Vec::new(),
            marks: BTreeMap::new(),
            search: String::new(),
            pane: Pane::Events,
            row: 0,
            prompt: None,
            answered: 0,
            count: None,
            level_before: 1,
            note: String::new(),
            help: false,
            found: HashSet::new(),
            lints: RefCell::new((0, Rc::from([]))),
            linter: RefCell::new(None),
            sources: RefCell::default(),
        }
    }

    /// Looks at event `s`; past the end, at the last one.
    pub fn go_to(&mut self, s: EventNumber) {
        let len = self.timeline.len_at(s);
        if let Some(event) = len.checked_sub(1).and_then(|i| self.timeline.trace().nth(i)) {
            let s = event.s;
            self.jump(s);
        }
    }

    /// Adds a breakpoint, unless it is there or there are 100.
    ///
    /// ```
    /// use ropewalk::{Deferred, Failure, study::{Key, Stepper}, trace};
    ///
    /// let ((), trace) = trace::record(|| {
    ///     Deferred::<()>::fail(Failure::msg("no")).add_errback(|_| Ok::<(), Failure>(())).detach();
    /// });
    /// let mut stepper = Stepper::of(trace);
    /// stepper.add_break("f.handled".parse()?);
    /// stepper.key(Key::Char('c')); // on to the next breakpoint
    /// assert_eq!(stepper.event().unwrap().kind.name(), "f.handled");
    /// # Ok::<(), ropewalk::study::stepper::EmptyBreak>(())
    /// ```
    pub fn add_break(&mut self, at: Break) {
        if self.breaks.len() < breaks::MOST && !self.breaks.iter().any(|(known, _)| *known == at) {
            self.breaks.push((at, true));
        }
    }

    /// The breakpoints, and whether each is on.
    pub fn breaks(&self) -> &[(Break, bool)] {
        &self.breaks
    }

    /// Lets a live program run until something happens to this object.
    pub fn run_to(&mut self, id: Id) {
        self.goal = Some(Goal { to: Move::Object(id), left: 1 });
        if id.0 == Object::Deferred {
            (self.selected, self.pinned) = (Some(id), true);
        }
    }

    /// Lets a live program run until a breakpoint stops it.
    pub fn run_on(&mut self) {
        self.goal = None;
    }

    /// Takes what the recorder is told of the run as a whole.
    pub fn begin(&mut self, header: &Header<'_>) {
        self.timeline.begin(header);
    }

    /// Takes an event of a live program in. One that is known already is left out.
    pub fn arrive(&mut self, event: &Event<'_>) {
        if event.s <= self.timeline.head().s() {
            return;
        }
        self.timeline.push(event);
        self.index.push(event);
        if self.hit.is_some() {
            return;
        }
        let head = self.timeline.head();
        if self.breaks.iter().any(|(at, on)| *on && at.stops_at(event, head)) {
            self.hit = Some(event.s);
        }
        // A question of a lesson is asked, unless the program runs to a breakpoint.
        if self.goal.is_some() && matches!(event.kind, Kind::Ask { .. }) {
            self.hit = Some(event.s);
        }
        if self.hit.is_none() && may_find(&event.kind) {
            self.hit = self.new_finding();
        }
        if let Some(Goal { to, left }) = &mut self.goal
            && goal_is(*to, self.level, event)
        {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.hit = self.hit.or(Some(event.s));
            }
        }
    }

    /// Asked before what `event` tells of happens: whether the program is to be stopped here. Then it looks at the
    /// event for which it was to be stopped.
    pub fn stops_before(&mut self, event: &Event<'_>) -> bool {
        self.arrive(event);
        match self.hit.take() {
            Some(s) => {
                let goal = self.goal.take();
                self.look_at(s);
                if matches!(goal, Some(Goal { to: Move::Lint, .. })) || self.breaks_at_findings() {
                    self.note = self.findings_here();
                }
                true
            }
            None => false,
        }
    }

    /// The program is over: from now on this is a finished run. The cursor is where the program was to be stopped, if it
    /// came there behind the last place where it can be held; else on the last event.
    pub fn finish(&mut self) {
        let hit = self.hit.take();
        self.live = false;
        let missed = match self.goal.take() {
            Some(Goal { to, .. }) if hit.is_none() && to != Move::Event => format!("No further {}. ", to.what()),
            _ => String::new(),
        };
        self.note = format!("{missed}The program is over. All keys still work; q leaves.");
        self.look_at(hit.unwrap_or(self.timeline.head().s()));
    }

    /// Whether the program is still there.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Whether the cursor is on the last event there is.
    pub fn is_at_head(&self) -> bool {
        self.cursor == self.timeline.head().s()
    }

    /// The events.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The number of the event that is looked at; 0 before the first.
    pub fn cursor(&self) -> EventNumber {
        self.cursor
    }

    /// The event that is looked at.
    pub fn event(&self) -> Option<Event<'_>> {
        self.timeline.trace().get(self.cursor)
    }

    /// The state after it.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The level of detail, 1 to 3.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// The Deferred whose rail is shown.
    pub fn selected(&self) -> Option<Id> {
        self.selected
    }

    /// The part of the screen that the row keys act on, and the row in it.
    pub fn pane(&self) -> (Pane, usize) {
        (self.pane, self.row)
    }

    /// A remark on the last key, or nothing.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// What is being asked for, and what was typed so far.
    pub fn asks(&self) -> Option<(&'static str, &str)> {
        self.prompt.as_ref().map(Prompt::shown)
    }

    /// What is probably wrong in the run so far.
    pub fn lints(&self) -> Rc<[Lint]> {
        let trace = self.timeline.trace();
        let mut known = self.lints.borrow_mut();
        if known.0 != trace.len() {
            let mut linter = self.linter.borrow_mut();
            let linter = linter.get_or_insert_with(|| Linter::new(trace.clock(), &Limits::default()));
            linter.read(trace);
            *known = (trace.len(), linter.lints(trace).into());
        }
        known.1.clone()
    }

    /// What was found anew since this was asked last, where somebody wants to stop at that: the event it leads to.
    fn new_finding(&mut self) -> Option<EventNumber> {
        let any = matches!(self.goal, Some(Goal { to: Move::Lint, .. }));
        if !any && !self.breaks_at_findings() {
            return None;
        }
        let lints = self.lints();
        let wanted = |lint: &&Lint| any || self.breaks.iter().any(|(at, on)| *on && at.finds(lint));
        let found = lints.iter().filter(wanted).find(|lint| !self.found.contains(&(lint.s, lint.rule)));
        let found = found.map(|lint| lint.s);
        self.note_found();
        found
    }

    fn breaks_at_findings(&self) -> bool {
        self.breaks.iter().any(|(at, on)| *on && matches!(at, Break::Lint(_)))
    }

    /// What is found now is known from now on.
    fn note_found(&mut self) {
        self.found = self.lints().iter().map(|lint| (lint.s, lint.rule)).collect();
    }

    /// What was found about the event that is looked at.
    fn findings_here(&self) -> String {
        let lints = self.lints();
        let here = lints.iter().filter(|lint| lint.s == self.cursor);
        here.map(|lint| format!("{}: {}", lint.rule, lint.text)).collect::<Vec<_>>().join(" ")
    }

    /// The sentence of the event that is looked at.
    pub fn sentence(&self) -> String {
        match self.event() {
            Some(event) => sentence(&self.timeline.state_at(self.cursor.saturating_sub(1)), &event),
            None => "Nothing has happened yet.".to_owned(),
        }
    }

    /// The way back from it.
    pub fn why(&self) -> Why {
        why(self.timeline.trace(), self.cursor, &self.state)
    }

    fn look_at(&mut self, s: EventNumber) {
        let near = s.checked_sub(1) == Some(self.cursor) && self.cursor > 0;
        self.cursor = s;
        match self.timeline.trace().get(s) {
            Some(event) if near => self.state.apply(&event),
            _ => self.state = self.timeline.state_at(s),
        }
        self.row = 0;
        if !self.pinned
            && let Some(event) = self.timeline.trace().get(s)
            && let Some(d) = chain_of(&event, &self.state).or_else(|| self.cancelled_for(&event))
        {
            self.selected = Some(d);
        }
    }

    /// The Deferred whose cancel makes this failure: it is told just before, and gets the failure just after.
    fn cancelled_for(&self, event: &Event<'_>) -> Option<Id> {
        let Kind::FNew { via: Via::Cancel, .. } = event.kind else { return None };
        let trace = self.timeline.trace();
        let before = trace.get(event.s.checked_sub(1)?)?;
        let asked = before.kind.begin().and_then(|begin| trace.get(begin)).unwrap_or(before);
        chain_of(&asked, &self.state)
    }

    /// Goes there, and remembers where it came from.
    fn jump(&mut self, s: EventNumber) {
        if s == self.cursor {
            return;
        }
        if self.jumps.len() == JUMPS {
            self.jumps.remove(0);
        }
        self.jumps.push(self.cursor);
        self.look_at(s);
    }

    /// The next event after `from` (or, backwards, the last one before) for which `is` holds.
    fn find(&self, from: EventNumber, back: bool, is: impl Fn(&Event<'_>) -> bool) -> Option<EventNumber> {
        let trace = self.timeline.trace();
        let len = self.timeline.len_at(from);
        let seek = |i: usize| trace.nth(i).filter(|event| is(event)).map(|event| event.s);
        match back {
            false => (len..trace.len()).find_map(seek),
            true => (0..len.saturating_sub(1)).rev().find_map(seek),
        }
    }

    fn is(&self, to: Move, event: &Event<'_>) -> bool {
        match to {
            Move::Break => {
                let head = self.timeline.head();
                let finds = |at: &Break| self.lints().iter().any(|lint| lint.s == event.s && at.finds(lint));
                self.breaks.iter().any(|(at, on)| {
                    *on && match at {
                        Break::Lint(_) => finds(at),
                        at => at.stops_at(event, head),
                    }
                })
            }
            Move::Lint => self.lints().iter().any(|lint| lint.s == event.s),
            to => goal_is(to, self.level, event),
        }
    }

    /// Moves `count` times. Answers whether the program has to run for it.
    fn go(&mut self, to: Move, back: bool, count: u32, is_jump: bool) -> bool {
        let (mut at, mut left) = (self.cursor, count);
        while left > 0 {
            let Some(next) = self.find(at, back, |event| self.is(to, event)) else { break };
            (at, left) = (next, left - 1);
        }
        if left == 0 {
            if is_jump {
                self.jump(at)
            } else {
                self.look_at(at)
            }
            if to == Move::Lint || to == Move::Break && self.breaks_at_findings() {
                self.note = self.findings_here();
            }
            return false;
        }
        if self.live && !back {
            self.look_at(self.timeline.head().s());
            self.goal = (to != Move::Break).then_some(Goal { to, left });
            self.note_found();
            return true;
        }
        // As far as it goes.
        if at != self.cursor {
            self.jump(at);
        }
        self.note = match (to, back) {
            (Move::Event, false) => "This is the last event.".to_owned(),
            (Move::Event, true) => "This is the first event.".to_owned(),
            (Move::Break, _) if self.breaks.is_empty() => "No breakpoints: press b to make one.".to_owned(),
            (_, back) => format!("No {} {}.", if back { "earlier" } else { "further" }, to.what()),
        };
        false
    }

    /// The frame in which the event at the cursor happened, or which it opened.
    fn frame_here(&self) -> EventNumber {
        match self.event() {
            Some(event) if event.kind.opens_frame() => event.s,
            Some(event) => event.frame,
            None => 0,
        }
    }

    /// To a row of the way back.
    fn go_to_why(&mut self, row: usize) {
        match self.why().rows().get(row).map(|row| row.s) {
            Some(s) => self.jump(s),
            None => self.note = format!("The way back has no row {row}."),
        }
    }

    /// To the beginning of the frame around.
    fn go_to_frame_start(&mut self) {
        let start = match self.event() {
            Some(event) => event.kind.begin().unwrap_or(event.frame),
            None => 0,
        };
        match start {
            0 => "This is in no frame: the program did it outside of the loop.".clone_into(&mut self.note),
            start => self.jump(start),
        }
    }

    /// To where the event at the cursor, or what led to it, was registered.
    fn go_to_registration(&mut self) {
        let found = self.why().rows().iter().find(|row| row.link == Link::RegisteredAt).map(|row| row.s);
        match found {
            Some(s) => self.jump(s),
            None => "The trace does not tell where this was registered.".clone_into(&mut self.note),
        }
    }

    /// To the next event that has the text of the search in it. Around the end it begins anew.
    fn go_to_match(&mut self, back: bool) {
        if self.search.is_empty() {
            return;
        }
        // Small letters find both.
        let small = !self.search.chars().any(char::is_uppercase);
        let head = self.timeline.head();
        let has = |event: &Event<'_>| {
            let has = |text: &str| match small {
                true => text.to_lowercase().contains(&self.search),
                false => text.contains(&self.search),
            };
            has(&headline(head, event))
                || event.at.is_some_and(|at| has(&format!("{}:{}", at.file(), at.line())))
                || objects(&event.kind).into_iter().flatten().any(|id| head.label(id).is_some_and(|l| has(l)))
        };
        let around = if back { EventNumber::MAX } else { 0 };
        let found = self.find(self.cursor, back, has).or_else(|| self.find(around, back, has));
        let so_far = if self.live { " in what has run so far" } else { "" };
        match found {
            Some(s) if s == self.cursor => self.note = format!("\"{}\" is nowhere else{so_far}.", self.search),
            Some(s) => self.jump(s),
            None => self.note = format!("\"{}\" is nowhere{so_far}.", self.search),
        }
    }
}

/// For all but breakpoints.
fn goal_is(to: Move, level: u8, event: &Event<'_>) -> bool {
    match to {
        Move::Event => event.level() <= level,
        Move::Callback => starts(&event.kind) && event.level() <= level,
        Move::End(b) => event.kind.begin() == Some(b),
        Move::Turn => matches!(event.kind, Kind::TurnBegin { .. }),
        Move::Error => is_error(&event.kind),
        Move::Object(id) => objects(&event.kind).contains(&Some(id)),
        Move::Lint | Move::Break => false,
    }
}

/// After which events something may be found that was not before: there the findings are looked at again.
fn may_find(kind: &Kind<'_>) -> bool {
    matches!(
        kind,
        Kind::CbEnd { .. }
            | Kind::TurnEnd { .. }
            | Kind::FLost { .. }
            | Kind::FResting { .. }
            | Kind::DCancel { .. }
            | Kind::DSwallow { .. }
            | Kind::End { .. }
    )
}

/// The Deferred that an event is about: named in it, or the home of a failure, or whose step runs.
fn chain_of(event: &Event<'_>, state: &State) -> Option<Id> {
    let named = objects(&event.kind).into_iter().flatten();
    let home = |id| state.failure(id).and_then(|error| error.home);
    let runs = || match state.frames().last().map(|frame| &frame.what) {
        Some(FrameKind::Step { d, .. }) => Some(*d),
        _ => None,
    };
    named.clone().find(|id| id.0 == Object::Deferred).or_else(|| named.clone().find_map(home)).or_else(runs)
}

impl fmt::Debug for Stepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stepper")
            .field("cursor", &self.cursor)
            .field("head", &self.timeline.head().s())
            .field("live", &self.live)
            .finish_non_exhaustive()
    }
}
