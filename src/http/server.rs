//! Servers: handlers for paths, and the connections that ask them.
//!
//! | module | what it is |
//! |---|---|
//! | `routes` | which handler a request is for |
//! | `settings` | how much, and how long |
//! | `site` | what the connections of a server share: their list, the time, shutting down |
//! | `connection` | one connection: request by request |
//! | `exchange` | one request and its response, on its way |
//! | `respond` | a response into bytes |
//! | `access` | what happened, for a log |

mod access;
mod connection;
mod exchange;
mod respond;
mod routes;
mod settings;
mod site;

pub use access::AccessRecord;
pub use connection::ServerProtocol;
pub use site::Site;

use std::fmt;
use std::io;
use std::panic::Location;
use std::time::Duration;

use super::limits::Limits;
use super::method::Method;
use super::request::Request;
use super::response::{IntoReply, Sealed};
use crate::event_loop::EventLoop;
use crate::transports::{ListenTcp, Target};
use routes::Routes;
use settings::Settings;

/// A server that is being set up: handlers for paths, and limits. [`listen`](Server::listen) starts it.
///
/// A handler is called with the request, whose body may still be on its way, and answers a [`Response`](super::Response),
/// a Deferred of one, or a `Result` (see [`IntoReply`]). Requests of one connection are answered one after the other, in
/// their order; those of different connections as they come. A handler that fails or panics makes its client be told 500,
/// and is reported; a [`StatusError`](super::StatusError) is told as it is. When a connection is lost, the Deferred that
/// it waits for is cancelled.
///
/// ```
/// use ropewalk::EventLoop;
/// use ropewalk::http::{Response, Server};
/// use std::time::Duration;
///
/// let event_loop = EventLoop::new()?;
/// let site = Server::new()
///     .get("/", |_, _| "Hello, World!")
///     .get("/poems/{name}", |_, request| Response::text(format!("{} is lost\n", request.param("name").unwrap_or("it"))))
///     .get("/slow", |event_loop, _| event_loop.defer_later(Duration::from_millis(20), |_| Ok(Response::text("done\n"))))
///     .post("/async", |event_loop, mut request| {
///         event_loop.spawn(async move {
///             let body = request.take_body().collect(1000).await?;
///             Ok(Response::text(format!("{} bytes\n", body.len())))
///         })
///     })
///     .listen(&event_loop, "127.0.0.1:0")?;
/// assert_ne!(site.address().unwrap().port(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Default)]
pub struct Server {
    routes: Routes,
    settings: Settings,
}

impl Server {
    /// Without handlers, with limits that suit a server on the open net.
    pub fn new() -> Server {
        Server::default()
    }

    /// Has `handler` answer requests with this method to this path.
    ///
    /// A path may have parameters, each for one segment: `/poems/{id}`; and one at its end for all the rest:
    /// `/files/{*path}`. What stands literally counts more than a parameter. A path that has handlers, but none for the
    /// method, is answered 405; OPTIONS is answered by itself; HEAD by the handler of GET.
    #[track_caller]
    pub fn route<R: IntoReply>(
        mut self,
        method: Method,
        path: &str,
        mut handler: impl FnMut(&EventLoop, Request) -> R + 'static,
    ) -> Server {
        let handler =
            Box::new(move |event_loop: &EventLoop, request| Sealed::into_reply(handler(event_loop, request)));
        self.routes.add(Some(method), path, handler, Location::caller());
        self
    }

    /// The same for every method.
    #[track_caller]
    pub fn any<R: IntoReply>(
        mut self,
        path: &str,
        mut handler: impl FnMut(&EventLoop, Request) -> R + 'static,
    ) -> Server {
        let handler =
            Box::new(move |event_loop: &EventLoop, request| Sealed::into_reply(handler(event_loop, request)));
        self.routes.add(None, path, handler, Location::caller());
        self
    }

    /// [`route`](Server::route) for GET, and so for HEAD.
    #[track_caller]
    pub fn get<R: IntoReply>(self, path: &str, handler: impl FnMut(&EventLoop, Request) -> R + 'static) -> Server {
        self.route(Method::Get, path, handler)
    }

    /// [`route`](Server::route) for POST.
    #[track_caller]
    pub fn post<R: IntoReply>(self, path: &str, handler: impl FnMut(&EventLoop, Request) -> R + 'static) -> Server {
        self.route(Method::Post, path, handler)
    }

    /// [`route`](Server::route) for PUT.
    #[track_caller]
    pub fn put<R: IntoReply>(self, path: &str, handler: impl FnMut(&EventLoop, Request) -> R + 'static) -> Server {
        self.route(Method::Put, path, handler)
    }

    /// [`route`](Server::route) for DELETE.
    #[track_caller]
    pub fn delete<R: IntoReply>(
        self,
        path: &str,
        handler: impl FnMut(&EventLoop, Request) -> R + 'static,
    ) -> Server {
        self.route(Method::Delete, path, handler)
    }

    /// Has `handler` answer what no route is for. The default answers 404, and 501 to methods that nobody knows.
    #[track_caller]
    pub fn fallback<R: IntoReply>(mut self, mut handler: impl FnMut(&EventLoop, Request) -> R + 'static) -> Server {
        let handler =
            Box::new(move |event_loop: &EventLoop, request| Sealed::into_reply(handler(event_loop, request)));
        self.routes.set_fallback(handler, Location::caller());
        self
    }

    /// Limits of heads and framing.
    pub fn limits(mut self, limits: Limits) -> Server {
        self.settings.limits = limits;
        self
    }

    /// How many bytes a request's body may have; more is answered 413. The default is 2 MiB. A handler that wants more
    /// of one request asks for it with [`Body::set_limit`](super::Body::set_limit), as far as the length was not said.
    pub fn max_body(mut self, bytes: u64) -> Server {
        self.settings.max_body = bytes;
        self
    }

    /// How many connections may be open at a time; more are accepted and closed. The default is 10,000: each costs a
    /// descriptor and about a kilobyte.
    pub fn max_connections(mut self, limit: usize) -> Server {
        self.settings.max_connections = limit;
        self
    }

    /// How many connections one IP address may have open at a time. There is no limit by default: behind one address
    /// there may be a whole company, or a proxy.
    pub fn max_connections_per_peer(mut self, limit: usize) -> Server {
        self.settings.max_connections_per_peer = limit;
        self
    }

    /// How long a whole head may take from its first byte on; then the client is told 408. And how long a new connection
    /// may be silent; then it is closed. The default is 30 s.
    pub fn head_timeout(mut self, time: Duration) -> Server {
        self.settings.head = time;
        self
    }

    /// How long a connection may be idle between requests. The default is 60 s.
    pub fn idle_timeout(mut self, time: Duration) -> Server {
        self.settings.idle = time;
        self
    }

    /// In each such time so much of a body must come (500 bytes for each second), unless the handler holds it back;
    /// else the client is told 408. The default is 30 s.
    pub fn body_timeout(mut self, time: Duration) -> Server {
        self.settings.body = time;
        self
    }

    /// How long a client may take nothing of what is sent to it; then the connection is broken off. The default is 30 s.
    pub fn write_timeout(mut self, time: Duration) -> Server {
        self.settings.write = time;
        self
    }

    /// How long a handler may take to answer; then the client is told 503 and the handler's Deferred is cancelled. There
    /// is no limit by default.
    pub fn handler_timeout(mut self, time: Duration) -> Server {
        self.settings.handler = Some(time);
        self
    }

    /// Has `log` called for each request when its response was sent, or given up. A panic of it is reported.
    pub fn access_log(mut self, log: impl FnMut(&AccessRecord) + 'static) -> Server {
        self.settings.access_log = Some(Box::new(log));
        self
    }

    /// Logs each request through the `log` crate, at level `info` and with the target `ropewalk::access`, in the common
    /// format.
    pub fn log_access(self) -> Server {
        self.access_log(|record| log::info!(target: "ropewalk::access", "{record}"))
    }

    /// Starts it without listening: for what makes connections in another way, such as a test's memory.
    ///
    /// # Errors
    ///
    /// A route's path makes no sense, or contradicts another one.
    pub fn start(self, event_loop: &EventLoop) -> io::Result<Site> {
        Site::start(event_loop, self.routes, self.settings)
    }

    /// Starts it, and listens on this address. See [`Site::listen`] for more of them.
    ///
    /// # Errors
    ///
    /// As for [`start`](Server::start) and [`ListenTcp::listen`].
    #[track_caller]
    pub fn listen(self, event_loop: &EventLoop, address: impl Into<Target>) -> io::Result<Site> {
        let site = self.start(event_loop)?;
        site.listen(event_loop, ListenTcp::new(address))?;
        Ok(site)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("routes", &self.routes).finish_non_exhaustive()
    }
}
