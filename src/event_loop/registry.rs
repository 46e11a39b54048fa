//! The loop's side of the operating system's poller, and the crate's only `unsafe` code.
//!
//! Whoever registers a descriptor must delete it before it is closed. Here that is a fact of ownership: the source
//! table owns every registered source by value, lends it only as `&S`, and deletes its descriptor (by the number noted
//! at insertion) before it lets the source go.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

use polling::{Event, PollMode, Poller};

use super::interest::{READ, WRITE};

/// The poller, shared with the threads that may wake it.
#[derive(Clone, Debug)]
pub(crate) struct Registry {
    pub(crate) poller: Arc<Poller>,
}

fn event(key: usize, bits: u8) -> Event {
    Event::new(key, bits & READ != 0, bits & WRITE != 0)
}

impl Registry {
    pub(crate) fn new() -> io::Result<Registry> {
        Ok(Registry { poller: Arc::new(Poller::new()?) })
    }

    /// Starts to watch `source`, level-triggered. The caller keeps it open until it was given to [`Registry::delete`].
    pub(crate) fn add(&self, source: BorrowedFd<'_>, key: usize, bits: u8) -> io::Result<()> {
        self.add_mode(source, key, bits, PollMode::Level)
    }

    /// Starts to watch the loop's own wake-up counter, edge-triggered, so that nobody ever needs to read it.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn add_waker(&self, waker: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        self.add_mode(waker, key, READ, PollMode::Edge)
    }

    fn add_mode(&self, source: BorrowedFd<'_>, key: usize, bits: u8, mode: PollMode) -> io::Result<()> {
        // SAFETY: the contract is that the descriptor is deleted before it is dropped. The source table holds the
        // source by value in an `Rc` and never hands out `&mut S` (what shares the `Rc` owns its descriptor as long as
        // it lives, and holds it unchanged); every path that lets go of that `Rc` (`remove`,
        // a panic, the loop's own drop) goes through `Registry::delete` first. The waker lives as long as the mailbox,
        // which every registered poller outlives or is dropped with; closing the last descriptor of a counter
        // takes it out of epoll, the only system where one is made.
        unsafe { self.poller.add_with_mode(source.as_raw_fd(), event(key, bits), mode) }
    }

    /// Changes what a watched descriptor is watched for. The mode is said again: without it, it would be oneshot.
    pub(crate) fn modify(&self, fd: RawFd, key: usize, bits: u8) -> io::Result<()> {
        // SAFETY: as in `delete`.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        self.poller.modify_with_mode(fd, event(key, bits), PollMode::Level)
    }

    /// Watches an open descriptor again that was deleted meanwhile (a paused source).
    pub(crate) fn add_again(&self, fd: RawFd, key: usize, bits: u8) -> io::Result<()> {
        // SAFETY: as in `delete`; and as in `add_mode`, the source stays in the table.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        self.add(fd, key, bits)
    }

    /// Ends the watch of the descriptor with this number.
    pub(crate) fn delete(&self, fd: RawFd) -> io::Result<()> {
        // SAFETY: `borrow_raw` wants a descriptor that is open for the borrow, and not -1. It is the number that an
        // `AsFd` gave at insertion, so not -1, and the source that owned it is still held by the table. Should the
        // owner have closed it behind our back, the number goes nowhere but into one system call, which answers EBADF.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        self.poller.delete(fd)
    }
}
