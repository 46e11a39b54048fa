//! The world that the callbacks of the torture test share: its dice, its pools of live objects, the context that runs,
//! and the tickets that say which callback may still run.

use crate::family::Family;
use crate::futures::Tasks;
use ropewalk::{
    CancelHandle, Deferred, DelayedCall, EventLoop, FailureGroup, FirstError, Handle, Remote, RemoteResolver,
    Resolver, Sender, SourceId, TestClock, TriggerId,
};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// From where a method is called: the innermost foreign code that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ctx {
    Outside,
    Soon,
    Post,
    Receive,
    Ready,
    Timer,
    Poll,
    Trigger,
    Job,
    Step,
    Canceller,
    Waker,
    Drop,
    LoopDrop,
    Lent,
    Descriptor,
    Display,
    Recorder,
    Hook,
    Logger,
}

pub(crate) const CONTEXTS: [Ctx; 20] = [
    Ctx::Outside,
    Ctx::Soon,
    Ctx::Post,
    Ctx::Receive,
    Ctx::Ready,
    Ctx::Timer,
    Ctx::Poll,
    Ctx::Trigger,
    Ctx::Job,
    Ctx::Step,
    Ctx::Canceller,
    Ctx::Waker,
    Ctx::Drop,
    Ctx::LoopDrop,
    Ctx::Lent,
    Ctx::Descriptor,
    Ctx::Display,
    Ctx::Recorder,
    Ctx::Hook,
    Ctx::Logger,
];

impl Ctx {
    /// Called by the loop's turn itself, so a loop runs and nothing lies between.
    pub(crate) fn is_loop_callback(self) -> bool {
        matches!(self, Ctx::Soon | Ctx::Post | Ctx::Receive | Ctx::Ready | Ctx::Timer | Ctx::Poll | Ctx::Trigger)
    }

    /// The batch that its callbacks belong to.
    fn batch(self) -> Ctx {
        if self == Ctx::Receive { Ctx::Post } else { self }
    }
}

/// Deeper than this nothing acts: foreign code in foreign code nests as deep as its author nests it.
const DEPTH: usize = 5;

/// What the test's own panics carry. Any other panic is a finding.
pub(crate) struct Deliberate;

/// Failures that were dropped though nobody had seen them.
pub(crate) static LOST: AtomicU32 = AtomicU32::new(0);

/// Says which callback may still run, and how often it did.
pub(crate) struct Ticket {
    pub(crate) what: &'static str,
    once: bool,
    made: Cell<(u64, Option<Ctx>)>,
    pub(crate) ran: Cell<u32>,
    pub(crate) called_off: Cell<bool>,
    pub(crate) paused: Cell<bool>,
}

impl Ticket {
    /// The callback begins: it may, or a rule is broken.
    pub(crate) fn run(&self, w: &World, ctx: Ctx) {
        self.ran.set(self.ran.get() + 1);
        if self.once && self.ran.get() > 1 {
            w.broken(format!("a {} callback ran {} times", self.what, self.ran.get()));
        }
        if self.called_off.get() {
            w.broken(format!("a {} callback ran after it was called off", self.what));
        }
        if self.paused.get() {
            w.broken(format!("a {} callback ran while it was paused", self.what));
        }
        let (turn, batch) = self.made.get();
        if turn != 0 && turn == w.turn.get() && batch == Some(ctx.batch()) {
            w.broken(format!("a {} callback ran in the batch that added it", self.what));
        }
    }

    /// From now on it counts as added now.
    pub(crate) fn renew(&self, w: &World) {
        self.made.set((w.turn.get(), w.batch.get()));
    }
}

/// What the sources are: a descriptor whose every use, and whose end, calls back.
pub(crate) struct Thing {
    pub(crate) file: Rc<File>,
    _noise: Noise,
}

impl Thing {
    pub(crate) fn new(file: Rc<File>) -> Thing {
        Thing { file, _noise: Noise }
    }
}

impl AsFd for Thing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        enter(Ctx::Descriptor);
        self.file.as_fd()
    }
}

/// Captured by callbacks and held by sources and values: its `Drop` calls back, and panics now and then.
pub(crate) struct Noise;

impl Drop for Noise {
    fn drop(&mut self) {
        let Some(w) = try_world() else { return };
        enter(if w.loop_dropping.get() { Ctx::LoopDrop } else { Ctx::Drop });
        if w.chance(200) && !std::thread::panicking() {
            std::panic::resume_unwind(Box::new(Deliberate));
        }
    }
}

/// The error of the chains: it knows whether anybody ever saw it.
#[derive(Debug)]
pub(crate) struct Token {
    seen: AtomicBool,
}

impl Token {
    pub(crate) fn new() -> Token {
        Token { seen: AtomicBool::new(false) }
    }

    /// Lets go of one that nobody was to be given.
    pub(crate) fn forget(mut self) {
        *self.seen.get_mut() = true;
    }

    /// One that may be swallowed, as after a cancel.
    pub(crate) fn swallowable() -> Token {
        Token { seen: AtomicBool::new(true) }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if try_world().is_some_and(|w| w.logging.get()) {
            self.seen.store(true, Ordering::Relaxed);
        }
        enter(Ctx::Display);
        f.write_str("token")
    }
}

impl std::error::Error for Token {}

impl Drop for Token {
    fn drop(&mut self) {
        if !*self.seen.get_mut() && !std::thread::panicking() {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Notes that somebody was given this failure.
pub(crate) fn seen(failure: &ropewalk::Failure) {
    if let Some(token) = failure.check::<Token>() {
        token.seen.store(true, Ordering::Relaxed);
    }
    if let Some(first) = failure.check::<FirstError>() {
        seen(first.failure());
    }
    if let Some(group) = failure.check::<FailureGroup>() {
        group.failures().iter().for_each(seen);
    }
}

#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) id: SourceId<Thing>,
    pub(crate) ticket: Rc<Ticket>,
    pub(crate) peer: Rc<RefCell<Option<UnixStream>>>,
}

/// A chain's end. Chains only wait for later ones, so that they never wait in a circle.
pub(crate) struct Chain {
    pub(crate) end: Deferred<Value>,
    pub(crate) serial: u64,
}

/// What goes along the chains. Its `Drop` may call back.
#[allow(dead_code)] // held for its Drop alone
pub(crate) struct Value(pub(crate) Option<Noise>);

/// A bounded set of live objects, and a few that have outlived their loop. What finds no room pushes another out.
pub(crate) struct Pool<T> {
    live: RefCell<Vec<T>>,
    old: RefCell<Vec<T>>,
    limit: usize,
}

impl<T> Pool<T> {
    pub(crate) fn of(limit: usize) -> Pool<T> {
        Pool { live: RefCell::default(), old: RefCell::default(), limit }
    }

    pub(crate) fn put(&self, w: &World, item: T) {
        let out = {
            let mut list = self.live.borrow_mut();
            list.push(item);
            let full = list.len() > self.limit;
            full.then(|| list.swap_remove(w.below(self.limit as u64) as usize))
        };
        drop(out); // with nothing borrowed
    }

    /// Puts one back whose loop is gone. There are never more of these than of the live ones.
    pub(crate) fn put_old(&self, item: T) {
        let mut old = self.old.borrow_mut();
        if old.len() < self.limit {
            return old.push(item);
        }
        drop(old); // with nothing borrowed
        drop(item);
    }

    /// The live ones, or those whose loop is gone, as the move at hand would have it.
    fn of_age(&self, w: &World) -> &RefCell<Vec<T>> {
        let old = matches!(w.want.get(), "closed" | "gone" | "no") && !w.one_in(4);
        if old && !self.old.borrow().is_empty() { &self.old } else { &self.live }
    }

    /// Takes one of those that fit out.
    pub(crate) fn take_if(&self, w: &World, fits: impl Fn(&T) -> bool) -> Option<T> {
        let mut list = self.of_age(w).borrow_mut();
        let start = w.below(list.len().max(1) as u64) as usize;
        let at = (0..list.len()).map(|i| (start + i) % list.len()).find(|&i| fits(&list[i]))?;
        Some(list.swap_remove(at))
    }

    /// Takes one of those that fit out, or any if none does.
    pub(crate) fn prefer(&self, w: &World, fits: impl Fn(&T) -> bool) -> Option<T> {
        self.take_if(w, fits).or_else(|| self.take(w))
    }

    pub(crate) fn take(&self, w: &World) -> Option<T> {
        self.take_if(w, |_| true)
    }

    pub(crate) fn len(&self) -> usize {
        self.live.borrow().len()
    }

    /// The loop of these is gone.
    pub(crate) fn retire(&self) {
        let mut gone = self.live.take();
        gone.append(&mut self.old.borrow_mut());
        let kept = gone.len().min(self.limit);
        let rest = gone.split_off(kept);
        self.old.replace(gone);
        for item in rest {
            drop_quietly(item);
        }
    }

    pub(crate) fn all(&self) -> Vec<T>
    where
        T: Clone,
    {
        self.live.borrow().clone()
    }

    /// One of those that fit, which stays.
    pub(crate) fn peek_if(&self, w: &World, fits: impl Fn(&T) -> bool) -> Option<T>
    where
        T: Clone,
    {
        let list = self.of_age(w).borrow();
        let start = w.below(list.len().max(1) as u64) as usize;
        let at = (0..list.len()).map(|i| (start + i) % list.len()).find(|&i| fits(&list[i]))?;
        list.get(at).cloned()
    }

    pub(crate) fn peek(&self, w: &World) -> Option<T>
    where
        T: Clone,
    {
        let list = self.of_age(w).borrow();
        let at = w.below(list.len().max(1) as u64) as usize;
        list.get(at).cloned()
    }

    pub(crate) fn clear(&self) {
        for list in [&self.live, &self.old] {
            while let Some(item) = { list.borrow_mut().pop() } {
                drop_quietly(item);
            }
        }
    }
}

/// A `Noise` may panic wherever it is dropped.
fn drop_quietly<T>(item: T) {
    drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(item))));
}

pub(crate) struct World {
    random: Cell<u64>,
    pub(crate) steps: Cell<u64>,
    /// How many acts are left until somebody drives again: keeps every run finite.
    pub(crate) budget: Cell<u32>,
    pub(crate) stack: RefCell<Vec<Ctx>>,
    /// The call of `turn` that runs, if it is one whose batches can be told apart.
    pub(crate) turn: Cell<u64>,
    pub(crate) turns: Cell<u64>,
    batch: Cell<Option<Ctx>>,
    pub(crate) loop_dropping: Cell<bool>,
    pub(crate) handle: RefCell<Handle>,
    pub(crate) clock: RefCell<TestClock>,
    pub(crate) hits: RefCell<BTreeMap<(&'static str, &'static str), [u32; CONTEXTS.len()]>>,
    pub(crate) tried: RefCell<Vec<[u32; CONTEXTS.len()]>>,
    /// The state that the move at hand would like to find.
    pub(crate) want: Cell<&'static str>,
    pub(crate) by_context: RefCell<[u64; CONTEXTS.len()]>,
    pub(crate) broken: RefCell<Vec<String>>,
    pub(crate) owed: RefCell<Vec<Rc<Ticket>>>,
    pub(crate) chains_owed: RefCell<Vec<Rc<Ticket>>>,
    /// Whether the logger is writing: what it shows was seen.
    pub(crate) logging: Cell<bool>,
    /// Whether the loop at hand is being driven.
    pub(crate) running: Cell<bool>,
    pub(crate) posted: RefCell<HashMap<u64, Rc<Ticket>>>,
    pub(crate) serial: Cell<u64>,
    /// Sources that are being called or lent.
    pub(crate) in_use: RefCell<Vec<Source>>,
    pub(crate) sources: Pool<Source>,
    pub(crate) parked: Pool<Thing>,
    pub(crate) timers: Pool<(Rc<DelayedCall>, Rc<Ticket>)>,
    pub(crate) triggers: Pool<(TriggerId, Rc<Ticket>)>,
    pub(crate) chains: Pool<Chain>,
    pub(crate) resolvers: Pool<Resolver<Value>>,
    pub(crate) cancels: Pool<CancelHandle>,
    pub(crate) remotes: Pool<Rc<Remote>>,
    pub(crate) senders: Pool<Sender<Message>>,
    pub(crate) remote_resolvers: Pool<RemoteResolver<u32>>,
    pub(crate) handles: Pool<Handle>,
    pub(crate) tasks: Tasks,
    pub(crate) family: Family,
}

/// A message or a posted call's luggage: it crosses threads in principle, and its `Drop` calls back.
pub(crate) struct Message(pub(crate) u64, pub(crate) Noise);

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

pub(crate) fn try_world() -> Option<Rc<World>> {
    WORLD.try_with(|w| w.borrow().clone()).ok().flatten()
}

pub(crate) fn world() -> Rc<World> {
    try_world().expect("callbacks run while there is a world")
}

pub(crate) fn set_world(w: Option<Rc<World>>) {
    WORLD.with(|slot| slot.replace(w));
}

/// Pops the context, also when it is left by a panic.
struct Leave<'a>(&'a World, Option<Ctx>);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.stack.borrow_mut().pop();
        self.0.batch.set(self.1);
    }
}

/// Foreign code is running: it does something, or nothing.
pub(crate) fn enter(ctx: Ctx) {
    enter_with(ctx, |_| ());
}

/// The same, with something that this code does first.
pub(crate) fn enter_with(ctx: Ctx, first: impl FnOnce(&World)) {
    let Some(w) = try_world() else { return };
    if w.stack.borrow().len() >= DEPTH || w.budget.get() == 0 {
        return;
    }
    let before = w.batch.get();
    if ctx.is_loop_callback() {
        w.batch.set(Some(ctx.batch()));
    }
    w.stack.borrow_mut().push(ctx);
    let _leave = Leave(&w, before);
    first(&w);
    // Contexts that come seldom do more.
    let share = w.by_context.borrow()[ctx as usize] * CONTEXTS.len() as u64;
    let acts = match ctx {
        _ if share * 3 < w.steps.get() => 16,
        _ if share < w.steps.get() => 3,
        Ctx::Recorder if !w.one_in(40) => 0,
        Ctx::Outside => 4,
        _ => 1,
    };
    for _ in 0..acts {
        crate::acts::act(&w);
    }
}

impl World {
    pub(crate) fn new(seed: u64, handle: Handle, clock: TestClock) -> World {
        World {
            random: Cell::new(seed | 1),
            steps: Cell::new(0),
            budget: Cell::new(0),
            stack: RefCell::default(),
            turn: Cell::new(0),
            turns: Cell::new(0),
            batch: Cell::new(None),
            loop_dropping: Cell::new(false),
            handle: RefCell::new(handle),
            clock: RefCell::new(clock),
            hits: RefCell::default(),
            tried: RefCell::new(vec![[0; CONTEXTS.len()]; crate::acts::rows().count()]),
            want: Cell::new(""),
            by_context: RefCell::new([0; CONTEXTS.len()]),
            broken: RefCell::default(),
            owed: RefCell::default(),
            chains_owed: RefCell::default(),
            logging: Cell::new(false),
            running: Cell::new(false),
            posted: RefCell::default(),
            serial: Cell::new(0),
            in_use: RefCell::default(),
            sources: Pool::of(10),
            parked: Pool::of(3),
            timers: Pool::of(24),
            triggers: Pool::of(8),
            chains: Pool::of(24),
            resolvers: Pool::of(24),
            cancels: Pool::of(24),
            remotes: Pool::of(4),
            senders: Pool::of(6),
            remote_resolvers: Pool::of(12),
            handles: Pool::of(3),
            tasks: Tasks::new(),
            family: Family::new(),
        }
    }

    /// The loop is gone, and with it the life of all that belongs to it.
    pub(crate) fn retire(&self) {
        self.sources.retire();
        self.timers.retire();
        self.triggers.retire();
        self.senders.retire();
        self.remotes.retire();
        self.handles.retire();
        self.remote_resolvers.retire();
        self.tasks.retire(self);
        self.family.retire();
    }

    /// Runs `f` while a source is in use.
    pub(crate) fn using(&self, source: &Source, f: impl FnOnce()) {
        struct Back<'a>(&'a World);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                self.0.in_use.borrow_mut().pop();
            }
        }
        self.in_use.borrow_mut().push(source.clone());
        let _back = Back(self);
        f();
    }

    pub(crate) fn clear(&self) {
        self.family.clear();
        self.sources.clear();
        self.parked.clear();
        self.timers.clear();
        self.triggers.clear();
        self.remote_resolvers.clear();
        self.senders.clear();
        self.remotes.clear();
        self.handles.clear();
        self.resolvers.clear();
        self.chains.clear();
        self.cancels.clear();
        self.tasks.clear();
        self.posted.borrow_mut().clear();
        self.owed.borrow_mut().clear();
    }

    pub(crate) fn below(&self, n: u64) -> u64 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        (x >> 11) % n
    }

    pub(crate) fn one_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// As `one_in`, but never in the quiet at the end.
    pub(crate) fn chance(&self, n: u64) -> bool {
        self.budget.get() > 0 && self.one_in(n)
    }

    pub(crate) fn ctx(&self) -> Ctx {
        self.stack.borrow().last().copied().unwrap_or(Ctx::Outside)
    }

    pub(crate) fn hit(&self, method: &'static str, state: &'static str) {
        self.hits.borrow_mut().entry((method, state)).or_insert([0; CONTEXTS.len()])[self.ctx() as usize] += 1;
    }

    pub(crate) fn broken(&self, what: String) {
        self.broken.borrow_mut().push(format!("step {}: {what} (in {:?})", self.steps.get(), self.stack.borrow()));
    }

    pub(crate) fn ticket(&self, what: &'static str, once: bool) -> Rc<Ticket> {
        let ticket = Rc::new(Ticket {
            what,
            once,
            made: Cell::default(),
            ran: Cell::new(0),
            called_off: Cell::new(false),
            paused: Cell::new(false),
        });
        ticket.renew(self);
        ticket
    }

    /// The callback of this ticket must have been called when everything is quiet.
    pub(crate) fn owe(&self, ticket: Rc<Ticket>) {
        self.owed.borrow_mut().push(ticket);
    }

    pub(crate) fn next_serial(&self) -> u64 {
        self.serial.set(self.serial.get() + 1);
        self.serial.get()
    }

    /// Calls `f` with the loop, if there is one.
    pub(crate) fn with_loop<R>(&self, f: impl FnOnce(&EventLoop) -> R) -> Option<R> {
        let handle = self.handle.borrow().clone();
        handle.with(f).ok()
    }

    /// Marks a stretch in which a loop is driven: batches of it can be told apart only in a single `turn`.
    pub(crate) fn driving<R>(&self, single_turn: bool, f: impl FnOnce() -> R) -> R {
        if self.running.get() {
            return f();
        }
        struct Back<'a>(&'a World, u64, Option<Ctx>);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                self.0.running.set(false);
                self.0.turn.set(self.1);
                self.0.batch.set(self.2);
            }
        }
        let _back = Back(self, self.turn.get(), self.batch.get());
        self.turns.set(self.turns.get() + 1);
        self.turn.set(if single_turn { self.turns.get() } else { 0 });
        self.batch.set(None);
        self.running.set(true);
        f()
    }

    /// Every tenth callback or so ends badly.
    pub(crate) fn maybe_panic(&self) {
        if self.chance(60) && !std::thread::panicking() {
            std::panic::resume_unwind(Box::new(Deliberate));
        }
    }
}
