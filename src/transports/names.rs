//! Host names to addresses: the system's own look-up on threads of its own, or another that the program installs.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use std::cell::RefCell;

use crate::event_loop::EventLoop;
use crate::ground::{CancelledError, Deferred, Failure};
use crate::trace::Place;

/// How long [`EventLoop::resolve`] waits: Twisted's number, and more than a system's own look-up takes.
const TIMEOUT: Duration = Duration::from_secs(60);

type LookUp = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

/// The look-up that this loop was given.
#[derive(Default)]
struct Names(RefCell<Option<LookUp>>);

/// A name that could not be looked up.
///
/// ```
/// use ropewalk::{EventLoop, ResolveError};
/// use std::io;
///
/// let event_loop = EventLoop::new()?;
/// event_loop.install_resolver(|_| Err(io::Error::new(io::ErrorKind::NotFound, "no such host")));
/// let failure = event_loop.run_until(event_loop.resolve("poems.test")).unwrap_err();
/// let error = failure.check::<ResolveError>().unwrap();
/// assert_eq!((error.host(), error.io_error().kind()), ("poems.test", io::ErrorKind::NotFound));
/// assert_eq!(error.to_string(), "cannot find the address of poems.test: no such host");
/// # Ok::<(), io::Error>(())
/// ```
#[derive(Debug)]
pub struct ResolveError {
    host: String,
    source: io::Error,
}

impl ResolveError {
    /// The name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The error of the look-up. [`io::ErrorKind::TimedOut`] when it took too long, [`io::ErrorKind::NotFound`] when it
    /// found no address.
    pub fn io_error(&self) -> &io::Error {
        &self.source
    }

    pub(crate) fn into_io_error(self) -> io::Error {
        self.source
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot find the address of {}: {}", self.host, self.source)
    }
}

impl Error for ResolveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

impl EventLoop {
    /// Looks up the addresses of a host. An IP address is its own answer, at once. Twisted's `resolve`.
    ///
    /// Look-ups have up to four threads of their own, started when they are needed. One that is cancelled or timed out
    /// holds its thread until the system is done.
    ///
    /// # Errors
    ///
    /// Fails with [`ResolveError`]: there is no such host, or no answer within 60 seconds.
    ///
    /// ```
    /// use ropewalk::EventLoop;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let mut addresses = event_loop.run_until(event_loop.resolve("localhost"))?;
    /// assert!(addresses.iter().all(|ip| ip.is_loopback()));
    /// addresses = event_loop.run_until(event_loop.resolve("::1"))?;
    /// assert_eq!(addresses, ["::1".parse::<std::net::IpAddr>()?]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn resolve(&self, host: &str) -> Deferred<Vec<IpAddr>> {
        let place = Location::caller();
        let addresses = look_up(self, host, place);
        let cancel = addresses.cancel_handle();
        let timer = Rc::new(self.call_later_at(TIMEOUT, place, move |_| {
            cancel.cancel();
        }));
        let host = host.to_owned();
        addresses.own_step("look up").add_both(move |result| {
            // Over already if it was the timer that cancelled.
            let timed_out = timer.cancel().is_err();
            result.map_err(|failure| match failure.check::<CancelledError>() {
                Some(_) if timed_out => {
                    let source = io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {TIMEOUT:?}"));
                    Failure::raised_at(ResolveError { host, source }, place)
                }
                _ => failure,
            })
        })
    }

    /// Has names looked up by `look_up`, which runs on other threads and may block. Twisted's `installResolver`.
    ///
    /// ```
    /// use ropewalk::EventLoop;
    /// use std::net::IpAddr;
    ///
    /// let event_loop = EventLoop::new()?;
    /// event_loop.install_resolver(|host| match host {
    ///     "poems.test" => Ok(vec![IpAddr::from([127, 0, 0, 1])]),
    ///     _ => Err(std::io::ErrorKind::NotFound.into()),
    /// });
    /// let found = event_loop.resolve("poems.test");
    /// assert_eq!(event_loop.run_until(found)?, [IpAddr::from([127, 0, 0, 1])]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn install_resolver(&self, look_up: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) {
        let names = self.of_loop(|_| Names::default());
        let before = names.0.replace(Some(Arc::new(look_up)));
        drop(before);
    }
}

/// Looks up a host, without a time-out.
pub(crate) fn look_up(event_loop: &EventLoop, host: &str, place: Place) -> Deferred<Vec<IpAddr>> {
    if let Ok(ip) = host.parse() {
        return Deferred::succeed(vec![ip]);
    }
    let names = event_loop.of_loop(|_| Names::default());
    let installed = names.0.borrow().clone();
    let host = host.to_owned();
    event_loop.defer_look_up(place, move || {
        let found = match &installed {
            Some(look_up) => look_up(&host),
            None => system(&host),
        };
        let found = found.and_then(|addresses| match addresses.is_empty() {
            true => Err(io::Error::new(io::ErrorKind::NotFound, "it has none")),
            false => Ok(addresses),
        });
        found.map_err(|source| Failure::raised_at(ResolveError { host, source }, place))
    })
}

fn system(host: &str) -> io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for found in (host, 0).to_socket_addrs()? {
        if !addresses.contains(&found.ip()) {
            addresses.push(found.ip());
        }
    }
    Ok(addresses)
}
