//! Fields that few events have: each is told where it is known.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use ropewalk::task::LoopingCall;
use ropewalk::testing::MemoryLoop;
use ropewalk::trace::{self, Event, Kind, Object, Slot, Trace, Val, Via};
use ropewalk::{Deferred, EventLoop, Failure, Protocol, Streaming, TestClock, Transport};

fn recorded(program: impl FnOnce()) -> Trace {
    trace::record(program).1
}

fn find<'t>(trace: &'t Trace, wanted: impl Fn(&Kind<'t>) -> bool) -> Event<'t> {
    trace.events().find(|event| wanted(&event.kind)).expect("the event is recorded")
}

/// How each failure came to be, in order.
fn vias(trace: &Trace) -> Vec<Via> {
    let via = |event: Event<'_>| match event.kind {
        Kind::FNew { via, .. } => Some(via),
        _ => None,
    };
    trace.events().filter_map(via).collect()
}

#[test]
fn the_timer_of_a_looping_call_says_after_which_time_it_comes_again() {
    let trace = recorded(|| {
        let clock = TestClock::new();
        let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
        let looping = LoopingCall::new(|_| Ok(()));
        looping.start(&event_loop, Duration::from_millis(7), false).detach();
        event_loop.call_later(Duration::from_millis(3), |_| {});
        clock.advance(Duration::from_millis(7)).unwrap();
        looping.stop().unwrap();
    });
    let arms = trace.events().filter_map(|event| match event.kind {
        Kind::TimerArm { every, .. } => Some(every),
        _ => None,
    });
    assert_eq!(arms.collect::<Vec<_>>(), [Some(7_000_000), None, Some(7_000_000)]);
}

#[test]
fn a_failure_says_whether_it_is_a_time_out_the_systems_or_a_threads() {
    let trace = recorded(|| {
        let clock = TestClock::new();
        let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
        let (resolver, waiting) = Deferred::<()>::new();
        waiting.add_timeout(Duration::from_secs(1), &event_loop).add_errback(|_| Ok(())).detach();
        clock.advance(Duration::from_secs(1)).unwrap();
        drop(resolver);
    });
    assert_eq!(vias(&trace), [Via::Cancel, Via::Timeout]);

    let trace = recorded(|| {
        let gone = io::Error::from(io::ErrorKind::NotFound);
        Deferred::<()>::fail(gone).add_errback(|_| Ok(())).detach();
        let read = || Err::<(), _>(Failure::msg("no paper"));
        Deferred::succeed(()).add_callback(move |()| read()).add_errback(|_| Ok(())).detach();
    });
    assert_eq!(vias(&trace), [Via::Io, Via::Err]);

    let trace = recorded(|| {
        let event_loop = EventLoop::new().unwrap();
        let said = event_loop.defer_to_thread(|| Err::<(), _>(Failure::msg("not prime")));
        event_loop.run_until(said).unwrap_err();
        let panicked = event_loop.defer_to_thread(|| -> Result<(), Failure> { panic!("expected by the test") });
        event_loop.run_until(panicked).unwrap_err();
        let missing = event_loop.defer_to_thread(|| Ok(std::fs::read("/no/such/file")?));
        event_loop.run_until(missing).unwrap_err();
        let (resolver, remote) = event_loop.remote_deferred::<()>();
        std::thread::spawn(move || resolver.fail(Failure::msg("no sum"))).join().unwrap();
        event_loop.run_until(remote).unwrap_err();
    });
    assert_eq!(vias(&trace), [Via::Thread, Via::Panic, Via::Io, Via::Thread]);
}

#[test]
fn a_post_says_which_worker_posted_it() {
    let trace = recorded(|| {
        let event_loop = EventLoop::new().unwrap();
        let remote = event_loop.remote();
        std::thread::spawn(move || remote.post(|_| {}).unwrap()).join().unwrap();
        event_loop.turn(None).unwrap();
        event_loop.run_until(event_loop.defer_to_thread(|| Ok(()))).unwrap();
    });
    let posts: Vec<Event<'_>> = trace.events().filter(|e| matches!(e.kind, Kind::Post { .. })).collect();
    assert_eq!(posts.iter().map(|post| post.th).collect::<Vec<_>>(), [None, Some(1)]);
    let called = trace.events().filter(|e| matches!(e.kind, Kind::CbBegin { slot: Slot::Post, .. }));
    assert_eq!(called.map(|event| event.reg).collect::<Vec<_>>(), [posts[0].s, posts[1].s]);
}

#[test]
fn a_task_says_what_it_came_to_and_who_woke_it() {
    let trace = recorded(|| {
        let clock = TestClock::new();
        let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
        let (resolver, poem) = Deferred::<i32>::new();
        event_loop.call_later(Duration::from_millis(1), |_| resolver.succeed(7));
        let read = event_loop.spawn(async move { Ok(poem.await? + 1) });
        assert_eq!(event_loop.block_on(read.into_future()).unwrap(), 8);
        event_loop.spawn(async { Err::<(), _>(Failure::msg("no paper")) }).add_errback(|_| Ok(())).detach();
        event_loop.turn(Some(Duration::ZERO)).unwrap();
    });
    let timer = find(&trace, |kind| matches!(kind, Kind::TimerFire { .. }));
    let Kind::TimerFire { m, .. } = timer.kind else { unreachable!() };
    let woken = find(&trace, |kind| matches!(kind, Kind::XWake { .. }));
    assert!(matches!(woken.kind, Kind::XWake { by: Some(by), own: false, .. } if by == m), "{woken:?}");
    // The task itself, then the future that waits for it outside, then the one that fails.
    let vals = trace.events().filter_map(|event| match event.kind {
        Kind::XRet { val: Some(val), .. } => Some(val),
        _ => None,
    });
    let vals: Vec<Val<'_>> = vals.collect();
    assert!(matches!(vals[0], Val::Ok { text: "8", ty: "i32" }), "{vals:?}");
    assert!(matches!(vals[1], Val::Ok { text: "", ty: "i32" }), "{vals:?}");
    assert!(matches!(vals[2], Val::Err(f) if f.0 == Object::Failure), "{vals:?}");
    assert_eq!(vias(&trace), [Via::Err]);
}

#[test]
fn a_waker_that_is_dropped_is_told_when_nothing_else_can_come() {
    let trace = recorded(|| {
        let event_loop = EventLoop::new().unwrap();
        let kept = Rc::new(RefCell::new(None::<Waker>));
        let keep = kept.clone();
        let future = poll_fn(move |context| {
            *keep.borrow_mut() = Some(context.waker().clone());
            Poll::<Result<(), Failure>>::Pending
        });
        let never = event_loop.spawn(future);
        event_loop.call_later(Duration::from_millis(1), move |_| drop(kept.take()));
        event_loop.run_until(never).unwrap_err();
    });
    let kept = find(&trace, |kind| matches!(kind, Kind::WakerClone { .. }));
    let dropped = find(&trace, |kind| matches!(kind, Kind::WakerDrop { .. }));
    assert!(kept.s < dropped.s);
    let lints = ropewalk::study::lints(&trace);
    let lint = lints.iter().find(|lint| lint.rule == ropewalk::study::Rule::NoWaker);
    assert_eq!(lint.expect("nobody can wake it").s, dropped.s);
}

#[test]
fn a_copy_of_a_shared_result_says_of_which_deferred() {
    let trace = recorded(|| {
        let (resolver, poem) = Deferred::<i32>::new();
        let shared = poem.named("poem").share();
        shared.get().named("reader").detach();
        resolver.succeed(1);
    });
    let made = |kind: &Kind<'_>| matches!(kind, Kind::DNew { of: Some(of), .. } if of.1 == 1);
    assert!(matches!(find(&trace, made).kind, Kind::DNew { d, .. } if d.1 == 2));
}

#[test]
fn steps_that_the_library_adds_are_marked() {
    let trace = recorded(|| {
        let event_loop = EventLoop::new().unwrap();
        event_loop.run_until(Deferred::succeed(1).map(|n| n + 1)).unwrap();
    });
    let steps = trace.events().filter_map(|event| match event.kind {
        Kind::DAdd { n, .. } | Kind::DStep { n, .. } | Kind::DRet { n, .. } => Some((n, event.sys)),
        _ => None,
    });
    let (own, theirs): (Vec<_>, Vec<_>) = steps.partition(|(_, sys)| *sys);
    assert!(own.len() == 3 && own.iter().all(|(n, _)| *n == 1), "{own:?}");
    assert!(theirs.len() == 3 && theirs.iter().all(|(n, _)| *n == 0), "{theirs:?}");
}

struct Quiet;

impl Protocol for Quiet {}

#[test]
fn a_source_says_its_address() {
    let mut port = String::new();
    let trace = recorded(|| {
        let event_loop = EventLoop::new().unwrap();
        let listening = event_loop.listen_tcp("127.0.0.1:0", |_, _| Some(Quiet)).unwrap();
        port = listening.address().to_string();
        event_loop.run_until(event_loop.connect_tcp(&*port, Quiet)).unwrap();
    });
    let names = trace.events().filter_map(|event| match event.kind {
        Kind::IoOpen { what, name, .. } => Some((what, name?)),
        _ => None,
    });
    let names: Vec<(&str, &str)> = names.collect();
    assert!(names.contains(&("ropewalk::Port", &port)), "{names:?}");
    assert!(names.contains(&("ropewalk::Connector", &port)), "{names:?}");
    assert!(names.contains(&("ropewalk::Transport", &port)), "{names:?}");
}

#[test]
fn a_connection_in_memory_tells_what_a_socket_tells() {
    struct Pass(Transport);
    impl Protocol for Pass {
        fn data_received(&mut self, _: &EventLoop, _: &Transport, data: &[u8]) -> Result<(), Failure> {
            Ok(self.0.write(data)?)
        }
    }
    let trace = recorded(|| {
        let test = MemoryLoop::new().unwrap();
        let slow = test.connected(Quiet);
        slow.set_room(Some(4));
        slow.transport().set_water_marks(6, 0);
        let fast = test.connected(Pass(slow.transport()));
        slow.transport().register_producer(&test, fast.transport(), Streaming::Push).unwrap();
        fast.send("twelve bytes");
        assert_eq!(slow.transport().buffered(), 8);
        slow.clear();
        slow.clear();
        assert_eq!(slow.transport().buffered(), 0);
        fast.send_end();
        slow.send_end();
    });
    let [slow, fast] = [1, 2].map(|n| ropewalk::trace::Id(Object::Source, n));
    let of = |event: Event<'_>| match event.kind {
        Kind::IoOpen { i, what: "ropewalk::Transport", name: Some("(memory)"), late: false } => Some((i, "open")),
        Kind::IoReady { i, .. } => Some((i, "ready")),
        Kind::IoRead { i, .. } => Some((i, "read")),
        Kind::IoWrite { i, left: 8, .. } => Some((i, "8 left")),
        Kind::IoWrite { i, .. } => Some((i, "write")),
        Kind::FlowHigh { i, left: 8, limit: 6 } => Some((i, "high")),
        Kind::FlowStop { src: Some(src), because: Some(_) } => Some((src, "stop")),
        Kind::FlowLow { i, left: 0 } => Some((i, "low")),
        Kind::FlowGo { src: Some(src), because: Some(_) } => Some((src, "go")),
        Kind::IoClose { i, .. } => Some((i, "close")),
        _ => None,
    };
    let told: Vec<_> = trace.events().filter_map(of).collect();
    for expected in [
        (slow, "open"),
        (fast, "open"),
        (fast, "ready"),
        (fast, "read"),
        (slow, "8 left"),
        (slow, "high"),
        (fast, "stop"),
        (slow, "ready"),
        (slow, "low"),
        (fast, "go"),
        (fast, "close"),
        (slow, "close"),
    ] {
        assert!(told.contains(&expected), "{expected:?} is missing in {told:?}");
    }
    let high = find(&trace, |kind| matches!(kind, Kind::FlowHigh { .. }));
    assert_eq!(find(&trace, |kind| matches!(kind, Kind::FlowStop { .. })).cause, high.s);
}
