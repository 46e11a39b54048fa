//! The slow servers, on a loop and a thread of their own: eight addresses, any number of connections.

use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use ropewalk::{Address, EventLoop, Failure, ListenTcp, Protocol, Remote, Transport};

/// How slow they are.
pub(crate) const DELAY: Duration = Duration::from_millis(50);

/// A line in, a poem out after a while. `poem N COUNT`: the one in the middle of the count hangs up instead. `wait` is
/// never answered.
#[derive(Default)]
struct Server {
    line: Vec<u8>,
}

impl Protocol for Server {
    fn data_received(&mut self, event_loop: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        self.line.extend_from_slice(data);
        let Some(line) = self.line.strip_suffix(b"\n") else { return Ok(()) };
        let words: Vec<&str> = std::str::from_utf8(line)?.split(' ').collect();
        let ["poem", n, count] = words[..] else { return Ok(()) };
        let (n, count): (usize, usize) = (n.parse()?, count.parse()?);
        let transport = transport.clone();
        event_loop.call_later(DELAY, move |_| {
            if n * 2 != count {
                // A client that has gone away does without.
                let _ = transport.write(format!("If I were poem {n}, I would come late\n").as_bytes());
            }
            transport.lose_connection();
        });
        Ok(())
    }

    /// Clients come and go.
    fn connection_lost(&mut self, _: &EventLoop, _: Failure) {}
}

/// The servers while they run.
pub(crate) struct Servers {
    pub(crate) port: u16,
    remote: Remote,
    thread: Option<JoinHandle<()>>,
}

impl Servers {
    pub(crate) fn start() -> io::Result<Servers> {
        let (told, started) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let serve = || -> io::Result<(EventLoop, u16)> {
                let event_loop = EventLoop::new()?;
                let mut port = 0;
                for host in 1..=8 {
                    let address = SocketAddr::from(([127, 0, 1, host], port));
                    // 4096 is what the system allows: a burst of 10,000 over eight of them fits.
                    let build = |_: &EventLoop, _: &Address| Some(Server::default());
                    port = ListenTcp::new(address).backlog(4096).listen(&event_loop, build)?.address().port();
                }
                Ok((event_loop, port))
            };
            match serve() {
                Ok((event_loop, port)) => {
                    let _ = told.send(Ok((event_loop.remote(), port)));
                    if let Err(error) = event_loop.run() {
                        eprintln!("the servers: {error}");
                    }
                }
                Err(error) => drop(told.send(Err(error))),
            }
        });
        let (remote, port) = started.recv().map_err(io::Error::other)??;
        Ok(Servers { port, remote, thread: Some(thread) })
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.remote.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
