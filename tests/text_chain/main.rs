//! The text chain of small programs. Each lies in a file of its own, so that the line numbers in its text stay.

mod add_late;
mod cancel;
mod detach;
mod lost;
mod nested;
mod pause;
#[path = "../support/snapshot.rs"]
mod snapshot;
mod swallow;
mod timers;
mod two_lanes;

use ropewalk::study::text_chain;
use ropewalk::{EventLoop, trace};
use snapshot::{record, same};

/// Compares the stable text of a program, and sees that it is the same for a second run.
#[track_caller]
fn check(program: fn(), name: &str, expected: &str) {
    let text = || text_chain(&record(program)).stable().to_string();
    same(&text(), &format!("text_chain/{name}"), expected);
    assert_eq!(text(), text(), "the same program gives the same text");
}

macro_rules! snapshots {
    ($($name:ident => $test:ident),* $(,)?) => { $(
        #[test]
        fn $test() {
            check($name::program, stringify!($name), include_str!(concat!(stringify!($name), ".txt")));
        }
    )* };
}

snapshots! {
    two_lanes => an_error_changes_lanes_and_comes_back,
    pause => a_returned_deferred_is_drawn_beside_the_pause,
    nested => what_an_inner_deferred_waits_for_is_drawn_by_itself,
    cancel => the_outcomes_of_a_cancel,
    swallow => a_late_result_ends_at_a_bar,
    lost => a_lost_error_says_where_an_errback_would_go,
    detach => a_detached_chain_runs_on,
    add_late => a_step_added_late_runs_inside_the_add,
    timers => what_fired_a_deferred_is_named,
}

#[test]
fn one_line_for_logs() {
    let trace = record(pause::program);
    let line = text_chain(&trace).only_named("get_poem").one_line().stable().to_string();
    let expected = r#"d1 get_poem: ok"If I were..." >0 try_to_cummingsify =d3 x f2"engine down" |1 shout [2 keep_original] ok"original poem" >3 got_poem/poem_failed ok()"#;
    assert_eq!(line, format!("{expected}\n"));
}

#[test]
fn one_deferred_can_be_picked() {
    let trace = record(pause::program);
    let text = text_chain(&trace).only_named("audit").to_string();
    assert!(text.starts_with("d2 audit  Deferred<&str>  made "), "{text}");
    assert!(!text.contains("\nd1"), "{text}");
    let d2 = trace::Id(trace::Object::Deferred, 2);
    assert_eq!(text_chain(&trace).only(d2).to_string(), text);
}

#[test]
fn the_full_form_names_events() {
    let trace = record(two_lanes::program);
    let text = text_chain(&trace).to_string();
    assert!(text.lines().nth(2).is_some_and(|line| line.ends_with(" s8") && line.chars().count() == 79), "{text}");
}

#[test]
fn the_full_form_of_a_run_on_a_test_clock() {
    let text = text_chain(&record(timers::program)).to_string();
    same(&text, "text_chain/timers_full", include_str!("timers_full.txt"));
}

#[test]
fn a_job_of_the_pool_is_named() {
    let trace = record(|| {
        let event_loop = EventLoop::new().expect("a loop");
        let answer = event_loop.defer_to_thread(|| Ok(42)).named("job");
        assert_eq!(event_loop.run_until(answer).expect("the job cannot fail"), 42);
    });
    let text = text_chain(&trace).only_named("job").stable().to_string();
    assert!(text.contains("   o         ok 42                       fired :"), "{text}");
    assert!(text.lines().nth(2).is_some_and(|line| line.ends_with(" by w1")), "{text}");
    assert!(text.contains("  [0]        run_until"), "{text}");
}
