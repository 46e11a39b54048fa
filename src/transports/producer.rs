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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streaming {
    /// It writes by itself until it is paused, and goes on when it is resumed.
    Push,
    /// It writes once each time it is resumed: when it is registered, and whenever all is sent.
    Pull,
}
