//! Sockets that do not block, as the system makes them.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// A socket that neither blocks nor is inherited.
#[cfg(not(target_vendor = "apple"))]
fn socket(family: AddressFamily) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    rustix::net::socket_with(family, SocketType::STREAM, flags, None)
}

#[cfg(target_vendor = "apple")]
fn socket(family: AddressFamily) -> rustix::io::Result<OwnedFd> {
    prepare(rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::empty(), None)?)
}

/// Takes a connection out of a listener's queue.
#[cfg(not(target_vendor = "apple"))]
pub(super) fn accept(listener: impl std::os::fd::AsFd) -> io::Result<OwnedFd> {
    Ok(rustix::net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?)
}

#[cfg(target_vendor = "apple")]
pub(super) fn accept(listener: impl std::os::fd::AsFd) -> io::Result<OwnedFd> {
    Ok(prepare(rustix::net::accept(listener)?)?)
}

#[cfg(target_vendor = "apple")]
fn prepare(fd: OwnedFd) -> rustix::io::Result<OwnedFd> {
    rustix::io::ioctl_fioclex(&fd)?;
    rustix::io::ioctl_fionbio(&fd, true)?;
    Ok(fd)
}

/// Begins to connect. It is done when the socket is writable, and has no error then.
pub(super) fn connect_tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    let fd = socket(if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 })?;
    begun(rustix::net::connect(&fd, &address))?;
    Ok(fd)
}

/// The same for a Unix socket; there it is done at once or not at all.
pub(super) fn connect_unix(path: &Path) -> io::Result<OwnedFd> {
    let fd = socket(AddressFamily::UNIX)?;
    begun(rustix::net::connect(&fd, &SocketAddrUnix::new(path)?))?;
    Ok(fd)
}

fn begun(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        // Interrupted or not, it is under way.
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
