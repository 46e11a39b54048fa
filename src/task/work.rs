//! What the items of a cooperative task may be.

use crate::ground::{Deferred, Failure};

/// How a task goes on after a unit of its work.
#[allow(unreachable_pub)] // named by the sealed trait
#[derive(Debug)]
pub enum Unit {
    /// With the next unit.
    More,
    /// With the next unit, when this Deferred has fired.
    Wait(Deferred<()>),
    /// Not at all: it failed.
    Failed(Failure),
    /// Not at all: that was all.
    Done,
}

mod sealed {
    #[allow(unreachable_pub)]
    pub trait Sealed {
        fn unit(self) -> super::Unit;
    }
}
pub(super) use sealed::Sealed;

/// What an iterator may hand to a [`Cooperator`](crate::task::Cooperator) after a unit of work.
///
/// | item | how the task goes on |
/// |---|---|
/// | `()` | with the next unit |
/// | `Deferred<T>` | when that has fired; its failure ends the task |
/// | `Option<Deferred<T>>` | one or the other |
/// | `Result<_, Failure>` | an error ends the task, else as the value says |
///
/// ```
/// use ropewalk::{EventLoop, Failure, TestClock, task::Cooperator};
/// use std::time::Duration;
///
/// let clock = TestClock::new();
/// let event_loop = EventLoop::builder().clock(&clock).build()?;
/// let cooperator = Cooperator::new(&event_loop);
///
/// // After every hundredth unit it rests for a second.
/// let handle = event_loop.handle();
/// let rest = move || handle.defer_later(Duration::from_secs(1), |_| Ok(()));
/// let slow = (1..=300).map(move |n| (n % 100 == 0).then(&rest));
/// event_loop.run_until(cooperator.coiterate(slow))?;
/// assert_eq!(clock.now(), Duration::from_secs(3));
///
/// // An error ends the task.
/// let numbers = ["1", "2", "two"].into_iter().map(|text| text.parse::<u8>().map(drop).map_err(Failure::from));
/// assert!(event_loop.run_until(cooperator.coiterate(numbers)).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait WorkUnit: Sealed {}

impl Sealed for () {
    fn unit(self) -> Unit {
        Unit::More
    }
}
impl WorkUnit for () {}

impl<T: 'static> Sealed for Deferred<T> {
    fn unit(self) -> Unit {
        Unit::Wait(self.own_step("Cooperator").map(drop))
    }
}
impl<T: 'static> WorkUnit for Deferred<T> {}

impl<T: 'static> Sealed for Option<Deferred<T>> {
    fn unit(self) -> Unit {
        self.map_or(Unit::More, Sealed::unit)
    }
}
impl<T: 'static> WorkUnit for Option<Deferred<T>> {}

impl<W: WorkUnit> Sealed for Result<W, Failure> {
    fn unit(self) -> Unit {
        self.map_or_else(Unit::Failed, Sealed::unit)
    }
}
impl<W: WorkUnit> WorkUnit for Result<W, Failure> {}
