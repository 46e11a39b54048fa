//! A web server.
//!
//! ```text
//! cargo run --example http_server -- 8000          GET / answers Hello, World!
//! cargo run --example http_server -- 8000 docs     the files of this folder
//! ```
//!
//! Without a folder it also shows what handlers can answer: `POST /echo` sends the request's body back while it comes,
//! `/slow` answers later, `/count` from a task, `/poems/{name}` has a parameter. Listens on 127.0.0.1 (port 0, or none: any
//! free port, see the `ready` line). On Ctrl-C or SIGTERM it takes no more connections, finishes what runs, and ends.

#[path = "support/program.rs"]
mod program;

use program::{Usage, say};
use ropewalk::http::{Request, Response, Server};
use ropewalk::{Deferred, EventLoop, Failure, ListenTcp, Phase, SystemEvent};
use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

/// A burst of connections waits in the kernel, which cuts this to its own limit.
const BACKLOG: u32 = 4096;

/// How long a client may take to finish when the server ends.
const GRACE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    env_logger::init();
    program::run("http_server [PORT [DIR]]", |arguments| {
        let (port, server) = match arguments {
            [] => (0, handlers()),
            [port] => (port.parse().map_err(|_| Usage)?, handlers()),
            [port, dir] => (port.parse().map_err(|_| Usage)?, Server::new().files("/", dir)?),
            _ => return Err(Usage.into()),
        };
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        let server = if log::log_enabled!(target: "ropewalk::access", log::Level::Info) {
            server.log_access()
        } else {
            server
        };
        let site = server.start(&event_loop)?;
        let port: u16 = port;
        let port = site.listen(&event_loop, ListenTcp::new(("127.0.0.1", port)).backlog(BACKLOG))?;
        event_loop.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, move |event_loop| {
            site.shutdown(event_loop, GRACE).map(|_| ())
        });
        say(format_args!("ready {}", port.address().port()))?;
        event_loop.run()?;
        Ok(())
    })
}

fn handlers() -> Server {
    Server::new()
        .max_body(1 << 30)
        .get("/", |_, _| Response::text("Hello, World!"))
        .get("/poems/{name}", |_, request| {
            let name = request.param("name").unwrap_or_default();
            Response::text(format!("there is no poem called {name}\n"))
        })
        .get("/slow", |event_loop, _| {
            event_loop.defer_later(Duration::from_millis(100), |_| Ok(Response::text("that took a while\n")))
        })
        .get("/count", count)
        .post("/echo", echo)
}

/// Sends the body back piece by piece: it waits for the client on both sides, and holds two pieces at most.
fn echo(_: &EventLoop, mut request: Request) -> Response {
    let length = request.body_length().exact();
    let body = Rc::new(RefCell::new(request.take_body()));
    Response::pieces(length, move |_| -> Deferred<Option<Vec<u8>>> { body.borrow_mut().read() })
        .content_type("application/octet-stream")
}

/// Counts to three, from a task.
fn count(event_loop: &EventLoop, _: Request) -> Response {
    let (writer, response) = Response::streaming();
    let handle = event_loop.handle();
    let counting = async move {
        for n in 1..=3 {
            writer.ready().await?;
            writer.write(format!("{n}\n"))?;
            handle.defer_later(Duration::from_millis(20), |_| Ok(())).await?;
        }
        writer.finish();
        Ok::<(), Failure>(())
    };
    event_loop.spawn(counting).log_errors("a client left before the count was over");
    response.content_type("text/plain")
}
