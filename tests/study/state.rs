use crate::{every_kind, record};
use ropewalk::study::state::{Fate, Life, Stage, Standing};
use ropewalk::study::{State, Timeline, sentence, sentences, text_chain};
use ropewalk::testing::capture_unhandled;
use ropewalk::trace::{Event, Id, Kind, Lane, Loss, Object, Trace};
use ropewalk::{Deferred, DeferredList, EventLoop, Failure, TestClock, gather_results, trace};
use std::time::Duration;

fn d(n: u32) -> Id {
    Id(Object::Deferred, n)
}

fn f(n: u32) -> Id {
    Id(Object::Failure, n)
}

/// Thousands of chains and timers, so that several copies of the state are kept.
fn long() {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().expect("a loop");
    for i in 0..100_u64 {
        let (resolver, d) = Deferred::<u64>::new();
        d.named(format!("chain {i}")).map(|n| n + 1).add_callback(Deferred::succeed).detach();
        event_loop.call_later(Duration::from_millis(i % 7), move |_| resolver.succeed(i));
    }
    clock.advance(Duration::from_millis(10)).expect("the loop can turn");
}

#[test]
fn a_jump_gives_the_same_state_as_the_way_there_for_every_event() {
    let programs = [every_kind::poem, every_kind::endings, every_kind::the_loop, every_kind::outside, long];
    let traces: Vec<Trace> = programs.into_iter().map(record).chain([every_kind::cut()]).collect();
    assert!(traces.iter().any(|trace| trace.len() > 1200), "several copies are kept");
    for trace in &traces {
        let timeline = Timeline::of(trace.clone());
        let mut state = State::new();
        assert_eq!(timeline.state_at(0), state);
        let said: Vec<String> = sentences(trace).map(|(_, said)| said).collect();
        for (i, event) in trace.events().enumerate() {
            if i % 7 == 0 {
                assert_eq!(
                    sentence(&timeline.state_at(event.s - 1), &event),
                    said[i],
                    "a sentence needs no history"
                );
            }
            state.apply(&event);
            assert!(timeline.state_at(event.s) == state, "after {event:?}");
        }
        assert!(*timeline.head() == state);
        assert!(timeline.state_at(u32::MAX) == state, "past the end is the end");
    }
}

#[test]
fn a_copy_is_not_changed_by_what_comes_later() {
    let trace = record(long);
    let mut timeline = Timeline::new();
    let mut early = Vec::new();
    for event in trace.events() {
        timeline.push(&event);
        if event.s.is_multiple_of(250) {
            early.push(timeline.head().clone());
        }
    }
    for state in early {
        assert!(timeline.state_at(state.s()) == state);
    }
}

#[test]
fn frames_are_open_as_the_trace_says() {
    let trace = record(every_kind::poem);
    let mut state = State::new();
    for event in trace.events() {
        let innermost = match event.kind.begin() {
            // The end of a frame is told from outside of it.
            Some(_) if !matches!(event.kind, Kind::PollEnd { .. }) => state.frames().iter().rev().nth(1),
            _ => state.frames().last(),
        };
        assert_eq!(innermost.map_or(0, |frame| frame.s), event.frame, "{event:?}");
        state.apply(&event);
    }
    assert!(state.frames().is_empty());
}

#[test]
fn the_pause_of_a_chain_is_seen_while_it_lasts() {
    let trace = record(every_kind::poem);
    let timeline = Timeline::of(trace.clone());
    let pause = trace.events().find(|e| matches!(e.kind, Kind::DPause { .. })).expect("it pauses");
    let state = timeline.state_at(pause.s);
    let Kind::DPause { d: outer, on } = pause.kind else { unreachable!() };
    let chain = state.chain(outer).expect("it is known");
    assert_eq!(chain.name.as_deref(), Some("get_poem"));
    assert_eq!((chain.standing, chain.reached, chain.waiting_steps()), (Standing::Paused(on), Some(0), 3));
    assert_eq!(chain.paused, Some((pause.s, 50_000_000)));
    assert_eq!(state.chain(on).expect("it is known").waiter, Some(outer));
    assert!(state.chain(on).expect("it is known").is_open());
    // What the loop still has to do then: three of its four timers.
    let waiting: Vec<&str> =
        state.timers().filter(|m| m.stage == Stage::Waits).map(|m| m.label.as_deref().unwrap_or("-")).collect();
    assert_eq!(waiting, ["engine reply", "audit tick", "-"]);
    // And in the end.
    let chain = timeline.head().chain(outer).expect("it is known");
    assert_eq!(chain.paused, None, "the pause is over");
    let fates: Vec<&Fate> = chain.steps().map(|step| &step.fate).collect();
    assert!(matches!(fates[0], Fate::Ran(Lane::Ok, None)), "{fates:?}");
    assert_eq!(fates[1], &Fate::Passed(Lane::Err), "the error passed by the step that was to shout");
    assert!(matches!(fates[2], Fate::Ran(Lane::Err, Some(_))), "{fates:?}");
    assert!(matches!(fates[3], Fate::Ran(Lane::Ok, Some(_))), "{fates:?}");
}

#[test]
fn a_failure_rests_and_is_lost_another_is_handled() {
    let trace = record(every_kind::poem);
    let timeline = Timeline::of(trace.clone());
    let rests = trace.events().find(|e| matches!(e.kind, Kind::FResting { .. })).expect("one rests");
    let Kind::FResting { f: lost, d: audit } = rests.kind else { unreachable!() };
    assert_eq!(timeline.state_at(rests.s).failure(lost).expect("it is known").life, Life::Rests(audit));
    let head = timeline.head();
    let lost = head.failure(lost).expect("it is known");
    assert_eq!((lost.life, &*lost.msg), (Life::Lost(audit, Loss::Dropped), "division by zero"));
    assert_eq!(head.chain(audit).expect("it is known").standing, Standing::Lost(lost.id));
    let other = head.failures().find(|error| error.id != lost.id).expect("two were raised");
    assert!(matches!(other.life, Life::Handled(_, 2)), "{other:?}");
}

#[test]
fn the_ends_of_failures_and_chains() {
    let trace = record(every_kind::endings);
    let timeline = Timeline::of(trace.clone());
    let head = timeline.head();
    let lives: Vec<Life> = head.failures().map(|error| error.life).collect();
    for expected in [Life::Handled(d(1), 0), Life::Replaced(f(3)), Life::Lost(d(2), Loss::Dropped)] {
        assert!(lives.contains(&expected), "{expected:?} in {lives:?}");
    }
    assert!(lives.iter().any(|life| matches!(life, Life::Taken(_))), "{lives:?}");
    assert!(head.chains().any(|chain| matches!(chain.standing, Standing::WentTo(_))));
    assert!(head.chains().any(|chain| chain.standing == Standing::Taken));
}

#[test]
fn ids_of_any_size_take_no_room() {
    let trace = record(every_kind::poem);
    let mut events: Vec<Event<'_>> = trace.events().collect();
    for event in &mut events {
        if let Kind::DFire { d, .. } | Kind::DNew { d, .. } | Kind::DAdd { d, .. } = &mut event.kind {
            d.1 = u32::MAX - d.1;
        }
        if let Kind::DAdd { n, .. } | Kind::DStep { n, .. } = &mut event.kind {
            *n = u32::MAX - *n;
        }
    }
    let mut state = State::new();
    for event in &events {
        let _ = sentence(&state, event);
        state.apply(event);
    }
    assert!(state.chain(d(u32::MAX - 1)).is_some());
}

#[test]
fn a_failure_that_a_group_takes_is_kept_by_it_or_lost_there() {
    let unhandled = capture_unhandled();
    let fail = |text: &str| Deferred::<i32>::fail(Failure::msg(text.to_owned()));
    let ((), trace) = trace::record(|| {
        let (resolver, later) = Deferred::<i32>::new();
        let list = DeferredList::new(vec![fail("early"), later]).start();
        resolver.fail(Failure::msg("late"));
        drop(list.add_callback(|_| Ok(())));
        // The first error decides, and there is no room for the second.
        gather_results(vec![fail("first"), fail("second")]).add_errback(|_| Ok(Vec::new())).detach();
    });
    drop(unhandled.flush_unhandled());
    let state = State::after(&trace);
    let life = |text: &str| state.failures().find(|error| &*error.msg == text).expect("it was raised").life;
    let groups: Vec<_> = state.groups().map(|group| group.id).collect();
    assert_eq!(life("early"), Life::Kept(groups[0]));
    assert_eq!(life("late"), Life::Kept(groups[0]));
    assert_eq!(life("first"), Life::Kept(groups[1]));
    assert!(matches!(life("second"), Life::Lost(..)), "{:?}", life("second"));
    let text = text_chain(&trace).to_string();
    for (f, g) in [("f1", "g1"), ("f2", "g1"), ("f3", "g2")] {
        assert!(text.contains(&format!("{f} kept by {g}")), "{text}");
    }
    let said: Vec<_> = sentences(&trace).map(|(_, said)| said).collect();
    assert!(said.iter().any(|said| said == "Group g1 takes the result out of d1."), "{said:#?}");
    for got in [
        "Member 1 of group g1, d1, has error f2 \"late\". The group keeps it.",
        "Member 1 of group g2, d5, has error f4 \"second\", for which the result of the group has no room.",
    ] {
        assert!(said.iter().any(|said| said == got), "{said:#?}");
    }
}
