//! The failures of the programs: each has a kind, which is a name.

use crate::program::Input;
use ropewalk::{CancelledError, Failure, FailureGroup, FirstError, TimeoutError};
use std::fmt;

/// `E1`, `E2`, ..
#[derive(Debug)]
struct Kind(String);

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Kind {}

pub(crate) fn failure(kind: &str) -> Failure {
    if kind == "CancelledError" { Failure::cancelled() } else { Kind(kind.to_owned()).into() }
}

pub(crate) fn kind(failure: &Failure) -> String {
    if failure.check::<CancelledError>().is_some() {
        "CancelledError".to_owned()
    } else if failure.check::<TimeoutError>().is_some() {
        "TimeoutError".to_owned()
    } else if let Some(first) = failure.check::<FirstError>() {
        format!("FirstError({},{})", first.index(), kind(first.failure()))
    } else if let Some(group) = failure.check::<FailureGroup>() {
        let kinds: Vec<_> = group.failures().iter().map(kind).collect();
        format!("FailureGroup({})", kinds.join(","))
    } else {
        failure.to_string()
    }
}

pub(crate) fn named(result: &Result<i64, Failure>) -> Input {
    result.as_ref().map(|value| *value).map_err(kind)
}

pub(crate) fn outcome(input: &Input) -> Result<i64, Failure> {
    input.as_ref().map(|value| *value).map_err(|kind| failure(kind))
}
