//! How much a peer may send.

/// How much a peer may send in one go.
///
/// ```
/// use ropewalk::websocket::{Limits, WebSocketServer};
///
/// let mut limits = Limits::of_message(64 * 1024);
/// limits.frame = 16 * 1024; // and no more than so much in one frame
/// let sockets = WebSocketServer::new().limits(limits);
/// assert_eq!(Limits::default().message, 1 << 20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a frame. The default is 1 MiB, as of a message.
    pub frame: u64,
    /// Bytes of a message, which may be many frames. The default is 1 MiB: a whole message is held in memory until its
    /// end has come, for each connection.
    pub message: u64,
}

impl Limits {
    /// The same limit for frames and messages, in bytes.
    pub fn of_message(bytes: u64) -> Limits {
        Limits { frame: bytes, message: bytes }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::of_message(1 << 20)
    }
}
