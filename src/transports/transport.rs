//! The handle to a connection.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::address::Address;
use super::connection::{HIGH_WATER, Line, stop};
use super::error::{Disconnected, ProducerError};
use super::producer::{Producer, Streaming, Who};
use crate::event_loop::EventLoop;
use crate::trace::Id;

/// A way to a connection: cheap, weak, to be cloned and kept. Twisted's `ITransport` and `ITCPTransport`.
///
/// Once the connection is lost, whatever can be lost answers [`Disconnected`] and all else does nothing.
///
/// No method calls anybody: what is written is sent once, after the loop callback that runs, and `connection_lost` comes
/// in a later turn. So all of them can be used in any callback, of this connection or of others.
///
/// ```
/// use ropewalk::testing::MemoryLoop;
/// use ropewalk::{EventLoop, Failure, Protocol, Transport};
/// use std::{cell::RefCell, rc::Rc};
///
/// /// Everybody who is there. The handles are weak: one that is left here keeps no connection open.
/// type Crowd = Rc<RefCell<Vec<Transport>>>;
///
/// /// Passes on what one says to all others.
/// struct Chat(Crowd);
///
/// impl Protocol for Chat {
///     fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
///         self.0.borrow_mut().push(transport.clone());
///         Ok(())
///     }
///
///     fn data_received(&mut self, _: &EventLoop, own: &Transport, data: &[u8]) -> Result<(), Failure> {
///         self.0.borrow_mut().retain(|other| !other.is_disconnected());
///         for other in self.0.borrow().iter().filter(|other| *other != own) {
///             let _ = other.write(data); // an error says that it leaves: no reason to leave as well
///         }
///         Ok(())
///     }
/// }
///
/// let test = MemoryLoop::new()?;
/// let crowd = Crowd::default();
/// let [ada, bob, eve] = [(); 3].map(|()| test.connected(Chat(crowd.clone())));
/// eve.send_end();
/// ada.send("hello");
/// assert_eq!((ada.text(), bob.text(), eve.text()), ("".into(), "hello".into(), "".into()));
/// assert_eq!(crowd.borrow().len(), 2);
///
/// let to_bob = bob.transport();
/// bob.set_room(Some(0)); // reads nothing more
/// to_bob.write(b"goodbye").unwrap();
/// to_bob.lose_connection(); // after all is sent
/// test.settle();
/// assert!(to_bob.is_disconnecting() && !to_bob.is_disconnected());
/// assert_eq!(to_bob.buffered(), 7);
/// bob.set_room(None);
/// assert!(to_bob.is_disconnected() && bob.text().ends_with("goodbye"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Transport {
    line: Weak<Line>,
}

impl Transport {
    #[inline]
    pub(crate) fn new(line: &Rc<Line>) -> Transport {
        Transport { line: Rc::downgrade(line) }
    }

    #[inline]
    fn line(&self) -> Result<Rc<Line>, Disconnected> {
        self.line.upgrade().ok_or(Disconnected)
    }

    /// The id of its source in the current recording.
    pub(super) fn trace_id(&self) -> Option<Id> {
        self.line.upgrade()?.trace_id()
    }

    /// Whether it is a handle to this connection.
    pub(crate) fn is_of(&self, line: &Rc<Line>) -> bool {
        std::ptr::eq(self.line.as_ptr(), Rc::as_ptr(line))
    }

    fn io_line(&self) -> io::Result<Rc<Line>> {
        self.line.upgrade().ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, Disconnected))
    }

    /// Writes bytes, all of them: what the system has no room for waits in memory. See [`Transport::buffered`], and
    /// [`Transport::register_producer`] for much data.
    ///
    /// # Errors
    ///
    /// The connection is lost or its writing half is closed: the bytes go nowhere.
    #[inline]
    pub fn write(&self, data: &[u8]) -> Result<(), Disconnected> {
        self.line()?.write(data)
    }

    /// Writes several pieces as one. Twisted's `writeSequence`.
    ///
    /// # Errors
    ///
    /// As for [`Transport::write`].
    ///
    /// ```
    /// use ropewalk::{EventLoop, Failure, Protocol, Transport, testing::MemoryLoop};
    ///
    /// /// Answers with the length of what came, and the same bytes.
    /// struct Framed;
    ///
    /// impl Protocol for Framed {
    ///     fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
    ///         // No buffer of one's own is needed to put them together.
    ///         Ok(transport.write_vectored(&[data.len().to_string().as_bytes(), b":", data])?)
    ///     }
    /// }
    ///
    /// let test = MemoryLoop::new()?;
    /// let peer = test.connected(Framed);
    /// peer.send("hello");
    /// assert_eq!(peer.text(), "5:hello");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_vectored(&self, parts: &[&[u8]]) -> Result<(), Disconnected> {
        self.line()?.write_parts(parts)
    }

    /// Closes the connection after all that was written is sent. Nothing more is read. `connection_lost` is told
    /// [`ConnectionDone`](super::ConnectionDone) later.
    ///
    /// With a producer it stays open until that is unregistered, unless the producer is a transport. A peer that does not read keeps it open:
    /// [`Transport::abort`] does not wait.
    pub fn lose_connection(&self) {
        if let Ok(line) = self.line() {
            line.lose_connection();
        }
    }

    /// Breaks the connection off: what was not sent is thrown away, and the peer sees a reset. `connection_lost` is told
    /// [`ConnectionAborted`](super::ConnectionAborted) in the next turn. Twisted's `abortConnection`.
    pub fn abort(&self) {
        if let Ok(line) = self.line() {
            line.abort();
        }
    }

    /// Tells the peer that nothing follows, after all that was written is sent. Reading goes on. When both directions are
    /// closed the connection is over.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Failure, Protocol, Transport, testing::MemoryLoop};
    /// use std::{cell::RefCell, rc::Rc};
    ///
    /// /// Says all that it has to say, and reads the answer up to its end.
    /// struct Ask(Rc<RefCell<Vec<u8>>>);
    ///
    /// impl Protocol for Ask {
    ///     fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
    ///         transport.write(b"who is there?")?;
    ///         transport.lose_write_connection();
    ///         Ok(())
    ///     }
    ///
    ///     fn data_received(&mut self, _: &EventLoop, _: &Transport, data: &[u8]) -> Result<(), Failure> {
    ///         self.0.borrow_mut().extend_from_slice(data);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let test = MemoryLoop::new()?;
    /// let answer = Rc::new(RefCell::new(Vec::new()));
    /// let peer = test.connected(Ask(answer.clone()));
    /// assert!(peer.text() == "who is there?" && peer.sees_end());
    /// peer.send("Alice");
    /// assert_eq!(*answer.borrow(), b"Alice");
    /// assert!(!peer.is_disconnected());
    /// peer.send_end();
    /// assert!(peer.is_disconnected());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn lose_write_connection(&self) {
        if let Ok(line) = self.line() {
            line.lose_write_connection();
        }
    }

    /// Reads no more until [`Transport::resume_producing`]: the peer will have to wait. Not even its reset is told
    /// meanwhile.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Failure, Protocol, Transport, testing::MemoryLoop};
    /// use std::time::Duration;
    ///
    /// /// Takes a second for each order. Those that come meanwhile wait with the system, not in memory here.
    /// struct Slow;
    ///
    /// impl Protocol for Slow {
    ///     fn data_received(&mut self, event_loop: &EventLoop, own: &Transport, _: &[u8]) -> Result<(), Failure> {
    ///         own.pause_producing();
    ///         let transport = own.clone();
    ///         event_loop.call_later(Duration::from_secs(1), move |_| {
    ///             let _ = transport.write(b"done "); // an error says that the peer has left
    ///             transport.resume_producing();
    ///         });
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let test = MemoryLoop::new()?;
    /// let peer = test.connected(Slow);
    /// peer.send("a pie");
    /// assert!(peer.transport().is_paused());
    /// peer.send("a tart");
    /// test.advance(Duration::from_secs(1));
    /// assert_eq!(peer.text(), "done ");
    /// test.advance(Duration::from_secs(1));
    /// assert_eq!(peer.text(), "done done ");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn pause_producing(&self) {
        if let Ok(line) = self.line() {
            line.pause_reading();
        }
    }

    /// Reads on. Nothing happens to a connection that is being closed.
    pub fn resume_producing(&self) {
        if let Ok(line) = self.line() {
            line.resume_reading();
        }
    }

    /// Has the protocol's [`woken`](super::Protocol::woken) called by the loop, in its next turn and before anything
    /// else comes to the protocol.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Failure, Protocol, Transport, testing::MemoryLoop};
    /// use std::{cell::RefCell, rc::Rc};
    ///
    /// /// Its state is its own; what others want of it lies in a queue.
    /// struct Player(Rc<RefCell<Vec<String>>>, u32);
    ///
    /// impl Protocol for Player {
    ///     fn woken(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
    ///         for news in self.0.borrow_mut().drain(..) {
    ///             self.1 += 1;
    ///             transport.write(format!("{}. {news}\n", self.1).as_bytes())?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let test = MemoryLoop::new()?;
    /// let queue = Rc::new(RefCell::new(Vec::new()));
    /// let peer = test.connected(Player(queue.clone(), 0));
    /// queue.borrow_mut().push("it rains".to_owned());
    /// peer.transport().wake_protocol();
    /// assert_eq!(peer.text(), "1. it rains\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn wake_protocol(&self) {
        if let Ok(line) = self.line() {
            line.wake_protocol();
        }
    }

    /// Has the protocol's [`woken`](super::Protocol::woken) called after the transport was resumed, once: for a
    /// protocol that holds back what came before it was paused.
    pub fn wake_on_resume(&self) {
        if let Ok(line) = self.line() {
            line.wake_on_resume();
        }
    }

    /// Adds to `written` what is written from now on. The protocol is woken when somebody else has written.
    pub(crate) fn tap(&self, written: &Rc<RefCell<Vec<u8>>>) {
        if let Ok(line) = self.line() {
            line.tap(written);
        }
    }

    /// Whether it was paused, and not resumed since.
    pub fn is_paused(&self) -> bool {
        self.line().is_ok_and(|line| line.is_paused())
    }

    /// Whether it reads: it is not paused, not being closed, and the peer has not closed its half.
    pub fn is_reading(&self) -> bool {
        self.line().is_ok_and(|line| line.is_reading())
    }

    /// Whether it is being closed, or is lost.
    pub fn is_disconnecting(&self) -> bool {
        self.line().map_or(true, |line| line.is_closing())
    }

    /// Whether the connection is lost.
    pub fn is_disconnected(&self) -> bool {
        self.line().map_or(true, |line| line.is_lost())
    }

    /// How many bytes were written and wait to be sent. What the system has taken does not count.
    pub fn buffered(&self) -> usize {
        self.line().map_or(0, |line| line.buffered())
    }

    /// Whether more waits than the high-water mark: a producer that writes much in one callback looks here.
    pub fn is_full(&self) -> bool {
        self.line().is_ok_and(|line| line.buffered() > line.high_water())
    }

    /// More than so much should not wait.
    pub(crate) fn high_water(&self) -> usize {
        self.line().map_or(HIGH_WATER, |line| line.high_water())
    }

    /// When a push producer is paused, and when it goes on, in bytes that wait: above `high`, and not above `low`. The
    /// default is Twisted's: 65,536 and 0.
    ///
    /// ```
    /// use ropewalk::{Protocol, testing::MemoryLoop};
    ///
    /// struct Quiet;
    ///
    /// impl Protocol for Quiet {}
    ///
    /// let test = MemoryLoop::new()?;
    /// let peer = test.connected(Quiet);
    /// peer.set_room(Some(0)); // it reads nothing
    /// let transport = peer.transport();
    /// transport.set_water_marks(10, 5);
    /// transport.write(&[0; 10]).unwrap();
    /// assert!(!transport.is_full());
    /// transport.write(&[0; 1]).unwrap();
    /// assert!(transport.is_full()); // a push producer would be paused now
    /// # peer.reset();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_water_marks(&self, high: usize, low: usize) {
        if let Ok(line) = self.line() {
            line.set_water_marks(high, low);
        }
    }

    /// Has `producer` told when to pause and when to go on. A pull producer is asked for its first data soon.
    ///
    /// # Errors
    ///
    /// There is one already. Or the connection is lost: the producer was then told to stop.
    ///
    /// A proxy lets each side read as fast as the other one takes it:
    ///
    /// ```
    /// use ropewalk::{EventLoop, Failure, Protocol, Streaming, Transport, testing::MemoryLoop};
    ///
    /// /// Passes on what comes.
    /// struct Pipe(Transport);
    ///
    /// impl Protocol for Pipe {
    ///     fn connection_made(&mut self, event_loop: &EventLoop, own: &Transport) -> Result<(), Failure> {
    ///         Ok(self.0.register_producer(event_loop, own.clone(), Streaming::Push)?)
    ///     }
    ///
    ///     fn data_received(&mut self, _: &EventLoop, _: &Transport, data: &[u8]) -> Result<(), Failure> {
    ///         Ok(self.0.write(data)?)
    ///     }
    /// }
    ///
    /// struct Quiet;
    ///
    /// impl Protocol for Quiet {}
    ///
    /// let test = MemoryLoop::new()?;
    /// let reader = test.connected(Quiet);
    /// let writer = test.connected(Pipe(reader.transport()));
    /// reader.set_room(Some(0));
    /// writer.send([b'x'; 100_000]); // more than the high-water mark of the reader's side
    /// assert!(writer.transport().is_paused());
    /// reader.set_room(None);
    /// assert!(!writer.transport().is_paused());
    /// assert_eq!(reader.value().len(), 100_000);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn register_producer(
        &self,
        event_loop: &EventLoop,
        producer: impl Producer,
        streaming: Streaming,
    ) -> Result<(), ProducerError> {
        let who = match (&producer as &dyn Any).downcast_ref::<Transport>() {
            Some(transport) => Who::Transport(transport.clone()),
            None => Who::Other(Some(Box::new(producer))),
        };
        let refused = match self.line() {
            Ok(line) => line.register_producer(who, streaming),
            Err(Disconnected) => Err((who, ProducerError::Disconnected)),
        };
        let Err((who, error)) = refused else { return Ok(()) };
        match (error, who) {
            (ProducerError::Disconnected, Who::Transport(transport)) => transport.lose_connection(),
            (ProducerError::Disconnected, Who::Other(Some(producer))) => {
                stop(event_loop, producer, Location::caller());
            }
            _ => {}
        }
        Err(error)
    }

    /// Has the connection's own protocol told, by its `pause_producing` and `resume_producing`.
    ///
    /// # Errors
    ///
    /// As for [`Transport::register_producer`].
    pub fn register_own_producer(&self, streaming: Streaming) -> Result<(), ProducerError> {
        let line = self.line().map_err(|Disconnected| ProducerError::Disconnected)?;
        line.register_producer(Who::Protocol, streaming).map_err(|(_, error)| error)
    }

    /// The producer has written its last. A connection that is being closed is closed when that is sent.
    pub fn unregister_producer(&self) {
        if let Ok(line) = self.line() {
            line.unregister_producer();
        }
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`). Nothing happens to what is no TCP connection.
    ///
    /// # Errors
    ///
    /// The connection is lost, or the system refuses.
    pub fn set_tcp_nodelay(&self, on: bool) -> io::Result<()> {
        self.io_line()?.set_tcp_nodelay(on)
    }

    /// Whether, and after how long a silence, a peer is asked for a sign of life (`SO_KEEPALIVE`). A peer that gives none
    /// is lost. Less than a second counts as one. Nothing happens to what is no TCP connection.
    ///
    /// # Errors
    ///
    /// The connection is lost, or the system refuses.
    pub fn set_tcp_keep_alive(&self, idle: Option<Duration>) -> io::Result<()> {
        self.io_line()?.set_tcp_keep_alive(idle)
    }

    /// This end.
    ///
    /// # Errors
    ///
    /// The connection is lost.
    pub fn local_address(&self) -> io::Result<Address> {
        self.io_line()?.local_address()
    }

    /// The other end.
    ///
    /// # Errors
    ///
    /// The connection is lost, or the peer has reset it.
    ///
    /// ```
    /// use ropewalk::{Address, EventLoop, Failure, Protocol, Transport, testing::MemoryLoop};
    ///
    /// /// Tells each peer where it comes from.
    /// struct Mirror;
    ///
    /// impl Protocol for Mirror {
    ///     fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
    ///         let peer = transport.peer_address()?;
    ///         Ok(transport.write(peer.to_string().as_bytes())?)
    ///     }
    /// }
    ///
    /// let test = MemoryLoop::new()?;
    /// let peer = test.connected(Mirror);
    /// assert_eq!(peer.text(), "(memory)"); // over TCP an address and a port
    /// assert_eq!(peer.transport().peer_address()?, Address::Memory);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn peer_address(&self) -> io::Result<Address> {
        self.io_line()?.peer_address()
    }
}

/// Two handles are equal if they are of the same connection.
impl PartialEq for Transport {
    fn eq(&self, other: &Transport) -> bool {
        self.line.ptr_eq(&other.line)
    }
}

impl Eq for Transport {}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer_address() {
            Ok(peer) => write!(f, "<Transport to {peer}, {} bytes buffered>", self.buffered()),
            Err(_) if self.is_disconnected() => f.write_str("<Transport, disconnected>"),
            Err(_) => write!(f, "<Transport, {} bytes buffered>", self.buffered()),
        }
    }
}
