//! Floor 0, the ground: what needs no event loop.

pub mod trace;
