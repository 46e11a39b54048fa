//! `DeferredList`: one Deferred for the results of many. `gather_results`: for their values.

use super::group::{AllResults, AllValues, FirstValue, Goal, Options, group};
use super::members::Members;
use crate::ground::Deferred;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;

/// Many Deferreds on their way to become one: Twisted's `DeferredList`, with its options.
///
/// [`start`](DeferredList::start) makes the Deferred. It fires when the last member has its result, with one
/// `Result` for each, in the order of the members, however they end. The members belong to the list from then on.
///
/// * A failure in the list's result is handled: look at it there. One that comes after the list has fired is reported
///   like any failure that nobody handled, unless [`consume_errors`](DeferredList::consume_errors) is set, or the list
///   was cancelled and this is what came of it.
/// * Cancelling the list cancels each member that has no result yet, in order. The list fires when they have answered.
/// * An empty list fires at once.
///
/// Members may be lists. Any depth, and any number of members, takes no stack.
///
/// # Examples
///
/// ```
/// use ropewalk::{Deferred, DeferredList, Failure, testing::success_of};
///
/// let pages = vec![Deferred::succeed("a page"), Deferred::fail(Failure::msg("not found"))];
/// let results = success_of(DeferredList::new(pages).start());
/// assert_eq!(results[0].as_ref().unwrap(), &"a page");
/// assert_eq!(results[1].as_ref().unwrap_err().to_string(), "not found");
/// ```
///
/// Members of different types make a tuple:
///
/// ```
/// use ropewalk::{Deferred, DeferredList, testing::success_of};
///
/// let (resolver, age) = Deferred::new();
/// let both = DeferredList::new((Deferred::succeed("Ada"), age)).start();
/// resolver.succeed(36);
/// let (name, age) = success_of(both);
/// assert_eq!((name?, age?), ("Ada", 36));
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[must_use = "a list does nothing until `start` makes a Deferred of it"]
pub struct DeferredList<M, G = AllResults> {
    members: M,
    options: Options,
    goal: PhantomData<fn() -> G>,
}

impl<M: Members> DeferredList<M> {
    /// A list of these members, with no option set. See [`Members`] for what they may be.
    pub fn new(members: M) -> DeferredList<M> {
        DeferredList { members, options: Options::default(), goal: PhantomData }
    }

    /// Fire at the first value as well, with [`FirstOrAll::First`]. The other members run on.
    ///
    /// If all members fail, the list fires with [`FirstOrAll::All`]. An empty list with this option never fires, as in
    /// Twisted. Failures that came before the first value are reported, unless
    /// [`consume_errors`](DeferredList::consume_errors) is set.
    ///
    /// ```
    /// use ropewalk::{Deferred, DeferredList, FirstOrAll, testing::success_of};
    ///
    /// let (_slow, never) = Deferred::new();
    /// let list = DeferredList::new(vec![never, Deferred::succeed("mirror 2")]).fire_on_one_callback().start();
    /// match success_of(list) {
    ///     FirstOrAll::First((index, page)) => assert_eq!((index, page), (1, "mirror 2")),
    ///     FirstOrAll::All(results) => panic!("all {} failed", results.len()),
    /// }
    /// # ropewalk::set_unhandled_hook(Some(std::rc::Rc::new(|_| ())));
    /// ```
    pub fn fire_on_one_callback(self) -> DeferredList<M, FirstValue> {
        DeferredList { members: self.members, options: self.options, goal: PhantomData }
    }

    /// Makes a Deferred of the values alone: it fails at the first failure, as [`gather_results`] does.
    ///
    /// ```
    /// use ropewalk::{Deferred, DeferredList, testing::success_of};
    ///
    /// let list = DeferredList::new((Deferred::succeed("Ada"), Deferred::succeed(36)));
    /// let (name, age) = success_of(list.cancel_others().gather());
    /// assert_eq!((name, age), ("Ada", 36));
    /// ```
    #[track_caller]
    pub fn gather(self) -> Deferred<M::Values> {
        let options = Options { fire_on_one_errback: true, ..self.options };
        group::<M, AllValues>(self.members, options, Location::caller())
    }
}

impl<M: Members, G: Goal<M::Slots>> DeferredList<M, G> {
    /// Fail at the first failure as well, with [`FirstError`](crate::FirstError). The other members run on.
    ///
    /// ```
    /// use ropewalk::{Deferred, DeferredList, Failure, FirstError, testing::failure_of};
    ///
    /// let (_slow, page) = Deferred::<&str>::new();
    /// let broken = Deferred::fail(Failure::msg("no network"));
    /// let failure = failure_of(DeferredList::new([page, broken]).fire_on_one_errback().start());
    /// assert_eq!(failure.check::<FirstError>().unwrap().index(), 1);
    /// # ropewalk::set_unhandled_hook(Some(std::rc::Rc::new(|_| ())));
    /// ```
    pub fn fire_on_one_errback(mut self) -> DeferredList<M, G> {
        self.options.fire_on_one_errback = true;
        self
    }

    /// When the list fires before all members have their result, cancel those that have none, in order, and then fire. For
    /// use with [`fire_on_one_errback`](DeferredList::fire_on_one_errback), [`gather`](DeferredList::gather) or
    /// [`fire_on_one_callback`](DeferredList::fire_on_one_callback); Twisted has it in `race` alone.
    ///
    /// The `CancelledError`s that come of it are not reported.
    ///
    /// ```
    /// use ropewalk::{Deferred, DeferredList, Failure, FirstError, testing::failure_of};
    ///
    /// let (slow, page) = Deferred::<&str>::new();
    /// let (broken, other) = Deferred::<&str>::new();
    /// let pages = DeferredList::new([page, other]).cancel_others().gather();
    /// broken.fail(Failure::msg("no network"));
    /// assert!(slow.is_cancelled());
    /// assert_eq!(failure_of(pages).check::<FirstError>().unwrap().index(), 1);
    /// ```
    pub fn cancel_others(mut self) -> DeferredList<M, G> {
        self.options.cancel_others = true;
        self
    }

    /// Say nothing of failures that the list's result does not hold, because they came too late for it.
    ///
    /// ```
    /// use ropewalk::{Deferred, DeferredList, Failure, testing::{capture_unhandled, failure_of}};
    ///
    /// let unhandled = capture_unhandled();
    /// let (slow, page) = Deferred::<&str>::new();
    /// let broken = Deferred::fail(Failure::msg("no network"));
    /// failure_of(DeferredList::new([broken, page]).consume_errors().gather());
    /// slow.fail(Failure::msg("no network either")); // the list has fired: it has no place for this one
    /// assert!(unhandled.flush_unhandled().is_empty());
    /// ```
    pub fn consume_errors(mut self) -> DeferredList<M, G> {
        self.options.consume_errors = true;
        self
    }

    /// Makes the Deferred. One allocation for each member that has no result yet.
    #[track_caller]
    pub fn start(self) -> Deferred<G::Out> {
        group::<M, G>(self.members, self.options, Location::caller())
    }
}

impl<M, G> fmt::Debug for DeferredList<M, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<DeferredList, not started, {:?}>", self.options)
    }
}

/// ```
/// use ropewalk::{Deferred, DeferredList, testing::success_of};
///
/// let squares: DeferredList<_> = (1..=3).map(|n| Deferred::succeed(n * n)).collect();
/// assert_eq!(success_of(squares.gather()), [1, 4, 9]);
/// ```
impl<T: 'static> FromIterator<Deferred<T>> for DeferredList<Vec<Deferred<T>>> {
    fn from_iter<I: IntoIterator<Item = Deferred<T>>>(members: I) -> Self {
        DeferredList::new(Vec::from_iter(members))
    }
}

/// What a list that [fires at the first value](DeferredList::fire_on_one_callback) fires with.
///
/// ```
/// use ropewalk::{Deferred, DeferredList, Failure, FirstOrAll, testing::success_of};
///
/// let down = |mirror: &str| Deferred::<String>::fail(Failure::msg(format!("{mirror} is down")));
/// let list = DeferredList::new([down("one"), down("two")]).fire_on_one_callback().start();
/// let FirstOrAll::All(results) = success_of(list) else { panic!("no mirror has a value") };
/// let texts: Vec<_> = results.into_iter().map(|result| result.unwrap_err().to_string()).collect();
/// assert_eq!(texts, ["one is down", "two is down"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstOrAll<O, R> {
    /// A member had a value: for members of one type, `(index, value)`.
    First(O),
    /// No member had one: the result of each.
    All(R),
}

/// One Deferred for the values of many, in the order of the members. Twisted's `gatherResults`.
///
/// It fails with [`FirstError`](crate::FirstError) at the first failure; the other members run on, and their failures
/// are reported. [`DeferredList::cancel_others`] or [`DeferredList::consume_errors`] with
/// [`gather`](DeferredList::gather) say otherwise.
/// Cancelling it cancels each member.
///
/// ```
/// use ropewalk::{Deferred, gather_results, testing::success_of};
///
/// let sum = gather_results((1..=4).map(Deferred::succeed).collect::<Vec<_>>()).map(|n| n.iter().sum::<i32>());
/// assert_eq!(success_of(sum), 10);
///
/// let (name, age) = success_of(gather_results((Deferred::succeed("Ada"), Deferred::succeed(36))));
/// assert_eq!((name, age), ("Ada", 36));
/// ```
#[track_caller]
pub fn gather_results<M: Members>(members: M) -> Deferred<M::Values> {
    DeferredList::new(members).gather()
}
