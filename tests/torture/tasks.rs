//! The moves on floor 2: tasks, wakers and the futures of the bridge. Files, standard input and listeners are left out:
//! what a worker thread does when is not a matter of the seed.

use crate::acts::{Method, free};
use crate::futures::{Far, Foreign, Kept, Record, Task, Work};
use crate::moves::{arm, some_handle, unexpected};
use crate::world::{Chain, Ctx, Noise, Token, Value, World, enter, seen};
use ropewalk::bridge::{DeferredFuture, UnixStream, sleep, timeout, yield_now};
use ropewalk::{Closed, Deferred, EventLoop, Failure, PanicError, PostError, RunError};
use std::future::{Future, IntoFuture};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const WAKE: &[&str] = &["waiting", "woken", "polled", "over", "closed"];
const END: &[&str] = &["waiting", "woken", "polled", "over"];
const FUTURE: &[&str] = &["not polled", "waiting", "ready"];

pub(crate) static TASK_METHODS: &[Method] = &[
    free("Handle::spawn", &["ok", "closed"], |w| {
        let (handle, record) = (some_handle(w), Record::new(w));
        let ok = !handle.is_closed();
        let end = handle.spawn(Work::new(w, record.clone()));
        if ok {
            keep_task(w, end, record);
        } else {
            drop(end.add_errback(|failure| failure.downcast::<Closed>().map(|_| Value(None))));
        }
        w.hit("Handle::spawn", if ok { "ok" } else { "closed" });
    }),
    free("EventLoop::spawn", &["ok"], |w| {
        // Several: twelve rows of the table use one up.
        for _ in 0..6 {
            let record = Record::new(w);
            let end = w.with_loop(|el| el.spawn(Work::new(w, record.clone())));
            let Some(end) = end else { return };
            keep_task(w, end, record);
        }
        w.hit("EventLoop::spawn", "ok");
    }),
    free("Remote::spawn", &["ok", "full", "closed"], |w| {
        let Some(remote) = w.remotes.peek(w) else { return };
        for _ in 0..if w.one_in(4) { 8 } else { 1 } {
            let state = match remote.spawn(Far { noise: Some(Noise), polls: w.below(3) as u32 }) {
                Ok(()) => "ok",
                Err(PostError::Full(_)) => "full",
                Err(PostError::Closed(_)) => "closed",
            };
            w.hit("Remote::spawn", state);
        }
    }),
    free("EventLoop::block_on", &["ok", "re-entrant"], |w| crate::moves::drive(w, "EventLoop::block_on")),
    free("a task's Deferred: cancel", END, |w| {
        let Some((task, state)) = some_task(w) else { return };
        let gone = matches!(state, "waiting" | "woken") && !task.record.cancelled.replace(true);
        // Marked first: the future's Drop may do everything.
        task.record.ticket.called_off.set(true);
        if w.one_in(2) {
            task.end.cancel();
        } else {
            task.cancel.cancel();
        }
        // A recorder may be hearing that it is about to be polled; then it goes when the recorder returns.
        let told = w.stack.borrow().contains(&Ctx::Recorder);
        if gone && !told && task.record.alive.get() > 0 {
            w.broken("a task's future outlived the cancel of its Deferred".to_owned());
        }
        w.tasks.ends.put(w, task);
        w.hit("a task's Deferred: cancel", state);
    }),
    free("a task's Deferred: detach, drop", END, |w| {
        let Some((task, state)) = some_task(w) else { return };
        if w.one_in(2) {
            task.end.detach();
        }
        w.hit("a task's Deferred: detach, drop", state);
    }),
    free("a task's Deferred: add_both", END, |w| {
        let Some((task, state)) = some_task(w) else { return };
        let end = task.end.add_both(|result| {
            enter(Ctx::Step);
            result
        });
        w.cancels.put(w, task.cancel);
        w.chains.put(w, Chain { end, serial: task.record.serial });
        w.hit("a task's Deferred: add_both", state);
    }),
    free("Waker::wake", WAKE, |w| {
        let Some((kept, state)) = some_waker(w) else { return };
        kept.record.wakes(w);
        kept.waker.wake();
        w.hit("Waker::wake", state);
    }),
    free("Waker::wake_by_ref", WAKE, |w| {
        let Some((kept, state)) = some_waker(w) else { return };
        kept.record.wakes(w);
        kept.waker.wake_by_ref();
        w.hit("Waker::wake_by_ref", state);
    }),
    free("Waker::wake, another thread", WAKE, |w| {
        let Some((kept, state)) = some_waker(w) else { return };
        let hits =
            w.hits.borrow().get(&("Waker::wake, another thread", state)).map_or(0, |row| row[w.ctx() as usize]);
        if hits >= 2 && !w.one_in(100) {
            return; // to another thread and back takes as long as everything else
        }
        kept.record.wakes_elsewhere();
        w.tasks.elsewhere.wake(kept.waker);
        w.hit("Waker::wake, another thread", state);
    }),
    free("Waker: clone, will_wake, drop", WAKE, |w| {
        let Some((kept, state)) = some_waker(w) else { return };
        let second = kept.waker.clone();
        if !second.will_wake(&kept.waker) {
            w.broken("a clone of a waker wakes somebody else".to_owned());
        }
        drop(kept);
        w.hit("Waker: clone, will_wake, drop", state);
    }),
    free("DeferredFuture::poll, first", &["ready", "pending"], |w| {
        let done = w.want.get() == "ready";
        let Some(chain) = w.chains.prefer(w, |chain| chain.end.has_result() == done) else { return };
        let mut future = chain.end.into_future();
        let state = answer(poll(&mut future));
        if state == "pending" {
            w.tasks.futures.put(w, future);
        }
        w.hit("DeferredFuture::poll, first", state);
    }),
    free("DeferredFuture::poll, again", &["ready", "pending"], |w| {
        if w.want.get() == "ready" {
            let mut future = waiting_future(w, "ready");
            if answer(poll(&mut future)) == "pending" {
                w.broken("a DeferredFuture with a result was not ready".to_owned());
            }
            return w.hit("DeferredFuture::poll, again", "ready");
        }
        let Some(mut future) = w.tasks.futures.take(w) else { return };
        let state = answer(poll(&mut future));
        if state == "pending" {
            w.tasks.futures.put(w, future);
        }
        w.hit("DeferredFuture::poll, again", state);
    }),
    free("DeferredFuture: drop", FUTURE, |w| {
        let state = wanted_of(w, FUTURE);
        drop(waiting_future(w, state));
        w.hit("DeferredFuture: drop", state);
    }),
    free("DeferredFuture::detach", FUTURE, |w| {
        let state = wanted_of(w, FUTURE);
        waiting_future(w, state).detach();
        w.hit("DeferredFuture::detach", state);
    }),
    free("Sleep::poll", &["pending", "over", "closed"], |w| {
        let handle = some_handle(w);
        let limit = if w.want.get() == "over" { 0 } else { 250 * (1 + w.below(3)) };
        let mut sleep = sleep(&handle, Duration::from_micros(limit));
        let state = match poll(&mut sleep) {
            Poll::Ready(Ok(())) => "over",
            Poll::Ready(Err(Closed)) => "closed",
            Poll::Pending => "pending",
        };
        if state == "pending" {
            w.tasks.sleeps.put(w, sleep);
        }
        w.hit("Sleep::poll", state);
    }),
    free("Sleep: poll again, drop", &["pending", "over", "closed"], |w| {
        let Some(mut sleep) = w.tasks.sleeps.take(w) else { return };
        let state = match poll(&mut sleep) {
            Poll::Ready(Ok(())) => "over",
            Poll::Ready(Err(Closed)) => "closed",
            Poll::Pending => "pending",
        };
        if state == "pending" && w.one_in(2) {
            w.tasks.sleeps.put(w, sleep);
        }
        w.hit("Sleep: poll again, drop", state);
    }),
    free("Timeout::poll, drop", &["ready", "timed out", "pending"], |w| {
        let want = w.want.get();
        let Some(chain) = w.chains.prefer(w, |chain| chain.end.has_result() == (want == "ready")) else { return };
        let limit = if want == "timed out" { 0 } else { 250 * (1 + w.below(3)) };
        let mut limited = timeout(some_handle(w), Duration::from_micros(limit), chain.end);
        let state = match poll(&mut limited) {
            Poll::Ready(Ok(result)) => {
                drop(result.inspect_err(seen));
                "ready"
            }
            Poll::Ready(Err(_)) => "timed out",
            Poll::Pending => "pending",
        };
        if state == "pending" && w.one_in(2) {
            w.tasks.timeouts.put(w, limited);
        }
        w.hit("Timeout::poll, drop", state);
    }),
    free("Stream::poll_read", &["ready", "pending", "closed"], |w| {
        stream(w, "Stream::poll_read", |w, stream| {
            let waker = Waker::from(Arc::new(Foreign));
            let polled = stream.poll_read(&mut Context::from_waker(&waker), &mut [0; 8]);
            if matches!(polled, Poll::Ready(Ok(_))) && w.one_in(2) {
                let _ = stream.poll_read(&mut Context::from_waker(&waker), &mut [0; 8]);
            }
            polled
        });
    }),
    free("Stream::poll_write", &["ready", "pending", "closed"], |w| {
        let fill = w.want.get() == "pending";
        stream(w, "Stream::poll_write", |_, stream| {
            let waker = Waker::from(Arc::new(Foreign));
            let mut context = Context::from_waker(&waker);
            let mut polled = stream.poll_write(&mut context, &[0; 8]);
            while fill && matches!(polled, Poll::Ready(Ok(_))) {
                polled = stream.poll_write(&mut context, &[0; 1 << 16]);
            }
            polled
        });
    }),
    free("Stream: drop", &["open", "closed"], |w| {
        let Some(stream) = w.tasks.streams.take(w) else { return };
        w.hit("Stream: drop", if stream.event_loop().is_closed() { "closed" } else { "open" });
    }),
];

/// Why a cell of these methods cannot exist.
pub(crate) fn impossible(method: &Method, state: &str, ctx: Ctx) -> Option<&'static str> {
    let called_by_the_turn = ctx.is_loop_callback() && ctx != Ctx::Timer && ctx != Ctx::Poll;
    match (method.name, state) {
        (name, "waiting" | "woken" | "polled" | "over")
            if ctx == Ctx::LoopDrop && (name.starts_with("Waker") || name.starts_with("a task's")) =>
        {
            (name.starts_with("Waker") || state != "over").then_some("the loop is gone, and its tasks with it")
        }
        ("EventLoop::spawn", _) if ctx == Ctx::LoopDrop => Some("the loop is gone: no &EventLoop can be had"),
        ("EventLoop::block_on", _) if ctx == Ctx::LoopDrop => Some("the loop is gone: no &EventLoop can be had"),
        ("EventLoop::block_on", "ok") if ctx.is_loop_callback() => Some("the loop runs: it called this"),
        ("Handle::spawn" | "Remote::spawn", "ok" | "full") if ctx == Ctx::LoopDrop => Some("the loop is gone"),
        (_, "polled") if ctx == Ctx::Outside => Some("no loop runs, and so no task"),
        // A timer can: it may be called by a `jump_by` in a poll.
        (_, "polled") if called_by_the_turn => Some("the turn calls one after the other"),
        ("Sleep::poll", "pending" | "over") | ("Sleep: poll again, drop", "pending") if ctx == Ctx::LoopDrop => {
            Some("the loop is gone")
        }
        ("Timeout::poll, drop", "timed out") if ctx == Ctx::LoopDrop => Some("there is no clock any more"),
        ("Stream::poll_read" | "Stream::poll_write", "ready" | "pending") if ctx == Ctx::LoopDrop => {
            Some("the loop is gone")
        }
        ("Stream: drop", "open") if ctx == Ctx::LoopDrop => Some("the loop is gone"),
        _ => None,
    }
}

/// A rare meeting: a recorder that hears of a poll cancels a task, which may be that one.
pub(crate) fn cancel_woken(w: &World) {
    let before = w.want.replace("woken");
    let cancel = TASK_METHODS.iter().find(|method| method.name == "a task's Deferred: cancel");
    if let Some(cancel) = cancel {
        (cancel.act)(w);
    }
    w.want.set(before);
}

/// A rare meeting: other code is called while a task is polled. Then something is done to that task.
pub(crate) fn meeting(w: &World, ctx: Ctx) -> bool {
    if ctx == Ctx::Poll && w.one_in(25) {
        // Timers are called inside a poll only by this.
        arm(w, "EventLoop::call_later");
        let clock = w.clock.borrow().clone();
        w.turn.set(0);
        drop(w.driving(false, || clock.jump_by(Duration::from_millis(1))));
        return true;
    }
    if w.tasks.polled.get() == 0 || ctx == Ctx::Poll || impossible(&TASK_METHODS[0], "polled", ctx).is_some() {
        return false;
    }
    if !w.one_in(2) {
        return false;
    }
    let hits = |method: &&Method| w.hits.borrow().get(&(method.name, "polled")).map_or(0, |row| row[ctx as usize]);
    let those = TASK_METHODS.iter().filter(|method| method.states.contains(&"polled"));
    let Some(method) = those.min_by_key(hits) else { return false };
    let before = w.want.replace("polled");
    (method.act)(w);
    w.want.set(before);
    true
}

/// The future of the `block_on` that drives a loop: it has something to wait for, and an end.
pub(crate) fn block_on(w: &World, event_loop: &EventLoop) -> Result<(), RunError> {
    let (resolver, deferred) = Deferred::new();
    event_loop.call_soon(move |_| resolver.succeed(5));
    let future = async {
        enter(Ctx::Poll);
        yield_now().await;
        enter(Ctx::Poll);
        let five = deferred.await?;
        enter(Ctx::Poll);
        Ok(five)
    };
    match w.driving(false, || event_loop.block_on(future)) {
        Ok(_) => Ok(()),
        Err(failure) if failure.check::<PanicError>().is_some() => Ok(()), // one of the test's own
        Err(failure) => failure.downcast::<RunError>().map_or_else(|f| Err(unexpected(w, &f)), Err),
    }
}

fn keep_task(w: &World, end: Deferred<Value>, record: Rc<Record>) {
    let cancel = end.cancel_handle();
    w.tasks.ends.put(w, Task { end, cancel, record });
}

/// A task's Deferred in the state that the move at hand would like, or in another.
fn some_task(w: &World) -> Option<(Task, &'static str)> {
    let want = w.want.get();
    let state = |task: &Task| match task.record.state(w) {
        "closed" => "over",
        state => state,
    };
    let task = w.tasks.ends.take_if(w, |task| state(task) == want)?;
    let state = state(&task);
    Some((task, state))
}

fn some_waker(w: &World) -> Option<(Kept, &'static str)> {
    let want = w.want.get();
    let kept = w.tasks.wakers.peek_if(w, |kept| kept.record.state(w) == want)?;
    let state = kept.record.state(w);
    Some((kept, state))
}

/// The state that the move at hand would like.
fn wanted_of(w: &World, states: &[&'static str]) -> &'static str {
    let want = w.want.get();
    if states.contains(&want) { want } else { states[0] }
}

/// Polls with a waker that calls back.
fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    let waker = Waker::from(Arc::new(Foreign));
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

fn answer(polled: Poll<Result<Value, Failure>>) -> &'static str {
    match polled {
        Poll::Pending => "pending",
        Poll::Ready(result) => {
            drop(result.inspect_err(seen));
            "ready"
        }
    }
}

/// A future of a Deferred in the state asked for.
fn waiting_future(w: &World, state: &str) -> DeferredFuture<Value> {
    let (resolver, end) = Deferred::new();
    let mut future = end.into_future();
    if state == "not polled" {
        w.resolvers.put(w, resolver);
        return future;
    }
    answer(poll(&mut future));
    if state == "waiting" {
        w.resolvers.put(w, resolver);
    } else if resolver.is_cancelled() || w.one_in(2) {
        resolver.succeed(Value(w.one_in(3).then(|| Noise)));
    } else {
        resolver.fail(Token::new());
    }
    future
}

/// Does something with a stream, one of a pair if there are none.
fn stream(w: &World, method: &'static str, f: impl FnOnce(&World, &UnixStream) -> Poll<io::Result<usize>>) {
    if w.tasks.streams.len() < 2
        && let Some(Ok((one, other))) = w.with_loop(UnixStream::pair)
    {
        // Readable at the next turn.
        let waker = Waker::noop();
        let _ = one.poll_write(&mut Context::from_waker(waker), &[0; 64]);
        w.tasks.streams.put(w, one);
        w.tasks.streams.put(w, other);
    }
    let Some(stream) = w.tasks.streams.take(w) else { return };
    let state = match f(w, &stream) {
        Poll::Pending => "pending",
        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::NotConnected => "closed",
        Poll::Ready(_) => "ready",
    };
    let gone = stream.event_loop().is_closed();
    if gone {
        w.tasks.streams.put_old(stream);
    } else {
        w.tasks.streams.put(w, stream);
    }
    // What was known to be ready before the loop went still is.
    if !(gone && state == "ready") {
        w.hit(method, state);
    }
}
