//! A recording in a file.

use super::event::{Event, Header};
use super::kind::Kind;
use super::lines::JsonLines;
use super::recorder::Recorder;
use crate::ground::unhandled;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

/// A recorder that writes JSON Lines to a file.
///
/// It writes in large pieces, before each wait of the loop, and at its end, also when a panic is on its way. So whoever
/// kills the program loses what came after the last wait. An error of the file is reported once, like an error that
/// nobody handled, and the program goes on; nothing more is written.
///
/// ```
/// use ropewalk::trace::{self, Trace, TraceFile};
/// use std::{fs::File, io::BufReader};
///
/// let path = std::env::temp_dir().join(format!("ropewalk-doc-trace-{}.jsonl", std::process::id()));
/// let file = TraceFile::create(&path)?.without_sources();
/// let ((), file) = trace::record_with(file, || trace::note("here"));
/// drop(file); // all of it is written
/// let trace = Trace::read_json(BufReader::new(File::open(&path)?))?;
/// assert_eq!(trace.nth(0).unwrap().kind.name(), "note");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TraceFile {
    lines: JsonLines<BufWriter<File>>,
    path: PathBuf,
    complained: bool,
}

impl TraceFile {
    /// Writes to the file at `path`, which is made anew.
    ///
    /// # Errors
    ///
    /// The file cannot be made.
    pub fn create(path: impl AsRef<Path>) -> io::Result<TraceFile> {
        let path = path.as_ref().to_owned();
        // Room for some 500 events.
        let file = BufWriter::with_capacity(1 << 16, File::create(&path)?);
        Ok(TraceFile { lines: JsonLines::new(file), path, complained: false })
    }

    /// As [`JsonLines::stable`].
    pub fn stable(mut self) -> TraceFile {
        self.lines.stable = true;
        self
    }

    /// As [`JsonLines::without_sources`].
    pub fn without_sources(mut self) -> TraceFile {
        self.lines.sources = false;
        self
    }

    /// Writes what is not written yet.
    pub fn flush(&mut self) {
        let result = self.lines.flush();
        self.complain(result);
    }

    fn complain(&mut self, result: io::Result<()>) {
        if let Err(error) = result
            && !self.complained
        {
            self.complained = true;
            let path = self.path.display();
            unhandled::error_line(&format_args!("the trace cannot be written to {path}: {error}; it ends here"));
        }
    }
}

impl Recorder for TraceFile {
    fn begin(&mut self, header: &Header<'_>) {
        self.lines.begin(header);
    }

    fn event(&mut self, event: &Event<'_>) {
        if self.complained {
            return;
        }
        self.lines.event(event);
        let pauses = !matches!(event.kind, Kind::PollBegin { timeout: Some(0), .. })
            && matches!(event.kind, Kind::PollBegin { .. } | Kind::LoopStop { .. } | Kind::End { .. });
        if pauses || self.lines.error().is_some() {
            self.flush();
        }
    }
}

impl Drop for TraceFile {
    fn drop(&mut self) {
        self.flush();
    }
}
