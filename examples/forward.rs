//! A port forwarder: each connection to it is joined to a new one to somewhere else.
//!
//! ```text
//! cargo run --example forward -- 7000 example.org:80
//!
//!   client --reads--> write --> server       whoever writes faster than the other side reads
//!   client <-- write <--reads-- server       is not read from until the other side has caught up
//! ```
//!
//! Each transport is the other one's producer: that is all of the flow control. The end of one direction is passed on
//! while the other goes on; a reset is passed on as a reset. Listens on 127.0.0.1 (port 0: any free port, see the `ready`
//! line), and ends on Ctrl-C or SIGTERM.

#[path = "support/program.rs"]
mod program;

use program::{Usage, say};
use ropewalk::{
    Address, ConnectTcp, ConnectionDone, EventLoop, Failure, ListenTcp, Protocol, Streaming, Target, Transport,
};
use std::cell::OnceCell;
use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

/// How many clients may be there at a time: each costs two descriptors, and two buffers a direction if it is slow.
const CLIENTS: usize = 10_000;

/// How long the other side may take to be found and to answer. The client waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// After so long a silence a peer is asked whether it still lives: without this, one that lost its power would stay.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    env_logger::init();
    program::run("forward PORT HOST:PORT", |arguments| {
        let [port, target] = arguments else { return Err(Usage.into()) };
        let port: u16 = port.parse().map_err(|_| Usage)?;
        if !target.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
            return Err(Usage.into());
        }
        let target = Target::from(target);
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        let port = ListenTcp::new(("127.0.0.1", port))
            .max_connections(CLIENTS)
            .listen(&event_loop, move |_, peer| Some(Side::client(peer.clone(), target.clone())))?;
        say(format_args!("ready {}", port.address().port()))?;
        event_loop.run()?;
        Ok(())
    })
}

/// Two connections that are joined.
struct Pair {
    /// Who the client is.
    peer: Address,
    target: Target,
    client: OnceCell<Transport>,
    server: OnceCell<Transport>,
}

/// One of the two.
enum Side {
    Client(Rc<Pair>),
    Server(Rc<Pair>),
}

impl Side {
    fn client(peer: Address, target: Target) -> Side {
        Side::Client(Rc::new(Pair { peer, target, client: OnceCell::new(), server: OnceCell::new() }))
    }

    /// The connection on the other side, once it is there.
    fn other(&self) -> Option<&Transport> {
        match self {
            Side::Client(pair) => pair.server.get(),
            Side::Server(pair) => pair.client.get(),
        }
    }
}

impl Pair {
    /// The client is here: connects it to where it wants to go.
    fn connect(self: &Rc<Self>, event_loop: &EventLoop, client: &Transport) {
        self.client.get_or_init(|| client.clone());
        // What it says waits in the system until somebody can take it.
        client.pause_producing();
        let pair = self.clone();
        ConnectTcp::new(self.target.clone())
            .timeout(CONNECT_TIMEOUT)
            .connect(event_loop, Side::Server(self.clone()))
            .add_callbacks(
                |_| Ok(()),
                move |failure| {
                    // Where standard error is gone, the client still sees that it was refused.
                    let _ = writeln!(std::io::stderr(), "forward: {}: {failure}", pair.peer);
                    if let Some(client) = pair.client.get() {
                        client.abort();
                    }
                    Ok(())
                },
            );
    }

    /// Both are here: each produces for the other.
    fn join(&self, event_loop: &EventLoop, server: &Transport) -> Result<(), Failure> {
        let server = self.server.get_or_init(|| server.clone());
        if let Some(client) = self.client.get() {
            server.register_producer(event_loop, client.clone(), Streaming::Push)?;
            client.register_producer(event_loop, server.clone(), Streaming::Push)?;
            client.resume_producing();
        }
        Ok(())
    }
}

impl Protocol for Side {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        // Who cut the data into pieces has had a reason. Neither option is worth a connection.
        let _ = transport.set_tcp_nodelay(true);
        let _ = transport.set_tcp_keep_alive(Some(KEEP_ALIVE));
        match self {
            Side::Client(pair) => pair.connect(event_loop, transport),
            Side::Server(pair) => pair.join(event_loop, transport)?,
        }
        Ok(())
    }

    fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        // A client is paused until the server is there. When the other side has just broken, this one must not look as
        // if it had ended in order, which is what an error would do.
        if self.other().is_none_or(|other| other.write(data).is_err()) {
            transport.abort();
        }
        Ok(())
    }

    fn half_close(&self) -> bool {
        true
    }

    /// This side says no more. What it has said still goes to the other one, and then the news.
    fn read_connection_lost(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        match self.other() {
            Some(other) => other.lose_write_connection(),
            None => transport.abort(),
        }
        Ok(())
    }

    /// In order: both directions were closed, and the other side knows. Not in order: it shall not take what it got for
    /// all there was.
    fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
        if reason.check::<ConnectionDone>().is_none()
            && let Some(other) = self.other()
        {
            other.abort();
        }
    }
}
