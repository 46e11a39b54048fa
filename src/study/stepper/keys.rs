//! Keys, and what each does.

use super::{Break, Move, Pane, Stepper};
use crate::study::{chrome, diagram, page, text_chain};
use crate::trace::{EventNumber, Id, Kind};
use std::io::{self, Write};

/// The most that can be typed into a question: far more than any name or path.
const TYPED: usize = 4096;

/// A key, whatever it came from.
///
/// ```
/// use ropewalk::{Deferred, study::{Key, Stepper}, trace};
///
/// let ((), trace) = trace::record(|| Deferred::succeed(1).named("one").map(|n| n + 1).detach());
/// let mut stepper = Stepper::of(trace);
/// stepper.key(Key::End);
/// assert!(stepper.is_at_head());
/// "/one".chars().for_each(|c| drop(stepper.key(Key::Char(c)))); // find
/// assert_eq!(stepper.asks(), Some(("find", "one")));
/// stepper.key(Key::Home);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Their names say it.
pub enum Key {
    Char(char),
    Enter,
    Backspace,
    Escape,
    Tab,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
}

/// What is to be done after a key.
///
/// ```
/// use ropewalk::{Deferred, study::{Key, Stepper, stepper::After}, trace};
///
/// let ((), trace) = trace::record(|| Deferred::succeed(1).detach());
/// let mut finished = Stepper::of(trace);
/// assert_eq!(finished.key(Key::Char('s')), After::Show);
/// assert_eq!(finished.key(Key::Char('q')), After::Leave);
/// let mut live = Stepper::live();
/// assert_eq!(live.key(Key::Char('n')), After::Run); // there is nothing to look at yet
/// assert_eq!(live.key(Key::Char('Q')), After::Stop);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Show it.
    Show,
    /// Let the program run on to the next stop.
    Run,
    /// Leave: a live program runs on by itself.
    Leave,
    /// Leave, and end the program.
    Stop,
}

/// A question, and what was typed so far.
#[derive(Clone, Debug)]
pub(super) enum Prompt {
    Find(String),
    RunTo { text: String, back: bool },
    Break(String),
    Save(String),
    Mark,
    GoToMark,
}

impl Prompt {
    pub(super) fn shown(&self) -> (&'static str, &str) {
        match self {
            Prompt::Find(text) => ("find", text),
            Prompt::RunTo { text, back: false } => ("run to the next event of (d3)", text),
            Prompt::RunTo { text, back: true } => ("back to the last event of (d3)", text),
            Prompt::Break(text) => ("break at (f.*, d1, poem.rs:40, lint, a name; -2 switches no. 2)", text),
            Prompt::Save(text) => ("save (text, jsonl, html, chrome, mermaid or dot, and a FILE)", text),
            Prompt::Mark => ("mark this event with a letter", ""),
            Prompt::GoToMark => ("go to the mark", ""),
        }
    }

    fn text(&mut self) -> Option<&mut String> {
        match self {
            Prompt::Find(text) | Prompt::RunTo { text, .. } | Prompt::Break(text) | Prompt::Save(text) => {
                Some(text)
            }
            Prompt::Mark | Prompt::GoToMark => None,
        }
    }
}

impl Stepper {
    /// Does what a key says.
    pub fn key(&mut self, key: Key) -> After {
        self.note.clear();
        // Any key ends the help, and does nothing else.
        if std::mem::take(&mut self.help) {
            return After::Show;
        }
        if let Some(prompt) = self.prompt.take() {
            return self.answer(prompt, key);
        }
        if self.tells_answer() && !matches!(key, Key::Char('c' | 'C' | 'q' | 'Q')) {
            return After::Show;
        }
        if let Key::Char(digit @ '0'..='9') = key {
            self.digit(digit);
            return After::Show;
        }
        let count = self.count.take();
        if count.is_some() {
            self.level = self.level_before;
        }
        let count = count.unwrap_or(1).max(1);
        let runs = match key {
            Key::Char(c) => match self.letter(c, count) {
                Ok(runs) => runs,
                Err(after) => return after,
            },
            Key::Home => {
                self.jump(self.timeline.trace().nth(0).map_or(0, |event| event.s));
                false
            }
            Key::End => {
                self.jump(self.timeline.head().s());
                false
            }
            Key::Backspace => {
                match self.jumps.pop() {
                    Some(s) => self.look_at(s),
                    None => "No jump to go back.".clone_into(&mut self.note),
                }
                false
            }
            Key::Tab => {
                self.pane = match self.pane {
                    Pane::Events => Pane::Chain,
                    Pane::Chain => Pane::Why,
                    Pane::Why => Pane::Events,
                };
                self.row = 0;
                false
            }
            Key::Escape => {
                (self.pane, self.row, self.pinned) = (Pane::Events, 0, false);
                false
            }
            Key::Enter => {
                self.enter();
                false
            }
            Key::Down | Key::Up => return self.row_key(key == Key::Up, count),
            Key::PageDown => self.go(Move::Event, false, 10 * count, false),
            Key::PageUp => self.go(Move::Event, true, 10 * count, false),
        };
        if runs { After::Run } else { After::Show }
    }

    /// Answers whether the program has to run, or what is to be done instead.
    fn letter(&mut self, c: char, count: u32) -> Result<bool, After> {
        let selected = self.selected;
        Ok(match c {
            's' | 'S' => self.go(Move::Event, c == 'S', count, false),
            'n' | 'N' => self.go(Move::Callback, c == 'N', count, false),
            't' | 'T' => self.go(Move::Turn, c == 'T', count, true),
            'e' | 'E' => self.go(Move::Error, c == 'E', count, true),
            'i' | 'I' => self.go(Move::Lint, c == 'I', count, true),
            'c' | 'C' => self.go(Move::Break, c == 'C', count, true),
            'f' => match self.frame_here() {
                0 => self.go(Move::Turn, false, 1, true),
                frame => self.go(Move::End(frame), false, 1, true),
            },
            'F' => {
                self.go_to_frame_start();
                false
            }
            'r' | 'R' => {
                let text = selected.map(|id| id.to_string()).unwrap_or_default();
                self.prompt = Some(Prompt::RunTo { text, back: c == 'R' });
                false
            }
            'w' => {
                self.pane = if self.pane == Pane::Why { Pane::Events } else { Pane::Why };
                self.row = usize::from(self.pane == Pane::Why);
                false
            }
            'g' => {
                self.go_to_registration();
                false
            }
            '/' => {
                self.prompt = Some(Prompt::Find(String::new()));
                false
            }
            'b' => {
                self.prompt = Some(Prompt::Break(String::new()));
                false
            }
            'x' => {
                self.prompt = Some(Prompt::Save(String::new()));
                false
            }
            'm' => {
                self.prompt = Some(Prompt::Mark);
                false
            }
            '\'' => {
                self.prompt = Some(Prompt::GoToMark);
                false
            }
            'd' | 'D' => {
                self.select_next(c == 'D');
                false
            }
            'j' | 'k' => return Err(self.row_key(c == 'k', count)),
            '?' => {
                self.help = true;
                false
            }
            'q' => return Err(After::Leave),
            'Q' => return Err(After::Stop),
            c => {
                let c = c.escape_debug();
                self.note = format!("The key {c} does nothing. ? shows all keys.");
                false
            }
        })
    }

    /// At a question of a lesson the first key shows its answer, and does nothing else.
    fn tells_answer(&mut self) -> bool {
        let Some(Kind::Ask { answer, .. }) = self.event().map(|event| event.kind) else { return false };
        let answer = format!("The answer: {answer}");
        if self.answered == self.cursor {
            return false;
        }
        (self.answered, self.note) = (self.cursor, answer);
        true
    }

    /// One digit is a level of detail at once, unless more digits or a key that counts follow.
    fn digit(&mut self, digit: char) {
        let n = digit.to_digit(10).unwrap_or(0);
        let first = self.count.is_none();
        if first {
            self.level_before = self.level;
        }
        let count = self.count.unwrap_or(0).saturating_mul(10).saturating_add(n);
        self.count = Some(count);
        self.level = match (first, n) {
            (true, 1..=3) => n as u8,
            _ => self.level_before,
        };
    }

    /// A line of keys is over: a digit that stood alone was no count.
    pub fn end_of_line(&mut self) {
        self.count = None;
    }

    fn row_key(&mut self, up: bool, count: u32) -> After {
        if self.pane == Pane::Events {
            return if self.go(Move::Event, up, count, false) { After::Run } else { After::Show };
        }
        let rows = match self.pane {
            Pane::Why => self.why().rows().len(),
            _ => self.chain_targets().len(),
        };
        self.row = match up {
            true => self.row.saturating_sub(count as usize),
            false => self.row.saturating_add(count as usize).min(rows.saturating_sub(1)),
        };
        After::Show
    }

    fn enter(&mut self) {
        let target = match self.pane {
            Pane::Why => self.why().rows().get(self.row).map(|row| row.s),
            Pane::Chain => self.chain_targets().get(self.row).copied(),
            Pane::Events => {
                self.go_to_match(false);
                return;
            }
        };
        match target {
            Some(0) | None => "No event to go to.".clone_into(&mut self.note),
            Some(s) => {
                self.jump(s);
                if self.pane == Pane::Why {
                    self.row = 1;
                }
            }
        }
    }

    /// Shows the rail of the next Deferred there is.
    fn select_next(&mut self, back: bool) {
        let all: Vec<Id> = self.state.chains().map(|chain| chain.id).collect();
        let at = all.iter().position(|id| Some(*id) == self.selected);
        let next = match (at, back) {
            (None, _) => 0,
            (Some(i), false) => (i + 1) % all.len(),
            (Some(i), true) => (i + all.len() - 1) % all.len(),
        };
        match all.get(next) {
            Some(id) => (self.selected, self.pinned) = (Some(*id), true),
            None => "No Deferred yet.".clone_into(&mut self.note),
        }
    }

    fn answer(&mut self, mut prompt: Prompt, key: Key) -> After {
        match (key, &mut prompt) {
            (Key::Escape, _) => return After::Show,
            (Key::Char(c), Prompt::Mark) => {
                self.marks.insert(c, self.cursor);
                self.note = format!("Event {} is marked {}.", self.cursor, c.escape_debug());
                return After::Show;
            }
            (Key::Char(c), Prompt::GoToMark) => {
                match self.marks.get(&c).copied() {
                    Some(s) => self.jump(s),
                    None => self.note = format!("There is no mark {}.", c.escape_debug()),
                }
                return After::Show;
            }
            (Key::Enter, _) => return self.submit(prompt),
            (Key::Backspace, prompt) => {
                prompt.text().map(String::pop);
            }
            (Key::Char(c), prompt) if !c.is_control() => {
                if let Some(text) = prompt.text()
                    && text.len() < TYPED
                {
                    text.push(c);
                }
            }
            _ => {}
        }
        self.prompt = Some(prompt);
        After::Show
    }

    /// What was typed takes the place of what was proposed.
    pub(super) fn propose_nothing(&mut self) {
        if let Some(Prompt::RunTo { text, .. }) = &mut self.prompt {
            text.clear();
        }
    }

    fn submit(&mut self, prompt: Prompt) -> After {
        match prompt {
            Prompt::Find(text) => {
                if !text.is_empty() {
                    self.search = text;
                }
                self.go_to_match(false);
            }
            Prompt::RunTo { text, back } => match text.trim().parse::<Id>() {
                Ok(id) => {
                    if id.0 == crate::trace::Object::Deferred {
                        (self.selected, self.pinned) = (Some(id), true);
                    }
                    if self.go(Move::Object(id), back, 1, true) {
                        return After::Run;
                    }
                }
                Err(error) => self.note = error.to_string(),
            },
            Prompt::Break(text) => self.set_break(&text),
            Prompt::Save(text) => self.note = self.save(&text),
            Prompt::Mark | Prompt::GoToMark => {}
        }
        After::Show
    }

    fn set_break(&mut self, text: &str) {
        let number = text.trim().strip_prefix('-').and_then(|n| n.parse::<usize>().ok());
        if let Some(n) = number {
            match self.breaks.get_mut(n.wrapping_sub(1)) {
                Some((at, on)) => {
                    *on = !*on;
                    self.note = format!("Breakpoint {n} ({at}) is {}.", if *on { "on" } else { "off" });
                }
                None => self.note = format!("There is no breakpoint {n}."),
            }
            return;
        }
        if text.trim().is_empty() {
            let list: Vec<String> = self
                .breaks
                .iter()
                .enumerate()
                .map(|(i, (at, on))| format!("{}: {at}{}", i + 1, if *on { "" } else { " (off)" }))
                .collect();
            self.note = match list.is_empty() {
                true => "No breakpoints.".to_owned(),
                false => format!("Breakpoints: {}", list.join(", ")),
            };
            return;
        }
        match text.parse::<Break>() {
            Ok(at) => {
                self.note = format!("Breakpoint {}: {at}. c goes to the next one.", self.breaks.len() + 1);
                self.add_break(at);
            }
            Err(error) => self.note = error.to_string(),
        }
    }

    /// Saves the run as `text FILE`, `chrome FILE`, .. says, and answers what to tell.
    fn save(&self, text: &str) -> String {
        let Some((format, path)) = text.trim().split_once(char::is_whitespace) else {
            return "Say a form and a file: text poem.txt, jsonl, html, chrome, mermaid, dot.".to_owned();
        };
        let trace = self.timeline.trace();
        let write = || -> io::Result<()> {
            let bytes = match format {
                "text" => text_chain(trace).to_string().into_bytes(),
                "html" => page(trace).to_html().map_err(io::Error::other)?.into_bytes(),
                "chrome" => chrome(trace).to_json().into_bytes(),
                "mermaid" => diagram(trace).sequence().map_err(io::Error::other)?.into_bytes(),
                "dot" => diagram(trace).dot().map_err(io::Error::other)?.into_bytes(),
                _ => {
                    let mut bytes = Vec::new();
                    trace.write_json(&mut bytes)?;
                    bytes
                }
            };
            // Nothing of what is there is written over.
            std::fs::File::create_new(path.trim())?.write_all(&bytes)
        };
        if !matches!(format, "text" | "jsonl" | "html" | "chrome" | "mermaid" | "dot") {
            return format!("There is no form {format}: text, jsonl, html, chrome, mermaid or dot.");
        }
        match write() {
            Ok(()) => format!("Saved as {}.", path.trim()),
            Err(error) => format!("Cannot save {}: {error}.", path.trim()),
        }
    }

    /// The event of each row of the rail.
    pub(super) fn chain_targets(&self) -> Vec<EventNumber> {
        self.chain_rows().into_iter().map(|row| row.s).collect()
    }
}
