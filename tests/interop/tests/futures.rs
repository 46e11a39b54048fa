//! What `futures` builds, unchanged, on this loop: `join`, `select`, channels, `FuturesUnordered`, I/O adapters.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures::channel::{mpsc, oneshot};
use futures::future::{Either, FutureExt, join, join_all, select};
use futures::stream::{FuturesUnordered, StreamExt};
use futures::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, SinkExt, pin_mut, select as select_now};
use ropewalk::bridge::{UnixStream, sleep};
use ropewalk::{Deferred, EventLoop, Failure, TestClock};

const SECOND: Duration = Duration::from_secs(1);

fn on_a_test_clock() -> (TestClock, EventLoop) {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
    (clock, event_loop)
}

#[test]
fn join_waits_for_both_and_join_all_for_many() {
    let (clock, event_loop) = on_a_test_clock();
    let handle = event_loop.handle();
    let work = |n: u32| {
        let handle = handle.clone();
        async move {
            sleep(&handle, n * SECOND).await.unwrap();
            n
        }
    };
    let all =
        event_loop.block_on(async { Ok((join(work(2), work(1)).await, join_all((1..=100).map(work)).await)) });
    let (both, many) = all.unwrap();
    assert_eq!(both, (2, 1));
    assert_eq!(many, (1..=100).collect::<Vec<_>>());
    assert_eq!(clock.now(), 102 * SECOND);
}

#[test]
fn select_takes_the_first_and_dropping_the_other_takes_its_timer_away() {
    let (clock, event_loop) = on_a_test_clock();
    let (resolver, never) = Deferred::<()>::new();
    event_loop
        .block_on(async {
            let slow = sleep(&event_loop, 60 * SECOND);
            let fast = sleep(&event_loop, SECOND);
            pin_mut!(slow, fast);
            assert!(matches!(select(slow, fast).await, Either::Right(_)));
            let mut waiting = never.into_future().fuse();
            let mut limit = sleep(&event_loop, SECOND).fuse();
            select_now! {
                _ = waiting => panic!("nobody fires it"),
                _ = limit => {}
            }
            Ok(())
        })
        .unwrap();
    assert!(resolver.is_cancelled());
    assert_eq!(clock.now(), 2 * SECOND);
    assert!(event_loop.still_registered().is_empty());
}

#[test]
fn futures_unordered_polls_only_what_was_woken() {
    let (_clock, event_loop) = on_a_test_clock();
    let polls = Rc::new(Cell::new(0));
    let order = event_loop
        .block_on(async {
            let set = FuturesUnordered::new();
            for n in (1..=50_u32).rev() {
                let (handle, polls) = (event_loop.handle(), polls.clone());
                set.push(async move {
                    let asleep = sleep(&handle, n * SECOND);
                    pin_mut!(asleep);
                    futures::future::poll_fn(|context| {
                        polls.set(polls.get() + 1);
                        asleep.poll_unpin(context)
                    })
                    .await
                    .unwrap();
                    n
                });
            }
            Ok(set.collect::<Vec<_>>().await)
        })
        .unwrap();
    assert_eq!(order, (1..=50).collect::<Vec<_>>());
    assert_eq!(polls.get(), 100, "each once to begin and once to end");
}

#[test]
fn channels_carry_values_between_tasks_and_from_threads() {
    let event_loop = EventLoop::new().unwrap();
    let (mut to_loop, mut from_thread) = mpsc::channel::<u64>(4);
    let (answer, told) = oneshot::channel::<u64>();
    let thread = std::thread::spawn(move || {
        for n in 1..=1000 {
            futures::executor::block_on(to_loop.send(n)).unwrap();
        }
        drop(to_loop);
        futures::executor::block_on(told).unwrap()
    });
    let (mut to_task, mut from_task) = mpsc::unbounded();
    let sums = event_loop.spawn(async move {
        let mut sum = 0;
        while let Some(n) = from_task.next().await {
            sum += n;
        }
        answer.send(sum).map_err(|_| Failure::msg("the thread is gone"))?;
        Ok(sum)
    });
    let copied = event_loop.spawn(async move {
        while let Some(n) = from_thread.next().await {
            to_task.send(n).await?;
        }
        Ok(())
    });
    assert_eq!(event_loop.run_until(sums).unwrap(), 500_500);
    event_loop.run_until(copied).unwrap();
    assert_eq!(thread.join().unwrap(), 500_500);
}

#[test]
fn the_io_traits_serve_buffered_readers_and_copy() {
    let event_loop = EventLoop::new().unwrap();
    let (one, other) = UnixStream::pair(&event_loop).unwrap();
    let echo = event_loop.spawn(async move { Ok(futures::io::copy(&other, &mut &other).await?) });
    let lines = event_loop.block_on(async {
        let (read, mut write) = one.split();
        write.write_all(b"one\ntwo\nthree\n").await?;
        write.close().await?;
        let lines: Vec<_> = futures::io::BufReader::new(read).lines().collect().await;
        Ok(lines.into_iter().collect::<Result<Vec<_>, _>>()?)
    });
    assert_eq!(lines.unwrap(), ["one", "two", "three"]);
    assert_eq!(event_loop.run_until(echo).unwrap(), 14);
}
