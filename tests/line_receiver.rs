//! Lines on a connection: Twisted's own cases for `LineReceiver`, and what ownership and the loop add to them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ropewalk::protocols::{LineProtocol, LineReceiver, LineTransport};
use ropewalk::testing::{MemoryLoop, ProducerState, StringTransport};
use ropewalk::{ConnectionDone, EventLoop, Failure};

type Log = Rc<RefCell<Vec<String>>>;

/// Writes down what it is told, and does what the lines say.
#[derive(Default)]
struct Scribe {
    log: Log,
    raw_left: usize,
    half_close: bool,
    transport: Rc<RefCell<Option<LineTransport>>>,
}

impl Scribe {
    fn note(&self, what: impl Into<String>) {
        self.log.borrow_mut().push(what.into());
    }
}

impl LineProtocol for Scribe {
    fn connection_made(&mut self, _: &EventLoop, transport: &LineTransport) -> Result<(), Failure> {
        self.transport.replace(Some(transport.clone()));
        Ok(())
    }

    fn line_received(
        &mut self,
        event_loop: &EventLoop,
        transport: &LineTransport,
        line: &[u8],
    ) -> Result<(), Failure> {
        let line = String::from_utf8_lossy(line);
        self.note(&*line);
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("raw", n) => {
                self.raw_left = n.parse()?;
                transport.set_raw_mode();
            }
            ("pause", "") => transport.pause_producing(),
            ("pause", "and resume") => {
                transport.pause_producing();
                transport.resume_producing();
            }
            ("close", _) => transport.lose_connection(),
            ("clear", _) => transport.clear_line_buffer(),
            ("error", what) => return Err(Failure::msg(what)),
            ("panic", what) => panic!("{what}"),
            ("wait", seconds) => {
                transport.set_timeout(event_loop, Some(Duration::from_secs(seconds.parse()?)));
            }
            ("say", what) => transport.send_line(what)?,
            ("reset", _) => transport.reset_timeout(),
            _ => {}
        }
        Ok(())
    }

    fn raw_data_received(&mut self, _: &EventLoop, transport: &LineTransport, data: &[u8]) -> Result<(), Failure> {
        let used = self.raw_left.min(data.len());
        self.raw_left -= used;
        self.note(format!("raw:{}", String::from_utf8_lossy(&data[..used])));
        if self.raw_left == 0 {
            transport.set_line_mode(data.len() - used);
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
        self.note(format!("lost:{reason}"));
    }

    fn half_close(&self) -> bool {
        self.half_close
    }

    fn read_connection_lost(&mut self, _: &EventLoop, transport: &LineTransport) -> Result<(), Failure> {
        self.note("end");
        transport.send_line("bye")?;
        transport.lose_connection();
        Ok(())
    }
}

struct Bench {
    test: MemoryLoop,
    peer: StringTransport,
    log: Log,
    transport: LineTransport,
}

fn bench(change: impl FnOnce(LineReceiver<Scribe>) -> LineReceiver<Scribe>) -> Bench {
    bench_with(Scribe::default(), change)
}

fn bench_with(scribe: Scribe, change: impl FnOnce(LineReceiver<Scribe>) -> LineReceiver<Scribe>) -> Bench {
    let test = MemoryLoop::new().unwrap();
    let (log, transport) = (scribe.log.clone(), scribe.transport.clone());
    let peer = test.connected(change(LineReceiver::new(scribe)));
    let transport = transport.take().unwrap();
    Bench { test, peer, log, transport }
}

impl Bench {
    #[track_caller]
    fn sees(&self, expected: &[&str]) {
        assert_eq!(*self.log.borrow(), expected);
    }
}

const DONE: &str = "lost:the connection was closed in order";

#[test]
fn lines_come_without_their_delimiter_and_a_part_of_one_waits() {
    let bench = bench(|receiver| receiver);
    bench.peer.send("one\r\ntwo\r\n\r\nthr");
    bench.sees(&["one", "two", ""]);
    bench.peer.send("ee\r");
    bench.peer.send("\n");
    bench.sees(&["one", "two", "", "three"]);
}

#[test]
fn the_delimiter_is_added_to_what_is_sent() {
    let bench = bench(|receiver| receiver.delimiter("END"));
    bench.peer.send("say helloENDsay againEND");
    assert_eq!(bench.peer.text(), "helloENDagainEND");
}

#[test]
fn the_mode_changes_in_the_middle_of_a_piece() {
    let bench = bench(|receiver| receiver.delimiter("\n"));
    bench.peer.send("raw 4\nab\nc2\nraw 3\nx");
    bench.sees(&["raw 4", "raw:ab\nc", "2", "raw 3", "raw:x"]);
    bench.peer.send("yz3\n");
    bench.sees(&["raw 4", "raw:ab\nc", "2", "raw 3", "raw:x", "raw:yz", "3"]);
}

#[test]
fn many_changes_of_mode_in_one_piece_are_no_recursion() {
    let bench = bench(|receiver| receiver.delimiter("\n"));
    bench.peer.send("raw 1\nx".repeat(9000));
    assert_eq!(bench.log.borrow().len(), 18000);
}

#[test]
fn a_pause_in_the_middle_of_a_piece_holds_the_rest_back_and_a_resume_delivers_it_later() {
    let bench = bench(|receiver| receiver);
    bench.peer.send("1\r\npause\r\n2\r\n3\r\npause\r\n4");
    bench.sees(&["1", "pause"]);
    assert_eq!(bench.peer.producer_state(), ProducerState::Paused);
    bench.peer.send("\r\n5\r\n");
    bench.sees(&["1", "pause"]);
    bench.transport.resume_producing();
    bench.sees(&["1", "pause"]); // never inside resume_producing
    bench.test.settle();
    bench.sees(&["1", "pause", "2", "3", "pause"]);
    bench.transport.resume_producing();
    bench.test.settle();
    bench.sees(&["1", "pause", "2", "3", "pause", "4", "5"]);
}

#[test]
fn a_resume_right_after_the_pause_goes_on_at_once() {
    let bench = bench(|receiver| receiver);
    bench.peer.send("pause and resume\r\n1\r\n");
    bench.sees(&["pause and resume", "1"]);
}

#[test]
fn what_was_held_back_comes_before_the_end_of_the_connection() {
    let bench = bench(|receiver| receiver);
    bench.peer.send("pause\r\n1\r\n2\r\n");
    bench.peer.send_end();
    bench.sees(&["pause"]);
    bench.transport.resume_producing();
    bench.test.settle();
    bench.sees(&["pause", "1", "2", DONE]);
    // The same where the resume comes in the turn in which the end is seen.
    let bench = self::bench(|receiver| receiver);
    bench.peer.send("pause\r\n1\r\n");
    bench.peer.send_end();
    let transport = bench.transport.clone();
    bench.test.call_soon(move |_| transport.resume_producing());
    bench.test.settle();
    bench.sees(&["pause", "1", DONE]);
}

#[test]
fn a_transport_that_pauses_as_another_ones_producer_holds_lines_back_too() {
    let bench = bench(|receiver| receiver);
    let plain = bench.transport.transport().clone();
    plain.pause_producing();
    bench.peer.send("1\r\n2\r\n");
    bench.sees(&[]);
    plain.resume_producing();
    bench.test.settle();
    bench.sees(&["1", "2"]);
}

#[test]
fn no_line_is_delivered_after_lose_connection() {
    let bench = bench(|receiver| receiver);
    bench.peer.send("1\r\nclose\r\n2\r\n");
    bench.sees(&["1", "close", DONE]);
}

#[test]
fn a_line_that_is_too_long_closes_the_connection() {
    let bench = bench(|receiver| receiver.max_length(7));
    bench.peer.send("1234567\r\n12345678\r\nnever\r\n");
    bench.sees(&["1234567", DONE]);
    let bench = self::bench(|receiver| receiver.max_length(7));
    bench.peer.send("123456789");
    bench.sees(&[DONE]);
}

#[test]
fn a_protocol_that_stays_after_a_long_line_gets_the_lines_behind_it() {
    struct Patient(Log);

    impl LineProtocol for Patient {
        fn line_received(&mut self, _: &EventLoop, _: &LineTransport, line: &[u8]) -> Result<(), Failure> {
            self.0.borrow_mut().push(String::from_utf8_lossy(line).into());
            Ok(())
        }

        fn line_length_exceeded(&mut self, _: &EventLoop, _: &LineTransport, start: &[u8]) -> Result<(), Failure> {
            self.0.borrow_mut().push(format!("long:{}", String::from_utf8_lossy(start)));
            Ok(())
        }
    }

    let test = MemoryLoop::cutting(1).unwrap();
    let log = Log::default();
    let peer = test.connected(LineReceiver::new(Patient(log.clone())).max_length(4));
    peer.send("ok\r\nmuch too long\r\nfine\r\n");
    assert_eq!(*log.borrow(), ["ok", "long:much", "fine"]);
}

#[test]
fn the_buffer_can_be_cleared() {
    let bench = bench(|receiver| receiver);
    bench.peer.send("clear\r\nthis goes\r\nand th");
    bench.peer.send("2\r\n");
    bench.sees(&["clear", "2"]);
}

#[test]
fn an_error_or_a_panic_loses_the_connection_with_it() {
    for (line, reason) in [("error oh", "lost:oh"), ("panic ah", "lost:panicked: ah")] {
        let bench = bench(|receiver| receiver);
        bench.peer.send(format!("{line}\r\nnever\r\n"));
        let log = bench.log.borrow();
        assert_eq!(log.len(), 2);
        assert!(log[1].starts_with(reason), "{log:?}");
    }
}

#[test]
fn raw_data_that_the_protocol_does_not_expect_is_an_error() {
    struct OnlyLines(Log);

    impl LineProtocol for OnlyLines {
        fn line_received(&mut self, _: &EventLoop, transport: &LineTransport, _: &[u8]) -> Result<(), Failure> {
            transport.set_raw_mode();
            Ok(())
        }

        fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
            self.0.borrow_mut().push(reason.to_string());
        }
    }

    let test = MemoryLoop::new().unwrap();
    let log = Log::default();
    let peer = test.connected(LineReceiver::new(OnlyLines(log.clone())));
    peer.send("x\r\nraw");
    assert_eq!(*log.borrow(), ["raw data came, and the protocol has no raw_data_received"]);
}

#[test]
fn with_half_close_the_peer_still_gets_an_answer_after_its_end() {
    let bench = bench_with(Scribe { half_close: true, ..Scribe::default() }, |receiver| receiver);
    bench.peer.send("say hello\r\n");
    bench.peer.send_end();
    bench.sees(&["say hello", "end", DONE]);
    assert_eq!(bench.peer.text(), "hello\r\nbye\r\n");
}

#[test]
fn held_back_lines_are_delivered_after_the_peers_end_too() {
    let bench = bench_with(Scribe { half_close: true, ..Scribe::default() }, |receiver| receiver);
    bench.peer.send("pause\r\nsay hello\r\n");
    bench.peer.send_end();
    bench.transport.resume_producing();
    bench.test.settle();
    bench.sees(&["pause", "say hello", "end", DONE]);
    assert_eq!(bench.peer.text(), "hello\r\nbye\r\n");
}

#[test]
fn a_silent_peer_times_out_and_a_reset_begins_the_time_anew() {
    let bench = bench(|receiver| receiver);
    bench.peer.send("wait 10\r\n");
    bench.test.advance(Duration::from_secs(9));
    bench.peer.send("reset\r\n");
    bench.test.advance(Duration::from_secs(9));
    bench.sees(&["wait 10", "reset"]);
    bench.test.advance(Duration::from_secs(1));
    bench.sees(&["wait 10", "reset", DONE]);
    bench.test.assert_clean();
}

#[test]
fn a_timeout_answers_what_was_set_before_and_can_be_called_off() {
    let bench = bench(|receiver| receiver);
    let ten = Some(Duration::from_secs(10));
    assert_eq!(bench.transport.set_timeout(&bench.test, ten), None);
    assert_eq!(bench.transport.set_timeout(&bench.test, None), ten);
    bench.test.advance(Duration::from_secs(100));
    bench.sees(&[]);
    bench.transport.set_timeout(&bench.test, ten);
    bench.peer.send_end();
    bench.test.assert_clean();
}

#[test]
fn a_reset_allocates_nothing_and_leaves_one_timer() {
    let bench = bench(|receiver| receiver);
    bench.peer.send("wait 10\r\n");
    for _ in 0..1000 {
        bench.transport.reset_timeout();
    }
    assert_eq!(bench.test.still_registered().len(), 1);
}

#[test]
fn a_timeout_is_the_protocols_own_matter() {
    struct Asks(Rc<Cell<u32>>);

    impl LineProtocol for Asks {
        fn connection_made(&mut self, event_loop: &EventLoop, transport: &LineTransport) -> Result<(), Failure> {
            transport.set_timeout(event_loop, Some(Duration::from_secs(1)));
            Ok(())
        }

        fn line_received(&mut self, _: &EventLoop, _: &LineTransport, _: &[u8]) -> Result<(), Failure> {
            Ok(())
        }

        fn timeout_connection(&mut self, event_loop: &EventLoop, transport: &LineTransport) -> Result<(), Failure> {
            self.0.set(self.0.get() + 1);
            if self.0.get() == 3 {
                return Err(Failure::msg("nobody there"));
            }
            transport.send_line("are you there?")?;
            transport.set_timeout(event_loop, Some(Duration::from_secs(1)));
            Ok(())
        }

        fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
            assert!(reason.check::<ConnectionDone>().is_none(), "{reason}");
        }
    }

    let test = MemoryLoop::new().unwrap();
    let asked = Rc::new(Cell::new(0));
    let peer = test.connected(LineReceiver::new(Asks(asked.clone())));
    test.advance(Duration::from_secs(10));
    assert_eq!(asked.get(), 3);
    assert_eq!(peer.text(), "are you there?\r\nare you there?\r\n");
    test.assert_clean();
}

#[test]
fn lines_survive_every_way_of_cutting() {
    for seed in 0..50 {
        let test = MemoryLoop::cutting(seed).unwrap();
        let scribe = Scribe::default();
        let log = scribe.log.clone();
        let peer = test.connected(LineReceiver::new(scribe));
        peer.send("one\r\nraw 8\r\n\r\n456\r\n9two\r\nsay three\r\nclose\r\nnever\r\n");
        let lines = |start: &str| log.borrow().iter().filter(|what| what.starts_with(start)).cloned().collect();
        let raw: Vec<String> = lines("raw:");
        assert_eq!(raw.concat().replace("raw:", ""), "\r\n456\r\n9", "seed {seed}");
        log.borrow_mut().retain(|what| !what.starts_with("raw:"));
        assert_eq!(*log.borrow(), ["one", "raw 8", "two", "say three", "close", DONE], "seed {seed}");
        assert_eq!(peer.text(), "three\r\n");
    }
}
