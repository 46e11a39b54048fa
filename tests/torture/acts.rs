//! What a callback may do: every public method, each with the states in which it can find its object.

use crate::chains::CHAIN_METHODS;
use crate::family::FAMILY_METHODS;
use crate::moves::{
    add_trigger, arm, call_soon, change, drive, post, register, remote_deferred, remove, remove_in_use, send,
    some_handle, some_remote_resolver, soon, timer_state,
};
use crate::table::impossible;
use crate::tasks::TASK_METHODS;
use crate::world::{Ctx, Message, Noise, Token, World, enter, enter_with, world};
use ropewalk::{EventLoop, Interest};
use std::rc::Rc;
use std::time::Duration;

pub(crate) struct Method {
    pub(crate) name: &'static str,
    /// What it may find or answer.
    pub(crate) states: &'static [&'static str],
    /// Whether it needs a loop that lives.
    pub(crate) needs_loop: bool,
    pub(crate) act: fn(&World),
}

const fn on_loop(name: &'static str, states: &'static [&'static str], act: fn(&World)) -> Method {
    Method { name, states, needs_loop: true, act }
}

/// A method that can be called without a loop, too.
pub(crate) const fn free(name: &'static str, states: &'static [&'static str], act: fn(&World)) -> Method {
    Method { name, states, needs_loop: false, act }
}

const TIMER: &[&str] = &["ok", "called", "cancelled", "closed"];

pub(crate) static LOOP_METHODS: &[Method] = &[
    on_loop("EventLoop::call_soon", &["ok"], |w| {
        call_soon(w);
    }),
    on_loop("EventLoop::call_later", &["ok"], |w| arm(w, "EventLoop::call_later")),
    on_loop("EventLoop::call_at", &["ok"], |w| arm(w, "EventLoop::call_at")),
    on_loop("EventLoop::time", &["ok"], |w| {
        w.with_loop(|el| el.time());
        w.hit("EventLoop::time", "ok");
    }),
    on_loop("EventLoop::scheduled_time", &["some", "none"], |w| {
        let some = w.with_loop(|el| el.scheduled_time().is_some()) == Some(true);
        w.hit("EventLoop::scheduled_time", if some { "some" } else { "none" });
    }),
    on_loop("EventLoop::run", &["ok", "re-entrant"], |w| drive(w, "EventLoop::run")),
    on_loop("EventLoop::run_until", &["ok", "re-entrant"], |w| drive(w, "EventLoop::run_until")),
    on_loop("EventLoop::turn", &["ok", "re-entrant"], |w| drive(w, "EventLoop::turn")),
    on_loop("EventLoop::run_one", &["ok", "re-entrant"], |w| drive(w, "EventLoop::run_one")),
    on_loop("TestClock::advance", &["ok", "re-entrant"], |w| drive(w, "TestClock::advance")),
    on_loop("TestClock::jump_by", &["ok"], |w| {
        let clock = w.clock.borrow().clone();
        // It runs what its calls arm, so batches cannot be told apart any more. It nests as deep as it is called.
        w.turn.set(0);
        match w.driving(false, || clock.jump_by(Duration::from_micros(100 * w.below(9)))) {
            Ok(()) => w.hit("TestClock::jump_by", "ok"),
            // The loop that is recorded, which does not run yet.
            Err(ropewalk::RunError::Reentrant) if w.stack.borrow().contains(&Ctx::Recorder) => {}
            Err(error) => w.broken(format!("TestClock::jump_by answered {error}")),
        }
    }),
    on_loop("EventLoop::stop", &["ok"], |w| {
        w.with_loop(EventLoop::stop);
        w.hit("EventLoop::stop", "ok");
    }),
    on_loop("EventLoop::is_stopping", &["ok"], |w| {
        w.with_loop(EventLoop::is_stopping);
        w.hit("EventLoop::is_stopping", "ok");
    }),
    on_loop("EventLoop::register", &["ok", "always ready", "duplicate"], register),
    on_loop("EventLoop::with_source", &["ok", "gone"], |w| {
        let Some(source) = w.sources.peek(w) else { return };
        let lent = || {
            enter_with(Ctx::Lent, |w| {
                if !w.running.get() && w.one_in(2) {
                    drive(w, ["EventLoop::turn", "EventLoop::run", "TestClock::advance"][w.below(3) as usize]);
                }
            });
        };
        let ok = w.with_loop(|el| el.with_source(source.id, |_| w.using(&source, lent)).is_ok()) == Some(true);
        w.hit("EventLoop::with_source", if ok { "ok" } else { "gone" });
    }),
    on_loop("EventLoop::set_interest", &["ok", "gone"], |w| {
        let Some(source) = w.sources.peek(w) else { return };
        let interest = [Interest::NONE, Interest::READ, Interest::WRITE, Interest::BOTH][w.below(4) as usize];
        // Noted first: the recorder hears of it inside the call, and may change it again.
        source.ticket.paused.set(interest.is_none());
        let ok = w.with_loop(|el| el.set_interest(source.id, interest).is_ok()) == Some(true);
        w.hit("EventLoop::set_interest", if ok { "ok" } else { "gone" });
    }),
    on_loop("EventLoop::interest", &["ok", "gone"], |w| {
        let Some(source) = w.sources.peek(w) else { return };
        let ok = w.with_loop(|el| el.interest(source.id).is_ok()) == Some(true);
        w.hit("EventLoop::interest", if ok { "ok" } else { "gone" });
    }),
    on_loop("EventLoop::pause", &["ok", "gone"], |w| {
        let Some(source) = w.sources.peek(w) else { return };
        source.ticket.paused.set(true);
        let ok = w.with_loop(|el| el.pause(source.id).is_ok()) == Some(true);
        w.hit("EventLoop::pause", if ok { "ok" } else { "gone" });
    }),
    on_loop("EventLoop::resume", &["ok", "gone"], |w| {
        let Some(source) = w.sources.peek(w) else { return };
        source.ticket.paused.set(false);
        let ok = w.with_loop(|el| el.resume(source.id).is_ok()) == Some(true);
        w.hit("EventLoop::resume", if ok { "ok" } else { "gone" });
    }),
    on_loop("EventLoop::remove", &["now", "after callback", "gone"], remove),
    on_loop("EventLoop::is_registered", &["yes", "no"], |w| {
        let Some(source) = w.sources.peek(w) else { return };
        let yes = w.with_loop(|el| el.is_registered(source.id)) == Some(true);
        w.hit("EventLoop::is_registered", if yes { "yes" } else { "no" });
    }),
    on_loop("EventLoop::name_source", &["ok", "gone"], |w| {
        let Some(source) = w.sources.peek(w) else { return };
        let ok = w.with_loop(|el| el.name_source(source.id, "named").is_ok()) == Some(true);
        w.hit("EventLoop::name_source", if ok { "ok" } else { "gone" });
    }),
    on_loop("EventLoop::call_when_running", &["now", "later"], |w| {
        let ticket = w.ticket("call_when_running", true);
        let (mine, noise) = (ticket.clone(), Noise);
        w.with_loop(|el| {
            el.call_when_running(move |_| {
                let (w, _noise) = (world(), noise);
                mine.run(&w, Ctx::Trigger);
            });
        });
        w.hit("EventLoop::call_when_running", if ticket.ran.get() > 0 { "now" } else { "later" });
    }),
    on_loop("EventLoop::add_system_event_trigger", &["ok"], add_trigger),
    on_loop("EventLoop::remove_trigger", &["yes", "no"], |w| {
        let Some((id, ticket)) = w.triggers.peek(w) else { return };
        let yes = w.with_loop(|el| el.remove_trigger(id)) == Some(true);
        ticket.called_off.set(ticket.called_off.get() || yes);
        w.hit("EventLoop::remove_trigger", if yes { "yes" } else { "no" });
    }),
    on_loop("EventLoop::still_registered", &["ok"], |w| {
        let text = w.with_loop(|el| el.still_registered().iter().map(|r| r.to_string()).collect::<String>());
        drop(text);
        w.hit("EventLoop::still_registered", "ok");
    }),
    on_loop("EventLoop: Debug", &["ok"], |w| {
        w.with_loop(|el| format!("{el:?}"));
        w.hit("EventLoop: Debug", "ok");
    }),
    on_loop("EventLoop::handle", &["ok"], |w| {
        if let Some(handle) = w.with_loop(EventLoop::handle) {
            w.handles.put(w, handle);
        }
        w.hit("EventLoop::handle", "ok");
    }),
    on_loop("EventLoop::remote", &["ok"], |w| {
        if let Some(remote) = w.with_loop(EventLoop::remote) {
            w.remotes.put(w, Rc::new(remote));
        }
        w.hit("EventLoop::remote", "ok");
    }),
    on_loop("EventLoop::channel", &["ok"], |w| {
        let noise = Noise;
        let sender = w.with_loop(|el| {
            el.channel(3, move |_, message: Message| {
                let (w, _noise) = (world(), &noise);
                let ticket = w.posted.borrow_mut().remove(&message.0);
                if let Some(ticket) = ticket {
                    ticket.run(&w, Ctx::Receive);
                }
                enter(Ctx::Receive);
                w.maybe_panic();
            })
        });
        if let Some(sender) = sender {
            w.senders.put(w, sender);
        }
        w.hit("EventLoop::channel", "ok");
    }),
    on_loop("EventLoop::remote_deferred", &["ok"], |w| {
        let Some(resolver) = remote_deferred(w, w.one_in(2)) else { return };
        if w.one_in(3) {
            resolver.succeed(3);
        } else {
            w.remote_resolvers.put(w, resolver);
        }
        w.hit("EventLoop::remote_deferred", "ok");
    }),
    on_loop("EventLoop::new", &["ok"], |w| {
        // A second loop, of its own: a callback may well make one, drive it and drop it.
        if let Ok(second) = EventLoop::new() {
            second.call_soon(|_| {});
            assert!(matches!(second.turn(Some(Duration::ZERO)), Ok(1)));
        }
        w.hit("EventLoop::new", "ok");
    }),
    free("Handle::with", &["ok", "closed"], |w| {
        let ok = some_handle(w).with(|_| ()).is_ok();
        w.hit("Handle::with", if ok { "ok" } else { "closed" });
    }),
    free("Handle::call_soon", &["ok", "closed"], |w| {
        let handle = some_handle(w);
        let ticket = w.ticket("soon", true);
        let ok = handle.call_soon(soon(ticket.clone())).is_ok();
        if ok {
            w.owe(ticket);
        }
        w.hit("Handle::call_soon", if ok { "ok" } else { "closed" });
    }),
    free("Handle::call_later", &["ok", "closed"], |w| {
        let ok = some_handle(w).call_later(Duration::from_micros(w.below(900)), |_| enter(Ctx::Timer)).is_ok();
        w.hit("Handle::call_later", if ok { "ok" } else { "closed" });
    }),
    free("Handle::call_at", &["ok", "closed"], |w| {
        let ok = some_handle(w).call_at(Duration::from_micros(w.below(900)), |_| enter(Ctx::Timer)).is_ok();
        w.hit("Handle::call_at", if ok { "ok" } else { "closed" });
    }),
    free("Handle::time", &["ok", "closed"], |w| {
        let ok = some_handle(w).time().is_ok();
        w.hit("Handle::time", if ok { "ok" } else { "closed" });
    }),
    free("Handle::stop", &["ok", "closed"], |w| {
        let ok = some_handle(w).stop().is_ok();
        w.hit("Handle::stop", if ok { "ok" } else { "closed" });
    }),
    free("Handle::remote", &["ok", "closed"], |w| {
        let ok = some_handle(w).remote().is_ok();
        w.hit("Handle::remote", if ok { "ok" } else { "closed" });
    }),
    free("Handle: clone, Debug, is_closed, drop", &["open", "closed"], |w| {
        let Some(handle) = w.handles.peek(w) else { return };
        let _ = format!("{:?}", handle.clone());
        w.hit("Handle: clone, Debug, is_closed, drop", if handle.is_closed() { "closed" } else { "open" });
    }),
    free("Remote::post", &["ok", "full", "closed"], post),
    free("Remote::stop", &["open", "closed"], |w| {
        let Some(remote) = w.remotes.peek(w) else { return };
        remote.stop();
        w.hit("Remote::stop", if remote.is_closed() { "closed" } else { "open" });
    }),
    free("Remote: clone, Debug, is_closed, drop", &["open", "closed"], |w| {
        let Some(remote) = w.remotes.peek(w) else { return };
        let second = (*remote).clone();
        let _ = format!("{second:?}");
        w.hit("Remote: clone, Debug, is_closed, drop", if second.is_closed() { "closed" } else { "open" });
    }),
    free("Sender::try_send", &["ok", "full", "closed"], |w| send(w, "Sender::try_send")),
    free("Sender::send", &["ok", "full", "closed"], |w| send(w, "Sender::send")),
    free("Sender: clone, Debug, drop", &["ok"], |w| {
        let Some(sender) = w.senders.take(w) else { return };
        let _ = format!("{:?}", sender.clone());
        w.hit("Sender: clone, Debug, drop", "ok");
    }),
    free("RemoteResolver::fire", &["ok", "cancelled"], |w| {
        let Some(resolver) = some_remote_resolver(w) else { return };
        let _ = format!("{resolver:?}");
        let state = if resolver.is_cancelled() { "cancelled" } else { "ok" };
        match w.below(3) {
            0 => resolver.succeed(1),
            1 => resolver.fail(Token::swallowable()),
            _ => resolver.fire(Ok(2)),
        }
        w.hit("RemoteResolver::fire", state);
    }),
    free("RemoteResolver: drop", &["ok", "cancelled"], |w| {
        let Some(resolver) = some_remote_resolver(w) else { return };
        let state = if resolver.is_cancelled() { "cancelled" } else { "ok" };
        drop(resolver);
        w.hit("RemoteResolver: drop", state);
    }),
    free("DelayedCall::cancel", TIMER, |w| {
        let Some((call, ticket)) = w.timers.peek(w) else { return };
        // Marked first: its Drop may run everything.
        let (active, before) = (call.is_active(), ticket.called_off.get());
        ticket.called_off.set(before || active);
        let answer = call.cancel();
        if answer.is_err() && active {
            w.broken(format!("an active timer could not be cancelled: {answer:?}"));
        }
        w.hit("DelayedCall::cancel", timer_state(answer));
    }),
    free("DelayedCall::reset", TIMER, |w| change(w, "DelayedCall::reset")),
    free("DelayedCall::delay", TIMER, |w| change(w, "DelayedCall::delay")),
    free("DelayedCall::reset_at", TIMER, |w| change(w, "DelayedCall::reset_at")),
    free("DelayedCall::deadline", TIMER, |w| {
        let Some((call, _)) = w.timers.peek(w) else { return };
        w.hit("DelayedCall::deadline", timer_state(call.deadline().map(drop)));
    }),
    free("DelayedCall::is_active", &["yes", "no"], |w| {
        let Some((call, _)) = w.timers.peek(w) else { return };
        w.hit("DelayedCall::is_active", if call.is_active() { "yes" } else { "no" });
    }),
    free("DelayedCall: named, Debug, drop", &["ok"], |w| {
        let Some((call, _)) = w.timers.take(w) else { return };
        let _ = format!("{call:?}");
        if let Ok(call) = Rc::try_unwrap(call) {
            drop(call.named("late"));
        }
        w.hit("DelayedCall: named, Debug, drop", "ok");
    }),
];

pub(crate) fn methods() -> impl Iterator<Item = &'static Method> {
    LOOP_METHODS.iter().chain(CHAIN_METHODS).chain(TASK_METHODS).chain(FAMILY_METHODS)
}

/// Each method with each state that it may find.
pub(crate) fn rows() -> impl Iterator<Item = (&'static Method, &'static str)> {
    methods().flat_map(|method| method.states.iter().map(move |&state| (method, state)))
}

thread_local! {
    static ROWS: Vec<(&'static Method, &'static str)> = rows().collect();
}

/// Calls one method: of a few drawn rows of the table that which was hit least from here.
pub(crate) fn act(w: &World) {
    if w.budget.get() == 0 {
        return;
    }
    w.budget.set(w.budget.get() - 1);
    w.steps.set(w.steps.get() + 1);
    let ctx = w.ctx();
    w.by_context.borrow_mut()[ctx as usize] += 1;
    if ctx.is_loop_callback() && ctx != Ctx::Ready && !w.in_use.borrow().is_empty() && w.one_in(3) {
        return remove_in_use(w); // a rare meeting: somebody lent a source and drove the loop meanwhile
    }
    if crate::tasks::meeting(w, ctx) {
        return;
    }
    let drawn = ROWS.with(|rows| {
        let drawn = (0..6).map(|_| w.below(rows.len() as u64) as usize);
        let can_be = drawn.filter(|&i| impossible(rows[i].0, rows[i].1, ctx).is_none());
        let hits = w.hits.borrow();
        // What was tried often in vain gives way, too.
        let weight = |i: usize| {
            let (method, state) = rows[i];
            let hit = hits.get(&(method.name, state)).map_or(0, |row| row[ctx as usize]);
            hit * 4 + w.tried.borrow()[i][ctx as usize]
        };
        can_be.min_by_key(|&i| weight(i)).map(|i| (i, rows[i].0, rows[i].1))
    });
    let Some((i, method, state)) = drawn else { return };
    w.tried.borrow_mut()[i][ctx as usize] += 1;
    let before = w.want.replace(state);
    (method.act)(w);
    w.want.set(before);
}
