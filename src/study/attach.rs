//! From the words of `ROPEWALK=` to recorders.

use super::env::Options;
use super::page::PageError;
use super::stepper::plain::Plain;
use super::stepper::{Live, Stepper};
use crate::ground::unhandled::error_line;
use crate::trace::{Event, Header, Recorder, Trace, TraceFile};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal, Write};
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
    super::page(trace).write(BufWriter::with_capacity(1 << 16, AtFirstByte { path, file: None }))
}

/// A file that is made when its first bytes come: a page that is refused leaves none, and no emptied one.
struct AtFirstByte<'p> {
    path: &'p Path,
    file: Option<File>,
}

impl Write for AtFirstByte<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(bytes),
            none => none.insert(File::create(self.path)?).write(bytes),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), File::flush)
    }
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
    let prompt = Plain::new(BufReader::new(std::io::stdin()), std::io::stderr());
    Ok(match std::io::stderr().is_terminal() {
        true => Box::new(Live::new(stepper, prompt.wrapped_at(80))),
        false => Box::new(Live::new(stepper, prompt)),
    })
}

#[cfg(test)]
mod tests {
    use super::write_page;
    use crate::study::{Page, PageError};
    use crate::trace;

    #[test]
    fn a_page_that_is_refused_leaves_a_file_as_it_was() {
        let path = std::env::temp_dir().join(format!("ropewalk-{}-refused.html", std::process::id()));
        let ((), long) = trace::record(|| (0..=Page::LIMIT).for_each(|_| trace::note("")));
        assert!(matches!(write_page(&long, &path), Err(PageError::TooMany { .. })));
        assert!(!path.exists());
        let ((), short) = trace::record(|| trace::note("a remark"));
        write_page(&short, &path).expect("the folder can be written to");
        let page = std::fs::read(&path).expect("there is a page");
        assert!(matches!(write_page(&long, &path), Err(PageError::TooMany { .. })));
        assert_eq!(std::fs::read(&path).expect("it is still there"), page);
        std::fs::remove_file(&path).expect("it can be removed");
    }
}
