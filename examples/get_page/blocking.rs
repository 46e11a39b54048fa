//! The blocking model: one page after the other. Each line waits until it is done.
//!
//! The library has no blocking client. Running a loop until one page is there is the same: nothing else goes on meanwhile.

use crate::LONGEST;
use ropewalk::http::{ClientResponse, get as ask};
use ropewalk::{EventLoop, Failure};

pub(crate) fn get(urls: &[String]) -> Result<Vec<Vec<u8>>, Failure> {
    let event_loop = EventLoop::new()?;
    let mut pages = Vec::new();
    for url in urls {
        let response: ClientResponse = event_loop.run_until(ask(&event_loop, url))?.error_for_status()?;
        pages.push(event_loop.run_until(response.bytes(LONGEST))?);
    }
    Ok(pages)
}
