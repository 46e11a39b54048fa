//! Floor 2 beside the bridge: time and Deferreds together. Twisted's `twisted.internet.task`.
//!
//! | module | what it is |
//! |---|---|
//! | `timeout` | [`Deferred::add_timeout`](crate::Deferred::add_timeout) and [`TimeoutError`] |
//! | `later` | [`EventLoop::defer_later`](crate::EventLoop::defer_later) |
//! | `looping_call` | [`LoopingCall`]: again and again, on the beat |
//!
//! Whatever takes a loop here takes `&EventLoop`, `&Handle` or `Handle`: a loop on a test clock serves for tests.

mod call;
mod later;
mod looping_call;
mod timeout;

pub use looping_call::{LoopingCall, NotRunning, StartError, Tick};
pub use timeout::TimeoutError;
