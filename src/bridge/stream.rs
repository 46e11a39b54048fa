//! Streams of bytes to await: `TcpStream`, `UnixStream`, and whatever else reads and writes.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::Location;
use std::path::Path;
use std::task::{Context, Poll};

use rustix::io::Errno;
use socket2::SockRef;

use crate::event_loop::sockets::{self, errno};
use crate::event_loop::{EventLoop, Handle, Interest};
use crate::ground::Failure;

use super::io::{Direction, Io, closed};
use super::scratch;

/// A connection over TCP, to await.
pub type TcpStream = Stream<std::net::TcpStream>;

/// A connection over a Unix socket, to await.
pub type UnixStream = Stream<std::os::unix::net::UnixStream>;

/// A stream of bytes on a loop: anything with a descriptor whose reference can be read and written.
///
/// One task may read while another one writes: the methods take `&self`, so that an `Rc` of it serves both. For each of the
/// two directions there is one place for who waits; a second task that reads takes the place of the first, which is then
/// not woken.
///
/// A future of a method here may be dropped at any time. What it had read or written by then is done, and the next call
/// goes on from there; for [`write_all`](Stream::write_all) and [`read_exact`](Stream::read_exact) nobody knows how much
/// that was. Dropping the stream takes it out of the loop and closes it.
///
/// ```
/// use ropewalk::{EventLoop, bridge::{TcpListener, TcpStream}};
///
/// let event_loop = EventLoop::new()?;
/// event_loop.block_on(async {
///     let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse()?)?;
///     let address = listener.local_addr()?;
///     let handle = event_loop.handle();
///     let client = event_loop.spawn(async move {
///         let stream = TcpStream::connect(&handle, address).await?;
///         stream.write_all(b"a poem, please\n").await?;
///         stream.shutdown()?;
///         Ok(stream.read_to_end(1024).await?)
///     });
///     let server = listener.accept().await?;
///     let asked = server.read_to_end(1024).await?;
///     server.write_all(&asked.to_ascii_uppercase()).await?;
///     drop(server);
///     assert_eq!(client.await?, b"A POEM, PLEASE\n");
///     Ok(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Stream<S: AsFd + 'static> {
    io: Io<S>,
}

impl<S: AsFd + 'static> Stream<S>
where
    for<'a> &'a S: Read + Write,
{
    /// Hands a source that does not block to the loop.
    ///
    /// # Errors
    ///
    /// The system refuses to watch it, or it is registered already. The source is closed then.
    #[track_caller]
    pub fn new(event_loop: &EventLoop, source: S) -> io::Result<Stream<S>> {
        Ok(Stream { io: Io::new(event_loop, source, Interest::READ)? })
    }

    /// The source, to ask and set what it has beside reading and writing.
    pub fn get_ref(&self) -> &S {
        self.io.source()
    }

    /// Its loop.
    pub fn event_loop(&self) -> &Handle {
        self.io.event_loop()
    }

    /// Reads what is there, at most what `buffer` holds. 0 is the end (or an empty buffer).
    ///
    /// For futures that are written by hand, and for codecs.
    ///
    /// ```
    /// use ropewalk::{EventLoop, bridge::UnixStream};
    /// use std::future::poll_fn;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (ours, theirs) = UnixStream::pair(&event_loop)?;
    /// event_loop.block_on(async {
    ///     let sent = poll_fn(|context| theirs.poll_write(context, b"hello")).await?;
    ///     let mut buffer = [0; 16];
    ///     let came = poll_fn(|context| ours.poll_read(context, &mut buffer)).await?;
    ///     assert_eq!((sent, &buffer[..came]), (5, &b"hello"[..]));
    ///     Ok(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let polled = self.io.poll(context, Direction::Read, |mut source| source.read(buffer));
        if let Poll::Ready(Ok(n)) = &polled
            && *n > 0
            && *n < buffer.len()
        {
            self.io.exhausted(Direction::Read);
        }
        polled
    }

    /// Writes as much of `data` as there is room for, at least one byte of what is not empty.
    pub fn poll_write(&self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let polled = self.io.poll(context, Direction::Write, |mut source| source.write(data));
        self.written(&polled, data.len());
        polled
    }

    /// The same with data in pieces, in one system call.
    pub fn poll_write_vectored(&self, context: &mut Context<'_>, data: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let polled = self.io.poll(context, Direction::Write, |mut source| source.write_vectored(data));
        // The system may take fewer pieces than it was given, so a short write means nothing here.
        self.written(&polled, 0);
        polled
    }

    fn written(&self, polled: &Poll<io::Result<usize>>, asked: usize) {
        if let Poll::Ready(Ok(n)) = polled
            && *n < asked
        {
            self.io.exhausted(Direction::Write);
        }
    }

    /// Waits for something to read, and reads at most what `buffer` holds. 0 is the end.
    ///
    /// # Errors
    ///
    /// The system's. [`io::ErrorKind::NotConnected`] when the loop is gone.
    ///
    /// ```
    /// use ropewalk::{EventLoop, bridge::UnixStream};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (ours, theirs) = UnixStream::pair(&event_loop)?;
    /// event_loop.block_on(async {
    ///     theirs.write_all(b"If I were").await?;
    ///     drop(theirs);
    ///     let mut buffer = [0; 4];
    ///     let mut pieces = Vec::new();
    ///     loop {
    ///         match ours.read(&mut buffer).await? {
    ///             0 => break,
    ///             n => pieces.push(n),
    ///         }
    ///     }
    ///     assert_eq!(pieces, [4, 4, 1]);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context, buffer)).await
    }

    /// Waits until a read is worth trying. It may still wait: readiness is what the system said last.
    ///
    /// With it a program that has many connections needs buffers only for those from which something comes.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotConnected`] when the loop is gone.
    ///
    /// ```
    /// use ropewalk::{EventLoop, bridge::UnixStream};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (ours, theirs) = UnixStream::pair(&event_loop)?;
    /// event_loop.call_soon(move |_| drop(theirs));
    /// event_loop.block_on(async {
    ///     ours.readable().await?; // here this task has no buffer
    ///     let mut buffer = vec![0; 64 * 1024];
    ///     assert_eq!(ours.read(&mut buffer).await?, 0);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|context| self.io.poll(context, Direction::Read, |_| Ok(()))).await
    }

    /// Fills `buffer`.
    ///
    /// # Errors
    ///
    /// As for [`read`](Stream::read); [`io::ErrorKind::UnexpectedEof`] when the stream ends before it is full.
    ///
    /// ```
    /// use ropewalk::{EventLoop, bridge::UnixStream};
    /// use std::io;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (ours, theirs) = UnixStream::pair(&event_loop)?;
    /// event_loop.block_on(async {
    ///     theirs.write_all(b"\x00\x02OK\x00").await?;
    ///     drop(theirs);
    ///     let mut length = [0; 2];
    ///     ours.read_exact(&mut length).await?;
    ///     let mut body = vec![0; u16::from_be_bytes(length).into()];
    ///     ours.read_exact(&mut body).await?;
    ///     assert_eq!(body, b"OK");
    ///     // One byte is left where two are wanted.
    ///     let error = ours.read_exact(&mut length).await.unwrap_err();
    ///     assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn read_exact(&self, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read(buffer).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => buffer = &mut buffer[n..],
            }
        }
        Ok(())
    }

    /// Reads to the end of the stream, at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// As for [`read`](Stream::read); [`io::ErrorKind::FileTooLarge`] when there are more than `limit` bytes.
    ///
    /// ```
    /// use ropewalk::{EventLoop, bridge::UnixStream};
    /// use std::io;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (ours, theirs) = UnixStream::pair(&event_loop)?;
    /// event_loop.block_on(async {
    ///     theirs.write_all(b"too long").await?;
    ///     let error = ours.read_to_end(5).await.unwrap_err(); // it does not wait for the end
    ///     assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn read_to_end(&self, limit: usize) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            // One byte past the limit tells that there is more.
            let room = (limit - all.len()).saturating_add(1);
            let read = poll_fn(|context| {
                scratch::with(room, |buffer| {
                    let polled = self.poll_read(context, buffer);
                    if let Poll::Ready(Ok(n)) = polled {
                        all.extend_from_slice(&buffer[..n]);
                    }
                    polled
                })
            });
            if read.await? == 0 {
                return Ok(all);
            }
            if all.len() > limit {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
    }

    /// Waits for room, and writes as much of `data` as there is room for.
    ///
    /// # Errors
    ///
    /// The system's. [`io::ErrorKind::NotConnected`] when the loop is gone.
    pub async fn write(&self, data: &[u8]) -> io::Result<usize> {
        poll_fn(|context| self.poll_write(context, data)).await
    }

    /// Writes all of `data`, as fast as the other end takes it.
    ///
    /// # Errors
    ///
    /// As for [`write`](Stream::write).
    pub async fn write_all(&self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            match self.write(data).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => data = &data[n..],
            }
        }
        Ok(())
    }

    /// Says that nothing more will be written. Reading goes on. What is no socket has its end with its descriptor, and a
    /// connection that is gone has no end to tell: for both this does nothing.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn shutdown(&self) -> io::Result<()> {
        match SockRef::from(self.get_ref()).shutdown(Shutdown::Write).map_err(errno) {
            Ok(()) | Err(Errno::NOTSOCK | Errno::NOTCONN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until a connection that is under way stands.
    async fn connected(self, error: impl Fn(&S) -> io::Result<Option<io::Error>>) -> io::Result<Stream<S>> {
        let attempt = |source: &S| match error(source)? {
            Some(error) => Err(error),
            None => Ok(()),
        };
        poll_fn(|context| self.io.poll(context, Direction::Write, attempt)).await?;
        Ok(self)
    }
}

/// The loop, as a stream wants it.
fn with<R>(event_loop: &Handle, f: impl FnOnce(&EventLoop) -> io::Result<R>) -> io::Result<R> {
    event_loop.with(f).unwrap_or_else(|_| Err(closed()))
}

impl Stream<std::net::TcpStream> {
    /// Connects to an address.
    ///
    /// # Errors
    ///
    /// The system's: refused, unreachable, timed out after some minutes.
    /// [`timeout`](super::timeout) has less patience.
    pub async fn connect(event_loop: impl Into<Handle>, address: SocketAddr) -> io::Result<TcpStream> {
        let event_loop = event_loop.into();
        let begun = with(&event_loop, |event_loop| {
            let source = sockets::tcp(address)?;
            sockets::connect(&source, &address.into())?;
            let source = std::net::TcpStream::from(source);
            Ok(Stream { io: Io::new(event_loop, source, Interest::BOTH)? })
        })?;
        begun.connected(std::net::TcpStream::take_error).await
    }

    /// Connects to `host:port`. The addresses of the host are looked up on a thread, and tried one after the other.
    ///
    /// # Errors
    ///
    /// That of the look-up, or of the last address.
    ///
    /// ```
    /// use ropewalk::{EventLoop, bridge::{TcpListener, TcpStream}};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse()?)?;
    /// let target = format!("localhost:{}", listener.local_addr()?.port());
    /// event_loop.block_on(async {
    ///     let stream = TcpStream::connect_host(&event_loop, &target).await?;
    ///     assert!(stream.get_ref().peer_addr()?.ip().is_loopback());
    ///     Ok(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn connect_host(event_loop: impl Into<Handle>, target: &str) -> io::Result<TcpStream> {
        let event_loop = event_loop.into();
        if let Ok(address) = target.parse() {
            return TcpStream::connect(event_loop, address).await;
        }
        let target = target.to_owned();
        let place = Location::caller();
        let found = with(&event_loop, |event_loop| {
            Ok(event_loop.defer_look_up(place, move || Ok(target.to_socket_addrs().map(Vec::from_iter))))
        })?;
        let addresses = found.await.map_err(as_io_error)??;
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses {
            match TcpStream::connect(&event_loop, address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Stream<std::os::unix::net::UnixStream> {
    /// Connects to a Unix socket.
    ///
    /// # Errors
    ///
    /// The system's; [`io::ErrorKind::WouldBlock`] when the listener's queue is full.
    pub async fn connect(event_loop: impl Into<Handle>, path: impl AsRef<Path>) -> io::Result<UnixStream> {
        let begun = with(&event_loop.into(), |event_loop| {
            let source = sockets::unix()?;
            sockets::connect(&source, &sockets::unix_address(path.as_ref())?)?;
            let source = std::os::unix::net::UnixStream::from(source);
            Ok(Stream { io: Io::new(event_loop, source, Interest::BOTH)? })
        })?;
        begun.connected(std::os::unix::net::UnixStream::take_error).await
    }

    /// Two ends of one connection, on the same loop.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// ```
    /// use ropewalk::{EventLoop, bridge::UnixStream};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (ours, theirs) = UnixStream::pair(&event_loop)?;
    /// let echo = event_loop.spawn(async move {
    ///     let all = theirs.read_to_end(1024).await?;
    ///     Ok(theirs.write_all(&all).await?)
    /// });
    /// let text = event_loop.block_on(async {
    ///     ours.write_all(b"hello").await?;
    ///     ours.shutdown()?;
    ///     echo.await?;
    ///     Ok(ours.read_to_end(1024).await?)
    /// })?;
    /// assert_eq!(text, b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn pair(event_loop: &EventLoop) -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = std::os::unix::net::UnixStream::pair()?;
        one.set_nonblocking(true)?;
        other.set_nonblocking(true)?;
        Ok((Stream::new(event_loop, one)?, Stream::new(event_loop, other)?))
    }
}

/// A failure as a future of `std::io` has it.
pub(super) fn as_io_error(failure: Failure) -> io::Error {
    match failure.downcast::<io::Error>() {
        Ok(error) => error,
        Err(failure) => io::Error::other(Box::<dyn std::error::Error + Send + Sync>::from(failure)),
    }
}

/// A connection that a listener took out of its queue.
pub(super) fn accepted<S>(event_loop: &Handle, fd: OwnedFd) -> io::Result<Stream<S>>
where
    S: AsFd + From<OwnedFd> + 'static,
    for<'a> &'a S: Read + Write,
{
    with(event_loop, |event_loop| Stream::new(event_loop, S::from(fd)))
}

impl<S: AsFd + 'static> AsFd for Stream<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.source().as_fd()
    }
}

impl<S: AsFd + 'static> fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("fd", &self.as_fd()).finish_non_exhaustive()
    }
}
