//! The fold of a trace, its sentences, the way back from an event, and stepping through it.

mod every_kind;
#[cfg(feature = "stepper")]
mod screens;
mod sentences;
mod state;
mod stepper;
mod why;

use ropewalk::testing::capture_unhandled;
use ropewalk::trace::{self, Trace};

/// Records a program. What it loses on purpose is not reported.
fn record(program: impl FnOnce()) -> Trace {
    let unhandled = capture_unhandled();
    let ((), trace) = trace::record(program);
    drop(unhandled.flush_unhandled());
    trace
}

/// Compares a text with the file `name.txt`.
///
/// `SNAPSHOTS=write cargo test --test study` writes those files anew.
#[track_caller]
fn same(text: &str, name: &str, expected: &str) {
    if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "write") {
        let path = format!("{}/tests/study/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        return std::fs::write(path, text).expect("the folder of this test can be written to");
    }
    assert!(text == expected, "expected:\n{expected}\nbut it is:\n{text}");
}
