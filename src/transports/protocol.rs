//! What a transport calls: the trait that a program writes its servers and clients in.

use super::error::{ConnectionAborted, ConnectionDone, ConnectionLost};
use super::transport::Transport;
use crate::event_loop::EventLoop;
use crate::ground::Failure;
use crate::ground::unhandled::error_line;

/// One connection's program. Twisted's `IProtocol`.
///
/// The calls come in this order, never one inside another, and never inside a method of a [`Transport`]:
///
/// ```text
///  connection_made  ->  data_received, data_received, ..  ->  connection_lost
/// ```
///
/// A method that answers `Err` or panics loses its own connection, and `connection_lost` is told that failure. All
/// other connections go on.
///
/// ```
/// use ropewalk::{EventLoop, Failure, Protocol, Transport};
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
///         transport.write(data)?;
///         Ok(())
///     }
/// }
///
/// let event_loop = EventLoop::new()?;
/// let port = event_loop.listen_tcp("127.0.0.1:0", |_, _| Some(Echo))?;
/// assert_ne!(port.address().port(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Protocol: 'static {
    /// The connection is there. It may be written to, and lost, at once.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        let _ = (event_loop, transport);
        Ok(())
    }

    /// Bytes came: at least one, at most 65,536. Where a message ends is the protocol's own matter. The default throws
    /// them away.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn data_received(&mut self, event_loop: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        let _ = (event_loop, transport, data);
        Ok(())
    }

    /// The connection is over: exactly once, and the last call. The socket is closed. If something was written and not
    /// sent, the peer sees a reset, so that it does not take a part for the whole.
    ///
    /// `reason` holds [`ConnectionDone`], [`ConnectionLost`], [`ConnectionAborted`], or the protocol's own error. The
    /// default reports the last kind, so that no error is lost in silence; one of your own can do so with
    /// [`report_unexpected`].
    fn connection_lost(&mut self, event_loop: &EventLoop, reason: Failure) {
        let _ = event_loop;
        report_unexpected(&reason);
    }

    /// Whether the protocol goes on after one direction was closed. If not (the default), the peer's end of data ends
    /// the connection. Twisted's `IHalfCloseableProtocol`.
    ///
    /// ```
    /// use ropewalk::{EventLoop, Failure, Protocol, Transport, testing::MemoryLoop};
    ///
    /// /// Adds up what comes, and answers at its end.
    /// struct Length(usize);
    ///
    /// impl Protocol for Length {
    ///     fn data_received(&mut self, _: &EventLoop, _: &Transport, data: &[u8]) -> Result<(), Failure> {
    ///         self.0 += data.len();
    ///         Ok(())
    ///     }
    ///
    ///     fn half_close(&self) -> bool {
    ///         true
    ///     }
    ///
    ///     fn read_connection_lost(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
    ///         transport.write(self.0.to_string().as_bytes())?;
    ///         transport.lose_connection();
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let test = MemoryLoop::new()?;
    /// let peer = test.connected(Length(0));
    /// peer.send("hello");
    /// peer.send_end();
    /// assert_eq!(peer.text(), "5");
    /// assert!(peer.is_disconnected());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn half_close(&self) -> bool {
        false
    }

    /// With [`half_close`](Protocol::half_close): the peer sends no more. What is written still reaches it. The default
    /// closes the connection after all that is written was sent.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn read_connection_lost(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        let _ = event_loop;
        transport.lose_connection();
        Ok(())
    }

    /// With [`half_close`](Protocol::half_close): what was written before
    /// [`lose_write_connection`](Transport::lose_write_connection) was sent, and the peer sees the end.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn write_connection_lost(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        let _ = (event_loop, transport);
        Ok(())
    }

    /// With [`register_own_producer`](Transport::register_own_producer): more waits to be sent than the high-water mark,
    /// so write no more until [`resume_producing`](Protocol::resume_producing).
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn pause_producing(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        let _ = (event_loop, transport);
        Ok(())
    }

    /// With [`register_own_producer`](Transport::register_own_producer): there is room again, write on.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn resume_producing(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        let _ = (event_loop, transport);
        Ok(())
    }

    /// Asked for by [`wake_protocol`](Transport::wake_protocol), or by [`wake_on_resume`](Transport::wake_on_resume) and
    /// then a resume: for a protocol that has something to do though nothing came.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn woken(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        let _ = (event_loop, transport);
        Ok(())
    }

    /// Boxes it. What is boxed already stays as it is.
    #[doc(hidden)]
    fn into_boxed(self) -> Box<dyn Protocol>
    where
        Self: Sized,
    {
        Box::new(self)
    }
}

/// Reports the end of a connection that was neither ordered nor the network's doing: what the default
/// [`Protocol::connection_lost`] does. A protocol that has one of its own calls this where it has nothing better to do with
/// `reason`, so that its own errors are not lost in silence.
///
/// [`ConnectionDone`], [`ConnectionLost`] and [`ConnectionAborted`] are expected. Anything else is logged as an error, or
/// written to standard error where no logger is installed.
///
/// ```
/// use ropewalk::{EventLoop, Failure, Protocol, Transport, report_unexpected, testing::MemoryLoop};
/// use std::{cell::Cell, rc::Rc};
///
/// struct Member(Rc<Cell<u32>>);
///
/// impl Protocol for Member {
///     fn data_received(&mut self, _: &EventLoop, _: &Transport, data: &[u8]) -> Result<(), Failure> {
///         str::from_utf8(data)?;
///         Ok(())
///     }
///
///     fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
///         self.0.set(self.0.get() - 1);
///         report_unexpected(&reason);
///     }
/// }
///
/// let members = Rc::new(Cell::new(1));
/// let test = MemoryLoop::new()?;
/// let peer = test.connected(Member(members.clone()));
/// peer.send(b"\xff"); // reported: no UTF-8
/// assert_eq!(members.get(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn report_unexpected(reason: &Failure) {
    let expected = reason.check::<ConnectionDone>().is_some()
        || reason.check::<ConnectionLost>().is_some()
        || reason.check::<ConnectionAborted>().is_some();
    if !expected {
        error_line(&format_args!("a connection was lost by its protocol's error: {reason:?}"));
    }
}

impl Protocol for Box<dyn Protocol> {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        (**self).connection_made(event_loop, transport)
    }

    fn data_received(&mut self, event_loop: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        (**self).data_received(event_loop, transport, data)
    }

    fn connection_lost(&mut self, event_loop: &EventLoop, reason: Failure) {
        (**self).connection_lost(event_loop, reason);
    }

    fn half_close(&self) -> bool {
        (**self).half_close()
    }

    fn read_connection_lost(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        (**self).read_connection_lost(event_loop, transport)
    }

    fn write_connection_lost(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        (**self).write_connection_lost(event_loop, transport)
    }

    fn pause_producing(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        (**self).pause_producing(event_loop, transport)
    }

    fn resume_producing(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        (**self).resume_producing(event_loop, transport)
    }

    fn woken(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        (**self).woken(event_loop, transport)
    }

    fn into_boxed(self) -> Box<dyn Protocol> {
        self
    }
}
