//! Each lint has a program that shows it, and one that nearly does and must not.

#[path = "support/peer.rs"]
mod peer;

use peer::{Acting, Diary, accepted, some_turns, turn_until};
use ropewalk::study::{self, Limits, Lint, Rule, Stepper, Weight};
use ropewalk::testing::capture_unhandled;
use ropewalk::trace::{self, Event, Header, Kind, Recorder, Trace};
use ropewalk::{Deferred, EventLoop, Failure, Producer, Streaming, TestClock};
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

/// A stepper hears of the events one by one, and says after each what a whole trace up to it says. All programs of this
/// file are recorded with it.
struct AsTheyCome {
    stepper: Stepper,
    so_far: Trace,
    /// Where they differ. A recorder that panics is passed by.
    differ: Option<String>,
}

impl AsTheyCome {
    fn new() -> AsTheyCome {
        AsTheyCome { stepper: Stepper::live(), so_far: Trace::with_limit(100_000), differ: None }
    }
}

impl Recorder for AsTheyCome {
    fn begin(&mut self, header: &Header<'_>) {
        self.stepper.begin(header);
        self.so_far.begin(header);
    }

    fn event(&mut self, event: &Event<'_>) {
        self.stepper.arrive(event);
        self.so_far.event(event);
        // To derive all of it anew each time is what the stepper must not do: of a long run only the beginning.
        if event.s < 1000 || matches!(event.kind, Kind::End { .. }) {
            let (one_by_one, whole) = (self.stepper.lints(), study::lints(&self.so_far));
            if *one_by_one != *whole {
                self.differ.get_or_insert_with(|| format!("at s{}: {one_by_one:#?} or {whole:#?}", event.s));
            }
        }
    }
}

/// Records a program. What it loses on purpose is not reported.
fn record(program: impl FnOnce()) -> Trace {
    let unhandled = capture_unhandled();
    let ((), (trace, beside)) = trace::record_with((Trace::with_limit(100_000), AsTheyCome::new()), program);
    assert_eq!(beside.differ, None);
    drop(unhandled.flush_unhandled());
    trace
}

/// Records a program with a loop of its own, on a virtual clock.
fn on_loop(program: impl FnOnce(&EventLoop)) -> Trace {
    record_loop(EventLoop::builder().clock(&TestClock::new()).build().expect("a loop"), program)
}

fn record_loop(event_loop: EventLoop, program: impl FnOnce(&EventLoop)) -> Trace {
    let unhandled = capture_unhandled();
    let recording = event_loop.record((Trace::with_limit(100_000), AsTheyCome::new()));
    program(&event_loop);
    let (trace, beside) = recording.finish().expect("not inside the recorder");
    assert_eq!(beside.differ, None);
    drop(event_loop);
    drop(unhandled.flush_unhandled());
    trace
}

fn of(trace: &Trace, rule: Rule) -> Vec<Lint> {
    let mut lints = study::lints(trace);
    lints.retain(|lint| lint.rule == rule);
    for lint in &lints {
        assert!(trace.get(lint.s).is_some(), "it leads to an event: {lint}");
        assert!(lint.others.iter().all(|s| trace.get(*s).is_some()), "{lint:?}");
    }
    lints
}

/// The one lint of a rule, and the name of the event to which it leads.
#[track_caller]
fn only(trace: &Trace, rule: Rule) -> (Lint, &'static str) {
    let mut lints = of(trace, rule);
    assert_eq!(lints.len(), 1, "{:#?}", study::lints(trace));
    let lint = lints.remove(0);
    let name = trace.get(lint.s).expect("its event").kind.name();
    (lint, name)
}

#[track_caller]
fn none(trace: &Trace, rule: Rule) {
    assert_eq!(of(trace, rule), [], "a near miss");
}

/// Keeps the thread busy for that long.
fn block(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

#[test]
fn a_lost_failure_is_told_and_a_handled_one_is_not() {
    let trace = record(|| Deferred::<()>::fail(Failure::msg("engine down")).named("poem").detach());
    let (lint, at) = only(&trace, Rule::Lost);
    assert_eq!((lint.weight, at), (Weight::Problem, "f.lost"));
    assert!(lint.text.contains("engine down") && lint.text.contains("poem"), "{}", lint.text);
    let trace = record(|| Deferred::<()>::fail(Failure::msg("engine down")).add_errback(|_| Ok(())).detach());
    none(&trace, Rule::Lost);
    none(&trace, Rule::Resting);
}

#[test]
fn a_failure_that_rests_is_told_until_an_errback_comes() {
    let mut kept = None;
    let trace = record(|| kept = Some(Deferred::<()>::fail(Failure::msg("no")).named("kept").map(|()| ())));
    let (lint, at) = only(&trace, Rule::Resting);
    assert_eq!(at, "f.resting");
    assert_eq!(lint.text, "f1 \"no\" rests in d1 \"kept\", which has no errback for it.");
    none(&trace, Rule::Lost);
    drop(kept.map(|d| d.add_errback(|_| Ok(()))));
    let trace = record(|| {
        let d = Deferred::<()>::fail(Failure::msg("no")).map(|()| ());
        d.add_errback(|_| Ok(())).detach();
    });
    none(&trace, Rule::Resting);
}

#[test]
fn chains_that_wait_for_each_other_are_told() {
    let program = |cycle: bool| {
        record(move || {
            let slot: Rc<RefCell<Option<Deferred<i32>>>> = Rc::default();
            let (one, first) = Deferred::<i32>::new();
            let (two, second) = Deferred::<i32>::new();
            let taken = slot.clone();
            let second = second.named("second").add_callback(move |n| match taken.borrow_mut().take() {
                Some(d) => d,
                None => Deferred::succeed(n),
            });
            let first = first.named("first").add_callback(move |_| second);
            if cycle {
                *slot.borrow_mut() = Some(first);
            } else {
                first.detach();
            }
            one.succeed(1);
            two.succeed(2);
            std::mem::forget(slot);
        })
    };
    let trace = program(true);
    let (lint, at) = only(&trace, Rule::WaitCycle);
    assert_eq!(at, "d.pause");
    assert!(lint.text.contains("\"second\" waits for d1 \"first\" waits for d2 \"second\""), "{}", lint.text);
    none(&program(false), Rule::WaitCycle);
}

#[test]
fn a_deferred_that_nobody_fires_is_told_when_all_is_over() {
    let program = |fire: bool| {
        on_loop(move |event_loop| {
            let (resolver, d) = Deferred::<i32>::new();
            let d = d.named("answer").map(|n| n + 1);
            let mut resolver = Some(resolver);
            let late = event_loop.call_later(5 * MS, |_| ());
            if fire && let Some(resolver) = resolver.take() {
                resolver.succeed(1);
            }
            assert!(event_loop.run().is_err(), "idle");
            drop(late);
            std::mem::forget((resolver, d));
        })
    };
    let trace = program(false);
    let (lint, _) = only(&trace, Rule::NeverFired);
    assert_eq!(lint.text, "d1 \"answer\" was never fired: 1 step did not run.");
    assert_eq!(lint.weight, Weight::Problem);
    none(&program(true), Rule::NeverFired);

    // One that nobody waits for is nobody's loss.
    let trace = record(|| std::mem::forget(Deferred::<i32>::new()));
    none(&trace, Rule::NeverFired);
}

#[test]
fn a_chain_that_was_dropped_and_never_fired_is_told() {
    let program = |forget: bool| {
        record(move || {
            let (resolver, d) = Deferred::<i32>::new();
            d.map(|n| n + 1).add_errback(|_| Ok(0)).detach();
            // Without its Resolver a chain gets a failure, and its steps run.
            if forget { std::mem::forget(resolver) } else { drop(resolver) }
        })
    };
    let trace = program(true);
    let (lint, _) = only(&trace, Rule::DroppedUnfired);
    assert_eq!(lint.text, "d1 was dropped with 2 steps left and never fired.");
    none(&program(false), Rule::DroppedUnfired);
}

#[test]
fn what_a_step_made_and_did_not_return_is_told() {
    let made = || {
        let (resolver, d) = Deferred::<i32>::new();
        std::mem::forget(resolver);
        d.named("inner")
    };
    let trace = record(|| {
        Deferred::succeed(1).named("outer").step_named("ask").map(move |_| drop(made().map(|n| n + 1))).detach();
    });
    let (lint, at) = only(&trace, Rule::NotReturned);
    assert_eq!(at, "d.new");
    assert!(lint.text.starts_with("d2 \"inner\" was made in step 0 \"ask\" of d1 \"outer\""), "{}", lint.text);
    // Returned, looked after, or kept for later.
    none(&record(|| Deferred::succeed(1).add_callback(move |_| made()).detach()), Rule::NotReturned);
    none(
        &record(|| Deferred::succeed(1).map(move |_| made().log_errors("x").detach()).detach()),
        Rule::NotReturned,
    );
    let kept: Rc<RefCell<Option<Deferred<i32>>>> = Rc::default();
    let keeper = kept.clone();
    none(
        &record(|| Deferred::succeed(1).map(move |_| *keeper.borrow_mut() = Some(made())).detach()),
        Rule::NotReturned,
    );
}

#[test]
fn a_result_after_a_cancel_is_a_remark_and_so_is_a_cancel_that_stops_nothing() {
    let trace = record(|| {
        let (resolver, d) = Deferred::<i32>::new();
        d.named("poem").log_errors("x").cancel();
        resolver.succeed(1);
    });
    let (lint, at) = only(&trace, Rule::Swallowed);
    assert_eq!((lint.weight, at), (Weight::Remark, "d.swallow"));
    assert_eq!(trace.get(lint.others[0]).expect("the cancel").kind.name(), "d.cancel");
    none(&trace, Rule::NoCanceller);

    let trace = record(|| {
        let (resolver, d) = Deferred::<i32>::new();
        d.named("poem").log_errors("x").cancel();
        drop(resolver);
    });
    none(&trace, Rule::Swallowed);
    let (lint, at) = only(&trace, Rule::NoCanceller);
    assert_eq!((lint.weight, at), (Weight::Remark, "d.cancel"));

    let trace = record(|| {
        let (resolver, d) = Deferred::<i32>::with_canceller(|| ());
        d.log_errors("x").cancel();
        drop(resolver);
    });
    none(&trace, Rule::NoCanceller);
}

#[test]
fn a_line_that_runs_its_step_now_or_later_is_a_remark() {
    fn add(d: Deferred<i32>) -> Deferred<i32> {
        d.map(|n| n + 1)
    }
    let trace = record(|| {
        let (resolver, d) = Deferred::new();
        let later = add(d);
        resolver.succeed(1);
        drop((later, add(Deferred::succeed(2))));
    });
    let (lint, at) = only(&trace, Rule::SometimesNow);
    assert_eq!((lint.weight, at), (Weight::Remark, "d.add"));
    assert!(lint.text.contains("tests/lints.rs"), "{}", lint.text);
    let trace = record(|| drop((add(Deferred::succeed(1)), add(Deferred::succeed(2)))));
    none(&trace, Rule::SometimesNow);
}

#[test]
fn a_slow_callback_is_told_with_the_timers_that_it_made_late() {
    let program = || {
        record_loop(EventLoop::new().expect("a loop"), |event_loop| {
            event_loop.call_later(MS, |_| {
                Deferred::succeed(()).step_named("count").map(|()| block(120 * MS)).detach();
            });
            event_loop.call_later(20 * MS, |_| ()).named("tick");
            event_loop.call_later(40 * MS, |event_loop| event_loop.stop());
            event_loop.run().expect("it is stopped");
        })
    };
    let trace = program();
    let (lint, at) = only(&trace, Rule::SlowCallback);
    assert_eq!(at, "cb.begin");
    assert!(lint.text.contains("callback of m1") && lint.text.contains("step 0 count"), "{}", lint.text);
    let (late, at) = only(&trace, Rule::LateTimers);
    assert_eq!(at, "timer.fire");
    assert!(late.text.starts_with("2 timers were late, m2 \"tick\" by "), "{}", late.text);
    assert_eq!(late.others[0], lint.s, "the callback that made them late");

    // The limits can be set: above what it took nothing is slow, and no timer is late.
    let mut limits = Limits::default();
    (limits.slow, limits.late) = (Duration::from_secs(3600), Duration::from_secs(3600));
    let lints = study::lints_with(&trace, &limits);
    assert!(!lints.iter().any(|lint| matches!(lint.rule, Rule::SlowCallback | Rule::LateTimers)), "{lints:#?}");
}

#[test]
fn what_waits_is_neither_slow_nor_late() {
    // On a virtual clock nothing depends on this machine.
    let trace = on_loop(|event_loop| {
        event_loop.call_later(MS, |_| block(MS));
        event_loop.call_later(500 * MS, |event_loop| event_loop.stop());
        event_loop.run().expect("it is stopped");
    });
    none(&trace, Rule::SlowCallback);
    none(&trace, Rule::LateTimers);
}

#[test]
fn turns_in_which_nothing_happens_are_a_busy_loop() {
    fn again(event_loop: &EventLoop, left: u32, work: bool) {
        if left == 0 {
            return event_loop.stop();
        }
        if work {
            trace::note("a piece of work");
        }
        event_loop.call_soon(move |event_loop| again(event_loop, left - 1, work));
    }
    let program = |turns, work| {
        on_loop(move |event_loop| {
            again(event_loop, turns, work);
            event_loop.run().expect("it is stopped");
        })
    };
    let trace = program(30, false);
    let (lint, at) = only(&trace, Rule::BusyLoop);
    assert_eq!(at, "poll.begin");
    assert!(lint.text.contains("the loop did not wait") && lint.text.contains("callback of p"), "{}", lint.text);
    none(&program(10, false), Rule::BusyLoop);
    none(&program(30, true), Rule::BusyLoop);
    // Each of these turns begins with a wait.
    let trace = on_loop(|event_loop| {
        fn tick(event_loop: &EventLoop, left: u32) {
            match left {
                0 => event_loop.stop(),
                left => drop(event_loop.call_later(MS, move |event_loop| tick(event_loop, left - 1))),
            }
        }
        tick(event_loop, 30);
        event_loop.run().expect("it is stopped");
    });
    none(&trace, Rule::BusyLoop);
}

#[test]
fn a_task_that_only_wakes_itself_is_told() {
    let program = |polls: u32| {
        on_loop(move |event_loop| {
            let mut left = polls;
            let task = event_loop.spawn(poll_fn(move |context| {
                if left == 0 {
                    return Poll::Ready(Ok(()));
                }
                left -= 1;
                context.waker().wake_by_ref();
                Poll::Pending
            }));
            event_loop.call_later(MS, |event_loop| event_loop.stop());
            event_loop.run().expect("it is stopped");
            drop(task.log_errors("task"));
        })
    };
    let trace = program(30);
    let (lint, at) = only(&trace, Rule::SelfWake);
    assert_eq!(at, "x.poll");
    assert!(lint.text.starts_with("Task x1 was polled 30 times"), "{}", lint.text);
    none(&trace, Rule::BusyLoop);
    none(&trace, Rule::NoWaker);
    none(&program(10), Rule::SelfWake);
}

#[test]
fn a_task_that_nobody_can_wake_is_told() {
    let program = |keep: bool| {
        on_loop(move |event_loop| {
            let mut kept = Vec::new();
            let task = event_loop.spawn(poll_fn(move |context| {
                if keep {
                    kept.push(context.waker().clone());
                }
                Poll::<Result<(), Failure>>::Pending
            }));
            event_loop.call_later(MS, |event_loop| event_loop.stop());
            event_loop.run().expect("it is stopped");
            drop(task.log_errors("task"));
        })
    };
    let trace = program(false);
    let (lint, at) = only(&trace, Rule::NoWaker);
    assert_eq!(at, "x.ret");
    assert!(lint.text.contains("Task x1"), "{}", lint.text);
    none(&program(true), Rule::NoWaker);
    // What the library's own futures wait for, the trace knows.
    let trace = on_loop(|event_loop| {
        let (_resolver, d) = Deferred::<()>::new();
        let task = event_loop.spawn(async move { d.await });
        event_loop.call_later(MS, |event_loop| event_loop.stop());
        event_loop.run().expect("it is stopped");
        drop(task.log_errors("task"));
    });
    none(&trace, Rule::NoWaker);
}

#[test]
fn on_a_virtual_clock_the_systems_clock_tells_what_is_slow() {
    let frame = |took: u64| {
        by_hand(&[
            "\"wall\":1000,\"k\":\"cb.begin\",\"slot\":\"timer\",\"label\":\"count\"",
            &format!("\"wall\":{},\"k\":\"cb.end\",\"b\":1,\"out\":\"ok\"", 1000 + took),
        ])
    };
    let (lint, at) = only(&frame(300_000_000), Rule::SlowCallback);
    assert_eq!((lint.s, at), (1, "cb.begin"));
    assert!(lint.text.contains("\"count\" ran for 300.0 ms"), "{}", lint.text);
    none(&frame(99_000_000), Rule::SlowCallback);
}

/// A trace that was written by hand: what no program of this library can show, another one's may.
fn by_hand(events: &[&str]) -> Trace {
    let mut text =
        String::from("{\"k\":\"trace\",\"v\":1,\"prog\":\"hand\",\"lib\":\"x\",\"clock\":\"virtual\"}\n");
    for (event, s) in events.iter().zip(1..) {
        text.push_str(&format!("{{\"s\":{s},\"t\":{s},\"turn\":1,{event}}}\n"));
    }
    Trace::read_json(text.as_bytes()).expect("a trace")
}

#[test]
fn a_task_that_waits_for_what_is_gone_is_told() {
    let arm = "\"k\":\"timer.arm\",\"m\":\"m1\",\"due\":9,\"late\":false";
    let spawn = "\"k\":\"x.spawn\",\"x\":\"x1\",\"late\":false";
    let wait = "\"k\":\"x.wait\",\"x\":\"x1\",\"on\":\"m1\"";
    let cancel = "\"k\":\"timer.cancel\",\"m\":\"m1\"";
    let wake = "\"k\":\"x.wake\",\"x\":\"x1\",\"self\":false";
    let end = "\"k\":\"end\",\"why\":\"idle\",\"open\":{\"d\":0,\"m\":0,\"i\":0,\"x\":1}";
    let trace = by_hand(&[arm, spawn, wait, cancel, end]);
    let (lint, at) = only(&trace, Rule::WaitsForGone);
    assert_eq!((lint.text.as_str(), at), ("Task x1 waits for m1, which is gone.", "x.wait"));
    none(&by_hand(&[arm, spawn, wait, cancel, wake, end]), Rule::WaitsForGone);
    none(&by_hand(&[arm, spawn, wait, end]), Rule::WaitsForGone);
}

/// Writes 16 MB in so many pieces, the later ones after the producer was asked to stop; the peer reads in between.
fn writes(pieces: usize) -> Trace {
    struct Deaf;
    impl Producer for Deaf {
        fn pause_producing(&mut self, _: &EventLoop) -> Result<(), Failure> {
            Ok(())
        }
        fn resume_producing(&mut self, _: &EventLoop) -> Result<(), Failure> {
            Ok(())
        }
        fn stop_producing(&mut self, _: &EventLoop) {}
    }
    let event_loop = EventLoop::new().expect("a loop");
    record_loop(event_loop, |event_loop| {
        let diary = Diary::new();
        let mut peer = accepted(event_loop, Acting::new(&diary, |_, _, _| Ok(())));
        let transport = diary.transport();
        transport.register_producer(event_loop, Deaf, Streaming::Push).expect("the first");
        let piece = vec![0; 16 << 20];
        for _ in 0..pieces {
            transport.write(&piece).expect("it is open");
            some_turns(event_loop);
        }
        // Something is read, so the connection can take something.
        let (before, mut some) = (transport.buffered(), vec![0; 1 << 16]);
        turn_until(event_loop, || {
            drop(std::io::Read::read(&mut peer, &mut some));
            transport.buffered() < before
        });
        transport.abort();
        turn_until(event_loop, || diary.is_lost());
    })
}

#[test]
fn a_reader_that_is_faster_than_its_writer_is_told() {
    let trace = writes(4);
    let (lint, at) = only(&trace, Rule::FastReader);
    assert_eq!(at, "io.write");
    assert!(lint.text.contains("times its limit of 65536"), "{}", lint.text);
    assert_eq!(trace.get(lint.others[0]).expect("an event").kind.name(), "flow.high");
    // One large write is above the limit too, and nobody goes on.
    none(&writes(1), Rule::FastReader);
}

#[test]
fn a_run_that_is_not_over_is_not_blamed_for_what_may_still_come() {
    let trace = by_hand(&[
        "\"k\":\"d.new\",\"d\":\"d1\",\"ty\":\"i32\",\"late\":false",
        "\"k\":\"d.add\",\"d\":\"d1\",\"n\":0,\"lanes\":\"c-\",\"names\":[\"f\"],\"late\":false",
    ]);
    assert_eq!(study::lints(&trace), []);
}

#[test]
fn a_lint_is_a_finding_of_the_page_and_a_line() {
    let trace = record(|| Deferred::<()>::fail(Failure::msg("</script>")).detach());
    let (lint, _) = only(&trace, Rule::Lost);
    let line = lint.to_string();
    assert!(line.starts_with(&format!("! s{} lost: ", lint.s)) && line.ends_with(Rule::Lost.advice()), "{line}");
    let finding = study::Finding::from(lint.clone());
    assert_eq!(finding.s, lint.s);
    let mut names: Vec<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Rule::ALL.len());
    assert_eq!(study::Stepper::of(trace).lints().len(), 1);
}
