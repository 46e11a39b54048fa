//! Floor 2, the bridge: the same loop, driven by `async` and `await`.
//!
//! | module | what it is |
//! |---|---|
//! | `awaiting` | a Deferred as a future: [`DeferredFuture`] |
//! | `spawning` | a future as a Deferred: [`EventLoop::spawn`](crate::EventLoop::spawn), `block_on` |
//! | `given_up` | what is cancelled because a future was dropped, one after the other |
//!
//! The tasks and their wakers are the loop's own: `event_loop/tasks.rs`.

mod awaiting;
mod given_up;
mod spawning;

pub use awaiting::DeferredFuture;
