//! The file while it is not complete. All of this runs on the worker pool.
//!
//! A part travels into each job and back. Whoever drops one removes its file, unless it is to be kept: so nothing is left
//! behind by a job that fails, is left out, or whose result nobody wants any more.

use std::fs::{File, Permissions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::note::{self, Note};
use crate::event_loop::fs::FsError;
use crate::http::client::problem::ClientProblem;

/// How often a name is tried that nobody else has.
const TRIES: u32 = 16;

/// So much of an earlier download is read in one job.
const AT_ONCE: usize = 1 << 20;

/// So long a name has room for what is added to it: the system's limit is 255 bytes.
const LONG_NAME: usize = 200;

/// What is to be written.
#[derive(Debug)]
pub(super) struct Target {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// A file, or nothing yet.
    File(Option<Permissions>),
    /// A character device: written to in place.
    Device,
}

impl Target {
    /// Looks at what is there.
    pub(super) fn look_at(path: PathBuf) -> Result<Target, FsError> {
        let wrong = |error| Err(FsError::new("write", &path, error));
        let kind = match std::fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kind::File(None),
            Err(error) => return wrong(error),
            Ok(found) if found.is_file() => Kind::File(Some(found.permissions())),
            Ok(found) if found.file_type().is_char_device() => Kind::Device,
            Ok(found) if found.is_dir() => return wrong(io::ErrorKind::IsADirectory.into()),
            Ok(_) => return wrong(io::Error::other("it is neither a file nor a character device")),
        };
        if path.file_name().is_none() {
            return wrong(io::ErrorKind::IsADirectory.into());
        }
        Ok(Target { path, kind })
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File(_))
    }

    /// The name with this behind it.
    fn beside(&self, more: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(more);
        self.path.with_file_name(name)
    }

    fn kept(&self) -> (PathBuf, PathBuf) {
        (self.beside(".part"), self.beside(".part.of"))
    }
}

pub(super) struct Part {
    target: PathBuf,
    /// Under which name it is written; `None` of a device.
    path: Option<PathBuf>,
    /// The note beside it, if it is to be kept.
    note: Option<PathBuf>,
    file: File,
    hasher: Option<Sha256>,
    /// How many bytes were written, or were there.
    bytes: u64,
    /// Nothing is to be done when it is dropped.
    settled: bool,
}

impl Drop for Part {
    fn drop(&mut self) {
        // What cannot be removed is no news to anybody.
        match (&self.path, &self.note) {
            _ if self.settled => {}
            (Some(_), Some(_)) if self.bytes > 0 => {}
            (path, note) => path.iter().chain(note).for_each(|path| drop(std::fs::remove_file(path))),
        }
    }
}

impl Part {
    fn new(target: &Target, file: File, path: Option<PathBuf>, note: Option<PathBuf>) -> Part {
        Part { target: target.path.clone(), path, note, file, hasher: None, bytes: 0, settled: false }
    }

    /// A part of its own, which is not kept.
    pub(super) fn create(target: &Target) -> Result<Part, FsError> {
        let fail = |error| FsError::new("create", &target.path, error);
        let mut options = File::options();
        options.write(true);
        let permissions = match &target.kind {
            Kind::Device => {
                let file = options.open(&target.path).map_err(|error| FsError::new("open", &target.path, error))?;
                return Ok(Part::new(target, file, None, None));
            }
            Kind::File(permissions) => permissions,
        };
        let mut tries = 0;
        let part = loop {
            let path = temporary(&target.path);
            match options.create_new(true).open(&path) {
                Ok(file) => break Part::new(target, file, Some(path), None),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => tries += 1,
                Err(error) => return Err(fail(error)),
            }
        };
        if let Some(permissions) = permissions {
            part.file.set_permissions(permissions.clone()).map_err(fail)?;
        }
        Ok(part)
    }

    /// A part that is kept, from its beginning, with a note of what it is of. One that was there is emptied.
    pub(super) fn create_kept(target: &Target, note: &Note) -> Result<Part, FsError> {
        let (path, note_path) = target.kept();
        let fail = |error| FsError::new("create", &path, error);
        let file = lock(&path, true)?.ok_or_else(|| fail(io::ErrorKind::NotFound.into()))?;
        let part = Part::new(target, file, Some(path.clone()), Some(note_path.clone()));
        part.file.set_len(0).map_err(fail)?;
        if let Kind::File(Some(permissions)) = &target.kind {
            part.file.set_permissions(permissions.clone()).map_err(fail)?;
        }
        std::fs::write(&note_path, note.to_string()).map_err(|error| FsError::new("write", &note_path, error))?;
        Ok(part)
    }

    /// What an earlier download of the same URL has left, if it can be used.
    pub(super) fn find(target: &Target, url: &str) -> Result<Option<(Part, Note)>, FsError> {
        let (path, note_path) = target.kept();
        let Some(mut file) = lock(&path, false)? else { return Ok(None) };
        let bytes = file.seek(SeekFrom::End(0)).map_err(|error| FsError::new("read", &path, error))?;
        let note = Note::read(&note_path).filter(|note| bytes > 0 && note.is_of(url));
        Ok(note.map(|note| {
            let mut part = Part::new(target, file, Some(path), Some(note_path));
            part.bytes = bytes;
            (part, note)
        }))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Begins to compute what the whole is to be compared with.
    pub(super) fn hash(&mut self) {
        self.hasher = Some(Sha256::new());
    }

    /// Hashes what is there already, a part of it: answers where to go on.
    pub(super) fn hash_existing(mut self, from: u64) -> Result<(Part, u64), FsError> {
        let mut buffer = vec![0; AT_ONCE];
        let read = self.file.read_at(&mut buffer, from);
        let n = read.map_err(|error| FsError::new("read", self.path(), error))?;
        if n == 0 && from < self.bytes {
            let short = io::Error::new(io::ErrorKind::UnexpectedEof, "somebody else has cut it off");
            return Err(FsError::new("read", self.path(), short));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..n]);
        }
        Ok((self, from + n as u64))
    }

    fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(&self.target)
    }

    /// Writes at its end.
    pub(super) fn write(mut self, mut data: &[u8]) -> Result<Part, FsError> {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(data);
        }
        while !data.is_empty() {
            match self.file.write(data) {
                Ok(0) => return Err(FsError::new("write", &self.target, io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    self.bytes += n as u64;
                    data = &data[n..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(FsError::new("write", &self.target, error)),
            }
        }
        Ok(self)
    }

    /// Nobody needs it: it is removed, or kept if it is to be.
    pub(super) fn let_go(self) -> Result<(), FsError> {
        drop(self);
        Ok(())
    }

    /// It is removed, whatever was said.
    pub(super) fn forget(mut self) -> Result<(), FsError> {
        self.bytes = 0;
        self.let_go()
    }

    /// It is whole: it gets its name, unless it is not what it should be.
    pub(super) fn finish(mut self, sha256: Option<[u8; 32]>) -> Result<Result<u64, ClientProblem>, FsError> {
        if let (Some(expected), Some(hasher)) = (sha256, self.hasher.take()) {
            let found: [u8; 32] = hasher.finalize().into();
            if found != expected {
                self.forget()?;
                let (expected, found) = (note::hex(&expected), note::hex(&found));
                return Ok(Err(ClientProblem::Checksum { expected, found }));
            }
        }
        if let Some(path) = &self.path {
            self.file.sync_all().map_err(|error| FsError::new("sync", &self.target, error))?;
            std::fs::rename(path, &self.target).map_err(|error| FsError::new("replace", &self.target, error))?;
            self.settled = true;
            if let Some(note) = &self.note {
                drop(std::fs::remove_file(note));
            }
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            // The new name is on the disk too. Not every file system can be asked for it.
            drop(File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()));
        }
        Ok(Ok(self.bytes))
    }
}

/// A name beside the target that nobody else has.
fn temporary(target: &Path) -> PathBuf {
    let number = RandomState::new().build_hasher().finish();
    let name = target.file_name().unwrap_or_default();
    let mut hidden = std::ffi::OsString::from(".");
    if name.len() <= LONG_NAME {
        hidden.push(name);
        hidden.push(".");
    }
    hidden.push(format!("{number:016x}.part"));
    target.with_file_name(hidden)
}

/// Opens a part and locks it. `None`: it is not there, and is not to be.
fn lock(path: &Path, create: bool) -> Result<Option<File>, FsError> {
    let mut options = File::options();
    options.read(true).write(true).create(create).truncate(false);
    for _ in 0..TRIES {
        let file = match options.open(path) {
            Ok(file) => file,
            Err(error) if !create && error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FsError::new("open", path, error)),
        };
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let busy = io::Error::new(io::ErrorKind::WouldBlock, "another download is writing it");
                return Err(FsError::new("lock", path, busy));
            }
            Err(error) => return Err(FsError::new("lock", path, error.into())),
        }
        // Whoever had the lock before may have completed it: then it has another name, and is none of ours.
        let same = |found: std::fs::Metadata| file.metadata().is_ok_and(|own| own.ino() == found.ino());
        if std::fs::metadata(path).is_ok_and(same) {
            return Ok(Some(file));
        }
    }
    Err(FsError::new("lock", path, io::Error::other("it is another file each time")))
}
