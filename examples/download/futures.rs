//! The model of futures: a task awaits it. It reads as the blocking model does, and the loop has time for others.

use ropewalk::http::{Download, Downloaded};
use ropewalk::{EventLoop, Failure};

pub(crate) fn run(event_loop: EventLoop, download: Download) -> Result<Downloaded, Failure> {
    event_loop.block_on(async {
        let done = download.start(&event_loop).await?;
        Ok(done)
    })
}
