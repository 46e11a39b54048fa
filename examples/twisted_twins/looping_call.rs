//! A function that is called again and again, until it is stopped or fails.

use crate::support::{run_until_done, say};
use ropewalk::task::LoopingCall;
use ropewalk::{Deferred, EventLoop, Failure};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

const BEAT: Duration = Duration::from_millis(10);

type Numbers = Rc<Cell<i32>>;

fn next(numbers: &Numbers) -> i32 {
    numbers.replace(numbers.get() + 1)
}

fn ticks(event_loop: &EventLoop, numbers: Numbers) -> Result<Deferred<()>, Failure> {
    let looping = LoopingCall::new(move |tick| {
        let number = next(&numbers);
        say(format_args!("tick {number}"))?;
        if number == 2 {
            tick.stop();
        }
        Ok(())
    });
    let done = looping.start(event_loop, BEAT, true);
    say("started")?;
    Ok(done.add_callback(|()| Ok(say("stopped")?)))
}

fn writes(event_loop: &EventLoop, numbers: Numbers) -> Result<Deferred<()>, Failure> {
    let looping = LoopingCall::new(move |_| {
        let number = next(&numbers);
        say(format_args!("write {number}"))?;
        if number == 4 { Err(Failure::msg("disk full")) } else { Ok(()) }
    });
    Ok(looping.start(event_loop, BEAT, false).add_errback(|failure| Ok(say(format_args!("ended: {failure}"))?)))
}

fn patient(event_loop: &EventLoop, numbers: Numbers) -> Result<Deferred<()>, Failure> {
    // The next call waits for the Deferred of this one.
    let looping = LoopingCall::new(move |tick| {
        let number = next(&numbers);
        let begun = say(format_args!("begin {number}"));
        if number == 6 {
            tick.stop();
        }
        tick.event_loop().defer_later(2 * BEAT, move |_| {
            begun?;
            Ok(say(format_args!("end {number}"))?)
        })
    });
    let done = looping.start(event_loop, BEAT / 2, true);
    Ok(done.add_callback(|()| Ok(say("stopped after the last one")?)))
}

pub(crate) fn run() -> Result<(), Failure> {
    run_until_done(|event_loop| {
        let numbers = Numbers::default();
        let mut done = ticks(event_loop, numbers.clone())?;
        for next in [writes, patient] {
            let (handle, numbers) = (event_loop.handle(), numbers.clone());
            done = done.add_callback(move |()| handle.with(|event_loop| next(event_loop, numbers))?).flatten();
        }
        Ok(done)
    })
}
