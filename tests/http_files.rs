//! Files of a folder, served: what is found, what is not, which part of it, and whether it is needed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ropewalk::Address;
use ropewalk::http::{Server, Site};
use ropewalk::testing::{MemoryLoop, StringTransport};

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("ropewalk-files-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("root/sub")).unwrap();
        let folder = Folder(path);
        folder.write("root/poem.txt", b"If I were");
        folder.write("root/index.html", b"<h1>root</h1>");
        folder.write("root/a b%.txt", b"odd");
        folder.write("root/.secret", b"secret");
        folder.write("root/empty", b"");
        folder.write("outside", b"secret");
        folder
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        fs::write(self.0.join(path), bytes).unwrap();
    }

    fn root(&self) -> PathBuf {
        self.0.join("root")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Bench {
    site: Site,
    test: MemoryLoop,
}

struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn code(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Bench {
    fn new(root: &Path) -> Bench {
        let test = MemoryLoop::new().unwrap();
        Bench { site: Server::new().files("/", root).unwrap().start(&test).unwrap(), test }
    }

    fn turn_until(&self, what: impl Fn() -> bool) {
        let started = Instant::now();
        while !what() {
            assert!(started.elapsed() < Duration::from_secs(60), "what is waited for does not come");
            // A worker's answer is no event of the test's clock.
            self.test.turn(Some(Duration::from_millis(1))).unwrap();
        }
    }

    fn connect(&self) -> StringTransport {
        self.test.connected(self.site.protocol(&Address::Memory))
    }

    #[track_caller]
    fn ask(&self, line: &str, fields: &[&str]) -> Answer {
        let peer = self.connect();
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        peer.send(format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n"));
        self.turn_until(|| peer.is_disconnected());
        let value = peer.value();
        let end = value.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        Answer { head: String::from_utf8(value[..end].to_vec()).unwrap(), body: value[end..].to_vec() }
    }

    #[track_caller]
    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[])
    }
}

#[test]
fn a_file_comes_with_its_type_and_its_validators() {
    let folder = Folder::new("types");
    let bench = Bench::new(&folder.root());
    let poem = bench.get("/poem.txt");
    assert_eq!((poem.code(), &poem.body[..]), (200, &b"If I were"[..]));
    assert_eq!(poem.field("Content-Type"), Some("text/plain; charset=utf-8"));
    assert_eq!(poem.field("Accept-Ranges"), Some("bytes"));
    assert!(poem.field("ETag").unwrap().starts_with('"') && poem.field("Last-Modified").unwrap().ends_with(" GMT"));
    let head = bench.ask("HEAD /poem.txt", &[]);
    assert_eq!((head.code(), head.field("Content-Length"), &head.body[..]), (200, Some("9"), &b""[..]));
    assert_eq!(head.field("ETag"), poem.field("ETag"));
    assert_eq!(bench.get("/a%20b%25.txt").body, b"odd");
    assert_eq!((bench.get("/empty").code(), bench.get("/empty").field("Content-Length")), (200, Some("0")));
    assert_eq!(bench.get("/").body, b"<h1>root</h1>");
    assert_eq!(bench.get("/?x=y").field("Content-Type"), Some("text/html; charset=utf-8"));
    let post = bench.ask("POST /poem.txt", &["Content-Length: 0"]);
    assert_eq!((post.code(), post.field("Allow")), (405, Some("GET, HEAD, OPTIONS")));
}

#[test]
fn a_folder_is_its_index_and_its_name_ends_with_a_slash() {
    let folder = Folder::new("folders");
    let bench = Bench::new(&folder.root());
    let moved = bench.get("/sub?a=b");
    assert_eq!((moved.code(), moved.field("Location")), (301, Some("/sub/?a=b")));
    assert_eq!(bench.get("/sub/").code(), 404);
    folder.write("root/sub/index.html", b"sub");
    assert_eq!(bench.get("/sub/").body, b"sub");
    assert_eq!(bench.get("/poem.txt/").code(), 404);
    assert_eq!(bench.get("/index.html/x").code(), 404);
}

#[test]
fn nothing_leads_out_of_the_root() {
    let folder = Folder::new("traversal");
    symlink("../outside", folder.root().join("leads-out")).unwrap();
    symlink("..", folder.root().join("up")).unwrap();
    symlink("/etc/passwd", folder.root().join("absolute")).unwrap();
    symlink("poem.txt", folder.root().join("stays-in")).unwrap();
    symlink("loop", folder.root().join("loop")).unwrap();
    let bench = Bench::new(&folder.root());
    let table = [
        ("/../outside", 404),
        ("/sub/../../outside", 404),
        ("/sub/../poem.txt", 404),
        ("/%2e%2e/outside", 404),
        ("/.%2e/outside", 404),
        ("/sub/%2E%2E/%2E%2E/outside", 404),
        ("/..%2foutside", 404),
        ("/sub%2f..%2f..%2foutside", 404),
        ("/%2fetc/passwd", 404),
        ("//etc/passwd", 404),
        ("/sub//x", 404),
        ("/./poem.txt", 404),
        ("/..%5coutside", 404),
        ("/..", 404),
        ("/../", 404),
        ("/poem.txt%00", 400),
        ("/poem.txt%00.png", 400),
        ("/%zz", 400),
        ("/%", 400),
        ("/%2", 400),
        ("/leads-out", 404),
        ("/up/outside", 404),
        ("/up/root/poem.txt", 404),
        ("/absolute", 404),
        ("/loop", 404),
        ("/.secret", 404),
        ("/%2esecret", 404),
        ("/stays-in", 200),
    ];
    for (path, code) in table {
        let answer = bench.get(path);
        assert_eq!(answer.code(), code, "{path}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret"), "{path}");
    }
    let long = format!("/{}", "x".repeat(5000));
    assert_eq!(bench.get(&long).code(), 404);
}

#[test]
fn what_is_no_file_and_what_may_not_be_read_is_not_served() {
    let folder = Folder::new("kinds");
    rustix::fs::mknodat(rustix::fs::CWD, folder.root().join("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    folder.write("root/closed", b"x");
    fs::set_permissions(folder.root().join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
    let bench = Bench::new(&folder.root());
    assert_eq!(bench.get("/fifo").code(), 404, "and nobody waits for its other end");
    // Root may read everything.
    let expected = if rustix::process::geteuid().is_root() { 200 } else { 403 };
    assert_eq!(bench.get("/closed").code(), expected);
    assert!(Server::new().files("/", folder.root().join("none")).unwrap_err().to_string().contains("cannot serve"));
    assert!(Server::new().files("/", folder.root().join("poem.txt")).is_err());
}

#[test]
fn a_client_that_has_it_already_is_told_so() {
    let folder = Folder::new("conditions");
    let bench = Bench::new(&folder.root());
    let first = bench.get("/poem.txt");
    let (etag, modified) = (first.field("ETag").unwrap(), first.field("Last-Modified").unwrap());
    let (before, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 06 Nov 2099 08:49:37 GMT");
    let code = |fields: &[String]| {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let answer = bench.ask("GET /poem.txt", &fields);
        if answer.code() == 304 {
            assert_eq!((answer.field("ETag"), answer.body.len()), (Some(etag), 0));
            assert_eq!((answer.field("Content-Length"), answer.field("Content-Type")), (None, None));
        }
        answer.code()
    };
    let f = |name: &str, value: &str| format!("{name}: {value}");
    let table = [
        (vec![f("If-None-Match", etag)], 304),
        (vec![f("If-None-Match", &format!("\"x\", W/{etag}"))], 304),
        (vec![f("If-None-Match", "*")], 304),
        (vec![f("If-None-Match", "\"x\"")], 200),
        (vec![f("If-None-Match", "\"x\""), f("If-Modified-Since", later)], 200),
        (vec![f("If-Modified-Since", modified)], 304),
        (vec![f("If-Modified-Since", later)], 304),
        (vec![f("If-Modified-Since", before)], 200),
        (vec![f("If-Modified-Since", "yesterday")], 200),
        (vec![f("If-Match", etag)], 200),
        (vec![f("If-Match", "\"x\"")], 412),
        (vec![f("If-Match", &format!("W/{etag}"))], 412),
        (vec![f("If-Unmodified-Since", before)], 412),
        (vec![f("If-Unmodified-Since", modified)], 200),
    ];
    for (fields, expected) in table {
        assert_eq!(code(&fields), expected, "{fields:?}");
    }
    folder.write("root/poem.txt", b"If I was.");
    fs::File::open(folder.root().join("poem.txt"))
        .unwrap()
        .set_modified(std::time::SystemTime::now() + Duration::from_secs(9))
        .unwrap();
    assert_eq!(code(&[f("If-None-Match", etag)]), 200);
}

#[test]
fn a_part_of_a_file_can_be_asked_for() {
    let folder = Folder::new("ranges");
    let big: Vec<u8> = (0..1_000_000u32).map(|i| (i % 251) as u8).collect();
    folder.write("root/big", &big);
    let bench = Bench::new(&folder.root());
    let etag = bench.get("/big").field("ETag").unwrap().to_owned();
    let ask = |path: &str, fields: &[&str]| bench.ask(&format!("GET {path}"), fields);
    for path in ["/poem.txt", "/big"] {
        let whole = bench.get(path).body;
        let size = whole.len();
        let part = ask(path, &["Range: bytes=2-5"]);
        assert_eq!((part.code(), &part.body[..]), (206, &whole[2..6]), "{path}");
        assert_eq!(part.field("Content-Range"), Some(&*format!("bytes 2-5/{size}")));
        assert_eq!(ask(path, &["Range: bytes=-3"]).body, &whole[size - 3..]);
        assert_eq!(ask(path, &["Range: bytes=7-"]).body, &whole[7..]);
        let several = ask(path, &["Range: bytes=0-1,3-4"]);
        assert_eq!((several.code(), several.body), (200, whole.clone()));
        let none = ask(path, &[&format!("Range: bytes={size}-")]);
        assert_eq!((none.code(), none.field("Content-Range")), (416, Some(&*format!("bytes */{size}"))));
    }
    assert_eq!(ask("/big", &["Range: bytes=200000-799999"]).body, &big[200_000..800_000]);
    assert_eq!(ask("/big", &["Range: bytes=1-2", &format!("If-Range: {etag}")]).code(), 206);
    assert_eq!(ask("/big", &["Range: bytes=1-2", "If-Range: \"x\""]).code(), 200);
    assert_eq!(bench.ask("HEAD /big", &["Range: bytes=1-2"]).code(), 200);
}

#[test]
fn a_large_file_goes_no_faster_than_it_is_read() {
    let folder = Folder::new("flow");
    let big: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    folder.write("root/big", &big);
    let bench = Bench::new(&folder.root());
    let peer = bench.connect();
    peer.set_room(Some(10_000));
    peer.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    bench.turn_until(|| peer.transport().buffered() > 0);
    let (mut most, mut got) = (0, Vec::new());
    let body = |got: &[u8]| got.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| got.len() - at - 4);
    while body(&got) < big.len() {
        got.extend(peer.value());
        peer.clear();
        bench.test.turn(Some(Duration::ZERO)).unwrap();
        most = most.max(peer.transport().buffered());
    }
    assert!(most < 200_000, "{most} bytes wait");
    assert!(got.ends_with(&big));
}

#[test]
fn a_file_that_becomes_shorter_breaks_the_connection_off() {
    let folder = Folder::new("shorter");
    folder.write("root/big", &vec![7; 3_000_000]);
    let bench = Bench::new(&folder.root());
    let peer = bench.connect();
    peer.set_room(Some(10_000));
    peer.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    bench.turn_until(|| peer.transport().buffered() > 0);
    folder.write("root/big", b"short");
    peer.set_room(None);
    bench.turn_until(|| peer.is_disconnected());
    assert!(peer.sees_reset() && peer.value().len() < 3_000_000);
    assert_eq!(bench.get("/big").body, b"short");
}
