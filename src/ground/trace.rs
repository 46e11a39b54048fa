//! The trace: what every floor tells about what it does.
//!
//! A run is one append-only list of [`Event`]s. Each event has a number `s` (1, 2, 3, ..), and up to three links to
//! earlier events: `frame` (called from), `cause` (woken by) and `reg` (registered at). Everything that shows a run is
//! a fold of that list; nothing is executed again.
//!
//! The current recorder sits in a thread-local slot. When nothing records, a site costs one load and one branch.
//! Ids are small numbers, given at first sight and counted for each run: a Deferred gets `d1`, a timer `m1`,
//! a source `i1`, a posted call `p1`, a job `w1`, a failure `f1`, a task `x1`.
//!
//! A recorder is the user's code: it is called with nothing borrowed, and events made from inside it are left out.

mod event;
mod field;
mod json;
mod kind;
mod lines;
mod memory;
mod packed;
mod past;
mod preview;
mod source;
mod texts;

pub(crate) use event::IdSlot;
pub use event::{
    Asked, At, Cancel, ClockKind, Dropped, Ending, Event, EventNumber, Gave, Header, Id, Lane, Lanes, Loss, Mode,
    NotAnId, Object, Open, Out, Place, Polled, Slot, Stream, VERSION, Val, Via, Woke,
};
pub use kind::Kind;
pub use lines::JsonLines;
pub use memory::{Events, Trace, record};
pub(crate) use past::{fired_by, rested, why};
pub(crate) use preview::Shown;
pub use source::source_text;

use past::Past;
use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::time::Instant;

/// Somebody who takes events in, in order.
///
/// Called with nothing borrowed. Events made from inside `event` are not recorded. A recorder that panics is reported
/// like a lost error, and gets nothing more: recording changes no program.
pub trait Recorder {
    /// Is told about the run: before the first event, and again when another clock takes over.
    fn begin(&mut self, _header: &Header<'_>) {}

    /// Takes one event in.
    fn event(&mut self, event: &Event<'_>);
}

/// What the library fills in; the rest is filled in by the slot.
#[derive(Debug, Default)]
pub(crate) struct Links<'a> {
    pub(crate) cause: Mark,
    pub(crate) reg: Mark,
    pub(crate) at: Option<Place>,
    pub(crate) label: Option<&'a str>,
}

/// An event as the library keeps it in its links: counted through all recordings of the thread, so that one of an
/// earlier recording is never taken for one of this. 0 stands for "none".
pub(crate) type Mark = u32;

struct Current {
    run: u32,
    /// The greatest mark of the recordings before.
    base: Mark,
    next: Cell<EventNumber>,
    turn: Cell<u32>,
    /// When the last event was.
    time: Cell<u64>,
    ids: [Cell<u32>; 8],
    frames: RefCell<Vec<Mark>>,
    past: RefCell<Past>,
    started: Instant,
    sink: RefCell<Option<Box<dyn Recorder>>>,
    clock: RefCell<Option<Rc<dyn Fn() -> u64>>>,
    /// Whose time it is, and which of these the recorder was told.
    clock_kind: Cell<ClockKind>,
    told: Cell<Option<ClockKind>>,
}

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
    static RUNS: Cell<u32> = const { Cell::new(0) };
    static LAST: Cell<Mark> = const { Cell::new(0) };
    static CURRENT: RefCell<Option<Rc<Current>>> = const { RefCell::new(None) };
}

/// Whether somebody records on this thread: one load.
#[inline(always)]
pub(crate) fn on() -> bool {
    ON.get()
}

fn current() -> Option<Rc<Current>> {
    CURRENT.try_with(|c| c.borrow().clone()).ok().flatten()
}

impl Current {
    /// The number that an event has in this recording; `None` for one of an earlier recording.
    fn number(&self, mark: Mark) -> Option<EventNumber> {
        mark.checked_sub(self.base).filter(|n| *n != 0)
    }
}

/// The id of an object, and whether it was given just now. `None` when nothing records, and inside a recorder: an id
/// given there would never be announced.
pub(crate) fn id(slot: &Cell<IdSlot>, object: Object) -> Option<(Id, bool)> {
    let current = current()?;
    if current.sink.borrow().is_none() {
        return None;
    }
    if let Some(n) = slot.get().get(current.run) {
        return Some((Id(object, n), false));
    }
    let count = &current.ids[object as usize];
    count.set(count.get() + 1);
    slot.set(IdSlot::new(current.run, count.get()));
    Some((Id(object, count.get()), true))
}

/// Records one event and answers its mark; 0 when nothing records.
pub(crate) fn emit(mut kind: Kind<'_>, links: Links<'_>) -> Mark {
    let Some(current) = current() else { return 0 };
    // Taken out of its slot: whoever is called below may emit again, and is then left out.
    let Some(mut sink) = current.sink.borrow_mut().take() else {
        return 0;
    };
    if current.told.get() != Some(current.clock_kind.get()) {
        current.told.set(Some(current.clock_kind.get()));
        tell_header(&mut *sink, current.clock_kind.get());
    }
    let s = current.next.get();
    current.next.set(s + 1);
    if let Kind::TurnBegin { .. } = kind {
        current.turn.set(current.turn.get() + 1);
    }
    let clock = current.clock.borrow().clone();
    let t = match clock {
        Some(clock) => clock(),
        None => u64::try_from(current.started.elapsed().as_nanos()).unwrap_or(u64::MAX),
    };
    // A loop's clock may start later than the recording, and a second loop's later than the first one's.
    let t = t.max(current.time.get());
    current.time.set(t);
    let frame = {
        let frames = current.frames.borrow();
        // The end of a frame belongs to the frame around it.
        let ends = kind.begin().is_some_and(|b| frames.last() == Some(&b));
        frames.iter().rev().nth(usize::from(ends)).copied().unwrap_or(0)
    };
    let number = |mark: Mark| current.number(mark).filter(|n| *n < s).unwrap_or(0);
    if let Some(b) = kind.begin_mut() {
        *b = number(*b);
    }
    let event = Event {
        s,
        t,
        wall: None,
        turn: current.turn.get(),
        th: None,
        frame: number(frame),
        cause: number(links.cause),
        reg: number(links.reg),
        at: links.at.map(At::from),
        label: links.label,
        sys: false,
        kind,
    };
    current.past.borrow_mut().push(&event);
    sink.event(&event);
    *current.sink.borrow_mut() = Some(sink);
    let mark = current.base.saturating_add(s);
    LAST.set(LAST.get().max(mark));
    mark
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

/// An open frame: a begin event whose end is still to come. Events emitted meanwhile are "called from" it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Frame {
    b: Mark,
}

impl Frame {
    /// Records a begin event and opens its frame. A frame of mark 0 is one that nobody records.
    pub(crate) fn open(kind: Kind<'_>, links: Links<'_>) -> Frame {
        let b = emit(kind, links);
        if b != 0
            && let Some(current) = current()
        {
            current.frames.borrow_mut().push(b);
        }
        Frame { b }
    }

    /// Records the end event that `kind` makes of the begin event's mark, and closes the frame.
    pub(crate) fn close<'k>(self, kind: impl FnOnce(Mark) -> Kind<'k>, links: Links<'_>) -> Mark {
        if self.b == 0 {
            return 0;
        }
        let Some(current) = current() else { return 0 };
        {
            let mut frames = current.frames.borrow_mut();
            // None that was opened in another recording.
            let Some(i) = frames.iter().rposition(|b| *b == self.b) else { return 0 };
            // A turn that `run_one` left in its middle, inside this frame, does not outlive it.
            frames.truncate(i + 1);
        }
        let s = emit(kind(self.b), links);
        current.frames.borrow_mut().pop();
        s
    }
}

/// The frame that runs now; 0 for none. What is registered now can name it as its reason.
pub(crate) fn frame() -> Mark {
    current().map_or(0, |c| c.frames.borrow().last().copied().unwrap_or(0))
}

/// Gives the recording the loop's clock (nanoseconds).
pub(crate) fn set_clock(kind: ClockKind, clock: Rc<dyn Fn() -> u64>) {
    if let Some(current) = current() {
        current.clock_kind.set(kind);
        let before = current.clock.replace(Some(clock));
        drop(before);
    }
}

/// Writes a remark into the trace; nothing happens when nobody records.
#[track_caller]
pub fn note(msg: impl AsRef<str>) {
    if on() {
        let at = Some(Location::caller());
        emit(Kind::Note { msg: msg.as_ref() }, Links { at, ..Links::default() });
    }
}

/// Records what `f` does on this thread with `recorder`, and gives the recorder back with the result.
///
/// A recording inside a recording replaces the outer one until it ends.
pub fn record_with<R: Recorder + 'static, T>(recorder: R, f: impl FnOnce() -> T) -> (T, R) {
    struct Shared<R> {
        recorder: Rc<RefCell<Option<R>>>,
        panicked: bool,
    }
    impl<R: Recorder> Shared<R> {
        fn call(&mut self, where_: impl Display, f: impl FnOnce(&mut R)) {
            if self.panicked {
                return;
            }
            // Taken out while it runs, so that nothing of ours is borrowed while the user's code is.
            let taken = self.recorder.borrow_mut().take();
            if let Some(mut recorder) = taken {
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| f(&mut recorder))) {
                    self.panicked = true;
                    let message = super::failure::panic_message(&*payload);
                    super::unhandled::error_line(&format_args!(
                        "the recorder panicked at {where_} and gets no more: {message}"
                    ));
                }
                *self.recorder.borrow_mut() = Some(recorder);
            }
        }
    }
    impl<R: Recorder> Recorder for Shared<R> {
        fn begin(&mut self, header: &Header<'_>) {
            self.call("its beginning", |recorder| recorder.begin(header));
        }
        fn event(&mut self, event: &Event<'_>) {
            self.call(format_args!("event {}", event.s), |recorder| recorder.event(event));
        }
    }
    struct Restore(Option<Rc<Current>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let before = self.0.take();
            ON.set(before.is_some());
            let ended = CURRENT.with(|c| c.replace(before));
            drop(ended);
        }
    }

    let run = RUNS.get() + 1;
    RUNS.set(run);
    let shared = Rc::new(RefCell::new(Some(recorder)));
    let sink = Shared { recorder: shared.clone(), panicked: false };
    let next = Rc::new(Current {
        run,
        base: LAST.get(),
        next: Cell::new(1),
        turn: Cell::new(0),
        time: Cell::new(0),
        ids: Default::default(),
        frames: RefCell::default(),
        past: RefCell::default(),
        started: Instant::now(),
        sink: RefCell::new(Some(Box::new(sink))),
        clock: RefCell::default(),
        clock_kind: Cell::new(ClockKind::Real),
        told: Cell::new(None),
    });
    let restore = Restore(CURRENT.with(|c| c.replace(Some(next))));
    ON.set(true);
    let value = f();
    drop(restore);
    let recorder = shared.borrow_mut().take();
    (value, recorder.expect("the recorder is back in its slot once nothing records"))
}
