//! How much, and how long.

use std::cell::Cell;
use std::time::Duration;

use super::access::AccessRecord;
use crate::http::limits::Limits;

pub(super) type AccessLog = Box<dyn FnMut(&AccessRecord)>;

/// What a body must bring in each second, over a whole period: as Apache's mod_reqtimeout has it.
pub(super) const LEAST_RATE: u64 = 500;

pub(super) struct Settings {
    pub(super) limits: Limits,
    pub(super) max_body: u64,
    pub(super) max_connections: usize,
    pub(super) max_connections_per_peer: usize,
    pub(super) head: Duration,
    pub(super) idle: Duration,
    pub(super) body: Duration,
    pub(super) write: Duration,
    pub(super) handler: Option<Duration>,
    pub(super) access_log: Option<AccessLog>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            limits: Limits::default(),
            max_body: 2 << 20,
            max_connections: 10_000,
            max_connections_per_peer: usize::MAX,
            head: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            body: Duration::from_secs(30),
            write: Duration::from_secs(30),
            handler: None,
            access_log: None,
        }
    }
}

/// A log, out of its place while it is called.
pub(super) type LogSlot = Cell<Option<AccessLog>>;
