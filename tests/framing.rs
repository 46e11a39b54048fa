//! Lines and strings out of bytes: the same events however the bytes are cut, in bounded memory and linear time.

use proptest::collection::vec;
use proptest::prelude::*;
use ropewalk::protocols::{
    Delimiter, FrameError, FrameParser, Framing, Int8, Int16, Int32, LineEvent, LineParser, Netstring, Piece,
};

/// What came out of a parser, with raw bytes that follow each other as one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Out {
    Line(Vec<u8>),
    Raw(Vec<u8>),
    TooLong(Vec<u8>),
}

/// A line `raw N` asks for N raw bytes, then for lines again; `pause` for what is left to be kept a while.
#[derive(Default)]
struct Reader {
    out: Vec<Out>,
    raw_left: usize,
    paused: bool,
}

impl Reader {
    /// Feeds one piece. As a receiver does, it stops while paused and keeps the rest.
    fn feed(&mut self, parser: &mut LineParser, data: &[u8]) {
        let mut piece = Piece::new(data);
        while !self.paused && self.step(parser, &mut piece) {}
        parser.keep(&mut piece);
    }

    fn resume(&mut self, parser: &mut LineParser) {
        self.paused = false;
        self.feed(parser, b"");
    }

    fn step(&mut self, parser: &mut LineParser, piece: &mut Piece<'_>) -> bool {
        let unused = match parser.next_event(piece) {
            None => return false,
            Some(LineEvent::Line(line)) => {
                self.out.push(Out::Line(line.to_vec()));
                self.paused = line.starts_with(b"p");
                if let Some(n) = line.strip_prefix(b"raw ") {
                    self.raw_left = std::str::from_utf8(n).unwrap().parse().unwrap();
                    parser.set_raw_mode();
                }
                return true;
            }
            Some(LineEvent::Raw(data)) => {
                let wanted = self.raw_left.min(data.len());
                self.raw_left -= wanted;
                match self.out.last_mut() {
                    Some(Out::Raw(raw)) => raw.extend_from_slice(&data[..wanted]),
                    _ => self.out.push(Out::Raw(data[..wanted].to_vec())),
                }
                data.len() - wanted
            }
            Some(LineEvent::TooLong(start)) => {
                self.out.push(Out::TooLong(start.to_vec()));
                return true;
            }
            Some(other) => panic!("{other:?}"),
        };
        if self.raw_left == 0 {
            parser.unread(unused, piece);
            parser.set_line_mode();
        }
        true
    }
}

/// The obvious way: the whole text in hand.
fn expected(mut text: &[u8], delimiter: &[u8], max: usize) -> Vec<Out> {
    let mut out = Vec::new();
    let find = |text: &[u8]| text.windows(delimiter.len()).position(|window| window == delimiter);
    loop {
        let Some(end) = find(text) else {
            if text.len() >= max + delimiter.len() {
                out.push(Out::TooLong(text[..max].to_vec()));
            }
            return out;
        };
        let line = &text[..end];
        text = &text[end + delimiter.len()..];
        if line.len() > max {
            out.push(Out::TooLong(line[..max].to_vec()));
            continue;
        }
        out.push(Out::Line(line.to_vec()));
        if let Some(n) = line.strip_prefix(b"raw ") {
            let n: usize = std::str::from_utf8(n).unwrap().parse().unwrap();
            let raw = &text[..n.min(text.len())];
            text = &text[raw.len()..];
            // Raw mode ends with the next raw bytes, be they none that are wanted.
            if raw.is_empty() && text.is_empty() {
                return out;
            }
            out.push(Out::Raw(raw.to_vec()));
            if raw.len() < n {
                return out;
            }
        }
    }
}

/// Texts out of what parsers trip over: delimiters and halves of them, commands, and lines of any length.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        4 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"\n".to_vec()),
        1 => Just(b"aab".to_vec()),
        1 => Just(b"aaab".to_vec()),
        1 => Just(b"pause\r\n".to_vec()),
        1 => (0..30usize).prop_map(|n| format!("\r\nraw {n}\r\n").into_bytes()),
        3 => vec(any::<u8>(), 0..12),
    ];
    vec(word, 0..40).prop_map(|words| words.concat())
}

fn cut<'a>(text: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = text;
    let mut pieces = Vec::new();
    for &size in sizes.iter().cycle().take(10 * text.len() + 1) {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at(size.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_lines(
        text in text(),
        sizes in vec(0..20usize, 1..8),
        max in prop_oneof![1 => 6..12usize, 1 => Just(100)],
        resumes in vec(any::<bool>(), 1..6),
    ) {
        // A maximum that a command does not fit into would be another language.
        let mut parser = LineParser::new(Delimiter::CRLF, max);
        let mut reader = Reader::default();
        let mut resumes = resumes.iter().cycle();
        for piece in cut(&text, &sizes) {
            if reader.paused && *resumes.next().unwrap() {
                reader.resume(&mut parser);
            }
            reader.feed(&mut parser, piece);
        }
        while reader.paused {
            reader.resume(&mut parser);
        }
        prop_assert_eq!(reader.out, expected(&text, b"\r\n", max));
    }

    #[test]
    fn any_delimiter_is_found_at_its_first_place(
        text in vec(prop_oneof![Just(b'a'), Just(b'b')], 0..60),
        delimiter in vec(prop_oneof![Just(b'a'), Just(b'b')], 1..5),
        sizes in vec(0..5usize, 1..5),
        max in 0..20usize,
    ) {
        let mut parser = LineParser::new(delimiter.clone(), max);
        let mut reader = Reader::default();
        for piece in cut(&text, &sizes) {
            reader.feed(&mut parser, piece);
        }
        // With delimiters that overlap themselves, the first ones that fit are those; a line that is too long may
        // hold the start of one over its cut.
        prop_assert_eq!(reader.out, expected(&text, &delimiter, max));
    }

    #[test]
    fn any_cut_gives_the_same_strings(
        strings in vec(vec(any::<u8>(), 0..40), 0..12),
        noise in vec(prop_oneof![Just(b'1'), Just(b':'), Just(b','), any::<u8>()], 0..12),
        sizes in vec(0..20usize, 1..8),
        max in prop_oneof![1 => 0..45usize, 1 => Just(99999)],
    ) {
        any_cut::<Netstring>(&strings, &noise, &sizes, max)?;
        any_cut::<Int8>(&strings, &noise, &sizes, max)?;
        any_cut::<Int16>(&strings, &noise, &sizes, max)?;
        any_cut::<Int32>(&strings, &noise, &sizes, max)?;
    }
}

fn any_cut<F: Framing>(
    strings: &[Vec<u8>],
    noise: &[u8],
    sizes: &[usize],
    max: usize,
) -> Result<(), TestCaseError> {
    let mut text = Vec::new();
    for string in strings {
        FrameParser::<F>::write(string, &mut text).unwrap();
    }
    text.extend_from_slice(noise);
    let whole = strings_of::<F>(&[&text], max);
    prop_assert_eq!(&whole, &strings_of::<F>(&cut(&text, sizes), max));
    prop_assert_eq!(&whole, &strings_of::<F>(&cut(&text, &[1]), max));
    let sent = strings.iter().take_while(|string| string.len() <= max);
    prop_assert!(sent.map(|string| Ok(string.clone())).eq(whole.into_iter().take(sent_count(strings, max))));
    Ok(())
}

fn sent_count(strings: &[Vec<u8>], max: usize) -> usize {
    strings.iter().take_while(|string| string.len() <= max).count()
}

fn strings_of<F: Framing>(pieces: &[&[u8]], max: usize) -> Vec<Result<Vec<u8>, FrameError>> {
    let mut parser = FrameParser::<F>::new(max);
    let mut out = Vec::new();
    for piece in pieces {
        let mut piece = Piece::new(piece);
        while let Some(string) = parser.next_string(&mut piece) {
            out.push(string.map(<[u8]>::to_vec));
        }
        assert!(parser.buffered() <= max + 25, "no more is held than one string");
    }
    out
}

fn events(parser: &mut LineParser, data: &[u8]) -> Vec<Out> {
    let mut reader = Reader::default();
    reader.feed(parser, data);
    reader.out
}

fn line(text: &str) -> Out {
    Out::Line(text.into())
}

#[test]
fn a_line_of_the_maximum_passes_and_one_byte_more_does_not() {
    let mut parser = LineParser::new("\r\n", 5);
    assert_eq!(events(&mut parser, b"12345\r\n"), [line("12345")]);
    assert_eq!(events(&mut parser, b"123456\r\n"), [Out::TooLong(b"12345".to_vec())]);
    assert_eq!(events(&mut parser, b"1\r\n"), [line("1")]);
}

#[test]
fn a_line_that_has_not_ended_is_too_long_as_soon_as_its_delimiter_cannot_come_in_time() {
    let mut parser = LineParser::new("\r\n", 5);
    assert_eq!(events(&mut parser, b"12345\r"), []);
    assert_eq!(events(&mut parser, b"x"), [Out::TooLong(b"12345".to_vec())]);
    assert_eq!(events(&mut parser, b"what is left of it goes nowhere\r"), []);
    assert_eq!(events(&mut parser, b"\nnext\r\n"), [line("next")]);
}

#[test]
fn a_peer_that_never_ends_its_line_is_not_kept() {
    let mut parser = LineParser::default();
    for _ in 0..1000 {
        events(&mut parser, &[b'x'; 5000]);
        assert!(parser.buffered() <= LineParser::MAX_LENGTH + 2);
    }
}

#[test]
fn raw_bytes_that_are_not_wanted_come_again_as_lines() {
    let mut parser = LineParser::default();
    let mut reader = Reader::default();
    reader.feed(&mut parser, b"a\r\nraw 3\r\nxyzb\r\nc");
    assert_eq!(reader.out, [line("a"), line("raw 3"), Out::Raw(b"xyz".to_vec()), line("b")]);
    assert_eq!(parser.buffered(), 1);
}

/// However the bytes are cut: none is lost between the start of a line that is too long and what passes raw behind it.
#[test]
fn what_is_left_of_a_line_that_is_too_long_passes_in_raw_mode() {
    let text = b"abcdefgh\r\nij";
    for size in 1..=text.len() {
        let mut parser = LineParser::new("\r\n", 3);
        let mut passed = Vec::new();
        for data in text.chunks(size) {
            let mut piece = Piece::new(data);
            while let Some(event) = parser.next_event(&mut piece) {
                match event {
                    LineEvent::TooLong(start) => assert_eq!(start, b"abc"),
                    LineEvent::Raw(data) => passed.extend_from_slice(data),
                    other => panic!("{other:?}"),
                }
                parser.set_raw_mode();
            }
        }
        assert_eq!(passed, b"defgh\r\nij", "in pieces of {size}");
    }
}

#[test]
fn more_than_the_raw_bytes_of_the_last_event_cannot_be_given_back() {
    let mut parser = LineParser::default();
    parser.set_raw_mode();
    let mut piece = Piece::new(b"one\r\n");
    assert_eq!(parser.next_event(&mut piece), Some(LineEvent::Raw(b"one\r\n")));
    parser.unread(2, &mut piece);
    parser.unread(99, &mut piece);
    parser.set_line_mode();
    assert_eq!(parser.next_event(&mut piece), Some(LineEvent::Line(b"one")));
    parser.unread(99, &mut piece);
    assert_eq!(parser.next_event(&mut piece), None);
}

#[test]
fn the_buffer_can_be_taken() {
    let mut parser = LineParser::default();
    events(&mut parser, b"half a li");
    assert_eq!(parser.take_buffer(), b"half a li");
    assert_eq!(events(&mut parser, b"ne\r\n"), [line("ne")]);
}

/// Small pieces, and many commands in one piece: where work grew with the square, this would not end.
#[test]
fn the_work_is_linear_in_the_bytes() {
    const MEGABYTE: usize = 1 << 20;
    let mut parser = LineParser::new("\r\n", MEGABYTE);
    let mut reader = Reader::default();
    for _ in 0..MEGABYTE {
        reader.feed(&mut parser, b"x");
    }
    reader.feed(&mut parser, b"\r\n");
    assert!(matches!(&reader.out[..], [Out::Line(line)] if line.len() == MEGABYTE));

    let mut reader = Reader::default();
    reader.feed(&mut parser, &b"raw 1\r\nx\r\n".repeat(MEGABYTE / 10));
    assert_eq!(reader.out.len(), MEGABYTE / 10 * 3);

    let mut reader = Reader::default();
    reader.feed(&mut parser, &b"pause\r\n".repeat(MEGABYTE / 7));
    while reader.paused && reader.out.len() < MEGABYTE / 7 {
        reader.resume(&mut parser);
    }
    assert_eq!(reader.out.len(), MEGABYTE / 7);

    let mut parser = FrameParser::<Int32>::new(MEGABYTE);
    let mut text = Vec::new();
    FrameParser::<Int32>::write(&vec![b'x'; MEGABYTE], &mut text).unwrap();
    let strings = text.chunks(1).filter(|chunk| parser.next_string(&mut Piece::new(chunk)).is_some());
    assert_eq!(strings.count(), 1);
}

#[test]
fn what_is_no_netstring_is_told_once_and_at_its_first_wrong_byte() {
    let too_long = |length| FrameError::TooLong { length, max_length: 99999 };
    for (text, error) in [
        ("x", FrameError::BadLength),
        (":", FrameError::BadLength),
        ("-1:", FrameError::BadLength),
        ("00:", FrameError::BadLength),
        ("05:hello,", FrameError::BadLength),
        ("5 :hello,", FrameError::BadLength),
        ("5:hello;", FrameError::NoComma),
        ("100000", too_long(100000)),
        ("99999999999999999999999", too_long(999999)),
    ] {
        let errors = strings_of::<Netstring>(&[text.as_bytes(), b"5:hello,"], 99999);
        assert_eq!(errors, [Err(error)], "{text}");
    }
}

#[test]
fn a_length_in_front_is_big_endian_and_bounded() {
    assert_eq!(
        strings_of::<Int8>(&[b"\x01a\x00\x02bc\x05d"], 99999),
        [&b"a"[..], b"", b"bc"].map(|s| Ok(s.to_vec()))
    );
    assert_eq!(strings_of::<Int16>(&[b"\x00\x01a\x01\x00"], 300), [Ok(b"a".to_vec())]);
    assert_eq!(
        strings_of::<Int32>(&[b"\x00\x01\x86\xa0"], 99999),
        [Err(FrameError::TooLong { length: 100000, max_length: 99999 })]
    );
}

#[test]
fn a_string_whose_length_does_not_fit_is_not_written() {
    let mut out = b"before".to_vec();
    assert_eq!(FrameParser::<Int8>::write(&[b'x'; 256], &mut out).unwrap_err().longest, 255);
    assert_eq!(FrameParser::<Int16>::write(&[b'x'; 65536], &mut out).unwrap_err().longest, 65535);
    assert_eq!(out, b"before");
    FrameParser::<Int8>::write(&[b'x'; 255], &mut out).unwrap();
    assert_eq!(out.len(), 6 + 256);
}
