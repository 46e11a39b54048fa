//! Files without stalling the loop: each call runs on the loop's worker pool and answers with a Deferred.
//!
//! A regular file is always "ready", yet reading it may wait for a disk. That is why files go to threads and sockets
//! do not. Calls on different files, and calls on one file that do not wait for each other, run in any order: chain
//! them where the order matters.
//!
//! ```
//! use ropewalk::{EventLoop, fs};
//!
//! let event_loop = EventLoop::new()?;
//! let dir = std::env::temp_dir().join(format!("ropewalk-fs-doc-{}", std::process::id()));
//! let path = dir.clone();
//! let handle = event_loop.handle();
//! std::fs::create_dir_all(&dir)?;
//! let text = fs::write(&event_loop, dir.join("poem"), "If I were...".into())
//!     .add_callback(move |()| handle.with_deferred(|event_loop| fs::read_to_string(event_loop, path.join("poem"))));
//! assert_eq!(event_loop.run_until(text).map_err(Box::<dyn std::error::Error>::from)?, "If I were...");
//! # std::fs::remove_dir_all(dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::EventLoop;
use crate::ground::{Deferred, Failure};
use crate::trace::Place;
use std::fmt;
use std::fs::Metadata;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use std::fs::OpenOptions;

/// A file operation that failed: what was tried, on which path, and the system's error.
///
/// ```
/// use ropewalk::{EventLoop, fs};
/// use std::{io, path::Path};
///
/// let event_loop = EventLoop::new()?;
/// let failure = event_loop.run_until(fs::read(&event_loop, "no/such/poem")).unwrap_err();
/// let error = failure.check::<fs::FsError>().expect("all of `fs` fails with it");
/// assert_eq!((error.operation(), error.path()), ("read", Path::new("no/such/poem")));
/// assert_eq!(error.io_error().kind(), io::ErrorKind::NotFound);
/// assert!(error.to_string().starts_with("cannot read no/such/poem: "));
/// # Ok::<(), io::Error>(())
/// ```
#[derive(Debug)]
pub struct FsError {
    operation: &'static str,
    path: Arc<Path>,
    source: io::Error,
}

impl FsError {
    /// For work on files that is not here.
    #[cfg(feature = "http-client")]
    pub(crate) fn new(operation: &'static str, path: &Path, source: io::Error) -> FsError {
        FsError { operation, path: path.into(), source }
    }

    /// What was tried: `open`, `read`, `write`, ...
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The path it was tried on.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The system's error.
    pub fn io_error(&self) -> &io::Error {
        &self.source
    }
}

impl fmt::Display for FsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.operation, self.path.display(), self.source)
    }
}

impl std::error::Error for FsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Runs one operation on the pool; its error says what was tried and on which path.
#[track_caller]
fn on_pool<T: Send + 'static>(
    event_loop: &EventLoop,
    operation: &'static str,
    path: Arc<Path>,
    f: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Deferred<T> {
    on_pool_at(event_loop, Location::caller(), operation, path, f)
}

fn on_pool_at<T: Send + 'static>(
    event_loop: &EventLoop,
    asked: Place,
    operation: &'static str,
    path: Arc<Path>,
    f: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Deferred<T> {
    event_loop.defer_to_thread_at(asked, move || {
        f(&path).map_err(|source| Failure::raised_at(FsError { operation, path: path.clone(), source }, asked))
    })
}

/// Reads a whole file. For a file of unknown size, [`open`] it and [`read`](File::read) in chunks.
///
/// # Errors
///
/// Fails with [`FsError`].
///
/// ```
/// use ropewalk::{EventLoop, fs};
///
/// let event_loop = EventLoop::new()?;
/// let path = std::env::temp_dir().join(format!("ropewalk-doc-read-{}", std::process::id()));
/// std::fs::write(&path, "If I were")?;
/// assert_eq!(event_loop.run_until(fs::read(&event_loop, &path))?, b"If I were");
/// std::fs::remove_file(&path)?;
/// assert!(event_loop.run_until(fs::read(&event_loop, &path)).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn read(event_loop: &EventLoop, path: impl Into<PathBuf>) -> Deferred<Vec<u8>> {
    on_pool(event_loop, "read", path.into().into(), |path| std::fs::read(path))
}

/// Reads a whole file as UTF-8 text.
///
/// # Errors
///
/// Fails with [`FsError`]; text that is no UTF-8 is `InvalidData`.
///
/// ```
/// use ropewalk::{EventLoop, fs};
///
/// let event_loop = EventLoop::new()?;
/// let manifest = event_loop.run_until(fs::read_to_string(&event_loop, "Cargo.toml"))?;
/// assert!(manifest.contains("name = \"ropewalk\""));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn read_to_string(event_loop: &EventLoop, path: impl Into<PathBuf>) -> Deferred<String> {
    on_pool(event_loop, "read", path.into().into(), |path| std::fs::read_to_string(path))
}

/// Writes a whole file, new or in place of the old one. After an error the file may hold a part of the data.
///
/// # Errors
///
/// Fails with [`FsError`].
///
/// ```
/// use ropewalk::{EventLoop, fs};
///
/// let event_loop = EventLoop::new()?;
/// let path = std::env::temp_dir().join(format!("ropewalk-doc-write-{}", std::process::id()));
/// event_loop.run_until(fs::write(&event_loop, &path, b"If I were".to_vec()))?;
/// assert_eq!(std::fs::read_to_string(&path)?, "If I were");
/// event_loop.run_until(fs::remove(&event_loop, &path))?;
/// assert!(!path.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn write(event_loop: &EventLoop, path: impl Into<PathBuf>, data: Vec<u8>) -> Deferred<()> {
    on_pool(event_loop, "write", path.into().into(), move |path| std::fs::write(path, data))
}

/// Asks for a file's size, kind and times.
///
/// # Errors
///
/// Fails with [`FsError`].
///
/// ```
/// use ropewalk::{EventLoop, fs};
///
/// let event_loop = EventLoop::new()?;
/// let about = event_loop.run_until(fs::stat(&event_loop, "Cargo.toml"))?;
/// assert!(about.is_file() && about.len() > 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn stat(event_loop: &EventLoop, path: impl Into<PathBuf>) -> Deferred<Metadata> {
    on_pool(event_loop, "stat", path.into().into(), |path| std::fs::metadata(path))
}

/// Renames a file; a file of the new name is replaced at once.
///
/// # Errors
///
/// Fails with [`FsError`], which names the old path.
///
/// ```
/// use ropewalk::{EventLoop, fs};
///
/// let event_loop = EventLoop::new()?;
/// let draft = std::env::temp_dir().join(format!("ropewalk-doc-draft-{}", std::process::id()));
/// let poem = draft.with_extension("poem");
/// std::fs::write(&draft, "If I were")?;
/// event_loop.run_until(fs::rename(&event_loop, &draft, &poem))?;
/// assert!(!draft.exists() && poem.exists());
/// # std::fs::remove_file(&poem)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn rename(event_loop: &EventLoop, from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Deferred<()> {
    let to = to.into();
    on_pool(event_loop, "rename", from.into().into(), move |from| std::fs::rename(from, to))
}

/// Removes a file.
///
/// # Errors
///
/// Fails with [`FsError`].
///
/// ```
/// use ropewalk::{EventLoop, fs};
///
/// let event_loop = EventLoop::new()?;
/// let path = std::env::temp_dir().join(format!("ropewalk-doc-remove-{}", std::process::id()));
/// std::fs::write(&path, "If I were")?;
/// event_loop.run_until(fs::remove(&event_loop, &path))?;
/// let again = event_loop.run_until(fs::remove(&event_loop, &path)).unwrap_err();
/// assert!(again.to_string().starts_with("cannot remove "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn remove(event_loop: &EventLoop, path: impl Into<PathBuf>) -> Deferred<()> {
    on_pool(event_loop, "remove", path.into().into(), |path| std::fs::remove_file(path))
}

/// Opens a file as `options` say.
///
/// # Errors
///
/// Fails with [`FsError`].
///
/// ```
/// use ropewalk::{EventLoop, fs};
///
/// let event_loop = EventLoop::new()?;
/// let path = std::env::temp_dir().join(format!("ropewalk-doc-open-{}", std::process::id()));
/// let mut new_only = fs::OpenOptions::new();
/// new_only.write(true).create_new(true);
/// let file = event_loop.run_until(fs::open(&event_loop, &path, new_only.clone()))?;
/// event_loop.run_until(file.write(&event_loop, b"If I were".to_vec()))?;
/// let again = event_loop.run_until(fs::open(&event_loop, &path, new_only)).unwrap_err();
/// let error = again.check::<fs::FsError>().unwrap().io_error();
/// assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn open(event_loop: &EventLoop, path: impl Into<PathBuf>, options: OpenOptions) -> Deferred<File> {
    let path: Arc<Path> = path.into().into();
    on_pool(event_loop, "open", path.clone(), move |path| options.open(path))
        .own_step("open")
        .map(move |file| File { file: Arc::new(file), path })
}

/// An open file. Cheap to clone: clones share the descriptor and its position. Closed with the last clone, once no
/// call on it runs.
///
/// ```
/// use ropewalk::{EventLoop, fs};
///
/// let event_loop = EventLoop::new()?;
/// let path = std::env::temp_dir().join(format!("ropewalk-doc-file-{}", std::process::id()));
/// std::fs::write(&path, "If I were")?;
/// let mut options = fs::OpenOptions::new();
/// options.read(true);
/// let file = event_loop.run_until(fs::open(&event_loop, &path, options))?;
/// assert_eq!(event_loop.run_until(file.read(&event_loop, 2))?, b"If");
/// assert_eq!(event_loop.run_until(file.read_at(&event_loop, 5, 100))?, b"were");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct File {
    file: Arc<std::fs::File>,
    path: Arc<Path>,
}

impl File {
    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    #[track_caller]
    fn on_pool<T: Send + 'static>(
        &self,
        event_loop: &EventLoop,
        operation: &'static str,
        f: impl FnOnce(&std::fs::File) -> io::Result<T> + Send + 'static,
    ) -> Deferred<T> {
        let file = self.file.clone();
        on_pool(event_loop, operation, self.path.clone(), move |_| f(&file))
    }

    /// Reads at most `max` bytes at the current position. An empty answer is the end of the file.
    ///
    /// # Errors
    ///
    /// Fails with [`FsError`].
    #[track_caller]
    pub fn read(&self, event_loop: &EventLoop, max: usize) -> Deferred<Vec<u8>> {
        self.on_pool(event_loop, "read", move |mut file| read_once(max, |buffer| file.read(buffer)))
    }

    /// Reads at most `max` bytes at `offset`; the position stays as it is.
    ///
    /// # Errors
    ///
    /// Fails with [`FsError`].
    #[track_caller]
    pub fn read_at(&self, event_loop: &EventLoop, offset: u64, max: usize) -> Deferred<Vec<u8>> {
        self.read_at_for(event_loop, Location::caller(), offset, max)
    }

    /// The same for somebody else: `place` is the line of the program that caused it.
    pub(crate) fn read_at_for(
        &self,
        event_loop: &EventLoop,
        place: Place,
        offset: u64,
        max: usize,
    ) -> Deferred<Vec<u8>> {
        let file = self.file.clone();
        on_pool_at(event_loop, place, "read", self.path.clone(), move |_| {
            read_once(max, |buffer| file.read_at(buffer, offset))
        })
    }

    /// Writes all of `data` at the current position.
    ///
    /// # Errors
    ///
    /// Fails with [`FsError`]; a part of the data may have been written.
    #[track_caller]
    pub fn write(&self, event_loop: &EventLoop, data: Vec<u8>) -> Deferred<()> {
        self.on_pool(event_loop, "write", move |mut file| file.write_all(&data))
    }

    /// Moves the position; answers the new one, in bytes from the start.
    ///
    /// # Errors
    ///
    /// Fails with [`FsError`].
    #[track_caller]
    pub fn seek(&self, event_loop: &EventLoop, to: SeekFrom) -> Deferred<u64> {
        self.on_pool(event_loop, "seek in", move |mut file| file.seek(to))
    }

    /// Waits until the data is on the disk.
    ///
    /// # Errors
    ///
    /// Fails with [`FsError`].
    ///
    /// ```
    /// use ropewalk::{EventLoop, fs};
    /// use std::io::SeekFrom;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let path = std::env::temp_dir().join(format!("ropewalk-doc-sync-{}", std::process::id()));
    /// let mut options = fs::OpenOptions::new();
    /// options.read(true).write(true).create(true);
    /// let file = event_loop.run_until(fs::open(&event_loop, &path, options))?;
    /// event_loop.run_until(file.write(&event_loop, b"If I were".to_vec()))?;
    /// event_loop.run_until(file.sync(&event_loop))?; // a crash of the machine loses nothing now
    /// assert_eq!(event_loop.run_until(file.seek(&event_loop, SeekFrom::End(-4)))?, 5);
    /// assert_eq!(event_loop.run_until(file.read(&event_loop, 100))?, b"were");
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn sync(&self, event_loop: &EventLoop) -> Deferred<()> {
        self.on_pool(event_loop, "sync", |file| file.sync_all())
    }

    /// Asks for the file's size, kind and times.
    ///
    /// # Errors
    ///
    /// Fails with [`FsError`].
    #[track_caller]
    pub fn stat(&self, event_loop: &EventLoop) -> Deferred<Metadata> {
        self.stat_for(event_loop, Location::caller())
    }

    /// The same for somebody else: `place` is the line of the program that caused it.
    pub(crate) fn stat_for(&self, event_loop: &EventLoop, place: Place) -> Deferred<Metadata> {
        let file = self.file.clone();
        on_pool_at(event_loop, place, "stat", self.path.clone(), move |_| file.metadata())
    }
}

fn read_once(max: usize, mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; max];
    loop {
        match read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(n) => {
                buffer.truncate(n);
                return Ok(buffer);
            }
        }
    }
}
