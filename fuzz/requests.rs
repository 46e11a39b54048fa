//! Any bytes as requests, whole and cut.
#![no_main]

#[path = "common.rs"]
mod common;

use libfuzzer_sys::fuzz_target;
use ropewalk::http::{Limits, encode_request_head};

fuzz_target!(|input: &[u8]| {
    let Some((data, size)) = common::pieces(input) else { return };
    let whole = common::requests(data, usize::MAX);
    assert_eq!(common::requests(data, size), whole);
    // What was read can be written and read again.
    for out in &whole {
        if let common::Out::Head(head) = out {
            assert!(head.headers.len() <= Limits::default().fields);
            let mut bytes = Vec::new();
            encode_request_head(head, &mut bytes);
            if bytes.len() <= 400 {
                let again = common::requests(&bytes, usize::MAX);
                assert!(matches!(&again[0], common::Out::Head(found) if found == head), "{again:?}");
            }
        }
    }
});
