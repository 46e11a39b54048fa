//! Waiting for the system: the one place where the loop blocks.
//!
//! On Linux the loop waits on the poller's own descriptor: one system call a turn. `Poller::wait` costs four more (it
//! arms a timer descriptor and reads its notifier each time), and serves where it must: as the portable path, and for
//! deadlines under a millisecond, which is the finest that the one call can do.
//!
//! Others wake the loop through [`Waker`]: on the direct path a counter of our own, watched edge-triggered and never
//! read; on the portable path the poller's `notify`.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use polling::{Events, Poller};

use super::interest::{ERR, HUP, PRIORITY, READ, WRITE};
use super::registry::Registry;

/// One ready source, as the system named it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) key: usize,
    pub(crate) bits: u8,
}

impl Ready {
    /// Whether it is a source, and not what woke the loop. (That one has a key that no source has.)
    pub(crate) fn is_source(&self) -> bool {
        self.key < WAKE_KEY
    }
}

/// The key of the loop's own wake-up counter. The poller keeps `usize::MAX` for itself.
const WAKE_KEY: usize = usize::MAX - 1;

/// How many events one wait takes at most: the rest shows up in the next turn. 1024 is what mio, tokio and libuv take.
#[cfg(any(target_os = "linux", target_os = "android"))]
const BATCH: usize = 1024;

/// A wait longer than this is cut: the loop looks around and waits again. One day keeps every conversion in range.
const LONGEST: u64 = 86_400_000_000_000;

/// Below this the direct path, which counts in whole milliseconds, is too coarse.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MILLISECOND: u64 = 1_000_000;

#[cfg(any(target_os = "linux", target_os = "android"))]
const ALL: u8 = {
    use rustix::event::epoll::EventFlags as F;
    // What lets the flags be taken as they are.
    assert!(F::IN.bits() == READ as u32 && F::PRI.bits() == PRIORITY as u32 && F::OUT.bits() == WRITE as u32);
    assert!(F::ERR.bits() == ERR as u32 && F::HUP.bits() == HUP as u32);
    READ | PRIORITY | WRITE | ERR | HUP
};

/// Wakes a loop that waits, from any thread.
#[derive(Debug)]
pub(crate) enum Waker {
    /// Through `Poller::notify`.
    Poller(Arc<Poller>),
    /// Through an event counter of our own.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Counter(rustix::fd::OwnedFd),
}

impl Waker {
    pub(crate) fn wake(&self) {
        // Nobody could do anything about an error here; there is none on an open counter that is never full.
        match self {
            Waker::Poller(poller) => drop(poller.notify()),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Waker::Counter(fd) => drop(rustix::io::write(fd, &1u64.to_ne_bytes())),
        }
    }
}

/// How the loop waits.
pub(crate) struct Waiter {
    registry: Registry,
    events: RefCell<Events>,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    direct: Option<RefCell<Vec<rustix::event::epoll::Event>>>,
}

impl Waiter {
    /// Makes the way to wait, and what wakes it. `portable` asks for `Poller::wait` everywhere.
    pub(crate) fn new(registry: &Registry, portable: bool) -> io::Result<(Waiter, Waker)> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if !portable && !cfg!(ropewalk_portable_wait) {
            use rustix::event::{EventfdFlags, eventfd};
            use std::os::fd::AsFd;

            let counter = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            registry.add_waker(counter.as_fd(), WAKE_KEY)?;
            let waiter = Waiter {
                registry: registry.clone(),
                events: RefCell::new(Events::new()),
                direct: Some(RefCell::new(Vec::with_capacity(BATCH))),
            };
            return Ok((waiter, Waker::Counter(counter)));
        }
        let _ = portable;
        let waiter = Waiter {
            registry: registry.clone(),
            events: RefCell::new(Events::new()),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            direct: None,
        };
        Ok((waiter, Waker::Poller(registry.poller.clone())))
    }

    /// Waits until something is ready, somebody wakes the loop, or `timeout` nanoseconds are over (`None`: no limit).
    /// Ready sources are appended to `ready`. May come back early with nothing, as after a signal.
    #[cfg_attr(not(debug_assertions), inline(always))] // called from two places, one of them for recordings only
    pub(crate) fn wait(&self, timeout: Option<u64>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let timeout = timeout.map(|t| t.min(LONGEST));
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(list) = &self.direct
            && !matches!(timeout, Some(1..MILLISECOND))
        {
            return self.wait_directly(&mut list.borrow_mut(), timeout, ready);
        }
        self.wait_portably(timeout, ready)
    }

    fn wait_portably(&self, timeout: Option<u64>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let mut events = self.events.borrow_mut();
        events.clear(); // `wait` appends
        self.registry.poller.wait(&mut events, timeout.map(Duration::from_nanos))?;
        for event in events.iter().filter(|event| event.key != WAKE_KEY) {
            let mut bits = 0;
            if event.readable {
                bits |= READ;
            }
            if event.writable {
                bits |= WRITE;
            }
            if event.is_priority() {
                bits |= PRIORITY;
            }
            if event.is_interrupt() {
                bits |= HUP;
            }
            if event.is_err() == Some(true) {
                bits |= ERR;
            }
            ready.push(Ready { key: event.key, bits: if bits == 0 { HUP } else { bits } });
        }
        Ok(())
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn wait_directly(
        &self,
        list: &mut Vec<rustix::event::epoll::Event>,
        timeout: Option<u64>,
        ready: &mut Vec<Ready>,
    ) -> io::Result<()> {
        use rustix::buffer::spare_capacity;
        use rustix::event::{Timespec, epoll};
        use rustix::io::Errno;
        use std::os::fd::AsFd;

        let limit =
            timeout.map(|t| Timespec { tv_sec: (t / 1_000_000_000) as _, tv_nsec: (t % 1_000_000_000) as _ });
        list.clear();
        loop {
            match epoll::wait(self.registry.poller.as_fd(), spare_capacity(list), limit.as_ref()) {
                Ok(_) => break,
                // With a limit the caller must reckon anew how long is left.
                Err(Errno::INTR) if timeout.is_some_and(|t| t > 0) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // Among them may be the counter, and a timer that a `Poller::wait` left armed when it ended early. Both have told
        // all they can by waking us: the one is edge-triggered, the other one-shot. Their keys name no source.
        ready.extend(list.iter().map(|event| {
            let (flags, data) = (event.flags, event.data); // packed: not to be borrowed
            Ready { key: data.u64() as usize, bits: flags.bits() as u8 & ALL }
        }));
        Ok(())
    }
}
