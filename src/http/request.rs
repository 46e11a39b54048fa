//! What a handler is asked.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use super::body::Body;
use super::head::RequestHead;
use crate::transports::Address;

/// A request: its head, the parameters of its route, and its body, which may still be on its way.
///
/// It can be used as its [`RequestHead`].
///
/// ```
/// use ropewalk::http::{Request, Response, Server};
/// use ropewalk::{Address, Deferred, EventLoop, testing::MemoryLoop};
///
/// fn store(_: &EventLoop, mut request: Request) -> Deferred<Response> {
///     let name = format!("{} {} from {}", request.method, request.param("name").unwrap_or("?"), request.peer());
///     request.take_body().collect(1000).map(move |body| Response::text(format!("{name}: {} bytes\n", body.len())))
/// }
///
/// let test = MemoryLoop::new()?;
/// let site = Server::new().put("/poems/{name}", store).start(&test)?;
/// let peer = test.connected(site.protocol(&Address::Memory));
/// peer.send("PUT /poems/if%20i HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nIf I were");
/// assert!(peer.text().ends_with("\r\n\r\nPUT if i from (memory): 9 bytes\n"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Request {
    pub(super) head: Rc<RequestHead>,
    pub(super) params: Vec<(Box<str>, String)>,
    pub(super) peer: Address,
    pub(super) body: Body,
}

impl Request {
    /// The head.
    pub fn head(&self) -> &RequestHead {
        &self.head
    }

    /// Who sent it: the other end of the connection.
    pub fn peer(&self) -> &Address {
        &self.peer
    }

    /// A parameter of the route, percent-decoded: `id` of `/poems/{id}`. It is text from outside: `/` and `..` may be in
    /// it.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(found, _)| **found == *name).map(|(_, value)| value.as_str())
    }

    /// The body, to be read once.
    pub fn take_body(&mut self) -> Body {
        std::mem::replace(&mut self.body, Body::empty())
    }
}

impl Deref for Request {
    type Target = RequestHead;

    fn deref(&self) -> &RequestHead {
        &self.head
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("head", &self.head)
            .field("params", &self.params)
            .field("peer", &self.peer)
            .field("body", &self.body)
            .finish()
    }
}
