//! The suite of tasks that are woken on the loop's own thread.

use crate::support::{allocations, cpu, say};
use ropewalk::{EventLoop, Failure};
use std::future::poll_fn;
use std::io;
use std::task::Poll;

/// What is done before it counts: queues grow to their size.
const WARM_UP: u64 = 100;

/// `wake`: a task wakes itself, by reference and by a clone in turns, and is polled, `n` times. `wake_allocs` is the
/// number of allocations in all of them. Nothing else is to be done, so the system is asked in every 62nd turn.
pub(crate) fn wake(n: u64) -> io::Result<()> {
    let event_loop = EventLoop::new()?;
    let mut polls = 0;
    let mut before = (0, 0);
    let task = event_loop.spawn(poll_fn(move |context| {
        polls += 1;
        if polls == WARM_UP {
            before = (cpu(), allocations());
        }
        if polls == WARM_UP + n {
            return Poll::Ready(Ok::<_, Failure>((cpu() - before.0, allocations() - before.1)));
        }
        let kept = context.waker().clone();
        match polls % 2 {
            0 => kept.wake_by_ref(),
            _ => kept.wake(),
        }
        Poll::Pending
    }));
    let (nanos, allocated) = event_loop.run_until(task).map_err(io::Error::other)?;
    say("wake", nanos as f64 / n as f64, "ns");
    say("wake_allocs", allocated as f64, "in all");
    Ok(())
}
