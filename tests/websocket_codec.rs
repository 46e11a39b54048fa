//! The WebSocket codec: what comes out of bytes, and which bytes are refused (RFC 6455).

use proptest::prelude::*;
use ropewalk::protocols::Piece;
use ropewalk::websocket::{
    Close, CloseCode, Event, FrameProblem, Limits, MessageDecoder, Opcode, Role, apply_mask, encode_frame,
};

/// An event that owns what it is made of.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Close),
    Error(FrameProblem, u64, u64),
}

fn feed(decoder: &mut MessageDecoder, data: &[u8], seen: &mut Vec<Seen>) {
    let mut piece = Piece::new(data);
    loop {
        seen.push(match decoder.next_event(&mut piece) {
            Ok(None) => break,
            Ok(Some(Event::Text(text))) => Seen::Text(text.to_owned()),
            Ok(Some(Event::Binary(data))) => Seen::Binary(data.to_vec()),
            Ok(Some(Event::Ping(data))) => Seen::Ping(data.to_vec()),
            Ok(Some(Event::Pong(data))) => Seen::Pong(data.to_vec()),
            Ok(Some(Event::Close(close))) => Seen::Close(close),
            Ok(Some(other)) => panic!("{other:?}"),
            Err(error) => {
                seen.push(Seen::Error(error.problem(), error.frame(), error.offset()));
                break;
            }
        });
    }
    assert!(piece.rest().is_empty() || decoder.is_over());
}

/// What comes out of these pieces, up to the first error.
fn events<'d>(role: Role, limits: Limits, pieces: impl IntoIterator<Item = &'d [u8]>) -> Vec<Seen> {
    let (mut decoder, mut seen) = (MessageDecoder::new(role, limits), Vec::new());
    for data in pieces {
        feed(&mut decoder, data, &mut seen);
        if matches!(seen.last(), Some(Seen::Error(..))) {
            break;
        }
    }
    seen
}

/// What a client makes of it, whole and byte by byte.
fn client(data: &[u8]) -> Vec<Seen> {
    let whole = events(Role::Client, Limits::default(), [data]);
    assert_eq!(whole, events(Role::Client, Limits::default(), data.chunks(1)), "byte by byte");
    whole
}

fn problem(data: &[u8]) -> FrameProblem {
    match client(data).last() {
        Some(Seen::Error(problem, ..)) => *problem,
        other => panic!("no error but {other:?} of {data:02x?}"),
    }
}

fn frame(opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_frame(&mut out, opcode, fin, payload, None);
    out
}

#[test]
fn the_examples_of_the_rfc_are_read_and_written() {
    assert_eq!(client(b"\x81\x05Hello"), [Seen::Text("Hello".into())]);
    assert_eq!(client(b"\x01\x03Hel\x80\x02lo"), [Seen::Text("Hello".into())]);
    assert_eq!(client(b"\x89\x05Hello"), [Seen::Ping(b"Hello".to_vec())]);
    let masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(events(Role::Server, Limits::default(), [&masked[..]]), [Seen::Text("Hello".into())]);
    let mut out = Vec::new();
    encode_frame(&mut out, Opcode::Text, true, b"Hello", Some([0x37, 0xfa, 0x21, 0x3d]));
    assert_eq!(out, masked);
    assert_eq!(frame(Opcode::Binary, true, &[0; 256])[..4], [0x82, 0x7e, 1, 0]);
    assert_eq!(frame(Opcode::Binary, true, &[0; 65536])[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
}

#[test]
fn control_frames_come_between_the_fragments_of_a_message() {
    let data = [
        frame(Opcode::Text, false, b"one "),
        frame(Opcode::Ping, true, b"?"),
        frame(Opcode::Continuation, false, b""),
        frame(Opcode::Pong, true, b""),
        frame(Opcode::Continuation, true, b"two"),
        frame(Opcode::Binary, true, b""),
    ];
    let expected =
        [Seen::Ping(b"?".to_vec()), Seen::Pong(Vec::new()), Seen::Text("one two".into()), Seen::Binary(Vec::new())];
    assert_eq!(client(&data.concat()), expected);
}

#[test]
fn a_server_takes_masked_frames_only_and_a_client_only_others() {
    let refused = events(Role::Server, Limits::default(), [&b"\x81\x05Hello"[..]]);
    assert_eq!(refused, [Seen::Error(FrameProblem::Unmasked, 1, 0)]);
    assert_eq!(problem(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), FrameProblem::Masked);
}

#[test]
fn reserved_bits_and_opcodes_are_refused_with_the_first_byte() {
    for bits in [0x40, 0x20, 0x10, 0x70] {
        assert_eq!(problem(&[0x81 | bits]), FrameProblem::ReservedBits);
        assert_eq!(problem(&[0x89 | bits]), FrameProblem::ReservedBits);
    }
    for code in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        assert_eq!(problem(&[0x80 | code]), FrameProblem::Opcode(code));
    }
}

#[test]
fn control_frames_are_whole_and_short() {
    assert_eq!(problem(b"\x09\x00"), FrameProblem::FragmentedControl);
    assert_eq!(problem(b"\x08\x00"), FrameProblem::FragmentedControl);
    assert_eq!(problem(b"\x89\x7e\x00\x7e"), FrameProblem::LongControl);
    assert_eq!(problem(b"\x88\x7f"), FrameProblem::LongControl);
    assert_eq!(client(&frame(Opcode::Ping, true, &[7; 125])), [Seen::Ping(vec![7; 125])]);
}

#[test]
fn fragments_come_in_their_order() {
    assert_eq!(problem(b"\x80\x00"), FrameProblem::NothingToContinue);
    assert_eq!(problem(b"\x81\x00\x00\x00"), FrameProblem::NothingToContinue);
    assert_eq!(problem(b"\x01\x00\x81\x00"), FrameProblem::NotContinued);
    assert_eq!(problem(b"\x02\x00\x01\x00"), FrameProblem::NotContinued);
}

#[test]
fn lengths_are_as_short_as_can_be_and_below_the_limit() {
    assert_eq!(problem(b"\x82\x7e\x00\x7d"), FrameProblem::LengthNotMinimal);
    assert_eq!(problem(b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff"), FrameProblem::LengthNotMinimal);
    assert_eq!(problem(b"\x82\x7f\x80\x00\x00\x00\x00\x01\x00\x00"), FrameProblem::LengthTooLarge);
    // Nothing is asked of memory for it, and nobody waits for the mask.
    for (data, limit) in [(&b"\x82\xff\0\0\0\0\0\x10\0\x01"[..], 1 << 20), (b"\x82\xfe\x00\x7f", 126)] {
        let error = Seen::Error(FrameProblem::FrameTooLarge { limit }, 1, 0);
        assert_eq!(events(Role::Server, Limits::of_message(limit), [data]), [error]);
    }
    assert_eq!(
        problem(b"\x82\x7f\x40\x00\x00\x00\x00\x00\x00\x00"),
        FrameProblem::FrameTooLarge { limit: 1 << 20 }
    );
    let mut limits = Limits::of_message(10);
    let exact = [frame(Opcode::Binary, false, &[1; 5]), frame(Opcode::Continuation, true, &[1; 5])].concat();
    assert_eq!(events(Role::Client, limits, [&exact[..]]), [Seen::Binary(vec![1; 10])]);
    let more = [frame(Opcode::Binary, false, &[1; 5]), frame(Opcode::Continuation, true, &[1; 6])].concat();
    let error = Seen::Error(FrameProblem::MessageTooLarge { limit: 10 }, 2, 7);
    assert_eq!(events(Role::Client, limits, [&more[..]]), [error]);
    limits.frame = 4;
    assert_eq!(
        events(Role::Client, limits, [&exact[..]]),
        [Seen::Error(FrameProblem::FrameTooLarge { limit: 4 }, 1, 0)]
    );
}

#[test]
fn text_is_utf8_and_the_first_wrong_byte_is_enough() {
    // The frame says 100 bytes; the second of these cannot follow the first.
    for bad in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0", b"\xf4\x90", b"\xce\xbaabc\x80"] {
        assert_eq!(problem(&[b"\x01\x64", bad].concat()), FrameProblem::NotUtf8, "{bad:02x?}");
    }
    // A character may be cut by a fragment, but not by the end.
    assert_eq!(client(b"\x01\x01\xc3\x80\x01\xa9"), [Seen::Text("\u{e9}".into())]);
    assert_eq!(problem(b"\x01\x01\xc3\x80\x00"), FrameProblem::NotUtf8);
    assert_eq!(problem(b"\x81\x02a\xc3"), FrameProblem::NotUtf8);
    assert_eq!(client(b"\x82\x01\xff"), [Seen::Binary(vec![0xff])]);
}

#[test]
fn a_close_frame_says_a_code_that_can_be_sent_and_ends_it() {
    assert_eq!(client(b"\x88\x00\x81\x01a"), [Seen::Close(Close::default())]);
    let done = Close::new(CloseCode::NORMAL, "bye");
    assert_eq!(client(b"\x88\x05\x03\xe8bye\xff\xff\xff"), [Seen::Close(done)]);
    assert_eq!(problem(b"\x88\x01\x03"), FrameProblem::CloseLength);
    assert_eq!(problem(b"\x88\x03\x03\xe8\xff"), FrameProblem::CloseReason);
    let codes: Vec<u16> = (0..=u16::MAX).filter(|&code| CloseCode::new(code).is_some()).collect();
    let allowed: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
    assert_eq!(codes, allowed);
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        let [high, low] = code.to_be_bytes();
        assert_eq!(problem(&[0x88, 2, high, low]), FrameProblem::CloseCode(code));
    }
}

#[test]
fn a_reason_is_cut_between_characters() {
    let close = Close::new(CloseCode::NORMAL, &"\u{e9}".repeat(100));
    assert_eq!(close.reason.len(), 122);
}

#[test]
fn a_million_empty_fragments_and_a_flood_of_pings_keep_no_memory() {
    let mut decoder = MessageDecoder::new(Role::Client, Limits::default());
    let mut seen = Vec::new();
    feed(&mut decoder, b"\x01\x00", &mut seen);
    let empty = b"\x00\x00".repeat(1000);
    (0..1000).for_each(|_| feed(&mut decoder, &empty, &mut seen));
    assert_eq!(seen, []);
    feed(&mut decoder, b"\x80\x01a", &mut seen);
    assert_eq!(seen, [Seen::Text("a".into())]);
    for _ in 0..1000 {
        seen.clear();
        feed(&mut decoder, &b"\x89\x00".repeat(100), &mut seen);
        assert_eq!(seen.len(), 100);
    }
}

#[test]
fn an_error_says_in_which_frame_it_is_and_stays() {
    let mut decoder = MessageDecoder::new(Role::Client, Limits::default());
    let mut piece = Piece::new(b"\x81\x02hi\x83\x00");
    assert_eq!(decoder.next_event(&mut piece), Ok(Some(Event::Text("hi"))));
    let error = decoder.next_event(&mut piece).unwrap_err();
    assert_eq!(error.to_string(), "nobody knows the opcode 3 (frame 2, byte 4)");
    assert_eq!(decoder.next_event(&mut Piece::new(b"\x81\x02hi")), Err(error));
}

/// A frame, mostly of those that make sense.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let opcode = prop_oneof![
        4 => Just(Opcode::Text), 2 => Just(Opcode::Binary), 4 => Just(Opcode::Continuation),
        1 => Just(Opcode::Ping), 1 => Just(Opcode::Pong),
    ];
    let payload = prop_oneof![
        4 => "\\PC{0,40}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..140),
        1 => Just(b"x".repeat(70_000)),
    ];
    let whole = (opcode, any::<bool>(), payload, prop::option::weighted(0.98, any::<[u8; 4]>())).prop_map(
        |(opcode, fin, payload, mask)| {
            let mut out = Vec::new();
            encode_frame(&mut out, opcode, fin, &payload, mask);
            out
        },
    );
    prop_oneof![20 => whole, 1 => prop::collection::vec(any::<u8>(), 0..20)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same_events(
        frames in prop::collection::vec(any_frame(), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let data = frames.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(data.len() + 1)).chain([0, data.len()]).collect();
        cuts.sort_unstable();
        let limits = Limits::of_message(100_000);
        let pieces = cuts.windows(2).map(|cut| &data[cut[0]..cut[1]]);
        let whole = events(Role::Server, limits, [&data[..]]);
        prop_assert_eq!(&whole, &events(Role::Server, limits, pieces));
        prop_assert_eq!(&whole, &events(Role::Server, limits, data.chunks(1)));
    }

    #[test]
    fn a_message_in_any_fragments_is_the_message(
        text in "\\PC{0,300}",
        sizes in prop::collection::vec(0usize..80, 0..10),
        mask in any::<[u8; 4]>(),
    ) {
        let (mut out, mut rest, mut opcode) = (Vec::new(), text.as_bytes(), Opcode::Text);
        for size in sizes {
            let (part, more) = rest.split_at(size.min(rest.len()));
            encode_frame(&mut out, opcode, false, part, Some(mask));
            (rest, opcode) = (more, Opcode::Continuation);
        }
        encode_frame(&mut out, opcode, true, rest, Some(mask));
        prop_assert_eq!(events(Role::Server, Limits::default(), [&out[..]]), [Seen::Text(text)]);
    }

    #[test]
    fn a_mask_is_taken_off_in_any_portions(
        data in prop::collection::vec(any::<u8>(), 0..100),
        mask in any::<[u8; 4]>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let plain: Vec<u8> = data.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]).collect();
        let (mut masked, at) = (data.clone(), cut.index(data.len() + 1));
        apply_mask(&mut masked[..at], mask, 0);
        apply_mask(&mut masked[at..], mask, at);
        prop_assert_eq!(masked, plain);
    }
}
