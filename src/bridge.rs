//! The bridge: the same loop, driven by `async` and `await`.
//!
//! [`EventLoop::spawn`](crate::EventLoop::spawn) and [`block_on`](crate::EventLoop::block_on) poll futures; a
//! [`Deferred`](crate::Deferred) can be awaited. Here is what to await beside Deferreds:
//!
//! | what | item |
//! |---|---|
//! | time | [`sleep`], [`timeout`], [`interval`] |
//! | a turn for the others | [`yield_now`] |
//! | connections | [`TcpStream`], [`TcpListener`], [`UnixStream`], [`UnixListener`], any [`Stream`] |
//! | files, standard input | [`File`], [`Stdin`] |
//!
//! Whatever needs a loop takes `&EventLoop`, `&Handle` or `Handle`. Any executor may poll these futures, on the loop's
//! thread. `join` is [`gather_results`](crate::gather_results), `select` is [`race`](crate::race), of what
//! [`spawn`](crate::EventLoop::spawn) gives. The chapter `docs/async.md` goes over it all.

mod awaiting;
mod file;
#[cfg(feature = "futures-io")]
mod futures_io;
mod given_up;
#[cfg(feature = "hyper")]
pub mod hyper;
mod interval;
mod io;
mod listener;
mod scratch;
mod sleep;
mod spawning;
mod stdin;
mod stream;
mod timeout;
mod yield_now;

pub use awaiting::DeferredFuture;
pub use file::File;
pub use interval::{Interval, interval};
pub use listener::{Listener, TcpListener, UnixListener};
pub use sleep::{Sleep, sleep, sleep_until};
pub use stdin::Stdin;
pub use stream::{Stream, TcpStream, UnixStream};
pub use timeout::{TimedOut, Timeout, timeout};
pub use yield_now::{YieldNow, yield_now};

use crate::event_loop::tasks::Wakes;
use crate::event_loop::upper::{forget_payload, guard};

/// Wakes. A panic of a foreign waker is nobody's here and goes no further.
fn ring(wakes: Wakes) {
    match wakes {
        Wakes::Other(waker) => {
            if let Err(payload) = guard(|| waker.wake()) {
                forget_payload(payload);
            }
        }
        wakes => wakes.wake(),
    }
}
