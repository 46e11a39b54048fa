//! What all models share: which file to copy where, and how to open the two.

use ropewalk::fs::OpenOptions;
use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// How much is in memory at a time, in bytes: few enough to be nothing, enough that a trip to a worker thread does not
/// count.
pub(crate) const CHUNK: usize = 256 * 1024;

/// A file to copy.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
    /// Where the copy grows. `None` if `to` is a device or a pipe, which cannot be replaced by a file.
    part: Option<PathBuf>,
    mode: u32,
}

impl Job {
    /// Looks at both ends.
    pub(crate) fn new(from: &str, to: &str) -> io::Result<Job> {
        let mode = match fs::metadata(from) {
            Ok(metadata) => metadata.permissions().mode() & 0o777,
            Err(error) => return Err(failed("copy", Path::new(from), &error)),
        };
        let (to, is_file) = match fs::metadata(to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (PathBuf::from(to), true),
            Err(error) => return Err(failed("write to", Path::new(to), &error)),
            // Through symbolic links: they stay, and what they point to is replaced.
            Ok(metadata) => (fs::canonicalize(to)?, metadata.is_file()),
        };
        let part = match to.file_name() {
            Some(name) if is_file => {
                let name = format!(".{}.{}.part", name.to_string_lossy(), std::process::id());
                Some(to.with_file_name(name))
            }
            _ => None,
        };
        Ok(Job { from: from.into(), to, part, mode })
    }

    /// Where to write.
    pub(crate) fn target(&self) -> &Path {
        self.part.as_deref().unwrap_or(&self.to)
    }

    /// Whether the target must be renamed when it is whole.
    pub(crate) fn is_part(&self) -> bool {
        self.part.is_some()
    }

    /// How to open `from`.
    pub(crate) fn reading(&self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true);
        options
    }

    /// How to open the target.
    pub(crate) fn writing(&self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.write(true).create_new(self.is_part()).mode(self.mode);
        options
    }

    /// Removes what there is of the copy.
    pub(crate) fn clean_up(&self) {
        if let Some(part) = &self.part
            && let Err(error) = fs::remove_file(part)
            && error.kind() != io::ErrorKind::NotFound
        {
            log::error!("{} is left: {error}", part.display());
        }
    }
}

/// An error that says what was tried with which file.
pub(crate) fn failed(operation: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {operation} {}: {error}", path.display()))
}
