use ropewalk::Deferred;

pub(crate) fn program() {
    let (resolver, d) = Deferred::new();
    let d = d.named("slow").add_errback(|_| Ok("nothing"));
    d.cancel();
    resolver.succeed("too late");
    drop(d);
}
