//! Compressed bodies, unpacked block by block: what a few bytes grow to is never there as a whole.

use std::io::Write;

use flate2::write::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

use super::problem::ClientProblem;
use crate::http::headers::Headers;

/// So much of the input is unpacked in one go. A byte grows to about a thousand at most, so a block is 256 KiB at most.
const AT_ONCE: usize = 256;

/// How large a block of the deflate format is.
const BLOCK: usize = 32 * 1024;

enum Kind {
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    /// What "deflate" is, zlib's format or the bare one, is seen by its first byte: servers send both.
    Unclear,
    Deflate {
        machine: Box<Decompress>,
        ended: bool,
    },
}

pub(super) struct Inflate {
    kind: Kind,
    /// Compressed bytes that came, and how many of them were used.
    input: Vec<u8>,
    used: usize,
    /// The machine may have more, of what it was given.
    more: bool,
    /// Whether anything came at all.
    any: bool,
}

fn broken(why: impl ToString) -> ClientProblem {
    ClientProblem::Compressed(why.to_string())
}

impl Inflate {
    /// For a body with these header fields; `None` if it is not compressed.
    pub(super) fn of(headers: &Headers) -> Result<Option<Inflate>, ClientProblem> {
        let named = |name: &&str| !name.eq_ignore_ascii_case("identity");
        let mut codings = headers.list("Content-Encoding").filter(named);
        let Some(coding) = codings.next() else { return Ok(None) };
        let unknown = |name: &str| {
            // A server says this, so there is a bound.
            ClientProblem::ContentEncoding(name.chars().take(100).collect::<String>().escape_debug().to_string())
        };
        if let Some(second) = codings.next() {
            return Err(unknown(&format!("{coding}, {second}")));
        }
        let kind = match coding.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Kind::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            "deflate" => Kind::Unclear,
            _ => return Err(unknown(coding)),
        };
        Ok(Some(Inflate { kind, input: Vec::new(), used: 0, more: false, any: false }))
    }

    /// Compressed bytes came.
    pub(super) fn feed(&mut self, data: &[u8]) {
        self.any = true;
        self.input.drain(..self.used);
        self.used = 0;
        self.input.extend_from_slice(data);
    }

    /// Whether something is still to be unpacked.
    pub(super) fn is_waiting(&self) -> bool {
        self.used < self.input.len() || self.more
    }

    /// The next block of what the bytes that came are unpacked. `None`: more must come.
    pub(super) fn next_block(&mut self) -> Option<Result<Vec<u8>, ClientProblem>> {
        while self.is_waiting() {
            match self.step() {
                Err(problem) => return Some(Err(problem)),
                Ok(block) if block.is_empty() => {}
                Ok(block) => return Some(Ok(block)),
            }
        }
        None
    }

    fn step(&mut self) -> Result<Vec<u8>, ClientProblem> {
        let rest = &self.input[self.used..];
        let some = &rest[..rest.len().min(AT_ONCE)];
        if let (Kind::Unclear, Some(first)) = (&self.kind, some.first()) {
            let zlib = first & 0x0f == 8 && first >> 4 <= 7;
            self.kind = Kind::Deflate { machine: Box::new(Decompress::new(zlib)), ended: false };
        }
        match &mut self.kind {
            Kind::Gzip(decoder) => {
                let used = decoder.write(some).map_err(broken)?;
                // Else the last of it would stay inside until more comes.
                decoder.flush().map_err(broken)?;
                if used == 0 {
                    return Err(broken("bytes behind its end"));
                }
                self.used += used;
                Ok(std::mem::take(decoder.get_mut()))
            }
            Kind::Deflate { ended: true, .. } => Err(broken("bytes behind its end")),
            Kind::Deflate { machine, ended } => {
                let (before, mut block) = (machine.total_in(), Vec::with_capacity(BLOCK));
                let status = machine.decompress_vec(some, &mut block, FlushDecompress::None).map_err(broken)?;
                let used = (machine.total_in() - before) as usize;
                *ended = status == Status::StreamEnd;
                self.used += used;
                self.more = !*ended && (used > 0 || !block.is_empty());
                if used == 0 && block.is_empty() && !some.is_empty() && !*ended {
                    return Err(broken("it makes no sense"));
                }
                Ok(block)
            }
            Kind::Unclear => Ok(Vec::new()),
        }
    }

    /// The body is over, and all blocks were taken.
    pub(super) fn finish(self) -> Result<(), ClientProblem> {
        match self.kind {
            // Some servers say so of a body without a byte.
            _ if !self.any => Ok(()),
            Kind::Gzip(decoder) => decoder.finish().map(|_| ()).map_err(broken),
            Kind::Deflate { ended: true, .. } => Ok(()),
            Kind::Deflate { .. } | Kind::Unclear => Err(broken("it ends too early")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zlib(data: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(data).unwrap();
        packer.finish().unwrap()
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(data).unwrap();
        packer.finish().unwrap()
    }

    /// Packed bytes may be used up before all that they are has come out: the machine gives 32 KiB at a time.
    #[test]
    fn a_body_comes_out_whole_wherever_the_machine_stands() {
        for (coding, pack) in [("deflate", zlib as fn(&[u8]) -> Vec<u8>), ("gzip", gzip)] {
            let mut headers = Headers::new();
            headers.append("Content-Encoding", coding).unwrap();
            for length in (65_000..66_600).step_by(3) {
                let mut inflate = Inflate::of(&headers).unwrap().unwrap();
                let mut unpacked = 0;
                for piece in pack(&vec![0; length]).chunks(length % 7 + 1) {
                    inflate.feed(piece);
                    while let Some(block) = inflate.next_block() {
                        unpacked += block.unwrap().len();
                    }
                }
                assert_eq!(unpacked, length, "{coding}");
                inflate.finish().unwrap();
            }
        }
    }
}
