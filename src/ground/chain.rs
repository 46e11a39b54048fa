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
//! Who owns a chain: its `Resolver` until it fires, then the running [`drive`], and while the chain waits, what it waits
//! for. The consuming `Deferred` owns the chain and its tail. All state is in `Cell`s that are emptied
//! before foreign code is called.

use super::deferred::{Deferred, End, Origin};
use super::failure::Failure;
use super::info::{Info, Phase};
use super::jobs::{Jobs, Walk};
use super::step::{Outcome, Returned, Step, StepSite, run};
use super::tell;
use super::trace::{self, Place};
use super::unhandled::{self, UnhandledError};
use std::any::type_name;
use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// The state of one chain as a whole.
#[derive(Default)]
pub(crate) struct Core {
    pub(crate) info: Info,
    pub(crate) fired: Cell<Option<Place>>,
    /// Whom a cancel asks: the canceller while nothing is fired, then the chain that this one waits for.
    pub(crate) ask: Cell<Option<Rc<dyn Ask>>>,
    /// The chain that waits for this one.
    pub(crate) waiter: Cell<Option<Rc<dyn Chain>>>,
}

impl Core {
    /// What this chain waits for.
    pub(crate) fn waits_for(&self) -> Option<Rc<dyn Chain>> {
        self.asks()?.chain()
    }

    /// For a list that has not fired: how many of its members have no result yet, and how many it has.
    pub(crate) fn members(&self) -> Option<(usize, usize)> {
        self.asks()?.members()
    }

    pub(super) fn asks(&self) -> Option<Rc<dyn Ask>> {
        let ask = self.ask.take();
        self.ask.set(ask.clone());
        ask
    }
}

/// Whom a cancel asks.
///
/// While a chain waits, it and the one that it waits for hold each other; whoever fires that one (or drops its
/// `Resolver`, which fires it) parts them.
pub(crate) trait Ask {
    /// The chain, if it is one.
    fn chain(self: Rc<Self>) -> Option<Rc<dyn Chain>> {
        None
    }
    /// Calls the canceller, if it is one.
    fn call(&self) {}
    /// Asks the members of `chain`, if it is a list. Answers whether it is: it stays the one to ask until `chain` fires.
    fn each(self: Rc<Self>, _chain: &Rc<dyn Chain>, _at: Place, _jobs: &mut Jobs) -> bool {
        false
    }
    /// For a list: how many of its members have no result yet, and how many it has.
    fn members(&self) -> Option<(usize, usize)> {
        None
    }
    /// The `Deferred` was dropped before the chain was fired. A list lets go of members that can never fire.
    fn detached(&self) {}
}

/// What the program wants done when somebody cancels.
pub(crate) struct Canceller<F>(Cell<Option<F>>);

impl<F> Canceller<F> {
    pub(crate) fn new(f: F) -> Canceller<F> {
        Canceller(Cell::new(Some(f)))
    }
}

impl<F: FnOnce()> Ask for Canceller<F> {
    fn call(&self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

/// A chain without the types of its values.
pub(crate) trait Chain: Ask {
    fn core(&self) -> &Core;
    /// Fires it with a failure, if nobody fired it.
    fn fail(self: Rc<Self>, failure: Failure, jobs: &mut Jobs);
}

/// One place of the list: the slot for a result, who takes it, and what else the place is for.
///
/// `S` is the [`Core`] of the chain in its first node, a [`Link`] in the nodes behind it, and a [`Landing`]
/// where another chain's result is laid down. A `Deferred` holds its tail with `S` erased and still reaches the slot without
/// a virtual call.
pub(crate) struct Node<T: 'static, S: ?Sized> {
    slot: Slot<T>,
    pub(crate) part: S,
}

/// The slot for a result, and who takes it: what is the same in a node whatever else it is for, so that it is compiled once
/// for each type of a result and not once for each callback.
struct Slot<T: 'static> {
    /// The next step of the chain.
    next: Cell<Option<Rc<dyn Accept<T>>>>,
    out: Cell<Out<T>>,
}

impl<T: 'static> Default for Slot<T> {
    #[inline]
    fn default() -> Self {
        Slot { next: Cell::default(), out: Cell::default() }
    }
}

/// What may be `S` of a [`Node`].
pub(crate) trait Part {
    /// Where the step before the result was added.
    fn at(&self) -> Option<Place>;
}

impl Part for Core {
    fn at(&self) -> Option<Place> {
        None
    }
}

/// A place where another chain's result is laid down: the step that gave back that one's Deferred ran already.
pub(crate) struct Landing(Place);

impl Part for Landing {
    fn at(&self) -> Option<Place> {
        Some(self.0)
    }
}

impl<T: 'static, S> Part for Link<T, S> {
    fn at(&self) -> Option<Place> {
        Some(self.site.at.get())
    }
}

impl<T: 'static, S: Default> Default for Node<T, S> {
    #[inline]
    fn default() -> Self {
        Node { slot: Slot::default(), part: S::default() }
    }
}

/// The end of the list as a `Deferred<T>` holds it.
pub(crate) type Tail<T> = Rc<Node<T, dyn Part>>;

/// The first node of a chain: what a `Resolver` fires.
pub(crate) type Head<T> = Node<T, Core>;

/// One step of a chain.
pub(crate) struct Link<T: 'static, S> {
    step: Cell<Option<S>>,
    site: StepSite,
    takes: PhantomData<fn(T)>,
}

/// What lies in a node.
#[derive(Default)]
enum Out<T: 'static> {
    #[default]
    Empty,
    Result(Outcome<T>),
    /// No result yet. The node of another chain, which waits for this one, will take it.
    Waiter(Rc<dyn Land<T>>),
}

/// A node as [`drive`] sees it, without the type of its result.
pub(crate) trait Drive {
    /// Gives the result that lies here to the next step, if there is one. `chain` is the chain it runs along, before
    /// and after.
    fn advance(self: Rc<Self>, chain: &mut Walk<'_>) -> Advance;
    /// Takes the result that lies here; nobody wants it. A value is dropped.
    fn discard(&self) -> Option<Failure>;
    /// Where the step before the result was added.
    fn at(&self) -> Option<Place>;
    /// Tells the recorder that the result rests here. That may have added a step.
    fn tell_rest(self: Rc<Self>, chain: &mut Walk<'_>) -> Advance;
}

/// A node as the one before it sees it.
pub(crate) trait Accept<T: 'static>: Drive {
    /// Runs the step, which is the `stride`th in a row that was called by the one before it.
    fn accept(self: Rc<Self>, input: Outcome<T>, chain: &mut Walk<'_>, stride: u32) -> Advance;
    /// The same while somebody records. Whether that is so is asked where a row of steps begins.
    fn accept_told(self: Rc<Self>, input: Outcome<T>, chain: &mut Walk<'_>, stride: u32) -> Advance {
        self.accept(input, chain, stride)
    }
}

/// A node as the end of another chain sees it.
pub(crate) trait Land<T: 'static>: Drive {
    /// Lays a result down; or, if yet another chain waits for it here, answers it and that one's node.
    fn land(&self, outcome: Outcome<T>) -> Option<(Outcome<T>, Rc<dyn Land<T>>)>;
}

pub(crate) enum Advance {
    /// There is nobody next: the result rests.
    Rest(Rc<dyn Drive>),
    /// A result lies there.
    Next(Rc<dyn Drive>),
    /// The step gave back a Deferred that has no result yet.
    Paused,
}

/// Who takes a result that was found in a slot.
enum Taker<T: 'static> {
    /// The next step of the chain.
    Step(Rc<dyn Accept<T>>, Outcome<T>),
    /// The same, but too many steps called the one after them: it was put into the slot for [`drive`].
    Drive,
    /// Nobody: it was put into the slot.
    Nobody,
    /// The chain that waits for this one.
    Waiter(Advance),
}

impl<T: 'static> Slot<T> {
    #[inline]
    fn take(&self) -> Option<Outcome<T>> {
        match self.out.take() {
            Out::Empty => None,
            Out::Result(outcome) => Some(outcome),
            waiter => {
                self.out.set(waiter);
                None
            }
        }
    }

    #[inline]
    fn put(&self, outcome: Outcome<T>) {
        self.out.set(Out::Result(outcome));
    }

    #[cfg_attr(not(debug_assertions), inline(always))] // a call of its own costs a tenth
    fn taker(&self, outcome: Outcome<T>, chain: &mut Walk<'_>, stride: u32) -> Taker<T> {
        match self.next.take() {
            Some(step) if stride < STRIDE => Taker::Step(step, outcome),
            Some(step) => {
                self.next.set(Some(step));
                self.put(outcome);
                Taker::Drive
            }
            None => match self.out.take() {
                Out::Waiter(node) => Taker::Waiter(hand_over(node, outcome, chain)),
                Out::Empty | Out::Result(_) => {
                    self.put(outcome);
                    Taker::Nobody
                }
            },
        }
    }

    /// See [`Drive::advance`]; `None` if there is nobody next.
    fn advance(&self, chain: &mut Walk<'_>) -> Option<Advance> {
        let step = self.next.take()?;
        Some(match self.take() {
            Some(out) if trace::on() => step.accept_told(out, chain, 0),
            Some(out) => step.accept(out, chain, 0),
            // A node is driven only when a result lies there; without it the chain cannot go on.
            None => Advance::Paused,
        })
    }

    /// See [`Drive::tell_rest`]; answers the result.
    fn tell_rest(&self, chain: &mut Walk<'_>) -> Option<Outcome<T>> {
        Some(tell::resting(chain.core(), self.take()?))
    }

    /// See [`Land::land`].
    fn land(&self, outcome: Outcome<T>) -> Option<(Outcome<T>, Rc<dyn Land<T>>)> {
        match self.out.take() {
            Out::Waiter(next) => Some((outcome, next)),
            Out::Empty | Out::Result(_) => {
                self.put(outcome);
                None
            }
        }
    }
}

impl<T: 'static, S: ?Sized> Node<T, S> {
    /// Takes the result, if it rests here.
    #[inline]
    pub(crate) fn take(&self) -> Option<Outcome<T>> {
        self.slot.take()
    }

    /// Puts a result back that was taken.
    #[inline]
    pub(crate) fn put(&self, outcome: Outcome<T>) {
        self.slot.put(outcome);
    }
}

impl<T: 'static, S: Part + 'static> Node<T, S> {
    /// Gives a result that was found here to whoever comes next. `told`: somebody records.
    #[cfg_attr(not(debug_assertions), inline(always))] // a call of its own costs a tenth
    pub(super) fn lay(
        self: Rc<Self>,
        outcome: Outcome<T>,
        chain: &mut Walk<'_>,
        stride: u32,
        told: bool,
    ) -> Advance {
        match self.slot.taker(outcome, chain, stride) {
            Taker::Step(step, outcome) => {
                drop(self);
                match told {
                    false => step.accept(outcome, chain, stride + 1),
                    true => step.accept_told(outcome, chain, stride + 1),
                }
            }
            Taker::Drive => Advance::Next(self),
            Taker::Nobody => Advance::Rest(self),
            Taker::Waiter(advance) => advance,
        }
    }
}

/// Hands the result at the end of `chain` to the chain that waits for it at `node`, and if that was its end too, to the
/// one that waits for that: a million nested Deferreds are one loop.
#[inline(never)]
fn hand_over<T: 'static>(mut node: Rc<dyn Land<T>>, mut outcome: Outcome<T>, chain: &mut Walk<'_>) -> Advance {
    loop {
        if trace::on() {
            outcome = tell::resumed(chain.core(), outcome);
        }
        chain.core().info.phase.set(Phase::Resting);
        // Taken out, so that finished chains do not hold each other.
        let Some(waiter) = chain.core().waiter.take() else { return Advance::Paused };
        waiter.core().info.phase.set(Phase::Running);
        waiter.core().ask.set(None);
        chain.chain = waiter;
        match node.land(outcome) {
            None => return Advance::Next(node),
            Some(next) => (outcome, node) = next,
        }
    }
}

impl<T: 'static> Node<T, Landing> {
    /// A place for the result of a Deferred that the step added at `at` gave back.
    pub(crate) fn landing(at: Place) -> Rc<Node<T, Landing>> {
        Rc::new(Node { slot: Slot::default(), part: Landing(at) })
    }
}

impl<T: 'static> Head<T> {
    /// The head of a chain that nobody fired yet.
    #[inline]
    pub(crate) fn unfired(made: Place) -> Rc<Head<T>> {
        let head = Rc::<Head<T>>::default();
        head.part.info.set_made(made);
        head
    }

    /// The head of a chain that had none while it needed none.
    pub(crate) fn of(info: Info) -> Rc<Head<T>> {
        Rc::new(Node { slot: Slot::default(), part: Core { info, ..Core::default() } })
    }

    /// Fires the chain. Gives the outcome back if it has been fired before.
    pub(crate) fn fire(
        self: Rc<Self>,
        outcome: Outcome<T>,
        at: Option<Place>,
        jobs: &mut Jobs,
    ) -> Result<(), Outcome<T>> {
        let core = &self.part;
        if core.info.phase.get() != Phase::Unfired {
            return Err(outcome);
        }
        core.info.phase.set(Phase::Running);
        core.fired.set(at);
        if let Some(canceller) = core.ask.take() {
            discard(core, None, || {
                drop(canceller);
                None
            });
        }
        let mut walk = Walk { chain: self.clone(), jobs };
        let first = match trace::on() {
            false => self.lay(outcome, &mut walk, 0, false),
            true => self.fire_told(outcome, at, &mut walk),
        };
        drive(first, walk);
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn fire_told(self: Rc<Self>, outcome: Outcome<T>, at: Option<Place>, walk: &mut Walk<'_>) -> Advance {
        let outcome = tell::fired(&self.part, outcome, at);
        self.lay(outcome, walk, 0, true)
    }
}

impl<T: 'static> Ask for Head<T> {
    fn chain(self: Rc<Self>) -> Option<Rc<dyn Chain>> {
        Some(self)
    }
}

impl<T: 'static> Chain for Head<T> {
    fn core(&self) -> &Core {
        &self.part
    }
    fn fail(self: Rc<Self>, failure: Failure, jobs: &mut Jobs) {
        // Only a chain that was fired meanwhile refuses, and then the failure has no meaning any more.
        drop(self.fire(Err(failure), None, jobs));
    }
}

impl<T: 'static, S: Part + 'static> Drive for Node<T, S> {
    fn advance(self: Rc<Self>, chain: &mut Walk<'_>) -> Advance {
        match self.slot.advance(chain) {
            Some(advance) => advance,
            None => Advance::Rest(self),
        }
    }
    fn discard(&self) -> Option<Failure> {
        self.take().and_then(Result::err)
    }
    fn at(&self) -> Option<Place> {
        self.part.at()
    }
    fn tell_rest(self: Rc<Self>, chain: &mut Walk<'_>) -> Advance {
        match self.slot.tell_rest(chain) {
            Some(outcome) => self.lay(outcome, chain, 0, true),
            None => Advance::Rest(self),
        }
    }
}

impl<T: 'static, S: Part + 'static> Land<T> for Node<T, S> {
    fn land(&self, outcome: Outcome<T>) -> Option<(Outcome<T>, Rc<dyn Land<T>>)> {
        self.slot.land(outcome)
    }
}

impl<T: 'static, U: 'static, S: Step<T, U>> Accept<T> for Node<U, Link<T, S>> {
    fn accept(self: Rc<Self>, input: Outcome<T>, chain: &mut Walk<'_>, stride: u32) -> Advance {
        // Sixteen of these lie on the stack at once, unless what each holds there is large.
        let large = const { size_of::<S>() + size_of::<Outcome<T>>() + size_of::<Outcome<U>>() > 256 };
        // A link is armed until it runs, and it runs once.
        let Some(step) = self.part.step.take() else { return Advance::Paused };
        match run(step, input, &self.part.site, &**chain) {
            Returned::Now(outcome) => self.lay(outcome, chain, if large { STRIDE } else { stride }, false),
            Returned::Later(inner) => self.wait(inner, chain, if large { STRIDE } else { stride }),
        }
    }
    #[cold]
    fn accept_told(self: Rc<Self>, input: Outcome<T>, chain: &mut Walk<'_>, stride: u32) -> Advance {
        let large = const { size_of::<S>() + size_of::<Outcome<T>>() + size_of::<Outcome<U>>() > 128 };
        let Some(step) = self.part.step.take() else { return Advance::Paused };
        match tell::step(&chain.core().info, &self.part.site, step, input) {
            Returned::Now(outcome) => self.lay(outcome, chain, if large { STRIDE } else { stride }, true),
            Returned::Later(inner) => self.wait(inner, chain, if large { STRIDE } else { stride }),
        }
    }
}

/// A link that knows nothing yet.
impl<T: 'static, S> Default for Link<T, S> {
    #[inline]
    fn default() -> Self {
        Link { step: Cell::new(None), site: StepSite::default(), takes: PhantomData }
    }
}

impl<T: 'static, S: Part + 'static> Node<T, S> {
    /// Goes on with the result of `inner`, or makes the chain wait for it.
    #[inline(never)] // keeps what is rare and large out of `accept`
    fn wait(self: Rc<Self>, inner: Deferred<T>, chain: &mut Walk<'_>, stride: u32) -> Advance {
        match collect_or_wait(inner, self.clone(), chain) {
            Some(outcome) => self.lay(outcome, chain, stride, trace::on()),
            None => Advance::Paused,
        }
    }
}

/// The result of `inner`, which a step of `chain` gave back; or makes the chain, whose result goes to `landing`, wait for
/// it.
fn collect_or_wait<T: 'static>(
    inner: Deferred<T>,
    landing: Rc<dyn Land<T>>,
    chain: &Rc<dyn Chain>,
) -> Option<Outcome<T>> {
    match collect(&chain.core().info, inner) {
        Ok(outcome) => Some(outcome),
        Err(None) => None,
        Err(Some(inner)) => wait_for(inner, landing, chain),
    }
}

/// Hangs a step behind `tail`, which is that of `chain`.
#[inline]
pub(crate) fn append<T: 'static, U: 'static, S: Step<T, U>>(
    tail: &Node<T, dyn Part>,
    chain: &Rc<dyn Chain>,
    info: &Info,
    step: S,
    at: Place,
) -> Tail<U> {
    let n = info.next_step();
    // `Rc::default` builds it where it is to lie. `Rc::new` builds it on the stack and moves it, which took a quarter of
    // all the time.
    let link = Rc::<Node<U, Link<T, S>>>::default();
    link.part.step.set(Some(step));
    link.part.site.at.set(at);
    link.part.site.n.set(n);
    tail.slot.next.set(Some(link.clone()));
    // Told when it is true: a recorder may fire the chain.
    if trace::on() {
        tell_added(chain, &link);
    }
    link
}

/// Takes nothing that the caller would have to keep in a register for this alone: with the place and the names as
/// arguments of their own a callback took a third longer, whether or not somebody recorded.
#[cold]
#[inline(never)]
fn tell_added<T: 'static, U: 'static, S: Step<T, U>>(chain: &Rc<dyn Chain>, link: &Node<U, Link<T, S>>) {
    let site = &link.part.site;
    site.reg.set(tell::added(&chain.core().info, site, false, type_name::<T>(), S::shape()));
}

/// Hangs something that is no step of the program's behind `tail`.
pub(crate) fn hang<T: 'static>(tail: &Node<T, dyn Part>, taker: Rc<dyn Accept<T>>) {
    tail.slot.next.set(Some(taker));
}

/// The result of `inner`, which a step of the chain of `info` gave back, if it is there; else its tail and chain.
pub(crate) fn collect<T: 'static>(info: &Info, inner: Deferred<T>) -> Result<Outcome<T>, Option<Pending<T>>> {
    let (outcome, origin) = match inner.into_end() {
        End::Done(outcome, origin) => (outcome, origin),
        End::Pending(tail, chain) => match tail.take() {
            Some(outcome) => (outcome, Origin::of(&tail, chain)),
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
        core.info.detached.set(true); // its tail goes with this call
        return Some(Err(Failure::msg(format_args!(
            "a step of the Deferred made at {} gave back that Deferred itself: it would wait for its own end",
            core.info.made()
        ))));
    }
    core.info.phase.set(Phase::Waiting);
    core.ask.set(Some(inner.chain.clone()));
    inner_core.waiter.set(Some(chain.clone()));
    inner.tail.slot.out.set(Out::Waiter(landing));
    // Told when it is true: a recorder may fire the inner one.
    if trace::on() {
        tell::paused(&core.info, &inner_core.info);
    }
    None
}

/// How many steps call the next one before the loop of [`drive`] takes over. The loop alone would do; handing a result on
/// by a call instead of through the node's memory takes an eighth off a callback's time, and 16 frames are a bound.
const STRIDE: u32 = 16;

/// Walks the list until a result rests or a chain waits.
pub(crate) fn drive(mut advance: Advance, mut chain: Walk<'_>) {
    let mut told = None;
    loop {
        match advance {
            Advance::Next(node) => advance = node.advance(&mut chain),
            Advance::Paused => return,
            Advance::Rest(last) => {
                if trace::on() && told.is_none_or(|told| told != Rc::as_ptr(&last).addr()) {
                    told = Some(Rc::as_ptr(&last).addr());
                    advance = last.tell_rest(&mut chain);
                    continue;
                }
                chain.core().info.phase.set(Phase::Resting);
                if chain.core().info.detached.get() {
                    discard(chain.core(), last.at(), || last.discard());
                }
                return;
            }
        }
    }
}

/// Lets go of what nobody wants. A failure that comes out is lost, and so is a panic of the user's `Drop`.
pub(crate) fn discard(core: &Core, last: Option<Place>, let_go: impl FnOnce() -> Option<Failure>) {
    let failure = catch_unwind(AssertUnwindSafe(let_go))
        .unwrap_or_else(|payload| Some(Failure::panic(payload, last.unwrap_or(core.info.made()))));
    if let Some(failure) = failure {
        lost(&core.info, core.fired.get(), last, failure);
    }
}

/// Reports a failure that nobody can handle any more.
pub(crate) fn lost(info: &Info, fired: Option<Place>, last: Option<Place>, mut failure: Failure) {
    let recorded = if trace::on() { tell::lost(info, &mut failure) } else { None };
    unhandled::report(UnhandledError {
        failure,
        recorded,
        name: info.name(),
        made: info.made(),
        fired,
        last_step: last,
        steps: info.steps.get(),
    });
}
