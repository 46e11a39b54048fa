//! The library is built in floors: each folder of `src/` uses only those that are named here beside it.
//!
//! Read from the bottom up, the table is what a newcomer has to know: what a folder may not know is everything else.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder, with the file of its name, and what it may use. `trace` is a part of `ground`.
const FLOORS: [(&str, &[&str]); 12] = [
    // Deferreds and the trace. They need no loop.
    ("ground", &[]),
    ("family", &["ground"]),
    // One thread, many callbacks. No protocol, and nobody who awaits.
    ("event_loop", &["ground"]),
    ("task", &["ground", "event_loop"]),
    ("bridge", &["ground", "event_loop"]),
    // Connections. What is said over them is not known here.
    ("transports", &["ground", "event_loop"]),
    ("protocols", &["ground", "event_loop", "task", "transports"]),
    ("tls", &["ground", "event_loop", "transports"]),
    ("testing", &["ground", "event_loop", "transports"]),
    // Applications. They do not know who studies them.
    ("http", &["ground", "family", "event_loop", "task", "bridge", "transports", "protocols", "tls"]),
    ("websocket", &["ground", "family", "event_loop", "task", "bridge", "transports", "protocols", "tls", "http"]),
    // Reads traces, and nothing else.
    ("study", &["ground"]),
];

/// What the top of the crate lends: a function, so that the loop need not know the study.
const LENT: [(&str, &str); 1] = [("event_loop", "LOOP_IS_BUILT")];

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, files),
            false if path.extension().is_some_and(|end| end == "rs") => files.push(path),
            false => {}
        }
    }
}

/// The first words behind `crate::` in a line of code: one, or several in braces.
fn used(code: &str) -> Vec<&str> {
    let word = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let behind = &code[at + "crate::".len()..];
        match behind.strip_prefix('{') {
            None => found.push(&behind[..word(behind)]),
            Some(list) => {
                let list = list.split('}').next().unwrap_or_default();
                found.extend(list.split(',').map(|name| &name.trim()[..word(name.trim())]));
            }
        }
    }
    found
}

#[test]
fn each_folder_uses_only_the_floors_below_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in &files {
        let inside = file.strip_prefix(&root).unwrap();
        let top = Path::new(inside.iter().next().unwrap()).file_stem().unwrap().to_str().unwrap();
        if top == "lib" {
            continue;
        }
        let Some((_, allowed)) = FLOORS.iter().find(|(floor, _)| *floor == top) else {
            panic!("{}: a floor that this test does not know: say what it may use", inside.display());
        };
        for (n, line) in fs::read_to_string(file).unwrap().lines().enumerate() {
            for name in used(line.split("//").next().unwrap_or_default()) {
                let floor = if name == "trace" { "ground" } else { name };
                seen += 1;
                if floor != top && !allowed.contains(&floor) && !LENT.contains(&(top, name)) && !name.is_empty() {
                    wrong.push(format!("src/{}:{}: {top} uses {name}", inside.display(), n + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "not from a floor below:\n{}", wrong.join("\n"));
    assert!(seen > 300, "the uses are found: {seen}");
}

#[test]
fn a_use_is_found_however_it_is_written() {
    assert_eq!(used("use crate::http::{a, b};"), ["http"]);
    assert_eq!(used("use crate::{http::Body, trace};"), ["http", "trace"]);
    assert_eq!(used("fn f(a: crate::http::Body) -> crate::Failure {"), ["http", "Failure"]);
    assert_eq!(used("$crate::say!(\"\") mycrate::x"), [""; 0]);
}

#[test]
fn every_test_file_stands_in_the_list_of_which_test_holds_which_rule() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let list = fs::read_to_string(folder.join("README.md")).unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_test = path.extension().is_some_and(|end| end == "rs") || path.join("main.rs").exists();
        let family = name.split('_').next().unwrap();
        let listed = list.contains(&format!("`{name}`")) || list.contains(&format!("`{family}_*`"));
        assert!(!is_test || listed, "tests/README.md does not say which rules {name} holds");
    }
}

#[test]
fn unsafe_code_is_allowed_in_one_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let allowed: Vec<_> = files
        .iter()
        .filter(|file| fs::read_to_string(file).unwrap().contains("allow(unsafe_code)"))
        .map(|file| file.strip_prefix(&root).unwrap().display().to_string())
        .collect();
    assert_eq!(allowed, ["event_loop/registry.rs"]);
}
