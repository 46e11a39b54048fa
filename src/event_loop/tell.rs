//! What the loop tells the recorder. Called only while somebody records, with nothing borrowed.

use std::cell::Cell;
use std::rc::Rc;

use crate::trace::{
    self, Asked, EventNumber, Frame, Id, IdSlot, Kind, Links, Mark, More, Object, Out, Place, Slot, Woke,
};

use super::interest::{HUP, READ, Readiness, WRITE};
use super::jobs::Done;
use super::sources::AnySource;
use super::tasks::{self, TaskId};
use super::timers::TimerKey;
use super::turn::{Site, Turn};
use super::{EventLoop, Inner, Named};

/// How many sources a wait names in the trace. The first ones tell enough; all of a big server's at every wait would be
/// the whole trace.
const NAMED: usize = 64;

impl EventLoop {
    /// Tells a recording that begins, or meets this loop, what it has.
    #[cold]
    #[inline(never)]
    pub(super) fn announce(&self) {
        let inner = &*self.inner;
        let sources: Vec<_> = inner.sources.borrow().names();
        for (index, serial) in sources {
            self.meet_source(index, serial);
        }
        let timers: Vec<_> = inner.timers.borrow().iter().map(|(key, ..)| key).collect();
        for key in timers {
            inner.meet_timer(key);
        }
        let queued = inner.soon.borrow().len();
        for n in 0..queued {
            let found = inner.soon.borrow().get(n).map(|soon| (soon.id.clone(), soon.place));
            let Some((id, place)) = found else { break };
            if let Some((p, true)) = trace::id(&id, Object::Post) {
                let reg = trace::emit(Kind::Post { p, late: true }, Links { at: Some(place), ..Links::default() });
                if let Some(soon) = inner.soon.borrow_mut().get_mut(n) {
                    (soon.id, soon.reg) = (id, reg);
                }
            }
        }
        let jobs: Vec<_> = inner.jobs.borrow().iter().map(|(job, _)| job).collect();
        for job in jobs {
            inner.meet_job(job);
        }
        inner.tasks.all().into_iter().for_each(|task| task.announce());
    }

    #[cold]
    #[inline(never)]
    pub(super) fn open_frame(&self, slot: Slot, place: Place, site: Site) {
        let label = site.label.as_deref();
        let links = Links { cause: site.cause, reg: site.reg, at: Some(place), label };
        let slot = site.slot.unwrap_or(slot);
        let more = More { same_time: site.same_time, ..More::default() };
        let frame = Frame::open_more(Kind::CbBegin { o: site.id, slot }, links, more);
        self.inner.turn.outer.set(tasks::tell::calls(site.id));
        self.inner.turn.call_frame.set(Some(frame));
        self.inner.turn.began.set(self.told_last());
    }

    #[cold]
    #[inline(never)]
    pub(super) fn close_frame(&self, frame: Frame, out: Out) -> bool {
        let turn = &self.inner.turn;
        tasks::tell::called(turn.outer.take());
        let told = frame.close(|b| Kind::CbEnd { b, out }, Links::default()) != 0;
        let took = self.read_last().saturating_sub(turn.began.get());
        turn.busy.set(turn.busy.get() + took);
        told
    }

    /// What this loop's clock said at the last event. One that is not told by this clock, as the recording began inside a
    /// callback, says nothing of it.
    fn read_last(&self) -> u64 {
        trace::read_last(self.address()).unwrap_or_else(|| self.inner.clock.now())
    }

    /// What it said when the last event had been told: what a recorder takes is neither a callback's nor a wait's.
    fn told_last(&self) -> u64 {
        trace::told_last(self.address()).unwrap_or_else(|| self.inner.clock.now())
    }

    fn address(&self) -> usize {
        Rc::as_ptr(&self.inner).addr()
    }

    /// A wait begins. Answers its mark and its time.
    #[cold]
    #[inline(never)]
    pub(super) fn poll_begins(&self, timeout: Option<u64>) -> Option<(Mark, u64)> {
        let inner = &*self.inner;
        let next = inner.timers.borrow().first().and_then(|slot| trace::known(&slot.id, Object::Timer));
        let watch = inner.sources.borrow().watched(NAMED);
        match trace::emit(Kind::PollBegin { timeout, next, watch: &watch }, Links::default()) {
            0 => None,
            begun => Some((begun, self.told_last())),
        }
    }

    /// It is over.
    #[cold]
    #[inline(never)]
    pub(super) fn poll_ends(&self, (begun, at): (Mark, u64)) {
        let inner = &*self.inner;
        let mut ready = Vec::new();
        let mut any_source = false;
        for event in inner.turn.ready.borrow().iter().filter(|event| event.is_source()) {
            any_source = true;
            if ready.len() < NAMED
                && let Some(i) = inner.sources.borrow().id_of(*event)
            {
                let (r, w) = (event.bits & (READ | HUP) != 0, event.bits & WRITE != 0);
                ready.push(Asked { i, r, w });
            }
        }
        let now = trace::read_now(self.address()).unwrap_or_else(|| inner.clock.now());
        let woke = if any_source {
            Woke::Io
        } else if inner.mailbox.has_mail() || inner.any_task_woken() {
            Woke::Post
        } else if inner.next_deadline().is_some_and(|due| due <= now) {
            Woke::Timer
        } else {
            Woke::Now
        };
        let kind = Kind::PollEnd { b: begun, waited: now.saturating_sub(at), woke, ready: &ready };
        let more = More { same_time: true, ..More::default() };
        inner.turn.woken.set(trace::emit_more(kind, Links::default(), more));
    }
}

/// Each a function of its own: beside the loop's own lines it would cost those their registers.
impl EventLoop {
    #[cold]
    #[inline(never)]
    pub(super) fn turn_begins(&self) {
        let turn = &self.inner.turn;
        let n = turn.number.get();
        turn.frame.set(Some(Frame::open(Kind::TurnBegin { n }, Links::default())));
        turn.eventful.set(true);
    }

    #[cold]
    #[inline(never)]
    pub(super) fn turn_ends(&self, frame: Frame) {
        let turn = &self.inner.turn;
        let ran = turn.ran_before.get() as u32;
        frame.close(|b| Kind::TurnEnd { b, ran, busy: turn.busy.take() }, Links::default());
    }

    #[cold]
    #[inline(never)]
    pub(super) fn soon_begins(&self, id: Cell<IdSlot>, reg: EventNumber, place: Place, just_told: bool) {
        self.open_frame(Slot::Soon, place, Site { same_time: just_told, ..queued(id, reg, place) });
    }

    #[cold]
    #[inline(never)]
    pub(super) fn letter_begins(&self, place: Place, worker: u32, just_told: bool) {
        self.open_frame(Slot::Post, place, posted(place, worker, just_told));
    }

    /// Answers whether the source is still to be called.
    #[cold]
    #[inline(never)]
    pub(super) fn ready_begins(&self, index: u32, serial: u64, readiness: Readiness, place: Place) -> bool {
        self.open_frame(Slot::Ready, place, self.ready_site(index, serial, readiness));
        self.inner.sources.borrow().is_wanted(index, serial)
    }

    #[cold]
    #[inline(never)]
    pub(super) fn timer_begins(
        &self,
        slot: (Cell<IdSlot>, EventNumber, Place),
        at: u64,
        label: Option<Rc<str>>,
        just_told: bool,
    ) {
        let place = slot.2;
        self.open_frame(Slot::Timer, place, fired(&self.inner.turn, slot, at, label, just_told));
    }

    #[cold]
    #[inline(never)]
    pub(super) fn task_begins(&self, task: TaskId, place: Place) {
        self.open_frame(Slot::Task, place, task.site());
    }
}

fn queued(id: Cell<IdSlot>, mut reg: EventNumber, place: Place) -> Site {
    let Some((p, new)) = trace::id(&id, Object::Post) else { return Site::default() };
    if new {
        reg = trace::emit(Kind::Post { p, late: true }, Links { at: Some(place), ..Links::default() });
    }
    Site { id: Some(p), reg, ..Site::default() }
}

/// A letter is numbered when the loop takes it in: its thread has no trace.
fn posted(place: Place, worker: u32, just_told: bool) -> Site {
    let Some((p, _)) = trace::id(&Cell::default(), Object::Post) else { return Site::default() };
    let th = Some(worker).filter(|worker| *worker != 0);
    let more = More { th, same_time: just_told, ..More::default() };
    let links = Links { at: Some(place), ..Links::default() };
    let reg = trace::emit_more(Kind::Post { p, late: false }, links, more);
    Site { id: Some(p), reg, same_time: true, ..Site::default() }
}

pub(super) fn fired(
    turn: &Turn,
    slot: (Cell<IdSlot>, EventNumber, Place),
    at: u64,
    label: Option<Rc<str>>,
    just_told: bool,
) -> Site {
    let (id, mut reg, place) = slot;
    let Some((m, new)) = trace::id(&id, Object::Timer) else { return Site::default() };
    if new {
        reg = trace::emit(late_timer(m, at), Links { at: Some(place), ..Links::default() });
    }
    let late = turn.now.get().saturating_sub(at);
    let links = Links { cause: turn.woken.get(), reg, at: None, label: label.as_deref() };
    let more = More { same_time: just_told, ..More::default() };
    let cause = trace::emit_more(Kind::TimerFire { m, late }, links, more);
    Site { id: Some(m), cause, reg, label, slot: None, same_time: true }
}

fn late_timer(m: Id, due: u64) -> Kind<'static> {
    Kind::TimerArm { m, due, every: None, late: true }
}

impl Inner {
    /// A timer's id and the event that armed it. One that is met for the first time is announced.
    pub(super) fn meet_timer(&self, key: TimerKey) -> Option<(Id, EventNumber)> {
        let ((m, new), reg, place, due) = {
            let timers = self.timers.borrow();
            let slot = timers.get(key)?;
            (trace::id(&slot.id, Object::Timer)?, slot.reg, slot.place, timers.deadline(key)?)
        };
        if !new {
            return Some((m, reg));
        }
        let reg = trace::emit(late_timer(m, due), Links { at: Some(place), ..Links::default() });
        if let Some(slot) = self.timers.borrow_mut().get_mut(key) {
            slot.reg = reg;
        }
        Some((m, reg))
    }

    /// A job was given to the pool.
    #[cold]
    #[inline(never)]
    pub(super) fn job_queued(&self, job: usize) {
        let found = self.jobs.borrow().get(job).map(|job| (trace::id(&job.id, Object::Work), job.place));
        let Some((Some((w, _)), place)) = found else { return };
        let reg = trace::emit(Kind::WorkQueue { w, late: false }, Links { at: Some(place), ..Links::default() });
        if let Some(job) = self.jobs.borrow_mut().get_mut(job) {
            job.reg = reg;
        }
    }

    /// Its result is here.
    #[cold]
    #[inline(never)]
    pub(super) fn job_done(&self, job: usize, done: Option<Done>) {
        let Some((w, reg)) = self.meet_job(job) else { return };
        let mut cause = 0;
        if let Some(Done { begun, ended, th, out }) = done {
            let links = |cause| Links { cause, reg, ..Links::default() };
            let more = |at| More { th: Some(th), wall: trace::wall_of(at), ..More::default() };
            let mark = trace::emit_more(Kind::WorkBegin { w }, links(0), more(begun));
            cause = trace::emit_more(Kind::WorkEnd { w, out }, links(mark), more(ended));
        }
        trace::emit(Kind::WorkDone { w }, Links { cause, reg, ..Links::default() });
    }

    /// The same for a job.
    pub(super) fn meet_job(&self, job: usize) -> Option<(Id, EventNumber)> {
        let ((w, new), reg, place) = {
            let jobs = self.jobs.borrow();
            let job = jobs.get(job)?;
            (trace::id(&job.id, Object::Work)?, job.reg, job.place)
        };
        if !new {
            return Some((w, reg));
        }
        let reg = trace::emit(Kind::WorkQueue { w, late: true }, Links { at: Some(place), ..Links::default() });
        if let Some(job) = self.jobs.borrow_mut().get_mut(job) {
            job.reg = reg;
        }
        Some((w, reg))
    }
}

impl EventLoop {
    /// A source's id and the event that registered it. One that is met for the first time is announced.
    pub(super) fn meet_source(&self, index: u32, serial: u64) -> Option<(Id, EventNumber)> {
        let ((i, new), reg, place, entry) = {
            let sources = self.inner.sources.borrow();
            let slot = sources.get(index, serial)?;
            (slot.id()?, slot.reg(), slot.place, slot.entry.clone())
        };
        if !new {
            return Some((i, reg));
        }
        Some((i, self.tell_open(index, serial, i, place, &*entry, true)))
    }

    /// A source was registered.
    #[cold]
    #[inline(never)]
    pub(super) fn opened(&self, index: u32, serial: u64, place: Place) {
        let found = match self.inner.sources.borrow().get(index, serial) {
            Some(slot) => slot.id().map(|(i, _)| (i, slot.entry.clone())),
            None => None,
        };
        if let Some((i, entry)) = found {
            self.tell_open(index, serial, i, place, &*entry, false);
        }
    }

    fn tell_open(
        &self,
        index: u32,
        serial: u64,
        i: Id,
        place: Place,
        entry: &dyn AnySource,
        late: bool,
    ) -> EventNumber {
        let label = self.inner.label(Named::Source(serial));
        let links = Links { at: Some(place), label: label.as_deref(), ..Links::default() };
        let name = entry.name();
        let reg = trace::emit(Kind::IoOpen { i, what: entry.what(), name: name.as_deref(), late }, links);
        if let Some(slot) = self.inner.sources.borrow().get(index, serial) {
            slot.set_reg(reg);
        }
        reg
    }

    /// Records an event of a source.
    pub(crate) fn trace_source(
        &self,
        index: u32,
        serial: u64,
        mut links: Links<'_>,
        kind: impl FnOnce(Id) -> Kind<'static>,
    ) -> EventNumber {
        let Some((i, reg)) = self.meet_source(index, serial) else { return 0 };
        let label = self.inner.label(Named::Source(serial));
        links.reg = reg;
        trace::emit(kind(i), Links { label: label.as_deref(), ..links })
    }

    /// What the trace says of a ready source's callback.
    #[cold]
    #[inline(never)]
    fn ready_site(&self, index: u32, serial: u64, readiness: Readiness) -> Site {
        let links = Links { cause: self.inner.turn.woken(), ..Links::default() };
        let (r, w, hup) = (readiness.is_readable(), readiness.is_writable(), readiness.0 & HUP != 0);
        let cause = self.trace_source(index, serial, links, |i| Kind::IoReady { i, r, w, hup });
        let sources = self.inner.sources.borrow();
        let Some(slot) = sources.get(index, serial) else { return Site::default() };
        let slot_word = match (r, w) {
            (false, true) => Some(Slot::Write),
            _ if slot.entry.accepts() => Some(Slot::Accept),
            _ => None,
        };
        Site {
            id: slot.known(),
            cause,
            reg: slot.reg(),
            label: self.inner.label(Named::Source(serial)),
            slot: slot_word,
            same_time: true,
        }
    }
}
