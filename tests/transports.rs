//! Connections from the first byte to the last call, over loopback.

use ropewalk::testing::MemoryLoop;
use ropewalk::{
    CancelledError, ConnectError, ConnectPhase, ConnectTcp, ConnectionDone, Deferred, EventLoop, Failure, Protocol,
    Resolver, Transport,
};
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

/// What happened, in order.
type Log = Rc<RefCell<Vec<String>>>;

/// Notes each call. Fires when the connection is lost.
struct Noting {
    name: &'static str,
    log: Log,
    greeting: &'static [u8],
    close_after: usize,
    seen: usize,
    lost: Option<Resolver<Failure>>,
}

impl Noting {
    fn new(name: &'static str, log: &Log) -> (Noting, Deferred<Failure>) {
        let (lost, deferred) = Deferred::new();
        let log = log.clone();
        (Noting { name, log, greeting: b"", close_after: usize::MAX, seen: 0, lost: Some(lost) }, deferred)
    }

    fn note(&self, what: &str) {
        self.log.borrow_mut().push(format!("{} {what}", self.name));
    }
}

impl Protocol for Noting {
    fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.note("made");
        if !self.greeting.is_empty() {
            transport.write(self.greeting)?;
        }
        Ok(())
    }

    fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        self.note(&String::from_utf8_lossy(data));
        self.seen += data.len();
        if self.seen >= self.close_after {
            transport.lose_connection();
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
        self.note(&format!("lost: {reason}"));
        if let Some(lost) = self.lost.take() {
            lost.succeed(reason);
        }
    }
}

#[test]
fn both_ends_are_made_talk_and_are_lost_once() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let (mut server, server_lost) = Noting::new("server", &log);
    server.close_after = 5;
    let (mut client, client_lost) = Noting::new("client", &log);
    client.greeting = b"hello";
    let mut server = Some(server);
    let port = event_loop.listen_tcp("127.0.0.1:0", move |_, _| server.take()).unwrap();
    let transport = event_loop.connect_tcp(port.address().as_tcp().unwrap(), client);
    let transport = event_loop.run_until(transport).unwrap();
    assert_eq!(transport.peer_address().unwrap(), *port.address());
    assert!(event_loop.run_until(server_lost).unwrap().check::<ConnectionDone>().is_some());
    assert!(event_loop.run_until(client_lost).unwrap().check::<ConnectionDone>().is_some());
    assert!(transport.is_disconnected());
    assert!(transport.write(b"x").is_err());
    event_loop.run_until(port.stop_listening(&event_loop)).unwrap();
    assert!(!port.is_listening());
    assert!(event_loop.still_registered().is_empty(), "{:?}", event_loop.still_registered());
    let mut log = log.take();
    log.sort();
    let done = "lost: the connection was closed in order";
    let mut expected =
        vec![format!("client {done}"), "client made".into(), "server hello".into(), format!("server {done}")];
    expected.push("server made".into());
    assert_eq!(log, expected);
}

#[test]
fn a_unix_socket_is_a_connection_as_any_other_and_its_file_goes_with_it() {
    let event_loop = EventLoop::new().unwrap();
    let path = std::env::temp_dir().join(format!("ropewalk-test-{}", std::process::id()));
    let log = Log::default();
    let (mut server, server_lost) = Noting::new("server", &log);
    server.close_after = 5;
    let mut server = Some(server);
    let port = event_loop.listen_unix(&path, move |_, _| server.take()).unwrap();
    assert_eq!(port.address().path(), Some(&*path));
    let (mut client, client_lost) = Noting::new("client", &log);
    client.greeting = b"hello";
    event_loop.connect_unix(&path, client).detach();
    event_loop.run_until(server_lost).unwrap();
    event_loop.run_until(client_lost).unwrap();
    assert!(path.exists());
    event_loop.run_until(port.stop_listening(&event_loop)).unwrap();
    assert!(!path.exists());
}

#[test]
fn a_refused_connection_names_its_target_and_the_phase() {
    let event_loop = EventLoop::new().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (client, _lost) = Noting::new("client", &Log::default());
    let failure = event_loop.run_until(event_loop.connect_tcp(free, client)).unwrap_err();
    let error = failure.check::<ConnectError>().unwrap();
    assert_eq!((error.phase(), error.io_error().kind()), (ConnectPhase::Connect, io::ErrorKind::ConnectionRefused));
    assert!(error.to_string().starts_with(&format!("cannot connect to {free}: connecting failed: ")), "{error}");
    assert!(event_loop.still_registered().is_empty());
}

#[test]
fn a_name_is_looked_up_and_its_addresses_are_tried_in_turn() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.install_resolver(|host| match host {
        // Only the last of them listens.
        "poems.test" => Ok([3, 2, 1].map(|n| IpAddr::from(Ipv4Addr::new(127, 0, 0, n))).to_vec()),
        _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such host")),
    });
    let log = Log::default();
    let port = event_loop.listen_tcp("127.0.0.1:0", |_, _| None::<Noting>).unwrap();
    let to = |host: &str| format!("{host}:{}", port.address().port());
    let (client, _lost) = Noting::new("client", &log);
    let transport = event_loop.run_until(event_loop.connect_tcp(to("poems.test"), client)).unwrap();
    assert_eq!(transport.peer_address().unwrap(), *port.address());

    let (client, _lost) = Noting::new("client", &log);
    let failure = event_loop.run_until(event_loop.connect_tcp(to("nowhere.test"), client)).unwrap_err();
    let error = failure.check::<ConnectError>().unwrap();
    assert_eq!(error.phase(), ConnectPhase::Resolve);
    assert_eq!(
        error.to_string(),
        format!("cannot connect to {}: looking up the name failed: no such host", to("nowhere.test"))
    );
}

#[test]
fn a_target_without_a_port_is_an_error_of_the_deferred() {
    let event_loop = EventLoop::new().unwrap();
    let (client, _lost) = Noting::new("client", &Log::default());
    let failure = event_loop.run_until(event_loop.connect_tcp("example.org", client)).unwrap_err();
    assert_eq!(failure.check::<ConnectError>().unwrap().phase(), ConnectPhase::Target);
}

#[test]
fn cancelling_stops_the_attempt_in_every_phase() {
    let event_loop = EventLoop::new().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let receiver = std::sync::Mutex::new(receiver);
    event_loop.install_resolver(move |_| {
        let _ = receiver.lock().unwrap().recv(); // until the test is over
        Ok(vec![Ipv4Addr::LOCALHOST.into()])
    });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for (target, turns) in [("127.0.0.1", 0), ("127.0.0.1", 1), ("slow.test", 0), ("slow.test", 1)] {
        let (client, lost) = Noting::new("client", &Log::default());
        let connecting = event_loop.connect_tcp((target, port), client);
        // `run_one` makes the call that starts it, and no other.
        for _ in 0..turns {
            event_loop.run_one().unwrap();
        }
        connecting.cancel();
        let failure = event_loop.run_until(connecting).unwrap_err();
        assert!(failure.check::<CancelledError>().is_some(), "{target} {turns}: {failure:?}");
        // The protocol is dropped without a call.
        assert!(event_loop.run_until(lost).unwrap_err().check::<ropewalk::AbandonedError>().is_some());
    }
    drop(sender);
    while !event_loop.still_registered().is_empty() {
        event_loop.turn(None).unwrap();
    }
}

#[test]
fn a_look_up_that_takes_too_long_ends_with_the_connections_time_and_holds_up_no_file_work() {
    let event_loop = EventLoop::new().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let receiver = std::sync::Mutex::new(receiver);
    event_loop.install_resolver(move |_| {
        let _ = receiver.lock().unwrap().recv();
        Err(io::ErrorKind::NotFound.into())
    });
    let connecting: Vec<_> = (0..20)
        .map(|_| {
            let (client, lost) = Noting::new("client", &Log::default());
            lost.add_errback(|_| Ok(Failure::msg("never made"))).detach();
            ConnectTcp::new("slow.test:80").timeout(Duration::from_millis(20)).connect(&event_loop, client)
        })
        .collect();
    let work = event_loop.defer_to_thread(|| Ok(6 * 7));
    assert_eq!(event_loop.run_until(work).unwrap(), 42);
    for connecting in connecting {
        let failure = event_loop.run_until(connecting).unwrap_err();
        let error = failure.check::<ConnectError>().unwrap();
        assert_eq!((error.phase(), error.io_error().kind()), (ConnectPhase::Resolve, io::ErrorKind::TimedOut));
    }
    drop(sender);
    // Dropping the loop does not wait for look-ups.
}

/// Says nothing of itself.
struct Silent;

impl Protocol for Silent {}

#[test]
fn a_protocol_without_a_method_throws_away_what_comes_and_ends_with_its_peer() {
    let test = MemoryLoop::new().unwrap();
    let peer = test.connected(Silent);
    peer.send([b'x'; 200_000]);
    assert!(peer.transport().is_reading() && !peer.is_disconnected());
    assert_eq!(peer.text(), "");
    peer.send_end();
    assert!(peer.is_disconnected() && !peer.sees_reset());
    test.assert_clean();
}
