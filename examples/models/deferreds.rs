//! Deferreds: each fetch is a result that comes later. Time-outs, lists and errors are what the library has for them.

use std::cell::Cell;
use std::rc::Rc;

use ropewalk::{Deferred, DeferredList, EventLoop, Failure, Protocol, Resolver, Transport, fs};

use super::job::{Job, LIMIT, LONGEST, Results};

/// Collects until the connection ends, and fires.
struct Collect {
    request: String,
    bytes: Vec<u8>,
    resolver: Option<Resolver<Vec<u8>>>,
    /// For the canceller.
    connection: Rc<Cell<Option<Transport>>>,
}

impl Protocol for Collect {
    fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.connection.set(Some(transport.clone()));
        transport.write(self.request.as_bytes())?;
        Ok(())
    }

    fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        self.bytes.extend_from_slice(data);
        if self.bytes.len() > LONGEST {
            transport.abort();
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &EventLoop, _reason: Failure) {
        if let Some(resolver) = self.resolver.take() {
            resolver.succeed(std::mem::take(&mut self.bytes));
        }
    }
}

fn fetch(event_loop: &EventLoop, job: &Rc<Job>, n: usize) -> Deferred<String> {
    let connection = Rc::new(Cell::new(None::<Transport>));
    let to_abort = connection.clone();
    let (resolver, bytes) = Deferred::with_canceller(move || {
        if let Some(transport) = to_abort.take() {
            transport.abort();
        }
    });
    let protocol = Collect { request: job.request(n), bytes: Vec::new(), resolver: Some(resolver), connection };
    let connecting = event_loop.connect_tcp(job.server(n), protocol);
    let job = job.clone();
    connecting.add_callback(|_| bytes).add_callback(move |bytes| job.poem(n, bytes)).add_timeout(LIMIT, event_loop)
}

pub(crate) fn run(event_loop: &EventLoop, job: &Job) -> Result<Results, Failure> {
    let shared = Rc::new(job.clone());
    let fetches: DeferredList<_> = (0..job.count).map(|n| fetch(event_loop, &shared, n)).collect();
    let (handle, file) = (event_loop.handle(), job.file.clone());
    let written = fetches.start().map(Results::of).add_callback(move |results| {
        let text = results.text.clone().into_bytes();
        let written = handle.with(|event_loop| fs::write(event_loop, file, text))?;
        Ok(written.map(|()| results))
    });
    event_loop.run_until(written.flatten())
}

pub(crate) fn cancel(event_loop: &EventLoop, job: &Job, wait: impl FnOnce(), ended: impl FnOnce()) -> usize {
    let shared = Rc::new(job.clone());
    let fetches: DeferredList<_> = (0..job.count).map(|n| fetch(event_loop, &shared, n)).collect();
    let all = fetches.start();
    wait();
    all.cancel();
    let _ = event_loop.run_until(all);
    ended();
    job.count
}
