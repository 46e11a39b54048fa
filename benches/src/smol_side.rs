//! smol: its local executor, with async-io's reactor.

use std::future::{Future, poll_fn};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;

use async_executor::LocalExecutor;
use async_io::Async;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::{Cost, Elsewhere, WakeSelf, cost};

fn run<F: Future<Output = ()>>(n: u64, future: impl FnOnce(Rc<LocalExecutor<'static>>) -> F) -> Cost {
    let executor = Rc::new(LocalExecutor::new());
    let future = future(executor.clone());
    cost(n, || async_io::block_on(executor.run(future)))
}

pub(crate) fn spawn(n: u64) -> Cost {
    run(n, |executor| async move {
        for _ in 0..n {
            executor.spawn(async { 1 }).await;
        }
    })
}

pub(crate) fn wake(n: u64) -> Cost {
    run(n, |executor| async move { executor.spawn(WakeSelf { left: n }).await })
}

pub(crate) fn elsewhere(n: u64) -> Cost {
    let shared = Arc::new(Elsewhere::default());
    let thread = shared.start(n);
    let cost = run(n, |executor| async move {
        executor.spawn(async move { poll_fn(|context| shared.poll(context)).await }).await
    });
    thread.join().unwrap();
    cost
}

pub(crate) fn pending(n: u64) -> Cost {
    run(n, |executor| async move {
        for i in 0..n {
            std::hint::black_box(executor.spawn(async move { i }).await);
        }
    })
}

pub(crate) fn echo(n: u64) -> Cost {
    run(n, |executor| async move {
        let (mut one, mut other) = Async::<UnixStream>::pair().unwrap();
        let echo = executor.spawn(async move {
            let mut buffer = [0; 64];
            loop {
                match other.read(&mut buffer).await.unwrap() {
                    0 => return,
                    n => other.write_all(&buffer[..n]).await.unwrap(),
                }
            }
        });
        let client = executor.spawn(async move {
            let mut buffer = [0; 64];
            for _ in 0..n {
                one.write_all(b"ping").await.unwrap();
                assert_eq!(one.read(&mut buffer).await.unwrap(), 4);
            }
        });
        client.await;
        echo.await;
    })
}
