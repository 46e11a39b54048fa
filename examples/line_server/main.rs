//! A line protocol: a store of texts, for anybody who can send lines.
//!
//! ```text
//! cargo run --example line_server -- 7000
//! nc 127.0.0.1 7000          (and then:)  SET poem If I were    GET poem    EXPIRE poem 10    HELP    QUIT
//! ```
//!
//! `store.rs` knows no connection, and `server.rs` no socket: so their tests (`tests/line_server.rs`) need neither, and
//! ten seconds of a key's life take no time. Listens on 127.0.0.1 (port 0, or none: any free port, see the `ready` line),
//! and ends on Ctrl-C or SIGTERM.

#[path = "../support/program.rs"]
mod program;
mod server;
mod store;

use program::say;
use ropewalk::{EventLoop, ListenTcp};
use server::Session;
use std::process::ExitCode;
use store::Store;

/// So many may be connected: each costs a descriptor, and what it does not read.
const CONNECTIONS: usize = 500;

fn main() -> ExitCode {
    env_logger::init();
    program::run("line_server [PORT]", |arguments| {
        let port = program::port(arguments)?;
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        let store = Store::default();
        let port = ListenTcp::new(("127.0.0.1", port))
            .max_connections(CONNECTIONS)
            .listen(&event_loop, move |_, _| Some(Session::receiver(store.clone())))?;
        say(format_args!("ready {}", port.address().port()))?;
        event_loop.run()?;
        Ok(())
    })
}
