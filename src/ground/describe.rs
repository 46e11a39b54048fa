//! What a Deferred can say about itself: the five facts that Twisted's users asked for (its issue 4304), which are
//! whether it is paused, whether it runs, its chain, its value, and what it waits for.

use super::chain::Core;
use super::deferred::{Deferred, End};
use super::info::Phase;
use super::step::Outcome;
use super::trace::Place;
use super::type_name::short_type;
use std::any::type_name;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// How many of the Deferreds that it waits for a description names: a page.
const NAMED: usize = 8;

/// Where a Deferred stands. Made by [`Deferred::describe`] and [`Deferred::describe_value`].
///
/// Its `Display` is one line for a person: what the `Debug` of a Deferred writes.
///
/// ```
/// use ropewalk::{Deferred, DeferredState};
///
/// let (_translator, translation) = Deferred::<String>::new();
/// let translation = translation.named("translation");
/// let poem = Deferred::succeed(1).add_callback(move |_| translation);
/// let about = poem.describe();
/// assert_eq!(about.state(), DeferredState::Paused);
/// assert_eq!(about.waits_for()[0].name.as_deref(), Some("translation"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    state: DeferredState,
    name: Option<Rc<str>>,
    ty: &'static str,
    made: Place,
    born_fired: bool,
    fired: Option<Place>,
    last_step: Option<Place>,
    steps: u32,
    value: Option<String>,
    waits_for: Vec<WaitsFor>,
    members: Option<(usize, usize)>,
}

/// The state of a Deferred.
///
/// ```
/// use ropewalk::{Deferred, DeferredState};
///
/// let (resolver, poem) = Deferred::new();
/// assert_eq!(poem.describe().state(), DeferredState::Unfired);
/// resolver.succeed("If I were");
/// assert_eq!(poem.describe().state(), DeferredState::Value);
/// let poem = poem.add_callback(|text| text.parse::<i32>().map_err(Into::into));
/// assert_eq!(poem.describe().state(), DeferredState::Failed);
/// # poem.log_errors("a poem is no number");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeferredState {
    /// Nobody fired it yet.
    Unfired,
    /// A step of it runs.
    Running,
    /// It was fired, and waits for another Deferred that one of its steps gave back.
    Paused,
    /// It has a value.
    Value,
    /// It has a failure.
    Failed,
}

/// A Deferred that another one waits for.
///
/// ```
/// use ropewalk::Deferred;
///
/// let (_printer, printed) = Deferred::<()>::new();
/// let printed = printed.named("printer");
/// let translated = Deferred::succeed("text").add_callback(move |_| printed).named("translator");
/// let poem = Deferred::succeed("poem").add_callback(move |_| translated);
/// let about = poem.describe();
/// let names = about.waits_for().iter().map(|on| on.name.as_deref());
/// assert_eq!(names.collect::<Vec<_>>(), [Some("translator"), Some("printer")]);
/// assert_eq!(about.waits_for()[0].made.file(), file!());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitsFor {
    /// Its name, if it was given one.
    pub name: Option<Rc<str>>,
    /// Where it was made.
    pub made: Place,
}

impl Description {
    /// Where it stands.
    pub fn state(&self) -> DeferredState {
        self.state
    }

    /// Its name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The type of the value at its end.
    pub fn type_name(&self) -> &'static str {
        self.ty
    }

    /// Where it was made.
    pub fn made(&self) -> Place {
        self.made
    }

    /// Where it was fired; `None` if nobody did, and for one that was made with its result.
    pub fn fired(&self) -> Option<Place> {
        self.fired
    }

    /// How many steps were added to it.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// Where the last of these was added.
    pub fn last_step(&self) -> Option<Place> {
        self.last_step
    }

    /// Its failure as text; its value, if [`describe_value`](Deferred::describe_value) made the description.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// What it waits for, then what that one waits for, and so on: at most the first 8.
    pub fn waits_for(&self) -> &[WaitsFor] {
        &self.waits_for
    }

    /// For one that was made of others, a list or a race: how many of them have no result yet, and how many there are.
    ///
    /// ```
    /// use ropewalk::{Deferred, gather_results};
    ///
    /// let (_resolver, never) = Deferred::new();
    /// let all = gather_results([Deferred::succeed(1), never, Deferred::succeed(3)]);
    /// assert_eq!(all.describe().members(), Some((1, 3)));
    /// assert_eq!(Deferred::succeed(1).describe().members(), None);
    /// ```
    pub fn members(&self) -> Option<(usize, usize)> {
        self.members
    }
}

impl<T: 'static> Deferred<T> {
    /// Says where it stands: the state, the chain, and what it waits for. Of a value it tells the type.
    ///
    /// ```
    /// use ropewalk::{Deferred, DeferredState};
    ///
    /// let (translator, translated) = Deferred::<String>::new();
    /// let translated = translated.named("translation");
    /// let poem = Deferred::succeed("poem").add_callback(move |_| translated).named("poem");
    /// let facts = poem.describe();
    /// assert_eq!((facts.state(), facts.steps()), (DeferredState::Paused, 1));
    /// assert_eq!(facts.waits_for()[0].name.as_deref(), Some("translation"));
    /// assert!(facts.to_string().contains("\"poem\" paused on \"translation\" made at "));
    /// # translator.succeed(String::new());
    /// ```
    pub fn describe(&self) -> Description {
        self.describe_with(|_| None)
    }

    /// The same, with its value.
    ///
    /// ```
    /// use ropewalk::Deferred;
    ///
    /// let d = Deferred::succeed(vec![1, 2]);
    /// assert_eq!(d.describe_value().value(), Some("[1, 2]"));
    /// ```
    pub fn describe_value(&self) -> Description
    where
        T: fmt::Debug,
    {
        self.describe_with(|value| Some(format!("{value:?}")))
    }

    fn describe_with(&self, show: impl FnOnce(&T) -> Option<String>) -> Description {
        let (chain, Some(info)) = self.origin() else {
            unreachable!("nobody holds a Deferred that was consumed");
        };
        let core = chain.map(|chain| chain.core());
        let mut description = Description {
            state: DeferredState::Unfired,
            name: info.name(),
            ty: type_name::<T>(),
            made: info.made(),
            born_fired: info.born_fired,
            fired: core.and_then(|core| core.fired.get()),
            last_step: self.last_step(),
            steps: info.steps.get(),
            value: None,
            waits_for: core.map(waits_for).unwrap_or_default(),
            members: core.and_then(Core::members),
        };
        description.state = match info.phase.get() {
            Phase::Unfired => DeferredState::Unfired,
            Phase::Running => DeferredState::Running,
            Phase::Waiting => DeferredState::Paused,
            Phase::Resting => {
                let (state, value) = self.look(show);
                description.value = value;
                state
            }
        };
        description
    }

    /// The lane and the text of the result. The program's `Debug` and `Display` run with nothing borrowed, and the
    /// result is put back whatever they do.
    fn look(&self, show: impl FnOnce(&T) -> Option<String>) -> (DeferredState, Option<String>) {
        let read = |outcome: &Outcome<T>| match outcome {
            Ok(value) => (DeferredState::Value, show(value)),
            Err(failure) => (DeferredState::Failed, Some(failure.to_string())),
        };
        match &self.end {
            End::Done(outcome, _) => read(outcome),
            End::Pending(tail, _) => match tail.take() {
                Some(outcome) => {
                    let seen = catch_unwind(AssertUnwindSafe(|| read(&outcome)));
                    tail.put(outcome);
                    seen.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
                }
                // A step that was added to it just now runs somewhere up the stack.
                None => (DeferredState::Running, None),
            },
            End::Consumed => (DeferredState::Running, None),
        }
    }
}

fn waits_for(core: &Core) -> Vec<WaitsFor> {
    let mut list = Vec::new();
    let mut next = core.waits_for();
    while let Some(chain) = next.take_if(|_| list.len() < NAMED) {
        let info = &chain.core().info;
        list.push(WaitsFor { name: info.name(), made: info.made() });
        next = chain.core().waits_for();
    }
    list
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Deferred<{}>", short_type(self.ty))?;
        if let Some(name) = &self.name {
            write!(f, " \"{name}\"")?;
        }
        match self.state {
            DeferredState::Unfired => write!(f, " not fired")?,
            DeferredState::Running => write!(f, " running")?,
            DeferredState::Paused => write!(f, " paused")?,
            DeferredState::Value => write!(f, " has {}", self.value.as_deref().unwrap_or("its value"))?,
            DeferredState::Failed => write!(f, " failed: {}", self.value.as_deref().unwrap_or(""))?,
        }
        for (i, on) in self.waits_for.iter().enumerate() {
            write!(f, "{}", if i == 0 { " on " } else { ", which is paused on " })?;
            match &on.name {
                Some(name) => write!(f, "\"{name}\" made at {}", on.made)?,
                None => write!(f, "the Deferred made at {}", on.made)?,
            }
        }
        if let Some((missing, of)) = self.members {
            write!(f, ", {missing} of {of} members missing")?;
        }
        let born = if self.born_fired { " with its result" } else { "" };
        let s = if self.steps == 1 { "" } else { "s" };
        write!(f, ", {} step{s}, made{born} at {}>", self.steps, self.made)
    }
}

/// Where it stands, in one line: [`Description`].
impl<T: 'static> fmt::Debug for Deferred<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.describe(), f)
    }
}
