//! Recording what a loop does.

use std::rc::{Rc, Weak};

use crate::trace::{self, ClockKind, LoopView, Open, Recorder, Recording};

use super::clock::Clock;
use super::{EventLoop, Inner};

impl EventLoop {
    /// Records what this loop does, and what happens on its thread, until the answer is dropped or finished. What the
    /// loop has already is told first, marked as `late`.
    ///
    /// Where several loops run on one thread, each can have a recording: the one of the loop that runs counts, and outside
    /// of them the one that began last.
    ///
    /// ```
    /// use ropewalk::{EventLoop, trace::{Kind, Trace}};
    /// use std::time::Duration;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let recording = event_loop.record(Trace::with_limit(10_000));
    /// event_loop.call_later(Duration::from_millis(1), |event_loop| event_loop.stop());
    /// event_loop.run()?;
    /// let trace = recording.finish().expect("not from inside the recorder");
    /// assert!(trace.events().any(|event| matches!(event.kind, Kind::TimerFire { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn record<R: Recorder + 'static>(&self, recorder: R) -> Recording<R> {
        let recording = Recording::begin(recorder);
        *self.inner.recording.borrow_mut() = Rc::downgrade(recording.current());
        self.meet_recording();
        recording
    }

    /// Gives the recording of this thread, if there is one, this loop's clock, and tells it what the loop has.
    pub(crate) fn meet_recording(&self) {
        if let Some(view) = self.view() {
            trace::lend(view);
            self.announce_once();
        }
    }

    /// The same while this loop runs.
    pub(crate) fn meet_recording_while(&self) -> Option<trace::Lent> {
        let lent = trace::lend_while(self.view()?);
        self.announce_once();
        lent
    }

    fn view(&self) -> Option<Rc<View>> {
        // A loop that a recorder runs for itself is no part of what it records.
        let recorded = trace::on() && !trace::is_telling();
        let view = || View { clock: self.inner.clock.clone(), event_loop: Rc::downgrade(&self.inner) };
        recorded.then(|| Rc::new(view()))
    }

    fn announce_once(&self) {
        if self.inner.announced.replace(trace::run()) != trace::run() {
            self.announce();
        }
    }

    /// Whether this is called from inside a recorder that records this loop.
    pub(crate) fn is_told_of(&self) -> bool {
        trace::is_telling() && self.inner.announced.get() == trace::run()
    }

    /// Makes this loop's own recording, if it has one, that of the thread.
    pub(crate) fn take_over(&self) -> Option<trace::Resumed> {
        let recording = self.inner.recording.borrow().upgrade()?;
        trace::take_over(&recording)
    }
}

struct View {
    clock: Clock,
    event_loop: Weak<Inner>,
}

impl LoopView for View {
    fn now(&self) -> u64 {
        self.clock.now()
    }

    fn address(&self) -> usize {
        self.event_loop.as_ptr().addr()
    }

    fn clock_kind(&self) -> ClockKind {
        match self.clock {
            Clock::Real(_) => ClockKind::Real,
            Clock::Test(_) => ClockKind::Virtual,
        }
    }

    fn runs(&self) -> bool {
        self.event_loop.upgrade().is_some_and(|inner| inner.is_running())
    }

    fn held(&self, nanos: u64) {
        self.clock.held(nanos);
    }

    fn open(&self) -> Open {
        self.event_loop.upgrade().map(|inner| inner.open()).unwrap_or_default()
    }
}

impl Inner {
    /// What is left of it, for the end of a trace.
    pub(super) fn open(&self) -> Open {
        Open {
            d: 0,
            m: self.timers.borrow().len() as u32,
            i: self.sources.borrow().iter().count() as u32,
            x: self.tasks.count() as u32,
        }
    }
}
