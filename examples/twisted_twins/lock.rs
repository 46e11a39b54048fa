//! One at a time, first come, first served.

use crate::support::{run_until_done, say};
use ropewalk::{CancelledError, Deferred, DeferredList, DeferredLock, Failure, Handle};
use std::time::Duration;

fn save(event_loop: &Handle, name: char) -> Result<Deferred<()>, Failure> {
    say(format_args!("{name} has the lock"))?;
    let done = event_loop.with(|event_loop| event_loop.defer_later(Duration::from_millis(10), |_| Ok(())))?;
    Ok(done.add_callback(move |()| {
        say(format_args!("{name} is done"))?;
        if name == 'b' { Err(Failure::msg("disk full")) } else { Ok(()) }
    }))
}

pub(crate) fn run() -> Result<(), Failure> {
    run_until_done(|event_loop| {
        let lock = DeferredLock::new();
        say("all ask")?;
        let [a, b, c, d] = ['a', 'b', 'c', 'd'].map(|name| {
            let event_loop = event_loop.handle();
            lock.run(move || Deferred::from_result(save(&event_loop, name)).flatten())
        });
        let b = b.add_errback(|failure| Ok(say(format_args!("failed: {failure}"))?));
        let c = c.add_errback(|failure| {
            failure.trap::<CancelledError>()?;
            Ok(say("c left the line: CancelledError")?)
        });
        c.cancel();
        say(format_args!("{} wait", lock.waiting()))?;
        Ok(DeferredList::new([a, b, c, d])
            .start()
            .add_callback(move |_| Ok(say(format_args!("locked: {}", lock.is_locked()))?)))
    })
}
