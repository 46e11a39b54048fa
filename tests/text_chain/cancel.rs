use ropewalk::{Deferred, Resolver};
use std::cell::Cell;
use std::rc::Rc;

/// A canceller that fires, one that does not, none at all, a chain that waits for another, and one that is done.
pub(crate) fn program() {
    let slot: Rc<Cell<Option<Resolver<&str>>>> = Rc::default();
    let taken = slot.clone();
    let (resolver, d) = Deferred::with_canceller(move || {
        if let Some(resolver) = taken.take() {
            resolver.succeed("half a poem");
        }
    });
    slot.set(Some(resolver));
    d.named("fires").cancel();

    let (_resolver, d) = Deferred::<i32>::with_canceller(|| {});
    let d = d.named("gives up");
    d.cancel();
    drop(d.add_errback(|_| Ok(0)));

    let (_resolver, d) = Deferred::<i32>::new();
    let d = d.named("has none");
    d.cancel();
    drop(d.add_errback(|_| Ok(0)));

    let (_resolver, inner) = Deferred::<i32>::new();
    let d = Deferred::succeed(()).named("waits").add_callback(|()| inner.named("asked")).add_errback(|_| Ok(0));
    d.cancel();
    drop(d);

    let (resolver, d) = Deferred::new();
    resolver.succeed(1);
    d.named("done").cancel();
}
