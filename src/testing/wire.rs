//! A connection without a socket: two ends in one memory.
//!
//! ```text
//!   End 0 --write--> halves[1].incoming --read--> End 1
//!   End 1 --write--> halves[0].incoming --read--> End 0
//! ```
//!
//! Each end is what carries a transport's bytes, or is played by a test. Buffering, flow control and closing are the
//! transport's own, the same as over a socket. An end hears of what it watches for in the loop's next turn.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use rustix::io::{Errno, Result};

use crate::event_loop::interest::{ERR, HUP, READ, WRITE};
use crate::event_loop::{EventLoop, Handle, Interest, Phase, Readiness, SystemEvent, TriggerId};
use crate::ground::random::Random;
use crate::trace::{self, Id, IdSlot, Kind, Links, Mark, Object, Place};
use crate::transports::address::Address;
use crate::transports::connection::Line;
use crate::transports::medium::Medium;
use crate::transports::{Protocol, Transport};

/// The pieces of a wire that cuts are of up to so many bytes: small enough to cut every message of a test, and one byte
/// often enough.
const PIECE: usize = 7;

/// Both directions.
pub(super) struct Wire {
    handle: Handle,
    halves: [Half; 2],
    /// Cuts what is read and written into pieces, if it is there.
    cuts: Option<Rc<RefCell<Random>>>,
    pub(super) place: Place,
}

/// What one end sees, and what it wants.
#[derive(Default)]
struct Half {
    incoming: RefCell<Incoming>,
    /// How many bytes of it there may be.
    room: Cell<Option<usize>>,
    /// Nothing follows.
    end: Cell<bool>,
    /// The other end broke off.
    reset: Cell<bool>,
    /// This end breaks off when it is let go.
    breaks: Cell<bool>,
    /// This end is let go.
    gone: Cell<bool>,
    wants: Cell<Option<Interest>>,
    told: Cell<bool>,
    /// The connection on this end; none for one that a test plays.
    line: RefCell<Option<(Weak<Line>, Transport)>>,
    /// Where the loop keeps it.
    key: Cell<Option<u64>>,
    trigger: Cell<Option<TriggerId>>,
    /// What the trace knows of it: its id, and the event that opened it.
    id: Cell<IdSlot>,
    opened: Cell<Mark>,
}

/// What was sent to an end, in the pieces in which it was sent.
#[derive(Default)]
struct Incoming {
    pieces: VecDeque<Vec<u8>>,
    /// How much of the first piece was read.
    read: usize,
    /// How much all of it is.
    length: usize,
}

impl Incoming {
    fn push(&mut self, data: &[u8]) {
        self.length += data.len();
        self.pieces.push_back(data.to_vec());
    }

    /// What is left of the first piece.
    fn first(&self) -> Option<&[u8]> {
        self.pieces.front().map(|piece| &piece[self.read..])
    }

    fn advance(&mut self, n: usize) {
        self.length -= n;
        self.read += n;
        if self.pieces.front().is_some_and(|piece| piece.len() == self.read) {
            self.pieces.pop_front();
            self.read = 0;
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut all = self.pieces.iter().flatten().copied();
        if self.read > 0 {
            all.nth(self.read - 1);
        }
        all.collect()
    }
}

impl Half {
    fn free(&self) -> usize {
        self.room.get().map_or(usize::MAX, |room| room.saturating_sub(self.incoming.borrow().length))
    }

    fn is_readable(&self) -> bool {
        self.end.get() || self.reset.get() || self.incoming.borrow().length > 0
    }
}

impl Wire {
    pub(super) fn new(event_loop: &EventLoop, cuts: Option<Rc<RefCell<Random>>>, place: Place) -> Rc<Wire> {
        Rc::new(Wire { handle: event_loop.handle(), halves: Default::default(), cuts, place })
    }

    /// Puts a protocol on one end, without telling it yet.
    pub(super) fn attach(
        self: &Rc<Self>,
        event_loop: &EventLoop,
        side: usize,
        protocol: Box<dyn Protocol>,
    ) -> Rc<Line> {
        let half = &self.halves[side];
        let end = Rc::new(End { wire: self.clone(), side });
        let line = Line::over(event_loop, end, protocol);
        half.key.set(Some(event_loop.inner.keep_local(line.clone())));
        half.wants.set(Some(Interest::READ));
        half.line.replace(Some((Rc::downgrade(&line), Transport::new(&line))));
        // The end of a run disconnects it, as it does a socket.
        let weak = Rc::downgrade(&line);
        let trigger =
            event_loop.add_system_event_trigger(Phase::During, SystemEvent::Shutdown, move |event_loop| {
                if let Some(line) = weak.upgrade() {
                    line.disconnect(event_loop);
                }
            });
        half.trigger.set(Some(trigger));
        if trace::on() {
            self.meet(side, false);
        }
        line
    }

    /// The id of an end. One that is met for the first time is announced.
    fn meet(&self, side: usize, late: bool) -> Option<Id> {
        let half = &self.halves[side];
        let (i, new) = trace::id(&half.id, Object::Source)?;
        if new {
            let kind = Kind::IoOpen { i, what: "ropewalk::Transport", name: Some("(memory)"), late };
            half.opened.set(trace::emit(kind, Links { at: Some(self.place), ..Links::default() }));
        }
        Some(i)
    }

    /// Tells the trace what happens to an end, as a loop does of a source.
    #[cold]
    fn told(&self, side: usize, kind: impl FnOnce(Id) -> Kind<'static>) {
        if let Some(i) = self.meet(side, true) {
            trace::emit(kind(i), Links { reg: self.halves[side].opened.get(), ..Links::default() });
        }
    }

    /// Tells a protocol that its connection is there; what was sent to it before comes next.
    pub(super) fn made(self: &Rc<Self>, event_loop: &EventLoop, side: usize, line: Rc<Line>) {
        line.made(event_loop);
        self.tell(side);
    }

    /// The transport on one end, if there is one.
    pub(super) fn transport(&self, side: usize) -> Option<Transport> {
        self.halves[side].line.borrow().as_ref().map(|(_, transport)| transport.clone())
    }

    /// Whether an end's transport is still there.
    pub(super) fn is_connected(&self) -> bool {
        self.halves.iter().any(|half| half.line.borrow().is_some() && !half.gone.get())
    }

    // What an end does: the transport's, or a test that plays it.

    pub(super) fn send(self: &Rc<Self>, side: usize, data: &[u8]) -> usize {
        let other = &self.halves[1 - side];
        let sent = data.len().min(other.free());
        // What is sent to somebody who is gone goes nowhere, as with a socket.
        if sent > 0 && !other.gone.get() {
            other.incoming.borrow_mut().push(&data[..sent]);
            self.tell(1 - side);
        }
        sent
    }

    pub(super) fn send_end(self: &Rc<Self>, side: usize) {
        self.halves[1 - side].end.set(true);
        self.tell(1 - side);
    }

    pub(super) fn send_reset(self: &Rc<Self>, side: usize) {
        let other = &self.halves[1 - side];
        other.reset.set(true);
        other.incoming.take();
        self.tell(1 - side);
    }

    /// All that was sent to an end.
    pub(super) fn incoming(&self, side: usize) -> Vec<u8> {
        self.halves[side].incoming.borrow().bytes()
    }

    /// Takes it.
    pub(super) fn take_incoming(self: &Rc<Self>, side: usize) -> Vec<u8> {
        let taken = self.halves[side].incoming.take();
        self.tell(1 - side);
        taken.bytes()
    }

    pub(super) fn sees_end(&self, side: usize) -> bool {
        self.halves[side].end.get()
    }

    pub(super) fn sees_reset(&self, side: usize) -> bool {
        self.halves[side].reset.get()
    }

    pub(super) fn set_room(self: &Rc<Self>, side: usize, room: Option<usize>) {
        self.halves[side].room.set(room);
        self.tell(1 - side);
    }

    /// What an end is ready for, of what it wants.
    fn readiness(&self, side: usize) -> Readiness {
        let (half, other) = (&self.halves[side], &self.halves[1 - side]);
        let Some(wants) = half.wants.get().filter(|_| !half.gone.get()) else { return Readiness(0) };
        let read = if wants.is_read() && half.is_readable() { READ } else { 0 };
        let write = if wants.is_write() && (other.free() > 0 || half.reset.get()) { WRITE } else { 0 };
        let hang_up = if wants.0 & HUP != 0 && half.reset.get() { HUP | ERR } else { 0 };
        Readiness(read | write | hang_up)
    }

    /// Tells an end of what it is ready for, in the loop's next turn.
    fn tell(self: &Rc<Self>, side: usize) {
        let half = &self.halves[side];
        if half.told.get() || self.readiness(side).0 == 0 {
            return;
        }
        let Some((line, _)) = half.line.borrow().clone() else { return };
        let wire = self.clone();
        let queued = self.handle.with(|event_loop| {
            event_loop.call_soon_at(self.place, move |event_loop| {
                wire.halves[side].told.set(false);
                let readiness = wire.readiness(side);
                if readiness.0 != 0
                    && let Some(line) = line.upgrade()
                {
                    if trace::on() {
                        let (r, w) = (readiness.is_readable(), readiness.is_writable());
                        wire.told(side, |i| Kind::IoReady { i, r, w, hup: readiness.0 & HUP != 0 });
                    }
                    line.ready(event_loop, readiness);
                    // A level: told again until nothing is left.
                    wire.tell(side);
                }
            });
        });
        half.told.set(queued.is_ok());
    }
}

/// One end of a wire, with a transport on it.
pub(super) struct End {
    wire: Rc<Wire>,
    side: usize,
}

impl End {
    fn own(&self) -> &Half {
        &self.wire.halves[self.side]
    }

    /// How much of `n` bytes goes in one go.
    fn cut(&self, n: usize) -> usize {
        match &self.wire.cuts {
            Some(random) if n > 0 => 1 + random.borrow_mut().below(n.min(PIECE)),
            _ => n,
        }
    }
}

impl Medium for End {
    fn read(&self, into: &mut [u8]) -> Result<usize> {
        let own = self.own();
        if own.reset.get() {
            return Err(Errno::CONNRESET);
        }
        let came = {
            let mut incoming = own.incoming.borrow_mut();
            let Some(piece) = incoming.first() else {
                return if own.end.get() { Ok(0) } else { Err(Errno::AGAIN) };
            };
            let came = self.cut(piece.len().min(into.len()));
            into[..came].copy_from_slice(&piece[..came]);
            incoming.advance(came);
            came
        };
        self.wire.tell(1 - self.side);
        Ok(came)
    }

    fn write(&self, data: &[u8]) -> Result<usize> {
        if self.own().reset.get() {
            return Err(Errno::CONNRESET);
        }
        match self.wire.send(self.side, &data[..self.cut(data.len())]) {
            0 if !data.is_empty() => Err(Errno::AGAIN),
            sent => Ok(sent),
        }
    }

    fn shut_write(&self) -> Result<()> {
        self.wire.send_end(self.side);
        Ok(())
    }

    fn watch(&self, interest: Interest) {
        let before = self.own().wants.replace(Some(interest));
        if trace::on() && before != Some(interest) {
            self.wire.told(self.side, |i| Kind::IoWant { i, r: interest.is_read(), w: interest.is_write() });
        }
        self.wire.tell(self.side);
    }

    fn detach(&self, event_loop: &EventLoop) {
        let own = self.own();
        if trace::on()
            && let Some(i) = self.wire.meet(self.side, true)
        {
            let why = event_loop.inner.closing.take();
            let links = Links { reg: own.opened.get(), ..Links::default() };
            trace::emit(Kind::IoClose { i, why: why.as_deref() }, links);
        }
        own.gone.set(true);
        own.incoming.take();
        if own.breaks.get() {
            self.wire.send_reset(self.side);
        } else {
            self.wire.send_end(self.side);
        }
        // Who waits for room waits in vain, and is to find out.
        own.room.set(None);
        self.wire.tell(1 - self.side);
        if let Some(trigger) = own.trigger.take() {
            event_loop.remove_trigger(trigger);
        }
        // Whoever lets go of a line holds it.
        drop(own.key.take().and_then(|key| event_loop.inner.take_local(key)));
    }

    fn reset(&self) {
        self.own().breaks.set(true);
    }

    fn local_address(&self) -> Result<Address> {
        Ok(Address::Memory)
    }

    fn peer_address(&self) -> Result<Address> {
        Ok(Address::Memory)
    }

    fn place(&self) -> Place {
        self.wire.place
    }

    fn trace_id(&self) -> Option<Id> {
        self.wire.meet(self.side, true)
    }
}
