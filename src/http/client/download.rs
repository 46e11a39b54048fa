//! Downloads: what is at a URL into a file, whole or not at all.
//!
//! | module | what it is |
//! |---|---|
//! | `run` | the response on its way into the file, no faster than the disk takes it |
//! | `part` | the file while it is not complete; what the worker pool does with it |
//! | `note` | what a part is a part of, so that a later download goes on with it |
//!
//! ```text
//!  server --> body, held back --> a batch of pieces --> worker: hash, write --> sync --> rename
//! ```

mod note;
mod part;
mod run;

use std::fmt;
use std::panic::Location;
use std::path::{Path, PathBuf};

use super::ClientRequest;
use crate::event_loop::EventLoop;
use crate::ground::Deferred;

/// Downloads what is at a URL into a file. Twisted's `downloadPage`. [`Download`] has settings.
///
/// The file is there when it is whole: until then what has come is in a file of another name beside it. After an error,
/// and after cancelling, nothing is left, and a file that was there before is as it was.
///
/// # Errors
///
/// As for [`Download::start`].
///
/// ```
/// use ropewalk::EventLoop;
/// use ropewalk::http::{self, Server};
///
/// let event_loop = EventLoop::new()?;
/// let site = Server::new().get("/poem", |_, _| "If I were").listen(&event_loop, "127.0.0.1:0")?;
/// let path = std::env::temp_dir().join(format!("ropewalk-download-doc-{}", std::process::id()));
/// let url = format!("http://{}/poem", site.address().unwrap());
/// let done = event_loop.run_until(http::download(&event_loop, &url, &path))?;
/// assert_eq!(done.bytes(), 9);
/// assert_eq!(std::fs::read(&path)?, b"If I were");
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn download(event_loop: &EventLoop, url: impl AsRef<str>, path: impl AsRef<Path>) -> Deferred<Downloaded> {
    Download::new(url, path).start(event_loop)
}

type Progress = Box<dyn FnMut(u64, Option<u64>)>;

/// A download that is being set up. [`start`](Download::start) begins it.
///
/// What comes is written on the loop's worker pool, so a slow disk does not stall the loop; and the server waits for the
/// disk. At most some 1 MiB is in memory, however large the file is.
///
/// ```
/// use ropewalk::EventLoop;
/// use ropewalk::http::{Download, Server};
/// use std::time::Duration;
///
/// let event_loop = EventLoop::new()?;
/// let site = Server::new().get("/poem", |_, _| "If I were").listen(&event_loop, "127.0.0.1:0")?;
/// let path = std::env::temp_dir().join(format!("ropewalk-download-doc-2-{}", std::process::id()));
/// let done = Download::new(format!("http://{}/poem", site.address().unwrap()), &path)
///     .request(|request| request.header("Authorization", "Bearer poem").timeout(Duration::from_secs(60)))
///     .sha256("e92643e9ad0b91279449cd1a1530a4d3554e596dba7e89f782e73fe7517d09f5")
///     .on_progress(|bytes, total| println!("{bytes} of {total:?}"))
///     .start(&event_loop);
/// assert_eq!(event_loop.run_until(done)?.bytes(), 9);
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing is asked until it is started"]
pub struct Download {
    request: ClientRequest,
    path: PathBuf,
    sha256: Option<String>,
    resume: bool,
    progress: Option<Progress>,
}

impl Download {
    /// Of what is at this URL, into this file. There is no limit of size, and none of the whole time; the other limits
    /// are those of a [`ClientRequest`].
    ///
    /// A file that is there is replaced when the new one is whole, and keeps its permissions. A symbolic link is replaced
    /// itself. A character device, such as `/dev/null`, is written to as it comes. Anything else that is no file is an
    /// error.
    pub fn new(url: impl AsRef<str>, path: impl AsRef<Path>) -> Download {
        Download {
            request: ClientRequest::get(url).max_body(u64::MAX).without_timeout().decompress(false),
            path: path.as_ref().to_owned(),
            sha256: None,
            resume: false,
            progress: None,
        }
    }

    /// Changes the request: header fields, time limits, whom to trust.
    ///
    /// The body is written as it comes. The server is asked not to compress it.
    pub fn request(mut self, change: impl FnOnce(ClientRequest) -> ClientRequest) -> Download {
        self.request = change(self.request);
        self
    }

    /// What the SHA-256 of the whole must be, in 64 hexadecimal digits. If it is not, the download fails and the file is
    /// removed.
    pub fn sha256(mut self, hex: impl AsRef<str>) -> Download {
        self.sha256 = Some(hex.as_ref().to_owned());
        self
    }

    /// Whether what has come is kept after an error, or cancelling, and the next download goes on with it. It is not by
    /// default.
    ///
    /// It is kept as `NAME.part`, beside `NAME.part.of`, which says what it is a part of. The server is asked for the rest
    /// only (`Range`), unless it has changed since (`If-Range`): then, and if it does not know of ranges, all of it comes
    /// again. Nothing is kept of a server that gives neither a strong `ETag` nor a `Last-Modified` that is old enough to
    /// be trusted (RFC 9110, 8.8.2.2), nor of one that says `Accept-Ranges: none`. One download at a time may write a part.
    pub fn resume(mut self, on: bool) -> Download {
        self.resume = on;
        self
    }

    /// Has `progress` called with how many bytes there are, and how many there will be if the server says so: when the
    /// first response has come, and then with each piece. Bytes of an earlier download count. A panic of it ends the
    /// download.
    pub fn on_progress(mut self, progress: impl FnMut(u64, Option<u64>) + 'static) -> Download {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Begins. Nothing happens inside this call. The Deferred fires when the file is on the disk under its name.
    ///
    /// Cancelling closes the connection, and the file goes, on the worker pool; with the loop at the latest.
    ///
    /// # Errors
    ///
    /// Fails with [`ClientError`](super::ClientError), which names the URL and the phase. In the phase
    /// [`File`](super::ClientPhase::File) its cause is an [`FsError`](crate::fs::FsError): a folder that is not there, a
    /// full disk. A status other than 200 and its like is an error. So is a body that ends too early or is not what
    /// [`sha256`](Download::sha256) says.
    #[track_caller]
    pub fn start(self, event_loop: &EventLoop) -> Deferred<Downloaded> {
        run::start(self, event_loop, Location::caller())
    }
}

/// Without the values of its request's header fields.
impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("request", &self.request)
            .field("path", &self.path)
            .field("sha256", &self.sha256)
            .field("resume", &self.resume)
            .finish_non_exhaustive()
    }
}

/// A download that is complete.
///
/// ```
/// use ropewalk::EventLoop;
/// use ropewalk::http::{self, Response, Server, Status};
///
/// let event_loop = EventLoop::new()?;
/// let site = Server::new()
///     .get("/old", |_, _| Response::redirect(Status::FOUND, "/new"))
///     .get("/new", |_, _| "If I were")
///     .listen(&event_loop, "127.0.0.1:0")?;
/// let url = format!("http://{}/old", site.address().unwrap());
/// let path = std::env::temp_dir().join(format!("ropewalk-download-doc-3-{}", std::process::id()));
/// let done = event_loop.run_until(http::download(&event_loop, &url, &path))?;
/// assert!(done.url().ends_with("/new"));
/// assert_eq!((done.bytes(), done.resumed()), (9, 0));
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    url: String,
    bytes: u64,
    resumed: u64,
}

impl Downloaded {
    /// How many bytes the file has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many of them an earlier download had left there.
    pub fn resumed(&self) -> u64 {
        self.resumed
    }

    /// The URL that it is of: the last one, after redirections.
    pub fn url(&self) -> &str {
        &self.url
    }
}
