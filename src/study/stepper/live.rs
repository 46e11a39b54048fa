//! Stepping through a program while it runs: the stepper as a recorder that holds the program.

use super::{After, Stepper};
use crate::trace::{Event, Header, Kind, Pass, Recorder};
use std::fmt;
use std::io;

/// Who shows a stopped run to a person.
///
/// ```
/// use ropewalk::{Deferred, study::{Key, Stepper, stepper::{After, Front, Live}}, trace};
///
/// /// Asks nobody: it keeps the sentence of each callback and step.
/// struct Log(std::rc::Rc<std::cell::RefCell<Vec<String>>>);
///
/// impl Front for Log {
///     fn stop(&mut self, stepper: &mut Stepper) -> std::io::Result<After> {
///         while stepper.is_live() {
///             self.0.borrow_mut().push(stepper.sentence());
///             let after = stepper.key(Key::Char('n')); // the next callback or step
///             if after != After::Show {
///                 return Ok(after); // the program has to run for it
///             }
///         }
///         Ok(After::Leave)
///     }
/// }
///
/// let log = std::rc::Rc::default();
/// let ((), _) = trace::record_with(Live::new(Stepper::live(), Log(std::rc::Rc::clone(&log))), || {
///     Deferred::succeed(1).step_named("add").map(|n| n + 1).detach();
/// });
/// assert!(log.borrow()[1].starts_with("Step 0 \"add\" of d1 runs"), "{log:?}");
/// ```
pub trait Front {
    /// Shows where the stepper is and does what is asked, until that is something for the caller: it has to go on asking
    /// for keys as long as [`Stepper::key`] answers [`After::Show`]. Who returns that lets the program run on.
    ///
    /// # Errors
    ///
    /// There is nobody to ask any more: then the program runs on.
    fn stop(&mut self, stepper: &mut Stepper) -> io::Result<After>;
}

/// A recorder that holds the program at each stop, until whoever sits at `F` lets it go on.
///
/// ```
/// use ropewalk::{Deferred, study::stepper::{Live, Stepper, plain::Plain}, trace};
///
/// // To the first step, then leave: the program runs on by itself.
/// let keys = &b"n\nq\n"[..];
/// let (sum, _) = trace::record_with(Live::new(Stepper::live(), Plain::new(keys, std::io::sink())), || {
///     let (resolver, d) = Deferred::new();
///     let d = d.named("poem").map(|n: i32| n + 1);
///     resolver.succeed(1);
///     ropewalk::testing::success_of(d)
/// });
/// assert_eq!(sum, 2);
/// ```
pub struct Live<F> {
    stepper: Stepper,
    front: F,
    /// Nobody wants to stop any more.
    left: bool,
}

impl<F: Front> Live<F> {
    /// `stepper` is [`Stepper::live`], perhaps with breakpoints.
    pub fn new(stepper: Stepper, front: F) -> Live<F> {
        Live { stepper, front, left: false }
    }

    /// `over`: the recording is. Mostly the program is too: it is in `exit` already, and ends without help.
    fn stop(&mut self, over: bool) {
        match self.front.stop(&mut self.stepper) {
            Ok(After::Show | After::Run) => {}
            Ok(After::Leave) => self.left = true,
            Ok(After::Stop) if over => self.left = true,
            // What a shell says of a program that Ctrl-C ended.
            Ok(After::Stop) => std::process::exit(130),
            Err(error) => {
                self.left = true;
                crate::ground::unhandled::error_line(&format_args!(
                    "the stepper is gone, the program runs on: {error}"
                ));
            }
        }
    }
}

impl<F: Front> Recorder for Live<F> {
    fn begin(&mut self, header: &Header<'_>) {
        self.stepper.begin(header);
    }

    fn event(&mut self, event: &Event<'_>) {
        if self.left {
            return;
        }
        self.stepper.arrive(event);
        if let Kind::End { .. } = event.kind {
            self.stepper.finish();
            self.stop(true);
        }
    }

    fn is_gate(&self) -> bool {
        true
    }

    fn pass(&mut self, next: &Event<'_>) -> Pass {
        if !self.left && self.stepper.stops_before(next) {
            self.stop(false);
        }
        Pass::Go
    }
}

impl<F> fmt::Debug for Live<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("stepper", &self.stepper).finish_non_exhaustive()
    }
}
