//! The comparison of the models: its figures come from the run, so another load has other figures.

use std::path::PathBuf;
use std::process::Command;

/// The example, which `cargo test` has built; for a single test it may have to be built first.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(|deps| deps.parent()).unwrap().join("examples/models");
    if !path.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "--quiet", "--example", "models"]).status();
        assert!(built.unwrap().success());
    }
    path
}

/// The figures of a row, one for each model.
fn row(table: &str, name: &str) -> [f64; 4] {
    let line = table.lines().find_map(|line| line.trim_start().strip_prefix(name)).unwrap_or_else(|| {
        panic!("no row {name} in\n{table}");
    });
    let cells: Vec<_> = line.split_whitespace().map(|cell| cell.parse().unwrap_or(f64::NAN)).collect();
    cells.try_into().unwrap()
}

#[test]
fn another_load_has_other_figures_and_each_model_those_that_it_has_to_have() {
    let table = |n: &str| {
        let output = Command::new(example()).arg(n).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    // They wait more than they work.
    let (few, many) = std::thread::scope(|scope| {
        let few = scope.spawn(|| table("3"));
        let many = table("30");
        (few.join().unwrap(), many)
    });
    assert_eq!(row(&few, "lines of code"), row(&many, "lines of code"));
    // The broken server is in the middle of an even number.
    assert_eq!(row(&few, "poems that came"), [3.0; 4]);
    assert_eq!(row(&many, "poems that came"), [29.0; 4]);
    let grown = |name: &str| {
        let (few, many) = (row(&few, name), row(&many, name));
        [0, 1, 2, 3].map(|model| many[model] - few[model])
    };
    let callbacks = grown("callbacks of the loop");
    assert_eq!(callbacks[0], 0.0, "blocking has no loop");
    assert!(callbacks[1..].iter().all(|more| *more >= 27.0), "{callbacks:?}");
    let steps = grown("steps of Deferreds");
    assert!(steps[1] >= 27.0 && steps[2] >= 54.0, "{steps:?}");
    let polls = grown("polls of tasks");
    assert!(polls[..3] == [0.0; 3] && polls[3] >= 54.0, "{polls:?}");
    assert_eq!(grown("threads")[0], 27.0);
    assert!(row(&many, "to cancel one in flight, us").iter().all(|cost| *cost > 0.0));
    assert!(row(&many, "allocations for each fetch").iter().all(|count| *count > 1.0));
    assert!(many.contains("job.rs:"), "the line at which the error was raised");
    assert!(many.lines().all(|line| line.len() <= 80), "it fits a terminal");
}

#[test]
fn what_cannot_be_measured_is_refused_with_the_reason() {
    let refused = |n: &str| {
        let output = Command::new(example()).arg(n).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused("0").contains("1 at least"));
    // More than any system's limit.
    let error = refused("4000000000");
    assert!(error.contains("needs 4000000100 open files") && error.contains("ulimit -n"), "{error}");
}
