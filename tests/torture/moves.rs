//! The longer moves of `acts`: those that register callbacks, and those that drive a loop.

use crate::world::{
    Chain, Ctx, Message, Noise, Source, Thing, Ticket, Token, Value, World, enter, enter_with, seen, world,
};
use ropewalk::{
    Deferred, EventLoop, Failure, Handle, Interest, Phase, PostError, Remote, RemoteResolver, Removed, RunError,
    Sender, SystemEvent, TimerError,
};
use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

/// The handle of the loop at hand, or one that may be older.
pub(crate) fn some_handle(w: &World) -> Handle {
    match w.handles.peek(w) {
        Some(relic) if w.want.get() == "closed" => relic,
        _ => w.handle.borrow().clone(),
    }
}

pub(crate) fn soon(ticket: Rc<Ticket>) -> impl FnOnce(&EventLoop) {
    let noise = Noise;
    move |_| {
        let (w, _noise) = (world(), noise);
        ticket.run(&w, Ctx::Soon);
        enter(Ctx::Soon);
        w.maybe_panic();
    }
}

pub(crate) fn call_soon(w: &World) {
    let ticket = w.ticket("soon", true);
    if w.with_loop(|el| el.call_soon(soon(ticket.clone()))).is_some() {
        w.owe(ticket);
    }
    w.hit("EventLoop::call_soon", "ok");
}

pub(crate) fn arm(w: &World, method: &'static str) {
    let ticket = w.ticket("timer", true);
    let (mine, noise) = (ticket.clone(), Noise);
    let callback = move |_: &EventLoop| {
        let (w, _noise) = (world(), noise);
        mine.run(&w, Ctx::Timer);
        enter(Ctx::Timer);
        w.maybe_panic();
    };
    // Few different deadlines, so that many are equal and some are over.
    let delay = Duration::from_micros(250 * w.below(4));
    let call = w.with_loop(|el| match method {
        "EventLoop::call_at" => el.call_at(el.time() + delay, callback),
        _ => el.call_later(delay, callback).named("early"),
    });
    if let Some(call) = call {
        w.owe(ticket.clone());
        w.timers.put(w, (Rc::new(call), ticket));
    }
    w.hit(method, "ok");
}

pub(crate) fn timer_state(answer: Result<(), TimerError>) -> &'static str {
    match answer {
        Ok(()) => "ok",
        Err(TimerError::AlreadyCalled) => "called",
        Err(TimerError::AlreadyCancelled) => "cancelled",
        Err(TimerError::Closed) => "closed",
    }
}

pub(crate) fn change(w: &World, method: &'static str) {
    let Some((call, ticket)) = w.timers.peek(w) else { return };
    let by = Duration::from_micros(250 * w.below(3));
    let answer = match method {
        "DelayedCall::reset" => call.reset(by),
        "DelayedCall::delay" => call.delay(by),
        _ => call.reset_at(w.with_loop(|el| el.time()).unwrap_or_default() + by),
    };
    if answer.is_ok() {
        ticket.renew(w);
    }
    w.hit(method, timer_state(answer));
}

pub(crate) fn register(w: &World) {
    const NAME: &str = "EventLoop::register";
    let kind = match w.want.get() {
        "always ready" => 0,
        "duplicate" => 1,
        _ => w.below(4),
    };
    let (file, peer) = if kind == 0 {
        let Ok(null) = File::open("/dev/null") else { return };
        (Rc::new(null), None)
    } else if kind == 1
        && let Some(first) = w.sources.peek(w)
        && let Some(Ok(file)) = w.with_loop(|el| el.with_source(first.id, |thing| thing.file.clone()))
    {
        (file, None)
    } else {
        let Ok((ours, theirs)) = UnixStream::pair() else { return };
        ours.set_nonblocking(true).expect("a new socket");
        theirs.set_nonblocking(true).expect("a new socket");
        if !w.one_in(4) {
            (&theirs).write_all(b"x").expect("room for a byte");
        }
        (Rc::new(File::from(OwnedFd::from(ours))), Some(theirs))
    };
    let (thing, peer) = match w.parked.take(w) {
        // A source that was handed back goes in again.
        Some(parked) if w.one_in(2) => (parked, None),
        _ => (Thing::new(file), peer),
    };
    let ticket = w.ticket("source", false);
    let (mine, noise) = (ticket.clone(), Noise);
    let callback = move |_: &EventLoop, thing: &Thing, _| {
        let (w, _noise) = (world(), &noise);
        mine.run(&w, Ctx::Ready);
        if !w.one_in(4) {
            // What comes is no matter here: nothing, a byte, the end.
            let _ = (&*thing.file).read(&mut [0; 8]);
        }
        let own = w.sources.all().into_iter().find(|s| Rc::ptr_eq(&s.ticket, &mine));
        match own {
            Some(own) => w.using(&own, || {
                enter_with(Ctx::Ready, |w| {
                    if w.one_in(12) {
                        remove_this(w, &own); // its own end, from inside
                    }
                });
            }),
            None => enter(Ctx::Ready),
        }
        w.maybe_panic();
    };
    let interest = if w.one_in(5) { Interest::BOTH } else { Interest::READ };
    match w.with_loop(|el| el.register(thing, interest, callback)) {
        Some(Ok(id)) => {
            w.hit(NAME, if kind == 0 { "always ready" } else { "ok" });
            let source = Source { id, ticket, peer: Rc::new(RefCell::new(peer)) };
            // Bounded: an older one goes.
            if w.sources.len() >= 10
                && let Some(old) = w.sources.take(w)
            {
                remove_this(w, &old);
            }
            w.sources.put(w, source);
        }
        Some(Err(error)) => {
            w.hit(NAME, "duplicate");
            drop(error.to_string());
            w.parked.put(w, error.into_source());
        }
        None => {}
    }
}

/// Removes a source that is being called or lent.
pub(crate) fn remove_in_use(w: &World) {
    let in_use = w.in_use.borrow().last().cloned();
    if let Some(source) = in_use {
        remove_this(w, &source);
    }
}

pub(crate) fn remove(w: &World) {
    if !w.in_use.borrow().is_empty() && (w.want.get() == "after callback" || w.one_in(3)) {
        return remove_in_use(w);
    }
    if let Some(source) = w.sources.peek(w) {
        if w.one_in(2) {
            // The peer goes as well, so that there are resets.
            drop(source.peer.borrow_mut().take());
        } else {
            remove_this(w, &source);
        }
    }
}

fn remove_this(w: &World, source: &Source) {
    let there = w.with_loop(|el| el.is_registered(source.id)) == Some(true);
    source.ticket.called_off.set(source.ticket.called_off.get() || there);
    let Some(removed) = w.with_loop(|el| el.remove(source.id)) else { return };
    if there == matches!(removed, Removed::Gone) {
        w.broken("a source that is there can be removed, and no other".to_owned());
    }
    let state = match removed {
        Removed::Now(thing) => {
            if w.one_in(2) {
                w.parked.put(w, thing);
            }
            "now"
        }
        Removed::AfterCallback => "after callback",
        Removed::Gone => "gone",
    };
    w.hit("EventLoop::remove", state);
}

/// A Deferred that is fired by mail, as a worker's job is.
pub(crate) fn remote_deferred(w: &World, cancelled: bool) -> Option<RemoteResolver<u32>> {
    let (resolver, deferred) = w.with_loop(EventLoop::remote_deferred::<u32>)?;
    let serial = w.next_serial();
    let end = deferred.add_both(|result| {
        enter(Ctx::Job);
        result.inspect_err(seen).map(|_| Value(None))
    });
    if cancelled {
        end.cancel();
    }
    w.cancels.put(w, end.cancel_handle());
    w.chains.put(w, Chain { end, serial });
    Some(resolver)
}

pub(crate) fn some_remote_resolver(w: &World) -> Option<RemoteResolver<u32>> {
    let cancelled = w.want.get() == "cancelled";
    let fits = |resolver: &RemoteResolver<u32>| resolver.is_cancelled() == cancelled;
    w.remote_resolvers.take_if(w, fits).or_else(|| remote_deferred(w, cancelled))
}

pub(crate) fn add_trigger(w: &World) {
    let ticket = w.ticket("trigger", true);
    let (mine, noise) = (ticket.clone(), Noise);
    let phase = [Phase::Before, Phase::During, Phase::After][w.below(3) as usize];
    let event = [SystemEvent::Startup, SystemEvent::Shutdown][w.below(2) as usize];
    let run = move || {
        let (w, _noise) = (world(), noise);
        mine.run(&w, Ctx::Trigger);
        enter(Ctx::Trigger);
        w.maybe_panic();
        w
    };
    let id = w.with_loop(|el| {
        if w.one_in(2) {
            el.add_system_event_trigger(phase, event, move |_| drop(run()))
        } else {
            el.add_system_event_trigger(phase, event, move |el: &EventLoop| {
                let w = run();
                let (resolver, deferred) = Deferred::new();
                let fail = w.one_in(3);
                el.call_soon(move |_| match fail {
                    true => resolver.fail(Token::new()),
                    false => resolver.succeed(()),
                });
                deferred
            })
        }
    });
    if let Some(id) = id {
        w.triggers.put(w, (id, ticket));
    }
    w.hit("EventLoop::add_system_event_trigger", "ok");
}

pub(crate) fn post(w: &World) {
    let Some(remote) = w.remotes.peek(w) else { return };
    // More than the mailbox holds, or one.
    for _ in 0..if w.one_in(4) { 8 } else { 1 } {
        post_one(w, &remote);
    }
}

fn post_one(w: &World, remote: &Remote) {
    let ticket = w.ticket("post", true);
    let serial = w.next_serial();
    w.posted.borrow_mut().insert(serial, ticket.clone());
    let message = Message(serial, Noise);
    let posted = remote.post(move |_| {
        let (w, message) = (world(), message);
        let ticket = w.posted.borrow_mut().remove(&message.0);
        if let Some(ticket) = ticket {
            ticket.run(&w, Ctx::Post);
        }
        enter(Ctx::Post);
        w.maybe_panic();
    });
    let state = match posted {
        Ok(()) => {
            w.owe(ticket);
            "ok"
        }
        Err(PostError::Full(_)) => "full",
        Err(PostError::Closed(_)) => "closed",
    };
    w.hit("Remote::post", state);
}

pub(crate) fn send(w: &World, method: &'static str) {
    let Some(sender) = w.senders.peek(w) else { return };
    for _ in 0..if w.one_in(4) { 4 } else { 1 } {
        send_one(w, &sender, method);
    }
}

fn send_one(w: &World, sender: &Sender<Message>, method: &'static str) {
    let serial = w.next_serial();
    w.posted.borrow_mut().insert(serial, w.ticket("message", true));
    let message = Message(serial, Noise);
    let sent = if method == "Sender::send" { sender.send(message) } else { sender.try_send(message) };
    let state = match &sent {
        Ok(()) => "ok",
        Err(PostError::Full(_)) => "full",
        Err(PostError::Closed(_)) => "closed",
    };
    drop(sent);
    w.hit(method, state);
}

/// Drives the loop from wherever we are. From inside one of its callbacks that must be an error.
pub(crate) fn drive(w: &World, method: &'static str) {
    let running = w.running.get();
    let clock = w.clock.borrow().clone();
    // Whatever it finds, there is something to do and an end to it.
    let answer = w.with_loop(|el| match method {
        "EventLoop::run" => {
            if !running {
                el.call_soon(EventLoop::stop);
            }
            w.driving(false, || el.run())
        }
        "EventLoop::run_until" => {
            let (resolver, deferred) = Deferred::new();
            el.call_soon(move |_| resolver.succeed(5));
            match w.driving(false, || el.run_until(deferred)) {
                Ok(_) => Ok(()),
                Err(failure) => failure.downcast::<RunError>().map_or_else(|f| Err(unexpected(w, &f)), Err),
            }
        }
        "EventLoop::block_on" => crate::tasks::block_on(w, el),
        "EventLoop::turn" => {
            let wait = Duration::from_micros([0, 0, 250, 1000][w.below(4) as usize]);
            w.driving(true, || el.turn(Some(wait))).map(drop)
        }
        "EventLoop::run_one" => {
            el.call_soon(|_| {});
            w.driving(false, || el.run_one()).map(drop)
        }
        _ => w.driving(false, || clock.advance(Duration::from_micros(100 * w.below(9)))),
    });
    let state = match answer {
        Some(Ok(()) | Err(RunError::Stopped)) => "ok",
        Some(Err(RunError::Reentrant)) => "re-entrant",
        Some(Err(error)) => return w.broken(format!("{method} answered {error}")),
        None => return,
    };
    // A recorder must not run the loop that it records either.
    let told = state == "re-entrant" && w.stack.borrow().contains(&crate::world::Ctx::Recorder);
    if running != (state == "re-entrant") && !told {
        w.broken(format!("{method} with running = {running} answered {state}"));
    }
    w.hit(method, state);
}

pub(crate) fn unexpected(w: &World, failure: &Failure) -> RunError {
    seen(failure);
    w.broken(format!("run_until failed with {:?}", failure.via()));
    RunError::Stopped
}
