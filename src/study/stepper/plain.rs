//! The stepper as a prompt: it prints a sentence, reads a key and Enter, and never moves the terminal's cursor.
//!
//! For screen readers, pipes and CI. It needs nothing but lines to read and a place to write to.

use super::view::wrap;
use super::{After, Front, Key, Stepper};
use crate::study::text_chain::rail_of;
use crate::study::words::{Words, escaped, whole};
use std::io::{self, BufRead, Read, Write};

/// The longest line that is read at once.
const LONGEST: u64 = 8192;

/// The keys, for `?`.
pub const HELP: &str = "\
Type a key and Enter. Small letters go on, capital letters go back; 10s goes
ten times. Enter alone does the last move again.
  s S   one event                     w     why: the way back; w3: to row 3
  n N   callback or step              g     to where it was registered
  f F   end, start of this frame      back  back along your own jumps
  t T   turn of the loop              /x    find x in names, values, files
  e E   error event                   m a   mark it a; 'a goes there
  r d3  next event of d3; R: last     v     the rail; d D: of another Deferred
  c C   breakpoint                    l     lines of the program around here
  b x   breakpoint: f.* d1 poem.rs:40 lint or a name; b: list; b -2: switch 2
  i I   finding, and what is wrong    x     save: x text FILE; jsonl, html,
  1 2 3 level of detail                     chrome, mermaid, dot
  home end  first event, last event   q Q   leave; leave and end the program
";

/// Before the first event.
const GREETING: &str = "s and Enter: the next event. Enter alone: one more. ?: all keys. q: leave.";

/// What stands before a line that goes on with the sentence above it.
const INDENT: &str = "   ";

/// Asks for keys on `input`, and prints on `output`.
///
/// ```
/// use ropewalk::{Deferred, study::{Stepper, stepper::{After, Front, plain::Plain}}, trace};
///
/// let ((), trace) = trace::record(|| {
///     Deferred::succeed(1).named("one").step_named("add").map(|n| n + 1).detach();
/// });
/// let (keys, mut said) = (&b"n\nw\nq\n"[..], Vec::new());
/// let after = Plain::new(keys, &mut said).stop(&mut Stepper::of(trace))?;
/// assert_eq!(after, After::Leave);
/// let said = String::from_utf8_lossy(&said);
/// assert!(said.contains("Step 0 \"add\" of d1 \"one\" runs"));
/// assert!(said.contains("1. woken by event "), "{said}"); // what `w` says
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Plain<R, W> {
    input: R,
    output: W,
    /// The last line that moved.
    last: String,
    /// It was said how to begin.
    greeted: bool,
    /// How long a line may be.
    columns: Option<usize>,
}

impl<R: BufRead, W: Write> Front for Plain<R, W> {
    /// The end of the input means to leave.
    fn stop(&mut self, stepper: &mut Stepper) -> io::Result<After> {
        if !std::mem::replace(&mut self.greeted, true) {
            writeln!(self.output, "{GREETING}")?;
        }
        self.show(stepper)?;
        if !stepper.note().is_empty() {
            self.say(&whole(stepper.note()))?;
        }
        loop {
            write!(self.output, "> ")?;
            self.output.flush()?;
            let mut bytes = Vec::new();
            let n = Read::take(&mut self.input, LONGEST).read_until(b'\n', &mut bytes)?;
            if n == 0 {
                writeln!(self.output)?;
                return Ok(After::Leave);
            }
            if n as u64 == LONGEST && !bytes.ends_with(b"\n") {
                self.input.skip_until(b'\n')?;
                writeln!(self.output, "That line is too long.")?;
                continue;
            }
            let line = String::from_utf8_lossy(&bytes);
            let before = stepper.cursor();
            match self.line(stepper, line.trim())? {
                After::Show => {}
                after => return Ok(after),
            }
            let note = stepper.note().to_owned();
            if stepper.cursor() != before {
                self.show(stepper)?;
            }
            if !note.is_empty() {
                self.say(&whole(&note))?;
            }
        }
    }
}

impl<R: BufRead, W: Write> Plain<R, W> {
    /// Reads lines from `input`, writes to `output`.
    pub fn new(input: R, output: W) -> Plain<R, W> {
        Plain { input, output, last: "s".to_owned(), greeted: false, columns: None }
    }

    /// Breaks what it says between words, into lines of at most `columns` characters (20 at the least): for a terminal, which
    /// breaks them anywhere. Without it a sentence is one line, however long.
    pub fn wrapped_at(self, columns: usize) -> Plain<R, W> {
        Plain { columns: Some(columns.max(20)), ..self }
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        let Some(columns) = self.columns else { return writeln!(self.output, "{text}") };
        for (i, line) in wrap(text, columns - INDENT.len()).iter().enumerate() {
            writeln!(self.output, "{}{line}", if i == 0 { "" } else { INDENT })?;
        }
        Ok(())
    }

    /// The sentence, with place, turn and time.
    fn show(&mut self, stepper: &Stepper) -> io::Result<()> {
        let mut about = Vec::new();
        if let Some(at) = stepper.event().and_then(|event| event.at) {
            about.push(format!("{}:{}", escaped(at.file()), at.line()));
        }
        about.push(stepper.when());
        about.push(super::view::time(stepper.state().t()));
        let jump = stepper.clock_jump().map(|jump| format!(" {jump}")).unwrap_or_default();
        let live = if stepper.is_live() && stepper.is_at_head() { ", the program waits" } else { "" };
        self.say(&format!("{}: {}{jump} ({}{live})", stepper.cursor(), stepper.sentence(), about.join(", ")))?;
        match stepper.is_answered() {
            Some(false) => writeln!(self.output, "Enter shows the answer."),
            _ => Ok(()),
        }
    }

    fn line(&mut self, stepper: &mut Stepper, line: &str) -> io::Result<After> {
        stepper.note.clear();
        let line = if line.is_empty() { self.last.clone() } else { line.to_owned() };
        let keys = |stepper: &mut Stepper, text: &str| {
            let mut after = After::Show;
            for c in text.chars() {
                after = stepper.key(Key::Char(c));
                if after != After::Show {
                    break;
                }
            }
            stepper.end_of_line();
            after
        };
        let rest = |from: usize| line.get(from..).unwrap_or_default().trim();
        let first = line.chars().next().unwrap_or_default();
        let after = match (first, line.as_str()) {
            (_, "?" | "help") => {
                write!(self.output, "{HELP}")?;
                After::Show
            }
            (_, "home") => stepper.key(Key::Home),
            (_, "end") => stepper.key(Key::End),
            (_, "back") => stepper.key(Key::Backspace),
            (_, "v") => {
                self.rail(stepper)?;
                After::Show
            }
            (_, "l") => {
                let (title, lines) = stepper.source(self.columns.unwrap_or(100), 7);
                writeln!(self.output, "{title}")?;
                for line in lines {
                    writeln!(self.output, "{}", line.text().trim_end())?;
                }
                After::Show
            }
            (_, "w") => {
                self.why(stepper)?;
                After::Show
            }
            ('w', _) if rest(1).parse::<usize>().is_ok() => {
                let n: usize = rest(1).parse().unwrap_or(0);
                stepper.go_to_why(n);
                After::Show
            }
            ('r' | 'R' | '/' | 'b' | 'x' | 'm' | '\'', _) => {
                let mut after = stepper.key(Key::Char(first));
                let typed = rest(first.len_utf8());
                // At a lesson's question the first key has shown the answer: there is nothing to type into.
                if !typed.is_empty() && stepper.asks().is_some() {
                    stepper.propose_nothing();
                    after = keys_in(stepper, typed);
                }
                // A mark is over with its letter.
                if stepper.asks().is_some() {
                    after = stepper.key(Key::Enter);
                }
                match first {
                    // What is searched for is known.
                    '/' => "/".clone_into(&mut self.last),
                    'r' | 'R' => self.last.clone_from(&line),
                    _ => {}
                }
                after
            }
            _ => {
                let is_move = line.trim_start_matches(|c: char| c.is_ascii_digit());
                if is_move.chars().count() == 1 && "sSnNtTeEcCfFiI".contains(is_move) {
                    self.last.clone_from(&line);
                }
                let level = stepper.level();
                let after = keys(stepper, &line);
                if stepper.level() != level {
                    writeln!(self.output, "Level of detail {}.", stepper.level())?;
                }
                if line == "d" || line == "D" {
                    self.rail(stepper)?;
                }
                after
            }
        };
        Ok(after)
    }

    fn rail(&mut self, stepper: &Stepper) -> io::Result<()> {
        let trace = stepper.timeline().trace();
        let words = Words::new(trace, stepper.state(), false);
        let events = trace.events().take(stepper.timeline().len_at(stepper.cursor()));
        let Some(rail) = stepper.selected().and_then(|d| rail_of(events, &words, d)) else {
            return writeln!(self.output, "No Deferred is selected.");
        };
        writeln!(self.output, "{}, {}\n   ok   err", rail.title, rail.status)?;
        for row in rail.rows {
            let s = if row.s > 0 { format!("  s{}", row.s) } else { String::new() };
            writeln!(self.output, "{}{}  {}{s}", row.rail, row.text, row.note)?;
        }
        Ok(())
    }

    fn why(&mut self, stepper: &Stepper) -> io::Result<()> {
        let why = stepper.why();
        for (i, row) in why.rows().iter().enumerate() {
            let at = row.at.as_ref().map(|(file, line)| format!(", {file}:{line}")).unwrap_or_default();
            match i {
                0 => self.say(&format!("Event {}, {}{at}", row.s, row.text))?,
                i => self.say(&format!("{i}. {} event {}, {}{at}", row.link.words(), row.s, row.text))?,
            }
        }
        if why.rows().len() == 1 {
            self.say(&format!("Nothing led here: {}.", stepper.whence()))?;
        }
        Ok(())
    }
}

/// Types a text into a question.
fn keys_in(stepper: &mut Stepper, text: &str) -> After {
    let mut after = After::Show;
    for c in text.chars() {
        after = stepper.key(Key::Char(c));
        if after != After::Show || stepper.asks().is_none() {
            break;
        }
    }
    after
}
