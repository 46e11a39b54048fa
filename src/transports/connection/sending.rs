//! Sending. What the protocol writes while it is called goes through the loop's one buffer, and is sent when the call is
//! over; only what the medium has no room for, and what others write, gets a buffer of its own.

use std::mem;
use std::rc::Rc;

use rustix::io::Errno;

use super::{BLOCKED, CLOSING, DIRTY, DOOMED, HALF_CLOSING, LOST, Line, MUTE, PRODUCER, RUNNING, STARVED};
use super::{TAPPED, TELL_WRITE_LOST, WAITING, WRITE_DONE, WROTE};
use crate::trace;
use crate::transports::error::{ConnectionDone, ConnectionLost, Disconnected};
use crate::transports::lines::SPARE_CAPACITY;
use crate::transports::outgoing::Outgoing;

impl Line {
    #[inline]
    pub(crate) fn write(self: &Rc<Line>, data: &[u8]) -> Result<(), Disconnected> {
        if self.flags.get() & (RUNNING | WAITING | TAPPED | MUTE) == RUNNING && !data.is_empty() {
            self.lines.written.borrow_mut().extend_from_slice(data);
            self.set(WROTE);
            return Ok(());
        }
        self.write_parts(&[data])
    }

    #[inline(never)]
    pub(crate) fn write_parts(self: &Rc<Line>, parts: &[&[u8]]) -> Result<(), Disconnected> {
        if self.has(MUTE) {
            return Err(Disconnected);
        }
        // Nothing written is nothing to do.
        if parts.iter().all(|part| part.is_empty()) {
            return Ok(());
        }
        if self.has(TAPPED) {
            self.tell_tap(parts);
        }
        if self.has(RUNNING) && !self.has(WAITING) {
            let mut written = self.lines.written.borrow_mut();
            parts.iter().for_each(|part| written.extend_from_slice(part));
            self.set(WROTE);
            return Ok(());
        }
        let waiting = self.extra(|extra| {
            if extra.out.is_unused() {
                extra.out = self.lines.take_buffer();
            }
            parts.iter().for_each(|part| extra.out.push(part));
            extra.out.len()
        });
        self.set(WAITING);
        self.touch();
        if self.has(BLOCKED) && self.has(PRODUCER) {
            self.look_after_producer(waiting);
        }
        Ok(())
    }

    /// How many bytes wait to be sent.
    pub(crate) fn buffered(&self) -> usize {
        let waiting = self.look(|extra| extra.out.len()).unwrap_or(0);
        let written = if self.has(RUNNING) { self.lines.written.borrow().len() } else { 0 };
        waiting + written
    }

    /// What is not sent is lost. The peer sees a reset: an end in order would have it take a part for the whole.
    pub(super) fn discard(&self) {
        if self.has(WROTE | WAITING) {
            self.reset();
        }
        if self.has(WROTE) {
            self.clear(WROTE);
            self.lines.written.borrow_mut().clear();
        }
        if self.has(WAITING) {
            self.clear(WAITING);
            let out = self.extra(|extra| mem::take(&mut extra.out));
            self.lines.put_buffer(out);
        }
    }

    /// What the protocol asked for while it ran, or others asked for.
    pub(crate) fn finish_own(self: &Rc<Line>) {
        self.clear(DIRTY);
        self.send();
    }

    /// Sends what the protocol wrote while it ran. All of it goes at once nearly always.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn send_written<const ASKS: bool>(self: &Rc<Line>) {
        let Some(fd) = &self.fd else { return self.send_written_otherwise(Err(Errno::INTR)) };
        // No user code runs in here.
        let mut written = self.lines.written.borrow_mut();
        let size = written.len();
        let sent = super::super::socket::send(fd, &written);
        if sent != Ok(size) || size > SPARE_CAPACITY {
            drop(written);
            return self.send_written_otherwise(sent);
        }
        written.clear();
        drop(written);
        if ASKS && trace::on() {
            self.tell_write(size, sent);
        }
        if self.has(DIRTY | HALF_CLOSING | CLOSING | STARVED) {
            self.clear(DIRTY);
            self.drained();
        }
    }

    /// What is left gets a buffer of its own.
    #[cold]
    fn send_written_otherwise(self: &Rc<Line>, sent: Result<usize, Errno>) {
        self.clear(DIRTY);
        let mut out = Outgoing::from(mem::take(&mut *self.lines.written.borrow_mut()));
        let size = out.len();
        out.advance(sent.unwrap_or(0));
        // A connection without a socket has not been asked yet.
        let told = trace::on() && sent != Err(Errno::INTR);
        if out.len() == 0 {
            self.lines.put_buffer(out);
            if told {
                self.tell_write(size, sent);
            }
            return self.drained();
        }
        self.extra(|extra| extra.out = out);
        self.set(WAITING);
        if told {
            self.tell_write(size, sent);
        }
        match sent {
            Ok(_) | Err(Errno::AGAIN) => self.blocked(),
            Err(Errno::INTR) => self.send(),
            Err(error) => self.doom_unread(ConnectionLost::io("writing", error.into()).into()),
        }
    }

    /// Sends what waits, as far as there is room.
    #[inline(never)]
    pub(super) fn send(self: &Rc<Line>) {
        if self.has(DOOMED | LOST) {
            return;
        }
        while self.has(WAITING) {
            // Out of its place: a medium of memory may tell a recorder, who may write.
            let mut out = self.extra(|extra| mem::take(&mut extra.out));
            let size = out.len();
            let sent = self.transmit(out.rest());
            out.advance(sent.unwrap_or(0));
            let done = self.put_back(out);
            if trace::on() {
                self.tell_write(size, sent);
            }
            match sent {
                Ok(_) if done => {}
                // A short write has filled the medium: another would only cost a system call.
                Ok(sent) if sent < size => return self.blocked(),
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return self.blocked(),
                Err(error) => return self.doom_unread(ConnectionLost::io("writing", error.into()).into()),
            }
        }
        if self.has(BLOCKED | HALF_CLOSING | CLOSING | STARVED) {
            self.drained();
        }
    }

    /// Puts back what waits, before what was written meanwhile. Answers whether it is nothing.
    fn put_back(&self, mut out: Outgoing) -> bool {
        let newer = self.extra(|extra| mem::take(&mut extra.out));
        if newer.len() > 0 {
            out.push(newer.rest());
        }
        if out.len() > 0 {
            self.extra(|extra| extra.out = out);
            return false;
        }
        self.clear(WAITING);
        self.lines.put_buffer(out);
        if let Some(extra) = self.extra.take() {
            if extra.rare.is_some() {
                self.extra.set(Some(extra));
            } else {
                self.lines.put_extra(extra);
            }
        }
        true
    }

    /// The medium has no room for the rest.
    #[cold]
    fn blocked(self: &Rc<Line>) {
        if !self.has(BLOCKED) {
            self.set(BLOCKED);
            self.watch();
        }
        if self.has(PRODUCER) {
            self.look_after_producer(self.buffered());
        }
    }

    /// Everything is sent.
    #[inline(never)]
    pub(super) fn drained(self: &Rc<Line>) {
        if self.has(BLOCKED) {
            self.clear(BLOCKED);
            self.watch();
        }
        if self.has(PRODUCER) {
            // A connection that closes waits until its producer unregisters.
            return self.look_after_producer(0);
        }
        if self.has(HALF_CLOSING) && !self.has(WRITE_DONE) {
            self.set(WRITE_DONE);
            if let Err(error) = self.shut_write() {
                return self.doom(ConnectionLost::io("closing the writing half", error.into()).into());
            }
            self.watch();
            self.set(TELL_WRITE_LOST);
            self.notice();
        }
        if self.has(CLOSING) {
            self.doom(ConnectionDone.into());
        }
    }
}
