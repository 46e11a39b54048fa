//! Which callback runs when, and which is passed by.

use crate::support::say;
use ropewalk::{Deferred, Failure};
use std::cell::RefCell;
use std::rc::Rc;

fn parse(text: &str) -> Result<i32, Failure> {
    say(format_args!("parse {text}"))?;
    text.parse().map_err(|_| Failure::msg(format_args!("{text} is no number")))
}

fn double(number: i32) -> Result<i32, Failure> {
    say(format_args!("double {number}"))?;
    Ok(number * 2)
}

fn handle(failure: Failure) -> Result<i32, Failure> {
    say(format_args!("handle: {failure}"))?;
    Ok(-1)
}

fn show(number: i32) -> Result<(), Failure> {
    Ok(say(format_args!("show {number}"))?)
}

fn order() -> Result<(), Failure> {
    for text in ["21", "many"] {
        let (resolver, d) = Deferred::new();
        d.add_callback(parse).add_callback(double).add_errback(handle).add_callback(show).detach();
        say("fire")?;
        resolver.succeed(text);
        say("fired")?;
    }
    Ok(())
}

fn late() -> Result<(), Failure> {
    let d = Deferred::succeed("7");
    say("add to one that has fired")?;
    let d = d.add_callback(parse);
    say("added")?;
    d.add_callback(show).detach();
    Ok(())
}

fn pair() {
    // The errback of a pair does not see what its own callback raises.
    let (resolver, d) = Deferred::new();
    d.add_callbacks(parse, handle).add_errback(handle).add_callback(show).detach();
    resolver.succeed("none");
}

fn pause() -> Result<(), Failure> {
    let (inner, number) = Deferred::new();
    let doubled = number.add_callback(double);
    let (outer, text) = Deferred::new();
    text.add_callback(parse)
        .add_callback(|number| doubled.map(move |other| number + other))
        .add_callback(show)
        .detach();
    outer.succeed("1");
    say("outer waits")?;
    inner.succeed(20);
    Ok(say("both are done")?)
}

fn from_inside() {
    // A callback that is added while another one runs has to wait for its turn. The end to add to is put where the
    // first callback finds it.
    let end = Rc::new(RefCell::new(None::<Deferred<i32>>));
    let (resolver, d) = Deferred::new();
    let found = end.clone();
    let d = d.add_callback(move |text| {
        say("first begins")?;
        if let Some(end) = found.take() {
            end.add_callback(show).detach();
        }
        say("first ends")?;
        Ok(text)
    });
    end.replace(Some(d.add_callback(parse)));
    resolver.succeed("5");
}

pub(crate) fn run() -> Result<(), Failure> {
    order()?;
    late()?;
    pair();
    pause()?;
    from_inside();
    Ok(())
}
