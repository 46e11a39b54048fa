//! What the members of a chat share: who is there, and how fast they may talk.
//!
//! ```text
//!   a speaker --line--> room --write--> member, member, member (slow: more than HIGH_WATER waits for it)
//!       ^                                                            |
//!       '---- held: not read from, until the slow one caught up, ----'
//!             or PATIENCE was over and it was dropped
//! ```

use ropewalk::EventLoop;
use ropewalk::protocols::LineTransport;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// How many may be there. A line costs as many writes, and each of them may add a line to what waits for a slow one.
pub(crate) const MEMBERS: usize = 100;

/// When so many bytes wait for a member, nobody is read from until they are sent: about what a system holds for it, too.
/// Whoever has not spoken yet may still say one line, and come and go once: 120 KiB more, if all of them do.
pub(crate) const HIGH_WATER: usize = 64 * 1024;

/// How long a slow member may hold the others back. Then it is dropped, and the others are told.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Somebody who has a name.
pub(crate) struct Seat {
    pub(crate) name: String,
    transport: LineTransport,
    /// What the others are told when it goes.
    farewell: Cell<&'static str>,
}

impl Seat {
    /// Drops it: what waits for it is thrown away. The others hear of it when its connection is lost.
    pub(crate) fn drop_slow(&self) {
        self.farewell.set("could not keep up");
        self.transport.abort();
    }
}

/// The room. No method of a transport calls anybody, so all of this can be borrowed while they are written to.
#[derive(Default)]
pub(crate) struct Room {
    /// By name in small letters: nobody is to pass for somebody else.
    seats: RefCell<BTreeMap<String, Rc<Seat>>>,
    /// All connections, those without a name too.
    connections: Cell<usize>,
    /// Those that are not read from.
    held: RefCell<Vec<LineTransport>>,
    /// Whether a look at them is under way.
    looks: Cell<bool>,
}

impl Room {
    pub(crate) fn new() -> Rc<Room> {
        Rc::default()
    }

    /// A connection comes; answers whether there is a place for it.
    pub(crate) fn come(&self) -> bool {
        self.connections.set(self.connections.get() + 1);
        self.connections.get() <= MEMBERS
    }

    /// A connection is gone, and with it who sat there.
    pub(crate) fn gone(&self, seat: Option<&Seat>) {
        self.connections.set(self.connections.get() - 1);
        if let Some(seat) = seat {
            self.stand_up(seat, seat.farewell.get());
        }
        self.go_on();
    }

    /// Somebody goes, and the others are told how.
    pub(crate) fn stand_up(&self, seat: &Seat, farewell: &str) {
        self.seats.borrow_mut().remove(&seat.name.to_lowercase());
        self.tell(&format!("* {} {farewell} ({} here)", seat.name, self.count()), None);
    }

    /// Gives somebody a name, if nobody else has it.
    pub(crate) fn sit_down(&self, name: &str, transport: &LineTransport) -> Option<Rc<Seat>> {
        let key = name.to_lowercase();
        if self.seats.borrow().contains_key(&key) {
            return None;
        }
        self.tell(&format!("* {name} has come ({} here)", self.count() + 1), None);
        let seat = Rc::new(Seat {
            name: name.to_owned(),
            transport: transport.clone(),
            farewell: Cell::new("has lost the connection"),
        });
        self.seats.borrow_mut().insert(key, seat.clone());
        Some(seat)
    }

    pub(crate) fn count(&self) -> usize {
        self.seats.borrow().len()
    }

    /// Who is there, as text.
    pub(crate) fn names(&self) -> String {
        self.seats.borrow().values().map(|seat| seat.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Tells all, or all but one.
    pub(crate) fn tell(&self, text: &str, but: Option<&Seat>) {
        for seat in self.seats.borrow().values() {
            if but.is_none_or(|but| but.name != seat.name) {
                // It may be gone, and the news of that on its way.
                let _ = send(&seat.transport, text);
            }
        }
    }

    /// Tells one; answers whether it is there.
    pub(crate) fn tell_one(&self, name: &str, text: &str) -> bool {
        let seats = self.seats.borrow();
        let seat = seats.get(&name.to_lowercase());
        seat.is_some_and(|seat| send(&seat.transport, text).is_ok())
    }

    /// Holds a speaker whose words wait: it is read from again when they are sent.
    pub(crate) fn hold_if_full(self: &Rc<Self>, event_loop: &EventLoop, speaker: &LineTransport) {
        if !speaker.is_full() && !self.is_full() {
            return;
        }
        speaker.pause_producing();
        self.held.borrow_mut().push(speaker.clone());
        // Most often all is sent when this callback is over. Who is really slow tells of its end.
        if !self.looks.replace(true) {
            let room = self.clone();
            event_loop.call_soon(move |_| {
                room.looks.set(false);
                room.go_on();
            });
        }
    }

    fn is_full(&self) -> bool {
        self.seats.borrow().values().any(|seat| seat.transport.is_full())
    }

    /// Somebody caught up, or went: who was held speaks on.
    pub(crate) fn go_on(&self) {
        if self.is_full() {
            return;
        }
        let (still_full, free): (Vec<_>, Vec<_>) = self.held.take().into_iter().partition(|held| held.is_full());
        free.iter().for_each(|speaker| speaker.resume_producing());
        self.held.borrow_mut().extend(still_full);
    }
}

/// Sends a line, in the way that every terminal and `telnet` understands.
pub(crate) fn send(transport: &LineTransport, text: &str) -> Result<(), ropewalk::Disconnected> {
    transport.write_vectored(&[text.as_bytes(), b"\r\n"])
}
