//! A protocol that panics, in each of its methods: its own connection is lost with that failure, which is reported
//! exactly once, and the others go on. In a process of its own, since the logger is the process's.

#[path = "support/peer.rs"]
mod peer;

use std::cell::Cell;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use peer::{Acting, Diary, accepted, connect, much, read_to_end, reset, turn_until};
use ropewalk::protocols::{LineProtocol, LineReceiver, LineTransport, TimeoutProtocol};
use ropewalk::testing::assert_clean;
use ropewalk::{EventLoop, Failure, Producer, Protocol, Streaming, Transport};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        if record.level() == log::Level::Error {
            LINES.lock().unwrap().push(record.args().to_string());
        }
    }
    fn flush(&self) {}
}

/// Panics in the method of this name, and leaves its loss to the trait's own `connection_lost`.
struct Bad(&'static str);

impl Bad {
    fn at(&self, method: &str) -> Result<(), Failure> {
        assert_ne!(self.0, method, "as expected");
        Ok(())
    }
}

impl Protocol for Bad {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        match self.0 {
            "producer pause" => transport.register_producer(event_loop, BadProducer(self.0), Streaming::Push)?,
            "producer resume" => transport.register_producer(event_loop, BadProducer(self.0), Streaming::Pull)?,
            "producer stop" => transport.register_producer(event_loop, BadProducer(self.0), Streaming::Push)?,
            "pause_producing" => transport.register_own_producer(Streaming::Push)?,
            "resume_producing" => transport.register_own_producer(Streaming::Pull)?,
            "write_connection_lost" => transport.lose_write_connection(),
            "woken" => transport.wake_protocol(),
            _ => {}
        }
        if self.0.ends_with("pause") || self.0 == "pause_producing" {
            transport.write(&much())?;
        }
        self.at("connection_made")
    }
    fn data_received(&mut self, _: &EventLoop, _: &Transport, _: &[u8]) -> Result<(), Failure> {
        self.at("data_received")
    }
    fn connection_lost(&mut self, event_loop: &EventLoop, reason: Failure) {
        if self.0 == "connection_lost" {
            panic!("as expected");
        }
        let _ = event_loop;
        // What the trait does by itself.
        Default.connection_lost(event_loop, reason);
    }
    fn half_close(&self) -> bool {
        if self.0 == "half_close" {
            panic!("as expected");
        }
        true
    }
    fn read_connection_lost(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        transport.lose_connection();
        self.at("read_connection_lost")
    }
    fn write_connection_lost(&mut self, _: &EventLoop, _: &Transport) -> Result<(), Failure> {
        self.at("write_connection_lost")
    }
    fn pause_producing(&mut self, _: &EventLoop, _: &Transport) -> Result<(), Failure> {
        self.at("pause_producing")
    }
    fn resume_producing(&mut self, _: &EventLoop, _: &Transport) -> Result<(), Failure> {
        self.at("resume_producing")
    }
    fn woken(&mut self, _: &EventLoop, _: &Transport) -> Result<(), Failure> {
        self.at("woken")
    }
}

impl Drop for Bad {
    fn drop(&mut self) {
        if self.0 == "drop" {
            panic!("as expected");
        }
    }
}

/// Nothing but what the trait does.
struct Default;

impl Protocol for Default {}

struct BadProducer(&'static str);

impl Producer for BadProducer {
    fn pause_producing(&mut self, _: &EventLoop) -> Result<(), Failure> {
        assert_ne!(self.0, "producer pause", "as expected");
        Ok(())
    }
    fn resume_producing(&mut self, _: &EventLoop) -> Result<(), Failure> {
        assert_ne!(self.0, "producer resume", "as expected");
        Ok(())
    }
    fn stop_producing(&mut self, _: &EventLoop) {
        assert_ne!(self.0, "producer stop", "as expected");
    }
}

/// The same for a protocol of lines.
struct BadLines(&'static str);

impl BadLines {
    fn at(&self, method: &str) -> Result<(), Failure> {
        assert_ne!(self.0, method, "as expected");
        Ok(())
    }
}

impl LineProtocol for BadLines {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &LineTransport) -> Result<(), Failure> {
        if self.0 == "timeout_connection" {
            transport.set_timeout(event_loop, Some(Duration::ZERO));
        }
        if self.0 == "raw_data_received" {
            transport.set_raw_mode();
        }
        self.at("made a connection of lines")
    }
    fn line_received(&mut self, _: &EventLoop, _: &LineTransport, _: &[u8]) -> Result<(), Failure> {
        self.at("line_received")
    }
    fn raw_data_received(&mut self, _: &EventLoop, _: &LineTransport, _: &[u8]) -> Result<(), Failure> {
        self.at("raw_data_received")
    }
    fn line_length_exceeded(&mut self, _: &EventLoop, _: &LineTransport, _: &[u8]) -> Result<(), Failure> {
        self.at("line_length_exceeded")
    }
    fn timeout_connection(&mut self, _: &EventLoop, _: &LineTransport) -> Result<(), Failure> {
        self.at("timeout_connection")
    }
}

#[test]
fn a_panic_in_each_method_costs_its_own_connection_and_is_reported_once() {
    log::set_logger(&Lines).unwrap();
    log::set_max_level(log::LevelFilter::Error);
    std::panic::set_hook(Box::new(|info| {
        // The library's report is what this is about.
        let text = info.to_string();
        let expected = ["\nas expected", "failed: as expected", "\nthis very text"];
        if text.contains("[") || !expected.iter().any(|expected| text.contains(expected)) {
            eprintln!("{info}");
        }
    }));
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut bystander = accepted(&event_loop, Acting::new(&diary, |_, _, _| Ok(())));
    let mut check = |method: &str, mut peer: TcpStream| {
        match method {
            "line_length_exceeded" => drop(peer.write(&[b'x'; 20_000])),
            "read_connection_lost" | "half_close" | "connection_lost" | "drop" | "producer stop" => {
                peer.shutdown(Shutdown::Write).unwrap();
            }
            _ => drop(peer.write(b"a line\r\n")),
        }
        if method == "producer stop" {
            reset(peer);
        } else {
            read_to_end(&event_loop, &mut peer);
        }
        // Its end is not seen before it is told to everybody concerned.
        turn_until(&event_loop, || event_loop.still_registered().len() == 1);
        let reports = std::mem::take(&mut *LINES.lock().unwrap());
        assert_eq!(reports.len(), 1, "{method}: {reports:?}");
        assert!(
            reports.iter().all(|line| line.contains("as expected") || line.contains("panicked")),
            "{reports:?}"
        );
        let before = diary.received.get();
        bystander.write_all(b"still here").unwrap();
        turn_until(&event_loop, || diary.received.get() == before + 10);
    };
    for method in [
        "connection_made",
        "data_received",
        "connection_lost",
        "half_close",
        "read_connection_lost",
        "write_connection_lost",
        "pause_producing",
        "resume_producing",
        "woken",
        "drop",
        "producer pause",
        "producer resume",
        "producer stop",
    ] {
        check(method, accepted(&event_loop, Bad(method)));
    }
    for method in [
        "made a connection of lines",
        "line_received",
        "raw_data_received",
        "line_length_exceeded",
        "timeout_connection",
    ] {
        check(method, accepted(&event_loop, LineReceiver::new(BadLines(method))));
    }
    diary.transport().abort();
    turn_until(&event_loop, || diary.is_lost());
    assert_clean(&event_loop);

    // A factory: its connection is refused, and the next is served.
    let (calls, served) = (Rc::new(Cell::new(0)), Diary::new());
    let (count, noted) = (calls.clone(), served.clone());
    let port = event_loop
        .listen_tcp("127.0.0.1:0", move |_, _| {
            count.set(count.get() + 1);
            assert_ne!(count.get(), 1, "as expected");
            Some(Acting::new(&noted, |_, _, _| Ok(())))
        })
        .unwrap();
    let address = port.address().as_tcp().unwrap();
    let mut refused = connect(address);
    assert!(read_to_end(&event_loop, &mut refused).0.is_empty());
    let mut second = connect(address);
    second.write_all(b"hello").unwrap();
    turn_until(&event_loop, || served.received.get() == 5);
    let reports = std::mem::take(&mut *LINES.lock().unwrap());
    assert!(reports.len() == 1 && reports[0].starts_with("a factory panicked"), "{reports:?}");
}

#[test]
fn the_reason_told_is_the_panic() {
    for boxed in [false, true] {
        let event_loop = EventLoop::new().unwrap();
        let diary = Diary::new();
        let acting = Acting::new(&diary, |_, _, told| match told {
            peer::Told::Data(_) => panic!("this very text"),
            _ => Ok(()),
        });
        let mut peer = match boxed {
            true => accepted(&event_loop, TimeoutProtocol::new(acting, Duration::from_secs(60))),
            false => accepted(&event_loop, acting),
        };
        peer.write_all(b"x").unwrap();
        turn_until(&event_loop, || diary.is_lost());
        let told = diary.take();
        assert!(told.len() == 3 && told[2].contains("this very text"), "{told:?}");
        assert_clean(&event_loop);
    }
}
