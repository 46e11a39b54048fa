//! A callback that gives back nothing.
use ropewalk::Deferred;

fn main() {
    let _ = Deferred::succeed(1).add_callback(|n| {
        println!("{n}");
    });
}
