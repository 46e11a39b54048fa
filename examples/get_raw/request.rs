//! What all models share: the request, the socket that connects without waiting, and the error.

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};

/// A request written by hand, and how much of it was sent.
pub(crate) struct Request {
    text: String,
    sent: usize,
}

impl Request {
    /// HTTP/1.0: the server closes when it has said all, so the reply ends where the data ends.
    pub(crate) fn new(host: &str, port: u16, path: &str) -> Result<Request, String> {
        // A line end in the path would let its rest pass for headers.
        if !path.starts_with('/') || path.contains(|c: char| c.is_ascii_control() || c == ' ') {
            return Err(format!("the path {path:?} must start with / and hold no blanks"));
        }
        let text =
            format!("GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\nAccept: */*\r\nConnection: close\r\n\r\n");
        Ok(Request { text, sent: 0 })
    }

    /// What is still to be sent.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.text.as_bytes()[self.sent..]
    }

    /// Notes that `n` more bytes were sent. Answers whether that was all.
    #[allow(dead_code)] // The blocking model sends all at once.
    pub(crate) fn advance(&mut self, n: usize) -> bool {
        self.sent += n;
        self.rest().is_empty()
    }
}

/// The addresses of a host. Waits for the answer.
#[allow(dead_code)] // The tour knows its server's address.
pub(crate) fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    match (host, port).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => Err(format!("cannot look up {host}: {error}")),
    }
}

/// Starts to connect. The socket is writable when that has come to an end, good or bad:
/// [`TcpStream::take_error`] tells which.
pub(crate) fn start_to_connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    match socket.connect(&address.into()) {
        // Interrupted or not, the connection is made in the background.
        Err(error) if !matches!(Errno::from_io_error(&error), Some(Errno::INPROGRESS | Errno::INTR)) => Err(error),
        _ => Ok(TcpStream::from(socket)),
    }
}

/// One call on a socket that does not wait; `None` when it would have had to.
pub(crate) fn now_or_later(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(n) => return Ok(Some(n)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What could not be done, with which address, and why.
#[derive(Debug)]
pub(crate) struct GetError {
    phase: &'static str,
    address: SocketAddr,
    why: Box<dyn Error + Send + Sync>,
}

impl GetError {
    pub(crate) fn new(
        phase: &'static str,
        address: SocketAddr,
        why: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> GetError {
        GetError { phase, address, why: why.into() }
    }

    /// For `map_err`: makes a `GetError` of any error.
    pub(crate) fn in_phase<E: Into<Box<dyn Error + Send + Sync>>>(
        phase: &'static str,
        address: SocketAddr,
    ) -> impl Fn(E) -> GetError {
        move |error| GetError::new(phase, address, error)
    }

    #[allow(dead_code)] // The tour has one address to try.
    pub(crate) fn phase(&self) -> &'static str {
        self.phase
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.phase, self.address, self.why)
    }
}

impl Error for GetError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.why.source()
    }
}
