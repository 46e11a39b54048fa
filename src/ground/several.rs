//! Failures that hold failures: what a list or a race fails with.
//!
//! Lists lie in lists, so these nest as deep as the program nests them: nothing here recurses with the depth.

use super::failure::Failure;
use std::error::Error;
use std::fmt;
use std::mem;

/// A member of a list failed, and the list was to fail with the first failure. Twisted's `FirstError`.
///
/// Its source is the member's own error, so that `{:#}` and [`Failure::find`] reach it.
///
/// ```
/// use ropewalk::{Deferred, Failure, FirstError, gather_results, testing::failure_of};
///
/// let both = gather_results(vec![Deferred::succeed(1), Deferred::fail(Failure::msg("engine down"))]);
/// let failure = failure_of(both);
/// assert_eq!(format!("{failure:#}"), "member 1 failed: engine down");
/// let first = failure.downcast::<FirstError>().unwrap();
/// assert_eq!((first.index(), first.into_failure().to_string()), (1, "engine down".to_owned()));
/// ```
pub struct FirstError {
    index: usize,
    failure: Option<Failure>,
}

impl FirstError {
    /// The failure of a list whose member failed: it names the place where that one was raised.
    pub(crate) fn failure_of(index: usize, failure: Failure) -> Failure {
        let raised = failure.raised();
        Failure::raised_at(FirstError { index, failure: Some(failure) }, raised)
    }

    /// Which member failed, counted from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The member's failure.
    pub fn failure(&self) -> &Failure {
        self.failure.as_ref().expect("only `into_failure` and `drop` take it out")
    }

    /// The member's failure by value.
    pub fn into_failure(mut self) -> Failure {
        self.failure.take().expect("only `drop` takes it out as well")
    }
}

impl fmt::Display for FirstError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {} failed", self.index)
    }
}

impl fmt::Debug for FirstError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, failure) = (self.index, self.failure.as_ref());
        let raised = failure.map(Failure::raised);
        f.debug_struct("FirstError").field("index", &index).field("raised", &raised).finish_non_exhaustive()
    }
}

impl Error for FirstError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.failure.as_ref()?.error())
    }
}

impl Drop for FirstError {
    fn drop(&mut self) {
        drop_flat(self.failure.take().into_iter().collect());
    }
}

/// Every member of a race failed. Twisted's `FailureGroup`.
///
/// ```
/// use ropewalk::{Deferred, Failure, FailureGroup, race, testing::failure_of};
///
/// let tries = ["no route", "refused"].map(|why| Deferred::<()>::fail(Failure::msg(why)));
/// let failure = failure_of(race(tries));
/// assert_eq!(failure.to_string(), "all 2 failed: no route; refused");
/// assert_eq!(failure.downcast::<FailureGroup>().unwrap().into_failures().len(), 2);
/// ```
pub struct FailureGroup {
    failures: Vec<Failure>,
}

/// How many of the failures `Display` and the reports show: a page.
const SHOWN: usize = 8;

impl FailureGroup {
    pub(crate) fn new(failures: Vec<Failure>) -> FailureGroup {
        FailureGroup { failures }
    }

    /// The failures, in the order of the members.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// The failures by value, in the order of the members.
    pub fn into_failures(mut self) -> Vec<Failure> {
        mem::take(&mut self.failures)
    }
}

/// Shows at most 8 of them.
impl fmt::Display for FailureGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "all {} failed", self.failures.len())?;
        for (i, failure) in self.failures.iter().take(SHOWN).enumerate() {
            f.write_str(if i == 0 { ": " } else { "; " })?;
            // A group in a group would be written as deep as they nest.
            match failure.check::<FailureGroup>() {
                Some(group) => write!(f, "all {} failed", group.failures.len())?,
                None => write!(f, "{failure}")?,
            }
        }
        if self.failures.len() > SHOWN { f.write_str("; ..") } else { Ok(()) }
    }
}

impl fmt::Debug for FailureGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let raised: Vec<_> = self.failures.iter().map(Failure::raised).collect();
        f.debug_struct("FailureGroup").field("raised", &raised).finish_non_exhaustive()
    }
}

impl Error for FailureGroup {}

impl Drop for FailureGroup {
    fn drop(&mut self) {
        drop_flat(mem::take(&mut self.failures));
    }
}

/// Drops failures that may hold failures, one after the other.
fn drop_flat(mut left: Vec<Failure>) {
    while let Some(mut failure) = left.pop() {
        if let Some(first) = failure.check_mut::<FirstError>() {
            left.extend(first.failure.take());
        } else if let Some(group) = failure.check_mut::<FailureGroup>() {
            left.append(&mut group.failures);
        }
    }
}

/// The failures that this one is made of, with the numbers of their members, for a report: at most a page.
pub(super) fn parts(failure: &Failure) -> Vec<(usize, &Failure)> {
    if let Some(first) = failure.check::<FirstError>() {
        first.failure.iter().map(|failure| (first.index, failure)).collect()
    } else if let Some(group) = failure.check::<FailureGroup>() {
        group.failures.iter().enumerate().take(SHOWN).collect()
    } else {
        Vec::new()
    }
}
