//! A chat in the browser: one program has the page and the WebSockets behind it.
//!
//! ```text
//! cargo run --example web_chat -- 8000        (and open http://127.0.0.1:8000/ in two windows)
//! ```
//!
//! `page.html` is all that the browser gets. `room.rs` is what the server knows: who is there, what was said last, and how
//! much of it anybody may cost. Its tests (`tests/web_chat.rs`) need neither a socket nor a browser. Listens on 127.0.0.1
//! (port 0, or none: any free port, see the `ready` line). On Ctrl-C or SIGTERM it closes every WebSocket with 1001, and ends.

#[path = "../support/program.rs"]
mod program;
mod room;

use program::say;
use room::Room;
use ropewalk::{EventLoop, Phase, SystemEvent};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a browser may take to answer when the server ends.
const GRACE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    env_logger::init();
    program::run("web_chat [PORT]", |arguments| {
        let port = program::port(arguments)?;
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        // Nobody says a thousand texts in a second for long: what is said after a new start has higher numbers.
        let first = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
        let site = Room::new(first).site().listen(&event_loop, ("127.0.0.1", port))?;
        say(format_args!("ready {}", site.address().map_or(0, |address| address.port())))?;
        event_loop.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, move |event_loop| {
            site.shutdown(event_loop, GRACE).map(|_| ())
        });
        event_loop.run()?;
        Ok(())
    })
}
