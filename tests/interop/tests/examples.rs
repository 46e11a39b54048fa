//! The examples of this package, run to their end: what they print comes over real sockets.

use std::process::Command;

/// What the example prints. `cargo test` has built it; for a single test it may have to be built first.
fn output(name: &str) -> String {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(|deps| deps.parent()).unwrap().join("examples").join(name);
    if !path.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "--quiet", "--example", name]).status();
        assert!(built.unwrap().success());
    }
    let output = Command::new(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn hyper_serves_and_fetches() {
    let text = output("hyper_on_ropewalk");
    for line in
        ["200 OK: see /poem", "200 OK: If I were a poem, I would come late", "404 Not Found: there is nothing here"]
    {
        assert!(text.contains(line), "{text}");
    }
    assert!(text.ends_with("3 requests in all\n"), "{text}");
}

#[test]
fn async_tungstenite_echoes_and_talks() {
    let text = output("websocket_on_ropewalk");
    for name in ["one", "two", "three"] {
        assert!(text.contains(&format!("101 Switching Protocols: If I were {name}\n")), "{text}");
    }
}

#[test]
fn futures_select_join_and_pass_on() {
    let text = output("futures_on_ropewalk");
    assert!(text.starts_with("nobody waits for the epic any longer\n"), "{text}");
    for n in 1..=5 {
        assert!(text.contains(&format!("\npoem {n}\n")), "{text}");
    }
    assert!(text.ends_with("a reader on a thread got 5 poems\n"), "{text}");
}
