//! What binds a group to its members: to cancel them, and to know how many are missing.

use crate::ground::chain::{Ask, Chain};
use crate::ground::info::Phase;
use crate::ground::jobs::{Job, Jobs};
use crate::ground::sink::let_go;
use crate::ground::tell;
use crate::ground::trace::{self, IdSlot, Kind, Lane, Links, Mark, Object, Place};
use crate::ground::{CancelledError, Failure};
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::{Rc, Weak};

/// What binds a group to a member.
pub(super) enum Tie {
    /// Whoever is to fire the member owns it.
    Weak(Weak<dyn Chain>),
    /// Nobody is to fire it, and so nobody else owns it: a race of nobody, say. Only a cancel can end it. It owns the
    /// group in turn; whatever ends the group parts them, and so does dropping the group's Deferred when nothing else
    /// is left to wait for.
    Strong(Rc<dyn Chain>),
}

impl Tie {
    pub(super) fn to(member: &Rc<dyn Chain>) -> Tie {
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
pub(super) struct Ties {
    pub(super) members: RefCell<Vec<Option<Tie>>>,
    /// How many results have not come yet.
    pub(super) missing: Cell<usize>,
    /// The group itself has cancelled them.
    cancelling: Cell<bool>,
    /// A cancel ends the group, whatever the members answer.
    ends: bool,
    /// What the trace knows of it. Made only when somebody records.
    pub(super) told: OnceCell<Box<Told>>,
}

#[derive(Default)]
pub(super) struct Told {
    pub(super) id: Cell<IdSlot>,
    pub(super) reg: Cell<Mark>,
    /// Members that had their result before all were in, and so before the group was announced.
    pub(super) early: RefCell<Vec<(usize, bool)>>,
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
    /// `ends`: a cancel ends the group, whatever the members answer.
    pub(super) fn new(ends: bool) -> Ties {
        Ties {
            members: RefCell::default(),
            missing: Cell::new(1), // until all are in
            cancelling: Cell::new(false),
            ends,
            told: OnceCell::new(),
        }
    }

    /// Whether this failure is what came of the group's own cancelling.
    pub(super) fn has_caused(&self, failure: &Failure) -> bool {
        self.cancelling.get() && failure.check::<CancelledError>().is_some()
    }

    /// The group is decided by member `index`: the others are cancelled, in order.
    pub(super) fn cancel_others(self: Rc<Self>, of: Rc<dyn Chain>, index: usize, jobs: &mut Jobs) {
        self.cancelling.set(true);
        let at = of.core().info.made();
        self.cancel_next(Asked { of, at, next: 0, spare: index }, jobs);
    }

    /// A member has its result.
    #[cold]
    pub(super) fn tell_got(&self, index: usize, ok: bool) {
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

    pub(super) fn forget(&self, index: usize) {
        let gone = self.members.borrow_mut().get_mut(index).and_then(Option::take);
        drop(gone);
    }

    /// Takes out the members that can never fire.
    pub(super) fn never(&self) -> Vec<Tie> {
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
