//! The moves on floor 0: both ends of chains, and who cancels, records or is told of lost errors.

use crate::acts::{Method, free};
use crate::tasks::cancel_woken;
use crate::world::{Chain, Ctx, Deliberate, Noise, Token, Value, World, enter, enter_with, seen, world};
use ropewalk::trace::{self, Event, Kind, Pass, Recorder};
use ropewalk::{CancelHandle, Deferred, Failure, Resolver, UnhandledHook, maybe_deferred, set_unhandled_hook};
use std::rc::Rc;

const PHASES: &[&str] = &["pending", "done"];
const FIRED: &[&str] = &["ok", "cancelled"];

pub(crate) static CHAIN_METHODS: &[Method] = &[
    free("Deferred::new", &["ok"], |w| {
        let (resolver, end) = Deferred::new();
        if w.one_in(3) {
            end.cancel();
        }
        keep_pair(w, resolver, end);
        w.hit("Deferred::new", "ok");
    }),
    free("Deferred::with_canceller", &["ok"], |w| {
        let noise = Noise;
        let ticket = w.ticket("canceller", true);
        let (resolver, end) = Deferred::with_canceller(move || {
            let (w, _noise) = (world(), noise);
            ticket.run(&w, Ctx::Canceller);
            enter(Ctx::Canceller);
            w.maybe_panic();
        });
        let handle = end.cancel_handle();
        keep_pair(w, resolver, end);
        if w.one_in(3) {
            handle.cancel();
        }
        w.hit("Deferred::with_canceller", "ok");
    }),
    free("Deferred::succeed", &["ok"], |w| {
        keep(w, Deferred::succeed(value(w)));
        w.hit("Deferred::succeed", "ok");
    }),
    free("Deferred::fail", &["ok"], |w| {
        keep(w, Deferred::fail(Token::new()));
        w.hit("Deferred::fail", "ok");
    }),
    free("Deferred::from_result", &["ok"], |w| {
        let result = if w.one_in(2) { Ok(value(w)) } else { Err(Token::new().into()) };
        keep(w, Deferred::from_result(result));
        w.hit("Deferred::from_result", "ok");
    }),
    free("Deferred::add_callback", PHASES, |w| {
        add(w, "Deferred::add_callback", |w, end, serial| match w.below(3) {
            0 => end.add_callback(returns_chain(w, serial)),
            _ => end.add_callback(returns_result(w)),
        });
    }),
    free("Deferred::add_errback", PHASES, |w| {
        add(w, "Deferred::add_errback", |w, end, serial| {
            let (step, chain) = (returns_result(w), returns_chain(w, serial));
            match w.below(3) {
                0 => end.add_errback(move |failure| {
                    seen(&failure);
                    chain(Value(None))
                }),
                1 => end.add_errback(move |failure| {
                    seen(&failure);
                    step(Value(None))
                }),
                _ => end.add_errback(Err),
            }
        });
    }),
    free("Deferred::add_callbacks", PHASES, |w| {
        add(w, "Deferred::add_callbacks", |w, end, serial| {
            let back = returns_result(w);
            end.add_callbacks(returns_chain(w, serial), move |failure| {
                seen(&failure);
                back(Value(None))
            })
        });
    }),
    free("Deferred::add_both", PHASES, |w| {
        add(w, "Deferred::add_both", |w, end, _| {
            let step = returns_result(w);
            end.add_both(move |result| step(result.inspect_err(seen).unwrap_or(Value(None))))
        });
    }),
    free("Deferred::map", PHASES, |w| {
        add(w, "Deferred::map", |w, end, _| {
            let step = returns_result(w);
            end.map(move |value| step(value).inspect_err(seen).unwrap_or(Value(None)))
        });
    }),
    free("Deferred::flatten", PHASES, |w| {
        add(w, "Deferred::flatten", |w, end, serial| {
            let chain = returns_chain(w, serial);
            end.add_callback(move |value| Ok(chain(value))).flatten()
        });
    }),
    free("Deferred::named, step_named", PHASES, |w| {
        add(w, "Deferred::named, step_named", |_, end, _| end.named("chain").step_named("step"));
    }),
    free("Deferred::cancel", PHASES, |w| {
        add(w, "Deferred::cancel", |_, end, _| {
            end.cancel();
            end
        });
    }),
    free("Deferred::cancel_handle", PHASES, |w| {
        add(w, "Deferred::cancel_handle", |w, end, _| {
            w.cancels.put(w, end.cancel_handle());
            end
        });
    }),
    free("Deferred::made, Debug", PHASES, |w| {
        add(w, "Deferred::made, Debug", |_, end, _| {
            let _ = format!("{end:?} {}", end.made());
            end
        });
    }),
    free("Deferred::detach, drop", PHASES, |w| {
        let done = w.want.get() == "done";
        let Some(chain) = w.chains.prefer(w, |chain| chain.end.has_result() == done) else { return };
        w.hit("Deferred::detach, drop", if chain.end.has_result() { "done" } else { "pending" });
        if w.one_in(2) {
            chain.end.detach();
        }
    }),
    free("Deferred::try_result", &["value", "failure", "pending"], |w| {
        let done = w.want.get() != "pending";
        let Some(Chain { end, serial }) = w.chains.prefer(w, |chain| chain.end.has_result() == done) else {
            return;
        };
        let state = match end.try_result() {
            Ok(Ok(_)) => "value",
            Ok(Err(failure)) => {
                seen(&failure);
                drop(failure);
                "failure"
            }
            Err(end) => {
                w.chains.put(w, Chain { end, serial });
                "pending"
            }
        };
        w.hit("Deferred::try_result", state);
    }),
    free("maybe_deferred", &["ok"], |w| {
        let step = returns_result(w);
        keep(w, maybe_deferred(move || step(Value(None))));
        w.hit("maybe_deferred", "ok");
    }),
    free("Resolver::succeed", FIRED, |w| {
        fire(w, "Resolver::succeed", |w, resolver, token| {
            token.forget();
            resolver.succeed(value(w));
        });
    }),
    free("Resolver::fail", FIRED, |w| fire(w, "Resolver::fail", |_, resolver, token| resolver.fail(token))),
    free("Resolver::fire", FIRED, |w| {
        fire(w, "Resolver::fire", |_, resolver, token| resolver.fire(Err(token.into())));
    }),
    free("Resolver: drop", FIRED, |w| {
        fire(w, "Resolver: drop", |_, resolver, token| {
            token.forget();
            drop(resolver);
        })
    }),
    free("Resolver::is_cancelled, made, Debug", FIRED, |w| {
        let Some(resolver) = some_resolver(w) else { return };
        let state = if resolver.is_cancelled() { "cancelled" } else { "ok" };
        let _ = format!("{resolver:?} {:?}", resolver.made());
        w.resolvers.put(w, resolver);
        w.hit("Resolver::is_cancelled, made, Debug", state);
    }),
    free("CancelHandle::cancel", &["true", "false"], |w| {
        let handle = if w.want.get() == "true" {
            let (resolver, end) = Deferred::new();
            let handle = end.cancel_handle();
            keep_pair(w, resolver, end);
            handle
        } else {
            let Some(handle) = w.cancels.take(w) else { return };
            handle
        };
        let _ = format!("{handle:?}{:?}", CancelHandle::default());
        w.hit("CancelHandle::cancel", if handle.cancel() { "true" } else { "false" });
    }),
    free("set_unhandled_hook", &["ok"], |w| {
        let before = set_unhandled_hook(None);
        drop(Deferred::<()>::fail(Failure::msg("for the logger")));
        drop(before);
        set_unhandled_hook(Some(hook()));
        drop(Deferred::<()>::fail(Token::new()));
        w.hit("set_unhandled_hook", "ok");
    }),
    free("trace::note", &["ok"], |w| {
        trace::note("note");
        w.hit("trace::note", "ok");
    }),
    free("trace::record_with", &["ok"], |w| {
        trace::record_with(Listener, || {
            trace::note("inner");
            keep(w, Deferred::succeed(value(w)));
        });
        w.hit("trace::record_with", "ok");
    }),
];

/// A recorder that calls back, also as the gate that it is.
pub(crate) struct Listener;

impl Recorder for Listener {
    fn event(&mut self, event: &Event<'_>) {
        let polls = matches!(event.kind, Kind::XPoll { .. });
        let first = |w: &World| {
            if polls && w.one_in(4) {
                cancel_woken(w);
            }
        };
        let quiet = std::panic::AssertUnwindSafe(|| enter_with(Ctx::Recorder, first));
        // What a recorder's own calls drop may panic. A recorder that panics is another test's.
        drop(std::panic::catch_unwind(quiet));
    }
    fn is_gate(&self) -> bool {
        true
    }
    fn pass(&mut self, next: &Event<'_>) -> Pass {
        let quiet = std::panic::AssertUnwindSafe(|| enter(Ctx::Recorder));
        drop(std::panic::catch_unwind(quiet));
        if next.s.is_multiple_of(5) { Pass::Held("looked".to_owned()) } else { Pass::Go }
    }
}

/// The hook for lost errors. It calls back.
pub(crate) fn hook() -> UnhandledHook {
    let noise = Noise;
    Rc::new(move |error| {
        let _noise = &noise;
        seen(error.failure());
        drop(error.to_string());
        enter(Ctx::Hook);
    })
}

fn value(w: &World) -> Value {
    Value(w.one_in(3).then(|| Noise))
}

fn keep(w: &World, end: Deferred<Value>) {
    let serial = w.next_serial();
    w.chains.put(w, Chain { end, serial });
}

/// Keeps both ends. The first step must run exactly once, whatever happens.
fn keep_pair(w: &World, resolver: Resolver<Value>, end: Deferred<Value>) {
    let ticket = w.ticket("chain's first", true);
    w.chains_owed.borrow_mut().push(ticket.clone());
    let handle = end.cancel_handle();
    let end = end.add_both(move |result| {
        ticket.run(&world(), Ctx::Step);
        result
    });
    keep(w, end);
    w.resolvers.put(w, resolver);
    w.cancels.put(w, handle);
}

/// Takes a chain, does something to its end, and keeps the new end.
fn add(w: &World, method: &'static str, f: impl FnOnce(&World, Deferred<Value>, u64) -> Deferred<Value>) {
    let done = w.want.get() == "done";
    let Some(Chain { end, serial }) = w.chains.prefer(w, |chain| chain.end.has_result() == done) else { return };
    w.hit(method, if end.has_result() { "done" } else { "pending" });
    let end = f(w, end, serial);
    w.chains.put(w, Chain { end, serial });
}

fn some_resolver(w: &World) -> Option<Resolver<Value>> {
    let cancelled = w.want.get() == "cancelled";
    if cancelled {
        let (resolver, end) = Deferred::new();
        end.cancel();
        keep(w, end);
        return Some(resolver);
    }
    w.resolvers.prefer(w, |resolver| !resolver.is_cancelled())
}

fn fire(w: &World, method: &'static str, f: impl FnOnce(&World, Resolver<Value>, Token)) {
    let Some(resolver) = some_resolver(w) else { return };
    let cancelled = resolver.is_cancelled();
    // After a cancel a result is swallowed: nobody needs to see it.
    let token = if cancelled { Token::swallowable() } else { Token::new() };
    f(w, resolver, token);
    w.hit(method, if cancelled { "cancelled" } else { "ok" });
}

/// A step that gives back a value or an error, or panics.
fn returns_result(w: &World) -> impl FnOnce(Value) -> Result<Value, Failure> + 'static {
    let noise = w.one_in(2).then(|| Noise);
    let ticket = w.ticket("step", true);
    move |value| {
        let w = world();
        ticket.run(&w, Ctx::Step);
        enter(Ctx::Step);
        if w.chance(10) {
            std::panic::resume_unwind(Box::new(Deliberate));
        }
        drop(noise); // not behind the result, which would leak if this panicked
        if w.chance(3) { Err(Token::new().into()) } else { Ok(value) }
    }
}

/// A step that gives back another chain, of those made later than its own, or one that has its result.
fn returns_chain(w: &World, serial: u64) -> impl FnOnce(Value) -> Deferred<Value> + 'static {
    let noise = w.one_in(2).then(|| Noise);
    let ticket = w.ticket("step", true);
    move |value| {
        let w = world();
        ticket.run(&w, Ctx::Step);
        enter(Ctx::Step);
        drop(noise);
        let later = w.chains.take_if(&w, |chain| chain.serial > serial);
        later.map_or_else(|| Deferred::succeed(value), |chain| chain.end)
    }
}
