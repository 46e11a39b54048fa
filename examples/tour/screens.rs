//! One screen at a time where a person reads; all at once where a program does.

use super::program;
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::io::{self, BufRead, IsTerminal, Write};

/// The reader has seen enough.
#[derive(Debug)]
pub(crate) struct Left;

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reader left")
    }
}

impl Error for Left {}

/// A screen of 24 lines has room for these and the prompt.
const ROOM: usize = 22;

thread_local! {
    static SHOWN: Cell<usize> = const { Cell::new(0) };
}

/// Shows some text; asks for Enter where the screen is full, or a new part begins.
pub(crate) fn show(text: impl fmt::Display) -> Result<(), Box<dyn Error>> {
    let asks = io::stdin().is_terminal() && io::stdout().is_terminal();
    for line in text.to_string().split('\n') {
        let shown = SHOWN.get();
        // Parts are numbered: `2. A CHAIN, DRAWN`.
        let begins = line.starts_with(|c: char| c.is_ascii_digit()) && line.get(1..3) == Some(". ");
        if asks && shown > 0 && (shown >= ROOM || begins) {
            ask()?;
        }
        // No screen begins with an empty line.
        if !asks || SHOWN.get() > 0 || !line.is_empty() {
            program::say(line)?;
            SHOWN.set(SHOWN.get() + 1);
        }
    }
    Ok(())
}

/// Waits for Enter. `q` and the end of the input leave.
fn ask() -> Result<(), Box<dyn Error>> {
    program::put(b"\n-- press Enter; q and Enter leaves -- ")?;
    io::stdout().flush()?;
    let mut answer = String::new();
    if io::stdin().lock().read_line(&mut answer)? == 0 || answer.trim().eq_ignore_ascii_case("q") {
        return Err(Left.into());
    }
    // The old screen goes up, and can still be scrolled to.
    program::put("\n".repeat(ROOM + 2).as_bytes())?;
    if std::env::var_os("TERM").is_some_and(|term| term != "dumb") {
        program::put(b"\x1b[H\x1b[J")?;
    }
    SHOWN.set(0);
    Ok(())
}
