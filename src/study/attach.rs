//! From the words of `ROPEWALK=` to recorders.

use super::env::Options;
use super::page::PageError;
use super::stepper::plain::Plain;
use super::stepper::{Live, Stepper};
use crate::ground::unhandled::error_line;
use crate::trace::{Event, Header, Recorder, Trace, TraceFile};
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Those who take in what the options ask for, in this order: what is written first, so that it is complete when the
/// stepper ends the program.
pub(super) fn recorders(options: &Options) -> Vec<Box<dyn Recorder>> {
    let mut recorders: Vec<Box<dyn Recorder>> = Vec::new();
    if let Some(path) = &options.trace {
        let path = if path.as_os_str().is_empty() { default_path() } else { path.clone() };
        match TraceFile::create(&path) {
            Ok(file) if options.stable => recorders.push(Box::new(file.stable())),
            Ok(file) => recorders.push(Box::new(file)),
            Err(error) => error_line(&format_args!("no trace is written to {}: {error}", path.display())),
        }
    }
    if let Some(path) = &options.html {
        recorders.push(Box::new(AtEnd { trace: Trace::with_limit(Trace::LIMIT), path: path.clone() }));
    }
    if options.step || options.plain {
        match stepper(options) {
            Ok(stepper) => recorders.push(stepper),
            Err(why) => error_line(&format_args!("{}: {why}", super::env::VARIABLE)),
        }
    }
    recorders
}

fn default_path() -> PathBuf {
    let prog = std::env::args_os().next().unwrap_or_default();
    let mut name = Path::new(&prog).file_stem().unwrap_or("ropewalk".as_ref()).to_owned();
    name.push(".trace.jsonl");
    PathBuf::from(name)
}

/// Keeps the trace, and writes the page when the recording is over.
struct AtEnd {
    trace: Trace,
    path: PathBuf,
}

impl Recorder for AtEnd {
    fn begin(&mut self, header: &Header<'_>) {
        self.trace.begin(header);
    }
    fn event(&mut self, event: &Event<'_>) {
        Recorder::event(&mut self.trace, event);
    }
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        if let Err(why) = write_page(&self.trace, &self.path) {
            error_line(&format_args!("no page is written to {}: {why}", self.path.display()));
        }
    }
}

fn write_page(trace: &Trace, path: &Path) -> Result<(), PageError> {
    let mut file = BufWriter::new(File::create(path).map_err(PageError::Io)?);
    super::page(trace).write(&mut file)?;
    file.flush().map_err(PageError::Io)
}

/// Who holds the program: a screen for `step` where there is a terminal, else, and for `plain`, a prompt on standard
/// error. (Standard output is the program's.)
fn stepper(options: &Options) -> Result<Box<dyn Recorder>, String> {
    let mut stepper = Stepper::live();
    for at in &options.breaks {
        stepper.add_break(at.parse().map_err(|error| format!("break={at}: {error}"))?);
    }
    match options.until {
        Some(id) => stepper.run_to(id),
        // With nothing but breakpoints asked for, there is nothing to see before the first one.
        None if !options.breaks.is_empty() => stepper.run_on(),
        None => {}
    }
    #[cfg(feature = "stepper")]
    {
        use super::stepper::term::{Look, Term, is_usable};
        if !options.plain && is_usable() {
            let mut look = Look::of_environment();
            look.color &= !options.no_color;
            look.ascii |= options.ascii;
            return Ok(Box::new(Live::new(stepper, Term::new(look))));
        }
    }
    let input = BufReader::new(std::io::stdin());
    Ok(Box::new(Live::new(stepper, Plain::new(input, std::io::stderr()))))
}
