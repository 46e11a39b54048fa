//! TLS under protocols that need not know: over memory and over sockets, both sides, good and bad peers.
#![cfg(feature = "tls")]

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ropewalk::http::Server;
use ropewalk::testing::{MemoryLoop, failure_of, success_of};
use ropewalk::tls::{TlsClient, TlsError, TlsServer};
use ropewalk::{ConnectionDone, EventLoop, Failure, ListenTcp, Protocol, Transport};

const ROOT: &[u8] = include_bytes!("data/tls/root.pem");

fn server(name: &str) -> TlsServer {
    let path = |ending: &str| format!("{}/tests/data/tls/{name}.{ending}", env!("CARGO_MANIFEST_DIR"));
    TlsServer::from_pem(&std::fs::read(path("pem")).unwrap(), &std::fs::read(path("key")).unwrap()).unwrap()
}

fn client() -> TlsClient {
    TlsClient::with_roots_pem(ROOT).unwrap()
}

/// Says what comes again, and closes when its peer does.
struct Echo;

impl Protocol for Echo {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        transport.register_producer(event_loop, transport.clone(), ropewalk::Streaming::Push)?;
        Ok(())
    }

    fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        Ok(transport.write(data)?)
    }

    fn half_close(&self) -> bool {
        true
    }
}

/// What one end was told.
#[derive(Clone, Default)]
struct Told {
    data: Rc<RefCell<Vec<u8>>>,
    transport: Rc<RefCell<Option<Transport>>>,
    lost: Rc<RefCell<Option<Failure>>>,
    made: Rc<Cell<bool>>,
}

impl Protocol for Told {
    fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        assert!(!self.made.replace(true));
        self.transport.replace(Some(transport.clone()));
        Ok(())
    }

    fn data_received(&mut self, _: &EventLoop, _: &Transport, data: &[u8]) -> Result<(), Failure> {
        assert!(self.made.get() && self.lost.borrow().is_none());
        self.data.borrow_mut().extend_from_slice(data);
        Ok(())
    }

    fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
        assert!(self.lost.replace(Some(reason)).is_none(), "lost twice");
    }
}

impl Told {
    fn transport(&self) -> Transport {
        self.transport.borrow().clone().expect("the connection was made")
    }
}

#[test]
fn a_protocol_runs_unchanged_on_tls_however_the_network_cuts() {
    for seed in 0..10 {
        let test = MemoryLoop::cutting(seed).unwrap();
        let told = Told::default();
        let (tls, shaken) = client().protocol("localhost", told.clone()).unwrap();
        test.pair(server("localhost").protocol(Echo), tls);
        success_of(shaken);
        told.transport().write(b"If I were").unwrap();
        test.settle();
        assert_eq!(*told.data.borrow(), b"If I were");
        told.transport().lose_connection();
        test.settle();
        assert!(told.lost.borrow().as_ref().unwrap().check::<ConnectionDone>().is_some());
        test.assert_clean();
    }
}

#[test]
fn much_data_waits_for_whoever_reads_it() {
    let test = MemoryLoop::new().unwrap();
    let told = Told::default();
    let (tls, shaken) = client().protocol("localhost", told.clone()).unwrap();
    let (near, _) = test.pair(server("localhost").protocol(Echo), tls);
    success_of(shaken);
    let much: Vec<u8> = (0..5_000_000u32).map(|i| (i % 251) as u8).collect();
    told.transport().pause_producing();
    told.transport().write(&much).unwrap();
    test.settle();
    assert!(told.data.borrow().is_empty());
    // The network is memory, and takes all. The echo is not read, so it does not read either.
    assert_eq!(told.transport().buffered(), 0);
    assert!(near.buffered() < 1_000_000);
    told.transport().resume_producing();
    test.settle();
    assert!(*told.data.borrow() == much);
    told.transport().lose_write_connection();
    test.settle();
    assert!(told.lost.borrow().as_ref().unwrap().check::<ConnectionDone>().is_some());
    test.assert_clean();
}

#[test]
fn a_certificate_that_is_not_to_be_trusted_is_no_connection() {
    let table = [
        ("expired", "localhost", "certificate expired"),
        ("other", "localhost", "not valid for name"),
        ("localhost", "other.example", "not valid for name"),
    ];
    for (certificate, name, why) in table {
        let test = MemoryLoop::new().unwrap();
        let told = Told::default();
        let (tls, shaken) = client().protocol(name, told.clone()).unwrap();
        test.pair(server(certificate).protocol(Echo), tls);
        let failure = failure_of(shaken);
        assert!(matches!(TlsError::of(&failure), Some(TlsError::Handshake(_))), "{failure}");
        assert!(failure.to_string().contains(why), "{failure}");
        assert!(!told.made.get());
        test.assert_clean();
    }
    let test = MemoryLoop::new().unwrap();
    let strange = TlsClient::with_roots_pem(include_bytes!("data/tls/other.pem"));
    let (tls, shaken) = strange.unwrap().protocol("localhost", Told::default()).unwrap();
    test.pair(server("localhost").protocol(Echo), tls);
    assert!(failure_of(shaken).to_string().contains("UnknownIssuer"));
    test.assert_clean();
}

#[test]
fn a_peer_that_speaks_no_tls_or_nothing_at_all_is_no_connection() {
    let test = MemoryLoop::new().unwrap();
    let told = Told::default();
    let peer = test.connected(server("localhost").handshake_timeout(Duration::from_secs(5)).protocol(told.clone()));
    peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(peer.is_disconnected() && !peer.value().is_empty(), "it is told by an alert");
    let silent =
        test.connected(server("localhost").handshake_timeout(Duration::from_secs(5)).protocol(told.clone()));
    test.advance(Duration::from_secs(5));
    assert!(silent.is_disconnected());
    let (tls, shaken) = client().protocol("localhost", told.clone()).unwrap();
    let plain = test.connected(tls);
    plain.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    assert!(matches!(TlsError::of(&failure_of(shaken)), Some(TlsError::Handshake(_))));
    let (tls, shaken) = client().protocol("localhost", told.clone()).unwrap();
    let closing = test.connected(tls);
    closing.send_end();
    assert!(matches!(TlsError::of(&failure_of(shaken)), Some(TlsError::HandshakeClosed)));
    let (tls, shaken) = client().protocol("localhost", told.clone()).unwrap();
    test.connected(tls).reset();
    assert!(TlsError::of(&failure_of(shaken)).is_none(), "that was the network");
    assert!(!told.made.get());
    assert!(client().protocol("no name", Told::default()).is_err());
    test.assert_clean();
}

#[test]
fn an_end_that_tls_did_not_say_is_told_as_truncation() {
    let test = MemoryLoop::new().unwrap();
    let told = Told::default();
    let (tls, shaken) = client().protocol("localhost", told.clone()).unwrap();
    let (near, _) = test.pair(server("localhost").protocol(Echo), tls);
    success_of(shaken);
    told.transport().write(b"hello").unwrap();
    test.settle();
    // The socket's end, under the server's TLS.
    near.lose_connection();
    test.settle();
    assert_eq!(*told.data.borrow(), b"hello");
    let lost = told.lost.take().unwrap();
    assert!(matches!(TlsError::of(&lost), Some(TlsError::Truncated)), "{lost:?}");
    test.flush_unhandled();
    test.assert_clean();
}

#[test]
fn breaking_off_on_one_side_is_a_reset_on_the_other() {
    let test = MemoryLoop::new().unwrap();
    let told = Told::default();
    let (tls, shaken) = client().protocol("localhost", told.clone()).unwrap();
    test.pair(server("localhost").protocol(Echo), tls);
    success_of(shaken);
    told.transport().abort();
    test.settle();
    assert!(told.lost.borrow().is_some());
    test.assert_clean();
}

#[test]
fn http_over_tls_talks_to_openssl() {
    let event_loop = EventLoop::new().unwrap();
    let site = Server::new().get("/", |_, _| "Hello, World!").start(&event_loop).unwrap();
    let port = site.listen_tls(&event_loop, ListenTcp::new("127.0.0.1:0"), &server("localhost")).unwrap();
    let address = port.address().as_tcp().unwrap();
    // Without TLS nobody answers, and nobody is hurt.
    let mut plain = TcpStream::connect(address).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let root = format!("{}/tests/data/tls/root.pem", env!("CARGO_MANIFEST_DIR"));
    for version in ["-tls1_2", "-tls1_3"] {
        let command = std::process::Command::new("openssl")
            .args([
                "s_client",
                "-quiet",
                version,
                "-CAfile",
                &root,
                "-verify_return_error",
                "-verify_hostname",
                "localhost",
            ])
            .args(["-connect", &address.to_string()])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn();
        // Not every machine has it; `.ci/http` does.
        let Ok(mut command) = command else { return };
        command.stdin.take().unwrap().write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let started = Instant::now();
        while command.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < Duration::from_secs(60), "it does not end");
            event_loop.turn(Some(Duration::from_millis(5))).unwrap();
        }
        let mut text = String::new();
        command.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nHello, World!"),
            "{version}: {text}"
        );
    }
}
