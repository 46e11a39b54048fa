//! A connection's state: the same for sockets and for memory, see `medium`.
//!
//! ```text
//!             lose_connection              all is sent             the next turn
//!   Open ----------------------> Closing ----------------> Doomed ---------------> Lost
//!     \                             \   abort, an error       ^                      ^
//!      \-----------------------------\------------------------'                      |
//!       \------- the end of data, or the protocol's own error, in the loop's call ---'
//! ```
//!
//! The protocol is out of its place while it is called, so it is never called from inside itself. A method of a
//! [`Transport`] only notes what is to be done: what is written is sent when the callback is over, and everything that
//! calls somebody (`connection_lost`, producers) is queued for the loop's next turn.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;

use super::address::Address;
use super::error::{ConnectionAborted, ConnectionDone, ConnectionLost, Disconnected, ProducerError};
use super::lines::Lines;
use super::listener::Counted;
use super::medium::Medium;
use super::outgoing::Outgoing;
use super::producer::{Producer, Registered, Streaming, Who};
use super::protocol::Protocol;
use super::transport::Transport;
use crate::event_loop::upper::{drop_quietly, forget_payload, guard};
use crate::event_loop::{EventLoop, Interest, Readiness};
use crate::ground::Failure;
use crate::ground::failure::panic_message;
use crate::ground::unhandled::error_line;
use crate::trace::Place;

/// How often one connection may fill the buffer before the others have their turn.
const READS: usize = 4;

/// Above this a push producer is paused: Twisted's number, and about what a socket's own buffer takes.
pub(crate) const HIGH_WATER: usize = 64 * 1024;

/// The protocol is being called.
const RUNNING: u16 = 1;
/// Something was written or asked for, and the end of the callback looks after it.
const DIRTY: u16 = 1 << 1;
/// Something is left that the medium had no room for.
const BLOCKED: u16 = 1 << 2;
/// The program does not want to read.
const PAUSED: u16 = 1 << 3;
/// The peer sends no more.
const READ_DONE: u16 = 1 << 4;
/// `lose_write_connection` was called.
const HALF_CLOSING: u16 = 1 << 5;
/// The peer was told that nothing follows.
const WRITE_DONE: u16 = 1 << 6;
/// `lose_connection` was called.
const CLOSING: u16 = 1 << 7;
/// The loss is queued.
const DOOMED: u16 = 1 << 8;
/// It is over.
const LOST: u16 = 1 << 9;
/// A call of a producer, or of `write_connection_lost`, is queued.
const NOTICE: u16 = 1 << 10;
/// `write_connection_lost` is to be called.
const TELL_WRITE_LOST: u16 = 1 << 11;
/// There is a producer.
const PRODUCER: u16 = 1 << 12;
/// The protocol holds back what came, and wants to be woken when it is resumed.
const HOLDS: u16 = 1 << 13;
/// `woken` is to be called.
const WOKEN: u16 = 1 << 14;
/// Somebody listens to what is written.
const TAPPED: u16 = 1 << 15;

/// A connection. Idle it has no buffer, and nothing in `rare`.
pub(crate) struct Connection<M: ?Sized> {
    lines: Rc<Lines>,
    /// Taken out while it is called.
    protocol: Cell<Option<Box<dyn Protocol>>>,
    outgoing: Cell<Option<Box<Outgoing>>>,
    rare: Cell<Option<Box<Rare>>>,
    /// The line that listened or connected.
    place: Place,
    flags: Cell<u16>,
    pub(crate) medium: M,
}

/// A connection over whatever carries it.
pub(crate) type Line = Connection<dyn Medium>;

/// What few connections have.
pub(crate) struct Rare {
    producer: Option<Registered>,
    producers: u32,
    high: usize,
    low: usize,
    /// Why it is doomed.
    reason: Option<Failure>,
    /// Where what is written is added.
    tap: Option<Rc<RefCell<Vec<u8>>>>,
    /// Its place among those that are counted, which it gives back.
    pub(crate) counted: Option<Counted>,
}

impl Default for Rare {
    fn default() -> Rare {
        Rare { producer: None, producers: 0, high: HIGH_WATER, low: 0, reason: None, tap: None, counted: None }
    }
}

impl<M> Connection<M> {
    pub(crate) fn new(lines: Rc<Lines>, medium: M, protocol: Box<dyn Protocol>, place: Place) -> Connection<M> {
        Connection {
            lines,
            protocol: Cell::new(Some(protocol)),
            outgoing: Cell::new(None),
            rare: Cell::new(None),
            place,
            flags: Cell::new(0),
            medium,
        }
    }

    /// The protocol, for a connection that never came to be.
    pub(crate) fn take_protocol(&self) -> Option<Box<dyn Protocol>> {
        self.protocol.take()
    }
}

impl Line {
    #[inline(always)]
    fn has(&self, bits: u16) -> bool {
        self.flags.get() & bits != 0
    }

    #[inline(always)]
    fn set(&self, bits: u16) {
        self.flags.set(self.flags.get() | bits);
    }

    #[inline(always)]
    fn clear(&self, bits: u16) {
        self.flags.set(self.flags.get() & !bits);
    }

    /// Reaches what few connections have, making it if need be. `f` runs no code of the user's.
    pub(crate) fn rare<R>(&self, f: impl FnOnce(&mut Rare) -> R) -> R {
        let mut rare = self.rare.take().unwrap_or_default();
        let answer = f(&mut rare);
        self.rare.set(Some(rare));
        answer
    }

    /// What the medium is to tell of.
    fn interest(&self) -> Interest {
        let mut interest = Interest::NONE;
        if !self.has(PAUSED | READ_DONE | CLOSING | DOOMED | LOST) {
            interest |= Interest::READ;
        }
        if self.has(BLOCKED) && !self.has(DOOMED | LOST) {
            interest |= Interest::WRITE;
        }
        if self.minds_hang_up() {
            interest |= Interest::HANG_UP;
        }
        interest
    }

    /// Whether it reads no more, and so would not learn of a reset: behind the end of data, which stands for ever, or
    /// while it closes and waits for its producer.
    fn minds_hang_up(&self) -> bool {
        let deaf = self.has(CLOSING) || (self.has(READ_DONE) && !self.has(PAUSED));
        deaf && !self.has(WRITE_DONE | DOOMED | LOST)
    }

    #[cold]
    fn watch(&self) {
        self.medium.watch(&self.lines, self.interest());
    }

    // What the medium tells.

    /// The connection is there: the protocol hears of it.
    pub(crate) fn made(self: Rc<Line>, event_loop: &EventLoop) {
        if let Err(failure) = self.attend(|protocol, transport| protocol.connection_made(event_loop, transport)) {
            self.lose(event_loop, failure);
        }
    }

    /// The medium is ready.
    #[inline]
    pub(crate) fn ready(self: Rc<Line>, event_loop: &EventLoop, readiness: Readiness) {
        if self.has(WOKEN)
            && let Err(failure) = self.wake(event_loop)
        {
            return self.lose(event_loop, failure);
        }
        if readiness.is_readable() && !self.has(PAUSED | READ_DONE | CLOSING | DOOMED | LOST) {
            let mut scratch = self.lines.take_scratch();
            let read = self.read(event_loop, &mut scratch);
            self.lines.put_scratch(scratch);
            if let Err(reason) = read {
                return self.lose(event_loop, reason);
            }
        }
        if readiness.is_hang_up() && self.minds_hang_up() {
            return self.hung_up(event_loop);
        }
        if readiness.is_writable() && self.has(BLOCKED) {
            self.flush(event_loop);
        }
    }

    /// The peer is gone altogether. Reading may tell of the end of data only; writing tells of this, even without a byte.
    #[cold]
    fn hung_up(self: Rc<Line>, event_loop: &EventLoop) {
        match self.medium.write(&[]) {
            // If it is so, it is told again.
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => self.lose(event_loop, ConnectionLost::io("waiting to write", error.into()).into()),
        }
    }

    /// Reads what is there and hands it on. A short read has emptied the medium.
    #[inline]
    fn read(self: &Rc<Line>, event_loop: &EventLoop, scratch: &mut [u8]) -> Result<(), Failure> {
        for _ in 0..READS {
            let came = match self.medium.read(scratch) {
                Ok(0) => return self.end_of_data(event_loop),
                Ok(came) => came,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(ConnectionLost::io("reading", error.into()).into()),
            };
            self.attend(|protocol, transport| protocol.data_received(event_loop, transport, &scratch[..came]))?;
            if came < scratch.len() {
                break;
            }
            // What others were sent of this goes out before there is more of it, and may pause us.
            if self.lines.after.any() {
                event_loop.finish_up();
            }
            if self.has(PAUSED | READ_DONE | CLOSING | DOOMED | LOST) {
                break;
            }
        }
        Ok(())
    }

    #[cold]
    fn end_of_data(self: &Rc<Line>, event_loop: &EventLoop) -> Result<(), Failure> {
        let mut goes_on = false;
        self.attend(|protocol, _| {
            goes_on = protocol.half_close();
            Ok(())
        })?;
        if !goes_on {
            return Err(match self.buffered() {
                0 => ConnectionDone.into(),
                bytes => ConnectionLost::with_unsent(bytes).into(),
            });
        }
        self.set(READ_DONE);
        self.watch();
        self.attend(|protocol, transport| protocol.read_connection_lost(event_loop, transport))?;
        if self.has(WRITE_DONE) { Err(ConnectionDone.into()) } else { Ok(()) }
    }

    /// Calls the protocol, and sends what it wrote. A panic becomes a failure.
    #[inline]
    fn attend(
        self: &Rc<Line>,
        f: impl FnOnce(&mut dyn Protocol, &Transport) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        // Not there while it runs: it is never called from inside itself.
        let Some(mut protocol) = self.protocol.take() else { return Ok(()) };
        self.set(RUNNING);
        let transport = Transport::new(self);
        let result = guard(|| f(&mut *protocol, &transport));
        self.clear(RUNNING);
        // Nobody else can have put one there; forgetting spares the check.
        std::mem::forget(self.protocol.replace(Some(protocol)));
        if self.has(DIRTY) {
            self.finish_own();
        }
        match result {
            Ok(result) => result,
            Err(payload) => Err(Failure::panic(payload, self.place)),
        }
    }

    /// What the protocol asked for while it ran.
    #[inline]
    pub(crate) fn finish_own(self: &Rc<Line>) {
        self.clear(DIRTY);
        self.send();
    }

    /// Notes that something is to be done when the callback is over.
    #[inline]
    fn touch(self: &Rc<Line>) {
        if !self.has(DIRTY | BLOCKED) {
            self.set(DIRTY);
            if !self.has(RUNNING) {
                self.lines.add_dirty(self.clone());
            }
        }
    }

    // Writing.

    #[inline]
    pub(crate) fn write(self: &Rc<Line>, parts: &[&[u8]]) -> Result<(), Disconnected> {
        if self.has(HALF_CLOSING | WRITE_DONE | DOOMED | LOST) {
            return Err(Disconnected);
        }
        if self.has(TAPPED) {
            self.tell_tap(parts);
        }
        let mut outgoing = self.outgoing.take().unwrap_or_else(|| self.lines.take_spare());
        parts.iter().for_each(|part| outgoing.push(part));
        // Nothing written is nothing to do.
        match outgoing.len() {
            0 => self.lines.put_spare(outgoing),
            waiting => {
                std::mem::forget(self.outgoing.replace(Some(outgoing)));
                self.touch();
                if self.has(BLOCKED) && self.has(PRODUCER) {
                    self.look_after_producer(waiting);
                }
            }
        }
        Ok(())
    }

    /// How many bytes wait to be sent.
    pub(crate) fn buffered(&self) -> usize {
        let outgoing = self.outgoing.take();
        let len = outgoing.as_ref().map_or(0, |outgoing| outgoing.len());
        self.outgoing.set(outgoing);
        len
    }

    /// The medium has room again.
    #[cold]
    fn flush(self: &Rc<Line>, _event_loop: &EventLoop) {
        self.send();
    }

    /// Sends what there is, as far as there is room.
    #[inline]
    fn send(self: &Rc<Line>) {
        if self.has(DOOMED | LOST) {
            return;
        }
        if let Some(mut outgoing) = self.outgoing.take() {
            loop {
                let rest = outgoing.rest();
                let size = rest.len();
                match self.medium.write(rest) {
                    Ok(sent) => {
                        outgoing.advance(sent);
                        // A short write has filled the medium: another would only cost a system call.
                        if sent < size {
                            return self.blocked(outgoing);
                        }
                        break;
                    }
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => return self.blocked(outgoing),
                    Err(error) => {
                        self.throw_away(outgoing);
                        return self.doom(ConnectionLost::io("writing", error.into()).into());
                    }
                }
            }
            self.lines.put_spare(outgoing);
        }
        if self.has(BLOCKED | HALF_CLOSING | CLOSING | PRODUCER) {
            self.drained();
        }
    }

    /// The medium has no room for the rest.
    #[cold]
    fn blocked(self: &Rc<Line>, outgoing: Box<Outgoing>) {
        let waiting = outgoing.len();
        self.outgoing.set(Some(outgoing));
        if !self.has(BLOCKED) {
            self.set(BLOCKED);
            self.watch();
        }
        if self.has(PRODUCER) {
            self.look_after_producer(waiting);
        }
    }

    /// Everything is sent.
    #[cold]
    fn drained(self: &Rc<Line>) {
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
            if let Err(error) = self.medium.shut_write() {
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

    // Closing.

    pub(crate) fn lose_connection(self: &Rc<Line>) {
        if !self.has(CLOSING | DOOMED | LOST) {
            self.set(CLOSING);
            self.let_transport_go();
            self.watch();
            self.touch();
        }
    }

    pub(crate) fn lose_write_connection(self: &Rc<Line>) {
        if !self.has(HALF_CLOSING | CLOSING | DOOMED | LOST) {
            self.set(HALF_CLOSING);
            self.let_transport_go();
            self.touch();
        }
    }

    /// Another connection that produces for this one is not waited for: what it brings is written by somebody, who has
    /// just said that nothing follows.
    fn let_transport_go(&self) {
        if !self.has(PRODUCER) {
            return;
        }
        let transport = self.rare(|rare| match rare.producer.take() {
            Some(Registered { who: Who::Transport(transport), paused, .. }) => Some((transport, paused)),
            other => {
                rare.producer = other;
                None
            }
        });
        if let Some((transport, paused)) = transport {
            self.clear(PRODUCER);
            if paused {
                transport.resume_producing();
            }
        }
    }

    pub(crate) fn abort(self: &Rc<Line>) {
        if self.has(LOST) {
            return;
        }
        self.medium.reset();
        if self.has(DOOMED) {
            let reason = Failure::from(ConnectionAborted);
            let before = self.rare(|rare| match &rare.reason {
                // It was to be closed in order, and now it is not.
                Some(before) if before.check::<ConnectionDone>().is_some() => rare.reason.replace(reason),
                _ => Some(reason),
            });
            drop(before);
        } else {
            self.doom(ConnectionAborted.into());
        }
    }

    /// What was not sent is lost. The peer sees a reset: an end in order would have it take a part for the whole.
    #[cold]
    fn throw_away(&self, outgoing: Box<Outgoing>) {
        self.medium.reset();
        self.lines.put_spare(outgoing);
    }

    /// The connection is to be lost in the next turn.
    #[cold]
    pub(crate) fn doom(self: &Rc<Line>, reason: Failure) {
        if self.has(DOOMED | LOST) {
            return;
        }
        self.set(DOOMED);
        self.watch();
        if let Some(outgoing) = self.outgoing.take() {
            self.throw_away(outgoing);
        }
        self.rare(|rare| rare.reason = Some(reason));
        if let Some(event_loop) = self.lines.event_loop() {
            let line = self.clone();
            event_loop.call_soon_at(self.place, move |event_loop| {
                let reason = line.rare(|rare| rare.reason.take());
                line.lose(event_loop, reason.unwrap_or_else(|| ConnectionDone.into()));
            });
        }
    }

    /// The connection is over, now. Called by the loop, never from inside the protocol.
    #[cold]
    pub(crate) fn lose(self: Rc<Line>, event_loop: &EventLoop, reason: Failure) {
        if self.has(LOST) {
            return;
        }
        self.set(LOST);
        if let Some(outgoing) = self.outgoing.take() {
            self.throw_away(outgoing);
        }
        self.medium.detach(event_loop);
        let protocol = self.protocol.take();
        let rare = self.rare.take();
        let place = self.place;
        // This closes the socket: before anybody hears of it.
        drop(self);
        if let Some(rare) = rare {
            let Rare { producer, counted, .. } = *rare;
            drop(counted);
            match producer.map(|registered| registered.who) {
                Some(Who::Transport(transport)) => transport.lose_connection(),
                Some(Who::Other(Some(producer))) => stop(event_loop, producer, place),
                Some(Who::Protocol | Who::Other(None)) | None => {}
            }
        }
        if let Some(mut protocol) = protocol {
            if let Err(payload) = guard(|| protocol.connection_lost(event_loop, reason)) {
                let text = panic_message(&*payload);
                report(format_args!("a protocol's connection_lost panicked: {text} (connection made at {place})"));
                forget_payload(payload);
            }
            drop_quietly(protocol);
        }
    }

    /// The run is over.
    pub(crate) fn disconnect(self: Rc<Line>, event_loop: &EventLoop) {
        let reason = self.rare.take().and_then(|mut rare| {
            let reason = rare.reason.take();
            self.rare.set(Some(rare));
            reason
        });
        self.lose(event_loop, reason.unwrap_or_else(|| ConnectionLost::shutdown().into()));
    }

    // Reading.

    pub(crate) fn pause_reading(&self) {
        if !self.has(PAUSED | LOST) {
            self.set(PAUSED);
            self.watch();
        }
    }

    pub(crate) fn resume_reading(self: &Rc<Line>) {
        if self.has(PAUSED) && !self.has(LOST) {
            self.clear(PAUSED);
            self.watch();
            if self.has(HOLDS) {
                self.clear(HOLDS);
                self.wake_protocol();
            }
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.has(PAUSED)
    }

    // Waking.

    #[cold]
    pub(crate) fn wake_protocol(self: &Rc<Line>) {
        if !self.has(WOKEN | LOST) {
            self.set(WOKEN);
            self.notice();
        }
    }

    #[cold]
    pub(crate) fn wake_on_resume(self: &Rc<Line>) {
        if self.has(PAUSED) {
            self.set(HOLDS);
        } else {
            self.wake_protocol();
        }
    }

    #[cold]
    fn wake(self: &Rc<Line>, event_loop: &EventLoop) -> Result<(), Failure> {
        self.clear(WOKEN);
        self.attend(|protocol, transport| protocol.woken(event_loop, transport))
    }

    pub(crate) fn tap(&self, written: &Rc<RefCell<Vec<u8>>>) {
        self.set(TAPPED);
        self.rare(|rare| rare.tap = Some(written.clone()));
    }

    #[cold]
    fn tell_tap(self: &Rc<Line>, parts: &[&[u8]]) {
        self.rare(|rare| {
            if let Some(tap) = &rare.tap {
                parts.iter().for_each(|part| tap.borrow_mut().extend_from_slice(part));
            }
        });
        // Its own protocol looks when it is done.
        if !self.has(RUNNING) {
            self.wake_protocol();
        }
    }

    pub(crate) fn is_reading(&self) -> bool {
        self.interest().is_read()
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.has(CLOSING | DOOMED | LOST)
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.has(LOST)
    }

    // Producers.

    pub(crate) fn set_water_marks(&self, high: usize, low: usize) {
        self.rare(|rare| (rare.high, rare.low) = (high, low.min(high)));
    }

    pub(crate) fn high_water(&self) -> usize {
        let rare = self.rare.take();
        let high = rare.as_ref().map_or(HIGH_WATER, |rare| rare.high);
        self.rare.set(rare);
        high
    }

    pub(crate) fn register_producer(
        self: &Rc<Line>,
        who: Who,
        kind: Streaming,
    ) -> Result<(), (Who, ProducerError)> {
        if self.has(DOOMED | LOST) {
            return Err((who, ProducerError::Disconnected));
        }
        if self.has(PRODUCER) {
            return Err((who, ProducerError::AlreadyRegistered));
        }
        self.set(PRODUCER);
        self.rare(|rare| {
            rare.producers = rare.producers.wrapping_add(1);
            rare.producer = Some(Registered { who, kind, paused: false, serial: rare.producers });
        });
        self.look_after_producer(self.buffered());
        Ok(())
    }

    pub(crate) fn unregister_producer(self: &Rc<Line>) {
        if !self.has(PRODUCER) {
            return;
        }
        self.clear(PRODUCER);
        let producer = self.rare(|rare| rare.producer.take());
        if self.has(CLOSING | HALF_CLOSING) {
            self.touch();
        }
        drop(producer);
    }

    /// What waits has changed: the producer may have to be told. A transport is told at once, since that calls nobody.
    fn look_after_producer(self: &Rc<Line>, waiting: usize) {
        let transport = self.rare(|rare| {
            let told = rare.due(waiting)?;
            let Some(Registered { who: Who::Transport(transport), paused, .. }) = &mut rare.producer else {
                return Some((told, None));
            };
            *paused = told == Told::Pause;
            Some((told, Some(transport.clone())))
        });
        match transport {
            None => {}
            Some((Told::Pause, Some(transport))) => transport.pause_producing(),
            Some((Told::Resume, Some(transport))) => transport.resume_producing(),
            Some((_, None)) => self.notice(),
        }
    }

    /// Queues the calls that are due.
    fn notice(self: &Rc<Line>) {
        if !self.has(NOTICE)
            && let Some(event_loop) = self.lines.event_loop()
        {
            self.set(NOTICE);
            let line = self.clone();
            event_loop.call_soon_at(self.place, move |event_loop| {
                line.clear(NOTICE);
                if !line.has(DOOMED | LOST)
                    && let Err(failure) = line.call_due(event_loop)
                {
                    line.lose(event_loop, failure);
                }
            });
        }
    }

    /// Makes the calls that were queued, as far as they are still due.
    fn call_due(self: &Rc<Line>, event_loop: &EventLoop) -> Result<(), Failure> {
        if self.has(WOKEN) {
            self.wake(event_loop)?;
        }
        if self.has(TELL_WRITE_LOST) {
            self.clear(TELL_WRITE_LOST);
            self.attend(|protocol, transport| match protocol.half_close() {
                true => protocol.write_connection_lost(event_loop, transport),
                false => Ok(()),
            })?;
            if self.has(READ_DONE) {
                return Err(ConnectionDone.into());
            }
        }
        if !self.has(PRODUCER) {
            return Ok(());
        }
        let waiting = self.buffered();
        let due = self.rare(|rare| {
            let told = rare.due(waiting)?;
            let producer = rare.producer.as_mut()?;
            producer.paused = told == Told::Pause;
            let other = match &mut producer.who {
                Who::Protocol => None,
                Who::Transport(transport) => Some(Box::new(transport.clone()) as Box<dyn Producer>),
                Who::Other(other) => Some(other.take()?),
            };
            Some((told, other, producer.serial))
        });
        match due {
            None => Ok(()),
            Some((Told::Pause, None, _)) => {
                self.attend(|own, transport| own.pause_producing(event_loop, transport))
            }
            Some((Told::Resume, None, _)) => {
                self.attend(|own, transport| own.resume_producing(event_loop, transport))
            }
            Some((told, Some(mut producer), serial)) => {
                let result = guard(|| match told {
                    Told::Pause => producer.pause_producing(event_loop),
                    Told::Resume => producer.resume_producing(event_loop),
                });
                let mut producer = Some(producer);
                // It may have unregistered itself, or the connection may be lost.
                self.rare(|rare| match &mut rare.producer {
                    Some(Registered { who: Who::Other(place), serial: now, .. }) if *now == serial => {
                        *place = producer.take();
                    }
                    _ => {}
                });
                drop_quietly(producer);
                result.unwrap_or_else(|payload| Err(Failure::panic(payload, self.place)))
            }
        }
    }

    // The medium's own matters.

    pub(crate) fn local_address(&self) -> std::io::Result<Address> {
        Ok(self.medium.local_address()?)
    }

    pub(crate) fn peer_address(&self) -> std::io::Result<Address> {
        Ok(self.medium.peer_address()?)
    }

    pub(crate) fn set_tcp_nodelay(&self, on: bool) -> std::io::Result<()> {
        Ok(self.medium.set_tcp_nodelay(on)?)
    }

    pub(crate) fn set_tcp_keep_alive(&self, idle: Option<Duration>) -> std::io::Result<()> {
        Ok(self.medium.set_tcp_keep_alive(idle)?)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Pause,
    Resume,
}

impl Rare {
    /// What the producer is to be told when so much waits.
    fn due(&self, waiting: usize) -> Option<Told> {
        let producer = self.producer.as_ref()?;
        match producer.kind {
            Streaming::Pull => (waiting == 0).then_some(Told::Resume),
            Streaming::Push if producer.paused => (waiting <= self.low).then_some(Told::Resume),
            Streaming::Push => (waiting > self.high).then_some(Told::Pause),
        }
    }
}

/// Tells a producer that nobody wants its data.
pub(crate) fn stop(event_loop: &EventLoop, mut producer: Box<dyn Producer>, place: Place) {
    if let Err(payload) = guard(|| producer.stop_producing(event_loop)) {
        let text = panic_message(&*payload);
        report(format_args!("a producer's stop_producing panicked: {text} (connection made at {place})"));
        forget_payload(payload);
    }
    drop_quietly(producer);
}

/// A logger is the user's code too.
fn report(line: std::fmt::Arguments<'_>) {
    let _ = guard(|| error_line(&line));
}
