//! How much a peer may send.

/// How much of a message's head and framing a peer may send. Bodies are limited by whoever takes them.
///
/// ```
/// use ropewalk::http::{Limits, Server};
/// use ropewalk::{Address, testing::MemoryLoop};
///
/// let test = MemoryLoop::new()?;
/// let mut limits = Limits::default();
/// limits.target = 100;
/// let site = Server::new().limits(limits).get("/", |_, _| "Hello, World!").start(&test)?;
/// let peer = test.connected(site.protocol(&Address::Memory));
/// peer.send(format!("GET /?{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(100)));
/// assert!(peer.text().starts_with("HTTP/1.1 414 URI Too Long\r\n"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a whole head, request or status line included. The default is 32 KiB: what nginx (4 x 8 KiB) takes, and
    /// twice what Node takes.
    pub head: usize,
    /// Bytes of a request's target. The default is 8 KiB: RFC 9112, 3 recommends 8000 at least.
    pub target: usize,
    /// Header fields of a head, and of trailers. The default is 100, as Apache's.
    pub fields: usize,
    /// Bytes of a line that says how long a chunk is, with its extensions. The default is 256: nobody uses these.
    pub chunk_line: usize,
    /// Bytes of trailers. The default is 8 KiB.
    pub trailers: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { head: 32 * 1024, target: 8 * 1024, fields: 100, chunk_line: 256, trailers: 8 * 1024 }
    }
}
