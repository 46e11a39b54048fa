//! What was written and is not sent yet.

/// Bytes in, bytes out at the other end. Made only while there is something to send.
#[derive(Default)]
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    /// How many of them are sent.
    start: usize,
}

/// When so much at the front is sent, it is worth moving the rest; half of it at least is, so each byte moves once.
const COMPACT: usize = 64 * 1024;

impl From<Vec<u8>> for Outgoing {
    fn from(bytes: Vec<u8>) -> Outgoing {
        Outgoing { bytes, start: 0 }
    }
}

impl Outgoing {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    #[inline]
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    #[inline]
    pub(crate) fn push(&mut self, data: &[u8]) {
        self.bytes.extend_from_slice(data);
    }

    /// `n` more bytes are sent.
    #[inline]
    pub(crate) fn advance(&mut self, n: usize) {
        self.start += n;
        if self.start == self.bytes.len() {
            self.clear();
        } else if self.start >= COMPACT && self.start >= self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }

    /// Whether it has no memory of its own.
    pub(crate) fn is_unused(&self) -> bool {
        self.bytes.capacity() == 0
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order_whatever_the_portions() {
        let mut out = Outgoing::default();
        let (mut put, mut got, mut state) = (0u32, Vec::new(), 7u64);
        while got.len() < 1_000_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let n = (state >> 33) as usize % 90_000;
            if state >> 63 == 0 {
                let data: Vec<u8> = (put..put + n as u32).map(|i| i as u8).collect();
                put += n as u32;
                out.push(&data);
            } else {
                let n = n.min(out.len());
                got.extend_from_slice(&out.rest()[..n]);
                out.advance(n);
            }
        }
        assert!(got.iter().enumerate().all(|(i, &byte)| byte == i as u8));
        assert_eq!(got.len() + out.len(), put as usize);
    }

    #[test]
    fn a_buffer_that_is_never_empty_does_not_grow_for_ever() {
        let mut out = Outgoing::default();
        out.push(&[0; 1000]);
        for _ in 0..100_000 {
            out.push(&[0; 1000]);
            out.advance(1000);
        }
        assert!(out.capacity() < 4 * COMPACT, "{}", out.capacity());
    }
}
