//! ropewalk: tasks of a loop.

use std::future::poll_fn;
use std::sync::Arc;

use ropewalk::bridge::UnixStream;
use ropewalk::{Deferred, EventLoop, Failure};

use super::{Cost, Elsewhere, WakeSelf, cost};

fn on_a_loop(f: impl FnOnce(&EventLoop) -> Cost) -> Cost {
    f(&EventLoop::new().unwrap())
}

pub(crate) fn spawn(n: u64) -> Cost {
    on_a_loop(|event_loop| {
        let handle = event_loop.handle();
        let all = event_loop.spawn(async move {
            for _ in 0..n {
                handle.spawn(async { Ok(1) }).await?;
            }
            Ok(())
        });
        cost(n, || event_loop.run_until(all).unwrap())
    })
}

pub(crate) fn wake(n: u64) -> Cost {
    on_a_loop(|event_loop| {
        let task = event_loop.spawn(async move {
            WakeSelf { left: n }.await;
            Ok(())
        });
        cost(n, || event_loop.run_until(task).unwrap())
    })
}

pub(crate) fn elsewhere(n: u64) -> Cost {
    on_a_loop(|event_loop| {
        let shared = Arc::new(Elsewhere::default());
        let thread = shared.start(n);
        let task = event_loop.spawn(async move {
            poll_fn(|context| shared.poll(context)).await;
            Ok(())
        });
        let cost = cost(n, || event_loop.run_until(task).unwrap());
        thread.join().unwrap();
        cost
    })
}

pub(crate) fn ready(n: u64) -> Cost {
    on_a_loop(|event_loop| {
        cost(n, || {
            let all = async {
                let mut sum = 0;
                for i in 0..n {
                    sum += Deferred::succeed(i).await?;
                }
                Ok::<_, Failure>(sum)
            };
            std::hint::black_box(event_loop.block_on(all).unwrap());
        })
    })
}

pub(crate) fn pending(n: u64) -> Cost {
    on_a_loop(|event_loop| {
        let handle = event_loop.handle();
        let all = event_loop.spawn(async move {
            for i in 0..n {
                let (resolver, answer) = Deferred::new();
                let giver = handle.spawn(async move {
                    resolver.succeed(i);
                    Ok(())
                });
                giver.detach();
                answer.await?;
            }
            Ok(())
        });
        cost(n, || event_loop.run_until(all).unwrap())
    })
}

pub(crate) fn echo(n: u64) -> Cost {
    on_a_loop(|event_loop| {
        let (one, other) = UnixStream::pair(event_loop).unwrap();
        let echo = event_loop.spawn(async move {
            let mut buffer = [0; 64];
            loop {
                match other.read(&mut buffer).await? {
                    0 => return Ok(()),
                    n => other.write_all(&buffer[..n]).await?,
                }
            }
        });
        let cost = cost(n, || {
            let client = event_loop.spawn(async move {
                let mut buffer = [0; 64];
                for _ in 0..n {
                    one.write_all(b"ping").await?;
                    assert_eq!(one.read(&mut buffer).await?, 4);
                }
                Ok(())
            });
            event_loop.run_until(client).unwrap();
        });
        event_loop.run_until(echo).unwrap();
        cost
    })
}
