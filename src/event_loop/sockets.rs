//! Stream sockets that neither block nor are inherited, as the system makes them: for the transports, and for the bridge.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

/// The system's number of an error. What it did not say itself, such as a path that is too long, is `EINVAL`.
pub(crate) fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::INVAL)
}

pub(crate) fn tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    stream_socket(Domain::for_address(address))
}

pub(crate) fn unix() -> io::Result<OwnedFd> {
    stream_socket(Domain::UNIX)
}

#[cfg(not(target_vendor = "apple"))]
fn stream_socket(domain: Domain) -> io::Result<OwnedFd> {
    // It is not inherited by itself.
    Ok(Socket::new(domain, Type::STREAM.nonblocking(), None)?.into())
}

#[cfg(target_vendor = "apple")]
fn stream_socket(domain: Domain) -> io::Result<OwnedFd> {
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// The address of a Unix socket.
pub(crate) fn unix_address(path: &Path) -> io::Result<SockAddr> {
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a path has no byte 0"));
    }
    SockAddr::unix(path)
}

/// Begins to connect, and answers whether that is done. If not, it is when the socket is writable, and has no error then.
pub(crate) fn connect(socket: impl AsFd, address: &SockAddr) -> io::Result<bool> {
    match SockRef::from(&socket).connect(address).map_err(errno) {
        Ok(()) => Ok(true),
        // Interrupted or not, it is under way.
        Err(Errno::INPROGRESS | Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Takes a connection out of a listener's queue.
#[cfg(not(target_vendor = "apple"))]
pub(crate) fn accept(listener: impl AsFd) -> io::Result<(OwnedFd, SockAddr)> {
    let (socket, peer) = SockRef::from(&listener).accept4(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)?;
    Ok((socket.into(), peer))
}

#[cfg(target_vendor = "apple")]
pub(crate) fn accept(listener: impl AsFd) -> io::Result<(OwnedFd, SockAddr)> {
    let (socket, peer) = SockRef::from(&listener).accept()?;
    socket.set_nonblocking(true)?;
    Ok((socket.into(), peer))
}
