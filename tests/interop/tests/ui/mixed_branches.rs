//! A callback whose branches give back different things.
use ropewalk::Deferred;

fn fetch(n: i32) -> Deferred<i32> {
    Deferred::succeed(n)
}

fn main() {
    let _ = Deferred::succeed(1).add_callback(|n| if n > 0 { fetch(n) } else { Ok(0) });
}
