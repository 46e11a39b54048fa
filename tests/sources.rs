//! Registered descriptors: levels, interest, removal in every situation, descriptors that epoll refuses.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use ropewalk::trace::{self, Kind};
use ropewalk::{EventLoop, InsertReason, Interest, Removed, RunError, SourceId};

const NOW: Option<Duration> = Some(Duration::ZERO);

fn pair() -> (UnixStream, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    b.set_nonblocking(true).unwrap();
    (a, b)
}

/// Both ways to wait must behave the same.
fn on_both_paths(test: impl Fn(EventLoop)) {
    for portable in [false, true] {
        test(EventLoop::builder().portable_wait(portable).build().unwrap());
    }
}

/// How many sources the system named in each wait of a recording.
fn named(trace: &trace::Trace) -> Vec<u32> {
    let ready = |event: trace::Event<'_>| match event.kind {
        Kind::PollEnd { ready, .. } => Some(ready.len() as u32),
        _ => None,
    };
    trace.events().filter_map(ready).collect()
}

#[test]
fn readiness_is_a_level() {
    on_both_paths(|event_loop| {
        let (ours, mut theirs) = pair();
        let calls = Rc::new(Cell::new(0));
        let count = calls.clone();
        event_loop
            .register(ours, Interest::READ, move |_, mut stream: &UnixStream, readiness| {
                assert!(readiness.is_readable() && !readiness.is_writable());
                count.set(count.get() + 1);
                if count.get() == 2 {
                    assert_eq!(stream.read(&mut [0; 9]).unwrap(), 1);
                }
            })
            .unwrap();
        assert_eq!(event_loop.turn(NOW).unwrap(), 0);
        theirs.write_all(b"x").unwrap();
        for expected in [1, 1, 0] {
            assert_eq!(event_loop.turn(NOW).unwrap(), expected);
        }
    });
}

#[test]
fn interest_follows_and_removal_hands_the_source_back() {
    on_both_paths(|event_loop| {
        let (ours, mut theirs) = pair();
        let log = Rc::new(RefCell::new(Vec::new()));
        let seen = log.clone();
        let id = event_loop
            .register(ours, Interest::READ, move |_, _, readiness| {
                seen.borrow_mut().push((readiness.is_readable(), readiness.is_writable()));
            })
            .unwrap();
        event_loop.set_interest(id, Interest::BOTH).unwrap();
        assert_eq!(event_loop.turn(NOW).unwrap(), 1);
        theirs.write_all(b"x").unwrap();
        event_loop.turn(NOW).unwrap();
        event_loop.set_interest(id, Interest::WRITE).unwrap();
        event_loop.turn(NOW).unwrap();
        event_loop.pause(id).unwrap();
        assert_eq!(event_loop.turn(NOW).unwrap(), 0);
        assert_eq!(event_loop.interest(id).unwrap(), Interest::NONE);
        event_loop.resume(id).unwrap();
        assert_eq!(event_loop.interest(id).unwrap(), Interest::WRITE);
        event_loop.set_interest(id, Interest::READ).unwrap();
        event_loop.turn(NOW).unwrap();
        assert_eq!(*log.borrow(), [(false, true), (true, true), (false, true), (true, false)]);
        assert_eq!(event_loop.with_source(id, |stream| stream.as_raw_fd() > 2), Ok(true));
        let mut ours = event_loop.remove(id).now().expect("nobody uses it");
        ours.write_all(b"back").unwrap();
        assert!(matches!(event_loop.remove(id), Removed::Gone));
        assert!(event_loop.with_source(id, |_| ()).is_err());
        assert!(event_loop.set_interest(id, Interest::READ).is_err());
    });
}

#[test]
fn changing_interest_to_and_fro_tells_the_system_nothing() {
    let event_loop = EventLoop::new().unwrap();
    let (ours, _theirs) = pair();
    let id = event_loop.register(ours, Interest::READ, |_, _, _| panic!("not ready for reading")).unwrap();
    for _ in 0..100 {
        event_loop.set_interest(id, Interest::BOTH).unwrap();
        event_loop.set_interest(id, Interest::READ).unwrap();
    }
    let (ran, trace) = trace::record(|| event_loop.turn(NOW).unwrap());
    assert_eq!((ran, named(&trace)), (0, vec![0]));
}

#[test]
fn a_paused_source_whose_peer_is_gone_does_not_spin() {
    on_both_paths(|event_loop| {
        let (ours, theirs) = pair();
        let calls = Rc::new(Cell::new(0));
        let count = calls.clone();
        let id = event_loop
            .register(ours, Interest::BOTH, move |event_loop, _, readiness| {
                assert!(readiness.is_hang_up());
                count.set(count.get() + 1);
                event_loop.stop();
            })
            .unwrap();
        event_loop.pause(id).unwrap();
        drop(theirs);
        let (_, trace) = trace::record(|| {
            for _ in 0..10 {
                assert_eq!(event_loop.turn(NOW).unwrap(), 0);
            }
        });
        let mut expected = vec![0; 10];
        expected[0] = 1; // The hang-up is named once, and the source is watched no more.
        assert_eq!(named(&trace), expected);
        assert!(matches!(event_loop.run(), Err(RunError::Idle(None))));
        event_loop.resume(id).unwrap();
        event_loop.run().unwrap();
        assert_eq!(calls.get(), 1);
    });
}

#[test]
fn a_descriptor_number_reused_within_a_batch_gets_no_event_of_its_predecessor() {
    on_both_paths(|event_loop| {
        let (first, mut theirs_1) = pair();
        let (second, mut theirs_2) = pair();
        let reused = Rc::new(Cell::new(false));
        let ids = Rc::new(RefCell::new(Vec::<SourceId<UnixStream>>::new()));
        let fresh_called = Rc::new(Cell::new(0));
        let keep = Rc::new(RefCell::new(Vec::new()));
        // Whichever of the two comes first removes the other, and puts a silent pair in its place.
        let callback = |own: usize| {
            let (ids, reused, called, keep) = (ids.clone(), reused.clone(), fresh_called.clone(), keep.clone());
            move |event_loop: &EventLoop, _: &UnixStream, _| {
                let other = ids.borrow()[1 - own];
                let Removed::Now(stream) = event_loop.remove(other) else { return };
                let number = stream.as_raw_fd();
                drop(stream);
                let (a, b) = pair();
                let (fresh, other_end) = if a.as_raw_fd() == number { (a, b) } else { (b, a) };
                reused.set(fresh.as_raw_fd() == number);
                keep.borrow_mut().push(other_end);
                let called = called.clone();
                event_loop.register(fresh, Interest::READ, move |_, _, _| called.set(called.get() + 1)).unwrap();
            }
        };
        let id = event_loop.register(first, Interest::READ, callback(0)).unwrap();
        ids.borrow_mut().push(id);
        let id = event_loop.register(second, Interest::READ, callback(1)).unwrap();
        ids.borrow_mut().push(id);
        theirs_1.write_all(b"x").unwrap();
        theirs_2.write_all(b"x").unwrap();
        assert_eq!(event_loop.turn(NOW).unwrap(), 1);
        // Other tests may have taken the number meanwhile; the index in the table is used again in any case.
        let _ = reused.get();
        assert_eq!(fresh_called.get(), 0);
    });
}

#[test]
fn a_source_removed_in_its_own_callback_is_dropped_behind_it_and_can_be_registered_anew() {
    on_both_paths(|event_loop| {
        struct Watched(UnixStream, Rc<Cell<bool>>);
        impl AsFd for Watched {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.as_fd()
            }
        }
        impl Drop for Watched {
            fn drop(&mut self) {
                self.1.set(true);
            }
        }
        let (ours, mut theirs) = pair();
        let copy = ours.try_clone().unwrap();
        let dropped = Rc::new(Cell::new(false));
        let own = Rc::new(Cell::new(None));
        let again = Rc::new(Cell::new(0));
        let (slot, flag, count) = (own.clone(), dropped.clone(), again.clone());
        let mut copy = Some(copy);
        let id = event_loop
            .register(Watched(ours, dropped.clone()), Interest::READ, move |event_loop, source, _| {
                let id: SourceId<Watched> = slot.get().unwrap();
                assert!(matches!(event_loop.remove(id), Removed::AfterCallback));
                assert!(matches!(event_loop.remove(id), Removed::Gone));
                assert!(!flag.get());
                assert!(source.0.as_raw_fd() > 2);
                let count = count.clone();
                event_loop
                    .register(copy.take().unwrap(), Interest::READ, move |event_loop, _, _| {
                        count.set(count.get() + 1);
                        event_loop.stop();
                    })
                    .unwrap();
            })
            .unwrap();
        own.set(Some(id));
        theirs.write_all(b"x").unwrap();
        assert_eq!(event_loop.turn(NOW).unwrap(), 1);
        assert!(dropped.get());
        assert_eq!(again.get(), 0);
        event_loop.run().unwrap();
        assert_eq!(again.get(), 1);
    });
}

#[test]
fn a_source_removed_while_it_is_lent_lives_until_it_comes_back() {
    let event_loop = EventLoop::new().unwrap();
    let (ours, mut theirs) = pair();
    let id = event_loop.register(ours, Interest::READ, |_, _, _| {}).unwrap();
    event_loop
        .with_source(id, |mut stream| {
            assert!(matches!(event_loop.remove(id), Removed::AfterCallback));
            stream.write_all(b"still open").unwrap();
        })
        .unwrap();
    let mut text = String::new();
    theirs.set_nonblocking(false).unwrap();
    theirs.read_to_string(&mut text).unwrap();
    assert_eq!(text, "still open");
}

#[test]
fn a_source_whose_callback_panics_is_removed_and_the_others_are_served() {
    on_both_paths(|event_loop| {
        let (bad, mut to_bad) = pair();
        let (good, mut to_good) = pair();
        let id = event_loop.register(bad, Interest::READ, |_, _, _| panic!("expected by the test")).unwrap();
        let served = Rc::new(Cell::new(false));
        let flag = served.clone();
        event_loop.register(good, Interest::READ, move |_, _, _| flag.set(true)).unwrap();
        to_bad.write_all(b"x").unwrap();
        to_good.write_all(b"x").unwrap();
        assert_eq!(event_loop.turn(NOW).unwrap(), 2);
        assert!(served.get());
        assert!(!event_loop.is_registered(id));
        assert!(to_bad.write(b"y").is_err(), "its end is closed");
    });
}

#[test]
fn registering_a_descriptor_twice_gives_it_back_with_the_place_of_the_first() {
    for paused in [false, true] {
        let event_loop = EventLoop::new().unwrap();
        let (ours, theirs) = pair();
        let ours = Rc::new(ours);
        let first = event_loop.register(ours.clone(), Interest::READ, |_, _, _| {}).unwrap();
        let line = line!() - 1;
        if paused {
            event_loop.pause(first).unwrap();
            drop(theirs);
            event_loop.turn(NOW).unwrap();
        }
        let error = event_loop.register(ours.clone(), Interest::READ, |_, _, _| {}).unwrap_err();
        let InsertReason::AlreadyRegistered(Some(place)) = error.reason() else { panic!("{error}") };
        assert_eq!((place.file(), place.line()), ("tests/sources.rs", line));
        assert!(error.to_string().contains("registered already, at tests/sources.rs"), "{error}");
        assert!(Rc::ptr_eq(&error.into_source(), &ours));
        // Its removal does not disturb the first, and frees the number.
        assert!(event_loop.remove(first).now().is_some());
        event_loop.register(ours, Interest::READ, |_, _, _| {}).unwrap();
    }
}

#[test]
fn what_is_always_ready_has_one_event_a_turn() {
    on_both_paths(|event_loop| {
        let calls = Rc::new(Cell::new(0));
        let count = calls.clone();
        let null = File::open("/dev/null").unwrap();
        let id = event_loop
            .register(null, Interest::READ, move |_, mut file: &File, readiness| {
                assert!(readiness.is_readable());
                assert_eq!(file.read(&mut [0; 8]).unwrap(), 0);
                count.set(count.get() + 1);
            })
            .unwrap();
        for _ in 0..3 {
            assert_eq!(event_loop.turn(None).unwrap(), 1);
        }
        assert_eq!(calls.get(), 3);
        event_loop.pause(id).unwrap();
        assert!(matches!(event_loop.turn(None), Err(RunError::Idle(None))));
        event_loop.resume(id).unwrap();
        assert_eq!(event_loop.turn(None).unwrap(), 1);
        assert!(event_loop.remove(id).now().is_some());
    });
}

#[test]
fn an_always_ready_source_does_not_starve_a_pipe() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.register(File::open("/dev/null").unwrap(), Interest::READ, |_, _, _| {}).unwrap();
    let (ours, mut theirs) = pair();
    event_loop.register(ours, Interest::READ, |event_loop, _, _| event_loop.stop()).unwrap();
    theirs.write_all(b"x").unwrap();
    event_loop.run().unwrap();
}

#[test]
fn the_loop_closes_its_sources_when_it_is_dropped() {
    let event_loop = EventLoop::new().unwrap();
    let (ours, mut theirs) = pair();
    event_loop.register(ours, Interest::READ, |_, _, _| {}).unwrap();
    drop(event_loop);
    assert_eq!(theirs.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn an_id_of_another_loop_names_nothing() {
    let (first, second) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    let id = first.register(pair().0, Interest::READ, |_, _, _| {}).unwrap();
    second.register(pair().0, Interest::READ, |_, _, _| {}).unwrap();
    assert!(second.with_source(id, |_| ()).is_err());
    assert!(matches!(second.remove(id), Removed::Gone));
}
