//! How connections end: Twisted's own cases (`abortConnection`, `loseConnection`, half close, `connectionLost`), and what
//! a loop adds to them. Over loopback, against a plain socket.

#[path = "support/peer.rs"]
mod peer;

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Write};
use std::net::{Shutdown, TcpListener};
use std::rc::Rc;

use peer::{Acting, Diary, Told, accepted, connect, much, read_some, read_to_end, reset, some_turns, turn_until};
use ropewalk::testing::assert_clean;
use ropewalk::{CancelledError, ConnectError, EventLoop, Failure, Transport};

// Abort.

#[test]
fn abort_in_data_received_is_told_once_and_later_and_the_peer_is_reset() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let noted = diary.clone();
    let mut peer = accepted(
        &event_loop,
        Acting::new(&diary, move |_, transport, told| {
            if let Told::Data(_) = told {
                transport.abort();
                assert!(transport.is_disconnecting());
                noted.note("aborted");
            }
            Ok(())
        }),
    );
    peer.write_all(b"one").unwrap();
    turn_until(&event_loop, || diary.is_lost());
    assert_eq!(diary.take(), ["made", "data one", "aborted", "lost: aborted"]);
    assert_eq!(read_to_end(&event_loop, &mut peer).1, Some(ErrorKind::ConnectionReset));
    assert_clean(&event_loop);
}

#[test]
fn abort_twice_and_then_lose_connection_is_one_abort() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(
        &event_loop,
        Acting::new(&diary, |_, transport, told| {
            if let Told::Data(_) = told {
                transport.abort();
                transport.abort();
                transport.lose_connection();
                transport.lose_write_connection();
            }
            Ok(())
        }),
    );
    peer.write_all(b"one").unwrap();
    turn_until(&event_loop, || diary.is_lost());
    some_turns(&event_loop);
    assert_eq!(diary.take(), ["made", "data one", "lost: aborted"]);
    assert_clean(&event_loop);
}

#[test]
fn lose_connection_and_then_abort_in_the_same_callback_is_an_abort() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(
        &event_loop,
        Acting::new(&diary, |_, transport, told| {
            if let Told::Data(_) = told {
                transport.write(b"never sent")?;
                transport.lose_connection();
                transport.abort();
            }
            Ok(())
        }),
    );
    peer.write_all(b"one").unwrap();
    assert_eq!(read_to_end(&event_loop, &mut peer), (Vec::new(), Some(ErrorKind::ConnectionReset)));
    turn_until(&event_loop, || diary.is_lost());
    assert_eq!(diary.take(), ["made", "data one", "lost: aborted"]);
}

#[test]
fn who_writes_behind_its_own_abort_is_told_of_the_abort() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(
        &event_loop,
        Acting::new(&diary, |_, transport, told| {
            if let Told::Data(_) = told {
                transport.abort();
                transport.write(b"in vain")?; // the method fails with `Disconnected`
            }
            Ok(())
        }),
    );
    peer.write_all(b"one").unwrap();
    assert_eq!(read_to_end(&event_loop, &mut peer), (Vec::new(), Some(ErrorKind::ConnectionReset)));
    turn_until(&event_loop, || diary.is_lost());
    assert_eq!(diary.take(), ["made", "data one", "lost: aborted"]);
}

#[test]
fn abort_between_the_last_byte_and_connection_lost_still_resets() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(&event_loop, Acting::new(&diary, |_, _, _| Ok(())));
    diary.transport().lose_connection();
    let transport = diary.transport();
    // Behind the callback that sends what is left, and before the turn that tells of the loss.
    event_loop.call_soon(move |_| transport.abort());
    assert_eq!(read_to_end(&event_loop, &mut peer).1, Some(ErrorKind::ConnectionReset));
    assert_eq!(diary.take(), ["made", "lost: aborted"]);
}

#[test]
fn abort_with_full_buffers_does_not_wait_for_the_peer() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(&event_loop, Acting::new(&diary, |_, _, _| Ok(())));
    let data = much();
    diary.transport().write(&data).unwrap();
    some_turns(&event_loop);
    assert!(diary.transport().buffered() > 0, "the peer does not read");
    diary.transport().abort();
    assert_eq!(diary.transport().buffered(), 0, "what was not sent is thrown away");
    event_loop.turn(None).unwrap();
    assert_eq!(diary.take(), ["made", "lost: aborted"]);
    let (came, ended) = read_to_end(&event_loop, &mut peer);
    assert!(came.len() < data.len() && ended == Some(ErrorKind::ConnectionReset));
    assert_clean(&event_loop);
}

#[test]
fn abort_while_lose_connection_waits_for_full_buffers_ends_the_wait() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let _peer = accepted(&event_loop, Acting::new(&diary, |_, _, _| Ok(())));
    diary.transport().write(&much()).unwrap();
    diary.transport().lose_connection();
    some_turns(&event_loop);
    assert_eq!(diary.take(), ["made"], "a peer that does not read keeps it open");
    diary.transport().abort();
    event_loop.turn(None).unwrap();
    assert_eq!(diary.take(), ["lost: aborted"]);
}

#[test]
fn abort_in_connection_made_and_an_error_in_it_lose_the_connection_before_any_data() {
    for error in [false, true] {
        let event_loop = EventLoop::new().unwrap();
        let diary = Diary::new();
        let mut peer = accepted(
            &event_loop,
            Acting::new(&diary, move |_, transport, _| match error {
                true => Err(Failure::msg("not today")),
                false => {
                    transport.abort();
                    Ok(())
                }
            }),
        );
        let _ = peer.write_all(b"one"); // the peer may have learnt of it
        turn_until(&event_loop, || diary.is_lost());
        some_turns(&event_loop);
        let reason = if error { "lost: not today" } else { "lost: aborted" };
        assert_eq!(diary.take(), ["made", reason]);
        read_to_end(&event_loop, &mut peer);
        assert_clean(&event_loop);
    }
}

#[test]
fn an_abort_by_another_connection_in_the_same_batch_keeps_its_data_from_being_delivered() {
    let event_loop = EventLoop::new().unwrap();
    let all = Rc::new(RefCell::new(Vec::<Transport>::new()));
    let called = Rc::new(Cell::new(0));
    let mut diaries = Vec::new();
    let mut peers = Vec::new();
    for own in 0..8 {
        let (others, called) = (all.clone(), called.clone());
        let diary = Diary::new();
        peers.push(accepted(
            &event_loop,
            Acting::new(&diary, move |_, _, told| {
                if let Told::Data(_) = told {
                    called.set(called.get() + 1);
                    // Half of them are aborted, half are closed in order: neither reads any more.
                    for (i, other) in others.borrow().iter().enumerate().filter(|(i, _)| *i != own) {
                        if i % 2 == 0 { other.abort() } else { other.lose_connection() }
                    }
                }
                Ok(())
            }),
        ));
        all.borrow_mut().push(diary.transport());
        diaries.push(diary);
    }
    peers.iter_mut().for_each(|peer| peer.write_all(b"x").unwrap());
    // All are ready in one wait; the first that is called removes the others.
    turn_until(&event_loop, || diaries.iter().filter(|diary| diary.is_lost()).count() == 7);
    assert_eq!(called.get(), 1);
    assert_eq!(diaries.iter().map(|diary| diary.received.get()).sum::<usize>(), 1);
}

// Lose.

#[test]
fn lose_connection_with_full_buffers_closes_when_the_peer_has_taken_all() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(&event_loop, Acting::new(&diary, |_, _, _| Ok(())));
    let data = much();
    diary.transport().write(&data).unwrap();
    diary.transport().lose_connection();
    diary.transport().lose_connection();
    some_turns(&event_loop);
    assert_eq!(diary.take(), ["made"]);
    let (came, ended) = read_to_end(&event_loop, &mut peer);
    assert!(came == data && ended.is_none());
    turn_until(&event_loop, || diary.is_lost());
    some_turns(&event_loop);
    assert_eq!(diary.take(), ["lost: done"]);
    assert_clean(&event_loop);
}

#[test]
fn what_is_written_between_lose_connection_and_the_loss_is_sent() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(
        &event_loop,
        Acting::new(&diary, |_, transport, _| {
            transport.write(b"before ")?;
            transport.lose_connection();
            transport.write(b"after")?;
            Ok(())
        }),
    );
    assert_eq!(read_to_end(&event_loop, &mut peer), (b"before after".to_vec(), None));
    turn_until(&event_loop, || diary.is_lost());
    assert_eq!(diary.take(), ["made", "lost: done"]);
}

#[test]
fn after_lose_connection_nothing_is_read() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(&event_loop, Acting::new(&diary, |_, _, _| Ok(())));
    diary.transport().write(&much()).unwrap();
    diary.transport().lose_connection();
    diary.transport().resume_producing(); // ignored while it closes
    peer.write_all(b"too late").unwrap();
    some_turns(&event_loop);
    assert!(!diary.transport().is_reading());
    drop(peer); // with data unread, so this is a reset
    turn_until(&event_loop, || diary.is_lost());
    let told = diary.take();
    assert!(told == ["made", "lost: connectionreset"] || told == ["made", "lost: brokenpipe"], "{told:?}");
}

#[test]
fn a_write_after_the_loss_answers_disconnected_and_everything_else_does_nothing() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let peer = accepted(&event_loop, Acting::new(&diary, |_, _, _| Ok(())));
    let transport = diary.transport();
    drop(peer);
    turn_until(&event_loop, || diary.is_lost());
    assert!(transport.write(b"x").is_err() && transport.write_vectored(&[b"x"]).is_err());
    assert!(transport.write(b"").is_err());
    transport.lose_connection();
    transport.abort();
    transport.lose_write_connection();
    transport.pause_producing();
    transport.resume_producing();
    transport.unregister_producer();
    transport.wake_protocol();
    transport.set_water_marks(1, 1);
    assert!(transport.is_disconnected() && transport.is_disconnecting() && !transport.is_reading());
    assert_eq!((transport.buffered(), transport.is_paused(), transport.is_full()), (0, false, false));
    assert_eq!(transport.peer_address().unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(transport.set_tcp_nodelay(true).unwrap_err().kind(), ErrorKind::NotConnected);
    some_turns(&event_loop);
    assert_eq!(diary.take(), ["made", "lost: done"]);
    assert_clean(&event_loop);
}

#[test]
fn a_peer_that_is_gone_is_never_told_inside_write() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let noted = diary.clone();
    let mut peer = accepted(
        &event_loop,
        Acting::new(&diary, move |_, transport, told| {
            if let Told::Data(_) = told {
                for _ in 0..3 {
                    let _ = transport.write(b"to nobody");
                }
                noted.note("written");
            }
            Ok(())
        }),
    );
    peer.write_all(b"one").unwrap();
    reset(peer);
    turn_until(&event_loop, || diary.is_lost());
    // Whether the data or the reset is read first is the kernel's matter; the order of the calls is ours.
    let told = diary.take();
    let (last, before) = told.split_last().unwrap();
    assert!(before == ["made"] || before == ["made", "data one", "written"], "{told:?}");
    assert!(["lost: connectionreset", "lost: brokenpipe"].contains(&last.as_str()), "{told:?}");
}

#[test]
fn a_write_from_connection_lost_goes_nowhere_and_harms_nobody() {
    struct Stubborn(Option<Transport>, Rc<Cell<Option<bool>>>);
    impl ropewalk::Protocol for Stubborn {
        fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
            self.0 = Some(transport.clone());
            Ok(())
        }
        fn connection_lost(&mut self, _: &EventLoop, _: Failure) {
            let transport = self.0.as_ref().unwrap();
            transport.abort();
            transport.lose_connection();
            self.1.set(Some(transport.write(b"x").is_err()));
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let refused = Rc::new(Cell::new(None));
    let peer = accepted(&event_loop, Stubborn(None, refused.clone()));
    drop(peer);
    turn_until(&event_loop, || refused.get().is_some());
    assert_eq!(refused.get(), Some(true));
    assert_clean(&event_loop);
}

#[test]
fn dropping_every_handle_leaves_the_connection_open() {
    let event_loop = EventLoop::new().unwrap();
    let seen = Rc::new(Cell::new(0));
    struct Silent(Rc<Cell<usize>>);
    impl ropewalk::Protocol for Silent {
        fn data_received(&mut self, _: &EventLoop, _: &Transport, data: &[u8]) -> Result<(), Failure> {
            self.0.set(self.0.get() + data.len());
            Ok(())
        }
    }
    let mut peer = accepted(&event_loop, Silent(seen.clone()));
    peer.write_all(b"still here").unwrap();
    turn_until(&event_loop, || seen.get() == 10);
}

#[test]
fn the_end_of_the_run_loses_every_connection_once_with_what_it_was_doing() {
    let event_loop = EventLoop::new().unwrap();
    let diaries: Vec<_> = (0..4).map(|_| Diary::new()).collect();
    let _peers: Vec<_> =
        diaries.iter().map(|diary| accepted(&event_loop, Acting::new(diary, |_, _, _| Ok(())))).collect();
    let data = much();
    diaries[1].transport().write(&data).unwrap();
    diaries[2].transport().write(&data).unwrap();
    diaries[2].transport().lose_connection();
    let last = diaries[3].transport();
    event_loop.call_soon(move |event_loop| {
        last.abort();
        event_loop.stop();
    });
    event_loop.run().unwrap();
    let lost: Vec<_> = diaries.iter().map(|diary| diary.take().split_off(1)).collect();
    assert_eq!(lost, [["lost: shutdown"], ["lost: shutdown"], ["lost: shutdown"], ["lost: aborted"]]);
}

// Half close.

#[test]
fn without_half_close_the_peers_end_is_the_end_and_what_was_not_sent_is_told() {
    let event_loop = EventLoop::new().unwrap();
    let (clean, unsent) = (Diary::new(), Diary::new());
    let peer = accepted(&event_loop, Acting::new(&clean, |_, _, _| Ok(())));
    peer.shutdown(Shutdown::Write).unwrap();
    turn_until(&event_loop, || clean.is_lost());
    assert_eq!(clean.take(), ["made", "lost: done"]);
    let peer = accepted(&event_loop, Acting::new(&unsent, |_, _, _| Ok(())));
    unsent.transport().write(&much()).unwrap();
    some_turns(&event_loop);
    peer.shutdown(Shutdown::Write).unwrap();
    turn_until(&event_loop, || unsent.is_lost());
    assert_eq!(unsent.take(), ["made", "lost: unsent"]);
}

#[test]
fn a_peer_sees_a_reset_and_no_end_when_something_was_not_sent_to_it() {
    let event_loop = EventLoop::new().unwrap();
    // By the peer's own end of data, by the protocol's error, and with all of it sent.
    for (sends, fails, sees) in [
        (much().len(), false, Some(ErrorKind::ConnectionReset)),
        (much().len(), true, Some(ErrorKind::ConnectionReset)),
        (1, false, None),
        (1, true, None),
    ] {
        let diary = Diary::new();
        let protocol = Acting::new(&diary, move |_, _, told| match told {
            Told::Data(_) if fails => Err(Failure::msg("no")),
            _ => Ok(()),
        });
        let mut peer = accepted(&event_loop, protocol);
        diary.transport().write(&much()[..sends]).unwrap();
        some_turns(&event_loop);
        if fails {
            peer.write_all(b"x").unwrap();
        } else {
            peer.shutdown(Shutdown::Write).unwrap();
        }
        turn_until(&event_loop, || diary.is_lost());
        let (came, ended) = read_to_end(&event_loop, &mut peer);
        assert_eq!((came.len() == sends, ended), (sees.is_none(), sees), "{sends} bytes, {fails}");
    }
}

#[test]
fn half_close_first_the_peer_then_we() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(
        &event_loop,
        Acting::half_closing(&diary, |_, transport, told| {
            if let Told::ReadLost = told {
                assert!(!transport.is_reading() && !transport.is_disconnecting());
                transport.write(b"all of it")?;
            }
            Ok(())
        }),
    );
    peer.write_all(b"count").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_some(&event_loop, &mut peer, 9), b"all of it");
    some_turns(&event_loop);
    assert_eq!(diary.take(), ["made", "data count", "readlost"], "told once, and open in the other direction");
    diary.transport().lose_write_connection();
    assert_eq!(read_to_end(&event_loop, &mut peer), (Vec::new(), None));
    turn_until(&event_loop, || diary.is_lost());
    assert_eq!(diary.take(), ["writelost", "lost: done"]);
    assert_clean(&event_loop);
}

#[test]
fn half_close_first_we_then_the_peer() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(&event_loop, Acting::half_closing(&diary, |_, _, _| Ok(())));
    let transport = diary.transport();
    transport.write(b"that is all").unwrap();
    transport.lose_write_connection();
    transport.lose_write_connection();
    assert!(transport.write(b"no more").is_err());
    assert_eq!(read_to_end(&event_loop, &mut peer), (b"that is all".to_vec(), None));
    assert!(!transport.is_disconnecting());
    peer.write_all(b"thanks").unwrap();
    turn_until(&event_loop, || diary.received.get() == 6);
    assert_eq!(diary.take(), ["made", "writelost", "data thanks"]);
    peer.shutdown(Shutdown::Write).unwrap();
    turn_until(&event_loop, || diary.is_lost());
    assert_eq!(diary.take(), ["readlost", "lost: done"]);
    assert_clean(&event_loop);
}

#[test]
fn half_close_with_full_buffers_waits_for_the_last_byte() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(&event_loop, Acting::half_closing(&diary, |_, _, _| Ok(())));
    let data = much();
    diary.transport().write(&data).unwrap();
    diary.transport().lose_write_connection();
    some_turns(&event_loop);
    assert_eq!(diary.take(), ["made"]);
    assert!(read_to_end(&event_loop, &mut peer) == (data, None));
    turn_until(&event_loop, || !diary.transport().is_reading() || diary.take() == ["writelost"]);
    assert!(!diary.is_lost());
}

#[test]
fn without_half_close_a_protocol_can_still_end_its_own_half_and_is_lost_with_the_peers() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(&event_loop, Acting::new(&diary, |_, _, _| Ok(())));
    diary.transport().lose_write_connection();
    assert_eq!(read_to_end(&event_loop, &mut peer), (Vec::new(), None));
    peer.write_all(b"still read").unwrap();
    turn_until(&event_loop, || diary.received.get() > 0);
    drop(peer);
    turn_until(&event_loop, || diary.is_lost());
    assert_eq!(diary.take(), ["made", "data still read", "lost: done"], "no half-close call for it");
}

#[test]
fn half_close_and_then_lose_connection_closes_without_waiting_for_the_peer() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(&event_loop, Acting::half_closing(&diary, |_, _, _| Ok(())));
    diary.transport().write(b"bye").unwrap();
    diary.transport().lose_write_connection();
    diary.transport().lose_connection();
    turn_until(&event_loop, || diary.is_lost());
    assert_eq!(diary.take().last().unwrap(), "lost: done");
    assert_eq!(read_to_end(&event_loop, &mut peer), (b"bye".to_vec(), None));
}

#[test]
fn a_half_closed_connection_with_nothing_to_write_is_told_of_its_peers_reset() {
    for portable in [false, true] {
        let event_loop = EventLoop::builder().portable_wait(portable).build().unwrap();
        let diary = Diary::new();
        let peer = accepted(&event_loop, Acting::half_closing(&diary, |_, _, _| Ok(())));
        peer.shutdown(Shutdown::Write).unwrap();
        turn_until(&event_loop, || diary.take().last().is_some_and(|last| last == "readlost"));
        // The end of data stands for ever, and must not keep the loop awake.
        let (_, trace) = ropewalk::trace::record(|| some_turns(&event_loop));
        let woken = trace.events().filter(
            |event| matches!(event.kind, ropewalk::trace::Kind::PollEnd { ready, .. } if !ready.is_empty()),
        );
        assert_eq!(woken.count(), 0, "portable: {portable}");
        reset(peer);
        turn_until(&event_loop, || diary.is_lost());
        assert_eq!(diary.take(), ["lost: brokenpipe"]);
        assert_clean(&event_loop);
    }
}

// Reading and pausing.

#[test]
fn a_paused_connection_whose_peer_closes_hears_of_the_data_and_then_of_the_end_when_it_is_resumed() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(&event_loop, Acting::new(&diary, |_, _, _| Ok(())));
    diary.transport().pause_producing();
    peer.write_all(b"last words").unwrap();
    drop(peer);
    some_turns(&event_loop);
    assert_eq!(diary.take(), ["made"]);
    diary.transport().resume_producing();
    turn_until(&event_loop, || diary.is_lost());
    assert_eq!(diary.take(), ["data last words", "lost: done"]);
}

#[test]
fn a_pause_inside_data_received_holds_however_much_has_come() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(
        &event_loop,
        Acting::new(&diary, |_, transport, told| {
            if let Told::Data(_) = told {
                transport.pause_producing();
            }
            Ok(())
        }),
    );
    let _ = peer.write(&much());
    turn_until(&event_loop, || diary.received.get() > 0);
    let first = diary.received.get();
    assert!(first <= 65536, "{first} bytes in one go");
    some_turns(&event_loop);
    assert_eq!(diary.received.get(), first);
    diary.transport().resume_producing();
    turn_until(&event_loop, || diary.received.get() > first);
}

#[test]
fn a_pause_and_a_resume_inside_data_received_change_nothing_and_nothing_is_delivered_inside() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(
        &event_loop,
        Acting::new(&diary, |_, transport, told| {
            if let Told::Data(_) = told {
                transport.pause_producing();
                transport.resume_producing(); // `Diary::enter` fails when data comes inside
                assert!(transport.is_reading());
            }
            Ok(())
        }),
    );
    let data = much();
    let mut sent = 0;
    turn_until(&event_loop, || {
        sent += peer.write(&data[sent..]).unwrap_or(0);
        diary.received.get() == data.len()
    });
}

#[test]
fn a_pause_in_connection_made_holds_back_what_has_come_already() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let port = {
        let mut protocol = Some(Acting::new(&diary, |_: &EventLoop, transport: &Transport, told: Told<'_>| {
            if let Told::Made = told {
                transport.pause_producing();
            }
            Ok(())
        }));
        event_loop.listen_tcp("127.0.0.1:0", move |_, _| protocol.take()).unwrap()
    };
    let mut peer = connect(port.address().as_tcp().unwrap());
    peer.write_all(b"early").unwrap();
    some_turns(&event_loop);
    assert_eq!(diary.take(), ["made"]);
    diary.transport().resume_producing();
    turn_until(&event_loop, || diary.received.get() == 5);
}

// Listening and connecting.

#[test]
fn stop_listening_in_the_factory_and_in_connection_made_serves_this_connection_and_no_other() {
    for in_factory in [true, false] {
        let event_loop = EventLoop::new().unwrap();
        let diary = Diary::new();
        let port = Rc::new(RefCell::new(None::<ropewalk::Port>));
        let (own, built) = (port.clone(), Rc::new(Cell::new(0)));
        let (noted, count) = (diary.clone(), built.clone());
        let listening = event_loop
            .listen_tcp("127.0.0.1:0", move |event_loop, _| {
                count.set(count.get() + 1);
                if in_factory {
                    own.borrow().as_ref().unwrap().stop_listening(event_loop).detach();
                }
                let own = own.clone();
                Some(Acting::new(&noted, move |event_loop, _, told| {
                    if let Told::Made = told {
                        own.borrow().as_ref().unwrap().stop_listening(event_loop).detach();
                    }
                    Ok(())
                }))
            })
            .unwrap();
        let address = listening.address().as_tcp().unwrap();
        port.replace(Some(listening.clone()));
        let mut peer = connect(address);
        turn_until(&event_loop, || !listening.is_listening());
        event_loop.run_until(listening.stop_listening(&event_loop)).unwrap();
        peer.write_all(b"hello").unwrap();
        turn_until(&event_loop, || diary.received.get() == 5);
        assert_eq!((diary.take().as_slice(), built.get()), (&["made".to_owned(), "data hello".into()][..], 1));
        diary.transport().abort();
        turn_until(&event_loop, || diary.is_lost());
        assert_clean(&event_loop);
    }
}

#[test]
fn stop_listening_twice_fires_both_and_the_address_is_free_when_they_fire() {
    let event_loop = EventLoop::new().unwrap();
    let port = event_loop.listen_tcp("127.0.0.1:0", |_, _| None::<Box<dyn ropewalk::Protocol>>).unwrap();
    let address = port.address().as_tcp().unwrap();
    let (one, two) = (port.stop_listening(&event_loop), port.stop_listening(&event_loop));
    assert!(!one.has_result() && !two.has_result(), "never inside the call");
    event_loop.run_until(one).unwrap();
    TcpListener::bind(address).unwrap();
    event_loop.run_until(two).unwrap();
    event_loop.run_until(port.stop_listening(&event_loop)).unwrap();
}

#[test]
fn a_client_whose_server_closes_at_once_is_made_then_fired_then_lost() {
    for breaks in [false, true] {
        let event_loop = EventLoop::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let diary = Diary::new();
        let noted = diary.clone();
        let connecting = event_loop
            .connect_tcp(listener.local_addr().unwrap(), Acting::new(&diary, |_, _, _| Ok(())))
            .map(move |_| noted.note("fired"));
        event_loop.turn(None).unwrap();
        let (server, _) = listener.accept().unwrap();
        if breaks {
            reset(server)
        } else {
            drop(server)
        }
        event_loop.run_until(connecting).unwrap();
        turn_until(&event_loop, || diary.is_lost());
        let reason = if breaks { "lost: connectionreset" } else { "lost: done" };
        assert_eq!(diary.take(), ["made", "fired", reason]);
        assert_clean(&event_loop);
    }
}

#[test]
fn a_cancel_of_connecting_counts_until_connection_made_and_not_behind_it() {
    let event_loop = EventLoop::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let diary = Diary::new();
    // Connected in the kernel, but the loop has not looked: the protocol is never told.
    let connecting = event_loop.connect_tcp(listener.local_addr().unwrap(), Acting::new(&diary, |_, _, _| Ok(())));
    event_loop.turn(Some(std::time::Duration::ZERO)).unwrap();
    if !connecting.has_result() {
        connecting.cancel();
        let failure = event_loop.run_until(connecting).unwrap_err();
        assert!(failure.check::<CancelledError>().is_some());
        assert!(diary.take().is_empty());
    }
    assert_clean_but_connected(&event_loop, &diary);
    // Cancelled by the protocol itself, in connection_made: the attempt fails, the connection is the protocol's.
    let diary = Diary::new();
    let handle = Rc::new(RefCell::new(None::<ropewalk::CancelHandle>));
    let own = handle.clone();
    let connecting = event_loop.connect_tcp(
        listener.local_addr().unwrap(),
        Acting::new(&diary, move |_, _, told| {
            if let Told::Made = told {
                own.borrow().as_ref().unwrap().cancel();
            }
            Ok(())
        }),
    );
    handle.replace(Some(connecting.cancel_handle()));
    let failure = event_loop.run_until(connecting).unwrap_err();
    assert!(failure.check::<CancelledError>().is_some());
    assert_clean_but_connected(&event_loop, &diary);
}

/// Nothing is left but perhaps a connection, which is then closed.
fn assert_clean_but_connected(event_loop: &EventLoop, diary: &Rc<Diary>) {
    if diary.take().contains(&"made".to_owned()) {
        diary.transport().abort();
        turn_until(event_loop, || diary.is_lost());
    }
    assert_clean(event_loop);
}

#[test]
fn a_failed_attempt_is_never_told_to_the_protocol() {
    let event_loop = EventLoop::new().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let diary = Diary::new();
    let connecting = event_loop.connect_tcp(free, Acting::new(&diary, |_, _, _| Ok(())));
    assert!(event_loop.run_until(connecting).unwrap_err().check::<ConnectError>().is_some());
    some_turns(&event_loop);
    assert!(diary.take().is_empty());
}

#[test]
fn a_cancelled_attempt_that_nobody_answers_lets_its_protocol_go_at_once() {
    struct Dropped(Rc<Cell<bool>>);
    impl ropewalk::Protocol for Dropped {}
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    for under_way in [false, true] {
        let test = ropewalk::testing::MemoryLoop::new().unwrap();
        let port = test.network().listen_silently("server");
        let gone = Rc::new(Cell::new(false));
        let connecting = test.network().connect(&test, "server", Dropped(gone.clone()));
        if under_way {
            test.settle();
        }
        connecting.cancel();
        assert!(gone.get(), "under way: {under_way}");
        assert!(ropewalk::testing::failure_of(connecting).check::<CancelledError>().is_some());
        port.stop_listening();
        test.assert_clean();
    }
}
