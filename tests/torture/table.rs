//! The table: method x state x calling context, and the cells that cannot exist.

use crate::acts::{Method, methods};
use crate::world::{CONTEXTS, Ctx, World};
use crate::{family, tasks};

/// Why a cell cannot exist; `None` if it can.
pub(crate) fn impossible(method: &Method, state: &str, ctx: Ctx) -> Option<&'static str> {
    let from_the_turn = ctx.is_loop_callback();
    let needs_loop = method.needs_loop;
    match (method.name, state) {
        _ if ctx == Ctx::LoopDrop && needs_loop => Some("the loop is gone: no &EventLoop can be had"),
        (
            "Handle::with" | "Handle::call_soon" | "Handle::call_later" | "Handle::call_at" | "Handle::time"
            | "Handle::stop" | "Handle::remote" | "Remote::post" | "Sender::try_send" | "Sender::send",
            "ok" | "full",
        )
        | (
            "DelayedCall::cancel"
            | "DelayedCall::reset"
            | "DelayedCall::delay"
            | "DelayedCall::reset_at"
            | "DelayedCall::deadline",
            "ok" | "called" | "cancelled",
        )
        | ("DelayedCall::is_active", "yes")
        | (
            "Remote::stop" | "Remote: clone, Debug, is_closed, drop" | "Handle: clone, Debug, is_closed, drop",
            "open",
        ) if ctx == Ctx::LoopDrop => Some("the loop is gone, and it was the only one"),
        (
            "EventLoop::run"
            | "EventLoop::run_until"
            | "EventLoop::turn"
            | "EventLoop::run_one"
            | "TestClock::advance",
            "ok",
        ) if from_the_turn => Some("the loop runs: it called this"),
        (_, "re-entrant") if ctx == Ctx::Outside => Some("no loop runs"),
        ("EventLoop::scheduled_time", "some") if ctx == Ctx::Outside || (from_the_turn && ctx != Ctx::Timer) => {
            Some("no timer runs")
        }
        ("EventLoop::scheduled_time", "none") if ctx == Ctx::Timer => Some("a timer runs"),
        ("EventLoop::remove", "after callback") if ctx == Ctx::Outside => Some("nothing is lent or called"),
        ("EventLoop::call_when_running", "now") if ctx == Ctx::Trigger => {
            Some("a loop with a trigger is not running yet, or not any more")
        }
        _ => tasks::impossible(method, state, ctx).or_else(|| family::impossible(method, state, ctx)),
    }
}

/// Whether a cell comes too seldom to be waited for.
fn seldom(method: &Method, state: &str, ctx: Ctx) -> bool {
    // A timer that is dropped after the one whose drop calls this.
    let armed_still = [("Sleep: poll again, drop", "pending"), ("Cooperator::cooperate", "ok")];
    ctx == Ctx::LoopDrop && armed_still.contains(&(method.name, state))
}

/// The table as text, and the cells that are empty and should not be.
pub(crate) fn fill(w: &World) -> (String, Vec<String>) {
    let hits = w.hits.borrow();
    let mut missing = Vec::new();
    let mut text = String::new();
    text.push_str(&format!("{:<40}{:<16}", "method", "state"));
    for ctx in CONTEXTS {
        text.push_str(&format!("{:>11}", format!("{ctx:?}")));
    }
    text.push('\n');
    for method in methods() {
        for &state in method.states {
            text.push_str(&format!("{:<40}{state:<16}", method.name));
            let row = hits.get(&(method.name, state)).copied().unwrap_or_default();
            for ctx in CONTEXTS {
                let n = row[ctx as usize];
                match impossible(method, state, ctx) {
                    _ if seldom(method, state, ctx) => text.push_str(&format!("{n:>11}")),
                    None if n == 0 => {
                        missing.push(format!("{} -> {state} from {ctx:?}", method.name));
                        text.push_str(&format!("{:>11}", "!"));
                    }
                    Some(why) if n > 0 => {
                        missing.push(format!("{} -> {state} from {ctx:?} was hit, but {why}", method.name));
                        text.push_str(&format!("{:>11}", n));
                    }
                    Some(_) => text.push_str(&format!("{:>11}", "-")),
                    None => text.push_str(&format!("{n:>11}")),
                }
            }
            text.push('\n');
        }
    }
    (text, missing)
}

/// Prints the table and answers the cells that are empty and should not be.
pub(crate) fn print(w: &World, generations: u64) -> Vec<String> {
    let (mut text, missing) = fill(w);
    let by = w.by_context.borrow();
    text.push_str(&format!("{:<56}", "calls"));
    by.iter().for_each(|n| text.push_str(&format!("{n:>11}")));
    println!("{text}\n{} calls, {generations} loops; - cannot exist, ! was missed", w.steps.get());
    missing
}
