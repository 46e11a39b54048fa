//! What `hyper` wants of a runtime. Feature `hyper`.
//!
//! A [`Stream`] is its connection, a [`Handle`] its executor, and [`Timer`] its clock. `hyper`'s HTTP/1 needs no more:
//!
//! ```no_run
//! # async fn serve<B, S>(stream: ropewalk::bridge::TcpStream, service: S) -> Result<(), hyper::Error> { Ok(()) }
//! use ropewalk::{EventLoop, Failure, bridge::TcpListener};
//!
//! let event_loop = EventLoop::new()?;
//! let handle = event_loop.handle();
//! let listener = TcpListener::bind(&event_loop, "127.0.0.1:8080".parse()?)?;
//! event_loop.block_on(async {
//!     loop {
//!         let stream = listener.accept().await?;
//!         // hyper::server::conn::http1::Builder::new().serve_connection(stream, service)
//!         handle.spawn(async move { Ok(serve::<(), ()>(stream, ()).await?) }).log_errors("a connection");
//!     }
//!     # #[allow(unreachable_code)]
//!     Ok::<(), Failure>(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use ::hyper::rt::{self, ReadBufCursor};

use crate::event_loop::{DelayedCall, EventLoop, Handle, Remote};

use super::{Stream, scratch};

impl<S: AsFd + 'static> rt::Read for Stream<S>
where
    for<'a> &'a S: io::Read + io::Write,
{
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // `hyper`'s buffer is not initialized, and to fill that directly would be unsafe.
        let polled = scratch::with(buffer.remaining(), |scratch| {
            let polled = Stream::poll_read(&self, context, scratch);
            if let Poll::Ready(Ok(n)) = polled {
                buffer.put_slice(&scratch[..n]);
            }
            polled
        });
        polled.map_ok(drop)
    }
}

impl<S: AsFd + 'static> rt::Write for Stream<S>
where
    for<'a> &'a S: io::Read + io::Write,
{
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Stream::poll_write(&self, context, data)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // nothing is kept back
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Stream::poll_write_vectored(&self, context, data)
    }
}

/// Spawns; a future that is given to a loop which is gone is dropped.
impl<F: Future<Output = ()> + 'static> rt::Executor<F> for Handle {
    #[track_caller]
    fn execute(&self, future: F) {
        let spawned = self.spawn(async move {
            future.await;
            Ok(())
        });
        if self.is_closed() {
            // Its failure says that the loop is gone, which is no news.
            drop(spawned.try_result());
        }
    }
}

/// A loop's timers for `hyper`, which wants them to be `Send`: so they go by way of the loop's mailbox.
///
/// Times are counted on the system's clock, also for a loop on a [`TestClock`](crate::TestClock): the *lengths* are the
/// loop's.
///
/// ```
/// use hyper::rt::Timer as _;
/// use ropewalk::{EventLoop, bridge::hyper::Timer};
/// use std::time::{Duration, Instant};
///
/// let event_loop = EventLoop::new()?;
/// // What `http1::Builder::timer` wants.
/// let timer = Timer::new(&event_loop);
/// let start = Instant::now();
/// event_loop.block_on(async { Ok(timer.sleep(Duration::from_millis(2)).await) })?;
/// assert!(start.elapsed() >= Duration::from_millis(2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Timer {
    remote: Remote,
}

impl Timer {
    /// The timers of this loop. As long as it lives, [`EventLoop::run`] waits for what it may arm.
    pub fn new(event_loop: &EventLoop) -> Timer {
        Timer { remote: event_loop.remote() }
    }
}

impl rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        let shared = Arc::new(Mutex::new(State::default()));
        let (place, bell) = (Location::caller(), shared.clone());
        self.remote.mailbox().deliver(place, move |event_loop| {
            let ringing = bell.clone();
            let call = event_loop.call_later_at(duration, place, move |event_loop| {
                let (key, waker) = {
                    let mut state = lock(&ringing);
                    state.over = true;
                    (state.key.take(), state.waker.take())
                };
                drop(key.and_then(|key| event_loop.inner.take_local(key)));
                if let Some(waker) = waker {
                    waker.wake();
                }
            });
            let mut state = lock(&bell);
            if state.dropped {
                drop(state);
                let _ = call.cancel();
            } else {
                state.key = Some(event_loop.inner.keep_local(Rc::new(call)));
            }
        });
        Box::pin(Sleep { shared, remote: self.remote.clone() })
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        self.sleep(deadline.saturating_duration_since(Instant::now()))
    }
}

#[derive(Default)]
struct State {
    over: bool,
    dropped: bool,
    /// Of the `DelayedCall`, which stays with the loop.
    key: Option<u64>,
    waker: Option<Waker>,
}

/// No user code runs under this lock.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Sleep {
    shared: Arc<Mutex<State>>,
    remote: Remote,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // Cloned before the lock is taken, and the old one dropped after: both are foreign code.
        let waker = context.waker().clone();
        let (polled, unused) = {
            let mut state = lock(&self.shared);
            match state.over {
                true => (Poll::Ready(()), Some(waker)),
                false => (Poll::Pending, state.waker.replace(waker)),
            }
        };
        drop(unused);
        polled
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let (key, waker) = {
            let mut state = lock(&self.shared);
            state.dropped = true;
            (state.key.take(), state.waker.take())
        };
        drop(waker);
        if let Some(key) = key {
            self.remote.mailbox().deliver(Location::caller(), move |event_loop| {
                let call = event_loop.inner.take_local(key).and_then(|call| call.downcast::<DelayedCall>().ok());
                if let Some(call) = call {
                    let _ = call.cancel();
                }
            });
        }
    }
}

impl rt::Sleep for Sleep {}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("over", &lock(&self.shared).over).finish()
    }
}
