//! One connection: a line comes, a line goes. It knows no socket.

use crate::store::{KEYS, Store};
use ropewalk::protocols::{Delimiter, LineProtocol, LineReceiver, LineTransport};
use ropewalk::{EventLoop, Failure, Streaming};
use std::time::Duration;

/// The longest line, in bytes.
pub(crate) const LINE: usize = 1000;

/// Who says nothing for so long is sent away.
pub(crate) const SILENCE: Duration = Duration::from_secs(300);

/// The commands, as `HELP` tells them.
const COMMANDS: &str = "SET key text, GET key, DEL key, EXPIRE key seconds, COUNT, HELP, QUIT";

/// A connection to a store.
pub(crate) struct Session {
    store: Store,
}

impl Session {
    /// For a new connection. Lines end with LF, so that `nc` can talk to it; a CR before that is taken off.
    pub(crate) fn receiver(store: Store) -> LineReceiver<Session> {
        LineReceiver::new(Session { store }).delimiter(Delimiter::LF).max_length(LINE)
    }

    /// What is answered to a line; `None` to QUIT.
    fn answer(&self, event_loop: &EventLoop, line: &str) -> Option<String> {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        let found = |found: bool| if found { "OK" } else { "NONE" }.to_owned();
        let answer = match (command.to_ascii_uppercase().as_str(), rest.split_once(' ')) {
            ("SET", Some((key, value))) if !key.is_empty() => match self.store.set(key, value) {
                Ok(()) => "OK".to_owned(),
                Err(_) => format!("ERROR there are {KEYS} keys, and no more are kept: DEL one"),
            },
            ("GET", None) if !rest.is_empty() => {
                self.store.get(rest).map_or_else(|| "NONE".to_owned(), |value| format!("TEXT {value}"))
            }
            ("DEL", None) if !rest.is_empty() => found(self.store.remove(rest)),
            ("EXPIRE", Some((key, seconds))) => match seconds.parse() {
                Ok(seconds) => found(self.store.expire(event_loop, key, Duration::from_secs(seconds))),
                Err(error) => format!("ERROR {} is no number of seconds: {error}", seconds.escape_debug()),
            },
            ("COUNT", None) if rest.is_empty() => self.store.len().to_string(),
            ("HELP", None) if rest.is_empty() => COMMANDS.to_owned(),
            ("QUIT", None) if rest.is_empty() => return None,
            _ => format!("ERROR {} is no command: {COMMANDS}", line.escape_debug()),
        };
        Some(answer)
    }
}

impl LineProtocol for Session {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &LineTransport) -> Result<(), Failure> {
        transport.set_timeout(event_loop, Some(SILENCE));
        // Whoever asks and does not read the answers is not read any more.
        let own = transport.transport();
        own.register_producer(event_loop, own.clone(), Streaming::Push)?;
        Ok(())
    }

    fn line_received(
        &mut self,
        event_loop: &EventLoop,
        transport: &LineTransport,
        line: &[u8],
    ) -> Result<(), Failure> {
        transport.reset_timeout();
        let Ok(line) = std::str::from_utf8(line) else {
            return Ok(transport.send_line("ERROR that is no UTF-8")?);
        };
        match self.answer(event_loop, line.trim_end_matches('\r')) {
            Some(answer) => transport.send_line(answer)?,
            None => {
                transport.send_line("BYE")?;
                transport.lose_connection();
            }
        }
        Ok(())
    }

    fn line_length_exceeded(&mut self, _: &EventLoop, transport: &LineTransport, _: &[u8]) -> Result<(), Failure> {
        // The rest of it is thrown away, and the next line is read.
        Ok(transport.send_line(format!("ERROR a line has at most {LINE} bytes"))?)
    }
}
