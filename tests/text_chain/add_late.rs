use ropewalk::{Deferred, Failure};

fn double(n: i32) -> Result<i32, Failure> {
    Ok(n * 2)
}

pub(crate) fn program() {
    let d = Deferred::succeed(20).named("known");
    let d = d.add_callback(double);
    let d = d.add_errback(|_| Ok(0));
    drop(d.add_both(|result| result.map(|n| n + 2)));
}
