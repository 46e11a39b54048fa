//! The slot of a thread in which its recorder sits, and what is known of the run beside it.

use super::event::{At, ClockKind, Ending, Event, EventNumber, Header, Id, IdSlot, Object, Open, Place};
use super::kind::Kind;
use super::marks::{Mark, Marks};
use super::memory::Trace;
use super::past::Past;
use super::recorder::{Pass, Recorder};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What the library fills in; the rest is filled in by the slot.
#[derive(Debug, Default)]
pub(crate) struct Links<'a> {
    pub(crate) cause: Mark,
    pub(crate) reg: Mark,
    pub(crate) at: Option<Place>,
    pub(crate) label: Option<&'a str>,
}

/// A duration as nanoseconds; what does not fit (584 years) is the greatest value.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

/// What an event has beside its place and its kind.
pub(super) struct Common<'e> {
    pub(super) s: EventNumber,
    pub(super) t: u64,
    pub(super) wall: Option<u64>,
    pub(super) turn: u32,
    pub(super) th: Option<u32>,
    pub(super) frame: EventNumber,
    pub(super) cause: EventNumber,
    pub(super) reg: EventNumber,
    pub(super) label: Option<&'e str>,
    pub(super) sys: bool,
}

/// What a recording asks the loop for. Runs no code of the user's.
pub(crate) trait LoopView {
    /// Nanoseconds on the loop's clock.
    fn now(&self) -> u64;
    /// Where the loop lies, to tell it from others.
    fn address(&self) -> usize;
    fn clock_kind(&self) -> ClockKind;
    /// Whether the loop runs.
    fn runs(&self) -> bool;
    /// The program was held for so many nanoseconds, which are not to count.
    fn held(&self, nanos: u64);
    /// Timers, sources and tasks that are left.
    fn open(&self) -> Open;
}

/// A trace in memory, in a place that the owner of the recording can reach too.
pub(super) type Memory = Rc<RefCell<Option<Box<Trace>>>>;

/// A recording that goes on.
pub(crate) struct Current {
    run: u32,
    marks: Marks,
    next: Cell<EventNumber>,
    turn: Cell<u32>,
    /// When the last event was.
    pub(super) last_time: Cell<u64>,
    /// What the clock said when it was read last.
    read: Cell<u64>,
    /// Whether others may have run since: no event is at the time of the one before then.
    interrupted: Cell<bool>,
    ids: [Cell<u32>; Object::ALL.len()],
    pub(super) frames: RefCell<Vec<Mark>>,
    pub(super) past: RefCell<Past>,
    started: Instant,
    /// For how long a gate held the program.
    held: Cell<u64>,
    pub(super) sink: RefCell<Option<Box<dyn Recorder>>>,
    /// The same recorder, where it is a trace in memory: that is our own code, and can be called without ceremony.
    pub(super) memory: Option<Memory>,
    gate: bool,
    view: RefCell<Option<Rc<dyn LoopView>>>,
    /// Whose view that is: 0 for nobody's.
    viewed: Cell<usize>,
    clock: Cell<ClockKind>,
    /// Which clock the recorder was told.
    told: Cell<Option<ClockKind>>,
    /// How many Deferreds were met that have not fired.
    unfired: Cell<u32>,
    /// What the last run of a loop ended with, and what was open when a loop ended.
    ending: Cell<Ending>,
    open: Cell<Option<Open>>,
    pub(super) ended: Cell<bool>,
    /// Who recorded before.
    pub(super) before: RefCell<Option<Rc<Current>>>,
}

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
    /// Whether a recorder is being called.
    static TELLING: Cell<bool> = const { Cell::new(false) };
    static RUNS: Cell<u32> = const { Cell::new(0) };
    /// The recording whose ids count now: 0 when nobody records, and inside a recorder.
    static RUN: Cell<u32> = const { Cell::new(0) };
    static CURRENT: RefCell<Option<Rc<Current>>> = const { RefCell::new(None) };
}

/// Whether somebody records on this thread: one load.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(crate) fn on() -> bool {
    // With the hooks compiled out there is nothing to measure them against.
    !cfg!(ropewalk_untraced) && ON.get()
}

/// Whether a recorder of this thread is being called.
pub(crate) fn is_telling() -> bool {
    TELLING.try_with(Cell::get).unwrap_or(false)
}

pub(crate) fn current() -> Option<Rc<Current>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Calls `f`, which calls no code of the user's, with the recording that goes on.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(super) fn with<T>(f: impl FnOnce(&Current) -> T) -> Option<T> {
    CURRENT.try_with(|current| current.borrow().as_deref().map(f)).ok().flatten()
}

/// Makes a recording the one that goes on; answers the one before.
pub(super) fn replace(next: Option<Rc<Current>>) -> Option<Rc<Current>> {
    if let Some(next) = &next {
        next.interrupted.set(true);
    }
    let _ = ON.try_with(|on| on.set(next.is_some()));
    let before = CURRENT.try_with(|current| current.replace(next)).ok().flatten();
    ids_count();
    before
}

/// Whose ids count from now on.
fn ids_count() {
    let run = with(|current| if current.sink.borrow().is_some() { current.run } else { 0 });
    let _ = RUN.try_with(|of| of.set(run.unwrap_or(0)));
}

impl Current {
    pub(super) fn new(sink: Box<dyn Recorder>, memory: Option<Memory>) -> Rc<Current> {
        let run = RUNS.get() + 1;
        RUNS.set(run);
        let gate = sink.is_gate();
        Rc::new(Current {
            run,
            marks: Marks::default(),
            next: Cell::new(1),
            turn: Cell::new(0),
            last_time: Cell::new(0),
            read: Cell::new(0),
            interrupted: Cell::new(false),
            ids: Default::default(),
            frames: RefCell::default(),
            past: RefCell::default(),
            started: Instant::now(),
            held: Cell::new(0),
            sink: RefCell::new(Some(sink)),
            memory,
            gate,
            view: RefCell::default(),
            viewed: Cell::new(0),
            clock: Cell::new(if gate { ClockKind::Frozen } else { ClockKind::Real }),
            told: Cell::new(None),
            unfired: Cell::new(0),
            ending: Cell::new(Ending::Done),
            open: Cell::new(None),
            ended: Cell::new(false),
            before: RefCell::default(),
        })
    }

    /// The number that an event has in this recording; `None` for one of another recording.
    pub(super) fn number(&self, mark: Mark) -> Option<EventNumber> {
        Some(self.marks.number(mark, self.next.get())).filter(|n| *n != 0)
    }

    /// It has ended: there will be no more events.
    pub(super) fn end(&self) {
        self.ended.set(true);
        self.marks.give_back(self.next.get());
        leave();
    }

    /// Nanoseconds of the system's clock since the recording started.
    fn wall(&self) -> u64 {
        nanos(self.started.elapsed())
    }

    /// Makes that loop's clock the one that counts; answers the loop before.
    fn look_at(&self, view: Rc<dyn LoopView>) -> Option<Rc<dyn LoopView>> {
        self.clock.set(match view.clock_kind() {
            ClockKind::Real if self.gate => ClockKind::Frozen,
            kind => kind,
        });
        self.viewed.set(view.address());
        self.view.replace(Some(view))
    }

    /// The time of the event that comes now, and the system's where that is another clock.
    #[inline]
    fn time(&self) -> (u64, Option<u64>) {
        let now = match &*self.view.borrow() {
            Some(view) => view.now(),
            None => self.wall().saturating_sub(self.held.get()),
        };
        self.read.set(now);
        // A loop's clock may start later than the recording, and a second loop's later than the first one's.
        let t = now.max(self.last_time.get());
        self.last_time.set(t);
        (t, if self.clock.get() == ClockKind::Real { None } else { self.other_time() })
    }

    #[inline(never)]
    fn other_time(&self) -> Option<u64> {
        match self.clock.get() {
            ClockKind::Real => None,
            // Who looks takes no time of the program's.
            ClockKind::Virtual => Some(self.wall().saturating_sub(self.held.get())),
            ClockKind::Frozen => Some(self.wall()),
        }
    }

    /// Tells an event to the recorder, which was taken out of its place.
    fn tell(&self, sink: &mut dyn Recorder, kind: Kind<'_>, links: &Links<'_>, more: More) -> EventNumber {
        if self.told.get() != Some(self.clock.get()) {
            self.told.set(Some(self.clock.get()));
            tell_header(sink, self.clock.get());
        }
        let mut event = self.event(kind, links, more);
        if self.gate && kind.is_gate() {
            let asked = Instant::now();
            let answer = sink.pass(&event);
            let held = nanos(asked.elapsed());
            self.held.set(self.held.get().saturating_add(held));
            if let Some(view) = self.view.borrow().clone() {
                view.held(held);
            }
            if let Pass::Held(why) = answer {
                let gate = self.event(Kind::Gate { why: &why, held_w: held }, &Links::default(), More::default());
                self.told(sink, &gate);
            }
            event = self.event(kind, links, more);
        }
        self.told(sink, &event);
        event.s
    }

    fn told(&self, sink: &mut dyn Recorder, event: &Event<'_>) {
        self.next.set(event.s.saturating_add(1));
        self.remember(event);
        sink.event(event);
    }

    /// The event that comes next.
    fn event<'e>(&self, mut kind: Kind<'e>, links: &Links<'e>, more: More) -> Event<'e> {
        let Common { s, t, wall, turn, th, frame, cause, reg, label, sys } = self.common(&mut kind, links, more);
        Event { s, t, wall, turn, th, frame, cause, reg, at: links.at.map(At::from), label, sys, kind }
    }

    /// What it has beside its place and its kind. A begin event that the kind names gets its number.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn common<'e>(&self, kind: &mut Kind<'_>, links: &Links<'e>, more: More) -> Common<'e> {
        let s = self.next.get();
        self.marks.ready_for(s);
        let (t, wall) = match self.clock.get() {
            ClockKind::Real if more.same_time && !self.interrupted.replace(false) => (self.last_time.get(), None),
            _ => self.time(),
        };
        let number = |mark: Mark| self.marks.number(mark, s);
        let frame = self.frames.borrow().last().copied().unwrap_or(0);
        if let Some(b) = kind.begin_mut() {
            *b = number(*b);
        }
        Common {
            s,
            t,
            wall: more.wall.or(wall),
            turn: self.turn.get() + u32::from(matches!(kind, Kind::TurnBegin { .. })),
            th: more.th,
            frame: number(frame),
            cause: number(links.cause),
            reg: number(links.reg),
            label: links.label,
            sys: more.sys,
        }
    }

    /// Records one event and answers its mark; 0 inside a recorder.
    pub(super) fn emit(&self, kind: Kind<'_>, links: &Links<'_>, more: More) -> Mark {
        // Taken out of its slot: whoever is called below may emit again, and is then left out.
        let Some(mut sink) = self.sink.borrow_mut().take() else { return 0 };
        let before = TELLING.try_with(|telling| telling.replace(true));
        ids_count();
        let s = self.tell(&mut *sink, kind, links, more);
        if let Ok(before) = before {
            TELLING.set(before);
        }
        if self.ended.get() {
            // It ended itself, and its marks are others' now.
            drop(sink);
            return 0;
        }
        *self.sink.borrow_mut() = Some(sink);
        ids_count();
        if let Kind::TurnBegin { .. } = kind {
            self.turn.set(self.turn.get() + 1);
        }
        self.marks.of(s)
    }

    /// Records one event in memory and answers its mark. `None` where that is not all there is to do.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn keep(&self, kind: &mut Kind<'_>, links: &Links<'_>, more: More) -> Option<Mark> {
        let mut memory = self.memory.as_ref()?.borrow_mut();
        let trace = memory.as_deref_mut().filter(|trace| trace.remembers())?;
        if self.told.get() != Some(self.clock.get()) {
            return None;
        }
        let common = self.common(kind, links, more);
        trace.keep(&common, links.at, kind);
        self.next.set(common.s.saturating_add(1));
        self.turn.set(common.turn);
        Some(self.marks.of(common.s))
    }

    /// Records its end.
    pub(super) fn emit_end(&self) {
        let why = if std::thread::panicking() { Ending::Panic } else { self.ending.get() };
        let open = self.open.get().unwrap_or_else(|| self.open());
        if self.next.get() > 1 {
            self.emit(Kind::End { why, open }, &Links::default(), More::default());
        }
    }

    /// Who recorded before.
    fn below(&self) -> Option<Rc<Current>> {
        self.before.borrow().clone()
    }

    fn open(&self) -> Open {
        let of_loop = self.view.borrow().as_ref().map(|view| view.open()).unwrap_or_default();
        Open { d: self.unfired.get(), ..of_loop }
    }
}

/// What few events have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct More {
    pub(crate) th: Option<u32>,
    pub(crate) sys: bool,
    /// When it happened by the system's clock, where that was before it is told.
    pub(crate) wall: Option<u64>,
    /// At the time of the event before: nothing but the library ran since. To read the clock is a third of what an event
    /// costs.
    pub(crate) same_time: bool,
}

#[cold]
fn tell_header(sink: &mut dyn Recorder, clock: ClockKind) {
    let mut args = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned());
    let prog = args.next().unwrap_or_default();
    let prog = std::path::Path::new(&prog).file_stem().unwrap_or_default().to_string_lossy();
    let args: Vec<String> = args.collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    sink.begin(&Header { prog: &prog, lib: concat!("ropewalk ", env!("CARGO_PKG_VERSION")), clock, args: &args });
}

/// The id of an object, and whether it was given just now. `None` when nothing records, and inside a recorder: an id
/// given there would never be announced.
#[inline]
pub(crate) fn id(slot: &Cell<IdSlot>, object: Object) -> Option<(Id, bool)> {
    let run = RUN.try_with(Cell::get).unwrap_or(0);
    match slot.get().get(run) {
        Some(n) if run != 0 => Some((Id(object, n), false)),
        _ => new_id(slot, object),
    }
}

#[inline(never)]
fn new_id(slot: &Cell<IdSlot>, object: Object) -> Option<(Id, bool)> {
    with(|current| {
        if current.sink.borrow().is_none() {
            return None;
        }
        let count = &current.ids[object as usize];
        count.set(count.get() + 1);
        slot.set(IdSlot::new(current.run, count.get()));
        Some((Id(object, count.get()), true))
    })
    .flatten()
}

/// The id of an object that has one.
pub(crate) fn known(slot: &Cell<IdSlot>, object: Object) -> Option<Id> {
    let run = with(|current| current.run)?;
    slot.get().get(run).map(|n| Id(object, n))
}

/// The number of the recording that goes on; 0 when nothing records.
pub(crate) fn run() -> u32 {
    with(|current| current.run).unwrap_or(0)
}

/// Records one event and answers its mark; 0 when nothing records.
pub(crate) fn emit(kind: Kind<'_>, links: Links<'_>) -> Mark {
    emit_more(kind, links, More::default())
}

/// The same with what few events have.
pub(crate) fn emit_more(kind: Kind<'_>, links: Links<'_>, more: More) -> Mark {
    emit_here(kind, links, more)
}

/// The same, written out where it is called: there the kind is known, and a third of the work falls away. For the busiest
/// events.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(crate) fn emit_here(mut kind: Kind<'_>, links: Links<'_>, more: More) -> Mark {
    let Some(current) = current() else { return 0 };
    match current.keep(&mut kind, &links, more) {
        Some(mark) => mark,
        None => tell(kind, &links, more),
    }
}

#[inline(never)]
pub(super) fn tell(kind: Kind<'_>, links: &Links<'_>, more: More) -> Mark {
    current().map_or(0, |current| current.emit(kind, links, more))
}

/// What the clock of the loop at that address said at the last event that read it. `None` where that is not the clock of
/// the recording.
pub(crate) fn read_last(of: usize) -> Option<u64> {
    with(|current| Some(current.read.get()).filter(|_| current.viewed.get() == of)).flatten()
}

/// The same, where it says too when the recorder was done with that event: a trace in memory takes no time to speak of.
pub(crate) fn told_last(of: usize) -> Option<u64> {
    read_last(of).filter(|_| with(|current| current.memory.is_some()) == Some(true))
}

/// Reads it for an event that will be told at the same time.
pub(crate) fn read_now(of: usize) -> Option<u64> {
    with(|current| current.time());
    read_last(of)
}

/// A moment as nanoseconds since the recording started.
pub(crate) fn wall_of(at: Instant) -> Option<u64> {
    let since = at.saturating_duration_since(current()?.started);
    Some(nanos(since))
}

/// Counts the Deferreds that have not fired: one more or one less.
pub(crate) fn unfired(more: bool) {
    with(|current| {
        let n = current.unfired.get();
        current.unfired.set(if more { n + 1 } else { n.saturating_sub(1) });
    });
}

/// Gives the recording of this thread a loop: its clock is the one that counts from now on. Not from inside the callback
/// of another loop, whose clock that is.
pub(crate) fn lend(view: Rc<dyn LoopView>) {
    let Some(current) = current() else { return };
    let lent = current.view.borrow().clone();
    if lent.is_none_or(|lent| !lent.runs()) {
        current.look_at(view);
    }
}

/// Gives it a loop while that runs. One that runs inside another's callback gives the clock back.
pub(crate) fn lend_while(view: Rc<dyn LoopView>) -> Option<Lent> {
    let current = current()?;
    let before = current.look_at(view);
    before.filter(|before| before.runs()).map(|before| Lent { current, before })
}

/// The clock of a loop that goes on when another one, inside its callback, has run.
pub(crate) struct Lent {
    current: Rc<Current>,
    before: Rc<dyn LoopView>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.current.look_at(self.before.clone());
    }
}

/// A run of a loop ended, in this way.
pub(crate) fn ran(ending: Ending) {
    if let Some(current) = current() {
        current.ending.set(ending);
    }
}

/// A loop is about to be dropped, with what it still has.
pub(crate) fn loop_ends(of_loop: Open) {
    if let Some(current) = current() {
        current.open.set(Some(Open { d: current.unfired.get(), ..of_loop }));
    }
}

/// Makes the recording of a loop the one that goes on, while that loop runs.
pub(crate) fn take_over(recording: &Rc<Current>) -> Option<Resumed> {
    if recording.ended.get() || current().is_some_and(|current| Rc::ptr_eq(&current, recording)) {
        return None;
    }
    Some(Resumed { before: replace(Some(recording.clone())), runs: RUNS.get() })
}

/// Gives the slot back to whom it was taken from.
pub(crate) struct Resumed {
    before: Option<Rc<Current>>,
    /// How many recordings there had been.
    runs: u32,
}

impl Drop for Resumed {
    fn drop(&mut self) {
        let before = self.before.take();
        let began_meanwhile = |current: &Rc<Current>| current.run > self.runs;
        match current().filter(began_meanwhile) {
            None => drop(replace(before)),
            // One that goes on stays in front.
            Some(mut first) => {
                while let Some(next) = first.below().filter(began_meanwhile) {
                    first = next;
                }
                drop(first.before.replace(before));
            }
        }
        leave();
    }
}

/// Takes ended recordings out of the slot, and out of the list of those before.
fn leave() {
    while let Some(ended) = current().filter(|current| current.ended.get()) {
        drop(replace(ended.below()));
    }
    let mut next = current();
    while let Some(current) = next {
        while let Some(ended) = current.below().filter(|below| below.ended.get()) {
            drop(current.before.replace(ended.below()));
        }
        next = current.below();
    }
}
