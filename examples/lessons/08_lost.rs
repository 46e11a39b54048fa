//! Lesson 08: an error that nobody took. This program is BROKEN ON PURPOSE: it loses two errors, and you see on standard
//! error how the library complains.
//!
//! A chain that ends with an error *rests* while somebody still has it: an errback may yet come. When it goes away with
//! the error inside, the error is *lost*, and that is reported at this moment.
//! In the stepper: `e` goes from one event of an error to the next. Level `2` shows also when a chain is let go.
//!
//! Exercise: mend the first chain by one call behind `.add_callback(count_stanzas)`. The report names the line.
//! (`.add_errback(|_| Ok(0))`, or `.log_errors("count")` in a chain whose error you mean to ignore.)

mod lesson;

use lesson::{MS, Outcome, RAIN, ROPE, TIDE, ask, get_poem, tell};
use ropewalk::{Deferred, EventLoop, Failure, TestClock};
use std::process::ExitCode;

fn count_stanzas(_poem: String) -> Result<usize, Failure> {
    Err(Failure::msg("no stanza is complete"))
}

fn say_none(failure: Failure) -> Result<usize, Failure> {
    tell(format_args!("  errback, added late: {failure}"))?;
    Ok(0)
}

struct Shelf {
    #[expect(dead_code, reason = "that is what is broken")]
    stanzas: Deferred<usize>,
}

fn main() -> ExitCode {
    lesson::run("08_lost", lesson)
}

fn lesson() -> Outcome {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build()?;
    let answer = ask(
        "Three chains end with an error. When do we learn of each?",
        "rain: as it fails. tide: as its shelf goes away.\n  rope is not lost: its errback came in time.",
    )?;

    // Nobody has this chain any more when it fails.
    get_poem(&event_loop, &RAIN).add_callback(count_stanzas);
    // This one is kept, and an errback comes later.
    let rope = get_poem(&event_loop, &ROPE).add_callback(count_stanzas);
    // This one is kept, and forgotten.
    let shelf = Shelf { stanzas: get_poem(&event_loop, &TIDE).add_callback(count_stanzas) };

    tell("30 ms: rain fails")?;
    clock.advance(50 * MS)?;
    tell("75 ms: rope fails, and rests")?;
    clock.advance(50 * MS)?;
    let rope = rope.add_errback(say_none);
    tell("120 ms: tide fails, and rests")?;
    clock.advance(50 * MS)?;
    tell("150 ms: the shelf goes away")?;
    drop((shelf, rope));
    Ok(answer.show()?)
}
