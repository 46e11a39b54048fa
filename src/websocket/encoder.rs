//! Messages into bytes, compressed if that was agreed upon.

use std::fmt;

use flate2::{Compress, FlushCompress};

use super::deflate::{Deflate, DeflateParameters};
use super::frame::{Head, Opcode, Role, apply_mask};

/// What ends each message, and is not sent (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Whole messages into bytes, where [`permessage-deflate`](Deflate) was agreed upon; without it,
/// [`encode_frame`](super::encode_frame) is all there is to it.
///
/// It keeps what the peer needs for the next message, if that was agreed upon. So each message must be sent that was
/// encoded, in this order.
///
/// ```
/// use ropewalk::http::Headers;
/// use ropewalk::protocols::Piece;
/// use ropewalk::websocket::{Deflate, Event, Limits, MessageDecoder, MessageEncoder, Opcode, Role};
///
/// let mut headers = Headers::new();
/// headers.append("Sec-WebSocket-Extensions", Deflate::new().offer())?;
/// let deflate = Deflate::new();
/// let agreed = deflate.accept(&headers)?.expect("it was offered");
///
/// let mut server = MessageEncoder::new(Role::Server, &deflate, agreed);
/// let text = "If I were a rope, ".repeat(100);
/// let mut out = Vec::new();
/// server.encode(&mut out, Opcode::Text, text.as_bytes(), None);
/// assert!(out.len() < 60);
///
/// let mut client = MessageDecoder::with_deflate(Role::Client, Limits::default(), &deflate, agreed);
/// assert_eq!(client.next_event(&mut Piece::new(&out))?, Some(Event::Text(&text)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MessageEncoder {
    deflate: Deflate,
    /// Later messages refer back to earlier ones.
    takeover: bool,
    /// So many bytes are packed in one go that no reference goes back by more than the peer has room for. `None`: any
    /// number.
    portion: Option<usize>,
    /// There is none until it is needed, and between messages only if it must be.
    machine: Option<Compress>,
}

impl MessageEncoder {
    /// Of what this side sends.
    pub fn new(role: Role, deflate: &Deflate, agreed: DeflateParameters) -> MessageEncoder {
        let (alone, bits) = match role {
            Role::Server => (agreed.server_no_context_takeover, agreed.server_max_window_bits),
            Role::Client => (agreed.client_no_context_takeover, agreed.client_max_window_bits),
        };
        // The window of the machine has 32 KiB, and nothing else. A smaller one is the same as beginning anew so often.
        let portion = (bits < 15).then(|| 1 << bits);
        let takeover = !alone && portion.is_none();
        MessageEncoder { deflate: deflate.clone(), takeover, portion, machine: None }
    }

    /// Writes a message behind what `out` has, in one frame; masked if there is a mask. Control frames and messages below
    /// the [threshold](Deflate::threshold) are not compressed.
    pub fn encode(&mut self, out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) {
        let packed = self.pack(opcode, payload);
        let body = packed.as_deref().unwrap_or(payload);
        out.extend_from_slice(Head::new(opcode, true, body.len(), mask).compressed(packed.is_some()).bytes());
        let start = out.len();
        out.extend_from_slice(body);
        if let Some(mask) = mask {
            apply_mask(&mut out[start..], mask, 0);
        }
        if let Some(packed) = packed {
            self.recycle(packed);
        }
    }

    /// The payload packed; `None` if it is to be sent as it is.
    pub(super) fn pack(&mut self, opcode: Opcode, payload: &[u8]) -> Option<Vec<u8>> {
        let message = matches!(opcode, Opcode::Text | Opcode::Binary);
        if !message || payload.len() < self.deflate.smallest() {
            return None;
        }
        let mut packed = self.deflate.take_packed();
        if payload.is_empty() {
            // 7.2.3.6.
            packed.push(0);
            return Some(packed);
        }
        let mut machine = self.machine.take().unwrap_or_else(|| self.deflate.take_compress());
        let (size, flush) = match self.portion {
            Some(size) => (size, FlushCompress::Full),
            None => (payload.len(), FlushCompress::Sync),
        };
        let fine = payload.chunks(size).all(|portion| compress(&mut machine, portion, &mut packed, flush));
        if packed.ends_with(&TAIL) {
            packed.truncate(packed.len() - TAIL.len());
        } else {
            // The beginning of an empty block, of which the receiver adds the rest.
            packed.push(0);
        }
        // What nobody will refer to, and did not get smaller, is sent as it is. So is what the machine failed at: a new one
        // refers to nothing.
        let grown = packed.len() >= payload.len() && self.deflate.smallest() > 0;
        if !fine || (!self.takeover && grown) {
            if fine {
                self.deflate.give_compress(machine);
            }
            self.recycle(packed);
            return None;
        }
        if self.takeover {
            self.machine = Some(machine);
        } else {
            self.deflate.give_compress(machine);
        }
        Some(packed)
    }

    /// Takes back what [`pack`](MessageEncoder::pack) has given.
    pub(super) fn recycle(&self, packed: Vec<u8>) {
        self.deflate.give_packed(packed);
    }
}

/// Packs all of it. `false`: the machine would not, which it never says of bytes in memory.
fn compress(machine: &mut Compress, mut input: &[u8], out: &mut Vec<u8>, flush: FlushCompress) -> bool {
    // Whether the machine has handed out all that it had packed. A call that begins with such a rest may give it out and
    // do nothing else, not even what `flush` says.
    let mut handed_out = true;
    loop {
        // More than this is added only to what does not get smaller.
        out.reserve(input.len() / 2 + 64);
        let (before, flushes) = (machine.total_in(), handed_out);
        if machine.compress_vec(input, out, flush).is_err() {
            return false;
        }
        input = &input[(machine.total_in() - before) as usize..];
        handed_out = out.len() < out.capacity();
        if input.is_empty() && handed_out && flushes {
            return true;
        }
    }
}

impl fmt::Debug for MessageEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageEncoder").field("takeover", &self.takeover).finish_non_exhaustive()
    }
}
