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

use program::say;
use ropewalk::{EventLoop, Interest, SourceId};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use std::cell::{OnceCell, RefCell};
use std::io;
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
        let port = program::port(arguments)?;
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
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).map_err(failed)?;
    socket.set_reuse_address(true).map_err(failed)?;
    socket.bind(&address.into()).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)?;
    Ok(TcpListener::from(socket))
}

fn accept_from(event_loop: &EventLoop, listener: TcpListener) -> io::Result<()> {
    let scratch = Rc::new(RefCell::new([0; SCRATCH]));
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

/// One connection: all that its callback needs. The socket itself is the loop's.
struct Peer {
    id: OnceCell<SourceId<TcpStream>>,
    /// What came and could not be sent back yet. While there is any nothing more is read, so a peer that does not
    /// read costs one buffer, not all memory.
    unsent: RefCell<Vec<u8>>,
    scratch: Scratch,
}

/// Where all connections read into, one after the other.
type Scratch = Rc<RefCell<[u8; SCRATCH]>>;

/// Registers a new connection. From here on the loop owns it.
fn serve(event_loop: &EventLoop, stream: TcpStream, scratch: &Scratch) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    // One pointer for the callback to hold: the loop moves a callback out of its place to call it, and back.
    let peer = Rc::new(Peer { id: OnceCell::new(), unsent: RefCell::new(Vec::new()), scratch: scratch.clone() });
    let its = peer.clone();
    let id = event_loop.register(stream, Interest::READ, move |event_loop, stream, _| {
        // A peer that broke the connection off is no other case than one that closed it.
        if !matches!(its.echo(event_loop, stream), Ok(Then::Stay)) {
            its.close(event_loop);
        }
    })?;
    peer.id.get_or_init(|| id);
    Ok(())
}

enum Then {
    Stay,
    Close,
}

impl Peer {
    /// Sends back what came.
    fn echo(&self, event_loop: &EventLoop, stream: &TcpStream) -> Result<Then, Errno> {
        if !self.unsent.borrow().is_empty() {
            return self.send_rest(event_loop, stream);
        }
        let scratch = &mut *self.scratch.borrow_mut();
        for _ in 0..READS {
            let Some(came) = unless_blocked(|| rustix::io::read(stream, &mut *scratch))? else { break };
            if came == 0 {
                return Ok(Then::Close);
            }
            let sent = unless_blocked(|| rustix::io::write(stream, &scratch[..came]))?.unwrap_or(0);
            if sent < came {
                self.keep(event_loop, &scratch[sent..came]);
                break;
            }
            // A short read emptied the socket: another would only cost a system call.
            if came < SCRATCH {
                break;
            }
        }
        Ok(Then::Stay)
    }

    /// The socket takes no more: the rest waits, and so does what the peer may send meanwhile.
    #[cold]
    fn keep(&self, event_loop: &EventLoop, rest: &[u8]) {
        self.unsent.borrow_mut().extend_from_slice(rest);
        self.watch(event_loop, Interest::WRITE);
    }

    #[cold]
    fn send_rest(&self, event_loop: &EventLoop, stream: &TcpStream) -> Result<Then, Errno> {
        let mut unsent = self.unsent.borrow_mut();
        let sent = unless_blocked(|| rustix::io::write(stream, &unsent))?.unwrap_or(0);
        unsent.drain(..sent);
        if unsent.is_empty() {
            self.watch(event_loop, Interest::READ);
        }
        Ok(Then::Stay)
    }

    fn watch(&self, event_loop: &EventLoop, interest: Interest) {
        if let Some(id) = self.id.get() {
            let _ = event_loop.set_interest(*id, interest);
        }
    }

    /// From inside the callback: the loop closes the socket when it returns.
    #[cold]
    fn close(&self, event_loop: &EventLoop) {
        if let Some(id) = self.id.get() {
            let _ = event_loop.remove(*id);
        }
    }
}

/// Repeats an interrupted call; `None` where it would have to wait.
fn unless_blocked(mut call: impl FnMut() -> Result<usize, Errno>) -> Result<Option<usize>, Errno> {
    loop {
        match call() {
            Ok(n) => return Ok(Some(n)),
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}
