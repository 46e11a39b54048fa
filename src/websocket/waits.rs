//! Those who wait for a WebSocket: for room, and for its end.

use std::cell::RefCell;
use std::rc::Rc;

use super::close::Close;
use super::protocol::WebSocketEnd;
use crate::family::line::Line;
use crate::ground::{Deferred, Failure};
use crate::transports::{Disconnected, ProducerError};

/// Nothing is allocated for a WebSocket that nobody waits for: there may be many.
#[derive(Default)]
pub(super) struct Waits(RefCell<Fate>);

#[derive(Default)]
enum Fate {
    #[default]
    Alone,
    Awaited(Rc<Lines>),
    Ended(Box<Result<Close, Failure>>),
}

struct Lines {
    room: Rc<Line<()>>,
    end: Rc<Line<Close>>,
}

impl Waits {
    fn lines(&self) -> Option<Rc<Lines>> {
        match &*self.0.borrow() {
            Fate::Awaited(lines) => Some(lines.clone()),
            _ => None,
        }
    }

    /// The lines to join; those of one that has ended are nobody's.
    fn lines_to_join(&self) -> Rc<Lines> {
        self.lines().unwrap_or_else(|| {
            let lines = Rc::new(Lines { room: Line::new(), end: Line::new() });
            let mut fate = self.0.borrow_mut();
            if matches!(*fate, Fate::Alone) {
                *fate = Fate::Awaited(lines.clone());
            }
            lines
        })
    }

    #[track_caller]
    pub(super) fn drained(&self) -> Deferred<()> {
        self.lines_to_join().room.join()
    }

    #[track_caller]
    pub(super) fn closed(&self) -> Deferred<Close> {
        let ended = match &mut *self.0.borrow_mut() {
            Fate::Ended(outcome) => Some(match &mut **outcome {
                Ok(close) => Ok(close.clone()),
                Err(failure) => Err(failure.share()),
            }),
            _ => None,
        };
        match ended {
            Some(outcome) => Deferred::from_result(outcome),
            None => self.lines_to_join().end.join(),
        }
    }

    /// Whether somebody waits, or did.
    pub(super) fn any(&self) -> bool {
        matches!(&*self.0.borrow(), Fate::Awaited(_))
    }

    pub(super) fn any_for_room(&self) -> bool {
        self.lines().is_some_and(|lines| !lines.room.is_empty())
    }

    /// All was sent. Who asks for room again meanwhile has another turn.
    pub(super) fn has_room(&self) {
        let Some(lines) = self.lines() else { return };
        for _ in 0..lines.room.len() {
            let Some(waiter) = lines.room.next() else { return };
            waiter.succeed(());
        }
    }

    /// Nobody will tell when there is room.
    pub(super) fn no_room(&self, error: ProducerError) {
        let Some(lines) = self.lines() else { return };
        for _ in 0..lines.room.len() {
            let Some(waiter) = lines.room.next() else { return };
            waiter.fail(error);
        }
    }

    /// It is over, and this is why.
    pub(super) fn end(&self, mut failure: Failure) {
        let outcome = match failure.check() {
            Some(WebSocketEnd::Closed { close, .. }) => Ok(close.clone()),
            _ => Err(failure.share()),
        };
        let before = self.0.replace(Fate::Ended(Box::new(outcome)));
        let Fate::Awaited(lines) = before else { return };
        while let Some(waiter) = lines.room.next() {
            waiter.fail(Disconnected);
        }
        while let Some(waiter) = lines.end.next() {
            match failure.check() {
                Some(WebSocketEnd::Closed { close, .. }) => waiter.succeed(close.clone()),
                _ => waiter.fail(failure.share()),
            }
        }
    }
}
