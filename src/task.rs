//! Time and Deferreds together. Twisted's `twisted.internet.task`.
//!
//! | module | what it is |
//! |---|---|
//! | `timeout` | [`Deferred::add_timeout`](crate::Deferred::add_timeout) and [`TimeoutError`] |
//! | `later` | [`EventLoop::defer_later`](crate::EventLoop::defer_later) |
//! | `looping_call` | [`LoopingCall`]: again and again, on the beat |
//! | `backoff`, `retry` | [`Backoff`], [`Retry`]: another attempt after a while |
//! | `cooperator`, `work` | [`Cooperator`]: long work in slices |
//!
//! Whatever takes a loop here takes `&EventLoop`, `&Handle` or `Handle`: a loop on a test clock serves for tests.

mod backoff;
mod call;
mod cooperator;
mod later;
mod looping_call;
mod retry;
mod timeout;
mod work;

pub use backoff::{Backoff, Delays};
pub use cooperator::{CooperativeTask, Cooperator, TaskError};
pub use looping_call::{LoopingCall, NotRunning, StartError, Tick};
pub use retry::{Retry, RetryError};
pub use timeout::TimeoutError;
pub use work::WorkUnit;
