//! Callbacks: each fetch is a struct whose methods are called. Who is told, and how often, is written by hand.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use ropewalk::{DelayedCall, EventLoop, Failure, Protocol, Transport, fs};

use super::job::{Job, LIMIT, LONGEST, Results};

/// Called once, with what came of a fetch.
type Done = Box<dyn FnOnce(&EventLoop, Result<String, Failure>)>;

struct Fetch {
    job: Rc<Job>,
    n: usize,
    bytes: Vec<u8>,
    state: Rc<State>,
}

/// What the connection and the timer share: whoever comes first calls, and calls the other off.
struct State {
    done: Cell<Option<Done>>,
    timer: Cell<Option<DelayedCall>>,
    transport: RefCell<Option<Transport>>,
}

impl State {
    fn end(&self, event_loop: &EventLoop, result: Result<String, Failure>) {
        let Some(done) = self.done.take() else { return };
        if let Some(timer) = self.timer.take() {
            let _ = timer.cancel(); // it may be the timer that ends it
        }
        done(event_loop, result);
    }

    fn stop(&self, event_loop: &EventLoop, why: &str) {
        if let Some(transport) = self.transport.take() {
            transport.abort();
        }
        self.end(event_loop, Err(Failure::msg(why)));
    }
}

impl Protocol for Fetch {
    fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.state.transport.replace(Some(transport.clone()));
        transport.write(self.job.request(self.n).as_bytes())?;
        Ok(())
    }

    fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        self.bytes.extend_from_slice(data);
        if self.bytes.len() > LONGEST {
            transport.abort();
        }
        Ok(())
    }

    fn connection_lost(&mut self, event_loop: &EventLoop, _reason: Failure) {
        let bytes = std::mem::take(&mut self.bytes);
        self.state.end(event_loop, self.job.poem(self.n, bytes));
    }
}

fn fetch(event_loop: &EventLoop, job: &Rc<Job>, n: usize, done: Done) -> Rc<State> {
    let state =
        Rc::new(State { done: Cell::new(Some(done)), timer: Cell::new(None), transport: RefCell::default() });
    let timed = state.clone();
    let timer = event_loop.call_later(LIMIT, move |event_loop| timed.stop(event_loop, "timed out"));
    state.timer.set(Some(timer));
    let protocol = Fetch { job: job.clone(), n, bytes: Vec::new(), state: state.clone() };
    let (failed, handle) = (state.clone(), event_loop.handle());
    let connecting = event_loop.connect_tcp(job.server(n), protocol).add_callbacks(
        |_| Ok(()),
        move |failure| {
            let _ = handle.with(|event_loop| failed.end(event_loop, Err(failure)));
            Ok(())
        },
    );
    connecting.detach();
    state
}

/// Starts all; the last one that ends calls `finish` with the results in order.
fn fetch_all(
    event_loop: &EventLoop,
    job: &Rc<Job>,
    finish: impl FnOnce(&EventLoop, Vec<Option<Result<String, Failure>>>) + 'static,
) -> Vec<Rc<State>> {
    let results = Rc::new(RefCell::new((0..job.count).map(|_| None).collect::<Vec<_>>()));
    let (left, finish) = (Rc::new(Cell::new(job.count)), Rc::new(Cell::new(Some(finish))));
    let one = |n| {
        let (results, left, finish) = (results.clone(), left.clone(), finish.clone());
        let done: Done = Box::new(move |event_loop, result| {
            results.borrow_mut()[n] = Some(result);
            left.set(left.get() - 1);
            if left.get() == 0
                && let Some(finish) = finish.take()
            {
                finish(event_loop, results.take());
            }
        });
        fetch(event_loop, job, n, done)
    };
    (0..job.count).map(one).collect()
}

pub(crate) fn run(event_loop: &EventLoop, job: &Job) -> Result<Results, Failure> {
    let slot = Rc::new(RefCell::new(None));
    let (answer, file) = (slot.clone(), job.file.clone());
    fetch_all(event_loop, &Rc::new(job.clone()), move |event_loop, results| {
        let results = Results::of(results.into_iter().flatten());
        let written = fs::write(event_loop, file, results.text.clone().into_bytes());
        let handle = event_loop.handle();
        let told = written.add_both(move |written| {
            answer.replace(Some(written.map(|()| results)));
            let _ = handle.stop();
            Ok(())
        });
        told.detach();
    });
    event_loop.run()?;
    slot.take().unwrap_or_else(|| Err(Failure::msg("stopped before it was done")))
}

pub(crate) fn cancel(event_loop: &EventLoop, job: &Job, wait: impl FnOnce(), ended: impl FnOnce()) -> usize {
    let states = fetch_all(event_loop, &Rc::new(job.clone()), |event_loop, _| event_loop.stop());
    wait();
    for state in states {
        state.stop(event_loop, "cancelled");
    }
    let _ = event_loop.run();
    ended();
    job.count
}
