//! Recordings that are begun with a loop, gates that hold the program, and where the events may go.

use ropewalk::testing::capture_unhandled;
use ropewalk::trace::{self, ClockKind, Ending, Event, Kind, Open, Pass, Recorder, Recording, Trace, TraceFile};
use ropewalk::{Deferred, EventLoop, Failure, Interest, RunError, TestClock};
use std::cell::{Cell, RefCell};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

fn names(trace: &Trace) -> Vec<&'static str> {
    trace.events().map(|event| event.kind.name()).collect()
}

fn finish(recording: Recording<Trace>) -> Trace {
    recording.finish().expect("not inside the recorder")
}

/// A file of this test that is removed at its end.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        Scratch(std::env::temp_dir().join(format!("ropewalk-{}-{name}", std::process::id())))
    }
    fn read(&self) -> Trace {
        let file = std::fs::File::open(&self.0).expect("the trace was written");
        Trace::read_json(std::io::BufReader::new(file)).expect("it is a trace")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

#[test]
fn a_recording_lasts_until_its_end_and_says_what_was_left() {
    let event_loop = EventLoop::builder().clock(&TestClock::new()).build().unwrap();
    let recording = event_loop.record(Trace::with_limit(1000));
    let (_resolver, d) = Deferred::<()>::new();
    event_loop.call_later(Duration::from_millis(1), |event_loop| event_loop.stop());
    event_loop.call_later(Duration::from_millis(2), |_| ());
    event_loop.run().unwrap();
    let trace = finish(recording);
    trace::note("nobody hears this");
    let last = trace.last().unwrap();
    assert_eq!(last.kind, Kind::End { why: Ending::Stopped, open: Open { d: 1, m: 1, i: 0, x: 0 } });
    assert_eq!(trace.clock(), ClockKind::Virtual);
    assert!(trace.events().all(|event| event.wall.is_some()), "the system's time stands beside a virtual one");
    assert!(!trace.prog().is_empty());
    drop(d);
}

#[test]
fn an_idle_loop_and_a_panic_end_a_recording_by_their_names() {
    let event_loop = EventLoop::new().unwrap();
    let recording = event_loop.record(Trace::with_limit(1000));
    assert!(matches!(event_loop.run(), Err(RunError::Idle(_))));
    assert!(matches!(finish(recording).last().unwrap().kind, Kind::End { why: Ending::Idle, .. }));

    // A run that ends well forgets how the one before it ended.
    let event_loop = EventLoop::new().unwrap();
    let recording = event_loop.record(Trace::with_limit(1000));
    assert!(matches!(event_loop.run(), Err(RunError::Idle(_))));
    event_loop.run_until(Deferred::succeed(1)).unwrap();
    assert!(matches!(finish(recording).last().unwrap().kind, Kind::End { why: Ending::Done, .. }));

    let event_loop = EventLoop::new().unwrap();
    let recording = event_loop.record(Trace::with_limit(1000));
    event_loop.call_soon(|event_loop| event_loop.stop());
    let (_resolver, never) = Deferred::<()>::new();
    assert!(event_loop.run_until(never).is_err());
    assert!(matches!(finish(recording).last().unwrap().kind, Kind::End { why: Ending::Stopped, .. }));

    let file = Scratch::new("panic");
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _recording = Recording::begin(TraceFile::create(&file.0).unwrap());
        trace::note("before");
        panic!("expected by the test");
    }));
    assert!(result.is_err());
    let trace = file.read();
    assert_eq!(names(&trace), ["note", "end"]);
    assert!(matches!(trace.last().unwrap().kind, Kind::End { why: Ending::Panic, .. }));
}

#[test]
fn a_recording_that_comes_late_is_told_what_is_there() {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
    let (ours, _theirs) = UnixStream::pair().unwrap();
    event_loop.register(ours, Interest::READ, |_, _, _| ()).unwrap();
    let timer = event_loop.call_later(Duration::from_millis(5), |_| ()).named("tea");
    event_loop.call_soon(|_| ());
    let (resolver, d) = Deferred::<i32>::new();
    let recording = event_loop.record(Trace::with_limit(1000));
    let _d = d.map(|n| n + 1);
    resolver.succeed(1);
    timer.reset(Duration::from_millis(6)).unwrap();
    clock.advance(Duration::from_millis(6)).unwrap();
    let trace = finish(recording);
    let late = |kind: &Kind<'_>| {
        matches!(
            kind,
            Kind::IoOpen { late: true, .. }
                | Kind::TimerArm { late: true, .. }
                | Kind::Post { late: true, .. }
                | Kind::DNew { late: true, .. }
        )
    };
    let late: Vec<_> = trace.events().filter(|event| late(&event.kind)).collect();
    assert_eq!(late.len(), 4, "{late:#?}");
    for name in ["timer.reset", "timer.fire", "cb.begin"] {
        let event = trace.events().find(|event| event.kind.name() == name).unwrap();
        assert!(late.iter().any(|late| late.s == event.reg), "{event:?}");
    }
}

#[test]
fn each_loop_may_have_a_recording_of_its_own() {
    let (one, two) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    let (first, second) = (one.record(Trace::with_limit(1000)), two.record(Trace::with_limit(1000)));
    one.call_soon(|_| trace::note("one"));
    two.call_soon(|_| trace::note("two"));
    one.turn(Some(Duration::ZERO)).unwrap();
    two.turn(Some(Duration::ZERO)).unwrap();
    // Not in the order in which they began.
    let (first, second) = (finish(first), finish(second));
    let notes = |trace: &Trace| -> Vec<String> {
        let note = |event: Event<'_>| match event.kind {
            Kind::Note { msg } => Some(msg.to_owned()),
            _ => None,
        };
        trace.events().filter_map(note).collect()
    };
    assert_eq!(notes(&first), ["one"]);
    assert_eq!(notes(&second), ["two"]);
    let ((), nobody) = trace::record(|| ());
    assert!(nobody.is_empty());
}

#[test]
fn no_recording_is_forgotten_whichever_end_while_a_loop_has_its_own() {
    type Hand = Rc<Cell<Option<Recording<Trace>>>>;
    let begin = || Recording::begin(Trace::with_limit(100));
    let hand = |recording| -> Hand { Rc::new(Cell::new(recording)) };
    let goes_on = |recordings: Vec<Recording<Trace>>| {
        for recording in recordings {
            trace::note("here");
            let trace = finish(recording);
            assert!(matches!(trace.nth(trace.len() - 2).map(|event| event.kind), Some(Kind::Note { msg: "here" })));
        }
        let ((), nobody) = trace::record(|| ());
        assert!(nobody.is_empty());
    };
    // What recorded before; the loop's own; one that begins inside, and stays in front.
    for ends in ["what recorded", "the loop's own", "nothing"] {
        let event_loop = EventLoop::new().unwrap();
        let first = begin();
        let own = hand(Some(event_loop.record(Trace::with_limit(100))));
        let (middle, last, inside) = (begin(), hand(Some(begin())), hand(None));
        let ended = match ends {
            "what recorded" => last.clone(),
            "the loop's own" => own.clone(),
            _ => Hand::default(),
        };
        let begun = inside.clone();
        event_loop.call_soon(move |_| {
            drop(ended.take());
            begun.set(Some(begin()));
        });
        event_loop.turn(Some(Duration::ZERO)).unwrap();
        let all = [inside.take(), last.take(), Some(middle), own.take(), Some(first)];
        goes_on(all.into_iter().flatten().collect());
    }
}

/// A gate that notes what it is asked, and takes some time.
#[derive(Default)]
struct Gate {
    asked: Rc<RefCell<Vec<(u32, &'static str)>>>,
    trace: Option<Trace>,
    hold: Duration,
    say: bool,
}

impl Recorder for Gate {
    fn event(&mut self, event: &Event<'_>) {
        self.trace.get_or_insert_with(|| Trace::with_limit(1000)).event(event);
    }
    fn is_gate(&self) -> bool {
        true
    }
    fn pass(&mut self, next: &Event<'_>) -> Pass {
        assert_eq!(self.trace.as_ref().map_or(0, Trace::len) as u32 + 1, next.s, "it has not happened yet");
        self.asked.borrow_mut().push((next.s, next.kind.name()));
        let start = std::time::Instant::now();
        while start.elapsed() < self.hold {
            std::hint::spin_loop();
        }
        if self.say { Pass::Held("looking".to_owned()) } else { Pass::Go }
    }
}

fn program() {
    let event_loop = EventLoop::builder().clock(&TestClock::new()).build().expect("a loop");
    let (resolver, d) = Deferred::<i32>::new();
    let fails = d.map(|n| n + 1).add_callback(|_| Err::<(), _>(Failure::msg("no"))).map(|()| ());
    let (canceller, cancelled) = Deferred::<()>::with_canceller(|| ());
    event_loop.call_later(Duration::from_millis(1), move |event_loop| {
        resolver.succeed(1);
        cancelled.cancel();
        drop((cancelled.log_errors("cancelled"), canceller, fails));
        event_loop.stop();
    });
    event_loop.run().expect("it is stopped");
}

#[test]
fn a_gate_is_asked_before_what_it_may_hold_and_nothing_else() {
    let unhandled = capture_unhandled();
    let gate = Gate::default();
    let asked = gate.asked.clone();
    let ((), gate) = trace::record_with(gate, program);
    let ((), plain) = trace::record(program);
    drop(unhandled.flush_unhandled());
    let trace = gate.trace.unwrap();
    assert_eq!(names(&trace), names(&plain), "a gate that does not hold leaves no mark");
    let expected: Vec<_> =
        trace.events().filter(|event| event.kind.is_gate()).map(|event| (event.s, event.kind.name())).collect();
    assert_eq!(*asked.borrow(), expected);
    let gates = ["turn.begin", "cb.begin", "d.step", "d.pass", "f.new", "f.lost", "f.resting", "canceller.begin"];
    for name in gates {
        assert!(expected.iter().any(|(_, asked)| *asked == name), "{name} in {expected:?}");
    }
}

#[test]
fn a_gate_that_held_the_program_leaves_an_event_in_front() {
    let gate = Gate { say: true, ..Gate::default() };
    let ((), gate) = trace::record_with(gate, || drop(Deferred::succeed(1).map(|n| n + 1)));
    let trace = gate.trace.unwrap();
    assert_eq!(names(&trace), ["d.new", "d.fire", "d.add", "gate", "d.step", "d.ret", "d.drop", "end"]);
    assert!(matches!(trace.get(4).unwrap().kind, Kind::Gate { why: "looking", .. }));
    assert!(trace.events().zip(1..).all(|(event, s)| event.s == s));
}

#[test]
fn the_clock_of_a_loop_stands_while_a_gate_holds_it() {
    let event_loop = EventLoop::new().unwrap();
    let hold = Duration::from_millis(20);
    let recording = event_loop.record(Gate { hold, ..Gate::default() });
    let before = event_loop.time();
    let wall = std::time::Instant::now();
    for _ in 0..5 {
        event_loop.call_soon(|_| ());
        event_loop.turn(Some(Duration::ZERO)).unwrap();
    }
    let (passed, wall) = (event_loop.time() - before, wall.elapsed());
    assert!(wall >= hold * 10);
    assert!(passed + hold * 10 <= wall, "{passed:?} of {wall:?}");
    let gate = recording.finish().unwrap();
    assert_eq!(gate.asked.borrow().len(), 10);
}

#[test]
fn a_loop_cannot_be_run_from_inside_a_recorder_or_a_gate() {
    struct Runs(Rc<EventLoop>, Rc<Cell<u32>>);
    impl Runs {
        fn tries(&self) {
            assert!(matches!(self.0.run(), Err(RunError::Reentrant)));
            assert!(matches!(self.0.turn(Some(Duration::ZERO)), Err(RunError::Reentrant)));
            assert!(matches!(self.0.run_one(), Err(RunError::Reentrant)));
            assert!(self.0.run_until(Deferred::succeed(1)).unwrap_err().check::<RunError>().is_some());
            self.1.set(self.1.get() + 1);
        }
    }
    impl Recorder for Runs {
        fn event(&mut self, _: &Event<'_>) {
            self.tries();
        }
        fn is_gate(&self) -> bool {
            true
        }
        fn pass(&mut self, _: &Event<'_>) -> Pass {
            self.tries();
            Pass::Go
        }
    }
    let tried = Rc::new(Cell::new(0));
    let event_loop = Rc::new(EventLoop::new().unwrap());
    // Before the loop runs, and while it runs.
    let recording = event_loop.record(Runs(event_loop.clone(), tried.clone()));
    event_loop.call_soon(|_| ());
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    drop(recording);
    assert!(tried.get() >= 6, "{}", tried.get());
}

#[test]
fn a_recorder_may_end_its_own_recording() {
    struct Ends(Rc<RefCell<Option<Recording<Ends>>>>, Rc<Cell<u32>>);
    impl Recorder for Ends {
        fn event(&mut self, _: &Event<'_>) {
            self.1.set(self.1.get() + 1);
            if let Some(recording) = self.0.take() {
                assert!(recording.finish().is_none());
            }
        }
    }
    let (hand, count) = (Rc::new(RefCell::new(None)), Rc::new(Cell::new(0)));
    let recording = Recording::begin(Ends(hand.clone(), count.clone()));
    *hand.borrow_mut() = Some(recording);
    trace::note("one");
    trace::note("two");
    assert_eq!(count.get(), 1);
}

/// A recorder that ends its own recording at the first event of that name.
struct EndsAt(&'static str, Rc<Cell<Option<Recording<EndsAt>>>>);

impl Recorder for EndsAt {
    fn event(&mut self, event: &Event<'_>) {
        if event.kind.name() == self.0 {
            drop(self.1.take());
        }
    }
}

#[test]
fn a_recording_goes_on_well_where_another_ended_in_the_middle_of_an_event() {
    for name in ["turn.begin", "post", "cb.begin", "d.step", "d.ret", "cb.end"] {
        let ((), trace) = trace::record(|| {
            let event_loop = EventLoop::new().unwrap();
            let remote = event_loop.remote();
            for _ in 0..2 {
                let step = |n: i32| {
                    (0..20).for_each(|_| trace::note("step"));
                    n
                };
                let call = move |_: &EventLoop| drop(Deferred::succeed(1).map(step));
                assert!(remote.post(call).is_ok());
            }
            trace::note("before");
            let hand = Rc::new(Cell::new(None));
            hand.set(Some(Recording::begin(EndsAt(name, hand.clone()))));
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(20) {}
            event_loop.turn(Some(Duration::ZERO)).unwrap();
        });
        // Its first event says when it took over again.
        let times = trace.events().skip(1).map(|event| event.t);
        assert!(times.clone().next().unwrap() >= 20_000_000, "{name}: {:?}", times.collect::<Vec<_>>());
        for event in trace.events() {
            let begin = event.kind.begin().map(|b| trace.get(b).map(|begin| begin.kind.name()));
            assert!(begin.is_none_or(|begin| begin.is_some()), "{name}: {event:?} ends what did not begin here");
            let frame = trace.get(event.frame);
            assert!(
                frame.is_none_or(|frame| frame.kind.opens_frame()),
                "{name}: {event:?} is called from {frame:?}"
            );
        }
    }
}

#[test]
fn a_recorder_that_is_told_of_its_end_knows_the_objects_of_the_recording_that_goes_on() {
    /// Adds a step when it hears of its end.
    struct Adds(Rc<Cell<Option<Deferred<i32>>>>);
    impl Recorder for Adds {
        fn event(&mut self, event: &Event<'_>) {
            if let Kind::End { .. } = event.kind {
                self.0.set(self.0.take().map(|d| d.map(|n| n + 1)));
            }
        }
    }
    let (_resolver, d) = Deferred::new();
    let hand = Rc::new(Cell::new(None));
    let first = Recording::begin(Adds(hand.clone()));
    trace::note("heard by the first");
    let second = Recording::begin(Trace::with_limit(100));
    hand.set(Some(d.map(|n: i32| n)));
    drop(first);
    let trace = finish(second);
    assert_eq!(names(&trace).iter().filter(|name| **name == "d.new").count(), 1, "{:?}", names(&trace));
    assert_eq!(names(&trace).iter().filter(|name| **name == "d.add").count(), 2, "{:?}", names(&trace));
}

#[test]
fn an_event_of_another_recording_is_no_reason_for_one_of_this() {
    // One of a loop that ran meanwhile, and one inside this.
    let (one, two) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    let (first, second) = (one.record(Trace::with_limit(1000)), two.record(Trace::with_limit(1000)));
    let hand = Rc::new(Cell::new(None));
    let fired = hand.clone();
    two.call_soon(move |_| fired.set(Some(Deferred::succeed(1))));
    two.turn(Some(Duration::ZERO)).unwrap();
    one.call_soon(move |_| {
        (0..30).for_each(|_| trace::note("one"));
        drop(hand.take().map(|d| d.map(|n| n)));
        let (d, _) = trace::record(|| Deferred::succeed(2));
        (0..30).for_each(|_| trace::note("one"));
        drop(d.map(|n| n));
    });
    one.turn(Some(Duration::ZERO)).unwrap();
    drop(second);
    let trace = finish(first);
    let steps: Vec<_> = trace.events().filter(|event| matches!(event.kind, Kind::DStep { .. })).collect();
    assert_eq!(steps.len(), 2);
    for step in steps {
        assert_eq!(trace.get(step.cause), None, "{step:?}");
        assert!(matches!(trace.get(step.reg).map(|reg| reg.kind), Some(Kind::DAdd { .. })), "{step:?}");
    }
}

#[test]
fn a_ring_keeps_the_last_events() {
    let ((), trace) = trace::record_with(Trace::ring(10), || (0..95).for_each(|n| trace::note(format!("n{n}"))));
    assert!((10..=20).contains(&trace.len()), "{}", trace.len());
    assert_eq!(trace.last().unwrap().s, 96);
    assert!(trace.events().rev().zip((1..=96).rev()).all(|(event, s)| event.s == s));
    assert_eq!(trace.dropped() as usize + trace.len(), 96);
    let first = trace.nth(0).unwrap();
    assert_eq!(trace.get(first.s), Some(first));
    assert_eq!(trace.get(first.s - 1), None);
    let mut bytes = Vec::new();
    trace.write_json(&mut bytes).unwrap();
    assert!(Trace::read_json(&bytes[..]).unwrap().events().eq(trace.events()));
}

#[test]
fn a_file_that_cannot_be_written_harms_nothing() {
    let Ok(file) = TraceFile::create("/dev/full") else { return };
    let ((), file) = trace::record_with(file, program_without_errors);
    drop(file);
    assert!(TraceFile::create("/no/such/folder/trace.jsonl").is_err());
}

fn program_without_errors() {
    let event_loop = EventLoop::new().expect("a loop");
    event_loop.call_soon(|_| ());
    assert_eq!(event_loop.turn(Some(Duration::from_millis(1))).expect("it turns"), 1);
}

#[test]
fn another_thread_sees_the_events_and_hears_of_those_it_was_too_slow_for() {
    let (recorder, mut seen) = trace::channel(3);
    trace::record_with(recorder, || (0..10).for_each(|n| trace::note(format!("n{n}"))));
    while seen.receive(Duration::ZERO) {}
    assert_eq!(seen.trace().len(), 3);
    assert_eq!(seen.lost(), 8);

    let (recorder, mut seen) = trace::channel(3);
    trace::record_with(recorder, || {
        (0..5).for_each(|n| trace::note(format!("n{n}")));
        while seen.receive(Duration::ZERO) {}
        (0..2).for_each(|n| trace::note(format!("m{n}")));
    });
    while seen.receive(Duration::ZERO) {}
    assert_eq!(names(seen.trace()), ["note", "note", "note", "drop", "note", "note"]);
    assert_eq!(seen.trace().events().map(|event| event.s).collect::<Vec<_>>(), [1, 2, 3, 5, 6, 7]);
    assert!(seen.trace().events().any(|event| event.kind == Kind::Drop { n: 2 }));
}

#[test]
fn two_recorders_hear_the_same() {
    let ((), (one, two)) =
        trace::record_with((Trace::with_limit(100), Trace::with_limit(100)), program_without_errors);
    assert!(one.events().eq(two.events()));
    assert!(one.len() > 5);
}

#[test]
fn a_group_tells_of_its_members_in_the_order_in_which_they_come() {
    let ((), trace) = trace::record(|| {
        let (first, a) = Deferred::<i32>::new();
        let all = ropewalk::gather_results(vec![a, Deferred::succeed(2)]);
        first.succeed(1);
        assert_eq!(ropewalk::testing::success_of(all), [1, 2]);
    });
    let group = trace.events().find(|event| matches!(event.kind, Kind::GNew { .. })).unwrap();
    let Kind::GNew { mode: trace::Mode::FailFast, of, .. } = group.kind else { panic!("{group:?}") };
    assert_eq!(of.len(), 2);
    let got: Vec<_> = trace
        .events()
        .filter_map(|event| match event.kind {
            Kind::GGot { i, lane: trace::Lane::Ok, .. } if event.reg == group.s => Some(i),
            _ => None,
        })
        .collect();
    assert_eq!(got, [1, 0]);
}

#[test]
fn a_time_out_a_late_result_and_a_job_say_what_they_are() {
    let event_loop = EventLoop::new().unwrap();
    let recording = event_loop.record(Trace::with_limit(1000));
    let (resolver, d) = Deferred::<i32>::new();
    let d = d.add_timeout(Duration::from_millis(1), &event_loop);
    assert!(event_loop.run_until(d).is_err());
    resolver.succeed(5);
    let fails = event_loop.defer_to_thread(|| Err::<(), _>(Failure::msg("no")));
    assert!(event_loop.run_until(fails).is_err());
    let trace = finish(recording);
    let find =
        |name: &str| trace.events().find(|event| event.kind.name() == name).unwrap_or_else(|| panic!("{name}"));
    let Kind::DTimeout { after: 1_000_000, m, .. } = find("d.timeout").kind else { panic!("{trace:?}") };
    assert!(trace.events().any(|event| matches!(event.kind, Kind::TimerFire { m: fired, .. } if fired == m)));
    let swallowed = find("d.swallow").kind;
    assert!(
        matches!(swallowed, Kind::DSwallow { val: Some(trace::Val::Ok { text: "5", .. }), .. }),
        "{swallowed:?}"
    );
    let (queued, begin, end, done) = (find("work.queue"), find("work.begin"), find("work.end"), find("work.done"));
    assert_eq!((begin.th, end.th, done.th), (Some(1), Some(1), None));
    assert!(begin.wall <= end.wall && begin.wall.is_some());
    assert_eq!((end.cause, done.cause), (begin.s, end.s));
    assert_eq!([begin.reg, end.reg, done.reg], [queued.s; 3]);
    assert!(matches!(end.kind, Kind::WorkEnd { out: trace::Out::Err, .. }));
    let busy = trace.events().filter_map(|event| match event.kind {
        Kind::TurnEnd { busy, .. } => Some(busy),
        _ => None,
    });
    assert!(busy.sum::<u64>() > 0);
}

#[test]
fn what_a_connection_reads_writes_and_holds_back_is_told() {
    struct Echo;
    impl ropewalk::Protocol for Echo {
        fn data_received(
            &mut self,
            _: &EventLoop,
            transport: &ropewalk::Transport,
            data: &[u8],
        ) -> Result<(), Failure> {
            transport.write(data)?;
            transport.lose_connection();
            Ok(())
        }
    }
    struct Says(Rc<Cell<usize>>);
    impl ropewalk::Protocol for Says {
        fn connection_made(&mut self, _: &EventLoop, transport: &ropewalk::Transport) -> Result<(), Failure> {
            Ok(transport.write(&[0; 10])?)
        }
        fn data_received(&mut self, _: &EventLoop, _: &ropewalk::Transport, data: &[u8]) -> Result<(), Failure> {
            self.0.set(self.0.get() + data.len());
            Ok(())
        }
        fn connection_lost(&mut self, event_loop: &EventLoop, _: Failure) {
            event_loop.stop();
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let recording = event_loop.record(Trace::with_limit(10_000));
    let port = event_loop.listen_tcp("127.0.0.1:0", |_: &EventLoop, _: &ropewalk::Address| Some(Echo)).unwrap();
    let came = Rc::new(Cell::new(0));
    let address = port.address().as_tcp().unwrap();
    event_loop.connect_tcp(address, Says(came.clone())).log_errors("connecting");
    event_loop.run().unwrap();
    let trace = finish(recording);
    assert_eq!(came.get(), 10);
    let written = |event: &Event<'_>| {
        matches!(event.kind, Kind::IoWrite { asked: 10, took: trace::Gave::Bytes(10), left: 0, .. })
    };
    assert_eq!(trace.events().filter(written).count(), 2);
    let read = |event: &Event<'_>| matches!(event.kind, Kind::IoRead { n: trace::Gave::Bytes(10), .. });
    assert_eq!(trace.events().filter(read).count(), 2);
    assert!(trace.events().any(|event| matches!(event.kind, Kind::IoRead { n: trace::Gave::Eof, .. })));
    assert!(trace.events().any(|event| matches!(event.kind, Kind::IoAccept { i, new } if i != new)));
    assert!(trace.events().any(|event| matches!(event.kind, Kind::CbBegin { slot: trace::Slot::Accept, .. })));
    let closed =
        trace.events().any(|event| matches!(event.kind, Kind::IoClose { why: Some(why), .. } if !why.is_empty()));
    assert!(closed);
}
