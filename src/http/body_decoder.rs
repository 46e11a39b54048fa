//! A message's body out of bytes, however its length is said.

use super::chunked::ChunkedDecoder;
use super::error::{ParseError, Problem};
use super::framing::BodyLength;
use super::headers::Headers;
use super::limits::Limits;
use crate::protocols::Piece;

pub(super) enum BodyEvent<'p> {
    Data(&'p [u8]),
    End(Headers),
}

#[derive(Debug)]
pub(super) enum BodyDecoder {
    Exact { left: u64, length: u64 },
    Chunked(Box<ChunkedDecoder>),
    UntilClose(u64),
}

impl BodyDecoder {
    pub(super) fn new(length: BodyLength, lenient: bool) -> BodyDecoder {
        match length {
            BodyLength::Empty => BodyDecoder::Exact { left: 0, length: 0 },
            BodyLength::Exact(length) => BodyDecoder::Exact { left: length, length },
            BodyLength::Chunked => BodyDecoder::Chunked(Box::new(ChunkedDecoder::new(lenient))),
            BodyLength::UntilClose => BodyDecoder::UntilClose(0),
        }
    }

    /// Whether the end comes next, without another byte.
    #[cfg(feature = "http-client")]
    pub(super) fn is_at_end(&self) -> bool {
        matches!(self, BodyDecoder::Exact { left: 0, .. })
    }

    pub(super) fn next_event<'p>(
        &mut self,
        piece: &mut Piece<'p>,
        limits: &Limits,
    ) -> Result<Option<BodyEvent<'p>>, ParseError> {
        match self {
            BodyDecoder::Exact { left: 0, .. } => Ok(Some(BodyEvent::End(Headers::new()))),
            BodyDecoder::Exact { left, .. } => {
                let data = piece.take(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= data.len() as u64;
                Ok(Some(BodyEvent::Data(data)).filter(|_| !data.is_empty()))
            }
            BodyDecoder::Chunked(chunked) => chunked.next_event(piece, limits),
            BodyDecoder::UntilClose(offset) => {
                let data = piece.take(usize::MAX);
                *offset += data.len() as u64;
                Ok(Some(BodyEvent::Data(data)).filter(|_| !data.is_empty()))
            }
        }
    }

    /// The peer has closed. Only a body that ends with the connection is complete then.
    pub(super) fn end_of_data(&self) -> Result<(), ParseError> {
        match self {
            BodyDecoder::UntilClose(_) | BodyDecoder::Exact { left: 0, .. } => Ok(()),
            BodyDecoder::Exact { left, length } => Err(ParseError::body(Problem::UnexpectedEnd, length - left)),
            BodyDecoder::Chunked(chunked) => Err(chunked.unexpected_end()),
        }
    }
}
