//! What a closure may keep of a loop.

use std::fmt;
use std::rc::Weak;
use std::time::Duration;

use super::delayed::DelayedCall;
use super::error::Closed;
use super::mailbox::Remote;
use super::{EventLoop, Inner};
use crate::ground::{CallbackResult, Deferred, maybe_deferred};

/// A weak way to an [`EventLoop`], cheap to clone: for closures and objects that outlive a callback.
///
/// A callback that kept the loop itself would keep it alive for ever; a `Handle` does not. Its calls answer [`Closed`]
/// once the loop is gone.
///
/// ```
/// use ropewalk::{Closed, EventLoop, Handle, TestClock};
/// use std::time::Duration;
///
/// /// Stops the loop a minute after it was made.
/// struct Alarm {
///     event_loop: Handle,
/// }
///
/// impl Alarm {
///     fn set(&self) -> Result<(), Closed> {
///         let event_loop = self.event_loop.clone();
///         self.event_loop.call_later(Duration::from_secs(60), move |_| event_loop.stop().unwrap())?;
///         Ok(())
///     }
/// }
///
/// let event_loop = EventLoop::builder().clock(&TestClock::new()).build()?;
/// let alarm = Alarm { event_loop: event_loop.handle() };
/// alarm.set()?;
/// event_loop.run()?;
/// assert_eq!(alarm.event_loop.time()?, Duration::from_secs(60));
/// drop(event_loop);
/// assert!(alarm.event_loop.is_closed());
/// assert_eq!(alarm.set(), Err(Closed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Handle {
    pub(crate) inner: Weak<Inner>,
}

impl Handle {
    pub(crate) fn upgrade(&self) -> Result<EventLoop, Closed> {
        self.inner.upgrade().map(|inner| EventLoop { inner }).ok_or(Closed)
    }

    /// Whether it is of this loop.
    #[cfg(feature = "http-client")]
    pub(crate) fn is_of(&self, event_loop: &EventLoop) -> bool {
        std::ptr::eq(self.inner.as_ptr(), std::rc::Rc::as_ptr(&event_loop.inner))
    }

    /// Calls `f` with the loop.
    ///
    /// # Errors
    ///
    /// The loop is gone.
    ///
    /// ```
    /// use ropewalk::{Closed, EventLoop};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// event_loop.call_later(std::time::Duration::from_secs(60), |_| ());
    /// assert_eq!(handle.with(|event_loop| event_loop.still_registered().len()), Ok(1));
    /// drop(event_loop);
    /// assert_eq!(handle.with(|event_loop| event_loop.still_registered().len()), Err(Closed));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn with<R>(&self, f: impl FnOnce(&EventLoop) -> R) -> Result<R, Closed> {
        Ok(f(&self.upgrade()?))
    }

    /// Calls `f` with the loop, and answers a Deferred of what it does: for a step that needs the loop, and gives back a
    /// Deferred.
    ///
    /// # Errors
    ///
    /// Fails with [`Closed`] if the loop is gone, as `f` fails, and with what it panics with.
    ///
    /// ```
    /// use ropewalk::{EventLoop, fs};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// let lines = fs::stat(&event_loop, "Cargo.toml")
    ///     .add_callback(move |_| handle.with_deferred(|event_loop| fs::read_to_string(event_loop, "Cargo.toml")))
    ///     .map(|text| text.lines().count());
    /// assert!(event_loop.run_until(lines)? > 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn with_deferred<R: CallbackResult>(
        &self,
        f: impl FnOnce(&EventLoop) -> R,
    ) -> Deferred<<R as CallbackResult>::Value> {
        match self.upgrade() {
            Ok(event_loop) => maybe_deferred(|| f(&event_loop)),
            Err(closed) => Deferred::fail(closed),
        }
    }

    /// Whether the loop is gone.
    pub fn is_closed(&self) -> bool {
        self.inner.strong_count() == 0
    }

    /// As [`EventLoop::call_soon`].
    ///
    /// # Errors
    ///
    /// The loop is gone.
    #[track_caller]
    pub fn call_soon(&self, f: impl FnOnce(&EventLoop) + 'static) -> Result<(), Closed> {
        self.upgrade()?.call_soon(f);
        Ok(())
    }

    /// As [`EventLoop::call_later`].
    ///
    /// # Errors
    ///
    /// The loop is gone.
    #[track_caller]
    pub fn call_later(&self, delay: Duration, f: impl FnOnce(&EventLoop) + 'static) -> Result<DelayedCall, Closed> {
        Ok(self.upgrade()?.call_later(delay, f))
    }

    /// As [`EventLoop::call_at`].
    ///
    /// # Errors
    ///
    /// The loop is gone.
    #[track_caller]
    pub fn call_at(&self, at: Duration, f: impl FnOnce(&EventLoop) + 'static) -> Result<DelayedCall, Closed> {
        Ok(self.upgrade()?.call_at(at, f))
    }

    /// As [`EventLoop::time`].
    ///
    /// # Errors
    ///
    /// The loop is gone.
    pub fn time(&self) -> Result<Duration, Closed> {
        Ok(self.upgrade()?.time())
    }

    /// As [`EventLoop::stop`].
    ///
    /// # Errors
    ///
    /// The loop is gone.
    #[track_caller]
    pub fn stop(&self) -> Result<(), Closed> {
        self.upgrade()?.stop();
        Ok(())
    }

    /// As [`EventLoop::remote`].
    ///
    /// # Errors
    ///
    /// The loop is gone.
    pub fn remote(&self) -> Result<Remote, Closed> {
        Ok(self.upgrade()?.remote())
    }
}

impl From<&EventLoop> for Handle {
    fn from(event_loop: &EventLoop) -> Handle {
        event_loop.handle()
    }
}

impl From<&Handle> for Handle {
    fn from(handle: &Handle) -> Handle {
        handle.clone()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("closed", &self.is_closed()).finish()
    }
}
