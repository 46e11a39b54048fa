//! What `ROPEWALK=` asks for, in a program built with the feature `trace-env`.
//!
//! | word | does |
//! |---|---|
//! | `trace`, `trace=FILE` | writes the trace as JSON Lines; without a name to `PROGRAM.trace.jsonl` here |
//! | `stable` | leaves out of it what changes from run to run: the system's clock, arguments, folders |
//! | `html=FILE` | writes the page at the end |
//! | `step`, `plain` | steps through the run: on a screen, or as a prompt that reads and prints lines |
//! | `break=WHERE` | a breakpoint: `next-callback`, `next-turn`, `next-error`, an object (`d3`), a place (`poem.rs:40`) |
//! | `until=d3` | runs on until that object is met, then stops at each step |
//! | `ascii`, `no-color` | how the screen looks |
//!
//! Words are separated by commas; `break` may come several times. The first loop of the process starts the recording, for
//! its thread (or [`init`], where there is no loop); it ends with that thread. (A statically linked C library ends a process without the destructors of the
//! main thread: then the last events may be missing, and no page is written. What came before the loop's last wait, or
//! before it was stopped, is in the trace.)

use super::attach::recorders;
use crate::ground::unhandled::error_line;
use crate::trace::{Id, Recorder, Recording};
use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

/// The name of the variable.
pub const VARIABLE: &str = "ROPEWALK";

/// What the variable asked for.
///
/// ```
/// use ropewalk::study::env::Options;
///
/// let options: Options = "plain,break=next-error,until=d3".parse()?;
/// assert!(options.plain && !options.step);
/// assert_eq!(options.breaks, ["next-error"]);
///
/// let error = "tarce=run.jsonl".parse::<Options>().unwrap_err();
/// assert!(error.to_string().contains("tarce"));
/// # Ok::<(), ropewalk::study::env::WrongWord>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// `step`: step through the run on a screen.
    pub step: bool,
    /// `plain`: step through it as a prompt.
    pub plain: bool,
    /// `trace`: write the trace; the empty path stands for the program's own name.
    pub trace: Option<PathBuf>,
    /// `html`: write the page.
    pub html: Option<PathBuf>,
    /// `stable`: leave out of the trace what changes from run to run.
    pub stable: bool,
    /// `break`: where to stop.
    pub breaks: Vec<String>,
    /// `until`: run on until this object is met.
    pub until: Option<Id>,
    /// `ascii`: draw with ASCII only.
    pub ascii: bool,
    /// `no-color`: draw without colours.
    pub no_color: bool,
}

/// A word that is not understood.
///
/// ```
/// use ropewalk::study::env::{Options, WrongWord};
///
/// let error: WrongWord = "step,html".parse::<Options>().unwrap_err();
/// assert_eq!(error.to_string(), "ROPEWALK: \"html\" names no file: html=FILE");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongWord {
    word: String,
    what: &'static str,
}

impl fmt::Display for WrongWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VARIABLE}: \"{}\" {}", self.word.escape_debug(), self.what)
    }
}

impl std::error::Error for WrongWord {}

const KNOWN: &str = "is none of the words that are understood: step, plain, trace, trace=FILE, html=FILE, stable, break=WHERE, \
until=OBJECT, ascii, no-color, with commas between them";

impl FromStr for Options {
    type Err = WrongWord;

    fn from_str(text: &str) -> Result<Options, WrongWord> {
        let mut options = Options::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let wrong = |what| WrongWord { word: word.to_owned(), what };
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word, None),
            };
            let flag = match name {
                "step" => Some(&mut options.step),
                "plain" => Some(&mut options.plain),
                "stable" => Some(&mut options.stable),
                "ascii" => Some(&mut options.ascii),
                "no-color" => Some(&mut options.no_color),
                _ => None,
            };
            match (flag, name, value) {
                (Some(flag), _, None) => *flag = true,
                (Some(_), ..) => return Err(wrong("takes no value")),
                (None, "trace", None) => options.trace = Some(PathBuf::new()),
                (None, "trace" | "html", Some("")) => return Err(wrong("names no file")),
                (None, "trace", Some(file)) => options.trace = Some(file.into()),
                (None, "html", Some(file)) => options.html = Some(file.into()),
                (None, "html", None) => return Err(wrong("names no file: html=FILE")),
                (None, "break", Some(place)) if !place.is_empty() => options.breaks.push(place.to_owned()),
                (None, "break", _) => {
                    return Err(wrong(
                        "says not where: break=next-callback, next-turn, next-error, d3 or file.rs:40",
                    ));
                }
                (None, "until", Some(object)) => {
                    let id = object.parse().map_err(|_| wrong("names no object: until=d3, m1, i2, .."))?;
                    options.until = Some(id);
                }
                (None, "until", None) => return Err(wrong("names no object: until=d3, m1, i2, ..")),
                (None, ..) => return Err(wrong(KNOWN)),
            }
        }
        Ok(options)
    }
}

type Recorders = Vec<Box<dyn Recorder>>;

thread_local! {
    /// Goes on until the thread ends.
    static RECORDING: RefCell<Option<Recording<Recorders>>> = const { RefCell::new(None) };
}

/// Whether the variable was looked at already.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Starts what the variable asks for, for this thread. The first loop of the process does it by itself; so this is for a
/// program that has none, or does much before. Later calls do nothing.
///
/// ```
/// use ropewalk::{Deferred, study::env, testing::success_of, trace};
///
/// env::init(); // `ROPEWALK=step` steps through what follows
/// trace::note("no loop is needed here");
/// assert_eq!(success_of(Deferred::succeed(6).map(|n| n * 7)), 42);
/// ```
pub fn init() {
    if ASKED.swap(true, Ordering::Relaxed) {
        return;
    }
    let Some(value) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) else { return };
    // Never an error of the program: whoever set the variable sees a line, and the program runs.
    let options = match value.to_str().map(str::parse::<Options>) {
        Some(Ok(options)) => options,
        Some(Err(wrong)) => return error_line(&wrong),
        None => return error_line(&format_args!("{VARIABLE}: its value is no UTF-8 text")),
    };
    let recorders = recorders(&options);
    if !recorders.is_empty() {
        let recording = Recording::begin(recorders);
        RECORDING.with(|slot| *slot.borrow_mut() = Some(recording));
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn every_word_is_understood_and_every_other_is_refused() {
        let all =
            " trace=a b.jsonl,html=run.html, step,plain,,stable,break=d3,break=poem.rs:40,until=m1,ascii,no-color";
        let options: Options = all.parse().unwrap();
        assert_eq!(options.trace, Some("a b.jsonl".into()));
        assert_eq!(options.html, Some("run.html".into()));
        assert!(options.step && options.plain && options.stable && options.ascii && options.no_color);
        assert_eq!(options.breaks, ["d3", "poem.rs:40"]);
        assert_eq!(options.until.map(|id| id.to_string()).as_deref(), Some("m1"));
        assert_eq!("trace".parse::<Options>().unwrap().trace, Some("".into()));
        assert_eq!("".parse::<Options>(), Ok(Options::default()));
        for wrong in [
            "stpe", "step=1", "trace=", "html", "html=", "break", "break=", "until", "until=x", "until=d",
            "\u{1b}[",
        ] {
            let error = wrong.parse::<Options>().unwrap_err().to_string();
            assert!(error.starts_with("ROPEWALK: \"") && !error.contains('\u{1b}'), "{error}");
        }
    }
}
