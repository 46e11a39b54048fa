//! Who is asked when somebody cancels, and where the error goes.

use crate::support::say;
use ropewalk::{CancelledError, Deferred, Failure, Resolver};
use std::cell::Cell;
use std::rc::Rc;

fn stopped<T>(who: &'static str) -> impl FnOnce(Failure) -> Result<T, Failure> {
    move |failure| {
        let failure = failure.trap::<CancelledError>()?;
        say(format_args!("{who}: cancelled"))?;
        Err(failure)
    }
}

fn download() -> (Resolver<&'static str>, Deferred<&'static str>) {
    Deferred::with_canceller(|| drop(say("download: stop the work")))
}

fn innermost() -> Result<(), Failure> {
    // The outer one waits: the inner one is asked, and its error comes back along both chains.
    let (_working, page) = download();
    let page = page.add_errback(stopped("page"));
    let story = Deferred::succeed("begin")
        .add_callback(|_| page)
        .add_errback(stopped("story"))
        .add_callbacks(|_| Ok(()), |_| Ok(say("story: done without it")?));
    say("cancel while it waits")?;
    story.cancel();
    Ok(())
}

fn late() -> Result<(), Failure> {
    // Nobody can stop this one. It fails at once, and what it comes up with later is swallowed.
    let (resolver, answer) = Deferred::<&str>::new();
    let answer = answer.add_errback(|failure| {
        failure.trap::<CancelledError>()?;
        Ok(say("answer: CancelledError").map(|()| "")?)
    });
    say("cancel what cannot be stopped")?;
    answer.cancel();
    resolver.succeed("late");
    Ok(say("the late answer is swallowed")?)
}

fn instead() -> Result<(), Failure> {
    // A canceller may come up with a result, for which it needs the Resolver.
    let slot = Rc::new(Cell::new(None::<Resolver<_>>));
    let found = slot.clone();
    let (resolver, page) = Deferred::with_canceller(move || {
        if let Some(resolver) = found.take() {
            resolver.succeed("half a page");
        }
    });
    slot.set(Some(resolver));
    let page = page.add_callback(|text| Ok(say(format_args!("page: {text}"))?));
    say("cancel what has something")?;
    page.cancel();
    Ok(())
}

fn too_late() -> Result<(), Failure> {
    let (resolver, d) = download();
    let d = d.add_callback(|text| Ok(say(format_args!("has {text}"))?));
    resolver.succeed("a page");
    say("cancel what is done")?;
    d.cancel();
    Ok(())
}

pub(crate) fn run() -> Result<(), Failure> {
    innermost()?;
    late()?;
    instead()?;
    too_late()
}
