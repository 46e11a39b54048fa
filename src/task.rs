//! Floor 2 beside the bridge: time and Deferreds together. Twisted's `twisted.internet.task`.
//!
//! | module | what it is |
//! |---|---|
//! | `timeout` | [`Deferred::add_timeout`](crate::Deferred::add_timeout) and [`TimeoutError`] |
//! | `later` | [`EventLoop::defer_later`](crate::EventLoop::defer_later) |
//!
//! Whatever takes a loop here takes `&EventLoop`, `&Handle` or `Handle`: a loop on a test clock serves for tests.

mod later;
mod timeout;

pub use timeout::TimeoutError;
