//! A polite crawler: it reads `robots.txt`, stays on the server, and asks no faster than it is told to.
//!
//! ```text
//! cargo run --features http-client --example crawler                             a small site of its own
//! cargo run --features http-client --example crawler -- http://127.0.0.1:8000/   another one
//! cargo run --features http-client --example crawler -- http://127.0.0.1:8000/ --depth 2 --at-once 2 --per-second 5
//! ```
//!
//! Unless it is told otherwise it follows 5 links from page to page, has 4 requests on their way, makes 20 in a second, and
//! ends after 1000 pages. `crawl.rs` knows no socket and `page.rs` no loop: `tests/crawler.rs` needs no network, and its
//! seconds take no time.

mod crawl;
mod page;
#[path = "../support/program.rs"]
mod program;
mod site;

use crawl::{Limits, Visit, crawl};
use program::{Usage, say};
use ropewalk::http::{ClientRequest, ClientResponse};
use ropewalk::{Deferred, EventLoop};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use url::Url;

/// A page may have so many bytes.
const PAGE: usize = 1 << 20;

/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    env_logger::init();
    program::run("crawler [URL] [--depth N] [--at-once N] [--per-second N]", |arguments| {
        let (start, limits) = read(arguments)?;
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        let start = match start {
            Some(url) => Url::parse(&url).map_err(|error| format!("{url} is no URL: {error}"))?,
            None => {
                let site = site::server().listen(&event_loop, "127.0.0.1:0")?;
                let address = site.address().ok_or("the site has no address")?;
                format!("http://{address}/").parse()?
            }
        };
        let visits = event_loop.run_until(crawl(&event_loop, start, limits, Rc::new(fetch)))?;
        visits.iter().try_for_each(show)?;
        let failed = visits.iter().filter(|visit| visit.result.is_err()).count();
        say(format_args!("{} pages, {failed} of them failed", visits.len()))?;
        match visits.first() {
            None => Err("robots.txt does not allow the first page".into()),
            Some(first) if first.result.is_err() => Err("the first page did not come".into()),
            Some(_) => Ok(()),
        }
    })
}

/// Gets a page, if it is one.
fn fetch(event_loop: &EventLoop, url: &Url) -> Deferred<String> {
    ClientRequest::get(url)
        .header("User-Agent", "ropewalk-crawler")
        .timeout(PATIENCE)
        .send(event_loop)
        .add_callback(ClientResponse::error_for_status)
        .add_callback(|response| {
            let kind = response.headers().get("Content-Type").unwrap_or_default();
            match kind.starts_with("text/") {
                true => response.text(PAGE),
                false => Deferred::succeed(String::new()),
            }
        })
}

fn show(visit: &Visit) -> std::io::Result<()> {
    let Visit { url, depth, result } = visit;
    match result {
        Ok(links) => say(format_args!("{depth} {url} {links} links")),
        Err(failure) => say(format_args!("{depth} {url} failed: {failure}")),
    }
}

fn read(arguments: &[String]) -> Result<(Option<String>, Limits), Box<dyn std::error::Error>> {
    let mut limits = Limits { depth: 5, pages: 1000, at_once: 4, interval: Duration::from_secs(1) / 20 };
    let (start, mut options) = match arguments {
        [url, options @ ..] if !url.starts_with("--") => (Some(url.clone()), options),
        options => (None, options),
    };
    while let [name, value, rest @ ..] = options {
        let n: u32 = value.parse().map_err(|_| Usage)?;
        match (name.as_str(), n) {
            ("--depth", n) => limits.depth = n as usize,
            ("--at-once", 1..) => limits.at_once = n as usize,
            ("--per-second", 1..) => limits.interval = Duration::from_secs(1) / n,
            _ => return Err(Usage.into()),
        }
        options = rest;
    }
    if options.is_empty() { Ok((start, limits)) } else { Err(Usage.into()) }
}
