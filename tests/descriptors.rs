//! Descriptors as the system deals them out: numbers that are used again, peers that reset, none left behind. One test,
//! in a process of its own: no other thread takes a number meanwhile.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use ropewalk::{EventLoop, Interest, Readiness, SourceId, trace};

const NOW: Option<Duration> = Some(Duration::ZERO);

#[test]
fn numbers_are_reused_peers_reset_and_nothing_is_left() {
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    for portable in [false, true] {
        let event_loop = EventLoop::builder().portable_wait(portable).build().unwrap();
        a_number_reused_within_a_batch_gets_no_event_of_its_predecessor(&event_loop);
        a_paused_source_whose_peer_resets_wakes_the_loop_once(&event_loop);
    }
    assert_eq!(open(), before);
}

/// All but one of a batch are removed and closed by the first, and new ones put on their numbers and indexes.
fn a_number_reused_within_a_batch_gets_no_event_of_its_predecessor(event_loop: &EventLoop) {
    const SOURCES: usize = 8;
    let ids = Rc::new(RefCell::new(Vec::<SourceId<UnixStream>>::new()));
    let (reused, called) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let mut peers = Vec::new();
    for own in 0..SOURCES {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"x").unwrap();
        peers.push(theirs);
        let (all, reused, called) = (ids.clone(), reused.clone(), called.clone());
        let callback = move |event_loop: &EventLoop, _: &UnixStream, _: Readiness| {
            for other in (0..SOURCES).filter(|&other| other != own) {
                let id = all.borrow()[other];
                let old = event_loop.remove(id).now().expect("the first of the batch finds all");
                let number = old.as_raw_fd();
                drop(old);
                let (fresh, silent) = UnixStream::pair().unwrap();
                reused.set(reused.get() + usize::from(fresh.as_raw_fd() == number));
                let called = called.clone();
                let count = move |_: &EventLoop, _: &UnixStream, _: Readiness| called.set(called.get() + 1);
                let id = event_loop.register(fresh, Interest::READ, count).unwrap();
                all.borrow_mut()[other] = id;
                SILENT.with(|keep| keep.borrow_mut().push(silent));
            }
        };
        let id = event_loop.register(ours, Interest::READ, callback).unwrap();
        ids.borrow_mut().push(id);
    }
    assert_eq!(event_loop.turn(NOW).unwrap(), 1, "one of the batch is left to be called");
    assert_eq!((reused.get(), called.get()), (SOURCES - 1, 0));
    for id in ids.borrow().iter() {
        drop(event_loop.remove(*id));
    }
    SILENT.with(|keep| keep.borrow_mut().clear());
}

thread_local! {
    /// The peers of the fresh sources: silent, so that these have no event of their own.
    static SILENT: RefCell<Vec<UnixStream>> = const { RefCell::new(Vec::new()) };
}

fn a_paused_source_whose_peer_resets_wakes_the_loop_once(event_loop: &EventLoop) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    ours.write_all(b"never read").unwrap();
    ours.set_nonblocking(true).unwrap();
    let calls = Rc::new(Cell::new(0));
    let count = calls.clone();
    let id = event_loop.register(ours, Interest::BOTH, move |_, _, _| count.set(count.get() + 1)).unwrap();
    event_loop.pause(id).unwrap();
    // Writable without end, but paused: the first wait says so, and the poller is told.
    event_loop.turn(NOW).unwrap();
    drop(theirs); // with data unread, so this is a reset
    let (_, trace) = trace::record(|| {
        for _ in 0..20 {
            assert_eq!(event_loop.turn(NOW).unwrap(), 0);
        }
    });
    let woken = trace.events().filter(|event| match event.kind {
        trace::Kind::PollEnd { ready, .. } => !ready.is_empty(),
        _ => false,
    });
    assert!(woken.count() <= 1, "a paused source wakes the loop at most once");
    assert_eq!(calls.get(), 0);
    event_loop.resume(id).unwrap();
    event_loop.turn(NOW).unwrap();
    assert_eq!(calls.get(), 1, "resumed, it hears of the reset");
    let error = event_loop.with_source(id, |stream| stream.take_error().unwrap()).unwrap();
    assert_eq!(error.map(|error| error.kind()), Some(std::io::ErrorKind::ConnectionReset));
    drop(event_loop.remove(id));
}
