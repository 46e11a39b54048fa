//! A callback-based event loop in the spirit of early Twisted.

#[cfg(not(unix))]
compile_error!("ropewalk runs on Unix systems. Windows is not supported: nobody has run it there yet.");

mod ground;
pub mod testing;

pub use ground::trace;
pub use ground::{
    AbandonedError, CallbackResult, CancelHandle, CancelledError, Deferred, Failure, PanicError, Resolver,
    UnhandledError, UnhandledHook, maybe_deferred, set_unhandled_hook,
};
