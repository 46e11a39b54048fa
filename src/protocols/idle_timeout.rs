//! A time limit on silence.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::event_loop::{DelayedCall, EventLoop};
use crate::transports::Transport;

/// Tells a protocol that its peer was silent for too long. Twisted's `TimeoutMixin`.
///
/// The protocol keeps one, and [resets](IdleTimeout::reset_timeout) it whenever the peer has said something: a move in
/// the loop's heap of timers, no allocation. When the time is over the protocol's [`woken`](crate::Protocol::woken) is
/// called, where [`take_expired`](IdleTimeout::take_expired) tells that it was this. Dropping it calls the timer off.
///
/// The receivers of this module have one each. For a protocol that needs nothing else, see
/// [`TimeoutProtocol`](super::TimeoutProtocol).
///
/// ```
/// use ropewalk::protocols::IdleTimeout;
/// use ropewalk::{EventLoop, Failure, Protocol, Transport, testing::MemoryLoop};
/// use std::time::Duration;
///
/// /// Asks a peer that was silent for a minute whether it is there. No answer for ten seconds more is the end.
/// #[derive(Default)]
/// struct Caring(IdleTimeout, bool);
///
/// impl Protocol for Caring {
///     fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
///         self.0.set_timeout(event_loop, transport, Some(Duration::from_secs(60)));
///         Ok(())
///     }
///
///     fn data_received(&mut self, event_loop: &EventLoop, own: &Transport, _: &[u8]) -> Result<(), Failure> {
///         if std::mem::take(&mut self.1) {
///             return self.connection_made(event_loop, own); // a minute again
///         }
///         self.0.reset_timeout();
///         Ok(())
///     }
///
///     fn woken(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
///         if self.0.take_expired() {
///             if std::mem::replace(&mut self.1, true) {
///                 transport.lose_connection();
///                 return Ok(());
///             }
///             transport.write(b"there?")?;
///             self.0.set_timeout(event_loop, transport, Some(Duration::from_secs(10)));
///         }
///         Ok(())
///     }
/// }
///
/// let test = MemoryLoop::new()?;
/// let peer = test.connected(Caring::default());
/// test.advance(Duration::from_secs(60));
/// assert_eq!(peer.text(), "there?");
/// test.advance(Duration::from_secs(9));
/// peer.send("yes");
/// test.advance(Duration::from_secs(69));
/// assert!(!peer.is_disconnected());
/// test.advance(Duration::from_secs(1));
/// assert!(peer.is_disconnected());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Default)]
pub struct IdleTimeout {
    period: Cell<Option<Duration>>,
    call: RefCell<Option<Rc<DelayedCall>>>,
    expired: Rc<Cell<bool>>,
}

impl IdleTimeout {
    /// Without a limit.
    pub fn new() -> IdleTimeout {
        IdleTimeout::default()
    }

    /// Sets how long the silence may be from now on, `None` for ever, and answers what the limit was before.
    #[track_caller]
    pub fn set_timeout(
        &self,
        event_loop: &EventLoop,
        transport: &Transport,
        period: Option<Duration>,
    ) -> Option<Duration> {
        let call = period.map(|period| {
            let (expired, transport) = (self.expired.clone(), transport.clone());
            event_loop.call_later(period, move |_| {
                expired.set(true);
                transport.wake_protocol();
            })
        });
        self.expired.set(false);
        self.replace(call);
        self.period.replace(period)
    }

    /// The silence begins anew. Nothing happens without a limit, or when the time is over.
    #[track_caller]
    pub fn reset_timeout(&self) {
        let call = self.call.borrow().clone();
        if let (Some(period), Some(call)) = (self.period.get(), call) {
            // An error says that the time is over, which the protocol is about to hear.
            let _ = call.reset(period);
        }
    }

    /// How long the silence may be.
    pub fn timeout(&self) -> Option<Duration> {
        self.period.get()
    }

    /// Whether the time is over; answers `true` once.
    pub fn take_expired(&self) -> bool {
        let expired = self.expired.take();
        if expired {
            self.period.set(None);
            self.replace(None);
        }
        expired
    }

    /// Calls the timer off.
    pub(super) fn clear(&self) {
        self.period.set(None);
        self.expired.set(false);
        self.replace(None);
    }

    fn replace(&self, call: Option<DelayedCall>) {
        let before = self.call.replace(call.map(Rc::new));
        if let Some(before) = before {
            // An error says that it was called.
            let _ = before.cancel();
        }
    }
}

impl Drop for IdleTimeout {
    fn drop(&mut self) {
        self.clear();
    }
}

impl fmt::Debug for IdleTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IdleTimeout").field(&self.period.get()).finish()
    }
}
