//! The Deferred model: all pages at once. A chain says what follows what, and a group waits for all of them.

use crate::LONGEST;
use ropewalk::http::{ClientResponse, get as ask};
use ropewalk::{CancelHandle, Deferred, EventLoop, Failure, FirstError, gather_results};

pub(crate) fn get(urls: &[String]) -> Result<Vec<Vec<u8>>, Failure> {
    let event_loop = EventLoop::new()?;
    let pages: Vec<Deferred<Vec<u8>>> = urls.iter().map(|url| get_page(&event_loop, url)).collect();
    let others: Vec<CancelHandle> = pages.iter().map(Deferred::cancel_handle).collect();
    let all = gather_results(pages).add_errback(move |failure| {
        // Which of them it was is in its text. Cancelling the others closes their connections.
        for other in &others {
            other.cancel();
        }
        Err(failure.downcast::<FirstError>().map_or_else(|failure| failure, FirstError::into_failure))
    });
    event_loop.run_until(all)
}

fn get_page(event_loop: &EventLoop, url: &str) -> Deferred<Vec<u8>> {
    ask(event_loop, url)
        .add_callback(ClientResponse::error_for_status)
        .add_callback(|response| response.bytes(LONGEST))
}
