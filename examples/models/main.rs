//! The same job in four models, on one machine, and one table of what it took.
//!
//! ```text
//! cargo run --example models                  # N = 1, 100 and 10,000
//! cargo run --release --example models -- 50  # another N
//! ```
//!
//! The job: fetch N poems from slow servers (on loopback, in this process), with a time-out, one of the servers being
//! broken; write what came into a file. Read the models in this order: `blocking.rs`, `callbacks.rs`,
//! `deferreds.rs`, `futures.rs`. What the table says, and why, is in `docs/models.md`.
//!
//! Each figure is measured in a process of its own, by a clock, an allocator that counts, the system's figures for the
//! process, or the trace; lines are counted in the files themselves. Nothing is written down beforehand.

mod blocking;
mod callbacks;
#[path = "../contest/support.rs"]
#[allow(dead_code)] // what only the contest needs
mod counting;
mod deferreds;
mod files;
mod futures;
mod job;
mod meter;
#[path = "../support/program.rs"]
mod program;
mod servers;

use std::fmt::Write;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use job::{Job, Results};
use meter::{Counts, Line, value};
use program::{Outcome, Usage, put, say};
use ropewalk::study::env::VARIABLE;
use ropewalk::{EventLoop, Failure, trace};

const MODELS: [(&str, &str); 4] = [
    ("blocking", include_str!("blocking.rs")),
    ("callbacks", include_str!("callbacks.rs")),
    ("deferreds", include_str!("deferreds.rs")),
    ("async", include_str!("futures.rs")),
];

/// How long the servers are given to have `count` connections, before everything is cancelled.
fn settle(count: usize) -> Duration {
    Duration::from_millis(100) + Duration::from_micros(50) * u32::try_from(count).unwrap_or(u32::MAX)
}

fn main() -> ExitCode {
    env_logger::init();
    program::run("models [N ..]", |arguments| match arguments {
        [word, mode, model, count, port] if word == "--measure" => {
            measure(mode, model, count.parse()?, port.parse()?)
        }
        counts => {
            let counts: Result<Vec<usize>, _> = counts.iter().map(|count| count.parse()).collect();
            let mut counts = counts.map_err(|_| Usage)?;
            if counts.is_empty() {
                counts = vec![1, 100, 10_000];
            }
            if counts.contains(&0) {
                return Err("N is the number of poems to fetch: 1 at least".into());
            }
            files::allow(counts.iter().copied().max().unwrap_or(0))?;
            show(&counts)
        }
    })
}

/// Measures one thing in this process, and prints it.
fn measure(mode: &str, model: &str, count: usize, port: u16) -> Outcome {
    let file = std::env::temp_dir().join(format!("ropewalk-models-{}", std::process::id()));
    let job = Job { count, port, file: file.clone(), endless: mode == "cancel" };
    let line = match mode {
        "time" => time(model, &job),
        "count" => count_events(model, &job),
        "cancel" => cancel(model, &job),
        _ => return Err(Usage.into()),
    };
    if std::fs::remove_file(&file).is_err() && mode != "cancel" {
        return Err("the job wrote no file".into());
    }
    put(format!("{}\n", line?.text()).as_bytes())?;
    Ok(())
}

/// Does the job on a loop made for it.
fn run(model: &str, job: &Job) -> Result<(Results, u64), Failure> {
    if model == "blocking" {
        let before = meter::threads();
        let results = blocking::run(job)?;
        return Ok((results, before + meter::threads_begun()));
    }
    let event_loop = EventLoop::new()?;
    let results = match model {
        "callbacks" => callbacks::run(&event_loop, job)?,
        "deferreds" => deferreds::run(&event_loop, job)?,
        _ => futures::run(&event_loop, job)?,
    };
    Ok((results, meter::threads()))
}

/// Time, memory and allocations, with nobody recording.
fn time(model: &str, job: &Job) -> Result<Line, Failure> {
    let (before, _) = meter::memory();
    let (allocations, start) = (counting::allocations(), Instant::now());
    let (results, threads) = run(model, job)?;
    let taken = start.elapsed();
    let allocations = counting::allocations() - allocations;
    let (_, most) = meter::memory();
    let good = results.text.lines().filter(|line| !line.contains(": failed: ")).count();
    Ok(Line::default()
        .with("time", taken.as_secs_f64() * 1000.0)
        .with("good", good)
        .with("threads", threads)
        .with("allocations", allocations as f64 / job.count as f64)
        .with("memory", most.saturating_sub(before) as f64 / job.count as f64))
}

/// Turns, callbacks and polls, and where the error came out: from a recording.
fn count_events(model: &str, job: &Job) -> Result<Line, Failure> {
    let (results, counts) = trace::record_with(Counts::default(), || run(model, job));
    let error = results?.0.error.map(|failure| {
        let file = failure.raised().file().rsplit('/').next().unwrap_or_default().to_owned();
        format!("{failure}\tat={file}:{}\tpassed={}", failure.raised().line(), failure.crossed_count())
    });
    Ok(Line::default()
        .with("turns", counts.turns)
        .with("callbacks", counts.callbacks)
        .with("steps", counts.steps)
        .with("polls", counts.polls)
        .with("error", error.unwrap_or_else(|| "-".to_owned())))
}

/// What it costs to give up everything that is under way.
fn cancel(model: &str, job: &Job) -> Result<Line, Failure> {
    let event_loop = EventLoop::new()?;
    let begun = std::cell::Cell::new(Instant::now());
    let taken = std::cell::Cell::new(Duration::ZERO);
    let wait = || {
        let until = Instant::now() + settle(job.count);
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if event_loop.turn(Some(left)).is_err() {
                break;
            }
        }
        begun.set(Instant::now());
    };
    let ended = || {
        // What was given up is closed by then.
        let _ = event_loop.turn(Some(Duration::ZERO));
        taken.set(begun.get().elapsed());
    };
    let cancelled = match model {
        "blocking" => blocking::cancel(job, wait, ended)?,
        "callbacks" => callbacks::cancel(&event_loop, job, wait, ended),
        "deferreds" => deferreds::cancel(&event_loop, job, wait, ended),
        _ => futures::cancel(&event_loop, job, wait, ended),
    };
    let each = taken.get().as_secs_f64() * 1e6 / cancelled.max(1) as f64;
    Ok(Line::default().with("each", each).with("cancelled", cancelled))
}

/// Has everything measured, and shows it.
fn show(counts: &[usize]) -> Outcome {
    let servers = servers::Servers::start()?;
    let program = std::env::current_exe()?;
    let ask = |mode: &str, model: &str, count: usize| -> Result<String, Box<dyn std::error::Error>> {
        let arguments = ["--measure", mode, model, &count.to_string(), &servers.port.to_string()];
        // A recording is that of this process: theirs would all go into the same file.
        let output = Command::new(&program).args(arguments).env_remove(VARIABLE).output()?;
        if !output.status.success() {
            return Err(format!("{model}, N = {count}: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    };
    let mut table = String::new();
    let mut row = |name: &str, cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("{cell:>12}")).collect();
        let _ = writeln!(table, "{name:<32}{cells}");
    };
    row("", MODELS.iter().map(|(model, _)| (*model).to_owned()).collect());
    row("lines of code", MODELS.iter().map(|(_, text)| lines(text).to_string()).collect());
    for &count in counts {
        let each =
            |mode: &str| MODELS.iter().map(|(model, _)| ask(mode, model, count)).collect::<Result<Vec<_>, _>>();
        let (timed, counted, cancelled) = (each("time")?, each("count")?, each("cancel")?);
        let pick = |lines: &[String], key: &str, digits: usize| -> Vec<String> {
            let number = |line: &String| value(line, key).parse::<f64>().map(|n| format!("{n:.digits$}"));
            lines.iter().map(|line| number(line).unwrap_or_else(|_| "-".to_owned())).collect()
        };
        let text = |lines: &[String], key: &str| lines.iter().map(|line| value(line, key).to_owned()).collect();
        row(&format!("N = {count}"), Vec::new());
        row("  poems that came", pick(&timed, "good", 0));
        row("  time, ms", pick(&timed, "time", 1));
        row("  threads", pick(&timed, "threads", 0));
        row("  turns of the loop", pick(&counted, "turns", 0));
        row("  callbacks of the loop", pick(&counted, "callbacks", 0));
        row("  steps of Deferreds", pick(&counted, "steps", 0));
        row("  polls of tasks", pick(&counted, "polls", 0));
        row("  allocations for each fetch", pick(&timed, "allocations", 1));
        row("  memory for each fetch, KiB", pick(&timed, "memory", 1));
        row("  to cancel one in flight, us", pick(&cancelled, "each", 1));
        row("    of so many", pick(&cancelled, "cancelled", 0));
        row("  the error was raised at", text(&counted, "at"));
        row("    and passed by so many steps", text(&counted, "passed"));
    }
    say(table.trim_end())?;
    say(format_args!("blocking has {} threads at most; all others have one, and the pool's", blocking::THREADS))?;
    Ok(())
}

/// Lines with code: not empty, and no comment.
fn lines(text: &str) -> usize {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}
