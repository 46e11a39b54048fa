//! `Cooperator`: Twisted's CooperatorTests and RunStateTests, and more.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ropewalk::task::{CooperativeTask, Cooperator, TaskError};
use ropewalk::testing::{assert_no_result, capture_unhandled, failure_of, success_of};
use ropewalk::{AbandonedError, Deferred, DeferredList, EventLoop, Failure, PanicError, Resolver, TestClock};

const MS: Duration = Duration::from_millis(1);

fn test_loop() -> (TestClock, EventLoop) {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
    (clock, event_loop)
}

fn turn(event_loop: &EventLoop) {
    event_loop.turn(Some(Duration::ZERO)).unwrap();
}

fn error_of(d: Deferred<()>) -> Option<TaskError> {
    failure_of(d).check::<TaskError>().copied()
}

// Twisted: CooperatorTests.

#[test]
fn a_stopped_cooperator_takes_no_tasks_until_it_is_started() {
    let (clock, event_loop) = test_loop();
    let cooperator = Cooperator::new(&event_loop);
    assert!(cooperator.is_running());
    cooperator.stop();
    assert!(!cooperator.is_running());
    assert_eq!(error_of(cooperator.coiterate([()].into_iter())), Some(TaskError::SchedulerStopped));
    cooperator.start();
    assert!(cooperator.is_running());
    let d = cooperator.coiterate([()].into_iter());
    clock.advance(Duration::ZERO).unwrap();
    success_of(d);
}

#[test]
fn a_stop_ends_tasks_before_their_next_unit() {
    let (clock, event_loop) = test_loop();
    let cooperator = Cooperator::new(&event_loop);
    let ran = Rc::new(Cell::new(0));
    let count = ran.clone();
    let d = cooperator.coiterate((0..3).map(move |_| count.set(count.get() + 1)));
    cooperator.stop();
    assert_eq!(error_of(d), Some(TaskError::SchedulerStopped));
    clock.advance(Duration::ZERO).unwrap();
    assert_eq!((ran.get(), Rc::strong_count(&ran)), (0, 1));
    assert!(event_loop.still_registered().is_empty());
}

#[test]
fn a_stop_ends_tasks_that_wait_for_a_deferred_too() {
    let (clock, event_loop) = test_loop();
    let cooperator = Cooperator::new(&event_loop);
    let (resolver, outstanding) = Deferred::<i32>::new();
    let d = cooperator.coiterate([outstanding].into_iter());
    clock.advance(Duration::ZERO).unwrap();
    assert_no_result(&d);
    cooperator.stop();
    assert_eq!(error_of(d), Some(TaskError::SchedulerStopped));
    assert!(!resolver.is_cancelled());
    resolver.succeed(1);
}

#[test]
fn an_error_or_a_panic_of_the_iterator_ends_its_task_and_no_other() {
    let (clock, event_loop) = test_loop();
    let cooperator = Cooperator::new(&event_loop);
    let failing = cooperator.coiterate(["1", "x", "3"].into_iter().map(|text| {
        text.parse::<i32>()?;
        Ok(())
    }));
    let line = line!() + 1;
    let panicking = cooperator.coiterate((0..9).map(|n| {
        if n == 2 {
            std::panic::resume_unwind(Box::new("broken"));
        }
    }));
    let other = cooperator.coiterate((0..9).map(drop));
    clock.advance(Duration::ZERO).unwrap();
    assert!(failure_of(failing).check::<std::num::ParseIntError>().is_some());
    let failure = failure_of(panicking);
    assert_eq!(failure.check::<PanicError>().unwrap().registered().line(), line);
    success_of(other);
}

#[test]
fn the_failure_of_a_deferred_ends_the_task_now_or_later() {
    let (clock, event_loop) = test_loop();
    let cooperator = Cooperator::new(&event_loop);
    let now = cooperator.coiterate([Deferred::<()>::fail(Failure::msg("now"))].into_iter());
    let (resolver, outstanding) = Deferred::<()>::new();
    let later = cooperator.coiterate([outstanding].into_iter());
    clock.advance(Duration::ZERO).unwrap();
    assert_eq!(failure_of(now).to_string(), "now");
    assert_no_result(&later);
    resolver.fail(Failure::msg("later"));
    assert_eq!(failure_of(later).to_string(), "later");
}

#[test]
fn tasks_take_turns() {
    let (clock, event_loop) = test_loop();
    let cooperator = Cooperator::new(&event_loop);
    let log = Rc::new(RefCell::new(String::new()));
    let tasks: Vec<_> = ["abc", "123", "def", "456"]
        .map(|text| {
            let log = log.clone();
            cooperator.coiterate(text.chars().map(move |c| log.borrow_mut().push(c)))
        })
        .into();
    let all = DeferredList::new(tasks).start();
    clock.advance(Duration::ZERO).unwrap();
    success_of(all);
    assert_eq!(*log.borrow(), "a1d4b2e5c3f6");
}

#[test]
fn a_slice_ends_when_its_time_is_over_and_the_work_goes_on_in_the_next_turn() {
    let (clock, event_loop) = test_loop();
    let cooperator = Cooperator::new(&event_loop);
    let (ran, others) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
    let (count, inner) = (ran.clone(), clock.clone());
    let d = cooperator.coiterate((0..25).map(move |_| {
        count.set(count.get() + 1);
        inner.jump_by(MS).unwrap(); // a unit takes a millisecond
    }));
    turn(&event_loop);
    assert_eq!(ran.get(), 10);
    for _ in 0..2 {
        let (seen, log) = (ran.clone(), others.clone());
        event_loop.call_soon(move |_| log.borrow_mut().push(seen.get()));
        turn(&event_loop);
    }
    success_of(d);
    assert_eq!((&*others.borrow(), ran.get()), (&vec![10, 20], 25));
}

#[test]
fn work_without_an_end_does_not_hold_a_turn_for_ever_where_the_clock_stands_still() {
    let (_clock, event_loop) = test_loop();
    let cooperator = Cooperator::new(&event_loop);
    let ran = Rc::new(Cell::new(0u64));
    let count = ran.clone();
    let task = cooperator.cooperate(std::iter::repeat_with(move || count.set(count.get() + 1)));
    turn(&event_loop);
    turn(&event_loop);
    assert_eq!(ran.get(), 2_000_000);
    task.stop().unwrap();
}

#[test]
fn a_callback_of_an_end_may_start_another_task() {
    let (clock, event_loop) = test_loop();
    let cooperator = Cooperator::with_slice(&event_loop, Duration::ZERO);
    let again = cooperator.clone();
    let d = cooperator
        .coiterate(std::iter::empty::<()>())
        .add_callback(move |()| again.coiterate(std::iter::empty::<()>()));
    turn(&event_loop);
    assert_no_result(&d);
    assert_eq!(event_loop.still_registered().len(), 1); // one slice is armed, not two
    clock.advance(Duration::ZERO).unwrap();
    success_of(d);
}

#[test]
fn the_end_of_the_last_task_takes_the_slice_off_the_loop() {
    let (_clock, event_loop) = test_loop();
    let cooperator = Cooperator::new(&event_loop);
    let line = line!() - 1;
    let (one, two) = (cooperator.cooperate([(), ()].into_iter()), cooperator.cooperate([(), ()].into_iter()));
    assert_eq!(event_loop.still_registered()[0].place.line(), line);
    one.stop().unwrap();
    assert_eq!(event_loop.still_registered().len(), 1);
    two.stop().unwrap();
    assert_eq!(event_loop.still_registered().len(), 0);
    let three = cooperator.cooperate([(), ()].into_iter());
    assert_eq!(event_loop.still_registered().len(), 1);
    three.pause().unwrap();
    assert_eq!(event_loop.still_registered().len(), 0);
    three.resume().unwrap();
    assert_eq!(event_loop.still_registered().len(), 1);
}

// Twisted: RunStateTests. One unit in a turn.

/// A task that counts, and does something else when it is told to.
struct Worker {
    event_loop: EventLoop,
    cooperator: Cooperator,
    task: CooperativeTask,
    work: Rc<RefCell<Vec<u32>>>,
    next: Rc<Cell<Next>>,
    resolver: Rc<Cell<Option<Resolver<()>>>>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Next {
    #[default]
    Count,
    Defer,
    End,
    Die,
}

fn worker() -> Worker {
    let (_clock, event_loop) = test_loop();
    let cooperator = Cooperator::with_slice(&event_loop, Duration::ZERO);
    let work = Rc::new(RefCell::new(Vec::new()));
    let next = Rc::new(Cell::new(Next::Count));
    let resolver = Rc::new(Cell::new(None));
    let (done, told, slot) = (work.clone(), next.clone(), resolver.clone());
    let mut i = 0;
    let units = std::iter::from_fn(move || {
        i += 1;
        match told.take() {
            Next::Count => done.borrow_mut().push(i),
            Next::Defer => {
                let (resolver, d) = Deferred::new();
                slot.set(Some(resolver));
                return Some(Ok(Some(d)));
            }
            Next::End => return None,
            Next::Die => return Some(Err(Failure::msg("unhandled"))),
        }
        Some(Ok(None))
    });
    let task = cooperator.cooperate(units);
    Worker { event_loop, cooperator, task, work, next, resolver }
}

impl Worker {
    fn pump(&self) -> Vec<u32> {
        turn(&self.event_loop);
        self.work.borrow().clone()
    }
}

#[test]
fn a_paused_task_does_nothing_until_resumed() {
    let w = worker();
    assert_eq!(w.pump(), [1]);
    assert_eq!(w.pump(), [1, 2]);
    w.task.pause().unwrap();
    assert_eq!(w.pump(), [1, 2]);
    w.task.resume().unwrap();
    assert_eq!(*w.work.borrow(), [1, 2]); // not inside
    assert_eq!(w.pump(), [1, 2, 3]);
}

#[test]
fn only_a_paused_task_can_be_resumed() {
    let w = worker();
    assert_eq!(w.task.resume(), Err(TaskError::NotPaused));
    w.task.pause().unwrap();
    w.task.resume().unwrap();
    assert_eq!(w.task.resume(), Err(TaskError::NotPaused));
}

#[test]
fn a_task_paused_twice_is_resumed_twice() {
    let w = worker();
    w.task.pause().unwrap();
    w.task.pause().unwrap();
    assert!(w.pump().is_empty());
    w.task.resume().unwrap();
    assert!(w.pump().is_empty());
    w.task.resume().unwrap();
    assert_eq!(w.pump(), [1]);
}

#[test]
fn a_task_paused_while_it_waits_needs_both_to_go_on() {
    for resumed_first in [true, false] {
        let w = worker();
        w.next.set(Next::Defer);
        assert!(w.pump().is_empty());
        w.task.pause().unwrap();
        assert!(w.pump().is_empty());
        if resumed_first {
            w.task.resume().unwrap();
            assert!(w.pump().is_empty());
        }
        w.resolver.take().unwrap().succeed(());
        if !resumed_first {
            assert!(w.pump().is_empty());
            w.task.resume().unwrap();
        }
        assert_eq!(w.pump(), [2]);
    }
}

#[test]
fn each_when_done_has_the_end_for_itself() {
    let w = worker();
    let (one, two) = (w.task.when_done().map(|()| 1), w.task.when_done().map(|()| 2));
    w.next.set(Next::End);
    w.pump();
    assert_eq!((success_of(one), success_of(two)), (1, 2));
    assert_eq!(success_of(w.task.when_done().map(|()| 3)), 3);
    assert!(w.task.has_ended());
}

#[test]
fn each_when_done_has_the_same_error() {
    let w = worker();
    let (one, two) = (w.task.when_done(), w.task.when_done());
    w.next.set(Next::Die);
    w.pump();
    assert_eq!(failure_of(one).to_string(), "unhandled");
    assert_eq!(failure_of(two).to_string(), "unhandled");
    assert_eq!(failure_of(w.task.when_done()).to_string(), "unhandled");
}

#[test]
fn a_stopped_task_says_so_and_does_nothing_more() {
    let w = worker();
    let d = w.task.when_done();
    w.task.stop().unwrap();
    assert_eq!(error_of(d), Some(TaskError::Stopped));
    assert!(w.pump().is_empty());
    assert_eq!((w.task.stop(), w.task.pause()), (Err(TaskError::Stopped), Err(TaskError::Stopped)));
}

#[test]
fn a_task_stopped_while_paused_may_be_resumed_to_no_effect() {
    let w = worker();
    w.task.pause().unwrap();
    w.task.stop().unwrap();
    w.task.resume().unwrap();
    assert!(w.pump().is_empty());
}

#[test]
fn a_task_stopped_while_it_waits_does_not_go_on_when_the_deferred_fires() {
    let w = worker();
    w.next.set(Next::Defer);
    w.pump();
    w.task.stop().unwrap();
    w.resolver.take().unwrap().succeed(());
    assert!(w.pump().is_empty());
}

#[test]
fn a_task_that_has_ended_says_how() {
    let w = worker();
    w.next.set(Next::End);
    w.pump();
    assert_eq!(w.task.stop(), Err(TaskError::Done));
    let w = worker();
    w.next.set(Next::Die);
    w.pump();
    assert_eq!(w.task.stop(), Err(TaskError::Failed));
    drop(failure_of(w.task.when_done()));
}

#[test]
fn a_callback_of_an_end_may_stop_the_cooperator() {
    let w = worker();
    let (phases, cooperator, task) = (Rc::new(RefCell::new(Vec::new())), w.cooperator.clone(), w.task.clone());
    let log = phases.clone();
    let other = w.cooperator.coiterate(std::iter::repeat(()));
    w.task
        .when_done()
        .add_callback(move |()| {
            log.borrow_mut().push(task.stop());
            cooperator.stop();
            log.borrow_mut().push(Ok(()));
            Ok(())
        })
        .detach();
    w.next.set(Next::End);
    w.pump();
    assert_eq!(*phases.borrow(), [Err(TaskError::Done), Ok(())]);
    assert_eq!(error_of(other), Some(TaskError::SchedulerStopped));
}

// Beyond Twisted's tests.

#[test]
fn a_unit_may_pause_stop_and_resume_its_own_task() {
    let (clock, event_loop) = test_loop();
    let unhandled = capture_unhandled();
    let cooperator = Cooperator::new(&event_loop);
    let own = Rc::new(RefCell::new(None::<CooperativeTask>));
    let (slot, mut n) = (own.clone(), 0);
    let task = cooperator.cooperate(std::iter::from_fn(move || {
        n += 1;
        let task = slot.borrow().clone().unwrap();
        match n {
            1 => {
                task.pause().unwrap();
                task.resume().unwrap();
            }
            2 => task.pause().unwrap(),
            3 => task.stop().unwrap(),
            _ => unreachable!("it was stopped"),
        }
        Some(if n == 3 { Err(Failure::msg("after the stop")) } else { Ok(()) })
    }));
    *own.borrow_mut() = Some(task.clone());
    clock.advance(Duration::ZERO).unwrap();
    assert!(format!("{task:?}").ends_with(", paused>"));
    task.resume().unwrap();
    clock.advance(Duration::ZERO).unwrap();
    assert_eq!(error_of(task.when_done()), Some(TaskError::Stopped));
    // The error came when the task had its end already, so nobody else could take it.
    assert_eq!(unhandled.flush_unhandled()[0].failure().to_string(), "after the stop");
    own.borrow_mut().take();
}

#[test]
fn a_failure_that_nobody_asks_for_is_reported_with_the_line_that_started_the_task() {
    let (clock, event_loop) = test_loop();
    let unhandled = capture_unhandled();
    let cooperator = Cooperator::new(&event_loop);
    let line = line!() + 1;
    drop(cooperator.cooperate([Err::<(), _>(Failure::msg("lost"))].into_iter()));
    clock.advance(Duration::ZERO).unwrap();
    let reports = unhandled.flush_unhandled();
    assert_eq!((reports.len(), reports[0].made().line()), (1, line));
}

#[test]
fn what_a_task_waited_for_and_failed_after_it_was_stopped_is_reported() {
    let w = worker();
    let unhandled = capture_unhandled();
    w.next.set(Next::Defer);
    w.pump();
    w.task.stop().unwrap();
    w.resolver.take().unwrap().fail(Failure::msg("too late"));
    assert_eq!(unhandled.flush_unhandled().len(), 1);
}

#[test]
fn when_the_loop_goes_away_tasks_end_and_nothing_is_kept() {
    let (_clock, event_loop) = test_loop();
    let token = Rc::new(());
    let held = token.clone();
    let cooperator = Cooperator::new(&event_loop);
    let (resolver, outstanding) = Deferred::<()>::new();
    let waiting = cooperator.coiterate(std::iter::once(outstanding));
    turn(&event_loop);
    let d = cooperator.coiterate(std::iter::repeat_with(move || drop(held.clone())));
    drop(event_loop);
    assert!(failure_of(d).check::<AbandonedError>().is_some());
    assert!(failure_of(waiting).check::<AbandonedError>().is_some());
    assert_eq!(Rc::strong_count(&token), 1);
    resolver.succeed(());
    assert_eq!(error_of(cooperator.coiterate([()].into_iter())), Some(TaskError::SchedulerStopped));
}

#[test]
fn the_cooperator_lives_as_long_as_its_tasks() {
    let (clock, event_loop) = test_loop();
    let (resolver, outstanding) = Deferred::<()>::new();
    let d = Cooperator::new(&event_loop).coiterate([None, Some(outstanding), None].into_iter());
    clock.advance(Duration::ZERO).unwrap();
    resolver.succeed(());
    clock.advance(Duration::ZERO).unwrap();
    success_of(d);
}

#[test]
fn a_hundred_thousand_tasks_are_paused_and_stopped_in_linear_time_on_a_small_stack() {
    let work = || {
        let (_clock, event_loop) = test_loop();
        let cooperator = Cooperator::new(&event_loop);
        let tasks: Vec<_> = (0..100_000).map(|_| cooperator.cooperate(std::iter::repeat(()))).collect();
        for task in &tasks {
            task.pause().unwrap();
            task.resume().unwrap();
        }
        turn(&event_loop);
        for task in &tasks {
            task.pause().unwrap();
        }
        assert!(event_loop.still_registered().is_empty());
        for task in tasks {
            task.stop().unwrap();
        }
    };
    std::thread::Builder::new().stack_size(128 << 10).spawn(work).unwrap().join().unwrap();
}
