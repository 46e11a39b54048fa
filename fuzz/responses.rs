//! Any bytes as a response, whole and cut.
#![no_main]

#[path = "common.rs"]
mod common;

use libfuzzer_sys::fuzz_target;
use ropewalk::http::Method;

fuzz_target!(|input: &[u8]| {
    let Some((data, size)) = common::pieces(input) else { return };
    for method in [Method::Get, Method::Head, Method::Connect] {
        assert_eq!(common::response(data, size, &method), common::response(data, usize::MAX, &method));
    }
});
