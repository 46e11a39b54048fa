//! The loop's methods for sources: registering, changing, lending and removing them.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd};
use std::panic::Location;
use std::rc::Rc;

use crate::ground::unhandled::error_line;
use crate::trace::{self, Id, Kind, Links};

use super::error::{Gone, InsertError};
use super::interest::{Interest, Readiness};
use super::report::drop_quietly;
use super::sources::{Entry, Removed, SourceId, SourceSlot};
use super::{EventLoop, Named};

impl EventLoop {
    /// Watches anything that has a descriptor, and calls `callback` in every turn in which it is ready for what it is
    /// watched for. The loop owns the source from now on, and lends it to the callback.
    ///
    /// Readiness is a level: it is told again in each turn until the callback has read or written, or changed the
    /// interest. Sockets and pipes should be non-blocking. What the system holds to be always ready (a regular file,
    /// `/dev/null`) is ready in each turn.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Interest};
    /// use std::io::{Read, Write};
    /// use std::os::unix::net::UnixStream;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// ours.set_nonblocking(true)?;
    /// event_loop.register(ours, Interest::READ, |event_loop, mut stream: &UnixStream, _readiness| {
    ///     let mut buffer = [0; 16];
    ///     assert_eq!(stream.read(&mut buffer).unwrap(), 5);
    ///     event_loop.stop();
    /// })?;
    /// theirs.write_all(b"hello")?;
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The source is given back with the reason: its descriptor is registered already, or is not open, or the system
    /// has no room.
    #[track_caller]
    pub fn register<S: AsFd + 'static>(
        &self,
        source: S,
        interest: Interest,
        callback: impl FnMut(&EventLoop, &S, Readiness) + 'static,
    ) -> Result<SourceId<S>, InsertError<S>> {
        let place = Location::caller();
        let inner = &self.inner;
        let entry = Rc::new(Entry::new(source, callback));
        let serial = inner.next_serial();
        let fd = entry.source_ref().as_fd();
        let descriptor = fd.as_raw_fd();
        let inserted =
            inner.sources.borrow_mut().insert(&inner.registry, entry.clone(), fd, interest, serial, place);
        match inserted {
            Ok(index) => {
                if trace::on() {
                    self.opened(index, serial, place);
                }
                Ok(SourceId::new(index, serial))
            }
            Err(reason) => {
                let Ok(entry) = Rc::try_unwrap(entry) else {
                    unreachable!("a refused source is held by nobody else")
                };
                Err(InsertError { source: entry.into_source(), reason, descriptor, at: place })
            }
        }
    }

    /// As [`register`](EventLoop::register), and `callback` is told its own id: for one that removes its source, or changes
    /// what it is watched for.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Interest};
    /// use std::io::Read;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (ours, theirs) = UnixStream::pair()?;
    /// event_loop.register_with_id(ours, Interest::READ, |event_loop, id, mut stream, _| {
    ///     if stream.read(&mut [0; 16]).unwrap() == 0 {
    ///         // It is dropped, and so closed, when this callback returns.
    ///         drop(event_loop.remove(id));
    ///     }
    /// })?;
    /// drop(theirs);
    /// event_loop.turn(None)?;
    /// assert!(event_loop.still_registered().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`register`](EventLoop::register).
    #[track_caller]
    pub fn register_with_id<S: AsFd + 'static>(
        &self,
        source: S,
        interest: Interest,
        mut callback: impl FnMut(&EventLoop, SourceId<S>, &S, Readiness) + 'static,
    ) -> Result<SourceId<S>, InsertError<S>> {
        // The id is known when the source has its place, and no callback runs before that.
        let own = Rc::new(Cell::new(None));
        let told = own.clone();
        let id = self.register(source, interest, move |event_loop, source, readiness| {
            if let Some(id) = told.get() {
                callback(event_loop, id, source, readiness);
            }
        })?;
        own.set(Some(id));
        Ok(id)
    }

    /// Lends a registered source to `f`.
    ///
    /// # Errors
    ///
    /// The source is not in the loop any more.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Gone, Interest};
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (ours, theirs) = UnixDatagram::pair()?;
    /// let id = event_loop.register(ours, Interest::READ, |_, _, _| ())?;
    /// assert_eq!(event_loop.with_source(id, |socket| socket.send(b"hello"))??, 5);
    /// assert_eq!(theirs.recv(&mut [0; 16])?, 5);
    /// drop(event_loop.remove(id));
    /// assert_eq!(event_loop.with_source(id, |_| ()), Err(Gone));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_source<S: 'static, R>(&self, id: SourceId<S>, f: impl FnOnce(&S) -> R) -> Result<R, Gone> {
        let entry = {
            let sources = self.inner.sources.borrow();
            sources.get(id.index, id.serial).ok_or(Gone)?.entry.clone()
        };
        let source = entry.source().downcast_ref::<S>().ok_or(Gone)?;
        Ok(f(source))
    }

    /// Changes what a source is watched for. The system hears of it before the next wait, if it must.
    ///
    /// # Errors
    ///
    /// The source is not in the loop any more.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Interest};
    /// use std::io::{Read, Write};
    /// use std::os::unix::net::UnixStream;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// // Asked to write only while there is something to write.
    /// let id = event_loop.register_with_id(ours, Interest::NONE, |event_loop, id, mut stream, readiness| {
    ///     assert!(readiness.is_writable() && !readiness.is_readable());
    ///     stream.write_all(b"hello").unwrap();
    ///     event_loop.set_interest(id, Interest::READ).unwrap();
    /// })?;
    /// event_loop.set_interest(id, Interest::BOTH)?;
    /// event_loop.turn(None)?;
    /// assert_eq!(event_loop.interest(id)?, Interest::READ);
    /// theirs.read_exact(&mut [0; 5])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn set_interest<S>(&self, id: SourceId<S>, interest: Interest) -> Result<(), Gone> {
        if !self.inner.sources.borrow_mut().want(id.index, id.serial, interest) {
            return Err(Gone);
        }
        if trace::on() {
            let links = Links { at: Some(Location::caller()), ..Links::default() };
            let (r, w) = (interest.is_read(), interest.is_write());
            self.trace_source(id.index, id.serial, links, |i| Kind::IoWant { i, r, w });
        }
        Ok(())
    }

    /// What a source is watched for.
    ///
    /// # Errors
    ///
    /// The source is not in the loop any more.
    pub fn interest<S>(&self, id: SourceId<S>) -> Result<Interest, Gone> {
        let sources = self.inner.sources.borrow();
        sources.get(id.index, id.serial).map(|slot| Interest(slot.wanted)).ok_or(Gone)
    }

    /// Watches a source for nothing until [`EventLoop::resume`]. Not even its peer's reset is told meanwhile.
    ///
    /// # Errors
    ///
    /// The source is not in the loop any more.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Interest};
    /// use std::io::Write;
    /// use std::os::unix::net::UnixStream;
    /// use std::time::Duration;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// let id = event_loop.register(ours, Interest::READ, |_, _, _| ())?;
    /// theirs.write_all(b"hello")?;
    /// event_loop.pause(id)?;
    /// assert_eq!(event_loop.turn(Some(Duration::ZERO))?, 0);
    /// event_loop.resume(id)?;
    /// assert_eq!(event_loop.turn(Some(Duration::ZERO))?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn pause<S>(&self, id: SourceId<S>) -> Result<(), Gone> {
        if let Some(slot) = self.inner.sources.borrow_mut().get_mut(id.index, id.serial)
            && slot.wanted != 0
        {
            slot.before_pause = slot.wanted;
        }
        self.set_interest(id, Interest::NONE)
    }

    /// Watches a paused source for what it was watched for before. Nothing changes for one that is not paused.
    ///
    /// # Errors
    ///
    /// The source is not in the loop any more.
    #[track_caller]
    pub fn resume<S>(&self, id: SourceId<S>) -> Result<(), Gone> {
        let interest = {
            let sources = self.inner.sources.borrow();
            let slot = sources.get(id.index, id.serial).ok_or(Gone)?;
            (slot.wanted == 0).then_some(Interest(slot.before_pause))
        };
        match interest {
            Some(interest) => self.set_interest(id, interest),
            None => Ok(()),
        }
    }

    /// Takes a source out of the loop and hands it back, unless it is in use: from inside its own callback, or while it
    /// is lent, it is dropped when that returns. There are no events of it from now on.
    ///
    /// The source comes back as it went in:
    ///
    /// ```
    /// use ropewalk::{EventLoop, Interest};
    /// use std::io::Write;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (ours, theirs) = UnixStream::pair()?;
    /// let id = event_loop.register(ours, Interest::READ, |_, _, _| ())?;
    /// let mut ours = event_loop.remove(id).now().expect("no callback uses it");
    /// ours.write_all(b"still open")?;
    /// # drop(theirs);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn remove<S: 'static>(&self, id: SourceId<S>) -> Removed<S> {
        let Some(slot) = self.take_source(id.index, id.serial, true) else { return Removed::Gone };
        let mut out: Option<S> = None;
        slot.entry.take(&mut out);
        match out {
            Some(source) => Removed::Now(source),
            None => Removed::AfterCallback,
        }
    }

    /// Whether a source is in the loop.
    pub fn is_registered<S>(&self, id: SourceId<S>) -> bool {
        self.inner.sources.borrow().get(id.index, id.serial).is_some()
    }

    /// Gives a source a name, for [`EventLoop::still_registered`] and the trace.
    ///
    /// # Errors
    ///
    /// The source is not in the loop any more.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Interest};
    /// use std::os::unix::net::UnixStream;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let id = event_loop.register(ours, Interest::READ, |_, _, _| ())?;
    /// event_loop.name_source(id, "control")?;
    /// assert_eq!(event_loop.still_registered()[0].label.as_deref(), Some("control"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name_source<S>(&self, id: SourceId<S>, name: &str) -> Result<(), Gone> {
        if !self.is_registered(id) {
            return Err(Gone);
        }
        self.inner.set_label(Named::Source(id.serial), name);
        Ok(())
    }

    /// Drops a source whose callback panicked.
    #[cold]
    pub(crate) fn remove_any(&self, index: u32, serial: u64) {
        if let Some(slot) = self.take_source(index, serial, false) {
            drop_quietly(slot);
        }
    }

    #[track_caller]
    pub(crate) fn take_source(&self, index: u32, serial: u64, asked: bool) -> Option<SourceSlot> {
        let inner = &self.inner;
        if trace::on() {
            self.meet_source(index, serial);
        }
        let slot = inner.sources.borrow_mut().remove(&inner.registry, index, serial)?;
        let label = inner.take_label(Named::Source(serial));
        if trace::on()
            && let Some(i) = slot.known()
        {
            // Not in a closure: it would be its own caller.
            let here = Location::caller();
            let at = asked.then_some(here);
            let why = inner.closing.take();
            trace::emit(
                Kind::IoClose { i, why: why.as_deref() },
                Links { cause: 0, reg: slot.reg(), at, label: label.as_deref() },
            );
        }
        Some(slot)
    }

    /// Tells the poller about the interests that grew since the last wait.
    #[cold]
    pub(crate) fn arm_dirty(&self) {
        let mut refused = Vec::new();
        self.inner.sources.borrow_mut().arm_dirty(&self.inner.registry, &mut refused);
        for (index, serial, error) in refused {
            // Nobody would hear of this source any more.
            if let Some(slot) = self.take_source(index, serial, false) {
                let place = slot.place;
                error_line(&format_args!(
                    "a source's interest could not be changed: {error}; the source was removed (registered at {place})"
                ));
                drop_quietly(slot);
            }
        }
    }

    /// The id of a source in the current recording.
    pub(crate) fn source_id(&self, index: u32, serial: u64) -> Option<Id> {
        Some(self.meet_source(index, serial)?.0)
    }
}
