//! A group: many Deferreds whose results make one.
//!
//! ```text
//!   member 0 --> sink --+
//!   member 1 --> sink --+--> Group --> head of the result's chain
//!   member 2 --> sink --+      |             |
//!                              +--> Ties <---+   weak: to cancel the members
//! ```
//!
//! The members' chains own their sinks, these own the group, and the group owns the head that it fires: no cycle, but
//! for members that can never fire ([`Tie::Strong`]). What is to be done when a result comes is left as jobs, so that a
//! list in a list in a list nests nowhere.

use crate::ground::chain::{Ask, Chain, Head, lost};
use crate::ground::deferred::{Deferred, End, Origin};
use crate::ground::info::Phase;
use crate::ground::jobs::{Job, Jobs};
use crate::ground::several::{FailureGroup, FirstError};
use crate::ground::sink::{Sink, let_go};
use crate::ground::step::Outcome;
use crate::ground::tell;
use crate::ground::trace::{self, Id, IdSlot, Kind, Lane, Links, Mark, Mode, Object, Place};
use crate::ground::{CancelledError, Failure};
use std::any::type_name;
use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};

use super::list::FirstOrAll;
use super::members::Members;

/// Where the results of the members are collected.
#[allow(unreachable_pub)] // named by the sealed trait `Members`
pub trait Slots: 'static {
    /// All results.
    type Results: 'static;
    /// All values.
    type Values: 'static;
    /// One value, and which member's it is.
    type One: 'static;
    /// Takes the failure of a member.
    fn take_failure(&mut self, index: usize) -> Option<Failure>;
    /// Takes the value of a member.
    fn take_value(&mut self, index: usize) -> Option<Self::One>;
    /// Takes all failures, in the order of the members.
    fn failures(&mut self) -> Vec<Failure>;
    /// The same failures a second time.
    fn share_failures(&mut self) -> Vec<Failure>;
    /// All results. `None` if one is missing.
    fn results(self) -> Option<Self::Results>;
    /// All values. `None` if one is missing.
    fn values(self) -> Option<Self::Values>;
}

/// What a group makes of the results of its members.
#[allow(unreachable_pub)] // named by `DeferredList`
pub trait Goal<S: Slots>: 'static {
    /// What it fires with.
    type Out: 'static;
    /// What it does at the first value.
    const FIRST: OnValue;
    /// What it fires with at the first value, if it does.
    fn first(one: S::One) -> Option<Self::Out>;
    /// What it fires with when all results are there. `made` is where the group was made.
    fn all(slots: S, made: Place) -> Option<Outcome<Self::Out>>;
}

/// What a group does at the first value.
#[allow(unreachable_pub)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnValue {
    /// It waits for the others.
    Keep,
    /// It fires.
    Fire,
    /// It cancels the others, then fires.
    CancelAndFire,
}

/// Wait for all, and give back each result.
#[derive(Debug)]
pub enum AllResults {}

impl<S: Slots> Goal<S> for AllResults {
    type Out = S::Results;
    const FIRST: OnValue = OnValue::Keep;
    fn first(_: S::One) -> Option<S::Results> {
        None
    }
    fn all(slots: S, _: Place) -> Option<Outcome<S::Results>> {
        slots.results().map(Ok)
    }
}

/// The first value is enough.
#[derive(Debug)]
pub enum FirstValue {}

impl<S: Slots> Goal<S> for FirstValue {
    type Out = FirstOrAll<S::One, S::Results>;
    const FIRST: OnValue = OnValue::Fire;
    fn first(one: S::One) -> Option<Self::Out> {
        Some(FirstOrAll::First(one))
    }
    fn all(slots: S, _: Place) -> Option<Outcome<Self::Out>> {
        slots.results().map(FirstOrAll::All).map(Ok)
    }
}

/// All values, or the first failure.
pub(super) enum AllValues {}

impl<S: Slots> Goal<S> for AllValues {
    type Out = S::Values;
    const FIRST: OnValue = OnValue::Keep;
    fn first(_: S::One) -> Option<S::Values> {
        None
    }
    fn all(slots: S, _: Place) -> Option<Outcome<S::Values>> {
        slots.values().map(Ok)
    }
}

/// The first value wins, and the others are cancelled.
pub(super) enum Winner {}

impl<S: Slots> Goal<S> for Winner {
    type Out = S::One;
    const FIRST: OnValue = OnValue::CancelAndFire;
    fn first(one: S::One) -> Option<S::One> {
        Some(one)
    }
    fn all(mut slots: S, made: Place) -> Option<Outcome<S::One>> {
        Some(Err(Failure::raised_at(FailureGroup::new(slots.failures()), made)))
    }
}

/// The options of a list.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    pub(super) fire_on_one_errback: bool,
    pub(super) consume_errors: bool,
}

/// Where a group takes its members in.
#[allow(unreachable_pub)]
pub struct Entry<'a, S: Slots, G: Goal<S>> {
    group: Rc<Group<S, G>>,
    jobs: &'a mut Jobs,
    count: usize,
    /// The members' ids, while somebody records.
    ids: Vec<Id>,
}

impl<S: Slots, G: Goal<S>> fmt::Debug for Entry<'_, S, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Entry of {} members>", self.count)
    }
}

impl<S: Slots, G: Goal<S>> Entry<'_, S, G> {
    /// Takes one in. `put` says where its result is to lie.
    pub(super) fn admit<T: 'static>(&mut self, member: Deferred<T>, put: Put<S, T>) {
        let (group, index) = (&self.group, self.count);
        self.count += 1;
        group.ties.missing.set(group.ties.missing.get() + 1);
        if trace::on() {
            self.ids.extend(member.id());
        }
        group.ties.members.borrow_mut().push(member.chain_state().map(Tie::to));
        member.give_to(Member { group: group.clone(), index, put }, self.jobs);
    }
}

/// Makes a group of `members`.
pub(super) fn group<M: Members, G: Goal<M::Slots>>(members: M, options: Options, made: Place) -> Deferred<G::Out> {
    let head = Head::<G::Out>::unfired(made);
    if trace::on() {
        tell::made(&head.part.info, type_name::<G::Out>());
    }
    let ties = Rc::new(Ties {
        members: RefCell::default(),
        missing: Cell::new(1), // until all are in
        cancelling: Cell::new(false),
        // A race that is cancelled always ends; a list waits for what its members answer.
        ends: G::FIRST == OnValue::CancelAndFire,
        told: OnceCell::new(),
    });
    if trace::on() {
        ties.told.get_or_init(Box::default);
    }
    head.part.ask.set(Some(ties.clone()));
    let group = Rc::new(Group::<M::Slots, G> {
        slots: RefCell::new(Some(members.slots())),
        won: Cell::new(false),
        head: head.clone(),
        options,
        ties,
    });
    Jobs::all(|jobs| {
        let mut entry = Entry { group: group.clone(), jobs, count: 0, ids: Vec::new() };
        members.enlist(&mut entry);
        let empty = entry.count == 0;
        let ids = std::mem::take(&mut entry.ids);
        if trace::on() {
            group.tell_new(&ids);
        }
        group.ties.missing.set(group.ties.missing.get() - 1);
        // Nobody is nobody's first: without members only a list that waits for all has an end.
        if group.ties.missing.get() == 0 && !group.won.get() && (!empty || G::FIRST == OnValue::Keep) {
            group.fire_with_all(jobs);
        }
    });
    Deferred { end: End::Pending(head.clone(), head) }
}

struct Group<S: Slots, G: Goal<S>> {
    /// `None` once the group has fired.
    slots: RefCell<Option<S>>,
    /// A member of a race has won.
    won: Cell<bool>,
    head: Rc<Head<G::Out>>,
    options: Options,
    ties: Rc<Ties>,
}

/// Lays the result of a member into the slots.
type Put<S, T> = fn(&mut S, usize, Outcome<T>);

/// The sink at the end of a member's chain.
struct Member<S: Slots, G: Goal<S>, T> {
    group: Rc<Group<S, G>>,
    index: usize,
    put: Put<S, T>,
}

impl<S: Slots, G: Goal<S>, T: 'static> Sink<T> for Member<S, G, T> {
    fn take(self, outcome: Outcome<T>, from: &Origin, jobs: &mut Jobs) {
        let Member { group, index, put } = self;
        group.ties.forget(index);
        let ok = outcome.is_ok();
        if trace::on() {
            group.ties.tell_got(index, ok);
        }
        if group.has_fired() {
            group.late(outcome, from);
        } else if let Some(slots) = &mut *group.slots.borrow_mut() {
            put(slots, index, outcome);
        }
        group.ties.missing.set(group.ties.missing.get() - 1);
        group.decide(index, ok, jobs);
    }
}

impl<S: Slots, G: Goal<S>> Group<S, G> {
    /// All members are in.
    #[cold]
    fn tell_new(&self, of: &[Id]) {
        let info = &self.head.part.info;
        let Some(told) = self.ties.told.get() else { return };
        let Some(d) = tell::chain_id(info, type_name::<G::Out>(), true) else { return };
        let Some((g, _)) = trace::id(&told.id, Object::Group) else { return };
        let mode = match G::FIRST {
            OnValue::Keep if self.options.fire_on_one_errback => Mode::FailFast,
            OnValue::Keep => Mode::All,
            OnValue::Fire | OnValue::CancelAndFire => Mode::First,
        };
        let links = Links { at: Some(info.made()), ..Links::default() };
        told.reg.set(trace::emit(Kind::GNew { g, mode, of, d }, links));
        for (index, ok) in told.early.take() {
            self.ties.tell_got(index, ok);
        }
    }

    /// It fired, or was cancelled.
    fn has_fired(&self) -> bool {
        self.head.part.info.phase.get() != Phase::Unfired || self.slots.borrow().is_none()
    }

    /// What to do now that the result of member `index` is there.
    fn decide(self: Rc<Self>, index: usize, ok: bool, jobs: &mut Jobs) {
        if ok && G::FIRST == OnValue::CancelAndFire {
            // Also when it was cancelled meanwhile: nobody needs the others.
            if !self.won.replace(true) {
                let ties = self.ties.clone();
                let head = self.head.clone();
                jobs.work(move |jobs| self.fire_with_first(index, jobs));
                ties.cancelling.set(true);
                let asked = Asked { at: head.part.info.made(), of: head, next: 0, spare: index };
                // Not now: while the race is made, not all members are in.
                jobs.work(move |jobs| ties.cancel_next(asked, jobs));
            }
        } else if self.has_fired() {
        } else if ok && G::FIRST == OnValue::Fire {
            self.fire_with_first(index, jobs);
        } else if !ok && self.options.fire_on_one_errback {
            self.fire_with_failure(index, jobs);
        } else if self.ties.missing.get() == 0 && !self.won.get() {
            self.fire_with_all(jobs);
        }
    }

    fn take_slots(&self) -> Option<S> {
        if self.head.part.info.phase.get() == Phase::Unfired { self.slots.borrow_mut().take() } else { None }
    }

    fn fire_with_first(&self, index: usize, jobs: &mut Jobs) {
        let Some(mut slots) = self.take_slots() else { return };
        let Some(out) = slots.take_value(index).and_then(G::first) else { return };
        // A race was ready for failures. A list promised to deliver them.
        if G::FIRST == OnValue::Fire && !self.options.consume_errors {
            slots.failures().into_iter().for_each(|failure| lost(&self.head.part.info, None, None, failure));
        }
        let_go(slots, &self.head.part.info);
        self.fire(Ok(out), jobs);
    }

    fn fire_with_failure(&self, index: usize, jobs: &mut Jobs) {
        let Some(mut slots) = self.take_slots() else { return };
        let Some(failure) = slots.take_failure(index) else { return };
        let_go(slots, &self.head.part.info);
        self.fire(Err(FirstError::failure_of(index, failure)), jobs);
    }

    fn fire_with_all(&self, jobs: &mut Jobs) {
        let Some(mut slots) = self.take_slots() else { return };
        let info = &self.head.part.info;
        if G::FIRST != OnValue::CancelAndFire && info.detached.get() && info.steps.get() == 0 {
            // Nobody will look into the list.
            if !self.options.consume_errors {
                slots.share_failures().into_iter().for_each(|failure| lost(info, None, None, failure));
            }
        }
        if let Some(outcome) = G::all(slots, info.made()) {
            self.fire(outcome, jobs);
        }
    }

    fn fire(&self, outcome: Outcome<G::Out>, jobs: &mut Jobs) {
        let head = self.head.clone();
        let never = self.ties.never();
        jobs.work(move |jobs| {
            let_go(never, &head.part.info);
            if let Err(late) = head.clone().fire(outcome, None, jobs) {
                let_go(late, &head.part.info);
            }
        });
    }

    /// A result that nobody waits for any more.
    fn late<T: 'static>(&self, outcome: Outcome<T>, from: &Origin) {
        match outcome {
            Ok(value) => let_go(value, from.info()),
            Err(failure) if self.options.consume_errors => let_go(failure, from.info()),
            Err(failure) if self.ties.cancelling.get() && failure.check::<CancelledError>().is_some() => {}
            Err(failure) => from.lost(failure),
        }
    }
}

/// What binds a group to a member.
enum Tie {
    /// Whoever is to fire the member owns it.
    Weak(Weak<dyn Chain>),
    /// Nobody is to fire it, and so nobody else owns it: a race of nobody, say. Only a cancel can end it. It owns the
    /// group in turn; whatever ends the group parts them, and so does dropping the group's Deferred when nothing else
    /// is left to wait for.
    Strong(Rc<dyn Chain>),
}

impl Tie {
    fn to(member: &Rc<dyn Chain>) -> Tie {
        let core = member.core();
        let never = core.info.phase.get() == Phase::Unfired && core.members() == Some((0, 0));
        if never { Tie::Strong(member.clone()) } else { Tie::Weak(Rc::downgrade(member)) }
    }

    fn chain(&self) -> Option<Rc<dyn Chain>> {
        match self {
            Tie::Weak(member) => member.upgrade(),
            Tie::Strong(member) => Some(member.clone()),
        }
    }
}

/// What binds a group to its members: to cancel them.
struct Ties {
    members: RefCell<Vec<Option<Tie>>>,
    /// How many results have not come yet.
    missing: Cell<usize>,
    /// The group itself has cancelled them.
    cancelling: Cell<bool>,
    /// A cancel ends the group, whatever the members answer.
    ends: bool,
    /// What the trace knows of it. Made only when somebody records.
    told: OnceCell<Box<Told>>,
}

#[derive(Default)]
struct Told {
    id: Cell<IdSlot>,
    reg: Cell<Mark>,
    /// Members that had their result before all were in, and so before the group was announced.
    early: RefCell<Vec<(usize, bool)>>,
}

/// A cancel on its way through the members.
struct Asked {
    of: Rc<dyn Chain>,
    at: Place,
    next: usize,
    /// The one that won, which is not cancelled.
    spare: usize,
}

impl Ties {
    /// A member has its result.
    #[cold]
    fn tell_got(&self, index: usize, ok: bool) {
        let Some(told) = self.told.get() else { return };
        match trace::known(&told.id, Object::Group) {
            Some(g) => {
                let lane = if ok { Lane::Ok } else { Lane::Err };
                let links = Links { reg: told.reg.get(), ..Links::default() };
                trace::emit(Kind::GGot { g, i: index as u32, lane }, links);
            }
            None => told.early.borrow_mut().push((index, ok)),
        }
    }

    fn forget(&self, index: usize) {
        let gone = self.members.borrow_mut().get_mut(index).and_then(Option::take);
        drop(gone);
    }

    /// Takes out the members that can never fire.
    fn never(&self) -> Vec<Tie> {
        let is_never = |tie: &mut Tie| matches!(tie, Tie::Strong(_));
        self.members.borrow_mut().iter_mut().filter_map(|tie| tie.take_if(is_never)).collect()
    }

    /// The next member that is left.
    fn next(&self, asked: &mut Asked) -> Option<Rc<dyn Chain>> {
        let members = self.members.borrow();
        loop {
            let member = members.get(asked.next)?;
            let index = asked.next;
            asked.next += 1;
            if index != asked.spare
                && let Some(member) = member.as_ref().and_then(Tie::chain)
            {
                return Some(member);
            }
        }
    }

    fn cancel_next(self: Rc<Self>, mut asked: Asked, jobs: &mut Jobs) {
        let Some(member) = self.next(&mut asked) else { return };
        let at = asked.at;
        if trace::on() {
            tell::cancel(&asked.of.core().info, at, tell::How::Forward(&member.core().info));
        }
        jobs.work(move |jobs| self.cancel_next(asked, jobs));
        jobs.push(Job::Cancel(member, at));
    }
}

impl Ask for Ties {
    fn members(&self) -> Option<(usize, usize)> {
        Some((self.missing.get(), self.members.borrow().len()))
    }

    fn detached(&self) {
        let members = self.members.borrow();
        let never = members.iter().filter(|tie| matches!(tie, Some(Tie::Strong(_)))).count();
        drop(members);
        if never == self.missing.get() {
            drop(self.never());
        }
    }

    fn each(self: Rc<Self>, chain: &Rc<dyn Chain>, at: Place, jobs: &mut Jobs) -> bool {
        self.cancelling.set(true);
        if self.ends {
            let (ties, of) = (self.clone(), chain.clone());
            jobs.work(move |_| let_go(ties.never(), &of.core().info));
            jobs.push(Job::FailCancelled(chain.clone(), at));
        }
        self.cancel_next(Asked { of: chain.clone(), at, next: 0, spare: usize::MAX }, jobs);
        true
    }
}
