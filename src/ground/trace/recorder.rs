//! Those who take events in, and may hold the program.

use super::event::{Event, Header};
use super::kind::Kind;

/// Somebody who takes events in, in order.
///
/// Called with nothing borrowed. Events made from inside are not recorded, and to run the recorded loop there is an error
/// ([`RunError::Reentrant`](crate::RunError::Reentrant)). A recorder that panics is reported like a lost error, and gets
/// nothing more: recording changes no program.
///
/// One that is a *gate* is asked before the events of [`Kind::is_gate`], while they have not happened yet: it may show
/// the run so far to a person, and returns when the program may go on. User code further out may be in the middle of
/// something, but the library is not.
///
/// ```
/// use ropewalk::trace::{self, Event, Recorder};
/// use ropewalk::{Deferred, testing::success_of};
///
/// #[derive(Default)]
/// struct Count(usize);
///
/// impl Recorder for Count {
///     fn event(&mut self, _: &Event<'_>) {
///         self.0 += 1;
///     }
/// }
///
/// let (_, count) = trace::record_with(Count::default(), || success_of(Deferred::succeed(1).map(|n| n + 1)));
/// assert!(count.0 > 2);
/// ```
pub trait Recorder {
    /// Is told about the run: before the first event, and again when another clock takes over.
    fn begin(&mut self, _header: &Header<'_>) {}

    /// Takes one event in.
    fn event(&mut self, event: &Event<'_>);

    /// Whether it is a gate. The loop's clock then stands still while the gate holds the program, so that timers do not
    /// pile up. (A [`TestClock`](crate::TestClock) stands still anyway.) Asked once, at the start.
    fn is_gate(&self) -> bool {
        false
    }

    /// Holds the program before `next` happens, for as long as it likes. `next` has the number that it will have, unless
    /// the answer [`Pass::Held`] puts an event in front of it.
    fn pass(&mut self, _next: &Event<'_>) -> Pass {
        Pass::Go
    }
}

/// What a gate answers.
///
/// ```
/// use ropewalk::trace::{self, Event, Kind, Pass, Recorder, Trace};
/// use ropewalk::{Deferred, testing::success_of};
///
/// /// Holds the program before each step.
/// struct Steps;
///
/// impl Recorder for Steps {
///     fn event(&mut self, _: &Event<'_>) {}
///     fn is_gate(&self) -> bool {
///         true
///     }
///     fn pass(&mut self, next: &Event<'_>) -> Pass {
///         match next.kind {
///             Kind::DStep { .. } => Pass::Held("a step".to_owned()), // here a person would look
///             _ => Pass::Go,
///         }
///     }
/// }
///
/// let both = (Steps, Trace::with_limit(100));
/// let (_, (_, trace)) = trace::record_with(both, || success_of(Deferred::succeed(6).map(|n| n * 7)));
/// assert!(trace.events().any(|event| matches!(event.kind, Kind::Gate { why: "a step", .. })));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pass {
    /// The program goes on.
    Go,
    /// The same; and that it was held, for this reason, is written into the trace as [`Kind::Gate`].
    Held(String),
}

impl Kind<'_> {
    /// Whether a gate is asked before it: before a turn, a callback, a step, a step that is passed by, what a resumed
    /// chain goes on with, a failure's life, the poll of a task, a canceller. And at a question, so that the program does
    /// not answer it first.
    pub fn is_gate(&self) -> bool {
        matches!(
            self,
            Kind::TurnBegin { .. }
                | Kind::CbBegin { .. }
                | Kind::DStep { .. }
                | Kind::DPass { .. }
                | Kind::DResume { .. }
                | Kind::FNew { .. }
                | Kind::FMoved { .. }
                | Kind::FReplaced { .. }
                | Kind::FHandled { .. }
                | Kind::FResting { .. }
                | Kind::FLost { .. }
                | Kind::XPoll { .. }
                | Kind::CancellerBegin { .. }
                | Kind::Ask { .. }
        )
    }
}

impl<R: Recorder + ?Sized> Recorder for Box<R> {
    fn begin(&mut self, header: &Header<'_>) {
        (**self).begin(header);
    }
    fn event(&mut self, event: &Event<'_>) {
        (**self).event(event);
    }
    fn is_gate(&self) -> bool {
        (**self).is_gate()
    }
    fn pass(&mut self, next: &Event<'_>) -> Pass {
        (**self).pass(next)
    }
}

/// Both take each event in, the first one first. Where both are gates, both are asked.
impl<A: Recorder, B: Recorder> Recorder for (A, B) {
    fn begin(&mut self, header: &Header<'_>) {
        self.0.begin(header);
        self.1.begin(header);
    }
    fn event(&mut self, event: &Event<'_>) {
        self.0.event(event);
        self.1.event(event);
    }
    fn is_gate(&self) -> bool {
        self.0.is_gate() || self.1.is_gate()
    }
    fn pass(&mut self, next: &Event<'_>) -> Pass {
        let first = if self.0.is_gate() { self.0.pass(next) } else { Pass::Go };
        let second = if self.1.is_gate() { self.1.pass(next) } else { Pass::Go };
        if first == Pass::Go { second } else { first }
    }
}

/// All of them take each event in.
impl<R: Recorder> Recorder for Vec<R> {
    fn begin(&mut self, header: &Header<'_>) {
        self.iter_mut().for_each(|one| one.begin(header));
    }
    fn event(&mut self, event: &Event<'_>) {
        self.iter_mut().for_each(|one| one.event(event));
    }
    fn is_gate(&self) -> bool {
        self.iter().any(Recorder::is_gate)
    }
    fn pass(&mut self, next: &Event<'_>) -> Pass {
        let gates = self.iter_mut().filter(|one| one.is_gate());
        gates.fold(Pass::Go, |answer, gate| match gate.pass(next) {
            Pass::Go => answer,
            held => held,
        })
    }
}
