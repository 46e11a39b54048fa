//! Runs recorded programs on ropewalk and compares with what the real Twisted did.
//!
//! ```text
//! cargo run --example replay -- tests/data/deferred.jsonl
//! ```
//!
//! Exits with 1 if a program failed or could not be read, with 2 if there is no file to read.

mod json;
mod kinds;
mod program;
mod runner;
mod world;

use runner::Verdict;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(file) = std::env::args().nth(1) else {
        eprintln!("usage: replay FILE.jsonl");
        return ExitCode::from(2);
    };
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("replay: {file}: {error}");
            return ExitCode::from(2);
        }
    };
    match replay(&text, &mut io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("replay: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs each line's program; answers whether none failed.
fn replay(text: &str, out: &mut impl Write) -> io::Result<bool> {
    let (mut passed, mut skipped, mut failed) = (0, 0, Vec::new());
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match runner::check(line) {
            Verdict::Passed => passed += 1,
            Verdict::Skipped => skipped += 1,
            Verdict::Failed { id, why } => {
                writeln!(out, "program {id}: {why}")?;
                failed.push(id);
            }
        }
    }
    writeln!(out, "{passed} passed, {} failed, {skipped} skipped", failed.len())?;
    if !failed.is_empty() {
        writeln!(out, "failed: {}", failed.join(" "))?;
    }
    Ok(failed.is_empty())
}
