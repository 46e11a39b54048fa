//! A server for the tour, on a loop and a thread of its own: it answers any request with a poem, piece by piece.

use ropewalk::{EventLoop, Interest, Remote, SourceId};
use std::cell::OnceCell;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The reply, in the pieces in which it is sent.
const PIECES: [&str; 4] = [
    "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n",
    "A rope is only hemp that met its kind,\n",
    "was walked, and turned, and pulled, and walked again;\n",
    "no strand of it is long, yet all, entwined,\nreach farther than the longest strand of them.\n",
];

/// The time between two pieces: short, and yet an age for a loop.
const PAUSE: Duration = Duration::from_millis(5);

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    remote: Remote,
    thread: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Starts it on a free port of 127.0.0.1.
    pub(crate) fn start() -> Result<Server, Box<dyn Error>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let here = EventLoop::new()?;
        let (started, remote) = here.remote_deferred();
        // A loop stays on the thread that made it. What other threads have of it is a `Remote`.
        let thread = thread::Builder::new().name("server".into()).spawn(move || {
            let event_loop = EventLoop::new()?;
            listen(&event_loop, listener)?;
            started.succeed(event_loop.remote());
            event_loop.run().map_err(io::Error::other)
        })?;
        match here.run_until(remote) {
            Ok(remote) => Ok(Server { address, remote, thread }),
            // It ended before it began: the thread knows why.
            Err(abandoned) => {
                ended(thread)?;
                Err(abandoned.into())
            }
        }
    }

    /// Stops it and waits for its end.
    pub(crate) fn stop(self) -> io::Result<()> {
        self.remote.stop();
        ended(self.thread)
    }
}

fn ended(thread: JoinHandle<io::Result<()>>) -> io::Result<()> {
    thread.join().map_err(|_| io::Error::other("the server panicked"))?
}

fn listen(event_loop: &EventLoop, listener: TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    event_loop.register(listener, Interest::READ, |event_loop, listener, _| {
        // One for each readiness: if more wait, the listener is ready again.
        if let Ok((stream, _)) = listener.accept()
            && let Err(error) = answer(event_loop, stream)
        {
            log::error!("a connection is dropped: {error}");
        }
    })?;
    Ok(())
}

/// Waits for the end of the request, whatever it says, and answers.
fn answer(event_loop: &EventLoop, stream: TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let own_id = Rc::new(OnceCell::new());
    let id = own_id.clone();
    let mut request = Vec::new();
    let registered = event_loop.register(stream, Interest::READ, move |event_loop, mut stream, _| {
        let id = *id.get().expect("the callback runs after the registration");
        let mut buffer = [0; 1024];
        match stream.read(&mut buffer) {
            Ok(n) if n > 0 && request.len() < 8192 => request.extend_from_slice(&buffer[..n]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            // The peer has left, or talks too much.
            _ => drop(event_loop.remove(id)),
        }
        if request.ends_with(b"\r\n\r\n") {
            let _ = event_loop.pause(id);
            say_from(event_loop, id, 0);
        }
    })?;
    own_id.get_or_init(|| registered);
    Ok(())
}

/// Sends one piece now and the rest later; then closes.
fn say_from(event_loop: &EventLoop, id: SourceId<TcpStream>, piece: usize) {
    // A piece always fits into an empty socket buffer. If it does not go, the peer has left.
    let say = |text: &&str| event_loop.with_source(id, |mut stream| stream.write_all(text.as_bytes()));
    match PIECES.get(piece).map(say) {
        Some(Ok(Ok(()))) => {
            event_loop.call_later(PAUSE, move |event_loop| say_from(event_loop, id, piece + 1));
        }
        _ => drop(event_loop.remove(id)),
    }
}
