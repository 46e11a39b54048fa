//! Producers: who writes into a transport more than it can send at once, and is told when to pause and to go on.

use super::transport::Transport;
use crate::event_loop::EventLoop;
use crate::ground::Failure;

/// Who produces data for a [`Transport`], registered with [`Transport::register_producer`]. Twisted's `IPushProducer`
/// and `IPullProducer`.
///
/// It is never called from inside a method of the transport, but from the loop, soon after.
///
/// A [`Transport`] is a producer itself: pausing it stops its reading, stopping it closes it. That is all that a proxy
/// needs for flow control from one side to the other.
///
/// ```
/// use ropewalk::testing::MemoryLoop;
/// use ropewalk::{EventLoop, Failure, Producer, Protocol, Streaming, Transport};
///
/// /// Writes ten lines, one whenever there is room.
/// struct Lines(Transport, u32);
///
/// impl Producer for Lines {
///     fn pause_producing(&mut self, _: &EventLoop) -> Result<(), Failure> {
///         Ok(())
///     }
///
///     fn resume_producing(&mut self, _: &EventLoop) -> Result<(), Failure> {
///         self.1 += 1;
///         self.0.write(format!("line {}\n", self.1).as_bytes())?;
///         if self.1 == 10 {
///             self.0.unregister_producer();
///         }
///         Ok(())
///     }
///
///     fn stop_producing(&mut self, _: &EventLoop) {}
/// }
///
/// struct Server;
///
/// impl Protocol for Server {
///     fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
///         transport.register_producer(event_loop, Lines(transport.clone(), 0), Streaming::Pull)?;
///         Ok(())
///     }
/// }
///
/// let test = MemoryLoop::new()?;
/// let peer = test.connected(Server);
/// assert_eq!(peer.text().lines().count(), 10);
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Producer: 'static {
    /// Push producers only: more waits to be sent than the high-water mark, so write no more.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn pause_producing(&mut self, event_loop: &EventLoop) -> Result<(), Failure>;

    /// A push producer may write again; a pull producer is to write once.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn resume_producing(&mut self, event_loop: &EventLoop) -> Result<(), Failure>;

    /// The transport's connection is over: nobody wants the data. The last call.
    fn stop_producing(&mut self, event_loop: &EventLoop);
}

impl Producer for Transport {
    fn pause_producing(&mut self, _: &EventLoop) -> Result<(), Failure> {
        Transport::pause_producing(self);
        Ok(())
    }

    fn resume_producing(&mut self, _: &EventLoop) -> Result<(), Failure> {
        Transport::resume_producing(self);
        Ok(())
    }

    fn stop_producing(&mut self, _: &EventLoop) {
        self.lose_connection();
    }
}

/// A registered producer.
pub(crate) struct Registered {
    pub(crate) who: Who,
    pub(crate) kind: Streaming,
    /// Tells one registration from the next.
    pub(crate) serial: u32,
}

pub(crate) enum Who {
    /// The transport's own protocol.
    Protocol,
    /// Another connection: told at once, since that calls nobody.
    Transport(Transport),
    /// Out of its place while it is called.
    Other(Option<Box<dyn Producer>>),
}

/// How a producer works.
///
/// ```
/// use ropewalk::testing::MemoryLoop;
/// use ropewalk::{EventLoop, Failure, Protocol, Streaming, Transport};
/// use std::{cell::Cell, rc::Rc};
///
/// /// A push producer: the protocol itself, which notes whether it is to write.
/// struct Ticker(Rc<Cell<bool>>);
///
/// impl Protocol for Ticker {
///     fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
///         Ok(transport.register_own_producer(Streaming::Push)?)
///     }
///
///     fn pause_producing(&mut self, _: &EventLoop, _: &Transport) -> Result<(), Failure> {
///         self.0.set(false);
///         Ok(())
///     }
///
///     fn resume_producing(&mut self, _: &EventLoop, _: &Transport) -> Result<(), Failure> {
///         self.0.set(true);
///         Ok(())
///     }
/// }
///
/// let test = MemoryLoop::new()?;
/// let writes = Rc::new(Cell::new(true));
/// let peer = test.connected(Ticker(writes.clone()));
/// peer.set_room(Some(0)); // the peer reads nothing
/// peer.transport().write(&[0; 100_000]).unwrap(); // more than the high-water mark
/// test.settle();
/// assert!(!writes.get());
/// peer.set_room(None);
/// assert!(writes.get());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streaming {
    /// It writes by itself until it is paused, and goes on when it is resumed.
    Push,
    /// It writes once each time it is resumed: when it is registered, and whenever all is sent.
    Pull,
}
