use ropewalk::Deferred;

pub(crate) fn program() {
    let (resolver, d) = Deferred::new();
    d.named("fire and forget").map(|n| n + 1);
    resolver.succeed(1);
    let (resolver, d) = Deferred::<i32>::new();
    d.named("for ever").map(|n| n + 1).add_errback(|_| Ok(0)).add_callbacks(|_| Ok(()), |_| Ok(()));
    std::mem::forget(resolver);
}
