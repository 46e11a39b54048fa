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

use crate::ground::Failure;
use crate::ground::chain::{Head, lost};
use crate::ground::deferred::{Deferred, End, Origin};
use crate::ground::info::Phase;
use crate::ground::jobs::Jobs;
use crate::ground::several::{FailureGroup, FirstError};
use crate::ground::sink::{Sink, let_go};
use crate::ground::step::Outcome;
use crate::ground::tell;
use crate::ground::trace::{self, Id, Kind, Links, Mode, Object, Place};
use std::any::type_name;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use super::list::FirstOrAll;
use super::members::Members;
use super::ties::{Tie, Ties};

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
    pub(super) cancel_others: bool,
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
        tell::made(&head.part.info, type_name::<G::Out>(), None);
    }
    // A race that is cancelled always ends; a list waits for what its members answer.
    let ties = Rc::new(Ties::new(G::FIRST == OnValue::CancelAndFire));
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
        let ends_the_others = match ok {
            true => G::FIRST == OnValue::CancelAndFire || G::FIRST == OnValue::Fire && self.options.cancel_others,
            false => self.options.fire_on_one_errback && self.options.cancel_others,
        };
        if ends_the_others {
            // Also when it was cancelled meanwhile: nobody needs the others.
            if !self.won.replace(true) {
                let ties = self.ties.clone();
                let head = self.head.clone();
                jobs.work(move |jobs| match ok {
                    true => self.fire_with_first(index, jobs),
                    false => self.fire_with_failure(index, jobs),
                });
                // Not now: while the group is made, not all members are in.
                jobs.work(move |jobs| ties.cancel_others(head, index, jobs));
            }
        } else if self.has_fired() || self.won.get() {
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
        if G::FIRST == OnValue::Fire {
            self.report(slots.failures());
        }
        let_go(slots, &self.head.part.info);
        self.fire(Ok(out), jobs);
    }

    fn fire_with_failure(&self, index: usize, jobs: &mut Jobs) {
        let Some(mut slots) = self.take_slots() else { return };
        let Some(failure) = slots.take_failure(index) else { return };
        self.report(slots.failures());
        let_go(slots, &self.head.part.info);
        self.fire(Err(FirstError::failure_of(index, failure)), jobs);
    }

    /// Failures that the result has no room for.
    fn report(&self, failures: Vec<Failure>) {
        if !self.options.consume_errors {
            let unforeseen = failures.into_iter().filter(|failure| !self.ties.has_caused(failure));
            unforeseen.for_each(|failure| lost(&self.head.part.info, None, None, failure));
        }
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
            Err(failure) if self.ties.has_caused(&failure) => {}
            Err(failure) => from.lost(failure),
        }
    }
}
