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

use super::deferred::{Deferred, Inner, Origin};
use super::failure::{Failure, RaisedIn};
use super::step::{Outcome, Returned, Step, step_name};
use super::tell;
use super::trace::{self, EventNumber, IdSlot, Lane, Place};
use super::unhandled::{self, UnhandledError};
use std::any::type_name;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};

/// What every chain knows about itself, for reports and the trace.
pub(crate) struct Info {
    pub(crate) made: Place,
    /// Where its last step was added.
    pub(crate) last: Cell<Option<Place>>,
    pub(crate) name: Cell<Option<Box<str>>>,
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
            name: Cell::new(None),
            steps: Cell::new(0),
            id: Cell::default(),
            cause: Cell::new(0),
        }
    }

    /// Looks at the name without giving it away.
    pub(crate) fn name(&self) -> Option<Box<str>> {
        let name = self.name.take();
        self.name.set(name.clone());
        name
    }
}

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

/// The state of one chain as a whole.
pub(crate) struct Core {
    pub(crate) info: Info,
    pub(crate) phase: Cell<Phase>,
    /// The consuming end was dropped: whatever comes out at the end has no taker.
    pub(crate) detached: Cell<bool>,
    pub(crate) cancelled: Cell<bool>,
    pub(crate) fired: Cell<Option<Place>>,
    pub(crate) canceller: Cell<Option<Box<dyn FnOnce()>>>,
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

/// One place of the list: a head or a link, without the types of its values.
pub(crate) trait Node {
    /// Gives the result that lies here to whoever comes next.
    fn advance(self: Rc<Self>, chain: &Rc<dyn Chain>) -> Advance;
    /// Takes the result that lies here; nobody wants it. A value is dropped.
    fn discard(&self) -> Option<Failure>;
    /// Tells the recorder that the result rests here.
    fn tell_rest(&self, chain: &Core);
}

pub(crate) enum Advance {
    /// There is nobody next: the result rests.
    Rest(Rc<dyn Node>),
    /// The next link has its result.
    Next(Rc<dyn Node>),
    /// The next link gave back a Deferred that has no result yet.
    Paused,
    /// The result was handed to the link of the chain that waited for this one.
    Resume(Rc<dyn Node>),
}

/// The end of the list as a `Deferred<T>` holds it.
pub(crate) trait Tail<T: 'static>: Node {
    /// Takes the result, if it lies here.
    fn take(&self) -> Option<Outcome<T>>;
    /// Lays a result here.
    fn put(&self, outcome: Outcome<T>);
    /// Says who comes next.
    fn attach(&self, next: Next<T>);
}

/// A link as the one before it sees it.
pub(crate) trait Accept<T: 'static>: Node {
    /// Runs the step. Answers itself when its result lies in its slot; `None` when the chain has to wait.
    fn accept(self: Rc<Self>, input: Outcome<T>, chain: &Rc<dyn Chain>) -> Option<Rc<dyn Node>>;
}

/// Who takes the result of a node.
pub(crate) enum Next<T: 'static> {
    Nobody,
    /// The next step of the same chain.
    Step(Rc<dyn Accept<T>>),
    /// The link of another chain that waits for this one.
    Waiter(Rc<dyn Tail<T>>),
}

/// What `Tail`'s nodes have in common: a slot for the result and the way on.
pub(crate) struct Slot<T: 'static> {
    next: Cell<Next<T>>,
    out: Cell<Option<Outcome<T>>>,
}

impl<T: 'static> Slot<T> {
    pub(crate) fn new() -> Slot<T> {
        Slot { next: Cell::new(Next::Nobody), out: Cell::new(None) }
    }
}

/// The first node of a chain: what a `Resolver` fires. Also the node in which a chain waits that was made with its
/// result and paused later.
pub(crate) struct Head<T: 'static> {
    pub(crate) core: Core,
    pub(crate) slot: Slot<T>,
}

impl<T: 'static> Head<T> {
    pub(crate) fn new(info: Info, phase: Phase) -> Rc<Head<T>> {
        Rc::new(Head { core: Core::new(info, phase), slot: Slot::new() })
    }

    /// Fires the chain. Gives the outcome back if it has been fired before.
    pub(crate) fn fire(self: Rc<Self>, outcome: Outcome<T>, at: Option<Place>) -> Result<(), Outcome<T>> {
        let core = &self.core;
        if core.phase.get() != Phase::Unfired {
            return Err(outcome);
        }
        core.phase.set(Phase::Running);
        core.fired.set(at);
        drop(core.canceller.take());
        let outcome = if trace::on() { tell::fired(core, outcome, at) } else { outcome };
        self.slot.out.set(Some(outcome));
        let chain: Rc<dyn Chain> = self.clone();
        drive(self, chain);
        Ok(())
    }
}

impl<T: 'static> Chain for Head<T> {
    fn core(&self) -> &Core {
        &self.core
    }
    fn fail(self: Rc<Self>, failure: Failure) {
        // Only a chain that was fired meanwhile refuses, and then the failure has no meaning any more.
        drop(self.fire(Err(failure), None));
    }
}

/// One step of a chain, and the slot for its result.
pub(crate) struct Link<T: 'static, U: 'static, S> {
    next: Cell<Next<U>>,
    stage: Cell<Stage<S, U>>,
    at: Place,
    /// Boxed twice: links are many and named ones few, so the name is to cost one word.
    #[allow(clippy::box_collection)]
    name: Option<Box<Box<str>>>,
    n: u32,
    reg: EventNumber,
    takes: PhantomData<fn(T)>,
}

/// The step until it runs, then its result until somebody takes it.
enum Stage<S, U> {
    Empty,
    Armed(S),
    Out(Outcome<U>),
}

/// A place where the result of another chain will be laid down. The step before it ran already.
pub(crate) struct Landing<T: 'static>(Slot<T>);

impl<T: 'static> Landing<T> {
    pub(crate) fn new() -> Rc<Landing<T>> {
        Rc::new(Landing(Slot::new()))
    }
}

macro_rules! slot_node {
    ($node:ident, $($slot:tt)+) => {
        impl<T: 'static> Node for $node<T> {
            fn advance(self: Rc<Self>, chain: &Rc<dyn Chain>) -> Advance {
                match self.$($slot)+.next.replace(Next::Nobody) {
                    Next::Nobody => Advance::Rest(self),
                    next => pass_on(self.$($slot)+.out.take(), next, chain),
                }
            }
            fn discard(&self) -> Option<Failure> {
                self.$($slot)+.out.take().and_then(Result::err)
            }
            fn tell_rest(&self, core: &Core) {
                let out = self.$($slot)+.out.take();
                self.$($slot)+.out.set(out.map(|out| tell::resting(core, out)));
            }
        }
        impl<T: 'static> Tail<T> for $node<T> {
            fn take(&self) -> Option<Outcome<T>> {
                self.$($slot)+.out.take()
            }
            fn put(&self, outcome: Outcome<T>) {
                self.$($slot)+.out.set(Some(outcome));
            }
            fn attach(&self, next: Next<T>) {
                self.$($slot)+.next.set(next);
            }
        }
    };
}
slot_node!(Head, slot);
slot_node!(Landing, 0);

/// Hands a result to whoever comes next.
fn pass_on<T: 'static>(out: Option<Outcome<T>>, next: Next<T>, chain: &Rc<dyn Chain>) -> Advance {
    // A node is driven only when its result lies in its slot; if it does not, the chain cannot go on.
    let Some(out) = out else { return Advance::Paused };
    match next {
        Next::Step(link) => match link.accept(out, chain) {
            Some(node) => Advance::Next(node),
            None => Advance::Paused,
        },
        Next::Waiter(link) => {
            link.put(if trace::on() { tell::resumed(chain.core(), out) } else { out });
            Advance::Resume(link)
        }
        Next::Nobody => Advance::Paused,
    }
}

impl<T: 'static, U: 'static, S: Step<T, U>> Link<T, U, S> {
    pub(crate) fn new(step: S, at: Place, name: Option<Box<str>>, info: &Info, reg: EventNumber) -> Rc<Self> {
        Rc::new(Link {
            next: Cell::new(Next::Nobody),
            stage: Cell::new(Stage::Armed(step)),
            at,
            name: name.map(Box::new),
            n: info.steps.get(),
            reg,
            takes: PhantomData,
        })
    }
}

impl<T: 'static, U: 'static, S: Step<T, U>> Node for Link<T, U, S> {
    fn advance(self: Rc<Self>, chain: &Rc<dyn Chain>) -> Advance {
        match self.next.replace(Next::Nobody) {
            Next::Nobody => Advance::Rest(self),
            next => pass_on(self.take(), next, chain),
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

impl<T: 'static, U: 'static, S: Step<T, U>> Tail<U> for Link<T, U, S> {
    fn take(&self) -> Option<Outcome<U>> {
        match self.stage.replace(Stage::Empty) {
            Stage::Out(outcome) => Some(outcome),
            other => {
                self.stage.set(other);
                None
            }
        }
    }
    fn put(&self, outcome: Outcome<U>) {
        self.stage.set(Stage::Out(outcome));
    }
    fn attach(&self, next: Next<U>) {
        self.next.set(next);
    }
}

impl<T: 'static, U: 'static, S: Step<T, U>> Accept<T> for Link<T, U, S> {
    fn accept(self: Rc<Self>, input: Outcome<T>, chain: &Rc<dyn Chain>) -> Option<Rc<dyn Node>> {
        let Stage::Armed(step) = self.stage.replace(Stage::Empty) else {
            return None; // a link is armed until it runs, and it runs once
        };
        let returned = if trace::on() {
            let name = self.name.as_deref().map(|name| &**name);
            let site = StepSite { n: self.n, at: self.at, name, reg: self.reg };
            tell::step(&chain.core().info, &site, step, input)
        } else {
            let name = self.name.as_deref().map(|name| &**name);
            let site = StepSite { n: self.n, at: self.at, name, reg: self.reg };
            run(step, input, &chain.core().info, &site)
        };
        match returned {
            Returned::Now(outcome) => {
                self.put(outcome);
                Some(self)
            }
            Returned::Later(inner) => match wait_for(inner, self.clone(), chain) {
                Some(outcome) => {
                    self.put(outcome);
                    Some(self)
                }
                None => None,
            },
        }
    }
}

/// What a step knows about itself.
pub(crate) struct StepSite<'a> {
    pub(crate) n: u32,
    pub(crate) at: Place,
    pub(crate) name: Option<&'a str>,
    pub(crate) reg: EventNumber,
}

/// Runs a step of the chain `info`. A panic becomes a failure.
pub(crate) fn run<T: 'static, U: 'static, S: Step<T, U>>(
    step: S,
    mut input: Outcome<T>,
    info: &Info,
    site: &StepSite<'_>,
) -> Returned<U> {
    let mut lane = Lane::Ok;
    if let Err(failure) = &mut input {
        lane = Lane::Err;
        failure.came_in();
        if !S::takes(lane) {
            failure.cross(site.at);
        }
    }
    // Unwind safe: what the step captured is gone after a panic, and of ours nothing is borrowed.
    let mut returned = match catch_unwind(AssertUnwindSafe(move || step.call(input))) {
        Ok(returned) => returned,
        Err(payload) => Returned::Now(Err(Failure::panic(payload, site.at))),
    };
    if let Returned::Now(Err(failure)) = &mut returned {
        failure.came_out(|| RaisedIn {
            made: info.made,
            n: site.n,
            lane,
            name: match site.name {
                Some(name) => Cow::Owned(name.to_owned()),
                None => Cow::Borrowed(step_name(S::name())),
            },
        });
    }
    returned
}

/// Makes `chain`, whose result goes to `landing`, wait for `inner`; or answers the result that `inner` has already.
pub(crate) fn wait_for<T: 'static>(
    mut inner: Deferred<T>,
    landing: Rc<dyn Tail<T>>,
    chain: &Rc<dyn Chain>,
) -> Option<Outcome<T>> {
    let Inner { end, origin, .. } = inner.take_inner();
    let info = &chain.core().info;
    let outcome = match end {
        super::deferred::End::Done(outcome) => outcome,
        super::deferred::End::Tail(tail) => match tail.take() {
            Some(outcome) => outcome,
            None => {
                let Origin::Chain(inner) = &origin else { return None };
                if Rc::ptr_eq(inner, chain) {
                    inner.core().detached.set(true);
                    return Some(Err(Failure::msg(format_args!(
                        "a step of the Deferred made at {} gave back that Deferred itself: it would wait for its own end",
                        info.made
                    ))));
                }
                if trace::on() {
                    tell::paused(info, &inner.core().info);
                }
                let core = chain.core();
                core.phase.set(Phase::Waiting);
                core.waits_for.set(Some(Rc::downgrade(inner)));
                inner.core().waiter.set(Some(chain.clone()));
                tail.attach(Next::Waiter(landing));
                return None;
            }
        },
    };
    Some(if trace::on() { tell::moved(info, origin.info(), outcome, type_name::<T>()) } else { outcome })
}

/// Walks the list from `node`, whose result lies in its slot, until a result rests or a chain waits.
pub(crate) fn drive(mut node: Rc<dyn Node>, mut chain: Rc<dyn Chain>) {
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
                chain.core().phase.set(Phase::Resting);
                if trace::on() {
                    last.tell_rest(chain.core());
                }
                if chain.core().detached.get()
                    && let Some(failure) = last.discard()
                {
                    lost(&chain.core().info, chain.core().fired.get(), failure);
                }
                return;
            }
        }
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
            let result = catch_unwind(AssertUnwindSafe(canceller));
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

thread_local! {
    /// While a chain fails because it was abandoned: the chains that were abandoned by that in turn.
    static ABANDONED: RefCell<Option<VecDeque<Rc<dyn Chain>>>> = const { RefCell::new(None) };
}

/// Fails a chain whose `Resolver` was dropped unfired.
///
/// The closures of such a chain may own the next `Resolver`, and so on: a loop, not a recursion.
pub(crate) fn abandon(chain: Rc<dyn Chain>) {
    let queued = ABANDONED.try_with(|queue| match &mut *queue.borrow_mut() {
        Some(queue) => {
            queue.push_back(chain.clone());
            true
        }
        none => {
            *none = Some(VecDeque::new());
            false
        }
    });
    match queued {
        Ok(true) => return,
        Ok(false) => {}
        // The thread is ending and its locals are gone.
        Err(_) => {
            let made = chain.core().info.made;
            return chain.fail(Failure::abandoned(made));
        }
    }
    /// Puts the slot back in order even if a drop of the user's panics.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            let left = ABANDONED.try_with(|queue| queue.borrow_mut().take());
            drop(left);
        }
    }
    let _end = End;
    let mut next = Some(chain);
    while let Some(chain) = next {
        let made = chain.core().info.made;
        chain.fail(Failure::abandoned(made));
        next = ABANDONED.try_with(|queue| queue.borrow_mut().as_mut().and_then(VecDeque::pop_front)).ok().flatten();
    }
}
