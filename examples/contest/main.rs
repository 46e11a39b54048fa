//! Measures ropewalk the way its peers are measured: one suite a run, `name value unit` lines.
//!
//! ```text
//! cargo run --release --example contest -- deferred
//! ```
//!
//! Nanoseconds are CPU time of the whole process, so that a busy neighbour disturbs little.

mod deferred;
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    let suite = std::env::args().nth(1).unwrap_or_default();
    match suite.as_str() {
        "deferred" => deferred::callbacks(),
        "deep" => deferred::deep(),
        _ => {
            eprintln!("usage: contest deferred|deep");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
