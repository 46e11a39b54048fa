//! What a loop still waits for, as a list that a person can read.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::trace::{self, IdSlot, Object, Place};

use super::interest::Interest;
use super::{EventLoop, Named};

/// The kind of a registration.
///
/// ```
/// use ropewalk::{EventLoop, Interest, RegisteredKind, TestClock};
/// use std::{os::unix::net::UnixStream, time::Duration};
///
/// let event_loop = EventLoop::builder().clock(&TestClock::new()).build()?;
/// let (ours, _theirs) = UnixStream::pair()?;
/// event_loop.register(ours, Interest::READ, |_, _, _| ())?;
/// event_loop.call_later(Duration::from_secs(60), |_| ());
/// event_loop.spawn::<(), _>(std::future::pending()).detach();
/// let kinds: Vec<_> = event_loop.still_registered().iter().map(|left| left.kind).collect();
/// assert_eq!(kinds, [
///     RegisteredKind::Source(Interest::READ),
///     RegisteredKind::Timer(Duration::from_secs(60)),
///     RegisteredKind::Task,
/// ]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisteredKind {
    /// A source, with what it is watched for.
    Source(Interest),
    /// A delayed call, with its deadline on the loop's clock.
    Timer(Duration),
    /// A job of the worker pool.
    Job,
    /// A task: a future that was spawned and is not ready.
    Task,
}

/// One thing that a loop still waits for.
///
/// ```
/// use ropewalk::{EventLoop, RegisteredKind};
/// use std::time::Duration;
///
/// let event_loop = EventLoop::new()?;
/// event_loop.call_later(Duration::from_secs(60), |_| ()).named("heartbeat");
/// let left = event_loop.still_registered();
/// assert_eq!(left.len(), 1);
/// assert!(matches!(left[0].kind, RegisteredKind::Timer(_)));
/// println!("{}", left[0]); // what it is, and the line that made it
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Registered {
    /// What it is.
    pub kind: RegisteredKind,
    /// The line that made it.
    pub place: Place,
    /// The name that a person gave it.
    pub label: Option<Rc<str>>,
    /// Its id in the trace, such as `m3`, if somebody records.
    pub id: Option<String>,
}

impl fmt::Display for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            RegisteredKind::Source(interest) => write!(f, "source ({interest:?})")?,
            RegisteredKind::Timer(at) => write!(f, "timer (due at {at:?})")?,
            RegisteredKind::Job => f.write_str("job")?,
            RegisteredKind::Task => f.write_str("task")?,
        }
        if let Some(id) = &self.id {
            write!(f, " {id}")?;
        }
        if let Some(label) = &self.label {
            write!(f, " \"{label}\"")?;
        }
        write!(f, ", made at {}", self.place)
    }
}

fn id_text(slot: &Cell<IdSlot>, object: Object) -> Option<String> {
    trace::on().then(|| trace::known(slot, object)).flatten().map(|id| id.to_string())
}

impl EventLoop {
    /// Everything that is still registered: sources, delayed calls, jobs, tasks, with the lines that made them.
    ///
    /// For the end of a test, or for a program that should end and does not:
    ///
    /// ```
    /// use ropewalk::{EventLoop, TestClock};
    /// use std::time::Duration;
    ///
    /// let event_loop = EventLoop::builder().clock(&TestClock::new()).build()?;
    /// event_loop.call_later(Duration::from_secs(60), |_| ()).named("heartbeat");
    /// let left: Vec<_> = event_loop.still_registered().iter().map(|left| left.to_string()).collect();
    /// assert_eq!(left.len(), 1);
    /// assert!(left[0].starts_with("timer (due at 60s)") && left[0].contains("heartbeat"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn still_registered(&self) -> Vec<Registered> {
        let inner = &self.inner;
        let mut list = Vec::new();
        for slot in inner.sources.borrow().iter() {
            list.push(Registered {
                kind: RegisteredKind::Source(Interest(slot.wanted)),
                place: slot.place,
                label: inner.label(Named::Source(slot.serial)),
                id: if trace::on() { slot.known().map(|id| id.to_string()) } else { None },
            });
        }
        for (key, at, slot) in inner.timers.borrow().iter() {
            list.push(Registered {
                kind: RegisteredKind::Timer(Duration::from_nanos(at)),
                place: slot.place,
                label: inner.label(Named::Timer(key)),
                id: id_text(&slot.id, Object::Timer),
            });
        }
        for (_, job) in inner.jobs.borrow().iter() {
            let id = id_text(&job.id, Object::Work);
            list.push(Registered { kind: RegisteredKind::Job, place: job.place, label: None, id });
        }
        inner.tasks.each(|place, id| {
            let id = id_text(id, Object::Task);
            list.push(Registered { kind: RegisteredKind::Task, place, label: None, id });
        });
        list
    }
}
