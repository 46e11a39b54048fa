//! Any bytes as frames, on either side, with and without compression, whole and cut.
#![no_main]

#[path = "common.rs"]
mod common;

use libfuzzer_sys::fuzz_target;
use ropewalk::http::Headers;
use ropewalk::protocols::Piece;
use ropewalk::websocket::{Close, Deflate, Event, FrameError, Limits, MessageDecoder, Role};

#[derive(Debug, PartialEq, Eq)]
enum Out {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Close),
    Failed(FrameError),
}

/// Small, so that the limits are met.
const LARGEST: u64 = 1000;

fn events(data: &[u8], size: usize, role: Role, deflate: Option<&Deflate>) -> Vec<Out> {
    let limits = Limits::of_message(LARGEST);
    let mut decoder = match deflate {
        Some(deflate) => {
            let mut offer = Headers::new();
            offer.append("Sec-WebSocket-Extensions", deflate.offer()).unwrap();
            let agreed = deflate.accept(&offer).unwrap().unwrap();
            MessageDecoder::with_deflate(role, limits, deflate, agreed)
        }
        None => MessageDecoder::new(role, limits),
    };
    let mut out = Vec::new();
    for part in data.chunks(size) {
        let mut piece = Piece::new(part);
        loop {
            out.push(match decoder.next_event(&mut piece) {
                Ok(None) => break,
                Ok(Some(Event::Text(text))) => Out::Text(text.to_owned()),
                Ok(Some(Event::Binary(data))) => Out::Binary(data.to_vec()),
                Ok(Some(Event::Ping(data))) => Out::Ping(data.to_vec()),
                Ok(Some(Event::Pong(data))) => Out::Pong(data.to_vec()),
                Ok(Some(Event::Close(close))) => Out::Close(close),
                Ok(Some(_)) => continue,
                Err(error) => {
                    out.push(Out::Failed(error));
                    return out;
                }
            });
        }
        assert!(piece.rest().is_empty());
    }
    for one in &out {
        let (length, largest) = match one {
            Out::Text(text) => (text.len(), LARGEST),
            Out::Binary(data) => (data.len(), LARGEST),
            Out::Ping(data) | Out::Pong(data) => (data.len(), 125),
            Out::Close(close) => (close.reason.len(), 123),
            Out::Failed(_) => (0, 0),
        };
        assert!(length as u64 <= largest);
    }
    out
}

fuzz_target!(|input: &[u8]| {
    let Some((&flags, input)) = input.split_first() else { return };
    let Some((data, size)) = common::pieces(input) else { return };
    let role = if flags & 1 == 0 { Role::Client } else { Role::Server };
    let deflate = match flags & 6 {
        0 => None,
        2 => Some(Deflate::new()),
        _ => Some(Deflate::new().no_context_takeover()),
    };
    let deflate = deflate.as_ref();
    assert_eq!(events(data, size, role, deflate), events(data, usize::MAX, role, deflate));
});
