//! async/await: each fetch is a function that reads as the blocking one does, on the loop that the callbacks have.

use std::rc::Rc;

use ropewalk::bridge::{File, TcpStream, timeout};
use ropewalk::fs::OpenOptions;
use ropewalk::{Deferred, DeferredList, EventLoop, Failure, Handle};

use super::job::{Job, LIMIT, LONGEST, Results};

async fn fetch(handle: &Handle, job: &Job, n: usize) -> Result<String, Failure> {
    let stream = TcpStream::connect(handle, job.server(n)).await?;
    stream.write_all(job.request(n).as_bytes()).await?;
    let bytes = stream.read_to_end(LONGEST).await?;
    job.poem(n, bytes)
}

fn fetch_all(event_loop: &EventLoop, job: &Rc<Job>) -> Vec<Deferred<String>> {
    let one = |n| {
        let (handle, job) = (event_loop.handle(), job.clone());
        event_loop.spawn(async move { timeout(&handle, LIMIT, fetch(&handle, &job, n)).await? })
    };
    (0..job.count).map(one).collect()
}

pub(crate) fn run(event_loop: &EventLoop, job: &Job) -> Result<Results, Failure> {
    event_loop.block_on(async {
        let results = DeferredList::new(fetch_all(event_loop, &Rc::new(job.clone()))).start().await?;
        let results = Results::of(results);
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true);
        let mut file = File::open(event_loop, &job.file, options).await?;
        file.write_all(results.text.as_bytes()).await?;
        Ok(results)
    })
}

pub(crate) fn cancel(event_loop: &EventLoop, job: &Job, wait: impl FnOnce(), ended: impl FnOnce()) -> usize {
    let tasks = DeferredList::new(fetch_all(event_loop, &Rc::new(job.clone()))).start();
    wait();
    tasks.cancel();
    let _ = event_loop.run_until(tasks);
    ended();
    job.count
}
