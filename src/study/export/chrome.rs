//! A trace as Chrome Trace Event JSON, for Perfetto (ui.perfetto.dev) and `chrome://tracing`.
//!
//! ```text
//! turn, wait, callback, step, poll of a task   a slice (B, E) on the thread "loop"; outside of all turns: "setup"
//! job of the worker pool                       a slice on its worker's thread
//! life of a Deferred, timer, task; a wait      an asynchronous pair (b, e)
//! called later: woken by, registered at        an arrow (s, f) between two slices
//! bytes to write, Deferreds without a result   a counter (C)
//! everything else                              an instant (i)
//! ```
//!
//! Times are microseconds with three decimals, printed from integers, and each event has a time of its own: of two at
//! the same time these viewers show one. Form: "Trace Event Format" (Google).

use crate::study::page::json_text;
use crate::study::row::headline;
use crate::study::sentence::sentence;
use crate::study::state::State;
use crate::trace::{Event, EventNumber, Id, Kind, Object, Trace};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{self, Write};

/// The thread of the loop; worker `n` has `10 + n`.
const LOOP: u32 = 1;

/// Makes Chrome Trace Event JSON of a recorded run.
///
/// ```
/// use ropewalk::{Deferred, study, trace};
///
/// let ((), trace) = trace::record(|| Deferred::succeed(1).named("one").map(|n| n + 1).detach());
/// let json = study::chrome(&trace).to_json();
/// assert!(json.starts_with("{\"traceEvents\":["));
/// // std::fs::write("run.json", json)?; and open it in Perfetto
/// ```
pub fn chrome(trace: &Trace) -> Chrome<'_> {
    Chrome { trace, steps: false, all_flows: false }
}

/// A run as Chrome Trace Event JSON that is to be written. Made by [`chrome`].
///
/// ```
/// use ropewalk::{Deferred, study, trace};
///
/// let ((), trace) = trace::record(|| Deferred::succeed(1).named("one").map(|n| n + 1).detach());
/// let json = study::chrome(&trace).steps().all_flows().to_json();
/// assert!(json.contains("\"ph\":\"B\"") && json.contains("\"ph\":\"s\"")); // slices, and arrows
/// let mut file = Vec::new();
/// study::chrome(&trace).steps().all_flows().write(&mut file)?;
/// assert_eq!(file, json.into_bytes());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "write it with `write` or `to_json`"]
pub struct Chrome<'t> {
    trace: &'t Trace,
    steps: bool,
    all_flows: bool,
}

impl Chrome<'_> {
    /// Shows 10 us for each event instead of the time that passed: a chain that runs in no time can be seen.
    pub fn steps(mut self) -> Self {
        self.steps = true;
        self
    }

    /// Draws all arrows, those inside of one turn too.
    pub fn all_flows(mut self) -> Self {
        self.all_flows = true;
        self
    }

    /// The file as one text.
    pub fn to_json(&self) -> String {
        let mut json = Vec::new();
        self.write(&mut json).expect("memory takes all");
        String::from_utf8(json).expect("it is made of texts")
    }

    /// Writes the file. The writer gets many small pieces: put a [`BufWriter`](io::BufWriter) around a file.
    ///
    /// # Errors
    ///
    /// The writer's own.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let mut pen = Pen {
            out,
            state: State::new(),
            names: State::after(self.trace),
            steps: self.steps,
            flows: self.flows(),
            at: 0,
            first: true,
            open: Vec::new(),
            heads: HashMap::new(),
            jobs: BTreeMap::new(),
            threads: BTreeSet::new(),
            lives: BTreeMap::new(),
            lived: HashSet::new(),
            waits: BTreeMap::new(),
            waited: HashMap::new(),
            unfired: HashSet::new(),
            left: BTreeMap::new(),
        };
        pen.begin(self.trace)?;
        let mut events = self.trace.events();
        let each = |line: &[u8]| events.next().map_or(Ok(()), |event| pen.event(self.trace, &event, line));
        self.trace.write_json(EventLines { line: Vec::new(), each })?;
        pen.finish()
    }

    /// For each event the arrows that begin or end at it.
    fn flows(&self) -> HashMap<EventNumber, Vec<Arrow>> {
        let mut flows: HashMap<EventNumber, Vec<Arrow>> = HashMap::new();
        // An arrow is bound to a slice: what happens on a worker between two jobs has none.
        let (mut jobs, mut loose) = (HashSet::new(), HashSet::new());
        for event in self.trace.events() {
            let Some(worker) = event.th else { continue };
            let job = match event.kind {
                Kind::WorkBegin { .. } => {
                    jobs.insert(worker);
                    true
                }
                Kind::WorkEnd { .. } => jobs.remove(&worker),
                _ => jobs.contains(&worker),
            };
            if !job {
                loose.insert(event.s);
            }
        }
        for event in self.trace.events() {
            for (from, cat, id) in
                [(event.cause, "cause", u64::from(event.s) * 2), (event.reg, "reg", u64::from(event.s) * 2 + 1)]
            {
                let Some(from) = self.trace.get(from) else { continue };
                let crosses = from.turn != event.turn || from.th != event.th;
                let bound = from.s < event.s && !loose.contains(&from.s) && !loose.contains(&event.s);
                if bound && (crosses || self.all_flows) {
                    flows.entry(from.s).or_default().push(Arrow { phase: 's', cat, id });
                    flows.entry(event.s).or_default().push(Arrow { phase: 'f', cat, id });
                }
            }
        }
        flows
    }
}

struct Arrow {
    phase: char,
    cat: &'static str,
    id: u64,
}

/// Gives each line of a trace file on that is an event.
struct EventLines<F> {
    line: Vec<u8>,
    each: F,
}

impl<F: FnMut(&[u8]) -> io::Result<()>> Write for EventLines<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.flush()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.line.starts_with(b"{\"s\":") {
            (self.each)(self.line.trim_ascii_end())?;
        }
        self.line.clear();
        Ok(())
    }
}

/// What is written, and what is open.
struct Pen<W> {
    out: W,
    /// The state before the event, for the sentences.
    state: State,
    /// The state at the end, for the names.
    names: State,
    steps: bool,
    flows: HashMap<EventNumber, Vec<Arrow>>,
    /// The time that was written last, in nanoseconds.
    at: u64,
    first: bool,
    /// Open slices of the loop: their begin events; 0 for what is outside of all turns.
    open: Vec<EventNumber>,
    /// For each thread the names of its open slices. An end repeats its beginning's: DevTools joins no others.
    heads: HashMap<u32, Vec<String>>,
    /// Jobs that run, by thread.
    jobs: BTreeMap<u32, Id>,
    threads: BTreeSet<u32>,
    lives: BTreeMap<Id, String>,
    lived: HashSet<Id>,
    /// Who waits, and the how-manyeth wait it is.
    waits: BTreeMap<Id, String>,
    waited: HashMap<Id, u32>,
    unfired: HashSet<Id>,
    left: BTreeMap<Id, u64>,
}

impl<W: Write> Pen<W> {
    fn begin(&mut self, trace: &Trace) -> io::Result<()> {
        write!(self.out, "{{\"traceEvents\":[")?;
        let named = |what: &str, tid: u32, name: &str| {
            format!("\"name\":\"{what}\",\"tid\":{tid},\"args\":{{\"name\":{}}}", quoted(name))
        };
        self.put('M', &named("process_name", LOOP, trace.prog()))?;
        self.put('M', &named("thread_name", LOOP, "loop"))?;
        self.put('M', &format!("\"name\":\"thread_sort_index\",\"tid\":{LOOP},\"args\":{{\"sort_index\":0}}"))
    }

    /// One entry. Those that tell of a thread have no time.
    fn put(&mut self, phase: char, rest: &str) -> io::Result<()> {
        let comma = if std::mem::take(&mut self.first) { "" } else { "," };
        write!(self.out, "{comma}\n{{\"ph\":\"{phase}\",\"pid\":1,")?;
        if phase != 'M' {
            write!(self.out, "\"ts\":{}.{:03},", self.at / 1000, self.at % 1000)?;
        }
        write!(self.out, "{rest}}}")
    }

    fn open_slice(&mut self, tid: u32, head: String, about: &str) -> io::Result<()> {
        self.put('B', &format!("{head}{about}"))?;
        self.heads.entry(tid).or_default().push(head);
        Ok(())
    }

    fn close_slice(&mut self, tid: u32, about: &str) -> io::Result<()> {
        let head = self.heads.get_mut(&tid).and_then(Vec::pop).unwrap_or_default();
        self.put('E', &format!("{head}{about}"))
    }

    /// On to that time, or to the next moment after what was written last.
    fn go_to(&mut self, nanos: u64) {
        self.at = nanos.max(self.at.saturating_add(1));
    }

    fn event(&mut self, trace: &Trace, event: &Event<'_>, line: &[u8]) -> io::Result<()> {
        let time = if self.steps { u64::from(event.s) * 10_000 } else { event.t };
        self.slices_before(event)?;
        self.go_to(time);
        let says = sentence(&self.state, event);
        self.state.apply(event);
        let name = headline(&self.names, event);
        let head = format!("\"name\":{},\"cat\":\"{}\"", quoted(&name), event.kind.name());
        let tid = match event.th {
            Some(worker) => 10 + worker,
            None => LOOP,
        };
        let mut about = format!(",\"tid\":{tid},\"args\":{{\"says\":{}", quoted(&says));
        if let Some(at) = event.at {
            let _ = write!(about, ",\"at\":{}", quoted(&format!("{}:{}", at.file(), at.line())));
        }
        // All its fields, as the trace file has them.
        let _ = write!(about, ",\"event\":{}}}", String::from_utf8_lossy(line));
        if tid != LOOP && self.threads.insert(tid) {
            let name = format!("worker {}", tid - 10);
            let thread = format!("\"name\":\"thread_name\",\"tid\":{tid},\"args\":{{\"name\":{}}}", quoted(&name));
            self.put('M', &thread)?;
            let sort = format!("\"name\":\"thread_sort_index\",\"tid\":{tid},\"args\":{{\"sort_index\":{tid}}}");
            self.put('M', &sort)?;
        }
        match event.kind {
            kind if opens(&kind) && event.th.is_none() => {
                self.open.push(event.s);
                self.open_slice(tid, head, &about)?;
                self.arrows(event.s, tid)?;
            }
            kind if kind.begin().is_some_and(|b| self.open.last() == Some(&b)) => {
                self.arrows(event.s, tid)?;
                self.open.pop();
                self.close_slice(tid, &about)?;
            }
            Kind::WorkBegin { w } if event.th.is_some() && !self.jobs.contains_key(&tid) => {
                self.jobs.insert(tid, w);
                self.open_slice(tid, head, &about)?;
                self.arrows(event.s, tid)?;
            }
            Kind::WorkEnd { w, .. } if self.jobs.get(&tid) == Some(&w) => {
                self.arrows(event.s, tid)?;
                self.jobs.remove(&tid);
                self.close_slice(tid, &about)?;
            }
            _ => {
                self.put('i', &format!("\"s\":\"t\",{head}{about}"))?;
                self.arrows(event.s, tid)?;
            }
        }
        self.lives(event)?;
        self.counters(trace, event)
    }

    /// Whatever happens on the loop's thread happens in a slice: an arrow is bound to the one that is open.
    fn slices_before(&mut self, event: &Event<'_>) -> io::Result<()> {
        if event.th.is_some() {
            return Ok(());
        }
        if matches!(event.kind, Kind::TurnBegin { .. }) {
            // A turn is in nothing, whatever a broken trace says.
            self.close_to(0)?;
        } else if let Some(b) = event.kind.begin()
            && let Some(i) = self.open.iter().rposition(|open| *open == b)
        {
            self.close_to(i + 1)?;
        }
        if self.open.is_empty() && !matches!(event.kind, Kind::TurnBegin { .. }) {
            let name = if event.turn == 0 { "setup" } else { "outside of the turns" };
            self.go_to(if self.steps { (u64::from(event.s) * 10_000).saturating_sub(2) } else { event.t });
            self.open.push(0);
            let head = format!("\"name\":\"{name}\",\"cat\":\"outside\"");
            self.open_slice(LOOP, head, &format!(",\"tid\":{LOOP}"))?;
        }
        Ok(())
    }

    /// Ends the slices above the first `n`.
    fn close_to(&mut self, n: usize) -> io::Result<()> {
        while self.open.len() > n {
            self.open.pop();
            self.go_to(self.at);
            self.close_slice(LOOP, &format!(",\"tid\":{LOOP}"))?;
        }
        Ok(())
    }

    fn arrows(&mut self, s: EventNumber, tid: u32) -> io::Result<()> {
        for Arrow { phase, cat, id } in self.flows.remove(&s).unwrap_or_default() {
            let bind = if phase == 'f' { ",\"bp\":\"e\"" } else { "" };
            let words = if cat == "reg" { "registered at" } else { "woken by" };
            self.put(phase, &format!("\"name\":\"{words}\",\"cat\":\"{cat}\",\"id\":{id},\"tid\":{tid}{bind}"))?;
        }
        Ok(())
    }

    /// The pair of an object's life, or of a wait: it ends once.
    fn lives(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event.kind {
            Kind::DNew { d: id, .. } | Kind::TimerArm { m: id, .. } | Kind::XSpawn { x: id, .. } => {
                self.is_born(id)?
            }
            Kind::TimerFire { m: id, .. } | Kind::TimerCancel { m: id } | Kind::XDrop { x: id, .. } => {
                self.dies(id)?
            }
            Kind::DDrop { d: id, state: crate::trace::Dropped::Fired, .. }
            | Kind::DTake { d: id }
            | Kind::FLost { d: id, .. } => self.dies(id)?,
            Kind::DPause { d, on } => self.waits(d, &format!("{d} waits on {on}"))?,
            Kind::DResume { d, from, .. } => {
                self.goes_on(d)?;
                self.dies(from)?;
            }
            Kind::XWait { x, on } => {
                let on = on.map_or("something".to_owned(), |on| on.to_string());
                self.waits(x, &format!("{x} waits on {on}"))?;
            }
            Kind::XPoll { x, .. } => self.goes_on(x)?,
            _ => {}
        }
        Ok(())
    }

    fn is_born(&mut self, id: Id) -> io::Result<()> {
        if !self.lived.insert(id) {
            return Ok(());
        }
        let cat = match id.0 {
            Object::Deferred => "Deferred",
            Object::Timer => "timer",
            _ => "task",
        };
        // One name for both ends: the name that it has in the end.
        let name = quoted(&self.names.title(id).replace('"', ""));
        let pair = format!("\"name\":{name},\"cat\":\"{cat}\",\"id2\":{{\"local\":\"{id}\"}},\"tid\":{LOOP}");
        self.put('b', &pair)?;
        self.lives.insert(id, pair);
        Ok(())
    }

    fn dies(&mut self, id: Id) -> io::Result<()> {
        self.goes_on(id)?;
        match self.lives.remove(&id) {
            Some(pair) => self.put('e', &pair),
            None => Ok(()),
        }
    }

    fn waits(&mut self, id: Id, name: &str) -> io::Result<()> {
        // A task may tell several times on what it waits, in one poll.
        self.goes_on(id)?;
        let n = self.waited.entry(id).or_default();
        *n += 1;
        let local = format!("{id}.w{n}");
        let name = quoted(name);
        let pair = format!("\"name\":{name},\"cat\":\"wait\",\"id2\":{{\"local\":\"{local}\"}},\"tid\":{LOOP}");
        self.put('b', &pair)?;
        self.waits.insert(id, pair);
        Ok(())
    }

    fn goes_on(&mut self, id: Id) -> io::Result<()> {
        match self.waits.remove(&id) {
            Some(pair) => self.put('e', &pair),
            None => Ok(()),
        }
    }

    fn counters(&mut self, _trace: &Trace, event: &Event<'_>) -> io::Result<()> {
        let changed = match event.kind {
            Kind::DNew { d, .. } => self.unfired.insert(d),
            Kind::DFire { d, .. } => self.unfired.remove(&d),
            Kind::IoWrite { i, left, .. } | Kind::FlowHigh { i, left, .. } | Kind::FlowLow { i, left } => {
                self.left.insert(i, left);
                let all = self.left.values().fold(0u64, |all, left| all.saturating_add(*left));
                return self
                    .put('C', &format!("\"name\":\"bytes to write\",\"tid\":{LOOP},\"args\":{{\"bytes\":{all}}}"));
            }
            _ => false,
        };
        if !changed {
            return Ok(());
        }
        let n = self.unfired.len();
        self.put(
            'C',
            &format!("\"name\":\"Deferreds without a result\",\"tid\":{LOOP},\"args\":{{\"Deferreds\":{n}}}"),
        )
    }

    /// Ends what is open.
    fn finish(mut self) -> io::Result<()> {
        self.go_to(self.at);
        for tid in std::mem::take(&mut self.jobs).into_keys() {
            self.close_slice(tid, &format!(",\"tid\":{tid}"))?;
        }
        self.close_to(0)?;
        let pairs =
            std::mem::take(&mut self.waits).into_values().chain(std::mem::take(&mut self.lives).into_values());
        for pair in pairs {
            self.put('e', &pair)?;
        }
        write!(self.out, "\n],\"displayTimeUnit\":\"ns\"}}\n")?;
        self.out.flush()
    }
}

/// Whether it opens a slice: a frame, or a wait.
fn opens(kind: &Kind<'_>) -> bool {
    kind.opens_frame() || matches!(kind, Kind::PollBegin { .. })
}

fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json_text(&mut json, text);
    json
}
