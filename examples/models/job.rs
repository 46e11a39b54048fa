//! The job that each model does, and what it reports.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ropewalk::Failure;

/// How long a fetch may take. The servers are slow, but not that slow.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// The most that one poem may be, in bytes.
pub(crate) const LONGEST: usize = 4096;

/// Fetch `count` poems, each from a slow server, and write a line for each into `file`.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) count: usize,
    pub(crate) port: u16,
    pub(crate) file: PathBuf,
    /// Whether the servers shall never answer: to be cancelled.
    pub(crate) endless: bool,
}

impl Job {
    /// The server of poem `n`: one of eight loopback addresses, since one has too few ports for 10,000 connections many
    /// times over.
    pub(crate) fn server(&self, n: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 1, 1 + (n % 8) as u8], self.port))
    }

    /// What the server is asked.
    pub(crate) fn request(&self, n: usize) -> String {
        let verb = if self.endless { "wait" } else { "poem" };
        format!("{verb} {n} {}\n", self.count)
    }

    /// What the server sent, as a poem. A server that is broken hangs up without a word.
    pub(crate) fn poem(&self, n: usize, bytes: Vec<u8>) -> Result<String, Failure> {
        if bytes.is_empty() {
            return Err(Failure::from(io::Error::new(io::ErrorKind::UnexpectedEof, format!("server {n} hung up"))));
        }
        Ok(String::from_utf8(bytes)?)
    }
}

/// The results as the file has them, and the first error among them.
pub(crate) struct Results {
    pub(crate) text: String,
    pub(crate) error: Option<Failure>,
}

impl Results {
    pub(crate) fn of(results: impl IntoIterator<Item = Result<String, Failure>>) -> Results {
        let mut all = Results { text: String::new(), error: None };
        for (n, result) in results.into_iter().enumerate() {
            match result {
                Ok(poem) => all.text.push_str(&format!("{n}: {}\n", poem.trim_end())),
                Err(failure) => {
                    all.text.push_str(&format!("{n}: failed: {failure}\n"));
                    all.error.get_or_insert(failure);
                }
            }
        }
        all
    }
}
