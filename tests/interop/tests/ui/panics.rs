//! A callback that never gives back anything.
use ropewalk::Deferred;

fn main() {
    let _ = Deferred::succeed(1).add_errback(|failure| panic!("cannot happen: {failure}"));
}
