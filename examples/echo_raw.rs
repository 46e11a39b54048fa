//! Echo on raw sources: the loop tells when a socket is ready, everything else is done by hand.
//!
//! ```text
//! cargo run --example echo_raw -- 7000          (and in another terminal: nc 127.0.0.1 7000)
//! ```
//!
//! This is the floor that transports stand on, and the program that the loop's own cost is measured with: a message is
//! one wait, one read and one write. It listens on 127.0.0.1 (port 0, or none: any free port, see the `ready` line),
//! and ends on Ctrl-C or SIGTERM.

#[path = "support/program.rs"]
mod program;

use program::{Usage, say};
use ropewalk::{EventLoop, Interest, Readiness, SourceId};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::cell::{OnceCell, RefCell};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

/// A burst of 4096 connections waits in the kernel; `TcpListener::bind` would keep room for 128.
const BACKLOG: i32 = 4096;

/// How many connections are taken in one go, so that a flood of new ones does not keep the old ones waiting.
const ACCEPTS: usize = 256;

/// How much is read in one go. All connections share one buffer, so it can be large.
const SCRATCH: usize = 64 * 1024;

/// How often one connection may fill the buffer before the others have their turn.
const READS: usize = 4;

/// How long to accept nothing when the system is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    env_logger::init();
    program::run("echo_raw [PORT]", |arguments| {
        let port: u16 = match arguments {
            [] => 0,
            [port] => port.parse().map_err(|_| Usage)?,
            _ => return Err(Usage.into()),
        };
        let listener = listen(port)?;
        let port = listener.local_addr()?.port();
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        accept_from(&event_loop, listener)?;
        say(format_args!("ready {port}"))?;
        event_loop.run()?;
        Ok(())
    })
}

/// What `TcpListener::bind` does, with a longer queue.
fn listen(port: u16) -> io::Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let failed = |error| {
        let error = io::Error::from(error);
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).map_err(failed)?;
    sockopt::set_socket_reuseaddr(&socket, true).map_err(failed)?;
    rustix::net::bind(&socket, &address).map_err(failed)?;
    rustix::net::listen(&socket, BACKLOG).map_err(failed)?;
    Ok(TcpListener::from(socket))
}

fn accept_from(event_loop: &EventLoop, listener: TcpListener) -> io::Result<()> {
    let scratch = Rc::new(RefCell::new(vec![0; SCRATCH]));
    let own_id = Rc::new(OnceCell::new());
    let id = own_id.clone();
    let mut complained = None;
    let registered = event_loop.register(listener, Interest::READ, move |event_loop, listener, _| {
        for _ in 0..ACCEPTS {
            match listener.accept().and_then(|(stream, _)| serve(event_loop, stream, &scratch)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The peer was faster than we: only this connection is lost.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // Out of descriptors (EMFILE, ENFILE) or memory. The connection stays in the queue and the listener
                // stays ready: trying again at once would spin.
                Err(error) => {
                    let now = event_loop.time();
                    if complained.is_none_or(|before| now > before + Duration::from_secs(1)) {
                        complained = Some(now);
                        log::error!("no connection is accepted for {PAUSE:?}: {error}");
                    }
                    pause(event_loop, *id.get().expect("the callback runs after the registration"));
                    return;
                }
            }
        }
    })?;
    own_id.get_or_init(|| registered);
    Ok(())
}

fn pause(event_loop: &EventLoop, listener: SourceId<TcpListener>) {
    let paused = event_loop.pause(listener);
    debug_assert!(paused.is_ok(), "the listener is never removed");
    event_loop.call_later(PAUSE, move |event_loop| {
        let resumed = event_loop.resume(listener);
        debug_assert!(resumed.is_ok(), "the listener is never removed");
    });
}

/// Registers a new connection. From here on the loop owns it.
fn serve(event_loop: &EventLoop, stream: TcpStream, scratch: &Rc<RefCell<Vec<u8>>>) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let scratch = scratch.clone();
    let own_id = Rc::new(OnceCell::new());
    let id = own_id.clone();
    let mut unsent = Vec::new();
    let registered = event_loop.register(stream, Interest::READ, move |event_loop, stream, readiness| {
        let id = *id.get().expect("the callback runs after the registration");
        let before = interest(&unsent);
        match echo(stream, readiness, &mut scratch.borrow_mut(), &mut unsent) {
            Ok(Peer::Stays) if interest(&unsent) == before => {}
            Ok(Peer::Stays) => {
                let _ = event_loop.set_interest(id, interest(&unsent));
            }
            // Closed when this callback returns.
            Ok(Peer::Left) => {
                let _ = event_loop.remove(id);
            }
            Err(error) => {
                log::debug!("connection lost: {error}");
                let _ = event_loop.remove(id);
            }
        }
    })?;
    own_id.get_or_init(|| registered);
    Ok(())
}

/// While something is left to send, nothing more is read: a peer that does not read costs one buffer, not all memory.
fn interest(unsent: &[u8]) -> Interest {
    if unsent.is_empty() { Interest::READ } else { Interest::WRITE }
}

enum Peer {
    Stays,
    Left,
}

/// Sends back what came, as far as the socket takes it; the rest is left in `unsent`.
fn echo(
    mut stream: &TcpStream,
    readiness: Readiness,
    scratch: &mut [u8],
    unsent: &mut Vec<u8>,
) -> io::Result<Peer> {
    if readiness.is_writable() {
        let sent = until_blocked(|| stream.write(unsent))?.unwrap_or(0);
        unsent.drain(..sent);
    }
    if !unsent.is_empty() {
        return Ok(Peer::Stays);
    }
    for _ in 0..READS {
        let Some(came) = until_blocked(|| stream.read(scratch))? else { break };
        if came == 0 {
            return Ok(Peer::Left);
        }
        let sent = until_blocked(|| stream.write(&scratch[..came]))?.unwrap_or(0);
        if sent < came {
            unsent.extend_from_slice(&scratch[sent..came]);
            break;
        }
        // A short read emptied the socket: another would only cost a system call.
        if came < scratch.len() {
            break;
        }
    }
    Ok(Peer::Stays)
}

/// Repeats an interrupted call; `None` where it would block.
fn until_blocked(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(n) => return Ok(Some(n)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
