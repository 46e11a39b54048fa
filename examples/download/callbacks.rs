//! The callback model: the loop runs, and a function is called at the end. It leaves what it was told where the program
//! finds it, and stops the loop.

use ropewalk::http::{Download, Downloaded};
use ropewalk::{EventLoop, Failure};
use std::cell::Cell;
use std::rc::Rc;

pub(crate) fn run(event_loop: EventLoop, download: Download) -> Result<Downloaded, Failure> {
    let outcome = Rc::new(Cell::new(None));
    let (told, handle) = (outcome.clone(), event_loop.handle());
    let at_the_end = move |result: Result<Downloaded, Failure>| {
        told.set(Some(result));
        Ok(handle.stop()?)
    };
    download.start(&event_loop).add_both(at_the_end).detach();
    event_loop.run()?;
    // A loop that a signal has stopped ends before it.
    outcome.take().unwrap_or_else(|| Err(Failure::msg("it was stopped")))
}
