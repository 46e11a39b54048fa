//! `Deferred`: a result that is not there yet, and the chain of callbacks that it will run through.
//!
//! The consuming end. Each `add_*` takes it and gives back the new end, so its type is always that of the chain's
//! last step. [`Resolver`](super::Resolver) is the other end. The machinery between them is `chain.rs`.

use super::chain::{self, Chain, Core, Head, Info, Landing, Link, Next, Phase, StepSite, Tail};
use super::failure::Failure;
use super::resolver::Resolver;
use super::step::{Both, Callback, CallbackResult, Callbacks, Errback, Map, Outcome, Returned, Step};
use super::tell;
use super::trace::{self, Id, Place};
use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::{Rc, Weak};

/// A result that comes later, and the chain of callbacks that it runs through. Twisted's `Deferred`.
///
/// A chain has two lanes. A value runs through the callbacks, a failure through the errbacks, and each step decides on
/// which lane its own result goes on:
///
/// ```text
///    ok    err
///     o                 the value it was fired with
///    [0]                a callback that gives back Err(..)
///      \___
///          x
///          |1           a callback: nothing for this lane, passed by
///         [2]           an errback that gives back Ok(..)
///       __/
///     o
/// ```
///
/// A step gives back `Result<U, Failure>`, or a `Deferred<U>`: then the chain waits for that one and goes on with its
/// result. Firing is synchronous: the steps run inside [`Resolver::succeed`], on its stack. A step that is added to
/// a chain whose result has come runs inside `add_*`.
///
/// Dropping a `Deferred` that waits *detaches* it: its steps still run. A failure that comes out where nobody can
/// take it any more is reported, see [`set_unhandled_hook`](crate::set_unhandled_hook).
///
/// # Examples
///
/// ```
/// use ropewalk::{Deferred, testing::success_of};
///
/// let (resolver, poem) = Deferred::new();
/// let shout = poem
///     .map(|text: String| text.to_uppercase())
///     .add_errback(|failure| Ok(format!("no poem: {failure}")));
/// resolver.succeed("if I were".to_owned()); // the steps run here
/// assert_eq!(success_of(shout), "IF I WERE");
/// ```
pub struct Deferred<T: 'static> {
    inner: Option<Inner<T>>,
}

pub(crate) struct Inner<T: 'static> {
    pub(crate) end: End<T>,
    pub(crate) origin: Origin,
    /// The name for the next step.
    step_name: Option<Box<str>>,
}

/// Where the result will be found.
pub(crate) enum End<T: 'static> {
    Done(Outcome<T>),
    Tail(Rc<dyn Tail<T>>),
}

/// Which chain this is the end of. One that was made with its result needs no allocation until it has to wait.
pub(crate) enum Origin {
    Inline(Info),
    Chain(Rc<dyn Chain>),
}

impl Origin {
    pub(crate) fn info(&self) -> &Info {
        match self {
            Origin::Inline(info) => info,
            Origin::Chain(chain) => &chain.core().info,
        }
    }

    fn core(&self) -> Option<&Core> {
        match self {
            Origin::Inline(_) => None,
            Origin::Chain(chain) => Some(chain.core()),
        }
    }
}

impl<T: 'static> Deferred<T> {
    /// Makes a pair: the end that fires, and the end that the result comes out of. One allocation.
    #[track_caller]
    #[allow(clippy::new_ret_no_self)] // Two ends are the point; a Deferred alone could never fire.
    pub fn new() -> (Resolver<T>, Deferred<T>) {
        let head = Head::<T>::new(Info::new(Location::caller()), Phase::Unfired);
        if trace::on() {
            tell::made(&head.core.info, type_name::<T>());
        }
        let deferred = Deferred::over(head.clone(), head.clone());
        (Resolver::new(head), deferred)
    }

    /// Like [`new`](Deferred::new), with what to do when somebody cancels: stop the work, or fire the `Resolver`.
    ///
    /// The canceller is asked at most once, and only while nothing has been fired. If it does not fire, the Deferred
    /// fails with [`CancelledError`](crate::CancelledError). If it panics, it fails with that panic. It is dropped
    /// when the Deferred fires.
    ///
    /// ```
    /// use ropewalk::{Deferred, testing::success_of};
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// let slot = Rc::new(Cell::new(None));
    /// let canceller_slot = slot.clone();
    /// let (resolver, d) = Deferred::with_canceller(move || {
    ///     // What has been read so far is good enough.
    ///     if let Some(resolver) = canceller_slot.take() {
    ///         ropewalk::Resolver::succeed(resolver, "half a poem");
    ///     }
    /// });
    /// slot.set(Some(resolver));
    /// d.cancel();
    /// assert_eq!(success_of(d), "half a poem");
    /// ```
    #[track_caller]
    pub fn with_canceller(canceller: impl FnOnce() + 'static) -> (Resolver<T>, Deferred<T>) {
        let (resolver, deferred) = Deferred::new();
        resolver.set_canceller(Box::new(canceller));
        (resolver, deferred)
    }

    /// A Deferred that has its value. No allocation.
    #[track_caller]
    pub fn succeed(value: T) -> Deferred<T> {
        Deferred::done(Ok(value), Location::caller())
    }

    /// A Deferred that has failed.
    #[track_caller]
    pub fn fail(failure: impl Into<Failure>) -> Deferred<T> {
        Deferred::done(Err(failure.into()), Location::caller())
    }

    /// A Deferred that has its result, value or failure.
    #[track_caller]
    pub fn from_result(result: Result<T, Failure>) -> Deferred<T> {
        Deferred::done(result, Location::caller())
    }

    fn done(mut outcome: Outcome<T>, made: Place) -> Deferred<T> {
        let info = Info::new(made);
        if trace::on() {
            tell::made_fired(&info, &mut outcome);
        }
        Deferred::from_parts(End::Done(outcome), Origin::Inline(info))
    }

    fn over(chain: Rc<dyn Chain>, tail: Rc<dyn Tail<T>>) -> Deferred<T> {
        Deferred::from_parts(End::Tail(tail), Origin::Chain(chain))
    }

    fn from_parts(end: End<T>, origin: Origin) -> Deferred<T> {
        Deferred { inner: Some(Inner { end, origin, step_name: None }) }
    }

    pub(crate) fn take_inner(&mut self) -> Inner<T> {
        self.inner.take().expect("a Deferred holds its end until it is consumed")
    }

    fn inner(&self) -> &Inner<T> {
        self.inner.as_ref().expect("a Deferred holds its end until it is consumed")
    }

    /// Gives the chain a name for reports and traces.
    #[track_caller]
    pub fn named(self, name: impl Into<Box<str>>) -> Deferred<T> {
        let name = name.into();
        let info = self.inner().origin.info();
        if trace::on() {
            tell::named(info, &name, Location::caller());
        }
        info.name.set(Some(name));
        self
    }

    /// Gives a name to the step that is added next. Write it before the `add_*`: a step added to a chain that has its
    /// result runs inside the `add_*`.
    pub fn step_named(mut self, name: impl Into<Box<str>>) -> Deferred<T> {
        if let Some(inner) = &mut self.inner {
            inner.step_name = Some(name.into());
        }
        self
    }

    /// Adds a step for the value. A failure passes by.
    ///
    /// At most one allocation; none where the result is there and the step gives back a result.
    #[track_caller]
    pub fn add_callback<R, F>(self, callback: F) -> Deferred<<R as CallbackResult>::Value>
    where
        R: CallbackResult,
        F: FnOnce(T) -> R + 'static,
    {
        self.add(Callback(callback), Location::caller())
    }

    /// Adds a step for a failure. A value passes by.
    ///
    /// The errback that gives back a value (or a Deferred) has handled the failure. Give back `Err(failure)` to pass
    /// it on.
    #[track_caller]
    pub fn add_errback<R, F>(self, errback: F) -> Deferred<T>
    where
        R: CallbackResult<Value = T>,
        F: FnOnce(Failure) -> R + 'static,
    {
        self.add(Errback(errback), Location::caller())
    }

    /// Adds one step with a callback and an errback. Just one of the two runs: the errback does not see the
    /// callback's own error.
    #[track_caller]
    pub fn add_callbacks<R, S, F, G>(self, callback: F, errback: G) -> Deferred<<R as CallbackResult>::Value>
    where
        R: CallbackResult,
        S: CallbackResult<Value = <R as CallbackResult>::Value>,
        F: FnOnce(T) -> R + 'static,
        G: FnOnce(Failure) -> S + 'static,
    {
        self.add::<_, Callbacks<F, G>>(Callbacks(callback, errback), Location::caller())
    }

    /// Adds one step that takes the result of either lane.
    #[track_caller]
    pub fn add_both<R, F>(self, both: F) -> Deferred<<R as CallbackResult>::Value>
    where
        R: CallbackResult + 'static,
        F: FnOnce(Result<T, Failure>) -> R + 'static,
    {
        self.add(Both(both, PhantomData), Location::caller())
    }

    /// Adds a step that turns the value into another value and cannot fail.
    #[track_caller]
    pub fn map<U: 'static>(self, f: impl FnOnce(T) -> U + 'static) -> Deferred<U> {
        self.add(Map(f), Location::caller())
    }

    fn add<U: 'static, S: Step<T, U>>(mut self, step: S, at: Place) -> Deferred<U> {
        let Inner { end, origin, step_name } = self.take_inner();
        let outcome = match end {
            End::Done(outcome) => outcome,
            End::Tail(tail) => match tail.take() {
                Some(outcome) => outcome,
                None => return append(tail, origin, step, step_name, at),
            },
        };
        let info = origin.info();
        let returned = {
            // A cancel from inside the step finds that the step runs.
            if let Some(core) = origin.core() {
                core.phase.set(Phase::Running);
            }
            let name = step_name.as_deref();
            let n = info.steps.get();
            if trace::on() {
                let reg = tell::added::<T, U, S>(info, at, name, true);
                tell::step(info, &StepSite { n, at, name, reg }, step, outcome)
            } else {
                chain::run(step, outcome, info, &StepSite { n, at, name, reg: 0 })
            }
        };
        info.last.set(Some(at));
        info.steps.set(info.steps.get() + 1);
        match returned {
            Returned::Now(outcome) => rest(outcome, origin),
            Returned::Later(inner) => settle(inner, origin),
        }
    }

    /// Cancels: the innermost Deferred that the chain waits for is asked.
    ///
    /// * Not fired: the canceller is called; if there is none, or it does not fire, the chain fails with
    ///   [`CancelledError`](crate::CancelledError), and a result that the `Resolver` is given later is swallowed.
    /// * Waiting for another Deferred: that one is cancelled, and its failure comes back along this chain.
    /// * Fired, also while a step runs: nothing happens.
    #[track_caller]
    pub fn cancel(&self) {
        if let Origin::Chain(chain) = &self.inner().origin {
            chain::cancel(chain.clone(), Location::caller());
        }
    }

    /// A handle that can cancel this chain without having it in hand: for a Stop button, a time-out, a list.
    ///
    /// It is weak: it keeps nothing alive, and does nothing once the chain is gone.
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle {
            chain: match &self.inner().origin {
                Origin::Inline(_) => None,
                Origin::Chain(chain) => Some(Rc::downgrade(chain)),
            },
        }
    }

    /// Lets the chain run on by itself. The same as dropping it, said aloud.
    pub fn detach(self) {}

    /// Whether the result is there: the chain was fired, all its steps have run, and it waits for nothing.
    pub fn has_result(&self) -> bool {
        match &self.inner().end {
            End::Done(_) => true,
            End::Tail(tail) => match tail.take() {
                Some(outcome) => {
                    tail.put(outcome);
                    true
                }
                None => false,
            },
        }
    }

    /// Takes the result, if it is there. The failure counts as handled.
    ///
    /// # Errors
    ///
    /// The Deferred itself, unchanged, when there is no result yet.
    pub fn try_result(mut self) -> Result<Result<T, Failure>, Deferred<T>> {
        let Inner { end, origin, step_name } = self.take_inner();
        let outcome = match end {
            End::Done(outcome) => outcome,
            End::Tail(tail) => match tail.take() {
                Some(outcome) => outcome,
                None => {
                    self.inner = Some(Inner { end: End::Tail(tail), origin, step_name });
                    return Err(self);
                }
            },
        };
        if trace::on() {
            tell::taken(origin.info(), type_name::<T>());
        }
        Ok(outcome)
    }

    /// Where it was made.
    pub fn made(&self) -> Place {
        self.inner().origin.info().made
    }

    /// Its id in the current recording; `None` when nothing records.
    pub(crate) fn id(&self) -> Option<Id> {
        tell::chain_id(self.inner().origin.info(), type_name::<T>(), true)
    }
}

impl<T: 'static> Deferred<Deferred<T>> {
    /// Waits for the inner Deferred as well: one result out of two.
    ///
    /// With it `?` can stand in a callback that ends with a Deferred: give back `Ok(deferred)` and flatten.
    ///
    /// ```
    /// use ropewalk::{Deferred, testing::success_of};
    ///
    /// let d = Deferred::succeed("7")
    ///     .add_callback(|text| {
    ///         let n: i32 = text.parse()?;
    ///         Ok(Deferred::succeed(n * 6))
    ///     })
    ///     .flatten();
    /// assert_eq!(success_of(d), 42);
    /// ```
    #[track_caller]
    pub fn flatten(self) -> Deferred<T> {
        self.add_callback(|inner| inner)
    }
}

/// Calls `f` and makes a Deferred of what it does: a result, a Deferred of its own, or a panic. Twisted's
/// `maybeDeferred`.
///
/// ```
/// use ropewalk::{maybe_deferred, testing::failure_of};
///
/// let d = maybe_deferred(|| Ok("x".parse::<i32>()?));
/// assert!(failure_of(d).check::<std::num::ParseIntError>().is_some());
/// ```
#[track_caller]
pub fn maybe_deferred<R: CallbackResult>(f: impl FnOnce() -> R) -> Deferred<<R as CallbackResult>::Value> {
    let at = Location::caller();
    match catch_unwind(AssertUnwindSafe(|| f().returned())) {
        Ok(Returned::Now(outcome)) => Deferred::done(outcome, at),
        Ok(Returned::Later(deferred)) => deferred,
        Err(payload) => Deferred::done(Err(Failure::panic(payload, at)), at),
    }
}

/// Hangs a step behind a chain whose result has not come out yet.
fn append<T: 'static, U: 'static, S: Step<T, U>>(
    tail: Rc<dyn Tail<T>>,
    origin: Origin,
    step: S,
    name: Option<Box<str>>,
    at: Place,
) -> Deferred<U> {
    let info = origin.info();
    let reg = if trace::on() { tell::added::<T, U, S>(info, at, name.as_deref(), false) } else { 0 };
    let link = Link::new(step, at, name, info, reg);
    info.last.set(Some(at));
    info.steps.set(info.steps.get() + 1);
    tail.attach(Next::Step(link.clone()));
    Deferred::from_parts(End::Tail(link), origin)
}

/// The end of a chain whose last step has just run.
fn rest<U: 'static>(mut outcome: Outcome<U>, origin: Origin) -> Deferred<U> {
    if let Some(core) = origin.core() {
        core.phase.set(Phase::Resting);
    }
    if trace::on() {
        tell::rests(origin.info(), &mut outcome);
    }
    Deferred::from_parts(End::Done(outcome), origin)
}

/// The end of a chain whose last step, run inside `add_*`, gave back `inner`.
fn settle<U: 'static>(inner: Deferred<U>, origin: Origin) -> Deferred<U> {
    let (chain, landing): (Rc<dyn Chain>, Rc<dyn Tail<U>>) = match origin {
        Origin::Chain(chain) => (chain, Landing::new()),
        Origin::Inline(info) => {
            if inner.has_result() {
                return settle_inline(inner, info);
            }
            let head = Head::new(info, Phase::Running);
            (head.clone(), head)
        }
    };
    match chain::wait_for(inner, landing.clone(), &chain) {
        None => Deferred::over(chain, landing),
        Some(outcome) => rest(outcome, Origin::Chain(chain)),
    }
}

/// Moves the result of `inner` out. No allocation.
fn settle_inline<U: 'static>(mut inner: Deferred<U>, info: Info) -> Deferred<U> {
    let Inner { end, origin, .. } = inner.take_inner();
    let outcome = match end {
        End::Done(outcome) => Some(outcome),
        End::Tail(tail) => tail.take(),
    };
    let outcome = outcome.expect("has_result was asked just before");
    let outcome = if trace::on() { tell::moved(&info, origin.info(), outcome, type_name::<U>()) } else { outcome };
    rest(outcome, Origin::Inline(info))
}

impl<T: 'static> Drop for Deferred<T> {
    fn drop(&mut self) {
        let Some(Inner { end, origin, .. }) = self.inner.take() else { return };
        let outcome = match end {
            End::Done(outcome) => Some(outcome),
            End::Tail(tail) => tail.take(),
        };
        if trace::on() {
            tell::dropped(origin.info(), outcome.is_none());
        }
        match outcome {
            Some(Ok(value)) => drop(value),
            Some(Err(failure)) => {
                let fired = origin.core().and_then(|core| core.fired.get());
                chain::lost(origin.info(), fired, failure);
            }
            None => {
                if let Some(core) = origin.core() {
                    core.detached.set(true);
                }
            }
        }
    }
}

/// The five facts: its name, whether it fired, what it waits for, its steps, and whether a step runs now. Its value is
/// shown as `ok` or as the failure's text.
impl<T: 'static> fmt::Debug for Deferred<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(inner) = &self.inner else {
            return f.write_str("<Deferred, consumed>");
        };
        let info = inner.origin.info();
        write!(f, "<Deferred<{}>", type_name::<T>())?;
        if let Some(name) = info.name() {
            write!(f, " \"{name}\"")?;
        }
        let phase = inner.origin.core().map_or(Phase::Resting, |core| core.phase.get());
        match phase {
            Phase::Unfired => write!(f, " not fired")?,
            Phase::Running => write!(f, " running")?,
            Phase::Waiting => match inner.origin.core().and_then(Core::waits_for) {
                Some(on) => {
                    write!(f, " paused on the Deferred made at {}", on.core().info.made)?;
                    if let Some(name) = on.core().info.name() {
                        write!(f, " \"{name}\"")?;
                    }
                }
                None => write!(f, " paused")?,
            },
            Phase::Resting => match &inner.end {
                End::Done(Err(failure)) => write!(f, " failed: {failure}")?,
                End::Done(Ok(_)) => write!(f, " ok")?,
                End::Tail(_) => write!(f, " fired")?,
            },
        }
        write!(f, ", {} steps, made {}>", info.steps.get(), info.made)
    }
}

/// Cancels a chain without having it in hand. Made by [`Deferred::cancel_handle`]; weak, cheap to clone.
#[derive(Clone, Default)]
pub struct CancelHandle {
    chain: Option<Weak<dyn Chain>>,
}

impl CancelHandle {
    /// Cancels the chain as [`Deferred::cancel`] does. Answers `false` when the chain is gone or has its result.
    #[track_caller]
    pub fn cancel(&self) -> bool {
        let Some(chain) = self.chain.as_ref().and_then(Weak::upgrade) else {
            return false;
        };
        let pending = matches!(chain.core().phase.get(), Phase::Unfired | Phase::Waiting);
        chain::cancel(chain, Location::caller());
        pending
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alive = self.chain.as_ref().is_some_and(|chain| chain.strong_count() > 0);
        write!(f, "<CancelHandle of a chain that {}>", if alive { "lives" } else { "is gone" })
    }
}
