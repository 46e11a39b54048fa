//! A chat: what one says, the others hear.
//!
//! ```text
//! cargo run --example chat -- 7000        (and in other terminals, two or more: nc 127.0.0.1 7000)
//! ```
//!
//! `member.rs` is what a connection says and is told, `room.rs` what its members share. Neither knows a socket, so their
//! tests (`tests/chat.rs`) need none. Listens on 127.0.0.1 (port 0, or none: any free port, see the `ready` line), and ends
//! on Ctrl-C or SIGTERM.

mod member;
#[path = "../support/program.rs"]
mod program;
mod room;

use member::Member;
use program::say;
use room::{MEMBERS, Room};
use ropewalk::{EventLoop, ListenTcp, Phase, SystemEvent};
use std::process::ExitCode;

/// So many more than there are places are told that the room is full. The rest is closed without a word: a crowd at the
/// door costs no memory.
const AT_THE_DOOR: usize = 20;

fn main() -> ExitCode {
    env_logger::init();
    program::run("chat [PORT]", |arguments| {
        let port = program::port(arguments)?;
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        let room = Room::new();
        let shared = room.clone();
        let port = ListenTcp::new(("127.0.0.1", port))
            .max_connections(MEMBERS + AT_THE_DOOR)
            .listen(&event_loop, move |_, _| Some(Member::receiver(&shared)))?;
        event_loop.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, move |_| {
            room.tell("* The room is closed. Good-bye.", None);
        });
        say(format_args!("ready {}", port.address().port()))?;
        event_loop.run()?;
        Ok(())
    })
}
