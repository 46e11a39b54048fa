//! Deferreds as futures, futures as Deferreds, and the contracts of `Future` and `Waker`.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, IntoFuture, pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use ropewalk::testing::{assert_no_result, capture_unhandled, failure_of, success_of};
use ropewalk::{
    AbandonedError, CancelledError, Closed, Deferred, EventLoop, Failure, PanicError, RegisteredKind, RunError,
    TestClock, UnhandledError, gather_results, race,
};

/// The unhandled errors that `f` leads to.
fn reports_of(f: impl FnOnce()) -> Vec<UnhandledError> {
    let unhandled = capture_unhandled();
    f();
    unhandled.flush_unhandled()
}

/// A flag that is set when its owner is dropped.
#[derive(Clone, Default)]
struct Dropped(Rc<Cell<bool>>);

struct TellDrop(Dropped);

impl Drop for TellDrop {
    fn drop(&mut self) {
        self.0.0.set(true);
    }
}

/// A waker that counts.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A one-shot event that any thread may set: the simplest foreign future.
#[derive(Default)]
struct Flag(Mutex<(bool, Option<Waker>)>);

impl Flag {
    fn set(&self) {
        let waker = {
            let mut state = self.0.lock().unwrap();
            state.0 = true;
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap();
        if state.0 {
            return Poll::Ready(());
        }
        state.1 = Some(context.waker().clone());
        Poll::Pending
    }

    async fn wait(&self) {
        poll_fn(|context| self.poll(context)).await;
    }
}

#[test]
fn awaiting_a_deferred_that_has_its_result_goes_on_at_once() {
    let event_loop = EventLoop::new().unwrap();
    assert_eq!(event_loop.block_on(async { Deferred::succeed(7).await }).unwrap(), 7);
    let failure = event_loop.block_on(async { Deferred::<i32>::fail(Failure::msg("no")).await }).unwrap_err();
    assert_eq!(failure.to_string(), "no");
}

#[test]
fn awaiting_a_deferred_goes_on_when_it_fires_with_its_value_or_its_failure() {
    let event_loop = EventLoop::new().unwrap();
    let (first, one) = Deferred::new();
    let (second, two) = Deferred::<i32>::new();
    event_loop.call_soon(move |event_loop| {
        first.succeed(1);
        event_loop.call_soon(move |_| second.fail(Failure::msg("no two")));
    });
    let text = event_loop.block_on(async {
        let one = one.map(|n: i32| n + 1).await?;
        let two = two.await;
        Ok(format!("{one}, {}", two.unwrap_err()))
    });
    assert_eq!(text.unwrap(), "2, no two");
}

#[test]
fn a_spawned_future_is_a_deferred_with_callbacks() {
    let event_loop = EventLoop::new().unwrap();
    let task = event_loop.spawn(async { Ok("7".parse::<i32>()?) });
    assert!(!task.has_result());
    assert_eq!(event_loop.run_until(task.add_callback(|n| Ok(n * 6))).unwrap(), 42);
    let task = event_loop.spawn(async { Ok("x".parse::<i32>()?) }).add_errback(|_| Ok(0));
    assert_eq!(event_loop.run_until(task).unwrap(), 0);
}

#[test]
fn cancelling_the_deferred_drops_the_future_and_cancels_what_it_waits_for() {
    let event_loop = EventLoop::new().unwrap();
    let (resolver, answer) = Deferred::<i32>::new();
    let dropped = Dropped::default();
    let guard = TellDrop(dropped.clone());
    let task = event_loop.spawn(async move {
        let _guard = guard;
        answer.await
    });
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    task.cancel();
    assert!(dropped.0.get());
    assert!(resolver.is_cancelled());
    assert!(failure_of(task).check::<CancelledError>().is_some());
    assert!(event_loop.still_registered().is_empty());
}

#[test]
fn a_task_may_cancel_itself_while_it_is_polled() {
    let event_loop = EventLoop::new().unwrap();
    let dropped = Dropped::default();
    let guard = TellDrop(dropped.clone());
    let own = Rc::new(RefCell::new(None::<Deferred<()>>));
    let mine = own.clone();
    let task = event_loop.spawn(async move {
        let _guard = guard;
        mine.borrow().as_ref().unwrap().cancel();
        pending::<()>().await;
        Ok(())
    });
    *own.borrow_mut() = Some(task);
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    assert!(dropped.0.get());
    assert!(failure_of(own.borrow_mut().take().unwrap()).check::<CancelledError>().is_some());
    assert!(event_loop.still_registered().is_empty());
}

#[test]
fn dropping_the_deferred_future_while_pending_cancels_and_dropping_the_deferred_detaches() {
    let (resolver, deferred) = Deferred::<i32>::new();
    let mut future = Box::pin(deferred.into_future());
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(future);
    assert!(resolver.is_cancelled());

    let (resolver, deferred) = Deferred::<i32>::new();
    drop(deferred.into_future()); // not even polled
    assert!(resolver.is_cancelled());

    let seen = Rc::new(Cell::new(0));
    let slot = seen.clone();
    let (resolver, deferred) = Deferred::<i32>::new();
    drop(deferred.map(move |n| slot.set(n)));
    assert!(!resolver.is_cancelled());
    resolver.succeed(7);
    assert_eq!(seen.get(), 7);
}

#[test]
fn what_comes_of_giving_up_is_silent_if_it_is_the_cancel_and_reported_if_not() {
    let give_up = |deferred: Deferred<i32>| {
        let mut future = Box::pin(deferred.into_future());
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    };
    let (_resolver, silent) = Deferred::new();
    let reports = reports_of(|| give_up(silent));
    assert!(reports.is_empty());
    let (_resolver, loud) = Deferred::new();
    let reports = reports_of(|| give_up(loud.add_errback(|_| Err::<i32, _>(Failure::msg("oh")))));
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].failure().to_string(), "oh");
}

#[test]
fn a_failure_in_a_future_that_nobody_polls_to_its_end_is_reported() {
    let (resolver, deferred) = Deferred::<i32>::new();
    let mut future = Box::pin(deferred.into_future());
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    resolver.fail(Failure::msg("late"));
    let reports = reports_of(|| drop(future));
    assert_eq!(reports.len(), 1);
}

#[test]
fn a_detached_task_runs_on_and_its_error_is_reported() {
    let event_loop = EventLoop::new().unwrap();
    let ran = Rc::new(Cell::new(false));
    let told = ran.clone();
    let reports = reports_of(|| {
        event_loop
            .spawn(async move {
                told.set(true);
                Err::<(), _>(Failure::msg("nobody looks"))
            })
            .detach();
        event_loop.turn(Some(Duration::ZERO)).unwrap();
    });
    assert!(ran.get());
    assert_eq!(reports.len(), 1);
}

#[test]
fn a_panic_in_poll_becomes_a_failure_and_the_other_tasks_run_on() {
    let event_loop = EventLoop::new().unwrap();
    let dropped = Dropped::default();
    let guard = TellDrop(dropped.clone());
    let broken = event_loop.spawn(async move {
        let _guard = guard;
        Deferred::succeed(()).await?;
        if true {
            panic!("ouch");
        }
        Ok(())
    });
    let sound = event_loop.spawn(async { Ok(1) });
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(success_of(sound), 1);
    assert!(dropped.0.get());
    assert_eq!(failure_of(broken).check::<PanicError>().unwrap().message(), "ouch");
    assert!(event_loop.still_registered().is_empty());
}

#[test]
fn a_panic_while_the_future_is_dropped_is_the_tasks_failure() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let event_loop = EventLoop::new().unwrap();
    struct Now(Bomb);
    impl Future for Now {
        type Output = Result<i32, Failure>;
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            let _ = &self.0;
            Poll::Ready(Ok(1))
        }
    }
    let task = event_loop.spawn(Now(Bomb));
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    assert!(failure_of(task).check::<PanicError>().is_some());
    let bomb = Bomb;
    let task = event_loop.spawn(async move {
        let _bomb = bomb;
        pending::<Result<i32, Failure>>().await
    });
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    task.cancel();
    assert!(failure_of(task).check::<PanicError>().is_some());
}

#[test]
fn an_error_stays_the_result_when_the_drop_panics_too_and_the_panic_is_reported() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    struct Fails(Bomb, bool);
    impl Future for Fails {
        type Output = Result<i32, Failure>;
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            let _ = &self.0;
            if self.1 { panic!("in poll") } else { Poll::Ready(Err(Failure::msg("mine"))) }
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let unhandled = capture_unhandled();
    for (panics, first) in [(false, "mine"), (true, "in poll")] {
        let task = event_loop.spawn(Fails(Bomb, panics));
        event_loop.turn(Some(Duration::ZERO)).unwrap();
        assert!(failure_of(task).to_string().contains(first));
        let reports = unhandled.flush_unhandled();
        assert_eq!(reports.len(), 1);
        assert_eq!(reports[0].failure().check::<PanicError>().unwrap().message(), "in drop");
    }
}

#[test]
fn block_on_gives_back_a_panic_as_a_failure() {
    let event_loop = EventLoop::new().unwrap();
    let failure = event_loop.block_on(async { if true { panic!("ouch") } else { Ok(()) } }).unwrap_err();
    assert!(failure.check::<PanicError>().is_some());
    assert_eq!(event_loop.block_on(async { Ok(2) }).unwrap(), 2);
}

#[test]
fn block_on_may_borrow_and_is_woken_by_others() {
    let event_loop = EventLoop::new().unwrap();
    let words = ["If", "I", "were"];
    let handle = event_loop.handle();
    let text = event_loop
        .block_on(async {
            let mut text = String::new();
            for word in &words {
                handle.defer_later(Duration::from_micros(10), |_| Ok(())).await?;
                text.push_str(word);
            }
            Ok(text)
        })
        .unwrap();
    assert_eq!(text, "IfIwere");
}

#[test]
fn block_on_inside_a_task_is_an_error_value() {
    let event_loop = Rc::new(EventLoop::new().unwrap());
    let inner = Rc::downgrade(&event_loop);
    let task = event_loop.spawn(async move {
        let failure = inner.upgrade().unwrap().block_on(async { Ok(()) }).unwrap_err();
        Ok(matches!(failure.check::<RunError>(), Some(RunError::Reentrant)))
    });
    assert!(event_loop.run_until(task).unwrap());
}

#[test]
fn a_run_that_waits_for_a_task_that_nobody_can_wake_says_so() {
    let event_loop = EventLoop::new().unwrap();
    let (_resolver, never) = Deferred::<i32>::new();
    let task = event_loop.spawn(never.into_future());
    let failure = event_loop.run_until(task).unwrap_err();
    assert!(matches!(failure.check::<RunError>(), Some(RunError::Idle(Some(_)))));
    let failure = event_loop.block_on(pending::<Result<(), Failure>>()).unwrap_err();
    assert!(matches!(failure.check::<RunError>(), Some(RunError::Idle(Some(_)))));
}

#[test]
fn stop_ends_block_on() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.call_later(Duration::from_micros(10), |event_loop| event_loop.stop());
    let failure = event_loop.block_on(pending::<Result<(), Failure>>()).unwrap_err();
    assert!(matches!(failure.check::<RunError>(), Some(RunError::Stopped)));
}

#[test]
fn a_wake_by_clone_and_a_wake_by_ref_each_lead_to_one_poll_however_often_they_come() {
    let event_loop = EventLoop::new().unwrap();
    let polls = Rc::new(Cell::new(0));
    let kept = Rc::new(RefCell::new(None::<Waker>));
    let (count, slot) = (polls.clone(), kept.clone());
    event_loop
        .spawn(poll_fn(move |context| {
            count.set(count.get() + 1);
            *slot.borrow_mut() = Some(context.waker().clone());
            Poll::<Result<(), Failure>>::Pending
        }))
        .detach();
    let turn = || event_loop.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!((turn(), polls.get()), (1, 1));
    assert_eq!((turn(), polls.get()), (0, 1));
    let waker = kept.borrow().clone().unwrap();
    waker.wake_by_ref();
    waker.wake_by_ref();
    let second = waker.clone();
    second.wake();
    assert_eq!((turn(), polls.get()), (1, 2));
    waker.wake();
    assert_eq!((turn(), polls.get()), (1, 3));
    assert_eq!((turn(), polls.get()), (0, 3));
}

#[test]
fn a_wake_during_the_poll_leads_to_another_poll_in_the_next_turn() {
    let event_loop = EventLoop::new().unwrap();
    let mut left = 3;
    let task = event_loop.spawn(poll_fn(move |context| {
        left -= 1;
        if left == 0 {
            return Poll::Ready(Ok(()));
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }));
    for done in [false, false, true] {
        assert_eq!(event_loop.turn(Some(Duration::ZERO)).unwrap(), 1);
        assert_eq!(task.has_result(), done);
    }
}

#[test]
fn wakes_after_the_task_is_ready_or_the_loop_is_gone_are_harmless() {
    let event_loop = EventLoop::new().unwrap();
    let kept = Rc::new(RefCell::new(None::<Waker>));
    let slot = kept.clone();
    let task = event_loop.spawn(poll_fn(move |context| {
        *slot.borrow_mut() = Some(context.waker().clone());
        Poll::Ready(Ok(()))
    }));
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    success_of(task);
    let waker = kept.borrow().clone().unwrap();
    waker.wake_by_ref();
    // Its place in the table is another task's now, which is not polled for it.
    event_loop.spawn(pending::<Result<(), Failure>>()).detach();
    assert_eq!(event_loop.turn(Some(Duration::ZERO)).unwrap(), 1);
    waker.wake_by_ref();
    assert_eq!(event_loop.turn(Some(Duration::ZERO)).unwrap(), 0);
    let elsewhere = waker.clone();
    std::thread::spawn(move || elsewhere.wake()).join().unwrap();
    assert_eq!(event_loop.turn(Some(Duration::ZERO)).unwrap(), 0);
    drop(event_loop);
    waker.wake_by_ref();
    let other = EventLoop::new().unwrap();
    other.spawn(pending::<Result<(), Failure>>()).detach();
    assert_eq!(other.turn(Some(Duration::ZERO)).unwrap(), 1);
    waker.wake_by_ref();
    assert_eq!(other.turn(Some(Duration::ZERO)).unwrap(), 0);
    std::thread::spawn(move || waker.wake()).join().unwrap();
}

#[test]
fn wakes_from_four_threads_are_never_lost_and_few_polls_serve_many() {
    const EACH: usize = 2_000;
    for portable in [false, true] {
        let event_loop = EventLoop::builder().portable_wait(portable).build().unwrap();
        let sum = Arc::new(AtomicUsize::new(0));
        let waiting = Arc::new(Mutex::new(None::<Waker>));
        let (seen, slot) = (sum.clone(), waiting.clone());
        let polls = Rc::new(Cell::new(0));
        let count = polls.clone();
        let task = event_loop.spawn(poll_fn(move |context| {
            count.set(count.get() + 1);
            *slot.lock().unwrap() = Some(context.waker().clone());
            // Looked at after the waker is in its place.
            if seen.load(Ordering::SeqCst) == 4 * EACH { Poll::Ready(Ok(())) } else { Poll::Pending }
        }));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (sum, waiting) = (sum.clone(), waiting.clone());
                std::thread::spawn(move || {
                    for _ in 0..EACH {
                        sum.fetch_add(1, Ordering::SeqCst);
                        let waker = waiting.lock().unwrap().clone();
                        if let Some(waker) = waker {
                            waker.wake();
                        }
                    }
                })
            })
            .collect();
        event_loop.run_until(task).unwrap();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(polls.get() <= 4 * EACH + 2, "{} polls", polls.get());
    }
}

#[test]
fn a_wake_from_another_thread_between_turns_driven_by_hand_is_not_lost() {
    let event_loop = EventLoop::new().unwrap();
    let flag = Arc::new(Flag::default());
    let waited = flag.clone();
    let task = event_loop.spawn(async move {
        waited.wait().await;
        Ok(())
    });
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    std::thread::spawn(move || flag.set()).join().unwrap();
    assert_no_result(&task);
    // Without a limit: it does not even wait.
    assert_eq!(event_loop.turn(None).unwrap(), 1);
    success_of(task);
}

#[test]
fn a_kept_waker_keeps_a_run_waiting_for_its_thread() {
    let event_loop = EventLoop::new().unwrap();
    let flag = Arc::new(Flag::default());
    let waited = flag.clone();
    let task = event_loop.spawn(async move {
        waited.wait().await;
        Ok(5)
    });
    let (go, ready) = std::sync::mpsc::channel();
    // The thread sets the flag when the loop has looked for work a few times.
    let thread = std::thread::spawn(move || {
        ready.recv().unwrap();
        flag.set();
    });
    event_loop.call_soon(move |event_loop| event_loop.call_soon(move |_| go.send(()).unwrap()));
    assert_eq!(event_loop.run_until(task).unwrap(), 5);
    thread.join().unwrap();
}

#[test]
fn a_task_that_wakes_itself_for_ever_starves_nobody() {
    let event_loop = EventLoop::new().unwrap();
    event_loop
        .spawn(poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::<Result<(), Failure>>::Pending
        }))
        .detach();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let heard = Rc::new(RefCell::new(Vec::new()));
    let log = heard.clone();
    event_loop
        .register(theirs, ropewalk::Interest::READ, move |event_loop, _, _| {
            log.borrow_mut().push("source");
            event_loop.stop();
        })
        .unwrap();
    let log = heard.clone();
    event_loop.call_later(Duration::from_micros(100), move |_| log.borrow_mut().push("timer"));
    let log = heard.clone();
    let remote = event_loop.remote();
    event_loop
        .spawn(async move {
            log.borrow_mut().push("task");
            Ok(())
        })
        .detach();
    let thread = std::thread::spawn(move || {
        remote
            .post(move |event_loop| {
                event_loop.call_later(Duration::from_micros(200), move |_| {
                    use std::io::Write;
                    (&ours).write_all(b"x").unwrap();
                });
            })
            .unwrap();
    });
    event_loop.run().unwrap();
    thread.join().unwrap();
    assert_eq!(*heard.borrow(), ["task", "timer", "source"]);
}

#[test]
fn a_turn_polls_tasks_after_timers_and_those_woken_meanwhile_in_the_next() {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
    let log = Rc::new(RefCell::new(Vec::new()));
    let say = |text: &'static str| {
        let log = log.clone();
        move || log.borrow_mut().push(text)
    };
    let (task, second, timer, soon) = (say("task"), say("second"), say("timer"), say("soon"));
    let handle = event_loop.handle();
    event_loop
        .spawn(async move {
            task();
            handle
                .spawn(async move {
                    second();
                    Ok(())
                })
                .detach();
            Ok(())
        })
        .detach();
    event_loop.call_later(Duration::ZERO, move |_| timer());
    event_loop.call_soon(move |_| soon());
    assert_eq!(event_loop.turn(Some(Duration::ZERO)).unwrap(), 3);
    assert_eq!(*log.borrow(), ["soon", "timer", "task"]);
    assert_eq!(event_loop.turn(Some(Duration::ZERO)).unwrap(), 1);
    assert_eq!(log.borrow()[3], "second");
}

#[test]
fn run_one_polls_one_task() {
    let event_loop = EventLoop::new().unwrap();
    let ran = Rc::new(Cell::new(0));
    for _ in 0..3 {
        let ran = ran.clone();
        event_loop
            .spawn(async move {
                ran.set(ran.get() + 1);
                Ok(())
            })
            .detach();
    }
    for n in 1..=3 {
        assert!(event_loop.run_one().unwrap());
        assert_eq!(ran.get(), n);
    }
}

#[test]
fn on_a_test_clock_tasks_run_before_time_goes_on() {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
    let handle = event_loop.handle();
    let task = event_loop.spawn(async move {
        let mut times = Vec::new();
        for _ in 0..3 {
            handle.defer_later(Duration::from_secs(60), |_| Ok(())).await?;
            times.push(handle.time()?.as_secs());
        }
        Ok(times)
    });
    clock.advance(Duration::from_secs(120)).unwrap();
    assert_no_result(&task);
    clock.advance(Duration::from_secs(60)).unwrap();
    assert_eq!(success_of(task), [60, 120, 180]);
    let handle = event_loop.handle();
    let task = event_loop.spawn(async move { handle.defer_later(Duration::from_secs(3600), |_| Ok(1)).await });
    assert_eq!(event_loop.run_until(task).unwrap(), 1);
    assert_eq!(clock.now().as_secs(), 180 + 3600);
}

#[test]
fn dropping_the_loop_drops_its_futures_and_abandons_their_deferreds() {
    let event_loop = EventLoop::new().unwrap();
    let dropped = Dropped::default();
    let guard = TellDrop(dropped.clone());
    let handle = event_loop.handle();
    let task = event_loop.spawn(async move {
        let _guard = guard;
        pending::<Result<(), Failure>>().await
    });
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    drop(event_loop);
    assert!(dropped.0.get());
    assert!(failure_of(task).check::<AbandonedError>().is_some());
    assert!(failure_of(handle.spawn(async { Ok(()) })).check::<Closed>().is_some());
}

#[test]
fn a_remote_spawns_futures_from_other_threads_and_gives_them_back_when_the_loop_is_gone() {
    let event_loop = EventLoop::new().unwrap();
    let remote = event_loop.remote();
    let stopper = event_loop.remote();
    let thread = std::thread::spawn(move || {
        let task = async move {
            stopper.stop();
            Ok(())
        };
        remote.spawn(task).map_err(drop).unwrap();
        remote
    });
    event_loop.run().unwrap();
    let remote = thread.join().unwrap();
    drop(event_loop);
    let Err(error) = remote.spawn(async { Ok(()) }) else { panic!("the loop is gone") };
    assert!(!error.is_full());
    let mut back = pin!(error.into_inner());
    assert!(back.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

#[test]
fn a_deferred_future_wakes_a_foreign_executor_and_takes_the_last_waker_it_was_given() {
    let (resolver, deferred) = Deferred::new();
    let mut future = Box::pin(deferred.into_future());
    let (first, last) = (Arc::new(Count::default()), Arc::new(Count::default()));
    for waker in [&first, &last, &last] {
        let waker = Waker::from(waker.clone());
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    resolver.succeed(3);
    assert_eq!((first.0.load(Ordering::SeqCst), last.0.load(Ordering::SeqCst)), (0, 1));
    let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) else { panic!() };
    assert_eq!(result.unwrap(), 3);
}

#[test]
fn a_waker_that_polls_at_once_or_panics_harms_nobody() {
    /// Polls inside `wake`, as some single-threaded executors do.
    struct Eager;
    type Boxed = Pin<Box<dyn Future<Output = Result<i32, Failure>>>>;
    thread_local!(static FUTURE: RefCell<Option<Boxed>> = RefCell::default());
    thread_local!(static GOT: Cell<i32> = const { Cell::new(0) });
    impl Wake for Eager {
        fn wake(self: Arc<Self>) {
            let mut future = FUTURE.take().unwrap();
            let Poll::Ready(Ok(n)) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
                panic!()
            };
            GOT.set(n);
            panic!("a waker that panics");
        }
    }
    let (resolver, deferred) = Deferred::new();
    let mut future: Boxed = Box::pin(deferred.into_future());
    let waker = Waker::from(Arc::new(Eager));
    assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    FUTURE.set(Some(future));
    resolver.succeed(9);
    assert_eq!(GOT.get(), 9);
}

#[test]
fn a_waker_whose_drop_panics_loses_no_result_and_keeps_no_work_going() {
    struct Loud;
    impl Wake for Loud {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Loud {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("a waker's drop"));
        }
    }
    let waiting = || {
        let (resolver, deferred) = Deferred::<i32>::new();
        let mut future = Box::pin(deferred.into_future());
        let loud = Waker::from(Arc::new(Loud));
        assert!(future.as_mut().poll(&mut Context::from_waker(&loud)).is_pending());
        (resolver, future) // which holds the last of that waker
    };
    let panics = |f: &mut dyn FnMut()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err();

    let (resolver, mut future) = waiting();
    let mut context = Context::from_waker(Waker::noop());
    assert!(panics(&mut || drop(future.as_mut().poll(&mut context))));
    resolver.succeed(3);
    let Poll::Ready(result) = future.as_mut().poll(&mut context) else { panic!("it has a result") };
    assert_eq!(result.unwrap(), 3);

    let (resolver, future) = waiting();
    let mut future = Some(future);
    assert!(panics(&mut || drop(future.take())));
    assert!(resolver.is_cancelled());

    let (resolver, future) = waiting();
    let mut future = Some(future);
    assert!(panics(&mut || Pin::into_inner(future.take().unwrap()).detach()));
    assert!(!resolver.is_cancelled());
    let reports = reports_of(|| resolver.fail(Failure::msg("nobody waits")));
    assert_eq!(reports.len(), 1);
}

#[test]
fn a_task_that_a_recorder_cancels_when_it_hears_of_the_poll_is_not_polled() {
    use ropewalk::trace::{Event, Kind, Recorder, record_with};
    struct Canceller(Rc<RefCell<Option<ropewalk::CancelHandle>>>);
    impl Recorder for Canceller {
        fn event(&mut self, event: &Event) {
            if matches!(event.kind, Kind::XPoll { .. })
                && let Some(handle) = self.0.take()
            {
                handle.cancel();
            }
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let (polled, dropped) = (Rc::new(Cell::new(false)), Dropped::default());
    let (told, guard) = (polled.clone(), TellDrop(dropped.clone()));
    let task = event_loop.spawn(async move {
        let _guard = guard;
        told.set(true);
        Ok(())
    });
    let handle = Rc::new(RefCell::new(Some(task.cancel_handle())));
    let turn = || event_loop.turn(Some(Duration::ZERO)).unwrap();
    record_with(Canceller(handle), turn);
    assert!(!polled.get());
    assert!(dropped.0.get());
    assert!(failure_of(task).check::<CancelledError>().is_some());
    assert!(event_loop.still_registered().is_empty());
}

#[test]
fn tasks_join_through_gather_results_and_race() {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
    let work = |seconds: u64, dropped: Dropped| {
        let handle = event_loop.handle();
        let guard = TellDrop(dropped);
        event_loop.spawn(async move {
            let _guard = guard;
            handle.defer_later(Duration::from_secs(seconds), move |_| Ok(seconds)).await
        })
    };
    let all = gather_results([work(2, Dropped::default()), work(1, Dropped::default())]);
    assert_eq!(event_loop.run_until(all).unwrap(), [2, 1]);
    let (slow, fast) = (Dropped::default(), Dropped::default());
    let first = race([work(20, slow.clone()), work(1, fast)]);
    assert_eq!(event_loop.block_on(first.into_future()).unwrap(), (1, 1));
    assert!(slow.0.get(), "the loser's future is dropped");
    assert_eq!(clock.now().as_secs(), 3);
    assert!(event_loop.still_registered().is_empty());
}

#[test]
fn what_a_loop_waits_for_names_its_tasks() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.spawn(pending::<Result<(), Failure>>()).detach();
    let left = event_loop.still_registered();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].kind, RegisteredKind::Task);
    assert!(left[0].to_string().starts_with("task, made at tests/bridge.rs:"));
}

/// On a stack of 128 KiB.
fn on_a_small_stack(f: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(128 * 1024).spawn(f).unwrap().join().unwrap();
}

const MANY: usize = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };

/// Tasks that each wait for the one before. Gives the first task's Resolver and the last task's Deferred.
fn line_of_tasks(event_loop: &EventLoop) -> (ropewalk::Resolver<usize>, Deferred<usize>) {
    let (resolver, mut last) = Deferred::new();
    for _ in 0..MANY {
        let before = last;
        last = event_loop.spawn(async move { Ok(before.await? + 1) });
    }
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    (resolver, last)
}

#[test]
fn a_million_tasks_that_wait_for_each_other_take_no_stack() {
    on_a_small_stack(|| {
        let event_loop = EventLoop::new().unwrap();
        let (resolver, last) = line_of_tasks(&event_loop);
        resolver.succeed(0);
        assert_eq!(event_loop.run_until(last).unwrap(), MANY);

        let (resolver, last) = line_of_tasks(&event_loop);
        last.cancel();
        assert!(resolver.is_cancelled());
        assert!(failure_of(last).check::<CancelledError>().is_some());

        let (resolver, last) = line_of_tasks(&event_loop);
        drop(event_loop);
        assert!(last.has_result());
        drop((resolver, last.add_errback(|_| Ok(0))));
    });
}

#[test]
fn many_tasks_take_turns() {
    let event_loop = EventLoop::new().unwrap();
    let order = Rc::new(RefCell::new(VecDeque::new()));
    for name in 0..3 {
        let order = order.clone();
        event_loop
            .spawn(async move {
                for _ in 0..2 {
                    order.borrow_mut().push_back(name);
                    let mut woken = false;
                    poll_fn(|context| {
                        if std::mem::replace(&mut woken, true) {
                            return Poll::Ready(());
                        }
                        context.waker().wake_by_ref();
                        Poll::Pending
                    })
                    .await;
                }
                Ok(())
            })
            .detach();
    }
    while !event_loop.still_registered().is_empty() {
        event_loop.turn(Some(Duration::ZERO)).unwrap();
    }
    assert_eq!(*order.borrow(), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn the_trace_tells_of_spawn_poll_wait_wake_and_the_end_of_a_task() {
    use ropewalk::trace::{Id, Kind, Object, Polled, Val, record};
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
    let ((), trace) = record(|| {
        let (resolver, answer) = Deferred::<i32>::new();
        let task = event_loop.spawn(async move { answer.await });
        event_loop.call_later(Duration::from_secs(1), move |_| resolver.succeed(1));
        assert_eq!(event_loop.run_until(task).unwrap(), 1);
    });
    let x = Id(Object::Task, 1);
    let of_task: Vec<_> = trace
        .events()
        .filter(|event| {
            matches!(
                event.kind,
                Kind::XSpawn { .. }
                    | Kind::XPoll { .. }
                    | Kind::XRet { .. }
                    | Kind::XWait { .. }
                    | Kind::XWake { .. }
                    | Kind::XDrop { .. }
            )
        })
        .collect();
    let [spawn, poll, wait, pending, wake, again, ready, gone] = of_task[..] else { panic!("{of_task:#?}") };
    assert_eq!(spawn.kind, Kind::XSpawn { x, late: false });
    assert_eq!(poll.kind, Kind::XPoll { x, n: 0 });
    assert!(matches!(wait.kind, Kind::XWait { on: Some(Id(Object::Deferred, _)), .. }));
    assert!(wait.at.unwrap().file().ends_with("bridge.rs"), "the line of the await");
    assert_eq!(wait.frame, poll.s);
    assert_eq!(pending.kind, Kind::XRet { b: poll.s, out: Polled::Pending, val: None });
    assert_eq!(wake.kind, Kind::XWake { x, by: Some(Id(Object::Timer, 1)), own: false });
    assert_ne!(wake.cause, 0, "woken from the timer's callback");
    assert_eq!(again.kind, Kind::XPoll { x, n: 1 });
    assert_eq!(again.cause, wake.s);
    let val = Some(Val::Ok { text: "1", ty: "i32" });
    assert_eq!(ready.kind, Kind::XRet { b: again.s, out: Polled::Ready, val });
    assert_eq!(gone.kind, Kind::XDrop { x, state: Polled::Ready });
}

#[test]
fn the_task_of_block_on_is_told_to_have_come_to_its_end() {
    use ropewalk::trace::{Kind, Polled, Trace, record};
    let event_loop = EventLoop::builder().clock(&TestClock::new()).build().unwrap();
    let ends = |trace: &Trace| {
        trace
            .events()
            .filter_map(|event| if let Kind::XDrop { state, .. } = event.kind { Some(state) } else { None })
            .collect::<Vec<_>>()
    };
    let (result, trace) = record(|| event_loop.block_on(async { Ok::<_, Failure>(1) }));
    assert_eq!((result.unwrap(), ends(&trace)), (1, vec![Polled::Ready]));
    let ((), trace) = record(|| {
        event_loop.call_soon(|event_loop| event_loop.stop());
        event_loop.block_on(pending::<Result<(), Failure>>()).unwrap_err();
    });
    assert_eq!(ends(&trace), [Polled::Pending], "the loop was stopped");
}
