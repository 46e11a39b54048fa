//! `Deferred`: a result that is not there yet, and the chain of callbacks that it will run through.
//!
//! The consuming end. Each `add_*` takes it and gives back the new end, so its type is always that of the chain's
//! last step. [`Resolver`](super::Resolver) is the other end. The machinery between them is `chain.rs`.

use super::cancel::cancel;
use super::chain::{self, Canceller, Chain, Head, Node, Tail};
use super::failure::Failure;
use super::info::{Info, Phase};
use super::jobs::Jobs;
use super::resolver::Resolver;
use super::step::{
    Both, Callback, CallbackResult, Callbacks, Errback, Map, Outcome, Returned, Step, StepSite, run,
};
use super::tell;
use super::trace::{self, Id, Place, Shows};
use std::any::{Any, TypeId, type_name};
use std::cell::Cell;
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
    pub(crate) end: End<T>,
}

/// Where the result is, or will be found, and which chain this is the end of.
pub(crate) enum End<T: 'static> {
    Done(Outcome<T>, Origin),
    Pending(Tail<T>, Rc<dyn Chain>),
    /// Taken by a method that consumes the Deferred.
    Consumed,
}

/// Which chain a result is the end of.
pub(crate) struct Origin {
    chain: Whole,
    /// Where the step before the result was added.
    last: Option<Place>,
}

/// One that was made with its result needs no allocation until it has to wait.
enum Whole {
    Inline(Info),
    Chain(Rc<dyn Chain>),
}

impl Origin {
    /// Of a result that rested at `tail`.
    pub(crate) fn of<T: 'static>(tail: &Tail<T>, chain: Rc<dyn Chain>) -> Origin {
        Origin { chain: Whole::Chain(chain), last: tail.part.at() }
    }

    pub(crate) fn info(&self) -> &Info {
        match &self.chain {
            Whole::Inline(info) => info,
            Whole::Chain(chain) => &chain.core().info,
        }
    }

    /// The end of `chain`, with what `last` added.
    pub(crate) fn end(chain: Rc<dyn Chain>, last: Option<Place>) -> Origin {
        Origin { chain: Whole::Chain(chain), last }
    }

    fn chain(&self) -> Option<&Rc<dyn Chain>> {
        match &self.chain {
            Whole::Inline(_) => None,
            Whole::Chain(chain) => Some(chain),
        }
    }

    /// A failure is lost here.
    pub(crate) fn lost(&self, failure: Failure) {
        let fired = self.chain().and_then(|chain| chain.core().fired.get());
        chain::lost(self.info(), fired, self.last, failure);
    }
}

impl<T: 'static> Deferred<T> {
    /// Makes a pair: the end that fires, and the end that the result comes out of. One allocation.
    #[track_caller]
    #[allow(clippy::new_ret_no_self)] // Two ends are the point; a Deferred alone could never fire.
    pub fn new() -> (Resolver<T>, Deferred<T>) {
        Deferred::new_at(Location::caller())
    }

    /// The same for a function that was asked for it at another place.
    #[inline]
    pub(crate) fn new_at(made: Place) -> (Resolver<T>, Deferred<T>) {
        Deferred::new_of(None, made)
    }

    /// The same for one that brings what another one brings.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn new_of(of: Option<Id>, made: Place) -> (Resolver<T>, Deferred<T>) {
        let head = Head::<T>::unfired(made);
        if trace::on() {
            tell::made(&head.part.info, type_name::<T>(), of);
        }
        let deferred = Deferred { end: End::Pending(head.clone(), head.clone()) };
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
        Deferred::with_canceller_at(Location::caller(), canceller)
    }

    /// The same for a function that was asked for it at another place.
    pub(crate) fn with_canceller_at(made: Place, canceller: impl FnOnce() + 'static) -> (Resolver<T>, Deferred<T>) {
        let (resolver, deferred) = Deferred::new_at(made);
        resolver.set_canceller(Rc::new(Canceller::new(canceller)));
        (resolver, deferred)
    }

    /// A Deferred that has its value. No allocation.
    ///
    /// ```
    /// use ropewalk::{Deferred, testing::success_of};
    /// use std::collections::HashMap;
    ///
    /// /// From the cache, or later from the network.
    /// fn fetch(cache: &HashMap<&str, String>, url: &str) -> Deferred<String> {
    ///     match cache.get(url) {
    ///         Some(page) => Deferred::succeed(page.clone()),
    ///         None => Deferred::new().1, // here the request would begin
    ///     }
    /// }
    ///
    /// let cache = HashMap::from([("/", "a page".to_owned())]);
    /// assert_eq!(success_of(fetch(&cache, "/")), "a page");
    /// ```
    #[track_caller]
    pub fn succeed(value: T) -> Deferred<T> {
        Deferred::done(Ok(value), Location::caller())
    }

    /// A Deferred that has failed.
    ///
    /// ```
    /// use ropewalk::{Deferred, Failure, testing::failure_of};
    ///
    /// let no_paper = Deferred::<()>::fail(Failure::msg("no paper"));
    /// assert_eq!(failure_of(no_paper).to_string(), "no paper");
    ///
    /// // Any error will do.
    /// let refused = Deferred::<()>::fail(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
    /// assert!(failure_of(refused).check::<std::io::Error>().is_some());
    /// ```
    #[track_caller]
    pub fn fail(failure: impl Into<Failure>) -> Deferred<T> {
        Deferred::done(Err(failure.into()), Location::caller())
    }

    /// A Deferred that has its result, value or failure.
    ///
    /// ```
    /// use ropewalk::{Deferred, Failure, testing::{failure_of, success_of}};
    ///
    /// let parsed = |text: &str| Deferred::from_result(text.parse::<i32>().map_err(Failure::from));
    /// assert_eq!(success_of(parsed("42")), 42);
    /// assert_eq!(failure_of(parsed("x")).to_string(), "invalid digit found in string");
    /// ```
    #[track_caller]
    pub fn from_result(result: Result<T, Failure>) -> Deferred<T> {
        Deferred::done(result, Location::caller())
    }

    pub(crate) fn done(mut outcome: Outcome<T>, made: Place) -> Deferred<T> {
        let info = Info::fired(made);
        if trace::on() {
            tell::made_fired(&info, &mut outcome);
        }
        Deferred { end: End::Done(outcome, Origin { chain: Whole::Inline(info), last: None }) }
    }

    /// Takes a Deferred apart.
    #[inline]
    pub(crate) fn into_end(mut self) -> End<T> {
        let end = std::mem::replace(&mut self.end, End::Consumed);
        std::mem::forget(self); // nothing is left in it to drop
        end
    }

    /// The chain's state, and for one that has nothing but its result, what it knows of itself.
    pub(super) fn origin(&self) -> (Option<&Rc<dyn Chain>>, Option<&Info>) {
        match &self.end {
            End::Done(_, origin) => (origin.chain(), Some(origin.info())),
            End::Pending(_, chain) => (Some(chain), Some(&chain.core().info)),
            End::Consumed => (None, None),
        }
    }

    /// Where its last step was added.
    pub(super) fn last_step(&self) -> Option<Place> {
        match &self.end {
            End::Done(_, origin) => origin.last,
            End::Pending(tail, _) => tail.part.at(),
            End::Consumed => None,
        }
    }

    /// The chain's state, unless it has nothing but its result.
    pub(crate) fn chain_state(&self) -> Option<&Rc<dyn Chain>> {
        self.origin().0
    }

    /// Gives the chain a name for reports and traces.
    ///
    /// ```
    /// use ropewalk::{Deferred, Failure, testing::capture_unhandled};
    ///
    /// let unhandled = capture_unhandled();
    /// drop(Deferred::<()>::fail(Failure::msg("no paper")).named("printer"));
    /// let [report] = &unhandled.flush_unhandled()[..] else { panic!("one error was lost") };
    /// assert!(report.to_string().starts_with("error lost in \"printer\": no paper"));
    /// ```
    #[track_caller]
    pub fn named(self, name: impl Into<Box<str>>) -> Deferred<T> {
        if let (_, Some(info)) = self.origin() {
            let name = Rc::from(name.into());
            if trace::on() {
                tell::named(info, &name, Location::caller());
            }
            info.set_name(name);
        }
        self
    }

    /// Says how the trace is to show values of type `T` that travel along this chain. Write it before the chain is fired.
    ///
    /// Numbers, texts and the other simple types need none; of every other type a trace shows the name. Of the text 80
    /// characters are shown, and control characters as escapes. Called only while somebody records.
    ///
    /// ```
    /// use ropewalk::{Deferred, trace::{self, Kind, Val}};
    ///
    /// struct Poem(Vec<String>);
    ///
    /// let (_, trace) = trace::record(|| {
    ///     let (resolver, poem) = Deferred::new();
    ///     let poem = poem.show(|poem: &Poem| format!("{} lines", poem.0.len()));
    ///     resolver.succeed(Poem(vec!["If I were".to_owned()]));
    ///     poem
    /// });
    /// let shown = |kind| matches!(kind, Kind::DFire { val: Val::Ok { text: "1 lines", .. }, .. });
    /// assert!(trace.events().any(|event| shown(event.kind)));
    /// ```
    pub fn show(self, show: impl Fn(&T) -> String + 'static) -> Deferred<T> {
        if let (_, Some(info)) = self.origin() {
            let show = move |value: &dyn Any| value.downcast_ref().map(&show).unwrap_or_default();
            info.set_show(Shows { of: TypeId::of::<T>(), show: Box::new(show) });
        }
        self
    }

    /// Gives a name to the step that is added next. Write it before the `add_*`: a step added to a chain that has its
    /// result runs inside the `add_*`.
    ///
    /// ```
    /// use ropewalk::trace::{self, Kind};
    /// use ropewalk::{Deferred, testing::success_of};
    ///
    /// let (_, trace) = trace::record(|| success_of(Deferred::succeed(6).step_named("times seven").map(|n| n * 7)));
    /// let step = trace.events().find(|event| matches!(event.kind, Kind::DStep { .. })).unwrap();
    /// assert_eq!(step.label, Some("times seven"));
    /// ```
    pub fn step_named(self, name: impl Into<Box<str>>) -> Deferred<T> {
        if let (_, Some(info)) = self.origin() {
            info.set_next_step_name(Rc::from(name.into()), false);
        }
        self
    }

    /// The same for a step that the library adds for itself: the trace marks it as no step of the program.
    pub(crate) fn own_step(self, name: &str) -> Deferred<T> {
        if let (_, Some(info)) = self.origin() {
            info.set_next_step_name(Rc::from(name), true);
        }
        self
    }

    /// Adds a step for the value. A failure passes by.
    ///
    /// At most one allocation; none where the result is there and the step gives back a result.
    ///
    /// What it gives back may be a `Result`, whose `?` leads into the errbacks' lane, or a Deferred, which is waited for.
    ///
    /// ```
    /// use ropewalk::{Deferred, testing::{failure_of, success_of}};
    ///
    /// let (resolver, name) = Deferred::new();
    /// let greeting = name
    ///     .add_callback(|name: &str| Ok(name.len()))
    ///     .add_callback(|length| Deferred::succeed(format!("{length} letters")));
    /// resolver.succeed("Ada");
    /// assert_eq!(success_of(greeting), "3 letters");
    ///
    /// let number = Deferred::succeed("x").add_callback(|text| Ok(text.parse::<i32>()?));
    /// assert_eq!(failure_of(number).to_string(), "invalid digit found in string");
    /// ```
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
    ///
    /// ```
    /// use ropewalk::{Deferred, Failure, testing::{failure_of, success_of}};
    ///
    /// let stale = Deferred::fail(Failure::msg("no network")).add_errback(|_| Ok("the page of yesterday"));
    /// assert_eq!(success_of(stale), "the page of yesterday");
    ///
    /// let told = Deferred::<()>::fail(Failure::msg("no network"))
    ///     .add_errback(|failure| Err(Failure::msg(format!("cannot fetch: {failure}"))));
    /// assert_eq!(failure_of(told).to_string(), "cannot fetch: no network");
    /// ```
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
    ///
    /// ```
    /// use ropewalk::{Deferred, Failure, testing::{failure_of, success_of}};
    ///
    /// let say = |found: Deferred<u32>| {
    ///     found.add_callbacks(
    ///         |n| match n {
    ///             0 => Err(Failure::msg("an empty list")),
    ///             n => Ok(format!("{n} poems")),
    ///         },
    ///         |failure| Ok(format!("no list: {failure}")),
    ///     )
    /// };
    /// assert_eq!(success_of(say(Deferred::succeed(3))), "3 poems");
    /// assert_eq!(success_of(say(Deferred::fail(Failure::msg("no network")))), "no list: no network");
    /// assert_eq!(failure_of(say(Deferred::succeed(0))).to_string(), "an empty list");
    /// ```
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
    ///
    /// Python's `finally`, when it gives the result back as it is:
    ///
    /// ```
    /// use ropewalk::{Deferred, Failure, testing::failure_of};
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// let closed = Rc::new(Cell::new(false));
    /// let close = closed.clone();
    /// let page = Deferred::<String>::fail(Failure::msg("no network")).add_both(move |result| {
    ///     close.set(true);
    ///     result
    /// });
    /// assert!(closed.get());
    /// assert_eq!(failure_of(page).to_string(), "no network");
    /// ```
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

    #[inline]
    pub(crate) fn add<U: 'static, S: Step<T, U>>(self, step: S, at: Place) -> Deferred<U> {
        let (outcome, origin) = match self.into_end() {
            End::Pending(tail, chain) => {
                let info = &chain.core().info;
                // Asked first, since most have no result, and looking into the slot moves all that lies there.
                let outcome = if info.phase.get() == Phase::Resting { tail.take() } else { None };
                match outcome {
                    None => {
                        let tail = chain::append(&*tail, &chain, info, step, at);
                        return Deferred { end: End::Pending(tail, chain) };
                    }
                    Some(outcome) => (outcome, Origin::of(&tail, chain)),
                }
            }
            End::Done(outcome, origin) => (outcome, origin),
            End::Consumed => return Deferred { end: End::Consumed }, // nobody holds a consumed Deferred
        };
        run_now(outcome, origin, step, at)
    }

    /// Cancels: the innermost Deferred that the chain waits for is asked.
    ///
    /// * Not fired: the canceller is called; if there is none, or it does not fire, the chain fails with
    ///   [`CancelledError`](crate::CancelledError), and a result that the `Resolver` is given later is swallowed.
    /// * Waiting for another Deferred: that one is cancelled, and its failure comes back along this chain.
    /// * Fired, also while a step runs: nothing happens.
    ///
    /// ```
    /// use ropewalk::{CancelledError, Deferred, testing::failure_of};
    ///
    /// let (resolver, page) = Deferred::<String>::new();
    /// let length = page.map(|page| page.len());
    /// length.cancel();
    /// assert!(resolver.is_cancelled()); // whoever works at it can stop
    /// resolver.succeed("too late".to_owned()); // swallowed
    /// assert!(failure_of(length).check::<CancelledError>().is_some());
    /// ```
    #[track_caller]
    pub fn cancel(&self) {
        if let (Some(chain), _) = self.origin() {
            let at = Location::caller();
            Jobs::all(|jobs| cancel(chain.clone(), at, jobs));
        }
    }

    /// A handle that can cancel this chain without having it in hand: for a Stop button, a time-out, a list.
    ///
    /// It is weak: it keeps nothing alive, and does nothing once the chain is gone.
    ///
    /// ```
    /// use ropewalk::{CancelledError, Deferred, testing::failure_of};
    ///
    /// let (_resolver, page) = Deferred::<String>::new();
    /// let stop_button = page.cancel_handle();
    /// let length = page.map(|page| page.len()); // the chain goes on elsewhere
    /// assert!(stop_button.cancel());
    /// assert!(failure_of(length).check::<CancelledError>().is_some());
    /// assert!(!stop_button.cancel()); // the chain is gone
    /// ```
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle { chain: self.origin().0.map(Rc::downgrade) }
    }

    /// Lets the chain run on by itself. The same as dropping it, said aloud.
    ///
    /// ```
    /// use ropewalk::Deferred;
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// let seen = Rc::new(Cell::new(0));
    /// let sink = seen.clone();
    /// let (resolver, number) = Deferred::new();
    /// number.map(move |n| sink.set(n)).detach();
    /// resolver.succeed(42);
    /// assert_eq!(seen.get(), 42);
    /// ```
    pub fn detach(self) {}

    /// Whether the result is there: the chain was fired, all its steps have run, and it waits for nothing.
    ///
    /// ```
    /// use ropewalk::Deferred;
    ///
    /// let (resolver, page) = Deferred::new();
    /// let (translator, translated) = Deferred::<String>::new();
    /// let page = page.add_callback(move |_: String| translated);
    /// resolver.succeed("a page".to_owned());
    /// assert!(!page.has_result()); // it was fired, and waits for the translation
    /// translator.succeed("une page".to_owned());
    /// assert!(page.has_result());
    /// ```
    pub fn has_result(&self) -> bool {
        match &self.end {
            End::Done(..) => true,
            End::Pending(tail, _) => match tail.take() {
                Some(outcome) => {
                    tail.put(outcome);
                    true
                }
                None => false,
            },
            End::Consumed => false,
        }
    }

    /// Takes the result, if it is there. The failure counts as handled.
    ///
    /// # Errors
    ///
    /// The Deferred itself, unchanged, when there is no result yet.
    ///
    /// ```
    /// use ropewalk::Deferred;
    ///
    /// let (resolver, page) = Deferred::new();
    /// let page = page.try_result().expect_err("nobody has fired it");
    /// resolver.succeed("a page");
    /// assert_eq!(page.try_result().expect("it was fired").ok(), Some("a page"));
    /// ```
    pub fn try_result(self) -> Result<Result<T, Failure>, Deferred<T>> {
        let (outcome, origin) = match self.into_end() {
            End::Done(outcome, origin) => (outcome, origin),
            End::Pending(tail, chain) => match tail.take() {
                Some(outcome) => (outcome, Origin::of(&tail, chain)),
                None => return Err(Deferred { end: End::Pending(tail, chain) }),
            },
            End::Consumed => return Err(Deferred { end: End::Consumed }),
        };
        if trace::on() {
            tell::taken(origin.info(), type_name::<T>());
        }
        Ok(outcome)
    }

    /// Where it was made.
    ///
    /// ```
    /// use ropewalk::Deferred;
    ///
    /// let (d, line) = (Deferred::succeed(1), line!());
    /// assert_eq!((d.made().file(), d.made().line()), (file!(), line));
    /// ```
    pub fn made(&self) -> Place {
        match self.origin() {
            (_, Some(info)) => info.made(),
            // Nobody holds a consumed Deferred; any place serves.
            (_, None) => Location::caller(),
        }
    }

    /// Its id in the current recording; `None` when nothing records.
    pub(crate) fn id(&self) -> Option<Id> {
        tell::chain_id(self.origin().1?, type_name::<T>(), true)
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

/// Runs a step on a result that has come.
#[inline(never)] // keeps `add` small, which is compiled into every caller
fn run_now<T: 'static, U: 'static, S: Step<T, U>>(
    outcome: Outcome<T>,
    mut origin: Origin,
    step: S,
    at: Place,
) -> Deferred<U> {
    origin.last = Some(at);
    let info = origin.info();
    // A cancel from inside the step finds that a step runs.
    info.phase.set(Phase::Running);
    let site = StepSite { n: Cell::new(info.next_step()), at: Cell::new(at), reg: Cell::new(0) };
    let returned = if trace::on() {
        site.reg.set(tell::added(info, &site, true, type_name::<T>(), S::shape()));
        tell::step(info, &site, step, outcome)
    } else {
        run(step, outcome, &site, info)
    };
    match returned {
        Returned::Now(outcome) => rest(outcome, origin),
        Returned::Later(inner) => settle(inner, origin, at),
    }
}

/// The end of a chain whose last step has just run.
fn rest<U: 'static>(mut outcome: Outcome<U>, origin: Origin) -> Deferred<U> {
    origin.info().phase.set(Phase::Resting);
    if trace::on() {
        tell::rests(origin.info(), &mut outcome);
    }
    Deferred { end: End::Done(outcome, origin) }
}

/// The end of a chain whose last step, run inside `add_*`, gave back `inner`.
fn settle<U: 'static>(inner: Deferred<U>, origin: Origin, at: Place) -> Deferred<U> {
    let inner = match chain::collect(origin.info(), inner) {
        Ok(outcome) => return rest(outcome, origin),
        Err(None) => return Deferred { end: End::Consumed },
        Err(Some(inner)) => inner,
    };
    // Only now it needs places to wait in.
    let chain: Rc<dyn Chain> = match origin.chain {
        Whole::Chain(chain) => chain,
        Whole::Inline(info) => Head::<U>::of(info),
    };
    let tail = Node::landing(at);
    match chain::wait_for(inner, tail.clone(), &chain) {
        None => Deferred { end: End::Pending(tail, chain) },
        Some(outcome) => rest(outcome, Origin { chain: Whole::Chain(chain), last: Some(at) }),
    }
}

impl<T: 'static> Drop for Deferred<T> {
    #[inline]
    fn drop(&mut self) {
        if !matches!(self.end, End::Consumed) {
            let_go(std::mem::replace(&mut self.end, End::Consumed));
        }
    }
}

fn let_go<T: 'static>(end: End<T>) {
    let (outcome, origin) = match end {
        End::Consumed => return,
        End::Done(outcome, origin) => (Some(outcome), origin),
        End::Pending(tail, chain) => (tail.take(), Origin::of(&tail, chain)),
    };
    if outcome.is_none() {
        origin.info().detached.set(true);
    }
    // Told when it is true: a recorder may fire the chain.
    if trace::on() {
        tell::dropped(origin.info(), outcome.is_none());
    }
    match outcome {
        Some(Ok(value)) => drop(value),
        Some(Err(failure)) => origin.lost(failure),
        None => {
            if origin.info().phase.get() == Phase::Unfired
                && let Whole::Chain(chain) = &origin.chain
                && let Some(ask) = chain.core().asks()
            {
                ask.detached();
            }
        }
    }
}

/// A chain's name, and where it was made.
pub(crate) type Who = (Option<Box<str>>, Place);

/// Cancels a chain without having it in hand. Made by [`Deferred::cancel_handle`]; weak, cheap to clone.
///
/// ```
/// use ropewalk::{Deferred, testing::success_of};
///
/// let (resolver, poem) = Deferred::<&str>::new();
/// let stop_button = poem.cancel_handle();
/// let shown = poem.add_errback(|_| Ok("cancelled"));
/// assert!(stop_button.cancel());
/// assert!(resolver.is_cancelled());
/// assert_eq!(success_of(shown), "cancelled");
/// ```
#[derive(Clone, Default)]
pub struct CancelHandle {
    chain: Option<Weak<dyn Chain>>,
}

impl CancelHandle {
    /// Cancels the chain as [`Deferred::cancel`] does. Answers `false` when the chain is gone or has its result.
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.cancel_at(Location::caller())
    }

    /// The same for somebody else: `at` is the line of the program that asked for it.
    pub(crate) fn cancel_at(&self, at: Place) -> bool {
        let Some(chain) = self.chain.as_ref().and_then(Weak::upgrade) else {
            return false;
        };
        let pending = matches!(chain.core().info.phase.get(), Phase::Unfired | Phase::Waiting);
        Jobs::all(|jobs| cancel(chain, at, jobs));
        pending
    }

    /// The chain, and the innermost one that it waits for, as far as they live.
    pub(crate) fn who(&self) -> Option<(Who, Option<Who>)> {
        let chain = self.chain.as_ref()?.upgrade()?;
        let mut innermost = chain.core().waits_for();
        while let Some(next) = innermost.as_ref().and_then(|inner| inner.core().waits_for()) {
            innermost = Some(next);
        }
        let name = |chain: &Rc<dyn Chain>| chain.core().info.name().map(|name| Box::from(&*name));
        let who = |chain: &Rc<dyn Chain>| (name(chain), chain.core().info.made());
        Some((who(&chain), innermost.as_ref().map(who)))
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alive = self.chain.as_ref().is_some_and(|chain| chain.strong_count() > 0);
        write!(f, "<CancelHandle of a chain that {}>", if alive { "lives" } else { "is gone" })
    }
}
