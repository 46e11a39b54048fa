//! The exercise of each lesson: the page says which line to change, and what comes of it. Here both are held against the
//! program itself.
//!
//! Whether the change still fits is looked at with every `cargo test`. To compile and run the changed programs takes
//! longer: `cargo test --test lessons -- --ignored`, which `.ci/lessons` does.

use super::{LESSONS, page_of, root, story, texts};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The part of a page that is about the exercise.
fn exercise_of(name: &str) -> String {
    let page = page_of(name);
    let (_, exercise) = page.split_once("\n## Exercise\n").unwrap_or_else(|| panic!("{name} has an exercise"));
    exercise.to_owned()
}

/// One line, and what to put in its place.
struct Change {
    /// In the repository.
    file: String,
    old: String,
    new: String,
}

impl Change {
    /// What a page asks for: one line that goes and one that comes, of the lesson's file or of one that it names.
    fn of(name: &str) -> Change {
        let exercise = exercise_of(name);
        let (_, diff) = exercise.split_once("```diff\n").expect("it shows what to change");
        let (diff, _) = diff.split_once("```").expect("its block ends");
        let mut change = Change { file: source(name), old: String::new(), new: String::new() };
        for line in diff.lines() {
            if let Some(file) = line.strip_prefix("--- ") {
                change.file = Path::new(&change.file).with_file_name(file).to_str().unwrap().to_owned();
                continue;
            }
            let (sign, text) = line.split_at(1);
            let line = if sign == "-" { &mut change.old } else { &mut change.new };
            assert!("+-".contains(sign) && line.is_empty(), "{name}: one line goes and one comes, not {diff}");
            *line = format!("{text}\n");
        }
        change
    }

    fn apply(&self, text: &str) -> String {
        let found = text.matches(&self.old).count();
        assert_eq!(found, 1, "{} has this line once:\n{}", self.file, self.old);
        text.replacen(&self.old, &self.new, 1)
    }
}

/// The file of a lesson, in the repository.
fn source(name: &str) -> String {
    let places = [format!("lessons/{name}.rs"), format!("lessons/{name}/main.rs"), format!("{name}.rs")];
    let mut places = places.into_iter().map(|place| format!("examples/{place}"));
    places.find(|place| root().join(place).exists()).unwrap_or_else(|| panic!("{name} has a file"))
}

#[test]
fn each_exercise_changes_one_line_that_is_in_the_program() {
    for (name, _) in LESSONS {
        let change = Change::of(name);
        let text = fs::read_to_string(root().join(&change.file)).unwrap();
        assert_ne!(change.apply(&text), text);
        let head: String = text_of_head(name);
        assert!(head.contains("//! Exercise: "), "the head of {name} has the exercise in words");
        assert!(exercise_of(name).contains("<details>"), "the answer to {name} is folded away");
    }
}

fn text_of_head(name: &str) -> String {
    let text = fs::read_to_string(root().join(source(name))).unwrap();
    text.lines().take_while(|line| line.starts_with("//!")).map(|line| format!("{line}\n")).collect()
}

/// What the compiler is to be told of the libraries: it asks cargo, which has built them.
fn libraries() -> Vec<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--message-format=json", "--example", "02_by_hand"]).current_dir(root());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8(output.stdout).unwrap();
    let mut arguments = Vec::new();
    for library in ["ropewalk", "rustix"] {
        let file = messages.split('"').find(|text| {
            let name = Path::new(text).file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".rlib") && name.trim_start_matches("lib").starts_with(library)
        });
        let file = PathBuf::from(file.unwrap_or_else(|| panic!("cargo built {library}: {messages}")));
        arguments.extend(["--extern".to_owned(), format!("{library}={}", file.display())]);
        let folder = file.parent().unwrap();
        let folder = if folder.ends_with("deps") { folder.to_owned() } else { folder.join("deps") };
        arguments.extend(["-L".to_owned(), format!("dependency={}", folder.display())]);
    }
    arguments
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.as_ref().unwrap().file_name()));
        if from.is_dir() {
            copy(&from, &to)
        } else {
            let _ = fs::copy(from, to).unwrap();
        }
    }
}

#[test]
#[ignore = "compiles thirteen programs: .ci/lessons runs it"]
fn each_changed_program_does_what_its_page_says() {
    let libraries = libraries();
    let mut wrong = String::new();
    for (name, same) in LESSONS {
        let folder = super::Folder::new(&format!("exercise-{name}"));
        for part in ["lessons", "support"] {
            copy(&root().join("examples").join(part), &folder.0.join("examples").join(part));
        }
        fs::copy(root().join(source(name)), folder.0.join(source(name))).unwrap();
        let change = Change::of(name);
        let changed = change.apply(&fs::read_to_string(folder.0.join(&change.file)).unwrap());
        fs::write(folder.0.join(&change.file), changed).unwrap();
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.args(["--edition", "2024", "--crate-name", &format!("lesson_{name}"), "-C", "debuginfo=0"]);
        rustc.args(&libraries).arg(source(name)).args(["-o", name]);
        // A lesson that reads its own source reads that of the repository.
        let output = rustc.env("CARGO_MANIFEST_DIR", root()).current_dir(&folder.0).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let text = story(&folder.0.join(name), name, same, &folder.0);
        let exercise = exercise_of(name);
        let answers = texts(&exercise);
        assert!(!answers.is_empty(), "the answer to {name} shows something");
        for answer in answers.iter().filter(|answer| !text.contains(&***answer)) {
            wrong += &format!("{name}: the page says\n{answer}but the changed program says\n{text}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
