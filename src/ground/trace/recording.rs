//! Recordings that begin and end.

use super::event::{Event, Header};
use super::recorder::{Pass, Recorder};
use super::slot::{self, Current, Memory};
use crate::ground::{failure, unhandled};
use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// A recorder in a place that its owner can reach too. Boxed, as it is taken out for each event.
struct Shared<R> {
    recorder: Rc<RefCell<Option<Box<R>>>>,
    panicked: bool,
    gate: bool,
}

impl<R: Recorder> Shared<R> {
    fn call<T>(&mut self, place: impl fmt::Display, f: impl FnOnce(&mut R) -> T) -> Option<T> {
        if self.panicked {
            return None;
        }
        // Taken out while it runs, so that nothing of ours is borrowed while the user's code is.
        let mut recorder = self.recorder.borrow_mut().take()?;
        let result = catch_unwind(AssertUnwindSafe(|| f(&mut recorder)));
        *self.recorder.borrow_mut() = Some(recorder);
        match result {
            Ok(answer) => Some(answer),
            Err(payload) => {
                self.panicked = true;
                let message = failure::panic_message(&*payload);
                unhandled::error_line(&format_args!(
                    "the recorder panicked at {place} and gets no more: {message}"
                ));
                unhandled::forget_panic(payload);
                None
            }
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
    fn is_gate(&self) -> bool {
        self.gate
    }
    fn pass(&mut self, next: &Event<'_>) -> Pass {
        let answer = self.call(format_args!("the gate before event {}", next.s), |recorder| recorder.pass(next));
        answer.unwrap_or(Pass::Go)
    }
}

/// A recording that goes on until it is finished or dropped: see [`EventLoop::record`](crate::EventLoop::record).
///
/// It records what happens on its thread. A recording that begins meanwhile replaces it until that one ends.
///
/// ```
/// use ropewalk::trace::{self, Recording, Trace};
///
/// let recording = Recording::begin(Trace::with_limit(100));
/// trace::note("heard");
/// let ((), inner) = trace::record(|| trace::note("heard by the inner one"));
/// let outer = recording.finish().expect("not from inside the recorder");
/// trace::note("heard by nobody");
/// let names = |trace: &Trace| trace.events().map(|event| event.kind.name()).collect::<Vec<_>>();
/// assert_eq!(names(&outer), ["note", "end"]);
/// assert_eq!(names(&inner), ["note", "end"]);
/// ```
#[must_use = "a recording ends when this is dropped"]
pub struct Recording<R: Recorder + 'static> {
    current: Rc<Current>,
    recorder: Rc<RefCell<Option<Box<R>>>>,
    /// It belongs to its thread.
    thread: PhantomData<*const ()>,
}

impl<R: Recorder + 'static> Recording<R> {
    /// Begins to record with `recorder` on this thread. When it begins inside a callback or a step, it hears of the
    /// callbacks behind that one, and of the chain that runs within 16 steps.
    ///
    /// ```
    /// use ropewalk::trace::{self, Recording, Trace};
    ///
    /// let recording = Recording::begin(Trace::with_limit(100));
    /// trace::note("heard");
    /// let trace = recording.finish().expect("not from inside the recorder");
    /// assert_eq!(trace.len(), 2); // and the end
    /// ```
    pub fn begin(recorder: R) -> Recording<R> {
        let gate = recorder.is_gate();
        let recorder = Rc::new(RefCell::new(Some(Box::new(recorder))));
        let sink = Shared { recorder: recorder.clone(), panicked: false, gate };
        let place: Rc<dyn Any> = recorder.clone();
        // A trace that has the events of another recording already, with the same numbers, remembers none for this one.
        let memory = place
            .downcast()
            .ok()
            .filter(|memory: &Memory| memory.borrow().as_ref().is_some_and(|trace| trace.is_empty()));
        let current = Current::new(Box::new(sink), memory);
        let before = slot::replace(Some(current.clone()));
        *current.before.borrow_mut() = before;
        Recording { current, recorder, thread: PhantomData }
    }

    pub(crate) fn current(&self) -> &Rc<Current> {
        &self.current
    }

    /// Ends the recording with one event more, [`Kind::End`](super::Kind::End), and gives the recorder back. `None` if
    /// it is the recorder that asks, while it is called: it is dropped when it returns.
    pub fn finish(self) -> Option<R> {
        self.end();
        self.recorder.take().map(|recorder| *recorder)
    }

    fn end(&self) {
        if !self.current.ended.get() {
            self.current.emit_end();
            self.current.end();
        }
    }
}

impl<R: Recorder + 'static> Drop for Recording<R> {
    fn drop(&mut self) {
        self.end();
        // A recorder is the user's, and its drop may panic where another panic is on its way.
        let recorder = self.recorder.take();
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(recorder))) {
            unhandled::forget_panic(payload);
        }
    }
}

impl<R: Recorder + 'static> fmt::Debug for Recording<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").finish_non_exhaustive()
    }
}

/// Records what `f` does on this thread with `recorder`, and gives the recorder back with the result.
///
/// A recording inside a recording replaces the outer one until it ends.
///
/// ```
/// use ropewalk::trace::{self, JsonLines, Trace};
///
/// let recorders = (Trace::with_limit(100), JsonLines::new(Vec::new()));
/// let (value, (trace, lines)) = trace::record_with(recorders, || {
///     trace::note("here");
///     42
/// });
/// assert_eq!((value, trace.len()), (42, 2)); // the note and the end
/// assert!(String::from_utf8(lines.finish()?)?.contains(r#""k":"note","msg":"here""#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn record_with<R: Recorder + 'static, T>(recorder: R, f: impl FnOnce() -> T) -> (T, R) {
    let recording = Recording::begin(recorder);
    let value = f();
    let recorder = recording.finish();
    (value, recorder.expect("the recorder is back in its slot once nothing records"))
}

#[cfg(test)]
mod tests {
    use super::Recording;
    use crate::trace::{Trace, note};
    use std::rc::Rc;

    #[test]
    fn recordings_that_overlap_do_not_keep_each_other() {
        let begin = || Recording::begin(Trace::with_limit(10));
        let mut last = begin();
        let mut all = Vec::new();
        for _ in 0..10 {
            let next = begin();
            note("heard by the next one");
            all.push(Rc::downgrade(last.current()));
            drop(std::mem::replace(&mut last, next));
        }
        assert_eq!(all.iter().filter(|ended| ended.strong_count() > 0).count(), 0);
    }
}
