//! What the program of a page reads: the blocks of data in it, written so that nothing in them can end a block.

use super::Finding;
use super::part::Chosen;
use crate::study::{State, headline, sentence};
use crate::trace::{EventNumber, Trace};
use std::fmt::{self, Write as _};
use std::io::{self, Write};

/// Passes JSON Lines on, with `<` written as `\u003c`: in JSON it only stands in texts. Leaves out the events that are
/// not wanted; lines without a number are passed on.
pub(super) struct Escaped<W, F> {
    out: W,
    wanted: F,
    line: Vec<u8>,
}

impl<W: Write, F: Fn(EventNumber) -> bool> Escaped<W, F> {
    pub(super) fn new(out: W, wanted: F) -> Escaped<W, F> {
        Escaped { out, wanted, line: Vec::new() }
    }

    fn end_of_line(&mut self) -> io::Result<()> {
        let wanted = number(&self.line).is_none_or(&self.wanted);
        if wanted {
            write_escaped(&mut self.out, &self.line)?;
        }
        self.line.clear();
        Ok(())
    }
}

/// The number in `{"s":46,`.
fn number(line: &[u8]) -> Option<EventNumber> {
    let digits = line.strip_prefix(b"{\"s\":")?;
    let end = digits.iter().position(|b| !b.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

fn write_escaped(out: &mut impl Write, json: &[u8]) -> io::Result<()> {
    for (i, piece) in json.split(|b| *b == b'<').enumerate() {
        if i > 0 {
            out.write_all(b"\\u003c")?;
        }
        out.write_all(piece)?;
    }
    Ok(())
}

impl<W: Write, F: Fn(EventNumber) -> bool> Write for Escaped<W, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.end_of_line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.end_of_line()?;
        self.out.flush()
    }
}

/// For each chosen event a line `["in a few words","the sentence"]`.
pub(super) fn write_words(out: &mut impl Write, trace: &Trace, chosen: &Chosen) -> io::Result<()> {
    let mut state = State::new();
    let mut line = String::new();
    for event in trace.events() {
        let said = chosen.holds(event.s).then(|| sentence(&state, &event));
        state.apply(&event);
        if let Some(said) = said {
            line.clear();
            line.push('[');
            json_text(&mut line, &headline(&state, &event));
            line.push(',');
            json_text(&mut line, &said);
            line.push_str("]\n");
            out.write_all(line.as_bytes())?;
        }
    }
    Ok(())
}

/// What else the page is told of the run.
pub(super) fn write_about(out: &mut impl Write, findings: &[Finding], part: &str) -> io::Result<()> {
    let mut json = "{\"findings\":[".to_owned();
    for (i, Finding { s, text }) in findings.iter().enumerate() {
        let comma = if i > 0 { "," } else { "" };
        let _ = write!(json, "{comma}{{\"s\":{s},\"text\":");
        json_text(&mut json, text);
        json.push('}');
    }
    json.push_str("],\"part\":");
    json_text(&mut json, part);
    json.push('}');
    writeln!(out, "{json}")
}

/// A text of JSON, in which nothing stands that HTML could take for a mark.
pub(in crate::study) fn json_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '<' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A text as it stands in the document itself. Control characters become pictures of them, but for the end of a line.
pub(super) fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push('\n'),
            c if c < ' ' => out.extend(char::from_u32(0x2400 + u32::from(c))),
            c if c.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

/// A text that ends at a bound: more is an error, and what found room stays.
pub(super) struct Bounded {
    text: String,
    room: usize,
}

impl Bounded {
    pub(super) fn new(room: usize) -> Bounded {
        Bounded { text: String::new(), room }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() <= self.room - self.text.len() {
            self.text.push_str(text);
            return Ok(());
        }
        let room = self.room - self.text.len();
        let end = (0..=room).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        self.text.push_str(&text[..end]);
        Err(fmt::Error)
    }
}
