//! What tests of clients wait with, and how they read what became of a request.

#![allow(dead_code, unreachable_pub, reason = "each test takes what it needs")]

use std::cell::RefCell;
use std::fmt::Debug;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ropewalk::http::{ClientError, ClientPhase};
use ropewalk::{Deferred, EventLoop, Failure};

/// Only to end a test that would hang.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Turns until it is so, whatever the clock of the loop says.
#[track_caller]
pub fn turn_until(event_loop: &EventLoop, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < LIMIT, "it never came to be");
        event_loop.turn(Some(Duration::ZERO)).unwrap();
    }
}

/// What comes of a Deferred, whatever the clock of the loop says.
#[track_caller]
pub fn outcome<T: 'static>(event_loop: &EventLoop, d: Deferred<T>) -> Result<T, Failure> {
    let outcome = Rc::new(RefCell::new(None));
    let own = outcome.clone();
    d.add_both(move |result| {
        own.replace(Some(result));
        Ok(())
    })
    .detach();
    turn_until(event_loop, || outcome.borrow().is_some());
    outcome.take().unwrap()
}

/// The phase in which a request failed, and the text.
#[track_caller]
pub fn error<T: Debug>(result: Result<T, Failure>) -> (ClientPhase, String) {
    let failure = result.expect_err("it should have failed");
    let error = failure.check::<ClientError>().unwrap_or_else(|| panic!("no ClientError: {failure:?}"));
    (error.phase(), error.to_string())
}
