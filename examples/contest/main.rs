//! Measures ropewalk the way its peers are measured: one suite a run, `name value unit` lines.
//!
//! ```text
//! cargo run --release --example contest -- deferred
//! ```
//!
//! Nanoseconds are CPU time of the whole process, so that a busy neighbour disturbs little.

mod cross;
mod deferred;
mod record;
mod soon;
mod support;
mod timers;
mod wake;

use std::process::ExitCode;

fn main() -> ExitCode {
    env_logger::init();
    let suite = std::env::args().nth(1).unwrap_or_default();
    let outcome = match suite.as_str() {
        "timers" => timers::timers(),
        "spread" => timers::spread(),
        "churn" => timers::churn(),
        "deferred" => {
            deferred::callbacks();
            Ok(())
        }
        "deep" => {
            deferred::deep();
            Ok(())
        }
        "cross" => cross::cross(),
        "soon" => soon::soon(),
        "record" => record::record(),
        "echo" | "chains" => match std::env::args().nth(2).map_or(Ok(20_000), |n| n.parse()) {
            Ok(n) if suite == "echo" => record::echo(n),
            Ok(n) => {
                record::chains(n);
                Ok(())
            }
            Err(error) => Err(std::io::Error::other(error)),
        },
        "wake" => match std::env::args().nth(2).map_or(Ok(1_000_000), |n| n.parse()) {
            Ok(n) => wake::wake(n),
            Err(error) => Err(std::io::Error::other(error)),
        },
        _ => {
            eprintln!(
                "usage: contest timers|spread|churn|deferred|deep|cross|soon|record|wake [N]|echo [N]|chains [N]"
            );
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("contest {suite}: {error}");
            ExitCode::FAILURE
        }
    }
}
