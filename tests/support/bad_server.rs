//! A server that misbehaves as it is told, and what clients ask of it.

#![allow(dead_code, unreachable_pub, reason = "each test takes what it needs")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use ropewalk::http::ClientRequest;
use ropewalk::{EventLoop, Failure, Port, Protocol, TestClock, Transport};

use crate::client::LIMIT;

/// What a server does with a request.
#[derive(Clone)]
pub enum Act {
    /// Says this and waits.
    Say(Vec<u8>),
    /// Says this and closes.
    Close(Vec<u8>),
    /// Says this and resets when it was sent.
    Reset(Vec<u8>),
    /// Says this again and again, as long as anybody takes it.
    Flood(&'static str, Vec<u8>),
}

pub fn say(text: &str) -> Act {
    Act::Say(text.into())
}

pub fn close(text: &str) -> Act {
    Act::Close(text.into())
}

struct Bad {
    act: Act,
    asked: Vec<u8>,
    log: Log,
    answered: bool,
    piece: Vec<u8>,
}

#[derive(Clone, Default)]
pub struct Log {
    pub requests: Rc<RefCell<Vec<String>>>,
    pub open: Rc<Cell<usize>>,
    pub flooded: Rc<Cell<usize>>,
}

impl Protocol for Bad {
    fn connection_made(&mut self, _: &EventLoop, _: &Transport) -> Result<(), Failure> {
        self.log.open.set(self.log.open.get() + 1);
        Ok(())
    }

    fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        self.asked.extend_from_slice(data);
        if self.answered || !self.asked.windows(4).any(|four| four == b"\r\n\r\n") {
            return Ok(());
        }
        self.answered = true;
        self.log.requests.borrow_mut().push(String::from_utf8_lossy(&self.asked).into_owned());
        match &self.act {
            Act::Say(text) => transport.write(text)?,
            Act::Close(text) => {
                transport.write(text)?;
                transport.lose_connection();
            }
            Act::Reset(text) => {
                transport.write(text)?;
                transport.wake_protocol();
            }
            Act::Flood(head, piece) => {
                transport.write(head.as_bytes())?;
                self.piece = piece.clone();
                transport.register_own_producer(ropewalk::Streaming::Pull)?;
            }
        }
        Ok(())
    }

    fn woken(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        match transport.buffered() {
            0 => transport.abort(),
            _ => transport.wake_protocol(),
        }
        Ok(())
    }

    fn resume_producing(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.log.flooded.set(self.log.flooded.get() + self.piece.len());
        Ok(transport.write(&self.piece)?)
    }

    fn connection_lost(&mut self, _: &EventLoop, _: Failure) {
        self.log.open.set(self.log.open.get() - 1);
    }
}

/// A server that does one thing with every request.
pub fn bad(event_loop: &EventLoop, act: Act) -> (Port, String, Log) {
    let log = Log::default();
    let own = log.clone();
    let port = event_loop
        .listen_tcp("127.0.0.1:0", move |_, _| {
            let log = own.clone();
            Some(Bad { act: act.clone(), asked: Vec::new(), log, answered: false, piece: Vec::new() })
        })
        .unwrap();
    let url = format!("http://{}/x", port.address());
    (port, url, log)
}

/// A request and its whole body.
pub fn whole(event_loop: &EventLoop, request: ClientRequest) -> Result<(u16, Vec<u8>), Failure> {
    let body = request.send(event_loop).add_callback(|response| {
        let status = response.status().code();
        response.bytes(1 << 20).map(move |body| (status, body))
    });
    event_loop.run_until(body.add_timeout(LIMIT, event_loop))
}

pub fn with_length(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A loop whose time stands still.
pub fn still() -> (TestClock, EventLoop) {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
    (clock, event_loop)
}
