//! A tour: the same work in four models and with a protocol, the chain of a Deferred, and the way of an error.
//!
//! ```text
//! cargo run --example tour                     # on a terminal one screen at a time
//! cargo run --example tour -- run.html          # where to write the page of what ran
//! cargo run --example tour -- --lesson 07       # runs that lesson
//! ```
//!
//! Three of the models are those of `get_raw`, unchanged. They talk to a server that the tour starts on 127.0.0.1.

#[path = "../get_raw/blocking.rs"]
mod blocking;
#[path = "../get_raw/callbacks.rs"]
mod callbacks;
#[path = "../get_raw/deferreds.rs"]
mod deferreds;
mod futures;
#[path = "../support/program.rs"]
mod program;
mod protocol;
#[path = "../get_raw/request.rs"]
mod request;
mod screens;
mod server;
#[path = "../get_raw/socket.rs"]
mod socket;

use program::{Outcome, Usage};
use request::Request;
use ropewalk::study::{self, text_chain};
use ropewalk::testing::capture_unhandled;
use ropewalk::trace::{self, Kind, Lane, Trace};
use ropewalk::{Deferred, EventLoop, Failure, Handle};
use screens::{Left, show};
use server::Server;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::time::Duration;

const USAGE: &str = "tour [FILE.html]            the tour; FILE is where its page goes
       tour --lesson NN            a lesson, 01 to 13";

fn main() -> ExitCode {
    env_logger::init();
    program::run(USAGE, |arguments| match arguments {
        [] => tour(None),
        [help] if help == "--help" || help == "-h" => Ok(program::say(format_args!("usage: {USAGE}"))?),
        [option, number] if option == "--lesson" => lesson(number),
        [file] if !file.starts_with('-') => tour(Some(PathBuf::from(file))),
        _ => Err(Usage.into()),
    })
}

fn tour(page: Option<PathBuf>) -> Outcome {
    let server = Server::start()?;
    let toured = one_loop()
        .and_then(|()| four_models(server.address))
        .and_then(|()| one_chain(server.address))
        .and_then(|trace| {
            one_error()?;
            one_page(&trace, page)
        })
        .and_then(|()| show(NEXT));
    let stopped = server.stop();
    match toured {
        Err(error) if !error.is::<Left>() => Err(error),
        _ => Ok(stopped?),
    }
}

/// Runs a lesson, which is an example beside this one; cargo builds it where that has not been done.
fn lesson(number: &str) -> Outcome {
    const LESSONS: [&str; 13] = [
        "01_blocking",
        "02_by_hand",
        "03_order",
        "04_blocked",
        "05_callbacks",
        "06_deferred",
        "07_two_lanes",
        "08_lost",
        "09_inner",
        "10_many",
        "11_cancel",
        "12_flow",
        "13_four_ways",
    ];
    let n: usize = number.parse().unwrap_or(0);
    let Some(name) = n.checked_sub(1).and_then(|n| LESSONS.get(n)) else {
        return Err(format!("there is no lesson {number:?}: choose one from 01 to 13").into());
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "--quiet", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .args(["--example", name])
        .status()
        .map_err(|error| format!("cannot run cargo for lesson {name}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("lesson {name} ended with {status}").into()) }
}

/// Two timers and what the loop does about them, from the trace.
fn one_loop() -> Outcome {
    let (ran, trace) = trace::record(|| -> Outcome {
        let event_loop = EventLoop::new()?;
        event_loop.call_later(Duration::from_millis(30), |event_loop| event_loop.stop()).named("tea is ready");
        event_loop.call_later(Duration::from_millis(10), |_| ()).named("water boils");
        Ok(event_loop.run()?)
    });
    ran?;
    let mut story = String::new();
    for event in trace.events() {
        match event.kind {
            Kind::PollEnd { waited, .. } => story += &format!("  wait  {:>5.1} ms\n", waited as f64 / 1e6),
            Kind::CbBegin { .. } => story += &format!("  call  \"{}\"\n", event.label.unwrap_or("a callback")),
            _ => {}
        }
    }
    show(format_args!(
        "\
0. AN EVENT LOOP
---------------
An event loop waits for many things at once, and calls a function of yours for
each one that happens. Those functions are callbacks. All is one thread: while
a callback runs, nothing else does. So a callback never waits: it asks to be
called later.

This loop was asked for two timers, the later one first:

{story}
\"wait\" is where the program sleeps. A call came when it was due, not in the
order of the text.
"
    ))
}

/// Writes the page of the run that the reader has just seen. If nobody says where, it lies beside the program: a folder
/// for temporary files is everybody's, and each run would leave another page there.
fn one_page(trace: &Trace, to: Option<PathBuf>) -> Outcome {
    let to = match to {
        Some(to) => to,
        None => std::env::current_exe()?.with_extension("html"),
    };
    let written = study::page(trace).to_html()?;
    std::fs::write(&to, written).map_err(|error| format!("cannot write the page {}: {error}", to.display()))?;
    show(format_args!(
        "
4. THE SAME CHAIN, TO STEP THROUGH
----------------------------------
The chain of part 2 is now a page. Open it in a browser; the arrow keys go from
event to event, back and forth. It needs no network.

  {}",
        to.display()
    ))
}

/// Fetches the poem in each model, and compares.
fn four_models(server: SocketAddr) -> Outcome {
    show(format_args!(
        "\
1. ONE FETCH, FOUR MODELS
-------------------------
A server on {server} says a poem, piece by piece. Each model connects to
it, sends a request and reads to the end. The last row is no fifth model: it is
the callbacks again, as a server or a client is usually written here.

  model      reply      turns  callbacks  lines of code"
    ))?;
    let (by_blocking, none) = (blocking::get(server, request(server)?)?, Trace::default());
    let (by_callbacks, callbacks) = trace::record(|| with_callbacks(server));
    let (by_deferreds, deferreds) = trace::record(|| with_deferreds(server));
    let (by_protocol, with_transport) = trace::record(|| with_protocol(server));
    let (by_futures, futures) = trace::record(|| with_futures(server));
    let replies = [by_blocking, by_callbacks?, by_deferreds?, by_futures?, by_protocol?];

    let code = [
        lines(include_str!("../get_raw/blocking.rs")).to_string(),
        lines(include_str!("../get_raw/callbacks.rs")).to_string(),
        format!(
            "{}, and {} in socket.rs",
            lines(include_str!("../get_raw/deferreds.rs")),
            lines(include_str!("../get_raw/socket.rs"))
        ),
        lines(include_str!("futures.rs")).to_string(),
        lines(include_str!("protocol.rs")).to_string(),
    ];
    for (i, model) in ["blocking", "callbacks", "deferreds", "async", "protocol"].into_iter().enumerate() {
        let trace = [&none, &callbacks, &deferreds, &futures, &with_transport][i];
        let turns = count(trace, |kind| matches!(kind, Kind::TurnBegin { .. }));
        let calls = count(trace, |kind| matches!(kind, Kind::CbBegin { .. }));
        let (bytes, code) = (replies[i].len(), &code[i]);
        let (turns, calls) =
            if turns == 0 { ("-".into(), "-".into()) } else { (turns.to_string(), calls.to_string()) };
        show(format_args!("  {model:<9}  {bytes} bytes  {turns:>5}  {calls:>9}  {code}"))?;
    }
    if replies.iter().any(|reply| *reply != replies[0]) {
        return Err("the models got different replies".into());
    }
    show(format_args!(
        "
The replies are equal, byte for byte:

{}
blocking   Each line waits. Simple, but meanwhile the program can do nothing.
callbacks  The loop waits, for this and for a thousand others. The program must
           remember where it was, and show each error its way.
deferreds  The same loop. A chain says what follows what, and an error finds its
           own way along it.
async      The same loop. The text of the blocking one: each .await gives
           control back to the loop. The compiler keeps where the program was.
protocol   The callbacks once more, without a socket of the program's own: a
           transport of the loop connects, reads and writes.
           It calls the program when data came, and when the end came.",
        quoted(&replies[0])
    ))?;
    Ok(())
}

fn with_callbacks(server: SocketAddr) -> Result<Vec<u8>, Box<dyn Error>> {
    let event_loop = EventLoop::new()?;
    let result = Rc::new(Cell::new(None));
    let slot = result.clone();
    callbacks::get(&event_loop, server, request(server)?, move |event_loop, result| {
        slot.set(Some(result));
        event_loop.stop();
    });
    event_loop.run()?;
    Ok(result.take().ok_or("the loop stopped without a reply")??)
}

fn with_deferreds(server: SocketAddr) -> Result<Vec<u8>, Box<dyn Error>> {
    let event_loop = EventLoop::new()?;
    let reply = deferreds::get(&event_loop, server, request(server)?);
    Ok(event_loop.run_until(reply)?)
}

fn with_futures(server: SocketAddr) -> Result<Vec<u8>, Box<dyn Error>> {
    let event_loop = EventLoop::new()?;
    let reply = futures::get(event_loop.handle(), server, request(server)?);
    Ok(event_loop.block_on(reply)?)
}

fn with_protocol(server: SocketAddr) -> Result<Vec<u8>, Box<dyn Error>> {
    let event_loop = EventLoop::new()?;
    let reply = protocol::get(&event_loop, server, request(server)?);
    Ok(event_loop.run_until(reply)?)
}

/// Draws what a chain did with the poem.
fn one_chain(server: SocketAddr) -> Result<Trace, Box<dyn Error>> {
    let event_loop = EventLoop::new()?;
    let request = request(server)?;
    let (line, trace) = trace::record(|| {
        let handle = event_loop.handle();
        let (resolver, poem) = Deferred::new();
        event_loop.call_later(Duration::from_millis(2), move |_| resolver.succeed(server)).named("go");
        let line = poem
            .named("poem")
            .step_named("fetch")
            .add_callback(move |server| fetch(&handle, server, request))
            .add_callback(first_line)
            .add_errback(apologize)
            .map(shout);
        event_loop.run_until(line)
    });
    show(format_args!(
        "
2. A CHAIN, DRAWN
-----------------
This chain fetches the poem, takes its first line and makes it loud:

  poem.add_callback(fetch)
      .add_callback(first_line)
      .add_errback(apologize)
      .map(shout)

It gave {:?}. While it ran it was recorded:

{}
Read it from top to bottom. Values go down the left lane, errors the right one.
  o    a value (an error would be an x)     [0]  step 0 ran
  |2   step 2 was passed by: it is for errors, and there was none
  =    the chain was paused. Step 0 gave back another Deferred, d2, and the loop
       was free until d2 had its result
  run_until  the tour's own last step: it takes the result out of the chain
  t1   the turn of the loop                 s16  the number of the event",
        line?,
        text_chain(&trace).only_named("poem")
    ))?;
    Ok(trace)
}

/// Makes a Deferred of the callback model: the callback fires it.
fn fetch(handle: &Handle, server: SocketAddr, request: Request) -> Deferred<Vec<u8>> {
    let (resolver, reply) = Deferred::new();
    let started = handle.with(|event_loop| {
        callbacks::get(event_loop, server, request, |_, result| resolver.fire(result.map_err(Failure::from)));
    });
    match started {
        Ok(()) => reply.named("reply"),
        Err(closed) => Deferred::fail(closed),
    }
}

fn first_line(reply: Vec<u8>) -> Result<String, Failure> {
    let text = String::from_utf8(reply)?;
    let (_, body) = text.split_once("\r\n\r\n").ok_or_else(|| Failure::msg("the reply has no body"))?;
    Ok(body.lines().next().unwrap_or_default().to_owned())
}

fn apologize(failure: Failure) -> Result<String, Failure> {
    Ok(format!("({failure})"))
}

fn shout(line: String) -> String {
    line.to_uppercase()
}

/// Follows an error from the line where it was raised to the errback that took it; then loses one.
fn one_error() -> Outcome {
    let unhandled = capture_unhandled();
    let (line, trace) = trace::record(|| {
        let (resolver, poem) = Deferred::new();
        let line = poem
            .named("poem")
            .add_callback(third_line)
            .map(shout)
            .add_errback(apologize) // a line for each, so that the drawing can tell them apart
            .map(shout);
        resolver.succeed("If I were\na rope");
        line
    });
    show(format_args!(
        "
3. AN ERROR, FOLLOWED
---------------------
A chain wants the third line of a poem that has two:

{}
The error changes to the right lane and looks for an errback there:

{}
The result is {:?}. The program need not check in each step.
",
        text_chain(&trace),
        way_of_the_error(&trace),
        success(line)?
    ))?;

    let (resolver, poem) = Deferred::new();
    drop(poem.named("poem").add_callback(third_line).map(shout));
    resolver.succeed("If I were\na rope");
    show("And if nobody adds an errback? Then it is reported, at that moment:\n")?;
    for report in unhandled.flush_unhandled() {
        // Shortened: there is just one main.rs here.
        for line in report.to_string().replace("examples/tour/", "").lines() {
            show(folded(&format!("  {line}")))?;
        }
    }
    Ok(())
}

/// Breaks a line of a report that is wider than the tour, below where its text began.
fn folded(line: &str) -> String {
    match line.get(..80).and_then(|start| start.rfind(' ')) {
        Some(blank) => format!("{}\n{:15}{}", &line[..blank], "", line[blank..].trim_start()),
        None => line.to_owned(),
    }
}

fn third_line(poem: &str) -> Result<String, Failure> {
    let line = poem.lines().nth(2).ok_or_else(|| Failure::msg("no more"))?;
    Ok(line.to_owned())
}

/// The life of the failures in a trace, one sentence for each event.
fn way_of_the_error(trace: &Trace) -> String {
    let mut steps = BTreeMap::new();
    let mut story = String::new();
    for event in trace.events() {
        let (what, at) = match &event.kind {
            Kind::DAdd { n, names: [name, _], .. } => {
                steps.insert(*n, (name.rsplit("::").next().unwrap_or(name), event.at));
                continue;
            }
            Kind::FNew { f, msg, .. } => (format!("{f} is raised: \"{msg}\""), event.at),
            Kind::DPass { n, lane: Lane::Err, .. } => {
                (format!("step {n}, {}, has no errback: passed by", steps[n].0), steps[n].1)
            }
            Kind::FHandled { f, n, .. } => {
                (format!("step {n}, {}, is one, and handles {f}", steps[n].0), steps[n].1)
            }
            _ => continue,
        };
        let line = at.map_or(0, |place| place.line());
        story += &format!("  {what:<55} main.rs:{line}\n");
    }
    story
}

/// The value of a Deferred that has its result.
fn success<T>(deferred: Deferred<T>) -> Result<T, Box<dyn Error>> {
    match deferred.try_result() {
        Ok(result) => Ok(result?),
        Err(_) => Err("there is no result yet".into()),
    }
}

const NEXT: &str = "
5. WHAT NEXT
------------
A copy of a file, while a timer ticks (then try --model blocking):
  cargo run --example copy_file -- README.md copy.md --model deferreds
A chat, and one of its members in another terminal:
  cargo run --example chat -- 7000
  nc 127.0.0.1 7000
The same fetch from a server of yours:
  cargo run --example get_raw -- 127.0.0.1 8000 / --model deferreds
A lesson, run and then stepped through (s and Enter for each event, q to leave):
  cargo run --example 07_two_lanes
  ROPEWALK=plain cargo run --example 07_two_lanes
Any of the thirteen lessons:
  cargo run --example tour -- --lesson 01

All examples in the order to read them: examples/README.md
What each part does, and why:           docs/README.md, cargo doc --open";

fn request(server: SocketAddr) -> Result<Request, String> {
    Request::new("127.0.0.1", server.port(), "/poem")
}

fn count(trace: &Trace, which: impl Fn(&Kind) -> bool) -> usize {
    trace.events().filter(|event| which(&event.kind)).count()
}

/// Lines that are neither empty nor a comment.
fn lines(code: &str) -> usize {
    code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

/// The reply, with a bar before each line.
fn quoted(reply: &[u8]) -> String {
    String::from_utf8_lossy(reply).lines().map(|line| format!("  | {line}\n")).collect()
}
