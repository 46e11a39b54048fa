//! Peers that break off, and peers that do not read: at each byte of a dialogue, and a thousand of them in random order.
//! One test, in a process of its own: descriptors are counted.

#[path = "support/peer.rs"]
mod peer;

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::rc::Rc;

use peer::{Acting, Diary, Told, accepted, connect, much, name, read_some, reset, some_turns, turn_until};
use ropewalk::protocols::{LineProtocol, LineReceiver, LineTransport};
use ropewalk::testing::assert_clean;
use ropewalk::{EventLoop, Failure, ListenTcp, Protocol, Streaming, Transport};

#[test]
fn peers_that_break_off_or_do_not_read_leave_nothing_behind() {
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    for portable in [false, true] {
        let event_loop = EventLoop::builder().portable_wait(portable).build().unwrap();
        a_peer_that_resets_at_each_byte_of_a_dialogue(&event_loop);
        a_peer_that_never_reads_costs_a_bounded_buffer_and_is_read_no_more(&event_loop);
        connections_opened_and_closed_in_random_order_with_data_in_flight(&event_loop);
        assert_clean(&event_loop);
    }
    assert_eq!(open(), before);
}

/// Answers each line with its length, and notes how it ended.
struct Counting {
    lines: Rc<Cell<usize>>,
    ends: Rc<RefCell<Vec<String>>>,
}

impl LineProtocol for Counting {
    fn line_received(&mut self, _: &EventLoop, transport: &LineTransport, line: &[u8]) -> Result<(), Failure> {
        self.lines.set(self.lines.get() + 1);
        transport.send_line(line.len().to_string())?;
        if line == b"quit" {
            transport.lose_connection();
        }
        Ok(())
    }
    fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
        self.ends.borrow_mut().push(name(&reason));
    }
}

fn a_peer_that_resets_at_each_byte_of_a_dialogue(event_loop: &EventLoop) {
    const DIALOGUE: &[u8] = b"If I were a callback,\r\nI would call you back\r\nquit\r\n";
    for n in 0..=DIALOGUE.len() {
        for orderly in [false, true] {
            let (lines, ends) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
            let counting = Counting { lines: lines.clone(), ends: ends.clone() };
            let mut peer = accepted(event_loop, LineReceiver::new(counting));
            peer.write_all(&DIALOGUE[..n]).unwrap();
            let whole = DIALOGUE[..n].windows(2).filter(|pair| pair == b"\r\n").count();
            turn_until(event_loop, || lines.get() == whole);
            if orderly {
                peer.shutdown(Shutdown::Write).unwrap()
            } else {
                reset(peer.try_clone().unwrap())
            }
            drop(peer);
            turn_until(event_loop, || !ends.borrow().is_empty());
            some_turns(event_loop);
            let reason = match n {
                // The server had closed by itself; the reset comes too late to matter.
                _ if n == DIALOGUE.len() || orderly => "done",
                _ => "connectionreset",
            };
            assert_eq!((ends.borrow().as_slice(), lines.get()), (&[reason.to_owned()][..], whole), "{n} {orderly}");
        }
    }
}

fn a_peer_that_never_reads_costs_a_bounded_buffer_and_is_read_no_more(event_loop: &EventLoop) {
    let diary = Diary::new();
    let most = Rc::new(Cell::new(0));
    let noted = most.clone();
    let mut peer = accepted(
        event_loop,
        Acting::new(&diary, move |event_loop, transport, told| {
            match told {
                Told::Made => transport.register_producer(event_loop, transport.clone(), Streaming::Push)?,
                Told::Data(data) => transport.write(data)?,
                _ => {}
            }
            noted.set(noted.get().max(transport.buffered()));
            Ok(())
        }),
    );
    let data = much();
    let (mut sent, mut still) = (0, 0);
    while still < 50 {
        match peer.write(&data[sent..]) {
            Ok(n) => (sent, still) = (sent + n, 0),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                still += 1;
            }
        }
        event_loop.turn(Some(std::time::Duration::ZERO)).unwrap();
    }
    assert!(diary.transport().is_paused() && sent < data.len());
    assert!(most.get() <= 4 * 65536, "{} bytes waited", most.get());
    // It changes its mind about a part of it, and then breaks off with all buffers full.
    assert!(read_some(event_loop, &mut peer, 100_000) == data[..100_000]);
    reset(peer);
    turn_until(event_loop, || diary.is_lost());
    let told = diary.take();
    let (reason, kinds) = (told.last().unwrap(), ["lost: connectionreset", "lost: brokenpipe"]);
    assert!(kinds.contains(&reason.as_str()), "{reason}");
}

/// Sends back what comes, and tells how many bytes came and how it ended.
struct Echo {
    open: Rc<Cell<usize>>,
    ends: Rc<RefCell<Vec<String>>>,
}

impl Protocol for Echo {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.open.set(self.open.get() + 1);
        transport.register_producer(event_loop, transport.clone(), Streaming::Push)?;
        Ok(())
    }
    fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        Ok(transport.write(data)?)
    }
    fn half_close(&self) -> bool {
        true
    }
    fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
        self.open.set(self.open.get() - 1);
        self.ends.borrow_mut().push(name(&reason));
    }
}

/// A peer that has sent `sent` bytes and got `got` of them back.
struct Peer {
    stream: TcpStream,
    sent: usize,
    got: usize,
}

impl Peer {
    fn open(address: SocketAddr) -> Peer {
        Peer { stream: connect(address), sent: 0, got: 0 }
    }

    fn send(&mut self, n: usize) {
        let data: Vec<u8> = (self.sent..self.sent + n).map(|at| (at % 251) as u8).collect();
        self.sent += self.stream.write(&data).unwrap_or(0);
    }

    fn receive(&mut self) -> bool {
        let mut some = [0; 65536];
        loop {
            match self.stream.read(&mut some) {
                Ok(0) => return true,
                Ok(n) => {
                    assert!(some[..n].iter().enumerate().all(|(i, &byte)| byte == ((self.got + i) % 251) as u8));
                    self.got += n;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => panic!("the server broke off: {error}"),
            }
        }
    }
}

/// `ROPEWALK_CONNECTIONS` of them, 1,000 if it does not say.
fn connections_opened_and_closed_in_random_order_with_data_in_flight(event_loop: &EventLoop) {
    let many = std::env::var("ROPEWALK_CONNECTIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let (open, ends) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
    let (counted, noted) = (open.clone(), ends.clone());
    let port = ListenTcp::new("127.0.0.1:0")
        .backlog(4096)
        .listen(event_loop, move |_, _| Some(Echo { open: counted.clone(), ends: noted.clone() }))
        .unwrap();
    let address = port.address().as_tcp().unwrap();
    let (mut peers, mut opened, mut broken, mut whole) = (Vec::<Peer>::new(), 0, 0, 0);
    let mut state = 20u64;
    let mut random = |n: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % n
    };
    while opened < many || !peers.is_empty() {
        match random(8) {
            0..4 if opened < many => {
                peers.push(Peer::open(address));
                opened += 1;
            }
            4 | 5 if !peers.is_empty() => {
                let at = random(peers.len());
                peers[at].send(1 + random(20_000));
            }
            6 if !peers.is_empty() => {
                // Gone in the middle: the server must learn of it.
                let peer = peers.swap_remove(random(peers.len()));
                reset(peer.stream);
                broken += 1;
            }
            7 if !peers.is_empty() => {
                // Ends in order: every byte must come back.
                let mut peer = peers.swap_remove(random(peers.len()));
                peer.send(random(20_000));
                peer.stream.shutdown(Shutdown::Write).unwrap();
                turn_until(event_loop, || peer.receive());
                assert_eq!(peer.got, peer.sent);
                whole += 1;
            }
            _ => drop(event_loop.turn(Some(std::time::Duration::ZERO)).unwrap()),
        }
    }
    turn_until(event_loop, || ends.borrow().len() == many);
    event_loop.run_until(port.stop_listening(event_loop)).unwrap();
    assert_eq!(open.get(), 0);
    let ends = ends.borrow();
    let of = |kinds: &[&str]| ends.iter().filter(|end| kinds.contains(&end.as_str())).count();
    let (done, lost) = (of(&["done"]), of(&["connectionreset", "brokenpipe"]));
    assert_eq!((done + lost, whole + broken), (ends.len(), many), "{ends:?}");
    assert!(done >= whole && lost <= broken, "{done} {whole} {lost} {broken}");
}
