//! Strings with their length in front, on a connection.

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use super::frame_parser::{FrameError, FrameParser, Framing, Int8, Int16, Int32, Netstring, StringTooLong};
use super::idle_timeout::IdleTimeout;
use super::intake::Piece;
use crate::event_loop::EventLoop;
use crate::ground::Failure;
use crate::transports::{Disconnected, Protocol, Transport, report_unexpected};

/// A program that talks in strings of known length, to be run by a [`StringReceiver`]. Twisted's `NetstringReceiver`
/// and `IntNStringReceiver`.
///
/// A method that answers `Err` or panics loses its own connection, as with [`Protocol`]. No method is called while
/// another one runs, nor after the connection was told to close.
///
/// ```
/// use ropewalk::protocols::{FrameError, Netstring, NetstringReceiver, StringProtocol, StringSender};
/// use ropewalk::{EventLoop, Failure, testing::MemoryLoop};
///
/// /// Sends each string back, and says what it did not understand.
/// struct Echo;
///
/// type Sender = StringSender<Netstring>;
///
/// impl StringProtocol<Netstring> for Echo {
///     fn string_received(&mut self, _: &EventLoop, transport: &Sender, string: &[u8]) -> Result<(), Failure> {
///         Ok(transport.send_string(string)?)
///     }
///
///     fn handle_parse_error(
///         &mut self,
///         _: &EventLoop,
///         transport: &Sender,
///         error: FrameError,
///     ) -> Result<(), Failure> {
///         transport.send_string(error.to_string())?;
///         transport.lose_connection();
///         Ok(())
///     }
/// }
///
/// let test = MemoryLoop::new()?;
/// let peer = test.connected(NetstringReceiver::new(Echo));
/// peer.send("5:hello,0:,5:hello!");
/// assert!(peer.text().starts_with("5:hello,0:,64:the peer sends no netstring: "));
/// assert!(peer.is_disconnected());
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait StringProtocol<F: Framing>: 'static {
    /// The connection is there.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &StringSender<F>) -> Result<(), Failure> {
        let _ = (event_loop, transport);
        Ok(())
    }

    /// A string came.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn string_received(
        &mut self,
        event_loop: &EventLoop,
        transport: &StringSender<F>,
        string: &[u8],
    ) -> Result<(), Failure>;

    /// The peer announced a string longer than the maximum, or sent what is no string. Nothing more is understood of it.
    /// The default closes the connection. Twisted's `lengthLimitExceeded` and `handleParseError`.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn handle_parse_error(
        &mut self,
        event_loop: &EventLoop,
        transport: &StringSender<F>,
        error: FrameError,
    ) -> Result<(), Failure> {
        let _ = (event_loop, error);
        transport.lose_connection();
        Ok(())
    }

    /// The time of [`StringSender::set_timeout`] is over. The default closes the connection.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn timeout_connection(&mut self, event_loop: &EventLoop, transport: &StringSender<F>) -> Result<(), Failure> {
        let _ = event_loop;
        transport.lose_connection();
        Ok(())
    }

    /// The connection is over: exactly once, and the last call. A string that had not ended is lost.
    ///
    /// The default reports a reason that is the protocol's own error.
    fn connection_lost(&mut self, event_loop: &EventLoop, reason: Failure) {
        let _ = event_loop;
        report_unexpected(&reason);
    }

    /// As [`Protocol::half_close`].
    fn half_close(&self) -> bool {
        false
    }

    /// As [`Protocol::read_connection_lost`]. The default closes the connection after all that is written was sent.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn read_connection_lost(&mut self, event_loop: &EventLoop, transport: &StringSender<F>) -> Result<(), Failure> {
        let _ = event_loop;
        transport.lose_connection();
        Ok(())
    }

    /// As [`Protocol::write_connection_lost`].
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn write_connection_lost(
        &mut self,
        event_loop: &EventLoop,
        transport: &StringSender<F>,
    ) -> Result<(), Failure> {
        let _ = (event_loop, transport);
        Ok(())
    }

    /// As [`Protocol::pause_producing`].
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn pause_producing(&mut self, event_loop: &EventLoop, transport: &StringSender<F>) -> Result<(), Failure> {
        let _ = (event_loop, transport);
        Ok(())
    }

    /// As [`Protocol::resume_producing`].
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn resume_producing(&mut self, event_loop: &EventLoop, transport: &StringSender<F>) -> Result<(), Failure> {
        let _ = (event_loop, transport);
        Ok(())
    }
}

/// A [`Transport`] that sends strings with their length in front. Cheap to clone, to be kept like a `Transport`, and
/// usable as one.
///
/// ```
/// use ropewalk::protocols::{Int16, Int16StringReceiver, StringProtocol, StringSender};
/// use ropewalk::{EventLoop, Failure, testing::MemoryLoop};
/// use std::{cell::RefCell, rc::Rc, time::Duration};
///
/// /// Takes orders, and has a customer who is silent for a minute leave.
/// struct Shop(Rc<RefCell<Vec<StringSender<Int16>>>>);
///
/// impl StringProtocol<Int16> for Shop {
///     fn connection_made(&mut self, event_loop: &EventLoop, own: &StringSender<Int16>) -> Result<(), Failure> {
///         own.set_timeout(event_loop, Some(Duration::from_secs(60)));
///         self.0.borrow_mut().push(own.clone()); // the answer comes later, from elsewhere
///         Ok(())
///     }
///
///     fn string_received(&mut self, _: &EventLoop, own: &StringSender<Int16>, _: &[u8]) -> Result<(), Failure> {
///         own.reset_timeout();
///         Ok(())
///     }
/// }
///
/// let test = MemoryLoop::new()?;
/// let customers = Rc::new(RefCell::new(Vec::new()));
/// let peer = test.connected(Int16StringReceiver::new(Shop(customers.clone())));
/// test.advance(Duration::from_secs(59));
/// peer.send(b"\0\x05a pie");
/// test.advance(Duration::from_secs(59));
/// customers.borrow()[0].send_string("here").unwrap();
/// assert_eq!(peer.value(), b"\0\x04here");
/// test.advance(Duration::from_secs(1));
/// assert!(peer.is_disconnected());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct StringSender<F> {
    transport: Transport,
    idle: Rc<IdleTimeout>,
    framing: PhantomData<F>,
}

impl<F: Framing> StringSender<F> {
    /// Sends a string, with its length in front.
    ///
    /// # Errors
    ///
    /// Its length does not fit into what stands in front, or the connection is lost. Nothing is sent.
    pub fn send_string(&self, string: impl AsRef<[u8]>) -> Result<(), SendStringError> {
        FrameParser::<F>::with_parts(string.as_ref(), |parts| self.transport.write_vectored(parts))
            .map_err(SendStringError::TooLong)?
            .map_err(SendStringError::Disconnected)
    }

    /// Has [`timeout_connection`](StringProtocol::timeout_connection) called when `period` has passed without a
    /// [reset](StringSender::reset_timeout); `None` calls it off. Answers the time that was set before.
    #[track_caller]
    pub fn set_timeout(&self, event_loop: &EventLoop, period: Option<Duration>) -> Option<Duration> {
        self.idle.set_timeout(event_loop, &self.transport, period)
    }

    /// The time begins anew. Cheap enough for every string.
    #[track_caller]
    pub fn reset_timeout(&self) {
        self.idle.reset_timeout();
    }

    /// The transport itself.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }
}

impl<F> Clone for StringSender<F> {
    fn clone(&self) -> StringSender<F> {
        StringSender { transport: self.transport.clone(), idle: self.idle.clone(), framing: PhantomData }
    }
}

impl<F> Deref for StringSender<F> {
    type Target = Transport;

    fn deref(&self) -> &Transport {
        &self.transport
    }
}

/// Two handles are equal if they are of the same connection.
impl<F> PartialEq for StringSender<F> {
    fn eq(&self, other: &StringSender<F>) -> bool {
        self.transport == other.transport
    }
}

impl<F> Eq for StringSender<F> {}

impl<F> fmt::Debug for StringSender<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StringSender").field(&self.transport).finish()
    }
}

/// Why a string was not sent.
///
/// ```
/// use ropewalk::protocols::{Int8, Int8StringReceiver, SendStringError, StringProtocol, StringSender};
/// use ropewalk::{EventLoop, Failure, testing::MemoryLoop};
///
/// /// Answers with so many stars.
/// struct Stars;
///
/// type Sender = StringSender<Int8>;
///
/// impl StringProtocol<Int8> for Stars {
///     fn string_received(&mut self, _: &EventLoop, own: &Sender, string: &[u8]) -> Result<(), Failure> {
///         let count = std::str::from_utf8(string)?.parse()?;
///         match own.send_string("*".repeat(count)) {
///             Err(SendStringError::TooLong(error)) => Ok(own.send_string(format!("{} at most", error.longest))?),
///             sent => Ok(sent?),
///         }
///     }
/// }
///
/// let test = MemoryLoop::new()?;
/// let peer = test.connected(Int8StringReceiver::new(Stars));
/// peer.send("\x013\x03300");
/// assert_eq!(peer.text(), "\x03***\x0b255 at most");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendStringError {
    /// Its length does not fit into what stands in front.
    TooLong(StringTooLong),
    /// The connection is lost, or its writing half is closed.
    Disconnected(Disconnected),
}

impl fmt::Display for SendStringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendStringError::TooLong(error) => error.fmt(f),
            SendStringError::Disconnected(error) => error.fmt(f),
        }
    }
}

impl Error for SendStringError {}

/// A [`Protocol`] that makes strings of what comes, and hands them to a [`StringProtocol`].
///
/// A string has at most 99999 bytes, unless something else is said. While the transport is paused no string is
/// delivered; what has come is delivered when it is resumed, in the loop's next turn and never inside
/// `resume_producing`. It holds no more than a string that has not ended, and what one read brought.
///
/// ```
/// use ropewalk::protocols::{Netstring, NetstringReceiver, StringProtocol, StringSender};
/// use ropewalk::{EventLoop, Failure, testing::MemoryLoop};
///
/// /// Sends each string back, turned round.
/// struct Mirror;
///
/// impl StringProtocol<Netstring> for Mirror {
///     fn string_received(
///         &mut self,
///         _: &EventLoop,
///         transport: &StringSender<Netstring>,
///         string: &[u8],
///     ) -> Result<(), Failure> {
///         let mut turned = string.to_vec();
///         turned.reverse();
///         Ok(transport.send_string(turned)?)
///     }
/// }
///
/// let test = MemoryLoop::new()?;
/// let peer = test.connected(NetstringReceiver::new(Mirror).max_length(10));
/// peer.send("4:live,3:tim,");
/// assert_eq!(peer.text(), "4:evil,3:mit,");
/// peer.send("11:"); // longer than the maximum
/// assert!(peer.is_disconnected());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct StringReceiver<F, P> {
    protocol: P,
    parser: FrameParser<F>,
    /// There while the connection is.
    sender: Option<StringSender<F>>,
}

/// Netstrings: `5:hello,`.
pub type NetstringReceiver<P> = StringReceiver<Netstring, P>;

/// Strings of at most 255 bytes with their length in front, in one byte.
pub type Int8StringReceiver<P> = StringReceiver<Int8, P>;

/// Strings of at most 65535 bytes with their length in front, in two bytes, big endian.
pub type Int16StringReceiver<P> = StringReceiver<Int16, P>;

/// Strings with their length in front, in four bytes, big endian.
pub type Int32StringReceiver<P> = StringReceiver<Int32, P>;

impl<F: Framing, P: StringProtocol<F>> StringReceiver<F, P> {
    /// For a protocol whose strings have at most 99999 bytes.
    pub fn new(protocol: P) -> StringReceiver<F, P> {
        StringReceiver { protocol, parser: FrameParser::default(), sender: None }
    }

    /// Sets how many bytes a string that comes has at most.
    pub fn max_length(mut self, bytes: usize) -> StringReceiver<F, P> {
        self.parser = FrameParser::new(bytes);
        self
    }

    /// The protocol.
    pub fn protocol(&self) -> &P {
        &self.protocol
    }

    /// Hands out what is there, until something stops it.
    fn deliver(&mut self, event_loop: &EventLoop, data: &[u8]) -> Result<(), Failure> {
        let Some(sender) = &self.sender else { return Ok(()) };
        let mut piece = Piece::new(data);
        loop {
            if sender.is_disconnecting() {
                return Ok(());
            }
            if sender.is_paused() {
                self.parser.keep(&mut piece);
                if self.parser.buffered() > 0 {
                    sender.wake_on_resume();
                }
                return Ok(());
            }
            match self.parser.next_string(&mut piece) {
                None => return Ok(()),
                Some(Ok(string)) => self.protocol.string_received(event_loop, sender, string)?,
                Some(Err(error)) => self.protocol.handle_parse_error(event_loop, sender, error)?,
            }
        }
    }
}

impl<F: Framing, P: StringProtocol<F>> Protocol for StringReceiver<F, P> {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        let idle = Rc::new(IdleTimeout::new());
        let sender = StringSender { transport: transport.clone(), idle, framing: PhantomData };
        self.protocol.connection_made(event_loop, self.sender.insert(sender))
    }

    fn data_received(&mut self, event_loop: &EventLoop, _: &Transport, data: &[u8]) -> Result<(), Failure> {
        self.deliver(event_loop, data)
    }

    fn woken(&mut self, event_loop: &EventLoop, _: &Transport) -> Result<(), Failure> {
        if let Some(sender) = &self.sender
            && sender.idle.take_expired()
            && !sender.is_disconnecting()
        {
            self.protocol.timeout_connection(event_loop, sender)?;
        }
        self.deliver(event_loop, b"")
    }

    fn connection_lost(&mut self, event_loop: &EventLoop, reason: Failure) {
        if let Some(sender) = self.sender.take() {
            sender.idle.clear();
        }
        self.protocol.connection_lost(event_loop, reason);
    }

    fn half_close(&self) -> bool {
        self.protocol.half_close()
    }

    fn read_connection_lost(&mut self, event_loop: &EventLoop, _: &Transport) -> Result<(), Failure> {
        let Some(sender) = &self.sender else { return Ok(()) };
        self.protocol.read_connection_lost(event_loop, sender)
    }

    fn write_connection_lost(&mut self, event_loop: &EventLoop, _: &Transport) -> Result<(), Failure> {
        let Some(sender) = &self.sender else { return Ok(()) };
        self.protocol.write_connection_lost(event_loop, sender)
    }

    fn pause_producing(&mut self, event_loop: &EventLoop, _: &Transport) -> Result<(), Failure> {
        let Some(sender) = &self.sender else { return Ok(()) };
        self.protocol.pause_producing(event_loop, sender)
    }

    fn resume_producing(&mut self, event_loop: &EventLoop, _: &Transport) -> Result<(), Failure> {
        let Some(sender) = &self.sender else { return Ok(()) };
        self.protocol.resume_producing(event_loop, sender)
    }
}

impl<F: fmt::Debug, P: fmt::Debug> fmt::Debug for StringReceiver<F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StringReceiver")
            .field("protocol", &self.protocol)
            .field("parser", &self.parser)
            .finish_non_exhaustive()
    }
}
