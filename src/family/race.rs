//! `race`: the first value of many Deferreds.

use super::group::{Options, Winner, group};
use super::members::Members;
use crate::ground::Deferred;
use std::panic::Location;

/// The first value of many Deferreds; the others are cancelled. Twisted's `race`.
///
/// * At the first value the other members are cancelled, in order, and then the race fires: with `(index, value)` for
///   members of one type, with [`OneOf2`](crate::OneOf2) and so on for a tuple.
/// * A member that fails is out. If all are out, the race fails with [`FailureGroup`](crate::FailureGroup).
/// * A member that fails after the race has fired is reported, unless it was the race that cancelled it.
/// * Cancelling the race cancels every member. What they answer decides: usually a `FailureGroup` of
///   `CancelledError`s; a canceller that fires a value wins the race.
/// * A race of nobody never fires.
///
/// ```
/// use ropewalk::{Deferred, OneOf2, race, testing::success_of};
///
/// let (slow, one) = Deferred::<&str>::new();
/// let (fast, two) = Deferred::new();
/// let first = race([one, two]);
/// fast.succeed("mirror 2");
/// assert_eq!(success_of(first), (1, "mirror 2"));
/// assert!(slow.is_cancelled());
///
/// let (_slow, text) = Deferred::<String>::new();
/// assert_eq!(success_of(race((text, Deferred::succeed(7)))), OneOf2::B(7));
/// ```
#[track_caller]
pub fn race<M: Members>(members: M) -> Deferred<M::One> {
    group::<M, Winner>(members, Options::default(), Location::caller())
}
