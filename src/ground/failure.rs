//! `Failure`: an error on its way along a chain, with the places it came from.
//!
//! It holds the error itself (boxed, `Send + Sync`), the line where it was raised, and the lines of the steps that had
//! no errback and were passed by. Like `anyhow::Error` it converts from every error and is none itself: that is what
//! lets `?` work in callbacks.

use super::payload::Payload;
use super::several;
use super::trace::{IdSlot, Lane, Place, Via};
use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::panic::Location;

/// How many passed-by places a failure keeps; later ones are only counted.
const TRAIL: usize = 8;

/// How many sources of an error are written: more are no help to a person, and lists in lists may have a million.
const SOURCES: usize = 16;

/// An error on its way along a chain of callbacks: the error, where it was raised, and which steps it passed by.
///
/// Made by `?` from any `Error + Send + Sync + 'static`, by [`Failure::msg`] from a text, and by the library for
/// panics, cancels and abandoned Deferreds. It takes one allocation beside the error's own box, and is one pointer
/// wide. It is `Send`, so that it can come from another thread.
///
/// ```
/// use ropewalk::{Deferred, Failure};
///
/// fn parse(text: &str) -> Result<i32, Failure> {
///     Ok(text.parse()?) // this line is remembered
/// }
///
/// let failure = parse("x").unwrap_err();
/// assert!(failure.check::<std::num::ParseIntError>().is_some());
/// assert_eq!(failure.to_string(), "invalid digit found in string");
/// assert!(failure.raised().file().ends_with(".rs"));
/// # Deferred::<i32>::fail(failure).add_errback(|_| Ok(0));
/// ```
pub struct Failure(Box<Inner>);

struct Inner {
    error: Payload,
    raised: Place,
    via: Via,
    crossed: u32,
    trail: [Option<Place>; TRAIL],
    id: IdSlot,
    birth: Birth,
    /// The name of the error's type, where it came by `?`.
    ty: &'static str,
}

/// In which step a failure was raised.
#[derive(Clone)]
enum Birth {
    /// It has not met a chain yet.
    Unknown,
    /// It came into its first chain from outside.
    Outside,
    Step(RaisedIn),
}

/// The step that raised a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RaisedIn {
    /// Where the step's Deferred was made.
    pub(crate) made: Place,
    pub(crate) n: u32,
    pub(crate) lane: Lane,
    /// The name that the program or the compiler gave to the step.
    pub(crate) name: Cow<'static, str>,
}

impl Failure {
    fn new(error: Box<dyn Error + Send + Sync>, raised: Place, via: Via) -> Failure {
        Failure(Box::new(Inner {
            error: Payload::Own(error),
            raised,
            via,
            crossed: 0,
            trail: [None; TRAIL],
            id: IdSlot::default(),
            birth: Birth::Unknown,
            ty: "",
        }))
    }

    /// The name of the error's type, if it is known.
    pub(crate) fn type_name(&self) -> &'static str {
        self.0.ty
    }

    /// A failure that says `message`.
    ///
    /// ```
    /// # use ropewalk::Failure;
    /// assert_eq!(Failure::msg("engine down").to_string(), "engine down");
    /// ```
    #[track_caller]
    pub fn msg(message: impl fmt::Display) -> Failure {
        Failure::new(message.to_string().into(), Location::caller(), Via::Err)
    }

    /// A failure that was raised for somebody else: `at` is the line of the program that asked for it.
    pub(crate) fn raised_at(error: impl Error + Send + Sync + 'static, at: Place) -> Failure {
        Failure::new(Box::new(error), at, Via::Err)
    }

    /// The same, where the error is that something took too long.
    pub(crate) fn timed_out_at(error: impl Error + Send + Sync + 'static, at: Place) -> Failure {
        Failure::new(Box::new(error), at, Via::Timeout)
    }

    /// It comes from another thread. What is known better (a panic, a cancel) stays.
    pub(crate) fn of_thread(mut self) -> Failure {
        if self.0.via == Via::Err {
            self.0.via = Via::Thread;
        }
        self
    }

    /// The failure of a Deferred that was cancelled: its error is a [`CancelledError`].
    #[track_caller]
    pub fn cancelled() -> Failure {
        Failure::cancelled_at(Location::caller())
    }

    /// The same, for a cancel that was asked for at `at`.
    pub(crate) fn cancelled_at(at: Place) -> Failure {
        Failure::new(Box::new(CancelledError(())), at, Via::Cancel)
    }

    /// The failure of a Deferred whose `Resolver`, made at `made`, was dropped unfired: its error is an
    /// [`AbandonedError`].
    pub(crate) fn abandoned(made: Place) -> Failure {
        Failure::new(Box::new(AbandonedError { made }), made, Via::Abandoned)
    }

    /// The failure of a panic in code that was registered at `registered`: its error is a [`PanicError`].
    pub(crate) fn panic(payload: Box<dyn Any + Send>, registered: Place) -> Failure {
        let error = PanicError { message: panic_message(&*payload), registered };
        // The payload is the user's value: its drop may panic as well, which would take the caller with it.
        if let Err(second) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(payload))) {
            std::mem::forget(second);
        }
        Failure::new(Box::new(error), registered, Via::Panic)
    }

    /// The error as an `E`, if it is one.
    pub fn check<E: Error + 'static>(&self) -> Option<&E> {
        self.0.error.get().downcast_ref()
    }

    pub(super) fn check_mut<E: Error + 'static>(&mut self) -> Option<&mut E> {
        self.0.error.get_mut()?.downcast_mut()
    }

    /// The error or the nearest of its sources that is an `E`.
    ///
    /// ```
    /// use ropewalk::{Deferred, gather_results, testing::failure_of};
    ///
    /// let numbers = ["1", "x"].map(|text| Deferred::succeed(text).add_callback(|text| Ok(text.parse::<i32>()?)));
    /// let failure = failure_of(gather_results(numbers));
    /// assert!(failure.check::<std::num::ParseIntError>().is_none()); // it is a `FirstError`
    /// assert!(failure.find::<std::num::ParseIntError>().is_some());
    /// ```
    pub fn find<E: Error + 'static>(&self) -> Option<&E> {
        self.check().or_else(|| self.sources().find_map(|error| error.downcast_ref()))
    }

    /// What the error was caused by, and what that was caused by, and so on, as the errors themselves tell it.
    ///
    /// ```
    /// use ropewalk::{EventLoop, fs};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let failure = event_loop.run_until(fs::read(&event_loop, "no/such/poem")).unwrap_err();
    /// let sources: Vec<_> = failure.sources().collect();
    /// assert_eq!(sources.len(), 1);
    /// assert!(sources[0].is::<std::io::Error>()); // what the system said
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn sources(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        std::iter::successors(self.error().source(), |&error| error.source())
    }

    /// Makes a second failure with the same error: for two who shall both see it.
    ///
    /// Both have the place where it was raised and the steps it has passed by so far. [`check`](Failure::check) and
    /// [`trap`](Failure::trap) work on both; [`downcast`](Failure::downcast) only on the last one that is left.
    ///
    /// ```
    /// # use ropewalk::Failure;
    /// let mut failure = Failure::msg("engine down");
    /// let second = failure.share();
    /// assert_eq!(failure.to_string(), second.to_string());
    /// ```
    pub fn share(&mut self) -> Failure {
        let inner = &mut *self.0;
        Failure(Box::new(Inner {
            error: inner.error.share(),
            raised: inner.raised,
            via: inner.via,
            crossed: inner.crossed,
            trail: inner.trail,
            id: IdSlot::default(),
            birth: inner.birth.clone(),
            ty: inner.ty,
        }))
    }

    /// Goes on with this failure if its error is an `E`; else gives it back as `Err`, so that `?` passes it on.
    ///
    /// Twisted's `Failure.trap`.
    ///
    /// ```
    /// use ropewalk::{CancelledError, Deferred, Failure};
    ///
    /// let d = Deferred::<i32>::fail(Failure::cancelled()).add_errback(|failure| {
    ///     failure.trap::<CancelledError>()?; // other errors go on along the errbacks' lane
    ///     Ok(0)
    /// });
    /// assert_eq!(ropewalk::testing::success_of(d), 0);
    /// ```
    ///
    /// # Errors
    ///
    /// The failure itself, unchanged, when its error is no `E`.
    pub fn trap<E: Error + 'static>(self) -> Result<Failure, Failure> {
        if self.check::<E>().is_some() { Ok(self) } else { Err(self) }
    }

    /// The error by value.
    ///
    /// # Errors
    ///
    /// The failure itself, unchanged, when its error is no `E`, or when it is [shared](Failure::share) with another
    /// failure.
    ///
    /// ```
    /// use ropewalk::Failure;
    /// use std::num::ParseIntError;
    ///
    /// let failure = Failure::from("x".parse::<i32>().unwrap_err());
    /// let failure = failure.downcast::<std::io::Error>().expect_err("it is another error");
    /// let error: ParseIntError = failure.downcast().expect("it is this one");
    /// assert_eq!(error.to_string(), "invalid digit found in string");
    /// ```
    pub fn downcast<E: Error + 'static>(mut self) -> Result<E, Failure> {
        if self.check::<E>().is_none() {
            return Err(self);
        }
        let inner = *self.0;
        match inner.error.into_own() {
            Ok(error) => Ok(*error.downcast().expect("it was looked at just now")),
            Err(error) => {
                self.0 = Box::new(Inner { error, ..inner });
                Err(self)
            }
        }
    }

    /// The error.
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self.0.error.get()
    }

    /// Where it was raised: the line of the `?`, of [`Failure::msg`], or of the step that panicked.
    pub fn raised(&self) -> Place {
        self.0.raised
    }

    /// How it came to be.
    ///
    /// ```
    /// use ropewalk::trace::Via;
    /// use ropewalk::{Deferred, Failure, testing::failure_of};
    ///
    /// assert_eq!(Failure::cancelled().via(), Via::Cancel);
    /// let (resolver, page) = Deferred::<()>::new();
    /// drop(resolver);
    /// assert_eq!(failure_of(page).via(), Via::Abandoned);
    /// ```
    pub fn via(&self) -> Via {
        self.0.via
    }

    /// The places of the steps that had no errback for it, in order; at most the first 8 of them.
    ///
    /// ```
    /// use ropewalk::{Deferred, Failure, testing::failure_of};
    ///
    /// let page = Deferred::<i32>::fail(Failure::msg("no network"));
    /// let doubled = page.map(|n| n * 2).map(|n| n + 1);
    /// let failure = failure_of(doubled);
    /// assert_eq!(failure.crossed_count(), 2);
    /// assert!(failure.crossed().all(|place| place.file() == file!())); // the lines of the two `map`
    /// ```
    pub fn crossed(&self) -> impl Iterator<Item = Place> + '_ {
        self.0.trail.iter().map_while(|place| *place)
    }

    /// How many steps had no errback for it.
    pub fn crossed_count(&self) -> u32 {
        self.0.crossed
    }

    pub(crate) fn cross(&mut self, at: Place) {
        if let Some(free) = self.0.trail.get_mut(self.0.crossed as usize) {
            *free = Some(at);
        }
        self.0.crossed = self.0.crossed.saturating_add(1);
    }

    /// It comes into a step: whatever comes out of this step did not raise it.
    pub(crate) fn came_in(&mut self) {
        if let Birth::Unknown = self.0.birth {
            self.0.birth = Birth::Outside;
        }
    }

    /// It comes out of a step. One that has met no step before was raised in this one.
    pub(crate) fn came_out(&mut self, step: impl FnOnce() -> RaisedIn) {
        if let Birth::Unknown = self.0.birth {
            self.0.birth = Birth::Step(step());
        }
    }

    /// The step that raised it, if one did.
    pub(crate) fn raised_in(&self) -> Option<&RaisedIn> {
        match &self.0.birth {
            Birth::Step(step) => Some(step),
            Birth::Unknown | Birth::Outside => None,
        }
    }

    pub(crate) fn id_slot(&mut self) -> &std::cell::Cell<IdSlot> {
        std::cell::Cell::from_mut(&mut self.0.id)
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Failure {
        let mut failure = Failure::new(Box::new(error), Location::caller(), Via::Err);
        failure.0.ty = std::any::type_name::<E>();
        failure
    }
}

impl From<Failure> for Box<dyn Error + Send + Sync> {
    fn from(failure: Failure) -> Self {
        failure.0.error.into_box()
    }
}

impl From<Failure> for Box<dyn Error> {
    fn from(failure: Failure) -> Self {
        failure.0.error.into_box()
    }
}

/// The error's own text. With `{:#}` the texts of its sources follow (at most 16), separated by `: `. A source that the one
/// before has said is not said again: many errors name their cause themselves, at the end or before `(3 times)`.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return write!(f, "{}", self.error());
        }
        let mut said = self.error().to_string();
        f.write_str(&said)?;
        for error in self.sources().take(SOURCES) {
            let text = error.to_string();
            let is_said = said.ends_with(&text)
                || [": ", "; "].iter().any(|before| said.contains(&format!("{before}{text}")));
            if !is_said {
                write!(f, ": {text}")?;
            }
            said = text;
        }
        if self.sources().nth(SOURCES).is_some() {
            f.write_str(": ..")?;
        }
        Ok(())
    }
}

/// The error, the place where it was raised, its sources, the steps it passed by, and the failures that it is made of:
/// a report for a person.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#}\n  raised     {}", self.0.raised)?;
        for place in self.crossed() {
            write!(f, "\n  passed by  {place}")?;
        }
        let kept = self.crossed().count() as u32;
        if self.0.crossed > kept {
            write!(f, "\n  and        {} more steps", self.0.crossed - kept)?;
        }
        for (index, part) in several::parts(self) {
            write!(f, "\n  member {index:<3} {part:#}, raised {}", part.raised())?;
        }
        Ok(())
    }
}

/// The Deferred was cancelled, and its canceller (if it has one) did not fire it.
///
/// ```
/// use ropewalk::{CancelledError, Deferred, testing::failure_of};
///
/// let (_resolver, poem) = Deferred::<()>::new();
/// poem.cancel();
/// assert!(failure_of(poem).check::<CancelledError>().is_some());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelledError(());

impl fmt::Display for CancelledError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the Deferred was cancelled")
    }
}

impl Error for CancelledError {}

/// The `Resolver` was dropped without firing: the result can never come.
///
/// ```
/// use ropewalk::{AbandonedError, Deferred, testing::failure_of};
///
/// let (resolver, poem) = Deferred::<()>::new();
/// drop(resolver);
/// assert!(failure_of(poem).check::<AbandonedError>().is_some());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbandonedError {
    made: Place,
}

impl AbandonedError {
    /// Where the Deferred and its `Resolver` were made.
    pub fn made(&self) -> Place {
        self.made
    }
}

impl fmt::Display for AbandonedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "abandoned: the Resolver made at {} was dropped without firing", self.made)
    }
}

impl Error for AbandonedError {}

/// A callback panicked.
///
/// ```
/// use ropewalk::{Deferred, PanicError, testing::failure_of};
///
/// # std::panic::set_hook(Box::new(|_| ()));
/// let broken = Deferred::succeed(0).add_callback(|n| Ok(1 / n));
/// let failure = failure_of(broken);
/// assert_eq!(failure.check::<PanicError>().unwrap().message(), "attempt to divide by zero");
/// # drop(std::panic::take_hook());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PanicError {
    message: String,
    registered: Place,
}

impl PanicError {
    /// The panic's message, if it was a text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where the callback that panicked was registered.
    pub fn registered(&self) -> Place {
        self.registered
    }
}

impl fmt::Display for PanicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {} (registered at {})", self.message, self.registered)
    }
}

impl Error for PanicError {}

/// The text of a panic's payload.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a value that is no text".to_owned()
    }
}
