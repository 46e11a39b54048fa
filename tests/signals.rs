//! Signals: told to each loop that listens, stopped cleanly, and back to their default when nobody listens.
//!
//! Signals belong to the process, so what would end it is tried in a process of its own.

use ropewalk::{EventLoop, Phase, SystemEvent, signals};
use std::cell::Cell;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::rc::Rc;

fn raise(signal: i32) {
    signal_hook::low_level::raise(signal).unwrap();
}

#[test]
fn a_registered_signal_calls_its_callback_on_the_loop() {
    let event_loop = EventLoop::new().unwrap();
    let count = Rc::new(Cell::new(0));
    let counter = count.clone();
    let id = event_loop
        .on_signal(signals::SIGHUP, move |event_loop| {
            counter.set(counter.get() + 1);
            event_loop.stop();
        })
        .unwrap();
    event_loop.call_soon(|_| raise(signals::SIGHUP));
    event_loop.run().unwrap();
    event_loop.call_soon(|_| raise(signals::SIGHUP));
    event_loop.run().unwrap();
    assert_eq!(count.get(), 2);
    assert!(event_loop.remove(id).now().is_some());
    assert!(event_loop.still_registered().is_empty());
}

#[test]
fn two_loops_are_told_of_one_signal() {
    let (first, second) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    for event_loop in [&first, &second] {
        event_loop.on_signal(signals::SIGUSR2, |event_loop| event_loop.stop()).unwrap();
    }
    raise(signals::SIGUSR2);
    first.run().unwrap();
    second.run().unwrap();
}

#[test]
fn a_forbidden_signal_is_an_error_that_names_it() {
    let event_loop = EventLoop::new().unwrap();
    let error = event_loop.on_signal(9, |_| {}).unwrap_err();
    assert!(error.to_string().contains("SIGKILL"), "{error}");
    assert!(event_loop.still_registered().is_empty());
}

/// Runs one of the `child_*` functions below in a process of its own, and answers the signal that ended it.
fn child(name: &str) -> (Option<i32>, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env("ROPEWALK_CHILD", name)
        .output()
        .unwrap();
    (output.status.signal(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn is_child(name: &str) -> bool {
    std::env::var("ROPEWALK_CHILD").is_ok_and(|child| child == name)
}

#[test]
fn stop_on_signals_runs_the_shutdown_triggers() {
    let (signal, out) = child("child_stops");
    assert_eq!(signal, None);
    assert!(out.contains("shutdown ran"), "{out}");
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn child_stops() {
    if !is_child("child_stops") {
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    event_loop.stop_on_signals().unwrap();
    event_loop.add_system_event_trigger(Phase::During, SystemEvent::Shutdown, |_| println!("shutdown ran"));
    event_loop.call_soon(|_| raise(signals::SIGTERM));
    event_loop.run().unwrap();
    // And once more: the loop can be run, and stopped, again.
    event_loop.call_soon(|_| raise(signals::SIGINT));
    event_loop.run().unwrap();
}

#[test]
fn a_second_ctrl_c_ends_the_process() {
    assert_eq!(child("child_second").0, Some(signals::SIGINT));
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn child_second() {
    if !is_child("child_second") {
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    event_loop.stop_on_signals().unwrap();
    // A shutdown that never ends.
    let (resolver, never) = ropewalk::Deferred::<()>::new();
    event_loop.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, move |event_loop| {
        event_loop.call_soon(|_| raise(signals::SIGINT));
        never
    });
    event_loop.call_soon(|_| raise(signals::SIGINT));
    event_loop.run().unwrap();
    drop(resolver);
}

#[test]
fn after_the_loop_is_gone_the_signal_acts_as_before() {
    assert_eq!(child("child_after").0, Some(signals::SIGTERM));
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn child_after() {
    if !is_child("child_after") {
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    event_loop.stop_on_signals().unwrap();
    drop(event_loop);
    raise(signals::SIGTERM);
}
