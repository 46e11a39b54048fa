//! What every trace promises, whatever was recorded.

use ropewalk::study::text_chain;
use ropewalk::testing::{capture_unhandled, success_of};
use ropewalk::trace::{self, Event, Id, Kind, Object, Out, Recorder, Trace};
use ropewalk::{Deferred, EventLoop, Failure, Resolver, TestClock};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

/// A program that does a bit of everything, on a clock that stands still until it is moved. Answers what it said.
fn everything() -> Vec<String> {
    let said: Rc<RefCell<Vec<String>>> = Rc::default();
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().expect("a loop");
    let say = {
        let said = said.clone();
        move |what: String| said.borrow_mut().push(what)
    };

    let (poem, d) = Deferred::new();
    let (engine, reply) = Deferred::<String>::new();
    let told = say.clone();
    d.named("get_poem")
        .step_named("ask the engine")
        .add_callback(move |_: &str| reply.named("engine"))
        .map(|text| text.len())
        .add_errback(move |failure| {
            told(failure.to_string());
            Ok(0)
        });
    let _ = event_loop.call_later(Duration::from_millis(50), move |_| poem.succeed("If I were")).named("poem");
    event_loop.call_later(Duration::from_millis(80), move |_| engine.fail(Failure::msg("engine down")));
    let unused = event_loop.call_later(Duration::from_millis(90), |_| unreachable!());
    event_loop.call_soon(move |_| unused.cancel().expect("it waits"));
    let told = say.clone();
    event_loop.call_soon(move |_| {
        let d = Deferred::succeed(1).map(|n| if n == 1 { panic!("in a step") } else { n });
        told(format!("{}", d.try_result().expect("it has its result").is_err()));
    });
    event_loop.call_soon(|_| panic!("in a callback"));

    let (late, d) = Deferred::<i32>::with_canceller(|| panic!("in a canceller"));
    d.cancel();
    drop(d);
    late.succeed(1);
    drop(Deferred::<()>::fail(Failure::msg("lost")));

    clock.advance(Duration::from_millis(100)).expect("the loop can turn");
    said.take()
}

fn quietly<T>(f: impl FnOnce() -> T) -> T {
    let unhandled = capture_unhandled();
    let value = f();
    drop(unhandled.flush_unhandled());
    value
}

fn recorded() -> Trace {
    quietly(|| trace::record(everything)).1
}

/// The events that `event` refers to.
fn references(event: &Event<'_>) -> impl Iterator<Item = u32> {
    let b = event.kind.begin().unwrap_or(0);
    [event.frame, event.cause, event.reg, b].into_iter().filter(|s| *s != 0)
}

fn begins_frame(kind: &Kind<'_>) -> bool {
    matches!(kind, Kind::TurnBegin { .. } | Kind::CbBegin { .. } | Kind::DStep { .. } | Kind::CancellerBegin { .. })
}

/// Each object that an event names.
fn ids(kind: &Kind<'_>) -> Vec<Id> {
    let text = format!("{kind:?}");
    let objects = [
        ("Deferred", Object::Deferred),
        ("Failure", Object::Failure),
        ("Timer", Object::Timer),
        ("Source", Object::Source),
        ("Post", Object::Post),
        ("Work", Object::Work),
        ("Task", Object::Task),
        ("Group", Object::Group),
    ];
    let after = text.split("Id(").skip(1);
    after
        .filter_map(|rest| {
            let (object, rest) = rest.split_once(", ")?;
            let (n, _) = rest.split_once(')')?;
            let object = objects.iter().find(|(name, _)| *name == object)?.1;
            Some(Id(object, n.parse().ok()?))
        })
        .collect()
}

#[test]
fn numbers_have_no_gap_references_point_back_and_time_goes_on() {
    let trace = recorded();
    assert!(trace.events().len() > 60, "{}", trace.events().len());
    for (i, event) in trace.events().enumerate() {
        assert_eq!(event.s as usize, i + 1);
        assert!(references(&event).all(|s| s < event.s), "{event:?}");
    }
    assert!(trace.events().is_sorted_by_key(|event| event.t));
}

#[test]
fn frames_nest_and_each_begin_has_its_end_even_after_panics() {
    let trace = recorded();
    let mut open: Vec<u32> = Vec::new();
    let mut panics = 0;
    for event in trace.events() {
        if let Some(b) = event.kind.begin()
            && !matches!(event.kind, Kind::PollEnd { .. })
        {
            assert_eq!(open.pop(), Some(b), "{event:?}");
        }
        assert_eq!(event.frame, open.last().copied().unwrap_or(0), "{event:?}");
        if begins_frame(&event.kind) {
            open.push(event.s);
        }
        if let Kind::CbEnd { out: Out::Panic, .. } | Kind::CancellerEnd { out: Out::Panic, .. } = event.kind {
            panics += 1;
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(panics, 2, "one in a callback of the loop, one in a canceller");
}

#[test]
fn each_object_is_announced_before_it_is_named() {
    let trace = recorded();
    let mut known = HashSet::new();
    for event in trace.events() {
        for id in ids(&event.kind) {
            let announces = match event.kind {
                Kind::DNew { d, .. } => d == id,
                Kind::FNew { f, .. } => f == id,
                Kind::TimerArm { m, .. } => m == id,
                Kind::Post { p, .. } => p == id,
                _ => false,
            };
            assert!(known.contains(&id) || announces, "{event:?}");
            known.insert(id);
        }
    }
}

#[test]
fn ids_are_small_and_counted_for_each_run() {
    for _ in 0..3 {
        let ((), trace) = trace::record(|| {
            let (resolver, d) = Deferred::new();
            resolver.succeed(1);
            assert_eq!(success_of(d.map(|n| n + 1)), 2);
        });
        let first = trace.nth(0).unwrap();
        assert_eq!(first.s, 1);
        assert!(matches!(first.kind, Kind::DNew { d: Id(Object::Deferred, 1), late: false, .. }), "{first:?}");
    }
}

#[test]
fn what_an_earlier_recording_left_is_no_link_in_this_one() {
    let (resolver, d) = Deferred::new();
    // A long first recording, so that its numbers are greater than those of the second.
    let (d, first) = trace::record(|| {
        (0..100).for_each(|i| trace::note(i.to_string()));
        d.map(|n: i32| n + 1)
    });
    assert_eq!(first.events().len(), 103);
    let ((), second) = trace::record(|| {
        (0..200).for_each(|i| trace::note(i.to_string()));
        resolver.succeed(1);
        assert_eq!(success_of(d), 2);
    });
    let step = second.events().find(|event| matches!(event.kind, Kind::DStep { .. })).expect("a step");
    assert_eq!(step.reg, 0, "it was added in the first recording: {step:?}");
    assert_ne!(step.cause, 0);
    let new = second.events().find(|event| matches!(event.kind, Kind::DNew { .. })).expect("a Deferred");
    assert!(matches!(new.kind, Kind::DNew { late: true, .. }), "{new:?}");
}

#[test]
fn recording_changes_nothing() {
    assert_eq!(quietly(everything), quietly(|| trace::record(everything).0));
}

#[test]
fn the_same_program_gives_the_same_text() {
    let text = || text_chain(&recorded()).stable().to_string();
    assert_eq!(text(), text());
    let trace = recorded();
    let kinds = |trace: &Trace| trace.events().map(|e| (e.s, e.turn, e.cause)).collect::<Vec<_>>();
    assert_eq!(kinds(&trace), kinds(&recorded()));
}

#[test]
fn a_recorder_may_call_the_library() {
    /// Runs chains of its own at each event, and fires one that the program waits for.
    struct Busy {
        seen: usize,
        resolver: Rc<Cell<Option<Resolver<i32>>>>,
    }
    impl Recorder for Busy {
        fn event(&mut self, _event: &Event<'_>) {
            self.seen += 1;
            let (resolver, d) = Deferred::new();
            let d = d.map(|n: i32| n + 1);
            resolver.succeed(1);
            assert_eq!(success_of(d), 2);
            trace::note("left out");
            if let Some(resolver) = self.resolver.take() {
                resolver.succeed(20);
            }
        }
    }
    let resolver = Rc::new(Cell::new(None));
    let recorder = Busy { seen: 0, resolver: resolver.clone() };
    let (value, recorder) = trace::record_with(recorder, || {
        let (own, d) = Deferred::<i32>::new();
        resolver.set(Some(own));
        success_of(d.map(|n| n + 1).map(|n| n * 2))
    });
    assert_eq!(value, 42);
    assert!(recorder.seen > 0);
}

#[test]
fn a_recorder_that_panics_gets_no_more_and_changes_nothing() {
    struct Third(u32);
    impl Recorder for Third {
        fn event(&mut self, _event: &Event<'_>) {
            self.0 += 1;
            assert!(self.0 < 3, "enough");
        }
    }
    let (said, recorder) = quietly(|| trace::record_with(Third(0), everything));
    assert_eq!(said, quietly(everything));
    assert_eq!(recorder.0, 3);
}

#[test]
fn a_recording_inside_a_recording_has_its_own_events() {
    let (inner, outer) = trace::record(|| {
        trace::note("before");
        let ((), inner) = trace::record(|| trace::note("inside"));
        trace::note("after");
        inner
    });
    let notes = |trace: &Trace| -> Vec<String> {
        let note = |event: Event<'_>| match event.kind {
            Kind::Note { msg } => Some(msg.to_owned()),
            _ => None,
        };
        trace.events().filter_map(note).collect()
    };
    assert_eq!(notes(&inner), ["inside"]);
    assert_eq!(notes(&outer), ["before", "after"]);
    assert_eq!(inner.nth(0).unwrap().s, 1);
}

#[test]
fn a_recording_that_begins_inside_a_step_hears_of_the_chain_again_within_sixteen_steps() {
    let recording = Rc::new(Cell::new(None));
    let (resolver, mut d) = Deferred::new();
    for n in 0..40 {
        let slot = recording.clone();
        d = d.map(move |before: i32| {
            if n == 2 {
                slot.set(Some(trace::Recording::begin(Trace::with_limit(1000))));
            }
            before + 1
        });
    }
    resolver.succeed(0);
    assert_eq!(success_of(d), 40);
    let trace = recording.take().and_then(trace::Recording::finish).expect("a trace");
    let steps: Vec<u32> = trace
        .events()
        .filter_map(|event| match event.kind {
            Kind::DStep { n, .. } => Some(n),
            _ => None,
        })
        .collect();
    let first = steps[0];
    assert!((3..=19).contains(&first), "{steps:?}");
    assert_eq!(steps, (first..40).collect::<Vec<_>>());
    assert!(matches!(trace.nth(0).unwrap().kind, Kind::DNew { late: true, .. }));
    for event in trace.events() {
        assert!(references(&event).all(|link| link < event.s), "{event:?}");
    }
    text_chain(&trace).to_string();
}

#[test]
fn a_recording_that_begins_inside_a_callback_hears_of_the_next_callback() {
    let event_loop = EventLoop::builder().clock(&TestClock::new()).build().expect("a loop");
    let recording = Rc::new(Cell::new(None));
    let slot = recording.clone();
    event_loop.call_soon(move |event_loop| slot.set(Some(event_loop.record(Trace::with_limit(1000)))));
    event_loop.call_soon(|_| trace::note("in the same turn"));
    event_loop.call_later(Duration::from_millis(1), |event_loop| event_loop.stop());
    event_loop.run().expect("it runs");
    let trace = recording.take().and_then(trace::Recording::finish).expect("a trace");
    let begun = trace.events().filter(|event| matches!(event.kind, Kind::CbBegin { .. })).count();
    assert_eq!(begun, 2, "the callback behind it and the timer: {:?}", trace.events().collect::<Vec<_>>());
    let note = trace.events().find(|event| matches!(event.kind, Kind::Note { .. })).expect("a note");
    assert_ne!(note.frame, 0, "it is inside its callback");
}

/// Passes events on, so that the recorder is no trace in memory itself.
struct Through(Trace);

impl Recorder for Through {
    fn begin(&mut self, header: &trace::Header<'_>) {
        self.0.begin(header);
    }
    fn event(&mut self, event: &Event<'_>) {
        self.0.event(event);
    }
}

#[test]
fn a_trace_in_memory_is_told_the_same_as_any_recorder() {
    let without_wall = |trace: &Trace| -> Vec<String> {
        trace.events().map(|event| format!("{:?}", Event { wall: None, ..event })).collect()
    };
    let memory = recorded();
    let (_, Through(through)) = trace::record_with(Through(Trace::with_limit(1000)), || quietly(everything));
    assert_eq!(without_wall(&memory), without_wall(&through));
    assert!(memory.events().all(|event| event.wall.is_some()), "the clock is a virtual one");
    // With whole numbers of 32 bits: the recording began late in the life of its thread.
    for _ in 0..3 {
        drop(trace::record(|| (0..70_000).for_each(|_| trace::note("again"))));
    }
    assert_eq!(without_wall(&memory), without_wall(&recorded()));
}

#[test]
fn what_a_recorder_takes_is_neither_a_callbacks_time_nor_a_waits() {
    /// Takes a millisecond for each event that begins something.
    struct Slow(TestClock, Trace);
    impl Recorder for Slow {
        fn event(&mut self, event: &Event<'_>) {
            if matches!(event.kind, Kind::CbBegin { .. } | Kind::PollBegin { .. }) {
                self.0.jump_by(Duration::from_millis(1)).expect("nothing is due");
            }
            self.1.event(event);
        }
    }
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().expect("a loop");
    let recording = event_loop.record(Slow(clock, Trace::with_limit(100)));
    event_loop.call_soon(|_| ());
    event_loop.turn(Some(Duration::ZERO)).expect("the loop can turn");
    let Slow(clock, trace) = recording.finish().expect("a trace");
    assert_eq!(clock.now(), Duration::from_millis(2));
    let times = trace.events().filter_map(|event| match event.kind {
        Kind::TurnEnd { busy, .. } => Some(("busy", busy)),
        Kind::PollEnd { waited, .. } => Some(("waited", waited)),
        _ => None,
    });
    assert_eq!(times.collect::<Vec<_>>(), [("waited", 0), ("busy", 0)]);
}

#[test]
fn a_loop_inside_a_callback_of_another_gives_the_clock_back() {
    let clocks = [TestClock::new(), TestClock::new()];
    let [outer, inner] = clocks.clone().map(|clock| EventLoop::builder().clock(&clock).build().expect("a loop"));
    clocks[1].advance(Duration::from_secs(9)).expect("the loop can turn");
    let recording = outer.record(Trace::with_limit(1000));
    outer.call_later(Duration::from_secs(10), move |outer| {
        trace::note("before");
        inner.call_later(Duration::from_secs(2), |inner| {
            trace::note("inside");
            inner.stop();
        });
        inner.run().expect("it is stopped");
        trace::note("behind");
        outer.call_later(Duration::from_secs(5), |outer| {
            trace::note("later");
            outer.stop();
        });
    });
    outer.run().expect("it is stopped");
    let trace = recording.finish().expect("a trace");
    let times = trace.events().filter_map(|event| match event.kind {
        Kind::Note { msg } => Some((msg.to_owned(), event.t / 1_000_000_000)),
        _ => None,
    });
    let expected = [("before", 10), ("inside", 11), ("behind", 11), ("later", 15)];
    assert_eq!(times.collect::<Vec<_>>(), expected.map(|(msg, t)| (msg.to_owned(), t)));
    // What a callback took is told on its own loop's clock.
    assert!(trace.events().all(|event| !matches!(event.kind, Kind::TurnEnd { busy: 1.., .. })));
}

#[test]
fn a_recording_ends_with_a_panic_that_leaves_it() {
    let result = catch_unwind(AssertUnwindSafe(|| trace::record(|| panic!("out of it"))));
    assert!(result.is_err());
    // Nothing records any more; and a new recording begins at 1.
    trace::note("nobody hears this");
    let ((), trace) = trace::record(|| trace::note("heard"));
    assert_eq!(trace.events().len(), 2, "the note and the end");
    assert_eq!(trace.nth(0).unwrap().s, 1);
}

#[test]
fn a_full_recording_says_where_events_were_lost() {
    let ((), trace) = trace::record_with(Trace::with_limit(3), || {
        for i in 0..10 {
            trace::note(i.to_string());
        }
    });
    assert_eq!(trace.dropped(), 8, "seven notes and the end");
    let [.., third, last] = trace.events().collect::<Vec<_>>()[..] else { panic!("{trace:?}") };
    assert_eq!((third.s, last.s), (3, 4));
    assert_eq!(last.kind, Kind::Drop { n: 8 });
    assert_eq!(trace.events().len(), 4);
    assert!(text_chain(&trace).to_string().ends_with("(8 more events found no room in the recording)\n"));
}

#[test]
fn a_full_recording_can_be_drawn_wherever_it_was_cut() {
    let whole = recorded().events().len();
    for limit in (0..whole).step_by(5) {
        let (_, trace) = quietly(|| trace::record_with(Trace::with_limit(limit), everything));
        assert_eq!(trace.events().len(), (limit + 1).min(whole));
        let _ = text_chain(&trace).to_string();
        let _ = text_chain(&trace).one_line().to_string();
    }
}

#[test]
fn a_turn_that_was_left_in_its_middle_breaks_no_frame_around_it() {
    let ((), trace) = trace::record(|| {
        let event_loop = EventLoop::new().expect("a loop");
        event_loop.call_soon(|_| ());
        event_loop.call_soon(|_| ());
        let d = Deferred::succeed(event_loop).map(|event_loop| {
            event_loop.run_one().expect("one callback");
            event_loop
        });
        success_of(d).turn(Some(Duration::ZERO)).expect("the rest of the turn");
    });
    let ends: Vec<u32> = trace.events().filter_map(|event| event.kind.begin()).collect();
    let step = trace.events().find(|event| matches!(event.kind, Kind::DStep { .. })).expect("a step");
    assert!(ends.contains(&step.s));
}

/// Does one thing to the program's own objects, inside event `at`.
struct Meddler {
    at: u32,
    act: Rc<dyn Fn()>,
}

impl Recorder for Meddler {
    fn event(&mut self, event: &Event<'_>) {
        if event.s == self.at {
            (self.act)();
        }
    }
}

#[test]
fn a_recorder_that_fires_cancels_or_adds_at_any_event_breaks_no_chain() {
    type Hand<T> = Rc<Cell<Option<T>>>;
    fn fire(resolver: &Hand<Resolver<i32>>) {
        if let Some(resolver) = resolver.take() {
            resolver.succeed(1);
        }
    }
    fn program(outer: &Hand<Resolver<i32>>, inner: &Hand<Resolver<i32>>, hand: &Hand<Deferred<i32>>) -> String {
        let (resolver, waits_for) = Deferred::<i32>::new();
        inner.set(Some(resolver));
        let (resolver, d) = Deferred::<i32>::new();
        outer.set(Some(resolver));
        let d = d.map(|n| n + 1).add_callback(move |n| waits_for.map(move |m| m + n)).add_errback(|_| Ok(3));
        hand.set(Some(d));
        fire(outer);
        if let Some(d) = hand.take() {
            hand.set(Some(d.map(|n| n * 10)));
        }
        fire(inner);
        let d = hand.take().expect("the Deferred is in hand");
        match d.try_result() {
            Ok(result) => format!("{:?}", result.map_err(|failure| failure.to_string())),
            Err(pending) => format!("stuck: {pending:?}"),
        }
    }
    for at in 0..60 {
        for what in 0..4 {
            let (outer, inner, hand): (Hand<_>, Hand<_>, Hand<Deferred<i32>>) = Default::default();
            let cancelled = Rc::new(Cell::new(false));
            let act: Rc<dyn Fn()> = {
                let (outer, inner, hand, cancelled) =
                    (outer.clone(), inner.clone(), hand.clone(), cancelled.clone());
                match what {
                    0 => Rc::new(move || fire(&outer)),
                    1 => Rc::new(move || fire(&inner)),
                    2 => Rc::new(move || {
                        if let Some(d) = hand.take() {
                            hand.set(Some(d.map(|n| n)));
                        }
                    }),
                    _ => Rc::new(move || {
                        if let Some(d) = hand.take() {
                            d.cancel();
                            hand.set(Some(d));
                            cancelled.set(true);
                        }
                    }),
                }
            };
            let (result, _) = trace::record_with(Meddler { at, act }, || program(&outer, &inner, &hand));
            // 1 + 1 + 1, times 10; or what the errback gives, times 10.
            assert_eq!(result, "Ok(30)", "act {what} at event {at}, cancelled: {}", cancelled.get());
        }
    }
}

#[test]
fn a_chain_dropped_and_fired_inside_events_still_reports_its_error() {
    for at in 0..12 {
        let unhandled = capture_unhandled();
        let hand = Rc::new(Cell::new(None));
        let act = hand.clone();
        let act: Rc<dyn Fn()> = Rc::new(move || {
            if let Some(resolver) = act.take() {
                Resolver::<i32>::fail(resolver, Failure::msg("engine down"));
            }
        });
        trace::record_with(Meddler { at, act }, || {
            let (resolver, d) = Deferred::<i32>::new();
            hand.set(Some(resolver));
            drop(d.map(|n| n + 1));
            drop(hand.take());
        });
        assert_eq!(unhandled.flush_unhandled().len(), 1, "fired at event {at}");
    }
}
