//! A recording kept in memory.

use super::event::{ClockKind, Event, EventNumber, Header, Place};
use super::kind::{Code, Kind};
use super::packed::Packed;
use super::past::Past;
use super::recorder::Recorder;
use super::recording::record_with;
use super::slot::Common;
use std::iter::FusedIterator;

/// A recording in memory: of a program that ran, or read from a file.
///
/// It is small: an event takes 15 to 23 bytes, beside the texts, each of which is kept once. Events are unpacked when
/// they are asked for.
///
/// ```
/// use ropewalk::{Deferred, testing::success_of, trace::{self, Kind}};
///
/// let (value, trace) = trace::record(|| success_of(Deferred::succeed(6).map(|n| n * 7)));
/// assert_eq!(value, 42);
/// let steps = trace.events().filter(|event| matches!(event.kind, Kind::DStep { .. }));
/// assert_eq!(steps.count(), 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Trace {
    packed: Packed,
    /// In a ring: the events before those.
    older: Packed,
    ring: bool,
    limit: usize,
    dropped: u64,
    pub(super) prog: String,
    pub(super) lib: String,
    pub(super) clock: Option<ClockKind>,
    pub(super) args: Vec<String>,
    /// The paths of source files with their texts. Of a path that is there twice the last one counts.
    pub(super) sources: Vec<(String, Option<String>)>,
}

impl Trace {
    /// The most events that [`record`] keeps: 1,000,000 (about 20 MB).
    pub const LIMIT: usize = 1_000_000;

    /// A recorder that keeps the first `limit` events.
    ///
    /// The first ones and not the last, so that no link of a kept event points to a lost one. Where the lost ones
    /// begin stands one more event, [`Kind::Drop`], that counts them.
    ///
    /// ```
    /// use ropewalk::trace::{self, Kind, Trace};
    ///
    /// let ((), trace) = trace::record_with(Trace::with_limit(2), || {
    ///     ["a", "b", "c"].map(trace::note);
    /// });
    /// assert_eq!(trace.len(), 3); // two notes, and what follows
    /// assert!(matches!(trace.last().unwrap().kind, Kind::Drop { n: 2 })); // the third note, and the end
    /// assert_eq!(trace.dropped(), 2);
    /// ```
    pub fn with_limit(limit: usize) -> Trace {
        Trace { limit, ..Trace::default() }
    }

    /// A recorder that keeps the last events: at least `limit` of them, and at most twice as many. Links may lead to
    /// events that it has not any more.
    ///
    /// ```
    /// use ropewalk::trace::{self, Kind, Trace};
    ///
    /// let ((), trace) = trace::record_with(Trace::ring(10), || {
    ///     for _ in 0..1000 {
    ///         trace::note("again");
    ///     }
    /// });
    /// assert!((10..=20).contains(&trace.len()));
    /// assert_eq!(trace.last().unwrap().s, 1001); // the end
    /// assert!(trace.get(1).is_none() && trace.get(1000).is_some());
    /// ```
    pub fn ring(limit: usize) -> Trace {
        Trace { limit: limit.max(1), ring: true, ..Trace::default() }
    }

    /// The events in order.
    pub fn events(&self) -> Events<'_> {
        Events { trace: self, next: 0, end: self.len() }
    }

    /// The event of that number.
    ///
    /// ```
    /// use ropewalk::trace::{self, Kind};
    /// use ropewalk::{Deferred, testing::success_of};
    ///
    /// let (_, trace) = trace::record(|| success_of(Deferred::succeed(6).map(|n| n * 7)));
    /// let ret = trace.events().find(|event| matches!(event.kind, Kind::DRet { .. })).unwrap();
    /// let step = trace.get(ret.because()).expect("every link leads to an event that is here");
    /// assert!(matches!(step.kind, Kind::DStep { .. }));
    /// assert!(trace.get(1000).is_none());
    /// ```
    pub fn get(&self, s: EventNumber) -> Option<Event<'_>> {
        match self.packed.find(s) {
            Some(n) => self.packed.get(n),
            None => self.older.get(self.older.find(s)?),
        }
    }

    /// The `n`th event of those that are here, from 0.
    pub fn nth(&self, n: usize) -> Option<Event<'_>> {
        match n.checked_sub(self.older.len()) {
            Some(n) => self.packed.get(n),
            None => self.older.get(n),
        }
    }

    /// How many events it has.
    pub fn len(&self) -> usize {
        self.older.len() + self.packed.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last event.
    pub fn last(&self) -> Option<Event<'_>> {
        self.nth(self.len().checked_sub(1)?)
    }

    /// How many events found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The program that was recorded.
    pub fn prog(&self) -> &str {
        &self.prog
    }

    /// Its arguments.
    pub fn args(&self) -> &[String] {
        &self.args
    }

    /// The library that recorded it, with its version.
    pub fn lib(&self) -> &str {
        &self.lib
    }

    /// Whose time the times are.
    pub fn clock(&self) -> ClockKind {
        self.clock.unwrap_or(ClockKind::Real)
    }

    /// The files in which the places of its events lie, in the order in which they were met.
    pub fn files(&self) -> Vec<&str> {
        let mut files = self.older.texts.files();
        for file in self.packed.texts.files() {
            if !files.contains(&file) {
                files.push(file);
            }
        }
        files
    }

    /// The text of one of these files, if the trace has it or it can be read here: see [`source_text`](super::source_text).
    ///
    /// ```
    /// use ropewalk::trace::{At, Event, Kind, Recorder, Trace};
    ///
    /// // As a viewer shows a line of the program. Here the event is made by hand.
    /// let mut trace = Trace::with_limit(10);
    /// let at = Some(At::new("src/lib.rs", 1, 1));
    /// trace.event(&Event { at, ..Event::new(1, Kind::Note { msg: "here" }) });
    /// assert_eq!(trace.files(), ["src/lib.rs"]);
    /// let text = trace.source("src/lib.rs").expect("it can be read here");
    /// assert!(text.starts_with("//! A callback-based event loop"));
    /// assert_eq!(trace.source("src/no_such_file.rs"), None);
    /// ```
    pub fn source(&self, file: &str) -> Option<String> {
        match self.sources.iter().rfind(|(path, _)| path == file) {
            Some((_, text)) => text.clone(),
            None => super::source_text(file),
        }
    }

    /// How many bytes its events take, and how many their texts and places.
    ///
    /// ```
    /// use ropewalk::trace;
    ///
    /// let ((), trace) = trace::record(|| (0..1000).for_each(|_| trace::note("again")));
    /// let (events, texts) = trace.size();
    /// assert!(events < 1001 * 48 && texts < 64 * 1024); // the text of the notes is kept once
    /// ```
    pub fn size(&self) -> (usize, usize) {
        let ((events, texts), (older, older_texts)) = (self.packed.size(), self.older.size());
        (events + older, texts + older_texts)
    }

    pub(super) fn push(&mut self, event: &Event<'_>) -> bool {
        if let Kind::Drop { n } = event.kind {
            self.dropped += n;
        }
        self.packed.push(event)
    }
}

impl Trace {
    /// Whether the next event will be kept, beside enough of the last ones that nobody else need remember them.
    #[inline]
    pub(super) fn remembers(&self) -> bool {
        if self.ring { self.limit >= Past::BACK } else { self.dropped == 0 && self.packed.len() < self.limit }
    }

    /// The last event of that kind, of the last `most` ones, that `is_it` answers for.
    pub(super) fn find_back(
        &self,
        code: Code,
        most: usize,
        is_it: impl Fn(&Event<'_>) -> bool,
    ) -> Option<Event<'_>> {
        let numbers = (0..self.len()).rev().take(most);
        let of_kind = numbers.filter(|n| self.code(*n) == Some(code));
        of_kind.filter_map(|n| self.nth(n)).find(is_it)
    }

    fn code(&self, n: usize) -> Option<Code> {
        match n.checked_sub(self.older.len()) {
            Some(n) => self.packed.code(n),
            None => self.older.code(n),
        }
    }

    /// Takes an event of this program in that happened at that place.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn keep(&mut self, common: &Common<'_>, at: Option<Place>, kind: &Kind<'_>) {
        self.make_room();
        self.packed.push_here(common, at, kind);
    }

    /// In a ring, half of the events go at a time.
    #[inline]
    fn make_room(&mut self) {
        if self.ring && self.packed.len() == self.limit {
            self.dropped += self.older.len() as u64;
            self.older = std::mem::take(&mut self.packed);
        }
    }
}

impl Recorder for Trace {
    fn begin(&mut self, header: &Header<'_>) {
        self.prog = header.prog.to_owned();
        self.lib = header.lib.to_owned();
        self.clock = Some(header.clock);
        self.args = header.args.iter().map(|arg| (*arg).to_owned()).collect();
    }

    fn event(&mut self, event: &Event<'_>) {
        if self.ring {
            self.make_room();
            self.packed.push(event);
            return;
        }
        if self.dropped == 0 && self.packed.len() < self.limit && self.packed.push(event) {
            return;
        }
        // In the place, and with the number, of the first one that is lost.
        let told = self.last().filter(|_| self.dropped > 0).map(|told| (told.s, told.t, told.turn, told.frame));
        if told.is_some() {
            self.packed.pop();
        }
        self.dropped += 1;
        let (s, t, turn, frame) = told.unwrap_or((event.s, event.t, event.turn, event.frame));
        self.packed.push(&Event { t, turn, frame, ..Event::new(s, Kind::Drop { n: self.dropped }) });
    }
}

/// The events of a [`Trace`], in order.
///
/// ```
/// use ropewalk::trace;
///
/// let ((), trace) = trace::record(|| {
///     ["a", "b", "c"].map(trace::note);
/// });
/// let mut events = trace.events();
/// assert_eq!(events.len(), 4); // with the end of the recording
/// assert_eq!(events.next().unwrap().s, 1);
/// let backwards: Vec<_> = events.rev().map(|event| event.kind.name()).collect();
/// assert_eq!(backwards, ["end", "note", "note"]);
/// ```
#[derive(Clone, Debug)]
pub struct Events<'t> {
    trace: &'t Trace,
    next: usize,
    end: usize,
}

impl<'t> Iterator for Events<'t> {
    type Item = Event<'t>;

    fn next(&mut self) -> Option<Event<'t>> {
        if self.next == self.end {
            return None;
        }
        let event = self.trace.nth(self.next)?;
        self.next += 1;
        Some(event)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }

    fn nth(&mut self, n: usize) -> Option<Event<'t>> {
        self.next = self.next.saturating_add(n).min(self.end);
        self.next()
    }
}

impl DoubleEndedIterator for Events<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.next == self.end {
            return None;
        }
        self.end -= 1;
        self.trace.nth(self.end)
    }
}

impl ExactSizeIterator for Events<'_> {}
impl FusedIterator for Events<'_> {}

impl<'t> IntoIterator for &'t Trace {
    type Item = Event<'t>;
    type IntoIter = Events<'t>;

    fn into_iter(self) -> Events<'t> {
        self.events()
    }
}

/// Records what `f` does on this thread in memory.
///
/// ```
/// use ropewalk::{Deferred, trace};
///
/// let ((), trace) = trace::record(|| {
///     Deferred::succeed(1).add_callback(|n| Ok(n + 1));
/// });
/// assert!(!trace.is_empty());
/// ```
pub fn record<T>(f: impl FnOnce() -> T) -> (T, Trace) {
    record_with(Trace::with_limit(Trace::LIMIT), f)
}
