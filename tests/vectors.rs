//! Recorded programs that ran on the real Twisted must run the same way here (see `tests/data/README.md`).

#[path = "../examples/replay/json.rs"]
mod json;
#[path = "../examples/replay/kinds.rs"]
mod kinds;
#[path = "../examples/replay/program.rs"]
mod program;
#[path = "../examples/replay/runner.rs"]
mod runner;
#[path = "../examples/replay/world.rs"]
mod world;

use runner::Verdict;

#[test]
fn programs_run_as_on_twisted() {
    let (mut passed, mut skipped, mut wrong) = (0, 0, Vec::new());
    for line in include_str!("data/deferred.jsonl").lines() {
        match runner::check(line) {
            Verdict::Passed => passed += 1,
            Verdict::Skipped => skipped += 1,
            Verdict::Failed { id, why } => wrong.push(format!("program {id}: {why}")),
        }
    }
    assert!(wrong.is_empty(), "{passed} passed, {} did not:\n{}", wrong.len(), wrong.join("\n"));
    // 2000 in all. See tests/data/README.md for what is skipped.
    assert_eq!((passed, skipped), (1985, 15));
}

#[test]
fn a_program_that_cannot_be_read_has_failed() {
    for line in [
        "not JSON",
        "7",
        r#"{"id":1,"ops":["#,
        r#"{"id":1,"expect":{}}"#,
        r#"{"id":1,"ops":[]}"#,
        r#"{"id":1,"ops":[{"op":"fly","d":0}],"expect":{"trace":[[]]}}"#,
        r#"{"id":1,"ops":[{"op":"new"}],"expect":{"trace":[[]]}}"#,
    ] {
        assert!(matches!(runner::check(line), Verdict::Failed { .. }), "{line}");
    }
}

#[test]
fn the_runner_sees_a_difference() {
    let program = |expect: &str| {
        let ops =
            r#"[{"op":"succeed","d":0,"v":1},{"op":"add","d":0,"step":{"kind":"cb","on":{"ret":{"raise":"E1"}}}}]"#;
        runner::check(&format!(r#"{{"id":1,"ops":{ops},"expect":{expect}}}"#))
    };
    let right = r#"{"trace":[[],[["step","0.0",1]]],"final":{"0":["failure","E1"]},"unhandled":[[0,"E1"]]}"#;
    assert!(matches!(program(right), Verdict::Passed));
    for (from, to) in [
        (r#""0.0",1"#, r#""0.0",2"#),
        (r#"[["step","0.0",1]]"#, "[]"),
        (r#"["failure","E1"]"#, r#"["value",1]"#),
        (r#"[[0,"E1"]]}"#, "[]}"),
    ] {
        assert!(matches!(program(&right.replace(from, to)), Verdict::Failed { .. }), "{from} for {to}");
    }
}
