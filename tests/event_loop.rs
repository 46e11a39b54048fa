//! The order of a turn, running and stopping, and what a panic does.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ropewalk::{Deferred, EventLoop, Failure, PanicPolicy, Phase, RunError, SystemEvent, TestClock};

type Log = Rc<RefCell<Vec<&'static str>>>;

type Call = Box<dyn FnOnce(&EventLoop)>;

fn log() -> (Log, impl Fn(&'static str) -> Call) {
    let log = Log::default();
    let shared = log.clone();
    let entry = move |text| -> Call {
        let log = shared.clone();
        Box::new(move |_| log.borrow_mut().push(text))
    };
    (log, entry)
}

#[test]
fn soon_calls_run_in_order_and_those_added_meanwhile_in_the_next_turn() {
    let event_loop = EventLoop::new().unwrap();
    let (log, say) = log();
    event_loop.call_soon(say("a"));
    let inner = say("c");
    event_loop.call_soon(move |event_loop| event_loop.call_soon(inner));
    event_loop.call_soon(say("b"));
    assert_eq!(event_loop.turn(None).unwrap(), 3);
    assert_eq!(*log.borrow(), ["a", "b"]);
    assert_eq!(event_loop.turn(None).unwrap(), 1);
    assert_eq!(*log.borrow(), ["a", "b", "c"]);
}

#[test]
fn a_turn_runs_soon_then_mail_then_sources_then_timers() {
    use std::io::Write;
    let event_loop = EventLoop::new().unwrap();
    let (log, say) = log();
    let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    theirs.write_all(b"x").unwrap();
    let seen = log.clone();
    event_loop.register(ours, ropewalk::Interest::READ, move |_, _, _| seen.borrow_mut().push("source")).unwrap();
    event_loop.call_later(Duration::ZERO, say("timer"));
    let remote = event_loop.remote();
    let key = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let posted = key.clone();
    remote.post(move |_| posted.lock().unwrap().push("mail")).unwrap();
    let (mail, order) = (key.clone(), log.clone());
    event_loop.call_soon(move |_| {
        assert!(mail.lock().unwrap().is_empty());
        order.borrow_mut().push("soon");
    });
    assert_eq!(event_loop.turn(None).unwrap(), 4);
    assert_eq!(*log.borrow(), ["soon", "source", "timer"]);
    assert_eq!(*key.lock().unwrap(), ["mail"]);
}

#[test]
fn run_one_stops_behind_each_callback_and_the_batch_stays() {
    let event_loop = EventLoop::new().unwrap();
    let (log, say) = log();
    for text in ["a", "b", "c"] {
        event_loop.call_soon(say(text));
    }
    event_loop.call_later(Duration::ZERO, say("t1"));
    event_loop.call_later(Duration::ZERO, say("t2"));
    assert!(event_loop.run_one().unwrap());
    assert_eq!(*log.borrow(), ["a"]);
    event_loop.call_soon(say("later"));
    assert!(event_loop.run_one().unwrap());
    assert_eq!(*log.borrow(), ["a", "b"]);
    // The next turn finishes the one at hand, and no more.
    assert_eq!(event_loop.turn(None).unwrap(), 3);
    assert_eq!(*log.borrow(), ["a", "b", "c", "t1", "t2"]);
    assert_eq!(event_loop.turn(None).unwrap(), 1);
    assert!(matches!(event_loop.run_one(), Err(RunError::Idle(None))));
}

#[test]
fn run_one_splits_a_batch_of_due_timers() {
    let event_loop = EventLoop::new().unwrap();
    let (log, say) = log();
    let first = event_loop.call_later(Duration::ZERO, say("one"));
    let second = event_loop.call_later(Duration::ZERO, say("two"));
    event_loop.call_later(Duration::ZERO, say("three"));
    assert!(event_loop.run_one().unwrap());
    assert!(!first.is_active());
    second.cancel().unwrap();
    assert!(event_loop.run_one().unwrap());
    assert_eq!(*log.borrow(), ["one", "three"]);
}

#[test]
fn stop_lets_the_batch_finish_and_the_loop_runs_again() {
    let event_loop = EventLoop::new().unwrap();
    let (log, say) = log();
    event_loop.call_soon(|event_loop| event_loop.stop());
    event_loop.call_soon(say("same batch"));
    event_loop.run().unwrap();
    assert_eq!(*log.borrow(), ["same batch"]);
    event_loop.call_soon(say("second run"));
    event_loop.call_soon(|event_loop| event_loop.stop());
    event_loop.run().unwrap();
    assert_eq!(*log.borrow(), ["same batch", "second run"]);
}

#[test]
fn running_from_inside_a_callback_is_an_error_value() {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
    let tried = Rc::new(Cell::new(0));
    let count = tried.clone();
    event_loop.call_soon(move |event_loop| {
        assert!(matches!(event_loop.run(), Err(RunError::Reentrant)));
        assert!(matches!(event_loop.turn(None), Err(RunError::Reentrant)));
        assert!(matches!(event_loop.run_one(), Err(RunError::Reentrant)));
        assert!(matches!(clock.advance(Duration::ZERO), Err(RunError::Reentrant)));
        let failure = event_loop.run_until(Deferred::succeed(1)).unwrap_err();
        assert!(matches!(failure.check::<RunError>(), Some(RunError::Reentrant)));
        count.set(1);
    });
    event_loop.turn(None).unwrap();
    assert_eq!(tried.get(), 1);
}

#[test]
fn an_idle_loop_says_so_instead_of_hanging() {
    let event_loop = EventLoop::new().unwrap();
    assert!(matches!(event_loop.run(), Err(RunError::Idle(None))));
    assert!(matches!(event_loop.turn(None), Err(RunError::Idle(None))));
    assert_eq!(event_loop.turn(Some(Duration::ZERO)).unwrap(), 0);
    let (resolver, deferred) = Deferred::<()>::new();
    let failure = event_loop.run_until(deferred).unwrap_err();
    let text = failure.to_string();
    assert!(text.contains("tests/event_loop.rs"), "{text}");
    resolver.succeed(());
}

#[test]
fn run_until_answers_the_result_and_finishes_the_turn() {
    let event_loop = EventLoop::new().unwrap();
    let (log, say) = log();
    let (resolver, deferred) = Deferred::new();
    event_loop.call_soon(move |_| resolver.succeed(7));
    event_loop.call_soon(say("same turn"));
    assert_eq!(event_loop.run_until(deferred).unwrap(), 7);
    assert_eq!(*log.borrow(), ["same turn"]);
    let failed = event_loop.run_until(Deferred::<i32>::fail(Failure::msg("no"))).unwrap_err();
    assert_eq!(failed.to_string(), "no");
    let (_resolver, never) = Deferred::<()>::new();
    event_loop.call_soon(|event_loop| event_loop.stop());
    let stopped = event_loop.run_until(never).unwrap_err();
    assert!(matches!(stopped.check::<RunError>(), Some(RunError::Stopped)));
}

#[test]
fn triggers_run_once_in_three_phases_and_before_waits_for_its_deferred() {
    let event_loop = EventLoop::new().unwrap();
    let (log, say) = log();
    event_loop.call_when_running(say("running 1"));
    event_loop.call_when_running(say("running 2"));
    event_loop.add_system_event_trigger(Phase::During, SystemEvent::Startup, say("during startup"));
    event_loop.add_system_event_trigger(Phase::After, SystemEvent::Shutdown, say("after"));
    event_loop.add_system_event_trigger(Phase::During, SystemEvent::Shutdown, say("during"));
    let closing = log.clone();
    event_loop.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, move |event_loop| {
        closing.borrow_mut().push("before");
        let (resolver, deferred) = Deferred::new();
        event_loop.call_later(Duration::from_millis(1), move |_| {
            closing.borrow_mut().push("closed");
            resolver.succeed(());
        });
        deferred
    });
    let gone = event_loop.add_system_event_trigger(Phase::During, SystemEvent::Shutdown, say("removed"));
    assert!(event_loop.remove_trigger(gone));
    assert!(!event_loop.remove_trigger(gone));
    event_loop
        .add_system_event_trigger(Phase::During, SystemEvent::Shutdown, |_| -> () { panic!("one trigger fails") });
    event_loop.call_when_running(|event_loop| event_loop.stop());
    event_loop.run().unwrap();
    let expected = ["during startup", "running 1", "running 2", "before", "closed", "during", "after"];
    assert_eq!(*log.borrow(), expected);
    event_loop.call_soon(|event_loop| event_loop.stop());
    event_loop.run().unwrap();
    assert_eq!(log.borrow().len(), expected.len());
}

#[test]
fn one_panicking_callback_is_one_failing_callback() {
    let event_loop = EventLoop::new().unwrap();
    let (log, say) = log();
    event_loop.call_soon(|_| panic!("expected by the test"));
    event_loop.call_soon(say("soon"));
    event_loop.call_later(Duration::ZERO, |_| panic!("expected by the test"));
    event_loop.call_later(Duration::ZERO, say("timer"));
    assert_eq!(event_loop.turn(None).unwrap(), 4);
    assert_eq!(*log.borrow(), ["soon", "timer"]);
}

#[test]
fn the_policy_can_resume_a_panic_after_the_turn() {
    let event_loop = EventLoop::builder().panic_policy(PanicPolicy::ResumeUnwind).build().unwrap();
    let (log, say) = log();
    event_loop.call_soon(|_| panic!("first"));
    event_loop.call_soon(|_| panic!("second"));
    event_loop.call_soon(say("rest"));
    let turned = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| event_loop.turn(None)));
    assert_eq!(*turned.unwrap_err().downcast::<&str>().unwrap(), "first");
    assert_eq!(*log.borrow(), ["rest"]);
    assert_eq!(event_loop.turn(Some(Duration::ZERO)).unwrap(), 0);
}

#[test]
fn a_handle_says_closed_once_the_loop_is_gone() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let remote = event_loop.remote();
    let in_drop = Rc::new(Cell::new(false));
    struct OnDrop(ropewalk::Handle, Rc<Cell<bool>>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.1.set(self.0.call_soon(|_| {}).is_err());
        }
    }
    let guard = OnDrop(handle.clone(), in_drop.clone());
    event_loop.call_soon(move |_| drop(guard));
    let delayed = event_loop.call_later(Duration::from_secs(1), |_| {});
    drop(event_loop);
    assert!(in_drop.get());
    assert!(handle.is_closed());
    assert!(handle.with(|_| ()).is_err());
    assert_eq!(delayed.cancel(), Err(ropewalk::TimerError::Closed));
    assert!(matches!(remote.post(|_| {}), Err(ropewalk::PostError::Closed(_))));
}

#[test]
fn still_registered_names_kinds_and_places() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.call_later(Duration::from_secs(5), |_| {}).named("patience");
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    event_loop.register(ours, ropewalk::Interest::READ, |_, _, _| {}).unwrap();
    let lines: Vec<String> = event_loop.still_registered().iter().map(|r| r.to_string()).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("source (READ), made at tests/event_loop.rs:"), "{}", lines[0]);
    assert!(lines[1].contains("\"patience\"") && lines[1].contains("timer (due at"), "{}", lines[1]);
}

#[test]
fn what_other_threads_hold_may_cross_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<ropewalk::Remote>();
    crosses::<ropewalk::Sender<Vec<u8>>>();
    crosses::<ropewalk::RemoteResolver<Vec<u8>>>();
    fn moves<T: Send>() {}
    moves::<RunError>();
    moves::<ropewalk::PostError<Vec<u8>>>();
    moves::<ropewalk::InsertError<std::net::TcpStream>>();
}

#[test]
fn a_deferred_that_fires_before_the_wait_does_not_wait_for_something_else() {
    let event_loop = EventLoop::new().unwrap();
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    event_loop.register(ours, ropewalk::Interest::READ, |_, _, _| {}).unwrap();
    let (resolver, deferred) = Deferred::new();
    event_loop.call_soon(move |_| resolver.succeed(1));
    assert_eq!(event_loop.run_until(deferred).unwrap(), 1);
}

#[test]
fn a_panic_that_goes_on_leaves_a_loop_that_runs() {
    let event_loop = EventLoop::builder().panic_policy(PanicPolicy::ResumeUnwind).build().unwrap();
    event_loop.call_soon(|event_loop| event_loop.stop());
    event_loop.add_system_event_trigger(Phase::After, SystemEvent::Shutdown, |_| -> () { panic!("last") });
    let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| event_loop.run()));
    assert_eq!(*run.unwrap_err().downcast::<&str>().unwrap(), "last");
    event_loop.call_soon(|event_loop| event_loop.stop());
    event_loop.run().unwrap();
}

#[test]
fn a_stop_does_not_wait_for_a_start_up_that_does_not_end() {
    let event_loop = EventLoop::new().unwrap();
    let (resolver, never) = ropewalk::Deferred::<()>::new();
    event_loop.add_system_event_trigger(Phase::Before, SystemEvent::Startup, move |event_loop| {
        event_loop.call_later(Duration::from_millis(1), |event_loop| event_loop.stop());
        never
    });
    event_loop.run().unwrap();
    drop(resolver);
    // And it can be run again.
    event_loop.call_soon(|event_loop| event_loop.stop());
    event_loop.run().unwrap();
}
