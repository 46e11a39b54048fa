//! The texts of source files, for those who show a trace.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest source file that is read: larger ones are not written by hand.
const LARGEST: u64 = 1 << 20;

/// The text of a source file of this program, by the path that its events tell: as it is, or below the folder of the
/// package that cargo runs. `None` if there is no such file here, if it is larger than 1 MiB, or no UTF-8.
///
/// It is the text of now. Whoever changed the file since the program was built sees another one than ran.
///
/// ```
/// use ropewalk::trace::{At, source_text};
///
/// let text = source_text("src/lib.rs").expect("cargo runs this in the package");
/// let at = At::new("src/lib.rs", 1, 1);
/// let line = text.lines().nth(at.line() as usize - 1);
/// assert_eq!(line, Some("//! A callback-based event loop in the spirit of early Twisted."));
/// assert_eq!(source_text("src/no_such_file.rs"), None);
/// ```
pub fn source_text(file: &str) -> Option<String> {
    let package = || Some(Path::new(&std::env::var_os("CARGO_MANIFEST_DIR")?).join(file));
    read(PathBuf::from(file)).or_else(|| read(package()?))
}

fn read(path: PathBuf) -> Option<String> {
    // A device or a pipe might never end.
    let is_source = path.extension().is_some_and(|extension| extension == "rs");
    if !(is_source && path.metadata().ok()?.is_file()) {
        return None;
    }
    let mut text = String::new();
    File::open(path).ok()?.take(LARGEST + 1).read_to_string(&mut text).ok()?;
    (text.len() as u64 <= LARGEST).then_some(text)
}
