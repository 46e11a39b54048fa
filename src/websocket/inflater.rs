//! Compressed messages unpacked, as they come.

use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

use super::deflate::{Deflate, DeflateParameters};
use super::error::FrameProblem;
use super::frame::Role;

/// What the sender took off the end of each message (RFC 7692, 7.2.2).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// So often may a message end the deflate stream in it and begin another, which is allowed (7.2.3.4) and costs as much
/// as some 30 KiB of data. Senders do it once for each fragment, if at all.
const STREAMS: u16 = 1000;

/// Bytes of compressed messages in, blocks of what they were out.
pub(super) struct Inflater {
    deflate: Deflate,
    /// The sender refers back to earlier messages.
    takeover: bool,
    /// There is none until it is needed, and between messages only if it must be.
    machine: Option<Decompress>,
    /// Something came of the message at hand.
    begun: bool,
    streams: u16,
}

impl Inflater {
    /// Of what comes to this side.
    pub(super) fn new(role: Role, deflate: &Deflate, agreed: DeflateParameters) -> Inflater {
        let alone = match role {
            Role::Server => agreed.client_no_context_takeover,
            Role::Client => agreed.server_no_context_takeover,
        };
        Inflater { deflate: deflate.clone(), takeover: !alone, machine: None, begun: false, streams: 0 }
    }

    /// Unpacks some bytes of a message. `sink` has each block, the last of them before an error as well.
    ///
    /// # Errors
    ///
    /// What `sink` answers, or the bytes make no sense.
    pub(super) fn inflate(
        &mut self,
        mut input: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), FrameProblem>,
    ) -> Result<(), FrameProblem> {
        if input.is_empty() {
            return Ok(());
        }
        self.begun = true;
        let mut block = self.deflate.take_block();
        let machine = self.machine.get_or_insert_with(|| self.deflate.take_decompress());
        let done = loop {
            let before = (machine.total_in(), machine.total_out());
            let status = machine.decompress(input, &mut block, FlushDecompress::None);
            let used = (machine.total_in() - before.0) as usize;
            let made = (machine.total_out() - before.1) as usize;
            input = &input[used..];
            if let Err(problem) = sink(&block[..made]) {
                break Err(problem);
            }
            match status {
                Err(_) => break Err(FrameProblem::Deflate),
                Ok(Status::StreamEnd) => {
                    machine.reset(false);
                    self.streams += 1;
                    if self.streams > STREAMS {
                        break Err(FrameProblem::Deflate);
                    }
                    if input.is_empty() {
                        break Ok(());
                    }
                }
                // A call may hand out what is ready and take nothing, or take all and keep something for the next. It is
                // over when nothing moves.
                Ok(_) if used > 0 || made > 0 => {}
                Ok(_) if input.is_empty() => break Ok(()),
                Ok(_) => break Err(FrameProblem::Deflate),
            }
        };
        self.deflate.give_block(block);
        done
    }

    /// The message is there.
    ///
    /// # Errors
    ///
    /// As for [`inflate`](Inflater::inflate).
    pub(super) fn end(&mut self, sink: impl FnMut(&[u8]) -> Result<(), FrameProblem>) -> Result<(), FrameProblem> {
        // A message without a byte is not what an empty one is packed into, but some send it.
        if self.begun {
            self.inflate(&TAIL, sink)?;
        }
        (self.begun, self.streams) = (false, 0);
        match self.machine.take() {
            Some(machine) if !self.takeover => self.deflate.give_decompress(machine),
            machine => self.machine = machine,
        }
        Ok(())
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").field("takeover", &self.takeover).finish_non_exhaustive()
    }
}
