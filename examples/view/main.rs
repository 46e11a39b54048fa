//! Shows a recorded run: as a page for a browser, as text, as diagrams, or for Perfetto.
//!
//! ```text
//! cargo run --example view -- run.jsonl -o run.html
//! cargo run --example view -- run.jsonl -o - --format text
//! cargo run --example view -- run.jsonl -o - --format lints      what is probably wrong
//! cargo run --example view -- run.jsonl -o run.json --format chrome --clock steps
//! cargo run --example view -- run.jsonl -o - --format dot --around d3 --hops 2 | dot -Tsvg >run.svg
//! ```
//!
//! A run that is too long for one page is shown in parts: `--turns 3..9`, `--around d3`.

#[path = "../support/program.rs"]
mod program;

use program::Usage;
use ropewalk::study;
use ropewalk::trace::{Id, Trace};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "view TRACE -o FILE [--format html|text|lints|chrome|mermaid|flowchart|dot] [--turns A..B] [--around ID \
[--hops N]] [--clock real|steps] [--all-flows]    (- is standard input or output)";

/// What to make of the trace.
#[derive(Clone, Copy)]
enum Format {
    Html,
    Text,
    Lints,
    Chrome,
    Mermaid,
    Flowchart,
    Dot,
}

impl Format {
    const NAMES: [(&str, Format); 7] = [
        ("html", Format::Html),
        ("text", Format::Text),
        ("lints", Format::Lints),
        ("chrome", Format::Chrome),
        ("mermaid", Format::Mermaid),
        ("flowchart", Format::Flowchart),
        ("dot", Format::Dot),
    ];
}

/// Which part of it.
#[derive(Default)]
struct Part {
    turns: Option<RangeInclusive<u32>>,
    around: Option<Id>,
    hops: Option<usize>,
}

struct Job {
    trace: PathBuf,
    to: PathBuf,
    format: Format,
    part: Part,
    steps: bool,
    all_flows: bool,
}

fn main() -> ExitCode {
    // A file's name need not be UTF-8.
    program::run_os(USAGE, |arguments| {
        let job = parse(arguments)?;
        let trace = read(&job.trace)?;
        let mut out = BufWriter::with_capacity(1 << 16, Out::new(job.to.clone()));
        match job.format {
            Format::Html => {
                let page = study::page(&trace);
                let page = match (job.part.turns, job.part.around, job.part.hops) {
                    (None, None, None) => page,
                    (Some(turns), None, None) => page.turns(turns),
                    (None, Some(id), None) => page.around(id),
                    _ => return Err("a page takes --turns or --around, and no --hops".into()),
                };
                page.write(&mut out)?;
            }
            Format::Text => {
                let chain = study::text_chain(&trace);
                match (job.part.turns, job.part.around) {
                    (None, None) => write!(out, "{chain}")?,
                    (None, Some(id)) => write!(out, "{}", chain.only(id))?,
                    (Some(_), _) => {
                        return Err("--turns is for a page or a diagram: a text shows each chain as a whole".into());
                    }
                }
            }
            Format::Lints => {
                for lint in study::lints(&trace) {
                    writeln!(out, "{lint}")?;
                }
            }
            Format::Chrome => {
                let mut chrome = study::chrome(&trace);
                if job.steps {
                    chrome = chrome.steps();
                }
                if job.all_flows {
                    chrome = chrome.all_flows();
                }
                chrome.write(&mut out)?;
            }
            Format::Mermaid | Format::Flowchart | Format::Dot => {
                let mut diagram = study::diagram(&trace);
                if let Some(turns) = job.part.turns {
                    diagram = diagram.turns(turns);
                }
                if let Some(id) = job.part.around {
                    diagram = diagram.around(id);
                }
                if let Some(hops) = job.part.hops {
                    diagram = diagram.hops(hops);
                }
                let text = match job.format {
                    Format::Dot => diagram.dot()?,
                    Format::Flowchart => diagram.flowchart()?,
                    _ => diagram.sequence()?,
                };
                out.write_all(text.as_bytes())?;
            }
        }
        out.flush().map_err(Into::into)
    })
}

fn parse(arguments: &[OsString]) -> Result<Job, Box<dyn std::error::Error>> {
    let (mut trace, mut to, mut format, mut part) = (None, None, Format::Html, Part::default());
    let (mut steps, mut all_flows) = (false, false);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or(Usage);
        match argument.to_str() {
            Some("-o" | "--output") => to = Some(PathBuf::from(value()?)),
            Some("--format") => {
                let name = value()?;
                let known = Format::NAMES.iter().find(|(known, _)| name == known);
                format = known.map(|(_, format)| *format).ok_or(Usage)?;
            }
            Some("--turns") => {
                part.turns = Some(turns(value()?).ok_or("--turns takes two numbers, such as 3..9")?);
            }
            Some("--around") => {
                let id = value()?.to_str().and_then(|id| id.parse().ok());
                part.around = Some(id.ok_or("--around takes an object of the trace, such as d3")?);
            }
            Some("--hops") => {
                let hops = value()?.to_str().and_then(|hops| hops.parse().ok());
                part.hops = Some(hops.ok_or("--hops takes a number, such as 2")?);
            }
            Some("--clock") => {
                steps = match value()?.to_str() {
                    Some("real") => false,
                    Some("steps") => true,
                    _ => return Err("--clock takes real or steps".into()),
                }
            }
            Some("--all-flows") => all_flows = true,
            Some(option) if option.starts_with('-') && option != "-" => return Err(Usage.into()),
            _ if trace.is_none() => trace = Some(PathBuf::from(argument)),
            _ => return Err(Usage.into()),
        }
    }
    Ok(Job { trace: trace.ok_or(Usage)?, to: to.ok_or(Usage)?, format, part, steps, all_flows })
}

/// `3..9`: from turn 3 to turn 9, both included. `4` is that turn alone.
fn turns(text: &OsStr) -> Option<RangeInclusive<u32>> {
    let text = text.to_str()?;
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.trim_start_matches('=').parse().ok()?);
    (first <= last).then_some(first..=last)
}

fn read(path: &Path) -> Result<Trace, String> {
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let trace = if path == Path::new("-") {
        Trace::read_json(io::stdin().lock())
    } else {
        File::open(path).and_then(|file| Trace::read_json(BufReader::with_capacity(1 << 16, file)))
    };
    trace.map_err(|error| format!("cannot read {name}: {error}"))
}

/// The output, made when the first bytes come: where there is nothing to write, no file is touched.
struct Out {
    path: PathBuf,
    to: Option<Box<dyn Write>>,
}

impl Out {
    fn new(path: PathBuf) -> Out {
        Out { path, to: None }
    }

    fn explain(&self, error: io::Error) -> io::Error {
        let name = if self.path == Path::new("-") {
            "standard output".to_owned()
        } else {
            self.path.display().to_string()
        };
        io::Error::new(error.kind(), format!("cannot write to {name}: {error}"))
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.to.is_none() {
            self.to = Some(if self.path == Path::new("-") {
                Box::new(io::stdout())
            } else {
                Box::new(File::create(&self.path).map_err(|error| self.explain(error))?)
            });
        }
        let to = self.to.as_mut().map_or(Ok(0), |to| to.write(bytes));
        to.map_err(|error| self.explain(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        let done = self.to.as_mut().map_or(Ok(()), |to| to.flush());
        done.map_err(|error| self.explain(error))
    }
}
