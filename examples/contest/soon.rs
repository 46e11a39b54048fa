//! The suite of callbacks for the next turn.

use crate::support::timed;
use ropewalk::{EventLoop, RunError};
use std::cell::Cell;
use std::hint::black_box;
use std::io;
use std::time::Duration;

thread_local! { static RAN: Cell<usize> = const { Cell::new(0) }; }

/// `soon`: `batch` is 1000 callbacks and one turn, `chain` one callback and one turn. Each turn asks the system.
pub(crate) fn soon() -> io::Result<()> {
    let event_loop = EventLoop::new()?;
    for (name, callbacks, turns) in [("batch", 1000, 5_000), ("chain", 1, 2_000_000)] {
        timed(name, callbacks * turns, || -> Result<(), RunError> {
            for _ in 0..turns {
                for _ in 0..callbacks {
                    let x = black_box(1usize);
                    event_loop.call_soon(move |_| {
                        black_box(x);
                        RAN.set(RAN.get() + 1);
                    });
                }
                event_loop.turn(Some(Duration::ZERO))?;
            }
            Ok(())
        })
        .map_err(io::Error::other)?;
    }
    assert_eq!(RAN.get(), 5_000 * 1000 + 2_000_000);
    Ok(())
}
