//! A step: what one `add_*` puts into a chain, and what a callback may give back.

use super::deferred::Deferred;
use super::failure::{Failure, RaisedIn};
use super::info::HasInfo;
use super::trace::{EventNumber, Lane, Place};
use std::any::type_name;
use std::borrow::Cow;
use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::thread;

/// A result on its way along a chain.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// What a step gave back: a result, or the Deferred to wait for.
#[allow(unreachable_pub)] // named by the sealed trait
#[derive(Debug)]
pub enum Returned<T: 'static> {
    /// A result.
    Now(Outcome<T>),
    /// A Deferred: the chain goes on with its result.
    Later(Deferred<T>),
}

mod sealed {
    #[allow(unreachable_pub)]
    pub trait Sealed {
        type Value: 'static;
        fn returned(self) -> super::Returned<Self::Value>;
    }
}
pub(crate) use sealed::Sealed;

/// What a callback may give back: `Result<U, Failure>`, or a `Deferred<U>` that the chain then waits for.
///
/// There are just these two, which lets the compiler find the error type by itself: `|n| Ok(n + 1)` and
/// `|s| { let n: i32 = s.parse()?; Ok(n) }` compile as they stand.
///
/// Three mistakes meet a rule of the language before they meet this trait, so the compiler cannot name the remedy:
///
/// * `?` in a callback that ends with a Deferred: give back `Ok(deferred)`, and add
///   [`flatten`](crate::Deferred::flatten).
/// * Branches that give back different things: make both a Deferred with [`Deferred::succeed`](crate::Deferred::succeed)
///   and [`Deferred::fail`](crate::Deferred::fail).
/// * `Err(..)` alone, which has no type for the value: write `Err::<i32, _>(..)`.
///
/// ```
/// use ropewalk::{Deferred, Failure, testing::failure_of};
///
/// fn fetch(n: i32) -> Deferred<i32> {
///     Deferred::succeed(n)
/// }
/// let d = Deferred::succeed("7")
///     .add_callback(|text| {
///         let n: i32 = text.parse()?;
///         Ok(fetch(n))
///     })
///     .flatten()
///     .add_callback(|n| if n > 0 { fetch(n) } else { Deferred::succeed(0) })
///     .add_callback(|_| Err::<i32, _>(Failure::msg("always")));
/// assert_eq!(failure_of(d).to_string(), "always");
/// ```
#[diagnostic::on_unimplemented(
    message = "a callback gives back `Result<U, Failure>` or `Deferred<U>`, not `{Self}`",
    label = "this is neither `Result<U, Failure>` nor `Deferred<U>`",
    note = "a plain value: give back `Ok(value)`, or add the callback with `map`",
    note = "nothing to give back: end the callback with `Ok(())`",
    note = "a result with another error: `Ok(result?)` turns the error into a `Failure`",
    note = "`?` and a Deferred in one callback: give back `Ok(deferred)` and add `.flatten()`",
    note = "nothing ever comes back (`panic!`, `loop`): say what would, `|x| -> Result<U, Failure> {{ .. }}`"
)]
pub trait CallbackResult: Sealed<Value = <Self as CallbackResult>::Value> {
    /// The type of the value that the chain goes on with.
    type Value: 'static;
}

impl<T: 'static> Sealed for Result<T, Failure> {
    type Value = T;
    fn returned(self) -> Returned<T> {
        Returned::Now(self)
    }
}
impl<T: 'static> CallbackResult for Result<T, Failure> {
    type Value = T;
}

impl<T: 'static> Sealed for Returned<T> {
    type Value = T;
    fn returned(self) -> Returned<T> {
        self
    }
}

impl<T: 'static> Sealed for Deferred<T> {
    type Value = T;
    fn returned(self) -> Returned<T> {
        Returned::Later(self)
    }
}
impl<T: 'static> CallbackResult for Deferred<T> {
    type Value = T;
}

/// A step's name for a person: of a function, the last part of its path; of a closure, `closure`, or the method of
/// this library that made it; a name that a person gave stays as it is.
pub(crate) fn step_name(full: &str) -> &str {
    if !full.contains("::") {
        return if full.starts_with("fn(") { "fn" } else { full };
    }
    let path = match full.strip_suffix("::{{closure}}") {
        None => full,
        Some(around) if around.trim_start_matches('<').starts_with("ropewalk::") => around,
        Some(_) => return "closure",
    };
    // Type parameters of the function itself, `f<T>`, come last; those of a type before it, `<T>::f`, do not.
    let path = match path.find('<') {
        Some(open) if open > 0 && path.ends_with('>') => path[..open].trim_end_matches("::"),
        _ => path,
    };
    path.rsplit("::").next().unwrap_or(path)
}

/// The same for the name of a type, which is found again by where it lies.
pub(crate) fn short_step_name(full: &'static str) -> &'static str {
    const PLACES: usize = 64;
    type Names = Cell<(&'static str, &'static str)>;
    thread_local! {
        static SHORT: [Names; PLACES] = const { [const { Cell::new(("", "")) }; PLACES] };
    }
    let place = (full.as_ptr().addr() >> 3 ^ full.len()) % PLACES;
    let known = SHORT.try_with(|names| names[place].get()).unwrap_or_default();
    if std::ptr::eq(known.0, full) {
        return known.1;
    }
    let short = step_name(full);
    let _ = SHORT.try_with(|names| names[place].set((full, short)));
    short
}

/// What became of the input of a step.
pub(crate) enum Went<R, U: 'static> {
    /// A function took it, and gave this back.
    Ran(R),
    /// The step has nothing for its lane.
    Passed(Outcome<U>),
}

/// A step from `T` to `U`.
pub(crate) trait Step<T: 'static, U: 'static>: 'static {
    /// What its functions give back. A type of its own, so that a plain result is never dressed as "result or
    /// Deferred" where it is clear which of the two it is.
    type Back: Sealed<Value = U>;
    /// Whether it has a function for values.
    const CALLBACK: bool;
    /// Whether it has a function for failures.
    const ERRBACK: bool;
    /// The name of the function, or of the function around the closure.
    fn name() -> &'static str;
    /// That of the errback, where there are two functions.
    fn errback_name() -> Option<&'static str> {
        None
    }
    /// What a recording tells about it.
    fn shape() -> Shape {
        Shape {
            names: [Self::name(), Self::errback_name().unwrap_or("")],
            callback: Self::CALLBACK,
            errback: Self::ERRBACK,
        }
    }
    /// Runs it. A lane it does not take passes by unchanged.
    fn call(self, input: Outcome<T>) -> Went<Self::Back, U>;
}

/// What a recording tells about a step.
pub(crate) struct Shape {
    /// The names of its function, or functions; the second is empty where there is one.
    pub(crate) names: [&'static str; 2],
    pub(crate) callback: bool,
    pub(crate) errback: bool,
}

impl Shape {
    /// Whether the step has a function for that lane; if not, the result passes by.
    pub(crate) fn takes(&self, lane: Lane) -> bool {
        match lane {
            Lane::Ok => self.callback,
            Lane::Err => self.errback,
        }
    }
}

/// `add_callback`
pub(crate) struct Callback<F>(pub(crate) F);

impl<T, R, F> Step<T, <R as CallbackResult>::Value> for Callback<F>
where
    T: 'static,
    R: CallbackResult,
    F: FnOnce(T) -> R + 'static,
{
    type Back = R;
    const CALLBACK: bool = true;
    const ERRBACK: bool = false;
    fn name() -> &'static str {
        type_name::<F>()
    }
    #[inline]
    fn call(self, input: Outcome<T>) -> Went<R, <R as CallbackResult>::Value> {
        match input {
            Ok(value) => Went::Ran((self.0)(value)),
            Err(failure) => Went::Passed(Err(failure)),
        }
    }
}

/// `map`
pub(crate) struct Map<F>(pub(crate) F);

impl<T: 'static, U: 'static, F: FnOnce(T) -> U + 'static> Step<T, U> for Map<F> {
    type Back = Outcome<U>;
    const CALLBACK: bool = true;
    const ERRBACK: bool = false;
    fn name() -> &'static str {
        type_name::<F>()
    }
    #[inline]
    fn call(self, input: Outcome<T>) -> Went<Outcome<U>, U> {
        Went::Passed(input.map(self.0))
    }
}

/// `add_errback`
pub(crate) struct Errback<F>(pub(crate) F);

impl<T, R, F> Step<T, T> for Errback<F>
where
    T: 'static,
    R: CallbackResult<Value = T>,
    F: FnOnce(Failure) -> R + 'static,
{
    type Back = R;
    const CALLBACK: bool = false;
    const ERRBACK: bool = true;
    fn name() -> &'static str {
        type_name::<F>()
    }
    #[inline]
    fn call(self, input: Outcome<T>) -> Went<R, T> {
        match input {
            Ok(value) => Went::Passed(Ok(value)),
            Err(failure) => Went::Ran((self.0)(failure)),
        }
    }
}

/// `add_callbacks`: the errback does not see the callback's errors.
pub(crate) struct Callbacks<F, G>(pub(crate) F, pub(crate) G);

impl<T, R, S, F, G> Step<T, <R as CallbackResult>::Value> for Callbacks<F, G>
where
    T: 'static,
    R: CallbackResult,
    S: CallbackResult<Value = <R as CallbackResult>::Value>,
    F: FnOnce(T) -> R + 'static,
    G: FnOnce(Failure) -> S + 'static,
{
    type Back = Returned<<R as CallbackResult>::Value>;
    const CALLBACK: bool = true;
    const ERRBACK: bool = true;
    fn name() -> &'static str {
        type_name::<F>()
    }
    fn errback_name() -> Option<&'static str> {
        Some(type_name::<G>())
    }
    #[inline]
    fn call(self, input: Outcome<T>) -> Went<Self::Back, <R as CallbackResult>::Value> {
        Went::Ran(match input {
            Ok(value) => (self.0)(value).returned(),
            Err(failure) => (self.1)(failure).returned(),
        })
    }
}

/// `add_both`
pub(crate) struct Both<F, R>(pub(crate) F, pub(crate) PhantomData<fn() -> R>);

impl<T, R, F> Step<T, <R as CallbackResult>::Value> for Both<F, R>
where
    T: 'static,
    R: CallbackResult + 'static,
    F: FnOnce(Outcome<T>) -> R + 'static,
{
    type Back = R;
    const CALLBACK: bool = true;
    const ERRBACK: bool = true;
    fn name() -> &'static str {
        type_name::<F>()
    }
    #[inline]
    fn call(self, input: Outcome<T>) -> Went<R, <R as CallbackResult>::Value> {
        Went::Ran((self.0)(input))
    }
}

/// `inspect`
pub(crate) struct Inspect<F>(pub(crate) F);

impl<T: 'static, F: FnOnce(&T) + 'static> Step<T, T> for Inspect<F> {
    type Back = Outcome<T>;
    const CALLBACK: bool = true;
    const ERRBACK: bool = false;
    fn name() -> &'static str {
        type_name::<F>()
    }
    fn call(self, input: Outcome<T>) -> Went<Outcome<T>, T> {
        Went::Passed(input.inspect(self.0))
    }
}

/// `inspect_err`
pub(crate) struct InspectErr<F>(pub(crate) F);

impl<T: 'static, F: FnOnce(&Failure) + 'static> Step<T, T> for InspectErr<F> {
    type Back = Outcome<T>;
    const CALLBACK: bool = false;
    const ERRBACK: bool = true;
    fn name() -> &'static str {
        type_name::<F>()
    }
    fn call(self, input: Outcome<T>) -> Went<Outcome<T>, T> {
        Went::Passed(input.inspect_err(self.0))
    }
}

/// What a step knows about itself.
pub(crate) struct StepSite {
    pub(crate) n: Cell<u32>,
    pub(crate) at: Cell<Place>,
    pub(crate) reg: Cell<EventNumber>,
}

/// One that knows nothing yet.
impl Default for StepSite {
    #[inline]
    fn default() -> Self {
        StepSite { n: Cell::new(0), at: Cell::new(const { Location::caller() }), reg: Cell::new(0) }
    }
}

/// Runs a step of the chain `of`. A panic becomes a failure. `of` is asked only when a failure wants to know.
#[inline]
pub(crate) fn run<T: 'static, U: 'static, S: Step<T, U>>(
    step: S,
    mut input: Outcome<T>,
    site: &StepSite,
    of: &dyn HasInfo,
) -> Returned<U> {
    let lane = enter(&mut input, S::ERRBACK, site);
    // Left in a slot out here: what `catch_unwind` answers is moved twice, which cost a tenth of a callback's time.
    let mut went = None;
    // Unwind safe: what the step captured is gone after a panic, and of ours nothing is borrowed.
    let caught = catch_unwind(AssertUnwindSafe(|| went = Some(step.call(input))));
    leave(caught, went, lane, site, of, S::name)
}

// What comes before and behind the step is compiled once for each type, and not for each callback.

#[cfg_attr(not(debug_assertions), inline(always))]
fn enter<T>(input: &mut Outcome<T>, errback: bool, site: &StepSite) -> Lane {
    match input {
        Ok(_) => Lane::Ok,
        Err(failure) => {
            comes_in(failure, errback, site);
            Lane::Err
        }
    }
}

#[cfg_attr(not(debug_assertions), inline(always))]
fn leave<U: 'static, R: Sealed<Value = U>>(
    caught: thread::Result<()>,
    went: Option<Went<R, U>>,
    lane: Lane,
    site: &StepSite,
    of: &dyn HasInfo,
    name: fn() -> &'static str,
) -> Returned<U> {
    let mut returned = match (caught, went) {
        (Ok(()), Some(Went::Ran(back))) => back.returned(),
        (Ok(()), Some(Went::Passed(outcome))) => Returned::Now(outcome),
        (Err(payload), _) => Returned::Now(Err(Failure::panic(payload, site.at.get()))),
        (Ok(()), None) => unreachable!("the step ran"),
    };
    if let Returned::Now(Err(failure)) = &mut returned {
        comes_out(failure, site, of, lane, name);
    }
    returned
}

#[cold]
fn comes_in(failure: &mut Failure, errback: bool, site: &StepSite) {
    failure.came_in();
    if !errback {
        failure.cross(site.at.get());
    }
}

#[cold]
fn comes_out(failure: &mut Failure, site: &StepSite, of: &dyn HasInfo, lane: Lane, name: fn() -> &'static str) {
    failure.came_out(|| {
        let (info, n) = (of.info(), site.n.get());
        RaisedIn {
            made: info.made(),
            n,
            lane,
            name: match info.step_name(n) {
                Some(name) => Cow::Owned(String::from(&*name)),
                None => Cow::Borrowed(step_name(name())),
            },
        }
    });
}

#[cfg(test)]
mod tests {
    use super::step_name;

    #[test]
    fn names_of_functions_closures_and_own_methods() {
        assert_eq!(step_name("poem::got_poem"), "got_poem");
        assert_eq!(step_name("poem::parse<alloc::string::String>"), "parse");
        assert_eq!(step_name("<i32 as core::str::traits::FromStr>::from_str"), "from_str");
        assert_eq!(step_name("poem::main::{{closure}}"), "closure");
        assert_eq!(step_name("<ropewalk::Deferred<ropewalk::Deferred<i32>>>::flatten::{{closure}}"), "flatten");
        assert_eq!(step_name("fn(i32) -> i32"), "fn");
        assert_eq!(step_name("shout"), "shout");
    }
}
