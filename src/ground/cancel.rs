//! Cancelling a chain: who is asked, and what happens if nobody answers.

use super::chain::{Chain, lost};
use super::failure::Failure;
use super::info::Phase;
use super::jobs::Jobs;
use super::tell;
use super::trace::{self, Place};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// Cancels a chain: asks the innermost one that it waits for. Twisted's `Deferred.cancel`.
pub(crate) fn cancel(mut chain: Rc<dyn Chain>, at: Place, jobs: &mut Jobs) {
    loop {
        let core = chain.core();
        match core.info.phase.get() {
            Phase::Unfired => return cancel_unfired(&chain, at, jobs),
            Phase::Waiting => {
                let Some(inner) = core.waits_for() else { return };
                if trace::on() {
                    tell::cancel(&core.info, at, tell::How::Forward(&inner.core().info));
                }
                chain = inner;
            }
            Phase::Running | Phase::Resting => {
                if trace::on() {
                    tell::cancel(&core.info, at, tell::How::TooLate);
                }
                return;
            }
        }
    }
}

fn cancel_unfired(chain: &Rc<dyn Chain>, at: Place, jobs: &mut Jobs) {
    let core = chain.core();
    core.info.cancelled.set(true);
    if core.asks().is_some_and(|ask| ask.each(chain, at, jobs)) {
        return;
    }
    let mut failure = None;
    match core.ask.take() {
        None => {
            if trace::on() {
                tell::cancel(&core.info, at, tell::How::NoCanceller);
            }
        }
        Some(canceller) => {
            let frame = trace::on().then(|| tell::canceller_begins(&core.info, at));
            let result = catch_unwind(AssertUnwindSafe(move || canceller.call()));
            if let Some(frame) = frame {
                tell::canceller_ends(frame, core.info.phase.get() != Phase::Unfired, result.is_err());
            }
            failure = result.err().map(|payload| Failure::panic(payload, core.info.made()));
        }
    }
    if core.info.phase.get() == Phase::Unfired {
        chain.clone().fail(failure.unwrap_or_else(|| Failure::cancelled_at(at)), jobs);
    } else if let Some(failure) = failure {
        // The canceller fired the chain and panicked after that: its panic is an error of its own.
        lost(&core.info, core.fired.get(), None, failure);
    }
}
