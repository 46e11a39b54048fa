//! The report of a failure that nobody handled: its exact text.

use ropewalk::testing::capture_unhandled;
use ropewalk::trace::{self, Event, Recorder, Trace};
use ropewalk::{CancelledError, Deferred, EventLoop, Failure, TestClock, fs};
use std::time::Duration;

const FILE: &str = file!();

/// The only report that `f` causes.
fn report(f: impl FnOnce()) -> String {
    let unhandled = capture_unhandled();
    f();
    let reports = unhandled.flush_unhandled();
    assert_eq!(reports.len(), 1, "{reports:#?}");
    reports[0].to_string()
}

fn count_lines(text: &'static str) -> Result<usize, Failure> {
    match text {
        "" => Err(Failure::msg("division by zero")),
        _ => Ok(text.len()),
    }
}
const RAISED: u32 = line!() - 4;

#[test]
fn names_where_it_was_raised_the_chain_and_where_an_errback_would_go() {
    let mut line = 0;
    let said = report(|| {
        line = line!();
        let (resolver, audit) = Deferred::new();
        drop(audit.named("audit").add_callback(count_lines));
        resolver.succeed("");
    });
    let expected = format!(
        "error lost in \"audit\": division by zero
  raised     {FILE}:{RAISED}:19  step 0 count_lines, ok lane
  chain      made {FILE}:{}:33
             fired {FILE}:{}:18, 1 step
  lost       no errback after step 0
  help       add .add_errback(..) after line {} of {FILE},
             or .log_errors(\"audit\") if you mean to ignore it",
        line + 1,
        line + 3,
        line + 2,
    );
    assert_eq!(said, expected);
}

#[test]
fn names_the_steps_it_passed_by() {
    let mut line = 0;
    let said = report(|| {
        line = line!();
        let d = Deferred::<i32>::fail(Failure::msg("engine down"));
        d.map(|n| n + 1).add_callback(|n| Ok(n + 1));
    });
    let expected = format!(
        "error lost in a Deferred: engine down
  raised     {FILE}:{}:39
  chain      made {FILE}:{}:17, 2 steps
  passed by  {FILE}:{}:11  (no errback there)
  passed by  {FILE}:{}:26  (no errback there)
  lost       no errback after step 1
  help       add .add_errback(..) after line {} of {FILE},
             or .log_errors(\"what it is\") if you mean to ignore it",
        line + 1,
        line + 1,
        line + 2,
        line + 2,
        line + 2,
    );
    assert_eq!(said, expected);
}

#[test]
fn an_errback_that_raises_another_is_named_with_its_lane() {
    let mut line = 0;
    let said = report(|| {
        line = line!();
        drop(
            Deferred::<i32>::fail(Failure::msg("first"))
                .step_named("tidy up")
                .add_errback(|_| Err(Failure::msg("second"))),
        );
    });
    let at = line + 4;
    assert!(said.starts_with("error lost in a Deferred: second\n"), "{said}");
    assert!(said.contains(&format!("raised     {FILE}:{at}:")), "{said}");
    assert!(said.contains("  step 0 tidy up, err lane\n"), "{said}");
}

#[test]
fn an_error_that_an_errback_passes_on_keeps_its_birthplace() {
    let said = report(|| {
        drop(Deferred::succeed("").add_callback(count_lines).add_errback(Err::<usize, _>));
    });
    assert!(said.contains("  step 0 count_lines, ok lane\n"), "{said}");
}

#[test]
fn an_error_from_a_returned_deferred_names_that_one() {
    let mut line = 0;
    let said = report(|| {
        line = line!();
        drop(Deferred::succeed(()).add_callback(|()| Deferred::succeed("").add_callback(count_lines)));
    });
    let inner = format!(", of the Deferred made at {FILE}:{}:54\n", line + 1);
    assert!(said.contains(&inner), "{said}");
}

#[test]
fn a_cancel_is_raised_where_it_was_asked_for() {
    let mut line = 0;
    let said = report(|| {
        let (_resolver, d) = Deferred::<i32>::new();
        line = line!();
        d.cancel();
    });
    assert!(said.contains(&format!("raised     {FILE}:{}:11\n", line + 1)), "{said}");
    assert!(said.contains(", cancelled, no step\n"), "{said}");
    let unhandled = capture_unhandled();
    let (_resolver, d) = Deferred::<i32>::new();
    d.cancel();
    drop(d);
    assert!(unhandled.flush_unhandled()[0].failure().check::<CancelledError>().is_some());
}

#[test]
fn an_abandoned_chain_says_so() {
    let said = report(|| {
        let (resolver, d) = Deferred::<i32>::new();
        drop(d);
        drop(resolver);
    });
    assert!(said.starts_with("error lost in a Deferred: abandoned: the Resolver made at "), "{said}");
    assert!(said.contains(", abandoned, no step\n"), "{said}");
}

#[test]
fn more_passed_by_steps_than_are_kept_are_counted() {
    let said = report(|| {
        let mut d = Deferred::<i32>::fail(Failure::msg("far away"));
        for _ in 0..11 {
            d = d.map(|n| n);
        }
        drop(d);
    });
    assert_eq!(said.matches("passed by").count(), 8);
    assert!(said.contains("\n             and 3 more\n"), "{said}");
}

#[test]
fn a_recording_adds_ids_and_the_events_that_led_there() {
    let mut said = String::new();
    let ((), trace) = trace::record(|| {
        said = report(|| {
            drop(Deferred::succeed("").named("audit").add_callback(count_lines));
        });
    });
    assert!(said.starts_with("error lost in d1 \"audit\": division by zero  (f1)\n"), "{said}");
    let why = said.lines().find_map(|line| line.strip_prefix("  why        s")).expect("a line that says why");
    let numbers: Vec<usize> = why.split(" < s").map(|n| n.parse().expect("a number")).collect();
    let kinds: Vec<String> = numbers
        .iter()
        .map(|s| format!("{:?}", trace.nth(s - 1).unwrap().kind).split(' ').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(kinds, ["FLost", "DRet", "DStep", "DFire"]);
}

/// The report of an audit that fails inside the timer "tick" and is dropped so much later.
fn audit_is_dropped_after(rest: Duration) -> String {
    report(|| {
        let clock = TestClock::new();
        let event_loop = EventLoop::builder().clock(&clock).build().expect("a loop");
        let (resolver, audit) = Deferred::new();
        let audit = audit.named("audit").add_callback(count_lines);
        let tick = Duration::from_millis(10);
        event_loop.call_later(tick, move |_| resolver.succeed("")).named("tick");
        event_loop.call_later(tick + rest, move |_| drop(audit));
        clock.advance(Duration::from_millis(100)).expect("the loop can turn");
    })
}

#[test]
fn a_report_tells_what_led_to_it_whoever_records_and_when_the_trace_is_full() {
    /// Forgets everything.
    struct Nothing;
    impl Recorder for Nothing {
        fn event(&mut self, _: &Event<'_>) {}
    }
    fn said<R: Recorder + 'static>(recorder: R) -> String {
        trace::record_with(recorder, || audit_is_dropped_after(Duration::from_millis(20))).0
    }
    let in_memory = said(Trace::with_limit(1000));
    assert!(in_memory.contains(" by m1 \"tick\", 1 step\n") && in_memory.contains("  why        s"), "{in_memory}");
    assert!(in_memory.contains("it rested for 20.000 ms\n"), "{in_memory}");
    assert_eq!(said(Nothing), in_memory);
    // One that has the events of another recording already, of the same numbers.
    let ((), used) = trace::record_with(Trace::with_limit(1000), || (0..100).for_each(|_| trace::note("before")));
    assert_eq!(said(used), in_memory);
    // A ring that forgets too much, one that does not, and one that is not the only recorder.
    assert_eq!(said(Trace::ring(1)), in_memory);
    assert_eq!(said(Trace::ring(5000)), in_memory);
    assert_eq!(said((Nothing, Trace::with_limit(1000))), in_memory);
    for limit in 0..40 {
        assert_eq!(said(Trace::with_limit(limit)), in_memory, "full after {limit} events");
    }
}

#[test]
fn a_recording_tells_for_how_long_an_error_rested_on_the_loops_clock() {
    let (said, _) = trace::record(|| audit_is_dropped_after(Duration::from_micros(20_060)));
    assert!(said.contains("\n  lost       no errback after step 0; it rested for 20.060 ms\n"), "{said}");
    assert!(said.contains(" by m1 \"tick\", 1 step\n"), "{said}");
}

#[test]
fn a_failing_file_names_the_line_that_asked_for_it() {
    let unhandled = capture_unhandled();
    let event_loop = EventLoop::new().expect("a loop");
    let line = line!() + 1;
    let failure = event_loop.run_until(fs::read(&event_loop, "/there/is/no/such/file")).unwrap_err();
    assert_eq!((failure.raised().file(), failure.raised().line()), (FILE, line));
    // A loop that was stopped meanwhile, or has nothing to wait for, names the line that ran it.
    let (first, d) = Deferred::<()>::new();
    let line = line!() + 1;
    let failure = event_loop.run_until(d).unwrap_err();
    assert_eq!((failure.raised().file(), failure.raised().line()), (FILE, line), "{failure:?}");
    event_loop.call_soon(|event_loop| event_loop.stop());
    let (second, d) = Deferred::<()>::new();
    let line = line!() + 1;
    let failure = event_loop.run_until(d).unwrap_err();
    assert_eq!((failure.raised().file(), failure.raised().line()), (FILE, line), "{failure:?}");
    drop((first, second));
    assert_eq!(unhandled.flush_unhandled().len(), 2, "the two that were abandoned");
}

#[test]
fn what_another_thread_fires_names_the_line_there() {
    let event_loop = EventLoop::new().expect("a loop");
    let (resolver, d) = event_loop.remote_deferred::<()>();
    d.named("from afar").detach();
    let mut line = 0;
    let said = report(|| {
        line = line!() + 1;
        let fire = move || resolver.fail(std::io::Error::other("cable cut"));
        std::thread::spawn(fire).join().expect("it only fires");
        event_loop.turn(None).expect("the letter is there");
    });
    assert!(said.contains(&format!("\n  raised     {FILE}:{line}:")), "{said}");
    assert!(said.contains(&format!("\n             fired {FILE}:{line}:")), "{said}");
}
