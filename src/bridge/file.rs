//! Files to await, on the worker pool.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, SeekFrom};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::event_loop::fs::{self, FsError, OpenOptions};
use crate::event_loop::{EventLoop, Handle};
use crate::ground::{Deferred, Failure};

use super::awaiting::DeferredFuture;
use super::io::closed;
use super::stream::as_io_error;

/// How much one job reads or writes at most, in bytes: 64 KiB make the way to another thread and back a small part of it.
const CHUNK: usize = 64 * 1024;

/// An open file, to await. Reading and writing run on the loop's worker pool, one job at a time, in order.
///
/// Dropping a future of a method here loses nothing: a read that was under way is what the next read gives, and a write
/// goes on. [`flush`](File::flush) waits for it and tells its error. Dropping the file lets a write go on as well.
///
/// ```
/// use ropewalk::{EventLoop, bridge::File, fs::OpenOptions};
///
/// let event_loop = EventLoop::new()?;
/// let path = std::env::temp_dir().join(format!("ropewalk-file-doc-{}", std::process::id()));
/// let text = event_loop.block_on(async {
///     let mut options = OpenOptions::new();
///     options.create(true).truncate(true).read(true).write(true);
///     let mut file = File::open(&event_loop, &path, options).await?;
///     file.write_all(b"If I were").await?;
///     file.seek(std::io::SeekFrom::Start(3)).await?;
///     let mut buffer = [0; 16];
///     let n = file.read(&mut buffer).await?;
///     Ok(buffer[..n].to_vec())
/// })?;
/// assert_eq!(text, b"I were");
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct File {
    file: fs::File,
    event_loop: Handle,
    state: State,
}

enum State {
    Idle,
    /// Read, and not given yet, from that place on.
    Read(Vec<u8>, usize),
    Reading(DeferredFuture<Vec<u8>>),
    Writing(DeferredFuture<()>),
    Seeking(DeferredFuture<u64>),
}

impl File {
    /// Opens a file as `options` say.
    ///
    /// # Errors
    ///
    /// The system's.
    pub async fn open(
        event_loop: impl Into<Handle>,
        path: impl Into<PathBuf>,
        options: OpenOptions,
    ) -> io::Result<File> {
        let event_loop = event_loop.into();
        let file = event_loop.with(|event_loop| fs::open(event_loop, path, options)).map_err(|_| closed())?;
        Ok(File { file: file.await.map_err(error)?, event_loop, state: State::Idle })
    }

    /// A file that was opened before.
    pub fn new(event_loop: impl Into<Handle>, file: fs::File) -> File {
        File { file, event_loop: event_loop.into(), state: State::Idle }
    }

    fn job<T>(&self, f: impl FnOnce(&EventLoop, &fs::File) -> Deferred<T>) -> io::Result<DeferredFuture<T>> {
        let job = self.event_loop.with(|event_loop| f(event_loop, &self.file)).map_err(|_| closed())?;
        Ok(job.into_future())
    }

    /// Reads at the file's position, at most what `buffer` holds. 0 is the end of the file.
    pub fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match &mut self.state {
                State::Read(data, from) => {
                    let n = buffer.len().min(data.len() - *from);
                    buffer[..n].copy_from_slice(&data[*from..*from + n]);
                    *from += n;
                    if *from == data.len() {
                        self.state = State::Idle;
                    }
                    return Poll::Ready(Ok(n));
                }
                State::Idle if buffer.is_empty() => return Poll::Ready(Ok(0)),
                State::Idle => {
                    let max = buffer.len().min(CHUNK);
                    self.state = State::Reading(self.job(|event_loop, file| file.read(event_loop, max))?);
                }
                State::Reading(read) => match std::task::ready!(Pin::new(read).poll(context)) {
                    Ok(data) => self.state = State::Read(data, 0),
                    Err(failure) => {
                        self.state = State::Idle;
                        return Poll::Ready(Err(error(failure)));
                    }
                },
                State::Writing(_) | State::Seeking(_) => std::task::ready!(self.poll_flush(context))?,
            }
        }
    }

    /// Takes data to write, at most 64 KiB at a time, and begins to. The error of it is that of the next call.
    pub fn poll_write(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_settled(context))?;
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let data = &data[..data.len().min(CHUNK)];
        self.state = State::Writing(self.job(|event_loop, file| file.write(event_loop, data.to_vec()))?);
        Poll::Ready(Ok(data.len()))
    }

    /// Waits until what was written is with the system. (Not on the disk.)
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = match &mut self.state {
            State::Writing(write) => std::task::ready!(Pin::new(write).poll(context)),
            State::Seeking(seek) => std::task::ready!(Pin::new(seek).poll(context)).map(drop),
            State::Idle | State::Read(..) | State::Reading(_) => return Poll::Ready(Ok(())),
        };
        self.state = State::Idle;
        Poll::Ready(result.map_err(error))
    }

    /// Waits until no job runs, with the position where the program believes it is: bytes that were read and not given go
    /// back.
    fn poll_settled(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                State::Idle => return Poll::Ready(Ok(())),
                State::Writing(_) | State::Seeking(_) => std::task::ready!(self.poll_flush(context))?,
                State::Reading(read) => {
                    let read = std::task::ready!(Pin::new(read).poll(context));
                    self.state = State::Idle;
                    self.state = State::Read(read.map_err(error)?, 0);
                }
                State::Read(data, from) => {
                    let back = (data.len() - *from) as i64;
                    let to = SeekFrom::Current(-back);
                    self.state = State::Seeking(self.job(|event_loop, file| file.seek(event_loop, to))?);
                }
            }
        }
    }

    /// Reads at the file's position, at most what `buffer` holds. 0 is the end of the file.
    ///
    /// # Errors
    ///
    /// The system's.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context, buffer)).await
    }

    /// Writes all of `data` at the file's position, and waits until it is with the system.
    ///
    /// # Errors
    ///
    /// The system's; a part of the data may have been written.
    pub async fn write_all(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let n = poll_fn(|context| self.poll_write(context, data)).await?;
            data = &data[n..];
        }
        self.flush().await
    }

    /// Waits until what was written is with the system. (Not on the disk.)
    ///
    /// # Errors
    ///
    /// That of the write.
    ///
    /// ```
    /// use ropewalk::{EventLoop, bridge::File, fs::OpenOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let path = std::env::temp_dir().join(format!("ropewalk-doc-flush-{}", std::process::id()));
    /// let mut options = OpenOptions::new();
    /// options.write(true).create(true);
    /// event_loop.block_on(async {
    ///     let mut file = File::open(&event_loop, &path, options).await?;
    ///     file.write_all(b"If I were").await?;
    ///     file.flush().await?; // an error of the write would be told here
    ///     assert_eq!(std::fs::read_to_string(&path)?, "If I were");
    ///     Ok(())
    /// })?;
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|context| self.poll_flush(context)).await
    }

    /// Moves the position; answers the new one, in bytes from the start.
    ///
    /// # Errors
    ///
    /// The system's.
    pub async fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        poll_fn(|context| self.poll_settled(context)).await?;
        self.state = State::Seeking(self.job(|event_loop, file| file.seek(event_loop, to))?);
        poll_fn(|context| {
            let State::Seeking(seek) = &mut self.state else { return Poll::Ready(Err(closed())) };
            let sought = std::task::ready!(Pin::new(seek).poll(context));
            self.state = State::Idle;
            Poll::Ready(sought.map_err(error))
        })
        .await
    }

    /// The file itself, for what is not here. Jobs that it is given run beside those of this one.
    pub fn get_ref(&self) -> &fs::File {
        &self.file
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if let State::Writing(write) = std::mem::replace(&mut self.state, State::Idle) {
            write.detach();
        }
    }
}

fn error(failure: Failure) -> io::Error {
    match failure.downcast::<FsError>() {
        Ok(error) => io::Error::new(error.io_error().kind(), error),
        Err(failure) => as_io_error(failure),
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("path", &self.file.path()).finish_non_exhaustive()
    }
}
