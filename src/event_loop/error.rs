//! What can go wrong on floor 1, as values: each says what, where, and what to do.

use std::error::Error;
use std::fmt;
use std::io;

use crate::trace::Place;

/// The loop is gone: its [`EventLoop`](super::EventLoop) was dropped.
///
/// ```
/// use ropewalk::{Closed, EventLoop};
///
/// let event_loop = EventLoop::new()?;
/// let handle = event_loop.handle();
/// drop(event_loop);
/// assert!(matches!(handle.call_soon(|_| ()), Err(Closed)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event loop is gone: its EventLoop was dropped before this call")
    }
}

impl Error for Closed {}

/// The source is not in the loop any more (or was never in this one).
///
/// ```
/// use ropewalk::{EventLoop, Gone, Interest};
/// use std::os::unix::net::UnixStream;
///
/// let event_loop = EventLoop::new()?;
/// let (ours, _theirs) = UnixStream::pair()?;
/// let id = event_loop.register(ours, Interest::READ, |_, _, _| ())?;
/// assert_eq!(event_loop.set_interest(id, Interest::NONE), Ok(()));
/// drop(event_loop.remove(id));
/// assert_eq!(event_loop.set_interest(id, Interest::READ), Err(Gone));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the source is gone: it was removed, or its callback panicked, or the id is of another loop")
    }
}

impl Error for Gone {}

/// Why a loop did not run, or stopped running.
///
/// ```
/// use ropewalk::{Deferred, EventLoop, RunError};
///
/// let event_loop = EventLoop::new()?;
/// let (_resolver, never) = Deferred::<()>::new();
/// let failure = event_loop.run_until(never).unwrap_err();
/// assert!(matches!(failure.check(), Some(RunError::Idle(Some(_)))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// Called from inside a callback of this loop, or from inside a recorder that records it.
    Reentrant,
    /// Nothing is left that could ever wake the loop. The place is that of the Deferred that was waited for, if any.
    Idle(Option<Place>),
    /// [`stop`](super::EventLoop::stop) was called while a Deferred was waited for.
    Stopped,
    /// The system refused to wait.
    Wait(io::Error),
    /// A [`TestClock`](super::TestClock) was moved, and there was still something to do at one and the same time after so
    /// many turns: somebody gives himself work for ever.
    Unsettled(u32),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Reentrant => f.write_str(
                "the event loop is running already: run, run_until, turn, run_one and TestClock::advance cannot be \
                 called from inside its callbacks or its recorder (return, and let the loop go on)",
            ),
            RunError::Idle(None) => f.write_str(
                "the event loop has nothing left that could ever wake it: no callback queued, no source with \
                 interest, no timer, no job and no Remote (call stop() to end a run, or keep what it should wait for)",
            ),
            RunError::Idle(Some(place)) => write!(
                f,
                "the Deferred made at {place} can never fire: the event loop has no callback queued, no source with \
                 interest, no timer, no job and no Remote left",
            ),
            RunError::Stopped => {
                f.write_str("the event loop was stopped before the Deferred it ran for had fired")
            }
            RunError::Unsettled(turns) => write!(
                f,
                "the event loop had something to do in each of {turns} turns while the test clock stood still: a \
                 callback queues itself again with call_soon, a timer arms itself without a delay, or a task wakes itself \
                 in each poll (let some time pass in between)",
            ),
            RunError::Wait(error) => write!(f, "the event loop could not wait for events: {error}"),
        }
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            RunError::Wait(error) => Some(error),
            _ => None,
        }
    }
}

/// Why a [`DelayedCall`](super::DelayedCall) cannot be changed.
///
/// ```
/// use ropewalk::{EventLoop, TestClock, TimerError};
/// use std::time::Duration;
///
/// let clock = TestClock::new();
/// let event_loop = EventLoop::builder().clock(&clock).build()?;
/// let [first, second, third] = [1, 2, 3].map(|n| event_loop.call_later(Duration::from_secs(n), |_| ()));
/// clock.advance(Duration::from_secs(1))?;
/// assert_eq!(first.reset(Duration::from_secs(5)), Err(TimerError::AlreadyCalled));
/// second.cancel()?;
/// assert_eq!(second.cancel(), Err(TimerError::AlreadyCancelled));
/// drop(event_loop);
/// assert_eq!(third.deadline(), Err(TimerError::Closed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerError {
    /// It was called already, or is being called now.
    AlreadyCalled,
    /// It was cancelled already.
    AlreadyCancelled,
    /// Its loop is gone.
    Closed,
}

impl fmt::Display for TimerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TimerError::AlreadyCalled => "the delayed call was called already",
            TimerError::AlreadyCancelled => "the delayed call was cancelled already",
            TimerError::Closed => "the delayed call is gone with its event loop",
        })
    }
}

impl Error for TimerError {}

/// Why a source could not be registered.
///
/// ```
/// use ropewalk::{EventLoop, InsertReason, Interest};
/// use std::{fs::File, io, os::fd::AsFd, rc::Rc};
///
/// /// Watches `source`; it does not matter if it is watched already.
/// fn watch(event_loop: &EventLoop, source: impl AsFd + 'static) -> io::Result<()> {
///     match event_loop.register(source, Interest::READ, |event_loop, _, _| event_loop.stop()) {
///         Ok(_) => Ok(()),
///         Err(error) => match error.reason() {
///             InsertReason::AlreadyRegistered(_) => Ok(()),
///             _ => Err(error.into()),
///         },
///     }
/// }
///
/// let event_loop = EventLoop::new()?;
/// let null = Rc::new(File::open("/dev/null")?);
/// watch(&event_loop, null.clone())?;
/// watch(&event_loop, null)?;
/// assert_eq!(event_loop.still_registered().len(), 1);
/// # Ok::<(), io::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum InsertReason {
    /// Its descriptor is registered already, at this place if it is known.
    AlreadyRegistered(Option<Place>),
    /// Its descriptor is not open.
    NotOpen,
    /// Anything else that the system says.
    Io(io::Error),
}

/// A source that could not be registered, with the reason.
///
/// ```
/// use ropewalk::{EventLoop, Interest};
/// use std::{io, os::unix::net::UnixStream, rc::Rc};
///
/// let event_loop = EventLoop::new()?;
/// let (ours, _theirs) = UnixStream::pair()?;
/// let ours = Rc::new(ours);
/// event_loop.register(ours.clone(), Interest::READ, |_, _, _| ())?;
/// let error = event_loop.register(ours, Interest::WRITE, |_, _, _| ()).unwrap_err();
/// assert!(error.to_string().contains(": it is registered already, at "));
/// assert!(error.place().line() > 0); // the second `register`
/// let ours = error.into_source(); // given back, and not closed
/// assert!(ours.peer_addr()?.is_unnamed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct InsertError<S> {
    pub(crate) source: S,
    pub(crate) reason: InsertReason,
    pub(crate) descriptor: i32,
    pub(crate) at: Place,
}

impl<S> InsertError<S> {
    /// The source, given back.
    pub fn into_source(self) -> S {
        self.source
    }

    /// What was wrong.
    pub fn reason(&self) -> &InsertReason {
        &self.reason
    }

    /// The line that tried to register it.
    pub fn place(&self) -> Place {
        self.at
    }
}

impl<S> fmt::Debug for InsertError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InsertError")
            .field("reason", &self.reason)
            .field("descriptor", &self.descriptor)
            .field("at", &format_args!("{}", self.at))
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Display for InsertError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fd, at) = (self.descriptor, self.at);
        write!(f, "descriptor {fd} cannot be registered at {at}: ")?;
        match &self.reason {
            InsertReason::AlreadyRegistered(Some(first)) => {
                write!(f, "it is registered already, at {first} (change that one's interest, or remove it first)")
            }
            InsertReason::AlreadyRegistered(None) => {
                f.write_str("it is registered already (remove that one first)")
            }
            InsertReason::NotOpen => f.write_str("it is not open"),
            InsertReason::Io(error) => error.fmt(f),
        }
    }
}

impl<S> Error for InsertError<S> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.reason {
            InsertReason::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl<S> From<InsertError<S>> for io::Error {
    fn from(error: InsertError<S>) -> io::Error {
        let kind = match &error.reason {
            InsertReason::AlreadyRegistered(_) => io::ErrorKind::AlreadyExists,
            InsertReason::Io(cause) => cause.kind(),
            InsertReason::NotOpen => io::ErrorKind::InvalidInput,
        };
        io::Error::new(kind, error.to_string())
    }
}

/// A call or message that could not be posted, given back.
///
/// ```
/// use ropewalk::{EventLoop, PostError};
///
/// let event_loop = EventLoop::new()?;
/// let sender = event_loop.channel(1, |_, _: u8| ());
/// sender.try_send(1)?;
/// assert!(matches!(sender.try_send(2), Err(PostError::Full(2))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PostError<M> {
    /// The queue is full: the loop does not keep up. Try again later, or send less.
    Full(M),
    /// The loop is gone.
    Closed(M),
}

impl<M> PostError<M> {
    /// What could not be posted.
    ///
    /// ```
    /// use ropewalk::{EventLoop, PostError};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let sender = event_loop.channel(1, |_, _: u8| ());
    /// sender.try_send(1)?;
    /// let error = sender.try_send(2).unwrap_err();
    /// assert!(error.is_full()); // try again later
    /// assert_eq!(error.into_inner(), 2);
    /// drop(event_loop);
    /// assert_eq!(sender.try_send(3), Err(PostError::Closed(3)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_inner(self) -> M {
        match self {
            PostError::Full(inner) | PostError::Closed(inner) => inner,
        }
    }

    /// Whether the queue was full.
    pub fn is_full(&self) -> bool {
        matches!(self, PostError::Full(_))
    }
}

impl<M> fmt::Debug for PostError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PostError::Full(_) => "Full(..)",
            PostError::Closed(_) => "Closed(..)",
        })
    }
}

impl<M> fmt::Display for PostError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PostError::Full(_) => {
                f.write_str("the event loop's queue is full: it does not keep up with what is posted")
            }
            PostError::Closed(_) => Closed.fmt(f),
        }
    }
}

impl<M> Error for PostError<M> {}
