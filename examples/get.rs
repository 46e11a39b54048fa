//! Gets what is at a URL and writes it to standard output, piece by piece.
//!
//! ```text
//! cargo run --features http-client,tls --example get -- https://example.org/ > page.html
//! cargo run --features http-client,tls --example get -- https://localhost:8443/ root.pem
//! ```
//!
//! Any error, a status of 4xx or 5xx included, is told on standard error: the URL, the phase, and why. The exit code is 1
//! then. The whole body is never in memory. With a second argument only the root certificates in that file are trusted.

#[path = "support/program.rs"]
mod program;

use program::{Usage, put};
use ropewalk::http::{ClientRequest, ClientResponse};
use ropewalk::{EventLoop, Failure};
use std::process::ExitCode;

fn main() -> ExitCode {
    env_logger::init();
    program::run("get URL [ROOTS.pem]", |arguments| {
        let request = match arguments {
            [url] => ClientRequest::get(url),
            [url, roots] => trusting(ClientRequest::get(url), roots)?,
            _ => return Err(Usage.into()),
        };
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        let written = request
            .max_body(u64::MAX) // It goes through, and is not kept.
            .without_timeout()
            .send(&event_loop)
            .add_callback(ClientResponse::error_for_status)
            .add_callback(|mut response| response.take_body().for_each(|piece| put(piece).map_err(Failure::from)));
        Ok(event_loop.run_until(written)?)
    })
}

#[cfg(feature = "tls")]
fn trusting(request: ClientRequest, roots: &str) -> Result<ClientRequest, Box<dyn std::error::Error>> {
    let roots = std::fs::read(roots).map_err(|error| format!("cannot read {roots}: {error}"))?;
    Ok(request.tls(&ropewalk::tls::TlsClient::with_roots_pem(&roots)?))
}

#[cfg(not(feature = "tls"))]
fn trusting(_: ClientRequest, _: &str) -> Result<ClientRequest, Box<dyn std::error::Error>> {
    Err("certificates are for https, which needs `--features tls`".into())
}
