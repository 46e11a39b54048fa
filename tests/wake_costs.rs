//! What a wake on the loop's own thread costs: no allocation, counted by the example's allocator. That it takes no lock is
//! a test in `src/event_loop/mailbox.rs`, and that it makes no system call is counted by `.ci/examples contest`.

use std::path::PathBuf;
use std::process::Command;

/// The example, which `cargo test` has built; for a single test it may have to be built first.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(|deps| deps.parent()).unwrap().join("examples/contest");
    if !path.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "--quiet", "--example", "contest"]).status();
        assert!(built.unwrap().success());
    }
    path
}

#[test]
fn ten_thousand_wakes_and_polls_on_the_same_thread_allocate_nothing() {
    let output = Command::new(example()).args(["wake", "10000"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let allocated = text.lines().find_map(|line| line.strip_prefix("wake_allocs ")).unwrap();
    assert_eq!(allocated, "0.00 in all");
}
