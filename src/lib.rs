//! A callback-based event loop in the spirit of early Twisted.

#[cfg(not(unix))]
compile_error!("ropewalk runs on Unix systems. Windows is not supported: nobody has run it there yet.");

mod event_loop;
mod ground;
pub mod study;
pub mod testing;

pub use event_loop::{
    Builder, Closed, DelayedCall, EventLoop, Gone, Handle, InsertError, InsertReason, Interest, PanicPolicy, Phase,
    PoolError, PostError, Readiness, Registered, RegisteredKind, Remote, RemoteResolver, Removed, RunError, Sender,
    SourceId, SystemEvent, TestClock, TimerError, TriggerId, TriggerResult,
};
pub use event_loop::{fs, signals};
pub use ground::trace;
pub use ground::{
    AbandonedError, CallbackResult, CancelHandle, CancelledError, Deferred, Failure, PanicError, Resolver,
    UnhandledError, UnhandledHook, maybe_deferred, set_unhandled_hook,
};

/// The chapters of the book, whose code is compiled and run with the tests.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../docs/deferreds.md")]
    mod deferreds {}
    #[doc = include_str!("../docs/event-loop.md")]
    mod event_loop {}
    #[doc = include_str!("../docs/glass-case.md")]
    mod glass_case {}
}
