//! A peer that a test plays by hand.

use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use super::wire::Wire;
use crate::event_loop::{EventLoop, Handle};
use crate::transports::{Protocol, Transport};

/// The side of the protocol under test, and of the test that plays its peer.
const OWN: usize = 0;
const PEER: usize = 1;

/// A connection in memory whose protocol is under test, and whose other end is the test's. Twisted's `StringTransport`.
///
/// What the protocol writes is collected. What the test sends is delivered at once: the loop runs until nothing is left
/// to do at this time, so that the test can look at the outcome in the next line. Inside a callback of the loop it is
/// only queued.
///
/// ```
/// use ropewalk::testing::StringTransport;
/// use ropewalk::{EventLoop, Failure, Protocol, Transport};
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
///         Ok(transport.write(data)?)
///     }
/// }
///
/// let event_loop = EventLoop::new()?;
/// let peer = StringTransport::new(&event_loop, Echo);
/// peer.send(b"hello");
/// assert_eq!(peer.value(), b"hello");
/// peer.send_end();
/// assert!(peer.is_disconnected());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct StringTransport {
    wire: Rc<Wire>,
    event_loop: Handle,
}

/// What a protocol does about the data that its peer sends.
///
/// ```
/// use ropewalk::testing::{MemoryLoop, ProducerState};
/// use ropewalk::{EventLoop, Failure, Protocol, Transport};
///
/// /// Reads no more than one message before somebody says so.
/// struct Careful;
///
/// impl Protocol for Careful {
///     fn data_received(&mut self, _: &EventLoop, transport: &Transport, _: &[u8]) -> Result<(), Failure> {
///         transport.pause_producing();
///         Ok(())
///     }
/// }
///
/// let test = MemoryLoop::new()?;
/// let peer = test.connected(Careful);
/// assert_eq!(peer.producer_state(), ProducerState::Producing);
/// peer.send("one");
/// assert_eq!(peer.producer_state(), ProducerState::Paused);
/// peer.transport().resume_producing();
/// assert_eq!(peer.producer_state(), ProducerState::Producing);
/// peer.send_end();
/// assert_eq!(peer.producer_state(), ProducerState::Stopped);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProducerState {
    /// It is read.
    Producing,
    /// Reading is paused.
    Paused,
    /// The connection is closing or lost: nothing is read any more.
    Stopped,
}

impl StringTransport {
    /// Connects a protocol. Its `connection_made` has been called when this returns.
    #[track_caller]
    pub fn new(event_loop: &EventLoop, protocol: impl Protocol) -> StringTransport {
        let wire = Wire::new(event_loop, None, Location::caller());
        StringTransport::with_wire(event_loop, wire, protocol.into_boxed())
    }

    pub(super) fn with_wire(
        event_loop: &EventLoop,
        wire: Rc<Wire>,
        protocol: Box<dyn Protocol>,
    ) -> StringTransport {
        let line = wire.attach(event_loop, OWN, protocol);
        wire.made(event_loop, OWN, line);
        let played = StringTransport { wire, event_loop: event_loop.handle() };
        played.settle();
        played
    }

    /// Sends bytes to the protocol: one `data_received`, unless they are more than 65,536, the transport is paused, or
    /// the loop cuts.
    pub fn send(&self, data: impl AsRef<[u8]>) {
        self.wire.send(PEER, data.as_ref());
        self.settle();
    }

    /// Closes the direction to the protocol: it has read everything, and the end.
    pub fn send_end(&self) {
        self.wire.send_end(PEER);
        self.settle();
    }

    /// Breaks the connection off.
    pub fn reset(&self) {
        self.wire.send_reset(PEER);
        self.settle();
    }

    /// What the protocol has written, as far as the peer has taken it, since the last [`clear`](StringTransport::clear).
    pub fn value(&self) -> Vec<u8> {
        self.settle();
        self.wire.incoming(PEER)
    }

    /// The same as text.
    ///
    /// # Panics
    ///
    /// When it is no UTF-8.
    #[track_caller]
    pub fn text(&self) -> String {
        match String::from_utf8(self.value()) {
            Ok(text) => text,
            Err(error) => panic!("what was written is no UTF-8: \"{}\"", error.as_bytes().escape_ascii()),
        }
    }

    /// Forgets what the protocol has written: it was read, and there is room for more.
    pub fn clear(&self) {
        self.wire.take_incoming(PEER);
        self.settle();
    }

    /// Lets the peer take no more than `bytes` that are not [cleared](StringTransport::clear) yet; `None` is no limit,
    /// which is how it begins. What the protocol writes beyond waits in its transport.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Failure, Protocol, Transport, testing::MemoryLoop};
    ///
    /// struct Echo;
    ///
    /// impl Protocol for Echo {
    ///     fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
    ///         Ok(transport.write(data)?)
    ///     }
    /// }
    ///
    /// let test = MemoryLoop::new()?;
    /// let peer = test.connected(Echo);
    /// peer.set_room(Some(3));
    /// peer.send("hello");
    /// assert_eq!((peer.text().as_str(), peer.transport().buffered()), ("hel", 2));
    /// peer.clear(); // the peer has read that
    /// assert_eq!((peer.text().as_str(), peer.transport().buffered()), ("lo", 0));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_room(&self, bytes: Option<usize>) {
        self.wire.set_room(PEER, bytes);
        self.settle();
    }

    /// The protocol's transport.
    pub fn transport(&self) -> Transport {
        self.wire.transport(OWN).expect("a protocol was put on this end")
    }

    /// Whether the protocol reads what is sent to it.
    pub fn producer_state(&self) -> ProducerState {
        let transport = self.transport();
        if transport.is_disconnecting() {
            ProducerState::Stopped
        } else if transport.is_paused() {
            ProducerState::Paused
        } else {
            ProducerState::Producing
        }
    }

    /// Whether the protocol is closing the connection, or it is lost.
    pub fn is_disconnecting(&self) -> bool {
        self.transport().is_disconnecting()
    }

    /// Whether the connection is lost.
    pub fn is_disconnected(&self) -> bool {
        self.transport().is_disconnected()
    }

    /// Whether the peer has seen the end of what the protocol writes.
    pub fn sees_end(&self) -> bool {
        self.wire.sees_end(PEER)
    }

    /// Whether the peer has seen the protocol break off.
    pub fn sees_reset(&self) -> bool {
        self.wire.sees_reset(PEER)
    }

    fn settle(&self) {
        // Without a loop there is nothing left to do.
        let _ = self.event_loop.with(super::settle);
    }
}

impl fmt::Debug for StringTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StringTransport")
            .field("written", &format_args!("\"{}\"", self.wire.incoming(PEER).escape_ascii()))
            .field("state", &self.producer_state())
            .finish()
    }
}
