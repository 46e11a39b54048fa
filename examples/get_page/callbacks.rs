//! The callback model: all pages at once. Each callback says what is next, and the program counts by itself how many are
//! still under way.
//!
//! ```text
//! get -> got the head -> got the page -> done(page)
//!  |          |               |
//!  '----------'---------------'--------> done(error)
//! ```

use crate::LONGEST;
use ropewalk::http::{ClientResponse, get as ask};
use ropewalk::{Deferred, EventLoop, Failure};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What all callbacks share.
struct Pages {
    found: RefCell<Vec<Option<Vec<u8>>>>,
    missing: Cell<usize>,
    failed: Cell<Option<Failure>>,
}

pub(crate) fn get(urls: &[String]) -> Result<Vec<Vec<u8>>, Failure> {
    let event_loop = EventLoop::new()?;
    let pages = Rc::new(Pages {
        found: RefCell::new(vec![None; urls.len()]),
        missing: Cell::new(urls.len()),
        failed: Cell::new(None),
    });
    for (index, url) in urls.iter().enumerate() {
        let pages = pages.clone();
        get_page(&event_loop, url, move |event_loop, result| {
            match result {
                Ok(page) => pages.found.borrow_mut()[index] = Some(page),
                Err(failure) => {
                    // The first error counts. What else is under way ends with the loop.
                    let first = pages.failed.take().unwrap_or(failure);
                    pages.failed.set(Some(first));
                    event_loop.stop();
                }
            }
            pages.missing.set(pages.missing.get() - 1);
            if pages.missing.get() == 0 {
                event_loop.stop();
            }
        });
    }
    event_loop.run()?;
    match pages.failed.take() {
        Some(failure) => Err(failure),
        None => Ok(pages.found.take().into_iter().flatten().collect()),
    }
}

/// Gets a page, and calls `done` with it, once.
fn get_page(event_loop: &EventLoop, url: &str, done: impl FnOnce(&EventLoop, Result<Vec<u8>, Failure>) + 'static) {
    when_there(event_loop, ask(event_loop, url), move |event_loop, response| {
        match response.and_then(ClientResponse::error_for_status) {
            Ok(response) => when_there(event_loop, response.bytes(LONGEST), done),
            Err(failure) => done(event_loop, Err(failure)),
        }
    });
}

/// Calls `then` with a result when it is there: the one thing of a Deferred that this model needs.
fn when_there<T: 'static>(
    event_loop: &EventLoop,
    result: Deferred<T>,
    then: impl FnOnce(&EventLoop, Result<T, Failure>) + 'static,
) {
    let event_loop = event_loop.handle();
    let called = result.add_both(move |result| {
        // Without its loop nobody waits any more.
        let _ = event_loop.with(|event_loop| then(event_loop, result));
        Ok(())
    });
    called.detach();
}
