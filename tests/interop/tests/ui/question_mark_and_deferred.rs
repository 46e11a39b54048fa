//! A callback with a `?` that ends with a Deferred.
use ropewalk::Deferred;

fn fetch(n: i32) -> Deferred<i32> {
    Deferred::succeed(n)
}

fn main() {
    let _ = Deferred::succeed("1").add_callback(|text| {
        let n: i32 = text.parse()?;
        fetch(n)
    });
}
