//! The client that Autobahn's fuzzing server judges: it opens each case and sends every message back.
//!
//! ```text
//! URL=ws://127.0.0.1:9001 AGENT=ropewalk cargo run --example ws_fuzz_client
//! ```
//!
//! `/getCaseCount` tells how many cases there are, `/runCase?case=N&agent=NAME` is one of them, and
//! `/updateReports?agent=NAME` has the server write what it saw.

#[path = "support/program.rs"]
mod program;

use program::{Usage, say};
use ropewalk::websocket::{Deflate, Limits, Message, WebSocket, WebSocketClient, WebSocketProtocol};
use ropewalk::{EventLoop, Failure};
use std::cell::{Cell, RefCell};
use std::process::ExitCode;
use std::rc::Rc;

/// The cases have messages of 16 MiB.
const LARGEST: u64 = 64 << 20;

fn main() -> ExitCode {
    env_logger::init();
    program::run("URL=ws://HOST:PORT AGENT=NAME ws_fuzz_client", |arguments| {
        if !arguments.is_empty() {
            return Err(Usage.into());
        }
        let run = Rc::new(Run {
            url: std::env::var("URL").map_err(|_| Usage)?,
            agent: std::env::var("AGENT").map_err(|_| Usage)?,
            cases: Cell::new(0),
            failure: RefCell::default(),
        });
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        run.clone().open(&event_loop, Stage::Count);
        event_loop.run()?;
        if let Some(failure) = run.failure.take() {
            return Err(failure.into());
        }
        say(format_args!("{} cases", run.cases.get()))?;
        Ok(())
    })
}

struct Run {
    url: String,
    agent: String,
    cases: Cell<u32>,
    failure: RefCell<Option<Failure>>,
}

#[derive(Clone, Copy)]
enum Stage {
    Count,
    Case(u32),
    Reports,
}

impl Run {
    fn open(self: Rc<Self>, event_loop: &EventLoop, stage: Stage) {
        let path = match stage {
            Stage::Count => "/getCaseCount".to_owned(),
            Stage::Case(case) => format!("/runCase?case={case}&agent={}", self.agent),
            Stage::Reports => format!("/updateReports?agent={}", self.agent),
        };
        let client = match WebSocketClient::new(&format!("{}{path}", self.url)) {
            Ok(client) => client
                .limits(Limits::of_message(LARGEST))
                .deflate(Deflate::new().level(1).threshold(0).client_no_context_takeover(true)),
            Err(error) => return self.give_up(event_loop, error.into()),
        };
        let handle = event_loop.handle();
        client
            .connect(event_loop, Case { run: self.clone(), stage })
            .add_both(move |opened| {
                if let Err(failure) = opened {
                    let _ = handle.with(|event_loop| self.give_up(event_loop, failure));
                }
                Ok(())
            })
            .detach();
    }

    fn give_up(&self, event_loop: &EventLoop, failure: Failure) {
        self.failure.replace(Some(failure));
        event_loop.stop();
    }
}

struct Case {
    run: Rc<Run>,
    stage: Stage,
}

impl WebSocketProtocol for Case {
    fn message_received(&mut self, _: &EventLoop, socket: &WebSocket, message: Message<'_>) -> Result<(), Failure> {
        match (self.stage, message) {
            (Stage::Count, Message::Text(count)) => self.run.cases.set(count.parse()?),
            (_, Message::Text(text)) => socket.send_text(text)?,
            (_, Message::Binary(data)) => socket.send_binary(data)?,
        }
        Ok(())
    }

    /// How a case ended is the judge's matter. The next one has its turn.
    fn connection_lost(&mut self, event_loop: &EventLoop, _: Failure) {
        let next = match self.stage {
            Stage::Reports => return event_loop.stop(),
            Stage::Count => 1,
            Stage::Case(case) => case + 1,
        };
        let stage = if next <= self.run.cases.get() { Stage::Case(next) } else { Stage::Reports };
        self.run.clone().open(event_loop, stage);
    }
}
