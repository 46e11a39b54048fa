//! The bridge beside tokio's current_thread runtime and smol's local executor, in one run.
//!
//! ```text
//! cd benches && cargo run --release            # the table
//! cd benches && cargo run --release -- wake    # one row
//! ./profile                                    # user instructions for one operation, by callgrind
//! ```
//!
//! Each row does the same with each of the three, in turns, seven times, and shows the median: CPU time of the
//! process for one operation, and the allocations for it. smol has no cell for one result: a place is empty, and in the
//! row after it, it is its task that gives the result.

mod counting;
mod ropewalk_side;
mod smol_side;
mod tokio_side;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// One measured operation: how much CPU time and how many allocations it took.
#[derive(Clone, Copy, Default)]
struct Cost {
    nanos: f64,
    allocations: f64,
}

/// Measures `f`, which does `n` operations.
fn cost(n: u64, f: impl FnOnce()) -> Cost {
    let (allocations, start) = (counting::allocations(), counting::cpu());
    f();
    let (nanos, allocations) = (counting::cpu() - start, counting::allocations() - allocations);
    Cost { nanos: nanos as f64 / n as f64, allocations: allocations as f64 / n as f64 }
}

/// Pending `left` times, and wakes itself each time: what `yield_now` is, without anybody's own.
struct WakeSelf {
    left: u64,
}

impl Future for WakeSelf {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.left == 0 {
            return Poll::Ready(());
        }
        self.left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Woken by another thread, again and again: that thread waits for the poll, and wakes.
#[derive(Default)]
struct Elsewhere {
    waker: Mutex<Option<Waker>>,
    polled: AtomicU64,
    over: AtomicBool,
}

impl Elsewhere {
    /// The other thread: wakes when it sees a poll, `n` times.
    fn start(self: &Arc<Self>, n: u64) -> std::thread::JoinHandle<()> {
        let shared = self.clone();
        std::thread::spawn(move || {
            for round in 1..=n {
                while shared.polled.load(Ordering::Acquire) < round {
                    std::thread::yield_now();
                }
                let waker = shared.waker.lock().unwrap().clone();
                if round == n {
                    shared.over.store(true, Ordering::Release);
                }
                waker.unwrap().wake();
            }
        })
    }

    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        if self.over.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        *self.waker.lock().unwrap() = Some(context.waker().clone());
        self.polled.fetch_add(1, Ordering::AcqRel);
        Poll::Pending
    }
}

/// A row: its name, what each side does, and how many operations make one measurement.
type Side = fn(u64) -> Cost;
const ROWS: [(&str, &str, u64, [Option<Side>; 3]); 6] = [
    (
        "spawn",
        "spawn a task and let it complete",
        200_000,
        [Some(ropewalk_side::spawn), Some(tokio_side::spawn), Some(smol_side::spawn)],
    ),
    (
        "wake",
        "wake and poll a task on the same thread",
        1_000_000,
        [Some(ropewalk_side::wake), Some(tokio_side::wake), Some(smol_side::wake)],
    ),
    (
        "elsewhere",
        "wake from another thread and poll",
        20_000,
        [Some(ropewalk_side::elsewhere), Some(tokio_side::elsewhere), Some(smol_side::elsewhere)],
    ),
    (
        "ready",
        "await a result that is there (a Deferred; a oneshot)",
        1_000_000,
        [Some(ropewalk_side::ready), Some(tokio_side::ready), None],
    ),
    (
        "pending",
        "await a result that another task gives",
        200_000,
        [Some(ropewalk_side::pending), Some(tokio_side::pending), Some(smol_side::pending)],
    ),
    (
        "echo",
        "a message to an echo task and back, both ends on the loop",
        50_000,
        [Some(ropewalk_side::echo), Some(tokio_side::echo), Some(smol_side::echo)],
    ),
];

const ROUNDS: usize = 7;

fn main() {
    counting::pin();
    let mut arguments = std::env::args().skip(1);
    let only = arguments.next();
    // For a profiler: one side of one row, so many times, and nothing else.
    if let (Some(row), Some(side), Some(n)) = (&only, arguments.next(), arguments.next()) {
        return profiled(row, &side, n.parse().expect("a count"));
    }
    println!("{:<60}{:>20}{:>20}{:>20}", "ns, allocations", "ropewalk", "tokio", "smol");
    for (name, what, n, sides) in ROWS {
        if only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        let mut costs: [Vec<Cost>; 3] = Default::default();
        for _ in 0..ROUNDS {
            for (side, costs) in sides.iter().zip(&mut costs) {
                costs.extend(side.map(|side| side(n)));
            }
        }
        let cells: String = costs.iter_mut().map(|costs| format!("{:>20}", median(costs))).collect();
        println!("{:<60}{cells}", format!("{name}: {what}"));
    }
}

fn profiled(row: &str, side: &str, n: u64) {
    let sides = ROWS.iter().find(|(name, ..)| *name == row).expect("the name of a row").3;
    let at = ["ropewalk", "tokio", "smol"].iter().position(|name| *name == side).expect("the name of a side");
    sides[at].expect("a row that this side has")(n);
}

fn median(costs: &mut [Cost]) -> String {
    costs.sort_by(|a, b| a.nanos.total_cmp(&b.nanos));
    match costs.get(costs.len() / 2) {
        Some(cost) => format!("{:.1}, {:.2}", cost.nanos, cost.allocations),
        None => "-".to_owned(),
    }
}
