//! A callback that gives back a result with another error.
use ropewalk::Deferred;

fn main() {
    let _ = Deferred::succeed("1").add_callback(|text| text.parse::<i32>());
}
