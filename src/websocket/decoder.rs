//! Messages out of bytes: a state machine that knows no socket.
//!
//! ```text
//!             its bytes are there             its payload is there
//!   a head  ---------------------->  payload  ---------------------->  the next head
//!                                       |
//!                  into `control`, or behind the fragments before it into `message`
//! ```
//!
//! Memory is taken for what came, never for what a length promises.

use std::fmt;

use super::close::Close;
use super::deflate::{Deflate, DeflateParameters};
use super::error::{FrameError, FrameProblem};
use super::frame::{COMPRESSED, FIN, LONGEST, MASKED, Opcode, RESERVED, Role, apply_mask};
use super::inflater::Inflater;
use super::limits::Limits;
use crate::protocols::Piece;

/// So much of a compressed frame is unmasked and unpacked in one go.
const PORTION: usize = 1024;

/// So much memory is kept for the next message: most are smaller, and ten thousand idle connections cost little.
const KEPT: usize = 4096;

/// What comes out of a decoder.
///
/// ```
/// use ropewalk::protocols::Piece;
/// use ropewalk::websocket::{CloseCode, Event, Limits, MessageDecoder, Role};
///
/// let mut decoder = MessageDecoder::new(Role::Client, Limits::default());
/// let mut piece = Piece::new(b"\x82\x02\x01\x02\x88\x02\x03\xe8\x81\x05Hello");
/// assert_eq!(decoder.next_event(&mut piece)?, Some(Event::Binary(&[1, 2])));
/// let Some(Event::Close(close)) = decoder.next_event(&mut piece)? else { panic!("the peer closes") };
/// assert_eq!(close.code, Some(CloseCode::NORMAL));
/// assert_eq!(decoder.next_event(&mut piece)?, None); // nothing comes behind it
/// # Ok::<(), ropewalk::websocket::FrameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'d> {
    /// A whole text message.
    Text(&'d str),
    /// A whole binary message.
    Binary(&'d [u8]),
    /// The peer asks whether somebody is there; a pong with these bytes, at most 125, is the answer.
    Ping(&'d [u8]),
    /// The answer to a ping, or a sign of life that nobody asked for.
    Pong(&'d [u8]),
    /// The peer closes: nothing comes any more, whatever bytes follow.
    Close(Close),
}

/// Messages out of bytes, for either side.
///
/// It holds the message at hand, at most [`Limits::message`] bytes. Text is looked at as it comes: the error is there with
/// the first byte that cannot be UTF-8. Control frames come out between the fragments of a message. Empty fragments cost
/// nothing. After an error it gives nothing but that error.
///
/// ```
/// use ropewalk::protocols::Piece;
/// use ropewalk::websocket::{Event, FrameProblem, Limits, MessageDecoder, Role};
///
/// let mut decoder = MessageDecoder::new(Role::Client, Limits::default());
/// let mut piece = Piece::new(b"\x01\x03Hel\x89\x00\x80\x02lo\xc1\x00");
/// assert_eq!(decoder.next_event(&mut piece)?, Some(Event::Ping(b"")));
/// assert_eq!(decoder.next_event(&mut piece)?, Some(Event::Text("Hello")));
/// let error = decoder.next_event(&mut piece).unwrap_err();
/// assert_eq!(error.problem(), FrameProblem::ReservedBits);
/// assert_eq!(error.to_string(), "reserved bits are set that have no meaning here (frame 4, byte 11)");
/// # Ok::<(), ropewalk::websocket::FrameError>(())
/// ```
pub struct MessageDecoder {
    role: Role,
    limits: Limits,
    head: [u8; LONGEST],
    /// How many bytes of the head are there, how many it has up to the mask, and how many with it.
    have: u8,
    sized: u8,
    full: u8,
    /// What the frame's length is, when it is there.
    length: u64,
    frame: Option<Frame>,
    /// The message at hand, and what kind it is.
    message: Vec<u8>,
    kind: Option<Kind>,
    /// So many bytes of a text are known to be UTF-8.
    checked: usize,
    /// If compression was agreed upon.
    inflater: Option<Box<Inflater>>,
    /// The message at hand is compressed.
    compressed: bool,
    control: Vec<u8>,
    /// What the last event lies in is not wanted any more.
    given: bool,
    frames: u64,
    offset: u64,
    /// How many bytes the frames before this one have.
    before: u64,
    over: Option<Result<(), FrameError>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

/// A frame whose head is there.
#[derive(Clone, Copy)]
struct Frame {
    opcode: Opcode,
    fin: bool,
    mask: Option<[u8; 4]>,
    length: u64,
    got: u64,
}

/// What a frame was the end of.
enum Whole {
    Message(Kind),
    Ping,
    Pong,
    Close(Close),
}

impl MessageDecoder {
    /// Of what comes to this side, right behind the handshake.
    pub fn new(role: Role, limits: Limits) -> MessageDecoder {
        MessageDecoder {
            role,
            limits,
            head: [0; LONGEST],
            have: 0,
            sized: 2,
            full: 2,
            length: 0,
            frame: None,
            message: Vec::new(),
            kind: None,
            checked: 0,
            inflater: None,
            compressed: false,
            control: Vec::new(),
            given: false,
            frames: 0,
            offset: 0,
            before: 0,
            over: None,
        }
    }

    /// The same where [`permessage-deflate`](Deflate) was agreed upon. Messages come out unpacked. They are unpacked as
    /// their bytes come, and the limit of a message holds for what they grow to.
    pub fn with_deflate(
        role: Role,
        limits: Limits,
        deflate: &Deflate,
        agreed: DeflateParameters,
    ) -> MessageDecoder {
        let inflater = Some(Box::new(Inflater::new(role, deflate, agreed)));
        MessageDecoder { inflater, ..MessageDecoder::new(role, limits) }
    }

    /// The next event; `None` when more bytes are needed, or the peer has closed, and all of the piece is used.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol, or a limit. Its [`close_code`](FrameError::close_code) is what the peer is told.
    pub fn next_event(&mut self, piece: &mut Piece<'_>) -> Result<Option<Event<'_>>, FrameError> {
        self.forget();
        if let Some(over) = self.over {
            piece.take(usize::MAX);
            return over.map(|()| None);
        }
        let whole = match self.advance(piece) {
            Ok(whole) => whole,
            Err(problem) => {
                let error = FrameError { problem, frame: self.frames + 1, offset: self.before };
                self.over = Some(Err(error));
                (self.message, self.control, self.inflater) = Default::default();
                return Err(error);
            }
        };
        let Some(whole) = whole else { return Ok(None) };
        self.given = true;
        Ok(Some(match whole {
            Whole::Message(Kind::Binary) => Event::Binary(&self.message),
            Whole::Message(Kind::Text) => match std::str::from_utf8(&self.message) {
                Ok(text) => Event::Text(text),
                Err(_) => {
                    let error =
                        FrameError { problem: FrameProblem::NotUtf8, frame: self.frames, offset: self.before };
                    self.over = Some(Err(error));
                    return Err(error);
                }
            },
            Whole::Ping => Event::Ping(&self.control),
            Whole::Pong => Event::Pong(&self.control),
            Whole::Close(close) => {
                self.over = Some(Ok(()));
                (self.message, self.control, self.inflater) = Default::default();
                Event::Close(close)
            }
        }))
    }

    /// Whether nothing comes any more: the peer has closed, or there was an error.
    pub fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// Lets go of what the last event was made of.
    fn forget(&mut self) {
        if !std::mem::take(&mut self.given) {
            return;
        }
        self.control = Vec::new();
        if self.kind.is_none() {
            self.checked = 0;
            self.message.clear();
            if self.message.capacity() > KEPT {
                self.message = Vec::new();
            }
        }
    }

    fn advance(&mut self, piece: &mut Piece<'_>) -> Result<Option<Whole>, FrameProblem> {
        loop {
            let mut frame = match self.frame {
                Some(frame) => frame,
                None => match self.read_head(piece)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            let left = usize::try_from(frame.length - frame.got).unwrap_or(usize::MAX);
            let data = piece.take(left);
            if self.compressed && !frame.opcode.is_control() {
                self.unpack(&frame, data)?;
                frame.got += data.len() as u64;
                self.offset += data.len() as u64;
            } else if !data.is_empty() {
                let into = if frame.opcode.is_control() { &mut self.control } else { &mut self.message };
                let start = into.len();
                into.extend_from_slice(data);
                if let Some(mask) = frame.mask {
                    // Only its last two bits count.
                    apply_mask(&mut into[start..], mask, (frame.got % 4) as usize);
                }
                frame.got += data.len() as u64;
                self.offset += data.len() as u64;
            }
            if frame.got < frame.length {
                self.check_text(frame.opcode)?;
                self.frame = Some(frame);
                return Ok(None);
            }
            self.frame = None;
            let whole = self.end(frame)?;
            self.frames += 1;
            if whole.is_some() {
                return Ok(whole);
            }
            self.before = self.offset;
        }
    }

    /// Bytes of a compressed message came.
    fn unpack(&mut self, frame: &Frame, data: &[u8]) -> Result<(), FrameProblem> {
        let mut at = (frame.got % 4) as usize;
        for portion in data.chunks(PORTION) {
            let mut bytes = [0; PORTION];
            let bytes = &mut bytes[..portion.len()];
            bytes.copy_from_slice(portion);
            if let Some(mask) = frame.mask {
                apply_mask(bytes, mask, at);
            }
            at += bytes.len();
            self.inflate(Some(bytes))?;
        }
        Ok(())
    }

    /// Unpacks some bytes of a message, or `None`: its end. Each block is looked at before the next one is made, so that it
    /// makes no difference how the bytes come.
    fn inflate(&mut self, bytes: Option<&[u8]>) -> Result<(), FrameProblem> {
        let Some(mut inflater) = self.inflater.take() else { return Err(FrameProblem::Deflate) };
        let limit = self.limits.message;
        let sink = |block: &[u8]| {
            let room = usize::try_from(limit - self.message.len() as u64).unwrap_or(usize::MAX);
            self.message.extend_from_slice(&block[..block.len().min(room)]);
            self.check_text(Opcode::Continuation)?;
            if block.len() > room { Err(FrameProblem::MessageTooLarge { limit }) } else { Ok(()) }
        };
        match bytes {
            Some(bytes) => inflater.inflate(bytes, sink)?,
            None => inflater.end(sink)?,
        }
        self.inflater = Some(inflater);
        Ok(())
    }

    /// The payload of a frame is there.
    fn end(&mut self, frame: Frame) -> Result<Option<Whole>, FrameProblem> {
        Ok(match frame.opcode {
            Opcode::Ping => Some(Whole::Ping),
            Opcode::Pong => Some(Whole::Pong),
            Opcode::Close => Some(Whole::Close(Close::parse(&self.control)?)),
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                if frame.fin && self.compressed {
                    self.inflate(None)?;
                }
                let last = frame.fin.then(|| self.kind.take()).flatten();
                // A text that is whole is looked at when it is handed out.
                if last.is_none() {
                    self.check_text(frame.opcode)?;
                }
                last.map(Whole::Message)
            }
        })
    }

    /// What came of a text can be the beginning of one.
    fn check_text(&mut self, opcode: Opcode) -> Result<(), FrameProblem> {
        if opcode.is_control() || self.kind != Some(Kind::Text) {
            return Ok(());
        }
        match std::str::from_utf8(&self.message[self.checked..]) {
            Ok(_) => self.checked = self.message.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(FrameProblem::NotUtf8),
        }
        Ok(())
    }

    /// Each byte of a head is looked at as soon as it is there, so that it makes no difference how they come.
    fn read_head(&mut self, piece: &mut Piece<'_>) -> Result<Option<Frame>, FrameProblem> {
        if self.have == 0 {
            self.before = self.offset;
        }
        loop {
            let need = match self.have {
                0 => 1,
                1 => 2,
                have if have < self.sized => self.sized,
                _ => self.full,
            };
            let from = usize::from(self.have);
            let bytes = piece.take(usize::from(need) - from);
            self.head[from..from + bytes.len()].copy_from_slice(bytes);
            self.have += bytes.len() as u8;
            self.offset += bytes.len() as u64;
            if self.have < need {
                return Ok(None);
            }
            match need {
                1 => self.check_first()?,
                2 => self.check_second()?,
                _ => {}
            }
            if need == 1 {
                continue;
            }
            if self.have == self.sized {
                self.check_length()?;
            }
            if self.have == self.full {
                self.have = 0;
                return Ok(Some(self.whole_head()));
            }
        }
    }

    fn check_first(&self) -> Result<(), FrameProblem> {
        let first = self.head[0];
        let code = first & 0xf;
        // A message's first frame says whether it is compressed, if that was agreed upon (RFC 7692, 6).
        let allowed = if self.inflater.is_some() && matches!(code, 1 | 2) { COMPRESSED } else { 0 };
        if first & RESERVED & !allowed != 0 {
            return Err(FrameProblem::ReservedBits);
        }
        let opcode = Opcode::of(code).ok_or(FrameProblem::Opcode(code))?;
        match opcode {
            Opcode::Continuation if self.kind.is_none() => Err(FrameProblem::NothingToContinue),
            Opcode::Text | Opcode::Binary if self.kind.is_some() => Err(FrameProblem::NotContinued),
            opcode if opcode.is_control() && first & FIN == 0 => Err(FrameProblem::FragmentedControl),
            _ => Ok(()),
        }
    }

    fn check_second(&mut self) -> Result<(), FrameProblem> {
        let [first, second, ..] = self.head;
        let masked = second & MASKED != 0;
        match self.role {
            Role::Server if !masked => return Err(FrameProblem::Unmasked),
            Role::Client if masked => return Err(FrameProblem::Masked),
            _ => {}
        }
        let short = second & !MASKED;
        if short > 125 && first & 0x8 != 0 {
            return Err(FrameProblem::LongControl);
        }
        let length = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        self.sized = 2 + length;
        self.full = self.sized + if masked { 4 } else { 0 };
        Ok(())
    }

    /// Nobody waits for the mask of a frame that will not do, nor for its payload.
    fn check_length(&mut self) -> Result<(), FrameProblem> {
        let [first, second, a, b, c, d, e, f, g, h, ..] = self.head;
        let (length, least) = match second & !MASKED {
            126 => (u64::from(u16::from_be_bytes([a, b])), 126),
            127 => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 0x1_0000),
            short => (u64::from(short), 0),
        };
        if length >> 63 != 0 {
            return Err(FrameProblem::LengthTooLarge);
        }
        if length < least {
            return Err(FrameProblem::LengthNotMinimal);
        }
        self.length = length;
        if first & 0x8 != 0 {
            return Ok(());
        }
        let limits = self.limits;
        // What cannot be made smaller gets a little larger.
        let compressed = if self.kind.is_some() { self.compressed } else { first & COMPRESSED != 0 };
        let more = if compressed { limits.frame / 1000 + 100 } else { 0 };
        if length > limits.frame.saturating_add(more) {
            return Err(FrameProblem::FrameTooLarge { limit: limits.frame });
        }
        if !compressed && self.message.len() as u64 + length > limits.message {
            return Err(FrameProblem::MessageTooLarge { limit: limits.message });
        }
        Ok(())
    }

    fn whole_head(&mut self) -> Frame {
        let (first, end) = (self.head[0], usize::from(self.sized));
        let mask = (self.full > self.sized).then(|| [0, 1, 2, 3].map(|i| self.head[end + i]));
        // Looked at with the first byte.
        let opcode = Opcode::of(first & 0xf).unwrap_or(Opcode::Continuation);
        match opcode {
            Opcode::Text => self.kind = Some(Kind::Text),
            Opcode::Binary => self.kind = Some(Kind::Binary),
            _ => {}
        }
        if matches!(opcode, Opcode::Text | Opcode::Binary) {
            self.compressed = first & COMPRESSED != 0;
        }
        Frame { opcode, fin: first & FIN != 0, mask, length: self.length, got: 0 }
    }
}

impl fmt::Debug for MessageDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageDecoder")
            .field("role", &self.role)
            .field("frames", &self.frames)
            .field("message", &self.message.len())
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
