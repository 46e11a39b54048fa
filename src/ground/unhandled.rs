//! Failures that nobody handled: always reported, at the moment when the last hope is gone.
//!
//! That moment is when a chain whose consuming end was dropped ends with a failure, or when a consuming end that holds
//! a failure is dropped. The report goes to this thread's hook ([`set_unhandled_hook`]); by default it is logged with
//! `log::error!`, or written to standard error where no logger takes errors.

use super::failure::Failure;
use super::trace::{EventNumber, Id, Lane, Place, Via};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// A failure that nobody handled, with the chain it died in.
///
/// Its `Display` is the report that a person reads: the error, where it was raised, the chain, and where an errback
/// would have gone.
///
/// ```
/// use ropewalk::{Deferred, Failure, set_unhandled_hook};
/// use std::{cell::RefCell, rc::Rc};
///
/// let lost = Rc::new(RefCell::new(Vec::new()));
/// let list = lost.clone();
/// set_unhandled_hook(Some(Rc::new(move |error| list.borrow_mut().push(error.failure().to_string()))));
/// drop(Deferred::<()>::fail(Failure::msg("engine down")));
/// set_unhandled_hook(None);
/// assert_eq!(*lost.borrow(), ["engine down"]);
/// ```
pub struct UnhandledError {
    pub(crate) failure: Failure,
    pub(crate) recorded: Option<Recorded>,
    pub(crate) name: Option<Rc<str>>,
    pub(crate) made: Place,
    pub(crate) fired: Option<Place>,
    pub(crate) last_step: Option<Place>,
    pub(crate) steps: u32,
}

/// What a recording adds to a report.
pub(crate) struct Recorded {
    /// The Deferred and the failure.
    pub(crate) d: Id,
    pub(crate) f: Id,
    /// The loop's callback that fired the Deferred.
    pub(crate) fired_by: Option<(Id, Option<Rc<str>>)>,
    /// For how long it lay at the end of the Deferred, in nanoseconds of the recording's clock.
    pub(crate) rested: Option<u64>,
    /// The event of the loss, what woke it, and so on.
    pub(crate) why: Vec<EventNumber>,
}

impl UnhandledError {
    /// The failure.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }

    /// The failure by value.
    pub fn into_failure(self) -> Failure {
        self.failure
    }

    /// The name of the Deferred, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where the Deferred was made.
    pub fn made(&self) -> Place {
        self.made
    }

    /// Where it was fired; `None` if it was made with its result.
    pub fn fired(&self) -> Option<Place> {
        self.fired
    }

    /// Where its last step was added: an errback would have gone behind this one. `None` if it had no step.
    ///
    /// ```
    /// use ropewalk::{Deferred, Failure, testing::capture_unhandled};
    ///
    /// let unhandled = capture_unhandled();
    /// let poem = Deferred::<i32>::fail(Failure::msg("no paper")).named("poem");
    /// poem.map(|n| n + 1).detach(); // an errback is missing behind this `map`
    /// let line = line!() - 1;
    /// let report = unhandled.flush_unhandled().remove(0);
    /// assert_eq!((report.name(), report.last_step().unwrap().line()), (Some("poem"), line));
    /// assert_eq!(report.into_failure().to_string(), "no paper");
    /// ```
    pub fn last_step(&self) -> Option<Place> {
        self.last_step
    }
}

impl fmt::Display for UnhandledError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recorded = self.recorded.as_ref();
        write!(f, "error lost in ")?;
        match (recorded, self.name()) {
            (Some(ids), Some(name)) => write!(f, "{} \"{name}\"", ids.d)?,
            (Some(ids), None) => write!(f, "{}", ids.d)?,
            (None, Some(name)) => write!(f, "\"{name}\"")?,
            (None, None) => write!(f, "a Deferred")?,
        }
        write!(f, ": {:#}", self.failure)?;
        if let Some(ids) = recorded {
            write!(f, "  ({})", ids.f)?;
        }
        write!(f, "\n  raised     {}", self.failure.raised())?;
        if let Some(step) = self.failure.raised_in() {
            let lane = if step.lane == Lane::Ok { "ok" } else { "err" };
            write!(f, "  step {} {}, {lane} lane", step.n, step.name)?;
            if step.made != self.made {
                write!(f, ", of the Deferred made at {}", step.made)?;
            }
        }
        write!(f, "\n  chain      made {}", self.made)?;
        match self.fired {
            Some(fired) => write!(f, "\n             fired {fired}")?,
            None => match self.failure.via() {
                Via::Cancel => write!(f, ", cancelled")?,
                Via::Abandoned => write!(f, ", abandoned")?,
                _ => {}
            },
        }
        if let Some((callback, label)) = recorded.and_then(|ids| ids.fired_by.as_ref()) {
            write!(f, " by {callback}")?;
            if let Some(label) = label {
                write!(f, " \"{label}\"")?;
            }
        }
        match self.steps {
            0 => write!(f, ", no step")?,
            1 => write!(f, ", 1 step")?,
            n => write!(f, ", {n} steps")?,
        }
        for place in self.failure.crossed() {
            write!(f, "\n  passed by  {place}  (no errback there)")?;
        }
        let more = self.failure.crossed_count() - self.failure.crossed().count() as u32;
        if more > 0 {
            write!(f, "\n             and {more} more")?;
        }
        match self.steps.checked_sub(1) {
            Some(last) => write!(f, "\n  lost       no errback after step {last}")?,
            None => write!(f, "\n  lost       no errback")?,
        }
        if let Some(rested @ 1..) = recorded.and_then(|ids| ids.rested) {
            let (ms, us) = (rested / 1_000_000, rested / 1000 % 1000);
            write!(f, "; it rested for {ms}.{us:03} ms")?;
        }
        if let Some(ids) = recorded {
            write!(f, "\n  why        ")?;
            for (i, s) in ids.why.iter().enumerate() {
                write!(f, "{}s{s}", if i == 0 { "" } else { " < " })?;
            }
        }
        let after = self.last_step.unwrap_or(self.made);
        write!(f, "\n  help       add .add_errback(..) after line {} of {}", after.line(), after.file())?;
        let name = self.name().unwrap_or("what it is");
        write!(f, ",\n             or .log_errors(\"{name}\") if you mean to ignore it")
    }
}

impl fmt::Debug for UnhandledError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Somebody who takes the reports of unhandled errors.
pub type UnhandledHook = Rc<dyn Fn(UnhandledError)>;

thread_local! {
    static HOOK: RefCell<Option<UnhandledHook>> = const { RefCell::new(None) };
    /// While a loop is dropped: how many Deferreds were abandoned by that.
    static ENDING: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Sets who takes this thread's reports of unhandled errors, and answers who did before.
///
/// `None` is the default: `log::error!`, or standard error where no logger takes errors. Loops are bound to a thread,
/// and so is the hook.
///
/// ```
/// use ropewalk::{Deferred, Failure, set_unhandled_hook};
/// use std::{cell::Cell, rc::Rc};
///
/// let seen = Rc::new(Cell::new(0));
/// let count = seen.clone();
/// let before = set_unhandled_hook(Some(Rc::new(move |_| count.set(count.get() + 1))));
/// drop(Deferred::<i32>::fail(Failure::msg("nobody wants me")));
/// set_unhandled_hook(before);
/// assert_eq!(seen.get(), 1);
/// ```
pub fn set_unhandled_hook(hook: Option<UnhandledHook>) -> Option<UnhandledHook> {
    HOOK.with(|slot| slot.replace(hook))
}

/// Hands one report to the hook. Nothing is borrowed while the hook runs; a hook that panics is reported.
pub(crate) fn report(error: UnhandledError) {
    if error.failure.check::<super::failure::AbandonedError>().is_some()
        && let Ok(Some(n)) = ENDING.try_with(Cell::get)
    {
        ENDING.set(Some(n + 1));
        return;
    }
    // The hook, its drop, and the error's own drop are the user's code: whoever reports is in the middle of a chain.
    let call = || match HOOK.try_with(|slot| slot.borrow().clone()).ok().flatten() {
        None => error_line(&error),
        Some(hook) => hook(error),
    };
    if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
        let message = super::failure::panic_message(&*payload);
        error_line(&format_args!("the hook for unhandled errors panicked: {message}"));
    }
}

/// Says something that a person must see: to the logger, or to standard error where no logger takes errors.
///
/// A logger, or what it is to show, is the user's code: if that panics, the line is lost and nothing else.
pub(crate) fn error_line(what: &dyn fmt::Display) {
    let say = || {
        if log::log_enabled!(target: "ropewalk", log::Level::Error) {
            log::error!(target: "ropewalk", "{what}");
        } else {
            use std::io::Write;
            // Standard error may be closed. There is no further place to complain to.
            let _ = writeln!(std::io::stderr(), "ropewalk: {what}");
        }
    };
    if let Err(payload) = catch_unwind(AssertUnwindSafe(say)) {
        forget_panic(payload);
    }
}

/// Drops a panic's payload, whose own drop may panic in turn.
pub(crate) fn forget_panic(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

/// Whether a loop is being dropped.
pub(crate) fn is_ending() -> bool {
    ENDING.try_with(|ending| ending.get().is_some()).unwrap_or(false)
}

/// Runs `f`, which drops a loop; answers how many Deferreds were abandoned by that with nobody to handle it.
///
/// These are one summary line of the loop's, not a report each.
#[allow(dead_code)] // used by the floor above
pub(crate) fn while_ending(f: impl FnOnce()) -> u64 {
    let before = ENDING.replace(Some(0));
    f();
    ENDING.replace(before).unwrap_or(0)
}
