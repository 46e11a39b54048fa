//! `futures` on ropewalk: its `FuturesUnordered`, `select!`, `join!` and channels around tasks and Deferreds of one loop.
//!
//! ```text
//! cargo run --example futures_on_ropewalk
//! ```
//!
//! Five poets write, three of them at a time. What they finish goes through a channel of `futures` to a task that
//! collects it, and through another one to a thread that knows nothing of the loop. One more poet takes too long.

use std::error::Error;
use std::time::Duration;

use futures::channel::{mpsc, oneshot};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, join, select};
use ropewalk::bridge::sleep;
use ropewalk::{Deferred, EventLoop, Failure, Handle};

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let event_loop = EventLoop::new()?;
    let (to_reader, reader) = oneshot::channel::<Vec<String>>();
    let thread = std::thread::spawn(move || match futures::executor::block_on(reader) {
        Ok(poems) => println!("a reader on a thread got {} poems", poems.len()),
        Err(gone) => println!("the loop is gone: {gone}"),
    });

    let (finished, collected) = mpsc::unbounded();
    let collector = event_loop.spawn(async move { Ok(collected.collect::<Vec<String>>().await) });
    let handle = event_loop.handle();
    let poems = event_loop.block_on(async {
        let (written, given_up) = join!(write_all(&handle, finished), wait_for_the_late_one(&handle));
        written?;
        println!("{}", given_up?);
        collector.await
    })?;
    for poem in &poems {
        println!("{poem}");
    }
    to_reader.send(poems).map_err(|_| "the reader is gone")?;
    thread.join().map_err(|_| "the reader panicked")?;
    Ok(())
}

/// A poet is a Deferred: callbacks and timers of the loop, awaited below.
fn poet(handle: &Handle, n: u64) -> Deferred<String> {
    handle.defer_later(Duration::from_millis(10 * (6 - n)), move |_| Ok(format!("poem {n}")))
}

/// All five, three at a time: whoever is ready makes room for the next.
async fn write_all(handle: &Handle, finished: mpsc::UnboundedSender<String>) -> Result<(), Failure> {
    let mut at_work = FuturesUnordered::new();
    for n in 1..=5 {
        if at_work.len() == 3
            && let Some(poem) = at_work.next().await
        {
            finished.unbounded_send(poem?)?;
        }
        at_work.push(poet(handle, n).into_future());
    }
    while let Some(poem) = at_work.next().await {
        finished.unbounded_send(poem?)?;
    }
    Ok(())
}

/// `select!` takes what comes first. The other one is dropped at the end, which cancels it.
async fn wait_for_the_late_one(handle: &Handle) -> Result<String, Failure> {
    let mut late = poet(handle, 0).map(|_| "an epic".to_owned()).into_future().fuse();
    let mut limit = sleep(handle, Duration::from_millis(30)).fuse();
    select! {
        poem = late => poem,
        over = limit => {
            over?;
            Ok("nobody waits for the epic any longer".to_owned())
        }
    }
}
