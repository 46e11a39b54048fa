//! The two ends of every example: its arguments, its output, and the message and exit code when it cannot go on.
//!
//! Exit codes: 0 done, 1 failed (the reason is on standard error), 2 the arguments make no sense.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// How an example ends.
pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// The arguments make no sense: the usage line is shown.
#[derive(Debug)]
pub(crate) struct Usage;

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrong arguments")
    }
}

impl Error for Usage {}

/// Runs `main` with the program's arguments. `usage` starts with the program's name.
#[allow(dead_code)] // Some examples take what is no UTF-8.
pub(crate) fn run(usage: &str, main: impl FnOnce(&[String]) -> Outcome) -> ExitCode {
    run_os(usage, |arguments| {
        let arguments: Option<Vec<String>> =
            arguments.iter().map(|argument| argument.to_str().map(str::to_owned)).collect();
        main(&arguments.ok_or(Usage)?)
    })
}

/// The same with arguments as the system gives them.
pub(crate) fn run_os(usage: &str, main: impl FnOnce(&[OsString]) -> Outcome) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let outcome = main(&arguments);
    // Where standard error is gone too, the exit code has to do.
    let mut stderr = io::stderr().lock();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Usage>() => {
            let _ = writeln!(stderr, "usage: {usage}");
            ExitCode::from(2)
        }
        Err(error) => {
            let name = usage.split(' ').next().unwrap_or(usage);
            let _ = writeln!(stderr, "{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The port of a server whose only argument it is. Without one, 0: any free port.
#[allow(dead_code)] // Not every example is a server.
pub(crate) fn port(arguments: &[String]) -> Result<u16, Usage> {
    match arguments {
        [] => Ok(0),
        [port] => port.parse().map_err(|_| Usage),
        _ => Err(Usage),
    }
}

/// What `--model NAME` among the arguments asks for, out of these models, of which the first is the default; and the
/// arguments that are left.
#[allow(dead_code)] // Not every example has models.
pub(crate) fn model<M: Copy>(arguments: &[String], models: &[(&str, M)]) -> Result<(M, Vec<String>), Usage> {
    let (mut model, mut rest) = (models.first().ok_or(Usage)?.1, Vec::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--model" => {
                let name = arguments.next().ok_or(Usage)?;
                model = models.iter().find(|(one, _)| one == name).ok_or(Usage)?.1;
            }
            _ => rest.push(argument.clone()),
        }
    }
    Ok((model, rest))
}

/// Writes one line, at once. Unlike `println!` it does not panic when nobody reads any more.
///
/// # Errors
///
/// The output is gone: a closed pipe, a full disk.
#[allow(dead_code)] // Not every example has lines to write.
pub(crate) fn say(line: impl fmt::Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(output_is_gone)
}

/// Writes bytes as they are, at once.
///
/// # Errors
///
/// As [`say`].
#[allow(dead_code)] // Not every example has bytes to write.
pub(crate) fn put(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(output_is_gone)
}

fn output_is_gone(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write to standard output: {error}"))
}
