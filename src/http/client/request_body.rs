//! The body of a request: bytes, or pieces that come while it is sent.

use std::cell::Cell;
use std::rc::Rc;

use crate::http::outgoing::Source;

#[derive(Clone)]
pub(super) enum RequestBody {
    Bytes(Rc<[u8]>),
    /// Clones share it: it can be sent once.
    Stream(Rc<Stream>),
}

pub(super) struct Stream {
    /// How long it is, if that is known; else it goes in chunks.
    pub(super) length: Option<u64>,
    source: Cell<Option<Source>>,
}

impl RequestBody {
    pub(super) fn stream(length: Option<u64>, source: Source) -> RequestBody {
        RequestBody::Stream(Rc::new(Stream { length, source: Cell::new(Some(source)) }))
    }

    /// How long it is; `None` goes in chunks.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            RequestBody::Bytes(bytes) => Some(bytes.len() as u64),
            RequestBody::Stream(stream) => stream.length,
        }
    }

    /// Whether it can be sent, for the first time or once more.
    pub(super) fn is_there(&self) -> bool {
        match self {
            RequestBody::Bytes(_) => true,
            RequestBody::Stream(stream) => {
                let source = stream.source.take();
                let is_there = source.is_some();
                stream.source.set(source);
                is_there
            }
        }
    }
}

impl Stream {
    pub(super) fn take(&self) -> Option<Source> {
        self.source.take()
    }
}
