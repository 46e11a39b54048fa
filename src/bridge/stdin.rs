//! Standard input to await.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use crate::event_loop::{EventLoop, Interest};

use super::io::{Direction, Io};

/// Standard input on a loop: a pipe, a terminal, or a file that the system holds to be always ready.
///
/// Its descriptor is shared with the shell and with other processes, so it is left as it is, blocking: it is read only when
/// the system says that there is something, and once each time. Should another process take that first, the read
/// waits. A loop has it at most once; the standard library's buffer is passed by.
///
/// ```no_run
/// use ropewalk::{EventLoop, bridge::Stdin};
///
/// let event_loop = EventLoop::new()?;
/// let stdin = Stdin::new(&event_loop)?;
/// let bytes = event_loop.block_on(async {
///     let (mut buffer, mut bytes) = ([0; 4096], 0);
///     loop {
///         match stdin.read(&mut buffer).await? {
///             0 => return Ok(bytes), // Ctrl-D, or the end of the pipe
///             n => bytes += n,
///         }
///     }
/// })?;
/// println!("{bytes} bytes came in");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Stdin {
    io: Io<io::Stdin>,
}

impl Stdin {
    /// Hands standard input to the loop.
    ///
    /// # Errors
    ///
    /// The loop has it already, or it is closed.
    #[track_caller]
    pub fn new(event_loop: &EventLoop) -> io::Result<Stdin> {
        Ok(Stdin { io: Io::new(event_loop, io::stdin(), Interest::READ)? })
    }

    /// Reads what is there, at most what `buffer` holds. 0 is the end.
    pub fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let polled = self.io.poll(context, Direction::Read, |stdin| Ok(rustix::io::read(stdin, &mut *buffer)?));
        self.io.exhausted(Direction::Read);
        polled
    }

    /// Waits for something to read, and reads at most what `buffer` holds. 0 is the end.
    ///
    /// # Errors
    ///
    /// The system's.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context, buffer)).await
    }
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<Stdin on a loop>")
    }
}
