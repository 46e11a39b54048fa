//! Echo with a protocol: whatever a peer sends comes back to it.
//!
//! ```text
//! cargo run --example echo_server -- 7000          (and in another terminal: nc 127.0.0.1 7000)
//! ```
//!
//! The same server as `echo_raw`, without its sockets: the transport reads, writes, and closes. A peer that sends and
//! does not read is not read from any more, so it costs two buffers and not all memory. Listens on 127.0.0.1 (port 0, or
//! none: any free port, see the `ready` line), and ends on Ctrl-C or SIGTERM.

#[path = "support/program.rs"]
mod program;

use program::say;
use ropewalk::{EventLoop, Failure, ListenTcp, Protocol, Streaming, Transport};
use std::process::ExitCode;

/// A burst of connections waits in the kernel, which cuts this to its own limit.
const BACKLOG: u32 = 4096;

fn main() -> ExitCode {
    env_logger::init();
    program::run("echo_server [PORT]", |arguments| {
        let port = program::port(arguments)?;
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        let port = ListenTcp::new(("127.0.0.1", port)).backlog(BACKLOG).listen(&event_loop, |_, _| Some(Echo))?;
        say(format_args!("ready {}", port.address().port()))?;
        event_loop.run()?;
        Ok(())
    })
}

struct Echo;

impl Protocol for Echo {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        transport.set_tcp_nodelay(true)?;
        // What comes in is what goes out: reading waits for writing.
        transport.register_producer(event_loop, transport.clone(), Streaming::Push)?;
        Ok(())
    }

    fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        transport.write(data)?;
        Ok(())
    }

    /// A peer that has sent its last still gets the rest back: the default of `read_connection_lost`.
    fn half_close(&self) -> bool {
        true
    }
}
