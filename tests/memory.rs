//! The test doubles: connections in memory behave as connections over sockets do, and what a test leaves is told.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use ropewalk::protocols::{TimeoutProtocol, TrafficLogging};
use ropewalk::testing::{
    MemoryLoop, ProducerState, StringTransport, assert_clean, assert_no_result, failure_of, success_of,
};
use ropewalk::{
    ConnectError, ConnectionAborted, ConnectionDone, ConnectionLost, Deferred, EventLoop, Failure, Interest,
    Protocol, Streaming, Transport,
};

type Log = Rc<RefCell<Vec<String>>>;

/// Writes down what it is told; sends back what comes, if it is to.
#[derive(Default)]
struct Witness {
    log: Log,
    echo: bool,
    greeting: Vec<u8>,
    half_close: bool,
}

impl Witness {
    fn note(&self, what: impl Into<String>) {
        self.log.borrow_mut().push(what.into());
    }
}

impl Protocol for Witness {
    fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.note("made");
        if !self.greeting.is_empty() {
            transport.write(&self.greeting)?;
        }
        Ok(())
    }

    fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        self.note(String::from_utf8_lossy(data));
        match data {
            b"error" => return Err(Failure::msg("oh")),
            b"panic" => panic!("ah"),
            b"close" => transport.lose_connection(),
            b"abort" => transport.abort(),
            b"half" => transport.lose_write_connection(),
            _ if self.echo => transport.write(data)?,
            _ => {}
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
        let what = if reason.check::<ConnectionDone>().is_some() {
            "done".to_owned()
        } else if reason.check::<ConnectionAborted>().is_some() {
            "aborted".to_owned()
        } else if reason.check::<ConnectionLost>().is_some() {
            "lost".to_owned()
        } else {
            format!("failed: {reason}")
        };
        self.note(what);
    }

    fn half_close(&self) -> bool {
        self.half_close
    }

    fn read_connection_lost(&mut self, _: &EventLoop, _: &Transport) -> Result<(), Failure> {
        self.note("end");
        Ok(())
    }

    fn write_connection_lost(&mut self, _: &EventLoop, _: &Transport) -> Result<(), Failure> {
        self.note("write end");
        Ok(())
    }

    fn pause_producing(&mut self, _: &EventLoop, _: &Transport) -> Result<(), Failure> {
        self.note("pause");
        Ok(())
    }

    fn resume_producing(&mut self, _: &EventLoop, _: &Transport) -> Result<(), Failure> {
        self.note("resume");
        Ok(())
    }
}

fn witness() -> (Witness, Log) {
    let witness = Witness::default();
    let log = witness.log.clone();
    (witness, log)
}

fn echo() -> Witness {
    Witness { echo: true, ..Witness::default() }
}

#[test]
fn a_peer_played_by_hand_sees_what_the_protocol_writes_and_how_it_ends() {
    let test = MemoryLoop::new().unwrap();
    let (witness, log) = witness();
    let peer = test.connected(Witness { echo: true, greeting: b"hi ".into(), ..witness });
    assert_eq!(*log.borrow(), ["made"]);
    assert_eq!(peer.value(), b"hi ");
    peer.send("there");
    assert_eq!(peer.text(), "hi there");
    peer.clear();
    assert_eq!(peer.value(), b"");
    assert_eq!(peer.producer_state(), ProducerState::Producing);
    peer.send("close");
    assert!(peer.is_disconnected() && peer.sees_end() && !peer.sees_reset());
    assert_eq!(peer.producer_state(), ProducerState::Stopped);
    assert_eq!(*log.borrow(), ["made", "there", "close", "done"]);
    peer.send("nobody is there");
    assert_eq!(log.borrow().len(), 4);
    test.assert_clean();
}

#[test]
fn each_send_is_one_call_of_data_received() {
    let test = MemoryLoop::new().unwrap();
    let (witness, log) = witness();
    let peer = test.connected(witness);
    peer.transport().pause_producing();
    peer.send("a");
    peer.send("b");
    assert_eq!(*log.borrow(), ["made"]);
    assert_eq!(peer.producer_state(), ProducerState::Paused);
    peer.transport().resume_producing();
    test.settle();
    assert_eq!(*log.borrow(), ["made", "a", "b"]);
}

#[test]
fn the_reason_of_a_loss_is_that_of_a_socket() {
    for (send, reason) in
        [("close", "done"), ("abort", "aborted"), ("error", "failed: oh"), ("panic", "failed: panicked: ah")]
    {
        let test = MemoryLoop::new().unwrap();
        let (witness, log) = witness();
        let peer = test.connected(witness);
        peer.send(send);
        assert!(log.borrow()[2].starts_with(reason), "{:?}", log.borrow());
        assert_eq!(peer.sees_reset(), send == "abort");
        test.assert_clean();
    }
    for (act, reason) in [
        (StringTransport::send_end as fn(&StringTransport), "done"),
        (StringTransport::reset as fn(&StringTransport), "lost"),
    ] {
        let test = MemoryLoop::new().unwrap();
        let (witness, log) = witness();
        let peer = test.connected(witness);
        act(&peer);
        assert_eq!(*log.borrow(), ["made", reason]);
        test.assert_clean();
    }
}

#[test]
fn each_direction_can_be_closed_by_itself() {
    let test = MemoryLoop::new().unwrap();
    let (witness, log) = witness();
    let peer = test.connected(Witness { half_close: true, echo: true, ..witness });
    peer.send("half");
    assert!(peer.sees_end() && !peer.is_disconnected());
    peer.send_end();
    assert_eq!(*log.borrow(), ["made", "half", "write end", "end", "done"]);
    test.assert_clean();
}

#[test]
fn a_peer_that_takes_no_more_fills_the_transports_buffer_and_pauses_its_producer() {
    let test = MemoryLoop::new().unwrap();
    let (witness, log) = witness();
    let peer = test.connected(witness);
    let transport = peer.transport();
    peer.set_room(Some(1000));
    transport.register_own_producer(Streaming::Push).unwrap();
    transport.write(&[b'x'; 70_000]).unwrap();
    test.settle();
    assert_eq!((peer.value().len(), transport.buffered()), (1000, 69_000));
    assert_eq!(*log.borrow(), ["made", "pause"]);
    peer.clear();
    assert_eq!((peer.value().len(), transport.buffered()), (1000, 68_000));
    peer.set_room(None);
    assert_eq!((peer.value().len(), transport.buffered()), (69_000, 0));
    assert_eq!(*log.borrow(), ["made", "pause", "resume"]);
}

#[test]
fn a_connection_closes_only_after_all_is_sent() {
    let test = MemoryLoop::new().unwrap();
    let peer = test.connected(echo());
    peer.set_room(Some(4));
    peer.send("123456");
    peer.transport().lose_connection();
    test.settle();
    assert!(peer.is_disconnecting() && !peer.is_disconnected());
    assert_eq!(peer.value(), b"1234");
    peer.clear();
    assert_eq!(peer.value(), b"56");
    assert!(peer.is_disconnected());
}

#[test]
fn two_protocols_talk_to_each_other_however_the_bytes_are_cut() {
    for seed in 0..30 {
        let test = MemoryLoop::cutting(seed).unwrap();
        let (asks, log) = witness();
        let question: Vec<u8> = (0..5000).map(|i| (i % 251) as u8).collect();
        let received = Rc::new(RefCell::new(Vec::new()));

        struct Collects(Witness, Rc<RefCell<Vec<u8>>>);

        impl Protocol for Collects {
            fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
                self.0.connection_made(event_loop, transport)
            }

            fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
                assert!(data.len() <= 7);
                self.1.borrow_mut().extend_from_slice(data);
                if self.1.borrow().len() == 5000 {
                    transport.lose_connection();
                }
                Ok(())
            }

            fn connection_lost(&mut self, event_loop: &EventLoop, reason: Failure) {
                self.0.connection_lost(event_loop, reason);
            }
        }

        let asks = Collects(Witness { greeting: question.clone(), ..asks }, received.clone());
        let (one, other) = test.pair(asks, echo());
        assert!(one.is_disconnected() && other.is_disconnected());
        assert_eq!(*received.borrow(), question);
        assert_eq!(*log.borrow(), ["made", "done"]);
        test.assert_clean();
    }
}

#[test]
fn the_same_seed_cuts_alike_and_another_one_differently() {
    let pieces = |seed| {
        let test = MemoryLoop::cutting(seed).unwrap();
        let (witness, log) = witness();
        test.connected(witness).send("a text that is long enough to be cut in many ways");
        let pieces = log.take();
        assert_eq!(pieces[1..].concat(), "a text that is long enough to be cut in many ways");
        pieces
    };
    assert_eq!(pieces(1), pieces(1));
    assert_ne!(pieces(1), pieces(2));
}

#[test]
fn a_client_finds_a_server_in_memory_or_is_refused() {
    let test = MemoryLoop::new().unwrap();
    let network = test.network();
    let port = network.listen("echo", |_, peer| (peer.to_string() == "(memory)").then(echo));
    let refuses = network.listen("refuses", |_, _| None::<Witness>);
    let (client, log) = witness();
    let connecting = network.connect(&test, "echo", Witness { greeting: b"hello".into(), ..client });
    assert_no_result(&connecting); // never inside connect
    test.settle();
    success_of(connecting).lose_connection();
    test.settle();
    assert_eq!(*log.borrow(), ["made", "hello", "done"]);

    let (client, log) = witness();
    let refused = network.connect(&test, "nobody", client);
    test.settle();
    let failure = failure_of(refused);
    assert_eq!(failure.check::<ConnectError>().unwrap().io_error().kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(*log.borrow(), [""; 0]);

    let (client, log) = witness();
    let closed = network.connect(&test, "refuses", client);
    test.settle();
    success_of(closed);
    assert_eq!(*log.borrow(), ["made", "done"]);
    port.stop_listening();
    refuses.stop_listening();
    test.assert_clean();
}

#[test]
fn an_attempt_to_connect_can_be_cancelled() {
    let test = MemoryLoop::new().unwrap();
    let port = test.network().listen("echo", |_, _| Some(echo()));
    let (client, log) = witness();
    let connecting = test.network().connect(&test, "echo", client);
    connecting.cancel();
    test.settle();
    assert!(failure_of(connecting).check::<ropewalk::CancelledError>().is_some());
    assert_eq!(*log.borrow(), [""; 0]);
    port.stop_listening();
    test.assert_clean();
}

#[test]
fn the_end_of_a_run_loses_connections_in_memory_too() {
    let test = MemoryLoop::new().unwrap();
    let (witness, log) = witness();
    let peer = test.connected(witness);
    test.call_soon(|event_loop| event_loop.stop());
    test.run().unwrap();
    assert_eq!(*log.borrow(), ["made", "lost"]);
    assert!(peer.is_disconnected());
    test.assert_clean();
}

#[test]
fn a_loop_that_is_dropped_drops_its_connections() {
    struct Drops(Log);

    impl Protocol for Drops {}

    impl Drop for Drops {
        fn drop(&mut self) {
            self.0.borrow_mut().push("dropped".into());
        }
    }

    let log = Log::default();
    let test = MemoryLoop::new().unwrap();
    let peer = test.connected(Drops(log.clone()));
    drop(test);
    assert_eq!(*log.borrow(), ["dropped"]);
    assert!(peer.is_disconnected());
    peer.send("nobody is there");
}

/// The message of a panic.
fn complaint(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("it has to complain");
    payload.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn what_a_test_left_is_told_with_the_line_that_made_it() {
    let test = MemoryLoop::new().unwrap();
    test.assert_clean();
    let peer = test.connected(echo());
    test.call_later(Duration::from_secs(60), |_| {}).named("reminder");
    let port = test.network().listen("server", |_, _| Some(echo()));
    drop(Deferred::<()>::fail(Failure::msg("nobody wants me")));
    let told = complaint(|| test.assert_clean());
    let line = |start: &str| {
        let line = told.lines().find(|line| line.trim_start().starts_with(start));
        line.unwrap_or_else(|| panic!("no {start} in {told}")).to_owned()
    };
    assert!(told.starts_with("the test left 4 things behind:"), "{told}");
    assert!(line("timer (due at 60s) \"reminder\"").contains("tests/memory.rs:"));
    assert!(line("connection in memory").contains("tests/memory.rs:"));
    assert!(line("listener to \"server\"").contains("tests/memory.rs:"));
    assert!(told.contains("nobody wants me"));
    peer.send_end();
    port.stop_listening();
    test.advance(Duration::from_secs(60));
    test.assert_clean();
}

#[test]
fn a_socket_that_a_test_left_is_told_too() {
    let event_loop = EventLoop::new().unwrap();
    assert_clean(&event_loop);
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let id = event_loop.register(ours, Interest::READ, |_, _, _| {}).unwrap();
    let told = complaint(|| assert_clean(&event_loop));
    assert!(told.contains("source (") && told.contains("tests/memory.rs:"), "{told}");
    drop(event_loop.remove(id));
    assert_clean(&event_loop);
}

#[test]
fn errors_that_nobody_flushed_fail_the_test_when_the_loop_is_dropped() {
    let told = complaint(|| {
        let _test = MemoryLoop::new().unwrap();
        drop(Deferred::<()>::fail(Failure::msg("nobody wants me")));
    });
    assert!(told.contains("nobody wants me"), "{told}");
}

#[test]
fn inside_a_callback_a_peer_only_queues() {
    let test = MemoryLoop::new().unwrap();
    let (witness, log) = witness();
    let peer = test.connected(witness);
    let seen = log.clone();
    test.call_soon(move |_| {
        peer.send("later");
        assert_eq!(*seen.borrow(), ["made"]);
    });
    test.settle();
    assert_eq!(*log.borrow(), ["made", "later"]);
}

#[test]
fn all_traffic_is_told_also_what_others_write_and_what_came_last() {
    let test = MemoryLoop::new().unwrap();
    let seen = Log::default();
    let log = seen.clone();
    let traffic = TrafficLogging::new(echo(), move |traffic| log.borrow_mut().push(traffic.to_string()));
    let peer = test.connected(traffic);
    peer.send("one");
    peer.transport().write(b"from elsewhere").unwrap();
    test.settle();
    let transport = peer.transport();
    test.call_soon(move |_| {
        transport.write(b"last\0").unwrap();
        transport.lose_connection();
    });
    test.settle();
    assert_eq!(
        *seen.borrow(),
        [
            "connected to (memory)",
            "received 3 bytes: \"one\"",
            "wrote 3 bytes: \"one\"",
            "wrote 14 bytes: \"from elsewhere\"",
            "wrote 5 bytes: \"last\\x00\"",
            "connection lost: the connection was closed in order",
        ]
    );
}

#[test]
fn a_silent_peer_that_takes_nothing_either_is_broken_off_after_a_second_wait() {
    let test = MemoryLoop::new().unwrap();
    let (witness, log) = witness();
    let peer = test.connected(TimeoutProtocol::new(witness, Duration::from_secs(10)));
    peer.set_room(Some(0));
    peer.transport().write(b"are you there?").unwrap();
    test.advance(Duration::from_secs(19));
    assert!(peer.is_disconnecting() && !peer.is_disconnected());
    test.advance(Duration::from_secs(1));
    assert_eq!(*log.borrow(), ["made", "aborted"]);
    test.assert_clean();
}
