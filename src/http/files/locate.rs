//! A request's path to a file under the root, and nowhere else.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::ground::Failure;
use crate::http::response::StatusError;
use crate::http::status::Status;

/// A folder that nothing leads out of.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    folder: OwnedFd,
}

pub(super) enum Found {
    File(File),
    Folder,
}

/// Not to wait for a FIFO's other end, not to become anybody's terminal.
const OPEN: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Root> {
        let told =
            |error: io::Error| io::Error::new(error.kind(), format!("cannot serve {}: {error}", path.display()));
        let real = path.canonicalize().map_err(told)?;
        let folder = rustix::fs::open(&real, OPEN.union(OFlags::DIRECTORY), Mode::empty());
        Ok(Root { folder: folder.map_err(|error| told(error.into()))?, path: real })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens what lies at a relative path without `..`.
    pub(super) fn open_beneath(&self, relative: &Path) -> Result<Found, Failure> {
        let file = self.open_as(relative).map_err(|error| refused(relative, error))?;
        let file = File::from(file);
        let kind = file.metadata()?.file_type();
        if kind.is_file() {
            Ok(Found::File(file))
        } else if kind.is_dir() {
            Ok(Found::Folder)
        } else {
            Err(nothing())
        }
    }

    #[cfg(target_os = "linux")]
    fn open_as(&self, relative: &Path) -> Result<OwnedFd, Errno> {
        use rustix::fs::{ResolveFlags, openat2};
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let mut again = 0;
        loop {
            match openat2(&self.folder, relative, OPEN, Mode::empty(), resolve) {
                // A kernel before 5.6, or a container that does not let it through.
                Err(Errno::NOSYS | Errno::PERM) => return self.open_checked(relative),
                // Something was renamed meanwhile, so that it cannot be sure.
                Err(Errno::AGAIN) if again < 16 => again += 1,
                other => return other,
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn open_as(&self, relative: &Path) -> Result<OwnedFd, Errno> {
        self.open_checked(relative)
    }

    /// The same by looking where the path really leads, and opening that without following a link at its end. Whoever may
    /// exchange folders of the root for links while it is served can win a race against this.
    fn open_checked(&self, relative: &Path) -> Result<OwnedFd, Errno> {
        let errno = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::NOENT);
        let real = self.path.join(relative).canonicalize().map_err(errno)?;
        if !real.starts_with(&self.path) {
            return Err(Errno::XDEV);
        }
        rustix::fs::open(&real, OPEN.union(OFlags::NOFOLLOW), Mode::empty())
    }
}

/// What the client is told of a path that cannot be opened.
fn refused(relative: &Path, error: Errno) -> Failure {
    match error {
        // The last two: it leads out of the root, or in circles. That is nobody's business but ours.
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::NXIO | Errno::XDEV | Errno::LOOP => nothing(),
        Errno::ACCESS | Errno::PERM => StatusError::new(Status::FORBIDDEN, "").into(),
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => {
            StatusError::new(Status::SERVICE_UNAVAILABLE, "too many files are open").into()
        }
        other => {
            let error = io::Error::from(other);
            io::Error::new(error.kind(), format!("cannot open {}: {error}", relative.display())).into()
        }
    }
}

pub(super) fn nothing() -> Failure {
    StatusError::new(Status::NOT_FOUND, "").into()
}

/// The segments of a path, decoded; those that a file can lie under.
pub(super) fn segments(path: &str) -> Result<Vec<Vec<u8>>, Failure> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok(Vec::new());
    }
    path.split('/').map(|segment| decode(segment.as_bytes())).collect()
}

fn decode(segment: &[u8]) -> Result<Vec<u8>, Failure> {
    let bad = |why: &str| Failure::from(StatusError::new(Status::BAD_REQUEST, why));
    let mut decoded = Vec::with_capacity(segment.len());
    let mut rest = segment;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digit = |at: usize| after.get(at).and_then(|&byte| (byte as char).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else { return Err(bad("% without two digits")) };
        decoded.push((high * 16 + low) as u8);
        rest = &after[2..];
    }
    match &decoded[..] {
        hidden if hidden.contains(&0) => Err(bad("NUL in a path")),
        b".well-known" => Ok(decoded),
        // Nothing (`//`), `.` and `..`, names that are hidden, and what would be several segments.
        [] | [b'.', ..] => Err(nothing()),
        many if many.contains(&b'/') => Err(nothing()),
        _ => Ok(decoded),
    }
}

pub(super) fn relative(segments: &[Vec<u8>]) -> PathBuf {
    match segments {
        [] => PathBuf::from("."),
        segments => segments.iter().map(|segment| OsStr::from_bytes(segment)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_help_of_the_kernel_nothing_leads_out_either() {
        let dir = std::env::temp_dir().join(format!("ropewalk-locate-{}", std::process::id()));
        let (root, outside) = (dir.join("root"), dir.join("outside"));
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("in"), "in").unwrap();
        std::fs::write(&outside, "out").unwrap();
        std::os::unix::fs::symlink("../outside", root.join("leads-out")).unwrap();
        std::os::unix::fs::symlink("in", root.join("stays-in")).unwrap();
        let beneath = Root::open(&root).unwrap();
        for open in [Root::open_as, Root::open_checked] {
            assert!(open(&beneath, Path::new("in")).is_ok());
            assert!(open(&beneath, Path::new("stays-in")).is_ok());
            assert_eq!(open(&beneath, Path::new("leads-out")).unwrap_err(), Errno::XDEV);
            assert_eq!(open(&beneath, Path::new("none")).unwrap_err(), Errno::NOENT);
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
