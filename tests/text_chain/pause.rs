use ropewalk::{Deferred, Failure, Resolver};
use std::cell::Cell;

thread_local! {
    static ENGINE: Cell<Option<Resolver<String>>> = const { Cell::new(None) };
}

fn try_to_cummingsify(_poem: &'static str) -> Deferred<String> {
    let (resolver, reply) = Deferred::new();
    ENGINE.set(Some(resolver));
    reply.named("cummingsify")
}

fn shout(poem: String) -> Result<String, Failure> {
    Ok(poem.to_uppercase())
}

fn keep_original(_failure: Failure) -> Result<String, Failure> {
    Ok("original poem".to_owned())
}

fn got_poem(_poem: String) -> Result<(), Failure> {
    Ok(())
}

fn poem_failed(_failure: Failure) -> Result<(), Failure> {
    Ok(())
}

fn count_lines(_poem: &str) -> Result<usize, Failure> {
    Err(Failure::msg("division by zero"))
}

pub(crate) fn program() {
    let (poem, d) = Deferred::new();
    d.named("get_poem")
        .add_callback(try_to_cummingsify)
        .add_callback(shout)
        .add_errback(keep_original)
        .add_callbacks(got_poem, poem_failed);
    let (audit, d) = Deferred::new();
    d.named("audit").add_callback(count_lines);
    poem.succeed("If I were...");
    audit.succeed("x");
    if let Some(engine) = ENGINE.take() {
        engine.fail(Failure::msg("engine down"));
    }
}
