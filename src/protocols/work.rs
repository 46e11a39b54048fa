//! How much the parsers do, counted in their unit tests: bytes that are looked at, and bytes that are copied. A parser
//! whose peer sends byte by byte, or very much at once, must not do more than a few bytes' work for each byte.

/// So many bytes were looked at, or copied.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(super) fn did(_bytes: usize) {
    #[cfg(test)]
    tests::DONE.set(tests::DONE.get() + _bytes);
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use crate::protocols::{Delimiter, FrameParser, Framing, Int8, Int16, Int32, LineParser, Netstring, Piece};

    thread_local! {
        pub(super) static DONE: Cell<usize> = const { Cell::new(0) };
    }

    /// A byte is copied behind what is kept, looked at there, and moved forward; a header is read again for each of its
    /// own bytes.
    const PER_BYTE: usize = 4;

    /// How an input is cut, and what is done between the events.
    #[derive(Clone, Copy, Debug)]
    enum Way {
        /// Pieces of so many bytes.
        Cut(usize),
        /// All at once, and what is left is kept after each event, as for a receiver that pauses.
        Pausing,
        /// All of it is kept before anything is asked for.
        KeptFirst,
    }

    const WAYS: [Way; 6] =
        [Way::Cut(1), Way::Cut(2), Way::Cut(1460), Way::Cut(usize::MAX), Way::Pausing, Way::KeptFirst];

    /// Feeds `input`, and answers how many events came and how much work it was.
    fn feed<P>(
        way: Way,
        input: &[u8],
        parser: &mut P,
        next: fn(&mut P, &mut Piece<'_>) -> bool,
        keep: fn(&mut P, &mut Piece<'_>),
    ) -> (usize, usize) {
        DONE.set(0);
        let mut events = 0;
        match way {
            Way::Cut(size) => {
                for data in input.chunks(size.min(input.len())) {
                    let mut piece = Piece::new(data);
                    while next(parser, &mut piece) {
                        events += 1;
                    }
                }
            }
            Way::Pausing => {
                let mut piece = Piece::new(input);
                while next(parser, &mut piece) {
                    events += 1;
                    keep(parser, &mut piece);
                    piece = Piece::new(b"");
                }
            }
            Way::KeptFirst => {
                keep(parser, &mut Piece::new(input));
                while next(parser, &mut Piece::new(b"")) {
                    events += 1;
                }
            }
        }
        (events, DONE.get())
    }

    fn check(what: &str, way: Way, input: &[u8], wanted: usize, (events, work): (usize, usize)) {
        assert_eq!(events, wanted, "{what}, {way:?}");
        let bound = PER_BYTE * input.len();
        assert!(work <= bound, "{what}, {way:?}: {work} bytes of work for {} bytes", input.len());
        assert!(work >= input.len(), "{what}, {way:?}: each byte is looked at, so the count counts");
    }

    #[test]
    fn lines_are_found_in_linear_work_however_they_come() {
        let long = 1 << 16;
        let partly = || [b"\r".repeat(long), b"\r\n".to_vec()].concat();
        let inputs: [(&str, Delimiter, Vec<u8>, usize); 6] = [
            ("tiny lines", Delimiter::CRLF, b"a\r\n".repeat(long / 3), long / 3),
            ("empty lines", Delimiter::LF, b"\n".repeat(long), long),
            ("one long line", Delimiter::CRLF, [b"a".repeat(long), b"\r\n".to_vec()].concat(), 1),
            ("a delimiter that nearly comes", Delimiter::CRLF, partly(), 1),
            ("a delimiter that repeats itself", Delimiter::new(b"aaab"), b"aaaaab".repeat(long / 6), long / 6),
            (
                "lines of all lengths",
                Delimiter::CRLF,
                (0..700).flat_map(|n| [vec![b'a'; n], b"\r\n".to_vec()].concat()).collect(),
                700,
            ),
        ];
        for (what, delimiter, input, lines) in inputs {
            for way in WAYS {
                let mut parser = LineParser::new(delimiter.clone(), 2 * long);
                let next = |parser: &mut LineParser, piece: &mut Piece<'_>| parser.next_event(piece).is_some();
                let fed = feed(way, &input, &mut parser, next, |parser, piece| parser.keep(piece));
                check(what, way, &input, lines, fed);
            }
        }
    }

    #[test]
    fn lines_that_are_too_long_are_thrown_away_in_linear_work() {
        let input = [b"a".repeat(1 << 16), b"\r\n".to_vec()].concat().repeat(4);
        for way in WAYS {
            let mut parser = LineParser::new(Delimiter::CRLF, 100);
            let next = |parser: &mut LineParser, piece: &mut Piece<'_>| parser.next_event(piece).is_some();
            let fed = feed(way, &input, &mut parser, next, |parser, piece| parser.keep(piece));
            check("lines that are too long", way, &input, 4, fed);
        }
    }

    fn frames<F: Framing>(header: usize, sizes: impl Iterator<Item = usize>) {
        let (mut input, mut count) = (Vec::new(), 0);
        for size in sizes {
            FrameParser::<F>::write(&vec![b'x'; size], &mut input).unwrap();
            count += 1;
        }
        for way in WAYS {
            let mut parser = FrameParser::<F>::new(1 << 20);
            let next = |parser: &mut FrameParser<F>, piece: &mut Piece<'_>| {
                parser.next_string(piece).is_some_and(|string| string.is_ok())
            };
            let fed = feed(way, &input, &mut parser, next, |parser, piece| parser.keep(piece));
            assert_eq!(fed.0, count, "{way:?}");
            // The header is read twice with each piece, and some times for each string.
            let pieces = if let Way::Cut(size) = way { input.len() / size } else { 1 };
            let bound = PER_BYTE * input.len() + header * (2 * pieces + 4 * count);
            assert!(fed.1 <= bound, "{}, {way:?}: {} of {bound}", std::any::type_name::<F>(), fed.1);
        }
    }

    #[test]
    fn strings_with_their_length_in_front_are_found_in_linear_work_however_they_come() {
        frames::<Int8>(1, (0..4000).map(|n| n % 256));
        frames::<Int16>(2, (0..2000).map(|n| n % 7).chain([65_535]));
        frames::<Int32>(4, (0..2000).map(|n| n % 7).chain([1 << 17]));
        frames::<Netstring>(7, (0..4000).map(|n| n % 12).chain([1 << 17]));
        frames::<Netstring>(2, std::iter::repeat_n(0, 20_000));
    }
}
