//! The blocking model: read, write, read, write. Each call waits for the disk, and everybody waits with it.

use super::job::{CHUNK, Job, failed};
use std::io::{self, Read, Write};

/// Copies the file. Answers how many bytes it had.
pub(crate) fn copy(job: &Job) -> io::Result<u64> {
    let mut from = job.reading().open(&job.from).map_err(|e| failed("open", &job.from, &e))?;
    let mut to = job.writing().open(job.target()).map_err(|e| failed("open", job.target(), &e))?;
    let mut chunk = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        let n = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed("read", &job.from, &error)),
        };
        to.write_all(&chunk[..n]).map_err(|e| failed("write", job.target(), &e))?;
        bytes += n as u64;
    }
    if job.is_part() {
        std::fs::rename(job.target(), &job.to).map_err(|e| failed("rename to", &job.to, &e))?;
    }
    Ok(bytes)
}
