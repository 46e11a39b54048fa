//! The server: one line comes, an answer goes, and the connection is closed. RFC 1288 2.2.

use crate::directory::{Question, answer};
use ropewalk::protocols::{Delimiter, LineProtocol, LineReceiver, LineTransport};
use ropewalk::{CancelHandle, CancelledError, ConnectionDone, Deferred, DelayedCall, EventLoop, Failure};
use std::rc::Rc;
use std::time::Duration;

/// The longest question, in bytes: far longer than any name.
const LINE: usize = 512;

/// How long somebody may take to ask, and how long the directory may take.
pub(crate) const TIME: Duration = Duration::from_secs(30);

/// How long an answer waits for somebody who does not read it.
pub(crate) const READ_TIME: Duration = Duration::from_secs(10);

/// Where the directory comes from: a file, or a test.
pub(crate) type Directory = Rc<dyn Fn(&EventLoop) -> Deferred<String>>;

/// A connection.
pub(crate) struct Finger {
    directory: Directory,
    /// What runs once there is a question.
    answering: Option<Answering>,
}

struct Answering {
    /// The look-up: to be called off when nobody waits for it any more.
    looks_up: CancelHandle,
    /// When the connection is broken off, whatever it waits for.
    end: DelayedCall,
}

impl Finger {
    /// For a new connection.
    pub(crate) fn receiver(directory: Directory) -> LineReceiver<Finger> {
        // The RFC wants CR LF. Many clients send LF, and there is nothing to gain in having them wait.
        LineReceiver::new(Finger { directory, answering: None }).delimiter(Delimiter::LF).max_length(LINE)
    }
}

impl LineProtocol for Finger {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &LineTransport) -> Result<(), Failure> {
        transport.set_timeout(event_loop, Some(TIME));
        Ok(())
    }

    fn line_received(
        &mut self,
        event_loop: &EventLoop,
        transport: &LineTransport,
        line: &[u8],
    ) -> Result<(), Failure> {
        // One question. What follows it is not looked at.
        if self.answering.is_some() {
            return Ok(());
        }
        transport.set_timeout(event_loop, None);
        let broken_off = transport.clone();
        let end = event_loop.call_later(TIME + READ_TIME, move |_| broken_off.abort()).named("finger");

        let line = String::from_utf8_lossy(line).into_owned();
        let directory = match Question::parse(&line) {
            Question::Forward => Deferred::succeed(String::new()), // there is nothing to look up
            _ => (self.directory)(event_loop).add_timeout(TIME, event_loop),
        };
        let looks_up = directory.cancel_handle();
        self.answering = Some(Answering { looks_up, end });
        let (transport, excuse) = (transport.clone(), transport.clone());
        directory
            .add_callback(move |directory| {
                transport.write(answer(&directory, &Question::parse(&line)).as_bytes())?;
                transport.lose_connection();
                Ok(())
            })
            .add_errback(move |failure| {
                // The peer has left: it was called off.
                if failure.check::<CancelledError>().is_some() {
                    return Ok(());
                }
                // Why is nobody's business out there.
                log::error!("no answer: {failure}");
                excuse.write(b"The directory cannot be read now\r\n")?;
                excuse.lose_connection();
                Ok(())
            })
            .log_errors("an answer");
        Ok(())
    }

    fn line_length_exceeded(&mut self, _: &EventLoop, transport: &LineTransport, _: &[u8]) -> Result<(), Failure> {
        if self.answering.is_none() {
            transport.write(format!("A question has at most {LINE} bytes\r\n").as_bytes())?;
            transport.lose_connection();
        }
        Ok(())
    }

    /// Somebody who asks and closes its half, as `nc` does, still gets its answer.
    fn half_close(&self) -> bool {
        true
    }

    fn read_connection_lost(&mut self, _: &EventLoop, transport: &LineTransport) -> Result<(), Failure> {
        if self.answering.is_none() {
            transport.lose_connection();
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
        if let Some(Answering { looks_up, end }) = self.answering.take() {
            looks_up.cancel();
            // An error says that it was this.
            let _ = end.cancel();
        }
        if reason.check::<ConnectionDone>().is_none() {
            log::warn!("a connection was lost: {reason}");
        }
    }
}
