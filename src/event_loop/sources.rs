//! The source table: every registered descriptor, owned by value.
//!
//! ```text
//!  poller key = slab index | low half of the serial        stale? the serial does not fit: skipped
//!       |
//!       v
//!  slots[index]: serial, descriptor, wanted, armed ----> Rc<Entry { source, callback }>    one allocation
//! ```
//!
//! `wanted` is what the program asked for, `armed` what the poller was told. They are brought together lazily: wider
//! just before a wait (the dirty list), narrower only when an event arrives that nobody wants. So a program that turns
//! write interest on and off within a turn costs no system call at all.

use std::any::Any;
use std::cell::{Cell, OnceCell};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::Rc;

use slab::Slab;

use crate::trace::{self, Asked, EventNumber, Id, IdSlot, Object, Place};

use super::EventLoop;
use super::error::InsertReason;
use super::interest::{ERR, HUP, Interest, PRIORITY, READ, Readiness, WRITE};
use super::registry::Registry;
use super::wait::Ready;

/// Names a registered source of type `S`. Never names another one, even when the table's place is used again.
///
/// ```
/// use ropewalk::{EventLoop, Interest, Removed};
/// use std::io::Write;
/// use std::os::unix::net::UnixStream;
///
/// let event_loop = EventLoop::new()?;
/// let (ours, mut theirs) = UnixStream::pair()?;
/// let id = event_loop.register(ours, Interest::READ, |event_loop, _, readiness| {
///     assert!(readiness.is_readable());
///     event_loop.stop();
/// })?;
/// theirs.write_all(b"hello")?;
/// event_loop.run()?;
/// let peer = event_loop.with_source(id, |stream| stream.peer_addr())??;
/// assert!(peer.is_unnamed());
/// assert!(matches!(event_loop.remove(id), Removed::Now(_)));
/// assert!(event_loop.with_source(id, |_| ()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SourceId<S> {
    pub(crate) index: u32,
    pub(crate) serial: u64,
    source: PhantomData<fn() -> S>,
}

impl<S> SourceId<S> {
    pub(crate) fn new(index: u32, serial: u64) -> SourceId<S> {
        SourceId { index, serial, source: PhantomData }
    }
}

impl<S> Clone for SourceId<S> {
    fn clone(&self) -> SourceId<S> {
        *self
    }
}

impl<S> Copy for SourceId<S> {}

impl<S> PartialEq for SourceId<S> {
    fn eq(&self, other: &SourceId<S>) -> bool {
        self.serial == other.serial
    }
}

impl<S> Eq for SourceId<S> {}

impl<S> std::hash::Hash for SourceId<S> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.serial.hash(state);
    }
}

impl<S> std::fmt::Debug for SourceId<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SourceId({}#{})", self.index, self.serial)
    }
}

/// What became of a source that was to be removed.
///
/// ```
/// use ropewalk::{EventLoop, Interest, Removed};
/// use std::os::unix::net::UnixStream;
///
/// let event_loop = EventLoop::new()?;
/// let (ours, theirs) = UnixStream::pair()?;
/// event_loop.register_with_id(ours, Interest::READ, |event_loop, id, _, _| {
///     assert!(matches!(event_loop.remove(id), Removed::AfterCallback)); // it is in use
///     assert!(matches!(event_loop.remove(id), Removed::Gone));
///     event_loop.stop();
/// })?;
/// let id = event_loop.register(theirs, Interest::NONE, |_, _, _| ())?;
/// let theirs = event_loop.remove(id).now().expect("nobody uses it now");
/// drop(theirs); // the end of what `ours` can read
/// event_loop.run()?;
/// assert!(event_loop.still_registered().is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a removed source is dropped, and so closed, unless it is kept"]
pub enum Removed<S> {
    /// Here it is.
    Now(S),
    /// Its callback runs now, or it is lent: it is out of the loop, and dropped when that returns.
    AfterCallback,
    /// It was not there any more.
    Gone,
}

impl<S> Removed<S> {
    /// The source, if it was handed back.
    pub fn now(self) -> Option<S> {
        match self {
            Removed::Now(source) => Some(source),
            Removed::AfterCallback | Removed::Gone => None,
        }
    }
}

/// A source with its callback, whatever their types. It owns its descriptor for all its life.
pub(crate) trait AnySource {
    /// Calls the callback, which is out of its place meanwhile.
    fn call(self: Rc<Self>, event_loop: &EventLoop, readiness: Readiness);
    /// The same while somebody records.
    fn call_told(self: Rc<Self>, event_loop: &EventLoop, readiness: Readiness) {
        self.call(event_loop, readiness);
    }
    /// The source alone.
    fn source(&self) -> &dyn Any;
    /// Puts the source into `out`, an `Option<S>`, unless it is in use. The rest is dropped.
    fn take(self: Rc<Self>, out: &mut dyn Any);
    /// What it is, for the trace.
    fn what(&self) -> &'static str {
        std::any::type_name::<Self>()
    }
    /// Its address or the like, for the trace.
    fn name(&self) -> Option<String> {
        None
    }
    /// Whether what it is ready for is to accept connections.
    fn accepts(&self) -> bool {
        false
    }
    /// The run is over. A bare source stays as it is.
    fn disconnect(self: Rc<Self>, _event_loop: &EventLoop) {}
}

pub(crate) struct Entry<S, F> {
    source: S,
    callback: Cell<Option<F>>,
}

impl<S, F> Entry<S, F> {
    pub(crate) fn new(source: S, callback: F) -> Entry<S, F> {
        Entry { source, callback: Cell::new(Some(callback)) }
    }

    pub(crate) fn source_ref(&self) -> &S {
        &self.source
    }

    pub(crate) fn into_source(self) -> S {
        // In this order: a value that is being returned would leak if a drop behind it panicked.
        let Entry { source, callback } = self;
        drop(callback);
        source
    }
}

impl<S, F> AnySource for Entry<S, F>
where
    S: AsFd + 'static,
    F: FnMut(&EventLoop, &S, Readiness) + 'static,
{
    fn call(self: Rc<Self>, event_loop: &EventLoop, readiness: Readiness) {
        if let Some(mut callback) = self.callback.take() {
            callback(event_loop, &self.source, readiness);
            let empty = self.callback.replace(Some(callback));
            // Nobody else can have put one there; forgetting spares the check.
            std::mem::forget(empty);
        }
    }

    fn source(&self) -> &dyn Any {
        &self.source
    }

    fn take(self: Rc<Self>, out: &mut dyn Any) {
        if let Ok(entry) = Rc::try_unwrap(self)
            && let Some(out) = out.downcast_mut::<Option<S>>()
        {
            *out = Some(entry.source);
        }
    }

    fn what(&self) -> &'static str {
        std::any::type_name::<S>()
    }
}

/// The bits of a poller key that hold the index; the others hold the low bits of the serial.
const INDEX_BITS: u32 = usize::BITS / 2;
const INDEX_MASK: usize = (1 << INDEX_BITS) - 1;

fn key(index: u32, serial: u64) -> usize {
    (serial as usize) << INDEX_BITS | index as usize
}

pub(crate) struct SourceSlot {
    pub(crate) entry: Rc<dyn AnySource>,
    pub(crate) serial: u64,
    pub(crate) place: Place,
    /// Made when the trace tells of it: few programs record, and all have sources.
    traced: OnceCell<Box<Traced>>,
    pub(crate) fd: RawFd,
    pub(crate) wanted: u8,
    /// What `resume` goes back to.
    pub(crate) before_pause: u8,
    armed: u8,
    state: u8,
}

/// The poller watches it.
const WATCHED: u8 = 1;
/// The dirty list holds it.
const DIRTY: u8 = 2;
/// A descriptor that the poller refuses, because it is always ready.
const ALWAYS: u8 = 4;

/// What the trace knows of a source.
#[derive(Default)]
struct Traced {
    id: Cell<IdSlot>,
    /// The event that registered it.
    reg: Cell<EventNumber>,
}

/// What a ready source needs to be called.
pub(crate) struct Dispatch {
    pub(crate) entry: Rc<dyn AnySource>,
    pub(crate) readiness: Readiness,
    pub(crate) index: u32,
    pub(crate) serial: u64,
    pub(crate) place: Place,
}

#[derive(Default)]
pub(crate) struct Sources {
    slots: Slab<SourceSlot>,
    /// Descriptor number -> index + 1.
    by_descriptor: Vec<u32>,
    /// Those whose interest grew since the last wait.
    dirty: Vec<(u32, u64)>,
    /// Those that are always ready.
    always: Vec<(u32, u64)>,
    /// How many have an interest.
    wanting: usize,
}

impl Sources {
    /// Starts to watch a source and takes it in. The entry comes back when that fails.
    pub(crate) fn insert<E: AnySource + 'static>(
        &mut self,
        registry: &Registry,
        entry: Rc<E>,
        fd: std::os::fd::BorrowedFd<'_>,
        wanted: Interest,
        serial: u64,
        place: Place,
    ) -> Result<u32, InsertReason> {
        let number = fd.as_raw_fd();
        let index = self.slots.vacant_key();
        // The greatest index stays unused, so that no key is ever one of the loop's own.
        if index >= INDEX_MASK {
            return Err(InsertReason::Io(io::ErrorKind::OutOfMemory.into()));
        }
        let first = self.at_descriptor(number);
        if let Some(first) = first
            && !first.is(WATCHED)
        {
            return Err(InsertReason::AlreadyRegistered(Some(first.place)));
        }
        let mut always = false;
        match registry.add(fd, key(index as u32, serial), wanted.0) {
            Ok(()) => {}
            // epoll refuses what never blocks: regular files, directories, /dev/null.
            Err(error) if error.raw_os_error() == Some(EPERM) => always = true,
            Err(error) if error.raw_os_error() == Some(EBADF) => {
                return Err(InsertReason::NotOpen);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(InsertReason::AlreadyRegistered(first.map(|s| s.place)));
            }
            Err(error) => return Err(InsertReason::Io(error)),
        }
        let descriptor = number as usize;
        if descriptor >= self.by_descriptor.len() {
            self.by_descriptor.resize(descriptor + 1, 0);
        }
        self.by_descriptor[descriptor] = index as u32 + 1;
        if always {
            self.always.push((index as u32, serial));
        }
        self.wanting += usize::from(!wanted.is_none());
        self.slots.insert(SourceSlot {
            entry,
            serial,
            place,
            traced: OnceCell::new(),
            fd: number,
            wanted: wanted.0,
            before_pause: 0,
            armed: wanted.0,
            state: if always { ALWAYS } else { WATCHED },
        });
        Ok(index as u32)
    }

    fn at_descriptor(&self, number: RawFd) -> Option<&SourceSlot> {
        let index = *self.by_descriptor.get(number as usize)?;
        self.slots.get((index as usize).checked_sub(1)?)
    }

    /// Where the entry at this address stands, which owns the descriptor of this number.
    pub(crate) fn find(&self, number: RawFd, entry: *const ()) -> Option<(u32, u64)> {
        let slot = self.at_descriptor(number)?;
        let index = *self.by_descriptor.get(number as usize)? - 1;
        std::ptr::addr_eq(Rc::as_ptr(&slot.entry), entry).then_some((index, slot.serial))
    }

    pub(crate) fn get(&self, index: u32, serial: u64) -> Option<&SourceSlot> {
        let slot = self.slots.get(index as usize)?;
        (slot.serial == serial).then_some(slot)
    }

    pub(crate) fn get_mut(&mut self, index: u32, serial: u64) -> Option<&mut SourceSlot> {
        let slot = self.slots.get_mut(index as usize)?;
        (slot.serial == serial).then_some(slot)
    }

    /// Whether a source is there and watched for something.
    pub(crate) fn is_wanted(&self, index: u32, serial: u64) -> bool {
        self.get(index, serial).is_some_and(|slot| slot.wanted != 0)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &SourceSlot> {
        self.slots.iter().map(|(_, slot)| slot)
    }

    /// The trace ids of the first `most` that are watched, and what for.
    pub(crate) fn watched(&self, most: usize) -> Vec<Asked> {
        let wanted = self.iter().filter(|slot| slot.wanted & (READ | WRITE) != 0);
        let asked = |slot: &SourceSlot| {
            let i = slot.known()?;
            Some(Asked { i, r: slot.wanted & READ != 0, w: slot.wanted & WRITE != 0 })
        };
        wanted.take(most).filter_map(asked).collect()
    }

    /// The trace id of the source of an event.
    pub(crate) fn id_of(&self, ready: Ready) -> Option<Id> {
        let index = ready.key & INDEX_MASK;
        let slot = self.slots.get(index).filter(|slot| key(index as u32, slot.serial) == ready.key)?;
        slot.known()
    }

    /// Index and serial of each.
    pub(crate) fn names(&self) -> Vec<(u32, u64)> {
        self.slots.iter().map(|(index, slot)| (index as u32, slot.serial)).collect()
    }

    /// How many have an interest, and so could wake the loop.
    pub(crate) fn wanting(&self) -> usize {
        self.wanting
    }

    /// Takes a source out, and ends its watch first.
    pub(crate) fn remove(&mut self, registry: &Registry, index: u32, serial: u64) -> Option<SourceSlot> {
        self.get(index, serial)?;
        let slot = self.slots.remove(index as usize);
        let owner = self.by_descriptor.get_mut(slot.fd as usize);
        // If the number belongs to a later one, the watch of this one ended when it was closed.
        if let Some(owner) = owner
            && *owner == index + 1
        {
            *owner = 0;
            if slot.is(WATCHED) {
                // Nothing is left to do if the system has ended the watch itself.
                let _ = registry.delete(slot.fd);
            }
        }
        if slot.is(ALWAYS) {
            self.always.retain(|&(i, _)| i != index);
        }
        self.wanting -= usize::from(slot.wanted != 0);
        Some(slot)
    }

    /// Notes what a source is wanted for. The poller hears of it before the next wait, if it must.
    pub(crate) fn want(&mut self, index: u32, serial: u64, wanted: Interest) -> bool {
        let Some(slot) = self.get_mut(index, serial) else {
            return false;
        };
        let before = std::mem::replace(&mut slot.wanted, wanted.0);
        let grows = !slot.is(ALWAYS) && (wanted.0 & !slot.armed != 0 || (!slot.is(WATCHED) && wanted.0 != 0));
        if grows && !slot.is(DIRTY) {
            slot.state |= DIRTY;
            self.dirty.push((index, serial));
        }
        self.wanting += usize::from(wanted.0 != 0);
        self.wanting -= usize::from(before != 0);
        true
    }

    /// Tells the poller about every interest that grew. A source that it refuses is answered with its index and serial.
    pub(crate) fn arm_dirty(&mut self, registry: &Registry, refused: &mut Vec<(u32, u64, io::Error)>) {
        for (index, serial) in self.dirty.drain(..) {
            let Some(slot) = self.slots.get_mut(index as usize) else {
                continue;
            };
            if slot.serial != serial {
                continue;
            }
            slot.state &= !DIRTY;
            if slot.wanted & !slot.armed == 0 && (slot.is(WATCHED) || slot.wanted == 0) {
                continue;
            }
            let key = key(index, serial);
            let told = if slot.is(WATCHED) {
                registry.modify(slot.fd, key, slot.wanted)
            } else {
                registry.add_again(slot.fd, key, slot.wanted)
            };
            // Once more: a lack of memory may pass, and a watch that could not be deleted is still there to modify.
            match told.or_else(|_| registry.modify(slot.fd, key, slot.wanted)) {
                Ok(()) => (slot.armed, slot.state) = (slot.wanted, slot.state | WATCHED),
                Err(error) => refused.push((index, serial, error)),
            }
        }
    }

    #[inline]
    pub(crate) fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Appends an event for every source that is always ready and wanted.
    pub(crate) fn push_always(&self, ready: &mut Vec<Ready>) {
        for &(index, serial) in &self.always {
            if self.slots[index as usize].wanted != 0 {
                ready.push(Ready { key: key(index, serial), bits: self.slots[index as usize].wanted });
            }
        }
    }

    /// Whether a source is ready without asking the system.
    #[inline]
    pub(crate) fn any_always(&self) -> bool {
        !self.always.is_empty() && (self.always.iter()).any(|&(index, _)| self.slots[index as usize].wanted != 0)
    }

    /// Finds the source of an event; `None` if it is gone, or nobody wants this event.
    #[inline]
    pub(crate) fn dispatch(&mut self, registry: &Registry, ready: Ready) -> Option<Dispatch> {
        let index = ready.key & INDEX_MASK;
        let slot = self.slots.get_mut(index)?;
        if key(index as u32, slot.serial) != ready.key {
            return None;
        }
        // What is told is what is wanted, nearly always.
        let told =
            if ready.bits == slot.wanted & Interest::BOTH.0 { ready.bits } else { slot.told(registry, ready)? };
        Some(Dispatch {
            entry: slot.entry.clone(),
            readiness: Readiness(told),
            index: index as u32,
            serial: slot.serial,
            place: slot.place,
        })
    }

    /// Takes everything out, for the loop's end; the watches are over.
    pub(crate) fn clear(&mut self, registry: &Registry) -> Vec<SourceSlot> {
        self.by_descriptor.clear();
        self.always.clear();
        self.dirty.clear();
        self.wanting = 0;
        let slots: Vec<SourceSlot> = self.slots.drain().collect();
        for slot in slots.iter().filter(|slot| slot.is(WATCHED)) {
            let _ = registry.delete(slot.fd);
        }
        slots
    }
}

impl SourceSlot {
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn is(&self, state: u8) -> bool {
        self.state & state != 0
    }

    /// Its id in the current recording, and whether that is new.
    pub(crate) fn id(&self) -> Option<(Id, bool)> {
        trace::id(&self.traced.get_or_init(Box::default).id, Object::Source)
    }

    /// Its id in the current recording, if it has one.
    pub(crate) fn known(&self) -> Option<Id> {
        trace::known(&self.traced.get()?.id, Object::Source)
    }

    /// The event that registered it.
    pub(crate) fn reg(&self) -> EventNumber {
        self.traced.get().map_or(0, |traced| traced.reg.get())
    }

    pub(crate) fn set_reg(&self, reg: EventNumber) {
        self.traced.get_or_init(Box::default).reg.set(reg);
    }

    /// What of an event is wanted; `None` if nothing is. The poller is told when it tells too much.
    fn told(&mut self, registry: &Registry, ready: Ready) -> Option<u8> {
        let bits = if ready.bits & !Interest::BOTH.0 == 0 { ready.bits } else { implied(ready.bits) };
        let wanted = bits & self.wanted;
        if bits & self.armed & !self.wanted != 0 || wanted == 0 {
            self.narrow(registry, ready.key);
        }
        // Hang-up and error are told beside what is wanted.
        (wanted != 0).then_some(wanted | bits & (HUP | ERR))
    }

    /// An event came that nobody wants: the poller is told so. A hang-up or an error comes even for no interest at all,
    /// again and again in level mode, so a paused source is not watched at all from then on.
    #[cold]
    fn narrow(&mut self, registry: &Registry, key: usize) {
        if self.wanted == 0 {
            let _ = registry.delete(self.fd);
            (self.armed, self.state) = (0, self.state & !WATCHED);
        } else if registry.modify(self.fd, key, self.wanted).is_ok() {
            self.armed = self.wanted;
        }
    }
}

/// Hang-up and error make a source ready for everything, urgent data makes it readable.
#[cold]
fn implied(bits: u8) -> u8 {
    match (bits & (HUP | ERR) != 0, bits & PRIORITY != 0) {
        (true, _) => bits | READ | WRITE,
        (false, true) => bits | READ,
        (false, false) => bits,
    }
}

const EPERM: i32 = rustix::io::Errno::PERM.raw_os_error();
const EBADF: i32 = rustix::io::Errno::BADF.raw_os_error();
