//! Six programs as Twisted's users write them, each beside its twin in Python, which prints the same lines.
//!
//! ```text
//! cargo run --example twisted_twins -- callback_order
//! python3 examples/twisted_twins/callback_order.py        # pip install twisted
//! ```
//!
//! The twins named `.._asyncio.py` do the same with what Python has of its own, where it has that. `callback_order` has
//! none: asyncio's callbacks do not hand results on, and run a turn later. `.ci/twins` compares them all.

mod callback_order;
mod cancel;
mod list;
mod lock;
mod looping_call;
#[path = "../support/program.rs"]
mod program;
mod support;
mod time_out;

use program::{Outcome, Usage};
use ropewalk::Failure;
use std::process::ExitCode;

type Run = fn() -> Result<(), Failure>;

const PROGRAMS: [(&str, Run); 6] = [
    ("callback_order", callback_order::run),
    ("list", list::run),
    ("cancel", cancel::run),
    ("time_out", time_out::run),
    ("looping_call", looping_call::run),
    ("lock", lock::run),
];

fn main() -> ExitCode {
    program::run("twisted_twins callback_order|list|cancel|time_out|looping_call|lock", start)
}

fn start(arguments: &[String]) -> Outcome {
    let [name] = arguments else { return Err(Usage.into()) };
    let found = PROGRAMS.iter().find(|(program, _)| program == name);
    let (_, run) = found.ok_or(Usage)?;
    Ok(run()?)
}
