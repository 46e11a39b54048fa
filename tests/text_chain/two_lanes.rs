use ropewalk::{Deferred, Failure};

fn shout(text: &str) -> Result<String, Failure> {
    Ok(text.to_uppercase())
}

fn print(_text: String) -> Result<usize, Failure> {
    Err(Failure::msg("no paper"))
}

fn use_the_screen(_failure: Failure) -> Result<usize, Failure> {
    Ok(0)
}

pub(crate) fn program() {
    let (resolver, poem) = Deferred::new();
    let poem = poem.named("poem");
    let poem = poem.add_callback(shout);
    let poem = poem.add_callback(print);
    let poem = poem.map(|pages| pages + 1);
    let poem = poem.add_errback(use_the_screen);
    drop(poem);
    resolver.succeed("if I were");
}
