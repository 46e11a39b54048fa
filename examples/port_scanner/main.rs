//! Which ports of a host are open?
//!
//! ```text
//! cargo run --example port_scanner -- 127.0.0.1 1-1024
//! cargo run --example port_scanner -- localhost 8000 250     (a time-out of 250 ms for each port, instead of a second)
//! ```
//!
//! At most 500 connections are tried at a time, and a port that does not answer in time is given up. `scan.rs` is the
//! program, and knows no socket: so its tests (`tests/port_scanner.rs`) need no network and no waiting. Scan only hosts
//! that are yours.

#[path = "../support/program.rs"]
mod program;
mod scan;

use program::{Usage, say};
use ropewalk::{EventLoop, Failure};
use scan::{Door, scan};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    env_logger::init();
    program::run("port_scanner HOST PORT[-PORT] [MILLISECONDS]", |arguments| {
        let (host, ports, milliseconds) = match arguments {
            [host, ports] => (host, ports, 1000),
            [host, ports, milliseconds] => (host, ports, milliseconds.parse().map_err(|_| Usage)?),
            _ => return Err(Usage.into()),
        };
        let ports = range(ports).ok_or(Usage)?;
        let event_loop = EventLoop::new()?;
        event_loop.stop_on_signals()?;
        // Once, and not once for each port.
        let addresses: Vec<IpAddr> = event_loop.run_until(event_loop.resolve(host))?;
        let address = *addresses.first().ok_or_else(|| Failure::msg("a host without an address"))?;

        let patience = Duration::from_millis(milliseconds);
        let doors = scan(&event_loop, ports, patience, move |event_loop, port, knock| {
            event_loop.connect_tcp((address, port), knock)
        });
        let doors = event_loop.run_until(doors)?;
        for (port, _) in doors.iter().filter(|(_, door)| *door == Door::Open) {
            say(format_args!("{port} open"))?;
        }
        let count = |wanted| doors.iter().filter(|(_, door)| *door == wanted).count();
        let [open, closed, silent] = [Door::Open, Door::Closed, Door::Silent].map(count);
        say(format_args!("{address}: {open} open, {closed} closed, {silent} silent"))?;
        Ok(())
    })
}

/// `22` or `1-1024`.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && first > 0).then_some(first..=last)
}
