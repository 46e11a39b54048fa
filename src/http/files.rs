//! Files of a folder, served.
//!
//! | module | what it is |
//! |---|---|
//! | `locate` | a request's path to a file under the root, and nowhere else |
//! | `conditions` | validators, and whether the client has it already |
//! | `range` | which bytes are wanted |
//! | `media_type` | what a file is, by its name |

mod conditions;
mod locate;
mod media_type;
mod range;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::event_loop::{EventLoop, PoolError};
use crate::ground::{Deferred, Failure};
use crate::http::method::Method;
use crate::http::request::Request;
use crate::http::response::{Payload, Response, StatusError};
use crate::http::status::Status;
use conditions::{Answer, Validators};
use locate::{Found, Root};

/// A file of at most this size is read in one go, with the opening of it: one trip to a worker.
const AT_ONCE: u64 = 64 * 1024;

/// A larger one is read in pieces of this size, of which two are in memory.
const PIECE: u64 = 64 * 1024;

/// The files of a folder, as a handler: see [`Server::files`](super::Server::files).
///
/// * A path leads to a file under the root or nowhere. `..`, also percent-encoded, is refused, and a symbolic link that
///   leads out is not followed (on Linux 5.6 and later by the kernel itself, `RESOLVE_BENEATH`, so that nobody can exchange
///   a folder for a link in between; such links must be relative). What is neither file nor folder is not served, and
///   names with a leading dot are not, except `.well-known`.
/// * A folder is its `index.html`; one that is asked for without its slash is redirected.
/// * `ETag`, `Last-Modified`; `If-Match`, `If-None-Match`, `If-Modified-Since`, `If-Unmodified-Since`, `If-Range`
///   (RFC 9110, 13).
/// * `Range` with one range (RFC 9110, 14). Several at a time are answered by the whole file, as RFC 9110, 14.2 lets a
///   server do.
///
/// Files are opened and read on the loop's worker pool, in pieces, no faster than the client takes them.
///
/// ```
/// use ropewalk::http::{Files, Server, StatusError, Status};
/// use ropewalk::{Address, Deferred, testing::MemoryLoop};
///
/// let test = MemoryLoop::new()?;
/// let files = Files::new("src")?;
/// // Files for those who have the key.
/// let server = Server::new().get("/code/{*path}", move |event_loop, request| {
///     match request.headers.get("X-Key") {
///         Some("open sesame") => files.respond(event_loop, &request, request.param("path").unwrap_or("")),
///         _ => Deferred::fail(StatusError::new(Status::FORBIDDEN, "no key")),
///     }
/// });
/// let site = server.start(&test)?;
/// let ask = |head: &str| {
///     let peer = test.connected(site.protocol(&Address::Memory));
///     peer.send(format!("GET /code/{head}\r\n\r\n"));
///     peer
/// };
/// assert!(ask("lib.rs HTTP/1.0").text().ends_with("403 Forbidden: no key\n"));
/// let peer = ask("lib.rs HTTP/1.0\r\nX-Key: open sesame");
/// while peer.text().is_empty() {
///     test.turn(None).expect("a worker reads it");
/// }
/// assert!(peer.text().starts_with("HTTP/1.1 200 OK\r\n"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Files {
    root: Arc<Root>,
}

/// What a worker found out about a request.
struct Opened {
    file: File,
    size: u64,
    validators: Validators,
    media_type: &'static str,
    /// The whole of it, if it is small.
    bytes: Option<Vec<u8>>,
}

impl Files {
    /// The files under this folder.
    ///
    /// # Errors
    ///
    /// It is no folder that can be opened.
    pub fn new(root: impl AsRef<Path>) -> io::Result<Files> {
        Ok(Files { root: Arc::new(Root::open(root.as_ref())?) })
    }

    /// The folder, without symbolic links.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Answers a request for what lies at `path` under the root: percent-encoded, with or without a slash before it.
    ///
    /// # Errors
    ///
    /// Fails with [`StatusError`] where there is nothing to be served, and with the system's error where a file cannot
    /// be read.
    pub fn respond(&self, event_loop: &EventLoop, request: &Request, path: &str) -> Deferred<Response> {
        if !matches!(request.method, Method::Get | Method::Head) {
            let response = Response::from(Status::METHOD_NOT_ALLOWED).header("Allow", "GET, HEAD");
            return Deferred::succeed(response);
        }
        let segments = match locate::segments(path) {
            Ok(segments) => segments,
            Err(error) => return Deferred::fail(error),
        };
        let (root, head) = (self.root.clone(), request.method == Method::Head);
        let wants_folder = path.is_empty() || path.ends_with('/');
        let found = event_loop.defer_to_thread(move || find(&root, &segments, wants_folder, head));
        let request_head = request.head.clone();
        found
            .own_step("serve file")
            .add_callback(move |found| match found {
                None => Ok(Response::redirect(Status::MOVED_PERMANENTLY, with_slash(&request_head))),
                Some(opened) => Ok(opened.answer(&request_head)),
            })
            .own_step("serve file")
            .add_errback(|failure| {
                failure.trap::<PoolError>().and_then(|_| {
                    Err::<Response, _>(StatusError::new(Status::SERVICE_UNAVAILABLE, "too much to do").into())
                })
            })
    }
}

/// Opens what lies there; `None` is a folder that was asked for as if it were a file.
fn find(root: &Root, segments: &[Vec<u8>], wants_folder: bool, head: bool) -> Result<Option<Opened>, Failure> {
    let relative = locate::relative(segments);
    let opened = match root.open_beneath(&relative)? {
        Found::File(_) if wants_folder => return Err(locate::nothing()),
        Found::File(file) => (file, relative),
        Found::Folder if !wants_folder => return Ok(None),
        Found::Folder => {
            let index = relative.join("index.html");
            match root.open_beneath(&index)? {
                Found::File(file) => (file, index),
                Found::Folder => return Err(locate::nothing()),
            }
        }
    };
    Opened::new(opened.0, &opened.1, head).map(Some)
}

impl Opened {
    fn new(file: File, path: &Path, head: bool) -> Result<Opened, Failure> {
        let metadata = file.metadata()?;
        let size = metadata.len();
        let mut bytes = None;
        if size <= AT_ONCE && !head {
            let mut all = vec![0; size as usize];
            file.read_exact_at(&mut all, 0)?;
            bytes = Some(all);
        }
        let validators = Validators::of(&metadata);
        Ok(Opened { file, size, validators, media_type: media_type::of(path), bytes })
    }

    fn answer(self, request: &super::RequestHead) -> Response {
        let wanted = match self.validators.check(request) {
            Answer::NotModified => return self.validators.describe(Response::new(Status::NOT_MODIFIED)),
            Answer::Failed => return Response::from(Status::PRECONDITION_FAILED),
            Answer::Whole => range::Wanted::Whole,
            Answer::Range(range) => range::wanted(range, self.size),
        };
        let described = |response: Response| self.validators.describe(response).header("Accept-Ranges", "bytes");
        let (response, start, length) = match wanted {
            range::Wanted::Whole => (described(Response::new(Status::OK)), 0, self.size),
            range::Wanted::Part { start, length } => {
                let content_range = format!("bytes {start}-{}/{}", start + length - 1, self.size);
                let response = described(Response::new(Status::PARTIAL_CONTENT));
                (response.header("Content-Range", content_range), start, length)
            }
            range::Wanted::None => {
                return described(Response::from(Status::RANGE_NOT_SATISFIABLE))
                    .header("Content-Range", format!("bytes */{}", self.size));
            }
        };
        let mut response = response.content_type(self.media_type);
        response.body = match (request.method == Method::Head, self.bytes) {
            (true, _) => Payload::Length(length),
            (false, Some(mut bytes)) => {
                // All of it was read, and the range lies in it.
                bytes.truncate((start + length) as usize);
                bytes.drain(..start as usize);
                Payload::Bytes(bytes.into())
            }
            // Not `send_file`: how far it is, and whether its client takes anything, is the server's to watch.
            (false, None) => Response::pieces(Some(length), pieces(self.file, start, length)).body,
        };
        response
    }
}

/// Reads a part of a file piece by piece, on the worker pool.
fn pieces(file: File, start: u64, length: u64) -> impl FnMut(&EventLoop) -> Deferred<Option<Vec<u8>>> {
    let (file, mut at, end) = (Arc::new(file), start, start + length);
    move |event_loop| {
        let size = (end - at).min(PIECE);
        if size == 0 {
            return Deferred::succeed(None);
        }
        let (file, from) = (file.clone(), at);
        at += size;
        event_loop.defer_to_thread(move || {
            let mut piece = vec![0; size as usize];
            // A file that was made shorter meanwhile is an error, which breaks the connection off: its length was said.
            file.read_exact_at(&mut piece, from)?;
            Ok(Some(piece))
        })
    }
}

/// The place of a folder that was asked for without its slash.
fn with_slash(request: &super::RequestHead) -> String {
    match request.query() {
        Some(query) => format!("{}/?{query}", request.path()),
        None => format!("{}/", request.path()),
    }
}

impl super::Server {
    /// Serves the files of a folder below a path: GET and HEAD of `path/name` are answered by what lies at `name` in it.
    /// See [`Files`] for what that means.
    ///
    /// ```
    /// use ropewalk::EventLoop;
    /// use ropewalk::http::Server;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let site = Server::new().files("/", ".")?.listen(&event_loop, "127.0.0.1:0")?;
    /// # drop(site);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// It is no folder that can be opened.
    #[track_caller]
    pub fn files(self, path: &str, root: impl AsRef<Path>) -> io::Result<super::Server> {
        let prefix = path.trim_end_matches('/').to_owned();
        let files = Files::new(root)?;
        let handler = move |files: &Files, prefix: &str, event_loop: &EventLoop, request: &Request| {
            let path = request.path();
            files.respond(event_loop, request, path.strip_prefix(prefix).unwrap_or(path))
        };
        let (own, at) = (files.clone(), prefix.clone());
        let server = self.get(&format!("{prefix}/{{*path}}"), move |event_loop, request: Request| {
            handler(&own, &at, event_loop, &request)
        });
        let at = prefix.clone();
        Ok(server.get(&format!("{prefix}/"), move |event_loop, request: Request| {
            handler(&files, &at, event_loop, &request)
        }))
    }
}
