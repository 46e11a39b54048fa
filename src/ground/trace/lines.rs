//! A trace as JSON Lines: one event a line, written and read.
//!
//! ```text
//! {"k":"trace","v":1,"prog":"poem","lib":"ropewalk 0.1.0","clock":"virtual","args":[]}
//! {"k":"src","f":1,"path":"examples/poem.rs","text":"fn main() { .."}
//! {"s":1,"t":0,"turn":0,"k":"d.new","d":"d1","ty":"&str","at":"1:14:29","label":"get_poem"}
//! ```
//!
//! The lines of kind `trace` (the first one) and `src` (before the first event of that file) describe the file and are
//! no events: they have no number. Left out is what is not there: `in`, `cause`, `reg`, `at`, `label`, `wall`, `th`, what the
//! table of kinds calls an `Option`, and flags that are not set.

use super::event::{Asked, At, Event, Gave, Header, Id, Open, VERSION, Val};
use super::field::{Get, Put};
use super::json::{self, Map, Value, write_number, write_text};
use super::kind::{Code, Kind};
use super::memory::Trace;
use super::recorder::Recorder;
use super::texts::Texts;
use super::{ClockKind, Lane};
use std::io::{self, BufRead, Write};

/// The longest line that is read. A source file in its line is at most 1 MiB, with escapes at most six times that.
const LONGEST: u64 = 16 << 20;

/// A recorder that writes each event as one line of JSON.
///
/// It gives each event to the writer at once: put a [`BufWriter`](io::BufWriter) around a file. An error of the writer is kept for [`JsonLines::finish`], and ends the writing.
///
/// ```
/// use ropewalk::trace::{self, JsonLines, Trace};
///
/// let ((), lines) = trace::record_with(JsonLines::new(Vec::new()), || trace::note("here"));
/// let bytes = lines.finish()?;
/// assert!(bytes.starts_with(br#"{"k":"trace","v":1,"#));
/// let trace = Trace::read_json(&bytes[..])?;
/// assert_eq!(trace.nth(0).unwrap().kind.name(), "note");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct JsonLines<W> {
    writer: W,
    error: Option<io::Error>,
    line: String,
    /// The files of the places, by their numbers less one.
    files: Texts,
    told_files: u32,
    pub(super) sources: bool,
    pub(super) stable: bool,
}

impl<W: Write> JsonLines<W> {
    /// Writes to `writer`.
    pub fn new(writer: W) -> JsonLines<W> {
        JsonLines {
            writer,
            error: None,
            line: String::new(),
            files: Texts::default(),
            told_files: 0,
            sources: true,
            stable: false,
        }
    }

    /// Writes no texts of source files: a smaller file, that shows the program's lines only where its source lies.
    pub fn without_sources(mut self) -> JsonLines<W> {
        self.sources = false;
        self
    }

    /// Leaves out what changes from run to run and from machine to machine: the system's clock, the program's
    /// arguments, the folders above a source file's own package. A program on a virtual clock then gives the same file
    /// each time.
    ///
    /// ```
    /// use ropewalk::trace::{self, JsonLines};
    /// use ropewalk::{EventLoop, TestClock};
    /// use std::time::Duration;
    ///
    /// let record = || {
    ///     let event_loop = EventLoop::builder().clock(&TestClock::new()).build()?;
    ///     event_loop.call_later(Duration::from_secs(60), |event_loop| event_loop.stop());
    ///     let (ran, lines) = trace::record_with(JsonLines::new(Vec::new()).stable(), || event_loop.run());
    ///     ran.expect("it is stopped");
    ///     lines.finish()
    /// };
    /// assert_eq!(record()?, record()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn stable(mut self) -> JsonLines<W> {
        self.stable = true;
        self
    }

    /// Flushes, and gives the writer back.
    ///
    /// # Errors
    ///
    /// The first error of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        Ok(self.writer)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.writer.flush(),
        }
    }

    pub(super) fn writer(&mut self) -> &mut W {
        &mut self.writer
    }

    /// The error that ended the writing, if one did.
    pub fn error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }

    fn write_line(&mut self) {
        self.line.push('\n');
        if self.error.is_none()
            && let Err(error) = self.writer.write_all(self.line.as_bytes())
        {
            self.error = Some(error);
        }
        self.line.clear();
    }

    fn header(&mut self, header: &Header<'_>) {
        self.line.push_str("{\"k\":\"trace\",\"v\":");
        write_number(&mut self.line, u64::from(VERSION));
        let mut to = Fields(&mut self.line);
        to.text("prog", header.prog);
        to.text("lib", header.lib);
        to.text("clock", header.clock.word());
        to.key("args");
        to.list(if self.stable { &[] } else { header.args }, |out, arg| write_text(out, arg));
        self.line.push('}');
        self.write_line();
    }

    /// The number of a file, which is told before it is used first.
    fn file(&mut self, path: &str, text: impl FnOnce() -> Option<String>) -> u32 {
        let n = self.files.number(path).unwrap_or(u32::MAX - 1) + 1;
        if n > self.told_files {
            self.told_files = n;
            self.line.push_str("{\"k\":\"src\",\"f\":");
            write_number(&mut self.line, u64::from(n));
            let mut to = Fields(&mut self.line);
            to.text("path", if self.stable { short_path(path) } else { path });
            if self.sources
                && let Some(text) = text()
            {
                to.text("text", &text);
            }
            self.line.push('}');
            self.write_line();
        }
        n
    }

    fn write_event(&mut self, event: &Event<'_>, source: impl FnOnce(&str) -> Option<String>) {
        if self.error.is_some() {
            return;
        }
        let at = event.at.map(|at| (self.file(at.file(), || source(at.file())), at));
        let Event { s, t, wall, turn, th, frame, cause, reg, label, sys, kind, .. } = event;
        self.line.push_str("{\"s\":");
        write_number(&mut self.line, u64::from(*s));
        let mut to = Fields(&mut self.line);
        to.num("t", *t);
        if let Some(wall) = wall.filter(|_| !self.stable) {
            to.num("wall", wall);
        }
        to.num("turn", u64::from(*turn));
        to.text("k", kind.name());
        if let Some(th) = th {
            to.num("th", u64::from(*th));
        }
        to.link("in", *frame);
        kind.put(&mut to);
        match kind {
            Kind::DFire { val, .. } => to.text("lane", val.lane().word()),
            Kind::DRet { val, inner, .. } => {
                to.text("to", if inner.is_some() { "d" } else { val.map_or(Lane::Ok, |val| val.lane()).word() });
            }
            _ => {}
        }
        to.link("cause", *cause);
        to.link("reg", *reg);
        if let Some((file, at)) = at {
            to.key("at");
            to.0.push('"');
            write_number(to.0, u64::from(file));
            to.0.push(':');
            write_number(to.0, u64::from(at.line()));
            to.0.push(':');
            write_number(to.0, u64::from(at.column()));
            to.0.push('"');
        }
        if let Some(label) = label {
            to.text("label", label);
        }
        to.flag("sys", *sys);
        self.line.push('}');
        self.write_line();
    }
}

impl JsonLines<Vec<u8>> {
    pub(super) fn drop_last_line(&mut self) {
        let before = self.writer.split_last().map_or(&[][..], |(_, before)| before);
        let end = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.writer.truncate(end);
    }
}

impl<W: Write> Recorder for JsonLines<W> {
    fn begin(&mut self, header: &Header<'_>) {
        self.header(header);
    }
    fn event(&mut self, event: &Event<'_>) {
        self.write_event(event, super::source_text);
    }
}

/// From the last folder that is a package's: `serde-1.0.0/src/lib.rs`.
fn short_path(path: &str) -> &str {
    if !path.starts_with('/') {
        return path;
    }
    let mut slashes = path.rmatch_indices('/').map(|(at, _)| at);
    match path.rfind("/src/").and_then(|src| path[..src].rfind('/')) {
        Some(package) => &path[package + 1..],
        None => slashes.next().map_or(path, |slash| &path[slash + 1..]),
    }
}

/// The fields of an object after its first.
struct Fields<'l>(&'l mut String);

impl Fields<'_> {
    #[inline]
    fn key(&mut self, key: &str) {
        self.0.push_str(",\"");
        self.0.push_str(key);
        self.0.push_str("\":");
    }

    fn link(&mut self, key: &'static str, s: u32) {
        if s != 0 {
            self.num(key, u64::from(s));
        }
    }

    fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut String, &T)) {
        self.0.push('[');
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.0.push(',');
            }
            write(self.0, item);
        }
        self.0.push(']');
    }
}

fn write_id(out: &mut String, Id(object, n): Id) {
    out.push('"');
    out.push(object.letter());
    write_number(out, u64::from(n));
    out.push('"');
}

impl Put for Fields<'_> {
    fn num(&mut self, key: &'static str, n: u64) {
        self.key(key);
        write_number(self.0, n);
    }
    fn flag(&mut self, key: &'static str, is: bool) {
        if is {
            self.key(key);
            self.0.push_str("true");
        }
    }
    fn word(&mut self, key: &'static str, word: &'static str, _: u8) {
        self.text(key, word);
    }
    fn text(&mut self, key: &'static str, text: &str) {
        self.key(key);
        write_text(self.0, text);
    }
    fn pair(&mut self, key: &'static str, texts: [&str; 2]) {
        self.key(key);
        let texts = if texts[1].is_empty() { &texts[..1] } else { &texts };
        self.list(texts, |out, text| write_text(out, text));
    }
    fn id(&mut self, key: &'static str, id: Id) {
        self.key(key);
        write_id(self.0, id);
    }
    fn ids(&mut self, key: &'static str, ids: &[Id]) {
        self.key(key);
        self.list(ids, |out, id| write_id(out, *id));
    }
    fn asked(&mut self, key: &'static str, asked: &[Asked]) {
        self.key(key);
        self.list(asked, |out, Asked { i, r, w }| {
            out.push('[');
            write_id(out, *i);
            out.push_str(match (r, w) {
                (true, true) => ",\"rw\"]",
                (true, false) => ",\"r\"]",
                (false, true) => ",\"w\"]",
                (false, false) => ",\"\"]",
            });
        });
    }
    fn val(&mut self, key: &'static str, val: Val<'_>) {
        self.key(key);
        match val {
            Val::Ok { text, ty } => {
                self.0.push_str("{\"ok\":");
                write_text(self.0, text);
                self.text("ty", ty);
            }
            Val::Err(f) => {
                self.0.push_str("{\"err\":");
                write_id(self.0, f);
            }
        }
        self.0.push('}');
    }
    fn gave(&mut self, key: &'static str, gave: Gave) {
        match gave {
            Gave::Bytes(n) => self.num(key, n),
            Gave::Again => self.text(key, "again"),
            Gave::Eof => self.text(key, "eof"),
            Gave::Errno(n) => self.num("errno", u64::from(n)),
        }
    }
    fn open(&mut self, key: &'static str, Open { d, m, i, x }: Open) {
        self.key(key);
        self.0.push_str("{\"d\":");
        write_number(self.0, u64::from(d));
        self.num("m", u64::from(m));
        self.num("i", u64::from(i));
        self.num("x", u64::from(x));
        self.0.push('}');
    }
    fn there(&mut self, _: bool) {}
}

/// The fields of an object that was read.
struct Read<'t>(&'t Map<'t>);

impl<'t> Get<'t> for Read<'t> {
    fn num(&mut self, key: &'static str) -> Option<u64> {
        self.0.number(key)
    }
    fn flag(&mut self, key: &'static str) -> Option<bool> {
        Some(matches!(self.0.get(key), Some(Value::Bool(true))))
    }
    fn word<T: Copy>(&mut self, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.0.text(key)?;
        words.iter().find(|(word, _)| *word == text).map(|(_, word)| *word)
    }
    fn text(&mut self, key: &'static str) -> Option<&'t str> {
        self.0.text(key)
    }
    fn pair(&mut self, key: &'static str) -> Option<[&'t str; 2]> {
        let text = |n: usize| match self.0.list(key)?.items.get(n)? {
            Value::Text(text) => Some(&**text),
            _ => None,
        };
        Some([text(0)?, text(1).unwrap_or_default()])
    }
    fn id(&mut self, key: &'static str) -> Option<Id> {
        self.0.text(key)?.parse().ok()
    }
    fn ids(&mut self, key: &'static str) -> Option<&'t [Id]> {
        let list = self.0.list(key)?;
        (list.ids.len() == list.items.len()).then_some(&list.ids)
    }
    fn asked(&mut self, key: &'static str) -> Option<&'t [Asked]> {
        let list = self.0.list(key)?;
        (list.asked.len() == list.items.len()).then_some(&list.asked)
    }
    fn val(&mut self, key: &'static str) -> Option<Val<'t>> {
        let Value::Map(val) = self.0.get(key)? else { return None };
        match val.text("err") {
            Some(f) => f.parse().ok().map(Val::Err),
            None => Some(Val::Ok { text: val.text("ok")?, ty: val.text("ty").unwrap_or_default() }),
        }
    }
    fn gave(&mut self, key: &'static str) -> Option<Gave> {
        match self.0.get(key) {
            Some(Value::Number(n)) => Some(Gave::Bytes(*n)),
            Some(Value::Text(word)) if word == "again" => Some(Gave::Again),
            Some(Value::Text(word)) if word == "eof" => Some(Gave::Eof),
            _ => self.0.number("errno")?.try_into().ok().map(Gave::Errno),
        }
    }
    fn open(&mut self, key: &'static str) -> Option<Open> {
        let Value::Map(open) = self.0.get(key)? else { return None };
        let count = |key| open.number(key)?.try_into().ok();
        Some(Open { d: count("d")?, m: count("m")?, i: count("i")?, x: count("x")? })
    }
    fn there(&mut self, key: &'static str) -> bool {
        self.0.get(key).is_some()
    }
}

impl Trace {
    /// Writes the trace as JSON Lines, with the texts of its source files: see [`JsonLines`], which writes it while the
    /// program runs.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    ///
    /// ```
    /// use ropewalk::trace::{self, Trace};
    ///
    /// let ((), trace) = trace::record(|| trace::note("here"));
    /// let mut file = Vec::new();
    /// trace.write_json(&mut file)?;
    /// let again = Trace::read_json(&file[..])?;
    /// assert!(again.events().eq(trace.events()));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_json(&self, writer: impl Write) -> io::Result<()> {
        self.write_json_to(JsonLines::new(writer))
    }

    /// The same with other settings of the writer.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    ///
    /// ```
    /// use ropewalk::trace::{self, JsonLines};
    ///
    /// let ((), trace) = trace::record(|| trace::note("here"));
    /// let (mut with, mut without) = (Vec::new(), Vec::new());
    /// trace.write_json(&mut with)?;
    /// trace.write_json_to(JsonLines::new(&mut without).without_sources().stable())?;
    /// assert!(without.len() < with.len());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_json_to<W: Write>(&self, mut lines: JsonLines<W>) -> io::Result<()> {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        lines.header(&Header { prog: self.prog(), lib: self.lib(), clock: self.clock(), args: &args });
        for event in self.events() {
            lines.write_event(&event, |file| self.source(file));
        }
        lines.flush()
    }

    /// Reads a trace that was written as JSON Lines.
    ///
    /// Kinds and fields that this version does not know are left out. A last line without its end is left out too, as
    /// it stands when the program that wrote it was killed.
    ///
    /// # Errors
    ///
    /// Those of the reader; and [`io::ErrorKind::InvalidData`], with the number of the line, if it is no trace: the
    /// first line is no header of a version that is known here, a line is no JSON object or longer than 16 MiB,
    /// the numbers of the events do not rise, an event refers to one that does not come before it.
    ///
    /// ```
    /// use ropewalk::trace::Trace;
    /// use std::io;
    ///
    /// let file = "\
    /// {\"k\":\"trace\",\"v\":1,\"prog\":\"poem\",\"lib\":\"ropewalk 0.1.0\",\"clock\":\"virtual\",\"args\":[]}
    /// {\"s\":1,\"t\":0,\"turn\":0,\"k\":\"note\",\"msg\":\"here\"}
    /// ";
    /// let trace = Trace::read_json(file.as_bytes())?;
    /// assert_eq!((trace.prog(), trace.len()), ("poem", 1));
    ///
    /// let error = Trace::read_json("no trace\n".as_bytes()).unwrap_err();
    /// assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn read_json(reader: impl BufRead) -> io::Result<Trace> {
        Reader::new().read(reader)
    }
}

#[derive(Debug)]
pub(super) struct Reader {
    trace: Trace,
    /// The paths of the files, by their numbers.
    files: Vec<(u64, String)>,
    line: u64,
    last: u32,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader { trace: Trace::with_limit(usize::MAX), files: Vec::new(), line: 0, last: 0 }
    }

    pub(super) fn trace(&self) -> &Trace {
        &self.trace
    }

    fn read(mut self, mut reader: impl BufRead) -> io::Result<Trace> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let length = io::Read::take(&mut reader, LONGEST).read_until(b'\n', &mut bytes)?;
            if length == 0 {
                break;
            }
            self.line(&bytes)?;
        }
        if self.line == 0 {
            self.line = 1;
            return Err(self.error(NO_HEADER));
        }
        Ok(self.trace)
    }

    /// Takes one line in, with its end.
    pub(super) fn line(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.line += 1;
        let whole = bytes.ends_with(b"\n");
        if !whole && bytes.len() as u64 == LONGEST {
            return Err(self.error("is longer than 16 MiB"));
        }
        match std::str::from_utf8(bytes).ok().and_then(json::parse) {
            // Torn: nothing comes after it.
            None if !whole && self.line > 1 => Ok(()),
            None if self.line == 1 => Err(self.error(NO_HEADER)),
            None => Err(self.error("is no JSON object")),
            Some(map) => self.take(&map),
        }
    }

    fn error(&self, what: impl std::fmt::Display) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("line {} of the trace {what}", self.line))
    }

    fn take(&mut self, map: &Map<'_>) -> io::Result<()> {
        let kind = map.text("k").unwrap_or_default();
        if self.line == 1 && kind != "trace" {
            return Err(self.error(NO_HEADER));
        }
        match kind {
            "trace" => self.header(map),
            "src" => {
                if let (Some(f), Some(path)) = (map.number("f"), map.text("path")) {
                    self.files.push((f, path.to_owned()));
                    self.trace.sources.push((path.to_owned(), map.text("text").map(str::to_owned)));
                }
                Ok(())
            }
            kind => match Code::named(kind) {
                Some(code) => self.event(code, map),
                None => Ok(()),
            },
        }
    }

    fn header(&mut self, map: &Map<'_>) -> io::Result<()> {
        match map.number("v") {
            Some(v) if v == u64::from(VERSION) => {}
            Some(v) => {
                let what = format!(
                    "says version {v}, and this library reads version {VERSION}: use the one that wrote it"
                );
                return Err(self.error(what));
            }
            None => return Err(self.error(NO_HEADER)),
        }
        let text = |key| map.text(key).unwrap_or_default().to_owned();
        (self.trace.prog, self.trace.lib) = (text("prog"), text("lib"));
        let clock = map.text("clock").unwrap_or_default();
        self.trace.clock = ClockKind::ALL.iter().copied().find(|known| known.word() == clock);
        let args = map.list("args").map_or(&[][..], |list| &list.items);
        self.trace.args = args
            .iter()
            .filter_map(|arg| match arg {
                Value::Text(arg) => Some(arg.clone().into_owned()),
                _ => None,
            })
            .collect();
        Ok(())
    }

    fn event(&mut self, code: Code, map: &Map<'_>) -> io::Result<()> {
        let small = |key| match map.number(key) {
            None => Some(0),
            Some(n) => u32::try_from(n).ok(),
        };
        let Some(s) = small("s").filter(|s| *s > self.last) else {
            let last = self.last;
            return Err(self.error(format!("has no number s that is greater than the one before it, {last}")));
        };
        let (Some(turn), Some(frame), Some(cause), Some(reg)) =
            (small("turn"), small("in"), small("cause"), small("reg"))
        else {
            return Err(self.error("has a number that is too large"));
        };
        let Some(kind) = Kind::get(code, &mut Read(map)) else {
            // Of a version that writes this kind in another way.
            return Ok(());
        };
        for link in [frame, cause, reg, kind.begin().unwrap_or(0)] {
            if link >= s {
                return Err(
                    self.error(format!("is event {s} and refers to event {link}, which does not come before"))
                );
            }
        }
        let at = map.text("at").and_then(|at| place(at, &self.files));
        let event = Event {
            s,
            t: map.number("t").unwrap_or(0),
            wall: map.number("wall"),
            turn,
            th: small("th").filter(|th| *th != 0),
            frame,
            cause,
            reg,
            at,
            label: map.text("label"),
            sys: matches!(map.get("sys"), Some(Value::Bool(true))),
            kind,
        };
        self.last = s;
        if self.trace.push(&event) {
            Ok(())
        } else {
            Err(self.error("and what came before it take more than 4 GB"))
        }
    }
}

const NO_HEADER: &str = "is no header of a trace: it starts with {\"k\":\"trace\",\"v\":1 in a file that ROPEWALK=trace=FILE or Trace::write_json wrote";

fn place<'f>(at: &str, files: &'f [(u64, String)]) -> Option<At<'f>> {
    let mut parts = at.split(':');
    let (file, line, column) = (parts.next()?, parts.next()?, parts.next()?);
    let file: u64 = file.parse().ok()?;
    let (_, path) = files.iter().rev().find(|(n, _)| *n == file)?;
    Some(At::new(path, line.parse().ok()?, column.parse().ok()?))
}
