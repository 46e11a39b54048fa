//! The page: a recorded run as one HTML file that a person opens in a browser.
//!
//! The file holds the trace, the words for its events and a program that draws them. It fetches nothing: its content
//! security policy forbids the network, and it works from a disk.
//!
//! ```text
//! page/page.html  what stands where         page/trace.js   reads, links, looks up
//! page/page.css   how it looks              page/fold.js    what was so at an event
//! page/app.js     one cursor, keys, links   page/rails.js, parts.js, time.js, panels.js   draw it
//! ```
//!
//! What a program gave goes into the file as JSON in which `<` is written `\u003c`, and into the document as text only.

mod data;
mod part;
mod squeeze;

use super::lints::lints;
use super::text_chain::text_chain;
use crate::trace::{EventNumber, Id, Trace};
pub(super) use data::json_text;
use data::{Bounded, Escaped, escape_html, write_words};
use part::Part;
pub(super) use part::partners;
use std::fmt;
use std::io::{self, Write};
use std::ops::RangeInclusive;

const HTML: &str = include_str!("page/page.html");
const CSS: &str = include_str!("page/page.css");
/// In the order in which they are joined to one program.
const SCRIPTS: [&str; 7] = [
    include_str!("page/trace.js"),
    include_str!("page/fold.js"),
    include_str!("page/rails.js"),
    include_str!("page/parts.js"),
    include_str!("page/time.js"),
    include_str!("page/panels.js"),
    include_str!("page/app.js"),
];

/// How much of the text chain a page shows where no script runs: what a person would still scroll through.
const TEXT: usize = 256 << 10;

/// Nothing may be fetched, whatever the trace holds: only the file's own styles and script.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// Makes a page of a recorded run.
///
/// ```
/// use ropewalk::{Deferred, study, trace};
///
/// let ((), trace) = trace::record(|| {
///     Deferred::succeed(1).named("one").map(|n| n + 1).detach();
/// });
/// let html = study::page(&trace).to_html()?;
/// assert!(html.starts_with("<!doctype html>"));
/// // std::fs::write("run.html", html)?;
/// # Ok::<(), study::PageError>(())
/// ```
pub fn page(trace: &Trace) -> Page<'_> {
    Page { trace, part: Part::All, findings: Vec::new() }
}

/// Something that the page points out: a sentence, and the event to which it leads.
///
/// ```
/// use ropewalk::{Deferred, study::{self, Finding}, trace};
///
/// let ((), trace) = trace::record(|| Deferred::succeed(1).named("one").detach());
/// let finding = Finding { s: 2, text: "Look here first.".to_owned() };
/// let html = study::page(&trace).findings([finding]).to_html()?;
/// assert!(html.contains("Look here first."));
/// # Ok::<(), study::PageError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The event.
    pub s: EventNumber,
    /// The sentence.
    pub text: String,
}

/// A page that is to be written. Made by [`page`].
///
/// ```
/// use ropewalk::{EventLoop, study, trace};
///
/// let (ran, trace) = trace::record(|| {
///     let event_loop = EventLoop::new()?;
///     event_loop.call_soon(|event_loop| event_loop.call_soon(|event_loop| event_loop.stop()));
///     Ok::<_, Box<dyn std::error::Error>>(event_loop.run()?)
/// });
/// ran?;
/// let whole = study::page(&trace).to_html()?;
/// let part = study::page(&trace).turns(2..=2).to_html()?;
/// assert!(part.len() < whole.len());
/// // For a file, without the whole text in memory:
/// let mut file = std::io::BufWriter::new(Vec::new());
/// study::page(&trace).write(&mut file)?;
/// assert_eq!(file.into_inner()?, whole.into_bytes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "write it with `write` or `to_html`"]
pub struct Page<'t> {
    trace: &'t Trace,
    part: Part,
    findings: Vec<Finding>,
}

impl Page<'_> {
    /// The most events that a page holds: 200,000 (a file of about 45 MB, 360 MB in a browser). With more, browsers run out of breath.
    pub const LIMIT: usize = 200_000;

    /// Adds findings to the panel that lists them, in front of those that the page has by itself: the [`lints`]. One whose
    /// event is not in the page is left out.
    pub fn findings(mut self, findings: impl IntoIterator<Item = Finding>) -> Self {
        self.findings.extend(findings);
        self
    }

    /// Only these turns of the loop, and what their events refer to. 0 is the time before the first turn.
    pub fn turns(mut self, turns: RangeInclusive<u32>) -> Self {
        self.part = Part::Turns(turns);
        self
    }

    /// Only what this object, and what it waits for or is waited for by, took part in, and how it came to that.
    ///
    /// ```
    /// use ropewalk::{Deferred, study, trace};
    ///
    /// let ((), trace) = trace::record(|| {
    ///     Deferred::succeed(1).named("chosen").detach();
    ///     Deferred::succeed(2).named("other").detach();
    /// });
    /// let html = study::page(&trace).around("d1".parse()?).to_html()?;
    /// assert!(html.contains("chosen") && !html.contains("gets a name: \\\"other"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn around(mut self, id: Id) -> Self {
        self.part = Part::Around(id);
        self
    }

    /// Writes the file. The writer gets many small pieces: put a [`BufWriter`](io::BufWriter) around a file.
    ///
    /// # Errors
    ///
    /// [`PageError::TooMany`] before anything is written, if the page would hold more than [`Page::LIMIT`] events;
    /// [`PageError::Nothing`] if the chosen part holds none; [`PageError::Io`], the writer's own.
    pub fn write(&self, mut out: impl Write) -> Result<(), PageError> {
        let chosen = self.part.choose(self.trace);
        let count = chosen.count();
        if count > Self::LIMIT {
            return Err(PageError::TooMany { events: count, part: !matches!(self.part, Part::All) });
        }
        if count == 0 && !self.trace.is_empty() {
            return Err(PageError::Nothing { part: self.part.words() });
        }
        let out = &mut out;
        let title = escape_html(self.trace.prog());
        write!(
            out,
            "<!doctype html>\n<html lang=\"en\" data-theme=\"light\">\n<head>\n<meta charset=\"utf-8\">\n"
        )?;
        writeln!(out, "<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">")?;
        writeln!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
        writeln!(out, "<meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">")?;
        writeln!(
            out,
            "<title>{title} - ropewalk</title>\n<style>\n{}</style>\n</head>\n<body>",
            squeeze::css(CSS)
        )?;
        for line in HTML.lines().map(str::trim).filter(|line| !line.is_empty()) {
            writeln!(out, "{line}")?;
        }
        self.write_text(out)?;
        writeln!(out, "<script type=\"application/x-ndjson\" id=\"trace\">")?;
        self.trace.write_json(Escaped::new(&mut *out, |s| chosen.holds(s)))?;
        writeln!(out, "</script>\n<script type=\"application/x-ndjson\" id=\"sentences\">")?;
        write_words(&mut *out, self.trace, &chosen)?;
        writeln!(out, "</script>\n<script type=\"application/json\" id=\"about-run\">")?;
        let derived = lints(self.trace).into_iter().map(Finding::from);
        let findings: Vec<Finding> = self.findings.iter().cloned().chain(derived).collect();
        data::write_about(&mut *out, &findings, &self.part.title(count, self.trace.len()))?;
        writeln!(out, "</script>\n<script>\n\"use strict\";\n(() => {{")?;
        for script in SCRIPTS {
            out.write_all(squeeze::script(script).as_bytes())?;
        }
        writeln!(out, "}})();\n</script>\n</body>\n</html>")?;
        Ok(out.flush()?)
    }

    /// The file as one text.
    ///
    /// # Errors
    ///
    /// As [`Page::write`].
    pub fn to_html(&self) -> Result<String, PageError> {
        let mut html = Vec::new();
        self.write(&mut html)?;
        Ok(String::from_utf8(html).expect("a page is made of texts"))
    }

    /// The text chain, for those who have no script.
    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let mut chain = text_chain(self.trace);
        if let Part::Around(id) = self.part {
            chain = chain.only(id);
        }
        let mut text = Bounded::new(TEXT);
        let whole = fmt::Write::write_fmt(&mut text, format_args!("{chain}")).is_ok();
        writeln!(out, "<noscript><style>body>:not(noscript){{display:none!important}}</style>")?;
        writeln!(
            out,
            "<p>This page draws with a script, which does not run here. The Deferreds of the run as text:</p>"
        )?;
        writeln!(out, "<pre>{}</pre>", escape_html(text.as_str()))?;
        if !whole {
            writeln!(out, "<p>It goes on: this is its beginning.</p>")?;
        }
        writeln!(out, "</noscript>")
    }
}

/// A page could not be written.
///
/// ```
/// use ropewalk::{Deferred, study::{self, PageError}, trace};
///
/// let ((), trace) = trace::record(|| Deferred::succeed(1).detach());
/// let error = study::page(&trace).turns(8..=9).to_html().unwrap_err();
/// assert!(matches!(error, PageError::Nothing { .. }));
/// assert!(error.to_string().starts_with("the trace has no event in"), "{error}");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum PageError {
    /// The page would hold so many events, more than [`Page::LIMIT`].
    TooMany {
        /// How many.
        events: usize,
        /// Whether only a part of the trace was asked for.
        part: bool,
    },
    /// The part that was asked for holds no event.
    Nothing {
        /// The part, in words.
        part: String,
    },
    /// The writer failed.
    Io(io::Error),
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PageError::TooMany { events, part } => {
                let smaller = if *part { "a smaller part" } else { "a part" };
                write!(
                    f,
                    "{events} events are more than the {} that a page can hold: choose {smaller}, some turns \
                     (--turns 3..9) or what is around one object (--around d3)",
                    Page::LIMIT
                )
            }
            PageError::Nothing { part } => write!(f, "the trace has no event in {part}"),
            PageError::Io(error) => write!(f, "cannot write the page: {error}"),
        }
    }
}

impl std::error::Error for PageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PageError::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for PageError {
    fn from(error: io::Error) -> PageError {
        PageError::Io(error)
    }
}

#[cfg(test)]
mod tests {
    use super::{CSS, HTML, SCRIPTS, squeeze};

    #[test]
    fn the_code_of_the_page_stays_under_100_kb() {
        let scripts: usize = SCRIPTS.iter().map(|script| squeeze::script(script).len()).sum();
        let code =
            scripts + squeeze::css(CSS).len() + HTML.lines().map(|line| line.trim().len() + 1).sum::<usize>();
        assert!(code < 100_000, "{code} bytes");
    }

    #[test]
    fn no_data_becomes_markup() {
        for script in SCRIPTS {
            for door in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
            {
                assert!(!script.contains(door), "{door}");
            }
        }
    }
}
