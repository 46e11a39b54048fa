//! `permessage-deflate` (RFC 7692): what both sides agree on, what is compressed, and what compressed bytes may cost.

use std::cell::RefCell;
use std::rc::Rc;

use proptest::prelude::*;
use ropewalk::http::{Headers, Server};
use ropewalk::protocols::Piece;
use ropewalk::testing::MemoryLoop;
use ropewalk::websocket::{
    Deflate, DeflateParameters, Event, FrameProblem, HandshakeError, Limits, Message, MessageDecoder,
    MessageEncoder, Opcode, Role, WebSocket, WebSocketProtocol, WebSocketServer, encode_frame,
};
use ropewalk::{Address, EventLoop, Failure};

fn fields(value: &str) -> Headers {
    let mut headers = Headers::new();
    headers.append("Sec-WebSocket-Extensions", value).unwrap();
    headers
}

/// What a server answers to this offer.
fn answer(deflate: &Deflate, offer: &str) -> Option<String> {
    deflate.accept(&fields(offer)).unwrap().map(|agreed| agreed.to_string())
}

fn agreed(offer: &str) -> DeflateParameters {
    Deflate::new().accept(&fields(offer)).unwrap().expect("it can be done")
}

#[derive(Debug, PartialEq)]
enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Other(String),
    Error(FrameProblem, u64, u64),
}

fn feed(decoder: &mut MessageDecoder, data: &[u8], seen: &mut Vec<Seen>) {
    let mut piece = Piece::new(data);
    loop {
        match decoder.next_event(&mut piece) {
            Ok(None) => break,
            Ok(Some(Event::Text(text))) => seen.push(Seen::Text(text.to_owned())),
            Ok(Some(Event::Binary(data))) => seen.push(Seen::Binary(data.to_vec())),
            Ok(Some(other)) => seen.push(Seen::Other(format!("{other:?}"))),
            Err(error) => {
                seen.push(Seen::Error(error.problem(), error.frame(), error.offset()));
                break;
            }
        }
    }
}

/// What a client with this limit sees, in pieces of this size.
fn in_pieces(data: &[u8], limit: u64, size: usize) -> Vec<Seen> {
    let deflate = Deflate::new();
    let limits = Limits::of_message(limit);
    let mut decoder = MessageDecoder::with_deflate(Role::Client, limits, &deflate, agreed("permessage-deflate"));
    let mut seen = Vec::new();
    for part in data.chunks(size) {
        feed(&mut decoder, part, &mut seen);
        if matches!(seen.last(), Some(Seen::Error(..))) {
            break;
        }
    }
    seen
}

#[track_caller]
fn client(data: &[u8], limit: u64) -> Vec<Seen> {
    let whole = in_pieces(data, limit, usize::MAX);
    for size in [1, 2, 3, 7, 100] {
        assert_eq!(in_pieces(data, limit, size), whole, "in pieces of {size}");
    }
    whole
}

/// A message in one compressed frame, from these bytes of it.
fn packed(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_frame(&mut out, opcode, true, payload, None);
    out[0] |= 0x40;
    out
}

fn encoded(encoder: &mut MessageEncoder, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.encode(&mut out, Opcode::Binary, payload, None);
    out
}

/// Bytes that cannot be made smaller.
fn noise(n: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(n).collect()
}

#[test]
fn a_server_takes_the_first_offer_that_it_can_do_and_answers_its_parameters() {
    let plain = Deflate::new();
    let cases = [
        ("permessage-deflate", Some("permessage-deflate")),
        ("permessage-deflate; client_max_window_bits", Some("permessage-deflate")),
        ("permessage-deflate; client_max_window_bits=\"10\"", Some("permessage-deflate")),
        ("permessage-deflate; server_max_window_bits=10", Some("permessage-deflate; server_max_window_bits=10")),
        ("permessage-deflate; server_max_window_bits=15", Some("permessage-deflate")),
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
        ),
        ("x-webkit-deflate-frame, permessage-deflate", Some("permessage-deflate")),
        ("permessage-deflate; unknown, permessage-deflate", Some("permessage-deflate")),
        ("permessage-deflate; unknown", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits=9", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=7", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=08", None),
        ("permessage-deflate; server_max_window_bits=+8", None),
        ("permessage-deflate; client_max_window_bits=x", None),
        ("permessage-bzip", None),
    ];
    for (offer, expected) in cases {
        assert_eq!(answer(&plain, offer).as_deref(), expected, "{offer}");
    }
    let alone = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(answer(&plain.clone().no_context_takeover(), "permessage-deflate").as_deref(), Some(alone));
    assert_eq!(plain.accept(&Headers::new()), Ok(None));
    let wrong = plain.accept(&fields("permessage-deflate;;"));
    assert_eq!(wrong, Err(HandshakeError::Extensions("permessage-deflate;;".into())));
}

#[test]
fn a_client_takes_what_it_has_offered_and_nothing_else() {
    let plain = Deflate::new();
    assert_eq!(plain.offer(), "permessage-deflate; client_max_window_bits");
    let alone = plain.clone().no_context_takeover();
    assert!(alone.offer().ends_with("; server_no_context_takeover; client_no_context_takeover"));
    assert_eq!(plain.agreed(&Headers::new()), Ok(None));
    let good = plain.agreed(&fields("permessage-deflate; client_max_window_bits=9; server_max_window_bits=12"));
    let good = good.unwrap().unwrap();
    assert_eq!((good.client_max_window_bits, good.server_max_window_bits), (9, 12));
    for bad in [
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; client_no_context_takeover=0",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; unknown",
        "permessage-deflate, permessage-deflate",
    ] {
        let found = plain.agreed(&fields(bad));
        assert!(matches!(found, Err(HandshakeError::ExtensionParameters(..))), "{bad}: {found:?}");
    }
    assert_eq!(plain.agreed(&fields("x-other")), Err(HandshakeError::Extension("x-other".into())));
    assert!(plain.agreed(&fields("permessage-deflate; a b")).is_err());
    assert!(alone.agreed(&fields("permessage-deflate")).is_err());
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    let hello = || Seen::Text("Hello".into());
    // 7.2.3.1; in fragments; 7.2.3.2, which refers back to the message before; 7.2.3.3, a block that is stored; 7.2.3.4,
    // the last block of its stream; 7.2.3.5, two blocks; 7.2.3.6, nothing.
    assert_eq!(client(b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", 100), [hello()]);
    assert_eq!(client(b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00", 100), [hello()]);
    let both = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00";
    assert_eq!(client(both, 100), [hello(), hello()]);
    assert_eq!(client(b"\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 100), [hello()]);
    assert_eq!(client(b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 100), [hello()]);
    assert_eq!(client(b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 100), [hello()]);
    assert_eq!(client(b"\xc1\x01\x00\xc2\x00", 100), [Seen::Text(String::new()), Seen::Binary(Vec::new())]);
}

#[test]
fn the_bit_is_of_a_messages_first_frame_only_and_only_if_agreed() {
    let refused = |data: &[u8], n| {
        assert_eq!(client(data, 100).last(), Some(&Seen::Error(FrameProblem::ReservedBits, n, (n - 1) * 2)))
    };
    // On a continuation, on control frames, and with others.
    refused(b"\x41\x00\xc0\x00", 2);
    refused(b"\x01\x00\xc0\x00", 2);
    refused(b"\xc8\x00", 1);
    refused(b"\xc9\x00", 1);
    refused(b"\xca\x00", 1);
    refused(b"\xe1\x00", 1);
    refused(b"\xa1\x00", 1);
    refused(b"\xd2\x00", 1);
    // Messages that are not compressed may come between.
    let mixed = client(b"\x81\x01a\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\x81\x01b", 100);
    assert_eq!(mixed, ["a", "Hello", "b"].map(|text| Seen::Text(text.into())));
    // A ping between the fragments of a compressed message is none of it.
    let between = client(b"\x41\x03\xf2\x48\xcd\x89\x01x\x80\x04\xc9\xc9\x07\x00", 100);
    assert_eq!(between, [Seen::Other("Ping([120])".into()), Seen::Text("Hello".into())]);
}

#[test]
fn a_message_is_as_large_as_the_limit_and_no_larger_whatever_it_is_packed_into() {
    let deflate = Deflate::new();
    let mut encoder = MessageEncoder::new(Role::Server, &deflate, agreed("permessage-deflate"));
    let exact = encoded(&mut encoder, &[7; 50_000]);
    assert!(exact.len() < 200);
    assert_eq!(in_pieces(&exact, 50_000, usize::MAX), [Seen::Binary(vec![7; 50_000])]);
    let error = Seen::Error(FrameProblem::MessageTooLarge { limit: 49_999 }, 1, 0);
    assert_eq!(client(&exact, 49_999), [error]);
    // What does not get smaller is as large as the limit too, and its frame a little larger.
    let mut encoder = MessageEncoder::new(Role::Server, &deflate, agreed("permessage-deflate"));
    let data = noise(100_000);
    let grown = encoded(&mut encoder, &data);
    assert!(grown.len() > 100_004);
    assert_eq!(in_pieces(&grown, 100_000, 4096), [Seen::Binary(data)]);
    let large = FrameProblem::FrameTooLarge { limit: 1000 };
    assert_eq!(in_pieces(&grown, 1000, usize::MAX), [Seen::Error(large, 1, 0)]);
}

#[test]
fn a_gigabyte_in_a_megabyte_is_refused_at_the_limit() {
    let deflate = Deflate::new();
    let mut encoder = MessageEncoder::new(Role::Server, &deflate, agreed("permessage-deflate"));
    let mut decoder = MessageDecoder::with_deflate(
        Role::Client,
        Limits::of_message(1 << 20),
        &deflate,
        agreed("permessage-deflate"),
    );
    // One message in fragments, each of them a megabyte of zeros.
    let zeros = vec![0; 1 << 20];
    let mut seen = Vec::new();
    for n in 0..1000 {
        let packed = encoded(&mut encoder, &zeros);
        let body = [&packed[4..], b"\0\0\xff\xff"].concat();
        let mut fragment = Vec::new();
        encode_frame(&mut fragment, if n == 0 { Opcode::Binary } else { Opcode::Continuation }, false, &body, None);
        fragment[0] |= if n == 0 { 0x40 } else { 0 };
        feed(&mut decoder, &fragment, &mut seen);
        if !seen.is_empty() {
            break;
        }
    }
    assert!(
        matches!(seen[..], [Seen::Error(FrameProblem::MessageTooLarge { limit: 1_048_576 }, 2, _)]),
        "{seen:?}"
    );
}

#[test]
fn what_is_not_deflate_or_not_utf8_is_refused_with_the_byte_that_shows_it() {
    let problem = |data: &[u8]| match client(data, 100).pop() {
        Some(Seen::Error(problem, 1, 0)) => problem,
        other => panic!("{other:?}"),
    };
    // A block of the fourth kind; a stored block whose lengths do not agree.
    assert_eq!(problem(&packed(Opcode::Binary, b"\x07")), FrameProblem::Deflate);
    assert_eq!(problem(&packed(Opcode::Binary, b"\x00\x01\x00\x01\x00a")), FrameProblem::Deflate);
    // A stored block says 100 bytes, and its first is no text; nothing more need come.
    assert_eq!(problem(b"\xc1\x64\x00\x64\x00\x9b\xff\xff"), FrameProblem::NotUtf8);
    // Behind that comes what is no block either: the first error counts.
    assert_eq!(problem(&packed(Opcode::Text, b"\x00\x01\x00\xfe\xff\xff\x07")), FrameProblem::NotUtf8);
    // A character that is not complete when the message is.
    assert_eq!(problem(&packed(Opcode::Text, b"\x00\x01\x00\xfe\xff\xc3\x00")), FrameProblem::NotUtf8);
    // Streams without end that say nothing.
    assert_eq!(
        in_pieces(&packed(Opcode::Binary, &b"\x03\x00".repeat(2000)), 10_000, 4096),
        [Seen::Error(FrameProblem::Deflate, 1, 0)]
    );
    assert_eq!(FrameProblem::Deflate.close_code().code(), 1007);
}

#[test]
fn short_messages_and_control_frames_are_sent_as_they_are() {
    let deflate = Deflate::new().threshold(10);
    let mut encoder = MessageEncoder::new(Role::Server, &deflate, agreed("permessage-deflate"));
    let mut first = |opcode, payload: &[u8]| {
        let mut out = Vec::new();
        encoder.encode(&mut out, opcode, payload, None);
        out[0]
    };
    assert_eq!(first(Opcode::Text, &[b'a'; 9]), 0x81);
    assert_eq!(first(Opcode::Text, &[b'a'; 10]), 0xc1);
    assert_eq!(first(Opcode::Ping, &[b'a'; 100]), 0x89);
    assert_eq!(first(Opcode::Close, &[3; 100]), 0x88);
    let mut encoder =
        MessageEncoder::new(Role::Server, &deflate.clone().threshold(0), agreed("permessage-deflate"));
    assert_eq!(encoded(&mut encoder, b""), b"\xc2\x01\x00");
    assert_eq!(client(b"\xc2\x01\x00", 100), [Seen::Binary(Vec::new())]);
    // Without context nothing is lost by sending what does not get smaller as it is.
    let alone = agreed("permessage-deflate; server_no_context_takeover");
    let mut encoder = MessageEncoder::new(Role::Server, &deflate, alone);
    assert_eq!(encoded(&mut encoder, &noise(100))[0], 0x82);
    let mut encoder = MessageEncoder::new(Role::Server, &deflate.threshold(0), alone);
    assert_eq!(encoded(&mut encoder, &noise(100))[0], 0xc2);
}

#[test]
fn with_context_a_message_that_came_before_costs_a_few_bytes_and_without_it_the_same_again() {
    let deflate = Deflate::new();
    let data = noise(1000);
    let sizes = |offer: &str| {
        let mut encoder = MessageEncoder::new(Role::Server, &deflate, agreed(offer));
        [0, 1].map(|_| encoded(&mut encoder, &data).len())
    };
    let [first, second] = sizes("permessage-deflate");
    assert!(first > 1000 && second < 50, "{first} {second}");
    assert_eq!(sizes("permessage-deflate; server_no_context_takeover"), [1004, 1004]);
    // A window of 256 bytes does not reach back so far.
    let [first, second] = sizes("permessage-deflate; server_max_window_bits=8");
    assert!(first > 1000 && second > 1000, "{first} {second}");
}

/// What is packed is often longer than the room that was made for it, and the machine then keeps a rest of it. So it does
/// with what it unpacks, of which it has 32 KiB at a time.
#[test]
fn long_messages_arrive_whole_however_small_they_get() {
    let noise = noise(400_000);
    for (level, bits) in [(0, 15), (1, 15), (6, 15), (1, 9)] {
        let deflate = Deflate::new().level(level);
        let mut agreed = agreed("permessage-deflate");
        agreed.server_max_window_bits = bits;
        let mut encoder = MessageEncoder::new(Role::Server, &deflate, agreed);
        let mut decoder = MessageDecoder::with_deflate(Role::Client, Limits::of_message(1 << 20), &deflate, agreed);
        // The fewer bits of a byte are noise, the smaller it gets: to nearly nothing, to a half, to more than there was.
        for (n, length) in (0..40).map(|n| (n, 1000 + n * 2_391)) {
            let mask = [0xff, 0, 0x7f, 0x3f, 0x01, 0x1f, 0x0f][n % 7];
            let message: Vec<u8> = noise[n * 7000..][..length].iter().map(|byte| byte & mask).collect();
            let packed = encoded(&mut encoder, &message);
            let mut seen = Vec::new();
            packed.chunks([packed.len(), 100, 4999][n % 3]).for_each(|part| feed(&mut decoder, part, &mut seen));
            assert!(seen == [Seen::Binary(message)], "{length} bytes, level {level}, a window of 2^{bits}");
        }
    }
}

/// Packed bytes may be used up before all that they are has come out, and it must not come out with the next message.
#[test]
fn a_message_has_its_own_end_wherever_the_machine_stands() {
    let deflate = Deflate::new().level(9);
    let agreed = agreed("permessage-deflate");
    let mut encoder = MessageEncoder::new(Role::Server, &deflate, agreed);
    let mut decoder = MessageDecoder::with_deflate(Role::Client, Limits::of_message(1 << 20), &deflate, agreed);
    for length in (32_500..33_100).step_by(7) {
        let message = vec![0; length];
        let mut seen = Vec::new();
        let packed = encoded(&mut encoder, &message);
        packed.chunks(length % 5 + 1).for_each(|part| feed(&mut decoder, part, &mut seen));
        assert!(seen == [Seen::Binary(message)], "{length}");
    }
}

/// The bytes of deflate blocks say how far back they refer: a decoder whose memory begins anew every 2^8 bytes would miss
/// what lies before. Blocks of their own refer to nothing, so each portion can be unpacked alone.
#[test]
fn a_small_window_is_kept_to() {
    let deflate = Deflate::new();
    let mut encoder =
        MessageEncoder::new(Role::Server, &deflate, agreed("permessage-deflate; server_max_window_bits=8"));
    let data = b"0123456789abcdef".repeat(64);
    let mut frame = encoded(&mut encoder, &data);
    assert_eq!(client(&frame, 2000), [Seen::Binary(data.clone())]);
    // Four portions of 256 bytes, each with a flush behind it.
    let body = frame.split_off(if frame[1] < 126 { 2 } else { 4 });
    let flushes = body.windows(4).filter(|four| four == b"\0\0\xff\xff").count();
    assert_eq!(flushes, 3);
    let mut rest = &body[..];
    while !rest.is_empty() {
        let end = rest.windows(4).position(|four| four == b"\0\0\xff\xff").map_or(rest.len(), |at| at + 4);
        assert_eq!(client(&packed(Opcode::Binary, &rest[..end]), 2000), [Seen::Binary(data[..256].to_vec())]);
        rest = &rest[end..];
    }
}

/// Sends back what comes, and notes it.
struct Echo {
    texts: Rc<RefCell<Vec<String>>>,
}

impl WebSocketProtocol for Echo {
    fn message_received(&mut self, _: &EventLoop, socket: &WebSocket, message: Message<'_>) -> Result<(), Failure> {
        if let Message::Text(text) = message {
            self.texts.borrow_mut().push(text.to_owned());
            socket.send_text(text)?;
        }
        Ok(())
    }
}

const ASK: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

#[test]
fn a_server_compresses_for_who_asks_and_for_nobody_else() {
    let test = MemoryLoop::new().unwrap();
    let texts = Rc::<RefCell<Vec<String>>>::default();
    let (sockets, own) = (WebSocketServer::new().deflate(Deflate::new()), texts.clone());
    let site = Server::new()
        .fallback(move |_, request| sockets.accept(&request, |_| Echo { texts: own.clone() }))
        .start(&test)
        .unwrap();
    let text = "a rope of many strands, ".repeat(20);
    let mut message = Vec::new();
    encode_frame(&mut message, Opcode::Text, true, text.as_bytes(), Some([1, 2, 3, 4]));

    let plain = test.connected(site.protocol(&Address::Memory));
    plain.send(format!("{ASK}\r\n"));
    assert!(!plain.text().contains("Sec-WebSocket-Extensions"));
    plain.clear();
    plain.send(&message);
    assert_eq!((plain.value()[0], plain.value().len()), (0x81, text.len() + 4));
    plain.clear();
    // Nothing was agreed upon.
    plain.send(b"\xc1\x81\0\0\0\0a");
    assert_eq!(&plain.value()[2..4], 1002u16.to_be_bytes());

    let asks = test.connected(site.protocol(&Address::Memory));
    asks.send(format!("{ASK}Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"));
    assert!(asks.text().contains("\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"), "{}", asks.text());
    asks.clear();
    asks.send(&message);
    let answer = asks.value();
    assert!(answer[0] == 0xc1 && answer.len() < 60, "{} bytes", answer.len());
    assert_eq!(client(&answer, 1000), [Seen::Text(text.clone())]);
    asks.clear();
    let mut encoder = MessageEncoder::new(Role::Client, &Deflate::new(), agreed("permessage-deflate"));
    let mut compressed = Vec::new();
    encoder.encode(&mut compressed, Opcode::Text, text.as_bytes(), Some([9, 8, 7, 6]));
    asks.send(compressed);
    assert_eq!(*texts.borrow(), [&text; 3].map(String::clone));

    let wrong = test.connected(site.protocol(&Address::Memory));
    wrong.send(format!("{ASK}Sec-WebSocket-Extensions: permessage-deflate; =\r\n\r\n"));
    assert!(wrong.text().starts_with("HTTP/1.1 400 "), "{}", wrong.text());
    for peer in [plain, asks, wrong] {
        peer.reset();
    }
    assert_eq!(site.connections(), 0);
    test.assert_clean();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_agreed_upon_messages_arrive_as_they_were(
        messages in prop::collection::vec(
            prop_oneof!["[a-c ]{0,400}".prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..300)], 0..6),
        offer in prop::sample::select(vec![
            "permessage-deflate", "permessage-deflate; client_no_context_takeover",
            "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
        ]),
        bits in 8u8..=15,
        level in 0u32..=9,
        size in 1usize..700,
    ) {
        let deflate = Deflate::new().level(level).threshold(0);
        let mut agreed = agreed(offer);
        agreed.client_max_window_bits = bits;
        let mut encoder = MessageEncoder::new(Role::Client, &deflate, agreed);
        let mut decoder = MessageDecoder::with_deflate(Role::Server, Limits::default(), &deflate, agreed);
        let mut out = Vec::new();
        for message in &messages {
            encoder.encode(&mut out, Opcode::Binary, message, Some([1, 20, 3, 40]));
        }
        let mut seen = Vec::new();
        out.chunks(size).for_each(|part| feed(&mut decoder, part, &mut seen));
        prop_assert_eq!(seen, messages.into_iter().map(Seen::Binary).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_give_the_same_however_they_are_cut(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        text in any::<bool>(),
        size in 1usize..50,
    ) {
        let frame = packed(if text { Opcode::Text } else { Opcode::Binary }, &bytes);
        prop_assert_eq!(in_pieces(&frame, 500, size), in_pieces(&frame, 500, usize::MAX));
    }
}
