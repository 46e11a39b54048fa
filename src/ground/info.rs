//! What a chain knows about itself: where it stands, and what reports and the trace want to say of it.
//!
//! Its size is what a million Deferreds cost, so what few chains have (names, a trace) lies behind one pointer.

use super::chain::Chain;
use super::trace::{EventNumber, IdSlot, Place, Shows};
use super::unhandled::forget_panic;
use std::any::TypeId;
use std::cell::{Cell, OnceCell, RefCell};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;

/// What every chain knows about itself.
pub(crate) struct Info {
    made: Cell<Place>,
    rare: OnceCell<Box<Rare>>,
    pub(crate) steps: Cell<u32>,
    pub(crate) phase: Cell<Phase>,
    /// The consuming end was dropped: whatever comes out at the end has no taker.
    pub(crate) detached: Cell<bool>,
    pub(crate) cancelled: Cell<bool>,
    /// It was made with its result. (No `Cell`, which gives `Whole` in `deferred.rs` a place for its tag.)
    pub(crate) born_fired: bool,
}

/// What can be asked for the [`Info`] of a chain, by those who seldom need it.
pub(crate) trait HasInfo {
    fn info(&self) -> &Info;
}

impl HasInfo for Info {
    fn info(&self) -> &Info {
        self
    }
}

impl HasInfo for Rc<dyn Chain> {
    fn info(&self) -> &Info {
        &self.core().info
    }
}

/// Where a chain stands.
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

/// What a step is called, and whether the library added it for itself.
#[derive(Clone)]
struct StepName {
    name: Rc<str>,
    own: bool,
}

/// What only chains with a name or in a recording have.
#[derive(Default)]
struct Rare {
    name: RefCell<Option<Rc<str>>>,
    /// The name for the step that is added next.
    pending: RefCell<Option<StepName>>,
    /// The names of steps, by their numbers, in order.
    steps: RefCell<Vec<(u32, StepName)>>,
    id: Cell<IdSlot>,
    /// The event that brought the result to where it is now.
    cause: Cell<EventNumber>,
    /// How the program wants values of some types shown.
    shows: RefCell<Vec<Rc<Shows>>>,
    /// How many steps ran, or were passed by, in a recording.
    ran: Cell<u32>,
}

impl Default for Info {
    #[inline]
    fn default() -> Info {
        Info {
            made: Cell::new(const { Location::caller() }),
            rare: OnceCell::new(),
            steps: Cell::new(0),
            phase: Cell::new(Phase::Unfired),
            detached: Cell::new(false),
            cancelled: Cell::new(false),
            born_fired: false,
        }
    }
}

impl Info {
    /// Of a chain that is made with its result.
    pub(crate) fn fired(made: Place) -> Info {
        Info { made: Cell::new(made), phase: Cell::new(Phase::Resting), born_fired: true, ..Info::default() }
    }

    /// Where the chain was made.
    pub(crate) fn made(&self) -> Place {
        self.made.get()
    }

    /// For one that was built before its place was known.
    pub(crate) fn set_made(&self, made: Place) {
        self.made.set(made);
    }

    fn rare(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }

    /// The chain's name.
    pub(crate) fn name(&self) -> Option<Rc<str>> {
        self.rare.get()?.name.borrow().clone()
    }

    pub(crate) fn set_name(&self, name: Rc<str>) {
        self.rare().name.replace(Some(name));
    }

    /// The name for the step that is added next.
    pub(crate) fn set_next_step_name(&self, name: Rc<str>, own: bool) {
        self.rare().pending.replace(Some(StepName { name, own }));
    }

    /// The name that a person gave to step `n`.
    pub(crate) fn step_name(&self, n: u32) -> Option<Rc<str>> {
        self.step_named(n).0
    }

    /// The same, and whether the library added that step for itself.
    #[inline]
    pub(crate) fn step_named(&self, n: u32) -> (Option<Rc<str>>, bool) {
        match self.rare.get() {
            Some(rare) if !rare.steps.borrow().is_empty() => rare.step_named(n),
            _ => (None, false),
        }
    }

    /// Counts a step, and answers its number.
    #[inline]
    pub(crate) fn next_step(&self) -> u32 {
        let n = self.steps.get();
        self.steps.set(n.wrapping_add(1));
        if let Some(rare) = self.rare.get().filter(|rare| rare.pending.borrow().is_some()) {
            rare.name_step(n);
        }
        n
    }

    pub(crate) fn id(&self) -> &Cell<IdSlot> {
        &self.rare().id
    }

    /// The event that brought the result to where it is now.
    pub(crate) fn cause(&self) -> EventNumber {
        self.rare.get().map_or(0, |rare| rare.cause.get())
    }

    /// How values of one type are to be shown from now on.
    pub(crate) fn set_show(&self, shows: Shows) {
        let mut list = self.rare().shows.borrow_mut();
        let known = list.iter_mut().find(|known| known.of == shows.of);
        let before = match known {
            Some(known) => Some(std::mem::replace(known, Rc::new(shows))),
            None => {
                list.push(Rc::new(shows));
                None
            }
        };
        drop(list);
        // What it holds is the user's.
        drop(before);
    }

    /// The text that the program wants for a value. A panic of its function is no text.
    #[inline]
    pub(crate) fn show<T: 'static>(&self, value: &T) -> Option<String> {
        let shows = self.rare.get()?.shows.borrow();
        if shows.is_empty() {
            return None;
        }
        let of = TypeId::of::<T>();
        let found = shows.iter().find(|shows| shows.of == of).cloned();
        drop(shows);
        let shows = found?;
        match catch_unwind(AssertUnwindSafe(|| (shows.show)(value))) {
            Ok(text) => Some(text),
            Err(payload) => {
                forget_panic(payload);
                Some("(its show panicked)".to_owned())
            }
        }
    }

    pub(crate) fn ran(&self) -> u32 {
        self.rare.get().map_or(0, |rare| rare.ran.get())
    }

    pub(crate) fn set_ran(&self, steps: u32) {
        self.rare().ran.set(steps);
    }

    pub(crate) fn set_cause(&self, event: EventNumber) {
        self.rare().cause.set(event);
    }
}

impl Rare {
    fn step_named(&self, n: u32) -> (Option<Rc<str>>, bool) {
        let steps = self.steps.borrow();
        let found = steps.binary_search_by_key(&n, |(n, _)| *n).ok();
        found.map_or((None, false), |found| (Some(steps[found].1.name.clone()), steps[found].1.own))
    }

    #[cold]
    fn name_step(&self, n: u32) {
        if let Some(name) = self.pending.take() {
            self.steps.borrow_mut().push((n, name));
        }
    }
}
