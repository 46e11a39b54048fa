//! The Deferred model: all pages at once. A chain says what follows what, and a group waits for all of them.

use crate::LONGEST;
use ropewalk::http::{ClientResponse, get as ask};
use ropewalk::{Deferred, DeferredList, EventLoop, Failure, FirstError};

pub(crate) fn get(urls: &[String]) -> Result<Vec<Vec<u8>>, Failure> {
    let event_loop = EventLoop::new()?;
    let pages: Vec<Deferred<Vec<u8>>> = urls.iter().map(|url| get_page(&event_loop, url)).collect();
    // At the first failure the others are cancelled, which closes their connections. Which of them it was is in its text.
    let all = DeferredList::new(pages).cancel_others().gather().add_errback(|failure| {
        Err(failure.downcast::<FirstError>().map_or_else(|failure| failure, FirstError::into_failure))
    });
    event_loop.run_until(all)
}

fn get_page(event_loop: &EventLoop, url: &str) -> Deferred<Vec<u8>> {
    ask(event_loop, url)
        .add_callback(ClientResponse::error_for_status)
        .add_callback(|response| response.bytes(LONGEST))
}
