//! What recording costs: for each event, beside the same program unrecorded; and two programs to count instructions of,
//! with the trace's hooks and without (`--cfg ropewalk_untraced`).

use crate::support::{cpu, say};
use ropewalk::testing::success_of;
use ropewalk::trace::{self, Recorder, Trace, TraceFile};
use ropewalk::{Address, Deferred, EventLoop, Failure, Protocol, Transport};
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// How many events there are to be in each turn of the measurement.
const EVENTS: usize = 500_000;

fn add(x: i64) -> Result<i64, Failure> {
    Ok(x + 1)
}

/// A chain that is fired, with ten callbacks.
pub(crate) fn chains(n: usize) {
    for _ in 0..n {
        let (resolver, mut d) = Deferred::new();
        for _ in 0..10 {
            d = d.add_callback(add);
        }
        resolver.succeed(0);
        assert_eq!(success_of(d), 10);
    }
}

/// How many timers, and callbacks queued, each turn has.
const BATCH: usize = 50;

/// Timers that are due at once, and callbacks that are queued.
fn timers(n: usize) -> io::Result<()> {
    let event_loop = EventLoop::new()?;
    for _ in 0..n / BATCH {
        for _ in 0..BATCH {
            event_loop.call_later(Duration::ZERO, |_| ());
            event_loop.call_soon(|_| ());
        }
        event_loop.turn(None).map_err(io::Error::other)?;
    }
    Ok(())
}

fn time(f: impl FnOnce()) -> u64 {
    let start = cpu();
    f();
    cpu() - start
}

/// How often each program is run.
const ROUNDS: usize = 9;

/// Runs `program` with and without a recorder in turn, and prints what an event costs: the median and, as the machine may
/// have other work, the least and the most. Answers the last recorder.
fn cost<R: Recorder + 'static>(
    name: &str,
    recorder: impl Fn() -> io::Result<R>,
    program: &dyn Fn(),
    len: impl Fn(&R) -> usize,
) -> io::Result<R> {
    program();
    let mut costs = Vec::new();
    loop {
        let recorder = recorder()?;
        let bare = time(program);
        let mut kept = None;
        let recorded = time(|| kept = Some(trace::record_with(recorder, program).1));
        let recorder = kept.expect("the program was recorded");
        let events = len(&recorder);
        costs.push((recorded as f64 - bare as f64) / events as f64);
        if costs.len() == ROUNDS {
            costs.sort_by(f64::total_cmp);
            say(&format!("{name} events"), events as f64, "");
            say(&format!("{name} an event"), costs[ROUNDS / 2], "ns");
            say(&format!("{name} an event, least"), costs[0], "ns");
            say(&format!("{name} an event, most"), costs[ROUNDS - 1], "ns");
            return Ok(recorder);
        }
    }
}

/// `record`: what an event costs in memory and in a file.
pub(crate) fn record() -> io::Result<()> {
    let chains: &dyn Fn() = &|| chains(EVENTS / 33);
    let loops: &dyn Fn() = &|| timers(EVENTS / 7).expect("a loop turns");
    for (name, program) in [("chains", chains), ("loop", loops)] {
        let trace = cost(&format!("memory {name}"), || Ok(Trace::with_limit(2 * EVENTS)), program, Trace::len)?;
        let (events, texts) = trace.size();
        say(&format!("memory {name} bytes an event"), events as f64 / trace.len() as f64, "");
        say(&format!("memory {name} bytes of texts"), texts as f64, "");
        let path = std::env::temp_dir().join(format!("ropewalk-contest-{}.jsonl", std::process::id()));
        let events = trace.len();
        drop(trace);
        drop(cost(&format!("file {name}"), || TraceFile::create(&path), program, |_| events)?);
        say(&format!("file {name} bytes an event"), std::fs::metadata(&path)?.len() as f64 / events as f64, "");
        std::fs::remove_file(&path)?;
    }
    Ok(())
}

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        Ok(transport.write(data)?)
    }
}

struct Pings(Rc<Cell<usize>>);

impl Protocol for Pings {
    fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        Ok(transport.write(&[7; 64])?)
    }
    fn data_received(&mut self, event_loop: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        if self.0.get() == 0 {
            event_loop.stop();
            return Ok(());
        }
        self.0.set(self.0.get() - 1);
        Ok(transport.write(data)?)
    }
}

/// `echo N`: N messages of 64 bytes to and fro on one connection, both ends on one loop.
pub(crate) fn echo(n: usize) -> io::Result<()> {
    let event_loop = EventLoop::new()?;
    let port = event_loop.listen_tcp("127.0.0.1:0", |_: &EventLoop, _: &Address| Some(Echo))?;
    let address = port.address().as_tcp().ok_or_else(|| io::Error::other("no TCP address"))?;
    let left = Rc::new(Cell::new(n));
    event_loop.connect_tcp(address, Pings(left.clone())).log_errors("connecting");
    event_loop.run().map_err(io::Error::other)?;
    assert_eq!(left.get(), 0);
    Ok(())
}
