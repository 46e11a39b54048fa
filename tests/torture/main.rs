//! Everything calls everything: callbacks, steps, cancellers, tasks, wakers, `Drop`s, recorders, hooks and the logger call
//! every public method, in random order, 200,000 times.
//!
//! What must hold: no panic of the library's own (a double borrow is one); a callback runs at most once, and never
//! after it was called off; a task is polled when it was woken, and only then; what is added to a batch while it runs is not in it; a run inside a run is an error value;
//! what is owed is called; no failure is lost; nothing is left at the end. And the table of method x state x calling
//! context has no empty cell but those that cannot exist.
//!
//! `ROPEWALK_SEED=n` and `ROPEWALK_STEPS=n` choose another walk; `-- --nocapture` shows the table.

mod acts;
mod chains;
mod family;
mod futures;
mod moves;
mod table;
mod tasks;
mod world;

use ropewalk::{EventLoop, Interest, PanicPolicy, TestClock, set_unhandled_hook, trace};
use std::cell::Cell;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;
use world::{Ctx, LOST, Message, Noise, World, enter, set_world};

/// What the library's own panics said.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A logger that calls back.
struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        let Some(w) = world::try_world() else { return };
        let before = w.logging.replace(true);
        drop(record.args().to_string());
        w.logging.set(before);
        drop(catch_unwind(AssertUnwindSafe(|| enter(Ctx::Logger))));
    }
    fn flush(&self) {}
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The open descriptors, by what they are.
fn descriptors() -> Vec<String> {
    let open = std::fs::read_dir("/proc/self/fd").expect("a /proc");
    let mut list: Vec<String> = open
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .collect();
    list.sort();
    list
}

#[test]
fn everything_calls_everything() {
    log::set_logger(&Logger).expect("the first logger");
    log::set_max_level(log::LevelFilter::Warn);
    std::panic::set_hook(Box::new(|info| {
        let mut panics = PANICS.lock().unwrap();
        if panics.is_empty() {
            // Said at once: a second one while this unwinds ends the process.
            let _ = writeln!(std::io::stderr(), "{info}");
        }
        panics.push(info.to_string());
    }));
    let steps = number("ROPEWALK_STEPS", 200_000);
    let seed = number("ROPEWALK_SEED", 20);
    let before = descriptors();

    let first = EventLoop::new().expect("descriptors");
    let w = Rc::new(World::new(seed, first.handle(), TestClock::new()));
    drop(first);
    set_world(Some(w.clone()));
    set_unhandled_hook(Some(chains::hook()));
    let mut generation = 0;
    // A cell that chance has left out so far is given more time. Looked at now and then: the table is long.
    let full = |generation: u64| generation.is_multiple_of(16) && table::fill(&w).1.is_empty();
    let enough = |generation| steps < 200_000 || w.steps.get() >= 3 * steps || full(generation);
    // One finding is enough: the walk to it can be taken again.
    let whole =
        || w.broken.borrow().is_empty() && PANICS.lock().unwrap().is_empty() && LOST.load(Ordering::Relaxed) == 0;
    while whole() && (w.steps.get() < steps || !enough(generation)) {
        generation += 1;
        live(&w, generation);
    }

    // The end: nothing acts any more, and every pool lets go.
    w.budget.set(0);
    w.clear();
    set_unhandled_hook(None);
    for ticket in w.chains_owed.take() {
        if ticket.ran.get() != 1 {
            w.broken(format!("a chain that was fired or abandoned ran {} times", ticket.ran.get()));
            break;
        }
    }
    set_world(None);
    drop(std::panic::take_hook());

    let panics = std::mem::take(&mut *PANICS.lock().unwrap());
    assert!(panics.is_empty(), "{} panics that nobody asked for, the first: {}", panics.len(), panics[0]);
    let broken = w.broken.take();
    assert!(broken.is_empty(), "{} rules broken, the first: {:#?}", broken.len(), &broken[..broken.len().min(5)]);
    assert_eq!(LOST.load(Ordering::Relaxed), 0, "failures that were dropped unseen");
    let missing = table::print(&w, generation);
    assert_eq!(descriptors(), before, "descriptors left");
    if steps >= 200_000 {
        assert!(missing.is_empty(), "cells never hit: {missing:#?}");
    }
}

/// The life of one loop: acts and drives by turns, a quiet time in which everything owed must come, and its end.
fn live(w: &Rc<World>, generation: u64) {
    let clock = TestClock::new();
    let policy = if generation % 5 == 4 { PanicPolicy::ResumeUnwind } else { PanicPolicy::Report };
    let event_loop = EventLoop::builder()
        .clock(&clock)
        .panic_policy(policy)
        .portable_wait(generation % 2 == 1)
        .mailbox_limit(6)
        .build()
        .expect("descriptors");
    w.handle.replace(event_loop.handle());
    w.clock.replace(clock.clone());
    for round in 0..40 {
        w.budget.set(120);
        outside(|| enter(Ctx::Outside));
        w.budget.set(w.budget.get().max(40));
        let method = match w.below(16) {
            0 | 4 if round > 4 => "EventLoop::run",
            1 if round > 4 => "EventLoop::run_until",
            2 => "EventLoop::run_one",
            5 if round > 4 => "EventLoop::block_on",
            3 => "TestClock::advance",
            _ => "EventLoop::turn",
        };
        let driven = || outside(|| moves::drive(w, method));
        if w.one_in(3) {
            trace::record_with(chains::Listener, driven);
        } else {
            driven();
        }
    }
    quiet(w, &event_loop, &clock);
    for cancelled in [false, true, false, true] {
        let resolver = moves::remote_deferred(w, cancelled).expect("a loop that lives");
        w.remote_resolvers.put(w, resolver);
    }
    w.tasks.fall_asleep(w);
    w.budget.set(300);
    w.loop_dropping.set(true);
    outside(|| drop(event_loop));
    w.loop_dropping.set(false);
    w.budget.set(0);
    w.retire();
}

/// Nothing acts: what is owed must come, and what is ready must be served.
fn quiet(w: &Rc<World>, event_loop: &EventLoop, clock: &TestClock) {
    w.budget.set(0);
    let settle = || {
        for _ in 0..3 {
            outside(|| drop(clock.advance(Duration::from_secs(1))));
        }
    };
    settle();
    for ticket in w.owed.take() {
        if ticket.ran.get() == 0 && !ticket.called_off.get() {
            w.broken(format!("a {} callback was never called", ticket.what));
        }
    }
    w.tasks.check_quiet(w);
    for sender in w.senders.all() {
        let (serial, ticket) = (w.next_serial(), w.ticket("message", true));
        w.posted.borrow_mut().insert(serial, ticket.clone());
        // A channel whose callback panicked is closed; any other must deliver.
        let sent = sender.try_send(Message(serial, Noise));
        settle();
        if sent.is_ok() && ticket.ran.get() == 0 {
            w.broken("a message that was taken was not delivered".to_owned());
        }
    }
    for source in w.sources.all() {
        let Some(peer) = source.peer.borrow_mut().take() else { continue };
        if event_loop.set_interest(source.id, Interest::READ).is_err() {
            continue;
        }
        source.ticket.paused.set(false);
        let ran = source.ticket.ran.get();
        // Its buffer may be full of what nobody read; then it is readable anyway.
        let _ = (&peer).write(b"served?");
        outside(|| drop(event_loop.turn(Some(Duration::ZERO))));
        outside(|| drop(event_loop.turn(Some(Duration::ZERO))));
        if source.ticket.ran.get() == ran {
            w.broken("a source with data and interest was not served".to_owned());
        }
    }
    // A loop that was stopped or left in the middle of a panic runs again all the same.
    let ran = Rc::new(Cell::new(false));
    let told = ran.clone();
    for _ in 0..3 {
        let told = told.clone();
        event_loop.call_soon(move |event_loop| {
            told.set(true);
            event_loop.stop();
        });
        outside(|| drop(event_loop.run()));
    }
    if !ran.get() {
        w.broken("a loop did not run again".to_owned());
    }
    settle();
}

/// Runs what may end in one of the test's own panics.
fn outside(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        // Others have been noted by the panic hook.
        drop(payload);
    }
}
