//! Texts that are kept in files beside their tests, and the runs that they are of.

use ropewalk::testing::capture_unhandled;
use ropewalk::trace::{self, Trace};

/// Records a program. What it loses on purpose is not reported.
pub(crate) fn record(program: impl FnOnce()) -> Trace {
    let unhandled = capture_unhandled();
    let ((), trace) = trace::record(program);
    drop(unhandled.flush_unhandled());
    trace
}

/// Compares a text with the file `tests/NAME.txt`.
///
/// `SNAPSHOTS=write cargo test --test study` writes those of a test anew.
#[track_caller]
pub(crate) fn same(text: &str, name: &str, expected: &str) {
    if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "write") {
        let path = format!("{}/tests/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        return std::fs::write(path, text).expect("the folder of this test can be written to");
    }
    assert!(text == expected, "{name}: expected:\n{expected}\nbut it is:\n{text}");
}
