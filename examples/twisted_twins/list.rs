//! Many results at once: all of them, the first error, the first value.

use crate::support::{run_until_done, say};
use ropewalk::{Deferred, DeferredList, EventLoop, Failure, FirstError, gather_results, race};
use std::time::Duration;

fn fetch(event_loop: &EventLoop, page: &'static str, milliseconds: u64) -> Deferred<String> {
    event_loop.defer_later(Duration::from_millis(milliseconds), move |_| {
        say(format_args!("{page} answers"))?;
        if page == "lost" {
            return Err(Failure::msg(format_args!("no page {page}")));
        }
        Ok(page.to_uppercase())
    })
}

fn all(event_loop: &EventLoop) -> Result<Deferred<()>, Failure> {
    say("all of them")?;
    let pages = [("home", 20), ("lost", 10), ("news", 30)].map(|(page, delay)| fetch(event_loop, page, delay));
    Ok(DeferredList::new(pages).start().add_callback(|results| {
        for (number, result) in results.iter().enumerate() {
            match result {
                Ok(page) => say(format_args!("{number}: {page}"))?,
                Err(failure) => say(format_args!("{number}: error: {failure}"))?,
            }
        }
        Ok(())
    }))
}

fn first_error(event_loop: &EventLoop) -> Result<Deferred<()>, Failure> {
    say("the first error")?;
    // The list owns its members. What one does on its own, it does before.
    let home = fetch(event_loop, "home", 20).share();
    let ran_on = home.get().add_callback(|page| Ok(say(format_args!("{page} ran on"))?));
    Ok(gather_results([home.get(), fetch(event_loop, "lost", 10)])
        .add_callbacks(
            |_| Ok(()),
            |failure| {
                let first: FirstError = failure.downcast()?;
                Ok(say(format_args!("member {}: {}", first.index(), first.failure()))?)
            },
        )
        .add_callback(|()| ran_on))
}

fn first_value(event_loop: &EventLoop) -> Result<Deferred<()>, Failure> {
    say("the first value")?;
    let pages = [fetch(event_loop, "slow", 60_000), fetch(event_loop, "mirror", 10)];
    Ok(race(pages).add_callback(|(index, page)| Ok(say(format_args!("member {index}: {page}"))?)))
}

pub(crate) fn run() -> Result<(), Failure> {
    run_until_done(|event_loop| {
        let (second, third) = (event_loop.handle(), event_loop.handle());
        let done = all(event_loop)?
            .add_callback(move |()| second.with(first_error)?)
            .flatten()
            .add_callback(move |()| third.with(first_value)?)
            .flatten();
        Ok(done)
    })
}
