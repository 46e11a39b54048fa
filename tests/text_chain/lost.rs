use ropewalk::{Deferred, Failure};

fn count_lines(_poem: &str) -> Result<usize, Failure> {
    Err(Failure::msg("division by zero"))
}

fn raise_another(_failure: Failure) -> Result<usize, Failure> {
    Err(Failure::msg("the spare is gone, too"))
}

pub(crate) fn program() {
    // With an errback that makes it worse.
    let (resolver, d) = Deferred::new();
    d.named("audit").add_callback(count_lines).add_errback(raise_another);
    resolver.succeed("x");
    // Made with it, and with no step at all.
    drop(Deferred::<()>::fail(Failure::msg("nobody wants me")));
    // Abandoned.
    let (resolver, d) = Deferred::<i32>::new();
    drop(d.map(|n| n + 1));
    drop(resolver);
    // A panic.
    drop(Deferred::succeed(1).map(|n| if n == 1 { panic!("one") } else { n }));
    // This one rests: somebody still has it.
    let rests = Deferred::<()>::fail(Failure::msg("in a struct"));
    std::mem::forget(rests);
    // And this one is taken out.
    drop(Deferred::<()>::fail(Failure::msg("looked at")).try_result());
}
