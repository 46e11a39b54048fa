//! A client's patience and its appetite: each wait has its end, what nobody wants is closed, and what nobody reads is not
//! taken in.
#![cfg(feature = "http-client")]

#[path = "support/bad_server.rs"]
mod bad_server;
#[path = "support/client.rs"]
mod client;

use bad_server::*;
use client::{error, turn_until};

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ropewalk::http::{self, ClientPhase, ClientRequest, ClientResponse, Response, Server};
use ropewalk::testing::capture_unhandled;
use ropewalk::{CancelledError, EventLoop};

#[test]
fn a_server_that_is_silent_or_slow_runs_into_the_limit_that_is_for_it() {
    let second = Duration::from_secs(1);
    // What it says at first, how long it may say nothing, and what is told then.
    let table = [
        ("", 30, ClientPhase::Response),
        ("HTTP/1.1 200 OK\r\nX-", 30, ClientPhase::Response),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npo", 30, ClientPhase::Body),
    ];
    for (text, seconds, phase) in table {
        let (clock, event_loop) = still();
        let (_port, url, log) = bad(&event_loop, say(text));
        let (arrived, seen) = (Rc::new(Cell::new(false)), Rc::new(RefCell::new(None)));
        let (head, slot) = (arrived.clone(), seen.clone());
        http::get(&event_loop, url)
            .add_callback(move |response| {
                head.set(true);
                response.bytes(100)
            })
            .add_both(move |result| {
                slot.replace(Some(result));
                Ok(())
            })
            .detach();
        turn_until(&event_loop, || {
            log.requests.borrow().len() == 1 && (phase != ClientPhase::Body || arrived.get())
        });
        clock.advance(seconds * second - second).unwrap();
        assert!(seen.borrow().is_none(), "{phase}");
        clock.advance(second).unwrap();
        let (found, text) = error(seen.take().expect("the time is over").map(|body| (0, body)));
        assert_eq!(found, phase);
        assert!(text.ends_with("it took longer than 30s"), "{text}");
        turn_until(&event_loop, || log.open.get() == 0);
    }
}

#[test]
fn what_drips_has_an_end_too() {
    let (clock, event_loop) = still();
    let writer = Rc::new(RefCell::new(None));
    let own = writer.clone();
    let site = Server::new().get("/", move |_, _| {
        let (drip, response) = Response::streaming();
        own.replace(Some(drip));
        response
    });
    let site = site.listen(&event_loop, "127.0.0.1:0").unwrap();
    let seen = Rc::new(RefCell::new(None));
    let slot = seen.clone();
    ClientRequest::get(format!("http://{}/", site.address().unwrap()))
        .timeout(Duration::from_secs(100))
        .send(&event_loop)
        .add_callback(|response| response.bytes(1000))
        .add_both(move |result| {
            slot.replace(Some(result));
            Ok(())
        })
        .detach();
    turn_until(&event_loop, || writer.borrow().is_some());
    for second in 0..99 {
        assert!(seen.borrow().is_none(), "after {second} s");
        writer.borrow().as_ref().unwrap().write(b"x").unwrap();
        for _ in 0..20 {
            event_loop.turn(Some(Duration::ZERO)).unwrap();
        }
        clock.advance(Duration::from_secs(1)).unwrap();
    }
    clock.advance(Duration::from_secs(1)).unwrap();
    let (phase, text) = error(seen.take().expect("the time is over").map(|body| (0, body)));
    assert_eq!(phase, ClientPhase::Body);
    assert!(text.ends_with("it took longer than 100s"), "{text}");
}

#[test]
fn cancelling_and_dropping_close_the_connection() {
    let unhandled = capture_unhandled();
    let event_loop = EventLoop::new().unwrap();
    let (_port, url, log) = bad(&event_loop, say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npo"));
    let (_quiet_port, quiet, quiet_log) = bad(&event_loop, say(""));

    // While no answer is there.
    let waiting = http::get(&event_loop, quiet);
    turn_until(&event_loop, || quiet_log.requests.borrow().len() == 1);
    waiting.cancel();
    assert!(ropewalk::testing::failure_of(waiting).check::<CancelledError>().is_some());
    turn_until(&event_loop, || quiet_log.open.get() == 0);

    // While the connection is made.
    let early = http::get(&event_loop, &url);
    early.cancel();
    drop(ropewalk::testing::failure_of(early));

    // While the body comes.
    let arrived = Rc::new(Cell::new(false));
    let head = arrived.clone();
    let body = http::get(&event_loop, &url).add_callback(move |response| {
        head.set(true);
        response.bytes(100)
    });
    turn_until(&event_loop, || arrived.get());
    body.cancel();
    assert!(ropewalk::testing::failure_of(body).check::<CancelledError>().is_some());
    turn_until(&event_loop, || log.open.get() == 0);

    // Nobody wants the body.
    let response: ClientResponse = event_loop.run_until(http::get(&event_loop, &url)).unwrap();
    drop(response);
    turn_until(&event_loop, || log.open.get() == 0);
    drop(http::get(&event_loop, &url));
    turn_until(&event_loop, || log.requests.borrow().len() == 3);
    turn_until(&event_loop, || log.open.get() == 0);
    assert!(unhandled.flush_unhandled().is_empty());
}

#[test]
fn a_body_that_nobody_reads_holds_the_server_back() {
    let event_loop = EventLoop::new().unwrap();
    let (_port, url, log) = bad(&event_loop, Act::Flood("HTTP/1.1 200 OK\r\n\r\n", vec![b'x'; 60_000]));
    let request = ClientRequest::get(url).max_body(u64::MAX);
    let mut response = event_loop.run_until(request.send(&event_loop)).unwrap();
    // The system's own buffers hold a few megabytes; then nothing more goes.
    let (mut before, mut quiet) = (0, 0);
    while quiet < 200 {
        event_loop.turn(Some(Duration::from_millis(1))).unwrap();
        quiet = if log.flooded.get() == before { quiet + 1 } else { 0 };
        before = log.flooded.get();
        assert!(before < 64 << 20, "nobody reads, and {before} bytes were taken");
    }
    let mut body = response.take_body();
    let mut read = 0;
    while read < before + 1_000_000 {
        read += event_loop.run_until(body.read()).unwrap().expect("there is no end").len();
    }
}
