//! From events to chains: each Deferred of a run, with one row for each thing that happened to it.

use super::rail::Mark;
use super::words::{BAR, Words, duration, escaped, lane_word, short_type, step_label, value};
use crate::trace::{At, Cancel, Dropped, Event, EventNumber, Id, Kind, Lane, Object, Out, Val, Via};
use std::collections::BTreeMap;

/// One row of a chain, in words.
pub(super) struct Row {
    pub(super) mark: Mark,
    /// What it was.
    pub(super) text: String,
    /// Where, and what came of it.
    pub(super) note: String,
    /// The same for the one-line form; empty to leave it out.
    pub(super) brief: String,
    /// First turn, last turn and event. An event of number 0 is not shown.
    pub(super) when: (u32, u32, EventNumber),
}

struct StepNote<'t> {
    label: String,
    at: Option<At<'t>>,
    ok: bool,
    err: bool,
    late: bool,
    reached: bool,
}

/// Where a chain stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    NotFired,
    Running,
    Paused(Id),
    Ok,
    Err(Id),
    Taken(Option<Id>),
    Lost(Id),
}

/// A pause that is not over.
struct Pause {
    row: usize,
    lane: Lane,
    since: u64,
    waited: bool,
}

pub(super) struct Chain<'t> {
    pub(super) id: Id,
    pub(super) name: Option<String>,
    pub(super) ty: String,
    pub(super) made: Option<At<'t>>,
    /// The event that announced it.
    born: EventNumber,
    pub(super) rows: Vec<Row>,
    /// The chain that waited for this one.
    pub(super) waiter: Option<Id>,
    went_to: Option<Id>,
    /// The group that it is a member of.
    group: Option<Id>,
    detached: bool,
    /// The library has added a step of its own: it waits for the result (`run_until`), whoever let go of the chain.
    awaited: bool,
    state: State,
    steps: BTreeMap<u32, StepNote<'t>>,
    /// The row of the step that ran last.
    step_row: Option<usize>,
    ask_row: Option<usize>,
    pause: Option<Pause>,
    last_value: String,
    /// The turn and the time of the last thing that happened.
    turn: u32,
    time: u64,
}

impl<'t> Chain<'t> {
    fn new(id: Id) -> Chain<'t> {
        Chain {
            id,
            name: None,
            ty: String::new(),
            made: None,
            born: 0,
            rows: Vec::new(),
            waiter: None,
            went_to: None,
            group: None,
            detached: false,
            awaited: false,
            state: State::NotFired,
            steps: BTreeMap::new(),
            step_row: None,
            ask_row: None,
            pause: None,
            last_value: String::new(),
            turn: 0,
            time: 0,
        }
    }

    /// `d1 get_poem`
    pub(super) fn title(&self) -> String {
        match &self.name {
            Some(name) => format!("{} {name}", self.id),
            None => self.id.to_string(),
        }
    }

    /// Its result is on its way: to the next step, to the chain that waits for it, or to its group. So it is between two
    /// events.
    fn goes_on(&self) -> bool {
        self.waiter.is_some() || self.group.is_some() || self.steps.values().any(|step| !step.reached)
    }

    /// Who took a failure out of it.
    fn taken(&self, f: Id) -> String {
        match self.group {
            Some(g) => format!("{f} kept by {g}"),
            None => format!("{f} taken out by the program"),
        }
    }

    /// How it ended, or where it stands.
    pub(super) fn status(&self) -> String {
        let mut status = match self.state {
            State::NotFired => "not fired".to_owned(),
            State::Running => "running".to_owned(),
            State::Paused(on) => format!("paused on {on}"),
            State::Ok if self.went_to.is_none() && self.goes_on() => self.last_value.clone(),
            State::Ok | State::Taken(None) => format!("done, {}", self.last_value),
            State::Err(f) if self.went_to.is_some() => format!("done, err {f}"),
            State::Err(f) if self.goes_on() => format!("err {f}"),
            State::Err(f) => format!("{f} rests"),
            State::Taken(Some(f)) => match self.group {
                Some(g) => format!("done, {f} kept by {g}"),
                None => format!("done, {f} taken out"),
            },
            State::Lost(f) => format!("LOST {f}"),
        };
        match (self.went_to, self.state) {
            (Some(to), _) => status.push_str(&format!(", went to {to}")),
            (None, State::NotFired | State::Paused(_)) if self.detached && !self.awaited => {
                status.push_str(", detached");
            }
            _ => {}
        }
        status
    }

    fn push(&mut self, event: &Event<'t>, mark: Mark, text: String, note: String, brief: String) -> usize {
        self.rows.push(Row { mark, text, note, brief, when: (event.turn, event.turn, event.s) });
        (self.turn, self.time) = (event.turn, event.t);
        self.rows.len() - 1
    }

    /// A row that is part of the event before it.
    fn push_bare(&mut self, mark: Mark, text: String, brief: String) {
        self.rows.push(Row { mark, text, note: String::new(), brief, when: (0, 0, 0) });
    }

    /// Writes beside the error that the last row shows, or shows it once more.
    fn at_error(&mut self, event: &Event<'t>, mark: Mark, text: String, brief: String) {
        match self.rows.last_mut() {
            Some(row) if row.mark == Mark::Value(Lane::Err) && row.text.is_empty() => {
                *row = Row { mark, text, note: String::new(), brief, when: (event.turn, event.turn, event.s) };
            }
            _ => {
                self.push(event, mark, text, String::new(), brief);
            }
        }
    }

    /// The result that now travels, with the change of lanes that it made.
    fn arrives(&mut self, from: Lane, val: &Val<'_>, shown: bool) {
        let to = val.lane();
        if from != to {
            self.push_bare(Mark::Cross { to }, String::new(), String::new());
        }
        match val {
            Val::Ok { text: preview, .. } => {
                self.state = State::Ok;
                self.last_value = format!("ok {}", value(preview));
                let brief = format!("ok{}", value(preview));
                if shown {
                    self.push_bare(Mark::Value(to), self.last_value.clone(), brief);
                } else if from != to {
                    self.push_bare(Mark::Value(to), String::new(), String::new());
                }
            }
            Val::Err(f) => {
                self.state = State::Err(*f);
                if shown || from != to {
                    self.push_bare(Mark::Value(to), String::new(), String::new());
                }
            }
        }
    }

    /// An error that lay here for a turn or longer before the next step took it.
    fn rested(&mut self, event: &Event<'t>, words: &Words<'t>) {
        if let State::Err(f) = self.state
            && event.turn > self.turn
        {
            let mut text = format!("{f} rests");
            if !words.stable {
                text.push_str(&format!(" {}", duration(event.t.saturating_sub(self.time))));
            }
            self.at_error(event, Mark::Rest, text, String::new());
            self.leave_out_when();
        }
    }

    fn leave_out_when(&mut self) {
        if let Some(row) = self.rows.last_mut() {
            row.when = (0, 0, 0);
        }
    }

    fn finish(&mut self, last: &Event<'t>) {
        if let (State::Err(f), None, false) = (self.state, self.went_to, self.goes_on()) {
            self.at_error(last, Mark::Rest, format!("{f} rests: no errback yet"), format!("! {f} rests"));
            self.leave_out_when();
        }
    }
}

/// All chains of a trace, by number.
pub(super) struct Chains<'t> {
    pub(super) all: BTreeMap<u32, Chain<'t>>,
    /// How many events the recorder had no room for.
    pub(super) dropped: u64,
}

impl<'t> Chains<'t> {
    /// Those of these events. `words` knows all that they refer to.
    pub(super) fn of(events: impl Iterator<Item = Event<'t>>, words: &Words<'t>) -> Chains<'t> {
        let mut chains = Chains { all: BTreeMap::new(), dropped: 0 };
        let mut last = None;
        for event in events {
            chains.take(&event, words);
            last = Some(event);
        }
        if let Some(last) = last {
            for chain in chains.all.values_mut() {
                chain.finish(&last);
                let home = chain.made;
                let open: Vec<_> = chain.steps.iter().filter(|(_, step)| !step.reached).collect();
                let rows: Vec<Row> = open
                    .into_iter()
                    .map(|(&n, step)| Row {
                        mark: Mark::NotYet { n, ok: step.ok, err: step.err },
                        text: step.label.clone(),
                        note: place(words, step.at, home) + "  not yet",
                        brief: format!("({n} {})", brief_name(words, &step.label, step.at)),
                        when: (0, 0, 0),
                    })
                    .collect();
                chain.rows.extend(rows);
            }
        }
        chains
    }

    fn at(&mut self, id: Id) -> &mut Chain<'t> {
        self.all.entry(id.1).or_insert_with(|| Chain::new(id))
    }

    fn take(&mut self, event: &Event<'t>, words: &Words<'t>) {
        match &event.kind {
            Kind::Drop { n } => self.dropped += n,
            Kind::DNew { d, ty, .. } => {
                let chain = self.at(*d);
                chain.ty = short_type(ty);
                chain.made = event.at;
                chain.born = event.s;
                chain.name = event.label.map(escaped);
            }
            Kind::DName { d } => self.at(*d).name = event.label.map(escaped),
            Kind::DAdd { d, n, lanes, names, late } => {
                let label = escaped(&step_label(event.label, *names));
                let step =
                    StepNote { label, at: event.at, ok: lanes.ok(), err: lanes.err(), late: *late, reached: false };
                let chain = self.at(*d);
                chain.awaited |= event.sys;
                chain.steps.insert(*n, step);
            }
            Kind::DFire { d, val } => self.fired(event, *d, val, words),
            Kind::DStep { d, n, lane, .. } => {
                let chain = self.at(*d);
                chain.rested(event, words);
                let (label, mut note, late) = chain.step(event, *n, words);
                if late {
                    note.push_str("  ran inside the add");
                }
                let name = brief_name(words, &label, event.at);
                let brief = match lane {
                    Lane::Ok => format!(">{n} {name}"),
                    Lane::Err => format!("[{n} {name}]"),
                };
                chain.state = State::Running;
                chain.step_row = Some(chain.push(event, Mark::Step(*lane, *n), label, note, brief));
            }
            Kind::DRet { d, b, val, inner, .. } => self.returned(event, *d, *b, *val, *inner, words),
            Kind::DPass { d, n, lane } => {
                let chain = self.at(*d);
                chain.rested(event, words);
                let (label, mut note, _) = chain.step(event, *n, words);
                note.push_str(match lane {
                    Lane::Ok => "  no callback, passed by",
                    Lane::Err => "  no errback, passed by",
                });
                let brief = format!("|{n} {}", brief_name(words, &label, event.at));
                chain.push(event, Mark::Pass(*lane, *n), label, note, brief);
            }
            Kind::DPause { d, on } => {
                let chain = self.at(*d);
                chain.state = State::Paused(*on);
                if let Some(pause) = &mut chain.pause {
                    pause.since = event.t;
                    pause.waited = true;
                    let row = &mut chain.rows[pause.row];
                    row.text = format!("gave back {on}, chain paused");
                    row.brief = format!("={on}");
                    row.when = (event.turn, event.turn, event.s);
                }
            }
            Kind::DResume { d, from, val } => self.resumed(event, *d, *from, val, words),
            Kind::DCancel { d, how, to } => self.cancelled(event, *d, (*how, *to), words),
            Kind::CancellerEnd { b, fired, out } => {
                let begin = words.event(*b).map(|begin| begin.kind);
                if let Some(Kind::CancellerBegin { d }) = begin
                    && let Some(ask) = self.at(d).ask_row
                {
                    let what = match (fired, out) {
                        (true, Out::Ok | Out::Err) => "the canceller fired it",
                        (true, Out::Panic) => "the canceller fired it, then panicked",
                        (false, Out::Ok | Out::Err) => "the canceller did not fire it: it fails now",
                        (false, Out::Panic) => "the canceller panicked: it fails now",
                    };
                    let note = &mut self.at(d).rows[ask].note;
                    note.truncate(note.find("  ").unwrap_or(note.len()));
                    note.push_str("  ");
                    note.push_str(what);
                }
            }
            Kind::DSwallow { d, .. } => {
                let chain = self.at(*d);
                let note = place(words, event.at, chain.made);
                chain.push(event, Mark::Swallow, "late result swallowed".into(), note, "swallow".into());
            }
            Kind::DTake { d } => {
                let chain = self.at(*d);
                chain.state = match chain.state {
                    State::Err(f) => {
                        let text = chain.taken(f);
                        chain.at_error(event, Mark::Value(Lane::Err), text, "taken".to_owned());
                        State::Taken(Some(f))
                    }
                    _ => State::Taken(None),
                };
            }
            Kind::GNew { g, of, .. } => {
                for d in *of {
                    let chain = self.at(*d);
                    chain.group = Some(*g);
                    // It had its result before the group was there.
                    if let State::Taken(Some(f)) = chain.state {
                        let text = chain.taken(f);
                        if let Some(row) = chain.rows.last_mut() {
                            row.text = text;
                        }
                    }
                }
            }
            Kind::DDrop { d, state, .. } => self.at(*d).detached = *state == Dropped::Pending,
            Kind::FHandled { f, d, .. } => {
                let chain = self.at(*d);
                if let Some(row) = chain.step_row {
                    chain.rows[row].note.push_str(&format!("  handled {f}"));
                }
            }
            Kind::FLost { f, d, .. } => {
                let chain = self.at(*d);
                let after = chain.steps.values().last().and_then(|step| step.at).or(chain.made);
                let after = place(words, after, chain.made);
                let text = format!("{f} had no errback to go to: add one after {after}");
                chain.at_error(event, Mark::Value(Lane::Err), text, format!("LOST {f}"));
                chain.state = State::Lost(*f);
            }
            _ => {}
        }
    }

    fn fired(&mut self, event: &Event<'t>, d: Id, val: &Val<'_>, words: &Words<'t>) {
        let chain = self.at(d);
        let home = chain.made;
        // Made and fired in one: nothing but the failure's own event can stand between the two.
        let with_it = event.at.is_some() && event.at == home && event.s - chain.born <= 2;
        let fired = match event.at {
            Some(_) if with_it => "made with it".to_owned(),
            at => format!("fired {}", place(words, at, home)).trim_end().to_owned(),
        };
        let (text, mut note, brief) = match val {
            Val::Ok { text: preview, .. } => {
                let shown = value(preview);
                (format!("ok {shown}"), fired, format!("ok{shown}"))
            }
            Val::Err(f) => {
                let raised = words.raised(*f);
                let note = match (words.via(*f), event.at) {
                    (Some(Via::Cancel), None) => format!("cancelled {}", place(words, raised, home)),
                    (Some(Via::Abandoned), None) => "abandoned".to_owned(),
                    (Some(Via::Panic), None) => "its canceller panicked".to_owned(),
                    (_, at) if raised.map(At::line_of) == at.map(At::line_of) => {
                        format!("raised and {fired}")
                    }
                    _ => format!("raised {}, {fired}", place(words, raised, home)),
                };
                (format!("err {}", words.failure(*f)), note, format!("x {f}{}", words.message(*f)))
            }
        };
        note.push_str(&words.by(event));
        chain.push(event, Mark::Value(val.lane()), text, note, brief);
        chain.state = match val {
            Val::Ok { text: preview, .. } => {
                chain.last_value = format!("ok {}", value(preview));
                State::Ok
            }
            Val::Err(f) => State::Err(*f),
        };
    }

    fn returned(
        &mut self,
        event: &Event<'t>,
        d: Id,
        b: EventNumber,
        val: Option<Val<'_>>,
        inner: Option<Id>,
        words: &Words<'t>,
    ) {
        let (lane, came_in) = match words.event(b).map(|begin| begin.kind) {
            Some(Kind::DStep { lane, val, .. }) => (lane, Some(val)),
            _ => (Lane::Ok, None),
        };
        let chain = self.at(d);
        if let (Some(Val::Err(f)), Some(row)) = (val, chain.step_row) {
            let raised = words.raised(f);
            let mut what = match came_in {
                Some(Val::Err(had)) if had == f => format!("passes {f} on"),
                Some(Val::Err(had)) => format!("err {} in place of {had}", words.failure(f)),
                _ => format!("err {}", words.failure(f)),
            };
            let own = event.at.map(At::line_of) == raised.map(At::line_of);
            if !own && came_in != val {
                what.push_str(&format!(", raised {}", place(words, raised, chain.made)));
            }
            let step = &mut chain.rows[row];
            step.note.push_str(&format!("  {what}"));
            if came_in != val {
                step.brief.push_str(&format!(" x {f}{}", words.message(f)));
            }
        }
        if let Some(val) = val {
            chain.arrives(lane, &val, true);
        }
        if let Some(inner) = inner {
            let (text, brief) = (format!("gave back {inner}"), format!("={inner}"));
            let row = chain.push(event, Mark::Pause(lane), text, String::new(), brief);
            chain.pause = Some(Pause { row, lane, since: event.t, waited: false });
            chain.push_bare(Mark::Beside(lane, inner.1), String::new(), String::new());
            self.at(inner).waiter = Some(d);
        }
        let chain = self.at(d);
        (chain.turn, chain.time) = (event.turn, event.t);
    }

    fn resumed(&mut self, event: &Event<'t>, d: Id, from: Id, val: &Val<'_>, words: &Words<'t>) {
        self.at(from).went_to = Some(d);
        self.at(from).waiter = Some(d);
        let chain = self.at(d);
        let pause = chain.pause.take();
        let lane = pause.as_ref().map_or(Lane::Ok, |pause| pause.lane);
        let mut verb = "resumed with";
        if let Some(pause) = &pause {
            let row = &mut chain.rows[pause.row];
            if pause.waited {
                row.when.1 = event.turn;
                if !words.stable {
                    let time = duration(event.t.saturating_sub(pause.since));
                    row.text.push_str(&format!(" {time}"));
                    row.brief.push_str(&format!("({})", time.replace(' ', "")));
                }
            } else {
                row.text.push_str(", which had its result");
                verb = "goes on with";
            }
        }
        let (text, brief) = match val {
            Val::Ok { text: preview, .. } => {
                let shown = value(preview);
                (format!("{verb} {} {shown}", lane_word(Lane::Ok)), format!("ok{shown}"))
            }
            Val::Err(f) => (format!("{verb} {} {f}", lane_word(Lane::Err)), format!("x {f}{}", words.message(*f))),
        };
        chain.push(event, Mark::Back(lane), text, String::new(), brief);
        chain.arrives(lane, val, false);
    }

    fn cancelled(&mut self, event: &Event<'t>, d: Id, how: (Cancel, Option<Id>), words: &Words<'t>) {
        let chain = self.at(d);
        let (what, brief) = match how {
            (Cancel::Canceller, _) => ("the canceller is asked".to_owned(), "cancel".to_owned()),
            (Cancel::NoCanceller, _) => {
                ("no canceller: it fails now, a late result will be swallowed".to_owned(), "cancel".to_owned())
            }
            (Cancel::Forward, Some(inner)) => (format!("passed on to {inner}"), format!("cancel->{inner}")),
            (Cancel::Forward, None) => ("passed on".to_owned(), "cancel".to_owned()),
            (Cancel::TooLate, _) => ("too late: nothing happens".to_owned(), "cancel too late".to_owned()),
        };
        let note = format!("{}  {what}", place(words, event.at, chain.made));
        let paused = chain.pause.as_ref().map(|pause| pause.lane);
        let row = chain.push(event, Mark::Ask(paused), "cancel".to_owned(), note, brief);
        chain.ask_row = Some(row);
        if let Some(pause) = &chain.pause {
            // Above the chain that is drawn beside the pause: there the cancel goes on.
            let asks = chain.rows[pause.row..].iter().filter(|row| matches!(row.mark, Mark::Ask(_))).count();
            let to = pause.row + asks;
            chain.rows[to..].rotate_right(1);
            chain.ask_row = Some(to);
        }
    }
}

impl<'t> Chain<'t> {
    /// What the row of step `n` says, and whether the step was added to a chain that had its result.
    fn step(&mut self, event: &Event<'t>, n: u32, words: &Words<'t>) -> (String, String, bool) {
        let home = self.made;
        let known = self.steps.entry(n).or_insert_with(|| StepNote {
            // Added before somebody recorded.
            label: escaped(event.label.unwrap_or("step")),
            at: event.at,
            ok: true,
            err: true,
            late: false,
            reached: false,
        });
        known.reached = true;
        (known.label.clone(), place(words, known.at, home), known.late)
    }
}

fn place(words: &Words<'_>, at: Option<At<'_>>, home: Option<At<'_>>) -> String {
    at.map(|at| words.place(at, home)).unwrap_or_default()
}

/// A step's name where no place stands beside it.
fn brief_name(words: &Words<'_>, label: &str, at: Option<At<'_>>) -> String {
    match at {
        Some(at) if label == "closure" => format!("closure at {}", words.whole_place(at)),
        // A bar stands for a step that is passed by here.
        _ => label.replace(BAR, "/"),
    }
}

/// File and line, without the column.
trait LineOf<'t> {
    fn line_of(self) -> (&'t str, u32);
}

impl<'t> LineOf<'t> for At<'t> {
    fn line_of(self) -> (&'t str, u32) {
        (self.file(), self.line())
    }
}

/// The object that a chain's number stands for.
pub(super) fn chain_id(n: u32) -> Id {
    Id(Object::Deferred, n)
}
