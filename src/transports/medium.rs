//! What carries a connection's bytes: a socket, or a test's memory. Everything else - buffering, flow control, closing -
//! is the same for all and lives in `connection`.

use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::{Errno, Result};

use super::address::Address;
use super::connection::Line;
use super::socket;
use crate::event_loop::{EventLoop, Interest};
use crate::trace::{Id, Place};

/// The few things that differ between a socket and memory. None of them runs code of the user's.
pub(crate) trait Medium {
    /// Reads what is there. 0 is the end, `AGAIN` means that nothing is there now.
    fn read(&self, into: &mut [u8]) -> Result<usize>;
    /// Takes as much as there is room for. `AGAIN` means that there is none now.
    fn write(&self, data: &[u8]) -> Result<usize>;
    /// Tells the peer that nothing follows.
    fn shut_write(&self) -> Result<()>;
    /// From now on the connection wants to be told (through `Line::ready`) of this.
    fn watch(&self, interest: Interest);
    /// The connection is over: it wants to be told of nothing, and lets the medium go.
    fn detach(&self, event_loop: &EventLoop);
    /// What is not sent when the medium is let go is thrown away, and the peer is told that the connection broke.
    fn reset(&self);
    /// This end.
    fn local_address(&self) -> Result<Address>;
    /// The other end.
    fn peer_address(&self) -> Result<Address>;
    /// The line of the program that made the connection.
    fn place(&self) -> Place;
    /// Its id in the current recording, which hears of it first.
    fn trace_id(&self) -> Option<Id>;
}

impl Line {
    /// What a connection that is over says.
    fn medium(&self) -> Result<Rc<dyn Medium>> {
        self.own_medium().ok_or(Errno::NOTCONN)
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn receive(&self, into: &mut [u8]) -> Result<usize> {
        match &self.fd {
            Some(fd) => socket::receive(fd, into),
            None => self.receive_from_memory(into),
        }
    }

    #[cold]
    fn receive_from_memory(&self, into: &mut [u8]) -> Result<usize> {
        self.medium()?.read(into)
    }

    pub(super) fn transmit(&self, data: &[u8]) -> Result<usize> {
        match &self.fd {
            Some(fd) => socket::send(fd, data),
            None => self.medium()?.write(data),
        }
    }

    pub(super) fn shut_write(&self) -> Result<()> {
        match &self.fd {
            Some(fd) => socket::shut_write(fd),
            None => self.medium()?.shut_write(),
        }
    }

    /// Has the loop, or the memory, tell of what the connection is interested in now.
    #[cold]
    pub(super) fn watch(&self) {
        let interest = self.interest();
        match &self.fd {
            Some(fd) => socket::watch(self, fd, interest),
            None => {
                if let Ok(medium) = self.medium() {
                    medium.watch(interest);
                }
            }
        }
    }

    pub(super) fn detach(&self, event_loop: &EventLoop) {
        match &self.fd {
            Some(fd) => socket::detach(self, fd, event_loop),
            None => {
                if let Ok(medium) = self.medium() {
                    medium.detach(event_loop);
                }
            }
        }
    }

    pub(super) fn reset(&self) {
        match &self.fd {
            Some(fd) => socket::reset(fd),
            None => {
                if let Ok(medium) = self.medium() {
                    medium.reset();
                }
            }
        }
    }

    /// The line of the program that listened or connected.
    #[cold]
    pub(super) fn place(&self) -> Place {
        let known = match &self.fd {
            Some(fd) => socket::place(self, fd),
            None => self.medium().ok().map(|medium| medium.place()),
        };
        known.unwrap_or_else(|| Location::caller())
    }

    pub(super) fn local_address(&self) -> std::io::Result<Address> {
        Ok(match &self.fd {
            Some(fd) => socket::local_address(fd)?,
            None => self.medium()?.local_address()?,
        })
    }

    pub(super) fn peer_address(&self) -> std::io::Result<Address> {
        Ok(match &self.fd {
            Some(fd) => socket::peer_address(fd)?,
            None => self.medium()?.peer_address()?,
        })
    }

    pub(super) fn set_tcp_nodelay(&self, on: bool) -> std::io::Result<()> {
        Ok(self.fd.as_ref().map_or(Ok(()), |fd| socket::set_tcp_nodelay(fd, on))?)
    }

    pub(super) fn set_tcp_keep_alive(&self, idle: Option<Duration>) -> std::io::Result<()> {
        Ok(self.fd.as_ref().map_or(Ok(()), |fd| socket::set_tcp_keep_alive(fd, idle))?)
    }
}
