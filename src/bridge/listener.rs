//! Listeners to await: `TcpListener`, `UnixListener`.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::task::{Context, Poll};

use crate::event_loop::sockets;
use crate::event_loop::{EventLoop, Interest};

use super::io::{Direction, Io};
use super::stream::{TcpStream, UnixStream, accepted};

/// Listens for connections over TCP.
///
/// ```
/// use ropewalk::{EventLoop, bridge::{TcpListener, TcpStream}};
///
/// let event_loop = EventLoop::new()?;
/// let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse()?)?;
/// let address = listener.local_addr()?;
/// let greeted = event_loop.spawn(async move {
///     let stream = listener.accept().await?;
///     Ok(stream.write_all(b"hello").await?)
/// });
/// let text = event_loop.block_on(async {
///     let stream = TcpStream::connect(&event_loop, address).await?;
///     let mut text = [0; 5];
///     stream.read_exact(&mut text).await?;
///     greeted.await?;
///     Ok(text)
/// })?;
/// assert_eq!(&text, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type TcpListener = Listener<std::net::TcpListener>;

/// Listens for connections to a Unix socket. The socket's file stays when it is dropped.
///
/// ```
/// use ropewalk::{EventLoop, bridge::{UnixListener, UnixStream}};
///
/// let event_loop = EventLoop::new()?;
/// let path = std::env::temp_dir().join(format!("ropewalk-doc-listener-{}", std::process::id()));
/// let listener = UnixListener::bind(&event_loop, &path)?;
/// event_loop.block_on(async {
///     let _ours = UnixStream::connect(&event_loop, &path).await?;
///     let _theirs = listener.accept().await?;
///     Ok(())
/// })?;
/// drop(listener);
/// assert!(path.exists()); // the next `bind` would say that the address is in use
/// std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type UnixListener = Listener<std::os::unix::net::UnixListener>;

/// A listening socket on a loop. `accept` gives one connection after the other. Dropping it takes it out of the loop and
/// closes it.
///
/// Unlike [`EventLoop::listen_tcp`], it has no limits and does nothing about a lack of descriptors: `accept` gives that
/// error (`EMFILE` and its like), and whoever gets it waits before the next `accept`.
///
/// ```
/// use ropewalk::{EventLoop, bridge::Listener};
///
/// let event_loop = EventLoop::new()?;
/// let socket = std::net::TcpListener::bind("127.0.0.1:0")?; // or one that the system handed over
/// socket.set_nonblocking(true)?;
/// let listener = Listener::new(&event_loop, socket)?;
/// let peer = std::net::TcpStream::connect(listener.get_ref().local_addr()?)?;
/// let accepted = event_loop.block_on(async { Ok(listener.accept().await?) })?;
/// assert_eq!(accepted.get_ref().peer_addr()?, peer.local_addr()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Listener<L: AsFd + 'static> {
    io: Io<L>,
}

impl<L: AsFd + 'static> Listener<L> {
    /// Hands a listening socket that does not block to the loop.
    ///
    /// # Errors
    ///
    /// The system refuses to watch it, or it is registered already. The socket is closed then.
    #[track_caller]
    pub fn new(event_loop: &EventLoop, socket: L) -> io::Result<Listener<L>> {
        Ok(Listener { io: Io::new(event_loop, socket, Interest::READ)? })
    }

    /// The socket.
    pub fn get_ref(&self) -> &L {
        self.io.source()
    }

    fn poll_descriptor(&self, context: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        self.io.poll(context, Direction::Read, |socket| Ok(sockets::accept(socket)?.0))
    }

    async fn accept_as<S>(&self) -> io::Result<super::Stream<S>>
    where
        S: AsFd + From<OwnedFd> + 'static,
        for<'a> &'a S: Read + Write,
    {
        loop {
            match poll_fn(|context| self.poll_descriptor(context)).await {
                Ok(fd) => return accepted(self.io.event_loop(), fd),
                // Of this one connection: its peer was faster.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Listener<std::net::TcpListener> {
    /// Listens on an address. Port 0 is any free port: [`local_addr`](Listener::local_addr) tells which.
    ///
    /// # Errors
    ///
    /// The system's: the address is in use, or not ours.
    #[track_caller]
    pub fn bind(event_loop: &EventLoop, address: SocketAddr) -> io::Result<TcpListener> {
        let socket = std::net::TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        Listener::new(event_loop, socket)
    }

    /// The address that it listens on.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().local_addr()
    }

    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// The system's, such as that no descriptor is left. A connection that its peer gave up is none.
    pub async fn accept(&self) -> io::Result<TcpStream> {
        self.accept_as().await
    }
}

impl Listener<std::os::unix::net::UnixListener> {
    /// Listens on a Unix socket, a file that is made now.
    ///
    /// # Errors
    ///
    /// The system's: usually because the file exists.
    #[track_caller]
    pub fn bind(event_loop: &EventLoop, path: impl AsRef<Path>) -> io::Result<UnixListener> {
        let socket = std::os::unix::net::UnixListener::bind(path)?;
        socket.set_nonblocking(true)?;
        Listener::new(event_loop, socket)
    }

    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// The system's, such as that no descriptor is left.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        self.accept_as().await
    }
}

impl<L: AsFd + 'static> AsFd for Listener<L> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.source().as_fd()
    }
}

impl<L: AsFd + 'static> fmt::Debug for Listener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("fd", &self.as_fd()).finish_non_exhaustive()
    }
}
