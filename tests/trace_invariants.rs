//! What holds for the trace of every example, run as a user runs it with `ROPEWALK=trace=FILE`.

use ropewalk::study::{self, Limits, Lint, Rule, Weight};
use ropewalk::trace::{ClockKind, Id, Kind, Trace};
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

/// A program to run, and how.
struct Program {
    name: &'static str,
    args: Vec<String>,
    input: &'static str,
    /// Whether it prints the same each time.
    same: bool,
}

/// A folder that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("ropewalk-invariants-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for the test");
        Scratch(folder)
    }
    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// The built example. `cargo test` builds them all; `cargo test --test` does not.
fn example(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().expect("this test has a path");
    path.pop();
    path.pop();
    path.push("examples");
    path.push(name);
    if !path.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "--quiet", "--example", name]).status();
        assert!(built.expect("cargo runs").success(), "the example {name} builds");
    }
    path
}

/// Runs a program; answers what it printed to standard output.
fn run(program: &Program, folder: &Path, ropewalk: Option<&OsStr>) -> Vec<u8> {
    let mut command = Command::new(example(program.name));
    command.args(&program.args).current_dir(folder).env_remove("ROPEWALK").env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(ropewalk) = ropewalk {
        command.env("ROPEWALK", ropewalk);
    }
    let mut child = command.spawn().expect("the example starts");
    // Whoever reads no input has closed it.
    drop(child.stdin.take().map(|mut stdin| stdin.write_all(program.input.as_bytes())));
    let output = child.wait_with_output().expect("the example ends");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} with ROPEWALK={ropewalk:?}: {error}", program.name);
    output.stdout
}

fn read(file: &Path) -> Trace {
    let bytes = File::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    Trace::read_json(BufReader::new(bytes)).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The objects that an event announces.
fn announces(kind: &Kind<'_>) -> Option<Id> {
    match *kind {
        Kind::DNew { d: id, .. }
        | Kind::FNew { f: id, .. }
        | Kind::TimerArm { m: id, .. }
        | Kind::Post { p: id, .. }
        | Kind::IoOpen { i: id, .. }
        | Kind::WorkQueue { w: id, .. }
        | Kind::XSpawn { x: id, .. }
        | Kind::GNew { g: id, .. } => Some(id),
        _ => None,
    }
}

/// The objects that an event names.
fn named(kind: &Kind<'_>) -> Vec<Id> {
    let text = format!("{kind:?}");
    let after = text.split("Id(").skip(1).filter_map(|rest| {
        let (object, rest) = rest.split_once(", ")?;
        let (n, _) = rest.split_once(')')?;
        let letter = match object {
            "Deferred" => "d",
            "Failure" => "f",
            "Timer" => "m",
            "Source" => "i",
            "Post" => "p",
            "Work" => "w",
            "Task" => "x",
            "Group" => "g",
            other => panic!("an object {other}"),
        };
        Some(format!("{letter}{n}").parse().expect("an id"))
    });
    after.collect()
}

/// The rules that hold for each trace.
fn check(trace: &Trace) {
    let mut open: Vec<u32> = Vec::new();
    let mut known = HashSet::new();
    let mut counts: HashMap<_, u32> = HashMap::new();
    let (mut time, mut turn) = (0, 0);
    for (event, s) in trace.events().zip(1..) {
        assert_eq!(event.s, s, "no number is left out");
        let b = event.kind.begin().unwrap_or(0);
        for link in [event.frame, event.cause, event.reg, b] {
            assert!(link < s, "a reference leads back: {event:?}");
        }
        assert!(event.t >= time && event.turn >= turn, "time goes on: {event:?}");
        (time, turn) = (event.t, event.turn);
        if b != 0 && !matches!(event.kind, Kind::PollEnd { .. }) {
            assert_eq!(open.pop(), Some(b), "frames nest: {event:?}");
        }
        if !matches!(event.kind, Kind::End { .. }) {
            assert_eq!(event.frame, open.last().copied().unwrap_or(0), "called from the open frame: {event:?}");
        }
        if event.kind.opens_frame() {
            open.push(s);
        }
        if let Some(id) = announces(&event.kind) {
            assert!(known.insert(id), "announced once: {event:?}");
            let count = counts.entry(id.0).or_default();
            *count += 1;
            assert_eq!(id.1, *count, "ids are counted from 1: {event:?}");
        }
        for id in named(&event.kind) {
            assert!(known.contains(&id), "announced before: {event:?}");
        }
        if let Some(at) = event.at {
            assert!(at.line() > 0 && !at.file().is_empty(), "{event:?}");
            let adds = matches!(event.kind, Kind::DAdd { .. });
            assert!(
                !adds || event.sys || !at.file().starts_with("src/"),
                "a step of the library says so: {event:?}"
            );
        }
    }
    assert!(open.is_empty(), "each begin has its end: {open:?}");
    assert!(matches!(trace.last().map(|event| event.kind), Some(Kind::End { .. })), "it has an end");
}

/// The examples that go wrong on purpose, and what the lints say of them. Of the others they have no more than remarks.
const BROKEN: [(&str, &[Rule]); 3] =
    [("08_lost", &[Rule::Lost, Rule::Lost]), ("09_inner", &[Rule::Lost]), ("tour", &[Rule::Lost])];

/// Programs that chance has made, and loads that no program has: what a lint says of them says nothing.
const NOT_JUDGED: [&str; 2] = ["contest", "replay"];

fn check_lints(name: &str, trace: &Trace) {
    // Whether a callback is slow depends on who else uses this machine.
    let mut limits = Limits::default();
    (limits.slow, limits.late) = (Duration::from_secs(60), Duration::from_secs(60));
    let problems: Vec<Lint> =
        study::lints_with(trace, &limits).into_iter().filter(|lint| lint.weight == Weight::Problem).collect();
    let rules: Vec<Rule> = problems.iter().map(|lint| lint.rule).collect();
    let expected = BROKEN.iter().find(|(broken, _)| *broken == name).map_or(&[][..], |(_, rules)| rules);
    assert_eq!(rules, expected, "{name}: {problems:#?}");
}

/// Programs with a thread of their own: when it posts is the system's affair, also on a virtual clock.
const THREADS: [&str; 1] = ["12_flow"];

/// Answers what clock its trace has.
fn check_program(program: &Program) -> ClockKind {
    let scratch = Scratch::new(&format!("{}-{}", program.name, program.args.len()));
    let file = scratch.file("one.jsonl");
    let word = |file: &Path, rest: &str| {
        let mut word = std::ffi::OsString::from("trace=");
        word.push(file);
        word.push(rest);
        word
    };
    let traced = run(program, &scratch.0, Some(&word(&file, "")));
    if program.same {
        let plain = run(program, &scratch.0, None);
        let (plain, traced) = (String::from_utf8_lossy(&plain), String::from_utf8_lossy(&traced));
        assert_eq!(plain, traced, "{}: recording changes nothing that it prints", program.name);
    }
    let trace = read(&file);
    assert!(trace.len() > 3, "{}: {} events", program.name, trace.len());
    check(&trace);
    assert_eq!(trace.prog(), program.name);
    if !NOT_JUDGED.contains(&program.name) {
        check_lints(program.name, &trace);
    }

    if trace.clock() == ClockKind::Virtual && !THREADS.contains(&program.name) {
        let (one, two) = (scratch.file("a.jsonl"), scratch.file("b.jsonl"));
        for file in [&one, &two] {
            run(program, &scratch.0, Some(&word(file, ",stable")));
        }
        let (one, two) = (fs::read_to_string(one).unwrap(), fs::read_to_string(two).unwrap());
        let differs = one.lines().zip(two.lines()).find(|(one, two)| one != two);
        assert!(one == two, "{}: on a virtual clock each run gives the same trace, not {differs:#?}", program.name);
    }
    trace.clock()
}

fn program(name: &'static str, args: &[&str], input: &'static str, same: bool) -> Program {
    Program { name, args: args.iter().map(|arg| (*arg).to_owned()).collect(), input, same }
}

#[test]
fn the_tour() {
    check_program(&program("tour", &[], "", false));
}

#[test]
fn a_state_machine_and_a_reader_of_standard_input() {
    check_program(&program("state_machine", &[], "", true));
    check_program(&program("tail_stdin", &[], "one\ntwo\nthree\n", false));
}

#[test]
fn a_copied_file_in_both_models() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    for model in ["callbacks", "deferreds"] {
        check_program(&program("copy_file", &[readme, "copy.md", "--model", model], "", false));
    }
}

#[test]
fn a_server_of_callbacks_and_a_client_of_futures() {
    check_program(&program("two_ways", &[], "", true));
}

/// The names of the examples that lie in the repository.
fn examples() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut names = Vec::new();
    for folder in [root.clone(), root.join("lessons")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_example = path.extension().is_some_and(|ext| ext == "rs") || path.join("main.rs").exists();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            if is_example && name != "lesson" {
                names.push(name);
            }
        }
    }
    names
}

/// A program whose name starts with two digits.
fn is_lesson(name: &str) -> bool {
    name.len() > 2 && name.bytes().take_while(u8::is_ascii_digit).count() == 2 && name.as_bytes()[2] == b'_'
}

/// Lessons whose clock is the system's.
const REAL: [&str; 2] = ["01_blocking", "04_blocked"];

#[test]
fn every_lesson() {
    let lessons: Vec<String> = examples().into_iter().filter(|name| is_lesson(name)).collect();
    assert!(lessons.iter().any(|name| name == "09_inner"), "{lessons:?}");
    for lesson in lessons {
        let expected = if REAL.contains(&&*lesson) { ClockKind::Real } else { ClockKind::Virtual };
        assert_eq!(check_program(&program(lesson.leak(), &[], "", true)), expected);
    }
}

/// Its processes that measure do not write over its own trace.
#[test]
fn one_job_in_four_models() {
    check_program(&program("models", &["1"], "", false));
}

/// All but `callback_order` and `cancel`, which have no loop: a recording starts with a loop.
#[test]
fn twins_of_programs_in_python() {
    for name in ["list", "time_out", "looping_call", "lock"] {
        check_program(&program("twisted_twins", &[name], "", true));
    }
}

#[test]
fn programs_that_the_real_twisted_ran() {
    let scratch = Scratch::new("programs");
    let (all, some) = (include_str!("data/deferred.jsonl"), scratch.file("some.jsonl"));
    fs::write(&some, all.lines().take(20).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    check_program(&program("replay", &[some.to_str().expect("its name is UTF-8")], "", true));
}

#[test]
fn a_contest_of_wakes() {
    check_program(&program("contest", &["wake", "100"], "", false));
}

/// Answers each of `count` peers, when it has said all up to `last`, with the same text.
fn server(count: usize, last: &'static [u8], text: &'static str) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it has a port").port();
    let serve = move || {
        for _ in 0..count {
            let (mut peer, _) = listener.accept().expect("a client comes");
            let (mut said, mut byte) = (Vec::new(), [0]);
            while !said.ends_with(last) && peer.read(&mut byte).is_ok_and(|n| n == 1) {
                said.push(byte[0]);
            }
            peer.write_all(text.as_bytes()).expect("the client reads");
        }
    };
    (port, std::thread::spawn(serve))
}

#[test]
fn a_page_over_a_raw_socket_in_both_models() {
    // Each is run twice.
    let (port, server) = server(4, b"\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nhello\n");
    for model in ["callbacks", "deferreds"] {
        check_program(&program("get_raw", &["127.0.0.1", &port.to_string(), "/", "--model", model], "", true));
    }
    server.join().expect("it answered all");
}

#[test]
fn a_client_of_finger() {
    let (port, server) = server(2, b"\r\n", "alice            Alice Liddell\r\n");
    check_program(&program("finger", &[&format!("alice@127.0.0.1:{port}")], "", true));
    server.join().expect("it answered all");
}

/// Whoever adds an example adds it to a test above, or here.
#[test]
fn no_example_is_left_out() {
    let run_above = ["tour", "state_machine", "tail_stdin", "copy_file", "two_ways", "twisted_twins", "replay"];
    let run_above_too = ["contest", "get_raw", "finger", "models"];
    let servers = ["chat", "echo_async", "echo_raw", "echo_server", "forward", "http_server", "https_server"];
    let servers_too = ["ws_echo", "ws_server", "line_server", "web_chat"];
    let clients_of_theirs = ["ws_client", "ws_fuzz_client"];
    // The tests are built without the feature `http-client`.
    let clients_of_http = ["download", "get", "get_page", "crawler"];
    // In the order of a system's answers, which is another one each time.
    let others = ["port_scanner"];
    let readers_of_traces = ["step", "view"];
    let known = [
        &run_above[..],
        &run_above_too,
        &servers,
        &servers_too,
        &clients_of_theirs,
        &clients_of_http,
        &readers_of_traces,
        &others,
    ]
    .concat();
    for name in examples() {
        assert!(is_lesson(&name) || known.contains(&&*name), "{name}: does its trace keep the rules?");
    }
}

#[test]
fn a_wrong_word_is_one_line_and_the_program_runs() {
    let scratch = Scratch::new("wrong");
    let output = Command::new(example("state_machine"))
        .current_dir(&scratch.0)
        .env("ROPEWALK", "tarce=run.jsonl")
        .stdin(Stdio::null())
        .output()
        .expect("the example starts");
    assert!(output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        error.lines().filter(|line| line.contains("ROPEWALK: \"tarce=run.jsonl\" is none of")).count(),
        1,
        "{error}"
    );
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 0, "nothing is written");
}
