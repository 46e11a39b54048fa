//! The blocking model: one page after the other. Each line waits until it is done.
//!
//! Pages of one server come over one connection, which the client keeps.
//!
//! The library has no blocking client. Running a loop until one page is there is the same: nothing else goes on meanwhile.

use crate::LONGEST;
use ropewalk::http::{Client, ClientResponse};
use ropewalk::{EventLoop, Failure};

pub(crate) fn get(urls: &[String]) -> Result<Vec<Vec<u8>>, Failure> {
    let (event_loop, client) = (EventLoop::new()?, Client::new());
    let mut pages = Vec::new();
    for url in urls {
        let response: ClientResponse = event_loop.run_until(client.get(&event_loop, url))?.error_for_status()?;
        pages.push(event_loop.run_until(response.bytes(LONGEST))?);
    }
    Ok(pages)
}
