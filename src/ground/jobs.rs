//! What is to be done with chains, one thing after the other, on a stack of our own.
//!
//! Firing a chain may fire a second one (a member ends, and its list fires), and cancelling one may cancel many. Whoever
//! does that from inside a chain pushes a [`Job`] instead of calling. The last one pushed is done first, which is the
//! order of calls that nest; but nothing nests, however deep lists lie in lists.

use super::cancel::cancel;
use super::chain::Chain;
use super::failure::Failure;
use super::info::Phase;
use super::trace::Place;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// One thing to be done.
pub(crate) enum Job {
    /// Cancel a chain.
    Cancel(Rc<dyn Chain>, Place),
    /// Fail a chain as cancelled, if nobody has fired it by then.
    FailCancelled(Rc<dyn Chain>, Place),
    /// What only the one who pushed it knows.
    Work(Box<dyn FnOnce(&mut Jobs)>),
}

/// The stack of them. While it is empty, which it is wherever a chain ends with nobody behind it, it costs nothing.
#[derive(Default)]
pub(crate) struct Jobs(Vec<Job>);

impl Jobs {
    /// Does `first`, and all that it leaves to be done.
    ///
    /// No panic comes out of the jobs: those of foreign code are caught where it is called.
    #[inline]
    pub(crate) fn all<R>(first: impl FnOnce(&mut Jobs) -> R) -> R {
        let mut jobs = Jobs::default();
        let answer = first(&mut jobs);
        if !jobs.0.is_empty() {
            jobs.run();
        }
        answer
    }

    #[inline(never)] // keeps what is rare out of every firing
    fn run(mut self) {
        while let Some(job) = self.0.pop() {
            match job {
                Job::Cancel(chain, at) => cancel(chain, at, &mut self),
                Job::FailCancelled(chain, at) => {
                    if chain.core().info.phase.get() == Phase::Unfired {
                        chain.fail(Failure::cancelled_at(at), &mut self);
                    }
                }
                Job::Work(work) => work(&mut self),
            }
        }
    }

    pub(crate) fn push(&mut self, job: Job) {
        self.0.push(job);
    }

    pub(crate) fn work(&mut self, work: impl FnOnce(&mut Jobs) + 'static) {
        self.push(Job::Work(Box::new(work)));
    }
}

/// A walk along chains: the one it runs along now, and what is to be done when the walk is over.
pub(crate) struct Walk<'j> {
    pub(crate) chain: Rc<dyn Chain>,
    pub(crate) jobs: &'j mut Jobs,
}

impl Deref for Walk<'_> {
    type Target = Rc<dyn Chain>;
    #[inline]
    fn deref(&self) -> &Rc<dyn Chain> {
        &self.chain
    }
}

impl DerefMut for Walk<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Rc<dyn Chain> {
        &mut self.chain
    }
}
