//! Flow control: pausing, waking, and whom to tell that there is room, or none.

use std::cell::RefCell;
use std::rc::Rc;

use super::{CLOSING, DOOMED, HALF_CLOSING, HIGH_WATER, HOLDS, ITSELF, LOST, Line, NOTICE, PAUSED, PRODUCER};
use super::{READ_DONE, RUNNING, STARVED, TAPPED, TELL_WRITE_LOST, WOKEN, report};
use crate::event_loop::EventLoop;
use crate::event_loop::upper::{drop_quietly, forget_payload, guard};
use crate::ground::Failure;
use crate::ground::failure::panic_message;
use crate::trace::{self, Place};
use crate::transports::error::{ConnectionDone, ProducerError};
use crate::transports::producer::{Producer, Registered, Streaming, Who};
use crate::transports::tell::Flow;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Pause,
    Resume,
}

impl Line {
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

    pub(crate) fn is_reading(&self) -> bool {
        self.interest().is_read()
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.has(CLOSING | DOOMED | LOST)
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.has(LOST)
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
    pub(super) fn wake(self: &Rc<Line>, event_loop: &EventLoop) -> Result<(), Failure> {
        self.clear(WOKEN);
        self.attend(&mut |protocol, transport| protocol.woken(event_loop, transport))
    }

    pub(crate) fn tap(&self, written: &Rc<RefCell<Vec<u8>>>) {
        self.set(TAPPED);
        self.rare(|rare| rare.tap = Some(written.clone()));
    }

    #[cold]
    pub(super) fn tell_tap(self: &Rc<Line>, parts: &[&[u8]]) {
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

    // Producers.

    pub(crate) fn set_water_marks(&self, high: usize, low: usize) {
        self.rare(|rare| (rare.high, rare.low) = (high, low.min(high)));
    }

    fn water_marks(&self) -> (usize, usize) {
        let rare = self.look(|extra| extra.rare.as_ref().map(|rare| (rare.high, rare.low)));
        rare.flatten().unwrap_or((HIGH_WATER, 0))
    }

    pub(crate) fn high_water(&self) -> usize {
        self.water_marks().0
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
        match (kind, who) {
            // An echo, of which there may be very many: a flag is enough.
            (Streaming::Push, Who::Transport(transport)) if transport.is_of(self) => self.set(ITSELF),
            (_, who) => self.rare(|rare| {
                rare.producers = rare.producers.wrapping_add(1);
                rare.producer = Some(Registered { who, kind, serial: rare.producers });
            }),
        }
        if kind == Streaming::Pull {
            self.set(STARVED);
        }
        self.look_after_producer(self.buffered());
        Ok(())
    }

    pub(crate) fn unregister_producer(self: &Rc<Line>) {
        if !self.has(PRODUCER) {
            return;
        }
        self.clear(PRODUCER | STARVED);
        let producer = match self.has(ITSELF) {
            true => {
                self.clear(ITSELF);
                None
            }
            false => self.rare(|rare| rare.producer.take()),
        };
        if self.has(CLOSING | HALF_CLOSING) {
            self.touch();
        }
        drop(producer);
    }

    /// Another connection that produces for this one is not waited for: what it brings is written by somebody, who has
    /// just said that nothing follows.
    pub(super) fn let_transport_go(self: &Rc<Line>) {
        if !self.has(PRODUCER) {
            return;
        }
        let paused = self.has(STARVED);
        if self.has(ITSELF) {
            self.clear(PRODUCER | ITSELF | STARVED);
            if paused {
                self.resume_reading();
            }
            return;
        }
        let transport = self.rare(|rare| match rare.producer.take() {
            Some(Registered { who: Who::Transport(transport), .. }) => Some(transport),
            other => {
                rare.producer = other;
                None
            }
        });
        if let Some(transport) = transport {
            self.clear(PRODUCER | STARVED);
            if paused {
                transport.resume_producing();
            }
        }
    }

    /// What the producer is to be told when so much waits.
    fn due(&self, waiting: usize) -> Option<Told> {
        let kind = match self.has(ITSELF) {
            true => Streaming::Push,
            false => self.rare(|rare| rare.producer.as_ref().map(|producer| producer.kind))?,
        };
        let (high, low) = self.water_marks();
        match kind {
            Streaming::Pull => (waiting == 0).then_some(Told::Resume),
            Streaming::Push if self.has(STARVED) => (waiting <= low).then_some(Told::Resume),
            Streaming::Push => (waiting > high).then_some(Told::Pause),
        }
    }

    /// A push producer is told: it is paused, or not.
    fn note_told(&self, told: Told, kind: Streaming) {
        match (kind, told) {
            (Streaming::Pull, _) => {}
            (Streaming::Push, Told::Pause) => self.set(STARVED),
            (Streaming::Push, Told::Resume) => self.clear(STARVED),
        }
    }

    /// What waits has changed: the producer may have to be told. A transport is told at once, since that calls nobody.
    #[inline(never)]
    pub(super) fn look_after_producer(self: &Rc<Line>, waiting: usize) {
        let Some(told) = self.due(waiting) else { return };
        if self.has(ITSELF) {
            self.note_told(told, Streaming::Push);
            if trace::on() {
                self.tell_flow(&self.flow(told, Streaming::Push, waiting), self.trace_id());
            }
            match told {
                Told::Pause => self.pause_reading(),
                Told::Resume => self.resume_reading(),
            }
            return;
        }
        let transport = self.rare(|rare| match &rare.producer {
            Some(Registered { who: Who::Transport(transport), kind, .. }) => Some((transport.clone(), *kind)),
            _ => None,
        });
        match transport {
            None => self.notice(),
            Some((transport, kind)) => {
                self.note_told(told, kind);
                if trace::on() {
                    self.tell_flow(&self.flow(told, kind, waiting), transport.trace_id());
                }
                match told {
                    Told::Pause => transport.pause_producing(),
                    Told::Resume => transport.resume_producing(),
                }
            }
        }
    }

    /// What the trace says of it.
    fn flow(&self, told: Told, kind: Streaming, waiting: usize) -> Flow {
        let marks = kind == Streaming::Push;
        Flow { stop: matches!(told, Told::Pause), waiting, limit: self.high_water(), marks }
    }

    /// Queues the calls that are due.
    pub(super) fn notice(self: &Rc<Line>) {
        if !self.has(NOTICE)
            && let Some(event_loop) = self.lines.event_loop()
        {
            self.set(NOTICE);
            // Not kept by it: the socket is closed when the connection is lost.
            let weak = Rc::downgrade(self);
            event_loop.call_soon_at(self.place(), move |event_loop| {
                let Some(line) = weak.upgrade() else { return };
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
            self.attend(&mut |protocol, transport| match protocol.half_close() {
                true => protocol.write_connection_lost(event_loop, transport),
                false => Ok(()),
            })?;
            if self.has(READ_DONE) {
                return Err(ConnectionDone.into());
            }
        }
        if !self.has(PRODUCER) || self.has(ITSELF) {
            return Ok(());
        }
        let Some(told) = self.due(self.buffered()) else { return Ok(()) };
        let called = self.rare(|rare| {
            let producer = rare.producer.as_mut()?;
            let who = match &mut producer.who {
                Who::Protocol => None,
                Who::Transport(transport) => Some(Box::new(transport.clone()) as Box<dyn Producer>),
                Who::Other(other) => Some(other.take()?),
            };
            Some((who, producer.kind, producer.serial))
        });
        let Some((who, kind, serial)) = called else { return Ok(()) };
        self.note_told(told, kind);
        if trace::on() {
            self.tell_flow(&self.flow(told, kind, self.buffered()), None);
        }
        let Some(mut producer) = who else {
            return match told {
                Told::Pause => self.attend(&mut |own, transport| own.pause_producing(event_loop, transport)),
                Told::Resume => self.attend(&mut |own, transport| own.resume_producing(event_loop, transport)),
            };
        };
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
        result.unwrap_or_else(|payload| Err(Failure::panic(payload, self.place())))
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
