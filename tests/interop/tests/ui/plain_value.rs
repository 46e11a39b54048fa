//! A callback that gives back a plain value.
use ropewalk::Deferred;

fn main() {
    let _ = Deferred::succeed(1).add_callback(|n| n + 1);
}
