//! Delayed calls: order, changes, the test clock.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ropewalk::{DelayedCall, EventLoop, RunError, TestClock, TimerError};

const MS: Duration = Duration::from_millis(1);

fn test_loop() -> (TestClock, EventLoop) {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
    (clock, event_loop)
}

#[test]
fn equal_deadlines_fire_in_the_order_they_were_armed() {
    let (clock, event_loop) = test_loop();
    let log = Rc::new(RefCell::new(Vec::new()));
    let calls: Vec<DelayedCall> = (0..100)
        .map(|n| {
            let log = log.clone();
            event_loop.call_later(5 * MS, move |_| log.borrow_mut().push(n))
        })
        .collect();
    calls[3].reset(5 * MS).unwrap(); // where it was
    clock.advance(5 * MS).unwrap();
    assert_eq!(*log.borrow(), (0..100).collect::<Vec<i32>>());
}

#[test]
fn a_call_that_is_moved_comes_among_its_equals_from_the_side_on_which_it_stood() {
    let (clock, event_loop) = test_loop();
    let log = Rc::new(RefCell::new(String::new()));
    let arm = |name: char, at: u32| {
        let log = log.clone();
        event_loop.call_at(at * MS, move |_| log.borrow_mut().push(name))
    };
    let (a, b) = (arm('a', 1), arm('b', 2));
    let (c, d) = (arm('c', 5), arm('d', 5));
    let (e, f) = (arm('e', 8), arm('f', 9));
    // Which of two is moved first makes no difference.
    for call in [&b, &a, &f, &e, &d, &c] {
        call.reset(5 * MS).unwrap();
    }
    arm('g', 5);
    clock.jump_by(5 * MS).unwrap();
    assert_eq!(*log.borrow(), "abcdefg");
}

#[test]
fn a_call_can_be_cancelled_reset_and_delayed() {
    let (clock, event_loop) = test_loop();
    let fired = Rc::new(Cell::new(0));
    let arm = |after: Duration| {
        let fired = fired.clone();
        event_loop.call_later(after, move |_| fired.set(fired.get() + 1))
    };
    let cancelled = arm(MS);
    let reset = arm(MS);
    let delayed = arm(MS);
    cancelled.cancel().unwrap();
    assert_eq!(cancelled.cancel(), Err(TimerError::AlreadyCancelled));
    assert_eq!(cancelled.reset(MS), Err(TimerError::AlreadyCancelled));
    reset.reset(3 * MS).unwrap();
    delayed.delay(MS).unwrap();
    assert_eq!(reset.deadline(), Ok(3 * MS));
    assert_eq!(delayed.deadline(), Ok(2 * MS));
    clock.advance(MS).unwrap();
    assert_eq!(fired.get(), 0);
    clock.advance(MS).unwrap();
    assert_eq!(fired.get(), 1);
    assert_eq!(delayed.cancel(), Err(TimerError::AlreadyCalled));
    assert!(!delayed.is_active() && reset.is_active());
    clock.advance(MS).unwrap();
    assert_eq!(fired.get(), 2);
}

#[test]
fn a_due_call_cancelled_or_reset_by_its_neighbour_does_not_run_in_this_batch() {
    let (clock, event_loop) = test_loop();
    let log = Rc::new(RefCell::new(Vec::new()));
    let victims = Rc::new(RefCell::new(Vec::new()));
    let (seen, chosen) = (log.clone(), victims.clone());
    event_loop.call_at(MS, move |_| {
        seen.borrow_mut().push("first");
        let victims: Vec<DelayedCall> = chosen.take();
        victims[0].cancel().unwrap();
        victims[1].reset(MS).unwrap();
    });
    for name in ["cancelled", "reset"] {
        let seen = log.clone();
        let call = event_loop.call_at(MS, move |_| seen.borrow_mut().push(name));
        victims.borrow_mut().push(call);
    }
    clock.advance(MS).unwrap();
    assert_eq!(*log.borrow(), ["first"]);
    clock.advance(MS).unwrap();
    assert_eq!(*log.borrow(), ["first", "reset"]);
}

#[test]
fn advance_steps_through_deadlines_in_order_and_tells_scheduled_times() {
    let (clock, event_loop) = test_loop();
    let log = Rc::new(RefCell::new(Vec::new()));
    fn tick(event_loop: &EventLoop, log: Rc<RefCell<Vec<u128>>>) {
        let at = event_loop.scheduled_time().unwrap();
        assert_eq!(event_loop.time(), at);
        log.borrow_mut().push(at.as_millis());
        event_loop.call_at(at + 10 * MS, move |event_loop| tick(event_loop, log));
    }
    let shared = log.clone();
    event_loop.call_later(10 * MS, move |event_loop| tick(event_loop, shared));
    assert!(event_loop.scheduled_time().is_none());
    clock.advance(45 * MS).unwrap();
    assert_eq!(*log.borrow(), [10, 20, 30, 40]);
    assert_eq!(clock.now(), 45 * MS);
    assert_eq!(event_loop.time(), 45 * MS);
}

#[test]
fn run_on_a_test_clock_jumps_to_the_deadlines() {
    let (clock, event_loop) = test_loop();
    event_loop.call_later(Duration::from_secs(3600), |event_loop| event_loop.stop());
    event_loop.run().unwrap();
    assert_eq!(clock.now(), Duration::from_secs(3600));
}

#[test]
fn a_call_armed_by_a_timer_with_no_delay_waits_for_the_next_turn() {
    let (_clock, event_loop) = test_loop();
    let fired = Rc::new(Cell::new(false));
    let inner = fired.clone();
    event_loop.call_later(Duration::ZERO, move |event_loop| {
        event_loop.call_later(Duration::ZERO, move |_| inner.set(true));
    });
    event_loop.turn(None).unwrap();
    assert!(!fired.get());
    event_loop.turn(None).unwrap();
    assert!(fired.get());
}

#[test]
fn dropping_a_delayed_call_does_not_cancel_it_and_real_time_passes() {
    let event_loop = EventLoop::new().unwrap();
    let start = std::time::Instant::now();
    drop(event_loop.call_later(3 * MS, |event_loop| event_loop.stop()));
    event_loop.run().unwrap();
    assert!(start.elapsed() >= 3 * MS);
}

#[test]
fn a_call_is_not_active_while_it_runs() {
    let (clock, event_loop) = test_loop();
    let own = Rc::new(RefCell::new(None::<DelayedCall>));
    let seen = own.clone();
    let checked = Rc::new(Cell::new(false));
    let done = checked.clone();
    let call = event_loop.call_later(MS, move |_| {
        let call = seen.take().unwrap();
        assert!(!call.is_active());
        assert_eq!(call.cancel(), Err(TimerError::AlreadyCalled));
        done.set(true);
    });
    *own.borrow_mut() = Some(call);
    clock.advance(MS).unwrap();
    assert!(checked.get());
}

type Log = Rc<RefCell<Vec<String>>>;

/// A log of texts, and a way to arm a call that writes one with the time it sees.
fn logger(event_loop: &EventLoop) -> (Log, impl Fn(&str, Duration) -> DelayedCall + use<>) {
    let log = Rc::new(RefCell::new(Vec::new()));
    let (sink, handle) = (log.clone(), event_loop.handle());
    let arm = move |name: &str, delay: Duration| {
        let (sink, name) = (sink.clone(), name.to_owned());
        let call = handle.call_later(delay, move |event_loop| {
            sink.borrow_mut().push(format!("{name} at {}", event_loop.time().as_millis()));
        });
        call.unwrap()
    };
    (log, arm)
}

#[test]
fn a_jump_shows_every_call_the_final_time_and_runs_what_the_calls_arm() {
    let (clock, event_loop) = test_loop();
    let (log, arm) = logger(&event_loop);
    let arm = Rc::new(arm);
    let again = arm.clone();
    event_loop.call_later(MS, move |_| drop((again("due at once", Duration::ZERO), again("not yet", MS))));
    arm("b", 2 * MS);
    clock.jump_by(5 * MS).unwrap();
    assert_eq!(*log.borrow(), ["b at 5", "due at once at 5"]);
    clock.jump_by(MS).unwrap();
    assert_eq!(log.borrow().last().unwrap(), "not yet at 6");
}

#[test]
fn a_call_moved_during_a_jump_runs_in_its_new_place() {
    let (clock, event_loop) = test_loop();
    let (log, arm) = logger(&event_loop);
    let (b, c, d) = (arm("b", 2 * MS), arm("c", 3 * MS), arm("d", 4 * MS));
    event_loop.call_later(MS, move |_| {
        c.reset_at(MS).unwrap();
        b.reset(Duration::ZERO).unwrap();
        d.cancel().unwrap();
    });
    arm("e", 4 * MS);
    clock.jump_by(9 * MS).unwrap();
    assert_eq!(*log.borrow(), ["c at 9", "e at 9", "b at 9"]);
}

#[test]
fn a_jump_from_inside_a_call_runs_what_becomes_due_inside_it() {
    let (clock, event_loop) = test_loop();
    let (log, arm) = logger(&event_loop);
    arm("b", 2 * MS);
    arm("c", 3 * MS);
    let (inner, sink) = (clock.clone(), log.clone());
    event_loop.call_later(MS, move |event_loop| {
        sink.borrow_mut().push("before".into());
        inner.jump_by(MS).unwrap();
        sink.borrow_mut()
            .push(format!("after, scheduled for {}", event_loop.scheduled_time().unwrap().as_millis()));
    });
    clock.advance(10 * MS).unwrap();
    assert_eq!(*log.borrow(), ["before", "b at 2", "after, scheduled for 1", "c at 3"]);
}

#[test]
fn a_jump_from_inside_run_one_leaves_it_one_callback() {
    let (clock, event_loop) = test_loop();
    let (log, arm) = logger(&event_loop);
    let inner = clock.clone();
    event_loop.call_soon(move |_| inner.jump_by(MS).unwrap());
    event_loop.call_soon(|event_loop| event_loop.stop());
    arm("a", MS);
    arm("b", MS);
    assert!(event_loop.run_one().unwrap());
    assert_eq!(*log.borrow(), ["a at 1", "b at 1"]);
    assert!(!event_loop.is_stopping());
}

#[test]
fn a_panic_in_a_jump_inside_a_call_harms_neither_the_others_nor_the_call() {
    let (clock, event_loop) = test_loop();
    let (log, arm) = logger(&event_loop);
    let (inner, sink) = (clock.clone(), log.clone());
    event_loop.call_later(MS, move |_| {
        inner.jump_by(5 * MS).unwrap();
        sink.borrow_mut().push("after".into());
    });
    event_loop.call_later(2 * MS, |_| std::panic::resume_unwind(Box::new("deliberate")));
    arm("c", 3 * MS);
    clock.advance(MS).unwrap();
    assert_eq!(*log.borrow(), ["c at 6", "after"]);
}

#[test]
fn a_test_clock_over_work_for_ever_fails_and_does_not_hang() {
    fn again(event_loop: &EventLoop, count: Rc<Cell<u32>>) {
        event_loop.call_soon(move |event_loop| {
            count.set(count.get() + 1);
            again(event_loop, count);
        });
    }
    let (clock, event_loop) = test_loop();
    let count = Rc::new(Cell::new(0));
    again(&event_loop, count.clone());
    let error = clock.advance(Duration::from_secs(1)).unwrap_err();
    assert!(matches!(error, RunError::Unsettled(turns) if turns == count.get()), "{error}");
    assert!(error.to_string().contains("queues itself again"), "{error}");
}
