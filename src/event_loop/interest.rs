//! What a source is watched for, and what the system said about it.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// Bits shared by [`Interest`] and [`Readiness`]: those of epoll, so that there is nothing to translate there.
///
/// ```text
///   16    8     4       2         1
///  HUP   ERR  WRITE  PRIORITY   READ
/// ```
pub(crate) const READ: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const WRITE: u8 = 4;
pub(crate) const ERR: u8 = 8;
pub(crate) const HUP: u8 = 16;

/// What a source is watched for.
///
/// ```
/// use ropewalk::Interest;
///
/// let both = Interest::READ | Interest::WRITE;
/// assert_eq!(both, Interest::BOTH);
/// assert!(both.is_read() && both.is_write());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interest(pub(crate) u8);

impl Interest {
    /// Nothing: the source is paused.
    pub const NONE: Interest = Interest(0);
    /// Data (or a connection) to take in.
    pub const READ: Interest = Interest(READ);
    /// Room to write.
    pub const WRITE: Interest = Interest(WRITE);
    /// Both.
    pub const BOTH: Interest = Interest(READ | WRITE);

    /// That the peer is gone, and nothing else. Only where the system tells of it unasked (epoll).
    pub(crate) const HANG_UP: Interest = Interest(HUP | ERR);

    /// Whether it holds [`Interest::READ`].
    pub const fn is_read(self) -> bool {
        self.0 & READ != 0
    }

    /// Whether it holds [`Interest::WRITE`].
    pub const fn is_write(self) -> bool {
        self.0 & WRITE != 0
    }

    /// Whether it is [`Interest::NONE`].
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }
}

impl BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Interest) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.is_read(), self.is_write()) {
            (false, false) => "NONE",
            (true, false) => "READ",
            (false, true) => "WRITE",
            (true, true) => "BOTH",
        })
    }
}

/// What the system said about a source, cut to what it is watched for.
///
/// A hang-up or an error makes a source readable and writable as far as it is watched: the next `read` or `write` tells
/// the rest.
///
/// ```
/// use ropewalk::{EventLoop, Interest, Removed};
/// use std::io::Write;
/// use std::os::unix::net::UnixStream;
///
/// let event_loop = EventLoop::new()?;
/// let (ours, mut theirs) = UnixStream::pair()?;
/// let id = event_loop.register(ours, Interest::READ, |event_loop, _, readiness| {
///     assert!(readiness.is_readable());
///     event_loop.stop();
/// })?;
/// theirs.write_all(b"hello")?;
/// event_loop.run()?;
/// # event_loop.remove(id).now();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Readiness(pub(crate) u8);

impl Readiness {
    /// A `read` or `accept` will not block.
    pub const fn is_readable(self) -> bool {
        self.0 & READ != 0
    }

    /// A `write` will not block, or a `connect` is over.
    pub const fn is_writable(self) -> bool {
        self.0 & WRITE != 0
    }

    /// Both directions are shut: the peer is gone.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Interest};
    /// use std::os::unix::net::UnixStream;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (ours, theirs) = UnixStream::pair()?;
    /// event_loop.register(ours, Interest::READ, |event_loop, _, readiness| {
    ///     assert!(readiness.is_hang_up() && readiness.is_readable()); // a read gives 0: the end
    ///     assert!(!readiness.is_writable()); // nobody asked
    ///     event_loop.stop();
    /// })?;
    /// drop(theirs);
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn is_hang_up(self) -> bool {
        self.0 & HUP != 0
    }

    /// An error waits to be read; where the system does not say, `false`.
    pub const fn is_error(self) -> bool {
        self.0 & ERR != 0
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = f.debug_set();
        for (bit, name) in [(READ, "READABLE"), (WRITE, "WRITABLE"), (HUP, "HANG_UP"), (ERR, "ERROR")] {
            if self.0 & bit != 0 {
                names.entry(&format_args!("{name}"));
            }
        }
        names.finish()
    }
}
