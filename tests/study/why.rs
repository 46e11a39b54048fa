use crate::{every_kind, record};
use ropewalk::study::{Link, Timeline, Why, why};
use ropewalk::trace::{Event, Kind};
use ropewalk::{Deferred, EventLoop};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn why_of(timeline: &Timeline, wanted: impl Fn(&Event<'_>) -> bool) -> Why {
    let event = timeline.trace().events().find(|event| wanted(event)).expect("the event is recorded");
    why(timeline.trace(), event.s, timeline.head())
}

#[test]
fn the_way_back_goes_from_an_error_that_was_handled_to_the_wait_and_to_who_armed_the_timer() {
    let timeline = Timeline::of(record(every_kind::poem));
    let why = why_of(&timeline, |event| matches!(event.kind, Kind::FHandled { .. }));
    let rows: Vec<String> =
        why.rows().iter().map(|row| format!("{} {}", row.link.words(), row.text).trim().to_owned()).collect();
    assert_eq!(
        rows,
        [
            "f2 handled by d2 step 2",
            "woken by -> ok \"original poem\"",
            "called from d2 step 2 keep_original  err lane",
            "woken by d2 step 1 shout passed by (x)",
            "woken by d2 resumed, err f2",
            "woken by d1 fired err f2",
            "called from engine reply",
            "woken by timer m2 engine reply due",
            "woken by wait over: timer",
            "registered at armed m2 engine reply +80.0 ms",
        ]
    );
    let armed = why.rows().last().expect("it has rows");
    assert_eq!(armed.link, Link::RegisteredAt);
    assert!(armed.at.as_ref().expect("a place").0.ends_with("every_kind.rs"));
    let text = why.to_string();
    assert!(text.starts_with("s") && text.contains("\n  registered at  s"), "{text}");
}

#[test]
fn a_late_timer_names_the_callback_that_held_it_up() {
    let trace = record(|| {
        let event_loop = EventLoop::new().expect("a loop");
        let slow = |event_loop: &EventLoop| {
            let timer = event_loop.call_later(90 * MS, |event_loop| event_loop.stop()).named("late");
            timer.reset(MS).expect("it waits");
            let due = event_loop.time() + MS;
            while event_loop.time() <= due {}
        };
        event_loop.call_later(MS, slow).named("slow");
        event_loop.run().expect("it is stopped");
    });
    let timeline = Timeline::of(trace);
    let rows = |m: &str| {
        let id = m.parse().expect("an id");
        let why = why_of(&timeline, |event| matches!(event.kind, Kind::TimerFire { m, .. } if m == id));
        why.rows().iter().map(|row| format!("{} {}", row.link.words(), row.text)).collect::<Vec<_>>()
    };
    assert!(rows("m2").iter().any(|row| row == "held up by slow"), "{:?}", rows("m2"));
    // The system may have been late for this one, but no callback ran.
    assert!(rows("m1").iter().all(|row| !row.contains("held up by")), "{:?}", rows("m1"));
}

#[test]
fn every_way_back_ends_and_leads_back() {
    for program in [every_kind::poem, every_kind::endings, every_kind::the_loop, every_kind::outside] {
        let timeline = Timeline::of(record(program));
        for event in timeline.trace().events() {
            let why = why(timeline.trace(), event.s, timeline.head());
            assert_eq!(why.rows()[0].s, event.s);
            assert!(why.rows()[1..].iter().all(|row| row.s < event.s && row.link != Link::Itself), "{why}");
        }
    }
}

#[test]
fn a_long_way_is_shown_by_its_two_ends() {
    let trace = record(|| {
        let (resolver, mut d) = Deferred::<i32>::new();
        for _ in 0..1000 {
            d = d.map(|n| n + 1);
        }
        d.detach();
        resolver.succeed(1);
    });
    let timeline = Timeline::of(trace.clone());
    let last = trace.events().rfind(|event| event.kind.name() == "d.ret").expect("a step ran").s;
    let why = why(timeline.trace(), last, timeline.head());
    let (left_out, gap) = why.left_out();
    assert_eq!(why.rows().len(), 60);
    assert!(left_out > 1900 && gap == 40, "{left_out} {gap}");
    assert!(why.to_string().contains(&format!("\n  ({left_out} more)\n")));
    assert!(why.rows().last().expect("it has rows").text.starts_with("d1 + step 0"), "{why}");
    assert!(ropewalk::study::why(&trace, 100_000, timeline.head()).rows().is_empty());
}
