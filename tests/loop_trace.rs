//! What the loop tells a recording: frames that nest, and the three links of each event.

use std::cell::Cell;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use ropewalk::trace::{self, Event, Kind, Out, Recording, Slot, Trace, Woke};
use ropewalk::{EventLoop, Interest, TestClock};

fn find<'t>(events: &[Event<'t>], wanted: impl Fn(&Kind<'t>) -> bool) -> Event<'t> {
    *events.iter().find(|event| wanted(&event.kind)).expect("the event is recorded")
}

/// Ends match their begins, in order, and every link leads back.
fn check(events: &[Event<'_>]) {
    let mut open = Vec::new();
    for event in events {
        for link in [event.frame, event.cause, event.reg] {
            assert!(link < event.s, "{event:?}");
        }
        match event.kind {
            Kind::TurnBegin { .. } | Kind::CbBegin { .. } => {
                assert_eq!(event.frame, open.last().copied().unwrap_or(0), "{event:?}");
                open.push(event.s);
            }
            Kind::TurnEnd { b, .. } | Kind::CbEnd { b, .. } => assert_eq!(open.pop(), Some(b), "{event:?}"),
            _ => {}
        }
    }
    assert!(open.is_empty(), "open at the end: {open:?}");
}

#[test]
fn a_wait_on_a_test_clock_is_told_as_on_any_other_clock() {
    let ((), trace) = trace::record(|| {
        let event_loop = EventLoop::builder().clock(&TestClock::new()).build().unwrap();
        event_loop.call_later(Duration::from_millis(5), |event_loop| event_loop.stop());
        event_loop.run().unwrap();
    });
    let events = &trace.events().collect::<Vec<_>>()[..];
    let begin = find(events, |kind| matches!(kind, Kind::PollBegin { .. }));
    assert!(matches!(begin.kind, Kind::PollBegin { timeout: Some(5_000_000), .. }), "{begin:?}");
    let end = find(events, |kind| matches!(kind, Kind::PollEnd { .. }));
    assert!(matches!(end.kind, Kind::PollEnd { waited: 5_000_000, woke: Woke::Timer, ready: [], .. }), "{end:?}");
    assert_eq!((begin.t, end.t), (0, 5_000_000));
}

#[test]
fn a_source_that_is_ready_ends_a_wait_on_a_test_clock_at_once() {
    let ((), trace) = trace::record(|| {
        let event_loop = EventLoop::builder().clock(&TestClock::new()).build().unwrap();
        let (mut theirs, ours) = UnixStream::pair().unwrap();
        theirs.write_all(b"!").unwrap();
        event_loop.register(ours, Interest::READ, |event_loop, _, _| event_loop.stop()).unwrap();
        event_loop.call_later(Duration::from_millis(5), |_| unreachable!());
        event_loop.run().unwrap();
    });
    let events = &trace.events().collect::<Vec<_>>()[..];
    let end = find(events, |kind| matches!(kind, Kind::PollEnd { .. }));
    assert!(matches!(end.kind, Kind::PollEnd { waited: 0, woke: Woke::Io, .. }), "{end:?}");
}

#[test]
fn a_timer_says_who_armed_it_and_what_woke_it() {
    let clock = TestClock::new();
    let ((), trace) = trace::record(|| {
        let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
        event_loop.call_soon(|event_loop| {
            event_loop.call_later(Duration::from_millis(5), |event_loop| event_loop.stop()).named("the end");
        });
        event_loop.run().unwrap();
    });
    let events = &trace.events().collect::<Vec<_>>()[..];
    check(events);
    let post = find(events, |kind| matches!(kind, Kind::Post { .. }));
    let soon = find(events, |kind| matches!(kind, Kind::CbBegin { slot: Slot::Soon, .. }));
    assert_eq!(soon.reg, post.s);
    let arm = find(events, |kind| matches!(kind, Kind::TimerArm { .. }));
    assert_eq!(arm.frame, soon.s);
    assert_eq!(arm.at.unwrap().file(), "tests/loop_trace.rs");
    let fire = find(events, |kind| matches!(kind, Kind::TimerFire { .. }));
    assert!(matches!(fire.kind, Kind::TimerFire { late: 0, .. }));
    assert_eq!(fire.reg, arm.s);
    assert_eq!(fire.t, 5_000_000);
    assert!(matches!(events[fire.cause as usize - 1].kind, Kind::PollEnd { .. }));
    let called = find(events, |kind| matches!(kind, Kind::CbBegin { slot: Slot::Timer, .. }));
    assert_eq!((called.cause, called.reg), (fire.s, arm.s));
    assert_eq!(called.label, Some("the end"));
    let stop = find(events, |kind| matches!(kind, Kind::LoopStop { .. }));
    assert_eq!(stop.frame, called.s);
}

#[test]
fn a_source_says_where_it_was_registered_and_a_panic_closes_its_frame() {
    let ((), trace) = trace::record(|| {
        let event_loop = EventLoop::new().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        event_loop.register(ours, Interest::READ, |_, _, _| panic!("expected by the test")).unwrap();
        theirs.write_all(b"x").unwrap();
        event_loop.call_soon(|_| {});
        event_loop.turn(None).unwrap();
    });
    let events = &trace.events().collect::<Vec<_>>()[..];
    check(events);
    let open = find(events, |kind| matches!(kind, Kind::IoOpen { .. }));
    let ready = find(events, |kind| matches!(kind, Kind::IoReady { .. }));
    assert!(matches!(ready.kind, Kind::IoReady { r: true, w: false, hup: false, .. }));
    assert_eq!(ready.reg, open.s);
    let called = find(events, |kind| matches!(kind, Kind::CbBegin { slot: Slot::Ready, .. }));
    assert_eq!((called.cause, called.reg), (ready.s, open.s));
    find(events, |kind| matches!(kind, Kind::CbEnd { b, out: Out::Panic } if *b == called.s));
    let close = find(events, |kind| matches!(kind, Kind::IoClose { .. }));
    assert_eq!(close.reg, open.s);
    find(events, |kind| matches!(kind, Kind::TurnEnd { ran: 2, .. }));
}

#[test]
fn a_source_that_is_removed_says_where() {
    let ((), trace) = trace::record(|| {
        let event_loop = EventLoop::new().unwrap();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let id = event_loop.register(ours, Interest::READ, |_, _, _| ()).unwrap();
        assert!(matches!(event_loop.remove(id), ropewalk::Removed::Now(_)));
    });
    let events = &trace.events().collect::<Vec<_>>()[..];
    let close = find(events, |kind| matches!(kind, Kind::IoClose { .. }));
    assert_eq!(close.at.map(|at| at.file()), Some(file!()));
}

#[test]
fn a_turn_in_steps_is_one_turn_of_the_trace() {
    let (_, trace) = trace::record(|| {
        let event_loop = EventLoop::new().unwrap();
        event_loop.call_soon(|_| {});
        event_loop.call_soon(|_| {});
        assert!(event_loop.run_one().unwrap());
        assert!(event_loop.run_one().unwrap());
        event_loop.turn(Some(Duration::ZERO)).unwrap();
    });
    let events = &trace.events().collect::<Vec<_>>()[..];
    check(events);
    let turns = trace.events().filter(|event| matches!(event.kind, Kind::TurnBegin { .. })).count();
    assert_eq!(turns, 1);
    find(events, |kind| matches!(kind, Kind::TurnEnd { ran: 2, .. }));
}

#[test]
fn changes_of_timers_and_posts_of_other_threads_are_told() {
    let (_, trace) = trace::record(|| {
        let event_loop = EventLoop::new().unwrap();
        let timer = event_loop.call_later(Duration::from_secs(9), |_| {});
        timer.reset(Duration::from_secs(8)).unwrap();
        timer.cancel().unwrap();
        let remote = event_loop.remote();
        std::thread::spawn(move || remote.post(|_| {}).unwrap()).join().unwrap();
        event_loop.turn(None).unwrap();
    });
    let events = &trace.events().collect::<Vec<_>>()[..];
    check(events);
    let arm = find(events, |kind| matches!(kind, Kind::TimerArm { .. }));
    assert_eq!(find(events, |kind| matches!(kind, Kind::TimerReset { .. })).reg, arm.s);
    assert_eq!(find(events, |kind| matches!(kind, Kind::TimerCancel { .. })).reg, arm.s);
    let post = find(events, |kind| matches!(kind, Kind::Post { .. }));
    let called = find(events, |kind| matches!(kind, Kind::CbBegin { slot: Slot::Post, .. }));
    assert_eq!(called.reg, post.s);
    assert_eq!(called.at.unwrap().file(), "tests/loop_trace.rs");
}

#[test]
fn a_recording_that_begins_inside_a_callback_tells_of_waits_by_the_loops_clock() {
    let virtual_loop = EventLoop::builder().clock(&TestClock::new()).build().unwrap();
    for (event_loop, exact) in [(virtual_loop, true), (EventLoop::new().unwrap(), false)] {
        let hand = Rc::new(Cell::new(None));
        let recording = hand.clone();
        event_loop.call_later(Duration::from_millis(20), move |event_loop| {
            recording.set(Some(Recording::begin(Trace::with_limit(1000))));
            event_loop.call_later(Duration::from_millis(2), |event_loop| event_loop.stop());
        });
        event_loop.run().unwrap();
        let trace = hand.take().and_then(Recording::finish).expect("it began, and goes on");
        // How long a wait was to last at most.
        let asked = |b| match trace.get(b).map(|begin| begin.kind) {
            Some(Kind::PollBegin { timeout, .. }) => timeout,
            _ => None,
        };
        let waits = trace.events().filter_map(|event| match event.kind {
            Kind::PollEnd { b, waited, woke: Woke::Timer, .. } => Some((asked(b)?, waited)),
            _ => None,
        });
        let waits: Vec<_> = waits.collect();
        if exact {
            assert_eq!(waits, [(2_000_000, 2_000_000)]);
        }
        // Where the machine was slow, the timer was due before, and there was no wait.
        for (asked, waited) in waits {
            assert!((asked / 2..3_600_000_000_000).contains(&waited), "{asked} asked, {waited} waited");
        }
    }
}
