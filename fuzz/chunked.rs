//! Any bytes as a chunked body, of a request and of a response, whole and cut.
#![no_main]

#[path = "common.rs"]
mod common;

use libfuzzer_sys::fuzz_target;
use ropewalk::http::Method;

fuzz_target!(|input: &[u8]| {
    let Some((data, size)) = common::pieces(input) else { return };
    let request = [b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", data].concat();
    assert_eq!(common::requests(&request, size), common::requests(&request, usize::MAX));
    let response = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", data].concat();
    let method = Method::Get;
    assert_eq!(common::response(&response, size, &method), common::response(&response, usize::MAX, &method));
});
