//! `yield_now`: a turn for the others.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Lets everything else that is ready have its turn, and goes on in the next one.
///
/// ```
/// use ropewalk::{EventLoop, bridge::yield_now};
///
/// let event_loop = EventLoop::new()?;
/// let sum = event_loop.spawn(async {
///     let mut sum = 0_u64;
///     for n in 0..1000 {
///         sum += n;
///         if n % 100 == 0 {
///             yield_now().await; // a long computation that starves nobody
///         }
///     }
///     Ok(sum)
/// });
/// assert_eq!(event_loop.run_until(sum)?, 499_500);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// What [`yield_now`] gives. Ready at the second poll.
///
/// ```
/// use ropewalk::{EventLoop, bridge::yield_now, gather_results};
/// use std::{cell::RefCell, rc::Rc};
///
/// let event_loop = EventLoop::new()?;
/// let log = Rc::new(RefCell::new(String::new()));
/// let tasks = ["a", "b"].map(|name| {
///     let log = log.clone();
///     event_loop.spawn(async move {
///         log.borrow_mut().push_str(name);
///         yield_now().await;
///         log.borrow_mut().push_str(name);
///         Ok(())
///     })
/// });
/// event_loop.run_until(gather_results(tasks))?;
/// assert_eq!(*log.borrow(), "abab");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
