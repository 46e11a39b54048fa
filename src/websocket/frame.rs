//! The heads of frames, and masks (RFC 6455, 5.2 and 5.3).

use std::fmt;

/// Which side of a connection this is.
///
/// ```
/// use ropewalk::protocols::Piece;
/// use ropewalk::websocket::{FrameProblem, Limits, MessageDecoder, Role};
///
/// // What a server sends, without a mask, is an error where a client sends it.
/// let mut server = MessageDecoder::new(Role::Server, Limits::default());
/// let error = server.next_event(&mut Piece::new(b"\x81\x05Hello")).unwrap_err();
/// assert_eq!(error.problem(), FrameProblem::Unmasked);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It sends without masks, and takes only what is masked.
    Server,
    /// It masks what it sends, and takes only what is not masked.
    Client,
}

/// What a frame is.
///
/// ```
/// use ropewalk::websocket::{Opcode, encode_frame};
///
/// // A text in two fragments: only the first says that it is text.
/// let mut out = Vec::new();
/// encode_frame(&mut out, Opcode::Text, false, b"Hel", None);
/// encode_frame(&mut out, Opcode::Continuation, true, b"lo", None);
/// assert_eq!(out, b"\x01\x03Hel\x80\x02lo");
/// assert_eq!(Opcode::Ping.bits(), 9);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// The next fragment of a message.
    Continuation,
    /// A text, or its first fragment.
    Text,
    /// A binary message, or its first fragment.
    Binary,
    /// The peer closes.
    Close,
    /// A question whether somebody is there.
    Ping,
    /// The answer to it.
    Pong,
}

impl Opcode {
    /// The four bits of it.
    pub fn bits(self) -> u8 {
        match self {
            Opcode::Continuation => 0,
            Opcode::Text => 1,
            Opcode::Binary => 2,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
        }
    }

    pub(super) fn of(bits: u8) -> Option<Opcode> {
        Some(match bits {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }

    pub(super) fn is_control(self) -> bool {
        self.bits() >= 8
    }
}

/// The longest head: two bytes, a length of eight, a mask of four.
pub(super) const LONGEST: usize = 14;

pub(super) const FIN: u8 = 0x80;
pub(super) const RESERVED: u8 = 0x70;
/// The reserved bit that says that a message is compressed (RFC 7692, 6).
pub(super) const COMPRESSED: u8 = 0x40;
pub(super) const MASKED: u8 = 0x80;

/// A frame's head in bytes.
#[derive(Clone, Copy)]
pub(super) struct Head {
    bytes: [u8; LONGEST],
    length: u8,
}

impl Head {
    pub(super) fn new(opcode: Opcode, fin: bool, payload: usize, mask: Option<[u8; 4]>) -> Head {
        let mut head = Head { bytes: [0; LONGEST], length: 0 };
        let masked = if mask.is_some() { MASKED } else { 0 };
        head.push(&[opcode.bits() | if fin { FIN } else { 0 }]);
        match payload {
            0..=125 => head.push(&[masked | payload as u8]),
            126..=0xffff => {
                head.push(&[masked | 126]);
                head.push(&(payload as u16).to_be_bytes());
            }
            _ => {
                head.push(&[masked | 127]);
                head.push(&(payload as u64).to_be_bytes());
            }
        }
        if let Some(mask) = mask {
            head.push(&mask);
        }
        head
    }

    /// Says of a message's first frame whether the message is compressed.
    pub(super) fn compressed(mut self, compressed: bool) -> Head {
        if compressed {
            self.bytes[0] |= COMPRESSED;
        }
        self
    }

    fn push(&mut self, bytes: &[u8]) {
        let at = usize::from(self.length);
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len() as u8;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x?}", self.bytes())
    }
}

/// Writes a frame behind what `out` has: the last of its message if `fin`, and masked if there is a mask.
///
/// A client must mask with numbers that nobody can foretell, new ones for each frame; a server must not mask. It is not
/// looked at whether the frame makes sense behind those before it.
///
/// ```
/// use ropewalk::websocket::{Opcode, encode_frame};
///
/// let mut out = Vec::new();
/// encode_frame(&mut out, Opcode::Text, true, b"Hello", None);
/// assert_eq!(out, b"\x81\x05Hello");
/// ```
pub fn encode_frame(out: &mut Vec<u8>, opcode: Opcode, fin: bool, payload: &[u8], mask: Option<[u8; 4]>) {
    let head = Head::new(opcode, fin, payload.len(), mask);
    out.reserve(head.bytes().len() + payload.len());
    out.extend_from_slice(head.bytes());
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply_mask(&mut out[start..], mask, 0);
    }
}

/// Masks bytes, or takes the mask off, which is the same. `at` is how many bytes of the payload come before them.
///
/// ```
/// use ropewalk::websocket::apply_mask;
///
/// let mut data = *b"Hello";
/// let mask = [1, 2, 3, 4];
/// apply_mask(&mut data, mask, 0);
/// assert_ne!(&data, b"Hello");
/// // In two pieces, as it comes.
/// apply_mask(&mut data[..3], mask, 0);
/// apply_mask(&mut data[3..], mask, 3);
/// assert_eq!(&data, b"Hello");
/// ```
pub fn apply_mask(data: &mut [u8], mut mask: [u8; 4], at: usize) {
    mask.rotate_left(at % 4);
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = data.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}
