//! The Deferred model: what follows is added to the result that is not there yet. An errback looks at what went wrong, and
//! hands it on.

use ropewalk::http::{ClientError, Download, Downloaded};
use ropewalk::{EventLoop, Failure};

pub(crate) fn run(event_loop: EventLoop, download: Download) -> Result<Downloaded, Failure> {
    let done = download.start(&event_loop).add_errback(|failure| {
        if failure.check::<ClientError>().is_some_and(ClientError::is_timeout) {
            log::warn!("the server is slow: --resume goes on where it broke off");
        }
        Err(failure)
    });
    event_loop.run_until(done)
}
