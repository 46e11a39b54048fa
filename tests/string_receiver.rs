//! Strings with their length in front, on a connection.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ropewalk::protocols::{
    FrameError, FrameParser, Framing, Int8, Int8StringReceiver, Int16StringReceiver, Int32StringReceiver,
    Netstring, NetstringReceiver, SendStringError, StringProtocol, StringReceiver, StringSender,
};
use ropewalk::testing::MemoryLoop;
use ropewalk::{EventLoop, Failure};

type Log = Rc<RefCell<Vec<String>>>;

/// Writes strings down and sends them back; `close` and `pause` are orders.
struct Echo(Log);

impl<F: Framing> StringProtocol<F> for Echo {
    fn string_received(
        &mut self,
        _: &EventLoop,
        transport: &StringSender<F>,
        string: &[u8],
    ) -> Result<(), Failure> {
        self.0.borrow_mut().push(String::from_utf8_lossy(string).into());
        match string {
            b"close" => transport.lose_connection(),
            b"pause" => transport.pause_producing(),
            _ => transport.send_string(string)?,
        }
        Ok(())
    }

    fn handle_parse_error(
        &mut self,
        _: &EventLoop,
        transport: &StringSender<F>,
        error: FrameError,
    ) -> Result<(), Failure> {
        self.0.borrow_mut().push(error.to_string());
        transport.lose_connection();
        Ok(())
    }

    fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
        self.0.borrow_mut().push(format!("lost:{reason}"));
    }
}

const DONE: &str = "lost:the connection was closed in order";

fn echoes<F: Framing>(receiver: impl Fn(Echo) -> StringReceiver<F, Echo>) {
    let sent = ["hello", "", "a longer string, with a \0 and a , in it"];
    let mut text = Vec::new();
    for string in sent {
        FrameParser::<F>::write(string.as_bytes(), &mut text).unwrap();
    }
    for seed in 0..20 {
        let test = MemoryLoop::cutting(seed).unwrap();
        let log = Log::default();
        let peer = test.connected(receiver(Echo(log.clone())));
        peer.send(&text);
        assert_eq!(*log.borrow(), sent);
        assert_eq!(peer.value(), text);
        peer.send_end();
        test.assert_clean();
    }
}

#[test]
fn every_framing_echoes_however_it_is_cut() {
    echoes::<Netstring>(NetstringReceiver::new);
    echoes(Int8StringReceiver::new);
    echoes(Int16StringReceiver::new);
    echoes(Int32StringReceiver::new);
}

#[test]
fn a_peer_that_does_not_keep_to_the_framing_is_told_once_and_left() {
    let test = MemoryLoop::new().unwrap();
    let log = Log::default();
    let peer = test.connected(NetstringReceiver::new(Echo(log.clone())));
    peer.send("2:ok,oops5:never,");
    assert_eq!(
        *log.borrow(),
        ["ok", "the peer sends no netstring: a length in digits and a colon must come first", DONE]
    );
    let log = Log::default();
    let peer = test.connected(Int32StringReceiver::new(Echo(log.clone())).max_length(3));
    peer.send(b"\0\0\0\x03yes\0\0\0\x04no");
    assert_eq!(*log.borrow(), ["yes", "the peer sends a string of 4 bytes or more, and 3 are allowed", DONE]);
}

#[test]
fn strings_behind_a_pause_wait_for_the_resume_and_none_follows_a_close() {
    let test = MemoryLoop::new().unwrap();
    let log = Log::default();
    let peer = test.connected(NetstringReceiver::new(Echo(log.clone())));
    peer.send("1:a,5:pause,1:b,5:close,1:c,");
    assert_eq!(*log.borrow(), ["a", "pause"]);
    peer.transport().resume_producing();
    test.settle();
    assert_eq!(*log.borrow(), ["a", "pause", "b", "close", DONE]);
}

#[test]
fn a_string_that_is_too_long_is_not_sent() {
    struct Long;

    impl StringProtocol<Int8> for Long {
        fn string_received(
            &mut self,
            _: &EventLoop,
            transport: &StringSender<Int8>,
            _: &[u8],
        ) -> Result<(), Failure> {
            let refused = transport.send_string([b'x'; 256]);
            assert!(matches!(refused, Err(SendStringError::TooLong(_))), "{refused:?}");
            transport.send_string([b'x'; 255])?;
            Ok(())
        }
    }

    let test = MemoryLoop::new().unwrap();
    let peer = test.connected(Int8StringReceiver::new(Long));
    peer.send(b"\0");
    assert_eq!(peer.value().len(), 256);
}

#[test]
fn a_silent_peer_times_out() {
    struct Waits;

    impl StringProtocol<Netstring> for Waits {
        fn connection_made(
            &mut self,
            event_loop: &EventLoop,
            transport: &StringSender<Netstring>,
        ) -> Result<(), Failure> {
            transport.set_timeout(event_loop, Some(Duration::from_secs(5)));
            Ok(())
        }

        fn string_received(
            &mut self,
            _: &EventLoop,
            transport: &StringSender<Netstring>,
            _: &[u8],
        ) -> Result<(), Failure> {
            transport.reset_timeout();
            Ok(())
        }
    }

    let test = MemoryLoop::new().unwrap();
    let peer = test.connected(NetstringReceiver::new(Waits));
    test.advance(Duration::from_secs(4));
    peer.send("0:,");
    test.advance(Duration::from_secs(4));
    assert!(!peer.is_disconnected());
    test.advance(Duration::from_secs(1));
    assert!(peer.is_disconnected());
    test.assert_clean();
}
