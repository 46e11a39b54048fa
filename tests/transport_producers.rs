//! Flow control, case by case: push and pull producers, producers that fail, and connections that close under them.

#[path = "support/peer.rs"]
mod peer;

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;

use peer::{Acting, Diary, Told, accepted, much, read_to_end, reset, some_turns, turn_until};
use ropewalk::testing::assert_clean;
use ropewalk::{EventLoop, Failure, Producer, ProducerError, Streaming, Transport};

/// Notes what it is told, and does as it is told to.
struct Noting<F> {
    diary: Rc<Diary>,
    act: F,
}

impl<F: FnMut(&EventLoop, Told<'_>) -> Result<(), Failure> + 'static> Producer for Noting<F> {
    fn pause_producing(&mut self, event_loop: &EventLoop) -> Result<(), Failure> {
        self.diary.note("pause producing");
        (self.act)(event_loop, Told::Pause)
    }

    fn resume_producing(&mut self, event_loop: &EventLoop) -> Result<(), Failure> {
        self.diary.note("resume producing");
        (self.act)(event_loop, Told::Resume)
    }

    fn stop_producing(&mut self, _: &EventLoop) {
        self.diary.note("stop producing");
    }
}

fn producer(
    diary: &Rc<Diary>,
    act: impl FnMut(&EventLoop, Told<'_>) -> Result<(), Failure> + 'static,
) -> impl Producer {
    Noting { diary: diary.clone(), act }
}

fn quiet(_: &EventLoop, _: &Transport, _: Told<'_>) -> Result<(), Failure> {
    Ok(())
}

#[test]
fn a_push_producer_is_paused_above_the_high_mark_and_resumed_when_all_is_sent() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(&event_loop, Acting::new(&diary, quiet));
    let transport = diary.transport();
    transport.register_producer(&event_loop, producer(&diary, |_, _| Ok(())), Streaming::Push).unwrap();
    some_turns(&event_loop);
    assert_eq!(diary.take(), ["made"], "nothing waits, nothing is told");
    transport.write(&much()).unwrap();
    assert_eq!(diary.take(), [""; 0], "never inside write");
    some_turns(&event_loop);
    assert_eq!(diary.take(), ["pause producing"], "once");
    transport.write(b"more").unwrap();
    some_turns(&event_loop);
    assert_eq!(diary.take(), [""; 0], "not again while it is paused");
    transport.lose_write_connection();
    turn_until(&event_loop, || {
        let mut some = [0; 65536];
        while matches!(std::io::Read::read(&mut peer, &mut some), Ok(1..)) {}
        !transport.is_full() && transport.buffered() == 0
    });
    some_turns(&event_loop);
    assert_eq!(diary.take(), ["resume producing"]);
    transport.unregister_producer();
    transport.abort();
    turn_until(&event_loop, || diary.is_lost());
    assert_clean(&event_loop);
}

#[test]
fn a_pull_producer_is_asked_when_it_registers_and_whenever_all_is_sent_until_it_unregisters() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(&event_loop, Acting::new(&diary, quiet));
    let transport = diary.transport();
    let (own, left) = (transport.clone(), Cell::new(3));
    let pull = producer(&diary, move |_, _| {
        left.set(left.get() - 1);
        own.write(b"piece ")?;
        if left.get() == 0 {
            own.unregister_producer();
            own.lose_connection();
        }
        Ok(())
    });
    transport.register_producer(&event_loop, pull, Streaming::Pull).unwrap();
    assert_eq!(diary.take(), ["made"], "never inside register_producer");
    assert_eq!(read_to_end(&event_loop, &mut peer), (b"piece piece piece ".to_vec(), None));
    turn_until(&event_loop, || diary.is_lost());
    assert_eq!(diary.take(), ["resume producing", "resume producing", "resume producing", "lost: done"]);
}

#[test]
fn a_second_producer_is_refused_and_the_first_goes_on() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let _peer = accepted(&event_loop, Acting::new(&diary, quiet));
    let transport = diary.transport();
    transport.register_producer(&event_loop, producer(&diary, |_, _| Ok(())), Streaming::Push).unwrap();
    let other = Diary::new();
    let refused = transport.register_producer(&event_loop, producer(&other, |_, _| Ok(())), Streaming::Pull);
    assert_eq!(refused, Err(ProducerError::AlreadyRegistered));
    assert_eq!(transport.register_own_producer(Streaming::Push), Err(ProducerError::AlreadyRegistered));
    transport.write(&much()).unwrap();
    some_turns(&event_loop);
    assert_eq!((diary.take(), other.take()), (vec!["made".into(), "pause producing".into()], vec![]));
    transport.unregister_producer();
    transport.register_producer(&event_loop, producer(&other, |_, _| Ok(())), Streaming::Push).unwrap();
    some_turns(&event_loop);
    assert_eq!(other.take(), ["pause producing"], "much still waits");
}

#[test]
fn a_producer_that_comes_too_late_is_stopped_at_once() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let peer = accepted(&event_loop, Acting::new(&diary, quiet));
    let transport = diary.transport();
    drop(peer);
    turn_until(&event_loop, || diary.is_lost());
    let late = transport.register_producer(&event_loop, producer(&diary, |_, _| Ok(())), Streaming::Pull);
    assert_eq!(late, Err(ProducerError::Disconnected));
    assert_eq!(diary.take(), ["made", "lost: done", "stop producing"]);
    assert_eq!(transport.register_own_producer(Streaming::Push), Err(ProducerError::Disconnected));
}

#[test]
fn the_producer_is_stopped_before_connection_lost_whatever_ends_the_connection() {
    for how in ["peer", "reset", "abort", "error"] {
        let event_loop = EventLoop::new().unwrap();
        let diary = Diary::new();
        let mut peer = accepted(
            &event_loop,
            Acting::new(&diary, |_, _, told| match told {
                Told::Data(_) => Err(Failure::msg("enough")),
                _ => Ok(()),
            }),
        );
        let transport = diary.transport();
        transport.register_producer(&event_loop, producer(&diary, |_, _| Ok(())), Streaming::Push).unwrap();
        diary.take();
        let reason = match how {
            "peer" => {
                drop(peer);
                "lost: done"
            }
            "reset" => {
                reset(peer);
                "lost: connectionreset"
            }
            "abort" => {
                transport.abort();
                "lost: aborted"
            }
            _ => {
                peer.write_all(b"x").unwrap();
                "lost: enough"
            }
        };
        turn_until(&event_loop, || diary.is_lost());
        let told = diary.take();
        assert_eq!(told[told.len() - 2..], ["stop producing", reason], "{how}");
        assert_clean(&event_loop);
    }
}

#[test]
fn a_producer_that_fails_or_panics_loses_its_connection_with_that_and_is_stopped() {
    for (panics, kind) in
        [(false, Streaming::Pull), (true, Streaming::Pull), (false, Streaming::Push), (true, Streaming::Push)]
    {
        let event_loop = EventLoop::new().unwrap();
        let (diary, other) = (Diary::new(), Diary::new());
        let _peer = accepted(&event_loop, Acting::new(&diary, quiet));
        let mut bystander = accepted(&event_loop, Acting::new(&other, quiet));
        let failing = producer(&diary, move |_, _| match panics {
            true => panic!("out of poems"),
            false => Err(Failure::msg("out of poems")),
        });
        let transport = diary.transport();
        transport.register_producer(&event_loop, failing, kind).unwrap();
        let called = match kind {
            Streaming::Pull => "resume producing",
            Streaming::Push => {
                transport.write(&much()).unwrap();
                "pause producing"
            }
        };
        turn_until(&event_loop, || diary.is_lost());
        let told = diary.take();
        assert_eq!(told[..3], ["made", called, "stop producing"]);
        assert!(told[3].starts_with("lost: ") && told[3].contains("out of poems"), "{told:?}");
        bystander.write_all(b"still here").unwrap();
        turn_until(&event_loop, || other.received.get() == 10);
    }
}

#[test]
fn lose_connection_waits_until_the_producer_unregisters() {
    for kind in [Streaming::Pull, Streaming::Push] {
        let event_loop = EventLoop::new().unwrap();
        let diary = Diary::new();
        let mut peer = accepted(&event_loop, Acting::new(&diary, quiet));
        let transport = diary.transport();
        transport.register_producer(&event_loop, producer(&diary, |_, _| Ok(())), kind).unwrap();
        transport.write(b"first ").unwrap();
        transport.lose_connection();
        some_turns(&event_loop);
        assert!(!diary.is_lost() && transport.is_disconnecting());
        transport.write(b"last").unwrap();
        some_turns(&event_loop);
        assert!(!diary.is_lost());
        transport.unregister_producer();
        assert!(!diary.is_lost(), "never inside unregister_producer");
        assert_eq!(read_to_end(&event_loop, &mut peer), (b"first last".to_vec(), None));
        turn_until(&event_loop, || diary.is_lost());
        let told = diary.take();
        assert_eq!(told.last().unwrap(), "lost: done");
        assert!(!told.contains(&"stop producing".to_owned()), "who has unregistered is told nothing");
        assert_clean(&event_loop);
    }
}

#[test]
fn unregistering_with_full_buffers_while_closing_still_sends_everything() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(&event_loop, Acting::new(&diary, quiet));
    let transport = diary.transport();
    transport.register_producer(&event_loop, producer(&diary, |_, _| Ok(())), Streaming::Push).unwrap();
    let data = much();
    transport.write(&data).unwrap();
    transport.lose_connection();
    some_turns(&event_loop);
    transport.unregister_producer();
    some_turns(&event_loop);
    assert!(!diary.is_lost());
    assert!(read_to_end(&event_loop, &mut peer) == (data, None));
    turn_until(&event_loop, || diary.is_lost());
    assert_eq!(diary.take(), ["made", "pause producing", "lost: done"]);
}

#[test]
fn a_connection_as_producer_is_not_waited_for_and_reads_on() {
    // As Twisted does for a push producer that is not paused; and one that is would never be resumed by a connection
    // whose program has just said that nothing follows.
    let event_loop = EventLoop::new().unwrap();
    let (from, to) = (Diary::new(), Diary::new());
    let mut source = accepted(&event_loop, Acting::new(&from, quiet));
    let mut sink = accepted(&event_loop, Acting::new(&to, quiet));
    to.transport().register_producer(&event_loop, from.transport(), Streaming::Push).unwrap();
    let data = much();
    to.transport().write(&data).unwrap();
    some_turns(&event_loop);
    assert!(from.transport().is_paused(), "much waits on the other side");
    to.transport().lose_connection();
    assert!(!from.transport().is_paused());
    assert!(read_to_end(&event_loop, &mut sink) == (data, None));
    turn_until(&event_loop, || to.is_lost());
    source.write_all(b"and on").unwrap();
    turn_until(&event_loop, || from.received.get() == 6);
    assert_eq!(from.take(), ["made", "data and on"]);
}

#[test]
fn a_connection_as_producer_is_closed_when_its_consumer_is_lost() {
    let event_loop = EventLoop::new().unwrap();
    let (from, to) = (Diary::new(), Diary::new());
    let mut source = accepted(&event_loop, Acting::new(&from, quiet));
    let sink = accepted(&event_loop, Acting::new(&to, quiet));
    to.transport().register_producer(&event_loop, from.transport(), Streaming::Push).unwrap();
    reset(sink);
    turn_until(&event_loop, || to.is_lost() && from.is_lost());
    assert_eq!(
        (to.take(), from.take()),
        (vec!["made".into(), "lost: connectionreset".into()], vec!["made".into(), "lost: done".into()])
    );
    assert_eq!(read_to_end(&event_loop, &mut source), (Vec::new(), None));
    assert_clean(&event_loop);
}

#[test]
fn a_fast_side_is_held_to_the_water_marks_of_a_slow_one() {
    const HIGH: usize = 10_000;
    let event_loop = EventLoop::new().unwrap();
    let (from, to) = (Diary::new(), Diary::new());
    let mut sink = accepted(&event_loop, Acting::new(&to, quiet));
    let out = to.transport();
    out.set_water_marks(HIGH, 0);
    let (most, watch) = (Rc::new(Cell::new(0)), to.transport());
    let noted = most.clone();
    let mut source = accepted(
        &event_loop,
        Acting::new(&from, move |_, _, told| {
            if let Told::Data(data) = told {
                watch.write(data)?;
                noted.set(noted.get().max(watch.buffered()));
            }
            Ok(())
        }),
    );
    out.register_producer(&event_loop, from.transport(), Streaming::Push).unwrap();
    let data = much();
    let (mut sent, mut got) = (0, 0);
    // The sink does not read until nothing moves any more.
    let mut still = 0;
    while still < 50 {
        let n = source.write(&data[sent..]).unwrap_or(0);
        sent += n;
        still =
            if n == 0 && event_loop.turn(Some(std::time::Duration::ZERO)).unwrap() == 0 { still + 1 } else { 0 };
    }
    assert!(sent < data.len() && from.transport().is_paused());
    turn_until(&event_loop, || {
        sent += source.write(&data[sent..]).unwrap_or(0);
        let mut some = [0; 65536];
        while let Ok(n @ 1..) = std::io::Read::read(&mut sink, &mut some) {
            assert!(some[..n] == data[got..got + n]);
            got += n;
        }
        got == data.len()
    });
    assert!(most.get() <= HIGH + 65536, "{} bytes waited", most.get());
}

#[test]
fn a_producer_may_unregister_or_replace_itself_while_it_is_called() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let mut peer = accepted(&event_loop, Acting::new(&diary, quiet));
    let transport = diary.transport();
    let (own, second) = (transport.clone(), Rc::new(RefCell::new(None)));
    let (next, last) = (diary.clone(), transport.clone());
    second.replace(Some(producer(&next, move |_, _| {
        last.write(b"second")?;
        last.unregister_producer();
        last.lose_connection();
        Ok(())
    })));
    let first = producer(&diary, move |event_loop, _| {
        own.write(b"first ")?;
        own.unregister_producer();
        if let Some(second) = second.borrow_mut().take() {
            own.register_producer(event_loop, second, Streaming::Pull)?;
        }
        Ok(())
    });
    transport.register_producer(&event_loop, first, Streaming::Pull).unwrap();
    assert_eq!(read_to_end(&event_loop, &mut peer), (b"first second".to_vec(), None));
    turn_until(&event_loop, || diary.is_lost());
    assert_eq!(diary.take(), ["made", "resume producing", "resume producing", "lost: done"]);
    assert_clean(&event_loop);
}

#[test]
fn a_connection_that_waits_for_its_producer_while_it_closes_is_told_of_its_peers_reset() {
    let event_loop = EventLoop::new().unwrap();
    let diary = Diary::new();
    let peer = accepted(&event_loop, Acting::new(&diary, quiet));
    let transport = diary.transport();
    transport.register_producer(&event_loop, producer(&diary, |_, _| Ok(())), Streaming::Push).unwrap();
    transport.lose_connection();
    some_turns(&event_loop);
    reset(peer);
    turn_until(&event_loop, || diary.is_lost());
    assert_eq!(diary.take(), ["made", "stop producing", "lost: connectionreset"]);
    assert_clean(&event_loop);
}
