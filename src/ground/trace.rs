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
//! A recorder is the user's code: it is called with nothing borrowed, and events made from inside it are left out. It
//! may be a gate too: it is then asked before the program goes on, and may take its time.

mod channel;
mod event;
mod field;
mod file;
mod frame;
mod json;
mod kind;
mod lines;
mod marks;
mod memory;
mod packed;
mod past;
mod preview;
mod recorder;
mod recording;
mod slot;
mod source;
mod texts;

pub use channel::{ChannelRecorder, ChannelTrace, channel};
pub(crate) use event::IdSlot;
pub use event::{
    Asked, At, Cancel, ClockKind, Dropped, Ending, Event, EventNumber, Gave, Header, Id, Lane, Lanes, Loss, Mode,
    NotAnId, Object, Open, Out, Place, Polled, Slot, Stream, VERSION, Val, Via, Woke,
};
pub use file::TraceFile;
pub(crate) use frame::{Frame, frame};
pub use kind::Kind;
pub use lines::JsonLines;
pub(crate) use marks::Mark;
pub use memory::{Events, Trace, record};
pub(crate) use past::{fired_by, rested, why};
pub(crate) use preview::{Shown, Shows};
pub use recorder::{Pass, Recorder};
pub use recording::{Recording, record_with};
pub(crate) use slot::{
    Current, Lent, Links, LoopView, More, Resumed, emit, emit_here, emit_more, id, is_telling, known, lend,
    lend_while, loop_ends, nanos, on, ran, read_last, read_now, run, take_over, told_last, unfired, wall_of,
};
pub use source::source_text;

use std::panic::Location;

/// Writes a remark into the trace; nothing happens when nobody records.
///
/// ```
/// use ropewalk::trace::{self, Kind};
///
/// let ((), trace) = trace::record(|| trace::note("here it begins"));
/// assert!(trace.events().any(|event| matches!(event.kind, Kind::Note { msg: "here it begins" })));
/// ```
#[track_caller]
pub fn note(msg: impl AsRef<str>) {
    if on() {
        let at = Some(Location::caller());
        emit(Kind::Note { msg: msg.as_ref() }, Links { at, ..Links::default() });
    }
}

/// Writes a question to the reader of a lesson into the trace, with its answer, which is shown when the reader asks for
/// it; nothing happens when nobody records.
///
/// ```
/// use ropewalk::trace::{self, Kind};
///
/// let ((), trace) = trace::record(|| trace::ask("What runs first?", "The callback that was queued first."));
/// let asked = trace.nth(0).unwrap().kind;
/// assert_eq!(asked, Kind::Ask { q: "What runs first?", answer: "The callback that was queued first." });
/// ```
#[track_caller]
pub fn ask(question: impl AsRef<str>, answer: impl AsRef<str>) {
    if on() {
        let at = Some(Location::caller());
        let kind = Kind::Ask { q: question.as_ref(), answer: answer.as_ref() };
        emit(kind, Links { at, ..Links::default() });
    }
}

/// Tells the trace what the program wrote; nothing happens when nobody records. [`say!`](crate::say) writes and tells.
///
/// ```
/// use ropewalk::trace::{self, Kind, Stream};
/// use std::io::Write;
///
/// let ((), trace) = trace::record(|| {
///     let prompt = "name? ";
///     std::io::stdout().write_all(prompt.as_bytes()).expect("standard output takes it");
///     trace::out(prompt, Stream::Stdout);
/// });
/// assert!(matches!(trace.nth(0).unwrap().kind, Kind::Out { text: "name? ", stream: Stream::Stdout }));
/// ```
#[track_caller]
pub fn out(text: impl AsRef<str>, stream: Stream) {
    if on() {
        let at = Some(Location::caller());
        emit(Kind::Out { text: text.as_ref(), stream }, Links { at, ..Links::default() });
    }
}

/// `println!` that the trace hears: the text goes to standard output, and while somebody records into the trace too.
///
/// ```
/// use ropewalk::{say, trace::{self, Kind}};
///
/// let ((), trace) = trace::record(|| say!("{} lines", 3));
/// assert!(trace.events().any(|event| matches!(event.kind, Kind::Out { text: "3 lines\n", .. })));
/// ```
#[macro_export]
macro_rules! say {
    () => { $crate::say!("") };
    ($($arg:tt)*) => {{
        let mut text = ::std::format!($($arg)*);
        text.push('\n');
        ::std::print!("{text}");
        $crate::trace::out(&text, $crate::trace::Stream::Stdout);
    }};
}
