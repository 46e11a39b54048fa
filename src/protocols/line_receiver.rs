//! Lines on a connection.

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use super::delimiter::Delimiter;
use super::idle_timeout::IdleTimeout;
use super::intake::Piece;
use super::line_parser::{LineEvent, LineParser};
use crate::event_loop::EventLoop;
use crate::ground::Failure;
use crate::transports::{Disconnected, Protocol, Transport, report_unexpected};

/// A program that talks in lines, to be run by a [`LineReceiver`]. Twisted's `LineReceiver`.
///
/// A method that answers `Err` or panics loses its own connection, as with [`Protocol`]. No method is called while
/// another one runs, nor after the connection was told to close.
///
/// ```
/// use ropewalk::protocols::{LineProtocol, LineReceiver, LineTransport};
/// use ropewalk::{EventLoop, Failure, testing::MemoryLoop};
///
/// struct Shout;
///
/// impl LineProtocol for Shout {
///     fn line_received(&mut self, _: &EventLoop, transport: &LineTransport, line: &[u8]) -> Result<(), Failure> {
///         Ok(transport.send_line(line.to_ascii_uppercase())?)
///     }
/// }
///
/// let test = MemoryLoop::new()?;
/// let peer = test.connected(LineReceiver::new(Shout));
/// peer.send("if I\r\nwere\r\n");
/// assert_eq!(peer.text(), "IF I\r\nWERE\r\n");
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait LineProtocol: 'static {
    /// The connection is there.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &LineTransport) -> Result<(), Failure> {
        let _ = (event_loop, transport);
        Ok(())
    }

    /// A line came, without its delimiter.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn line_received(
        &mut self,
        event_loop: &EventLoop,
        transport: &LineTransport,
        line: &[u8],
    ) -> Result<(), Failure>;

    /// Bytes came in raw mode: at least one. To go back to lines in the middle of them, see
    /// [`LineTransport::set_line_mode`].
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told. The default is one: a protocol that asks
    /// for raw bytes has to take them.
    fn raw_data_received(
        &mut self,
        event_loop: &EventLoop,
        transport: &LineTransport,
        data: &[u8],
    ) -> Result<(), Failure> {
        let _ = (event_loop, transport, data);
        Err(Failure::msg("raw data came, and the protocol has no raw_data_received"))
    }

    /// A line is longer than the maximum; `start` is its first bytes, as many as the maximum. The rest of it is thrown
    /// away, unless [`set_raw_mode`](LineTransport::set_raw_mode) is called here: then it comes raw. The default closes
    /// the connection.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    ///
    /// ```
    /// use ropewalk::protocols::{LineProtocol, LineReceiver, LineTransport};
    /// use ropewalk::{EventLoop, Failure, testing::MemoryLoop};
    ///
    /// struct Echo;
    ///
    /// impl LineProtocol for Echo {
    ///     fn line_received(&mut self, _: &EventLoop, own: &LineTransport, line: &[u8]) -> Result<(), Failure> {
    ///         Ok(own.send_line(line)?)
    ///     }
    ///
    ///     fn line_length_exceeded(
    ///         &mut self,
    ///         _: &EventLoop,
    ///         transport: &LineTransport,
    ///         start: &[u8],
    ///     ) -> Result<(), Failure> {
    ///         Ok(transport.send_line([start, b".."].concat())?)
    ///     }
    /// }
    ///
    /// let test = MemoryLoop::new()?;
    /// let peer = test.connected(LineReceiver::new(Echo).max_length(5));
    /// peer.send("hello, world\r\nhi\r\n");
    /// assert_eq!(peer.text(), "hello..\r\nhi\r\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn line_length_exceeded(
        &mut self,
        event_loop: &EventLoop,
        transport: &LineTransport,
        start: &[u8],
    ) -> Result<(), Failure> {
        let _ = (event_loop, start);
        transport.lose_connection();
        Ok(())
    }

    /// The time of [`LineTransport::set_timeout`] is over. The default closes the connection.
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    ///
    /// ```
    /// use ropewalk::protocols::{LineProtocol, LineReceiver, LineTransport};
    /// use ropewalk::{EventLoop, Failure, testing::MemoryLoop};
    /// use std::time::Duration;
    ///
    /// struct Patient;
    ///
    /// impl LineProtocol for Patient {
    ///     fn connection_made(&mut self, event_loop: &EventLoop, own: &LineTransport) -> Result<(), Failure> {
    ///         own.set_timeout(event_loop, Some(Duration::from_secs(60)));
    ///         Ok(())
    ///     }
    ///
    ///     fn line_received(&mut self, _: &EventLoop, transport: &LineTransport, _: &[u8]) -> Result<(), Failure> {
    ///         transport.reset_timeout();
    ///         Ok(())
    ///     }
    ///
    ///     fn timeout_connection(&mut self, _: &EventLoop, transport: &LineTransport) -> Result<(), Failure> {
    ///         transport.send_line("you were silent for too long")?;
    ///         transport.lose_connection();
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let test = MemoryLoop::new()?;
    /// let peer = test.connected(LineReceiver::new(Patient));
    /// test.advance(Duration::from_secs(59));
    /// peer.send("hello\r\n");
    /// test.advance(Duration::from_secs(59));
    /// assert!(!peer.is_disconnected());
    /// test.advance(Duration::from_secs(1));
    /// assert_eq!(peer.text(), "you were silent for too long\r\n");
    /// assert!(peer.is_disconnected());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn timeout_connection(&mut self, event_loop: &EventLoop, transport: &LineTransport) -> Result<(), Failure> {
        let _ = event_loop;
        transport.lose_connection();
        Ok(())
    }

    /// The connection is over: exactly once, and the last call. A line that had not ended is lost.
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
    fn read_connection_lost(&mut self, event_loop: &EventLoop, transport: &LineTransport) -> Result<(), Failure> {
        let _ = event_loop;
        transport.lose_connection();
        Ok(())
    }

    /// As [`Protocol::write_connection_lost`].
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn write_connection_lost(&mut self, event_loop: &EventLoop, transport: &LineTransport) -> Result<(), Failure> {
        let _ = (event_loop, transport);
        Ok(())
    }

    /// As [`Protocol::pause_producing`].
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn pause_producing(&mut self, event_loop: &EventLoop, transport: &LineTransport) -> Result<(), Failure> {
        let _ = (event_loop, transport);
        Ok(())
    }

    /// As [`Protocol::resume_producing`].
    ///
    /// # Errors
    ///
    /// An error loses the connection, and is what `connection_lost` is told.
    fn resume_producing(&mut self, event_loop: &EventLoop, transport: &LineTransport) -> Result<(), Failure> {
        let _ = (event_loop, transport);
        Ok(())
    }
}

/// A [`Transport`] that sends lines, and the controls of the [`LineReceiver`] on it. Cheap to clone, to be kept like a
/// `Transport`, and usable as one.
///
/// ```
/// use ropewalk::protocols::{LineProtocol, LineReceiver, LineTransport};
/// use ropewalk::{EventLoop, Failure, testing::MemoryLoop};
///
/// /// Takes mail: lines that say how many bytes follow, and the bytes.
/// #[derive(Default)]
/// struct Mail(Vec<u8>, usize);
///
/// impl LineProtocol for Mail {
///     fn line_received(&mut self, _: &EventLoop, transport: &LineTransport, line: &[u8]) -> Result<(), Failure> {
///         self.1 = std::str::from_utf8(line)?.parse()?;
///         transport.set_raw_mode();
///         Ok(())
///     }
///
///     fn raw_data_received(
///         &mut self,
///         _: &EventLoop,
///         transport: &LineTransport,
///         data: &[u8],
///     ) -> Result<(), Failure> {
///         let missing = self.1 - self.0.len();
///         let (own, unused) = data.split_at(missing.min(data.len()));
///         self.0.extend_from_slice(own);
///         if self.0.len() == self.1 {
///             transport.send_line(format!("took {:?}", std::str::from_utf8(&std::mem::take(&mut self.0))?))?;
///             transport.set_line_mode(unused.len());
///         }
///         Ok(())
///     }
/// }
///
/// let test = MemoryLoop::new()?;
/// let peer = test.connected(LineReceiver::new(Mail::default()));
/// peer.send("4\r\nIf I5\r\n wer");
/// peer.send("e");
/// assert_eq!(peer.text(), "took \"If I\"\r\ntook \" were\"\r\n");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct LineTransport {
    transport: Transport,
    controls: Rc<Controls>,
}

/// What a program asks of the receiver: looked at behind each call.
struct Controls {
    delimiter: Delimiter,
    raw: Cell<bool>,
    unused: Cell<usize>,
    clear: Cell<bool>,
    idle: IdleTimeout,
}

impl LineTransport {
    /// Sends a line: the delimiter is added.
    ///
    /// # Errors
    ///
    /// The connection is lost or its writing half is closed: the line goes nowhere.
    pub fn send_line(&self, line: impl AsRef<[u8]>) -> Result<(), Disconnected> {
        self.transport.write_vectored(&[line.as_ref(), self.controls.delimiter.as_bytes()])
    }

    /// Has what follows come as it is, to [`raw_data_received`](LineProtocol::raw_data_received): from behind the line
    /// at hand on, also if it has come already.
    pub fn set_raw_mode(&self) {
        self.controls.raw.set(true);
    }

    /// Has what follows come as lines.
    ///
    /// `unused`: how many bytes at the end of the raw data at hand are no raw data any more; they come again as lines.
    /// Twisted's `setLineMode(extra)`, which is given those bytes themselves. 0 outside `raw_data_received`.
    pub fn set_line_mode(&self, unused: usize) {
        self.controls.raw.set(false);
        self.controls.unused.set(unused);
    }

    /// Throws away what has come and was not delivered yet. Twisted's `clearLineBuffer`.
    pub fn clear_line_buffer(&self) {
        self.controls.clear.set(true);
    }

    /// Has [`timeout_connection`](LineProtocol::timeout_connection) called when `period` has passed without a
    /// [reset](LineTransport::reset_timeout); `None` calls it off. Answers the time that was set before.
    #[track_caller]
    pub fn set_timeout(&self, event_loop: &EventLoop, period: Option<Duration>) -> Option<Duration> {
        self.controls.idle.set_timeout(event_loop, &self.transport, period)
    }

    /// The time begins anew. Cheap enough for every line.
    #[track_caller]
    pub fn reset_timeout(&self) {
        self.controls.idle.reset_timeout();
    }

    /// The transport itself.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }
}

impl Deref for LineTransport {
    type Target = Transport;

    fn deref(&self) -> &Transport {
        &self.transport
    }
}

/// Two handles are equal if they are of the same connection.
impl PartialEq for LineTransport {
    fn eq(&self, other: &LineTransport) -> bool {
        self.transport == other.transport
    }
}

impl Eq for LineTransport {}

impl fmt::Debug for LineTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineTransport")
            .field("transport", &self.transport)
            .field("raw", &self.controls.raw.get())
            .finish_non_exhaustive()
    }
}

/// A [`Protocol`] that makes lines of what comes, and hands them to a [`LineProtocol`].
///
/// Lines end with CR LF and have at most 16384 bytes, unless something else is said. While the transport is paused no
/// line is delivered; what has come is delivered when it is resumed, in the loop's next turn and never inside
/// `resume_producing`. It holds no more than a line that has not ended, and what one read brought.
///
/// ```
/// use ropewalk::protocols::{Delimiter, LineProtocol, LineReceiver, LineTransport};
/// use ropewalk::{EventLoop, Failure, testing::MemoryLoop};
///
/// /// Says each line again, louder.
/// struct Loud;
///
/// impl LineProtocol for Loud {
///     fn line_received(&mut self, _: &EventLoop, transport: &LineTransport, line: &[u8]) -> Result<(), Failure> {
///         Ok(transport.send_line(line.to_ascii_uppercase())?)
///     }
/// }
///
/// let test = MemoryLoop::new()?;
/// let peer = test.connected(LineReceiver::new(Loud).delimiter(Delimiter::LF).max_length(80));
/// peer.send("if I\nwere\n");
/// assert_eq!(peer.text(), "IF I\nWERE\n");
/// peer.send([b'x'; 81]); // as long as nothing else is said, that is the end
/// assert!(peer.is_disconnected());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct LineReceiver<P> {
    protocol: P,
    parser: LineParser,
    /// There while the connection is.
    line: Option<LineTransport>,
}

impl<P: LineProtocol> LineReceiver<P> {
    /// For a protocol whose lines end with CR LF and have at most 16384 bytes.
    pub fn new(protocol: P) -> LineReceiver<P> {
        LineReceiver { protocol, parser: LineParser::default(), line: None }
    }

    /// Sets what ends a line.
    pub fn delimiter(mut self, delimiter: impl Into<Delimiter>) -> LineReceiver<P> {
        self.parser = LineParser::new(delimiter, self.parser.max_length());
        self
    }

    /// Sets how many bytes a line has at most, without its delimiter.
    pub fn max_length(mut self, bytes: usize) -> LineReceiver<P> {
        self.parser = LineParser::new(self.parser.delimiter().clone(), bytes);
        self
    }

    /// The protocol.
    pub fn protocol(&self) -> &P {
        &self.protocol
    }

    /// Hands out what is there, until something stops it.
    fn deliver(&mut self, event_loop: &EventLoop, data: &[u8]) -> Result<(), Failure> {
        let Some(line) = &self.line else { return Ok(()) };
        let mut piece = Piece::new(data);
        loop {
            line.controls.apply(&mut self.parser, &mut piece);
            if line.is_disconnecting() {
                return Ok(());
            }
            if line.is_paused() {
                self.parser.keep(&mut piece);
                if self.parser.buffered() > 0 {
                    line.wake_on_resume();
                }
                return Ok(());
            }
            match self.parser.next_event(&mut piece) {
                None => return Ok(()),
                Some(LineEvent::Line(text)) => self.protocol.line_received(event_loop, line, text)?,
                Some(LineEvent::Raw(data)) => self.protocol.raw_data_received(event_loop, line, data)?,
                Some(LineEvent::TooLong(start)) => self.protocol.line_length_exceeded(event_loop, line, start)?,
            }
        }
    }
}

impl Controls {
    /// Does with the parser what the program asked for.
    fn apply(&self, parser: &mut LineParser, piece: &mut Piece<'_>) {
        let unused = self.unused.take();
        if unused > 0 {
            parser.unread(unused, piece);
        }
        match (parser.is_raw(), self.raw.get()) {
            (false, true) => parser.set_raw_mode(),
            (true, false) => parser.set_line_mode(),
            _ => {}
        }
        if self.clear.take() {
            parser.keep(piece);
            parser.take_buffer();
        }
    }
}

impl<P: LineProtocol> Protocol for LineReceiver<P> {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        let controls = Controls {
            delimiter: self.parser.delimiter().clone(),
            raw: Cell::new(false),
            unused: Cell::new(0),
            clear: Cell::new(false),
            idle: IdleTimeout::new(),
        };
        let line = self.line.insert(LineTransport { transport: transport.clone(), controls: Rc::new(controls) });
        self.protocol.connection_made(event_loop, line)
    }

    fn data_received(&mut self, event_loop: &EventLoop, _: &Transport, data: &[u8]) -> Result<(), Failure> {
        self.deliver(event_loop, data)
    }

    fn woken(&mut self, event_loop: &EventLoop, _: &Transport) -> Result<(), Failure> {
        if let Some(line) = &self.line
            && line.controls.idle.take_expired()
            && !line.is_disconnecting()
        {
            self.protocol.timeout_connection(event_loop, line)?;
        }
        self.deliver(event_loop, b"")
    }

    fn connection_lost(&mut self, event_loop: &EventLoop, reason: Failure) {
        if let Some(line) = self.line.take() {
            line.controls.idle.clear();
        }
        self.protocol.connection_lost(event_loop, reason);
    }

    fn half_close(&self) -> bool {
        self.protocol.half_close()
    }

    fn read_connection_lost(&mut self, event_loop: &EventLoop, _: &Transport) -> Result<(), Failure> {
        let Some(line) = &self.line else { return Ok(()) };
        self.protocol.read_connection_lost(event_loop, line)
    }

    fn write_connection_lost(&mut self, event_loop: &EventLoop, _: &Transport) -> Result<(), Failure> {
        let Some(line) = &self.line else { return Ok(()) };
        self.protocol.write_connection_lost(event_loop, line)
    }

    fn pause_producing(&mut self, event_loop: &EventLoop, _: &Transport) -> Result<(), Failure> {
        let Some(line) = &self.line else { return Ok(()) };
        self.protocol.pause_producing(event_loop, line)
    }

    fn resume_producing(&mut self, event_loop: &EventLoop, _: &Transport) -> Result<(), Failure> {
        let Some(line) = &self.line else { return Ok(()) };
        self.protocol.resume_producing(event_loop, line)
    }
}

impl<P: fmt::Debug> fmt::Debug for LineReceiver<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineReceiver")
            .field("protocol", &self.protocol)
            .field("buffered", &self.parser.buffered())
            .finish_non_exhaustive()
    }
}
