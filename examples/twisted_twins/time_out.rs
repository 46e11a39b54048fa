//! A result that must come in time.

use crate::support::{run_until_done, say};
use ropewalk::{CancelledError, Deferred, EventLoop, Failure, TimeoutError};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(60);

fn poem(event_loop: &EventLoop, delay: Duration) -> Deferred<&'static str> {
    event_loop.defer_later(delay, |_| Ok("a poem"))
}

fn in_time(event_loop: &EventLoop) -> Deferred<()> {
    poem(event_loop, SHORT / 2)
        .add_timeout(LONG, event_loop)
        .add_callback(|text| Ok(say(format_args!("in time: {text}"))?))
}

fn too_late(event_loop: &EventLoop) -> Deferred<()> {
    poem(event_loop, LONG)
        .add_errback(|failure| {
            let failure = failure.trap::<CancelledError>()?;
            say("before it: CancelledError")?;
            Err(failure)
        })
        .add_timeout(SHORT, event_loop)
        .add_callbacks(
            |_| Ok(()),
            |failure| {
                failure.trap::<TimeoutError>()?;
                Ok(say("after it: TimeoutError")?)
            },
        )
}

fn instead(event_loop: &EventLoop) -> Deferred<()> {
    poem(event_loop, LONG)
        .add_timeout_with(SHORT, event_loop, |_, _| Ok("an old poem"))
        .add_callback(|text| Ok(say(format_args!("instead: {text}"))?))
}

fn by_hand(event_loop: &EventLoop) -> Deferred<()> {
    // Only the time-out's own cancel is translated.
    let stopped = poem(event_loop, LONG).add_timeout(LONG, event_loop);
    stopped.cancel();
    stopped.add_callbacks(
        |_| Ok(()),
        |failure| {
            failure.trap::<CancelledError>()?;
            Ok(say("stopped by hand: CancelledError")?)
        },
    )
}

pub(crate) fn run() -> Result<(), Failure> {
    run_until_done(|event_loop| {
        let mut done = in_time(event_loop);
        for next in [too_late, instead, by_hand] {
            let handle = event_loop.handle();
            done = done.add_callback(move |()| Ok(handle.with(next)?)).flatten();
        }
        Ok(done)
    })
}
