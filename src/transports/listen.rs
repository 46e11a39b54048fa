//! Settings of a listening socket, and the making of it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::path::Path;

use socket2::SockRef;

use super::address::{Address, Host, Target};
use super::listener::{Limits, Listener, Port};
use super::protocol::Protocol;
use crate::event_loop::EventLoop;
use crate::event_loop::sockets;
use crate::trace::Place;

/// How many connections may wait to be accepted: a burst must fit. The system cuts it to its own limit, usually 4096.
const BACKLOG: u32 = 1024;

/// How to listen for TCP connections.
///
/// ```
/// use ropewalk::{EventLoop, Failure, ListenTcp, Protocol, Transport};
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
///         Ok(transport.write(data)?)
///     }
/// }
///
/// let event_loop = EventLoop::new()?;
/// let port = ListenTcp::new("127.0.0.1:0")
///     .max_connections(1000)
///     .max_connections_per_peer(50)
///     .listen(&event_loop, |_, _| Some(Echo))?;
/// assert!(port.is_listening());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ListenTcp {
    address: Target,
    backlog: u32,
    reuse_address: bool,
    reuse_port: bool,
    limits: Limits,
}

impl ListenTcp {
    /// On this address: `"127.0.0.1:8000"`, `("::1", 8000)` or `"localhost:8000"`. Port 0 is any free port. Names other
    /// than `localhost` are not looked up here.
    pub fn new(address: impl Into<Target>) -> ListenTcp {
        ListenTcp {
            address: address.into(),
            backlog: BACKLOG,
            reuse_address: true,
            reuse_port: false,
            limits: Limits::NONE,
        }
    }

    /// How many connections may wait to be accepted. The default is 1024.
    pub fn backlog(mut self, backlog: u32) -> ListenTcp {
        self.backlog = backlog;
        self
    }

    /// Whether connections of an earlier server, that the system still remembers, do not matter (`SO_REUSEADDR`). The
    /// default is that they do not.
    pub fn reuse_address(mut self, reuse: bool) -> ListenTcp {
        self.reuse_address = reuse;
        self
    }

    /// Whether several sockets may listen on this address and share the connections (`SO_REUSEPORT`). The default is no.
    pub fn reuse_port(mut self, reuse: bool) -> ListenTcp {
        self.reuse_port = reuse;
        self
    }

    /// How many connections may be open at a time; more are accepted and closed. There is no limit by default.
    pub fn max_connections(mut self, limit: usize) -> ListenTcp {
        self.limits.total = limit;
        self
    }

    /// How many connections one IP address may have open at a time; more are accepted and closed. There is no limit by
    /// default.
    pub fn max_connections_per_peer(mut self, limit: usize) -> ListenTcp {
        self.limits.per_peer = limit;
        self
    }

    /// Listens. `factory` is called for each connection, with its peer; `None` refuses it.
    ///
    /// # Errors
    ///
    /// The address is no address, or the system refuses it: it is in use, or not ours.
    #[track_caller]
    pub fn listen<P: Protocol>(
        self,
        event_loop: &EventLoop,
        factory: impl FnMut(&EventLoop, &Address) -> Option<P> + 'static,
    ) -> io::Result<Port> {
        let place = Location::caller();
        let told = |error: io::Error| cannot_listen(&self.address, error);
        let address = literal(&self.address).map_err(told)?;
        let fd = self.bind(address).map_err(told)?;
        start(event_loop, fd, factory, self.limits, place).map_err(told)
    }

    fn bind(&self, address: SocketAddr) -> io::Result<OwnedFd> {
        let fd = sockets::tcp(address)?;
        let socket = SockRef::from(&fd);
        socket.set_reuse_address(self.reuse_address)?;
        if self.reuse_port {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(self.backlog.try_into().unwrap_or(i32::MAX))?;
        Ok(fd)
    }
}

fn literal(target: &Target) -> io::Result<SocketAddr> {
    match &target.0 {
        Host::Address(address) => Ok(*address),
        Host::Name(name, port) if name == "localhost" => Ok(SocketAddr::from(([127, 0, 0, 1], *port))),
        Host::Name(..) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a server listens on an address such as 127.0.0.1:80 or [::]:80, not on a name",
        )),
        Host::Unclear(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no address:port")),
    }
}

fn cannot_listen(address: &impl fmt::Display, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
}

fn start<P: Protocol>(
    event_loop: &EventLoop,
    fd: OwnedFd,
    mut factory: impl FnMut(&EventLoop, &Address) -> Option<P> + 'static,
    limits: Limits,
    place: Place,
) -> io::Result<Port> {
    let address = Address::of(&SockRef::from(&fd).local_addr()?);
    let build = Box::new(move |event_loop: &EventLoop, peer: &Address| {
        factory(event_loop, peer).map(|protocol| protocol.into_boxed())
    });
    Listener::open(event_loop, fd, address, build, limits, place).map_err(super::insert_error)
}

impl EventLoop {
    /// Listens for TCP connections. `factory` makes the protocol of each; `None` refuses the connection. Twisted's
    /// `listenTCP`. [`ListenTcp`] has settings.
    ///
    /// The socket listens when this returns. Port 0 is any free port: [`Port::address`] tells which.
    ///
    /// # Errors
    ///
    /// The address is no address, or the system refuses it: it is in use, or not ours.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Failure, Protocol, Transport};
    /// use std::io::Read;
    ///
    /// /// Says hello, and goodbye.
    /// struct Greeter;
    ///
    /// impl Protocol for Greeter {
    ///     fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
    ///         transport.write(b"hello")?;
    ///         transport.lose_connection();
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let event_loop = EventLoop::new()?;
    /// // Only for this machine; everybody else is sent away.
    /// let port = event_loop.listen_tcp("127.0.0.1:0", |_, peer| {
    ///     peer.ip().is_some_and(|ip| ip.is_loopback()).then_some(Greeter)
    /// })?;
    /// let address = port.address().as_tcp().unwrap();
    /// let heard = event_loop.defer_to_thread(move || {
    ///     let mut text = String::new();
    ///     std::net::TcpStream::connect(address)?.read_to_string(&mut text)?;
    ///     Ok(text)
    /// });
    /// assert_eq!(event_loop.run_until(heard)?, "hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn listen_tcp<P: Protocol>(
        &self,
        address: impl Into<Target>,
        factory: impl FnMut(&EventLoop, &Address) -> Option<P> + 'static,
    ) -> io::Result<Port> {
        ListenTcp::new(address).listen(self, factory)
    }

    /// Listens for connections to a Unix socket, a file that is made now and removed when the listening ends. Twisted's
    /// `listenUNIX`.
    ///
    /// # Errors
    ///
    /// The system refuses: usually because the file exists.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Protocol};
    ///
    /// struct Quiet;
    ///
    /// impl Protocol for Quiet {}
    ///
    /// let event_loop = EventLoop::new()?;
    /// let path = std::env::temp_dir().join(format!("ropewalk-listen-unix-doc-{}", std::process::id()));
    /// let port = event_loop.listen_unix(&path, |_, _| Some(Quiet))?;
    /// assert_eq!(port.address().path(), Some(&*path));
    /// let again = event_loop.listen_unix(&path, |_, _| Some(Quiet));
    /// assert_eq!(again.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    /// event_loop.run_until(port.stop_listening(&event_loop))?;
    /// assert!(!path.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn listen_unix<P: Protocol>(
        &self,
        path: impl AsRef<Path>,
        factory: impl FnMut(&EventLoop, &Address) -> Option<P> + 'static,
    ) -> io::Result<Port> {
        let place = Location::caller();
        let path = path.as_ref();
        let bound = || -> io::Result<OwnedFd> {
            let fd = sockets::unix()?;
            let socket = SockRef::from(&fd);
            socket.bind(&sockets::unix_address(path)?)?;
            socket.listen(BACKLOG as i32)?;
            Ok(fd)
        };
        let told = |error: io::Error| cannot_listen(&path.display(), error);
        start(self, bound().map_err(told)?, factory, Limits::NONE, place).map_err(told)
    }
}
