//! What other threads send: posted calls, channels, Deferreds fired from elsewhere.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use ropewalk::{AbandonedError, EventLoop, Failure, PostError, RunError};

#[test]
fn posts_arrive_in_order_on_the_loops_thread() {
    let event_loop = EventLoop::new().unwrap();
    let here = thread::current().id();
    let remote = event_loop.remote();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = seen.clone();
    let poster = thread::spawn(move || {
        for n in 0..1000 {
            let list = list.clone();
            remote
                .post(move |_| {
                    assert_eq!(thread::current().id(), here);
                    list.lock().unwrap().push(n);
                })
                .unwrap();
        }
        remote.stop();
    });
    event_loop.run().unwrap();
    poster.join().unwrap();
    assert_eq!(*seen.lock().unwrap(), (0..1000).collect::<Vec<_>>());
}

#[test]
fn a_full_mailbox_gives_the_call_back() {
    let event_loop = EventLoop::builder().mailbox_limit(2).build().unwrap();
    let remote = event_loop.remote();
    remote.post(|_| {}).unwrap();
    remote.post(|_| {}).unwrap();
    let Err(PostError::Full(call)) = remote.post(|event_loop: &EventLoop| event_loop.stop()) else {
        panic!("the third does not fit")
    };
    assert_eq!(event_loop.turn(None).unwrap(), 2);
    remote.post(call).unwrap();
    event_loop.run().unwrap();
}

#[test]
fn the_last_remote_to_go_lets_the_loop_notice_that_it_is_idle() {
    for portable in [false, true] {
        let event_loop = EventLoop::builder().portable_wait(portable).build().unwrap();
        let remote = event_loop.remote();
        let (ready, begin) = mpsc::channel();
        let holder = thread::spawn(move || {
            let _: () = begin.recv().unwrap();
            drop(remote);
        });
        event_loop.call_soon(move |_| ready.send(()).unwrap());
        assert!(matches!(event_loop.run(), Err(RunError::Idle(None))));
        holder.join().unwrap();
    }
}

#[test]
fn messages_and_posts_of_one_thread_keep_their_order() {
    let event_loop = EventLoop::new().unwrap();
    let log = Rc::new(RefCell::new(Vec::new()));
    let received = log.clone();
    let posted = Arc::new(Mutex::new(Vec::new()));
    let count = posted.clone();
    let sender = event_loop.channel(10, move |_, n: u32| {
        received.borrow_mut().push((n, count.lock().unwrap().len()));
    });
    let remote = event_loop.remote();
    for n in 0..3 {
        sender.try_send(n).unwrap();
        let posted = posted.clone();
        remote.post(move |_| posted.lock().unwrap().push(n)).unwrap();
    }
    drop(sender);
    assert_eq!(event_loop.turn(None).unwrap(), 7);
    assert_eq!(*log.borrow(), [(0, 0), (1, 1), (2, 2)]);
}

#[test]
fn a_full_channel_blocks_the_sender_until_there_is_room() {
    let event_loop = EventLoop::new().unwrap();
    let sum = Rc::new(RefCell::new(0));
    let total = sum.clone();
    let sender = event_loop.channel(4, move |event_loop, n: u64| {
        *total.borrow_mut() += n;
        if n == 999 {
            event_loop.stop();
        }
    });
    let local = sender.clone();
    let thread = thread::spawn(move || (0..1000).for_each(|n| sender.send(n).unwrap()));
    event_loop.run().unwrap();
    thread.join().unwrap();
    assert_eq!(*sum.borrow(), 499_500);
    // On the loop's own thread a wait would be for ever.
    for n in 0..4 {
        local.send(n).unwrap();
    }
    assert_eq!(local.send(4), Err(PostError::Full(4)));
    drop(event_loop);
    assert_eq!(local.send(5), Err(PostError::Closed(5)));
}

#[test]
fn a_blocked_sender_is_let_go_when_the_loop_is_dropped() {
    let event_loop = EventLoop::new().unwrap();
    let sender = event_loop.channel(1, |_, _: u8| {});
    sender.try_send(1).unwrap();
    let thread = thread::spawn(move || sender.send(2));
    drop(event_loop);
    assert!(matches!(thread.join().unwrap(), Err(PostError::Closed(2))));
}

#[test]
fn a_receiver_that_panics_closes_its_channel() {
    let event_loop = EventLoop::new().unwrap();
    let sender = event_loop.channel(4, |_, _: u8| panic!("expected by the test"));
    sender.try_send(1).unwrap();
    event_loop.turn(None).unwrap();
    assert_eq!(sender.try_send(2), Err(PostError::Closed(2)));
}

#[test]
fn a_deferred_is_fired_from_another_thread() {
    let event_loop = EventLoop::new().unwrap();
    let (resolver, deferred) = event_loop.remote_deferred::<String>();
    let thread = thread::spawn(move || resolver.succeed("from afar".to_owned()));
    assert_eq!(event_loop.run_until(deferred).unwrap(), "from afar");
    thread.join().unwrap();

    let (resolver, deferred) = event_loop.remote_deferred::<u8>();
    let thread = thread::spawn(move || resolver.fail(Failure::msg("broken")));
    assert_eq!(event_loop.run_until(deferred).unwrap_err().to_string(), "broken");
    thread.join().unwrap();

    let (resolver, deferred) = event_loop.remote_deferred::<u8>();
    let thread = thread::spawn(move || drop(resolver));
    assert!(event_loop.run_until(deferred).unwrap_err().check::<AbandonedError>().is_some());
    thread.join().unwrap();
}

#[test]
fn a_cancelled_deferred_tells_the_other_thread() {
    let event_loop = EventLoop::new().unwrap();
    let (resolver, deferred) = event_loop.remote_deferred::<u8>();
    assert!(!resolver.is_cancelled());
    deferred.cancel();
    drop(deferred.add_errback(|_| Ok(0)));
    assert!(resolver.is_cancelled());
    resolver.succeed(1);
    event_loop.turn(None).unwrap();
}
