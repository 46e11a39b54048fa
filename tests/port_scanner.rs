//! The port scanner of `examples/port_scanner`, without a network: ports are names in memory.

#[path = "../examples/port_scanner/scan.rs"]
mod scan;

use ropewalk::testing::{MemoryLoop, MemoryNetwork, assert_no_result, failure_of, success_of};
use ropewalk::{ConnectError, Deferred, EventLoop, Protocol, Resolver, Transport};
use scan::{AT_ONCE, Door, Knock, scan};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(1);

struct Anybody;

impl Protocol for Anybody {}

fn over(network: MemoryNetwork) -> impl Fn(&EventLoop, u16, Knock) -> Deferred<Transport> {
    move |event_loop, port, knock| network.connect(event_loop, &port.to_string(), knock)
}

#[test]
fn each_port_is_open_or_closed_or_silent() {
    let test = MemoryLoop::new().unwrap();
    let network = test.network();
    let ports = [network.listen("22", |_, _| Some(Anybody)), network.listen_silently("23")];
    let doors = scan(&test, 21..=24, PATIENCE, over(network));
    test.advance(PATIENCE - Duration::from_millis(1));
    assert_no_result(&doors);
    test.advance(Duration::from_millis(1));
    assert_eq!(success_of(doors), [(21, Door::Closed), (22, Door::Open), (23, Door::Silent), (24, Door::Closed)]);
    ports.iter().for_each(|port| port.stop_listening());
    test.assert_clean();
}

#[test]
fn five_hundred_are_tried_at_a_time_and_each_has_its_own_second() {
    let test = MemoryLoop::new().unwrap();
    let knocking: Rc<RefCell<Vec<Resolver<Transport>>>> = Rc::default();
    let seen = knocking.clone();
    let doors = scan(&test, 1..=1200, PATIENCE, move |_, _, _| {
        let (resolver, connecting) = Deferred::new();
        seen.borrow_mut().push(resolver);
        connecting
    });
    test.settle();
    let mut tried = vec![knocking.borrow().len()];
    for _ in 0..2 {
        test.advance(PATIENCE);
        tried.push(knocking.borrow().len());
    }
    assert_eq!(tried, [AT_ONCE.get(), 2 * AT_ONCE.get(), 1200]);
    assert_no_result(&doors);
    test.advance(PATIENCE);
    assert!(success_of(doors).iter().all(|(_, door)| *door == Door::Silent));
    test.assert_clean();
}

#[test]
fn a_place_that_is_free_again_is_taken_at_once() {
    let test = MemoryLoop::new().unwrap();
    // All of them are refused: no time passes.
    let doors = scan(&test, 1..=5000, PATIENCE, over(test.network()));
    test.settle();
    assert_eq!(success_of(doors).len(), 5000);
    test.assert_clean();
}

#[test]
fn an_error_that_says_nothing_about_a_port_ends_the_scan() {
    let test = MemoryLoop::new().unwrap();
    let network = test.network();
    let doors = scan(&test, 1..=3, PATIENCE, move |event_loop, port, knock| match port {
        // This is no port, but a target that cannot be read.
        2 => event_loop.connect_tcp("nowhere", knock),
        _ => network.connect(event_loop, "nobody", knock),
    });
    test.settle();
    let failure = failure_of(doors);
    assert!(failure.check::<ConnectError>().is_some(), "{failure:?}");
}
