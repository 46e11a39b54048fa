//! Lines out of bytes: a state machine that knows no socket.

use super::delimiter::Delimiter;
use super::intake::{Kept, Piece};

/// What comes out of a [`LineParser`].
///
/// ```
/// use ropewalk::protocols::{Delimiter, LineEvent, LineParser, Piece};
///
/// let mut parser = LineParser::new(Delimiter::LF, 5);
/// let mut piece = Piece::new(b"far too long\ndata\nraw\n");
/// assert_eq!(parser.next_event(&mut piece), Some(LineEvent::TooLong(b"far t")));
/// assert_eq!(parser.next_event(&mut piece), Some(LineEvent::Line(b"data")));
/// parser.set_raw_mode();
/// assert_eq!(parser.next_event(&mut piece), Some(LineEvent::Raw(b"raw\n")));
/// assert_eq!(parser.next_event(&mut piece), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineEvent<'a> {
    /// A line, without its delimiter.
    Line(&'a [u8]),
    /// Bytes that came in raw mode. How they are cut says nothing.
    Raw(&'a [u8]),
    /// A line is longer than the maximum. These are its first bytes, as many as the maximum is. What is left of it
    /// is thrown away, up to its delimiter; then lines come again. In raw mode it passes.
    TooLong(&'a [u8]),
}

/// Takes bytes, however the network has cut them, and gives lines.
///
/// Lines end with a [`Delimiter`]. In raw mode the bytes pass as they are. The mode can be changed behind any event, in
/// the middle of a piece: what is left goes to the other mode.
///
/// It holds a line that has not ended, at most the maximum and the delimiter, and what is given to
/// [`keep`](LineParser::keep). Each byte is looked at once, however small the pieces are. A line that lies whole in one
/// piece is not copied.
///
/// ```
/// use ropewalk::protocols::{LineEvent, LineParser, Piece};
///
/// let mut parser = LineParser::default();
/// let mut lines = Vec::new();
/// for data in ["GET", " / HTTP/1.0\r", "\nHost: example\r\n\r\n"] {
///     let mut piece = Piece::new(data.as_bytes());
///     while let Some(event) = parser.next_event(&mut piece) {
///         let LineEvent::Line(line) = event else { panic!("no raw mode, no long line") };
///         lines.push(String::from_utf8(line.to_vec())?);
///     }
/// }
/// assert_eq!(lines, ["GET / HTTP/1.0", "Host: example", ""]);
/// # Ok::<(), std::string::FromUtf8Error>(())
/// ```
#[derive(Debug)]
pub struct LineParser {
    delimiter: Delimiter,
    max_length: usize,
    raw: bool,
    kept: Kept,
    /// How much of what is kept was looked at.
    scanned: usize,
    /// How much of the delimiter ended what was looked at.
    matched: usize,
    /// Whether the line at hand was too long, and the rest of it is thrown away.
    skipping: bool,
    /// Where the last raw bytes lay, and how many can still be given back.
    last_raw: (Place, usize),
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Kept,
    Piece,
}

/// What the next event is to be made of.
enum Found {
    /// A line of so many bytes, with its delimiter.
    Line(usize),
    TooLong,
    Skipped,
    Nothing,
}

impl LineParser {
    /// The longest line unless another maximum is set, in bytes: Twisted's `LineReceiver.MAX_LENGTH`.
    pub const MAX_LENGTH: usize = 16384;

    /// For lines that end with `delimiter` and have at most `max_length` bytes without it.
    pub fn new(delimiter: impl Into<Delimiter>, max_length: usize) -> LineParser {
        LineParser {
            delimiter: delimiter.into(),
            max_length,
            raw: false,
            kept: Kept::default(),
            scanned: 0,
            matched: 0,
            skipping: false,
            last_raw: (Place::Piece, 0),
        }
    }

    /// What ends a line.
    pub fn delimiter(&self) -> &Delimiter {
        &self.delimiter
    }

    /// The longest line, in bytes without its delimiter.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Whether it is in raw mode.
    pub fn is_raw(&self) -> bool {
        self.raw
    }

    /// Lets what follows pass as it is; after [`LineEvent::TooLong`], from behind the bytes that it gave.
    pub fn set_raw_mode(&mut self) {
        self.raw = true;
        // What was looked at is a part of a line no more.
        (self.scanned, self.matched, self.skipping) = (0, 0, false);
    }

    /// Takes what follows as lines.
    pub fn set_line_mode(&mut self) {
        self.raw = false;
    }

    /// Gives back the last `unused` bytes of the raw event before, so that they come again, in the mode set by then.
    /// More than there were is all of them.
    pub fn unread(&mut self, unused: usize, piece: &mut Piece<'_>) {
        let (place, length) = self.last_raw;
        let unused = unused.min(length);
        match place {
            Place::Kept => self.kept.give_back(unused),
            Place::Piece => piece.give_back(unused),
        }
        self.last_raw.1 = length - unused;
    }

    /// The next event of what is kept and then of `piece`; `None` when all of it is used up.
    pub fn next_event<'a, 'd: 'a>(&'a mut self, piece: &mut Piece<'d>) -> Option<LineEvent<'a>> {
        self.last_raw.1 = 0;
        if self.raw {
            return self.next_raw(piece);
        }
        loop {
            let in_kept = !self.kept.is_empty();
            if !in_kept {
                self.kept.let_go();
                self.scanned = 0;
                if piece.rest().is_empty() {
                    return None;
                }
            }
            let found = if in_kept { self.look(piece) } else { self.look_at_piece(piece) };
            let (delimiter, max) = (self.delimiter.as_bytes().len(), self.max_length);
            match found {
                Found::Skipped => {}
                Found::Nothing => return None,
                Found::Line(length) => {
                    self.scanned = 0;
                    let line = if in_kept { self.kept.take(length) } else { piece.take(length) };
                    return Some(LineEvent::Line(&line[..length - delimiter]));
                }
                Found::TooLong => {
                    // What was looked at behind the start is looked at again: in raw mode it passes with the rest.
                    self.skipping = true;
                    (self.scanned, self.matched) = (0, 0);
                    let start = if in_kept { self.kept.take(max) } else { piece.take(max) };
                    return Some(LineEvent::TooLong(start));
                }
            }
        }
    }

    /// Keeps what is left of a piece, for when nobody wants events now.
    pub fn keep(&mut self, piece: &mut Piece<'_>) {
        self.last_raw.1 = 0;
        self.kept.add(piece.take(usize::MAX));
    }

    /// Takes what it holds: a line that has not ended, and what was [kept](LineParser::keep).
    pub fn take_buffer(&mut self) -> Vec<u8> {
        (self.scanned, self.matched, self.skipping) = (0, 0, false);
        self.last_raw.1 = 0;
        self.kept.take_all()
    }

    /// How many bytes it holds.
    pub fn buffered(&self) -> usize {
        self.kept.rest().len()
    }

    fn next_raw<'a, 'd: 'a>(&'a mut self, piece: &mut Piece<'d>) -> Option<LineEvent<'a>> {
        let in_kept = !self.kept.is_empty();
        if !in_kept {
            self.kept.let_go();
            if piece.rest().is_empty() {
                return None;
            }
        }
        let (place, data) = if in_kept {
            let length = self.kept.rest().len();
            (Place::Kept, self.kept.take(length))
        } else {
            (Place::Piece, piece.take(usize::MAX))
        };
        self.last_raw = (place, data.len());
        Some(LineEvent::Raw(data))
    }

    /// How many bytes of a line may be looked at until its delimiter must have come.
    fn room(&self) -> usize {
        if self.skipping { usize::MAX } else { self.max_length.saturating_add(self.delimiter.as_bytes().len()) }
    }

    /// Looks at a piece in front of which nothing is kept.
    fn look_at_piece(&mut self, piece: &mut Piece<'_>) -> Found {
        let room = self.room();
        let rest = piece.rest();
        let window = &rest[..room.min(rest.len())];
        match self.delimiter.find(&mut self.matched, window) {
            Some(end) if self.skipping => {
                piece.take(end);
                self.skipping = false;
                Found::Skipped
            }
            Some(end) => Found::Line(end),
            None if self.skipping => {
                piece.take(window.len());
                Found::Nothing
            }
            None if window.len() == room => Found::TooLong,
            None => {
                self.kept.add(piece.take(usize::MAX));
                self.scanned = window.len();
                Found::Nothing
            }
        }
    }

    /// Looks at what is kept, and then takes of the piece as much as completes the line.
    fn look(&mut self, piece: &mut Piece<'_>) -> Found {
        let room = self.room();
        let kept = self.kept.rest();
        let window = &kept[self.scanned..room.min(kept.len())];
        let window_end = self.scanned + window.len();
        if let Some(end) = self.delimiter.find(&mut self.matched, window) {
            let end = self.scanned + end;
            if !self.skipping {
                return Found::Line(end);
            }
            self.kept.take(end);
            self.scanned = 0;
            self.skipping = false;
            return Found::Skipped;
        }
        if self.skipping {
            self.kept.take(window_end);
            self.scanned = 0;
            return Found::Skipped;
        }
        self.scanned = window_end;
        if window_end == room {
            return Found::TooLong;
        }
        let rest = piece.rest();
        let window = &rest[..(room - window_end).min(rest.len())];
        let found = self.delimiter.find(&mut self.matched, window);
        let taken = piece.take(found.unwrap_or(window.len()));
        self.kept.add(taken);
        self.scanned += taken.len();
        match found {
            Some(_) => Found::Line(self.scanned),
            None if self.scanned == room => Found::TooLong,
            None => Found::Nothing,
        }
    }
}

impl Default for LineParser {
    /// Lines that end with CR LF and have at most 16384 bytes.
    fn default() -> LineParser {
        LineParser::new(Delimiter::CRLF, LineParser::MAX_LENGTH)
    }
}
