//! Downloads what is at a URL into a file: whole, or not at all.
//!
//! ```text
//! cargo run --features http-client,tls --example download -- https://example.org/big.iso big.iso
//! cargo run --features http-client,tls --example download -- https://example.org/big.iso big.iso --resume --sha256 6c09db..
//! cargo run --features http-client     --example download -- http://127.0.0.1:8000/ page.html --model futures
//! ```
//!
//! `--model blocking`, `callbacks`, `deferreds` (the default) and `futures` do the same: read them in this order. On a
//! terminal a bar shows how far it is. Any error is told on standard error, and the exit code is 1 then; Ctrl-C ends it.
//! After either, no file is left: but with `--resume` what has come is kept, and the next time only the rest is asked for.
//! With `--roots FILE` only the root certificates in that file are trusted.

mod bar;
mod blocking;
mod callbacks;
mod deferreds;
mod futures;
#[path = "../support/program.rs"]
mod program;

use program::{Usage, say};
use ropewalk::http::{Download, Downloaded};
use ropewalk::{EventLoop, Failure};
use std::error::Error;
use std::process::ExitCode;

const USAGE: &str = "download URL PATH [--model blocking|callbacks|deferreds|futures] [--sha256 HEX] [--resume] \
                     [--roots ROOTS.pem]";

type Run = fn(EventLoop, Download) -> Result<Downloaded, Failure>;

fn main() -> ExitCode {
    env_logger::init();
    program::run(USAGE, |arguments| {
        let (download, path, run) = understand(arguments)?;
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        let bar = bar::Bar::new();
        let done = run(event_loop, bar.shows(download));
        bar.clear();
        let done = done?;
        let resumed = match done.resumed() {
            0 => String::new(),
            bytes => format!(", {bytes} of them from before"),
        };
        Ok(say(format_args!("{path}: {} bytes{resumed}", done.bytes()))?)
    })
}

/// What the arguments say: the download, its path, and the model.
fn understand(arguments: &[String]) -> Result<(Download, String, Run), Box<dyn Error>> {
    let mut places = Vec::new();
    let mut run: Run = deferreds::run;
    let (mut sha256, mut resume, mut roots) = (None, false, None);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--resume" => resume = true,
            "--sha256" => sha256 = Some(arguments.next().ok_or(Usage)?),
            "--roots" => roots = Some(arguments.next().ok_or(Usage)?),
            "--model" => {
                run = match arguments.next().ok_or(Usage)?.as_str() {
                    "blocking" => blocking::run,
                    "callbacks" => callbacks::run,
                    "deferreds" => deferreds::run,
                    "futures" => futures::run,
                    _ => return Err(Usage.into()),
                }
            }
            flag if flag.starts_with("--") => return Err(Usage.into()),
            place => places.push(place),
        }
    }
    let [url, path] = places[..] else { return Err(Usage.into()) };
    let mut download = Download::new(url, path).resume(resume);
    if let Some(hex) = sha256 {
        download = download.sha256(hex);
    }
    if let Some(roots) = roots {
        download = trusting(download, roots)?;
    }
    Ok((download, path.to_owned(), run))
}

#[cfg(feature = "tls")]
fn trusting(download: Download, roots: &str) -> Result<Download, Box<dyn Error>> {
    let roots = std::fs::read(roots).map_err(|error| format!("cannot read {roots}: {error}"))?;
    let tls = ropewalk::tls::TlsClient::with_roots_pem(&roots)?;
    Ok(download.request(|request| request.tls(&tls)))
}

#[cfg(not(feature = "tls"))]
fn trusting(_: Download, _: &str) -> Result<Download, Box<dyn Error>> {
    Err("certificates are for https, which needs `--features tls`".into())
}
