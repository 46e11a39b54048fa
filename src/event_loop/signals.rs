//! Signals as sources of the loop.
//!
//! Signals are state of the process. Nothing is installed by running a loop: [`EventLoop::on_signal`] and
//! [`EventLoop::stop_on_signals`] ask for it. A handler writes a byte into a socket pair, whose other end is a source
//! of the loop. When the last registration of a signal is gone, the signal acts as it does by default again.
//!
//! ```
//! use ropewalk::{EventLoop, signals};
//!
//! let event_loop = EventLoop::new()?;
//! event_loop.on_signal(signals::SIGUSR1, |event_loop| event_loop.stop())?;
//! event_loop.call_soon(|_| signal_hook::low_level::raise(signals::SIGUSR1).unwrap());
//! event_loop.run()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::{EventLoop, Interest, Phase, SourceId, SystemEvent};
use signal_hook::consts::FORBIDDEN;
use signal_hook::{SigId, flag, low_level};
use std::fmt;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use signal_hook::consts::signal::{
    SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
};

/// The registration of a signal: remove it with [`EventLoop::remove`].
///
/// ```
/// use ropewalk::{EventLoop, signals};
///
/// let event_loop = EventLoop::new()?;
/// let id: signals::SignalId = event_loop.on_signal(signals::SIGHUP, |_| ())?;
/// assert!(event_loop.is_registered(id));
/// drop(event_loop.remove(id)); // from now on SIGHUP ends the process, as it does by default
/// assert!(!event_loop.is_registered(id));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type SignalId = SourceId<UnixStream>;

/// Why a signal could not be registered.
///
/// ```
/// use ropewalk::{EventLoop, signals::SignalError};
///
/// let event_loop = EventLoop::new()?;
/// let error = event_loop.on_signal(9, |_| ()).unwrap_err();
/// assert!(matches!(error, SignalError::Forbidden(9)));
/// assert_eq!(error.to_string(), "signal 9 (SIGKILL) cannot be handled: choose another");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub enum SignalError {
    /// The system lets nobody handle this signal, or a handler cannot return from it.
    Forbidden(i32),
    /// The system refused.
    Io(i32, io::Error),
}

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignalError::Forbidden(signal) => {
                write!(f, "signal {} cannot be handled: choose another", Name(*signal))
            }
            SignalError::Io(signal, error) => write!(f, "cannot register signal {}: {error}", Name(*signal)),
        }
    }
}

impl std::error::Error for SignalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SignalError::Io(_, error) => Some(error),
            SignalError::Forbidden(_) => None,
        }
    }
}

/// A signal's number with its name, if it has one.
struct Name(i32);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match low_level::signal_name(self.0) {
            Some(name) => write!(f, "{} ({name})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

/// What a signal does while no loop listens to it: `signal-hook` leaves its handler in place for ever, which would
/// swallow the signal. Dispositions belong to the process, and so does this table.
static DEFAULTS: Mutex<Vec<Fallback>> = Mutex::new(Vec::new());

struct Fallback {
    signal: i32,
    acts: Arc<AtomicBool>,
    listeners: usize,
}

/// Keeps a signal from its default action, and the actions of one registration in place. Dropped with the source's
/// callback that owns it.
struct Listening {
    signal: i32,
    actions: Vec<SigId>,
}

impl Listening {
    fn new(signal: i32) -> io::Result<Listening> {
        let mut defaults = DEFAULTS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(default) = defaults.iter_mut().find(|default| default.signal == signal) {
            default.listeners += 1;
            default.acts.store(false, Ordering::SeqCst);
        } else {
            let acts = Arc::new(AtomicBool::new(false));
            // Must be the first action, so that later ones find the process alive only if it is to live.
            flag::register_conditional_default(signal, acts.clone())?;
            defaults.push(Fallback { signal, acts, listeners: 1 });
        }
        Ok(Listening { signal, actions: Vec::new() })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut defaults = DEFAULTS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(default) = defaults.iter_mut().find(|default| default.signal == self.signal) {
            default.listeners -= 1;
            if default.listeners == 0 {
                default.acts.store(true, Ordering::SeqCst);
            }
        }
        drop(defaults);
        for action in self.actions.drain(..) {
            low_level::unregister(action);
        }
    }
}

impl EventLoop {
    /// Calls `callback` on the loop after each arrival of `signal`. Signals that arrive close together may be one
    /// call. The registration counts as a source: a loop that has one can still be woken.
    ///
    /// Several loops, and other users of `signal-hook`, may listen to the same signal; each is told.
    ///
    /// # Errors
    ///
    /// [`SignalError`], when the signal cannot be handled or the system has no room for the two sockets.
    ///
    /// ```
    /// use ropewalk::{EventLoop, signals};
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let reloaded = Rc::new(Cell::new(0));
    /// let count = reloaded.clone();
    /// event_loop.on_signal(signals::SIGHUP, move |event_loop| {
    ///     count.set(count.get() + 1); // here a server reads its settings again
    ///     event_loop.stop();
    /// })?;
    /// signal_hook::low_level::raise(signals::SIGHUP)?; // it is kept until the loop runs
    /// event_loop.run()?;
    /// assert_eq!(reloaded.get(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn on_signal(
        &self,
        signal: i32,
        callback: impl FnMut(&EventLoop) + 'static,
    ) -> Result<SignalId, SignalError> {
        self.listen(signal, None, callback)
    }

    /// Stops the loop on SIGINT (Ctrl-C) and SIGTERM, so that its shutdown triggers run. A Ctrl-C while it is being
    /// stopped ends the process at once, in the way it would have without a loop.
    ///
    /// # Errors
    ///
    /// [`SignalError`], when the system has no room for the sockets. Then neither signal is registered.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Phase, SystemEvent, signals};
    ///
    /// let event_loop = EventLoop::new()?;
    /// event_loop.stop_on_signals()?;
    /// event_loop.add_system_event_trigger(Phase::During, SystemEvent::Shutdown, |_| println!("good bye"));
    /// // As `kill` does, and a service manager.
    /// event_loop.call_soon(|_| signal_hook::low_level::raise(signals::SIGTERM).unwrap());
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn stop_on_signals(&self) -> Result<[SignalId; 2], SignalError> {
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = {
            let stopping = stopping.clone();
            move |event_loop: &EventLoop| {
                event_loop.stop();
                let stopping = stopping.clone();
                event_loop.add_system_event_trigger(Phase::After, SystemEvent::Shutdown, move |_| {
                    stopping.store(false, Ordering::SeqCst);
                });
            }
        };
        let first = self.listen(SIGINT, Some(&stopping), stop.clone())?;
        match self.listen(SIGTERM, Some(&stopping), stop) {
            Ok(second) => Ok([first, second]),
            Err(error) => {
                drop(self.remove(first));
                Err(error)
            }
        }
    }

    /// `stopping`: set by the signal; once it is set, a SIGINT has its default action.
    #[track_caller]
    fn listen(
        &self,
        signal: i32,
        stopping: Option<&Arc<AtomicBool>>,
        mut callback: impl FnMut(&EventLoop) + 'static,
    ) -> Result<SignalId, SignalError> {
        if FORBIDDEN.contains(&signal) {
            return Err(SignalError::Forbidden(signal));
        }
        let failed = |error| SignalError::Io(signal, error);
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let mut listening = Listening::new(signal).map_err(failed)?;
        if let Some(stopping) = stopping {
            // In this order: the first signal finds the flag down.
            if signal == SIGINT {
                let action = flag::register_conditional_default(signal, stopping.clone());
                listening.actions.push(action.map_err(failed)?);
            }
            listening.actions.push(flag::register(signal, stopping.clone()).map_err(failed)?);
        }
        listening.actions.push(low_level::pipe::register(signal, theirs).map_err(failed)?);
        self.register(ours, Interest::READ, move |event_loop, mut ours, _| {
            let _listening = &listening;
            // Emptied before the callback: a signal that comes meanwhile wakes the loop again.
            let mut buffer = [0; 64];
            while matches!(ours.read(&mut buffer), Ok(n) if n > 0) {}
            callback(event_loop);
        })
        .map_err(|error| failed(error.into()))
    }
}
