//! Downloads: the file is whole or not there, whatever the server does; and a later one goes on where one broke off.
#![cfg(feature = "http-client")]

#[path = "support/client.rs"]
mod client;

use client::{LIMIT, error, turn_until};

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use ropewalk::fs::FsError;
use ropewalk::http::{self, ClientPhase, ClientRequest, Download, Downloaded, Response, Server};
use ropewalk::testing::capture_unhandled;
use ropewalk::{CancelledError, EventLoop, Failure, PanicError, Port, Protocol, Transport};

/// What is downloaded, and its SHA-256.
const POEM: &str = "If I were a poem";
const SHA256: &str = "080d2390d290fa1e7ca15973f8a15387c9a8001e39dc2f8633672f3b0367b3da";

/// A folder that is empty at first, and goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ropewalk-download-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn poem(&self) -> PathBuf {
        self.0.join("poem")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn run(event_loop: &EventLoop, download: Download) -> Result<Downloaded, Failure> {
    event_loop.run_until(download.start(event_loop).add_timeout(LIMIT, event_loop))
}

/// Says to each connection what is next, and closes; what was asked is written down.
struct Script {
    answer: String,
    asked: Vec<u8>,
    requests: Rc<RefCell<Vec<String>>>,
    closes: bool,
}

impl Protocol for Script {
    fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        self.asked.extend_from_slice(data);
        if self.asked.ends_with(b"\r\n\r\n") {
            self.requests.borrow_mut().push(String::from_utf8_lossy(&self.asked).into_owned());
            transport.write(self.answer.as_bytes())?;
            if self.closes {
                transport.lose_connection();
            }
        }
        Ok(())
    }
}

struct Scripted {
    event_loop: EventLoop,
    _port: Port,
    url: String,
    requests: Rc<RefCell<Vec<String>>>,
}

/// A server with these answers, one for each connection. The last stays open if it is not complete.
fn scripted(answers: &[&str]) -> Scripted {
    let event_loop = EventLoop::new().unwrap();
    let mut answers: VecDeque<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
    let requests = Rc::<RefCell<Vec<String>>>::default();
    let own = requests.clone();
    let port = event_loop
        .listen_tcp("127.0.0.1:0", move |_, _| {
            let answer = answers.pop_front()?;
            let (closes, answer) = match answer.strip_suffix("...") {
                Some(answer) => (false, answer.to_owned()),
                None => (true, answer),
            };
            Some(Script { answer, asked: Vec::new(), requests: own.clone(), closes })
        })
        .unwrap();
    let url = format!("http://{}/poem", port.address());
    Scripted { event_loop, _port: port, url, requests }
}

impl Scripted {
    /// Gets the poem, resuming.
    fn resume(&self, path: &Path) -> Result<Downloaded, Failure> {
        run(&self.event_loop, Download::new(&self.url, path).resume(true).sha256(SHA256))
    }

    fn asked(&self, index: usize, field: &str) -> Option<String> {
        let requests = self.requests.borrow();
        let line = requests[index].lines().find(|line| line.starts_with(field))?;
        Some(line[field.len() + 2..].to_owned())
    }
}

#[test]
fn a_download_is_the_body_under_its_name_and_nothing_else() {
    let (event_loop, folder) = (EventLoop::new().unwrap(), Folder::new());
    let large: Rc<[u8]> = (0..3_000_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    let (own, chunks) = (large.clone(), large.clone());
    let site = Server::new()
        .get("/large", move |_, _| Response::new(http::Status::OK).body(own.to_vec()))
        .get("/chunks", move |_, _| {
            let (all, mut from) = (chunks.clone(), 0);
            Response::pieces(None, move |_| {
                let piece = all[from..all.len().min(from + 100_000)].to_vec();
                from += piece.len();
                ropewalk::Deferred::succeed(Some(piece).filter(|piece| !piece.is_empty()))
            })
        })
        .get("/empty", |_, _| "")
        .listen(&event_loop, "127.0.0.1:0")
        .unwrap();
    let base = format!("http://{}", site.address().unwrap());
    for (path, expected) in [("large", &large[..]), ("chunks", &large), ("empty", b"")] {
        let told = Rc::<RefCell<Vec<(u64, Option<u64>)>>>::default();
        let own = told.clone();
        let download = Download::new(format!("{base}/{path}"), folder.0.join(path))
            .on_progress(move |bytes, total| own.borrow_mut().push((bytes, total)));
        let done = run(&event_loop, download).unwrap();
        assert_eq!((done.bytes(), done.resumed()), (expected.len() as u64, 0), "{path}");
        assert!(fs::read(folder.0.join(path)).unwrap() == expected, "{path}");
        let told = told.borrow();
        let total = (path != "chunks").then_some(expected.len() as u64);
        assert_eq!(told.first(), Some(&(0, total)), "{path}");
        assert_eq!(told.last(), Some(&(expected.len() as u64, total)), "{path}");
        assert!(told.windows(2).all(|two| two[0].0 < two[1].0 && two[1].1 == total), "{path}: {told:?}");
    }
    assert_eq!(folder.names(), ["chunks", "empty", "large"]);
}

#[test]
fn a_file_that_is_there_is_replaced_when_the_new_one_is_whole_and_keeps_its_permissions() {
    let folder = Folder::new();
    fs::write(folder.poem(), "old").unwrap();
    fs::set_permissions(folder.poem(), fs::Permissions::from_mode(0o640)).unwrap();
    let server = scripted(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\nIf I w",
        &format!("HTTP/1.1 200 OK\r\n\r\n{POEM}"),
    ]);
    let (phase, text) = error(run(&server.event_loop, Download::new(&server.url, folder.poem())));
    assert_eq!(phase, ClientPhase::Body);
    assert_eq!(
        text,
        format!("GET {}: body: the peer closed before the message was complete (body, byte 6)", server.url)
    );
    assert_eq!(fs::read(folder.poem()).unwrap(), b"old");
    assert_eq!(folder.names(), ["poem"]);
    run(&server.event_loop, Download::new(&server.url, folder.poem())).unwrap();
    assert_eq!(fs::read(folder.poem()).unwrap(), POEM.as_bytes());
    assert_eq!(fs::metadata(folder.poem()).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(folder.names(), ["poem"]);
}

#[test]
fn after_an_error_nothing_is_left_and_the_error_says_what_it_was() {
    let poem = format!("HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{POEM}");
    let nothing = "0".repeat(64);
    type Set = Box<dyn Fn(Download) -> Download>;
    let plain = || -> Set { Box::new(|download| download) };
    let sha256 = |hex: &str| -> Set {
        let hex = hex.to_owned();
        Box::new(move |download| download.sha256(&hex))
    };
    let cases: Vec<(&str, &str, Set, ClientPhase, &str)> = vec![
        (
            "404",
            "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
            plain(),
            ClientPhase::Response,
            "the server answers 404 Not Found",
        ),
        ("a redirection to nowhere", "HTTP/1.1 304 Not Modified\r\n\r\n", plain(), ClientPhase::Response, "304"),
        (
            "a part that nobody asked for",
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/16\r\nContent-Length: 2\r\n\r\nIf",
            plain(),
            ClientPhase::Response,
            "206",
        ),
        (
            "too short",
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nIf",
            plain(),
            ClientPhase::Body,
            "closed before the message was complete",
        ),
        (
            "bad chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nIfno",
            plain(),
            ClientPhase::Body,
            "a chunk is longer",
        ),
        ("no answer", "", plain(), ClientPhase::Response, "without an answer"),
        ("another sum", &poem, sha256(&nothing), ClientPhase::Body, &SHA256[..8]),
        ("no sum", &poem, sha256("abc"), ClientPhase::Setup, "64 hexadecimal digits"),
        (
            "too large",
            &poem,
            Box::new(|download| download.request(|request| request.max_body(15))),
            ClientPhase::Body,
            "more than the 15 bytes",
        ),
        (
            "a POST resumed",
            &poem,
            Box::new(|download| download.resume(true).request(|_| ClientRequest::post("http://127.0.0.1:1/", ""))),
            ClientPhase::Setup,
            "only a GET",
        ),
    ];
    for (what, answer, set, phase, part) in cases {
        let (server, folder) = (scripted(&[answer]), Folder::new());
        let (found, text) = error(run(&server.event_loop, set(Download::new(&server.url, folder.poem()))));
        assert_eq!(found, phase, "{what}: {text}");
        assert!(text.contains(part), "{what}: {text}");
        assert_eq!(folder.names(), [""; 0], "{what}");
    }
}

#[test]
fn what_is_wrong_with_the_file_is_told_with_its_path() {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{POEM}");
    let folder = Folder::new();
    fs::create_dir(folder.0.join("folder")).unwrap();
    for (path, part) in [
        (folder.0.join("none/poem"), "none/poem: No such file"),
        (folder.0.join("folder"), "is a directory"),
        (folder.0.join("folder/.."), "is a directory"),
        (folder.poem().join("poem"), "No such file"),
        (PathBuf::from("/dev/full"), "cannot write /dev/full: No space left on device"),
    ] {
        let server = scripted(&[&answer]);
        let result = run(&server.event_loop, Download::new(&server.url, &path));
        assert!(result.as_ref().is_err_and(|failure| failure.find::<FsError>().is_some()), "{path:?}: {result:?}");
        let (phase, text) = error(result);
        assert_eq!(phase, ClientPhase::File, "{text}");
        assert!(text.starts_with(&format!("GET {}: file: ", server.url)) && text.contains(part), "{text}");
        assert_eq!(folder.names(), ["folder"]);
    }
    let server = scripted(&[&answer]);
    assert_eq!(run(&server.event_loop, Download::new(&server.url, "/dev/null")).unwrap().bytes(), 16);
}

#[test]
fn cancelling_and_a_panic_of_the_progress_remove_what_there_is() {
    let _reports = capture_unhandled();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n{}...", "x".repeat(600_000));
    let (server, folder) = (scripted(&[&answer, &answer]), Folder::new());
    let event_loop = &server.event_loop;
    let seen = Rc::new(RefCell::new(0));
    let own = seen.clone();
    let download = Download::new(&server.url, folder.poem())
        .on_progress(move |bytes, _| *own.borrow_mut() = bytes)
        .start(event_loop);
    turn_until(event_loop, || *seen.borrow() == 600_000 && folder.names().len() == 1);
    assert!(folder.names()[0].starts_with(".poem."), "{:?}", folder.names());
    download.cancel();
    assert!(event_loop.run_until(download).is_err_and(|failure| failure.check::<CancelledError>().is_some()));
    turn_until(event_loop, || folder.names().is_empty());

    let download = Download::new(&server.url, folder.poem()).on_progress(|bytes, _| assert!(bytes < 300_000));
    assert!(run(event_loop, download).is_err_and(|failure| failure.check::<PanicError>().is_some()));
    turn_until(event_loop, || folder.names().is_empty());
}

#[test]
fn a_loop_that_ends_takes_what_there_is_with_it() {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n{}...", "x".repeat(600_000));
    let (server, folder) = (scripted(&[&answer]), Folder::new());
    let download = Download::new(&server.url, folder.poem()).start(&server.event_loop);
    turn_until(&server.event_loop, || folder.names().len() == 1);
    download.log_errors("its loop ends");
    drop(server);
    assert_eq!(folder.names(), [""; 0]);
}

const BEGUN: &str = "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 16\r\n\r\nIf I were";

fn rest(range: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 206 Partial Content\r\nETag: \"a\"\r\nContent-Range: bytes {range}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn a_download_that_broke_off_goes_on_if_it_may() {
    let whole = format!("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 16\r\n\r\n{POEM}");
    let changed = format!("HTTP/1.1 200 OK\r\nETag: \"b\"\r\nContent-Length: 16\r\n\r\n{POEM}");
    let right = rest("9-15/16", " a poem");
    // What comes after the beginning; how many requests; and how many bytes were there.
    let cases: Vec<(&str, Vec<&str>, u64)> = vec![
        ("the rest", vec![&right], 9),
        (
            "the rest of a length that nobody knows",
            vec!["HTTP/1.1 206 P\r\nContent-Range: bytes 9-15/*\r\nContent-Length: 7\r\n\r\n a poem"],
            9,
        ),
        ("it has changed", vec![&changed], 0),
        ("no ranges here", vec![&whole], 0),
        (
            "another range",
            vec!["HTTP/1.1 206 P\r\nContent-Range: bytes 8-15/16\r\nContent-Length: 8\r\n\r\ne a poem", &whole],
            0,
        ),
        (
            "another version without a word",
            vec!["HTTP/1.1 206 P\r\nETag: \"b\"\r\nContent-Range: bytes 9-15/16\r\n\r\n a poem", &whole],
            0,
        ),
        (
            "several ranges",
            vec!["HTTP/1.1 206 P\r\nContent-Type: multipart/byteranges; boundary=x\r\n\r\n--x", &whole],
            0,
        ),
        ("no range of it", vec!["HTTP/1.1 416 R\r\nContent-Range: bytes */8\r\n\r\n", &whole], 0),
        ("no range of it, and no word", vec!["HTTP/1.1 416 R\r\n\r\n", &whole], 0),
    ];
    for (what, answers, resumed) in cases {
        let folder = Folder::new();
        let server = scripted(&[&[BEGUN], &answers[..]].concat());
        assert_eq!(error(server.resume(&folder.poem())).0, ClientPhase::Body, "{what}");
        assert_eq!(folder.names(), ["poem.part", "poem.part.of"], "{what}");
        assert_eq!(fs::read(folder.0.join("poem.part")).unwrap(), b"If I were", "{what}");
        let done = server.resume(&folder.poem()).unwrap_or_else(|failure| panic!("{what}: {failure}"));
        assert_eq!((done.bytes(), done.resumed()), (16, resumed), "{what}");
        assert_eq!(fs::read(folder.poem()).unwrap(), POEM.as_bytes(), "{what}");
        assert_eq!(folder.names(), ["poem"], "{what}");
        assert_eq!(server.requests.borrow().len(), 1 + answers.len(), "{what}");
        assert_eq!(server.asked(1, "Range").as_deref(), Some("bytes=9-"), "{what}");
        assert_eq!(server.asked(1, "If-Range").as_deref(), Some("\"a\""), "{what}");
        assert_eq!(server.asked(1, "Accept-Encoding").as_deref(), Some("identity"), "{what}");
        if answers.len() > 1 {
            assert_eq!(server.asked(2, "Range"), None, "{what}");
        }
    }
}

#[test]
fn what_was_whole_already_is_not_asked_for_again() {
    // All bytes came, and the server did not say that this is the end.
    let (head, folder) = ("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nTransfer-Encoding: chunked\r\n\r\n", Folder::new());
    let server = scripted(&[
        &format!("{head}10\r\n{POEM}\r\n"),
        "HTTP/1.1 416 R\r\nContent-Range: bytes */16\r\nContent-Length: 2\r\n\r\nno",
    ]);
    assert_eq!(error(server.resume(&folder.poem())).0, ClientPhase::Body);
    assert_eq!(server.resume(&folder.poem()).unwrap().resumed(), 16);
    assert_eq!(fs::read(folder.poem()).unwrap(), POEM.as_bytes());
    assert_eq!(folder.names(), ["poem"]);
}

#[test]
fn nothing_is_kept_that_one_could_not_go_on_with() {
    for head in [
        "",
        "ETag: W/\"a\"\r\n",
        "ETag: \"a\"\r\nAccept-Ranges: none\r\n",
        "Last-Modified: Thu, 26 Nov 2026 08:00:00 GMT\r\n",
    ] {
        let (server, folder) =
            (scripted(&[&format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 16\r\n\r\nIf I were")]), Folder::new());
        assert_eq!(error(server.resume(&folder.poem())).0, ClientPhase::Body, "{head}");
        assert_eq!(folder.names(), [""; 0], "{head}");
    }
    // And nothing of what is wrong.
    let (server, folder) = (scripted(&[BEGUN, &rest("9-15/16", " A POEM")]), Folder::new());
    assert_eq!(error(server.resume(&folder.poem())).0, ClientPhase::Body);
    assert!(error(server.resume(&folder.poem())).1.contains("SHA-256"));
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn a_part_waits_for_its_server_and_is_of_one_url_and_one_download() {
    let (server, folder) =
        (scripted(&[BEGUN, "HTTP/1.1 503 Later\r\n\r\n", &format!("{BEGUN}...")]), Folder::new());
    let event_loop = &server.event_loop;
    assert_eq!(error(server.resume(&folder.poem())).0, ClientPhase::Body);
    assert!(error(server.resume(&folder.poem())).1.contains("503"));
    assert_eq!(folder.names(), ["poem.part", "poem.part.of"]);
    // Another URL begins at the beginning.
    let other = format!("{}?other", server.url);
    let download = Download::new(&other, folder.poem()).resume(true).start(event_loop);
    turn_until(event_loop, || server.requests.borrow().len() == 3);
    assert_eq!(server.asked(2, "Range"), None);
    turn_until(event_loop, || fs::metadata(folder.0.join("poem.part")).is_ok_and(|found| found.len() == 0));
    let (phase, text) = error(run(event_loop, Download::new(&other, folder.poem()).resume(true)));
    assert_eq!(phase, ClientPhase::File);
    assert!(text.contains("cannot lock") && text.contains("another download is writing it"), "{text}");
    download.cancel();
    drop(event_loop.run_until(download));
    // It had written nothing yet.
    turn_until(event_loop, || folder.names().is_empty());
}

#[test]
fn a_long_name_and_a_method_of_ones_own_are_no_matter() {
    let poem = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npoem";
    let (server, folder) = (scripted(&[poem]), Folder::new());
    let path = folder.0.join("n".repeat(255));
    let url = server.url.clone();
    let download = Download::new("http://127.0.0.1:1/", &path).request(|_| ClientRequest::post(url, ""));
    run(&server.event_loop, download).unwrap();
    assert_eq!(fs::read(path).unwrap(), b"poem");
    assert!(server.requests.borrow()[0].starts_with("POST /poem "));
}
