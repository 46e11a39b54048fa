//! Each lesson is run as its reader runs it: what it prints, and the chains that its trace draws, are kept here. Its page
//! in the book shows parts of that.
//!
//! `SNAPSHOTS=write cargo test --test lessons` writes those files anew.

mod difficulties;
mod exercises;

use ropewalk::study::text_chain;
use ropewalk::trace::{Kind, Trace};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// The example, which `cargo test` has built; for a single test it may have to be built first.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(|deps| deps.parent()).unwrap().join("examples").join(name);
    if !is_fresh(&path) {
        let built = Command::new(env!("CARGO")).args(["build", "--quiet", "--example", name]).status();
        assert!(built.unwrap().success());
    }
    path
}

/// Whether a program is there and no file that it was made of is newer. Cargo notes these files beside it.
fn is_fresh(program: &Path) -> bool {
    let built = |path: &Path| path.metadata()?.modified();
    let Ok(own) = built(program) else { return false };
    let note = std::fs::read_to_string(program.with_extension("d")).unwrap_or_default();
    let files = note.split_once(": ").map_or("", |(_, files)| files).split_whitespace();
    files.map(Path::new).all(|file| built(file).is_ok_and(|time| time <= own))
}

/// The package's folder, where the lessons find their sources.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a lesson in `folder`.
fn run(program: &Path, ropewalk: &str, folder: &Path) -> Output {
    let mut command = Command::new(program);
    command.current_dir(folder).env("ROPEWALK", ropewalk).env("RUST_BACKTRACE", "0");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{program:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A folder of its own, which is gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        // Two tests run the same lesson at a time.
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        let (process, n) = (std::process::id(), FOLDERS.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lesson-{name}-{process}-{n}"));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How much of a run is the same each time.
#[derive(Clone, Copy, PartialEq)]
enum Same {
    /// All of the trace, byte for byte.
    Trace,
    /// The chains: there are threads, or the real clock.
    Chains,
}

/// What a lesson prints, and the chains of its trace. Run in `folder`, and recorded twice.
fn story(program: &Path, name: &str, same: Same, folder: &Path) -> String {
    let scratch = Folder::new(name);
    let plain = run(program, "", folder);
    let recorded = |file: &str| {
        let path = scratch.0.join(file);
        let output = run(program, &format!("trace={},stable", path.display()), folder);
        assert_eq!(output.stdout, plain.stdout, "{name}: recording changes nothing");
        std::fs::read(path).unwrap()
    };
    let (one, two) = (recorded("one"), recorded("two"));
    assert!(same != Same::Trace || one == two, "{name}: two runs give the same trace, byte for byte");
    let trace = Trace::read_json(&one[..]).unwrap();
    let asks = trace.events().filter(|event| matches!(event.kind, Kind::Ask { .. })).count();
    assert_eq!(asks, 1, "{name} asks one question");
    let chains = text_chain(&trace).stable().to_string();
    assert_eq!(chains, text_chain(&Trace::read_json(&two[..]).unwrap()).stable().to_string());
    let [stdout, stderr] = [plain.stdout, plain.stderr].map(|text| String::from_utf8(text).unwrap());
    for line in stdout.lines().chain(stderr.lines()) {
        assert!(line.chars().count() <= 80, "{name}: wider than a terminal of 80 columns: {line}");
    }
    let mut text = stdout;
    for (title, part) in [("standard error", stderr), ("chains", chains)] {
        if !part.is_empty() {
            text += &format!("\n---- {title}\n{part}");
        }
    }
    text
}

/// The page of a lesson in the book.
fn page_of(name: &str) -> String {
    let page = root().join(format!("docs/lessons/{}.md", &name[..2]));
    std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{page:?}: {error}"))
}

/// The blocks of a page that show what a program prints or draws.
fn texts(page: &str) -> Vec<&str> {
    page.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// Compares a lesson with what is kept of it.
fn check(name: &str, same: Same, expected: &str) {
    let text = story(&example(name), name, same, root());
    if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "write") {
        let path = root().join(format!("tests/lessons/{name}.txt"));
        return std::fs::write(path, text).expect("the folder of this test can be written to");
    }
    assert!(text == expected, "{name}: expected:\n{expected}\nbut it is:\n{text}");
    // What its page shows before the exercise is what it prints and draws.
    let page = page_of(name);
    let drawings = texts(page.split("\n## Exercise\n").next().unwrap_or_default());
    assert!(!drawings.is_empty(), "the page of {name} shows something");
    for drawing in drawings {
        assert!(text.contains(drawing), "the page of {name} has what the lesson has not:\n{drawing}");
    }
}

macro_rules! lessons {
    ($($name:literal, $same:ident => $test:ident),* $(,)?) => {
        /// Each lesson, and how much of it is the same in each run.
        const LESSONS: [(&str, Same); 13] = [$(($name, Same::$same)),*];
        $(
            #[test]
            fn $test() {
                check($name, Same::$same, include_str!(concat!($name, ".txt")));
            }
        )*
    };
}

lessons! {
    "01_blocking", Chains => waiting_is_the_program,
    "02_by_hand", Trace => a_loop_is_wait_then_call,
    "03_order", Trace => order_is_by_phase_and_not_by_text,
    "04_blocked", Chains => a_callback_owns_the_loop,
    "05_callbacks", Trace => what_a_callback_raises_has_nowhere_to_go,
    "06_deferred", Trace => a_step_runs_later_or_at_once,
    "07_two_lanes", Trace => an_error_changes_lanes,
    "08_lost", Trace => an_error_that_nobody_took_is_reported,
    "09_inner", Trace => a_chain_waits_for_the_deferred_of_a_step,
    "10_many", Trace => results_stand_by_member_and_arrive_by_time,
    "11_cancel", Trace => a_cancel_asks_at_the_bottom,
    "12_flow", Trace => a_slow_writer_stops_the_reader,
    "13_four_ways", Trace => four_models_get_the_same_poems,
}

#[test]
fn a_lesson_takes_no_arguments() {
    let output = Command::new(example("06_deferred")).arg("x").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "usage: 06_deferred\n");
}
