//! How many files this process may have open: a connection is one, and all of them are open at once.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a process has open beside the connections: its loop, the pool, the listeners and the standard streams.
const OTHERS: u64 = 100;

/// Makes sure that this process, and those that it starts, may have so many connections. The soft limit is raised if the
/// hard one allows it.
pub(crate) fn allow(connections: usize) -> Result<(), String> {
    let wanted = connections as u64 + OTHERS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // `None` is no limit.
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    if maximum.is_none_or(|maximum| maximum >= wanted)
        && setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).is_ok()
    {
        return Ok(());
    }
    let allowed = maximum.or(current).unwrap_or_default();
    Err(format!(
        "N = {connections} needs {wanted} open files, and this process may have {allowed} at most: choose another N \
         (up to {}), or raise the limit (ulimit -n {wanted})",
        allowed.saturating_sub(OTHERS)
    ))
}
