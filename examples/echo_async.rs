//! Echo with `async`: each connection is a task that reads and writes in a loop.
//!
//! ```text
//! cargo run --example echo_async -- 7000        (and in another terminal: nc 127.0.0.1 7000)
//! ```
//!
//! The third way beside `echo_raw` and `echo_server`, over the same table of sources: a message is one wait, one read and
//! one write here too. It listens on 127.0.0.1 (port 0, or none: any free port, see the `ready` line), and ends on
//! Ctrl-C or SIGTERM.

#[path = "support/program.rs"]
mod program;

use program::say;
use ropewalk::bridge::{TcpListener, TcpStream, sleep, yield_now};
use ropewalk::{EventLoop, Failure, Handle};
use socket2::{Domain, Socket, Type};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

/// A burst of 4096 connections waits in the kernel; `TcpListener::bind` would keep room for 128.
const BACKLOG: i32 = 4096;

/// How many connections are taken before the others have their turn.
const ACCEPTS: u32 = 256;

/// How much is read in one go. All connections share one buffer, so it can be large.
const SCRATCH: usize = 64 * 1024;

/// How long to accept nothing when the system is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    env_logger::init();
    program::run("echo_async [PORT]", |arguments| {
        let port = program::port(arguments)?;
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        let listener = TcpListener::new(&event_loop, listen(port)?)?;
        let port = listener.local_addr()?.port();
        event_loop.spawn(accept_from(event_loop.handle(), listener)).log_errors("accepting");
        say(format_args!("ready {port}"))?;
        event_loop.run()?;
        Ok(())
    })
}

/// What `TcpListener::bind` does, with a longer queue.
fn listen(port: u16) -> io::Result<std::net::TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).map_err(failed)?;
    socket.set_reuse_address(true).map_err(failed)?;
    socket.bind(&address.into()).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)?;
    Ok(socket.into())
}

/// A task for each connection.
async fn accept_from(event_loop: Handle, listener: TcpListener) -> Result<(), Failure> {
    let scratch = Rc::new(RefCell::new(vec![0; SCRATCH]));
    let mut taken = 0;
    loop {
        match listener.accept().await {
            Ok(stream) => {
                let connection = event_loop.spawn(echo(stream, scratch.clone()));
                // Peers go without a word all the time; that is no error of this program's.
                drop(connection.add_errback(|failure| {
                    log::debug!("a connection is gone: {failure}");
                    Ok(())
                }));
            }
            // Out of descriptors (EMFILE, ENFILE) or memory. The connection stays in the queue: trying again at once
            // would spin.
            Err(error) => {
                log::error!("no connection is accepted for {PAUSE:?}: {error}");
                sleep(&event_loop, PAUSE).await?;
            }
        }
        taken += 1;
        if taken % ACCEPTS == 0 {
            yield_now().await;
        }
    }
}

/// Sends everything back until the peer sends no more.
async fn echo(stream: TcpStream, scratch: Rc<RefCell<Vec<u8>>>) -> Result<(), Failure> {
    stream.get_ref().set_nodelay(true)?;
    loop {
        // The buffer is everybody's, so it is lent for a single poll. What the peer does not take at once is copied.
        let echoed = poll_fn(|context| {
            let buffer = &mut *scratch.borrow_mut();
            let n = ready!(stream.poll_read(context, buffer))?;
            if n == 0 {
                return Poll::Ready(Ok((0, Vec::new())));
            }
            let written = match stream.poll_write(context, &buffer[..n]) {
                Poll::Ready(written) => written?,
                Poll::Pending => 0,
            };
            Poll::Ready(io::Result::Ok((n, buffer[written..n].to_vec())))
        });
        let (n, rest) = echoed.await?;
        if n == 0 {
            return Ok(());
        }
        if !rest.is_empty() {
            // Nothing more is read meanwhile, so that a peer which does not read holds no more than one buffer.
            stream.write_all(&rest).await?;
        }
        if n == SCRATCH {
            yield_now().await; // there is more, and others have their turn first
        }
    }
}
