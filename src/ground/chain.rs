//! The machinery under a Deferred: a flat chain of links, each with the slot for its own result.
//!
//! ```text
//!   Resolver --> Head --> Link --> Link <-- Deferred (the tail)
//!                 |slot    |slot    |slot
//! ```
//!
//! A link knows the type that the next one takes, so nothing is downcast. When a step gives back a Deferred that has
//! no result yet, the waiting link is simply hung behind that Deferred's tail: two chains become one list, and
//! [`drive`] walks it in a loop. That is why a million nested Deferreds need neither stack nor allocation.
//!
//! Who owns a chain: its `Resolver` until it fires, then the running [`drive`], and while the chain waits, the tail of
//! what it waits for. The consuming `Deferred` owns no more than the tail. All state is in `Cell`s that are emptied
//! before foreign code is called.

use super::deferred::{Deferred, End, Origin};
use super::failure::Failure;
use super::step::{Outcome, Returned, Step, StepSite, run};
use super::tell;
use super::trace::{self, EventNumber, IdSlot, Place};
use super::unhandled::{self, UnhandledError};
use std::any::type_name;
use std::cell::{Cell, OnceCell};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::{Rc, Weak};

/// What every chain knows about itself, for reports and the trace.
pub(crate) struct Info {
    pub(crate) made: Place,
    /// Where its last step was added.
    pub(crate) last: Cell<Option<Place>>,
    names: Cell<Option<Box<Names>>>,
    pub(crate) steps: Cell<u32>,
    pub(crate) id: Cell<IdSlot>,
    /// The event that brought the result to where it is now.
    pub(crate) cause: Cell<EventNumber>,
}

impl Info {
    pub(crate) fn new(made: Place) -> Info {
        Info {
            made,
            last: Cell::new(None),
            names: Cell::new(None),
            steps: Cell::new(0),
            id: Cell::default(),
            cause: Cell::new(0),
        }
    }

    /// The chain's name.
    pub(crate) fn name(&self) -> Option<Box<str>> {
        let names = self.names.take();
        let name = names.as_ref().and_then(|names| names.chain.clone());
        self.names.set(names);
        name
    }

    pub(crate) fn set_name(&self, name: Box<str>) {
        let mut names = self.names.take().unwrap_or_default();
        names.chain = Some(name);
        self.names.set(Some(names));
    }

    /// The name for the step that is added next.
    pub(crate) fn set_step_name(&self, name: Box<str>) {
        let mut names = self.names.take().unwrap_or_default();
        names.step = Some(Box::new(name));
        self.names.set(Some(names));
    }

    fn take_step_name(&self) -> StepName {
        let mut names = self.names.take()?;
        let name = names.step.take();
        self.names.set(Some(names));
        name
    }

    /// Counts a step, and answers its number and its name.
    pub(crate) fn next_step(&self, at: Place) -> (u32, StepName) {
        let n = self.steps.get();
        self.steps.set(n.wrapping_add(1));
        self.last.set(Some(at));
        (n, self.take_step_name())
    }
}

/// Named chains and steps are few: names cost the others one word.
#[derive(Default)]
struct Names {
    chain: Option<Box<str>>,
    step: StepName,
}

/// Boxed twice, to be one word wide.
#[allow(clippy::box_collection)]
pub(crate) type StepName = Option<Box<Box<str>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody fired it yet.
    Unfired,
    /// A step of it runs.
    Running,
    /// It waits for another Deferred.
    Waiting,
    /// Its result rests in the last slot (or has been taken from there).
    Resting,
}

/// Boxed twice, to be one word wide: few chains have one, and the size of a head is what a million of them cost.
pub(crate) type Canceller = Box<Box<dyn FnOnce()>>;

/// The state of one chain as a whole.
pub(crate) struct Core {
    pub(crate) info: Info,
    pub(crate) phase: Cell<Phase>,
    /// The consuming end was dropped: whatever comes out at the end has no taker.
    pub(crate) detached: Cell<bool>,
    pub(crate) cancelled: Cell<bool>,
    pub(crate) fired: Cell<Option<Place>>,
    pub(crate) canceller: Cell<Option<Canceller>>,
    /// What this chain waits for. Weak: who fires it owns it.
    pub(crate) waits_for: Cell<Option<Weak<dyn Chain>>>,
    /// The chain that waits for this one.
    pub(crate) waiter: Cell<Option<Rc<dyn Chain>>>,
}

impl Core {
    pub(crate) fn new(info: Info, phase: Phase) -> Core {
        Core {
            info,
            phase: Cell::new(phase),
            detached: Cell::new(false),
            cancelled: Cell::new(false),
            fired: Cell::new(None),
            canceller: Cell::new(None),
            waits_for: Cell::new(None),
            waiter: Cell::new(None),
        }
    }

    pub(crate) fn waits_for(&self) -> Option<Rc<dyn Chain>> {
        let weak = self.waits_for.take();
        let chain = weak.as_ref().and_then(Weak::upgrade);
        self.waits_for.set(weak);
        chain
    }
}

/// A chain without the types of its values.
pub(crate) trait Chain {
    fn core(&self) -> &Core;
    /// Fires it with a failure, if nobody fired it.
    fn fail(self: Rc<Self>, failure: Failure);
}

/// One place of the list: the slot for a result, who takes it, and what else the place is for.
///
/// `S` is the [`Core`] of the chain in its first node, a [`Link`] in the nodes behind it, and `()` in a node where
/// another chain's result is laid down. A `Deferred` holds its tail with `S` erased and still reaches the slot without
/// a virtual call.
pub(crate) struct Node<T: 'static, S: ?Sized> {
    next: Cell<Next<T>>,
    out: Cell<Option<Outcome<T>>>,
    pub(crate) part: S,
}

/// What may be `S` of a [`Node`].
pub(crate) trait Part {}
impl Part for Core {}
impl Part for () {}
impl<T: 'static, S> Part for Link<T, S> {}

/// The end of the list as a `Deferred<T>` holds it.
pub(crate) type Tail<T> = Rc<Node<T, dyn Part>>;

/// The first node of a chain: what a `Resolver` fires.
pub(crate) type Head<T> = Node<T, Core>;

/// One step of a chain.
pub(crate) struct Link<T: 'static, S> {
    step: Cell<Option<S>>,
    at: Cell<Place>,
    name: OnceCell<Box<Box<str>>>,
    n: Cell<u32>,
    reg: Cell<EventNumber>,
    takes: PhantomData<fn(T)>,
}

/// Who takes the result of a node.
pub(crate) enum Next<T: 'static> {
    Nobody,
    /// The next step of the same chain.
    Step(Rc<dyn Accept<T>>),
    /// The node of another chain that waits for this one.
    Waiter(Rc<dyn Land<T>>),
}

/// A node as [`drive`] sees it, without the type of its result.
pub(crate) trait Drive {
    /// Gives the result that lies here to whoever comes next.
    fn advance(self: Rc<Self>, chain: &Rc<dyn Chain>) -> Advance;
    /// Takes the result that lies here; nobody wants it. A value is dropped.
    fn discard(&self) -> Option<Failure>;
    /// Tells the recorder that the result rests here.
    fn tell_rest(&self, chain: &Core);
}

/// A node as the one before it sees it.
pub(crate) trait Accept<T: 'static>: Drive {
    /// Runs the step. Answers itself when its result lies in its slot; `None` when the chain has to wait.
    fn accept(self: Rc<Self>, input: Outcome<T>, chain: &Rc<dyn Chain>) -> Option<Rc<dyn Drive>>;
}

/// A node as the end of another chain sees it.
pub(crate) trait Land<T: 'static>: Drive {
    /// Lays a result down.
    fn land(&self, outcome: Outcome<T>);
}

pub(crate) enum Advance {
    /// There is nobody next: the result rests.
    Rest(Rc<dyn Drive>),
    /// The next link has its result.
    Next(Rc<dyn Drive>),
    /// The next link gave back a Deferred that has no result yet.
    Paused,
    /// The result was handed to the node of the chain that waited for this one.
    Resume(Rc<dyn Drive>),
}

impl<T: 'static, S> Node<T, S> {
    const fn with(part: S) -> Node<T, S> {
        Node { next: Cell::new(Next::Nobody), out: Cell::new(None), part }
    }
}

impl<T: 'static, S: ?Sized> Node<T, S> {
    /// Takes the result, if it lies here.
    #[inline]
    pub(crate) fn take(&self) -> Option<Outcome<T>> {
        self.out.take()
    }

    /// Lays a result here.
    #[inline]
    pub(crate) fn put(&self, outcome: Outcome<T>) {
        self.out.set(Some(outcome));
    }

    /// Says who comes next.
    #[inline]
    pub(crate) fn attach(&self, next: Next<T>) {
        self.next.set(next);
    }
}

impl<T: 'static> Node<T, ()> {
    /// A place where the result of another chain will be laid down. The step before it ran already.
    pub(crate) fn landing() -> Rc<Node<T, ()>> {
        Rc::new(Node::with(()))
    }
}

impl<T: 'static> Head<T> {
    pub(crate) fn new(info: Info, phase: Phase) -> Rc<Head<T>> {
        Rc::new(Node::with(Core::new(info, phase)))
    }

    /// Fires the chain. Gives the outcome back if it has been fired before.
    pub(crate) fn fire(self: Rc<Self>, outcome: Outcome<T>, at: Option<Place>) -> Result<(), Outcome<T>> {
        let core = &self.part;
        if core.phase.get() != Phase::Unfired {
            return Err(outcome);
        }
        core.phase.set(Phase::Running);
        core.fired.set(at);
        if let Some(canceller) = core.canceller.take() {
            discard(core, || {
                drop(canceller);
                None
            });
        }
        let outcome = if trace::on() { tell::fired(core, outcome, at) } else { outcome };
        self.put(outcome);
        let chain: Rc<dyn Chain> = self.clone();
        drive(self, chain);
        Ok(())
    }
}

impl<T: 'static> Chain for Head<T> {
    fn core(&self) -> &Core {
        &self.part
    }
    fn fail(self: Rc<Self>, failure: Failure) {
        // Only a chain that was fired meanwhile refuses, and then the failure has no meaning any more.
        drop(self.fire(Err(failure), None));
    }
}

impl<T: 'static, S: Part + 'static> Drive for Node<T, S> {
    fn advance(self: Rc<Self>, chain: &Rc<dyn Chain>) -> Advance {
        match self.next.replace(Next::Nobody) {
            Next::Step(link) => match self.take() {
                Some(out) => match link.accept(out, chain) {
                    Some(node) => Advance::Next(node),
                    None => Advance::Paused,
                },
                // A node is driven only when its result lies in its slot; without it the chain cannot go on.
                None => Advance::Paused,
            },
            Next::Nobody => Advance::Rest(self),
            Next::Waiter(node) => {
                if let Some(out) = self.take() {
                    node.land(if trace::on() { tell::resumed(chain.core(), out) } else { out });
                }
                Advance::Resume(node)
            }
        }
    }
    fn discard(&self) -> Option<Failure> {
        self.take().and_then(Result::err)
    }
    fn tell_rest(&self, core: &Core) {
        if let Some(out) = self.take() {
            self.put(tell::resting(core, out));
        }
    }
}

impl<T: 'static, S: Part + 'static> Land<T> for Node<T, S> {
    fn land(&self, outcome: Outcome<T>) {
        self.put(outcome);
    }
}

impl<T: 'static, U: 'static, S: Step<T, U>> Accept<T> for Node<U, Link<T, S>> {
    fn accept(self: Rc<Self>, input: Outcome<T>, chain: &Rc<dyn Chain>) -> Option<Rc<dyn Drive>> {
        // A link is armed until it runs, and it runs once.
        let step = self.part.step.take()?;
        let returned = if trace::on() {
            tell::step(&chain.core().info, &self.part.site(), step, input)
        } else {
            run(step, input, || (self.part.site(), chain.core().info.made))
        };
        match returned {
            Returned::Now(outcome) => {
                self.put(outcome);
                Some(self)
            }
            Returned::Later(inner) => self.wait(inner, chain),
        }
    }
}

impl<T: 'static, S: 'static> Link<T, S> {
    fn site(&self) -> StepSite<'_> {
        let name = self.name.get().map(|name| &***name);
        StepSite { n: self.n.get(), at: self.at.get(), name, reg: self.reg.get() }
    }
}

/// A link that knows nothing yet.
impl<T: 'static, U: 'static, S> Default for Node<U, Link<T, S>> {
    #[inline]
    fn default() -> Self {
        Node::with(Link {
            step: Cell::new(None),
            at: Cell::new(const { Location::caller() }),
            name: OnceCell::new(),
            n: Cell::new(0),
            reg: Cell::new(0),
            takes: PhantomData,
        })
    }
}

impl<T: 'static, S: Part + 'static> Node<T, S> {
    /// Goes on with the result of `inner`, or makes the chain wait for it.
    #[inline(never)] // keeps what is rare and large out of `accept`
    fn wait(self: Rc<Self>, inner: Deferred<T>, chain: &Rc<dyn Chain>) -> Option<Rc<dyn Drive>> {
        let outcome = match collect(&chain.core().info, inner) {
            Ok(outcome) => outcome,
            Err(inner) => wait_for(inner?, self.clone(), chain)?,
        };
        self.put(outcome);
        Some(self)
    }
}

/// Hangs a step behind `tail`.
#[inline]
pub(crate) fn append<T: 'static, U: 'static, S: Step<T, U>>(
    tail: &Node<T, dyn Part>,
    info: &Info,
    step: S,
    at: Place,
) -> Tail<U> {
    let (n, name) = info.next_step(at);
    // `Rc::default` builds it where it is to lie. `Rc::new` builds it on the stack and moves it, which took a quarter of
    // all the time.
    let link = Rc::<Node<U, Link<T, S>>>::default();
    link.part.step.set(Some(step));
    link.part.at.set(at);
    link.part.n.set(n);
    if let Some(name) = name {
        link.part.name.get_or_init(|| name);
    }
    tail.attach(Next::Step(link.clone()));
    // Told when it is true: a recorder may fire the chain.
    if trace::on() {
        link.part.reg.set(tell::added::<T, U, S>(info, &link.part.site(), false));
    }
    link
}

/// The result of `inner`, which a step of the chain of `info` gave back, if it is there; else its tail and chain.
pub(crate) fn collect<T: 'static>(info: &Info, inner: Deferred<T>) -> Result<Outcome<T>, Option<Pending<T>>> {
    let (outcome, origin) = match inner.into_end() {
        End::Done(outcome, origin) => (outcome, origin),
        End::Pending(tail, chain) => match tail.take() {
            Some(outcome) => (outcome, Origin::Chain(chain)),
            None => return Err(Some(Pending { tail, chain })),
        },
        End::Consumed => return Err(None), // a Deferred in somebody's hands is never consumed
    };
    Ok(if trace::on() { tell::moved(info, origin.info(), outcome, type_name::<T>()) } else { outcome })
}

/// A Deferred without a result, taken apart.
pub(crate) struct Pending<T: 'static> {
    tail: Tail<T>,
    chain: Rc<dyn Chain>,
}

/// Makes `chain`, whose result goes to `landing`, wait for `inner`. Answers a failure if it would wait for itself.
pub(crate) fn wait_for<T: 'static>(
    inner: Pending<T>,
    landing: Rc<dyn Land<T>>,
    chain: &Rc<dyn Chain>,
) -> Option<Outcome<T>> {
    let core = chain.core();
    let inner_core = inner.chain.core();
    if Rc::ptr_eq(&inner.chain, chain) {
        core.detached.set(true); // its tail goes with this call
        return Some(Err(Failure::msg(format_args!(
            "a step of the Deferred made at {} gave back that Deferred itself: it would wait for its own end",
            core.info.made
        ))));
    }
    core.phase.set(Phase::Waiting);
    core.waits_for.set(Some(Rc::downgrade(&inner.chain)));
    inner_core.waiter.set(Some(chain.clone()));
    inner.tail.attach(Next::Waiter(landing));
    // Told when it is true: a recorder may fire the inner one.
    if trace::on() {
        tell::paused(&core.info, &inner_core.info);
    }
    None
}

/// Walks the list from `node`, whose result lies in its slot, until a result rests or a chain waits.
pub(crate) fn drive(mut node: Rc<dyn Drive>, mut chain: Rc<dyn Chain>) {
    let mut told = None;
    loop {
        match node.advance(&chain) {
            Advance::Next(next) => node = next,
            Advance::Paused => return,
            Advance::Resume(next) => {
                chain.core().phase.set(Phase::Resting);
                // Taken out, so that finished chains do not hold each other.
                let Some(waiter) = chain.core().waiter.take() else { return };
                waiter.core().phase.set(Phase::Running);
                waiter.core().waits_for.set(None);
                chain = waiter;
                node = next;
            }
            Advance::Rest(last) => {
                if trace::on() && told.is_none_or(|told| told != Rc::as_ptr(&last).addr()) {
                    told = Some(Rc::as_ptr(&last).addr());
                    last.tell_rest(chain.core());
                    node = last; // a recorder may have added a step
                    continue;
                }
                chain.core().phase.set(Phase::Resting);
                if chain.core().detached.get() {
                    discard(chain.core(), || last.discard());
                }
                return;
            }
        }
    }
}

/// Lets go of what nobody wants. A failure that comes out is lost, and so is a panic of the user's `Drop`.
fn discard(core: &Core, let_go: impl FnOnce() -> Option<Failure>) {
    let failure = catch_unwind(AssertUnwindSafe(let_go))
        .unwrap_or_else(|payload| Some(Failure::panic(payload, core.info.last.get().unwrap_or(core.info.made))));
    if let Some(failure) = failure {
        lost(&core.info, core.fired.get(), failure);
    }
}

/// Reports a failure that nobody can handle any more.
pub(crate) fn lost(info: &Info, fired: Option<Place>, mut failure: Failure) {
    let recorded = if trace::on() { tell::lost(info, &mut failure) } else { None };
    unhandled::report(UnhandledError {
        failure,
        recorded,
        name: info.name(),
        made: info.made,
        fired,
        last_step: info.last.get(),
        steps: info.steps.get(),
    });
}

/// Cancels a chain: asks the innermost one that it waits for. Twisted's `Deferred.cancel`.
pub(crate) fn cancel(mut chain: Rc<dyn Chain>, at: Place) {
    loop {
        let core = chain.core();
        match core.phase.get() {
            Phase::Unfired => return cancel_unfired(&chain, at),
            Phase::Waiting => {
                let Some(inner) = core.waits_for() else { return };
                if trace::on() {
                    tell::cancel(&core.info, at, tell::How::Forward(&inner.core().info));
                }
                chain = inner;
            }
            Phase::Running | Phase::Resting => {
                if trace::on() {
                    tell::cancel(&core.info, at, tell::How::TooLate);
                }
                return;
            }
        }
    }
}

fn cancel_unfired(chain: &Rc<dyn Chain>, at: Place) {
    let core = chain.core();
    core.cancelled.set(true);
    let mut failure = None;
    match core.canceller.take() {
        None => {
            if trace::on() {
                tell::cancel(&core.info, at, tell::How::NoCanceller);
            }
        }
        Some(canceller) => {
            let frame = trace::on().then(|| tell::canceller_begins(&core.info, at));
            let result = catch_unwind(AssertUnwindSafe(*canceller));
            if let Some(frame) = frame {
                tell::canceller_ends(frame, core.phase.get() != Phase::Unfired, result.is_err());
            }
            failure = result.err().map(|payload| Failure::panic(payload, core.info.made));
        }
    }
    if core.phase.get() == Phase::Unfired {
        chain.clone().fail(failure.unwrap_or_else(|| Failure::cancelled_at(at)));
    } else if let Some(failure) = failure {
        // The canceller fired the chain and panicked after that: its panic is an error of its own.
        lost(&core.info, core.fired.get(), failure);
    }
}
