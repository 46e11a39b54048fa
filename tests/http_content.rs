//! What is in a response's body: unpacked, decoded by its charset, and never more than was allowed.
#![cfg(feature = "http-client")]

#[path = "support/bad_server.rs"]
mod bad_server;
#[path = "support/client.rs"]
mod client;

use bad_server::*;
use client::{error, turn_until};

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use ropewalk::EventLoop;
use ropewalk::http::{self, BodyTooLarge, ClientPhase, ClientRequest};
fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn packed(coding: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[test]
fn compressed_bodies_are_unpacked_and_broken_ones_are_errors() {
    let data: Vec<u8> = (0..300_000u32).flat_map(|i| (i / 7).to_le_bytes()).take(1_000_000).collect();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(&data).unwrap();
    let zlib = zlib.finish().unwrap();
    let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    bare.write_all(&data).unwrap();
    let bare = bare.finish().unwrap();
    let two = [gzip(&data[..1000]), gzip(&data[1000..])].concat();
    for (coding, body) in [
        ("gzip", gzip(&data)),
        ("x-gzip", gzip(&data)),
        ("GZIP", two),
        ("deflate", zlib.clone()),
        ("deflate", bare.clone()),
        ("identity", data.clone()),
    ] {
        let event_loop = EventLoop::new().unwrap();
        let (_port, url, _) = bad(&event_loop, Act::Say(packed(coding, &body)));
        assert!(whole(&event_loop, ClientRequest::get(url)).unwrap().1 == data, "{coding}");
    }
    let cut = |body: &[u8]| body[..body.len() - 3].to_vec();
    let with_more = |mut body: Vec<u8>| {
        body.extend_from_slice(b"more");
        body
    };
    let mut wrong_sum = gzip(&data);
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 1;
    for (coding, body) in [
        ("gzip", cut(&gzip(&data))),
        ("gzip", gzip(&data)[..5].to_vec()),
        ("gzip", wrong_sum),
        ("gzip", with_more(gzip(&data))),
        ("deflate", cut(&zlib)),
        ("deflate", cut(&bare)),
        ("deflate", with_more(zlib)),
        ("deflate", vec![0xff; 100]),
    ] {
        let event_loop = EventLoop::new().unwrap();
        let (_port, url, _) = bad(&event_loop, Act::Say(packed(coding, &body)));
        let (phase, text) = error(whole(&event_loop, ClientRequest::get(url)));
        assert_eq!(phase, ClientPhase::Body, "{coding}: {text}");
        assert!(text.contains("cannot be unpacked"), "{text}");
    }
}

#[test]
fn a_bomb_does_not_grow_beyond_its_limit_nor_all_at_once() {
    // A gigabyte would take long to pack: this one is 20 MB in 20 KB.
    let bomb = gzip(&vec![0; 20_000_000]);
    let event_loop = EventLoop::new().unwrap();
    let (_port, url, log) = bad(&event_loop, Act::Say(packed("gzip", &bomb)));
    let failure = whole(&event_loop, ClientRequest::get(&url)).unwrap_err();
    assert!(failure.find::<BodyTooLarge>().is_some(), "{failure:?}");
    let limited = ClientRequest::get(&url).max_body(1_000_000).send(&event_loop).add_callback(|mut response| {
        let most = Rc::new(Cell::new(0));
        let seen = most.clone();
        let read = response.take_body().for_each(move |piece| {
            seen.set(seen.get() + piece.len());
            Ok(())
        });
        read.add_both(move |result| Ok((result.is_err(), most.get())))
    });
    let (failed, read) = event_loop.run_until(limited).unwrap();
    assert!(failed && read <= 1_000_000);
    // Nobody reads: it stays packed.
    let held = ClientRequest::get(&url).max_body(u64::MAX).send(&event_loop);
    let response = event_loop.run_until(held).unwrap();
    for _ in 0..100 {
        event_loop.turn(Some(Duration::ZERO)).unwrap();
    }
    let waiting = format!("{response:?}");
    let waiting: usize = waiting.rsplit_once("waiting: ").unwrap().1.trim_matches([' ', '}', ',']).parse().unwrap();
    assert!(waiting > 0 && waiting < 1 << 20, "{waiting} bytes wait");
    drop(response);
    turn_until(&event_loop, || log.open.get() == 0);
}

#[test]
fn text_is_decoded_by_its_charset_and_never_fails() {
    for (kind, body, expected) in [
        ("text/plain; charset=ISO-8859-1", &b"caf\xe9"[..], "café"),
        ("text/plain; charset=\"utf-8\"", "café".as_bytes(), "café"),
        ("text/plain; charset=shift_jis", b"\x93\xfa\x96\x7b", "日本"),
        ("text/plain; charset=nobody-knows", "café".as_bytes(), "café"),
        ("text/plain", b"caf\xe9", "caf\u{fffd}"),
        ("text/plain; charset=utf-8", b"\xff\xfeh\0i\0", "hi"),
    ] {
        let event_loop = EventLoop::new().unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
        let (_port, url, _) = bad(&event_loop, Act::Say([head.as_bytes(), body].concat()));
        let text = http::get(&event_loop, url).add_callback(|response| response.text(100));
        assert_eq!(event_loop.run_until(text).unwrap(), expected, "{kind}");
    }
}
