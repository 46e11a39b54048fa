//! A client that connects again: when, how often, and when no more.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ropewalk::protocols::{GaveUp, ReconnectingClient};
use ropewalk::task::Backoff;
use ropewalk::testing::{MemoryLoop, assert_no_result, failure_of, success_of};
use ropewalk::{ConnectError, ConnectionDone, Deferred, EventLoop, Failure, Protocol, Transport};

const SECOND: Duration = Duration::from_secs(1);

/// What happened, with the second in which it did.
type Log = Rc<RefCell<Vec<(u64, String)>>>;

#[derive(Clone)]
struct Quiet {
    log: Log,
    transport: Rc<RefCell<Option<Transport>>>,
}

impl Quiet {
    fn new() -> Quiet {
        Quiet { log: Log::default(), transport: Rc::default() }
    }

    fn note(&self, event_loop: &EventLoop, what: impl ToString) {
        self.log.borrow_mut().push((event_loop.time().as_secs(), what.to_string()));
    }

    fn log(&self) -> Vec<(u64, String)> {
        self.log.take()
    }
}

impl Protocol for Quiet {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.note(event_loop, "made");
        self.transport.replace(Some(transport.clone()));
        Ok(())
    }

    fn connection_lost(&mut self, event_loop: &EventLoop, reason: Failure) {
        self.note(event_loop, if reason.check::<ConnectionDone>().is_some() { "done" } else { "lost" });
    }
}

/// Closes each connection at once.
struct Closes;

impl Protocol for Closes {
    fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        transport.lose_connection();
        Ok(())
    }
}

/// Waits of 1, 2, 4 and then 5 seconds.
fn backoff() -> Backoff {
    Backoff::new().initial(SECOND).factor(2.0).max_delay(5 * SECOND).jitter(0.0)
}

fn client(test: &MemoryLoop, quiet: &Quiet, max_retries: Option<u32>) -> (ReconnectingClient, Deferred<()>) {
    let (network, own) = (test.network(), quiet.clone());
    let mut builder = ReconnectingClient::builder().backoff(backoff());
    if let Some(max) = max_retries {
        builder = builder.max_retries(max);
    }
    builder.connect_with(
        test,
        move |event_loop, protocol| network.connect(event_loop, "server", protocol),
        move |event_loop, _| {
            own.note(event_loop, "attempt");
            own.clone()
        },
    )
}

fn at(list: &[(u64, &str)]) -> Vec<(u64, String)> {
    list.iter().map(|(second, what)| (*second, what.to_string())).collect()
}

#[test]
fn failed_attempts_are_made_again_later_and_later_up_to_the_longest_wait() {
    let test = MemoryLoop::new().unwrap();
    let quiet = Quiet::new();
    let (client, done) = client(&test, &quiet, None);
    test.advance(20 * SECOND);
    assert_eq!(quiet.log(), at(&[0, 1, 3, 7, 12, 17].map(|second| (second, "attempt"))));
    assert_eq!((client.retries(), client.next_attempt()), (6, Some(22 * SECOND)));
    assert_no_result(&done);
    client.stop_trying();
    success_of(done);
    test.advance(100 * SECOND);
    assert_eq!(quiet.log(), []);
    test.assert_clean();
}

#[test]
fn a_lost_connection_is_made_again_and_the_protocol_hears_of_the_loss_first() {
    let test = MemoryLoop::new().unwrap();
    let port = test.network().listen("server", |_, _| Some(Closes));
    let quiet = Quiet::new();
    let (client, _) = client(&test, &quiet, None);
    test.advance(2 * SECOND);
    let (made, done) = ("made", "done");
    assert_eq!(quiet.log(), at(&[(0, "attempt"), (0, made), (0, done), (1, "attempt"), (1, made), (1, done)]));
    // To be connected is no success: only the protocol can tell.
    assert_eq!(client.retries(), 2);
    client.stop_trying();
    port.stop_listening();
    test.assert_clean();
}

#[test]
fn a_reset_begins_with_the_first_wait_anew() {
    let test = MemoryLoop::new().unwrap();
    let quiet = Quiet::new();
    let (client, _) = client(&test, &quiet, None);
    test.advance(4 * SECOND);
    assert_eq!(client.retries(), 3);
    client.reset_delay();
    assert_eq!(client.retries(), 0);
    test.advance(10 * SECOND);
    // The wait that runs stays as it is: until 7; then 1, 2, 4.
    assert_eq!(quiet.log(), at(&[0, 1, 3, 7, 8, 10, 14].map(|second| (second, "attempt"))));
}

#[test]
fn it_gives_up_after_the_last_retry_and_says_why() {
    let test = MemoryLoop::new().unwrap();
    let quiet = Quiet::new();
    let (client, done) = client(&test, &quiet, Some(2));
    test.advance(100 * SECOND);
    assert_eq!(quiet.log().len(), 3);
    let failure = failure_of(done);
    assert_eq!(failure.check::<GaveUp>().unwrap().retries(), 2);
    let source = std::error::Error::source(failure.error()).unwrap();
    assert!(source.is::<ConnectError>());
    assert!(failure.to_string().starts_with("gave up after 2 retries: cannot connect to server: "), "{failure}");
    assert!(!client.is_trying());
}

#[test]
fn giving_up_with_nobody_to_hear_it_is_an_unhandled_error() {
    let test = MemoryLoop::new().unwrap();
    drop(client(&test, &Quiet::new(), Some(0)));
    test.settle();
    let unhandled = test.flush_unhandled();
    assert!(unhandled[0].failure().check::<GaveUp>().is_some());
}

#[test]
fn stop_trying_calls_a_running_attempt_off() {
    let test = MemoryLoop::new().unwrap();
    let port = test.network().listen_silently("server");
    let quiet = Quiet::new();
    let (client, done) = client(&test, &quiet, None);
    test.advance(100 * SECOND);
    assert_eq!(quiet.log(), at(&[(0, "attempt")]));
    client.stop_trying();
    client.stop_trying();
    success_of(done);
    test.advance(100 * SECOND);
    assert_eq!(quiet.log(), []);
    port.stop_listening();
    test.assert_clean();
}

#[test]
fn stop_trying_leaves_a_connection_as_it_is_and_its_loss_is_the_end() {
    let test = MemoryLoop::new().unwrap();
    let server = Quiet::new();
    let accepted = server.clone();
    let port = test.network().listen("server", move |_, _| Some(accepted.clone()));
    let quiet = Quiet::new();
    let (client, done) = client(&test, &quiet, None);
    test.settle();
    client.stop_trying();
    success_of(done);
    test.settle();
    assert_eq!(quiet.log(), at(&[(0, "attempt"), (0, "made")]));
    server.transport.take().unwrap().lose_connection();
    test.advance(100 * SECOND);
    assert_eq!(quiet.log(), at(&[(0, "done")]));
    port.stop_listening();
    test.assert_clean();
}

#[test]
fn a_client_may_stop_inside_its_own_factory_and_inside_its_protocol() {
    let test = MemoryLoop::new().unwrap();
    let (_, done) = ReconnectingClient::builder().connect_with(
        &test,
        |_, _| panic!("nothing is to be connected"),
        |_, client| {
            client.stop_trying();
            Quiet::new()
        },
    );
    success_of(done);

    struct Once(ReconnectingClient);

    impl Protocol for Once {
        fn connection_lost(&mut self, _: &EventLoop, _: Failure) {
            self.0.stop_trying();
        }
    }

    let network = test.network();
    let port = network.listen("server", |_, _| Some(Closes));
    let (_, done) = ReconnectingClient::builder().connect_with(
        &test,
        move |event_loop, protocol| network.connect(event_loop, "server", protocol),
        |_, client| Once(client.clone()),
    );
    test.settle();
    success_of(done);
    port.stop_listening();
    test.assert_clean();
}

#[test]
fn a_factory_or_a_connector_that_panics_is_a_failed_attempt() {
    let test = MemoryLoop::new().unwrap();
    let calls = Rc::new(Cell::new(0));
    let count = calls.clone();
    let (client, done) = ReconnectingClient::builder().backoff(backoff()).max_retries(3).connect_with(
        &test,
        move |_, _| panic!("no network"),
        move |_, _| {
            count.set(count.get() + 1);
            Quiet::new()
        },
    );
    test.advance(100 * SECOND);
    assert_eq!((calls.get(), client.retries()), (4, 3));
    assert!(failure_of(done).to_string().contains("no network"));
}

#[test]
fn a_protocol_that_panics_in_connection_lost_is_connected_again() {
    struct Bad;

    impl Protocol for Bad {
        fn connection_lost(&mut self, _: &EventLoop, _: Failure) {
            panic!("in connection_lost");
        }
    }

    let test = MemoryLoop::new().unwrap();
    let network = test.network();
    let port = network.listen("server", |_, _| Some(Closes));
    let (client, _) = ReconnectingClient::builder().backoff(backoff()).connect_with(
        &test,
        move |event_loop, protocol| network.connect(event_loop, "server", protocol),
        |_, _| Bad,
    );
    test.advance(4 * SECOND);
    assert_eq!(client.retries(), 3);
    client.stop_trying();
    port.stop_listening();
    test.assert_clean();
}

#[test]
fn a_protocol_that_fails_as_soon_as_it_is_connected_costs_one_retry_each_time() {
    struct Fails;

    impl Protocol for Fails {
        fn connection_made(&mut self, _: &EventLoop, _: &Transport) -> Result<(), Failure> {
            Err(Failure::msg("not this server"))
        }

        fn connection_lost(&mut self, _: &EventLoop, _: Failure) {}
    }

    let test = MemoryLoop::new().unwrap();
    let network = test.network();
    let port = network.listen("server", |_, _| Some(Quiet::new()));
    let (client, _) = ReconnectingClient::builder().backoff(backoff()).connect_with(
        &test,
        move |event_loop, protocol| network.connect(event_loop, "server", protocol),
        |_, _| Fails,
    );
    test.advance(4 * SECOND);
    assert_eq!(client.retries(), 3);
    client.stop_trying();
    port.stop_listening();
    test.assert_clean();
}

#[test]
fn the_usual_waits_are_twisteds_with_chance_in_them() {
    let test = MemoryLoop::new().unwrap();
    let times = Rc::new(RefCell::new(Vec::new()));
    let log = times.clone();
    let (client, _) = ReconnectingClient::builder().connect_with(
        &test,
        |_, _| Deferred::fail(Failure::msg("nobody listens")),
        move |event_loop, _| {
            log.borrow_mut().push(event_loop.time().as_secs_f64());
            Quiet::new()
        },
    );
    test.advance(Duration::from_secs(40 * 3600));
    client.stop_trying();
    let waits: Vec<f64> = times.borrow().windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (n, wait) in waits.iter().enumerate() {
        let mean = 1f64.exp().powi(n as i32 + 1).min(3600.0);
        // Seven deviations: never.
        assert!((wait / mean - 1.0).abs() < 7.0 * 0.12, "wait {n} is {wait}, {mean} expected");
    }
    assert!(waits.len() > 35, "{waits:?}");
}
