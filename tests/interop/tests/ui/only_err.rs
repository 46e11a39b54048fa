//! A callback that only ever fails: nothing says of what type its value would be.
use ropewalk::{Deferred, Failure};

fn main() {
    let _ = Deferred::succeed(1).add_callback(|_| Err(Failure::msg("no")));
}
