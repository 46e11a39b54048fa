//! A callback-based event loop in the spirit of early Twisted.

#[cfg(not(unix))]
compile_error!(
    "ropewalk runs on Unix systems. Windows is not supported: nobody has run it there yet."
);

mod ground;

pub use ground::trace;
