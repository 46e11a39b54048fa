//! What every suite needs: a clock of CPU time, a count of allocations, and the output line.

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// One more. A load and a store, because a locked addition would be a part of what is measured; exact while one thread
/// allocates.
fn count() {
    ALLOCATIONS.store(ALLOCATIONS.load(Relaxed) + 1, Relaxed);
}

// SAFETY: every call goes to `System` with the arguments it came with; counting touches no memory of the allocator.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `alloc`'s contract, which is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: `pointer` came from `System` with this layout, and the caller keeps `realloc`'s contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations and reallocations there were.
pub(crate) fn allocations() -> u64 {
    ALLOCATIONS.load(Relaxed)
}

/// The CPU time of this process in nanoseconds.
pub(crate) fn cpu() -> u64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Prints one figure.
pub(crate) fn say(name: &str, value: f64, unit: &str) {
    println!("{name} {value:.2} {unit}");
}

/// Runs `f`, which does `n` operations, and prints the CPU time of each.
pub(crate) fn timed<R>(name: &str, n: usize, f: impl FnOnce() -> R) -> R {
    let start = cpu();
    let result = f();
    say(name, (cpu() - start) as f64 / n as f64, "ns");
    result
}

/// The same numbers in each run, and for each peer.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Random {
        Random(88_172_645_463_325_252)
    }

    /// Marsaglia's xorshift64.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Keeps this thread on one CPU.
pub(crate) fn pin(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// The memory of this process now, in KiB.
pub(crate) fn resident_kib() -> io::Result<u64> {
    from_proc("/proc/self/status", "VmRSS:")
}

/// The most memory that it had, in KiB.
pub(crate) fn peak_kib() -> io::Result<u64> {
    from_proc("/proc/self/status", "VmHWM:")
}

/// How many `write` calls it made.
pub(crate) fn write_calls() -> io::Result<u64> {
    from_proc("/proc/self/io", "syscw:")
}

fn from_proc(file: &str, key: &str) -> io::Result<u64> {
    let text = std::fs::read_to_string(file)?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok());
    value.ok_or_else(|| io::Error::other(format!("{file} has no {key}")))
}
