//! tokio: a current_thread runtime with a `LocalSet`, as its tasks need not be `Send` either.

use std::future::{Future, poll_fn};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};

use super::{Cost, Elsewhere, WakeSelf, cost};

fn run(n: u64, future: impl Future<Output = ()>) -> Cost {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = LocalSet::new();
    cost(n, || local.block_on(&runtime, future))
}

pub(crate) fn spawn(n: u64) -> Cost {
    run(n, async move {
        for _ in 0..n {
            spawn_local(async { 1 }).await.unwrap();
        }
    })
}

pub(crate) fn wake(n: u64) -> Cost {
    run(n, async move { spawn_local(WakeSelf { left: n }).await.unwrap() })
}

pub(crate) fn elsewhere(n: u64) -> Cost {
    let shared = Arc::new(Elsewhere::default());
    let thread = shared.start(n);
    let cost =
        run(
            n,
            async move { spawn_local(async move { poll_fn(|context| shared.poll(context)).await }).await.unwrap() },
        );
    thread.join().unwrap();
    cost
}

pub(crate) fn ready(n: u64) -> Cost {
    run(n, async move {
        let mut sum = 0;
        for i in 0..n {
            let (sender, receiver) = oneshot::channel();
            let _ = sender.send(i);
            sum += receiver.await.unwrap();
        }
        std::hint::black_box(sum);
    })
}

pub(crate) fn pending(n: u64) -> Cost {
    run(n, async move {
        for i in 0..n {
            let (sender, receiver) = oneshot::channel();
            spawn_local(async move {
                let _ = sender.send(i);
            });
            receiver.await.unwrap();
        }
    })
}

pub(crate) fn echo(n: u64) -> Cost {
    run(n, async move {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let echo = spawn_local(async move {
            let mut buffer = [0; 64];
            loop {
                match other.read(&mut buffer).await.unwrap() {
                    0 => return,
                    n => other.write_all(&buffer[..n]).await.unwrap(),
                }
            }
        });
        let client = spawn_local(async move {
            let mut buffer = [0; 64];
            for _ in 0..n {
                one.write_all(b"ping").await.unwrap();
                assert_eq!(one.read(&mut buffer).await.unwrap(), 4);
            }
        });
        client.await.unwrap();
        echo.await.unwrap();
    })
}
