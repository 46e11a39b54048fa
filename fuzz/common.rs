//! What every target does: decode bytes whole, and again cut into pieces, and hold the two against each other.

#![allow(dead_code)] // Each target takes what it needs.

use ropewalk::http::{Event, Headers, Limits, Method, ParseError, RequestDecoder, RequestHead, ResponseDecoder, ResponseHead};
use ropewalk::protocols::Piece;

#[derive(Debug, PartialEq, Eq)]
pub enum Out<H> {
    Head(H),
    Data(Vec<u8>),
    End(Headers),
    Failed(ParseError),
}

fn note<H>(out: &mut Vec<Out<H>>, event: Event<'_, H>) {
    match event {
        Event::Head(head) => out.push(Out::Head(head)),
        Event::Data(data) => {
            assert!(!data.is_empty());
            match out.last_mut() {
                Some(Out::Data(before)) => before.extend_from_slice(data),
                _ => out.push(Out::Data(data.to_vec())),
            }
        }
        Event::End(trailers) => out.push(Out::End(trailers)),
        _ => {}
    }
}

/// Small, so that the limits are met.
fn limits() -> Limits {
    let mut limits = Limits::default();
    (limits.head, limits.target, limits.fields, limits.chunk_line, limits.trailers) = (400, 60, 6, 24, 100);
    limits
}

/// Takes the size of the pieces off the input's front.
pub fn pieces(input: &[u8]) -> Option<(&[u8], usize)> {
    let (&size, rest) = input.split_first()?;
    Some((rest, usize::from(size % 32) + 1))
}

pub fn requests(data: &[u8], size: usize) -> Vec<Out<RequestHead>> {
    let (mut decoder, mut out) = (RequestDecoder::new(limits()), Vec::new());
    for part in data.chunks(size) {
        let mut piece = Piece::new(part);
        loop {
            match decoder.next_event(&mut piece) {
                Ok(Some(event)) => note(&mut out, event),
                Ok(None) => break assert!(piece.rest().is_empty()),
                Err(error) => {
                    out.push(Out::Failed(error));
                    return out;
                }
            }
        }
    }
    if let Err(error) = decoder.end_of_data() {
        out.push(Out::Failed(error));
    }
    out
}

/// One response, and how many bytes of the input are behind it.
pub fn response(data: &[u8], size: usize, method: &Method) -> (Vec<Out<ResponseHead>>, usize) {
    let (mut decoder, mut out, mut used) = (ResponseDecoder::new(limits(), method), Vec::new(), 0);
    for part in data.chunks(size) {
        let mut piece = Piece::new(part);
        loop {
            match decoder.next_event(&mut piece) {
                Ok(Some(event)) => note(&mut out, event),
                Ok(None) => break,
                Err(error) => {
                    out.push(Out::Failed(error));
                    return (out, 0);
                }
            }
        }
        used += part.len() - piece.rest().len();
        if decoder.is_over() {
            break;
        }
    }
    match decoder.end_of_data() {
        Ok(Some(event)) => note(&mut out, event),
        Ok(None) => {}
        Err(error) => out.push(Out::Failed(error)),
    }
    (out, data.len() - used)
}
