//! One connection of the library's against a plain socket of the standard library, and a diary of what its protocol
//! was told. Nothing here sleeps: the loop turns until what is waited for is there.

#![allow(dead_code, unreachable_pub, reason = "each test takes what it needs")]

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use ropewalk::{ConnectionAborted, ConnectionDone, ConnectionLost, EventLoop, Failure, Protocol, Transport};

/// Only to end a test that would hang.
const LIMIT: Duration = Duration::from_secs(60);

/// What a protocol is told.
#[derive(Debug)]
pub enum Told<'d> {
    Made,
    Data(&'d [u8]),
    ReadLost,
    WriteLost,
    Pause,
    Resume,
    Woken,
}

/// What happened, in order, and the transport it happened on.
#[derive(Default)]
pub struct Diary {
    lines: RefCell<Vec<String>>,
    transport: RefCell<Option<Transport>>,
    inside: Cell<bool>,
    pub received: Cell<usize>,
    pub lost: Cell<usize>,
}

impl Diary {
    pub fn new() -> Rc<Diary> {
        Rc::default()
    }

    pub fn note(&self, what: impl Into<String>) {
        self.lines.borrow_mut().push(what.into());
    }

    /// What was written down since the last look.
    pub fn take(&self) -> Vec<String> {
        self.lines.take()
    }

    #[track_caller]
    pub fn transport(&self) -> Transport {
        self.transport.borrow().clone().expect("a connection was made")
    }

    pub fn is_lost(&self) -> bool {
        self.lost.get() > 0
    }

    /// Nothing of the protocol's may be called while another call of it runs.
    fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Leave<'a>(&'a Cell<bool>);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.set(false);
            }
        }
        assert!(!self.inside.replace(true), "a protocol is called inside itself");
        let _leave = Leave(&self.inside);
        f()
    }
}

/// Writes down each call, then does what the test wants.
pub struct Acting<F> {
    pub diary: Rc<Diary>,
    pub half_close: bool,
    pub act: F,
}

impl<F: FnMut(&EventLoop, &Transport, Told<'_>) -> Result<(), Failure> + 'static> Acting<F> {
    pub fn new(diary: &Rc<Diary>, act: F) -> Acting<F> {
        Acting { diary: diary.clone(), half_close: false, act }
    }

    pub fn half_closing(diary: &Rc<Diary>, act: F) -> Acting<F> {
        Acting { half_close: true, ..Acting::new(diary, act) }
    }

    fn act(&mut self, event_loop: &EventLoop, transport: &Transport, told: Told<'_>) -> Result<(), Failure> {
        assert!(!self.diary.is_lost(), "called after connection_lost: {told:?}");
        match &told {
            Told::Data(data) => {
                self.diary.received.set(self.diary.received.get() + data.len());
                match data.len() {
                    0..=20 => self.diary.note(format!("data {}", String::from_utf8_lossy(data))),
                    _ => self.diary.note("much data"),
                }
            }
            other => self.diary.note(format!("{other:?}").to_lowercase()),
        }
        let (diary, act) = (self.diary.clone(), &mut self.act);
        diary.enter(|| act(event_loop, transport, told))
    }
}

impl<F: FnMut(&EventLoop, &Transport, Told<'_>) -> Result<(), Failure> + 'static> Protocol for Acting<F> {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.diary.transport.replace(Some(transport.clone()));
        self.act(event_loop, transport, Told::Made)
    }

    fn data_received(&mut self, event_loop: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        self.act(event_loop, transport, Told::Data(data))
    }

    fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
        let diary = self.diary.clone();
        diary.enter(|| {
            diary.lost.set(diary.lost.get() + 1);
            diary.note(format!("lost: {}", name(&reason)));
        });
    }

    fn half_close(&self) -> bool {
        self.half_close
    }

    fn read_connection_lost(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.act(event_loop, transport, Told::ReadLost)
    }

    fn write_connection_lost(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.act(event_loop, transport, Told::WriteLost)
    }

    fn pause_producing(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.act(event_loop, transport, Told::Pause)
    }

    fn resume_producing(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.act(event_loop, transport, Told::Resume)
    }

    fn woken(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.act(event_loop, transport, Told::Woken)
    }
}

/// A reason in a word or two.
pub fn name(reason: &Failure) -> String {
    if reason.check::<ConnectionDone>().is_some() {
        return "done".into();
    }
    if reason.check::<ConnectionAborted>().is_some() {
        return "aborted".into();
    }
    match reason.check::<ConnectionLost>() {
        None => reason.to_string(),
        Some(lost) if lost.unsent() > 0 => "unsent".into(),
        Some(lost) => match lost.io_error() {
            Some(error) => format!("{:?}", error.kind()).to_lowercase(),
            None => "shutdown".into(),
        },
    }
}

/// Turns the loop until `what` is so.
#[track_caller]
pub fn turn_until(event_loop: &EventLoop, mut what: impl FnMut() -> bool) {
    let started = Instant::now();
    while !what() {
        assert!(started.elapsed() < LIMIT, "what is waited for does not come");
        // The peer is no source of the loop: it is looked at again soon, whatever the loop has to do.
        event_loop.turn(Some(Duration::from_millis(1))).unwrap();
    }
}

/// Turns the loop a few times, without a wait: for what must not happen.
pub fn some_turns(event_loop: &EventLoop) {
    for _ in 0..10 {
        event_loop.turn(Some(Duration::ZERO)).unwrap();
    }
}

/// Gives `protocol` a connection, whose other end is the test's.
#[track_caller]
pub fn accepted(event_loop: &EventLoop, protocol: impl Protocol) -> TcpStream {
    let made = Rc::new(Cell::new(false));
    let (mut protocol, noted) = (Some(protocol), made.clone());
    let port = event_loop
        .listen_tcp("127.0.0.1:0", move |_, _| {
            noted.set(true);
            protocol.take()
        })
        .unwrap();
    let peer = connect(port.address().as_tcp().unwrap());
    turn_until(event_loop, || made.get());
    event_loop.run_until(port.stop_listening(event_loop)).unwrap();
    peer
}

/// A peer that neither waits for ever nor holds back what is small.
pub fn connect(address: SocketAddr) -> TcpStream {
    let peer = TcpStream::connect(address).unwrap();
    peer.set_nodelay(true).unwrap();
    peer.set_nonblocking(true).unwrap();
    peer
}

/// Reads to the end, while the loop turns. The error that ended it, if it was no end.
pub fn read_to_end(event_loop: &EventLoop, peer: &mut TcpStream) -> (Vec<u8>, Option<io::ErrorKind>) {
    let (mut all, mut ended) = (Vec::new(), None);
    turn_until(event_loop, || {
        let mut some = [0; 65536];
        while ended.is_none() {
            match peer.read(&mut some) {
                Ok(0) => ended = Some(None),
                Ok(n) => all.extend_from_slice(&some[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => ended = Some(Some(error.kind())),
            }
        }
        true
    });
    (all, ended.unwrap())
}

/// Reads so many bytes, while the loop turns.
pub fn read_some(event_loop: &EventLoop, peer: &mut TcpStream, n: usize) -> Vec<u8> {
    let (mut all, mut at) = (vec![0; n], 0);
    turn_until(event_loop, || {
        match peer.read(&mut all[at..]) {
            Ok(0) if at < n => panic!("the end after {at} of {n} bytes"),
            Ok(came) => at += came,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        at == n
    });
    all
}

/// Breaks a connection off: its peer sees a reset.
pub fn reset(peer: TcpStream) {
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
}

/// More than two sockets' buffers take.
pub fn much() -> Vec<u8> {
    (0..251).collect::<Vec<u8>>().repeat((32 << 20) / 251)
}
