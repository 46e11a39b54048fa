//! What a stepper shows, as lines of text with tones, for any front end: each function fills one part of a screen.
//!
//! Nothing here depends on a terminal, and everything is cut to the width that it is given. What a program named is
//! shown escaped.

mod events;
mod lanes;
mod rail;
mod strip;
mod waiting;

use super::Stepper;
use crate::study::lints::{Rule, Weight};
use crate::study::row::{headline, objects};
use crate::study::state::{FrameKind, Life};
use crate::study::words::{duration, escaped, whole};
use crate::trace::{ClockKind, Event, EventNumber, Kind, Slot, Stream};
use std::rc::Rc;

/// How something is to be shown, where there are colours. Each is to be told from the others without them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    #[default]
    Plain,
    /// Of less weight: what comes later, what is only an aid.
    Dim,
    /// Of more weight.
    Strong,
    /// The callbacks' lane.
    Ok,
    /// The errbacks' lane.
    Err,
    /// What rests, or is paused.
    Warn,
    /// Where the cursor is.
    Here,
    /// A rule between two parts.
    Title,
}

/// A line: pieces of text, each with its tone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line(pub(crate) Vec<(Tone, String)>);

impl Line {
    pub(crate) fn of(tone: Tone, text: impl Into<String>) -> Line {
        Line(vec![(tone, text.into())])
    }

    fn with(mut self, tone: Tone, text: impl Into<String>) -> Line {
        self.0.push((tone, text.into()));
        self
    }

    /// Filled up or cut to `width`.
    fn fit(mut self, width: usize) -> Line {
        let mut room = width;
        for (_, text) in &mut self.0 {
            *text = cut(text, room);
            room -= text.chars().count();
        }
        self.0.push((Tone::Plain, " ".repeat(room)));
        self
    }

    /// With a text at the right edge, which has the right of way.
    fn right(self, width: usize, tone: Tone, text: &str) -> Line {
        let text = cut_left(text, width / 2);
        let room = width - text.chars().count();
        // Never right behind what stands before it.
        let gap = usize::from(!text.is_empty()).min(room);
        self.fit(room - gap).with(Tone::Plain, " ".repeat(gap)).with(tone, text)
    }

    pub(crate) fn text(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect()
    }
}

/// The first `width` characters; where some are missing, two dots at the end.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(2)).collect();
    short.extend(std::iter::repeat_n('.', width.min(2)));
    short
}

/// The last `width` characters: of a path that is what counts.
pub(super) fn cut_left(text: &str, width: usize) -> String {
    let n = text.chars().count();
    if n <= width {
        return text.to_owned();
    }
    let dots = width.min(2);
    std::iter::repeat_n('.', dots).chain(text.chars().skip(n - (width - dots))).collect()
}

/// Words on lines of at most `width` characters.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    let mut at = 0;
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if at > 0 && at + 1 + word.len() > width {
            lines.push(String::new());
            at = 0;
        }
        if at > 0 {
            lines.last_mut().expect("there is one").push(' ');
            at += 1;
        }
        while word.len() > width {
            let rest = word.split_off(width);
            lines.last_mut().expect("there is one").extend(word);
            lines.push(String::new());
            word = rest;
        }
        at += word.len();
        lines.last_mut().expect("there is one").extend(word);
    }
    lines
}

/// `:40`, or with the end of the path where the file is another than `home`.
fn place(event: &Event<'_>, home: Option<&str>) -> String {
    match event.at {
        Some(at) if home == Some(at.file()) => format!(":{}", at.line()),
        Some(at) => {
            let file = at.file().rsplit('/').next().unwrap_or_default();
            format!("{}:{}", escaped(file), at.line())
        }
        None => String::new(),
    }
}

/// `== title ======`
pub(super) fn rule(title: &str, width: usize) -> Line {
    let mut text =
        if title.is_empty() { String::new() } else { format!("== {} ", cut(title, width.saturating_sub(6))) };
    let n = text.chars().count();
    text.extend(std::iter::repeat_n('=', width.saturating_sub(n)));
    Line::of(Tone::Title, cut(&text, width))
}

/// What it means that a clock is frozen, where there is room for it.
const FROZEN: &str = " (stands still while you look; peers may time out)";

impl Stepper {
    /// The program's name: that of its file, without folders.
    fn program(&self) -> String {
        let prog = self.timeline.trace().prog();
        let name = prog.rsplit('/').next().unwrap_or(prog);
        escaped(if name.is_empty() { "trace" } else { name })
    }

    /// The file in which most of the program lies: that of the first event that has a place.
    fn home(&self) -> Option<String> {
        let event = self.timeline.trace().events().take(100).find_map(|event| event.at)?;
        Some(event.file().to_owned())
    }

    /// The line at the top: program, step, turn, time, and whether this is past or present.
    pub(super) fn status(&self, width: usize) -> Line {
        let head = self.timeline.head().s();
        let turn = self.when();
        let on: Vec<String> =
            self.breaks.iter().filter(|(_, on)| *on).map(|(at, _)| escaped(&at.to_string())).collect();
        let whence = match (self.live, self.is_at_head()) {
            (true, true) => "AT HEAD, parked".to_owned(),
            (true, false) => format!("PAST (live: {head})"),
            (false, _) => "recorded".to_owned(),
        };
        let gap = if width >= 100 { "       " } else { "  " };
        let text = format!(
            " {}{gap}step {} of {head}{gap}{turn}{gap}{}",
            cut(&self.program(), width / 4),
            self.cursor,
            time(self.state.t())
        );
        let mut more = format!("{gap}{whence}");
        if self.level > 1 {
            more.push_str(&format!("{gap}level {}", self.level));
        }
        if !on.is_empty() {
            more.push_str(&format!("{gap}bp: {}", on.join(" ")));
        }
        let room = width.saturating_sub(text.chars().count() + more.chars().count());
        let clock = match self.timeline.trace().clock() {
            ClockKind::Virtual if width >= 100 => " (virtual)",
            ClockKind::Frozen if self.live && room >= FROZEN.len() => FROZEN,
            ClockKind::Frozen => " (frozen)",
            ClockKind::Virtual | ClockKind::Real => "",
        };
        Line::of(Tone::Strong, cut(&(text + clock + &more), width)).fit(width)
    }

    /// The turn of the cursor; or the one that is over, where the program runs outside of the loop.
    pub(super) fn when(&self) -> String {
        let turns = &self.index.turns;
        let here = turns.partition_point(|turn| turn.s <= self.cursor).checked_sub(1).map(|i| turns[i]);
        let is_open = self.state.frames().iter().any(|frame| matches!(frame.what, FrameKind::Turn(_)));
        match (self.state.turn(), here) {
            (0, _) => "setup".to_owned(),
            // A recording that began in the middle of a turn has not seen its beginning.
            (n, Some(turn)) if turn.n == n && !is_open => format!("after turn {n}"),
            (n, _) => format!("turn {n}"),
        }
    }

    /// A remark that is too long for the line at the bottom. It takes the place of the sentence.
    pub(super) fn long_note(&self, width: usize) -> Option<String> {
        let is_answer = matches!(self.event()?.kind, Kind::Ask { .. }) && self.answered == self.cursor;
        let note = whole(&self.note);
        (!is_answer && self.prompt.is_none() && note.chars().count() + 1 > width).then_some(note)
    }

    /// At a question of a lesson: whether its answer is shown.
    pub(super) fn is_answered(&self) -> Option<bool> {
        let asks = self.event().is_some_and(|event| matches!(event.kind, Kind::Ask { .. }));
        asks.then_some(self.answered == self.cursor)
    }

    /// The sentence, and what it is inside of.
    pub(super) fn caption(&self, width: usize, height: usize) -> Vec<Line> {
        let room = width.saturating_sub(2);
        let text = match (self.long_note(width), self.event().map(|event| event.kind)) {
            (Some(note), _) => note,
            // The line of remarks may be too short for it.
            (None, Some(Kind::Ask { answer, .. })) if self.answered == self.cursor => {
                format!("The answer: {}", whole(answer))
            }
            (None, _) => {
                let sentence = self.sentence();
                let more = self.context().map(|context| format!("{sentence} {context}"));
                more.filter(|more| height > 2 && wrap(more, room).len() <= height).unwrap_or(sentence)
            }
        };
        let mut lines: Vec<Line> = wrap(&text, room)
            .into_iter()
            .map(|line| Line::of(Tone::Plain, format!(" {line}")).fit(width))
            .collect();
        if lines.len() > height {
            lines.truncate(height);
            if let Some(last) = lines.last_mut() {
                *last = Line::of(
                    Tone::Plain,
                    cut(&format!(" {}", wrap(&text, room)[height - 1]), width.saturating_sub(3)),
                )
                .with(Tone::Dim, " ..")
                .fit(width);
            }
        }
        lines.resize(height, Line::default().fit(width));
        lines
    }

    /// What the sentence does not tell: where a failure came from; inside of which callback this runs.
    fn context(&self) -> Option<String> {
        let event = self.event()?;
        let trace = self.timeline.trace();
        if event.kind.name().starts_with("f.")
            && !matches!(event.kind, Kind::FNew { .. })
            && let Some(error) = objects(&event.kind).into_iter().flatten().find_map(|id| self.state.failure(id))
            && let Some(born) = trace.get(error.born)
        {
            let at = place(&born, self.home().as_deref());
            let inside = trace.get(born.frame).map(|frame| format!(", in {}", self.frame_name(&frame)));
            // Where two are named, it is the first one.
            let which = match event.kind {
                Kind::FReplaced { f, .. } => f.to_string(),
                _ => "It".to_owned(),
            };
            return Some(format!("{which} was raised at {at}{} (s{}).", inside.unwrap_or_default(), born.s));
        }
        if let Some(jump) = self.clock_jump() {
            return Some(jump);
        }
        if matches!(
            event.kind,
            Kind::CbBegin { .. } | Kind::CbEnd { .. } | Kind::TurnBegin { .. } | Kind::TurnEnd { .. }
        ) {
            return None;
        }
        // That was on a thread of its own.
        if matches!(event.kind, Kind::WorkBegin { .. } | Kind::WorkEnd { .. }) {
            return None;
        }
        let callback = self.state.callback()?;
        let name = self.frame_name(&trace.get(callback.s)?);
        Some(format!("This runs inside {name}: nothing else can run until that is done."))
    }

    /// At the begin of a turn: how far the test clock was moved on.
    pub(super) fn clock_jump(&self) -> Option<String> {
        let event = self.event()?;
        let trace = self.timeline.trace();
        let before = self.timeline.len_at(event.s).checked_sub(2).and_then(|i| trace.nth(i))?;
        let is_told = matches!(event.kind, Kind::TurnBegin { .. })
            && trace.clock() == ClockKind::Virtual
            && event.t > before.t;
        is_told.then(|| format!("The test clock was moved on by {} before it.", duration(event.t - before.t)))
    }

    /// `the callback "reply"`, `step 0 "count" of d1`: what a frame is called inside of a sentence.
    fn frame_name(&self, begin: &Event<'_>) -> String {
        let words = headline(&self.state, begin);
        match begin.kind {
            Kind::CbBegin { o: Some(x), slot: Slot::Task } => format!("task {x}"),
            Kind::CbBegin { .. } => match words.strip_prefix("callback of ") {
                Some(object) => format!("the callback of {object}"),
                None => format!("the callback \"{words}\""),
            },
            Kind::DStep { d, n, lane, .. } => match self.state.chain(d).and_then(|chain| chain.step(n)) {
                Some(step) => format!("step {n} \"{}\" of {d}", escaped(step.label_on(lane))),
                None => format!("step {n} of {d}"),
            },
            Kind::XPoll { x, .. } => format!("a poll of {x}"),
            _ => words,
        }
    }

    /// Called from, woken by, registered at.
    pub(super) fn links(&self, width: usize) -> Vec<Line> {
        let Some(event) = self.event() else { return Vec::new() };
        let trace = self.timeline.trace();
        let home = self.home();
        let mut lines = Vec::new();
        let mut link = |words: &str, s: EventNumber| {
            if let Some(to) = trace.get(s) {
                lines.push(Line::of(Tone::Dim, words.to_owned()).right(
                    width,
                    Tone::Dim,
                    &place(&to, home.as_deref()),
                ));
                lines.push(Line::of(Tone::Plain, format!(" s{s} {}", headline(&self.state, &to))).fit(width));
            }
        };
        link("woken by", event.cause);
        link("called from", event.frame);
        link("registered at", event.reg);
        if lines.is_empty() {
            lines.push(Line::of(Tone::Dim, cut(&self.whence(), width)).fit(width));
        }
        lines
    }

    /// Who did it, if nothing in the trace led to the event at the cursor.
    pub(super) fn whence(&self) -> String {
        match self.event().map(|event| (event.kind, event.turn)) {
            Some((Kind::TurnBegin { .. } | Kind::TurnEnd { .. }, _)) => "the loop".to_owned(),
            Some((_, 0)) | None => "the setup".to_owned(),
            Some((_, turn)) => format!("the program, after turn {turn}"),
        }
    }

    /// The way back, for a pane: the row at `self.row` is marked if `marked`.
    pub(super) fn why_pane(&self, width: usize, height: usize, marked: bool) -> Vec<Line> {
        let why = self.why();
        let home = self.home();
        let (left_out, gap) = why.left_out();
        let mut lines = Vec::new();
        let mut marked_line = 0;
        for (i, row) in why.rows().iter().enumerate() {
            if left_out > 0 && i == gap {
                lines.push(Line::of(Tone::Dim, format!("  ({left_out} more)")).fit(width));
            }
            if i > 0 {
                let sign = if row.link == super::Link::RegisteredAt || row.link == super::Link::Inside {
                    ':'
                } else {
                    '^'
                };
                lines.push(Line::of(Tone::Dim, format!(" {sign} {}", row.link.words())).fit(width));
            }
            let here = marked && i == self.row;
            if here {
                marked_line = lines.len();
            }
            let at = match &row.at {
                Some((file, line)) if home.as_deref() == Some(file) => format!(":{line}"),
                Some((file, line)) => format!("{}:{line}", file.rsplit('/').next().unwrap_or_default()),
                None => String::new(),
            };
            let tone = if here { Tone::Here } else { Tone::Plain };
            let sign = if here { '>' } else { ' ' };
            lines.push(Line::of(tone, format!("{sign}{} {}", row.s, row.text)).right(width, Tone::Dim, &at));
        }
        if why.rows().len() == 1 {
            lines
                .push(Line::of(Tone::Dim, cut(&format!(" nothing led here: {}", self.whence()), width)).fit(width));
        }
        let from = (marked_line + 1).saturating_sub(height.max(1));
        let mut lines: Vec<Line> = lines.into_iter().skip(from).take(height).collect();
        lines.resize(height, Line::default().fit(width));
        lines
    }

    /// What needs somebody's eye at this moment: errors that rest or are lost; then what else is probably wrong so far.
    pub(super) fn warnings(&self, width: usize, height: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        let errors = self.state.failures().rev().filter_map(|error| {
            let (sign, what) = match error.life {
                Life::Lost(d, _) => ("x", format!("{} is lost in {}", error.id, self.state.title(d))),
                Life::Rests(d) => ("!", format!("{} rests in {}, no errback", error.id, self.state.title(d))),
                _ => return None,
            };
            Some(format!("{sign} {what} (s{})", error.since.0))
        });
        let lints = self.lints();
        let others = lints.iter().rev().filter(|lint| lint.s <= self.cursor);
        let others = others.filter(|lint| !matches!(lint.rule, Rule::Lost | Rule::Resting)).map(|lint| {
            let sign = if lint.weight == Weight::Problem { "!" } else { "-" };
            format!("{sign} {} (s{})", lint.text, lint.s)
        });
        for text in errors.chain(others) {
            lines.extend(wrap(&text, width.max(1)).into_iter().map(|line| Line::of(Tone::Warn, line).fit(width)));
            if lines.len() >= height {
                break;
            }
        }
        if lines.is_empty() {
            lines.push(Line::of(Tone::Dim, "nothing").fit(width));
        }
        lines.truncate(height);
        lines.resize(height, Line::default().fit(width));
        lines
    }

    /// The last lines that the program wrote.
    pub(super) fn output(&self, width: usize, height: usize) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for s in self.state.output().rev() {
            let Some(event) = self.timeline.trace().get(s) else { continue };
            let Kind::Out { text, stream } = event.kind else { continue };
            let tone = if stream == Stream::Stderr { Tone::Err } else { Tone::Plain };
            for line in text.trim_end_matches('\n').rsplit('\n').take(height) {
                lines.push(Line::of(tone, escaped(line)).fit(width));
            }
            if lines.len() >= height {
                break;
            }
        }
        if lines.is_empty() {
            lines.push(Line::of(Tone::Dim, "(nothing printed yet)").fit(width));
        }
        lines.truncate(height);
        lines.reverse();
        lines.resize(height, Line::default().fit(width));
        lines
    }

    /// The place that an event is about: its own, or that of what led to it.
    fn spot(&self) -> Option<(String, u32)> {
        let trace = self.timeline.trace();
        let first = self.event()?;
        // A few hops: farther off it would explain nothing.
        let near = std::iter::successors(Some(first), |event| trace.get(event.because())).take(4);
        let at = near.filter_map(|event| event.at).next()?;
        Some((at.file().to_owned(), at.line()))
    }

    /// The title of the source pane, and its lines around the place.
    pub(super) fn source(&self, width: usize, height: usize) -> (String, Vec<Line>) {
        let Some((file, line)) = self.spot() else {
            return (
                "source".to_owned(),
                vec![Line::of(Tone::Dim, " (no place in the source)").fit(width); height.min(1)],
            );
        };
        let title = format!("{}:{line}", cut_left(&escaped(&file), 40));
        let Some(text) = self.text_of(&file) else {
            return (title, vec![Line::of(Tone::Dim, " (the source is not here)").fit(width); height.min(1)]);
        };
        let line = line as usize;
        let from = line.saturating_sub(1 + height / 2).min(text.len().saturating_sub(height));
        let lines = text.iter().enumerate().skip(from).take(height).map(|(i, text)| {
            let here = i + 1 == line;
            let (sign, tone) = if here { ('>', Tone::Here) } else { (' ', Tone::Plain) };
            Line::of(
                tone,
                format!(
                    "{sign}{:>4} | {}",
                    i + 1,
                    cut(&escaped(&text.replace('\t', "    ")), width.saturating_sub(8))
                ),
            )
            .fit(width)
        });
        (title, lines.collect())
    }

    /// The lines of a source file, read once.
    fn text_of(&self, file: &str) -> Option<Rc<Vec<String>>> {
        if let Some(known) = self.sources.borrow().get(file) {
            return known.clone();
        }
        let text = self.timeline.trace().source(file);
        let lines = text.map(|text| Rc::new(text.lines().map(str::to_owned).collect::<Vec<String>>()));
        self.sources.borrow_mut().insert(file.to_owned(), lines.clone());
        lines
    }
}

/// `50.040 ms`
pub(super) fn time(nanos: u64) -> String {
    match nanos {
        0..10_000_000_000 => format!("{}.{:03} ms", nanos / 1_000_000, nanos / 1000 % 1000),
        _ => duration(nanos),
    }
}
