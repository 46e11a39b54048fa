//! The inner transport's medium: bytes that rustls gives and takes.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::rc::Rc;

use rustix::io::{Errno, Result};
use rustls::Connection as Machine;

use super::error::TlsError;
use crate::event_loop::interest::{ERR, HUP, READ, WRITE};
use crate::event_loop::{EventLoop, Handle, Interest, Readiness};
use crate::ground::Failure;
use crate::trace::{Id, Place};
use crate::transports::address::Address;
use crate::transports::connection::{HIGH_WATER, Line};
use crate::transports::medium::Medium;
use crate::transports::outgoing::Outgoing;
use crate::transports::{Streaming, Transport};

/// So much that is decrypted may wait for the protocol before the socket is not read any more.
const INCOMING: usize = 64 * 1024;

/// How much is encrypted in one go.
const AT_ONCE: usize = 64 * 1024;

/// What the protocol on the socket and the inner transport share.
pub(super) struct Shared {
    pub(super) machine: RefCell<Machine>,
    /// The socket's.
    pub(super) outer: Transport,
    /// Decrypted, and not read yet.
    incoming: RefCell<Outgoing>,
    /// The inner transport lives here until it is lost.
    pub(super) line: RefCell<Option<Rc<Line>>>,
    wants: Cell<Interest>,
    told: Cell<bool>,
    /// The inner protocol knows of the connection.
    pub(super) made: Cell<bool>,
    /// The peer has said that nothing follows.
    pub(super) peer_closed: Cell<bool>,
    /// Nothing comes any more, and why.
    ended: RefCell<Option<Failure>>,
    pub(super) over: Cell<bool>,
    waits_for_room: Cell<bool>,
    notified: Cell<bool>,
    breaks: Cell<bool>,
    event_loop: Handle,
    place: Place,
}

impl Shared {
    pub(super) fn new(event_loop: &EventLoop, machine: Machine, outer: &Transport, place: Place) -> Rc<Shared> {
        Rc::new(Shared {
            machine: RefCell::new(machine),
            outer: outer.clone(),
            incoming: RefCell::default(),
            line: RefCell::new(None),
            wants: Cell::new(Interest::READ),
            told: Cell::new(false),
            made: Cell::new(false),
            peer_closed: Cell::new(false),
            ended: RefCell::new(None),
            over: Cell::new(false),
            waits_for_room: Cell::new(false),
            notified: Cell::new(false),
            breaks: Cell::new(false),
            event_loop: event_loop.handle(),
            place,
        })
    }

    /// Gives the machine what came over the socket. What it decrypts waits in `incoming`.
    pub(super) fn feed(&self, mut data: &[u8]) -> std::result::Result<(), TlsError> {
        let mut machine = self.machine.borrow_mut();
        while !data.is_empty() && !self.peer_closed.get() {
            // A slice can be read; what is full is emptied each time.
            let read = machine.read_tls(&mut data);
            let shaking = machine.is_handshaking();
            let state = machine.process_new_packets().map_err(|error| match shaking {
                true => TlsError::Handshake(error),
                false => TlsError::Broken(error),
            })?;
            let mut incoming = self.incoming.borrow_mut();
            let mut left = state.plaintext_bytes_to_read();
            let mut buffer = [0; 4096];
            while left > 0 {
                match machine.reader().read(&mut buffer[..left.min(4096)]) {
                    Ok(0) | Err(_) => break,
                    Ok(n) => {
                        incoming.push(&buffer[..n]);
                        left -= n;
                    }
                }
            }
            if state.peer_has_closed() {
                self.peer_closed.set(true);
            }
            if !matches!(read, Ok(n) if n > 0) {
                return Err(TlsError::Broken(rustls::Error::General("nothing more can be read".into())));
            }
        }
        Ok(())
    }

    /// Sends what the machine wants to send.
    pub(super) fn flush(&self) -> std::result::Result<(), Errno> {
        let mut bytes = Vec::new();
        {
            let mut machine = self.machine.borrow_mut();
            while machine.wants_write() {
                // Writing to a vector does not fail.
                if machine.write_tls(&mut bytes).is_err() {
                    break;
                }
            }
        }
        match bytes.is_empty() {
            true => Ok(()),
            false => self.outer.write(&bytes).map_err(|_| Errno::PIPE),
        }
    }

    /// Tells the peer that nothing follows, once.
    pub(super) fn notify(&self) {
        if !self.notified.replace(true) {
            self.machine.borrow_mut().send_close_notify();
            // Whoever is gone needs no notice.
            let _ = self.flush();
        }
    }

    /// Nothing comes any more. What waits is still read, and then this is the reason.
    pub(super) fn end(self: &Rc<Self>, reason: Failure) {
        if self.ended.borrow().is_none() {
            self.ended.replace(Some(reason));
        }
        self.tell();
    }

    /// The socket is gone, or what came over it makes no sense.
    pub(super) fn lose(self: &Rc<Self>, event_loop: &EventLoop, reason: Failure) {
        self.over.set(true);
        let line = self.line.borrow().clone();
        if let Some(line) = line {
            line.lose(event_loop, reason);
        }
    }

    /// The socket is not read while more is decrypted than anybody has read.
    fn hold_back(&self) {
        let wants = self.wants.get();
        let wanted = wants.is_read() || wants.0 & HUP != 0 || !self.made.get();
        let full = self.incoming.borrow().len() > INCOMING;
        match wanted && !full {
            true => self.outer.resume_producing(),
            false => self.outer.pause_producing(),
        }
    }

    fn readiness(&self) -> Readiness {
        let wants = self.wants.get();
        let readable = self.incoming.borrow().len() > 0 || self.peer_closed.get() || self.ended.borrow().is_some();
        let read = if wants.is_read() && readable { READ } else { 0 };
        let writable = self.outer.buffered() < HIGH_WATER || self.outer.is_disconnected();
        let write = if wants.is_write() && writable { WRITE } else { 0 };
        let gone = self.outer.is_disconnected();
        let hang_up = if wants.0 & HUP != 0 && gone { HUP | ERR } else { 0 };
        Readiness(read | write | hang_up)
    }

    /// Tells the inner transport of what it is ready for, in the loop's next turn.
    pub(super) fn tell(self: &Rc<Self>) {
        self.hold_back();
        if self.told.get() || !self.made.get() || self.line.borrow().is_none() || self.readiness().0 == 0 {
            return;
        }
        // Without a loop nobody is told of anything.
        let Ok(event_loop) = self.event_loop.upgrade() else { return };
        self.told.set(true);
        let shared = self.clone();
        event_loop.call_soon_at(self.place, move |event_loop| {
            shared.told.set(false);
            let line = shared.line.borrow().clone();
            let (Some(line), readiness) = (line, shared.readiness()) else { return };
            if readiness.0 == 0 {
                return;
            }
            let drained = shared.incoming.borrow().len() == 0 && !shared.peer_closed.get();
            let ended = if drained && readiness.is_readable() { shared.ended.take() } else { None };
            match ended {
                Some(reason) => line.lose(event_loop, reason),
                None => line.ready(event_loop, readiness),
            }
            // A level: told again until nothing is left.
            shared.tell();
        });
    }
}

/// What carries the inner transport's bytes.
pub(super) struct End(pub(super) Rc<Shared>);

impl Medium for End {
    fn read(&self, into: &mut [u8]) -> Result<usize> {
        let shared = &self.0;
        let mut incoming = shared.incoming.borrow_mut();
        let came = incoming.len().min(into.len());
        if came == 0 {
            return if shared.peer_closed.get() { Ok(0) } else { Err(Errno::AGAIN) };
        }
        into[..came].copy_from_slice(&incoming.rest()[..came]);
        incoming.advance(came);
        if incoming.len() == 0 {
            // Nothing is kept of a burst.
            *incoming = Outgoing::default();
        }
        Ok(came)
    }

    fn write(&self, data: &[u8]) -> Result<usize> {
        let shared = &self.0;
        if shared.outer.is_disconnected() || shared.over.get() {
            return Err(Errno::CONNRESET);
        }
        if shared.outer.buffered() >= HIGH_WATER {
            shared.wait_for_room()?;
            return Err(Errno::AGAIN);
        }
        let some = &data[..data.len().min(AT_ONCE)];
        let taken = shared.machine.borrow_mut().writer().write(some).map_err(|_| Errno::PIPE)?;
        shared.flush()?;
        // Whoever could not write all waits to be told, and does not ask again.
        if taken < data.len() && shared.outer.buffered() >= HIGH_WATER {
            shared.wait_for_room()?;
        }
        Ok(taken)
    }

    fn shut_write(&self) -> Result<()> {
        self.0.notify();
        self.0.outer.lose_write_connection();
        Ok(())
    }

    fn watch(&self, interest: Interest) {
        self.0.wants.set(interest);
        self.0.tell();
    }

    fn detach(&self, _: &EventLoop) {
        let shared = &self.0;
        shared.over.set(true);
        shared.unregister();
        if shared.breaks.get() {
            shared.outer.abort();
        } else {
            shared.notify();
            shared.outer.lose_connection();
        }
        // Whoever lets go of a line holds it.
        drop(shared.line.take());
    }

    fn reset(&self) {
        self.0.breaks.set(true);
    }

    fn local_address(&self) -> Result<Address> {
        self.0.outer.local_address().map_err(|_| Errno::NOTCONN)
    }

    fn peer_address(&self) -> Result<Address> {
        self.0.outer.peer_address().map_err(|_| Errno::NOTCONN)
    }

    /// None: the connection below has one, and tells what goes over it.
    fn trace_id(&self) -> Option<Id> {
        None
    }

    fn place(&self) -> Place {
        self.0.place
    }
}

impl Shared {
    /// Has the protocol on the socket told when what was written is sent.
    fn wait_for_room(&self) -> Result<()> {
        match self.waits_for_room.replace(true) || self.outer.register_own_producer(Streaming::Pull).is_ok() {
            true => Ok(()),
            false => Err(Errno::CONNRESET),
        }
    }

    /// There is room again, or nobody waits for it.
    pub(super) fn unregister(&self) {
        if self.waits_for_room.take() {
            self.outer.unregister_producer();
        }
    }
}
