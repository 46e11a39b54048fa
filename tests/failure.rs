//! What a failure knows: its error, where it was raised, what it passed by.

use ropewalk::testing::failure_of;
use ropewalk::{CancelledError, Deferred, Failure};
use std::error::Error;
use std::fmt;
use std::num::ParseIntError;

/// An error with a source.
#[derive(Debug)]
struct Config(ParseIntError);

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad configuration")
    }
}

impl Error for Config {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn number(text: &str) -> ParseIntError {
    text.parse::<i32>().expect_err("it is no number")
}

#[test]
fn the_question_mark_notes_its_line() {
    fn parse(text: &str) -> Result<i32, Failure> {
        Ok(text.parse()?)
    }
    let line = line!() - 2;
    let failure = parse("x").expect_err("it is no number");
    assert_eq!((failure.raised().file(), failure.raised().line()), (file!(), line));
}

#[test]
fn the_question_mark_inside_a_callback_notes_its_line() {
    let d = Deferred::succeed("x").add_callback(|s| {
        let n: i32 = s.parse()?;
        Ok(n)
    });
    let line = line!() - 3;
    assert_eq!(failure_of(d).raised().line(), line);
}

#[test]
fn the_trail_lists_the_steps_without_an_errback() {
    let d = Deferred::<i32>::fail(Failure::msg("no"));
    let first = line!() + 1;
    let d = d.map(|n| n + 1);
    let d = d.add_callback(Ok);
    let d = d.add_errback(Err);
    let d = d.map(|n| n + 1);
    let failure = failure_of(d);
    let lines: Vec<u32> = failure.crossed().map(|place| place.line()).collect();
    assert_eq!(lines, [first, first + 1, first + 3]);
    assert_eq!(failure.crossed_count(), 3);
}

#[test]
fn a_long_trail_keeps_its_first_places_and_counts_the_rest() {
    let mut d = Deferred::<i32>::fail(Failure::msg("no"));
    for _ in 0..20 {
        d = d.map(|n| n);
    }
    let failure = failure_of(d);
    assert_eq!(failure.crossed().count(), 8);
    assert_eq!(failure.crossed_count(), 20);
    assert!(format!("{failure:?}").contains("12 more steps"));
}

#[test]
fn check_finds_the_error_by_type() {
    let failure = Failure::from(number("x"));
    assert_eq!(failure.check::<ParseIntError>(), Some(&number("x")));
    assert!(failure.check::<fmt::Error>().is_none());
    assert!(failure.error().is::<ParseIntError>());
}

#[test]
fn trap_passes_other_errors_on_unchanged() {
    let trapped = Failure::from(number("x")).trap::<ParseIntError>().expect("it is one");
    let line = line!() - 1;
    let other = trapped.trap::<CancelledError>().expect_err("it is none");
    assert_eq!(other.raised().line(), line);
    assert!(other.check::<ParseIntError>().is_some());
}

#[test]
fn downcast_gives_the_error_or_the_failure_back() {
    let failure = Failure::from(number("x"));
    let line = line!() - 1;
    let failure = failure.downcast::<fmt::Error>().expect_err("it is none");
    assert_eq!(failure.raised().line(), line);
    assert_eq!(failure.downcast::<ParseIntError>().expect("it is one"), number("x"));
}

#[test]
fn display_tells_the_error_and_with_a_hash_its_sources() {
    let failure = Failure::from(Config(number("x")));
    assert_eq!(format!("{failure}"), "bad configuration");
    assert_eq!(format!("{failure:#}"), "bad configuration: invalid digit found in string");
    assert!(failure.error().source().is_some());
}

#[test]
fn a_failure_becomes_a_boxed_error() {
    fn main_like() -> Result<(), Box<dyn Error>> {
        Err(Failure::msg("no"))?
    }
    fn threaded() -> Result<(), Box<dyn Error + Send + Sync>> {
        Err(Failure::from(number("x")))?
    }
    assert_eq!(main_like().expect_err("it fails").to_string(), "no");
    assert!(threaded().expect_err("it fails").is::<ParseIntError>());
}

#[test]
fn a_failure_comes_from_another_thread_with_its_place() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let thread = std::thread::spawn(|| is_send(Failure::msg("far away")));
    let line = line!() - 1;
    let failure = thread.join().expect("it makes a failure");
    assert_eq!(failure.raised().line(), line);
    assert_eq!(failure_of(Deferred::<()>::fail(failure)).to_string(), "far away");
}

#[test]
fn a_failure_is_one_pointer_wide() {
    assert_eq!(size_of::<Result<u64, Failure>>(), 16);
    assert_eq!(size_of::<Failure>(), size_of::<usize>());
}

/// An error that says its cause itself, as many do, and perhaps more behind it.
#[derive(Debug)]
struct Telling(std::io::Error, &'static str);

impl std::fmt::Display for Telling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no poem: {}{}", self.0, self.1)
    }
}

impl std::error::Error for Telling {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn a_cause_that_an_error_says_itself_is_not_said_twice() {
    for (rest, text) in [("", "no poem: no ink"), (" (3 times)", "no poem: no ink (3 times)")] {
        let failure = Failure::from(Telling(std::io::Error::other("no ink"), rest));
        assert_eq!(format!("{failure:#}"), text);
        assert_eq!(format!("{failure}"), text);
    }
}
