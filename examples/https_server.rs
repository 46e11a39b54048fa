//! A web server over TLS.
//!
//! ```text
//! cargo run --features tls --example https_server -- 8443 cert.pem key.pem docs
//! ```
//!
//! The same as `http_server`, with TLS under it: the handlers do not know. Without a folder `GET /` answers Hello, World!
//! The feature is asked for by hand, so that those who do not want TLS need not build it.

#[path = "support/program.rs"]
mod program;

use program::{Usage, say};
use ropewalk::http::{Response, Server};
use ropewalk::tls::TlsServer;
use ropewalk::{EventLoop, ListenTcp, Phase, SystemEvent};
use std::process::ExitCode;
use std::time::Duration;

/// How long a client may take to finish when the server ends.
const GRACE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    env_logger::init();
    program::run("https_server PORT CERTIFICATE.pem KEY.pem [DIR]", |arguments| {
        let (port, chain, key, server) = match arguments {
            [port, chain, key] => {
                (port, chain, key, Server::new().get("/", |_, _| Response::text("Hello, World!")))
            }
            [port, chain, key, dir] => (port, chain, key, Server::new().files("/", dir)?),
            _ => return Err(Usage.into()),
        };
        let port: u16 = port.parse().map_err(|_| Usage)?;
        let tls = TlsServer::from_pem(&std::fs::read(chain)?, &std::fs::read(key)?)?;
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        let site = server.start(&event_loop)?;
        let port = site.listen_tls(&event_loop, ListenTcp::new(("127.0.0.1", port)), &tls)?;
        event_loop.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, move |event_loop| {
            site.shutdown(event_loop, GRACE).map(|_| ())
        });
        say(format_args!("ready {}", port.address().port()))?;
        event_loop.run()?;
        Ok(())
    })
}
