//! A recording that another thread looks at while it goes on.

use super::event::{Event, Header};
use super::kind::Kind;
use super::lines::{JsonLines, Reader};
use super::memory::Trace;
use super::recorder::Recorder;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A recorder, and the trace that another thread has of it. At most `limit` events are on their way; those for which
/// there is no room are lost, and the trace says so with [`Kind::Drop`]: the program never waits for who looks.
///
/// ```
/// use ropewalk::trace::{self, Recording};
/// use std::time::Duration;
///
/// let (recorder, mut seen) = trace::channel(100);
/// let viewer = std::thread::spawn(move || {
///     while seen.receive(Duration::from_secs(10)) {}
///     seen.trace().len()
/// });
/// let recording = Recording::begin(recorder);
/// trace::note("here");
/// drop(recording);
/// assert_eq!(viewer.join().unwrap(), 2); // the note and the end
/// ```
pub fn channel(limit: usize) -> (ChannelRecorder, ChannelTrace) {
    let way = Arc::new(Way { limit: limit.max(1), ..Way::default() });
    let lines = JsonLines::new(Vec::new()).without_sources();
    let recorder = ChannelRecorder { way: way.clone(), lines, lost: 0 };
    (recorder, ChannelTrace { way, reader: Reader::new() })
}

/// What lies between the two ends.
#[derive(Debug, Default)]
struct Way {
    limit: usize,
    under_way: Mutex<UnderWay>,
    changed: Condvar,
    lost_in_all: AtomicU64,
}

/// The events that nobody has taken out yet, as lines. It is locked for as long as it takes to copy them.
#[derive(Debug, Default)]
struct UnderWay {
    lines: Vec<u8>,
    events: usize,
    /// An end is gone: nothing more comes, or nobody takes it out.
    parted: bool,
}

impl Way {
    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn part(&self) {
        self.lock().parted = true;
        self.changed.notify_all();
    }
}

/// The end of a [`channel`] that records.
///
/// ```
/// use ropewalk::trace;
/// use std::time::Duration;
///
/// let (recorder, mut seen) = trace::channel(1);
/// let ((), _recorder) = trace::record_with(recorder, || {
///     trace::note("there is room for this");
///     trace::note("not for this, as nobody takes the first one out");
///     assert!(seen.receive(Duration::ZERO));
///     trace::note("nor for this: the event which says that one was lost takes the place");
/// });
/// assert_eq!(seen.lost(), 3); // two notes, and the end
/// ```
#[derive(Debug)]
pub struct ChannelRecorder {
    way: Arc<Way>,
    lines: JsonLines<Vec<u8>>,
    lost: u64,
}

impl ChannelRecorder {
    /// Sends the lines that were written, and answers whether there was room for them.
    fn send(&mut self) -> bool {
        let mut under_way = self.way.lock();
        if under_way.parted {
            self.lines.writer().clear();
            return true;
        }
        if under_way.events == self.way.limit {
            // What was written stays there: the paths of files are told once, and must not be lost.
            return false;
        }
        under_way.lines.append(self.lines.writer());
        under_way.events += 1;
        drop(under_way);
        self.way.changed.notify_all();
        true
    }
}

impl Drop for ChannelRecorder {
    fn drop(&mut self) {
        self.way.part();
    }
}

impl ChannelRecorder {
    fn lose(&mut self) {
        self.lost += 1;
        self.way.lost_in_all.fetch_add(1, Ordering::Relaxed);
    }
}

impl Recorder for ChannelRecorder {
    fn begin(&mut self, header: &Header<'_>) {
        self.lines.begin(header);
    }

    fn event(&mut self, event: &Event<'_>) {
        if self.lost > 0 {
            // In the place of the last one that was lost.
            let kept = self.lines.writer().len();
            self.lines.event(&Event {
                t: event.t,
                turn: event.turn,
                ..Event::new(event.s - 1, Kind::Drop { n: self.lost })
            });
            if !self.send() {
                self.lines.writer().truncate(kept);
                self.lose();
                return;
            }
            self.lost = 0;
        }
        self.lines.event(event);
        if !self.send() {
            self.lines.drop_last_line();
            self.lose();
        }
    }
}

/// The end of a [`channel`] that is looked at.
///
/// ```
/// use ropewalk::trace::{self, Recording};
/// use std::time::Duration;
///
/// let (recorder, mut seen) = trace::channel(100);
/// let recording = Recording::begin(recorder);
/// trace::note("here");
/// assert!(seen.receive(Duration::ZERO));
/// assert_eq!(seen.trace().len(), 1); // while the recording goes on
/// assert!(!seen.receive(Duration::ZERO)); // nothing new
/// drop(recording);
/// assert_eq!((seen.receive(Duration::ZERO), seen.trace().len(), seen.lost()), (true, 2, 0));
/// ```
#[derive(Debug)]
pub struct ChannelTrace {
    way: Arc<Way>,
    reader: Reader,
}

impl ChannelTrace {
    /// Takes in what has come, and waits at most `timeout` for it. `false` when nothing came: also at once when the
    /// recording is over.
    pub fn receive(&mut self, timeout: Duration) -> bool {
        let waited =
            self.way.changed.wait_timeout_while(self.way.lock(), timeout, |way| way.events == 0 && !way.parted);
        let (mut under_way, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut under_way.lines);
        let events = std::mem::take(&mut under_way.events);
        drop(under_way);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            // What this library writes it can read; an event that is too much for the memory is left out.
            let _ = self.reader.line(line);
        }
        events > 0
    }

    /// How many events found no room so far.
    pub fn lost(&self) -> u64 {
        self.way.lost_in_all.load(Ordering::Relaxed)
    }

    /// The trace so far.
    pub fn trace(&self) -> &Trace {
        self.reader.trace()
    }
}

impl Drop for ChannelTrace {
    fn drop(&mut self) {
        self.way.part();
    }
}
