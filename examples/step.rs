//! Steps through a trace that is in a file: forward, back, and along the reasons.
//!
//! ```text
//! cargo run --example step -- TRACE [--plain] [--ascii] [--no-color] [--break WHERE].. [--at EVENT]
//! ```
//!
//! With `--features stepper` it draws on the terminal; without it, with `--plain`, and where there is no terminal it
//! prints a sentence and asks for a key and Enter. `?` shows all keys. A trace is what `ROPEWALK=trace=FILE` writes.

#[path = "support/program.rs"]
mod program;

use program::{Outcome, Usage};
use ropewalk::study::Stepper;
use ropewalk::study::stepper::{Front, plain::Plain};
use ropewalk::trace::Trace;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal};
use std::process::ExitCode;

fn main() -> ExitCode {
    let usage = "step TRACE [--plain] [--ascii] [--no-color] [--break WHERE].. [--at EVENT]";
    program::run(usage, step)
}

#[derive(Default)]
struct Asked {
    file: Option<String>,
    plain: bool,
    ascii: bool,
    no_color: bool,
    breaks: Vec<String>,
    at: Option<u32>,
}

fn read(arguments: &[String]) -> Result<Asked, Usage> {
    let mut asked = Asked::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--plain" => asked.plain = true,
            "--ascii" => asked.ascii = true,
            "--no-color" => asked.no_color = true,
            "--break" => asked.breaks.push(rest.next().ok_or(Usage)?.clone()),
            "--at" => asked.at = Some(rest.next().and_then(|at| at.parse().ok()).ok_or(Usage)?),
            file if asked.file.is_none() && !file.starts_with('-') => asked.file = Some(file.to_owned()),
            _ => return Err(Usage),
        }
    }
    Ok(asked)
}

fn step(arguments: &[String]) -> Outcome {
    let asked = read(arguments)?;
    let path = asked.file.as_ref().ok_or(Usage)?;
    let file = File::open(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    let trace = Trace::read_json(BufReader::new(file)).map_err(|error| format!("{path}: {error}"))?;
    if trace.is_empty() {
        return Err(format!("{path}: no event in it").into());
    }
    let mut stepper = Stepper::of(trace);
    for at in &asked.breaks {
        stepper.add_break(at.parse()?);
    }
    if let Some(s) = asked.at {
        stepper.go_to(s);
    }
    front(&asked).stop(&mut stepper).map_err(|error| format!("cannot go on: {error}"))?;
    Ok(())
}

#[cfg(feature = "stepper")]
fn front(asked: &Asked) -> Box<dyn Front> {
    use ropewalk::study::stepper::term::{Look, Term, is_usable};
    if asked.plain || !is_usable() {
        return prompt();
    }
    let mut look = Look::of_environment();
    look.color &= !asked.no_color;
    look.ascii |= asked.ascii;
    Box::new(Term::new(look))
}

#[cfg(not(feature = "stepper"))]
fn front(asked: &Asked) -> Box<dyn Front> {
    // They are for the terminal only.
    let _ = (asked.plain, asked.ascii, asked.no_color);
    prompt()
}

fn prompt() -> Box<dyn Front> {
    let prompt = Plain::new(io::stdin().lock(), io::stdout());
    Box::new(if io::stdout().is_terminal() { prompt.wrapped_at(80) } else { prompt })
}
