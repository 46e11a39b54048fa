//! The blocking model: this line waits until it is done.
//!
//! The library has no blocking client. Running a loop until one thing is there is the same: nothing else goes on meanwhile.

use ropewalk::http::{Download, Downloaded};
use ropewalk::{EventLoop, Failure};

pub(crate) fn run(event_loop: EventLoop, download: Download) -> Result<Downloaded, Failure> {
    let done = download.start(&event_loop);
    event_loop.run_until(done)
}
