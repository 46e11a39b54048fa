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
//! calls somebody (`connection_lost`, producers) is queued for the loop's next turn. `sending`, `closing` and `flow`
//! are its parts.

mod closing;
mod flow;
mod sending;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::error::{ConnectionDone, ConnectionLost};
use super::lines::{Desk, Lines, SCRATCH};
use super::listener::Counted;
use super::medium::Medium;
use super::outgoing::Outgoing;
use super::producer::Registered;
use super::protocol::Protocol;
use super::transport::Transport;
use crate::event_loop::interest::READ;
use crate::event_loop::upper::guard;
use crate::event_loop::{EventLoop, Interest, Readiness};
use crate::ground::Failure;
use crate::ground::unhandled::error_line;
use crate::trace;

pub(crate) use flow::stop;

/// How often one connection may fill the buffer before the others have their turn.
const READS: usize = 4;

/// Above this a push producer is paused: Twisted's number, and about what a socket's own buffer takes.
pub(crate) const HIGH_WATER: usize = 64 * 1024;

/// The protocol is being called, and the loop's buffers are its own meanwhile.
pub(super) const RUNNING: u32 = 1;
/// The protocol is being called inside that of another connection, which has the buffers.
pub(super) const APART: u32 = 1 << 1;
/// Something was written or asked for, and the end of the callback looks after it.
const DIRTY: u32 = 1 << 2;
/// Something waits to be sent: `Extra::out` is not empty.
const WAITING: u32 = 1 << 3;
/// It waits because the medium had no room for it.
const BLOCKED: u32 = 1 << 4;
/// The program does not want to read.
const PAUSED: u32 = 1 << 5;
/// The peer sends no more.
const READ_DONE: u32 = 1 << 6;
/// `lose_write_connection` was called.
const HALF_CLOSING: u32 = 1 << 7;
/// The peer was told that nothing follows.
const WRITE_DONE: u32 = 1 << 8;
/// `lose_connection` was called.
const CLOSING: u32 = 1 << 9;
/// The loss is queued.
const DOOMED: u32 = 1 << 10;
/// It is over.
const LOST: u32 = 1 << 11;
/// A call of a producer, or of `write_connection_lost`, is queued.
const NOTICE: u32 = 1 << 12;
/// `write_connection_lost` is to be called.
const TELL_WRITE_LOST: u32 = 1 << 13;
/// There is a producer.
const PRODUCER: u32 = 1 << 14;
/// The producer waits for room.
const STARVED: u32 = 1 << 15;
/// The producer is this connection's own reading: an echo.
const ITSELF: u32 = 1 << 16;
/// The protocol holds back what came, and wants to be woken when it is resumed.
const HOLDS: u32 = 1 << 17;
/// `woken` is to be called.
const WOKEN: u32 = 1 << 18;
/// Somebody listens to what is written.
const TAPPED: u32 = 1 << 19;
/// The protocol that runs has written something to the loop's buffer.
const WROTE: u32 = 1 << 20;

/// It does not read.
const DEAF: u32 = PAUSED | READ_DONE | CLOSING | DOOMED | LOST;
/// It takes nothing more to be sent.
const MUTE: u32 = HALF_CLOSING | WRITE_DONE | DOOMED | LOST;

/// A connection: 40 bytes, as there may be very many of them that are idle. One that is idle and ordinary has no `extra`.
pub(crate) struct Line {
    pub(super) lines: Rc<Lines>,
    /// Taken out while it is called.
    protocol: Cell<Option<Box<dyn Protocol>>>,
    extra: Cell<Option<Box<Extra>>>,
    /// The socket; open and unchanged for as long as the loop watches it. Without one, the medium is in `Rare`.
    pub(super) fd: Option<OwnedFd>,
    flags: Cell<u32>,
}

/// What a connection has while something waits to be sent, or because it is out of the ordinary.
#[derive(Default)]
pub(super) struct Extra {
    pub(super) out: Outgoing,
    pub(super) rare: Option<Box<Rare>>,
}

/// What few connections have.
pub(super) struct Rare {
    /// What carries the bytes of a connection without a socket.
    medium: Option<Rc<dyn Medium>>,
    producer: Option<Registered>,
    producers: u32,
    high: usize,
    low: usize,
    /// Why it is doomed.
    reason: Option<Failure>,
    /// What the peer had sent before is told first.
    unread: bool,
    /// Where what is written is added.
    tap: Option<Rc<RefCell<Vec<u8>>>>,
    /// Its place among those that are counted, which it gives back.
    counted: Option<Counted>,
}

impl Default for Rare {
    fn default() -> Rare {
        Rare {
            medium: None,
            producer: None,
            producers: 0,
            high: HIGH_WATER,
            low: 0,
            reason: None,
            unread: false,
            tap: None,
            counted: None,
        }
    }
}

impl Line {
    /// A connection over a socket.
    pub(super) fn over_socket(lines: Rc<Lines>, fd: OwnedFd, protocol: Box<dyn Protocol>) -> Rc<Line> {
        Rc::new(Line {
            lines,
            protocol: Cell::new(Some(protocol)),
            extra: Cell::new(None),
            fd: Some(fd),
            flags: Cell::new(0),
        })
    }

    /// A connection over something else.
    pub(crate) fn over(event_loop: &EventLoop, medium: Rc<dyn Medium>, protocol: Box<dyn Protocol>) -> Rc<Line> {
        let rare = Rare { medium: Some(medium), ..Rare::default() };
        let extra = Extra { out: Outgoing::default(), rare: Some(Box::new(rare)) };
        Rc::new(Line {
            lines: Lines::of(event_loop),
            protocol: Cell::new(Some(protocol)),
            extra: Cell::new(Some(Box::new(extra))),
            fd: None,
            flags: Cell::new(0),
        })
    }

    /// What carries its bytes, if that is no socket.
    pub(super) fn own_medium(&self) -> Option<Rc<dyn Medium>> {
        self.look(|extra| extra.rare.as_ref()?.medium.clone()).flatten()
    }

    /// The protocol, for a connection that never came to be.
    pub(super) fn take_protocol(&self) -> Option<Box<dyn Protocol>> {
        self.protocol.take()
    }

    /// Has a limit told when the connection is over.
    pub(super) fn count(&self, counted: Counted) {
        self.rare(|rare| rare.counted = Some(counted));
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn has(&self, bits: u32) -> bool {
        self.flags.get() & bits != 0
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn set(&self, bits: u32) {
        self.flags.set(self.flags.get() | bits);
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn clear(&self, bits: u32) {
        self.flags.set(self.flags.get() & !bits);
    }

    /// Looks at what only some connections have. `f` runs no code of the user's.
    fn look<R>(&self, f: impl FnOnce(&Extra) -> R) -> Option<R> {
        let extra = self.extra.take();
        let answer = extra.as_deref().map(f);
        self.extra.set(extra);
        answer
    }

    /// Reaches it, making it if need be. `f` runs no code of the user's.
    fn extra<R>(&self, f: impl FnOnce(&mut Extra) -> R) -> R {
        let mut extra = self.extra.take().unwrap_or_else(|| self.lines.take_extra());
        let answer = f(&mut extra);
        self.extra.set(Some(extra));
        answer
    }

    /// Reaches what few connections have, making it if need be. `f` runs no code of the user's.
    fn rare<R>(&self, f: impl FnOnce(&mut Rare) -> R) -> R {
        self.extra(|extra| f(extra.rare.get_or_insert_default()))
    }

    /// What the medium is to tell of.
    pub(super) fn interest(&self) -> Interest {
        let mut interest = Interest::NONE;
        if !self.has(DEAF) {
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

    // What the medium tells.

    /// The connection is there: the protocol hears of it.
    pub(crate) fn made(self: Rc<Line>, event_loop: &EventLoop) {
        if let Err(failure) =
            self.attend(&mut |protocol, transport| protocol.connection_made(event_loop, transport))
        {
            self.lose(event_loop, failure);
        }
    }

    /// The medium is ready.
    pub(crate) fn ready(self: Rc<Line>, event_loop: &EventLoop, readiness: Readiness) {
        match trace::on() {
            false => self.ready_untold(event_loop, readiness),
            true => self.ready_otherwise(event_loop, readiness),
        }
    }

    /// The same when nobody records. A recording that begins while the protocol is called hears nothing of what that
    /// call reads and writes.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn ready_untold(self: Rc<Line>, event_loop: &EventLoop, readiness: Readiness) {
        if readiness.0 != READ || self.has(WOKEN | DEAF) {
            return self.ready_otherwise(event_loop, readiness);
        }
        if let Err(reason) = self.read::<false>(event_loop) {
            self.lose(event_loop, reason);
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn ready_otherwise(self: Rc<Line>, event_loop: &EventLoop, readiness: Readiness) {
        if self.has(WOKEN)
            && let Err(failure) = self.wake(event_loop)
        {
            return self.lose(event_loop, failure);
        }
        if readiness.is_readable()
            && !self.has(DEAF)
            && let Err(reason) = self.read::<true>(event_loop)
        {
            return self.lose(event_loop, reason);
        }
        if readiness.is_hang_up() && self.minds_hang_up() {
            return self.hung_up(event_loop);
        }
        if readiness.is_writable() && self.has(BLOCKED) {
            self.send();
        }
    }

    /// The peer is gone altogether. Reading may tell of the end of data only; writing tells of this, even without a byte.
    #[cold]
    fn hung_up(self: Rc<Line>, event_loop: &EventLoop) {
        match self.transmit(&[]) {
            // If it is so, it is told again.
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => self.lose(event_loop, ConnectionLost::io("waiting to write", error.into()).into()),
        }
    }

    /// Reads what is there and hands it on. A short read has emptied the medium. `ASKS` whether somebody records.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn read<const ASKS: bool>(self: &Rc<Line>, event_loop: &EventLoop) -> Result<(), Failure> {
        let Some(mut desk) = Desk::take(&self.lines) else { return self.read_first(event_loop) };
        let came = self.receive(desk.scratch());
        if ASKS && trace::on() {
            self.tell_read(came);
        }
        let Ok(n @ 1..SCRATCH) = came else { return self.read_on(event_loop, desk, came) };
        let data = &desk.scratch()[..n];
        self.attend_as::<ASKS>(RUNNING, |protocol, transport| protocol.data_received(event_loop, transport, data))
    }

    #[cold]
    fn read_first(self: &Rc<Line>, event_loop: &EventLoop) -> Result<(), Failure> {
        let mut desk = Desk::make(&self.lines);
        let came = self.receive(desk.scratch());
        if trace::on() {
            self.tell_read(came);
        }
        self.read_on(event_loop, desk, came)
    }

    /// What a read may bring beside some bytes.
    #[inline(never)]
    fn read_on(
        self: &Rc<Line>,
        event_loop: &EventLoop,
        mut desk: Desk<'_>,
        mut first: rustix::io::Result<usize>,
    ) -> Result<(), Failure> {
        for reads in 1.. {
            match first {
                Ok(0) => {
                    drop(desk);
                    return self.end_of_data(event_loop);
                }
                Ok(came) => {
                    let mode = desk.mode;
                    let data = &desk.scratch()[..came];
                    self.attend_as::<true>(mode, |protocol, transport| {
                        protocol.data_received(event_loop, transport, data)
                    })?;
                    if came < SCRATCH {
                        break;
                    }
                    // What others were sent of this goes out before there is more of it, and may pause us.
                    if self.lines.after.any() {
                        event_loop.finish_up();
                    }
                    if self.has(DEAF) {
                        break;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(ConnectionLost::io("reading", error.into()).into()),
            }
            if reads == READS {
                break;
            }
            first = self.receive(desk.scratch());
            if trace::on() {
                self.tell_read(first);
            }
        }
        Ok(())
    }

    #[cold]
    fn end_of_data(self: &Rc<Line>, event_loop: &EventLoop) -> Result<(), Failure> {
        let mut goes_on = false;
        self.attend(&mut |protocol, _| {
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
        self.attend(&mut |protocol, transport| protocol.read_connection_lost(event_loop, transport))?;
        if self.has(WRITE_DONE) { Err(ConnectionDone.into()) } else { Ok(()) }
    }

    /// Calls the protocol, and sends what it wrote. A panic becomes a failure.
    fn attend(
        self: &Rc<Line>,
        f: &mut dyn FnMut(&mut dyn Protocol, &Transport) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let desk = Desk::take(&self.lines).unwrap_or_else(|| Desk::make(&self.lines));
        self.attend_as::<true>(desk.mode, f)
    }

    /// The same for who has taken the loop's buffers, or has not (`mode`).
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn attend_as<const ASKS: bool>(
        self: &Rc<Line>,
        mode: u32,
        f: impl FnOnce(&mut dyn Protocol, &Transport) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        // Not there while it runs: it is never called from inside itself.
        let Some(mut protocol) = self.protocol.take() else { return Ok(()) };
        self.set(mode);
        let transport = Transport::new(self);
        let result = guard(|| f(&mut *protocol, &transport));
        // Nobody else can have put one there; forgetting spares the check.
        std::mem::forget(self.protocol.replace(Some(protocol)));
        let flags = self.flags.get();
        self.flags.set(flags & !(RUNNING | APART | WROTE));
        if flags & WROTE != 0 {
            self.send_written::<ASKS>();
        } else if flags & DIRTY != 0 {
            self.finish_own();
        }
        match result {
            Ok(result) => result,
            Err(payload) => self.panicked(payload),
        }
    }

    #[cold]
    fn panicked(&self, payload: Box<dyn std::any::Any + Send>) -> Result<(), Failure> {
        Err(Failure::panic(payload, self.place()))
    }

    /// Notes that something is to be done when the callback is over.
    #[inline]
    fn touch(self: &Rc<Line>) {
        if !self.has(DIRTY | BLOCKED) {
            self.set(DIRTY);
            if !self.has(RUNNING | APART) {
                self.lines.add_dirty(self.clone());
            }
        }
    }
}

/// A logger is the user's code too.
fn report(line: std::fmt::Arguments<'_>) {
    let _ = guard(|| error_line(&line));
}
